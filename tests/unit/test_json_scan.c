/* The scanner against rules written out by hand, and against jansson over generated texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "channels/json_scan.h"
#include "channels/json_text.h"

static struct slice text_of(const char *text)
{
    return slice_str(text);
}

/* A copy without a byte to spare, so that the sanitizers see the first one read past the end. */
static enum json_rc check_exact(const void *p, size_t n, unsigned depth, size_t *out_at)
{
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    if (n) {
        memcpy(copy, p, n);
    }
    enum json_rc rc = json_check(slice_of(copy, n), depth, out_at);
    free(copy);
    return rc;
}

static enum json_rc check(const char *text)
{
    size_t at = 0;
    return check_exact(text, strlen(text), JSON_DEPTH_MAX, &at);
}

struct refusal {
    const char *text;
    enum json_rc rc;
    size_t at;
};

static void each_fault_is_named_with_its_place(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct refusal rows[] = {
        { "",                     JSON_SYNTAX, 0 }, { "  ",                 JSON_SYNTAX, 2 },
        { "\xef\xbb\xbf{}",       JSON_SYNTAX, 0 }, { "{} x",               JSON_SYNTAX, 3 },
        { "1 2",                  JSON_SYNTAX, 2 }, { "[1 2]",              JSON_SYNTAX, 3 },
        { "[1,]",                 JSON_SYNTAX, 3 }, { "[,1]",               JSON_SYNTAX, 1 },
        { "[1}",                  JSON_SYNTAX, 2 }, { "{\"a\":1]",          JSON_SYNTAX, 6 },
        { "{\"a\":}",             JSON_SYNTAX, 5 }, { "{\"a\"}",            JSON_SYNTAX, 4 },
        { "{\"a\" 1}",            JSON_SYNTAX, 5 }, { "{a:1}",              JSON_SYNTAX, 1 },
        { "{\"a\":1,}",           JSON_SYNTAX, 7 }, { "{,}",                JSON_SYNTAX, 1 },
        { "]",                    JSON_SYNTAX, 0 }, { "[[]",                JSON_SYNTAX, 3 },
        { "tru",                  JSON_SYNTAX, 3 }, { "trux",               JSON_SYNTAX, 3 },
        { "nulll",                JSON_SYNTAX, 4 }, { "True",               JSON_SYNTAX, 0 },
        { "NaN",                  JSON_SYNTAX, 0 }, { "-Infinity",          JSON_SYNTAX, 1 },
        { "'a'",                  JSON_SYNTAX, 0 }, { "/**/1",              JSON_SYNTAX, 0 },
        { "01",                   JSON_SYNTAX, 1 }, { "-01",                JSON_SYNTAX, 2 },
        { "-",                    JSON_SYNTAX, 1 }, { "+1",                 JSON_SYNTAX, 0 },
        { ".5",                   JSON_SYNTAX, 0 }, { "1.",                 JSON_SYNTAX, 2 },
        { "1.e3",                 JSON_SYNTAX, 2 }, { "1e",                 JSON_SYNTAX, 2 },
        { "1e+",                  JSON_SYNTAX, 3 }, { "0x10",               JSON_SYNTAX, 1 },
        { "1e1.5",                JSON_SYNTAX, 3 }, { "--1",                JSON_SYNTAX, 1 },
        { "\"a",                  JSON_SYNTAX, 2 }, { "\"a\n\"",            JSON_SYNTAX, 2 },
        { "\"\x1f\"",             JSON_SYNTAX, 1 }, { "\"\\x41\"",          JSON_SYNTAX, 1 },
        { "\"\\u12g4\"",          JSON_SYNTAX, 1 }, { "\"\\u123",           JSON_SYNTAX, 1 },
        { "\"\\",                 JSON_SYNTAX, 2 }, { "\"\\'\"",            JSON_SYNTAX, 1 },
        { "\f1",                  JSON_SYNTAX, 0 }, { "\xc2\xa0" "1",       JSON_SYNTAX, 0 },
        { "\"\\u0000\"",          JSON_ESCAPE, 1 }, { "\"a\\ud800\"",       JSON_ESCAPE, 2 },
        { "\"\\udc00\\ud800\"",   JSON_ESCAPE, 1 }, { "\"\\ud800\\u0041\"", JSON_ESCAPE, 1 },
        { "\"\\ud800\\ud800\"",   JSON_ESCAPE, 1 },
        { "\"\x80\"",             JSON_UTF8,   1 }, { "\"\xc0\xaf\"",       JSON_UTF8,   1 },
        { "\"\xc1\xbf\"",         JSON_UTF8,   1 }, { "\"\xe0\x9f\xbf\"",   JSON_UTF8,   1 },
        { "\"\xed\xa0\x80\"",     JSON_UTF8,   1 }, { "\"\xf0\x8f\xbf\xbf\"", JSON_UTF8, 1 },
        { "\"\xf4\x90\x80\x80\"", JSON_UTF8,   1 }, { "\"\xf5\x80\x80\x80\"", JSON_UTF8, 1 },
        { "\"\xff\"",             JSON_UTF8,   1 }, { "\"\xc3\x28\"",       JSON_UTF8,   1 },
        { "\"\xe2\x82\"",         JSON_UTF8,   1 }, { "\"\xf0\x9f\x90\"",   JSON_UTF8,   1 },
        { "\"12345678\xe2\x28\xa1\"", JSON_UTF8, 9 },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t at = 999;
        enum json_rc rc = check_exact(rows[i].text, strlen(rows[i].text), JSON_DEPTH_MAX, &at);
        if (rc != rows[i].rc || at != rows[i].at) {
            fail_msg("%s: %s at %zu", rows[i].text, json_rc_text(rc), at);
        }
    }
}

