/* What a swarm does together, and votes on (rest-contract.md section 2, semantics.md section 6). */
#include "tests/unit/swarm_fixture.h"

/* ---- coordinations ---- */

static void nobody_to_coordinate_is_404(void **state)
{
    (void)state;
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/swarm/coordinate", "{\"task_id\":\"t\"}"),
                     HUB_NOT_FOUND);
    assert_string_equal(message(t.f), "No active swarm members found");
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/swarm/coordinate", "{}"), HUB_INVALID);
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/swarm/coordinate",
                             "{\"task_id\":\"t\",\"strategy\":\"hope\"}"),
                     HUB_INVALID);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/swarm/tasks/none/status", NULL),
                     HUB_NOT_FOUND);
    assert_string_equal(message(t.f), "Task none not found");
}

static void map_reduce_keeps_the_order_of_the_input(void **state)
{
    (void)state;
    swarm_of(3);
    ok(request(t.f, t.boss, METHOD_POST, "/swarm/coordinate",
               "{\"task_id\":\"m1\",\"strategy\":\"map-reduce\","
               "\"parameters\":{\"items\":[1,2,3,4,5,6,7],\"unit\":\"mm\"}}"));
    assert_string_equal(text(t.f, "task_id"), "m1");
    assert_string_equal(text(t.f, "coordination_strategy"), "map-reduce");
    assert_string_equal(text(t.f, "status"), "coordinating");
    assert_int_equal(json_array_size(member(t.f, "assigned_members")), 3);
    status_of("m1");
    assert_string_equal(text(t.f, "status"), "running");
    assert_int_equal(json_integer_value(member(t.f, "active_collaborators")), 3);
    assert_true(work_off(doubles, NULL));
    status_of("m1");
    result_is("[2,4,6,8,10,12,14]");
    assert_string_equal(text(t.f, "status"), "completed");
    assert_string_equal(text(t.f, "stop_reason"), "enough");
    assert_int_equal(json_array_size(member(t.f, "shards")), 3);
    assert_string_not_equal(text(t.f, "shards/0/agent_id"), "(none)");
    assert_false(work_off(doubles, NULL));
    /* the same id again is another task's */
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/swarm/coordinate", "{\"task_id\":\"m1\"}"),
                     HUB_CONFLICT);
}

static unsigned held_by(const char *agent)
{
    unsigned n = 0;
    json_t *task;
    size_t i;
    for (unsigned turn = 0; turn < 4; turn++) {
        fixture_turn(t.f);
    }
    ok(call(t.boss, "tasks.list", "{\"status\":\"running\"}"));
    json_array_foreach(member(t.f, "tasks"), i, task)
    {
        n += strcmp(json_string_value(json_object_get(task, "agent_id")), agent) == 0;
        assert_int_equal(json_integer_value(json_object_get(task, "redeliveries")), 0);
        assert_int_equal(json_integer_value(json_object_get(task, "attempts")), 0);
    }
    return n;
}

static json_t *adds_own_name(const char *agent, json_t *data)
{
    const char *before = json_string_value(json_object_get(data, "context"));
    return json_sprintf("%s%s", before ? before : "", agent);
}

/* a0 and a1 of one swarm, its id, and the id of a0's member. */
static void two_share(char swarm[64], char first[64])
{
    char second[64];
    agent_comes(t.boss, "a0", 10);
    agent_comes(t.boss, "a1", 10);
    joins(t.boss, "a0", swarm, first);
    joins(t.boss, "a1", swarm, second);
}

static void who_leaves_hands_back_what_it_holds_or_finishes_it(void **state)
{
    (void)state;
    char swarm[64], first[64];
    two_share(swarm, first);
    ok(call(
        t.boss, "swarm.coordinate",
        "{\"task_id\":\"h1\",\"strategy\":\"map-reduce\",\"parameters\":{\"items\":[1,2,3,4]}}"));
    assert_int_equal(held_by("a0"), 1);
    assert_int_equal(held_by("a1"), 1);
    ok(call(t.boss, "swarm.leave", "{\"swarm_id\":\"%s\",\"member_id\":\"%s\"}", swarm, first));
    assert_int_equal(held_by("a0"), 1); /* it finishes */
    joins(t.boss, "a0", swarm, first);
    ok(call(t.boss, "swarm.leave",
            "{\"swarm_id\":\"%s\",\"member_id\":\"%s\",\"leases\":\"return\"}", swarm, first));
    assert_int_equal(held_by("a0"), 0);
    assert_int_equal(held_by("a1"), 2);
    assert_true(work_off(doubles, NULL));
    status_of("h1");
    result_is("[2,4,6,8]");
}

