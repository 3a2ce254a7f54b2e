/*
 * The fabric: what the FPGA holds once it is configured, behind the lightweight HPS-to-FPGA bridge. TRM "HPS-FPGA
 * Bridges"; the map is the board file's and comes in as properties (-global cyclone5-fabric.source-offset=0x40 ...).
 *
 * The window answers only when the FPGA is in user mode, the bridge is out of reset and the interconnect's remap bit is
 * set; an access otherwise, or between the register windows, is an external data abort (the metal may hang instead).
 * The fabric loses its state when the FPGA leaves user mode. The sysid (identity, build time) is here; the capture source
 * and the mSGDMA have files of their own. A second mSGDMA, the copier, moves from memory to memory; there is none unless
 * its offsets are given.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Fabric, C5_FABRIC)

#define SYSID_BYTES  8
#define INTERRUPTS   64
#define LINE_IRQ     "interrupt"        /* from the mSGDMAs: 0 capture, 1 copier */
#define NOWHERE      UINT32_MAX

/* Where an mSGDMA is: offsets of its windows, number of its interrupt. */
typedef struct {
    uint32_t csr, descriptor, response, interrupt;
} Place;

struct C5Fabric {
    SysBusDevice parent_obj;
    MemoryRegion window, sysid;
    qemu_irq irq[2];
    DeviceState *source, *msgdma, *copier;
    uint32_t id, build_time;
    uint32_t sysid_offset, source_offset;
    Place capture_place, copier_place;
    uint32_t copier_depth;
    bool user_mode, released, visible;
};

static uint64_t sysid_read(void *opaque, hwaddr offset, unsigned)
{
    C5Fabric *s = opaque;

    return c5_lanes_read(offset & 4 ? s->build_time : s->id, offset);
}

static void sysid_write(void *, hwaddr, uint64_t, unsigned)
{
}

C5_REGISTER_OPS(sysid_ops, sysid_read, sysid_write);

static void fabric_update(C5Fabric *s)
{
    memory_region_set_enabled(&s->window, s->user_mode && s->released && s->visible);
}

static void fabric_user_mode(void *opaque, int, int level)
{
    C5Fabric *s = opaque;

    if (s->user_mode && !level) {
        device_cold_reset(s->msgdma);
        device_cold_reset(s->source);
        if (s->copier) {
            device_cold_reset(s->copier);
        }
    }
    s->user_mode = level;
    fabric_update(s);
}

static void fabric_released(void *opaque, int, int level)
{
    C5Fabric *s = opaque;

    s->released = level;
    fabric_update(s);
}

static void fabric_visible(void *opaque, int, int level)
{
    C5Fabric *s = opaque;

    s->visible = level;
    fabric_update(s);
}

static void fabric_interrupt(void *opaque, int number, int level)
{
    C5Fabric *s = opaque;

    qemu_set_irq(s->irq[number], level);
}

static void fabric_map(C5Fabric *s, DeviceState *device, int number, uint32_t offset)
{
    memory_region_add_subregion(&s->window, offset, sysbus_mmio_get_region(SYS_BUS_DEVICE(device), number));
}

static bool fabric_offset_fits(uint32_t offset, Error **errp)
{
    if (offset % 4 || offset > C5_LWBRIDGE_BYTES - 0x40) {
        error_setg(errp, TYPE_C5_FABRIC ": offset 0x%x (valid: multiples of 4 inside the bridge, below 0x%" PRIx64 ")",
                   offset, (uint64_t)C5_LWBRIDGE_BYTES);
        return false;
    }
    return true;
}

static bool fabric_place_fits(const Place *place, const char *prefix, Error **errp)
{
    if (place->interrupt >= INTERRUPTS) {
        error_setg(errp, TYPE_C5_FABRIC ".%sinterrupt is %u (valid: 0 to 63)", prefix, place->interrupt);
        return false;
    }
    return fabric_offset_fits(place->csr, errp) && fabric_offset_fits(place->descriptor, errp) &&
           fabric_offset_fits(place->response, errp);
}

static bool fabric_has_copier(const C5Fabric *s)
{
    return s->copier_place.csr != NOWHERE;
}

