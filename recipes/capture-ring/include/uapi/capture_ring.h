/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * capture-ring: user-space interface of /dev/capture0.
 *
 * One owner at a time opens the device. There are three ways to the data:
 *
 * - the ring: map it once, read-only (offset 0, blocks one after the other), start, dequeue filled blocks and enqueue
 *   them again when the last user of their pages is done; no copy;
 * - read(): a stream of bytes, copied;
 * - buffers of user space (CAPTURE_RING_SETUP_USER): the DMA writes into memory that user space brings along.
 *
 * All structures have a fixed size and no implicit padding; reserved fields must be zero (else EINVAL).
 *
 * open	EBUSY: there is an owner; EIO: the DMA hangs; ENOMEM: no memory for the ring, or pages that are still in use
 *	by a socket could not be replaced. Each open begins with the device tree's ring.
 * mmap	MAP_SHARED, PROT_READ; else EACCES. A forked child does not inherit it. Offset 0, exactly map_bytes: the ring.
 *	Offset CAPTURE_RING_STATUS_OFFSET, one page: struct capture_ring_status. Any other: EINVAL.
 * read	Waits for data unless O_NONBLOCK, returns what there is, across blocks; 0: the capture has ended and all is
 *	read. It stops short of a gap, and the next read() fails once with EOVERFLOW, the one behind it goes on;
 *	likewise EIO, once, instead of a block with an error, whose data are skipped. EAGAIN; EINTR; ENODATA: no
 *	capture has been started; EBUSY: this capture's blocks are dequeued, or it fills buffers of user space.
 * poll	POLLIN: a dequeue or a read would not wait (not for a dequeue that would fail: at the end of a capture there is
 *	no event, unless it is read with read()); POLLERR and POLLHUP: the device is gone.
 * All calls fail with ENODEV once the device is gone; the mapping stays readable until it is unmapped.
 */
#ifndef _UAPI_CAPTURE_RING_H
#define _UAPI_CAPTURE_RING_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define CAPTURE_RING_ABI	1
#define CAPTURE_RING_BATCH	16

/* where the status page is mapped; the ring, at offset 0, ends before it */
#define CAPTURE_RING_STATUS_OFFSET	0x7fff0000

/* limits of a block's or a buffer's size, and of their number */
#define CAPTURE_RING_BLOCK_BYTES_MIN	65536
#define CAPTURE_RING_BLOCK_BYTES_MAX	16777216
#define CAPTURE_RING_BLOCKS_MIN		2
#define CAPTURE_RING_BLOCKS_MAX		1024

#define CAPTURE_RING_INFO_COHERENT	(1 << 0)	/* the CPU sees what the DMA writes: SYNC does nothing */

/**
 * struct capture_ring_info - what the device is
 * @abi: CAPTURE_RING_ABI; it does not change when calls are added
 * @fabric_id: identity that the FPGA's sysid reports
 * @block_bytes: size of one block, a multiple of the page size
 * @blocks: number of blocks
 * @map_bytes: length to map: @blocks * @block_bytes; 0 with CAPTURE_RING_SETUP_USER
 * @flags: CAPTURE_RING_INFO_*
 * @source_fifo_bytes: depth of the source's FIFO in the FPGA
 * @alignment: what address and length of user space's buffers must be a multiple of
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
	__u32 alignment;
	__u32 reserved[7];
};

/* what happens when data come and no block is free */
#define CAPTURE_RING_OVERFLOW_DROP_NEWEST	0	/* the source drops and counts; then a GAP */
#define CAPTURE_RING_OVERFLOW_STOP		1	/* the same, but the GAP's block is the last */
#define CAPTURE_RING_OVERFLOW_OVERWRITE_OLDEST	2	/* what waits longest is filled anew */

#define CAPTURE_RING_SETUP_FORWARD_ONLY	(1 << 0)	/* the CPU sees data only after SYNC */
#define CAPTURE_RING_SETUP_TAI		(1 << 1)	/* time_ns is CLOCK_TAI */
#define CAPTURE_RING_SETUP_USER		(1 << 2)	/* no ring: user space brings its own buffers */

