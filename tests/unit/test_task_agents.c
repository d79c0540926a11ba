/* Tasks and the agents that do them: offers, leases, what becomes of both when an agent falls
 * silent, departs or comes back, and what is learned of it. */
#include "hub/tasks/balance.h"
#include "tests/unit/task_fixture.h"

/* ---- leases ---- */

static void an_unanswered_offer_goes_to_another_agent(void **state)
{
    (void)state;
    submit("");
    agent_comes(t.bee, "b1", "");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    agent_comes(t.bee, "b2", "");
    wait_ms(5000);
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b2");
    assert_int_equal(json_integer_value(member(t.f, "task/attempts")), 0);
    assert_int_equal(json_integer_value(member(t.f, "task/redeliveries")), 0);
}

/* Each of them alone decides between two who are equal else, whichever came first. */
static void a_task_goes_to_who_is_all_that_it_requires(void **state)
{
    static const struct {
        const char *is, *requires;
    } cases[] = {{",\"services\":[\"print\"]", "\"services\":[\"print\"]"},
                 {",\"capabilities\":[\"fly\"]", "\"capabilities\":[\"fly\"]"},
                 {"", "\"agents\":[\"right\"]"},
                 {"", "\"avoid\":[\"wrong\"]"}};
    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const char *is = cases[i / 2].is;
        char rest[128];
        agent_comes(t.bee, i % 2 ? "right" : "wrong", i % 2 ? is : "");
        agent_comes(t.bee, i % 2 ? "wrong" : "right", i % 2 ? "" : is);
        (void)snprintf(rest, sizeof rest, ",\"requirements\":{%s}", cases[i / 2].requires);
        for (int n = 0; n < 2; n++) {
            submit(rest);
            assert_string_equal(state_of(t.boss, t.task), n ? "queued" : "leased");
        }
        assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
        assert_int_equal(call_method(t.f, t.bee, "tasks.list",
                                     "{\"agent_id\":\"right\",\"status\":\"running\"}"),
                         HUB_OK);
        assert_int_equal(json_array_size(member(t.f, "tasks")), 1);
        assert_int_equal(request(t.f, t.bee, METHOD_DELETE, "/agents/right", NULL), HUB_OK);
        assert_int_equal(request(t.f, t.bee, METHOD_DELETE, "/agents/wrong", NULL), HUB_OK);
        settle();
        assert_int_equal(post(t.boss, "/tasks/queues/normal/clear {}"), HUB_OK);
    }
}

static void others_go_first_though_they_have_more_to_do(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", ",\"slots\":9");
    agent_comes(t.bee, "b2", ",\"slots\":9");
    for (int i = 0; i < 3; i++) {
        submit(",\"requirements\":{\"agents\":[\"b2\"]}");
        accepted();
    }
    submit(",\"prefer_agents\":[\"b2\"]");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b2");
    accepted();
    submit("");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b1");
    wait_ms(5000); /* b1 says nothing */
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b2");
}

/* … whatever the strategy thinks of them. */
static void others_go_first_under_a_strategy_that_knows_better(void **state)
{
    (void)state;
    assert_int_equal(request(t.f, t.boss, METHOD_PUT, "/load-balancer/strategy",
                             "{\"strategy\":\"resource_based\"}"),
                     HUB_OK);
    agent_comes(t.bee, "b1", ",\"load_metrics\":{\"cpu\":0}");
    agent_comes(t.bee, "b2", ",\"load_metrics\":{\"cpu\":0.9}");
    submit("");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b1");
    assert_int_equal(report(t.bee, "reject", ""), HUB_OK);
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b2");
}

/* No event tells that an agent is well again. */
static void what_waits_for_a_healthy_agent_is_offered_when_one_is_well(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", ",\"load_metrics\":{\"cpu\":1,\"memory\":1,\"queue\":1}");
    submit(",\"requirements\":{\"min_health_score\":0.95}");
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_int_equal(
        post(t.bee, "/agents/b1/heartbeat {\"load_metrics\":{\"cpu\":0,\"memory\":0,\"queue\":0}}"),
        HUB_OK);
    wait_ms(1000);
    assert_string_equal(state_of(t.boss, t.task), "leased");
}

