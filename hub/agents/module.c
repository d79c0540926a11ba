/* What the writer keeps of each agent in memory: when it is to be looked at next, and who holds its
 * session. The deadlines are a binary heap by due time; a beat moves nothing in it: when a deadline
 * comes and the pulse turns out to be fresh, the agent is looked at again later. So a beat costs no
 * more than its slot, and only changes of state are written. */
#include "hub/agents/module.h"
#include "hub/core/why.h"

#include <stdlib.h>

enum { LATE_MS = 1000, LATE_FACTOR_MAX = 8 };

struct watch {
    int64_t due_ms;    /* INT64_MAX: never */
    int64_t closed_ms; /* its stream closed then; 0: it did not */
    uint64_t connection;
    uint32_t heap_at; /* place in the heap */
    uint32_t app, interval_ms, epoch;
    uint8_t status; /* AGENT_STATUSES: no such agent */
    bool graced;    /* known at the start, not heard of since: has the start's grace */
};

struct agents {
    struct agents_options options;
    struct watch *watches; /* by number */
    uint32_t n, cap;       /* numbers in use: 1..n */
    uint32_t *heap;
    uint32_t heap_n;
    uint32_t *changed; /* numbers whose standing others learn when it is on disk */
    uint32_t changed_n, changed_cap;
    int64_t grace_until_ms;
    uint32_t live; /* not deregistered */
    _Atomic uint64_t by_status[AGENT_STATUSES];
};

struct liveness_rules liveness_rules_of(const struct hub_settings *s)
{
    return (struct liveness_rules){.timeout_ms = s->heartbeat_timeout_ms,
                                   .reconnect_ms = s->agent_reconnect_ms,
                                   .suspect_intervals = s->suspect_intervals};
}

static const struct hub_settings *settings_of(const struct agents *agents)
{
    return atomic_load(agents->options.settings);
}

/* ---- the heap of deadlines ---- */

static void heap_place(struct agents *a, uint32_t at, uint32_t number)
{
    a->heap[at] = number;
    a->watches[number].heap_at = at;
}

static void heap_up(struct agents *a, uint32_t at)
{
    uint32_t number = a->heap[at];
    for (; at > 0; at = (at - 1) / 2) {
        uint32_t parent = a->heap[(at - 1) / 2];
        if (a->watches[parent].due_ms <= a->watches[number].due_ms) {
            break;
        }
        heap_place(a, at, parent);
    }
    heap_place(a, at, number);
}

static void heap_down(struct agents *a, uint32_t at)
{
    uint32_t number = a->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= a->heap_n) {
            break;
        }
        if (child + 1 < a->heap_n &&
            a->watches[a->heap[child + 1]].due_ms < a->watches[a->heap[child]].due_ms) {
            child++;
        }
        if (a->watches[number].due_ms <= a->watches[a->heap[child]].due_ms) {
            break;
        }
        heap_place(a, at, a->heap[child]);
        at = child;
    }
    heap_place(a, at, number);
}

static void due_set(struct agents *a, uint32_t number, int64_t due_ms)
{
    struct watch *w = &a->watches[number];
    bool earlier = due_ms < w->due_ms;
    w->due_ms = due_ms;
    if (earlier) {
        heap_up(a, w->heap_at);
    } else {
        heap_down(a, w->heap_at);
    }
}

/* ---- memory ---- */

static struct watch *watch_add(struct agents *a, uint32_t number)
{
    while (number >= a->cap) {
        uint32_t cap = a->cap ? a->cap * 2 : 256;
        a->watches = xrealloc(a->watches, cap * sizeof *a->watches);
        a->heap = xrealloc(a->heap, cap * sizeof *a->heap);
        a->cap = cap;
    }
    while (a->n < number) {
        struct watch *w = &a->watches[++a->n];
        *w = (struct watch){.due_ms = INT64_MAX, .status = AGENT_STATUSES, .heap_at = a->heap_n};
        a->heap[a->heap_n++] = a->n;
    }
    return &a->watches[number];
}

static void count_status(struct agents *a, uint8_t from, uint8_t to)
{
    if (from != to) {
        if (from < AGENT_STATUSES) {
            atomic_fetch_sub_explicit(&a->by_status[from], 1, memory_order_relaxed);
        }
        if (to < AGENT_STATUSES) {
            atomic_fetch_add_explicit(&a->by_status[to], 1, memory_order_relaxed);
        }
    }
}

static bool is_watched(uint8_t status)
{
    return status < AGENT_STATUSES && !agent_has_departed((enum agent_status)status);
}

static void watch_status(struct agents *a, uint32_t number, enum agent_status status)
{
    struct watch *w = &a->watches[number];
    bool was = w->status < AGENT_DEREGISTERED, is = status < AGENT_DEREGISTERED;
    a->live += (uint32_t)is - (uint32_t)was;
    count_status(a, w->status, (uint8_t)status);
    w->status = (uint8_t)status;
}

/* From when its silence counts. */
static int64_t silent_ms(const struct agents *a, uint32_t number, int64_t otherwise,
                         struct pulse *out)
{
    if (pulse_get_own(a->options.pulses, number, out)) {
        return out->silent_ms;
    }
    *out = (struct pulse){0};
    return otherwise;
}

