/* What somebody says of an agent: its state and its load, or that it goes for good. */
#include "hub/agents/inside.h"

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

void agent_reply_changed(struct apply *a, struct command *command, struct slice id,
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

static enum hub_rc find_visible(struct apply *a, struct command *command,
                                const struct agent_change *change, struct held_agent *out)
{
    enum hub_rc rc = agent_hold(a, change->id, out);
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
        agent_revive(agents, &held.agent);
    }
    if (rc == HUB_OK && !agent_beat(agents, held.agent.number, &change.metrics, a->now_ms)) {
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
        rc = agent_change_to(a, &held, status, "status_changed",
                             &(struct why){change.asker.subject, change.reason});
    }
    if (rc == HUB_OK) {
        agent_reply_changed(a, command, change.id, status);
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
        rc = agent_change_to(a, &held, AGENT_DEREGISTERED, "deregistered",
                             &(struct why){change.asker.subject, change.reason});
    }
    if (rc == HUB_OK) {
        agent_reply_changed(a, command, change.id, AGENT_DEREGISTERED);
    }
    buf_done(&held.bytes);
    return rc;
}

const struct command_kind command_agent_deregister = {.name = "agents.deregister",
                                                      .apply = deregister_apply,
                                                      .module = MODULE_AGENTS,
                                                      .flags = KIND_RELEASES};