static void who_rejects_is_left_in_peace_for_a_while(void **state)
{
    (void)state;
    submit("");
    agent_comes(t.bee, "b1", "");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_int_equal(report(t.bee, "reject", ""), HUB_OK);
    assert_string_equal(state_of(t.bee, t.task), "queued");
    wait_ms(4000);
    assert_string_equal(state_of(t.bee, t.task), "queued");
    wait_ms(1000);
    assert_string_equal(state_of(t.bee, t.task), "leased");
}

/* semantics.md section 6: a restored hub voids leases. The agent knows none of its new life, so
 * nobody is shown one, and the task does not wait for it to lapse. */
static void a_restore_voids_what_was_leased_before(void **state)
{
    uint8_t epoch[16];
    agent_comes(t.bee, "b1", "");
    submit("");
    accepted();
    memcpy(epoch, store_epoch(t.f->hub.store), sizeof epoch);
    epoch[0] ^= 1;
    assert_int_equal(store_renew_epoch(t.f->hub.store, epoch, t.f->now_ms + 1), STORE_OK);
    fixture_close(t.f);
    fixture_start_ms += 1000;
    t.f = fixture_open(*state);
    fixture_start_ms -= 1000;
    assert_string_equal(state_of(t.bee, t.task), "running");
    assert_string_equal(text(t.f, "task/lease_id"), "(none)");
    settle();
    assert_string_equal(state_of(t.bee, t.task), "leased"); /* offered again, in this life */
    assert_string_not_equal(text(t.f, "task/lease_id"), "(none)");
    assert_int_equal(json_integer_value(member(t.f, "task/redeliveries")), 1);
}

/* As when the same agent is offered the same task in a hub before and after it was restored from a
 * backup: number and count are equal, and only the life of the store tells the two leases apart. */
static void a_lease_of_before_a_restore_is_not_honoured(void **state)
{
    (void)state;
    static const char *const verbs[] = {"accept", "complete", "fail", "progress", "cancel"};
    struct task_lease lease;
    char old[64], held[64];
    agent_comes(t.bee, "b1", "");
    submit("");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_true(task_lease_of(slice_str(t.lease), &lease));
    assert_int_equal(lease.life, task_life(t.f->hub.store));
    (void)snprintf(held, sizeof held, "%s", t.lease);
    lease.life++;
    task_lease_id(old, &lease);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        (void)snprintf(t.lease, sizeof t.lease, "%s", old);
        assert_int_equal(report(t.bee, verbs[i], ""), HUB_LEASE_LOST);
        assert_string_equal(state_of(t.bee, t.task), "leased");
    }
    assert_string_equal(t.lease, held);
    assert_int_equal(report(t.bee, "accept", ""), HUB_OK);
    assert_int_equal(post(t.bee, "/tasks/renew {\"leases\":[\"%s\"]}", old), HUB_OK);
    assert_string_equal(text(t.f, "lost/0"), old);
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
}

static void a_lapsed_lease_is_fenced_once_another_has_the_task(void **state)
{
    (void)state;
    submit("");
    agent_comes(t.bee, "b1", "");
    accepted();
    char old[64];
    (void)snprintf(old, sizeof old, "%s", t.lease);
    wait_ms(29000);
    assert_int_equal(post(t.other, "/tasks/renew {\"leases\":[\"%s\"]}", t.lease), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "lost_count")), 1); /* it is not the other's */
    assert_int_equal(post(t.bee, "/tasks/renew {\"leases\":[\"%s\"]}", t.lease), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "renewed")), 1);
    wait_ms(29000);
    assert_string_equal(state_of(t.bee, t.task), "running");
    agent_comes(t.bee, "b2", "");
    wait_ms(1000);
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b2");
    assert_int_equal(json_integer_value(member(t.f, "task/redeliveries")), 1);
    assert_int_equal(post(t.bee, "/tasks/%s/complete {\"lease_id\":\"%s\"}", t.task, old),
                     HUB_LEASE_LOST);
    assert_int_equal(post(t.bee, "/tasks/%s/progress {\"lease_id\":\"%s\"}", t.task, old),
                     HUB_LEASE_LOST);
    assert_int_equal(post(t.bee, "/tasks/renew {\"leases\":[\"%s\",\"junk\"]}", old), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "lost_count")), 2);
    assert_string_equal(text(t.f, "lost/0"), old);
    assert_int_equal(post(t.bee, "/tasks/%s/renew {\"lease_id\":\"%s\"}", t.task, old),
                     HUB_LEASE_LOST);
    assert_int_equal(post(t.bee, "/tasks/%s/cancel {\"lease_id\":\"%s\"}", t.task, old),
                     HUB_LEASE_LOST);
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_int_equal(report(t.bee, "accept", ""), HUB_OK);
    /* What it held does not keep alive what the other holds. */
    assert_int_equal(post(t.bee, "/tasks/renew {\"leases\":[\"%s\",\"%s\"]}", old, t.lease),
                     HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "lost_count")), 1);
    assert_string_equal(text(t.f, "lost/0"), old);
}

