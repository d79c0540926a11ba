/* Agents, from the request to the answer: what callers of the coordinator rely on. */
#include "channels/name.h"
#include "tests/unit/people_fixture.h"

static void bee_registers(const char *id, const char *rest)
{
    struct buf body = {0};
    buf_printf(&body, "{\"agent_id\":\"%s\",\"agent_type\":\"worker\"%s}", id, rest);
    buf_add(&body, "", 1);
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/register", (const char *)body.p),
                     HUB_OK);
    buf_done(&body);
}

static void a_registered_agent_is_shown_as_it_said(void **state)
{
    (void)state;
    bee_registers("b1", ",\"capabilities\":[\"fly\",\"dance\",\"fly\"],\"metadata\":{\"n\":[1]},"
                        "\"endpoints\":{\"http\":\"http://b1\"},\"load_metrics\":{\"cpu\":0.5}");
    assert_string_equal(text(t.f, "message"), "Agent b1 registered successfully");
    assert_string_equal(text(t.f, "status"), "success");
    assert_int_equal(json_integer_value(member(t.f, "session")), 1);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/api/v1/agents/b1", NULL), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "agent/capabilities")), 2);
    assert_string_equal(text(t.f, "agent/endpoints/http"), "http://b1");
    assert_int_equal(json_integer_value(member(t.f, "agent/metadata/n/0")), 1);
    assert_float_equal(json_number_value(member(t.f, "agent/health_score")), 0.9, 1e-9);
    assert_string_equal(text(t.f, "agent/owner"), "bee");
}

static void words_that_are_no_type_or_status_get_their_sentence(void **state)
{
    (void)state;
    bee_registers("b1", "");
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/register",
                             "{\"agent_id\":\"x\",\"agent_type\":\"drone\"}"),
                     HUB_INVALID);
    assert_string_equal(message(t.f), "'drone' is not a valid AgentType");
    assert_int_equal(t.f->detail.n, 0); /* detail is a string here, not a list */
    assert_int_equal(request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", "{\"status\":\"lazy\"}"),
                     HUB_INVALID);
    assert_string_equal(message(t.f), "'lazy' is not a valid AgentStatus");
    assert_int_equal(t.f->detail.n, 0);
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/register", "{}"), HUB_INVALID);
    assert_true(t.f->detail.n > 0);
    assert_int_equal(
        request(t.f, t.bee, METHOD_POST, "/agents/discover", "{\"agent_type\":\"drone\"}"), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "agents")), 0);
}

static void fields_past_their_bounds_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *field, *json;
    } wrong[] = {{"endpoints", "{\"a\":1}"},
                 {"slots", "-1"},
                 {"load_metrics", "{\"a\":\"b\"}"},
                 {"load_metrics", "{\"a-name-of-a-metric-that-is-too-long\":1}"},
                 {"capabilities", "[\"\"]"},
                 {"public_key", "\"AAAA\""}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct buf body = {0};
        buf_printf(&body, "{\"agent_id\":\"x\",\"agent_type\":\"worker\",\"%s\":%s}",
                   wrong[i].field, wrong[i].json);
        buf_add(&body, "", 1);
        assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/register", (const char *)body.p),
                         HUB_INVALID);
        buf_add(&t.f->detail, "", 1);
        assert_non_null(strstr((const char *)t.f->detail.p, wrong[i].field));
        buf_done(&body);
    }
    /* 128 characters, but more bytes. */
    struct buf body = {0};
    buf_add_str(&body, "{\"agent_type\":\"worker\",\"agent_id\":\"");
    for (int i = 0; i < 100; i++) {
        buf_add_str(&body, "\xc3\xa9");
    }
    buf_add_str(&body, "\"}");
    buf_add(&body, "", 1);
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/register", (const char *)body.p),
                     HUB_INVALID);
    buf_done(&body);
}

