/* hub/cli/work.h: what an agent does with what comes for it: a command for each event.
 *
 * The command runs by `sh -c` with the event's frame on its stdin and WAGGLE_AGENT_ID,
 * WAGGLE_CHANNEL, WAGGLE_EVENT and WAGGLE_OFFSET in its environment; at most `slots` at a time, the
 * rest wait in order.
 *
 * Owns     copies of events that wait, and the processes.       Threads  one.
 * Limits   WORK_WAITING_MAX events wait; one more is refused.
 */
#ifndef WAGGLE_CLI_WORK_H
#define WAGGLE_CLI_WORK_H

#include "hub/cli/hub_frame.h"

#include <sys/types.h>

enum { WORK_WAITING_MAX = 1000, WORK_SLOTS_MAX = 256 };

struct work;

struct work *work_new(const char *command, const char *agent_id, unsigned slots);
void work_free(struct work *w);                                 /* kills what still runs */
bool work_offer(struct work *w, const struct hub_frame *event); /* false: refused, too many wait */
unsigned work_busy(const struct work *w);
size_t work_waiting(const struct work *w);
/* After SIGCHLD: takes one process that has ended; false when there is none. status as of
 * waitpid(). */
bool work_reap(struct work *w, int *out_status);
void work_start(struct work *w);              /* what waits, as far as there are free slots */
void work_forget(struct work *w);             /* what waits, for a stop */
void work_signal(struct work *w, int signal); /* to every process and its children */

/* Also for work of another kind. The text as a file in memory (a pipe would wait for a reader that
 * may not come); -1: none is to be had. */
int work_memory_file(struct slice text);
/* `sh -c command` in a process group of its own, with these names in front of our environment; out
 * -1: our own stdout. */
bool work_spawn(const char *command, const char *const (*pairs)[2], size_t pairs_n, int in, int out,
                pid_t *out_pid);

#endif
