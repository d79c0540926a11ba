/* Tasks, from the request to the answer: submit, offer, lease, report, end. */
#include "hub/tasks/balance.h"
#include "tests/unit/api_fixture.h"

#include <time.h>

struct test {
    struct fixture *f;
    struct principal *boss, *bee, *other, *viewer;
    char task[64], lease[64];
};
static struct test t;

static int setup(void **state)
{
    if (scratch_make(state) != 0) {
        return -1;
    }
    t.f = fixture_open(*state);
    t.boss = person(ROLE_ADMIN, "boss");
    t.bee = person(ROLE_AGENT, "bee");
    t.other = person(ROLE_AGENT, "other");
    t.viewer = person(ROLE_VIEWER, "viewer");
    return 0;
}

static int teardown(void **state)
{
    fixture_close(t.f);
    principal_unref(t.boss);
    principal_unref(t.bee);
    principal_unref(t.other);
    principal_unref(t.viewer);
    return scratch_remove(state);
}

/* ---- asking ---- */

static void settle(void)
{
    for (int i = 0; i < 6; i++) {
        fixture_turn(t.f);
    }
}

static void wait_ms(int64_t ms)
{
    t.f->now_ms += ms;
    settle();
}

static enum hub_rc post(const struct principal *who, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "path body" */
static enum hub_rc post(const struct principal *who, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *body = strchr(text, ' ');
    if (body) {
        *body++ = '\0';
    }
    enum hub_rc rc = request(t.f, who, METHOD_POST, text, body);
    settle();
    return rc;
}

static void agent_comes(const struct principal *who, const char *id, const char *rest)
{
    assert_int_equal(
        post(who, "/agents/register {\"agent_id\":\"%s\",\"agent_type\":\"worker\"%s}", id, rest),
        HUB_OK);
}

static void submit(const char *rest)
{
    assert_int_equal(post(t.boss, "/tasks/submit {\"task_data\":{\"n\":1}%s}", rest), HUB_OK);
    (void)snprintf(t.task, sizeof t.task, "%s", text(t.f, "task_id"));
}

/* The task as its agent sees it; its lease is kept. */
static const char *state_of(const struct principal *who, const char *id)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/tasks/%s", id);
    assert_int_equal(request(t.f, who, METHOD_GET, path, NULL), HUB_OK);
    const char *lease = text(t.f, "task/lease_id");
    if (strcmp(lease, "(none)") != 0) {
        (void)snprintf(t.lease, sizeof t.lease, "%s", lease);
    }
    return text(t.f, "task/state");
}

static enum hub_rc report(const struct principal *who, const char *what, const char *rest)
{
    return post(who, "/tasks/%s/%s {\"lease_id\":\"%s\"%s}", t.task, what, t.lease, rest);
}

static void accepted(void)
{
    assert_string_equal(state_of(t.bee, t.task), "leased");
    assert_int_equal(report(t.bee, "accept", ""), HUB_OK);
}

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
    assert_int_equal(report(t.bee, "complete", ",\"result\":2"), HUB_OK); /* its answer was lost */
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/status", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "stats/tasks_completed")), 1);
    assert_int_equal(json_integer_value(member(t.f, "stats/tasks_distributed")), 1);
}

static void cancelled(const char *rest)
{
    submit(rest);
    assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
    settle();
}

/* Who fits a kind of task is known once and kept for a while when no such task is left. */
static void a_kind_that_rested_knows_who_came_and_went_meanwhile(void **state)
{
    static const char needs[] = ",\"requirements\":{\"capabilities\":[\"dance\"]}";
    (void)state;
    agent_comes(t.other, "b0", "");
    cancelled(needs);
    submit(needs);
    assert_string_equal(state_of(t.boss, t.task), "queued"); /* nobody can */
    assert_int_equal(post(t.boss, "/tasks/%s/cancel {}", t.task), HUB_OK);
    agent_comes(t.bee, "b1", ",\"capabilities\":[\"dance\"]");
    submit(needs);
    accepted();
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    assert_int_equal(request(t.f, t.bee, METHOD_DELETE, "/agents/b1", NULL), HUB_OK);
    submit(needs);
    assert_string_equal(state_of(t.boss, t.task), "queued");
    char waits[64];
    (void)snprintf(waits, sizeof waits, "%s", t.task);
    for (unsigned i = 0; i < 200; i++) { /* more kinds than are kept, this one in use or not */
        char other[100];
        (void)snprintf(other, sizeof other,
                       ",\"requirements\":{\"capabilities\":[\"c%u\",\"dance\"]}", i % 90);
        cancelled(other);
    }
    agent_comes(t.bee, "b2", ",\"capabilities\":[\"dance\"]");
    (void)snprintf(t.task, sizeof t.task, "%s", waits);
    accepted();
    assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    submit(needs);
    accepted();
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
    assert_int_equal(learned_of(1).assigned, 0);
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

/* ---- agents that depart, and come back ---- */

static void departs(const char *id)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/agents/%s/status", id);
    assert_int_equal(request(t.f, t.bee, METHOD_PUT, path, "{\"status\":\"inactive\"}"), HUB_OK);
    settle();
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
    submit(",\"start_to_close_seconds\":2,\"max_attempts\":1");
    agent_comes(t.bee, "b1", "");
    accepted();
    wait_ms(2000);
    assert_string_equal(state_of(t.boss, t.task), "dead");
    assert_string_equal(text(t.f, "task/stop_reason"), "start_to_close_timeout");
    assert_last_told("agent.b1", "task_cancel");
}

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
    writer_free(t.f->hub.writer);
    fixture_writer(t.f);
    struct writer_port port = {
        .inbox = t.f->io.inbox, .home = t.f->io.pool.home, .wake = fixture_wake};
    writer_port_set(t.f->hub.writer, 0, &port);
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

