#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "channels/json_scan.h"
#include "channels/namespace.h"

static const char *const system_names[] = {
    "agents",   "agent",    "tasks", "task",     "network", "swarm", "consensus",
    "workflow", "messages", "auth",  "channels", "pulse",   "hub"};
enum { SYSTEM_NAMES = sizeof system_names / sizeof *system_names };

static const struct namespace_options *of(const struct namespaces *set, uint32_t app,
                                          const char *ns)
{
    return namespace_of(set, app, slice_str(ns));
}

static bool set_option(struct namespaces *set, uint32_t app, const char *ns, const char *option,
                       const char *value)
{
    char text[400] = "";
    bool ok = namespace_set(set, app, slice_str(ns), option, value, text, sizeof text);
    assert_int_equal(ok, text[0] == '\0'); /* a refusal says why */
    return ok;
}

static void assert_same(const struct namespace_options *a, const struct namespace_options *b)
{
    struct buf first = {0}, second = {0};
    namespace_pack(a, &first);
    namespace_pack(b, &second);
    assert_true(slice_equal(buf_slice(&first), buf_slice(&second)));
    buf_done(&first);
    buf_done(&second);
}

static void without_configuration_a_namespace_is_durable_and_open(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    static const char *const names[] = {"orders", "", "lives", "agentx", "Live"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct namespace_options *o = of(set, 3, names[i]);
        assert_int_equal(o->access, CHANNEL_PUBLIC);
        assert_int_equal(o->delivery, NS_DURABLE);
        assert_int_equal(o->slow, NS_SLOW_CURSOR);
        assert_int_equal(o->publish, NS_PUBLISH_CAPABLE);
        assert_int_equal(o->history.events_max, 10000);
        assert_int_equal(o->history.age_ms_max, 86400000);
        assert_int_equal(o->history.bytes_max, 0);
        assert_int_equal(o->message_bytes, 65536);
        assert_int_equal(o->presence_grace_ms, 2000);
        assert_int_equal(o->rate, 0);
        assert_int_equal(o->ack_wait_ms, 30000);
        assert_int_equal(o->max_in_flight, 256);
        assert_int_equal(o->max_deliver, 5);
        assert_false(o->latest || o->conflate || o->system);
    }
    namespaces_free(set);
}

static void live_is_live_and_drops(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    const struct namespace_options *o = of(set, 0, "live");
    assert_int_equal(o->delivery, NS_LIVE);
    assert_int_equal(o->slow, NS_SLOW_DROP);
    assert_int_equal(o->publish, NS_PUBLISH_CAPABLE);
    assert_false(o->system);
    namespaces_free(set);
}

static void system_namespaces_are_private_and_written_by_the_hub_alone(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    for (size_t i = 0; i < SYSTEM_NAMES; i++) {
        const struct namespace_options *o = of(set, 7, system_names[i]);
        bool is_live = strcmp(system_names[i], "pulse") == 0 || strcmp(system_names[i], "hub") == 0;
        assert_true(o->system);
        assert_int_equal(o->access, CHANNEL_PRIVATE);
        assert_int_equal(o->publish, NS_PUBLISH_HUB);
        assert_int_equal(o->delivery, is_live ? NS_LIVE : NS_DURABLE);
        assert_int_equal(o->slow, is_live ? NS_SLOW_DROP : NS_SLOW_CURSOR);
        assert_int_equal(o->conflate, is_live);
    }
    namespaces_free(set);
}

static void a_system_namespace_keeps_what_makes_it_one(void **state)
{
    (void)state;
    static const char *const changes[][2] = {{"access", "public"}, {"delivery", "live"},
                                             {"publish", "any"},   {"message_bytes", "1KiB"},
                                             {"rate", "5"},        {"access", "presence"}};
    for (uint32_t app = 0; app < 2; app++) {
        struct namespaces *set = namespaces_new();
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
            assert_false(set_option(set, app, "tasks", changes[i][0], changes[i][1]));
        }
        assert_true(set_option(set, app, "tasks", "access", "private")); /* as it is */
        assert_true(set_option(set, app, "tasks", "history_events", "5"));
        assert_true(set_option(set, app, "tasks", "history_age", "1h"));
        assert_true(set_option(set, app, "tasks", "slow", "disconnect"));
        const struct namespace_options *o = of(set, app, "tasks");
        assert_true(o->system && o->access == CHANNEL_PRIVATE && o->publish == NS_PUBLISH_HUB);
        assert_int_equal(o->history.events_max, 5);
        assert_int_equal(o->history.age_ms_max, 3600000);
        namespaces_free(set);
    }
}

