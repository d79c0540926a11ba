/* Fan-out: what one delivery costs a server when one publisher reaches a thousand subscribers.
 *
 * A tick is a burst of publishes in one write; the next begins when every subscriber has all of
 * it, so that a burst of 16 is 16 messages ready at once for each connection and never more. The
 * servers are loaded in turn, A B A B, and compared pair by pair: what else the machine does then
 * falls on both.
 */
#include <stdio.h>
#include <string.h>

#include "store/mem.h"
#include "tests/bench/crowd.h"
#include "tests/bench/meter.h"
#include "tests/bench/options.h"
#include "tests/bench/wsframe.h"

enum { BURSTS = 3, ROUNDS_MAX = 50, WARM_TICKS = 20 };

static const uint32_t bursts[BURSTS] = {1, 16, 64};
static const uint64_t patience = (uint64_t)20 * 1000000000;

/* 128 bytes of JSON. */
static const char data[] = "{\"p\":\"01234567890123456789012345678901234567890123456789012345678901"
                           "2345678901234567890123456789012345678901234567890123456789\"}";

struct side {
    struct target target;
    struct crowd *crowd;
    uint64_t events, subscribed;
    double cost[BURSTS][ROUNDS_MAX];
    double rate[BURSTS][ROUNDS_MAX];
    double bytes; /* of one delivery */
};

struct options {
    const char *path, *channel;
    uint32_t subscribers, rounds, ticks, sides;
};

static void on_text(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct side *s = ctx;
    (void)index;
    if (len > 14 && memcmp(text, "{\"type\":\"event\"", 15) == 0)
        s->events++;
    else if (len > 19 && memcmp(text, "{\"type\":\"subscribed\"", 20) == 0)
        s->subscribed++;
    else if (len > 14 && memcmp(text, "{\"type\":\"error\"", 15) == 0)
        meter_fail("%s: %.*s", s->target.name, len < 300 ? (int)len : 300, text);
    else if (len > 12 && memcmp(text, "{\"type\":\"gap\"", 13) == 0)
        meter_fail("%s: %.*s", s->target.name, len < 300 ? (int)len : 300, text);
}

static void burst_build(struct buf *out, const struct options *o, uint32_t burst)
{
    char text[512];
    int n = snprintf(text, sizeof text,
                     "{\"type\":\"publish\",\"channel\":\"%s\",\"event\":\"e\",\"data\":%s}",
                     o->channel, data);
    buf_clear(out);
    for (uint32_t i = 0; i < burst; i++)
        wsframe_add_client(out, WSFRAME_TEXT, text, (size_t)n);
}

/* The publisher is the last connection. */
static void run_ticks(struct side *s, const struct options *o, const struct buf *frames,
                      uint32_t burst, uint32_t ticks)
{
    for (uint32_t i = 0; i < ticks; i++) {
        uint64_t goal = s->events + (uint64_t)burst * o->subscribers;
        crowd_write(s->crowd, o->subscribers, frames->p, frames->n);
        if (!crowd_until(s->crowd, &s->events, goal, patience))
            meter_fail("%s: %llu of %llu deliveries in 20 s", s->target.name,
                       (unsigned long long)s->events, (unsigned long long)goal);
        if (s->events > goal)
            meter_fail("%s: an event was delivered twice", s->target.name);
    }
}

static void measure(struct side *s, const struct options *o, size_t b, uint32_t round)
{
    struct buf frames = {0};
    burst_build(&frames, o, bursts[b]);
    run_ticks(s, o, &frames, bursts[b], 2);
    uint64_t bytes = crowd_bytes_in(s->crowd), began = meter_now();
    uint64_t cpu = meter_cpu(s->target.pid);
    run_ticks(s, o, &frames, bursts[b], o->ticks);
    cpu = meter_cpu(s->target.pid) - cpu;
    double deliveries = (double)o->ticks * bursts[b] * o->subscribers;
    s->cost[b][round] = (double)cpu / deliveries;
    s->rate[b][round] = deliveries * 1e9 / (double)(meter_now() - began);
    s->bytes = (double)(crowd_bytes_in(s->crowd) - bytes) / deliveries;
    buf_done(&frames);
}

