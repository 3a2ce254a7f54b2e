/*
 * What random accesses do not find by themselves: the sequences after which a device of the machine moves data. The FPGA
 * is configured and its bridge opened (TRM "FPGA Manager", "HPS-FPGA Bridges"), the card is brought into its transfer
 * state and asked for blocks by DMA (TRM "SD/MMC Controller"; SD Physical Layer specification), the Ethernet DMA is
 * started on rings in the fuzzed memory (TRM "Ethernet Media Access Controller"), the mSGDMA gets descriptors (Embedded
 * Peripherals IP User Guide). Addresses, lengths and flags are random all the same.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"

#define STAND_IN  0x6e617473      /* as a stand-in bitstream begins: fpgamgr.c */
#define SDMMC(offset)   (C5_SDMMC_BASE + (offset))
#define EMAC(offset)    (C5_EMAC1_BASE + (offset))
#define MSGDMA(offset)  (C5_LWBRIDGE_BASE + 0x100 + (offset))      /* the place of the board files */
#define COMMAND_NS      (100 * SCALE_US)
#define COMMAND         0xa0002040u     /* start, hold register, response expected, wait for data before */
#define COMMAND_LONG    0xa00020c0u
#define COMMAND_READ    0xa0002240u
#define COMMAND_WRITE   0xa0002640u
#define CARD_READY      0x40ff8000u     /* argument of ACMD41 */

static void write_all(const uint32_t (*sequence)[2], size_t count)
{
    for (size_t n = 0; n < count; n++) {
        fuzz_write_word(sequence[n][0], sequence[n][1]);
    }
}

void fuzz_prime_fabric(void)
{
    static const uint32_t reset[][2] = {
        { C5_FPGAMGR_BASE + 0x4, 0x3c5 }, { C5_FPGAMGR_BASE + 0x4, 0x3c1 },
    };
    static const uint32_t start[][2] = {
        { C5_FPGAMGR_BASE + 0x8, 4 }, { C5_FPGAMGR_BASE + 0x8, 0x5000 }, { C5_FPGAMGR_BASE + 0x4, 0 },
        { C5_RSTMGR_BASE + 0x1c, 0 }, { C5_L3_BASE, 0x19 },
    };

    write_all(reset, ARRAY_SIZE(reset));
    for (unsigned n = 0; n < FUZZ_BITSTREAM_BYTES / 4; n++) {
        fuzz_write_word(C5_FPGADATA_BASE, STAND_IN);
    }
    write_all(start, ARRAY_SIZE(start));
}

static void command(uint32_t word, uint32_t argument)
{
    fuzz_write_word(SDMMC(0x28), argument);
    fuzz_write_word(SDMMC(0x2c), word);
    fuzz_step(COMMAND_NS);
}

void fuzz_prime_card(C5Fuzz *s)
{
    uint32_t blocks = 1 + fuzz_below(s, 16), write = fuzz_below(s, 2), many = fuzz_below(s, 2);

    command(COMMAND & ~0x40u, 0);               /* CMD0 */
    command(COMMAND | 8, 0x1aa);
    command(COMMAND | 55, 0);
    command(COMMAND | 41, CARD_READY);
    command(COMMAND_LONG | 2, 0);
    command(COMMAND | 3, 0);
    command(COMMAND | 7, fuzz_read_word(SDMMC(0x30)) & 0xffff0000u);
    fuzz_write_word(SDMMC(0x00), fuzz_below(s, 4) ? 0x02000010 : 0x10);     /* internal DMA or FIFO, interrupts */
    fuzz_write_word(SDMMC(0x80), 0x82);
    fuzz_write_word(SDMMC(0x88), fuzz_below(s, FUZZ_PLAY_BYTES) & ~15u);
    fuzz_write_word(SDMMC(0x1c), 512);
    fuzz_write_word(SDMMC(0x20), fuzz_below(s, 8) ? blocks * 512 : fuzz_value(s));
    command((write ? COMMAND_WRITE | 24 : COMMAND_READ | 17) + many, fuzz_below(s, 32 * KiB));
}

void fuzz_prime_network(C5Fuzz *s)
{
    fuzz_write_word(EMAC(0x1000), fuzz_below(s, 2) << 7);
    fuzz_write_word(EMAC(0x100c), fuzz_below(s, FUZZ_PLAY_BYTES) & ~15u);
    fuzz_write_word(EMAC(0x1010), fuzz_below(s, FUZZ_PLAY_BYTES) & ~15u);
    fuzz_write_word(EMAC(0x0004), fuzz_below(s, 2) ? 0x80000001 : fuzz_value(s));
    fuzz_write_word(EMAC(0x0000), fuzz_below(s, 4) ? 0x40c : 0x140c);
    fuzz_write_word(EMAC(0x1018), 0x2002);
    fuzz_write_word(EMAC(0x1004), 1);
    fuzz_write_word(EMAC(0x1008), 1);
}

void fuzz_prime_msgdma(C5Fuzz *s)
{
    fuzz_write_word(C5_LWBRIDGE_BASE + 0x40, 2);
    fuzz_write_word(C5_LWBRIDGE_BASE + 0x4c, fuzz_below(s, 2) ? 0 : fuzz_value(s));
    fuzz_write_word(C5_LWBRIDGE_BASE + 0x40, 1);
    fuzz_write_word(MSGDMA(4), fuzz_below(s, 2) ? 0x10 : fuzz_value(s) & ~2u);
    for (uint64_t n = 1 + fuzz_below(s, 20); n; n--) {
        fuzz_write_word(MSGDMA(0x24), fuzz_value(s));
        fuzz_write_word(MSGDMA(0x28), fuzz_below(s, 4) ? fuzz_below(s, 64 * KiB) : fuzz_value(s));
        fuzz_write_word(MSGDMA(0x3c), 1u << 31 | fuzz_value(s));
    }
}
