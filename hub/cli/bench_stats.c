#include "hub/cli/bench_stats.h"

#include <stdlib.h>

void bench_stats_done(struct bench_stats *s)
{
    free(s->times);
    *s = (struct bench_stats){0};
}

/* Room runs out: every other one is as good a sample. */
static void thin_out(struct bench_stats *s)
{
    for (size_t i = 0; i < s->n / 2; i++) {
        s->times[i] = s->times[2 * i];
    }
    s->n /= 2;
    s->every *= 2;
}

void bench_stats_add(struct bench_stats *s, int64_t ns)
{
    if (!s->times) {
        s->times = xmalloc(BENCH_TIMES_MAX * sizeof *s->times);
        s->every = 1;
    }
    s->max = ns > s->max ? ns : s->max;
    if (s->count++ % s->every == 0) {
        if (s->n == BENCH_TIMES_MAX) {
            thin_out(s);
        }
        s->times[s->n++] = ns;
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t bench_stats_at(struct bench_stats *s, double share)
{
    if (s->n == 0) {
        return 0;
    }
    qsort(s->times, s->n, sizeof *s->times, compare);
    double place = share * (double)s->n;
    size_t at = (size_t)place;
    at -= at > 0 && (double)at >= place; /* the n-th of n is the last, not past it */
    return s->times[at < s->n ? at : s->n - 1];
}
