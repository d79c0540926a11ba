/* Ten strategies of choosing an agent: each keeps its own promise, and no two are the same
 * (rest-contract.md section 3, semantics.md section 2 "Selection"). */
#include "tests/unit/scratch.h"

#include "hub/tasks/balance.h"
#include "store/mem.h"

enum { APP = 1, AGENTS_MAX = 128 };

/* Agents that hold what they were given until a test takes it off them. */
struct field {
    struct balance *balance;
    struct balance_candidate list[AGENTS_MAX];
    uint32_t n;
    int64_t now_ms;
    uint64_t seed;
};

static struct field field_of(uint32_t n, uint32_t slots, enum balance_strategy strategy)
{
    struct field f = {.balance = balance_new(), .n = n, .now_ms = 1000000, .seed = 7};
    balance_use(f.balance, APP, strategy, slice_of(NULL, 0));
    for (uint32_t i = 0; i < n; i++) {
        f.list[i] = (struct balance_candidate){
            .number = i + 1, .slots = slots, .use = {.cpu = -1, .memory = -1, .queue = -1}};
    }
    return f;
}

static struct balance_ask ask_of(struct field *f, const uint8_t seed[8])
{
    f->now_ms += 10;
    return (struct balance_ask){.app = APP, .now_ms = f->now_ms, .seed = seed};
}

static int64_t pick_asked(struct field *f, struct slice region, struct slice key,
                          const struct words *capabilities)
{
    uint8_t seed[8];
    be64_put(seed, scratch_random(&f->seed));
    struct balance_ask ask = ask_of(f, seed);
    ask.region = region;
    ask.key = key;
    ask.capabilities = capabilities;
    int64_t at = balance_pick(f->balance, &ask, f->list, f->n);
    if (at != BALANCE_NOBODY) {
        balance_assigned(f->balance, APP, f->list[at].number);
    }
    return at;
}

static int64_t pick(struct field *f)
{
    return pick_asked(f, slice_of(NULL, 0), slice_of(NULL, 0), NULL);
}

static int64_t pick_region(struct field *f, const char *region)
{
    return pick_asked(f, slice_str(region), slice_of(NULL, 0), NULL);
}

static int64_t pick_key(struct field *f, unsigned key)
{
    char text[16];
    (void)snprintf(text, sizeof text, "key-%u", key);
    return pick_asked(f, slice_of(NULL, 0), slice_str(text), NULL);
}

/* The picks in order, as letters: agent 1 is A; nobody is '-'. Nothing is held in between. */
static void picks(struct field *f, unsigned times, char *out)
{
    for (unsigned i = 0; i < times; i++) {
        int64_t at = pick(f);
        out[i] = at == BALANCE_NOBODY ? '-' : (char)('A' + at);
    }
    out[times] = '\0';
}

static struct words words(struct buf *b, const char *const *list)
{
    struct words w = {0};
    for (; list[w.n]; w.n++) {
        pack_slice(b, slice_str(list[w.n]));
    }
    w.packed = buf_slice(b);
    return w;
}

static void names_are_read_in_any_case_and_nothing_else_is(void **state)
{
    (void)state;
    enum balance_strategy s;
    for (unsigned i = 0; i < BALANCE_STRATEGIES; i++) {
        assert_true(
            balance_strategy_of(slice_str(balance_strategy_name((enum balance_strategy)i)), &s));
        assert_int_equal(s, i);
    }
    assert_true(balance_strategy_of(slice_str("ROUND_Robin"), &s));
    assert_int_equal(s, BALANCE_ROUND_ROBIN);
    static const char *const wrong[] = {"",     "round-robin",  "round_robi",
                                        "fast", "round_robin2", "round\x7frobin"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_false(balance_strategy_of(slice_str(wrong[i]), &s));
    }
}

static void an_app_begins_with_least_connections_and_keeps_its_own(void **state)
{
    (void)state;
    struct balance *b = balance_new();
    assert_int_equal(balance_strategy(b, 5), BALANCE_LEAST_CONNECTIONS);
    balance_use(b, 5, BALANCE_RANDOM, slice_of(NULL, 0));
    assert_int_equal(balance_strategy(b, 5), BALANCE_RANDOM);
    assert_int_equal(balance_strategy(b, 4), BALANCE_LEAST_CONNECTIONS);
    balance_free(b);
}

