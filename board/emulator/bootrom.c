/*
 * Boot ROM: finds a preloader (U-Boot's SPL) on the SD card, checks it, copies it to the on-chip RAM and starts CPU 0
 * there. TRM appendix A, "Booting and Configuration"; header as in U-Boot's tools/socfpgaimage.c.
 *
 * TRM "SD/MMC Flash Devices": the first partition of type 0xA2 among the MBR's four holds up to four copies, 64 KiB apart;
 * only when there is no MBR signature are the copies at the start of the card (raw mode), so that a card with an MBR but
 * no such partition cannot be booted. "Loading the Preloader Image": a copy has at most 60 KiB and is good when its header
 * (validation word "AS01" at 0x40, length, checksum) and the CRC-32 (polynomial 0x04c11db7, most significant bit first) in
 * its last word are; otherwise the ones behind it are tried. The last 4 KiB of the on-chip RAM are the ROM's own: every
 * reset overwrites them.
 *
 * "Boot ROM Flow": a power-on or cold reset begins with copy 0. At a warm reset, what is in the on-chip RAM is run again
 * when the software has asked for that in the system manager (U-Boot does) and its CRC, if any, is right; otherwise the
 * copy that was loaded last is tried first, or the one behind it when the software has not set INITSWSTATE to "valid"
 * (so a preloader that hangs until the watchdog bites is given up; behind the fourth there is none). The copy's number
 * goes to the system manager. Not modelled: the fallback image in the FPGA, boot sources other than SD.
 *
 * The ROM has no code of its own but a jump to the preloader's entry: its work is done by the emulator, at reset. When no
 * copy is good, the reason of each is reported and the emulator ends with exit status 1 (the metal waits for a reset).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sdmmc.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Bootrom, C5_BOOTROM)

#define COPIES            4
#define COPY_BYTES        (64 * KiB)
#define PRELOADER_MAX     (60 * KiB)
#define WORKSPACE         PRELOADER_MAX     /* in the on-chip RAM, to its end */
#define MBR_BYTES         512
#define MBR_ENTRIES       0x1be
#define MBR_ENTRY_BYTES   16
#define PARTITION_TYPE    0xa2
#define HEADER            0x40
#define HEADER_CHECKED    10            /* bytes that the header's checksum covers */
#define VALIDATION_WORD   0x31305341    /* "AS01" */
#define ENTRY_POINT       0x4c          /* behind the header: the preloader's first instruction */
#define LDR_PC            0xe51ff004    /* ldr pc, [pc, #-4] */

struct C5Bootrom {
    SysBusDevice parent_obj;
    MemoryRegion rom;           /* at its own address */
    MemoryRegion zero;          /* alias at 0, until software remaps it */
    BlockBackend *card;
};

static uint32_t preloader_crc(const uint8_t *data, size_t bytes)
{
    uint32_t crc = ~0u;

    for (size_t i = 0; i < bytes; i++) {
        crc ^= (uint32_t)data[i] << 24;
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc << 1) ^ (crc & 0x80000000u ? 0x04c11db7 : 0);
        }
    }
    return ~crc;
}

/* Why the copy is no good, or NULL. */
static const char *copy_fault(const uint8_t *copy, size_t *bytes)
{
    uint16_t sum = 0;

    if (ldl_le_p(copy + HEADER) != VALIDATION_WORD) {
        return "no header";
    }
    for (int i = 0; i < HEADER_CHECKED; i++) {
        sum += copy[HEADER + i];
    }
    if (sum != lduw_le_p(copy + HEADER + HEADER_CHECKED)) {
        return "wrong header checksum";
    }
    *bytes = lduw_le_p(copy + HEADER + 6) * 4;
    if (*bytes < ENTRY_POINT + 8 || *bytes > PRELOADER_MAX) {
        return "length out of range";
    }
    if (preloader_crc(copy, *bytes - 4) != (uint32_t)ldl_le_p(copy + *bytes - 4)) {
        return "wrong CRC";
    }
    return NULL;
}

static bool read_card(BlockBackend *card, uint64_t offset, uint32_t bytes, void *buffer)
{
    return card && sdmmc_boot_readable(offset, bytes) && blk_pread(card, offset, bytes, buffer, 0) >= 0;
}

static bool find_copies(BlockBackend *card, uint64_t *offset)
{
    uint8_t mbr[MBR_BYTES];

    if (!read_card(card, 0, sizeof(mbr), mbr)) {
        error_report("cyclone5 boot ROM: there is no SD card, or it cannot be read");
        return false;
    }
    *offset = 0;
    if (lduw_le_p(mbr + 510) != 0xaa55) {
        return true;
    }
    for (int i = 0; i < 4; i++) {
        const uint8_t *entry = mbr + MBR_ENTRIES + i * MBR_ENTRY_BYTES;

        if (entry[4] == PARTITION_TYPE) {
            *offset = (uint64_t)ldl_le_p(entry + 8) * 512;
            return true;
        }
    }
    error_report("cyclone5 boot ROM: the SD card has no partition of type 0xA2");
    return false;
}