/* semantics.md section 1: inactive once all it had is done. */
static bool has_drained(const struct agents *a, uint32_t number, enum agent_status status)
{
    return status == AGENT_DRAINING && pulse_held(a->options.pulses, number) == 0;
}

/* When the agent must be looked at next, given its last beat. */
static int64_t next_look(const struct agents *a, uint32_t number, int64_t seen,
                         const struct pulse *pulse)
{
    const struct watch *w = &a->watches[number];
    struct liveness_rules rules = liveness_rules_of(settings_of(a));
    if (!is_watched(w->status)) {
        return INT64_MAX;
    }
    if (has_drained(a, number, (enum agent_status)w->status)) {
        return seen;
    }
    int64_t stale = seen + liveness_stale_after(&rules, w->interval_ms, pulse);
    int64_t inactive = seen + rules.timeout_ms;
    if (w->graced && stale < a->grace_until_ms) {
        stale = a->grace_until_ms;
        inactive = inactive > stale ? inactive : stale;
    }
    if (w->closed_ms) {
        int64_t gone = w->closed_ms + rules.reconnect_ms;
        inactive = gone < inactive ? gone : inactive;
    }
    return w->status == AGENT_STALE ? inactive : stale < inactive ? stale : inactive;
}

static void look_again(struct agents *a, uint32_t number, int64_t now_ms)
{
    struct pulse pulse;
    int64_t seen = silent_ms(a, number, now_ms, &pulse);
    due_set(a, number, next_look(a, number, seen, &pulse));
}

static void note_changed(struct agents *a, uint32_t number)
{
    if (a->changed_n == a->changed_cap) {
        a->changed_cap = a->changed_cap ? a->changed_cap * 2 : 64;
        a->changed = xrealloc(a->changed, a->changed_cap * sizeof *a->changed);
    }
    a->changed[a->changed_n++] = number;
}

/* A batch that fails takes everything back, so nobody learns of a change before, and the pulse of
 * one who departed stays until then; its row has what that said. */
static void agents_settled(void *state)
{
    struct agents *a = state;
    for (uint32_t i = 0; i < a->changed_n; i++) {
        uint32_t number = a->changed[i];
        const struct watch *w = number <= a->n ? &a->watches[number] : NULL;
        bool there = w && w->status < AGENT_STATUSES;
        standing_put(a->options.pulses, number,
                     there ? (struct agent_standing){w->epoch, (enum agent_status)w->status}
                           : (struct agent_standing){.epoch = 0});
        if (!there || !is_watched(w->status)) {
            pulse_drop(a->options.pulses, number);
        }
    }
    free(a->changed);
    a->changed = NULL;
    a->changed_n = a->changed_cap = 0;
}

static bool agents_hold_back(const void *state)
{
    return ((const struct agents *)state)->changed_n > 0;
}

static void *agents_open(const void *options)
{
    struct agents *a = xcalloc(1, sizeof *a);
    a->options = *(const struct agents_options *)options;
    a->grace_until_ms = INT64_MIN;
    return a;
}

static void agents_close(void *state)
{
    struct agents *a = state;
    free(a->watches);
    free(a->heap);
    free(a->changed);
    free(a);
}

/* After a start everybody's silence begins anew, whenever the last beat was, and has the full
 * grace: nobody is found dead because the hub was. After an aborted batch the pulses are still
 * there and nobody's clock starts anew. */
static enum hub_rc agents_load(void *state, struct store_view *view, int64_t now_ms)
{
    struct agents *a = state;
    bool start = a->grace_until_ms == INT64_MIN;
    if (start) {
        a->grace_until_ms = now_ms + settings_of(a)->agent_grace_ms;
    }
    /* A stream that closed stays closed, unless the batch that said so is the one that failed. */
    uint32_t before_n = a->n;
    struct watch *before = xcalloc((size_t)before_n + 1, sizeof *before);
    if (before_n) {
        memcpy(before, a->watches, ((size_t)before_n + 1) * sizeof *before);
    }
    a->n = a->heap_n = a->live = 0;
    for (unsigned i = 0; i < AGENT_STATUSES; i++) {
        atomic_store_explicit(&a->by_status[i], 0, memory_order_relaxed);
    }
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, TABLE_AGENT, &cursor);
    if (rc != STORE_OK) {
        free(before);
        return hub_rc_of_store(rc);
    }
    for (rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value); rc == STORE_OK;
         rc = store_cursor_next(cursor, &key, &value)) {
        struct agent agent;
        if (!agent_unpack(value, &agent)) {
            rc = STORE_DAMAGED;
            break;
        }
        struct watch *w = watch_add(a, agent.number);
        w->app = agent.app;
        w->interval_ms = agent.interval_ms;
        w->epoch = agent.epoch;
        bool open = !start && agent.connection != AGENT_STREAM_CLOSED;
        w->connection = open ? agent.connection : 0;
        bool known = !start && agent.number <= before_n;
        w->graced = start || (known && before[agent.number].graced);
        w->closed_ms = known && agent.status == AGENT_STALE ? before[agent.number].closed_ms : 0;
        watch_status(a, agent.number, agent.status);
        if (start && is_watched((uint8_t)agent.status)) {
            struct pulse pulse = {
                .seen_ms = agent.seen_ms, .silent_ms = now_ms, .metrics = agent.metrics};
            pulse_put(a->options.pulses, agent.number, &pulse);
        }
        look_again(a, agent.number, now_ms);
        struct pulse pulse;
        if (!start && agent.status == AGENT_STALE &&
            silent_ms(a, agent.number, INT64_MIN, &pulse) >= agent.changed_ms && !w->closed_ms) {
            due_set(a, agent.number,
                    now_ms); /* it was heard since, and its way back was in the batch that failed */
        }
        if (agent.status == AGENT_DRAINING) {
            due_set(a, agent.number, now_ms); /* what it holds is not counted yet */
        }
    }
    store_cursor_close(cursor);
    free(before);
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

