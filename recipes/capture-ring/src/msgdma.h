/* SPDX-License-Identifier: GPL-2.0-only */
/* The mSGDMA's registers and what the provider keeps of it; see msgdma.c. */
#ifndef CAPTURE_MSGDMA_H
#define CAPTURE_MSGDMA_H

#include <linux/bits.h>
#include <linux/mutex.h>

#include "dma.h"

/* dispatcher: control and status */
#define CSR_STATUS		0x00
#define   STATUS_STOPPED	BIT(5)
#define   STATUS_RESETTING	BIT(6)
#define   STATUS_IRQ		BIT(9)	/* write one to clear */
#define CSR_CONTROL		0x04
#define   CONTROL_STOP		BIT(0)
#define   CONTROL_RESET		BIT(1)
#define   CONTROL_IRQ_ENABLE	BIT(4)
#define CSR_LEVEL		0x08
#define CSR_RESPONSE_LEVEL	0x0c
#define   RESPONSE_LEVEL_MASK	GENMASK(15, 0)

/* extended descriptor */
#define DESCRIPTOR_READ_LOW	0x00
#define DESCRIPTOR_WRITE_LOW	0x04
#define DESCRIPTOR_LENGTH	0x08
#define DESCRIPTOR_BURST	0x0c
#define DESCRIPTOR_STRIDE	0x10
#define   STRIDE_WRITE_ONE	BIT(16)
#define DESCRIPTOR_READ_HIGH	0x14
#define DESCRIPTOR_WRITE_HIGH	0x18
#define DESCRIPTOR_CONTROL	0x1c
#define   DESCRIPTOR_IRQ	BIT(14)	/* interrupt when the transfer is complete */
#define   DESCRIPTOR_GO		BIT(31)

/* response */
#define RESPONSE_BYTES		0x00
#define RESPONSE_STATUS		0x04	/* reading it takes the response out of the FIFO */
#define   RESPONSE_GAP		BIT(0)	/* the stream's error bit 0: data was lost before a word of this transfer */
#define   RESPONSE_FAILED	GENMASK(7, 1)	/* the other error bits; early ends show in the bytes */

#define DEPTH_MIN		8
#define DEPTH_MAX		1024
#define QUIET_TIMEOUT_US	100000

/**
 * struct msgdma - the dispatcher
 * @dma: base
 * @csr: control and status registers
 * @descriptor: where a descriptor is written
 * @response: where responses are read
 * @depth: descriptors that the FIFO holds
 * @in_flight: descriptors written whose response was not read, guarded by the ring's lock
 * @rest: block whose descriptors did not all fit, guarded by the ring's lock
 * @rest_chunk: first chunk of it that has no descriptor yet
 * @interrupts: interrupts taken
 * @seen: interrupts when the watch last found responses waiting
 * @waiting: it found some
 * @reap_lock: guards the response FIFO and what follows
 * @chunk: chunks of the oldest block that are filled
 * @bytes: bytes in them
 * @flags: CAPTURE_RING_BLOCK_* of them
 * @gaps: chunks with a gap among them
 */
struct msgdma {
	struct capture_dma dma;
	void __iomem *csr;
	void __iomem *descriptor;
	void __iomem *response;
	u32 depth;
	u32 in_flight;
	struct capture_block *rest;
	unsigned int rest_chunk;
	unsigned int interrupts;
	unsigned int seen;
	bool waiting;
	struct mutex reap_lock;	/* one reader of the response FIFO */
	unsigned int chunk;
	u32 bytes;
	u32 flags;
	u32 gaps;
};

#endif /* CAPTURE_MSGDMA_H */
