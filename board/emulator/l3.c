/*
 * L3 interconnect (NIC-301): the REMAP register decides what address 0 shows and which HPS-to-FPGA bridges are visible.
 * TRM "Interconnect"; used by U-Boot's misc_gen5.c and Linux's altera-hps2fpga bridge driver.
 *
 * On the metal, SDRAM appears at 0 through the L2 controller's address filter, which software sets together with the
 * mpuzero bit; the model takes mpuzero alone. Security and quality-of-service registers are storage. REMAP reads as zero
 * (it is write-only).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5L3, C5_L3)

enum { REMAP = 0x0 };
#define REMAP_MPUZERO  (1u << 0)
#define REMAP_LWHPS2F  (1u << 4)
#define L3_BYTES       (1 * MiB)

struct C5L3 {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    qemu_irq visible, zero_is_ram;
    uint32_t remap;
    uint32_t *regs;
};

static void l3_update(C5L3 *s)
{
    qemu_set_irq(s->zero_is_ram, !!(s->remap & REMAP_MPUZERO));
    qemu_set_irq(s->visible, !!(s->remap & REMAP_LWHPS2F));
}

static uint64_t l3_read(void *opaque, hwaddr offset, unsigned)
{
    C5L3 *s = opaque;

    return c5_lanes_read(s->regs[offset / 4], offset);
}

static void l3_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5L3 *s = opaque;

    if ((offset & ~3) == REMAP) {
        s->remap = c5_lanes_write(s->remap, offset, value, size);
        l3_update(s);
        return;
    }
    s->regs[offset / 4] = c5_lanes_write(s->regs[offset / 4], offset, value, size);
}

C5_REGISTER_OPS(l3_ops, l3_read, l3_write);

static C5_RESET_PHASE(l3_reset)
{
    C5L3 *s = C5_L3(obj);

    memset(s->regs, 0, L3_BYTES);
    s->remap = cyclone5_direct_kernel ? REMAP_MPUZERO | REMAP_LWHPS2F : 0;
}

static C5_RESET_PHASE(l3_reset_exit)
{
    l3_update(C5_L3(obj));
}

static void l3_realize(DeviceState *dev, Error **)
{
    C5L3 *s = C5_L3(dev);

    s->regs = g_malloc0(L3_BYTES);
    memory_region_init_io(&s->iomem, OBJECT(s), &l3_ops, s, TYPE_C5_L3, L3_BYTES);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    qdev_init_gpio_out_named(dev, &s->visible, C5_LINE_VISIBLE, 1);
    qdev_init_gpio_out_named(dev, &s->zero_is_ram, C5_LINE_ZERO_IS_RAM, 1);
}

static void l3_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = l3_realize;
    RESETTABLE_CLASS(klass)->phases.hold = l3_reset;
    RESETTABLE_CLASS(klass)->phases.exit = l3_reset_exit;
}

static const TypeInfo l3_types[] = {
    {
        .name = TYPE_C5_L3,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5L3),
        .class_init = l3_class_init,
    },
};
DEFINE_TYPES(l3_types)
