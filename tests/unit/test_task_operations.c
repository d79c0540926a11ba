/* Tasks, from the request to the answer, as those see them who ask for them: submit, wait, end. */
#include "tests/unit/task_fixture.h"

/* ---- the table of changes ---- */

static void every_cell_of_the_table_is_as_semantics_say(void **state)
{
    (void)state;
    static const struct {
        enum task_state from;
        enum task_event event;
        enum task_state to;
    } cells[] = {
        {TASK_SCHEDULED, TASK_DUE, TASK_QUEUED},
        {TASK_SCHEDULED, TASK_LAPSE, TASK_EXPIRED},
        {TASK_SCHEDULED, TASK_CANCEL, TASK_CANCELLED},
        {TASK_QUEUED, TASK_PICK, TASK_LEASED},
        {TASK_QUEUED, TASK_LAPSE, TASK_EXPIRED},
        {TASK_QUEUED, TASK_CANCEL, TASK_CANCELLED},
        {TASK_QUEUED, TASK_FINISH, TASK_COMPLETED},
        {TASK_QUEUED, TASK_RETRY, TASK_RETRY_WAIT},
        {TASK_QUEUED, TASK_FAIL, TASK_DEAD},
        {TASK_LEASED, TASK_ACCEPT, TASK_RUNNING},
        {TASK_LEASED, TASK_REJECT, TASK_QUEUED},
        {TASK_LEASED, TASK_LOSE, TASK_QUEUED},
        {TASK_LEASED, TASK_CANCEL, TASK_CANCELLED},
        {TASK_RUNNING, TASK_FINISH, TASK_COMPLETED},
        {TASK_RUNNING, TASK_RETRY, TASK_RETRY_WAIT},
        {TASK_RUNNING, TASK_FAIL, TASK_DEAD},
        {TASK_RUNNING, TASK_LOSE, TASK_QUEUED},
        {TASK_RUNNING, TASK_ASK, TASK_INPUT_REQUIRED},
        {TASK_RUNNING, TASK_CANCEL, TASK_CANCELLING},
        {TASK_RETRY_WAIT, TASK_DUE, TASK_QUEUED},
        {TASK_RETRY_WAIT, TASK_FAIL, TASK_DEAD},
        {TASK_RETRY_WAIT, TASK_CANCEL, TASK_CANCELLED},
        {TASK_INPUT_REQUIRED, TASK_INPUT, TASK_QUEUED},
        {TASK_INPUT_REQUIRED, TASK_LAPSE, TASK_EXPIRED},
        {TASK_INPUT_REQUIRED, TASK_CANCEL, TASK_CANCELLED},
        {TASK_CANCELLING, TASK_CONFIRM, TASK_CANCELLED},
    };
    for (unsigned s = TASK_NONE; s < TASK_STATES; s++) {
        for (unsigned e = 0; e < TASK_EVENTS; e++) {
            enum task_state want = TASK_NONE;
            for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
                want = cells[i].from == s && cells[i].event == e ? cells[i].to : want;
            }
            assert_int_equal(task_next((enum task_state)s, (enum task_event)e), want);
        }
    }
}

/* ---- submit ---- */

static void a_task_is_offered_accepted_and_completed(void **state)
{
    (void)state;
    submit(",\"priority\":\"HIGH\"");
    assert_string_equal(text(t.f, "priority"), "HIGH");
    assert_string_equal(text(t.f, "message"), "Task submitted successfully");
    agent_comes(t.bee, "b1", "");
    accepted();
    assert_int_equal(json_integer_value(member(t.f, "task_data/n")), 1);
    assert_int_equal(report(t.bee, "progress", ",\"percent\":40,\"note\":\"half\""), HUB_OK);
    assert_int_equal(report(t.bee, "complete", ",\"result\":{\"ok\":[1]}"), HUB_OK);
    assert_string_equal(state_of(t.boss, t.task), "completed");
    assert_string_equal(text(t.f, "task/stop_reason"), "completed");
    assert_int_equal(json_integer_value(member(t.f, "task/result/ok/0")), 1);
    assert_string_equal(text(t.f, "task/progress/note"), "half");
    assert_int_equal(report(t.bee, "complete", ",\"result\":{\"ok\":[1]}"), HUB_OK);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/status", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "stats/tasks_completed")), 1);
    assert_int_equal(json_integer_value(member(t.f, "stats/tasks_distributed")), 1);
}