static void a_nul_byte_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    size_t at;
    assert_int_equal(check_exact("\0", 1, 32, &at), JSON_SYNTAX);
    assert_int_equal(check_exact("1\0", 2, 32, &at), JSON_SYNTAX);
    assert_int_equal(check_exact("\"a\0b\"", 5, 32, &at), JSON_SYNTAX);
    assert_int_equal(check_exact("\"\\\0\"", 4, 32, &at), JSON_SYNTAX);
    assert_int_equal(check_exact("[\0]", 3, 32, &at), JSON_SYNTAX);
}

static void every_form_of_value_passes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "12",
        "-1.5e+300",
        "1E5",
        "0.000",
        "1e999999999",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "\"\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\udc1d\"",
        "\"\x7f\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x9d\xef\xbf\xbf\xf4\x8f\xbf\xbf\"",
        "\"\xed\x9f\xbf\xee\x80\x80\xe0\xa0\x80\xf0\x90\x80\x80\xc2\x80\"",
        "[]",
        "{}",
        " [ ] ",
        "\t{\n}\r",
        "[[],{},[{}]]",
        "{\"\":{\"\":[]}}",
        "{\"a\":1,\"a\":2}",
        "[1,2.5,\"x\",null,true,false,{\"k\":[]}]",
        "\n\n\n            [                      1 ]  "};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (check(texts[i]) != JSON_OK) {
            fail_msg("refused: %s", texts[i]);
        }
    }
}

static void nesting_is_allowed_up_to_the_bound_and_no_deeper(void **state)
{
    (void)state;
    for (unsigned bound = 0; bound <= JSON_DEPTH_CEILING; bound++) {
        for (int objects = 0; objects < 2; objects++) {
            struct buf b = {0};
            for (unsigned i = 0; i <= bound; i++) {
                buf_add_str(&b, objects ? "{\"a\":" : "[");
            }
            buf_add_str(&b, "1");
            for (unsigned i = 0; i <= bound; i++) {
                buf_add_str(&b, objects ? "}" : "]");
            }
            size_t step = objects ? 5 : 1, at = 999;
            assert_int_equal(check_exact(b.p, b.n, bound, &at), JSON_DEPTH);
            assert_int_equal(at, step * bound);
            assert_int_equal(check_exact(b.p + step, b.n - step - 1, bound, &at), JSON_OK);
            buf_done(&b);
        }
    }
}

static void an_empty_container_counts_as_a_level(void **state)
{
    (void)state;
    size_t at;
    assert_int_equal(json_check(text_of("[]"), 0, &at), JSON_DEPTH);
    assert_int_equal(json_check(text_of("[{}]"), 1, &at), JSON_DEPTH);
    assert_int_equal(json_check(text_of("[{}]"), 2, &at), JSON_OK);
    assert_int_equal(json_check(text_of("1"), 0, &at), JSON_OK);
}

static void a_million_brackets_cost_no_stack(void **state)
{
    (void)state;
    size_t n = 1000000, at = 0;
    uint8_t *brackets = malloc(n);
    assert_non_null(brackets);
    memset(brackets, '[', n);
    assert_int_equal(json_check(slice_of(brackets, n), 32, &at), JSON_DEPTH);
    assert_int_equal(at, 32);
    free(brackets);
}

/* ---- members ---- */

enum { F_TYPE, F_DATA, F_ID, F_COUNT };
static const char *const field_names[F_COUNT] = {"type", "data", "id"};

static enum json_rc fields(const char *text, struct slice out[F_COUNT], size_t *out_at)
{
    return json_fields(text_of(text), field_names, F_COUNT, out, out_at);
}

static void members_are_handed_out_as_the_bytes_they_came_as(void **state)
{
    (void)state;
    struct slice f[F_COUNT];
    size_t at;
    assert_int_equal(
        fields(" { \"x\" : [1,{\"type\":0}] , \"data\" :  { \"a\" : 1.50 } , \"type\":\"t\" } ", f,
               &at),
        JSON_OK);
    assert_true(slice_is(f[F_TYPE], "\"t\""));
    assert_true(slice_is(f[F_DATA], "{ \"a\" : 1.50 }"));
    assert_int_equal(f[F_ID].n, 0);
}

