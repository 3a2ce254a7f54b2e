/*
 * KSZ9031 PHY: see ksz9031.h. Auto-negotiation is done at once, always with 1000 Mbit/s full duplex; the link follows
 * the cable (emac_fault.c). BMSR's link bit is latched low, as IEEE 802.3 asks: after a drop it reads 0 once. The
 * extended (MMD) registers, which set pad skews, swallow writes and read as zero.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "ksz9031.h"

enum { BMCR = 0, BMSR = 1, PHYID1 = 2, PHYID2 = 3, ADVERTISE = 4, LPA = 5, EXPANSION = 6, CTRL1000 = 9, STAT1000 = 10,
       MMD_DATA = 14, ESTATUS = 15, INTERRUPT = 27, PHY_CONTROL = 31 };

#define BMCR_SELF_CLEARING  0x8200      /* reset, restart auto-negotiation */
#define BMSR_DONE           0x0020
#define BMSR_LINK           0x0004
#define PHY_CONTROL_1000FD  0x0048

void ksz9031_set_link(Ksz9031 *phy, bool up)
{
    phy->dropped |= phy->link && !up;
    phy->link = up;
    phy->regs[BMSR] &= ~(BMSR_LINK | BMSR_DONE);
    if (up) {
        phy->regs[BMSR] |= BMSR_LINK | BMSR_DONE;
    }
    phy->regs[LPA] = up ? 0xcde1 : 0;
    phy->regs[STAT1000] = up ? 0x3800 : 0;
    phy->regs[PHY_CONTROL] = up ? PHY_CONTROL_1000FD : 0;
}

void ksz9031_reset(Ksz9031 *phy)
{
    bool link = phy->link;

    phy->dropped = false;
    memset(phy->regs, 0, sizeof(phy->regs));
    phy->regs[BMCR] = 0x1140;           /* auto-negotiation, full duplex, 1000 Mbit/s */
    phy->regs[BMSR] = 0x7949;
    phy->regs[PHYID1] = 0x0022;
    phy->regs[PHYID2] = 0x1622;
    phy->regs[ADVERTISE] = 0x01e1;
    phy->regs[EXPANSION] = 0x000f;
    phy->regs[CTRL1000] = 0x0300;
    phy->regs[ESTATUS] = 0x3000;
    ksz9031_set_link(phy, link);
}

uint16_t ksz9031_read(Ksz9031 *phy, unsigned number)
{
    if (number == BMSR && phy->dropped) {
        phy->dropped = false;
        return phy->regs[BMSR] & ~BMSR_LINK;
    }
    return number == MMD_DATA || number >= KSZ9031_REGISTERS ? 0 : phy->regs[number];
}

void ksz9031_write(Ksz9031 *phy, unsigned number, uint16_t value)
{
    switch (number) {
    case BMCR:
        if (value & 0x8000) {
            ksz9031_reset(phy);
        } else {
            phy->regs[BMCR] = value & ~BMCR_SELF_CLEARING;
        }
        break;
    case ADVERTISE:
    case CTRL1000:
    case INTERRUPT:
        phy->regs[number] = value;
        break;
    }
}
