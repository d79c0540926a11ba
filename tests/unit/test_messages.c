/* The state machine of a message and one recipient, and its rows. */
#include "tests/unit/scratch.h"

#include "hub/messages/links.h"
#include "hub/messages/lists.h"
#include "hub/messages/message.h"

#include <time.h>

/* Each transition of semantics.md section 5 once; every other cell refuses. */
static const struct transition {
    enum message_state from;
    enum message_event event;
    enum message_state to;
} transitions[] = {
    {MESSAGE_ACCEPTED, MESSAGE_KNOWN, MESSAGE_STORED},
    {MESSAGE_ACCEPTED, MESSAGE_EXPIRE, MESSAGE_EXPIRED},
    {MESSAGE_STORED, MESSAGE_DELIVER, MESSAGE_DELIVERED},
    {MESSAGE_STORED, MESSAGE_EXPIRE, MESSAGE_EXPIRED},
    {MESSAGE_DELIVERED, MESSAGE_ACK, MESSAGE_ACKED},
    {MESSAGE_DELIVERED, MESSAGE_NACK, MESSAGE_RETURNED},
    {MESSAGE_DELIVERED, MESSAGE_PROGRESS, MESSAGE_DELIVERED},
    {MESSAGE_DELIVERED, MESSAGE_TERM, MESSAGE_DEAD},
    {MESSAGE_DELIVERED, MESSAGE_RETURN, MESSAGE_RETURNED},
    {MESSAGE_DELIVERED, MESSAGE_EXHAUST, MESSAGE_DEAD},
    {MESSAGE_DELIVERED, MESSAGE_EXPIRE, MESSAGE_EXPIRED},
    {MESSAGE_DELIVERED, MESSAGE_LET_GO, MESSAGE_SENT},
    {MESSAGE_RETURNED, MESSAGE_DELIVER, MESSAGE_DELIVERED},
    {MESSAGE_RETURNED, MESSAGE_ACK, MESSAGE_ACKED},
    {MESSAGE_RETURNED, MESSAGE_TERM, MESSAGE_DEAD},
    {MESSAGE_RETURNED, MESSAGE_EXPIRE, MESSAGE_EXPIRED},
    {MESSAGE_ACKED, MESSAGE_ACK, MESSAGE_ACKED},
    {MESSAGE_SENT, MESSAGE_ACK, MESSAGE_SENT},
};

static void every_cell_of_the_state_table_is_as_written(void **state)
{
    (void)state;
    for (unsigned from = 0; from < MESSAGE_STATES; from++) {
        for (unsigned event = 0; event < MESSAGE_EVENTS; event++) {
            enum message_state next = MESSAGE_NONE, expected = MESSAGE_NONE;
            for (size_t i = 0; i < sizeof transitions / sizeof *transitions; i++) {
                if (transitions[i].from == from && transitions[i].event == event) {
                    expected = transitions[i].to;
                }
            }
            enum hub_rc rc =
                message_step((enum message_state)from, (enum message_event)event, &next);
            assert_int_equal(next, expected);
            bool settled = from >= MESSAGE_ACKED;
            assert_int_equal(rc, expected ? HUB_OK : settled ? HUB_GONE : HUB_CONFLICT);
            assert_int_equal(message_is_settled((enum message_state)from), settled);
        }
    }
}

static void names_are_those_of_the_contract(void **state)
{
    (void)state;
    enum message_type type;
    enum message_priority priority;
    enum message_protocol protocol;
    for (unsigned i = 0; i < MESSAGE_TYPES; i++) {
        assert_true(message_type_of(slice_str(message_type_name((enum message_type)i)), &type));
        assert_int_equal(type, i);
    }
    assert_true(message_priority_of(slice_str("CRITICAL"), &priority));
    assert_int_equal(priority, MESSAGE_CRITICAL);
    assert_false(message_priority_of(slice_str("urgent"), &priority));
    assert_false(message_priority_of(slice_str("a word that is far too long"), &priority));
    assert_true(message_protocol_of(slice_str("peer_to_peer"), &protocol));
    assert_int_equal(protocol, MESSAGE_BY_PEERS);
    assert_false(message_protocol_of(slice_str("direct"), &protocol));
    assert_string_equal(message_state_name(MESSAGE_RETURNED), "stored");
    assert_string_equal(message_state_name(MESSAGE_SENT), "delivered");
}

/* ---- rows ---- */

static struct store *opened(const char *dir)
{
    struct store *store;
    struct store_options options = {.path = dir, .map_bytes = (size_t)1 << 26, .fresh_epoch = {1}};
    char text[200] = "";
    if (store_open(&options, &store, text, sizeof text) != STORE_OK) {
        fail_msg("%s", text);
    }
    return store;
}

