/*
 * SD/MMC host, data phase: the card, the internal DMA controller, the FIFO. See sdmmc.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sdmmc.h"

/* ---- the card ---- */

static bool card_transfer(C5Sdmmc *s, void *buffer, uint32_t bytes)
{
    int failed = 0;

    if (!s->direct && s->writing) {
        sdbus_write_data(s->bus, buffer, bytes);
    } else if (!s->direct) {
        sdbus_read_data(s->bus, buffer, bytes);
    } else if (s->writing) {
        failed = blk_pwrite(s->blk, s->direct_offset, bytes, buffer, 0);
    } else {
        failed = blk_pread(s->blk, s->direct_offset, bytes, buffer, 0);
    }
    s->direct_offset += bytes;
    s->left -= bytes;
    return failed >= 0;
}

/* Whether a multi-block transfer can bypass QEMU's card: whole blocks, inside the card, which has taken the command. */
static bool card_can_bypass(C5Sdmmc *s, unsigned command, uint32_t response)
{
    uint64_t offset = s->high_capacity ? (uint64_t)REG(CMDARG) * BLOCK_BYTES : REG(CMDARG);
    bool write = command == CMD_WRITE_MULTIPLE;

    s->direct_offset = offset;
    return s->blk && sdmmc_dma(s) && (write || command == CMD_READ_MULTIPLE) && REG(BLKSIZ) == BLOCK_BYTES &&
           s->left && s->left % BLOCK_BYTES == 0 && !(response & R1_ERRORS) &&
           offset + s->left <= MAX(blk_getlength(s->blk), 0) && (!write || blk_is_writable(s->blk));
}

static void card_stop(C5Sdmmc *s)
{
    SDRequest request = { .cmd = CMD_STOP_TRANSMISSION };
    uint8_t response[16];

    sdbus_do_command(s->bus, &request, response);
}

/* ---- data phase ---- */

static void data_end(C5Sdmmc *s)
{
    s->data_phase = false;
    if (s->auto_stop) {
        card_stop(s);
        REG(RINTSTS) |= INT_AUTO_STOP_DONE;
    }
    REG(RINTSTS) |= INT_DATA_OVER;
}

static bool dma_buffer(C5Sdmmc *s, uint32_t address, uint32_t bytes)
{
    uint8_t buffer[DES_SIZE_MASK + 1];
    bool good;

    bytes = MIN(bytes, s->left);
    if (!bytes) {
        return true;
    }
    if (s->writing) {
        address_space_read(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, buffer, bytes);
    }
    good = card_transfer(s, buffer, bytes);
    if (!s->writing) {
        address_space_write(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, buffer, bytes);
    }
    return good;
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
    bool good = true, last = false;

    for (int n = 0; s->left && good && !last && n < MAX_DESCRIPTORS; n++) {
        address_space_read(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, des, sizeof(des));
        for (int i = 0; i < 4; i++) {
            des[i] = le32_to_cpu(des[i]);
        }
        if (!(des[0] & DES_OWN)) {
            REG(DSCADDR) = address;
            REG(IDSTS) |= ID_UNAVAILABLE | ID_ABNORMAL;
            return;                     /* goes on at a poll demand */
        }
        good = dma_buffer(s, des[2], des[1] & DES_SIZE_MASK);
        if (good && !(des[0] & DES_CHAINED)) {
            good = dma_buffer(s, des[3], (des[1] >> 13) & DES_SIZE_MASK);
        }
        des[0] &= ~DES_OWN;
        address_space_stl_le(&address_space_memory, address, des[0], MEMTXATTRS_UNSPECIFIED, NULL);
        last = des[0] & DES_LAST;
        address = dma_next(s, address, des);
    }
    REG(DSCADDR) = address;
    REG(IDSTS) |= (s->writing ? ID_TRANSMITTED : ID_RECEIVED) | ID_NORMAL;
    if (!good) {
        REG(RINTSTS) |= INT_DATA_CRC;
    }
    data_end(s);
}

void sdmmc_data_begin(C5Sdmmc *s, uint32_t command, uint32_t response)
{
    s->writing = command & CMD_WRITE;
    s->auto_stop = command & CMD_AUTO_STOP;
    s->left = REG(BYTCNT);
    s->data_phase = true;
    s->direct = card_can_bypass(s, command & 0x3f, response);
    if (!s->writing && !sdbus_data_ready(s->bus)) {
        REG(RINTSTS) |= INT_DATA_TIMEOUT;
        s->data_phase = false;
    } else if (sdmmc_dma(s)) {
        REG(DSCADDR) = REG(DBADDR);
        sdmmc_dma_run(s);
    } else {
        REG(RINTSTS) |= s->writing ? INT_TX_REQUEST : INT_RX_REQUEST;
    }
}

/* ---- FIFO (programmed I/O) ---- */

uint32_t sdmmc_fifo_access(C5Sdmmc *s, bool write, uint32_t word)
{
    uint8_t bytes[4] = { 0 };

    if (!s->data_phase || s->writing != write || !s->left) {
        return 0;
    }
    stl_le_p(bytes, word);
    card_transfer(s, bytes, MIN(s->left, 4));
    if (s->left) {
        REG(RINTSTS) |= write ? INT_TX_REQUEST : INT_RX_REQUEST;
    } else {
        data_end(s);
    }
    return ldl_le_p(bytes);
}

uint32_t sdmmc_fifo_status(C5Sdmmc *s)
{
    uint32_t words = s->data_phase && !s->writing ? MIN(s->left / 4, FIFO_WORDS - 1) : 0;

    return words << STATUS_COUNT_SHIFT | (words ? STATUS_RX_WATERMARK : STATUS_EMPTY) | STATUS_TX_WATERMARK |
           STATUS_CARD_PRESENT;
}
