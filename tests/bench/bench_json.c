/* tests/bench/bench_json.c: what reading and writing JSON costs, beside jansson in the same run.
 *
 * Usage: bench_json [ROUNDS]   Prints ns a text and MB/s, the best of ROUNDS (default 100) rounds
 * of 1 ms each. Ratios carry over to other machines, absolute times do not.
 */
#define _POSIX_C_SOURCE 200809L
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "channels/event.h"
#include "channels/frame.h"
#include "channels/json_out.h"

typedef void work(void *ctx);

static int rounds = 100;

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The best of many short rounds: what disturbs a measurement only ever makes it slower. */
static double measure(work *do_it, void *ctx)
{
    double best = 1e18;
    for (int r = 0; r < rounds; r++) {
        double begin = now_ns(), spent;
        size_t n = 0;
        do {
            for (int i = 0; i < 64; i++) {
                do_it(ctx);
            }
            n += 64;
            spent = now_ns() - begin;
        } while (spent < 1e6);
        best = spent / (double)n < best ? spent / (double)n : best;
    }
    return best;
}

static void must(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "bench_json: %s\n", what);
        exit(1);
    }
}

/* ---- reading ---- */

static void do_check(void *ctx)
{
    const struct slice *text = ctx;
    size_t at;
    must(json_check(*text, JSON_DEPTH_MAX, &at) == JSON_OK, "json_check refuses the text");
}

static void do_frame(void *ctx)
{
    const struct slice *text = ctx;
    struct client_frame frame;
    size_t at;
    must(frame_read(*text, &frame, &at) == JSON_OK, "frame_read refuses the text");
}

static void do_fields(void *ctx)
{
    const struct slice *text = ctx;
    struct slice out[KEY_COUNT];
    size_t at;
    must(json_fields(*text, frame_key_names, KEY_COUNT, out, &at) == JSON_OK,
         "json_fields refuses the text");
}

