/* Deliveries with acks, and the heap of deadlines beside them, against models that are as naive as
 * can be. */
#include "tests/unit/scratch.h"

#include "channels/cursor.h"
#include "channels/deadlines.h"
#include "tests/sim/rng.h"

#include <stdlib.h>

static const struct cursor_rules rules = {
    .ack_wait_ms = 30000, .in_flight_max = 4, .deliver_max = 3, .ageing_ms = 60000};

static void add(struct cursor *c, unsigned level, uint64_t number, int64_t now_ms)
{
    (void)cursor_add(c, level, &(struct cursor_item){.number = number, .since_ms = now_ms});
}

static uint64_t hand(struct cursor *c, uint64_t holder, int64_t now_ms)
{
    struct cursor_item *item = cursor_next(c, &rules, now_ms);
    if (!item) {
        return 0;
    }
    cursor_hand(c, item, holder, &rules, now_ms);
    return item->number;
}

static void acks_in_any_order_move_the_floor_when_they_close_up(void **state)
{
    (void)state;
    struct cursor c;
    cursor_init(&c);
    for (uint64_t n = 1; n <= 4; n++) {
        add(&c, 0, n, 0);
        assert_int_equal(hand(&c, 7, 0), n);
    }
    cursor_remove(&c, 2);
    cursor_remove(&c, 3);
    assert_int_equal(cursor_floor(&c), 1);
    cursor_remove(&c, 1);
    assert_int_equal(cursor_floor(&c), 4);
    cursor_remove(&c, 4);
    assert_int_equal(cursor_floor(&c), 5);
    assert_int_equal(c.n + c.out, 0);
    cursor_done(&c);
}

static void what_is_in_flight_is_bounded_and_an_ack_makes_room(void **state)
{
    (void)state;
    struct cursor c;
    cursor_init(&c);
    for (uint64_t n = 1; n <= 6; n++) {
        add(&c, 0, n, 0);
    }
    for (uint64_t n = 1; n <= 4; n++) {
        assert_int_equal(hand(&c, 7, 0), n);
    }
    assert_null(cursor_next(&c, &rules, 0));
    cursor_remove(&c, 3);
    assert_int_equal(hand(&c, 7, 0), 5);
    cursor_done(&c);
}

static void redelivery_waits_1_5_30_seconds_and_ends_at_the_last_delivery(void **state)
{
    (void)state;
    static const struct cursor_rules patient = {
        .ack_wait_ms = 1000, .in_flight_max = 4, .deliver_max = 5};
    static const int64_t waits[] = {1000, 5000, 30000, 30000};
    struct cursor c;
    int64_t now = 0;
    cursor_init(&c);
    add(&c, 0, 1, now);
    for (unsigned i = 0; i < 5; i++) {
        struct cursor_item *item = cursor_next(&c, &patient, now);
        assert_non_null(item);
        cursor_hand(&c, item, 7, &patient, now);
        assert_int_equal(item->deliveries, i + 1);
        assert_null(cursor_overdue(&c, now + 999));
        assert_int_equal(c.look_ms, now + 1000);
        now += 1000;
        item = cursor_overdue(&c, now);
        assert_non_null(item);
        assert_int_equal(cursor_return(&c, item, &patient, now, -1), i < 4);
        if (i < 4) {
            assert_null(cursor_next(&c, &patient, now + waits[i] - 1));
            now += waits[i];
        }
    }
    cursor_done(&c);
}

static void what_comes_back_goes_before_what_is_younger(void **state)
{
    (void)state;
    struct cursor c;
    cursor_init(&c);
    for (uint64_t n = 1; n <= 3; n++) {
        add(&c, 1, n, 0);
    }
    assert_int_equal(hand(&c, 7, 0), 1);
    assert_true(cursor_return(&c, cursor_find(&c, 1), &rules, 0, 500));
    assert_int_equal(hand(&c, 7, 0), 2); /* a delay holds nobody else up */
    assert_int_equal(hand(&c, 7, 500), 1);
    assert_int_equal(hand(&c, 7, 500), 3);
    cursor_done(&c);
}

