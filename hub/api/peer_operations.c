/* Links between agents: peers, and masters with their subordinates (rest-contract.md section 3). */
#include "hub/api/agent_view.h"
#include "hub/api/components.h"
#include "hub/api/pages.h"
#include "hub/api/tables.h"
#include "hub/messages/module.h"

enum { LINKS_DEFAULT = 1000, LINKS_LOOKED_MAX = 100000 };

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
    if (peer && add && slice_equal(change.from, change.to)) {
        return call_fail_field(call, "peer_id", "value_error", "an agent is no peer of itself");
    }
    enum hub_rc rc = call_why(call, &change.why);
    if (rc == HUB_OK) {
        link_change_put(body, &change);
    }
    return rc;
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

/* A cursor of these lists names the last link that was shown: its kind and its place. */
struct listing {
    struct page page;
    enum link_kind kind;
    uint8_t after_kind; /* of the cursor; 0: from the beginning */
    uint8_t after[LINK_PLACE_BYTES];
};

static enum hub_rc listing_open(struct listing *l, struct call *call, const char *kinds)
{
    enum hub_rc rc = page_open(&l->page, call, LINKS_DEFAULT);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = page_after(&l->page);
    if (rc == HUB_OK && l->page.last_n != 0 &&
        (l->page.last_n != 1 + LINK_PLACE_BYTES ||
         !memchr(kinds, l->page.last[0], strlen(kinds)))) {
        rc = page_bad_cursor(call);
    }
    if (rc != HUB_OK) {
        page_close(&l->page);
        return rc;
    }
    l->after_kind = l->page.last_n ? l->page.last[0] : 0;
    memcpy(l->after, l->page.last + 1, sizeof l->after);
    return HUB_OK;
}

static bool listing_takes(struct listing *l, const struct link *link)
{
    uint8_t key[1 + LINK_PLACE_BYTES] = {(uint8_t)l->kind};
    memcpy(key + 1, link->place.p, link->place.n);
    return page_takes_key(&l->page, slice_of(key, sizeof key));
}

static struct slice listing_after(const struct listing *l)
{
    return slice_of(l->after, l->after_kind == l->kind ? sizeof l->after : 0);
}

static bool put_to(void *ctx, const struct link *link)
{
    struct listing *l = ctx;
    if (!listing_takes(l, link)) {
        return false;
    }
    json_text(&l->page.o, link->to);
    return true;
}

static enum store_rc put_links(struct listing *l, const char *key, enum link_kind kind,
                               struct slice id)
{
    struct page *page = &l->page;
    l->kind = kind;
    page_list(page, key);
    enum store_rc rc =
        links_each(page->view, kind, page->call->who->app, id, listing_after(l), put_to, l);
    json_end(&page->o, ']');
    return rc;
}

static enum store_rc put_peers(struct listing *l, struct slice id)
{
    return put_links(l, "peers", LINK_PEER, id);
}

/* Subordinates first, then masters, as one list over two keys. */
static enum store_rc put_hierarchy(struct listing *l, struct slice id)
{
    struct page *page = &l->page;
    enum store_rc rc = STORE_OK;
    if (l->after_kind == LINK_MASTER) {
        page_list(page, "subs");
        json_end(&page->o, ']');
    } else {
        rc = put_links(l, "subs", LINK_SUB, id);
    }
    return rc == STORE_OK ? put_links(l, "masters", LINK_MASTER, id) : rc;
}

static enum hub_rc show(struct call *call, const char *kinds,
                        enum store_rc (*put)(struct listing *l, struct slice id))
{
    struct listing l = {.kind = LINK_PEER};
    struct page *page = &l.page;
    struct slice id = call_text(call, "agent_id");
    enum hub_rc rc = listing_open(&l, call, kinds);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = may_see(call, page->view, id);
    if (rc == HUB_OK) {
        page->o = answer_begin(call);
        put_text(&page->o, "agent_id", id);
        rc = hub_rc_of_store(put(&l, id));
        put_count(&page->o, "count", page->n);
        page_put_next(page);
        put_time(&page->o, "timestamp", call->now_ms);
        json_end(&page->o, '}');
    }
    page_close(page);
    return rc;
}

static enum hub_rc peers_get(struct call *call)
{
    return show(call, "p", put_peers);
}

static enum hub_rc hierarchy_get(struct call *call)
{
    return show(call, "sm", put_hierarchy);
}

/* All links of a kind, those of one name together: a page may end within a name, whose others are
 * then under the same name in the next. */
struct grouping {
    struct listing listing;
    struct buf from; /* whose links these are */
    bool shown, open;
    uint64_t agents, links, looked;
};

static bool is_shown(const struct grouping *g, struct slice name)
{
    const struct page *page = &g->listing.page;
    struct agent agent;
    return page->asker.all || slice_equal(name, page->asker.subject) ||
           (agent_find(page->view, page->call->who->app, name, &agent) == STORE_OK &&
            agent_visible(page->call, &agent));
}

static void group_end(struct grouping *g)
{
    if (g->open) {
        json_end(&g->listing.page.o, ']');
        g->open = false;
    }
}

static void group_put(struct grouping *g, const struct link *link)
{
    struct json_out *o = &g->listing.page.o;
    if (!g->open) {
        json_key_slice(o, link->from);
        json_begin(o, '[');
        g->open = true;
    }
    json_text(o, link->to);
}

