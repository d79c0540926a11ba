#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "hub/net/http1_text.h"
#include "tests/fuzz/cutter.h"

struct path_row {
    const char *path;
    enum http1_path_rc rc;
    const char *normal; /* NULL: the path itself */
};

// clang-format off
static const struct path_row paths[] = {
    {"/",                  HTTP1_PATH_OK,        NULL},
    {"/agents/a-1",        HTTP1_PATH_OK,        NULL},
    {"/agents/",           HTTP1_PATH_OK,        NULL},
    {"/a+b;c=d,e:f@g",     HTTP1_PATH_OK,        NULL},
    {"/.well-known/x",     HTTP1_PATH_OK,        NULL},
    {"/.../x..y/..z",      HTTP1_PATH_OK,        NULL},
    {"/a%20b",             HTTP1_PATH_OK,        "/a b"},
    {"/%41%7a%7A",         HTTP1_PATH_OK,        "/Azz"},
    {"/caf%C3%A9",         HTTP1_PATH_OK,        "/caf\xc3\xa9"},
    {"/%2541",             HTTP1_PATH_OK,        "/%41"}, /* once, not twice */
    {"/a%3fb%23c",         HTTP1_PATH_OK,        "/a?b#c"},
    {"",                   HTTP1_PATH_FORM,      NULL},
    {"*",                  HTTP1_PATH_FORM,      NULL},
    {"a/b",                HTTP1_PATH_FORM,      NULL},
    {"%2fa",               HTTP1_PATH_FORM,      NULL},
    {"/%",                 HTTP1_PATH_ESCAPE,    NULL},
    {"/%4",                HTTP1_PATH_ESCAPE,    NULL},
    {"/%g1",               HTTP1_PATH_ESCAPE,    NULL},
    {"/%1g",               HTTP1_PATH_ESCAPE,    NULL},
    {"/%u0041",            HTTP1_PATH_ESCAPE,    NULL},
    {"/a%00b",             HTTP1_PATH_CONTROL,   NULL},
    {"/a%0a",              HTTP1_PATH_CONTROL,   NULL},
    {"/a%7f",              HTTP1_PATH_CONTROL,   NULL},
    {"/a%2fb/c",           HTTP1_PATH_OK,        "/a/b/c"}, /* see the next test */
    {"/a%2F%2fb",          HTTP1_PATH_OK,        "/a//b"},
    {"/%2fa%2F",           HTTP1_PATH_OK,        "//a/"},
    {"/a%252fb",           HTTP1_PATH_OK,        "/a%2fb"},
    {"/a\\b",              HTTP1_PATH_BACKSLASH, NULL},
    {"/a%5cb",             HTTP1_PATH_BACKSLASH, NULL},
    {"/..%5c..",           HTTP1_PATH_BACKSLASH, NULL},
    {"/..",                HTTP1_PATH_DOTS,      NULL},
    {"/.",                 HTTP1_PATH_DOTS,      NULL},
    {"/a/../b",            HTTP1_PATH_DOTS,      NULL},
    {"/a/./b",             HTTP1_PATH_DOTS,      NULL},
    {"/a/%2e%2E/b",        HTTP1_PATH_DOTS,      NULL},
    {"/a/.%2e",            HTTP1_PATH_DOTS,      NULL},
    {"/%2e/",              HTTP1_PATH_DOTS,      NULL},
    {"/a%2f..%2fb",        HTTP1_PATH_DOTS,      NULL},
    {"/..%2fb",            HTTP1_PATH_DOTS,      NULL},
    {"/a%2f%2e",           HTTP1_PATH_DOTS,      NULL},
    {"//",                 HTTP1_PATH_EMPTY,     NULL},
    {"//host/x",           HTTP1_PATH_EMPTY,     NULL},
    {"/a//b",              HTTP1_PATH_EMPTY,     NULL},
    {"/a//",               HTTP1_PATH_EMPTY,     NULL},
    {"/a%2f//b",           HTTP1_PATH_EMPTY,     NULL},
    {"/%c0%ae%c0%ae/x",    HTTP1_PATH_UTF8,      NULL}, /* dots in a form that is too long */
    {"/%ff",               HTTP1_PATH_UTF8,      NULL},
    {"/%c3",               HTTP1_PATH_UTF8,      NULL},
};
// clang-format on