static void nobody_is_picked_beyond_its_slots(void **state)
{
    (void)state;
    for (unsigned s = 0; s < BALANCE_STRATEGIES; s++) {
        struct field f = field_of(3, 2, (enum balance_strategy)s);
        f.list[1].slots = 0;
        for (unsigned i = 0; i < 4; i++) {
            int64_t at = pick(&f);
            assert_true(at == 0 || at == 2);
            assert_true(++f.list[at].running <= 2);
        }
        assert_int_equal(pick(&f), BALANCE_NOBODY);
        f.n = 0;
        assert_int_equal(pick(&f), BALANCE_NOBODY);
        balance_free(f.balance);
    }
}

static void least_connections_takes_who_holds_the_fewest(void **state)
{
    (void)state;
    struct field f = field_of(3, 100, BALANCE_LEAST_CONNECTIONS);
    f.list[0].running = 5;
    f.list[1].running = 3;
    f.list[2].running = 4;
    f.list[1].slots = 4; /* the number counts, not the share */
    assert_int_equal(pick(&f), 1);
    f.list[1].running = 4;
    assert_int_equal(pick(&f), 2);
    balance_free(f.balance);
}

static void round_robin_goes_round_whoever_is_loaded(void **state)
{
    (void)state;
    struct field f = field_of(4, 100, BALANCE_ROUND_ROBIN);
    char order[16];
    f.list[0].running = 90;
    picks(&f, 8, order);
    assert_string_equal(order, "ABCDABCD");
    f.list[1].slots = 0; /* one that is out is passed over, the others keep their order */
    picks(&f, 6, order);
    assert_string_equal(order, "ACDACD");
    balance_free(f.balance);
}

static void weighted_round_robin_spreads_the_turns_of_the_heavy(void **state)
{
    (void)state;
    struct field f = field_of(3, 1, BALANCE_WEIGHTED_ROUND_ROBIN);
    char order[16];
    f.list[0].slots = 5;
    picks(&f, 14, order);
    assert_string_equal(order, "AABACAAAABACAA"); /* nginx's own example of 5, 1, 1 */
    balance_free(f.balance);
}

static void weights_fall_with_failures_and_rise_again(void **state)
{
    (void)state;
    struct field f = field_of(2, 10, BALANCE_WEIGHTED_ROUND_ROBIN);
    unsigned first = 0;
    for (unsigned i = 0; i < 50; i++) {
        balance_finished(f.balance, APP, 1, false, 10);
        balance_finished(f.balance, APP, 2, true, 10);
    }
    for (unsigned i = 0; i < 1100; i++) {
        first += pick(&f) == 0;
    }
    assert_in_range(first, 95, 105); /* a tenth of the other's weight is left */
    for (unsigned i = 0; i < 50; i++) {
        balance_finished(f.balance, APP, 1, true, 10);
    }
    first = 0;
    for (unsigned i = 0; i < 1000; i++) {
        first += pick(&f) == 0;
    }
    assert_in_range(first, 490, 510);
    balance_free(f.balance);
}

static void resource_based_weighs_cpu_memory_and_queue(void **state)
{
    (void)state;
    struct field f = field_of(3, 1000, BALANCE_RESOURCE_BASED);
    f.list[0].use = (struct load_parts){.cpu = 0.9, .memory = 0.1, .queue = 0.1}; /* 0.42 */
    f.list[1].use = (struct load_parts){.cpu = 0.1, .memory = 0.9, .queue = 0.1}; /* 0.34 */
    f.list[2].use = (struct load_parts){.cpu = 0.1, .memory = 0.6, .queue = 0.5}; /* 0.37 */
    assert_int_equal(pick(&f), 1);
    f.list[1].use.cpu = 0.3; /* 0.42 */
    assert_int_equal(pick(&f), 2);
    f.list[2].running = 700; /* the hub knows of a queue that is not reported yet: 0.43 */
    f.list[0].use.cpu = 0.88;
    assert_int_equal(pick(&f), 0);
    balance_free(f.balance);
}

