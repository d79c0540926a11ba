/* Endless urgent work, one agent with one slot, and a few tasks of low priority in between, while
 * the disk fails and the power is cut. Judged is the bound of semantics.md section 2: nobody waits
 * longer than four times the ageing and what was queued before it takes; time in which the hub was
 * away, or its disk full, does not count. */
#include "tests/sim/sim.h"

#include <stdlib.h>

enum { STEP_MS = 100, FLOOD_MS = 2000, STEPS_MAX = 600, LOWS = 4, LOW_EVERY_MS = 900 };

struct low {
    uint64_t number;
    int64_t submitted_ms, bound_ms, away_ms; /* away: of the hub, when it was submitted */
    bool waits;
};

struct starving {
    struct world *w;
    struct scene scene;
    struct low lows[LOWS];
    unsigned lows_n;
    bool by_key;     /* the low ones have a key of their own */
    int64_t away_ms; /* when nothing could be done */
    int64_t step_ms; /* when the step began: what has passed within it, the hub was away */
};

static struct asker boss(void)
{
    return (struct asker){.subject = slice_str("boss"), .all = true};
}

static void do_register(struct starving *s)
{
    char name[16];
    struct buf body = {0};
    struct agent_register reg = {.asker = boss(),
                                 .agent = {.id = agent_name(0, name),
                                           .slots = 1,
                                           .endpoints = slice_str("{}"),
                                           .metadata = slice_str("{}")}};
    agent_register_put(&body, &reg);
    (void)scene_ask(&s->scene, &command_agent_register, 0, &body);
}

static void do_submit(struct starving *s, enum task_priority priority)
{
    struct buf body = {0};
    bool low = priority == TASK_LOW;
    struct task_submit submit = {
        .asker = boss(),
        .said = slice_str("x"),
        .spec = {.priority = priority,
                 .data = slice_str("{}"),
                 .fairness = slice_str(low && s->by_key ? "patient" : "hasty")}};
    task_submit_put(&body, &submit);
    (void)scene_ask(&s->scene, &command_task_submit, low, &body);
}

static uint64_t queued(struct starving *s)
{
    struct tasks_figures f;
    uint64_t n = 0;
    tasks_figures(writer_module(s->w->hub.writer, MODULE_TASKS), APP, &f);
    for (unsigned i = 0; i < TASK_PRIORITIES; i++) {
        n += f.queued[i];
    }
    return n;
}

/* A task takes two steps: accepted in the one, completed in the next. */
static void answered(void *ctx, const struct tray *tray, const struct command *command)
{
    struct starving *s = ctx;
    struct task_submitted made;
    if (command->ticket && command->rc == HUB_OK && s->lows_n < LOWS) {
        struct slice reply = tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n);
        SIM_CHECK(s->w, task_submitted_get(reply, &made), "no answer");
        int64_t drain_ms = (int64_t)(queued(s) + 2) * 2 * STEP_MS;
        s->lows[s->lows_n++] = (struct low){
            .number = made.number,
            .submitted_ms = made.at_ms,
            .bound_ms = 4 * s->w->settings.task_aging_ms + drain_ms,
            .away_ms = s->away_ms,
            .waits = true,
        };
    }
}

/* Less than none when the clock was set back: ageing waits for it too. */
static int64_t passed(const struct starving *s)
{
    return s->w->now_ms > s->step_ms ? s->w->now_ms - s->step_ms : 0;
}

static void check(void *ctx)
{
    struct starving *s = ctx;
    struct store_view *view;
    SIM_CHECK(s->w, store_snapshot(s->w->reader, &view) == STORE_OK, "no snapshot");
    for (unsigned i = 0; i < s->lows_n; i++) {
        struct low *low = &s->lows[i];
        struct task task;
        SIM_CHECK(s->w, task_get(view, low->number, &task) == STORE_OK, "task %llu is gone",
                  (unsigned long long)low->number);
        int64_t away_ms = s->away_ms + passed(s) - low->away_ms;
        int64_t waited_ms = s->w->now_ms - low->submitted_ms - away_ms;
        low->waits = low->waits && task.lease == 0;
        SIM_CHECK(s->w, !low->waits || waited_ms <= low->bound_ms,
                  "a low task waits for %lld ms, the bound is %lld", (long long)waited_ms,
                  (long long)low->bound_ms);
    }
    store_release(s->w->reader);
}

static void report(struct starving *s, const struct task *task)
{
    struct buf body = {0};
    struct task_act act = {.asker = boss(),
                           .id = task->id,
                           .lease = {task_life(s->w->hub.store), task->number, task->lease},
                           .after_ms = -1,
                           .document = slice_str("[1]")};
    task_act_put(&body, &act);
    (void)scene_ask(&s->scene,
                    task->state == TASK_LEASED ? &command_task_accept : &command_task_complete, 0,
                    &body);
}

static void agent_works(struct starving *s)
{
    struct buf held = {0};
    struct store_view *view;
    struct task task;
    tasks_held_put(writer_module(s->w->hub.writer, MODULE_TASKS), 1, &held);
    SIM_CHECK(s->w, store_snapshot(s->w->reader, &view) == STORE_OK, "no snapshot");
    struct unpack u = unpack_of(buf_slice(&held));
    if (held.n && task_get(view, unpack_u64(&u), &task) == STORE_OK) {
        report(s, &task); /* copies what it borrows */
    }
    store_release(s->w->reader);
    buf_done(&held);
}

/* A step in which power went, the disk failed or was taken for full counts as away. */
static void step(struct starving *s)
{
    uint64_t crashes = s->w->counts.crashes;
    s->w->now_ms += STEP_MS;
    if (s->w->now_ms < s->scene.full_until_ms) {
        s->away_ms += STEP_MS;
    }
    s->step_ms = s->w->now_ms;
    scene_step(&s->scene);
    if (s->w->counts.crashes != crashes) {
        s->away_ms += passed(s) + 2 * STEP_MS;
    }
    s->step_ms = s->w->now_ms;
}

void starving_run(struct world *w)
{
    struct starving *s = xcalloc(1, sizeof *s);
    s->w = w;
    s->step_ms = w->now_ms;
    s->by_key = rng_percent(&w->rng, 50);
    s->scene = (struct scene){.w = w, .ctx = s, .answered = answered, .check = check};
    scene_start(&s->scene);
    for (unsigned n = 0, over = 0; n < STEPS_MAX && over < LOWS; n++) {
        unsigned lows = s->lows_n;
        if (n % 20 == 0) {
            do_register(s); /* and so it is never found silent */
        }
        do_submit(s, TASK_URGENT);
        if (n * STEP_MS > FLOOD_MS && n % (LOW_EVERY_MS / STEP_MS) == 0 && lows < LOWS) {
            do_submit(s, TASK_LOW);
        }
        agent_works(s);
        step(s);
        over = 0;
        for (unsigned i = 0; i < s->lows_n; i++) {
            over += !s->lows[i].waits;
        }
    }
    scene_calm(&s->scene);
    free(s);
}
