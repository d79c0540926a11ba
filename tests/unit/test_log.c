/* The log against a naive model of it: every record ever committed, in arrays. */
#include "tests/unit/log_fixture.h"

enum { CHANNELS = 6, KEYS = 400, STEPS = 2500, WINDOW_MS = 5000 };

struct made {
    uint64_t id, seq;
    size_t n;
    int64_t time_ms;
    uint32_t key; /* 0: none */
};

struct made_channel {
    uint64_t number;
    uint32_t generation;
    struct log_limits limits;
    struct made *records; /* offset - 1 */
    uint64_t n, cap;
};

struct key_state {
    bool known;
    uint64_t offset;
    int64_t time_ms;
};

struct ordered {
    uint64_t seq, channel, offset, id;
};

struct model {
    struct made_channel channels[CHANNELS];
    struct key_state keys[KEYS];
    struct ordered *order;
    uint64_t order_n, order_cap;
};

struct story {
    struct fixture f;
    struct model now, before; /* before: at the begin of the batch */
    uint64_t seed;
    int64_t now_ms;
};

static uint64_t roll(struct story *s, uint64_t n)
{
    return scratch_random(&s->seed) % n;
}

static void model_copy(struct model *to, const struct model *from)
{
    *to = *from;
    for (int c = 0; c < CHANNELS; c++) {
        size_t n = from->channels[c].n;
        to->channels[c].cap = n;
        to->channels[c].records = malloc((n + 1) * sizeof(struct made));
        if (n > 0)
            memcpy(to->channels[c].records, from->channels[c].records, n * sizeof(struct made));
    }
    to->order_cap = from->order_n;
    to->order = malloc((from->order_n + 1) * sizeof *to->order);
    if (from->order_n > 0)
        memcpy(to->order, from->order, from->order_n * sizeof *to->order);
}

static void model_free(struct model *m)
{
    for (int c = 0; c < CHANNELS; c++)
        free(m->channels[c].records);
    free(m->order);
    *m = (struct model){0};
}

static void model_add(struct model *m, int c, const struct made *made)
{
    struct made_channel *channel = &m->channels[c];
    if (channel->n >= channel->cap) {
        channel->cap = channel->cap * 2 + 16;
        channel->records = realloc(channel->records, channel->cap * sizeof *made);
    }
    channel->records[channel->n++] = *made;
    if (m->order_n >= m->order_cap) {
        m->order_cap = m->order_cap * 2 + 16;
        m->order = realloc(m->order, m->order_cap * sizeof *m->order);
    }
    m->order[m->order_n++] = (struct ordered){made->seq, channel->number, channel->n, made->id};
}

static void limits_of(void *ctx, uint32_t app, struct slice name, struct log_limits *out)
{
    struct story *s = ctx;
    assert_int_equal(app, 1);
    assert_int_equal(name.n, 2);
    *out = s->now.channels[name.p[1] - '0'].limits;
}

/* ---- what happens ---- */

static size_t size_at_random(struct story *s)
{
    uint64_t kind = roll(s, 100);
    return kind < 80 ? roll(s, 200) : kind < 95 ? roll(s, 3000) : kind < 99 ? roll(s, 12000) : 0;
}

static void append_one(struct story *s, int c)
{
    struct made_channel *channel = &s->now.channels[c];
    struct made made = {.id = scratch_random(&s->seed),
                        .n = size_at_random(s),
                        .time_ms = s->now_ms,
                        .key = roll(s, 3) == 0 ? 1 + (uint32_t)roll(s, KEYS - 1) : 0};
    uint8_t payload[12000];
    payload_fill(payload, made.n, made.id);
    struct slice part = slice_of(payload, made.n);
    struct log_append a = {.channel = channel->number,
                           .now_ms = s->now_ms,
                           .flags = (uint16_t)(made.key ? LOG_KEYED | 64 : 64),
                           .parts = &part,
                           .parts_n = 1};
    be32_put(a.key_hash, made.key);
    struct log_appended out;
    assert_int_equal(log_append(s->f.log, &a, &out), STORE_OK);
    struct key_state *key = &s->now.keys[made.key];
    bool repeated = made.key && key->known && key->time_ms > s->now_ms - WINDOW_MS;
    assert_int_equal(out.repeated, repeated);
    if (repeated) {
        assert_int_equal(out.offset, key->offset);
        return;
    }
    assert_int_equal(out.offset, channel->n + 1);
    made.seq = out.seq;
    model_add(&s->now, c, &made);
    if (made.key)
        *key = (struct key_state){true, out.offset, s->now_ms};
}

static void reset_one(struct story *s, int c)
{
    struct made_channel *channel = &s->now.channels[c];
    assert_int_equal(log_channel_reset(s->f.log, channel->number, s->now_ms), STORE_OK);
    channel->n = 0;
    channel->generation++;
}