static void an_escaped_key_is_the_key_it_spells(void **state)
{
    (void)state;
    struct slice f[F_COUNT];
    size_t at;
    assert_int_equal(fields("{\"\\u0074ype\":1,\"d\\u0061t\\u0061\":2}", f, &at), JSON_OK);
    assert_true(slice_is(f[F_TYPE], "1"));
    assert_true(slice_is(f[F_DATA], "2"));
    assert_int_equal(fields("{\"type\":1,\"\\u0074\\u0079\\u0070\\u0065\":2}", f, &at),
                     JSON_DUPLICATE);
    assert_int_equal(at, 10);
    /* Longer than any name even when every byte of it is an escape. */
    struct buf b = {0};
    buf_add_str(&b, "{\"");
    for (int i = 0; i < 100; i++) {
        buf_add_str(&b, "\\u0074");
    }
    buf_add_str(&b, "\":1,\"type\":2}");
    assert_int_equal(json_fields(buf_slice(&b), field_names, F_COUNT, f, &at), JSON_OK);
    assert_true(slice_is(f[F_TYPE], "2"));
    buf_done(&b);
}

static void only_a_name_asked_for_must_not_stand_twice(void **state)
{
    (void)state;
    struct slice f[F_COUNT];
    size_t at = 0;
    assert_int_equal(fields("{\"id\":1,\"id\":1}", f, &at), JSON_DUPLICATE);
    assert_int_equal(at, 8);
    assert_int_equal(fields("{\"x\":1,\"x\":1,\"data\":{\"id\":1,\"id\":2},\"id\":3}", f, &at),
                     JSON_OK);
    assert_true(slice_is(f[F_ID], "3"));
}

static void a_key_that_only_begins_like_a_name_is_another(void **state)
{
    (void)state;
    struct slice f[F_COUNT];
    size_t at;
    assert_int_equal(fields("{\"typ\":1,\"types\":2,\"\":3,\"i\":4,\"TYPE\":5}", f, &at), JSON_OK);
    for (int i = 0; i < F_COUNT; i++) {
        assert_int_equal(f[i].n, 0);
    }
}

static void members_nobody_asked_for_are_checked_all_the_same(void **state)
{
    (void)state;
    struct slice f[F_COUNT];
    size_t at;
    assert_int_equal(fields("{\"x\":01}", f, &at), JSON_SYNTAX);
    assert_int_equal(fields("{\"x\":\"\xff\"}", f, &at), JSON_UTF8);
    assert_int_equal(fields("{\"\\ud800\":1}", f, &at), JSON_ESCAPE);
    assert_int_equal(fields("{} {}", f, &at), JSON_SYNTAX);
    assert_int_equal(fields("{\"x\":1,}", f, &at), JSON_SYNTAX);
    assert_int_equal(fields("{\"x\":1", f, &at), JSON_SYNTAX);
    assert_int_equal(at, 6);
}

static void what_is_no_object_is_told_from_what_is_no_json(void **state)
{
    (void)state;
    struct slice f[F_COUNT];
    size_t at = 9;
    assert_int_equal(fields(" [1]", f, &at), JSON_TYPE);
    assert_int_equal(at, 1);
    assert_int_equal(fields("[1", f, &at), JSON_SYNTAX);
    assert_int_equal(fields("", f, &at), JSON_SYNTAX);
    assert_int_equal(json_fields(slice_of(NULL, 0), field_names, F_COUNT, f, &at), JSON_SYNTAX);
    assert_int_equal(at, 0);
}

static void the_object_itself_is_the_first_level(void **state)
{
    (void)state;
    for (unsigned inner = JSON_DEPTH_MAX - 1; inner <= JSON_DEPTH_MAX; inner++) {
        struct buf b = {0};
        buf_add_str(&b, "{\"id\":");
        for (unsigned i = 0; i < inner; i++) {
            buf_add_str(&b, "[");
        }
        for (unsigned i = 0; i < inner; i++) {
            buf_add_str(&b, "]");
        }
        buf_add_str(&b, "}");
        struct slice f[F_COUNT];
        size_t at;
        assert_int_equal(json_fields(buf_slice(&b), field_names, F_COUNT, f, &at),
                         inner < JSON_DEPTH_MAX ? JSON_OK : JSON_DEPTH);
        assert_int_equal(json_check(buf_slice(&b), JSON_DEPTH_MAX, &at),
                         inner < JSON_DEPTH_MAX ? JSON_OK : JSON_DEPTH);
        buf_done(&b);
    }
}

static void sixty_four_names_can_be_asked_for(void **state)
{
    (void)state;
    char store[64][8];
    const char *names[64];
    struct buf b = {0};
    for (int i = 0; i < 64; i++) {
        snprintf(store[i], sizeof store[i], "n%d", i);
        names[i] = store[i];
        buf_printf(&b, "%c\"%s\":%d", i ? ',' : '{', names[i], i);
    }
    buf_add_str(&b, "}");
    struct slice f[64];
    size_t at;
    assert_int_equal(json_fields(buf_slice(&b), names, 64, f, &at), JSON_OK);
    for (unsigned i = 0; i < 64; i++) {
        uint64_t v;
        assert_true(json_to_u64(f[i], &v));
        assert_int_equal(v, i);
    }
    b.n--;
    buf_add_str(&b, ",\"n63\":0}");
    assert_int_equal(json_fields(buf_slice(&b), names, 64, f, &at), JSON_DUPLICATE);
    buf_done(&b);
}

