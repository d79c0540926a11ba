#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "tests/fuzz/corpus.h"
#include "tests/fuzz/ws_trace.h"

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* --- frames to feed -----------------------------------------------------------------------------
 */

enum { FIN = 0x80 };

/* Appends a frame as a client sends it. */
static void add_frame(struct buf *b, unsigned first_byte, const void *payload, size_t n)
{
    uint8_t head[WS_HEAD_BYTES_MAX];
    size_t head_n = ws_head_put(head, WS_TEXT, true, n, mask);
    head[0] = (uint8_t)first_byte;
    buf_add(b, head, head_n);
    buf_add(b, payload, n);
    ws_mask(b->p + b->n - n, n, mask, 0);
}

static void add_text(struct buf *b, unsigned first_byte, const char *text)
{
    add_frame(b, first_byte, text, strlen(text));
}

static void assert_cuts_change_nothing(enum ws_role role, size_t bytes_max, const uint8_t *p,
                                       size_t n)
{
    struct buf plain = {0}, cut = {0};
    plain_ws(&plain, role, bytes_max, p, n);
    ws_trace(&cut, role, bytes_max, cut_everywhere(), p, n);
    assert_true(slice_equal(buf_slice(&plain), buf_slice(&cut)));
    for (size_t at = 1; at <= n; at += n < 2000 || at < 200 || n - at < 200 ? 1 : 509) {
        buf_clear(&cut);
        ws_trace(&cut, role, bytes_max, cut_at(at, n), p, n);
        assert_true(slice_equal(buf_slice(&plain), buf_slice(&cut)));
    }
    buf_done(&plain);
    buf_done(&cut);
}

static void visit_corpus(const uint8_t *p, size_t n)
{
    assert_cuts_change_nothing(WS_SERVER, 1 << 16, p, n);
    assert_cuts_change_nothing(WS_SERVER, 40, p, n);
    assert_cuts_change_nothing(WS_CLIENT, 1 << 16, p, n);
}

static void no_cut_changes_what_is_said_of_the_corpus(void **state)
{
    (void)state;
    assert_true(corpus_visit("ws", visit_corpus) >= 30);
}

/* --- faults -------------------------------------------------------------------------------------
 */

struct breach {
    enum ws_role role;
    const char *bytes;
    size_t n; /* the fault shows with the last of them, and not before */
    uint16_t code;
    const char *reason;
};

#define BYTES(text) text, sizeof text - 1

