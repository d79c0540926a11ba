/* Who gets a task: the strategies of the balancer among many agents, from the request to the
 * answer. */
#include "tests/unit/task_fixture.h"

#include <time.h>

enum { MANY = 2000, ASKED = 12, HAS_MARS = 1777 };

static void many_agents_come(const char *strategy)
{
    for (int i = 0; i < MANY; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "a%d", i);
        agent_comes(t.bee, id, i == HAS_MARS ? ",\"region\":\"mars\"" : ",\"region\":\"earth\"");
    }
    char body[64];
    (void)snprintf(body, sizeof body, "{\"strategy\":\"%s\"}", strategy);
    assert_int_equal(request(t.f, t.boss, METHOD_PUT, "/load-balancer/strategy", body), HUB_OK);
}

/* Who got the task; it is done then, so that nobody has more than others. */
static void done_by(const char *wish, char out[64])
{
    submit(wish);
    assert_string_equal(state_of(t.bee, t.task), "leased");
    (void)snprintf(out, 64, "%s", text(t.f, "task/agent_id"));
    assert_int_equal(report(t.bee, "accept", ""), HUB_OK);
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
}

static void a_key_keeps_its_agent_among_thousands(void **state)
{
    (void)state;
    char first[64], again[64];
    many_agents_come("consistent_hash");
    done_by(",\"sticky_key\":\"customer-7\"", first);
    for (int i = 1; i < ASKED; i++) {
        done_by(",\"sticky_key\":\"customer-7\"", again);
        assert_string_equal(again, first);
    }
}

static void the_one_agent_of_a_region_is_found_among_thousands(void **state)
{
    (void)state;
    char who[64];
    many_agents_come("geographic");
    for (int i = 0; i < ASKED; i++) {
        done_by(",\"region\":\"mars\"", who);
        assert_string_equal(who, "a1777");
    }
}

enum { REGIONS = 7, SPREAD = 50, SPREAD_TURNS = 200 };
static const char *const regions[REGIONS] = {
    "eu-west-1", "eu-west-2", "eu-north-1", "us-east-1", "ap.south", "moon", ""};

/* Independently of the balancer: the same, then those configured for the moon, then the alike. */
static int naive_distance(const char *from, const char *to)
{
    if (!*to) {
        return 1000000;
    }
    if (strcmp(from, to) == 0) {
        return 0;
    }
    if (strcmp(from, "mars") == 0 && (strcmp(to, "moon") == 0 || strcmp(to, "ap.south") == 0)) {
        return strcmp(to, "moon") == 0 ? 1 : 2;
    }
    int alike = 0;
    for (; *from && *from == *to; from++, to++) {
        alike += *from == '-' || *from == '.';
    }
    return 999999 - 1000 * alike;
}

struct spread_agent {
    const char *place;
    int slots, held;
};
struct spread_task {
    char id[64], lease[64];
    int agent;
};

static int nearest_free(const struct spread_agent *agents, const char *from)
{
    int nearest = INT32_MAX;
    for (int i = 0; i < SPREAD; i++) {
        int far = naive_distance(from, agents[i].place);
        nearest = agents[i].held < agents[i].slots && far < nearest ? far : nearest;
    }
    return nearest;
}

static void the_nearest_with_a_free_slot_is_who_a_naive_search_finds(void **state)
{
    (void)state;
    struct spread_agent agents[SPREAD];
    struct spread_task held[2 * SPREAD];
    int held_n = 0, slots_n = 0;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int i = 0; i < SPREAD; i++) {
        char id[16], rest[64];
        agents[i] =
            (struct spread_agent){.place = regions[rand() % REGIONS], .slots = 1 + rand() % 2};
        slots_n += agents[i].slots;
        (void)snprintf(id, sizeof id, "a%d", i);
        (void)snprintf(rest, sizeof rest, ",\"slots\":%d%s%s%s", agents[i].slots,
                       *agents[i].place ? ",\"region\":\"" : "", agents[i].place,
                       *agents[i].place ? "\"" : "");
        agent_comes(t.bee, id, rest);
    }
    assert_int_equal(
        request(t.f, t.boss, METHOD_PUT, "/load-balancer/strategy",
                "{\"strategy\":\"geographic\",\"regions\":{\"mars\":[\"moon\",\"ap.south\"]}}"),
        HUB_OK);
    for (int i = 0; i < SPREAD_TURNS; i++) {
        if (held_n && (held_n == slots_n || rand() % 3 == 0)) {
            struct spread_task *done = &held[rand() % held_n];
            (void)snprintf(t.task, sizeof t.task, "%s", done->id);
            (void)snprintf(t.lease, sizeof t.lease, "%s", done->lease);
            assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
            agents[done->agent].held--;
            *done = held[--held_n];
            continue;
        }
        const char *from = rand() % (REGIONS + 1) ? regions[rand() % (REGIONS - 1)] : "mars";
        char wish[64];
        (void)snprintf(wish, sizeof wish, ",\"region\":\"%s\"", from);
        submit(wish);
        accepted();
        assert_string_equal(state_of(t.bee, t.task), "running");
        struct spread_task *got = &held[held_n++];
        got->agent = atoi(text(t.f, "task/agent_id") + 1);
        (void)snprintf(got->id, sizeof got->id, "%s", t.task);
        (void)snprintf(got->lease, sizeof got->lease, "%s", t.lease);
        assert_int_equal(naive_distance(from, agents[got->agent].place),
                         nearest_free(agents, from));
        agents[got->agent].held++;
    }
}