static void who_has_left_gets_nothing_more(void **state)
{
    (void)state;
    char swarm[64], first[64];
    agent_comes(t.boss, "a0", 1);
    agent_comes(t.boss, "a1", 1);
    joins(t.boss, "a1", swarm, first);
    joins(t.boss, "a0", swarm, first);
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"h3\",\"strategy\":\"map-reduce\",\"parameters\":{\"items\":[1,2,3,4],"
            "\"shards\":4}}"));
    assert_int_equal(held_by("a0"), 1);
    ok(call(t.boss, "swarm.leave", "{\"swarm_id\":\"%s\",\"member_id\":\"%s\"}", swarm, first));
    status_of("h3");
    assert_int_equal(json_integer_value(member(t.f, "active_collaborators")), 1);
    assert_true(work_off(doubles, NULL)); /* it ends what it has in hand, */
    assert_int_equal(held_by("a0"), 0);   /* and there is more, but not for it */
    assert_int_equal(held_by("a1"), 1);
    while (work_off(doubles, NULL)) {
        assert_int_equal(held_by("a0"), 0);
    }
    status_of("h3");
    result_is("[2,4,6,8]");
}

static void what_nobody_is_left_for_ends(void **state)
{
    (void)state;
    char swarm[64], first[64];
    two_share(swarm, first);
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"h4\",\"strategy\":\"pipeline\",\"parameters\":{\"members\":[\"a0\","
            "\"a1\"]}}"));
    assert_int_equal(held_by("a0"), 1);
    ok(call(t.boss, "tasks.queue_pause", "{\"priority\":\"all\"}"));
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"h5\",\"strategy\":\"map-reduce\",\"parameters\":{\"items\":[1,2]}}"));
    ok(call(t.boss, "swarm.leave", "{\"swarm_id\":\"%s\"}", swarm));
    status_of("h5");
    assert_string_equal(text(t.f, "status"), "failed");
    assert_string_equal(text(t.f, "stop_reason"), "parts_failed");
    assert_string_equal(text(t.f, "shards/0/status"), "failed");
    assert_string_equal(text(t.f, "shards/0/error"), "nobody is left who may do it");
    assert_true(work_off(adds_own_name, NULL)); /* the stage that was in hand */
    status_of("h4");
    assert_string_equal(text(t.f, "status"), "failed");
    assert_string_equal(text(t.f, "error"), "no member is left for a stage");
    assert_string_equal(text(t.f, "shards/1/status"), "cancelled");
}

static void a_part_that_only_the_leaver_may_do_ends(void **state)
{
    (void)state;
    char swarm[64], first[64];
    two_share(swarm, first);
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"h2\",\"strategy\":\"broadcast\",\"parameters\":{\"q\":1}}"));
    assert_int_equal(held_by("a0"), 1);
    ok(call(t.boss, "swarm.leave",
            "{\"swarm_id\":\"%s\",\"member_id\":\"%s\",\"leases\":\"return\"}", swarm, first));
    assert_true(work_off(says_own_name, "a0"));
    t.f->now_ms += 20000; /* the grace of the cancel */
    assert_int_equal(held_by("a0"), 0);
    status_of("h2");
    assert_string_equal(text(t.f, "state"), "partial");
}

static void an_old_swarm_is_found_behind_many_younger_ones(void **state)
{
    (void)state;
    char swarm[64], first[64], again[64];
    agent_comes(t.boss, "a0", 1);
    agent_comes(t.boss, "a1", 1);
    joins(t.boss, "a0", swarm, first);
    for (unsigned i = 0; i < 300; i++) {
        ok(call(t.boss, "swarm.join", "{\"role\":\"worker\",\"capability\":\"other-%u\"}", i));
        if (i % 2) {
            ok(call(t.boss, "swarm.leave", "{\"swarm_id\":\"%s\",\"member_id\":\"%s\"}",
                    text(t.f, "swarm_id"), text(t.f, "member_id")));
        }
    }
    joins(t.boss, "a1", again, first);
    assert_string_equal(again, swarm);
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"old\",\"parameters\":{\"capability\":\"c\",\"items\":[1,2]}}"));
    assert_string_equal(text(t.f, "swarm_id"), swarm);
    ok(call(t.boss, "swarm.list", "{\"limit\":1}"));
    assert_int_equal(json_integer_value(member(t.f, "total_count")), 151);
    ok(call(t.boss, "swarm.list", "{\"swarm_id\":\"%s\"}", swarm));
    assert_int_equal(json_integer_value(member(t.f, "swarms/0/member_count")), 2);
}

