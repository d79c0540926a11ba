/* The writer against what a disk may hold and what a full one refuses. The simulation (tests/sim)
 * has the rest. */
#include "tests/unit/scratch.h"

#include "hub/core/io.h"
#include "hub/core/writer.h"
#include "store/hash.h"

struct hub_of_one {
    const char *dir;
    struct store *store;
    struct interest *interest;
    struct writer *writer;
    struct ring *inbox;
    struct tray_pool pool;
    int64_t now_ms;
    unsigned panics;
    unsigned ports_n; /* 0: one */
};

static void on_panic(void *ctx, const char *what)
{
    (void)what;
    ((struct hub_of_one *)ctx)->panics++;
}

static void on_note(void *ctx, char level, const char *what)
{
    (void)ctx, (void)level, (void)what;
}

static void on_wake(void *ctx)
{
    (void)ctx;
}

static void store_up(struct hub_of_one *h, size_t quota_bytes)
{
    char text[200] = "";
    struct store_options options = {
        .path = h->dir, .map_bytes = 16 << 20, .quota_bytes = quota_bytes, .fresh_epoch = {1}};
    if (store_open(&options, &h->store, text, sizeof text) != STORE_OK) {
        fail_msg("%s", text);
    }
}

static void writer_up(struct hub_of_one *h)
{
    char text[200] = "";
    struct writer_options options = {.store = h->store,
                                     .interest = h->interest,
                                     .namespaces = namespaces_new(),
                                     .ports_n = h->ports_n ? h->ports_n : 1,
                                     .inbox_trays = 8,
                                     .restart_grace_ms = 5000,
                                     .now_ms = h->now_ms,
                                     .panic = on_panic,
                                     .note = on_note,
                                     .ctx = h};
    if (writer_new(&options, &h->writer, text, sizeof text) != HUB_OK) {
        fail_msg("%s", text);
    }
    struct writer_port port = {.inbox = h->inbox, .home = h->pool.home, .wake = on_wake};
    writer_port_set(h->writer, 0, &port);
}

static void up(struct hub_of_one *h, void **state)
{
    *h = (struct hub_of_one){.dir = *state, .now_ms = 1000000};
    h->interest = interest_new();
    h->inbox = ring_new(128);
    tray_pool_init(&h->pool, 8, 0);
    store_up(h, 0);
}

static void down(struct hub_of_one *h)
{
    writer_free(h->writer);
    store_close(h->store);
    interest_free(h->interest);
    ring_free(h->inbox);
    tray_pool_done(&h->pool);
}

static struct command *presence_command(struct tray *tray, enum presence_change change)
{
    struct presence_member member = {
        .app = 1, .channel = slice_str("presence-a"), .id = slice_str("m"), .connection = 9};
    struct command *command = tray_command(tray);
    command->kind = &command_presence;
    command->app = 1;
    command->body_at = (uint32_t)tray->in.n;
    presence_body_put(&tray->in, change, &member);
    command->body_n = (uint32_t)tray->in.n - command->body_at;
    return command;
}

/* Pushes the command, steps once, gives the command's outcome. */
static enum hub_rc ask(struct hub_of_one *h, enum presence_change change)
{
    int64_t next;
    struct tray *tray = tray_take(&h->pool);
    (void)presence_command(tray, change);
    tray->now_ms = h->now_ms;
    writer_push(h->writer, tray);
    assert_true(writer_step(h->writer, h->now_ms, &next));
    assert_ptr_equal(ring_pop(h->inbox), tray);
    enum hub_rc rc = (enum hub_rc)tray->commands[0].rc;
    assert_true(tray_release(tray, h->pool.home));
    tray_pool_collect(&h->pool);
    return rc;
}

static uint64_t rows(struct hub_of_one *h, enum store_table table)
{
    struct store_reader *reader;
    struct store_view *view;
    assert_int_equal(store_reader_new(h->store, &reader), STORE_OK);
    assert_int_equal(store_snapshot(reader, &view), STORE_OK);
    uint64_t n = store_count(view, table);
    store_reader_free(reader);
    return n;
}

