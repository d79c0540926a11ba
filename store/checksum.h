/* store/checksum.h: the checksum of what is stored, of a record, a row, a block: XXH3 (libxxhash),
 * short texts within the caller, long ones with the widest registers that the processor has.
 *
 * The same bytes and seed give the same sum on every machine. Seed 0 is XXH3 without one.
 * Threads  any.
 */
#ifndef WAGGLE_STORE_CHECKSUM_H
#define WAGGLE_STORE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

enum { CHECKSUM_SHORT_MAX = 240 }; /* XXH3 goes another way from here on */

uint64_t sum64_long(const void *p, size_t n, uint64_t seed);

static inline uint64_t sum64(const void *p, size_t n)
{
    return n <= CHECKSUM_SHORT_MAX ? XXH3_64bits(p, n) : sum64_long(p, n, 0);
}

static inline uint64_t sum64_seeded(const void *p, size_t n, uint64_t seed)
{
    return n <= CHECKSUM_SHORT_MAX ? XXH3_64bits_withSeed(p, n, seed) : sum64_long(p, n, seed);
}

#endif