static void a_word_that_steers_and_cannot_be_read_is_refused(void **state)
{
    static const char *const wrong[] = {
        "\"members\":\"b1\"",
        "\"members\":[1]",
        "\"max_members\":0",
        "\"max_members\":\"2\"",
        "\"capability\":5",
        "\"capability\":\"\"",
        "\"reducer\":\"sort\"",
        "\"shards\":\"3\"",
        "\"require\":\"most\"",
        "\"timeout_seconds\":\"5\"",
        "\"reducer\":\"top-k\",\"k\":-1",
    };
    (void)state;
    swarm_of(1);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (call(t.boss, "swarm.coordinate", "{\"task_id\":\"w1\",\"parameters\":{%s}}",
                 wrong[i]) != HUB_INVALID) {
            fail_msg("%s is not refused", wrong[i]);
        }
        buf_add(&t.f->detail, "", 1);
        assert_non_null(strstr((const char *)t.f->detail.p, "[\"params\",\"parameters\"]"));
    }
    assert_int_equal(call(t.boss, "swarm.coordinate",
                          "{\"task_id\":\"w1\",\"parameters\":{\"members\":null,\"k\":\"mine\"}}"),
                     HUB_OK);
}

static void reducers_and_shards_are_the_caller_s_to_choose(void **state)
{
    (void)state;
    swarm_of(2);
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"m2\",\"parameters\":{\"items\":[1,2,3,4,5],\"shards\":4,"
            "\"reducer\":\"sum\"}}"));
    assert_int_equal(json_integer_value(member(t.f, "parts/total")), 4);
    while (work_off(doubles, NULL)) {
    }
    status_of("m2");
    result_is("30");
    assert_int_equal(call(t.boss, "swarm.coordinate",
                          "{\"task_id\":\"m3\",\"parameters\":{\"reducer\":\"blend\"}}"),
                     HUB_INVALID);
    assert_int_equal(call(t.boss, "swarm.coordinate",
                          "{\"task_id\":\"m3\",\"parameters\":{\"require\":\"most\"}}"),
                     HUB_INVALID);
    assert_int_equal(
        call(t.boss, "swarm.coordinate", "{\"task_id\":\"m3\",\"parameters\":{\"shards\":0}}"),
        HUB_INVALID);
}

static void a_failed_part_makes_it_partial_and_no_part_failed(void **state)
{
    (void)state;
    swarm_of(3);
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"b1\",\"strategy\":\"broadcast\",\"parameters\":{\"ask\":\"name\"}}"));
    work_off(a0_fails, NULL);
    status_of("b1");
    assert_string_equal(text(t.f, "state"), "partial");
    assert_true(json_is_true(member(t.f, "partial")));
    assert_int_equal(json_integer_value(member(t.f, "parts/failed")), 1);
    assert_int_equal(json_array_size(member(t.f, "result")), 2);
    ok(call(
        t.boss, "swarm.coordinate",
        "{\"task_id\":\"b2\",\"strategy\":\"broadcast\",\"parameters\":{\"members\":[\"a0\"]}}"));
    work_off(a0_fails, NULL);
    status_of("b2");
    assert_string_equal(text(t.f, "status"), "failed");
    assert_string_equal(text(t.f, "stop_reason"), "parts_failed");
    assert_string_equal(text(t.f, "shards/0/status"), "failed");
    assert_int_equal(json_integer_value(member(t.f, "shards/0/attempt")), 1);
}

static void a_race_has_one_winner_and_the_others_are_cancelled(void **state)
{
    (void)state;
    swarm_of(4);
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"r1\",\"strategy\":\"race\"}"));
    work_off(a0_fails, NULL);
    status_of("r1");
    assert_string_equal(text(t.f, "state"), "completed");
    assert_int_equal(json_integer_value(member(t.f, "parts/done")), 1);
    /* Who lost a race has not failed. */
    assert_string_equal(text(t.f, "shards/3/status"), "done");
    assert_string_equal(text(t.f, "shards/2/status"), "cancelled");
    ok(call(t.boss, "tasks.stats", "{}"));
    assert_int_equal(json_integer_value(member(t.f, "stats/tasks_completed")), 1);
}

static void a_pipeline_hands_each_result_on(void **state)
{
    (void)state;
    swarm_of(3);
    ok(call(
        t.boss, "swarm.coordinate",
        "{\"task_id\":\"p1\",\"strategy\":\"pipeline\",\"parameters\":{\"members\":[\"a0\",\"a1\","
        "\"a2\"]}}"));
    unsigned steps = 0;
    while (work_off(adds_own_name, NULL)) {
        steps++;
    }
    assert_int_equal(steps, 3);
    status_of("p1");
    result_is("\"a0a1a2\"");
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"p2\",\"strategy\":\"pipeline\",\"parameters\":{\"members\":[\"a0\","
            "\"a1\"]}}"));
    work_off(a0_fails, NULL);
    status_of("p2");
    assert_string_equal(text(t.f, "status"), "failed");
    assert_string_equal(text(t.f, "error"), "a stage failed");
}

