/* Agents are no longer among those who may do a task: they leave its list, and others are asked. */
#include "hub/tasks/inside.h"

static struct words words_left(const struct words *words, task_forgoes *forgoes, void *ctx,
                               struct buf *packed)
{
    struct words out = {0};
    struct slice rest = words->packed, word;
    while (words_next(&rest, &word)) {
        if (!forgoes(ctx, word)) {
            pack_slice(packed, word);
            out.n++;
        }
    }
    out.packed = buf_slice(packed);
    return out;
}

/* A queue finds what waits by its needs, so it is not there while they change. */
static enum hub_rc restrict_to(struct apply *a, const struct task *task, const struct words *agents)
{
    struct tasks *t = tasks_of(a);
    struct live *live = live_find(t, task->number);
    struct task after = *task;
    after.needs.agents = *agents;
    if (live && live->item.waits) {
        queue_remove(tasks_app(t, live->app)->queue, &live->item);
    }
    live_rekind(t, &after);
    return task_change(a, task, &after, "restricted", slice_of(NULL, 0));
}

enum hub_rc task_forgo_inside(struct apply *a, uint64_t number, task_forgoes *forgoes, void *ctx)
{
    struct task task;
    struct buf packed = {0};
    enum hub_rc rc = task_take(a, number, &task);
    if (rc != HUB_OK || task_is_over(task.state) || task.state == TASK_CANCELLING ||
        task.needs.agents.n == 0) {
        return rc;
    }
    struct words left = words_left(&task.needs.agents, forgoes, ctx, &packed);
    if (left.n == 0 && !task_is_held(task.state)) {
        rc = task_cancel_inside(a, number, STOP_GROUP);
    } else if (left.n && left.n < task.needs.agents.n) {
        rc = restrict_to(a, &task, &left);
    }
    buf_done(&packed);
    return rc;
}
