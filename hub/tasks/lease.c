/* What the agent that holds a task says of it, fenced by the lease: a report with an old one
 * changes nothing. One exception: the lease lapsed, but nobody else has the task yet; then its work
 * counts (semantics.md section 2). */
#include "hub/tasks/inside.h"

enum { PROGRESS_EVERY_MS = 250, RENEWALS_MAX = 100000 };

/* ---- bodies and replies ---- */

static void lease_put(struct buf *b, const struct task_lease *lease)
{
    pack_u64(b, lease->life);
    pack_u64(b, lease->number);
    pack_u32(b, lease->lease);
}

static struct task_lease lease_get(struct unpack *u)
{
    struct task_lease lease;
    lease.life = unpack_u64(u);
    lease.number = unpack_u64(u);
    lease.lease = unpack_u32(u);
    return lease;
}

void task_act_put(struct buf *b, const struct task_act *act)
{
    asker_put(b, &act->asker);
    pack_slice(b, act->id);
    lease_put(b, &act->lease);
    pack_u8(b, act->has_percent);
    pack_u8(b, act->final);
    pack_u8(b, act->percent);
    pack_u64(b, act->seq);
    pack_i64(b, act->after_ms);
    pack_slice(b, act->text);
    pack_slice(b, act->document);
}

bool task_act_get(struct slice body, struct task_act *out)
{
    struct unpack u = unpack_of(body);
    out->asker = asker_get(&u);
    out->id = unpack_slice(&u);
    out->lease = lease_get(&u);
    out->has_percent = unpack_u8(&u) != 0;
    out->final = unpack_u8(&u) != 0;
    out->percent = unpack_u8(&u);
    out->seq = unpack_u64(&u);
    out->after_ms = unpack_i64(&u);
    out->text = unpack_slice(&u);
    out->document = unpack_slice(&u);
    return unpack_done(&u);
}

/* A lease never reaches past the task's own deadlines. */
static int64_t lease_until(const struct live *live)
{
    return live->lease_due_ms < live->fixed_ms ? live->lease_due_ms : live->fixed_ms;
}

static void reply_acted(struct apply *a, struct command *command, const struct task *k, bool stored,
                        struct slice data, struct slice given)
{
    struct tasks *t = tasks_of(a);
    const struct live *live = live_find(t, k->number);
    int64_t until = k->state == TASK_RUNNING && live ? lease_until(live)
                    : k->state == TASK_RETRY_WAIT    ? k->due_ms
                                                     : 0;
    struct buf *b = &t->reply;
    buf_clear(b);
    pack_i64(b, a->now_ms);
    pack_i64(b, until);
    pack_u8(b, (uint8_t)k->state);
    pack_u16(b, k->attempts);
    pack_u16(b, k->redeliveries);
    pack_u32(b, k->lease);
    pack_i64(b, k->lease_ms);
    pack_u8(b, stored);
    pack_u64(b, k->number);
    pack_slice(b, k->id);
    pack_slice(b, data);
    pack_slice(b, given);
    apply_reply(a, command, buf_slice(b));
}

/* Input was given to a task that had asked for it, and so had been offered before. */
static enum hub_rc reply_with_data(struct apply *a, struct command *command, const struct task *k)
{
    struct slice data, given = slice_of(NULL, 0);
    enum hub_rc rc = task_take_data(a, k->number, &data);
    if (rc == HUB_OK && k->lease > 1) {
        enum store_rc got = task_document(a->view, k->number, TASK_GIVEN, &given);
        rc = got == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(got);
    }
    if (rc == HUB_OK) {
        reply_acted(a, command, k, true, data, given);
    }
    return rc;
}

enum hub_rc task_reply(struct apply *a, struct command *command, uint64_t number)
{
    struct task task;
    enum hub_rc rc = task_take(a, number, &task);
    if (rc == HUB_OK) {
        reply_acted(a, command, &task, true, slice_of(NULL, 0), slice_of(NULL, 0));
    }
    return rc;
}

