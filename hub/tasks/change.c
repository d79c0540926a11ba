/* The one way in which a task changes, whoever asks for it: the row, the totals, what is kept in
 * memory, what the channels and the group hear, all within one transaction. */
#include "hub/tasks/inside.h"

enum { DOCUMENT_TOLD_MAX = 2048, BACKOFF_DOUBLINGS_MAX = 30 };

bool task_move(struct task *after, enum task_event event)
{
    enum task_state next = task_next(after->state, event);
    if (next == TASK_NONE) {
        return false;
    }
    after->state = next;
    return true;
}

/* ---- what is told ---- */

static void put_agent(struct json_out *o, struct apply *a, uint32_t number)
{
    struct slice id = agent_id_of(a, number);
    json_field(o, "agent_id");
    if (id.n) {
        json_text(o, id);
    } else {
        json_put_null(o);
    }
}

static void put_state(struct json_out *o, const struct task *k, enum task_state before)
{
    json_field(o, "task_id");
    json_text(o, k->id);
    json_field(o, "state");
    json_plain(o, task_state_name(k->state));
    json_field(o, "status");
    json_plain(o, task_status_name(task_status_in(k->state)));
    json_field(o, "previous_state");
    if (before == TASK_NONE) {
        json_put_null(o);
    } else {
        json_plain(o, task_state_name(before));
    }
    json_field(o, "priority");
    json_plain(o, task_priority_name(k->priority));
}

static void put_ends(struct json_out *o, const struct task *k)
{
    if (k->stop != STOP_NONE) {
        json_field(o, "stop_reason");
        json_plain(o, task_stop_name(k->stop));
    }
    if (k->error.n && (k->state == TASK_DEAD || k->state == TASK_RETRY_WAIT)) {
        json_field(o, "error");
        json_text(o, k->error);
    }
    if (k->state == TASK_SCHEDULED || k->state == TASK_RETRY_WAIT) {
        json_field(o, "due_at");
        json_time(o, k->due_ms);
    }
    if (k->state == TASK_INPUT_REQUIRED) {
        json_field(o, "question");
        json_text(o, k->note);
    }
}

/* What is told is put together in one place; it is stored before anything else is told. */
static struct buf *begin_telling(struct tasks *t)
{
    buf_clear(&t->told);
    return &t->told;
}

/* The same for all events of a batch. */
static void put_now(struct json_out *o, const struct apply *a)
{
    struct tasks *t = tasks_of(a);
    if (t->now_ms != a->now_ms) {
        t->now_ms = a->now_ms;
        json_time_put(t->now, a->now_ms);
    }
    json_escaped(o, slice_of(t->now, sizeof t->now));
}

/* *channel: the number of its own, see apply_tell_known(). */
static enum hub_rc tell(struct apply *a, const struct task *k, enum task_state before,
                        const char *event, const struct task_told *told, uint64_t *channel)
{
    struct tasks *t = tasks_of(a);
    struct buf *data = begin_telling(t);
    struct json_out o = json_out_to(data);
    json_begin(&o, '{');
    put_state(&o, k, before);
    put_agent(&o, a, task_is_held(k->state) ? k->agent : k->last_agent);
    json_field(&o, "attempts");
    json_u64(&o, k->attempts);
    json_field(&o, "redeliveries");
    json_u64(&o, k->redeliveries);
    put_ends(&o, k);
    if (told->document.n && told->document.n <= DOCUMENT_TOLD_MAX) {
        json_field(&o, "result");
        json_raw(&o, told->document);
    }
    if (told->why.by.n) {
        json_field(&o, "by");
        json_text(&o, told->why.by);
    }
    if (told->why.reason.n) {
        json_field(&o, "reason");
        json_text(&o, told->why.reason);
    }
    json_field(&o, "at");
    put_now(&o, a);
    json_end(&o, '}');
    enum hub_rc rc = apply_tell_known(a, k->app, slice_str("tasks"), &tasks_app(t, k->app)->channel,
                                      event, buf_slice(data));
    if (rc == HUB_OK) {
        rc = apply_tell_known(a, k->app, kept_channel(t, k), channel, event, buf_slice(data));
    }
    return rc;
}

