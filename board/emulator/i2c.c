/*
 * DesignWare I2C controller, master. TRM "I2C Controller"; used by Linux's i2c-designware and U-Boot's designware_i2c.
 *
 * A byte that software queues is on the bus at once (an empty transmit FIFO is the usual state), what is read waits in a
 * receive FIFO of 64. A device that is not there does not acknowledge its address: the transfer is aborted, until
 * software clears the abort. The bus is a QEMU I2C bus, the controller's child `i2c`; adxl345.c is a device on it. Slave
 * mode, 10-bit addresses and DMA are not modelled: a 10-bit address finds nobody.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "hw/i2c/i2c.h"
#include "qemu/fifo8.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5I2c, C5_I2C)

enum { CON = 0x00, TAR = 0x04, DATA_CMD = 0x10, INTR_STAT = 0x2c, INTR_MASK = 0x30, RAW_INTR_STAT = 0x34, RX_TL = 0x38,
       TX_TL = 0x3c, CLR_INTR = 0x40, CLR_RX_OVER = 0x48, CLR_TX_ABRT = 0x54, CLR_ACTIVITY = 0x5c, CLR_STOP_DET = 0x60,
       CLR_START_DET = 0x64, ENABLE = 0x6c, STATUS = 0x70, TXFLR = 0x74, RXFLR = 0x78, TX_ABRT_SOURCE = 0x80,
       ENABLE_STATUS = 0x9c, COMP_PARAM_1 = 0xf4, COMP_VERSION = 0xf8, COMP_TYPE = 0xfc };

#define CON_10BIT          (1u << 4)
#define TAR_10BIT          (1u << 12)
#define CMD_READ           (1u << 8)
#define CMD_STOP           (1u << 9)
#define CMD_RESTART        (1u << 10)
#define INTR_RX_OVER       (1u << 1)
#define INTR_RX_FULL       (1u << 2)
#define INTR_TX_EMPTY      (1u << 4)
#define INTR_TX_ABRT       (1u << 6)
#define INTR_ACTIVITY      (1u << 8)
#define INTR_STOP_DET      (1u << 9)
#define INTR_START_DET     (1u << 10)
#define STATUS_TX_NOT_FULL (1u << 1)
#define STATUS_TX_EMPTY    (1u << 2)
#define STATUS_RX_NOT_EMPTY (1u << 3)
#define STATUS_ACTIVE      (1u << 5 | 1u << 0)
#define ABRT_7B_ADDR_NOACK (1u << 0)
#define ABRT_TXDATA_NOACK  (1u << 3)
#define FIFO_DEPTH         64
#define PARAM_1_FIFOS      (63u << 16 | 63u << 8 | 2u << 2 | 2u)
#define VERSION_ID         0x3132302a
#define TYPE_ID            0x44570140

struct C5I2c {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    qemu_irq irq;
    I2CBus *bus;
    Fifo8 received;
    bool started, reading;      /* a transfer is on the bus; its direction */
    uint32_t regs[0x100 / 4];
};

#define REG(offset) (s->regs[(offset) / 4])

static uint32_t i2c_raw(C5I2c *s)
{
    uint32_t level = fifo8_num_used(&s->received) > (REG(RX_TL) & 0xff) ? INTR_RX_FULL : 0;

    return REG(RAW_INTR_STAT) | level | (REG(ENABLE) & 1 ? INTR_TX_EMPTY : 0);
}

static void i2c_update(C5I2c *s)
{
    qemu_set_irq(s->irq, !!(i2c_raw(s) & REG(INTR_MASK)));
}

static void i2c_clear(C5I2c *s, uint32_t bits)
{
    REG(RAW_INTR_STAT) &= ~bits;
    if (bits & INTR_TX_ABRT) {
        REG(TX_ABRT_SOURCE) = 0;
    }
    i2c_update(s);
}

static void i2c_stop(C5I2c *s)
{
    if (s->started) {
        i2c_end_transfer(s->bus);
        s->started = false;
        REG(RAW_INTR_STAT) |= INTR_STOP_DET;
    }
}

static void i2c_abort(C5I2c *s, uint32_t reason)
{
    i2c_stop(s);
    REG(TX_ABRT_SOURCE) |= reason;
    REG(RAW_INTR_STAT) |= INTR_TX_ABRT | INTR_STOP_DET;
}

static bool i2c_start(C5I2c *s, bool reading)
{
    bool ten_bits = (REG(CON) & CON_10BIT) || (REG(TAR) & TAR_10BIT);

    s->started = true;
    s->reading = reading;
    REG(RAW_INTR_STAT) |= INTR_START_DET | INTR_ACTIVITY;
    if (ten_bits || i2c_start_transfer(s->bus, REG(TAR) & 0x7f, reading)) {
        i2c_abort(s, ABRT_7B_ADDR_NOACK);
        return false;
    }
    return true;
}

