/*
 * Clock manager: the PLL and divider registers. TRM "Clock Manager"; used by U-Boot's clock_manager_gen5.c and Linux's
 * drivers/clk/socfpga.
 *
 * PLLs are always locked and a phase shift is consumed at once. The clocks of the devices do not follow the registers:
 * the fixed inputs are osc1 25 MHz, l4_sp 100 MHz (what the stock SPL programs).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Clkmgr, C5_CLKMGR)

enum {
    CTRL = 0x00, BYPASS = 0x04, INTER = 0x08, STAT = 0x14,
    MAIN_VCO = 0x40, MAIN_MPU = 0x48, MAIN_MAIN = 0x4c, MAIN_DBG = 0x50, MAIN_QSPI = 0x54, MAIN_SDMMC = 0x58,
    MAIN_S2F = 0x5c, MAIN_EN = 0x60, MAIN_DIV = 0x64, MAIN_L4SRC = 0x70, MAIN_STAT = 0x74,
    PER_VCO = 0x80, PER_EMAC0 = 0x88, PER_EMAC1 = 0x8c, PER_QSPI = 0x90, PER_SDMMC = 0x94, PER_BASE = 0x98,
    PER_S2F = 0x9c, PER_EN = 0xa0, PER_DIV = 0xa4, PER_GPIO = 0xa8, PER_SRC = 0xac, PER_STAT = 0xb0,
    SDR_VCO = 0xc0, SDR_DDRDQS = 0xc8, SDR_DDR2XDQS = 0xcc, SDR_DDRDQ = 0xd0, SDR_S2F = 0xd4, SDR_EN = 0xd8,
    SDR_STAT = 0xdc, ALT_MPU = 0xe0, ALT_MAIN = 0xe4, ALT_DBG = 0xe8,
};

#define CTRL_SAFEMODE    1
#define BYPASS_ALL       0xb
#define INTER_LOCKED     0x1c0      /* main, peripheral and SDRAM PLL */
#define INTER_LOST       0x3f       /* write 1 to clear */
#define PHASE_MASK       0x1ff      /* the divider; the phase field above it is done as soon as it is written */

struct C5Clkmgr {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    uint32_t regs[0x100 / 4];
};

static uint64_t clkmgr_read(void *opaque, hwaddr offset, unsigned)
{
    C5Clkmgr *s = opaque;

    return offset < sizeof(s->regs) ? c5_lanes_read(s->regs[offset / 4], offset) : 0;
}

static void clkmgr_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Clkmgr *s = opaque;
    uint32_t old, new;

    if (offset >= sizeof(s->regs)) {
        return;
    }
    old = s->regs[offset / 4];
    new = c5_lanes_write(old, offset, value, size);
    switch (offset & ~3) {
    case INTER:
        new = (old & ~(new & INTER_LOST)) | INTER_LOCKED;
        break;
    case SDR_DDRDQS:
    case SDR_DDR2XDQS:
    case SDR_DDRDQ:
    case SDR_S2F:
        new &= PHASE_MASK;
        break;
    case STAT:
    case MAIN_STAT:
    case PER_STAT:
    case SDR_STAT:
        return;
    }
    s->regs[offset / 4] = new;
}

C5_REGISTER_OPS(clkmgr_ops, clkmgr_read, clkmgr_write);

static C5_RESET_PHASE(clkmgr_reset)
{
    /* What a 25 MHz board has after its SPL: VCOs of 1600, 1000 and 800 MHz; the SPL writes all of it anew. */
    static const uint16_t table[][2] = {
        { INTER, INTER_LOCKED },
        { MAIN_VCO, 63 << 3 }, { MAIN_QSPI, 3 }, { MAIN_SDMMC, 3 }, { MAIN_S2F, 15 }, { MAIN_EN, 0x3ff },
        { MAIN_DIV, 1 | 1 << 2 | 1 << 4 | 1 << 7 }, { MAIN_L4SRC, 3 },
        { PER_VCO, 39 << 3 }, { PER_EMAC0, 3 }, { PER_EMAC1, 3 }, { PER_QSPI, 4 }, { PER_SDMMC, 4 }, { PER_BASE, 4 },
        { PER_S2F, 9 }, { PER_EN, 0xfff }, { PER_GPIO, 6249 }, { PER_SRC, 0x2a },
        { SDR_VCO, 31 << 3 }, { SDR_DDRDQS, 1 }, { SDR_DDRDQ, 1 }, { SDR_S2F, 5 }, { SDR_EN, 0xf },
        { ALT_MPU, 1 }, { ALT_MAIN, 3 }, { ALT_DBG, 3 },
    };
    C5Clkmgr *s = C5_CLKMGR(obj);

    memset(s->regs, 0, sizeof(s->regs));
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        s->regs[table[i][0] / 4] = table[i][1];
    }
    s->regs[CTRL / 4] = cyclone5_direct_kernel ? 0 : CTRL_SAFEMODE;
    s->regs[BYPASS / 4] = cyclone5_direct_kernel ? 0 : BYPASS_ALL;
}

static void clkmgr_realize(DeviceState *dev, Error **)
{
    C5Clkmgr *s = C5_CLKMGR(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &clkmgr_ops, s, TYPE_C5_CLKMGR, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
}

static void clkmgr_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = clkmgr_realize;
    RESETTABLE_CLASS(klass)->phases.hold = clkmgr_reset;
}

static const TypeInfo clkmgr_types[] = {
    {
        .name = TYPE_C5_CLKMGR,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Clkmgr),
        .class_init = clkmgr_class_init,
    },
};
DEFINE_TYPES(clkmgr_types)
