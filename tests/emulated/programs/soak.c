// SPDX-License-Identifier: MIT
/*
 * A long capture of which each byte is looked at, while the hardware does wrong:
 *
 *	soak MIB SEED RATE CAPTURE_MIB [PATTERN [LIE]]
 *
 * Captures the counter pattern, CAPTURE_MIB at a time, until MIB have been delivered: by turns with each overflow policy,
 * with several sizes of blocks, and as fast as the DMA takes them or at RATE bytes a second. Now and then (by SEED) it
 * sleeps, so that the ring runs over. Each word of each block is compared with where the stream must be by what the
 * driver has reported: delivered + lost. It takes the word of no one for a block with a gap: where the words jump is
 * what was lost, and must have been reported by then.
 *
 * Another PATTERN than the counter's, 0, is wrong throughout, and a LIE falsifies one block before it is looked at: 1: the
 * first loss that is reported is hidden; 2: the first block reports 4096 bytes lost that were not; 3: a bit of the first
 * block is flipped. Tests show by these that the program would notice.
 *
 * Prints, after each capture and in sum, "<name>=<n> ...". Wrong: bytes that are not the stream's next ones. Unaccounted:
 * bytes between where the stream is and where delivered + lost say that it is. Exit status: 0; 1: either was not 0; 2:
 * could not run.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture_ring.h"

#define MIB		(1u << 20)
#define FORWARD_MOST	(1u << 30)	/* words that a jump may skip; what is beyond is a jump backwards */
#define SLEEP_ONCE_IN	400
#define SLEEP_US	300000

struct sums {
	uint64_t bytes, wrong, unaccounted, lost, blocks, gaps, errors, shorts, overwritten, recovered;
};

static const char *const names[] = {
	"bytes", "wrong", "unaccounted", "lost", "blocks", "gaps", "errors", "shorts", "overwritten", "recovered"
};

struct mark {
	uint64_t bytes, lost;	/* delivered and lost, when a loss was reported */
};

#define MARKS	4096

/* One capture: its sums; the stream's next word; the next block's sequence; losses that were reported lately. */
struct capture {
	struct sums s;
	uint64_t word, sequence;
	struct mark marks[MARKS];
	unsigned int oldest, newest;
};

static int device;
static const unsigned char *ring;
static struct capture_ring_setup setup;
static struct capture_ring_info info;
static uint64_t random_state;
static unsigned int complaints, pattern, lie;

enum { HONEST, HIDE_LOSS, INVENT_LOSS, FLIP_BIT };

#define INVENTED	4096

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(2);
}

static uint32_t below(uint32_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % limit;
}

typedef uint32_t vector __attribute__((vector_size(16)));

/* Number of leading words that count on from `first`, in steps of 16. */
static __attribute__((target("fpu=neon"), noinline)) size_t counting(const uint32_t *words, size_t count, uint32_t first)
{
	const vector *from = (const void *)words;
	vector want = { first, first + 1, first + 2, first + 3 }, step = { 4, 4, 4, 4 };
	size_t i;

	for (i = 0; i + 16 <= count; i += 16, from += 4) {
		vector off = from[0] ^ want;

		want += step;
		off |= from[1] ^ want;
		want += step;
		off |= from[2] ^ want;
		want += step;
		off |= from[3] ^ want;
		want += step;
		if (off[0] | off[1] | off[2] | off[3])
			break;
	}
	return i;
}

/* Words of the block that do not count on from `*word`; a jump forwards is a loss if the block says that it has one. */
static uint64_t look(const uint32_t *words, size_t count, uint64_t *word, int may_jump)
{
	uint64_t wrong = 0;
	size_t i = 0;

	while (i < count) {
		size_t some = counting(words + i, count - i, *word);
		uint32_t jump;

		i += some;
		*word += some;
		if (i == count)
			break;
		jump = words[i] - (uint32_t)*word;
		if (jump && may_jump && jump < FORWARD_MOST)
			*word += jump;
		else if (jump)
			wrong++;
		i++;
		++*word;
	}
	return 4 * wrong;
}