/* ---- walking and reading ---- */

static void a_walk_visits_each_member_in_order(void **state)
{
    (void)state;
    struct json_walk w = json_walk_of(text_of("{ \"a\" : 1 , \"\\u0062\":[2,{}],\"\":\"]\" }"));
    struct slice key, value;
    assert_true(json_walk_next(&w, &key, &value));
    assert_true(slice_is(key, "\"a\"") && slice_is(value, "1"));
    assert_true(json_walk_next(&w, &key, &value));
    assert_true(slice_is(key, "\"\\u0062\"") && slice_is(value, "[2,{}]"));
    assert_true(json_walk_next(&w, &key, &value));
    assert_true(slice_is(key, "\"\"") && slice_is(value, "\"]\""));
    assert_false(json_walk_next(&w, &key, &value));
    assert_false(json_walk_next(&w, &key, &value));

    w = json_walk_of(text_of("[ \"x\", [ ] ]"));
    assert_true(json_walk_next(&w, &key, &value));
    assert_true(key.n == 0 && slice_is(value, "\"x\""));
    assert_true(json_walk_next(&w, &key, &value));
    assert_true(slice_is(value, "[ ]"));
    assert_false(json_walk_next(&w, &key, &value));
}

static void what_holds_nothing_is_walked_in_no_steps(void **state)
{
    (void)state;
    static const char *const texts[] = {"[]", "{ }", "1", "\"[1]\"", "null", ""};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json_walk w = json_walk_of(text_of(texts[i]));
        struct slice key, value;
        assert_false(json_walk_next(&w, &key, &value));
    }
}

static void kinds_are_told_by_the_first_byte(void **state)
{
    (void)state;
    assert_int_equal(json_kind_of(text_of("")), JSON_KIND_NONE);
    assert_int_equal(json_kind_of(text_of("null")), JSON_KIND_NULL);
    assert_int_equal(json_kind_of(text_of("false")), JSON_KIND_FALSE);
    assert_int_equal(json_kind_of(text_of("true")), JSON_KIND_TRUE);
    assert_int_equal(json_kind_of(text_of("-1")), JSON_KIND_NUMBER);
    assert_int_equal(json_kind_of(text_of("0")), JSON_KIND_NUMBER);
    assert_int_equal(json_kind_of(text_of("\"\"")), JSON_KIND_STRING);
    assert_int_equal(json_kind_of(text_of("[]")), JSON_KIND_ARRAY);
    assert_int_equal(json_kind_of(text_of("{}")), JSON_KIND_OBJECT);
    assert_true(slice_is(json_trim(text_of(" \n[1 ]\t ")), "[1 ]"));
    assert_int_equal(json_trim(slice_of(NULL, 0)).n, 0);
}

static void whole_numbers_are_read_up_to_64_bits(void **state)
{
    (void)state;
    uint64_t v = 7;
    assert_true(json_to_u64(text_of("0"), &v) && v == 0);
    assert_true(json_to_u64(text_of("18446744073709551615"), &v) && v == UINT64_MAX);
    assert_true(json_to_u64(text_of("\"18446744073709551615\""), &v) && v == UINT64_MAX);
    assert_true(json_to_u64(text_of("\"42\""), &v) && v == 42);
    static const char *const refused[] = {"18446744073709551616",
                                          "99999999999999999999",
                                          "184467440737095516150",
                                          "-1",
                                          "-0",
                                          "1.0",
                                          "1e3",
                                          "\"\"",
                                          "\"01\"",
                                          "\" 1\"",
                                          "\"\\u0031\"",
                                          "null",
                                          "[1]",
                                          "",
                                          "\"0x1\""};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        assert_false(json_to_u64(text_of(refused[i]), &v));
        assert_int_equal(v, 42);
    }
}

static void doubles_are_read_when_finite(void **state)
{
    (void)state;
    double v = 7;
    assert_true(json_to_double(text_of("-12.5e1"), &v) && v == -125);
    struct buf b = {0};
    buf_add_str(&b, "0.");
    for (int i = 0; i < 1000; i++) {
        buf_add_str(&b, "3");
    }
    assert_true(json_to_double(buf_slice(&b), &v) && v == 1.0 / 3);
    buf_done(&b);
    v = 7;
    assert_false(json_to_double(text_of("1e309"), &v));
    assert_false(json_to_double(text_of("\"1\""), &v));
    assert_false(json_to_double(text_of(""), &v));
    assert_true(v == 7);
}

static void booleans_are_read_from_nothing_else(void **state)
{
    (void)state;
    bool v = false;
    assert_true(json_to_bool(text_of("true"), &v) && v);
    assert_true(json_to_bool(text_of("false"), &v) && !v);
    assert_false(json_to_bool(text_of("1"), &v));
    assert_false(json_to_bool(text_of("\"true\""), &v));
    assert_false(json_to_bool(text_of("null"), &v));
}

