#include "tests/unit/log_fixture.h"

#include "store/log_parts.h"

enum { MODEL_KEYS = 300, MODEL_STEPS = 40000, WINDOW_MS = 1000 };

/* ---- the table alone ---- */

struct entry {
    uint32_t key;
    int64_t time_ms;
};

struct model {
    struct entry *entries; /* in order; the table numbers them by offset */
    size_t front, back;
};

static void hash_of(uint8_t hash[LOG_KEY_HASH_BYTES], uint32_t key)
{
    memset(hash, 0, LOG_KEY_HASH_BYTES);
    be32_put(hash + 5, key);
}

static size_t model_find(const struct model *m, uint32_t key, int64_t now_ms)
{
    for (size_t i = m->back; i > m->front; i--)
        if (m->entries[i - 1].key == key && m->entries[i - 1].time_ms > now_ms - WINDOW_MS)
            return i;
    return 0;
}

static void compare_all(const struct keys *keys, const struct model *m, int64_t now_ms)
{
    assert_int_equal(keys_count(keys), m->back - m->front);
    assert_int_equal(keys_oldest_seq(keys), m->front < m->back ? 2 * (m->front + 1) : UINT64_MAX);
    for (uint32_t key = 0; key < MODEL_KEYS; key++) {
        uint8_t hash[LOG_KEY_HASH_BYTES];
        uint64_t offset = 0, seq = 0;
        size_t expected = model_find(m, key, now_ms);
        hash_of(hash, key);
        assert_int_equal(keys_find(keys, hash, now_ms, &offset, &seq), expected != 0);
        assert_int_equal(offset, expected);
        assert_int_equal(seq, 2 * expected);
    }
}

static void the_table_is_what_a_naive_model_says(void **state)
{
    (void)state;
    uint64_t seed = scratch_seed();
    struct model m = {.entries = calloc(MODEL_STEPS, sizeof(struct entry))};
    struct keys *keys = keys_new(seed, WINDOW_MS, 9000);
    int64_t now_ms = 5000;
    size_t batch = 0; /* keys of the batch under way */
    for (int step = 0; step < MODEL_STEPS; step++) {
        uint64_t dice = scratch_random(&seed) % 100;
        now_ms += step % 10000 < 9500 ? 0 : (int64_t)(dice % 5);
        if (dice < 80) {
            uint8_t hash[LOG_KEY_HASH_BYTES];
            /* Most keys are new ones, beyond those that are looked for. */
            uint32_t key = (uint32_t)(dice < 20 ? scratch_random(&seed) % MODEL_KEYS
                                                : (uint64_t)(MODEL_KEYS + step));
            if (model_find(&m, key, now_ms))
                continue;
            hash_of(hash, key);
            m.entries[m.back++] = (struct entry){key, now_ms};
            keys_add(keys, hash, now_ms, m.back, 2 * m.back);
            batch++;
        } else if (dice < 85) {
            m.back -= batch;
            keys_drop_newest(keys, batch);
            batch = 0;
        } else if (dice < 95) {
            size_t most = scratch_random(&seed) % 300, gone = 0;
            batch = 0;
            while (m.front < m.back && gone < most &&
                   (m.back - m.front > 9000 || m.entries[m.front].time_ms <= now_ms - WINDOW_MS))
                m.front++, gone++;
            (void)keys_expire(keys, now_ms, most);
        }
        if (step % 1000 == 0)
            compare_all(keys, &m, now_ms);
    }
    compare_all(keys, &m, now_ms);
    keys_free(keys);
    free(m.entries);
}

static void keys_loaded_at_start_are_the_newest_that_fit(void **state)
{
    (void)state;
    struct keys *keys = keys_new(7, WINDOW_MS, 10000);
    uint8_t hash[LOG_KEY_HASH_BYTES];
    uint64_t offset, seq;
    for (uint32_t key = 1; key <= 25000; key++) {
        hash_of(hash, key);
        keys_load(keys, hash, 5000, key, key);
    }
    keys_loaded(keys);
    assert_int_equal(keys_count(keys), 10000);
    for (uint32_t key = 1; key <= 25000; key++) {
        hash_of(hash, key);
        assert_int_equal(keys_find(keys, hash, 5001, &offset, &seq), key > 15000);
    }
    keys_free(keys);
}

/* ---- in the log ---- */

static void fill(struct fixture *f, uint64_t channel, int n, int64_t now_ms)
{
    begin(f);
    for (int i = 0; i < n; i++) {
        struct log_appended out;
        assert_int_equal(try_append(f, channel, 1, 10, now_ms, &out), STORE_OK);
    }
    (void)log_tend(f->log, now_ms);
    end(f, true);
}