/* A block that is not as it should be; the first of them are told. */
static void complain(const struct capture_ring_block *block, uint64_t at, uint64_t says)
{
	if (complaints++ < 20)
		fprintf(stderr, "block %llu: flags %#x, %u bytes, lost %llu: the stream is at %llu, delivered + lost at %llu\n",
			block->sequence, block->flags, block->bytes, block->lost_bytes, (unsigned long long)at,
			(unsigned long long)says);
}

/*
 * A loss is reported with the block in which the words jump, or with an earlier one, when the source had already counted
 * it: its first word behind the loss is then in the FIFO still, or, if the interrupt was late, in a block behind. So
 * what has been reported must have been seen when so much more of the stream has come.
 */
static void settle(struct capture *c, const struct capture_ring_block *block)
{
	uint64_t seen = 4 * c->word - c->s.bytes, off = seen > c->s.lost ? seen - c->s.lost : 0;

	c->s.lost += off;
	c->s.unaccounted += off;
	if (block->lost_bytes)
		c->marks[c->newest++ % MARKS] = (struct mark) { c->s.bytes, c->s.lost };
	for (; c->oldest != c->newest; c->oldest++) {
		const struct mark *mark = &c->marks[c->oldest % MARKS];

		if (c->newest - c->oldest < MARKS && c->s.bytes - mark->bytes <= info.source_fifo_bytes + setup.map_bytes)
			break;
		if (seen < mark->lost && mark->lost - seen > off) {
			off = mark->lost - seen;
			c->s.unaccounted += off;
		}
	}
	if (off)
		complain(block, 4 * c->word, c->s.bytes + c->s.lost);
}

/* The block's data, or a falsified copy of them; or the block falsified. Once. */
static const void *falsified(struct capture_ring_block *block, const void *data)
{
	unsigned char *copy;

	if (lie == HIDE_LOSS && !block->lost_bytes)
		return data;
	if (lie == HIDE_LOSS) {
		block->lost_bytes = 0;
	} else if (lie == INVENT_LOSS) {
		block->lost_bytes += INVENTED;
	} else if (lie == FLIP_BIT) {
		copy = malloc(block->bytes);	/* for good: it is one */
		if (!copy)
			die("malloc");
		data = memcpy(copy, data, block->bytes);
		copy[block->bytes / 2] ^= 1;
	}
	lie = HONEST;
	return data;
}

static void examine(struct capture *c, struct capture_ring_block *block)
{
	const void *data = falsified(block, ring + (size_t)block->index * setup.block_bytes);
	int gap = block->flags & CAPTURE_RING_BLOCK_GAP;
	uint64_t wrong = look(data, block->bytes / 4, &c->word, gap);

	if (wrong)
		complain(block, 4 * c->word, c->s.bytes + c->s.lost);
	c->s.wrong += wrong + block->bytes % 4;
	c->s.overwritten += block->sequence - c->sequence;
	c->sequence = block->sequence + 1;
	c->s.bytes += block->bytes;
	c->s.lost += block->lost_bytes;
	c->s.blocks++;
	c->s.gaps += !!gap;
	c->s.errors += !!(block->flags & CAPTURE_RING_BLOCK_ERROR);
	c->s.shorts += !!(block->flags & CAPTURE_RING_BLOCK_SHORT);
	settle(c, block);
}

/* Take what is there, look at it, give it back. Returns false at the end of the capture. */
static int take(struct capture *c)
{
	struct capture_ring_batch batch = { .count = CAPTURE_RING_BATCH };

	if (ioctl(device, CAPTURE_RING_IOC_DEQUEUE, &batch)) {
		if (errno != ENODATA)
			die("DEQUEUE");
		return 0;
	}
	for (uint32_t i = 0; i < batch.count; i++)
		examine(c, &batch.block[i]);
	batch.flags = 0;
	if (ioctl(device, CAPTURE_RING_IOC_ENQUEUE, &batch))
		die("ENQUEUE");
	return 1;
}

