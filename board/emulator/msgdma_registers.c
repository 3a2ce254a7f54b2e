/*
 * mSGDMA, the register windows and the device: see msgdma.c. Three windows: control and status, descriptor (a write of its
 * last byte with GO set commits it), response (a read of its last byte pops it).
 *
 * What the RTL does and the guide's tables do not say: with the global interrupt enable off, a completion sets no IRQ bit;
 * the interrupt line is that bit, whatever the enable is then; a stop on error or early termination sets STOP, and
 * writing STOP as 0 clears all three; "stopped" shows with STOP, and with STOP DESCRIPTORS between two descriptors.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "msgdma.h"
#include "qemu/host-utils.h"

/* Component Configuration 1: each field as its position and value. */
#define CONFIG1_BURST           (1u << 0)
#define CONFIG1_FIFO_512        (5u << 6)
#define CONFIG1_WIDTH_32        (2u << 10)
#define CONFIG1_DEPTH_SHIFT     13
#define CONFIG1_MODE_SHIFT      16
#define CONFIG1_ENHANCED        (1u << 18)
#define CONFIG1_ERROR_8_BITS    (1u << 19 | 7u << 20)
#define CONFIG1_BURST_16        (3u << 23)
#define CONFIG1_LENGTH_2GIB     (21u << 27)
#define CONFIG2_PACKETS         (1u << 16)
#define CONFIG2_UNALIGNED       (2u << 21)
#define TYPE_AND_VERSION        0xda01

static unsigned msgdma_words(const C5Msgdma *s)
{
    return s->extended ? WORDS_EXTENDED : WORDS_STANDARD;
}

static uint32_t msgdma_status(C5Msgdma *s, int64_t now)
{
    bool stopped = (s->control & CONTROL_STOP) || ((s->control & CONTROL_STOP_DESCRIPTORS) && !s->is_active);

    return (s->is_active || s->queued ? STATUS_BUSY : 0) | (s->queued ? 0 : STATUS_DESCRIPTORS_EMPTY) |
           (s->queued == s->depth ? STATUS_DESCRIPTORS_FULL : 0) | (s->responded ? 0 : STATUS_RESPONSES_EMPTY) |
           (s->responded == msgdma_response_depth(s) ? STATUS_RESPONSES_FULL : 0) | (stopped ? STATUS_STOPPED : 0) |
           (msgdma_resetting(s, now) ? STATUS_RESETTING : 0) | (s->error_stop ? STATUS_STOPPED_ON_ERROR : 0) |
           (s->early_stop ? STATUS_STOPPED_ON_EARLY : 0) | (s->irq_pending ? STATUS_IRQ : 0);
}

/* The side that the instance does not have shows 0. */
static uint32_t msgdma_both_sides(const C5Msgdma *s, uint32_t value)
{
    return value << 16 | (s->source ? 0 : value);
}

static uint32_t msgdma_config1(const C5Msgdma *s)
{
    uint32_t mode = s->source ? MODE_STREAM_TO_MEMORY : MODE_MEMORY_TO_MEMORY;

    return CONFIG1_BURST | CONFIG1_FIFO_512 | CONFIG1_WIDTH_32 | (ctz32(pow2ceil(s->depth)) - 3) << CONFIG1_DEPTH_SHIFT |
           mode << CONFIG1_MODE_SHIFT | (s->extended ? CONFIG1_ENHANCED : 0) | (s->source ? CONFIG1_ERROR_8_BITS : 0) |
           CONFIG1_BURST_16 | CONFIG1_LENGTH_2GIB;
}