/* ---- strategies among many ---- */

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

/* ---- what is kept in memory of tasks at work, and what is not: hub/tasks/kept.c ---- */

/* Through every kind of change; what it was asked for is there at the end as at the beginning. */
static void goes_all_the_way(const char *avoided)
{
    assert_string_equal(state_of(t.boss, t.task), "leased");
    assert_string_equal(text(t.f, "task/requirements/avoid/0"), avoided);
    assert_int_equal(report(t.bee, "reject", ""), HUB_OK);
    wait_ms(5000);
    accepted();
    assert_int_equal(report(t.bee, "progress", ",\"percent\":40,\"note\":\"half\""), HUB_OK);
    assert_int_equal(report(t.bee, "ask", ",\"question\":\"which?\""), HUB_OK);
    assert_int_equal(post(t.boss, "/tasks/%s/input {\"input\":{\"this\":1}}", t.task), HUB_OK);
    accepted();
    assert_int_equal(json_integer_value(member(t.f, "input/this")), 1);
    assert_int_equal(report(t.bee, "fail", ",\"error\":\"broke\",\"retry_after\":0"), HUB_OK);
    wait_ms(10);
    accepted();
    assert_string_equal(state_of(t.boss, t.task), "running");
    assert_string_equal(text(t.f, "task/error"), "broke");
    assert_int_equal(json_integer_value(member(t.f, "task/attempts")), 1);
    assert_int_equal(report(t.bee, "complete", ",\"result\":3"), HUB_OK);
    assert_string_equal(state_of(t.boss, t.task), "completed");
    assert_string_equal(text(t.f, "task/requirements/avoid/0"), avoided);
}

static void a_task_with_more_text_than_is_kept_goes_all_the_way(void **state)
{
    enum { WORDS = 26, WORD = 100 };
    char word[WORD + 1], body[WORDS * (WORD + 3) + 100];
    (void)state;
    memset(word, 'x', WORD);
    word[WORD] = '\0';
    int n = snprintf(body, sizeof body, "{\"task_data\":{},\"requirements\":{\"avoid\":[");
    for (int i = 0; i < WORDS; i++) {
        word[WORD - 1] = (char)('A' + i);
        n += snprintf(body + n, sizeof body - (size_t)n, "%s\"%s\"", i ? "," : "", word);
    }
    (void)snprintf(body + n, sizeof body - (size_t)n, "]}}");
    agent_comes(t.bee, "b1", "");
    assert_int_equal(request(t.f, t.boss, METHOD_POST, "/tasks/submit", body), HUB_OK);
    (void)snprintf(t.task, sizeof t.task, "%s", text(t.f, "task_id"));
    settle();
    word[WORD - 1] = 'A';
    goes_all_the_way(word);
}

/* Tasks that nobody can do, many in a turn. */
static void others_wait(int n)
{
    struct buf word = {0};
    pack_slice(&word, slice_str("flying"));
    struct task_submit submit = {
        .asker = {.subject = slice_str("boss")},
        .spec = {.needs.capabilities = {.n = 1, .packed = buf_slice(&word)}}};
    for (int i = 0; i < n; i++) {
        struct command *command =
            io_command(&t.f->io, &command_task_submit, 1, (struct return_address){0}, 0);
        struct buf *arena = io_arena(&t.f->io);
        command->flags |= COMMAND_SILENT;
        command->body_at = (uint32_t)arena->n;
        task_submit_put(arena, &submit);
        command->body_n = (uint32_t)arena->n - command->body_at;
        if (i % 256 == 255) {
            fixture_turn(t.f);
        }
    }
    buf_done(&word);
    settle();
}

