/* The end of a work: the results made one, by the hub or by an agent, and what is left cancelled.
 * The row is written as over before that, so that the ends of these tasks, which come back within
 * the same command, find it closed. */
#include "hub/swarms/run_parts.h"
#include "store/timers.h"

#include <stdlib.h>

/* ---- the end ---- */

static enum hub_rc figures_end(struct run *r)
{
    const struct work *w = &r->work;
    struct team_figures f;
    enum store_rc rc = team_figures_get(r->a->view, w->team_kind, w->team, &f);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    int64_t took = w->finished_ms - w->started_ms;
    f.in_state[WORK_MAPPING] -= f.in_state[WORK_MAPPING] > 0;
    f.in_state[w->state]++;
    f.parts_done += w->done_n;
    f.parts_failed += w->failed_n;
    f.work_ms += took;
    f.part_ms += w->part_ms;
    f.capacity_ms += work_capacity_ms(w);
    f.last_ms = w->finished_ms;
    return hub_rc_of_store(team_figures_put(r->a->txn, w->team_kind, w->team, &f));
}

/* Tasks that are left. What an agent has in hand already it may end, when the work ended well: it
 * is recorded as late. */
static enum hub_rc cancel_rest(struct run *r, bool all)
{
    enum hub_rc rc = HUB_OK;
    struct work_part part;
    for (uint32_t i = 0; rc == HUB_OK && i < r->work.division.parts_n; i++) {
        enum store_rc got = work_part_get(r->a->view, r->work.number, i, &part);
        if (got == STORE_NOT_FOUND || (got == STORE_OK && part.state != PART_OPEN)) {
            continue;
        }
        rc = hub_rc_of_store(got);
        const uint64_t tasks[] = {part.task, part.copy};
        for (size_t t = 0; rc == HUB_OK && t < 2; t++) {
            struct task task;
            if (!tasks[t] || task_get(r->a->view, tasks[t], &task) != STORE_OK) {
                continue;
            }
            if (all || !task_is_held(task.state)) {
                rc = task_cancel_inside(r->a, tasks[t], STOP_GROUP);
            }
        }
    }
    if (rc == HUB_OK && r->work.merge) {
        rc = task_cancel_inside(r->a, r->work.merge, STOP_GROUP);
    }
    return rc;
}

enum hub_rc run_finish(struct run *r, enum work_state state, enum work_stop stop, const char *why)
{
    struct work *w = &r->work;
    enum work_state before = w->state;
    w->state = state;
    w->stop = stop;
    w->finished_ms = r->a->now_ms;
    w->straggler_ms = 0;
    w->why = slice_str(why);
    enum store_rc cancelled =
        w->deadline_id
            ? timer_cancel(r->a->txn, (struct timer_ref){w->deadline_due_ms, w->deadline_id})
            : STORE_OK;
    w->deadline_id = 0;
    enum hub_rc rc = hub_rc_of_store(cancelled == STORE_NOT_FOUND ? STORE_OK : cancelled);
    if (rc == HUB_OK) {
        rc = run_keep(r, before);
    }
    if (rc == HUB_OK) {
        rc = figures_end(r);
    }
    if (rc == HUB_OK) {
        rc = run_tell_state(r);
    }
    bool all = run_rule(w)->stops || stop != WORK_STOP_ENOUGH;
    return rc == HUB_OK ? cancel_rest(r, all) : rc;
}

static bool elects(const struct run *r)
{
    return r->work.strategy == STRATEGY_ELECTION && r->work.team_kind == TEAM_SWARM;
}

/* Whom most named; 0: no member that is there. */
static uint32_t elected(struct run *r, const json_t *outcome)
{
    const char *winner = json_string_value(json_object_get(outcome, "winner"));
    uint32_t leader = 0;
    return winner && swarm_member_named(r->a->view, r->work.team, slice_str(winner), &leader)
               ? leader
               : 0;
}

static enum hub_rc lead(struct run *r, uint32_t leader)
{
    struct team_figures f;
    enum store_rc rc = team_figures_get(r->a->view, TEAM_SWARM, r->work.team, &f);
    if (rc == STORE_OK) {
        f.leader = leader;
        rc = team_figures_put(r->a->txn, TEAM_SWARM, r->work.team, &f);
    }
    return hub_rc_of_store(rc);
}

static enum hub_rc finish_with(struct run *r, const json_t *outcome, enum work_stop stop)
{
    bool whole = r->work.done_n >= require_count(&r->work.require, r->work.division.parts_n);
    uint32_t leader = elects(r) ? elected(r, outcome) : 0;
    struct buf text = {0};
    enum hub_rc rc = HUB_OK;
    if (elects(r) && !leader) {
        return run_finish(r, WORK_FAILED, WORK_STOP_MERGE, "whom most named is no member");
    }
    json_put_value(&text, outcome);
    if (text.n > WORK_RESULT_BYTES_MAX) {
        rc = run_finish(r, WORK_FAILED, WORK_STOP_MERGE, "the merged result is larger than 1 MiB");
        buf_done(&text);
        return rc;
    }
    rc = hub_rc_of_store(
        work_document_put(r->a->txn, r->work.number, WORK_OUTCOME, buf_slice(&text)));
    buf_done(&text);
    if (rc == HUB_OK && leader) {
        rc = lead(r, leader);
    }
    return rc == HUB_OK ? run_finish(r, whole ? WORK_COMPLETED : WORK_PARTIAL, stop, "") : rc;
}