static void agents_recall(const void *state, bool lasting, struct buf *out)
{
    const struct agents *a = state;
    buf_printf(out, "%u agents, %u there\n", a->n, a->live);
    for (unsigned i = 0; i < AGENT_STATUSES; i++) {
        buf_printf(
            out, "%s: %llu\n", agent_status_name((enum agent_status)i),
            (unsigned long long)atomic_load_explicit(&a->by_status[i], memory_order_relaxed));
    }
    for (uint32_t i = 1; i <= a->n; i++) {
        const struct watch *w = &a->watches[i];
        buf_printf(out, "agent %u: app %u, status %u, interval %u", i, w->app, w->status,
                   w->interval_ms);
        if (!lasting) {
            int64_t closed_ms = w->status == AGENT_STALE ? w->closed_ms : 0;
            buf_printf(out, ", connection %llx, graced %d, closed %lld",
                       (unsigned long long)w->connection, w->graced, (long long)closed_ms);
        }
        buf_add_str(out, "\n");
    }
}

static int64_t agents_next_due(void *state)
{
    const struct agents *a = state;
    return a->heap_n ? a->watches[a->heap[0]].due_ms : INT64_MAX;
}

void agents_counts(void *state, struct agents_counts *out)
{
    const struct agents *a = state;
    for (unsigned i = 0; i < AGENT_STATUSES; i++) {
        out->by_status[i] = atomic_load_explicit(&a->by_status[i], memory_order_relaxed);
    }
}

/* ---- what the channels are told ---- */

/* Other parts of the domain hear of a change before the channels do. */
static enum hub_rc tell_watchers(struct apply *a, const struct agent *agent,
                                 enum agent_status before)
{
    struct agents *agents = a->state;
    enum hub_rc rc = HUB_OK;
    for (unsigned i = 0; rc == HUB_OK && i < agents->options.watchers_n; i++) {
        const struct agent_watcher *watcher = &agents->options.watchers[i];
        a->state = writer_module(a->writer, watcher->module);
        rc = watcher->changed(a, agent, before);
    }
    a->state = agents;
    return rc;
}

static enum hub_rc tell_channels(struct apply *a, const struct agent *agent, const char *event,
                                 enum agent_status before, const struct why *why)
{
    struct buf data = {0}, channel = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    json_key(&o, "agent_id");
    json_text(&o, agent->id);
    json_key(&o, "agent_type");
    json_str(&o, agent_type_name(agent->type));
    json_key(&o, "status");
    json_str(&o, agent_status_name(agent->status));
    json_key(&o, "previous_status");
    if (before < AGENT_STATUSES) {
        json_str(&o, agent_status_name(before));
    } else {
        json_put_null(&o);
    }
    json_key(&o, "session");
    json_u64(&o, agent->epoch);
    why_said(&o, why);
    json_key(&o, "at");
    json_time(&o, a->now_ms);
    json_end(&o, '}');
    enum hub_rc rc = apply_tell(a, agent->app, slice_str("agents"), event, buf_slice(&data));
    if (rc == HUB_OK) {
        agent_channel(&channel, "agent.", agent->id);
        rc = apply_tell(a, agent->app, buf_slice(&channel), event, buf_slice(&data));
    }
    buf_done(&data);
    buf_done(&channel);
    return rc;
}

static enum hub_rc tell(struct apply *a, const struct agent *agent, const char *event,
                        enum agent_status before, const struct why *why)
{
    enum hub_rc rc = tell_watchers(a, agent, before);
    return rc == HUB_OK ? tell_channels(a, agent, event, before, why) : rc;
}

/* ---- asking ---- */

/* A row of its own, as a write moves what the view lent. */
struct held_agent {
    struct buf bytes;
    struct agent agent;
};

static enum hub_rc hold(struct apply *a, struct slice id, struct held_agent *out)
{
    struct agent found;
    enum store_rc rc = agent_find(a->view, a->app, id, &found);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    agent_pack(&out->bytes, &found);
    return agent_unpack(buf_slice(&out->bytes), &out->agent) ? HUB_OK : HUB_STORE_DAMAGED;
}

static enum hub_rc hold_number(struct apply *a, uint32_t number, struct held_agent *out)
{
    struct agent found;
    enum store_rc rc = agent_get(a->view, number, &found);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    agent_pack(&out->bytes, &found);
    return agent_unpack(buf_slice(&out->bytes), &out->agent) ? HUB_OK : HUB_STORE_DAMAGED;
}

/* ---- register ---- */

void agent_register_put(struct buf *b, const struct agent_register *r)
{
    asker_put(b, &r->asker);
    pack_u64(b, r->connection);
    pack_u8(b, r->created);
    pack_slice(b, r->sealed);
    agent_pack(b, &r->agent);
}

