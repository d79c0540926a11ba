/* Who joins a swarm, and who leaves it. */
#include "hub/swarms/module_parts.h"
#include "store/hash.h"

#include <stdio.h>

enum { ID_BYTES = 48 };
static const uint64_t ID_SEED = UINT64_C(0x6d656d626572);

/* swarm_<hex16> and member_<hex16>: the number in front keeps them apart, what follows keeps them
 * from being guessed. */
static struct slice mint(struct apply *a, const char *prefix, uint32_t number, char out[ID_BYTES])
{
    uint8_t own[36];
    memcpy(own, a->seed, 32);
    be32_put(own + 32, number);
    uint64_t h = hash64(ID_SEED ^ (uint64_t)prefix[0], slice_of(own, sizeof own));
    int n = snprintf(out, ID_BYTES, "%s_%016llx", prefix, (unsigned long long)h);
    return slice_of(out, (size_t)n);
}

/* ---- a member, as it is written and told ---- */

static enum hub_rc tell_member(struct apply *a, const struct swarm *swarm, const struct member *m,
                               const char *event, enum member_state before, const struct why *why)
{
    struct buf data = {0}, channel = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    json_key(&o, "swarm_id");
    json_text(&o, swarm->id);
    json_key(&o, "member_id");
    json_text(&o, m->id);
    json_key(&o, "agent_id");
    json_text(&o, m->agent);
    json_key(&o, "role");
    json_str(&o, swarm_role_name(m->role));
    json_key(&o, "capability");
    json_text(&o, m->capability);
    json_key(&o, "status");
    json_str(&o, member_state_name(m->state));
    json_key(&o, "previous_status");
    if (before == MEMBER_NONE) {
        json_put_null(&o);
    } else {
        json_str(&o, member_state_name(before));
    }
    json_key(&o, "member_count");
    json_u64(&o, swarm->members_n);
    why_said(&o, why);
    json_key(&o, "at");
    json_time(&o, a->now_ms);
    json_end(&o, '}');
    agent_channel(&channel, "swarm.", swarm->id);
    enum hub_rc rc = apply_tell(a, swarm->app, buf_slice(&channel), event, buf_slice(&data));
    buf_done(&data);
    buf_done(&channel);
    return rc;
}

/* Writes a member and the count of its swarm, and tells it. */
static enum hub_rc put_member(struct apply *a, struct swarm *swarm, const struct member *m,
                              enum member_state before, const char *event, const struct why *why)
{
    bool new = before == MEMBER_NONE, was_peopled = swarm->members_n > 0;
    swarm->members_n += (uint32_t)member_is_there(m->state) - (uint32_t)member_is_there(before);
    swarm->changed_ms = a->now_ms;
    enum hub_rc rc = hub_rc_of_store(swarm_put(a->txn, swarm, false));
    if (rc == HUB_OK && was_peopled != (swarm->members_n > 0)) {
        rc = hub_rc_of_store(swarm_peopled_put(a->txn, swarm));
    }
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(member_put(a->txn, m, new));
    }
    return rc == HUB_OK ? tell_member(a, swarm, m, event, before, why) : rc;
}

/* ---- join ---- */

void swarm_join_put(struct buf *b, const struct swarm_join *j)
{
    asker_put(b, &j->asker);
    pack_slice(b, j->swarm_id);
    pack_slice(b, j->agent);
    pack_u8(b, j->agent_named);
    pack_u8(b, (uint8_t)j->role);
    pack_slice(b, j->capability);
    pack_slice(b, j->region);
    pack_u8(b, (uint8_t)j->priority);
}

static bool swarm_join_get(struct slice body, struct swarm_join *j)
{
    struct unpack u = unpack_of(body);
    j->asker = asker_get(&u);
    j->swarm_id = unpack_slice(&u);
    j->agent = unpack_slice(&u);
    j->agent_named = unpack_u8(&u) != 0;
    j->role = (enum swarm_role)unpack_u8(&u);
    j->capability = unpack_slice(&u);
    j->region = unpack_slice(&u);
    j->priority = (enum task_priority)unpack_u8(&u);
    return unpack_done(&u) && j->role < SWARM_ROLES && j->priority < TASK_PRIORITIES;
}