static void set_status(const char *status)
{
    char body[64];
    (void)snprintf(body, sizeof body, "{\"status\":\"%s\"}", status);
    assert_int_equal(request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", body), HUB_OK);
    settle();
}

/* A task that was lost once, and that b1 has again. */
static void held_after_a_loss(const char *rest)
{
    submit(rest);
    accepted();
    wait_ms(30000);
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
    settle();
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_int_equal(json_integer_value(member(t.f, "task/redeliveries")), 1);
}

static void expect_fenced(const char *lease)
{
    static const char *const verbs[] = {"accept", "complete", "fail", "progress", "ask", "reject"};
    assert_string_equal(state_of(t.boss, t.task), "queued");
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        assert_int_equal(post(t.boss, "/tasks/%s/%s {\"lease_id\":\"%s\",\"question\":\"?\"}",
                              t.task, verbs[i], lease),
                         HUB_LEASE_LOST);
    }
    assert_string_equal(state_of(t.boss, t.task), "queued");
}

/* Only a lease that lapsed while the task ran is honoured late; one that its agent gave up, or
 * never took, is over, however often the task was lost before. */
static void a_lease_that_was_given_up_is_over(void **state)
{
    char old[64];
    (void)state;
    agent_comes(t.bee, "b1", "");
    held_after_a_loss("");
    assert_int_equal(report(t.bee, "accept", ""), HUB_OK);
    (void)snprintf(old, sizeof old, "%s", t.lease);
    set_status("maintenance");
    assert_int_equal(report(t.bee, "fail", ",\"retry_after\":1"), HUB_OK);
    wait_ms(1000);
    expect_fenced(old);
    assert_int_equal(json_integer_value(member(t.f, "task/attempts")), 1);

    set_status("active");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_int_equal(report(t.bee, "accept", ""), HUB_OK);
    (void)snprintf(old, sizeof old, "%s", t.lease);
    set_status("maintenance");
    assert_int_equal(report(t.bee, "ask", ",\"question\":\"which?\""), HUB_OK);
    assert_int_equal(post(t.boss, "/tasks/%s/input {\"input\":1}", t.task), HUB_OK);
    expect_fenced(old);

    set_status("active");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    (void)snprintf(old, sizeof old, "%s", t.lease);
    set_status("maintenance");
    assert_int_equal(report(t.bee, "reject", ""), HUB_OK);
    expect_fenced(old);
}

static void an_offer_that_is_lost_with_its_agent_was_never_begun(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    held_after_a_loss("");
    departs("b1");
    expect_fenced(t.lease);
    assert_int_equal(json_integer_value(member(t.f, "task/redeliveries")), 1);
}

/* As who failed might do better the next time, its task goes before what came later. */
static void a_retry_keeps_its_place(void **state)
{
    char first[64];
    (void)state;
    agent_comes(t.bee, "b1", "");
    submit("");
    accepted();
    (void)snprintf(first, sizeof first, "%s", t.task);
    set_status("maintenance");
    wait_ms(1);
    submit("");
    assert_int_equal(
        post(t.bee, "/tasks/%s/fail {\"lease_id\":\"%s\",\"retry_after\":1}", first, t.lease),
        HUB_OK);
    wait_ms(1000);
    assert_string_equal(state_of(t.boss, first), "queued");
    set_status("active");
    assert_string_equal(state_of(t.boss, first), "leased");
    assert_string_equal(state_of(t.boss, t.task), "queued");
}

static void expect_until(int64_t ms)
{
    uint8_t at[JSON_TIME_BYTES];
    json_time_put(at, ms);
    assert_memory_equal(text(t.f, "lease_until"), at, sizeof at);
}

