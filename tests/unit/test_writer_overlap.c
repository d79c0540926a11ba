/* A writer whose batches overlap, on a disk that fills up and has room again: what was answered is
 * in the log, once, and in the order of the answers; what was refused is not, also where the batch
 * after it had been applied on top of it. */
#include "tests/unit/scratch.h"
#include "tests/unit/full_disk.h"

#include <pthread.h>

#include "hub/core/writer.h"

/* ---- a hub of one thread ---- */

enum { TELLS_MAX = 20000, TRAYS = 64, STEPS = 1500 };

struct hub_of_one {
    struct store *store;
    struct interest *interest;
    struct writer *writer;
    struct ring *inbox;
    struct tray_pool pool;
    pthread_t committer;
    uint64_t seed;
    int64_t now_ms;
    uint32_t asked, refused, overlapped;
    uint32_t acked[TELLS_MAX], acked_n; /* in the order of the answers */
};

static void on_panic(void *ctx, const char *what)
{
    (void)ctx;
    fail_msg("panic: %s", what);
}

static void on_note(void *ctx, char level, const char *what)
{
    (void)ctx, (void)level, (void)what;
}

static void on_wake(void *ctx)
{
    (void)ctx;
}

static void *commit_all(void *store)
{
    store_committer_run(store);
    return NULL;
}

static unsigned asked_for(void *ctx)
{
    return (unsigned)(scratch_random(ctx) % 30);
}

static void up(struct hub_of_one *h, const char *dir, bool lazy)
{
    char text[200] = "";
    struct store_options options = {.path = dir, .map_bytes = 256 << 20, .fresh_epoch = {1}};
    h->seed = scratch_seed();
    h->now_ms = 1000000;
    h->interest = interest_new();
    h->inbox = ring_new(2 * TRAYS);
    tray_pool_init(&h->pool, TRAYS, 0);
    if (store_open(&options, &h->store, text, sizeof text) != STORE_OK)
        fail_msg("%s", text);
    if (lazy)
        store_committer_lazy(h->store, asked_for, &h->seed);
    else
        store_committer_new(h->store, on_wake, NULL);
    struct writer_options w = {.store = h->store,
                               .interest = h->interest,
                               .log = {.journal_records_min = 200, .records_per_channel_min = 1},
                               .namespaces = namespaces_new(),
                               .ports_n = 1,
                               .inbox_trays = TRAYS,
                               .hand_over_min = 1,
                               .now_ms = h->now_ms,
                               .panic = on_panic,
                               .note = on_note};
    if (writer_new(&w, &h->writer, text, sizeof text) != HUB_OK)
        fail_msg("%s", text);
    struct writer_port port = {.inbox = h->inbox, .home = h->pool.home, .wake = on_wake};
    writer_port_set(h->writer, 0, &port);
    if (!lazy)
        assert_int_equal(pthread_create(&h->committer, NULL, commit_all, h->store), 0);
}

static void down(struct hub_of_one *h, bool lazy)
{
    writer_free(h->writer);
    if (!lazy) {
        store_committer_stop(h->store);
        assert_int_equal(pthread_join(h->committer, NULL), 0);
    }
    store_close(h->store);
    interest_free(h->interest);
    ring_free(h->inbox);
    tray_pool_done(&h->pool);
}

/* ---- asking and hearing ---- */

/* Which channel a tell is of: every third of its own, so that channels come and go with batches. */
static struct slice channel_of(uint32_t n, char text[32])
{
    if (n % 3 != 0)
        return slice_str("tasks");
    (void)snprintf(text, 32, "task.%010x", n);
    return slice_str(text);
}

static enum hub_rc tell(struct apply *a, struct command *command, struct slice body)
{
    char name[32], data[300];
    uint32_t n = be32_get(body.p);
    (void)command;
    int length = snprintf(data, sizeof data, "{\"n\":%u,\"fill\":\"%0*d\"}", n, (int)(n % 200), 0);
    enum hub_rc rc = apply_tell(a, 1, slice_str("tasks"), "told", slice_of(data, (size_t)length));
    if (rc == HUB_OK && n % 3 == 0)
        rc = apply_tell(a, 1, channel_of(n, name), "told", slice_of(data, (size_t)length));
    return rc;
}

static const struct command_kind telling = {.name = "telling", .apply = tell};

