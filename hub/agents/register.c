/* Who comes, for the first time or again. */
#include "hub/agents/inside.h"

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
    const struct hub_settings *s = agents_settings(agents);
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
    pack_i64(&b, agents_settings(a->state)->task_lease_ms);
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
    agent_note_changed(agents, agent->number);
    if (is_watched((uint8_t)agent->status)) {
        pulse_put(agents->options.pulses, agent->number, &pulse);
    }
    watch_again(agents, agent->number, a->now_ms);
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
    enum hub_rc rc = agent_hold(a, agent.id, &before);
    bool known = rc == HUB_OK;
    if (!known && rc != HUB_NOT_FOUND) {
        buf_done(&before.bytes);
        return rc;
    }
    bool there = known && before.agent.status != AGENT_DEREGISTERED;
    if (there && (created || !asker_sees(&asker, before.agent.owner))) {
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
        rc = agent_tell(a, &agent, created ? "created" : "registered",
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
