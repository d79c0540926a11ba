/* `waggle top` without a terminal: rows, keys, and screens that fit. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>

#include "hub/cli/text.h"
#include "hub/cli/top_draw.h"

static const char agents[] =
    "[{\"agent_id\":\"bee-2\",\"status\":\"active\",\"agent_type\":\"worker\",\"health_score\":0.9,"
    "\"slots\":2,\"capabilities\":[\"x\"]},"
    "{\"agent_id\":\"Ant\",\"status\":\"stale\",\"agent_type\":\"worker\",\"health_score\":0.10,"
    "\"slots\":10},"
    "{\"agent_id\":\"蜂-3\",\"status\":\"busy\",\"agent_type\":\"monitor\",\"health_score\":0.5,"
    "\"slots\":1}]";

static int set_up(void **state)
{
    struct top_model *m = malloc(sizeof *m);
    top_model_init(m);
    m->connected = true;
    m->view = TOP_AGENTS;
    top_table_load(&m->tables[TOP_AGENTS], slice_str(agents), 0);
    *state = m;
    return 0;
}

static int tear_down(void **state)
{
    top_model_done(*state);
    free(*state);
    return 0;
}

static void type(struct top_model *m, const char *keys)
{
    for (; *keys; keys++) {
        (void)top_key(m, *keys);
    }
}

static char *ids(const struct top_table *t)
{
    struct buf b = {0};
    for (size_t i = 0; i < t->shown; i++) {
        json_add_human(&b, json_at(top_table_item(t, i), t->columns[0].path));
        buf_add_str(&b, " ");
    }
    buf_add(&b, "", 1);
    return (char *)b.p;
}

static void expect_ids(const struct top_model *m, const char *want)
{
    char *got = ids(&m->tables[m->view]);
    assert_string_equal(got, want);
    free(got);
}

/* Every line exactly as wide as the screen, whatever is shown on it. */
static void expect_fit(struct top_model *m, size_t rows, size_t columns)
{
    struct top_screen s = {0};
    top_draw(&s, m, rows, columns);
    assert_int_equal(s.rows, rows);
    for (size_t i = 0; i < rows; i++) {
        size_t all = 0;
        for (size_t k = 0; k < s.lines[i].n; k++) {
            all += text_columns(buf_slice(&s.lines[i].segments[k].text));
        }
        if (all != columns && columns > 0) {
            fail_msg("line %zu of %zux%zu is %zu wide", i, columns, rows, all);
        }
    }
    top_screen_done(&s);
}

static char *screen_text(struct top_model *m, size_t rows, size_t columns)
{
    struct top_screen s = {0};
    struct buf b = {0};
    top_draw(&s, m, rows, columns);
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < s.lines[i].n; k++) {
            buf_add_slice(&b, buf_slice(&s.lines[i].segments[k].text));
        }
        buf_add_str(&b, "\n");
    }
    buf_add(&b, "", 1);
    top_screen_done(&s);
    return (char *)b.p;
}

static void rows_sort_by_each_column_and_the_other_way(void **state)
{
    struct top_model *m = *state;
    expect_ids(m, "bee-2 Ant 蜂-3 ");
    type(m, "s");
    expect_ids(m, "Ant bee-2 蜂-3 ");
    type(m, "S");
    expect_ids(m, "蜂-3 bee-2 Ant ");
    type(m, "Ssss"); /* back up, then status, type, health */
    expect_ids(m, "Ant 蜂-3 bee-2 ");
    type(m, "sss"); /* slots are numbers: 10 after 2 */
    expect_ids(m, "蜂-3 bee-2 Ant ");
}

static void a_filter_follows_what_is_typed(void **state)
{
    struct top_model *m = *state;
    type(m, "/BEE");
    expect_ids(m, "bee-2 ");
    (void)top_key(m, TOP_KEY_BACKSPACE);
    (void)top_key(m, TOP_KEY_ENTER);
    assert_int_equal(m->mode, TOP_TABLE);
    expect_ids(m, "bee-2 ");
    (void)top_key(m, TOP_KEY_ESCAPE);
    expect_ids(m, "bee-2 Ant 蜂-3 ");
    type(m, "/!worker");
    expect_ids(m, "蜂-3 ");
    (void)top_key(m, TOP_KEY_ESCAPE);
    type(m, "/-f mntr");
    expect_ids(m, "蜂-3 ");
    (void)top_key(m, TOP_KEY_ESCAPE);
    type(m, "z");
    expect_ids(m, "Ant ");
}

