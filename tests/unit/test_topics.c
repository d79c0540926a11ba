/* Whom an event reaches, in what order, and when a subscription reads on from the log. */
#include "tests/unit/scratch.h"

#include "channels/topics.h"

enum { GOT_MAX = 64 };

struct fixture {
    struct interest *interest;
    struct topics *topics;
    struct subscriber a, b;
    struct got {
        struct subscriber *who;
        uint64_t offset;
        bool via_pattern;
    } got[GOT_MAX];
    size_t got_n, behind_n;
};

static const struct namespace_options durable = {.delivery = NS_DURABLE};
static const struct namespace_options live = {.delivery = NS_LIVE};

static void on_deliver(void *ctx, struct subscriber *who, struct delivery *d, bool via_pattern)
{
    struct fixture *f = ctx;
    assert_true(f->got_n < GOT_MAX);
    f->got[f->got_n++] = (struct got){.who = who, .offset = d->offset, .via_pattern = via_pattern};
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
    f->topics = topics_new(f->interest, 3, on_deliver, on_behind, f);
    subscriber_init(&f->a, 1, 101);
    subscriber_init(&f->b, 1, 102);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    subscriber_done(f->topics, &f->a);
    subscriber_done(f->topics, &f->b);
    assert_int_equal(topics_count(f->topics), 0);
    assert_int_equal(topics_subscriptions(f->topics), 0);
    topics_free(f->topics);
    interest_free(f->interest);
    free(f);
    return 0;
}

static uint64_t hash_of(const char *name)
{
    return (uint64_t)(unsigned char)name[0] << 56 | strlen(name);
}

static struct subscription *subscribe(struct fixture *f, struct subscriber *who, const char *name,
                                      const struct namespace_options *options, uint64_t next)
{
    bool fresh;
    struct subscription *sub =
        topics_subscribe(f->topics, who, hash_of(name), slice_str(name), options, &fresh);
    assert_true(fresh);
    assert_int_equal(sub->state, SUB_WAITING);
    sub->state = SUB_LIVE;
    sub->next = next;
    return sub;
}

static void tell_all(struct fixture *f, const char *name, uint64_t offset, uint64_t seq,
                     uint64_t exclude)
{
    struct delivery d = {.channel = slice_str(name),
                         .channel_hash = hash_of(name),
                         .app = 1,
                         .offset = offset,
                         .seq = seq,
                         .exclude = exclude,
                         .index = DELIVERY_NOT_SHARED};
    topics_deliver(f->topics, &d);
}

static void an_event_reaches_who_subscribed_and_nobody_else(void **state)
{
    struct fixture *f = *state;
    subscribe(f, &f->a, "x", &live, 0);
    subscribe(f, &f->b, "y", &live, 0);
    tell_all(f, "x", 0, 0, 0);
    assert_int_equal(f->got_n, 1);
    assert_ptr_equal(f->got[0].who, &f->a);
    tell_all(f, "z", 0, 0, 0);
    assert_int_equal(f->got_n, 1);
}

static void another_app_s_channel_of_the_same_name_is_another(void **state)
{
    struct fixture *f = *state;
    subscribe(f, &f->a, "x", &live, 0);
    struct delivery d = {
        .channel = slice_str("x"), .channel_hash = hash_of("x"), .app = 2, .index = 0};
    topics_deliver(f->topics, &d);
    assert_int_equal(f->got_n, 0);
}

static void the_publisher_s_own_connection_can_be_left_out(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, &f->a, "x", &durable, 1);
    subscribe(f, &f->b, "x", &durable, 1);
    tell_all(f, "x", 1, 1, 101);
    assert_int_equal(f->got_n, 1);
    assert_ptr_equal(f->got[0].who, &f->b);
    assert_int_equal(sub->next, 2); /* not missed: it reads on behind it */
    tell_all(f, "x", 2, 2, 0);
    assert_int_equal(f->got_n, 3);
}

static void what_the_replay_had_is_not_given_again(void **state)
{
    struct fixture *f = *state;
    subscribe(f, &f->a, "x", &durable, 5);
    tell_all(f, "x", 4, 4, 0);
    assert_int_equal(f->got_n, 0);
    tell_all(f, "x", 5, 5, 0);
    assert_int_equal(f->got_n, 1);
}

static void a_hole_sends_the_subscription_to_the_log(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, &f->a, "x", &durable, 5);
    tell_all(f, "x", 7, 7, 0);
    assert_int_equal(f->got_n, 0);
    assert_int_equal(f->behind_n, 1);
    assert_int_equal(sub->state, SUB_CATCHING_UP);
    assert_int_equal(sub->next, 5);
    tell_all(f, "x", 8, 8, 0); /* the log has it */
    assert_int_equal(f->got_n, 0);
    assert_int_equal(f->behind_n, 1);
}

static void a_subscription_that_waits_gets_nothing(void **state)
{
    struct fixture *f = *state;
    subscribe(f, &f->a, "x", &durable, 1)->state = SUB_WAITING;
    tell_all(f, "x", 1, 1, 0);
    tell_all(f, "x", 0, 0, 0);
    assert_int_equal(f->got_n, 0);
}

