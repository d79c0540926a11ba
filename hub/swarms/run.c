/* The end of a task is the only thing that drives a work on, besides its deadline: a part is done
 * or failed, then enough is in, or nothing is left to wait for. The work's row is written as over
 * before the tasks that are left are cancelled, so that their ends, which come back here within the
 * same command, find it closed. */
#include "hub/swarms/run.h"
#include "auth/digest.h"
#include "channels/json_out.h"
#include "hub/swarms/module.h"
#include "hub/swarms/verdict.h"
#include "store/hash.h"
#include "store/timers.h"

#include <stdio.h>
#include <stdlib.h>

enum { ITEM_COPY = 1, ID_BYTES = 48, NEEDS_AGENTS_MAX = TASK_WORDS_MAX };
#define ITEM_MERGE UINT32_MAX
#define PART_UNKNOWN UINT32_MAX
static const uint64_t ID_SEED = UINT64_C(0x776f726b);

/* A work in hand: its row is a copy, the documents are borrowed and read again after writes. */
struct run {
    struct apply *a;
    struct buf bytes;
    struct work work;
    struct slice reason; /* of a cancel, for its event */
};

/* ---- the spec on its way ---- */

void work_spec_pack(struct buf *b, const struct work_spec *s)
{
    pack_slice(b, s->id);
    pack_u8(b, s->uuid);
    pack_slice(b, s->owner);
    pack_slice(b, s->strategy_name);
    pack_u8(b, (uint8_t)s->strategy);
    pack_u8(b, (uint8_t)s->priority);
    pack_u8(b, s->has_require);
    pack_u8(b, (uint8_t)s->require.kind);
    pack_u32(b, s->require.first);
    pack_f64(b, s->require.fraction);
    pack_u8(b, s->has_reducer);
    pack_u8(b, (uint8_t)s->reducer);
    pack_slice(b, s->field);
    pack_slice(b, s->by);
    pack_u32(b, s->top);
    pack_u8(b, s->called);
    pack_u32(b, s->shards);
    pack_i64(b, s->timeout_ms);
    pack_slice(b, s->input);
}

bool work_spec_unpack(struct unpack *u, struct work_spec *s)
{
    s->id = unpack_slice(u);
    s->uuid = unpack_u8(u) != 0;
    s->owner = unpack_slice(u);
    s->strategy_name = unpack_slice(u);
    uint8_t strategy = unpack_u8(u), priority = unpack_u8(u);
    s->strategy = (enum work_strategy)strategy;
    s->priority = (enum task_priority)priority;
    s->has_require = unpack_u8(u) != 0;
    s->require.kind = (enum require_kind)unpack_u8(u);
    s->require.first = unpack_u32(u);
    s->require.fraction = unpack_f64(u);
    s->has_reducer = unpack_u8(u) != 0;
    uint8_t reducer = unpack_u8(u);
    s->reducer = (enum reducer)reducer;
    s->field = unpack_slice(u);
    s->by = unpack_slice(u);
    s->top = unpack_u32(u);
    s->called = unpack_u8(u) != 0;
    s->shards = unpack_u32(u);
    s->timeout_ms = unpack_i64(u);
    s->input = unpack_slice(u);
    return !u->bad && strategy < WORK_STRATEGIES && priority < TASK_PRIORITIES &&
           reducer < REDUCERS;
}

json_t *work_items(const json_t *input, const char **out_name)
{
    static const char *const names[] = {"items", "subtasks", "stages", "parts"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        json_t *list = json_object_get(input, names[i]);
        if (json_array_size(list)) {
            *out_name = names[i];
            return list;
        }
    }
    return NULL;
}

/* ---- small helpers ---- */

static enum hub_rc hold(struct run *r, uint64_t number)
{
    return hub_rc_of_store(work_hold(r->a->view, number, &r->bytes, &r->work));
}

/* A timer's command belongs to no app until its row is read. */
static enum hub_rc hold_timer(struct run *r, struct slice body)
{
    enum hub_rc rc = body.n == 8 ? hold(r, be64_get(body.p)) : HUB_BAD_REQUEST;
    if (rc == HUB_OK) {
        r->a->app = r->work.app;
    }
    return rc;
}

static enum hub_rc keep(struct run *r, enum work_state before)
{
    return hub_rc_of_store(work_put(r->a->txn, &r->work, before));
}

static json_t *document(struct run *r, enum work_document kind)
{
    struct slice text;
    return work_document(r->a->view, r->work.number, kind, &text) == STORE_OK
               ? json_loadb((const char *)text.p, text.n, JSON_DECODE_ANY, NULL)
               : NULL;
}

