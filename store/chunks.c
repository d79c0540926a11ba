/* Bytes of a batch: taken one behind the other, all given back at once. They lie in chunks that do
 * not move, so that what store_get() lent stays where it is. */
#include "store/env.h"

#include <stdlib.h>

#include "store/mem.h"

enum {
    CHUNK_BYTES = 256 << 10,
    CHUNKS_KEPT = 16 /* between batches */
};

struct chunk {
    uint8_t *p;
    size_t n, cap;
};

static void chunk_add(struct chunks *chunks, size_t bytes)
{
    chunks->list = xrealloc(chunks->list, (chunks->n + 1) * sizeof *chunks->list);
    struct chunk *chunk = &chunks->list[chunks->n++];
    *chunk = (struct chunk){.p = xmalloc(bytes), .cap = bytes};
}

uint8_t *chunks_take(struct chunks *chunks, size_t n)
{
    while (chunks->at < chunks->n && chunks->list[chunks->at].cap - chunks->list[chunks->at].n < n)
        chunks->at++;
    if (chunks->at == chunks->n)
        chunk_add(chunks, n > CHUNK_BYTES ? n : CHUNK_BYTES);
    struct chunk *chunk = &chunks->list[chunks->at];
    chunk->n += n;
    return chunk->p + chunk->n - n;
}

/* A batch in a hundred is a large one: its room is given back. */
void chunks_clear(struct chunks *chunks)
{
    while (chunks->n > CHUNKS_KEPT ||
           (chunks->n > 0 && chunks->list[chunks->n - 1].cap > CHUNK_BYTES))
        free(chunks->list[--chunks->n].p);
    for (size_t i = 0; i < chunks->n; i++)
        chunks->list[i].n = 0;
    chunks->at = 0;
}

void chunks_done(struct chunks *chunks)
{
    for (size_t i = 0; i < chunks->n; i++)
        free(chunks->list[i].p);
    free(chunks->list);
    *chunks = (struct chunks){0};
}
