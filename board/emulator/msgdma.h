/*
 * The mSGDMA's registers and state, shared by msgdma.c (simulation), msgdma_registers.c and msgdma_faults.c.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef CYCLONE5_MSGDMA_H
#define CYCLONE5_MSGDMA_H

#include "source.h"

OBJECT_DECLARE_SIMPLE_TYPE(C5Msgdma, C5_MSGDMA)

enum { CSR_STATUS = 0x00, CSR_CONTROL = 0x04, CSR_FILL = 0x08, CSR_RESPONSE_FILL = 0x0c, CSR_SEQUENCE = 0x10,
       CSR_CONFIG1 = 0x14, CSR_CONFIG2 = 0x18, CSR_TYPE = 0x1c, CSR_END = 0x20,
       RESPONSE_BYTES = 0x00, RESPONSE_STATUS = 0x04, RESPONSE_END = 0x08 };

#define STATUS_BUSY               (1u << 0)
#define STATUS_DESCRIPTORS_EMPTY  (1u << 1)
#define STATUS_DESCRIPTORS_FULL   (1u << 2)
#define STATUS_RESPONSES_EMPTY    (1u << 3)
#define STATUS_RESPONSES_FULL     (1u << 4)
#define STATUS_STOPPED            (1u << 5)
#define STATUS_RESETTING          (1u << 6)
#define STATUS_STOPPED_ON_ERROR   (1u << 7)
#define STATUS_STOPPED_ON_EARLY   (1u << 8)
#define STATUS_IRQ                (1u << 9)     /* write 1 to clear */

#define CONTROL_STOP              (1u << 0)
#define CONTROL_RESET             (1u << 1)
#define CONTROL_STOP_ON_ERROR     (1u << 2)
#define CONTROL_STOP_ON_EARLY     (1u << 3)
#define CONTROL_IRQ_ENABLE        (1u << 4)
#define CONTROL_STOP_DESCRIPTORS  (1u << 5)
#define CONTROL_BITS              0x3d

/* A descriptor's control word. */
#define PARK_READS                (1u << 10)
#define PARK_WRITES               (1u << 11)
#define END_ON_EOP                (1u << 12)
#define IRQ_ON_COMPLETION         (1u << 14)
#define IRQ_ON_EARLY              (1u << 15)
#define ERROR_IRQ_SHIFT           16
#define GO                        (1u << 31)

#define RESPONSE_EARLY            (1u << 8)

#define CACHE_LINE_BYTES  32     /* Cortex-A9 */

#define WORDS_EXTENDED  8
#define WORDS_STANDARD  4

/* Values of Component Configuration 1's field DMA mode. */
enum { MODE_MEMORY_TO_MEMORY = 0, MODE_STREAM_TO_MEMORY = 2 };

typedef struct {
    uint64_t read, write;
    uint32_t length, control;
    uint16_t sequence;
} Descriptor;

typedef struct {
    uint32_t bytes, status;
} Response;

/* What is to be done wrong, and what has been: since power-on, a reset of the board keeps it. */
typedef struct {
    uint64_t lose_interrupts, lost_interrupts;
    uint64_t delay_interrupts, delay_ns, delayed_interrupts;
    uint64_t fail_descriptors, fail_bits, failed_descriptors;
    uint64_t shorten_descriptors, shorten_bytes, shortened_descriptors;
    uint64_t stall_ns, stalls, stalled_ns;
    uint64_t stale_descriptors, staled_descriptors;
} Faults;

struct C5Msgdma {
    SysBusDevice parent_obj;
    MemoryRegion csr, descriptor, response;
    qemu_irq irq;
    QEMUTimer *alarm;
    C5Source *source;           /* NULL: memory to memory */
    MemoryRegion sdram;
    AddressSpace memory;        /* what the masters see */
    uint64_t memory_bytes;
    uint32_t depth, bytes_per_second;
    bool extended;
    uint32_t control;
    bool irq_pending, error_stop, early_stop;
    int64_t irq_at;             /* virtual time of a late interrupt; INT64_MAX: none */
    int64_t reset_until;
    uint32_t words[WORDS_EXTENDED];     /* the descriptor being written */
    Descriptor *queue;
    unsigned queue_head, queued;
    Response *responses;
    unsigned response_head, responded;
    Descriptor active;
    bool is_active, end_of_packet;
    uint32_t end;               /* of the active descriptor: bytes at which it ends at the latest */
    uint32_t done, error;       /* of the active descriptor: bytes moved, error bits seen */
    int64_t began;              /* virtual time at which the active one would have begun without pauses */
    int64_t stalled_until;
    bool stale;                 /* the active descriptor's first cache line stays as it was */
    uint8_t stale_line[CACHE_LINE_BYTES];
    Faults faults;
};

/* Around every access: play all that has happened by now; then look ahead. */
void msgdma_before(void *opaque);
void msgdma_after(void *opaque);
void msgdma_alarm(void *opaque);

/* The dispatcher's reset bit, and the machine's reset. */
void msgdma_clear(C5Msgdma *s);

/* STOP has ended at `now`: the masters go on where they were. */
void msgdma_resume(C5Msgdma *s, int64_t now);

/* Nothing moves until `until`. */
void msgdma_stall(C5Msgdma *s, int64_t now, uint64_t ns);

/*
 * Faults: bytes at which the descriptor that begins ends; error bits of the one that ends; is an interrupt let through?
 * Does a CPU see an old cache line in place of the first one that is written?
 */
uint32_t msgdma_fault_end(C5Msgdma *s, uint32_t length);
uint32_t msgdma_fault_error(C5Msgdma *s);
bool msgdma_fault_interrupt(C5Msgdma *s, int64_t now);
bool msgdma_fault_stale(C5Msgdma *s);
void msgdma_add_faults(ObjectClass *klass);

static inline unsigned msgdma_response_depth(const C5Msgdma *s)
{
    return 2 * s->depth;
}

static inline bool msgdma_resetting(const C5Msgdma *s, int64_t now)
{
    return now < s->reset_until;
}

#endif
