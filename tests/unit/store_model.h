/* tests/unit/store_model.h: tables of a store against a naive model of them. */
#ifndef WAGGLE_TESTS_STORE_MODEL_H
#define WAGGLE_TESTS_STORE_MODEL_H

#include "tests/unit/store_fixture.h"

enum { MODEL_TABLES = 7, MODEL_KEYS = 300, KEY_N = 40 };

struct cell {
    bool there;
    uint8_t seed;
    size_t n;
};

struct model {
    struct cell cells[MODEL_TABLES][MODEL_KEYS];
    bool had[MODEL_TABLES][MODEL_KEYS]; /* at one time or another */
};

/* Two that are written into their trees at once; the others wait for the commit (pending.c), of
 * which TABLE_TASK has a checksum of the store's. */
static const enum store_table model_tables[MODEL_TABLES] = {
    TABLE_APP, TABLE_TIMER, TABLE_AGENT, TABLE_TASK, TABLE_CHANNEL, TABLE_REPLY, TABLE_BLOCK};

/* Keys of many lengths whose order is that of their number. */
static struct slice model_key(uint8_t p[KEY_N], size_t number)
{
    memset(p, 'k', KEY_N);
    be16_put(p, (uint16_t)number);
    return slice_of(p, 2 + number * 7 % (KEY_N - 1));
}

static size_t model_number(struct slice key)
{
    uint8_t p[KEY_N];
    assert_true(key.n >= 2);
    size_t number = be16_get(key.p);
    assert_true(number < MODEL_KEYS);
    assert_true(slice_equal(key, model_key(p, number)));
    return number;
}

static void cell_fill(uint8_t *p, struct cell cell)
{
    for (size_t i = 0; i < cell.n; i++)
        p[i] = (uint8_t)(cell.seed + i * 31);
}

static void assert_cell(struct slice value, struct cell cell)
{
    static uint8_t bytes[9000];
    assert_true(cell.there);
    assert_int_equal(value.n, cell.n);
    cell_fill(bytes, cell);
    assert_memory_equal(value.p, bytes, cell.n);
}

static struct cell random_cell(uint64_t *seed)
{
    uint64_t r = scratch_random(seed);
    size_t n = r % 8 == 0 ? (r >> 8) % 9000 : (r >> 8) % 200;
    return (struct cell){.there = true, .seed = (uint8_t)(r >> 40), .n = n};
}

static void random_write(struct store_txn *txn, struct model *model, size_t t, uint64_t *seed)
{
    static uint8_t bytes[9000];
    uint8_t key_bytes[KEY_N], *room;
    size_t k = scratch_random(seed) % MODEL_KEYS;
    struct slice key = model_key(key_bytes, k);
    struct cell *cell = &model->cells[t][k], next = random_cell(seed);
    bool is_new = !model->had[t][k];
    enum store_rc rc;
    cell_fill(bytes, next);
    switch (scratch_random(seed) % 6) {
    case 0:
        rc = (is_new ? store_put_new : store_put)(txn, model_tables[t], key,
                                                  slice_of(bytes, next.n));
        assert_int_equal(rc, STORE_OK);
        *cell = next;
        model->had[t][k] = true;
        break;
    case 1:
        rc = store_insert(txn, model_tables[t], key, slice_of(bytes, next.n));
        assert_int_equal(rc, cell->there ? STORE_EXISTS : STORE_OK);
        if (!cell->there)
            *cell = next;
        model->had[t][k] = true;
        break;
    case 2:
        rc = store_put_reserve(txn, model_tables[t], key, next.n, false, &room);
        assert_int_equal(rc, STORE_OK);
        cell_fill(room, next);
        *cell = next;
        model->had[t][k] = true;
        break;
    case 3:
        assert_int_equal(store_del_blind(txn, model_tables[t], key), STORE_OK);
        cell->there = false;
        break;
    default:
        rc = store_del(txn, model_tables[t], key);
        assert_int_equal(rc, cell->there ? STORE_OK : STORE_NOT_FOUND);
        cell->there = false;
    }
}

