/*
 * The machine `cyclone5`: a Cyclone V SoC board as U-Boot and mainline Linux see it. TRM "Introduction to the Hard
 * Processor System"; device tree: Linux's socfpga.dtsi.
 *
 * Two Cortex-A9 (r3p0), GIC, SCU, private timers, L2C-310, SDRAM at 0, on-chip RAM at 0xffff0000; the SD card is the
 * drive `-drive if=sd`, the network `-nic`, serial port 0 the console. Without -kernel the boot ROM starts the card; with
 * it the kernel is started as the SPL would leave the machine, FPGA configured and bridge open (for work on the models).
 * docs/emulator.md lists what is modelled and what is not.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "hw/arm/boot.h"
#include "hw/i2c/i2c.h"
#include "hw/loader.h"
#include "hw/misc/unimp.h"

#define CPUS              2
#define MIDR_CORTEX_A9_R3P0  0x413fc090
#define ADXL345_ADDRESS   0x53
#define GIC_INTERRUPTS    256
#define UART_BAUD_BASE    (C5_L4_SP_HZ / 16)
#define TIMERS            4

bool cyclone5_direct_kernel;

typedef struct {
    ARMCPU *cpus[CPUS];
    qemu_irq spi[C5_SPI_COUNT];
    MemoryRegion ocram;
    struct arm_boot_info boot;
} Cyclone5;

/*
 * A device with a place in QOM, where QMP finds it: /machine/sdmmc; of several of a kind /machine/gpio[0], [1], ...
 */
static DeviceState *new_device(const char *type, bool several)
{
    DeviceState *dev = qdev_new(type);
    g_autofree char *name = g_strconcat(type + strlen(C5_TYPE_PREFIX), several ? "[*]" : NULL, NULL);

    object_property_add_child(qdev_get_machine(), name, OBJECT(dev));
    return dev;
}

static DeviceState *create(const char *type, hwaddr base)
{
    DeviceState *dev = new_device(type, false);

    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
    sysbus_mmio_map(SYS_BUS_DEVICE(dev), 0, base);
    return dev;
}

static DeviceState *create_with_irq(const char *type, hwaddr base, qemu_irq irq)
{
    DeviceState *dev = create(type, base);

    sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0, irq);
    return dev;
}

static void create_several(const char *type, hwaddr base, const qemu_irq *irqs, int count)
{
    for (int n = 0; n < count; n++) {
        DeviceState *dev = new_device(type, true);

        sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
        sysbus_mmio_map(SYS_BUS_DEVICE(dev), 0, base + n * 4 * KiB);
        sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0, irqs[n]);
    }
}

static void wire(DeviceState *from, DeviceState *to, const char *line, int number)
{
    qdev_connect_gpio_out_named(from, line, 0, qdev_get_gpio_in_named(to, line, number));
}

static void create_cpus(Cyclone5 *c, MachineState *machine)
{
    for (int n = 0; n < CPUS; n++) {
        Object *cpu = object_new(machine->cpu_type);

        object_property_set_int(cpu, "midr", MIDR_CORTEX_A9_R3P0, &error_abort);
        object_property_set_int(cpu, "reset-cbar", C5_MPCORE_BASE, &error_abort);
        object_property_set_bool(cpu, "start-powered-off", n > 0, &error_abort);
        qdev_realize(DEVICE(cpu), NULL, &error_fatal);
        c->cpus[n] = ARM_CPU(cpu);
    }
}