static json_t *task_result(struct run *r, uint64_t task)
{
    struct slice text;
    json_t *result = NULL;
    if (task_document(r->a->view, task, TASK_RESULT, &text) == STORE_OK) {
        result = json_loadb((const char *)text.p, text.n, JSON_DECODE_ANY, NULL);
    }
    return result ? result : json_null();
}

static const struct strategy_rule *rule_of(const struct work *w)
{
    return strategy_rule(w->strategy);
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
    if (r->reason.n) {
        json_key(&o, "reason");
        json_text(&o, r->reason);
    }
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

static enum hub_rc tell_state(struct run *r)
{
    return tell(r, work_state_name(r->work.state), PART_UNKNOWN, NULL);
}

static enum hub_rc tell_part(struct run *r, uint32_t part, enum work_part_state state)
{
    return tell(r, state == PART_DONE ? "part_done" : "part_failed", part,
                work_part_state_name(state));
}

/* ---- a part becomes a task ---- */

/* What its agent is given: the input, without the list that is shared out, with its share. */
static json_t *part_data(struct run *r, const json_t *input, uint32_t part, json_t *context)
{
    const struct work *w = &r->work;
    struct share share = division_share(&w->division, part);
    const char *name = NULL;
    const json_t *items = work_items(input, &name);
    json_t *data = json_copy((json_t *)(uintptr_t)input);
    if (w->division.has_items && items) {
        json_t *mine = json_array();
        for (uint32_t i = 0; i < share.items_n; i++) {
            json_array_append(mine, json_array_get(items, share.item + i));
        }
        json_object_del(data, name);
        if (share.items_n == 1) {
            json_object_set(data, "item", json_array_get(mine, 0));
        }
        json_object_set_new(data, "items", mine);
    }
    if (context) {
        json_object_set(data, "context", context);
    }
    json_t *about = json_pack("{s:s%, s:s%, s:i, s:i}",
                              w->team_kind == TEAM_NETWORK ? "execution_id" : "task_id", w->id.p,
                              w->id.n, "strategy", rule_of(w)->name, strlen(rule_of(w)->name),
                              "part", (int)part, "parts", (int)w->division.parts_n);
    json_object_set_new(data, "coordination", about);
    return data;
}

static void add_word(struct buf *packed, struct words *words, struct slice word)
{
    pack_slice(packed, word);
    words->n++;
}

/* Whoever may do it: the member alone where the strategy binds it, else any of them, the meant one
 * preferred. A member without an agent of its own stands for its capability. */
struct part_needs {
    struct buf agents, prefer, capabilities, avoid;
};

static void needs_of(struct run *r, uint32_t member, struct part_needs *buf, struct task_spec *spec)
{
    const struct strategy_rule *rule = rule_of(&r->work);
    struct slice members = slice_of(NULL, 0), rest;
    struct work_member m = {0}, other;
    (void)work_document(r->a->view, r->work.number, WORK_MEMBERS, &members);
    (void)work_member_at(members, member, &m);
    if (m.agent.n == 0) {
        if (m.capability.n) {
            add_word(&buf->capabilities, &spec->needs.capabilities, m.capability);
        }
    } else {
        add_word(&buf->agents, &spec->needs.agents, m.agent);
        rest = members;
        while (!rule->bound && spec->needs.agents.n < NEEDS_AGENTS_MAX &&
               work_member_next(&rest, &other)) {
            if (other.agent.n && !slice_equal(other.agent, m.agent)) {
                add_word(&buf->agents, &spec->needs.agents, other.agent);
            }
        }
        if (!rule->bound && r->work.strategy != STRATEGY_DISTRIBUTED) {
            add_word(&buf->prefer, &spec->prefer, m.agent);
        }
    }
    spec->needs.agents.packed = buf_slice(&buf->agents);
    spec->prefer.packed = buf_slice(&buf->prefer);
    spec->needs.capabilities.packed = buf_slice(&buf->capabilities);
}

static void needs_done(struct part_needs *buf)
{
    buf_done(&buf->agents);
    buf_done(&buf->prefer);
    buf_done(&buf->capabilities);
    buf_done(&buf->avoid);
}

static enum hub_rc submit(struct run *r, struct task_spec *spec, json_t *data, uint32_t item,
                          uint64_t *out_task)
{
    char *text = json_dumps(data, JSON_COMPACT);
    spec->owner = r->work.owner;
    spec->priority = r->work.priority;
    spec->data = slice_str(text);
    spec->group =
        (struct task_group){.module = MODULE_SWARMS + 1, .id = r->work.number, .item = item};
    enum hub_rc rc =
        task_submit_inside(r->a, spec, (uint32_t)(r->work.number * 4093) + item, out_task);
    free(text);
    return rc;
}

static struct work_member member_of(struct run *r, uint32_t at)
{
    struct slice members = slice_of(NULL, 0);
    struct work_member m = {0};
    (void)work_document(r->a->view, r->work.number, WORK_MEMBERS, &members);
    (void)work_member_at(members, at, &m);
    return m;
}

static enum hub_rc bind(struct run *r, uint32_t part, uint32_t member, bool there)
{
    uint32_t agent = rule_of(&r->work)->bound ? member_of(r, member).agent_number : 0;
    return agent ? hub_rc_of_store(
                       work_bound_put(r->a->txn, r->work.app, agent, r->work.number, part, there))
                 : HUB_OK;
}

static enum hub_rc open_part(struct run *r, const json_t *input, uint32_t part, json_t *context)
{
    struct share share = division_share(&r->work.division, part);
    struct work_part row = {.state = PART_OPEN, .member = share.member, .opened_ms = r->a->now_ms};
    struct part_needs buf = {0};
    struct task_spec spec = {0};
    json_t *data = part_data(r, input, part, context);
    needs_of(r, share.member, &buf, &spec);
    enum hub_rc rc = submit(r, &spec, data, part << 1, &row.task);
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(work_part_put(r->a->txn, r->work.number, part, &row));
    }
    if (rc == HUB_OK) {
        rc = bind(r, part, share.member, true);
    }
    r->work.opened_n += rc == HUB_OK;
    json_decref(data);
    needs_done(&buf);
    return rc;
}

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
    f.capacity_ms += took * w->division.members_n;
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