static void strings_give_their_text_and_one_canonical_escaping(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *raw, *text, *escaped; } rows[] = {
        { "\"\"",                     "",                 "" },
        { "\"plain\"",                "plain",            "plain" },
        { "\"a\\/b\"",                "a/b",              "a/b" },
        { "\"\\u0022\\u005C\\u0009\"", "\"\\\t",          "\\\"\\\\\\t" },
        { "\"\\b\\f\\n\\r\\t\"",      "\b\f\n\r\t",       "\\b\\f\\n\\r\\t" },
        { "\"\\u001F\\u007f\"",       "\x1f\x7f",         "\\u001f\x7f" },
        { "\"\\u00E9\\u20ac\"",       "\xc3\xa9\xe2\x82\xac", "\xc3\xa9\xe2\x82\xac" },
        { "\"x\\uD83D\\uDC1Dy\"",     "x\xf0\x9f\x90\x9dy", "x\xf0\x9f\x90\x9dy" },
        { "\"\\uFFFF\\uE000\"",       "\xef\xbf\xbf\xee\x80\x80", "\xef\xbf\xbf\xee\x80\x80" },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = {0};
        assert_true(json_to_text(text_of(rows[i].raw), &b));
        assert_true(slice_is(buf_slice(&b), rows[i].text));
        buf_clear(&b);
        assert_true(json_to_escaped(text_of(rows[i].raw), &b));
        assert_true(slice_is(buf_slice(&b), rows[i].escaped));
        buf_done(&b);
    }
    struct buf b = {0};
    assert_false(json_to_text(text_of("1"), &b));
    assert_false(json_to_escaped(text_of(""), &b));
    assert_int_equal(b.n, 0);
}

static void a_string_without_a_backslash_is_plain(void **state)
{
    (void)state;
    struct slice text;
    assert_true(json_is_plain(text_of("\"caf\xc3\xa9\""), &text));
    assert_true(slice_is(text, "caf\xc3\xa9"));
    assert_true(json_is_plain(text_of("\"\""), &text));
    assert_int_equal(text.n, 0);
    assert_false(json_is_plain(text_of("\"a\\n\""), &text));
    assert_false(json_is_plain(text_of("12"), &text));
}

/* A special byte at each place of a word, at each distance from the end. */
static void long_strings_are_checked_to_the_last_byte(void **state)
{
    (void)state;
    static const struct {
        uint8_t byte;
        enum json_rc rc;
    } special[] = {{0x1f, JSON_SYNTAX}, {0x00, JSON_SYNTAX}, {0xff, JSON_UTF8}, {0x80, JSON_UTF8},
                   {'"', JSON_SYNTAX},  {0x20, JSON_OK},     {0x21, JSON_OK},   {0x23, JSON_OK},
                   {0x5b, JSON_OK},     {0x5d, JSON_OK},     {0x7f, JSON_OK}};
    for (size_t n = 1; n < 40; n++) {
        for (size_t i = 0; i < n; i++) {
            for (size_t s = 0; s < sizeof special / sizeof *special; s++) {
                uint8_t text[64];
                memset(text, 'a', sizeof text);
                text[0] = text[n + 1] = '"';
                text[i + 1] = special[s].byte;
                size_t at = 0;
                assert_int_equal(check_exact(text, n + 2, 0, &at), special[s].rc);
                if (special[s].rc != JSON_OK) {
                    assert_int_equal(at, special[s].byte == '"' ? i + 2 : i + 1);
                }
            }
        }
    }
}

/* Each version of the run of plain bytes stops where a loop would: at every byte, in every place.
 */
static void a_run_ends_at_the_first_byte_that_is_not_plain(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        for (size_t n = 0; n < 40; n++) {
            uint8_t *text = malloc(n ? n : 1);
            assert_non_null(text);
            for (size_t at = 0; at <= n; at++) {
                memset(text, 'a', n);
                memset(text + at, (int)byte, n - at);
                size_t want = json_is_plain_byte((uint8_t)byte) ? n : at;
                assert_ptr_equal(json_plain_run(text, text + n), text + want);
                assert_ptr_equal(json_plain_run_words(text, text + n), text + want);
            }
            free(text);
        }
    }
}

/* RFC 3629: what decodes to a character and is what that character encodes to. */
static size_t utf8_model(const uint8_t *p, size_t n)
{
    size_t want = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    uint32_t c = p[0] & (0x7fu >> want);
    uint8_t again[UTF8_BYTES_MAX];
    for (size_t i = 1; i < want && i < n; i++) {
        c = c << 6 | (p[i] & 0x3f);
    }
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    return want <= n && c <= 0x10ffff && !surrogate && utf8_put(again, c) == want &&
                   memcmp(again, p, want) == 0
               ? want
               : 0;
}

