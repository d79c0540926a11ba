/* Tasks: rest-contract.md sections 3 and 6. Whoever wants work done submits, looks and cancels; the
 * agent that has it accepts, renews, reports. Lists and figures are answered from a snapshot. */
#include "hub/api/agent_read.h"
#include "hub/api/agent_view.h"
#include "hub/api/components.h"
#include "hub/api/pages.h"
#include "hub/api/tables.h"
#include "hub/api/task_fields.h"
#include "hub/api/task_view.h"

#include <stdlib.h>

enum { LIST_DEFAULT = 100, LOOKED_MAX = 20000 };

/* ---- tasks.submit ---- */

struct submit_scratch {
    struct buf data, capabilities, services, agents, avoid, prefer;
};

static void scratch_done(struct submit_scratch *s)
{
    buf_done(&s->data);
    buf_done(&s->capabilities);
    buf_done(&s->services);
    buf_done(&s->agents);
    buf_done(&s->avoid);
    buf_done(&s->prefer);
}

/* What stands in `requirements`: fields of a group, or members of the tree's object. */
static enum hub_rc read_words(struct call *call, const json_t *needs, const char *name,
                              struct buf *packed, struct words *out)
{
    struct call_texts list =
        call->values ? call_texts_of(call, name) : call_texts_in(json_object_get(needs, name));
    return call_words_of(call, name, &list, packed, out);
}

static double read_health(const struct call *call, const json_t *needs)
{
    const json_t *health = json_object_get(needs, "min_health_score");
    return call->values             ? call_number(call, "min_health_score", 0.5)
           : json_is_number(health) ? json_number_value(health)
                                    : 0.5;
}

static enum hub_rc read_type(struct call *call, const json_t *needs, struct task_needs *out)
{
    const json_t *type = json_object_get(needs, "agent_type");
    struct slice word = call->values ? call_text(call, "agent_type")
                        : json_is_string(type)
                            ? slice_of(json_string_value(type), json_string_length(type))
                            : slice_of(NULL, 0);
    out->by_type = call->values ? call_has(call, "agent_type") : json_is_string(type);
    return !out->by_type || agent_type_of(word, &out->type) ? HUB_OK : agent_bad_type(call, word);
}

static enum hub_rc read_needs(struct call *call, struct submit_scratch *s, struct task_needs *out)
{
    const json_t *needs = call_json(call, "requirements");
    out->health_least = read_health(call, needs);
    enum hub_rc rc = read_type(call, needs, out);
    if (rc == HUB_OK) {
        rc = read_words(call, needs, "capabilities", &s->capabilities, &out->capabilities);
    }
    if (rc == HUB_OK) {
        rc = read_words(call, needs, "services", &s->services, &out->services);
    }
    if (rc == HUB_OK) {
        rc = read_words(call, needs, "agents", &s->agents, &out->agents);
    }
    return rc == HUB_OK ? read_words(call, needs, "avoid", &s->avoid, &out->avoid) : rc;
}

/* Seconds, as callers say them, in milliseconds. */
static int64_t span_ms(const struct call *call, const char *name)
{
    return (int64_t)(call_number(call, name, 0) * 1000);
}

static enum hub_rc read_text(struct call *call, const char *name, size_t bytes_max,
                             struct slice *out)
{
    *out = call_text(call, name);
    return out->n <= bytes_max
               ? HUB_OK
               : call_fail_field(call, name, "too_long", "at most %zu bytes", bytes_max);
}

static enum hub_rc read_priority(struct call *call, struct slice *said, enum task_priority *out)
{
    *said = call_text(call, "priority");
    if (!said->p) {
        *said = slice_str("normal");
    }
    return task_priority_of(*said, out) ? HUB_OK : task_bad_priority(call, *said);
}

static enum hub_rc read_keys(struct call *call, struct task_spec *spec)
{
    enum hub_rc rc = read_text(call, "fairness_key", TASK_WORD_BYTES_MAX, &spec->fairness);
    if (rc == HUB_OK) {
        rc = read_text(call, "sticky_key", TASK_WORD_BYTES_MAX, &spec->sticky);
    }
    return rc == HUB_OK ? read_text(call, "region", TASK_WORD_BYTES_MAX, &spec->region) : rc;
}

