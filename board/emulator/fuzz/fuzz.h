/*
 * The fuzzer's parts (see fuzz.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_FUZZ_H
#define CYCLONE5_FUZZ_H

#include "../cyclone5.h"

#define TYPE_C5_FUZZ          "cyclone5-fuzz"
#define FUZZ_PLAY_BYTES       (256 * KiB)   /* memory, from 0, that is filled with values */
#define FUZZ_BITSTREAM_BYTES  64            /* the machine is started with cyclone5-fpgamgr.stand-in-bytes=64 */

OBJECT_DECLARE_SIMPLE_TYPE(C5Fuzz, C5_FUZZ)

/* A number below `limit`; a value that a register might make something of. */
uint64_t fuzz_below(C5Fuzz *s, uint64_t limit);
uint64_t fuzz_value(C5Fuzz *s);

uint32_t fuzz_read_word(uint32_t address);
void fuzz_write_word(uint32_t address, uint32_t value);

/* Let that much virtual time pass. */
void fuzz_step(uint64_t ns);

void fuzz_prime_fabric(void);
void fuzz_prime_card(C5Fuzz *s);
void fuzz_prime_network(C5Fuzz *s);
void fuzz_prime_msgdma(C5Fuzz *s);

#endif