static void no_lease_reaches_past_the_time_of_the_attempt(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    submit(",\"start_to_close_seconds\":40");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    int64_t begun = t.f->now_ms;
    assert_int_equal(report(t.bee, "accept", ""), HUB_OK);
    expect_until(begun + 30000);
    wait_ms(20000);
    assert_int_equal(post(t.bee, "/tasks/renew {\"leases\":[\"%s\"]}", t.lease), HUB_OK);
    expect_until(begun + 40000);
    assert_int_equal(report(t.bee, "progress", ",\"percent\":1"), HUB_OK);
    expect_until(begun + 40000);
    wait_ms(20000);
    assert_string_not_equal(state_of(t.boss, t.task), "running");
    assert_string_equal(text(t.f, "task/error"), "timeout");
}

/* Its lease says what an agent may do with a task of another's: not cancel it, answer for its
 * owner, or have it done again. */
static void who_has_the_task_of_another_only_reports_of_it(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    assert_int_equal(post(t.other, "/tasks/submit {\"task_data\":{}}"), HUB_OK);
    (void)snprintf(t.task, sizeof t.task, "%s", text(t.f, "task_id"));
    accepted();
    assert_int_equal(post(t.bee, "/tasks/%s/cancel {}", t.task), HUB_FORBIDDEN);
    assert_int_equal(report(t.bee, "ask", ",\"question\":\"may I?\""), HUB_OK);
    assert_int_equal(post(t.bee, "/tasks/%s/input {\"input\":\"yes\"}", t.task), HUB_FORBIDDEN);
    assert_int_equal(post(t.bee, "/tasks/%s/cancel {}", t.task), HUB_FORBIDDEN);
    assert_int_equal(post(t.other, "/tasks/%s/input {\"input\":\"no\"}", t.task), HUB_OK);
    accepted();
    assert_int_equal(report(t.bee, "fail", ",\"non_retryable\":true"), HUB_OK);
    assert_int_equal(post(t.bee, "/tasks/%s/replay {}", t.task), HUB_FORBIDDEN);
    assert_int_equal(post(t.other, "/tasks/%s/replay {}", t.task), HUB_OK);
}

static void work_whose_lease_only_lapsed_still_counts(void **state)
{
    (void)state;
    submit(",\"requirements\":{\"agents\":[\"b1\"]}");
    agent_comes(t.bee, "b1", "");
    accepted();
    char old[64];
    (void)snprintf(old, sizeof old, "%s", t.lease);
    assert_int_equal(
        request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", "{\"status\":\"maintenance\"}"),
        HUB_OK);
    wait_ms(30000);
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_int_equal(
        post(t.bee, "/tasks/%s/complete {\"lease_id\":\"%s\",\"result\":1}", t.task, old), HUB_OK);
    assert_string_equal(state_of(t.boss, t.task), "completed");
}

static void an_agent_that_is_gone_loses_its_tasks_at_once(void **state)
{
    (void)state;
    submit("");
    agent_comes(t.bee, "b1", "");
    accepted();
    assert_int_equal(request(t.f, t.bee, METHOD_DELETE, "/agents/b1", NULL), HUB_OK);
    settle();
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_string_equal(text(t.f, "task/why_waiting/reason"), "no_agent");
}

static void tasks_that_cost_agents_are_poison(void **state)
{
    (void)state;
    submit("");
    agent_comes(t.bee, "b1", ",\"slots\":5");
    for (int i = 0; i < 4; i++) {
        accepted();
        wait_ms(30000);
        assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
        settle();
        settle();
    }
    assert_string_equal(state_of(t.boss, t.task), "dead");
    assert_string_equal(text(t.f, "task/stop_reason"), "poison");
    assert_true(json_is_true(member(t.f, "task/dead_letter")));
}

/* ---- agents that fall silent, depart, and come back ---- */

static void beats(void)
{
    for (int i = 0; i < 3; i++) {
        wait_ms(1000);
        assert_int_equal(post(t.bee, "/agents/bee/heartbeat {\"status\":\"active\"}"), HUB_OK);
    }
}

/* semantics.md section 1: a beat without an open stream gives no new work. Whether it had one is
 * stored: neither a start of the hub nor the order of falling silent and closing changes that. */
