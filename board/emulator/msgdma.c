/*
 * Modular Scatter-Gather DMA. Embedded Peripherals IP User Guide, "Modular Scatter-Gather DMA Core"; used by
 * recipes/capture-ring (the instance from the capture source to memory) and, from memory to memory, by Linux's
 * altera-msgdma.c.
 *
 * One descriptor is active besides those in the FIFO; with the response FIFO (twice as deep) full, the next one waits.
 * The masters move `bytes-per-second` of virtual time at most, which also gives each descriptor a duration when the
 * source has all its data at once. They see the SDRAM and nothing else, as through the FPGA-to-SDRAM port.
 *
 * Built as: extended descriptors (property `extended`), memory-mapped responses, no programmable burst, no stride, no
 * pre-fetcher. From the stream: 32-bit words, full accesses only, packets and error bits. Memory to memory: unaligned
 * accesses, no packets, so that responses say 0 bytes. As in the RTL, a length of 0 hangs until reset.
 *
 * The simulation is event-driven: `msgdma_advance` plays all completions up to the current virtual time in order, each at
 * its own time, whenever the timer fires or software touches a register here or in the source. Samples go straight into
 * the guest's memory.
 *
 * Not modelled: the stall of a CPU that writes a descriptor to a full FIFO (the descriptor is lost, and logged); parking
 * one master of a memory-to-memory pair.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "msgdma.h"

#define RESET_NS    500         /* a burst that is on its way ends first */
#define COPY_BYTES  (64 * KiB)

static int64_t msgdma_duration(const C5Msgdma *s, uint32_t bytes)
{
    return muldiv64(bytes, NANOSECONDS_PER_SECOND, s->bytes_per_second) + 1;
}

/* A parked descriptor stays in the FIFO while it is the only one. */
static bool msgdma_parked(const C5Msgdma *s, uint32_t control)
{
    uint32_t park = s->source ? PARK_WRITES : PARK_READS | PARK_WRITES;

    return s->queued == 1 && (control & park) == park;
}

/*
 * A line that a CPU's cache still holds hides what the DMA has written. There is no cache here: the line is read before
 * the descriptor's data come, and put back when they have.
 */
static void msgdma_keep_line(C5Msgdma *s)
{
    s->stale = s->active.length >= CACHE_LINE_BYTES && msgdma_fault_stale(s) &&
               dma_memory_read(&s->memory, s->active.write, s->stale_line, CACHE_LINE_BYTES,
                               MEMTXATTRS_UNSPECIFIED) == MEMTX_OK;
}

static void msgdma_put_line_back(C5Msgdma *s)
{
    if (s->stale) {
        dma_memory_write(&s->memory, s->active.write, s->stale_line, MIN(s->done, CACHE_LINE_BYTES),
                         MEMTXATTRS_UNSPECIFIED);
        s->stale = false;
    }
}

static void msgdma_begin_next(C5Msgdma *s, int64_t now)
{
    if (s->is_active || !s->queued || (s->control & (CONTROL_STOP | CONTROL_STOP_DESCRIPTORS)) ||
        msgdma_resetting(s, now) || s->responded == msgdma_response_depth(s)) {
        return;
    }
    s->active = s->queue[s->queue_head];
    if (!msgdma_parked(s, s->active.control)) {
        s->queue_head = (s->queue_head + 1) % s->depth;
        s->queued--;
    }
    s->is_active = true;
    s->end_of_packet = false;
    s->done = s->error = 0;
    s->end = msgdma_fault_end(s, s->active.length);
    s->began = MAX(now, s->stalled_until);
    msgdma_keep_line(s);
}

/* Bytes of SDRAM from `address` on, at most `bytes`. */
static uint32_t msgdma_within(const C5Msgdma *s, uint64_t address, uint32_t bytes)
{
    return address < s->memory_bytes ? MIN(bytes, s->memory_bytes - address) : 0;
}

