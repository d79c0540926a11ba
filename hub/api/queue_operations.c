/* Queues of tasks, whole: how many wait in each and how they are distributed, emptying or pausing
 * one, and dead letters by the filter. */
#include "hub/api/answer.h"
#include "hub/api/components.h"
#include "hub/api/tables.h"
#include "hub/api/task_view.h"
#include "hub/api/words.h"
#include "hub/tasks/pauses.h"

/* ---- many tasks at once ---- */

static enum hub_rc clear_prepare(struct call *call, struct buf *body)
{
    struct slice word = call_text(call, "priority");
    struct task_many many = {.asker = asker_of(call->who), .said = word};
    if (!task_priority_of(word, &many.priority)) {
        return task_bad_priority(call, word);
    }
    enum hub_rc rc = call_reason(call, &many.reason);
    if (rc == HUB_OK) {
        task_many_put(body, &many);
    }
    return rc;
}

static enum hub_rc clear_answer(struct call *call, const struct command *command,
                                struct slice reply)
{
    struct task_did_many did;
    (void)command;
    if (!task_did_many_get(reply, &did)) {
        return HUB_INTERNAL;
    }
    struct json_out o = answer_begin(call);
    put_message(&o, "Queue ", did.said, " cleared");
    put_text(&o, "priority", did.said);
    put_count(&o, "cleared_count", did.n);
    put_bool(&o, "more", did.more);
    put_time(&o, "timestamp", did.at_ms);
    json_end(&o, '}');
    return HUB_OK;
}

static enum hub_rc pause_prepare_as(struct call *call, struct buf *body, bool pause)
{
    struct pause_change c = {.said = call_text(call, "priority"), .pause = pause};
    enum task_priority priority;
    if (slice_is(c.said, "all")) {
        c.priorities = PAUSE_ALL;
    } else if (task_priority_of(c.said, &priority)) {
        c.priorities = (uint8_t)(1 << priority);
    } else {
        return task_bad_priority(call, c.said);
    }
    enum hub_rc rc = call_why(call, &c.why);
    if (rc == HUB_OK) {
        pause_change_put(body, &c);
    }
    return rc;
}

static enum hub_rc pause_prepare(struct call *call, struct buf *body)
{
    return pause_prepare_as(call, body, true);
}

static enum hub_rc resume_prepare(struct call *call, struct buf *body)
{
    return pause_prepare_as(call, body, false);
}

static enum hub_rc pause_answer(struct call *call, const struct command *command,
                                struct slice reply)
{
    struct pause_changed c;
    (void)command;
    if (!pause_changed_get(reply, &c)) {
        return HUB_INTERNAL;
    }
    struct json_out o = answer_begin(call);
    put_text(&o, "priority", c.said);
    put_paused(&o, c.paused);
    put_time(&o, "timestamp", c.at_ms);
    json_end(&o, '}');
    return HUB_OK;
}

/* A dead letter has failed: it was neither completed nor cancelled. */
static bool failure_of(struct slice word, enum task_stop *out)
{
    for (unsigned i = STOP_NON_RETRYABLE; i < STOP_CANCELLED; i++) {
        if (slice_is(word, task_stop_name((enum task_stop)i))) {
            *out = (enum task_stop)i;
            return true;
        }
    }
    return false;
}

static enum hub_rc dead_letters_prepare(struct call *call, struct buf *body)
{
    struct task_many many = {.asker = asker_of(call->who), .priority = TASK_PRIORITIES};
    struct slice priority = call_text(call, "priority"), stop = call_text(call, "stop_reason");
    if (priority.p && !task_priority_of(priority, &many.priority)) {
        return task_bad_priority(call, priority);
    }
    if (stop.p && !failure_of(stop, &many.stop)) {
        return call_fail_word(call, "stop_reason", "stop_reason of a failed task", stop,
                              &words_task_failure);
    }
    many.n_max = (uint32_t)call_int(call, "limit", 1000);
    enum hub_rc rc = call_reason(call, &many.reason); /* of a purge alone */
    if (rc == HUB_OK) {
        task_many_put(body, &many);
    }
    return rc;
}

static enum hub_rc dead_letters_answer(struct call *call, const char *count, struct slice reply)
{
    struct task_did_many did;
    if (!task_did_many_get(reply, &did)) {
        return HUB_INTERNAL;
    }
    struct json_out o = answer_begin(call);
    put_count(&o, count, did.n);
    put_bool(&o, "more", did.more);
    put_time(&o, "timestamp", did.at_ms);
    json_end(&o, '}');
    return HUB_OK;
}

static enum hub_rc replay_many_answer(struct call *call, const struct command *command,
                                      struct slice reply)
{
    (void)command;
    return dead_letters_answer(call, "replayed_count", reply);
}

