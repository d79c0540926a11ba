/* tests/fuzz/cutter.h: cuts a stream of bytes into inputs, to show that the cuts make no
 * difference.
 *
 * Each input is a copy of exactly its size on the heap and goes away after use, so that the
 * sanitizers see a byte read past its end and a view that outlived it.
 */
#ifndef WAGGLE_TESTS_FUZZ_CUTTER_H
#define WAGGLE_TESTS_FUZZ_CUTTER_H

#include <stdlib.h>

#include "store/mem.h"

struct cutter {
    size_t first;  /* bytes of the first input */
    size_t every;  /* of each other; 0: random sizes up to random_max */
    uint64_t seed; /* of these; not 0 */
    size_t random_max;
};

static inline uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static inline struct cutter cut_nowhere(size_t n)
{
    return (struct cutter){.first = n, .every = 1};
}

static inline struct cutter cut_at(size_t at, size_t n)
{
    return (struct cutter){.first = at, .every = n ? n : 1};
}

static inline struct cutter cut_everywhere(void)
{
    return (struct cutter){.first = 1, .every = 1};
}

static inline struct cutter cut_randomly(uint64_t seed, size_t max)
{
    return (struct cutter){.first = 1, .seed = seed | 1, .random_max = max};
}

/* The next input of what is left; the caller frees it. */
static inline uint8_t *cutter_next(struct cutter *c, struct slice *io_left, size_t *out_n)
{
    size_t n = c->first;
    c->first = c->every ? c->every : 1 + (size_t)(next_random(&c->seed) % c->random_max);
    n = n < io_left->n ? n : io_left->n;
    uint8_t *copy = xmalloc(n);
    if (n) {
        memcpy(copy, io_left->p, n);
    }
    *io_left = slice_of(io_left->p + n, io_left->n - n);
    *out_n = n;
    return copy;
}

/* Any number that depends on all the bytes. */
static inline uint64_t cutter_seed(const uint8_t *p, size_t n)
{
    uint64_t seed = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < n; i++) {
        seed = (seed ^ p[i]) * 0x100000001b3;
    }
    return seed | 1;
}

#endif