static void an_agent_of_another_is_not_found(void **state)
{
    (void)state;
    bee_registers("b1", "");
    static const struct {
        enum method method;
        const char *path, *body;
    } asks[] = {{METHOD_GET, "/agents/b1", NULL},
                {METHOD_DELETE, "/agents/b1", NULL},
                {METHOD_PUT, "/agents/b1/status", "{\"status\":\"busy\"}"},
                {METHOD_POST, "/agents/b1/heartbeat", NULL}};
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        assert_int_equal(request(t.f, t.other, asks[i].method, asks[i].path, asks[i].body),
                         HUB_NOT_FOUND);
        assert_string_equal(message(t.f), "Agent b1 not found");
    }
    assert_int_equal(request(t.f, t.other, METHOD_GET, "/agents", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 0);
    assert_int_equal(request(t.f, t.other, METHOD_POST, "/agents/discover", "{}"), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 0);
    assert_int_equal(request(t.f, t.other, METHOD_POST, "/agents/register",
                             "{\"agent_id\":\"b1\",\"agent_type\":\"worker\"}"),
                     HUB_CONFLICT);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    assert_int_equal(request(t.f, t.viewer, METHOD_GET, "/agents/b1", NULL), HUB_NOT_FOUND);
    struct principal *looks = person(ROLE_VIEWER, "bee");
    assert_int_equal(request(t.f, looks, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    principal_unref(looks);
    assert_int_equal(request(t.f, t.viewer, METHOD_POST, "/agents/b1/heartbeat", NULL),
                     HUB_FORBIDDEN);
}

static void a_heartbeat_moves_the_pulse_and_merges_the_load(void **state)
{
    (void)state;
    bee_registers("b1", ",\"load_metrics\":{\"cpu\":0.5,\"queue\":3}");
    t.f->now_ms += 5000;
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat",
                             "{\"load_metrics\":{\"cpu\":0.25}}"),
                     HUB_OK);
    assert_string_equal(text(t.f, "heartbeat_at"), "2026-11-20T17:34:26.000Z");
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent/last_heartbeat"), "2026-11-20T17:34:26.000Z");
    assert_float_equal(json_number_value(member(t.f, "agent/load_metrics/cpu")), 0.25, 0);
    assert_float_equal(json_number_value(member(t.f, "agent/load_metrics/queue")), 3, 0);
}

static void a_beat_counts_when_it_is_answered(void **state)
{
    (void)state;
    bee_registers("b1", "");
    for (int i = 1; i <= 3; i++) {
        t.f->now_ms += 100;
        assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
        struct pulse pulse;
        assert_true(pulse_get(t.f->hub.pulses, 1, &pulse));
        assert_true(pulse.beats == (uint64_t)i && pulse.seen_ms == t.f->now_ms);
    }
}

static enum hub_rc beats(const struct principal *who)
{
    return call_method(t.f, who, "agents.heartbeat", "{\"agent_id\":\"b1\"}");
}

/* A socket remembers whom it beats for, and finds out when that is not so any more. */
static void what_a_socket_remembers_is_what_the_store_says(void **state)
{
    (void)state;
    static const char comes[] = "{\"agent_id\":\"b1\",\"agent_type\":\"worker\"}";
    assert_int_equal(call_method(t.f, t.bee, "agents.register", comes), HUB_OK);
    assert_int_equal(beats(t.bee), HUB_OK);
    assert_int_equal(t.f->memo.number, 1);
    assert_int_equal(
        request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", "{\"status\":\"maintenance\"}"),
        HUB_OK);
    assert_int_equal(beats(t.bee), HUB_OK);
    assert_string_equal(text(t.f, "agent_status"), "maintenance");
    assert_int_equal(
        request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", "{\"status\":\"inactive\"}"), HUB_OK);
    assert_int_equal(beats(t.bee), HUB_OK);
    assert_true(json_is_true(member(t.f, "must_register")));
    assert_int_equal(call_method(t.f, t.bee, "agents.register", comes), HUB_OK);
    assert_int_equal(beats(t.bee), HUB_OK);
    assert_string_equal(text(t.f, "agent_status"), "active");
    assert_int_equal(beats(t.other), HUB_NOT_FOUND);
    assert_int_equal(beats(t.bee), HUB_OK);
    assert_int_equal(request(t.f, t.bee, METHOD_DELETE, "/agents/b1", NULL), HUB_OK);
    assert_int_equal(beats(t.bee), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, t.other, METHOD_POST, "/agents/register", comes), HUB_OK);
    assert_int_equal(t.f->memo.number, 1);
    assert_int_equal(beats(t.bee), HUB_NOT_FOUND); /* it is another's now */
}