static void wrong_words_get_their_sentence(void **state)
{
    (void)state;
    assert_int_equal(post(t.boss, "/tasks/submit {\"task_data\":{},\"priority\":\"soon\"}"),
                     HUB_BAD_REQUEST);
    assert_string_equal(message(t.f), "Invalid priority: soon");
    assert_int_equal(post(t.boss, "/tasks/submit {\"priority\":\"low\"}"), HUB_INVALID);
    assert_int_equal(
        post(t.boss,
             "/tasks/submit {\"task_data\":{},\"requirements\":{\"agent_type\":\"drone\"}}"),
        HUB_INVALID);
    assert_string_equal(message(t.f), "'drone' is not a valid AgentType");
    assert_int_equal(post(t.boss, "/tasks/submit {\"task_data\":{\"n\":18446744073709551616}}"),
                     HUB_INVALID);
    assert_string_equal(message(t.f),
                        "JSON: too big integer near '18446744073709551616': send it as a text");
    assert_int_equal(post(t.boss, "/tasks/queues/soon/clear {}"), HUB_BAD_REQUEST);
    assert_string_equal(message(t.f), "Invalid priority: soon");
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/none", NULL), HUB_NOT_FOUND);
    assert_string_equal(message(t.f), "Task none not found");
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/v1/tasks/none/status", NULL), HUB_INVALID);
    assert_int_equal(post(t.viewer, "/tasks/submit {\"task_data\":{}}"), HUB_FORBIDDEN);
}

static void the_same_id_is_the_same_task_or_a_conflict(void **state)
{
    (void)state;
    static const char first[] = "/tasks/submit {\"task_data\":{\"task_id\":\"t-1\",\"n\":1}}";
    assert_int_equal(post(t.boss, "%s", first), HUB_OK);
    assert_string_equal(text(t.f, "task_id"), "t-1");
    assert_null(member(t.f, "deduplicated"));
    assert_int_equal(post(t.boss, "%s", first), HUB_OK);
    assert_true(json_is_true(member(t.f, "deduplicated")));
    assert_int_equal(post(t.boss, "/tasks/submit {\"task_data\":{\"task_id\":\"t-1\",\"n\":2}}"),
                     HUB_CONFLICT);
    assert_int_equal(post(t.other, "%s", first), HUB_CONFLICT);
    assert_string_equal(message(t.f), "the task id t-1 is taken");
    assert_int_equal(post(t.boss, "/tasks/t-1/cancel {}"), HUB_OK);
    assert_int_equal(post(t.boss, "/tasks/submit {\"task_data\":{\"task_id\":\"t-1\",\"n\":2}}"),
                     HUB_OK);
    assert_string_equal(state_of(t.boss, "t-1"), "queued");
}

static void the_second_form_has_uuids(void **state)
{
    (void)state;
    assert_int_equal(post(t.boss, "/v1/tasks {\"type\":\"x\",\"payload\":{\"a\":1}}"), HUB_OK);
    assert_string_equal(text(t.f, "status"), "pending");
    assert_int_equal(strlen(text(t.f, "task_id")), 36);
    char path[100];
    (void)snprintf(path, sizeof path, "/v1/tasks/%s/status", text(t.f, "task_id"));
    assert_int_equal(request(t.f, t.boss, METHOD_GET, path, NULL), HUB_OK);
    assert_string_equal(text(t.f, "status"), "pending");
    assert_true(json_is_null(member(t.f, "result")));
}

