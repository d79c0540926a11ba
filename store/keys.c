/* Idempotency keys of the window, in the order they came: a queue in chunks, so that it takes 40
 * bytes a key however long it is, and an index over it by open addressing, 4 bytes a slot with at
 * most three quarters of them used. A slot holds the low 24 bits of the key's place in the queue
 * and 8 bits of its hash, so that a probe rarely has to look into the queue in vain.
 *
 * Expiry takes from the front, undoing a batch takes from the back. A key that has expired but
 * still stands in the queue is as good as gone, and may be added again behind itself. */
#include "store/log_parts.h"

#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

enum {
    CHUNK = 4096,
    CHUNKS_MIN = 16,
    SLOTS_MIN = 1024,
    PLACES = (1 << 24) - 1, /* that a slot can tell apart */
    KEYS_MAX = 15 << 20,    /* leaves a million for the batch under way */
};

struct entry {
    uint8_t hash[LOG_KEY_HASH_BYTES];
    int64_t time_ms;
    uint64_t offset, seq;
};

struct keys {
    uint64_t seed, keys_max;
    int64_t window_ms;
    uint64_t front, back;  /* places: the oldest key, and one past the newest */
    struct entry **chunks; /* a ring of them; chunks_n is a power of two */
    size_t chunks_n;
    uint32_t *slots; /* 0: free, else low bits of place + 1 */
    size_t slots_n;  /* a power of two */
};

struct keys *keys_new(uint64_t seed, int64_t window_ms, uint64_t keys_max)
{
    struct keys *keys = xcalloc(1, sizeof *keys);
    keys->seed = seed;
    keys->window_ms = window_ms;
    keys->keys_max = keys_max < KEYS_MAX ? keys_max : KEYS_MAX;
    keys->chunks_n = CHUNKS_MIN;
    keys->chunks = xcalloc(keys->chunks_n, sizeof *keys->chunks);
    keys->slots_n = SLOTS_MIN;
    keys->slots = xcalloc(keys->slots_n, sizeof *keys->slots);
    return keys;
}

void keys_free(struct keys *keys)
{
    if (!keys)
        return;
    for (size_t i = 0; i < keys->chunks_n; i++)
        free(keys->chunks[i]);
    free(keys->chunks);
    free(keys->slots);
    free(keys);
}

uint64_t keys_count(const struct keys *keys)
{
    return keys->back - keys->front;
}

/* ---- the queue ---- */

static struct entry **chunk_of(const struct keys *keys, uint64_t place)
{
    return &keys->chunks[place / CHUNK & (keys->chunks_n - 1)];
}

static struct entry *entry_at(const struct keys *keys, uint64_t place)
{
    return &(*chunk_of(keys, place))[place % CHUNK];
}

uint64_t keys_oldest_seq(const struct keys *keys)
{
    return keys_count(keys) > 0 ? entry_at(keys, keys->front)->seq : UINT64_MAX;
}

static void ring_grow(struct keys *keys)
{
    size_t n = keys->chunks_n * 2;
    struct entry **chunks = xcalloc(n, sizeof *chunks);
    uint64_t first = keys->front / CHUNK;
    for (uint64_t i = first; i < first + keys->chunks_n; i++)
        chunks[i & (n - 1)] = keys->chunks[i & (keys->chunks_n - 1)];
    free(keys->chunks);
    keys->chunks = chunks;
    keys->chunks_n = n;
}

static struct entry *push(struct keys *keys)
{
    if (keys->back / CHUNK - keys->front / CHUNK >= keys->chunks_n)
        ring_grow(keys);
    struct entry **chunk = chunk_of(keys, keys->back);
    if (!*chunk)
        *chunk = xmalloc(CHUNK * sizeof **chunk);
    return &(*chunk)[keys->back % CHUNK];
}

/* Called when the key at place was taken from either end: frees a chunk that holds none now. */
static void chunk_settle(struct keys *keys, uint64_t place)
{
    uint64_t chunk = place / CHUNK;
    bool used =
        keys_count(keys) > 0 && keys->front / CHUNK <= chunk && chunk <= (keys->back - 1) / CHUNK;
    if (used)
        return;
    struct entry **p = chunk_of(keys, place);
    free(*p);
    *p = NULL;
}

/* ---- the index ---- */

/* The seed keeps those who choose keys from choosing where they go. */
static uint64_t mix(const struct keys *keys, const uint8_t hash[LOG_KEY_HASH_BYTES])
{
    return XXH3_64bits_withSeed(hash, LOG_KEY_HASH_BYTES, keys->seed);
}

static uint64_t mix_at(const struct keys *keys, uint64_t place)
{
    return mix(keys, entry_at(keys, place)->hash);
}

static size_t home_of(const struct keys *keys, uint64_t mixed)
{
    return (size_t)mixed & (keys->slots_n - 1);
}

static uint32_t tag_of(uint64_t mixed)
{
    return (uint32_t)(mixed >> 56) << 24;
}

static uint32_t slot_value(uint64_t mixed, uint64_t place)
{
    return tag_of(mixed) | ((uint32_t)(place % PLACES) + 1);
}

