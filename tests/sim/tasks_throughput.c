/* How fast the domain takes tasks from submit over offer and accept to complete, when nothing
 * fails: on a disk in memory whose syncs cost nothing, by agents that together hold ten thousand.
 * Counted is the writer's own time on the processor, so that what else the machine does is left
 * out. */
#define _GNU_SOURCE
#include "hub/tasks/balance.h"
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    SLOTS_ALL = 10000,
    WORKERS_A_TURN = 500,
    A_BATCH = 1000,
    BATCHES = 200,
    STICKY = 1000,
    REGIONS = 20
};

struct bench {
    unsigned agents;
    bool keyed, placed; /* tasks have a key, a region */
    uint64_t given;
    struct world *w;
    struct io *io;
    double writer;
    uint64_t accepted, completed;
};

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

static struct buf *begin(struct bench *b, const struct command_kind *kind, struct command **out)
{
    *out = io_command(b->io, kind, APP, (struct return_address){0}, 0);
    SIM_CHECK(b->w, *out, "no tray");
    struct buf *arena = io_arena(b->io);
    io_seed(b->io, (*out)->seed);
    (*out)->body_at = (uint32_t)arena->n;
    return arena;
}

static void end(struct command *command, const struct buf *arena)
{
    command->body_n = (uint32_t)(arena->n - command->body_at);
}

static void give_worker(struct bench *b, unsigned i)
{
    char name[16], region[16];
    struct command *command;
    struct buf *arena = begin(b, &command_agent_register, &command);
    (void)snprintf(region, sizeof region, "region-%u", i % REGIONS);
    struct agent_register reg = {
        .asker = {.all = true},
        .agent = {.id = agent_name(i, name),
                  .region = b->placed ? slice_str(region) : slice_of(NULL, 0),
                  .slots = SLOTS_ALL / b->agents}};
    agent_register_put(arena, &reg);
    end(command, arena);
}

static void give_task(struct bench *b)
{
    char key[16], region[16];
    struct command *command;
    struct buf *arena = begin(b, &command_task_submit, &command);
    (void)snprintf(key, sizeof key, "key-%u", (unsigned)(b->given % STICKY));
    (void)snprintf(region, sizeof region, "region-%u", (unsigned)(b->given++ % REGIONS));
    struct task_submit submit = {
        .asker = {.subject = slice_str("boss"), .all = true},
        .spec = {.priority = TASK_NORMAL,
                 .data = slice_str("{\"n\":1,\"text\":\"some work\"}"),
                 .region = b->placed ? slice_str(region) : slice_of(NULL, 0),
                 .sticky = b->keyed ? slice_str(key) : slice_of(NULL, 0)}};
    task_submit_put(arena, &submit);
    end(command, arena);
}

static void give_act(struct bench *b, const struct command_kind *kind, const struct task *task)
{
    struct command *command;
    struct buf *arena = begin(b, kind, &command);
    struct task_act act = {.asker = {.subject = slice_str("boss"), .all = true},
                           .id = task->id,
                           .lease = {task_life(b->w->hub.store), task->number, task->lease},
                           .document = slice_str("{\"ok\":1}")};
    task_act_put(arena, &act);
    end(command, arena);
}

static void turn(struct bench *b)
{
    int64_t next;
    b->w->now_ms++;
    io_hand_over(b->io, local_none, NULL);
    (void)io_turn(b->io, b->w->now_ms, (uint64_t)b->w->now_ms * 1000);
    double began = now_s();
    while (writer_step(b->w->hub.writer, b->w->now_ms, &next)) {
    }
    b->writer += now_s() - began;
    for (struct tray *tray; (tray = io_arrived(b->io));) {
        for (uint32_t i = 0; i < tray->commands_n; i++) {
            const struct command *c = &tray->commands[i];
            SIM_CHECK(b->w, c->rc == HUB_OK, "%s failed: %s", c->kind->name,
                      hub_error((enum hub_rc)c->rc)->code);
            b->completed += c->kind == &command_task_complete;
        }
        io_let_go(b->io, tray);
    }
}

static bool give_next(void *ctx, const struct task *task)
{
    struct bench *b = ctx;
    if (task->state == TASK_LEASED) {
        give_act(b, &command_task_accept, task);
    } else if (task->state == TASK_RUNNING) {
        give_act(b, &command_task_complete, task);
    }
    return true;
}

/* What is offered is accepted, what runs is completed: by all, in one go. */
static void work(struct bench *b)
{
    struct store_view *view;
    struct task_list list = {.index = TASKS_IN_STATUS, .app = APP, .status = TASK_IS_RUNNING};
    uint64_t next;
    SIM_CHECK(b->w, store_snapshot(b->w->reader, &view) == STORE_OK, "no snapshot");
    (void)tasks_each(view, &list, 0, UINT32_MAX, give_next, b, &next);
    store_release(b->w->reader);
}

int tasks_throughput(const char *dir, unsigned agents, const char *strategy_name)
{
    struct world *w = xcalloc(1, sizeof *w);
    enum balance_strategy strategy = BALANCE_LEAST_CONNECTIONS;
    if (agents < 1 || agents > SLOTS_ALL ||
        (strategy_name && !balance_strategy_of(slice_str(strategy_name), &strategy))) {
        puts("throughput of tasks: 1 to 10,000 agents, and a strategy by its name");
        return 2;
    }
    struct bench b = {.w = w,
                      .io = &w->threads[0].io,
                      .agents = agents,
                      .keyed = strategy == BALANCE_CONSISTENT_HASH,
                      .placed = strategy == BALANCE_GEOGRAPHIC};
    if (setjmp(w->failed) != 0) {
        printf("throughput of tasks: %s\n", w->why);
        return 1;
    }
    world_open_bare(w, dir);
    for (unsigned i = 0; i < agents; i++) {
        give_worker(&b, i);
        if (i % WORKERS_A_TURN == WORKERS_A_TURN - 1) {
            turn(&b);
        }
    }
    turn(&b);
    balance_use(tasks_balance(writer_module(w->hub.writer, MODULE_TASKS)), APP, strategy,
                slice_of(NULL, 0));
    b.writer = 0;
    for (unsigned n = 0; n < BATCHES + 3; n++) {
        for (unsigned i = 0; n < BATCHES && i < A_BATCH; i++) {
            give_task(&b);
        }
        work(&b);
        turn(&b);
    }
    printf(
        "%llu tasks submitted, offered, accepted and completed, each step durable: %.0f a second "
        "of the writer's CPU, %.1f microseconds each\n",
        (unsigned long long)b.completed, (double)b.completed / b.writer,
        b.writer * 1e6 / (double)b.completed);
    world_close(w);
    free(w);
    return 0;
}
