/*
 * DesignWare mobile storage host (2.40a) with its internal DMA controller. TRM "SD/MMC Controller"; used by Linux's
 * dw_mmc.c and U-Boot's dw_mmc.c. The card is QEMU's own `sd-card`.
 *
 * A command takes 20 us of virtual time (drivers poll and time it), its data no more. QEMU's card moves single bytes;
 * so a multi-block transfer by DMA goes straight to the card's block backend in the pieces that the descriptors name,
 * while the card itself sees the command and the stop. Everything else goes through the card, by DMA or by FIFO.
 * Not modelled: SDIO, 8-bit and DDR modes, voltage switch. Faults: sdmmc_fault.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sdmmc.h"

void sdmmc_update_irq(C5Sdmmc *s)
{
    bool host = REG(RINTSTS) & REG(INTMASK);
    bool dma = REG(IDSTS) & REG(IDINTEN) & ID_SOURCES;

    qemu_set_irq(s->irq, (REG(CTRL) & CTRL_INT_ENABLE) && (host || dma));
}

/* ---- commands ---- */

static void store_response(C5Sdmmc *s, uint32_t command, const uint8_t *response, int bytes)
{
    if (!(command & CMD_LONG_RESPONSE)) {
        REG(RESP0) = ldl_be_p(response);
        return;
    }
    for (int i = 0; i < 4; i++) {
        s->regs[RESP0 / 4 + i] = bytes == 16 ? ldl_be_p(response + 12 - 4 * i) : 0;
    }
}

/* The card's answer: its bytes, 0 when there is none. */
static int ask_card(C5Sdmmc *s, SDRequest *request, uint8_t *response)
{
    uint32_t refusal = s->faults.pulled ? 0 : sdmmc_fault_refusal(s, request->cmd);
    int bytes;

    s->refused = refusal;
    if (s->faults.pulled) {
        return 0;
    }
    if (refusal) {
        stl_be_p(response, refusal);
        return 4;
    }
    bytes = sdbus_do_command(s->bus, request, response);
    if (bytes > 0 && request->cmd == CMD_ERASE_START) {
        s->erase_start = sdmmc_address(s, request->arg);
    } else if (bytes > 0 && request->cmd == CMD_ERASE_END) {
        s->erase_end = sdmmc_address(s, request->arg);
    }
    return bytes;
}

static void run_command(C5Sdmmc *s)
{
    uint32_t command = s->pending;
    SDRequest request = { .cmd = command & 0x3f, .arg = REG(CMDARG) };
    uint8_t response[16] = { 0 };
    int bytes;

    s->pending = 0;
    timer_del(s->alarm);
    if (request.cmd == CMD_STOP_TRANSMISSION) {
        sdmmc_data_abort(s);
    }
    bytes = ask_card(s, &request, response);
    REG(RINTSTS) |= INT_COMMAND_DONE;
    if (command & CMD_RESPONSE) {
        if (bytes <= 0) {
            REG(RINTSTS) |= INT_NO_RESPONSE;
            return;
        }
        store_response(s, command, response, bytes);
    }
    if (request.cmd == ACMD_OP_COND && (REG(RESP0) & 0x80000000u)) {
        s->high_capacity = (REG(RESP0) & OCR_POWERED_HIGH_CAPACITY) == OCR_POWERED_HIGH_CAPACITY;
    }
    if (command & CMD_DATA) {
        sdmmc_data_begin(s, command, REG(RESP0));
    }
}

static void sdmmc_alarm(void *opaque)
{
    C5Sdmmc *s = opaque;

    if (s->pending) {
        run_command(s);
        sdmmc_update_irq(s);
    }
}

static void start_command(C5Sdmmc *s, uint32_t command)
{
    REG(CMD) = command & ~CMD_START;
    if (!(command & CMD_START) || (command & CMD_CLOCK_ONLY)) {
        return;
    }
    s->pending = command;
    s->due = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + COMMAND_NS;
    timer_mod(s->alarm, s->due);
}

/* ---- registers ---- */

static uint64_t sdmmc_read(void *opaque, hwaddr offset, unsigned)
{
    C5Sdmmc *s = opaque;
    uint32_t word;

    /* A guest that polls must not depend on how soon the host runs our timer. */
    if (s->pending && qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) >= s->due) {
        sdmmc_alarm(s);
    }
    if (s->waiting && qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) >= s->data_due) {
        sdmmc_data_alarm(s);
    }
    if (offset >= FIFO) {
        word = sdmmc_fifo_access(s, false, 0);
        sdmmc_update_irq(s);
        return word;
    }
    word = offset < REGISTERS_END ? REG(offset) : 0;
    switch (offset & ~3) {
    case MINTSTS:
        word = REG(RINTSTS) & REG(INTMASK);
        break;
    case STATUS:
        word = sdmmc_fifo_status(s);
        break;
    case CDETECT:
        word = sdbus_get_inserted(s->bus) && !s->faults.pulled ? 0 : 1;
        break;
    case WRTPRT:
        word = sdbus_get_readonly(s->bus);
        break;
    case TCBCNT:
    case TBBCNT:
        word = REG(BYTCNT) - s->left;
        break;
    }
    return c5_lanes_read(word, offset);
}