static uint64_t place_of(const struct keys *keys, uint32_t slot)
{
    uint64_t front = keys->front % PLACES, at = (slot & 0xffffff) - 1;
    return keys->front + (at >= front ? at - front : at + PLACES - front);
}

static void index_add(struct keys *keys, uint64_t place)
{
    uint64_t mixed = mix_at(keys, place);
    size_t i = home_of(keys, mixed);
    while (keys->slots[i] != 0)
        i = (i + 1) & (keys->slots_n - 1);
    keys->slots[i] = slot_value(mixed, place);
}

/* Makes the index anew, with room for all keys there are. */
static void index_build(struct keys *keys)
{
    free(keys->slots);
    while (keys_count(keys) * 4 > keys->slots_n * 3)
        keys->slots_n *= 2;
    keys->slots = xcalloc(keys->slots_n, sizeof *keys->slots);
    for (uint64_t place = keys->front; place < keys->back; place++)
        index_add(keys, place);
}

/* Moves those that follow back over the hole, so that no probe ends before its aim. */
static void index_remove(struct keys *keys, uint64_t place)
{
    uint64_t mixed = mix_at(keys, place);
    uint32_t value = slot_value(mixed, place);
    size_t mask = keys->slots_n - 1, i = home_of(keys, mixed);
    while (keys->slots[i] != value) {
        assert(keys->slots[i] != 0);
        i = (i + 1) & mask;
    }
    size_t hole = i;
    for (i = (hole + 1) & mask; keys->slots[i] != 0; i = (i + 1) & mask) {
        size_t home = home_of(keys, mix_at(keys, place_of(keys, keys->slots[i])));
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            keys->slots[hole] = keys->slots[i];
            hole = i;
        }
    }
    keys->slots[hole] = 0;
}

/* ---- keys ---- */

/* A clock that was set back leaves keys from the future behind: those too far in it are over as
 * well, or they would hold the front of the queue, and with it the journal's, until that time
 * comes. */
static bool over(const struct keys *keys, const struct entry *entry, int64_t now_ms)
{
    return now_ms != KEYS_NO_TIME && (entry->time_ms <= now_ms - keys->window_ms ||
                                      entry->time_ms > now_ms + keys->window_ms);
}

/* Of several the newest: those before it were over when it came. */
bool keys_find(const struct keys *keys, const uint8_t hash[LOG_KEY_HASH_BYTES], int64_t now_ms,
               uint64_t *out_offset, uint64_t *out_seq)
{
    const struct entry *found = NULL;
    uint64_t mixed = mix(keys, hash);
    uint32_t tag = tag_of(mixed);
    size_t mask = keys->slots_n - 1;
    for (size_t i = home_of(keys, mixed); keys->slots[i] != 0; i = (i + 1) & mask) {
        if ((keys->slots[i] & 0xff000000) != tag)
            continue;
        const struct entry *entry = entry_at(keys, place_of(keys, keys->slots[i]));
        if (memcmp(entry->hash, hash, sizeof entry->hash) == 0 && !over(keys, entry, now_ms) &&
            (!found || entry->seq > found->seq))
            found = entry;
    }
    if (!found)
        return false;
    *out_offset = found->offset;
    *out_seq = found->seq;
    return true;
}

static void append(struct keys *keys, const uint8_t hash[LOG_KEY_HASH_BYTES], int64_t time_ms,
                   uint64_t offset, uint64_t seq)
{
    assert(keys_count(keys) < PLACES);
    struct entry *entry = push(keys);
    memcpy(entry->hash, hash, sizeof entry->hash);
    entry->time_ms = time_ms;
    entry->offset = offset;
    entry->seq = seq;
    keys->back++;
}

void keys_add(struct keys *keys, const uint8_t hash[LOG_KEY_HASH_BYTES], int64_t time_ms,
              uint64_t offset, uint64_t seq)
{
    append(keys, hash, time_ms, offset, seq);
    if (keys_count(keys) * 4 > keys->slots_n * 3)
        index_build(keys);
    else
        index_add(keys, keys->back - 1);
}

void keys_load(struct keys *keys, const uint8_t hash[LOG_KEY_HASH_BYTES], int64_t time_ms,
               uint64_t offset, uint64_t seq)
{
    append(keys, hash, time_ms, offset, seq);
    if (keys_count(keys) > keys->keys_max) {
        keys->front++;
        chunk_settle(keys, keys->front - 1);
    }
}

void keys_loaded(struct keys *keys)
{
    index_build(keys);
}

void keys_drop_newest(struct keys *keys, uint64_t count)
{
    for (; count > 0; count--) {
        assert(keys_count(keys) > 0);
        index_remove(keys, keys->back - 1);
        keys->back--;
        chunk_settle(keys, keys->back);
    }
}

bool keys_expire(struct keys *keys, int64_t now_ms, uint64_t count_max)
{
    for (; keys_count(keys) > 0; count_max--) {
        bool due =
            keys_count(keys) > keys->keys_max || over(keys, entry_at(keys, keys->front), now_ms);
        if (!due || count_max == 0)
            return due;
        index_remove(keys, keys->front);
        keys->front++;
        chunk_settle(keys, keys->front - 1);
    }
    return false;
}