static void a_stored_row_cannot_open_a_system_namespace_nor_make_one(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    struct namespace_options open = *of(set, 0, "orders");
    open.history.events_max = 9;
    open.system = true;
    namespace_put(set, 4, slice_str("agent"), &open);
    const struct namespace_options *o = of(set, 4, "agent");
    assert_true(o->system && o->access == CHANNEL_PRIVATE && o->publish == NS_PUBLISH_HUB);
    assert_int_equal(o->history.events_max, 9);
    namespace_put(set, 4, slice_str("orders"), &open);
    assert_false(of(set, 4, "orders")->system);
    namespaces_free(set);
}

struct spelling {
    const char *option, *value;
    bool allowed;
    uint64_t number;
};

static uint64_t number_of(const struct namespace_options *o, const char *option)
{
    struct {
        const char *name;
        uint64_t value;
    } values[] = {{"access", o->access},
                  {"delivery", o->delivery},
                  {"history_events", o->history.events_max},
                  {"history_age", (uint64_t)o->history.age_ms_max},
                  {"history_bytes", o->history.bytes_max},
                  {"latest", o->latest},
                  {"conflate", o->conflate},
                  {"slow", o->slow},
                  {"publish", o->publish},
                  {"presence_grace_ms", o->presence_grace_ms},
                  {"message_bytes", o->message_bytes},
                  {"rate", o->rate},
                  {"ack_wait", o->ack_wait_ms},
                  {"max_in_flight", o->max_in_flight},
                  {"max_deliver", o->max_deliver}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        if (strcmp(values[i].name, option) == 0) {
            return values[i].value;
        }
    }
    fail_msg("no such option: %s", option);
    return 0;
}

static void each_option_is_read_in_its_spellings(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct spelling rows[] = {
        { "access", "public", true, CHANNEL_PUBLIC }, { "access", "private", true, CHANNEL_PRIVATE },
        { "access", "presence", true, CHANNEL_PRESENCE }, { "access", "Public", false, 0 }, { "access", "", false, 0 },
        { "access", "1", false, 0 },
        { "delivery", "live", true, NS_LIVE }, { "delivery", "durable", true, NS_DURABLE }, { "delivery", "dur", false, 0 },
        { "slow", "drop", true, NS_SLOW_DROP }, { "slow", "disconnect", true, NS_SLOW_DISCONNECT },
        { "slow", "cursor", true, NS_SLOW_CURSOR }, { "slow", "cursors", false, 0 },
        { "publish", "capable", true, NS_PUBLISH_CAPABLE }, { "publish", "any", true, NS_PUBLISH_ANY },
        { "publish", "hub", true, NS_PUBLISH_HUB }, { "publish", "nobody", false, 0 },
        { "latest", "true", true, 1 }, { "latest", "false", true, 0 }, { "latest", "1", false, 0 },
        { "conflate", "true", true, 1 }, { "conflate", "yes", false, 0 },
        { "history_events", "0", true, 0 }, { "history_events", "10000", true, 10000 },
        { "history_events", "1000000000000", true, 1000000000000 }, { "history_events", "1000000000001", false, 0 },
        { "history_events", "-1", false, 0 }, { "history_events", "1.5", false, 0 }, { "history_events", "2.000", true, 2 },
        { "history_events", "1e3", false, 0 }, { "history_events", "5s", false, 0 }, { "history_events", " 5", false, 0 },
        { "history_events", "5 ", false, 0 }, { "history_events", "", false, 0 },
        { "history_events", "18446744073709551617", false, 0 },
        { "history_age", "250ms", true, 250 }, { "history_age", "30s", true, 30000 }, { "history_age", "5m", true, 300000 },
        { "history_age", "24h", true, 86400000 }, { "history_age", "7d", true, 604800000 },
        { "history_age", "3600", true, 3600000 }, { "history_age", "0.25", true, 250 }, { "history_age", "1.5h", true, 5400000 },
        { "history_age", "0", true, 0 }, { "history_age", "0.0005", false, 0 }, { "history_age", "1.", false, 0 },
        { "history_age", ".5", false, 0 }, { "history_age", "0.5ms", false, 0 }, { "history_age", "1w", false, 0 },
        { "history_age", "1 h", false, 0 }, { "history_age", "36500d", true, 3153600000000 }, { "history_age", "36501d", false, 0 },
        { "history_age", "9999999999999d", false, 0 }, { "history_age", "h", false, 0 },
        { "history_bytes", "65536", true, 65536 }, { "history_bytes", "64KiB", true, 65536 },
        { "history_bytes", "1.5MiB", true, 1572864 }, { "history_bytes", "2GiB", true, 2147483648 },
        { "history_bytes", "7B", true, 7 }, { "history_bytes", "0.5B", false, 0 }, { "history_bytes", "64kb", false, 0 },
        { "history_bytes", "1048577GiB", false, 0 },
        { "presence_grace_ms", "2000", true, 2000 }, { "presence_grace_ms", "2s", true, 2000 },
        { "presence_grace_ms", "0", true, 0 }, { "presence_grace_ms", "1h", true, 3600000 },
        { "presence_grace_ms", "3600001", false, 0 }, { "presence_grace_ms", "0.5", false, 0 },
        { "message_bytes", "1", true, 1 }, { "message_bytes", "0", false, 0 }, { "message_bytes", "16MiB", true, 16777216 },
        { "message_bytes", "16777217", false, 0 },
        { "rate", "0", true, 0 }, { "rate", "1000000", true, 1000000 }, { "rate", "1000001", false, 0 },
        { "ack_wait", "30s", true, 30000 }, { "ack_wait", "2", true, 2000 }, { "ack_wait", "9ms", false, 0 },
        { "ack_wait", "25h", false, 0 }, { "max_in_flight", "1", true, 1 }, { "max_in_flight", "0", false, 0 },
        { "max_in_flight", "4096", true, 4096 }, { "max_in_flight", "4097", false, 0 },
        { "max_deliver", "1000", true, 1000 }, { "max_deliver", "0", false, 0 }, { "max_deliver", "1001", false, 0 },
        { "system", "true", false, 0 }, { "", "1", false, 0 }, { "Access", "public", false, 0 },
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct namespaces *set = namespaces_new();
        struct namespace_options before = *of(set, 2, "orders");
        bool allowed = set_option(set, 2, "orders", rows[i].option, rows[i].value);
        if (allowed != rows[i].allowed ||
            (allowed && number_of(of(set, 2, "orders"), rows[i].option) != rows[i].number)) {
            fail_msg("%s = \"%s\"", rows[i].option, rows[i].value);
        }
        if (!allowed) {
            assert_same(&before, of(set, 2, "orders"));
        }
        namespaces_free(set);
    }
}

