/*
 * The mSGDMA's registers and state, shared by msgdma.c (simulation) and msgdma_registers.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_MSGDMA_H
#define CYCLONE5_MSGDMA_H

#include "cyclone5.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Msgdma, C5_MSGDMA)

enum { CSR_STATUS = 0x00, CSR_CONTROL = 0x04, CSR_FILL = 0x08, CSR_RESPONSE_FILL = 0x0c, CSR_SEQUENCE = 0x10,
       CSR_END = 0x20, DESCRIPTOR_END = 0x20, RESPONSE_BYTES = 0x00, RESPONSE_STATUS = 0x04, RESPONSE_END = 0x08 };

#define STATUS_BUSY               (1u << 0)
#define STATUS_DESCRIPTORS_EMPTY  (1u << 1)
#define STATUS_DESCRIPTORS_FULL   (1u << 2)
#define STATUS_RESPONSES_EMPTY    (1u << 3)
#define STATUS_RESPONSES_FULL     (1u << 4)
#define STATUS_STOPPED            (1u << 5)
#define STATUS_STOPPED_ON_ERROR   (1u << 7)
#define STATUS_IRQ                (1u << 9)     /* write 1 to clear */
#define CONTROL_STOP              (1u << 0)
#define CONTROL_RESET             (1u << 1)
#define CONTROL_STOP_ON_ERROR     (1u << 2)
#define CONTROL_IRQ_ENABLE        (1u << 4)
#define CONTROL_STOP_DESCRIPTORS  (1u << 5)
#define CONTROL_BITS              0x3d
#define GO                        (1u << 31)
#define IRQ_ON_COMPLETION         (1u << 14)
#define ERROR_IRQ_SHIFT           16

enum { WORD_WRITE_LOW = 1, WORD_LENGTH = 2, WORD_SEQUENCE = 3, WORD_WRITE_HIGH = 6, WORD_CONTROL = 7, WORDS = 8 };

typedef struct {
    uint64_t address;
    uint32_t length, control;
    uint16_t sequence;
} Descriptor;

typedef struct {
    uint32_t bytes, status;
} Response;

struct C5Msgdma {
    SysBusDevice parent_obj;
    MemoryRegion csr, descriptor, response;
    qemu_irq irq;
    QEMUTimer *alarm;
    C5Source *source;
    uint32_t depth, bytes_per_second;
    uint32_t control;
    bool irq_pending, error_stop;
    uint32_t words[WORDS];      /* the descriptor being written */
    Descriptor *queue;
    unsigned queue_head, queued;
    Response *responses;
    unsigned response_head, responded;
    Descriptor active;
    bool is_active;
    uint32_t done, error;       /* of the active descriptor: bytes moved, error bits seen */
    int64_t began;              /* virtual time at which the active one would have begun without pauses */
};

void msgdma_update_irq(C5Msgdma *s);
void msgdma_before(void *opaque);
void msgdma_after(void *opaque);
void msgdma_alarm(void *opaque);

static inline unsigned msgdma_response_depth(C5Msgdma *s)
{
    return 2 * s->depth;
}

static inline bool msgdma_stopped(C5Msgdma *s)
{
    return (s->control & CONTROL_STOP) || s->error_stop;
}

static inline int64_t msgdma_duration(C5Msgdma *s, uint32_t bytes)
{
    return muldiv64(bytes, NANOSECONDS_PER_SECOND, s->bytes_per_second) + 1;
}

#endif