static void a_message_is_found_by_the_hubs_id_and_by_its_own(void **state)
{
    struct store *store = opened(*state);
    struct store_txn *txn;
    struct message m = {.number = 70000,
                        .app = 1,
                        .payload = slice_str("{\"a\":1}"),
                        .sender = slice_str("a"),
                        .receiver = slice_str("b"),
                        .ttl_ms = 5,
                        .accepted_ms = 1795196061000,
                        .hops = 3,
                        .ack_none = true};
    struct message found;
    uint8_t seed[16] = {7};
    char id[37];
    assert_int_equal(store_begin(store, &txn), STORE_OK);
    struct store_view *view = store_txn_view(txn);
    message_id_make(m.accepted_ms, seed, m.number, id);
    m.id = slice_str(id);
    assert_int_equal(message_put(txn, &m), STORE_OK);
    assert_int_equal(message_find(view, 1, slice_str(id), &found), STORE_OK);
    assert_int_equal(found.number, 70000);
    assert_true(slice_is(found.payload, "{\"a\":1}") && found.ack_none && found.hops == 3);
    assert_int_equal(message_find(view, 2, slice_str(id), &found), STORE_NOT_FOUND);
    id[0] = id[0] == 'f' ? 'e' : 'f';
    assert_int_equal(message_find(view, 1, slice_str(id), &found), STORE_NOT_FOUND);
    m.number++;
    m.id = slice_str("order-7");
    assert_int_equal(message_put(txn, &m), STORE_OK);
    assert_int_equal(message_id_put(txn, 1, m.id, m.number), STORE_OK);
    assert_int_equal(message_find(view, 1, slice_str("order-7"), &found), STORE_OK);
    assert_int_equal(found.number, 70001);
    assert_int_equal(message_find(view, 2, slice_str("order-7"), &found), STORE_NOT_FOUND);
    store_abort(txn);
    store_close(store);
}

struct numbers {
    uint64_t list[16];
    size_t n, most;
};

static bool collect(void *ctx, uint64_t number)
{
    struct numbers *numbers = ctx;
    numbers->list[numbers->n++] = number;
    return numbers->n < numbers->most;
}

static void a_list_shows_one_word_of_one_app_both_ways(void **state)
{
    struct store *store = opened(*state);
    struct store_txn *txn;
    assert_int_equal(store_begin(store, &txn), STORE_OK);
    struct store_view *view = store_txn_view(txn);
    for (uint64_t n = 1; n <= 6; n++) {
        struct slice word = slice_str(n % 2 ? "odd" : "even");
        assert_int_equal(message_list_add(txn, MESSAGES_SENDER, n == 5 ? 2 : 1, word, n), STORE_OK);
    }
    struct numbers down = {.most = 16}, up = {.most = 2}, none = {.most = 16};
    assert_int_equal(
        messages_each(view, MESSAGES_SENDER, 1, slice_str("odd"), 0, true, collect, &down),
        STORE_OK);
    assert_int_equal(down.n, 2);
    assert_true(down.list[0] == 3 && down.list[1] == 1);
    assert_int_equal(
        messages_each(view, MESSAGES_SENDER, 1, slice_str("even"), 2, false, collect, &up),
        STORE_OK);
    assert_int_equal(up.n, 2);
    assert_true(up.list[0] == 4 && up.list[1] == 6);
    assert_int_equal(
        messages_each(view, MESSAGES_RECIPIENT, 1, slice_str("odd"), 0, true, collect, &none),
        STORE_OK);
    assert_int_equal(none.n, 0);
    assert_true(message_list_has(view, MESSAGES_SENDER, 2, slice_str("odd"), 5));
    assert_false(message_list_has(view, MESSAGES_SENDER, 1, slice_str("odd"), 5));
    store_abort(txn);
    store_close(store);
}

enum { NUMBERS = 2000, WORDS = 3 };

static const char *const words[WORDS] = {"a", "b", ""};

/* What a list must say, kept the simple way. */
struct expected {
    bool listed[NUMBERS + 1];
    uint64_t oldest, newest;
};

struct seen {
    uint64_t list[NUMBERS];
    size_t n, most;
};

static bool see(void *ctx, uint64_t number)
{
    struct seen *seen = ctx;
    seen->list[seen->n++] = number;
    return seen->n < seen->most;
}

static size_t expected_numbers(const struct expected *e, uint64_t from, bool reverse, size_t most,
                               uint64_t *out)
{
    size_t n = 0;
    if (reverse) {
        for (uint64_t i = from && from < NUMBERS ? from : NUMBERS; i > 0 && n < most; i--) {
            out[n] = i;
            n += e->listed[i];
        }
    } else {
        for (uint64_t i = from + 1; i <= NUMBERS && n < most; i++) {
            out[n] = i;
            n += e->listed[i];
        }
    }
    return n;
}