static enum hub_rc reply_joined(struct apply *a, struct command *command, uint32_t member,
                                bool again)
{
    struct buf b = {0};
    pack_u32(&b, member);
    pack_u8(&b, again);
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
    return HUB_OK;
}

bool swarm_joined_get(struct slice reply, struct swarm_joined *out)
{
    struct unpack u = unpack_of(reply);
    out->member = unpack_u32(&u);
    out->again = unpack_u8(&u) != 0;
    return unpack_done(&u);
}

struct joining {
    const struct swarm_join *join;
    uint32_t swarm;  /* 0: any */
    uint32_t member; /* found */
};

static bool same_membership(void *ctx, const struct member *m)
{
    struct joining *j = ctx;
    bool same = m->role == j->join->role && slice_equal(m->owner, j->join->asker.subject) &&
                (j->swarm ? m->swarm == j->swarm : slice_equal(m->capability, j->join->capability));
    j->member = same ? m->number : 0;
    return !same;
}

struct swarm_search {
    struct apply *a;
    const struct swarm_join *join;
    uint32_t looked, found;
};

/* Members with one capability gather in one swarm. */
static bool fits(void *ctx, const struct swarm *swarm)
{
    struct swarm_search *s = ctx;
    if (swarm->members_n < SWARM_MEMBERS_MAX && swarm_visible(s->a->view, swarm, &s->join->asker)) {
        s->found = swarm->number;
        return false;
    }
    return ++s->looked < SWARMS_LOOKED_MAX;
}

/* An id is random: who knows it was told it, and may join. */
static enum hub_rc find_swarm(struct apply *a, struct command *command,
                              const struct swarm_join *join, uint32_t *out)
{
    struct swarm swarm;
    *out = 0;
    if (join->swarm_id.n) {
        enum store_rc rc = swarm_find(a->view, a->app, join->swarm_id, &swarm);
        *out = rc == STORE_OK ? swarm.number : 0;
        if (rc == STORE_OK && swarm.members_n >= SWARM_MEMBERS_MAX) {
            return apply_refuse(a, command, HUB_LIMIT, "swarm ", join->swarm_id, " is full");
        }
        return rc == STORE_NOT_FOUND
                   ? apply_refuse(a, command, HUB_NOT_FOUND, "Swarm ", join->swarm_id, " not found")
                   : hub_rc_of_store(rc);
    }
    struct swarm_search s = {.a = a, .join = join};
    enum store_rc rc = swarms_each(a->view, a->app, join->capability, fits, &s);
    *out = s.found;
    return hub_rc_of_store(rc);
}

static enum hub_rc found_swarm(struct apply *a, const struct swarm_join *join, uint32_t *out)
{
    char id[ID_BYTES];
    enum hub_rc rc = hub_rc_of_store(swarm_newest(a->view, out));
    struct swarm swarm = {.number = ++*out,
                          .app = a->app,
                          .owner = join->asker.subject,
                          .capability = join->capability,
                          .created_ms = a->now_ms,
                          .changed_ms = a->now_ms};
    swarm.id = mint(a, "swarm", swarm.number, id);
    return rc == HUB_OK ? hub_rc_of_store(swarm_put(a->txn, &swarm, true)) : rc;
}

/* Whether the caller may bring this one along: itself, registered as an agent or not, or an agent
 * that it sees (NULL: there is none of that name). */
static bool may_bring(const struct swarm_join *join, const struct agent *agent)
{
    return slice_equal(join->agent, join->asker.subject) ||
           (agent && asker_sees(&join->asker, agent->owner));
}

/* How a member begins: with its agent, waiting for it while it is inactive, or, when the caller is
 * no agent, as it is. */
static enum hub_rc begin_state(struct apply *a, struct command *command,
                               const struct swarm_join *join, struct member *m)
{
    struct agent agent;
    enum store_rc rc = agent_find(a->view, a->app, join->agent, &agent);
    if (rc != STORE_OK && rc != STORE_NOT_FOUND) {
        return hub_rc_of_store(rc);
    }
    bool there = rc == STORE_OK && agent.status != AGENT_DEREGISTERED;
    if (!may_bring(join, there ? &agent : NULL)) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "agent_id: Agent ", join->agent,
                            " not found");
    }
    enum member_event event = there ? member_event_of(agent.status) : MEMBER_AGENT_GONE;
    m->agent_number = event != MEMBER_AGENT_GONE ? agent.number : 0;
    m->state = event == MEMBER_AGENT_LIVES   ? MEMBER_ACTIVE
               : event == MEMBER_AGENT_STALE ? MEMBER_SUSPENDED
               : join->agent_named           ? MEMBER_JOINING
                                             : MEMBER_ACTIVE;
    return HUB_OK;
}

