/* A member leaves its swarm: what its agent holds for it is handed back, if it says so, and nothing
 * more comes to it. */
#include "hub/swarms/module.h"
#include "hub/swarms/run.h"

/* ---- what it holds ---- */

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

/* ---- what it might have got ---- */

struct membership {
    uint32_t swarm;
    bool found;
};

static bool in_swarm(void *ctx, const struct member *m)
{
    struct membership *s = ctx;
    s->found = m->swarm == s->swarm;
    return !s->found;
}

/* An agent may be a member more than once, in several roles. */
static bool is_member_still(struct store_view *view, uint32_t app, uint32_t swarm,
                            struct slice agent)
{
    struct membership s = {.swarm = swarm};
    (void)members_of_agent(view, app, agent, 0, in_swarm, &s);
    return s.found;
}

bool swarm_member_has_left(struct store_view *view, uint32_t app, struct slice member)
{
    struct member m;
    return member_find(view, app, member, &m) == STORE_OK && m.state == MEMBER_LEFT &&
           !is_member_still(view, app, m.swarm, m.agent);
}

static enum hub_rc forgo_parts(struct apply *a, uint64_t number, struct slice agent)
{
    struct work work;
    enum hub_rc rc = hub_rc_of_store(work_get(a->view, number, &work));
    uint32_t parts_n = rc == HUB_OK ? work.division.parts_n : 0;
    uint64_t merge = rc == HUB_OK ? work.merge : 0;
    for (uint32_t i = 0; rc == HUB_OK && i < parts_n; i++) {
        struct work_part part;
        if (work_part_get(a->view, number, i, &part) != STORE_OK || part.state != PART_OPEN) {
            continue;
        }
        /* The copy first: a part fails when the last of the two has. */
        rc = part.copy ? task_forgo_inside(a, part.copy, agent) : HUB_OK;
        rc = rc == HUB_OK ? task_forgo_inside(a, part.task, agent) : rc;
    }
    return rc == HUB_OK && merge ? task_forgo_inside(a, merge, agent) : rc;
}

static bool take_number(void *ctx, const struct work *work)
{
    pack_u64(ctx, work->number);
    return true;
}

enum hub_rc works_member_left(struct apply *a, uint32_t swarm, struct slice agent)
{
    struct buf numbers = {0};
    enum hub_rc rc = HUB_OK;
    if (!is_member_still(a->view, a->app, swarm, agent)) {
        rc = hub_rc_of_store(
            works_each(a->view, a->app, TEAM_SWARM, swarm, true, 0, take_number, &numbers));
    }
    struct unpack u = unpack_of(buf_slice(&numbers));
    while (rc == HUB_OK && u.p < u.end) {
        rc = forgo_parts(a, unpack_u64(&u), agent);
    }
    buf_done(&numbers);
    return rc;
}