/* Ten agents or ten thousand, all of them together beat no more often than the hub wants; a little
 * of each one's own keeps them from beating at once. */
static uint32_t interval_for(const struct agents *agents, uint32_t number, const uint8_t *seed)
{
    const struct hub_settings *s = settings_of(agents);
    int64_t all = (int64_t)agents->live * 1000 / s->beats_per_s_max;
    int64_t least = s->heartbeat_interval_ms;
    int64_t interval = all > least ? all : least;
    (void)number;
    return (uint32_t)(interval + (seed[0] * interval) / (INT64_C(256) * 20)); /* up to 5 % more */
}

static void reply_registered(struct apply *a, struct command *command, const struct agent *agent,
                             struct slice sealed)
{
    struct buf b = {0};
    pack_i64(&b, a->now_ms);
    pack_u32(&b, agent->interval_ms);
    pack_u32(&b, agent->epoch);
    pack_u32(&b, agent->number);
    pack_i64(&b, settings_of(a->state)->task_lease_ms);
    pack_slice(&b, agent->id);
    pack_slice(&b, sealed);
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
}

bool agent_registered_get(struct slice reply, struct agent_registered *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->interval_ms = unpack_u32(&u);
    out->epoch = unpack_u32(&u);
    out->number = unpack_u32(&u);
    out->lease_ms = unpack_i64(&u);
    out->id = unpack_slice(&u);
    out->sealed = unpack_slice(&u);
    return unpack_done(&u);
}

static void watch_registered(struct apply *a, struct agents *agents, const struct agent *agent)
{
    struct watch *w = watch_add(agents, agent->number);
    struct pulse pulse = {.seen_ms = a->now_ms, .silent_ms = a->now_ms, .metrics = agent->metrics};
    w->app = agent->app;
    w->interval_ms = agent->interval_ms;
    w->epoch = agent->epoch;
    w->closed_ms = 0;
    w->graced = false;
    w->connection = agent->connection;
    watch_status(agents, agent->number, agent->status);
    note_changed(agents, agent->number);
    if (is_watched((uint8_t)agent->status)) {
        pulse_put(agents->options.pulses, agent->number, &pulse);
    }
    look_again(agents, agent->number, a->now_ms);
}

static enum hub_rc register_apply(struct apply *a, struct command *command, struct slice body)
{
    struct agents *agents = a->state;
    struct unpack u = unpack_of(body);
    struct asker asker = asker_get(&u);
    uint64_t connection = unpack_u64(&u);
    bool created = unpack_u8(&u) != 0;
    struct slice sealed = unpack_slice(&u);
    struct agent agent;
    if (u.bad || !agent_unpack(slice_of(u.p, (size_t)(u.end - u.p)), &agent)) {
        return HUB_BAD_REQUEST;
    }
    struct held_agent before = {0};
    enum hub_rc rc = hold(a, agent.id, &before);
    bool known = rc == HUB_OK;
    if (!known && rc != HUB_NOT_FOUND) {
        buf_done(&before.bytes);
        return rc;
    }
    bool there = known && before.agent.status != AGENT_DEREGISTERED;
    /* An id keeps its owner when its agent is gone: what it did and was told is seen by it. */
    if ((there && created) || (known && !asker_sees(&asker, before.agent.owner))) {
        buf_done(&before.bytes);
        return apply_refuse(a, command, HUB_CONFLICT, "the agent id ", agent.id, " is taken");
    }
    agent.app = a->app;
    agent.number = known ? before.agent.number : agents->n + 1;
    agent.epoch = known ? before.agent.epoch + 1 : 1;
    agent.owner = there ? before.agent.owner : created ? agent.id : asker.subject;
    agent.first_registered_ms = known ? before.agent.first_registered_ms : a->now_ms;
    agent.registered_ms = agent.changed_ms = agent.seen_ms = a->now_ms;
    agent.status = created ? AGENT_INACTIVE : AGENT_ACTIVE; /* created: it has yet to come */
    agent.declared = AGENT_ACTIVE;
    agent.success = known ? before.agent.success : 1;
    agent.connection = connection;
    agent.interval_ms = interval_for(agents, agent.number, a->seed);
    rc = hub_rc_of_store(agent_put(a->txn, &agent, known ? &before.agent : NULL));
    if (rc == HUB_OK) {
        struct why why = {.by = created ? asker.subject : slice_of(NULL, 0)};
        rc = tell(a, &agent, created ? "created" : "registered",
                  known ? before.agent.status : AGENT_STATUSES, &why);
    }
    if (rc == HUB_OK) {
        uint64_t older = agent.number <= agents->n ? agents->watches[agent.number].connection : 0;
        if (older && older != connection) {
            tray_kick(a->tray, older, CLOSE_SUPERSEDED, "superseded: the agent registered again");
        }
        watch_registered(a, agents, &agent);
        reply_registered(a, command, &agent, sealed);
    }
    buf_done(&before.bytes);
    return rc;
}

const struct command_kind command_agent_register = {
    .name = "agents.register", .apply = register_apply, .module = MODULE_AGENTS};

/* ---- a change of state, whoever asks for it ---- */

