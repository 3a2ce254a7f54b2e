/* SPDX-License-Identifier: GPL-2.0-only */
/* Tracepoints, group capture_ring: a block's way, in the order of its states. */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM capture_ring

#if !defined(CAPTURE_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define CAPTURE_TRACE_H

#include <linux/tracepoint.h>

#include "uapi/capture_ring.h"

DECLARE_EVENT_CLASS(capture_block,
		    TP_PROTO(const struct capture_ring_block *block),
		    TP_ARGS(block),
		    TP_STRUCT__entry(__field(u32, index)
				     __field(u32, flags)
				     __field(u32, bytes)
				     __field(u32, gaps)
				     __field(u64, sequence)
				     __field(u64, lost_bytes)),
		    TP_fast_assign(__entry->index = block->index;
				   __entry->flags = block->flags;
				   __entry->bytes = block->bytes;
				   __entry->gaps = block->gaps;
				   __entry->sequence = block->sequence;
				   __entry->lost_bytes = block->lost_bytes;),
		    TP_printk("index=%u sequence=%llu bytes=%u flags=%#x gaps=%u lost_bytes=%llu",
			      __entry->index, __entry->sequence, __entry->bytes, __entry->flags, __entry->gaps,
			      __entry->lost_bytes));

/* the DMA has filled it */
DEFINE_EVENT(capture_block, capture_block_filled,
	     TP_PROTO(const struct capture_ring_block *block), TP_ARGS(block));

/* it was filled, and goes to the DMA again before anybody took it */
DEFINE_EVENT(capture_block, capture_block_overwritten,
	     TP_PROTO(const struct capture_ring_block *block), TP_ARGS(block));

/* user space, or read(), has taken it */
DEFINE_EVENT(capture_block, capture_block_taken,
	     TP_PROTO(const struct capture_ring_block *block), TP_ARGS(block));

/* user space, or read(), has given it back; what is shown is what it was taken with */
DEFINE_EVENT(capture_block, capture_block_given_back,
	     TP_PROTO(const struct capture_ring_block *block), TP_ARGS(block));

TRACE_EVENT(capture_state,
	    TP_PROTO(u32 state, u64 sequence),
	    TP_ARGS(state, sequence),
	    TP_STRUCT__entry(__field(u32, state)
			     __field(u64, sequence)),
	    TP_fast_assign(__entry->state = state;
			   __entry->sequence = sequence;),
	    TP_printk("state=%s sequence=%llu",
		      __print_symbolic(__entry->state,
				       { CAPTURE_RING_STATE_IDLE, "idle" },
				       { CAPTURE_RING_STATE_RUNNING, "running" },
				       { CAPTURE_RING_STATE_STOPPED, "stopped" },
				       { CAPTURE_RING_STATE_OVERFLOW, "overflow" },
				       { CAPTURE_RING_STATE_COMPLETE, "complete" },
				       { CAPTURE_RING_STATE_FAILED, "failed" },
				       { CAPTURE_RING_STATE_GONE, "gone" }),
		      __entry->sequence));

#endif /* CAPTURE_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
