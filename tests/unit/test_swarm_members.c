/* Who is in a swarm, over REST: joining, leaving, staying away. */
#include "tests/unit/swarm_fixture.h"

/* ---- members ---- */

static void members_with_one_capability_share_a_swarm(void **state)
{
    (void)state;
    char swarm[2][64], member_ids[2][64];
    agent_comes(t.boss, "a", 1);
    agent_comes(t.boss, "b", 1);
    joins(t.boss, "a", swarm[0], member_ids[0]);
    joins(t.boss, "b", swarm[1], member_ids[1]);
    assert_string_equal(swarm[0], swarm[1]);
    assert_string_not_equal(member_ids[0], member_ids[1]);
    assert_int_equal(strlen(swarm[0]), 22);
    assert_string_equal(text(t.f, "status"), "active");
    ok(call(t.boss, "swarm.join",
            "{\"role\":\"monitor\",\"capability\":\"other\",\"agent_id\":\"a\"}"));
    assert_string_not_equal(text(t.f, "swarm_id"), swarm[0]);
    ok(call(
        t.boss, "swarm.join",
        "{\"role\":\"monitor\",\"capability\":\"third\",\"agent_id\":\"a\",\"swarm_id\":\"%s\"}",
        swarm[0]));
    assert_string_equal(text(t.f, "swarm_id"), swarm[0]);
}

static void joining_twice_with_a_role_is_one_membership(void **state)
{
    (void)state;
    const char *body = "{\"role\":\"load-balancer\",\"capability\":\"gpu\"}";
    ok(request(t.f, t.bee, METHOD_POST, "/swarm/join", body));
    char *first = xstrdup(text(t.f, "member_id"));
    assert_int_equal(t.f->call.status, 0); /* as the route says: 201 */
    ok(request(t.f, t.bee, METHOD_POST, "/v1/swarm/join", body));
    assert_string_equal(text(t.f, "member_id"), first);
    assert_int_equal(t.f->call.status, 200);
    ok(request(t.f, t.bee, METHOD_POST, "/api/v1/swarm/join",
               "{\"role\":\"monitor\",\"capability\":\"gpu\"}"));
    assert_string_not_equal(text(t.f, "member_id"), first);
    free(first);
}

static void a_role_that_is_none_and_a_swarm_that_is_none_are_refused(void **state)
{
    (void)state;
    assert_int_equal(
        request(t.f, t.bee, METHOD_POST, "/swarm/join", "{\"role\":\"king\",\"capability\":\"x\"}"),
        HUB_BAD_REQUEST);
    assert_non_null(strstr(message(t.f), "Invalid role. Must be one of: load-balancer"));
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/swarm/join", "{\"role\":\"monitor\"}"),
                     HUB_INVALID);
    assert_int_equal(
        request(t.f, t.bee, METHOD_POST, "/swarm/join",
                "{\"role\":\"monitor\",\"capability\":\"x\",\"swarm_id\":\"swarm_1\"}"),
        HUB_NOT_FOUND);
    assert_string_equal(message(t.f), "Swarm swarm_1 not found");
}

static void an_agent_that_is_named_must_be_there_and_the_caller_s(void **state)
{
    (void)state;
    agent_comes(t.bee, "a", 1);
    agent_comes(t.bee, "gone", 1);
    ok(call(t.bee, "agents.deregister", "{\"agent_id\":\"gone\"}"));
    struct {
        struct principal *who;
        const char *agent;
    } asks[] = {{t.bee, "nobody"}, {t.bee, "gone"}, {t.other, "a"}, {t.boss, "nobody"}};
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        char sentence[64];
        (void)snprintf(sentence, sizeof sentence, "agent_id: Agent %s not found", asks[i].agent);
        assert_int_equal(call(asks[i].who, "swarm.join",
                              "{\"role\":\"worker\",\"capability\":\"x\",\"agent_id\":\"%s\"}",
                              asks[i].agent),
                         HUB_NOT_FOUND);
        assert_string_equal(message(t.f), sentence);
    }
    /* Whoever asks is there, an agent or not. */
    ok(call(t.other, "swarm.join",
            "{\"role\":\"monitor\",\"capability\":\"x\",\"agent_id\":\"other\"}"));
}

