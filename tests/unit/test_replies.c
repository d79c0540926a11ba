#include "tests/unit/scratch.h"

#include "store/replies.h"

struct fixture {
    const char *dir;
    struct replies_options options;
    struct store *store;
    struct replies *replies;
    struct store_txn *txn;
};

static void open_all(struct fixture *f)
{
    char text[256] = "";
    struct store_options o = {.path = f->dir, .fresh_epoch = {1, [15] = 2}};
    if (store_open(&o, &f->store, text, sizeof text) != STORE_OK)
        fail_msg("%s", text);
    assert_int_equal(replies_open(f->store, &f->options, &f->replies), STORE_OK);
}

static void close_all(struct fixture *f)
{
    replies_close(f->replies);
    store_close(f->store);
}

static void begin(struct fixture *f)
{
    assert_int_equal(store_begin(f->store, &f->txn), STORE_OK);
    replies_begin(f->replies, f->txn);
}

static void end(struct fixture *f, bool committed)
{
    if (committed)
        assert_int_equal(store_commit(f->txn), STORE_OK);
    else
        store_abort(f->txn);
    replies_end(f->replies, committed);
}

/* The answer to request n: everything in it follows from n. */
static struct reply_row row_of(uint32_t n, int64_t time_ms, uint8_t body[64])
{
    struct reply_row row = {.time_ms = time_ms, .status = (uint16_t)(200 + n % 300)};
    be32_put(row.key_hash, n);
    be32_put(row.request_hash + 12, ~n);
    memset(body, (int)(n & 0xff), 64);
    row.body = slice_of(body, n % 65);
    return row;
}

static enum store_rc add(struct fixture *f, uint32_t n, int64_t time_ms)
{
    uint8_t body[64];
    struct reply_row row = row_of(n, time_ms, body);
    return replies_add(f->replies, &row);
}

static enum store_rc find(struct fixture *f, uint32_t n, int64_t now_ms, struct reply_row *out)
{
    uint8_t body[64];
    struct reply_row row = row_of(n, 0, body);
    return replies_find(f->replies, row.key_hash, now_ms, out);
}

static bool has(struct fixture *f, uint32_t n, int64_t now_ms)
{
    uint8_t body[64];
    struct reply_row found;
    enum store_rc rc = find(f, n, now_ms, &found);
    if (rc == STORE_NOT_FOUND)
        return false;
    assert_int_equal(rc, STORE_OK);
    struct reply_row row = row_of(n, found.time_ms, body);
    assert_memory_equal(found.key_hash, row.key_hash, 16);
    assert_memory_equal(found.request_hash, row.request_hash, 16);
    assert_int_equal(found.status, row.status);
    assert_true(slice_equal(found.body, row.body));
    return true;
}

static uint64_t rows_in(struct fixture *f)
{
    struct replies_stats stats;
    replies_stats(f->replies, &stats);
    return stats.rows;
}

static void an_answer_is_found_until_its_window_ends(void **state)
{
    struct fixture f = {.dir = *state, .options = {.window_ms = 100}};
    open_all(&f);
    begin(&f);
    assert_false(has(&f, 1, 1000));
    assert_int_equal(add(&f, 1, 1000), STORE_OK);
    assert_true(has(&f, 1, 1000));
    assert_int_equal(add(&f, 1, 1099), STORE_EXISTS);
    end(&f, true);
    begin(&f);
    assert_true(has(&f, 1, 1099));
    assert_false(has(&f, 1, 1100));
    /* Its place is free for another answer, before anyone has tidied up. */
    assert_int_equal(add(&f, 1, 1100), STORE_OK);
    assert_true(has(&f, 1, 1199));
    assert_int_equal(rows_in(&f), 2);
    end(&f, true);
    close_all(&f);
    open_all(&f);
    begin(&f);
    assert_true(has(&f, 1, 1199));
    assert_int_equal(rows_in(&f), 2);
    assert_false(replies_tend(f.replies, 1150));
    assert_int_equal(rows_in(&f), 1);
    assert_true(has(&f, 1, 1199));
    end(&f, true);
    close_all(&f);
}

static void the_oldest_goes_when_there_are_too_many(void **state)
{
    struct fixture f = {.dir = *state, .options = {.replies_max = 10}};
    open_all(&f);
    for (uint32_t n = 0; n < 100; n++) {
        begin(&f);
        assert_int_equal(add(&f, n, 1000), STORE_OK);
        assert_int_equal(rows_in(&f), n < 10 ? n + 1 : 10);
        assert_true(has(&f, n, 1000));
        if (n >= 10) {
            assert_true(has(&f, n - 9, 1000));
            assert_false(has(&f, n - 10, 1000));
        }
        end(&f, true);
    }
    close_all(&f);
    f.options.replies_max = 4; /* a smaller bound takes hold when it is tidied up */
    open_all(&f);
    begin(&f);
    assert_int_equal(rows_in(&f), 10);
    assert_false(replies_tend(f.replies, 1000));
    assert_int_equal(rows_in(&f), 4);
    assert_int_equal(store_count(store_txn_view(f.txn), TABLE_REPLY), 4);
    end(&f, true);
    close_all(&f);
}

