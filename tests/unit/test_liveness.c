/* When an agent is stale, and how healthy it is (semantics.md section 1). */
#include "tests/unit/scratch.h"

#include "hub/agents/liveness.h"

#include <math.h>

static const struct liveness_rules rules = {
    .timeout_ms = 60000, .reconnect_ms = 15000, .suspect_intervals = 3};

static struct pulse beating(unsigned gaps, int64_t gap_ms)
{
    struct pulse pulse = {0};
    for (unsigned i = 0; i < gaps; i++) {
        liveness_gap(&pulse, gap_ms);
    }
    return pulse;
}

static void an_unknown_rhythm_is_judged_by_intervals_alone(void **state)
{
    (void)state;
    struct pulse none = {0}, nine = beating(9, 100);
    assert_int_equal(liveness_stale_after(&rules, 10000, &none), 30000);
    assert_int_equal(liveness_stale_after(&rules, 10000, &nine), 30000);
    assert_true(liveness_phi(&nine, 10000, 1000000) == 0);
}

static void a_known_rhythm_is_suspected_sooner_but_never_later(void **state)
{
    (void)state;
    struct pulse quick = beating(50, 1000), slow = beating(50, 40000);
    int64_t after = liveness_stale_after(&rules, 10000, &quick);
    /* mean 1 s, one interval of pause, 5.612 deviations of a tenth of the interval */
    assert_int_equal(after, 16612);
    assert_true(liveness_phi(&quick, 10000, after) > 7.999);
    assert_true(liveness_phi(&quick, 10000, after - 50) < 8);
    assert_int_equal(liveness_stale_after(&rules, 10000, &slow), 30000);
}

static void phi_grows_with_silence_and_stays_finite(void **state)
{
    (void)state;
    struct pulse pulse = beating(20, 10000);
    double before = 0;
    for (int64_t silence = 0; silence < 200000; silence += 500) {
        double phi = liveness_phi(&pulse, 10000, silence);
        assert_true(phi >= before && phi <= 300 && isfinite(phi));
        before = phi;
    }
    assert_true(before == 300);
}

static void gaps_give_their_mean_and_deviation(void **state)
{
    (void)state;
    struct pulse pulse = {0};
    static const int64_t gaps[] = {1000, 3000, 1000, 3000, 1000, 3000, 1000, 3000};
    for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++) {
        liveness_gap(&pulse, gaps[i]);
    }
    assert_true(fabs(pulse.phi_mean_ms - 2000) < 1e-6);
    assert_true(fabs(pulse.phi_deviation_ms - 1000) < 1e-6);
    liveness_gap(&pulse, -1); /* a clock that went back says nothing */
    assert_int_equal(pulse.samples, 8);
}

static void an_old_rhythm_is_forgotten(void **state)
{
    (void)state;
    struct pulse pulse = beating(5000, 1000);
    for (unsigned i = 0; i < 5000; i++) {
        liveness_gap(&pulse, 4000);
    }
    assert_int_equal(pulse.samples, 1000);
    assert_true(fabs(pulse.phi_mean_ms - 4000) < 100);
}

static struct metrics metrics_of(const char *name, double value)
{
    struct metrics m = {.n = 1};
    snprintf(m.list[0].name, sizeof m.list[0].name, "%s", name);
    m.list[0].value = value;
    return m;
}

static void metrics_replace_their_like_and_never_pass_the_bound(void **state)
{
    (void)state;
    struct metrics all = metrics_of("cpu", 1), more = {.n = AGENT_METRICS_MAX}, again = more;
    for (uint32_t i = 0; i < AGENT_METRICS_MAX; i++) {
        (void)snprintf(more.list[i].name, sizeof more.list[i].name, "m%u", i);
        more.list[i].value = i;
    }
    assert_false(metrics_merge(&all, &more));
    assert_true(all.n == 1 && all.list[0].value == 1);
    (void)snprintf(more.list[3].name, sizeof more.list[3].name, "cpu");
    (void)snprintf(more.list[7].name, sizeof more.list[7].name, "m6"); /* twice: the later counts */
    assert_true(metrics_merge(&all, &more));
    assert_int_equal(all.n, AGENT_METRICS_MAX - 1);
    assert_true(all.list[0].value == 3 && strcmp(all.list[6].name, "m6") == 0 &&
                all.list[6].value == 7);
    again = metrics_of("more", 1);
    assert_true(metrics_merge(&all, &again));
    again = metrics_of("too_many", 1);
    assert_false(metrics_merge(&all, &again));
    assert_int_equal(all.n, AGENT_METRICS_MAX);
}

static void load_is_clamped_and_percent_is_understood(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double value, load;
    } cases[] = {
        {"load", 0.25, 0.25}, {"load", 40, 0.4},         {"load", -3, 0},
        {"load", 5000, 1},    {"load", NAN, 0},          {"load", INFINITY, 1},
        {"cpu", 0.5, 0.5},    {"memory_usage", 90, 0.9}, {"temperature", 70, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct metrics m = metrics_of(cases[i].name, cases[i].value);
        assert_true(fabs(liveness_load(&m) - cases[i].load) < 1e-9);
    }
}

static void health_falls_from_one_interval_to_the_timeout(void **state)
{
    (void)state;
    struct agent agent = {.status = AGENT_ACTIVE, .interval_ms = 10000, .success = 1};
    struct metrics idle = {0};
    struct health fresh = liveness_health(&rules, &agent, &idle, 10000);
    struct health half = liveness_health(&rules, &agent, &idle, 35000);
    struct health gone = liveness_health(&rules, &agent, &idle, 60000);
    assert_true(fresh.total == 1 && fresh.freshness == 1);
    assert_true(fabs(half.freshness - 0.5) < 1e-9 && fabs(half.total - 0.8) < 1e-9);
    assert_true(gone.freshness == 0 && fabs(gone.total - 0.6) < 1e-9);
}

static void who_is_stale_is_never_healthy(void **state)
{
    (void)state;
    static const enum agent_status ill[] = {AGENT_STALE, AGENT_INACTIVE, AGENT_ERROR};
    struct metrics idle = {0};
    for (size_t i = 0; i < sizeof ill / sizeof *ill; i++) {
        struct agent agent = {.status = ill[i], .interval_ms = 10000, .success = 1};
        assert_true(liveness_health(&rules, &agent, &idle, 0).total <= 0.49);
    }
}

static void an_interval_past_the_timeout_divides_by_nothing(void **state)
{
    (void)state;
    struct agent agent = {.status = AGENT_ACTIVE, .interval_ms = 60000, .success = NAN};
    struct metrics bad = metrics_of("load", NAN);
    struct health h = liveness_health(&rules, &agent, &bad, 60001);
    assert_true(isfinite(h.total) && h.freshness == 0 && h.success == 0 && h.load == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_rhythm_is_judged_by_intervals_alone),
        cmocka_unit_test(a_known_rhythm_is_suspected_sooner_but_never_later),
        cmocka_unit_test(phi_grows_with_silence_and_stays_finite),
        cmocka_unit_test(gaps_give_their_mean_and_deviation),
        cmocka_unit_test(an_old_rhythm_is_forgotten),
        cmocka_unit_test(metrics_replace_their_like_and_never_pass_the_bound),
        cmocka_unit_test(load_is_clamped_and_percent_is_understood),
        cmocka_unit_test(health_falls_from_one_interval_to_the_timeout),
        cmocka_unit_test(who_is_stale_is_never_healthy),
        cmocka_unit_test(an_interval_past_the_timeout_divides_by_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