/* The row learns of the newest beat when it is written anyway. */
static void take_pulse(const struct agents *agents, struct agent *agent, struct pulse *pulse)
{
    if (pulse_get_own(agents->options.pulses, agent->number, pulse)) {
        agent->seen_ms = pulse->seen_ms;
        agent->metrics = pulse->metrics;
    }
}

static enum hub_rc change_to(struct apply *a, struct held_agent *held, enum agent_status status,
                             const char *event, const struct why *why)
{
    struct agents *agents = a->state;
    struct agent after = held->agent;
    struct pulse pulse;
    after.status = status;
    after.changed_ms = a->now_ms;
    take_pulse(agents, &after, &pulse);
    if (!is_watched((uint8_t)status) && !agent_is_away(&after)) {
        agents->watches[after.number].connection = 0;
    }
    if (after.connection && !agents->watches[after.number].connection) {
        after.connection = AGENT_STREAM_CLOSED;
    }
    enum hub_rc rc = hub_rc_of_store(agent_put(a->txn, &after, &held->agent));
    if (rc == HUB_OK) {
        rc = tell(a, &after, event, held->agent.status, why);
    }
    if (rc == HUB_OK) {
        watch_status(agents, after.number, status);
        note_changed(agents, after.number);
        look_again(agents, after.number, a->now_ms);
    }
    return rc;
}

void agent_change_put(struct buf *b, const struct agent_change *c)
{
    asker_put(b, &c->asker);
    pack_slice(b, c->id);
    pack_u8(b, c->has_status);
    pack_u8(b, (uint8_t)c->status);
    pack_slice(b, c->reason);
    pack_u32(b, c->session);
    metrics_pack(b, &c->metrics);
}

static bool agent_change_get(struct slice body, struct agent_change *out)
{
    struct unpack u = unpack_of(body);
    out->asker = asker_get(&u);
    out->id = unpack_slice(&u);
    out->has_status = unpack_u8(&u) != 0;
    out->status = (enum agent_status)unpack_u8(&u);
    out->reason = unpack_slice(&u);
    out->session = unpack_u32(&u);
    return metrics_unpack(&u, &out->metrics) && unpack_done(&u);
}

static void reply_changed(struct apply *a, struct command *command, struct slice id,
                          enum agent_status status)
{
    struct buf b = {0};
    pack_i64(&b, a->now_ms);
    pack_u8(&b, (uint8_t)status);
    pack_slice(&b, id);
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
}

bool agent_changed_get(struct slice reply, struct agent_changed *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->status = (enum agent_status)unpack_u8(&u);
    out->id = unpack_slice(&u);
    return unpack_done(&u) && out->status < AGENT_STATUSES;
}

/* Who was stale and beats is active again: that is a change of state, which the deadline's command
 * writes. It is due at once. A beat after the stream closed speaks for the agent again
 * (semantics.md: beats without a stream keep it from being declared dead). */
static void heard(struct agents *agents, uint32_t number, int64_t now_ms)
{
    agents->watches[number].closed_ms = 0;
    if (agents->watches[number].status == AGENT_STALE) {
        due_set(agents, number, now_ms);
    }
}

/* A beat, from wherever it comes: moves the pulse. False: too many metrics. */
static bool beat(struct agents *agents, uint32_t number, const struct metrics *metrics,
                 int64_t now_ms)
{
    struct pulse pulse;
    agents->watches[number].graced = false; /* heard of: its own clock holds */
    int64_t before = silent_ms(agents, number, 0, &pulse);
    if (!metrics_merge(&pulse.metrics, metrics)) {
        return false;
    }
    if (before && pulse.beats) {
        liveness_gap(&pulse, now_ms - before);
    }
    pulse.seen_ms = pulse.silent_ms = now_ms;
    pulse.beats++;
    pulse_put(agents->options.pulses, number, &pulse);
    heard(agents, number, now_ms);
    return true;
}

/* Who departed left no pulse: a new one begins with what the row says. */
static void revive(struct agents *agents, const struct agent *agent)
{
    struct pulse pulse;
    if (!pulse_get_own(agents->options.pulses, agent->number, &pulse)) {
        pulse = (struct pulse){
            .seen_ms = agent->seen_ms, .silent_ms = agent->seen_ms, .metrics = agent->metrics};
        pulse_put(agents->options.pulses, agent->number, &pulse);
    }
}

static enum hub_rc find_visible(struct apply *a, struct command *command,
                                const struct agent_change *change, struct held_agent *out)
{
    enum hub_rc rc = hold(a, change->id, out);
    if (rc == HUB_OK && (!asker_sees(&change->asker, out->agent.owner) ||
                         out->agent.status == AGENT_DEREGISTERED)) {
        rc = HUB_NOT_FOUND;
    }
    return rc == HUB_NOT_FOUND ? apply_refuse(a, command, rc, "Agent ", change->id, " not found")
                               : rc;
}

/* … and it is the session that is meant. */
static enum hub_rc find_meant(struct apply *a, struct command *command,
                              const struct agent_change *change, struct held_agent *out)
{
    enum hub_rc rc = find_visible(a, command, change, out);
    return rc == HUB_OK && change->session && change->session != out->agent.epoch
               ? apply_refuse(a, command, HUB_CONFLICT, "Agent ", change->id,
                              " has registered anew since that session")
               : rc;
}

