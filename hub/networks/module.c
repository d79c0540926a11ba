#include "hub/networks/module.h"
#include "auth/digest.h"
#include "hub/core/why.h"
#include "store/hash.h"

#include <stdlib.h>

static const uint64_t ID_SEED = UINT64_C(0x6e6574776f726b);

static enum hub_rc tell(struct apply *a, const struct network *n, const char *event,
                        const struct why *why)
{
    struct buf data = {0}, channel = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    json_key(&o, "network_id");
    json_text(&o, n->id);
    json_key(&o, "name");
    json_text(&o, n->name);
    json_key(&o, "coordination_strategy");
    json_text(&o, n->strategy);
    json_key(&o, "agent_count");
    json_u64(&o, n->agents.n);
    why_said(&o, why);
    json_key(&o, "at");
    json_time(&o, a->now_ms);
    json_end(&o, '}');
    agent_channel(&channel, "network.", n->id);
    enum hub_rc rc = apply_tell(a, n->app, buf_slice(&channel), event, buf_slice(&data));
    buf_done(&data);
    buf_done(&channel);
    return rc;
}

static enum hub_rc reply_done(struct apply *a, struct command *command, uint32_t number)
{
    struct buf b = {0};
    pack_u32(&b, number);
    pack_i64(&b, a->now_ms);
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
    return HUB_OK;
}

bool network_done_get(struct slice reply, uint32_t *out_number, int64_t *out_at_ms)
{
    struct unpack u = unpack_of(reply);
    *out_number = unpack_u32(&u);
    *out_at_ms = unpack_i64(&u);
    return unpack_done(&u);
}

/* ---- create ---- */

void network_create_put(struct buf *b, const struct network_create *c)
{
    asker_put(b, &c->asker);
    pack_slice(b, c->name);
    pack_slice(b, c->description);
    pack_slice(b, c->strategy);
    pack_u32(b, c->agents.n);
    pack_slice(b, c->agents.packed);
}

static bool network_create_get(struct slice body, struct network_create *c)
{
    struct unpack u = unpack_of(body);
    c->asker = asker_get(&u);
    c->name = unpack_slice(&u);
    c->description = unpack_slice(&u);
    c->strategy = unpack_slice(&u);
    c->agents.n = unpack_u32(&u);
    c->agents.packed = unpack_slice(&u);
    return unpack_done(&u);
}

/* Every agent is there, and the asker's to see. */
static enum hub_rc check_agents(struct apply *a, struct command *command,
                                const struct network_create *c)
{
    struct slice rest = c->agents.packed, id;
    while (words_next(&rest, &id)) {
        struct agent agent;
        enum store_rc rc = agent_find(a->view, a->app, id, &agent);
        if (rc == STORE_NOT_FOUND || (rc == STORE_OK && (agent.status == AGENT_DEREGISTERED ||
                                                         !asker_sees(&c->asker, agent.owner)))) {
            return apply_refuse(a, command, HUB_NOT_FOUND, "Agent ", id, " not found");
        }
        if (rc != STORE_OK) {
            return hub_rc_of_store(rc);
        }
    }
    return HUB_OK;
}

static void mint(struct apply *a, uint32_t number, char out[UUID_CHARS + 1])
{
    uint8_t own[36], random[10];
    memcpy(own, a->seed, 32);
    be32_put(own + 32, number);
    struct hash128 h = hash128(ID_SEED, slice_of(own, sizeof own));
    be64_put(random, h.lo);
    be16_put(random + 8, (uint16_t)h.hi);
    uuid_v7(a->now_ms, random, out);
}

static enum hub_rc create_apply(struct apply *a, struct command *command, struct slice body)
{
    struct network_create create;
    uint32_t number = 0;
    char id[UUID_CHARS + 1];
    if (!network_create_get(body, &create)) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = check_agents(a, command, &create);
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(network_newest(a->view, &number));
    }
    if (rc != HUB_OK) {
        return rc;
    }
    mint(a, ++number, id);
    struct network network = {.number = number,
                              .app = a->app,
                              .id = slice_str(id),
                              .owner = create.asker.subject,
                              .name = create.name,
                              .description = create.description,
                              .agents = create.agents,
                              .strategy = create.strategy,
                              .created_ms = a->now_ms,
                              .changed_ms = a->now_ms};
    rc = hub_rc_of_store(network_put(a->txn, &network, true));
    if (rc == HUB_OK) {
        rc = tell(a, &network, "created", &why_nobody);
    }
    return rc == HUB_OK ? reply_done(a, command, number) : rc;
}

const struct command_kind command_network_create = {
    .name = "networks.create", .apply = create_apply, .module = MODULE_NETWORKS};

/* ---- one that is there ---- */

