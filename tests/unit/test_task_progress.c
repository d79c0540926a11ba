/* Progress of a task: which of it is stored, and that the last of it always is. */
#include "tests/unit/task_fixture.h"

enum { QUARTER_MS = 250 };

/* ---- words for what the stories do ---- */

static void runs(const char *rest)
{
    char params[256];
    assert_int_equal(call_method(t.f, t.bee, "agents.register",
                                 "{\"agent_id\":\"bee\",\"agent_type\":\"worker\"}"),
                     HUB_OK);
    (void)snprintf(params, sizeof params, "{\"task_data\":{}%s}", rest);
    assert_int_equal(call_method(t.f, t.boss, "tasks.submit", params), HUB_OK);
    (void)snprintf(t.task, sizeof t.task, "%s", text(t.f, "task_id"));
    wait_ms(1);
    (void)snprintf(params, sizeof params, "{\"task_id\":\"%s\"}", t.task);
    assert_int_equal(call_method(t.f, t.bee, "tasks.get", params), HUB_OK);
    (void)snprintf(t.lease, sizeof t.lease, "%s", text(t.f, "task/lease_id"));
}

static enum hub_rc reports(const char *what, const char *rest)
{
    char method[32], params[512];
    (void)snprintf(method, sizeof method, "tasks.%s", what);
    (void)snprintf(params, sizeof params, "{\"task_id\":\"%s\",\"lease_id\":\"%s\"%s}", t.task,
                   t.lease, rest);
    return call_method(t.f, t.bee, method, params);
}

/* Whether it was stored at once. */
static bool comes_to(int percent)
{
    char rest[64];
    (void)snprintf(rest, sizeof rest, ",\"percent\":%d", percent);
    assert_int_equal(reports("progress", rest), HUB_OK);
    return json_is_true(member(t.f, "stored"));
}

static int row_percent(void)
{
    char params[128];
    (void)snprintf(params, sizeof params, "{\"task_id\":\"%s\"}", t.task);
    assert_int_equal(call_method(t.f, t.boss, "tasks.get", params), HUB_OK);
    return (int)json_integer_value(member(t.f, "task/progress/percent"));
}

/* What the history of the task's channel says, in order: its words, and of progress the percent. */
static void history_is(const char *want)
{
    char params[128];
    struct buf got = {0};
    size_t i;
    json_t *one;
    (void)snprintf(params, sizeof params, "{\"channel\":\"task.%s\",\"limit\":100}", t.task);
    assert_int_equal(call_method(t.f, t.boss, "channels.history", params), HUB_OK);
    json_array_foreach(member(t.f, "events"), i, one)
    {
        const char *event = json_string_value(json_object_get(one, "event"));
        json_t *data = json_object_get(one, "data");
        buf_add_str(&got, i ? " " : "");
        if (strcmp(event, "progress") == 0) {
            buf_printf(&got, "%lld",
                       (long long)json_integer_value(json_object_get(data, "percent")));
        } else {
            buf_add_str(&got, event);
        }
    }
    if (!slice_is(buf_slice(&got), want)) {
        fail_msg("%.*s", (int)got.n, (const char *)got.p);
    }
    buf_done(&got);
}

/* ---- claims ---- */

static void the_last_of_a_burst_is_stored_when_its_quarter_of_a_second_is_over(void **state)
{
    (void)state;
    runs("");
    assert_int_equal(reports("accept", ""), HUB_OK);
    assert_true(comes_to(1));
    for (int percent = 2; percent <= 20; percent++) {
        assert_false(comes_to(percent));
        wait_ms(1);
    }
    assert_int_equal(row_percent(), 1);
    wait_ms(QUARTER_MS - 19 - 1);
    assert_int_equal(row_percent(), 1);
    wait_ms(1);
    assert_int_equal(row_percent(), 20);
    assert_int_equal(json_integer_value(member(t.f, "task/progress/seq")), 20);
    history_is("submitted leased running 1 20");
    assert_false(comes_to(21)); /* a quarter from what was stored last */
    wait_ms(QUARTER_MS);
    assert_int_equal(row_percent(), 21);
    wait_ms(QUARTER_MS);
    assert_true(comes_to(22));
    history_is("submitted leased running 1 20 21 22");
}

static void what_is_told_while_another_waits_takes_its_place_with_all_that_it_said(void **state)
{
    (void)state;
    runs("");
    assert_int_equal(reports("accept", ""), HUB_OK);
    assert_true(comes_to(1));
    assert_int_equal(reports("progress", ",\"percent\":50,\"note\":\"half\",\"seq\":7"), HUB_OK);
    assert_int_equal(reports("progress", ",\"percent\":9,\"seq\":6"), HUB_OK); /* an older one */
    assert_int_equal(reports("progress", ",\"seq\":8"), HUB_OK);
    wait_ms(QUARTER_MS);
    assert_int_equal(row_percent(), 50);
    assert_string_equal(text(t.f, "task/progress/note"), "half");
    assert_int_equal(json_integer_value(member(t.f, "task/progress/seq")), 8);
    history_is("submitted leased running 1 50");
}

