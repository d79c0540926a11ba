#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "channels/event.h"
#include "channels/json_scan.h"

static const int64_t some_time = INT64_C(1795196061123); /* 2026-11-20T17:34:21.123Z */

static struct event full_event(void)
{
    return (struct event){.kind = EVENT_MESSAGE,
                          .channel = slice_str("orders.eu"),
                          .name = slice_str("new\\n"),
                          .data = slice_str("{ \"n\" : 1.50 }"),
                          .from = slice_str("agent-\\\"7"),
                          .headers = slice_str("{\"a\":\"b\"}"),
                          .conflate = slice_str("k1"),
                          .time_ms = some_time,
                          .ttl_s = 60,
                          .exclude = UINT64_MAX};
}

static void assert_same_event(const struct event *a, const struct event *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_true(slice_equal(a->channel, b->channel));
    assert_true(slice_equal(a->name, b->name));
    assert_true(slice_equal(a->data, b->data));
    assert_true(slice_equal(a->from, b->from));
    assert_true(slice_equal(a->headers, b->headers));
    assert_true(slice_equal(a->conflate, b->conflate));
    assert_true(a->time_ms == b->time_ms);
    assert_int_equal(a->ttl_s, b->ttl_s);
    assert_true(a->exclude == b->exclude);
}

/* ---- as stored ---- */

static struct buf pack(const struct event *event)
{
    uint8_t head[EVENT_HEAD_BYTES];
    struct slice parts[EVENT_PARTS_MAX];
    struct buf b = {0};
    size_t n = event_pack_parts(event, head, parts);
    assert_true(n >= 1 && n <= EVENT_PARTS_MAX);
    assert_true(parts[0].p == head && parts[0].n <= EVENT_HEAD_BYTES);
    for (size_t i = 0; i < n; i++) {
        assert_true(parts[i].n > 0);
        buf_add_slice(&b, parts[i]);
    }
    return b;
}

static void assert_packs(const struct event *event)
{
    struct buf b = pack(event);
    struct event read;
    assert_true(event_unpack(buf_slice(&b), &read));
    assert_int_equal(read.channel.n, 0);
    assert_int_equal(read.time_ms, 0);
    read.channel = event->channel;
    read.time_ms = event->time_ms;
    assert_same_event(&read, event);
    buf_done(&b);
}

static void a_stored_event_reads_back_with_and_without_each_part(void **state)
{
    (void)state;
    for (unsigned parts = 0; parts < 128; parts++) {
        struct event e = full_event();
        e.kind = parts % EVENT_KINDS;
        e.name.n *= parts & 1;
        e.data.n *= parts >> 1 & 1;
        e.from.n *= parts >> 2 & 1;
        e.headers.n *= parts >> 3 & 1;
        e.conflate.n *= parts >> 4 & 1;
        e.ttl_s *= parts >> 5 & 1;
        e.exclude *= parts >> 6 & 1;
        assert_packs(&e);
    }
}

static void a_small_event_is_stored_in_five_bytes_more(void **state)
{
    (void)state;
    struct event e = {.name = slice_str("x"), .data = slice_str("1"), .channel = slice_str("c")};
    struct buf b = pack(&e);
    assert_int_equal(b.n, 5 + 1 + 1);
    buf_done(&b);
}

static void the_longest_pieces_are_stored(void **state)
{
    (void)state;
    uint8_t *bytes = malloc(UINT16_MAX);
    assert_non_null(bytes);
    memset(bytes, 'x', UINT16_MAX);
    struct event e = full_event();
    e.name = e.from = e.conflate = slice_of(bytes, UINT16_MAX);
    assert_packs(&e);
    free(bytes);
}

static void a_payload_cut_within_its_pieces_is_refused(void **state)
{
    (void)state;
    struct event e = full_event(), read;
    e.data.n =
        0; /* data is what is left, so a cut in it cannot be seen here: the log's checksum can */
    struct buf b = pack(&e);
    for (size_t n = 0; n < b.n; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        assert_non_null(exact);
        memcpy(exact, b.p, n);
        assert_false(event_unpack(slice_of(exact, n), &read));
        free(exact);
    }
    assert_true(event_unpack(buf_slice(&b), &read));
    buf_done(&b);
}