bool task_acted_get(struct slice reply, struct task_acted *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->until_ms = unpack_i64(&u);
    out->state = (enum task_state)unpack_u8(&u);
    out->attempts = unpack_u16(&u);
    out->redeliveries = unpack_u16(&u);
    out->lease = unpack_u32(&u);
    out->lease_ms = unpack_i64(&u);
    out->stored = unpack_u8(&u) != 0;
    out->number = unpack_u64(&u);
    out->id = unpack_slice(&u);
    out->data = unpack_slice(&u);
    out->given = unpack_slice(&u);
    return unpack_done(&u) && out->state < TASK_STATES;
}

/* ---- who may ---- */

/* Its owner, and whoever owns the agent that has it, or had it last. */
static bool sees(struct apply *a, const struct asker *asker, const struct task *task)
{
    uint32_t agent = task->agent ? task->agent : task->last_agent;
    return asker_sees(asker, task->owner) || (agent && asker_sees(asker, agent_owner_of(a, agent)));
}

enum hub_rc task_see(struct apply *a, struct command *command, const struct task_act *act,
                     struct task *out)
{
    enum hub_rc rc = task_take_named(a, act->id, act->lease.number, out);
    if (rc == HUB_OK && !sees(a, &act->asker, out)) {
        rc = HUB_NOT_FOUND;
    }
    return rc == HUB_NOT_FOUND ? apply_refuse(a, command, rc, "Task ", act->id, " not found") : rc;
}

static enum hub_rc lease_lost(struct apply *a, struct command *command, const struct task_act *act)
{
    return apply_refuse(a, command, HUB_LEASE_LOST, "the lease of task ", act->id,
                        " is not held any more");
}

bool task_same_lease(const struct tasks *t, const struct task_lease *lease, const struct task *task)
{
    return lease->life == t->options.life && lease->number == task->number &&
           lease->lease == task->lease;
}

/* Its lease lapsed while it ran, and it waits for another agent still: whatever else leads back to
 * the queue, and the next offer, ends the attempt that had begun. */
bool task_has_lapsed(const struct task *task)
{
    return task->state == TASK_QUEUED && task->started_ms;
}

/* A command of the agent that holds the task. Saying again what was done already (the answer was
 * lost) is answered as the first time; what is over does not change, so saying something else then
 * is refused. */
struct report {
    enum task_state done, instead; /* this is what it looks like when it was done */
    bool late;                     /* also when the lease lapsed only */
    /* Whether that was done with the same words; NULL: it has none. */
    enum hub_rc (*same)(struct apply *a, const struct task_act *act, const struct task *task,
                        bool *out_same);
    const char *otherwise; /* what it is told whose words are others */
    /* task: what it is then, if it is over: such a one does not change any more. */
    enum hub_rc (*change)(struct apply *a, struct command *command, const struct task_act *act,
                          struct task *task);
};

static bool was_done(const struct report *r, const struct task *task)
{
    return task->state == r->done || task->state == r->instead;
}

static bool may_change(const struct report *r, const struct task *task)
{
    return !was_done(r, task) && (task_is_held(task->state) || (r->late && task_has_lapsed(task)));
}

/* The lease's own end is told apart from its loss: who lost it stops, who ended it has done so. */
static enum hub_rc said_already(struct apply *a, struct command *command,
                                const struct task_act *act, const struct report *r,
                                const struct task *task)
{
    bool same = !r->same;
    enum hub_rc rc = was_done(r, task) && r->same ? r->same(a, act, task, &same) : HUB_OK;
    if (rc != HUB_OK || (was_done(r, task) && same)) {
        return rc;
    }
    const char *told = task->state == TASK_CANCELLED   ? NULL
                       : was_done(r, task)             ? r->otherwise
                       : task->state == TASK_COMPLETED ? " is completed already"
                       : task->state == TASK_DEAD      ? " has failed already"
                                                       : NULL;
    return told ? apply_refuse(a, command, HUB_CONFLICT, "task ", act->id, told)
                : lease_lost(a, command, act);
}