static void a_refusal_names_option_value_and_what_is_allowed(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    char text[400];
    assert_false(namespace_set(set, 0, slice_str("a"), "slow", "wait", text, sizeof text));
    assert_string_equal(text, "slow: \"wait\" is not drop, disconnect or cursor");
    assert_false(namespace_set(set, 0, slice_str("a"), "speed", "1", text, sizeof text));
    assert_non_null(strstr(text, "\"speed\" is no option"));
    const char *allowed;
    for (size_t i = 0; namespace_option(i, &allowed); i++) {
        assert_non_null(strstr(text, namespace_option(i, &allowed)));
    }
    assert_false(namespace_set(set, 0, slice_str("hub"), "access", "public", text, sizeof text));
    assert_non_null(strstr(text, "hub is a system namespace"));
    assert_false(namespace_set(set, 0, slice_str("a.b"), "slow", "drop", text, sizeof text));
    assert_non_null(strstr(text, "without a dot"));
    /* A text cut short is still a text. */
    assert_false(namespace_set(set, 0, slice_str("a"), "speed", "1", text, 8));
    assert_string_equal(text, "\"speed\"");
    namespaces_free(set);
}

static void an_app_s_own_options_come_before_every_app_s(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    assert_true(set_option(set, 0, "orders", "rate", "1"));
    assert_true(set_option(set, 5, "orders", "rate", "2"));
    assert_true(set_option(set, 5, "", "rate", "3"));
    assert_true(set_option(set, 0, "", "rate", "4"));
    assert_int_equal(of(set, 5, "orders")->rate, 2);
    assert_int_equal(of(set, 6, "orders")->rate, 1);
    assert_int_equal(of(set, 5, "other")->rate, 3);
    assert_int_equal(of(set, 5, "")->rate, 3);
    assert_int_equal(of(set, 6, "other")->rate, 4);
    assert_int_equal(of(set, 0, "")->rate, 4);
    assert_int_equal(of(set, 5, "agents")->rate, 0);
    assert_true(namespace_drop(set, 5, slice_str("orders")));
    assert_int_equal(of(set, 5, "orders")->rate, 1);
    assert_true(namespace_drop(set, 0, slice_str("orders")));
    assert_int_equal(of(set, 5, "orders")->rate, 3);
    assert_true(namespace_drop(set, 5, slice_str("")));
    assert_int_equal(of(set, 5, "orders")->rate, 4);
    assert_false(namespace_drop(set, 5, slice_str("")));
    assert_false(namespace_drop(set, 0, slice_str("")));
    namespaces_free(set);
}