/* A copy of its row, as writes move what the view lent. */
static enum hub_rc hold(struct apply *a, struct command *command, const struct asker *asker,
                        struct slice id, struct buf *bytes, struct network *out)
{
    struct network found;
    enum store_rc rc = network_find(a->view, a->app, id, &found);
    if (rc == STORE_NOT_FOUND || (rc == STORE_OK && !asker_sees(asker, found.owner))) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "Agent network ", id, " not found");
    }
    if (rc == STORE_OK) {
        network_pack(bytes, &found);
        rc = network_unpack(buf_slice(bytes), out) ? STORE_OK : STORE_DAMAGED;
    }
    return hub_rc_of_store(rc);
}

void network_named_put(struct buf *b, const struct network_named *n)
{
    asker_put(b, &n->asker);
    pack_slice(b, n->id);
    pack_slice(b, n->reason);
}

static enum hub_rc delete_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct asker asker = asker_get(&u);
    struct slice id = unpack_slice(&u), reason = unpack_slice(&u);
    struct buf bytes = {0};
    struct network network = {0};
    enum hub_rc rc =
        unpack_done(&u) ? hold(a, command, &asker, id, &bytes, &network) : HUB_BAD_REQUEST;
    if (rc == HUB_OK) {
        network.deleted = true;
        network.changed_ms = a->now_ms;
        rc = hub_rc_of_store(network_put(a->txn, &network, false));
    }
    if (rc == HUB_OK) {
        rc = works_cancel_team(a, TEAM_NETWORK, network.number);
    }
    if (rc == HUB_OK) {
        rc = tell(a, &network, "deleted", &(struct why){asker.subject, reason});
    }
    if (rc == HUB_OK) {
        rc = reply_done(a, command, network.number);
    }
    buf_done(&bytes);
    return rc;
}

const struct command_kind command_network_delete = {.name = "networks.delete",
                                                    .apply = delete_apply,
                                                    .module = MODULE_NETWORKS,
                                                    .flags = KIND_RELEASES};

/* ---- execute ---- */

void network_execute_put(struct buf *b, const struct network_execute *e)
{
    asker_put(b, &e->asker);
    pack_slice(b, e->id);
    work_spec_pack(b, &e->spec);
}

/* Agents that live take part; when none does, all of them, and the work waits for one. */
static uint32_t members_of(struct apply *a, const struct network *n, struct buf *out, bool all)
{
    struct slice rest = n->agents.packed, id;
    uint32_t count = 0;
    while (words_next(&rest, &id)) {
        struct agent agent;
        bool is = agent_find(a->view, a->app, id, &agent) == STORE_OK;
        if (all || (is && (agent.status == AGENT_ACTIVE || agent.status == AGENT_BUSY))) {
            work_member_pack(out, &(struct work_member){.id = id,
                                                        .agent = id,
                                                        .agent_number = is ? agent.number : 0});
            count++;
        }
    }
    return count;
}

static enum hub_rc execute(struct apply *a, struct command *command, struct network_execute *ask,
                           const struct network *network)
{
    struct buf members = {0}, channel = {0}, row = {0}, reply = {0};
    struct work work;
    ask->spec.members_n = members_of(a, network, &members, false);
    if (ask->spec.members_n == 0) {
        ask->spec.members_n = members_of(a, network, &members, true);
    }
    agent_channel(&channel, "network.", network->id);
    if (!strategy_of(network->strategy, &ask->spec.strategy)) {
        ask->spec.strategy = STRATEGY_ROUND_ROBIN;
    }
    ask->spec.strategy_name = network->strategy;
    ask->spec.owner = ask->asker.subject;
    ask->spec.team_kind = TEAM_NETWORK;
    ask->spec.team = network->number;
    ask->spec.channel = buf_slice(&channel);
    ask->spec.members = buf_slice(&members);
    enum hub_rc rc = work_begin(a, &ask->spec, &row, &work);
    if (rc == HUB_OK) {
        pack_u64(&reply, work.number);
        apply_reply(a, command, buf_slice(&reply));
    }
    buf_done(&members);
    buf_done(&channel);
    buf_done(&row);
    buf_done(&reply);
    return rc;
}

static enum hub_rc execute_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct network_execute ask = {.asker = asker_get(&u)};
    struct buf bytes = {0};
    struct network network = {0};
    ask.id = unpack_slice(&u);
    if (!work_spec_unpack(&u, &ask.spec) || !unpack_done(&u)) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = hold(a, command, &ask.asker, ask.id, &bytes, &network);
    if (rc == HUB_OK && network.agents.n == 0) {
        rc = apply_refuse(a, command, HUB_CONFLICT, "Agent network ", ask.id, " has no agents");
    }
    if (rc == HUB_OK) {
        rc = execute(a, command, &ask, &network);
    }
    buf_done(&bytes);
    return rc;
}

const struct command_kind command_network_execute = {
    .name = "networks.execute", .apply = execute_apply, .module = MODULE_NETWORKS};

static void *networks_open(const void *options)
{
    (void)options;
    return xcalloc(1, 1);
}

const struct module networks_module = {.name = "networks", .open = networks_open, .close = free};
