/*
 * L2 cache controller L2C-310: registers without a cache. CoreLink L2C-310 TRM (ARM DDI 0246); used by Linux's
 * cache-l2x0.c and U-Boot's cache-pl310.c. Eight ways of 64 KiB, as the Cyclone V has.
 *
 * Maintenance has nothing to do, but software asks for it line by line: 32 writes for a KiB of DMA, and one at every
 * barrier. Each would cost a way out of the translated code and QEMU's global lock, which the two CPUs would fight for
 * most of their time (it is what QEMU's own `l2x0` does). So after MANY of them the registers become plain memory, and the
 * writes cost nothing. What memory cannot do is done SOON by a timer: operations by way read as finished (software polls
 * them, at start and stop only), and when the controller has been switched off the registers become registers again.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5L2, C5_L2)

enum { CACHE_ID = 0x000, CACHE_TYPE = 0x004, CONTROL = 0x100, AUX_CONTROL = 0x104, TAG_LATENCY = 0x108,
       DATA_LATENCY = 0x10c, INTERRUPT_CLEAR = 0x220, MAINTENANCE = 0x730, INVALIDATE_WAY = 0x77c, CLEAN_WAY = 0x7bc,
       CLEAN_INVALIDATE_WAY = 0x7fc, MAINTENANCE_END = 0x800 };

#define CACHE_ID_R3P2     0x410000c8
#define CACHE_TYPE_512K   0x1e300300
#define AUX_RESET         0x02060000    /* 64 KiB ways, event bus */
#define LATENCY_RESET     0x00000777
#define L2_BYTES          (4 * KiB)
#define MANY              4096
#define SOON_NS           (10 * SCALE_MS)

struct C5L2 {
    SysBusDevice parent_obj;
    MemoryRegion memory;        /* the registers' storage */
    MemoryRegion registers;     /* above it, as long as software has to be watched */
    uint32_t *words;
    uint32_t operations;        /* maintenance seen since the controller was switched on */
    QEMUTimer *timer;
};

static void l2_watch(C5L2 *s, bool watch)
{
    s->operations = 0;
    memory_region_set_enabled(&s->registers, watch);
    if (watch) {
        timer_del(s->timer);
    } else {
        timer_mod(s->timer, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + SOON_NS);
    }
}

static void l2_soon(void *opaque)
{
    C5L2 *s = opaque;

    s->words[INVALIDATE_WAY / 4] = 0;
    s->words[CLEAN_WAY / 4] = 0;
    s->words[CLEAN_INVALIDATE_WAY / 4] = 0;
    l2_watch(s, !(s->words[CONTROL / 4] & cpu_to_le32(1)));
}

static uint64_t l2_read(void *opaque, hwaddr offset, unsigned)
{
    C5L2 *s = opaque;

    return c5_lanes_read(le32_to_cpu(s->words[offset / 4]), offset);
}

static void l2_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5L2 *s = opaque;
    uint32_t *word = &s->words[offset / 4];

    if (offset >= MAINTENANCE && offset < MAINTENANCE_END) {
        if ((s->words[CONTROL / 4] & cpu_to_le32(1)) && ++s->operations > MANY) {
            l2_watch(s, false);
        }
        return;
    }
    switch (offset & ~3) {
    case CACHE_ID:
    case CACHE_TYPE:
    case INTERRUPT_CLEAR:
        return;
    case CONTROL:
        s->operations = 0;
        break;
    }
    *word = cpu_to_le32(c5_lanes_write(le32_to_cpu(*word), offset, value, size));
}

C5_REGISTER_OPS(l2_ops, l2_read, l2_write);

static C5_RESET_PHASE(l2_reset)
{
    C5L2 *s = C5_L2(obj);

    memset(s->words, 0, L2_BYTES);
    s->words[CACHE_ID / 4] = cpu_to_le32(CACHE_ID_R3P2);
    s->words[CACHE_TYPE / 4] = cpu_to_le32(CACHE_TYPE_512K);
    s->words[AUX_CONTROL / 4] = cpu_to_le32(AUX_RESET);
    s->words[TAG_LATENCY / 4] = cpu_to_le32(LATENCY_RESET);
    s->words[DATA_LATENCY / 4] = cpu_to_le32(LATENCY_RESET);
    l2_watch(s, true);
}

static void l2_realize(DeviceState *dev, Error **)
{
    C5L2 *s = C5_L2(dev);

    memory_region_init_ram(&s->memory, OBJECT(s), "cyclone5-l2-memory", L2_BYTES, &error_fatal);
    memory_region_init_io(&s->registers, OBJECT(s), &l2_ops, s, TYPE_C5_L2, L2_BYTES);
    memory_region_add_subregion(&s->memory, 0, &s->registers);
    s->words = memory_region_get_ram_ptr(&s->memory);
    s->timer = timer_new_ns(QEMU_CLOCK_VIRTUAL, l2_soon, s);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->memory);
}

static void l2_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = l2_realize;
    RESETTABLE_CLASS(klass)->phases.hold = l2_reset;
}

static const TypeInfo l2_types[] = {
    {
        .name = TYPE_C5_L2,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5L2),
        .class_init = l2_class_init,
    },
};
DEFINE_TYPES(l2_types)
