/* tests/load/delay.h: for how long threads that had something to do waited for a core, as the
 * kernel counts it (/proc/PID/task/TID/schedstat).
 *
 * On a machine with fewer cores than busy threads everybody waits for one, whatever the hub does;
 * this tells that from what the hub itself makes others wait for.
 *
 * Owns     the open files.        Threads  one.        Units  nanoseconds.
 * Limits   DELAY_THREADS_MAX threads; those that are there when it is opened.
 * Errors   meter_fail(): a kernel that does not count.
 */
#ifndef WAGGLE_LOAD_DELAY_H
#define WAGGLE_LOAD_DELAY_H

#include <stdint.h>
#include <sys/types.h>

enum { DELAY_THREADS_MAX = 64 };

struct delay {
    int fds[DELAY_THREADS_MAX];
    uint64_t waited[DELAY_THREADS_MAX];
    unsigned count;
};

void delay_init(struct delay *d);
void delay_done(struct delay *d);
void delay_add(struct delay *d, pid_t pid); /* all threads that the process has now */
/* All of their waiting so far, in sum: where two wait at a time, more than an answer waited. */
uint64_t delay_so_far(struct delay *d);

#endif