static enum hub_rc change_apply(struct apply *a, struct command *command, struct slice body)
{
    struct agents *agents = a->state;
    struct agent_change change;
    if (!agent_change_get(body, &change)) {
        return HUB_BAD_REQUEST;
    }
    struct held_agent held = {0};
    enum hub_rc rc = find_meant(a, command, &change, &held);
    if (rc == HUB_OK) {
        revive(agents, &held.agent);
    }
    if (rc == HUB_OK && !beat(agents, held.agent.number, &change.metrics, a->now_ms)) {
        rc = apply_refuse(a, command, HUB_INVALID, "load_metrics: more than 16 names",
                          slice_of(NULL, 0), "");
    }
    enum agent_status status = change.has_status ? change.status : held.agent.status;
    /* Stale is a suspicion, whoever has it: what was said before holds again after a beat. */
    enum agent_status declared = status == AGENT_STALE ? held.agent.declared : status;
    if (rc == HUB_OK && change.has_status &&
        (status != held.agent.status || declared != held.agent.declared)) {
        held.agent.declared = declared;
        agents->watches[held.agent.number].closed_ms = 0;
        rc = change_to(a, &held, status, "status_changed",
                       &(struct why){change.asker.subject, change.reason});
    }
    if (rc == HUB_OK) {
        reply_changed(a, command, change.id, status);
    }
    buf_done(&held.bytes);
    return rc;
}

const struct command_kind command_agent_change = {
    .name = "agents.status", .apply = change_apply, .module = MODULE_AGENTS};

static enum hub_rc deregister_apply(struct apply *a, struct command *command, struct slice body)
{
    struct agent_change change;
    if (!agent_change_get(body, &change)) {
        return HUB_BAD_REQUEST;
    }
    struct held_agent held = {0};
    enum hub_rc rc = find_meant(a, command, &change, &held);
    if (rc == HUB_OK) {
        rc = change_to(a, &held, AGENT_DEREGISTERED, "deregistered",
                       &(struct why){change.asker.subject, change.reason});
    }
    if (rc == HUB_OK) {
        reply_changed(a, command, change.id, AGENT_DEREGISTERED);
    }
    buf_done(&held.bytes);
    return rc;
}

const struct command_kind command_agent_deregister = {.name = "agents.deregister",
                                                      .apply = deregister_apply,
                                                      .module = MODULE_AGENTS,
                                                      .flags = KIND_RELEASES};

/* ---- beats ---- */

void agent_beat_put(struct buf *b, uint32_t number, const struct metrics *metrics)
{
    pack_u32(b, number);
    metrics_pack(b, metrics);
}

void agent_beat_asked_put(struct buf *b, uint32_t number, const struct metrics *metrics,
                          struct slice id)
{
    agent_beat_put(b, number, metrics);
    pack_slice(b, id);
}

static enum hub_rc beat_apply(struct apply *a, struct command *command, struct slice body)
{
    struct agents *agents = a->state;
    struct unpack u = unpack_of(body);
    uint32_t number = unpack_u32(&u);
    struct metrics metrics;
    if (!metrics_unpack(&u, &metrics) || number == 0 || number > agents->n) {
        return HUB_BAD_REQUEST;
    }
    /* Who departed meanwhile is not revived: only registering again leads back. */
    uint8_t status = agents->watches[number].status;
    if (is_watched(status) && !beat(agents, number, &metrics, a->now_ms)) {
        return HUB_INVALID;
    }
    if (u.p == u.end) {
        return HUB_OK;
    }
    struct slice id = unpack_slice(&u);
    if (status == AGENT_DEREGISTERED) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "Agent ", id, " not found");
    }
    reply_changed(a, command, id, (enum agent_status)status);
    return HUB_OK;
}

const struct command_kind command_agent_beat = {
    .name = "agents.beat", .apply = beat_apply, .module = MODULE_AGENTS, .flags = KIND_VOLATILE};

/* ---- the session's stream closed ---- */

void agent_gone_put(struct buf *b, uint32_t number, uint32_t epoch, uint64_t connection)
{
    pack_u32(b, number);
    pack_u32(b, epoch);
    pack_u64(b, connection);
}

/* It is stale or away already, and its stream is gone too: nothing is told, but it gets nothing
 * more. */
static enum hub_rc stream_closed(struct apply *a, const struct agent *agent)
{
    struct agent after = *agent;
    after.connection = AGENT_STREAM_CLOSED;
    enum hub_rc rc = hub_rc_of_store(agent_put(a->txn, &after, agent));
    rc = rc == HUB_OK ? tell_watchers(a, &after, agent->status) : rc;
    look_again(a->state, agent->number, a->now_ms);
    return rc;
}

static enum hub_rc gone_apply(struct apply *a, struct command *command, struct slice body)
{
    struct agents *agents = a->state;
    struct unpack u = unpack_of(body);
    uint32_t number = unpack_u32(&u), epoch = unpack_u32(&u);
    uint64_t connection = unpack_u64(&u);
    (void)command;
    if (!unpack_done(&u) || number == 0 || number > agents->n) {
        return HUB_BAD_REQUEST;
    }
    struct watch *w = &agents->watches[number];
    struct held_agent held = {0};
    enum hub_rc rc = hold_number(a, number, &held);
    /* A later registration fences the connection of an earlier one. */
    bool away = rc == HUB_OK && agent_is_away(&held.agent);
    if (rc == HUB_OK && held.agent.epoch == epoch && w->connection == connection &&
        (away || is_watched((uint8_t)held.agent.status))) {
        w->connection = 0;
        w->closed_ms = a->now_ms;
        rc = away || held.agent.status == AGENT_STALE
                 ? stream_closed(a, &held.agent)
                 : change_to(a, &held, AGENT_STALE, "stale",
                             &(struct why){.reason = slice_str("its connection closed")});
    }
    buf_done(&held.bytes);
    return rc == HUB_NOT_FOUND ? HUB_OK : rc;
}

