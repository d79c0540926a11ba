/* Links between agents: peers, and masters with their subordinates (rest-contract.md section 3). */
#include "hub/api/agent_view.h"
#include "hub/api/answer.h"
#include "hub/api/components.h"
#include "hub/api/tables.h"
#include "hub/messages/module.h"

enum { LINKS_SHOWN_MAX = 10000 };

/* ---- changes ---- */

static enum hub_rc prepare(struct call *call, struct buf *body, enum link_kind kind, bool add)
{
    bool peer = kind == LINK_PEER;
    struct link_change change = {.asker = asker_of(call->who),
                                 .add = add,
                                 .may_any = call->who->role >= ROLE_OPERATOR,
                                 .kind = kind,
                                 .from = call_text(call, peer ? "agent_id" : "master_id"),
                                 .to = call_text(call, peer ? "peer_id" : "sub_id")};
    link_change_put(body, &change);
    return HUB_OK;
}

static enum hub_rc peer_add(struct call *call, struct buf *body)
{
    return prepare(call, body, LINK_PEER, true);
}

static enum hub_rc peer_remove(struct call *call, struct buf *body)
{
    return prepare(call, body, LINK_PEER, false);
}

static enum hub_rc sub_add(struct call *call, struct buf *body)
{
    return prepare(call, body, LINK_SUB, true);
}

static enum hub_rc sub_remove(struct call *call, struct buf *body)
{
    return prepare(call, body, LINK_SUB, false);
}

struct sentence {
    const char *begin, *middle; /* "Peer p added for agent a" */
    const char *from_key, *to_key, *at_key;
};

static enum hub_rc answer(struct call *call, struct slice reply, const struct sentence *s)
{
    struct link_changed c;
    if (!link_changed_get(reply, &c)) {
        return HUB_INTERNAL;
    }
    struct buf text = {0};
    buf_add_str(&text, s->begin);
    buf_add_slice(&text, c.to);
    buf_add_str(&text, s->middle);
    buf_add_slice(&text, c.from);
    struct json_out o = answer_begin(call);
    put_text(&o, "message", buf_slice(&text));
    put_text(&o, s->from_key, c.from);
    put_text(&o, s->to_key, c.to);
    put_time(&o, s->at_key, c.at_ms);
    json_end(&o, '}');
    buf_done(&text);
    return HUB_OK;
}

static enum hub_rc peer_added(struct call *call, const struct command *command, struct slice reply)
{
    static const struct sentence s = {"Peer ", " added for agent ", "agent_id", "peer_id",
                                      "connected_at"};
    (void)command;
    return answer(call, reply, &s);
}

static enum hub_rc peer_removed(struct call *call, const struct command *command,
                                struct slice reply)
{
    static const struct sentence s = {"Peer ", " removed for agent ", "agent_id", "peer_id",
                                      "removed_at"};
    (void)command;
    return answer(call, reply, &s);
}

static enum hub_rc sub_added(struct call *call, const struct command *command, struct slice reply)
{
    static const struct sentence s = {"Subordinate ", " added for master ", "master_id", "sub_id",
                                      "connected_at"};
    (void)command;
    return answer(call, reply, &s);
}

static enum hub_rc sub_removed(struct call *call, const struct command *command, struct slice reply)
{
    static const struct sentence s = {"Subordinate ", " removed for master ", "master_id", "sub_id",
                                      "removed_at"};
    (void)command;
    return answer(call, reply, &s);
}

/* ---- reading ---- */

/* A name may be linked before its agent registers, so an operator finds any; others their own. */
static enum hub_rc may_see(struct call *call, struct store_view *view, struct slice id)
{
    struct asker asker = asker_of(call->who);
    struct agent agent;
    if (asker.all || slice_equal(id, asker.subject)) {
        return HUB_OK;
    }
    return agent_see(call, view, id, &agent);
}

struct listing {
    struct json_out *o;
    uint64_t n;
};

static bool put_to(void *ctx, const struct link *link)
{
    struct listing *l = ctx;
    json_text(l->o, link->to);
    return ++l->n < LINKS_SHOWN_MAX;
}

static enum store_rc put_links(struct call *call, struct store_view *view, struct listing *l,
                               const char *key, enum link_kind kind, struct slice id)
{
    json_key(l->o, key);
    json_begin(l->o, '[');
    enum store_rc rc = links_each(view, kind, call->who->app, id, put_to, l);
    json_end(l->o, ']');
    return rc;
}

static enum hub_rc show(struct call *call, bool peers)
{
    struct store_view *view;
    struct slice id = call_text(call, "agent_id");
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = may_see(call, view, id);
    if (rc == HUB_OK) {
        struct json_out o = answer_begin(call);
        struct listing l = {.o = &o};
        put_text(&o, "agent_id", id);
        enum store_rc src =
            put_links(call, view, &l, peers ? "peers" : "subs", peers ? LINK_PEER : LINK_SUB, id);
        if (src == STORE_OK && !peers) {
            src = put_links(call, view, &l, "masters", LINK_MASTER, id);
        }
        put_count(&o, "count", l.n);
        put_time(&o, "timestamp", call->now_ms);
        json_end(&o, '}');
        rc = hub_rc_of_store(src);
    }
    store_release(call->io->reader);
    return rc;
}

