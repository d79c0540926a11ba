/* Messages from the request to the last ack: what callers of the coordinator rely on, and how a
 * mailbox behaves when time goes by. */
#include "hub/messages/module.h"
#include "tests/unit/people_fixture.h"

/* ---- words for what the stories do ---- */

static enum hub_rc post(const struct principal *who, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static enum hub_rc post(const struct principal *who, const char *path, const char *format, ...)
{
    char body[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(body, sizeof body, format, args);
    va_end(args);
    return request(t.f, who, METHOD_POST, path, body);
}

/* One of many: it is decided at the next turn, with all before it. */
static void ask(const struct principal *who, const char *path, const char *body)
{
    struct api_match match;
    fixture_begin(t.f, who);
    api_route(t.f->api, METHOD_POST, slice_str(path), slice_str(path), &match);
    struct api_request request = {.match = &match, .body = slice_str(body), .json_body = true};
    assert_int_equal(
        api_request(t.f->api, &t.f->call, &request, (struct return_address){0}, &t.f->rc),
        API_PENDING);
}

static void registers(const struct principal *who, const char *id)
{
    assert_int_equal(
        post(who, "/agents/register", "{\"agent_id\":\"%s\",\"agent_type\":\"worker\"}", id),
        HUB_OK);
}

static enum hub_rc sends(const struct principal *who, const char *to, const char *more)
{
    return post(who, "/messages/send",
                "{\"receiver_id\":\"%s\",\"message_type\":\"direct\",\"payload\":{\"n\":1}%s}", to,
                more);
}

static const char *sent_id(void)
{
    static char id[64];
    (void)snprintf(id, sizeof id, "%s", text(t.f, "message_id"));
    return id;
}

static enum hub_rc answers(const struct principal *who, const char *id, const char *verdict,
                           const char *body)
{
    char path[200];
    (void)snprintf(path, sizeof path, "/messages/%s/%s", id, verdict);
    return request(t.f, who, METHOD_POST, path, body);
}

static const char *state_of(const char *id)
{
    char path[200];
    (void)snprintf(path, sizeof path, "/messages/%s", id);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, path, NULL), HUB_OK);
    return text(t.f, "message/state");
}

/* How many events of that name a channel has; the last one's data lies in f->answer's events. */
static unsigned told(const char *channel, const char *event)
{
    char path[200];
    unsigned n = 0;
    size_t i;
    json_t *one;
    (void)snprintf(path, sizeof path, "/api/v1/channels/%s/history", channel);
    if (request(t.f, t.boss, METHOD_GET, path, NULL) != HUB_OK) {
        return 0;
    }
    json_array_foreach(member(t.f, "events"), i, one)
    {
        n += strcmp(json_string_value(json_object_get(one, "event")), event) == 0;
    }
    return n;
}

static const char *nth_message(const char *channel, unsigned n, const char *field)
{
    char path[200];
    size_t i;
    json_t *one;
    (void)snprintf(path, sizeof path, "/api/v1/channels/%s/history", channel);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, path, NULL), HUB_OK);
    json_array_foreach(member(t.f, "events"), i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "event")), "message") == 0 && n-- == 0) {
            return json_string_value(json_object_get(json_object_get(one, "data"), field));
        }
    }
    return "(none)";
}

static void later(int64_t ms)
{
    t.f->now_ms += ms;
    for (unsigned i = 0; i < 4; i++) { /* what falls due sets off more */
        fixture_turn(t.f);
    }
}

/* Nobody may be found silent while a story lets time go by. */
static void forever(void)
{
    t.f->settings.heartbeat_interval_ms = INT64_C(1) << 30;
    t.f->settings.heartbeat_timeout_ms = INT64_C(1) << 40;
    t.f->settings.beats_per_s_max = 1;
    t.f->settings.suspect_intervals = 1000;
}

/* ---- sending ---- */

static void a_message_is_delivered_and_acknowledged_once(void **state)
{
    (void)state;
    registers(t.bee, "bee");
    assert_int_equal(sends(t.boss, "bee", ",\"correlation_id\":\"c7\""), HUB_OK);
    assert_string_equal(text(t.f, "message"), "Message sent successfully");
    assert_string_equal(text(t.f, "status"), "success");
    assert_string_equal(text(t.f, "receiver_id"), "bee");
    assert_string_equal(text(t.f, "protocol"), "hierarchical");
    assert_string_equal(text(t.f, "state"), "delivered");
    assert_true(json_is_true(member(t.f, "receiver_known")));
    const char *id = sent_id();
    assert_string_equal(nth_message("agent.bee", 0, "message_id"), id);
    assert_string_equal(nth_message("agent.bee", 0, "sender_id"), "agent-coordinator");
    assert_string_equal(nth_message("agent.bee", 0, "correlation_id"), "c7");
    assert_int_equal(answers(t.bee, id, "ack", "{}"), HUB_OK);
    assert_string_equal(text(t.f, "state"), "acked");
    assert_int_equal(answers(t.bee, id, "ack", "{}"), HUB_OK); /* again: no harm */
    assert_int_equal(answers(t.bee, id, "nack", "{}"), HUB_GONE);
    assert_int_equal(told("messages", "accepted"), 1);
    assert_int_equal(told("messages", "delivered"), 1);
    assert_int_equal(told("messages", "acked"), 1);
}