/**
 * struct capture_ring_setup - the ring that this owner wants
 * @block_bytes: 64 KiB to 16 MiB, a multiple of the page size; 0: the device tree's; out: what it is
 * @blocks: 2 to 1024; 0: the device tree's; out: what it is. With CAPTURE_RING_SETUP_USER: most buffers at a time
 * @overflow: CAPTURE_RING_OVERFLOW_*
 * @flags: CAPTURE_RING_SETUP_*
 * @map_bytes: out: length to map
 * @reserved: zero
 */
struct capture_ring_setup {
	__u32 block_bytes;
	__u32 blocks;
	__u32 overflow;
	__u32 flags;
	__u64 map_bytes;
	__u32 reserved[10];
};

/* what the fabric's capture source delivers: a test pattern, or what the design samples */
#define CAPTURE_RING_PATTERN_COUNTER	0	/* 32-bit little-endian words 0, 1, 2, ... */
#define CAPTURE_RING_PATTERN_PRBS31	1	/* x^31 + x^28 + 1, 32 bits a word, seed 0x7fffffff */
#define CAPTURE_RING_PATTERN_RAMP	2	/* 16-bit samples 0, 1, ... 65535, 0, ...; two a word */
#define CAPTURE_RING_PATTERN_SAMPLES	3	/* no pattern */

#define CAPTURE_RING_START_LIMIT	(1 << 0)	/* end behind @blocks blocks: a window of exactly that size */

/**
 * struct capture_ring_start - begin a capture; sequence numbers and counters begin at zero
 * @pattern: CAPTURE_RING_PATTERN_*
 * @flags: CAPTURE_RING_START_*
 * @rate: bytes a second; 0: as fast as the DMA takes them
 * @blocks: with CAPTURE_RING_START_LIMIT: number of blocks, at least 1; else zero
 * @reserved: zero
 */
struct capture_ring_start {
	__u32 pattern;
	__u32 flags;
	__u64 rate;
	__u64 blocks;
	__u32 reserved[2];
};

#define CAPTURE_RING_END_DRAIN	0	/* deliver the FIFO's rest and a block filled in part */
#define CAPTURE_RING_END_ABORT	1	/* drop filled blocks, too, that were not dequeued */

/**
 * struct capture_ring_end - end a capture in another way than STOP does
 * @mode: CAPTURE_RING_END_*
 * @flags: zero
 * @bytes: out: valid bytes of the last block, when that was filled in part; else 0
 * @left: out: bytes that stayed in the source's FIFO and are dropped: no block was free for them
 * @reserved: zero
 */
struct capture_ring_end {
	__u32 mode;
	__u32 flags;
	__u64 bytes;
	__u64 left;
	__u32 reserved[4];
};

#define CAPTURE_RING_BLOCK_GAP		(1 << 0)	/* bytes were lost right before this block, or inside it */
#define CAPTURE_RING_BLOCK_ERROR	(1 << 1)	/* the DMA reported an error: contents are not to be trusted */
#define CAPTURE_RING_BLOCK_SHORT	(1 << 4)	/* the block ended before its end: @bytes are valid */

/**
 * struct capture_ring_block - one filled block
 * @index: its place in the mapping: offset @index * block_bytes; or the number of user space's buffer
 * @flags: CAPTURE_RING_BLOCK_*
 * @bytes: valid bytes
 * @gaps: gaps that @lost_bytes is made of, as far as the hardware tells them apart; only with that flag
 * @sequence: 0, 1, 2, ... from the start of the capture; a hole is blocks that were overwritten
 * @time_ns: CLOCK_MONOTONIC (or CLOCK_TAI, see SETUP) at completion
 * @lost_bytes: bytes lost until now that no earlier block has reported, overwritten blocks included; only with
 *	CAPTURE_RING_BLOCK_GAP, and 0 when an earlier block's report, which is made at its completion, included them
 */
