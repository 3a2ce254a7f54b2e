/*
 * FPGA manager: configures the FPGA through the passive-parallel port. TRM "FPGA Manager"; used by U-Boot's
 * socfpga_gen5.c and Linux's socfpga.c.
 *
 * The control block goes through its real phases: nCONFIG pulled -> reset; released -> configuration; with AXI
 * configuration enabled, words written to the data window count; CONF_DONE when all have come; clocks given with DCLKCNT
 * -> initialisation -> user mode. A truncated bitstream never gets CONF_DONE; the next nCONFIG starts over. What the
 * bitstream says is not looked at: the fabric is what the machine was started with. A warm reset leaves the FPGA
 * configured; a power-on or cold reset clears it.
 *
 * Properties: `msel`, the board's switches (0x0a: passive parallel x32, compressed); width and clock ratio in CTRL must be
 * those of MSEL (Linux's cfgmgr_modes), else the FPGA pulls nSTATUS low at the first word; with MSEL of active serial (16
 * and more, or reserved) the port is deaf. `raw-bytes`, size of this FPGA's uncompressed bitstream; `head-bytes`, how
 * much of it stands before the configuration memory and is never compressed.
 *
 * How long a bitstream is: without decompression, raw-bytes. With it the length stands nowhere, so the memory's part is
 * followed as the FPGA does: for each two bytes a nibble that says which of their four nibbles are there, for others are 0,
 * lower nibbles first; it ends when as much has come out as the memory has, and TAIL_BYTES follow. (Project Mistral,
 * lib/cv-files.cc; its sizes add up to those of the datasheet.) The emulated board's stand-in (firmware/overlay.py), known
 * by its first word, has `stand-in-bytes`.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Fpgamgr, C5_FPGAMGR)

enum { STAT = 0x000, CTRL = 0x004, DCLKCNT = 0x008, DCLKSTAT = 0x00c, INTEN = 0x830, INTMASK = 0x834,
       INT_POLARITY = 0x83c, INTSTATUS = 0x840, RAW_INTSTATUS = 0x844, EOI = 0x84c, EXT_PORTA = 0x850, VERSION = 0x86c };

enum { MODE_OFF, MODE_RESET, MODE_CONFIG, MODE_INIT, MODE_USER };

#define STAT_MSEL_SHIFT   3
#define CTRL_EN           (1u << 0)
#define CTRL_NCE          (1u << 1)
#define CTRL_NCONFIGPULL  (1u << 2)
#define CTRL_CDRATIO_SHIFT  6
#define CTRL_AXICFGEN     (1u << 8)
#define CTRL_CFGWDTH      (1u << 9)     /* 32 bits */
#define MSEL_PARALLEL     16            /* below: passive parallel */
#define MSEL_32           (1u << 3)
#define MSEL_COMPRESSED   (1u << 1)
#define MSEL_RATIO        3u            /* 3 is reserved */
#define PIN_NSTATUS       (1u << 0)
#define PIN_CONF_DONE     (1u << 1)
#define PIN_INIT_DONE     (1u << 2)
#define PIN_FPGA_POWER_ON (1u << 11)
#define PINS              0xfff
#define VERSION_ID        0x3230382a
#define RAW_BYTES_A4      4244820       /* Cyclone V Device Datasheet, "Uncompressed .rbf Sizes": 33,958,560 bits */
#define HEAD_BYTES_A4     40004
#define TAIL_BYTES        616
#define STAND_IN          0x6e617473    /* "stan" */

struct C5Fpgamgr {
    SysBusDevice parent_obj;
    MemoryRegion iomem, data;
    qemu_irq irq, user_mode;
    uint32_t msel, raw_bytes, head_bytes, stand_in_bytes;
    uint32_t mode;
    uint32_t loaded;            /* bytes */
    uint32_t first;             /* word */
    uint32_t unpacked;          /* bytes of configuration memory */
    uint32_t nibbles;           /* that the last key has announced, still to come */
    uint32_t tail;              /* bytes behind the configuration memory */
    bool failed;                /* nSTATUS is low: what came could not be read */
    uint32_t regs[0x900 / 4];
};

static uint32_t fpgamgr_memory_bytes(C5Fpgamgr *s)
{
    return s->raw_bytes - s->head_bytes - TAIL_BYTES;
}

