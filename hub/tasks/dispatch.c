/* Deadlines, and who gets what.
 *
 * The choice looks at pulses, which no command has written; so it is made outside of apply, where
 * deadlines are made into commands, and the command carries it: whoever applies the same commands
 * to another store comes to the same. What was chosen is out of the queue, and its slot taken,
 * until the command has been applied in the same batch; a batch that fails reads memory anew. */
#include "hub/tasks/inside.h"

enum { PICKS_A_COMMAND = 256, COMMANDS_A_TRAY = 8 };

/* ---- deadlines ---- */

/* The attempt that failed is over: its lease does not count as one that merely lapsed. */
static enum hub_rc queue_again(struct apply *a, const struct task *task)
{
    struct task after = *task;
    after.started_ms = 0;
    return task_move(&after, TASK_DUE) ? task_change(a, task, &after, "queued", slice_of(NULL, 0))
                                       : HUB_CONFLICT;
}

static enum hub_rc lapse(struct apply *a, const struct task *task, enum task_stop stop)
{
    struct task after = *task;
    after.stop = stop;
    return task_move(&after, TASK_LAPSE)
               ? task_change(a, task, &after, "expired", slice_of(NULL, 0))
               : HUB_CONFLICT;
}

static bool past(int64_t begun_ms, int64_t within_ms, int64_t now_ms)
{
    return within_ms && now_ms >= begun_ms + within_ms;
}

/* Its agent beats and renews, and is to stop: it would not learn of it otherwise before the next
 * renewal. */
static enum hub_rc overran(struct apply *a, const struct task *k, const char *error,
                           enum task_stop final, const char *event)
{
    enum hub_rc rc = task_tell_agent(a, k, "task_cancel", a->now_ms);
    return rc == HUB_OK ? task_failed(a, k, slice_str(error), final, -1, event) : rc;
}

static enum hub_rc due_running(struct apply *a, const struct task *k, bool total, int64_t lease_due)
{
    if (total) {
        return overran(a, k, "total time is over", STOP_TOTAL_TIMEOUT, "dead");
    }
    if (past(k->started_ms, k->close_within_ms, a->now_ms)) {
        enum task_stop final = k->attempts + 1 >= k->attempts_max ? STOP_CLOSE_TIMEOUT : STOP_NONE;
        return overran(a, k, "timeout", final, "timeout");
    }
    return a->now_ms >= lease_due ? task_lost(a, k, "lease_lost") : task_progress_due(a, k);
}

static enum hub_rc unanswered(struct apply *a, const struct task *k)
{
    uint32_t agent = k->agent;
    enum hub_rc rc = task_rejected(a, k, "unanswered");
    if (rc == HUB_OK) {
        worker_silent(tasks_of(a), agent, a->now_ms);
    }
    return rc;
}

static enum hub_rc due(struct apply *a, const struct task *k, int64_t lease_due)
{
    const struct hub_settings *s = task_settings(tasks_of(a));
    bool total = past(k->submitted_ms, k->total_within_ms, a->now_ms);
    switch (k->state) {
    case TASK_SCHEDULED:
        return total                    ? lapse(a, k, STOP_TOTAL_TIMEOUT)
               : a->now_ms >= k->due_ms ? queue_again(a, k)
                                        : HUB_OK;
    case TASK_QUEUED:
        if (total) {
            return lapse(a, k, STOP_TOTAL_TIMEOUT);
        }
        return past(k->due_ms, k->start_within_ms, a->now_ms) ? lapse(a, k, STOP_START_TIMEOUT)
                                                              : HUB_OK;
    case TASK_LEASED:
        return a->now_ms >= k->leased_ms + s->task_accept_ms ? unanswered(a, k) : HUB_OK;
    case TASK_RUNNING:
        return due_running(a, k, total, lease_due);
    case TASK_RETRY_WAIT:
        if (total) {
            struct task after = *k;
            after.stop = STOP_TOTAL_TIMEOUT;
            return task_move(&after, TASK_FAIL)
                       ? task_change(a, k, &after, "dead", slice_of(NULL, 0))
                       : HUB_CONFLICT;
        }
        return a->now_ms >= k->due_ms ? queue_again(a, k) : HUB_OK;
    case TASK_INPUT_REQUIRED:
        return total ? lapse(a, k, STOP_TOTAL_TIMEOUT) : lapse(a, k, STOP_INPUT_TIMEOUT);
    case TASK_CANCELLING:
        return task_lost(a, k, "cancelled");
    case TASK_NONE:
    case TASK_COMPLETED:
    case TASK_DEAD:
    case TASK_CANCELLED:
    case TASK_EXPIRED:
    case TASK_STATES:
        break;
    }
    return HUB_OK;
}

