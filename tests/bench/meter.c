/* CPU of another process comes from its POSIX CPU-time clock: the scheduler's own sum of run time
 * in nanoseconds, where /proc/PID/stat counts ticks of 10 ms.
 *
 * A spread is a histogram of 32 linear steps in each power of two: adding is a shift and an
 * increment, so that counting a latency does not disturb what is counted.
 */
#define _GNU_SOURCE
#include "tests/bench/meter.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

void meter_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "bench: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) != 0)
        meter_fail("clock: %s", strerror(errno));
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t meter_now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t meter_cpu(pid_t pid)
{
    clockid_t clock;
    if (clock_getcpuclockid(pid, &clock) != 0)
        meter_fail("no process %d", (int)pid);
    return clock_ns(clock);
}

void meter_descriptors_max(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* connecting tells when it was too few */
}

struct memory meter_memory(pid_t pid)
{
    char path[64], line[128];
    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        meter_fail("%s: %s", path, strerror(errno));
    struct memory m = {0};
    while (fgets(line, sizeof line, file) != NULL) {
        unsigned long kib;
        if (sscanf(line, "Rss: %lu kB", &kib) == 1)
            m.rss = (uint64_t)kib * 1024;
        else if (sscanf(line, "Anonymous: %lu kB", &kib) == 1)
            m.anon = (uint64_t)kib * 1024;
    }
    (void)fclose(file);
    return m;
}

/* Values below 32 have a slot each; above, the five bits after the leading one choose. */
static size_t spread_slot(uint64_t ns)
{
    if (ns < (1U << METER_SUB_BITS))
        return (size_t)ns;
    size_t octave = 63U - (size_t)__builtin_clzll(ns) - METER_SUB_BITS;
    size_t slot = ((octave + 1) << METER_SUB_BITS) + (size_t)((ns >> octave) & 31U);
    return slot < METER_SLOTS ? slot : METER_SLOTS - 1;
}

static uint64_t spread_slot_end(size_t slot)
{
    size_t octave = slot >> METER_SUB_BITS;
    uint64_t step = slot & 31U;
    return octave == 0 ? step : (step + 32U + 1U) << (octave - 1);
}

void spread_add(struct spread *s, uint64_t ns)
{
    s->slots[spread_slot(ns)]++;
    s->count++;
    if (ns > s->max)
        s->max = ns;
}

uint64_t spread_at(const struct spread *s, double share)
{
    uint64_t wanted = (uint64_t)((double)s->count * share), seen = 0;
    for (size_t i = 0; i < METER_SLOTS; i++) {
        seen += s->slots[i];
        if (seen > wanted)
            return spread_slot_end(i) < s->max ? spread_slot_end(i) : s->max;
    }
    return s->max;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double meter_median(double *values, size_t n)
{
    if (n == 0)
        return 0;
    qsort(values, n, sizeof *values, ascending);
    return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}
