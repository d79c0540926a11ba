#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "hub/net/utf8.h"
#include "tests/fuzz/ws_trace.h" /* plain_utf8() */

/* The state must tell, after each byte, what arithmetic tells of the bytes so far. */
static void assert_agrees(const uint8_t *p, size_t n)
{
    uint8_t state = UTF8_WHOLE;
    for (size_t i = 0; i < n; i++) {
        state = utf8_feed(state, p + i, 1);
        int plain = plain_utf8(slice_of(p, i + 1));
        if ((state == UTF8_BAD) != (plain < 0) || (state == UTF8_WHOLE) != (plain == 1)) {
            fail_msg("%02x %02x %02x %02x, %zu bytes: state %d, plainly %d", p[0], n > 1 ? p[1] : 0,
                     n > 2 ? p[2] : 0, n > 3 ? p[3] : 0, i + 1, state, plain);
        }
    }
    assert_int_equal(utf8_feed(UTF8_WHOLE, p, n), state);
}

static size_t encode(uint32_t c, uint8_t out[4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6) {
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    }
    out[0] = (uint8_t)((0xf00u >> n) | c);
    return n;
}

static void every_character_is_taken_and_no_surrogate(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        uint8_t bytes[9] = "xxxxxxxx";
        size_t n = encode(c, bytes);
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        assert_int_equal(utf8_feed(UTF8_WHOLE, bytes, n), surrogate ? UTF8_BAD : UTF8_WHOLE);
        assert_int_equal(utf8_feed(UTF8_WHOLE, bytes, n + 3), surrogate ? UTF8_BAD : UTF8_WHOLE);
        if (n > 1 && !surrogate) {
            assert_int_not_equal(utf8_feed(UTF8_WHOLE, bytes, n - 1), UTF8_WHOLE);
            assert_int_not_equal(utf8_feed(UTF8_WHOLE, bytes, n - 1), UTF8_BAD);
        }
    }
}

static void a_spoilt_text_is_known_at_its_first_wrong_byte(void **state)
{
    (void)state;
    static const uint8_t telling[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                      0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xff};
    uint8_t c[4];
    for (unsigned a = 0; a < 256; a++) {
        for (unsigned b = 0; b < 256; b++) {
            c[0] = (uint8_t)a;
            c[1] = (uint8_t)b;
            c[2] = c[3] = 'x'; /* whole or not, with others behind it or none */
            assert_agrees(c, 2);
            assert_agrees(c, 4);
            for (size_t i = 0; a >= 0xc0 && i < sizeof telling * sizeof telling; i++) {
                c[2] = telling[i / sizeof telling];
                c[3] = telling[i % sizeof telling];
                assert_agrees(c, 4);
            }
        }
    }
}

struct vector {
    const char *text;
    uint8_t state; /* UTF8_WHOLE, UTF8_BAD, or 1: cut inside a character */
};

// clang-format off
static const struct vector vectors[] = {
    {"",                                   UTF8_WHOLE},
    {"plain",                              UTF8_WHOLE},
    {"\xc2\x80 \xdf\xbf",                  UTF8_WHOLE}, /* the ends of each length */
    {"\xe0\xa0\x80 \xed\x9f\xbf",          UTF8_WHOLE},
    {"\xee\x80\x80 \xef\xbf\xbf",          UTF8_WHOLE}, /* noncharacters are characters */
    {"\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf",  UTF8_WHOLE},
    {"\xef\xbb\xbf with a mark",           UTF8_WHOLE},
    {"\xc0\x80",                           UTF8_BAD},   /* longer than need be */
    {"\xc1\xbf",                           UTF8_BAD},
    {"\xe0\x80\x80",                       UTF8_BAD},
    {"\xe0\x9f\xbf",                       UTF8_BAD},
    {"\xf0\x80\x80\x80",                   UTF8_BAD},
    {"\xf0\x8f\xbf\xbf",                   UTF8_BAD},
    {"\xed\xa0\x80",                       UTF8_BAD},   /* surrogates, alone and in pairs */
    {"\xed\xbf\xbf",                       UTF8_BAD},
    {"\xed\xa0\xbd\xed\xb0\x9d",           UTF8_BAD},
    {"\xf4\x90\x80\x80",                   UTF8_BAD},   /* past U+10FFFF */
    {"\xf5\x80\x80\x80",                   UTF8_BAD},
    {"\xf8\x88\x80\x80\x80",               UTF8_BAD},   /* five and six bytes */
    {"\xfc\x84\x80\x80\x80\x80",           UTF8_BAD},
    {"\xfe",                               UTF8_BAD},
    {"\xff",                               UTF8_BAD},
    {"\x80",                               UTF8_BAD},   /* a continuation of nothing */
    {"a\xbf",                              UTF8_BAD},
    {"\xc3(",                              UTF8_BAD},   /* a character that stops */
    {"\xe2\x82(",                          UTF8_BAD},
    {"\xf0\x9f\x90(",                      UTF8_BAD},
    {"\xc3\xc3",                           UTF8_BAD},
    {"\xe4\xf6\xfc",                       UTF8_BAD},   /* Latin-1 */
    {"0123456789abcde\xff",                UTF8_BAD},   /* around sixteen bytes */
    {"0123456789abcdef\xff",               UTF8_BAD},
    {"\xff" "0123456789abcdef",            UTF8_BAD},
    {"a\xc3",                              1},
    {"a\xe2\x82",                          1},
    {"a\xf0\x9f\x90",                      1},
};
// clang-format on

static void the_known_hard_cases_are_judged_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        struct slice s = slice_str(vectors[i].text);
        uint8_t got = utf8_feed(UTF8_WHOLE, s.p, s.n);
        bool cut = got != UTF8_WHOLE && got != UTF8_BAD;
        if (vectors[i].state == 1 ? !cut : got != vectors[i].state) {
            fail_msg("row %zu: state %d", i, got);
        }
        assert_int_equal(utf8_valid(s), vectors[i].state == UTF8_WHOLE);
        assert_agrees(s.p, s.n);
    }
}

static void one_bad_byte_is_found_wherever_it_stands_in_ascii(void **state)
{
    (void)state;
    uint8_t text[80];
    for (size_t n = 1; n <= sizeof text; n++) {
        memset(text, 'a', sizeof text);
        assert_true(utf8_valid(slice_of(text, n)));
        for (size_t at = 0; at < n; at++) {
            text[at] = 0x80;
            assert_false(utf8_valid(slice_of(text, n)));
            text[at] = 'a';
        }
    }
}

static void nothing_follows_what_is_spoilt(void **state)
{
    (void)state;
    assert_int_equal(utf8_feed(UTF8_BAD, (const uint8_t *)"a", 1), UTF8_BAD);
    assert_int_equal(utf8_feed(UTF8_BAD, NULL, 0), UTF8_BAD);
    assert_int_equal(utf8_feed(UTF8_WHOLE, NULL, 0), UTF8_WHOLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_taken_and_no_surrogate),
        cmocka_unit_test(a_spoilt_text_is_known_at_its_first_wrong_byte),
        cmocka_unit_test(the_known_hard_cases_are_judged_right),
        cmocka_unit_test(one_bad_byte_is_found_wherever_it_stands_in_ascii),
        cmocka_unit_test(nothing_follows_what_is_spoilt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