static uint32_t msgdma_csr(C5Msgdma *s, hwaddr offset)
{
    switch (offset) {
    case CSR_STATUS:
        return msgdma_status(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    case CSR_CONTROL:
        return s->control;
    case CSR_FILL:              /* write side 31:16, read side 15:0 */
        return msgdma_both_sides(s, s->queued);
    case CSR_RESPONSE_FILL:
        return s->responded;
    case CSR_SEQUENCE:          /* likewise */
        return s->extended ? msgdma_both_sides(s, s->active.sequence) : 0;
    case CSR_CONFIG1:
        return msgdma_config1(s);
    case CSR_CONFIG2:
        return s->source ? CONFIG2_PACKETS : CONFIG2_UNALIGNED;
    case CSR_TYPE:
        return TYPE_AND_VERSION;
    default:
        return 0;
    }
}

static uint64_t msgdma_csr_read(void *opaque, hwaddr offset, unsigned)
{
    C5Msgdma *s = opaque;
    uint32_t word;

    msgdma_before(s);
    word = msgdma_csr(s, offset & ~3);
    msgdma_after(s);
    return c5_lanes_read(word, offset);
}

static void msgdma_write_control(C5Msgdma *s, uint32_t new)
{
    bool was_stopped = s->control & CONTROL_STOP;

    if (new & CONTROL_RESET) {
        msgdma_clear(s);
        return;
    }
    s->control = new & CONTROL_BITS;
    if (new & CONTROL_STOP) {
        return;
    }
    s->error_stop = s->early_stop = false;
    if (was_stopped) {
        msgdma_resume(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL));
    }
}

static void msgdma_csr_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Msgdma *s = opaque;

    msgdma_before(s);
    switch (offset & ~3) {
    case CSR_STATUS:
        if (c5_lanes_write(0, offset, value, size) & STATUS_IRQ) {
            s->irq_pending = false;
        }
        break;
    case CSR_CONTROL:
        msgdma_write_control(s, c5_lanes_write(s->control, offset, value, size));
        break;
    }
    msgdma_after(s);
}

C5_REGISTER_OPS(msgdma_csr_ops, msgdma_csr_read, msgdma_csr_write);

static uint64_t msgdma_descriptor_read(void *, hwaddr, unsigned)
{
    return 0;                   /* write-only */
}

/* Channel, packet generation, early done, bursts and strides are for what this instance does not have. */
static Descriptor msgdma_descriptor(const C5Msgdma *s)
{
    Descriptor d = { .read = s->words[0], .write = s->words[1], .length = s->words[2] };

    if (s->extended) {
        d.sequence = s->words[3];
        d.read |= (uint64_t)s->words[5] << 32;
        d.write |= (uint64_t)s->words[6] << 32;
    }
    d.control = s->words[msgdma_words(s) - 1];
    if (s->source && ((d.write | d.length) & 3)) {
        qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_MSGDMA ": address and length are cut to whole words\n");
        d.write &= ~3ull;
        d.length &= ~3u;
    }
    if (!d.length) {
        qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_MSGDMA ": a descriptor without length hangs until reset\n");
    }
    return d;
}

static void msgdma_push(C5Msgdma *s)
{
    if (msgdma_resetting(s, qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL))) {
        qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_MSGDMA ": descriptor written during a reset is lost\n");
    } else if (s->queued == s->depth) {
        qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_MSGDMA ": descriptor written to a full FIFO is lost\n");
    } else {
        s->queue[(s->queue_head + s->queued++) % s->depth] = msgdma_descriptor(s);
    }
    memset(s->words, 0, sizeof(s->words));
}

static void msgdma_descriptor_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Msgdma *s = opaque;
    unsigned word = offset / 4;

    s->words[word] = c5_lanes_write(s->words[word], offset, value, size);
    if (offset + size == msgdma_words(s) * 4 && (s->words[word] & GO)) {
        msgdma_before(s);
        msgdma_push(s);
        msgdma_after(s);
    }
}

C5_REGISTER_OPS(msgdma_descriptor_ops, msgdma_descriptor_read, msgdma_descriptor_write);

static uint64_t msgdma_response_read(void *opaque, hwaddr offset, unsigned size)
{
    C5Msgdma *s = opaque;
    uint32_t word = 0;

    msgdma_before(s);
    if (s->responded) {
        Response *head = &s->responses[s->response_head];

        word = (offset & ~3) == RESPONSE_BYTES ? head->bytes : head->status;
        if (offset + size == RESPONSE_END) {
            s->response_head = (s->response_head + 1) % msgdma_response_depth(s);
            s->responded--;
        }
    }
    msgdma_after(s);
    return c5_lanes_read(word, offset);
}