static void the_fast_lane_answers_as_the_ordinary_way_does(void **state)
{
    (void)state;
    bee_registers("b1", "");
    bee_registers("bee", "");
    static const struct {
        const char *params;
        enum hub_rc rc;
    } calls[] = {
        {"{\"agent_id\":\"b1\"}", HUB_OK},
        {"{\"load_metrics\":{\"cpu\":1e-1,\"m\":2},\"agent_id\":\"b1\",\"more\":[]}", HUB_OK},
        {"{\"agent_id\":\"\\u00621\",\"load_metrics\":null}", HUB_OK}, /* escapes: ordinary */
        {"{}", HUB_OK},                                                /* the caller itself */
        {"", HUB_OK},
        {"{\"agent_id\":\"none\"}", HUB_NOT_FOUND},
        {"{\"agent_id\":\"\"}", HUB_INVALID},
        {"{\"agent_id\":7}", HUB_INVALID},
        {"{\"agent_id\":\"b1\",\"load_metrics\":[1]}", HUB_INVALID},
        {"{\"agent_id\":\"b1\",\"load_metrics\":{\"cpu\":\"x\"}}", HUB_INVALID},
        {"{\"agent_id\":\"b1\",\"agent_id\":\"b1\"}", HUB_INVALID},
        {"[]", HUB_INVALID},
    };
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        assert_int_equal(call_method(t.f, t.bee, "agents.heartbeat", calls[i].params), calls[i].rc);
        if (calls[i].rc == HUB_OK) {
            assert_string_equal(text(t.f, "agent_status"), "active");
        }
    }
}

static void more_metrics_than_there_is_room_for_are_refused(void **state)
{
    (void)state;
    bee_registers("b1", ",\"load_metrics\":{\"cpu\":0.5}");
    struct buf params = {0};
    buf_add_str(&params, "{\"agent_id\":\"b1\",\"load_metrics\":{");
    for (int i = 0; i < AGENT_METRICS_MAX; i++) {
        buf_printf(&params, "%s\"m%d\":%d", i ? "," : "", i, i);
    }
    buf_add_str(&params, "}}");
    buf_add(&params, "", 1);
    assert_int_equal(call_method(t.f, t.bee, "agents.heartbeat", (const char *)params.p),
                     HUB_INVALID);
    buf_done(&params);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    assert_int_equal(json_object_size(member(t.f, "agent/load_metrics")), 1);
}

static void an_inactive_agent_is_told_to_register_again(void **state)
{
    (void)state;
    bee_registers("b1", "");
    /* A second at a time: a hub that runs late does not blame its agents. */
    for (int i = 0; i < 400; i++) {
        t.f->now_ms += 1000;
        fixture_turn(t.f);
    }
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent_status"), "inactive");
    assert_true(json_is_true(member(t.f, "must_register")));
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/registry/stats", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "stats/status_counts/inactive")), 1);
    assert_true(json_is_string(member(t.f, "stats/last_cleanup")));
    bee_registers("b1", "");
    assert_int_equal(json_integer_value(member(t.f, "session")), 2);
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent_status"), "active");
}

static void expect_status(const char *id, const char *status)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/agents/%s", id);
    fixture_turn(t.f);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, path, NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent/status"), status);
}

/* semantics.md section 1: nobody is silent because the hub was away. */
static void a_start_gives_everybody_the_whole_grace(void **state)
{
    bee_registers("b1", "");
    fixture_close(t.f);
    t.f = fixture_open(*state);
    for (int i = 0; i < 59; i++) {
        t.f->now_ms += 1000;
        fixture_turn(t.f);
    }
    expect_status("b1", "active");
    t.f->now_ms += 1000;
    expect_status("b1", "stale");
}

