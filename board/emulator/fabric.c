/*
 * The fabric: what the FPGA holds once it is configured, behind the lightweight HPS-to-FPGA bridge. TRM "HPS-FPGA
 * Bridges"; the map is the board file's and comes in as properties (-global cyclone5-fabric.source-offset=0x40 ...).
 *
 * The window answers only when the FPGA is in user mode, the bridge is out of reset and the interconnect's remap bit is
 * set; an access otherwise, or between the register windows, is an external data abort (the metal may hang instead).
 * The fabric loses its state when the FPGA leaves user mode. The sysid (identity, build time) is here; the capture source
 * and the mSGDMA have files of their own.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Fabric, C5_FABRIC)

#define SYSID_BYTES  8

struct C5Fabric {
    SysBusDevice parent_obj;
    MemoryRegion window, sysid;
    qemu_irq irq;
    DeviceState *source, *msgdma;
    uint32_t id, build_time;
    uint32_t sysid_offset, source_offset, csr_offset, descriptor_offset, response_offset, interrupt;
    bool user_mode, released, visible;
};

static uint64_t sysid_read(void *opaque, hwaddr offset, unsigned size)
{
    C5Fabric *s = opaque;

    return c5_lanes_read(offset & 4 ? s->build_time : s->id, offset);
}

static void sysid_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
}

C5_REGISTER_OPS(sysid_ops, sysid_read, sysid_write);

static void fabric_update(C5Fabric *s)
{
    memory_region_set_enabled(&s->window, s->user_mode && s->released && s->visible);
}

static void fabric_user_mode(void *opaque, int number, int level)
{
    C5Fabric *s = opaque;

    if (s->user_mode && !level) {
        device_cold_reset(s->msgdma);
        device_cold_reset(s->source);
    }
    s->user_mode = level;
    fabric_update(s);
}

static void fabric_released(void *opaque, int number, int level)
{
    C5Fabric *s = opaque;

    s->released = level;
    fabric_update(s);
}

static void fabric_visible(void *opaque, int number, int level)
{
    C5Fabric *s = opaque;

    s->visible = level;
    fabric_update(s);
}

static void fabric_place(C5Fabric *s, DeviceState *device, int number, uint32_t offset)
{
    memory_region_add_subregion(&s->window, offset, sysbus_mmio_get_region(SYS_BUS_DEVICE(device), number));
}

static bool fabric_offsets_fit(C5Fabric *s, Error **errp)
{
    const uint32_t offsets[] = { s->sysid_offset, s->source_offset, s->csr_offset, s->descriptor_offset,
                                 s->response_offset };

    for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
        if (offsets[i] % 4 || offsets[i] > C5_LWBRIDGE_BYTES - 0x40) {
            error_setg(errp, TYPE_C5_FABRIC ": offset 0x%x (valid: multiples of 4 inside the bridge, below 0x%" PRIx64
                       ")", offsets[i], (uint64_t)C5_LWBRIDGE_BYTES);
            return false;
        }
    }
    if (s->interrupt >= 64) {
        error_setg(errp, TYPE_C5_FABRIC ".interrupt is %u (valid: 0 to 63)", s->interrupt);
        return false;
    }
    return true;
}

static void fabric_realize(DeviceState *dev, Error **errp)
{
    C5Fabric *s = C5_FABRIC(dev);
    SysBusDevice *bus = SYS_BUS_DEVICE(dev);

    if (!fabric_offsets_fit(s, errp)) {
        return;
    }
    memory_region_init(&s->window, OBJECT(s), TYPE_C5_FABRIC, C5_LWBRIDGE_BYTES);
    memory_region_init_io(&s->sysid, OBJECT(s), &sysid_ops, s, "cyclone5-sysid", SYSID_BYTES);
    memory_region_add_subregion(&s->window, s->sysid_offset, &s->sysid);
    s->source = qdev_new(TYPE_C5_SOURCE);
    s->msgdma = qdev_new(TYPE_C5_MSGDMA);
    object_property_add_child(OBJECT(s), "source", OBJECT(s->source)); /* /machine/fabric/source */
    object_property_add_child(OBJECT(s), "msgdma", OBJECT(s->msgdma));
    cyclone5_msgdma_connect(s->msgdma, s->source);
    sysbus_realize_and_unref(SYS_BUS_DEVICE(s->source), &error_fatal);
    sysbus_realize_and_unref(SYS_BUS_DEVICE(s->msgdma), &error_fatal);
    fabric_place(s, s->source, 0, s->source_offset);
    fabric_place(s, s->msgdma, 0, s->csr_offset);
    fabric_place(s, s->msgdma, 1, s->descriptor_offset);
    fabric_place(s, s->msgdma, 2, s->response_offset);
    sysbus_init_mmio(bus, &s->window);
    sysbus_pass_irq(bus, SYS_BUS_DEVICE(s->msgdma));
    qdev_init_gpio_in_named(dev, fabric_user_mode, C5_LINE_USER_MODE, 1);
    qdev_init_gpio_in_named(dev, fabric_released, C5_LINE_RELEASED, 1);
    qdev_init_gpio_in_named(dev, fabric_visible, C5_LINE_VISIBLE, 1);
    fabric_update(s);
}

C5_PROPERTIES fabric_properties[] = {
    DEFINE_PROP_UINT32("id", C5Fabric, id, 0),
    DEFINE_PROP_UINT32("build-time", C5Fabric, build_time, 0),
    DEFINE_PROP_UINT32("sysid-offset", C5Fabric, sysid_offset, 0x0),
    DEFINE_PROP_UINT32("source-offset", C5Fabric, source_offset, 0x40),
    DEFINE_PROP_UINT32("csr-offset", C5Fabric, csr_offset, 0x100),
    DEFINE_PROP_UINT32("descriptor-offset", C5Fabric, descriptor_offset, 0x120),
    DEFINE_PROP_UINT32("response-offset", C5Fabric, response_offset, 0x140),
    DEFINE_PROP_UINT32("interrupt", C5Fabric, interrupt, 0),
    C5_PROPERTIES_END
};

static void fabric_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = fabric_realize;
    device_class_set_props(dc, fabric_properties);
}

static const TypeInfo fabric_types[] = {
    {
        .name = TYPE_C5_FABRIC,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Fabric),
        .class_init = fabric_class_init,
    },
};
DEFINE_TYPES(fabric_types)
