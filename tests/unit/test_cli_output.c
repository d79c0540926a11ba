/* What the command line prints: every form, and text of others made harmless. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <stdlib.h>

#include "channels/json_scan.h"
#include "hub/cli/output.h"
#include "hub/cli/text.h"

static const char list[] =
    "{\"count\":3,\"bees\":[{\"id\":\"b-1\",\"n\":12345678901234567890,\"in\":{\"x\":0.10},"
    "\"tags\":[\"a\",\"b\"],"
    "\"at\":\"2026-11-20T10:00:00.000Z\",\"state\":\"active\"},\n"
    "{\"id\":\"蜂\",\"n\":7,\"in\":{},\"tags\":[],\"at\":null,\"state\":\"stale\"},"
    "{\"id\":\"long-long-long-long\",\"n\":1,\"state\":\"x\"}]}";

// clang-format off
static const struct column columns[] = {
    { "ID", "id", COLUMN_TEXT, false }, { "N", "n", COLUMN_NUMBER, false }, { "X", "in.x", COLUMN_TEXT, false },
    { "AGE", "at", COLUMN_AGE, false }, { "TAGS", "tags", COLUMN_TEXT, true }, { "STATE", "state", COLUMN_STATUS, false },
    { 0 },
};
// clang-format on

/* Prints with `show` and returns the text, which the caller frees. */
static char *shown(struct output out, void (*show)(const struct output *))
{
    char *text = NULL;
    size_t n = 0;
    out.to = open_memstream(&text, &n);
    assert_non_null(out.to);
    show(&out);
    fclose(out.to);
    return text;
}

static void show_list(const struct output *out)
{
    output_list(out, slice_str(list), "bees", columns);
}

static void expect_list(struct output out, const char *text)
{
    char *got = shown(out, show_list);
    assert_string_equal(got, text);
    free(got);
}

static void a_table_has_columns_as_wide_as_their_widest_cell(void **state)
{
    (void)state;
    expect_list(
        (struct output){.format = OUT_TABLE},
        "ID                                      N  X                          AGE  STATE\n"
        "b-1                  12345678901234567890  0.10  2026-11-20T10:00:00.000Z  active\n"
        "蜂                                      7  -                            -  stale\n"
        "long-long-long-long                     1  -                            -  x\n");
}

static void wide_shows_more_columns(void **state)
{
    (void)state;
    char *got = shown((struct output){.format = OUT_WIDE}, show_list);
    assert_non_null(strstr(got, "TAGS"));
    assert_non_null(strstr(got, "  a,b  "));
    free(got);
}

static void a_narrow_terminal_takes_from_the_widest_column(void **state)
{
    (void)state;
    /* 2026-11-20T10:01:30Z */
    struct output out = {.format = OUT_TABLE, .columns_max = 34, .now_ms = 1795168890000};
    expect_list(out, "ID            N  X     AGE  STATE\n"
                     "b-1     123456…  0.10  90s  active\n"
                     "蜂            7  -       -  stale\n"
                     "long-…        1  -       -  x\n");
}

static void json_is_what_the_hub_said(void **state)
{
    (void)state;
    struct buf want = {0};
    buf_add_str(&want, list);
    buf_add(&want, "\n", 2);
    expect_list((struct output){.format = OUT_JSON}, (const char *)want.p);
    buf_done(&want);
}

static void ndjson_and_id_are_a_line_an_item(void **state)
{
    (void)state;
    expect_list((struct output){.format = OUT_ID}, "b-1\n蜂\nlong-long-long-long\n");
    char *got = shown((struct output){.format = OUT_NDJSON}, show_list);
    size_t lines = 0;
    for (const char *p = got; (p = strchr(p, '\n')); p++) {
        lines++;
    }
    assert_int_equal(lines, 3);
    assert_non_null(strstr(got, "12345678901234567890"));
    free(got);
}