/* By what they can, whether they are there, and how much they have to do. */
static void work_goes_to_members_that_can_and_have_least_to_do(void **state)
{
    (void)state;
    swarm_of(4);
    ok(call(t.boss, "agents.register",
            "{\"agent_id\":\"x0\",\"agent_type\":\"worker\",\"capabilities\":[\"other\"]}"));
    ok(call(t.boss, "swarm.list", "{}"));
    char *swarm = xstrdup(text(t.f, "swarms/0/swarm_id"));
    ok(call(
        t.boss, "swarm.join",
        "{\"role\":\"worker\",\"capability\":\"other\",\"agent_id\":\"x0\",\"swarm_id\":\"%s\"}",
        swarm));
    ok(call(t.boss, "agents.status", "{\"agent_id\":\"a3\",\"status\":\"inactive\"}"));
    ok(call(
        t.boss, "swarm.coordinate",
        "{\"task_id\":\"m1\",\"strategy\":\"broadcast\",\"parameters\":{\"capability\":\"c\"}}"));
    assert_int_equal(json_array_size(member(t.f, "assigned_members")), 3);
    while (work_off(says_own_name, NULL)) {
    }
    status_of("m1");
    result_is("[\"a0\",\"a1\",\"a2\"]");
    other_work_for("a0");
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"m2\",\"strategy\":\"broadcast\",\"parameters\":{\"capability\":\"c\","
            "\"max_members\":2}}"));
    while (work_off(says_own_name, "a0")) {
    }
    status_of("m2");
    result_is("[\"a1\",\"a2\"]");
    free(swarm);
}

static json_t *votes_for_a1(const char *agent, json_t *data)
{
    (void)data;
    return json_string(strcmp(agent, "a3") == 0 ? "a2" : "a1");
}

static json_t *votes_for_first_candidate(const char *agent, json_t *data)
{
    (void)agent;
    return json_incref(json_array_get(json_object_get(data, "candidates"), 0));
}

static void votes_are_counted_and_an_elected_member_leads(void **state)
{
    (void)state;
    swarm_of(4);
    ok(request(t.f, t.boss, METHOD_POST, "/swarm/coordinate",
               "{\"task\":\"who?\",\"collaborators\":4,\"strategy\":\"consensus\","
               "\"timeout_seconds\":60}"));
    assert_int_equal(t.f->call.status, 202);
    assert_string_equal(text(t.f, "task"), "who?");
    assert_int_equal(json_integer_value(member(t.f, "collaborators")), 4);
    assert_true(json_number_value(member(t.f, "timeout_seconds")) == 60);
    char *id = xstrdup(text(t.f, "task_id"));
    assert_int_equal(strlen(id), 21);
    assert_memory_equal(id, "task_", 5);
    work_off(votes_for_a1, NULL);
    status_of(id);
    result_is(
        "{\"confidence\":0.75,\"tied\":false,\"votes\":{\"a1\":3,\"a2\":1},\"winner\":\"a1\"}");
    free(id);
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"e1\",\"strategy\":\"leader-election\"}"));
    work_off(votes_for_a1, NULL);
    ok(call(t.boss, "swarm.list", "{}"));
    char *a1 = NULL;
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "swarms/0/members/%zu/agent_id", i);
        if (strcmp(text(t.f, path), "a1") == 0) {
            (void)snprintf(path, sizeof path, "swarms/0/members/%zu/member_id", i);
            a1 = xstrdup(text(t.f, path));
        }
    }
    ok(call(t.boss, "swarm.status", "{}"));
    assert_string_equal(text(t.f, "0/leader"), a1);
    /* Who has left leads nobody, and cannot be elected. */
    ok(call(t.boss, "swarm.leave", "{\"swarm_id\":\"%s\",\"member_id\":\"%s\"}",
            text(t.f, "0/swarm_id"), a1));
    ok(call(t.boss, "swarm.status", "{}"));
    assert_true(json_is_null(member(t.f, "0/leader")));
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"e2\",\"strategy\":\"leader-election\"}"));
    work_off(votes_for_a1, NULL);
    status_of("e2");
    assert_string_equal(text(t.f, "status"), "failed");
    assert_string_equal(text(t.f, "error"), "whom most named is no member");
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"e3\",\"strategy\":\"leader-election\"}"));
    work_off(votes_for_first_candidate, NULL);
    status_of("e3");
    assert_string_equal(text(t.f, "status"), "completed");
    free(a1);
}

static json_t *merges(const char *agent, json_t *data)
{
    json_t *results = json_object_get(data, "results");
    return results ? json_pack("{s:s, s:i}", "by", agent, "of", (int)json_array_size(results))
                   : json_string(agent);
}

