/* The order in which tasks get an agent, against a list that is searched anew for each pick. */
#include "hub/tasks/queue.h"
#include "store/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

enum { AGING_MS = 1000, KINDS = 4, KEYS = 3, ITEMS = 400 };

static uint64_t state;

static uint32_t below(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 32) % n);
}

static bool fits_mask(void *ctx, uint32_t kind)
{
    return *(const unsigned *)ctx >> kind & 1;
}

static struct queue_item item(uint64_t number, int64_t queued_ms, uint8_t priority)
{
    return (struct queue_item){.number = number, .queued_ms = queued_ms, .priority = priority};
}

static uint64_t next_number(struct queue *q, int64_t now_ms)
{
    unsigned all = ~0u;
    struct queue_item *it = queue_pick(q, now_ms, fits_mask, &all);
    if (!it) {
        return 0;
    }
    uint64_t number = it->number;
    queue_take(q, it);
    return number;
}

/* ---- claims ---- */

static void urgent_goes_before_critical_high_normal_and_low(void **ctx)
{
    (void)ctx;
    struct queue *q = queue_new(AGING_MS);
    struct queue_item list[QUEUE_LEVELS];
    for (uint8_t i = 0; i < QUEUE_LEVELS; i++) {
        list[i] = item(i + 1u, 0, (uint8_t)(QUEUE_LEVELS - 1 - i));
        queue_add(q, &list[i], 0);
        assert_int_equal(queue_waiting(q, QUEUE_LEVELS - 1u - i), 1);
    }
    for (uint64_t want = QUEUE_LEVELS; want > 0; want--) {
        assert_int_equal(next_number(q, 0), want);
    }
    assert_int_equal(queue_count(q), 0);
    queue_free(q);
}

static void within_a_level_the_first_queued_goes_first_though_it_came_back(void **ctx)
{
    (void)ctx;
    struct queue *q = queue_new(AGING_MS);
    struct queue_item a = item(1, 30, 2), b = item(2, 20, 2), c = item(3, 20, 2);
    queue_add(q, &a, 100);
    queue_add(q, &c, 100);
    queue_add(q, &b, 100);
    assert_int_equal(next_number(q, 100), 2);
    assert_int_equal(next_number(q, 100), 3);
    queue_add(q, &b, 200); /* a retry keeps its place */
    assert_int_equal(next_number(q, 200), 2);
    assert_int_equal(next_number(q, 200), 1);
    queue_free(q);
}

static void keys_take_turns_however_much_one_of_them_has(void **ctx)
{
    (void)ctx;
    struct queue *q = queue_new(AGING_MS);
    struct queue_item many[50], few[5];
    for (unsigned i = 0; i < 50; i++) {
        many[i] = item(100 + i, 0, 3);
        many[i].fairness = 1;
        queue_add(q, &many[i], 0);
    }
    for (unsigned i = 0; i < 5; i++) {
        few[i] = item(200 + i, 10, 3);
        few[i].fairness = 2;
        queue_add(q, &few[i], 10);
    }
    unsigned of_few = 0;
    for (unsigned i = 0; i < 10; i++) {
        of_few += next_number(q, 10) >= 200;
    }
    assert_int_equal(of_few, 5);
    assert_int_equal(queue_count(q), 45);
    while (next_number(q, 10)) {
    }
    queue_free(q);
}

static void a_kind_that_nobody_is_free_for_does_not_stand_in_the_way(void **ctx)
{
    (void)ctx;
    struct queue *q = queue_new(AGING_MS);
    struct queue_item blocked[20], free_one = item(99, 50, 4);
    for (unsigned i = 0; i < 20; i++) {
        blocked[i] = item(i + 1, 0, 0);
        queue_add(q, &blocked[i], 0);
    }
    free_one.kind = 1;
    queue_add(q, &free_one, 50);
    unsigned mask = 2;
    assert_ptr_equal(queue_pick(q, 50, fits_mask, &mask), &free_one);
    mask = 0;
    assert_null(queue_pick(q, 50, fits_mask, &mask));
    queue_free(q);
}

