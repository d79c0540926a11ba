/* hub/cli/bench_stats.h: times of many operations, and what of them is below which.
 *
 * Owns     the times.       Threads  one.       Units  nanoseconds.
 * Limits   BENCH_TIMES_MAX times are kept, chosen evenly among all when there are more.
 */
#ifndef WAGGLE_CLI_BENCH_STATS_H
#define WAGGLE_CLI_BENCH_STATS_H

#include "store/mem.h"

enum { BENCH_TIMES_MAX = 1 << 20 };

struct bench_stats {
    int64_t *times;
    size_t n;
    uint64_t count, every; /* of `every` one is kept */
    int64_t max;
};

void bench_stats_done(struct bench_stats *s);
void bench_stats_add(struct bench_stats *s, int64_t ns);
/* The least time that at least `share` (0..1) of them do not pass; 0 when there are none. Sorts. */
int64_t bench_stats_at(struct bench_stats *s, double share);

#endif
