/* Agents are judged by what they tell: each change of state is an event on `agents` and on the
 * agent's own channel, names the state before, and may come only when semantics.md section 1 allows
 * it. */
#include "tests/sim/sim.h"
#include "channels/json_scan.h"
#include "store/hash.h"
#include "store/pack.h"

#include <stdio.h>

struct slice agent_name(unsigned agent, char out[16])
{
    snprintf(out, 16, "agent-%u", agent);
    return slice_str(out);
}

static struct model_agent *agent_numbered(struct world *w, uint32_t number)
{
    for (unsigned i = 0; i < AGENTS; i++) {
        if (w->model.agents[i].known && w->model.agents[i].number == number) {
            return &w->model.agents[i];
        }
    }
    return NULL;
}

static struct model_agent *agent_named(struct world *w, struct slice id)
{
    unsigned n = id.n ? (unsigned)(id.p[id.n - 1] - '0') : AGENTS;
    return n < AGENTS ? &w->model.agents[n] : NULL;
}

static struct liveness_rules rules_of(const struct world *w)
{
    return liveness_rules_of(&w->settings);
}

/* ---- what a batch asked of them ---- */

static void heard(struct model_agent *a, int64_t now_ms, bool surely)
{
    a->seen_max_ms = now_ms;
    a->left_ms = 0;
    a->fuzzy = a->fuzzy || !surely;
    if (!surely) {
        return;
    }
    if (a->pulse.beats && a->pulse.seen_ms) {
        liveness_gap(&a->pulse, now_ms - a->pulse.seen_ms);
    }
    a->graced = false;
    a->pulse.seen_ms = a->seen_min_ms = now_ms;
    a->pulse.beats++;
    a->beaten = a->owes = true;
}

/* A command that was refused for want of room may have moved a pulse before the batch failed. */
static bool may_count(const struct command *command)
{
    return command->rc == HUB_OK || command->rc == HUB_STORE_FULL;
}

static void beat_seen(struct world *w, struct unpack *u, const struct command *command,
                      int64_t now_ms)
{
    struct model_agent *a = agent_numbered(w, unpack_u32(u));
    if (a && may_count(command)) {
        heard(a, now_ms, command->rc == HUB_OK);
    }
}

static void gone_seen(struct world *w, struct unpack *u, const struct command *command,
                      int64_t now_ms)
{
    struct model_agent *a = agent_numbered(w, unpack_u32(u));
    if (a && command->rc != HUB_OK) {
        a->gone_later = true; /* the writer keeps it until there is room */
        a->fuzzy = true;
    } else if (a && unpack_u32(u) == a->epoch) {
        a->gones++; /* whether its connection still held the session, the hub knows */
        a->closed_ms = now_ms;
        a->owes = false;
    }
}

static void register_seen(struct world *w, struct unpack *u, const struct tray *tray,
                          const struct command *command, int64_t now_ms)
{
    struct agent agent;
    struct agent_registered reply;
    (void)unpack_slice(u);
    (void)unpack_u8(u);
    (void)unpack_u64(u);
    (void)unpack_u8(u);
    (void)unpack_slice(u);
    SIM_CHECK(w, agent_unpack(slice_of(u->p, (size_t)(u->end - u->p)), &agent), "no registration");
    struct model_agent *a = agent_named(w, agent.id);
    if (command->rc != HUB_OK) {
        a->fuzzy = a->fuzzy || may_count(command);
        return;
    }
    SIM_CHECK(w,
              agent_registered_get(tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n),
                                   &reply),
              "no answer to a registration");
    SIM_CHECK(w, reply.at_ms == now_ms, "registered at %lld, not %lld", (long long)reply.at_ms,
              (long long)now_ms);
    a->registers++;
    a->known = true;
    a->number = reply.number;
    a->interval_ms = reply.interval_ms;
    a->closed_ms = 0;
    a->fuzzy = a->beaten = a->owes = a->graced = false;
    a->seen_min_ms = a->seen_max_ms = now_ms;
    a->pulse = (struct pulse){.seen_ms = now_ms};
}