static void what_is_no_word_of_the_contract_gets_its_sentence(void **state)
{
    (void)state;
    static const struct {
        const char *more, *says;
    } wrong[] = {
        {",\"protocol\":\"smoke\"",
         "Invalid protocol: smoke. Valid protocols: hierarchical, peer_to_peer, broadcast"},
        {",\"priority\":\"urgent\"", "Invalid priority: urgent"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(sends(t.boss, "bee", wrong[i].more), HUB_BAD_REQUEST);
        assert_string_equal(message(t.f), wrong[i].says);
    }
    assert_int_equal(post(t.boss, "/messages/send",
                          "{\"receiver_id\":\"b\",\"message_type\":\"gossip\",\"payload\":{}}"),
                     HUB_BAD_REQUEST);
    assert_string_equal(message(t.f), "Invalid message type: gossip");
    assert_int_equal(post(t.boss, "/messages/broadcast",
                          "{\"message_type\":\"direct\",\"payload\":{},\"agent_type\":\"drone\"}"),
                     HUB_BAD_REQUEST);
    static const char *const fields[] = {",\"ttl\":0",       ",\"ttl\":-5",  ",\"ttl\":0.0001",
                                         ",\"ttl\":2592001", ",\"hops\":9",  ",\"ack\":\"some\"",
                                         ",\"cascade\":9",   ",\"hops\":-1", ",\"payload\":[]"};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        assert_int_equal(post(t.boss, "/messages/send",
                              "{\"receiver_id\":\"b\",\"message_type\":\"direct\"%s%s}",
                              strstr(fields[i], "payload") ? "" : ",\"payload\":{}", fields[i]),
                         HUB_INVALID);
        assert_true(t.f->detail.n > 0);
    }
    assert_int_equal(post(t.boss, "/messages/send", "{\"receiver_id\":\"b\"}"), HUB_INVALID);
}

/* All of an answer but the name that was asked for and the message's id. */
static void assert_answered_alike(const char *ids, const char *one, const char *other)
{
    const char *const names[] = {one, other};
    json_t *said[2];
    for (size_t i = 0; i < 2; i++) {
        char more[100];
        (void)snprintf(more, sizeof more, ",\"ttl\":60,\"message_id\":\"%s-%s\"", ids, names[i]);
        assert_int_equal(sends(t.bee, names[i], more), HUB_OK);
        said[i] = json_deep_copy(member(t.f, ""));
        json_object_del(said[i], "receiver_id");
        json_object_del(said[i], "message_id");
    }
    assert_true(json_equal(said[0], said[1]));
    json_decref(said[0]);
    json_decref(said[1]);
}

static void somebody_elses_agent_is_answered_for_as_a_name_that_nobody_has(void **state)
{
    (void)state;
    registers(t.bee, "bee");
    registers(t.other, "fox");
    assert_answered_alike("m", "fox", "ghost");
    assert_string_equal(state_of("m-fox"), "delivered");
    assert_answered_alike("m", "fox", "ghost"); /* again, while it is in hand */
    assert_int_equal(answers(t.other, "m-fox", "ack", "{}"), HUB_OK);
    assert_answered_alike("m", "fox", "ghost");
    later(61000);
    assert_string_equal(state_of("m-ghost"), "expired");
    assert_answered_alike("m", "fox", "ghost");
    assert_string_equal(text(t.f, "state"), "expired");
    assert_int_equal(sends(t.boss, "fox", ""), HUB_OK); /* who sees it is told */
    assert_true(json_is_true(member(t.f, "receiver_known")));
}

static void a_receiver_that_registers_later_finds_its_messages(void **state)
{
    (void)state;
    assert_int_equal(sends(t.boss, "bee", ""), HUB_OK);
    assert_true(json_is_false(member(t.f, "receiver_known")));
    assert_string_equal(text(t.f, "state"), "accepted");
    const char *id = sent_id();
    registers(t.bee, "bee");
    assert_string_equal(state_of(id), "delivered");
    assert_int_equal(told("agent.bee", "message"), 1);
    assert_int_equal(told("messages", "stored"), 1);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/messages/history", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "total")), 1); /* it is theirs now */
    char path[128];
    (void)snprintf(path, sizeof path, "/messages/%s", id);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, path, NULL), HUB_OK);
    assert_int_equal(request(t.f, t.other, METHOD_GET, path, NULL), HUB_NOT_FOUND);
}

static void the_same_id_is_answered_as_before_within_its_window(void **state)
{
    (void)state;
    registers(t.bee, "bee");
    assert_int_equal(sends(t.boss, "bee", ",\"message_id\":\"m-1\",\"ttl\":10"), HUB_OK);
    assert_null(member(t.f, "duplicate"));
    assert_int_equal(answers(t.bee, "m-1", "ack", "{}"), HUB_OK);
    later(119000);
    assert_int_equal(sends(t.boss, "bee", ",\"message_id\":\"m-1\",\"ttl\":10"), HUB_OK);
    assert_true(json_is_true(member(t.f, "duplicate")));
    assert_string_equal(text(t.f, "state"), "acked");
    assert_int_equal(told("agent.bee", "message"), 1);
    assert_int_equal(sends(t.other, "bee", ",\"message_id\":\"m-1\""), HUB_CONFLICT);
    later(1000);
    assert_int_equal(sends(t.boss, "bee", ",\"message_id\":\"m-1\",\"ttl\":10"), HUB_OK);
    assert_null(member(t.f, "duplicate"));
}

static void an_idempotency_key_sends_once(void **state)
{
    (void)state;
    static const char *const body =
        "{\"receiver_id\":\"bee\",\"message_type\":\"direct\",\"payload\":{}}";
    registers(t.bee, "bee");
    assert_int_equal(request_keyed(t.f, t.boss, METHOD_POST, "/messages/send", body, "k"), HUB_OK);
    char first[64];
    (void)snprintf(first, sizeof first, "%s", sent_id());
    assert_int_equal(request_keyed(t.f, t.boss, METHOD_POST, "/messages/send", body, "k"), HUB_OK);
    assert_true(t.f->replayed);
    assert_string_equal(sent_id(), first);
    assert_int_equal(told("agent.bee", "message"), 1);
}

/* ---- who may write to whom ---- */

