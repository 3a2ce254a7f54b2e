/*
 * Cyclone V HPS: the memory map, the interrupt numbers and what one device offers to another.
 *
 * Addresses: Cyclone V HPS Technical Reference Manual (TRM), "HPS Peripheral Region Address Map". Interrupts: the same
 * manual, "GIC Interrupt Map"; the numbers here are those of shared peripheral interrupts (GIC number less 32).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_H
#define CYCLONE5_H

#include "compat.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "hw/boards.h"
#include "hw/irq.h"
#include "hw/sysbus.h"

#define C5_LWBRIDGE_BASE   0xff200000
#define C5_EMAC1_BASE      0xff702000
#define C5_SDMMC_BASE      0xff704000
#define C5_FPGAMGR_BASE    0xff706000
#define C5_GPIO0_BASE      0xff708000
#define C5_L3_BASE         0xff800000
#define C5_USB1_BASE       0xffb40000
#define C5_FPGADATA_BASE   0xffb90000
#define C5_UART0_BASE      0xffc02000
#define C5_I2C0_BASE       0xffc04000
#define C5_SPTIMER0_BASE   0xffc08000
#define C5_SDR_BASE        0xffc20000
#define C5_OSC1TIMER0_BASE 0xffd00000
#define C5_WDT0_BASE       0xffd02000
#define C5_CLKMGR_BASE     0xffd04000
#define C5_RSTMGR_BASE     0xffd05000
#define C5_SYSMGR_BASE     0xffd08000
#define C5_DMA_BASE        0xffe01000
#define C5_SCANMGR_BASE    0xfff02000
#define C5_BOOTROM_BASE    0xfffd0000
#define C5_MPCORE_BASE     0xfffec000
#define C5_L2_BASE         0xfffef000
#define C5_OCRAM_BASE      0xffff0000

#define C5_BOOTROM_BYTES   (64 * KiB)
#define C5_OCRAM_BYTES     (64 * KiB)
#define C5_LWBRIDGE_BYTES  (2 * MiB)
#define C5_USB_BYTES       (256 * KiB)

enum {
    C5_SPI_FPGA0 = 40, C5_SPI_DMA0 = 104, C5_SPI_DMA_ABORT = 112, C5_SPI_EMAC1 = 120, C5_SPI_USB1 = 128,
    C5_SPI_SDMMC = 139, C5_SPI_I2C0 = 158, C5_SPI_UART0 = 162, C5_SPI_GPIO0 = 164, C5_SPI_SPTIMER0 = 167,
    C5_SPI_OSC1TIMER0 = 169, C5_SPI_WDT0 = 171, C5_SPI_FPGAMGR = 175,
    C5_SPI_COUNT = 224,
};

#define C5_OSC1_HZ   25000000
#define C5_L4_SP_HZ  100000000

/* Types, by the name that -global uses; in QOM a device is /machine/<name without the prefix> (machine.c). */
#define C5_TYPE_PREFIX   "cyclone5-"
#define TYPE_C5_ADXL345  "cyclone5-adxl345"
#define TYPE_C5_BOOTROM  "cyclone5-bootrom"
#define TYPE_C5_CLKMGR   "cyclone5-clkmgr"
#define TYPE_C5_EMAC     "cyclone5-emac"
#define TYPE_C5_FABRIC   "cyclone5-fabric"
#define TYPE_C5_FPGAMGR  "cyclone5-fpgamgr"
#define TYPE_C5_GPIO     "cyclone5-gpio"
#define TYPE_C5_I2C      "cyclone5-i2c"
#define TYPE_C5_L2       "cyclone5-l2"
#define TYPE_C5_L3       "cyclone5-l3"
#define TYPE_C5_MSGDMA   "cyclone5-msgdma"
#define TYPE_C5_RSTMGR   "cyclone5-rstmgr"
#define TYPE_C5_SCANMGR  "cyclone5-scanmgr"
#define TYPE_C5_SDMMC    "cyclone5-sdmmc"
#define TYPE_C5_SDR      "cyclone5-sdr"
#define TYPE_C5_SOURCE   "cyclone5-source"
#define TYPE_C5_SYSMGR   "cyclone5-sysmgr"
#define TYPE_C5_TIMER    "cyclone5-timer"
#define TYPE_C5_UART     "cyclone5-uart"
#define TYPE_C5_USB      "cyclone5-usb1"
#define TYPE_C5_WDT      "cyclone5-wdt"

