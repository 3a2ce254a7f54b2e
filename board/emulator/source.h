/*
 * The capture source, between the mSGDMA, which drives the simulation of the fabric in virtual time (msgdma.c), the
 * generator (source.c) and its registers (source_registers.c).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_SOURCE_H
#define CYCLONE5_SOURCE_H

#include "cyclone5.h"
#include "prbs31.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Source, C5_SOURCE)

#define SOURCE_ERROR_GAP  (1u << 0)     /* Avalon-ST error bit: words were lost before this one */
#define SOURCE_MAX_RUNS   1024          /* more gaps than that inside the FIFO become one */

enum { PATTERN_COUNTER, PATTERN_PRBS31, PATTERN_RAMP, PATTERNS };

typedef struct {
    uint64_t first;             /* word number */
    uint32_t bytes;
    bool gap;                   /* words were lost before the first */
} Run;

struct C5Source {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    uint32_t fifo_bytes;
    bool running, mute, overflowed, gap_next;
    uint32_t pattern, rate, frame_bytes;
    uint64_t produced, lost;    /* bytes since CLEAR; the next word's number is produced / 4 */
    uint64_t base;              /* `produced` at `epoch` */
    int64_t epoch;              /* virtual ns */
    uint32_t level;             /* bytes in the runs */
    uint32_t lost_high, produced_high;
    Run runs[SOURCE_MAX_RUNS];
    unsigned head, count;
    Prbs31 prbs;
    uint32_t state;             /* of the PRBS before word `state_index` */
    uint64_t state_index;
    uint64_t drop_bytes;        /* fault: still to be lost */
    uint64_t dropped_bytes;     /* fault: lost so far, since power-on */
    uint64_t flip_words;        /* fault: still to be made with bit 0 inverted */
    uint64_t flipped_words;     /* fault: so made, since power-on */
    void (*before)(void *);
    void (*after)(void *);
    void *opaque;
};

/* What the DMA got: bytes, Avalon-ST error bits of all words, and was the last word the last one of its frame. */
typedef struct {
    uint32_t bytes, error;
    bool end_of_packet;
} Taken;

/* Generate up to `now`; the DMA takes `drain` bytes meanwhile, so that the FIFO holds that much more. */
void cyclone5_source_advance(C5Source *s, int64_t now, uint32_t drain);

/* Bytes up to the end of the packet that the next word belongs to, at most `wanted`; some may not be made yet. */
uint32_t cyclone5_source_packet(C5Source *s, uint32_t wanted);

/* Bytes that can be taken at `now`, at most `wanted`. */
uint32_t cyclone5_source_level(C5Source *s, int64_t now, uint32_t wanted);

/* Virtual time, not before `now`, before which `bytes` cannot be taken; INT64_MAX: never. */
int64_t cyclone5_source_ready_at(C5Source *s, int64_t now, uint32_t bytes);

/* Move `bytes` (a multiple of 4, at most the level) to `to`, or away when it is NULL. */
Taken cyclone5_source_take(C5Source *s, uint32_t *to, uint32_t bytes);

/* What to call before and after software, or a fault, touches the source. */
void cyclone5_source_connect(C5Source *s, void (*before)(void *), void (*after)(void *), void *opaque);

void source_rebase(C5Source *s, int64_t now);
void source_clear(C5Source *s);

#endif