static void who_lost_its_connection_is_offered_nothing_however_it_beats(void **state)
{
    const char *enter = "{\"agent_id\":\"bee\",\"agent_type\":\"worker\"}";
    assert_int_equal(call_method(t.f, t.bee, "agents.register", enter), HUB_OK);
    submit("");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_int_equal(report(t.bee, "accept", ""), HUB_OK);
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    wait_ms(60000); /* silent for so long that it is stale before the connection closes */
    give(t.f, t.f->at_close, &t.f->at_close_body);
    beats();
    submit("");
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_string_equal(text(t.f, "task/why_waiting/reason"), "agents_unreachable");

    assert_int_equal(call_method(t.f, t.bee, "agents.register", enter), HUB_OK);
    settle();
    assert_string_equal(state_of(t.boss, t.task), "leased");
    for (int starts = 0; starts < 2; starts++) {
        fixture_close(t.f);
        t.f = fixture_open(*state);
        wait_ms(90000); /* the offer is not answered */
        beats();
        assert_string_equal(state_of(t.boss, t.task), "queued");
    }
}

static void an_agent_whose_stream_closed_gets_nothing_new(void **state)
{
    (void)state;
    assert_int_equal(call_method(t.f, t.bee, "agents.register",
                                 "{\"agent_id\":\"b1\",\"agent_type\":\"worker\",\"slots\":2}"),
                     HUB_OK);
    submit("");
    accepted();
    struct buf gone = {0};
    agent_gone_put(&gone, 1, 1, FIXTURE_CONNECTION);
    give(t.f, &command_agent_gone, &gone);
    buf_done(&gone);
    assert_string_equal(state_of(t.bee, t.task), "running"); /* the lease is kept */
    wait_ms(1000);
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
    settle();
    submit("");
    assert_string_equal(state_of(t.boss, t.task), "queued"); /* it beats, but holds no stream */
}

/* ---- agents that let offers lapse ---- */

static void beats_for(int64_t ms)
{
    for (int64_t at = 0; at < ms; at += 1000) {
        wait_ms(ms - at < 1000 ? ms - at : 1000);
        assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
    }
}

static void is_silent(void)
{
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_string_equal(text(t.f, "task/why_waiting/reason"), "agents_silent");
}

static void who_lets_offers_lapse_is_offered_less_and_less(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", ",\"slots\":2");
    submit("");
    int64_t pause_ms = 5000;
    for (int offers = 1; offers <= 8; offers++) {
        assert_string_equal(state_of(t.boss, t.task), "leased");
        wait_ms(5000);
        is_silent();
        beats_for(pause_ms - 1);
        is_silent();
        wait_ms(1);
        pause_ms = pause_ms < 64 * 5000 ? pause_ms * 2 : pause_ms;
    }
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/status", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "stats/tasks_distributed")), 9);
}

/* Whoever else fits gets it, at once; the silent one keeps its pause over a failed batch. */
static void the_pause_of_one_keeps_nothing_from_others(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", ",\"slots\":9");
    submit("");
    submit("");
    wait_ms(5000); /* both lapse, and count as one */
    is_silent();
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent/no_offers_until"), "2026-11-20T17:34:31.000Z");
    struct store_reader *reader;
    struct store_view *view;
    assert_int_equal(store_reader_new(t.f->hub.store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    assert_int_equal(
        tasks_module.load(writer_module(t.f->hub.writer, MODULE_TASKS), view, t.f->now_ms), HUB_OK);
    store_reader_free(reader);
    wait_ms(4999);
    is_silent();
    agent_comes(t.bee, "b2", "");
    assert_string_equal(state_of(t.bee, t.task), "queued"); /* the older one got the slot */
    assert_string_equal(text(t.f, "task/why_waiting/reason"), "agents_busy");
    assert_int_equal(call_method(t.f, t.bee, "tasks.list", "{\"agent_id\":\"b2\"}"), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 1);
    wait_ms(1);
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b1");
    assert_int_equal(report(t.bee, "accept", ""), HUB_OK);
}

static void any_answer_and_a_new_session_end_the_pause(void **state)
{
    static const char *const answers[] = {"accept", "reject", NULL};
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        agent_comes(t.bee, "b1", ",\"slots\":2");
        submit("");
        wait_ms(5000);
        is_silent();
        beats_for(5000);
        assert_string_equal(state_of(t.bee, t.task), "leased");
        char one[64];
        (void)snprintf(one, sizeof one, "%s", t.task);
        if (answers[i]) {
            assert_int_equal(report(t.bee, answers[i], ""), HUB_OK);
        } else {
            wait_ms(5000);
            is_silent();
            agent_comes(t.bee, "b1", ",\"slots\":2");
            wait_ms(5000); /* this one it is not given before, but others, and half of the pause */
            assert_string_equal(state_of(t.bee, t.task), "leased");
        }
        assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_OK);
        assert_null(member(t.f, "agent/no_offers_until"));
        submit(""); /* the first to lapse again */
        assert_string_equal(state_of(t.bee, t.task), "leased");
        wait_ms(5000);
        is_silent();
        wait_ms(5000);
        assert_string_equal(state_of(t.bee, t.task), "leased");
        assert_int_equal(request(t.f, t.bee, METHOD_DELETE, "/agents/b1", NULL), HUB_OK);
        assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
        assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", one), HUB_OK);
    }
}

