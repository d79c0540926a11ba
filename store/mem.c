#include "store/mem.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *must(void *p)
{
    if (!p) {
        fputs("waggle: out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xmalloc(size_t n)
{
    return must(malloc(n ? n : 1));
}

void *xcalloc(size_t count, size_t n)
{
    return must(calloc(count ? count : 1, n ? n : 1));
}

void *xrealloc(void *p, size_t n)
{
    return must(realloc(p, n ? n : 1));
}

char *xstrdup(const char *text)
{
    return xstrndup(text, strlen(text));
}

char *xstrndup(const void *text, size_t n)
{
    char *copy = xmalloc(n + 1);
    if (n) {
        memcpy(copy, text, n);
    }
    copy[n] = '\0';
    return copy;
}

void buf_done(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

void buf_grow(struct buf *b, size_t n)
{
    size_t cap = b->cap ? b->cap : 64;
    while (cap - b->n < n) {
        cap *= 2;
    }
    b->p = xrealloc(b->p, cap);
    b->cap = cap;
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(n >= 0);
    vsnprintf((char *)buf_reserve(b, (size_t)n + 1), (size_t)n + 1, format, again);
    va_end(again);
    b->n += (size_t)n;
}

void buf_drop_front(struct buf *b, size_t n)
{
    assert(n <= b->n);
    if (n && n < b->n) {
        memmove(b->p, b->p + n, b->n - n);
    }
    b->n -= n;
}

size_t u64_digits(uint8_t *out, uint64_t v)
{
    uint8_t reversed[20];
    size_t n = 0;
    do {
        reversed[n++] = (uint8_t)('0' + v % 10);
        v /= 10;
    } while (v);
    for (size_t i = 0; i < n; i++) {
        out[i] = reversed[n - 1 - i];
    }
    return n;
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    b->n += u64_digits(buf_reserve(b, 20), v);
}