// clang-format off
static const struct breach breaches[] = {
    /* RFC 6455 section 5.2: bits, opcodes, masks, lengths. */
    {WS_SERVER, BYTES("\xc1\x80"),             1002, "a reserved bit is set"},
    {WS_SERVER, BYTES("\xa1\x80"),             1002, "a reserved bit is set"},
    {WS_SERVER, BYTES("\x91\x80"),             1002, "a reserved bit is set"},
    {WS_SERVER, BYTES("\xc9\x80"),             1002, "a reserved bit is set"},
    {WS_SERVER, BYTES("\x83\x80"),             1002, "a reserved opcode"},
    {WS_SERVER, BYTES("\x87\x80"),             1002, "a reserved opcode"},
    {WS_SERVER, BYTES("\x8b\x80"),             1002, "a reserved opcode"},
    {WS_SERVER, BYTES("\x8f\x80"),             1002, "a reserved opcode"},
    {WS_SERVER, BYTES("\x81\x05"),             1002, "a frame from a client is not masked"},
    {WS_SERVER, BYTES("\x88\x00"),             1002, "a frame from a client is not masked"},
    {WS_CLIENT, BYTES("\x81\x85"),             1002, "a frame from a server is masked"},
    {WS_SERVER, BYTES("\x82\xfe\x00\x7d"),     1002, "a length is not in its shortest form"},
    {WS_SERVER, BYTES("\x82\xfe\x00\x00"),     1002, "a length is not in its shortest form"},
    {WS_SERVER, BYTES("\x82\xff\0\0\0\0\0\0\xff\xff"), 1002, "a length is not in its shortest form"},
    {WS_CLIENT, BYTES("\x82\x7f\0\0\0\0\0\0\0\x05"),   1002, "a length is not in its shortest form"},
    {WS_SERVER, BYTES("\x82\xff\x80\0\0\0\0\0\0\0"),   1002, "a length of more than 63 bits"},
    {WS_SERVER, BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"), 1009, "the message is too long"},
    {WS_SERVER, BYTES("\x82\xff\0\0\0\1\0\0\0\0"),     1009, "the message is too long"},
    {WS_SERVER, BYTES("\x82\xfe\x03\xe9"),     1009, "the message is too long"},
    /* Section 5.5: control frames. */
    {WS_SERVER, BYTES("\x09\x80"),             1002, "a control frame in fragments"},
    {WS_SERVER, BYTES("\x08\x80"),             1002, "a control frame in fragments"},
    {WS_SERVER, BYTES("\x89\xfe"),             1002, "a control frame of more than 125 bytes"},
    {WS_SERVER, BYTES("\x8a\xff"),             1002, "a control frame of more than 125 bytes"},
    {WS_SERVER, BYTES("\x88\xfe"),             1002, "a control frame of more than 125 bytes"},
    /* Section 5.4: fragments. */
    {WS_SERVER, BYTES("\x80\x80"),             1002, "a continuation of no message"},
    {WS_SERVER, BYTES("\x00\x80"),             1002, "a continuation of no message"},
    {WS_CLIENT, BYTES("\x81\x00\x80\x00"),     1002, "a continuation of no message"},
    {WS_CLIENT, BYTES("\x01\x00\x80\x00\x80\x00"),     1002, "a continuation of no message"},
    {WS_CLIENT, BYTES("\x01\x00\x81\x00"),     1002, "a new message inside a fragmented one"},
    {WS_CLIENT, BYTES("\x02\x01x\x89\x00\x02\x00"),    1002, "a new message inside a fragmented one"},
    {WS_CLIENT, BYTES("\x02\x7d" "0123456789012345678901234567890123456789012345678901234567890123456"
                      "7890123456789012345678901234567890123456789012345678901234\x80\x7e\x03\x6c"),
                                               1009, "the message is too long"},
    /* Section 5.5.1 and 7.4: closing. */
    {WS_CLIENT, BYTES("\x88\x01\x03"),         1002, "a close frame of one byte"},
    {WS_CLIENT, BYTES("\x88\x02\x03\xe7"),     1002, "a close code that may not be sent"},
    {WS_CLIENT, BYTES("\x88\x02\x03\xec"),     1002, "a close code that may not be sent"},
    {WS_CLIENT, BYTES("\x88\x02\x03\xed"),     1002, "a close code that may not be sent"},
    {WS_CLIENT, BYTES("\x88\x02\x03\xee"),     1002, "a close code that may not be sent"},
    {WS_CLIENT, BYTES("\x88\x02\x03\xf7"),     1002, "a close code that may not be sent"},
    {WS_CLIENT, BYTES("\x88\x03\x13\x88x"),    1002, "a close code that may not be sent"},
    {WS_CLIENT, BYTES("\x88\x04\x03\xe8\xc3("), 1007, "the reason for closing is not UTF-8"},
    {WS_CLIENT, BYTES("\x88\x03\x03\xe8\xc3"), 1007, "the reason for closing is not UTF-8"},
    /* Section 8.1: text, found at once and across fragments. */
    {WS_CLIENT, BYTES("\x81\x7e\x03\xe8" "ab\xff"),    1007, "a text message is not UTF-8"},
    {WS_CLIENT, BYTES("\x81\x7e\x03\xe8\xf4\x90"),     1007, "a text message is not UTF-8"},
    {WS_CLIENT, BYTES("\x81\x7e\x03\xe8\xed\xa0"),     1007, "a text message is not UTF-8"},
    {WS_CLIENT, BYTES("\x01\x01\xe2\x89\x01\xff\x00\x02\x82("), 1007, "a text message is not UTF-8"},
    {WS_CLIENT, BYTES("\x01\x01\xe2\x80\x01\x82"),     1007, "a text message is not UTF-8"},
    {WS_CLIENT, BYTES("\x81\x01\xc3"),         1007, "a text message is not UTF-8"},
    {WS_CLIENT, BYTES("\x01\x01\xc3\x80\x00"), 1007, "a text message is not UTF-8"},
};
// clang-format on

/* Feeds one byte after another; the count of bytes at which an error came, or 0. */
static size_t error_at(struct ws *w, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = p[i];
        size_t used;
        if (ws_feed(w, &byte, 1, &used) == WS_ERROR) {
            return i + 1;
        }
    }
    return 0;
}

