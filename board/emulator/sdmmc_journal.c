/*
 * A journal of all that reaches the SD card, for who wants the card as it was behind any of its writes
 * (firmware/card_journal.py reads it). The property `journal` of /machine/sdmmc is the path of a file, made anew; set
 * with -global, it holds all writes since power-on. A record: first sector (64 bits), number of sectors (32 bits), flags
 * (32 bits), all little-endian, then the data.
 *
 * A record is what came in one piece, as DMA descriptors name it; JOURNAL_BEGINS tells the first one of a command. Erased
 * sectors (JOURNAL_ERASED) have no data here. The order is that of the card's file, and the sum of all sectors is `writes`.
 * The sectors of the last command before a power cut are not in it when the cut is one of `power-cut-after`.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sdmmc.h"
#include "qemu/cutils.h"

#define JOURNAL_BEGINS  1u
#define JOURNAL_ERASED  2u

typedef struct {
    uint64_t first;
    uint32_t count, flags;
} QEMU_PACKED Record;

static void put(C5Sdmmc *s, const void *bytes, size_t count)
{
    if (qemu_write_full(s->journal, bytes, count) != (ssize_t)count) {
        error_report("cyclone5 sdmmc: the journal cannot be written: %s", strerror(errno));
        exit(1);                        /* one with a hole would be believed */
    }
}

void sdmmc_journal_write(C5Sdmmc *s, uint64_t first, const uint8_t *data, uint32_t count)
{
    Record record = {
        .first = cpu_to_le64(first),
        .count = cpu_to_le32(count),
        .flags = cpu_to_le32((s->begins ? JOURNAL_BEGINS : 0) | (data ? 0 : JOURNAL_ERASED)),
    };

    if (s->journal >= 0 && count) {
        s->begins = false;
        put(s, &record, sizeof(record));
        if (data) {
            put(s, data, (size_t)count * BLOCK_BYTES);
        }
    }
}

static void set_journal(Object *obj, const char *path, Error **errp)
{
    C5Sdmmc *s = C5_SDMMC(obj);
    int file = qemu_create(path, O_WRONLY | O_TRUNC, 0600, errp);

    if (file >= 0) {
        if (s->journal >= 0) {
            close(s->journal);
        }
        s->journal = file;
    }
}

void sdmmc_journal_class_init(ObjectClass *klass)
{
    object_class_property_add_str(klass, "journal", NULL, set_journal);
}

void sdmmc_journal_init(C5Sdmmc *s)
{
    s->journal = -1;
}
