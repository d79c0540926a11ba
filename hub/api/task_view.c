#include "hub/api/task_view.h"
#include "hub/api/agent_view.h"
#include "hub/api/answer.h"
#include "hub/api/words.h"
#include "hub/tasks/pauses.h"

/* ---- who may see what ---- */

static bool holder_visible(const struct call *call, struct store_view *view, uint32_t number)
{
    struct agent agent;
    return number && agent_get(view, number, &agent) == STORE_OK && agent_visible(call, &agent);
}

bool task_visible(const struct call *call, struct store_view *view, const struct task *task)
{
    struct asker asker = asker_of(call->who);
    return task->app == call->who->app &&
           (asker_sees(&asker, task->owner) ||
            holder_visible(call, view, task->agent ? task->agent : task->last_agent));
}

enum hub_rc task_bad_priority(struct call *call, struct slice word)
{
    call->words = &words_task_priority;
    return call_fail(call, HUB_BAD_REQUEST, "Invalid priority: %.*s",
                     (int)(word.n < 200 ? word.n : 200), (const char *)word.p);
}

static enum hub_rc missing(struct call *call, struct slice id)
{
    int n = (int)(id.n < 200 ? id.n : 200);
    return call_fail(call, HUB_NOT_FOUND, "Task %.*s not found", n, (const char *)id.p);
}

enum hub_rc task_see_call(struct call *call, struct store_view *view, struct slice id,
                          struct task *out)
{
    if (id.n == 0 || id.n > TASK_ID_BYTES_MAX) {
        return missing(call, id);
    }
    enum store_rc rc = task_find(view, call->who->app, id, out);
    if (rc == STORE_NOT_FOUND || (rc == STORE_OK && !task_visible(call, view, out))) {
        return missing(call, id);
    }
    return hub_rc_of_store(rc);
}

/* ---- why it waits ---- */

struct survey {
    const struct call *call;
    const struct task *task;
    uint32_t fit, reached, with_slots, well, silent;
    uint32_t in_status[AGENT_STATUSES]; /* of those that fit */
    double best;                        /* health of those with slots */
    int64_t until_ms;                   /* when the first of the silent is offered work again */
    uint32_t *looks;                    /* NULL: no bound */
};

static bool all_of(const struct words *have, const struct words *wanted)
{
    struct slice rest = wanted->packed, word;
    while (words_next(&rest, &word)) {
        if (!words_have(have, word)) {
            return false;
        }
    }
    return true;
}

static bool look(void *ctx, const struct agent *agent)
{
    struct survey *s = ctx;
    const struct task_needs *n = &s->task->needs;
    if (s->looks && *s->looks == 0) {
        return false;
    }
    if (s->looks) {
        (*s->looks)--;
    }
    if (agent->status == AGENT_DEREGISTERED || (n->by_type && agent->type != n->type) ||
        (n->agents.n && !words_have(&n->agents, agent->id)) || words_have(&n->avoid, agent->id) ||
        !all_of(&agent->capabilities, &n->capabilities) ||
        !all_of(&agent->services, &n->services)) {
        return true;
    }
    s->fit++;
    s->in_status[agent->status]++;
    bool reached = agent->status == AGENT_ACTIVE && agent->connection != AGENT_STREAM_CLOSED;
    s->reached += reached;
    if (reached && agent->slots > 0) {
        double health = agent_health(s->call, agent);
        s->with_slots++;
        s->well += health >= n->health_least;
        s->best = health > s->best ? health : s->best;
        int64_t until = agent_paused_until(s->call, agent);
        if (until && health >= n->health_least) {
            s->until_ms = s->silent++ == 0 || until < s->until_ms ? until : s->until_ms;
        }
    }
    return true;
}

static void say_needs(struct buf *b, const struct task_needs *n)
{
    static const char *const between[] = {"", ", "};
    bool some = false;
    const struct {
        const char *what;
        const struct words *words;
    } lists[] = {
        {"capability ", &n->capabilities}, {"service ", &n->services}, {"id ", &n->agents}};
    if (n->by_type) {
        buf_printf(b, "type %s", agent_type_name(n->type));
        some = true;
    }
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        struct slice rest = lists[i].words->packed, word;
        while (words_next(&rest, &word)) {
            buf_add_str(b, between[some]);
            buf_add_str(b, lists[i].what);
            buf_add_slice(b, word);
            some = true;
        }
    }
    if (!some) {
        buf_add_str(b, "any kind");
    }
}

static void say_statuses(struct buf *b, const struct survey *s)
{
    const char *before = "";
    buf_printf(b, "agents that fit: %u, none of them active: ", s->fit);
    for (unsigned i = 0; i < AGENT_STATUSES; i++) {
        if (s->in_status[i]) {
            buf_printf(b, "%s%u %s", before, s->in_status[i],
                       agent_status_name((enum agent_status)i));
            before = ", ";
        }
    }
}