static void a_path_is_refused_or_means_what_it_says(void **state)
{
    (void)state;
    struct buf scratch = {0};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        struct slice out = {0}, path = slice_str(paths[i].path);
        enum http1_path_rc rc = http1_path_normal(path, &scratch, &out);
        if (rc != paths[i].rc) {
            fail_msg("%s: %d", paths[i].path, (int)rc);
        }
        if (rc != HTTP1_PATH_OK) {
            assert_null(out.p);
            assert_true(*http1_path_rc_text(rc));
        } else if (paths[i].normal) {
            assert_true(slice_is(out, paths[i].normal));
        } else {
            assert_true(slice_equal(out, path));
            assert_ptr_equal(out.p, path.p);
        }
    }
    buf_done(&scratch);
}

static void a_slash_that_was_escaped_is_told_from_one_that_divides(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool inside;
    } rows[] = {{"/", false},   {"/a/b", false},  {"/a%20b/c", false}, {"/a%252fb", false},
                {"/%2", false}, {"/%", false},    {"/a%2fb", true},    {"/a/b%2F", true},
                {"/%2f", true}, {"/%252f", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(http1_path_slash_inside(slice_str(rows[i].path)), rows[i].inside);
    }
}

static void assert_pair(struct slice *rest, const char *name, const char *value)
{
    struct buf scratch = {0};
    struct slice n, v;
    assert_int_equal(http1_query_next(rest, &scratch, &n, &v), HTTP1_QUERY_PAIR);
    assert_true(slice_is(n, name));
    assert_true(slice_is(v, value));
    buf_done(&scratch);
}

static void a_query_gives_its_pairs_decoded_and_in_order(void **state)
{
    (void)state;
    struct slice rest = slice_str("&a=b&&c+d=%2B+%26%3d&e&=f&g==&%C3%A9=%f0%9f%90%9d&");
    struct buf scratch = {0};
    struct slice name, value;
    assert_pair(&rest, "a", "b");
    assert_pair(&rest, "c d", "+ &=");
    assert_pair(&rest, "e", "");
    assert_pair(&rest, "", "f");
    assert_pair(&rest, "g", "=");
    assert_pair(&rest, "\xc3\xa9", "\xf0\x9f\x90\x9d");
    assert_int_equal(http1_query_next(&rest, &scratch, &name, &value), HTTP1_QUERY_END);
    assert_int_equal(http1_query_next(&rest, &scratch, &name, &value), HTTP1_QUERY_END);
    rest = (struct slice){0};
    assert_int_equal(http1_query_next(&rest, &scratch, &name, &value), HTTP1_QUERY_END);
    rest = slice_str("");
    assert_int_equal(http1_query_next(&rest, &scratch, &name, &value), HTTP1_QUERY_END);
    buf_done(&scratch);
}

static void a_query_with_a_bad_escape_or_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"%",     "a=%",   "a=%4", "a=%zz", "%00=a",
                                      "a=%00", "a=%ff", "%c3",  "%=a",   "%c3=%a9"};
    struct buf scratch = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct slice rest = slice_str(bad[i]), name, value;
        assert_int_equal(http1_query_next(&rest, &scratch, &name, &value), HTTP1_QUERY_BAD);
    }
    struct slice nul = slice_of("a\0b", 3), name, value;
    assert_int_equal(http1_query_next(&nul, &scratch, &name, &value), HTTP1_QUERY_BAD);
    buf_done(&scratch);
}

static void the_first_pair_of_a_name_is_got(void **state)
{
    (void)state;
    struct buf scratch = {0};
    struct slice value, query = slice_str("limit=1&status=a%20b&status=c&%zz");
    assert_int_equal(http1_query_get(query, "status", &scratch, &value), HTTP1_QUERY_PAIR);
    assert_true(slice_is(value, "a b"));
    assert_int_equal(http1_query_get(query, "cursor", &scratch, &value), HTTP1_QUERY_BAD);
    query = slice_str("a=b");
    assert_int_equal(http1_query_get(query, "cursor", &scratch, &value), HTTP1_QUERY_END);
    buf_done(&scratch);
}

static void a_list_gives_its_members_trimmed(void **state)
{
    (void)state;
    static const char *const members[] = {"a", "b c", "", "d"};
    struct slice rest = slice_str(" a,\tb c ,, d\t"), item;
    for (size_t i = 0; i < 4; i++) {
        assert_true(http1_list_next(&rest, &item));
        assert_true(slice_is(item, members[i]));
    }
    assert_false(http1_list_next(&rest, &item));
}

static void texts_compare_without_the_case_of_ascii_letters_only(void **state)
{
    (void)state;
    assert_true(http1_same(slice_str("WebSocket"), "websocket"));
    assert_true(http1_same(slice_str("AZaz-09"), "azaz-09"));
    assert_true(http1_same(slice_str(""), ""));
    assert_false(http1_same(slice_str("websocket"), "websockets"));
    assert_false(http1_same(slice_str("websockets"), "websocket"));
    assert_false(http1_same(slice_str("@[\\]^"), "`{|}~"));
    assert_false(http1_same(slice_of("a\0", 2), "a"));
}