static bool fpgamgr_loaded(C5Fpgamgr *s)
{
    if (s->mode != MODE_CONFIG || s->failed) {
        return false;
    }
    if (!(s->msel & MSEL_COMPRESSED)) {
        return s->loaded >= s->raw_bytes;
    }
    return s->first == STAND_IN ? s->loaded >= s->stand_in_bytes : s->tail >= TAIL_BYTES;
}

static void fpgamgr_unpack(C5Fpgamgr *s, uint8_t byte)
{
    uint32_t wanted = fpgamgr_memory_bytes(s);

    if (s->loaded < s->head_bytes) {
        return;
    }
    if (s->unpacked == wanted && !s->nibbles) {
        s->tail++;
        return;
    }
    for (int shift = 0; shift < 8 && (s->unpacked < wanted || s->nibbles); shift += 4) {
        if (s->nibbles) {
            s->nibbles--;
        } else {
            s->nibbles = ctpop8((byte >> shift) & 0xf);
            s->unpacked += 2;
        }
    }
}

static void fpgamgr_take(C5Fpgamgr *s, uint64_t value, unsigned size)
{
    if (!s->loaded) {
        s->first = value;
    }
    for (unsigned i = 0; i < size && s->loaded < UINT32_MAX; i++) {
        fpgamgr_unpack(s, value >> (8 * i));
        s->loaded++;
    }
}

static void fpgamgr_forget(C5Fpgamgr *s)
{
    s->loaded = s->first = s->unpacked = s->nibbles = s->tail = 0;
    s->failed = false;
}

/* Does software drive the port as the switches tell the FPGA to expect? The ratio is 1, 4 or 8 (x16: 1, 2 or 4). */
static bool fpgamgr_agrees(C5Fpgamgr *s, uint32_t control)
{
    uint32_t step = s->msel & MSEL_RATIO;
    uint32_t ratio = s->msel & MSEL_32 && step ? step + 1 : step;

    return !(control & CTRL_CFGWDTH) == !(s->msel & MSEL_32) && ((control >> CTRL_CDRATIO_SHIFT) & 3) == ratio;
}

static uint32_t fpgamgr_pins(C5Fpgamgr *s)
{
    bool done = s->mode >= MODE_INIT || fpgamgr_loaded(s);
    bool good = s->mode >= MODE_CONFIG && !s->failed;

    return PIN_FPGA_POWER_ON | (good ? PIN_NSTATUS : 0) | (done ? PIN_CONF_DONE : 0) |
           (s->mode == MODE_USER ? PIN_INIT_DONE : 0);
}

static uint32_t fpgamgr_raw(C5Fpgamgr *s)
{
    return ~(fpgamgr_pins(s) ^ s->regs[INT_POLARITY / 4]) & s->regs[INTEN / 4] & PINS;
}

static void fpgamgr_update(C5Fpgamgr *s)
{
    qemu_set_irq(s->user_mode, s->mode == MODE_USER);
    qemu_set_irq(s->irq, !!(fpgamgr_raw(s) & ~s->regs[INTMASK / 4]));
}

static void fpgamgr_control(C5Fpgamgr *s, uint32_t control)
{
    if (!(control & CTRL_EN) || (control & CTRL_NCE)) {
        return;
    }
    if (control & CTRL_NCONFIGPULL) {
        s->mode = MODE_RESET;
    } else if (s->mode == MODE_RESET) {
        s->mode = MODE_CONFIG;
        fpgamgr_forget(s);
    }
}

static void fpgamgr_clocks(C5Fpgamgr *s)
{
    s->regs[DCLKSTAT / 4] = 1;
    if (fpgamgr_loaded(s)) {
        s->mode = MODE_INIT;
    } else if (s->mode == MODE_INIT) {
        s->mode = MODE_USER;
    }
}

static uint64_t fpgamgr_read(void *opaque, hwaddr offset, unsigned)
{
    C5Fpgamgr *s = opaque;
    uint32_t word = offset < sizeof(s->regs) ? s->regs[offset / 4] : 0;

    switch (offset & ~3) {
    case STAT:
        word = s->msel << STAT_MSEL_SHIFT | s->mode;
        break;
    case EXT_PORTA:
        word = fpgamgr_pins(s);
        break;
    case RAW_INTSTATUS:
        word = fpgamgr_raw(s);
        break;
    case INTSTATUS:
        word = fpgamgr_raw(s) & ~s->regs[INTMASK / 4];
        break;
    case VERSION:
        word = VERSION_ID;
        break;
    }
    return c5_lanes_read(word, offset);
}

