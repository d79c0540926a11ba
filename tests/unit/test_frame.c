#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/frame.h"

static enum json_rc read_text(const char *text, struct client_frame *out, size_t *out_at)
{
    return frame_read(slice_str(text), out, out_at);
}

static void a_publish_is_taken_apart(void **state)
{
    (void)state;
    struct client_frame f;
    size_t at;
    assert_int_equal(
        read_text("{\"type\":\"publish\",\"id\":7,\"channel\":\"orders.eu\",\"event\":\"new\","
                  "\"data\":{\"type\":\"x\"},\"key\":\"k1\",\"ttl\":60,\"expect\":41,"
                  "\"conflate\":\"c\",\"echo\":false,\"headers\":{\"a\":\"b\"},\"more\":[]}",
                  &f, &at),
        JSON_OK);
    assert_int_equal(f.type, FRAME_PUBLISH);
    assert_true(slice_is(f.field[KEY_ID], "7"));
    assert_true(slice_is(f.field[KEY_CHANNEL], "\"orders.eu\""));
    assert_true(slice_is(f.field[KEY_EVENT], "\"new\""));
    assert_true(slice_is(f.field[KEY_DATA], "{\"type\":\"x\"}"));
    assert_true(slice_is(f.field[KEY_KEY], "\"k1\""));
    assert_true(slice_is(f.field[KEY_TTL], "60"));
    assert_true(slice_is(f.field[KEY_EXPECT], "41"));
    assert_true(slice_is(f.field[KEY_CONFLATE], "\"c\""));
    assert_true(slice_is(f.field[KEY_ECHO], "false"));
    assert_true(slice_is(f.field[KEY_HEADERS], "{\"a\":\"b\"}"));
    assert_int_equal(f.field[KEY_CHANNELS].n, 0);
    assert_int_equal(f.field[KEY_TOKEN].n, 0);
}

static void each_type_is_known_by_its_name(void **state)
{
    (void)state;
    for (int type = FRAME_UNKNOWN + 1; type < FRAME_TYPES; type++) {
        struct buf b = {0};
        struct client_frame f;
        size_t at;
        buf_printf(&b, "{\"type\":\"%s\"}", frame_type_names[type]);
        assert_int_equal(frame_read(buf_slice(&b), &f, &at), JSON_OK);
        assert_int_equal(f.type, type);
        buf_done(&b);
    }
}

static void each_key_has_its_field(void **state)
{
    (void)state;
    for (unsigned key = 0; key < KEY_COUNT; key++) {
        struct buf b = {0};
        struct client_frame f;
        size_t at;
        const char *value = key == KEY_TYPE ? "\"ping\"" : "\"v\"";
        buf_printf(&b, "{%s\"%s\":%s}", key == KEY_TYPE ? "" : "\"type\":\"ping\",",
                   frame_key_names[key], value);
        assert_int_equal(frame_read(buf_slice(&b), &f, &at), JSON_OK);
        assert_int_equal(f.type, FRAME_PING);
        for (unsigned other = 0; other < KEY_COUNT; other++) {
            if (other == key) {
                assert_true(slice_is(f.field[key], value));
            } else if (other != KEY_TYPE) {
                assert_int_equal(f.field[other].n, 0);
            }
        }
        buf_done(&b);
    }
}

/* Keys that fall into the same place of the table as a known one. */
static void a_key_that_resembles_a_known_one_is_ignored(void **state)
{
    (void)state;
    struct client_frame f;
    size_t at;
    assert_int_equal(read_text("{\"type\":\"ping\",\"tyqe\":1,\"tyPE\":1,\"id \":1,\"i\":1,\"\":1,"
                               "\"channex\":1,\"chxnnels\":1,\"eventt\":1,\"even\":1}",
                               &f, &at),
                     JSON_OK);
    for (unsigned key = KEY_TYPE + 1; key < KEY_COUNT; key++) {
        assert_int_equal(f.field[key].n, 0);
    }
}