/* An owner has several agents, and an admin all: where there is only one, none need be named. */
static void who_speaks_for_the_only_recipient_need_not_name_it(void **state)
{
    (void)state;
    registers(t.bee, "bee-2");
    registers(t.bee, "bee-3");
    assert_int_equal(sends(t.boss, "bee-2", ""), HUB_OK);
    char id[64];
    (void)snprintf(id, sizeof id, "%s", sent_id());
    assert_int_equal(answers(t.other, id, "ack", "{}"), HUB_NOT_FOUND);
    assert_int_equal(answers(t.bee, id, "nack", "{\"delay\":0}"), HUB_OK);
    assert_string_equal(text(t.f, "agent_id"), "bee-2");
    assert_int_equal(answers(t.boss, id, "ack", NULL), HUB_OK);
    assert_string_equal(state_of(id), "acked");
    assert_int_equal(answers(t.boss, id, "ack", "{\"agent_id\":\"bee-3\"}"), HUB_INVALID);
    assert_string_equal(message(t.f), "agent_id: bee-3 is no recipient of the message");
    assert_int_equal(
        post(t.bee, "/messages/broadcast", "{\"message_type\":\"broadcast\",\"payload\":{}}"),
        HUB_OK);
    (void)snprintf(id, sizeof id, "%s", sent_id());
    assert_int_equal(answers(t.bee, id, "ack", "{}"), HUB_INVALID);
    assert_string_equal(message(t.f), "agent_id: bee is no recipient of the message");
}

static void an_operator_sends_in_the_name_of_the_hub(void **state)
{
    struct principal *op = person(ROLE_OPERATOR, "op");
    (void)state;
    registers(t.bee, "bee");
    assert_int_equal(post(op, "/messages/send",
                          "{\"receiver_id\":\"bee\",\"message_type\":\"hierarchical\","
                          "\"payload\":{}}"),
                     HUB_OK);
    const char *id = sent_id();
    assert_string_equal(state_of(id), "delivered");
    assert_string_equal(text(t.f, "message/sender_id"), "agent-coordinator");
    assert_int_equal(sends(t.bee, "x", ",\"sender_id\":\"agent-coordinator\""), HUB_NOT_FOUND);
    principal_unref(op);
}

static void an_agent_needs_a_link_except_for_direct_messages(void **state)
{
    (void)state;
    static const char *const peer = "{\"receiver_id\":\"other\",\"message_type\":\"coordination\","
                                    "\"payload\":{},\"protocol\":\"peer_to_peer\"}";
    static const char *const order = "{\"receiver_id\":\"other\",\"message_type\":\"coordination\","
                                     "\"payload\":{}}";
    registers(t.bee, "bee");
    registers(t.other, "other");
    assert_int_equal(post(t.bee, "/messages/send", "%s", peer), HUB_NOT_PEERS);
    assert_int_equal(post(t.bee, "/messages/send", "%s", order), HUB_NOT_PEERS);
    assert_string_equal(hub_error(HUB_NOT_PEERS)->code, "not_peers");
    assert_int_equal(hub_error(HUB_NOT_PEERS)->status, 403);
    assert_int_equal(post(t.boss, "/messages/send", "%s", peer), HUB_OK);
    assert_int_equal(sends(t.bee, "other", ""), HUB_OK);
    assert_string_equal(nth_message("agent.other", 1, "sender_id"), "bee");
}

/* The route of a query needs its parameters apart. */
static enum hub_rc link_call(const struct principal *who, const char *method, const char *params)
{
    return call_method(t.f, who, method, params);
}

static void links_open_the_way_in_their_direction(void **state)
{
    (void)state;
    registers(t.bee, "bee");
    registers(t.other, "other");
    assert_int_equal(link_call(t.bee, "peers.add", "{\"agent_id\":\"bee\",\"peer_id\":\"other\"}"),
                     HUB_FORBIDDEN);
    assert_int_equal(link_call(t.boss, "peers.add", "{\"agent_id\":\"bee\",\"peer_id\":\"other\"}"),
                     HUB_OK);
    assert_string_equal(text(t.f, "message"), "Peer other added for agent bee");
    assert_string_equal(text(t.f, "peer_id"), "other");
    assert_true(json_is_string(member(t.f, "connected_at")));
    assert_int_equal(link_call(t.boss, "peers.add", "{\"agent_id\":\"bee\",\"peer_id\":\"other\"}"),
                     HUB_OK);
    assert_int_equal(sends(t.bee, "other", ",\"protocol\":\"peer_to_peer\""), HUB_OK);
    assert_int_equal(post(t.other, "/messages/send",
                          "{\"receiver_id\":\"bee\",\"message_type\":\"coordination\","
                          "\"payload\":{},\"protocol\":\"peer_to_peer\"}"),
                     HUB_NOT_PEERS);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/peers/bee", NULL), HUB_OK);
    assert_string_equal(text(t.f, "peers/0"), "other");
    assert_int_equal(json_integer_value(member(t.f, "count")), 1);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/peers/other", NULL), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/peers", NULL), HUB_OK);
    assert_string_equal(text(t.f, "connections/bee/0"), "other");
    assert_int_equal(json_integer_value(member(t.f, "total_agents")), 1);
    assert_int_equal(json_integer_value(member(t.f, "total_peers")), 1);
    assert_int_equal(request(t.f, t.other, METHOD_GET, "/peers", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "total_agents")), 0);
    assert_int_equal(
        link_call(t.boss, "peers.remove", "{\"agent_id\":\"bee\",\"peer_id\":\"other\"}"), HUB_OK);
    assert_string_equal(text(t.f, "message"), "Peer other removed for agent bee");
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/peers/bee", NULL), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "peers")), 0);
    assert_int_equal(link_call(t.boss, "peers.add", "{\"agent_id\":\"bee\"}"), HUB_INVALID);
}

static enum hub_rc sends_by(const char *protocol)
{
    return post(t.bee, "/messages/send",
                "{\"receiver_id\":\"wasp\",\"message_type\":\"coordination\",\"payload\":{},"
                "\"protocol\":\"%s\"}",
                protocol);
}