static void the_head_of_a_hierarchy_merges_what_the_others_did(void **state)
{
    (void)state;
    swarm_of(3);
    ok(call(
        t.boss, "swarm.coordinate",
        "{\"task_id\":\"h1\",\"strategy\":\"hierarchical\",\"parameters\":{\"items\":[1,2,3,4]}}"));
    assert_int_equal(json_integer_value(member(t.f, "parts/total")), 2);
    work_off(merges, NULL);
    status_of("h1");
    assert_string_equal(text(t.f, "state"), "reducing");
    work_off(merges, NULL);
    status_of("h1");
    assert_int_equal(json_integer_value(member(t.f, "result/of")), 2);
}

static void an_agent_can_be_the_reducer(void **state)
{
    (void)state;
    swarm_of(2);
    ok(call(t.boss, "agents.register",
            "{\"agent_id\":\"r\",\"agent_type\":\"worker\",\"capabilities\":[\"reduce\"]}"));
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"g1\",\"parameters\":{\"items\":[1,2],\"reducer\":\"agent\"}}"));
    work_off(merges, NULL);
    status_of("g1");
    assert_string_equal(text(t.f, "state"), "reducing");
    ok(call(t.boss, "tasks.get", "{\"task_id\":\"%s\"}", text(t.f, "merge_task_id")));
    assert_string_equal(text(t.f, "task/requirements/capabilities/0"), "reduce");
    work_off(merges, NULL);
    status_of("g1");
    result_is("{\"by\":\"r\",\"of\":2}");
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"g2\",\"parameters\":{\"items\":[1,2],\"reducer\":\"agent\"}}"));
    work_off(merges, NULL);
    status_of("g2");
    char *merge = xstrdup(text(t.f, "merge_task_id"));
    ok(call(t.boss, "swarm.cancel", "{\"task_id\":\"g2\"}"));
    ok(call(t.boss, "tasks.get", "{\"task_id\":\"%s\"}", merge));
    assert_string_equal(text(t.f, "task/stop_reason"), "group_ended");
    free(merge);
}

/* A broadcast asks everybody: nobody answers for another who has no room yet. */
static void each_member_gives_its_own_answer(void **state)
{
    (void)state;
    swarm_with(2, 1);
    other_work_for("a0");
    char *other = xstrdup(last_of("a0", "task_id"));
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"b1\",\"strategy\":\"broadcast\"}"));
    while (work_off(says_own_name, "a0")) {
    }
    status_of("b1");
    assert_int_equal(json_integer_value(member(t.f, "parts/done")), 1);
    ok(call(t.boss, "tasks.cancel", "{\"task_id\":\"%s\"}", other));
    work_off(says_own_name, NULL);
    status_of("b1");
    result_is("[\"a1\",\"a0\"]"); /* who had less to do is asked first */
    free(other);
}

static void the_first_so_many_are_enough_and_later_ones_are_not_merged(void **state)
{
    (void)state;
    swarm_of(3);
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"f1\",\"strategy\":\"broadcast\",\"parameters\":{\"require\":2}}"));
    for (unsigned i = 0; i < 4; i++) {
        fixture_turn(t.f);
    }
    ok(call(t.boss, "tasks.list", "{\"agent_id\":\"a0\"}"));
    char *id = xstrdup(text(t.f, "tasks/0/task_id")),
         *lease = xstrdup(text(t.f, "tasks/0/lease_id"));
    ok(call(t.boss, "tasks.accept", "{\"task_id\":\"%s\",\"lease_id\":\"%s\"}", id, lease));
    work_off(says_own_name, "a0");
    status_of("f1");
    assert_string_equal(text(t.f, "state"), "completed");
    result_is("[\"a1\",\"a2\"]");
    ok(call(t.boss, "tasks.complete",
            "{\"task_id\":\"%s\",\"lease_id\":\"%s\",\"result\":\"late\"}", id, lease));
    status_of("f1");
    result_is("[\"a1\",\"a2\"]");
    assert_int_equal(json_integer_value(member(t.f, "parts/late")), 1);
    free(id);
    free(lease);
}

