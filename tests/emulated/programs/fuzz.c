// SPDX-License-Identifier: MIT
/*
 * Fuzzer of /dev/capture0:
 *
 *	fuzz SEED CALLS [THREADS [FILE]]
 *
 * Threads (2) call the driver in random order with arguments that are mostly valid, on one file that is now and then
 * opened anew: ioctls, mmap and what can be done to a mapping, read, poll, zero-copy sends, splices, user-space buffers
 * good and bad, forks. One thread makes the same calls again with the same SEED; more race. What blocks is interrupted by
 * a signal. FILE, on a disk, adds a file's mapping to the buffers.
 *
 * Prints a line for each kind of call, "<name> ok=<n> <error>=<n> ...", then "calls=<n> checks=<n> wrong=<n>". Wrong is
 * what breaks a promise of capture_ring.h, and each is told on standard error. The kernel's reports are the caller's to
 * read. Exit status: 0; 1: something was wrong; 2: could not run; 3: a call hangs.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "fuzz_steps.h"

#define THREADS_MOST	8
#define TICK_MS		10
#define HANG_TICKS	12000		/* 120 s; a debug kernel on a busy host is slow */
#define CHECK_EVERY	500

static atomic_uint done, checks;
static unsigned int wanted;
static atomic_uint progress[THREADS_MOST];
static pthread_rwlock_t quiet;		/* held for writing: no other thread is in a call */

/* What must hold whenever no call is under way. */
static void check(void)
{
	struct capture_ring_statistics s = { };
	struct capture_ring_info info = { };
	uint64_t sum;

	atomic_fetch_add(&checks, 1);
	if (ioctl(FD, CAPTURE_RING_IOC_INFO, &info) || ioctl(FD, CAPTURE_RING_IOC_STATISTICS, &s))
		return;
	sum = (uint64_t)s.blocks_free + s.blocks_hardware + s.blocks_done + s.blocks_user;
	if (info.abi != CAPTURE_RING_ABI || info.flags)
		wrong("INFO: abi %u, flags %#x", info.abi, info.flags);
	if (info.map_bytes && info.map_bytes != (uint64_t)info.blocks * info.block_bytes)
		wrong("INFO: %u blocks of %u, map_bytes %llu", info.blocks, info.block_bytes, info.map_bytes);
	if (info.map_bytes && sum != info.blocks)
		wrong("STATISTICS: %u free + %u hardware + %u done + %u user of %u blocks", s.blocks_free,
		      s.blocks_hardware, s.blocks_done, s.blocks_user, info.blocks);
	if (s.reserved)
		wrong("STATISTICS: reserved is not zero");
}

static void *work(void *argument)
{
	struct worker *w = argument;

	while (atomic_fetch_add(&done, 1) < wanted) {
		const struct step *step = steps;
		uint32_t at = below(w, STEP_WEIGHTS);

		while (at >= step->weight)
			at -= step++->weight;
		pthread_rwlock_rdlock(&quiet);
		if (fcntl(FD, F_GETFD) < 0 && once_in(w, 3))
			step = &steps[2];	/* without the device the rest is idle */
		step->run(w);
		pthread_rwlock_unlock(&quiet);
		if (!(atomic_fetch_add(&progress[w->index], 1) % CHECK_EVERY)) {
			pthread_rwlock_wrlock(&quiet);
			check();
			pthread_rwlock_unlock(&quiet);
		}
	}
	unmap(w);
	atomic_store(&progress[w->index], UINT32_MAX);
	return NULL;
}

static void *area(int fd, int protection, int flags)
{
	void *memory = mmap(NULL, AREA_BYTES + PAGE, protection, flags, fd, 0);

	if (memory == MAP_FAILED)
		die("mmap");
	return memory;
}

