/*
 * A CPU that waits for a spinlock lets the host run something else: a plugin of QEMU's translator, loaded from this same
 * shared object by `-plugin`. TCG plugins: QEMU's docs/devel/tcg-plugins.
 *
 * ARM Linux hands a spinlock over in the order of arrival and waits with WFE, which QEMU translates to nothing when each
 * CPU has a thread. On a host with fewer free cores than threads the next owner may then be a thread that does not run,
 * while the others spin through their time slices: the emulated network became ten times slower than it need be. So each
 * WFE gives up the processor of the host.
 *
 * A branch to itself with interrupts off is where Linux ends on a board that cannot switch itself off: see fault_cpu.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/qemu-plugin.h"
#include "fault_cpu.h"

#define WFE_ARM          0xe320f002
#define WFE_CONDITION    0xf0000000     /* any, but not the unconditional space */
#define WFE_THUMB        0xbf20
#define SELF_ARM         0xeafffffe
#define SELF_THUMB       0xe7fe

QEMU_PLUGIN_EXPORT int qemu_plugin_version = QEMU_PLUGIN_VERSION;

static void give_way(unsigned int vcpu, void *)
{
    cyclone5_cpu_waits(vcpu);
}

static void loops(unsigned int vcpu, void *)
{
    cyclone5_cpu_loops(vcpu);
}

static bool is_wfe(uint32_t word, size_t size)
{
    return size == 2 ? word == WFE_THUMB : (word | WFE_CONDITION) == (WFE_ARM | WFE_CONDITION);
}

static size_t length(const struct qemu_plugin_insn *insn)
{
    return MIN(qemu_plugin_insn_size(insn), sizeof(uint32_t));      /* it is more when QEMU has read it twice */
}

static uint32_t instruction(const struct qemu_plugin_insn *insn)
{
    size_t size = length(insn);
    uint32_t word = 0;

#if QEMU_PLUGIN_VERSION >= 3
    qemu_plugin_insn_data(insn, &word, size);
#else
    memcpy(&word, qemu_plugin_insn_data(insn), size);
#endif
    return word;
}

static void translated(qemu_plugin_id_t, struct qemu_plugin_tb *block)
{
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, i);
        uint32_t word = instruction(insn);
        size_t size = length(insn);

        if (is_wfe(word, size)) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, give_way, QEMU_PLUGIN_CB_NO_REGS, NULL);
        } else if (word == (size == 2 ? SELF_THUMB : SELF_ARM)) {
            qemu_plugin_register_vcpu_insn_exec_cb(insn, loops, QEMU_PLUGIN_CB_NO_REGS, NULL);
        }
    }
}

QEMU_PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *, int, char **)
{
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    return 0;
}
