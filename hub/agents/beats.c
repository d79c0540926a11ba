/* A heartbeat is not a write: it moves the agent's pulse in memory. */
#include "hub/agents/inside.h"

/* Who was stale and beats is active again: that is a change of state, which the deadline's command
 * writes. It is due at once. A beat after the stream closed speaks for the agent again
 * (semantics.md: beats without a stream keep it from being declared dead). */
static void heard(struct agents *agents, uint32_t number, int64_t now_ms)
{
    agents->watches[number].closed_ms = 0;
    if (agents->watches[number].status == AGENT_STALE) {
        watch_due_set(agents, number, now_ms);
    }
}

/* A beat, from wherever it comes: moves the pulse. False: too many metrics. */
bool agent_beat(struct agents *agents, uint32_t number, const struct metrics *metrics,
                int64_t now_ms)
{
    struct pulse pulse;
    agents->watches[number].graced = false; /* heard of: its own clock holds */
    int64_t before = watch_silent_ms(agents, number, 0, &pulse);
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
void agent_revive(struct agents *agents, const struct agent *agent)
{
    struct pulse pulse;
    if (!pulse_get_own(agents->options.pulses, agent->number, &pulse)) {
        pulse = (struct pulse){
            .seen_ms = agent->seen_ms, .silent_ms = agent->seen_ms, .metrics = agent->metrics};
        pulse_put(agents->options.pulses, agent->number, &pulse);
    }
}

/* ---- the command ---- */

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
    if (is_watched(status) && !agent_beat(agents, number, &metrics, a->now_ms)) {
        return HUB_INVALID;
    }
    if (u.p == u.end) {
        return HUB_OK;
    }
    struct slice id = unpack_slice(&u);
    if (status == AGENT_DEREGISTERED) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "Agent ", id, " not found");
    }
    agent_reply_changed(a, command, id, (enum agent_status)status);
    return HUB_OK;
}

const struct command_kind command_agent_beat = {
    .name = "agents.beat", .apply = beat_apply, .module = MODULE_AGENTS, .flags = KIND_VOLATILE};