static void fpgamgr_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Fpgamgr *s = opaque;
    uint32_t old, new;

    if (offset >= sizeof(s->regs)) {
        return;
    }
    old = s->regs[offset / 4];
    new = c5_lanes_write(old, offset, value, size);
    switch (offset & ~3) {
    case STAT:
    case EXT_PORTA:
        return;
    case CTRL:
        fpgamgr_control(s, new);
        break;
    case DCLKCNT:
        fpgamgr_clocks(s);
        break;
    case DCLKSTAT:
        new = old & ~new;
        break;
    }
    s->regs[offset / 4] = new;
    fpgamgr_update(s);
}

C5_REGISTER_OPS(fpgamgr_ops, fpgamgr_read, fpgamgr_write);

static uint64_t fpgamgr_data_read(void *, hwaddr, unsigned)
{
    return 0;
}

static void fpgamgr_data_write(void *opaque, hwaddr, uint64_t value, unsigned size)
{
    C5Fpgamgr *s = opaque;
    bool done = fpgamgr_loaded(s), failed = s->failed;

    if (s->mode != MODE_CONFIG || !(s->regs[CTRL / 4] & CTRL_AXICFGEN) || s->msel >= MSEL_PARALLEL ||
        (s->msel & MSEL_RATIO) == MSEL_RATIO) {
        return;
    }
    s->failed |= !fpgamgr_agrees(s, s->regs[CTRL / 4]);
    fpgamgr_take(s, value, size);
    if (s->failed != failed || fpgamgr_loaded(s) != done) {
        fpgamgr_update(s);
    }
}

C5_REGISTER_OPS(fpgamgr_data_ops, fpgamgr_data_read, fpgamgr_data_write);

static C5_RESET_PHASE(fpgamgr_reset)
{
    C5Fpgamgr *s = C5_FPGAMGR(obj);

    memset(s->regs, 0, sizeof(s->regs));
    if (cyclone5_reset_kind() != C5_RESET_WARM) {
        s->mode = cyclone5_direct_kernel ? MODE_USER : MODE_CONFIG;
        fpgamgr_forget(s);
    }
}

static C5_RESET_PHASE(fpgamgr_reset_exit)
{
    fpgamgr_update(C5_FPGAMGR(obj));
}

static void fpgamgr_realize(DeviceState *dev, Error **)
{
    C5Fpgamgr *s = C5_FPGAMGR(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &fpgamgr_ops, s, TYPE_C5_FPGAMGR, 4 * KiB);
    memory_region_init_io(&s->data, OBJECT(s), &fpgamgr_data_ops, s, "cyclone5-fpgamgr-data", 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->data);
    sysbus_init_irq(SYS_BUS_DEVICE(dev), &s->irq);
    qdev_init_gpio_out_named(dev, &s->user_mode, C5_LINE_USER_MODE, 1);
}

C5_PROPERTIES fpgamgr_properties[] = {
    DEFINE_PROP_UINT32("msel", C5Fpgamgr, msel, 0x0a),
    DEFINE_PROP_UINT32("raw-bytes", C5Fpgamgr, raw_bytes, RAW_BYTES_A4),
    DEFINE_PROP_UINT32("head-bytes", C5Fpgamgr, head_bytes, HEAD_BYTES_A4),
    DEFINE_PROP_UINT32("stand-in-bytes", C5Fpgamgr, stand_in_bytes, 64 * KiB),
    C5_PROPERTIES_END
};

static void fpgamgr_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = fpgamgr_realize;
    device_class_set_props(dc, fpgamgr_properties);
    RESETTABLE_CLASS(klass)->phases.hold = fpgamgr_reset;
    RESETTABLE_CLASS(klass)->phases.exit = fpgamgr_reset_exit;
}

static const TypeInfo fpgamgr_types[] = {
    {
        .name = TYPE_C5_FPGAMGR,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Fpgamgr),
        .class_init = fpgamgr_class_init,
    },
};
DEFINE_TYPES(fpgamgr_types)
