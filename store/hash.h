/* store/hash.h: seeded hashes for tables in memory and for keys of rows (XXH3 of libxxhash).
 *
 * Seeded, so that nobody outside can aim collisions; not for secrets, which belong to auth.
 * Threads  any.
 */
#ifndef WAGGLE_STORE_HASH_H
#define WAGGLE_STORE_HASH_H

#include "store/bytes.h"

struct hash128 {
    uint64_t lo, hi;
};

uint64_t hash64(uint64_t seed, struct slice bytes);
struct hash128 hash128(uint64_t seed, struct slice bytes);
/* Of a name within an app: the pair that names a channel, an agent, a key. */
uint64_t hash64_named(uint64_t seed, uint32_t app, struct slice name);
struct hash128 hash128_named(uint64_t seed, uint32_t app, struct slice name);

static inline bool hash128_equal(struct hash128 a, struct hash128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

#endif