static void create_mpcore(Cyclone5 *c)
{
    static const int lines[] = { ARM_CPU_IRQ, ARM_CPU_FIQ, ARM_CPU_VIRQ, ARM_CPU_VFIQ };
    DeviceState *mpcore = qdev_new("a9mpcore_priv");
    SysBusDevice *bus = SYS_BUS_DEVICE(mpcore);

    create(TYPE_C5_L2, C5_L2_BASE);
    qdev_prop_set_uint32(mpcore, "num-cpu", CPUS);
    qdev_prop_set_uint32(mpcore, "num-irq", GIC_INTERRUPTS);
    sysbus_realize_and_unref(bus, &error_fatal);
    sysbus_mmio_map(bus, 0, C5_MPCORE_BASE);
    for (size_t line = 0; line < ARRAY_SIZE(lines); line++) {
        for (int n = 0; n < CPUS; n++) {
            sysbus_connect_irq(bus, line * CPUS + n, qdev_get_gpio_in(DEVICE(c->cpus[n]), lines[line]));
        }
    }
    for (int n = 0; n < C5_SPI_COUNT; n++) {
        c->spi[n] = qdev_get_gpio_in(mpcore, n);
    }
}

static void create_timers(Cyclone5 *c)
{
    static const struct {
        hwaddr base;
        uint32_t frequency;
    } timers[TIMERS] = {
        { C5_SPTIMER0_BASE, C5_L4_SP_HZ }, { C5_SPTIMER0_BASE + 4 * KiB, C5_L4_SP_HZ },
        { C5_OSC1TIMER0_BASE, C5_OSC1_HZ }, { C5_OSC1TIMER0_BASE + 4 * KiB, C5_OSC1_HZ },
    };

    for (int n = 0; n < TIMERS; n++) {
        DeviceState *dev = new_device(TYPE_C5_TIMER, true);

        qdev_prop_set_uint32(dev, "frequency", timers[n].frequency);
        sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
        sysbus_mmio_map(SYS_BUS_DEVICE(dev), 0, timers[n].base);
        sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0, c->spi[C5_SPI_SPTIMER0 + n]);
    }
}

static void create_watchdogs(Cyclone5 *c, DeviceState *rstmgr)
{
    for (int n = 0; n < 2; n++) {
        DeviceState *dev = new_device(TYPE_C5_WDT, true);

        qdev_prop_set_uint32(dev, "number", n);
        sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
        sysbus_mmio_map(SYS_BUS_DEVICE(dev), 0, C5_WDT0_BASE + n * 4 * KiB);
        sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0, c->spi[C5_SPI_WDT0 + n]);
        wire(dev, rstmgr, C5_LINE_WDT_RESET, n);
        qdev_connect_gpio_out_named(rstmgr, C5_LINE_WDT_HELD, n, qdev_get_gpio_in_named(dev, C5_LINE_WDT_HELD, 0));
    }
}

static void create_uarts(Cyclone5 *c)
{
    for (int n = 0; n < 2; n++) {
        hwaddr base = C5_UART0_BASE + n * 4 * KiB;
        DeviceState *beneath = new_device(TYPE_C5_UART, true);

        sysbus_realize_and_unref(SYS_BUS_DEVICE(beneath), &error_fatal);
        sysbus_mmio_map_overlap(SYS_BUS_DEVICE(beneath), 0, base, -1);
        serial_mm_init(get_system_memory(), base, 2, c->spi[C5_SPI_UART0 + n], UART_BAUD_BASE, serial_hd(n),
                       DEVICE_LITTLE_ENDIAN);
    }
}

static void create_dma330(Cyclone5 *c)
{
    DeviceState *dev = qdev_new("pl330");
    SysBusDevice *bus = SYS_BUS_DEVICE(dev);

    object_property_set_link(OBJECT(dev), "memory", OBJECT(get_system_memory()), &error_fatal);
    qdev_prop_set_uint8(dev, "num_chnls", 8);
    qdev_prop_set_uint8(dev, "num_periph_req", 32);
    qdev_prop_set_uint8(dev, "num_events", 8);
    qdev_prop_set_uint8(dev, "data_width", 64);
    qdev_prop_set_uint8(dev, "wr_cap", 8);
    qdev_prop_set_uint8(dev, "wr_q_dep", 16);
    qdev_prop_set_uint8(dev, "rd_cap", 8);
    qdev_prop_set_uint8(dev, "rd_q_dep", 16);
    qdev_prop_set_uint16(dev, "data_buffer_dep", 512);
    sysbus_realize_and_unref(bus, &error_fatal);
    sysbus_mmio_map(bus, 0, C5_DMA_BASE);
    sysbus_connect_irq(bus, 0, c->spi[C5_SPI_DMA_ABORT]);
    for (int n = 0; n < 8; n++) {
        sysbus_connect_irq(bus, n + 1, c->spi[C5_SPI_DMA0 + n]);
    }
}

