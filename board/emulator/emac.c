/*
 * DesignWare gigabit MAC (DWMAC1000, 3.70a) with enhanced descriptors, scatter-gather, transmit and receive checksum
 * offload, and its MDIO master. TRM "Ethernet Media Access Controller"; used by Linux's stmmac (dwmac1000) and U-Boot's
 * designware.c.
 *
 * Transmit: a frame's time after a poll demand, all descriptors that the MAC owns are sent; a frame may have any number
 * of them. Checksum insertion control other than 0 fills in IPv4, TCP and UDP checksums. Receive: a frame
 * waits in QEMU's queue until its descriptor is there, so nothing is lost; as a driver need not demand a poll, the model
 * looks again after RETRY_NS. A descriptor with its interrupt disabled raises the receive interrupt after the time in
 * the receive watchdog register (RIWT). Received checksums are reported as good without a look: the network behind is
 * QEMU's own. Address filters: emac_filter.c; counters: emac_mmc.c; time stamps: emac_ptp.c; faults: emac_fault.c. Not
 * modelled: wake-up (PMT), VLAN and layer 3/4 filters, flow control, energy-efficient Ethernet, the AV channels.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "emac.h"

#define GMII_BUSY           (1u << 0)
#define GMII_WRITE          (1u << 1)
#define VERSION_ID          0x1037
#define RGMII_LINK_1000FD   0xd
#define BUS_RESET           (1u << 0)
#define OPERATION_FLUSH_TX  (1u << 20)
#define ST_NORMAL_SOURCES   (ST_TX | ST_TX_UNAVAILABLE | ST_RX | 1u << 14)
#define ST_ABNORMAL_SOURCES 0x27ba
#define ST_CLEARABLE        0x1e7ff
/* MII, GMII, half duplex, hash filter, more addresses, MDIO, MMC counters, IEEE 1588-2008 */
#define FEATURES_LOW        (7u | 1u << 4 | 1u << 5 | 1u << 8 | 1u << 11 | 1u << 13)
/* transmit COE, receive COE type 2, FIFO > 2 KiB, enhanced descriptors */
#define FEATURES            (FEATURES_LOW | 1u << 16 | 1u << 18 | 1u << 19 | 1u << 24)

void emac_update_irq(C5Emac *s)
{
    uint32_t enabled = REG(DMA_STATUS) & REG(DMA_INTERRUPT);

    REG(DMA_STATUS) &= ~(ST_ABNORMAL | ST_NORMAL);
    if (enabled & ST_NORMAL_SOURCES) {
        REG(DMA_STATUS) |= ST_NORMAL;
    }
    if (enabled & ST_ABNORMAL_SOURCES) {
        REG(DMA_STATUS) |= ST_ABNORMAL;
    }
    qemu_set_irq(s->irq, !!(REG(DMA_STATUS) & REG(DMA_INTERRUPT) & (ST_ABNORMAL | ST_NORMAL)));
}

static NetClientInfo emac_net = {
    .type = NET_CLIENT_DRIVER_NIC,
    .size = sizeof(NICState),
    .can_receive = emac_wire_can_receive,
    .receive = emac_wire_receive,
    .link_status_changed = emac_wire_link_changed,
};

static void mdio_access(C5Emac *s, uint32_t word)
{
    unsigned address = (word >> 11) & 31, number = (word >> 6) & 31;

    REG(GMII_ADDRESS) = word & ~GMII_BUSY;
    if (!(word & GMII_BUSY)) {
        return;
    }
    if (!(word & GMII_WRITE)) {
        REG(GMII_DATA) = address == s->phy_address ? ksz9031_read(&s->phy, number) : 0xffff;
    } else if (address == s->phy_address) {
        ksz9031_write(&s->phy, number, REG(GMII_DATA));
    }
}

static void core_reset(C5Emac *s)
{
    const uint8_t *mac = s->conf.macaddr.a;

    memset(s->regs, 0, sizeof(s->regs));
    REG(MAC_VERSION) = VERSION_ID;
    REG(MAC_ADDRESS_HIGH) = ADDRESS_ENABLE | lduw_le_p(mac + 4);
    REG(MAC_ADDRESS_LOW) = ldl_le_p(mac);
    REG(RGMII_STATUS) = RGMII_LINK_1000FD;
    REG(DMA_BUS) = 0x00020100;
    REG(DMA_FEATURES) = FEATURES;
    s->frame_bytes = s->frame_checksum = s->ack_bytes = 0;
    timer_del(s->wire);
    timer_del(s->retry);
    timer_del(s->coalesce);
    emac_ptp_reset(s);
}