static double success_of(const char *id)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/agents/%s", id);
    assert_int_equal(request(t.f, t.bee, METHOD_GET, path, NULL), HUB_OK);
    return json_number_value(member(t.f, "agent/health/success"));
}

static void ends_with(const char *how)
{
    submit("");
    accepted();
    assert_int_equal(report(t.bee, how, ""), HUB_OK);
}

/* A tenth of each outcome counts; a row is written when that has moved by more than a twentieth.
 */
static void who_comes_back_is_known_by_what_it_did(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", ",\"load_metrics\":{\"cpu\":0.5}");
    ends_with("fail");
    assert_float_equal(success_of("b1"), 0.9, 1e-9);
    ends_with("complete"); /* 0.91, in memory alone */
    departs("b1");
    assert_int_equal(request(t.f, t.bee, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    assert_float_equal(json_number_value(member(t.f, "agent/load_metrics/cpu")), 0.5, 0);
    assert_int_equal(json_integer_value(member(t.f, "agent/held")), 0);
    agent_comes(t.bee, "b1", "");
    ends_with("fail");
    assert_float_equal(success_of("b1"), 0.819, 1e-9);
}

static void who_departed_is_named_and_may_still_deliver(void **state)
{
    (void)state;
    submit(",\"requirements\":{\"agents\":[\"b1\"]}");
    agent_comes(t.bee, "b1", "");
    accepted();
    char old[64];
    (void)snprintf(old, sizeof old, "%s", t.lease);
    departs("b1");
    assert_string_equal(state_of(t.bee, t.task), "queued"); /* seen by who owned its agent */
    assert_int_equal(
        post(t.bee, "/tasks/%s/complete {\"lease_id\":\"%s\",\"result\":1}", t.task, old), HUB_OK);
    assert_string_equal(state_of(t.boss, t.task), "completed");
    assert_int_equal(call_method(t.f, t.boss, "channels.history",
                                 "{\"channel\":\"tasks\",\"reverse\":true,\"limit\":1}"),
                     HUB_OK);
    assert_string_equal(text(t.f, "events/0/data/agent_id"), "b1");
}

static void who_departed_gets_nothing_until_it_is_back(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    departs("b1");
    submit("");
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_int_equal(
        request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", "{\"status\":\"active\"}"), HUB_OK);
    settle();
    assert_string_equal(state_of(t.boss, t.task), "leased");
}

/* It came by a stream, and says so no more by coming back without one. */
static void who_came_by_a_stream_and_departed_gets_nothing_without_one(void **state)
{
    (void)state;
    assert_int_equal(call_method(t.f, t.bee, "agents.register",
                                 "{\"agent_id\":\"b1\",\"agent_type\":\"worker\"}"),
                     HUB_OK);
    departs("b1");
    give(t.f, t.f->at_close, &t.f->at_close_body);
    assert_int_equal(
        request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", "{\"status\":\"active\"}"), HUB_OK);
    submit("");
    assert_string_equal(state_of(t.boss, t.task), "queued");
    agent_comes(t.bee, "b1", "");
    assert_string_equal(state_of(t.boss, t.task), "leased");
}

/* ---- what agents hold, and what is learned of them ---- */

static void an_agent_gets_no_more_than_its_slots(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", ",\"slots\":2");
    for (int i = 0; i < 5; i++) {
        submit("");
    }
    assert_int_equal(call_method(t.f, t.bee, "tasks.list", "{\"agent_id\":\"b1\"}"), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "tasks")), 2);
    (void)snprintf(t.task, sizeof t.task, "%s", text(t.f, "tasks/1/task_id"));
    accepted();
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    assert_int_equal(
        call_method(t.f, t.bee, "tasks.list", "{\"agent_id\":\"b1\",\"status\":\"running\"}"),
        HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "tasks")), 2);
}