static void create_network(Cyclone5 *c)
{
    DeviceState *dev = new_device(TYPE_C5_EMAC, false);

    c5_connect_nic(dev);
    sysbus_realize_and_unref(SYS_BUS_DEVICE(dev), &error_fatal);
    sysbus_mmio_map(SYS_BUS_DEVICE(dev), 0, C5_EMAC1_BASE);
    sysbus_connect_irq(SYS_BUS_DEVICE(dev), 0, c->spi[C5_SPI_EMAC1]);
}

static void create_accelerometer(void)
{
    DeviceState *dev = new_device(TYPE_C5_ADXL345, false);
    uint64_t number = object_property_get_uint(OBJECT(dev), "bus", &error_abort);
    g_autofree char *path = g_strdup_printf("/machine/i2c[%" PRIu64 "]", number);
    Object *controller = object_resolve_path(path, NULL);

    if (!controller) {
        error_report(TYPE_C5_ADXL345 ".bus is %" PRIu64 " (valid: 0 to 3)", number);
        exit(1);
    }
    qdev_prop_set_uint8(dev, "address", ADXL345_ADDRESS);
    qdev_realize_and_unref(dev, qdev_get_child_bus(DEVICE(controller), "i2c"), &error_fatal);
}

/* Reads as zero and swallows writes; `-d unimp` shows each access. */
static void create_unmodelled(void)
{
    static const struct {
        const char *name;
        hwaddr base, size;
    } regions[] = {
        { "stm", 0xfc000000, 0x3000000 }, { "dap", 0xff000000, 0x200000 }, { "emac0", 0xff700000, 0x2000 },
        { "qspi", 0xff705000, 0x1000 }, { "acpidmap", 0xff707000, 0x1000 }, { "nanddata", 0xff900000, 0x100000 },
        { "qspidata", 0xffa00000, 0x100000 }, { "usb0", 0xffb00000, 0x40000 }, { "nandregs", 0xffb80000, 0x10000 },
        { "can0", 0xffc00000, 0x1000 }, { "can1", 0xffc01000, 0x1000 }, { "dmanonsecure", 0xffe00000, 0x1000 },
        { "spis0", 0xffe02000, 0x1000 }, { "spis1", 0xffe03000, 0x1000 }, { "spim0", 0xfff00000, 0x1000 },
        { "spim1", 0xfff01000, 0x1000 },
    };

    for (size_t i = 0; i < ARRAY_SIZE(regions); i++) {
        create_unimplemented_device(regions[i].name, regions[i].base, regions[i].size);
    }
}

static void connect_fabric_interrupt(Cyclone5 *c, DeviceState *fabric, int number, const char *property)
{
    if (sysbus_has_irq(SYS_BUS_DEVICE(fabric), number)) {
        sysbus_connect_irq(SYS_BUS_DEVICE(fabric), number,
                           c->spi[C5_SPI_FPGA0 + object_property_get_uint(OBJECT(fabric), property, &error_abort)]);
    }
}