/* The totals are of all, whatever page is asked for: so what is not of it is counted. */
static bool group_one(void *ctx, const struct link *link)
{
    struct grouping *g = ctx;
    struct listing *l = &g->listing;
    bool first = !slice_equal(link->from, buf_slice(&g->from));
    if (++g->looked > LINKS_LOOKED_MAX) {
        return false;
    }
    if (first) {
        group_end(g);
        buf_clear(&g->from);
        buf_add_slice(&g->from, link->from);
        g->shown = is_shown(g, link->from);
        g->agents += g->shown;
    }
    if (!g->shown) {
        return true;
    }
    g->links++;
    bool before = l->after_kind && memcmp(link->place.p, l->after, sizeof l->after) <= 0;
    if (!before && listing_takes(l, link)) {
        group_put(g, link);
    }
    return true;
}

static enum hub_rc peers_list(struct call *call)
{
    struct grouping g = {.listing.kind = LINK_PEER};
    struct page *page = &g.listing.page;
    enum hub_rc rc = listing_open(&g.listing, call, "p");
    if (rc != HUB_OK) {
        return rc;
    }
    page->o = answer_begin(call);
    json_key(&page->o, "connections");
    json_begin(&page->o, '{');
    rc = hub_rc_of_store(links_each(page->view, LINK_PEER, call->who->app, slice_of(NULL, 0),
                                    slice_of(NULL, 0), group_one, &g));
    group_end(&g);
    json_end(&page->o, '}');
    put_count(&page->o, "total_agents", g.agents);
    put_count(&page->o, "total_peers", g.links);
    put_count(&page->o, "count", page->n);
    page_put_next(page);
    put_time(&page->o, "timestamp", call->now_ms);
    json_end(&page->o, '}');
    page_close(page);
    buf_done(&g.from);
    return rc;
}

/* ---- the table ---- */

/* clang-format off */
#define NAME {"type":"string","minLength":1,"maxLength":128}
#define PEER_PARAMS SCHEMA({"type":"object","required":["agent_id","peer_id"],"properties":{"agent_id":NAME,"peer_id":NAME}})
#define SUB_PARAMS SCHEMA({"type":"object","required":["master_id","sub_id"],"properties":{"master_id":NAME,"sub_id":NAME}})
#define PEER_END SCHEMA({"type":"object","required":["agent_id","peer_id"],"properties":{"agent_id":NAME,"peer_id":NAME,"reason":SHAPE_REASON}})
#define SUB_END SCHEMA({"type":"object","required":["master_id","sub_id"],"properties":{"master_id":NAME,"sub_id":NAME,"reason":SHAPE_REASON}})
#define ONE SCHEMA({"type":"object","required":["agent_id"],"properties":{"agent_id":NAME,"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}})
#define CHANGED(from, to, at) SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},from:{"type":"string"},to:{"type":"string"},at:SHAPE_TIME}})
#define NAMES {"type":"array","items":{"type":"string"}}

static const struct operation rows[] = {
    { .name = "peers.add", .summary = "Let an agent write to a peer; one direction",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES,
      .routes = {{METHOD_POST, "/peers/add", 200, STYLE_COORDINATOR, false}},
      .params = PEER_PARAMS, .answer_schema = CHANGED("agent_id", "peer_id", "connected_at"),
      .kind = &command_link, .prepare = peer_add, .answer = peer_added },
    { .name = "peers.remove", .summary = "End it",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/peers/remove", 200, STYLE_COORDINATOR, false}},
      .params = PEER_END, .answer_schema = CHANGED("agent_id", "peer_id", "removed_at"),
      .kind = &command_link, .prepare = peer_remove, .answer = peer_removed },
    { .name = "peers.list", .summary = "All peers, by agent",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/peers", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","properties":{"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"connections":{"type":"object","additionalProperties":NAMES},"total_agents":SHAPE_COUNT,"total_peers":SHAPE_COUNT,"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR,"timestamp":SHAPE_TIME}}),
      .query = peers_list },
    { .name = "peers.get", .summary = "The peers of one agent",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/peers/{agent_id}", 200, STYLE_COORDINATOR, false}},
      .params = ONE,
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"agent_id":{"type":"string"},"peers":NAMES,"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR,"timestamp":SHAPE_TIME}}),
      .query = peers_get },
    { .name = "hierarchy.add", .summary = "Put an agent under a master: either may write to the other",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES,
      .routes = {{METHOD_POST, "/hierarchy/add", 200, STYLE_COORDINATOR, false}},
      .params = SUB_PARAMS, .answer_schema = CHANGED("master_id", "sub_id", "connected_at"),
      .kind = &command_link, .prepare = sub_add, .answer = sub_added },
    { .name = "hierarchy.remove", .summary = "Take it away from that master",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/hierarchy/remove", 200, STYLE_COORDINATOR, false}},
      .params = SUB_END, .answer_schema = CHANGED("master_id", "sub_id", "removed_at"),
      .kind = &command_link, .prepare = sub_remove, .answer = sub_removed },
    { .name = "hierarchy.get", .summary = "Masters and subordinates of one agent",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/hierarchy/{agent_id}", 200, STYLE_COORDINATOR, false}},
      .params = ONE,
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"agent_id":{"type":"string"},"subs":NAMES,"masters":NAMES,"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR,"timestamp":SHAPE_TIME}}),
      .query = hierarchy_get },
};
/* clang-format on */

const struct operation_table peer_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
