/* tests/load/hub.h: the hub under load, as its operator sees it from outside: started, looked at
 * through /proc, ended.
 *
 * Owns     the process and its directory; both end with this program, however it ends.
 * Threads  one.
 * Errors   meter_fail(): a hub that does not start.
 */
#ifndef WAGGLE_LOAD_HUB_H
#define WAGGLE_LOAD_HUB_H

#include "tests/bench/crowd.h"

struct hub_process {
    struct target target;
    pid_t pid;
    char dir[64];
};

/* in: the folder in which it gets its directory; in a file system of memory a sync costs nothing,
 * and what is measured is the hub alone. flags: NULL-terminated, after the usual ones. descriptors:
 * its RLIMIT_NOFILE; 0: as ours. */
void hub_start(struct hub_process *hub, const char *program, const char *in,
               const char *const *flags, uint32_t descriptors);
/* SIGTERM; its exit code, or 128 and the signal. */
int hub_stop(struct hub_process *hub);
unsigned hub_descriptors(const struct hub_process *hub); /* 0: only root may know */
/* CPU over that time, in percent of one core. */
double hub_cpu(const struct hub_process *hub, uint64_t ns);

#endif
