/* The arena is a list of chunks; only the newest has room. A schema makes thousands of small
 * objects that die together, so none of them carries a header and freeing is a walk over a few
 * chunks. */
#include "hub/schema/memory.h"

#include <assert.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 8192 };

struct arena_chunk {
    struct arena_chunk *older;
    size_t size;
    alignas(max_align_t) unsigned char bytes[];
};

void *memory_resize(void *p, size_t n)
{
    void *q = realloc(p, n ? n : 1);
    if (!q) {
        (void)fputs("waggle: out of memory\n", stderr);
        abort();
    }
    return q;
}

static void arena_grow(struct arena *arena, size_t n)
{
    size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
    struct arena_chunk *chunk = memory_resize(NULL, sizeof *chunk + size);
    chunk->older = arena->chunks;
    chunk->size = size;
    arena->chunks = chunk;
    arena->used = 0;
}

void *arena_new(struct arena *arena, size_t count, size_t size)
{
    size_t align = alignof(max_align_t);
    assert(size == 0 || count <= (SIZE_MAX / 2) / size);
    size_t n = (count * size + align - 1) / align * align;
    if (!arena->chunks || arena->chunks->size - arena->used < n) {
        arena_grow(arena, n);
    }
    void *p = arena->chunks->bytes + arena->used;
    arena->used += n;
    memset(p, 0, n);
    return p;
}

char *arena_copy(struct arena *arena, const char *bytes, size_t n)
{
    char *copy = arena_new(arena, n + 1, 1);
    if (n) {
        memcpy(copy, bytes, n);
    }
    return copy;
}

void arena_done(struct arena *arena)
{
    while (arena->chunks) {
        struct arena_chunk *older = arena->chunks->older;
        free(arena->chunks);
        arena->chunks = older;
    }
    arena->used = 0;
}

void text_done(struct text *text)
{
    free(text->p);
    *text = (struct text){0};
}

void text_clear(struct text *text)
{
    text->n = 0;
}

static char *text_reserve(struct text *text, size_t n)
{
    if (text->cap - text->n < n) {
        size_t cap = text->cap ? text->cap : 128;
        while (cap - text->n < n) {
            cap *= 2;
        }
        text->p = memory_resize(text->p, cap);
        text->cap = cap;
    }
    return text->p + text->n;
}

void text_add(struct text *text, const char *bytes, size_t n)
{
    if (n) {
        memcpy(text_reserve(text, n), bytes, n);
        text->n += n;
    }
}

void text_str(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

void text_char(struct text *text, char c)
{
    text_add(text, &c, 1);
}

void text_vformat(struct text *text, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    assert(n >= 0);
    (void)vsnprintf(text_reserve(text, (size_t)n + 1), (size_t)n + 1, format, again);
    va_end(again);
    text->n += (size_t)n;
}

void text_format(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vformat(text, format, args);
    va_end(args);
}

const char *text_c(struct text *text)
{
    *text_reserve(text, 1) = '\0';
    return text->p;
}