static void tasks_of_others_are_not_found(void **state)
{
    (void)state;
    submit("");
    static const char *const verbs[] = {"accept", "reject", "progress", "complete",
                                        "fail",   "ask",    "cancel",   "replay"};
    char path[128];
    (void)snprintf(path, sizeof path, "/tasks/%s", t.task);
    assert_int_equal(request(t.f, t.other, METHOD_GET, path, NULL), HUB_NOT_FOUND);
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        (void)snprintf(t.lease, sizeof t.lease, "lease_0100000000000000000000000000000100000001");
        assert_int_equal(report(t.other, verbs[i], ""), HUB_NOT_FOUND);
    }
    assert_int_equal(request(t.f, t.other, METHOD_GET, "/tasks", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 0);
    assert_int_equal(request(t.f, t.viewer, METHOD_GET, "/tasks", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 0);
    struct principal *looks = person(ROLE_VIEWER, "boss");
    assert_int_equal(request(t.f, looks, METHOD_GET, "/tasks", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 1); /* looks, and touches nothing */
    principal_unref(looks);
}

/* ---- failures ---- */

static void a_failed_task_is_tried_again_and_dies_at_last(void **state)
{
    (void)state;
    submit(",\"max_attempts\":2");
    agent_comes(t.bee, "b1", "");
    accepted();
    assert_int_equal(report(t.bee, "fail", ",\"error\":\"no luck\",\"retry_after\":7"), HUB_OK);
    assert_string_equal(text(t.f, "state"), "retry_wait");
    assert_string_equal(state_of(t.boss, t.task), "retry_wait");
    assert_string_equal(text(t.f, "task/error"), "no luck");
    wait_ms(6999);
    assert_string_equal(state_of(t.boss, t.task), "retry_wait");
    wait_ms(1);
    accepted();
    assert_int_equal(report(t.bee, "fail", ",\"error\":\"again\""), HUB_OK);
    assert_string_equal(state_of(t.boss, t.task), "dead");
    assert_string_equal(text(t.f, "task/stop_reason"), "max_attempts");
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/dead-letters", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 1);
    assert_int_equal(post(t.boss, "/tasks/%s/replay {}", t.task), HUB_OK);
    assert_string_equal(text(t.f, "state"), "queued");
    assert_int_equal(post(t.boss, "/tasks/%s/replay {}", t.task), HUB_CONFLICT);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/dead-letters", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "count")), 0);
}

static void many_dead_letters_are_replayed_by_filter(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    for (int i = 0; i < 5; i++) {
        submit(i < 3 ? ",\"priority\":\"low\"" : "");
        accepted();
        assert_int_equal(report(t.bee, "fail", ",\"non_retryable\":true"), HUB_OK);
    }
    assert_int_equal(post(t.boss, "/tasks/dead-letters/replay {\"priority\":\"low\"}"), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "replayed_count")), 3);
    assert_int_equal(post(t.boss, "/tasks/dead-letters/replay {\"stop_reason\":\"poison\"}"),
                     HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "replayed_count")), 0);
    assert_int_equal(post(t.boss, "/tasks/dead-letters/replay {\"stop_reason\":\"timeout\"}"),
                     HUB_INVALID);
    assert_int_equal(post(t.boss, "/tasks/dead-letters/purge {\"stop_reason\":\"\"}"), HUB_INVALID);
    assert_int_equal(post(t.boss, "/tasks/dead-letters/replay {\"priority\":\"\"}"),
                     HUB_BAD_REQUEST);
    assert_int_equal(post(t.boss, "/tasks/dead-letters/replay {}"), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "replayed_count")), 2);
}

static int64_t did_many(const struct principal *who, const char *what, const char *counted)
{
    assert_int_equal(post(who, "/tasks/dead-letters/%s {}", what), HUB_OK);
    return json_integer_value(member(t.f, counted));
}

static void dead_letters_of_others_are_left_alone(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(post(t.bee, "/tasks/submit {\"task_data\":{},\"total_seconds\":1}"),
                         HUB_OK);
    }
    wait_ms(1000);
    assert_int_equal(did_many(t.other, "replay", "replayed_count"), 0);
    assert_int_equal(did_many(t.other, "purge", "purged_count"), 0);
    assert_int_equal(did_many(t.bee, "replay", "replayed_count"), 2);
}