static enum hub_rc read_spec(struct call *call, struct submit_scratch *s, struct task_submit *out)
{
    struct task_spec *spec = &out->spec;
    spec->delay_ms = span_ms(call, "delay_seconds");
    spec->start_within_ms = span_ms(call, "schedule_to_start_seconds");
    spec->close_within_ms = span_ms(call, "start_to_close_seconds");
    spec->total_within_ms = span_ms(call, "total_seconds");
    spec->input_within_ms = span_ms(call, "input_seconds");
    spec->lease_ms = span_ms(call, "lease_seconds");
    spec->attempts_max = (uint16_t)call_int(call, "max_attempts", 0);
    enum hub_rc rc = read_priority(call, &out->said, &spec->priority);
    if (rc == HUB_OK) {
        rc = read_needs(call, s, &spec->needs);
    }
    if (rc == HUB_OK) {
        struct call_texts prefer = call_texts_of(call, "prefer_agents");
        rc = call_words_of(call, "prefer_agents", &prefer, &s->prefer, &spec->prefer);
    }
    return rc == HUB_OK ? read_keys(call, spec) : rc;
}

static enum hub_rc read_id(struct call *call, struct submit_scratch *s, struct task_spec *spec)
{
    spec->data = call_document(call, "task_data", &s->data);
    const json_t *id = json_object_get(call_json(call, "task_data"), "task_id");
    spec->id = call->values         ? task_data_id(spec->data)
               : json_is_string(id) ? slice_of(json_string_value(id), json_string_length(id))
                                    : slice_of(NULL, 0);
    return spec->id.n <= TASK_ID_BYTES_MAX
               ? HUB_OK
               : call_fail_field(call, "task_data", "value_error", "task_id has at most %d bytes",
                                 TASK_ID_BYTES_MAX);
}

static enum hub_rc submit_prepare(struct call *call, struct buf *body)
{
    struct task_submit submit = {.asker = asker_of(call->who)};
    struct submit_scratch s = {.data = {0}};
    enum hub_rc rc = read_spec(call, &s, &submit);
    if (rc == HUB_OK) {
        rc = read_id(call, &s, &submit.spec);
    }
    if (rc == HUB_OK) {
        task_submit_put(body, &submit);
    }
    scratch_done(&s);
    return rc;
}

static enum hub_rc submit_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct task_submitted t;
    if (!task_submitted_get(reply, &t)) {
        return HUB_INTERNAL;
    }
    struct json_out o = answer_begin(call);
    put_str(&o, "message", "Task submitted successfully");
    put_text(&o, "task_id", t.id);
    put_text(&o, "priority", t.said);
    put_time(&o, "submitted_at", t.at_ms);
    put_str(&o, "state", task_state_name(t.state));
    if (t.again || (command->flags & COMMAND_REPLAYED)) {
        put_bool(&o, "deduplicated", true);
    }
    json_end(&o, '}');
    return HUB_OK;
}

/* The second form: the body is the task. */
static enum hub_rc create_prepare(struct call *call, struct buf *body)
{
    struct task_submit submit = {.asker = asker_of(call->who), .spec.uuid = true};
    struct submit_scratch s = {.data = {0}};
    const json_t *data = call_json(call, "task_data");
    enum hub_rc rc = read_spec(call, &s, &submit);
    if (rc == HUB_OK) {
        json_put_value(&s.data, json_is_object(data) ? data : call->params);
        submit.spec.data = buf_slice(&s.data);
        task_submit_put(body, &submit);
    }
    scratch_done(&s);
    return rc;
}

static enum hub_rc create_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct task_submitted t;
    (void)command;
    if (!task_submitted_get(reply, &t)) {
        return HUB_INTERNAL;
    }
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "task_id", t.id);
    put_str(&o, "status", task_status_name(task_status_in(t.state)));
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- what is done to one ---- */

static struct task_act act_of(const struct call *call)
{
    struct task_act act = {
        .asker = asker_of(call->who), .id = call_text(call, "task_id"), .after_ms = -1};
    struct slice lease = call_text(call, "lease_id");
    if (lease.n && !task_lease_of(lease, &act.lease)) {
        act.lease.number = UINT64_MAX; /* no lease of ours: nobody's */
    }
    return act;
}

