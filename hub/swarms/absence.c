/* Members follow their agents. One whose agent is away (drained, stopped, said to be inactive) or
 * has yet to come keeps its seat, as it may be back; but not for good: a stored timer ends that.
 *
 * Nobody cancels the timer when the agent is back. It carries when the agent went, and an agent
 * that went later, or is there, is none of its business. */
#include "hub/swarms/module_parts.h"

enum member_event member_event_of(enum agent_status status)
{
    switch (status) {
    case AGENT_ACTIVE:
    case AGENT_BUSY:
        return MEMBER_AGENT_LIVES;
    case AGENT_INACTIVE:
    case AGENT_DEREGISTERED:
        return MEMBER_AGENT_GONE;
    case AGENT_STALE:
    case AGENT_MAINTENANCE:
    case AGENT_ERROR:
    case AGENT_DRAINING:
    case AGENT_STATUSES:
        break;
    }
    return MEMBER_AGENT_STALE;
}

/* ---- seats that are kept ---- */

enum hub_rc member_awaited(struct apply *a, uint32_t number, int64_t since_ms)
{
    const struct swarms_options *options = a->state;
    struct timer_ref ref;
    uint8_t body[12];
    be32_put(body, number);
    be64_put(body + 4, (uint64_t)since_ms);
    int64_t due_ms = a->now_ms + atomic_load(options->settings)->swarm_absence_ms;
    return hub_rc_of_store(
        timer_add(a->txn, due_ms, TIMER_MEMBER_AWAITED, slice_of(body, sizeof body), &ref));
}

static bool is_awaited(struct apply *a, const struct member *m, int64_t since_ms)
{
    struct agent agent;
    return since_ms == 0 ? m->state == MEMBER_JOINING
                         : m->state == MEMBER_SUSPENDED &&
                               agent_get(a->view, m->agent_number, &agent) == STORE_OK &&
                               agent_is_away(&agent) && agent.changed_ms == since_ms;
}

static enum hub_rc awaited_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    uint32_t number = unpack_u32(&u);
    int64_t since_ms = unpack_i64(&u);
    struct member m;
    (void)command;
    enum store_rc found = unpack_done(&u) ? member_get(a->view, number, &m) : STORE_DAMAGED;
    if (found != STORE_OK || !is_awaited(a, &m, since_ms)) {
        return found == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(found);
    }
    const struct why why = {
        .reason = slice_str(since_ms ? "its agent did not come back" : "its agent never came")};
    uint32_t swarm = m.swarm;
    a->app = m.app;
    enum hub_rc rc = member_change(a, number, MEMBER_STAYS_AWAY, NULL, &why, NULL);
    return rc == HUB_OK ? works_members_left(a, swarm) : rc;
}

const struct command_kind command_member_awaited = {
    .name = "swarm.member_awaited", .apply = awaited_apply, .module = MODULE_SWARMS};

/* ---- agents come and go ---- */

static bool take_member(void *ctx, const struct member *m)
{
    *(uint32_t *)ctx = m->number;
    return false;
}

static const char *gone_reason(const struct agent *agent)
{
    return agent->status == AGENT_DEREGISTERED ? "its agent was deregistered"
                                               : "its agent is inactive";
}

/* Whoever was drained or said that it goes will be back, as what it was; the work that only it
 * could do does not wait for that. */
enum hub_rc swarms_agent_changed(struct apply *a, const struct agent *agent,
                                 enum agent_status before)
{
    bool away = agent_is_away(agent), went = away && agent->changed_ms == a->now_ms;
    enum member_event event = away ? MEMBER_AGENT_STALE : member_event_of(agent->status);
    const struct why why = {.reason = event == MEMBER_AGENT_GONE ? slice_str(gone_reason(agent))
                                                                 : slice_of(NULL, 0)};
    enum hub_rc rc = HUB_OK;
    (void)before;
    for (uint32_t from = 1; rc == HUB_OK;) {
        uint32_t number = 0;
        rc = hub_rc_of_store(
            members_of_agent(a->view, agent->app, agent->id, from, take_member, &number));
        if (rc != HUB_OK || !number) {
            break;
        }
        rc = member_change(a, number, event, agent, &why, NULL);
        rc = rc == HUB_OK && went ? member_awaited(a, number, agent->changed_ms) : rc;
        from = number + 1;
    }
    return rc == HUB_OK && agent_has_departed(agent->status) ? works_agent_gone(a, agent) : rc;
}
