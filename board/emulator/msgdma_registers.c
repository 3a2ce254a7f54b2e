/*
 * mSGDMA, the register windows and the device: see msgdma.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "msgdma.h"

static void msgdma_clear(C5Msgdma *s)
{
    s->control = 0;
    s->irq_pending = s->error_stop = s->is_active = false;
    s->queue_head = s->queued = 0;
    s->response_head = s->responded = 0;
}

static uint32_t msgdma_status(C5Msgdma *s)
{
    return (s->is_active || s->queued ? STATUS_BUSY : 0) | (s->queued ? 0 : STATUS_DESCRIPTORS_EMPTY) |
           (s->queued == s->depth ? STATUS_DESCRIPTORS_FULL : 0) | (s->responded ? 0 : STATUS_RESPONSES_EMPTY) |
           (s->responded == msgdma_response_depth(s) ? STATUS_RESPONSES_FULL : 0) |
           (s->control & CONTROL_STOP ? STATUS_STOPPED : 0) | (s->error_stop ? STATUS_STOPPED_ON_ERROR : 0) |
           (s->irq_pending ? STATUS_IRQ : 0);
}

static uint64_t msgdma_csr_read(void *opaque, hwaddr offset, unsigned size)
{
    C5Msgdma *s = opaque;
    uint32_t word = 0;

    msgdma_before(s);
    switch (offset & ~3) {
    case CSR_STATUS:
        word = msgdma_status(s);
        break;
    case CSR_CONTROL:
        word = s->control;
        break;
    case CSR_FILL:              /* write side 31:16, read side 15:0 (there is none) */
        word = s->queued << 16;
        break;
    case CSR_RESPONSE_FILL:
        word = s->responded;
        break;
    case CSR_SEQUENCE:
        word = (uint32_t)s->active.sequence << 16;
        break;
    }
    msgdma_after(s);
    return c5_lanes_read(word, offset);
}

static void msgdma_write_control(C5Msgdma *s, uint32_t new)
{
    bool was_stopped = msgdma_stopped(s);

    if (new & CONTROL_RESET) {
        msgdma_clear(s);
        return;
    }
    s->control = new & CONTROL_BITS;
    if (!(new & CONTROL_STOP_ON_ERROR)) {
        s->error_stop = false;
    }
    if (was_stopped && !msgdma_stopped(s)) {
        s->began = qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL) - msgdma_duration(s, s->done);
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

static uint64_t msgdma_descriptor_read(void *opaque, hwaddr offset, unsigned size)
{
    return 0;                   /* write-only */
}

static void msgdma_push(C5Msgdma *s)
{
    if (s->queued == s->depth) {
        qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_MSGDMA ": descriptor written to a full FIFO is lost\n");
        return;
    }
    if (s->words[WORD_LENGTH] % 4 || s->words[WORD_WRITE_LOW] % 4) {
        qemu_log_mask(LOG_GUEST_ERROR, TYPE_C5_MSGDMA ": address and length are cut to whole words\n");
    }
    s->queue[(s->queue_head + s->queued++) % s->depth] = (Descriptor) {
        .address = (uint64_t)s->words[WORD_WRITE_HIGH] << 32 | (s->words[WORD_WRITE_LOW] & ~3u),
        .length = s->words[WORD_LENGTH] & ~3u,
        .control = s->words[WORD_CONTROL],
        .sequence = s->words[WORD_SEQUENCE],
    };
}

static void msgdma_descriptor_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
    C5Msgdma *s = opaque;
    unsigned word = offset / 4;

    s->words[word] = c5_lanes_write(s->words[word], offset, value, size);
    if (word == WORD_CONTROL && (s->words[word] & GO)) {
        msgdma_before(s);
        msgdma_push(s);
        s->words[word] = 0;
        msgdma_after(s);
    }
}

C5_REGISTER_OPS(msgdma_descriptor_ops, msgdma_descriptor_read, msgdma_descriptor_write);

static uint64_t msgdma_response_read(void *opaque, hwaddr offset, unsigned size)
{
    C5Msgdma *s = opaque;
    Response *head = &s->responses[s->response_head];
    uint32_t word = 0;

    msgdma_before(s);
    if (s->responded && (offset & ~3) == RESPONSE_BYTES) {
        word = head->bytes;
    } else if (s->responded) {
        word = head->status;
        s->response_head = (s->response_head + 1) % msgdma_response_depth(s);
        s->responded--;
    }
    msgdma_after(s);
    return c5_lanes_read(word, offset);
}

static void msgdma_response_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
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
    memset(s->words, 0, sizeof(s->words));
    timer_del(s->alarm);
    msgdma_update_irq(s);
}

static void msgdma_realize(DeviceState *dev, Error **errp)
{
    C5Msgdma *s = C5_MSGDMA(dev);
    SysBusDevice *bus = SYS_BUS_DEVICE(dev);

    if (s->depth < 8 || s->depth > 1024 || !s->bytes_per_second) {
        error_setg(errp, TYPE_C5_MSGDMA ": depth %u (valid: 8 to 1024), bytes-per-second %u (valid: more than 0)",
                   s->depth, s->bytes_per_second);
        return;
    }
    s->queue = g_new0(Descriptor, s->depth);
    s->responses = g_new0(Response, msgdma_response_depth(s));
    s->alarm = timer_new_ns(QEMU_CLOCK_VIRTUAL, msgdma_alarm, s);
    memory_region_init_io(&s->csr, OBJECT(s), &msgdma_csr_ops, s, "cyclone5-msgdma-csr", CSR_END);
    memory_region_init_io(&s->descriptor, OBJECT(s), &msgdma_descriptor_ops, s, "cyclone5-msgdma-descriptor",
                          DESCRIPTOR_END);
    memory_region_init_io(&s->response, OBJECT(s), &msgdma_response_ops, s, "cyclone5-msgdma-response", RESPONSE_END);
    sysbus_init_mmio(bus, &s->csr);
    sysbus_init_mmio(bus, &s->descriptor);
    sysbus_init_mmio(bus, &s->response);
    sysbus_init_irq(bus, &s->irq);
}

C5_PROPERTIES msgdma_properties[] = {
    DEFINE_PROP_UINT32("depth", C5Msgdma, depth, 128),
    DEFINE_PROP_UINT32("bytes-per-second", C5Msgdma, bytes_per_second, 400000000),
    C5_PROPERTIES_END
};

static void msgdma_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = msgdma_realize;
    device_class_set_props(dc, msgdma_properties);
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