static void assert_last_told(const char *channel, const char *event_name)
{
    struct store_reader *reader;
    struct store_view *view;
    struct log_channel found;
    struct log_head head;
    struct log_record record;
    struct event event;
    assert_int_equal(store_reader_new(t.f->hub.store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    assert_int_equal(log_find(view, 1, slice_str(channel), &found), STORE_OK);
    assert_int_equal(log_snapshot(t.f->hub.log, reader, found.channel, &view, &head), STORE_OK);
    assert_int_equal(log_get(view, &head, head.last, &record), STORE_OK);
    assert_true(event_unpack(record.payload, &event) && slice_is(event.name, event_name));
    store_reader_free(reader);
}

static void each_time_limit_ends_with_its_reason(void **state)
{
    (void)state;
    submit(",\"schedule_to_start_seconds\":3");
    wait_ms(3000);
    assert_string_equal(state_of(t.boss, t.task), "expired");
    assert_string_equal(text(t.f, "task/stop_reason"), "schedule_to_start_timeout");
    submit(",\"total_seconds\":4");
    wait_ms(4000);
    assert_string_equal(state_of(t.boss, t.task), "expired");
    assert_string_equal(text(t.f, "task/stop_reason"), "total_timeout");
    agent_comes(t.bee, "b1", "");
    submit(",\"total_seconds\":4");
    accepted();
    assert_int_equal(report(t.bee, "fail", ",\"retry_after\":4"), HUB_OK); /* would come too late */
    assert_string_equal(state_of(t.boss, t.task), "dead");
    assert_string_equal(text(t.f, "task/stop_reason"), "total_timeout");
    submit(",\"input_seconds\":4");
    accepted();
    assert_int_equal(report(t.bee, "ask", ",\"question\":\"which?\""), HUB_OK);
    wait_ms(4000);
    assert_string_equal(state_of(t.boss, t.task), "expired");
    assert_string_equal(text(t.f, "task/stop_reason"), "input_timeout");
    submit(",\"start_to_close_seconds\":2,\"max_attempts\":1");
    accepted();
    wait_ms(2000);
    assert_string_equal(state_of(t.boss, t.task), "dead");
    assert_string_equal(text(t.f, "task/stop_reason"), "start_to_close_timeout");
    assert_last_told("agent.b1", "task_cancel");
}

/* Of each way to end a task under a lease: saying so again, and all that could be said instead. */
static void a_report_said_again_is_answered_as_before_and_another_is_a_conflict(void **state)
{
    static const struct {
        const char *what, *rest;
        enum hub_rc rc;
        const char *said; /* after "task <id>"; NULL: not looked at */
    } rows[] = {
        {"complete", ",\"result\":{\"a\":[1, 2]}", HUB_OK, NULL},
        {"complete", ",\"result\":{\"a\":[1,2]}", HUB_OK, NULL},
        {"complete", ",\"result\":{\"a\":[1,3]}", HUB_CONFLICT,
         " is completed already, with another result"},
        {"complete", "", HUB_CONFLICT, " is completed already, with another result"},
        {"fail", ",\"error\":\"x\"", HUB_CONFLICT, " is completed already"},
        {"ask", ",\"question\":\"?\"", HUB_CONFLICT, " is completed already"},
        {NULL, NULL, HUB_OK, "completed"},
        {"fail", ",\"error\":\"x\",\"retry_after\":9", HUB_OK, NULL},
        {"fail", ",\"error\":\"x\"", HUB_OK, NULL},
        {"fail", ",\"error\":\"y\"", HUB_CONFLICT, " has failed already, in another way"},
        {"fail", ",\"error\":\"x\",\"non_retryable\":true", HUB_CONFLICT,
         " has failed already, in another way"},
        {"complete", ",\"result\":1", HUB_LEASE_LOST, NULL},
        {NULL, NULL, HUB_OK, "retry_wait"},
        {"fail", ",\"error\":\"x\",\"non_retryable\":true", HUB_OK, NULL},
        {"fail", ",\"error\":\"x\",\"non_retryable\":true", HUB_OK, NULL},
        {"fail", ",\"error\":\"y\"", HUB_CONFLICT, " has failed already, in another way"},
        {"complete", ",\"result\":1", HUB_CONFLICT, " has failed already"},
        {NULL, NULL, HUB_OK, "dead"},
        {"ask", ",\"question\":\"which?\"", HUB_OK, NULL},
        {"ask", ",\"question\":\"which?\"", HUB_OK, NULL},
        {"ask", ",\"question\":\"what?\"", HUB_CONFLICT, " asks already, another question"},
        {NULL, NULL, HUB_OK, "input_required"},
    };
    (void)state;
    agent_comes(t.bee, "b1", ",\"slots\":9");
    bool begins = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!rows[i].what) {
            assert_string_equal(state_of(t.boss, t.task), rows[i].said);
            begins = true;
            continue;
        }
        if (begins) {
            submit("");
            accepted();
            begins = false;
        }
        assert_int_equal(report(t.bee, rows[i].what, rows[i].rest), rows[i].rc);
        if (rows[i].said) {
            char said[160];
            (void)snprintf(said, sizeof said, "task %s%s", t.task, rows[i].said);
            assert_string_equal(message(t.f), said);
        }
    }
}

