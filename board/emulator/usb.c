/*
 * USB 2.0 OTG controller: the door to QEMU's own `dwc2-usb`. TRM "USB 2.0 OTG Controller"; used by Linux's dwc2.
 *
 * The registers are words: a narrower access, or one beside a word, is refused as an error on the bus, and never reaches
 * QEMU's model, which ends the program on some of them (QEMU 7.2).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Usb, C5_USB)

#define REGISTERS_BYTES  (4 * KiB)      /* behind them are the FIFOs */

struct C5Usb {
    SysBusDevice parent_obj;
    MemoryRegion window, registers;
    AddressSpace inside;
};

static uint64_t usb_read(void *opaque, hwaddr offset, unsigned)
{
    C5Usb *s = opaque;

    return address_space_ldl_le(&s->inside, offset, MEMTXATTRS_UNSPECIFIED, NULL);
}

static void usb_write(void *opaque, hwaddr offset, uint64_t value, unsigned)
{
    C5Usb *s = opaque;

    address_space_stl_le(&s->inside, offset, value, MEMTXATTRS_UNSPECIFIED, NULL);
}

static const MemoryRegionOps usb_ops = {
    .read = usb_read,
    .write = usb_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 4 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

static void usb_realize(DeviceState *dev, Error **)
{
    C5Usb *s = C5_USB(dev);
    SysBusDevice *controller = SYS_BUS_DEVICE(qdev_new("dwc2-usb"));

    object_property_add_child(OBJECT(s), "dwc2", OBJECT(controller));
    object_property_add_const_link(OBJECT(controller), "dma-mr", OBJECT(get_system_memory()));
    sysbus_realize_and_unref(controller, &error_fatal);
    memory_region_init(&s->window, OBJECT(s), "cyclone5-usb-window", C5_USB_BYTES);
    memory_region_init_io(&s->registers, OBJECT(s), &usb_ops, s, TYPE_C5_USB, REGISTERS_BYTES);
    address_space_init(&s->inside, sysbus_mmio_get_region(controller, 0), "cyclone5-usb");
    memory_region_add_subregion(&s->window, 0, sysbus_mmio_get_region(controller, 0));
    memory_region_add_subregion_overlap(&s->window, 0, &s->registers, 1);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->window);
    sysbus_pass_irq(SYS_BUS_DEVICE(dev), controller);
}

static void usb_class_init(ObjectClass *klass, void *)
{
    DEVICE_CLASS(klass)->realize = usb_realize;
}

static const TypeInfo usb_types[] = {
    {
        .name = TYPE_C5_USB,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Usb),
        .class_init = usb_class_init,
    },
};
DEFINE_TYPES(usb_types)