enum hub_rc task_tell_agent(struct apply *a, const struct task *k, const char *event,
                            int64_t until_ms)
{
    struct tasks *t = tasks_of(a);
    struct worker *w = worker_of(t, k->agent);
    if (!w) {
        return HUB_OK;
    }
    struct buf *data = begin_telling(t);
    char lease[TASK_LEASE_ID_BYTES + 1];
    task_lease_id(lease, &(struct task_lease){t->options.life, k->number, k->lease});
    struct json_out o = json_out_to(data);
    json_begin(&o, '{');
    json_field(&o, "task_id");
    json_text(&o, k->id);
    json_field(&o, "lease_id");
    json_plain(&o, lease);
    json_field(&o, "agent_id");
    json_text(&o, w->id);
    json_field(&o, "priority");
    json_plain(&o, task_priority_name(k->priority));
    json_field(&o, "attempt");
    json_u64(&o, (uint64_t)k->attempts + 1);
    json_field(&o, "redeliveries");
    json_u64(&o, k->redeliveries);
    json_field(&o, "deadline");
    json_time(&o, until_ms);
    json_field(&o, "at");
    put_now(&o, a);
    json_end(&o, '}');
    return apply_tell_known(a, k->app, w->channel_name, &w->channel, event, buf_slice(data));
}

enum hub_rc task_tell_progress(struct apply *a, const struct task *k, bool stored)
{
    struct tasks *t = tasks_of(a);
    struct buf *data = begin_telling(t);
    struct json_out o = json_out_to(data);
    json_begin(&o, '{');
    put_state(&o, k, k->state);
    put_agent(&o, a, k->agent);
    json_field(&o, "seq");
    json_u64(&o, k->progress_seq);
    if (k->percent != TASK_PERCENT_NONE) {
        json_field(&o, "percent");
        json_u64(&o, k->percent);
    }
    json_field(&o, "note");
    json_text(&o, k->note);
    json_field(&o, "at");
    put_now(&o, a);
    json_end(&o, '}');
    struct slice channel = kept_channel(t, k);
    if (stored) {
        return apply_tell(a, k->app, channel, "progress", buf_slice(data));
    }
    apply_stream(a, k->app, channel, "progress", buf_slice(data));
    return HUB_OK;
}

/* Last, so that a watcher that submits or cancels finds everything in order. */
static enum hub_rc tell_group(struct apply *a, const struct task *k, enum task_state before)
{
    const struct tasks_options *options = &tasks_of(a)->options;
    void *state = a->state;
    enum hub_rc rc = HUB_OK;
    for (unsigned i = 0; k->group.module && rc == HUB_OK && i < options->watchers_n; i++) {
        const struct task_watcher *watcher = &options->watchers[i];
        if (watcher->module + 1 == k->group.module) {
            a->state = writer_module(a->writer, watcher->module);
            rc = watcher->changed(a, k, before);
        }
    }
    a->state = state;
    return rc;
}

/* ---- the change ---- */

static void count(struct apply *a, struct tasks *t, const struct task *after,
                  const struct task *before)
{
    struct tasks_app *app = tasks_app(t, after->app);
    struct task_totals *n = &app->totals;
    enum task_state was = before ? before->state : TASK_NONE;
    n->in_state[was] -= was != TASK_NONE;
    n->in_state[after->state]++;
    if (was == TASK_QUEUED && after->state == TASK_LEASED) {
        n->distributed++;
        n->distribution_ms += (uint64_t)(a->now_ms - before->changed_ms);
    }
    if (before && task_is_held(was) && after->state == TASK_QUEUED) { /* lost, or handed back */
        bool lost = after->redeliveries > before->redeliveries;
        n->redelivered += lost;
        n->rejected += !lost;
    }
    app->totals_moved = true;
}