static void geographic_prefers_the_region_then_the_configured_then_the_alike(void **state)
{
    (void)state;
    struct field f = field_of(4, 10, BALANCE_GEOGRAPHIC);
    static const char *const regions[] = {"us-east-1", "eu-west-1", "eu-central-1", ""};
    for (unsigned i = 0; i < 4; i++) {
        f.list[i].region = slice_str(regions[i]);
    }
    assert_int_equal(pick_region(&f, "us-east-1"), 0);
    assert_int_equal(pick_region(&f, "eu-west-1"), 1);
    assert_int_equal(pick_region(&f, "us-west-2"), 0);      /* of the same continent */
    assert_int_not_equal(pick_region(&f, "ap-south-1"), 3); /* anywhere rather than nowhere */
    struct buf inner = {0}, all = {0};
    (void)words(&inner, (const char *const[]){"ap-south-1", "me-south-1", "eu-central-1", NULL});
    pack_slice(&all, buf_slice(&inner));
    balance_use(f.balance, APP, BALANCE_GEOGRAPHIC, buf_slice(&all));
    assert_int_equal(pick_region(&f, "ap-south-1"), 2);
    f.list[2].running = 10;
    assert_int_not_equal(pick_region(&f, "ap-south-1"), 3); /* the next best when it is full */
    buf_done(&inner);
    buf_done(&all);
    balance_free(f.balance);
}

static void random_is_even_and_the_seed_s_alone(void **state)
{
    (void)state;
    struct field f = field_of(10, 10, BALANCE_RANDOM), g = field_of(10, 10, BALANCE_RANDOM);
    unsigned counts[10] = {0}, same = 0;
    int64_t last = -1;
    f.seed = g.seed = scratch_seed();
    for (unsigned i = 0; i < 10000; i++) {
        int64_t at = pick(&f);
        assert_int_equal(at, pick(&g));
        counts[at]++;
        same += at == last;
        last = at;
    }
    for (unsigned i = 0; i < 10; i++) {
        assert_in_range(counts[i], 850, 1150); /* five deviations */
    }
    assert_in_range(same, 850, 1150);
    balance_free(f.balance);
    balance_free(g.balance);
}

static void several_picks_of_one_command_are_not_the_same(void **state)
{
    (void)state;
    struct field f = field_of(64, 10, BALANCE_RANDOM);
    static const uint8_t seed[8] = {1};
    uint64_t seen = 0;
    for (unsigned i = 0; i < 16; i++) {
        struct balance_ask ask = ask_of(&f, seed);
        seen |= UINT64_C(1) << balance_pick(f.balance, &ask, f.list, f.n);
    }
    assert_true(__builtin_popcountll(seen) > 4);
    balance_free(f.balance);
}

static void least_response_time_takes_the_measured_fastest(void **state)
{
    (void)state;
    struct field f = field_of(3, 100, BALANCE_LEAST_RESPONSE_TIME);
    balance_finished(f.balance, APP, 1, true, 900);
    balance_finished(f.balance, APP, 2, true, 300);
    assert_int_equal(pick(&f), 2); /* nobody knows the third: it is tried */
    f.list[2].running = 1;         /* and counts as average until it has answered */
    assert_int_equal(pick(&f), 1);
    f.list[1].running = 3; /* 300 ms each, four to wait for */
    assert_int_equal(pick(&f), 0);
    f.list[2].running = 9;
    for (unsigned i = 0; i < 50; i++) {
        balance_finished(f.balance, APP, 2, true, 100); /* it became faster */
    }
    assert_int_equal(pick(&f), 1);
    balance_free(f.balance);
}

static void capability_based_takes_the_specialist(void **state)
{
    (void)state;
    struct field f = field_of(3, 10, BALANCE_CAPABILITY_BASED);
    struct buf b[4] = {{0}};
    struct words has[3] = {words(&b[0], (const char *const[]){"a", "b", "c", "d", NULL}),
                           words(&b[1], (const char *const[]){"a", "b", NULL}),
                           words(&b[2], (const char *const[]){"a", "b", "c", NULL})};
    struct words wanted = words(&b[3], (const char *const[]){"a", "b", NULL});
    for (unsigned i = 0; i < 3; i++) {
        f.list[i].capabilities = &has[i];
    }
    f.list[1].running = 9;
    assert_int_equal(pick_asked(&f, slice_of(NULL, 0), slice_of(NULL, 0), &wanted), 1);
    f.list[1].running = 10;
    assert_int_equal(pick_asked(&f, slice_of(NULL, 0), slice_of(NULL, 0), &wanted), 2);
    for (unsigned i = 0; i < 4; i++) {
        buf_done(&b[i]);
    }
    balance_free(f.balance);
}

static void report(struct field *f, unsigned agent, double load, int64_t at_ms)
{
    f->list[agent].load = load;
    f->list[agent].reported_ms = at_ms;
}

