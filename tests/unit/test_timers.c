#include "tests/unit/scratch.h"

#include "store/timers.h"

static struct store *open_store(const char *dir)
{
    char text[256] = "";
    struct store *store = NULL;
    struct store_options o = {.path = dir};
    if (store_open(&o, &store, text, sizeof text) != STORE_OK)
        fail_msg("%s", text);
    return store;
}

static struct store_txn *begin(struct store *store)
{
    struct store_txn *txn;
    assert_int_equal(store_begin(store, &txn), STORE_OK);
    return txn;
}

static struct timer_ref add(struct store_txn *txn, int64_t due_ms, const char *body)
{
    struct timer_ref ref = {0};
    assert_int_equal(timer_add(txn, due_ms, 7, slice_str(body), &ref), STORE_OK);
    assert_int_equal(ref.due_ms, due_ms);
    assert_true(ref.id > 0);
    return ref;
}

static void assert_first(struct store_txn *txn, int64_t now_ms, const char *body)
{
    struct timer timer;
    assert_int_equal(timer_first_due(store_txn_view(txn), now_ms, &timer), STORE_OK);
    assert_true(slice_is(timer.body, body));
    assert_int_equal(timer.kind, 7);
    assert_int_equal(timer_cancel(txn, timer.ref), STORE_OK);
}

static void the_earliest_comes_first_and_only_when_due(void **state)
{
    struct store *store = open_store(*state);
    struct store_txn *txn = begin(store);
    struct timer timer;
    assert_true(timer_next_due(store_txn_view(txn)) == INT64_MAX);
    add(txn, 300, "c");
    add(txn, 100, "a");
    add(txn, INT64_MAX, "never");
    add(txn, 200, "b");
    add(txn, -5, "before 1970");
    assert_int_equal(timer_next_due(store_txn_view(txn)), -5);
    assert_first(txn, 150, "before 1970");
    assert_first(txn, 150, "a");
    assert_int_equal(timer_first_due(store_txn_view(txn), 199, &timer), STORE_NOT_FOUND);
    assert_int_equal(timer_next_due(store_txn_view(txn)), 200);
    assert_first(txn, 200, "b");
    assert_first(txn, 1000, "c");
    assert_int_equal(timer_first_due(store_txn_view(txn), 1000, &timer), STORE_NOT_FOUND);
    assert_int_equal(store_commit(txn), STORE_OK);
    store_close(store);
}

/* Or each batch that adds one would have to look for the first of all. */
static void the_earliest_that_was_added_is_known_without_a_tree(void **state)
{
    struct store *store = open_store(*state);
    struct store_txn *txn = begin(store);
    assert_true(timer_added_due(txn) == INT64_MAX);
    add(txn, 300, "c");
    struct timer_ref b = add(txn, 200, "b");
    add(txn, 250, "d");
    assert_int_equal(timer_cancel(txn, b), STORE_OK);
    assert_int_equal(timer_added_due(txn), 200); /* a look too many does no harm */
    assert_false(store_has_trees(txn));
    assert_int_equal(store_commit(txn), STORE_OK);
    txn = begin(store);
    assert_true(timer_added_due(txn) == INT64_MAX);
    assert_first(txn, 1000, "d");
    assert_first(txn, 1000, "c");
    assert_true(timer_next_due(store_txn_view(txn)) == INT64_MAX);
    assert_int_equal(store_commit(txn), STORE_OK);
    store_close(store);
}

static void equal_times_fire_in_the_order_they_were_added(void **state)
{
    struct store *store = open_store(*state);
    struct store_txn *txn = begin(store);
    char body[16];
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(body, sizeof body, "%d", i);
        add(txn, 42, body);
    }
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(body, sizeof body, "%d", i);
        assert_first(txn, 42, body);
    }
    store_abort(txn);
    store_close(store);
}