static void each_breach_is_found_at_the_first_byte_that_shows_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof breaches / sizeof *breaches; i++) {
        const struct breach *b = &breaches[i];
        const uint8_t *bytes = (const uint8_t *)b->bytes;
        struct ws w;
        size_t used;
        ws_init(&w, b->role, 1000);
        size_t at = error_at(&w, bytes, b->n);
        if (at != b->n || w.code != b->code || strcmp(ws_reason(&w), b->reason) != 0) {
            fail_msg("row %zu: at %zu of %zu, %d %s", i, at, b->n, w.code, ws_reason(&w));
        }
        assert_null(w.part);
        assert_int_equal(ws_feed(&w, NULL, 0, &used), WS_ERROR); /* for good */
        ws_done(&w);
        assert_cuts_change_nothing(b->role, 1000, bytes, b->n);
    }
}

static void every_close_code_is_judged(void **state)
{
    (void)state;
    for (unsigned code = 0; code <= UINT16_MAX; code++) {
        uint8_t frame[] = {0x88, 2, (uint8_t)(code >> 8), (uint8_t)code};
        bool valid = plain_code_valid(code);
        struct ws w;
        size_t used;
        ws_init(&w, WS_CLIENT, 0);
        assert_int_equal(ws_close_code_valid((uint16_t)code), valid);
        assert_int_equal(ws_feed(&w, frame, sizeof frame, &used), valid ? WS_CLOSE : WS_ERROR);
        assert_int_equal(w.code, valid ? code : 1002);
        ws_done(&w);
    }
}

/* --- what is given ------------------------------------------------------------------------------
 */

/* The example of RFC 6455 section 5.7 */
static void a_whole_frame_is_unmasked_and_given_where_it_lies(void **state)
{
    (void)state;
    uint8_t frame[] = {0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58, 0x81};
    struct ws w;
    size_t used;
    ws_init(&w, WS_SERVER, 5);
    assert_true(sizeof w <= 64);
    assert_int_equal(ws_feed(&w, frame, sizeof frame, &used), WS_MESSAGE);
    assert_int_equal(used, sizeof frame - 1);
    assert_int_equal(w.opcode, WS_TEXT);
    assert_ptr_equal(w.message.p, frame + 6);
    assert_true(slice_is(w.message, "Hello"));
    assert_null(w.part);
    ws_done(&w);
}

/* All that is said of bytes in two inputs, as "event:message " after event. */
static void say_all(struct buf *said, struct ws *w, uint8_t *bytes, size_t cut, size_t n)
{
    size_t ends[] = {cut, n}, at = 0, used;
    for (int i = 0; i < 2; i++) {
        enum ws_event event;
        while ((event = ws_feed(w, bytes + at, ends[i] - at, &used)) != WS_MORE) {
            at += used;
            buf_printf(said, "%d:", (int)event);
            buf_add_slice(said, w->message);
            buf_add_str(said, " ");
            if (event == WS_CLOSE) {
                return;
            }
        }
        at += used;
    }
}

static void control_frames_come_between_the_fragments_of_a_message(void **state)
{
    (void)state;
    struct buf b = {0};
    struct ws w;
    add_text(&b, WS_TEXT, "Hel");
    add_text(&b, FIN | WS_OP_PING, "one");
    add_text(&b, WS_CONTINUATION, "");
    add_text(&b, FIN | WS_OP_PONG, "");
    add_text(&b, WS_CONTINUATION, "l");
    add_text(&b, FIN | WS_CONTINUATION, "o");
    add_text(&b, FIN | WS_BINARY, "");
    add_text(&b, FIN | WS_OP_CLOSE,
             "\x0f\xa1"
             "bye");
    assert_cuts_change_nothing(WS_SERVER, 5, b.p, b.n);
    for (size_t cut = 1; cut < b.n; cut++) { /* by hand too, not to trust two decoders alone */
        struct buf copy = {0}, said = {0};
        buf_add_slice(&copy, buf_slice(&b));
        ws_init(&w, WS_SERVER, 5);
        say_all(&said, &w, copy.p, cut, copy.n);
        assert_true(slice_is(buf_slice(&said), "2:one 3: 1:Hello 1: 4:bye "));
        assert_int_equal(w.code, 4001);
        ws_done(&w);
        buf_done(&copy);
        buf_done(&said);
    }
    buf_done(&b);
}

