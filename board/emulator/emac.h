/*
 * The EMAC's registers, state and descriptors, shared by emac.c (registers, MDIO), emac_tx.c, emac_rx.c, emac_filter.c
 * (addresses), emac_mmc.c (counters), emac_ptp.c (time) and emac_fault.c (the wire and what goes wrong on it).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_EMAC_H
#define CYCLONE5_EMAC_H

#include "cyclone5.h"
#include "ksz9031.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Emac, C5_EMAC)

enum { MAC_CONFIG = 0x0000, MAC_FILTER = 0x0004, GMII_ADDRESS = 0x0010, GMII_DATA = 0x0014, MAC_VERSION = 0x0020,
       MAC_ADDRESS_HIGH = 0x0040, MAC_ADDRESS_LOW = 0x0044, RGMII_STATUS = 0x00d8,
       MMC_CONTROL = 0x0100, MMC_COUNTERS = 0x0114, MMC_END = 0x01e0, MMC_IPC_COUNTERS = 0x0210,
       MMC_IPC_END = 0x0284, MAC_HASH = 0x0500,
       PTP_CONTROL = 0x0700, PTP_INCREMENT = 0x0704, PTP_SECONDS = 0x0708, PTP_NANOSECONDS = 0x070c,
       PTP_SECONDS_UPDATE = 0x0710, PTP_NANOSECONDS_UPDATE = 0x0714, PTP_ADDEND = 0x0718,
       DMA_BUS = 0x1000, DMA_TX_POLL = 0x1004, DMA_RX_POLL = 0x1008, DMA_RX_BASE = 0x100c, DMA_TX_BASE = 0x1010,
       DMA_STATUS = 0x1014, DMA_OPERATION = 0x1018, DMA_INTERRUPT = 0x101c, DMA_MISSED = 0x1020, DMA_RIWT = 0x1024,
       DMA_TX_CURRENT = 0x1048, DMA_RX_CURRENT = 0x104c, DMA_FEATURES = 0x1058, REGISTERS_END = 0x2000 };

#define CONFIG_RX           (1u << 2)
#define CONFIG_TX           (1u << 3)
#define CONFIG_LOOPBACK     (1u << 12)
#define FILTER_PROMISCUOUS  (1u << 0)
#define ADDRESS_ENABLE      (1u << 31)
#define BUS_LONG            (1u << 7)       /* 32-byte descriptors */
#define BUS_SKIP(bus)       ((((bus) >> 2) & 0x1f) * 4)
#define OPERATION_RX        (1u << 1)
#define OPERATION_TX        (1u << 13)
#define ST_TX               (1u << 0)
#define ST_TX_UNAVAILABLE   (1u << 2)
#define ST_RX               (1u << 6)
#define ST_RX_UNAVAILABLE   (1u << 7)
#define ST_ABNORMAL         (1u << 15)
#define ST_NORMAL           (1u << 16)
#define ST_RX_STATE         (7u << 17)
#define ST_RX_SUSPENDED     (4u << 17)
#define ST_TX_STATE         (7u << 20)
#define ST_TX_SUSPENDED     (6u << 20)

#define DES_OWN             (1u << 31)
#define BUFFER_BYTES(w)     ((w) & 0x1fff)

#define SMALLEST_FRAME      60          /* shorter ones are padded; without FCS */
#define FCS_BYTES           4
#define ACK_BYTES           64
#define FRAME_BYTES         16384
#define MAX_DESCRIPTORS     4096        /* a run */

/* The wire between PHY and network, and the faults on it: emac_fault.c. Rates are per mille of the frames. */
typedef struct {
    bool unplugged, keep_acks;
    uint32_t loss_tx, loss_rx, corrupt_rx, delay_us, seed;
    uint32_t random_tx, random_rx;
    uint64_t lost_tx, lost_rx, corrupted_rx;
    GQueue delayed;
    QEMUTimer *due;
} EmacWire;

struct C5Emac {
    SysBusDevice parent_obj;
    MemoryRegion iomem;
    NICState *nic;
    NICConf conf;
    qemu_irq irq;
    QEMUTimer *retry, *coalesce, *wire;
    uint32_t regs[REGISTERS_END / 4];
    Ksz9031 phy;
    uint8_t phy_address;
    uint8_t frame[FRAME_BYTES];     /* the one being sent */
    uint32_t frame_bytes, frame_checksum;
    bool frame_stamped;
    bool sending;                   /* frames that come in now are answers to a burst of ours */
    uint8_t ack[ACK_BYTES];         /* one of them, held back: see emac_rx.c */
    uint32_t ack_bytes;             /* 0: none */
    EmacWire wire_state;
    uint64_t ptp_time;              /* in units of the sub-second register, at virtual time ptp_since */
    int64_t ptp_since;
};

#define REG(offset) (s->regs[(offset) / 4])

void emac_update_irq(C5Emac *s);
void emac_tx_demand(C5Emac *s);
void emac_tx_run(void *opaque);
bool emac_rx_ready(C5Emac *s);
bool emac_rx_accept(C5Emac *s, const uint8_t *frame, size_t size, bool from_wire);
bool emac_rx_release_ack(C5Emac *s);
void emac_rx_resume(C5Emac *s);
void emac_rx_retry(void *opaque);
void emac_rx_coalesced(void *opaque);
bool emac_filter_wanted(C5Emac *s, const uint8_t *frame);

void emac_mmc_sent(C5Emac *s, const uint8_t *frame, size_t size);
void emac_mmc_received(C5Emac *s, const uint8_t *frame, size_t size, bool bad);
void emac_mmc_control(C5Emac *s, uint32_t word);
uint32_t emac_mmc_read(C5Emac *s, hwaddr offset);

void emac_ptp_reset(C5Emac *s);
uint32_t emac_ptp_read(C5Emac *s, hwaddr offset);
void emac_ptp_write(C5Emac *s, hwaddr offset, uint32_t word);
bool emac_ptp_wants(C5Emac *s, const uint8_t *frame, size_t size);
void emac_ptp_stamp(C5Emac *s, uint32_t descriptor);

void emac_wire_init(C5Emac *s);
void emac_wire_class_init(ObjectClass *klass);
bool emac_wire_can_receive(NetClientState *nc);
ssize_t emac_wire_receive(NetClientState *nc, const uint8_t *frame, size_t size);
void emac_wire_link_changed(NetClientState *nc);
void emac_wire_send(C5Emac *s, const uint8_t *frame, size_t size);
bool emac_wire_merges_acks(C5Emac *s);
bool emac_wire_loses(C5Emac *s);
bool emac_wire_corrupts(C5Emac *s);
bool emac_wire_flush_delayed(C5Emac *s);

static inline void emac_descriptor_read(uint32_t address, uint32_t *des)
{
    address_space_read(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, des, 16);
    for (int i = 0; i < 4; i++) {
        des[i] = le32_to_cpu(des[i]);
    }
}

static inline void emac_descriptor_write(uint32_t address, uint32_t word)
{
    address_space_stl_le(&address_space_memory, address, word, MEMTXATTRS_UNSPECIFIED, NULL);
}

static inline uint32_t emac_descriptor_next(C5Emac *s, uint32_t address, uint32_t base, bool ring_end,
                                            bool chained, uint32_t des3)
{
    if (ring_end) {
        return base;
    }
    if (chained) {
        return des3;
    }
    return address + (REG(DMA_BUS) & BUS_LONG ? 32 : 16) + BUS_SKIP(REG(DMA_BUS));
}

#endif
