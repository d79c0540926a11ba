/* How work is divided among members and its results become one (semantics.md section 6). */
#include "tests/unit/scratch.h"

#include "hub/swarms/strategy.h"
#include "hub/swarms/swarm.h"

static bool known(const char *name, enum work_strategy *out)
{
    return strategy_of(slice_str(name), out);
}

static void strategies_are_known_by_several_names(void **state)
{
    (void)state;
    enum work_strategy s;
    for (unsigned i = 0; i < WORK_STRATEGIES; i++) {
        assert_true(known(strategy_rule((enum work_strategy)i)->name, &s));
        assert_int_equal(s, i);
    }
    assert_true(known("Map_Reduce", &s));
    assert_int_equal(s, STRATEGY_MAP_REDUCE);
    assert_true(known("SEQUENTIAL", &s));
    assert_int_equal(s, STRATEGY_PIPELINE);
    assert_false(known("", &s));
    assert_false(known("map-reduc", &s));
    assert_false(known("map-reduces", &s));
}

static void require_is_read_in_all_its_forms(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool ok;
        uint32_t of_10;
    } cases[] = {
        {"\"all\"", true, 10},
        {"0.5", true, 5},
        {"0.51", true, 6},
        {"1.0", true, 10},
        {"1", true, 1},
        {"3", true, 3},
        {"20", true, 10},
        {"\"2\"", true, 2},
        {"\"first 4\"", true, 4},
        {"\"0.3\"", true, 3},
        {"{\"first\":7}", true, 7},
        {"{\"fraction\":0.25}", true, 3},
        {"{\"fraction\":1}", true, 10},
        {"0", false, 0},
        {"-1", false, 0},
        {"1.5", false, 0},
        {"1001", false, 0},
        {"\"some\"", false, 0},
        {"\"\"", false, 0},
        {"{\"fraction\":1.5}", false, 0},
        {"{\"first\":0}", false, 0},
        {"{}", false, 0},
        {"[]", false, 0},
        {"null", false, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct require r;
        json_t *value = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        bool ok = require_of(value, &r);
        if (ok != cases[i].ok || (ok && require_count(&r, 10) != cases[i].of_10)) {
            fail_msg("%s", cases[i].json);
        }
        json_decref(value);
    }
}

/* Whatever the strategy and the counts: all items, each once, in order, in even shares. */
static void items_are_shared_out_whole_and_in_order(void **state)
{
    (void)state;
    for (unsigned s = 0; s < WORK_STRATEGIES; s++) {
        for (uint32_t members = 1; members <= 7; members++) {
            for (uint32_t items = 1; items <= 23; items++) {
                for (uint32_t shards = 0; shards <= 9; shards += 3) {
                    struct division d =
                        divide((enum work_strategy)s, members, true, items, shards, 3);
                    uint32_t next = 0, least = UINT32_MAX, most = 0;
                    assert_true(d.parts_n > 0);
                    for (uint32_t p = 0; d.has_items && p < d.parts_n; p++) {
                        struct share share = division_share(&d, p);
                        assert_int_equal(share.item, next);
                        assert_true(share.member < members);
                        next += share.items_n;
                        least = share.items_n < least ? share.items_n : least;
                        most = share.items_n > most ? share.items_n : most;
                    }
                    if (d.has_items) {
                        assert_int_equal(next, items);
                        assert_true(least > 0 && most - least <= 1);
                    }
                }
            }
        }
    }
}

static void what_cannot_be_split_goes_to_whom_the_strategy_says(void **state)
{
    (void)state;
    static const uint32_t parts_for_4[WORK_STRATEGIES] = {
        [STRATEGY_ROUND_ROBIN] = 1,  [STRATEGY_MAP_REDUCE] = 4, [STRATEGY_BROADCAST] = 4,
        [STRATEGY_RACE] = 4,         [STRATEGY_PIPELINE] = 4,   [STRATEGY_SCATTER_VOTE] = 4,
        [STRATEGY_CONSENSUS] = 4,    [STRATEGY_ELECTION] = 4,   [STRATEGY_DISTRIBUTED] = 1,
        [STRATEGY_HIERARCHICAL] = 3,
    };
    for (unsigned s = 0; s < WORK_STRATEGIES; s++) {
        struct division d = divide((enum work_strategy)s, 4, false, 0, 0, 0);
        assert_int_equal(d.parts_n, parts_for_4[s]);
        assert_int_equal(division_share(&d, 0).items_n, 0);
    }
}

static void a_pipeline_waits_and_a_hierarchy_spares_its_head(void **state)
{
    (void)state;
    struct division chain = divide(STRATEGY_PIPELINE, 3, false, 0, 0, 0);
    assert_false(division_share(&chain, 0).waits);
    assert_true(division_share(&chain, 1).waits && division_share(&chain, 2).waits);
    struct division tree = divide(STRATEGY_HIERARCHICAL, 3, true, 10, 5, 0);
    for (uint32_t p = 0; p < tree.parts_n; p++) {
        assert_int_not_equal(division_share(&tree, p).member, 0);
    }
    struct division alone = divide(STRATEGY_HIERARCHICAL, 1, true, 10, 0, 0);
    assert_int_equal(division_share(&alone, 0).member, 0);
}