static void a_late_result_is_kept_once(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    submit("");
    accepted();
    assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
    assert_int_equal(report(t.bee, "complete", ",\"result\":\"late\""), HUB_OK);
    assert_int_equal(report(t.bee, "complete", ",\"result\":\"late\""), HUB_OK);
    assert_string_equal(text(t.f, "state"), "cancelled");
    assert_int_equal(report(t.bee, "complete", ",\"result\":\"later\""), HUB_LEASE_LOST);
    assert_string_equal(state_of(t.boss, t.task), "cancelled");
    assert_string_equal(text(t.f, "task/result"), "late");
}

/* Only a lease that lapsed by itself leaves the door open, not one that its agent ended. */
static void who_said_failed_cannot_say_completed_when_the_task_waits_again(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    submit(",\"lease_seconds\":1");
    accepted();
    wait_ms(1000); /* lost once, */
    accepted();
    assert_int_equal(report(t.bee, "fail", ",\"retry_after\":1"), HUB_OK); /* then failed */
    assert_int_equal(
        request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", "{\"status\":\"maintenance\"}"),
        HUB_OK);
    wait_ms(1000);
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_int_equal(report(t.bee, "complete", ",\"result\":1"), HUB_LEASE_LOST);
    assert_string_equal(state_of(t.boss, t.task), "queued");
}

/* Only an agent that takes it ends its waiting: one that is offered it and says nothing, or no,
 * does not. */
static void refusals_do_not_make_a_task_wait_longer_than_it_may(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    submit(",\"schedule_to_start_seconds\":12");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_int_equal(report(t.bee, "reject", ""), HUB_OK);
    for (int s = 0; s < 16; s++) {
        wait_ms(1000);
        assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
    }
    assert_string_equal(state_of(t.boss, t.task), "expired");
    assert_string_equal(text(t.f, "task/stop_reason"), "schedule_to_start_timeout");
}

static bool retries_before(int64_t ms)
{
    uint8_t at[JSON_TIME_BYTES];
    json_time_put(at, t.f->now_ms + ms);
    return memcmp(text(t.f, "retry_at"), at, sizeof at) <= 0;
}

static void retries_are_spread_over_all_of_a_bounded_time(void **state)
{
    unsigned soon = 0, enough = 24;
    (void)state;
    t.f->settings.task_retry_max_ms = 3000;
    agent_comes(t.bee, "b1", "");
    submit(",\"max_attempts\":100");
    for (unsigned i = 0; i < enough; i++) {
        accepted();
        assert_int_equal(report(t.bee, "fail", ""), HUB_OK);
        assert_true(retries_before(3000));
        soon += i >= 2 && retries_before(1500);
        wait_ms(3000);
        assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
        settle();
    }
    assert_in_range(soon, 2, enough - 4);
}

/* ---- tasks that wait ---- */

static void a_delayed_task_waits_and_says_so(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    submit(",\"delay_seconds\":10");
    assert_string_equal(state_of(t.boss, t.task), "scheduled");
    assert_string_equal(text(t.f, "task/why_waiting/reason"), "scheduled");
    wait_ms(10000);
    assert_string_equal(state_of(t.boss, t.task), "leased");
}

static void why_waiting_names_what_is_missing(void **state)
{
    (void)state;
    submit(",\"requirements\":{\"capabilities\":[\"fly\"]}");
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_string_equal(text(t.f, "task/why_waiting/reason"), "no_agent");
    assert_string_equal(text(t.f, "task/why_waiting/message"),
                        "no agent of capability fly is registered");
    assert_int_equal(call_method(t.f, t.boss, "tasks.list", "{}"), HUB_OK);
    assert_string_equal(text(t.f, "tasks/0/why_waiting/reason"), "no_agent");
    agent_comes(t.bee, "b1", ",\"capabilities\":[\"fly\"],\"slots\":0");
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_string_equal(text(t.f, "task/why_waiting/reason"), "no_slots");
    agent_comes(t.bee, "b2", ",\"capabilities\":[\"fly\"]");
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_string_equal(text(t.f, "task/agent_id"), "b2");
}

