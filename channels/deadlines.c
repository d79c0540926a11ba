#include "channels/deadlines.h"

#include <stdlib.h>

enum { DEADLINES_FIRST = 64 };

void deadlines_done(struct deadlines *d)
{
    free(d->due_ms);
    free(d->places);
    free(d->heap);
    *d = (struct deadlines){0};
}

static void place(struct deadlines *d, uint32_t at, uint32_t number)
{
    d->heap[at] = number;
    d->places[number] = at;
}

static void up(struct deadlines *d, uint32_t at)
{
    uint32_t number = d->heap[at];
    for (; at > 0 && d->due_ms[d->heap[(at - 1) / 2]] > d->due_ms[number]; at = (at - 1) / 2) {
        place(d, at, d->heap[(at - 1) / 2]);
    }
    place(d, at, number);
}

static void down(struct deadlines *d, uint32_t at)
{
    uint32_t number = d->heap[at];
    for (uint32_t child; (child = 2 * at + 1) < d->n; at = child) {
        if (child + 1 < d->n && d->due_ms[d->heap[child + 1]] < d->due_ms[d->heap[child]]) {
            child++;
        }
        if (d->due_ms[number] <= d->due_ms[d->heap[child]]) {
            break;
        }
        place(d, at, d->heap[child]);
    }
    place(d, at, number);
}

static void know(struct deadlines *d, uint32_t number)
{
    if (number >= d->cap) {
        d->cap = d->cap ? d->cap : DEADLINES_FIRST;
        while (number >= d->cap) {
            d->cap *= 2;
        }
        d->due_ms = xrealloc(d->due_ms, d->cap * sizeof *d->due_ms);
        d->places = xrealloc(d->places, d->cap * sizeof *d->places);
        d->heap = xrealloc(d->heap, d->cap * sizeof *d->heap);
    }
    while (d->n <= number) {
        d->due_ms[d->n] = INT64_MAX;
        place(d, d->n, d->n);
        d->n++;
    }
}

void deadlines_set(struct deadlines *d, uint32_t number, int64_t due_ms)
{
    know(d, number);
    bool earlier = due_ms < d->due_ms[number];
    d->due_ms[number] = due_ms;
    if (earlier) {
        up(d, d->places[number]);
    } else {
        down(d, d->places[number]);
    }
}

int64_t deadlines_next(const struct deadlines *d, uint32_t *out_number)
{
    if (d->n == 0) {
        return INT64_MAX;
    }
    *out_number = d->heap[0];
    return d->due_ms[d->heap[0]];
}
