/* Pulses (hub/agents/pulses.h): what is put is got, and who departs leaves nothing. */
#include "tests/unit/scratch.h"

#include "hub/agents/pulses.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MOVES = 20000, READERS = 2, NUMBER = 7 };

/* Every part of it tells which one it is. */
static struct pulse pulse_number(uint64_t n, uint32_t metrics)
{
    struct pulse pulse = {.seen_ms = (int64_t)n, .beats = n, .metrics.n = metrics};
    for (uint32_t i = 0; i < metrics; i++) {
        (void)snprintf(pulse.metrics.list[i].name, sizeof pulse.metrics.list[i].name, "m%u", i);
        pulse.metrics.list[i].value = (double)n;
    }
    return pulse;
}

static bool is_whole(const struct pulse *pulse)
{
    bool whole = pulse->beats == (uint64_t)pulse->seen_ms;
    for (uint32_t i = 0; i < pulse->metrics.n; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "m%u", i);
        whole = whole && strcmp(pulse->metrics.list[i].name, name) == 0 &&
                pulse->metrics.list[i].value == (double)pulse->beats;
    }
    return whole;
}

static void a_pulse_grows_with_what_its_agent_reports(void **state)
{
    (void)state;
    struct pulses *pulses = pulses_new();
    struct pulse got;
    assert_false(pulse_get(pulses, NUMBER, &got));
    pulse_held_put(pulses, NUMBER, 3);
    assert_false(pulse_get(pulses, NUMBER, &got));
    for (uint32_t metrics = 0; metrics <= AGENT_METRICS_MAX; metrics++) {
        struct pulse pulse = pulse_number(metrics + 1, metrics);
        pulse_put(pulses, NUMBER, &pulse);
        assert_true(pulse_get(pulses, NUMBER, &got));
        assert_int_equal(got.metrics.n, metrics);
        assert_true(is_whole(&got));
        assert_int_equal(pulse_held(pulses, NUMBER), 3);
    }
    pulses_free(pulses);
}

static void who_departs_leaves_nothing(void **state)
{
    (void)state;
    struct pulses *pulses = pulses_new();
    struct pulse pulse = pulse_number(5, 2), got;
    pulse_put(pulses, NUMBER, &pulse);
    pulse_put(pulses, NUMBER + 1, &pulse);
    pulse_held_put(pulses, NUMBER, 1);
    pulse_drop(pulses, NUMBER);
    pulse_drop(pulses, NUMBER);
    pulse_drop(pulses, 1 << 20);
    assert_false(pulse_get(pulses, NUMBER, &got));
    assert_int_equal(pulse_held(pulses, NUMBER), 0);
    assert_true(pulse_get(pulses, NUMBER + 1, &got));
    pulse_put(pulses, NUMBER, &pulse);
    assert_true(pulse_get(pulses, NUMBER, &got) && is_whole(&got));
    pulses_free(pulses);
}

static void a_standing_outlives_the_pulse(void **state)
{
    (void)state;
    struct pulses *pulses = pulses_new();
    struct pulse pulse = pulse_number(5, 2);
    assert_int_equal(standing_get(pulses, NUMBER).epoch, 0);
    assert_int_equal(standing_get(pulses, UINT32_MAX).epoch, 0);
    pulse_put(pulses, NUMBER, &pulse);
    standing_put(pulses, NUMBER, (struct agent_standing){UINT32_MAX, AGENT_INACTIVE});
    pulse_drop(pulses, NUMBER);
    assert_int_equal(standing_get(pulses, NUMBER).epoch, UINT32_MAX);
    assert_int_equal(standing_get(pulses, NUMBER).status, AGENT_INACTIVE);
    assert_int_equal(standing_get(pulses, NUMBER + 1).epoch, 0);
    pulses_free(pulses);
}

/* ---- many threads ---- */

struct reading {
    struct pulses *pulses;
    _Atomic bool over;
    _Atomic uint64_t found, torn;
};

static void *read_on(void *ctx)
{
    struct reading *r = ctx;
    while (!atomic_load(&r->over)) {
        struct pulse got;
        if (pulse_get(r->pulses, NUMBER, &got)) {
            atomic_fetch_add(&r->found, 1);
            atomic_fetch_add(&r->torn, !is_whole(&got));
        }
        (void)pulse_held(r->pulses, NUMBER);
    }
    return NULL;
}

static void readers_meet_a_whole_pulse_or_none(void **state)
{
    (void)state;
    struct reading r = {.pulses = pulses_new()};
    pthread_t threads[READERS];
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    }
    for (uint64_t n = 1; n <= MOVES || atomic_load(&r.found) < 100; n++) {
        struct pulse pulse = pulse_number(n, (uint32_t)(n % (AGENT_METRICS_MAX + 1)));
        if (n % 5 == 0) {
            pulse_drop(r.pulses, NUMBER);
        } else {
            pulse_put(r.pulses, NUMBER, &pulse);
        }
    }
    atomic_store(&r.over, true);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&r.torn), 0);
    pulses_free(r.pulses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pulse_grows_with_what_its_agent_reports),
        cmocka_unit_test(who_departs_leaves_nothing),
        cmocka_unit_test(a_standing_outlives_the_pulse),
        cmocka_unit_test(readers_meet_a_whole_pulse_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
