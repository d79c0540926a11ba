/* How fast the domain takes tasks from submit over offer and accept to complete, by agents that
 * together hold ten thousand. */
#include "tests/sim/gauge.h"
#include "hub/tasks/balance.h"

#include <stdio.h>
#include <stdlib.h>

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
    struct gauge gauge;
    uint64_t completed;
};

static void give_worker(struct bench *b, unsigned i)
{
    char name[16], region[16];
    struct command *command;
    struct buf *arena = gauge_begin(&b->gauge, &command_agent_register, &command);
    (void)snprintf(region, sizeof region, "region-%u", i % REGIONS);
    struct agent_register reg = {
        .asker = {.all = true},
        .agent = {.id = agent_name(i, name),
                  .region = b->placed ? slice_str(region) : slice_of(NULL, 0),
                  .slots = SLOTS_ALL / b->agents}};
    agent_register_put(arena, &reg);
    gauge_end(command, arena);
}

static void give_task(struct bench *b)
{
    char key[16], region[16];
    struct command *command;
    struct buf *arena = gauge_begin(&b->gauge, &command_task_submit, &command);
    (void)snprintf(key, sizeof key, "key-%u", (unsigned)(b->given % STICKY));
    (void)snprintf(region, sizeof region, "region-%u", (unsigned)(b->given++ % REGIONS));
    struct task_submit submit = {
        .asker = {.subject = slice_str("boss"), .all = true},
        .spec = {.priority = TASK_NORMAL,
                 .data = slice_str("{\"n\":1,\"text\":\"some work\"}"),
                 .region = b->placed ? slice_str(region) : slice_of(NULL, 0),
                 .sticky = b->keyed ? slice_str(key) : slice_of(NULL, 0)}};
    task_submit_put(arena, &submit);
    gauge_end(command, arena);
}

static void give_act(struct bench *b, const struct command_kind *kind, const struct task *task)
{
    struct command *command;
    struct buf *arena = gauge_begin(&b->gauge, kind, &command);
    struct task_act act = {.asker = {.subject = slice_str("boss"), .all = true},
                           .id = task->id,
                           .lease = {task_life(b->gauge.w->hub.store), task->number, task->lease},
                           .document = slice_str("{\"ok\":1}")};
    task_act_put(arena, &act);
    gauge_end(command, arena);
}

static void answered(void *ctx, const struct tray *tray, const struct command *command)
{
    struct bench *b = ctx;
    (void)tray;
    b->completed += command->kind == &command_task_complete;
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
    SIM_CHECK(b->gauge.w, store_snapshot(b->gauge.w->reader, &view) == STORE_OK, "no snapshot");
    (void)tasks_each(view, &list, 0, UINT32_MAX, give_next, b, &next);
    store_release(b->gauge.w->reader);
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
    struct bench b = {.gauge = {.w = w, .io = &w->threads[0].io, .ctx = &b, .answered = answered},
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
            gauge_turn(&b.gauge);
        }
    }
    gauge_turn(&b.gauge);
    balance_use(tasks_balance(writer_module(w->hub.writer, MODULE_TASKS)), APP, strategy,
                slice_of(NULL, 0));
    b.gauge.writer = 0;
    for (unsigned n = 0; n < BATCHES + 3; n++) {
        for (unsigned i = 0; n < BATCHES && i < A_BATCH; i++) {
            give_task(&b);
        }
        work(&b);
        gauge_turn(&b.gauge);
    }
    printf(
        "%llu tasks submitted, offered, accepted and completed, each step durable: %.0f a second "
        "of the writer's CPU, %.1f microseconds each\n",
        (unsigned long long)b.completed, (double)b.completed / b.gauge.writer,
        b.gauge.writer * 1e6 / (double)b.completed);
    world_close(w);
    free(w);
    return 0;
}