static enum hub_rc act_prepare(struct call *call, struct buf *body)
{
    struct task_act act = act_of(call);
    task_act_put(body, &act);
    return HUB_OK;
}

static enum hub_rc cancel_prepare(struct call *call, struct buf *body)
{
    struct task_act act = act_of(call);
    enum hub_rc rc = call_reason(call, &act.text);
    if (rc == HUB_OK) {
        task_act_put(body, &act);
    }
    return rc;
}

static enum hub_rc progress_prepare(struct call *call, struct buf *body)
{
    struct task_act act = act_of(call);
    act.has_percent = call_has_number(call, "percent");
    act.percent = (uint8_t)call_number(call, "percent", 0);
    act.seq = (uint64_t)call_int(call, "seq", 0);
    enum hub_rc rc = read_text(call, "note", TASK_NOTE_BYTES_MAX, &act.text);
    if (rc == HUB_OK) {
        task_act_put(body, &act);
    }
    return rc;
}

static enum hub_rc document_prepare(struct call *call, struct buf *body, const char *name)
{
    struct task_act act = act_of(call);
    struct buf text = {0};
    act.document = call_document(call, name, &text);
    if (act.document.n == 0) {
        act.document = slice_str("null");
    }
    task_act_put(body, &act);
    buf_done(&text);
    return HUB_OK;
}

static enum hub_rc complete_prepare(struct call *call, struct buf *body)
{
    return document_prepare(call, body, "result");
}

static enum hub_rc input_prepare(struct call *call, struct buf *body)
{
    return document_prepare(call, body, "input");
}

/* The start of a long error is worth more than a refusal. */
static struct slice cut(struct slice text, size_t bytes_max)
{
    size_t n = text.n < bytes_max ? text.n : bytes_max;
    while (n > 0 && n < text.n && (text.p[n] & 0xc0) == 0x80) {
        n--;
    }
    return slice_of(text.p, n);
}

static enum hub_rc fail_prepare(struct call *call, struct buf *body)
{
    struct task_act act = act_of(call);
    act.text = cut(call_text(call, "error"), TASK_ERROR_BYTES_MAX);
    act.final = call_bool(call, "non_retryable", false);
    if (call_has_number(call, "retry_after")) {
        act.after_ms = span_ms(call, "retry_after");
    }
    task_act_put(body, &act);
    return HUB_OK;
}

static enum hub_rc ask_prepare(struct call *call, struct buf *body)
{
    struct task_act act = act_of(call);
    enum hub_rc rc = read_text(call, "question", TASK_NOTE_BYTES_MAX, &act.text);
    if (rc == HUB_OK) {
        task_act_put(body, &act);
    }
    return rc;
}

static struct json_out acted_begin(struct call *call, const struct task_acted *t)
{
    struct json_out o = answer_begin(call);
    put_text(&o, "task_id", t->id);
    put_str(&o, "state", task_state_name(t->state));
    put_str(&o, "task_status", task_status_name(task_status_in(t->state)));
    put_count(&o, "attempts", t->attempts);
    put_count(&o, "redeliveries", t->redeliveries);
    put_time(&o, "updated_at", t->at_ms);
    return o;
}

static enum hub_rc acted_answer(struct call *call, const struct command *command,
                                struct slice reply)
{
    struct task_acted t;
    (void)command;
    if (!task_acted_get(reply, &t)) {
        return HUB_INTERNAL;
    }
    struct json_out o = acted_begin(call, &t);
    if (t.state == TASK_RETRY_WAIT) {
        put_time(&o, "retry_at", t.until_ms);
    }
    json_end(&o, '}');
    return HUB_OK;
}

static enum hub_rc progress_answer(struct call *call, const struct command *command,
                                   struct slice reply)
{
    struct task_acted t;
    (void)command;
    if (!task_acted_get(reply, &t)) {
        return HUB_INTERNAL;
    }
    struct json_out o = acted_begin(call, &t);
    put_bool(&o, "stored", t.stored);
    put_time_or_null(&o, "lease_until", t.until_ms);
    json_end(&o, '}');
    return HUB_OK;
}