static void a_link_of_one_kind_opens_no_way_of_the_other(void **state)
{
    (void)state;
    registers(t.bee, "bee");
    registers(t.other, "wasp");
    assert_int_equal(link_call(t.boss, "peers.add", "{\"agent_id\":\"bee\",\"peer_id\":\"wasp\"}"),
                     HUB_OK);
    assert_int_equal(sends_by("peer_to_peer"), HUB_OK);
    assert_int_equal(sends_by("hierarchical"), HUB_NOT_PEERS);
    assert_int_equal(
        link_call(t.boss, "peers.remove", "{\"agent_id\":\"bee\",\"peer_id\":\"wasp\"}"), HUB_OK);
    assert_int_equal(
        link_call(t.boss, "hierarchy.add", "{\"master_id\":\"bee\",\"sub_id\":\"wasp\"}"), HUB_OK);
    assert_int_equal(sends_by("peer_to_peer"), HUB_NOT_PEERS);
    assert_int_equal(sends_by("hierarchical"), HUB_OK);
}

static void an_agent_is_no_peer_of_itself(void **state)
{
    (void)state;
    assert_int_equal(link_call(t.boss, "peers.add", "{\"agent_id\":\"a\",\"peer_id\":\"a\"}"),
                     HUB_INVALID);
    assert_string_equal(message(t.f), "an agent is no peer of itself");
}

static void a_cascade_follows_subordinates_as_deep_as_it_says(void **state)
{
    (void)state;
    static const char *const edges[] = {
        "{\"master_id\":\"a\",\"sub_id\":\"b\"}", "{\"master_id\":\"a\",\"sub_id\":\"c\"}",
        "{\"master_id\":\"b\",\"sub_id\":\"d\"}", "{\"master_id\":\"c\",\"sub_id\":\"d\"}",
        "{\"master_id\":\"d\",\"sub_id\":\"e\"}"};
    for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) {
        assert_int_equal(link_call(t.boss, "hierarchy.add", edges[i]), HUB_OK);
    }
    assert_int_equal(link_call(t.boss, "hierarchy.add", "{\"master_id\":\"e\",\"sub_id\":\"a\"}"),
                     HUB_CONFLICT);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/hierarchy/d", NULL), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "masters")), 2);
    assert_string_equal(text(t.f, "subs/0"), "e");
    assert_int_equal(sends(t.boss, "a", ",\"cascade\":2"), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 4); /* a b c d, each once */
    assert_int_equal(sends(t.boss, "a", ",\"cascade\":8"), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 5);
    assert_int_equal(sends(t.boss, "a", ""), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 1);
    /* An agent writes along its edges, up and down. */
    registers(t.bee, "bee");
    assert_int_equal(link_call(t.boss, "hierarchy.add", "{\"master_id\":\"a\",\"sub_id\":\"bee\"}"),
                     HUB_OK);
    assert_int_equal(post(t.bee, "/messages/send",
                          "{\"receiver_id\":\"a\",\"message_type\":\"status_update\","
                          "\"payload\":{}}"),
                     HUB_OK);
    assert_int_equal(post(t.bee, "/messages/send",
                          "{\"receiver_id\":\"b\",\"message_type\":\"status_update\","
                          "\"payload\":{}}"),
                     HUB_NOT_PEERS);
}

static void an_agent_speaks_for_its_own_alone(void **state)
{
    (void)state;
    registers(t.bee, "bee-2");
    registers(t.other, "other-2");
    assert_int_equal(sends(t.bee, "x", ",\"sender_id\":\"bee-2\""), HUB_OK);
    assert_int_equal(sends(t.bee, "x", ",\"sender_id\":\"other-2\""), HUB_NOT_FOUND);
    assert_string_equal(message(t.f), "Agent other-2 not found");
    assert_int_equal(sends(t.boss, "x", ",\"sender_id\":\"other-2\""), HUB_OK);
    assert_int_equal(sends(t.viewer, "x", ""), HUB_FORBIDDEN);
}

static void others_messages_are_not_there(void **state)
{
    (void)state;
    registers(t.bee, "bee");
    assert_int_equal(sends(t.boss, "bee", ""), HUB_OK);
    const char *id = sent_id();
    char path[100];
    (void)snprintf(path, sizeof path, "/messages/%s", id);
    assert_int_equal(request(t.f, t.other, METHOD_GET, path, NULL), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, path, NULL), HUB_OK);
    assert_int_equal(request(t.f, t.viewer, METHOD_GET, path, NULL), HUB_NOT_FOUND);
    assert_int_equal(answers(t.other, id, "ack", "{}"), HUB_NOT_FOUND);
    assert_int_equal(answers(t.other, id, "ack", "{\"agent_id\":\"bee\"}"), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, t.other, METHOD_GET, "/messages/history", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "total")), 0);
    assert_int_equal(
        request(t.f, t.boss, METHOD_GET, "/messages/00000000-0000-7000-8000-000000000001", NULL),
        HUB_NOT_FOUND);
    assert_string_equal(message(t.f), "Message 00000000-0000-7000-8000-000000000001 not found");
}

/* ---- broadcast, history ---- */

