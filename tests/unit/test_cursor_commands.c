/* Named cursors on the writer: what is handed out to whom, what a row keeps over a start and an
 * aborted batch, and that memory and rows say the same. */
#include "tests/unit/api_fixture.h"

static struct fixture *f;
static const char *dir;

static int setup(void **state)
{
    if (scratch_make(state) != 0) {
        return -1;
    }
    dir = *state;
    f = fixture_open(dir);
    return 0;
}

static int teardown(void **state)
{
    fixture_close(f);
    return scratch_remove(state);
}

/* Connections of thread 0, as io_connection_id() makes them. */
static uint64_t connection(unsigned n)
{
    return UINT64_C(1) << 48 | n;
}

enum { HANDED_MAX = 512 };
static struct tray_handout handed[HANDED_MAX];
static unsigned handed_n;

/* One batch; what was handed out is kept. */
static enum hub_rc turn(struct buf *reply)
{
    int64_t next;
    struct tray *tray;
    enum hub_rc rc = HUB_OK;
    io_hand_over(&f->io, fixture_local, f);
    (void)writer_step(f->hub.writer, f->now_ms, &next);
    while ((tray = io_arrived(&f->io))) {
        for (uint32_t i = 0; i < tray->handouts_n && handed_n < HANDED_MAX; i++) {
            handed[handed_n++] = tray->handouts[i];
        }
        for (uint32_t i = 0; tray->origin == 0 && i < tray->commands_n; i++) {
            const struct command *c = &tray->commands[i];
            rc = (enum hub_rc)c->rc;
            if (reply) {
                buf_clear(reply);
                buf_add_slice(reply, tray_slice(tray, TRAY_OUT, c->reply_at, c->reply_n));
            }
        }
        io_let_go(&f->io, tray);
    }
    (void)io_turn(&f->io, f->now_ms, (uint64_t)f->now_ms * 1000);
    return rc;
}

static void put_command(const struct command_kind *kind, const struct buf *body)
{
    struct command *command = io_command(&f->io, kind, 1, (struct return_address){0}, 0);
    struct buf *arena = io_arena(&f->io);
    command->body_at = (uint32_t)arena->n;
    command->body_n = (uint32_t)body->n;
    buf_add_slice(arena, buf_slice(body));
}

static void put_publishes(unsigned n)
{
    static const struct namespace_options *options;
    options = io_options(&f->io, 1, slice_str("jobs"));
    for (unsigned i = 0; i < n; i++) {
        struct io_publish p = {.app = 1,
                               .event = {.channel = slice_str("jobs"),
                                         .name = slice_str("job"),
                                         .data = slice_str("{}"),
                                         .headers = slice_str("{ }"),
                                         .time_ms = f->now_ms},
                               .options = options};
        bool live;
        assert_int_equal(io_publish(&f->io, &p, &live), HUB_OK);
    }
}

static struct cursor_attached attach(unsigned who, bool all)
{
    struct buf body = {0}, reply = {0};
    struct cursor_attach a = {.channel = slice_str("jobs"),
                              .name = slice_str("w"),
                              .connection = connection(who),
                              .has_since = all};
    struct cursor_attached out;
    cursor_attach_put(&body, &a);
    put_command(&command_cursor_attach, &body);
    assert_int_equal(turn(&reply), HUB_OK);
    assert_true(cursor_attached_get(buf_slice(&reply), &out));
    buf_done(&body);
    buf_done(&reply);
    return out;
}

static void put_detach(unsigned who, uint64_t unsent)
{
    struct buf body = {0}, offsets = {0};
    if (unsent) {
        pack_u64(&offsets, unsent);
    }
    cursor_detach_put(&body, slice_str("jobs"), slice_str("w"), connection(who),
                      buf_slice(&offsets));
    put_command(&command_cursor_detach, &body);
    buf_done(&body);
    buf_done(&offsets);
}

static void put_answer(unsigned who, uint64_t offset, enum cursor_verdict verdict)
{
    struct buf body = {0};
    struct cursor_answer a = {.number = 1,
                              .verdict = verdict,
                              .offset = offset,
                              .connection = connection(who),
                              .delay_ms = -1};
    cursor_answer_put(&body, &a);
    put_command(&command_cursor_answer, &body);
    buf_done(&body);
}

static enum hub_rc answer(unsigned who, uint64_t offset, enum cursor_verdict verdict)
{
    put_answer(who, offset, verdict);
    return turn(NULL);
}

