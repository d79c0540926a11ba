/* What `waggle top` is put together from: the last while of a figure, the pulses, one action on
 * many, trees, queues. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "channels/json_scan.h"
#include "hub/cli/queues.h"
#include "hub/cli/top_bulk.h"

static void expect_text(struct buf *b, const char *want)
{
    buf_add(b, "", 1);
    assert_string_equal((const char *)b->p, want);
    buf_done(b);
}

static void expect_line(const struct series *s, size_t columns, bool ascii, const char *want)
{
    struct buf b = {0};
    series_draw(s, &b, columns, ascii);
    expect_text(&b, want);
}

static void braille_has_two_values_in_a_character_and_the_newest_at_the_end(void **state)
{
    struct series s = {0};
    (void)state;
    expect_line(&s, 2, false, "\u2800\u2800");
    series_add(&s, 4);
    expect_line(&s, 2, false, "\u2800\u28b8");
    series_add(&s, 2);
    expect_line(&s, 2, false, "\u2800\u28e7");
    series_add(&s, 0.001); /* little, but not nothing */
    expect_line(&s, 2, false, "\u28b8\u28c4");
    expect_line(&s, 1, false, "\u28c7"); /* the highest of those that are shown */
}

static void ascii_has_a_shade_for_each_value(void **state)
{
    struct series s = {0};
    (void)state;
    for (int i = 0; i <= 7; i++) {
        series_add(&s, i);
    }
    expect_line(&s, 8, true, " .:-=+*#");
    expect_line(&s, 10, true, "   .:-=+*#");
}

static void a_series_forgets_its_oldest(void **state)
{
    struct series s = {0};
    (void)state;
    series_add(&s, 1000);
    for (int i = 0; i < SERIES_MAX; i++) {
        series_add(&s, 1);
    }
    assert_int_equal(s.n, SERIES_MAX);
    assert_true(series_most(&s) == 1);
}

static void take(struct top_pulse *p, const char *figures, int64_t at_ms)
{
    top_pulse_take(p, slice_str(figures), at_ms);
}

static void counters_become_rates_and_sums_means(void **state)
{
    struct top_pulse p = {0};
    (void)state;
    take(&p,
         "{\"tasks_completed_total\":10,\"tasks_queued\":7,\"offers_total\":4,\"offer_wait_ms_"
         "total\":100}",
         1000);
    assert_int_equal(p.series[PULSE_COMPLETED].n, 0); /* nothing to compare with yet */
    take(&p,
         "{\"tasks_completed_total\":30,\"tasks_queued\":5,\"offers_total\":8,\"offer_wait_ms_"
         "total\":160}",
         3000);
    assert_true(p.now[PULSE_COMPLETED] == 10);
    assert_true(p.now[PULSE_QUEUED] == 5);
    assert_true(p.now[PULSE_DISPATCH] == 15);
    take(&p,
         "{\"tasks_completed_total\":30,\"tasks_queued\":5,\"offers_total\":8,\"offer_wait_ms_"
         "total\":160}",
         4000);
    assert_true(p.now[PULSE_COMPLETED] == 0);
    assert_true(p.now[PULSE_DISPATCH] == 0);
}

static void a_hub_that_counts_from_nothing_again_has_no_rate(void **state)
{
    struct top_pulse p = {0};
    (void)state;
    take(&p, "{\"messages_in\":1000}", 1000);
    take(&p, "{\"messages_in\":10}", 2000);
    assert_true(p.now[PULSE_IN] == 0);
    take(&p, "{\"messages_in\":99}", 60000); /* after a gap as at the start */
    assert_int_equal(p.series[PULSE_IN].n, 1);
}

static void pulses_are_a_list_of_all_of_them(void **state)
{
    struct top_pulse p = {0};
    struct buf list = {0};
    struct slice key, item;
    size_t n = 0;
    (void)state;
    take(&p, "{\"connections\":3}", 1000);
    take(&p, "{\"connections\":3}", 2000);
    top_pulse_list(&p, 4, true, &list);
    for (struct json_walk w = json_walk_of(buf_slice(&list)); json_walk_next(&w, &key, &item);) {
        n += json_at(item, "past").n == 6;
    }
    assert_int_equal(n, PULSES);
    buf_done(&list);
}

static const struct top_action drain = {
    'D', "drain", "agents.status", "agent_id", "\"status\":\"draining\"", true};