static void why_waiting_says_what_became_of_the_agents_that_fit(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", ",\"capabilities\":[\"fly\"]");
    assert_int_equal(request(t.f, t.bee, METHOD_PUT, "/agents/b1/status",
                             "{\"status\":\"busy\",\"load_metrics\":{\"cpu\":1}}"),
                     HUB_OK);
    submit(",\"requirements\":{\"capabilities\":[\"fly\"],\"min_health_score\":0.95}");
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_string_equal(text(t.f, "task/why_waiting/reason"), "agents_away");
    assert_string_equal(text(t.f, "task/why_waiting/message"),
                        "agents that fit: 1, none of them active: 1 busy");
    assert_int_equal(
        request(t.f, t.bee, METHOD_PUT, "/agents/b1/status", "{\"status\":\"active\"}"), HUB_OK);
    settle();
    assert_string_equal(state_of(t.boss, t.task), "queued");
    assert_string_equal(text(t.f, "task/why_waiting/reason"), "agents_unhealthy");
    assert_string_equal(
        text(t.f, "task/why_waiting/message"),
        "active agents that fit: 1, none of them healthy enough: the best has 0.80, "
        "the task asks for 0.95");
}

/* ---- cancel, input, clear ---- */

static void cancelling_waits_for_the_agent_or_its_grace(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    submit("");
    accepted();
    assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
    assert_string_equal(text(t.f, "state"), "cancelling");
    assert_int_equal(report(t.bee, "cancel", ""), HUB_OK);
    assert_string_equal(state_of(t.boss, t.task), "cancelled");
    assert_string_equal(text(t.f, "task/stop_reason"), "cancelled");
    submit("");
    accepted();
    assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
    wait_ms(10000);
    assert_string_equal(state_of(t.boss, t.task), "cancelled");
    assert_string_equal(text(t.f, "task/stop_reason"), "cancel_grace");
    assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
    submit("");
    accepted();
    assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
    assert_int_equal(report(t.bee, "complete", ",\"result\":\"late\""), HUB_OK);
    assert_string_equal(state_of(t.boss, t.task), "cancelled");
    assert_string_equal(text(t.f, "task/result"), "late");
}

static void input_comes_back_with_the_task(void **state)
{
    (void)state;
    agent_comes(t.bee, "b1", "");
    submit("");
    accepted();
    assert_int_equal(report(t.bee, "ask", ",\"question\":\"which?\""), HUB_OK);
    wait_ms(120000); /* no lease runs meanwhile */
    assert_int_equal(request(t.f, t.bee, METHOD_POST, "/agents/b1/heartbeat", NULL), HUB_OK);
    settle();
    assert_string_equal(state_of(t.boss, t.task), "input_required");
    assert_string_equal(text(t.f, "task/question"), "which?");
    assert_int_equal(post(t.boss, "/tasks/%s/input {\"input\":{\"this\":1}}", t.task), HUB_OK);
    accepted();
    assert_int_equal(json_integer_value(member(t.f, "input/this")), 1);
    assert_int_equal(post(t.boss, "/tasks/%s/input {\"input\":1}", t.task), HUB_CONFLICT);
}

static void clearing_a_queue_cancels_what_waits_in_it(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        submit(i < 3 ? ",\"priority\":\"low\"" : "");
    }
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/queues", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "queue_sizes/low")), 3);
    assert_int_equal(post(t.boss, "/tasks/queues/LOW/clear {}"), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "cleared_count")), 3);
    assert_string_equal(text(t.f, "priority"), "LOW");
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/queues/stats", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "queue_sizes/low")), 0);
    assert_int_equal(json_integer_value(member(t.f, "queue_sizes/normal")), 1);
    assert_int_equal(json_integer_value(member(t.f, "distribution_stats/states/cancelled")), 3);
}

