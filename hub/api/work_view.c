#include "hub/api/work_view.h"
#include "hub/api/answer.h"
#include "hub/api/words.h"

double mean_of(double sum, double n)
{
    return n > 0 ? sum / n : 0;
}

double work_progress(const struct work *w)
{
    if (w->state == WORK_COMPLETED || w->state == WORK_PARTIAL) {
        return 100;
    }
    return 100 * mean_of(w->done_n + w->failed_n, w->division.parts_n);
}

uint32_t work_active(struct store_view *view, const struct work *w)
{
    uint8_t seen[WORK_MEMBERS_MAX] = {0};
    struct slice members = slice_of(NULL, 0);
    struct work_member m;
    uint32_t n = 0;
    (void)work_document(view, w->number, WORK_MEMBERS, &members);
    for (uint32_t i = 0; !work_is_over(w->state) && i < w->division.parts_n; i++) {
        struct work_part part;
        if (work_part_get(view, w->number, i, &part) == STORE_OK && part.state == PART_OPEN &&
            part.member < WORK_MEMBERS_MAX && !seen[part.member]) {
            seen[part.member] = 1;
            n += work_member_at(members, part.member, &m) &&
                 !(w->team_kind == TEAM_SWARM && swarm_member_has_left(view, w->app, m.id));
        }
    }
    return n;
}

void work_members_json(struct json_out *o, struct store_view *view, const struct work *w)
{
    struct slice rest = slice_of(NULL, 0);
    struct work_member m;
    (void)work_document(view, w->number, WORK_MEMBERS, &rest);
    json_begin(o, '[');
    while (work_member_next(&rest, &m)) {
        json_text(o, m.id);
    }
    json_end(o, ']');
}

/* In the words of its agent, else of the hub. */
static struct slice failure_of(const struct task *task)
{
    return task->error.n              ? task->error
           : task->stop == STOP_GROUP ? slice_str("nobody is left who may do it")
                                      : slice_str(task_stop_name(task->stop));
}

/* Of what was not begun when the work ended nothing more comes. */
static const char *part_status(const struct work *w, const struct work_part *part)
{
    bool never = part->state == PART_WAITING && work_is_over(w->state);
    return work_part_state_name(never ? PART_CANCELLED : part->state);
}

/* The task whose result counts, else the one in hand. */
static void put_part_task(struct json_out *o, struct store_view *view, const struct work_part *part,
                          size_t *bytes)
{
    struct task task;
    struct agent agent;
    struct slice result;
    uint64_t number = part->won ? part->won : part->task;
    bool has = number && task_get(view, number, &task) == STORE_OK;
    uint32_t by = part->agent ? part->agent : has ? task.agent : 0;
    put_text_or_null(o, "agent_id",
                     by && agent_get(view, by, &agent) == STORE_OK ? agent.id : slice_of(NULL, 0));
    put_text_or_null(o, "task_id", has ? task.id : slice_of(NULL, 0));
    /* The one under way, or the last: of a task that is dead all have been counted. */
    put_count(o, "attempt",
              has ? (uint64_t)task.attempts + task.redeliveries + (task.state != TASK_DEAD) : 0);
    put_text_or_null(o, "error",
                     has && part->state == PART_FAILED ? failure_of(&task) : slice_of(NULL, 0));
    bool done = part->won && task_document(view, part->won, TASK_RESULT, &result) == STORE_OK;
    *bytes += done ? result.n : 0;
    bool omitted = *bytes > WORK_RESULTS_BYTES_MAX;
    json_key(o, "result");
    if (done && !omitted) {
        json_raw(o, result);
    } else {
        json_put_null(o);
    }
    if (done && omitted) {
        put_bool(o, "result_omitted", true); /* the task has it */
    }
}

void work_parts_json(struct json_out *o, struct store_view *view, const struct work *w)
{
    struct slice members = slice_of(NULL, 0);
    size_t bytes = 0;
    (void)work_document(view, w->number, WORK_MEMBERS, &members);
    json_begin(o, '[');
    for (uint32_t i = 0; i < w->division.parts_n; i++) {
        struct work_part part = {.state = PART_WAITING,
                                 .member = division_share(&w->division, i).member};
        struct work_member m = {0};
        (void)work_part_get(view, w->number, i, &part);
        (void)work_member_at(members, part.member, &m);
        json_begin(o, '{');
        put_count(o, "part", i);
        put_str(o, "status", part_status(w, &part));
        put_text(o, "member_id", m.id);
        put_part_task(o, view, &part, &bytes);
        put_bool(o, "copied", part.copy != 0);
        put_bool(o, "late", part.late);
        json_key(o, "seconds");
        json_double(o, (double)part.took_ms / 1000);
        json_end(o, '}');
    }
    json_end(o, ']');
}

void work_merge_json(struct json_out *o, struct store_view *view, const struct work *w)
{
    struct task task;
    bool has = w->merge && task_get(view, w->merge, &task) == STORE_OK;
    put_text_or_null(o, "merge_task_id", has ? task.id : slice_of(NULL, 0));
}

void work_document_json(struct json_out *o, const char *key, struct store_view *view,
                        const struct work *w, enum work_document kind)
{
    struct slice text;
    json_key(o, key);
    if (work_document(view, w->number, kind, &text) == STORE_OK) {
        json_raw(o, text);
    } else {
        json_put_null(o);
    }
}

