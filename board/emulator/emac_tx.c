/*
 * EMAC, transmit: see emac.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "emac.h"
#include "net/checksum.h"

#define TX_INTERRUPT        (1u << 30)
#define TX_LAST             (1u << 29)
#define TX_FIRST            (1u << 28)
#define TX_STAMP            (1u << 25)
#define TX_STAMPED          (1u << 17)
#define TX_CHECKSUM(des0)   (((des0) >> 22) & 3)
#define TX_RING_END         (1u << 21)
#define TX_CHAINED          (1u << 20)
#define TX_STATUS_BITS      0x8003ffffu
#define WIRE_NS             12000       /* a full frame at 1 Gbit/s; what comes meanwhile goes in the same burst */

static void tx_append(C5Emac *s, uint32_t address, uint32_t bytes)
{
    bytes = MIN(bytes, FRAME_BYTES - s->frame_bytes);
    address_space_read(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, s->frame + s->frame_bytes, bytes);
    s->frame_bytes += bytes;
}

static void tx_send(C5Emac *s)
{
    if (s->frame_checksum) {
        net_checksum_calculate(s->frame, s->frame_bytes, s->frame_checksum == 1 ? CSUM_IP : CSUM_ALL);
    }
    emac_mmc_sent(s, s->frame, s->frame_bytes);
    if (REG(MAC_CONFIG) & CONFIG_LOOPBACK) {
        emac_rx_accept(s, s->frame, s->frame_bytes, false);
    } else {
        emac_wire_send(s, s->frame, s->frame_bytes);
    }
    s->frame_bytes = 0;
}

static void tx_burst(C5Emac *s)
{
    uint32_t des[4];

    for (int n = 0; n < MAX_DESCRIPTORS; n++) {
        uint32_t address = REG(DMA_TX_CURRENT), stamped = 0;

        emac_descriptor_read(address, des);
        if (!(des[0] & DES_OWN)) {
            REG(DMA_STATUS) = (REG(DMA_STATUS) & ~ST_TX_STATE) | ST_TX_SUSPENDED | ST_TX_UNAVAILABLE;
            break;
        }
        if (des[0] & TX_FIRST) {
            s->frame_bytes = 0;
            s->frame_checksum = TX_CHECKSUM(des[0]);
            s->frame_stamped = (des[0] & TX_STAMP) && (REG(DMA_BUS) & BUS_LONG);
        }
        tx_append(s, des[2], BUFFER_BYTES(des[1]));
        if (!(des[0] & TX_CHAINED)) {
            tx_append(s, des[3], BUFFER_BYTES(des[1] >> 16));
        }
        if (des[0] & TX_LAST) {
            tx_send(s);
            if (s->frame_stamped) {
                emac_ptp_stamp(s, address);
                stamped = TX_STAMPED;
            }
            if (des[0] & TX_INTERRUPT) {
                REG(DMA_STATUS) |= ST_TX;
            }
        }
        emac_descriptor_write(address, (des[0] & ~TX_STATUS_BITS) | stamped);
        REG(DMA_TX_CURRENT) = emac_descriptor_next(s, address, REG(DMA_TX_BASE), des[0] & TX_RING_END,
                                                   des[0] & TX_CHAINED, des[3]);
    }
}

void emac_tx_run(void *opaque)
{
    C5Emac *s = opaque;

    if (!(REG(DMA_OPERATION) & OPERATION_TX) || !(REG(MAC_CONFIG) & CONFIG_TX)) {
        return;
    }
    s->sending = true;
    tx_burst(s);
    s->sending = false;
    emac_rx_release_ack(s);
    emac_update_irq(s);
}

void emac_tx_demand(C5Emac *s)
{
    if (!timer_pending(s->wire)) {
        timer_mod(s->wire, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + WIRE_NS);
    }
}