static enum hub_rc add_member(struct apply *a, struct command *command,
                              const struct swarm_join *join, uint32_t swarm_number)
{
    struct buf bytes = {0};
    struct swarm swarm;
    char id[ID_BYTES];
    struct member m = {.app = a->app,
                       .swarm = swarm_number,
                       .owner = join->asker.subject,
                       .agent = join->agent,
                       .role = join->role,
                       .capability = join->capability,
                       .region = join->region,
                       .priority = join->priority,
                       .joined_ms = a->now_ms};
    enum hub_rc rc = hub_rc_of_store(member_newest(a->view, &m.number));
    m.number++;
    m.id = mint(a, "member", m.number, id);
    if (rc == HUB_OK) {
        rc = begin_state(a, command, join, &m);
    }
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(swarm_hold(a->view, swarm_number, &bytes, &swarm));
    }
    if (rc == HUB_OK) {
        rc = put_member(a, &swarm, &m, MEMBER_NONE, "joined", &why_nobody);
    }
    if (rc == HUB_OK && m.state == MEMBER_JOINING) {
        rc = member_awaited(a, m.number, 0);
    }
    buf_done(&bytes);
    return rc == HUB_OK ? reply_joined(a, command, m.number, false) : rc;
}

static enum hub_rc join_apply(struct apply *a, struct command *command, struct slice body)
{
    struct swarm_join join;
    if (!swarm_join_get(body, &join)) {
        return HUB_BAD_REQUEST;
    }
    struct joining known = {.join = &join};
    uint32_t swarm = 0;
    enum hub_rc rc = find_swarm(a, command, &join, &swarm);
    if (rc == HUB_OK) {
        known.swarm = join.swarm_id.n ? swarm : 0;
        rc = hub_rc_of_store(
            members_of_agent(a->view, a->app, join.agent, 0, same_membership, &known));
    }
    if (rc != HUB_OK) {
        return rc;
    }
    if (known.member) {
        return reply_joined(a, command, known.member, true);
    }
    if (!swarm) {
        rc = found_swarm(a, &join, &swarm);
    }
    return rc == HUB_OK ? add_member(a, command, &join, swarm) : rc;
}

const struct command_kind command_swarm_join = {
    .name = "swarm.join", .apply = join_apply, .module = MODULE_SWARMS};

/* ---- leave ---- */

void swarm_leave_put(struct buf *b, const struct swarm_leave *l)
{
    asker_put(b, &l->asker);
    pack_slice(b, l->swarm_id);
    pack_slice(b, l->member_id);
    pack_slice(b, l->reason);
    pack_u8(b, l->hands_back);
}

struct leaving {
    const struct swarm_leave *leave;
    bool swarm_is_own;
    uint32_t swarm;
    struct buf numbers; /* of members and their agents, packed */
    uint32_t n;
};

/* Without a member's id the caller's own go, and no one else's, whatever the caller may see. */
static bool leaves(void *ctx, const struct member *m)
{
    struct leaving *l = ctx;
    const struct swarm_leave *leave = l->leave;
    bool goes = leave->member_id.n ? slice_equal(m->id, leave->member_id) &&
                                         (l->swarm_is_own || asker_sees(&leave->asker, m->owner))
                                   : slice_equal(m->owner, leave->asker.subject);
    if (goes) {
        pack_u32(&l->numbers, m->number);
        pack_u32(&l->numbers, m->agent_number);
        l->n++;
    }
    return true;
}

enum hub_rc member_change(struct apply *a, uint32_t number, enum member_event event,
                          const struct agent *agent, const struct why *why, struct buf *out_id)
{
    struct buf bytes[2] = {{0}, {0}};
    struct swarm swarm;
    struct member m;
    enum hub_rc rc = hub_rc_of_store(member_hold(a->view, number, &bytes[0], &m));
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(swarm_hold(a->view, m.swarm, &bytes[1], &swarm));
    }
    if (rc != HUB_OK) {
        goto out;
    }
    enum member_state before = m.state, after = member_next(before, event);
    bool binds = agent && m.agent_number != agent->number;
    if (after == MEMBER_NONE && !binds) {
        goto out;
    }
    m.state = after != MEMBER_NONE ? after : before;
    m.agent_number = agent ? agent->number : m.agent_number;
    m.left_ms = member_is_there(m.state) ? 0 : a->now_ms;
    rc = after != MEMBER_NONE ? put_member(a, &swarm, &m, before, member_state_name(after), why)
                              : hub_rc_of_store(member_put(a->txn, &m, false));
    if (out_id) {
        pack_slice(out_id, m.id);
    }