static void sdmmc_write_register(C5Sdmmc *s, hwaddr offset, uint32_t new, uint32_t written)
{
    switch (offset) {
    case CTRL:
        REG(CTRL) = new & ~CTRL_RESETS;
        if (s->waiting && (new & CTRL_RESETS)) {    /* the driver has lost patience */
            sdmmc_data_abort(s);
        }
        break;
    case CMD:
        start_command(s, new);
        break;
    case RINTSTS:
        REG(RINTSTS) &= ~written;
        if (s->data_phase && !s->waiting && s->left && !sdmmc_dma(s)) {    /* the FIFO requests are levels */
            REG(RINTSTS) |= s->writing ? INT_TX_REQUEST : INT_RX_REQUEST;
        }
        break;
    case BMOD:
        REG(BMOD) = new & ~BMOD_RESET;
        break;
    case PLDMND:
        if (s->data_phase && !s->waiting && sdmmc_dma(s)) {
            sdmmc_dma_run(s);
        }
        break;
    case IDSTS:
        REG(IDSTS) &= ~written;
        break;
    case MINTSTS:
    case STATUS:
    case CDETECT:
    case WRTPRT:
    case TCBCNT:
    case TBBCNT:
    case VERID:
    case HCON:
    case DSCADDR:
        break;
    default:
        REG(offset) = new;
    }
}

static void sdmmc_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Sdmmc *s = opaque;

    if (offset >= FIFO) {
        sdmmc_fifo_access(s, true, value);
    } else if (offset < REGISTERS_END) {
        sdmmc_write_register(s, offset & ~3, c5_lanes_write(REG(offset), offset, value, size),
                             c5_lanes_write(0, offset, value, size));
    }
    sdmmc_update_irq(s);
}

C5_REGISTER_OPS(sdmmc_ops, sdmmc_read, sdmmc_write);

static C5_RESET_PHASE(sdmmc_reset)
{
    C5Sdmmc *s = C5_SDMMC(obj);

    memset(s->regs, 0, sizeof(s->regs));
    REG(TMOUT) = 0xffffff40;
    REG(BLKSIZ) = BLOCK_BYTES;
    REG(BYTCNT) = BLOCK_BYTES;
    REG(FIFOTH) = 0x03ff0000;
    REG(DEBNCE) = 0x00ffffff;
    REG(USRID) = 0x07967797;
    REG(VERID) = 0x5342240a;
    REG(HCON) = 0x00c43cc1;
    REG(RST_N) = 1;
    s->direct = s->refused = false;
    sdmmc_data_abort(s);
    s->pending = 0;
    timer_del(s->alarm);
    sdmmc_update_irq(s);
}

static void sdmmc_realize(DeviceState *dev, Error **)
{
    C5Sdmmc *s = C5_SDMMC(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &sdmmc_ops, s, TYPE_C5_SDMMC, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    sysbus_init_irq(SYS_BUS_DEVICE(dev), &s->irq);
    s->alarm = timer_new_ns(QEMU_CLOCK_VIRTUAL, sdmmc_alarm, s);
    s->data_alarm = timer_new_ns(QEMU_CLOCK_VIRTUAL, sdmmc_data_alarm, s);
    s->bus = SD_BUS(qbus_new(TYPE_SD_BUS, dev, "sd-bus"));
}

void cyclone5_sdmmc_insert(DeviceState *sdmmc, DriveInfo *drive)
{
    C5Sdmmc *s = C5_SDMMC(sdmmc);

    if (!drive) {
        return;
    }
    s->blk = blk_by_legacy_dinfo(drive);
    s->card = qdev_new(TYPE_SD_CARD);
    qdev_prop_set_drive_err(s->card, "drive", s->blk, &error_fatal);
    qdev_realize_and_unref(s->card, BUS(s->bus), &error_fatal);
}

static void sdmmc_init(Object *obj)
{
    sdmmc_fault_init(C5_SDMMC(obj));
    sdmmc_journal_init(C5_SDMMC(obj));
}

static void sdmmc_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = sdmmc_realize;
    RESETTABLE_CLASS(klass)->phases.hold = sdmmc_reset;
    sdmmc_fault_class_init(klass);
    sdmmc_journal_class_init(klass);
}

static const TypeInfo sdmmc_types[] = {
    {
        .name = TYPE_C5_SDMMC,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Sdmmc),
        .instance_init = sdmmc_init,
        .class_init = sdmmc_class_init,
    },
};
DEFINE_TYPES(sdmmc_types)
