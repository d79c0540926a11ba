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

enum { LOG = TOP_VIEWS - 1 };

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
    top_table_load(&m->tables[0], slice_str(agents), 0);
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
        &m->tables[0],
        slice_str("[{\"agent_id\":\"new\"},{\"agent_id\":\"bee-2\"},{\"agent_id\":\"x\"},"
                  "{\"agent_id\":\"Ant\"}]"),
        0);
    struct buf id = {0};
    assert_true(top_table_id(&m->tables[0], &id));
    assert_true(slice_is(buf_slice(&id), "Ant"));
    buf_done(&id);
    top_table_load(&m->tables[0], slice_str("[{\"agent_id\":\"only\"}]"), 0);
    assert_int_equal(m->tables[0].selected, 0);
    top_table_load(&m->tables[0], slice_str("[]"), 0);
    assert_int_equal(m->tables[0].shown, 0);
    type(m, "jdyD"); /* nothing is selected: nothing happens */
    assert_int_equal(m->mode, TOP_TABLE);
}

static void members_of_an_object_are_rows(void **state)
{
    struct top_model *m = *state;
    type(m, "2");
    top_table_load(&m->tables[1], slice_str("{\"urgent\":0,\"low\":12}"), 0);
    expect_ids(m, "urgent low ");
}

static void a_log_has_the_newest_first_and_an_end(void **state)
{
    struct top_model *m = *state;
    for (int i = 0; i < TOP_ROWS_MAX + 10; i++) {
        char item[64];
        snprintf(item, sizeof item, "{\"channel\":\"c%d\",\"event\":\"x\"}", i);
        top_table_push(&m->tables[LOG], slice_str(item));
    }
    top_table_arrange(&m->tables[LOG], 0);
    assert_int_equal(m->tables[LOG].n, TOP_ROWS_MAX);
    struct slice newest = top_table_item(&m->tables[LOG], 0);
    assert_non_null(memmem(newest.p, newest.n, "c1009", 5));
}

static void the_log_is_drawn_and_narrowed_to_one_thing(void **state)
{
    struct top_model *m = *state;
    static const char event[] = "{\"type\":\"event\",\"offset\":2,\"channel\":\"agents\",\"event\":"
                                "\"registered\",\"data\":{\"agent_id\":"
                                "\"bee-2\"},\"time\":\"2026-11-20T10:00:00.000Z\"}";
    m->now_ms = 1795168890000;
    top_table_push(&m->tables[LOG], slice_str(event));
    top_table_push(&m->tables[LOG], slice_str("{\"channel\":\"x\"}"));
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
    assert_int_equal(m->view, 0);
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
    assert_int_equal(top_key(m, 'y'), TOP_ACT);
    assert_string_equal(m->action->method, "agents.status");
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
    static const char *const keys[] = {"", "s", "/b", "\x1b", ":ag", "\x1b", "D", "n", "d"};
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
    top_table_load(&m->tables[0], buf_slice(&list), 0);
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
        TEST(members_of_an_object_are_rows),
        TEST(a_log_has_the_newest_first_and_an_end),
        TEST(the_log_is_drawn_and_narrowed_to_one_thing),
        TEST(a_command_names_a_view_and_tab_completes_it),
        TEST(an_action_asks_first),
        TEST(readonly_and_a_lost_hub_allow_no_action),
        TEST(screens_of_every_size_are_full_and_not_more),
        TEST(ascii_alone_when_asked_for),
        TEST(a_lost_hub_has_a_banner_and_the_data_stays),
        TEST(a_long_list_scrolls_to_what_is_selected),
        TEST(json_is_laid_out_and_pages_scroll),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