static enum hub_rc accept_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct task_acted t;
    char lease[TASK_LEASE_ID_BYTES + 1];
    (void)command;
    if (!task_acted_get(reply, &t)) {
        return HUB_INTERNAL;
    }
    struct json_out o = acted_begin(call, &t);
    task_lease_id(lease, &(struct task_lease){task_life(call->io->hub->store), t.number, t.lease});
    put_str(&o, "lease_id", lease);
    put_time_or_null(&o, "lease_until", t.until_ms);
    json_key(&o, "lease_seconds");
    json_double(&o, (double)t.lease_ms / 1000);
    json_key(&o, "task_data");
    json_raw(&o, t.data.n ? t.data : slice_str("{}"));
    if (t.given.n) {
        json_key(&o, "input");
        json_raw(&o, t.given);
    }
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- tasks.renew ---- */

static void read_lease(struct slice text, struct task_lease *out)
{
    if (!task_lease_of(text, out)) {
        *out = (struct task_lease){.number = 0};
    }
}

/* *out is freed by the caller. */
static uint32_t read_leases(const struct call *call, struct task_lease **out)
{
    struct call_texts list = call_texts_of(call, "leases");
    struct task_lease *leases = xcalloc(list.n + 1, sizeof *leases);
    struct slice text;
    uint32_t n = 0;
    while (call_texts_next(&list, &text)) {
        read_lease(text, &leases[n++]);
    }
    text = call_text(call, "lease_id");
    if (text.n) {
        read_lease(text, &leases[n++]);
    }
    *out = leases;
    return n;
}

/* A task that is named must be there for the caller, and the lease be one of it: another task's is
 * not the one that the caller thinks it holds. */
static enum hub_rc renew_named(struct call *call, struct task_lease *leases, uint32_t n)
{
    struct slice id = call_text(call, "task_id");
    struct store_view *view = NULL;
    struct task task;
    if (id.n == 0) {
        return HUB_OK;
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc == HUB_OK) {
        rc = task_see_call(call, view, id, &task);
    }
    if (rc == HUB_OK && call_has(call, "lease_id") && leases[n - 1].number != task.number) {
        leases[n - 1] = (struct task_lease){.number = 0};
    }
    if (view) {
        store_release(call->io->reader);
    }
    return rc;
}

static enum hub_rc renew_prepare(struct call *call, struct buf *body)
{
    struct asker asker = asker_of(call->who);
    struct task_lease *leases;
    uint32_t n = read_leases(call, &leases);
    enum hub_rc rc = renew_named(call, leases, n);
    task_renew_put(body, &asker, !call_has(call, "leases"), leases, n);
    free(leases);
    return rc;
}

static enum hub_rc renew_answer(struct call *call, const struct command *command,
                                struct slice reply)
{
    struct task_renewed r;
    struct buf lost = {0};
    struct json_out l = json_out_to(&lost);
    uint32_t held = 0, gone = 0;
    int64_t soonest = 0;
    (void)command;
    if (!task_renewed_get(reply, &r)) {
        return HUB_INTERNAL;
    }
    json_begin(&l, '[');
    for (uint32_t i = 0; i < r.n; i++) {
        struct task_lease lease;
        int64_t until;
        char text[TASK_LEASE_ID_BYTES + 1];
        if (!task_renewed_next(&r, &lease, &until)) {
            break;
        }
        held += until != 0;
        gone += until == 0;
        soonest = until && (!soonest || until < soonest) ? until : soonest;
        if (!until) {
            task_lease_id(text, &lease);
            json_str(&l, text);
        }
    }
    json_end(&l, ']');
    struct json_out o = answer_begin(call);
    put_count(&o, "renewed", held);
    put_count(&o, "lost_count", gone);
    json_key(&o, "lost");
    json_raw(&o, buf_slice(&lost));
    put_time_or_null(&o, "lease_until", soonest);
    put_time(&o, "renewed_at", r.at_ms);
    json_end(&o, '}');
    buf_done(&lost);
    return HUB_OK;
}

/* ---- reading one ---- */

static enum hub_rc get(struct call *call)
{
    struct store_view *view;
    struct task task;
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = task_see_call(call, view, call_text(call, "task_id"), &task);
    if (rc == HUB_OK) {
        struct json_out o = answer_begin(call);
        json_key(&o, "task");
        rc = task_json(&o, call, view, &task, true, NULL);
        put_time(&o, "timestamp", call->now_ms);
        json_end(&o, '}');
    }
    store_release(call->io->reader);
    return rc;
}