static enum hub_rc report(struct apply *a, struct command *command, struct slice body,
                          const struct report *r)
{
    struct task_act act;
    struct task k;
    if (!task_act_get(body, &act)) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = task_see(a, command, &act, &k);
    if (rc == HUB_OK && !task_same_lease(tasks_of(a), &act.lease, &k)) {
        rc = lease_lost(a, command, &act);
    }
    if (rc == HUB_OK && may_change(r, &k)) {
        rc = r->change(a, command, &act, &k);
        rc = rc == HUB_OK && !task_is_over(k.state) ? task_take(a, k.number, &k) : rc;
    } else if (rc == HUB_OK) {
        rc = said_already(a, command, &act, r, &k);
    }
    if (rc == HUB_OK && r->done == TASK_RUNNING) {
        rc = reply_with_data(a, command, &k);
    } else if (rc == HUB_OK) {
        reply_acted(a, command, &k, true, slice_of(NULL, 0), slice_of(NULL, 0));
    }
    return rc;
}

static enum hub_rc not_now(struct apply *a, struct command *command, const struct task *task)
{
    return apply_refuse(a, command, HUB_CONFLICT, "not for a task that is ",
                        slice_str(task_state_name(task->state)), "");
}

/* ---- accept, reject ---- */

static enum hub_rc accept(struct apply *a, struct command *command, const struct task_act *act,
                          struct task *task)
{
    struct task after = *task;
    (void)act;
    if (!task_move(&after, TASK_ACCEPT)) {
        return not_now(a, command, task);
    }
    after.started_ms = a->now_ms;
    after.percent = TASK_PERCENT_NONE;
    after.progress_seq = 0;
    after.note = slice_of(NULL, 0);
    worker_answered(tasks_of(a), task->agent);
    return task_change(a, task, &after, "running", slice_of(NULL, 0));
}

static enum hub_rc accept_apply(struct apply *a, struct command *command, struct slice body)
{
    static const struct report r = {.done = TASK_RUNNING, .change = accept};
    return report(a, command, body, &r);
}

const struct command_kind command_task_accept = {
    .name = "tasks.accept", .apply = accept_apply, .module = MODULE_TASKS};

enum hub_rc task_rejected(struct apply *a, const struct task *task, const char *event)
{
    struct tasks *t = tasks_of(a);
    struct task after = *task;
    if (!task_move(&after, TASK_REJECT)) {
        return HUB_CONFLICT;
    }
    enum hub_rc rc = task_change(a, task, &after, event, slice_of(NULL, 0));
    struct live *live = live_find(t, task->number);
    if (rc == HUB_OK && live && live->state == TASK_QUEUED) {
        live->shun_ms = a->now_ms + task_settings(t)->task_accept_ms;
        live_due(t, live);
    }
    return rc;
}

static enum hub_rc reject(struct apply *a, struct command *command, const struct task_act *act,
                          struct task *task)
{
    (void)act;
    if (task->state != TASK_LEASED) {
        return not_now(a, command, task);
    }
    worker_answered(tasks_of(a), task->agent);
    return task_rejected(a, task, "rejected");
}

static enum hub_rc reject_apply(struct apply *a, struct command *command, struct slice body)
{
    static const struct report r = {.done = TASK_NONE, .change = reject};
    return report(a, command, body, &r);
}

const struct command_kind command_task_reject = {
    .name = "tasks.reject", .apply = reject_apply, .module = MODULE_TASKS};

/* ---- complete, fail, ask ---- */