static void round_robin_goes_on_where_it_stood(void **state)
{
    (void)state;
    struct division d = divide(STRATEGY_ROUND_ROBIN, 3, true, 5, 0, 7);
    static const uint32_t members[] = {1, 2, 0, 1, 2};
    assert_int_equal(d.parts_n, 5);
    for (uint32_t p = 0; p < 5; p++) {
        assert_int_equal(division_share(&d, p).member, members[p]);
    }
}

static void more_items_than_parts_may_be_are_given_several_at_a_time(void **state)
{
    (void)state;
    struct division d = divide(STRATEGY_ROUND_ROBIN, 3, true, 25000, 0, 0);
    assert_int_equal(d.parts_n, WORK_PARTS_MAX);
    assert_int_equal(division_share(&d, 999).item + division_share(&d, 999).items_n, 25000);
}

static void stragglers_are_known_once_half_is_in(void **state)
{
    (void)state;
    int64_t took[] = {900, 100, 300, 200};
    assert_int_equal(straggler_after_ms(took, 0, 4), 0);
    assert_int_equal(straggler_after_ms(took, 1, 4), 0);
    assert_int_equal(straggler_after_ms(took, 3, 6), 600); /* 100, 300, 900 */
    assert_int_equal(straggler_after_ms(took, 4, 4), 0);   /* nobody is left */
}

/* ---- reducers ---- */