/* Who drains waits for the end of its last. */
static void released(struct apply *a, uint32_t agent)
{
    const struct worker *w = worker_of(tasks_of(a), agent);
    if (w && w->status == AGENT_DRAINING && w->held_n == 0) {
        agents_released(writer_module(a->writer, MODULE_AGENTS), agent, a->now_ms);
    }
}

enum hub_rc task_change(struct apply *a, const struct task *before, struct task *after,
                        const char *event, struct slice document)
{
    return task_change_told(a, before, after, event, &(struct task_told){.document = document});
}

/* What was told of its progress and not stored yet comes to the history before the change. What the
 * change itself says of it (all is done, a question) stands. */
static enum hub_rc take_ahead(struct apply *a, struct live *live, struct task *after)
{
    const struct task *ahead = ahead_task(live);
    enum hub_rc rc = task_tell_progress(a, ahead, true);
    after->progress_seq = ahead->progress_seq;
    after->progress_ms = a->now_ms;
    after->percent = after->state == TASK_COMPLETED ? after->percent : ahead->percent;
    after->note = after->state == TASK_INPUT_REQUIRED ? after->note : ahead->note;
    ahead_drop(tasks_of(a), live);
    return rc;
}

enum hub_rc task_change_told(struct apply *a, const struct task *before, struct task *after,
                             const char *event, const struct task_told *told)
{
    struct tasks *t = tasks_of(a);
    enum task_state was = before ? before->state : TASK_NONE;
    uint32_t holder = before ? before->agent : 0;
    after->changed_ms = a->now_ms;
    if (after->state == TASK_QUEUED && was != TASK_QUEUED && was != TASK_LEASED) {
        after->due_ms = a->now_ms; /* an offer that nobody took does not end its waiting */
    }
    if (task_is_over(after->state)) {
        after->finished_ms = a->now_ms;
    }
    if (!task_is_held(after->state) && after->agent) {
        after->last_agent = after->agent;
        after->agent = 0;
    }
    struct live *live = live_find(t, after->number);
    uint64_t channel = live ? live->channel : 0;
    enum hub_rc rc = live && ahead_task(live) ? take_ahead(a, live, after) : HUB_OK;
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(task_put(a->txn, after, before));
    }
    if (rc == HUB_OK) {
        count(a, t, after, before);
        rc = tell(a, after, was, event, told, &channel);
    }
    if (rc == HUB_OK) {
        struct live *now = live_set(t, after, channel, a->now_ms);
        if (now) {
            kept_set(t, now, after, told->data);
        }
        if (holder && !after->agent) {
            released(a, holder);
        }
        rc = tell_group(a, after, was);
    }
    return rc;
}

enum hub_rc task_note(struct apply *a, const struct task *before, const struct task *after,
                      const char *event, const struct why *why)
{
    uint64_t channel = 0; /* of tasks that are over none is remembered */
    enum hub_rc rc = hub_rc_of_store(task_put(a->txn, after, before));
    return rc == HUB_OK
               ? tell(a, after, before->state, event, &(struct task_told){.why = *why}, &channel)
               : rc;
}

/* ---- ends and returns ---- */

/* What its tasks come to is part of an agent's health. The row is written when that has moved
 * enough to be seen. */
void task_outcome(struct apply *a, const struct task *before, bool ok)
{
    static const double share = 0.1, worth_writing = 0.05;
    struct tasks *t = tasks_of(a);
    uint32_t number = before->agent ? before->agent : before->last_agent;
    struct place *p = place_of(t, number);
    if (!p) {
        return;
    }
    balance_finished(t->balance, before->app, number, ok, a->now_ms - before->started_ms);
    p->success += share * ((ok ? 1.0 : 0.0) - p->success);
    double moved = p->success - p->success_stored;
    struct agent agent;
    if ((moved > worth_writing || moved < -worth_writing) &&
        agent_get(a->view, number, &agent) == STORE_OK) {
        struct buf bytes = {0};
        struct agent after;
        agent_pack(&bytes, &agent);
        if (agent_unpack(buf_slice(&bytes), &after)) {
            struct agent row = after;
            after.success = p->success_stored = p->success;
            (void)agent_put(a->txn, &after, &row); /* a full store is found by the task's own row */
        }
        buf_done(&bytes);
    }
}

