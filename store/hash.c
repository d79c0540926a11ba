#include "store/hash.h"

#include "store/checksum.h"

/* The app goes into the seed by a multiplication with an odd constant (2^64 divided by the golden
 * ratio), so that neighbouring apps get seeds far apart. */
static uint64_t seed_of(uint64_t seed, uint32_t app)
{
    return seed ^ ((uint64_t)app + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

uint64_t hash64(uint64_t seed, struct slice bytes)
{
    return sum64_seeded(bytes.p ? (const void *)bytes.p : "", bytes.n, seed);
}

struct hash128 hash128(uint64_t seed, struct slice bytes)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(bytes.p ? (const void *)bytes.p : "", bytes.n, seed);
    return (struct hash128){.lo = h.low64, .hi = h.high64};
}

uint64_t hash64_named(uint64_t seed, uint32_t app, struct slice name)
{
    return hash64(seed_of(seed, app), name);
}

struct hash128 hash128_named(uint64_t seed, uint32_t app, struct slice name)
{
    return hash128(seed_of(seed, app), name);
}