static void batch(struct story *s)
{
    bool kept = roll(s, 5) != 0;
    model_copy(&s->before, &s->now);
    begin(&s->f);
    for (uint64_t n = roll(s, 40); n > 0; n--) {
        int c = (int)(roll(s, CHANNELS * CHANNELS) % CHANNELS);
        c = roll(s, 3) ? c / 2 : c;
        if (!s->now.channels[c].number) {
            char name[3] = {'c', (char)('0' + c), 0};
            s->now.channels[c].number = channel_named(&s->f, name);
        }
        if (roll(s, 1500) == 0)
            reset_one(s, c);
        append_one(s, c);
    }
    if (roll(s, 3) != 0)
        (void)log_tend(s->f.log, s->now_ms);
    end(&s->f, kept);
    if (kept) {
        model_free(&s->before);
    } else {
        model_free(&s->now);
        s->now = s->before;
        s->before = (struct model){0};
        log_limits_changed(s->f.log);
    }
}

static void reopen(struct story *s)
{
    if (roll(s, 2)) { /* a batch that dies with the process */
        begin(&s->f);
        if (s->now.channels[0].number)
            append(&s->f, s->now.channels[0].number, 1, 100);
        store_abort(s->f.txn);
        log_end(s->f.log, false);
    }
    fixture_close(&s->f);
    fixture_open(&s->f);
    assert_string_equal(s->f.text, "");
    assert_verified(&s->f);
}

/* ---- what is read ---- */

struct reader {
    const struct made_channel *channel;
    uint64_t next;
    uint64_t stop_at; /* 0: nowhere */
};

static bool compare(void *ctx, const struct log_record *r)
{
    struct reader *reader = ctx;
    assert_int_equal(r->offset, reader->next);
    if (r->offset == reader->stop_at)
        return false;
    assert_true(r->offset <= reader->channel->n);
    const struct made *made = &reader->channel->records[r->offset - 1];
    assert_int_equal(r->channel, reader->channel->number);
    assert_int_equal(r->seq, made->seq);
    assert_int_equal(r->prev_seq, r->offset > 1 ? made[-1].seq : 0);
    assert_int_equal(r->time_ms, made->time_ms);
    assert_int_equal(r->flags & 64, 64);
    assert_int_equal(!!(r->flags & LOG_KEYED), made->key != 0);
    if (made->key)
        assert_int_equal(be32_get(r->key_hash), made->key);
    else
        assert_null(r->key_hash);
    assert_payload(r->payload, made->id, made->n);
    reader->next++;
    return true;
}

static void check_kept(const struct made_channel *c, const struct log_head *head)
{
    const struct log_limits *l = &c->limits;
    assert_true(head->first >= 1 && head->first <= head->last + 1);
    if (!l->events_max && !l->bytes_max && !l->age_ms_max)
        assert_int_equal(head->first, 1);
    if (l->events_max && !l->bytes_max && !l->age_ms_max)
        assert_true(head->first == 1 || head->last + 1 - head->first >= l->events_max);
    if (l->events_max)
        assert_true(head->last + 1 - head->first <= l->events_max + 2000);
}

static void read_channel(struct story *s, int c)
{
    const struct made_channel *channel = &s->now.channels[c];
    struct store_view *view;
    struct log_head head;
    if (!channel->number)
        return;
    assert_int_equal(log_snapshot(s->f.log, s->f.reader, channel->number, &view, &head), STORE_OK);
    assert_int_equal(head.last, channel->n);
    assert_int_equal(head.last_seq, channel->n ? channel->records[channel->n - 1].seq : 0);
    assert_int_equal(head.generation, channel->generation);
    check_kept(channel, &head);
    uint64_t from = roll(s, head.last + 2), next = from;
    struct reader r = {.channel = channel, .next = from > head.first ? from : head.first};
    while (next <= head.last) {
        r.stop_at = roll(s, 4) ? 0 : r.next + roll(s, 100);
        size_t max = 1 + roll(s, 300);
        assert_int_equal(log_read(view, &head, next, max, compare, &r, &next), STORE_OK);
        assert_int_equal(next, r.next);
        if (r.stop_at == next && next <= head.last) {
            struct log_record one;
            assert_int_equal(log_get(view, &head, next, &one), STORE_OK);
            r.stop_at = 0;
            assert_true(compare(&r, &one));
            next++;
        }
    }
    struct log_record none;
    assert_int_equal(log_get(view, &head, head.last + 1, &none), STORE_NOT_FOUND);
    assert_int_equal(log_get(view, &head, head.first - 1, &none), STORE_NOT_FOUND);
    store_release(s->f.reader);
}