static void expect_agent(const char *status, int64_t held)
{
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/agents/b1", NULL), HUB_OK);
    assert_string_equal(text(t.f, "agent/status"), status);
    assert_int_equal(json_integer_value(member(t.f, "agent/held")), held);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/registry/stats", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "stats/status_counts/busy")),
                     strcmp(status, "busy") == 0);
    assert_int_equal(tasks_busy_agents(writer_module(t.f->hub.writer, MODULE_TASKS)),
                     strcmp(status, "busy") == 0);
    char body[64];
    (void)snprintf(body, sizeof body, "{\"status\":\"%s\"}", status);
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/agents/discover", body), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 1);
}

static void an_agent_is_busy_while_its_slots_are_taken(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", ",\"slots\":2");
    submit("");
    expect_agent("active", 1);
    submit("");
    expect_agent("busy", 2);
    accepted();
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    expect_agent("active", 1);
    submit("");
    expect_agent("busy", 2);
    /* Its own word goes first. */
    assert_int_equal(
        request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", "{\"status\":\"draining\"}"), HUB_OK);
    expect_agent("draining", 2);
}

static void says(const char *status)
{
    char body[64];
    (void)snprintf(body, sizeof body, "{\"status\":\"%s\"}", status);
    assert_int_equal(request(t.f, t.boss, METHOD_PUT, "/agents/b1/status", body), HUB_OK);
    settle();
}

/* semantics.md section 1: no new work, what it has it ends, then it is inactive. Its connection is
 * still its own: resumed, it is offered what waits. */
static void a_draining_agent_is_inactive_when_its_last_lease_is_gone(void **state)
{
    (void)state;
    assert_int_equal(call_method(t.f, t.bee, "agents.register",
                                 "{\"agent_id\":\"b1\",\"agent_type\":\"worker\",\"slots\":2}"),
                     HUB_OK);
    submit("");
    accepted();
    char first[64];
    (void)snprintf(first, sizeof first, "%s", t.task);
    says("draining");
    submit("");
    assert_string_equal(state_of(t.boss, t.task), "queued");
    expect_agent("draining", 1);
    assert_string_equal(state_of(t.bee, first), "running");
    assert_int_equal(post(t.bee, "/tasks/%s/complete {\"lease_id\":\"%s\"}", first, t.lease),
                     HUB_OK);
    settle();
    expect_agent("inactive", 0);
    assert_int_equal(call_method(t.f, t.boss, "channels.history",
                                 "{\"channel\":\"agents\",\"reverse\":true,\"limit\":1}"),
                     HUB_OK);
    assert_string_equal(text(t.f, "events/0/event"), "inactive");
    assert_string_equal(text(t.f, "events/0/data/previous_status"), "draining");
    assert_string_equal(text(t.f, "events/0/data/reason"), "drained");
    assert_string_equal(state_of(t.boss, t.task), "queued");
    says("active");
    assert_string_equal(state_of(t.bee, t.task), "leased");
}

static void bottlenecks_are_what_agents_report_and_hold(void **state)
{
    (void)state;
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/load-balancer/bottlenecks", NULL), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "bottlenecks")), 0);
    assert_true(json_is_null(member(t.f, "measured/cpu"))); /* nobody says */
    agent_comes(t.bee, "b1", ",\"load_metrics\":{\"cpu\":0.98,\"memory\":80}");
    agent_comes(t.bee, "b2", ",\"load_metrics\":{\"cpu\":0.7}");
    agent_comes(t.bee, "b3", "");
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/load-balancer/bottlenecks", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "measured/agents")), 3);
    assert_float_equal(json_number_value(member(t.f, "measured/memory")), 0.8, 1e-9);
    assert_int_equal(json_array_size(member(t.f, "bottlenecks")), 1); /* 80 % is not above 80 % */
    assert_string_equal(text(t.f, "bottlenecks/0/type"), "cpu");
    assert_float_equal(json_number_value(member(t.f, "bottlenecks/0/value")), 0.84, 1e-9);
    assert_float_equal(json_number_value(member(t.f, "bottlenecks/0/severity")), 0.2, 1e-9);
    assert_int_equal(json_integer_value(member(t.f, "bottlenecks/0/agents_above")), 1);
    /* All slots taken is one too; others' agents are not counted. */
    for (int i = 0; i < 3; i++) {
        submit("");
    }
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/load-balancer/bottlenecks", NULL), HUB_OK);
    assert_string_equal(text(t.f, "bottlenecks/1/type"), "slots");
    struct principal *stranger = person(ROLE_AGENT, "stranger");
    assert_int_equal(request(t.f, stranger, METHOD_GET, "/load-balancer/bottlenecks", NULL),
                     HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "measured/agents")), 0);
    principal_unref(stranger);
}

