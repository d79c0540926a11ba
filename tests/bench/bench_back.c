/* Coming back: how fast one connection is given a channel's log from its beginning, and how long it
 * takes until a crowd that was cut off is connected again and has what it missed.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/meter.h"
#include "tests/bench/options.h"
#include "tests/bench/wsframe.h"

enum { ROUNDS_MAX = 20, BURST = 500, EPOCH_CHARS = 16, MISSED = 10 };

struct options {
    const char *path;
    uint32_t events, clients, channels, rounds;
};

struct side {
    const struct target *target;
    const struct options *options;
    struct crowd *crowd;
    uint64_t published, subscribed, events;
    char epoch[EPOCH_CHARS + 1];
    uint64_t since;      /* what a connection that opens has seen */
    const char *channel; /* all are of this one; NULL: they share options.channels */
};

/* 128 bytes of JSON. */
static const char data[] = "{\"p\":\"01234567890123456789012345678901234567890123456789012345678901"
                           "2345678901234567890123456789012345678901234567890123456789\"}";
static const uint64_t patience = UINT64_C(120) * 1000000000;

static bool begins(const char *text, size_t n, const char *with)
{
    size_t with_n = strlen(with);
    return n >= with_n && memcmp(text, with, with_n) == 0;
}

static void on_text(void *ctx, uint32_t index, const char *text, size_t n)
{
    struct side *s = ctx;
    (void)index;
    if (begins(text, n, "{\"type\":\"event\"")) {
        s->events++;
    } else if (begins(text, n, "{\"type\":\"published\"")) {
        s->published++;
    } else if (begins(text, n, "{\"type\":\"subscribed\"")) {
        static const char key[] = "\"epoch\":\"";
        const char *at = memmem(text, n, key, sizeof key - 1);
        if (!at)
            meter_fail("no epoch in %.*s", (int)n, text);
        memcpy(s->epoch, at + sizeof key - 1, EPOCH_CHARS);
        s->subscribed++;
    } else if (begins(text, n, "{\"type\":\"error\"") || begins(text, n, "{\"type\":\"gap\"")) {
        meter_fail("%s: %.*s", s->target->name, (int)n, text);
    }
}

static void wait_for(struct side *s, const uint64_t *counter, uint64_t goal, const char *what)
{
    if (!crowd_until(s->crowd, counter, goal, patience))
        meter_fail("%s: %" PRIu64 " of %" PRIu64 " %s", s->target->name, *counter, goal, what);
    if (*counter > goal)
        meter_fail("%s: more than the %" PRIu64 " %s there are", s->target->name, goal, what);
}

static void open_crowd(struct side *s, uint32_t conns, void (*opened)(void *ctx, uint32_t index))
{
    struct crowd_events events = {.ctx = s, .text = on_text, .opened = opened};
    s->published = s->subscribed = s->events = 0;
    s->crowd = crowd_new(s->target, s->options->path, conns, events);
    crowd_connect(s->crowd, patience);
}

/* n events, to one channel or, in turn, to those that the crowd shares. */
static void publish(struct side *s, uint32_t n)
{
    struct buf frames = {0};
    char text[512];
    open_crowd(s, 1, NULL);
    for (uint32_t i = 0; i < n;) {
        buf_clear(&frames);
        for (uint32_t k = 0; k < BURST && i < n; k++, i++) {
            int size = s->channel ? snprintf(text, sizeof text,
                                             "{\"type\":\"publish\",\"id\":%" PRIu32
                                             ",\"channel\":\"%s\",\"event\":\"e\",\"data\":%s}",
                                             i, s->channel, data)
                                  : snprintf(text, sizeof text,
                                             "{\"type\":\"publish\",\"id\":%" PRIu32
                                             ",\"channel\":\"bench.back-%" PRIu32
                                             "\",\"event\":\"e\",\"data\":%s}",
                                             i, i % s->options->channels, data);
            wsframe_add_client(&frames, WSFRAME_TEXT, text, (size_t)size);
        }
        crowd_write(s->crowd, 0, frames.p, frames.n);
        wait_for(s, &s->published, i, "published");
    }
    buf_done(&frames);
    crowd_free(s->crowd);
}