static void the_last_of_it_comes_to_the_history_before_the_next_change(void **state)
{
    static const struct {
        const char *what, *rest, *history;
        int percent;
    } rows[] = {
        {"complete", ",\"result\":1", "submitted leased running 1 40 completed", 100},
        {"ask", ",\"question\":\"which?\"", "submitted leased running 1 40 input_required", 40},
        {"fail", ",\"error\":\"broke\",\"non_retryable\":true",
         "submitted leased running 1 40 dead", 40},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        runs("");
        assert_int_equal(reports("accept", ""), HUB_OK);
        assert_true(comes_to(1));
        assert_int_equal(reports("progress", ",\"percent\":40,\"note\":\"nearly\""), HUB_OK);
        assert_int_equal(reports(rows[i].what, rows[i].rest), HUB_OK);
        history_is(rows[i].history);
        wait_ms(QUARTER_MS);
        assert_int_equal(row_percent(), rows[i].percent);
        bool asks = strcmp(rows[i].what, "ask") == 0;
        assert_string_equal(text(t.f, asks ? "task/question" : "task/progress/note"),
                            asks ? "which?" : "nearly");
        history_is(rows[i].history);
    }
}

static void who_is_silent_after_it_loses_the_lease_as_ever(void **state)
{
    (void)state;
    runs("");
    assert_int_equal(reports("accept", ""), HUB_OK);
    assert_true(comes_to(1));
    assert_false(comes_to(2));
    wait_ms(QUARTER_MS);
    history_is("submitted leased running 1 2");
    wait_ms(120000);
    char params[128];
    (void)snprintf(params, sizeof params, "{\"task_id\":\"%s\"}", t.task);
    assert_int_equal(call_method(t.f, t.boss, "tasks.get", params), HUB_OK);
    assert_string_not_equal(text(t.f, "task/state"), "running");
    assert_int_equal(reports("progress", ",\"percent\":3"), HUB_LEASE_LOST);
}

/* Only the answer that says so promises that it is stored; a clean end stores the last all the
 * same. */
static void what_waits_is_stored_at_a_clean_end_and_lost_at_a_sudden_one(void **state)
{
    (void)state;
    runs("");
    assert_int_equal(reports("accept", ""), HUB_OK);
    assert_true(comes_to(1));
    assert_false(comes_to(2));
    fixture_restart(t.f, false, 0);
    settle();
    assert_int_equal(row_percent(), 1);
    history_is("submitted leased running 1");
    wait_ms(QUARTER_MS);
    assert_true(comes_to(3));
    assert_int_equal(reports("progress", ",\"percent\":4,\"note\":\"nearly\""), HUB_OK);
    assert_false(json_is_true(member(t.f, "stored")));
    fixture_restart(t.f, true, 0);
    settle();
    assert_int_equal(row_percent(), 4);
    assert_string_equal(text(t.f, "task/progress/note"), "nearly");
    history_is("submitted leased running 1 3 4");
    wait_ms(QUARTER_MS);
    history_is("submitted leased running 1 3 4");
}

static void four_a_second_are_stored_at_most_and_the_last(void **state)
{
    enum { SPAN_MS = 5000, EVERY_MS = 7 };
    unsigned stored = 0;
    int percent = 0;
    (void)state;
    runs("");
    assert_int_equal(reports("accept", ""), HUB_OK);
    for (int ms = 0; ms < SPAN_MS; ms += EVERY_MS) {
        percent = (percent + 1) % 100;
        (void)comes_to(percent);
        wait_ms(EVERY_MS);
    }
    wait_ms(QUARTER_MS);
    assert_int_equal(row_percent(), percent);
    char params[128];
    size_t i;
    json_t *one;
    (void)snprintf(params, sizeof params, "{\"channel\":\"task.%s\",\"limit\":1000}", t.task);
    assert_int_equal(call_method(t.f, t.boss, "channels.history", params), HUB_OK);
    json_array_foreach(member(t.f, "events"), i, one)
    {
        stored += strcmp(json_string_value(json_object_get(one, "event")), "progress") == 0;
    }
    assert_in_range(stored, SPAN_MS / QUARTER_MS / 2, SPAN_MS / QUARTER_MS + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(the_last_of_a_burst_is_stored_when_its_quarter_of_a_second_is_over),
        CLAIM(what_is_told_while_another_waits_takes_its_place_with_all_that_it_said),
        CLAIM(the_last_of_it_comes_to_the_history_before_the_next_change),
        CLAIM(who_is_silent_after_it_loses_the_lease_as_ever),
        CLAIM(what_waits_is_stored_at_a_clean_end_and_lost_at_a_sudden_one),
        CLAIM(four_a_second_are_stored_at_most_and_the_last),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
