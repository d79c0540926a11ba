/* Networks and the load balancer, over REST. */
#include "tests/unit/swarm_fixture.h"

/* ---- networks ---- */

static void network_of(const char *strategy, char out[64])
{
    ok(call(t.boss, "networks.create",
            "{\"name\":\"n\",\"agents\":[\"a0\",\"a1\"],\"coordination_strategy\":\"%s\"}",
            strategy));
    (void)snprintf(out, 64, "%s", text(t.f, "id"));
}

static void a_network_is_shown_as_it_was_made(void **state)
{
    (void)state;
    char id[64], path[128];
    agent_comes(t.boss, "a0", 4);
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/api/v1/agents/networks",
                             "{\"name\":\"n\",\"agents\":[\"a0\",\"a1\"]}"),
                     HUB_NOT_FOUND);
    assert_string_equal(message(t.f), "Agent a1 not found");
    agent_comes(t.boss, "a1", 4);
    network_of("swirl", id);
    assert_int_equal(strlen(id), 36);
    assert_string_equal(text(t.f, "status"), "active");
    assert_string_equal(text(t.f, "owner_id"), "boss");
    assert_string_equal(text(t.f, "coordination_strategy"), "swirl");
    assert_true(json_is_null(member(t.f, "description")));
    (void)snprintf(path, sizeof path, "/api/v1/agents/networks/%s", id);
    ok(request(t.f, t.boss, METHOD_GET, path, NULL));
    assert_int_equal(json_array_size(member(t.f, "agents")), 2);
    assert_int_equal(request(t.f, t.other, METHOD_GET, path, NULL), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, t.other, METHOD_DELETE, path, NULL), HUB_NOT_FOUND);
    assert_int_equal(request(t.f, t.other, METHOD_POST, "/api/v1/agents/networks",
                             "{\"name\":\"n\",\"agents\":[\"a0\"]}"),
                     HUB_NOT_FOUND);
    ok(request(t.f, t.boss, METHOD_DELETE, path, NULL));
    assert_int_equal(request(t.f, t.boss, METHOD_GET, path, NULL), HUB_NOT_FOUND);
    ok(call(t.boss, "networks.list", "{}"));
    assert_int_equal(json_array_size(member(t.f, "networks")), 0);
}

static void a_network_executes_as_its_strategy_says(void **state)
{
    (void)state;
    static const struct {
        const char *strategy, *output;
    } cases[] = {
        {"round-robin", "[[2],[4],[6],[8],[10]]"},
        {"whatever", "[[2],[4],[6],[8],[10]]"},
        {"parallel", "[2,4,6,8,10]"},
        {"distributed", "[[2],[4],[6],[8],[10]]"},
        {"sequential", "[10]"},
    };
    char id[64], path[160];
    agent_comes(t.boss, "a0", 4);
    agent_comes(t.boss, "a1", 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        network_of(cases[i].strategy, id);
        (void)snprintf(path, sizeof path, "/api/v1/agents/networks/%s/execute", id);
        ok(request(t.f, t.boss, METHOD_POST, path,
                   "{\"task\":{\"items\":[1,2,3,4,5]},\"priority\":\"HIGH\"}"));
        assert_string_equal(text(t.f, "network_id"), id);
        assert_string_equal(text(t.f, "status"), "running");
        assert_true(json_is_null(member(t.f, "results")));
        assert_string_equal(text(t.f, "id"), text(t.f, "execution_id"));
        char *execution = xstrdup(text(t.f, "execution_id"));
        while (work_off(doubles, NULL)) {
        }
        (void)snprintf(path, sizeof path, "/api/v1/agents/networks/%s/executions/%s", id,
                       execution);
        ok(request(t.f, t.boss, METHOD_GET, path, NULL));
        char *got = json_dumps(member(t.f, "results/output"), JSON_COMPACT | JSON_ENCODE_ANY);
        assert_string_equal(got, cases[i].output);
        assert_string_equal(text(t.f, "status"), "completed");
        free(got);
        free(execution);
    }
}