static void a_close_frame_may_be_empty(void **state)
{
    (void)state;
    struct buf b = {0};
    struct ws w;
    add_text(&b, FIN | WS_OP_CLOSE, "");
    size_t used;
    ws_init(&w, WS_SERVER, 5);
    assert_int_equal(ws_feed(&w, b.p, b.n, &used), WS_CLOSE);
    assert_int_equal(w.message.n, 0);
    assert_int_equal(w.code, 1005);
    assert_int_equal(ws_feed(&w, b.p, b.n, &used), WS_CLOSE); /* nothing comes after it */
    assert_int_equal(used, 0);
    ws_done(&w);
    buf_done(&b);
}

static void a_binary_message_may_hold_any_bytes(void **state)
{
    (void)state;
    uint8_t all[256];
    struct buf b = {0};
    for (unsigned i = 0; i < 256; i++) {
        all[i] = (uint8_t)i;
    }
    add_frame(&b, WS_BINARY, all, 100);
    add_frame(&b, FIN | WS_CONTINUATION, all + 100, 156);
    struct ws w;
    size_t used;
    ws_init(&w, WS_SERVER, 256);
    assert_int_equal(ws_feed(&w, b.p, b.n, &used), WS_MESSAGE);
    assert_int_equal(w.opcode, WS_BINARY);
    assert_true(slice_equal(w.message, slice_of(all, 256)));
    ws_done(&w);
    buf_done(&b);
}

/* --- bounds and memory --------------------------------------------------------------------------
 */

static void a_message_may_be_as_long_as_its_limit_in_one_frame_or_many(void **state)
{
    (void)state;
    uint8_t text[130];
    memset(text, 'x', sizeof text);
    for (size_t n = 126; n <= 130; n++) {
        for (size_t first = 0; first <= n; first += 13) {
            struct buf b = {0};
            struct ws w;
            size_t used;
            add_frame(&b, WS_TEXT, text, first);
            add_text(&b, FIN | WS_OP_PING, "a ping does not count");
            add_frame(&b, FIN | WS_CONTINUATION, text, n - first);
            assert_cuts_change_nothing(WS_SERVER, 128, b.p, b.n);
            ws_init(&w, WS_SERVER, 128);
            enum ws_event event = ws_feed(&w, b.p, b.n, &used);
            if (event == WS_PING) {
                event = ws_feed(&w, b.p + used, b.n - used, &used);
            }
            assert_int_equal(event, n <= 128 ? WS_MESSAGE : WS_ERROR);
            assert_int_equal(w.code, n <= 128 ? 0 : 1009);
            ws_done(&w);
            buf_done(&b);
        }
    }
}

static void memory_grows_with_what_came_and_not_with_what_was_announced(void **state)
{
    (void)state;
    uint8_t head[WS_HEAD_BYTES_MAX], bytes[1000] = {0};
    struct ws w;
    size_t used, head_n = ws_head_put(head, WS_BINARY, true, WS_MESSAGE_BYTES_LIMIT, mask);
    ws_init(&w, WS_SERVER, WS_MESSAGE_BYTES_LIMIT);
    assert_int_equal(ws_feed(&w, head, head_n, &used), WS_MORE);
    assert_true(w.part_cap <= 256);
    for (size_t came = 0; came < 100 * sizeof bytes; came += sizeof bytes) {
        assert_int_equal(ws_feed(&w, bytes, sizeof bytes, &used), WS_MORE);
        assert_true(w.part_cap <= 2 * (came + sizeof bytes) + 256);
    }
    ws_done(&w);
}