struct capture_ring_block {
	__u32 index;
	__u32 flags;
	__u32 bytes;
	__u32 gaps;
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
 * @bytes_lost: bytes that the source dropped because its FIFO was full, and those of overwritten blocks
 * @gaps: blocks with CAPTURE_RING_BLOCK_GAP as the DMA reported them
 * @errors: blocks with CAPTURE_RING_BLOCK_ERROR
 * @blocks_free: blocks owned by the driver, not given to the DMA
 * @blocks_hardware: blocks owned by the DMA
 * @blocks_done: filled, waiting for dequeue
 * @blocks_user: dequeued, owned by user space
 * @blocks_overwritten: filled, and overwritten before they were dequeued
 * @recovered: times that blocks were completed although their interrupt was lost
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
	__u64 blocks_overwritten;
	__u32 recovered;
	__u32 reserved;
};

#define CAPTURE_RING_STATE_IDLE		0	/* no capture since the device was opened */
#define CAPTURE_RING_STATE_RUNNING	1
#define CAPTURE_RING_STATE_STOPPED	2	/* by STOP or END */
#define CAPTURE_RING_STATE_OVERFLOW	3	/* by CAPTURE_RING_OVERFLOW_STOP */
#define CAPTURE_RING_STATE_COMPLETE	4	/* by CAPTURE_RING_START_LIMIT */
#define CAPTURE_RING_STATE_FAILED	5	/* the DMA does not stop: out of use */
#define CAPTURE_RING_STATE_GONE		6	/* the device is gone */

/**
 * struct capture_ring_status - the status page, at any time without a call
 * @abi: CAPTURE_RING_ABI
 * @version: odd while the driver changes what follows; read it before and after, and again if it differs or is odd
 * @state: CAPTURE_RING_STATE_*
 * @reserved: zero
 * @sequence: blocks that the DMA has filled: the sequence number of the next one
 * @blocks_overwritten: as in struct capture_ring_statistics
 * @bytes_lost: bytes lost that blocks have reported so far, overwritten blocks included
 * @start_monotonic_ns: CLOCK_MONOTONIC when the capture began
 * @start_tai_ns: CLOCK_TAI at the same moment: the difference converts time_ns
 * @blocks_free: as in struct capture_ring_statistics
 * @blocks_hardware: as in struct capture_ring_statistics
 * @blocks_done: as in struct capture_ring_statistics
 * @blocks_user: as in struct capture_ring_statistics
 */
struct capture_ring_status {
	__u32 abi;
	__u32 version;
	__u32 state;
	__u32 reserved;
	__u64 sequence;
	__u64 blocks_overwritten;
	__u64 bytes_lost;
	__u64 start_monotonic_ns;
	__u64 start_tai_ns;
	__u32 blocks_free;
	__u32 blocks_hardware;
	__u32 blocks_done;
	__u32 blocks_user;
};

#define CAPTURE_RING_SYNC_FOR_CPU	0	/* the CPU may read the range */
#define CAPTURE_RING_SYNC_FOR_DEVICE	1	/* the CPU is done with it */

/**
 * struct capture_ring_sync - hand a part of a dequeued block over, with CAPTURE_RING_SETUP_FORWARD_ONLY
 * @index: the block
 * @direction: CAPTURE_RING_SYNC_*
 * @offset: first byte
 * @bytes: number of bytes, at least 1
 * @reserved: zero
 */
struct capture_ring_sync {
	__u32 index;
	__u32 direction;
	__u32 offset;
	__u32 bytes;
	__u32 reserved[4];
};

#define CAPTURE_RING_USER_ONCE	(1 << 0)	/* queued at once, gone when it is dequeued */

/**
 * struct capture_ring_user - a buffer of user space
 * @address: its first byte; a multiple of struct capture_ring_info's alignment
 * @bytes: its length, 1 to CAPTURE_RING_BLOCK_BYTES_MAX, a multiple of that, too
 * @flags: CAPTURE_RING_USER_*
 * @index: out: its number, from 0 to blocks - 1, free ones first
 * @reserved: zero
 */
