/*
 * EMAC, IEEE 1588 time. TRM "Ethernet Media Access Controller", "IEEE 1588-2008 Advanced Timestamps"; Linux's
 * stmmac_hwtstamp.c.
 *
 * The reference clock is osc1 (25 MHz), as the TRM says it is unless the system manager selects the FPGA's clock. Linux
 * with mainline's device tree takes it for the EMAC's own clock (`PTP uses main clock`), ten times as fast: so its PTP
 * clock runs at a tenth of the right speed, here and, by the TRM, on metal. Coarse and fine update, digital (1 ns) and
 * binary (2^-31 s) roll-over; stamps go into 32-byte descriptors only. Not modelled: target time, its interrupt, pulse
 * per second, auxiliary snapshots, one-step correction.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "emac.h"
#include "qemu/host-utils.h"

#define CONTROL_ENABLE      (1u << 0)
#define CONTROL_FINE        (1u << 1)
#define CONTROL_INIT        (1u << 2)
#define CONTROL_UPDATE      (1u << 3)
#define CONTROL_ADDEND      (1u << 5)
#define CONTROL_ALL_FRAMES  (1u << 8)
#define CONTROL_DIGITAL     (1u << 9)
#define CONTROL_ETHERNET    (1u << 11)
#define CONTROL_IPV6        (1u << 12)
#define CONTROL_IPV4        (1u << 13)
#define CONTROL_ONCE        (CONTROL_INIT | CONTROL_UPDATE | CONTROL_ADDEND)
#define UPDATE_SUBTRACT     (1u << 31)
#define BINARY_SECOND       (1u << 31)
#define REFERENCE_NS        (NANOSECONDS_PER_SECOND / C5_OSC1_HZ)

static uint32_t units_a_second(C5Emac *s)
{
    return REG(PTP_CONTROL) & CONTROL_DIGITAL ? NANOSECONDS_PER_SECOND : BINARY_SECOND;
}

/* Bring the time up to now; what is left of a cycle counts later. */
static void ptp_advance(C5Emac *s)
{
    int64_t now = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
    uint64_t cycles = (now - s->ptp_since) / REFERENCE_NS, low, high;

    if (!(REG(PTP_CONTROL) & CONTROL_ENABLE)) {
        s->ptp_since = now;
        return;
    }
    s->ptp_since += cycles * REFERENCE_NS;
    if (REG(PTP_CONTROL) & CONTROL_FINE) {
        mulu64(&low, &high, cycles * (REG(PTP_INCREMENT) & 0xff), REG(PTP_ADDEND));
        s->ptp_time += high << 32 | low >> 32;
    } else {
        s->ptp_time += cycles * (REG(PTP_INCREMENT) & 0xff);
    }
}

void emac_ptp_reset(C5Emac *s)
{
    s->ptp_time = 0;
    s->ptp_since = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

static uint64_t ptp_update_value(C5Emac *s)
{
    return (uint64_t)REG(PTP_SECONDS_UPDATE) * units_a_second(s) + (REG(PTP_NANOSECONDS_UPDATE) & ~UPDATE_SUBTRACT);
}

static void ptp_control(C5Emac *s, uint32_t word)
{
    uint64_t seconds = s->ptp_time / units_a_second(s), rest = s->ptp_time % units_a_second(s);

    REG(PTP_CONTROL) = word & ~CONTROL_ONCE;
    s->ptp_time = seconds * units_a_second(s) + rest;   /* the roll-over may be another one now */
    if (word & CONTROL_INIT) {
        s->ptp_time = ptp_update_value(s);
    }
    if (word & CONTROL_UPDATE) {
        uint64_t value = ptp_update_value(s);

        s->ptp_time += REG(PTP_NANOSECONDS_UPDATE) & UPDATE_SUBTRACT ? -value : value;
    }
}

uint32_t emac_ptp_read(C5Emac *s, hwaddr offset)
{
    ptp_advance(s);
    return offset == PTP_SECONDS ? s->ptp_time / units_a_second(s) : s->ptp_time % units_a_second(s);
}

void emac_ptp_write(C5Emac *s, hwaddr offset, uint32_t word)
{
    ptp_advance(s);
    if (offset == PTP_CONTROL) {
        ptp_control(s, word);
    } else {
        REG(offset) = word;
    }
}

static bool is_event_port(const uint8_t *udp, const uint8_t *end)
{
    return udp + 4 <= end && (lduw_be_p(udp + 2) == 319 || lduw_be_p(udp + 2) == 320);
}

/* Shall this received frame be stamped? All, or those of the Precision Time Protocol on the layers that are enabled. */
bool emac_ptp_wants(C5Emac *s, const uint8_t *frame, size_t size)
{
    uint32_t control = REG(PTP_CONTROL);
    uint16_t ethertype = lduw_be_p(frame + 12);

    if (!(control & CONTROL_ENABLE) || !(REG(DMA_BUS) & BUS_LONG)) {
        return false;
    }
    if (control & CONTROL_ALL_FRAMES) {
        return true;
    }
    if (ethertype == 0x88f7) {
        return control & CONTROL_ETHERNET;
    }
    if (ethertype == 0x0800 && size > 34 && frame[23] == 17) {
        return (control & CONTROL_IPV4) && is_event_port(frame + 14 + (frame[14] & 15) * 4, frame + size);
    }
    if (ethertype == 0x86dd && size > 54 && frame[20] == 17) {
        return (control & CONTROL_IPV6) && is_event_port(frame + 54, frame + size);
    }
    return false;
}

/* Write the time into a 32-byte descriptor. */
void emac_ptp_stamp(C5Emac *s, uint32_t descriptor)
{
    uint32_t second = units_a_second(s);

    ptp_advance(s);
    emac_descriptor_write(descriptor + 24, s->ptp_time % second);
    emac_descriptor_write(descriptor + 28, s->ptp_time / second);
}