static void a_new_row_begins_with_what_held_before(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    assert_true(set_option(set, 0, "", "message_bytes", "1KiB"));
    assert_true(set_option(set, 0, "orders", "rate", "9"));
    assert_int_equal(of(set, 1, "orders")->message_bytes, 1024);
    assert_true(set_option(set, 1, "orders", "latest", "true"));
    assert_int_equal(of(set, 1, "orders")->rate, 9);
    assert_true(of(set, 1, "orders")->latest);
    assert_false(of(set, 2, "orders")->latest);
    namespaces_free(set);
}

static void a_system_namespace_cannot_be_dropped_but_an_app_s_change_of_it_can(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    for (size_t i = 0; i < SYSTEM_NAMES; i++) {
        assert_false(namespace_drop(set, 0, slice_str(system_names[i])));
        assert_false(namespace_drop(set, 1, slice_str(system_names[i])));
        assert_true(set_option(set, 1, system_names[i], "history_events", "3"));
        assert_true(namespace_drop(set, 1, slice_str(system_names[i])));
        assert_true(of(set, 1, system_names[i])->system);
    }
    namespaces_free(set);
}

static void a_copy_goes_its_own_way(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    assert_true(set_option(set, 1, "orders", "rate", "1"));
    struct namespaces *copy = namespaces_copy(set);
    assert_int_equal(of(copy, 1, "orders")->rate, 1);
    assert_true(set_option(copy, 1, "orders", "rate", "2"));
    assert_true(set_option(copy, 1, "more", "rate", "3"));
    assert_int_equal(of(set, 1, "orders")->rate, 1);
    assert_int_equal(of(set, 1, "more")->rate, 0);
    namespaces_free(set);
    assert_int_equal(of(copy, 1, "orders")->rate, 2);
    namespaces_free(copy);
    namespaces_free(NULL);
}

static void thousands_of_namespaces_are_each_found_up_to_the_bound(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    char name[32], rate[32];
    uint32_t n = 0;
    for (;; n++) {
        snprintf(name, sizeof name, "ns-%u", n / 3);
        snprintf(rate, sizeof rate, "%u", n + 1);
        if (!set_option(set, n % 3, name, "rate", rate)) {
            break;
        }
    }
    assert_true(n > NAMESPACES_MAX - 20 && n < NAMESPACES_MAX);
    assert_true(set_option(set, 0, "ns-0", "rate", "1")); /* a row that is there can be changed */
    for (uint32_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "ns-%u", i / 3);
        assert_int_equal(of(set, i % 3, name)->rate, i + 1);
    }
    for (uint32_t i = 0; i < 300; i += 2) {
        snprintf(name, sizeof name, "ns-%u", i / 3);
        assert_true(namespace_drop(set, i % 3, slice_str(name)));
    }
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "ns-%u", i / 3);
        uint32_t own = of(set, i % 3, name)->rate;
        assert_int_equal(own == i + 1, i & 1);
    }
    namespaces_free(set);
}

static bool count_rows(void *ctx, uint32_t app, struct slice ns, const struct namespace_options *o)
{
    size_t *left = ctx;
    assert_true(app == 0 && ns.n <= NAMESPACE_BYTES_MAX && o->message_bytes > 0);
    return --*left > 0;
}

static void each_row_is_visited_until_the_visitor_has_enough(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    size_t left = 1000;
    namespaces_each(set, count_rows, &left);
    assert_int_equal(left, 1000 - SYSTEM_NAMES - 2); /* the default and live, too */
    left = 2;
    namespaces_each(set, count_rows, &left);
    assert_int_equal(left, 0);
    namespaces_free(set);
}

static void options_are_one_json_object(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    assert_true(set_option(set, 0, "a", "history_age", "1500ms"));
    struct buf b = {0};
    struct json_out o = json_out_to(&b);
    namespace_options_json(of(set, 0, "a"), &o);
    assert_true(slice_is(buf_slice(&b),
                         "{\"access\":\"public\",\"delivery\":\"durable\",\"history_events\":10000,"
                         "\"history_age\":1.5,\"history_bytes\":0,\"latest\":false,"
                         "\"conflate\":false,\"slow\":\"cursor\",\"publish\":\"capable\","
                         "\"presence_grace_ms\":2000,\"message_bytes\":65536,\"rate\":0,"
                         "\"ack_wait\":30,\"max_in_flight\":256,\"max_deliver\":5,"
                         "\"system\":false}"));
    buf_done(&b);
    namespaces_free(set);
}