static void a_key_is_seen_again_in_its_window_and_not_after(void **state)
{
    struct fixture f = {.dir = *state, .options = {.key_window_ms = WINDOW_MS}};
    fixture_open(&f);
    begin(&f);
    uint64_t a = channel_named(&f, "a"), offset = 0;
    struct log_appended first = append_keyed(&f, a, "x", 1, 10000);
    struct log_appended again = append_keyed(&f, a, "y", 1, 10000 + WINDOW_MS - 1);
    assert_true(again.repeated);
    assert_int_equal(again.offset, first.offset);
    assert_int_equal(again.seq, first.seq);
    uint8_t hash[LOG_KEY_HASH_BYTES] = {0, 0, 0, 1};
    assert_true(log_key_find(f.log, hash, 10999, &offset));
    assert_int_equal(offset, first.offset);
    assert_false(log_key_find(f.log, hash, 11000, &offset));
    struct log_appended later = append_keyed(&f, a, "z", 1, 10000 + WINDOW_MS);
    assert_false(later.repeated);
    assert_int_equal(later.offset, 2);
    again = append_keyed(&f, a, "z", 1, 10000 + WINDOW_MS + 1);
    assert_int_equal(again.offset, 2);
    assert_true(log_key_find(f.log, hash, 11001, &offset));
    assert_int_equal(offset, 2);
    end(&f, true);
    fixture_close(&f);
}

static void the_journal_keeps_what_the_window_needs_and_no_more(void **state)
{
    struct fixture f = {.dir = *state,
                        .options = {.key_window_ms = WINDOW_MS, .journal_records_min = 50}};
    struct log_stats stats;
    fixture_open(&f);
    begin(&f);
    uint64_t a = channel_named(&f, "a");
    end(&f, true);
    fill(&f, a, 300, 10000);
    begin(&f);
    append_keyed(&f, a, "x", 1, 10000);
    end(&f, true);
    for (int i = 0; i < 20; i++)
        fill(&f, a, 300, 10000 + WINDOW_MS - 1);
    log_stats(f.log, &stats);
    assert_true(stats.journal_first_seq <= 301);
    assert_true(stats.journal_first_seq > 250);
    fixture_close(&f); /* what died with the process comes back from the journal */
    fixture_open(&f);
    begin(&f);
    assert_int_equal(append_keyed(&f, a, "y", 1, 10000 + WINDOW_MS - 1).offset, 301);
    end(&f, true);
    for (int i = 0; i < 20; i++)
        fill(&f, a, 10, 10000 + WINDOW_MS);
    log_stats(f.log, &stats);
    assert_int_equal(stats.keys, 0);
    assert_true(stats.journal_records < 70);
    fixture_close(&f);
}

static void a_clock_set_back_does_not_keep_keys_for_ever(void **state)
{
    struct fixture f = {.dir = *state, .options = {.key_window_ms = WINDOW_MS}};
    struct log_stats stats;
    fixture_open(&f);
    begin(&f);
    uint64_t a = channel_named(&f, "a");
    append_keyed(&f, a, "x", 1, 1000000);
    assert_true(append_keyed(&f, a, "x", 1, 1000000 - WINDOW_MS).repeated);
    assert_false(append_keyed(&f, a, "x", 1, 5000).repeated);
    (void)log_tend(f.log, 5000);
    end(&f, true);
    log_stats(f.log, &stats);
    assert_int_equal(stats.keys, 1);
    fixture_close(&f);
}

static void more_keys_than_allowed_push_out_the_oldest(void **state)
{
    struct fixture f = {.dir = *state, .options = {.keys_max = 100}};
    struct log_stats stats;
    fixture_open(&f);
    begin(&f);
    uint64_t a = channel_named(&f, "a");
    for (uint32_t key = 1; key <= 150; key++)
        append_keyed(&f, a, "x", key, 10000);
    end(&f, true);
    log_stats(f.log, &stats);
    assert_int_equal(stats.keys, 100);
    begin(&f);
    assert_true(append_keyed(&f, a, "x", 51, 10000).repeated);
    assert_false(append_keyed(&f, a, "x", 50, 10000).repeated);
    end(&f, false);
    fixture_close(&f);
    fixture_open(&f);
    begin(&f);
    assert_true(append_keyed(&f, a, "x", 51, 10000).repeated);
    assert_false(append_keyed(&f, a, "x", 50, 10000).repeated);
    end(&f, false);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_is_what_a_naive_model_says),
        cmocka_unit_test(keys_loaded_at_start_are_the_newest_that_fit),
        scratch_test(a_key_is_seen_again_in_its_window_and_not_after),
        scratch_test(the_journal_keeps_what_the_window_needs_and_no_more),
        scratch_test(a_clock_set_back_does_not_keep_keys_for_ever),
        scratch_test(more_keys_than_allowed_push_out_the_oldest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