static void a_payload_of_another_kind_of_program_is_refused(void **state)
{
    (void)state;
    struct event e = full_event(), read;
    struct buf b = pack(&e);
    static const uint8_t wrong[][2] = {{0, 0},   {0, 2},  {1, EVENT_KINDS},
                                       {1, 255}, {2, 32}, {2, 255}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint8_t kept = b.p[wrong[i][0]];
        b.p[wrong[i][0]] = wrong[i][1];
        assert_false(event_unpack(buf_slice(&b), &read));
        b.p[wrong[i][0]] = kept;
    }
    static const uint8_t empty_from[] = {1, 0, 1, 0, 0, 0, 0}; /* a flag for what is empty */
    assert_false(event_unpack(slice_of(empty_from, sizeof empty_from), &read));
    assert_true(event_unpack(buf_slice(&b), &read));
    buf_done(&b);
}

/* ---- as framed ---- */

/* The text in one RFC 6455 frame that fills the whole slice. */
static struct slice frame_text(struct slice frame)
{
    assert_true(frame.n >= 2);
    assert_int_equal(frame.p[0], 0x81);
    size_t n = frame.p[1], header = 2;
    if (n == 126) {
        n = be16_get(frame.p + 2);
        header = 4;
        assert_true(n >= 126); /* the shortest form */
    } else if (n == 127) {
        n = be64_get(frame.p + 2);
        header = 10;
        assert_true(n > UINT16_MAX);
    }
    assert_int_equal(frame.n, header + n);
    size_t at;
    struct slice text = slice_of(frame.p + header, n);
    assert_int_equal(json_check(text, JSON_DEPTH_MAX, &at), JSON_OK);
    return text;
}

static void assert_texts(const struct event *e, uint64_t offset, const char *want)
{
    struct buf b = {0}, json = {0}, arena = {0};
    struct event_frame f;
    event_frame_write(&b, e, offset);
    if (!slice_is(frame_text(buf_slice(&b)), want)) {
        fail_msg("%.*s is not %s", (int)b.n, (const char *)b.p, want);
    }
    event_json_write(&json, e, offset);
    assert_true(slice_is(buf_slice(&json), want));
    event_frame_begin(&arena, e, &f);
    event_frame_finish(arena.p, &f, offset);
    assert_true(slice_equal(slice_of(arena.p + f.at, f.n), buf_slice(&b)));
    buf_done(&b);
    buf_done(&json);
    buf_done(&arena);
}

static void a_message_is_framed_as_the_protocol_says(void **state)
{
    (void)state;
    struct event e = full_event();
    assert_texts(&e, 42,
                 "{\"type\":\"event\",\"offset\":42,\"channel\":\"orders.eu\",\"event\":\"new\\n\","
                 "\"data\":{ \"n\" : 1.50 },\"time\":\"2026-11-20T17:34:21.123Z\","
                 "\"from\":\"agent-\\\"7\",\"headers\":{\"a\":\"b\"}}");
    e.from.n = e.headers.n = e.conflate.n = 0;
    assert_texts(&e, 0,
                 "{\"type\":\"event\",\"channel\":\"orders.eu\",\"event\":\"new\\n\","
                 "\"data\":{ \"n\" : 1.50 },\"time\":\"2026-11-20T17:34:21.123Z\"}");
    e.data.n = 0;
    assert_texts(&e, 1,
                 "{\"type\":\"event\",\"offset\":1,\"channel\":\"orders.eu\",\"event\":\"new\\n\","
                 "\"data\":null,\"time\":\"2026-11-20T17:34:21.123Z\"}");
}