static void prepare(struct worker *w, uint64_t seed, unsigned int index, const char *file)
{
	int fd = memfd_create("fuzz", 0), disk = file ? open(file, O_RDWR | O_CREAT, 0600) : -1;

	w->random = (seed + index) * 0x9e3779b97f4a7c15u | 1;
	w->index = index;
	if (fd < 0 || ftruncate(fd, AREA_BYTES + PAGE) ||
	    (file && (disk < 0 || ftruncate(disk, AREA_BYTES + PAGE))))
		die("file");
	w->area[0] = area(-1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
	if (mprotect(w->area[0] + AREA_BYTES, PAGE, PROT_NONE))
		die("mprotect");
	w->area[1] = area(-1, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE);
	w->area[2] = area(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	w->area[3] = file ? area(disk, PROT_READ | PROT_WRITE, MAP_SHARED) : w->area[2];
	w->area[4] = area(-1, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS);
	w->area[5] = NULL;
	w->area[6] = (void *)0xbff00000u;	/* the stack is near, then the kernel */
	w->area[7] = (void *)0xfffff000u;
}

static void connect_pair(void)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t length = sizeof(here);

	tcp[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (void *)&here, length) || listen(listener, 1) ||
	    getsockname(listener, (void *)&here, &length) || connect(tcp[0], (void *)&here, length) ||
	    setsockopt(tcp[0], SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)))
		die("connection");
	tcp[1] = accept(listener, NULL, NULL);
	close(listener);
	if (pipe2(ends, O_NONBLOCK))
		die("pipe");
}

static void interrupt(int number)
{
	(void)number;
}

/* Interrupt what does not get on, until all have ended. */
static void watch(pthread_t *threads, unsigned int count)
{
	struct timespec tick = { .tv_nsec = TICK_MS * 1000000 };
	unsigned int seen[THREADS_MOST] = { 0 }, stuck[THREADS_MOST] = { 0 }, ended, i, now;

	do {
		nanosleep(&tick, NULL);
		for (i = ended = 0; i < count; i++) {
			now = atomic_load(&progress[i]);
			ended += now == UINT32_MAX;
			if (now == UINT32_MAX || now != seen[i]) {
				seen[i] = now;
				stuck[i] = 0;
				continue;
			}
			pthread_kill(threads[i], SIGUSR1);
			if (++stuck[i] == HANG_TICKS) {
				fprintf(stderr, "thread %u: a call hangs\n", i);
				_exit(3);
			}
		}
	} while (ended < count);
}

static void report(void)
{
	unsigned int kind, error;

	for (kind = 0; kind < KINDS; kind++) {
		printf("%s ok=%u", kind < CALLS ? calls[kind].name : others[kind - OTHER], counts[kind][0]);
		for (error = 1; error < ERRORS; error++)
			if (counts[kind][error])
				printf(" %s=%u", strerrorname_np(error) ?: "other", counts[kind][error]);
		printf("\n");
	}
	printf("calls=%u checks=%u wrong=%u\n", wanted, checks, wrongs);
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MOST];
	struct sigaction action = { .sa_handler = interrupt };
	pthread_rwlockattr_t fair;
	pthread_t threads[THREADS_MOST];
	unsigned int count = argc > 3 ? atoi(argv[3]) : 2, i;

	if (argc < 3 || argc > 5 || !count || count > THREADS_MOST) {
		fprintf(stderr, "usage: fuzz SEED CALLS [THREADS (1..%u) [FILE]]\n", THREADS_MOST);
		return 2;
	}
	wanted = atoi(argv[2]);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGUSR1, &action, NULL);
	connect_pair();
	i = open(DEVICE, O_RDWR | O_CLOEXEC);
	if ((int)i < 0 || dup3(i, FD, O_CLOEXEC) < 0)
		die(DEVICE);
	close(i);
	pthread_rwlockattr_init(&fair);
	pthread_rwlockattr_setkind_np(&fair, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&quiet, &fair);
	for (i = 0; i < count; i++)
		prepare(&workers[i], strtoull(argv[1], NULL, 0), i, argc > 4 ? argv[4] : NULL);
	a_reopen(&workers[0]);
	for (i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, work, &workers[i]))
			die("thread");
	watch(threads, count);
	report();
	return wrongs ? 1 : 0;
}