static void a_slow_part_is_copied_and_the_first_result_counts(void **state)
{
    (void)state;
    swarm_of(3);
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"s1\",\"parameters\":{\"items\":[1,2,3]}}"));
    for (unsigned i = 0; i < 4; i++) {
        fixture_turn(t.f);
    }
    ok(call(t.boss, "tasks.list", "{\"agent_id\":\"a0\"}"));
    char *id = xstrdup(text(t.f, "tasks/0/task_id")),
         *lease = xstrdup(text(t.f, "tasks/0/lease_id"));
    ok(call(t.boss, "tasks.accept", "{\"task_id\":\"%s\",\"lease_id\":\"%s\"}", id, lease));
    work_off(doubles, "a0");
    status_of("s1");
    assert_string_equal(text(t.f, "status"), "running");
    /* The others took 0.1 s each, one after another, and it has run for longer than twice that. */
    t.f->now_ms += 1;
    for (unsigned i = 0; i < 4; i++) {
        fixture_turn(t.f);
    }
    status_of("s1");
    assert_true(json_is_true(member(t.f, "shards/0/copied")));
    work_off(doubles, "a0"); /* the copy */
    status_of("s1");
    result_is("[2,4,6]");
    ok(call(t.boss, "swarm.status", "{}"));
    assert_int_equal(json_integer_value(member(t.f, "0/performance_metrics/straggler_copies")), 1);
    /* Who is still at it is told to stop. */
    ok(call(t.boss, "tasks.get", "{\"task_id\":\"%s\"}", id));
    assert_string_equal(text(t.f, "task/state"), "cancelling");
    free(id);
    free(lease);
}

/* Nor is it given to who is slow, though that is who has least to do. */
static void a_copy_waits_for_another_who_is_free(void **state)
{
    (void)state;
    swarm_with(3, 2);
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"s2\",\"parameters\":{\"items\":[1,2,3]}}"));
    turns();
    char *id = xstrdup(last_of("a0", "task_id")), *lease = xstrdup(text(t.f, "tasks/0/lease_id"));
    work_off(doubles, "a0"); /* 0.1 s each */
    ok(call(t.boss, "tasks.accept", "{\"task_id\":\"%s\",\"lease_id\":\"%s\"}", id, lease));
    static const char *const others[] = {"a1", "a1", "a2", "a2"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        other_work_for(others[i]);
    }
    t.f->now_ms += 250;
    turns();
    status_of("s2");
    assert_false(json_is_true(member(t.f, "shards/0/copied")));
    char *other = xstrdup(last_of("a1", "task_id"));
    ok(call(t.boss, "tasks.cancel", "{\"task_id\":\"%s\"}", other));
    t.f->now_ms += 1000;
    turns();
    status_of("s2");
    assert_true(json_is_true(member(t.f, "shards/0/copied")));
    assert_string_equal(last_of("a0", "task_id"), id);
    assert_string_not_equal(last_of("a1", "task_id"), other);
    free(id);
    free(lease);
    free(other);
}

/* What one stage made is no result of all of them. */
static void a_pipeline_that_runs_out_of_time_has_no_part_of_a_result(void **state)
{
    (void)state;
    swarm_of(2);
    ok(call(
        t.boss, "swarm.coordinate",
        "{\"task_id\":\"p3\",\"strategy\":\"pipeline\",\"parameters\":{\"members\":[\"a0\",\"a1\"],"
        "\"timeout_seconds\":5}}"));
    assert_true(work_off(says_own_name, "a1"));
    t.f->now_ms += 6000;
    turns();
    status_of("p3");
    assert_string_equal(text(t.f, "state"), "failed");
    assert_string_equal(text(t.f, "stop_reason"), "timeout");
    result_is("null");
}

static void time_runs_out_with_what_is_there(void **state)
{
    (void)state;
    swarm_of(2);
    ok(call(
        t.boss, "swarm.coordinate",
        "{\"task_id\":\"t1\",\"strategy\":\"broadcast\",\"parameters\":{\"timeout_seconds\":5}}"));
    ok(call(t.boss, "swarm.coordinate",
            "{\"task_id\":\"t2\",\"strategy\":\"broadcast\",\"parameters\":{\"timeout_seconds\":5,"
            "\"members\":[\"a1\"]}}"));
    work_off(says_own_name, "a1");
    t.f->now_ms += 6000;
    for (unsigned i = 0; i < 4; i++) {
        fixture_turn(t.f);
    }
    status_of("t1");
    assert_string_equal(text(t.f, "state"), "partial");
    assert_string_equal(text(t.f, "stop_reason"), "timeout");
    result_is("[\"a0\"]");
    status_of("t2");
    assert_string_equal(text(t.f, "status"), "failed");
    assert_string_equal(text(t.f, "stop_reason"), "timeout");
}

static void a_cancelled_work_takes_its_tasks_with_it(void **state)
{
    (void)state;
    swarm_of(2);
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"c1\",\"strategy\":\"broadcast\"}"));
    assert_int_equal(call(t.other, "swarm.cancel", "{\"task_id\":\"c1\"}"), HUB_NOT_FOUND);
    ok(request(t.f, t.boss, METHOD_POST, "/swarm/tasks/c1/cancel", NULL));
    assert_string_equal(text(t.f, "status"), "cancelled");
    work_off(says_own_name, NULL);
    status_of("c1");
    assert_string_equal(text(t.f, "state"), "cancelled");
    assert_int_equal(json_integer_value(member(t.f, "parts/done")), 0);
    ok(request(t.f, t.boss, METHOD_POST, "/swarm/tasks/c1/cancel", NULL));
}

