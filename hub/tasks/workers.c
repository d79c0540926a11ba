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

static bool satisfies(const struct worker *w, const struct kind *kind)
{
    const struct task_needs *n = &kind->needs;
    return w->app == kind->app && (!n->by_type || w->type == n->type) &&
           (n->agents.n == 0 || words_have(&n->agents, w->id)) && !words_have(&n->avoid, w->id) &&
           have_all(&w->capabilities, &n->capabilities) && have_all(&w->services, &n->services);
}

static void fit(struct kind *kind, const struct worker *w)
{
    uint32_t word = w->number / 64;
    bool fits = satisfies(w, kind);
    if (word >= kind->fits_n) {
        if (!fits) {
            return;
        }
        kind->fits = xrealloc(kind->fits, ((size_t)word + 1) * sizeof *kind->fits);
        memset(kind->fits + kind->fits_n, 0, (word + 1 - kind->fits_n) * sizeof *kind->fits);
        kind->fits_n = word + 1;
    }
    uint64_t bit = UINT64_C(1) << (w->number % 64);
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

static struct kind *kind_new(struct tasks *t, uint32_t app, uint64_t hash, struct slice packed)
{
    struct kind *kind = xcalloc(1, sizeof *kind);
    kind->app = app;
    kind->hash = hash;
    buf_add_slice(&kind->packed, packed);
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
    for (uint32_t i = 0; i < t->places_n; i++) {
        if (t->places[i].worker) {
            fit(kind, t->places[i].worker);
        }
    }
    return kind;
}

void kind_block(struct tasks *t, struct kind *kind, bool blocked)
{
    t->kinds_blocked += (uint32_t)blocked - (uint32_t)kind->blocked;
    kind->blocked = blocked;
}

struct kind *kind_of(struct tasks *t, const struct task *task)
{
    struct buf *packed = &t->kind_asked;
    buf_clear(packed);
    pack_kind(packed, task);
    uint64_t hash = hash64(task->app, buf_slice(packed));
    struct kind *kind = t->kind_buckets[hash % KIND_BUCKETS];
    while (kind && (kind->app != task->app || kind->hash != hash ||
                    !slice_equal(buf_slice(&kind->packed), buf_slice(packed)))) {
        kind = kind->next;
    }
    if (!kind) {
        kind = kind_new(t, task->app, hash, buf_slice(packed));
    }
    kind->tasks++;
    return kind;
}

static void kind_free(struct kind *kind)
{
    buf_done(&kind->packed);
    free(kind->fits);
    free(kind);
}

static void kind_drop(struct tasks *t, struct kind *kind)
{
    struct kind **at = &t->kind_buckets[kind->hash % KIND_BUCKETS];
    while (*at != kind) {
        at = &(*at)->next;
    }
    *at = kind->next;
    t->kinds[kind->id] = NULL;
    t->kinds_free[t->kinds_free_n++] = kind->id;
    kind_block(t, kind, false);
    kind_free(kind);
}

/* It stays until so many others had none either: tasks of one kind come again and again, and a new
 * one is compared with all agents. */
void kind_unref(struct tasks *t, struct kind *kind)
{
    if (--kind->tasks > 0) {
        return;
    }
    uint32_t now = t->kinds_idled++, *place = &t->kinds_idle[now % KINDS_IDLE_MAX];
    struct kind *other = *place < t->kinds_n ? t->kinds[*place] : NULL;
    *place = kind->id;
    kind->idled = now;
    kind->sums = (struct fit_sums){.of = 0};
    if (other && other->tasks == 0 && other->idled + KINDS_IDLE_MAX == now) {
        kind_drop(t, other);
    }
}

void kinds_forget(struct tasks *t)
{
    for (uint32_t i = 0; i < t->kinds_n; i++) {
        if (t->kinds[i]) {
            kind_free(t->kinds[i]);
        }
    }
    t->kinds_n = t->kinds_free_n = t->kinds_blocked = t->kinds_idled = 0;
    memset(t->kind_buckets, 0, sizeof t->kind_buckets);
}

/* ---- who is here, and what is remembered of who was ---- */

struct place *place_of(struct tasks *t, uint32_t number)
{
    return number < t->places_n && t->places[number].epoch ? &t->places[number] : NULL;
}

struct worker *worker_of(const struct tasks *t, uint32_t number)
{
    return number < t->places_n ? t->places[number].worker : NULL;
}

static bool stored_agent(struct apply *a, uint32_t number, struct agent *out)
{
    return number && agent_get(a->view, number, out) == STORE_OK;
}

struct slice agent_id_of(struct apply *a, uint32_t number)
{
    const struct worker *w = worker_of(tasks_of(a), number);
    struct agent agent;
    if (w) {
        return w->id;
    }
    return stored_agent(a, number, &agent) ? agent.id : slice_of(NULL, 0);
}

struct slice agent_owner_of(struct apply *a, uint32_t number)
{
    const struct worker *w = worker_of(tasks_of(a), number);
    struct agent agent;
    if (w) {
        return w->owner;
    }
    return stored_agent(a, number, &agent) ? agent.owner : slice_of(NULL, 0);
}

/* ---- workers ---- */

static void ready_add(struct tasks *t, struct worker *w)
{
    struct tasks_app *app = tasks_app(t, w->app);
    uint32_t capabilities = w->capabilities.n;
    w->ready_class = (uint8_t)(capabilities < READY_CLASSES ? capabilities : READY_CLASSES - 1);
    struct ready *ready = &app->ready[w->ready_class];
    if (ready->n == ready->cap) {
        ready->cap = ready->cap ? ready->cap * 2 : 64;
        ready->list = xrealloc(ready->list, ready->cap * sizeof *ready->list);
    }
    w->ready_at = ready->n;
    ready->list[ready->n++] =
        (struct ready_agent){.number = w->number,
                             .running = w->held_n + w->picked_n,
                             .slots = w->slots,
                             .picked_at = balance_picked_at(t->balance, w->number)};
    app->ready_n++;
    region_ready(app, w);
}

static struct ready_agent *ready_of(struct tasks *t, const struct worker *w)
{
    return &tasks_app(t, w->app)->ready[w->ready_class].list[w->ready_at];
}

static void ready_drop(struct tasks *t, struct worker *w)
{
    struct tasks_app *app = tasks_app(t, w->app);
    struct ready *ready = &app->ready[w->ready_class];
    struct ready_agent last = ready->list[--ready->n];
    ready->list[w->ready_at] = last;
    worker_of(t, last.number)->ready_at = w->ready_at;
    w->ready_at = NOT_READY;
    app->ready_n--;
    region_unready(app, w);
}

/* semantics.md section 1: active, and its stream open if it came by one. Health is looked at when
 * it is chosen, as it changes by itself. */
bool worker_is_reached(const struct worker *w)
{
    return w && w->status == AGENT_ACTIVE && w->connection != AGENT_STREAM_CLOSED;
}

bool worker_is_there(const struct worker *w)
{
    return worker_is_reached(w) && !w->paused;
}

static bool is_ready(const struct worker *w)
{
    return worker_is_there(w) && w->held_n + w->picked_n < w->slots;
}

/* What others see of it: nothing is written, as it may change with every task. */
static void show(struct tasks *t, struct worker *w)
{
    bool busy = agent_status_with(w->status, w->held_n, w->slots) == AGENT_BUSY &&
                w->status == AGENT_ACTIVE;
    if (busy != w->busy) {
        w->busy = busy;
        atomic_fetch_add_explicit(&t->busy, busy ? 1 : UINT64_MAX, memory_order_relaxed);
    }
    pulse_held_put(t->options.pulses, w->number, w->held_n);
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
        tasks_wanted(t, w->app);
        for (uint32_t i = 0; t->kinds_blocked && i < t->kinds_n; i++) {
            if (t->kinds[i] && t->kinds[i]->blocked && kind_fits(t->kinds[i], w->number)) {
                kind_block(t, t->kinds[i], false);
            }
        }
    } else if (!ready && was) {
        ready_drop(t, w);
    } else if (ready) {
        ready_of(t, w)->running = w->held_n + w->picked_n;
    }
}