/* One slot, and always urgent work that waits: more comes than goes. */
static void endless_urgent_work_does_not_starve_the_low(void **ctx)
{
    (void)ctx;
    enum { STEPS = 20000, STEP_MS = 10, BEFORE = 30 };
    struct queue *q = queue_new(AGING_MS);
    struct queue_item *urgent = calloc(STEPS * 2 + BEFORE, sizeof *urgent), low = item(1, 0, 4);
    size_t n = 0;
    for (unsigned i = 0; i < BEFORE; i++) {
        urgent[n] = item(10 + n, -1, 0);
        queue_add(q, &urgent[n++], 0);
    }
    queue_add(q, &low, 0);
    int64_t now = 0, went = -1;
    for (unsigned step = 0; step < STEPS && went < 0; step++) {
        for (unsigned i = 0; i < 2; i++) {
            urgent[n] = item(10 + n, now, 0);
            queue_add(q, &urgent[n++], now);
        }
        now += STEP_MS;
        went = next_number(q, now) == 1 ? now : -1;
    }
    /* Four lifts, and what was there before it, one a step. */
    assert_in_range(went, 4 * AGING_MS, 4 * AGING_MS + (BEFORE + 2) * STEP_MS);
    queue_free(q);
    free(urgent);
}

/* ---- against a naive model ---- */

struct model {
    struct queue_item *items[ITEMS];
    size_t n;
};

static unsigned level_of(const struct queue_item *it, int64_t now_ms)
{
    int64_t lifts = (now_ms - it->queued_ms) / AGING_MS;
    return lifts >= it->priority ? 0 : (unsigned)(it->priority - lifts);
}

/* Turns of keys are the queue's own; that it picks the best of a level's key is the model's. */
static void check_pick(const struct model *m, const struct queue_item *got, unsigned mask,
                       int64_t now_ms)
{
    unsigned best = QUEUE_LEVELS;
    for (size_t i = 0; i < m->n; i++) {
        bool fits = mask >> m->items[i]->kind & 1;
        unsigned level = level_of(m->items[i], now_ms);
        best = fits && level < best ? level : best;
    }
    if (best == QUEUE_LEVELS) {
        assert_null(got);
        return;
    }
    assert_non_null(got);
    assert_true(mask >> got->kind & 1);
    assert_int_equal(level_of(got, now_ms), best);
    for (size_t i = 0; i < m->n; i++) {
        const struct queue_item *it = m->items[i];
        bool rival =
            (mask >> it->kind & 1) && it->fairness == got->fairness && level_of(it, now_ms) == best;
        assert_false(rival && (it->queued_ms < got->queued_ms ||
                               (it->queued_ms == got->queued_ms && it->number < got->number)));
    }
}

static void model_drop(struct model *m, const struct queue_item *it)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->items[i] == it) {
            m->items[i] = m->items[--m->n];
            return;
        }
    }
    fail_msg("an item that does not wait was picked");
}

static void random_work_is_picked_as_a_naive_search_would(void **ctx)
{
    (void)ctx;
    uint64_t seed = (uint64_t)time(NULL);
    state = seed | 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct queue *q = queue_new(AGING_MS);
    struct queue_item pool[ITEMS];
    struct model m = {.n = 0};
    int64_t now = 10000;
    memset(pool, 0, sizeof pool);
    for (unsigned step = 0; step < 60000; step++) {
        struct queue_item *it = &pool[below(ITEMS)];
        now += below(20);
        if (!it->waits && below(100) < 55) {
            *it = item(step + 1, now - below(3 * AGING_MS), (uint8_t)below(QUEUE_LEVELS));
            it->kind = below(KINDS);
            it->fairness = below(KEYS);
            queue_add(q, it, now);
            m.items[m.n++] = it;
        } else if (it->waits && below(100) < 20) {
            queue_remove(q, it);
            model_drop(&m, it);
        } else {
            unsigned mask = below(1 << KINDS);
            struct queue_item *got = queue_pick(q, now, fits_mask, &mask);
            check_pick(&m, got, mask, now);
            if (got) {
                queue_take(q, got);
                model_drop(&m, got);
            }
        }
        assert_int_equal(queue_count(q), m.n);
    }
    queue_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urgent_goes_before_critical_high_normal_and_low),
        cmocka_unit_test(within_a_level_the_first_queued_goes_first_though_it_came_back),
        cmocka_unit_test(keys_take_turns_however_much_one_of_them_has),
        cmocka_unit_test(a_kind_that_nobody_is_free_for_does_not_stand_in_the_way),
        cmocka_unit_test(endless_urgent_work_does_not_starve_the_low),
        cmocka_unit_test(random_work_is_picked_as_a_naive_search_would),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
