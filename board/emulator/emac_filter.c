/*
 * EMAC, address filter: perfect (128 addresses), hash (256 bins), promiscuous. TRM "Ethernet Media Access Controller",
 * "Frame Filtering"; Linux's dwmac1000_set_filter (socfpga.dtsi: 256 bins, 128 perfect entries).
 *
 * A bin is the upper eight bits of the address's CRC-32. Source address filtering is not modelled.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "emac.h"
#include "net/net.h"

#define FILTER_HASH_UNICAST    (1u << 1)
#define FILTER_HASH_MULTICAST  (1u << 2)
#define FILTER_INVERSE         (1u << 3)
#define FILTER_ALL_MULTICAST   (1u << 4)
#define FILTER_NO_BROADCAST    (1u << 5)
#define FILTER_HASH_OR_PERFECT (1u << 10)
#define FILTER_ALL             (1u << 31)
#define ADDRESSES              128
#define NEAR_ADDRESSES         16       /* these have their registers at 0x40, the others at 0x800 */
#define FAR_ADDRESS_HIGH       0x0800

static bool is_perfect(C5Emac *s, const uint8_t *address)
{
    for (int i = 0; i < ADDRESSES; i++) {
        hwaddr place = i < NEAR_ADDRESSES ? MAC_ADDRESS_HIGH + 8 * i : FAR_ADDRESS_HIGH + 8 * (i - NEAR_ADDRESSES);
        uint32_t high = REG(place);
        bool enabled = i == 0 || (high & ADDRESS_ENABLE);

        if (enabled && (uint32_t)ldl_le_p(address) == REG(place + 4) &&
            (uint32_t)lduw_le_p(address + 4) == (high & 0xffff)) {
            return true;
        }
    }
    return false;
}

static bool is_in_hash(C5Emac *s, const uint8_t *address)
{
    uint32_t bin = ~net_crc32(address, 6) >> 24;

    return REG(MAC_HASH + bin / 32 * 4) & (1u << bin % 32);
}

bool emac_filter_wanted(C5Emac *s, const uint8_t *frame)
{
    static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    uint32_t filter = REG(MAC_FILTER);
    bool multicast = frame[0] & 1, wanted = false;

    if (filter & (FILTER_PROMISCUOUS | FILTER_ALL)) {
        return true;
    }
    if (!memcmp(frame, broadcast, 6)) {
        return !(filter & FILTER_NO_BROADCAST);
    }
    if (multicast && (filter & FILTER_ALL_MULTICAST)) {
        return true;
    }
    if (filter & (multicast ? FILTER_HASH_MULTICAST : FILTER_HASH_UNICAST)) {
        wanted = is_in_hash(s, frame) || ((filter & FILTER_HASH_OR_PERFECT) && is_perfect(s, frame));
    } else {
        wanted = is_perfect(s, frame);
    }
    return wanted != !!(filter & FILTER_INVERSE);
}
