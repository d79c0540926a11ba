/* store/bytes.h: spans of bytes and fixed-width integers in byte order.
 *
 * Owns     nothing: a slice borrows, and says in its own place from whom and for how long.
 * Threads  any.       Units  bytes.
 */
#ifndef WAGGLE_STORE_BYTES_H
#define WAGGLE_STORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *p; /* may be NULL when n is 0 */
    size_t n;
};

static inline struct slice slice_of(const void *p, size_t n)
{
    return (struct slice){.p = p, .n = n};
}

static inline struct slice slice_str(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* As LMDB orders keys: below 0, 0, above 0. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int difference = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return difference != 0 ? difference : (a.n > b.n) - (a.n < b.n);
}

static inline bool slice_is(struct slice a, const char *text)
{
    return slice_equal(a, slice_str(text));
}

static inline bool slice_starts(struct slice a, const char *text)
{
    size_t n = strlen(text);
    return a.n >= n && (n == 0 || memcmp(a.p, text, n) == 0);
}

/* Big-endian, so that keys sort by number in LMDB. */
static inline void be16_put(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static inline void be32_put(uint8_t *p, uint32_t v)
{
    be16_put(p, (uint16_t)(v >> 16));
    be16_put(p + 2, (uint16_t)v);
}

static inline void be64_put(uint8_t *p, uint64_t v)
{
    be32_put(p, (uint32_t)(v >> 32));
    be32_put(p + 4, (uint32_t)v);
}

static inline uint16_t be16_get(const uint8_t *p)
{
    return (uint16_t)((p[0] << 8) | p[1]);
}

static inline uint32_t be32_get(const uint8_t *p)
{
    return ((uint32_t)be16_get(p) << 16) | be16_get(p + 2);
}

static inline uint64_t be64_get(const uint8_t *p)
{
    return ((uint64_t)be32_get(p) << 32) | be32_get(p + 4);
}

#endif
