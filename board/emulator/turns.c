/*
 * Whose turn it is: the thread that executes both CPUs when the board counts instructions (`-icount`).
 *
 * QEMU's own thread (its accel/tcg/tcg-accel-ops-rr.c) gives CPU 0 what there is up to the next timer, and then CPU 1 what
 * is left: in 7.2 nothing, and the round begins with CPU 0 again. CPU 1 gets on only when CPU 0 sleeps, or is left early
 * because another thread of the host wants something: the main loop, which runs timers of the guest's clock, too, when it
 * happens to be awake, or RCU. So two busy CPUs interleaved by chance, and a CPU 0 that spins until CPU 1 has answered
 * (Linux's smp_call_function) could spin for ever. (Later releases divide what there is; chance remains.)
 *
 * Here the turn is a function of the guest alone. A CPU keeps it until it has executed TURN_INSTRUCTIONS, or sleeps (WFI),
 * or gives way (WFE, YIELD); a CPU that was interrupted by the host goes on where it was. A turn is short, for a CPU that
 * waits for the other one without saying so executes in vain.
 *
 * When both CPUs sleep, and the clock need not wait for the host's (sleep=off), it is this thread that moves the clock to
 * the next event, while nothing else can run; in QEMU it is the main loop, beside this thread.
 *
 * Nothing is executed any more once a reset or the end was asked for: the main loop gets to it in its own time.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "exec/cpu-common.h"
#include "hw/core/cpu.h"
#include "qemu/guest-random.h"
#include "qemu/main-loop.h"
#include "qemu/notify.h"
#include "qemu/option.h"
#include "qemu/config-file.h"
#include "qemu/rcu.h"

#define TURN_INSTRUCTIONS  20000
#define HOST_SHARE_NS      (5 * SCALE_MS)      /* so often, and so long, this thread lets the main loop in for sure */
#define HOST_SHARE_US      50

static CPUState *turn;
static int64_t left;                /* instructions until the end of the turn */
static bool sleeps, moving_clock;

/* ---- whose turn ---- */

static bool asleep(CPUState *cpu)
{
    return cpu->halted && !cpu_has_work(cpu);
}

static CPUState *after(CPUState *cpu)
{
    return CPU_NEXT(cpu) ? CPU_NEXT(cpu) : first_cpu;
}

/* The CPU that executes now, or NULL when all sleep. */
static CPUState *pick(void)
{
    CPUState *cpu = turn;

    if (left > 0 && !asleep(turn)) {
        return turn;
    }
    do {
        cpu = after(cpu);
        if (!asleep(cpu)) {
            turn = cpu;
            left = TURN_INSTRUCTIONS;
            return cpu;
        }
    } while (cpu != turn);
    return NULL;
}

/* ---- execution ---- */

static void limit(CPUState *cpu, int64_t instructions)
{
    int64_t budget = MIN(cpu->icount_budget, instructions);

    cpu->icount_budget = budget;
    c5_neg(cpu)->icount_decr.u16.low = MIN(0xffff, budget);
    cpu->icount_extra = budget - MIN(0xffff, budget);
}

static void execute(CPUState *cpu)
{
    int64_t before = icount_get_raw();
    int reason;

    c5_unlock();
    c5_prepare_for_run(cpu, left);
    limit(cpu, left);
    reason = c5_exec(cpu);
    icount_process_data(cpu);
    c5_lock();
    left -= icount_get_raw() - before;
    if (reason == EXCP_YIELD) {
        left = 0;
    } else if (reason == EXCP_DEBUG) {
        cpu_handle_guest_debug(cpu);
    } else if (reason == EXCP_ATOMIC) {
        c5_unlock();
        cpu_exec_step_atomic(cpu);
        c5_lock();
    }
}

/* ---- the host's requests ---- */

static bool must_wait(void)
{
    CPUState *cpu;

    if (qemu_reset_requested_get() || qemu_shutdown_requested_get()) {
        return true;
    }
    CPU_FOREACH(cpu) {
        if (!cpu_can_run(cpu)) {
            return true;
        }
    }
    return sleeps && all_cpu_threads_idle();
}

static void do_work(void)
{
    CPUState *cpu;

    CPU_FOREACH(cpu) {
        current_cpu = cpu;
        qatomic_set(&cpu->exit_request, 0);
        qemu_wait_io_event_common(cpu);
    }
}

/* QEMU's lock is not fair: without a pause, who waits for it may never get it from a thread that takes it again at once. */
static void share_host(void)
{
    static int64_t last;
    int64_t now = get_clock();

    c5_unlock();
    if (now - last > HOST_SHARE_NS) {
        last = now;
        g_usleep(HOST_SHARE_US);
    }
    c5_lock();
}

/* ---- the clock ---- */

/* Not sleeping, QEMU's main loop takes the CPUs for busy, but for the moment at which this thread moves the clock. */
static bool thread_is_idle(CPUState *)
{
    return sleeps || moving_clock;
}

static void move_clock(void)
{
    if (qemu_clock_deadline_ns_all(QEMU_CLOCK_VIRTUAL, ~QEMU_TIMER_ATTR_EXTERNAL) < 0) {
        c5_cond_wait(first_cpu->halt_cond);     /* no timer at all: only the host can wake the board */
        return;
    }
    moving_clock = true;
    icount_start_warp_timer();
    moving_clock = false;
    share_host();
}

/* ---- the thread ---- */

static void leave_cpu(Notifier *, void *)
{
    rr_kick_vcpu_thread(NULL);
}

static void *execute_cpus(void *)
{
    static Notifier rcu_wants = { .notify = leave_cpu };
    CPUState *cpu;

    rcu_register_thread();
    rcu_add_force_rcu_notifier(&rcu_wants);
    tcg_register_thread();
    c5_lock();
    qemu_thread_get_self(first_cpu->thread);
    first_cpu->thread_id = qemu_get_thread_id();
    c5_can_do_io(first_cpu) = true;
    cpu_thread_signal_created(first_cpu);
    qemu_guest_random_seed_thread_part2(first_cpu->random_seed);
    current_cpu = first_cpu;
    for (turn = first_cpu;;) {
        icount_account_warp_timer();
        icount_handle_deadline();
        do_work();
        if (must_wait()) {
            if (sleeps) {
                qemu_notify_event();
            }
            c5_cond_wait(first_cpu->halt_cond);
            continue;
        }
        cpu = pick();
        if (cpu) {
            current_cpu = cpu;
            execute(cpu);
        } else {
            move_clock();
        }
    }
    return NULL;
}

static void start_cpu(CPUState *cpu)
{
    tcg_cpu_init_cflags(cpu, false);
    if (cpu == first_cpu) {
        c5_own_thread(cpu);
        qemu_thread_create(cpu->thread, "CPUs/icount", execute_cpus, cpu, QEMU_THREAD_JOINABLE);
    } else {
        c5_share_thread(cpu, first_cpu);
        cpu->thread_id = first_cpu->thread_id;
        c5_can_do_io(cpu) = true;
        cpu->created = true;
    }
}

void cyclone5_turns_begin(void)
{
    AccelOpsClass *ops;

    if (!icount_enabled()) {
        return;
    }
    ops = ACCEL_OPS_CLASS(object_class_by_name(ACCEL_OPS_NAME("tcg")));
    sleeps = qemu_opt_get_bool(qemu_opts_find(qemu_find_opts("icount"), NULL), "sleep", true);
    ops->create_vcpu_thread = start_cpu;
    ops->cpu_thread_is_idle = thread_is_idle;
}
