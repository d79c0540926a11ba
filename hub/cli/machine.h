/* hub/cli/machine.h: how busy this machine is, from /proc.
 *
 * Threads  one; a struct machine remembers the last reading, since CPU time is a difference.
 * Errors   a figure that cannot be read is negative.
 */
#ifndef WAGGLE_CLI_MACHINE_H
#define WAGGLE_CLI_MACHINE_H

#include <stdint.h>

struct machine {
    uint64_t busy, all; /* ticks at the last reading */
};

struct machine_load {
    double cpu;    /* 0 .. 1 since the last reading */
    double memory; /* 0 .. 1: what is not available */
    double load;   /* processes that want to run, for each core, over the last minute; at most 1 */
};

struct machine_load machine_read(struct machine *m);

/* Of /proc/stat's text, /proc/meminfo's and /proc/loadavg's. */
double machine_cpu(struct machine *m, const char *stat);
double machine_memory(const char *meminfo);
double machine_average(const char *loadavg, long cores);

#endif
