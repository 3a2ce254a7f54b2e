/*
 * What can be wrong with the SD card: QOM properties of /machine/sdmmc (firmware/faults.py, class Card). They take effect
 * at once and outlive a reset; with -global they hold from power-on. Sectors have 512 bytes. Data of write commands and
 * erased sectors (CMD38) count as written, in the order in which they reach the card's file.
 *
 *   writes                             sectors written since power-on; read-only
 *   power-cut-after, power-cut-torn    the power goes with the n-th sector from now on, 0: never; torn: of that sector
 *                                      the first half is new, the rest old
 *   power-cut                          set to true: the power goes now
 *   read-error-first, -last, -times    reading these sectors gives a data CRC error and a damaged byte, so many times
 *                                      (commands; UINT64_MAX: always)
 *   write-error-first, -last, -times   writing them gives a negative CRC status; this sector and what follows of the same
 *                                      command stay as they were
 *   write-limit                        sectors that the card still takes; the next one gives a negative CRC status, and
 *                                      from then on write commands are answered by WP_VIOLATION and no CRC status, as by
 *                                      a worn card that protects itself
 *   block-ns                           virtual time for a block of data, at most 0.1 s
 *   pulled                             no answer to any command, card detect says so; put back, the card starts anew
 *   flip                               write-only: invert this bit of the card (8 * byte + bit)
 *
 * A power cut ends the process then and there. Writes to the card's file are synchronous and all go through here, so
 * nothing is in flight, and the guest executes no further instruction. Physical Layer Simplified Specification 4.10.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sdmmc.h"
#include "qapi/visitor.h"

#define FOR_GOOD        UINT64_MAX
#define BLOCK_NS_MAX    (100 * SCALE_MS)
#define ERASE_SECTORS   128
#define ERASED          0xff

static C5Sdmmc *the_sdmmc;

/* ---- power cut ---- */

static void G_NORETURN power_cut(const char *what)
{
    info_report("cyclone5 sdmmc: power cut %s", what);
    _exit(EXIT_SUCCESS);
}

static void G_NORETURN power_cut_at(C5Sdmmc *s, uint64_t sector, const uint8_t *torn)
{
    g_autofree char *what = g_strdup_printf("%s sector %" PRIu64, torn ? "in" : "behind", sector);

    if (torn && blk_pwrite(s->blk, sector * BLOCK_BYTES, BLOCK_BYTES / 2, torn, 0) < 0) {
        error_report("cyclone5 sdmmc: the torn sector could not be written");
    }
    power_cut(what);
}

/* ---- reading and writing ---- */

static bool touches(const C5SdmmcBad *bad, uint64_t first, uint64_t count)
{
    return bad->times && count && bad->first < first + count && bad->last >= first;
}

static void happened(C5SdmmcBad *bad)
{
    if (bad->times != FOR_GOOD) {
        bad->times--;
    }
}

bool sdmmc_fault_readable(C5Sdmmc *s, uint64_t first, uint64_t count, uint64_t *bad)
{
    if (!touches(&s->faults.read, first, count)) {
        return true;
    }
    happened(&s->faults.read);
    *bad = MAX(first, s->faults.read.first);
    return false;
}

bool sdmmc_boot_readable(uint64_t offset, uint32_t bytes)
{
    uint64_t bad;

    return the_sdmmc && !the_sdmmc->faults.pulled &&
           sdmmc_fault_readable(the_sdmmc, offset / BLOCK_BYTES, DIV_ROUND_UP(bytes, BLOCK_BYTES), &bad);
}

/* How many of the sectors the card takes; the one behind them is an error. */
static uint64_t writable(const C5SdmmcFaults *f, uint64_t first, uint64_t count)
{
    count = MIN(count, f->write_limit);
    if (touches(&f->write, first, count)) {
        count = f->write.first > first ? f->write.first - first : 0;
    }
    return count;
}

static void count_written(C5SdmmcFaults *f, uint64_t sectors)
{
    f->writes += sectors;
    if (f->write_limit != UINT64_MAX) {
        f->write_limit -= sectors;
    }
    if (f->cut_after) {
        f->cut_after -= sectors;
    }
}

bool sdmmc_fault_write(C5Sdmmc *s, uint64_t first, const uint8_t *data, uint32_t count, SdmmcStore *store)
{
    C5SdmmcFaults *f = &s->faults;
    uint32_t good = writable(f, first, count);
    bool cut = f->cut_after && f->cut_after <= good, stored = true;
    uint32_t whole = cut ? f->cut_after - f->cut_torn : good;

    if (whole) {
        stored = store(s, first, data, whole);
    }
    if (stored) {
        sdmmc_journal_write(s, first, data, whole);
    }
    if (cut) {
        power_cut_at(s, f->cut_torn ? first + whole : first + whole - 1,
                     f->cut_torn ? data + whole * BLOCK_BYTES : NULL);
    }
    if (good < count && good < f->write_limit) {
        happened(&f->write);
    }
    count_written(f, whole);
    return stored && good == count;
}

/* ---- commands ---- */

static bool store_erased(C5Sdmmc *s, uint64_t first, const uint8_t *data, uint32_t count)
{
    return blk_pwrite(s->blk, first * BLOCK_BYTES, count * BLOCK_BYTES, data, 0) >= 0;
}

/*
 * QEMU's card does the erasing, when nothing goes wrong in the middle of it. It must not see the end of the card as last
 * address: that ends QEMU (an assertion in sd.c).
 */