static void a_broadcast_goes_to_who_fits_and_counts_their_acks(void **state)
{
    (void)state;
    assert_int_equal(
        post(t.boss, "/messages/broadcast", "{\"message_type\":\"broadcast\",\"payload\":{}}"),
        HUB_OK);
    assert_string_equal(text(t.f, "message"), "No matching agents found");
    assert_int_equal(json_integer_value(member(t.f, "count")), 0);
    registers(t.bee, "bee");
    registers(t.other, "other");
    assert_int_equal(post(t.boss, "/agents/register",
                          "{\"agent_id\":\"m\",\"agent_type\":\"monitor\","
                          "\"capabilities\":[\"see\",\"tell\"]}"),
                     HUB_OK);
    assert_int_equal(post(t.boss, "/messages/broadcast",
                          "{\"message_type\":\"broadcast\",\"payload\":{},"
                          "\"agent_type\":\"worker\"}"),
                     HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 2);
    const char *id = sent_id();
    assert_string_equal(state_of(id), "open");
    assert_int_equal(json_integer_value(member(t.f, "message/progress/delivered")), 2);
    assert_int_equal(answers(t.bee, id, "ack", "{}"), HUB_OK);
    assert_string_equal(state_of(id), "open");
    assert_int_equal(json_integer_value(member(t.f, "message/progress/delivered")), 1);
    assert_int_equal(json_integer_value(member(t.f, "message/progress/acked")), 1);
    assert_int_equal(json_integer_value(member(t.f, "message/progress/total")), 2);
    assert_int_equal(answers(t.other, id, "term", "{}"), HUB_OK);
    assert_string_equal(state_of(id), "settled");
    assert_string_equal(text(t.f, "message/recipients/1/state"), "dead");
    assert_int_equal(post(t.boss, "/messages/broadcast",
                          "{\"message_type\":\"broadcast\",\"payload\":{},"
                          "\"capabilities\":[\"tell\",\"see\"]}"),
                     HUB_OK);
    assert_string_equal(text(t.f, "recipients/0"), "m");
    assert_int_equal(post(t.boss, "/messages/broadcast",
                          "{\"message_type\":\"broadcast\",\"payload\":{},"
                          "\"agent_type\":\"worker\",\"capabilities\":[\"see\"]}"),
                     HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")),
                     0); /* it is both that is asked for */
    /* An agent reaches those of its owner and those it is linked to. */
    assert_int_equal(
        post(t.bee, "/messages/broadcast", "{\"message_type\":\"broadcast\",\"payload\":{}}"),
        HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 0);
    assert_int_equal(link_call(t.boss, "peers.add", "{\"agent_id\":\"bee\",\"peer_id\":\"other\"}"),
                     HUB_OK);
    assert_int_equal(
        post(t.bee, "/messages/broadcast", "{\"message_type\":\"broadcast\",\"payload\":{}}"),
        HUB_OK);
    assert_string_equal(text(t.f, "recipients/0"), "other");
}

static void history_pages_by_sender_by_receiver_and_by_sequence(void **state)
{
    (void)state;
    registers(t.bee, "bee");
    registers(t.other, "other");
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(sends(t.bee, "other", ""), HUB_OK);
        assert_int_equal(sends(t.other, "bee", ""), HUB_OK);
    }
    struct fixture *f = t.f;
    assert_int_equal(link_call(t.boss, "messages.history", "{\"limit\":3,\"offset\":1}"), HUB_OK);
    assert_int_equal(json_integer_value(member(f, "total")), 10);
    assert_int_equal(json_integer_value(member(f, "count")), 3);
    assert_int_equal(json_integer_value(member(f, "messages/0/seq")), 9); /* newest first */
    assert_int_equal(
        link_call(t.boss, "messages.history", "{\"sender_id\":\"bee\",\"receiver_id\":\"bee\"}"),
        HUB_OK);
    assert_int_equal(json_integer_value(member(f, "total")), 5); /* the sender wins */
    assert_string_equal(text(f, "messages/0/sender_id"), "bee");
    assert_int_equal(link_call(t.boss, "messages.history", "{\"receiver_id\":\"bee\"}"), HUB_OK);
    assert_string_equal(text(f, "messages/4/receiver_id"), "bee");
    int64_t since = 0;
    for (unsigned seen = 0; seen < 10; seen += 4) {
        char params[64];
        (void)snprintf(params, sizeof params, "{\"since_seq\":%lld,\"limit\":4}", (long long)since);
        assert_int_equal(link_call(t.boss, "messages.history", params), HUB_OK);
        assert_int_equal(json_integer_value(member(f, "messages/0/seq")), since + 1);
        assert_int_equal(json_integer_value(member(f, "count")), seen < 8 ? 4 : 2);
        since = json_integer_value(member(f, "next_since_seq"));
    }
    assert_int_equal(link_call(t.boss, "messages.history", "{\"limit\":0}"), HUB_INVALID);
}

static void asks_for_history(const struct principal *who, const char *params, uint64_t total,
                             bool exact);