static void a_reference_to_a_fired_timer_cancels_no_other(void **state)
{
    struct store *store = open_store(*state);
    struct store_txn *txn = begin(store);
    struct timer_ref fired = add(txn, 42, "fired");
    assert_first(txn, 42, "fired");
    assert_int_equal(store_commit(txn), STORE_OK);
    store_close(store);
    store = open_store(*state);
    txn = begin(store);
    struct timer_ref next = add(txn, 42, "next");
    assert_true(next.id > fired.id);
    assert_int_equal(timer_cancel(txn, fired), STORE_NOT_FOUND);
    assert_int_equal(timer_cancel(txn, (struct timer_ref){0}), STORE_NOT_FOUND);
    assert_first(txn, 42, "next");
    store_abort(txn);
    store_close(store);
}

static void timers_outlast_the_process_and_not_an_abort(void **state)
{
    struct store *store = open_store(*state);
    struct store_txn *txn = begin(store);
    add(txn, 10, "kept");
    assert_int_equal(store_commit(txn), STORE_OK);
    txn = begin(store);
    struct timer_ref lost = add(txn, 5, "lost");
    assert_first(txn, 5, "lost");
    assert_first(txn, 10, "kept");
    store_abort(txn);
    store_close(store);
    store = open_store(*state);
    txn = begin(store);
    assert_int_equal(timer_cancel(txn, lost), STORE_NOT_FOUND);
    assert_first(txn, 10, "kept");
    assert_true(timer_next_due(store_txn_view(txn)) == INT64_MAX);
    store_abort(txn);
    store_close(store);
}

static void a_body_has_a_bound(void **state)
{
    static uint8_t body[TIMER_BODY_BYTES_MAX + 1];
    struct store *store = open_store(*state);
    struct store_txn *txn = begin(store);
    struct timer_ref ref;
    struct timer timer;
    assert_int_equal(timer_add(txn, 1, 1, slice_of(body, sizeof body), &ref), STORE_INVALID);
    assert_int_equal(timer_add(txn, 1, 1, slice_of(body, sizeof body - 1), &ref), STORE_OK);
    assert_int_equal(timer_first_due(store_txn_view(txn), 1, &timer), STORE_OK);
    assert_int_equal(timer.body.n, TIMER_BODY_BYTES_MAX);
    assert_int_equal(timer_cancel(txn, ref), STORE_OK);
    assert_int_equal(timer_add(txn, 1, 2, slice_of(NULL, 0), &ref), STORE_OK);
    assert_int_equal(timer_first_due(store_txn_view(txn), 1, &timer), STORE_OK);
    assert_int_equal(timer.body.n, 0);
    assert_int_equal(timer.kind, 2);
    store_abort(txn);
    store_close(store);
}

/* Turns over each bit of the first row in turn. */
static void a_damaged_timer_is_named_and_can_be_got_rid_of(void **state)
{
    struct store *store = open_store(*state);
    struct store_txn *txn = begin(store);
    struct timer timer;
    struct slice row;
    uint8_t key[16], bytes[9];
    struct timer_ref ref = add(txn, 1, "abc");
    add(txn, 2, "next");
    be64_put(key, UINT64_C(1) << 63 | 1);
    be64_put(key + 8, ref.id);
    assert_int_equal(store_get(store_txn_view(txn), TABLE_TIMER, slice_of(key, 16), &row),
                     STORE_OK);
    assert_int_equal(row.n, sizeof bytes);
    memcpy(bytes, row.p, sizeof bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(
            store_put(txn, TABLE_TIMER, slice_of(key, 16), slice_of(bytes, sizeof bytes)),
            STORE_OK);
        assert_int_equal(timer_first_due(store_txn_view(txn), 9, &timer), STORE_DAMAGED);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < sizeof bytes; n++) {
        assert_int_equal(store_put(txn, TABLE_TIMER, slice_of(key, 16), slice_of(bytes, n)),
                         STORE_OK);
        assert_int_equal(timer_first_due(store_txn_view(txn), 9, &timer), STORE_DAMAGED);
    }
    assert_int_equal(timer.ref.id, ref.id);
    assert_int_equal(timer_cancel(txn, timer.ref), STORE_OK);
    assert_first(txn, 9, "next");
    assert_int_equal(store_put(txn, TABLE_TIMER, slice_str("k"), slice_str("v")), STORE_OK);
    assert_int_equal(timer_first_due(store_txn_view(txn), 9, &timer), STORE_DAMAGED);
    assert_int_equal(timer.ref.id, 0);
    assert_true(timer_next_due(store_txn_view(txn)) == INT64_MIN);
    store_abort(txn);
    store_close(store);
}

