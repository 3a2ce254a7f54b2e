/*
 * EMAC, receive: see emac.c.
 *
 * QEMU's user network acknowledges each TCP segment by a frame of its own, where a real peer, whose network card or GRO
 * joins segments, acknowledges a burst. So among the answers to one burst of ours, a bare acknowledgement is held back
 * and gives way to a later one of the same connection that includes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "emac.h"

#define RX_FIRST            (1u << 9)
#define RX_LAST             (1u << 8)
#define RX_ETHERNET         (1u << 5)
#define RX_STAMPED          (1u << 7)
#define RX_BAD_FCS          (1u << 15 | 1u << 1)
#define RX_LENGTH_SHIFT     16
#define RX_NO_INTERRUPT     (1u << 31)
#define RX_RING_END         (1u << 15)
#define RX_CHAINED          (1u << 14)
#define LARGEST_RECEIVED    9000
#define OPERATION_FORWARD_BAD    (1u << 7)
#define OPERATION_STORE_FORWARD  (1u << 25)
#define RX_THRESHOLD        64          /* bytes; without store-and-forward, more are in memory before the FCS */
#define RETRY_NS            100000
#define RIWT_UNIT_NS        1024        /* 256 cycles of the 250 MHz clock */

/* Offsets in an Ethernet frame with an IPv4 header without options. */
enum { IP_HEADER = 14, IP_LENGTH = 16, IPV4_PROTOCOL = 23, IP_ADDRESSES = 26, TCP_SEQUENCE = 38, TCP_ACKNOWLEDGED = 42,
       TCP_FLAGS = 47 };

static bool rx_enabled(C5Emac *s)
{
    return (REG(DMA_OPERATION) & OPERATION_RX) && (REG(MAC_CONFIG) & CONFIG_RX);
}

/* Is there a descriptor for a frame that would come now? */
bool emac_rx_ready(C5Emac *s)
{
    uint32_t des0;

    if (!rx_enabled(s)) {
        return false;
    }
    des0 = address_space_ldl_le(&address_space_memory, REG(DMA_RX_CURRENT), MEMTXATTRS_UNSPECIFIED, NULL);
    if (des0 & DES_OWN) {
        return true;
    }
    if ((REG(DMA_STATUS) & ST_RX_STATE) != ST_RX_SUSPENDED) {
        REG(DMA_STATUS) = (REG(DMA_STATUS) & ~ST_RX_STATE) | ST_RX_SUSPENDED | ST_RX_UNAVAILABLE;
        emac_update_irq(s);
    }
    if (!timer_pending(s->retry)) {
        timer_mod(s->retry, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + RETRY_NS);
    }
    return false;
}

void emac_rx_resume(C5Emac *s)
{
    if (emac_rx_ready(s) && emac_rx_release_ack(s) && emac_wire_flush_delayed(s)) {
        REG(DMA_STATUS) &= ~ST_RX_STATE;
        qemu_flush_queued_packets(qemu_get_queue(s->nic));
    }
}

void emac_rx_retry(void *opaque)
{
    emac_rx_resume(opaque);
}

void emac_rx_coalesced(void *opaque)
{
    C5Emac *s = opaque;

    REG(DMA_STATUS) |= ST_RX;
    emac_update_irq(s);
}

static void rx_signal(C5Emac *s, bool interrupt)
{
    if (interrupt || !REG(DMA_RIWT)) {
        timer_del(s->coalesce);
        emac_rx_coalesced(s);
    } else if (!timer_pending(s->coalesce)) {
        timer_mod(s->coalesce, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + (REG(DMA_RIWT) & 0xff) * RIWT_UNIT_NS);
    }
}

/* Part of the frame that goes into one of a descriptor's buffers; what lies behind the frame is padding and FCS. */
static void rx_store(uint32_t address, const uint8_t *frame, uint32_t size, uint32_t offset, uint32_t bytes)
{
    static const uint8_t zeros[SMALLEST_FRAME + FCS_BYTES];
    uint32_t data = offset < size ? MIN(bytes, size - offset) : 0;

    address_space_write(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, frame + offset, data);
    if (bytes > data) {
        address_space_write(&address_space_memory, address + data, MEMTXATTRS_UNSPECIFIED, zeros, bytes - data);
    }
}

