/* Advice for a network: nothing without figures, and the figures that it names (rest-contract.md
 * section 2, optimize). */
#include "tests/unit/scratch.h"

#include "hub/networks/advice.h"
#include "hub/swarms/work.h"

static struct agent_record agents[3];
static struct network_record record;
static struct advice list[ADVICE_MAX];

/* Three agents that did ten tasks of a second each, in ten executions. */
static int even(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        agents[i] =
            (struct agent_record){.id = slice_str("a"), .lives = true, .done = 10, .ms = 10000};
    }
    record = (struct network_record){.strategy = STRATEGY_MAP_REDUCE,
                                     .agents = agents,
                                     .agents_n = 3,
                                     .executions = 10,
                                     .work_ms = 20000,
                                     .part_ms = 30000,
                                     .capacity_ms = 60000};
    return 0;
}

static const struct advice *find(enum advice_objective objective, enum advice_kind kind)
{
    uint32_t n = advise(&record, objective, list);
    for (uint32_t i = 0; i < n; i++) {
        if (list[i].kind == kind) {
            return &list[i];
        }
    }
    return NULL;
}

static void an_even_network_needs_no_advice(void **state)
{
    (void)state;
    for (unsigned o = 0; o < OBJECTIVES; o++) {
        assert_int_equal(advise(&record, (enum advice_objective)o, list), 0);
    }
    record = (struct network_record){.agents = agents, .agents_n = 0};
    assert_int_equal(advise(&record, FOR_EFFICIENCY, list), 0);
}

static void too_little_was_seen_for_an_opinion(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        agents[i].done = i == 0 ? 4 : 0;
        agents[i].failed = 0;
    }
    record.executions = 2;
    record.strategy = STRATEGY_PIPELINE;
    assert_int_equal(advise(&record, FOR_EFFICIENCY, list), 0);
}

static void who_is_not_there_is_named(void **state)
{
    (void)state;
    agents[2].lives = false;
    const struct advice *a = find(FOR_QUALITY, ADVICE_UNAVAILABLE);
    assert_non_null(a);
    assert_int_equal(a->agent, 2);
    assert_int_equal(a->impact, IMPACT_HIGH);
    assert_null(find(FOR_COST, ADVICE_UNAVAILABLE));
}

static void one_that_does_it_all_is_named_with_its_share(void **state)
{
    (void)state;
    agents[0].done = 28;
    agents[1].done = 2;
    agents[2].done = 0;
    const struct advice *a = find(FOR_SPEED, ADVICE_UNBALANCED);
    assert_non_null(a);
    assert_int_equal(a->agent, 0);
    assert_int_equal(a->sample, 30);
    assert_float_equal(a->observed, 28.0 / 30, 1e-9);
    assert_float_equal(a->expected, 1.0 / 3, 1e-9);
    a = find(FOR_COST, ADVICE_IDLE);
    assert_non_null(a);
    assert_int_equal(a->agent, 2);
}

static void a_slow_and_a_failing_one_are_named(void **state)
{
    (void)state;
    agents[1].ms = 50000;
    agents[2].failed = 5;
    const struct advice *a = find(FOR_SPEED, ADVICE_SLOW);
    assert_non_null(a);
    assert_int_equal(a->agent, 1);
    assert_float_equal(a->observed, 5000, 1e-9);
    assert_float_equal(a->expected, 1000, 1e-9);
    a = find(FOR_QUALITY, ADVICE_UNRELIABLE);
    assert_non_null(a);
    assert_int_equal(a->agent, 2);
    assert_float_equal(a->observed, 5.0 / 15, 1e-9);
    assert_int_equal(a->sample, 15);
    assert_null(find(FOR_SPEED, ADVICE_UNRELIABLE));
}

static void the_strategy_itself_is_judged_by_what_it_costs(void **state)
{
    (void)state;
    record.strategy = STRATEGY_PIPELINE;
    assert_non_null(find(FOR_SPEED, ADVICE_SEQUENTIAL));
    record.strategy = STRATEGY_BROADCAST;
    const struct advice *a = find(FOR_COST, ADVICE_REDUNDANT);
    assert_non_null(a);
    assert_float_equal(a->observed, 3, 1e-9);
    record.executions = 30; /* each done once: what nobody repeats is not redundant */
    assert_null(find(FOR_COST, ADVICE_REDUNDANT));
    record.executions = 10;
    record.part_ms = 57000;
    a = find(FOR_EFFICIENCY, ADVICE_SATURATED);
    assert_non_null(a);
    assert_float_equal(a->observed, 0.95, 1e-9);
}

static void the_weightiest_comes_first(void **state)
{
    (void)state;
    agents[0].lives = false;
    agents[1].ms = 21000;
    agents[2].failed = 3;
    uint32_t n = advise(&record, FOR_EFFICIENCY, list);
    assert_true(n >= 3);
    for (uint32_t i = 1; i < n; i++) {
        assert_true(list[i - 1].impact >= list[i].impact);
    }
}

static void nobody_is_used_by_more_than_the_whole(void **state)
{
    struct work work = {
        .started_ms = 1000, .finished_ms = 3000, .division = {.members_n = 2}, .part_ms = 300};
    (void)state;
    assert_int_equal(work_capacity_ms(&work), 4000);
    work.part_ms = 4500; /* one of them did several parts at once */
    assert_int_equal(work_capacity_ms(&work), 4500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_even_network_needs_no_advice, even),
        cmocka_unit_test_setup(too_little_was_seen_for_an_opinion, even),
        cmocka_unit_test_setup(who_is_not_there_is_named, even),
        cmocka_unit_test_setup(one_that_does_it_all_is_named_with_its_share, even),
        cmocka_unit_test_setup(a_slow_and_a_failing_one_are_named, even),
        cmocka_unit_test_setup(the_strategy_itself_is_judged_by_what_it_costs, even),
        cmocka_unit_test_setup(the_weightiest_comes_first, even),
        cmocka_unit_test(nobody_is_used_by_more_than_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