/* What has happened already cannot be refused. */
static bool always(struct slice body)
{
    (void)body;
    return true;
}

const struct command_kind command_agent_gone = {
    .name = "agents.gone", .apply = gone_apply, .module = MODULE_AGENTS, .must = always};

/* ---- deadlines: the command carries the pulse that was seen ---- */

static enum hub_rc deadline_apply(struct apply *a, struct command *command, struct slice body);
static const struct command_kind command_agent_deadline = {
    .name = "agents.deadline", .apply = deadline_apply, .module = MODULE_AGENTS};

void agents_released(void *module_state, uint32_t number, int64_t now_ms)
{
    struct agents *a = module_state;
    if (number <= a->n && has_drained(a, number, (enum agent_status)a->watches[number].status)) {
        due_set(a, number, now_ms);
    }
}

static bool agents_expire(void *state, int64_t now_ms, struct tray *tray)
{
    struct agents *a = state;
    if (a->heap_n == 0 || a->watches[a->heap[0]].due_ms > now_ms) {
        return false;
    }
    uint32_t number = a->heap[0];
    struct watch *w = &a->watches[number];
    struct pulse pulse;
    int64_t seen = silent_ms(a, number, now_ms, &pulse);
    int64_t late = now_ms - w->due_ms;
    int64_t due = next_look(a, number, seen, &pulse);
    /* Fresh after all, and nothing to change: no command. */
    if (due > now_ms && w->status != AGENT_STALE) {
        due_set(a, number, due);
        return true;
    }
    struct command *command = tray_command(tray);
    command->kind = &command_agent_deadline;
    command->app = w->app;
    command->flags = COMMAND_SILENT;
    command->body_at = (uint32_t)tray->in.n;
    pack_u32(&tray->in, number);
    pack_i64(&tray->in, seen);
    pack_i64(&tray->in, late);
    command->body_n = (uint32_t)(tray->in.n - command->body_at);
    due_set(a, number, INT64_MAX); /* until the command has decided */
    return true;
}

/* A hub that runs late does not blame the agents: their time grows with its own lag (Lifeguard). */
static int64_t stretched(int64_t ms, int64_t late_ms)
{
    int64_t factor = late_ms > LATE_MS ? late_ms / LATE_MS : 0;
    return ms * (1 + (factor < LATE_FACTOR_MAX ? factor : LATE_FACTOR_MAX));
}

static enum hub_rc judge(struct apply *a, struct held_agent *held, int64_t seen, int64_t late)
{
    struct agents *agents = a->state;
    struct watch *w = &agents->watches[held->agent.number];
    if (has_drained(agents, held->agent.number, held->agent.status)) {
        return change_to(a, held, AGENT_INACTIVE, "inactive",
                         &(struct why){.reason = slice_str("drained")});
    }
    struct liveness_rules rules = liveness_rules_of(settings_of(agents));
    struct pulse pulse;
    (void)silent_ms(agents, held->agent.number, 0, &pulse);
    int64_t silence = a->now_ms - seen;
    int64_t patience = liveness_stale_after(&rules, w->interval_ms, &pulse);
    int64_t suspect = stretched(patience, late);
    bool gone = w->closed_ms && a->now_ms - w->closed_ms >= stretched(rules.reconnect_ms, late);
    if (w->graced && a->now_ms < agents->grace_until_ms && !w->closed_ms) {
        suspect = INT64_MAX;
    }
    bool timed_out = suspect != INT64_MAX && silence >= stretched(rules.timeout_ms, late);
    if (gone || timed_out) {
        return change_to(a, held, AGENT_INACTIVE, "inactive",
                         &(struct why){.reason = slice_str(gone ? "its connection did not come back"
                                                                : "no heartbeat")});
    }
    /* Only a beat leads back: neither a late hub nor a new start makes a silent agent well. */
    bool back =
        pulse.beats && seen >= held->agent.changed_ms && silence < patience && !w->closed_ms;
    if (held->agent.status == AGENT_STALE && back) {
        enum agent_status said = held->agent.declared;
        bool well = said != AGENT_STALE && said != AGENT_INACTIVE; /* who beats is neither */
        return change_to(a, held, well ? said : AGENT_ACTIVE, "recovered",
                         &(struct why){.reason = slice_str("it beats again")});
    }
    if (held->agent.status != AGENT_STALE && silence >= suspect) {
        return change_to(a, held, AGENT_STALE, "stale",
                         &(struct why){.reason = slice_str("heartbeats are missing")});
    }
    return HUB_OK;
}

