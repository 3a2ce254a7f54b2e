/*
 * EMAC, management counters (MMC). TRM "Ethernet Media Access Controller", registers mmc_control and following; Linux's
 * mmc_core.c (`ethtool -S`).
 *
 * Frames that the address filter takes are counted, by size, kind of address and, received, by protocol. What cannot
 * happen here (collisions, underflow, wrong alignment, ...) stays 0. Reset, freeze, reset on read are modelled; the
 * preset is not, nor the interrupts at half of a counter's range, which Linux masks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "emac.h"

#define CONTROL_RESET          (1u << 0)
#define CONTROL_RESET_ON_READ  (1u << 2)
#define CONTROL_FREEZE         (1u << 3)
#define CONTROL_STORED         0x0000010eu

enum { TX_OCTETS_ALL = 0x114, TX_FRAMES_ALL = 0x118, TX_BROADCAST = 0x11c, TX_MULTICAST = 0x120, TX_SIZES = 0x124,
       TX_UNICAST_ALL = 0x13c, TX_MULTICAST_ALL = 0x140, TX_BROADCAST_ALL = 0x144, TX_OCTETS = 0x164, TX_FRAMES = 0x168,
       TX_VLAN = 0x174, RX_FRAMES_ALL = 0x180, RX_OCTETS_ALL = 0x184, RX_OCTETS = 0x188, RX_BROADCAST = 0x18c,
       RX_MULTICAST = 0x190, RX_CRC_ERRORS = 0x194, RX_OVERSIZE = 0x1a8, RX_SIZES = 0x1ac, RX_UNICAST = 0x1c4,
       RX_VLAN = 0x1d8, RX_IPV4 = 0x210, RX_IPV6 = 0x224, RX_UDP = 0x230, RX_TCP = 0x238, RX_ICMP = 0x240,
       IPC_OCTETS = 0x40 };     /* from an IPC counter of frames to that of their octets */

#define RX_IPV6_OCTETS    0x264
#define LARGEST_UNTAGGED  1518
#define ETHERTYPE(frame)  lduw_be_p((frame) + 12)

static void count(C5Emac *s, hwaddr counter, uint32_t amount)
{
    if (!(REG(MMC_CONTROL) & CONTROL_FREEZE)) {
        REG(counter) += amount;
    }
}

/* The first of three counters, six counters by size: 64, up to 127, 255, 511, 1023, more. */
static void count_size(C5Emac *s, hwaddr first, uint32_t total)
{
    unsigned size = total <= 64 ? 0 : total < 128 ? 1 : total < 256 ? 2 : total < 512 ? 3 : total < 1024 ? 4 : 5;

    count(s, first + 4 * size, 1);
}

static hwaddr by_address(const uint8_t *frame, hwaddr unicast, hwaddr multicast, hwaddr broadcast)
{
    static const uint8_t everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    return !(frame[0] & 1) ? unicast : memcmp(frame, everybody, 6) ? multicast : broadcast;
}

void emac_mmc_sent(C5Emac *s, const uint8_t *frame, size_t size)
{
    uint32_t total = MAX(size, SMALLEST_FRAME) + FCS_BYTES;

    count(s, TX_OCTETS_ALL, total);
    count(s, TX_OCTETS, total);
    count(s, TX_FRAMES_ALL, 1);
    count(s, TX_FRAMES, 1);
    count(s, by_address(frame, TX_UNICAST_ALL, TX_MULTICAST_ALL, TX_BROADCAST_ALL), 1);
    if (frame[0] & 1) {
        count(s, by_address(frame, 0, TX_MULTICAST, TX_BROADCAST), 1);
    }
    if (ETHERTYPE(frame) == 0x8100) {
        count(s, TX_VLAN, 1);
    }
    count_size(s, TX_SIZES, total);
}

static void count_protocol(C5Emac *s, uint8_t protocol, uint32_t octets)
{
    hwaddr counter = protocol == 6 ? RX_TCP : protocol == 17 ? RX_UDP : protocol == 1 || protocol == 58 ? RX_ICMP : 0;

    if (counter) {
        count(s, counter, 1);
        count(s, counter + IPC_OCTETS, octets);
    }
}

static void count_packet(C5Emac *s, const uint8_t *packet, size_t size, uint16_t ethertype)
{
    if (ethertype == 0x0800 && size >= 20) {
        uint32_t header = (packet[0] & 15) * 4, octets = lduw_be_p(packet + 2);

        count(s, RX_IPV4, 1);
        count(s, RX_IPV4 + IPC_OCTETS, octets);
        count_protocol(s, packet[9], octets > header ? octets - header : 0);
    } else if (ethertype == 0x86dd && size >= 40) {
        uint32_t octets = lduw_be_p(packet + 4);

        count(s, RX_IPV6, 1);
        count(s, RX_IPV6_OCTETS, octets + 40);
        count_protocol(s, packet[6], octets);
    }
}

void emac_mmc_received(C5Emac *s, const uint8_t *frame, size_t size, bool bad)
{
    uint32_t total = MAX(size, SMALLEST_FRAME) + FCS_BYTES;

    count(s, RX_FRAMES_ALL, 1);
    count(s, RX_OCTETS_ALL, total);
    count_size(s, RX_SIZES, total);
    if (ETHERTYPE(frame) == 0x8100) {
        count(s, RX_VLAN, 1);
    }
    if (bad) {
        count(s, RX_CRC_ERRORS, 1);
        return;
    }
    count(s, RX_OCTETS, total);
    count(s, by_address(frame, RX_UNICAST, RX_MULTICAST, RX_BROADCAST), 1);
    if (total > LARGEST_UNTAGGED) {
        count(s, RX_OVERSIZE, 1);
    }
    if (size > 14) {
        count_packet(s, frame + 14, size - 14, ETHERTYPE(frame));
    }
}

void emac_mmc_control(C5Emac *s, uint32_t word)
{
    if (word & CONTROL_RESET) {
        memset(&REG(MMC_COUNTERS), 0, MMC_END - MMC_COUNTERS + 4);
        memset(&REG(MMC_IPC_COUNTERS), 0, MMC_IPC_END - MMC_IPC_COUNTERS + 4);
    }
    REG(MMC_CONTROL) = word & CONTROL_STORED;
}

uint32_t emac_mmc_read(C5Emac *s, hwaddr offset)
{
    uint32_t word = REG(offset);

    if ((REG(MMC_CONTROL) & CONTROL_RESET_ON_READ) && (offset <= MMC_END || offset >= MMC_IPC_COUNTERS)) {
        REG(offset) = 0;
    }
    return word;
}