/* The number of the next cell that is there from `from` on (step 1 or -1); -1: none. */
static int model_find(const struct model *model, size_t t, int from, int step)
{
    for (int k = from; k >= 0 && k < MODEL_KEYS; k += step)
        if (model->cells[t][k].there)
            return k;
    return -1;
}

static void assert_stands_on(enum store_rc rc, struct slice key, struct slice value,
                             const struct model *model, size_t t, int expected)
{
    assert_int_equal(rc, expected < 0 ? STORE_NOT_FOUND : STORE_OK);
    if (expected < 0)
        return;
    assert_int_equal(model_number(key), expected);
    assert_cell(value, model->cells[t][expected]);
}

/* A walk there and back over random ground, deleting on the way. */
static void random_walk(struct store_txn *txn, struct model *model, uint64_t *seed)
{
    struct store_cursor *cursor;
    struct slice key, value;
    uint8_t bytes[KEY_N];
    size_t t = scratch_random(seed) % MODEL_TABLES;
    int start = (int)(scratch_random(seed) % MODEL_KEYS), at;
    assert_int_equal(store_cursor_open(store_txn_view(txn), model_tables[t], &cursor), STORE_OK);
    assert_int_equal(store_cursor_del(cursor), STORE_NOT_FOUND);
    enum store_rc rc = store_cursor_seek(cursor, model_key(bytes, (size_t)start), &key, &value);
    at = model_find(model, t, start, 1);
    assert_stands_on(rc, key, value, model, t, at);
    for (int steps = 0; rc == STORE_OK && steps < 60; steps++) {
        uint64_t r = scratch_random(seed);
        if (r % 4 == 0) {
            assert_int_equal(store_cursor_del(cursor), STORE_OK);
            assert_int_equal(store_cursor_del(cursor), STORE_NOT_FOUND);
            model->cells[t][at].there = false;
        }
        int step = (r >> 8) % 8 < 6 ? 1 : -1;
        rc = step > 0 ? store_cursor_next(cursor, &key, &value)
                      : store_cursor_prev(cursor, &key, &value);
        at = model_find(model, t, at + step, step);
        assert_stands_on(rc, key, value, model, t, at);
    }
    store_cursor_close(cursor);
}

static void assert_table(struct store_view *view, const struct model *model, size_t t)
{
    struct store_cursor *cursor;
    struct slice key, value;
    uint8_t bytes[KEY_N];
    uint64_t count = 0;
    assert_int_equal(store_cursor_open(view, model_tables[t], &cursor), STORE_OK);
    enum store_rc rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    int at = model_find(model, t, 0, 1);
    for (; rc == STORE_OK; count++) {
        assert_stands_on(rc, key, value, model, t, at);
        rc = store_cursor_next(cursor, &key, &value);
        at = model_find(model, t, at + 1, 1);
    }
    assert_stands_on(rc, key, value, model, t, at);
    assert_int_equal(store_count(view, model_tables[t]), count);
    rc = store_cursor_last(cursor, &key, &value);
    assert_stands_on(rc, key, value, model, t, model_find(model, t, MODEL_KEYS - 1, -1));
    store_cursor_close(cursor);
    for (size_t k = 0; k < MODEL_KEYS; k++) {
        rc = store_get(view, model_tables[t], model_key(bytes, k), &value);
        assert_int_equal(rc, model->cells[t][k].there ? STORE_OK : STORE_NOT_FOUND);
        if (rc == STORE_OK)
            assert_cell(value, model->cells[t][k]);
    }
}

static void assert_model(struct store *store, const struct model *model)
{
    struct store_reader *reader;
    struct store_view *view;
    assert_int_equal(store_reader_new(store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    for (size_t t = 0; t < MODEL_TABLES; t++)
        assert_table(view, model, t);
    store_release(reader);
    store_reader_free(reader);
}

#endif