static void create_peripherals(Cyclone5 *c)
{
    DriveInfo *drive = drive_get(IF_SD, 0, 0);
    DeviceState *bootrom = create(TYPE_C5_BOOTROM, C5_BOOTROM_BASE);
    DeviceState *rstmgr = create(TYPE_C5_RSTMGR, C5_RSTMGR_BASE);
    DeviceState *l3 = create(TYPE_C5_L3, C5_L3_BASE);
    DeviceState *fpgamgr = create_with_irq(TYPE_C5_FPGAMGR, C5_FPGAMGR_BASE, c->spi[C5_SPI_FPGAMGR]);
    DeviceState *fabric = create(TYPE_C5_FABRIC, C5_LWBRIDGE_BASE);
    DeviceState *sdmmc = create_with_irq(TYPE_C5_SDMMC, C5_SDMMC_BASE, c->spi[C5_SPI_SDMMC]);

    create(TYPE_C5_CLKMGR, C5_CLKMGR_BASE);
    create(TYPE_C5_SYSMGR, C5_SYSMGR_BASE);
    create(TYPE_C5_SDR, C5_SDR_BASE);
    create(TYPE_C5_SCANMGR, C5_SCANMGR_BASE);
    create_with_irq(TYPE_C5_USB, C5_USB1_BASE, c->spi[C5_SPI_USB1]);
    sysbus_mmio_map_overlap(SYS_BUS_DEVICE(bootrom), 1, 0, 1);
    sysbus_mmio_map(SYS_BUS_DEVICE(fpgamgr), 1, C5_FPGADATA_BASE);
    connect_fabric_interrupt(c, fabric, 0, "interrupt");
    connect_fabric_interrupt(c, fabric, 1, "copier-interrupt");
    wire(l3, bootrom, C5_LINE_ZERO_IS_RAM, 0);
    wire(l3, fabric, C5_LINE_VISIBLE, 0);
    wire(rstmgr, fabric, C5_LINE_RELEASED, 0);
    wire(fpgamgr, fabric, C5_LINE_USER_MODE, 0);
    create_watchdogs(c, rstmgr);
    create_several(TYPE_C5_GPIO, C5_GPIO0_BASE, &c->spi[C5_SPI_GPIO0], 3);
    create_several(TYPE_C5_I2C, C5_I2C0_BASE, &c->spi[C5_SPI_I2C0], 4);
    create_accelerometer();
    cyclone5_sdmmc_insert(sdmmc, drive);
    cyclone5_bootrom_set_card(bootrom, drive ? blk_by_legacy_dinfo(drive) : NULL);
}

/* CPU 1 waits in reset until the reset manager lets it go: nothing for the loader to do. */
static void no_secondary(ARMCPU *, const struct arm_boot_info *)
{
}

static void cyclone5_init(MachineState *machine)
{
    Cyclone5 *c = g_new0(Cyclone5, 1);

    cyclone5_check_abi();
    cyclone5_direct_kernel = machine->kernel_filename != NULL;
    cyclone5_turns_begin();
    create_cpus(c, machine);
    memory_region_add_subregion(get_system_memory(), 0, machine->ram);
    memory_region_init_ram(&c->ocram, NULL, "cyclone5.ocram", C5_OCRAM_BYTES, &error_fatal);
    memory_region_add_subregion(get_system_memory(), C5_OCRAM_BASE, &c->ocram);
    create_mpcore(c);
    create_unmodelled();
    create_peripherals(c);
    create_timers(c);
    create_uarts(c);
    create_dma330(c);
    create_network(c);
    cyclone5_execution_begin();

    c->boot.ram_size = machine->ram_size;
    c->boot.board_id = -1;
    c->boot.secure_boot = true;
    c->boot.write_secondary_boot = no_secondary;
    c->boot.secondary_cpu_reset_hook = no_secondary;
    arm_load_kernel(c->cpus[0], machine, &c->boot);
}

static void cyclone5_class_init(ObjectClass *klass, void *)
{
    MachineClass *mc = MACHINE_CLASS(klass);

    mc->desc = "Intel Cyclone V SoC board (two Cortex-A9, FPGA fabric with a capture source)";
    mc->init = cyclone5_init;
    mc->default_cpu_type = ARM_CPU_TYPE_NAME("cortex-a9");
    mc->block_default_type = IF_SD;
    mc->min_cpus = mc->max_cpus = mc->default_cpus = CPUS;
    mc->default_ram_size = 1 * GiB;
    mc->default_ram_id = "cyclone5.sdram";
}

static const TypeInfo machine_types[] = {
    {
        .name = MACHINE_TYPE_NAME("cyclone5"),
        .parent = TYPE_MACHINE,
        .class_init = cyclone5_class_init,
    },
};
DEFINE_TYPES(machine_types)
