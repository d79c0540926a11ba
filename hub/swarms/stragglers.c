/* Parts that take much longer than the others are given to a second agent; whichever is done first
 * counts. */
#include "hub/swarms/run_parts.h"
#include "store/timers.h"

#include <stdlib.h>

struct times {
    int64_t *took;
    uint32_t n;
};

static struct times times_of(struct run *r)
{
    struct times t = {.took = xcalloc(r->work.division.parts_n, sizeof(int64_t))};
    struct work_part part;
    for (uint32_t i = 0; i < r->work.division.parts_n; i++) {
        if (work_part_get(r->a->view, r->work.number, i, &part) == STORE_OK &&
            part.state == PART_DONE) {
            t.took[t.n++] = part.took_ms;
        }
    }
    return t;
}

static enum hub_rc look_later(struct run *r, int64_t due_ms)
{
    uint8_t body[8];
    struct timer_ref ref;
    be64_put(body, r->work.number);
    r->work.straggler_ms = due_ms;
    return hub_rc_of_store(
        timer_add(r->a->txn, due_ms, TIMER_WORK_STRAGGLER, slice_of(body, sizeof body), &ref));
}

/* Since when the part that was taken first, of those that are not done, is under way. */
static int64_t oldest_start_ms(struct run *r)
{
    int64_t oldest = r->a->now_ms;
    for (uint32_t i = 0; i < r->work.division.parts_n; i++) {
        struct work_part part;
        struct task task;
        if (work_part_get(r->a->view, r->work.number, i, &part) == STORE_OK &&
            part.state == PART_OPEN && task_get(r->a->view, part.task, &task) == STORE_OK &&
            task.state == TASK_RUNNING && task.started_ms < oldest) {
            oldest = task.started_ms;
        }
    }
    return oldest;
}

/* Once half of the parts are in, the others are looked at when the first of them takes too long. A
 * part that only its member may do is not copied. */
enum hub_rc run_watch_stragglers(struct run *r)
{
    struct work *w = &r->work;
    if (w->straggler_ms || run_rule(w)->bound || run_rule(w)->in_turn ||
        w->division.members_n < 2 || w->done_n * 2 < w->division.parts_n ||
        w->done_n == w->division.parts_n) {
        return HUB_OK;
    }
    struct times t = times_of(r);
    int64_t after = straggler_after_ms(t.took, t.n, w->division.parts_n);
    free(t.took);
    int64_t due_ms = after ? oldest_start_ms(r) + after : 0;
    return after ? look_later(r, due_ms > r->a->now_ms ? due_ms : r->a->now_ms) : HUB_OK;
}

/* Another member than the one that is slow, with room. */
static bool someone_is_free(struct run *r, uint32_t but_agent)
{
    struct slice rest = slice_of(NULL, 0);
    struct work_member m;
    void *tasks = writer_module(r->a->writer, MODULE_TASKS);
    (void)work_document(r->a->view, r->work.number, WORK_MEMBERS, &rest);
    while (work_member_next(&rest, &m)) {
        struct agent agent;
        if (m.agent_number && m.agent_number != but_agent &&
            agent_get(r->a->view, m.agent_number, &agent) == STORE_OK &&
            agent.status == AGENT_ACTIVE &&
            (r->work.team_kind != TEAM_SWARM ||
             !swarm_member_has_left(r->a->view, r->work.app, m.id)) &&
            tasks_held_by(tasks, m.agent_number) < agent.slots) {
            return true;
        }
    }
    return false;
}

static enum hub_rc copy_part(struct run *r, const json_t *input, uint32_t number,
                             struct work_part *part, const struct agent *slow)
{
    struct part_needs buf = {0};
    struct task_spec spec = {0};
    json_t *data = part_data(r, input, number, NULL);
    (void)part_needs_of(r, part->member, &buf, &spec); /* someone_is_free() */
    spec.prefer = (struct words){0};
    part_word(&buf.avoid, &spec.needs.avoid, slow->id);
    spec.needs.avoid.packed = buf_slice(&buf.avoid);
    enum hub_rc rc = part_submit(r, &spec, data, number << 1 | ITEM_COPY, &part->copy);
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(work_part_put(r->a->txn, r->work.number, number, part));
    }
    struct team_figures f;
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(team_figures_get(r->a->view, r->work.team_kind, r->work.team, &f));
    }
    if (rc == HUB_OK) {
        f.copies++;
        rc = hub_rc_of_store(team_figures_put(r->a->txn, r->work.team_kind, r->work.team, &f));
    }
    json_decref(data);
    part_needs_done(&buf);
    return rc;
}

static enum hub_rc copy_slow_parts(struct run *r, int64_t after_ms)
{
    json_t *input = run_document(r, WORK_INPUT);
    enum hub_rc rc = HUB_OK;
    for (uint32_t i = 0; rc == HUB_OK && i < r->work.division.parts_n; i++) {
        struct work_part part;
        struct task task;
        struct agent agent;
        if (work_part_get(r->a->view, r->work.number, i, &part) != STORE_OK ||
            part.state != PART_OPEN || part.copy ||
            task_get(r->a->view, part.task, &task) != STORE_OK || task.state != TASK_RUNNING ||
            r->a->now_ms - task.started_ms < after_ms ||
            agent_get(r->a->view, task.agent, &agent) != STORE_OK ||
            !someone_is_free(r, task.agent)) {
            continue;
        }
        char id[AGENT_ID_BYTES_MAX];
        memcpy(id, agent.id.p, agent.id.n);
        agent.id = slice_of(id, agent.id.n); /* writes follow */
        rc = copy_part(r, input, i, &part, &agent);
    }
    json_decref(input);
    return rc;
}

static enum hub_rc straggler_apply(struct apply *a, struct command *command, struct slice body)
{
    struct run r = {.a = a};
    (void)command;
    enum hub_rc rc = run_hold_timer(&r, body);
    if (rc == HUB_OK && r.work.state == WORK_MAPPING && r.work.straggler_ms) {
        struct times t = times_of(&r);
        int64_t after = straggler_after_ms(t.took, t.n, r.work.division.parts_n);
        free(t.took);
        if (after) {
            rc = copy_slow_parts(&r, after);
        }
        if (rc == HUB_OK) {
            rc = look_later(&r, a->now_ms + (after > 1000 ? after : 1000));
        }
        if (rc == HUB_OK) {
            rc = run_keep(&r, r.work.state);
        }
    }
    buf_done(&r.bytes);
    return rc == HUB_NOT_FOUND ? HUB_OK : rc;
}

const struct command_kind command_work_straggler = {
    .name = "work.straggler", .apply = straggler_apply, .module = MODULE_SWARMS};
