/*
 * Reset manager: releases CPU 1 and the bridges, resets the machine (cold or warm) and remembers why. TRM "Reset Manager";
 * used by U-Boot's reset_manager_gen5.c, Linux's mach-socfpga (SMP start, restart) and drivers/reset/reset-socfpga.c.
 *
 * STAT keeps the causes of warm resets until software clears them, or until a cold reset. A watchdog (line
 * "watchdog-reset") gives a warm reset. The watchdogs' own resets are modelled (lines "watchdog-held"); the reset lines
 * of other modules are storage: the models keep their state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "target/arm/arm-powerctl.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Rstmgr, C5_RSTMGR)

enum { STAT = 0x00, CTRL = 0x04, COUNTS = 0x08, MPUMODRST = 0x10, PERMODRST = 0x14, PER2MODRST = 0x18,
       BRGMODRST = 0x1c, MISCMODRST = 0x20, TSTSCRATCH = 0x54 };

#define STAT_PORVOLT      (1u << 0)
#define STAT_SWCOLD       (1u << 4)
#define STAT_SWWARM       (1u << 10)
#define STAT_L4WD(n)      (1u << (14 + (n)))
#define CTRL_SWCOLD       (1u << 0)
#define CTRL_SWWARM       (1u << 1)
#define MPU_CPU1          (1u << 1)
#define BRG_LWHPS2FPGA    (1u << 1)
#define PER_L4WD(n)       (1u << (6 + (n)))
#define WATCHDOGS         2

struct C5Rstmgr {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    qemu_irq released, held[WATCHDOGS];
    uint32_t regs[0x100 / 4];
    uint32_t cause;             /* STAT bit of the reset that has been asked for; 0: power-on */
};

static C5Rstmgr *the_rstmgr;

C5ResetKind cyclone5_reset_kind(void)
{
    uint32_t cause = the_rstmgr ? the_rstmgr->cause : 0;

    return !cause ? C5_RESET_POWER_ON : cause == STAT_SWCOLD ? C5_RESET_COLD : C5_RESET_WARM;
}

void cyclone5_reset_finished(void)
{
    the_rstmgr->cause = 0;
}

static void rstmgr_request(C5Rstmgr *s, uint32_t cause)
{
    if (!s->cause) {
        s->cause = cause;
    }
    qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
}

static void rstmgr_watchdog(void *opaque, int number, int level)
{
    if (level) {
        rstmgr_request(opaque, STAT_L4WD(number));
    }
}

static uint64_t rstmgr_read(void *opaque, hwaddr offset, unsigned)
{
    C5Rstmgr *s = opaque;

    return offset < sizeof(s->regs) ? c5_lanes_read(s->regs[offset / 4], offset) : 0;
}

static void rstmgr_cpu1(uint32_t old, uint32_t new)
{
    if ((old & MPU_CPU1) && !(new & MPU_CPU1)) {
        arm_set_cpu_on_and_reset(1);
    } else if (!(old & MPU_CPU1) && (new & MPU_CPU1)) {
        arm_set_cpu_off(1);
    }
}

static void rstmgr_watchdogs(C5Rstmgr *s, uint32_t permodrst)
{
    for (int n = 0; n < WATCHDOGS; n++) {
        qemu_set_irq(s->held[n], !!(permodrst & PER_L4WD(n)));
    }
}

static void rstmgr_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Rstmgr *s = opaque;
    uint32_t old, new;

    if (offset >= sizeof(s->regs)) {
        return;
    }
    old = s->regs[offset / 4];
    new = c5_lanes_write(old, offset, value, size);
    switch (offset & ~3) {
    case STAT:
        new = old & ~new;
        break;
    case CTRL:
        if (new & (CTRL_SWCOLD | CTRL_SWWARM)) {
            rstmgr_request(s, new & CTRL_SWCOLD ? STAT_SWCOLD : STAT_SWWARM);
        }
        new &= ~(CTRL_SWCOLD | CTRL_SWWARM);
        break;
    case MPUMODRST:
        rstmgr_cpu1(old, new);
        break;
    case PERMODRST:
        rstmgr_watchdogs(s, new);
        break;
    case BRGMODRST:
        qemu_set_irq(s->released, !(new & BRG_LWHPS2FPGA));
        break;
    }
    s->regs[offset / 4] = new;
}

C5_REGISTER_OPS(rstmgr_ops, rstmgr_read, rstmgr_write);

static C5_RESET_PHASE(rstmgr_reset)
{
    C5Rstmgr *s = C5_RSTMGR(obj);
    uint32_t stat = s->regs[STAT / 4], scratch = s->regs[TSTSCRATCH / 4];

    memset(s->regs, 0, sizeof(s->regs));
    if (cyclone5_reset_kind() == C5_RESET_WARM) {
        s->regs[STAT / 4] = stat | s->cause;
        s->regs[TSTSCRATCH / 4] = scratch;
    } else {
        s->regs[STAT / 4] = s->cause ? s->cause : STAT_PORVOLT;
    }
    s->regs[COUNTS / 4] = 0x00800080;
    s->regs[MPUMODRST / 4] = MPU_CPU1;
    if (!cyclone5_direct_kernel) {
        s->regs[PERMODRST / 4] = 0x3fffffff;
        s->regs[PER2MODRST / 4] = 0xff;
        s->regs[BRGMODRST / 4] = 7;
    }
}

/* Lines are driven when all devices have been reset. */
static C5_RESET_PHASE(rstmgr_reset_exit)
{
    C5Rstmgr *s = C5_RSTMGR(obj);

    qemu_set_irq(s->released, !(s->regs[BRGMODRST / 4] & BRG_LWHPS2FPGA));
    rstmgr_watchdogs(s, s->regs[PERMODRST / 4]);
}

static void rstmgr_realize(DeviceState *dev, Error **)
{
    C5Rstmgr *s = C5_RSTMGR(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &rstmgr_ops, s, TYPE_C5_RSTMGR, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    qdev_init_gpio_out_named(dev, &s->released, C5_LINE_RELEASED, 1);
    qdev_init_gpio_out_named(dev, s->held, C5_LINE_WDT_HELD, WATCHDOGS);
    qdev_init_gpio_in_named(dev, rstmgr_watchdog, C5_LINE_WDT_RESET, WATCHDOGS);
    the_rstmgr = s;
}

static void rstmgr_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = rstmgr_realize;
    RESETTABLE_CLASS(klass)->phases.hold = rstmgr_reset;
    RESETTABLE_CLASS(klass)->phases.exit = rstmgr_reset_exit;
}

static const TypeInfo rstmgr_types[] = {
    {
        .name = TYPE_C5_RSTMGR,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Rstmgr),
        .class_init = rstmgr_class_init,
    },
};
DEFINE_TYPES(rstmgr_types)
