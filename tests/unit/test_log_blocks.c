/* Blocks, damage, a full store, and readers beside the writer. */
#include "tests/unit/log_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "store/log_parts.h"

/* ---- rows behind the log's back ---- */

static void row_set(struct fixture *f, enum store_table table, struct slice key, struct slice value)
{
    struct store_txn *txn;
    assert_int_equal(store_begin(f->store, &txn), STORE_OK);
    if (value.p)
        assert_int_equal(store_put(txn, table, key, value), STORE_OK);
    else
        assert_int_equal(store_del(txn, table, key), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
}

static struct slice row_copy(struct fixture *f, enum store_table table, struct slice key)
{
    struct store_view *view;
    struct slice value;
    assert_int_equal(store_snapshot(f->reader, &view), STORE_OK);
    assert_int_equal(store_get(view, table, key, &value), STORE_OK);
    uint8_t *p = malloc(value.n + 1);
    assert_non_null(p);
    memcpy(p, value.p, value.n);
    store_release(f->reader);
    return slice_of(p, value.n);
}

static void row_flip(struct fixture *f, enum store_table table, struct slice key,
                     struct slice value, size_t bit)
{
    uint8_t *p = malloc(value.n);
    assert_non_null(p);
    memcpy(p, value.p, value.n);
    p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    row_set(f, table, key, slice_of(p, value.n));
    free(p);
}

/* ---- reading all of a channel, with its damage ---- */

struct seen {
    uint64_t given, damaged;              /* records, offsets */
    uint64_t damaged_first, damaged_last; /* the first and the last such offset */
    uint64_t next;
};

static bool see(void *ctx, const struct log_record *r)
{
    struct seen *s = ctx;
    assert_int_equal(r->offset, s->next);
    assert_payload(r->payload, r->offset, r->payload.n);
    s->given++;
    s->next++;
    return true;
}

static struct seen read_all(struct fixture *f, uint64_t channel)
{
    struct store_view *view;
    struct log_head head;
    assert_int_equal(log_snapshot(f->log, f->reader, channel, &view, &head), STORE_OK);
    struct seen s = {.next = head.first};
    for (uint64_t next = head.first; next <= head.last;) {
        enum store_rc rc = log_read(view, &head, next, 50, see, &s, &next);
        if (rc == STORE_DAMAGED) {
            assert_true(next > s.next);
            s.damaged_first = s.damaged ? s.damaged_first : s.next;
            s.damaged += next - s.next;
            s.damaged_last = next - 1;
            s.next = next;
            continue;
        }
        assert_int_equal(rc, STORE_OK);
        assert_int_equal(next, s.next);
    }
    assert_int_equal(s.given + s.damaged, head.last + 1 - head.first);
    store_release(f->reader);
    return s;
}

/* Records 1..n whose payload follows from the offset. */
static uint64_t channel_of(struct fixture *f, const char *name, uint64_t n, size_t bytes)
{
    begin(f);
    uint64_t channel = channel_named(f, name);
    for (uint64_t i = 0; i < n; i++) {
        struct log_head head;
        assert_int_equal(log_head(f->log, channel, &head), STORE_OK);
        append(f, channel, head.last + 1, bytes);
    }
    end(f, true);
    return channel;
}

/* ---- blocks ---- */

static void a_long_payload_has_a_block_of_its_own(void **state)
{
    struct fixture f = {.dir = *state};
    static const size_t sizes[] = {10, 10, 2048, 2049, 10, 9000, 100000, 10, 0, 3000};
    fixture_open(&f);
    begin(&f);
    uint64_t a = channel_named(&f, "a");
    for (uint64_t i = 0; i < 10; i++)
        append(&f, a, i + 1, sizes[i]);
    end(&f, true);
    assert_int_equal(read_all(&f, a).given, 10);
    /* Blocks so far: 1..3, 4, 5, 6, 7, 8..9; 10 waits in the journal. */
    static const uint64_t firsts[] = {1, 4, 5, 6, 7, 8};
    struct store_view *view;
    assert_int_equal(store_snapshot(f.reader, &view), STORE_OK);
    assert_int_equal(store_count(view, TABLE_BLOCK), 6);
    for (int i = 0; i < 6; i++) {
        uint8_t key[BLOCK_KEY_BYTES];
        struct slice value;
        assert_int_equal(store_get(view, TABLE_BLOCK, block_key(key, a, firsts[i]), &value),
                         STORE_OK);
    }
    assert_verified(&f);
    fixture_close(&f);
}

static void a_payload_past_the_limit_is_refused(void **state)
{
    struct fixture f = {.dir = *state};
    struct log_appended out;
    fixture_open(&f);
    begin(&f);
    uint64_t a = channel_named(&f, "a");
    struct slice parts[2] = {slice_of(NULL, LOG_PAYLOAD_BYTES_MAX), slice_of(NULL, 1)};
    struct log_append append = {.channel = a, .now_ms = 1, .parts = parts, .parts_n = 2};
    assert_int_equal(log_append(f.log, &append, &out), STORE_INVALID);
    parts[0].n = SIZE_MAX;
    assert_int_equal(log_append(f.log, &append, &out), STORE_INVALID);
    end(&f, true);
    assert_int_equal(log_newest_seq(f.log), 0);
    fixture_close(&f);
}

/* ---- damage ---- */

static void a_flipped_bit_in_a_block_hides_that_block_only(void **state)
{
    struct fixture f = {.dir = *state};
    uint8_t bytes[BLOCK_KEY_BYTES];
    fixture_open(&f);
    uint64_t a = channel_of(&f, "a", 300, 100); /* 66 in a block */
    uint64_t b = channel_of(&f, "b", 300, 100);
    struct slice key = block_key(bytes, a, 67), intact = row_copy(&f, TABLE_BLOCK, key);
    for (size_t bit = 0; bit < intact.n * 8; bit += bit < 1000 ? 7 : 1001) {
        row_flip(&f, TABLE_BLOCK, key, intact, bit);
        struct seen s = read_all(&f, a);
        assert_int_equal(s.damaged_first, 67);
        assert_int_equal(s.damaged_last, 132);
        assert_int_equal(s.given, 300 - 66);
    }
    for (size_t n = 0; n < intact.n; n = n * 3 + 1) {
        row_set(&f, TABLE_BLOCK, key, slice_of(intact.p, n));
        assert_int_equal(read_all(&f, a).damaged, 66);
    }
    row_set(&f, TABLE_BLOCK, key, slice_of(NULL, 0));
    assert_int_equal(read_all(&f, a).damaged, 66);
    assert_int_equal(read_all(&f, b).damaged, 0);
    row_set(&f, TABLE_BLOCK, key, intact);
    assert_int_equal(read_all(&f, a).damaged, 0);
    free((void *)(uintptr_t)intact.p);
    fixture_close(&f);
}

static void a_flipped_bit_in_the_journal_hides_that_record_only(void **state)
{
    struct fixture f = {.dir = *state};
    uint8_t bytes[JOURNAL_KEY_BYTES];
    fixture_open(&f);
    uint64_t a = channel_of(&f, "a", 10, 60);
    uint64_t b = channel_of(&f, "b", 10, 60);
    (void)channel_of(&f, "a", 10, 60);
    static const struct {
        uint64_t seq, offset;
    } places[] = {{1, 1}, {5, 5}, {10, 10}, {21, 11}, {26, 16}, {30, 20}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct slice key = journal_key(bytes, places[i].seq),
                     intact = row_copy(&f, TABLE_JOURNAL, key);
        for (size_t bit = 0; bit < intact.n * 8; bit += 5) {
            row_flip(&f, TABLE_JOURNAL, key, intact, bit);
            struct seen s = read_all(&f, a);
            assert_int_equal(s.given, 19);
            assert_int_equal(s.damaged_first, places[i].offset);
            assert_int_equal(s.damaged_last, places[i].offset);
        }
        row_set(&f, TABLE_JOURNAL, key, intact);
        free((void *)(uintptr_t)intact.p);
    }
    assert_int_equal(read_all(&f, b).damaged, 0);
    fixture_close(&f);
}

static void a_row_missing_from_the_journal_is_a_damaged_range(void **state)
{
    struct fixture f = {.dir = *state};
    uint8_t bytes[JOURNAL_KEY_BYTES];
    fixture_open(&f);
    uint64_t a = channel_of(&f, "a", 20, 60);
    row_set(&f, TABLE_JOURNAL, journal_key(bytes, 7), slice_of(NULL, 0));
    row_set(&f, TABLE_JOURNAL, journal_key(bytes, 8), slice_of(NULL, 0));
    struct seen s = read_all(&f, a);
    assert_int_equal(s.given, 18);
    assert_int_equal(s.damaged_first, 7);
    assert_int_equal(s.damaged_last, 8);
    row_set(&f, TABLE_JOURNAL, journal_key(bytes, 20), slice_of(NULL, 0));
    s = read_all(&f, a);
    assert_int_equal(s.given, 17);
    assert_int_equal(s.damaged_last, 20);
    fixture_close(&f);
}

/* Whatever single bit of the newest record is wrong, its offset is not given out again. */
static void damage_in_the_journal_is_told_at_start_and_no_offset_is_given_twice(void **state)
{
    struct fixture f = {.dir = *state};
    uint8_t bytes[JOURNAL_KEY_BYTES];
    uint64_t last = 20, seq = 40, damaged = 0;
    fixture_open(&f);
    (void)channel_of(&f, "b", 20, 60);
    uint64_t a = channel_of(&f, "a", 20, 60);
    for (size_t bit = 0; bit < 60 * 8; bit += 7) {
        struct slice key = journal_key(bytes, seq), intact = row_copy(&f, TABLE_JOURNAL, key);
        row_flip(&f, TABLE_JOURNAL, key, intact, bit);
        free((void *)(uintptr_t)intact.p);
        damaged++;
        fixture_close(&f);
        fixture_open(&f);
        assert_non_null(strstr(f.text, "damaged"));
        struct seen s = read_all(&f, a);
        assert_int_equal(s.damaged, damaged);
        assert_int_equal(s.damaged_last, last);
        begin(&f);
        struct log_appended out = append(&f, a, last + 1, 60);
        end(&f, true);
        assert_int_equal(out.offset, last + 1);
        assert_int_equal(out.seq, seq + 1);
        last++;
        seq++;
        if (bit % 2) /* now and then an intact one between two that are damaged */
            continue;
        begin(&f);
        append(&f, a, ++last, 60);
        seq++;
        end(&f, true);
        assert_int_equal(read_all(&f, a).damaged, damaged);
    }
    fixture_close(&f);
}

static void a_damaged_row_of_a_channel_serves_nothing(void **state)
{
    struct fixture f = {.dir = *state};
    uint8_t bytes[8];
    struct store_view *view;
    struct log_channel c;
    struct log_head head;
    fixture_open(&f);
    uint64_t a = channel_of(&f, "a", 100, 100), b = channel_of(&f, "b", 100, 100);
    struct slice key = channel_key(bytes, a), intact = row_copy(&f, TABLE_CHANNEL, key);
    for (size_t bit = 0; bit < intact.n * 8; bit++) {
        row_flip(&f, TABLE_CHANNEL, key, intact, bit);
        assert_int_equal(store_snapshot(f.reader, &view), STORE_OK);
        assert_int_equal(log_find(view, 1, slice_str("a"), &c), STORE_DAMAGED);
        assert_int_equal(log_channel_get(view, a, &c), STORE_DAMAGED);
        assert_int_equal(log_snapshot(f.log, f.reader, a, &view, &head), STORE_DAMAGED);
    }
    fixture_close(&f);
    fixture_open(&f);
    assert_string_not_equal(f.text, "");
    assert_int_equal(read_all(&f, b).given, 100);
    begin(&f);
    struct log_appended out;
    assert_int_equal(try_append(&f, a, 1, 10, 1, &out), STORE_DAMAGED);
    assert_int_equal(append(&f, b, 101, 100).offset, 101);
    end(&f, true);
    free((void *)(uintptr_t)intact.p);
    fixture_close(&f);
}

static void a_log_that_cannot_be_opened_says_why(void **state)
{
    struct fixture f = {.dir = *state};
    uint8_t bytes[8];
    struct log *log;
    fixture_open(&f);
    row_set(&f, TABLE_CHANNEL, channel_key(bytes, UINT64_MAX), slice_str("x"));
    char text[4200] = "";
    assert_int_equal(log_open(f.store, &f.options, &log, text, sizeof text), STORE_DAMAGED);
    assert_non_null(strstr(text, "/data.mdb is damaged: table channel: a key is none"));
    fixture_close(&f);
}

static void values_of_any_bytes_crash_nobody(void **state)
{
    struct fixture f = {.dir = *state};
    uint64_t seed = scratch_seed();
    fixture_open(&f);
    uint64_t a = channel_of(&f, "a", 200, 100);
    for (int i = 0; i < 300; i++) {
        uint8_t bytes[16], junk[300];
        size_t n = scratch_random(&seed) % sizeof junk;
        payload_fill(junk, n, scratch_random(&seed));
        if (i % 2)
            row_set(&f, TABLE_JOURNAL, journal_key(bytes, 134 + scratch_random(&seed) % 66),
                    slice_of(junk, n));
        else
            row_set(&f, TABLE_BLOCK, block_key(bytes, a, 1 + scratch_random(&seed) % 150),
                    slice_of(junk, n));
        struct store_view *view;
        struct log_head head;
        enum store_rc rc = log_snapshot(f.log, f.reader, a, &view, &head);
        struct seen s = {.next = 1};
        for (uint64_t next = 1; rc == STORE_OK && next <= head.last; s.next = next)
            (void)log_read(view, &head, next, 50, see, &s, &next);
        store_release(f.reader);
        struct log_audit audit;
        assert_int_equal(log_verify(f.store, NULL, NULL, &audit), STORE_DAMAGED);
    }
    fixture_close(&f);
    fixture_open(&f);
    assert_string_not_equal(f.text, "");
    fixture_close(&f);
}

/* ---- a full store ---- */

static void bounded(void *ctx, uint32_t app, struct slice name, struct log_limits *out)
{
    (void)app, (void)name;
    out->events_max = *(const uint64_t *)ctx;
}

static void fill_up(struct fixture *f, uint64_t channel, uint64_t *offset)
{
    enum store_rc rc = STORE_OK;
    while (rc == STORE_OK) {
        uint64_t at = *offset;
        struct log_appended out;
        begin(f);
        for (int i = 0; i < 50 && rc == STORE_OK; i++)
            rc = try_append(f, channel, ++at, 100, 1000, &out);
        if (rc != STORE_OK) {
            assert_int_equal(rc, STORE_FULL);
            assert_int_equal(try_append(f, channel, 1, 1, 1000, &out), STORE_FULL);
            end(f, false);
            break;
        }
        (void)log_tend(f->log, 1000);
        rc = try_end(f);
        assert_true(rc == STORE_OK || rc == STORE_FULL);
        if (rc == STORE_OK)
            *offset = at;
    }
}

static void a_full_store_refuses_and_goes_on_when_there_is_room(void **state)
{
    uint64_t events_max = 0, offset = 0;
    struct fixture f = {
        .dir = *state,
        .map_bytes = 2 << 20,
        .options = {.journal_records_min = 100, .limits = bounded, .limits_ctx = &events_max}};
    fixture_open(&f);
    uint64_t a = channel_of(&f, "a", 0, 0);
    fill_up(&f, a, &offset);
    assert_true(offset > 1000);
    assert_int_equal(read_all(&f, a).given, offset);
    assert_verified(&f);
    events_max = 500;
    log_limits_changed(f.log);
    fixture_close(&f);
    fixture_open(&f);
    for (int i = 0; i < 400; i++) {
        begin(&f);
        (void)log_tend(f.log, INT64_C(1000000) * i);
        end(&f, true);
    }
    assert_true(read_all(&f, a).given < 700);
    assert_verified(&f);
    begin(&f);
    assert_int_equal(append(&f, a, offset + 1, 100).offset, offset + 1);
    end(&f, true);
    fixture_close(&f);
}

/* ---- retention ---- */

/* Or no batch of a busy channel could be applied while the one before it is on its way. */
static void dropping_the_oldest_blocks_needs_no_tree(void **state)
{
    uint64_t events_max = 2000, dropped = 0;
    struct log_stats stats;
    struct fixture f = {.dir = *state, .options = {.limits = bounded, .limits_ctx = &events_max}};
    fixture_open(&f);
    uint64_t a = channel_of(&f, "a", 0, 0);
    for (uint64_t i = 0; i < 40; i++) {
        begin(&f);
        for (uint64_t n = 1; n <= 300; n++) {
            (void)append(&f, a, i * 300 + n, 100);
        }
        (void)log_tend(f.log, 1000);
        assert_true(i < 2 || !store_has_trees(f.txn)); /* the sweep looked, and rests now */
        end(&f, true);
        log_stats(f.log, &stats);
        assert_true(i < 10 || stats.blocks_dropped > dropped);
        dropped = stats.blocks_dropped;
    }
    assert_in_range(read_all(&f, a).given, 2000, 2200);
    assert_verified(&f);
    fixture_close(&f);
    fixture_open(&f);
    assert_in_range(read_all(&f, a).given, 2000, 2200);
    fixture_close(&f);
}

static void young(void *ctx, uint32_t app, struct slice name, struct log_limits *out)
{
    (void)ctx, (void)app, (void)name;
    out->age_ms_max = 10000;
}

static void the_sweep_drops_what_is_too_old_in_channels_at_rest(void **state)
{
    struct fixture f = {.dir = *state, .options = {.journal_records_min = 10, .limits = young}};
    fixture_open(&f);
    uint64_t a = channel_of(&f, "a", 2000, 100);
    uint64_t b = channel_of(&f, "b", 2000, 100);
    for (int i = 0; i < 20; i++) {
        begin(&f);
        (void)log_tend(f.log, 5000);
        end(&f, true);
    }
    assert_int_equal(read_all(&f, a).given, 2000);
    bool more = true;
    for (int i = 0; i < 1000 && more; i++) {
        begin(&f);
        more = log_tend(f.log, 1000000);
        end(&f, true);
    }
    assert_false(more);
    assert_int_equal(read_all(&f, a).given, 0);
    assert_true(read_all(&f, b).given < 80); /* what the journal still has */
    begin(&f);
    assert_int_equal(append(&f, a, 2001, 100).offset, 2001);
    end(&f, true);
    assert_int_equal(read_all(&f, a).given, 1);
    assert_verified(&f);
    fixture_close(&f);
}

/* ---- verify ---- */

struct faults {
    uint64_t channel[16], first[16], last[16];
    size_t n;
};

static void keep_fault(void *ctx, uint64_t channel, uint64_t first, uint64_t last, const char *what)
{
    struct faults *f = ctx;
    (void)what;
    if (f->n < 16) {
        f->channel[f->n] = channel;
        f->first[f->n] = first;
        f->last[f->n] = last;
    }
    f->n++;
}

static struct faults verify(struct fixture *f)
{
    struct faults faults = {0};
    struct log_audit audit;
    enum store_rc rc = log_verify(f->store, keep_fault, &faults, &audit);
    assert_int_equal(rc, faults.n ? STORE_DAMAGED : STORE_OK);
    assert_int_equal(audit.faults, faults.n);
    return faults;
}

static void planted_faults_are_found(void **state)
{
    struct fixture f = {.dir = *state};
    uint8_t bytes[16];
    fixture_open(&f);
    uint64_t a = channel_of(&f, "a", 300, 100);
    struct log_audit audit;
    assert_int_equal(log_verify(f.store, NULL, NULL, &audit), STORE_OK);
    assert_int_equal(audit.channels, 1);
    assert_int_equal(audit.blocks, 4);
    assert_int_equal(audit.records, 300);

    struct slice key = block_key(bytes, a, 67), intact = row_copy(&f, TABLE_BLOCK, key);
    row_flip(&f, TABLE_BLOCK, key, intact, 999);
    struct faults faults = verify(&f);
    assert_int_equal(faults.channel[0], a);
    assert_int_equal(faults.first[0], 67);
    row_set(&f, TABLE_BLOCK, key, slice_of(NULL, 0));
    faults = verify(&f);
    assert_int_equal(faults.n, 1);
    assert_int_equal(faults.first[0], 67);
    assert_int_equal(faults.last[0], 132);
    row_set(&f, TABLE_BLOCK, key, intact);
    assert_int_equal(verify(&f).n, 0);
    row_set(&f, TABLE_BLOCK, block_key(bytes, 99, 1), intact);
    assert_int_equal(verify(&f).channel[0], 99);
    row_set(&f, TABLE_BLOCK, block_key(bytes, 99, 1), slice_of(NULL, 0));
    free((void *)(uintptr_t)intact.p);

    key = journal_key(bytes, 299);
    intact = row_copy(&f, TABLE_JOURNAL, key);
    row_flip(&f, TABLE_JOURNAL, key, intact, 500);
    faults = verify(&f);
    assert_int_equal(faults.channel[0], 0);
    assert_int_equal(faults.first[0], 299);
    row_set(&f, TABLE_JOURNAL, key, slice_of(NULL, 0));
    assert_true(verify(&f).n >= 1);
    row_set(&f, TABLE_JOURNAL, key, intact);
    row_set(&f, TABLE_JOURNAL, journal_key(bytes, 301), intact);
    assert_int_equal(verify(&f).first[0], 301);
    row_set(&f, TABLE_JOURNAL, journal_key(bytes, 301), slice_of(NULL, 0));
    free((void *)(uintptr_t)intact.p);

    uint8_t name[16] = {1, 2, 3};
    row_set(&f, TABLE_CHANNEL_NAME, slice_of(name, 16), channel_key(bytes, 55));
    assert_int_equal(verify(&f).channel[0], 55);
    row_set(&f, TABLE_CHANNEL_NAME, slice_of(name, 16), slice_of(NULL, 0));

    key = channel_key(bytes, a);
    intact = row_copy(&f, TABLE_CHANNEL, key);
    row_flip(&f, TABLE_CHANNEL, key, intact, 100);
    assert_true(verify(&f).n > 4);
    row_set(&f, TABLE_CHANNEL, key, intact);
    assert_int_equal(verify(&f).n, 0);
    free((void *)(uintptr_t)intact.p);
    fixture_close(&f);
}

/* ---- readers beside the writer ---- */

enum { BUSY_CHANNELS = 3, BUSY_BATCHES = 600 };

struct busy {
    struct fixture f;
    atomic_uint_fast64_t committed[BUSY_CHANNELS + 1];
    atomic_bool over;
};

static void follow(struct busy *b, struct store_reader *reader, uint64_t channel, uint64_t *next)
{
    struct store_view *view;
    struct log_head head;
    uint64_t committed = atomic_load(&b->committed[channel]);
    assert_int_equal(log_snapshot(b->f.log, reader, channel, &view, &head), STORE_OK);
    assert_true(head.last >= committed);
    /* Kept in step with the writer's retention: what was missed is known to be gone. */
    struct seen s = {.next = *next > head.first ? *next : head.first};
    uint64_t at = s.next;
    while (at <= head.last) {
        assert_int_equal(log_read(view, &head, at, 100, see, &s, &at), STORE_OK);
        assert_int_equal(at, s.next);
    }
    *next = at;
    store_release(reader);
}

static void *read_beside(void *ctx)
{
    struct busy *b = ctx;
    struct store_reader *reader;
    uint64_t next[BUSY_CHANNELS + 1] = {0, 1, 1, 1};
    assert_int_equal(store_reader_new(b->f.store, &reader), STORE_OK);
    bool over = false;
    while (!over) {
        over = atomic_load(&b->over);
        for (uint64_t c = 1; c <= BUSY_CHANNELS; c++)
            follow(b, reader, c, &next[c]);
    }
    for (uint64_t c = 1; c <= BUSY_CHANNELS; c++)
        assert_int_equal(next[c], atomic_load(&b->committed[c]) + 1);
    store_reader_free(reader);
    return NULL;
}

static void keep_some(void *ctx, uint32_t app, struct slice name, struct log_limits *out)
{
    (void)ctx, (void)app;
    out->events_max = slice_is(name, "c2") ? 1000 : 0;
}

static void a_reader_beside_the_writer_sees_no_hole_and_no_repeat(void **state)
{
    struct busy b = {
        .f = {.dir = *state, .options = {.journal_records_min = 64, .limits = keep_some}}};
    pthread_t thread;
    uint64_t seed = scratch_seed(), last[BUSY_CHANNELS + 1] = {0};
    fixture_open(&b.f);
    begin(&b.f);
    for (int c = 1; c <= BUSY_CHANNELS; c++) {
        char name[3] = {'c', (char)('0' + c), 0};
        assert_int_equal(channel_named(&b.f, name), c);
    }
    end(&b.f, true);
    assert_int_equal(pthread_create(&thread, NULL, read_beside, &b), 0);
    for (int i = 0; i < BUSY_BATCHES; i++) {
        begin(&b.f);
        for (uint64_t n = scratch_random(&seed) % 60; n > 0; n--) {
            uint64_t c = 1 + scratch_random(&seed) % (1 + (uint64_t)i % BUSY_CHANNELS);
            append(&b.f, c, ++last[c], scratch_random(&seed) % 300);
        }
        (void)log_tend(b.f.log, 1000);
        end(&b.f, true);
        for (int c = 1; c <= BUSY_CHANNELS; c++)
            atomic_store(&b.committed[c], last[c]);
    }
    atomic_store(&b.over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_verified(&b.f);
    fixture_close(&b.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(a_long_payload_has_a_block_of_its_own),
        scratch_test(a_payload_past_the_limit_is_refused),
        scratch_test(a_flipped_bit_in_a_block_hides_that_block_only),
        scratch_test(a_flipped_bit_in_the_journal_hides_that_record_only),
        scratch_test(a_row_missing_from_the_journal_is_a_damaged_range),
        scratch_test(damage_in_the_journal_is_told_at_start_and_no_offset_is_given_twice),
        scratch_test(a_damaged_row_of_a_channel_serves_nothing),
        scratch_test(a_log_that_cannot_be_opened_says_why),
        scratch_test(values_of_any_bytes_crash_nobody),
        scratch_test(a_full_store_refuses_and_goes_on_when_there_is_room),
        scratch_test(dropping_the_oldest_blocks_needs_no_tree),
        scratch_test(the_sweep_drops_what_is_too_old_in_channels_at_rest),
        scratch_test(planted_faults_are_found),
        scratch_test(a_reader_beside_the_writer_sees_no_hole_and_no_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
