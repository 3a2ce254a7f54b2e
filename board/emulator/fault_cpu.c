/*
 * The two CPUs, when they fail or have nothing more to do: /machine/processor, with the properties
 *
 *   hang    true: both CPUs stop where they are and no interrupt wakes them, while time and the devices go on. So a
 *           watchdog that counts must bite; any reset of the board ends it, as does writing false.
 *   halted  read-only: software has ended, until the next reset. Linux's halt, and its power-off on a board that cannot
 *           switch itself off, end in a branch to itself with interrupts off. spin.c sees it; the host's cores are let go.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "block/aio.h"
#include "hw/core/cpu.h"
#include "fault_cpu.h"
#include "qemu/main-loop.h"
#include <sched.h>

#define TYPE_C5_PROCESSOR "cyclone5-processor"
OBJECT_DECLARE_SIMPLE_TYPE(C5Processor, C5_PROCESSOR)

#define IDLE_US 1000

struct C5Processor {
    Object parent_obj;
    bool hang;
};

static bool halted;

static void stop_cpus(void *opaque)
{
    C5Processor *s = opaque;
    CPUState *cpu;

    if (s->hang) {
        CPU_FOREACH(cpu) {
            cpu->stop = true;       /* as QEMU's own pause_all_vcpus, but the clock is not stopped */
            qemu_cpu_kick(cpu);
        }
    }
}

static bool get_hang(Object *obj, Error **)
{
    return C5_PROCESSOR(obj)->hang;
}

static void set_hang(Object *obj, bool hang, Error **)
{
    C5Processor *s = C5_PROCESSOR(obj);

    s->hang = hang;
    if (hang) {
        stop_cpus(s);
    } else {
        resume_all_vcpus();
    }
}

static bool get_halted(Object *, Error **)
{
    return qatomic_read(&halted);
}

static bool masks_interrupts(unsigned index)
{
    const CPUARMState *env = &ARM_CPU(qemu_get_cpu(index))->env;

    return env->daif & PSTATE_I;
}

void cyclone5_cpu_loops(unsigned index)
{
    if (!masks_interrupts(index)) {
        return;
    }
    if (!qatomic_xchg(&halted, true)) {
        info_report("cyclone5: CPU %u loops with interrupts off: the software has halted", index);
    }
    if (!icount_enabled()) {
        g_usleep(IDLE_US);
    }
}

/* Linux stops the other CPU first, and leaves it in a loop around a WFE. */
void cyclone5_cpu_waits(unsigned index)
{
    if (qatomic_read(&halted) && masks_interrupts(index) && !icount_enabled()) {
        g_usleep(IDLE_US);
    } else {
        sched_yield();
    }
}

/* QEMU's `cont` lets all CPUs run: those that hang go on hanging. */
static void run_state_changed(void *opaque, bool running, RunState)
{
    if (running) {
        aio_bh_schedule_oneshot(qemu_get_aio_context(), stop_cpus, opaque);
    }
}

/* QEMU's main loop starts the CPUs again when it has reset the machine. */
static void processor_reset(void *opaque)
{
    C5_PROCESSOR(opaque)->hang = false;
    qatomic_set(&halted, false);
}

static void machine_is_made(Notifier *, void *)
{
    Object *processor;

    if (!object_dynamic_cast(qdev_get_machine(), MACHINE_TYPE_NAME("cyclone5"))) {
        return;
    }
    processor = object_new(TYPE_C5_PROCESSOR);
    object_property_add_child(qdev_get_machine(), "processor", processor);
    object_unref(processor);
    qemu_register_reset(processor_reset, processor);
    qemu_add_vm_change_state_handler(run_state_changed, processor);
}

static void processor_class_init(ObjectClass *klass, void *)
{
    object_class_property_add_bool(klass, "hang", get_hang, set_hang);
    object_class_property_add_bool(klass, "halted", get_halted, NULL);
}

static const TypeInfo processor_types[] = {
    {
        .name = TYPE_C5_PROCESSOR,
        .parent = TYPE_OBJECT,
        .instance_size = sizeof(C5Processor),
        .class_init = processor_class_init,
    },
};

static void register_processor(void)
{
    static Notifier notifier = { .notify = machine_is_made };

    type_register_static_array(processor_types, ARRAY_SIZE(processor_types));
    qemu_add_machine_init_done_notifier(&notifier);
}
type_init(register_processor)
