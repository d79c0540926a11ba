/* Agents as far as work goes, and the kinds of tasks that they fit. A kind is compared with all
 * agents when its first task comes, an agent with all kinds when it registers; after that whether
 * one fits the other is a bit. */
#include "hub/tasks/inside.h"

#include <stdlib.h>

enum { LOOK_MS = 100 }; /* a pulse is copied so often at most */

/* ---- kinds ---- */

bool kind_fits(const struct kind *kind, uint32_t agent)
{
    return agent / 64 < kind->fits_n && (kind->fits[agent / 64] >> (agent % 64) & 1);
}

static bool have_all(const struct words *have, const struct words *wanted)
{
    struct slice rest = wanted->packed, word;
    while (words_next(&rest, &word)) {
        if (!words_have(have, word)) {
            return false;
        }
    }
    return true;
}

static bool satisfies(const struct agent *agent, const struct kind *kind)
{
    const struct task_needs *n = &kind->needs;
    return agent->app == kind->app && agent->status != AGENT_DEREGISTERED &&
           (!n->by_type || agent->type == n->type) &&
           (n->agents.n == 0 || words_have(&n->agents, agent->id)) &&
           !words_have(&n->avoid, agent->id) && have_all(&agent->capabilities, &n->capabilities) &&
           have_all(&agent->services, &n->services);
}

static void fit(struct kind *kind, const struct agent *agent)
{
    uint32_t word = agent->number / 64;
    bool fits = satisfies(agent, kind);
    if (word >= kind->fits_n) {
        if (!fits) {
            return;
        }
        kind->fits = xrealloc(kind->fits, ((size_t)word + 1) * sizeof *kind->fits);
        memset(kind->fits + kind->fits_n, 0, (word + 1 - kind->fits_n) * sizeof *kind->fits);
        kind->fits_n = word + 1;
    }
    uint64_t bit = UINT64_C(1) << (agent->number % 64);
    kind->fits[word] = fits ? kind->fits[word] | bit : kind->fits[word] & ~bit;
}

static void pack_kind(struct buf *b, const struct task *task)
{
    task_needs_pack(b, &task->needs);
    pack_u32(b, task->prefer.n);
    pack_slice(b, task->prefer.packed);
    pack_slice(b, task->region);
    pack_u8(b, (uint8_t)task->priority);
}

static uint32_t kind_place(struct tasks *t)
{
    if (t->kinds_free_n) {
        return t->kinds_free[--t->kinds_free_n];
    }
    if (t->kinds_n == t->kinds_cap) {
        t->kinds_cap = t->kinds_cap ? t->kinds_cap * 2 : 64;
        t->kinds = xrealloc(t->kinds, t->kinds_cap * sizeof(struct kind *));
        t->kinds_free = xrealloc(t->kinds_free, t->kinds_cap * sizeof *t->kinds_free);
    }
    return t->kinds_n++;
}

static struct kind *kind_new(struct tasks *t, uint32_t app, uint64_t hash, struct buf *packed)
{
    struct kind *kind = xcalloc(1, sizeof *kind);
    kind->app = app;
    kind->hash = hash;
    kind->packed = *packed;
    *packed = (struct buf){0};
    struct unpack u = unpack_of(buf_slice(&kind->packed));
    (void)task_needs_unpack(&u, &kind->needs);
    kind->prefer.n = unpack_u32(&u);
    kind->prefer.packed = unpack_slice(&u);
    kind->region = unpack_slice(&u);
    kind->priority = unpack_u8(&u);
    kind->id = kind_place(t);
    t->kinds[kind->id] = kind;
    kind->next = t->kind_buckets[hash % KIND_BUCKETS];
    t->kind_buckets[hash % KIND_BUCKETS] = kind;
    for (uint32_t i = 1; i <= t->workers_n; i++) {
        if (t->workers[i].row.n) {
            fit(kind, &t->workers[i].agent);
        }
    }
    return kind;
}

struct kind *kind_of(struct tasks *t, const struct task *task)
{
    struct buf packed = {0};
    pack_kind(&packed, task);
    uint64_t hash = hash64(task->app, buf_slice(&packed));
    struct kind *kind = t->kind_buckets[hash % KIND_BUCKETS];
    while (kind && (kind->app != task->app || kind->hash != hash ||
                    !slice_equal(buf_slice(&kind->packed), buf_slice(&packed)))) {
        kind = kind->next;
    }
    if (!kind) {
        kind = kind_new(t, task->app, hash, &packed);
    }
    buf_done(&packed);
    kind->tasks++;
    return kind;
}

