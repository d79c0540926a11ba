#define _GNU_SOURCE
#include "tests/sim/gauge.h"

#include <time.h>

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void local_none(void *ctx, const struct tray *tray)
{
    (void)ctx;
    (void)tray;
}

struct buf *gauge_begin(struct gauge *g, const struct command_kind *kind, struct command **out)
{
    *out = io_command(g->io, kind, APP, (struct return_address){0}, 0);
    SIM_CHECK(g->w, *out, "no tray");
    struct buf *arena = io_arena(g->io);
    io_seed(g->io, (*out)->seed);
    (*out)->body_at = (uint32_t)arena->n;
    return arena;
}

void gauge_end(struct command *command, const struct buf *arena)
{
    command->body_n = (uint32_t)(arena->n - command->body_at);
}

void gauge_turn(struct gauge *g)
{
    int64_t next;
    g->w->now_ms++;
    io_hand_over(g->io, local_none, NULL);
    (void)io_turn(g->io, g->w->now_ms, (uint64_t)g->w->now_ms * 1000);
    double began = now_s();
    while (writer_step(g->w->hub.writer, g->w->now_ms, &next)) {
    }
    g->writer += now_s() - began;
    for (struct tray *tray; (tray = io_arrived(g->io));) {
        for (uint32_t i = 0; i < tray->commands_n; i++) {
            const struct command *c = &tray->commands[i];
            SIM_CHECK(g->w, c->rc == HUB_OK, "%s failed: %s", c->kind->name,
                      hub_error((enum hub_rc)c->rc)->code);
            g->answered(g->ctx, tray, c);
        }
        io_let_go(g->io, tray);
    }
}