struct order_reader {
    const struct model *model;
    uint64_t at, left;
};

static bool compare_order(void *ctx, const struct log_record *r)
{
    struct order_reader *o = ctx;
    assert_true(o->at < o->model->order_n);
    const struct ordered *made = &o->model->order[o->at];
    assert_int_equal(r->seq, made->seq);
    assert_int_equal(r->channel, made->channel);
    assert_int_equal(r->offset, made->offset);
    o->at++;
    return true;
}

static void read_order(struct story *s)
{
    struct store_view *view;
    uint64_t newest = log_newest_seq(s->f.log), from = 1 + roll(s, newest + 1), first, next;
    assert_int_equal(newest, s->now.order_n);
    assert_int_equal(store_snapshot(s->f.reader, &view), STORE_OK);
    assert_int_equal(log_read_journal(view, from, 0, compare_order, NULL, &first, &next), STORE_OK);
    assert_true(first >= from);
    struct order_reader o = {.model = &s->now, .at = first - 1};
    next = from;
    while (next <= newest)
        assert_int_equal(log_read_journal(view, next, 500, compare_order, &o, &first, &next),
                         STORE_OK);
    assert_int_equal(o.at, newest);
    store_release(s->f.reader);
    struct log_stats stats;
    log_stats(s->f.log, &stats);
    assert_int_equal(stats.journal_last_seq, newest);
    if (newest > 0) {
        assert_int_equal(stats.journal_records, newest + 1 - stats.journal_first_seq);
        assert_true(stats.journal_records >= (newest < 200 ? newest : 200));
    }
}

/* As the writer sees them, in a batch of its own. */
static void check_heads(struct story *s)
{
    begin(&s->f);
    for (int c = 0; c < CHANNELS; c++) {
        const struct made_channel *channel = &s->now.channels[c];
        struct log_head head;
        if (!channel->number)
            continue;
        assert_int_equal(log_head(s->f.log, channel->number, &head), STORE_OK);
        assert_int_equal(head.last, channel->n);
        assert_int_equal(head.generation, channel->generation);
        uint64_t from = head.first + roll(s, head.last + 2 - head.first), next;
        struct reader r = {.channel = channel, .next = from};
        assert_int_equal(log_read(store_txn_view(s->f.txn), &head, from, 100, compare, &r, &next),
                         STORE_OK);
        assert_int_equal(next, r.next);
    }
    end(&s->f, false);
}

static void the_log_is_what_a_naive_model_says(void **state)
{
    struct story *s = calloc(1, sizeof *s);
    s->f = (struct fixture){.dir = *state,
                            .options = {.journal_records_min = 200,
                                        .key_window_ms = WINDOW_MS,
                                        .limits = limits_of,
                                        .limits_ctx = s}};
    s->seed = scratch_seed();
    s->now_ms = 1000000;
    s->now.channels[1].limits.events_max = 500;
    s->now.channels[2].limits.bytes_max = 100000;
    s->now.channels[3].limits.age_ms_max = 20000;
    s->now.channels[4].limits = (struct log_limits){300, 50000, 10000};
    fixture_open(&s->f);
    for (int step = 0; step < STEPS; step++) {
        s->now_ms += (int64_t)roll(s, 60);
        uint64_t what = roll(s, 100);
        if (what < 60)
            batch(s);
        else if (what < 90)
            read_channel(s, (int)roll(s, CHANNELS));
        else if (what < 95)
            read_order(s);
        else if (what < 99)
            check_heads(s);
        else
            reopen(s);
    }
    reopen(s);
    for (int c = 0; c < CHANNELS; c++)
        read_channel(s, c);
    struct log_stats stats;
    log_stats(s->f.log, &stats);
    assert_true(stats.journal_first_seq > 1);
    assert_int_equal(stats.keys_repeated, 0); /* counted from the start on */
    fixture_close(&s->f);
    model_free(&s->now);
    free(s);
}

/* ---- small stories ---- */

static void an_aborted_batch_leaves_nothing(void **state)
{
    struct fixture f = {.dir = *state};
    fixture_open(&f);
    begin(&f);
    uint64_t a = channel_named(&f, "a");
    append_keyed(&f, a, "one", 1, 1000);
    end(&f, true);
    begin(&f);
    uint64_t b = channel_named(&f, "b");
    assert_int_equal(append_keyed(&f, a, "two", 2, 1000).offset, 2);
    append_keyed(&f, b, "gone", 3, 1000);
    assert_true(append_keyed(&f, a, "two", 2, 1000).repeated);
    end(&f, false);
    begin(&f);
    assert_int_equal(channel_named(&f, "c"), b);
    assert_true(append_keyed(&f, a, "one", 1, 1000).repeated);
    struct log_appended again = append_keyed(&f, a, "two!", 2, 1000);
    assert_false(again.repeated);
    assert_int_equal(again.offset, 2);
    assert_int_equal(again.seq, 2);
    end(&f, true);
    struct log_stats stats;
    log_stats(f.log, &stats);
    assert_int_equal(stats.channels, 2);
    assert_int_equal(stats.keys, 2);
    fixture_close(&f);
}

