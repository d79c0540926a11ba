/* Tasks that are not over, on the writer: found by number, waiting in their app's queue or held by
 * an agent, and among the deadlines. A renewal only moves the lease's clock: that is found out when
 * the deadline that it had before comes. */
#include "hub/tasks/balance_module.h"
#include "hub/tasks/inside.h"

#include <assert.h>
#include <stdlib.h>

/* ---- the table by number: open addressing; dense numbers, eight to a cache line as they are asked
 * for one after the other, and the lines spread by a multiplication ---- */

static size_t slot_of(const struct tasks *t, uint64_t number)
{
    uint64_t line = (number >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 20;
    size_t at = (size_t)(line << 3 | (number & 7)) & (t->table_cap - 1);
    while (t->table[at] && t->table[at]->item.number != number) {
        at = (at + 1) & (t->table_cap - 1);
    }
    return at;
}

struct live *live_find(const struct tasks *t, uint64_t number)
{
    return t->table_cap ? t->table[slot_of(t, number)] : NULL;
}

static void table_grow(struct tasks *t)
{
    struct live **before = t->table;
    size_t before_cap = t->table_cap;
    t->table_cap = before_cap ? before_cap * 2 : 1024;
    t->table = xcalloc(t->table_cap, sizeof(struct live *));
    for (size_t i = 0; i < before_cap; i++) {
        if (before[i]) {
            t->table[slot_of(t, before[i]->item.number)] = before[i];
        }
    }
    free(before);
}

static void table_add(struct tasks *t, struct live *live)
{
    if ((t->table_n + 1) * 2 > t->table_cap) {
        table_grow(t);
    }
    t->table[slot_of(t, live->item.number)] = live;
    t->table_n++;
}

static void table_drop(struct tasks *t, uint64_t number)
{
    size_t at = slot_of(t, number);
    t->table[at] = NULL;
    t->table_n--;
    /* Whoever stood behind it may have been turned away from here. */
    for (at = (at + 1) & (t->table_cap - 1); t->table[at]; at = (at + 1) & (t->table_cap - 1)) {
        struct live *moved = t->table[at];
        t->table[at] = NULL;
        t->table[slot_of(t, moved->item.number)] = moved;
    }
}

/* ---- deadlines ---- */

enum { DEADLINES_SPARE = 4096 }; /* besides one a task: swept away when there are more */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool counts(const void *ctx, const struct deadline *deadline)
{
    const struct live *live = live_find(ctx, deadline->number);
    return live && live->due_ms == deadline->due_ms;
}

/* Nearly all are over before the first of their deadlines, so one that moves away is left where it
 * stands: when the moment comes, the task is found to go on (dispatch.c). */
void live_due(struct tasks *t, struct live *live)
{
    int64_t due_ms =
        least(least(live->fixed_ms, live->lease_due_ms), least(live->shun_ms, live->ahead_due_ms));
    if (due_ms >= live->due_ms) {
        return;
    }
    live->due_ms = due_ms;
    deadlines_add(t->deadlines, (struct deadline){.due_ms = due_ms, .number = live->item.number});
    if (deadlines_count(t->deadlines) > 2 * t->table_n + DEADLINES_SPARE) {
        deadlines_sweep(t->deadlines, counts, t);
    }
}

int64_t lives_due_ms(struct tasks *t)
{
    const struct deadline *first;
    while ((first = deadlines_first(t->deadlines)) && !counts(t, first)) {
        deadlines_drop_first(t->deadlines);
    }
    return first ? first->due_ms : INT64_MAX;
}

struct live *live_due_next(struct tasks *t, int64_t now_ms)
{
    if (lives_due_ms(t) > now_ms) {
        return NULL;
    }
    struct live *live = live_find(t, deadlines_first(t->deadlines)->number);
    deadlines_drop_first(t->deadlines);
    live->due_ms = INT64_MAX;
    return live;
}

/* ---- apps ---- */

struct tasks_app *tasks_app_new(struct tasks *t, uint32_t app)
{
    if (app >= t->apps_n) {
        t->apps = xrealloc(t->apps, ((size_t)app + 1) * sizeof(struct tasks_app *));
        while (t->apps_n <= app) {
            t->apps[t->apps_n++] = NULL;
        }
    }
    t->apps[app] = xcalloc(1, sizeof(struct tasks_app));
    t->apps[app]->app = app;
    t->apps[app]->recheck_ms = INT64_MAX;
    t->apps[app]->queue = queue_new(task_settings(t)->task_aging_ms);
    return t->apps[app];
}

void tasks_wanted(struct tasks *t, uint32_t app)
{
    tasks_app(t, app)->wanted = true;
}

struct figures *tasks_figure(struct tasks *t, uint32_t app)
{
    if (app >= APPS_FIGURED_MAX) {
        return NULL;
    }
    struct figures *f = atomic_load_explicit(&t->figures[app], memory_order_relaxed);
    if (!f) {
        f = xcalloc(1, sizeof *f);
        atomic_store(&t->figures[app], f);
    }
    return f;
}

static void set(_Atomic uint64_t *figure, uint64_t value)
{
    atomic_store_explicit(figure, value, memory_order_relaxed);
}

void figures_set(struct tasks *t, struct tasks_app *app)
{
    struct figures *f = tasks_figure(t, app->app);
    if (!f) {
        return;
    }
    for (unsigned i = 0; i < TASK_STATES; i++) {
        set(&f->in_state[i], app->totals.in_state[i]);
    }
    for (unsigned i = 0; i < TASK_PRIORITIES; i++) {
        set(&f->queued[i], queue_waiting(app->queue, i));
    }
    set(&f->distributed, app->totals.distributed);
    set(&f->distribution_ms, app->totals.distribution_ms);
    set(&f->redelivered, app->totals.redelivered);
    set(&f->rejected, app->totals.rejected);
}

static uint64_t get(const _Atomic uint64_t *figure)
{
    return atomic_load_explicit(figure, memory_order_relaxed);
}

static void figures_add(const struct figures *f, struct tasks_figures *out)
{
    for (unsigned i = 0; i < TASK_STATES; i++) {
        out->totals.in_state[i] += get(&f->in_state[i]);
    }
    for (unsigned i = 0; i < TASK_PRIORITIES; i++) {
        out->queued[i] += get(&f->queued[i]);
    }
    for (unsigned i = 0; i < TASK_WAIT_BUCKETS; i++) {
        out->wait_ms[i] += get(&f->wait[i]);
    }
    out->totals.distributed += get(&f->distributed);
    out->totals.distribution_ms += get(&f->distribution_ms);
    out->totals.redelivered += get(&f->redelivered);
    out->totals.rejected += get(&f->rejected);
    out->offers += get(&f->offers);
    out->offer_wait_ms += get(&f->offer_wait_ms);
}

void tasks_figures(void *module_state, uint32_t app, struct tasks_figures *out)
{
    struct tasks *t = module_state;
    *out = (struct tasks_figures){0};
    for (uint32_t i = app ? app : 1; i < (app ? app + 1 : APPS_FIGURED_MAX); i++) {
        const struct figures *f = i < APPS_FIGURED_MAX ? atomic_load(&t->figures[i]) : NULL;
        if (f) {
            figures_add(f, out);
        }
    }
}

/* ---- a task ---- */

enum { LIVES_SPARE_MAX = 4096 };

/* The earliest moment at which its row asks to be looked at. */
static int64_t fixed_deadline(const struct tasks *t, const struct task *k)
{
    const struct hub_settings *s = task_settings(t);
    int64_t total = k->total_within_ms ? k->submitted_ms + k->total_within_ms : INT64_MAX;
    switch (k->state) {
    case TASK_SCHEDULED:
    case TASK_RETRY_WAIT:
        return least(k->due_ms, total);
    case TASK_QUEUED:
        return k->start_within_ms ? least(k->due_ms + k->start_within_ms, total) : total;
    case TASK_LEASED:
        return k->leased_ms + s->task_accept_ms;
    case TASK_RUNNING:
        return k->close_within_ms ? least(k->started_ms + k->close_within_ms, total) : total;
    case TASK_INPUT_REQUIRED:
        return k->input_within_ms ? least(k->changed_ms + k->input_within_ms, total) : total;
    case TASK_CANCELLING:
        return k->changed_ms + s->task_cancel_grace_ms;
    case TASK_NONE:
    case TASK_COMPLETED:
    case TASK_DEAD:
    case TASK_CANCELLED:
    case TASK_EXPIRED:
    case TASK_STATES:
        break;
    }
    return INT64_MAX;
}

static struct live *live_make(struct tasks *t)
{
    struct live *live = t->lives_spare;
    if (!live) {
        return xcalloc(1, sizeof *live);
    }
    t->lives_spare = live->held_next;
    t->lives_spare_n--;
    *live = (struct live){.item.number = 0};
    return live;
}

static struct live *live_new(struct tasks *t, const struct task *k)
{
    struct live *live = live_make(t);
    live->item = (struct queue_item){
        .number = k->number,
        .fairness = k->fairness.n ? hash64(0, k->fairness) : 0,
        .priority = (uint8_t)k->priority,
    };
    live->app = k->app;
    live->lease_due_ms = live->shun_ms = live->due_ms = live->fixed_ms = INT64_MAX;
    live->ahead_due_ms = INT64_MAX;
    live->kind = kind_of(t, k);
    live->item.kind = live->kind->id;
    if (k->sticky.n) {
        live->sticky = xstrndup(k->sticky.p, k->sticky.n);
        live->sticky_n = k->sticky.n;
    }
    table_add(t, live);
    return live;
}

void live_rekind(struct tasks *t, const struct task *k)
{
    struct live *live = live_find(t, k->number);
    if (live) {
        struct kind *before = live->kind;
        live->kind = kind_of(t, k);
        live->item.kind = live->kind->id;
        kind_unref(t, before);
    }
}

static void live_free(struct tasks *t, struct live *live)
{
    ahead_drop(t, live);
    free(live->sticky);
    if (t->lives_spare_n < LIVES_SPARE_MAX) {
        live->held_next = t->lives_spare;
        t->lives_spare = live;
        t->lives_spare_n++;
    } else {
        free(live);
    }
}

static void live_drop(struct tasks *t, struct live *live)
{
    kept_drop(t, live);
    table_drop(t, live->item.number);
    kind_unref(t, live->kind);
    live_free(t, live);
}

/* Out of the queue, out of its agent's hands. */
static void live_detach(struct tasks *t, struct live *live)
{
    if (live->item.waits) {
        queue_remove(tasks_app(t, live->app)->queue, &live->item);
    }
    if (live->agent) {
        worker_release(t, live);
    }
}

void live_wait(struct tasks *t, struct live *live, int64_t now_ms)
{
    live->picked = false;
    kind_block(t, live->kind, false);
    queue_add(tasks_app(t, live->app)->queue, &live->item, now_ms);
    tasks_wanted(t, live->app);
}

static void live_attach(struct tasks *t, struct live *live, int64_t now_ms)
{
    if (live->state == TASK_QUEUED && !live->picked) {
        live_wait(t, live, now_ms);
    }
    if (live->agent) {
        worker_hold(t, live);
    }
}

struct live *live_set(struct tasks *t, const struct task *k, uint64_t channel, int64_t now_ms)
{
    struct live *live = live_find(t, k->number);
    if (!live && !task_is_over(k->state)) {
        live = live_new(t, k);
    }
    if (!live) {
        return NULL;
    }
    live_detach(t, live);
    if (task_is_over(k->state)) {
        live_drop(t, live);
        return NULL;
    }
    bool runs_on = live->state == TASK_RUNNING && live->lease == k->lease;
    live->told_seq = runs_on ? live->told_seq : 0;
    live->channel = channel;
    live->picked = false;
    live->state = k->state;
    live->lease = k->lease;
    live->agent = task_is_held(k->state) ? k->agent : 0;
    live->last_agent = k->last_agent;
    live->lease_ms = k->lease_ms;
    live->item.queued_ms = k->queued_ms;
    live->fixed_ms = fixed_deadline(t, k);
    live->shun_ms = INT64_MAX;
    if (k->state != TASK_RUNNING) {
        live->lease_due_ms = INT64_MAX;
    } else if (!runs_on) {
        live->lease_due_ms = now_ms + k->lease_ms;
    }
    live_attach(t, live, now_ms);
    live_due(t, live);
    return live;
}

/* ---- start and end ---- */

void *tasks_open(const void *options)
{
    struct tasks *t = xcalloc(1, sizeof *t);
    t->options = *(const struct tasks_options *)options;
    t->balance = balance_new();
    t->candidates = candidates_new();
    t->deadlines = deadlines_new();
    t->now_ms = INT64_MIN;
    t->unpause_ms = INT64_MAX;
    return t;
}

/* Lives, queues, kinds and workers go; apps' figures stay, as others look at them. */
static void forget(struct tasks *t)
{
    kept_forget(t);
    for (size_t i = 0; i < t->table_cap; i++) {
        if (t->table[i]) {
            live_free(t, t->table[i]);
            t->table[i] = NULL;
        }
    }
    t->table_n = 0;
    deadlines_clear(t->deadlines);
    for (uint32_t i = 0; i < t->apps_n; i++) {
        if (t->apps[i]) {
            queue_free(t->apps[i]->queue);
            for (unsigned c = 0; c < READY_CLASSES; c++) {
                free(t->apps[i]->ready[c].list);
            }
            regions_free(t->apps[i]);
            free(t->apps[i]);
            t->apps[i] = NULL;
        }
    }
    kinds_forget(t);
}

void tasks_close(void *state)
{
    struct tasks *t = state;
    forget(t);
    workers_forget(t);
    for (uint32_t i = 0; i < APPS_FIGURED_MAX; i++) {
        free(atomic_load(&t->figures[i]));
    }
    balance_free(t->balance);
    free(t->places);
    candidates_free(t->candidates);
    buf_done(&t->told);
    buf_done(&t->channel);
    buf_done(&t->reply);
    kept_free(t);
    for (struct live *live = t->lives_spare, *next; live; live = next) {
        next = live->held_next;
        free(live);
    }
    buf_done(&t->kind_asked);
    free(t->kinds);
    free(t->kinds_free);
    free(t->apps);
    free(t->table);
    deadlines_free(t->deadlines);
    free(t);
}

/* After an aborted batch a lease goes on where its clock stood. */
struct task_clock {
    uint64_t number;
    uint32_t lease;
    int64_t due_ms;
};

struct loading {
    struct tasks *tasks;
    bool start;
    int64_t now_ms;
    int64_t renewed_ms;        /* leases of before are void: the store was restored from a backup */
    struct task_clock *clocks; /* by number */
    size_t clocks_n;
};

static int by_number(const void *a, const void *b)
{
    const struct task_clock *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static void clocks_keep(struct loading *l)
{
    struct tasks *t = l->tasks;
    l->clocks = xcalloc(t->table_n + 1, sizeof *l->clocks);
    for (size_t i = 0; i < t->table_cap; i++) {
        const struct live *live = t->table[i];
        if (live && live->state == TASK_RUNNING) {
            l->clocks[l->clocks_n++] = (struct task_clock){
                .number = live->item.number, .lease = live->lease, .due_ms = live->lease_due_ms};
        }
    }
    qsort(l->clocks, l->clocks_n, sizeof *l->clocks, by_number);
}

/* The balancer counts from the start: what may end in this life was assigned in it, or more would
 * end well than were assigned. */
static void load_assigned(struct tasks *t, const struct task *task)
{
    uint32_t agent = task->agent ? task->agent : task->last_agent;
    if (task_is_held(task->state) || task_has_lapsed(task)) {
        balance_assigned(t->balance, task->app, agent);
    }
}

static bool load_task(void *ctx, const struct task *task)
{
    struct loading *l = ctx;
    if (l->start) {
        load_assigned(l->tasks, task);
    }
    struct live *live = live_set(l->tasks, task, 0, l->now_ms);
    struct task_clock key = {.number = task->number};
    const struct task_clock *clock =
        bsearch(&key, l->clocks, l->clocks_n, sizeof *l->clocks, by_number);
    if (live && kept_has_room(l->tasks)) {
        kept_set(l->tasks, live, task, slice_of(NULL, 0));
    }
    if (clock && live && live->state == TASK_RUNNING && clock->lease == live->lease) {
        live->lease_due_ms = clock->due_ms;
        live_due(l->tasks, live);
    } else if (live && live->state == TASK_RUNNING && task->leased_ms < l->renewed_ms) {
        live->lease_due_ms = l->now_ms; /* nobody can renew it: others need not wait */
        live_due(l->tasks, live);
    }
    return true;
}

static void load_totals(void *ctx, uint32_t app, const struct task_totals *totals)
{
    tasks_app(((struct loading *)ctx)->tasks, app)->totals = *totals;
}

enum hub_rc tasks_load(void *state, struct store_view *view, int64_t now_ms)
{
    struct tasks *t = state;
    struct loading l = {
        .tasks = t, .start = !t->started, .now_ms = now_ms, .renewed_ms = store_renewed_ms(view)};
    t->started = true;
    clocks_keep(&l);
    forget(t);
    enum hub_rc rc = hub_rc_of_store(task_newest(view, &t->newest));
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(task_totals_each(view, load_totals, &l));
    }
    if (rc == HUB_OK) {
        rc = balance_load(t->balance, view);
    }
    if (rc == HUB_OK && l.start) {
        rc = balance_recall(t->balance, view);
    }
    if (rc == HUB_OK) {
        rc = pauses_load(t, view);
    }
    if (rc == HUB_OK) {
        rc = workers_load(t, view, l.start);
    }
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(tasks_each_open(view, load_task, &l));
    }
    for (uint32_t i = 0; rc == HUB_OK && i < t->apps_n; i++) {
        if (t->apps[i]) {
            figures_set(t, t->apps[i]);
        }
    }
    free(l.clocks);
    return rc;
}

struct balance *tasks_balance(void *module_state)
{
    return ((struct tasks *)module_state)->balance;
}
