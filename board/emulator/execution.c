/*
 * How much the CPUs have executed, and a pause at an exact moment. Whose turn it is: turns.c.
 *
 * QOM object /machine/execution, for a client of QMP:
 *   instructions  executed by both CPUs since power-on; a CPU that sleeps in WFI executes none. Only with -icount.
 *   clock-ns      the guest's clock, nanoseconds since power-on.
 *   pause-at      a moment of that clock, in nanoseconds; QEMU pauses (event STOP) just there, `cont` goes on. With
 *                 -icount this is the same instruction in each run, with it everything in memory and registers. 0: never.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "qapi/visitor.h"
#include "qemu/main-loop.h"

#define TYPE_C5_EXECUTION "cyclone5-execution"

OBJECT_DECLARE_SIMPLE_TYPE(C5Execution, C5_EXECUTION)

struct C5Execution {
    Object parent_obj;
    QEMUTimer *pause;
    QEMUBH *pause_now;
    uint64_t pause_at;
};

/* ---- pause ---- */

/* A CPU that is due for a pause waits for the main loop, which alone can stop the machine. */
static void wait_for_stop(CPUState *cpu, run_on_cpu_data)
{
    while (!cpu->stop && !cpu->stopped) {
        c5_cond_wait(cpu->halt_cond);
    }
}

static void pause_now(void *)
{
    vm_stop(RUN_STATE_PAUSED);
}

/*
 * The machine can't be stopped in the middle of QEMU's run over its timers. But the main loop runs a bottom half before
 * it looks whether all CPUs sleep, and so can't advance the clock in between.
 */
static void pause_due(void *opaque)
{
    C5Execution *s = opaque;
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        async_run_on_cpu(cpu, wait_for_stop, RUN_ON_CPU_NULL);
    }
    qemu_bh_schedule(s->pause_now);
}

static void pause_at_get(Object *obj, Visitor *v, const char *name, void *, Error **errp)
{
    visit_type_uint64(v, name, &C5_EXECUTION(obj)->pause_at, errp);
}

static void pause_at_set(Object *obj, Visitor *v, const char *name, void *, Error **errp)
{
    C5Execution *s = C5_EXECUTION(obj);
    uint64_t at;

    if (!visit_type_uint64(v, name, &at, errp)) {
        return;
    }
    if (at && (at > INT64_MAX || (int64_t)at <= qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL))) {
        error_setg(errp, "pause-at %" PRIu64 " has gone by (valid: above clock-ns; 0 for never)", at);
        return;
    }
    s->pause_at = at;
    if (at) {
        timer_mod(s->pause, at);
    } else {
        timer_del(s->pause);
    }
}

/* ---- what is counted ---- */

static void instructions_get(Object *, Visitor *v, const char *name, void *, Error **errp)
{
    uint64_t count;

    if (!icount_enabled()) {
        error_setg(errp, "instructions are not counted (valid: start QEMU with -icount)");
        return;
    }
    count = icount_get_raw();
    visit_type_uint64(v, name, &count, errp);
}

static void clock_get(Object *, Visitor *v, const char *name, void *, Error **errp)
{
    uint64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);

    visit_type_uint64(v, name, &now, errp);
}

void cyclone5_execution_begin(void)
{
    C5Execution *s = C5_EXECUTION(object_new(TYPE_C5_EXECUTION));

    object_property_add_child(qdev_get_machine(), "execution", OBJECT(s));
    object_unref(OBJECT(s));
    s->pause = timer_new_ns(QEMU_CLOCK_VIRTUAL, pause_due, s);
    s->pause_now = qemu_bh_new(pause_now, s);
}

static void execution_class_init(ObjectClass *klass, void *)
{
    object_class_property_add(klass, "instructions", "uint64", instructions_get, NULL, NULL, NULL);
    object_class_property_add(klass, "clock-ns", "uint64", clock_get, NULL, NULL, NULL);
    object_class_property_add(klass, "pause-at", "uint64", pause_at_get, pause_at_set, NULL, NULL);
}

static const TypeInfo execution_types[] = {
    {
        .name = TYPE_C5_EXECUTION,
        .parent = TYPE_OBJECT,
        .instance_size = sizeof(C5Execution),
        .class_init = execution_class_init,
    },
};
DEFINE_TYPES(execution_types)
