#include "auth_test.h"

#include <pthread.h>

#include "auth/rate.h"

static const uint8_t seed[RATE_SEED_BYTES] = {1, 2, 3};
enum { SECOND = 1000000 };

static struct rate_limiter *limiter_of(size_t slots)
{
    return rate_new(seed, slots, 0);
}

static void a_burst_passes_and_then_one_per_interval(void **state)
{
    (void)state;
    struct rate_limiter *l = limiter_of(0);
    const struct rate_rule rule = {.count = 10, .period_s = 1, .burst = 3};
    uint64_t key = rate_key(l, 1, 1, slice_str("a")), now = 50 * (uint64_t)SECOND;
    for (uint32_t left = 3; left-- > 0;) {
        struct rate_verdict v = rate_take(l, key, &rule, 1, now);
        assert_true(v.ok);
        assert_int_equal(v.limit, 3);
        assert_int_equal(v.remaining, left);
        assert_int_equal(v.retry_after_s, 0);
        assert_int_equal(v.reset_s, 1);
    }
    struct rate_verdict v = rate_take(l, key, &rule, 1, now);
    assert_false(v.ok);
    assert_int_equal(v.remaining, 0);
    assert_int_equal(v.retry_after_s, 1);
    assert_false(rate_take(l, key, &rule, 1, now + 99999).ok);
    assert_true(rate_take(l, key, &rule, 1, now + 100000).ok);
    assert_false(rate_take(l, key, &rule, 1, now + 100000).ok);
    v = rate_take(l, key, &rule, 0, now + 10 * (uint64_t)SECOND); /* only looks */
    assert_true(v.ok);
    assert_int_equal(v.remaining, 3);
    assert_int_equal(v.reset_s, 0);
    rate_free(l);
}

static void waiting_as_long_as_told_is_enough_and_needed(void **state)
{
    (void)state;
    struct rate_limiter *l = limiter_of(0);
    const struct rate_rule rule = {.count = 1, .period_s = 60, .burst = 5};
    uint64_t key = rate_key(l, 1, 1, slice_str("a"));
    assert_true(rate_take(l, key, &rule, 5, 0).ok);
    struct rate_verdict v = rate_take(l, key, &rule, 3, 0);
    assert_false(v.ok);
    assert_int_equal(v.retry_after_s, 180);
    assert_int_equal(v.reset_s, 300);
    assert_false(rate_take(l, key, &rule, 3, 180 * (uint64_t)SECOND - 1).ok);
    assert_true(rate_take(l, key, &rule, 3, 180 * (uint64_t)SECOND).ok);
    rate_free(l);
}

static void no_limit_is_no_limit(void **state)
{
    (void)state;
    struct rate_limiter *l = limiter_of(0);
    const struct rate_rule rule = {0};
    for (int i = 0; i < 1000; i++) {
        assert_true(rate_take(l, 1, &rule, 1000000, 0).ok);
    }
    rate_free(l);
}

static void a_cost_above_the_burst_counts_as_the_burst(void **state)
{
    (void)state;
    struct rate_limiter *l = limiter_of(0);
    const struct rate_rule rule = {.count = 10, .period_s = 1, .burst = 10};
    uint64_t key = rate_key(l, 1, 1, slice_str("a"));
    assert_true(rate_take(l, key, &rule, UINT32_MAX, 0).ok);
    assert_false(rate_take(l, key, &rule, 1, 0).ok);
    assert_true(rate_take(l, key, &rule, UINT32_MAX, SECOND).ok);
    rate_free(l);
}

static void extreme_rules_do_not_overflow(void **state)
{
    (void)state;
    static const uint32_t values[] = {0, 1, 2, 1000, UINT32_MAX};
    struct rate_limiter *l = limiter_of(0);
    for (size_t c = 1; c < 5; c++) {
        for (size_t p = 0; p < 5; p++) {
            for (size_t b = 0; b < 5; b++) {
                const struct rate_rule rule = {values[c], values[p], values[b]};
                uint64_t key = c << 3 | p << 30 | b << 50;
                for (uint64_t now = 0; now < 3; now++) {
                    struct rate_verdict v = rate_take(l, key, &rule, UINT32_MAX, now << 50);
                    assert_true(v.remaining <= v.limit);
                    assert_true(v.ok || v.retry_after_s > 0);
                }
            }
        }
    }
    rate_free(l);
}

