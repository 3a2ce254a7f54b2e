/*
 * Micrel KSZ9031 gigabit PHY, as much as a driver needs to see a gigabit link. Data sheet KSZ9031RNX, "Register
 * Descriptions"; used by Linux's micrel.c and U-Boot's micrel_ksz90x1.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_KSZ9031_H
#define CYCLONE5_KSZ9031_H

#include "qemu/osdep.h"

#define KSZ9031_REGISTERS  32

typedef struct {
    uint16_t regs[KSZ9031_REGISTERS];
    bool link, dropped;     /* dropped: the link was down since BMSR was read last */
} Ksz9031;

void ksz9031_reset(Ksz9031 *phy);
void ksz9031_set_link(Ksz9031 *phy, bool up);
uint16_t ksz9031_read(Ksz9031 *phy, unsigned number);
void ksz9031_write(Ksz9031 *phy, unsigned number, uint16_t value);

#endif