static int first_copy(void)
{
    if (cyclone5_reset_kind() != C5_RESET_WARM) {
        return 0;
    }
    return cyclone5_sysmgr_last_loaded() + !cyclone5_sysmgr_software_valid();
}

static bool load_preloader(C5Bootrom *s)
{
    g_autofree uint8_t *copy = g_malloc0(COPY_BYTES);
    const char *fault[COPIES] = { "given up", "given up", "given up", "given up" };
    uint64_t offset;
    size_t bytes = 0;

    if (!find_copies(s->card, &offset)) {
        return false;
    }
    for (int index = first_copy(); index < COPIES; index++) {
        bool got = read_card(s->card, offset + index * COPY_BYTES, COPY_BYTES, copy);

        fault[index] = got ? copy_fault(copy, &bytes) : "cannot be read";
        if (!fault[index]) {
            address_space_write(&address_space_memory, C5_OCRAM_BASE, MEMTXATTRS_UNSPECIFIED, copy, bytes);
            cyclone5_sysmgr_set_last_loaded(index);
            info_report("cyclone5 boot ROM: started preloader copy %d", index);
            return true;
        }
        info_report("cyclone5 boot ROM: preloader copy %d: %s", index, fault[index]);
    }
    error_report("cyclone5 boot ROM: no good preloader at 0x%" PRIx64 ": copy 0: %s; copy 1: %s; copy 2: %s; copy 3: %s",
                 offset, fault[0], fault[1], fault[2], fault[3]);
    return false;
}

static void set_entry(C5Bootrom *s, uint32_t address)
{
    uint32_t *code = memory_region_get_ram_ptr(&s->rom);

    code[0] = cpu_to_le32(LDR_PC);
    code[1] = cpu_to_le32(address);
}

/* Run the on-chip RAM's contents again, if the software wants that and they are whole. */
static bool warm_boot(C5Bootrom *s)
{
    C5WarmBoot warm = cyclone5_sysmgr_warm_boot();
    g_autofree uint8_t *data = NULL;

    if (cyclone5_reset_kind() != C5_RESET_WARM || !warm.enabled || warm.start + warm.length > C5_OCRAM_BYTES) {
        return false;
    }
    data = g_malloc0(warm.length + 1);
    address_space_read(&address_space_memory, C5_OCRAM_BASE + warm.start, MEMTXATTRS_UNSPECIFIED, data, warm.length);
    if (warm.length && preloader_crc(data, warm.length) != warm.crc) {
        return false;
    }
    set_entry(s, C5_OCRAM_BASE + warm.entry);
    info_report("cyclone5 boot ROM: warm reset, running what is in the on-chip RAM");
    return true;
}

static void use_workspace(void)
{
    g_autofree uint8_t *zeros = g_malloc0(C5_OCRAM_BYTES - WORKSPACE);

    address_space_write(&address_space_memory, C5_OCRAM_BASE + WORKSPACE, MEMTXATTRS_UNSPECIFIED, zeros,
                        C5_OCRAM_BYTES - WORKSPACE);
}

/* The machine as the boot ROM's code finds it and leaves it. */
static bool boot(C5Bootrom *s)
{
    if (cyclone5_direct_kernel) {
        return true;
    }
    use_workspace();
    if (warm_boot(s)) {
        return true;
    }
    set_entry(s, C5_OCRAM_BASE + ENTRY_POINT);
    return load_preloader(s);
}

static void bootrom_zero_is_ram(void *opaque, int, int level)
{
    C5Bootrom *s = opaque;

    memory_region_set_enabled(&s->zero, !level);
}

/* In the exit phase all devices have been reset, so that the managers' words are in place. */
static C5_RESET_PHASE(bootrom_reset_exit)
{
    C5Bootrom *s = C5_BOOTROM(obj);

    if (!boot(s)) {
        exit(1);
    }
    cyclone5_reset_finished();
}

static void bootrom_realize(DeviceState *dev, Error **errp)
{
    C5Bootrom *s = C5_BOOTROM(dev);

    memory_region_init_rom(&s->rom, OBJECT(s), TYPE_C5_BOOTROM, C5_BOOTROM_BYTES, errp);
    memory_region_init_alias(&s->zero, OBJECT(s), "cyclone5-bootrom-at-0", &s->rom, 0, C5_BOOTROM_BYTES);
    memory_region_set_enabled(&s->zero, !cyclone5_direct_kernel);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->rom);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->zero);
    qdev_init_gpio_in_named(dev, bootrom_zero_is_ram, C5_LINE_ZERO_IS_RAM, 1);
}

void cyclone5_bootrom_set_card(DeviceState *bootrom, BlockBackend *card)
{
    C5_BOOTROM(bootrom)->card = card;
}

static void bootrom_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = bootrom_realize;
    RESETTABLE_CLASS(klass)->phases.exit = bootrom_reset_exit;
}

static const TypeInfo bootrom_types[] = {
    {
        .name = TYPE_C5_BOOTROM,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Bootrom),
        .class_init = bootrom_class_init,
    },
};
DEFINE_TYPES(bootrom_types)