static void a_stricter_rule_takes_hold_at_once_without_locking_out(void **state)
{
    (void)state;
    struct rate_limiter *l = limiter_of(0);
    const struct rate_rule slow = {.count = 1, .period_s = 3600, .burst = 100};
    const struct rate_rule quick = {.count = 1, .period_s = 1, .burst = 2};
    uint64_t key = rate_key(l, 1, 1, slice_str("a"));
    assert_true(rate_take(l, key, &slow, 100, 0).ok); /* full for 100 hours */
    assert_false(rate_take(l, key, &quick, 1, 0).ok);
    assert_int_equal(rate_take(l, key, &quick, 1, 0).retry_after_s, 1);
    rate_free(l);
}

static void a_clock_before_the_beginning_counts_as_the_beginning(void **state)
{
    (void)state;
    struct rate_limiter *l = rate_new(seed, 0, 100 * (uint64_t)SECOND);
    const struct rate_rule rule = {.count = 1, .period_s = 1, .burst = 1};
    uint64_t key = rate_key(l, 1, 1, slice_str("a"));
    assert_true(rate_take(l, key, &rule, 1, 5).ok);
    assert_false(rate_take(l, key, &rule, 1, 7).ok);
    assert_true(rate_take(l, key, &rule, 1, 101 * (uint64_t)SECOND).ok);
    rate_free(l);
}

static void keys_differ_by_class_app_and_name(void **state)
{
    (void)state;
    struct rate_limiter *l = limiter_of(0), *other;
    uint8_t other_seed[RATE_SEED_BYTES] = {9};
    uint8_t longer[100] = {7};
    other = rate_new(other_seed, 0, 0);
    uint64_t key = rate_key(l, 1, 1, slice_str("a"));
    assert_int_equal(key, rate_key(l, 1, 1, slice_str("a")));
    assert_int_not_equal(key, rate_key(l, 2, 1, slice_str("a")));
    assert_int_not_equal(key, rate_key(l, 1, 2, slice_str("a")));
    assert_int_not_equal(key, rate_key(l, 1, 1, slice_str("b")));
    assert_int_not_equal(key, rate_key(other, 1, 1, slice_str("a")));
    assert_int_not_equal(rate_key(l, 1, 1, slice_of(longer, 99)),
                         rate_key(l, 1, 1, slice_of(longer, 100)));
    assert_int_not_equal(key, rate_key(l, 1, 1, slice_of(NULL, 0)));
    rate_free(l);
    rate_free(other);
}

static void addresses_group_by_what_one_subscriber_has(void **state)
{
    (void)state;
    struct rate_limiter *l = limiter_of(0);
    uint8_t a[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1, 1}, b[16], four[4] = {192, 0, 2, 1};
    uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 1};
    memcpy(b, a, 16);
    b[15] = 99;
    assert_int_equal(rate_key_address(l, 1, slice_of(a, 16)),
                     rate_key_address(l, 1, slice_of(b, 16)));
    b[7] = 2;
    assert_int_not_equal(rate_key_address(l, 1, slice_of(a, 16)),
                         rate_key_address(l, 1, slice_of(b, 16)));
    assert_int_equal(rate_key_address(l, 1, slice_of(four, 4)),
                     rate_key_address(l, 1, slice_of(mapped, 16)));
    mapped[15] = 2;
    assert_int_not_equal(rate_key_address(l, 1, slice_of(four, 4)),
                         rate_key_address(l, 1, slice_of(mapped, 16)));
    assert_int_not_equal(rate_key_address(l, 1, slice_of(four, 4)),
                         rate_key(l, 1, 0, slice_of(four, 4)));
    rate_free(l);
}

/* A bucket kept the plain way, in exact arithmetic: tokens times interval. */
struct model {
    uint64_t full_at;
};

