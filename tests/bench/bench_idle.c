/* Idle connections: how much memory a server holds for each connection that is subscribed and
 * silent.
 *
 * The figure is the growth from none to all, divided by all. Connections come in two halves, and
 * the growth over the second one stands beside it: by then the allocator, the tables and the
 * libraries have what they need for themselves. Memory is read after a quiet time.
 */
#include <stdio.h>
#include <string.h>

#include "tests/bench/crowd.h"
#include "tests/bench/meter.h"
#include "tests/bench/options.h"

struct options {
    const char *path, *channel;
    uint32_t conns, settle_ms;
};

struct group {
    const struct target *target;
    struct crowd *crowd;
    const char *subscribe;
    uint64_t subscribed;
};

static void on_opened(void *ctx, uint32_t index)
{
    struct group *g = ctx;
    crowd_text(g->crowd, index, g->subscribe);
}

static void on_text(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct group *g = ctx;
    (void)index;
    if (len > 19 && memcmp(text, "{\"type\":\"subscribed\"", 20) == 0)
        g->subscribed++;
    else if (len > 14 && memcmp(text, "{\"type\":\"error\"", 15) == 0)
        meter_fail("%s: %.*s", g->target->name, len < 300 ? (int)len : 300, text);
}

static void group_open(struct group *g, const struct options *o, uint32_t conns)
{
    struct crowd_events events = {.ctx = g, .opened = on_opened, .text = on_text};
    g->crowd = crowd_new(g->target, o->path, conns, events);
    crowd_connect(g->crowd, 120 * NS_PER_S);
    if (!crowd_until(g->crowd, &g->subscribed, conns, 30 * NS_PER_S))
        meter_fail("%s: %u of %u subscribed", g->target->name, (unsigned)g->subscribed, conns);
}

static void turn_for(struct group *groups, uint32_t count, uint64_t ns)
{
    for (uint64_t end = meter_now() + ns; meter_now() < end;)
        for (uint32_t i = 0; i < count; i++)
            crowd_turn(groups[i].crowd, 10 * NS_PER_MS);
}

/* Reads once the connections have been quiet for a while; pings are answered meanwhile. */
static struct memory settled(struct group *groups, uint32_t count, const struct options *o)
{
    turn_for(groups, count, o->settle_ms * NS_PER_MS);
    return meter_memory(groups[0].target->pid);
}

static double each_kib(uint64_t from, uint64_t to, uint32_t conns)
{
    return to > from ? (double)(to - from) / conns / 1024 : 0;
}

static void measure(const struct target *t, const struct options *o)
{
    char subscribe[256];
    (void)snprintf(subscribe, sizeof subscribe,
                   "{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"%s\"]}", o->channel);
    struct group groups[2] = {{.target = t, .subscribe = subscribe},
                              {.target = t, .subscribe = subscribe}};
    uint32_t half = o->conns / 2;
    struct memory start = meter_memory(t->pid);
    group_open(&groups[0], o, half);
    struct memory middle = settled(groups, 1, o);
    uint64_t cpu = meter_cpu(t->pid), began = meter_now();
    group_open(&groups[1], o, half);
    double handshake_us = (double)(meter_cpu(t->pid) - cpu) / half / 1e3;
    double handshakes_per_s = half * 1e9 / (double)(meter_now() - began);
    struct memory end = settled(groups, 2, o);
    cpu = meter_cpu(t->pid);
    turn_for(groups, 2, NS_PER_S);
    cpu = meter_cpu(t->pid) - cpu;
    printf("idle target=%s tls=%d conns=%u rss_kib=%.2f rss_second_half_kib=%.2f anon_kib=%.2f "
           "handshake_cpu_us=%.1f handshakes_per_s=%.0f idle_cpu_percent=%.2f\n",
           t->name, t->tls, half * 2, each_kib(start.rss, end.rss, half * 2),
           each_kib(middle.rss, end.rss, half), each_kib(start.anon, end.anon, half * 2),
           handshake_us, handshakes_per_s, (double)cpu / 1e7);
    crowd_free(groups[0].crowd);
    crowd_free(groups[1].crowd);
}

int main(int argc, char **argv)
{
    struct targets targets = {0};
    struct options o = {
        .path = "/ws/v1/events", .channel = "bench.idle", .conns = 10000, .settle_ms = 1500};
    // clang-format off
    const struct option_row table[] = {
        { "--channel",     &o.channel, NULL, 0, 0, "channel to subscribe to" },
        { "--path",        &o.path, NULL, 0, 0, "where the server upgrades" },
        { "--connections", NULL, &o.conns, 2, 18000, "how many, in two halves" },
        { "--settle-ms",   NULL, &o.settle_ms, 1, 60000, "quiet time before memory is read" },
    };
    // clang-format on
    options_read(argc, argv, "Memory per idle connection of each target.", table,
                 sizeof table / sizeof *table, &targets);
    meter_descriptors_max();
    for (uint32_t i = 0; i < targets.count; i++)
        measure(&targets.list[i], &o);
    return 0;
}
