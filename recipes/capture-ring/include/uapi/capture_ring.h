/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * capture-ring: user-space interface of /dev/capture0.
 *
 * One owner at a time opens the device; it maps the whole ring once, read-only (offset 0, blocks one after the other),
 * starts it, dequeues filled blocks and enqueues them again when the last user of their pages is done.
 * All structures have a fixed size and no implicit padding; reserved fields must be zero (else EINVAL).
 *
 * open	EBUSY: there is an owner; EIO: the DMA hangs; ENOMEM: pages still in use by a socket could not be replaced.
 * mmap	MAP_SHARED, PROT_READ, offset 0, exactly map_bytes; else EACCES or EINVAL. A forked child does not inherit it.
 * poll	POLLIN: a dequeue would return blocks; POLLERR and POLLHUP: the device is gone.
 * All calls fail with ENODEV once the device is gone; the mapping stays readable until it is unmapped.
 */
#ifndef _UAPI_CAPTURE_RING_H
#define _UAPI_CAPTURE_RING_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define CAPTURE_RING_ABI	1
#define CAPTURE_RING_BATCH	16

/**
 * struct capture_ring_info - what the device is
 * @abi: CAPTURE_RING_ABI
 * @fabric_id: identity that the FPGA's sysid reports
 * @block_bytes: size of one block, a multiple of the page size
 * @blocks: number of blocks
 * @map_bytes: length to map: @blocks * @block_bytes
 * @flags: zero
 * @source_fifo_bytes: depth of the source's FIFO in the FPGA
 * @reserved: zero
 */
struct capture_ring_info {
	__u32 abi;
	__u32 fabric_id;
	__u32 block_bytes;
	__u32 blocks;
	__u64 map_bytes;
	__u32 flags;
	__u32 source_fifo_bytes;
	__u32 reserved[8];
};

/* patterns of the fabric's capture source */
#define CAPTURE_RING_PATTERN_COUNTER	0	/* 32-bit little-endian words 0, 1, 2, ... */
#define CAPTURE_RING_PATTERN_PRBS31	1	/* x^31 + x^28 + 1, 32 bits a word, seed 0x7fffffff */

/**
 * struct capture_ring_start - begin a capture; sequence numbers and counters begin at zero
 * @pattern: CAPTURE_RING_PATTERN_*
 * @flags: zero
 * @rate: bytes a second; 0: as fast as the DMA takes them
 * @reserved: zero
 */
struct capture_ring_start {
	__u32 pattern;
	__u32 flags;
	__u64 rate;
	__u32 reserved[4];
};

#define CAPTURE_RING_BLOCK_GAP		(1 << 0)	/* bytes were lost right before this block, or inside it */
#define CAPTURE_RING_BLOCK_ERROR	(1 << 1)	/* the DMA reported an error: contents are not to be trusted */

/**
 * struct capture_ring_block - one filled block
 * @index: its place in the mapping: offset @index * block_bytes
 * @flags: CAPTURE_RING_BLOCK_*
 * @bytes: valid bytes
 * @reserved: zero
 * @sequence: 0, 1, 2, ... from the start of the capture
 * @time_ns: CLOCK_MONOTONIC at completion
 * @lost_bytes: bytes that the source dropped until now and that no earlier block has reported; only with
 *	CAPTURE_RING_BLOCK_GAP, and 0 when an earlier block's report, which is made at its completion, included them
 */
struct capture_ring_block {
	__u32 index;
	__u32 flags;
	__u32 bytes;
	__u32 reserved;
	__u64 sequence;
	__u64 time_ns;
	__u64 lost_bytes;
};

/**
 * struct capture_ring_batch - up to CAPTURE_RING_BATCH blocks
 * @count: dequeue: in, most to return (1..16), out, number returned; enqueue: number given
 * @flags: zero
 * @reserved: zero
 * @block: the blocks; enqueue reads only @index
 */
struct capture_ring_batch {
	__u32 count;
	__u32 flags;
	__u64 reserved;
	struct capture_ring_block block[CAPTURE_RING_BATCH];
};

/**
 * struct capture_ring_statistics - counters since the start of the capture
 * @blocks_filled: blocks that the DMA completed
 * @bytes_filled: their bytes
 * @bytes_lost: bytes that the source dropped because its FIFO was full
 * @gaps: blocks with CAPTURE_RING_BLOCK_GAP
 * @errors: blocks with CAPTURE_RING_BLOCK_ERROR
 * @blocks_free: blocks owned by the driver, not given to the DMA
 * @blocks_hardware: blocks owned by the DMA
 * @blocks_done: filled, waiting for dequeue
 * @blocks_user: dequeued, owned by user space
 * @reserved: zero
 */
struct capture_ring_statistics {
	__u64 blocks_filled;
	__u64 bytes_filled;
	__u64 bytes_lost;
	__u64 gaps;
	__u64 errors;
	__u32 blocks_free;
	__u32 blocks_hardware;
	__u32 blocks_done;
	__u32 blocks_user;
	__u32 reserved[4];
};

/*
 * INFO		what the device is.
 * START	begin a capture. Blocks of the one before that were not dequeued are dropped, dequeued ones stay so.
 *		EBUSY: one runs; EINVAL: unknown pattern, rate above 32 bits; EIO: the DMA hangs.
 * STOP		end the capture. Filled blocks can still be dequeued; a block that is filled in part is dropped.
 *		No error when none runs.
 * DEQUEUE	take filled blocks, oldest first; waits for one unless O_NONBLOCK. EAGAIN: O_NONBLOCK, and none there;
 *		ENODATA: no capture runs, and none left; EINTR.
 * ENQUEUE	give blocks back, in any order, when nothing reads their pages any more, a socket's zero-copy
 *		transmission included. EINVAL: one of them is not dequeued, or named twice; none has been taken then.
 * STATISTICS	counters; bytes_lost includes what no block has reported yet.
 */
#define CAPTURE_RING_IOC_INFO		_IOR('C', 0x40, struct capture_ring_info)
#define CAPTURE_RING_IOC_START		_IOW('C', 0x41, struct capture_ring_start)
#define CAPTURE_RING_IOC_STOP		_IO('C', 0x42)
#define CAPTURE_RING_IOC_DEQUEUE	_IOWR('C', 0x43, struct capture_ring_batch)
#define CAPTURE_RING_IOC_ENQUEUE	_IOWR('C', 0x44, struct capture_ring_batch)
#define CAPTURE_RING_IOC_STATISTICS	_IOR('C', 0x45, struct capture_ring_statistics)

#endif /* _UAPI_CAPTURE_RING_H */