static const char *say_queued(struct buf *b, const struct survey *s)
{
    if (s->fit == 0) {
        buf_add_str(b, "no agent of ");
        say_needs(b, &s->task->needs);
        buf_add_str(b, " is registered");
        return "no_agent";
    }
    if (s->in_status[AGENT_ACTIVE] == 0) {
        say_statuses(b, s);
        return "agents_away";
    }
    if (s->reached == 0) {
        buf_printf(b,
                   "active agents that fit: %u, but the connection that they registered over is "
                   "closed: they have to register again",
                   s->in_status[AGENT_ACTIVE]);
        return "agents_unreachable";
    }
    if (s->with_slots == 0) {
        buf_printf(b, "active agents that fit: %u, none of them with slots", s->reached);
        return "no_slots";
    }
    if (s->well == 0) {
        buf_printf(
            b,
            "active agents that fit: %u, none of them healthy enough: the best has %.2f, the "
            "task asks for %.2f",
            s->with_slots, s->best, s->task->needs.health_least);
        return "agents_unhealthy";
    }
    if (s->silent == s->well) {
        buf_printf(b,
                   "active agents that fit: %u, all of them let offers lapse: they are offered "
                   "work again after a while",
                   s->well);
        return "agents_silent";
    }
    buf_printf(b, "active agents that fit: %u, all of them busy, or other tasks go first", s->well);
    if (s->silent) {
        buf_printf(b, "; %u of them let offers lapse", s->silent);
    }
    return "agents_busy";
}

static enum store_rc survey(struct store_view *view, struct survey *s)
{
    const struct task_needs *n = &s->task->needs;
    struct slice rest = n->capabilities.n ? n->capabilities.packed : n->services.packed, word;
    enum agent_index index = n->capabilities.n ? AGENTS_CAPABILITY
                             : n->services.n   ? AGENTS_SERVICE
                             : n->by_type      ? AGENTS_TYPE
                                               : AGENTS_ALL;
    if (!words_next(&rest, &word)) {
        word = n->by_type ? slice_str(agent_type_name(n->type)) : slice_of(NULL, 0);
    }
    return agents_each(view, s->task->app, index, word, look, s);
}

static enum hub_rc put_why_waiting(struct json_out *o, const struct call *call,
                                   struct store_view *view, const struct task *task,
                                   uint32_t *looks)
{
    struct buf text = {0};
    const char *reason = NULL;
    uint8_t paused = 0;
    int64_t until_ms = 0;
    enum store_rc rc = STORE_OK;
    struct survey s = {.call = call, .task = task, .looks = looks};
    switch (task->state) {
    case TASK_SCHEDULED:
        reason = "scheduled";
        until_ms = task->due_ms;
        buf_add_str(&text, "its time has not come");
        break;
    case TASK_RETRY_WAIT:
        reason = "retry";
        until_ms = task->due_ms;
        buf_printf(&text, "attempt %u failed, the next one is due later", task->attempts);
        break;
    case TASK_INPUT_REQUIRED:
        reason = "input";
        buf_add_str(&text, "its agent asked for input");
        break;
    case TASK_LEASED:
        reason = "offered";
        buf_add_str(&text, "it was offered to an agent that has not answered");
        break;
    case TASK_QUEUED:
        rc = pauses_of(view, task->app, &paused);
        if (rc == STORE_OK && paused >> task->priority & 1) {
            reason = "queue_paused";
            buf_printf(&text, "the queue %s is paused", task_priority_name(task->priority));
            break;
        }
        rc = rc == STORE_OK ? survey(view, &s) : rc;
        reason = rc == STORE_OK && !(looks && *looks == 0) ? say_queued(&text, &s) : NULL;
        until_ms = s.well && s.silent == s.well ? s.until_ms : 0;
        break;
    case TASK_NONE:
    case TASK_RUNNING:
    case TASK_CANCELLING:
    case TASK_COMPLETED:
    case TASK_DEAD:
    case TASK_CANCELLED:
    case TASK_EXPIRED:
    case TASK_STATES:
        break;
    }
    json_key(o, "why_waiting");
    if (reason) {
        json_begin(o, '{');
        put_str(o, "reason", reason);
        put_text(o, "message", buf_slice(&text));
        if (until_ms) {
            put_time(o, "until", until_ms);
        }
        json_end(o, '}');
    } else {
        json_put_null(o);
    }
    buf_done(&text);
    return hub_rc_of_store(rc);
}

/* ---- the object ---- */