static bool fabric_fits(const C5Fabric *s, Error **errp)
{
    return fabric_offset_fits(s->sysid_offset, errp) && fabric_offset_fits(s->source_offset, errp) &&
           fabric_place_fits(&s->capture_place, "", errp) &&
           (!fabric_has_copier(s) || fabric_place_fits(&s->copier_place, "copier-", errp));
}

/* `device` is /machine/fabric/`name` in QOM; its number is that of its interrupt line. */
static void fabric_add_msgdma(C5Fabric *s, DeviceState *device, const char *name, const Place *place, int number)
{
    object_property_add_child(OBJECT(s), name, OBJECT(device));
    sysbus_realize_and_unref(SYS_BUS_DEVICE(device), &error_fatal);
    fabric_map(s, device, 0, place->csr);
    fabric_map(s, device, 1, place->descriptor);
    fabric_map(s, device, 2, place->response);
    sysbus_init_irq(SYS_BUS_DEVICE(s), &s->irq[number]);
    sysbus_connect_irq(SYS_BUS_DEVICE(device), 0, qdev_get_gpio_in_named(DEVICE(s), LINE_IRQ, number));
}

static void fabric_populate(C5Fabric *s)
{
    s->source = qdev_new(TYPE_C5_SOURCE);
    s->msgdma = qdev_new(TYPE_C5_MSGDMA);
    object_property_add_child(OBJECT(s), "source", OBJECT(s->source)); /* /machine/fabric/source */
    cyclone5_msgdma_connect(s->msgdma, s->source);
    sysbus_realize_and_unref(SYS_BUS_DEVICE(s->source), &error_fatal);
    fabric_map(s, s->source, 0, s->source_offset);
    fabric_add_msgdma(s, s->msgdma, "msgdma", &s->capture_place, 0);
    if (fabric_has_copier(s)) {
        s->copier = qdev_new(TYPE_C5_MSGDMA);
        qdev_prop_set_uint32(s->copier, "depth", s->copier_depth);
        fabric_add_msgdma(s, s->copier, "copier", &s->copier_place, 1);
    }
}

static void fabric_realize(DeviceState *dev, Error **errp)
{
    C5Fabric *s = C5_FABRIC(dev);
    SysBusDevice *bus = SYS_BUS_DEVICE(dev);

    if (!fabric_fits(s, errp)) {
        return;
    }
    memory_region_init(&s->window, OBJECT(s), TYPE_C5_FABRIC, C5_LWBRIDGE_BYTES);
    memory_region_init_io(&s->sysid, OBJECT(s), &sysid_ops, s, "cyclone5-sysid", SYSID_BYTES);
    memory_region_add_subregion(&s->window, s->sysid_offset, &s->sysid);
    sysbus_init_mmio(bus, &s->window);
    qdev_init_gpio_in_named(dev, fabric_interrupt, LINE_IRQ, ARRAY_SIZE(s->irq));
    fabric_populate(s);
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
    DEFINE_PROP_UINT32("csr-offset", C5Fabric, capture_place.csr, 0x100),
    DEFINE_PROP_UINT32("descriptor-offset", C5Fabric, capture_place.descriptor, 0x120),
    DEFINE_PROP_UINT32("response-offset", C5Fabric, capture_place.response, 0x140),
    DEFINE_PROP_UINT32("interrupt", C5Fabric, capture_place.interrupt, 0),
    DEFINE_PROP_UINT32("copier-csr-offset", C5Fabric, copier_place.csr, NOWHERE),
    DEFINE_PROP_UINT32("copier-descriptor-offset", C5Fabric, copier_place.descriptor, NOWHERE),
    DEFINE_PROP_UINT32("copier-response-offset", C5Fabric, copier_place.response, NOWHERE),
    DEFINE_PROP_UINT32("copier-interrupt", C5Fabric, copier_place.interrupt, 1),
    DEFINE_PROP_UINT32("copier-depth", C5Fabric, copier_depth, 128),
    C5_PROPERTIES_END
};

static void fabric_class_init(ObjectClass *klass, void *)
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