/* A timer row that says nothing of use, due at once and before all others. */
static void damaged_timer(struct hub_of_one *h, size_t key_n)
{
    struct store_txn *txn;
    uint8_t key[16] = {0x80, [15] = 1};
    assert_int_equal(store_begin(h->store, &txn), STORE_OK);
    assert_int_equal(store_put(txn, TABLE_TIMER, slice_of(key, key_n), slice_str("nonsense")),
                     STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
}

static void a_damaged_timer_is_dropped_and_those_behind_it_run(void **state)
{
    struct hub_of_one h;
    int64_t next;
    up(&h, state);
    damaged_timer(&h, 16);
    writer_up(&h);
    assert_int_equal(ask(&h, PRESENCE_JOIN), HUB_OK);
    assert_int_equal(ask(&h, PRESENCE_LEAVE), HUB_OK);
    assert_int_equal(rows(&h, TABLE_TIMER), 1); /* the member's grace */
    h.now_ms += 60000;
    assert_true(writer_step(h.writer, h.now_ms, &next));
    assert_int_equal(rows(&h, TABLE_TIMER), 0);
    assert_int_equal(rows(&h, TABLE_MEMBER), 0);
    assert_int_equal(h.panics, 0);
    down(&h);
}

static void a_table_of_timers_that_cannot_be_read_stops_nothing_else(void **state)
{
    struct hub_of_one h;
    int64_t next = 0;
    up(&h, state);
    damaged_timer(&h, 3);
    writer_up(&h);
    assert_int_equal(ask(&h, PRESENCE_JOIN), HUB_OK);
    (void)writer_step(h.writer, h.now_ms, &next);
    assert_true(next > h.now_ms); /* it does not spin over it */
    assert_int_equal(ask(&h, PRESENCE_UPDATE), HUB_OK);
    assert_int_equal(h.panics, 0);
    down(&h);
}

static void a_leave_that_finds_the_store_full_is_kept_for_later(void **state)
{
    struct hub_of_one h;
    struct writer_stats stats;
    int64_t next;
    up(&h, state);
    writer_up(&h);
    assert_int_equal(ask(&h, PRESENCE_JOIN), HUB_OK);
    writer_free(h.writer);
    store_close(h.store);
    store_up(&h, 4096); /* less than it holds already */
    writer_up(&h);
    h.now_ms += 2000;
    assert_int_equal(ask(&h, PRESENCE_JOIN), HUB_STORE_FULL);
    assert_int_equal(ask(&h, PRESENCE_LEAVE), HUB_STORE_FULL);
    writer_stats(h.writer, &stats);
    assert_true(stats.full);
    assert_int_equal(stats.later, 1);
    (void)writer_step(h.writer, h.now_ms, &next);
    assert_true(next > h.now_ms);
    assert_int_equal(h.panics, 0);
    down(&h);
}

static enum hub_rc no_transaction(struct apply *a, struct command *command, struct slice body)
{
    (void)command, (void)body;
    return a->txn ? HUB_INTERNAL : HUB_OK;
}

static void a_batch_of_beats_alone_asks_nothing_of_the_disk(void **state)
{
    static const struct command_kind volatile_kind = {
        .name = "volatile", .apply = no_transaction, .flags = KIND_VOLATILE};
    struct hub_of_one h;
    int64_t next;
    up(&h, state);
    writer_up(&h);
    (void)writer_step(h.writer, h.now_ms, &next); /* housekeeping of the first second */
    struct tray *tray = tray_take(&h.pool);
    tray_command(tray)->kind = &volatile_kind;
    writer_push(h.writer, tray);
    assert_true(writer_step(h.writer, h.now_ms, &next));
    assert_ptr_equal(ring_pop(h.inbox), tray);
    assert_int_equal(tray->commands[0].rc, HUB_OK);
    tray_give(&h.pool, tray);
    down(&h);
}

/* Somebody asks for the channel when its event was noted, before the commit. */
static struct interest_view *asker;
static bool asks_before, asks_after;
static uint64_t hash_of_tasks;

static enum hub_rc tell_and_be_asked(struct apply *a, struct command *command, struct slice body)
{
    (void)command, (void)body;
    if (asks_before) {
        interest_add(asker, hash_of_tasks);
    }
    enum hub_rc rc = apply_tell(a, 1, slice_str("tasks"), "queued", slice_str("{\"n\":1}"));
    if (asks_after) {
        interest_add(asker, hash_of_tasks);
    }
    return rc;
}

static const struct command_kind telling_kind = {.name = "telling", .apply = tell_and_be_asked};

/* The one event that came, as it is sent; empty: none came. */
static void tell_one(struct hub_of_one *h, char *out, size_t out_n)
{
    int64_t next;
    *out = '\0';
    struct tray *tray = tray_take(&h->pool);
    tray_command(tray)->kind = &telling_kind;
    writer_push(h->writer, tray);
    assert_true(writer_step(h->writer, h->now_ms, &next));
    assert_ptr_equal(ring_pop(h->inbox), tray);
    assert_int_equal(tray->commands[0].rc, HUB_OK);
    if (tray->events_n) {
        const struct event_frame *frame = &tray->events[0].frame;
        struct slice sent = tray_slice(tray, TRAY_OUT, frame->at, frame->n);
        assert_int_equal(tray->events_n, 1);
        assert_true(sent.n < out_n);
        memcpy(out, sent.p, sent.n);
        out[sent.n] = '\0';
    }
    tray_give(&h->pool, tray);
}

static void an_event_is_framed_for_who_asks_for_it_even_while_it_is_stored(void **state)
{
    struct hub_of_one h;
    char nobody[300], meanwhile[300], before[300];
    up(&h, state);
    writer_up(&h);
    asker = interest_view_new(h.interest, 0);
    hash_of_tasks = hash64_named(0, 1, slice_str("tasks"));
    asks_before = asks_after = false;
    tell_one(&h, nobody, sizeof nobody);
    assert_string_equal(nobody, "");
    asks_after = true;
    tell_one(&h, meanwhile, sizeof meanwhile);
    assert_non_null(strstr(meanwhile, "\"offset\":2,\"channel\":\"tasks\",\"event\":\"queued\""));
    assert_non_null(strstr(meanwhile, "\"data\":{\"n\":1},\"time\":\"1970-"));
    asks_before = true;
    tell_one(&h, before, sizeof before);
    *strstr(before, "\"offset\":3") = *strstr(meanwhile, "\"offset\":2") = '\0';
    assert_string_equal(before, meanwhile);
    interest_view_free(asker);
    down(&h);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

/* There are ports past the I/O threads, as the auditor's; what a batch sets off may be on its tray.
 */
static void a_tray_goes_home_to_the_port_that_it_came_from(void **state)
{
    struct hub_of_one h;
    struct tray_pool other;
    up(&h, state);
    h.ports_n = 2;
    writer_up(&h);
    tray_pool_init(&other, 4, 1);
    struct writer_port port = {.inbox = h.inbox, .home = other.home, .wake = on_wake};
    writer_port_set(h.writer, 1, &port);
    struct hub hub = {.writer = h.writer, .threads_n = 1};
    struct io io = {.hub = &hub};
    for (unsigned i = 0; i < 20; i++) {
        struct tray *trays[] = {tray_take(&h.pool), tray_take(&other)};
        for (unsigned t = 0; t < 2; t++) {
            assert_non_null(trays[t]);
            atomic_store(&trays[t]->refs, 1);
            io_let_go(&io, trays[t]);
        }
        tray_pool_collect(&h.pool);
        tray_pool_collect(&other);
        assert_int_equal(h.pool.idle_n, h.pool.count);
        assert_int_equal(other.idle_n, other.count);
    }
    down(&h);
    tray_pool_done(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_damaged_timer_is_dropped_and_those_behind_it_run),
        CASE(a_table_of_timers_that_cannot_be_read_stops_nothing_else),
        CASE(a_leave_that_finds_the_store_full_is_kept_for_later),
        CASE(a_batch_of_beats_alone_asks_nothing_of_the_disk),
        CASE(a_tray_goes_home_to_the_port_that_it_came_from),
        CASE(an_event_is_framed_for_who_asks_for_it_even_while_it_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