static void utf8_is_what_characters_encode_to_and_nothing_else(void **state)
{
    (void)state;
    for (uint32_t c = 0x80; c <= 0x10ffff; c++) {
        uint8_t bytes[UTF8_BYTES_MAX];
        size_t n = utf8_put(bytes, c);
        assert_int_equal(utf8_length(bytes, bytes + n), c >= 0xd800 && c <= 0xdfff ? 0 : n);
    }
    static const uint8_t edges[] = {0x00, 0x22, 0x7f, 0x80, 0x8f, 0x90,
                                    0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    enum { EDGES = sizeof edges };
    for (unsigned lead = 0x80; lead < 256; lead++) {
        for (unsigned i = 0; i < EDGES * EDGES * EDGES; i++) {
            uint8_t bytes[4] = {(uint8_t)lead, edges[i % EDGES], edges[i / EDGES % EDGES],
                                edges[i / EDGES / EDGES]};
            for (size_t n = 1; n <= 4; n++) {
                assert_int_equal(utf8_length(bytes, bytes + n), utf8_model(bytes, n));
            }
        }
    }
}

/* ---- generated texts, against jansson ---- */

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % n);
}

static void random_seed(void)
{
    const char *given = getenv("TEST_SEED");
    random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u + 1;
    random_state += random_state == 0; /* xorshift stays at 0 */
    print_message("TEST_SEED=%llu\n", (unsigned long long)random_state);
}

/* Short ones go a way of their own: it leads to the same double. */
static void decimals_are_read_as_strtod_reads_them(void **state)
{
    (void)state;
    static const char *const edges[] = {"0",
                                        "-0",
                                        "0.0",
                                        "-0.0",
                                        "999999999999999",
                                        "1e3",
                                        "0.1",
                                        "0.30000000000000004",
                                        "123456789012345.6",
                                        "0.000000000000001",
                                        "9007199254740993"};
    random_seed();
    for (size_t i = 0; i < 20000 + sizeof edges / sizeof *edges; i++) {
        char text[48];
        if (i < sizeof edges / sizeof *edges) {
            (void)snprintf(text, sizeof text, "%s", edges[i]);
        } else {
            (void)snprintf(text, sizeof text, "%s%u.%0*u", random_below(2) ? "-" : "",
                           random_below(UINT32_MAX) >> random_below(32), 1 + (int)random_below(12),
                           random_below(UINT32_MAX));
        }
        double got = 0, want = strtod(text, NULL);
        assert_true(json_to_double(text_of(text), &got));
        assert_memory_equal(&got, &want, sizeof got);
    }
    static const char *const none[] = {"-", "1.2.3", "1-2", "-.", "1x"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        double v = 7;
        assert_false(json_to_double(text_of(none[i]), &v));
        assert_true(v == 7);
    }
}

static void make_space(struct buf *b)
{
    static const char *const spaces[] = {"", "", "", "", " ", "\n", "\t", "\r\n", "          "};
    buf_add_str(b, spaces[random_below(sizeof spaces / sizeof *spaces)]);
}

static void make_string(struct buf *b)
{
    static const char *const pieces[] = {"a",
                                         "type",
                                         "data",
                                         "id",
                                         "x y",
                                         "0123456789abcdef",
                                         "\\n",
                                         "\\\"",
                                         "\\\\",
                                         "\\/",
                                         "\\u0041",
                                         "\\u00e9",
                                         "\\ud83d\\udc1d",
                                         "\\u001f",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x90\x9d",
                                         "\x7f",
                                         "\\u0074ype",
                                         "/",
                                         "{",
                                         "]"};
    buf_add_str(b, "\"");
    for (uint32_t n = random_below(4); n; n--) {
        buf_add_str(b, pieces[random_below(sizeof pieces / sizeof *pieces)]);
    }
    buf_add_str(b, "\"");
}

static void make_scalar(struct buf *b)
{
    static const char *const scalars[] = {"0",     "-0",   "1",      "-17",
                                          "3.25",  "1e5",  "1E-7",   "true",
                                          "false", "null", "0.0",    "12345678901234567890",
                                          "1e400", "\"\"", "2.5e+3", "-1e-400"};
    if (random_below(2)) {
        make_string(b);
    } else {
        buf_add_str(b, scalars[random_below(sizeof scalars / sizeof *scalars)]);
    }
}

static void make_value(struct buf *b, unsigned depth)
{
    uint32_t kind = depth ? random_below(4) : 0;
    make_space(b);
    if (kind < 2) {
        make_scalar(b);
    } else {
        buf_add_str(b, kind == 2 ? "[" : "{");
        for (uint32_t i = 0, n = random_below(5); i < n; i++) {
            buf_add_str(b, i ? "," : "");
            if (kind == 3) {
                make_space(b);
                make_string(b);
                make_space(b);
                buf_add_str(b, ":");
            }
            make_value(b, depth - 1);
        }
        make_space(b);
        buf_add_str(b, kind == 2 ? "]" : "}");
    }
    make_space(b);
}

