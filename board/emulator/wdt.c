/*
 * DesignWare APB watchdog. TRM "Watchdog Timer"; used by U-Boot's designware_wdt.c and Linux's dw_wdt.c.
 *
 * Counts down from 2^(16 + TOP) at osc1 (25 MHz) in virtual time: 2.6 ms (TOP 0) to 85.9 s (TOP 15). At zero it resets
 * the machine (line "watchdog-reset", a warm reset that the reset manager records), or, with RMOD set, raises its
 * interrupt first and resets at the second zero. Once enabled only a reset disables it: the machine's, or its own, by
 * the reset manager (line "watchdog-held"), which is how Linux stops it before it halts. QEMU's `-action watchdog=` and
 * the QMP event WATCHDOG are not involved: the machine's own reset is. For tests, QOM properties of /machine/wdt[0] and
 * [1]: `bites` (since power-on) and `last-bite`, `deadline` (virtual ns; the deadline is 0 when it does not count).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "qapi/visitor.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Wdt, C5_WDT)

enum { CR = 0x00, TORR = 0x04, CCVR = 0x08, CRR = 0x0c, STAT = 0x10, EOI = 0x14,
       PARAMS_5 = 0xe4, PARAMS_1 = 0xf4, VERSION = 0xf8, TYPE = 0xfc };

#define CR_ENABLE     (1u << 0)
#define CR_RMOD       (1u << 1)
#define CRR_RESTART   0x76
#define TORR_INIT(t)  (((t) >> 4) & 15)
#define TORR_TOP(t)   ((t) & 15)
#define PARAMS_ID     0x108d02f2
#define VERSION_ID    0x3130362a
#define TYPE_ID       0x44570120

struct C5Wdt {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    qemu_irq irq, bite;
    QEMUTimer *alarm;
    int64_t deadline;           /* virtual ns */
    uint32_t number;            /* L4WD0 or L4WD1 */
    uint32_t control, timeout;
    bool warned, held;
    uint64_t bites, last_bite;
};

static void wdt_start(C5Wdt *s, unsigned top)
{
    s->deadline = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + muldiv64(1ull << (16 + top), NANOSECONDS_PER_SECOND,
                                                                   C5_OSC1_HZ);
    timer_mod(s->alarm, s->deadline);
}

static void wdt_expired(void *opaque)
{
    C5Wdt *s = opaque;

    if ((s->control & CR_RMOD) && !s->warned) {
        s->warned = true;
        qemu_set_irq(s->irq, 1);
        wdt_start(s, TORR_TOP(s->timeout));
        return;
    }
    s->bites++;
    s->last_bite = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    warn_report("cyclone5: watchdog L4WD%u has expired: warm reset", s->number);
    qemu_set_irq(s->bite, 1);
}

static uint32_t wdt_count(C5Wdt *s)
{
    int64_t left;

    if (!(s->control & CR_ENABLE)) {
        return (1ull << (16 + TORR_TOP(s->timeout))) - 1;
    }
    left = s->deadline - qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    return left > 0 ? muldiv64(left, C5_OSC1_HZ, NANOSECONDS_PER_SECOND) : 0;
}

static void wdt_acknowledge(C5Wdt *s)
{
    s->warned = false;
    qemu_set_irq(s->irq, 0);
}

static uint64_t wdt_read(void *opaque, hwaddr offset, unsigned)
{
    C5Wdt *s = opaque;
    uint32_t word = 0;

    switch (offset & ~3) {
    case CR:
        word = s->control;
        break;
    case TORR:
        word = s->timeout;
        break;
    case CCVR:
        word = wdt_count(s);
        break;
    case STAT:
        word = s->warned;
        break;
    case EOI:
        wdt_acknowledge(s);
        break;
    case PARAMS_1:
        word = PARAMS_ID;
        break;
    case VERSION:
        word = VERSION_ID;
        break;
    case TYPE:
        word = TYPE_ID;
        break;
    }
    return c5_lanes_read(word, offset);
}

static void wdt_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Wdt *s = opaque;
    uint32_t old = s->control;

    if (s->held) {
        return;
    }
    switch (offset & ~3) {
    case CR:
        s->control = (c5_lanes_write(old, offset, value, size) & 0x3f) | (old & CR_ENABLE);
        if ((s->control & CR_ENABLE) && !(old & CR_ENABLE)) {
            wdt_start(s, TORR_INIT(s->timeout));
        }
        break;
    case TORR:
        s->timeout = c5_lanes_write(s->timeout, offset, value, size) & 0xff;
        break;
    case CRR:
        if ((value & 0xff) == CRR_RESTART && (s->control & CR_ENABLE)) {
            wdt_acknowledge(s);
            wdt_start(s, TORR_TOP(s->timeout));
        }
        break;
    }
}

C5_REGISTER_OPS(wdt_ops, wdt_read, wdt_write);

static void wdt_clear(C5Wdt *s)
{
    s->control = 0;
    s->timeout = 0xff;
    timer_del(s->alarm);
    wdt_acknowledge(s);
    qemu_set_irq(s->bite, 0);
}

static C5_RESET_PHASE(wdt_reset)
{
    wdt_clear(C5_WDT(obj));
}

static void wdt_hold(void *opaque, int, int held)
{
    C5Wdt *s = opaque;

    s->held = held;
    if (held) {
        wdt_clear(s);
    }
}

static void get_deadline(Object *obj, Visitor *v, const char *name, void *, Error **errp)
{
    C5Wdt *s = C5_WDT(obj);
    uint64_t deadline = s->control & CR_ENABLE ? s->deadline : 0;

    visit_type_uint64(v, name, &deadline, errp);
}

static void wdt_realize(DeviceState *dev, Error **)
{
    C5Wdt *s = C5_WDT(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &wdt_ops, s, TYPE_C5_WDT, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    sysbus_init_irq(SYS_BUS_DEVICE(dev), &s->irq);
    qdev_init_gpio_out_named(dev, &s->bite, C5_LINE_WDT_RESET, 1);
    qdev_init_gpio_in_named(dev, wdt_hold, C5_LINE_WDT_HELD, 1);
    s->alarm = timer_new_ns(QEMU_CLOCK_VIRTUAL, wdt_expired, s);
    object_property_add_uint64_ptr(OBJECT(dev), "bites", &s->bites, OBJ_PROP_FLAG_READ);
    object_property_add_uint64_ptr(OBJECT(dev), "last-bite", &s->last_bite, OBJ_PROP_FLAG_READ);
}

C5_PROPERTIES wdt_properties[] = {
    DEFINE_PROP_UINT32("number", C5Wdt, number, 0),
    C5_PROPERTIES_END
};

static void wdt_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = wdt_realize;
    device_class_set_props(dc, wdt_properties);
    object_class_property_add(klass, "deadline", "uint64", get_deadline, NULL, NULL, NULL);
    RESETTABLE_CLASS(klass)->phases.hold = wdt_reset;
}

static const TypeInfo wdt_types[] = {
    {
        .name = TYPE_C5_WDT,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Wdt),
        .class_init = wdt_class_init,
    },
};
DEFINE_TYPES(wdt_types)