static enum hub_rc purge_answer(struct call *call, const struct command *command,
                                struct slice reply)
{
    (void)command;
    return dead_letters_answer(call, "purged_count", reply);
}

/* ---- figures ---- */

static void figures_of(const struct call *call, struct tasks_figures *out)
{
    tasks_figures(writer_module(call->io->hub->writer, MODULE_TASKS), call->who->app, out);
}

static void put_queue_sizes(struct json_out *o, const struct tasks_figures *f)
{
    json_key(o, "queue_sizes");
    json_begin(o, '{');
    for (unsigned i = 0; i < TASK_PRIORITIES; i++) {
        put_count(o, task_priority_name((enum task_priority)i), f->queued[i]);
    }
    json_end(o, '}');
}

static void put_seconds(struct json_out *o, const char *key, uint64_t ms, uint64_t n)
{
    json_key(o, key);
    json_double(o, n ? (double)ms / (double)n / 1000.0 : 0);
}

static void put_share(struct json_out *o, const char *key, uint64_t part, uint64_t rest)
{
    json_key(o, key);
    json_double(o, part + rest ? (double)part / (double)(part + rest) : 0);
}

static void put_distribution(struct json_out *o, const struct tasks_figures *f)
{
    const struct task_totals *t = &f->totals;
    uint64_t failed = t->in_state[TASK_DEAD] + t->in_state[TASK_EXPIRED];
    /* Of what was given to an agent: it died there, or came back as nobody did it. */
    uint64_t in_vain = t->in_state[TASK_DEAD] + t->redelivered + t->rejected;
    put_count(o, "tasks_distributed", t->distributed);
    put_count(o, "tasks_completed", t->in_state[TASK_COMPLETED]);
    put_count(o, "tasks_failed", failed);
    put_seconds(o, "avg_distribution_time", t->distribution_ms, t->distributed);
    json_key(o, "load_balancer_stats");
    json_begin(o, '{');
    put_count(o, "total_assignments", t->distributed);
    put_count(o, "successful_assignments", t->in_state[TASK_COMPLETED]);
    put_count(o, "failed_assignments", in_vain);
    put_share(o, "success_rate", t->in_state[TASK_COMPLETED], in_vain);
    json_end(o, '}');
}

static void put_states(struct json_out *o, const struct tasks_figures *f)
{
    json_key(o, "states");
    json_begin(o, '{');
    for (unsigned i = TASK_NONE + 1; i < TASK_STATES; i++) {
        put_count(o, task_state_name((enum task_state)i), f->totals.in_state[i]);
    }
    json_end(o, '}');
    put_count(o, "redelivered", f->totals.redelivered);
    put_count(o, "rejected", f->totals.rejected);
}

static enum hub_rc stats(struct call *call)
{
    struct tasks_figures f;
    figures_of(call, &f);
    struct json_out o = answer_begin(call);
    json_key(&o, "stats");
    json_begin(&o, '{');
    put_distribution(&o, &f);
    put_queue_sizes(&o, &f);
    put_states(&o, &f);
    json_end(&o, '}');
    put_time(&o, "timestamp", call->now_ms);
    json_end(&o, '}');
    return HUB_OK;
}

static enum hub_rc paused_of(struct call *call, uint8_t *out)
{
    struct store_view *view;
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(pauses_of(view, call->who->app, out));
        store_release(call->io->reader);
    }
    return rc;
}

/* The beginning of both answers about the queues. */
static enum hub_rc queues_begin(struct call *call, struct tasks_figures *f, struct json_out *o)
{
    uint8_t paused;
    enum hub_rc rc = paused_of(call, &paused);
    if (rc != HUB_OK) {
        return rc;
    }
    figures_of(call, f);
    *o = answer_begin(call);
    put_queue_sizes(o, f);
    put_paused(o, paused);
    return HUB_OK;
}

static void queues_end(struct json_out *o, const struct call *call)
{
    put_time(o, "timestamp", call->now_ms);
    json_end(o, '}');
}

static enum hub_rc queues(struct call *call)
{
    struct tasks_figures f;
    struct json_out o;
    enum hub_rc rc = queues_begin(call, &f, &o);
    if (rc == HUB_OK) {
        queues_end(&o, call);
    }
    return rc;
}

static enum hub_rc queue_stats(struct call *call)
{
    struct tasks_figures f;
    struct json_out o;
    enum hub_rc rc = queues_begin(call, &f, &o);
    if (rc == HUB_OK) {
        json_key(&o, "distribution_stats");
        json_begin(&o, '{');
        put_distribution(&o, &f);
        put_states(&o, &f);
        json_end(&o, '}');
        queues_end(&o, call);
    }
    return rc;
}

