/* A slot an agent, found over chunks of pointers that are made on demand and never move. A slot's
 * bytes are read and written as atomic words, so that a reader that meets a change sees torn words
 * at worst, and its count tells it so. A slot has room for the metrics that its agent reports: one
 * that reports more gets another slot.
 *
 * What is no longer pointed to may still be read. Readers count themselves in and out, and the
 * writer frees when it finds none inside: whoever comes later finds the new pointer, as both sides'
 * steps are in one order. */
#include "hub/agents/pulses.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    CACHE_LINE_BYTES = 64,
    CHUNK = 1024,
    CHUNKS = 4096,
    HEAD_WORDS = offsetof(struct pulse, metrics.list) / 8,
    METRIC_WORDS = sizeof(struct metric) / 8,
    WORDS_MAX = sizeof(struct pulse) / 8,
};
_Static_assert(offsetof(struct pulse, metrics.list) % 8 == 0, "the head is whole words");
_Static_assert(sizeof(struct metric) % 8 == 0, "a metric is whole words");

struct slot {
    _Atomic uint64_t count; /* odd while it is being changed; 0: no pulse yet */
    _Atomic uint32_t held;
    _Atomic int64_t paused_ms;
    uint32_t room;            /* for so many metrics */
    struct slot *next;        /* retired before it */
    _Atomic uint64_t words[]; /* of the pulse, up to its last metric */
};

struct chunk {
    _Atomic(struct slot *) slots[CHUNK];
    _Atomic uint64_t standings[CHUNK]; /* epoch and status */
};

/* On a cache line of its own, as many threads write it. */
struct readers {
    uint8_t before[CACHE_LINE_BYTES];
    _Atomic uint64_t inside;
    uint8_t after[CACHE_LINE_BYTES];
};

struct pulses {
    _Atomic(struct chunk *) chunks[CHUNKS];
    struct readers *readers;
    struct slot *retired; /* to be freed when nobody is inside */
};

struct pulses *pulses_new(void)
{
    struct pulses *pulses = xcalloc(1, sizeof *pulses);
    pulses->readers = xcalloc(1, sizeof *pulses->readers);
    return pulses;
}

static void chunk_free(struct chunk *chunk)
{
    for (unsigned i = 0; chunk && i < CHUNK; i++) {
        free(atomic_load(&chunk->slots[i]));
    }
    free(chunk);
}

static void retired_free(struct pulses *pulses)
{
    for (struct slot *slot; (slot = pulses->retired);) {
        pulses->retired = slot->next;
        free(slot);
    }
}

void pulses_free(struct pulses *pulses)
{
    if (pulses) {
        for (unsigned i = 0; i < CHUNKS; i++) {
            chunk_free(atomic_load(&pulses->chunks[i]));
        }
        retired_free(pulses);
        free(pulses->readers);
        free(pulses);
    }
}

/* ---- slots ---- */

/* NULL: nobody near it has had a pulse, or it is past four million agents: those are judged by
 * their rows alone. */
static struct chunk *chunk_of(const struct pulses *pulses, uint32_t number)
{
    return number / CHUNK < CHUNKS
               ? atomic_load_explicit(&pulses->chunks[number / CHUNK], memory_order_acquire)
               : NULL;
}

static _Atomic(struct slot *) *place_of(const struct pulses *pulses, uint32_t number)
{
    struct chunk *chunk = chunk_of(pulses, number);
    return chunk ? &chunk->slots[number % CHUNK] : NULL;
}

static _Atomic(struct slot *) *place_make(struct pulses *pulses, uint32_t number)
{
    _Atomic(struct slot *) *place = place_of(pulses, number);
    if (!place && number / CHUNK < CHUNKS) {
        struct chunk *chunk = xcalloc(1, sizeof *chunk);
        atomic_store_explicit(&pulses->chunks[number / CHUNK], chunk, memory_order_release);
        place = &chunk->slots[number % CHUNK];
    }
    return place;
}

static void reclaim(struct pulses *pulses)
{
    if (pulses->retired && atomic_load(&pulses->readers->inside) == 0) {
        retired_free(pulses);
    }
}

/* after may be NULL. */
static void slot_replace(struct pulses *pulses, _Atomic(struct slot *) *place, struct slot *after)
{
    struct slot *before = atomic_load_explicit(place, memory_order_relaxed);
    atomic_store(place, after);
    if (before) {
        before->next = pulses->retired;
        pulses->retired = before;
    }
    reclaim(pulses);
}

static struct slot *slot_new(uint32_t room)
{
    size_t words = HEAD_WORDS + (size_t)room * METRIC_WORDS;
    struct slot *slot = xcalloc(1, sizeof *slot + words * sizeof *slot->words);
    slot->room = room;
    return slot;
}

static size_t words_of(uint32_t metrics)
{
    return HEAD_WORDS + (size_t)metrics * METRIC_WORDS;
}

/* ---- the writer's ---- */

/* make: when there is none. */
static struct slot *slot_own(struct pulses *pulses, uint32_t number, bool make)
{
    _Atomic(struct slot *) *place = make ? place_make(pulses, number) : place_of(pulses, number);
    struct slot *slot = place ? atomic_load_explicit(place, memory_order_relaxed) : NULL;
    if (place && !slot && make) {
        slot = slot_new(0);
        slot_replace(pulses, place, slot);
    }
    return slot;
}

