/*
 * DesignWare APB UART: what it has beyond a 16550. TRM "UART Controller"; used by Linux's 8250_dw and U-Boot's ns16550.
 *
 * QEMU's own 16550 (`serial-mm`) answers the first eight registers; this device lies beneath it and gives the status
 * and the component registers: never busy, FIFOs as an idle UART has them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Uart, C5_UART)

enum { USR = 0x7c, CPR = 0xf4, UCV = 0xf8, CTR = 0xfc };

#define USR_TX_NOT_FULL  (1u << 1)
#define USR_TX_EMPTY     (1u << 2)
#define UCV_ID           0x3331312a
#define CTR_ID           0x44570110

struct C5Uart {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
};

static uint64_t uart_read(void *, hwaddr offset, unsigned)
{
    uint32_t word = 0;

    switch (offset & ~3) {
    case USR:
        word = USR_TX_NOT_FULL | USR_TX_EMPTY;
        break;
    case UCV:
        word = UCV_ID;
        break;
    case CTR:
        word = CTR_ID;
        break;
    case CPR:           /* no optional features: the driver then keeps the plain 16550A that it has probed */
        break;
    }
    return c5_lanes_read(word, offset);
}

static void uart_write(void *, hwaddr, uint64_t, unsigned)
{
}

C5_REGISTER_OPS(uart_ops, uart_read, uart_write);

static void uart_realize(DeviceState *dev, Error **)
{
    C5Uart *s = C5_UART(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &uart_ops, s, TYPE_C5_UART, 4 * KiB);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
}

static void uart_class_init(ObjectClass *klass, void *)
{
    DEVICE_CLASS(klass)->realize = uart_realize;
}

static const TypeInfo uart_types[] = {
    {
        .name = TYPE_C5_UART,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Uart),
        .class_init = uart_class_init,
    },
};
DEFINE_TYPES(uart_types)
