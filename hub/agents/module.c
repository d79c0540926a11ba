/* A start, a clean end, and the module itself. */
#include "hub/agents/inside.h"

struct liveness_rules liveness_rules_of(const struct hub_settings *s)
{
    return (struct liveness_rules){.timeout_ms = s->heartbeat_timeout_ms,
                                   .reconnect_ms = s->agent_reconnect_ms,
                                   .suspect_intervals = s->suspect_intervals};
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

static const struct command_kind command_agents_restart = {.name = "agents.restart",
                                                           .apply = restart_apply,
                                                           .module = MODULE_AGENTS,
                                                           .must = agent_must_be_told};

/* ---- a clean end ---- */

enum { PARTING_AGENTS = 256 }; /* in a command */

static enum hub_rc parting_one(struct apply *a, uint32_t number, int64_t seen_ms,
                               const struct metrics *metrics)
{
    struct held_agent held = {0};
    enum hub_rc rc = agent_hold_number(a, number, &held);
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
