#include "hub/core/tray.h"

#include <assert.h>
#include <stdlib.h>

enum { SLIM_EVERY_MS = 1000 };

struct command *tray_command(struct tray *tray)
{
    if (tray->commands_n == tray->commands_cap) {
        tray->commands_cap = tray->commands_cap ? tray->commands_cap * 2 : 32;
        tray->commands = xrealloc(tray->commands, tray->commands_cap * sizeof *tray->commands);
    }
    struct command *command = &tray->commands[tray->commands_n++];
    memset(command, 0, sizeof *command);
    return command;
}

struct tray_event *tray_event(struct tray *tray)
{
    if (tray->events_n == tray->events_cap) {
        tray->events_cap = tray->events_cap ? tray->events_cap * 2 : 32;
        tray->events = xrealloc(tray->events, tray->events_cap * sizeof *tray->events);
    }
    struct tray_event *event = &tray->events[tray->events_n++];
    memset(event, 0, sizeof *event);
    return event;
}

void tray_kick(struct tray *tray, uint64_t connection, uint16_t code, const char *reason)
{
    if (tray->kicks_n == tray->kicks_cap) {
        tray->kicks_cap = tray->kicks_cap ? tray->kicks_cap * 2 : 4;
        tray->kicks = xrealloc(tray->kicks, tray->kicks_cap * sizeof *tray->kicks);
    }
    tray->kicks[tray->kicks_n++] =
        (struct tray_kick){.connection = connection, .code = code, .reason = reason};
}

void tray_handout(struct tray *tray, const struct tray_handout *handout)
{
    if (tray->handouts_n == tray->handouts_cap) {
        tray->handouts_cap = tray->handouts_cap ? tray->handouts_cap * 2 : 16;
        tray->handouts = xrealloc(tray->handouts, tray->handouts_cap * sizeof *tray->handouts);
    }
    tray->handouts[tray->handouts_n++] = *handout;
}

/* An arena that one large message blew up does not stay large for good. */
static void arena_clear(struct buf *arena)
{
    if (arena->cap > TRAY_BYTES_KEPT) {
        buf_done(arena);
    }
    buf_clear(arena);
}

void tray_clear(struct tray *tray)
{
    arena_clear(&tray->in);
    arena_clear(&tray->out);
    tray->commands_n = 0;
    tray->events_n = 0;
    tray->kicks_n = 0;
    tray->handouts_n = 0;
    tray->wanted = 0;
    tray->answered = false;
    tray->now_ms = 0;
}

void tray_pool_init(struct tray_pool *pool, unsigned count, uint32_t origin)
{
    pool->trays = xcalloc(count, sizeof *pool->trays);
    pool->idle = NULL;
    pool->count = pool->idle_n = pool->spare_n = count;
    pool->spare_ms = 0;
    pool->home = ring_new(count);
    for (unsigned i = 0; i < count; i++) {
        pool->trays[i].origin = origin;
        pool->trays[i].next = pool->idle;
        pool->idle = &pool->trays[i];
    }
}

static void tray_slim(struct tray *tray)
{
    buf_done(&tray->in);
    buf_done(&tray->out);
    free(tray->commands);
    free(tray->events);
    free(tray->kicks);
    free(tray->handouts);
    tray->commands = NULL;
    tray->events = NULL;
    tray->kicks = NULL;
    tray->handouts = NULL;
    tray->commands_cap = tray->events_cap = tray->kicks_cap = tray->handouts_cap = 0;
}

void tray_pool_done(struct tray_pool *pool)
{
    for (unsigned i = 0; i < pool->count; i++) {
        tray_slim(&pool->trays[i]);
    }
    free(pool->trays);
    ring_free(pool->home);
    *pool = (struct tray_pool){0};
}

struct tray *tray_take(struct tray_pool *pool)
{
    struct tray *tray = pool->idle;
    if (tray) {
        pool->idle = tray->next;
        pool->idle_n--;
        pool->spare_n = pool->idle_n < pool->spare_n ? pool->idle_n : pool->spare_n;
        tray->next = NULL;
        tray_clear(tray);
    }
    return tray;
}

void tray_give(struct tray_pool *pool, struct tray *tray)
{
    assert(pool->idle_n < pool->count);
    tray->next = pool->idle;
    pool->idle = tray;
    pool->idle_n++;
}

void tray_pool_collect(struct tray_pool *pool)
{
    for (struct tray *tray; (tray = ring_pop(pool->home));) {
        tray_give(pool, tray);
    }
}

/* The list is taken from and given to at its front: at its end stand those that stayed. */
void tray_pool_slim(struct tray_pool *pool, int64_t now_ms)
{
    if (now_ms - pool->spare_ms < SLIM_EVERY_MS) {
        return;
    }
    unsigned at = 0;
    for (struct tray *tray = pool->idle; tray; tray = tray->next, at++) {
        if (at >= pool->idle_n - pool->spare_n) {
            tray_slim(tray);
        }
    }
    pool->spare_n = pool->idle_n;
    pool->spare_ms = now_ms;
}

bool tray_release(struct tray *tray, struct ring *home)
{
    if (atomic_fetch_sub_explicit(&tray->refs, 1, memory_order_acq_rel) != 1) {
        return false;
    }
    bool pushed = ring_push(home, tray);
    assert(pushed); /* the ring holds the whole pool */
    (void)pushed;
    return true;
}
