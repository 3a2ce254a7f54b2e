/*
 * EMAC: the wire between PHY and network, and the faults on it, as QOM properties of /machine/emac that take effect at
 * once and outlive a reset.
 *
 *   cable        true: plugged. Unplugged, the PHY has no link and nothing comes or goes.
 *   loss-tx, loss-rx, corrupt-rx   so many frames in a thousand. Lost ones vanish on the wire; corrupted ones arrive
 *                with a bad FCS: the MAC counts and drops them, or forwards them with an error status, as it is set up to.
 *   seed         of the random numbers that choose those frames; writing it starts them and the counts over. Equal
 *                traffic and seed give equal losses, each direction for itself.
 *   lost-tx, lost-rx, corrupted-rx   frames so far that the faults took; read-only
 *   delay-rx     microseconds that a received frame is under way, up to 10 s; the order is kept
 *   merge-acks   see emac_rx.c; while frames get lost or corrupted no acknowledgement is merged, whatever it says
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "emac.h"
#include "qapi/visitor.h"

#define WHOLE           1000        /* per mille */
#define LONGEST_US      10000000
#define DELAYED_FRAMES  1000        /* then the network has to wait */

typedef struct {
    int64_t due;
    size_t size;
    uint8_t data[];
} Delayed;

static bool strikes(uint32_t *random, uint32_t rate)
{
    if (!rate) {
        return false;
    }
    *random ^= *random << 13;           /* xorshift32: G. Marsaglia, "Xorshift RNGs" */
    *random ^= *random >> 17;
    *random ^= *random << 5;
    return *random % WHOLE < rate;
}

static void wire_seed(EmacWire *wire)
{
    wire->random_tx = (wire->seed ^ 0x9e3779b9) | 1;        /* never 0, which xorshift cannot leave */
    wire->random_rx = (wire->seed ^ 0x7f4a7c15) | 1;
    wire->lost_tx = wire->lost_rx = wire->corrupted_rx = 0;
}

bool emac_wire_merges_acks(C5Emac *s)
{
    EmacWire *wire = &s->wire_state;

    return !wire->keep_acks && !wire->loss_tx && !wire->loss_rx && !wire->corrupt_rx;
}

bool emac_wire_loses(C5Emac *s)
{
    bool lost = strikes(&s->wire_state.random_rx, s->wire_state.loss_rx);

    s->wire_state.lost_rx += lost;
    return lost;
}

bool emac_wire_corrupts(C5Emac *s)
{
    bool bad = strikes(&s->wire_state.random_rx, s->wire_state.corrupt_rx);

    s->wire_state.corrupted_rx += bad;
    return bad;
}

void emac_wire_send(C5Emac *s, const uint8_t *frame, size_t size)
{
    EmacWire *wire = &s->wire_state;

    if (wire->unplugged || strikes(&wire->random_tx, wire->loss_tx)) {
        wire->lost_tx++;
    } else {
        qemu_send_packet(qemu_get_queue(s->nic), frame, size);
    }
}

/* Deliver what has been under way long enough; false: the rest waits for a descriptor. */
bool emac_wire_flush_delayed(C5Emac *s)
{
    GQueue *delayed = &s->wire_state.delayed;
    Delayed *first;

    while ((first = g_queue_peek_head(delayed)) && first->due <= qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL)) {
        if (!emac_rx_accept(s, first->data, first->size, true)) {
            return false;
        }
        g_free(g_queue_pop_head(delayed));
    }
    if (first) {
        timer_mod(s->wire_state.due, first->due);
    }
    return true;
}

static void wire_due(void *opaque)
{
    emac_rx_resume(opaque);
}

static void wire_delay(C5Emac *s, const uint8_t *frame, size_t size)
{
    GQueue *delayed = &s->wire_state.delayed;
    Delayed *last = g_queue_peek_tail(delayed), *item = g_malloc(sizeof(*item) + size);

    item->due = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) + s->wire_state.delay_us * (int64_t)SCALE_US;
    if (last) {
        item->due = MAX(item->due, last->due);
    } else {
        timer_mod(s->wire_state.due, item->due);
    }
    item->size = size;
    memcpy(item->data, frame, size);
    g_queue_push_tail(delayed, item);
}

static bool wire_delays(C5Emac *s)
{
    return s->wire_state.delay_us || !g_queue_is_empty(&s->wire_state.delayed);
}

