/*
 * The capture source, its registers, its faults and the device: see source.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "source.h"
#include "qapi/visitor.h"

enum { CONTROL = 0x00, STATUS = 0x04, PATTERN = 0x08, RATE = 0x0c, FIFO_BYTES = 0x10, FIFO_LEVEL = 0x14,
       LOST_LOW = 0x18, LOST_HIGH = 0x1c, PRODUCED_LOW = 0x20, PRODUCED_HIGH = 0x24, FRAME_BYTES = 0x28,
       REGISTERS_END = 0x40 };

#define CONTROL_RUN        (1u << 0)
#define CONTROL_CLEAR      (1u << 1)
#define CONTROL_MUTE       (1u << 2)
#define STATUS_RUNNING     (1u << 0)
#define STATUS_OVERFLOWED  (1u << 1)

static uint32_t source_get_control(const C5Source *s)
{
    return (s->running ? CONTROL_RUN : 0) | (s->mute ? CONTROL_MUTE : 0);
}

static uint32_t source_register(C5Source *s, hwaddr offset)
{
    switch (offset) {
    case CONTROL:
        return source_get_control(s);
    case STATUS:
        return (s->running ? STATUS_RUNNING : 0) | (s->overflowed ? STATUS_OVERFLOWED : 0);
    case PATTERN:
        return s->pattern;
    case RATE:
        return s->rate;
    case FIFO_BYTES:
        return s->fifo_bytes;
    case FIFO_LEVEL:
        return s->level;
    case LOST_LOW:
        s->lost_high = s->lost >> 32;
        return s->lost;
    case LOST_HIGH:
        return s->lost_high;
    case PRODUCED_LOW:
        s->produced_high = s->produced >> 32;
        return s->produced;
    case PRODUCED_HIGH:
        return s->produced_high;
    case FRAME_BYTES:
        return s->frame_bytes;
    default:
        return 0;
    }
}

/* Not before the fabric has connected it: a property may be set on the command line. */
static void source_before(C5Source *s)
{
    if (s->before) {
        s->before(s->opaque);
    }
}

static void source_after(C5Source *s)
{
    if (s->after) {
        s->after(s->opaque);
    }
}

static uint64_t source_read(void *opaque, hwaddr offset, unsigned)
{
    C5Source *s = opaque;
    uint32_t word;

    source_before(s);
    word = source_register(s, offset & ~3);
    source_after(s);
    return c5_lanes_read(word, offset);
}

static void source_control(C5Source *s, uint32_t new)
{
    if ((new & CONTROL_CLEAR) && !s->running && !(new & CONTROL_RUN)) {
        source_clear(s);
    } else if (new & CONTROL_CLEAR) {
        qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_SOURCE ": CLEAR while running is ignored\n");
    }
    s->running = new & CONTROL_RUN;
    s->mute = new & CONTROL_MUTE;
}

static void source_set_pattern(C5Source *s, uint32_t new)
{
    if (new >= PATTERNS) {
        qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_SOURCE ": there is no pattern %u\n", new);
        return;
    }
    s->pattern = new;
    s->state_index = UINT64_MAX;
}

static void source_set_frame(C5Source *s, uint32_t new)
{
    if (s->running) {
        qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_SOURCE ": FRAME_BYTES while running is ignored\n");
        return;
    }
    s->frame_bytes = new & ~3u;
}

static void source_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Source *s = opaque;

    source_before(s);
    switch (offset & ~3) {
    case CONTROL:
        source_control(s, c5_lanes_write(source_get_control(s), offset, value, size));
        break;
    case PATTERN:
        source_set_pattern(s, c5_lanes_write(s->pattern, offset, value, size));
        break;
    case RATE:
        s->rate = c5_lanes_write(s->rate, offset, value, size);
        break;
    case FRAME_BYTES:
        source_set_frame(s, c5_lanes_write(s->frame_bytes, offset, value, size));
        break;
    }
    source_rebase(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    source_after(s);
}

C5_REGISTER_OPS(source_ops, source_read, source_write);

typedef struct {
    const char *name;
    size_t offset;              /* in C5Source */
    uint64_t most;              /* 0: read-only */
    uint64_t multiple;
} Fault;

static const Fault faults[] = {
    { "drop-bytes", offsetof(C5Source, drop_bytes), 1ull << 40, 4 },
    { "dropped-bytes", offsetof(C5Source, dropped_bytes), 0, 1 },
    { "flip-words", offsetof(C5Source, flip_words), UINT64_MAX, 1 },
    { "flipped-words", offsetof(C5Source, flipped_words), 0, 1 },
};

static uint64_t *fault_field(C5Source *s, const Fault *fault)
{
    return (uint64_t *)((char *)s + fault->offset);
}

static void fault_get(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    C5Source *s = C5_SOURCE(obj);
    uint64_t value;

    source_before(s);
    value = *fault_field(s, opaque);
    source_after(s);
    visit_type_uint64(v, name, &value, errp);
}

static void fault_set(Object *obj, Visitor *v, const char *name, void *opaque, Error **errp)
{
    C5Source *s = C5_SOURCE(obj);
    const Fault *fault = opaque;
    uint64_t value;

    if (!visit_type_uint64(v, name, &value, errp)) {
        return;
    }
    if (value % fault->multiple || value > fault->most) {
        error_setg(errp, TYPE_C5_SOURCE ".%s is %" PRIu64 " (valid: a multiple of %" PRIu64 ", at most %" PRIu64 ")",
                   name, value, fault->multiple, fault->most);
        return;
    }
    source_before(s);
    *fault_field(s, fault) = value;
    source_after(s);
}

static C5_RESET_PHASE(source_reset)
{
    C5Source *s = C5_SOURCE(obj);

    s->running = s->mute = false;
    s->pattern = PATTERN_COUNTER;
    s->rate = s->frame_bytes = 0;
    s->lost_high = s->produced_high = 0;
    source_clear(s);
}

static void source_realize(DeviceState *dev, Error **errp)
{
    C5Source *s = C5_SOURCE(dev);

    if (!s->fifo_bytes || s->fifo_bytes % 4) {
        error_setg(errp, TYPE_C5_SOURCE ".fifo-bytes is %u (valid: a multiple of 4)", s->fifo_bytes);
        return;
    }
    prbs31_init(&s->prbs);
    memory_region_init_io(&s->iomem, OBJECT(s), &source_ops, s, TYPE_C5_SOURCE, REGISTERS_END);
    sysbus_init_mmio(SYS_BUS_DEVICE(dev), &s->iomem);
}

C5_PROPERTIES source_properties[] = {
    DEFINE_PROP_UINT32("fifo-bytes", C5Source, fifo_bytes, 256 * KiB),
    C5_PROPERTIES_END
};

static void source_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = source_realize;
    device_class_set_props(dc, source_properties);
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        object_class_property_add(klass, faults[i].name, "uint64", fault_get, faults[i].most ? fault_set : NULL, NULL,
                                  (void *)&faults[i]);
    }
    RESETTABLE_CLASS(klass)->phases.hold = source_reset;
}

static const TypeInfo source_types[] = {
    {
        .name = TYPE_C5_SOURCE,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Source),
        .class_init = source_class_init,
    },
};
DEFINE_TYPES(source_types)
