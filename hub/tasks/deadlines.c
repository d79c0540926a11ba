/* Most deadlines come in their own order, as the hub's spans are the same for nearly all tasks:
 * they stand one behind the other in a ring. What would stand before its last is in a binary heap.
 */
#include "hub/tasks/deadlines.h"
#include "store/mem.h"

#include <stdlib.h>

enum { ROOM_FIRST = 1024 };

struct deadlines {
    struct deadline *ring;
    size_t at, n, cap; /* cap: a power of two */
    struct deadline *heap;
    size_t heap_n, heap_cap;
};

struct deadlines *deadlines_new(void)
{
    return xcalloc(1, sizeof(struct deadlines));
}

void deadlines_free(struct deadlines *d)
{
    if (d) {
        free(d->ring);
        free(d->heap);
        free(d);
    }
}

static struct deadline *in_ring(const struct deadlines *d, size_t i)
{
    return &d->ring[(d->at + i) & (d->cap - 1)];
}

static void ring_grow(struct deadlines *d)
{
    size_t cap = d->cap ? d->cap * 2 : ROOM_FIRST;
    struct deadline *ring = xmalloc(cap * sizeof *ring);
    for (size_t i = 0; i < d->n; i++) {
        ring[i] = *in_ring(d, i);
    }
    free(d->ring);
    d->ring = ring;
    d->cap = cap;
    d->at = 0;
}

static void ring_add(struct deadlines *d, struct deadline new)
{
    if (d->n == d->cap) {
        ring_grow(d);
    }
    *in_ring(d, d->n++) = new;
}

static void heap_up(struct deadlines *d, size_t at)
{
    struct deadline moved = d->heap[at];
    for (; at > 0 && d->heap[(at - 1) / 2].due_ms > moved.due_ms; at = (at - 1) / 2) {
        d->heap[at] = d->heap[(at - 1) / 2];
    }
    d->heap[at] = moved;
}

static void heap_down(struct deadlines *d, size_t at)
{
    struct deadline moved = d->heap[at];
    for (size_t child; (child = 2 * at + 1) < d->heap_n; at = child) {
        child += child + 1 < d->heap_n && d->heap[child + 1].due_ms < d->heap[child].due_ms;
        if (d->heap[child].due_ms >= moved.due_ms) {
            break;
        }
        d->heap[at] = d->heap[child];
    }
    d->heap[at] = moved;
}

void deadlines_add(struct deadlines *d, struct deadline new)
{
    if (d->n == 0 || in_ring(d, d->n - 1)->due_ms <= new.due_ms) {
        ring_add(d, new);
        return;
    }
    if (d->heap_n == d->heap_cap) {
        d->heap_cap = d->heap_cap ? d->heap_cap * 2 : ROOM_FIRST;
        d->heap = xrealloc(d->heap, d->heap_cap * sizeof *d->heap);
    }
    d->heap[d->heap_n++] = new;
    heap_up(d, d->heap_n - 1);
}

static bool heap_first(const struct deadlines *d)
{
    return d->heap_n && (!d->n || d->heap[0].due_ms < in_ring(d, 0)->due_ms);
}

const struct deadline *deadlines_first(const struct deadlines *d)
{
    return heap_first(d) ? &d->heap[0] : d->n ? in_ring(d, 0) : NULL;
}

void deadlines_drop_first(struct deadlines *d)
{
    if (heap_first(d)) {
        d->heap[0] = d->heap[--d->heap_n];
        if (d->heap_n) {
            heap_down(d, 0);
        }
    } else if (d->n) {
        d->at = (d->at + 1) & (d->cap - 1);
        d->n--;
    }
}

size_t deadlines_count(const struct deadlines *d)
{
    return d->n + d->heap_n;
}

void deadlines_sweep(struct deadlines *d, deadline_counts *counts, const void *ctx)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (counts(ctx, in_ring(d, i))) {
            *in_ring(d, kept++) = *in_ring(d, i);
        }
    }
    d->n = kept;
    kept = 0;
    for (size_t i = 0; i < d->heap_n; i++) {
        if (counts(ctx, &d->heap[i])) {
            d->heap[kept++] = d->heap[i];
        }
    }
    d->heap_n = kept;
    for (size_t i = kept / 2; i-- > 0;) {
        heap_down(d, i);
    }
}

void deadlines_clear(struct deadlines *d)
{
    d->n = d->heap_n = d->at = 0;
}