static bool is_uuid(struct slice text)
{
    for (size_t i = 0; text.n == UUID_CHARS && i < text.n; i++) {
        uint8_t c = text.p[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !hex) {
            return false;
        }
    }
    return text.n == UUID_CHARS;
}

static enum hub_rc short_status_of(struct call *call, struct store_view *view, struct slice id)
{
    struct task task;
    enum hub_rc rc = task_see_call(call, view, id, &task);
    if (rc == HUB_OK) {
        struct json_out o = json_out_to(call->out);
        json_begin(&o, '{');
        put_text(&o, "id", task.id);
        put_str(&o, "status", task_status_name(task_status_in(task.state)));
        put_str(&o, "state", task_state_name(task.state));
        json_key(&o, "progress");
        json_double(&o, task.percent == TASK_PERCENT_NONE ? 0 : task.percent / 100.0);
        rc = put_task_result(&o, view, &task);
        json_end(&o, '}');
    }
    return rc;
}

static enum hub_rc short_status(struct call *call)
{
    struct store_view *view;
    struct slice id = call_text(call, "task_id");
    if (!is_uuid(id)) {
        return call_fail_field(call, "task_id", "uuid_parsing", "not a UUID");
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc == HUB_OK) {
        rc = short_status_of(call, view, id);
        store_release(call->io->reader);
    }
    return rc;
}

/* ---- reading many, newest first ---- */

/* Agents that a page looks at, all its tasks together: a page of tasks that all wait for one of
 * many agents must not hold its thread for long. */
enum { PAGE_LOOKS_MAX = 10000 };

struct task_page {
    struct page page;
    uint32_t looks;
    enum hub_rc rc;
    bool by_state, by_status, by_priority, by_agent, dead;
    enum task_state state;
    enum task_status status;
    enum task_priority priority;
    uint32_t agent;
};

static bool wanted(const struct task_page *p, const struct task *task)
{
    return (!p->by_state || task->state == p->state) &&
           (!p->by_status || task_status_in(task->state) == p->status) &&
           (!p->by_priority || task->priority == p->priority) &&
           (!p->by_agent || (task->agent ? task->agent : task->last_agent) == p->agent) &&
           (!p->dead || !task->replayed_as) && task_visible(p->page.call, p->page.view, task);
}

static bool put_one(void *ctx, const struct task *task)
{
    struct task_page *p = ctx;
    if (!wanted(p, task)) {
        return true;
    }
    if (!page_takes(&p->page, task->number)) {
        return false;
    }
    p->rc = task_json(&p->page.o, p->page.call, p->page.view, task, false, &p->looks);
    return p->rc == HUB_OK;
}

static struct task_list list_of(const struct task_page *p)
{
    struct task_list list = {
        .index = TASKS_OF_APP, .app = p->page.call->who->app, .owner = p->page.asker.subject};
    if (p->by_status || p->by_state) {
        list.index = TASKS_IN_STATUS;
        list.status = p->by_state ? task_status_in(p->state) : p->status;
    } else if (!p->page.asker.all && !p->by_agent) {
        list.index = TASKS_OF_OWNER;
    }
    return list;
}

/* A word that is no state, status or priority is one that no task has; so is an agent that is not
 * there for the caller. */
static bool read_filter(struct task_page *p)
{
    struct call *call = p->page.call;
    struct slice state = call_text(call, "state"), status = call_text(call, "status");
    struct slice priority = call_text(call, "priority"), agent = call_text(call, "agent_id");
    struct agent found;
    p->by_state = state.n > 0;
    p->by_status = status.n > 0 || p->dead;
    p->by_priority = priority.n > 0;
    p->by_agent = agent.n > 0;
    if (p->dead) {
        p->status = TASK_IS_FAILED;
    }
    if (p->by_agent && agent_find(p->page.view, call->who->app, agent, &found) == STORE_OK &&
        agent_visible(call, &found)) {
        p->agent = found.number;
    }
    /* `status` takes the exact state too. */
    if (status.n && !task_status_of(status, &p->status)) {
        p->by_status = false;
        p->by_state = true;
        state = status;
    }
    return (!p->by_state || task_state_of(state, &p->state)) &&
           (!p->by_priority || task_priority_of(priority, &p->priority)) &&
           (!p->by_agent || p->agent);
}