/* Samples go straight into guest memory; what is mapped nowhere is lost, as on the bus. */
static void msgdma_store(C5Msgdma *s, uint32_t bytes)
{
    while (bytes) {
        uint64_t address = s->active.write + s->done;
        dma_addr_t part = msgdma_within(s, address, bytes);
        void *memory = part ? dma_memory_map(&s->memory, address, &part, DMA_DIRECTION_FROM_DEVICE,
                                             MEMTXATTRS_UNSPECIFIED) : NULL;
        Taken taken;

        if (!memory) {
            part = bytes;
            qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_MSGDMA ": no memory at 0x%" PRIx64 "\n", address);
        }
        taken = cyclone5_source_take(s->source, memory, part & ~3ull);
        if (memory) {
            dma_memory_unmap(&s->memory, memory, part, DMA_DIRECTION_FROM_DEVICE, taken.bytes);
        }
        s->error |= taken.error;
        s->done += taken.bytes;
        s->end_of_packet = taken.end_of_packet;
        if (!taken.bytes) {
            return;
        }
        bytes -= taken.bytes;
    }
}

static void msgdma_copy(C5Msgdma *s, uint32_t bytes)
{
    g_autofree uint8_t *buffer = bytes ? g_malloc0(MIN(bytes, COPY_BYTES)) : NULL;

    while (bytes) {
        uint64_t from = s->active.read + s->done, to = s->active.write + s->done;
        uint32_t part = MIN(bytes, COPY_BYTES);
        MemTxResult result = address_space_read(&s->memory, from, MEMTXATTRS_UNSPECIFIED, buffer, part);

        result |= address_space_write(&s->memory, to, MEMTXATTRS_UNSPECIFIED, buffer, part);
        if (result != MEMTX_OK) {
            qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_MSGDMA ": no memory at 0x%" PRIx64 " or 0x%" PRIx64 "\n", from, to);
        }
        s->done += part;
        bytes -= part;
    }
}

static bool msgdma_frozen(const C5Msgdma *s, int64_t now)
{
    return !s->is_active || (s->control & CONTROL_STOP) || !s->end || now < s->stalled_until;
}

static bool msgdma_ends_with_packet(const C5Msgdma *s)
{
    return s->source && (s->active.control & END_ON_EOP);
}

/* Bytes that the active descriptor still takes, as far as can be told: its rest, or the rest of the packet. */
static uint32_t msgdma_rest(C5Msgdma *s)
{
    uint32_t rest = s->end - s->done;

    return msgdma_ends_with_packet(s) ? cyclone5_source_packet(s->source, rest) : rest;
}

/* Move what the masters and the source can have moved by `now`. */
static void msgdma_move(C5Msgdma *s, int64_t now)
{
    uint32_t part = 0;

    if (!msgdma_frozen(s, now) && now > s->began) {
        uint64_t limit = MIN(muldiv64(now - s->began, s->bytes_per_second, NANOSECONDS_PER_SECOND), s->end);

        part = limit > s->done ? MIN(limit - s->done, msgdma_rest(s)) : 0;
    }
    if (!s->source) {
        msgdma_copy(s, part);
        return;
    }
    part = cyclone5_source_level(s->source, now, part & ~3u);
    cyclone5_source_advance(s->source, now, part);
    msgdma_store(s, part);
}

static void msgdma_interrupt(C5Msgdma *s, int64_t now, uint32_t status)
{
    uint32_t control = s->active.control;
    bool wanted = control & IRQ_ON_COMPLETION;

    if (s->source) {
        wanted |= (status & (control >> ERROR_IRQ_SHIFT) & 0xff) != 0;
        wanted |= (status & RESPONSE_EARLY) && (control & IRQ_ON_EARLY);
    }
    if (wanted && (s->control & CONTROL_IRQ_ENABLE) && !s->irq_pending && s->irq_at == INT64_MAX) {
        s->irq_pending = msgdma_fault_interrupt(s, now);
    }
}