static void change_seen(struct world *w, struct unpack *u, const struct command *command,
                        int64_t now_ms)
{
    (void)unpack_slice(u);
    (void)unpack_u8(u);
    struct model_agent *a = agent_named(w, unpack_slice(u));
    bool has_status = unpack_u8(u), ends = command->kind == &command_agent_deregister;
    bool surely = command->rc == HUB_OK;
    if (a->known && !ends && may_count(command)) {
        heard(a, now_ms, surely);
    }
    if (surely) {
        a->changes += has_status && !ends;
        a->deregisters += ends;
        a->closed_ms = has_status && !ends ? 0 : a->closed_ms;
    }
}

static void command_seen(struct world *w, const struct tray *tray, const struct command *command,
                         int64_t now_ms)
{
    struct unpack u = unpack_of(tray_slice(tray, TRAY_IN, command->body_at, command->body_n));
    if (command->kind == &command_agent_beat) {
        beat_seen(w, &u, command, now_ms);
    } else if (command->kind == &command_agent_gone) {
        gone_seen(w, &u, command, now_ms);
    } else if (command->kind == &command_agent_register) {
        register_seen(w, &u, tray, command, now_ms);
    } else if (command->kind == &command_agent_change ||
               command->kind == &command_agent_deregister) {
        change_seen(w, &u, command, now_ms);
    }
}

void agents_batch_seen(struct world *w)
{
    const struct model *m = &w->model;
    int64_t now_ms = w->now_ms > m->before.now_ms ? w->now_ms : m->before.now_ms;
    for (unsigned i = 0; i < AGENTS; i++) {
        struct model_agent *a = &w->model.agents[i];
        a->registers = a->changes = a->deregisters = a->gones = 0;
    }
    for (size_t t = 0; t < m->batch_n; t++) {
        now_ms = m->batch[t]->now_ms > now_ms ? m->batch[t]->now_ms : now_ms;
        for (uint32_t i = 0; i < m->batch[t]->commands_n; i++) {
            command_seen(w, m->batch[t], &m->batch[t]->commands[i], now_ms);
        }
    }
}

/* ---- what they tell ---- */

enum field { F_ID, F_STATUS, F_PREVIOUS, F_SESSION, F_REASON, FIELDS };
static const char *const field_names[FIELDS] = {"agent_id", "status", "previous_status", "session",
                                                "reason"};

struct told {
    struct slice field[FIELDS], name, previous, reason;
    enum agent_status status;
    uint64_t session;
};

static bool told_read(const struct event *event, struct told *out)
{
    size_t at;
    struct slice status;
    *out = (struct told){.name = event->name};
    (void)json_fields(event->data, field_names, FIELDS, out->field, &at);
    (void)json_is_plain(out->field[F_PREVIOUS], &out->previous);
    (void)json_is_plain(out->field[F_REASON], &out->reason);
    bool read = json_is_plain(out->field[F_STATUS], &status) &&
                json_to_u64(out->field[F_SESSION], &out->session);
    if (read && slice_is(status, agent_status_name(AGENT_DEREGISTERED))) {
        out->status = AGENT_DEREGISTERED;
        return true;
    }
    return read && agent_status_of(status, &out->status);
}

static bool may_be_stale(const struct world *w, const struct model_agent *a, int64_t now_ms)
{
    struct liveness_rules rules = rules_of(w);
    int64_t silence = now_ms - a->seen_min_ms;
    return a->fuzzy || ((!a->graced || now_ms >= w->model.grace_until_ms) &&
                        silence >= liveness_stale_after(&rules, a->interval_ms, &a->pulse));
}

static bool may_be_inactive(const struct world *w, const struct model_agent *a, int64_t now_ms)
{
    struct liveness_rules rules = rules_of(w);
    return (a->closed_ms && now_ms - a->closed_ms >= rules.reconnect_ms) ||
           (a->gone_later && now_ms - a->changed_ms >= rules.reconnect_ms) ||
           ((!a->graced || a->fuzzy || now_ms >= w->model.grace_until_ms) &&
            now_ms - a->seen_min_ms >= rules.timeout_ms);
}