static enum hub_rc put_tasks(struct task_page *p)
{
    struct page *page = &p->page;
    enum hub_rc rc = HUB_OK;
    page->o = answer_begin(page->call);
    page_list(page, "tasks");
    if (read_filter(p) && page->from) {
        struct task_list list = list_of(p);
        rc = hub_rc_of_store(
            tasks_each(page->view, &list, page->from, LOOKED_MAX, put_one, p, &page->next));
    }
    page_list_end(page);
    put_time(&page->o, "timestamp", page->call->now_ms);
    json_end(&page->o, '}');
    return rc == HUB_OK ? p->rc : rc;
}

static enum hub_rc list_with(struct call *call, bool dead)
{
    struct task_page p = {.looks = PAGE_LOOKS_MAX, .dead = dead};
    uint64_t newest = 0;
    enum hub_rc rc = page_open(&p.page, call, LIST_DEFAULT);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = hub_rc_of_store(task_newest(p.page.view, &newest));
    if (rc == HUB_OK) {
        rc = page_from(&p.page, newest);
    }
    if (rc == HUB_OK) {
        rc = put_tasks(&p);
    }
    page_close(&p.page);
    return rc;
}

static enum hub_rc list(struct call *call)
{
    return list_with(call, false);
}

static enum hub_rc dead_letters(struct call *call)
{
    return list_with(call, true);
}

/* ---- the table ---- */

/* clang-format off */
#define TASK_ID {"type":"string","minLength":1,"maxLength":128,"examples":["task_5c1f00000000002a"]}
#define LEASE_ID {"type":"string","minLength":1,"maxLength":64,"description":"Of the offer. With an old one nothing is changed: 409 lease_lost."}
#define TASK_WORD {"type":"string","minLength":1,"maxLength":128}
#define TASK_WORDS(text) {"type":["array","null"],"maxItems":64,"items":TASK_WORD,"description":text}
#define KEY(text) {"type":["string","null"],"maxLength":128,"description":text}
#define SECONDS(text) {"type":["number","null"],"minimum":0,"maximum":31536000,"description":text}
#define PRIORITY {"type":["string","null"],"default":"normal","description":"urgent, critical, high, normal or low, in any case."}
#define REQUIREMENTS {"type":["object","null"],"description":"What an agent must be to get it.","properties":{ \
    "agent_type":{"type":["string","null"]}, \
    "capabilities":TASK_WORDS("All of them."),"services":TASK_WORDS("All of them."), \
    "agents":TASK_WORDS("One of these agents only."),"avoid":TASK_WORDS("None of these agents."), \
    "min_health_score":{"type":["number","null"],"minimum":0,"maximum":1,"default":0.5}}}
#define SUBMIT_OPTIONS "priority":PRIORITY,"requirements":REQUIREMENTS, \
    "prefer_agents":TASK_WORDS("These first, if one of them is free."), \
    "region":KEY("Where it would best be done."), \
    "fairness_key":KEY("Keys take turns within a priority."), \
    "sticky_key":KEY("consistent_hash: the same key meets the same agent."), \
    "delay_seconds":SECONDS("Not before that."), \
    "schedule_to_start_seconds":SECONDS("Expires when it waits longer for an agent."), \
    "start_to_close_seconds":SECONDS("An attempt that takes longer has failed."), \
    "total_seconds":SECONDS("From the submit to the end, all attempts together."), \
    "input_seconds":SECONDS("Expires when input that was asked for does not come within."), \
    "lease_seconds":{"type":["number","null"],"minimum":0.05,"maximum":86400,"description":"The agent's without a renewal."}, \
    "max_attempts":{"type":["integer","null"],"minimum":1,"maximum":1000}
#define ACTED "status":SHAPE_SUCCESS,"task_id":{"type":"string"},"state":{"type":"string"},"task_status":{"type":"string"},"attempts":SHAPE_COUNT,"redeliveries":SHAPE_COUNT,"updated_at":SHAPE_TIME
#define ACTED_ANSWER SCHEMA({"type":"object","properties":{ACTED,"retry_at":SHAPE_TIME}})
#define LEASED_PARAMS(...) SCHEMA({"type":"object","required":["task_id","lease_id"],"properties":{"task_id":TASK_ID,"lease_id":LEASE_ID __VA_ARGS__}})
#define LIST_FILTER "priority":{"type":["string","null"]},"agent_id":{"type":["string","null"],"description":"That has it, or had it last."},"cursor":SHAPE_CURSOR, \
    "limit":{"type":"integer","minimum":1,"maximum":1000,"default":100}
