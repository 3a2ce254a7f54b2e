/*
 * What differs between the QEMU releases that the emulated board is built for: 7.2 (Debian 12) and 10.0 (Debian 13).
 * Every file includes this header first (through cyclone5.h); nowhere else may a QEMU version be asked for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_COMPAT_H
#define CYCLONE5_COMPAT_H

/* QEMU's own inline functions compare numbers of different signedness; ours do not. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"

#include "qemu/osdep.h"

#if !((QEMU_VERSION_MAJOR == 7 && QEMU_VERSION_MINOR == 2) || (QEMU_VERSION_MAJOR == 10 && QEMU_VERSION_MINOR == 0))
#error "the emulated board supports QEMU 7.2 (Debian 12) and 10.0 (Debian 13)"
#endif

#include "cpu.h"
#include "exec/address-spaces.h"
#include "hw/qdev-properties.h"
#include "hw/qdev-properties-system.h"
#include "hw/resettable.h"
#include "net/net.h"

#include "accel/tcg/tcg-accel-ops.h"
#include "accel/tcg/tcg-accel-ops-icount.h"
#include "accel/tcg/tcg-accel-ops-rr.h"

#if QEMU_VERSION_MAJOR >= 10
#include "hw/char/serial-mm.h"
#include "system/accel-ops.h"
#include "system/block-backend.h"
#include "system/blockdev.h"
#include "system/cpu-timers.h"
#include "system/cpus.h"
#include "system/dma.h"
#include "system/qtest.h"
#include "system/reset.h"
#include "system/runstate.h"
#include "system/system.h"
#include "tcg/startup.h"

#define C5_PROPERTIES static const Property
#define C5_PROPERTIES_END
#define C5_RESET_PHASE(name) void name(Object *obj, ResetType type)
#define c5_cond_wait(cond) qemu_cond_wait_bql(cond)
#define c5_lock() bql_lock()
#define c5_unlock() bql_unlock()
#define c5_neg(cpu) (&(cpu)->neg)
#define c5_can_do_io(cpu) (cpu)->neg.can_do_io
#define c5_exec(cpu) tcg_cpu_exec(cpu)
#define c5_prepare_for_run(cpu, budget) icount_prepare_for_run(cpu, budget)
#define c5_connect_nic(dev) qemu_configure_nic_device(dev, true, NULL)

/* A CPU's thread and condition: QEMU makes a pair for each CPU; the CPUs share the first one's. */
static inline void c5_own_thread(CPUState *cpu)
{
}

static inline void c5_share_thread(CPUState *cpu, const CPUState *first)
{
    g_free(cpu->thread);
    qemu_cond_destroy(cpu->halt_cond);
    g_free(cpu->halt_cond);
    cpu->thread = first->thread;
    cpu->halt_cond = first->halt_cond;
}

/* 10.0 has no function for it any more: the head of its TypeImpl (qom/object.c), trusted when the name is right. */
static inline size_t c5_instance_size(const char *type)
{
    const struct {
        const char *name;
        size_t class_size, instance_size;
    } *impl = (const void *)object_class_by_name(type)->type;

    return strcmp(impl->name, type) ? 0 : impl->instance_size;
}
#else
#include "hw/char/serial.h"
#include "sysemu/accel-ops.h"
#include "sysemu/block-backend.h"
#include "sysemu/blockdev.h"
#include "sysemu/cpu-timers.h"
#include "sysemu/cpus.h"
#include "sysemu/dma.h"
#include "sysemu/qtest.h"
#include "sysemu/reset.h"
#include "sysemu/runstate.h"
#include "sysemu/sysemu.h"
#include "tcg/tcg.h"

#define C5_PROPERTIES static Property
#define C5_PROPERTIES_END DEFINE_PROP_END_OF_LIST(),
#define C5_RESET_PHASE(name) void name(Object *obj)
#define c5_cond_wait(cond) qemu_cond_wait_iothread(cond)
#define c5_lock() qemu_mutex_lock_iothread()
#define c5_unlock() qemu_mutex_unlock_iothread()
#define c5_neg(cpu) cpu_neg(cpu)
#define c5_can_do_io(cpu) (cpu)->can_do_io
#define c5_exec(cpu) tcg_cpus_exec(cpu)
#define c5_prepare_for_run(cpu, budget) icount_prepare_for_run(cpu)
static inline void c5_own_thread(CPUState *cpu)
{
    cpu->thread = g_new0(QemuThread, 1);
    cpu->halt_cond = g_new0(QemuCond, 1);
    qemu_cond_init(cpu->halt_cond);
}

static inline void c5_share_thread(CPUState *cpu, const CPUState *first)
{
    cpu->thread = first->thread;
    cpu->halt_cond = first->halt_cond;
}

#define c5_instance_size(type) object_type_get_instance_size(type)
#define c5_connect_nic(dev)                              \
    do {                                                 \
        if (nd_table[0].used) {                          \
            qdev_set_nic_properties(dev, &nd_table[0]);  \
        }                                                \
    } while (0)
#endif

#pragma GCC diagnostic pop

#endif