/* … nor because it ran late: its patience grows with its own lag. */
static void a_hub_that_runs_late_does_not_blame_its_agents(void **state)
{
    (void)state;
    bee_registers("b1", "");
    bee_registers("b2", "");
    for (int i = 0; i < 60; i++) {
        t.f->now_ms += 1000;
        fixture_turn(t.f);
    }
    expect_status("b1", "stale");
    bee_registers("b1", "");
    t.f->now_ms += 60000;
    expect_status("b1", "active");
}

static void says(const char *status)
{
    char body[64];
    (void)snprintf(body, sizeof body, "{\"status\":\"%s\"}", status);
    assert_int_equal(request(t.f, t.boss, METHOD_PUT, "/agents/b1/status", body), HUB_OK);
}

static void beats_after(int64_t ms)
{
    t.f->now_ms += ms;
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
}

static void last_beat_is(const char *clock)
{
    char want[32];
    (void)snprintf(want, sizeof want, "2026-11-20T%s.000Z", clock);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent/last_heartbeat"), want);
}

/* A start is no beat: the newest that is known stays the last, and nobody is blamed for it. */
static void the_last_heartbeat_outlives_the_hub(void **state)
{
    (void)state;
    bee_registers("b1", ",\"load_metrics\":{\"cpu\":0.5}");
    beats_after(3000); /* no change of state, so no row */
    fixture_restart(t.f, false, 2000);
    last_beat_is("17:34:21");
    beats_after(1000);
    says("busy"); /* writes the row, and is a beat itself */
    last_beat_is("17:34:27");
    fixture_restart(t.f, false, 2000);
    last_beat_is("17:34:27");
    t.f->now_ms += 1000;
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat",
                             "{\"load_metrics\":{\"cpu\":0.25}}"),
                     HUB_OK);
    fixture_restart(t.f, true, 0);
    t.f->now_ms += 20000; /* longer than the patience, within the grace of the start */
    fixture_turn(t.f);
    last_beat_is("17:34:30");
    assert_float_equal(json_number_value(member(t.f, "agent/load_metrics/cpu")), 0.25, 0);
    assert_string_equal(text(t.f, "agent/status"), "busy");
    fixture_restart(t.f, true, 3600000);
    last_beat_is("17:34:30");
    assert_float_equal(json_number_value(member(t.f, "agent/health_score")), 0.95, 1e-9);
    for (int s = 0; s < 59; s++) {
        t.f->now_ms += 1000;
        fixture_turn(t.f);
    }
    expect_status("b1", "busy");
    t.f->now_ms += 1000;
    expect_status("b1", "stale"); /* not inactive: its silence began with the start */
    last_beat_is("17:34:30");
}

/* semantics.md section 1: any beat leads back from stale, whoever said that it is. */
static void a_beat_leads_back_from_stale_said_by_hand_to_what_was_said_before(void **state)
{
    (void)state;
    bee_registers("b1", "");
    says("stale");
    expect_status("b1", "stale");
    beats_after(1000);
    expect_status("b1", "active");
    says("maintenance");
    says("stale");
    expect_status("b1", "stale");
    beats_after(1000);
    expect_status("b1", "maintenance");
    beats_after(1000);
    expect_status("b1", "maintenance");
    says("inactive");
    says("stale");
    beats_after(1000);
    expect_status("b1", "active");
}

static void a_draining_agent_that_holds_nothing_is_inactive_until_it_is_resumed(void **state)
{
    (void)state;
    bee_registers("b1", "");
    says("draining");
    assert_string_equal(text(t.f, "new_status"), "draining");
    expect_status("b1", "inactive");
    /* Its session goes on: it is not told to register, which would undo the drain. */
    beats_after(1000);
    assert_string_equal(text(t.f, "agent_status"), "inactive");
    assert_null(member(t.f, "must_register"));
    expect_status("b1", "inactive");
    says("active");
    expect_status("b1", "active");
    beats_after(1000);
    assert_string_equal(text(t.f, "agent_status"), "active");
    says("draining");
    expect_status("b1", "inactive");
    bee_registers("b1", "");
    expect_status("b1", "active");
}

