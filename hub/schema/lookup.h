/* hub/schema/lookup.h: a map from (scope, bytes) to a pointer, for the names met while compiling.
 *
 * The scope is a pointer that tells names apart: the resource of an anchor, or the JSON value of a
 * subschema (with no bytes at all). Its address goes into the hash, so that nobody outside can
 * choose names that collide.
 *
 * Owns     its slots; keys and values are borrowed and must outlive it.
 * Threads  one at a time.
 */
#ifndef WAGGLE_HUB_SCHEMA_LOOKUP_H
#define WAGGLE_HUB_SCHEMA_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lookup_slot {
    const void *scope;
    const char *key;
    size_t n;
    uint64_t hash;
    void *value; /* NULL: the slot is free */
};

/* All zero is an empty map. */
struct lookup {
    struct lookup_slot *slots;
    size_t count, cap;
};

void *lookup_get(const struct lookup *map, const void *scope, const char *key, size_t n);
/* False, and nothing changes, when the key is there already. */
bool lookup_add(struct lookup *map, const void *scope, const char *key, size_t n, void *value);
void lookup_done(struct lookup *map);

uint64_t hash_bytes(const char *bytes, size_t n, uint64_t seed);
uint64_t hash_mix(uint64_t x);

#endif