static void side_open(struct side *s, const struct options *o)
{
    char subscribe[256];
    struct buf frames = {0};
    struct crowd_events events = {.ctx = s, .text = on_text};
    s->crowd = crowd_new(&s->target, o->path, o->subscribers + 1, events);
    crowd_connect(s->crowd, 60 * NS_PER_S);
    (void)snprintf(subscribe, sizeof subscribe,
                   "{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"%s\"]}", o->channel);
    for (uint32_t i = 0; i < o->subscribers; i++)
        crowd_text(s->crowd, i, subscribe);
    if (!crowd_until(s->crowd, &s->subscribed, o->subscribers, patience))
        meter_fail("%s: %llu of %u subscribed", s->target.name, (unsigned long long)s->subscribed,
                   o->subscribers);
    burst_build(&frames, o, 1);
    run_ticks(s, o, &frames, 1, WARM_TICKS);
    buf_done(&frames);
}

/* Ratios are to the first side, round by round. */
static void report(struct side *sides, const struct options *o, size_t b)
{
    double ratio[TARGETS_MAX][ROUNDS_MAX];
    for (uint32_t i = 0; i < o->sides; i++)
        for (uint32_t r = 0; r < o->rounds; r++)
            ratio[i][r] = sides[i].cost[b][r] / sides[0].cost[b][r];
    for (uint32_t i = 0; i < o->sides; i++) {
        double middle = meter_median(ratio[i], o->rounds); /* sorts them */
        printf("fanout target=%s channel=%s burst=%u cpu_ns=%.0f ratio=%.3f ratio_min=%.3f "
               "ratio_max=%.3f per_s=%.0f bytes=%.0f rounds=%u subscribers=%u\n",
               sides[i].target.name, o->channel, bursts[b],
               meter_median(sides[i].cost[b], o->rounds), middle, ratio[i][0],
               ratio[i][o->rounds - 1], meter_median(sides[i].rate[b], o->rounds), sides[i].bytes,
               o->rounds, o->subscribers);
    }
}

int main(int argc, char **argv)
{
    static struct side sides[TARGETS_MAX];
    struct targets targets = {0};
    struct options o = {.path = "/ws/v1/events",
                        .channel = "live.fan",
                        .subscribers = 1000,
                        .rounds = 7,
                        .ticks = 100};
    // clang-format off
    const struct option_row table[] = {
        { "--channel",     &o.channel, NULL, 0, 0, "channel to publish to" },
        { "--path",        &o.path, NULL, 0, 0, "where the server upgrades" },
        { "--subscribers", NULL, &o.subscribers, 1, 15000, "connections that receive" },
        { "--rounds",      NULL, &o.rounds, 1, ROUNDS_MAX, "times each target is measured" },
        { "--ticks",       NULL, &o.ticks, 1, 100000, "bursts in one measurement" },
    };
    // clang-format on
    options_read(argc, argv, "CPU per delivery of each target; ratios are to the first.", table,
                 sizeof table / sizeof *table, &targets);
    meter_descriptors_max();
    o.sides = targets.count;
    for (uint32_t i = 0; i < o.sides; i++) {
        sides[i].target = targets.list[i];
        side_open(&sides[i], &o);
    }
    for (uint32_t r = 0; r < o.rounds; r++)
        for (size_t b = 0; b < BURSTS; b++)
            for (uint32_t i = 0; i < o.sides; i++)
                measure(&sides[i], &o, b, r);
    for (size_t b = 0; b < BURSTS; b++)
        report(sides, &o, b);
    for (uint32_t i = 0; i < o.sides; i++)
        crowd_free(sides[i].crowd);
    return 0;
}