static void expect_yaml(const char *json, const char *yaml)
{
    struct buf b = {0};
    yaml_add(&b, slice_str(json));
    buf_add(&b, "", 1);
    assert_string_equal((const char *)b.p, yaml);
    buf_done(&b);
}

static void yaml_keeps_strings_strings_and_digits_digits(void **state)
{
    (void)state;
    expect_yaml("{\"a\":1.10,\"b\":\"text\",\"c\":[1,{\"d\":null,\"e\":[]},[2,3]],\"f\":{}}",
                "a: 1.10\nb: text\nc:\n  - 1\n  - d: null\n    e: []\n  - - 2\n    - 3\nf: {}\n");
    expect_yaml("{\"a b\":\"yes\",\"No\":\"1\",\"x\":\"a: "
                "b\",\"y\":\"\",\"z\":\"\\u00e9\\n\\ud83d\\udc1d\"}",
                "\"a b\": \"yes\"\n\"No\": \"1\"\nx: \"a: b\"\n\"y\": \"\"\nz: \"é\\n🐝\"\n");
    expect_yaml("\"plain\"", "plain\n");
    expect_yaml("[]", "[]\n");
    expect_yaml("7", "7\n");
}

static void show_object(const struct output *out)
{
    static const char text[] =
        "{\"agent\":{\"id\":\"b\",\"load\":{\"cpu\":0.5,\"deep\":{\"x\":1}},\"none\":null}}";
    output_object(out, slice_str(text), "agent", "id");
}

static void an_object_is_a_line_a_member(void **state)
{
    (void)state;
    char *got = shown((struct output){.format = OUT_TABLE}, show_object);
    assert_string_equal(got, "id           b\nload.cpu     0.5\nload.deep.x  1\nnone         -\n");
    free(got);
    got = shown((struct output){.format = OUT_ID}, show_object);
    assert_string_equal(got, "b\n");
    free(got);
}

static void show_records(const struct output *out)
{
    static const char text[] =
        "{\"tags\":[\"a\",\"b\"],\"parts\":[{\"n\":0},{\"n\":1},null],\"z\":[]}";
    output_object(out, slice_str(text), NULL, "tags");
}

static void objects_in_a_list_are_a_line_each(void **state)
{
    (void)state;
    char *got = shown((struct output){.format = OUT_TABLE}, show_records);
    assert_string_equal(got,
                        "tags   a,b\nparts  {\"n\":0}\n       {\"n\":1}\n       -\nz      -\n");
    free(got);
}

static void expect_clean(const char *raw, size_t n, const char *clean)
{
    struct buf b = {0};
    text_add_clean(&b, slice_of(raw, n));
    buf_add(&b, "", 1);
    assert_string_equal((const char *)b.p, clean);
    buf_done(&b);
}

static void control_characters_and_broken_text_come_out_harmless(void **state)
{
    (void)state;
    expect_clean("a\033[2Jb\r\n\x7f", 9, "a\\x1b[2Jb\\x0d\\x0a\\x7f");
    expect_clean("\xc2\x9b", 2, "\\x9b");
    expect_clean("\xff\xc3", 2, "\xef\xbf\xbd\xef\xbf\xbd");
    expect_clean("žluť 🐝", strlen("žluť 🐝"), "žluť 🐝");
}

static void columns_are_counted_as_a_terminal_counts(void **state)
{
    (void)state;
    assert_int_equal(text_columns(slice_str("abc")), 3);
    assert_int_equal(text_columns(slice_str("žluť")), 4);
    assert_int_equal(text_columns(slice_str("蜂🐝")), 4);
    assert_int_equal(text_columns(slice_str("e\xcc\x81")), 1); /* a combining accent */
}