/* Full jitter: from nothing to twice as long as the time before, within the cap. */
static int64_t backoff(const struct hub_settings *s, const struct task *k, const uint8_t *seed)
{
    unsigned doublings = k->attempts > 1 ? k->attempts - 1u : 0;
    doublings = doublings < BACKOFF_DOUBLINGS_MAX ? doublings : BACKOFF_DOUBLINGS_MAX;
    int64_t most = s->task_retry_ms << doublings;
    most = most < s->task_retry_max_ms ? most : s->task_retry_max_ms;
    uint8_t drawn[SEED_BYTES + 8];
    memcpy(drawn, seed, SEED_BYTES);
    be64_put(drawn + SEED_BYTES, k->number ^ (uint64_t)k->attempts << 48);
    return (int64_t)(hash64(0, slice_of(drawn, sizeof drawn)) % (uint64_t)(most + 1));
}

/* final STOP_NONE: it may be tried again, if it has attempts and time left; otherwise the reason.
 */
enum hub_rc task_failed(struct apply *a, const struct task *before, struct slice error,
                        enum task_stop final, int64_t after_ms, const char *event)
{
    const struct hub_settings *s = task_settings(tasks_of(a));
    struct task after = *before;
    after.attempts++;
    after.error = error;
    int64_t due = a->now_ms + (after_ms >= 0 ? after_ms : backoff(s, &after, a->seed));
    if (final == STOP_NONE && after.attempts >= after.attempts_max) {
        final = STOP_ATTEMPTS;
    }
    if (final == STOP_NONE && after.total_within_ms &&
        due >= after.submitted_ms + after.total_within_ms) {
        final = STOP_TOTAL_TIMEOUT;
    }
    task_outcome(a, before, false);
    if (final != STOP_NONE) {
        after.stop = final;
        return task_move(&after, TASK_FAIL)
                   ? task_change(a, before, &after, "dead", slice_of(NULL, 0))
                   : HUB_CONFLICT;
    }
    after.due_ms = due;
    return task_move(&after, TASK_RETRY) ? task_change(a, before, &after, event, slice_of(NULL, 0))
                                         : HUB_CONFLICT;
}

/* Its agent is gone, or silent for longer than the lease. An offer that nobody accepted was not
 * lost: it goes to somebody else. */
enum hub_rc task_lost(struct apply *a, const struct task *before, const char *event)
{
    const struct hub_settings *s = task_settings(tasks_of(a));
    struct task after = *before;
    if (before->state == TASK_CANCELLING) {
        after.stop = STOP_GRACE;
        return task_move(&after, TASK_CONFIRM)
                   ? task_change(a, before, &after, "cancelled", slice_of(NULL, 0))
                   : HUB_CONFLICT;
    }
    if (before->state == TASK_RUNNING) {
        after.redeliveries++;
        task_outcome(a, before, false);
    }
    if (after.redeliveries > s->task_redeliveries_max) {
        after.stop = STOP_POISON;
        return task_move(&after, TASK_FAIL)
                   ? task_change(a, before, &after, "dead", slice_of(NULL, 0))
                   : HUB_CONFLICT;
    }
    return task_move(&after, TASK_LOSE) ? task_change(a, before, &after, event, slice_of(NULL, 0))
                                        : HUB_CONFLICT;
}

