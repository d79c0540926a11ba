/* Batches that overlap: one is filled while the one before is on its way to the disk. What the
 * later one reads is compared with a naive model at every moment, and the disk with what was
 * committed, also when a commit fails: then it and the batch after it never were. */
#include "tests/unit/store_model.h"
#include "tests/unit/full_disk.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

/* ---- the run ---- */

enum { APPENDED_MAX = 4000, ROUNDS = 600 };

/* The journal: rows first..next-1, each with the cell that its number gives. */
struct journal {
    uint32_t first, next;
};

struct layer {
    struct model tables;
    struct journal journal;
};

struct run {
    struct store *store;
    struct store_txn *txn;
    uint64_t seed;
    struct layer disk, on_its_way, now; /* what is committed; what will be; what will be after it */
    bool flies, lost;
    unsigned overlapped, failed;
};

static struct cell appended_cell(uint32_t number)
{
    return (struct cell){
        .there = true, .seed = (uint8_t)number, .n = number % 50 == 0 ? 5000 : number % 300};
}

static void get_appended(struct run *r)
{
    uint8_t key[4];
    struct slice value;
    uint32_t number = (uint32_t)(scratch_random(&r->seed) % (r->now.journal.next + 2));
    be32_put(key, number);
    enum store_rc rc = store_get(store_txn_view(r->txn), TABLE_JOURNAL, slice_of(key, 4), &value);
    if (number >= r->now.journal.first && number < r->now.journal.next) {
        assert_int_equal(rc, STORE_OK);
        assert_cell(value, appended_cell(number));
    } else if (number >= r->now.journal.next) {
        assert_int_equal(rc, STORE_NOT_FOUND); /* one that was trimmed may be seen for a while */
    }
}

static void get_some(struct run *r, size_t t)
{
    uint8_t bytes[KEY_N];
    struct slice value;
    size_t k = scratch_random(&r->seed) % MODEL_KEYS;
    enum store_rc rc =
        store_get(store_txn_view(r->txn), model_tables[t], model_key(bytes, k), &value);
    const struct cell *cell = &r->now.tables.cells[t][k];
    assert_int_equal(rc, cell->there ? STORE_OK : STORE_NOT_FOUND);
    if (rc == STORE_OK)
        assert_cell(value, *cell);
}

static void walk_journal(struct store_view *view, const struct journal *journal)
{
    struct store_cursor *cursor;
    struct slice key, value;
    uint32_t number = journal->first;
    assert_int_equal(store_cursor_open(view, TABLE_JOURNAL, &cursor), STORE_OK);
    enum store_rc rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value), number++) {
        assert_int_equal(be32_get(key.p), number);
        assert_cell(value, appended_cell(number));
    }
    assert_int_equal(rc, STORE_NOT_FOUND);
    assert_int_equal(number, journal->next);
    rc = store_cursor_last(cursor, &key, NULL);
    assert_int_equal(rc, journal->first < journal->next ? STORE_OK : STORE_NOT_FOUND);
    if (rc == STORE_OK)
        assert_int_equal(be32_get(key.p), journal->next - 1);
    store_cursor_close(cursor);
}

static void trim_some(struct run *r)
{
    struct store_cursor *cursor;
    uint64_t n = scratch_random(&r->seed) % 8;
    assert_int_equal(store_cursor_open(store_txn_view(r->txn), TABLE_JOURNAL, &cursor), STORE_OK);
    enum store_rc rc = store_cursor_seek(cursor, slice_of(NULL, 0), NULL, NULL);
    for (; rc == STORE_OK && n > 0; n--) {
        assert_int_equal(store_cursor_del(cursor), STORE_OK);
        r->now.journal.first++;
        rc = store_cursor_next(cursor, NULL, NULL);
    }
    store_cursor_close(cursor);
}

