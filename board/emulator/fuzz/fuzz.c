/*
 * A fuzzer of all registers, from inside: the device `cyclone5-fuzz`, which only the sanitised build has
 * (firmware/emulator_fuzz.py). It is created by -device cyclone5-fuzz,seed=1,accesses=200000 on a machine under
 * `-accel qtest`: no CPU runs, and virtual time stands still unless the fuzzer moves it. So one seed is one run.
 *
 * Every register window of the machine gets the same share of reads and writes of 1, 2, 4 and 8 bytes, aligned or not,
 * with values that are random, or look like flags, lengths, or addresses in memory, in devices and in nothing. The memory
 * that such addresses point to holds more of the same: descriptors for whatever fetches some. Between bursts of accesses
 * virtual time goes on, frames arrive, devices are set to work (prime.c), and now and then the machine is reset.
 *
 * It ends the program with status 0 behind the last access. When AddressSanitizer, a failed assertion or a signal ends
 * it, the last accesses are shown. Property `plant`: a device with an overflow is among the fuzzed; so the fuzzer can be
 * seen to find one.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "fuzz.h"
#include "qemu/main-loop.h"
#include "hw/misc/unimp.h"
#include <sanitizer/common_interface_defs.h>

#define WINDOWS        256
#define BURST          64           /* accesses between two moves of virtual time */
#define REMEMBERED     32
#define LONGEST_STEP   23           /* 2^n ns */
#define FRAME_BYTES    1600
#define PRIME_BURSTS   8
#define RESET_BURSTS   4096
#define PLANT_BASE     0xff900000
#define PLANT_BYTES    64

typedef struct {
    hwaddr base;
    uint64_t size;
    const char *name;
} Window;

typedef struct {
    hwaddr address;
    uint64_t value;
    uint8_t size;
    bool write;
} Access;

struct C5Fuzz {
    DeviceState parent_obj;
    uint64_t seed, accesses, done, bursts, state;
    uint64_t digest;            /* of all that was read */
    bool plant;
    char *only;
    QEMUBH *burst;
    Window windows[WINDOWS];
    unsigned count;
    Access last[REMEMBERED];
    MemoryRegion planted;
    uint8_t *heap;
};

static C5Fuzz *the_fuzz;

/* xorshift64*: G. Marsaglia's generator with S. Vigna's multiplier */
static uint64_t fuzz_random(C5Fuzz *s)
{
    s->state ^= s->state >> 12;
    s->state ^= s->state << 25;
    s->state ^= s->state >> 27;
    return (s->state * 0x2545f4914f6cdd1dull) >> 16;
}

uint64_t fuzz_below(C5Fuzz *s, uint64_t limit)
{
    return fuzz_random(s) % limit;
}

uint64_t fuzz_value(C5Fuzz *s)
{
    switch (fuzz_below(s, 10)) {
    case 0:
        return fuzz_below(s, 16);
    case 1:
        return ~fuzz_below(s, 4);
    case 2:
        return 1ull << fuzz_below(s, 32) | 1ull << fuzz_below(s, 32);
    case 3:
        return fuzz_below(s, 4096);
    case 4:
        return fuzz_below(s, FUZZ_PLAY_BYTES);
    case 5:
    case 6:
        return fuzz_below(s, FUZZ_PLAY_BYTES) & ~15;
    case 7:
        return s->windows[fuzz_below(s, s->count)].base + (fuzz_below(s, 0x200) & ~3);
    default:
        return fuzz_random(s) << 16 ^ fuzz_random(s);
    }
}

static void fuzz_show(void)
{
    C5Fuzz *s = the_fuzz;

    if (!s) {
        return;
    }
    fprintf(stderr, "fuzz: seed %" PRIu64 ", access %" PRIu64 "; the last ones:\n", s->seed, s->done);
    for (uint64_t n = s->done > REMEMBERED ? s->done - REMEMBERED : 0; n < s->done; n++) {
        const Access *a = &s->last[n % REMEMBERED];

        fprintf(stderr, "  %s %u %08" HWADDR_PRIx " %" PRIx64 "\n", a->write ? "write" : "read ", a->size, a->address,
                a->value);
    }
}

