/*
 * DesignWare APB GPIO, one 29-bit port. TRM "General-Purpose I/O Interface"; used by Linux's gpio-dwapb and U-Boot's
 * dwapb_gpio.
 *
 * Outputs read back what was written, inputs read as high (pulled up: no button pressed). Interrupt registers are
 * storage: no input ever changes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Gpio, C5_GPIO)

enum { SWPORTA_DR = 0x00, SWPORTA_DDR = 0x04, INTSTATUS = 0x40, RAWINTSTATUS = 0x44, EOI = 0x4c, EXT_PORTA = 0x50,
       ID_CODE = 0x64, VERSION = 0x6c, CONFIG_2 = 0x70, CONFIG_1 = 0x74 };

#define PINS        0x1fffffff
#define VERSION_ID  0x3230382a

struct C5Gpio {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    qemu_irq irq;
    uint32_t regs[0x80 / 4];
};

static uint64_t gpio_read(void *opaque, hwaddr offset, unsigned size)
{
    C5Gpio *s = opaque;
    uint32_t word = offset < sizeof(s->regs) ? s->regs[offset / 4] : 0;
    uint32_t outputs = s->regs[SWPORTA_DDR / 4];

    switch (offset & ~3) {
    case EXT_PORTA:
        word = ((s->regs[SWPORTA_DR / 4] & outputs) | ~outputs) & PINS;
        break;
    case INTSTATUS:
    case RAWINTSTATUS:
        word = 0;
        break;
    case VERSION:
        word = VERSION_ID;
        break;
    case CONFIG_2:
        word = 0x39cfc;         /* 29 pins in port A */
        break;
    case CONFIG_1:
        word = 0x001ff0f2;      /* one port, with interrupts and debounce */
        break;
    }
    return c5_lanes_read(word, offset);
}

static void gpio_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Gpio *s = opaque;

    if (offset < sizeof(s->regs)) {
        s->regs[offset / 4] = c5_lanes_write(s->regs[offset / 4], offset, value, size);
    }
}

C5_REGISTER_OPS(gpio_ops, gpio_read, gpio_write);

static C5_RESET_PHASE(gpio_reset)
{
    C5Gpio *s = C5_GPIO(obj);

    memset(s->regs, 0, sizeof(s->regs));
}

static void gpio_realize(DeviceState *dev, Error **errp)
{
    C5Gpio *s = C5_GPIO(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &gpio_ops, s, TYPE_C5_GPIO, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    sysbus_init_irq(SYS_BUS_DEVICE(dev), &s->irq);
}

static void gpio_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = gpio_realize;
    RESETTABLE_CLASS(klass)->phases.hold = gpio_reset;
}

static const TypeInfo gpio_types[] = {
    {
        .name = TYPE_C5_GPIO,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Gpio),
        .class_init = gpio_class_init,
    },
};
DEFINE_TYPES(gpio_types)