struct capture_ring_user {
	__u64 address;
	__u64 bytes;
	__u32 flags;
	__u32 index;
	__u32 reserved[4];
};

/*
 * INFO		what the device is.
 * START	begin a capture. Blocks of the one before that were not dequeued are dropped, dequeued ones stay so.
 *		EBUSY: one runs; EINVAL: unknown pattern, rate above 32 bits; EIO: the DMA hangs; ENOMEM: no ring.
 * STOP		end the capture. Filled blocks can still be dequeued; a block that is filled in part is dropped.
 *		No error when none runs.
 * DEQUEUE	take filled blocks, oldest first; waits for one unless O_NONBLOCK. EAGAIN: O_NONBLOCK, and none there;
 *		ENODATA: no capture runs, and none left; EBUSY: this capture is read with read(); EINTR.
 * ENQUEUE	give blocks back, in any order, when nothing reads their pages any more, a socket's zero-copy
 *		transmission included. EINVAL: one of them is not dequeued, or named twice; none has been taken then.
 * STATISTICS	counters; bytes_lost includes what no block has reported yet.
 * SETUP	choose ring, overflow policy and clock until the device is closed. EBUSY: a capture runs, blocks are
 *		dequeued, or another size is wanted and the ring is mapped, or buffers are registered; EINVAL: out of
 *		the limits; E2BIG: larger than the module's max_ring_mib; ENOMEM: that much is not there. The ring is
 *		then the one before.
 * END		end the capture: drain or abort. EOPNOTSUPP: the DMA's provider cannot drain; no error when none runs.
 * SYNC		let the CPU read a part of a block, or take that back. EINVAL: not dequeued, or out of the block.
 * REGISTER	pin a buffer of user space for the DMA; it is then as if it were dequeued: ENQUEUE gives it to the DMA.
 *		Needs CAPTURE_RING_SETUP_USER, else EINVAL. ENOSPC: there are as many as SETUP's blocks; ENOMEM:
 *		RLIMIT_MEMLOCK; EFAULT: not mapped, or not writable; EEXIST: a page of it is in a buffer already;
 *		EINVAL: alignment, length, or no ordinary memory
 *		(VM_PFNMAP, VM_IO); EOPNOTSUPP: a shared mapping of a file that is written back, without
 *		CAPTURE_RING_USER_ONCE: such pages cannot be held for long. The kernel's log says which of these.
 * UNREGISTER	let go of a buffer that is dequeued; only @index is read. EINVAL: the DMA has it, or there is none.
 */
#define CAPTURE_RING_IOC_INFO		_IOR('C', 0x40, struct capture_ring_info)
#define CAPTURE_RING_IOC_START		_IOW('C', 0x41, struct capture_ring_start)
#define CAPTURE_RING_IOC_STOP		_IO('C', 0x42)
#define CAPTURE_RING_IOC_DEQUEUE	_IOWR('C', 0x43, struct capture_ring_batch)
#define CAPTURE_RING_IOC_ENQUEUE	_IOWR('C', 0x44, struct capture_ring_batch)
#define CAPTURE_RING_IOC_STATISTICS	_IOR('C', 0x45, struct capture_ring_statistics)
#define CAPTURE_RING_IOC_SETUP		_IOWR('C', 0x46, struct capture_ring_setup)
#define CAPTURE_RING_IOC_END		_IOWR('C', 0x47, struct capture_ring_end)
#define CAPTURE_RING_IOC_SYNC		_IOWR('C', 0x48, struct capture_ring_sync)
#define CAPTURE_RING_IOC_REGISTER	_IOWR('C', 0x49, struct capture_ring_user)
#define CAPTURE_RING_IOC_UNREGISTER	_IOWR('C', 0x4a, struct capture_ring_user)

#endif /* _UAPI_CAPTURE_RING_H */