/* What is correlated lies among much that is not. */
static void history_finds_what_carries_a_correlation_id_page_by_page(void **state)
{
    enum { TALKS = 7 };
    (void)state;
    struct fixture *f = t.f;
    registers(t.bee, "bee");
    registers(t.other, "other");
    for (unsigned i = 0; i < TALKS; i++) {
        assert_int_equal(sends(t.bee, "other", ",\"correlation_id\":\"c/1\""), HUB_OK);
        assert_int_equal(sends(t.other, "bee", ",\"correlation_id\":\"c/1\""), HUB_OK);
        assert_int_equal(sends(t.boss, "other", ",\"correlation_id\":\"c/2\""), HUB_OK);
        assert_int_equal(sends(t.boss, "bee", ""), HUB_OK);
    }
    char params[256], cursor[128] = "";
    unsigned seen = 0;
    int64_t before = INT64_MAX;
    do {
        (void)snprintf(params, sizeof params, "{\"correlation_id\":\"c/1\",\"limit\":4%s}", cursor);
        asks_for_history(t.boss, params, 2 * TALKS, true);
        int64_t count = json_integer_value(member(f, "count"));
        for (int64_t i = 0; i < count; i++, seen++) {
            char path[64];
            (void)snprintf(path, sizeof path, "messages/%lld/correlation_id", (long long)i);
            assert_string_equal(text(f, path), "c/1");
            (void)snprintf(path, sizeof path, "messages/%lld/seq", (long long)i);
            int64_t seq = json_integer_value(member(f, path));
            assert_true(seq < before);
            before = seq;
        }
        bool more = json_is_string(member(f, "next_cursor"));
        (void)snprintf(cursor, sizeof cursor, ",\"cursor\":\"%s\"",
                       more ? text(f, "next_cursor") : "");
        cursor[0] = more ? cursor[0] : '\0';
        /* What comes meanwhile does not move the pages. */
        assert_int_equal(sends(t.boss, "bee", ",\"correlation_id\":\"c/3\""), HUB_OK);
    } while (*cursor);
    assert_int_equal(seen, 2 * TALKS);
    asks_for_history(t.boss, "{\"correlation_id\":\"c/1\",\"sender_id\":\"bee\"}", TALKS, true);
    assert_string_equal(text(f, "messages/0/receiver_id"), "other");
    asks_for_history(t.boss, "{\"correlation_id\":\"c/1\",\"receiver_id\":\"bee\"}", TALKS, true);
    assert_string_equal(text(f, "messages/0/sender_id"), "other");
    asks_for_history(t.boss, "{\"correlation_id\":\"c/2\",\"receiver_id\":\"bee\"}", 0, true);
    asks_for_history(t.boss, "{\"correlation_id\":\"c\"}", 0, true);
    /* Those of the boss and the other are not the bee's to see. */
    asks_for_history(t.bee, "{\"correlation_id\":\"c/1\"}", 2 * TALKS, true);
    asks_for_history(t.bee, "{\"correlation_id\":\"c/2\"}", 0, true);
    asks_for_history(t.other, "{\"correlation_id\":\"c/2\"}", TALKS, true);
    assert_int_equal(link_call(t.boss, "messages.history",
                               "{\"correlation_id\":\"c/1\",\"since_seq\":0,\"limit\":3}"),
                     HUB_OK);
    assert_int_equal(json_integer_value(member(f, "messages/2/seq")), 5); /* oldest first */
    assert_int_equal(json_integer_value(member(f, "next_since_seq")), 5);
}

static void asks_for_history(const struct principal *who, const char *params, uint64_t total,
                             bool exact)
{
    assert_int_equal(link_call(who, "messages.history", params), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "total")), total);
    assert_int_equal(json_is_true(member(t.f, "total_exact")), exact);
}

/* Where all is the caller's the total is kept; else the newest 10,000 are looked at. */
static void a_total_is_exact_or_says_that_it_is_not(void **state)
{
    enum { SENT = 10050, LOOKED = 10000 };
    (void)state;
    registers(t.bee, "bee");
    registers(t.other, "other");
    for (unsigned i = 1; i <= SENT; i++) {
        char body[128];
        (void)snprintf(body, sizeof body,
                       "{\"sender_id\":\"boss\",\"receiver_id\":\"%s\",\"message_type\":\"direct\","
                       "\"payload\":{},"
                       "\"ack\":\"none\"}",
                       i % 3 ? "other" : "bee");
        ask(t.boss, "/messages/send", body);
        if (i % 500 == 0 || i == SENT || i == 900) {
            fixture_turn(t.f);
        }
        if (i == 900) {
            asks_for_history(t.bee, "{\"sender_id\":\"boss\"}", i / 3, true);
        }
    }
    asks_for_history(t.boss, "{}", SENT, true);
    asks_for_history(t.boss, "{\"sender_id\":\"boss\",\"offset\":10000}", SENT, true);
    assert_int_equal(json_integer_value(member(t.f, "count")), SENT - 10000);
    asks_for_history(t.boss, "{\"receiver_id\":\"bee\"}", SENT / 3, true);
    asks_for_history(t.bee, "{\"receiver_id\":\"bee\"}", SENT / 3, true);
    asks_for_history(t.bee, "{}", SENT / 3, true);
    asks_for_history(t.bee, "{\"sender_id\":\"boss\"}", SENT / 3 - (SENT - LOOKED) / 3, false);
    asks_for_history(t.bee, "{\"receiver_id\":\"other\"}", 0, true);
}

/* ---- time ---- */

static void without_an_ack_it_comes_again_and_at_last_is_dead(void **state)
{
    (void)state;
    forever();
    registers(t.bee, "bee");
    registers(t.other, "other");
    assert_int_equal(sends(t.other, "bee", ",\"ttl\":3600"), HUB_OK);
    const char *id = sent_id();
    static const int64_t waits[] = {1000, 5000, 30000, 30000};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(told("agent.bee", "message"), i + 1);
        later(29999);
        assert_string_equal(state_of(id), "delivered");
        later(1);
        assert_string_equal(state_of(id), i < 4 ? "stored" : "dead");
        if (i < 4) {
            later(waits[i] - 1);
            assert_string_equal(state_of(id), "stored");
            later(1);
        }
    }
    assert_int_equal(told("agent.bee", "message"), 5);
    assert_int_equal(told("agent.other", "message_dead"), 1);
    assert_int_equal(answers(t.bee, id, "ack", "{}"), HUB_GONE);
    assert_int_equal(told("messages", "dead"), 1);
}

static void past_its_ttl_it_expires_and_the_sender_hears(void **state)
{
    (void)state;
    forever();
    registers(t.other, "other");
    assert_int_equal(sends(t.other, "nobody-yet", ",\"ttl\":60"), HUB_OK);
    const char *id = sent_id();
    later(59999);
    assert_string_equal(state_of(id), "accepted");
    later(1);
    assert_string_equal(state_of(id), "expired");
    assert_int_equal(told("agent.other", "message_expired"), 1);
    registers(t.boss, "nobody-yet");
    assert_int_equal(told("agent.nobody-yet", "message"), 0);
    assert_int_equal(answers(t.boss, id, "ack", "{\"agent_id\":\"nobody-yet\"}"), HUB_GONE);
    /* While it is out, too. */
    registers(t.bee, "bee");
    assert_int_equal(sends(t.other, "bee", ",\"ttl\":10"), HUB_OK);
    id = sent_id();
    later(10000);
    assert_string_equal(state_of(id), "expired");
    assert_int_equal(answers(t.bee, id, "ack", "{}"), HUB_GONE);
    assert_true(strstr(message(t.f), "is expired") != NULL);
}

