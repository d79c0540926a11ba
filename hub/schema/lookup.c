/* Open addressing with linear probing, at most half full. */
#include "hub/schema/lookup.h"

#include "hub/schema/memory.h"

#include <stdlib.h>
#include <string.h>

/* The finaliser of splitmix64: every bit of x reaches every bit of the result. */
uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Eight bytes a turn; the length goes in, so that a trailing NUL counts. */
uint64_t hash_bytes(const char *bytes, size_t n, uint64_t seed)
{
    uint64_t hash = seed ^ (n * UINT64_C(0x9e3779b97f4a7c15));
    while (n >= 8) {
        uint64_t word;
        memcpy(&word, bytes, 8);
        hash = hash_mix(hash ^ word);
        bytes += 8;
        n -= 8;
    }
    uint64_t rest = 0;
    memcpy(&rest, bytes, n);
    return hash_mix(hash ^ rest);
}

static struct lookup_slot *probe(const struct lookup *map, const void *scope, const char *key,
                                 size_t n, uint64_t hash)
{
    for (size_t i = hash & (map->cap - 1);; i = (i + 1) & (map->cap - 1)) {
        struct lookup_slot *slot = &map->slots[i];
        bool same = slot->hash == hash && slot->scope == scope && slot->n == n &&
                    (n == 0 || memcmp(slot->key, key, n) == 0);
        if (!slot->value || same) {
            return slot;
        }
    }
}

static uint64_t hash_key(const void *scope, const char *key, size_t n)
{
    uint64_t seed = hash_mix((uint64_t)(uintptr_t)scope);
    return n ? hash_bytes(key, n, seed) : seed;
}

static void lookup_grow(struct lookup *map)
{
    struct lookup bigger = {.cap = map->cap ? map->cap * 2 : 64, .count = map->count};
    bigger.slots = memory_resize(NULL, bigger.cap * sizeof *bigger.slots);
    memset(bigger.slots, 0, bigger.cap * sizeof *bigger.slots);
    for (size_t i = 0; i < map->cap; i++) {
        const struct lookup_slot *slot = &map->slots[i];
        if (slot->value) {
            *probe(&bigger, slot->scope, slot->key, slot->n, slot->hash) = *slot;
        }
    }
    free(map->slots);
    *map = bigger;
}

void *lookup_get(const struct lookup *map, const void *scope, const char *key, size_t n)
{
    return map->cap ? probe(map, scope, key, n, hash_key(scope, key, n))->value : NULL;
}

bool lookup_add(struct lookup *map, const void *scope, const char *key, size_t n, void *value)
{
    if (map->count * 2 >= map->cap) {
        lookup_grow(map);
    }
    uint64_t hash = hash_key(scope, key, n);
    struct lookup_slot *slot = probe(map, scope, key, n, hash);
    if (slot->value) {
        return false;
    }
    *slot = (struct lookup_slot){scope, key, n, hash, value};
    map->count++;
    return true;
}

void lookup_done(struct lookup *map)
{
    free(map->slots);
    *map = (struct lookup){0};
}
