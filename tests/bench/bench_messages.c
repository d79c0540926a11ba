/* Messages and named cursors: sent, delivered and acknowledged, each step durable, by receivers
 * that hold a WebSocket each.
 *
 * A message goes to an agent, which is subscribed to its own channel, and is acknowledged by a
 * call; an event goes to a channel, whose one consumer has a named cursor on it, and is
 * acknowledged by a frame. Closed: so many are on their way at any time, frames pipelined; the rate
 * is what comes out. With one on its way (--outstanding 1) nothing is batched: every step waits for
 * the one before. Delivery is from sending to the frame at the receiver; the whole is until the
 * acknowledgement is answered, which is after it is on disk.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/flow.h"
#include "tests/bench/options.h"
#include "tests/bench/told.h"

enum { RING = 256, FIRST_ACK_ID = 3 };

struct options {
    const char *path, *kind;
    uint32_t receivers, senders, outstanding, seconds, rounds;
};

/* What one receiver acknowledged, by the number in the ids of its acks. */
struct receiver {
    uint64_t acks;
    uint64_t moment[RING];
};

struct bench {
    const struct options *o;
    bool by_cursor;
    struct flow flow;
    struct receiver *receivers;
    uint64_t *moments; /* of the n-th, at n % moments_n */
    uint64_t moments_n;
};

/* ---- frames out ---- */

static void text_with(struct buf *text, const char *before, uint64_t n, const char *behind)
{
    buf_add_str(text, before);
    buf_add_u64(text, n);
    buf_add_str(text, behind);
}

static void send_one(struct bench *b)
{
    struct buf *text = &b->flow.text;
    uint64_t n = b->flow.sent++;
    uint32_t index = (uint32_t)(n % b->o->senders);
    uint64_t to = n % b->o->receivers;
    b->moments[n % b->moments_n] = meter_now();
    buf_clear(text);
    if (b->by_cursor) {
        text_with(text, "{\"type\":\"publish\",\"id\":", n + 1, "");
        text_with(text, ",\"channel\":\"work.", to, "\",\"event\":\"job\"");
        text_with(text, ",\"data\":{\"n\":", n, "}}");
    } else {
        text_with(text, "{\"type\":\"call\",\"id\":", n + 1, ",\"method\":\"messages.send\"");
        text_with(text, ",\"params\":{\"receiver_id\":\"r-", to, "\",\"message_type\":\"direct\"");
        text_with(text, ",\"payload\":{\"n\":", n, "}}}");
    }
    flow_frame(&b->flow, index);
}

static void acknowledge(struct bench *b, uint32_t index, uint64_t id, const char *told, size_t len)
{
    struct buf *text = &b->flow.text;
    uint64_t own = index - b->o->senders;
    char message[64];
    buf_clear(text);
    if (b->by_cursor) {
        text_with(text, "{\"type\":\"ack\",\"id\":", id, "");
        text_with(text, ",\"channel\":\"work.", own, "\",\"cursor\":\"crew\"");
        text_with(text, ",\"offset\":", told_number(told, len, "\"offset\":"), "}");
    } else {
        told_word(told, len, "\"message_id\":\"", message, sizeof message);
        text_with(text, "{\"type\":\"call\",\"id\":", id, ",\"method\":\"messages.ack\"");
        text_with(text, ",\"params\":{\"agent_id\":\"r-", own, "\",\"message_id\":\"");
        buf_add_str(text, message);
        buf_add_str(text, "\"}}");
    }
    flow_frame(&b->flow, index);
}

static void on_opened(void *ctx, uint32_t index)
{
    struct bench *b = ctx;
    struct buf *text = &b->flow.text;
    if (index < b->o->senders)
        return;
    uint64_t own = index - b->o->senders;
    buf_clear(text);
    if (b->by_cursor) {
        text_with(text, "{\"type\":\"subscribe\",\"id\":1,\"channels\":[{\"channel\":\"work.", own,
                  "\",\"cursor\":\"crew\"}]}");
        flow_frame(&b->flow, index);
        b->flow.ready++; /* there is no second step */
    } else {
        text_with(text, "{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"agent.r-", own, "\"]}");
        flow_frame(&b->flow, index);
        buf_clear(text);
        text_with(text,
                  "{\"type\":\"call\",\"id\":2,\"method\":\"agents.register\",\"params\":{"
                  "\"agent_type\":\"worker\",\"agent_id\":\"r-",
                  own, "\"}}");
        flow_frame(&b->flow, index);
    }
    flow_flush(&b->flow, index);
}

/* ---- frames in ---- */

static void on_delivered(struct bench *b, uint32_t index, const char *text, size_t len)
{
    struct receiver *r = &b->receivers[index - b->o->senders];
    uint64_t n = told_number(text, len, "\"n\":");
    if (n >= b->flow.sent)
        meter_fail("%s: nothing of ours was delivered: %.*s", b->flow.target->name, (int)len, text);
    uint64_t moment = b->moments[n % b->moments_n], nth = r->acks++;
    flow_shown(&b->flow, moment, meter_now());
    r->moment[nth % RING] = moment;
    acknowledge(b, index, FIRST_ACK_ID + nth, text, len);
}

