/*
 * System manager: pin and boot straps, the handoff words that SPL and U-Boot keep here, the boot ROM's own words, and the
 * EMAC and SDMMC glue registers. TRM "System Manager"; used by U-Boot's misc_gen5.c and Linux's altera-sysmgr.
 *
 * Everything is storage except the straps. `bsel` is a property (5: SD/MMC at 3.0 V). The boot ROM's words survive a warm
 * reset, as does the warm-boot RAM group.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Sysmgr, C5_SYSMGR)

enum { SILICONID1 = 0x00, HPSINFO = 0x08, WDDBG = 0x10, BOOTINFO = 0x14,
       ROM_CTRL = 0xc0, ROM_CPU1START = 0xc4, ROM_INITSWSTATE = 0xc8, ROM_INITSWLASTLD = 0xcc, ROM_BOOTSW = 0xd0,
       WARM_ENABLE = 0xe0, WARM_DATASTART = 0xe4, WARM_LENGTH = 0xe8, WARM_EXECUTION = 0xec, WARM_CRC = 0xf0,
       ROM_WORDS_END = 0x100 };

#define SILICONID_CYCLONE5  0x00010001      /* Cyclone V, revision 1 */
#define HPSINFO_DUAL_CAN    0x3
#define WARM_ENABLED        0xae9efebc
#define INITSW_VALID        0x49535756
#define LASTLD_INDEX        0x3
#define SYSMGR_BYTES        (16 * KiB)

struct C5Sysmgr {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    uint32_t regs[SYSMGR_BYTES / 4];
    uint32_t bsel;
};

static C5Sysmgr *the_sysmgr;

uint32_t cyclone5_sysmgr_last_loaded(void)
{
    return the_sysmgr->regs[ROM_INITSWLASTLD / 4] & LASTLD_INDEX;
}

bool cyclone5_sysmgr_software_valid(void)
{
    return the_sysmgr->regs[ROM_INITSWSTATE / 4] == INITSW_VALID;
}

void cyclone5_sysmgr_set_last_loaded(uint32_t index)
{
    the_sysmgr->regs[ROM_INITSWLASTLD / 4] = index;
    the_sysmgr->regs[ROM_INITSWSTATE / 4] = 0;
}

C5WarmBoot cyclone5_sysmgr_warm_boot(void)
{
    const uint32_t *regs = the_sysmgr->regs;

    return (C5WarmBoot) {
        .enabled = regs[WARM_ENABLE / 4] == WARM_ENABLED,
        .start = regs[WARM_DATASTART / 4],
        .length = regs[WARM_LENGTH / 4],
        .entry = regs[WARM_EXECUTION / 4],
        .crc = regs[WARM_CRC / 4],
    };
}

static uint64_t sysmgr_read(void *opaque, hwaddr offset, unsigned)
{
    C5Sysmgr *s = opaque;

    return c5_lanes_read(s->regs[offset / 4], offset);
}

static void sysmgr_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Sysmgr *s = opaque;
    uint32_t *reg = &s->regs[offset / 4];

    switch (offset & ~3) {
    case SILICONID1:
    case HPSINFO:
    case BOOTINFO:
        return;
    }
    *reg = c5_lanes_write(*reg, offset, value, size);
}

C5_REGISTER_OPS(sysmgr_ops, sysmgr_read, sysmgr_write);

static C5_RESET_PHASE(sysmgr_reset)
{
    C5Sysmgr *s = C5_SYSMGR(obj);
    uint32_t kept[(ROM_WORDS_END - ROM_CTRL) / 4];
    bool warm = cyclone5_reset_kind() == C5_RESET_WARM;

    memcpy(kept, &s->regs[ROM_CTRL / 4], sizeof(kept));
    memset(s->regs, 0, sizeof(s->regs));
    if (warm) {
        memcpy(&s->regs[ROM_CTRL / 4], kept, sizeof(kept));
    }
    s->regs[SILICONID1 / 4] = SILICONID_CYCLONE5;
    s->regs[HPSINFO / 4] = HPSINFO_DUAL_CAN;
    s->regs[WDDBG / 4] = 0xf;
    s->regs[BOOTINFO / 4] = s->bsel;
}

static void sysmgr_realize(DeviceState *dev, Error **)
{
    C5Sysmgr *s = C5_SYSMGR(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &sysmgr_ops, s, TYPE_C5_SYSMGR, SYSMGR_BYTES);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    the_sysmgr = s;
}

C5_PROPERTIES sysmgr_properties[] = {
    DEFINE_PROP_UINT32("bsel", C5Sysmgr, bsel, 5),
    C5_PROPERTIES_END
};

static void sysmgr_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = sysmgr_realize;
    device_class_set_props(dc, sysmgr_properties);
    RESETTABLE_CLASS(klass)->phases.hold = sysmgr_reset;
}

static const TypeInfo sysmgr_types[] = {
    {
        .name = TYPE_C5_SYSMGR,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Sysmgr),
        .class_init = sysmgr_class_init,
    },
};
DEFINE_TYPES(sysmgr_types)
