/* hub/tasks/pauses.h: queues that stand still: what waits at a paused priority is offered to
 * nobody, and keeps its place and its time limits. Accepted work goes on.
 *
 * Rows     TABLE_QUEUE: app (4) -> the priorities that are paused, a bit each.
 * Threads  pauses_load, apply functions: the writer. pauses_of: any view.
 */
#ifndef WAGGLE_HUB_TASKS_PAUSES_H
#define WAGGLE_HUB_TASKS_PAUSES_H

#include "hub/core/apply.h"
#include "hub/core/why.h"
#include "hub/tasks/task.h"

struct tasks;

enum { PAUSE_ALL = (1 << TASK_PRIORITIES) - 1 };

/* Of the tasks' load(). */
enum hub_rc pauses_load(struct tasks *tasks, struct store_view *view);
/* A bit for each paused priority; none when there is no row. */
enum store_rc pauses_of(struct store_view *view, uint32_t app, uint8_t *out);

struct pause_change {
    uint8_t priorities;
    bool pause;        /* else resume */
    struct slice said; /* the queue in the caller's words */
    struct why why;
};
void pause_change_put(struct buf *b, const struct pause_change *change);
struct pause_changed {
    int64_t at_ms;
    uint8_t paused; /* all that are now */
    struct slice said;
};
bool pause_changed_get(struct slice reply, struct pause_changed *out);
extern const struct command_kind command_queue_pause;

/* "paused":["low"], one member of the object that is being written. */
struct json_out;
void put_paused(struct json_out *o, uint8_t paused);

#endif