/* What namespace_options_json writes can be given to namespace_set again. */
static void json_and_text_say_the_same(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    static const char *const names[] = {"orders", "live"};
    assert_true(set_option(set, 0, "orders", "history_age", "1ms"));
    assert_true(set_option(set, 0, "orders", "conflate", "true"));
    assert_true(set_option(set, 0, "orders", "slow", "disconnect"));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf b = {0};
        struct json_out o = json_out_to(&b);
        namespace_options_json(of(set, 0, names[i]), &o);
        struct json_walk w = json_walk_of(buf_slice(&b));
        struct slice key, value, text;
        while (json_walk_next(&w, &key, &value)) {
            assert_true(json_is_plain(key, &text));
            char *option = xstrndup(text.p, text.n);
            char *said =
                json_is_plain(value, &text) ? xstrndup(text.p, text.n) : xstrndup(value.p, value.n);
            if (strcmp(option, "system") != 0) {
                assert_true(set_option(set, 0, "copy", option, said));
            }
            free(option);
            free(said);
        }
        assert_same(of(set, 0, "copy"), of(set, 0, names[i]));
        buf_done(&b);
    }
    namespaces_free(set);
}

static void a_stored_row_reads_back(void **state)
{
    (void)state;
    struct namespaces *set = namespaces_new();
    assert_true(set_option(set, 0, "a", "history_bytes", "1GiB"));
    assert_true(set_option(set, 0, "a", "latest", "true"));
    assert_true(set_option(set, 0, "a", "access", "presence"));
    struct buf b = {0};
    struct namespace_options read;
    namespace_pack(of(set, 0, "a"), &b);
    assert_true(namespace_unpack(buf_slice(&b), &read));
    assert_same(&read, of(set, 0, "a"));
    for (size_t n = 0; n < b.n; n++) {
        assert_false(namespace_unpack(slice_of(b.p, n), &read));
    }
    buf_add(&b, "x", 1);
    assert_false(namespace_unpack(buf_slice(&b), &read)); /* something is left over */
    b.n--;
    b.p[2 + 7] = 3; /* access has three values, from 0 */
    assert_false(namespace_unpack(buf_slice(&b), &read));
    b.p[2 + 7] = 0;
    b.p[0] = 2; /* another version */
    assert_false(namespace_unpack(buf_slice(&b), &read));
    buf_done(&b);
    namespaces_free(set);
}

static void a_row_of_another_program_gives_the_options_both_know(void **state)
{
    (void)state;
    static const uint8_t older[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 2};
    struct namespace_options read;
    assert_true(namespace_unpack(slice_of(older, sizeof older), &read));
    assert_int_equal(read.access, CHANNEL_PRESENCE);
    assert_int_equal(read.message_bytes, 65536);

    struct namespaces *set = namespaces_new();
    struct buf b = {0};
    namespace_pack(of(set, 0, "a"), &b);
    b.p[1]++;
    buf_add(&b, "\1\2\3\4\5\6\7", 8);
    assert_true(namespace_unpack(buf_slice(&b), &read));
    assert_same(&read, of(set, 0, "a"));
    buf_done(&b);
    namespaces_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_configuration_a_namespace_is_durable_and_open),
        cmocka_unit_test(live_is_live_and_drops),
        cmocka_unit_test(system_namespaces_are_private_and_written_by_the_hub_alone),
        cmocka_unit_test(a_system_namespace_keeps_what_makes_it_one),
        cmocka_unit_test(a_stored_row_cannot_open_a_system_namespace_nor_make_one),
        cmocka_unit_test(each_option_is_read_in_its_spellings),
        cmocka_unit_test(a_refusal_names_option_value_and_what_is_allowed),
        cmocka_unit_test(an_app_s_own_options_come_before_every_app_s),
        cmocka_unit_test(a_new_row_begins_with_what_held_before),
        cmocka_unit_test(a_system_namespace_cannot_be_dropped_but_an_app_s_change_of_it_can),
        cmocka_unit_test(a_copy_goes_its_own_way),
        cmocka_unit_test(thousands_of_namespaces_are_each_found_up_to_the_bound),
        cmocka_unit_test(each_row_is_visited_until_the_visitor_has_enough),
        cmocka_unit_test(options_are_one_json_object),
        cmocka_unit_test(json_and_text_say_the_same),
        cmocka_unit_test(a_stored_row_reads_back),
        cmocka_unit_test(a_row_of_another_program_gives_the_options_both_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