/* Named GPIO lines. */
#define C5_LINE_USER_MODE  "user-mode"          /* fpgamgr -> fabric: the FPGA is configured */
#define C5_LINE_RELEASED   "bridge-released"    /* rstmgr -> fabric: the lightweight bridge is out of reset */
#define C5_LINE_VISIBLE    "bridge-visible"     /* l3 -> fabric: the remap bit of the lightweight bridge */
#define C5_LINE_ZERO_IS_RAM "zero-is-ram"       /* l3 -> bootrom: address 0 shows memory, no longer the boot ROM */
#define C5_LINE_WDT_RESET  "watchdog-reset"     /* wdt -> rstmgr */
#define C5_LINE_WDT_HELD   "watchdog-held"      /* rstmgr -> wdt, one each: the watchdog itself is in reset */

/* Why the machine is being reset: valid while the devices are reset, whatever their order (rstmgr.c). */
typedef enum { C5_RESET_POWER_ON, C5_RESET_COLD, C5_RESET_WARM } C5ResetKind;
C5ResetKind cyclone5_reset_kind(void);
void cyclone5_reset_finished(void);

/* The boot ROM's words in the system manager (sysmgr.c): which copy was loaded last, and did the software say it lives. */
uint32_t cyclone5_sysmgr_last_loaded(void);
bool cyclone5_sysmgr_software_valid(void);
void cyclone5_sysmgr_set_last_loaded(uint32_t index);

/* What the boot ROM shall do at a warm reset: run what is in the on-chip RAM. Offsets into it; length 0: no check. */
typedef struct {
    bool enabled;
    uint16_t start, length, entry;
    uint32_t crc;
} C5WarmBoot;
C5WarmBoot cyclone5_sysmgr_warm_boot(void);

/* After -kernel there is no SPL: the managers then start in the state that it leaves behind. */
extern bool cyclone5_direct_kernel;

void cyclone5_check_abi(void);
void cyclone5_execution_begin(void);
void cyclone5_turns_begin(void);
void cyclone5_bootrom_set_card(DeviceState *bootrom, BlockBackend *card);
void cyclone5_sdmmc_insert(DeviceState *sdmmc, DriveInfo *drive);

/* The capture source is what this mSGDMA takes its data from (fabric.c); source.h has what passes between them. */
void cyclone5_msgdma_connect(DeviceState *msgdma, DeviceState *source);

/* Registers are 32 bits wide; a narrower access touches its byte lanes only. */
static inline uint64_t c5_lanes_read(uint32_t word, hwaddr offset)
{
    return word >> ((offset & 3) * 8);
}

static inline uint32_t c5_lanes_write(uint32_t old, hwaddr offset, uint64_t value, unsigned size)
{
    unsigned shift = (offset & 3) * 8;
    uint32_t mask = (size >= 4 ? ~0u : (1u << (size * 8)) - 1) << shift;

    return (old & ~mask) | (((uint32_t)value << shift) & mask);
}

#define C5_REGISTER_OPS(name, read_function, write_function)      \
    static const MemoryRegionOps name = {                         \
        .read = read_function,                                    \
        .write = write_function,                                  \
        .endianness = DEVICE_LITTLE_ENDIAN,                       \
        .valid = { .min_access_size = 1, .max_access_size = 4 },  \
        .impl = { .min_access_size = 1, .max_access_size = 4 },   \
    }

#endif
