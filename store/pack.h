/* store/pack.h: rows of fixed and counted fields, big-endian, written into a buf and read back.
 *
 * A row begins with its version byte, so a later program knows an older row. Reading past the end
 * sets `bad` and gives zeros: check it once at the end.
 * Threads  any.
 */
#ifndef WAGGLE_STORE_PACK_H
#define WAGGLE_STORE_PACK_H

#include "store/mem.h"

static inline void pack_u8(struct buf *b, uint8_t v)
{
    buf_add(b, &v, 1);
}

static inline void pack_u16(struct buf *b, uint16_t v)
{
    be16_put(buf_reserve(b, 2), v);
    b->n += 2;
}

static inline void pack_u32(struct buf *b, uint32_t v)
{
    be32_put(buf_reserve(b, 4), v);
    b->n += 4;
}

static inline void pack_u64(struct buf *b, uint64_t v)
{
    be64_put(buf_reserve(b, 8), v);
    b->n += 8;
}

static inline void pack_i64(struct buf *b, int64_t v)
{
    pack_u64(b, (uint64_t)v);
}

static inline void pack_f64(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    pack_u64(b, bits);
}

static inline void pack_slice(struct buf *b, struct slice s)
{
    pack_u32(b, (uint32_t)s.n);
    buf_add_slice(b, s);
}

struct unpack {
    const uint8_t *p, *end;
    bool bad;
};

static inline struct unpack unpack_of(struct slice row)
{
    return (struct unpack){.p = row.p, .end = row.p ? row.p + row.n : NULL, .bad = false};
}

static inline const uint8_t *unpack_bytes(struct unpack *u, size_t n)
{
    if (u->bad || (size_t)(u->end - u->p) < n) {
        u->bad = true;
        return NULL;
    }
    const uint8_t *p = u->p;
    u->p += n;
    return p;
}

static inline uint8_t unpack_u8(struct unpack *u)
{
    const uint8_t *p = unpack_bytes(u, 1);
    return p ? *p : 0;
}

static inline uint16_t unpack_u16(struct unpack *u)
{
    const uint8_t *p = unpack_bytes(u, 2);
    return p ? be16_get(p) : 0;
}

static inline uint32_t unpack_u32(struct unpack *u)
{
    const uint8_t *p = unpack_bytes(u, 4);
    return p ? be32_get(p) : 0;
}

static inline uint64_t unpack_u64(struct unpack *u)
{
    const uint8_t *p = unpack_bytes(u, 8);
    return p ? be64_get(p) : 0;
}

static inline int64_t unpack_i64(struct unpack *u)
{
    return (int64_t)unpack_u64(u);
}

static inline double unpack_f64(struct unpack *u)
{
    uint64_t bits = unpack_u64(u);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Borrowed from the row. */
static inline struct slice unpack_slice(struct unpack *u)
{
    uint32_t n = unpack_u32(u);
    const uint8_t *p = unpack_bytes(u, n);
    return slice_of(p, p ? n : 0);
}

/* Everything was read, and nothing is left over. */
static inline bool unpack_done(const struct unpack *u)
{
    return !u->bad && u->p == u->end;
}

#endif