/* The driver's own sums must be those of its blocks. */
static void compare(struct capture *c)
{
	struct capture_ring_statistics t = { };
	uint64_t jumped = 4 * c->word - c->s.bytes, off = 0;

	if (ioctl(device, CAPTURE_RING_IOC_STATISTICS, &t))
		die("STATISTICS");
	c->s.recovered = t.recovered;
	if (t.bytes_lost < jumped)
		off = jumped - t.bytes_lost;
	else if (t.bytes_lost < c->s.lost)
		off = c->s.lost - t.bytes_lost;
	if (t.blocks_filled != c->s.blocks + t.blocks_overwritten || t.blocks_overwritten < c->s.overwritten)
		off += setup.block_bytes;
	if (off)
		fprintf(stderr, "STATISTICS: %llu filled, %llu overwritten, %llu bytes lost; seen: %llu, %llu, %llu\n",
			t.blocks_filled, t.blocks_overwritten, t.bytes_lost, (unsigned long long)c->s.blocks,
			(unsigned long long)c->s.overwritten, (unsigned long long)jumped);
	c->s.unaccounted += off;
	/* what was lost behind the last word that could be delivered shows in no block */
	c->s.lost = t.bytes_lost;
	c->s.overwritten = t.blocks_overwritten;
}

static void prepare(unsigned int number)
{
	static const uint32_t bytes[] = { MIB, 65536, MIB + MIB / 4 + 4096, 4 * MIB, 262144 };

	memset(&setup, 0, sizeof(setup));
	setup.block_bytes = bytes[number % 5];
	setup.blocks = setup.block_bytes < MIB ? 64 : 16;
	setup.overflow = number % 3;
	if (ioctl(device, CAPTURE_RING_IOC_SETUP, &setup) || ioctl(device, CAPTURE_RING_IOC_INFO, &info))
		die("SETUP");
	ring = mmap(NULL, setup.map_bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, device, 0);
	if (ring == MAP_FAILED)
		die("mmap");
}

static struct sums capture(unsigned int number, uint64_t rate, uint64_t wanted)
{
	struct capture_ring_start start = { .pattern = pattern, .rate = number % 4 ? rate : 0 };
	struct capture_ring_end end = { .mode = CAPTURE_RING_END_DRAIN };
	static struct capture c;

	memset(&c, 0, sizeof(c));
	prepare(number);
	if (ioctl(device, CAPTURE_RING_IOC_START, &start))
		die("START");
	while (c.s.bytes < wanted && take(&c))
		if (!below(SLEEP_ONCE_IN))
			usleep(SLEEP_US);
	if (ioctl(device, CAPTURE_RING_IOC_END, &end))
		die("END");
	while (take(&c))
		;
	compare(&c);
	munmap((void *)ring, setup.map_bytes);
	return c.s;
}

static void print(const char *what, const struct sums *s)
{
	printf("%s", what);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		printf(" %s=%llu", names[i], (unsigned long long)((const uint64_t *)s)[i]);
	printf("\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	uint64_t mib = argc >= 5 && argc <= 7 ? strtoull(argv[1], NULL, 0) : 0, each = mib ? strtoull(argv[4], NULL, 0) : 0;
	struct sums all = { }, one;

	if (!mib || !each) {
		fprintf(stderr, "usage: soak MIB SEED RATE CAPTURE_MIB [PATTERN [LIE]]\n");
		return 2;
	}
	pattern = argc > 5 ? strtoull(argv[5], NULL, 0) : CAPTURE_RING_PATTERN_COUNTER;
	lie = argc > 6 ? strtoull(argv[6], NULL, 0) : HONEST;
	random_state = strtoull(argv[2], NULL, 0) * 0x9e3779b97f4a7c15u | 1;
	device = open("/dev/capture0", O_RDWR);
	if (device < 0)
		die("/dev/capture0");
	for (unsigned int number = 0; all.bytes < mib * MIB; number++) {
		one = capture(number, strtoull(argv[3], NULL, 0), each * MIB);
		print("capture", &one);
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			((uint64_t *)&all)[i] += ((uint64_t *)&one)[i];
	}
	print("all", &all);
	return all.wrong || all.unaccounted;
}