static void later(int64_t ms)
{
    f->now_ms += ms;
    for (unsigned i = 0; i < 3; i++) {
        (void)turn(NULL);
    }
}

static bool was_handed(unsigned who, uint64_t offset, uint32_t deliveries)
{
    for (unsigned i = 0; i < handed_n; i++) {
        if (handed[i].connection == connection(who) && handed[i].from == offset &&
            handed[i].deliveries == deliveries) {
            return true;
        }
    }
    return false;
}

static void reopen(void)
{
    fixture_close(f);
    f = fixture_open(dir);
    handed_n = 0;
}

static void events_of_the_same_batch_are_handed_out_with_it(void **state)
{
    (void)state;
    handed_n = 0;
    (void)attach(1, false);
    (void)attach(2, false);
    put_publishes(4);
    (void)turn(NULL);
    assert_int_equal(handed_n, 4);
    assert_true(was_handed(1, 1, 1) && was_handed(2, 2, 1) && was_handed(1, 3, 1) &&
                was_handed(2, 4, 1));
}

static void verdicts_are_judged_by_who_holds_the_event(void **state)
{
    (void)state;
    handed_n = 0;
    (void)attach(1, false);
    put_publishes(3);
    (void)turn(NULL);
    (void)attach(2, false);
    assert_int_equal(answer(2, 1, CURSOR_NACK), HUB_CONFLICT);
    assert_int_equal(answer(2, 1, CURSOR_PROGRESS), HUB_CONFLICT);
    assert_int_equal(answer(2, 1, CURSOR_TERM), HUB_CONFLICT);
    assert_int_equal(answer(2, 1, CURSOR_ACK), HUB_OK); /* who did the work may say so */
    assert_int_equal(answer(1, 1, CURSOR_ACK), HUB_OK);
    assert_int_equal(answer(1, 1, CURSOR_NACK), HUB_GONE);
    assert_int_equal(answer(1, 2, CURSOR_NACK), HUB_OK);
    assert_int_equal(answer(1, 2, CURSOR_NACK), HUB_CONFLICT); /* it waits, nobody holds it */
    assert_int_equal(answer(1, 4, CURSOR_ACK), HUB_NOT_FOUND);
    assert_int_equal(answer(1, 0, CURSOR_ACK), HUB_NOT_FOUND);
    later(1000);
    assert_true(was_handed(2, 2, 2)); /* the one that has less */
}

static void what_was_never_sent_does_not_count_as_delivered(void **state)
{
    (void)state;
    handed_n = 0;
    (void)attach(1, false);
    put_publishes(2);
    (void)turn(NULL);
    put_detach(1, 2);
    (void)turn(NULL);
    (void)attach(2, false);
    assert_true(was_handed(2, 2, 1));
    later(1000);
    assert_true(was_handed(2, 1, 2));
}

static void after_a_start_what_was_out_waits_and_acks_hold(void **state)
{
    (void)state;
    handed_n = 0;
    (void)attach(1, false);
    put_publishes(4);
    (void)turn(NULL);
    assert_int_equal(answer(1, 2, CURSOR_ACK), HUB_OK);
    assert_int_equal(answer(1, 1, CURSOR_ACK), HUB_OK);
    reopen();
    struct cursor_attached at = attach(3, false);
    assert_false(at.created);
    assert_int_equal(at.settled, 2);
    assert_int_equal(handed_n, 2);
    assert_true(was_handed(3, 3, 2) && was_handed(3, 4, 2));
}

static void put_options(uint32_t deliver_max, uint64_t events_max)
{
    struct buf body = {0};
    struct namespace_options options = *io_options(&f->io, 1, slice_str("jobs"));
    options.history.events_max = events_max;
    options.max_deliver = deliver_max;
    namespace_body_put(&body, &(struct why){0}, slice_str("jobs"), &options);
    put_command(&command_namespace, &body);
    buf_done(&body);
    (void)turn(NULL);
}

static void what_had_its_deliveries_when_the_hub_went_down_is_dead(void **state)
{
    (void)state;
    struct principal *boss = person(ROLE_ADMIN, "boss");
    handed_n = 0;
    put_options(1, 100);
    (void)attach(1, false);
    put_publishes(1);
    (void)turn(NULL);
    assert_int_equal(handed_n, 1);
    reopen();
    (void)attach(2, false);
    assert_int_equal(handed_n, 0);
    assert_int_equal(request(f, boss, METHOD_GET, "/api/v1/channels/jobs.dead/history", NULL),
                     HUB_OK);
    assert_string_equal(text(f, "events/0/headers/dead_reason"), "max_deliver");
    assert_int_equal(json_integer_value(member(f, "events/0/headers/dead_offset")), 1);
    principal_unref(boss);
}