static enum hub_rc finish(struct run *r, enum work_state state, enum work_stop stop,
                          const char *why)
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
        rc = keep(r, before);
    }
    if (rc == HUB_OK) {
        rc = figures_end(r);
    }
    if (rc == HUB_OK) {
        rc = tell_state(r);
    }
    bool all = rule_of(w)->stops || stop != WORK_STOP_ENOUGH;
    return rc == HUB_OK ? cancel_rest(r, all) : rc;
}

/* Whom most named leads the swarm from now on. */
static enum hub_rc elect(struct run *r, const json_t *outcome)
{
    const char *winner = json_string_value(json_object_get(outcome, "winner"));
    struct team_figures f;
    uint32_t leader;
    if (r->work.strategy != STRATEGY_ELECTION || r->work.team_kind != TEAM_SWARM || !winner ||
        !swarm_member_named(r->a->view, r->work.team, slice_str(winner), &leader)) {
        return HUB_OK;
    }
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
    char *text = json_dumps(outcome, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t n = strlen(text);
    enum hub_rc rc = HUB_OK;
    if (n > WORK_RESULT_BYTES_MAX) {
        rc = finish(r, WORK_FAILED, WORK_STOP_MERGE, "the merged result is larger than 1 MiB");
        free(text);
        return rc;
    }
    rc = hub_rc_of_store(
        work_document_put(r->a->txn, r->work.number, WORK_OUTCOME, slice_of(text, n)));
    free(text);
    if (rc == HUB_OK) {
        rc = elect(r, outcome);
    }
    return rc == HUB_OK ? finish(r, whole ? WORK_COMPLETED : WORK_PARTIAL, stop, "") : rc;
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
        json_array_append_new(list, task_result(r, part.won));
    }
    return list;
}

