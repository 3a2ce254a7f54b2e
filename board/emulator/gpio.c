/*
 * DesignWare APB GPIO, one 29-bit port. TRM "General-Purpose I/O Interface"; used by Linux's gpio-dwapb and U-Boot's
 * dwapb_gpio.
 *
 * Outputs read back what was written. Inputs are the QOM property `inputs` (a bit a pin; all ones at power-on: pulled up,
 * no button pressed), which outlives a reset, as a switch does; `outputs` shows what software drives (LEDs), 0 for a pin
 * that is an input. An input raises its interrupt by level or edge, of either polarity; debouncing is ignored, as nothing
 * bounces here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "qapi/visitor.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Gpio, C5_GPIO)

enum { SWPORTA_DR = 0x00, SWPORTA_DDR = 0x04, INTEN = 0x30, INTMASK = 0x34, INTTYPE_LEVEL = 0x38, INT_POLARITY = 0x3c,
       INTSTATUS = 0x40, RAW_INTSTATUS = 0x44, EOI = 0x4c, EXT_PORTA = 0x50, ID_CODE = 0x64, VERSION = 0x6c,
       CONFIG_2 = 0x70, CONFIG_1 = 0x74 };

#define PINS        0x1fffffff
#define VERSION_ID  0x3230382a

struct C5Gpio {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    qemu_irq irq;
    uint32_t inputs;            /* the levels outside */
    uint32_t pins;              /* the levels as they were last looked at */
    uint32_t edges;             /* seen, and not acknowledged */
    uint32_t regs[0x80 / 4];
};

#define REG(offset) (s->regs[(offset) / 4])

static uint32_t gpio_pins(const C5Gpio *s)
{
    return ((REG(SWPORTA_DR) & REG(SWPORTA_DDR)) | (s->inputs & ~REG(SWPORTA_DDR))) & PINS;
}

static uint32_t gpio_raw(const C5Gpio *s)
{
    uint32_t levels = ~(s->pins ^ REG(INT_POLARITY)) & ~REG(INTTYPE_LEVEL);

    return (levels | s->edges) & REG(INTEN) & ~REG(SWPORTA_DDR) & PINS;
}

/* To be called after whatever moves a pin or an interrupt register. */
static void gpio_update(C5Gpio *s)
{
    uint32_t pins = gpio_pins(s), changed = pins ^ s->pins;

    s->edges |= changed & ~(pins ^ REG(INT_POLARITY)) & REG(INTTYPE_LEVEL) & REG(INTEN);
    s->edges &= REG(INTTYPE_LEVEL) & REG(INTEN);
    s->pins = pins;
    qemu_set_irq(s->irq, !!(gpio_raw(s) & ~REG(INTMASK)));
}

static uint64_t gpio_read(void *opaque, hwaddr offset, unsigned)
{
    C5Gpio *s = opaque;
    uint32_t word = offset < sizeof(s->regs) ? REG(offset) : 0;

    switch (offset & ~3) {
    case EXT_PORTA:
        word = s->pins;
        break;
    case INTSTATUS:
        word = gpio_raw(s) & ~REG(INTMASK);
        break;
    case RAW_INTSTATUS:
        word = gpio_raw(s);
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

    if (offset >= sizeof(s->regs)) {
        return;
    }
    if ((offset & ~3) == EOI) {
        s->edges &= ~c5_lanes_write(0, offset, value, size);
    } else {
        REG(offset) = c5_lanes_write(REG(offset), offset, value, size);
    }
    gpio_update(s);
}

C5_REGISTER_OPS(gpio_ops, gpio_read, gpio_write);

static C5_RESET_PHASE(gpio_reset)
{
    C5Gpio *s = C5_GPIO(obj);

    memset(s->regs, 0, sizeof(s->regs));
    s->edges = 0;
    s->pins = gpio_pins(s);
    gpio_update(s);
}

static void gpio_get_inputs(Object *obj, Visitor *v, const char *name, void *, Error **errp)
{
    visit_type_uint32(v, name, &C5_GPIO(obj)->inputs, errp);
}

static void gpio_set_inputs(Object *obj, Visitor *v, const char *name, void *, Error **errp)
{
    C5Gpio *s = C5_GPIO(obj);
    uint32_t value;

    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value & ~PINS) {
        error_setg(errp, TYPE_C5_GPIO ".inputs is 0x%x (valid: 29 pins, up to 0x%x)", value, PINS);
        return;
    }
    s->inputs = value;
    if (DEVICE(s)->realized) {
        gpio_update(s);
    }
}

static void gpio_get_outputs(Object *obj, Visitor *v, const char *name, void *, Error **errp)
{
    C5Gpio *s = C5_GPIO(obj);
    uint32_t value = REG(SWPORTA_DR) & REG(SWPORTA_DDR) & PINS;

    visit_type_uint32(v, name, &value, errp);
}

static void gpio_init(Object *obj)
{
    C5_GPIO(obj)->inputs = PINS;
    object_property_add(obj, "inputs", "uint32", gpio_get_inputs, gpio_set_inputs, NULL, NULL);
    object_property_add(obj, "outputs", "uint32", gpio_get_outputs, NULL, NULL, NULL);
}

static void gpio_realize(DeviceState *dev, Error **)
{
    C5Gpio *s = C5_GPIO(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &gpio_ops, s, TYPE_C5_GPIO, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    sysbus_init_irq(SYS_BUS_DEVICE(dev), &s->irq);
}

static void gpio_class_init(ObjectClass *klass, void *)
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
        .instance_init = gpio_init,
        .class_init = gpio_class_init,
    },
};
DEFINE_TYPES(gpio_types)