static void a_task_whose_place_another_took_goes_all_the_way(void **state)
{
    enum { BETWEEN = 1 << 14 };
    (void)state;
    submit(",\"requirements\":{\"avoid\":[\"b2\"]}");
    others_wait(BETWEEN);
    assert_int_equal(request(t.f, t.boss, METHOD_GET, "/tasks/status", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(t.f, "stats/states/queued")), BETWEEN + 1);
    agent_comes(t.bee, "b1", "");
    goes_all_the_way("b2");
}

/* More kinds than are remembered without a task, in turn; an agent that comes meanwhile is known to
 * those of them that it fits. */
static void kinds_of_tasks_come_back_whatever_came_between(void **state)
{
    enum { KINDS = 70, TURNS = 3 };
    char wish[64];
    (void)state;
    agent_comes(t.bee, "b1", "");
    for (int i = 0; i < KINDS * TURNS; i++) {
        if (i == KINDS * 2) {
            agent_comes(t.bee, "b2", "");
            departs("b1");
        }
        (void)snprintf(wish, sizeof wish, ",\"requirements\":{\"avoid\":[\"b%d\"]}",
                       10 + i % KINDS);
        submit(wish);
        accepted();
        assert_int_equal(report(t.bee, "complete", ""), HUB_OK);
    }
    submit(",\"requirements\":{\"avoid\":[\"b2\"]}");
    assert_string_equal(state_of(t.boss, t.task), "queued");
}

int main(void)
{
#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_table_is_as_semantics_say),
        CLAIM(a_task_is_offered_accepted_and_completed),
        CLAIM(a_kind_that_rested_knows_who_came_and_went_meanwhile),
        CLAIM(wrong_words_get_their_sentence),
        CLAIM(the_same_id_is_the_same_task_or_a_conflict),
        CLAIM(the_second_form_has_uuids),
        CLAIM(tasks_of_others_are_not_found),
        CLAIM(who_lost_its_connection_is_offered_nothing_however_it_beats),
        CLAIM(an_unanswered_offer_goes_to_another_agent),
        CLAIM(who_rejects_is_left_in_peace_for_a_while),
        CLAIM(a_lease_of_before_a_restore_is_not_honoured),
        CLAIM(a_restore_voids_what_was_leased_before),
        CLAIM(what_was_learned_of_an_agent_outlives_a_start),
        CLAIM(a_lapsed_lease_is_fenced_once_another_has_the_task),
        CLAIM(work_whose_lease_only_lapsed_still_counts),
        CLAIM(an_agent_that_is_gone_loses_its_tasks_at_once),
        CLAIM(who_comes_back_is_known_by_what_it_did),
        CLAIM(who_departed_is_named_and_may_still_deliver),
        CLAIM(who_departed_gets_nothing_until_it_is_back),
        CLAIM(who_came_by_a_stream_and_departed_gets_nothing_without_one),
        CLAIM(tasks_that_cost_agents_are_poison),
        CLAIM(a_failed_task_is_tried_again_and_dies_at_last),
        CLAIM(many_dead_letters_are_replayed_by_filter),
        CLAIM(each_time_limit_ends_with_its_reason),
        CLAIM(a_delayed_task_waits_and_says_so),
        CLAIM(why_waiting_names_what_is_missing),
        CLAIM(why_waiting_says_what_became_of_the_agents_that_fit),
        CLAIM(assignments_in_vain_are_part_of_the_success_rate),
        CLAIM(an_agent_is_busy_while_its_slots_are_taken),
        CLAIM(a_draining_agent_is_inactive_when_its_last_lease_is_gone),
        CLAIM(cancelling_waits_for_the_agent_or_its_grace),
        CLAIM(input_comes_back_with_the_task),
        CLAIM(clearing_a_queue_cancels_what_waits_in_it),
        CLAIM(a_paused_queue_stands_still_until_it_is_resumed),
        CLAIM(bottlenecks_are_what_agents_report_and_hold),
        CLAIM(lists_page_and_filter),
        CLAIM(an_agent_gets_no_more_than_its_slots),
        CLAIM(an_agent_whose_stream_closed_gets_nothing_new),
        CLAIM(a_key_keeps_its_agent_among_thousands),
        CLAIM(the_one_agent_of_a_region_is_found_among_thousands),
        CLAIM(the_nearest_with_a_free_slot_is_who_a_naive_search_finds),
        CLAIM(the_specialist_is_found_among_thousands),
        CLAIM(turns_go_round_all_agents),
        CLAIM(a_key_goes_elsewhere_when_the_preferred_agent_is_full),
        CLAIM(kinds_of_tasks_come_back_whatever_came_between),
        CLAIM(a_task_with_more_text_than_is_kept_goes_all_the_way),
        CLAIM(a_task_whose_place_another_took_goes_all_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