static void reduces_to(enum reducer reducer, const char *field, const char *results,
                       const char *wanted)
{
    struct reduce_rule rule = {.reducer = reducer, .field = field, .k = 3, .by = NULL};
    const char *why = NULL;
    json_t *list = json_loads(results, 0, NULL), *items[16];
    size_t n = json_array_size(list);
    for (size_t i = 0; i < n; i++) {
        items[i] = json_array_get(list, i);
    }
    json_t *out = reduce(&rule, items, n, &why);
    char *text = out ? json_dumps(out, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    if (strcmp(text ? text : why, wanted) != 0) {
        fail_msg("%s of %s: %s, wanted %s", reducer_name(reducer), results, text ? text : why,
                 wanted);
    }
    free(text);
    json_decref(out);
    json_decref(list);
}

static void each_reducer_does_what_its_name_says(void **state)
{
    (void)state;
    reduces_to(REDUCE_LIST, NULL, "[1,[2],null]", "[1,[2],null]");
    reduces_to(REDUCE_CONCAT, NULL, "[\"a\",\"b\"]", "\"ab\"");
    reduces_to(REDUCE_CONCAT, NULL, "[[\"a\"],[\"b\",\"c\"]]", "[\"a\",\"b\",\"c\"]");
    reduces_to(REDUCE_CONCAT, NULL, "[[1],2,[[3]]]", "[1,2,[3]]");
    reduces_to(REDUCE_CONCAT, NULL, "[]", "[]");
    reduces_to(REDUCE_SUM, NULL, "[1,[2,3],4]", "10");
    reduces_to(REDUCE_SUM, NULL, "[]", "0");
    reduces_to(REDUCE_SUM, NULL, "[1,0.5]", "1.5");
    reduces_to(REDUCE_SUM, NULL, "[9223372036854775807,1]", "9.2233720368547758e18");
    reduces_to(REDUCE_SUM, "value", "[{\"value\":2},{\"value\":[3,4]},{}]", "9");
    reduces_to(REDUCE_MEAN, NULL, "[[1,2,3],[10]]", "4.0"); /* of values, not of means */
    reduces_to(REDUCE_MEAN, NULL, "[{\"sum\":6,\"count\":3},10]", "4.0");
    reduces_to(REDUCE_MIN, NULL, "[3,[1,2]]", "1");
    reduces_to(REDUCE_MAX, NULL, "[3,[1,20.5]]", "20.5");
    reduces_to(REDUCE_MAX, NULL, "[9007199254740993,9007199254740992]", "9007199254740993");
    reduces_to(REDUCE_COUNT, NULL, "[[1,2],3,null]", "3");
    reduces_to(REDUCE_MERGE_OBJECT, NULL, "[{\"a\":1,\"b\":1},{\"b\":2}]", "{\"a\":1,\"b\":2}");
    reduces_to(REDUCE_TOP_K, NULL, "[[1,9],[5,7],3]", "[9,7,5]");
    reduces_to(REDUCE_FIRST, NULL, "[\"x\",\"y\"]", "\"x\"");
    reduces_to(REDUCE_LAST, NULL, "[\"x\",\"y\"]", "\"y\"");
}

static void a_vote_counts_each_result_once(void **state)
{
    (void)state;
    reduces_to(REDUCE_VOTE, NULL, "[\"a\",\"b\",\"a\",\"a\"]",
               "{\"confidence\":0.75,\"tied\":false,\"votes\":{\"a\":3,\"b\":1},\"winner\":\"a\"}");
    reduces_to(REDUCE_VOTE, NULL, "[{\"y\":1,\"x\":2},{\"x\":2,\"y\":1}]",
               "{\"confidence\":1.0,\"tied\":false,\"votes\":{\"{\\\"x\\\":2,\\\"y\\\":1}\":2},"
               "\"winner\":{\"x\":2,\"y\":1}}");
    /* who abstains lowers the confidence, and a tie says so */
    reduces_to(REDUCE_VOTE, "answer",
               "[{\"answer\":\"b\"},{\"answer\":\"a\"},{},{\"answer\":null}]",
               "{\"confidence\":0.25,\"tied\":true,\"votes\":{\"a\":1,\"b\":1},\"winner\":\"b\"}");
}

static void results_that_do_not_fit_are_refused_with_a_reason(void **state)
{
    (void)state;
    reduces_to(REDUCE_SUM, NULL, "[1,\"x\"]", "a result is no number");
    reduces_to(REDUCE_MEAN, NULL, "[]", "there is no number");
    reduces_to(REDUCE_MIN, NULL, "[]", "there is no number");
    reduces_to(REDUCE_MAX, NULL, "[{}]", "a result is no number");
    reduces_to(REDUCE_MERGE_OBJECT, NULL, "[{},1]", "a result is no object");
    reduces_to(REDUCE_TOP_K, NULL, "[1,\"x\"]", "a result has no number to be compared by");
    reduces_to(REDUCE_VOTE, NULL, "[null]", "nobody voted");
    reduces_to(REDUCE_FIRST, NULL, "[]", "there is no result");
    reduces_to(REDUCE_AGENT, NULL, "[1]", "not built in");
}

static void the_largest_are_kept_with_what_belongs_to_them(void **state)
{
    (void)state;
    const char *why;
    json_t *list =
        json_loads("[{\"n\":\"a\",\"s\":1},{\"n\":\"b\",\"s\":3},{\"n\":\"c\",\"s\":3}]", 0, NULL);
    json_t *items[] = {list};
    struct reduce_rule rule = {.reducer = REDUCE_TOP_K, .by = "s", .k = 2};
    json_t *out = reduce(&rule, items, 1, &why);
    assert_string_equal(json_string_value(json_object_get(json_array_get(out, 0), "n")), "b");
    assert_string_equal(json_string_value(json_object_get(json_array_get(out, 1), "n")), "c");
    assert_int_equal(json_array_size(out), 2);
    json_decref(out);
    json_decref(list);
}

static void members_change_as_the_table_says_and_not_otherwise(void **state)
{
    (void)state;
    /* the agent lives, is stale, is gone; the member leaves; the agent stays away */
    static const enum member_state wanted[MEMBER_STATES][MEMBER_EVENTS] = {
        [MEMBER_JOINING] = {MEMBER_ACTIVE, MEMBER_NONE, MEMBER_NONE, MEMBER_LEFT, MEMBER_EVICTED},
        [MEMBER_ACTIVE] = {MEMBER_NONE, MEMBER_SUSPENDED, MEMBER_EVICTED, MEMBER_LEFT},
        [MEMBER_SUSPENDED] = {MEMBER_ACTIVE, MEMBER_NONE, MEMBER_EVICTED, MEMBER_LEFT,
                              MEMBER_EVICTED},
    };
    for (unsigned s = 0; s < MEMBER_STATES; s++) {
        for (unsigned e = 0; e < MEMBER_EVENTS; e++) {
            assert_int_equal(member_next((enum member_state)s, (enum member_event)e), wanted[s][e]);
        }
        bool there = s == MEMBER_JOINING || s == MEMBER_ACTIVE || s == MEMBER_SUSPENDED;
        assert_int_equal(member_is_there((enum member_state)s), there);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strategies_are_known_by_several_names),
        cmocka_unit_test(require_is_read_in_all_its_forms),
        cmocka_unit_test(items_are_shared_out_whole_and_in_order),
        cmocka_unit_test(what_cannot_be_split_goes_to_whom_the_strategy_says),
        cmocka_unit_test(a_pipeline_waits_and_a_hierarchy_spares_its_head),
        cmocka_unit_test(round_robin_goes_on_where_it_stood),
        cmocka_unit_test(more_items_than_parts_may_be_are_given_several_at_a_time),
        cmocka_unit_test(stragglers_are_known_once_half_is_in),
        cmocka_unit_test(members_change_as_the_table_says_and_not_otherwise),
        cmocka_unit_test(each_reducer_does_what_its_name_says),
        cmocka_unit_test(a_vote_counts_each_result_once),
        cmocka_unit_test(results_that_do_not_fit_are_refused_with_a_reason),
        cmocka_unit_test(the_largest_are_kept_with_what_belongs_to_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
