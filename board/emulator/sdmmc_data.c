/*
 * SD/MMC host, data phase: the card, the internal DMA controller, the FIFO. See sdmmc.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sdmmc.h"

/* ---- the card ---- */

static bool store_sectors(C5Sdmmc *s, uint64_t first, const uint8_t *data, uint32_t count)
{
    if (s->direct) {
        return blk_pwrite(s->blk, first * BLOCK_BYTES, count * BLOCK_BYTES, data, 0) >= 0;
    }
    sdbus_write_data(s->bus, data, count * BLOCK_BYTES);
    return true;
}

/* Sectors are written when they are whole: as many at once as there are, one that comes in pieces from `s->sector`. */
static bool write_sectors(C5Sdmmc *s, const uint8_t *data, uint32_t bytes)
{
    bool good = true;

    while (bytes && good) {
        uint32_t have = s->position % BLOCK_BYTES;
        uint64_t number = s->position / BLOCK_BYTES;
        uint32_t now;

        if (!have && bytes >= BLOCK_BYTES) {
            now = ROUND_DOWN(bytes, BLOCK_BYTES);
            good = sdmmc_fault_write(s, number, data, now / BLOCK_BYTES, store_sectors);
        } else {
            now = MIN(bytes, BLOCK_BYTES - have);
            memcpy(s->sector + have, data, now);
            good = have + now < BLOCK_BYTES || sdmmc_fault_write(s, number, s->sector, 1, store_sectors);
        }
        s->position += now;
        data += now;
        bytes -= now;
    }
    return good;
}

static bool read_sectors(C5Sdmmc *s, void *buffer, uint32_t bytes)
{
    uint64_t begin = s->position;
    bool good = true;

    s->position += bytes;
    if (s->direct) {
        good = blk_pread(s->blk, begin, bytes, buffer, 0) >= 0;
    } else {
        sdbus_read_data(s->bus, buffer, bytes);
    }
    if ((s->wrong & INT_DATA_CRC) && s->damaged >= begin && s->damaged < s->position) {
        ((uint8_t *)buffer)[s->damaged - begin] ^= 1;
    }
    return good;
}

/*
 * Move a piece of the data; false when none comes. The controller goes on after a CRC error (TRM "Data Transmit", "Data
 * Receive"), but a card ignores the rest of a write (Physical Layer Simplified Specification 4.10, 4.3.4).
 */
static bool card_transfer(C5Sdmmc *s, void *buffer, uint32_t bytes)
{
    if (!s->writing && (s->faults.pulled || s->refused)) {
        s->wrong |= INT_DATA_TIMEOUT;
        return false;
    }
    s->left -= bytes;
    if (s->writing && (s->faults.pulled || s->refused)) {
        s->wrong |= INT_END_BIT;
    } else if (s->sectors && s->writing) {
        s->ignoring = s->ignoring || !write_sectors(s, buffer, bytes);
    } else if (s->sectors) {
        s->wrong |= read_sectors(s, buffer, bytes) ? 0 : INT_DATA_CRC;
    } else if (s->writing) {
        sdbus_write_data(s->bus, buffer, bytes);
    } else {
        sdbus_read_data(s->bus, buffer, bytes);
    }
    s->wrong |= s->ignoring ? INT_DATA_CRC : 0;
    return true;
}

/* Whether the data are sectors of a card that has taken the command. */
static bool moves_sectors(C5Sdmmc *s, unsigned command, uint32_t response)
{
    return (command == CMD_READ_SINGLE || command == CMD_READ_MULTIPLE || command == CMD_WRITE_SINGLE ||
            command == CMD_WRITE_MULTIPLE) &&
           REG(BLKSIZ) == BLOCK_BYTES && !(response & R1_ERRORS) && s->position % BLOCK_BYTES == 0;
}

/* Whether a multi-block transfer can bypass QEMU's card: whole blocks, inside the card. */
static bool card_can_bypass(C5Sdmmc *s, unsigned command)
{
    bool write = command == CMD_WRITE_MULTIPLE;

    return s->blk && s->sectors && sdmmc_dma(s) && (write || command == CMD_READ_MULTIPLE) &&
           s->left && s->left % BLOCK_BYTES == 0 && s->position + s->left <= (uint64_t)MAX(blk_getlength(s->blk), 0) &&
           (!write || blk_is_writable(s->blk));
}

static void card_stop(C5Sdmmc *s)
{
    SDRequest request = { .cmd = CMD_STOP_TRANSMISSION };
    uint8_t response[16];

    if (!s->faults.pulled) {
        sdbus_do_command(s->bus, &request, response);
    }
}

/* ---- data phase ---- */

void sdmmc_data_abort(C5Sdmmc *s)
{
    s->data_phase = s->waiting = false;
    s->left = 0;
    timer_del(s->data_alarm);
}

static void data_end(C5Sdmmc *s)
{
    s->data_phase = false;
    if (s->auto_stop) {
        card_stop(s);
        REG(RINTSTS) |= INT_AUTO_STOP_DONE;
    } else if (s->ignoring && s->single) {
        card_stop(s);                   /* QEMU's card still waits for the block; a card on the metal does not */
    }
    REG(RINTSTS) |= INT_DATA_OVER | s->wrong;
}