static void judge(struct world *w, struct model_agent *a, const struct told *told, int64_t now_ms)
{
    const char *before = agent_status_name(a->status);
    bool first = slice_is(told->name, "registered") && a->epoch == 0;
    SIM_CHECK(w, first ? told->previous.n == 0 : slice_is(told->previous, before),
              "%.*s: %.*s comes after %.*s, not %s", (int)told->field[F_ID].n,
              (const char *)told->field[F_ID].p, (int)told->name.n, (const char *)told->name.p,
              (int)told->previous.n, (const char *)told->previous.p, before);
    SIM_CHECK(w, told->session == a->epoch + slice_is(told->name, "registered"),
              "session %llu after %u", (unsigned long long)told->session, (unsigned)a->epoch);
    if (slice_is(told->name, "registered")) {
        SIM_CHECK(w, a->registers && told->status == AGENT_ACTIVE, "nobody registered");
        a->gone_later = false; /* its session is over */
        a->left_ms = 0;
        a->epoch = (uint32_t)told->session;
    } else if (slice_is(told->name, "status_changed")) {
        SIM_CHECK(w, a->changes, "nobody changed the status");
        a->left_ms = 0;
    } else if (slice_is(told->name, "deregistered")) {
        SIM_CHECK(w, a->deregisters && told->status == AGENT_DEREGISTERED, "nobody deregistered");
    } else if (slice_is(told->name, "stale")) {
        bool closed = slice_is(told->reason, "its connection closed");
        bool late = closed && a->gone_later && !a->gones;
        SIM_CHECK(w,
                  told->status == AGENT_STALE &&
                      (closed ? a->gones || late : may_be_stale(w, a, now_ms)),
                  "stale too early: seen %lld ms ago, %.*s", (long long)(now_ms - a->seen_min_ms),
                  (int)told->reason.n, (const char *)told->reason.p);
        a->closed_ms = late ? now_ms : a->closed_ms;
        a->left_ms = closed && !a->owes ? now_ms : 0; /* a beat may have come after it */
        a->beaten = closed && !late ? a->beaten : false;
        a->owes = a->owes && a->beaten;
    } else if (slice_is(told->reason, "drained")) {
        SIM_CHECK(w,
                  slice_is(told->name, "inactive") && told->status == AGENT_INACTIVE &&
                      a->status == AGENT_DRAINING,
                  "%.*s: drained, though it did not drain", (int)told->field[F_ID].n,
                  (const char *)told->field[F_ID].p);
    } else if (slice_is(told->name, "inactive")) {
        SIM_CHECK(w, told->status == AGENT_INACTIVE && may_be_inactive(w, a, now_ms),
                  "inactive too early: seen %lld ms ago, closed %lld ms ago",
                  (long long)(now_ms - a->seen_min_ms),
                  a->closed_ms ? (long long)(now_ms - a->closed_ms) : -1);
    } else {
        SIM_CHECK(w,
                  slice_is(told->name, "recovered") && a->status == AGENT_STALE &&
                      (a->beaten || a->fuzzy),
                  "%.*s without a beat", (int)told->name.n, (const char *)told->name.p);
        a->closed_ms = 0;
    }
    if (a->status != told->status) {
        a->owed = 0;
    }
    a->status = told->status;
    a->changed_ms = now_ms;
}

void agents_committed(struct world *w, const struct event *event, unsigned channel)
{
    struct told told;
    struct slice id;
    SIM_CHECK(w, told_read(event, &told) && json_is_plain(told.field[F_ID], &id),
              "an agent tells %.*s", (int)event->data.n, (const char *)event->data.p);
    struct model_agent *a = agent_named(w, id);
    SIM_CHECK(w, a, "an agent %.*s", (int)id.n, (const char *)id.p);
    uint64_t hash = hash64(hash64(0, event->name), event->data);
    if (channel == AT_AGENTS) {
        SIM_CHECK(w, a->told == 0, "%s told twice on `agents`", channel_names[AT_AGENTS]);
        a->told = hash;
        w->counts.agent_changes++;
        if (w->adopting) {
            a->epoch = (uint32_t)told.session;
            a->status = told.status;
        } else {
            judge(w, a, &told, event->time_ms);
        }
        return;
    }
    SIM_CHECK(w,
              a->told == hash && slice_equal(channel_name(channel), event->channel) &&
                  channel == AT_AGENTS + 1 + (unsigned)(a - w->model.agents),
              "%s tells otherwise than `agents`", channel_names[channel]);
    a->told = 0;
}

/* ---- after each batch ---- */