static void leaving_without_a_member_takes_all_of_the_caller_s(void **state)
{
    (void)state;
    ok(call(t.bee, "swarm.join", "{\"role\":\"monitor\",\"capability\":\"x\"}"));
    char *swarm = xstrdup(text(t.f, "swarm_id"));
    ok(call(t.bee, "swarm.join", "{\"role\":\"worker\",\"capability\":\"x\",\"swarm_id\":\"%s\"}",
            swarm));
    ok(call(t.other, "swarm.join", "{\"role\":\"worker\",\"capability\":\"x\",\"swarm_id\":\"%s\"}",
            swarm));
    char path[128];
    (void)snprintf(path, sizeof path, "/swarm/%s/leave", swarm);
    ok(request(t.f, t.bee, METHOD_POST, path, NULL));
    assert_string_equal(text(t.f, "status"), "left");
    assert_int_equal(json_array_size(member(t.f, "members")), 2);
    assert_int_equal(request(t.f, t.bee, METHOD_POST, path, NULL), HUB_NOT_FOUND);
    ok(call(t.other, "swarm.list", "{}"));
    assert_int_equal(json_array_size(member(t.f, "swarms/0/members")), 1);
    ok(call(t.other, "swarm.leave", "{\"swarm_id\":\"%s\"}", swarm));
    ok(call(t.boss, "swarm.list", "{}"));
    assert_int_equal(json_integer_value(member(t.f, "total_count")), 0);
    free(swarm);
}

/* Its owner takes out whom it will; a member only itself. */
static void a_member_takes_nobody_else_out(void **state)
{
    char owners[64], own[64];
    (void)state;
    ok(call(t.bee, "swarm.join", "{\"role\":\"monitor\",\"capability\":\"x\"}"));
    (void)snprintf(owners, sizeof owners, "%s", text(t.f, "member_id"));
    char *swarm = xstrdup(text(t.f, "swarm_id"));
    ok(call(t.other, "swarm.join", "{\"role\":\"worker\",\"capability\":\"x\",\"swarm_id\":\"%s\"}",
            swarm));
    (void)snprintf(own, sizeof own, "%s", text(t.f, "member_id"));
    assert_int_equal(
        call(t.other, "swarm.leave", "{\"swarm_id\":\"%s\",\"member_id\":\"%s\"}", swarm, owners),
        HUB_NOT_FOUND);
    ok(call(t.bee, "swarm.leave", "{\"swarm_id\":\"%s\",\"member_id\":\"%s\"}", swarm, own));
    free(swarm);
}

static void others_do_not_see_a_swarm(void **state)
{
    (void)state;
    ok(call(t.bee, "swarm.join", "{\"role\":\"monitor\",\"capability\":\"x\"}"));
    char *swarm = xstrdup(text(t.f, "swarm_id"));
    ok(call(t.other, "swarm.list", "{}"));
    assert_int_equal(json_integer_value(member(t.f, "total_count")), 0);
    ok(call(t.other, "swarm.status", "{\"swarm_id\":\"%s\"}", swarm));
    assert_int_equal(json_array_size(t.f->answer), 0);
    assert_int_equal(call(t.other, "swarm.leave", "{\"swarm_id\":\"%s\"}", swarm), HUB_NOT_FOUND);
    assert_int_equal(
        call(t.other, "swarm.coordinate", "{\"task_id\":\"t\",\"swarm_id\":\"%s\"}", swarm),
        HUB_NOT_FOUND);
    /* one who has the same capability founds another */
    ok(call(t.other, "swarm.join", "{\"role\":\"monitor\",\"capability\":\"x\"}"));
    assert_string_not_equal(text(t.f, "swarm_id"), swarm);
    ok(call(t.boss, "swarm.list", "{}"));
    assert_int_equal(json_integer_value(member(t.f, "total_count")), 2);
    free(swarm);
}

