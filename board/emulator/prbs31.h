/*
 * PRBS-31 (ITU-T O.150): x[n] = x[n-28] ^ x[n-31], 32 bits a word, most significant bit first.
 *
 * A state is the last 31 bits, the oldest in bit 30; the seed is all ones. One word takes two steps of 28 and 4 bits,
 * for the recurrence reaches back at least 28 bits. `prbs31_at` jumps to any word by powers of the state's matrix.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_PRBS31_H
#define CYCLONE5_PRBS31_H

#include "qemu/osdep.h"

#define PRBS31_SEED  0x7fffffffu
#define PRBS31_BITS  31
#define PRBS31_JUMPS 62             /* jumps of 2^0 .. 2^61 words */

typedef struct {
    uint32_t columns[PRBS31_JUMPS][PRBS31_BITS];
} Prbs31;

static inline uint32_t prbs31_word(uint32_t *state)
{
    uint32_t high = ((*state >> 3) ^ *state) & 0x0fffffff;
    uint32_t middle = ((*state << 28) | high) & PRBS31_SEED;
    uint32_t low = (((middle >> 3) ^ middle) >> 24) & 0xf;

    *state = ((middle << 4) | low) & PRBS31_SEED;
    return high << 4 | low;
}

static inline uint32_t prbs31_multiply(const uint32_t *columns, uint32_t state)
{
    uint32_t product = 0;

    for (int bit = 0; bit < PRBS31_BITS; bit++) {
        product ^= columns[bit] & -((state >> bit) & 1);
    }
    return product;
}

static inline void prbs31_init(Prbs31 *p)
{
    for (int bit = 0; bit < PRBS31_BITS; bit++) {
        uint32_t state = 1u << bit;

        prbs31_word(&state);
        p->columns[0][bit] = state;
    }
    for (int jump = 1; jump < PRBS31_JUMPS; jump++) {
        for (int bit = 0; bit < PRBS31_BITS; bit++) {
            p->columns[jump][bit] = prbs31_multiply(p->columns[jump - 1], p->columns[jump - 1][bit]);
        }
    }
}

/* The state before word `index`, counted from the seed. */
static inline uint32_t prbs31_at(const Prbs31 *p, uint64_t index)
{
    uint32_t state = PRBS31_SEED;

    for (int jump = 0; jump < PRBS31_JUMPS && index >> jump; jump++) {
        if ((index >> jump) & 1) {
            state = prbs31_multiply(p->columns[jump], state);
        }
    }
    return state;
}

#endif
