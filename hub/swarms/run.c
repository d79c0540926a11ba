/* The end of a task is the only thing that drives a work on, besides its deadline: a part is done
 * or failed, then enough is in, or nothing is left to wait for. */
#include "channels/json_out.h"
#include "hub/swarms/run_parts.h"

#define PART_UNKNOWN UINT32_MAX

/* ---- small helpers ---- */

enum hub_rc run_hold(struct run *r, uint64_t number)
{
    r->begun = true;
    return hub_rc_of_store(work_hold(r->a->view, number, &r->bytes, &r->work));
}

enum hub_rc run_hold_timer(struct run *r, struct slice body)
{
    enum hub_rc rc = body.n == 8 ? run_hold(r, be64_get(body.p)) : HUB_BAD_REQUEST;
    if (rc == HUB_OK) {
        r->a->app = r->work.app;
    }
    return rc;
}

enum hub_rc run_keep(struct run *r, enum work_state before)
{
    return hub_rc_of_store(work_put(r->a->txn, &r->work, before));
}

json_t *run_document(struct run *r, enum work_document kind)
{
    struct slice text;
    return work_document(r->a->view, r->work.number, kind, &text) == STORE_OK
               ? json_loadb((const char *)text.p, text.n, JSON_DECODE_ANY, NULL)
               : NULL;
}

json_t *run_result(struct run *r, uint64_t task)
{
    struct slice text;
    json_t *result = NULL;
    if (task_document(r->a->view, task, TASK_RESULT, &text) == STORE_OK) {
        result = json_loadb((const char *)text.p, text.n, JSON_DECODE_ANY, NULL);
    }
    return result ? result : json_null();
}

/* ---- what the channels are told ---- */

static enum hub_rc tell(struct run *r, const char *event, uint32_t part, const char *part_state)
{
    const struct work *w = &r->work;
    struct buf data = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    json_key(&o, w->team_kind == TEAM_NETWORK ? "execution_id" : "task_id");
    json_text(&o, w->id);
    json_key(&o, "strategy");
    json_text(&o, w->strategy_name);
    json_key(&o, "status");
    json_str(&o, work_status_name(w->state));
    json_key(&o, "state");
    json_str(&o, work_state_name(w->state));
    if (part != PART_UNKNOWN) {
        json_key(&o, "part");
        json_u64(&o, part);
        json_key(&o, "part_state");
        json_str(&o, part_state);
    }
    if (w->stop != WORK_STOP_NONE) {
        json_key(&o, "stop_reason");
        json_str(&o, work_stop_name(w->stop));
    }
    why_said(&o, &r->why);
    json_key(&o, "parts");
    json_u64(&o, w->division.parts_n);
    json_key(&o, "done");
    json_u64(&o, w->done_n);
    json_key(&o, "failed");
    json_u64(&o, w->failed_n);
    json_key(&o, "at");
    json_time(&o, r->a->now_ms);
    json_end(&o, '}');
    enum hub_rc rc = apply_tell(r->a, w->app, w->channel, event, buf_slice(&data));
    buf_done(&data);
    return rc;
}

enum hub_rc run_tell_state(struct run *r)
{
    return tell(r, work_state_name(r->work.state), PART_UNKNOWN, NULL);
}

static enum hub_rc tell_part(struct run *r, uint32_t part, enum work_part_state state)
{
    return tell(r, state == PART_DONE ? "part_done" : "part_failed", part,
                work_part_state_name(state));
}

/* ---- parts end ---- */

static enum hub_rc advance(struct run *r, uint32_t part)
{
    struct work *w = &r->work;
    enum hub_rc rc = HUB_OK;
    if (w->done_n >= require_count(&w->require, w->division.parts_n)) {
        return run_merge(r, WORK_STOP_ENOUGH);
    }
    if (run_rule(w)->in_turn && w->failed_n) {
        return run_finish(r, WORK_FAILED, WORK_STOP_PARTS, "a stage failed");
    }
    if (w->done_n + w->failed_n == w->division.parts_n) {
        return w->done_n ? run_merge(r, WORK_STOP_PARTS)
                         : run_finish(r, WORK_FAILED, WORK_STOP_PARTS, "no part was done");
    }
    if (run_rule(w)->in_turn) {
        struct work_part before;
        json_t *input = run_document(r, WORK_INPUT), *context = NULL;
        rc = hub_rc_of_store(work_part_get(r->a->view, w->number, part, &before));
        if (rc == HUB_OK) {
            context = run_result(r, before.won);
            rc = part_open(r, input, part + 1, context);
        }
        json_decref(context);
        json_decref(input);
        if (rc == HUB_GONE) {
            return run_finish(r, WORK_FAILED, WORK_STOP_PARTS, "no member is left for a stage");
        }
    } else {
        rc = run_watch_stragglers(r);
    }
    return rc == HUB_OK ? run_keep(r, w->state) : rc;
}

static bool lives(struct run *r, uint64_t task)
{
    struct task row;
    return task && task_get(r->a->view, task, &row) == STORE_OK && !task_is_over(row.state);
}

static void part_close(struct run *r, struct work_part *part, const struct task *task)
{
    bool ok = task->state == TASK_COMPLETED;
    int64_t since = task->started_ms ? task->started_ms : task->submitted_ms;
    part->state = ok ? PART_DONE : work_is_over(r->work.state) ? PART_CANCELLED : PART_FAILED;
    part->finished_ms = r->a->now_ms;
    part->took_ms = r->a->now_ms > since ? r->a->now_ms - since : 0;
    part->agent = task->agent ? task->agent : task->last_agent;
    part->won = ok ? task->number : 0;
    part->late = ok && r->work.state != WORK_MAPPING;
}

