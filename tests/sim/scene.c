/* A stage for the runs of the domain: one I/O thread that asks and hears, a writer that is stepped,
 * a disk that fails and power that goes. What is asked and what must hold is the run's own. */
#include "tests/sim/sim.h"

enum { TRAYS_MAX = 32, SLEEP_MS = 3600 * 1000, BEHIND_MS = 20000 };

static void let_go(void *ctx, const struct tray *tray)
{
    io_let_go(((struct scene *)ctx)->io, (struct tray *)(uintptr_t)tray);
}

/* Every other seed; its own numbers, so that all else of a seed stays what it was. */
static void overlap_draw(struct scene *s)
{
    struct world *w = s->w;
    w->overlap_rng = (struct rng){.state = w->seed * UINT64_C(0x9e3779b97f4a7c15) + 3};
    w->overlaps = s->may_hear_late && rng_percent(&w->overlap_rng, 50);
}

void scene_start(struct scene *s)
{
    overlap_draw(s);
    world_start(s->w);
    s->io = &s->w->threads[0].io;
}

struct command *scene_ask(struct scene *s, const struct command_kind *kind, uint64_t ticket,
                          struct buf *body)
{
    struct command *command = io_command(s->io, kind, APP, (struct return_address){0}, ticket);
    SIM_CHECK(s->w, command, "no tray");
    struct buf *arena = io_arena(s->io);
    command->body_at = (uint32_t)arena->n;
    command->body_n = (uint32_t)body->n;
    buf_add_slice(arena, buf_slice(body));
    s->io->draw(command->seed, sizeof command->seed);
    s->w->counts.commands++;
    buf_done(body);
    return command;
}

static void answers(struct scene *s, const struct tray *tray)
{
    for (uint32_t i = 0; tray->answered && tray->origin == 0 && i < tray->commands_n; i++) {
        const struct command *c = &tray->commands[i];
        SIM_CHECK(s->w,
                  c->rc != HUB_BAD_REQUEST && c->rc != HUB_INTERNAL && c->rc != HUB_STORE_DAMAGED,
                  "%s: %s", c->kind->name, hub_error((enum hub_rc)c->rc)->code);
        s->answered(s->ctx, tray, c);
    }
}

/* What was set off by a batch is judged before its answers: an ack counts from its answer on. */
static void hear(struct scene *s)
{
    struct tray *trays[TRAYS_MAX];
    unsigned n = 0;
    while (n < TRAYS_MAX && (trays[n] = io_arrived(s->io))) {
        n++;
    }
    for (unsigned i = 0; s->heard && i < n; i++) {
        s->heard(s->ctx, trays[i]);
    }
    for (unsigned i = 0; i < n; i++) {
        answers(s, trays[i]);
        io_let_go(s->io, trays[i]);
    }
}

static void came_back(struct scene *s)
{
    if (rng_percent(&s->w->rng, 5)) {
        int64_t ms = rng_below(&s->w->rng, BEHIND_MS); /* somebody set the clock meanwhile */
        s->w->now_ms -= ms;
        s->behind_ms += ms;
    }
    world_cut(s->w);
    s->io = &s->w->threads[0].io;
    if (s->restarted) {
        s->restarted(s->ctx);
    }
    s->check(s->ctx);
}

/* Nothing that was asked waits any more. */
static void hand_over(struct scene *s)
{
    (void)io_turn(s->io, s->w->now_ms, (uint64_t)s->w->now_ms * 1000);
    io_hand_over(s->io, let_go, s);
}

void scene_step(struct scene *s)
{
    struct world *w = s->w;
    int64_t next;
    hand_over(s);
    world_arm(w);
    (void)writer_step(w->hub.writer, w->now_ms, &next);
    bool landed = !w->overlaps || rng_percent(&w->overlap_rng, 40);
    if (landed) {
        writer_flush(w->hub.writer);
    }
    if (disk_stopped() || w->panicked) {
        came_back(s);
        return;
    }
    if (disk_failing()) {
        s->full_until_ms = w->now_ms + 2500;
    } else {
        disk_arm(DISK_SOUND, 0);
    }
    hear(s);
    if (landed) { /* else memory is ahead of what is on disk */
        s->stepped = true;
        s->check(s->ctx);
        s->stepped = false;
    }
}

/* The power may go before or while the last batch is committed, or after it was heard of. */
static bool all_landed(struct scene *s)
{
    if (s->w->overlaps && rng_percent(&s->w->overlap_rng, 50)) {
        disk_arm(DISK_STOPS, rng_below(&s->w->overlap_rng, 12));
        return false;
    }
    writer_flush(s->w->hub.writer);
    hear(s);
    return true;
}

/* Every third life ends as a hub does that is told to. */
static void end_cleanly(struct scene *s)
{
    int64_t next;
    if (s->w->lives % 3 == 0 && !disk_failing() && !s->w->panicked) {
        writer_part(s->w->hub.writer);
        (void)writer_step(s->w->hub.writer, s->w->now_ms, &next);
        writer_flush(s->w->hub.writer);
        hear(s);
    }
}

void scene_cut(struct scene *s)
{
    end_cleanly(s);
    if (all_landed(s) && !disk_failing() && !s->w->panicked) {
        memory_check(s->w);
        memory_note(s->w);
    }
    came_back(s);
}

void scene_time(struct scene *s, uint32_t span_ms)
{
    struct rng *r = &s->w->rng;
    unsigned what = rng_below(r, 1000);
    uint32_t most_ms = what < 900 ? 60 : what < 998 ? span_ms : SLEEP_MS;
    s->w->now_ms += rng_below(r, most_ms);
}

void scene_calm(struct scene *s)
{
    s->w->quiet = true;
    disk_arm(DISK_SOUND, 0);
}