void work_common_json(struct json_out *o, const struct work *w)
{
    put_str(o, "state", work_state_name(w->state));
    put_text_or_null(o, "stop_reason",
                     w->stop ? slice_str(work_stop_name(w->stop)) : slice_of(NULL, 0));
    put_text_or_null(o, "error", w->why);
    put_bool(o, "partial", w->state == WORK_PARTIAL);
    json_key(o, "progress");
    json_double(o, work_progress(w));
    json_key(o, "parts");
    json_begin(o, '{');
    put_count(o, "total", w->division.parts_n);
    put_count(o, "done", w->done_n);
    put_count(o, "failed", w->failed_n);
    put_count(o, "late", w->late_n);
    json_end(o, '}');
    put_time(o, "started_at", w->started_ms);
    put_time_or_null(o, "completed_at", w->finished_ms);
    json_key(o, "timeout_seconds");
    json_double(o, (double)w->timeout_ms / 1000);
}

/* ---- asking ---- */

enum hub_rc work_priority_of(struct call *call, struct slice name, enum task_priority *out)
{
    *out = TASK_NORMAL;
    if (!name.p || task_priority_of(name, out)) {
        return HUB_OK;
    }
    return call_fail_word(call, "priority", "priority", name, &words_task_priority);
}

static struct slice text_in(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return slice_of(json_string_value(value), json_string_length(value));
}

void work_input_put(struct buf *b, const json_t *parameters, const char *const *but)
{
    static const char *const steering[] = {"shards", "reducer", "field",           "by",
                                           "k",      "require", "timeout_seconds", NULL};
    json_t *copy = json_copy((json_t *)(uintptr_t)parameters);
    for (size_t i = 0; steering[i]; i++) {
        json_object_del(copy, steering[i]);
    }
    for (size_t i = 0; but && but[i]; i++) {
        json_object_del(copy, but[i]);
    }
    json_put_value(b, copy);
    json_decref(copy);
}

const json_t *work_word(const json_t *parameters, const char *name)
{
    const json_t *value = json_object_get(parameters, name);
    return json_is_null(value) ? NULL : value;
}

static enum hub_rc top_in(struct call *call, const char *at, const json_t *parameters,
                          struct work_spec *spec)
{
    enum { TOP_DEFAULT = 10, TOP_MAX = 100000 };
    const json_t *value = spec->reducer == REDUCE_TOP_K ? work_word(parameters, "k") : NULL;
    json_int_t k = value ? json_integer_value(value) : TOP_DEFAULT;
    spec->top = (uint32_t)k;
    return k >= 1 && k <= TOP_MAX
               ? HUB_OK
               : call_fail_field(call, at, "value_error", "k: from 1 to %d", TOP_MAX);
}

static enum hub_rc reducer_in(struct call *call, const char *at, json_t *parameters,
                              struct work_spec *spec)
{
    const json_t *value = work_word(parameters, "reducer");
    const char *capability = json_string_value(json_object_get(value, "capability"));
    if (value && capability && strcmp(capability, "reduce") == 0) {
        spec->has_reducer = true;
        spec->reducer = REDUCE_AGENT;
    } else if (value) {
        spec->has_reducer = json_is_string(value) &&
                            reducer_of(text_in(parameters, "reducer"), &spec->reducer) &&
                            spec->reducer != REDUCE_MEMBER;
        if (!spec->has_reducer) {
            return call_fail_field(call, at, "value_error",
                                   "reducer: concat, sum, mean, min, max, count, vote, "
                                   "merge-object, top-k, first, last, list or agent");
        }
    }
    spec->field = text_in(parameters, "field");
    spec->by = text_in(parameters, "by");
    return top_in(call, at, parameters, spec);
}

enum hub_rc work_spec_of(struct call *call, const char *at, json_t *parameters,
                         struct work_spec *spec)
{
    const json_t *require = work_word(parameters, "require");
    const json_t *shards = work_word(parameters, "shards");
    const json_t *timeout = work_word(parameters, "timeout_seconds");
    enum hub_rc rc = reducer_in(call, at, parameters, spec);
    if (rc == HUB_OK && require) {
        spec->has_require = true;
        rc = require_of(require, &spec->require)
                 ? HUB_OK
                 : call_fail_field(call, at, "value_error",
                                   "require: all, a fraction up to 1.0, or how many are enough");
    }
    if (rc == HUB_OK && shards) {
        json_int_t n = json_integer_value(shards);
        spec->shards = (uint32_t)n;
        rc = json_is_integer(shards) && n >= 1 && n <= WORK_PARTS_MAX
                 ? HUB_OK
                 : call_fail_field(call, at, "value_error", "shards: from 1 to %d", WORK_PARTS_MAX);
    }
    if (rc == HUB_OK && timeout) {
        double s = json_number_value(timeout);
        spec->timeout_ms = (int64_t)(s * 1000);
        rc = s > 0 && s <= WORK_TIMEOUT_MAX_S
                 ? HUB_OK
                 : call_fail_field(call, at, "value_error", "timeout_seconds: above 0, at most %d",
                                   WORK_TIMEOUT_MAX_S);
    }
    if (spec->timeout_ms == 0) {
        spec->timeout_ms = WORK_TIMEOUT_DEFAULT_S * INT64_C(1000);
    }
    return rc;
}