static enum hub_rc deadline_apply(struct apply *a, struct command *command, struct slice body)
{
    struct tasks *t = tasks_of(a);
    struct unpack u = unpack_of(body);
    uint64_t number = unpack_u64(&u);
    int64_t lease_due = unpack_i64(&u);
    struct task task;
    (void)command;
    if (!unpack_done(&u)) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = task_take(a, number, &task);
    rc = rc == HUB_OK ? due(a, &task, lease_due) : rc;
    struct live *live = live_find(t, number);
    if (rc == HUB_OK && live && live->due_ms == INT64_MAX) {
        live_due(t, live); /* nothing was to be done: its clock goes on */
    }
    return rc;
}

static const struct command_kind command_deadline = {
    .name = "tasks.deadline", .apply = deadline_apply, .module = MODULE_TASKS};

static struct command *begin(struct tray *tray, const struct command_kind *kind, uint32_t app,
                             uint64_t salt)
{
    struct command *command = tray_command(tray);
    command->kind = kind;
    command->app = app;
    command->flags = COMMAND_SILENT;
    command->body_at = (uint32_t)tray->in.n;
    be64_put(command->seed, hash64((uint64_t)tray->now_ms, slice_of(&salt, sizeof salt)));
    return command;
}

static void end(struct tray *tray, struct command *command)
{
    command->body_n = (uint32_t)(tray->in.n - command->body_at);
}

/* Renewed meanwhile, or set aside for a while: no command, its clock goes on. */
static bool goes_on(struct tasks *t, struct live *live, int64_t now_ms)
{
    if (live->shun_ms <= now_ms) {
        live->shun_ms = INT64_MAX;
        kind_block(t, live->kind, false);
        tasks_wanted(t, live->app);
        if (live->state == TASK_QUEUED && !live->item.waits && !live->picked) {
            live_wait(t, live, now_ms);
        }
    }
    live_due(t, live);
    return live->due_ms > now_ms;
}

static bool expire_deadline(struct tasks *t, int64_t now_ms, struct tray *tray)
{
    struct live *live = live_due_next(t, now_ms);
    if (!live || goes_on(t, live, now_ms)) {
        return live != NULL;
    }
    struct command *command = begin(tray, &command_deadline, live->app, live->item.number);
    pack_u64(&tray->in, live->item.number);
    pack_i64(&tray->in, live->lease_due_ms);
    end(tray, command);
    live->due_ms = INT64_MAX; /* until the command has decided */
    return true;
}

/* ---- offers ---- */

static bool fits_somebody(void *ctx, uint32_t kind)
{
    const struct tasks *t = ctx;
    const struct kind *k = t->kinds[kind];
    return !k->blocked && !(t->apps[k->app]->paused >> k->priority & 1);
}

static struct live *next_waiting(struct tasks *t, struct tasks_app *app, int64_t now_ms)
{
    return (struct live *)queue_pick(app->queue, now_ms, fits_somebody, t);
}

static uint32_t choose(struct tasks *t, struct tasks_app *app, struct live *live, int64_t now_ms)
{
    struct candidates *c = t->candidates;
    uint8_t seed[SEED_BYTES] = {0};
    be64_put(seed, hash64((uint64_t)now_ms, slice_of(&live->item.number, sizeof(uint64_t))));
    struct balance_ask ask = {.app = app->app,
                              .now_ms = now_ms,
                              .seed = seed,
                              .region = live->kind->region,
                              .key = slice_of(live->sticky, live->sticky_n),
                              .capabilities = &live->kind->needs.capabilities};
    int64_t at = candidates_find(t, app, live, &ask) ? balance_pick(t->balance, &ask, c->list, c->n)
                                                     : BALANCE_NOBODY;
    return at == BALANCE_NOBODY ? 0 : c->list[at].number;
}

/* Takes it out of the queue for the moment; false: nobody for it now. */
static bool pick(struct tasks *t, struct tasks_app *app, struct live *live, int64_t now_ms,
                 struct buf *out)
{
    uint32_t agent = choose(t, app, live, now_ms);
    bool shuns = live->shun_ms != INT64_MAX && live->shun_ms > now_ms;
    if (!agent && shuns) {
        queue_remove(app->queue, &live->item); /* comes back when the shunning ends */
        return false;
    }
    if (!agent) {
        kind_block(t, live->kind, true);
        return false;
    }
    struct worker *w = worker_of(t, agent);
    queue_take(app->queue, &live->item);
    live->picked = true;
    worker_pick(t, w);
    pack_u64(out, live->item.number);
    pack_u32(out, agent);
    return true;
}

static enum hub_rc offers_apply(struct apply *a, struct command *command, struct slice body);
static const struct command_kind command_offers = {
    .name = "tasks.offer", .apply = offers_apply, .module = MODULE_TASKS};