/* Whatever else waits to be done at that moment: a receiver that comes when the time is over finds
 * nothing. */
static void what_is_past_its_ttl_is_never_delivered(void **state)
{
    (void)state;
    forever();
    registers(t.other, "wasp");
    assert_int_equal(sends(t.other, "bee", ",\"ttl\":10"), HUB_OK);
    const char *id = sent_id();
    t.f->now_ms += 10000;
    registers(t.bee, "bee"); /* before the sweep of that moment */
    later(0);
    assert_int_equal(told("agent.bee", "message"), 0);
    assert_string_equal(state_of(id), "expired");
}

static void nack_progress_and_term_do_what_they_say(void **state)
{
    (void)state;
    forever();
    registers(t.bee, "bee");
    assert_int_equal(sends(t.boss, "bee", ",\"ttl\":3600"), HUB_OK);
    const char *id = sent_id();
    assert_int_equal(answers(t.bee, id, "nack", "{\"delay\":7}"), HUB_OK);
    assert_string_equal(text(t.f, "state"), "stored");
    assert_int_equal(answers(t.bee, id, "nack", "{}"), HUB_CONFLICT);
    later(6999);
    assert_int_equal(told("agent.bee", "message"), 1);
    later(1);
    assert_int_equal(told("agent.bee", "message"), 2);
    later(20000);
    assert_int_equal(answers(t.bee, id, "progress", "{}"), HUB_OK);
    later(29999);
    assert_string_equal(state_of(id), "delivered");
    assert_int_equal(answers(t.bee, id, "term", "{}"), HUB_OK);
    assert_string_equal(text(t.f, "state"), "dead");
    assert_int_equal(answers(t.bee, id, "nack", "{\"delay\":-1}"), HUB_INVALID);
}

static void an_ack_after_the_deadline_still_counts(void **state)
{
    (void)state;
    forever();
    registers(t.bee, "bee");
    assert_int_equal(sends(t.boss, "bee", ""), HUB_OK);
    const char *id = sent_id();
    later(30000);
    assert_string_equal(state_of(id), "stored");
    assert_int_equal(answers(t.bee, id, "ack", "{}"), HUB_OK);
    later(60000);
    assert_int_equal(told("agent.bee", "message"), 1);
}

static void without_ack_it_is_delivered_once_and_done(void **state)
{
    (void)state;
    forever();
    registers(t.bee, "bee");
    assert_int_equal(sends(t.boss, "bee", ",\"ack\":\"none\""), HUB_OK);
    assert_string_equal(text(t.f, "state"), "delivered");
    later(600000);
    assert_int_equal(told("agent.bee", "message"), 1);
    assert_int_equal(told("messages", "expired"), 0);
}

static void priorities_go_first_and_credit_bounds_what_is_out(void **state)
{
    (void)state;
    enum { CREDIT = 256 };
    forever();
    registers(t.bee, "bee");
    for (unsigned i = 0; i < CREDIT; i++) {
        assert_int_equal(sends(t.boss, "bee", ",\"message_id\":null"), HUB_OK);
    }
    char first[64];
    (void)snprintf(first, sizeof first, "%s", nth_message("agent.bee", 0, "message_id"));
    assert_int_equal(sends(t.boss, "bee", ",\"priority\":\"low\",\"message_id\":\"low\""), HUB_OK);
    assert_string_equal(text(t.f, "state"), "stored");
    assert_int_equal(sends(t.boss, "bee", ",\"message_id\":\"normal-1\""), HUB_OK);
    assert_int_equal(sends(t.boss, "bee", ",\"message_id\":\"normal-2\""), HUB_OK);
    assert_int_equal(sends(t.boss, "bee", ",\"priority\":\"Critical\",\"message_id\":\"crit\""),
                     HUB_OK);
    assert_string_equal(text(t.f, "state"), "stored");
    assert_int_equal(answers(t.bee, first, "ack", "{}"), HUB_OK);
    static const char *const order[] = {"crit", "normal-1", "normal-2", "low"};
    for (unsigned i = 0; i < 4; i++) {
        assert_string_equal(state_of(order[i]), "delivered");
        if (i < 3) {
            assert_string_equal(state_of(order[i + 1]), "stored");
        }
        assert_int_equal(answers(t.bee, order[i], "ack", "{}"), HUB_OK);
    }
}

static void a_new_session_gets_again_what_the_old_one_had(void **state)
{
    (void)state;
    forever();
    registers(t.bee, "bee");
    assert_int_equal(sends(t.boss, "bee", ""), HUB_OK);
    registers(t.bee, "bee");
    assert_int_equal(told("agent.bee", "message"), 2);
}

/* ---- the store ---- */

static void reopen(void)
{
    fixture_close(t.f);
    t.f = fixture_open(t.dir);
}

static void a_restart_forgets_neither_messages_nor_deadlines(void **state)
{
    (void)state;
    registers(t.bee, "bee");
    assert_int_equal(sends(t.boss, "bee", ",\"message_id\":\"out\""), HUB_OK);
    assert_int_equal(sends(t.boss, "late", ",\"message_id\":\"waits\",\"ttl\":60"), HUB_OK);
    assert_int_equal(sends(t.boss, "bee", ",\"message_id\":\"done\""), HUB_OK);
    assert_int_equal(answers(t.bee, "done", "ack", "{}"), HUB_OK);
    reopen();
    struct messages_counts counts;
    messages_counts(writer_module(t.f->hub.writer, MODULE_MESSAGES), &counts);
    assert_int_equal(counts.in_flight, 1);
    assert_int_equal(counts.waiting, 1);
    assert_int_equal(counts.mailboxes, 2);
    assert_string_equal(state_of("out"), "delivered");
    later(30000);
    assert_string_equal(state_of("out"), "stored");
    later(30000);
    assert_string_equal(state_of("waits"), "expired");
    assert_int_equal(answers(t.bee, "out", "ack", "{}"), HUB_OK);
    messages_counts(writer_module(t.f->hub.writer, MODULE_MESSAGES), &counts);
    assert_int_equal(counts.in_flight + counts.waiting + counts.mailboxes, 0);
}

