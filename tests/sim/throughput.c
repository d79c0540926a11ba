/* How fast the domain decides when nothing fails: publishes over 1,000 channels, each with an
 * idempotency key, on a disk in memory whose syncs cost nothing. What is left is framing, the
 * writer, the log and LMDB. */
#define _GNU_SOURCE
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    CHANNELS_OF_IT = 1000,
    COMMANDS_A_TRAY = 1000,
    TRAYS_A_BATCH = 4,
    BATCHES = 400,
    DATA_BYTES = 128
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void local_none(void *ctx, const struct tray *tray)
{
    (void)ctx;
    (void)tray;
}

static void fill(struct world *w, struct io *io, uint64_t *n)
{
    char name[32], key[32], data[DATA_BYTES + 1];
    memset(data, '1', DATA_BYTES);
    for (unsigned i = 0; i < COMMANDS_A_TRAY; i++) {
        int name_n = snprintf(name, sizeof name, "t.%u", (unsigned)(*n * 7919 % CHANNELS_OF_IT));
        int key_n = snprintf(key, sizeof key, "%llu", (unsigned long long)++*n);
        struct slice channel = slice_of(name, (size_t)name_n);
        struct io_publish publish = {.app = APP,
                                     .options = io_options(io, APP, channel),
                                     .key = slice_of(key, (size_t)key_n),
                                     .event = {.kind = EVENT_MESSAGE,
                                               .channel = channel,
                                               .name = slice_str("e"),
                                               .data = slice_of(data, DATA_BYTES),
                                               .time_ms = io->now_ms}};
        bool live;
        SIM_CHECK(w, io_publish(io, &publish, &live) == HUB_OK && !live, "a publish was refused");
    }
    io_hand_over(io, local_none, NULL);
}

static void drain(struct world *w, struct io *io)
{
    for (struct tray *tray; (tray = io_arrived(io));) {
        for (uint32_t i = 0; i < tray->commands_n; i++) {
            SIM_CHECK(w, tray->commands[i].rc == HUB_OK, "a publish failed: %s",
                      hub_error((enum hub_rc)tray->commands[i].rc)->code);
        }
        io_let_go(io, tray);
    }
}

int throughput(const char *dir)
{
    struct world *w = xcalloc(1, sizeof *w);
    struct io *io = &w->threads[0].io;
    uint64_t n = 0;
    double writer = 0;
    if (setjmp(w->failed) != 0) {
        printf("throughput: %s\n", w->why);
        return 1;
    }
    world_open_bare(w, dir);
    double began = now_s();
    for (unsigned b = 0; b < BATCHES; b++) {
        int64_t next;
        w->now_ms++;
        (void)io_turn(io, w->now_ms, (uint64_t)w->now_ms * 1000);
        for (unsigned t = 0; t < TRAYS_A_BATCH; t++) {
            fill(w, io, &n);
        }
        double step = now_s();
        (void)writer_step(w->hub.writer, w->now_ms, &next);
        writer += now_s() - step;
        drain(w, io);
    }
    double all = now_s() - began;
    printf("%llu publishes of %d bytes with keys over %d channels: %.0f a second, the writer alone "
           "%.0f a second\n",
           (unsigned long long)n, DATA_BYTES, CHANNELS_OF_IT, (double)n / all, (double)n / writer);
    world_close(w);
    free(w);
    return 0;
}