/* ---- against a naive model ---- */

enum { MODEL_TIMERS = 400 };

struct model {
    struct timer_ref refs[MODEL_TIMERS];
    size_t n;
};

static size_t model_first(const struct model *model)
{
    size_t first = 0;
    for (size_t i = 1; i < model->n; i++) {
        struct timer_ref a = model->refs[i], b = model->refs[first];
        if (a.due_ms < b.due_ms || (a.due_ms == b.due_ms && a.id < b.id))
            first = i;
    }
    return first;
}

static void random_step(struct store_txn *txn, struct model *model, uint64_t *seed, int64_t now_ms)
{
    uint64_t r = scratch_random(seed);
    struct timer timer;
    if (r % 3 == 0 && model->n < MODEL_TIMERS) {
        model->refs[model->n++] = add(txn, now_ms + (int64_t)(r >> 32) % 50, "x");
    } else if (r % 3 == 1 && model->n > 0) {
        size_t i = (r >> 8) % model->n;
        assert_int_equal(timer_cancel(txn, model->refs[i]), STORE_OK);
        assert_int_equal(timer_cancel(txn, model->refs[i]), STORE_NOT_FOUND);
        model->refs[i] = model->refs[--model->n];
    } else {
        size_t i = model_first(model);
        bool due = model->n > 0 && model->refs[i].due_ms <= now_ms;
        assert_int_equal(timer_first_due(store_txn_view(txn), now_ms, &timer),
                         due ? STORE_OK : STORE_NOT_FOUND);
        if (due) {
            assert_memory_equal(&timer.ref, &model->refs[i], sizeof timer.ref);
            assert_int_equal(timer_cancel(txn, timer.ref), STORE_OK);
            model->refs[i] = model->refs[--model->n];
        }
    }
    int64_t next = timer_next_due(store_txn_view(txn));
    assert_true(next == (model->n > 0 ? model->refs[model_first(model)].due_ms : INT64_MAX));
}

static void timers_are_what_a_naive_model_says(void **state)
{
    static struct model model, before;
    uint64_t seed = scratch_seed();
    struct store *store = open_store(*state);
    for (int64_t now_ms = 0; now_ms < 200; now_ms++) {
        struct store_txn *txn = begin(store);
        before = model;
        for (int i = 0; i < 30; i++)
            random_step(txn, &model, &seed, now_ms);
        if (scratch_random(&seed) % 4 == 0) {
            store_abort(txn);
            model = before;
        } else {
            assert_int_equal(store_commit(txn), STORE_OK);
        }
        if (scratch_random(&seed) % 30 == 0) {
            store_close(store);
            store = open_store(*state);
        }
    }
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(the_earliest_comes_first_and_only_when_due),
        scratch_test(the_earliest_that_was_added_is_known_without_a_tree),
        scratch_test(equal_times_fire_in_the_order_they_were_added),
        scratch_test(a_reference_to_a_fired_timer_cancels_no_other),
        scratch_test(timers_outlast_the_process_and_not_an_abort),
        scratch_test(a_body_has_a_bound),
        scratch_test(a_damaged_timer_is_named_and_can_be_got_rid_of),
        scratch_test(timers_are_what_a_naive_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