static void rx_deliver(C5Emac *s, const uint8_t *frame, size_t size, bool bad)
{
    uint32_t total = MAX(size, SMALLEST_FRAME) + FCS_BYTES, offset = 0, des[4];
    bool interrupt = true;

    /* descriptors of no bytes in a place that keeps its OWN bit could go on for ever */
    for (int n = 0; offset < total && n < MAX_DESCRIPTORS; n++) {
        uint32_t address = REG(DMA_RX_CURRENT), word, part;

        word = offset ? 0 : RX_FIRST;
        emac_descriptor_read(address, des);
        if (!(des[0] & DES_OWN)) {
            REG(DMA_MISSED)++;              /* the ring ended inside the frame */
            break;
        }
        part = MIN(BUFFER_BYTES(des[1]), total - offset);
        rx_store(des[2], frame, size, offset, part);
        offset += part;
        if (!(des[1] & RX_CHAINED)) {
            part = MIN(BUFFER_BYTES(des[1] >> 16), total - offset);
            rx_store(des[3], frame, size, offset, part);
            offset += part;
        }
        word |= RX_ETHERNET | total << RX_LENGTH_SHIFT;
        if (offset >= total) {
            word |= RX_LAST | (bad ? RX_BAD_FCS : 0);
            if (emac_ptp_wants(s, frame, size)) {
                emac_ptp_stamp(s, address);
                word |= RX_STAMPED;
            }
        }
        interrupt = !(des[1] & RX_NO_INTERRUPT);
        emac_descriptor_write(address, word);
        REG(DMA_RX_CURRENT) = emac_descriptor_next(s, address, REG(DMA_RX_BASE), des[1] & RX_RING_END, des[1] & RX_CHAINED,
                                              des[3]);
    }
    rx_signal(s, interrupt);
}

/* An IPv4 TCP frame without options, data or any flag but ACK. */
static bool ack_is_bare(const uint8_t *frame, size_t size)
{
    return size >= TCP_FLAGS + 7 && size <= ACK_BYTES && lduw_be_p(frame + 12) == 0x0800 && frame[IP_HEADER] == 0x45 &&
           frame[IPV4_PROTOCOL] == 6 && lduw_be_p(frame + IP_LENGTH) == 40 && frame[TCP_FLAGS - 1] == 0x50 &&
           frame[TCP_FLAGS] == 0x10;
}

static bool ack_is_superseded(C5Emac *s, const uint8_t *frame)
{
    return !memcmp(s->ack + IP_ADDRESSES, frame + IP_ADDRESSES, TCP_SEQUENCE - IP_ADDRESSES) &&
           (int32_t)(ldl_be_p(frame + TCP_ACKNOWLEDGED) - ldl_be_p(s->ack + TCP_ACKNOWLEDGED)) > 0;
}

/* Deliver what is held back, if there is room; whether nothing is held back any more. */
bool emac_rx_release_ack(C5Emac *s)
{
    if (s->ack_bytes && emac_rx_ready(s)) {
        rx_deliver(s, s->ack, s->ack_bytes, false);
        s->ack_bytes = 0;
    }
    return !s->ack_bytes;
}

/* Does the FIFO hand a frame with a bad FCS to the DMA? */
static bool rx_forwards_bad(C5Emac *s, size_t size)
{
    uint32_t operation = REG(DMA_OPERATION);

    return (operation & OPERATION_FORWARD_BAD) || (!(operation & OPERATION_STORE_FORWARD) && size > RX_THRESHOLD);
}

/* Take a frame, to deliver, drop or hold it back; false: there is no room for it yet. */
bool emac_rx_accept(C5Emac *s, const uint8_t *frame, size_t size, bool from_wire)
{
    bool bare = from_wire && s->sending && emac_wire_merges_acks(s) && ack_is_bare(frame, size), bad;

    if (!bare || !s->ack_bytes || !ack_is_superseded(s, frame)) {
        if (!emac_rx_release_ack(s) || !emac_rx_ready(s)) {
            return false;
        }
    }
    if (from_wire && emac_wire_loses(s)) {
        return true;
    }
    bad = from_wire && emac_wire_corrupts(s);
    if (size < IP_HEADER || size > LARGEST_RECEIVED || !emac_filter_wanted(s, frame)) {
        return true;
    }
    emac_mmc_received(s, frame, size, bad);
    if (bad && !rx_forwards_bad(s, size)) {
        return true;
    }
    if (bare) {
        memcpy(s->ack, frame, size);
        s->ack_bytes = size;
    } else {
        rx_deliver(s, frame, size, bad);
    }
    return true;
}