static void channels_are_found_by_name_and_number(void **state)
{
    struct fixture f = {.dir = *state};
    struct store_view *view;
    struct log_channel c;
    fixture_open(&f);
    begin(&f);
    uint64_t a = channel_named(&f, "a"), b = channel_named(&f, "b"), other;
    assert_int_equal(log_channel_open(f.log, 2, slice_str("a"), 7, &other), STORE_OK);
    assert_int_not_equal(other, a);
    assert_int_equal(channel_named(&f, "a"), a);
    uint8_t longer[LOG_NAME_BYTES_MAX + 1] = {0};
    assert_int_equal(log_channel_open(f.log, 1, slice_of(longer, sizeof longer), 7, &b),
                     STORE_INVALID);
    assert_int_equal(log_channel_open(f.log, 1, slice_of(NULL, 0), 7, &b), STORE_INVALID);
    end(&f, true);
    assert_int_equal(store_snapshot(f.reader, &view), STORE_OK);
    assert_int_equal(log_find(view, 2, slice_str("a"), &c), STORE_OK);
    assert_int_equal(c.channel, other);
    assert_int_equal(c.created_ms, 7);
    assert_int_equal(log_find(view, 2, slice_str("b"), &c), STORE_NOT_FOUND);
    assert_int_equal(log_channel_get(view, b, &c), STORE_OK);
    assert_true(slice_is(c.name, "b"));
    assert_int_equal(log_channel_get(view, 99, &c), STORE_NOT_FOUND);
    uint64_t seen = 0, after = 0;
    while (log_channel_next(view, after, false, &c) == STORE_OK) {
        assert_int_equal(c.channel, ++seen);
        after = c.channel;
    }
    assert_int_equal(seen, 3);
    after = 0;
    while (log_channel_next(view, after, true, &c) == STORE_OK) {
        assert_int_equal(c.channel, seen--);
        after = c.channel;
    }
    assert_int_equal(seen, 0);
    fixture_close(&f);
}

/* As tasks of many apps and forms have; their rows lie side by side. */
static void names_that_end_with_the_same_number_are_told_apart(void **state)
{
    static const char *const names[] = {"task.task_aaaaaa0000000001",
                                        "task.task_bbbbbb0000000001",
                                        "x0000000001",
                                        "0000000001",
                                        "000000001",
                                        "x00000000g1"};
    enum { NAMES = sizeof names / sizeof *names };
    struct fixture f = {.dir = *state};
    uint64_t made[2 * NAMES], again;
    fixture_open(&f);
    for (uint32_t i = 0; i < 2 * NAMES; i++) {
        begin(&f);
        assert_int_equal(log_channel_open(f.log, 1 + i % 2, slice_str(names[i / 2]), 7, &made[i]),
                         STORE_OK);
        end(&f, true);
    }
    begin(&f);
    for (uint32_t i = 0; i < 2 * NAMES; i++) {
        assert_int_equal(log_channel_open(f.log, 1 + i % 2, slice_str(names[i / 2]), 7, &again),
                         STORE_OK);
        assert_int_equal(again, made[i]);
        for (uint32_t before = 0; before < i; before++)
            assert_int_not_equal(made[i], made[before]);
    }
    end(&f, true);
    fixture_close(&f);
}

static void an_unknown_channel_is_not_found(void **state)
{
    struct fixture f = {.dir = *state};
    struct log_appended out;
    struct log_head head;
    struct store_view *view;
    fixture_open(&f);
    begin(&f);
    assert_int_equal(try_append(&f, 0, 1, 1, 1, &out), STORE_NOT_FOUND);
    assert_int_equal(try_append(&f, 7, 1, 1, 1, &out), STORE_NOT_FOUND);
    assert_int_equal(log_head(f.log, 7, &head), STORE_NOT_FOUND);
    end(&f, true);
    assert_int_equal(log_snapshot(f.log, f.reader, 7, &view, &head), STORE_NOT_FOUND);
    assert_int_equal(log_snapshot(f.log, f.reader, UINT64_MAX, &view, &head), STORE_NOT_FOUND);
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        scratch_test(the_log_is_what_a_naive_model_says),
        scratch_test(an_aborted_batch_leaves_nothing),
        scratch_test(channels_are_found_by_name_and_number),
        scratch_test(names_that_end_with_the_same_number_are_told_apart),
        scratch_test(an_unknown_channel_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
