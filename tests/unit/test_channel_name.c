#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "channels/name.h"

static void a_name_has_1_to_164_bytes_of_the_alphabet(void **state)
{
    (void)state;
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-=@,.;";
    for (unsigned c = 0; c < 256; c++) {
        uint8_t name[3] = {'a', (uint8_t)c, 'b'};
        bool allowed = c && strchr(alphabet, (int)c);
        assert_int_equal(channel_name_valid(slice_of(name, 3)), allowed);
        assert_int_equal(channel_name_valid(slice_of(name + 1, 1)), allowed);
    }
    uint8_t longest[CHANNEL_NAME_BYTES_MAX + 1];
    memset(longest, 'n', sizeof longest);
    assert_true(channel_name_valid(slice_of(longest, CHANNEL_NAME_BYTES_MAX)));
    assert_false(channel_name_valid(slice_of(longest, CHANNEL_NAME_BYTES_MAX + 1)));
    assert_false(channel_name_valid(slice_of(NULL, 0)));
}

struct row {
    const char *name;
    enum channel_access access;
    bool cache, encrypted;
    const char *ns, *base;
};

static void a_name_says_its_kind_and_its_namespace(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct row rows[] = {
        { "orders",                          CHANNEL_PUBLIC,   0, 0, "orders", "orders" },
        { "orders.eu.1",                     CHANNEL_PUBLIC,   0, 0, "orders", "orders.eu.1" },
        { "private-orders",                  CHANNEL_PRIVATE,  0, 0, "orders", "orders" },
        { "presence-room.7",                 CHANNEL_PRESENCE, 0, 0, "room",   "room.7" },
        { "cache-orders.eu",                 CHANNEL_PUBLIC,   1, 0, "orders", "orders.eu" },
        { "private-cache-orders.eu",         CHANNEL_PRIVATE,  1, 0, "orders", "orders.eu" },
        { "presence-cache-room",             CHANNEL_PRESENCE, 1, 0, "room",   "room" },
        { "private-encrypted-x.y",           CHANNEL_PRIVATE,  0, 1, "x",      "x.y" },
        { "private-encrypted-cache-x.y",     CHANNEL_PRIVATE,  1, 1, "x",      "x.y" },
        /* Only the order of the Pusher wire makes a prefix. */
        { "private-cache-encrypted-x",       CHANNEL_PRIVATE,  1, 0, "encrypted-x", "encrypted-x" },
        { "presence-encrypted-x",            CHANNEL_PRESENCE, 0, 0, "encrypted-x", "encrypted-x" },
        { "encrypted-x",                     CHANNEL_PUBLIC,   0, 0, "encrypted-x", "encrypted-x" },
        { "cache-private-x",                 CHANNEL_PUBLIC,   1, 0, "private-x",   "private-x" },
        { "private-presence-x",              CHANNEL_PRIVATE,  0, 0, "presence-x",  "presence-x" },
        { "Private-x",                       CHANNEL_PUBLIC,   0, 0, "Private-x",   "Private-x" },
        { "private",                         CHANNEL_PUBLIC,   0, 0, "private",     "private" },
        { "private.x",                       CHANNEL_PUBLIC,   0, 0, "private",     "private.x" },
        { "privatex",                        CHANNEL_PUBLIC,   0, 0, "privatex",    "privatex" },
        { "private-encrypted",               CHANNEL_PRIVATE,  0, 0, "encrypted",   "encrypted" },
        { "x.private-y",                     CHANNEL_PUBLIC,   0, 0, "x",           "x.private-y" },
        /* A prefix with nothing behind it keeps its meaning. */
        { "private-",                        CHANNEL_PRIVATE,  0, 0, "", "" },
        { "presence-cache-",                 CHANNEL_PRESENCE, 1, 0, "", "" },
        { "private-encrypted-cache-",        CHANNEL_PRIVATE,  1, 1, "", "" },
        { "cache-",                          CHANNEL_PUBLIC,   1, 0, "", "" },
        /* The empty namespace. */
        { ".x",                              CHANNEL_PUBLIC,   0, 0, "", ".x" },
        { ".",                               CHANNEL_PUBLIC,   0, 0, "", "." },
        { "presence-.x",                     CHANNEL_PRESENCE, 0, 0, "", ".x" },
        { "private-cache-.",                 CHANNEL_PRIVATE,  1, 0, "", "." },
        { "a..b",                            CHANNEL_PUBLIC,   0, 0, "a", "a..b" },
        { "-",                               CHANNEL_PUBLIC,   0, 0, "-", "-" },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct channel_name name = channel_name_parse(slice_str(row->name));
        if (!channel_name_valid(slice_str(row->name)) || name.access != row->access ||
            name.cache != row->cache || name.encrypted != row->encrypted ||
            !slice_is(name.ns, row->ns) || !slice_is(name.base, row->base)) {
            fail_msg("%s: access %d, ns %.*s, base %.*s", row->name, name.access, (int)name.ns.n,
                     (const char *)name.ns.p, (int)name.base.n, (const char *)name.base.p);
        }
    }
}