static bool model_take(struct model *m, uint64_t interval, uint64_t depth, uint32_t cost,
                       uint64_t now)
{
    uint64_t filled = m->full_at > now ? m->full_at - now : 0;
    if (filled + cost * interval > depth) {
        return false;
    }
    m->full_at = now + filled + cost * interval;
    return true;
}

static void many_keys_agree_with_a_bucket_each(void **state)
{
    (void)state;
    enum { KEYS = 200 };
    test_seed();
    struct rate_limiter *l = limiter_of(1 << 16);
    const struct rate_rule rule = {.count = 4, .period_s = 1, .burst = 6};
    uint64_t interval = SECOND / 4, now = 0, passed = 0, refused = 0;
    struct model models[KEYS] = {{0}};
    for (int i = 0; i < 100000; i++) {
        char name[16];
        size_t k = test_below(KEYS);
        uint32_t cost = (uint32_t)test_below(4);
        snprintf(name, sizeof name, "agent %zu", k);
        now += test_below(2000);
        bool ok = rate_take(l, rate_key(l, 1, 1, slice_str(name)), &rule, cost, now).ok;
        assert_int_equal(ok, model_take(&models[k], interval, 6 * interval, cost, now));
        passed += ok;
        refused += !ok;
    }
    assert_true(passed > 1000 && refused > 1000); /* else nothing was shown */
    rate_free(l);
}

/* One line of eight places and a hundred keys: whoever shares is limited together, and nobody
 * passes more than its own bucket would let it. */
static void an_overcrowded_place_never_lets_more_through(void **state)
{
    (void)state;
    test_seed();
    struct rate_limiter *l = limiter_of(8);
    const struct rate_rule rule = {.count = 10, .period_s = 1, .burst = 10};
    unsigned passed = 0;
    for (unsigned k = 0; k < 100; k++) {
        char name[16];
        snprintf(name, sizeof name, "agent %u", k);
        for (unsigned i = 0; i < 20; i++) {
            passed += rate_take(l, rate_key(l, 1, 1, slice_str(name)), &rule, 1, 0).ok;
        }
    }
    assert_int_equal(passed, 8 * 10);
    assert_true(rate_take(l, rate_key(l, 1, 1, slice_str("later")), &rule, 10, SECOND).ok);
    rate_free(l);
}

/* ---- threads ---- */

enum { THREADS = 4, TAKES = 20000 };

struct worker {
    struct rate_limiter *limiter;
    const struct rate_rule *rule;
    uint64_t key;
    unsigned passed;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < TAKES; i++) {
        w->passed += rate_take(w->limiter, w->key, w->rule, 1, 0).ok;
    }
    return NULL;
}

static void threads_together_pass_exactly_the_burst(void **state)
{
    (void)state;
    const struct rate_rule rule = {.count = 5000, .period_s = 1, .burst = 5000};
    struct rate_limiter *l = limiter_of(0);
    uint64_t key = rate_key(l, 1, 1, slice_str("shared"));
    assert_true(rate_take(l, key, &rule, 1, 0).ok); /* the bucket has its place */
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.limiter = l, .rule = &rule, .key = key};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    unsigned passed = 1;
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        passed += workers[i].passed;
    }
    assert_int_equal(passed, 5000);
    rate_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_passes_and_then_one_per_interval),
        cmocka_unit_test(waiting_as_long_as_told_is_enough_and_needed),
        cmocka_unit_test(no_limit_is_no_limit),
        cmocka_unit_test(a_cost_above_the_burst_counts_as_the_burst),
        cmocka_unit_test(extreme_rules_do_not_overflow),
        cmocka_unit_test(a_stricter_rule_takes_hold_at_once_without_locking_out),
        cmocka_unit_test(a_clock_before_the_beginning_counts_as_the_beginning),
        cmocka_unit_test(keys_differ_by_class_app_and_name),
        cmocka_unit_test(addresses_group_by_what_one_subscriber_has),
        cmocka_unit_test(many_keys_agree_with_a_bucket_each),
        cmocka_unit_test(an_overcrowded_place_never_lets_more_through),
        cmocka_unit_test(threads_together_pass_exactly_the_burst),
    };
    return auth_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
