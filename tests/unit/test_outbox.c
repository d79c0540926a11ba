/* What waits for one connection: shared references during a turn, bounded copies after it. */
#include "tests/unit/scratch.h"

#include "channels/outbox.h"

struct fixture {
    struct interest *interest;
    struct topics *topics;
    struct subscriber who;
    struct turn turn;
    struct outbox box;
    struct outbox_losses losses;
    size_t behind_n;
};

static void on_deliver(void *ctx, struct subscriber *who, struct delivery *d, bool via_pattern)
{
    (void)ctx, (void)who, (void)d, (void)via_pattern;
}

static void on_behind(void *ctx, struct subscriber *who)
{
    (void)who;
    ((struct fixture *)ctx)->behind_n++;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->interest = interest_new();
    f->topics = topics_new(f->interest, 0, on_deliver, on_behind, f);
    subscriber_init(&f->who, 1, 7);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    outbox_clear(&f->box, &f->turn);
    assert_true(outbox_empty(&f->box));
    assert_int_equal(f->box.waiting_bytes, 0);
    subscriber_done(f->topics, &f->who);
    turn_done(&f->turn);
    topics_free(f->topics);
    interest_free(f->interest);
    free(f);
    return 0;
}

static struct subscription *subscribe(struct fixture *f, const char *name,
                                      enum ns_delivery delivery, enum ns_slow slow)
{
    bool fresh;
    struct namespace_options options = {.delivery = delivery, .slow = slow};
    struct subscription *sub = topics_subscribe(f->topics, &f->who, (uint64_t)name[0] << 56,
                                                slice_str(name), &options, &fresh);
    sub->state = SUB_LIVE;
    sub->next = delivery == NS_DURABLE ? 1 : 0;
    return sub;
}

/* An event of ten bytes and its name: what the bytes are, the outbox does not look at, except for
 * the channel of a live one. */
static void share(struct fixture *f, const struct subscription *sub, const char *frame,
                  uint64_t offset, uint64_t conflate)
{
    struct delivery d = {.frame = slice_str(frame),
                         .topic = sub->topic,
                         .channel = slice_of(sub->topic->name, sub->topic->name_n),
                         .channel_hash = sub->topic->hash,
                         .app = 1,
                         .offset = offset,
                         .seq = offset,
                         .conflate = conflate,
                         .index = DELIVERY_NOT_SHARED};
    outbox_share(&f->box, &f->turn, &d, false);
}

static enum outbox_slow keep(struct fixture *f, size_t bytes_max)
{
    enum outbox_slow how =
        outbox_keep(&f->box, &f->turn, f->topics, &f->who, bytes_max, &f->losses);
    turn_end(&f->turn);
    return how;
}

static void assert_waits(struct fixture *f, const char *expected)
{
    uint8_t bytes[4096];
    size_t n = outbox_gather(&f->box, &f->turn, bytes, sizeof bytes - 1);
    bytes[n] = 0;
    assert_string_equal((const char *)bytes, expected);
}

static void a_turn_s_bytes_leave_in_order(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, "x", NS_DURABLE, NS_SLOW_CURSOR);
    bool last;
    outbox_own(&f->box, &f->turn, slice_str("one "));
    share(f, sub, "two ", 1, 0);
    outbox_own(&f->box, &f->turn, slice_str("three"));
    assert_waits(f, "one two three");
    assert_true(slice_is(outbox_peek(&f->box, &f->turn, &last), "one "));
    assert_false(last);
    outbox_sent(&f->box, &f->turn, 6);
    assert_true(slice_is(outbox_peek(&f->box, &f->turn, &last), "o "));
    outbox_sent(&f->box, &f->turn, 2);
    assert_true(slice_is(outbox_peek(&f->box, &f->turn, &last), "three"));
    assert_true(last);
    outbox_sent(&f->box, &f->turn, 5);
    assert_true(outbox_empty(&f->box));
}

static void many_references_are_sent_a_few_bytes_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, "x", NS_DURABLE, NS_SLOW_CURSOR);
    char expected[1024] = "", text[16], got[1024];
    size_t n = 0;
    for (int i = 0; i < 100; i++) {
        snprintf(text, sizeof text, "<%d>", i);
        strcat(expected, text);
        if (i % 3) {
            outbox_own(&f->box, &f->turn, slice_str(text));
        } else {
            static char frames[100][16];
            memcpy(frames[i], text, sizeof text);
            share(f, sub, frames[i], (uint64_t)i + 1, 0);
        }
    }
    while (!outbox_empty(&f->box)) {
        size_t part = outbox_gather(&f->box, &f->turn, (uint8_t *)got + n, 7);
        outbox_sent(&f->box, &f->turn, part);
        n += part;
    }
    got[n] = 0;
    assert_string_equal(got, expected);
}

static void what_the_socket_did_not_take_is_kept_past_the_turn(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, "x", NS_DURABLE, NS_SLOW_CURSOR);
    char frame[] = "event one ";
    share(f, sub, frame, 1, 0);
    outbox_own(&f->box, &f->turn, slice_str("answer"));
    outbox_sent(&f->box, &f->turn, 3);
    assert_int_equal(keep(f, 1000), OUTBOX_KEPT);
    memset(frame, '!', sizeof frame - 1); /* the tray went home */
    assert_waits(f, "nt one answer");
    assert_int_equal(f->losses.fell_behind, 0);
    outbox_own(&f->box, &f->turn, slice_str(" more"));
    assert_waits(f, "nt one answer more");
}