static void msgdma_complete(C5Msgdma *s, int64_t now)
{
    unsigned slot = (s->response_head + s->responded++) % msgdma_response_depth(s);
    bool early = msgdma_ends_with_packet(s) && !s->end_of_packet && s->end == s->active.length;
    uint32_t error = s->error | msgdma_fault_error(s);
    uint32_t status = error | (early ? RESPONSE_EARLY : 0);

    msgdma_put_line_back(s);
    s->responses[slot] = (Response) { .bytes = s->source ? s->done : 0, .status = status };
    s->is_active = false;
    msgdma_interrupt(s, now, status);
    s->error_stop |= error && (s->control & CONTROL_STOP_ON_ERROR);
    s->early_stop |= early && (s->control & CONTROL_STOP_ON_EARLY);
    if (s->error_stop || s->early_stop) {
        s->control |= CONTROL_STOP;
    }
}

/* When the active descriptor ends, as far as can be told; not before `now`. */
static int64_t msgdma_completion_time(C5Msgdma *s, int64_t now)
{
    int64_t moved, supplied;
    uint32_t rest;

    if (!s->is_active || (s->control & CONTROL_STOP) || !s->end) {
        return INT64_MAX;
    }
    rest = msgdma_rest(s);
    moved = s->began + msgdma_duration(s, s->done + rest);
    supplied = s->source ? cyclone5_source_ready_at(s->source, now, rest) : now;
    return MAX(MAX(moved, supplied), MAX(now, s->stalled_until));
}

static bool msgdma_ended(const C5Msgdma *s)
{
    return s->done == s->end || (s->end_of_packet && msgdma_ends_with_packet(s));
}

static void msgdma_advance(C5Msgdma *s, int64_t now)
{
    int64_t time = s->is_active ? MIN(s->began, now) : now;

    msgdma_begin_next(s, now);
    for (;;) {
        int64_t completion = msgdma_completion_time(s, time);

        if (completion > now) {
            break;
        }
        time = completion;
        msgdma_move(s, time);
        if (msgdma_ended(s)) {
            msgdma_complete(s, time);
            msgdma_begin_next(s, time);
        }
    }
    msgdma_move(s, now);
    if (s->is_active && s->end && msgdma_ended(s)) {
        msgdma_complete(s, now);
    }
    if (s->irq_at <= now) {
        s->irq_pending = true;
        s->irq_at = INT64_MAX;
    }
}

static void msgdma_settle(C5Msgdma *s, int64_t now)
{
    int64_t next;

    msgdma_begin_next(s, now);
    next = MIN(msgdma_completion_time(s, now), s->irq_at);
    if (msgdma_resetting(s, now)) {
        next = MIN(next, s->reset_until);
    }
    if (next == INT64_MAX) {
        timer_del(s->alarm);
    } else {
        timer_mod(s->alarm, next);
    }
    qemu_set_irq(s->irq, s->irq_pending);
}

void msgdma_before(void *opaque)
{
    msgdma_advance(opaque, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
}

void msgdma_after(void *opaque)
{
    msgdma_settle(opaque, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
}

void msgdma_alarm(void *opaque)
{
    msgdma_before(opaque);
    msgdma_after(opaque);
}

void msgdma_resume(C5Msgdma *s, int64_t now)
{
    s->began = MAX(now, s->stalled_until) - (s->done ? msgdma_duration(s, s->done) : 0);
}

void msgdma_stall(C5Msgdma *s, int64_t now, uint64_t ns)
{
    s->stalled_until = now + ns;
    msgdma_resume(s, now);
}

void msgdma_clear(C5Msgdma *s)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);

    s->reset_until = s->is_active ? now + RESET_NS : now;
    s->control = 0;
    s->irq_pending = s->error_stop = s->early_stop = s->is_active = false;
    s->irq_at = INT64_MAX;
    s->queue_head = s->queued = 0;
    s->response_head = s->responded = 0;
    memset(s->words, 0, sizeof(s->words));
}