static enum hub_rc merge_by_agent(struct run *r, const json_t *results)
{
    struct part_needs buf = {0};
    struct task_spec spec = {0};
    json_t *input = document(r, WORK_INPUT);
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
    if (r->work.reducer == REDUCE_MEMBER) {
        needs_of(r, 0, &buf, &spec);
    } else {
        add_word(&buf.capabilities, &spec.needs.capabilities, slice_str("reduce"));
        spec.needs.capabilities.packed = buf_slice(&buf.capabilities);
    }
    enum work_state before = r->work.state;
    enum hub_rc rc = submit(r, &spec, data, ITEM_MERGE, &r->work.merge);
    if (rc == HUB_OK) {
        r->work.state = WORK_REDUCING;
        r->work.straggler_ms = 0;
        rc = keep(r, before);
    }
    if (rc == HUB_OK) {
        rc = tell_state(r);
    }
    json_decref(data);
    json_decref(input);
    needs_done(&buf);
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

static enum hub_rc merge(struct run *r, enum work_stop stop)
{
    json_t *results = results_of(r), *outcome = NULL;
    const char *why = "";
    enum hub_rc rc;
    bool by_agent = r->work.reducer == REDUCE_AGENT || r->work.reducer == REDUCE_MEMBER;
    if (!results) {
        rc = finish(r, WORK_FAILED, WORK_STOP_MERGE, "the results are larger than 8 MiB");
    } else if (by_agent && stop != WORK_STOP_TIMEOUT) {
        rc = merge_by_agent(r, results);
    } else if (by_agent) {
        rc = finish(r, WORK_FAILED, stop, "there was no time left to merge");
    } else if ((outcome = merged(r, results, &why))) {
        rc = finish_with(r, outcome, stop);
    } else {
        rc = finish(r, WORK_FAILED, WORK_STOP_MERGE, why);
    }
    json_decref(outcome);
    json_decref(results);
    return rc;
}

static enum hub_rc merge_ended(struct run *r, const struct task *task)
{
    if (r->work.state != WORK_REDUCING || r->work.merge != task->number) {
        return HUB_OK;
    }
    if (task->state != TASK_COMPLETED) {
        return finish(r, WORK_FAILED, WORK_STOP_MERGE, "the task that merges did not complete");
    }
    bool enough = r->work.done_n >= require_count(&r->work.require, r->work.division.parts_n);
    json_t *outcome = task_result(r, task->number);
    enum hub_rc rc = finish_with(r, outcome, enough ? WORK_STOP_ENOUGH : WORK_STOP_PARTS);
    json_decref(outcome);
    return rc;
}

/* ---- stragglers ---- */

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

/* Once half of the parts are in, the others are looked at when the slowest of them would have to be
 * done. A part that only its member may do is not copied. */
static enum hub_rc watch_stragglers(struct run *r)
{
    struct work *w = &r->work;
    if (w->straggler_ms || rule_of(w)->bound || rule_of(w)->in_turn || w->division.members_n < 2 ||
        w->done_n * 2 < w->division.parts_n || w->done_n == w->division.parts_n) {
        return HUB_OK;
    }
    struct times t = times_of(r);
    int64_t after = straggler_after_ms(t.took, t.n, w->division.parts_n);
    free(t.took);
    return after ? look_later(r, r->a->now_ms + after) : HUB_OK;
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
            agent.status == AGENT_ACTIVE && tasks_held_by(tasks, m.agent_number) < agent.slots) {
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
    needs_of(r, part->member, &buf, &spec);
    spec.prefer = (struct words){0};
    add_word(&buf.avoid, &spec.needs.avoid, slow->id);
    spec.needs.avoid.packed = buf_slice(&buf.avoid);
    enum hub_rc rc = submit(r, &spec, data, number << 1 | ITEM_COPY, &part->copy);
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
    needs_done(&buf);
    return rc;
}

static enum hub_rc copy_slow_parts(struct run *r, int64_t after_ms)
{
    json_t *input = document(r, WORK_INPUT);
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
    enum hub_rc rc = hold_timer(&r, body);
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
            rc = keep(&r, r.work.state);
        }
    }
    buf_done(&r.bytes);
    return rc == HUB_NOT_FOUND ? HUB_OK : rc;
}

const struct command_kind command_work_straggler = {
    .name = "work.straggler", .apply = straggler_apply, .module = MODULE_SWARMS};

/* ---- parts end ---- */

static enum hub_rc advance(struct run *r, uint32_t part)
{
    struct work *w = &r->work;
    enum hub_rc rc = HUB_OK;
    if (w->done_n >= require_count(&w->require, w->division.parts_n)) {
        return merge(r, WORK_STOP_ENOUGH);
    }
    if (rule_of(w)->in_turn && w->failed_n) {
        return finish(r, WORK_FAILED, WORK_STOP_PARTS, "a stage failed");
    }
    if (w->done_n + w->failed_n == w->division.parts_n) {
        return w->done_n ? merge(r, WORK_STOP_PARTS)
                         : finish(r, WORK_FAILED, WORK_STOP_PARTS, "no part was done");
    }
    if (rule_of(w)->in_turn) {
        struct work_part before;
        json_t *input = document(r, WORK_INPUT), *context = NULL;
        rc = hub_rc_of_store(work_part_get(r->a->view, w->number, part, &before));
        if (rc == HUB_OK) {
            context = task_result(r, before.won);
            rc = open_part(r, input, part + 1, context);
        }
        json_decref(context);
        json_decref(input);
    } else {
        rc = watch_stragglers(r);
    }
    return rc == HUB_OK ? keep(r, w->state) : rc;
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
    part->state = ok ? PART_DONE : PART_FAILED;
    part->finished_ms = r->a->now_ms;
    part->took_ms = r->a->now_ms > since ? r->a->now_ms - since : 0;
    part->agent = task->agent ? task->agent : task->last_agent;
    part->won = ok ? task->number : 0;
    part->late = ok && r->work.state != WORK_MAPPING;
}