static bool dispatch_app(struct tasks *t, struct tasks_app *app, int64_t now_ms, struct tray *tray)
{
    struct command *command = NULL;
    struct live *live = NULL;
    for (unsigned n = 0; n < PICKS_A_COMMAND && app->ready_n;) {
        live = next_waiting(t, app, now_ms);
        if (!live) {
            break;
        }
        command = command ? command : begin(tray, &command_offers, app->app, live->item.number);
        n += pick(t, app, live, now_ms, &tray->in);
    }
    app->wanted = live && app->ready_n;
    if (command) {
        end(tray, command);
    }
    return command != NULL;
}

static bool may_dispatch(const struct tasks_app *app)
{
    return app->wanted && app->ready_n && queue_count(app->queue);
}

static unsigned offers_on(const struct tray *tray)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < tray->commands_n; i++) {
        n += tray->commands[i].kind == &command_offers;
    }
    return n;
}

static bool dispatch(struct tasks *t, int64_t now_ms, struct tray *tray)
{
    for (uint32_t i = 1; i < t->apps_n && offers_on(tray) < COMMANDS_A_TRAY; i++) {
        if (t->apps[i] && may_dispatch(t->apps[i]) && dispatch_app(t, t->apps[i], now_ms, tray)) {
            return true;
        }
    }
    return false;
}

int64_t tasks_next_due(void *state)
{
    struct tasks *t = state;
    int64_t due = lives_due_ms(t);
    for (uint32_t i = 1; i < t->apps_n; i++) {
        const struct tasks_app *app = t->apps[i];
        if (app && may_dispatch(app)) {
            return 0; /* at once */
        }
        due = app && app->recheck_ms < due ? app->recheck_ms : due;
    }
    return t->unpause_ms < due ? t->unpause_ms : due;
}

static void recheck(struct tasks *t, int64_t now_ms)
{
    for (uint32_t i = 1; i < t->apps_n; i++) {
        struct tasks_app *app = t->apps[i];
        if (!app || app->recheck_ms > now_ms) {
            continue;
        }
        app->recheck_ms = INT64_MAX;
        app->wanted = true;
        for (uint32_t k = 0; k < t->kinds_n; k++) {
            if (t->kinds[k] && t->kinds[k]->app == app->app) {
                kind_block(t, t->kinds[k], false);
            }
        }
    }
}

bool tasks_expire(void *state, int64_t now_ms, struct tray *tray)
{
    struct tasks *t = state;
    recheck(t, now_ms);
    workers_unpause(t, now_ms);
    return expire_deadline(t, now_ms, tray) || dispatch(t, now_ms, tray);
}

static void waited(struct tasks *t, const struct task *task, int64_t now_ms)
{
    struct figures *f = tasks_figure(t, task->app);
    uint64_t ms = now_ms > task->changed_ms ? (uint64_t)(now_ms - task->changed_ms) : 0;
    unsigned bucket = 0;
    while (bucket < TASK_WAIT_BUCKETS - 1 && ms > UINT64_C(1) << bucket) {
        bucket++;
    }
    if (f) {
        atomic_fetch_add_explicit(&f->wait[bucket], 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&f->offers, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&f->offer_wait_ms, ms, memory_order_relaxed);
    }
}

static enum hub_rc offer(struct apply *a, struct tasks *t, struct worker *w,
                         const struct task *task)
{
    struct task after = *task;
    if (!task_move(&after, TASK_PICK)) {
        return HUB_CONFLICT;
    }
    after.agent = w->number;
    after.agent_epoch = place_of(t, w->number)->epoch;
    after.lease++;
    after.leased_ms = a->now_ms;
    after.started_ms = 0;
    waited(t, task, a->now_ms);
    balance_assigned(t->balance, a->app, w->number);
    enum hub_rc rc = task_change(a, task, &after, "leased", slice_of(NULL, 0));
    int64_t until = a->now_ms + task_settings(t)->task_accept_ms;
    return rc == HUB_OK ? task_tell_agent(a, &after, "task_offered", until) : rc;
}

/* What was chosen may have changed by a command between: then it waits on. */
static enum hub_rc offer_one(struct apply *a, uint64_t number, uint32_t agent)
{
    struct tasks *t = tasks_of(a);
    struct live *live = live_find(t, number);
    struct worker *w = worker_of(t, agent);
    if (w) {
        w->picked_n -= w->picked_n > 0;
        worker_judge(t, w);
    }
    if (!live || !live->picked) {
        return HUB_OK;
    }
    if (!worker_is_reached(w) || w->held_n + w->picked_n >= w->slots) {
        live_wait(t, live, a->now_ms);
        return HUB_OK;
    }
    struct task task;
    enum hub_rc rc = task_take(a, number, &task);
    return rc == HUB_OK ? offer(a, t, w, &task) : rc;
}

static enum hub_rc offers_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    enum hub_rc rc = HUB_OK;
    (void)command;
    while (rc == HUB_OK && u.p < u.end) {
        uint64_t number = unpack_u64(&u);
        uint32_t agent = unpack_u32(&u);
        rc = u.bad ? HUB_BAD_REQUEST : offer_one(a, number, agent);
    }
    return rc;
}