void pulse_paused_put(struct pulses *pulses, uint32_t number, int64_t until_ms)
{
    struct slot *slot = slot_own(pulses, number, until_ms != 0);
    if (slot) {
        atomic_store_explicit(&slot->paused_ms, until_ms, memory_order_relaxed);
    }
}

void pulse_held_put(struct pulses *pulses, uint32_t number, uint32_t held)
{
    struct slot *slot = slot_own(pulses, number, held != 0);
    if (slot) {
        atomic_store_explicit(&slot->held, held, memory_order_relaxed);
    }
}

static void slot_put(struct slot *slot, const struct pulse *pulse)
{
    uint64_t words[WORDS_MAX];
    size_t n = words_of(pulse->metrics.n);
    memcpy(words, pulse, n * sizeof *words);
    uint64_t count = atomic_load_explicit(&slot->count, memory_order_relaxed);
    atomic_store_explicit(&slot->count, count + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (size_t i = 0; i < n; i++) {
        atomic_store_explicit(&slot->words[i], words[i], memory_order_relaxed);
    }
    atomic_store_explicit(&slot->count, count + 2, memory_order_release);
}

void pulse_put(struct pulses *pulses, uint32_t number, const struct pulse *pulse)
{
    _Atomic(struct slot *) *place = place_make(pulses, number);
    if (!place) {
        return;
    }
    struct slot *slot = atomic_load_explicit(place, memory_order_relaxed);
    if (slot && slot->room >= pulse->metrics.n) {
        slot_put(slot, pulse);
        reclaim(pulses);
        return;
    }
    struct slot *larger = slot_new(pulse->metrics.n);
    if (slot) {
        larger->held = atomic_load_explicit(&slot->held, memory_order_relaxed);
        larger->paused_ms = atomic_load_explicit(&slot->paused_ms, memory_order_relaxed);
    }
    slot_put(larger, pulse);
    slot_replace(pulses, place, larger);
}

void pulse_drop(struct pulses *pulses, uint32_t number)
{
    _Atomic(struct slot *) *place = place_of(pulses, number);
    if (place && atomic_load_explicit(place, memory_order_relaxed)) {
        slot_replace(pulses, place, NULL);
    }
}

void standing_put(struct pulses *pulses, uint32_t number, struct agent_standing standing)
{
    struct chunk *chunk = place_make(pulses, number) ? chunk_of(pulses, number) : NULL;
    if (chunk) {
        atomic_store_explicit(&chunk->standings[number % CHUNK],
                              (uint64_t)standing.epoch << 32 | (uint64_t)standing.status,
                              memory_order_release);
    }
}

/* ---- reading ---- */

struct agent_standing standing_get(const struct pulses *pulses, uint32_t number)
{
    const struct chunk *chunk = chunk_of(pulses, number);
    uint64_t both =
        chunk ? atomic_load_explicit(&chunk->standings[number % CHUNK], memory_order_acquire) : 0;
    return (struct agent_standing){.epoch = (uint32_t)(both >> 32),
                                   .status = (enum agent_status)(both & UINT32_MAX)};
}

static const struct slot *slot_of(const struct pulses *pulses, uint32_t number)
{
    _Atomic(struct slot *) *place = place_of(pulses, number);
    return place ? atomic_load(place) : NULL;
}

static bool slot_get(const struct slot *slot, struct pulse *out)
{
    for (;;) {
        uint64_t words[WORDS_MAX];
        uint64_t before = atomic_load_explicit(&slot->count, memory_order_acquire);
        for (size_t i = 0; i < HEAD_WORDS; i++) {
            words[i] = atomic_load_explicit(&slot->words[i], memory_order_relaxed);
        }
        memcpy(out, words, HEAD_WORDS * sizeof *words);
        uint32_t metrics = out->metrics.n < slot->room ? out->metrics.n : slot->room;
        size_t n = words_of(metrics);
        for (size_t i = HEAD_WORDS; i < n; i++) {
            words[i] = atomic_load_explicit(&slot->words[i], memory_order_relaxed);
        }
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 == 0 && atomic_load_explicit(&slot->count, memory_order_relaxed) == before) {
            memcpy(out, words, n * sizeof *words);
            return before != 0 && out->seen_ms != 0;
        }
    }
}

bool pulse_get_own(const struct pulses *pulses, uint32_t number, struct pulse *out)
{
    const struct slot *slot = slot_of(pulses, number);
    return slot && slot_get(slot, out);
}

bool pulse_get(const struct pulses *pulses, uint32_t number, struct pulse *out)
{
    atomic_fetch_add(&pulses->readers->inside, 1);
    bool there = pulse_get_own(pulses, number, out);
    atomic_fetch_sub(&pulses->readers->inside, 1);
    return there;
}

uint32_t pulse_held(const struct pulses *pulses, uint32_t number)
{
    atomic_fetch_add(&pulses->readers->inside, 1);
    const struct slot *slot = slot_of(pulses, number);
    uint32_t held = slot ? atomic_load_explicit(&slot->held, memory_order_relaxed) : 0;
    atomic_fetch_sub(&pulses->readers->inside, 1);
    return held;
}

int64_t pulse_paused(const struct pulses *pulses, uint32_t number)
{
    atomic_fetch_add(&pulses->readers->inside, 1);
    const struct slot *slot = slot_of(pulses, number);
    int64_t until_ms = slot ? atomic_load_explicit(&slot->paused_ms, memory_order_relaxed) : 0;
    atomic_fetch_sub(&pulses->readers->inside, 1);
    return until_ms;
}