static void a_pattern_is_whole_segments(void **state)
{
    (void)state;
    static const char *const patterns[] = {"*",     ">",    "a.*",         "a.>", "*.b",
                                           "*.*.>", "a..*", "private-a.*", ".>",  "*."};
    static const char *const broken[] = {"a*",        "*a",         "a.b*",  "a.>b", ">.a",
                                         ">.>",       ">.*",        "a.>.b", "**",   "a.**",
                                         "private-*", "presence->", "a b.*", "#.*",  "*>"};
    static const char *const names[] = {"a", "a.b", "a..b", ".", "private-a"};
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        assert_true(channel_is_pattern(slice_str(patterns[i])));
        assert_true(channel_pattern_valid(slice_str(patterns[i])));
        assert_false(channel_name_valid(slice_str(patterns[i])));
    }
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        assert_false(channel_pattern_valid(slice_str(broken[i])));
        assert_false(channel_name_valid(slice_str(broken[i])));
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_false(channel_is_pattern(slice_str(names[i])));
        assert_true(channel_pattern_valid(slice_str(names[i])));
    }
}

static void a_pattern_is_no_longer_than_a_name(void **state)
{
    (void)state;
    uint8_t longest[CHANNEL_NAME_BYTES_MAX + 1];
    memset(longest, 'n', sizeof longest);
    longest[0] = '*';
    longest[1] = '.';
    assert_true(channel_pattern_valid(slice_of(longest, CHANNEL_NAME_BYTES_MAX)));
    assert_false(channel_pattern_valid(slice_of(longest, CHANNEL_NAME_BYTES_MAX + 1)));
    assert_false(channel_pattern_valid(slice_of(NULL, 0)));
    assert_false(channel_is_pattern(slice_of(NULL, 0)));
}

static void a_namespace_s_name_has_no_dot(void **state)
{
    (void)state;
    uint8_t longest[NAMESPACE_BYTES_MAX + 1];
    memset(longest, 'n', sizeof longest);
    assert_true(namespace_name_valid(slice_of(longest, NAMESPACE_BYTES_MAX)));
    assert_false(namespace_name_valid(slice_of(longest, NAMESPACE_BYTES_MAX + 1)));
    assert_true(namespace_name_valid(slice_str("a-b=c@d,e;f_0")));
    assert_false(namespace_name_valid(slice_str("a.b")));
    assert_false(namespace_name_valid(slice_str("*")));
    assert_false(namespace_name_valid(slice_of(NULL, 0)));
}

static void an_id_is_one_segment_of_its_channel(void **state)
{
    static const struct {
        const char *id, *channel;
    } cases[] = {{"bee-1_X", "agent.bee-1_X"}, {"a.b", "agent.a=2eb"}, {"a=b", "agent.a=3db"},
                 {"a b", "agent.a=20b"},       {"@,;", "agent.@,;"},   {"ž", "agent.=c5=be"}};
    struct buf name = {0};
    char longest[128];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        buf_clear(&name);
        channel_of_id(&name, "agent.", slice_str(cases[i].id));
        assert_true(slice_is(buf_slice(&name), cases[i].channel));
    }
    memset(longest, '.', sizeof longest);
    buf_clear(&name);
    channel_of_id(&name, "agent.", slice_of(longest, sizeof longest));
    assert_int_equal(name.n, CHANNEL_NAME_BYTES_MAX);
    assert_true(channel_name_valid(buf_slice(&name)));
    buf_done(&name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_1_to_164_bytes_of_the_alphabet),
        cmocka_unit_test(a_name_says_its_kind_and_its_namespace),
        cmocka_unit_test(a_pattern_is_whole_segments),
        cmocka_unit_test(a_pattern_is_no_longer_than_a_name),
        cmocka_unit_test(a_namespace_s_name_has_no_dot),
        cmocka_unit_test(an_id_is_one_segment_of_its_channel),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