out:
    buf_done(&bytes[0]);
    buf_done(&bytes[1]);
    return rc;
}

static enum hub_rc leave_all(struct apply *a, struct command *command, struct leaving *l)
{
    struct unpack u = unpack_of(buf_slice(&l->numbers));
    struct buf ids = {0}, reply = {0};
    const struct why why = {l->leave->asker.subject, l->leave->reason};
    enum hub_rc rc = HUB_OK;
    for (uint32_t i = 0; rc == HUB_OK && i < l->n; i++) {
        uint32_t number = unpack_u32(&u), agent = unpack_u32(&u);
        rc = member_change(a, number, MEMBER_LEAVES, NULL, &why, &ids);
        if (rc == HUB_OK && l->leave->hands_back) {
            rc = works_hand_back(a, l->swarm, agent);
        }
    }
    if (rc == HUB_OK) {
        rc = works_members_left(a, l->swarm);
    }
    if (rc == HUB_OK) {
        pack_i64(&reply, a->now_ms);
        pack_slice(&reply, l->leave->swarm_id);
        pack_u32(&reply, l->n);
        pack_slice(&reply, buf_slice(&ids));
        apply_reply(a, command, buf_slice(&reply));
    }
    buf_done(&ids);
    buf_done(&reply);
    return rc;
}

bool swarm_left_get(struct slice reply, struct swarm_left *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->swarm_id = unpack_slice(&u);
    out->n = unpack_u32(&u);
    out->ids = unpack_slice(&u);
    return unpack_done(&u);
}

static enum hub_rc leave_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct swarm_leave leave = {.asker = asker_get(&u)};
    leave.swarm_id = unpack_slice(&u);
    leave.member_id = unpack_slice(&u);
    leave.reason = unpack_slice(&u);
    leave.hands_back = unpack_u8(&u) != 0;
    if (!unpack_done(&u)) {
        return HUB_BAD_REQUEST;
    }
    struct swarm swarm;
    enum store_rc found = swarm_find(a->view, a->app, leave.swarm_id, &swarm);
    if (found == STORE_NOT_FOUND ||
        (found == STORE_OK && !swarm_visible(a->view, &swarm, &leave.asker))) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "Swarm ", leave.swarm_id, " not found");
    }
    struct leaving l = {.leave = &leave,
                        .swarm = found == STORE_OK ? swarm.number : 0,
                        .swarm_is_own = found == STORE_OK && asker_sees(&leave.asker, swarm.owner)};
    enum hub_rc rc = hub_rc_of_store(found);
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(members_each(a->view, swarm.number, leaves, &l));
    }
    if (rc == HUB_OK && l.n == 0) {
        rc = apply_refuse(a, command, HUB_NOT_FOUND, "Swarm member ", leave.member_id,
                          leave.member_id.n ? " not found" : "not found");
    } else if (rc == HUB_OK) {
        rc = leave_all(a, command, &l);
    }
    buf_done(&l.numbers);
    return rc;
}

const struct command_kind command_swarm_leave = {
    .name = "swarm.leave", .apply = leave_apply, .module = MODULE_SWARMS, .flags = KIND_RELEASES};

/* ---- by name ---- */

struct named_member {
    struct slice id;
    uint32_t number;
};

static bool is_named(void *ctx, const struct member *m)
{
    struct named_member *n = ctx;
    bool is = slice_equal(m->id, n->id) || slice_equal(m->agent, n->id);
    n->number = is ? m->number : 0;
    return !is;
}

bool swarm_member_named(struct store_view *view, uint32_t swarm, struct slice id,
                        uint32_t *out_number)
{
    struct named_member n = {.id = id};
    (void)members_each(view, swarm, is_named, &n);
    *out_number = n.number;
    return n.number != 0;
}