static void one_action_on_many_is_sent_a_few_at_a_time(void **state)
{
    enum { N = BULK_WAITING_MAX + 2 };
    struct top_bulk b = {0};
    struct top_model m = {0};
    struct buf params = {0};
    char **ids = xcalloc(N, sizeof *ids);
    (void)state;
    for (size_t i = 0; i < N; i++) {
        ids[i] = xstrndup("bee", 3);
    }
    top_bulk_begin(&b, &drain, ids, N, "re\"pair");
    assert_true(top_bulk_next(&b, &params));
    expect_text(&params,
                "{\"agent_id\":\"bee\",\"reason\":\"re\\\"pair\",\"status\":\"draining\"}");
    size_t sent = 1;
    for (; top_bulk_next(&b, &params); sent++) {
    }
    assert_int_equal(sent, BULK_WAITING_MAX);
    top_bulk_answer(&b, (struct slice){0});
    assert_true(top_bulk_next(&b, &params));
    for (size_t i = 1; i < N; i++) {
        (void)top_bulk_next(&b, &params);
        assert_true(top_bulk_is_busy(&b));
        top_bulk_answer(&b, i == 3   ? slice_str("not yours")
                            : i == 4 ? slice_str("gone")
                                     : (struct slice){0});
    }
    assert_false(top_bulk_is_busy(&b));
    top_bulk_say(&b, &m);
    assert_string_equal(m.message, "drain: 8 done, 2 refused: not yours");
    top_bulk_answer(&b, slice_str("once more")); /* nobody waits for it */
    assert_int_equal(b.refused, 2);
    top_bulk_done(&b);
    buf_done(&params);
}

static void without_a_reason_none_is_sent(void **state)
{
    struct top_bulk b = {0};
    struct buf params = {0};
    char **ids = xcalloc(1, sizeof *ids);
    (void)state;
    ids[0] = xstrndup("bee", 3);
    top_bulk_begin(&b, &drain, ids, 1, "");
    assert_true(top_bulk_next(&b, &params));
    expect_text(&params, "{\"agent_id\":\"bee\",\"status\":\"draining\"}");
    top_bulk_done(&b);
}

static void note_question(void *ctx, const char *method, struct slice params)
{
    struct buf *asked = ctx;
    buf_printf(asked, "%s %.*s\n", method, (int)params.n, (const char *)params.p);
}

static void a_network_is_a_tree_of_executions_tasks_and_agents(void **state)
{
    struct top_tree t = {0};
    struct buf asked = {0}, text = {0};
    struct tree_asker asker = {note_question, &asked};
    (void)state;
    top_tree_begin(&t, TREE_NETWORK, slice_str("n1"), slice_str("{\"id\":\"n1\",\"name\":\"net\"}"),
                   &asker);
    expect_text(&asked, "networks.executions {\"network_id\":\"n1\",\"limit\":20}\n");
    top_tree_answer(&t,
                    slice_str("{\"executions\":[{\"execution_id\":\"e1\",\"status\":\"running\","
                              "\"results\":{\"parts\":["
                              "{\"task_id\":\"t1\",\"status\":\"done\",\"agent_id\":\"b1\"},{"
                              "\"task_id\":\"t2\",\"status\":\"running\",\"agent_id\":\"b2\"}]}},"
                              "{\"execution_id\":\"e2\",\"status\":\"failed\",\"results\":null}]}"),
                    &asker);
    top_tree_write(&t, true, &text);
    expect_text(&text, "network  n1  net\n"
                       "|- execution  e1  running\n"
                       "|  |- task  t1  done\n"
                       "|  |  `- agent  b1\n"
                       "|  `- task  t2  running\n"
                       "|     `- agent  b2\n"
                       "`- execution  e2  failed\n");
    top_tree_done(&t);
}