static void what_is_selected_stays_so_when_rows_move(void **state)
{
    struct top_model *m = *state;
    type(m, "j");
    top_table_load(
        &m->tables[TOP_AGENTS],
        slice_str("[{\"agent_id\":\"new\"},{\"agent_id\":\"bee-2\"},{\"agent_id\":\"x\"},"
                  "{\"agent_id\":\"Ant\"}]"),
        0);
    struct buf id = {0};
    assert_true(top_table_id(&m->tables[TOP_AGENTS], &id));
    assert_true(slice_is(buf_slice(&id), "Ant"));
    buf_done(&id);
    top_table_load(&m->tables[TOP_AGENTS], slice_str("[{\"agent_id\":\"only\"}]"), 0);
    assert_int_equal(m->tables[TOP_AGENTS].selected, 0);
    top_table_load(&m->tables[TOP_AGENTS], slice_str("[]"), 0);
    assert_int_equal(m->tables[TOP_AGENTS].shown, 0);
    type(m, "jdyD"); /* nothing is selected: nothing happens */
    assert_int_equal(m->mode, TOP_TABLE);
}

static void what_is_marked_stays_so_and_goes_with_its_row(void **state)
{
    struct top_model *m = *state;
    struct top_table *t = &m->tables[TOP_AGENTS];
    size_t n;
    type(m, "  "); /* each mark goes on to the next row */
    assert_int_equal(t->marks_n, 2);
    assert_true(top_table_is_marked(t, 0) && top_table_is_marked(t, 1));
    assert_false(top_table_is_marked(t, 2));
    type(m, "ss"); /* by status: bee-2, 蜂-3, Ant */
    assert_true(top_table_is_marked(t, 0) && top_table_is_marked(t, 2));
    char **ids = top_table_meant(t, &n);
    assert_int_equal(n, 2);
    assert_string_equal(ids[0], "bee-2");
    assert_string_equal(ids[1], "Ant");
    for (size_t i = 0; i < n; i++) {
        free(ids[i]);
    }
    free(ids);
    top_table_load(t, slice_str("[{\"agent_id\":\"bee-2\"},{\"agent_id\":\"new\"}]"), 0);
    assert_int_equal(t->marks_n, 1);
    (void)top_key(m, TOP_KEY_ESCAPE);
    assert_int_equal(t->marks_n, 0);
    ids = top_table_meant(t, &n); /* without marks what is selected */
    assert_int_equal(n, 1);
    free(ids[0]);
    free(ids);
}

static void a_log_has_the_newest_first_and_an_end(void **state)
{
    struct top_model *m = *state;
    for (int i = 0; i < TOP_ROWS_MAX + 10; i++) {
        char item[64];
        snprintf(item, sizeof item, "{\"channel\":\"c%d\",\"event\":\"x\"}", i);
        top_table_push(&m->tables[TOP_LOG], slice_str(item));
    }
    top_table_arrange(&m->tables[TOP_LOG], 0);
    assert_int_equal(m->tables[TOP_LOG].n, TOP_ROWS_MAX);
    struct slice newest = top_table_item(&m->tables[TOP_LOG], 0);
    assert_non_null(memmem(newest.p, newest.n, "c1009", 5));
}

static void the_log_is_drawn_and_narrowed_to_one_thing(void **state)
{
    struct top_model *m = *state;
    static const char event[] = "{\"type\":\"event\",\"offset\":2,\"channel\":\"agents\",\"event\":"
                                "\"registered\",\"data\":{\"agent_id\":"
                                "\"bee-2\"},\"time\":\"2026-11-20T10:00:00.000Z\"}";
    m->now_ms = 1795168890000;
    top_table_push(&m->tables[TOP_LOG], slice_str(event));
    top_table_push(&m->tables[TOP_LOG], slice_str("{\"channel\":\"x\"}"));
    expect_fit(m, 24, 80);
    type(m, ":lo");
    (void)top_key(m, TOP_KEY_TAB);
    (void)top_key(m, TOP_KEY_ENTER);
    expect_fit(m, 24, 80);
    expect_ids(m, "x agents ");
    (void)top_key(m, TOP_KEY_ESCAPE);
    type(m, "l");
    expect_ids(m, "agents ");
    expect_fit(m, 24, 80);
}

