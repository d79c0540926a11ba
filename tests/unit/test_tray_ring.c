/* Rings of pointers, pools of trays, and a tray's way home. */
#include "tests/unit/scratch.h"

#include "hub/core/tray.h"

static void a_ring_gives_back_in_order_and_refuses_when_full(void **state)
{
    (void)state;
    int items[64];
    struct ring *ring = ring_new(10);
    size_t n = 0;
    assert_true(ring_empty(ring));
    while (n < 64 && ring_push(ring, &items[n])) {
        n++;
    }
    assert_in_range(n, 10, 63);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(ring_pop(ring), &items[i]);
    }
    assert_null(ring_pop(ring));
    assert_true(ring_empty(ring));
    ring_free(ring);
    ring_free(NULL);
}

static void a_pool_gives_out_as_many_trays_as_it_has(void **state)
{
    (void)state;
    struct tray_pool pool;
    struct tray *trays[4];
    tray_pool_init(&pool, 4, 7);
    for (unsigned i = 0; i < 4; i++) {
        trays[i] = tray_take(&pool);
        assert_non_null(trays[i]);
        assert_int_equal(trays[i]->origin, 7);
    }
    assert_null(tray_take(&pool));
    tray_give(&pool, trays[2]);
    assert_ptr_equal(tray_take(&pool), trays[2]);
    for (unsigned i = 0; i < 4; i++) {
        tray_give(&pool, trays[i]);
    }
    tray_pool_done(&pool);
}

static void the_last_to_let_go_sends_a_tray_home(void **state)
{
    (void)state;
    struct tray_pool pool;
    tray_pool_init(&pool, 1, 0);
    struct tray *tray = tray_take(&pool);
    atomic_store(&tray->refs, 3);
    assert_false(tray_release(tray, pool.home));
    assert_false(tray_release(tray, pool.home));
    tray_pool_collect(&pool);
    assert_int_equal(pool.idle_n, 0);
    assert_true(tray_release(tray, pool.home));
    assert_int_equal(pool.idle_n, 0); /* on its way: the owner takes it in */
    tray_pool_collect(&pool);
    assert_int_equal(pool.idle_n, 1);
    tray_pool_done(&pool);
}

static void a_tray_taken_again_is_empty(void **state)
{
    (void)state;
    struct tray_pool pool;
    tray_pool_init(&pool, 1, 0);
    struct tray *tray = tray_take(&pool);
    struct command *command = tray_command(tray);
    command->rc = HUB_LIMIT;
    tray_event(tray)->offset = 9;
    tray_kick(tray, 5, 4010, "superseded");
    buf_add_str(&tray->in, "in");
    buf_add_str(&tray->out, "out");
    tray->answered = true;
    tray->wanted = 3;
    assert_false(tray_is_empty(tray));
    tray_give(&pool, tray);
    tray = tray_take(&pool);
    assert_true(tray_is_empty(tray));
    assert_int_equal(tray->kicks_n, 0);
    assert_int_equal(tray->in.n + tray->out.n, 0);
    assert_int_equal(tray->wanted, 0);
    assert_false(tray->answered);
    assert_int_equal(tray_command(tray)->rc, HUB_OK);
    assert_int_equal(tray_event(tray)->offset, 0);
    tray_give(&pool, tray);
    tray_pool_done(&pool);
}

static void a_tray_is_full_by_commands_events_or_bytes(void **state)
{
    (void)state;
    struct tray_pool pool;
    tray_pool_init(&pool, 1, 0);
    struct tray *tray = tray_take(&pool);
    for (unsigned i = 0; i < TRAY_COMMANDS_MAX; i++) {
        assert_false(tray_is_full(tray));
        (void)tray_command(tray);
    }
    assert_true(tray_is_full(tray));
    tray_clear(tray);
    for (unsigned i = 0; i < TRAY_COMMANDS_MAX; i++) {
        assert_false(tray_is_full(tray));
        (void)tray_event(tray);
    }
    assert_true(tray_is_full(tray));
    tray_clear(tray);
    (void)buf_reserve(&tray->in, TRAY_BYTES_SOFT);
    tray->in.n = TRAY_BYTES_SOFT - 1;
    assert_false(tray_is_full(tray));
    tray->in.n = TRAY_BYTES_SOFT;
    assert_true(tray_is_full(tray));
    tray_give(&pool, tray);
    tray_pool_done(&pool);
}

static void one_large_message_does_not_keep_its_memory(void **state)
{
    (void)state;
    struct tray_pool pool;
    tray_pool_init(&pool, 1, 0);
    struct tray *tray = tray_take(&pool);
    (void)buf_reserve(&tray->in, TRAY_BYTES_KEPT + 1);
    (void)buf_reserve(&tray->out, TRAY_BYTES_SOFT);
    tray_clear(tray);
    assert_int_equal(tray->in.cap, 0);
    assert_true(tray->out.cap >= TRAY_BYTES_SOFT);
    tray_give(&pool, tray);
    tray_pool_done(&pool);
}

static void trays_that_nobody_needed_give_their_memory_back(void **state)
{
    (void)state;
    struct tray_pool pool;
    tray_pool_init(&pool, 3, 0);
    struct tray *trays[3];
    for (unsigned i = 0; i < 3; i++) {
        trays[i] = tray_take(&pool);
        (void)tray_command(trays[i]);
        buf_add_str(&trays[i]->in, "x");
    }
    for (unsigned i = 0; i < 3; i++) {
        tray_give(&pool, trays[i]);
    }
    tray_pool_slim(&pool, 10000); /* all of them were needed until now */
    assert_true(trays[0]->in.cap && trays[1]->in.cap && trays[2]->in.cap);
    tray_give(&pool, tray_take(&pool));
    tray_pool_slim(&pool, 10500); /* too soon */
    assert_true(trays[0]->in.cap && trays[1]->in.cap && trays[2]->in.cap);
    tray_pool_slim(&pool, 11000);
    assert_true(!trays[0]->in.cap && !trays[1]->commands && trays[2]->in.cap);
    tray_pool_slim(&pool, 12000);
    assert_true(!trays[2]->in.cap && !trays[2]->commands_cap);
    assert_non_null(tray_command(tray_take(&pool)));
    tray_pool_done(&pool);
}

static void a_connection_names_its_thread(void **state)
{
    (void)state;
    assert_int_equal(connection_thread((UINT64_C(1) << 48) | 12345), 0);
    assert_int_equal(connection_thread((UINT64_C(64) << 48) | 1), 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_gives_back_in_order_and_refuses_when_full),
        cmocka_unit_test(a_pool_gives_out_as_many_trays_as_it_has),
        cmocka_unit_test(the_last_to_let_go_sends_a_tray_home),
        cmocka_unit_test(a_tray_taken_again_is_empty),
        cmocka_unit_test(a_tray_is_full_by_commands_events_or_bytes),
        cmocka_unit_test(one_large_message_does_not_keep_its_memory),
        cmocka_unit_test(trays_that_nobody_needed_give_their_memory_back),
        cmocka_unit_test(a_connection_names_its_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