static void kind_free(struct kind *kind)
{
    buf_done(&kind->packed);
    free(kind->fits);
    free(kind);
}

void kind_unref(struct tasks *t, struct kind *kind)
{
    if (--kind->tasks > 0) {
        return;
    }
    struct kind **at = &t->kind_buckets[kind->hash % KIND_BUCKETS];
    while (*at != kind) {
        at = &(*at)->next;
    }
    *at = kind->next;
    t->kinds[kind->id] = NULL;
    t->kinds_free[t->kinds_free_n++] = kind->id;
    kind_free(kind);
}

void kinds_forget(struct tasks *t)
{
    for (uint32_t i = 0; i < t->kinds_n; i++) {
        if (t->kinds[i]) {
            kind_free(t->kinds[i]);
        }
    }
    t->kinds_n = t->kinds_free_n = 0;
    memset(t->kind_buckets, 0, sizeof t->kind_buckets);
}

/* ---- workers ---- */

struct worker *worker_of(struct tasks *t, uint32_t number)
{
    return number && number <= t->workers_n && t->workers[number].row.n ? &t->workers[number]
                                                                        : NULL;
}

static void ready_add(struct tasks *t, struct worker *w)
{
    struct tasks_app *app = tasks_app(t, w->agent.app);
    uint32_t capabilities = w->agent.capabilities.n;
    w->ready_class = (uint8_t)(capabilities < READY_CLASSES ? capabilities : READY_CLASSES - 1);
    struct ready *ready = &app->ready[w->ready_class];
    if (ready->n == ready->cap) {
        ready->cap = ready->cap ? ready->cap * 2 : 64;
        ready->list = xrealloc(ready->list, ready->cap * sizeof *ready->list);
    }
    w->ready_at = ready->n;
    ready->list[ready->n++] = w->agent.number;
    app->ready_n++;
}

static void ready_drop(struct tasks *t, struct worker *w)
{
    struct tasks_app *app = tasks_app(t, w->agent.app);
    struct ready *ready = &app->ready[w->ready_class];
    uint32_t last = ready->list[--ready->n];
    ready->list[w->ready_at] = last;
    t->workers[last].ready_at = w->ready_at;
    w->ready_at = NOT_READY;
    app->ready_n--;
}

/* semantics.md section 1: active, and its stream open if it came by one. Health is looked at when
 * it is chosen, as it changes by itself. */
bool worker_is_there(const struct worker *w)
{
    return w && w->agent.status == AGENT_ACTIVE && w->agent.connection != AGENT_STREAM_CLOSED;
}

static bool is_ready(const struct worker *w)
{
    return worker_is_there(w) && w->held_n + w->picked_n < w->agent.slots;
}

/* What others see of it: nothing is written, as it may change with every task. */
static void show(struct tasks *t, struct worker *w)
{
    bool busy = agent_status_with(w->agent.status, w->held_n, w->agent.slots) == AGENT_BUSY &&
                w->agent.status == AGENT_ACTIVE;
    if (busy != w->busy) {
        w->busy = busy;
        atomic_fetch_add_explicit(&t->busy, busy ? 1 : UINT64_MAX, memory_order_relaxed);
    }
    pulse_held_put(t->options.pulses, w->agent.number, w->held_n);
}

uint64_t tasks_busy_agents(const void *module_state)
{
    const struct tasks *t = module_state;
    return atomic_load_explicit(&t->busy, memory_order_relaxed);
}

void worker_judge(struct tasks *t, struct worker *w)
{
    show(t, w);
    bool ready = is_ready(w), was = w->ready_at != NOT_READY;
    if (ready && !was) {
        ready_add(t, w);
        tasks_wanted(t, w->agent.app);
        for (uint32_t i = 0; i < t->kinds_n; i++) {
            if (t->kinds[i] && t->kinds[i]->blocked && kind_fits(t->kinds[i], w->agent.number)) {
                t->kinds[i]->blocked = false;
            }
        }
    } else if (!ready && was) {
        ready_drop(t, w);
    }
}