void worker_pick(struct tasks *t, struct worker *w)
{
    w->picked_n++;
    worker_judge(t, w);
    if (w->ready_at != NOT_READY) {
        ready_of(t, w)->picked_at = balance_picked_at(t->balance, w->number);
    }
}

static struct place *place_reach(struct tasks *t, uint32_t number)
{
    if (number >= t->places_cap) {
        uint32_t cap = t->places_cap ? t->places_cap : 64;
        while (cap <= number) {
            cap *= 2;
        }
        t->places = xrealloc(t->places, cap * sizeof *t->places);
        t->places_cap = cap;
    }
    for (; t->places_n <= number; t->places_n++) {
        t->places[t->places_n] = (struct place){.epoch = 0};
    }
    return &t->places[number];
}

static struct slice copy(uint8_t **at, struct slice from)
{
    struct slice to = slice_of(*at, from.n);
    if (from.n) {
        memcpy(*at, from.p, from.n);
    }
    *at += from.n;
    return to;
}

static void texts_set(struct tasks *t, struct worker *w, const struct agent *agent)
{
    buf_clear(&t->channel);
    agent_channel(&t->channel, "agent.", agent->id);
    free(w->texts);
    uint8_t *at = w->texts =
        xmalloc(agent->id.n + agent->owner.n + agent->region.n + agent->capabilities.packed.n +
                agent->services.packed.n + t->channel.n);
    w->id = copy(&at, agent->id);
    w->channel_name = copy(&at, buf_slice(&t->channel));
    w->owner = copy(&at, agent->owner);
    w->region = copy(&at, agent->region);
    w->capabilities = (struct words){agent->capabilities.n, copy(&at, agent->capabilities.packed)};
    w->services = (struct words){agent->services.n, copy(&at, agent->services.packed)};
}