static void a_session_that_is_over_says_no_status(void **state)
{
    (void)state;
    bee_registers("b1", "");
    bee_registers("b1", "");
    assert_int_equal(call_method(t.f, t.bee, "agents.status",
                                 "{\"agent_id\":\"b1\",\"status\":\"inactive\",\"session\":1}"),
                     HUB_CONFLICT);
    expect_status("b1", "active");
    assert_int_equal(call_method(t.f, t.bee, "agents.status",
                                 "{\"agent_id\":\"b1\",\"status\":\"inactive\",\"session\":2}"),
                     HUB_OK);
    expect_status("b1", "inactive");
}

static void a_deregistered_agent_is_gone(void **state)
{
    (void)state;
    bee_registers("b1", ",\"services\":[\"s\"]");
    assert_int_equal(request(t.f, t.bee, METHOD_DELETE, "/agents/b1", NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent_id"), "b1");
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, t.bee, METHOD_DELETE, "/agents/b1", NULL), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/service/s", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 0);
}

static void a_session_that_is_over_takes_no_leave(void **state)
{
    (void)state;
    bee_registers("b1", "");
    bee_registers("b1", "");
    assert_int_equal(
        call_method(t.f, t.bee, "agents.deregister", "{\"agent_id\":\"b1\",\"session\":1}"),
        HUB_CONFLICT);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    assert_int_equal(
        call_method(t.f, t.bee, "agents.deregister", "{\"agent_id\":\"b1\",\"session\":2}"),
        HUB_OK);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_NOT_FOUND);
}

static void the_healthiest_are_found_first(void **state)
{
    (void)state;
    bee_registers("tired", ",\"capabilities\":[\"fly\"],\"load_metrics\":{\"load\":0.9}");
    bee_registers("fresh", ",\"capabilities\":[\"fly\",\"dance\"]");
    bee_registers("mid", ",\"capabilities\":[\"fly\"],\"load_metrics\":{\"load\":0.5}");
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/agents/capability/fly", NULL), HUB_OK);
    assert_string_equal(text(t.f, "capability"), "fly");
    assert_string_equal(text(t.f, "agents/0/agent_id"), "fresh");
    assert_string_equal(text(t.f, "agents/1/agent_id"), "mid");
    assert_string_equal(text(t.f, "agents/2/agent_id"), "tired");
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/agents/discover",
                             "{\"capabilities\":[\"fly\",\"dance\"],\"limit\":null}"),
                     HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 1);
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/agents/discover",
                             "{\"min_health_score\":0.85,\"limit\":1,\"unknown\":{}}"),
                     HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 1);
    assert_int_equal(json_integer_value(member(t.f, "total")), 2);
    assert_int_equal(json_integer_value(member(t.f, "query/limit")), 1);
}

static void pages_of_the_list_meet_each_agent_once(void **state)
{
    (void)state;
    enum { AGENTS = 23 };
    bool seen[AGENTS] = {false};
    for (int i = 0; i < AGENTS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "n%d", i);
        bee_registers(id, "");
    }
    char params[64] = "{\"limit\":5}";
    for (int page = 0; page < 5; page++) {
        assert_int_equal(call_method(t.f, t.boss, "agents.list", params), HUB_OK);
        json_t *agent;
        size_t i;
        json_array_foreach(member(t.f, "agents"), i, agent)
        {
            int n = atoi(json_string_value(json_object_get(agent, "agent_id")) + 1);
            assert_false(seen[n]);
            seen[n] = true;
        }
        assert_int_equal(json_is_null(member(t.f, "next_cursor")), page == 4);
        (void)snprintf(params, sizeof params, "{\"limit\":5,\"cursor\":\"%s\"}",
                       text(t.f, "next_cursor"));
    }
    for (int i = 0; i < AGENTS; i++) {
        assert_true(seen[i]);
    }
    assert_int_equal(call_method(t.f, t.boss, "agents.list", "{\"cursor\":\"24\"}"), HUB_INVALID);
    assert_int_equal(call_method(t.f, t.boss, "agents.list", "{\"cursor\":\"x\"}"), HUB_INVALID);
}

/* All fall silent together, at different moments: by the time of the next page each is less healthy
 * than the last one shown was. And one that is made meanwhile moves none. */