/*
 * QEMU's own model of the global timer is left out: a comparator near 2^64 overflows in it, and time that only the fuzzer
 * moves would stand still for ever (the real clock goes on, so there it is no more than a timer that always rings).
 */
static bool fuzz_wanted(C5Fuzz *s, const MemoryRegion *mr)
{
    return mr->ops && mr->terminates && !mr->ram && !mr->alias && !g_str_has_prefix(mr->name, "a9gtimer") &&
           !object_dynamic_cast(mr->owner, TYPE_UNIMPLEMENTED_DEVICE) &&
           (!s->only || strstr(mr->name, s->only));
}

/* All windows in the memory map that are registers. */
static void fuzz_collect(C5Fuzz *s, MemoryRegion *mr, hwaddr base)
{
    MemoryRegion *child;

    QTAILQ_FOREACH(child, &mr->subregions, subregions_link) {
        hwaddr address = base + child->addr;
        bool container = !QTAILQ_EMPTY(&child->subregions);

        if (container) {
            fuzz_collect(s, child, address);
        }
        if (container || s->count == WINDOWS || !fuzz_wanted(s, child)) {
            continue;
        }
        s->windows[s->count++] = (Window) {
            .base = address, .size = int128_get64(child->size), .name = child->name,
        };
    }
}

uint32_t fuzz_read_word(uint32_t address)
{
    uint32_t value = 0;

    address_space_read(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, &value, sizeof(value));
    return le32_to_cpu(value);
}

void fuzz_write_word(uint32_t address, uint32_t value)
{
    value = cpu_to_le32(value);
    address_space_write(&address_space_memory, address, MEMTXATTRS_UNSPECIFIED, &value, sizeof(value));
}

void fuzz_step(uint64_t ns)
{
    g_autofree char *step = g_strdup_printf("clock_step %" PRIu64 "\n", ns);

    qtest_server_inproc_recv(NULL, step);
}

static void fuzz_access(C5Fuzz *s)
{
    const Window *w = &s->windows[fuzz_below(s, s->count)];
    uint64_t range = fuzz_below(s, 4) ? MIN(w->size, 0x200) : fuzz_below(s, 2) ? MIN(w->size, 4 * KiB) : w->size;
    Access *a = &s->last[s->done % REMEMBERED];
    uint64_t offset = fuzz_below(s, range), bytes;

    a->size = fuzz_below(s, 2) ? 4 : 1 << fuzz_below(s, 4);
    a->write = fuzz_below(s, 3);
    if (fuzz_below(s, 8)) {
        offset &= ~(uint64_t)(a->size - 1);
    }
    a->address = w->base + offset;
    a->value = a->write ? fuzz_value(s) : 0;
    s->done++;
    if (a->address >> 2 == (C5_RSTMGR_BASE + 4) >> 2 && fuzz_below(s, 64)) {
        return;     /* a reset is the end of all that is in flight: seldom */
    }
    bytes = cpu_to_le64(a->value);
    current_cpu = first_cpu;        /* who asks: the GIC and the private timers show each CPU its own */
    address_space_rw(&address_space_memory, a->address, MEMTXATTRS_UNSPECIFIED, &bytes, a->size, a->write);
    current_cpu = NULL;
    if (!a->write) {
        a->value = le64_to_cpu(bytes);
        s->digest = s->digest * 31 + a->value;
    }
}

static void fuzz_refill(C5Fuzz *s, unsigned words)
{
    while (words--) {
        fuzz_write_word(fuzz_below(s, FUZZ_PLAY_BYTES / 4) * 4, fuzz_value(s));
    }
}

static void fuzz_frame(C5Fuzz *s)
{
    static const uint8_t start[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, 0, 0, 60,
                                     0, 0, 0, 0, 64, 6 };
    NetClientState *peer = qemu_find_netdev("fuzz");
    size_t length = 1 + fuzz_below(s, fuzz_below(s, 2) ? FRAME_BYTES : 128);
    g_autofree uint8_t *frame = g_malloc(length);

    for (size_t n = 0; n < length; n++) {
        frame[n] = n < sizeof(start) && fuzz_below(s, 16) ? start[n] : fuzz_random(s);
    }
    if (peer) {
        qemu_send_packet(peer, frame, length);
    }
}

