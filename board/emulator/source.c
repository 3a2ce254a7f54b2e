/*
 * The capture source in the fabric: a pattern generator with a FIFO. Registers: docs/interfaces.md, "Fabric registers"
 * (source_registers.c); used by recipes/capture-ring.
 *
 * The generator runs in virtual time and is analytic: nothing happens between two events. The FIFO holds no data but the
 * runs of word numbers that are in it; a word is made from its number when the DMA takes it, and so is its end-of-packet
 * mark. Words that find the FIFO full are counted and skipped, marks included, and the first word behind them carries
 * error bit 0. With RATE 0 a word is made whenever the DMA wants one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "source.h"

/* Latest time that is told apart from never. */
#define FAR_FUTURE  (INT64_MAX / 2)

void source_rebase(C5Source *s, int64_t now)
{
    s->base = s->produced;
    s->epoch = now;
}

/* Bytes that the generator has made by `now` and that `produced` does not count yet. */
static uint64_t source_made(C5Source *s, int64_t now)
{
    uint64_t total;

    if (!s->running || !s->rate || now <= s->epoch) {
        return 0;
    }
    total = s->base + (muldiv64(now - s->epoch, s->rate, NANOSECONDS_PER_SECOND) & ~3ull);
    return total - MIN(total, s->produced);
}

/* No run is left for words behind a gap. */
static bool source_runs_full(C5Source *s)
{
    return s->gap_next && s->count == SOURCE_MAX_RUNS;
}

static void source_accept(C5Source *s, uint32_t bytes)
{
    Run *last = s->count ? &s->runs[(s->head + s->count - 1) % SOURCE_MAX_RUNS] : NULL;

    if (!bytes) {
        return;
    }
    if (last && !s->gap_next) {
        last->bytes += bytes;
    } else {
        s->runs[(s->head + s->count++) % SOURCE_MAX_RUNS] = (Run) {
            .first = s->produced / 4, .bytes = bytes, .gap = s->gap_next,
        };
        s->gap_next = false;
    }
    s->level += bytes;
    s->produced += bytes;
}

static void source_lose(C5Source *s, uint64_t bytes)
{
    if (bytes) {
        s->lost += bytes;
        s->produced += bytes;
        s->overflowed = true;
        s->gap_next = true;
    }
}

/* Of `made` bytes, those that no fault takes away. */
static uint64_t source_drop(C5Source *s, uint64_t made)
{
    uint64_t dropped = MIN(made, s->drop_bytes);

    source_lose(s, dropped);
    s->drop_bytes -= dropped;
    s->dropped_bytes += dropped;
    return made - dropped;
}

void cyclone5_source_advance(C5Source *s, int64_t now, uint32_t drain)
{
    uint64_t made = source_drop(s, source_made(s, now));
    uint64_t held = (uint64_t)s->fifo_bytes + drain;
    uint64_t room = source_runs_full(s) ? 0 : (held - MIN(held, s->level)) & ~3ull;

    source_accept(s, MIN(made, room));
    source_lose(s, made - MIN(made, room));
}

/* Bytes from word `number` to the end of its frame. */
static uint64_t source_frame_rest(C5Source *s, uint64_t number)
{
    return s->frame_bytes - number * 4 % s->frame_bytes;
}

uint32_t cyclone5_source_packet(C5Source *s, uint32_t wanted)
{
    uint64_t bytes = 0;

    if (!s->frame_bytes) {
        return wanted;
    }
    for (unsigned i = 0; i < s->count && bytes < wanted; i++) {
        const Run *run = &s->runs[(s->head + i) % SOURCE_MAX_RUNS];
        uint64_t rest = source_frame_rest(s, run->first);

        if (rest <= run->bytes) {
            return MIN(bytes + rest, wanted);
        }
        bytes += run->bytes;
    }
    return MIN(bytes + source_frame_rest(s, (s->produced + s->drop_bytes) / 4), wanted);
}

