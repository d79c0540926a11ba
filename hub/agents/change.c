/* The one way in which an agent changes its state, whoever asks for it: the row, what is kept in
 * memory, what other parts of the domain and the channels hear, all within one transaction. */
#include "hub/agents/inside.h"

/* ---- asking ---- */

enum hub_rc agent_hold(struct apply *a, struct slice id, struct held_agent *out)
{
    struct agent found;
    enum store_rc rc = agent_find(a->view, a->app, id, &found);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    agent_pack(&out->bytes, &found);
    return agent_unpack(buf_slice(&out->bytes), &out->agent) ? HUB_OK : HUB_STORE_DAMAGED;
}

enum hub_rc agent_hold_number(struct apply *a, uint32_t number, struct held_agent *out)
{
    struct agent found;
    enum store_rc rc = agent_get(a->view, number, &found);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    agent_pack(&out->bytes, &found);
    return agent_unpack(buf_slice(&out->bytes), &out->agent) ? HUB_OK : HUB_STORE_DAMAGED;
}

/* ---- what the channels are told ---- */

/* Other parts of the domain hear of a change before the channels do. */
enum hub_rc agent_tell_watchers(struct apply *a, const struct agent *agent,
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

enum hub_rc agent_tell(struct apply *a, const struct agent *agent, const char *event,
                       enum agent_status before, const struct why *why)
{
    enum hub_rc rc = agent_tell_watchers(a, agent, before);
    return rc == HUB_OK ? tell_channels(a, agent, event, before, why) : rc;
}

/* ---- a change of state, whoever asks for it ---- */

/* The row learns of the newest beat when it is written anyway. */
static void take_pulse(const struct agents *agents, struct agent *agent, struct pulse *pulse)
{
    if (pulse_get_own(agents->options.pulses, agent->number, pulse)) {
        agent->seen_ms = pulse->seen_ms;
        agent->metrics = pulse->metrics;
    }
}

enum hub_rc agent_change_to(struct apply *a, struct held_agent *held, enum agent_status status,
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
        rc = agent_tell(a, &after, event, held->agent.status, why);
    }
    if (rc == HUB_OK) {
        watch_status(agents, after.number, status);
        agent_note_changed(agents, after.number);
        watch_again(agents, after.number, a->now_ms);
    }
    return rc;
}