/* After enough was in: recorded, not merged. What ends because the work is over counts nowhere. */
static enum hub_rc part_after(struct run *r, const struct work_part *part)
{
    struct team_figures f;
    bool failed = part->state == PART_FAILED && !work_is_over(r->work.state);
    if (!part->late && !failed) {
        return HUB_OK;
    }
    r->work.late_n += part->late;
    r->work.failed_n += failed;
    enum hub_rc rc = keep(r, r->work.state);
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
        rc = bind(r, number, part.member, false);
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
    enum hub_rc rc = hold(&r, task->group.id);
    if (rc == HUB_OK) {
        rc = task->group.item == ITEM_MERGE ? merge_ended(&r, task)
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

/* ---- beginning ---- */

/* Ids begin with the number; what follows keeps those of others from being guessed. */
static struct slice mint(struct apply *a, const struct work_spec *spec, uint64_t number,
                         char out[ID_BYTES])
{
    uint8_t own[40], random[10];
    memcpy(own, a->seed, 32);
    be64_put(own + 32, number);
    struct hash128 h = hash128(ID_SEED, slice_of(own, sizeof own));
    if (spec->uuid) {
        be64_put(random, h.lo);
        be16_put(random + 8, (uint16_t)h.hi);
        uuid_v7(a->now_ms, random, out);
        return slice_str(out);
    }
    int n = snprintf(out, ID_BYTES, "task_%08x%08x", (unsigned)number, (unsigned)h.lo);
    return slice_of(out, (size_t)n);
}

static void work_fill(struct run *r, const struct work_spec *spec, uint64_t number,
                      const json_t *input, const struct team_figures *figures)
{
    const struct strategy_rule *rule = strategy_rule(spec->strategy);
    const char *name;
    const json_t *items = work_items(input, &name);
    uint64_t works = 0;
    for (unsigned i = 0; i < WORK_STATES; i++) {
        works += figures->in_state[i];
    }
    r->work = (struct work){.number = number,
                            .app = r->a->app,
                            .team_kind = spec->team_kind,
                            .team = spec->team,
                            .owner = spec->owner,
                            .channel = spec->channel,
                            .strategy_name = spec->strategy_name,
                            .strategy = spec->strategy,
                            .priority = spec->priority,
                            .state = WORK_SPLITTING,
                            .require = spec->require,
                            .reducer = spec->has_reducer ? spec->reducer : rule->reducer,
                            .field = spec->field,
                            .by = spec->by,
                            .top = spec->top,
                            .called = spec->called,
                            .started_ms = r->a->now_ms,
                            .timeout_ms = spec->timeout_ms};
    if (!spec->has_require) {
        r->work.require = rule->first
                              ? (struct require){.kind = REQUIRE_FIRST, .first = rule->first}
                              : (struct require){.kind = REQUIRE_ALL};
    }
    bool turns = spec->strategy == STRATEGY_ROUND_ROBIN;
    r->work.division =
        divide(spec->strategy, spec->members_n, items != NULL, (uint32_t)json_array_size(items),
               spec->shards, turns ? (uint32_t)(works % spec->members_n) : 0);
}

static enum hub_rc write_beginning(struct run *r, const struct work_spec *spec,
                                   struct team_figures *figures)
{
    struct work *w = &r->work;
    uint8_t body[8];
    struct timer_ref ref;
    be64_put(body, w->number);
    enum store_rc rc = work_document_put(r->a->txn, w->number, WORK_MEMBERS, spec->members);
    if (rc == STORE_OK) {
        rc = work_document_put(r->a->txn, w->number, WORK_INPUT, spec->input);
    }
    if (rc == STORE_OK) {
        rc = timer_add(r->a->txn, r->a->now_ms + w->timeout_ms, TIMER_WORK_DEADLINE,
                       slice_of(body, sizeof body), &ref);
    }
    if (rc == STORE_OK) {
        w->deadline_due_ms = ref.due_ms;
        w->deadline_id = ref.id;
        figures->in_state[WORK_MAPPING]++;
        figures->last_ms = r->a->now_ms;
        rc = team_figures_put(r->a->txn, w->team_kind, w->team, figures);
    }
    return hub_rc_of_store(rc);
}

static enum hub_rc open_first(struct run *r, const json_t *input)
{
    enum hub_rc rc = HUB_OK;
    for (uint32_t i = 0; rc == HUB_OK && i < r->work.division.parts_n; i++) {
        if (!division_share(&r->work.division, i).waits) {
            rc = open_part(r, input, i, NULL);
        }
    }
    return rc;
}

/* Every part is given the input but for the list: many parts of a large one would be too much. */
static bool fits(const struct work *w, const json_t *input)
{
    const char *name;
    json_t *rest = json_copy((json_t *)(uintptr_t)input);
    if (w->division.has_items && work_items(rest, &name)) {
        json_object_del(rest, name);
    }
    size_t each = json_dumpb(rest, NULL, 0, JSON_COMPACT);
    json_decref(rest);
    return each * w->division.parts_n <= WORK_INPUT_BYTES_MAX;
}

enum hub_rc work_begin(struct apply *a, const struct work_spec *spec, struct buf *row,
                       struct work *out)
{
    struct run r = {.a = a};
    struct team_figures figures;
    uint64_t number = 0;
    char id[ID_BYTES];
    json_t *input = json_loadb((const char *)spec->input.p, spec->input.n, 0, NULL);
    enum hub_rc rc = hub_rc_of_store(work_newest(a->view, &number));
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(team_figures_get(a->view, spec->team_kind, spec->team, &figures));
    }
    if (rc == HUB_OK && !json_is_object(input)) {
        rc = HUB_BAD_REQUEST;
    }
    if (rc == HUB_OK) {
        work_fill(&r, spec, number + 1, input, &figures);
        r.work.id = spec->id.n ? spec->id : mint(a, spec, number + 1, id);
        rc = fits(&r.work, input) ? HUB_OK : HUB_TOO_LARGE;
    }
    if (rc == HUB_OK) {
        rc = write_beginning(&r, spec, &figures);
    }
    if (rc == HUB_OK) {
        rc = tell_state(&r);
    }
    if (rc == HUB_OK) {
        r.work.state = WORK_MAPPING;
        rc = keep(&r, WORK_NONE); /* before its tasks: they may end within this command */
    }
    if (rc == HUB_OK) {
        rc = tell_state(&r);
    }
    if (rc == HUB_OK) {
        rc = open_first(&r, input);
    }
    if (rc == HUB_OK) {
        rc = keep(&r, WORK_MAPPING);
    }
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(work_hold(a->view, r.work.number, row, out));
    }
    json_decref(input);
    buf_done(&r.bytes);
    return rc;
}