bool emac_wire_can_receive(NetClientState *nc)
{
    C5Emac *s = qemu_get_nic_opaque(nc);

    if (s->wire_state.unplugged) {
        return true;
    }
    return wire_delays(s) ? s->wire_state.delayed.length < DELAYED_FRAMES : emac_rx_ready(s);
}

ssize_t emac_wire_receive(NetClientState *nc, const uint8_t *frame, size_t size)
{
    C5Emac *s = qemu_get_nic_opaque(nc);

    if (s->wire_state.unplugged) {
        s->wire_state.lost_rx++;
        return size;
    }
    if (wire_delays(s)) {
        wire_delay(s, frame, size);
        return size;
    }
    return emac_rx_accept(s, frame, size, true) ? size : 0;
}

void emac_wire_link_changed(NetClientState *nc)
{
    C5Emac *s = qemu_get_nic_opaque(nc);

    ksz9031_set_link(&s->phy, !nc->link_down && !s->wire_state.unplugged);
}

static bool get_cable(Object *obj, Error **)
{
    return !C5_EMAC(obj)->wire_state.unplugged;
}

static void wire_lose_delayed(EmacWire *wire)
{
    timer_del(wire->due);
    for (Delayed *item; (item = g_queue_pop_head(&wire->delayed)); wire->lost_rx++) {
        g_free(item);
    }
}

static void set_cable(Object *obj, bool plugged, Error **)
{
    C5Emac *s = C5_EMAC(obj);

    s->wire_state.unplugged = !plugged;
    if (s->nic) {                       /* else the machine is being made: -global */
        if (!plugged) {
            wire_lose_delayed(&s->wire_state);
        }
        emac_wire_link_changed(qemu_get_queue(s->nic));
        qemu_flush_queued_packets(qemu_get_queue(s->nic));
    }
}

static bool get_merge(Object *obj, Error **)
{
    return !C5_EMAC(obj)->wire_state.keep_acks;
}

static void set_merge(Object *obj, bool merge, Error **)
{
    C5_EMAC(obj)->wire_state.keep_acks = !merge;
}

typedef struct {
    const char *name;
    size_t place;           /* of a uint32_t in EmacWire; of a uint64_t when it can only be read */
    uint32_t largest;       /* 0: only to be read */
} Number;

static Number numbers[] = {
    { "loss-tx", offsetof(EmacWire, loss_tx), WHOLE },
    { "loss-rx", offsetof(EmacWire, loss_rx), WHOLE },
    { "corrupt-rx", offsetof(EmacWire, corrupt_rx), WHOLE },
    { "delay-rx", offsetof(EmacWire, delay_us), LONGEST_US },
    { "seed", offsetof(EmacWire, seed), UINT32_MAX },
    { "lost-tx", offsetof(EmacWire, lost_tx), 0 },
    { "lost-rx", offsetof(EmacWire, lost_rx), 0 },
    { "corrupted-rx", offsetof(EmacWire, corrupted_rx), 0 },
};

static void get_number(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    Number *number = opaque;
    void *place = (char *)&C5_EMAC(obj)->wire_state + number->place;

    if (number->largest) {
        visit_type_uint32(v, name, place, errp);
    } else {
        visit_type_uint64(v, name, place, errp);
    }
}

static void set_number(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    EmacWire *wire = &C5_EMAC(obj)->wire_state;
    Number *number = opaque;
    uint32_t value;

    if (!visit_type_uint32(v, name, &value, errp)) {
        return;
    }
    if (value > number->largest) {
        error_setg(errp, "cyclone5-emac.%s is %" PRIu32 " (valid: 0 to %" PRIu32 ")", name, value, number->largest);
        return;
    }
    *(uint32_t *)((char *)wire + number->place) = value;
    if (number->place == offsetof(EmacWire, seed)) {
        wire_seed(wire);
    }
}

void emac_wire_init(C5Emac *s)
{
    s->wire_state.due = timer_new_ns(QEMU_CLOCK_VIRTUAL, wire_due, s);
    wire_seed(&s->wire_state);
}

void emac_wire_class_init(ObjectClass *klass)
{
    object_class_property_add_bool(klass, "cable", get_cable, set_cable);
    object_class_property_add_bool(klass, "merge-acks", get_merge, set_merge);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        object_class_property_add(klass, numbers[i].name, numbers[i].largest ? "uint32" : "uint64", get_number,
                                  numbers[i].largest ? set_number : NULL, NULL, &numbers[i]);
    }
}
