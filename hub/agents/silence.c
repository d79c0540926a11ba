/* Agents that fall silent: the connection that holds a session closes, or no beat comes in time. */
#include "hub/agents/inside.h"

enum { LATE_MS = 1000, LATE_FACTOR_MAX = 8 };

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
    rc = rc == HUB_OK ? agent_tell_watchers(a, &after, agent->status) : rc;
    watch_again(a->state, agent->number, a->now_ms);
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
    enum hub_rc rc = agent_hold_number(a, number, &held);
    /* A later registration fences the connection of an earlier one. */
    bool away = rc == HUB_OK && agent_is_away(&held.agent);
    if (rc == HUB_OK && held.agent.epoch == epoch && w->connection == connection &&
        (away || is_watched((uint8_t)held.agent.status))) {
        w->connection = 0;
        w->closed_ms = a->now_ms;
        rc = away || held.agent.status == AGENT_STALE
                 ? stream_closed(a, &held.agent)
                 : agent_change_to(a, &held, AGENT_STALE, "stale",
                                   &(struct why){.reason = slice_str("its connection closed")});
    }
    buf_done(&held.bytes);
    return rc == HUB_NOT_FOUND ? HUB_OK : rc;
}

/* What has happened already cannot be refused. */
bool agent_must_be_told(struct slice body)
{
    (void)body;
    return true;
}

const struct command_kind command_agent_gone = {.name = "agents.gone",
                                                .apply = gone_apply,
                                                .module = MODULE_AGENTS,
                                                .must = agent_must_be_told};

/* ---- deadlines: the command carries the pulse that was seen ---- */

static enum hub_rc deadline_apply(struct apply *a, struct command *command, struct slice body);
static const struct command_kind command_agent_deadline = {
    .name = "agents.deadline", .apply = deadline_apply, .module = MODULE_AGENTS};

void agents_released(void *module_state, uint32_t number, int64_t now_ms)
{
    struct agents *a = module_state;
    if (number <= a->n &&
        watch_has_drained(a, number, (enum agent_status)a->watches[number].status)) {
        watch_due_set(a, number, now_ms);
    }
}

bool agents_expire(void *state, int64_t now_ms, struct tray *tray)
{
    struct agents *a = state;
    if (a->heap_n == 0 || a->watches[a->heap[0]].due_ms > now_ms) {
        return false;
    }
    uint32_t number = a->heap[0];
    struct watch *w = &a->watches[number];
    struct pulse pulse;
    int64_t seen = watch_silent_ms(a, number, now_ms, &pulse);
    int64_t late = now_ms - w->due_ms;
    int64_t due = watch_next_look(a, number, seen, &pulse);
    /* Fresh after all, and nothing to change: no command. */
    if (due > now_ms && w->status != AGENT_STALE) {
        watch_due_set(a, number, due);
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
    watch_due_set(a, number, INT64_MAX); /* until the command has decided */
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
    if (watch_has_drained(agents, held->agent.number, held->agent.status)) {
        return agent_change_to(a, held, AGENT_INACTIVE, "inactive",
                               &(struct why){.reason = slice_str("drained")});
    }
    struct liveness_rules rules = liveness_rules_of(agents_settings(agents));
    struct pulse pulse;
    (void)watch_silent_ms(agents, held->agent.number, 0, &pulse);
    int64_t silence = a->now_ms - seen;
    int64_t patience = liveness_stale_after(&rules, w->interval_ms, &pulse);
    int64_t suspect = stretched(patience, late);
    bool gone = w->closed_ms && a->now_ms - w->closed_ms >= stretched(rules.reconnect_ms, late);
    if (w->graced && a->now_ms < agents->grace_until_ms && !w->closed_ms) {
        suspect = INT64_MAX;
    }
    bool timed_out = suspect != INT64_MAX && silence >= stretched(rules.timeout_ms, late);
    if (gone || timed_out) {
        return agent_change_to(
            a, held, AGENT_INACTIVE, "inactive",
            &(struct why){
                .reason = slice_str(gone ? "its connection did not come back" : "no heartbeat")});
    }
    /* Only a beat leads back: neither a late hub nor a new start makes a silent agent well. */
    bool back =
        pulse.beats && seen >= held->agent.changed_ms && silence < patience && !w->closed_ms;
    if (held->agent.status == AGENT_STALE && back) {
        enum agent_status said = held->agent.declared;
        bool well = said != AGENT_STALE && said != AGENT_INACTIVE; /* who beats is neither */
        return agent_change_to(a, held, well ? said : AGENT_ACTIVE, "recovered",
                               &(struct why){.reason = slice_str("it beats again")});
    }
    if (held->agent.status != AGENT_STALE && silence >= suspect) {
        return agent_change_to(a, held, AGENT_STALE, "stale",
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
    enum hub_rc rc = agent_hold_number(a, number, &held);
    if (rc == HUB_OK && is_watched((uint8_t)held.agent.status)) {
        rc = judge(a, &held, seen, late);
    }
    if (rc == HUB_OK) {
        struct pulse pulse;
        (void)watch_silent_ms(agents, number, seen, &pulse);
        int64_t due = watch_next_look(agents, number, seen, &pulse);
        watch_due_set(agents, number, due > a->now_ms ? due : a->now_ms + 1);
    }
    buf_done(&held.bytes);
    return rc;
}