static bool dma_buffer(C5Sdmmc *s, uint32_t address, uint32_t bytes)
{
    uint8_t buffer[DES_SIZE_MASK + 1];
    bool moved;

    bytes = MIN(bytes, s->left);
    if (!bytes) {
        return true;
    }
    if (s->writing) {
        address_space_read(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, buffer, bytes);
    }
    moved = card_transfer(s, buffer, bytes);
    if (!s->writing && moved) {
        address_space_write(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, buffer, bytes);
    }
    return moved;
}

static uint32_t dma_next(C5Sdmmc *s, uint32_t address, const uint32_t *des)
{
    if (des[0] & DES_RING_END) {
        return REG(DBADDR);
    }
    return des[0] & DES_CHAINED ? des[3] : address + 16 + BMOD_SKIP(REG(BMOD));
}

void sdmmc_dma_run(C5Sdmmc *s)
{
    uint32_t address = REG(DSCADDR), des[4];
    bool moved = true, last = false;

    for (int n = 0; s->left && moved && !last && n < MAX_DESCRIPTORS; n++) {
        address_space_read(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, des, sizeof(des));
        for (int i = 0; i < 4; i++) {
            des[i] = le32_to_cpu(des[i]);
        }
        if (!(des[0] & DES_OWN)) {
            REG(DSCADDR) = address;
            REG(IDSTS) |= ID_UNAVAILABLE | ID_ABNORMAL;
            return;                     /* goes on at a poll demand */
        }
        moved = dma_buffer(s, des[2], des[1] & DES_SIZE_MASK);
        if (moved && !(des[0] & DES_CHAINED)) {
            moved = dma_buffer(s, des[3], (des[1] >> 13) & DES_SIZE_MASK);
        }
        des[0] &= ~DES_OWN;
        address_space_stl_le(&address_space_memory, address, des[0], MEMTXATTRS_UNSPECIFIED, NULL);
        last = des[0] & DES_LAST;
        address = dma_next(s, address, des);
    }
    REG(DSCADDR) = address;
    if (moved) {
        REG(IDSTS) |= (s->writing ? ID_TRANSMITTED : ID_RECEIVED) | ID_NORMAL;
    }
    data_end(s);
}

static void data_start(C5Sdmmc *s)
{
    uint64_t bad;

    s->waiting = false;
    if (s->sectors && !s->writing &&
        !sdmmc_fault_readable(s, s->position / BLOCK_BYTES, DIV_ROUND_UP(s->left, BLOCK_BYTES), &bad)) {
        s->wrong |= INT_DATA_CRC;
        s->damaged = bad * BLOCK_BYTES;
    }
    if (sdmmc_dma(s)) {
        REG(DSCADDR) = REG(DBADDR);
        sdmmc_dma_run(s);
    } else {
        REG(RINTSTS) |= s->writing ? INT_TX_REQUEST : INT_RX_REQUEST;
    }
}

void sdmmc_data_alarm(void *opaque)
{
    C5Sdmmc *s = opaque;

    if (s->waiting) {
        timer_del(s->data_alarm);
        data_start(s);
        sdmmc_update_irq(s);
    }
}

void sdmmc_data_begin(C5Sdmmc *s, uint32_t command, uint32_t response)
{
    unsigned index = command & 0x3f;

    s->writing = command & CMD_WRITE;
    s->begins = true;
    s->auto_stop = command & CMD_AUTO_STOP;
    s->left = REG(BYTCNT);
    s->data_phase = true;
    s->waiting = s->ignoring = false;
    s->wrong = 0;
    s->damaged = UINT64_MAX;
    s->position = sdmmc_address(s, REG(CMDARG));
    s->single = index == CMD_READ_SINGLE || index == CMD_WRITE_SINGLE;
    s->sectors = moves_sectors(s, index, response);
    s->direct = card_can_bypass(s, index);
    if (!s->writing && !sdbus_data_ready(s->bus)) {
        REG(RINTSTS) |= INT_DATA_TIMEOUT;
        s->data_phase = false;
    } else if (s->faults.block_ns && s->sectors) {
        s->waiting = true;
        s->data_due = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + s->left / BLOCK_BYTES * s->faults.block_ns;
        timer_mod(s->data_alarm, s->data_due);
    } else {
        data_start(s);
    }
}

/* ---- FIFO (programmed I/O) ---- */

uint32_t sdmmc_fifo_access(C5Sdmmc *s, bool write, uint32_t word)
{
    uint8_t bytes[4] = { 0 };
    bool moved;

    if (!s->data_phase || s->waiting || s->writing != write || !s->left) {
        return 0;
    }
    stl_le_p(bytes, word);
    moved = card_transfer(s, bytes, MIN(s->left, 4));
    if (s->left && moved) {
        REG(RINTSTS) |= write ? INT_TX_REQUEST : INT_RX_REQUEST;
    } else {
        data_end(s);
    }
    return ldl_le_p(bytes);
}

uint32_t sdmmc_fifo_status(C5Sdmmc *s)
{
    uint32_t words = s->data_phase && !s->waiting && !s->writing ? MIN(s->left / 4, FIFO_WORDS - 1) : 0;

    return words << STATUS_COUNT_SHIFT | (words ? STATUS_RX_WATERMARK : STATUS_EMPTY) | STATUS_TX_WATERMARK |
           (s->faults.pulled ? 0 : STATUS_CARD_PRESENT);
}
