/*
 * What the translator's plugin (spin.c) tells the two CPUs (fault_cpu.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_FAULT_CPU_H
#define CYCLONE5_FAULT_CPU_H

/* CPU `index` is about to execute a branch to itself; from its own thread, without QEMU's lock. */
void cyclone5_cpu_loops(unsigned index);

/* It is about to execute a WFE: another thread of the host goes first. */
void cyclone5_cpu_waits(unsigned index);

#endif