static void nothing_is_owned_once_a_message_in_parts_has_been_given(void **state)
{
    (void)state;
    struct buf b = {0};
    struct ws w;
    size_t used;
    add_text(&b, WS_TEXT, "in ");
    add_text(&b, FIN | WS_CONTINUATION, "parts");
    ws_init(&w, WS_SERVER, 100);
    assert_int_equal(ws_feed(&w, b.p, b.n, &used), WS_MESSAGE);
    assert_non_null(w.part);
    assert_true(slice_is(w.message, "in parts"));
    assert_int_equal(ws_feed(&w, NULL, 0, &used), WS_MORE);
    assert_null(w.part);
    buf_clear(&b);
    add_text(&b, FIN | WS_OP_PING, "in parts"); /* and so with a control frame */
    for (size_t i = 0; i < b.n; i++) {
        assert_int_equal(ws_feed(&w, b.p + i, 1, &used), i + 1 < b.n ? WS_MORE : WS_PING);
    }
    assert_true(slice_is(w.message, "in parts"));
    assert_int_equal(ws_feed(&w, NULL, 0, &used), WS_MORE);
    assert_null(w.part);
    ws_done(&w);
    buf_done(&b);
}

/* --- random streams -----------------------------------------------------------------------------
 */

/* Mostly what the rules allow, so that streams get somewhere; now and then anything at all. */
static void add_random_frame(struct buf *b, uint64_t *seed, enum ws_role role, bool *io_inside)
{
    static const char *const texts[] = {"plain ASCII",  "caf\xc3\xa9", "\xe2\x82\xac",
                                        "\xf0\x9f\x90", "\x9d",        ""};
    uint8_t head[WS_HEAD_BYTES_MAX], payload[400];
    uint64_t dice = next_random(seed);
    bool control = dice % 4 == 0, fin = control || dice / 4 % 2;
    enum ws_opcode opcode = control      ? WS_OP_PING + (dice / 8 % 2)
                            : *io_inside ? WS_CONTINUATION
                                         : WS_TEXT + (dice / 16 % 2);
    size_t n = 0, most = control ? 60 : 1 + next_random(seed) % 300;
    while (n < most && next_random(seed) % 16) {
        const char *text = texts[next_random(seed) % (next_random(seed) % 4 ? 3 : 6)];
        memcpy(payload + n, text, strlen(text));
        n += strlen(text);
    }
    size_t head_n = ws_head_put(head, opcode, fin, n, role == WS_SERVER ? mask : NULL);
    head[0] ^= next_random(seed) % 50 ? 0 : (uint8_t)next_random(seed);
    head[1] ^= next_random(seed) % 100 ? 0 : (uint8_t)next_random(seed);
    buf_add(b, head, head_n);
    if (role == WS_SERVER) {
        ws_mask(payload, n, mask, 0);
    }
    buf_add(b, payload, n);
    *io_inside = control ? *io_inside : !fin;
}

static void random_frames_are_read_as_by_a_plain_decoder(void **state)
{
    (void)state;
    uint64_t seed = (uint64_t)time(NULL) | 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    size_t messages = 0;
    for (int round = 0; round < 20000; round++) {
        struct buf stream = {0}, plain = {0}, cut = {0};
        enum ws_role role = next_random(&seed) % 2 ? WS_SERVER : WS_CLIENT;
        bool inside = false;
        for (uint64_t i = 1 + next_random(&seed) % 12; i > 0; i--) {
            add_random_frame(&stream, &seed, role, &inside);
        }
        size_t most = 1 + next_random(&seed) % 400;
        plain_ws(&plain, role, 700, stream.p, stream.n);
        ws_trace(&cut, role, 700, cut_randomly(next_random(&seed), most), stream.p, stream.n);
        assert_true(slice_equal(buf_slice(&plain), buf_slice(&cut)));
        messages += slice_starts(buf_slice(&plain), "\nMESSAGE");
        buf_done(&stream);
        buf_done(&plain);
        buf_done(&cut);
    }
    assert_true(messages > 2000); /* else the streams were all bad, and nothing was shown */
}

/* --- frames to send -----------------------------------------------------------------------------
 */

static void a_frame_that_we_head_is_read_by_the_other_end(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536, 65537, 100000};
    for (size_t i = 0; i < 2 * (sizeof sizes / sizeof *sizes); i++) {
        size_t n = sizes[i / 2], used;
        bool masked = i % 2;
        uint8_t *frame = xcalloc(1, WS_HEAD_BYTES_MAX + n);
        size_t head_n = ws_head_put(frame, WS_BINARY, true, n, masked ? mask : NULL);
        struct ws w;
        assert_int_equal(head_n, (n < 126 ? 2u : n < 65536 ? 4u : 10u) + (masked ? 4 : 0));
        ws_init(&w, masked ? WS_SERVER : WS_CLIENT, 1 << 20);
        assert_int_equal(ws_feed(&w, frame, head_n + n, &used), WS_MESSAGE);
        assert_int_equal(used, head_n + n);
        assert_int_equal(w.message.n, n);
        ws_done(&w);
        free(frame);
    }
}