static void a_change_of_presence_is_framed_as_the_protocol_says(void **state)
{
    (void)state;
    struct event e = {.kind = EVENT_JOINED,
                      .channel = slice_str("presence-room"),
                      .name = slice_str("u1"),
                      .data = slice_str("{\"n\":1}"),
                      .time_ms = some_time};
    assert_texts(&e, 7,
                 "{\"type\":\"joined\",\"offset\":7,\"channel\":\"presence-room\",\"member\":{"
                 "\"id\":\"u1\",\"info\":{\"n\":1}},\"time\":\"2026-11-20T17:34:21.123Z\"}");
    e.kind = EVENT_LEFT;
    e.data.n = 0;
    assert_texts(&e, 8,
                 "{\"type\":\"left\",\"offset\":8,\"channel\":\"presence-room\",\"member\":{"
                 "\"id\":\"u1\"},\"time\":\"2026-11-20T17:34:21.123Z\"}");
    e.kind = EVENT_UPDATED;
    e.data = slice_str("[]");
    assert_texts(&e, 0,
                 "{\"type\":\"updated\",\"channel\":\"presence-room\",\"member\":{"
                 "\"id\":\"u1\",\"info\":[]},\"time\":\"2026-11-20T17:34:21.123Z\"}");
}

static void a_time_set_later_reads_as_if_it_had_been_known(void **state)
{
    (void)state;
    struct event events[] = {full_event(), {.channel = slice_str("c"), .name = slice_str("x")}};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        struct buf arena = {0}, expected = {0};
        struct event_frame frame;
        struct event read;
        event_frame_begin(&arena, &events[i], &frame);
        event_frame_time(arena.p, &frame, some_time + 86400123);
        event_frame_finish(arena.p, &frame, 7);
        event_frame_event(arena.p, &frame, &read);
        assert_true(read.time_ms == some_time + 86400123);
        events[i].time_ms = some_time + 86400123;
        event_frame_write(&expected, &events[i], 7);
        assert_true(slice_equal(slice_of(arena.p + frame.at, frame.n), buf_slice(&expected)));
        buf_done(&arena);
        buf_done(&expected);
    }
}

static void offsets_of_every_length_fit(void **state)
{
    (void)state;
    struct event e = full_event();
    uint64_t offset = 0;
    for (int digits = 1; digits <= 20; digits++) {
        offset = digits == 20 ? UINT64_MAX : offset * 10 + 9;
        for (int kind = 0; kind < EVENT_KINDS; kind++) {
            struct buf b = {0};
            struct slice f[1];
            size_t at;
            uint64_t read = 0;
            e.kind = (enum event_kind)kind;
            event_frame_write(&b, &e, offset);
            static const char *const names[] = {"offset"};
            assert_int_equal(json_fields(frame_text(buf_slice(&b)), names, 1, f, &at), JSON_OK);
            assert_int_equal(f[0].n, digits);
            assert_true(json_to_u64(f[0], &read) && read == offset);

            struct buf arena = {0};
            struct event_frame frame;
            event_frame_begin(&arena, &e, &frame);
            event_frame_finish(arena.p, &frame, offset);
            assert_true(slice_equal(slice_of(arena.p + frame.at, frame.n), buf_slice(&b)));
            buf_done(&b);
            buf_done(&arena);
        }
    }
}

/* Around the lengths where the header grows. */
static void every_length_has_the_shortest_header(void **state)
{
    (void)state;
    static const size_t around[] = {126, 65536, 70000};
    uint8_t *data = malloc(80000);
    assert_non_null(data);
    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
        for (size_t want = around[i] - 3; want < around[i] + 3; want++) {
            struct event e = {
                .channel = slice_str("c"), .name = slice_str("x"), .time_ms = some_time};
            struct buf json = {0}, framed = {0}, arena = {0};
            struct event_frame f;
            e.data = slice_str("\"\"");
            event_json_write(&json, &e, 1);
            size_t n = want - json.n + 2;
            memset(data, 'd', n);
            data[0] = data[n - 1] = '"';
            e.data = slice_of(data, n);
            event_frame_write(&framed, &e, 1);
            assert_int_equal(frame_text(buf_slice(&framed)).n, want);
            event_frame_begin(&arena, &e, &f);
            event_frame_finish(arena.p, &f, 1);
            assert_true(slice_equal(slice_of(arena.p + f.at, f.n), buf_slice(&framed)));
            buf_done(&json);
            buf_done(&framed);
            buf_done(&arena);
        }
    }
    free(data);
}

