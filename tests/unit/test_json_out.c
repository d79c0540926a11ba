#define _POSIX_C_SOURCE 200809L /* gmtime_r */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "channels/json_out.h"
#include "channels/json_scan.h"

static void assert_text(struct buf *b, const char *want)
{
    if (!slice_is(buf_slice(b), want)) {
        fail_msg("%.*s is not %s", (int)b->n, b->p ? (const char *)b->p : "", want);
    }
    buf_done(b);
}

static void commas_stand_between_values_only(void **state)
{
    (void)state;
    struct buf b = {0};
    struct json_out o = json_out_to(&b);
    json_begin(&o, '{');
    json_key(&o, "a");
    json_begin(&o, '[');
    json_u64(&o, 1);
    json_begin(&o, '[');
    json_end(&o, ']');
    json_begin(&o, '{');
    json_end(&o, '}');
    json_str(&o, "x");
    json_end(&o, ']');
    json_key_slice(&o, slice_str("b\"c"));
    json_put_null(&o);
    json_key(&o, "d");
    json_raw(&o, slice_str("{ }"));
    json_key(&o, "e");
    json_escaped(&o, slice_str("\\n"));
    json_key(&o, "f");
    json_bool(&o, true);
    json_key(&o, "g");
    json_bool(&o, false);
    json_end(&o, '}');
    assert_text(&b, "{\"a\":[1,[],{},\"x\"],\"b\\\"c\":null,\"d\":{ },\"e\":\"\\n\",\"f\":true,"
                    "\"g\":false}");
}

static void what_is_ours_is_written_as_if_it_were_escaped(void **state)
{
    (void)state;
    struct buf ours = {0}, any = {0};
    struct json_out o = json_out_to(&ours), p = json_out_to(&any);
    const char *words[] = {"", "a", "retry_wait"};
    json_begin(&o, '{');
    json_begin(&p, '{');
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        json_field(&o, words[i]);
        json_key(&p, words[i]);
        json_plain(&o, words[i]);
        json_str(&p, words[i]);
    }
    json_end(&o, '}');
    json_end(&p, '}');
    buf_add(&any, "", 1);
    assert_text(&ours, (const char *)any.p);
    buf_done(&any);
}

static void text_is_escaped_in_the_canonical_way(void **state)
{
    (void)state;
    struct buf b = {0};
    struct json_out o = json_out_to(&b);
    json_text(&o, slice_of("a/\"\\\b\f\n\r\t\0\x1f\x7f\xc3\xa9\xf0\x9f\x90\x9d", 18));
    assert_text(&b, "\"a/\\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\xc3\xa9\xf0\x9f\x90\x9d\"");
}

static void bad_utf8_becomes_the_replacement_character(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { const char *text, *want; } rows[] = {
        { "\xff",             "\"\xef\xbf\xbd\"" },
        { "a\x80" "b",        "\"a\xef\xbf\xbd" "b\"" },
        { "\xc3",             "\"\xef\xbf\xbd\"" },
        { "\xc3(",            "\"\xef\xbf\xbd(\"" },
        { "\xe2\x82",         "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\xed\xa0\x80",     "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "",                 "\"\"" },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = {0};
        struct json_out o = json_out_to(&b);
        json_str(&o, rows[i].text);
        assert_text(&b, rows[i].want);
    }
    struct buf b = {0};
    struct json_out o = json_out_to(&b);
    json_text(&o, slice_of(NULL, 0));
    assert_text(&b, "\"\"");
}

/* Whatever bytes go in, one string comes out that the scanner accepts. */
static void any_bytes_become_a_string(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            uint8_t bytes[12] = "0123456789";
            bytes[first % 9] = (uint8_t)first;
            bytes[first % 9 + 1] = (uint8_t)second;
            struct buf b = {0};
            struct json_out o = json_out_to(&b);
            json_text(&o, slice_of(bytes, 10));
            size_t at;
            bool nul = first == 0 || second == 0; /* written as \u0000, which the wires refuse */
            assert_int_equal(json_check(buf_slice(&b), 0, &at), nul ? JSON_ESCAPE : JSON_OK);
            buf_done(&b);
        }
    }
}

static void whole_numbers_are_written_in_full(void **state)
{
    (void)state;
    struct buf b = {0};
    struct json_out o = json_out_to(&b);
    json_u64(&o, UINT64_MAX);
    json_i64(&o, INT64_MIN);
    json_i64(&o, INT64_MAX);
    json_i64(&o, 0);
    assert_text(&b, "18446744073709551615,-9223372036854775808,9223372036854775807,0");
}

