/*
 * DesignWare I2C controller with nothing on its bus. TRM "I2C Controller"; used by Linux's i2c-designware and U-Boot's
 * designware_i2c.
 *
 * The controller probes and works; every transfer ends with an abort, "7-bit address not acknowledged", as on a bus
 * whose devices have no power.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5I2c, C5_I2C)

enum { CON = 0x00, DATA_CMD = 0x10, INTR_STAT = 0x2c, INTR_MASK = 0x30, RAW_INTR_STAT = 0x34, CLR_INTR = 0x40,
       CLR_TX_ABRT = 0x54, CLR_STOP_DET = 0x60, ENABLE = 0x6c, STATUS = 0x70, TXFLR = 0x74, RXFLR = 0x78,
       TX_ABRT_SOURCE = 0x80, ENABLE_STATUS = 0x9c, COMP_PARAM_1 = 0xf4, COMP_VERSION = 0xf8, COMP_TYPE = 0xfc };

#define INTR_TX_EMPTY      (1u << 4)
#define INTR_TX_ABRT       (1u << 6)
#define INTR_STOP_DET      (1u << 9)
#define STATUS_TX_NOT_FULL (1u << 1)
#define STATUS_TX_EMPTY    (1u << 2)
#define ABRT_7B_ADDR_NOACK (1u << 0)
#define PARAM_1_FIFOS      (63u << 16 | 63u << 8 | 2u << 2 | 2u)
#define VERSION_ID         0x3132302a
#define TYPE_ID            0x44570140

struct C5I2c {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    qemu_irq irq;
    uint32_t regs[0x100 / 4];
};

static uint32_t i2c_raw(C5I2c *s)
{
    return s->regs[RAW_INTR_STAT / 4] | (s->regs[ENABLE / 4] & 1 ? INTR_TX_EMPTY : 0);
}

static void i2c_update(C5I2c *s)
{
    qemu_set_irq(s->irq, !!(i2c_raw(s) & s->regs[INTR_MASK / 4]));
}

static void i2c_clear(C5I2c *s, uint32_t bits)
{
    s->regs[RAW_INTR_STAT / 4] &= ~bits;
    i2c_update(s);
}

static uint64_t i2c_read(void *opaque, hwaddr offset, unsigned size)
{
    C5I2c *s = opaque;
    uint32_t word = offset < sizeof(s->regs) ? s->regs[offset / 4] : 0;

    switch (offset & ~3) {
    case INTR_STAT:
        word = i2c_raw(s) & s->regs[INTR_MASK / 4];
        break;
    case RAW_INTR_STAT:
        word = i2c_raw(s);
        break;
    case CLR_INTR:
        i2c_clear(s, ~0u);
        s->regs[TX_ABRT_SOURCE / 4] = 0;
        break;
    case CLR_TX_ABRT:
        i2c_clear(s, INTR_TX_ABRT);
        s->regs[TX_ABRT_SOURCE / 4] = 0;
        break;
    case CLR_STOP_DET:
        i2c_clear(s, INTR_STOP_DET);
        break;
    case STATUS:
        word = STATUS_TX_NOT_FULL | STATUS_TX_EMPTY;
        break;
    case DATA_CMD:
    case TXFLR:
    case RXFLR:
        word = 0;
        break;
    case ENABLE_STATUS:
        word = s->regs[ENABLE / 4] & 1;
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
    }
    return c5_lanes_read(word, offset);
}

static void i2c_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5I2c *s = opaque;

    if (offset >= sizeof(s->regs)) {
        return;
    }
    switch (offset & ~3) {
    case DATA_CMD:
        if (s->regs[ENABLE / 4] & 1) {
            s->regs[TX_ABRT_SOURCE / 4] = ABRT_7B_ADDR_NOACK;
            s->regs[RAW_INTR_STAT / 4] |= INTR_TX_ABRT | INTR_STOP_DET;
        }
        break;
    case RAW_INTR_STAT:
    case TX_ABRT_SOURCE:
        break;
    default:
        s->regs[offset / 4] = c5_lanes_write(s->regs[offset / 4], offset, value, size);
    }
    i2c_update(s);
}

C5_REGISTER_OPS(i2c_ops, i2c_read, i2c_write);

static C5_RESET_PHASE(i2c_reset)
{
    C5I2c *s = C5_I2C(obj);

    memset(s->regs, 0, sizeof(s->regs));
    s->regs[CON / 4] = 0x7f;
    s->regs[INTR_MASK / 4] = 0x8ff;
    i2c_update(s);
}

static void i2c_realize(DeviceState *dev, Error **errp)
{
    C5I2c *s = C5_I2C(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &i2c_ops, s, TYPE_C5_I2C, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    sysbus_init_irq(SYS_BUS_DEVICE(dev), &s->irq);
}

static void i2c_class_init(ObjectClass *klass, void *data)
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