static void a_live_channel_that_becomes_durable_begins_at_its_first_stored_event(void **state)
{
    struct fixture *f = *state;
    struct subscription *sub = subscribe(f, &f->a, "x", &live, 0);
    tell_all(f, "x", 0, 0, 0);
    tell_all(f, "x", 12, 40, 0);
    assert_int_equal(f->got_n, 2);
    assert_int_equal(sub->next, 13);
    assert_int_equal(f->behind_n, 0);
}

static void subscribing_again_gives_the_one_that_is_there(void **state)
{
    struct fixture *f = *state;
    bool fresh;
    struct subscription *sub = subscribe(f, &f->a, "x", &durable, 1);
    assert_ptr_equal(
        topics_subscribe(f->topics, &f->a, hash_of("x"), slice_str("x"), &durable, &fresh), sub);
    assert_false(fresh);
    assert_ptr_equal(topics_find(f->topics, &f->a, hash_of("x"), slice_str("x")), sub);
    assert_null(topics_find(f->topics, &f->b, hash_of("x"), slice_str("x")));
    assert_int_equal(topics_subscriptions(f->topics), 1);
}

static void interest_stands_while_anybody_is_subscribed(void **state)
{
    struct fixture *f = *state;
    struct subscription *one = subscribe(f, &f->a, "x", &durable, 1);
    struct subscription *two = subscribe(f, &f->b, "x", &durable, 1);
    assert_int_equal(interest_of(f->interest, hash_of("x")), 1 << 3);
    topics_unsubscribe(f->topics, one);
    assert_int_equal(interest_of(f->interest, hash_of("x")), 1 << 3);
    topics_unsubscribe(f->topics, two);
    assert_int_equal(interest_of(f->interest, hash_of("x")), 0);
    assert_true(topics_watch(f->topics, &f->a, slice_str(">")));
    assert_int_equal(interest_of(f->interest, hash_of("anything")), 1 << 3);
    assert_true(topics_unwatch(f->topics, &f->a, slice_str(">")));
    assert_int_equal(interest_of(f->interest, hash_of("anything")), 0);
}

static void patterns_give_an_event_once_and_an_exact_subscription_goes_first(void **state)
{
    struct fixture *f = *state;
    assert_true(topics_watch(f->topics, &f->a, slice_str("x.*")));
    assert_true(topics_watch(f->topics, &f->a, slice_str(">")));
    assert_false(topics_watch(f->topics, &f->a, slice_str(">")));
    f->a.next_seq = 1;
    tell_all(f, "x.y", 1, 1, 0);
    assert_int_equal(f->got_n, 1);
    assert_true(f->got[0].via_pattern);
    assert_int_equal(f->a.next_seq, 2);
    subscribe(f, &f->a, "x.y", &durable, 2);
    tell_all(f, "x.y", 2, 2, 0);
    assert_int_equal(f->got_n, 2);
    assert_false(f->got[1].via_pattern);
    assert_false(topics_unwatch(f->topics, &f->a, slice_str("nothing")));
}

static void patterns_that_fell_behind_get_nothing_until_they_read_on(void **state)
{
    struct fixture *f = *state;
    assert_true(topics_watch(f->topics, &f->a, slice_str(">")));
    f->a.next_seq = 10;
    patterns_fall_behind(f->topics, &f->a, 8);
    assert_int_equal(f->a.next_seq, 8);
    tell_all(f, "x", 1, 10, 0);
    assert_int_equal(f->got_n, 0);
    f->a.patterns_state = SUB_LIVE;
    f->a.next_seq = 11;
    tell_all(f, "x", 1, 10, 0); /* the replay had it */
    assert_int_equal(f->got_n, 0);
    tell_all(f, "x", 2, 11, 0);
    assert_int_equal(f->got_n, 1);
}

static void a_thousand_topics_come_and_go(void **state)
{
    struct fixture *f = *state;
    char name[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "%c%d", 'a' + i % 26, i);
        subscribe(f, i % 2 ? &f->a : &f->b, name, &durable, 1);
    }
    assert_int_equal(topics_count(f->topics), 1000);
    for (int i = 0; i < 1000; i += 3) {
        snprintf(name, sizeof name, "%c%d", 'a' + i % 26, i);
        struct subscriber *who = i % 2 ? &f->a : &f->b;
        topics_unsubscribe(f->topics, topics_find(f->topics, who, hash_of(name), slice_str(name)));
    }
    for (int i = 0; i < 1000; i += 250) {
        snprintf(name, sizeof name, "%c%d", 'a' + i % 26, i);
        f->got_n = 0;
        tell_all(f, name, 1, 1, 0);
        assert_int_equal(f->got_n, i % 3 ? 1 : 0);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_reaches_who_subscribed_and_nobody_else),
        CASE(another_app_s_channel_of_the_same_name_is_another),
        CASE(the_publisher_s_own_connection_can_be_left_out),
        CASE(what_the_replay_had_is_not_given_again),
        CASE(a_hole_sends_the_subscription_to_the_log),
        CASE(a_subscription_that_waits_gets_nothing),
        CASE(a_live_channel_that_becomes_durable_begins_at_its_first_stored_event),
        CASE(subscribing_again_gives_the_one_that_is_there),
        CASE(interest_stands_while_anybody_is_subscribed),
        CASE(patterns_give_an_event_once_and_an_exact_subscription_goes_first),
        CASE(patterns_that_fell_behind_get_nothing_until_they_read_on),
        CASE(a_thousand_topics_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