static enum hub_rc peers_get(struct call *call)
{
    return show(call, true);
}

static enum hub_rc hierarchy_get(struct call *call)
{
    return show(call, false);
}

/* All links of a kind, those of one name together. */
struct grouping {
    struct call *call;
    struct store_view *view;
    struct json_out *o;
    struct slice from; /* whose list is being written */
    bool shown;
    uint64_t agents, links;
};

static bool group_one(void *ctx, const struct link *link)
{
    struct grouping *g = ctx;
    struct asker asker = asker_of(g->call->who);
    struct agent agent;
    if (!slice_equal(link->from, g->from)) {
        if (g->shown) {
            json_end(g->o, ']');
        }
        g->from = link->from;
        g->shown = asker.all || slice_equal(link->from, asker.subject) ||
                   (agent_find(g->view, g->call->who->app, link->from, &agent) == STORE_OK &&
                    agent_visible(g->call, &agent));
        if (g->shown) {
            json_key_slice(g->o, link->from);
            json_begin(g->o, '[');
            g->agents++;
        }
    }
    if (g->shown) {
        json_text(g->o, link->to);
        g->links++;
    }
    return g->links < LINKS_SHOWN_MAX;
}

static enum hub_rc peers_list(struct call *call)
{
    struct store_view *view;
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    struct json_out o = answer_begin(call);
    struct grouping g = {.call = call, .view = view, .o = &o};
    json_key(&o, "connections");
    json_begin(&o, '{');
    enum store_rc src =
        links_each(view, LINK_PEER, call->who->app, slice_of(NULL, 0), group_one, &g);
    if (g.shown) {
        json_end(&o, ']');
    }
    json_end(&o, '}');
    put_count(&o, "total_agents", g.agents);
    put_count(&o, "total_peers", g.links);
    put_time(&o, "timestamp", call->now_ms);
    json_end(&o, '}');
    store_release(call->io->reader);
    return hub_rc_of_store(src);
}

/* ---- the table ---- */

/* clang-format off */
#define NAME {"type":"string","minLength":1,"maxLength":128}
#define PEER_PARAMS SCHEMA({"type":"object","required":["agent_id","peer_id"],"properties":{"agent_id":NAME,"peer_id":NAME}})
#define SUB_PARAMS SCHEMA({"type":"object","required":["master_id","sub_id"],"properties":{"master_id":NAME,"sub_id":NAME}})
#define ONE SCHEMA({"type":"object","required":["agent_id"],"properties":{"agent_id":NAME}})
#define CHANGED(from, to, at) SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},from:{"type":"string"},to:{"type":"string"},at:SHAPE_TIME}})
#define NAMES {"type":"array","items":{"type":"string"}}

static const struct operation rows[] = {
    { .name = "peers.add", .summary = "Let an agent write to a peer; one direction",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/peers/add", 200, STYLE_COORDINATOR, false}},
      .params = PEER_PARAMS, .answer_schema = CHANGED("agent_id", "peer_id", "connected_at"),
      .kind = &command_link, .prepare = peer_add, .answer = peer_added },
    { .name = "peers.remove", .summary = "End it",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/peers/remove", 200, STYLE_COORDINATOR, false}},
      .params = PEER_PARAMS, .answer_schema = CHANGED("agent_id", "peer_id", "removed_at"),
      .kind = &command_link, .prepare = peer_remove, .answer = peer_removed },
    { .name = "peers.list", .summary = "All peers, by agent",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/peers", 200, STYLE_COORDINATOR, false}},
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"connections":{"type":"object","additionalProperties":NAMES},"total_agents":SHAPE_COUNT,"total_peers":SHAPE_COUNT,"timestamp":SHAPE_TIME}}),
      .query = peers_list },
    { .name = "peers.get", .summary = "The peers of one agent",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/peers/{agent_id}", 200, STYLE_COORDINATOR, false}},
      .params = ONE,
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"agent_id":{"type":"string"},"peers":NAMES,"count":SHAPE_COUNT,"timestamp":SHAPE_TIME}}),
      .query = peers_get },
    { .name = "hierarchy.add", .summary = "Put an agent under a master: either may write to the other",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/hierarchy/add", 200, STYLE_COORDINATOR, false}},
      .params = SUB_PARAMS, .answer_schema = CHANGED("master_id", "sub_id", "connected_at"),
      .kind = &command_link, .prepare = sub_add, .answer = sub_added },
    { .name = "hierarchy.remove", .summary = "Take it away from that master",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/hierarchy/remove", 200, STYLE_COORDINATOR, false}},
      .params = SUB_PARAMS, .answer_schema = CHANGED("master_id", "sub_id", "removed_at"),
      .kind = &command_link, .prepare = sub_remove, .answer = sub_removed },
    { .name = "hierarchy.get", .summary = "Masters and subordinates of one agent",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/hierarchy/{agent_id}", 200, STYLE_COORDINATOR, false}},
      .params = ONE,
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"agent_id":{"type":"string"},"subs":NAMES,"masters":NAMES,"count":SHAPE_COUNT,"timestamp":SHAPE_TIME}}),
      .query = hierarchy_get },
};
/* clang-format on */

const struct operation_table peer_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