static void pages_of_the_healthiest_meet_each_once_while_they_fall_silent(void **state)
{
    (void)state;
    enum { AGENTS = 23 };
    int seen[AGENTS] = {0}, late = 0;
    for (int i = 0; i < AGENTS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "n%d", i);
        bee_registers(id, ",\"services\":[\"honey\"]");
        t.f->now_ms += 700;
    }
    t.f->now_ms += 5000; /* none is stale yet: that would be another state */
    char params[256] = "{\"service\":\"honey\",\"limit\":5}";
    for (int page = 0; page < 6 && params[0]; page++) {
        assert_int_equal(call_method(t.f, t.boss, "agents.by_service", params), HUB_OK);
        json_t *agent;
        size_t i;
        json_array_foreach(member(t.f, "agents"), i, agent)
        {
            const char *id = json_string_value(json_object_get(agent, "agent_id"));
            late += id[0] == 'l';
            seen[atoi(id + 1)] += id[0] == 'n';
        }
        bool last = json_is_null(member(t.f, "next_cursor"));
        params[0] = '\0';
        if (!last) {
            (void)snprintf(params, sizeof params,
                           "{\"service\":\"honey\",\"limit\":5,\"cursor\":\"%s\"}",
                           text(t.f, "next_cursor"));
        }
        t.f->now_ms += 1000;
        if (page == 0) {
            bee_registers("l0", ",\"services\":[\"honey\"]");
        }
    }
    for (int i = 0; i < AGENTS; i++) {
        assert_int_equal(seen[i], 1);
    }
    assert_true(late <= 1);
    assert_int_equal(params[0], '\0');
}

static void the_same_key_registers_once(void **state)
{
    (void)state;
    static const char body[] = "{\"agent_id\":\"b1\",\"agent_type\":\"worker\"}";
    for (int i = 0; i < 2; i++) {
        assert_int_equal(request_keyed(t.f, t.bee, METHOD_POST, "/agents/register", body, "k1"),
                         HUB_OK);
        assert_int_equal(json_integer_value(member(t.f, "session")), 1);
        assert_int_equal(t.f->replayed, i == 1);
    }
    assert_int_equal(request_keyed(t.f, t.bee, METHOD_POST, "/agents/register",
                                   "{\"agent_id\":\"b2\",\"agent_type\":\"worker\"}", "k1"),
                     HUB_KEY_CONFLICT);
}

static void an_agent_is_bound_to_the_socket_it_registers_over(void **state)
{
    (void)state;
    bee_registers("rest", "");
    assert_null(t.f->at_close);
    assert_int_equal(call_method(t.f, t.bee, "agents.register",
                                 "{\"agent_id\":\"b1\",\"agent_type\":\"worker\"}"),
                     HUB_OK);
    assert_ptr_equal(t.f->at_close, &command_agent_gone);
    assert_ptr_equal(t.f->at_input, &command_agent_beat);
    t.f->now_ms += 2000;
    give(t.f, t.f->at_input, &t.f->at_input_body);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent/last_heartbeat"), "2026-11-20T17:34:23.000Z");
    give(t.f, t.f->at_close, &t.f->at_close_body);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent/status"), "stale");
}