static void check_list(struct store_view *view, const struct expected *e, enum message_list list,
                       struct slice word)
{
    static uint64_t wanted[NUMBERS + 1];
    static struct seen seen;
    uint64_t from = (uint64_t)rand() % (e->newest + 10), all = 0, counted, probe;
    bool reverse = rand() % 2;
    seen.n = 0;
    seen.most = rand() % 2 ? NUMBERS : 1 + (size_t)rand() % 200;
    size_t n = expected_numbers(e, from, reverse, seen.most, wanted);
    assert_int_equal(messages_each(view, list, 1, word, from, reverse, see, &seen), STORE_OK);
    assert_int_equal(seen.n, n);
    assert_memory_equal(seen.list, wanted, n * sizeof *wanted);
    for (uint64_t i = 1; i <= NUMBERS; i++) {
        all += e->listed[i];
    }
    assert_int_equal(message_list_count(view, list, 1, word, &counted), STORE_OK);
    assert_int_equal(counted, all);
    probe = 1 + (uint64_t)rand() % (e->newest + 3 < NUMBERS ? e->newest + 3 : NUMBERS);
    assert_int_equal(message_list_has(view, list, 1, word, probe), e->listed[probe]);
}

static void end_oldest(struct store_txn *txn, struct expected *expected, uint64_t oldest)
{
    for (unsigned i = 0; i < WORDS; i++) {
        enum message_list list = words[i][0] ? MESSAGES_OWNER : MESSAGES_ALL;
        for (int again = rand() % 2; expected[i].listed[oldest] && again >= 0; again--) {
            assert_int_equal(message_list_drop(txn, list, 1, slice_str(words[i]), oldest),
                             STORE_OK);
        }
        expected[i].listed[oldest] = false;
    }
}

/* Numbers come in order, now and then one that is older, or again; they end oldest first, now and
 * then again. So do a message's recipients, their owners, and their history. */
static void a_list_is_what_was_added_and_has_not_ended(void **state)
{
    static struct expected expected[WORDS];
    struct store *store = opened(*state);
    struct store_txn *txn;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    memset(expected, 0, sizeof expected);
    assert_int_equal(store_begin(store, &txn), STORE_OK);
    for (uint64_t newest = 1, oldest = 1; newest <= NUMBERS;) {
        unsigned w = (unsigned)rand() % WORDS;
        struct expected *e = &expected[w];
        struct slice word = slice_str(words[w]);
        enum message_list list = word.n ? MESSAGES_OWNER : MESSAGES_ALL;
        uint64_t number = newest;
        switch (rand() % 8) {
        case 0: /* older, of those that are not over */
            number = oldest + (uint64_t)rand() % (newest - oldest + 1);
            /* fall through */
        case 1: /* in order; perhaps again */
        case 2:
        case 3:
            assert_int_equal(message_list_add(txn, list, 1, word, number), STORE_OK);
            e->listed[number] = true;
            e->newest = newest;
            break;
        case 4:
        case 5:
        case 6:
            newest++;
            break;
        default: /* the oldest message of all ends, in every list that has it */
            if (newest - oldest > 300 + (uint64_t)rand() % 300) {
                end_oldest(txn, expected, oldest++);
            }
        }
        check_list(store_txn_view(txn), e, list, word);
        if (rand() % 100 == 0) {
            assert_int_equal(store_commit(txn), STORE_OK);
            assert_int_equal(store_begin(store, &txn), STORE_OK);
        }
    }
    store_abort(txn);
    store_close(store);
}

static void a_list_that_has_ended_leaves_no_row(void **state)
{
    struct store *store = opened(*state);
    struct store_txn *txn;
    assert_int_equal(store_begin(store, &txn), STORE_OK);
    for (uint64_t n = 1; n <= 1000; n++) {
        assert_int_equal(message_list_add(txn, MESSAGES_SENDER, 1, slice_str("bee"), n), STORE_OK);
    }
    uint64_t rows = store_count(store_txn_view(txn), TABLE_MAIL_INDEX);
    assert_true(rows > 1 && rows <= 1000 / 32);
    for (uint64_t n = 1; n <= 1000; n++) {
        assert_int_equal(message_list_drop(txn, MESSAGES_SENDER, 1, slice_str("bee"), n), STORE_OK);
    }
    assert_int_equal(store_count(store_txn_view(txn), TABLE_MAIL_INDEX), 0);
    store_abort(txn);
    store_close(store);
}