static void workers_reach(struct tasks *t, uint32_t number)
{
    if (number >= t->workers_cap) {
        uint32_t cap = t->workers_cap ? t->workers_cap : 64;
        while (cap <= number) {
            cap *= 2;
        }
        t->workers = xrealloc(t->workers, cap * sizeof *t->workers);
        t->workers_cap = cap;
    }
    for (; t->workers_n < number; t->workers_n++) {
        t->workers[t->workers_n + 1] = (struct worker){.ready_at = NOT_READY};
    }
}

void worker_set(struct tasks *t, const struct agent *agent)
{
    workers_reach(t, agent->number);
    struct worker *w = &t->workers[agent->number];
    struct buf row = {0};
    bool known = w->row.n > 0;
    if (w->ready_at != NOT_READY) {
        ready_drop(t, w); /* its class may be another now */
    }
    t->agents_changed++;
    agent_pack(&row, agent);
    buf_done(&w->row);
    w->row = row;
    (void)agent_unpack(buf_slice(&w->row), &w->agent);
    w->success_stored = agent->success;
    w->success = known ? w->success : agent->success;
    w->looked_ms = INT64_MIN;
    for (uint32_t i = 0; i < t->kinds_n; i++) {
        if (t->kinds[i]) {
            fit(t->kinds[i], &w->agent);
            t->kinds[i]->blocked = false;
        }
    }
    worker_judge(t, w);
    if (w->ready_at != NOT_READY) {
        tasks_wanted(t, agent->app);
    }
}

void worker_hold(struct tasks *t, struct live *live)
{
    struct worker *w = worker_of(t, live->agent);
    live->held_before = NULL;
    live->held_next = NULL;
    if (!w) {
        return;
    }
    live->held_next = w->held;
    if (w->held) {
        w->held->held_before = live;
    }
    w->held = live;
    w->held_n++;
    worker_judge(t, w);
}

void worker_release(struct tasks *t, struct live *live)
{
    struct worker *w = worker_of(t, live->agent);
    live->agent = 0;
    if (!w) {
        return;
    }
    if (live->held_before) {
        live->held_before->held_next = live->held_next;
    } else {
        w->held = live->held_next;
    }
    if (live->held_next) {
        live->held_next->held_before = live->held_before;
    }
    live->held_next = live->held_before = NULL;
    w->held_n--;
    worker_judge(t, w);
}

void worker_look(struct tasks *t, struct worker *w, int64_t now_ms)
{
    if (w->looked_ms > now_ms - LOOK_MS && w->looked_ms <= now_ms) {
        return;
    }
    struct liveness_rules rules = liveness_rules_of(task_settings(t));
    struct pulse pulse = {.seen_ms = 0};
    struct agent agent = w->agent;
    (void)pulse_get(t->options.pulses, agent.number, &pulse);
    int64_t seen = pulse.seen_ms ? pulse.seen_ms : agent.seen_ms;
    const struct metrics *metrics = pulse.seen_ms ? &pulse.metrics : &agent.metrics;
    agent.success = w->success;
    w->health = liveness_health(&rules, &agent, metrics, now_ms > seen ? now_ms - seen : 0).total;
    w->load = liveness_load(metrics);
    w->use = liveness_parts(metrics);
    w->reported_ms = metrics->n ? seen : 0;
    w->looked_ms = now_ms;
}

/* The lists of who is ready were forgotten before. */
void workers_keep(struct tasks *t, uint32_t newest)
{
    for (; t->workers_n > newest; t->workers_n--) {
        struct worker *w = &t->workers[t->workers_n];
        atomic_fetch_sub_explicit(&t->busy, w->busy, memory_order_relaxed);
        buf_done(&w->row);
    }
}

uint32_t tasks_held_by(const void *module_state, uint32_t agent)
{
    const struct tasks *t = module_state;
    return agent <= t->workers_n && agent ? t->workers[agent].held_n : 0;
}

void tasks_held_put(const void *module_state, uint32_t agent, struct buf *out)
{
    const struct tasks *t = module_state;
    const struct live *live = agent && agent <= t->workers_n ? t->workers[agent].held : NULL;
    for (; live; live = live->held_next) {
        pack_u64(out, live->item.number);
    }
}
