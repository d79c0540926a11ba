/* Members are unique over their connections; they join once and leave once, after their grace. */
#include "tests/unit/log_fixture.h"

#include "channels/presence.h"

struct room {
    struct fixture log;
    struct book *book;
    int64_t now_ms;
    char told[512]; /* "+a", "-a", "~a" in order */
};

static void on_emit(void *ctx, uint32_t app, const struct event *event, uint64_t offset,
                    uint64_t seq)
{
    struct room *r = ctx;
    static const char signs[EVENT_KINDS] = {'?', '+', '-', '~'};
    size_t n = strlen(r->told);
    assert_int_equal(app, 1);
    assert_true(offset > 0 && seq > 0);
    snprintf(r->told + n, sizeof r->told - n, "%c%.*s", signs[event->kind], (int)event->name.n,
             (const char *)event->name.p);
}

static void room_open(struct room *r, const char *grace)
{
    char text[200];
    struct namespaces *set = namespaces_new();
    assert_true(
        namespace_set(set, 0, slice_str("room"), "presence_grace_ms", grace, text, sizeof text));
    fixture_open(&r->log);
    r->book = book_new(5, set);
    book_attach(r->book, r->log.log);
    r->now_ms = r->now_ms ? r->now_ms : 1000000;
}

static void room_close(struct room *r)
{
    fixture_close(&r->log);
    book_free(r->book);
}

static struct presence doing(struct room *r)
{
    return (struct presence){.book = r->book,
                             .txn = r->log.txn,
                             .now_ms = r->now_ms,
                             .timer_kind = 1,
                             .emit = on_emit,
                             .emit_ctx = r};
}

typedef enum presence_rc change(struct presence *p, const struct presence_member *member);

static enum presence_rc one(struct room *r, change *what, const char *id, const char *info,
                            uint64_t connection)
{
    begin(&r->log);
    struct presence p = doing(r);
    struct presence_member member = {.app = 1,
                                     .channel = slice_str("presence-room.a"),
                                     .id = slice_str(id),
                                     .info = slice_str(info),
                                     .connection = connection};
    enum presence_rc rc = what(&p, &member);
    end(&r->log, rc == PRESENCE_OK);
    return rc;
}

static void timers_run(struct room *r)
{
    begin(&r->log);
    struct presence p = doing(r);
    struct timer timer;
    while (timer_first_due(store_txn_view(r->log.txn), r->now_ms, &timer) == STORE_OK) {
        uint8_t body[64];
        memcpy(body, timer.body.p, timer.body.n);
        struct slice copy = slice_of(body, timer.body.n);
        assert_int_equal(timer_cancel(r->log.txn, timer.ref), STORE_OK);
        assert_int_equal(presence_expire(&p, timer.ref, copy), PRESENCE_OK);
    }
    end(&r->log, true);
}

static bool count_one(void *ctx, const struct presence_view *member)
{
    (void)member;
    ++*(unsigned *)ctx;
    return true;
}

static void assert_members(struct room *r, unsigned n)
{
    struct store_view *view;
    struct log_channel channel;
    unsigned listed = 0;
    assert_int_equal(store_snapshot(r->log.reader, &view), STORE_OK);
    assert_int_equal(log_find(view, 1, slice_str("presence-room.a"), &channel), STORE_OK);
    assert_int_equal(presence_count(view, channel.channel), n);
    assert_int_equal(presence_list(view, channel.channel, slice_of(NULL, 0), count_one, &listed),
                     STORE_OK);
    assert_int_equal(listed, n);
    store_release(r->log.reader);
}

static void a_member_joins_once_over_all_connections(void **state)
{
    struct room r = {.log.dir = *state};
    room_open(&r, "2s");
    assert_int_equal(one(&r, presence_join, "a", "1", 10), PRESENCE_OK);
    assert_int_equal(one(&r, presence_join, "a", "1", 11), PRESENCE_OK);
    assert_int_equal(one(&r, presence_join, "a", "1", 11), PRESENCE_OK);
    assert_int_equal(one(&r, presence_join, "b", "", 12), PRESENCE_OK);
    assert_string_equal(r.told, "+a+b");
    assert_members(&r, 2);
    assert_int_equal(one(&r, presence_leave, "a", "", 10), PRESENCE_OK);
    r.now_ms += 60000;
    timers_run(&r);
    assert_string_equal(r.told, "+a+b");
    room_close(&r);
}

