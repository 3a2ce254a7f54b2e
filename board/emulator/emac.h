/*
 * The EMAC's registers, state and descriptors, shared by emac.c (registers, MDIO), emac_tx.c and emac_rx.c.
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
       DMA_BUS = 0x1000, DMA_TX_POLL = 0x1004, DMA_RX_POLL = 0x1008, DMA_RX_BASE = 0x100c, DMA_TX_BASE = 0x1010,
       DMA_STATUS = 0x1014, DMA_OPERATION = 0x1018, DMA_INTERRUPT = 0x101c, DMA_MISSED = 0x1020, DMA_RIWT = 0x1024,
       DMA_TX_CURRENT = 0x1048, DMA_RX_CURRENT = 0x104c, DMA_FEATURES = 0x1058, REGISTERS_END = 0x2000 };

#define CONFIG_RX           (1u << 2)
#define CONFIG_TX           (1u << 3)
#define CONFIG_LOOPBACK     (1u << 12)
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

#define ACK_BYTES           64
#define FRAME_BYTES         16384
#define MAX_DESCRIPTORS     4096        /* a run */

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
    bool sending;                   /* frames that come in now are answers to a burst of ours */
    uint8_t ack[ACK_BYTES];         /* one of them, held back: see emac_rx.c */
    uint32_t ack_bytes;             /* 0: none */
};

#define REG(offset) (s->regs[(offset) / 4])

void emac_update_irq(C5Emac *s);
void emac_tx_demand(C5Emac *s);
void emac_tx_run(void *opaque);
bool emac_can_receive(NetClientState *nc);
ssize_t emac_receive(NetClientState *nc, const uint8_t *frame, size_t size);
bool emac_rx_release_ack(C5Emac *s);
void emac_rx_resume(C5Emac *s);
void emac_rx_retry(void *opaque);
void emac_rx_coalesced(void *opaque);

static inline void emac_descriptor_read(uint32_t address, uint32_t *des)
{
    address_space_read(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, des, 16);
    for (int i = 0; i < 4; i++) {
        des[i] = le32_to_cpu(des[i]);
    }
}

static inline void emac_descriptor_write0(uint32_t address, uint32_t word)
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