static void msgdma_response_write(void *, hwaddr, uint64_t, unsigned)
{
}

C5_REGISTER_OPS(msgdma_response_ops, msgdma_response_read, msgdma_response_write);

void cyclone5_msgdma_connect(DeviceState *msgdma, DeviceState *source)
{
    C5Msgdma *s = C5_MSGDMA(msgdma);

    s->source = C5_SOURCE(source);
    cyclone5_source_connect(s->source, msgdma_before, msgdma_after, s);
}

static C5_RESET_PHASE(msgdma_reset)
{
    C5Msgdma *s = C5_MSGDMA(obj);

    msgdma_clear(s);
    s->reset_until = 0;
    s->active.sequence = 0;
    timer_del(s->alarm);
    qemu_set_irq(s->irq, 0);
}

static void msgdma_create_windows(C5Msgdma *s, SysBusDevice *bus)
{
    memory_region_init_io(&s->csr, OBJECT(s), &msgdma_csr_ops, s, "cyclone5-msgdma-csr", CSR_END);
    memory_region_init_io(&s->descriptor, OBJECT(s), &msgdma_descriptor_ops, s, "cyclone5-msgdma-descriptor",
                          msgdma_words(s) * 4);
    memory_region_init_io(&s->response, OBJECT(s), &msgdma_response_ops, s, "cyclone5-msgdma-response", RESPONSE_END);
    sysbus_init_mmio(bus, &s->csr);
    sysbus_init_mmio(bus, &s->descriptor);
    sysbus_init_mmio(bus, &s->response);
    sysbus_init_irq(bus, &s->irq);
}

static void msgdma_realize(DeviceState *dev, Error **errp)
{
    C5Msgdma *s = C5_MSGDMA(dev);
    MemoryRegion *ram = MACHINE(qdev_get_machine())->ram;

    if (s->depth < 8 || s->depth > 1024 || !s->bytes_per_second) {
        error_setg(errp, TYPE_C5_MSGDMA ": depth %u (valid: 8 to 1024), bytes-per-second %u (valid: more than 0)",
                   s->depth, s->bytes_per_second);
        return;
    }
    s->memory_bytes = memory_region_size(ram);
    memory_region_init_alias(&s->sdram, OBJECT(s), "cyclone5-fpga-to-sdram", ram, 0, s->memory_bytes);
    address_space_init(&s->memory, &s->sdram, "cyclone5-fpga-to-sdram");
    s->irq_at = INT64_MAX;
    s->queue = g_new0(Descriptor, s->depth);
    s->responses = g_new0(Response, msgdma_response_depth(s));
    s->alarm = timer_new_ns(QEMU_CLOCK_VIRTUAL, msgdma_alarm, s);
    msgdma_create_windows(s, SYS_BUS_DEVICE(dev));
}

C5_PROPERTIES msgdma_properties[] = {
    DEFINE_PROP_UINT32("depth", C5Msgdma, depth, 128),
    DEFINE_PROP_UINT32("bytes-per-second", C5Msgdma, bytes_per_second, 400000000),
    DEFINE_PROP_BOOL("extended", C5Msgdma, extended, true),
    C5_PROPERTIES_END
};

static void msgdma_class_init(ObjectClass *klass, void *)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = msgdma_realize;
    device_class_set_props(dc, msgdma_properties);
    msgdma_add_faults(klass);
    RESETTABLE_CLASS(klass)->phases.hold = msgdma_reset;
}

static const TypeInfo msgdma_types[] = {
    {
        .name = TYPE_C5_MSGDMA,
        .parent = TYPE_SYS_BUS_DEVICE,
        .instance_size = sizeof(C5Msgdma),
        .class_init = msgdma_class_init,
    },
};
DEFINE_TYPES(msgdma_types)