static void ask(struct hub_of_one *h)
{
    struct tray *tray = tray_take(&h->pool);
    if (!tray)
        return;
    for (uint64_t i = scratch_random(&h->seed) % 8; i < 8 && h->asked < TELLS_MAX; i++) {
        uint8_t number[4];
        struct command *command = tray_command(tray);
        be32_put(number, h->asked++);
        command->kind = &telling;
        command->app = 1;
        command->body_at = (uint32_t)tray->in.n;
        command->body_n = sizeof number;
        buf_add(&tray->in, number, sizeof number);
    }
    tray->now_ms = h->now_ms;
    writer_push(h->writer, tray);
}

static void hear(struct hub_of_one *h)
{
    for (struct tray *tray; (tray = ring_pop(h->inbox));) {
        for (uint32_t i = 0; i < tray->commands_n; i++) {
            const struct command *c = &tray->commands[i];
            assert_true(c->rc == HUB_OK || c->rc == HUB_STORE_FULL);
            if (c->rc == HUB_OK)
                h->acked[h->acked_n++] = be32_get(tray->in.p + c->body_at);
            else
                h->refused++;
        }
        assert_true(tray_release(tray, h->pool.home));
    }
    tray_pool_collect(&h->pool);
}

/* ---- what the log holds ---- */

struct reading {
    const struct hub_of_one *h;
    uint32_t at;
};

static bool is_the_next(void *ctx, const struct log_record *record)
{
    struct reading *r = ctx;
    struct event event;
    char told[40];
    assert_true(event_unpack(record->payload, &event));
    assert_true(r->at < r->h->acked_n);
    int n = snprintf(told, sizeof told, "{\"n\":%u,", r->h->acked[r->at++]);
    assert_true(event.data.n > (size_t)n && memcmp(event.data.p, told, (size_t)n) == 0);
    return true;
}

static void compare(struct hub_of_one *h)
{
    struct store_reader *reader;
    struct store_view *view;
    struct log_channel channel;
    struct log_head head;
    uint64_t next;
    assert_int_equal(store_reader_new(h->store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    assert_int_equal(log_find(view, 1, slice_str("tasks"), &channel), STORE_OK);
    assert_int_equal(log_snapshot(writer_log(h->writer), reader, channel.channel, &view, &head),
                     STORE_OK);
    struct reading r = {.h = h};
    assert_int_equal(head.first, 1);
    assert_int_equal(log_read(view, &head, 1, SIZE_MAX, is_the_next, &r, &next), STORE_OK);
    assert_int_equal(r.at, h->acked_n);
    for (uint32_t i = 0, at = 0; i < h->asked; i += 3) {
        char name[32];
        while (at < h->acked_n && h->acked[at] < i)
            at++;
        bool acked = at < h->acked_n && h->acked[at] == i;
        assert_int_equal(log_find(view, 1, channel_of(i, name), &channel),
                         acked ? STORE_OK : STORE_NOT_FOUND);
    }
    store_reader_free(reader);
}

static void run(struct hub_of_one *h)
{
    struct writer_stats stats;
    int64_t next;
    for (int i = 0; i < STEPS; i++) {
        ask(h);
        if (scratch_random(&h->seed) % 60 == 0)
            atomic_store(&writes_left, (int)(scratch_random(&h->seed) % 3));
        (void)writer_step(h->writer, h->now_ms, &next);
        writer_stats(h->writer, &stats);
        if (stats.full || scratch_random(&h->seed) % 50 == 0)
            h->now_ms += 1001; /* the writer looks again whether there is room */
        hear(h);
        h->overlapped += h->acked_n + h->refused < h->asked;
    }
    writer_flush(h->writer);
    hear(h);
    assert_int_equal(h->acked_n + h->refused, h->asked);
    assert_true(h->refused > 0 && h->acked_n > h->refused && h->overlapped > STEPS / 4);
    compare(h);
}

static void overlap(const char *dir, bool lazy)
{
    static struct hub_of_one h;
    h = (struct hub_of_one){0};
    atomic_store(&writes_left, -1);
    up(&h, dir, lazy);
    run(&h);
    down(&h, lazy);
}

static void what_was_answered_is_in_the_log_and_nothing_else(void **state)
{
    overlap(*state, true);
}

static void so_it_is_with_a_committer_of_its_own_thread(void **state)
{
    overlap(*state, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_answered_is_in_the_log_and_nothing_else,
                                        scratch_make, scratch_remove),
        cmocka_unit_test_setup_teardown(so_it_is_with_a_committer_of_its_own_thread, scratch_make,
                                        scratch_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