static void tally_and_deliveries_read_back(void **state)
{
    struct store *store = opened(*state);
    struct store_txn *txn;
    struct message_tally t = {
        .recipients = 3, .acked = 1, .expired = 1, .expiry = {.due_ms = 9, .id = 4}};
    struct message_delivery d = {.app = 1,
                                 .recipient = slice_str("bee"),
                                 .owner = slice_str("own"),
                                 .state = MESSAGE_RETURNED,
                                 .priority = MESSAGE_LOW,
                                 .deliveries = 2,
                                 .due_ms = 77,
                                 .expires_ms = 99};
    uint64_t number;
    assert_int_equal(store_begin(store, &txn), STORE_OK);
    struct store_view *view = store_txn_view(txn);
    assert_int_equal(message_tally_put(txn, 5, &t), STORE_OK);
    assert_int_equal(delivery_put(txn, delivery_number(5, 2), &d), STORE_OK);
    assert_int_equal(delivery_name_put(txn, delivery_number(5, 2), d.recipient), STORE_OK);
    struct message_delivery first = d;
    first.recipient = slice_str("ant");
    assert_int_equal(delivery_put(txn, delivery_number(5, 1), &first), STORE_OK);
    memset(&t, 0, sizeof t);
    memset(&d, 0, sizeof d);
    assert_int_equal(message_tally_get(view, 5, &t), STORE_OK);
    assert_true(t.recipients == 3 && t.expiry.id == 4 && !message_tally_is_settled(&t));
    assert_int_equal(delivery_find(view, 5, slice_str("bee"), &number, &d), STORE_OK);
    assert_int_equal(number, delivery_number(5, 2));
    assert_int_equal(delivery_get(view, number, &d), STORE_OK);
    assert_true(slice_is(d.owner, "own") && d.state == MESSAGE_RETURNED && d.due_ms == 77);
    assert_int_equal(delivery_find(view, 5, slice_str("wasp"), &number, &d), STORE_NOT_FOUND);
    store_abort(txn);
    store_close(store);
}

static bool count_link(void *ctx, const struct link *link)
{
    (void)link;
    ++*(unsigned *)ctx;
    return true;
}

static void links_have_one_direction_and_masters_form_no_circle(void **state)
{
    struct store *store = opened(*state);
    struct store_txn *txn;
    unsigned n = 0;
    assert_int_equal(store_begin(store, &txn), STORE_OK);
    struct store_view *view = store_txn_view(txn);
    struct link ab = {.from = slice_str("a"), .to = slice_str("b")};
    struct link bc = {.from = slice_str("b"), .to = slice_str("c")};
    assert_int_equal(link_add(txn, LINK_PEER, 1, &ab), STORE_OK);
    assert_true(link_has(view, LINK_PEER, 1, ab.from, ab.to));
    assert_false(link_has(view, LINK_PEER, 1, ab.to, ab.from));
    assert_false(link_has(view, LINK_PEER, 2, ab.from, ab.to));
    assert_int_equal(link_add(txn, LINK_SUB, 1, &ab), STORE_OK);
    assert_int_equal(link_add(txn, LINK_SUB, 1, &bc), STORE_OK);
    assert_true(link_has(view, LINK_MASTER, 1, slice_str("c"), slice_str("b")));
    assert_true(link_is_above(view, 1, slice_str("c"), slice_str("a")));
    assert_true(link_is_above(view, 1, slice_str("a"), slice_str("a")));
    assert_false(link_is_above(view, 1, slice_str("a"), slice_str("c")));
    assert_int_equal(
        links_each(view, LINK_SUB, 1, slice_of(NULL, 0), slice_of(NULL, 0), count_link, &n),
        STORE_OK);
    assert_int_equal(n, 2);
    assert_int_equal(link_remove(txn, LINK_SUB, 1, bc.from, bc.to), STORE_OK);
    assert_false(link_has(view, LINK_MASTER, 1, slice_str("c"), slice_str("b")));
    assert_int_equal(link_remove(txn, LINK_SUB, 1, bc.from, bc.to), STORE_NOT_FOUND);
    store_abort(txn);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_state_table_is_as_written),
        cmocka_unit_test(names_are_those_of_the_contract),
        scratch_test(a_message_is_found_by_the_hubs_id_and_by_its_own),
        scratch_test(a_list_shows_one_word_of_one_app_both_ways),
        scratch_test(a_list_is_what_was_added_and_has_not_ended),
        scratch_test(a_list_that_has_ended_leaves_no_row),
        scratch_test(tally_and_deliveries_read_back),
        scratch_test(links_have_one_direction_and_masters_form_no_circle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
