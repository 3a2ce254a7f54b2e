/*
 * mSGDMA, its faults: QOM properties that take effect at once and can be set while the board runs. firmware/faults.py is
 * their typed client, docs/emulator.md their list.
 *
 * What is to be done is counted down (`lose-interrupts`), what has been done is counted up since power-on
 * (`lost-interrupts`), each exactly.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "msgdma.h"
#include "qapi/visitor.h"

#define MAX_NS  (3600ull * NANOSECONDS_PER_SECOND)

typedef struct {
    const char *name;
    size_t offset;              /* in Faults */
    uint64_t most;              /* 0: read-only */
    uint64_t multiple;          /* 0: any */
    void (*written)(C5Msgdma *s);
} Fault;

static void stall_written(C5Msgdma *s)
{
    msgdma_stall(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL), s->faults.stall_ns);
    if (s->faults.stall_ns) {
        s->faults.stalls++;
        s->faults.stalled_ns += s->faults.stall_ns;
    }
}

static const Fault faults[] = {
    { "lose-interrupts", offsetof(Faults, lose_interrupts), UINT64_MAX, 0, NULL },
    { "lost-interrupts", offsetof(Faults, lost_interrupts), 0, 0, NULL },
    { "delay-interrupts", offsetof(Faults, delay_interrupts), UINT64_MAX, 0, NULL },
    { "delay-ns", offsetof(Faults, delay_ns), MAX_NS, 0, NULL },
    { "delayed-interrupts", offsetof(Faults, delayed_interrupts), 0, 0, NULL },
    { "fail-descriptors", offsetof(Faults, fail_descriptors), UINT64_MAX, 0, NULL },
    { "fail-bits", offsetof(Faults, fail_bits), 0xff, 0, NULL },
    { "failed-descriptors", offsetof(Faults, failed_descriptors), 0, 0, NULL },
    { "shorten-descriptors", offsetof(Faults, shorten_descriptors), UINT64_MAX, 0, NULL },
    { "shorten-bytes", offsetof(Faults, shorten_bytes), UINT32_MAX & ~3u, 4, NULL },
    { "shortened-descriptors", offsetof(Faults, shortened_descriptors), 0, 0, NULL },
    { "stall-ns", offsetof(Faults, stall_ns), MAX_NS, 0, stall_written },
    { "stalls", offsetof(Faults, stalls), 0, 0, NULL },
    { "stalled-ns", offsetof(Faults, stalled_ns), 0, 0, NULL },
    { "stale-descriptors", offsetof(Faults, stale_descriptors), UINT64_MAX, 0, NULL },
    { "staled-descriptors", offsetof(Faults, staled_descriptors), 0, 0, NULL },
};

static uint64_t *fault_field(C5Msgdma *s, const Fault *fault)
{
    return (uint64_t *)((char *)&s->faults + fault->offset);
}

/* On the command line a property is set before the device is complete: there is nothing to play yet. */
static bool fault_live(C5Msgdma *s)
{
    return DEVICE(s)->realized;
}

static void fault_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    C5Msgdma *s = C5_MSGDMA(obj);
    uint64_t value;

    if (fault_live(s)) {
        msgdma_alarm(s);
    }
    value = *fault_field(s, opaque);
    visit_type_uint64(v, name, &value, errp);
}

static void fault_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    C5Msgdma *s = C5_MSGDMA(obj);
    const Fault *fault = opaque;
    uint64_t value;

    if (!visit_type_uint64(v, name, &value, errp)) {
        return;
    }
    if (value > fault->most || (fault->multiple && (value % fault->multiple || !value))) {
        error_setg(errp, TYPE_C5_MSGDMA ".%s is %" PRIu64 " (valid: at most %" PRIu64 "%s)", name, value, fault->most,
                   fault->multiple ? ", a multiple of 4, not 0" : "");
        return;
    }
    if (fault_live(s)) {
        msgdma_before(s);
    }
    *fault_field(s, fault) = value;
    if (fault_live(s)) {
        if (fault->written) {
            fault->written(s);
        }
        msgdma_after(s);
    }
}

void msgdma_add_faults(ObjectClass *klass)
{
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        object_class_property_add(klass, faults[i].name, "uint64", fault_get, faults[i].most ? fault_set : NULL, NULL,
                                  (void *)&faults[i]);
    }
}

/* Count one down and one up; false when nothing is left to do. */
static bool fault_take(uint64_t *left, uint64_t *count)
{
    if (!*left) {
        return false;
    }
    --*left;
    ++*count;
    return true;
}

uint32_t msgdma_fault_end(C5Msgdma *s, uint32_t length)
{
    Faults *f = &s->faults;

    return f->shorten_bytes && f->shorten_bytes < length &&
           fault_take(&f->shorten_descriptors, &f->shortened_descriptors) ? f->shorten_bytes : length;
}

uint32_t msgdma_fault_error(C5Msgdma *s)
{
    Faults *f = &s->faults;

    return f->fail_bits && fault_take(&f->fail_descriptors, &f->failed_descriptors) ? f->fail_bits : 0;
}

bool msgdma_fault_interrupt(C5Msgdma *s, int64_t now)
{
    Faults *f = &s->faults;

    if (fault_take(&f->lose_interrupts, &f->lost_interrupts)) {
        return false;
    }
    if (fault_take(&f->delay_interrupts, &f->delayed_interrupts)) {
        s->irq_at = now + f->delay_ns;
        return false;
    }
    return true;
}

bool msgdma_fault_stale(C5Msgdma *s)
{
    return fault_take(&s->faults.stale_descriptors, &s->faults.staled_descriptors);
}
