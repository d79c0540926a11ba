/* Events leave in rounds: what comes while one is being sent waits for the next, trays go in the
 * order in which they came and none is lost, and when too many are held one round takes all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hub/net/rounds.h"

enum { STEPS = 200000 };

static struct rounds rounds;
static struct tray trays[ROUNDS_HELD_MAX];

static int set_up(void **state)
{
    (void)state;
    rounds = (struct rounds){0};
    return 0;
}

static void hold(unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        rounds_hold(&rounds, &trays[i]);
    }
}

static unsigned deliver_all(void)
{
    unsigned n = 0;
    while (rounds_next(&rounds)) {
        n++;
    }
    return n;
}

static void count(void *ctx, struct tray *tray)
{
    unsigned *gone = ctx;
    assert_ptr_equal(tray, &trays[*gone]);
    (*gone)++;
}

static void a_round_takes_so_many_and_no_more(void **state)
{
    (void)state;
    unsigned gone = 0;
    hold(0, ROUND_MAX + 3);
    assert_int_equal(deliver_all(), ROUND_MAX);
    assert_false(rounds_is_gathering(&rounds));
    rounds_settle(&rounds, count, &gone);
    assert_int_equal(gone, ROUND_MAX);
    assert_int_equal(deliver_all(), 3);
    rounds_settle(&rounds, count, &gone);
    assert_int_equal(gone, ROUND_MAX + 3);
}

static void what_comes_while_a_round_is_sent_waits_for_the_next(void **state)
{
    (void)state;
    unsigned gone = 0;
    hold(0, 1);
    assert_ptr_equal(rounds_next(&rounds), &trays[0]);
    hold(1, 1);
    assert_true(rounds_is_gathering(&rounds));
    rounds_send(&rounds);
    assert_false(rounds_is_gathering(&rounds));
    assert_null(rounds_next(&rounds));
    rounds_settle(&rounds, count, &gone);
    assert_int_equal(gone, 1);
    assert_ptr_equal(rounds_next(&rounds), &trays[1]);
}

static void a_hurried_round_takes_all_also_when_it_is_being_sent(void **state)
{
    (void)state;
    unsigned gone = 0;
    hold(0, 2);
    assert_ptr_equal(rounds_next(&rounds), &trays[0]);
    rounds_send(&rounds);
    hold(2, ROUNDS_CROWDED - 1);
    assert_true(rounds_is_crowded(&rounds));
    rounds_hurry(&rounds);
    assert_int_equal(deliver_all(), ROUNDS_CROWDED);
    rounds_settle(&rounds, count, &gone);
    assert_int_equal(gone, ROUNDS_CROWDED + 1);
    assert_false(rounds_is_crowded(&rounds));
    hold(gone, ROUND_MAX + 1);
    assert_int_equal(deliver_all(), ROUND_MAX); /* the next one is no longer hurried */
}

/* As many places as its pool has trays are left to a thread's own events when others' have none. */
static void a_threads_own_trays_always_find_room(void **state)
{
    (void)state;
    unsigned n = 0;
    while (rounds_has_room(&rounds)) {
        hold(n++, 1);
    }
    hold(n, IO_POOL_TRAYS);
    assert_int_equal(rounds.held_n, ROUNDS_HELD_MAX);
}

static void take_back(void *ctx, struct tray *tray)
{
    unsigned *gone = ctx;
    assert_ptr_equal(tray, &trays[(*gone)++ % ROUNDS_HELD_MAX]);
}

/* Whatever happens in which order: every tray is delivered once before it goes, in the order in
 * which it came. */
static void trays_go_in_order_and_none_is_lost(void **state)
{
    (void)state;
    unsigned came = 0, delivered = 0, gone = 0, seed = 20261127;
    print_message("seed %u\n", seed);
    for (unsigned step = 0; step < STEPS; step++) {
        seed = seed * 1103515245 + 12345;
        unsigned draw = seed >> 16 & 15;
        if (draw < 8 && rounds_has_room(&rounds)) {
            rounds_hold(&rounds, &trays[came++ % ROUNDS_HELD_MAX]);
        } else if (draw < 13) {
            struct tray *tray = rounds_next(&rounds);
            assert_true(!tray || tray == &trays[delivered % ROUNDS_HELD_MAX]);
            delivered += tray != NULL;
        } else if (draw == 13) {
            rounds_send(&rounds);
        } else if (draw == 14 && rounds_is_crowded(&rounds)) {
            rounds_hurry(&rounds);
        } else {
            rounds_settle(&rounds, take_back, &gone);
            assert_int_equal(gone, delivered);
        }
        assert_int_equal(rounds.held_n, came - gone);
    }
    assert_true(gone > STEPS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_round_takes_so_many_and_no_more, set_up),
        cmocka_unit_test_setup(what_comes_while_a_round_is_sent_waits_for_the_next, set_up),
        cmocka_unit_test_setup(a_hurried_round_takes_all_also_when_it_is_being_sent, set_up),
        cmocka_unit_test_setup(a_threads_own_trays_always_find_room, set_up),
        cmocka_unit_test_setup(trays_go_in_order_and_none_is_lost, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