static void an_unknown_type_is_no_error(void **state)
{
    (void)state;
    static const char *const types[] = {"\"dance\"", "\"\"",      "\"unknown\"",
                                        "\"Ping\"",  "\"ping \"", "\"p\\u00efng\""};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct buf b = {0};
        struct client_frame f;
        size_t at;
        buf_printf(&b, "{\"type\":%s,\"id\":\"x\"}", types[i]);
        assert_int_equal(frame_read(buf_slice(&b), &f, &at), JSON_OK);
        assert_int_equal(f.type, FRAME_UNKNOWN);
        assert_true(slice_is(f.field[KEY_ID], "\"x\""));
        buf_done(&b);
    }
}

static void escapes_in_type_and_keys_are_undone(void **state)
{
    (void)state;
    struct client_frame f;
    size_t at;
    assert_int_equal(read_text("{\"\\u0074ype\":\"p\\u0069ng\",\"i\\u0064\":1}", &f, &at), JSON_OK);
    assert_int_equal(f.type, FRAME_PING);
    assert_true(slice_is(f.field[KEY_ID], "1"));
}

struct refusal {
    const char *text;
    enum json_rc rc;
    size_t at;
    const char *id; /* what an answer may carry */
};

static void a_frame_that_cannot_be_read_says_where_and_whose(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct refusal rows[] = {
        { "{}",                                   JSON_TYPE,      0,  "" },
        { "{\"id\":5}",                           JSON_TYPE,      0,  "5" },
        { "{\"id\":5,\"type\":7}",                JSON_TYPE,      15, "5" },
        { "{\"type\":null}",                      JSON_TYPE,      8,  "" },
        { "{\"type\":\"ping\",\"id\":null}",      JSON_TYPE,      20, "" },
        { "{\"type\":\"ping\",\"id\":{}}",        JSON_TYPE,      20, "" },
        { "{\"type\":\"ping\",\"id\":[1]}",       JSON_TYPE,      20, "" },
        { "{\"type\":\"ping\",\"id\":true}",      JSON_TYPE,      20, "" },
        { "[\"ping\"]",                           JSON_TYPE,      0,  "" },
        { "\"ping\"",                             JSON_TYPE,      0,  "" },
        { "",                                     JSON_SYNTAX,    0,  "" },
        { "ping",                                 JSON_SYNTAX,    0,  "" },
        { "{\"id\":\"a\",\"type\":\"ping\"",      JSON_SYNTAX,    23, "\"a\"" },
        { "{\"id\":[],\"type\":\"ping\"",         JSON_SYNTAX,    22, "" },
        { "{\"type\":\"a\",\"type\":\"b\"}",      JSON_DUPLICATE, 12, "" },
        { "{\"id\":1,\"id\":2,\"type\":\"b\"}",   JSON_DUPLICATE, 8,  "1" },
        { "{\"type\":\"\\ud800\"}",               JSON_ESCAPE,    9,  "" },
        { "{\"type\":\"ping\",\"x\":\"\xff\"}",   JSON_UTF8,      20, "" },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct client_frame f;
        size_t at = 999;
        enum json_rc rc = read_text(rows[i].text, &f, &at);
        if (rc != rows[i].rc || at != rows[i].at || !slice_is(f.field[KEY_ID], rows[i].id)) {
            fail_msg("%s: %s at %zu", rows[i].text, json_rc_text(rc), at);
        }
        assert_int_equal(f.type, FRAME_UNKNOWN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_publish_is_taken_apart),
        cmocka_unit_test(each_type_is_known_by_its_name),
        cmocka_unit_test(each_key_has_its_field),
        cmocka_unit_test(a_key_that_resembles_a_known_one_is_ignored),
        cmocka_unit_test(an_unknown_type_is_no_error),
        cmocka_unit_test(escapes_in_type_and_keys_are_undone),
        cmocka_unit_test(a_frame_that_cannot_be_read_says_where_and_whose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