static void subscribe(struct side *s, uint32_t index, bool since)
{
    char text[256], name[64], position[96] = "";
    if (s->channel)
        (void)snprintf(name, sizeof name, "%s", s->channel);
    else
        (void)snprintf(name, sizeof name, "bench.back-%" PRIu32, index % s->options->channels);
    if (since)
        (void)snprintf(position, sizeof position,
                       ",\"since\":{\"epoch\":\"%s\",\"offset\":%" PRIu64 "}", s->epoch, s->since);
    (void)snprintf(text, sizeof text,
                   "{\"type\":\"subscribe\",\"id\":1,\"channels\":[{\"channel\":\"%s\"%s}]}", name,
                   position);
    crowd_text(s->crowd, index, text);
}

static void resume_one(void *ctx, uint32_t index)
{
    subscribe(ctx, index, true);
}

static void learn_epoch(struct side *s)
{
    open_crowd(s, 1, NULL);
    subscribe(s, 0, false);
    wait_for(s, &s->subscribed, 1, "subscribed");
    crowd_free(s->crowd);
}

static void replay(struct side *s)
{
    const struct options *o = s->options;
    double rate[ROUNDS_MAX], cpu_ns[ROUNDS_MAX];
    s->channel = "bench.replay";
    s->since = 0;
    publish(s, o->events);
    learn_epoch(s);
    for (uint32_t r = 0; r < o->rounds; r++) {
        open_crowd(s, 1, NULL);
        uint64_t began = meter_now(), cpu = meter_cpu(s->target->pid);
        subscribe(s, 0, true);
        wait_for(s, &s->events, o->events, "events");
        rate[r] = o->events * 1e9 / (double)(meter_now() - began);
        cpu_ns[r] = (double)(meter_cpu(s->target->pid) - cpu) / o->events;
        crowd_free(s->crowd);
    }
    printf("replay target=%s events=%" PRIu32 " rounds=%" PRIu32 " per_s=%.0f cpu_ns=%.0f\n",
           s->target->name, o->events, o->rounds, meter_median(rate, o->rounds),
           meter_median(cpu_ns, o->rounds));
}

static void resume(struct side *s)
{
    const struct options *o = s->options;
    double seconds[ROUNDS_MAX], cpu_us[ROUNDS_MAX];
    s->channel = NULL;
    publish(s, o->channels);
    learn_epoch(s);
    for (uint32_t r = 0; r < o->rounds; r++) {
        open_crowd(s, o->clients, NULL);
        for (uint32_t i = 0; i < o->clients; i++)
            subscribe(s, i, false);
        wait_for(s, &s->subscribed, o->clients, "subscribed");
        crowd_free(s->crowd); /* cut, all at once */
        s->since = 1 + (uint64_t)r * MISSED;
        publish(s, o->channels * MISSED);
        uint64_t began = meter_now(), cpu = meter_cpu(s->target->pid);
        open_crowd(s, o->clients, resume_one);
        wait_for(s, &s->events, (uint64_t)o->clients * MISSED, "events");
        seconds[r] = (double)(meter_now() - began) / 1e9;
        cpu_us[r] = (double)(meter_cpu(s->target->pid) - cpu) / 1e3 / o->clients;
        crowd_free(s->crowd);
    }
    printf("resume target=%s clients=%" PRIu32 " missed=%d rounds=%" PRIu32
           " seconds=%.3f cpu_us=%.1f\n",
           s->target->name, o->clients, MISSED, o->rounds, meter_median(seconds, o->rounds),
           meter_median(cpu_us, o->rounds));
}

int main(int argc, char **argv)
{
    struct targets targets = {0};
    struct options o = {
        .path = "/ws/v1/events", .events = 1000000, .clients = 10000, .channels = 100, .rounds = 3};
    // clang-format off
    const struct option_row table[] = {
        { "--path",     &o.path, NULL, 0, 0, "where the server upgrades" },
        { "--events",   NULL, &o.events, 1000, 10000000, "in the log that is replayed" },
        { "--clients",  NULL, &o.clients, 1, 15000, "that are cut off and resume" },
        { "--channels", NULL, &o.channels, 1, 10000, "which they share" },
        { "--rounds",   NULL, &o.rounds, 1, ROUNDS_MAX, "times each is measured" },
    };
    // clang-format on
    options_read(argc, argv, "Replay from the log, and resuming after a cut.", table,
                 sizeof table / sizeof *table, &targets);
    meter_descriptors_max();
    for (uint32_t i = 0; i < targets.count; i++) {
        struct side s = {.target = &targets.list[i], .options = &o};
        replay(&s);
        resume(&s);
    }
    return 0;
}