static void on_answer(struct bench *b, uint32_t index, uint64_t id)
{
    if (id < FIRST_ACK_ID) {
        b->flow.ready++;
        return;
    }
    const struct receiver *r = &b->receivers[index - b->o->senders];
    flow_completed(&b->flow, r->moment[(id - FIRST_ACK_ID) % RING]);
}

static void on_text(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct bench *b = ctx;
    if (told_is(text, len, "error"))
        meter_fail("%s: %.*s", b->flow.target->name, len < 300 ? (int)len : 300, text);
    if (index < b->o->senders)
        return;
    if (told_is(text, len, "event")) {
        if (b->by_cursor || told_has(text, len, "\"event\":\"message\""))
            on_delivered(b, index, text, len);
    } else if (told_is(text, len, "subscribed") || told_is(text, len, "result") ||
               told_is(text, len, "acked")) {
        on_answer(b, index, told_number(text, len, "\"id\":"));
    }
}

static void on_drained(void *ctx, uint32_t index)
{
    struct bench *b = ctx;
    flow_flush(&b->flow, index);
}

/* ---- runs ---- */

static void run_until(void *ctx, uint64_t start, uint64_t end)
{
    struct bench *b = ctx;
    (void)start;
    while (meter_now() < end) {
        while (b->flow.sent - b->flow.completed < b->o->outstanding)
            send_one(b);
        flow_flush_senders(&b->flow);
        crowd_turn(b->flow.crowd, NS_PER_MS);
    }
}

static void measure(const struct target *t, const struct options *o, uint32_t round,
                    struct flow_figures *figures)
{
    struct bench *b = xcalloc(1, sizeof *b);
    b->o = o;
    b->by_cursor = strcmp(o->kind, "cursor") == 0;
    b->receivers = xcalloc(o->receivers, sizeof *b->receivers);
    b->moments_n = (uint64_t)o->outstanding * 4;
    b->moments = xcalloc(b->moments_n, sizeof *b->moments);
    b->flow.senders = o->senders;
    b->flow.receivers = o->receivers;
    struct crowd_events events = {
        .ctx = b, .opened = on_opened, .text = on_text, .drained = on_drained};
    flow_open(&b->flow, t, o->path, events, 2);
    flow_measure(&b->flow, run_until, b, o->seconds, round, figures);
    flow_close(&b->flow);
    free(b->receivers);
    free(b->moments);
    free(b);
}

static void report(const struct target *t, const struct options *o, struct flow_figures *figures)
{
    printf("messages target=%s kind=%s mode=%s receivers=%" PRIu32 " outstanding=%" PRIu32
           " rounds=%" PRIu32,
           t->name, o->kind, o->outstanding == 1 ? "single" : "closed", o->receivers,
           o->outstanding, o->rounds);
    flow_report(figures, o->rounds, "delivery");
}

int main(int argc, char **argv)
{
    static struct flow_figures figures[TARGETS_MAX];
    struct targets targets = {0};
    struct options o = {.path = "/ws/v1/events",
                        .kind = "message",
                        .receivers = 500,
                        .senders = 16,
                        .outstanding = 4000,
                        .seconds = 5,
                        .rounds = 3};
    // clang-format off
    const struct option_row table[] = {
        { "--path",        &o.path, NULL, 0, 0, "where the server upgrades" },
        { "--kind",        &o.kind, NULL, 0, 0, "message: to agents; cursor: events on channels" },
        { "--receivers",   NULL, &o.receivers, 1, 18000, "connections that receive" },
        { "--senders",     NULL, &o.senders, 1, 1000, "connections that send" },
        { "--outstanding", NULL, &o.outstanding, 1, 4000, "on their way at any time" },
        { "--seconds",     NULL, &o.seconds, 1, 600, "of one measurement" },
        { "--rounds",      NULL, &o.rounds, 1, FLOW_ROUNDS_MAX, "times each target is measured" },
    };
    // clang-format on
    options_read(argc, argv, "Messages a second, each delivered and acknowledged.", table,
                 sizeof table / sizeof *table, &targets);
    if (strcmp(o.kind, "message") != 0 && strcmp(o.kind, "cursor") != 0) {
        fputs("bench_messages: --kind takes message or cursor\n", stderr);
        return 2;
    }
    meter_descriptors_max();
    for (uint32_t r = 0; r < o.rounds; r++)
        for (uint32_t i = 0; i < targets.count; i++)
            measure(&targets.list[i], &o, r, &figures[i]);
    for (uint32_t i = 0; i < targets.count; i++)
        report(&targets.list[i], &o, &figures[i]);
    return 0;
}