static void predictive_sees_where_the_load_goes(void **state)
{
    (void)state;
    struct field f = field_of(2, 100000, BALANCE_PREDICTIVE);
    int64_t at = f.now_ms;
    for (unsigned i = 0; i <= 8; i++, at += 2000) {
        report(&f, 0, 0.05 * i, at);        /* up to 0.40, and rising */
        report(&f, 1, 0.90 - 0.05 * i, at); /* down to 0.50, and falling */
        f.now_ms = at;
        (void)pick(&f);
    }
    struct balance_figures rising, falling;
    (void)balance_figures(f.balance, 1, &rising);
    (void)balance_figures(f.balance, 2, &falling);
    assert_true(rising.level < falling.level); /* least loaded now … */
    assert_true(rising.trend > 0 && falling.trend < 0);
    balance_finished(f.balance, APP, 1, true, 20000);
    balance_finished(f.balance, APP, 2, true, 20000);
    assert_int_equal(pick(&f), 1); /* … is not who will be */
    balance_free(f.balance);
}

static void predictive_counts_what_was_given_since_the_last_report(void **state)
{
    (void)state;
    struct field f = field_of(2, 10, BALANCE_PREDICTIVE);
    char order[16];
    report(&f, 0, 0.10, f.now_ms);
    report(&f, 1, 0.25, f.now_ms);
    picks(&f, 6, order);
    assert_string_equal(order, "AABABA");
    balance_free(f.balance);
}

static void a_key_keeps_its_agent_and_moves_only_with_it(void **state)
{
    (void)state;
    enum { KEYS = 4000, N = 20 };
    struct field f = field_of(N, 100, BALANCE_CONSISTENT_HASH);
    unsigned counts[N] = {0}, moved = 0;
    uint8_t home[KEYS];
    for (unsigned k = 0; k < KEYS; k++) {
        home[k] = (uint8_t)pick_key(&f, k);
        counts[home[k]]++;
        assert_int_equal(pick_key(&f, k), home[k]);
    }
    for (unsigned i = 0; i < N; i++) {
        assert_in_range(counts[i], KEYS / N - 75, KEYS / N + 75);
    }
    f.list[7] = f.list[--f.n]; /* agent 8 leaves; the order of the list says nothing */
    for (unsigned k = 0; k < KEYS; k++) {
        int64_t at = pick_key(&f, k);
        uint32_t number = f.list[at].number;
        assert_true(number == home[k] + 1u || home[k] == 7);
        moved += number != home[k] + 1u;
    }
    assert_int_equal(moved, counts[7]);
    balance_free(f.balance);
}

static void one_hot_key_does_not_load_its_agent_past_the_bound(void **state)
{
    (void)state;
    enum { N = 8, TASKS = 400 };
    struct field f = field_of(N, 1000, BALANCE_CONSISTENT_HASH);
    unsigned top = 0, used = 0;
    for (unsigned i = 0; i < TASKS; i++) {
        f.list[pick_key(&f, 1)].running++;
    }
    for (unsigned i = 0; i < N; i++) {
        top = f.list[i].running > top ? f.list[i].running : top;
        used += f.list[i].running > 0;
    }
    assert_int_equal(top, (TASKS * 5 + 4 * N - 1) / (4 * N)); /* 1.25 times the mean, rounded up */
    assert_int_equal(used, 7); /* the last of the key's order is never needed */
    balance_free(f.balance);
}

static void without_a_key_consistent_hash_goes_anywhere(void **state)
{
    (void)state;
    struct field f = field_of(8, 100, BALANCE_CONSISTENT_HASH);
    unsigned used = 0;
    for (unsigned i = 0; i < 80; i++) {
        uint32_t *running = &f.list[pick(&f)].running;
        used += *running == 0;
        ++*running;
    }
    assert_int_equal(used, 8);
    balance_free(f.balance);
}

