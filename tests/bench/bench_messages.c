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
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/mem.h"
#include "tests/bench/meter.h"
#include "tests/bench/options.h"
#include "tests/bench/told.h"
#include "tests/bench/wsframe.h"

enum { ROUNDS_MAX = 20, RING = 256, FIRST_ACK_ID = 3 };

static const uint64_t patience = (uint64_t)30 * 1000000000;

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
    struct target target;
    bool by_cursor;
    struct crowd *crowd; /* senders first, then receivers */
    struct receiver *receivers;
    uint64_t *moments; /* of the n-th, at n % (4 * outstanding) */
    uint64_t moments_n;
    struct buf text;
    struct buf *out; /* what a connection sends after a read */
    uint64_t ready, sent, completed;
    uint64_t count_from; /* one of this moment or later counts */
    struct spread delivery, whole;
};

struct figures {
    double rate[ROUNDS_MAX], cpu_us[ROUNDS_MAX], client[ROUNDS_MAX];
    double delivery_p50[ROUNDS_MAX], delivery_p99[ROUNDS_MAX];
    double whole_p50[ROUNDS_MAX], whole_p99[ROUNDS_MAX];
};

/* ---- frames out ---- */

static void frame(struct bench *b, uint32_t index)
{
    wsframe_add_client(&b->out[index], WSFRAME_TEXT, b->text.p, b->text.n);
}

static void flush(struct bench *b, uint32_t index)
{
    if (b->out[index].n > 0)
        crowd_write(b->crowd, index, b->out[index].p, b->out[index].n);
    buf_clear(&b->out[index]);
}

static void text_with(struct bench *b, const char *before, uint64_t n, const char *behind)
{
    buf_add_str(&b->text, before);
    buf_add_u64(&b->text, n);
    buf_add_str(&b->text, behind);
}

static void send_one(struct bench *b)
{
    uint64_t n = b->sent++;
    uint32_t index = (uint32_t)(n % b->o->senders);
    uint64_t to = n % b->o->receivers;
    b->moments[n % b->moments_n] = meter_now();
    buf_clear(&b->text);
    if (b->by_cursor) {
        text_with(b, "{\"type\":\"publish\",\"id\":", n + 1, "");
        text_with(b, ",\"channel\":\"work.", to, "\",\"event\":\"job\"");
        text_with(b, ",\"data\":{\"n\":", n, "}}");
    } else {
        text_with(b, "{\"type\":\"call\",\"id\":", n + 1, ",\"method\":\"messages.send\"");
        text_with(b, ",\"params\":{\"receiver_id\":\"r-", to, "\",\"message_type\":\"direct\"");
        text_with(b, ",\"payload\":{\"n\":", n, "}}}");
    }
    frame(b, index);
}

static void acknowledge(struct bench *b, uint32_t index, uint64_t id, const char *text, size_t len)
{
    uint64_t own = index - b->o->senders;
    char message[64];
    buf_clear(&b->text);
    if (b->by_cursor) {
        text_with(b, "{\"type\":\"ack\",\"id\":", id, "");
        text_with(b, ",\"channel\":\"work.", own, "\",\"cursor\":\"crew\"");
        text_with(b, ",\"offset\":", told_number(text, len, "\"offset\":"), "}");
    } else {
        told_word(text, len, "\"message_id\":\"", message, sizeof message);
        text_with(b, "{\"type\":\"call\",\"id\":", id, ",\"method\":\"messages.ack\"");
        text_with(b, ",\"params\":{\"agent_id\":\"r-", own, "\",\"message_id\":\"");
        buf_add_str(&b->text, message);
        buf_add_str(&b->text, "\"}}");
    }
    frame(b, index);
}

static void on_opened(void *ctx, uint32_t index)
{
    struct bench *b = ctx;
    if (index < b->o->senders)
        return;
    uint64_t own = index - b->o->senders;
    buf_clear(&b->text);
    if (b->by_cursor) {
        text_with(b, "{\"type\":\"subscribe\",\"id\":1,\"channels\":[{\"channel\":\"work.", own,
                  "\",\"cursor\":\"crew\"}]}");
        frame(b, index);
        b->ready++; /* there is no second step */
    } else {
        text_with(b, "{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"agent.r-", own, "\"]}");
        frame(b, index);
        buf_clear(&b->text);
        text_with(b,
                  "{\"type\":\"call\",\"id\":2,\"method\":\"agents.register\",\"params\":{"
                  "\"agent_type\":\"worker\",\"agent_id\":\"r-",
                  own, "\"}}");
        frame(b, index);
    }
    flush(b, index);
}

/* ---- frames in ---- */

static void on_delivered(struct bench *b, uint32_t index, const char *text, size_t len)
{
    struct receiver *r = &b->receivers[index - b->o->senders];
    uint64_t n = told_number(text, len, "\"n\":");
    if (n >= b->sent)
        meter_fail("%s: nothing of ours was delivered: %.*s", b->target.name, (int)len, text);
    uint64_t moment = b->moments[n % b->moments_n], nth = r->acks++;
    if (moment >= b->count_from)
        spread_add(&b->delivery, meter_now() - moment);
    r->moment[nth % RING] = moment;
    acknowledge(b, index, FIRST_ACK_ID + nth, text, len);
}

