/* tests/unit/store_fixture.h: a store in a folder of the test's own, and the few things that most
 * tests of it do. */
#ifndef WAGGLE_TESTS_STORE_FIXTURE_H
#define WAGGLE_TESTS_STORE_FIXTURE_H

#include "tests/unit/scratch.h"

#include <fcntl.h>

#include "store/store.h"

static inline struct store *open_with(const char *dir, size_t map_bytes, size_t quota_bytes)
{
    char text[256] = "";
    struct store *store = NULL;
    struct store_options o = {.path = dir,
                              .map_bytes = map_bytes,
                              .quota_bytes = quota_bytes,
                              .fresh_epoch = {1, 2, 3, 4}};
    if (store_open(&o, &store, text, sizeof text) != STORE_OK)
        fail_msg("%s", text);
    return store;
}

static inline enum store_rc open_rc(const char *dir, char *text, size_t text_n)
{
    struct store *store = NULL;
    struct store_options o = {.path = dir};
    enum store_rc rc = store_open(&o, &store, text, text_n);
    store_close(store);
    return rc;
}

static inline struct store_txn *begin(struct store *store)
{
    struct store_txn *txn;
    assert_int_equal(store_begin(store, &txn), STORE_OK);
    return txn;
}

static inline void put_one(struct store *store, const char *key, const char *value)
{
    struct store_txn *txn = begin(store);
    assert_int_equal(store_put(txn, TABLE_APP, slice_str(key), slice_str(value)), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
}

static inline bool holds(struct store_view *view, const char *key, const char *value)
{
    struct slice found;
    return store_get(view, TABLE_APP, slice_str(key), &found) == STORE_OK && slice_is(found, value);
}

static inline bool store_holds(struct store *store, const char *key, const char *value)
{
    struct store_reader *reader;
    struct store_view *view;
    assert_int_equal(store_reader_new(store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    bool found = holds(view, key, value);
    store_release(reader);
    store_reader_free(reader);
    return found;
}

static inline enum store_rc put_number(struct store *store, uint32_t number, size_t n)
{
    uint8_t key[4], *room;
    struct store_txn *txn = begin(store);
    be32_put(key, number);
    enum store_rc rc = store_put_reserve(txn, TABLE_JOURNAL, slice_of(key, 4), n, true, &room);
    if (rc == STORE_OK)
        memset(room, 1, n);
    /* What failed stays failed. */
    enum store_rc commit_rc = store_commit(txn);
    assert_int_equal(commit_rc, rc == STORE_OK ? commit_rc : rc);
    return commit_rc;
}

static inline void del_number(struct store *store, uint32_t number)
{
    uint8_t key[4];
    struct store_txn *txn = begin(store);
    be32_put(key, number);
    assert_int_equal(store_del(txn, TABLE_JOURNAL, slice_of(key, 4)), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
}

static inline void write_file(const char *dir, const char *name, const uint8_t *p, size_t n)
{
    char path[8300];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, p, n), n);
    close(fd);
}

#endif