static void a_durable_event_past_the_bound_costs_a_cursor(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, "x", NS_DURABLE, NS_SLOW_CURSOR);
    sub->next = 4; /* 1 to 3 were delivered in this turn */
    share(f, sub, "aaaaaaaaaa", 1, 0);
    share(f, sub, "bbbbbbbbbb", 2, 0);
    share(f, sub, "c", 3, 0);
    assert_int_equal(keep(f, 15), OUTBOX_KEPT);
    assert_waits(f, ""); /* the log has it: who does not read holds no memory */
    assert_int_equal(sub->state, SUB_CATCHING_UP);
    assert_int_equal(sub->next, 1);
    assert_int_equal(f->losses.fell_behind, 1);
    assert_int_equal(f->behind_n, 1);
}

static void only_the_run_before_the_loss_is_taken_back(void **state)
{
    struct fixture *f = *state;
    struct subscription *x = subscribe(f, "x", NS_DURABLE, NS_SLOW_CURSOR);
    struct subscription *y = subscribe(f, "y", NS_DURABLE, NS_SLOW_CURSOR);
    share(f, x, "partly", 6, 0);
    share(f, x, "old ", 7, 0); /* of a subscription before this one */
    share(f, y, "other ", 1, 0);
    share(f, x, "ten ", 10, 0);
    outbox_own(&f->box, &f->turn, slice_str("answer"));
    share(f, x, "eleven ", 11, 0);
    outbox_sent(&f->box, &f->turn, 4);
    x->next = 13;
    share(f, x, "twelve is too long", 12, 0);
    assert_int_equal(keep(f, 40), OUTBOX_KEPT);
    assert_waits(f, "lyold other answer");
    assert_int_equal(x->state, SUB_CATCHING_UP);
    assert_int_equal(x->next, 10);
    assert_int_equal(y->state, SUB_LIVE);
}

static void answers_are_kept_whatever_the_bound(void **state)
{
    struct fixture *f = *state;
    outbox_own(&f->box, &f->turn, slice_str("a long answer"));
    outbox_own(&f->box, &f->turn, slice_str(" and another"));
    assert_int_equal(keep(f, 1), OUTBOX_KEPT);
    assert_waits(f, "a long answer and another");
}

static const char frame_of_live[] = "\x81\x2a{\"type\":\"event\",\"channel\":\"x\",\"data\":1}";

static void the_oldest_live_event_goes_first_and_a_gap_counts_it(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, "x", NS_LIVE, NS_SLOW_DROP);
    char frames[6][64];
    for (size_t i = 0; i < 6; i++) {
        memcpy(frames[i], frame_of_live, sizeof frame_of_live);
        frames[i][sizeof frame_of_live - 3] = (char)('1' + i);
        share(f, sub, frames[i], 0, 0);
    }
    assert_int_equal(keep(f, 3 * (sizeof frame_of_live - 1) + 70), OUTBOX_KEPT);
    uint8_t bytes[1024];
    size_t n = outbox_gather(&f->box, &f->turn, bytes, sizeof bytes - 1);
    bytes[n] = 0;
    char gap[64];
    snprintf(gap, sizeof gap, "\"reason\":\"dropped\",\"count\":%u}", (unsigned)f->losses.dropped);
    assert_true(f->losses.dropped > 0 && f->losses.dropped < 6);
    assert_non_null(strstr((const char *)bytes, gap));
    assert_null(strstr((const char *)bytes, "\"data\":1}"));
    assert_non_null(strstr((const char *)bytes, "\"data\":6}"));
    assert_true(f->box.waiting_bytes <= 3 * (sizeof frame_of_live - 1) + 70);
}

static void a_channel_that_would_rather_close_says_so(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, "x", NS_LIVE, NS_SLOW_DISCONNECT);
    share(f, sub, frame_of_live, 0, 0);
    share(f, sub, frame_of_live, 0, 0);
    assert_int_equal(keep(f, sizeof frame_of_live), OUTBOX_DISCONNECT);
}

static void a_newer_live_event_takes_the_place_of_one_with_the_same_key(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, "x", NS_LIVE, NS_SLOW_DROP);
    share(f, sub, "old", 0, 11);
    share(f, sub, "other", 0, 12);
    share(f, sub, "new", 0, 11);
    assert_int_equal(keep(f, 1000), OUTBOX_KEPT);
    assert_waits(f, "othernew");
    assert_int_equal(f->losses.conflated, 1);
}

static void an_event_partly_sent_is_never_taken_back(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, "x", NS_LIVE, NS_SLOW_DROP);
    share(f, sub, "old", 0, 11);
    assert_int_equal(keep(f, 1000), OUTBOX_KEPT);
    outbox_sent(&f->box, &f->turn, 1);
    share(f, sub, "new", 0, 11);
    assert_int_equal(keep(f, 1000), OUTBOX_KEPT);
    assert_waits(f, "ldnew");
    assert_int_equal(f->losses.conflated, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_turn_s_bytes_leave_in_order),
        CASE(many_references_are_sent_a_few_bytes_at_a_time),
        CASE(what_the_socket_did_not_take_is_kept_past_the_turn),
        CASE(a_durable_event_past_the_bound_costs_a_cursor),
        CASE(only_the_run_before_the_loss_is_taken_back),
        CASE(answers_are_kept_whatever_the_bound),
        CASE(the_oldest_live_event_goes_first_and_a_gap_counts_it),
        CASE(a_channel_that_would_rather_close_says_so),
        CASE(a_newer_live_event_takes_the_place_of_one_with_the_same_key),
        CASE(an_event_partly_sent_is_never_taken_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
