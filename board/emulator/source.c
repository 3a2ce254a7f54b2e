/*
 * The capture source in the fabric: a pattern generator with a FIFO. Registers: docs/interfaces.md, "Fabric registers";
 * used by recipes/capture-ring.
 *
 * The generator runs in virtual time and is analytic: nothing happens between two events. The FIFO holds no data but the
 * runs of word numbers that are in it; a word is made from its number when the DMA takes it. Words that find the FIFO
 * full are counted and skipped, and the first word behind them carries error bit 0. With RATE 0 a word is made whenever
 * the DMA wants one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "cyclone5.h"
#include "prbs31.h"

enum { CONTROL = 0x00, STATUS = 0x04, PATTERN = 0x08, RATE = 0x0c, FIFO_BYTES = 0x10, FIFO_LEVEL = 0x14,
       LOST_LOW = 0x18, LOST_HIGH = 0x1c, PRODUCED_LOW = 0x20, PRODUCED_HIGH = 0x24, REGISTERS_END = 0x40 };

#define CONTROL_RUN        (1u << 0)
#define CONTROL_CLEAR      (1u << 1)
#define STATUS_RUNNING     (1u << 0)
#define STATUS_OVERFLOWED  (1u << 1)
#define PATTERN_COUNTER    0
#define PATTERN_PRBS31     1
#define ERROR_GAP          (1u << 0)
#define MAX_RUNS           1024     /* more gaps than that inside the FIFO become one */

typedef struct {
    uint64_t first;             /* word number */
    uint32_t bytes;
    bool gap;                   /* words were lost before the first */
} Run;

struct C5Source {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    uint32_t fifo_bytes;
    bool running, overflowed, gap_next;
    uint32_t pattern, rate;
    uint64_t produced, lost;    /* bytes since CLEAR; the next word's number is produced / 4 */
    uint64_t base;              /* `produced` at `epoch` */
    int64_t epoch;              /* virtual ns */
    uint32_t level;             /* bytes in the runs */
    uint32_t lost_high, produced_high;
    Run runs[MAX_RUNS];
    unsigned head, count;
    Prbs31 prbs;
    uint32_t state;             /* of the PRBS before word `state_index` */
    uint64_t state_index;
    void (*before)(void *);
    void (*after)(void *);
    void *opaque;
};

static void source_rebase(C5Source *s, int64_t now)
{
    s->base = s->produced;
    s->epoch = now;
}