static void who_comes_back_within_the_grace_never_left(void **state)
{
    struct room r = {.log.dir = *state};
    room_open(&r, "2s");
    (void)one(&r, presence_join, "a", "1", 10);
    assert_int_equal(one(&r, presence_leave, "a", "", 10), PRESENCE_OK);
    r.now_ms += 1999;
    timers_run(&r);
    assert_int_equal(one(&r, presence_join, "a", "1", 11), PRESENCE_OK);
    r.now_ms += 60000;
    timers_run(&r);
    assert_string_equal(r.told, "+a");
    assert_int_equal(one(&r, presence_leave, "a", "", 11), PRESENCE_OK);
    r.now_ms += 2000;
    timers_run(&r);
    assert_string_equal(r.told, "+a-a");
    assert_members(&r, 0);
    room_close(&r);
}

static void without_a_grace_the_last_connection_takes_the_member_along(void **state)
{
    struct room r = {.log.dir = *state};
    room_open(&r, "0");
    (void)one(&r, presence_join, "a", "1", 10);
    assert_int_equal(one(&r, presence_leave, "a", "", 10), PRESENCE_OK);
    assert_string_equal(r.told, "+a-a");
    assert_int_equal(one(&r, presence_leave, "a", "", 10), PRESENCE_NO_MEMBER);
    assert_members(&r, 0);
    room_close(&r);
}

static void other_information_is_told_without_a_leave(void **state)
{
    struct room r = {.log.dir = *state};
    room_open(&r, "2s");
    (void)one(&r, presence_join, "a", "1", 10);
    assert_int_equal(one(&r, presence_update, "a", "2", 10), PRESENCE_OK);
    assert_int_equal(one(&r, presence_join, "a", "3", 11), PRESENCE_OK);
    assert_string_equal(r.told, "+a~a~a");
    assert_int_equal(one(&r, presence_update, "a", "4", 99), PRESENCE_NO_MEMBER);
    assert_int_equal(one(&r, presence_update, "b", "4", 10), PRESENCE_NO_MEMBER);
    assert_int_equal(one(&r, presence_leave, "a", "", 99), PRESENCE_NO_MEMBER);
    assert_string_equal(r.told, "+a~a~a");
    room_close(&r);
}

static void a_start_leaves_no_ghosts_and_gives_everybody_time(void **state)
{
    struct room r = {.log.dir = *state};
    room_open(&r, "2s");
    (void)one(&r, presence_join, "stays", "1", 10);
    (void)one(&r, presence_join, "goes", "1", 11);
    (void)one(&r, presence_join, "left", "1", 12);
    (void)one(&r, presence_leave, "left", "", 12); /* its grace runs out while the hub is down */
    room_close(&r);
    r.now_ms += 3000;
    room_open(&r, "2s");
    begin(&r.log);
    struct presence p = doing(&r);
    assert_int_equal(presence_restart(&p, 5000), PRESENCE_OK);
    end(&r.log, true);
    timers_run(&r);
    assert_members(&r, 3);
    assert_int_equal(one(&r, presence_join, "stays", "1", 20), PRESENCE_OK);
    r.now_ms += 4999;
    timers_run(&r);
    assert_int_equal(one(&r, presence_join, "left", "1", 21), PRESENCE_OK);
    r.now_ms += 1;
    timers_run(&r);
    assert_string_equal(r.told, "+stays+goes+left-goes");
    assert_members(&r, 2);
    room_close(&r);
}

static void an_aborted_batch_changes_nobody(void **state)
{
    struct room r = {.log.dir = *state};
    room_open(&r, "2s");
    (void)one(&r, presence_join, "a", "1", 10);
    begin(&r.log);
    struct presence p = doing(&r);
    struct presence_member member = {
        .app = 1, .channel = slice_str("presence-room.a"), .id = slice_str("b"), .connection = 11};
    assert_int_equal(presence_join(&p, &member), PRESENCE_OK);
    end(&r.log, false);
    book_reload(r.book);
    assert_members(&r, 1);
    room_close(&r);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_member_joins_once_over_all_connections),
        CASE(who_comes_back_within_the_grace_never_left),
        CASE(without_a_grace_the_last_connection_takes_the_member_along),
        CASE(other_information_is_told_without_a_leave),
        CASE(a_start_leaves_no_ghosts_and_gives_everybody_time),
        CASE(an_aborted_batch_changes_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