static void mutate(struct buf *b)
{
    static const char bytes[] = "{}[]\",:\\utfn0123456789.eE+-/ \n\xff\xc3\x80\xed\xf4\x1f";
    for (uint32_t n = 1 + random_below(3); n && b->n; n--) {
        uint32_t at = random_below((uint32_t)b->n);
        uint8_t byte = (uint8_t)bytes[random_below(sizeof bytes)]; /* the final NUL too */
        uint32_t what = random_below(4);
        if (what == 0) {
            b->p[at] = byte;
        } else if (what == 1) {
            memmove(b->p + at, b->p + at + 1, b->n - at - 1);
            b->n--;
        } else if (what == 2) {
            buf_reserve(b, 1);
            memmove(b->p + at + 1, b->p + at, b->n - at);
            b->p[at] = byte;
            b->n++;
        } else {
            b->n = at;
        }
    }
}

static bool same_number(const json_t *tree, struct slice value)
{
    double v;
    return json_to_double(value, &v) && v == json_number_value(tree);
}

static bool same(const json_t *tree, struct slice value);

static bool same_string(const char *text, size_t n, struct slice value)
{
    struct buf b = {0}, quoted = {0}, again = {0};
    bool ok = json_to_text(value, &b) && slice_equal(buf_slice(&b), slice_of(text, n));
    /* The canonical escaping, put between quotes, says the same again and is its own canonical
     * form. */
    buf_add_str(&quoted, "\"");
    ok = ok && json_to_escaped(value, &quoted);
    buf_add_str(&quoted, "\"");
    buf_clear(&b);
    ok =
        ok && json_to_text(buf_slice(&quoted), &b) && slice_equal(buf_slice(&b), slice_of(text, n));
    ok = ok && json_to_escaped(buf_slice(&quoted), &again) && again.n == quoted.n - 2 &&
         memcmp(again.p ? again.p : quoted.p, quoted.p + 1, again.n) == 0;
    buf_done(&b);
    buf_done(&quoted);
    buf_done(&again);
    return ok;
}

static bool same_members(const json_t *tree, struct slice value)
{
    struct json_walk w = json_walk_of(value);
    struct slice key, item;
    size_t n = 0;
    bool ok = true;
    while (ok && json_walk_next(&w, &key, &item)) {
        struct buf text = {0};
        if (json_is_object(tree)) {
            ok = json_to_text(key, &text);
            buf_add(&text, "", 1);
            json_t *member = ok ? json_object_get(tree, (const char *)text.p) : NULL;
            ok = member && same(member, item);
        } else {
            ok = key.n == 0 && same(json_array_get(tree, n), item);
        }
        buf_done(&text);
        n++;
    }
    return ok && n == (json_is_object(tree) ? json_object_size(tree) : json_array_size(tree));
}

static bool same(const json_t *tree, struct slice value)
{
    switch (json_kind_of(value)) {
    case JSON_KIND_NONE:
        return false;
    case JSON_KIND_NULL:
        return json_is_null(tree);
    case JSON_KIND_FALSE:
        return json_is_false(tree);
    case JSON_KIND_TRUE:
        return json_is_true(tree);
    case JSON_KIND_NUMBER:
        return json_is_number(tree) && same_number(tree, value);
    case JSON_KIND_STRING:
        return json_is_string(tree) &&
               same_string(json_string_value(tree), json_string_length(tree), value);
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT:
        return same_members(tree, value);
    }
    return false;
}

/* Where the two are known to differ: jansson reads numbers and refuses what does not fit (we pass
 * the digits); it takes a NUL byte for the end of the text (we refuse it); it allows 2,048 levels
 * (we 32); a repeated key it either allows everywhere (compared here) or refuses everywhere (then
 * the trees are not compared). Returns true when both accept. */
