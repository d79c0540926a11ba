/* Slots in chunks that are made on demand and never move. A slot's bytes are read and written as
 * atomic words, so that a reader that meets a change sees torn words at worst, and its count tells
 * it so. */
#include "hub/agents/pulses.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { CHUNK = 1024, CHUNKS = 4096, WORDS = (sizeof(struct pulse) + 7) / 8 };

struct slot {
    _Atomic uint64_t count; /* odd while it is being changed */
    _Atomic uint64_t words[WORDS];
    _Atomic uint32_t held;
};

struct pulses {
    _Atomic(struct slot *) chunks[CHUNKS];
};

struct pulses *pulses_new(void)
{
    return xcalloc(1, sizeof(struct pulses));
}

void pulses_free(struct pulses *pulses)
{
    if (pulses) {
        for (unsigned i = 0; i < CHUNKS; i++) {
            free(atomic_load(&pulses->chunks[i]));
        }
        free(pulses);
    }
}

/* NULL: four million agents have pulses; one past them is judged by its row alone. */
static struct slot *slot_make(struct pulses *pulses, uint32_t number)
{
    if (number / CHUNK >= CHUNKS) {
        return NULL;
    }
    struct slot *chunk =
        atomic_load_explicit(&pulses->chunks[number / CHUNK], memory_order_relaxed);
    if (!chunk) {
        chunk = xcalloc(CHUNK, sizeof *chunk);
        atomic_store_explicit(&pulses->chunks[number / CHUNK], chunk, memory_order_release);
    }
    return &chunk[number % CHUNK];
}

static const struct slot *slot_of(const struct pulses *pulses, uint32_t number)
{
    if (number / CHUNK >= CHUNKS) {
        return NULL;
    }
    const struct slot *chunk =
        atomic_load_explicit(&pulses->chunks[number / CHUNK], memory_order_acquire);
    return chunk ? &chunk[number % CHUNK] : NULL;
}

void pulse_held_put(struct pulses *pulses, uint32_t number, uint32_t held)
{
    struct slot *slot = slot_make(pulses, number);
    if (slot) {
        atomic_store_explicit(&slot->held, held, memory_order_relaxed);
    }
}

uint32_t pulse_held(const struct pulses *pulses, uint32_t number)
{
    const struct slot *slot = slot_of(pulses, number);
    return slot ? atomic_load_explicit(&slot->held, memory_order_relaxed) : 0;
}

void pulse_put(struct pulses *pulses, uint32_t number, const struct pulse *pulse)
{
    struct slot *slot = slot_make(pulses, number);
    if (!slot) {
        return;
    }
    uint64_t words[WORDS] = {0};
    memcpy(words, pulse, sizeof *pulse);
    uint64_t count = atomic_load_explicit(&slot->count, memory_order_relaxed);
    atomic_store_explicit(&slot->count, count + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    for (unsigned i = 0; i < WORDS; i++) {
        atomic_store_explicit(&slot->words[i], words[i], memory_order_relaxed);
    }
    atomic_store_explicit(&slot->count, count + 2, memory_order_release);
}

bool pulse_get(const struct pulses *pulses, uint32_t number, struct pulse *out)
{
    const struct slot *slot = slot_of(pulses, number);
    if (!slot) {
        return false;
    }
    for (;;) {
        uint64_t words[WORDS];
        uint64_t before = atomic_load_explicit(&slot->count, memory_order_acquire);
        for (unsigned i = 0; i < WORDS; i++) {
            words[i] = atomic_load_explicit(&slot->words[i], memory_order_relaxed);
        }
        atomic_thread_fence(memory_order_acquire);
        if (before % 2 == 0 && atomic_load_explicit(&slot->count, memory_order_relaxed) == before) {
            memcpy(out, words, sizeof *out);
            return before != 0 && out->seen_ms != 0;
        }
    }
}