/* After enough was in: recorded, not merged. */
static enum hub_rc part_after(struct run *r, const struct work_part *part)
{
    struct team_figures f;
    bool failed = part->state == PART_FAILED;
    if (!part->late && !failed) {
        return HUB_OK;
    }
    r->work.late_n += part->late;
    r->work.failed_n += failed;
    enum hub_rc rc = run_keep(r, r->work.state);
    if (rc != HUB_OK || failed) {
        return rc;
    }
    rc = hub_rc_of_store(team_figures_get(r->a->view, r->work.team_kind, r->work.team, &f));
    if (rc == HUB_OK) {
        f.parts_late++;
        rc = hub_rc_of_store(team_figures_put(r->a->txn, r->work.team_kind, r->work.team, &f));
    }
    return rc;
}

static enum hub_rc part_ended(struct run *r, uint32_t number, const struct task *task)
{
    struct work_part part;
    enum hub_rc rc = hub_rc_of_store(work_part_get(r->a->view, r->work.number, number, &part));
    uint64_t other = task->number == part.task ? part.copy : part.task;
    /* The copy that lost, or the first of two that failed. */
    if (rc != HUB_OK || part.state != PART_OPEN ||
        (task->state != TASK_COMPLETED && lives(r, other))) {
        return rc;
    }
    part_close(r, &part, task);
    rc = hub_rc_of_store(work_part_put(r->a->txn, r->work.number, number, &part));
    if (rc == HUB_OK) {
        rc = part_bind(r, number, part.member, false);
    }
    if (rc == HUB_OK && lives(r, other)) {
        rc = task_cancel_inside(r->a, other, STOP_GROUP);
    }
    if (rc != HUB_OK || r->work.state != WORK_MAPPING) {
        return rc == HUB_OK ? part_after(r, &part) : rc;
    }
    r->work.done_n += part.state == PART_DONE;
    r->work.failed_n += part.state == PART_FAILED;
    r->work.part_ms += part.state == PART_DONE ? part.took_ms : 0;
    rc = tell_part(r, number, part.state);
    if (rc == HUB_OK) {
        rc = verdict_answered(r->a, &r->work, &part);
    }
    return rc == HUB_OK ? advance(r, number) : rc;
}

enum hub_rc works_task_changed(struct apply *a, const struct task *task, enum task_state before)
{
    struct run r = {.a = a};
    (void)before;
    if (!task_is_over(task->state)) {
        return HUB_OK;
    }
    enum hub_rc rc = run_hold(&r, task->group.id);
    if (rc == HUB_OK) {
        rc = task->group.item == ITEM_MERGE ? run_merge_ended(&r, task)
                                            : part_ended(&r, task->group.item >> 1, task);
    }
    buf_done(&r.bytes);
    return rc;
}

enum hub_rc works_agent_gone(struct apply *a, const struct agent *agent)
{
    enum hub_rc rc = HUB_OK;
    uint64_t work;
    uint32_t number;
    while (rc == HUB_OK) {
        struct work_part part;
        enum store_rc found = work_bound_first(a->view, agent->app, agent->number, &work, &number);
        if (found != STORE_OK) {
            return found == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(found);
        }
        rc =
            hub_rc_of_store(work_bound_put(a->txn, agent->app, agent->number, work, number, false));
        if (rc == HUB_OK) {
            rc = hub_rc_of_store(work_part_get(a->view, work, number, &part));
        }
        if (rc == HUB_OK) {
            rc = task_cancel_inside(a, part.task, STOP_GROUP);
        }
    }
    return rc;
}

/* ---- ends from outside ---- */

enum hub_rc work_cancel(struct apply *a, uint64_t number, enum work_stop stop,
                        const struct why *why)
{
    struct run r = {.a = a, .why = *why};
    enum hub_rc rc = run_hold(&r, number);
    if (rc == HUB_OK && !work_is_over(r.work.state)) {
        rc = run_finish(&r, WORK_CANCELLED, stop, "");
    }
    buf_done(&r.bytes);
    return rc;
}

static bool take_number(void *ctx, const struct work *work)
{
    *(uint64_t *)ctx = work->number;
    return false;
}

enum hub_rc works_cancel_team(struct apply *a, enum team_kind kind, uint32_t team)
{
    enum hub_rc rc = HUB_OK;
    uint64_t number;
    do {
        number = 0;
        rc =
            hub_rc_of_store(works_each(a->view, a->app, kind, team, true, 0, take_number, &number));
        if (rc == HUB_OK && number) {
            rc = work_cancel(a, number, WORK_STOP_TEAM, &why_nobody);
        }
    } while (rc == HUB_OK && number);
    return rc;
}

static enum hub_rc deadline_apply(struct apply *a, struct command *command, struct slice body)
{
    struct run r = {.a = a};
    (void)command;
    enum hub_rc rc = run_hold_timer(&r, body);
    if (rc == HUB_OK && !work_is_over(r.work.state)) {
        r.work.deadline_id = 0; /* it is this one */
        rc = r.work.state == WORK_MAPPING && r.work.done_n && !run_rule(&r.work)->in_turn
                 ? run_merge(&r, WORK_STOP_TIMEOUT)
                 : run_finish(&r, WORK_FAILED, WORK_STOP_TIMEOUT, "it took longer than it may");
    }
    buf_done(&r.bytes);
    return rc == HUB_NOT_FOUND ? HUB_OK : rc;
}

const struct command_kind command_work_deadline = {
    .name = "work.deadline", .apply = deadline_apply, .module = MODULE_SWARMS};