static void what_is_cut_is_never_wider_than_it_may_be(void **state)
{
    static const char *const texts[] = {"", "a", "abcdef", "蜂蜂蜂蜂", "a蜂b蜂c", "e\xcc\x81xyz"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t columns_n = 0; columns_n < 10; columns_n++) {
            for (int how = 0; how < 3; how++) {
                struct buf b = {0};
                if (how == 2) {
                    text_add_id(&b, slice_str(texts[i]), columns_n);
                } else {
                    text_add_fitted(&b, slice_str(texts[i]), columns_n, how);
                }
                assert_int_equal(text_columns(slice_of(b.p, b.n)), columns_n);
                buf_done(&b);
            }
        }
    }
}

static void a_long_fraction_is_shortened_where_people_read(void **state)
{
    static const char *const shown_as[][2] = {{"0.036666666666666667", "0.0367"},
                                              {"12345.678901234", "12345.679"},
                                              {"0.99991234", "0.99991234"},
                                              {"12345678901234567890", "12345678901234567890"},
                                              {"\"0.036666666666666667\"", "0.036666666666666667"}};
    static const struct column column = {.title = "X", .path = "x"};
    (void)state;
    for (size_t i = 0; i < sizeof shown_as / sizeof *shown_as; i++) {
        struct buf item = {0}, cell = {0};
        buf_printf(&item, "{\"x\":%s}", shown_as[i][0]);
        output_cell(&cell, &column, buf_slice(&item), 0);
        assert_true(slice_is(buf_slice(&cell), shown_as[i][1]));
        buf_done(&item);
        buf_done(&cell);
    }
}

static void an_id_is_cut_in_the_middle(void **state)
{
    struct buf b = {0};
    (void)state;
    text_add_id(&b, slice_str("task_93681a000000000b"), 11);
    buf_add_str(&b, "|");
    text_add_id(&b, slice_str("bee-1"), 7);
    assert_true(slice_is(buf_slice(&b), "task_…0000b|bee-1  "));
    buf_done(&b);
}

static void times_are_read(void **state)
{
    int64_t ms;
    (void)state;
    assert_true(time_read(slice_str("2026-11-20T17:34:21.123Z"), &ms));
    assert_int_equal(ms, 1795196061123);
    assert_true(time_read(slice_str("1970-01-01T00:00:00+00:00"), &ms));
    assert_int_equal(ms, 0);
    assert_false(time_read(slice_str("yesterday"), &ms));
    assert_false(time_read(slice_str("2026-11-20T17:34:21.123Z and a lot of rest behind it"), &ms));
}

static void a_path_finds_its_value_or_nothing(void **state)
{
    struct slice value = slice_str("{\"a\":{\"b\":[1],\"c\":\"x\"},\"d\":1}");
    (void)state;
    assert_true(slice_is(json_at(value, "a.c"), "\"x\""));
    assert_true(slice_is(json_at(value, "a.b"), "[1]"));
    assert_true(slice_equal(json_at(value, ""), value));
    assert_int_equal(json_at(value, "a.z").n, 0);
    assert_int_equal(json_at(value, "d.e").n, 0);
    assert_int_equal(json_at(value, "a.b.c").n, 0);
}

int main(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_has_columns_as_wide_as_their_widest_cell),
        cmocka_unit_test(a_long_fraction_is_shortened_where_people_read),
        cmocka_unit_test(wide_shows_more_columns),
        cmocka_unit_test(a_narrow_terminal_takes_from_the_widest_column),
        cmocka_unit_test(json_is_what_the_hub_said),
        cmocka_unit_test(ndjson_and_id_are_a_line_an_item),
        cmocka_unit_test(yaml_keeps_strings_strings_and_digits_digits),
        cmocka_unit_test(an_object_is_a_line_a_member),
        cmocka_unit_test(objects_in_a_list_are_a_line_each),
        cmocka_unit_test(control_characters_and_broken_text_come_out_harmless),
        cmocka_unit_test(columns_are_counted_as_a_terminal_counts),
        cmocka_unit_test(what_is_cut_is_never_wider_than_it_may_be),
        cmocka_unit_test(an_id_is_cut_in_the_middle),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(a_path_finds_its_value_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