static void i2c_command(C5I2c *s, uint32_t word)
{
    bool reading = word & CMD_READ;

    if (!(REG(ENABLE) & 1) || (REG(RAW_INTR_STAT) & INTR_TX_ABRT)) {
        return;                 /* an abort keeps the transmit FIFO flushed */
    }
    if ((!s->started || reading != s->reading || (word & CMD_RESTART)) && !i2c_start(s, reading)) {
        return;
    }
    if (reading) {
        uint8_t byte = i2c_recv(s->bus);

        if (fifo8_is_full(&s->received)) {
            REG(RAW_INTR_STAT) |= INTR_RX_OVER;
        } else {
            fifo8_push(&s->received, byte);
        }
    } else if (i2c_send(s->bus, word & 0xff)) {
        i2c_abort(s, ABRT_TXDATA_NOACK);
        return;
    }
    if (word & CMD_STOP) {
        i2c_stop(s);
    }
}

static void i2c_enable(C5I2c *s, uint32_t word)
{
    if (!(word & 1)) {
        i2c_stop(s);
        fifo8_reset(&s->received);
        REG(RAW_INTR_STAT) = 0;
    }
    REG(ENABLE) = word & 1;
}

/* Registers that clear an interrupt when they are read; 0: not one of them. */
static uint32_t i2c_cleared_by(hwaddr offset)
{
    switch (offset) {
    case CLR_INTR:
        return ~0u;
    case CLR_RX_OVER:
        return INTR_RX_OVER;
    case CLR_TX_ABRT:
        return INTR_TX_ABRT;
    case CLR_ACTIVITY:
        return INTR_ACTIVITY;
    case CLR_STOP_DET:
        return INTR_STOP_DET;
    case CLR_START_DET:
        return INTR_START_DET;
    default:
        return 0;
    }
}

static uint32_t i2c_status(C5I2c *s)
{
    return STATUS_TX_NOT_FULL | STATUS_TX_EMPTY | (fifo8_is_empty(&s->received) ? 0 : STATUS_RX_NOT_EMPTY) |
           (s->started ? STATUS_ACTIVE : 0);
}

static uint64_t i2c_read(void *opaque, hwaddr offset, unsigned)
{
    C5I2c *s = opaque;
    uint32_t word = offset < sizeof(s->regs) ? REG(offset) : 0;

    switch (offset & ~3) {
    case DATA_CMD:
        word = fifo8_is_empty(&s->received) ? 0 : fifo8_pop(&s->received);
        i2c_update(s);
        break;
    case INTR_STAT:
        word = i2c_raw(s) & REG(INTR_MASK);
        break;
    case RAW_INTR_STAT:
        word = i2c_raw(s);
        break;
    case STATUS:
        word = i2c_status(s);
        break;
    case TXFLR:
        word = 0;
        break;
    case RXFLR:
        word = fifo8_num_used(&s->received);
        break;
    case ENABLE_STATUS:
        word = REG(ENABLE) & 1;
        break;
    case COMP_PARAM_1:
        word = PARAM_1_FIFOS;
        break;
    case COMP_VERSION:
        word = VERSION_ID;
        break;
    case COMP_TYPE:
        word = TYPE_ID;
        break;
    default:
        i2c_clear(s, i2c_cleared_by(offset & ~3));
    }
    return c5_lanes_read(word, offset);
}

static void i2c_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5I2c *s = opaque;
    uint32_t new;

    if (offset >= sizeof(s->regs)) {
        return;
    }
    new = c5_lanes_write(REG(offset), offset, value, size);
    switch (offset & ~3) {
    case DATA_CMD:
        i2c_command(s, c5_lanes_write(0, offset, value, size));
        break;
    case ENABLE:
        i2c_enable(s, new);
        break;
    case RAW_INTR_STAT:
    case TX_ABRT_SOURCE:
        break;
    default:
        REG(offset) = new;
    }
    i2c_update(s);
}

C5_REGISTER_OPS(i2c_ops, i2c_read, i2c_write);

static C5_RESET_PHASE(i2c_reset)
{
    C5I2c *s = C5_I2C(obj);

    if (s->started) {
        i2c_end_transfer(s->bus);
        s->started = false;
    }
    fifo8_reset(&s->received);
    memset(s->regs, 0, sizeof(s->regs));
    REG(CON) = 0x7f & ~CON_10BIT;
    REG(TAR) = 0x55;
    REG(INTR_MASK) = 0x8ff;
    i2c_update(s);
}

static void i2c_realize(DeviceState *dev, Error **)
{
    C5I2c *s = C5_I2C(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &i2c_ops, s, TYPE_C5_I2C, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    sysbus_init_irq(SYS_BUS_DEVICE(dev), &s->irq);
    fifo8_create(&s->received, FIFO_DEPTH);
    s->bus = i2c_init_bus(dev, "i2c");
}

static void i2c_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = i2c_realize;
    RESETTABLE_CLASS(klass)->phases.hold = i2c_reset;
}

static const TypeInfo i2c_types[] = {
    {
        .name = TYPE_C5_I2C,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5I2c),
        .class_init = i2c_class_init,
    },
};
DEFINE_TYPES(i2c_types)