static void a_swarms_works_are_asked_for_once_each(void **state)
{
    struct top_tree t = {0};
    struct buf asked = {0}, text = {0};
    struct tree_asker asker = {note_question, &asked};
    (void)state;
    top_tree_begin(&t, TREE_SWARM, slice_str("s1"), slice_str("{\"swarm_id\":\"s1\"}"), &asker);
    buf_clear(&asked);
    top_tree_answer(&t,
                    slice_str("{\"events\":[{\"data\":{\"task_id\":\"w2\"}},{\"data\":{}},{"
                              "\"data\":{\"task_id\":\"w2\"}},"
                              "{\"data\":{\"task_id\":\"w1\"}}]}"),
                    &asker);
    expect_text(&asked, "swarm.task {\"task_id\":\"w2\"}\nswarm.task {\"task_id\":\"w1\"}\n");
    assert_int_equal(t.waiting, 2);
    top_tree_answer(
        &t,
        slice_str(
            "{\"task_id\":\"w2\",\"coordination_strategy\":\"race\",\"status\":\"completed\","
            "\"shards\":["
            "{\"task_id\":\"t9\",\"status\":\"done\",\"agent_id\":\"b1\",\"member_id\":\"m1\"}]}"),
        &asker);
    top_tree_refused(&t, slice_str("\"no such work\""));
    assert_int_equal(t.waiting, 0);
    top_tree_write(&t, true, &text);
    expect_text(&text, "swarm  s1\n"
                       "|- work  w2  race  completed\n"
                       "|  `- task  t9  done\n"
                       "|     `- agent  b1  m1\n"
                       "`- refused:  no such work\n");
    top_tree_done(&t);
}

static void a_tasks_line_is_as_new_as_its_agent(void **state)
{
    struct top_tree t = {0}, older = {0};
    struct buf asked = {0}, text = {0};
    struct tree_asker asker = {note_question, &asked};
    (void)state;
    top_tree_begin(&t, TREE_TASK, slice_str("t1"),
                   slice_str("{\"task_id\":\"t1\",\"status\":\"pending\"}"), &asker);
    top_tree_answer(&t,
                    slice_str("{\"task\":{\"task_id\":\"t1\",\"status\":\"running\","
                              "\"state\":\"leased\",\"agent_id\":\"b1\"}}"),
                    &asker);
    top_tree_write(&t, true, &text);
    expect_text(&text, "task  t1  running  leased\n"
                       "`- agent  b1\n");
    top_tree_begin(&older, TREE_TASK, slice_str("t1"), slice_str("{\"task_id\":\"t0\"}"), &asker);
    top_tree_keep_root(&t, &older);
    buf_clear(&text);
    top_tree_write(&t, true, &text);
    expect_text(&text, "task  t0\n"
                       "`- agent  b1\n");
    top_tree_done(&t);
    top_tree_done(&older);
    buf_done(&asked);
}

static void a_tree_has_a_bound(void **state)
{
    struct top_tree t = {0};
    struct buf asked = {0}, list = {0};
    struct tree_asker asker = {note_question, &asked};
    (void)state;
    top_tree_begin(&t, TREE_AGENT, slice_str("b"), slice_str("{}"), &asker);
    buf_add_str(&list, "{\"tasks\":[");
    for (int i = 0; i < TREE_NODES_MAX + 5; i++) {
        buf_printf(&list, "%s{\"task_id\":\"t%d\"}", i ? "," : "", i);
    }
    buf_add_str(&list, "]}");
    top_tree_answer(&t, buf_slice(&list), &asker);
    assert_int_equal(t.n, TREE_NODES_MAX);
    top_tree_done(&t);
    buf_done(&list);
    buf_done(&asked);
}

static void queues_are_a_list_that_tells_which_are_paused(void **state)
{
    struct buf list = {0};
    (void)state;
    queues_list(slice_str("{\"queue_sizes\":{\"urgent\":0,\"low\":12},\"paused\":[\"low\"]}"),
                &list);
    expect_text(&list, "[{\"priority\":\"urgent\",\"status\":\"open\",\"waiting\":0},"
                       "{\"priority\":\"low\",\"status\":\"paused\",\"waiting\":12}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(braille_has_two_values_in_a_character_and_the_newest_at_the_end),
        cmocka_unit_test(ascii_has_a_shade_for_each_value),
        cmocka_unit_test(a_series_forgets_its_oldest),
        cmocka_unit_test(counters_become_rates_and_sums_means),
        cmocka_unit_test(a_hub_that_counts_from_nothing_again_has_no_rate),
        cmocka_unit_test(pulses_are_a_list_of_all_of_them),
        cmocka_unit_test(one_action_on_many_is_sent_a_few_at_a_time),
        cmocka_unit_test(without_a_reason_none_is_sent),
        cmocka_unit_test(a_network_is_a_tree_of_executions_tasks_and_agents),
        cmocka_unit_test(a_swarms_works_are_asked_for_once_each),
        cmocka_unit_test(a_tasks_line_is_as_new_as_its_agent),
        cmocka_unit_test(a_tree_has_a_bound),
        cmocka_unit_test(queues_are_a_list_that_tells_which_are_paused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