enum hub_rc task_cancel_with(struct apply *a, const struct task *before, enum task_stop stop,
                             const struct why *why)
{
    struct task after = *before;
    if (!task_move(&after, TASK_CANCEL)) {
        return HUB_CONFLICT;
    }
    after.stop = stop;
    enum hub_rc rc = HUB_OK;
    if (task_is_held(before->state)) {
        int64_t grace = task_settings(tasks_of(a))->task_cancel_grace_ms;
        rc = task_tell_agent(a, before, "task_cancel", a->now_ms + grace);
    }
    const char *event = after.state == TASK_CANCELLING ? "cancelling" : "cancelled";
    struct task_told told = {.why = *why};
    return rc == HUB_OK ? task_change_told(a, before, &after, event, &told) : rc;
}

enum hub_rc task_cancel_inside(struct apply *a, uint64_t number, enum task_stop stop)
{
    struct task task;
    enum hub_rc rc = task_take(a, number, &task);
    if (rc != HUB_OK || task_is_over(task.state) || task.state == TASK_CANCELLING) {
        return rc;
    }
    return task_cancel_with(a, &task, stop, &(struct why){.by = {0}});
}

/* ---- a new one ---- */

static struct task task_of_spec(const struct task_spec *s, const struct hub_settings *hub,
                                int64_t now_ms)
{
    return (struct task){
        .owner = s->owner,
        .priority = s->priority,
        .state = s->delay_ms > 0 ? TASK_SCHEDULED : TASK_QUEUED,
        .attempts_max = s->attempts_max ? s->attempts_max : (uint16_t)hub->task_attempts_max,
        .submitted_ms = now_ms,
        .queued_ms = now_ms + (s->delay_ms > 0 ? s->delay_ms : 0),
        .due_ms = s->delay_ms > 0 ? now_ms + s->delay_ms : 0,
        .start_within_ms = s->start_within_ms,
        .close_within_ms = s->close_within_ms,
        .total_within_ms = s->total_within_ms,
        .input_within_ms = s->input_within_ms,
        .lease_ms = s->lease_ms ? s->lease_ms : hub->task_lease_ms,
        .needs = s->needs,
        .prefer = s->prefer,
        .region = s->region,
        .fairness = s->fairness,
        .sticky = s->sticky,
        .group = s->group,
        .replay_of = s->replay_of,
        .percent = TASK_PERCENT_NONE,
    };
}

enum hub_rc task_create(struct apply *a, const struct task_spec *spec, uint64_t request_hash,
                        const uint8_t *seed, struct task *out, struct buf *out_id)
{
    struct tasks *t = tasks_of(a);
    *out = task_of_spec(spec, task_settings(t), a->now_ms);
    out->number = t->newest + 1;
    out->app = a->app;
    out->request_hash = request_hash;
    if (spec->id.n) {
        buf_add_slice(out_id, spec->id);
    } else if (spec->uuid) {
        task_uuid_mint(out_id, out->number, a->now_ms, seed);
    } else {
        task_id_mint(out_id, out->number, seed);
    }
    out->id = buf_slice(out_id);
    struct slice data = spec->data.n ? spec->data : slice_str("{}");
    enum hub_rc rc = hub_rc_of_store(task_document_put(a->txn, out->number, TASK_DATA, data));
    if (rc == HUB_OK) {
        t->newest = out->number;
        struct task_told told = {.why = {.by = spec->by}, .data = data};
        rc = task_change_told(a, NULL, out, "submitted", &told);
    }
    return rc;
}

enum hub_rc task_submit_inside(struct apply *a, const struct task_spec *spec, uint32_t nth,
                               uint64_t *out_number)
{
    uint8_t mixed[SEED_BYTES + 4], seed[SEED_BYTES];
    memcpy(mixed, a->seed, SEED_BYTES);
    be32_put(mixed + SEED_BYTES, nth);
    struct hash128 drawn = hash128(0, slice_of(mixed, sizeof mixed));
    be64_put(seed, drawn.hi);
    be64_put(seed + 8, drawn.lo);
    struct task task;
    struct buf id = {0};
    enum hub_rc rc = task_create(a, spec, 0, seed, &task, &id);
    if (rc == HUB_OK) {
        *out_number = task.number;
    }
    buf_done(&id);
    return rc;
}