#define LIST_ANSWER SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"tasks":REF_TASKS,"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR,"timestamp":SHAPE_TIME}})

static const struct operation rows[] = {
    { .name = "tasks.submit", .summary = "Submit a task",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/tasks/submit", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","required":["task_data"],"properties":{
          "task_data":{"type":"object","properties":{"task_id":{"type":["string","null"],"minLength":1,"maxLength":128,"description":"Its id; the hub makes one when there is none. The same id with the same body asks for the same task again."}}},
          SUBMIT_OPTIONS}}),
      .answer_schema = SCHEMA({"type":"object","required":["status","message","task_id","priority","submitted_at"],"properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},"task_id":{"type":"string"},"priority":{"type":"string"},"submitted_at":SHAPE_TIME,"state":{"type":"string"},"deduplicated":{"type":"boolean"}}}),
      .kind = &command_task_submit, .prepare = submit_prepare, .answer = submit_answer, .fields = task_submit_fields },
    { .name = "tasks.create", .summary = "Submit a task; the body is its data unless it has task_data",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/v1/tasks", 201, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"task_data":{"type":["object","null"]},SUBMIT_OPTIONS}}),
      .answer_schema = SCHEMA({"type":"object","required":["task_id","status"],"properties":{"task_id":{"type":"string","format":"uuid"},"status":{"type":"string"}}}),
      .kind = &command_task_submit, .prepare = create_prepare, .answer = create_answer },
    { .name = "tasks.short_status", .summary = "Status, progress and result of one task",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/v1/tasks/{task_id}/status", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["task_id"],"properties":{"task_id":{"type":"string","format":"uuid"}}}),
      .answer_schema = SCHEMA({"type":"object","required":["id","status","progress","result"],"properties":{"id":{"type":"string"},"status":{"type":"string"},"state":{"type":"string"},"progress":{"type":"number","minimum":0,"maximum":1},"result":{}}}),
      .query = short_status },
    { .name = "tasks.list", .summary = "Tasks, newest first",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/tasks", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","properties":{"status":{"type":["string","null"],"description":"pending, running, completed, failed, cancelled; or a state."},"state":{"type":["string","null"]},LIST_FILTER}}),
      .answer_schema = LIST_ANSWER, .query = list },
    { .name = "tasks.dead_letters", .summary = "Tasks that failed for good and were not replayed, newest first",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/tasks/dead-letters", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","properties":{LIST_FILTER}}),
      .answer_schema = LIST_ANSWER, .query = dead_letters },
    { .name = "tasks.get", .summary = "One task, with what was submitted, what came out, and why it waits",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/tasks/{task_id}", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","required":["task_id"],"properties":{"task_id":TASK_ID}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"task":REF_TASK,"timestamp":SHAPE_TIME}}),
      .query = get },
    { .name = "tasks.accept", .summary = "Take a task that was offered; the answer has its data",
      .needs = ROLE_AGENT, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/tasks/{task_id}/accept", 200, STYLE_COORDINATOR, false}},
      .params = LEASED_PARAMS(),
      .answer_schema = SCHEMA({"type":"object","properties":{ACTED,"lease_id":{"type":"string"},"lease_until":SHAPE_TIME_OR_NULL,"lease_seconds":{"type":"number","description":"Renew at a third of it."},"task_data":{"type":"object"},"input":{}}}),
      .kind = &command_task_accept, .prepare = act_prepare, .answer = accept_answer, .fields = task_act_fields },
    { .name = "tasks.reject", .summary = "Do not take a task that was offered",
      .needs = ROLE_AGENT, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/tasks/{task_id}/reject", 200, STYLE_COORDINATOR, false}},
      .params = LEASED_PARAMS(), .answer_schema = ACTED_ANSWER,
      .kind = &command_task_reject, .prepare = act_prepare, .answer = acted_answer, .fields = task_act_fields },
    { .name = "tasks.progress", .summary = "Say how far a task is; renews its lease",
      .needs = ROLE_AGENT, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/tasks/{task_id}/progress", 200, STYLE_COORDINATOR, false}},
      .params = LEASED_PARAMS(,"percent":{"type":["number","null"],"minimum":0,"maximum":100},"seq":{"type":["integer","null"],"minimum":0,"description":"One that is not newer is dropped."},"note":{"type":["string","null"],"maxLength":512}),
      .answer_schema = SCHEMA({"type":"object","properties":{ACTED,"stored":{"type":"boolean","description":"Four a second are; the others are told live."},"lease_until":SHAPE_TIME_OR_NULL}}),
      .kind = &command_task_progress, .prepare = progress_prepare, .answer = progress_answer, .fields = task_progress_fields },
    { .name = "tasks.complete", .summary = "Say that a task is done, with its result",
      .needs = ROLE_AGENT, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/tasks/{task_id}/complete", 200, STYLE_COORDINATOR, false}},
      .params = LEASED_PARAMS(,"result":{"description":"Any JSON."}), .answer_schema = ACTED_ANSWER,
      .kind = &command_task_complete, .prepare = complete_prepare, .answer = acted_answer, .fields = task_complete_fields },
    { .name = "tasks.fail", .summary = "Say that a task failed; it is tried again while it has attempts",
      .needs = ROLE_AGENT, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/tasks/{task_id}/fail", 200, STYLE_COORDINATOR, false}},
      .params = LEASED_PARAMS(,"error":{"type":["string","null"]},"retry_after":SECONDS("Try again after that."),"non_retryable":{"type":["boolean","null"]}),
      .answer_schema = ACTED_ANSWER,
      .kind = &command_task_fail, .prepare = fail_prepare, .answer = acted_answer, .fields = task_fail_fields },
    { .name = "tasks.ask", .summary = "Say that a task needs input before it can go on",
      .needs = ROLE_AGENT, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/tasks/{task_id}/ask", 200, STYLE_COORDINATOR, false}},
      .params = LEASED_PARAMS(,"question":{"type":["string","null"],"maxLength":512}), .answer_schema = ACTED_ANSWER,
      .kind = &command_task_ask, .prepare = ask_prepare, .answer = acted_answer, .fields = task_ask_fields },
    { .name = "tasks.input", .summary = "Give a task the input it asked for",
      .needs = ROLE_AGENT, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/tasks/{task_id}/input", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","required":["task_id","input"],"properties":{"task_id":TASK_ID,"input":{"description":"Any JSON."}}}),
      .answer_schema = ACTED_ANSWER,
      .kind = &command_task_input, .prepare = input_prepare, .answer = acted_answer },
    { .name = "tasks.cancel", .summary = "Cancel a task; with its lease: its agent has stopped",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/tasks/{task_id}/cancel", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","required":["task_id"],"properties":{"task_id":TASK_ID,"lease_id":LEASE_ID,"reason":SHAPE_REASON}}),
      .answer_schema = ACTED_ANSWER,
      .kind = &command_task_cancel, .prepare = cancel_prepare, .answer = acted_answer },
    { .name = "tasks.replay", .summary = "Submit a dead letter again, as a new task",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES,
      .routes = {{METHOD_POST, "/tasks/{task_id}/replay", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","required":["task_id"],"properties":{"task_id":TASK_ID}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},"task_id":{"type":"string"},"priority":{"type":"string"},"submitted_at":SHAPE_TIME,"state":{"type":"string"}}}),
      .kind = &command_task_replay, .prepare = act_prepare, .answer = submit_answer },
    { .name = "tasks.renew", .summary = "Renew all leases that an agent holds; the answer lists those that are lost",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/tasks/renew", 200, STYLE_COORDINATOR, false},
                 {METHOD_POST, "/tasks/{task_id}/renew", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","properties":{"task_id":TASK_ID,"lease_id":LEASE_ID,"leases":{"type":"array","maxItems":10000,"items":LEASE_ID}}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"renewed":SHAPE_COUNT,"lost_count":SHAPE_COUNT,"lost":{"type":"array","items":{"type":"string"},"description":"Stop working on these."},"lease_until":SHAPE_TIME_OR_NULL,"renewed_at":SHAPE_TIME}}),
      .kind = &command_task_renew, .prepare = renew_prepare, .answer = renew_answer, .fields = task_renew_fields },
};
/* clang-format on */

const struct operation_table task_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