static void a_frame_may_be_finished_again(void **state)
{
    (void)state;
    struct event e = full_event();
    struct buf arena = {0}, b = {0};
    struct event_frame f;
    event_frame_begin(&arena, &e, &f);
    static const uint64_t offsets[] = {UINT64_MAX, 0, 5, 12345678901, 0};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        event_frame_finish(arena.p, &f, offsets[i]);
        buf_clear(&b);
        event_frame_write(&b, &e, offsets[i]);
        assert_true(slice_equal(slice_of(arena.p + f.at, f.n), buf_slice(&b)));
    }
    buf_done(&arena);
    buf_done(&b);
}

/* ---- random events, many in one arena ---- */

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 32) % n);
}

static void random_seed(void)
{
    const char *given = getenv("TEST_SEED");
    random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
    random_state += random_state == 0; /* xorshift stays at 0 */
    print_message("TEST_SEED=%llu\n", (unsigned long long)random_state);
}

static uint8_t letters[70000], quoted[70000];

static struct slice random_letters(uint32_t n_max)
{
    return slice_of(letters + random_below(100), random_below(n_max + 1));
}

static struct event random_event(void)
{
    uint32_t n = random_below(8) ? random_below(300) : random_below(69000);
    struct event e = {.kind = random_below(EVENT_KINDS),
                      .channel = random_letters(164),
                      .name = random_letters(200),
                      .data = slice_of(quoted + sizeof quoted - n - 2, n + 2),
                      .from = random_letters(40),
                      .headers = random_below(2) ? slice_str("{\"h\":[1]}") : slice_of(NULL, 0),
                      .conflate = random_letters(20),
                      .time_ms = some_time + random_below(1000000),
                      .ttl_s = random_below(3),
                      .exclude = random_below(3)};
    quoted[sizeof quoted - n - 2] = '"';
    if (e.kind != EVENT_MESSAGE) {
        e.from.n = e.headers.n = 0;
    }
    return e;
}

/* An arena as a tray has it: events begun one after another, read from their frames for the log,
 * finished when all of them have their offsets. */
static void events_of_one_arena_stay_whole(void **state)
{
    (void)state;
    enum { EVENTS = 40 };
    random_seed();
    memset(letters, 'l', sizeof letters);
    for (int round = 0; round < 100; round++) {
        struct buf arena = {0}, payloads[EVENTS] = {{0}}, wanted[EVENTS] = {{0}};
        struct event_frame frames[EVENTS];
        for (uint32_t i = 0; i < EVENTS; i++) {
            memset(quoted, 'q', sizeof quoted);
            quoted[sizeof quoted - 1] = '"';
            struct event e = random_event(), found;
            event_frame_begin(&arena, &e, &frames[i]);
            event_frame_event(arena.p, &frames[i], &found);
            assert_same_event(&found, &e);
            payloads[i] = pack(&e);
            event_frame_write(&wanted[i], &e, i + 1);
        }
        for (uint32_t i = 0; i < EVENTS; i++) {
            event_frame_finish(arena.p, &frames[i], i + 1);
        }
        for (uint32_t i = 0; i < EVENTS; i++) {
            struct event found;
            struct slice frame = slice_of(arena.p + frames[i].at, frames[i].n);
            assert_true(slice_equal(frame, buf_slice(&wanted[i])));
            (void)frame_text(frame);
            event_frame_event(arena.p, &frames[i], &found);
            struct buf again = pack(&found);
            assert_true(slice_equal(buf_slice(&again), buf_slice(&payloads[i])));
            buf_done(&again);
            buf_done(&payloads[i]);
            buf_done(&wanted[i]);
        }
        buf_done(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stored_event_reads_back_with_and_without_each_part),
        cmocka_unit_test(a_small_event_is_stored_in_five_bytes_more),
        cmocka_unit_test(the_longest_pieces_are_stored),
        cmocka_unit_test(a_payload_cut_within_its_pieces_is_refused),
        cmocka_unit_test(a_payload_of_another_kind_of_program_is_refused),
        cmocka_unit_test(a_message_is_framed_as_the_protocol_says),
        cmocka_unit_test(a_change_of_presence_is_framed_as_the_protocol_says),
        cmocka_unit_test(a_time_set_later_reads_as_if_it_had_been_known),
        cmocka_unit_test(offsets_of_every_length_fit),
        cmocka_unit_test(every_length_has_the_shortest_header),
        cmocka_unit_test(a_frame_may_be_finished_again),
        cmocka_unit_test(events_of_one_arena_stay_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
