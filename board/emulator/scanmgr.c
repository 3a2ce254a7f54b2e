/*
 * Scan manager: the engine is always idle, I/O configuration is swallowed, and the FPGA's JTAG chain (port 7) answers
 * with an IDCODE. TRM "Scan Manager"; used by U-Boot's scan_manager.c.
 *
 * Property `idcode`: 0x02d010dd is a Cyclone V SE A4 / SX C4 (DE0-Nano-SoC), 0x02d020dd an SE A6 / SX C6 (DE10-Nano,
 * SoCKit); Cyclone V Device Handbook, "JTAG Boundary-Scan Testing".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Scanmgr, C5_SCANMGR)

enum { STAT = 0x00, EN = 0x04, FIFO_QUAD = 0x1c };

#define EN_FPGA_JTAG  (1u << 7)

struct C5Scanmgr {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    uint32_t idcode;
    uint32_t enabled;
};

static uint64_t scanmgr_read(void *opaque, hwaddr offset, unsigned)
{
    C5Scanmgr *s = opaque;
    uint32_t word = 0;

    switch (offset & ~3) {
    case EN:
        word = s->enabled;
        break;
    case FIFO_QUAD:
        word = s->enabled & EN_FPGA_JTAG ? s->idcode : 0;
        break;
    }
    return c5_lanes_read(word, offset);
}

static void scanmgr_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Scanmgr *s = opaque;

    if ((offset & ~3) == EN) {
        s->enabled = c5_lanes_write(s->enabled, offset, value, size);
    }
}

C5_REGISTER_OPS(scanmgr_ops, scanmgr_read, scanmgr_write);

static C5_RESET_PHASE(scanmgr_reset)
{
    C5_SCANMGR(obj)->enabled = 0;
}

static void scanmgr_realize(DeviceState *dev, Error **)
{
    C5Scanmgr *s = C5_SCANMGR(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &scanmgr_ops, s, TYPE_C5_SCANMGR, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
}

C5_PROPERTIES scanmgr_properties[] = {
    DEFINE_PROP_UINT32("idcode", C5Scanmgr, idcode, 0x02d010dd),
    C5_PROPERTIES_END
};

static void scanmgr_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = scanmgr_realize;
    device_class_set_props(dc, scanmgr_properties);
    RESETTABLE_CLASS(klass)->phases.hold = scanmgr_reset;
}

static const TypeInfo scanmgr_types[] = {
    {
        .name = TYPE_C5_SCANMGR,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Scanmgr),
        .class_init = scanmgr_class_init,
    },
};
DEFINE_TYPES(scanmgr_types)