static bool compare(struct slice text)
{
    size_t at = SIZE_MAX;
    enum json_rc rc = check_exact(text.p, text.n, JSON_DEPTH_MAX, &at);
    json_error_t error = {0};
    json_t *tree = json_loadb((const char *)text.p, text.n, JSON_DECODE_ANY, &error);
    bool overflow = !tree && json_error_code(&error) == json_error_numeric_overflow;
    if (memchr(text.p, 0, text.n)) {
        assert_int_not_equal(rc, JSON_OK);
        json_decref(tree);
        return false;
    }
    bool agree = overflow || rc == JSON_DEPTH || (rc == JSON_OK) == (tree != NULL);
    if (rc != JSON_OK) {
        agree = agree && at <= text.n;
    }
    if (agree && tree && rc == JSON_OK) {
        json_t *strict = json_loadb((const char *)text.p, text.n,
                                    JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
        agree = !strict || same(tree, json_trim(text));
        json_decref(strict);
    }
    if (!agree) {
        fail_msg("%.*s: we say %s at %zu, jansson %s", (int)text.n, (const char *)text.p,
                 json_rc_text(rc), at, tree ? "accepts" : error.text);
    }
    bool both = tree && rc == JSON_OK;
    json_decref(tree);
    return both;
}

static void generated_texts_pass_as_in_jansson(void **state)
{
    (void)state;
    random_seed();
    int accepted = 0, refused = 0;
    for (int i = 0; i < 60000; i++) {
        struct buf b = {0};
        make_value(&b, 1 + random_below(6));
        if (i & 1) {
            mutate(&b);
        }
        if (b.n) {
            compare(buf_slice(&b)) ? accepted++ : refused++;
        }
        buf_done(&b);
    }
    assert_true(accepted > 10000 && refused > 10000); /* the generator does its work */
}

/* What json_fields should say, told by a walk and a loop. */
static void compare_fields(struct slice text)
{
    struct slice want[F_COUNT] = {0}, got[F_COUNT], key, value;
    bool twice = false;
    struct json_walk w = json_walk_of(json_trim(text));
    while (json_walk_next(&w, &key, &value)) {
        struct buf name = {0};
        assert_true(json_to_text(key, &name));
        for (int i = 0; i < F_COUNT; i++) {
            if (slice_is(buf_slice(&name), field_names[i])) {
                twice = twice || want[i].n;
                want[i] = value;
            }
        }
        buf_done(&name);
    }
    size_t at;
    enum json_rc rc = json_fields(text, field_names, F_COUNT, got, &at);
    assert_int_equal(rc, twice ? JSON_DUPLICATE : JSON_OK);
    for (int i = 0; i < F_COUNT && !twice; i++) {
        assert_true(got[i].p == want[i].p && got[i].n == want[i].n);
    }
}

static void members_of_generated_objects_are_found(void **state)
{
    (void)state;
    random_seed();
    for (int i = 0; i < 40000; i++) {
        struct buf b = {0};
        make_value(&b, 1 + random_below(3));
        struct slice text = json_trim(buf_slice(&b)), f[F_COUNT];
        size_t at;
        if (json_kind_of(text) == JSON_KIND_OBJECT) {
            compare_fields(buf_slice(&b));
        } else {
            assert_int_equal(json_fields(buf_slice(&b), field_names, F_COUNT, f, &at), JSON_TYPE);
        }
        buf_done(&b);
    }
}

/* A number may end anywhere; everything else shows that it was cut. */
static void a_text_cut_anywhere_is_refused(void **state)
{
    (void)state;
    random_seed();
    for (int i = 0; i < 3000; i++) {
        struct buf b = {0};
        make_value(&b, 1 + random_below(4));
        struct slice text = json_trim(buf_slice(&b));
        for (size_t n = 0; json_kind_of(text) != JSON_KIND_NUMBER && n < text.n; n++) {
            size_t at = 0;
            struct slice f[F_COUNT];
            assert_int_not_equal(check_exact(text.p, n, JSON_DEPTH_MAX, &at), JSON_OK);
            assert_true(at <= n);
            assert_int_not_equal(json_fields(slice_of(text.p, n), field_names, F_COUNT, f, &at),
                                 JSON_OK);
        }
        buf_done(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_fault_is_named_with_its_place),
        cmocka_unit_test(a_nul_byte_is_refused_wherever_it_stands),
        cmocka_unit_test(every_form_of_value_passes),
        cmocka_unit_test(nesting_is_allowed_up_to_the_bound_and_no_deeper),
        cmocka_unit_test(an_empty_container_counts_as_a_level),
        cmocka_unit_test(a_million_brackets_cost_no_stack),
        cmocka_unit_test(members_are_handed_out_as_the_bytes_they_came_as),
        cmocka_unit_test(an_escaped_key_is_the_key_it_spells),
        cmocka_unit_test(only_a_name_asked_for_must_not_stand_twice),
        cmocka_unit_test(a_key_that_only_begins_like_a_name_is_another),
        cmocka_unit_test(members_nobody_asked_for_are_checked_all_the_same),
        cmocka_unit_test(what_is_no_object_is_told_from_what_is_no_json),
        cmocka_unit_test(the_object_itself_is_the_first_level),
        cmocka_unit_test(sixty_four_names_can_be_asked_for),
        cmocka_unit_test(a_walk_visits_each_member_in_order),
        cmocka_unit_test(what_holds_nothing_is_walked_in_no_steps),
        cmocka_unit_test(kinds_are_told_by_the_first_byte),
        cmocka_unit_test(whole_numbers_are_read_up_to_64_bits),
        cmocka_unit_test(doubles_are_read_when_finite),
        cmocka_unit_test(decimals_are_read_as_strtod_reads_them),
        cmocka_unit_test(booleans_are_read_from_nothing_else),
        cmocka_unit_test(strings_give_their_text_and_one_canonical_escaping),
        cmocka_unit_test(a_string_without_a_backslash_is_plain),
        cmocka_unit_test(long_strings_are_checked_to_the_last_byte),
        cmocka_unit_test(a_run_ends_at_the_first_byte_that_is_not_plain),
        cmocka_unit_test(utf8_is_what_characters_encode_to_and_nothing_else),
        cmocka_unit_test(generated_texts_pass_as_in_jansson),
        cmocka_unit_test(members_of_generated_objects_are_found),
        cmocka_unit_test(a_text_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
