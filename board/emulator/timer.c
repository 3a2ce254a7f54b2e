/*
 * DesignWare APB timer (one channel a device). TRM "Timer"; used by Linux's drivers/clocksource/dw_apb_timer.c (clock
 * source and scheduler clock of the Cyclone V) and U-Boot's timer.
 *
 * Counts down in virtual time at the fixed rate of property `frequency` (Hz); free-running mode reloads 2^32 - 1,
 * user-defined mode LOADCOUNT.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Timer, C5_TIMER)

enum { LOADCOUNT = 0x00, CURRENT = 0x04, CONTROL = 0x08, EOI = 0x0c, INTSTATUS = 0x10,
       ALL_INTSTATUS = 0xa0, ALL_EOI = 0xa4, ALL_RAWSTATUS = 0xa8, VERSION = 0xac };

#define CONTROL_ENABLE  (1u << 0)
#define CONTROL_USER    (1u << 1)
#define CONTROL_MASK    (1u << 2)
#define VERSION_ID      0x3230352a
#define SHORTEST_PERIOD 16          /* ticks between two interrupts: keeps a wild guest from stopping the emulator */

struct C5Timer {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    qemu_irq irq;
    QEMUTimer *alarm;
    uint32_t frequency;
    uint32_t load;
    uint32_t control;
    uint32_t frozen;            /* the count while disabled */
    uint32_t start;             /* the count at `epoch` */
    int64_t epoch;              /* virtual ns */
    bool raised;
};

static uint64_t timer_ticks(C5Timer *s)
{
    return muldiv64(qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) - s->epoch, s->frequency, NANOSECONDS_PER_SECOND);
}

static uint64_t timer_period(C5Timer *s)
{
    return s->control & CONTROL_USER ? (uint64_t)s->load + 1 : 1ull << 32;
}

static uint32_t timer_count(C5Timer *s)
{
    uint64_t ticks;

    if (!(s->control & CONTROL_ENABLE)) {
        return s->frozen;
    }
    ticks = timer_ticks(s);
    if (ticks <= s->start) {
        return s->start - ticks;
    }
    return timer_period(s) - 1 - (ticks - s->start - 1) % timer_period(s);
}

static void timer_update(C5Timer *s)
{
    qemu_set_irq(s->irq, s->raised && !(s->control & CONTROL_MASK));
}

static void timer_arm(C5Timer *s)
{
    uint64_t ticks, next = (uint64_t)s->start + 1;

    if (!(s->control & CONTROL_ENABLE) || (s->control & CONTROL_MASK)) {
        timer_del(s->alarm);
        return;
    }
    ticks = timer_ticks(s);
    if (ticks >= next) {
        uint64_t period = MAX(timer_period(s), SHORTEST_PERIOD);

        next += ((ticks - next) / period + 1) * period;
    }
    timer_mod(s->alarm, s->epoch + muldiv64(next, NANOSECONDS_PER_SECOND, s->frequency) + 1);
}

static void timer_alarm(void *opaque)
{
    C5Timer *s = opaque;

    s->raised = true;
    timer_update(s);
    timer_arm(s);
}

static void timer_end_of_interrupt(C5Timer *s)
{
    s->raised = false;
    timer_update(s);
}

static uint32_t timer_register(C5Timer *s, hwaddr offset)
{
    switch (offset) {
    case LOADCOUNT:
        return s->load;
    case CURRENT:
        return timer_count(s);
    case CONTROL:
        return s->control;
    case EOI:
    case ALL_EOI:
        timer_end_of_interrupt(s);
        return 0;
    case INTSTATUS:
    case ALL_INTSTATUS:
        return s->raised && !(s->control & CONTROL_MASK);
    case ALL_RAWSTATUS:
        return s->raised;
    case VERSION:
        return VERSION_ID;
    default:
        return 0;
    }
}

static uint64_t timer_read(void *opaque, hwaddr offset, unsigned)
{
    return c5_lanes_read(timer_register(opaque, offset & ~3), offset);
}

static void timer_write_control(C5Timer *s, uint32_t new)
{
    uint32_t old = s->control;

    if ((old & CONTROL_ENABLE) && !(new & CONTROL_ENABLE)) {
        s->frozen = timer_count(s);
        s->raised = false;
    }
    s->control = new & (CONTROL_ENABLE | CONTROL_USER | CONTROL_MASK);
    if (!(old & CONTROL_ENABLE) && (new & CONTROL_ENABLE)) {
        s->epoch = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
        s->start = s->load;
    }
    timer_update(s);
    timer_arm(s);
}

static void timer_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Timer *s = opaque;

    switch (offset & ~3) {
    case LOADCOUNT:
        s->load = c5_lanes_write(s->load, offset, value, size);
        break;
    case CONTROL:
        timer_write_control(s, c5_lanes_write(s->control, offset, value, size));
        break;
    }
}

C5_REGISTER_OPS(timer_ops, timer_read, timer_write);

static C5_RESET_PHASE(timer_reset)
{
    C5Timer *s = C5_TIMER(obj);

    s->load = 0;
    s->control = 0;
    s->frozen = 0;
    s->raised = false;
    timer_del(s->alarm);
    timer_update(s);
}

static void timer_realize(DeviceState *dev, Error **errp)
{
    C5Timer *s = C5_TIMER(dev);

    if (!s->frequency) {
        error_setg(errp, TYPE_C5_TIMER ".frequency is 0 (valid: 1 Hz and more)");
        return;
    }
    memory_region_init_io(&s->iomem, OBJECT(s), &timer_ops, s, TYPE_C5_TIMER, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    sysbus_init_irq(SYS_BUS_DEVICE(dev), &s->irq);
    s->alarm = timer_new_ns(QEMU_CLOCK_VIRTUAL, timer_alarm, s);
}

C5_PROPERTIES timer_properties[] = {
    DEFINE_PROP_UINT32("frequency", C5Timer, frequency, C5_L4_SP_HZ),
    C5_PROPERTIES_END
};

static void timer_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = timer_realize;
    device_class_set_props(dc, timer_properties);
    RESETTABLE_CLASS(klass)->phases.hold = timer_reset;
}

static const TypeInfo timer_types[] = {
    {
        .name = TYPE_C5_TIMER,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Timer),
        .class_init = timer_class_init,
    },
};
DEFINE_TYPES(timer_types)