static void a_paused_queue_stands_still_until_it_is_resumed(void **state)
{
    (void)state;
    assert_int_equal(post(t.bee, "/tasks/queues/low/pause"), HUB_FORBIDDEN);
    assert_int_equal(post(t.boss, "/tasks/queues/odd/pause"), HUB_BAD_REQUEST);
    assert_int_equal(post(t.boss, "/tasks/queues/low/pause {\"reason\":\"disk\"}"), HUB_OK);
    assert_string_equal(text(t.f, "paused/0"), "low");
    submit(",\"priority\":\"low\"");
    char low[sizeof t.task];
    (void)snprintf(low, sizeof low, "%s", t.task);
    agent_comes(t.bee, "b1", ",\"slots\":3");
    assert_string_equal(state_of(t.boss, low), "queued");
    assert_string_equal(text(t.f, "task/why_waiting/reason"), "queue_paused");
    submit("");
    assert_string_equal(state_of(t.boss, t.task), "leased"); /* the others go on */
    /* However long it waits, and over a start of the hub. */
    wait_ms(240000);
    assert_string_equal(state_of(t.boss, low), "queued");
    fixture_restart(t.f, false, 0);
    settle();
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/queues", NULL), HUB_OK);
    assert_string_equal(text(t.f, "paused/0"), "low");
    assert_int_equal(json_integer_value(member(t.f, "queue_sizes/low")), 1);
    agent_comes(t.bee, "b1", ",\"slots\":3");
    assert_string_equal(state_of(t.boss, low), "queued");
    assert_int_equal(post(t.boss, "/tasks/queues/all/resume"), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "paused")), 0);
    assert_string_equal(state_of(t.boss, low), "leased");
}

static void lists_page_and_filter(void **state)
{
    (void)state;
    for (int i = 0; i < 7; i++) {
        submit(i % 2 ? ",\"priority\":\"low\"" : "");
    }
    assert_int_equal(call_method(t.f, t.boss, "tasks.list", "{\"limit\":3}"), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "tasks")), 3);
    assert_string_equal(text(t.f, "tasks/0/task_id"), t.task); /* newest first */
    char params[100];
    (void)snprintf(params, sizeof params, "{\"limit\":5,\"cursor\":\"%s\"}",
                   text(t.f, "next_cursor"));
    assert_int_equal(call_method(t.f, t.boss, "tasks.list", params), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "tasks")), 4);
    assert_true(json_is_null(member(t.f, "next_cursor")));
    assert_int_equal(
        call_method(t.f, t.boss, "tasks.list", "{\"status\":\"pending\",\"priority\":\"low\"}"),
        HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "tasks")), 3);
    assert_int_equal(call_method(t.f, t.boss, "tasks.list", "{\"status\":\"queued\"}"), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "tasks")), 7);
    assert_int_equal(call_method(t.f, t.boss, "tasks.list", "{\"status\":\"odd\"}"), HUB_OK);
    assert_int_equal(json_array_size(member(t.f, "tasks")), 0);
    assert_int_equal(call_method(t.f, t.boss, "tasks.list", "{\"cursor\":\"x\"}"), HUB_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_table_is_as_semantics_say),
        CLAIM(a_task_is_offered_accepted_and_completed),
        CLAIM(wrong_words_get_their_sentence),
        CLAIM(the_same_id_is_the_same_task_or_a_conflict),
        CLAIM(the_second_form_has_uuids),
        CLAIM(tasks_of_others_are_not_found),
        CLAIM(a_failed_task_is_tried_again_and_dies_at_last),
        CLAIM(many_dead_letters_are_replayed_by_filter),
        CLAIM(dead_letters_of_others_are_left_alone),
        CLAIM(each_time_limit_ends_with_its_reason),
        CLAIM(a_report_said_again_is_answered_as_before_and_another_is_a_conflict),
        CLAIM(a_late_result_is_kept_once),
        CLAIM(who_said_failed_cannot_say_completed_when_the_task_waits_again),
        CLAIM(refusals_do_not_make_a_task_wait_longer_than_it_may),
        CLAIM(retries_are_spread_over_all_of_a_bounded_time),
        CLAIM(a_delayed_task_waits_and_says_so),
        CLAIM(why_waiting_names_what_is_missing),
        CLAIM(why_waiting_says_what_became_of_the_agents_that_fit),
        CLAIM(cancelling_waits_for_the_agent_or_its_grace),
        CLAIM(input_comes_back_with_the_task),
        CLAIM(clearing_a_queue_cancels_what_waits_in_it),
        CLAIM(a_paused_queue_stands_still_until_it_is_resumed),
        CLAIM(lists_page_and_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