/* ---- ends from outside ---- */

enum hub_rc work_cancel(struct apply *a, uint64_t number, enum work_stop stop, struct slice reason)
{
    struct run r = {.a = a, .reason = reason};
    enum hub_rc rc = hold(&r, number);
    if (rc == HUB_OK && !work_is_over(r.work.state)) {
        rc = finish(&r, WORK_CANCELLED, stop, "");
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
            rc = work_cancel(a, number, WORK_STOP_TEAM, slice_of(NULL, 0));
        }
    } while (rc == HUB_OK && number);
    return rc;
}

static enum hub_rc deadline_apply(struct apply *a, struct command *command, struct slice body)
{
    struct run r = {.a = a};
    (void)command;
    enum hub_rc rc = hold_timer(&r, body);
    if (rc == HUB_OK && !work_is_over(r.work.state)) {
        r.work.deadline_id = 0; /* it is this one */
        rc = r.work.state == WORK_MAPPING && r.work.done_n && !rule_of(&r.work)->in_turn
                 ? merge(&r, WORK_STOP_TIMEOUT)
                 : finish(&r, WORK_FAILED, WORK_STOP_TIMEOUT, "it took longer than it may");
    }
    buf_done(&r.bytes);
    return rc == HUB_NOT_FOUND ? HUB_OK : rc;
}

const struct command_kind command_work_deadline = {
    .name = "work.deadline", .apply = deadline_apply, .module = MODULE_SWARMS};