/* A result that comes after the cancelling is kept and changes nothing more. */
static enum hub_rc complete(struct apply *a, struct command *command, const struct task_act *act,
                            struct task *task)
{
    struct task after = *task;
    bool cancelled = task->state == TASK_CANCELLING;
    if (!task_move(&after, cancelled ? TASK_CONFIRM : TASK_FINISH)) {
        return not_now(a, command, task);
    }
    enum hub_rc rc =
        hub_rc_of_store(task_document_put(a->txn, task->number, TASK_RESULT, act->document));
    if (rc != HUB_OK) {
        return rc;
    }
    if (!cancelled) {
        after.stop = STOP_COMPLETED;
        after.percent = 100;
        task_outcome(a, task, true);
    }
    rc = task_change(a, task, &after, cancelled ? "cancelled" : "completed", act->document);
    *task = after;
    return rc;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* But for the whitespace between its parts: REST writes a document anew, a WebSocket does not. */
static bool same_document(struct slice a, struct slice b)
{
    size_t i = 0, j = 0;
    bool text = false, escaped = false; /* within a string; behind a backslash there */
    for (;; i++, j++) {
        for (; !text && i < a.n && is_space(a.p[i]); i++) {
        }
        for (; !text && j < b.n && is_space(b.p[j]); j++) {
        }
        if (i == a.n || j == b.n || a.p[i] != b.p[j]) {
            return i == a.n && j == b.n;
        }
        text = a.p[i] == '"' && !escaped ? !text : text;
        escaped = text && a.p[i] == '\\' && !escaped;
    }
}

/* Cancelled with a result: it came after the cancelling. */
static enum hub_rc same_result(struct apply *a, const struct task_act *act, const struct task *task,
                               bool *out_same)
{
    struct slice result = slice_of(NULL, 0);
    enum store_rc rc = task_document(a->view, task->number, TASK_RESULT, &result);
    *out_same = rc == STORE_OK && same_document(result, act->document);
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

static enum hub_rc complete_apply(struct apply *a, struct command *command, struct slice body)
{
    static const struct report r = {.done = TASK_COMPLETED,
                                    .instead = TASK_CANCELLED,
                                    .late = true,
                                    .same = same_result,
                                    .otherwise = " is completed already, with another result",
                                    .change = complete};
    return report(a, command, body, &r);
}

const struct command_kind command_task_complete = {
    .name = "tasks.complete", .apply = complete_apply, .module = MODULE_TASKS};

static enum hub_rc fail(struct apply *a, struct command *command, const struct task_act *act,
                        struct task *task)
{
    struct task after = *task;
    if (task->state == TASK_CANCELLING) {
        return task_move(&after, TASK_CONFIRM)
                   ? task_change(a, task, &after, "cancelled", slice_of(NULL, 0))
                   : HUB_CONFLICT;
    }
    if (!task_move(&after, TASK_FAIL)) {
        return not_now(a, command, task);
    }
    return task_failed(a, task, act->text, act->final ? STOP_NON_RETRYABLE : STOP_NONE,
                       act->after_ms, "failed");
}

/* One that waits for its next attempt was not said to be beyond help. */
static enum hub_rc same_failure(struct apply *a, const struct task_act *act,
                                const struct task *task, bool *out_same)
{
    (void)a;
    *out_same =
        slice_equal(task->error, act->text) && !(act->final && task->state == TASK_RETRY_WAIT);
    return HUB_OK;
}

static enum hub_rc fail_apply(struct apply *a, struct command *command, struct slice body)
{
    static const struct report r = {.done = TASK_RETRY_WAIT,
                                    .instead = TASK_DEAD,
                                    .late = true,
                                    .same = same_failure,
                                    .otherwise = " has failed already, in another way",
                                    .change = fail};
    return report(a, command, body, &r);
}

const struct command_kind command_task_fail = {
    .name = "tasks.fail", .apply = fail_apply, .module = MODULE_TASKS};

static enum hub_rc ask(struct apply *a, struct command *command, const struct task_act *act,
                       struct task *task)
{
    struct task after = *task;
    if (!task_move(&after, TASK_ASK)) {
        return not_now(a, command, task);
    }
    after.note = act->text;
    return task_change(a, task, &after, "input_required", slice_of(NULL, 0));
}

static enum hub_rc same_question(struct apply *a, const struct task_act *act,
                                 const struct task *task, bool *out_same)
{
    (void)a;
    *out_same = slice_equal(task->note, act->text);
    return HUB_OK;
}

static enum hub_rc ask_apply(struct apply *a, struct command *command, struct slice body)
{
    static const struct report r = {.done = TASK_INPUT_REQUIRED,
                                    .same = same_question,
                                    .otherwise = " asks already, another question",
                                    .change = ask};
    return report(a, command, body, &r);
}

const struct command_kind command_task_ask = {
    .name = "tasks.ask", .apply = ask_apply, .module = MODULE_TASKS};

/* ---- progress ---- */

static enum hub_rc store_progress(struct apply *a, struct live *live, const struct task *before,
                                  const struct task *after)
{
    struct tasks *t = tasks_of(a);
    struct task stored = *after;
    stored.progress_ms = a->now_ms;
    enum hub_rc rc = hub_rc_of_store(task_put(a->txn, &stored, before));
    if (rc == HUB_OK) {
        kept_set(t, live, &stored, slice_of(NULL, 0));
        ahead_drop(t, live);
        rc = task_tell_progress(a, &stored, true);
    }
    return rc;
}

/* Four a second are stored. What comes between is told live and waits: the newest of it is stored,
 * and told as stored, when the quarter of a second is over, or with the task's next change. It
 * renews the lease each time. What was told last, and what waits, is in memory alone: after a start
 * or an aborted batch the row counts. */
static enum hub_rc progress(struct apply *a, const struct task_act *act, const struct task *task,
                            bool *out_stored)
{
    struct tasks *t = tasks_of(a);
    struct live *live = live_find(t, task->number);
    const struct task *ahead = ahead_task(live);
    uint64_t told = live->told_seq > task->progress_seq ? live->told_seq : task->progress_seq;
    uint64_t seq = act->seq ? act->seq : told + 1;
    live->lease_due_ms = a->now_ms + live->lease_ms;
    live_due(t, live);
    *out_stored = seq > told && a->now_ms - task->progress_ms >= PROGRESS_EVERY_MS;
    if (seq <= told) {
        return HUB_OK;
    }
    live->told_seq = seq;
    struct task after = ahead ? *ahead : *task;
    after.progress_seq = seq;
    after.percent = act->has_percent ? act->percent : after.percent;
    after.note = act->text.n ? act->text : after.note;
    if (*out_stored) {
        return store_progress(a, live, task, &after);
    }
    ahead_set(t, live, &after, task->progress_ms + PROGRESS_EVERY_MS);
    return task_tell_progress(a, &after, false);
}

enum hub_rc task_progress_due(struct apply *a, const struct task *task)
{
    struct live *live = live_find(tasks_of(a), task->number);
    return live->ahead_due_ms <= a->now_ms ? store_progress(a, live, task, ahead_task(live))
                                           : HUB_OK;
}

/* ---- progress, at a clean end ---- */

static enum hub_rc parting_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    enum hub_rc rc = HUB_OK;
    (void)command;
    while (rc == HUB_OK && u.p < u.end) {
        struct task task;
        struct live *live = live_find(tasks_of(a), unpack_u64(&u));
        if (live && ahead_task(live)) {
            rc = task_take(a, live->item.number, &task);
            rc = rc == HUB_OK ? store_progress(a, live, &task, ahead_task(live)) : rc;
        }
    }
    return rc;
}

static const struct command_kind command_tasks_parting = {
    .name = "tasks.parting", .apply = parting_apply, .module = MODULE_TASKS};

void tasks_part(void *state, int64_t now_ms, struct tray *tray)
{
    const struct tasks *t = state;
    struct command *command = NULL;
    (void)now_ms;
    for (size_t i = 0; i < t->table_cap; i++) {
        if (!t->table[i] || !ahead_task(t->table[i])) {
            continue;
        }
        if (!command) {
            command = tray_command(tray);
            command->kind = &command_tasks_parting;
            command->body_at = (uint32_t)tray->in.n;
        }
        pack_u64(&tray->in, t->table[i]->item.number);
        command->body_n = (uint32_t)(tray->in.n - command->body_at);
    }
}

/* ---- progress, as it comes ---- */

static enum hub_rc progress_apply(struct apply *a, struct command *command, struct slice body)
{
    struct task_act act;
    struct task task;
    bool stored = false;
    if (!task_act_get(body, &act)) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = task_see(a, command, &act, &task);
    if (rc == HUB_OK &&
        (!task_same_lease(tasks_of(a), &act.lease, &task) || task.state != TASK_RUNNING)) {
        rc = lease_lost(a, command, &act);
    }
    if (rc == HUB_OK) {
        rc = progress(a, &act, &task, &stored);
    }
    if (rc == HUB_OK) { /* its state and its counts are the same as before */
        reply_acted(a, command, &task, stored, slice_of(NULL, 0), slice_of(NULL, 0));
    }
    return rc;
}

const struct command_kind command_task_progress = {
    .name = "tasks.progress", .apply = progress_apply, .module = MODULE_TASKS};

/* ---- given back ---- */

static enum hub_rc give_back(struct apply *a, const struct task *task)
{
    struct task after = *task;
    struct buf avoid = {0};
    const struct worker *w = worker_of(tasks_of(a), task->agent);
    if (!w || !task_move(&after, task->state == TASK_LEASED ? TASK_REJECT : TASK_LOSE)) {
        return HUB_CONFLICT;
    }
    after.started_ms = 0;
    buf_add_slice(&avoid, task->needs.avoid.packed);
    pack_slice(&avoid, w->id);
    after.needs.avoid = (struct words){.n = task->needs.avoid.n + 1, .packed = buf_slice(&avoid)};
    enum hub_rc rc = task_tell_agent(a, task, "task_cancel", a->now_ms);
    if (rc == HUB_OK) {
        live_rekind(tasks_of(a), &after);
        rc = task_change(a, task, &after, "returned", slice_of(NULL, 0));
    }
    buf_done(&avoid);
    return rc;
}

enum hub_rc task_return_inside(struct apply *a, uint64_t number)
{
    struct task task;
    enum hub_rc rc = task_take(a, number, &task);
    return rc == HUB_OK && (task.state == TASK_LEASED || task.state == TASK_RUNNING)
               ? give_back(a, &task)
               : rc;
}

/* ---- renew: moves clocks in memory, writes nothing ---- */

void task_renew_put(struct buf *b, const struct asker *asker, bool strict,
                    const struct task_lease *leases, uint32_t n)
{
    asker_put(b, asker);
    pack_u8(b, strict);
    pack_u32(b, n);
    for (uint32_t i = 0; i < n; i++) {
        lease_put(b, &leases[i]);
    }
}

static int64_t renew(struct apply *a, struct tasks *t, const struct asker *asker,
                     const struct task_lease *lease)
{
    struct live *live = live_find(t, lease->number);
    if (!live || live->app != a->app || lease->life != t->options.life ||
        live->lease != lease->lease || live->state != TASK_RUNNING) {
        return 0;
    }
    const struct worker *w = worker_of(t, live->agent);
    if (!w || !asker_sees(asker, w->owner)) {
        return 0;
    }
    /* Later than before: it is found out when the earlier moment comes. */
    live->lease_due_ms = a->now_ms + live->lease_ms;
    return lease_until(live);
}

static enum hub_rc renew_apply(struct apply *a, struct command *command, struct slice body)
{
    struct tasks *t = tasks_of(a);
    struct unpack u = unpack_of(body);
    struct asker asker = asker_get(&u);
    bool strict = unpack_u8(&u) != 0, lost = false;
    uint32_t n = unpack_u32(&u);
    struct buf b = {0};
    if (n > RENEWALS_MAX) {
        return HUB_TOO_LARGE;
    }
    pack_i64(&b, a->now_ms);
    pack_u32(&b, n);
    for (uint32_t i = 0; i < n && !u.bad; i++) {
        struct task_lease lease = lease_get(&u);
        lease_put(&b, &lease);
        int64_t until = renew(a, t, &asker, &lease);
        lost = lost || !until;
        pack_i64(&b, until);
    }
    bool whole = unpack_done(&u), refused = strict && lost;
    if (whole && !refused) {
        apply_reply(a, command, buf_slice(&b));
    }
    buf_done(&b);
    if (!whole) {
        return HUB_BAD_REQUEST;
    }
    return refused ? HUB_LEASE_LOST : HUB_OK;
}

const struct command_kind command_task_renew = {
    .name = "tasks.renew", .apply = renew_apply, .module = MODULE_TASKS, .flags = KIND_VOLATILE};

bool task_renewed_get(struct slice reply, struct task_renewed *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->n = unpack_u32(&u);
    out->rest = slice_of(u.p, (size_t)(u.end - u.p));
    return !u.bad;
}

bool task_renewed_next(struct task_renewed *renewed, struct task_lease *out, int64_t *out_until_ms)
{
    struct unpack u = unpack_of(renewed->rest);
    *out = lease_get(&u);
    *out_until_ms = unpack_i64(&u);
    renewed->rest = slice_of(u.p, (size_t)(u.end - u.p));
    return !u.bad;
}