static void the_specialist_is_found_among_thousands(void **state)
{
    (void)state;
    char who[64];
    many_agents_come("capability_based");
    agent_comes(t.bee, "a1777", ",\"capabilities\":[\"paint\"]");
    for (int i = 0; i < MANY; i += i == HAS_MARS - 1 ? 2 : 1) {
        char id[16];
        (void)snprintf(id, sizeof id, "a%d", i);
        agent_comes(t.bee, id, ",\"capabilities\":[\"paint\",\"sing\"]");
    }
    for (int i = 0; i < ASKED; i++) {
        done_by(",\"required_capabilities\":[\"paint\"]", who);
        assert_string_equal(who, "a1777");
    }
}

static void turns_go_round_all_agents(void **state)
{
    (void)state;
    enum { AGENTS = 100 };
    bool had[AGENTS] = {0};
    for (int i = 0; i < AGENTS; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "a%d", i);
        agent_comes(t.bee, id, ",\"slots\":4");
    }
    assert_int_equal(request(t.f, t.boss, METHOD_PUT, "/load-balancer/strategy",
                             "{\"strategy\":\"round_robin\"}"),
                     HUB_OK);
    for (int i = 0; i < AGENTS; i++) {
        char who[64];
        done_by("", who);
        int n = atoi(who + 1);
        assert_true(n >= 0 && n < AGENTS && !had[n]);
        had[n] = true;
    }
}

static void a_key_goes_elsewhere_when_the_preferred_agent_is_full(void **state)
{
    (void)state;
    static const char *const wish = ",\"sticky_key\":\"k\",\"prefer_agents\":[\"b1\"]";
    agent_comes(t.bee, "b1", ",\"slots\":1");
    agent_comes(t.bee, "b2", ",\"slots\":1");
    assert_int_equal(request(t.f, t.boss, METHOD_PUT, "/load-balancer/strategy",
                             "{\"strategy\":\"consistent_hash\"}"),
                     HUB_OK);
    submit(wish);
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b1");
    submit(wish);
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b2");
    submit(wish);
    assert_string_equal(state_of(t.boss, t.task), "queued");
}

static void balancer_counts(int64_t assigned, int64_t succeeded, int64_t failed)
{
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/load-balancer/stats", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "stats/total_assignments")), assigned);
    assert_int_equal(json_integer_value(member(t.f, "stats/successful_assignments")), succeeded);
    assert_int_equal(json_integer_value(member(t.f, "stats/failed_assignments")), failed);
}

/* They begin anew with the hub, all of them: what ends was assigned. */
static void no_more_assignments_end_than_there_were_over_a_start(void **state)
{
    (void)state;
    char held[64], lapsed[64], lease[64];
    agent_comes(t.bee, "b1", ",\"slots\":3");
    submit("");
    accepted();
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    balancer_counts(1, 1, 0);
    submit(",\"lease_seconds\":1,\"requirements\":{\"agents\":[\"b1\"]}");
    accepted();
    (void)snprintf(lapsed, sizeof lapsed, "%s", t.task);
    (void)snprintf(lease, sizeof lease, "%s", t.lease);
    submit("");
    accepted();
    (void)snprintf(held, sizeof held, "%s", t.task);
    assert_int_equal(
        request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", "{\"status\":\"maintenance\"}"),
        HUB_OK);
    wait_ms(1000);
    assert_string_equal(state_of(t.boss, lapsed), "queued");
    balancer_counts(3, 1, 1);
    fixture_restart(t.f, false, 1000);
    balancer_counts(2, 0, 0);
    assert_string_equal(state_of(t.bee, held), "running");
    (void)snprintf(t.task, sizeof t.task, "%s", held);
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    assert_int_equal(post(t.bee, "/tasks/%s/complete {\"lease_id\":\"%s\"}", lapsed, lease),
                     HUB_OK);
    balancer_counts(2, 2, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_key_keeps_its_agent_among_thousands),
        CLAIM(the_one_agent_of_a_region_is_found_among_thousands),
        CLAIM(the_nearest_with_a_free_slot_is_who_a_naive_search_finds),
        CLAIM(the_specialist_is_found_among_thousands),
        CLAIM(turns_go_round_all_agents),
        CLAIM(a_key_goes_elsewhere_when_the_preferred_agent_is_full),
        CLAIM(no_more_assignments_end_than_there_were_over_a_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