static void doubles_are_as_short_as_they_can_be(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct { double v; const char *want; } rows[] = {
        { 0, "0" }, { -0.0, "-0" }, { 1, "1" }, { -17, "-17" }, { 0.1, "0.1" }, { 0.5, "0.5" },
        { 0.30000000000000004, "0.30000000000000004" }, { 1.0 / 3, "0.3333333333333333" },
        { 1e15, "1000000000000000" }, { 9007199254740992.0, "9007199254740992" },
        { -9007199254740991.0, "-9007199254740991" }, { 1e300, "1e+300" }, { 123456.789, "123456.789" },
        { 5e-324, "5e-324" }, { 1e-7, "1e-07" }, { 1.7976931348623157e308, "1.7976931348623157e+308" },
        { (double)INFINITY, "null" }, { -(double)INFINITY, "null" }, { (double)NAN, "null" },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf b = {0};
        struct json_out o = json_out_to(&b);
        json_double(&o, rows[i].v);
        assert_text(&b, rows[i].want);
    }
}

static uint64_t random_state;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void random_seed(void)
{
    const char *given = getenv("TEST_SEED");
    random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
    random_state += random_state == 0; /* xorshift stays at 0 */
    print_message("TEST_SEED=%llu\n", (unsigned long long)random_state);
}

static void every_finite_double_reads_back(void **state)
{
    (void)state;
    random_seed();
    for (int i = 0; i < 200000; i++) {
        uint64_t bits = random_next();
        double v, back;
        memcpy(&v, &bits, sizeof v);
        if (i & 1) { /* also numbers as people have them */
            v = (double)(int64_t)(bits % 2000000000) / 1000 - 1000000;
        }
        if (!isfinite(v)) {
            continue;
        }
        struct buf b = {0};
        struct json_out o = json_out_to(&b);
        size_t at;
        json_double(&o, v);
        assert_int_equal(json_check(buf_slice(&b), 0, &at), JSON_OK);
        assert_true(json_to_double(buf_slice(&b), &back));
        assert_memory_equal(&back, &v, sizeof v);
        buf_done(&b);
    }
}

static void assert_time(int64_t ms, const char *want)
{
    uint8_t out[JSON_TIME_BYTES + 1];
    out[JSON_TIME_BYTES] = 0xaa;
    json_time_put(out, ms);
    assert_int_equal(out[JSON_TIME_BYTES], 0xaa);
    if (memcmp(out, want, JSON_TIME_BYTES) != 0) {
        fail_msg("%lld: %.24s is not %s", (long long)ms, (const char *)out, want);
    }
}

static void known_moments_are_written_in_iso_8601(void **state)
{
    (void)state;
    assert_time(0, "1970-01-01T00:00:00.000Z");
    assert_time(-1, "1969-12-31T23:59:59.999Z");
    assert_time(951782400000, "2000-02-29T00:00:00.000Z");
    assert_time(951868799999, "2000-02-29T23:59:59.999Z");
    assert_time(4107542399999, "2100-02-28T23:59:59.999Z");
    assert_time(4107542400000, "2100-03-01T00:00:00.000Z");
    assert_time(1795196061123, "2026-11-20T17:34:21.123Z");
    assert_time(253402300799999, "9999-12-31T23:59:59.999Z");
    assert_time(-62167219200000, "0000-01-01T00:00:00.000Z");
    assert_time(-62162035200001, "0000-02-29T23:59:59.999Z");
    assert_time(-62162035200000, "0000-03-01T00:00:00.000Z");
    assert_time(INT64_MAX, "9999-12-31T23:59:59.999Z");
    assert_time(INT64_MIN, "0000-01-01T00:00:00.000Z");
}

static void every_day_is_the_library_s_day(void **state)
{
    (void)state;
    for (int64_t day = -719528; day <= 2932896; day += 7) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        char want[64];
        assert_non_null(gmtime_r(&seconds, &tm));
        if (tm.tm_year + 1900 < 0) {
            continue;
        }
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02d.007Z", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_time((int64_t)seconds * 1000 + 7, want);
    }
}

static void a_time_is_a_string_value(void **state)
{
    (void)state;
    struct buf b = {0};
    struct json_out o = json_out_to(&b);
    json_begin(&o, '[');
    json_time(&o, 0);
    json_time(&o, 1);
    json_end(&o, ']');
    assert_text(&b, "[\"1970-01-01T00:00:00.000Z\",\"1970-01-01T00:00:00.001Z\"]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_values_only),
        cmocka_unit_test(what_is_ours_is_written_as_if_it_were_escaped),
        cmocka_unit_test(text_is_escaped_in_the_canonical_way),
        cmocka_unit_test(bad_utf8_becomes_the_replacement_character),
        cmocka_unit_test(any_bytes_become_a_string),
        cmocka_unit_test(whole_numbers_are_written_in_full),
        cmocka_unit_test(doubles_are_as_short_as_they_can_be),
        cmocka_unit_test(every_finite_double_reads_back),
        cmocka_unit_test(known_moments_are_written_in_iso_8601),
        cmocka_unit_test(every_day_is_the_library_s_day),
        cmocka_unit_test(a_time_is_a_string_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