static void fuzz_prime(C5Fuzz *s)
{
    switch (s->bursts % PRIME_BURSTS) {
    case 0:
        fuzz_prime_fabric();
        break;
    case 1:
        fuzz_prime_msgdma(s);
        break;
    case 2:
        fuzz_prime_network(s);
        break;
    case 3:
        fuzz_prime_card(s);
        break;
    }
}

static void fuzz_end(C5Fuzz *s)
{
    printf("fuzz: seed %" PRIu64 ": %" PRIu64 " accesses to %u windows, %" PRIi64
           " ms of virtual time, read %016" PRIx64 "\n", s->seed, s->done, s->count,
           qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL), s->digest);
    fflush(stdout);
    qemu_system_shutdown_request(SHUTDOWN_CAUSE_HOST_QMP_QUIT);
}

static void fuzz_burst(void *opaque)
{
    C5Fuzz *s = opaque;

    if (!s->count) {
        fuzz_collect(s, get_system_memory(), 0);
        fuzz_refill(s, FUZZ_PLAY_BYTES / 4);
    }
    fuzz_prime(s);
    fuzz_refill(s, BURST / 4);
    for (int n = 0; n < BURST && s->done < s->accesses; n++) {
        fuzz_access(s);
    }
    if (fuzz_below(s, 2)) {
        fuzz_frame(s);
    }
    fuzz_step(1 + fuzz_below(s, 1ull << fuzz_below(s, LONGEST_STEP)));
    if (++s->bursts % RESET_BURSTS == 0) {
        qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    }
    if (s->done < s->accesses) {
        qemu_bh_schedule(s->burst);
    } else {
        fuzz_end(s);
    }
}

static uint64_t planted_read(void *opaque, hwaddr offset, unsigned size)
{
    C5Fuzz *s = opaque;

    return s->heap[offset];     /* one byte short */
}

static void planted_write(void *opaque, hwaddr offset, uint64_t value, unsigned size)
{
}

C5_REGISTER_OPS(planted_ops, planted_read, planted_write);

static void fuzz_no_answer(void *opaque, const char *text)
{
}

static void fuzz_realize(DeviceState *dev, Error **errp)
{
    C5Fuzz *s = C5_FUZZ(dev);

    if (!qtest_enabled()) {
        error_setg(errp, TYPE_C5_FUZZ " needs -accel qtest");
        return;
    }
    s->state = s->seed * 0x9e3779b97f4a7c15ull + 1;
    s->burst = qemu_bh_new(fuzz_burst, s);
    if (s->plant) {
        s->heap = g_malloc0(PLANT_BYTES - 1);
        memory_region_init_io(&s->planted, OBJECT(s), &planted_ops, s, "planted", PLANT_BYTES);
        memory_region_add_subregion_overlap(get_system_memory(), PLANT_BASE, &s->planted, 1);
    }
    the_fuzz = s;
    __sanitizer_set_death_callback(fuzz_show);
    qtest_server_set_send_handler(fuzz_no_answer, NULL);
    qemu_bh_schedule(s->burst);
}

C5_PROPERTIES fuzz_properties[] = {
    DEFINE_PROP_UINT64("seed", C5Fuzz, seed, 1),
    DEFINE_PROP_UINT64("accesses", C5Fuzz, accesses, 200000),
    DEFINE_PROP_BOOL("plant", C5Fuzz, plant, false),
    DEFINE_PROP_STRING("only", C5Fuzz, only),
    C5_PROPERTIES_END
};

static void fuzz_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);

    dc->realize = fuzz_realize;
    device_class_set_props(dc, fuzz_properties);
}

static const TypeInfo fuzz_types[] = {
    {
        .name = TYPE_C5_FUZZ,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(C5Fuzz),
        .class_init = fuzz_class_init,
    },
};
DEFINE_TYPES(fuzz_types)
