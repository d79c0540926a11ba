/* tests/bench/meter.h: what a benchmark reads: clocks, another process's CPU and memory, the
 * spread of many latencies.
 *
 * Owns     nothing but the arrays of a spread.
 * Threads  none; each program of the benchmark has one.
 * Units    nanoseconds; bytes for memory.
 * Limits   a spread covers 1 ns to 1,000 s in steps of at most 3 %.
 * Errors   a program that cannot measure says why and ends: meter_fail() exits 1. A figure that is
 *          wrong is worse than none.
 */
#ifndef WAGGLE_BENCH_METER_H
#define WAGGLE_BENCH_METER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { METER_SUB_BITS = 5, METER_OCTAVES = 40, METER_SLOTS = METER_OCTAVES << METER_SUB_BITS };

static const uint64_t NS_PER_US = 1000, NS_PER_MS = 1000000, NS_PER_S = 1000000000;

_Noreturn void meter_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

uint64_t meter_now(void);         /* monotonic */
uint64_t meter_cpu(pid_t pid);    /* user and system time of all threads of a process so far */
void meter_descriptors_max(void); /* raises RLIMIT_NOFILE as far as allowed */

struct memory {
    uint64_t rss;  /* all pages that are resident */
    uint64_t anon; /* of these, the process's own: no file behind them */
};
struct memory meter_memory(pid_t pid);

/* All zero is an empty spread. */
struct spread {
    uint64_t count, max;
    uint32_t slots[METER_SLOTS];
};
void spread_add(struct spread *s, uint64_t ns);
uint64_t spread_at(const struct spread *s, double share); /* 0.99: the p99; 0 when empty */

double meter_median(double *values, size_t n); /* sorts values */

#endif