static void check_owed(struct world *w, struct model_agent *a, unsigned i)
{
    bool stale = a->epoch && a->status == AGENT_STALE && !a->fuzzy && !w->model.full;
    /* A writer that is asked only now whether the beat was enough may find that it is not any more.
     */
    bool back = stale && a->owes && w->now_ms - a->seen_min_ms < w->settings.heartbeat_interval_ms;
    /* A late hub is nine times as patient, no more. */
    bool lost = stale && a->left_ms && w->now_ms - a->left_ms > 9 * w->settings.agent_reconnect_ms;
    a->owed = back ? a->owed + 1 : 0;
    a->overdue = lost ? a->overdue + 1 : 0;
    /* Nobody has tasks here. */
    bool drained = a->epoch && a->status == AGENT_DRAINING && !w->model.full;
    a->idle = drained ? a->idle + 1 : 0;
    SIM_CHECK(w, a->owed <= 2, "agent-%u beats but stays stale", i);
    SIM_CHECK(w, a->idle <= 2, "agent-%u holds nothing and is still draining", i);
    SIM_CHECK(w, a->overdue <= 2, "agent-%u left %lld ms ago and is still stale", i,
              (long long)(w->now_ms - a->left_ms));
}

void agents_check(struct world *w)
{
    struct agents_counts counts;
    uint64_t by_status[AGENT_STATUSES] = {0};
    agents_counts(writer_module(w->hub.writer, MODULE_AGENTS), &counts);
    for (unsigned i = 0; i < AGENTS; i++) {
        struct model_agent *a = &w->model.agents[i];
        SIM_CHECK(w, a->told == 0, "agent-%u told on one channel only", i);
        if (a->epoch && agent_has_departed(a->status)) {
            a->pulse.beats = a->pulse.samples = 0; /* who comes back is known anew */
        }
        if (a->epoch) {
            by_status[a->status]++;
        }
        check_owed(w, a, i);
    }
    for (unsigned s = 0; s < AGENT_STATUSES; s++) {
        SIM_CHECK(w, counts.by_status[s] == by_status[s], "%llu agents are %s, not %llu",
                  (unsigned long long)counts.by_status[s], agent_status_name((enum agent_status)s),
                  (unsigned long long)by_status[s]);
    }
}

/* Nobody has beaten for longer than any patience. */
void agents_check_silence(struct world *w)
{
    for (unsigned i = 0; i < AGENTS; i++) {
        const struct model_agent *a = &w->model.agents[i];
        SIM_CHECK(w,
                  a->epoch == 0 || a->status == AGENT_INACTIVE || a->status == AGENT_DEREGISTERED,
                  "agent-%u has been silent for %lld ms and is %s", i,
                  (long long)(w->now_ms - a->seen_max_ms), agent_status_name(a->status));
    }
}

/* Rows are what the events said; everybody counts as seen just now and has the full grace. */
void agents_restarted(struct world *w)
{
    struct store_view *view;
    SIM_CHECK(w, store_snapshot(w->reader, &view) == STORE_OK, "no snapshot");
    w->model.grace_until_ms = w->hub.started_ms + w->settings.agent_grace_ms;
    for (unsigned i = 0; i < AGENTS; i++) {
        struct model_agent *a = &w->model.agents[i];
        struct agent row;
        char name[16];
        enum store_rc rc = agent_find(view, APP, agent_name(i, name), &row);
        if (rc == STORE_NOT_FOUND && a->epoch == 0) {
            *a = (struct model_agent){0};
            continue;
        }
        SIM_CHECK(w, rc == STORE_OK && row.status == a->status && row.epoch == a->epoch,
                  "agent-%u is %s in session %u, its events say %s in session %u", i,
                  rc == STORE_OK ? agent_status_name(row.status) : "missing",
                  rc == STORE_OK ? (unsigned)row.epoch : 0, agent_status_name(a->status),
                  (unsigned)a->epoch);
        *a = (struct model_agent){.known = true,
                                  .graced = true,
                                  .number = row.number,
                                  .epoch = row.epoch,
                                  .interval_ms = row.interval_ms,
                                  .status = row.status,
                                  .seen_min_ms = w->hub.started_ms,
                                  .seen_max_ms = w->hub.started_ms,
                                  .pulse = {.seen_ms = w->hub.started_ms}};
    }
    store_release(w->reader);
}