static void a_command_names_a_view_and_tab_completes_it(void **state)
{
    struct top_model *m = *state;
    type(m, ":me");
    (void)top_key(m, TOP_KEY_TAB);
    assert_string_equal(m->input, "messages");
    assert_int_equal(top_key(m, TOP_KEY_ENTER), TOP_LOAD);
    assert_string_equal(top_views[m->view].name, "messages");
    type(m, ":bees");
    assert_int_equal(top_key(m, TOP_KEY_ENTER), TOP_NOTHING);
    assert_non_null(strstr(m->message, "bees"));
    assert_int_equal(top_key(m, TOP_KEY_ESCAPE), TOP_LOAD);
    assert_int_equal(m->view, TOP_AGENTS);
    type(m, ":q");
    assert_int_equal(top_key(m, TOP_KEY_ENTER), TOP_QUIT);
}

static void an_action_asks_first(void **state)
{
    struct top_model *m = *state;
    type(m, "D");
    assert_int_equal(m->mode, TOP_CONFIRM);
    assert_int_equal(top_key(m, 'n'), TOP_NOTHING);
    type(m, "D");
    assert_int_equal(top_key(m, 'y'), TOP_NOTHING);
    assert_int_equal(m->mode, TOP_REASON);
    type(m, "repairq");
    (void)top_key(m, TOP_KEY_BACKSPACE);
    assert_int_equal(top_key(m, TOP_KEY_ENTER), TOP_ACT);
    assert_string_equal(m->action->method, "agents.status");
    assert_string_equal(m->reason, "repair");
    type(m, "Dy");
    (void)top_key(m, TOP_KEY_ESCAPE);
    assert_int_equal(m->mode, TOP_TABLE);
    type(m, "Dy");
    assert_int_equal(top_key(m, TOP_KEY_ENTER), TOP_ACT);
    assert_string_equal(m->reason, "");
}

static void an_action_is_for_what_was_asked_about(void **state)
{
    struct top_model *m = *state;
    type(m, "D");
    top_table_load(&m->tables[TOP_AGENTS], slice_str("[{\"agent_id\":\"other\"}]"), 0);
    char *text = screen_text(m, 24, 80);
    assert_non_null(strstr(text, "drain bee-2? y/n"));
    free(text);
    type(m, "y");
    assert_int_equal(top_key(m, TOP_KEY_ENTER), TOP_ACT);
    assert_int_equal(m->meant_n, 1);
    assert_string_equal(m->meant[0], "bee-2");
}

static void a_reason_may_be_in_any_language_and_is_never_broken(void **state)
{
    struct top_model *m = *state;
    static const char typed[] = "Flügel 蜂";
    type(m, "Dy");
    for (const char *p = typed; *p; p++) {
        (void)top_key(m, (unsigned char)*p);
    }
    (void)top_key(m, TOP_KEY_BACKSPACE);
    assert_int_equal(top_key(m, TOP_KEY_ENTER), TOP_ACT);
    assert_string_equal(m->reason, "Flügel ");
    type(m, "Dy");
    (void)top_key(m, 0xc3); /* half a character */
    assert_int_equal(top_key(m, TOP_KEY_ENTER), TOP_ACT);
    assert_string_equal(m->reason, "\xef\xbf\xbd");
}

static void what_takes_no_reason_is_not_asked_for_one(void **state)
{
    struct top_model *m = *state;
    type(m, "5");
    assert_int_equal(m->view, TOP_DLQ);
    top_table_load(&m->tables[TOP_DLQ], slice_str("[{\"task_id\":\"t1\"}]"), 0);
    type(m, "r");
    assert_int_equal(top_key(m, 'y'), TOP_ACT);
    assert_string_equal(m->action->method, "tasks.replay");
}