static void source_accept(C5Source *s, uint32_t bytes)
{
    Run *last = s->count ? &s->runs[(s->head + s->count - 1) % MAX_RUNS] : NULL;

    if (!bytes) {
        return;
    }
    if (last && !s->gap_next) {
        last->bytes += bytes;
    } else {
        s->runs[(s->head + s->count++) % MAX_RUNS] = (Run) {
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

void cyclone5_source_advance(C5Source *s, int64_t now, uint32_t drain)
{
    uint64_t made, room = (uint64_t)s->fifo_bytes + drain - MIN((uint64_t)s->fifo_bytes + drain, s->level);

    if (!s->running || !s->rate || now <= s->epoch) {
        return;
    }
    made = s->base + (muldiv64(now - s->epoch, s->rate, NANOSECONDS_PER_SECOND) & ~3ull) - s->produced;
    if (s->count == MAX_RUNS && s->gap_next) {
        room = 0;
    }
    source_accept(s, MIN(made, room & ~3ull));
    source_lose(s, made - MIN(made, room & ~3ull));
}

uint32_t cyclone5_source_level(C5Source *s, int64_t now, uint32_t wanted)
{
    uint64_t made = 0;

    if (s->running && !s->rate) {
        return wanted;
    }
    if (s->running && now > s->epoch) {
        made = s->base + (muldiv64(now - s->epoch, s->rate, NANOSECONDS_PER_SECOND) & ~3ull) - s->produced;
    }
    return MIN(s->level + made, wanted);
}

int64_t cyclone5_source_ready_at(C5Source *s, int64_t now, uint32_t bytes)
{
    uint64_t wanted;

    if (bytes <= s->level || (s->running && !s->rate)) {
        return now;
    }
    if (!s->running) {
        return INT64_MAX;
    }
    wanted = s->produced + (bytes - s->level) - s->base;
    return MAX(now, s->epoch + (int64_t)muldiv64(wanted, NANOSECONDS_PER_SECOND, s->rate) + 1);
}

static void source_write_words(C5Source *s, uint32_t *to, uint64_t first, uint32_t words)
{
    if (s->pattern == PATTERN_COUNTER) {
        for (uint32_t i = 0; i < words; i++) {
            stl_le_p(to + i, (uint32_t)(first + i));
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

uint32_t cyclone5_source_take(C5Source *s, uint32_t *to, uint32_t bytes)
{
    uint32_t error = 0;

    if (s->running && !s->rate && bytes > s->level) {
        source_accept(s, bytes - s->level);
    }
    while (bytes && s->count) {
        Run *run = &s->runs[s->head];
        uint32_t part = MIN(bytes, run->bytes);

        if (run->gap) {
            error |= ERROR_GAP;
            run->gap = false;
        }
        if (to) {
            source_write_words(s, to, run->first, part / 4);
            to += part / 4;
        }
        run->first += part / 4;
        run->bytes -= part;
        s->level -= part;
        bytes -= part;
        if (!run->bytes) {
            s->head = (s->head + 1) % MAX_RUNS;
            s->count--;
        }
    }
    return error;
}

static void source_clear(C5Source *s)
{
    s->produced = s->lost = s->base = 0;
    s->level = s->head = s->count = 0;
    s->overflowed = s->gap_next = false;
    s->state = PRBS31_SEED;
    s->state_index = 0;
}

static uint32_t source_register(C5Source *s, hwaddr offset)
{
    switch (offset) {
    case CONTROL:
        return s->running ? CONTROL_RUN : 0;
    case STATUS:
        return (s->running ? STATUS_RUNNING : 0) | (s->overflowed ? STATUS_OVERFLOWED : 0);
    case PATTERN:
        return s->pattern;
    case RATE:
        return s->rate;
    case FIFO_BYTES:
        return s->fifo_bytes;
    case FIFO_LEVEL:
        return s->level;
    case LOST_LOW:
        s->lost_high = s->lost >> 32;
        return s->lost;
    case LOST_HIGH:
        return s->lost_high;
    case PRODUCED_LOW:
        s->produced_high = s->produced >> 32;
        return s->produced;
    case PRODUCED_HIGH:
        return s->produced_high;
    default:
        return 0;
    }
}

static uint64_t source_read(void *opaque, hwaddr offset, unsigned size)
{
    C5Source *s = opaque;
    uint32_t word;

    s->before(s->opaque);
    word = source_register(s, offset & ~3);
    s->after(s->opaque);
    return c5_lanes_read(word, offset);
}

static void source_control(C5Source *s, uint32_t new)
{
    if ((new & CONTROL_CLEAR) && !s->running && !(new & CONTROL_RUN)) {
        source_clear(s);
    } else if (new & CONTROL_CLEAR) {
        qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_SOURCE ": CLEAR while running is ignored\n");
    }
    s->running = new & CONTROL_RUN;
}

static void source_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Source *s = opaque;

    s->before(s->opaque);
    switch (offset & ~3) {
    case CONTROL:
        source_control(s, value);
        break;
    case PATTERN:
        s->pattern = value & PATTERN_PRBS31;
        s->state_index = UINT64_MAX;
        break;
    case RATE:
        s->rate = c5_lanes_write(s->rate, offset, value, size);
        break;
    }
    source_rebase(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    s->after(s->opaque);
}

C5_REGISTER_OPS(source_ops, source_read, source_write);

void cyclone5_source_connect(C5Source *s, void (*before)(void *), void (*after)(void *), void *opaque)
{
    s->before = before;
    s->after = after;
    s->opaque = opaque;
}

static C5_RESET_PHASE(source_reset)
{
    C5Source *s = C5_SOURCE(obj);

    s->running = false;
    s->pattern = PATTERN_COUNTER;
    s->rate = 0;
    s->lost_high = s->produced_high = 0;
    source_clear(s);
}

static void source_realize(DeviceState *dev, Error **errp)
{
    C5Source *s = C5_SOURCE(dev);

    if (!s->fifo_bytes || s->fifo_bytes % 4) {
        error_setg(errp, TYPE_C5_SOURCE ".fifo-bytes is %u (valid: a multiple of 4)", s->fifo_bytes);
        return;
    }
    prbs31_init(&s->prbs);
    memory_region_init_io(&s->iomem, OBJECT(s), &source_ops, s, TYPE_C5_SOURCE, REGISTERS_END);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
}

C5_PROPERTIES source_properties[] = {
    DEFINE_PROP_UINT32("fifo-bytes", C5Source, fifo_bytes, 256 * KiB),
    C5_PROPERTIES_END
};

static void source_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = source_realize;
    device_class_set_props(dc, source_properties);
    RESETTABLE_CLASS(klass)->phases.hold = source_reset;
}

static const TypeInfo source_types[] = {
    {
        .name = TYPE_C5_SOURCE,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Source),
        .class_init = source_class_init,
    },
};
DEFINE_TYPES(source_types)
