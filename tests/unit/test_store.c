#include "tests/unit/store_model.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* ---- faults: what LMDB calls to write passes through here ---- */

static int fault_errno;            /* 0: none */
static int fault_countdown;        /* the call it hits: 1 is the next */
static bool fault_short;           /* write a part instead of failing */
static uint64_t fault_disk_left;   /* what statvfs tells; 0: the truth */
static unsigned fault_calls;       /* writes and syncs seen */
static __thread bool fault_thread; /* only calls of the thread under test */

static bool fault_now(void)
{
    if (!fault_thread)
        return false;
    fault_calls++;
    return fault_countdown > 0 && --fault_countdown == 0;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    if (fault_now()) {
        if (fault_short)
            return syscall(SYS_pwrite64, fd, p, n / 2, at);
        errno = fault_errno;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *parts, int parts_n)
{
    if (fault_now()) {
        if (fault_short)
            return syscall(SYS_writev, fd, parts, parts_n > 1 ? parts_n - 1 : 0);
        errno = fault_errno;
        return -1;
    }
    return syscall(SYS_writev, fd, parts, parts_n);
}

int fdatasync(int fd)
{
    if (fault_now()) {
        errno = fault_errno ? fault_errno : EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

int statvfs(const char *path, struct statvfs *out)
{
    (void)path;
    *out = (struct statvfs){.f_frsize = 1, .f_bavail = fault_disk_left};
    return 0;
}

static void fault_arm(int error, int countdown, bool partly)
{
    fault_thread = true;
    fault_errno = error;
    fault_countdown = countdown;
    fault_short = partly;
    fault_calls = 0;
}

static void fault_clear(void)
{
    fault_thread = false;
    fault_countdown = 0;
    fault_disk_left = UINT64_C(1) << 40;
}

/* ---- tables against a naive model ---- */

static void compare_with_a_model(const char *dir, uint64_t seed)
{
    static struct model model, before;
    model = (struct model){0};
    struct store *store = open_with(dir, 0, 0);
    for (int round = 0; round < 300; round++) {
        struct store_txn *txn = begin(store);
        before = model;
        for (uint64_t n = scratch_random(&seed) % 100; n > 0; n--)
            random_write(txn, &model, scratch_random(&seed) % MODEL_TABLES, &seed);
        random_walk(txn, &model, &seed);
        for (size_t t = 0; t < MODEL_TABLES; t++)
            assert_table(store_txn_view(txn), &model, t);
        if (scratch_random(&seed) % 3 == 0) {
            store_abort(txn);
            model = before;
        } else {
            assert_int_equal(store_commit(txn), STORE_OK);
        }
        if (scratch_random(&seed) % 20 == 0) {
            store_close(store);
            store = open_with(dir, 0, 0);
        }
        assert_model(store, &model);
    }
    store_close(store);
}

static void tables_are_what_a_naive_model_says(void **state)
{
    compare_with_a_model(*state, scratch_seed());
}

/* LMDB leaves a value its pages when it is written again, shorter, within a transaction: it can
 * have more of them than it needs, and may be deleted all the same. */
static void a_value_may_have_more_pages_than_it_needs(void **state)
{
    compare_with_a_model(*state, 40161613063931); /* the seed that showed it */
}

static void appending_wants_a_key_past_all_others(void **state)
{
    struct store *store = open_with(*state, 0, 0);
    struct store_txn *txn = begin(store);
    uint8_t *room;
    for (uint8_t i = 0; i < 200; i++) {
        assert_int_equal(store_put_reserve(txn, TABLE_JOURNAL, slice_of(&i, 1), 3, true, &room),
                         STORE_OK);
        memset(room, i, 3);
    }
    uint8_t low = 7;
    assert_int_equal(store_put_reserve(txn, TABLE_JOURNAL, slice_of(&low, 1), 3, true, &room),
                     STORE_EXISTS);
    assert_int_equal(store_count(store_txn_view(txn), TABLE_JOURNAL), 200);
    assert_int_equal(store_commit(txn), STORE_OK);
    store_close(store);
}

static void keys_are_of_1_to_511_bytes(void **state)
{
    struct store *store = open_with(*state, 0, 0);
    struct store_txn *txn = begin(store);
    struct slice value;
    uint8_t key[512] = {0};
    assert_int_equal(store_put(txn, TABLE_APP, slice_of(key, 512), slice_str("v")), STORE_INVALID);
    assert_int_equal(store_put(txn, TABLE_APP, slice_of(key, 0), slice_str("v")), STORE_INVALID);
    assert_int_equal(store_put(txn, TABLE_APP, slice_of(key, 511), slice_str("v")), STORE_OK);
    assert_int_equal(store_put(txn, TABLE_APP, slice_of(key, 1), slice_str("")), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
    txn = begin(store);
    assert_int_equal(store_get(store_txn_view(txn), TABLE_APP, slice_of(key, 511), &value),
                     STORE_OK);
    assert_true(slice_is(value, "v"));
    store_abort(txn);
    store_close(store);
}

/* ---- opening ---- */

static void the_epoch_is_the_one_of_the_first_start(void **state)
{
    char text[256];
    uint8_t renewed[16] = {9, 9, 9};
    struct store *store;
    struct store_options o = {.path = *state, .fresh_epoch = {7}};
    assert_int_equal(store_open(&o, &store, text, sizeof text), STORE_OK);
    assert_memory_equal(store_epoch(store), o.fresh_epoch, 16);
    store_close(store);
    struct store_options other = {.path = *state, .fresh_epoch = {8}};
    assert_int_equal(store_open(&other, &store, text, sizeof text), STORE_OK);
    assert_memory_equal(store_epoch(store), o.fresh_epoch, 16);
    assert_int_equal(store_renew_epoch(store, renewed, 1234), STORE_OK);
    store_close(store);
    assert_int_equal(store_open(&o, &store, text, sizeof text), STORE_OK);
    assert_memory_equal(store_epoch(store), renewed, 16);
    struct store_reader *reader;
    struct store_view *view;
    assert_int_equal(store_reader_new(store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    assert_int_equal(store_renewed_ms(view), 1234);
    store_release(reader);
    store_reader_free(reader);
    store_close(store);
}

static void only_the_owner_may_read_what_is_made(void **state)
{
    char path[4096];
    struct stat st;
    (void)snprintf(path, sizeof path, "%s/made/", (char *)*state);
    store_close(open_with(path, 0, 0));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    (void)snprintf(path, sizeof path, "%s/made/data.mdb", (char *)*state);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_second_hub_is_refused(void **state)
{
    char text[4200] = "";
    struct store *store = open_with(*state, 0, 0);
    assert_int_equal(open_rc(*state, text, sizeof text), STORE_LOCKED);
    assert_non_null(strstr(text, *state));
    put_one(store, "k", "v");
    store_close(store);
    assert_int_equal(open_rc(*state, text, sizeof text), STORE_OK);
}

static void a_folder_that_cannot_be_made_is_named(void **state)
{
    char text[4200] = "", path[4096];
    (void)snprintf(path, sizeof path, "%s/no/such", (char *)*state);
    assert_int_equal(open_rc(path, text, sizeof text), STORE_INVALID);
    assert_non_null(strstr(text, path));
    char small[8];
    assert_int_equal(open_rc(path, small, sizeof small), STORE_INVALID);
    assert_int_equal(strlen(small), 7);
    assert_int_equal(open_rc(path, NULL, 0), STORE_INVALID);
}

static void another_format_is_refused(void **state)
{
    char text[4200] = "";
    uint8_t format[4] = {0, 0, 0, 200};
    struct store *store = open_with(*state, 0, 0);
    struct store_txn *txn = begin(store);
    assert_int_equal(
        store_put(txn, TABLE_META, slice_str("format"), slice_of(format, sizeof format)), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
    store_close(store);
    assert_int_equal(open_rc(*state, text, sizeof text), STORE_VERSION);
    assert_non_null(strstr(text, *state));
}

/* ---- snapshots ---- */

enum { ROWS_TOGETHER = 64, ROUNDS = 300 };

/* Every transaction gives all these rows the same number. */
static void write_round(struct store *store, uint32_t round)
{
    struct store_txn *txn = begin(store);
    uint8_t *room;
    for (uint8_t i = 0; i < ROWS_TOGETHER; i++) {
        size_t n = 4 + round % 3 * 900;
        assert_int_equal(store_put_reserve(txn, TABLE_APP, slice_of(&i, 1), n, false, &room),
                         STORE_OK);
        memset(room, 0, n);
        be32_put(room, round);
    }
    assert_int_equal(store_commit(txn), STORE_OK);
}

static uint32_t round_in(struct store_view *view)
{
    struct slice value;
    uint32_t round = 0;
    for (uint8_t i = 0; i < ROWS_TOGETHER; i++) {
        assert_int_equal(store_get(view, TABLE_APP, slice_of(&i, 1), &value), STORE_OK);
        uint32_t seen = be32_get(value.p);
        assert_true(i == 0 || seen == round);
        round = seen;
    }
    return round;
}

struct watching {
    struct store *store;
    const char *dir;
    atomic_bool stop;
    atomic_uint faults, looks;
};

/* cmocka's assertions belong to the main thread: a watcher counts what it did not expect. */
static bool look(struct store_view *view, uint32_t *last)
{
    struct slice value;
    uint32_t first = 0;
    for (uint8_t i = 0; i < ROWS_TOGETHER; i++) {
        if (store_get(view, TABLE_APP, slice_of(&i, 1), &value) != STORE_OK)
            return false;
        if (i == 0)
            first = be32_get(value.p);
        if (be32_get(value.p) != first)
            return false;
    }
    bool forward = first >= *last;
    *last = first;
    return forward;
}

static void *watch(void *ctx)
{
    struct watching *w = ctx;
    struct store_reader *reader;
    struct store_view *view;
    struct store_usage usage;
    uint32_t last = 0;
    if (store_reader_new(w->store, &reader) != STORE_OK) {
        atomic_fetch_add(&w->faults, 1);
        return NULL;
    }
    while (!atomic_load(&w->stop)) {
        bool good = store_snapshot(reader, &view) == STORE_OK && look(view, &last);
        uint32_t again = last;
        good = good && look(view, &again) && again == last;
        if (atomic_load(&w->looks) % 64 == 0)
            good = good && store_usage(w->store, &usage) == STORE_OK;
        if (!good)
            atomic_fetch_add(&w->faults, 1);
        atomic_fetch_add(&w->looks, 1);
        store_release(reader);
    }
    store_reader_free(reader);
    return NULL;
}

static void a_snapshot_never_shows_half_a_transaction(void **state)
{
    pthread_t threads[2];
    struct watching w = {.store = open_with(*state, 0, 0)};
    write_round(w.store, 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, watch, &w), 0);
    for (uint32_t round = 1; round < ROUNDS; round++)
        write_round(w.store, round);
    atomic_store(&w.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&w.faults), 0);
    assert_true(atomic_load(&w.looks) > 0);
    store_close(w.store);
}

static void a_snapshot_stays_until_it_is_renewed(void **state)
{
    struct store *store = open_with(*state, 0, 0);
    struct store_reader *reader;
    struct store_view *view;
    struct store_cursor *cursor;
    struct slice key;
    put_one(store, "a", "1");
    assert_int_equal(store_reader_new(store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    put_one(store, "a", "2");
    put_one(store, "b", "2");
    assert_true(holds(view, "a", "1"));
    assert_int_equal(store_count(view, TABLE_APP), 1);
    assert_int_equal(store_cursor_open(view, TABLE_APP, &cursor), STORE_OK);
    assert_int_equal(store_cursor_next(cursor, &key, NULL), STORE_OK);
    assert_true(slice_is(key, "a"));
    assert_int_equal(store_cursor_next(cursor, NULL, NULL), STORE_NOT_FOUND);
    store_cursor_close(cursor);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    assert_true(holds(view, "a", "2"));
    assert_true(holds(view, "b", "2"));
    store_reader_free(reader); /* a snapshot it holds ends with it */
    store_close(store);
}

static void readers_beyond_their_number_are_refused(void **state)
{
    char text[256];
    struct store *store;
    struct store_reader *readers[3], *more;
    struct store_view *view;
    struct store_usage usage;
    struct store_options o = {.path = *state, .readers_max = 3};
    assert_int_equal(store_open(&o, &store, text, sizeof text), STORE_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(store_reader_new(store, &readers[i]), STORE_OK);
        assert_int_equal(store_snapshot(readers[i], &view), STORE_OK);
    }
    for (int i = 0; i < 100; i++) {
        assert_int_equal(store_reader_new(store, &more), STORE_NO_READER);
        assert_int_equal(store_usage(store, &usage), STORE_OK);
        assert_int_equal(usage.readers, 3);
        assert_int_equal(usage.readers_max, 3);
    }
    store_reader_free(readers[0]);
    assert_int_equal(store_reader_new(store, &readers[0]), STORE_OK);
    for (int i = 0; i < 3; i++)
        store_reader_free(readers[i]);
    assert_int_equal(store_clear_stale_readers(store), 0);
    store_close(store);
}

static void usage_tells_how_far_the_oldest_reader_lags(void **state)
{
    struct store *store = open_with(*state, 0, 0);
    struct store_reader *reader;
    struct store_view *view;
    struct store_usage usage;
    put_one(store, "k", "0");
    assert_int_equal(store_reader_new(store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    for (int i = 0; i < 5; i++)
        put_one(store, "k", "v");
    assert_int_equal(store_usage(store, &usage), STORE_OK);
    assert_int_equal(usage.reader_lag_txns, 5);
    assert_true(usage.bytes_pinned > 0);
    store_release(reader);
    assert_int_equal(store_usage(store, &usage), STORE_OK);
    assert_int_equal(usage.reader_lag_txns, 0);
    assert_int_equal(usage.bytes_pinned, 0);
    assert_true(usage.bytes_used <= usage.bytes_file);
    store_reader_free(reader);
    store_close(store);
}

/* ---- full ---- */

static uint64_t journal_count(struct store *store)
{
    struct store_txn *txn = begin(store);
    uint64_t count = store_count(store_txn_view(txn), TABLE_JOURNAL);
    store_abort(txn);
    return count;
}

static void a_full_map_refuses_and_recovers_when_rows_go(void **state)
{
    struct store *store = open_with(*state, 1 << 20, 0);
    struct store_usage usage;
    uint32_t n = 0;
    assert_false(store_is_full(store));
    while (put_number(store, n, 10000) == STORE_OK)
        n++;
    assert_true(n > 20);
    assert_true(store_is_full(store));
    assert_int_equal(journal_count(store), n);
    assert_int_equal(put_number(store, n, 100000), STORE_FULL);
    assert_non_null(strstr(store_error_text(store), "MDB_MAP_FULL"));
    assert_int_equal(store_usage(store, &usage), STORE_OK);
    assert_true(store_is_full(store));
    for (uint32_t i = 0; i < n / 2; i++)
        del_number(store, i);
    assert_true(store_is_full(store));
    assert_int_equal(store_usage(store, &usage), STORE_OK);
    assert_false(store_is_full(store));
    assert_true(usage.bytes_used < usage.bytes_quota);
    for (uint32_t i = 0; i < n / 4; i++)
        assert_int_equal(put_number(store, n + i, 10000), STORE_OK);
    assert_int_equal(journal_count(store), n - n / 2 + n / 4);
    store_close(store);
    store = open_with(*state, 1 << 20, 0);
    assert_int_equal(journal_count(store), n - n / 2 + n / 4);
    store_close(store);
}

static void the_first_failure_of_a_transaction_sticks(void **state)
{
    struct store *store = open_with(*state, 1 << 20, 0);
    struct store_txn *txn = begin(store);
    struct slice value;
    uint8_t *room;
    assert_int_equal(store_put(txn, TABLE_APP, slice_str("k"), slice_str("v")), STORE_OK);
    assert_int_equal(store_put_reserve(txn, TABLE_APP, slice_str("big"), 8 << 20, false, &room),
                     STORE_FULL);
    assert_int_equal(store_put(txn, TABLE_APP, slice_str("l"), slice_str("v")), STORE_FULL);
    assert_int_equal(store_del(txn, TABLE_APP, slice_str("k")), STORE_FULL);
    assert_int_equal(store_get(store_txn_view(txn), TABLE_APP, slice_str("k"), &value), STORE_FULL);
    assert_int_equal(store_commit(txn), STORE_FULL);
    assert_false(store_holds(store, "k", "v"));
    put_one(store, "k", "w");
    assert_true(store_holds(store, "k", "w"));
    store_close(store);
}

static void the_quota_is_noticed_by_growth_and_by_counting(void **state)
{
    enum { QUOTA = 1 << 20 };
    struct store *store = open_with(*state, 16 << 20, QUOTA);
    struct store_usage usage;
    uint32_t n = 0;
    assert_int_equal(store_usage(store, &usage), STORE_OK);
    assert_int_equal(usage.bytes_quota, QUOTA);
    while (!store_is_full(store) && n < 2000)
        assert_int_equal(put_number(store, n++, 4000), STORE_OK);
    assert_true(n > 100 && n < 400);
    /* Growth is an estimate; and whoever trims still may write. */
    for (int i = 0; i < 20; i++)
        assert_int_equal(put_number(store, n++, 4000), STORE_OK);
    assert_int_equal(store_usage(store, &usage), STORE_OK);
    assert_true(store_is_full(store));
    store_close(store);
    store = open_with(*state, 16 << 20, QUOTA);
    assert_true(store_is_full(store));
    for (uint32_t i = 0; i < 60; i++)
        del_number(store, i);
    assert_int_equal(store_usage(store, &usage), STORE_OK);
    assert_false(store_is_full(store));
    /* The pages that became free are filled without growing the file. */
    while (!store_is_full(store) && n < 4000) {
        assert_int_equal(put_number(store, n++, 4000), STORE_OK);
        assert_int_equal(store_usage(store, &usage), STORE_OK);
    }
    assert_true(usage.bytes_used < QUOTA + QUOTA / 8);
    store_close(store);
}

/* ---- faults ---- */

static void a_full_disk_refuses_and_recovers(void **state)
{
    struct store *store = open_with(*state, 0, 0);
    struct store_usage usage;
    put_one(store, "k", "1");
    fault_arm(ENOSPC, 1, false);
    struct store_txn *txn = begin(store);
    assert_int_equal(store_put(txn, TABLE_APP, slice_str("k"), slice_str("2")), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_FULL);
    assert_true(store_is_full(store));
    fault_disk_left = 1000;
    assert_int_equal(store_usage(store, &usage), STORE_OK);
    assert_true(store_is_full(store));
    assert_true(store_holds(store, "k", "1"));
    fault_clear();
    assert_int_equal(store_usage(store, &usage), STORE_OK);
    assert_false(store_is_full(store));
    put_one(store, "k", "3");
    assert_true(store_holds(store, "k", "3"));
    store_close(store);
}

static void a_short_write_on_a_full_disk_is_not_a_broken_disk(void **state)
{
    struct store *store = open_with(*state, 0, 0);
    struct store_txn *txn = begin(store);
    uint8_t *room;
    assert_int_equal(store_put_reserve(txn, TABLE_APP, slice_str("k"), 20000, false, &room),
                     STORE_OK);
    memset(room, 1, 20000);
    fault_arm(0, 1, true);
    fault_disk_left = 4096;
    assert_int_equal(store_commit(txn), STORE_FULL);
    fault_clear();
    put_one(store, "k", "v");
    assert_true(store_holds(store, "k", "v"));
    store_close(store);
}

static void after_an_input_output_error_nothing_is_written_any_more(void **state)
{
    struct store *store = open_with(*state, 0, 0);
    struct store_txn *txn;
    put_one(store, "k", "1");
    txn = begin(store);
    assert_int_equal(store_put(txn, TABLE_APP, slice_str("k"), slice_str("2")), STORE_OK);
    fault_arm(EIO, 2, false); /* after the pages, their sync */
    assert_int_equal(store_commit(txn), STORE_IO);
    fault_clear();
    assert_int_equal(store_begin(store, &txn), STORE_IO);
    assert_true(store_holds(store, "k", "1"));
    store_close(store);
    store = open_with(*state, 0, 0);
    assert_true(store_holds(store, "k", "1"));
    put_one(store, "k", "3");
    store_close(store);
}

/* Fails the first, the second, … call of a commit until one goes through. What the disk then holds
 * is seen by opening it again: when the meta page could not be written, LMDB ends readers, too. */
static void fail_each_call(const char *dir, int error, enum store_rc expected)
{
    unsigned calls = 0;
    for (int at = 1; calls == 0; at++) {
        struct store *store = open_with(dir, 0, 0);
        struct store_txn *txn = begin(store);
        assert_int_equal(store_put(txn, TABLE_APP, slice_str("k"), slice_str("new")), STORE_OK);
        fault_arm(error, at, false);
        enum store_rc rc = store_commit(txn);
        if (rc == STORE_OK)
            calls = fault_calls;
        fault_clear();
        assert_true(rc == STORE_OK ? at > 2 : rc == expected || rc == STORE_IO);
        store_close(store);
        store = open_with(dir, 0, 0);
        assert_true(store_holds(store, "k", rc == STORE_OK ? "new" : "old"));
        store_close(store);
        assert_true(at < 100);
    }
}

static void a_commit_that_failed_anywhere_changed_nothing(void **state)
{
    struct store *store = open_with(*state, 0, 0);
    put_one(store, "k", "old");
    store_close(store);
    fail_each_call(*state, EIO, STORE_IO);
    store = open_with(*state, 0, 0);
    put_one(store, "k", "old");
    store_close(store);
    fail_each_call(*state, ENOSPC, STORE_FULL);
}

/* ---- backup ---- */

/* Backs up five times while the main thread writes. */
static void *back_up_often(void *ctx)
{
    struct watching *w = ctx;
    char path[4096], text[4200] = "";
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof path, "%s/backup%d", w->dir, i);
        if (store_backup(w->store, path, text, sizeof text) != STORE_OK)
            atomic_fetch_add(&w->faults, 1);
    }
    atomic_store(&w->stop, true);
    return NULL;
}

static void a_backup_under_way_is_one_moment_of_the_store(void **state)
{
    pthread_t thread;
    char path[4096];
    struct watching w = {.dir = *state};
    uint32_t round = 0, last = 0;
    (void)snprintf(path, sizeof path, "%s/live", (char *)*state);
    w.store = open_with(path, 0, 0);
    write_round(w.store, 0);
    assert_int_equal(pthread_create(&thread, NULL, back_up_often, &w), 0);
    while (!atomic_load(&w.stop))
        write_round(w.store, ++round);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&w.faults), 0);
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof path, "%s/backup%d", (char *)*state, i);
        struct store *copy = open_with(path, 0, 0);
        assert_memory_equal(store_epoch(copy), store_epoch(w.store), 16);
        struct store_txn *txn = begin(copy);
        uint32_t copied = round_in(store_txn_view(txn));
        assert_true(copied >= last && copied <= round);
        last = copied;
        store_abort(txn);
        write_round(copy, copied + 1); /* it is a store like any other */
        store_close(copy);
    }
    store_close(w.store);
}

static void a_backup_takes_no_name_that_is_taken(void **state)
{
    char live[4096], path[4096], file[4200], text[4200] = "";
    struct stat st;
    (void)snprintf(live, sizeof live, "%s/live", (char *)*state);
    (void)snprintf(path, sizeof path, "%s/copy", (char *)*state);
    struct store *store = open_with(live, 0, 0);
    put_one(store, "k", "v");
    /* What an earlier attempt left behind is in nobody's way. */
    (void)snprintf(file, sizeof file, "%s.part", path);
    assert_int_equal(mkdir(file, 0700), 0);
    write_file(file, "data.mdb", (const uint8_t *)"half", 4);
    assert_int_equal(store_backup(store, path, text, sizeof text), STORE_OK);
    assert_int_equal(stat(file, &st), -1);
    (void)snprintf(file, sizeof file, "%s/data.mdb", path);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(store_backup(store, path, text, sizeof text), STORE_EXISTS);
    assert_non_null(strstr(text, path));
    (void)snprintf(path, sizeof path, "%s/no/such", (char *)*state);
    assert_int_equal(store_backup(store, path, text, sizeof text), STORE_INVALID);
    store_close(store);
}

int main(void)
{
    fault_clear();
    const struct CMUnitTest tests[] = {
        scratch_test(tables_are_what_a_naive_model_says),
        scratch_test(a_value_may_have_more_pages_than_it_needs),
        scratch_test(appending_wants_a_key_past_all_others),
        scratch_test(keys_are_of_1_to_511_bytes),
        scratch_test(the_epoch_is_the_one_of_the_first_start),
        scratch_test(only_the_owner_may_read_what_is_made),
        scratch_test(a_second_hub_is_refused),
        scratch_test(a_folder_that_cannot_be_made_is_named),
        scratch_test(another_format_is_refused),
        scratch_test(a_snapshot_never_shows_half_a_transaction),
        scratch_test(a_snapshot_stays_until_it_is_renewed),
        scratch_test(readers_beyond_their_number_are_refused),
        scratch_test(usage_tells_how_far_the_oldest_reader_lags),
        scratch_test(a_full_map_refuses_and_recovers_when_rows_go),
        scratch_test(the_first_failure_of_a_transaction_sticks),
        scratch_test(the_quota_is_noticed_by_growth_and_by_counting),
        scratch_test(a_full_disk_refuses_and_recovers),
        scratch_test(a_short_write_on_a_full_disk_is_not_a_broken_disk),
        scratch_test(after_an_input_output_error_nothing_is_written_any_more),
        scratch_test(a_commit_that_failed_anywhere_changed_nothing),
        scratch_test(a_backup_under_way_is_one_moment_of_the_store),
        scratch_test(a_backup_takes_no_name_that_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