static void a_command_does_what_its_key_does(void **state)
{
    struct top_model *m = *state;
    struct top_table *t = &m->tables[TOP_AGENTS];
    type(m, ":drain");
    (void)top_key(m, TOP_KEY_ENTER);
    assert_int_equal(m->mode, TOP_CONFIRM);
    type(m, "n:sort health");
    (void)top_key(m, TOP_KEY_ENTER);
    expect_ids(m, "Ant 蜂-3 bee-2 ");
    type(m, ":sort weather");
    (void)top_key(m, TOP_KEY_ENTER);
    assert_non_null(strstr(m->message, "weather"));
    type(m, ":filter worker");
    (void)top_key(m, TOP_KEY_ENTER);
    expect_ids(m, "Ant bee-2 ");
    type(m, ":re"); /* resume, remove and reverse agree no further */
    (void)top_key(m, TOP_KEY_TAB);
    assert_string_equal(m->input, "re");
    type(m, "v");
    (void)top_key(m, TOP_KEY_TAB);
    assert_string_equal(m->input, "reverse");
    (void)top_key(m, TOP_KEY_ENTER);
    assert_true(t->descending);
}

static void wide_adds_columns_and_sorting_leaves_out_what_is_not_shown(void **state)
{
    struct top_model *m = *state;
    struct top_table *t = &m->tables[TOP_AGENTS];
    char *text = screen_text(m, 24, 200);
    assert_null(strstr(text, "REGION"));
    free(text);
    for (int i = 0; i < 20; i++) {
        type(m, "s");
        assert_true(t->sort < 0 || !t->columns[t->sort].wide);
    }
    type(m, "w");
    text = screen_text(m, 24, 200);
    assert_non_null(strstr(text, "REGION"));
    free(text);
}

static void a_click_selects_sorts_describes_and_goes_to_views(void **state)
{
    struct top_model *m = *state;
    struct top_table *t = &m->tables[TOP_AGENTS];
    free(screen_text(m, 24, 80));
    assert_int_equal(m->places.sidebar, TOP_SIDEBAR);
    size_t titles = m->places.rows_at - 1, left = m->places.sidebar + 1;
    (void)top_click(m, m->places.rows_at + 1, left);
    assert_int_equal(t->selected, 1);
    (void)top_click(m, m->places.rows_at + 3, left); /* below the last row */
    assert_int_equal(t->selected, 1);
    (void)top_click(m, titles, left);
    expect_ids(m, "Ant bee-2 蜂-3 ");
    (void)top_click(m, titles, left);
    expect_ids(m, "蜂-3 bee-2 Ant ");
    (void)top_click(m, titles, m->places.ends[0] + 1);
    assert_int_equal(t->sort, 1);
    top_wheel(m, 3);
    assert_int_equal(t->selected, 2);
    top_wheel(m, -1);
    assert_int_equal(t->selected, 1);
    (void)top_click(m, m->places.rows_at + 1, left);
    assert_int_equal(m->mode, TOP_PAGE);
    assert_int_equal(top_click(m, TOP_HEADER_ROWS + TOP_TASKS, 2), TOP_LOAD);
    assert_int_equal(m->view, TOP_TASKS);
    assert_int_equal(m->mode, TOP_TABLE);
}

static void readonly_and_a_lost_hub_allow_no_action(void **state)
{
    struct top_model *m = *state;
    m->readonly = true;
    type(m, "D");
    assert_int_equal(m->mode, TOP_TABLE);
    assert_non_null(strstr(m->message, "--readonly"));
    m->readonly = false;
    m->connected = false;
    type(m, "D");
    assert_int_equal(m->mode, TOP_TABLE);
}