/* ---- the table ---- */

/* clang-format off */
#define PAUSED {"type":"array","items":{"type":"string"},"description":"Priorities that are offered to nobody."}
#define PAUSE_PARAMS SCHEMA({"type":"object","required":["priority"],"properties":{"priority":{"type":"string","description":"One of them, or all."},"reason":SHAPE_REASON}})
#define PAUSE_ANSWER SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"priority":{"type":"string"},"paused":PAUSED,"timestamp":SHAPE_TIME}})
#define DEAD_LETTERS "priority":{"type":["string","null"]},"stop_reason":{"type":["string","null"]},"limit":{"type":"integer","minimum":1,"maximum":10000,"default":1000}
#define QUEUE_SIZES {"type":"object","additionalProperties":SHAPE_COUNT}
#define DISTRIBUTION "tasks_distributed":SHAPE_COUNT,"tasks_completed":SHAPE_COUNT,"tasks_failed":SHAPE_COUNT, \
    "avg_distribution_time":{"type":"number","description":"Seconds from being queued to being offered."}, \
    "load_balancer_stats":{"type":"object"},"states":{"type":"object","additionalProperties":SHAPE_COUNT}, \
    "redelivered":SHAPE_COUNT,"rejected":SHAPE_COUNT

static const struct operation rows[] = {
    { .name = "tasks.replay_many", .summary = "Submit dead letters again, as new tasks",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES,
      .routes = {{METHOD_POST, "/tasks/dead-letters/replay", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","properties":{DEAD_LETTERS}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"replayed_count":SHAPE_COUNT,"more":{"type":"boolean"},"timestamp":SHAPE_TIME}}),
      .kind = &command_tasks_replay, .prepare = dead_letters_prepare, .answer = replay_many_answer },
    { .name = "tasks.purge", .summary = "Take dead letters out of their list: they stay as tasks that failed",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/tasks/dead-letters/purge", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","properties":{DEAD_LETTERS,"reason":SHAPE_REASON}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"purged_count":SHAPE_COUNT,"more":{"type":"boolean"},"timestamp":SHAPE_TIME}}),
      .kind = &command_tasks_purge, .prepare = dead_letters_prepare, .answer = purge_answer },
    { .name = "tasks.stats", .summary = "Tasks in figures",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/tasks/status", 200, STYLE_COORDINATOR, false}},
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"stats":{"type":"object","properties":{DISTRIBUTION,"queue_sizes":QUEUE_SIZES}},"timestamp":SHAPE_TIME}}),
      .query = stats },
    { .name = "tasks.queues", .summary = "How many tasks wait, by priority",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/tasks/queues", 200, STYLE_COORDINATOR, false}},
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"queue_sizes":QUEUE_SIZES,"paused":PAUSED,"timestamp":SHAPE_TIME}}),
      .query = queues },
    { .name = "tasks.queue_stats", .summary = "How many tasks wait, and how they are distributed",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/tasks/queues/stats", 200, STYLE_COORDINATOR, false}},
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"queue_sizes":QUEUE_SIZES,"paused":PAUSED,"distribution_stats":{"type":"object","properties":{DISTRIBUTION}},"timestamp":SHAPE_TIME}}),
      .query = queue_stats },
    { .name = "tasks.clear", .summary = "Cancel the queued tasks of one priority, 10,000 at a time",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/tasks/queues/{priority}/clear", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","required":["priority"],"properties":{"priority":{"type":"string"},"reason":SHAPE_REASON}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},"priority":{"type":"string"},"cleared_count":SHAPE_COUNT,"more":{"type":"boolean"},"timestamp":SHAPE_TIME}}),
      .kind = &command_tasks_clear, .prepare = clear_prepare, .answer = clear_answer },
    { .name = "tasks.queue_pause", .summary = "Offer the tasks of one priority to nobody, until it is resumed; it outlives a restart",
      .needs = ROLE_OPERATOR,
      .routes = {{METHOD_POST, "/tasks/queues/{priority}/pause", 200, STYLE_COORDINATOR, false}},
      .params = PAUSE_PARAMS, .answer_schema = PAUSE_ANSWER,
      .kind = &command_queue_pause, .prepare = pause_prepare, .answer = pause_answer },
    { .name = "tasks.queue_resume", .summary = "Offer the tasks of one priority again",
      .needs = ROLE_OPERATOR,
      .routes = {{METHOD_POST, "/tasks/queues/{priority}/resume", 200, STYLE_COORDINATOR, false}},
      .params = PAUSE_PARAMS, .answer_schema = PAUSE_ANSWER,
      .kind = &command_queue_pause, .prepare = resume_prepare, .answer = pause_answer },
};
/* clang-format on */

const struct operation_table queue_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