static void assignments_in_vain_are_part_of_the_success_rate(void **state)
{
    (void)state;
    submit("");
    agent_comes(t.bee, "b1", "");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_int_equal(report(t.bee, "reject", ""), HUB_OK);
    wait_ms(5000);
    accepted();
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/status", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "stats/load_balancer_stats/total_assignments")),
                     2);
    assert_int_equal(
        json_integer_value(member(t.f, "stats/load_balancer_stats/failed_assignments")), 1);
    assert_true(json_number_value(member(t.f, "stats/load_balancer_stats/success_rate")) == 0.5);
}

static struct balance_figures learned_of(uint32_t agent)
{
    struct balance_figures f;
    (void)balance_figures(tasks_balance(writer_module(t.f->hub.writer, MODULE_TASKS)), agent, &f);
    return f;
}

/* Whose tasks take long, and fail, is not learned anew by every life of the hub; a minute's worth
 * at most is. */
static void what_was_learned_of_an_agent_outlives_a_start(void **state)
{
    agent_comes(t.bee, "b1", ",\"slots\":2");
    for (int i = 0; i < 2; i++) {
        submit("");
        accepted();
        wait_ms(4000);
        assert_int_equal(report(t.bee, i ? "fail" : "complete", i ? ",\"error\":\"no\"" : ""),
                         HUB_OK);
    }
    struct balance_figures before = learned_of(1);
    assert_true(before.response_ms > 3999 && before.success < 1);
    wait_ms(61000);
    submit(""); /* a batch that there is anyway */
    fixture_close(t.f);
    t.f = fixture_open(*state);
    assert_true(learned_of(1).response_ms == before.response_ms);
    assert_true(learned_of(1).success == before.success);
    assert_int_equal(learned_of(1).assigned, 2); /* what it held then; else the counts begin anew */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(who_lost_its_connection_is_offered_nothing_however_it_beats),
        CLAIM(an_unanswered_offer_goes_to_another_agent),
        CLAIM(a_task_goes_to_who_is_all_that_it_requires),
        CLAIM(others_go_first_though_they_have_more_to_do),
        CLAIM(others_go_first_under_a_strategy_that_knows_better),
        CLAIM(what_waits_for_a_healthy_agent_is_offered_when_one_is_well),
        CLAIM(who_rejects_is_left_in_peace_for_a_while),
        CLAIM(a_lease_of_before_a_restore_is_not_honoured),
        CLAIM(a_restore_voids_what_was_leased_before),
        CLAIM(what_was_learned_of_an_agent_outlives_a_start),
        CLAIM(a_lapsed_lease_is_fenced_once_another_has_the_task),
        CLAIM(a_lease_that_was_given_up_is_over),
        CLAIM(an_offer_that_is_lost_with_its_agent_was_never_begun),
        CLAIM(a_retry_keeps_its_place),
        CLAIM(no_lease_reaches_past_the_time_of_the_attempt),
        CLAIM(who_has_the_task_of_another_only_reports_of_it),
        CLAIM(work_whose_lease_only_lapsed_still_counts),
        CLAIM(an_agent_that_is_gone_loses_its_tasks_at_once),
        CLAIM(who_lets_offers_lapse_is_offered_less_and_less),
        CLAIM(the_pause_of_one_keeps_nothing_from_others),
        CLAIM(any_answer_and_a_new_session_end_the_pause),
        CLAIM(who_comes_back_is_known_by_what_it_did),
        CLAIM(who_departed_is_named_and_may_still_deliver),
        CLAIM(who_departed_gets_nothing_until_it_is_back),
        CLAIM(who_came_by_a_stream_and_departed_gets_nothing_without_one),
        CLAIM(tasks_that_cost_agents_are_poison),
        CLAIM(assignments_in_vain_are_part_of_the_success_rate),
        CLAIM(an_agent_is_busy_while_its_slots_are_taken),
        CLAIM(a_draining_agent_is_inactive_when_its_last_lease_is_gone),
        CLAIM(bottlenecks_are_what_agents_report_and_hold),
        CLAIM(an_agent_gets_no_more_than_its_slots),
        CLAIM(an_agent_whose_stream_closed_gets_nothing_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