static void an_admin_makes_an_agent_that_comes_with_its_own_token(void **state)
{
    (void)state;
    struct principal *maker = person(ROLE_ADMIN, "maker"), *made = person(ROLE_AGENT, "m1");
    static const char body[] = "{\"agent_id\":\"m1\",\"capabilities\":[\"fly\"],\"ttl_s\":60}";
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/v1/agents", body), HUB_FORBIDDEN);
    assert_int_equal(request_keyed(t.f, maker, METHOD_POST, "/v1/agents", body, "k1"), HUB_OK);
    assert_string_equal(text(t.f, "agent_id"), "m1");
    char token[TOKEN_BYTES_MAX];
    (void)snprintf(token, sizeof token, "%s", text(t.f, "token"));
    assert_int_equal(strncmp(token, "eyJ", 3), 0);
    /* An answer that was lost is the same token again; nobody else is shown it. */
    assert_int_equal(request_keyed(t.f, maker, METHOD_POST, "/v1/agents", body, "k1"), HUB_OK);
    assert_string_equal(text(t.f, "token"), token);
    assert_int_equal(request(t.f, maker, METHOD_POST, "/v1/agents", body), HUB_CONFLICT);
    /* It is there, does nothing yet, and belongs to itself. */
    assert_int_equal(request(t.f, made, METHOD_GET, "/agents/m1", NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent/status"), "inactive");
    assert_string_equal(text(t.f, "agent/owner"), "m1");
    assert_string_equal(text(t.f, "agent/agent_type"), "general");
    assert_int_equal(request(t.f, t.other, METHOD_GET, "/agents/m1", NULL), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, made, METHOD_POST, "/agents/register",
                             "{\"agent_id\":\"m1\",\"agent_type\":\"worker\"}"),
                     HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "session")), 2);
    principal_unref(maker);
    principal_unref(made);
}

static void a_made_agent_has_a_uuid_when_it_has_no_name_and_no_token_past_the_bound(void **state)
{
    (void)state;
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/v1/agents", "{}"), HUB_OK);
    assert_int_equal(strlen(text(t.f, "agent_id")), UUID_CHARS);
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/v1/agents", "{\"ttl_s\":86401}"),
                     HUB_INVALID);
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/v1/agents", "{\"agent_type\":\"drone\"}"),
                     HUB_INVALID);
    assert_string_equal(message(t.f), "'drone' is not a valid AgentType");
}

/* Whatever byte stands in an id, and wherever. */
static void an_id_is_one_segment_of_its_channels_name(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        uint8_t id[3] = {'a', (uint8_t)byte, 'z'};
        bool itself = byte != '=' && byte != '.' && channel_name_valid(slice_of(id + 1, 1));
        struct buf name = {0}, want = {0};
        agent_channel(&name, "agent.", slice_of(id, sizeof id));
        buf_printf(&want, itself ? "agent.a%cz" : "agent.a=%02xz", byte);
        assert_true(slice_equal(buf_slice(&name), buf_slice(&want)));
        assert_true(channel_name_valid(buf_slice(&name)));
        buf_done(&name);
        buf_done(&want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_is_one_segment_of_its_channels_name),
        CLAIM(a_registered_agent_is_shown_as_it_said),
        CLAIM(words_that_are_no_type_or_status_get_their_sentence),
        CLAIM(fields_past_their_bounds_are_named),
        CLAIM(an_agent_of_another_is_not_found),
        CLAIM(a_heartbeat_moves_the_pulse_and_merges_the_load),
        CLAIM(a_beat_counts_when_it_is_answered),
        CLAIM(what_a_socket_remembers_is_what_the_store_says),
        CLAIM(the_fast_lane_answers_as_the_ordinary_way_does),
        CLAIM(more_metrics_than_there_is_room_for_are_refused),
        CLAIM(an_inactive_agent_is_told_to_register_again),
        CLAIM(a_start_gives_everybody_the_whole_grace),
        CLAIM(a_hub_that_runs_late_does_not_blame_its_agents),
        CLAIM(a_beat_leads_back_from_stale_said_by_hand_to_what_was_said_before),
        CLAIM(the_last_heartbeat_outlives_the_hub),
        CLAIM(a_draining_agent_that_holds_nothing_is_inactive_until_it_is_resumed),
        CLAIM(a_session_that_is_over_says_no_status),
        CLAIM(a_deregistered_agent_is_gone),
        CLAIM(a_session_that_is_over_takes_no_leave),
        CLAIM(the_healthiest_are_found_first),
        CLAIM(pages_of_the_list_meet_each_agent_once),
        CLAIM(pages_of_the_healthiest_meet_each_once_while_they_fall_silent),
        CLAIM(the_same_key_registers_once),
        CLAIM(an_agent_is_bound_to_the_socket_it_registers_over),
        CLAIM(an_admin_makes_an_agent_that_comes_with_its_own_token),
        CLAIM(a_made_agent_has_a_uuid_when_it_has_no_name_and_no_token_past_the_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