static void put_agent(struct json_out *o, const struct call *call, struct store_view *view,
                      const struct task *task)
{
    struct agent agent;
    uint32_t number = task->agent ? task->agent : task->last_agent;
    bool known = number && agent_get(view, number, &agent) == STORE_OK;
    put_text_or_null(o, "agent_id", known ? agent.id : slice_of(NULL, 0));
    /* The lease is the agent's: whoever knows it may speak for it. One of before a restore is
     * nobody's. */
    if (task_is_held(task->state) && known && agent_visible(call, &agent) &&
        task->leased_ms >= store_renewed_ms(view)) {
        char lease[TASK_LEASE_ID_BYTES + 1];
        task_lease_id(lease, &(struct task_lease){task_life(call->io->hub->store), task->number,
                                                  task->lease});
        put_str(o, "lease_id", lease);
    }
}

static void put_progress(struct json_out *o, const struct task *task)
{
    json_key(o, "progress");
    json_begin(o, '{');
    json_key(o, "percent");
    if (task->percent == TASK_PERCENT_NONE) {
        json_put_null(o);
    } else {
        json_u64(o, task->percent);
    }
    put_count(o, "seq", task->progress_seq);
    put_text_or_null(o, "note",
                     task->state == TASK_INPUT_REQUIRED ? slice_of(NULL, 0) : task->note);
    json_end(o, '}');
}

static void put_needs(struct json_out *o, const struct task_needs *n)
{
    json_key(o, "requirements");
    json_begin(o, '{');
    json_key(o, "agent_type");
    if (n->by_type) {
        json_str(o, agent_type_name(n->type));
    } else {
        json_put_null(o);
    }
    put_words(o, "capabilities", &n->capabilities);
    put_words(o, "services", &n->services);
    put_words(o, "agents", &n->agents);
    put_words(o, "avoid", &n->avoid);
    json_key(o, "min_health_score");
    json_double(o, n->health_least);
    json_end(o, '}');
}

static void put_other(struct json_out *o, struct store_view *view, const char *key, uint64_t number)
{
    struct task other;
    bool known = number && task_get(view, number, &other) == STORE_OK;
    put_text_or_null(o, key, known ? other.id : slice_of(NULL, 0));
}

static void put_times(struct json_out *o, const struct task *task)
{
    bool later = task->state == TASK_SCHEDULED || task->state == TASK_RETRY_WAIT;
    put_time(o, "submitted_at", task->submitted_ms);
    put_time(o, "updated_at", task->changed_ms);
    put_time_or_null(o, "due_at", later ? task->due_ms : 0);
    put_time_or_null(o, "started_at", task->started_ms);
    put_time_or_null(o, "finished_at", task->finished_ms);
}

enum hub_rc put_task_result(struct json_out *o, struct store_view *view, const struct task *task)
{
    struct slice json;
    enum store_rc rc = task_document(view, task->number, TASK_RESULT, &json);
    json_key(o, "result");
    if (rc == STORE_OK) {
        json_raw(o, json);
    } else {
        json_put_null(o);
    }
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

static enum hub_rc put_whole(struct json_out *o, struct store_view *view, const struct task *task)
{
    struct slice json;
    enum hub_rc rc = hub_rc_of_store(task_document(view, task->number, TASK_DATA, &json));
    if (rc == HUB_OK) {
        json_key(o, "task_data");
        json_raw(o, json);
        rc = put_task_result(o, view, task);
    }
    if (rc == HUB_OK) {
        put_needs(o, &task->needs);
        put_other(o, view, "replay_of", task->replay_of);
        put_other(o, view, "replayed_as", task->replayed_as);
    }
    return rc;
}

enum hub_rc task_json(struct json_out *o, const struct call *call, struct store_view *view,
                      const struct task *task, bool whole, uint32_t *looks)
{
    json_begin(o, '{');
    put_text(o, "task_id", task->id);
    put_str(o, "status", task_status_name(task_status_in(task->state)));
    put_str(o, "state", task_state_name(task->state));
    put_str(o, "priority", task_priority_name(task->priority));
    put_text_or_null(o, "owner", task->owner);
    put_agent(o, call, view, task);
    put_count(o, "attempts", task->attempts);
    put_count(o, "max_attempts", task->attempts_max);
    put_count(o, "redeliveries", task->redeliveries);
    put_times(o, task);
    put_text_or_null(o, "stop_reason", slice_str(task_stop_name(task->stop)));
    put_bool(o, "dead_letter", task_status_in(task->state) == TASK_IS_FAILED);
    put_text_or_null(o, "error", task->error);
    put_progress(o, task);
    put_text_or_null(o, "question",
                     task->state == TASK_INPUT_REQUIRED ? task->note : slice_of(NULL, 0));
    enum hub_rc rc = whole ? put_whole(o, view, task) : HUB_OK;
    rc = rc == HUB_OK ? put_why_waiting(o, call, view, task, looks) : rc;
    json_end(o, '}');
    return rc;
}