static void a_part_only_a_gone_agent_could_do_fails_at_once(void **state)
{
    (void)state;
    swarm_of(2);
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"x1\",\"strategy\":\"broadcast\"}"));
    ok(call(t.boss, "agents.deregister", "{\"agent_id\":\"a0\"}"));
    work_off(says_own_name, NULL);
    status_of("x1");
    assert_string_equal(text(t.f, "state"), "partial");
    result_is("[\"a1\"]");
}

/* ---- consensus ---- */

static void answers_of_members_are_their_ballots(void **state)
{
    (void)state;
    swarm_of(4);
    assert_int_equal(
        request(t.f, t.boss, METHOD_POST, "/swarm/consensus", "{\"task_id\":\"none\"}"),
        HUB_NOT_FOUND);
    assert_string_equal(message(t.f), "Task none not found");
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"v1\",\"strategy\":\"broadcast\"}"));
    work_off(votes_for_a1, NULL);
    ok(request(t.f, t.boss, METHOD_POST, "/swarm/consensus", "{\"task_id\":\"v1\"}"));
    assert_string_equal(text(t.f, "task_id"), "v1");
    assert_string_equal(text(t.f, "consensus_algorithm"), "majority-vote");
    assert_string_equal(text(t.f, "result/final_answer"), "a1");
    assert_int_equal(json_integer_value(member(t.f, "result/votes/a1")), 3);
    assert_int_equal(json_integer_value(member(t.f, "result/votes/a2")), 1);
    assert_float_equal(json_number_value(member(t.f, "confidence_score")), 0.75, 1e-6);
    assert_int_equal(json_array_size(member(t.f, "participating_members")), 4);
    assert_memory_equal(text(t.f, "participating_members/0"), "member_", 7);
    assert_true(json_is_true(member(t.f, "consensus_reached")));
    assert_string_equal(text(t.f, "status"), "decided");
    char *round = xstrdup(text(t.f, "round_id"));
    ok(request(t.f, t.boss, METHOD_POST, "/swarm/consensus", "{\"task_id\":\"v1\"}"));
    assert_string_equal(text(t.f, "round_id"), round);
    /* another question about the same work is another round */
    ok(request(t.f, t.boss, METHOD_POST, "/swarm/tasks/v1/consensus",
               "{\"consensus_threshold\":0.8}"));
    assert_string_not_equal(text(t.f, "round_id"), round);
    assert_string_equal(text(t.f, "status"), "no_decision");
    assert_false(json_is_true(member(t.f, "consensus_reached")));
    assert_true(json_is_null(member(t.f, "result/final_answer")));
    assert_float_equal(json_number_value(member(t.f, "consensus_threshold")), 0.8, 1e-9);
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/swarm/tasks/v1/consensus", "{}"),
                     HUB_INVALID);
    free(round);
}

static json_t *half_say_yes(const char *agent, json_t *data)
{
    (void)data;
    return strcmp(agent, "a1") > 0 ? NULL : json_string("yes");
}

static void half_of_the_members_are_no_quorum(void **state)
{
    (void)state;
    swarm_of(4);
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"v0\",\"strategy\":\"broadcast\"}"));
    work_off(half_say_yes, NULL);
    ok(request(t.f, t.boss, METHOD_POST, "/swarm/consensus",
               "{\"task_id\":\"v0\",\"timeout_seconds\":5}"));
    assert_string_equal(text(t.f, "status"), "open");
    t.f->now_ms += 5000;
    turns();
    ok(request(t.f, t.boss, METHOD_POST, "/swarm/consensus", "{\"task_id\":\"v0\"}"));
    assert_string_equal(text(t.f, "status"), "no_quorum");
    assert_false(json_is_true(member(t.f, "consensus_reached")));
}

static void a_round_without_answers_is_open_until_members_answer_or_vote(void **state)
{
    (void)state;
    swarm_of(3);
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"v2\",\"strategy\":\"broadcast\"}"));
    ok(call(t.boss, "swarm.consensus", "{\"task_id\":\"v2\",\"options\":[\"a1\",\"a2\"]}"));
    assert_string_equal(text(t.f, "status"), "open");
    assert_false(json_is_true(member(t.f, "consensus_reached")));
    assert_int_equal(json_object_size(member(t.f, "result/votes")), 0);
    assert_int_equal(json_array_size(member(t.f, "participating_members")), 0);
    char *round = xstrdup(text(t.f, "round_id"));
    ok(call(t.boss, "consensus.vote", "{\"round_id\":\"%s\",\"voter\":\"a0\",\"choice\":\"a2\"}",
            round));
    work_off(votes_for_a1, NULL);
    ok(call(t.boss, "swarm.consensus", "{\"task_id\":\"v2\"}"));
    assert_string_equal(text(t.f, "round_id"), round);
    assert_string_equal(text(t.f, "status"), "decided");
    assert_string_equal(text(t.f, "result/final_answer"), "a1");
    assert_int_equal(json_integer_value(member(t.f, "result/votes/a2")), 1);
    free(round);
}