uint32_t cyclone5_source_level(C5Source *s, int64_t now, uint32_t wanted)
{
    uint64_t made = source_made(s, now);

    if (s->running && !s->rate) {
        return wanted;
    }
    made -= MIN(made, s->drop_bytes);
    return MIN(s->level + (source_runs_full(s) ? 0 : made), wanted);
}

int64_t cyclone5_source_ready_at(C5Source *s, int64_t now, uint32_t bytes)
{
    unsigned __int128 wait;

    if (bytes <= s->level || (s->running && !s->rate)) {
        return now;
    }
    if (!s->running) {
        return INT64_MAX;
    }
    wait = (unsigned __int128)(s->produced - s->base + s->drop_bytes + bytes - s->level) * NANOSECONDS_PER_SECOND /
           s->rate + 1;
    return wait > FAR_FUTURE ? INT64_MAX : MAX(now, s->epoch + (int64_t)wait);
}

static void source_write_words(C5Source *s, uint32_t *to, uint64_t first, uint32_t words)
{
    if (s->pattern == PATTERN_COUNTER) {
        for (uint32_t i = 0; i < words; i++) {
            stl_le_p(to + i, (uint32_t)(first + i));
        }
        return;
    }
    if (s->pattern == PATTERN_RAMP) {
        for (uint32_t i = 0; i < words; i++) {
            uint16_t sample = 2 * (first + i);

            stl_le_p(to + i, (uint32_t)(sample | 1) << 16 | sample);
        }
        return;
    }
    if (s->state_index != first) {
        s->state = prbs31_at(&s->prbs, first);
    }
    for (uint32_t i = 0; i < words; i++) {
        stl_le_p(to + i, prbs31_word(&s->state));
    }
    s->state_index = first + words;
}

/* A fault: wrong samples, with nothing that says so. */
static void source_flip(C5Source *s, uint32_t *words, uint32_t count)
{
    uint32_t flipped = MIN(count, s->flip_words);

    for (uint32_t i = 0; i < flipped; i++) {
        words[i] ^= const_le32(1);
    }
    s->flip_words -= flipped;
    s->flipped_words += flipped;
}

/* The next words of the first run; it goes when it is empty. */
static void source_take_run(C5Source *s, uint32_t *to, uint32_t bytes, Taken *taken)
{
    Run *run = &s->runs[s->head];

    taken->error |= run->gap && !s->mute ? SOURCE_ERROR_GAP : 0;
    run->gap = false;
    if (to) {
        source_write_words(s, to + taken->bytes / 4, run->first, bytes / 4);
        source_flip(s, to + taken->bytes / 4, bytes / 4);
    }
    run->first += bytes / 4;
    run->bytes -= bytes;
    s->level -= bytes;
    taken->bytes += bytes;
    taken->end_of_packet = s->frame_bytes && run->first * 4 % s->frame_bytes == 0;
    if (!run->bytes) {
        s->head = (s->head + 1) % SOURCE_MAX_RUNS;
        s->count--;
    }
}

Taken cyclone5_source_take(C5Source *s, uint32_t *to, uint32_t bytes)
{
    Taken taken = { 0 };

    if (s->running && !s->rate && bytes > s->level) {
        source_drop(s, s->drop_bytes);
        source_accept(s, bytes - s->level);
    }
    while (taken.bytes < bytes && s->count) {
        source_take_run(s, to, MIN(bytes - taken.bytes, s->runs[s->head].bytes), &taken);
    }
    return taken;
}

void source_clear(C5Source *s)
{
    s->produced = s->lost = s->base = 0;
    s->level = s->head = s->count = 0;
    s->overflowed = s->gap_next = false;
    s->state = PRBS31_SEED;
    s->state_index = 0;
}

void cyclone5_source_connect(C5Source *s, void (*before)(void *), void (*after)(void *), void *opaque)
{
    s->before = before;
    s->after = after;
    s->opaque = opaque;
}
