#include "hub/swarms/module.h"
#include "hub/swarms/run.h"

/* Whether somebody else may do a part of it. */
static bool is_shared(const struct work *work)
{
    return !strategy_rule(work->strategy)->bound && work->division.members_n > 1;
}

static enum hub_rc hand_back(struct apply *a, uint32_t swarm, uint64_t number)
{
    struct task task;
    struct work work;
    enum hub_rc rc = hub_rc_of_store(task_get(a->view, number, &task));
    if (rc != HUB_OK || task.group.module != MODULE_SWARMS + 1) {
        return rc;
    }
    rc = hub_rc_of_store(work_get(a->view, task.group.id, &work));
    if (rc != HUB_OK || work.team_kind != TEAM_SWARM || work.team != swarm) {
        return rc;
    }
    return is_shared(&work) ? task_return_inside(a, number)
                            : task_cancel_inside(a, number, STOP_GROUP);
}

enum hub_rc works_hand_back(struct apply *a, uint32_t swarm, uint32_t agent)
{
    struct buf numbers = {0};
    tasks_held_put(writer_module(a->writer, MODULE_TASKS), agent, &numbers);
    struct unpack u = unpack_of(buf_slice(&numbers));
    enum hub_rc rc = HUB_OK;
    while (rc == HUB_OK && u.p < u.end) {
        rc = hand_back(a, swarm, unpack_u64(&u));
    }
    buf_done(&numbers);
    return rc;
}