static void an_answer_s_head_is_written_line_by_line(void **state)
{
    (void)state;
    struct buf out = {0};
    http1_answer_begin(&out, 405);
    http1_answer_add_str(&out, "Allow", "GET, HEAD");
    http1_answer_add_u64(&out, "Content-Length", UINT64_MAX);
    assert_true(http1_answer_add(&out, "Request-Id", slice_str("a\tb \xc3\xa9")));
    http1_answer_end(&out);
    assert_true(slice_is(buf_slice(&out), "HTTP/1.1 405 Method Not Allowed\r\n"
                                          "Allow: GET, HEAD\r\n"
                                          "Content-Length: 18446744073709551615\r\n"
                                          "Request-Id: a\tb \xc3\xa9\r\n\r\n"));
    buf_done(&out);
}

static void a_value_that_could_start_a_header_is_not_written(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 0x20; byte++) {
        struct buf out = {0};
        uint8_t value[] = "0123456789abcdef";
        value[byte % 16] = (uint8_t)byte;
        assert_int_equal(http1_answer_add(&out, "Request-Id", slice_of(value, 16)), byte == '\t');
        assert_int_equal(out.n > 0, byte == '\t');
        buf_done(&out);
    }
}

static void every_status_that_this_service_names_has_a_text(void **state)
{
    (void)state;
    static const uint16_t named[] = {100, 101, 200, 201, 202, 204, 206, 301, 302, 304, 307, 308,
                                     400, 401, 403, 404, 405, 408, 409, 410, 411, 412, 413, 414,
                                     415, 416, 417, 422, 426, 429, 431, 500, 501, 503, 505, 507};
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        assert_true(*http1_status_text(named[i]));
    }
    assert_string_equal(http1_status_text(404), "Not Found");
    assert_string_equal(http1_status_text(299), "");
}

static void a_chunk_s_head_is_its_size_in_hexadecimal(void **state)
{
    (void)state;
    uint8_t out[HTTP1_CHUNK_HEAD_BYTES_MAX];
    char expected[HTTP1_CHUNK_HEAD_BYTES_MAX + 1];
    for (unsigned shift = 0; shift < 64; shift++) {
        for (uint64_t n = (UINT64_C(1) << shift) - 1, i = 0; i < 2; n++, i++) {
            int length = snprintf(expected, sizeof expected, "%llx\r\n", (unsigned long long)n);
            assert_int_equal(http1_chunk_head_put(out, n), length);
            assert_memory_equal(out, expected, (size_t)length);
        }
    }
    assert_int_equal(http1_chunk_head_put(out, UINT64_MAX), 18);
}

static void assert_date(int64_t unix_s)
{
    uint8_t out[HTTP1_DATE_BYTES];
    char expected[64];
    struct tm tm;
    time_t t = (time_t)unix_s;
    assert_non_null(gmtime_r(&t, &tm));
    strftime(expected, sizeof expected, "%a, %d %b ", &tm);
    snprintf(expected + strlen(expected), 32, "%04d %02d:%02d:%02d GMT", tm.tm_year + 1900,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    http1_date_put(out, unix_s);
    assert_memory_equal(out, expected, HTTP1_DATE_BYTES);
}

static void dates_agree_with_the_calendar_of_the_c_library(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL) | 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    assert_date(784111777);
    assert_date(-62167219200);
    assert_date(253402300799);
    for (int64_t day = -150000; day < 150000; day++) {
        assert_date(day * 86400 + (int64_t)(next_random(&seed) % 86400));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_is_refused_or_means_what_it_says),
        cmocka_unit_test(a_slash_that_was_escaped_is_told_from_one_that_divides),
        cmocka_unit_test(a_query_gives_its_pairs_decoded_and_in_order),
        cmocka_unit_test(a_query_with_a_bad_escape_or_text_is_refused),
        cmocka_unit_test(the_first_pair_of_a_name_is_got),
        cmocka_unit_test(a_list_gives_its_members_trimmed),
        cmocka_unit_test(texts_compare_without_the_case_of_ascii_letters_only),
        cmocka_unit_test(an_answer_s_head_is_written_line_by_line),
        cmocka_unit_test(a_value_that_could_start_a_header_is_not_written),
        cmocka_unit_test(every_status_that_this_service_names_has_a_text),
        cmocka_unit_test(a_chunk_s_head_is_its_size_in_hexadecimal),
        cmocka_unit_test(dates_agree_with_the_calendar_of_the_c_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