/* ---- merging ---- */

/* The results of what is done, in the order of the input; NULL: they are too many bytes. */
static json_t *results_of(struct run *r)
{
    json_t *list = json_array();
    struct work_part part;
    size_t bytes = 0;
    for (uint32_t i = 0; i < r->work.division.parts_n; i++) {
        struct slice text;
        if (work_part_get(r->a->view, r->work.number, i, &part) != STORE_OK ||
            part.state != PART_DONE || part.late) {
            continue;
        }
        bytes += task_document(r->a->view, part.won, TASK_RESULT, &text) == STORE_OK ? text.n : 0;
        if (bytes > WORK_RESULTS_BYTES_MAX) {
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, run_result(r, part.won));
    }
    return list;
}

static enum hub_rc merge_by_agent(struct run *r, const json_t *results)
{
    struct part_needs buf = {0};
    struct task_spec spec = {0};
    json_t *input = run_document(r, WORK_INPUT);
    const char *name;
    json_t *data = input ? json_copy(input) : json_object();
    if (work_items(data, &name)) {
        json_object_del(data, name);
    }
    json_object_set_new(data, "results", json_copy((json_t *)(uintptr_t)results));
    json_object_set_new(data, "coordination",
                        json_pack("{s:s%, s:s}",
                                  r->work.team_kind == TEAM_NETWORK ? "execution_id" : "task_id",
                                  r->work.id.p, r->work.id.n, "phase", "reduce"));
    bool anyone = true;
    if (r->work.reducer == REDUCE_MEMBER) {
        anyone = part_needs_of(r, 0, &buf, &spec);
    } else {
        part_word(&buf.capabilities, &spec.needs.capabilities, slice_str("reduce"));
        spec.needs.capabilities.packed = buf_slice(&buf.capabilities);
    }
    enum work_state before = r->work.state;
    enum hub_rc rc = anyone ? part_submit(r, &spec, data, ITEM_MERGE, &r->work.merge)
                            : run_finish(r, WORK_FAILED, WORK_STOP_MERGE,
                                         "no member is left to merge the results");
    if (rc == HUB_OK && anyone) {
        r->work.state = WORK_REDUCING;
        r->work.straggler_ms = 0;
        rc = run_keep(r, before);
    }
    if (rc == HUB_OK && anyone) {
        rc = run_tell_state(r);
    }
    json_decref(data);
    json_decref(input);
    part_needs_done(&buf);
    return rc;
}

static json_t *merged(struct run *r, const json_t *results, const char **out_why)
{
    const struct work *w = &r->work;
    size_t n = json_array_size(results);
    json_t **list = xcalloc(n + 1, sizeof(json_t *));
    char *field = w->field.n ? xstrndup(w->field.p, w->field.n) : NULL;
    char *by = w->by.n ? xstrndup(w->by.p, w->by.n) : NULL;
    for (size_t i = 0; i < n; i++) {
        list[i] = json_array_get(results, i);
    }
    struct reduce_rule rule = {.reducer = w->reducer, .field = field, .by = by, .k = w->top};
    json_t *out = reduce(&rule, list, n, out_why);
    free(field);
    free(by);
    free(list);
    return out;
}

enum hub_rc run_merge(struct run *r, enum work_stop stop)
{
    json_t *results = results_of(r), *outcome = NULL;
    const char *why = "";
    enum hub_rc rc;
    bool by_agent = r->work.reducer == REDUCE_AGENT || r->work.reducer == REDUCE_MEMBER;
    if (!results) {
        rc = run_finish(r, WORK_FAILED, WORK_STOP_MERGE, "the results are larger than 8 MiB");
    } else if (by_agent && stop != WORK_STOP_TIMEOUT) {
        rc = merge_by_agent(r, results);
    } else if (by_agent) {
        rc = run_finish(r, WORK_FAILED, stop, "there was no time left to merge");
    } else if ((outcome = merged(r, results, &why))) {
        rc = finish_with(r, outcome, stop);
    } else {
        rc = run_finish(r, WORK_FAILED, WORK_STOP_MERGE, why);
    }
    json_decref(outcome);
    json_decref(results);
    return rc;
}

enum hub_rc run_merge_ended(struct run *r, const struct task *task)
{
    if (r->work.state != WORK_REDUCING || r->work.merge != task->number) {
        return HUB_OK;
    }
    if (task->state != TASK_COMPLETED) {
        return run_finish(r, WORK_FAILED, WORK_STOP_MERGE, "the task that merges did not complete");
    }
    bool enough = r->work.done_n >= require_count(&r->work.require, r->work.division.parts_n);
    json_t *outcome = run_result(r, task->number);
    enum hub_rc rc = finish_with(r, outcome, enough ? WORK_STOP_ENOUGH : WORK_STOP_PARTS);
    json_decref(outcome);
    return rc;
}