static void levels_go_first_and_waiting_lifts(void **state)
{
    (void)state;
    struct cursor c;
    cursor_init(&c);
    add(&c, 3, 1, 0);
    add(&c, 0, 2, 130000);
    add(&c, 2, 3, 130000);
    add(&c, 1, 4, 130000);
    /* Two minutes lift the low one by two levels: level with 4, and older. */
    assert_int_equal(hand(&c, 7, 130000), 2);
    assert_int_equal(hand(&c, 7, 130000), 1);
    assert_int_equal(hand(&c, 7, 130000), 4);
    assert_int_equal(hand(&c, 7, 130000), 3);
    cursor_done(&c);
}

static void progress_begins_the_deadline_anew_and_unhanding_leaves_no_trace(void **state)
{
    (void)state;
    struct cursor c;
    cursor_init(&c);
    add(&c, 0, 1, 0);
    (void)hand(&c, 7, 0);
    cursor_touch(&c, cursor_find(&c, 1), &rules, 20000);
    assert_null(cursor_overdue(&c, 49999));
    assert_non_null(cursor_overdue(&c, 50000));
    assert_ptr_equal(cursor_held(&c, 7), cursor_find(&c, 1));
    assert_null(cursor_held(&c, 8));
    cursor_unhand(&c, cursor_find(&c, 1));
    assert_int_equal(cursor_find(&c, 1)->deliveries, 0);
    assert_int_equal(hand(&c, 8, 20000), 1);
    cursor_done(&c);
}

/* ---- random operations against a list that is searched from end to end ---- */

enum { MODEL_MAX = 400, OPERATIONS = 20000 };

struct model_item {
    struct cursor_item item;
    unsigned level;
    bool there;
};
struct model {
    struct model_item items[MODEL_MAX];
    size_t n;
};

static struct model_item *model_next(struct model *m, int64_t now_ms)
{
    struct model_item *best = NULL;
    int64_t best_rank = 0;
    uint32_t out = 0;
    for (size_t i = 0; i < m->n; i++) {
        struct model_item *it = &m->items[i];
        out += it->there && it->item.holder;
        int64_t rank = (int64_t)it->level - (now_ms - it->item.since_ms) / rules.ageing_ms;
        rank = rank < 0 ? 0 : rank;
        if (it->there && !it->item.holder && it->item.due_ms <= now_ms &&
            (!best || rank < best_rank)) {
            best = it;
            best_rank = rank;
        }
    }
    return out < rules.in_flight_max ? best : NULL;
}

static void compare(struct cursor *c, struct model *m)
{
    uint32_t n = 0, out = 0;
    uint64_t floor = c->top + 1;
    for (size_t i = 0; i < m->n; i++) {
        const struct model_item *it = &m->items[i];
        struct cursor_item *item = cursor_find(c, it->item.number);
        assert_int_equal(item != NULL, it->there);
        if (item) {
            assert_int_equal(item->holder, it->item.holder);
            assert_int_equal(item->deliveries, it->item.deliveries);
            assert_int_equal(item->due_ms, it->item.due_ms);
            n++;
            out += item->holder != 0;
            floor = item->number < floor ? item->number : floor;
        }
    }
    uint32_t walked = 0;
    for (struct cursor_item *item = NULL; (item = cursor_each(c, item));) {
        walked++;
    }
    assert_int_equal(walked, n);
    assert_int_equal(c->n, n);
    assert_int_equal(c->out, out);
    assert_int_equal(cursor_floor(c), floor);
}

static void model_hand(struct cursor *c, struct model *m, uint64_t holder, int64_t now_ms)
{
    struct model_item *expected = model_next(m, now_ms);
    struct cursor_item *item = cursor_next(c, &rules, now_ms);
    assert_int_equal(item ? item->number : 0, expected ? expected->item.number : 0);
    if (item) {
        cursor_hand(c, item, holder, &rules, now_ms);
        expected->item.holder = holder;
        expected->item.deliveries++;
        expected->item.due_ms = now_ms + rules.ack_wait_ms;
    }
}

static void model_return(struct cursor *c, struct model_item *it, int64_t now_ms, int64_t delay_ms)
{
    static const int64_t waits[] = {1000, 5000, 30000};
    bool spent = it->item.deliveries >= rules.deliver_max;
    assert_int_equal(cursor_return(c, cursor_find(c, it->item.number), &rules, now_ms, delay_ms),
                     !spent);
    it->item.holder = 0;
    it->item.due_ms = now_ms + (delay_ms < 0 ? waits[(it->item.deliveries - 1) % 3] : delay_ms);
    if (spent) {
        cursor_remove(c, it->item.number);
        it->there = false;
    }
}

