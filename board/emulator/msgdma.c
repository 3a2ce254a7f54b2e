/*
 * Modular Scatter-Gather DMA, streaming to memory. Embedded Peripherals IP User Guide, "Modular Scatter-Gather DMA Core";
 * used by recipes/capture-ring and, for memory and slave channels, by Linux's altera-msgdma.c.
 *
 * Three register windows: control and status, extended descriptors (32 bytes, GO in word 7), response (reading its status
 * pops it). One descriptor is active besides those in the FIFO; with the response FIFO (twice as deep) full, the next one
 * waits. The masters move `bytes-per-second` of virtual time at most, which also gives each descriptor a duration when
 * the source has all its data at once.
 *
 * The simulation is event-driven: `msgdma_advance` plays all completions up to the current virtual time in order, each at
 * its own time, whenever the timer fires or software touches a register here or in the source. Samples go straight into
 * the guest's memory. Not modelled: end of packet (the source has none), park, strides, pre-fetching.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "msgdma.h"

void msgdma_update_irq(C5Msgdma *s)
{
    qemu_set_irq(s->irq, s->irq_pending && (s->control & CONTROL_IRQ_ENABLE));
}

static void msgdma_begin_next(C5Msgdma *s, int64_t now)
{
    if (s->is_active || !s->queued || msgdma_stopped(s) || (s->control & CONTROL_STOP_DESCRIPTORS) ||
        s->responded == msgdma_response_depth(s)) {
        return;
    }
    s->active = s->queue[s->queue_head];
    s->queue_head = (s->queue_head + 1) % s->depth;
    s->queued--;
    s->is_active = true;
    s->done = s->error = 0;
    s->began = now;
}

/* Bytes go straight into guest memory; what is mapped nowhere is lost, as on the bus. */
static void msgdma_store(C5Msgdma *s, uint32_t bytes)
{
    while (bytes) {
        uint64_t address = s->active.address + s->done;
        dma_addr_t part = bytes;
        void *memory = dma_memory_map(&address_space_memory, address, &part, DMA_DIRECTION_FROM_DEVICE,
                                      MEMTXATTRS_UNSPECIFIED);

        if (memory && part < 4) {
            dma_memory_unmap(&address_space_memory, memory, part, DMA_DIRECTION_FROM_DEVICE, 0);
            memory = NULL;
        }
        if (memory) {
            part &= ~3ull;
            s->error |= cyclone5_source_take(s->source, memory, part);
            dma_memory_unmap(&address_space_memory, memory, part, DMA_DIRECTION_FROM_DEVICE, part);
        } else {
            part = bytes;
            qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_MSGDMA ": no memory at 0x%" PRIx64 "\n", address);
            s->error |= cyclone5_source_take(s->source, NULL, part);
        }
        s->done += part;
        bytes -= part;
    }
}

/* Move what the masters and the source can have moved by `now`. */
static void msgdma_move(C5Msgdma *s, int64_t now)
{
    uint64_t limit;
    uint32_t part;

    if (!s->is_active || msgdma_stopped(s)) {
        cyclone5_source_advance(s->source, now, 0);
        return;
    }
    limit = now > s->began ? muldiv64(now - s->began, s->bytes_per_second, NANOSECONDS_PER_SECOND) : 0;
    limit = MIN(limit, s->active.length);
    part = limit > s->done ? (limit - s->done) & ~3u : 0;
    part = cyclone5_source_level(s->source, now, part);
    cyclone5_source_advance(s->source, now, part);
    msgdma_store(s, part);
}

static void msgdma_complete(C5Msgdma *s)
{
    unsigned slot = (s->response_head + s->responded++) % msgdma_response_depth(s);

    s->responses[slot] = (Response) { .bytes = s->done, .status = s->error };
    s->is_active = false;
    if ((s->active.control & IRQ_ON_COMPLETION) || (s->error & (s->active.control >> ERROR_IRQ_SHIFT) & 0xff)) {
        s->irq_pending = true;
    }
    if (s->error && (s->control & CONTROL_STOP_ON_ERROR)) {
        s->error_stop = true;
    }
}

static int64_t msgdma_completion_time(C5Msgdma *s, int64_t now)
{
    int64_t moved, supplied;

    if (!s->is_active || msgdma_stopped(s)) {
        return INT64_MAX;
    }
    moved = s->began + msgdma_duration(s, s->active.length);
    supplied = cyclone5_source_ready_at(s->source, now, s->active.length - s->done);
    return MAX(moved, supplied);
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
        if (s->done == s->active.length) {
            msgdma_complete(s);
            msgdma_begin_next(s, time);
        }
    }
    msgdma_move(s, now);
}

static void msgdma_settle(C5Msgdma *s)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    int64_t completion;

    msgdma_begin_next(s, now);
    completion = msgdma_completion_time(s, now);
    if (completion == INT64_MAX) {
        timer_del(s->alarm);
    } else {
        timer_mod(s->alarm, completion);
    }
    msgdma_update_irq(s);
}

void msgdma_before(void *opaque)
{
    msgdma_advance(opaque, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
}

void msgdma_after(void *opaque)
{
    msgdma_settle(opaque);
}

void msgdma_alarm(void *opaque)
{
    msgdma_before(opaque);
    msgdma_after(opaque);
}