static void screens_of_every_size_are_full_and_not_more(void **state)
{
    struct top_model *m = *state;
    static const size_t sizes[][2] = {{24, 80}, {1, 1},   {2, 10},   {3, 59}, {4, 60},
                                      {5, 61},  {10, 40}, {60, 200}, {7, 17}, {24, 16}};
    static const char *const keys[] = {"",  "s", "/b",   "\x1b", ":ag", "\x1b", "D",
                                       "y", "x", "\x1b", " w",   "d",   "\x1b", "1"};
    for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
        keys[k][0] == '\x1b' ? (void)top_key(m, TOP_KEY_ESCAPE) : type(m, keys[k]);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            for (int ascii = 0; ascii < 2; ascii++) {
                m->ascii = ascii;
                m->connected = ascii;
                expect_fit(m, sizes[i][0], sizes[i][1]);
            }
        }
        m->connected = true;
    }
}

static void ascii_alone_when_asked_for(void **state)
{
    struct top_model *m = *state;
    m->ascii = true;
    char *text = screen_text(m, 24, 80);
    for (const char *p = text; *p; p++) {
        assert_true((unsigned char)*p < 0x80);
    }
    assert_non_null(strstr(text, "?\?-3")); /* as wide as what it stands for */
    free(text);
}

static void a_lost_hub_has_a_banner_and_the_data_stays(void **state)
{
    struct top_model *m = *state;
    m->connected = false;
    m->lost_ms = 1;
    char *text = screen_text(m, 24, 80);
    assert_non_null(strstr(text, "The hub is away"));
    assert_non_null(strstr(text, "bee-2"));
    free(text);
}

static void a_long_list_scrolls_to_what_is_selected(void **state)
{
    struct top_model *m = *state;
    struct buf list = {0};
    for (int i = 0; i < 100; i++) {
        buf_printf(&list, "%s{\"agent_id\":\"a%02d\"}", i ? "," : "[", i);
    }
    buf_add_str(&list, "]");
    top_table_load(&m->tables[TOP_AGENTS], buf_slice(&list), 0);
    buf_done(&list);
    (void)top_key(m, 'G');
    char *text = screen_text(m, 24, 80);
    assert_non_null(strstr(text, "a99"));
    assert_null(strstr(text, "a50"));
    free(text);
}

static void json_is_laid_out_and_pages_scroll(void **state)
{
    struct top_model *m = *state;
    struct buf b = {0};
    top_add_pretty(&b, slice_str("{\"a\":[1,{}],\"b\":\"x\"}"));
    buf_add(&b, "", 1);
    assert_string_equal((const char *)b.p,
                        "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x\"\n}");
    buf_done(&b);
    type(m, "y");
    char *text = screen_text(m, 8, 80);
    assert_non_null(strstr(text, "\"agent_id\": \"bee-2\""));
    free(text);
    (void)top_key(m, TOP_KEY_END);
    text = screen_text(m, 8, 80);
    assert_null(strstr(text, "\"agent_id\""));
    assert_non_null(strstr(text, "}"));
    free(text);
    (void)top_key(m, TOP_KEY_ESCAPE);
    assert_int_equal(m->mode, TOP_TABLE);
}

int main(void)
{
    (void)setlocale(LC_CTYPE, "C.UTF-8");
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rows_sort_by_each_column_and_the_other_way),
        TEST(a_filter_follows_what_is_typed),
        TEST(what_is_selected_stays_so_when_rows_move),
        TEST(what_is_marked_stays_so_and_goes_with_its_row),
        TEST(a_log_has_the_newest_first_and_an_end),
        TEST(the_log_is_drawn_and_narrowed_to_one_thing),
        TEST(a_command_names_a_view_and_tab_completes_it),
        TEST(an_action_asks_first),
        TEST(an_action_is_for_what_was_asked_about),
        TEST(a_reason_may_be_in_any_language_and_is_never_broken),
        TEST(what_takes_no_reason_is_not_asked_for_one),
        TEST(a_command_does_what_its_key_does),
        TEST(wide_adds_columns_and_sorting_leaves_out_what_is_not_shown),
        TEST(a_click_selects_sorts_describes_and_goes_to_views),
        TEST(readonly_and_a_lost_hub_allow_no_action),
        TEST(screens_of_every_size_are_full_and_not_more),
        TEST(ascii_alone_when_asked_for),
        TEST(a_lost_hub_has_a_banner_and_the_data_stays),
        TEST(a_long_list_scrolls_to_what_is_selected),
        TEST(json_is_laid_out_and_pages_scroll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