static void worker_come(struct tasks *t, struct worker *w, const struct agent *agent)
{
    if (w->ready_at != NOT_READY) {
        ready_drop(t, w); /* its class may be another now */
    }
    texts_set(t, w, agent);
    w->number = agent->number;
    w->app = agent->app;
    w->slots = agent->slots;
    w->interval_ms = agent->interval_ms;
    w->type = agent->type;
    w->status = agent->status;
    w->connection = agent->connection;
    w->seen_ms = agent->seen_ms;
    w->looked_ms = INT64_MIN;
    for (uint32_t i = 0; i < t->kinds_n; i++) {
        if (t->kinds[i]) {
            fit(t->kinds[i], w);
            kind_block(t, t->kinds[i], false);
        }
    }
    worker_judge(t, w);
    if (w->ready_at != NOT_READY) {
        tasks_wanted(t, agent->app);
    }
}

void worker_set(struct tasks *t, const struct agent *agent)
{
    struct place *place = place_reach(t, agent->number);
    bool anew = place->epoch != agent->epoch;
    place->success = place->epoch ? place->success : agent->success;
    place->success_stored = agent->success;
    place->epoch = agent->epoch;
    t->agents_changed++;
    if (!agent_has_departed(agent->status)) {
        if (!place->worker) {
            place->worker = xcalloc(1, sizeof *place->worker);
            place->worker->ready_at = NOT_READY;
        }
        worker_come(t, place->worker, agent);
        worker_paused(t, place, anew);
    } else if (place->worker) {
        place->worker->status = agent->status;
        worker_judge(t, place->worker);
    }
}

static void worker_free(struct tasks *t, struct worker *w)
{
    if (w && w->busy) {
        atomic_fetch_sub_explicit(&t->busy, 1, memory_order_relaxed);
    }
    if (w) {
        free(w->texts);
    }
    free(w);
}

void worker_leave(struct tasks *t, uint32_t number)
{
    struct worker *w = worker_of(t, number);
    if (w && !w->held) {
        worker_free(t, w);
        t->places[number].worker = NULL;
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
    struct pulse pulse = {.silent_ms = 0};
    (void)pulse_get_own(t->options.pulses, w->number, &pulse);
    int64_t seen = pulse.silent_ms ? pulse.silent_ms : w->seen_ms;
    const struct metrics *metrics = &pulse.metrics;
    const struct agent agent = {.status = w->status,
                                .interval_ms = w->interval_ms,
                                .success = t->places[w->number].success};
    w->health = liveness_health(&rules, &agent, metrics, now_ms > seen ? now_ms - seen : 0).total;
    w->load = liveness_load(metrics);
    w->use = liveness_parts(metrics);
    w->reported_ms = metrics->n ? seen : 0;
    w->looked_ms = now_ms;
}

/* ---- start and end ---- */

static void load_one(struct tasks *t, struct agent *agent, const struct place *known, bool start)
{
    if (known) {
        struct place *place = place_reach(t, agent->number);
        *place = *known;
        place->worker = NULL;
    }
    if (start && agent->connection) {
        agent->connection = AGENT_STREAM_CLOSED; /* of a store too full to say so yet */
    }
    worker_set(t, agent);
}

static enum hub_rc load_all(struct tasks *t, struct store_view *view, const struct place *before,
                            uint32_t before_n, bool start)
{
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, TABLE_AGENT, &cursor);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    for (rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value); rc == STORE_OK;
         rc = store_cursor_next(cursor, &key, &value)) {
        struct agent agent;
        if (!agent_unpack(value, &agent)) {
            rc = STORE_DAMAGED;
            break;
        }
        bool known = agent.number < before_n && before[agent.number].epoch;
        load_one(t, &agent, known ? &before[agent.number] : NULL, start);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

void workers_forget(struct tasks *t)
{
    for (uint32_t i = 0; i < t->places_n; i++) {
        worker_free(t, t->places[i].worker);
    }
    free(t->places);
    t->places = NULL;
    t->places_n = t->places_cap = 0;
}

/* What was learned of an agent outlives an aborted batch; an agent that came in it does not. */
enum hub_rc workers_load(struct tasks *t, struct store_view *view, bool start)
{
    uint32_t before_n = t->places_n;
    struct place *before = xcalloc((size_t)before_n + 1, sizeof *before);
    if (before_n) {
        memcpy(before, t->places, before_n * sizeof *before);
    }
    workers_forget(t);
    enum hub_rc rc = load_all(t, view, before, before_n, start);
    free(before);
    return rc;
}

uint32_t tasks_held_by(const void *module_state, uint32_t agent)
{
    const struct worker *w = worker_of(module_state, agent);
    return w ? w->held_n : 0;
}

void tasks_held_put(const void *module_state, uint32_t agent, struct buf *out)
{
    const struct worker *w = worker_of(module_state, agent);
    for (const struct live *live = w ? w->held : NULL; live; live = live->held_next) {
        pack_u64(out, live->item.number);
    }
}
