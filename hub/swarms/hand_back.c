/* A member leaves its swarm: what its agent holds for it is handed back, if it says so, and nothing
 * more comes to it. */
#include "hub/swarms/module.h"
#include "hub/swarms/run.h"

#include <stdlib.h>

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

/* Agents of a work's members that have left, in order. */
struct gone {
    struct buf texts; /* as writes follow */
    struct slice *names;
    uint32_t n;
};

static int by_bytes(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static void gone_gather(struct gone *g, struct apply *a, const struct work *work)
{
    struct slice rest = slice_of(NULL, 0), word;
    struct work_member m;
    (void)work_document(a->view, work->number, WORK_MEMBERS, &rest);
    while (work_member_next(&rest, &m)) {
        if (m.agent.n && swarm_member_has_left(a->view, work->app, m.id)) {
            pack_slice(&g->texts, m.agent);
            g->n++;
        }
    }
    g->names = xcalloc((size_t)g->n + 1, sizeof *g->names);
    rest = buf_slice(&g->texts);
    for (uint32_t i = 0; i < g->n && words_next(&rest, &word); i++) {
        g->names[i] = word;
    }
    qsort(g->names, g->n, sizeof *g->names, by_bytes);
}

static bool is_gone(void *ctx, struct slice agent)
{
    const struct gone *g = ctx;
    return bsearch(&agent, g->names, g->n, sizeof *g->names, by_bytes) != NULL;
}

static enum hub_rc forgo_parts(struct apply *a, uint64_t number)
{
    struct gone gone = {0};
    struct work work;
    enum hub_rc rc = hub_rc_of_store(work_get(a->view, number, &work));
    uint32_t parts_n = rc == HUB_OK ? work.division.parts_n : 0;
    uint64_t merge = rc == HUB_OK ? work.merge : 0;
    if (rc == HUB_OK) {
        gone_gather(&gone, a, &work);
    }
    for (uint32_t i = 0; rc == HUB_OK && gone.n && i < parts_n; i++) {
        struct work_part part;
        if (work_part_get(a->view, number, i, &part) != STORE_OK || part.state != PART_OPEN) {
            continue;
        }
        /* The copy first: a part fails when the last of the two has. */
        rc = part.copy ? task_forgo_inside(a, part.copy, is_gone, &gone) : HUB_OK;
        rc = rc == HUB_OK ? task_forgo_inside(a, part.task, is_gone, &gone) : rc;
    }
    if (rc == HUB_OK && gone.n && merge) {
        rc = task_forgo_inside(a, merge, is_gone, &gone);
    }
    free(gone.names);
    buf_done(&gone.texts);
    return rc;
}

static bool take_number(void *ctx, const struct work *work)
{
    pack_u64(ctx, work->number);
    return true;
}

enum hub_rc works_members_left(struct apply *a, uint32_t swarm)
{
    struct buf numbers = {0};
    enum hub_rc rc = hub_rc_of_store(
        works_each(a->view, a->app, TEAM_SWARM, swarm, true, 0, take_number, &numbers));
    struct unpack u = unpack_of(buf_slice(&numbers));
    while (rc == HUB_OK && u.p < u.end) {
        rc = forgo_parts(a, unpack_u64(&u));
    }
    buf_done(&numbers);
    return rc;
}
