/* store/mem.h: allocation that does not fail, and a buffer that grows.
 *
 * Small allocations end the program when memory is out: what was answered is on disk, so a crash
 * loses nothing (c-style.md, "Ownership and errors"). A size that a peer chooses is bounded by the
 * caller first.
 * Threads  any; a buf belongs to one thread at a time.       Units  bytes.
 */
#ifndef WAGGLE_STORE_MEM_H
#define WAGGLE_STORE_MEM_H

#include "store/bytes.h"

#include <assert.h>

void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t n); /* zeroed */
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *text);
char *xstrndup(const void *text, size_t n); /* adds the terminating NUL */

/* All zero is an empty buffer. */
struct buf {
    uint8_t *p;
    size_t n, cap;
};

void buf_done(struct buf *b);           /* frees the bytes; b is empty again */
void buf_grow(struct buf *b, size_t n); /* for buf_reserve: there is no room for n more */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_drop_front(struct buf *b, size_t n); /* forgets the first n bytes */
void buf_add_u64(struct buf *b, uint64_t v);  /* decimal digits */

/* Room for n more at the end; b->n is not moved. Here, with what follows, as rows, events and
 * answers are put together of very many very short pieces. */
static inline uint8_t *buf_reserve(struct buf *b, size_t n)
{
    if (!b->p || b->cap - b->n < n) {
        buf_grow(b, n);
        assert(b->p);
    }
    return b->p + b->n;
}

static inline void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n) {
        memcpy(buf_reserve(b, n), p, n);
        b->n += n;
    }
}

static inline void buf_add_slice(struct buf *b, struct slice s)
{
    buf_add(b, s.p, s.n);
}

static inline void buf_add_str(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

static inline void buf_clear(struct buf *b)
{
    b->n = 0;
}

static inline struct slice buf_slice(const struct buf *b)
{
    return slice_of(b->p, b->n);
}

/* Writes v in decimal at out (at most 20 bytes, no NUL); returns the count of digits. */
size_t u64_digits(uint8_t *out, uint64_t v);

#endif