static void on_answer(struct bench *b, uint32_t index, uint64_t id)
{
    if (id < FIRST_ACK_ID) {
        b->ready++;
        return;
    }
    uint64_t moment = b->receivers[index - b->o->senders].moment[(id - FIRST_ACK_ID) % RING];
    if (moment >= b->count_from)
        spread_add(&b->whole, meter_now() - moment);
    b->completed++;
}

static void on_text(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct bench *b = ctx;
    if (told_is(text, len, "error"))
        meter_fail("%s: %.*s", b->target.name, len < 300 ? (int)len : 300, text);
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
    flush(ctx, index);
}

/* ---- runs ---- */

static struct bench *bench_open(const struct target *t, const struct options *o)
{
    uint32_t conns = o->senders + o->receivers;
    struct bench *b = xcalloc(1, sizeof *b);
    b->o = o;
    b->target = *t;
    b->by_cursor = strcmp(o->kind, "cursor") == 0;
    b->receivers = xcalloc(o->receivers, sizeof *b->receivers);
    b->moments_n = (uint64_t)o->outstanding * 4;
    b->moments = xcalloc(b->moments_n, sizeof *b->moments);
    b->out = xcalloc(conns, sizeof *b->out);
    b->count_from = UINT64_MAX;
    struct crowd_events events = {
        .ctx = b, .opened = on_opened, .text = on_text, .drained = on_drained};
    b->crowd = crowd_new(t, o->path, conns, events);
    crowd_connect(b->crowd, 4 * patience);
    if (!crowd_until(b->crowd, &b->ready, (uint64_t)o->receivers * 2, patience))
        meter_fail("%s: %" PRIu64 " of the receivers' first steps answered", t->name, b->ready);
    return b;
}

static void bench_free(struct bench *b)
{
    crowd_free(b->crowd);
    for (uint32_t i = 0; i < b->o->senders + b->o->receivers; i++)
        buf_done(&b->out[i]);
    free(b->out);
    free(b->receivers);
    free(b->moments);
    buf_done(&b->text);
    free(b);
}

static void run_until(struct bench *b, uint64_t end)
{
    while (meter_now() < end) {
        while (b->sent - b->completed < b->o->outstanding)
            send_one(b);
        for (uint32_t i = 0; i < b->o->senders; i++)
            flush(b, i);
        crowd_turn(b->crowd, NS_PER_MS);
    }
}

static double ms_at(const struct spread *s, double share)
{
    return (double)spread_at(s, share) / 1e6;
}

static void measure(const struct target *t, const struct options *o, uint32_t round,
                    struct figures *f)
{
    struct bench *b = bench_open(t, o);
    run_until(b, meter_now() + 2 * NS_PER_S);
    uint64_t from = meter_now(), cpu = meter_cpu(t->pid), own = meter_cpu(getpid());
    uint64_t before = b->completed;
    b->count_from = from;
    run_until(b, from + o->seconds * NS_PER_S);
    double took = (double)(meter_now() - from), n = (double)(b->completed - before);
    f->rate[round] = n * 1e9 / took;
    f->cpu_us[round] = n > 0 ? (double)(meter_cpu(t->pid) - cpu) / n / 1e3 : 0;
    f->client[round] = (double)(meter_cpu(getpid()) - own) / took;
    if (!crowd_until(b->crowd, &b->completed, b->sent, patience))
        meter_fail("%s: %" PRIu64 " were not acknowledged", t->name, b->sent - b->completed);
    f->delivery_p50[round] = ms_at(&b->delivery, 0.50);
    f->delivery_p99[round] = ms_at(&b->delivery, 0.99);
    f->whole_p50[round] = ms_at(&b->whole, 0.50);
    f->whole_p99[round] = ms_at(&b->whole, 0.99);
    bench_free(b);
}

static void report(const struct target *t, const struct options *o, struct figures *f)
{
    printf("messages target=%s kind=%s mode=%s receivers=%" PRIu32 " outstanding=%" PRIu32
           " rounds=%" PRIu32,
           t->name, o->kind, o->outstanding == 1 ? "single" : "closed", o->receivers,
           o->outstanding, o->rounds);
    printf(" per_s=%.0f cpu_us=%.2f client_core=%.2f", meter_median(f->rate, o->rounds),
           meter_median(f->cpu_us, o->rounds), meter_median(f->client, o->rounds));
    printf(" delivery_p50_ms=%.2f delivery_p99_ms=%.2f", meter_median(f->delivery_p50, o->rounds),
           meter_median(f->delivery_p99, o->rounds));
    printf(" p50_ms=%.2f p99_ms=%.2f\n", meter_median(f->whole_p50, o->rounds),
           meter_median(f->whole_p99, o->rounds));
}

int main(int argc, char **argv)
{
    static struct figures figures[TARGETS_MAX];
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
        { "--rounds",      NULL, &o.rounds, 1, ROUNDS_MAX, "times each target is measured" },
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