static uint64_t emac_read(void *opaque, hwaddr offset, unsigned)
{
    C5Emac *s = opaque;
    uint32_t word = REG(offset);

    switch (offset & ~3) {
    case DMA_MISSED:
        REG(DMA_MISSED) = 0;
        break;
    case MMC_COUNTERS ... MMC_END:
    case MMC_IPC_COUNTERS ... MMC_IPC_END:
        word = emac_mmc_read(s, offset & ~3);
        break;
    case PTP_SECONDS:
    case PTP_NANOSECONDS:
        word = emac_ptp_read(s, offset & ~3);
        break;
    }
    return c5_lanes_read(word, offset);
}

static void emac_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Emac *s = opaque;
    uint32_t new = c5_lanes_write(REG(offset), offset, value, size);

    switch (offset & ~3) {
    case GMII_ADDRESS:
        mdio_access(s, new);
        break;
    case MAC_CONFIG:
        REG(MAC_CONFIG) = new;
        emac_rx_resume(s);
        break;
    case DMA_BUS:
        if (new & BUS_RESET) {
            core_reset(s);
        } else {
            REG(DMA_BUS) = new;
        }
        emac_update_irq(s);
        break;
    case DMA_TX_POLL:
        emac_tx_demand(s);
        break;
    case DMA_RX_POLL:
        emac_rx_resume(s);
        break;
    case DMA_RX_BASE:
        REG(DMA_RX_BASE) = REG(DMA_RX_CURRENT) = new & ~3u;
        break;
    case DMA_TX_BASE:
        REG(DMA_TX_BASE) = REG(DMA_TX_CURRENT) = new & ~3u;
        break;
    case DMA_STATUS:
        REG(DMA_STATUS) &= ~(c5_lanes_write(0, offset, value, size) & ST_CLEARABLE);
        emac_update_irq(s);
        break;
    case DMA_OPERATION:
        REG(DMA_OPERATION) = new & ~OPERATION_FLUSH_TX;
        emac_tx_demand(s);
        emac_rx_resume(s);
        break;
    case DMA_INTERRUPT:
        REG(DMA_INTERRUPT) = new;
        emac_update_irq(s);
        break;
    case MMC_CONTROL:
        emac_mmc_control(s, new);
        break;
    case PTP_CONTROL:
    case PTP_INCREMENT:
    case PTP_ADDEND:
        emac_ptp_write(s, offset & ~3, new);
        break;
    case MMC_COUNTERS ... MMC_END:
    case MMC_IPC_COUNTERS ... MMC_IPC_END:
    case PTP_SECONDS:
    case PTP_NANOSECONDS:
    case MAC_VERSION:
    case RGMII_STATUS:
    case DMA_TX_CURRENT:
    case DMA_RX_CURRENT:
    case DMA_FEATURES:
        break;
    default:
        REG(offset) = new;
    }
}

C5_REGISTER_OPS(emac_ops, emac_read, emac_write);

static C5_RESET_PHASE(emac_reset)
{
    C5Emac *s = C5_EMAC(obj);

    core_reset(s);
    ksz9031_reset(&s->phy);
    emac_wire_link_changed(qemu_get_queue(s->nic));
    emac_update_irq(s);
}

static void emac_realize(DeviceState *dev, Error **)
{
    C5Emac *s = C5_EMAC(dev);

    memory_region_init_io(&s->iomem, OBJECT(s), &emac_ops, s, TYPE_C5_EMAC, REGISTERS_END);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
    sysbus_init_irq(SYS_BUS_DEVICE(dev), &s->irq);
    s->retry = timer_new_ns(QEMU_CLOCK_VIRTUAL, emac_rx_retry, s);
    s->wire = timer_new_ns(QEMU_CLOCK_VIRTUAL, emac_tx_run, s);
    s->coalesce = timer_new_ns(QEMU_CLOCK_VIRTUAL, emac_rx_coalesced, s);
    qemu_macaddr_default_if_unset(&s->conf.macaddr);
    s->nic = qemu_new_nic(&emac_net, &s->conf, TYPE_C5_EMAC, dev->id, &dev->mem_reentrancy_guard, s);
    qemu_format_nic_info_str(qemu_get_queue(s->nic), s->conf.macaddr.a);
    emac_wire_init(s);
}

C5_PROPERTIES emac_properties[] = {
    DEFINE_NIC_PROPERTIES(C5Emac, conf),
    DEFINE_PROP_UINT8("phy-address", C5Emac, phy_address, 1),
    C5_PROPERTIES_END
};

static void emac_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = emac_realize;
    device_class_set_props(dc, emac_properties);
    emac_wire_class_init(klass);
    RESETTABLE_CLASS(klass)->phases.hold = emac_reset;
}

static const TypeInfo emac_types[] = {
    {
        .name = TYPE_C5_EMAC,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Emac),
        .class_init = emac_class_init,
    },
};
DEFINE_TYPES(emac_types)