static void a_round_that_is_open_is_not_asked_otherwise(void **state)
{
    (void)state;
    static const struct {
        const char *ask, *differs;
    } asks[] = {{",\"consensus_algorithm\":\"plurality\"", "consensus_algorithm"},
                {",\"consensus_threshold\":0.9", "consensus_threshold"},
                {",\"options\":[\"a1\"]", "options"},
                {",\"options\":[\"a2\",\"a1\"]", "options"}};
    swarm_of(3);
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"v3\",\"strategy\":\"broadcast\"}"));
    ok(call(t.boss, "swarm.task_consensus",
            "{\"task_id\":\"v3\",\"consensus_threshold\":0.6,\"options\":[\"a1\",\"a2\"]}"));
    char *round = xstrdup(text(t.f, "round_id"));
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        assert_int_equal(call(t.boss, "swarm.consensus", "{\"task_id\":\"v3\"%s}", asks[i].ask),
                         HUB_CONFLICT);
        assert_ptr_equal(strstr(message(t.f), asks[i].differs), message(t.f));
    }
    static const char *const same[] = {
        "", ",\"options\":[\"a1\",\"a2\"]", ",\"consensus_threshold\":0.6",
        ",\"consensus_algorithm\":\"supermajority\",\"consensus_threshold\":0.6"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        ok(call(t.boss, "swarm.consensus", "{\"task_id\":\"v3\"%s}", same[i]));
        assert_string_equal(text(t.f, "round_id"), round);
    }
    ok(call(t.boss, "swarm.coordinate", "{\"task_id\":\"v4\",\"strategy\":\"broadcast\"}"));
    ok(call(t.boss, "swarm.consensus", "{\"task_id\":\"v4\"}")); /* by majority */
    assert_int_equal(
        call(t.boss, "swarm.task_consensus", "{\"task_id\":\"v4\",\"consensus_threshold\":0.75}"),
        HUB_CONFLICT);
    assert_ptr_equal(strstr(message(t.f), "consensus_threshold"), message(t.f));
    work_off(votes_for_a1, NULL); /* and once it is closed another is another round */
    ok(call(t.boss, "swarm.consensus",
            "{\"task_id\":\"v3\",\"consensus_algorithm\":\"plurality\"}"));
    assert_string_not_equal(text(t.f, "round_id"), round);
    free(round);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(who_leaves_hands_back_what_it_holds_or_finishes_it),
        CLAIM(who_has_left_gets_nothing_more),
        CLAIM(what_nobody_is_left_for_ends),
        CLAIM(a_part_that_only_the_leaver_may_do_ends),
        CLAIM(nobody_to_coordinate_is_404),
        CLAIM(map_reduce_keeps_the_order_of_the_input),
        CLAIM(an_old_swarm_is_found_behind_many_younger_ones),
        CLAIM(a_word_that_steers_and_cannot_be_read_is_refused),
        CLAIM(reducers_and_shards_are_the_caller_s_to_choose),
        CLAIM(a_failed_part_makes_it_partial_and_no_part_failed),
        CLAIM(a_race_has_one_winner_and_the_others_are_cancelled),
        CLAIM(a_pipeline_hands_each_result_on),
        CLAIM(work_goes_to_members_that_can_and_have_least_to_do),
        CLAIM(votes_are_counted_and_an_elected_member_leads),
        CLAIM(the_head_of_a_hierarchy_merges_what_the_others_did),
        CLAIM(an_agent_can_be_the_reducer),
        CLAIM(each_member_gives_its_own_answer),
        CLAIM(the_first_so_many_are_enough_and_later_ones_are_not_merged),
        CLAIM(a_slow_part_is_copied_and_the_first_result_counts),
        CLAIM(a_copy_waits_for_another_who_is_free),
        CLAIM(a_pipeline_that_runs_out_of_time_has_no_part_of_a_result),
        CLAIM(time_runs_out_with_what_is_there),
        CLAIM(a_cancelled_work_takes_its_tasks_with_it),
        CLAIM(a_part_only_a_gone_agent_could_do_fails_at_once),
        CLAIM(answers_of_members_are_their_ballots),
        CLAIM(half_of_the_members_are_no_quorum),
        CLAIM(a_round_without_answers_is_open_until_members_answer_or_vote),
        CLAIM(a_round_that_is_open_is_not_asked_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