static void assert_closes_with(const char *reason, const char *expected, const uint8_t *with_mask)
{
    uint8_t frame[WS_CLOSE_FRAME_BYTES_MAX];
    struct ws w;
    size_t used, n = ws_close_put(frame, 4100, reason, with_mask);
    ws_init(&w, with_mask ? WS_SERVER : WS_CLIENT, 0);
    assert_int_equal(ws_feed(&w, frame, n, &used), WS_CLOSE);
    assert_int_equal(used, n);
    assert_int_equal(w.code, 4100);
    assert_true(slice_is(w.message, expected));
    ws_done(&w);
}

static void a_close_frame_carries_as_much_of_its_reason_as_fits(void **state)
{
    (void)state;
    char reason[200], expected[200];
    assert_closes_with("over capacity", "over capacity", NULL);
    assert_closes_with("over capacity", "over capacity", mask);
    assert_closes_with("", "", mask);
    for (size_t ascii = 118; ascii <= 126; ascii++) {
        memset(reason, 'x', ascii);
        strcpy(reason + ascii, "\xf0\x9f\x90\x9d tail");
        strcpy(expected, reason);
        expected[ascii > 119 && ascii < 123 ? ascii : 123] = '\0'; /* the bee whole or not at all */
        assert_closes_with(reason, expected, mask);
        assert_closes_with(reason, expected, NULL);
    }
}

static void a_close_frame_without_a_code_is_empty(void **state)
{
    (void)state;
    uint8_t frame[WS_CLOSE_FRAME_BYTES_MAX];
    assert_int_equal(ws_close_put(frame, 1005, "not sent", NULL), 2);
    assert_int_equal(frame[0], 0x88);
    assert_int_equal(frame[1], 0);
    assert_int_equal(ws_close_put(frame, 1005, "not sent", mask), 6);
}

static void masking_agrees_with_the_rule_at_every_length_and_offset(void **state)
{
    (void)state;
    uint8_t bytes[120], expected[120];
    for (size_t start = 0; start < 9; start++) {
        for (size_t n = 0; n <= 100; n++) {
            for (size_t at = 0; at < 9; at++) {
                for (size_t i = 0; i < sizeof bytes; i++) {
                    bytes[i] = (uint8_t)(i * 37 + n);
                    bool masked = i >= start && i < start + n;
                    expected[i] = masked ? bytes[i] ^ mask[(i - start + at) % 4] : bytes[i];
                }
                ws_mask(bytes + start, n, mask, at);
                assert_memory_equal(bytes, expected, sizeof bytes);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_cut_changes_what_is_said_of_the_corpus),
        cmocka_unit_test(each_breach_is_found_at_the_first_byte_that_shows_it),
        cmocka_unit_test(every_close_code_is_judged),
        cmocka_unit_test(a_whole_frame_is_unmasked_and_given_where_it_lies),
        cmocka_unit_test(control_frames_come_between_the_fragments_of_a_message),
        cmocka_unit_test(a_close_frame_may_be_empty),
        cmocka_unit_test(a_binary_message_may_hold_any_bytes),
        cmocka_unit_test(a_message_may_be_as_long_as_its_limit_in_one_frame_or_many),
        cmocka_unit_test(memory_grows_with_what_came_and_not_with_what_was_announced),
        cmocka_unit_test(nothing_is_owned_once_a_message_in_parts_has_been_given),
        cmocka_unit_test(random_frames_are_read_as_by_a_plain_decoder),
        cmocka_unit_test(a_frame_that_we_head_is_read_by_the_other_end),
        cmocka_unit_test(a_close_frame_carries_as_much_of_its_reason_as_fits),
        cmocka_unit_test(a_close_frame_without_a_code_is_empty),
        cmocka_unit_test(masking_agrees_with_the_rule_at_every_length_and_offset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
