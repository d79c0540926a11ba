/* hub/cli/agent_tasks.h: the tasks that an agent holds: taken when they are offered, worked on,
 * renewed in one frame, reported.
 *
 * With a command each task is one process: what was submitted on its stdin, the result on its
 * stdout (JSON as it is, anything else as a string); a code other than 0 is a failure. Without one
 * the agent gives back what it got, after the task's `sleep` seconds if it says so, and fails with
 * the words of its `fail`.
 *
 * Owns     its processes and the texts of its tasks.       Threads  one.
 * Units    milliseconds of the steady clock.
 * Limits   `slots` tasks at a time: one more that is offered is rejected.
 */
#ifndef WAGGLE_CLI_AGENT_TASKS_H
#define WAGGLE_CLI_AGENT_TASKS_H

#include "hub/cli/hub_frame.h"

struct agent_tasks;

struct agent_tasks_options {
    const char *agent_id, *command; /* command NULL: as above */
    unsigned slots;
    void (*send)(void *ctx, struct slice frame);
    void (*say)(void *ctx, const char *what, const char *task_id);
    void *ctx;
};
struct agent_tasks *agent_tasks_new(const struct agent_tasks_options *options);
void agent_tasks_free(struct agent_tasks *tasks); /* NULL is fine; kills what still runs */

/* True for frames that were about tasks: nobody else need look at them. */
bool agent_tasks_event(struct agent_tasks *tasks, const struct hub_frame *event, bool takes_more);
bool agent_tasks_answer(struct agent_tasks *tasks, const struct hub_frame *frame);

/* The connection is there again, and leases are of that length: what was not heard is said again.
 */
void agent_tasks_registered(struct agent_tasks *tasks, int64_t lease_ms);
void agent_tasks_reap(struct agent_tasks *tasks); /* after SIGCHLD */
void agent_tasks_turn(struct agent_tasks *tasks); /* what is due: renewals, sleeps that are over */
int64_t agent_tasks_next_ms(const struct agent_tasks *tasks); /* INT64_MAX: nothing */
unsigned agent_tasks_busy(const struct agent_tasks *tasks);
void agent_tasks_signal(struct agent_tasks *tasks, int signal);

#endif