static void do_jansson(void *ctx)
{
    const struct slice *text = ctx;
    json_t *tree =
        json_loadb((const char *)text->p, text->n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    must(tree != NULL, "jansson refuses the text");
    json_decref(tree);
}

static void report_read(const char *name, work *do_it, struct slice text)
{
    double ours = measure(do_it, &text), theirs = measure(do_jansson, &text);
    printf("%-34s %8zu B %10.1f ns %8.0f MB/s   jansson %10.1f ns   x%.1f\n", name, text.n, ours,
           (double)text.n * 1e3 / ours, theirs, theirs / ours);
}

static const char publish_frame[] =
    "{\"type\":\"publish\",\"id\":1042,\"channel\":\"orders.eu.17\",\"event\":\"price-changed\","
    "\"key\":\"0190f3c2-8a51-7e0c\",\"data\":{\"item\":\"A-4711\",\"price\":129.95,\"stock\":17,"
    "\"tags\":[\"new\",\"sale\"],\"note\":\"caf\xc3\xa9\"}}";

/* As the benchmark of the whole hub sends it: 128 bytes of text. */
static const char text_frame[] =
    "{\"type\":\"publish\",\"id\":1042,\"channel\":\"orders.eu.17\",\"event\":\"message\",\"data\":"
    "\""
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"}";

static struct slice make_text(struct buf *b, const char *unit, size_t n)
{
    buf_add_str(b, "\"");
    while (b->n < n) {
        buf_add_str(b, unit);
    }
    buf_add_str(b, "\"");
    return buf_slice(b);
}

/* Nested objects as documents have them, indented when asked. */
static struct slice make_document(struct buf *b, const char *line)
{
    buf_add_str(b, "[");
    for (int i = 0; i < 200; i++) {
        buf_printf(b,
                   "%s%s{\"agent_id\":\"agent-%d\",%s\"load\":%d.5,%s\"tags\":[\"a\",\"b\"],%"
                   "s\"on\":true}",
                   i ? "," : "", line, i, line, i, line, line);
    }
    buf_add_str(b, "]");
    return buf_slice(b);
}

static void bench_reading(void)
{
    struct buf b = {0};
    report_read("publish of text, frame_read", do_frame, slice_str(text_frame));
    report_read("publish of object, frame_read", do_frame, slice_str(publish_frame));
    report_read("publish of object, json_fields", do_fields, slice_str(publish_frame));
    report_read("publish of object, json_check", do_check, slice_str(publish_frame));
    report_read("ping, frame_read", do_frame, slice_str("{\"type\":\"ping\",\"id\":7}"));
    report_read("long string, ASCII", do_check, make_text(&b, "the bees dance ", 65536));
    buf_clear(&b);
    report_read("long string, Latin mixed", do_check,
                make_text(&b, "caf\xc3\xa9 cr\xc3\xa8me ", 65536));
    buf_clear(&b);
    report_read("long string, Chinese", do_check, make_text(&b, "\xe8\x9c\x9c\xe8\x9c\x82", 65536));
    buf_clear(&b);
    report_read("long string, escapes", do_check, make_text(&b, "line\\n\\u00e9", 65536));
    buf_clear(&b);
    report_read("document, compact", do_check, make_document(&b, ""));
    buf_clear(&b);
    report_read("document, indented", do_check, make_document(&b, "\n        "));
    buf_done(&b);
}

/* ---- writing ---- */

static void do_write(void *ctx)
{
    struct buf *b = ctx;
    buf_clear(b);
    struct json_out o = json_out_to(b);
    json_begin(&o, '{');
    json_key(&o, "agent_id");
    json_str(&o, "agent-17");
    json_key(&o, "load");
    json_double(&o, 0.25);
    json_key(&o, "beats");
    json_u64(&o, 123456);
    json_key(&o, "seen");
    json_time(&o, 1795196061123);
    json_end(&o, '}');
}

static void do_write_jansson(void *ctx)
{
    char *out = ctx;
    json_t *tree = json_pack("{s:s,s:f,s:I,s:s}", "agent_id", "agent-17", "load", 0.25, "beats",
                             (json_int_t)123456, "seen", "2026-11-20T17:34:21.123Z");
    must(tree && json_dumpb(tree, out, 256, JSON_COMPACT) < 256, "jansson writes nothing");
    json_decref(tree);
}

static void do_time(void *ctx)
{
    json_time_put(ctx, 1795196061123);
}

static void bench_writing(void)
{
    struct buf b = {0};
    uint8_t time_text[JSON_TIME_BYTES];
    char theirs[256];
    double ours = measure(do_write, &b), peer = measure(do_write_jansson, theirs);
    printf("%-34s %8zu B %10.1f ns %8.0f MB/s   jansson %10.1f ns   x%.1f\n", "object, json_out",
           b.n, ours, (double)b.n * 1e3 / ours, peer, peer / ours);
    printf("%-34s %8d B %10.1f ns\n", "time, json_time_put", JSON_TIME_BYTES,
           measure(do_time, time_text));
    buf_done(&b);
}

/* ---- events ---- */

static struct event sample_event(void)
{
    static uint8_t data[130];
    memset(data, 'd', sizeof data);
    data[0] = data[sizeof data - 1] = '"';
    return (struct event){.channel = slice_str("orders.eu.17"),
                          .name = slice_str("price-changed"),
                          .data = slice_of(data, sizeof data),
                          .from = slice_str("agent-17"),
                          .time_ms = 1795196061123};
}

struct event_work {
    struct event event;
    struct event_frame frame;
    struct buf arena;
    uint8_t *payload;
    size_t payload_n;
};

static void do_begin(void *ctx)
{
    struct event_work *w = ctx;
    buf_clear(&w->arena);
    event_frame_begin(&w->arena, &w->event, &w->frame);
}

static void do_begin_finish(void *ctx)
{
    struct event_work *w = ctx;
    do_begin(w);
    event_frame_finish(w->arena.p, &w->frame, 123456789);
}

static void do_finish(void *ctx)
{
    struct event_work *w = ctx;
    event_frame_finish(w->arena.p, &w->frame, 123456789);
}

static void do_frame_write(void *ctx)
{
    struct event_work *w = ctx;
    buf_clear(&w->arena);
    event_frame_write(&w->arena, &w->event, 123456789);
}

static void do_pack(void *ctx)
{
    struct event_work *w = ctx;
    uint8_t head[EVENT_HEAD_BYTES];
    struct slice parts[EVENT_PARTS_MAX];
    size_t n = event_pack_parts(&w->event, head, parts);
    buf_clear(&w->arena);
    for (size_t i = 0; i < n; i++) {
        buf_add_slice(&w->arena, parts[i]);
    }
}

static void do_replay(void *ctx)
{
    struct event_work *w = ctx;
    struct event event;
    must(event_unpack(slice_of(w->payload, w->payload_n), &event), "event_unpack refuses");
    event.channel = w->event.channel;
    event.time_ms = w->event.time_ms;
    buf_clear(&w->arena);
    event_frame_write(&w->arena, &event, 123456789);
}

static void report_event(const char *name, work *do_it, struct event_work *w)
{
    double ns = measure(do_it, w);
    printf("%-34s %8zu B %10.1f ns %8.2f M/s\n", name, w->arena.n, ns, 1e3 / ns);
}

static void bench_events(void)
{
    struct event_work w = {.event = sample_event()};
    do_pack(&w);
    w.payload_n = w.arena.n;
    w.payload = xmalloc(w.payload_n);
    memcpy(w.payload, w.arena.p, w.payload_n);
    report_event("event, event_pack_parts + gather", do_pack, &w);
    report_event("event, event_frame_begin", do_begin, &w);
    report_event("event, event_frame_finish", do_finish, &w);
    report_event("event, begin + finish", do_begin_finish, &w);
    report_event("event, event_frame_write", do_frame_write, &w);
    report_event("event, unpack + frame_write", do_replay, &w);
    free(w.payload);
    buf_done(&w.arena);
}

int main(int argc, char **argv)
{
    rounds = argc > 1 ? atoi(argv[1]) : rounds;
    must(rounds > 0, "usage: bench_json [ROUNDS]");
    bench_reading();
    bench_writing();
    bench_events();
    return 0;
}