static enum hub_rc spoil_apply(struct apply *a, struct command *command, struct slice body)
{
    (void)a, (void)command, (void)body;
    return HUB_STORE_DAMAGED;
}
static const struct command_kind spoil = {.name = "spoil", .apply = spoil_apply};

static void an_aborted_batch_leaves_consumers_and_what_they_hold(void **state)
{
    (void)state;
    handed_n = 0;
    (void)attach(1, false);
    put_publishes(2);
    (void)turn(NULL);
    struct buf none = {0};
    put_answer(1, 1, CURSOR_ACK);
    put_command(&spoil, &none);
    (void)turn(NULL); /* the batch runs again without it */
    assert_int_equal(answer(1, 1, CURSOR_NACK), HUB_GONE);
    assert_int_equal(answer(1, 2, CURSOR_PROGRESS), HUB_OK); /* still its holder */
    put_publishes(1);
    (void)turn(NULL);
    assert_true(was_handed(1, 3, 1)); /* still attached */
    assert_int_equal(handed_n, 3);
}

static void a_cursor_is_listed_and_deleted_when_nobody_is_attached(void **state)
{
    (void)state;
    struct principal *boss = person(ROLE_ADMIN, "boss"), *bee = person(ROLE_AGENT, "bee");
    handed_n = 0;
    (void)attach(1, false);
    put_publishes(3);
    (void)turn(NULL);
    assert_int_equal(answer(1, 1, CURSOR_ACK), HUB_OK);
    assert_int_equal(request(f, bee, METHOD_GET, "/api/v1/channels/jobs/cursors", NULL), HUB_OK);
    assert_string_equal(text(f, "cursors/0/cursor"), "w");
    assert_int_equal(json_integer_value(member(f, "cursors/0/settled")), 1);
    assert_int_equal(json_integer_value(member(f, "cursors/0/delivered")), 3);
    assert_int_equal(json_integer_value(member(f, "cursors/0/in_flight")), 2);
    assert_int_equal(json_integer_value(member(f, "cursors/0/connections")), 1);
    static const char *const path = "/api/v1/channels/jobs/cursors/w";
    assert_int_equal(request(f, bee, METHOD_DELETE, path, NULL), HUB_FORBIDDEN);
    assert_int_equal(request(f, boss, METHOD_DELETE, path, NULL), HUB_CONFLICT);
    put_detach(1, 0);
    (void)turn(NULL);
    assert_int_equal(request(f, boss, METHOD_DELETE, path, NULL), HUB_OK);
    assert_int_equal(request(f, boss, METHOD_DELETE, path, NULL), HUB_NOT_FOUND);
    assert_int_equal(request(f, bee, METHOD_GET, "/api/v1/channels/jobs/cursors", NULL), HUB_OK);
    assert_int_equal(json_array_size(member(f, "cursors")), 0);
    assert_int_equal(attach(2, true).created, true);
    principal_unref(boss);
    principal_unref(bee);
}

static void trimmed_events_are_told_as_a_gap(void **state)
{
    (void)state;
    handed_n = 0;
    (void)attach(1, false);
    put_detach(1, 0);
    put_publishes(3);
    (void)turn(NULL);
    put_options(5, 5);
    /* Enough to fill blocks, as retention deletes whole ones. */
    for (unsigned i = 0; i < 40; i++) {
        put_publishes(500);
        (void)turn(NULL);
        f->now_ms += 1000;
        (void)turn(NULL);
    }
    (void)attach(2, false);
    assert_true(handed_n > 1 && handed[0].deliveries == 0 && handed[0].from == 1);
    assert_int_equal(handed[1].from, handed[0].last + 1);
}

#define story(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        story(events_of_the_same_batch_are_handed_out_with_it),
        story(verdicts_are_judged_by_who_holds_the_event),
        story(what_was_never_sent_does_not_count_as_delivered),
        story(after_a_start_what_was_out_waits_and_acks_hold),
        story(what_had_its_deliveries_when_the_hub_went_down_is_dead),
        story(an_aborted_batch_leaves_consumers_and_what_they_hold),
        story(a_cursor_is_listed_and_deleted_when_nobody_is_attached),
        story(trimmed_events_are_told_as_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