/* One field on which each strategy has a reason of its own. */
static void trace(enum balance_strategy strategy, char *out)
{
    struct field f = field_of(5, 50, strategy);
    struct buf b[6] = {{0}};
    static const char *const words_of[5][4] = {{"a", "b", "c", NULL},
                                               {"a", "c", NULL},
                                               {"a", "b", "d", NULL},
                                               {"a", "b", NULL},
                                               {"a", "d", NULL}};
    struct words has[5], wanted = words(&b[5], (const char *const[]){"a", "b", NULL});
    static const unsigned running[] = {9, 2, 7, 12, 4}, slots[] = {50, 20, 35, 90, 15};
    static const double cpu[] = {0.2, 0.8, 0.1, 0.5, 0.9}, rise[] = {0.02, 0.03, 0.01, 0.02, -0.08};
    static const int64_t took[] = {50, 400, 300, 200, 700};
    static const char *const regions[] = {"eu-1", "us-1", "eu-2", "us-2", "ap-1"};
    for (unsigned i = 0; i < 5; i++) {
        has[i] = words(&b[i], words_of[i]);
        f.list[i].capabilities = &has[i];
        f.list[i].running = running[i];
        f.list[i].slots = slots[i];
        f.list[i].region = slice_str(regions[i]);
        f.list[i].use = (struct load_parts){.cpu = cpu[i], .memory = 0.5, .queue = 0.1};
        balance_finished(f.balance, APP, i + 1, i != 3, took[i]);
    }
    for (unsigned step = 0; step < 12; step++) {
        for (unsigned i = 0; i < 5; i++) {
            report(&f, i, cpu[i] + rise[i] * step, f.now_ms);
        }
        char key[8];
        (void)snprintf(key, sizeof key, "k%u", step % 3);
        int64_t at = pick_asked(&f, slice_str("us-1"), slice_str(key), &wanted);
        f.list[at].running++;
        out[step] = (char)('A' + at);
        f.now_ms += 1000;
    }
    out[12] = '\0';
    for (unsigned i = 0; i < 6; i++) {
        buf_done(&b[i]);
    }
    balance_free(f.balance);
}

static void no_two_strategies_choose_alike(void **state)
{
    (void)state;
    char traces[BALANCE_STRATEGIES][16];
    for (unsigned i = 0; i < BALANCE_STRATEGIES; i++) {
        trace((enum balance_strategy)i, traces[i]);
        print_message("%-22s %s\n", balance_strategy_name((enum balance_strategy)i), traces[i]);
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(traces[i], traces[j]);
        }
    }
}

static void a_change_of_strategy_forgets_nothing(void **state)
{
    (void)state;
    struct field f = field_of(3, 10, BALANCE_ROUND_ROBIN);
    for (unsigned i = 0; i < 3; i++) {
        int64_t at = pick(&f);
        balance_finished(f.balance, APP, f.list[at].number, at != 2, 100 * (at + 1));
    }
    balance_use(f.balance, APP, BALANCE_LEAST_RESPONSE_TIME, slice_of(NULL, 0));
    struct balance_totals t = balance_totals(f.balance, APP);
    assert_int_equal(t.assigned, 3);
    assert_int_equal(t.succeeded, 2);
    assert_int_equal(t.failed, 1);
    f.list[2].running = 5;
    assert_int_equal(pick(&f), 0); /* the times that were measured before hold */
    balance_forget(f.balance);
    assert_int_equal(balance_totals(f.balance, APP).assigned, 0);
    assert_int_equal(balance_strategy(f.balance, APP), BALANCE_LEAST_CONNECTIONS);
    balance_free(f.balance);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_read_in_any_case_and_nothing_else_is),
        cmocka_unit_test(an_app_begins_with_least_connections_and_keeps_its_own),
        cmocka_unit_test(nobody_is_picked_beyond_its_slots),
        cmocka_unit_test(least_connections_takes_who_holds_the_fewest),
        cmocka_unit_test(round_robin_goes_round_whoever_is_loaded),
        cmocka_unit_test(weighted_round_robin_spreads_the_turns_of_the_heavy),
        cmocka_unit_test(weights_fall_with_failures_and_rise_again),
        cmocka_unit_test(resource_based_weighs_cpu_memory_and_queue),
        cmocka_unit_test(geographic_prefers_the_region_then_the_configured_then_the_alike),
        cmocka_unit_test(random_is_even_and_the_seed_s_alone),
        cmocka_unit_test(several_picks_of_one_command_are_not_the_same),
        cmocka_unit_test(least_response_time_takes_the_measured_fastest),
        cmocka_unit_test(capability_based_takes_the_specialist),
        cmocka_unit_test(predictive_sees_where_the_load_goes),
        cmocka_unit_test(predictive_counts_what_was_given_since_the_last_report),
        cmocka_unit_test(a_key_keeps_its_agent_and_moves_only_with_it),
        cmocka_unit_test(one_hot_key_does_not_load_its_agent_past_the_bound),
        cmocka_unit_test(without_a_key_consistent_hash_goes_anywhere),
        cmocka_unit_test(no_two_strategies_choose_alike),
        cmocka_unit_test(a_change_of_strategy_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