static void status_and_advice_are_computed(void **state)
{
    (void)state;
    char id[64];
    agent_comes(t.boss, "a0", 4);
    agent_comes(t.boss, "a1", 4);
    network_of("broadcast", id);
    ok(call(t.boss, "networks.optimize", "{\"network_id\":\"%s\"}", id));
    assert_int_equal(json_array_size(member(t.f, "recommendations")), 0);
    for (unsigned i = 0; i < 12; i++) {
        ok(call(t.boss, "networks.execute", "{\"network_id\":\"%s\",\"task\":{}}", id));
        work_off(a0_fails, NULL);
    }
    ok(call(t.boss, "networks.status", "{\"network_id\":\"%s\"}", id));
    assert_int_equal(json_integer_value(member(t.f, "total_executions")), 12);
    assert_int_equal(json_integer_value(member(t.f, "active_tasks")), 0);
    assert_int_equal(json_integer_value(member(t.f, "agent_count")), 2);
    assert_true(json_number_value(member(t.f, "performance_metrics/avg_execution_time")) > 0);
    assert_true(json_number_value(member(t.f, "performance_metrics/success_rate")) == 0);
    assert_true(json_number_value(member(t.f, "performance_metrics/throughput")) == 12);
    ok(call(t.boss, "networks.status", "{\"network_id\":\"%s\",\"metrics\":[\"throughput\"]}", id));
    assert_int_equal(json_object_size(member(t.f, "performance_metrics")), 1);
    ok(call(t.boss, "networks.optimize", "{\"network_id\":\"%s\",\"objective\":\"quality\"}", id));
    assert_string_equal(text(t.f, "optimization_type"), "quality");
    assert_string_equal(text(t.f, "recommendations/0/type"), "unreliable_agent");
    assert_string_equal(text(t.f, "recommendations/0/evidence/agent_id"), "a0");
    assert_int_equal(json_integer_value(member(t.f, "recommendations/0/evidence/sample")), 12);
    assert_true(json_number_value(member(t.f, "recommendations/0/evidence/observed")) == 1);
}

static void deleting_a_network_cancels_what_it_executes(void **state)
{
    (void)state;
    char id[64];
    agent_comes(t.boss, "a0", 4);
    agent_comes(t.boss, "a1", 4);
    network_of("parallel", id);
    ok(call(t.boss, "networks.execute", "{\"network_id\":\"%s\",\"task\":{\"items\":[1,2]}}", id));
    ok(call(t.boss, "networks.delete", "{\"network_id\":\"%s\"}", id));
    ok(call(t.boss, "tasks.list", "{\"status\":\"cancelled\"}"));
    assert_true(json_array_size(member(t.f, "tasks")) > 0 || work_off(doubles, NULL) == false);
}

/* ---- the load balancer ---- */

static void the_strategy_is_changed_and_stays(void **state)
{
    (void)state;
    ok(call(t.boss, "load_balancer.stats", "{}"));
    assert_string_equal(text(t.f, "stats/strategy"), "least_connections");
    ok(call(t.boss, "load_balancer.strategy", "{\"strategy\":\"Round_ROBIN\"}"));
    assert_string_equal(text(t.f, "strategy"), "Round_ROBIN");
    assert_string_equal(text(t.f, "status"), "success");
    ok(call(t.boss, "load_balancer.stats", "{}"));
    assert_string_equal(text(t.f, "stats/strategy"), "round_robin");
    assert_int_equal(call(t.boss, "load_balancer.strategy", "{\"strategy\":\"best\"}"),
                     HUB_BAD_REQUEST);
    assert_string_equal(message(t.f), "Invalid strategy: best");
    assert_int_equal(call(t.boss, "load_balancer.strategy", "{}"), HUB_INVALID);
    assert_int_equal(call(t.bee, "load_balancer.strategy", "{\"strategy\":\"random\"}"),
                     HUB_FORBIDDEN);
}

static void what_the_balancer_did_is_counted(void **state)
{
    (void)state;
    agent_comes(t.boss, "a0", 4);
    agent_comes(t.boss, "a1", 2);
    for (unsigned i = 0; i < 6; i++) {
        ok(call(t.boss, "tasks.submit", "{\"task_data\":{}}"));
    }
    while (work_off(a0_fails, NULL)) {
    }
    ok(call(t.boss, "load_balancer.stats", "{}"));
    json_int_t good = json_integer_value(member(t.f, "stats/successful_assignments"));
    json_int_t bad = json_integer_value(member(t.f, "stats/failed_assignments"));
    assert_int_equal(json_integer_value(member(t.f, "stats/total_assignments")), good + bad);
    assert_true(good > 0 && bad > 0);
    assert_int_equal(json_integer_value(member(t.f, "stats/active_agents")), 2);
    assert_true(json_number_value(member(t.f, "stats/agent_weights/a1")) == 2);
    assert_true(json_number_value(member(t.f, "stats/agent_weights/a0")) < 4);
    ok(call(t.other, "load_balancer.stats", "{}"));
    assert_int_equal(json_object_size(member(t.f, "stats/agent_weights")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_network_is_shown_as_it_was_made),
        CLAIM(a_network_executes_as_its_strategy_says),
        CLAIM(status_and_advice_are_computed),
        CLAIM(deleting_a_network_cancels_what_it_executes),
        CLAIM(the_strategy_is_changed_and_stays),
        CLAIM(what_the_balancer_did_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