static void what_is_settled_and_past_the_bounds_is_forgotten(void **state)
{
    (void)state;
    registers(t.bee, "bee");
    assert_int_equal(
        request(t.f, t.boss, METHOD_PUT, "/api/v1/namespaces/messages", "{\"history_events\":3}"),
        HUB_OK);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal(sends(t.boss, "bee", ",\"correlation_id\":\"c\""), HUB_OK);
        if (i != 1) {
            assert_int_equal(answers(t.bee, sent_id(), "ack", "{}"), HUB_OK);
        }
    }
    /* The second waits for its ack, and all behind it with it. */
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/messages/history", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "total")), 7);
    char id[64];
    (void)snprintf(id, sizeof id, "%s", text(t.f, "messages/6/message_id"));
    assert_int_equal(answers(t.bee, id, "ack", "{}"), HUB_OK);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(sends(t.boss, "bee", ",\"ack\":\"none\""), HUB_OK);
    }
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/messages/history", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "total")), 3);
    struct store_view *view;
    assert_int_equal(store_snapshot(t.f->io.reader, &view), STORE_OK);
    assert_int_equal(store_count(view, TABLE_MESSAGE), 3);
    assert_int_equal(store_count(view, TABLE_DELIVERY), 6);   /* tally and recipient */
    assert_int_equal(store_count(view, TABLE_MAIL_INDEX), 5); /* lists: a, o twice, r, s */
    store_release(t.f->io.reader);
}

static void a_full_mailbox_refuses_and_names_its_owner(void **state)
{
    (void)state;
    struct messages_counts counts;
    for (unsigned i = 0; i < MAILBOX_MESSAGES_MAX; i++) {
        ask(t.boss, "/messages/send",
            "{\"receiver_id\":\"late\",\"message_type\":\"direct\",\"payload\":{}}");
        if (i % 500 == 499) {
            fixture_turn(t.f);
        }
    }
    assert_int_equal(sends(t.boss, "late", ""), HUB_LIMIT);
    assert_string_equal(message(t.f), "the mailbox of late is full");
    messages_counts(writer_module(t.f->hub.writer, MODULE_MESSAGES), &counts);
    assert_int_equal(counts.waiting, MAILBOX_MESSAGES_MAX);
}

static void a_broadcast_is_bounded_by_what_one_commit_may_hold(void **state)
{
    (void)state;
    enum { AGENTS = 1200, BYTES = 60000 };
    struct buf body = {0};
    for (unsigned i = 0; i < AGENTS; i++) {
        char one[100];
        (void)snprintf(one, sizeof one, "{\"agent_id\":\"a%u\",\"agent_type\":\"worker\"}", i);
        ask(t.bee, "/agents/register", one);
        if (i % 500 == 499) {
            fixture_turn(t.f);
        }
    }
    fixture_turn(t.f);
    buf_add_str(&body, "{\"message_type\":\"broadcast\",\"payload\":{\"x\":\"");
    memset(buf_reserve(&body, BYTES), 'x', BYTES);
    body.n += BYTES;
    buf_add_str(&body, "\"}}");
    buf_add(&body, "", 1);
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/messages/broadcast", (const char *)body.p),
                     HUB_TOO_LARGE);
    assert_int_equal(
        post(t.boss, "/messages/broadcast", "{\"message_type\":\"broadcast\",\"payload\":{}}"),
        HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), AGENTS);
    buf_done(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_message_is_delivered_and_acknowledged_once),
        CLAIM(what_is_no_word_of_the_contract_gets_its_sentence),
        CLAIM(somebody_elses_agent_is_answered_for_as_a_name_that_nobody_has),
        CLAIM(a_receiver_that_registers_later_finds_its_messages),
        CLAIM(the_same_id_is_answered_as_before_within_its_window),
        CLAIM(an_idempotency_key_sends_once),
        CLAIM(who_speaks_for_the_only_recipient_need_not_name_it),
        CLAIM(an_operator_sends_in_the_name_of_the_hub),
        CLAIM(an_agent_needs_a_link_except_for_direct_messages),
        CLAIM(links_open_the_way_in_their_direction),
        CLAIM(a_link_of_one_kind_opens_no_way_of_the_other),
        CLAIM(an_agent_is_no_peer_of_itself),
        CLAIM(a_cascade_follows_subordinates_as_deep_as_it_says),
        CLAIM(an_agent_speaks_for_its_own_alone),
        CLAIM(others_messages_are_not_there),
        CLAIM(a_broadcast_goes_to_who_fits_and_counts_their_acks),
        CLAIM(history_pages_by_sender_by_receiver_and_by_sequence),
        CLAIM(history_finds_what_carries_a_correlation_id_page_by_page),
        CLAIM(a_total_is_exact_or_says_that_it_is_not),
        CLAIM(without_an_ack_it_comes_again_and_at_last_is_dead),
        CLAIM(past_its_ttl_it_expires_and_the_sender_hears),
        CLAIM(what_is_past_its_ttl_is_never_delivered),
        CLAIM(nack_progress_and_term_do_what_they_say),
        CLAIM(an_ack_after_the_deadline_still_counts),
        CLAIM(without_ack_it_is_delivered_once_and_done),
        CLAIM(priorities_go_first_and_credit_bounds_what_is_out),
        CLAIM(a_new_session_gets_again_what_the_old_one_had),
        CLAIM(a_restart_forgets_neither_messages_nor_deadlines),
        CLAIM(what_is_settled_and_past_the_bounds_is_forgotten),
        CLAIM(a_broadcast_is_bounded_by_what_one_commit_may_hold),
        CLAIM(a_full_mailbox_refuses_and_names_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