static void expect_member(const char *status)
{
    fixture_turn(t.f);
    ok(call(t.bee, "swarm.list", "{}"));
    assert_string_equal(text(t.f, "swarms/0/members/0/status"), status);
}

/* Not so who is lost: tests/wire/swarms.test.mjs. */
static void who_is_drained_or_stops_is_the_same_member_when_it_is_back(void **state)
{
    static const char *const ways[] = {"draining", "inactive"};
    (void)state;
    agent_comes(t.bee, "b1", 1);
    ok(call(t.bee, "swarm.join", "{\"role\":\"worker\",\"capability\":\"x\",\"agent_id\":\"b1\"}"));
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        ok(call(t.bee, "agents.status", "{\"agent_id\":\"b1\",\"status\":\"%s\"}", ways[i]));
        expect_member("suspended");
        ok(call(t.bee, "agents.list", "{}"));
        assert_string_equal(text(t.f, "agents/0/status"), "inactive");
        agent_comes(t.bee, "b1", 1);
        expect_member("active");
    }
    ok(call(t.bee, "agents.deregister", "{\"agent_id\":\"b1\"}"));
    ok(call(t.bee, "swarm.list", "{}"));
    assert_int_equal(json_integer_value(member(t.f, "total_count")), 0);
}

static void last_told(const char *swarm, const char *event, const char *reason)
{
    ok(call(t.boss, "channels.history", "{\"channel\":\"swarm.%s\",\"reverse\":true,\"limit\":1}",
            swarm));
    assert_string_equal(text(t.f, "events/0/event"), event);
    assert_string_equal(text(t.f, "events/0/data/reason"), reason);
}

static void away_for(int64_t ms)
{
    t.f->now_ms += ms;
    fixture_turn(t.f);
    fixture_turn(t.f);
}

static void a_seat_is_kept_for_a_day_and_no_longer(void **state)
{
    enum { DAY_MS = 86400000 };
    (void)state;
    agent_comes(t.bee, "b1", 1);
    ok(call(t.bee, "swarm.join", "{\"role\":\"worker\",\"capability\":\"x\",\"agent_id\":\"b1\"}"));
    char swarm[64];
    (void)snprintf(swarm, sizeof swarm, "%s", text(t.f, "swarm_id"));
    ok(call(t.bee, "agents.status", "{\"agent_id\":\"b1\",\"status\":\"inactive\"}"));
    away_for(DAY_MS / 2);
    agent_comes(t.bee, "b1", 1); /* back in time: the day that began then ends nothing */
    ok(call(t.bee, "agents.status", "{\"agent_id\":\"b1\",\"status\":\"draining\"}"));
    fixture_restart(t.f, false, 0);
    away_for(DAY_MS - 1);
    expect_member("suspended");
    away_for(1);
    last_told(swarm, "evicted", "its agent did not come back");
    ok(call(t.bee, "swarm.list", "{}"));
    assert_int_equal(json_integer_value(member(t.f, "total_count")), 0);
    agent_comes(t.bee, "b1", 1);
    ok(call(t.bee, "swarm.list", "{}"));
    assert_int_equal(json_integer_value(member(t.f, "total_count")), 0);
}

static void who_never_comes_has_no_seat_for_good(void **state)
{
    (void)state;
    agent_comes(t.bee, "late", 1);
    ok(call(t.bee, "agents.status", "{\"agent_id\":\"late\",\"status\":\"inactive\"}"));
    ok(call(t.bee, "swarm.join",
            "{\"role\":\"worker\",\"capability\":\"x\",\"agent_id\":\"late\"}"));
    assert_string_equal(text(t.f, "status"), "joining");
    char swarm[64];
    (void)snprintf(swarm, sizeof swarm, "%s", text(t.f, "swarm_id"));
    away_for(86400000);
    last_told(swarm, "evicted", "its agent never came");
}

