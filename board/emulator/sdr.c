/*
 * SDRAM controller and its PHY manager: as much as the calibration in U-Boot's SPL (drivers/ddr/altera/sequencer.c)
 * needs. TRM "SDRAM Controller Subsystem".
 *
 * The sequencer looks for the edges of the DQS-enable window: it moves VFIFO, phase and delay of a read group and runs
 * back-to-back read tests. The model has one window a group: such a test passes when the sum of the three lies inside;
 * every other test passes. The read-write manager's opcode of that test is what Quartus writes into the board's sequencer
 * files: property `read-b2b` (0x59 on all Terasic boards). Everything else is storage.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Sdr, C5_SDR)

#define SDR_BYTES         (128 * KiB)
#define SCC_DQS_PHASE     0x200         /* one word a read group */
#define SCC_DQS_DELAY     0x300
#define PHY_INC_VFIFO     0x1004        /* the value written is the group */
#define RW_RUN_GROUP      0x2000        /* one word a group; the value written is the opcode; reading gives the result */
#define RW_RUN_GROUP_END  0x2040
#define RW_RUN_ALL        0x2400
#define RW_RUN_ALL_END    0x2800
#define GROUPS            4
#define ALL_GROUPS        0xff
#define TAPS_A_PHASE      12
#define PHASES_A_VFIFO    8
#define WINDOW_BEGIN      500           /* delay taps */
#define WINDOW_END        590

struct C5Sdr {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    uint32_t *regs;
    uint32_t read_b2b;
    uint32_t opcode;
    uint32_t group;
    uint8_t vfifo[16];
};

static bool sdr_in_window(C5Sdr *s, unsigned group)
{
    uint32_t phases = (s->vfifo[group] & 15) * PHASES_A_VFIFO + (s->regs[SCC_DQS_PHASE / 4 + group] & 7);
    uint32_t taps = phases * TAPS_A_PHASE + (s->regs[SCC_DQS_DELAY / 4 + group] & 63);

    return taps >= WINDOW_BEGIN && taps < WINDOW_END;
}

/* Bits that failed: all or none. */
static uint32_t sdr_test_result(C5Sdr *s)
{
    unsigned group;

    if (s->opcode != s->read_b2b) {
        return 0;
    }
    if (s->group != ALL_GROUPS) {
        return sdr_in_window(s, s->group) ? 0 : ~0u;
    }
    for (group = 0; group < GROUPS; group++) {
        if (!sdr_in_window(s, group)) {
            return ~0u;
        }
    }
    return 0;
}

static uint64_t sdr_read(void *opaque, hwaddr offset, unsigned)
{
    C5Sdr *s = opaque;
    uint32_t word = (offset & ~3) == RW_RUN_GROUP ? sdr_test_result(s) : s->regs[offset / 4];

    return c5_lanes_read(word, offset);
}

static void sdr_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Sdr *s = opaque;

    if (offset == PHY_INC_VFIFO) {
        s->vfifo[value & 15]++;
    } else if (offset >= RW_RUN_GROUP && offset < RW_RUN_GROUP_END) {
        s->opcode = value;
        s->group = ((offset - RW_RUN_GROUP) / 4) & 15;
    } else if (offset >= RW_RUN_ALL && offset < RW_RUN_ALL_END) {
        s->opcode = value;
        s->group = ALL_GROUPS;
    }
    s->regs[offset / 4] = c5_lanes_write(s->regs[offset / 4], offset, value, size);
}

C5_REGISTER_OPS(sdr_ops, sdr_read, sdr_write);

static C5_RESET_PHASE(sdr_reset)
{
    C5Sdr *s = C5_SDR(obj);

    memset(s->regs, 0, SDR_BYTES);
    memset(s->vfifo, 0, sizeof(s->vfifo));
    s->opcode = 0;
    s->group = ALL_GROUPS;
}

static void sdr_realize(DeviceState *dev, Error **)
{
    C5Sdr *s = C5_SDR(dev);

    s->regs = g_malloc0(SDR_BYTES);
    memory_region_init_io(&s->iomem, OBJECT(s), &sdr_ops, s, TYPE_C5_SDR, SDR_BYTES);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
}

C5_PROPERTIES sdr_properties[] = {
    DEFINE_PROP_UINT32("read-b2b", C5Sdr, read_b2b, 0x59),
    C5_PROPERTIES_END
};

static void sdr_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = sdr_realize;
    device_class_set_props(dc, sdr_properties);
    RESETTABLE_CLASS(klass)->phases.hold = sdr_reset;
}

static const TypeInfo sdr_types[] = {
    {
        .name = TYPE_C5_SDR,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Sdr),
        .class_init = sdr_class_init,
    },
};
DEFINE_TYPES(sdr_types)