static uint32_t erase(C5Sdmmc *s)
{
    uint64_t first = s->erase_start / BLOCK_BYTES, end = s->erase_end / BLOCK_BYTES + 1;
    g_autofree uint8_t *erased = NULL;

    if (end * BLOCK_BYTES > (uint64_t)MAX(blk_getlength(s->blk), 0)) {
        return R1_OUT_OF_RANGE;
    }
    if (first >= end) {
        return 0;
    }
    if (writable(&s->faults, first, end - first) == end - first &&
        (!s->faults.cut_after || s->faults.cut_after > end - first)) {
        count_written(&s->faults, end - first);
        s->begins = true;
        sdmmc_journal_write(s, first, NULL, end - first);
        return 0;
    }
    s->begins = true;
    erased = g_malloc(ERASE_SECTORS * BLOCK_BYTES);
    memset(erased, ERASED, ERASE_SECTORS * BLOCK_BYTES);
    for (uint64_t sector = first; sector < end; sector += ERASE_SECTORS) {
        if (!sdmmc_fault_write(s, sector, erased, MIN(end - sector, ERASE_SECTORS), store_erased)) {
            return R1_WRITE_PROTECTED;
        }
    }
    return 0;
}

uint32_t sdmmc_fault_refusal(C5Sdmmc *s, unsigned index)
{
    switch (index) {
    case CMD_WRITE_SINGLE:
    case CMD_WRITE_MULTIPLE:
        return s->faults.write_limit ? 0 : R1_WRITE_PROTECTED;
    case CMD_ERASE:
        return s->blk ? erase(s) : 0;
    default:
        return 0;
    }
}

/* ---- properties ---- */

static uint64_t *number_at(Object *obj, void *opaque)
{
    return (uint64_t *)((char *)&C5_SDMMC(obj)->faults + (size_t)opaque);
}

static void get_number(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint64_t value = *number_at(obj, opaque);

    visit_type_uint64(v, name, &value, errp);
}

static void set_number(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    uint64_t value;

    if (!visit_type_uint64(v, name, &value, errp)) {
        return;
    }
    if (number_at(obj, opaque) == &C5_SDMMC(obj)->faults.block_ns && value > BLOCK_NS_MAX) {
        error_setg(errp, "%s: %" PRIu64 " is too slow (valid: at most %" PRIu64 ")", name, value,
                   (uint64_t)BLOCK_NS_MAX);
        return;
    }
    *number_at(obj, opaque) = value;
}

static void set_flip(Object *obj, Visitor *v, const char *name, void *, Error **errp)
{
    C5Sdmmc *s = C5_SDMMC(obj);
    uint64_t bit;
    uint8_t byte;

    if (!visit_type_uint64(v, name, &bit, errp)) {
        return;
    }
    if (!s->blk || bit / 8 >= (uint64_t)MAX(blk_getlength(s->blk), 0)) {
        error_setg(errp, "%s: the card has no bit %" PRIu64, name, bit);
        return;
    }
    if (blk_pread(s->blk, bit / 8, 1, &byte, 0) >= 0) {
        byte ^= 1 << bit % 8;
        if (blk_pwrite(s->blk, bit / 8, 1, &byte, 0) >= 0) {
            return;
        }
    }
    error_setg(errp, "%s: the card's file cannot be read or written", name);
}

static bool get_torn(Object *obj, Error **)
{
    return C5_SDMMC(obj)->faults.cut_torn;
}

static void set_torn(Object *obj, bool value, Error **)
{
    C5_SDMMC(obj)->faults.cut_torn = value;
}

static bool get_pulled(Object *obj, Error **)
{
    return C5_SDMMC(obj)->faults.pulled;
}

static void set_pulled(Object *obj, bool value, Error **)
{
    C5Sdmmc *s = C5_SDMMC(obj);

    if (value == s->faults.pulled) {
        return;
    }
    s->faults.pulled = value;
    if (!value && s->card) {
        device_cold_reset(s->card);
    }
    REG(RINTSTS) |= INT_CARD_DETECT;
    sdmmc_update_irq(s);
}

static void set_cut(Object *, bool value, Error **)
{
    if (value) {
        power_cut("now");
    }
}

#define NUMBER(name, field) { name, offsetof(C5SdmmcFaults, field) }

void sdmmc_fault_class_init(ObjectClass *klass)
{
    static const struct {
        const char *name;
        size_t offset;
    } numbers[] = {
        NUMBER("power-cut-after", cut_after), NUMBER("write-limit", write_limit), NUMBER("block-ns", block_ns),
        NUMBER("read-error-first", read.first), NUMBER("read-error-last", read.last),
        NUMBER("read-error-times", read.times), NUMBER("write-error-first", write.first),
        NUMBER("write-error-last", write.last), NUMBER("write-error-times", write.times),
    };

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        object_class_property_add(klass, numbers[i].name, "uint64", get_number, set_number, NULL,
                                  (void *)numbers[i].offset);
    }
    object_class_property_add(klass, "writes", "uint64", get_number, NULL, NULL,
                              (void *)offsetof(C5SdmmcFaults, writes));
    object_class_property_add(klass, "flip", "uint64", NULL, set_flip, NULL, NULL);
    object_class_property_add_bool(klass, "power-cut-torn", get_torn, set_torn);
    object_class_property_add_bool(klass, "power-cut", NULL, set_cut);
    object_class_property_add_bool(klass, "pulled", get_pulled, set_pulled);
}

void sdmmc_fault_init(C5Sdmmc *s)
{
    s->faults.write_limit = UINT64_MAX;
    the_sdmmc = s;
}