static void model_overdue(struct cursor *c, struct model *m, int64_t now_ms)
{
    struct cursor_item *item;
    while ((item = cursor_overdue(c, now_ms))) {
        struct model_item *it = &m->items[item->number - 1];
        assert_true(it->there && it->item.holder && it->item.due_ms <= now_ms);
        model_return(c, it, now_ms, -1);
    }
    int64_t look = INT64_MAX;
    for (size_t i = 0; i < m->n; i++) {
        const struct model_item *it = &m->items[i];
        assert_false(it->there && it->item.holder && it->item.due_ms <= now_ms);
        if (it->there && it->item.due_ms > now_ms && it->item.due_ms < look) {
            look = it->item.due_ms;
        }
    }
    assert_int_equal(c->look_ms, look);
}

static void random_operations_come_out_as_in_the_model(void **state)
{
    (void)state;
    struct rng rng = {scratch_seed()};
    struct cursor c;
    struct model *m = xcalloc(1, sizeof *m);
    int64_t now_ms = 0;
    cursor_init(&c);
    for (unsigned i = 0; i < OPERATIONS; i++) {
        unsigned what = (unsigned)rng_below(&rng, 8);
        struct model_item *it = m->n ? &m->items[rng_below(&rng, (uint32_t)m->n)] : NULL;
        bool out = it && it->there && it->item.holder;
        now_ms += (int64_t)rng_below(&rng, 3000);
        if (what < 2 && m->n < MODEL_MAX) {
            unsigned level = (unsigned)rng_below(&rng, CURSOR_LEVELS);
            it = &m->items[m->n++];
            *it = (struct model_item){.level = level, .there = true};
            it->item = (struct cursor_item){.number = m->n, .since_ms = now_ms};
            (void)cursor_add(&c, level, &it->item);
        } else if (what < 5) {
            model_hand(&c, m, 1 + rng_below(&rng, 3), now_ms);
        } else if (what == 5 && out) {
            cursor_remove(&c, it->item.number);
            it->there = false;
        } else if (what == 6 && out) {
            model_return(&c, it, now_ms, rng_below(&rng, 2) ? -1 : (int64_t)rng_below(&rng, 9000));
        } else if (what == 7) {
            model_overdue(&c, m, now_ms);
        }
        compare(&c, m);
        if (m->n == MODEL_MAX && c.n == 0) {
            cursor_done(&c);
            m->n = 0;
        }
    }
    cursor_done(&c);
    free(m);
}

static void the_heap_of_deadlines_gives_the_earliest(void **state)
{
    (void)state;
    enum { NUMBERS = 300 };
    struct rng rng = {scratch_seed()};
    struct deadlines d = {0};
    int64_t due[NUMBERS];
    uint32_t number = 0;
    assert_int_equal(deadlines_next(&d, &number), INT64_MAX);
    for (unsigned i = 0; i < NUMBERS; i++) {
        due[i] = INT64_MAX;
    }
    for (unsigned i = 0; i < 20000; i++) {
        uint32_t at = (uint32_t)rng_below(&rng, NUMBERS);
        due[at] = rng_below(&rng, 10) ? (int64_t)rng_below(&rng, 1000) : INT64_MAX;
        deadlines_set(&d, at, due[at]);
        int64_t first = INT64_MAX;
        for (unsigned k = 0; k < NUMBERS; k++) {
            first = due[k] < first ? due[k] : first;
        }
        assert_int_equal(deadlines_next(&d, &number), first);
        assert_int_equal(due[number], first);
    }
    deadlines_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acks_in_any_order_move_the_floor_when_they_close_up),
        cmocka_unit_test(what_is_in_flight_is_bounded_and_an_ack_makes_room),
        cmocka_unit_test(redelivery_waits_1_5_30_seconds_and_ends_at_the_last_delivery),
        cmocka_unit_test(what_comes_back_goes_before_what_is_younger),
        cmocka_unit_test(levels_go_first_and_waiting_lifts),
        cmocka_unit_test(progress_begins_the_deadline_anew_and_unhanding_leaves_no_trace),
        cmocka_unit_test(random_operations_come_out_as_in_the_model),
        cmocka_unit_test(the_heap_of_deadlines_gives_the_earliest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