static void tidying_up_goes_in_steps(void **state)
{
    struct fixture f = {.dir = *state, .options = {.window_ms = 100}};
    open_all(&f);
    begin(&f);
    for (uint32_t n = 0; n < 2500; n++)
        assert_int_equal(add(&f, n, n < 2400 ? 0 : 50), STORE_OK);
    end(&f, true);
    begin(&f);
    assert_true(replies_tend(f.replies, 120));
    assert_int_equal(rows_in(&f), 1500);
    assert_true(replies_tend(f.replies, 120));
    assert_false(replies_tend(f.replies, 120));
    assert_int_equal(rows_in(&f), 100);
    assert_false(replies_tend(f.replies, 120));
    end(&f, true);
    begin(&f);
    assert_false(replies_tend(f.replies, 150));
    assert_int_equal(rows_in(&f), 0);
    end(&f, true);
    close_all(&f);
    open_all(&f);
    begin(&f);
    assert_int_equal(add(&f, 7, 200), STORE_OK);
    assert_true(has(&f, 7, 200));
    end(&f, true);
    close_all(&f);
}

static void a_damaged_answer_is_never_given_out(void **state)
{
    struct fixture f = {.dir = *state};
    struct store_cursor *cursor;
    struct slice key, value;
    struct reply_row row;
    uint8_t bytes[256];
    open_all(&f);
    begin(&f);
    assert_int_equal(add(&f, 1, 1000), STORE_OK);
    assert_int_equal(add(&f, 2, 1000), STORE_OK);
    assert_int_equal(store_cursor_open(store_txn_view(f.txn), TABLE_REPLY, &cursor), STORE_OK);
    assert_int_equal(store_cursor_next(cursor, &key, &value), STORE_OK);
    store_cursor_close(cursor);
    size_t n = value.n;
    memcpy(bytes, value.p, n);
    bytes[n - 1] ^= 1;
    uint8_t first[8];
    memcpy(first, key.p, 8);
    assert_int_equal(store_put(f.txn, TABLE_REPLY, slice_of(first, 8), slice_of(bytes, n)),
                     STORE_OK);
    assert_int_equal(find(&f, 1, 1000, &row), STORE_DAMAGED);
    assert_int_equal(add(&f, 1, 1000), STORE_DAMAGED);
    assert_true(has(&f, 2, 1000));
    end(&f, true);
    close_all(&f);
    open_all(&f);
    struct replies_stats stats;
    replies_stats(f.replies, &stats);
    assert_int_equal(stats.damaged, 1);
    assert_int_equal(stats.rows, 2);
    begin(&f);
    assert_int_equal(find(&f, 1, 1000, &row), STORE_NOT_FOUND);
    assert_true(has(&f, 2, 1000));
    assert_false(replies_tend(f.replies, 1000));
    assert_int_equal(rows_in(&f), 1);
    end(&f, true);
    close_all(&f);
}

/* ---- against a naive model ---- */

enum { MODEL_KEYS = 3000, WINDOW_MS = 40, REPLIES_MAX = 1500, TICKS = 300 };

/* Rows in the order they were added; those before `front` are gone. */
struct model {
    struct {
        uint32_t n;
        int64_t time_ms;
    } rows[TICKS * 100];
    size_t front, end;
};

static bool model_has(const struct model *m, uint32_t n, int64_t now_ms)
{
    for (size_t i = m->end; i > m->front; i--)
        if (m->rows[i - 1].n == n)
            return now_ms - m->rows[i - 1].time_ms < WINDOW_MS;
    return false;
}

static void model_tend(struct model *m, int64_t now_ms)
{
    for (int i = 0; i < 1000 && m->front < m->end; i++) {
        if (now_ms - m->rows[m->front].time_ms < WINDOW_MS)
            break;
        m->front++;
    }
}

static void random_step(struct fixture *f, struct model *m, uint64_t *seed, int64_t now_ms)
{
    uint32_t n = (uint32_t)(scratch_random(seed) % MODEL_KEYS);
    bool known = model_has(m, n, now_ms);
    assert_int_equal(has(f, n, now_ms), known);
    if (scratch_random(seed) % 4 == 0)
        return;
    assert_int_equal(add(f, n, now_ms), known ? STORE_EXISTS : STORE_OK);
    if (known)
        return;
    m->rows[m->end].n = n;
    m->rows[m->end++].time_ms = now_ms;
    if (m->end - m->front > REPLIES_MAX)
        m->front++;
}

static void replies_are_what_a_naive_model_says(void **state)
{
    static struct model m;
    uint64_t seed = scratch_seed();
    struct fixture f = {.dir = *state,
                        .options = {.window_ms = WINDOW_MS, .replies_max = REPLIES_MAX}};
    open_all(&f);
    for (int64_t now_ms = 1000; now_ms < 1000 + TICKS; now_ms++) {
        size_t front = m.front, rows_end = m.end;
        begin(&f);
        for (uint64_t i = scratch_random(&seed) % 100; i > 0; i--)
            random_step(&f, &m, &seed, now_ms);
        if (scratch_random(&seed) % 4 == 0) {
            (void)replies_tend(f.replies, now_ms);
            model_tend(&m, now_ms);
        }
        bool committed = scratch_random(&seed) % 3 != 0;
        end(&f, committed);
        if (!committed) {
            m.front = front;
            m.end = rows_end;
        }
        assert_int_equal(rows_in(&f), m.end - m.front);
        if (scratch_random(&seed) % 40 == 0) {
            close_all(&f);
            open_all(&f);
        }
    }
    begin(&f);
    for (uint32_t n = 0; n < MODEL_KEYS; n++)
        assert_int_equal(has(&f, n, 1000 + TICKS), model_has(&m, n, 1000 + TICKS));
    end(&f, false);
    close_all(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(an_answer_is_found_until_its_window_ends),
        scratch_test(the_oldest_goes_when_there_are_too_many),
        scratch_test(tidying_up_goes_in_steps),
        scratch_test(a_damaged_answer_is_never_given_out),
        scratch_test(replies_are_what_a_naive_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