static void a_member_follows_its_agent(void **state)
{
    (void)state;
    agent_comes(t.bee, "late", 1);
    ok(call(t.bee, "agents.status", "{\"agent_id\":\"late\",\"status\":\"inactive\"}"));
    ok(call(t.bee, "swarm.join",
            "{\"role\":\"worker\",\"capability\":\"x\",\"agent_id\":\"late\"}"));
    assert_string_equal(text(t.f, "status"), "joining");
    agent_comes(t.bee, "late", 1);
    ok(call(t.bee, "swarm.list", "{}"));
    assert_string_equal(text(t.f, "swarms/0/members/0/status"), "active");
    ok(call(t.bee, "agents.status", "{\"agent_id\":\"late\",\"status\":\"stale\"}"));
    ok(call(t.bee, "swarm.list", "{}"));
    assert_string_equal(text(t.f, "swarms/0/members/0/status"), "suspended");
    assert_string_equal(text(t.f, "swarms/0/coordination_status"), "suspended");
    ok(call(t.bee, "agents.status", "{\"agent_id\":\"late\",\"status\":\"active\"}"));
    ok(call(t.bee, "swarm.list", "{\"status\":\"active\"}"));
    assert_string_equal(text(t.f, "swarms/0/members/0/status"), "active");
    ok(call(t.bee, "agents.deregister", "{\"agent_id\":\"late\"}"));
    ok(call(t.bee, "swarm.list", "{}"));
    assert_int_equal(json_integer_value(member(t.f, "total_count")), 0);
}

static void pages_of_the_list_meet_each_swarm_once(void **state)
{
    (void)state;
    enum { SWARMS = 7 };
    char seen[SWARMS][64], cursor[64] = "";
    unsigned n = 0;
    for (unsigned i = 0; i < SWARMS; i++) {
        ok(call(t.bee, "swarm.join", "{\"role\":\"worker\",\"capability\":\"c%u\"}", i));
    }
    do {
        ok(*cursor ? call(t.bee, "swarm.list", "{\"limit\":3,\"cursor\":\"%s\"}", cursor)
                   : call(t.bee, "swarm.list", "{\"limit\":3}"));
        assert_int_equal(json_integer_value(member(t.f, "total_count")), SWARMS);
        for (size_t i = 0; i < json_array_size(member(t.f, "swarms")); i++) {
            char path[64];
            (void)snprintf(path, sizeof path, "swarms/%zu/swarm_id", i);
            (void)snprintf(seen[n++], 64, "%s", text(t.f, path));
        }
        const char *next = json_string_value(member(t.f, "next_cursor"));
        (void)snprintf(cursor, sizeof cursor, "%s", next ? next : "");
    } while (*cursor);
    assert_int_equal(n, SWARMS);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(seen[i], seen[j]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(members_with_one_capability_share_a_swarm),
        CLAIM(joining_twice_with_a_role_is_one_membership),
        CLAIM(a_role_that_is_none_and_a_swarm_that_is_none_are_refused),
        CLAIM(an_agent_that_is_named_must_be_there_and_the_caller_s),
        CLAIM(leaving_without_a_member_takes_all_of_the_caller_s),
        CLAIM(a_member_takes_nobody_else_out),
        CLAIM(others_do_not_see_a_swarm),
        CLAIM(a_member_follows_its_agent),
        CLAIM(who_is_drained_or_stops_is_the_same_member_when_it_is_back),
        CLAIM(a_seat_is_kept_for_a_day_and_no_longer),
        CLAIM(who_never_comes_has_no_seat_for_good),
        CLAIM(pages_of_the_list_meet_each_swarm_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