static void assert_disk(struct run *r)
{
    struct store_reader *reader;
    struct store_view *view;
    assert_model(r->store, &r->disk.tables);
    assert_int_equal(store_reader_new(r->store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    walk_journal(view, &r->disk.journal);
    store_reader_free(reader);
}

/* The end of the one on its way. When it failed, what was begun after it never was either. */
static void take(struct run *r)
{
    enum store_rc rc = store_commit_take(r->store, NULL);
    r->flies = false;
    r->lost = rc != STORE_OK;
    if (rc == STORE_OK) {
        r->disk = r->on_its_way;
    } else {
        assert_int_equal(rc, STORE_FULL);
        r->failed++;
    }
}

/* The first of all has to ask the tree where the journal ends. */
static void append_some(struct run *r)
{
    uint8_t key[4], *room;
    for (uint64_t n = scratch_random(&r->seed) % 6; n > 0; n--) {
        struct cell cell = appended_cell(r->now.journal.next);
        be32_put(key, r->now.journal.next);
        enum store_rc rc =
            store_put_reserve(r->txn, TABLE_JOURNAL, slice_of(key, 4), cell.n, true, &room);
        if (rc == STORE_FULL && r->flies)
            take(r);
        assert_int_equal(rc, r->lost ? STORE_FULL : STORE_OK);
        if (r->lost)
            return;
        cell_fill(room, cell);
        r->now.journal.next++;
    }
}

static void give_up(struct run *r)
{
    store_abort(r->txn);
    r->now = r->disk;
    r->lost = false;
    atomic_store(&writes_left, -1);
}

/* Does without the trees. */
static void some_waiting(struct run *r)
{
    enum { FIRST = 3, N = 3 };
    size_t t = FIRST + scratch_random(&r->seed) % N;
    switch (scratch_random(&r->seed) % 4) {
    case 0:
        append_some(r);
        break;
    case 1:
        get_appended(r);
        break;
    case 2:
        get_some(r, t);
        break;
    default:
        random_write(r->txn, &r->now.tables, t, &r->seed);
    }
}

static void some_of_all(struct run *r)
{
    size_t t = scratch_random(&r->seed) % MODEL_TABLES;
    switch (scratch_random(&r->seed) % 12) {
    case 0:
        trim_some(r);
        break;
    case 1:
        random_walk(r->txn, &r->now.tables, &r->seed);
        break;
    case 2:
        walk_journal(store_txn_view(r->txn), &r->now.journal);
        break;
    default:
        random_write(r->txn, &r->now.tables, t, &r->seed);
        get_some(r, t);
    }
}

/* Who needs the trees waits for the end of the batch before, and fails as it did. */
static void need_trees(struct run *r)
{
    struct store_cursor *cursor;
    enum store_rc rc = store_cursor_open(store_txn_view(r->txn), TABLE_APP, &cursor);
    if (rc == STORE_OK)
        store_cursor_close(cursor);
    take(r);
    assert_int_equal(rc, r->lost ? STORE_FULL : STORE_OK);
}

static void fill(struct run *r)
{
    for (uint64_t n = scratch_random(&r->seed) % 60; n > 0 && !r->lost; n--) {
        if (r->flies && store_commit_is_through(r->store))
            take(r);
        else if (r->flies && scratch_random(&r->seed) % 50 == 0)
            need_trees(r);
        else if (r->flies || scratch_random(&r->seed) % 2)
            some_waiting(r);
        else
            some_of_all(r);
    }
}

static void end(struct run *r)
{
    if (r->flies && !r->lost)
        take(r);
    if (r->lost || scratch_random(&r->seed) % 8 == 0) {
        give_up(r);
        return;
    }
    if (scratch_random(&r->seed) % 12 == 0)
        atomic_store(&writes_left, (int)(scratch_random(&r->seed) % 4));
    if (scratch_random(&r->seed) % 4 == 0) {
        enum store_rc rc = store_commit(r->txn);
        atomic_store(&writes_left, -1);
        r->now = rc == STORE_OK ? r->now : r->disk;
        r->disk = r->now;
        return;
    }
    r->on_its_way = r->now;
    r->overlapped++;
    r->flies = store_commit_start(r->txn) == STORE_OK;
    assert_true(r->flies);
}

static void overlap(struct store *store, uint64_t seed)
{
    static struct run r;
    r = (struct run){.store = store, .seed = seed};
    r.disk.journal = r.now.journal = (struct journal){1, 1};
    for (int round = 0; round < ROUNDS && r.now.journal.next < APPENDED_MAX; round++) {
        assert_int_equal(store_begin(store, &r.txn), STORE_OK);
        store_hand_over(r.txn);
        fill(&r);
        end(&r);
        if (!r.flies && scratch_random(&r.seed) % 4 == 0)
            assert_disk(&r);
    }
    if (r.flies)
        take(&r);
    atomic_store(&writes_left, -1); /* the last commit may not have come to the write that fails */
    assert_disk(&r);
    assert_true(r.overlapped > ROUNDS / 4 && r.failed > 3);
}

static unsigned asked_for(void *ctx)
{
    return (unsigned)(scratch_random(ctx) % 40);
}

static void what_the_later_batch_reads_is_what_both_wrote(void **state)
{
    uint64_t seed = scratch_seed(), asked_seed = seed;
    struct store *store = open_with(*state, 0, 0);
    store_committer_lazy(store, asked_for, &asked_seed);
    overlap(store, seed);
    store_close(store);
}

static void on_through(void *ctx)
{
    atomic_fetch_add((atomic_uint *)ctx, 1);
}

static void *commit_all(void *store)
{
    store_committer_run(store);
    return NULL;
}

static void a_thread_of_its_own_commits_while_the_writer_goes_on(void **state)
{
    pthread_t thread;
    atomic_uint through = 0;
    struct store *store = open_with(*state, 0, 0);
    store_committer_new(store, on_through, &through);
    assert_int_equal(pthread_create(&thread, NULL, commit_all, store), 0);
    overlap(store, scratch_seed());
    store_committer_stop(store);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(atomic_load(&through) > ROUNDS / 4);
    store_close(store);
    store = open_with(*state, 0, 0);
    store_close(store);
}

/* A lazy committer that is never asked often enough: only who waits gets the commit. */
static unsigned for_ever(void *ctx)
{
    (void)ctx;
    return UINT_MAX;
}

static void rows_are_read_without_the_trees_unless_the_batch_before_wrote_there(void **state)
{
    struct store *store = open_with(*state, 0, 0);
    struct store_txn *txn;
    struct slice value, key = slice_str("k");
    store_committer_lazy(store, for_ever, NULL);
    assert_int_equal(store_begin(store, &txn), STORE_OK);
    assert_int_equal(store_put(txn, TABLE_APP, key, slice_str("old")), STORE_OK);
    assert_int_equal(store_put(txn, TABLE_AGENT, key, slice_str("agent")), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);

    assert_int_equal(store_begin(store, &txn), STORE_OK);
    store_hand_over(txn);
    assert_int_equal(store_get(store_txn_view(txn), TABLE_APP, key, &value), STORE_OK);
    assert_true(slice_is(value, "old"));
    assert_false(store_has_trees(txn));
    assert_int_equal(store_put(txn, TABLE_APP, key, slice_str("new")), STORE_OK);
    assert_true(store_has_trees(txn));
    assert_int_equal(store_commit_start(txn), STORE_OK);

    assert_int_equal(store_begin(store, &txn), STORE_OK);
    store_hand_over(txn);
    assert_int_equal(store_get(store_txn_view(txn), TABLE_AGENT, key, &value), STORE_OK);
    assert_true(slice_is(value, "agent"));
    assert_false(store_has_trees(txn));
    assert_int_equal(store_get(store_txn_view(txn), TABLE_APP, key, &value), STORE_OK);
    assert_true(slice_is(value, "new"));
    assert_int_equal(store_commit_take(store, NULL), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(what_the_later_batch_reads_is_what_both_wrote),
        scratch_test(a_thread_of_its_own_commits_while_the_writer_goes_on),
        scratch_test(rows_are_read_without_the_trees_unless_the_batch_before_wrote_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