static enum hub_rc deadline_apply(struct apply *a, struct command *command, struct slice body)
{
    struct agents *agents = a->state;
    struct unpack u = unpack_of(body);
    uint32_t number = unpack_u32(&u);
    int64_t seen = unpack_i64(&u), late = unpack_i64(&u);
    (void)command;
    if (!unpack_done(&u) || number == 0 || number > agents->n) {
        return HUB_BAD_REQUEST;
    }
    struct held_agent held = {0};
    enum hub_rc rc = hold_number(a, number, &held);
    if (rc == HUB_OK && is_watched((uint8_t)held.agent.status)) {
        rc = judge(a, &held, seen, late);
    }
    if (rc == HUB_OK) {
        struct pulse pulse;
        (void)silent_ms(agents, number, seen, &pulse);
        int64_t due = next_look(agents, number, seen, &pulse);
        due_set(agents, number, due > a->now_ms ? due : a->now_ms + 1);
    }
    buf_done(&held.bytes);
    return rc;
}

/* ---- a start ---- */

/* The first from `number` on whose row still has a connection. Copied, as writing moves the row. */
static enum hub_rc next_connected(struct apply *a, uint32_t number, struct held_agent *out)
{
    struct store_cursor *cursor;
    struct slice key, value;
    uint8_t from[4];
    be32_put(from, number);
    out->agent.connection = 0;
    enum store_rc rc = store_cursor_open(a->view, TABLE_AGENT, &cursor);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    rc = store_cursor_seek(cursor, slice_of(from, sizeof from), &key, &value);
    while (rc == STORE_OK) {
        if (!agent_unpack(value, &out->agent)) {
            rc = STORE_DAMAGED;
        } else if (out->agent.connection > AGENT_STREAM_CLOSED) {
            buf_add_slice(&out->bytes, value);
            (void)agent_unpack(buf_slice(&out->bytes), &out->agent);
            break;
        } else {
            rc = store_cursor_next(cursor, &key, &value);
        }
    }
    store_cursor_close(cursor);
    return hub_rc_of_store(rc);
}

/* No connection outlives a hub. Who came by one is stored as having none, or the next change of
 * its row would say that it is heard. */
static enum hub_rc restart_apply(struct apply *a, struct command *command, struct slice body)
{
    enum hub_rc rc = HUB_OK;
    (void)command, (void)body;
    for (uint32_t number = 1; rc == HUB_OK; number++) {
        struct held_agent held = {0};
        rc = next_connected(a, number, &held);
        if (rc == HUB_OK) {
            number = held.agent.number;
            struct agent after = held.agent;
            after.connection = AGENT_STREAM_CLOSED;
            rc = hub_rc_of_store(agent_put(a->txn, &after, &held.agent));
        }
        buf_done(&held.bytes);
    }
    return rc == HUB_NOT_FOUND ? HUB_OK : rc;
}

static const struct command_kind command_agents_restart = {
    .name = "agents.restart", .apply = restart_apply, .module = MODULE_AGENTS, .must = always};

/* ---- a clean end ---- */

enum { PARTING_AGENTS = 256 }; /* in a command */

static enum hub_rc parting_one(struct apply *a, uint32_t number, int64_t seen_ms,
                               const struct metrics *metrics)
{
    struct held_agent held = {0};
    enum hub_rc rc = hold_number(a, number, &held);
    if (rc == HUB_OK && seen_ms > held.agent.seen_ms) {
        struct agent after = held.agent;
        after.seen_ms = seen_ms;
        after.metrics = *metrics;
        rc = hub_rc_of_store(agent_put(a->txn, &after, &held.agent));
    }
    buf_done(&held.bytes);
    return rc;
}

static enum hub_rc parting_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    enum hub_rc rc = HUB_OK;
    (void)command;
    while (rc == HUB_OK && u.p < u.end) {
        uint32_t number = unpack_u32(&u);
        int64_t seen_ms = unpack_i64(&u);
        struct metrics metrics;
        rc = metrics_unpack(&u, &metrics) ? parting_one(a, number, seen_ms, &metrics)
                                          : HUB_BAD_REQUEST;
    }
    return rc;
}

static const struct command_kind command_agents_parting = {
    .name = "agents.parting", .apply = parting_apply, .module = MODULE_AGENTS};

/* A beat is no write, so the rows do not know the newest ones. */
static void agents_part(void *state, int64_t now_ms, struct tray *tray)
{
    const struct agents *a = state;
    struct command *command = NULL;
    unsigned n = 0;
    (void)now_ms;
    for (uint32_t number = 1; number <= a->n; number++) {
        struct pulse pulse;
        if (!is_watched(a->watches[number].status) ||
            !pulse_get_own(a->options.pulses, number, &pulse) || !pulse.beats) {
            continue;
        }
        if (n++ % PARTING_AGENTS == 0) {
            command = tray_command(tray);
            command->kind = &command_agents_parting;
            command->body_at = (uint32_t)tray->in.n;
        }
        pack_u32(&tray->in, number);
        pack_i64(&tray->in, pulse.seen_ms);
        metrics_pack(&tray->in, &pulse.metrics);
        command->body_n = (uint32_t)(tray->in.n - command->body_at);
    }
}

const struct module agents_module = {
    .name = "agents",
    .restart = &command_agents_restart,
    .open = agents_open,
    .close = agents_close,
    .load = agents_load,
    .recall = agents_recall,
    .next_due = agents_next_due,
    .expire = agents_expire,
    .part = agents_part,
    .settled = agents_settled,
    .holds_back = agents_hold_back,
};
