/* Tasks by seeds: submitted, taken, renewed, forgotten, failed, cancelled and replayed by agents
 * that come and go, while the disk fails and the power is cut.
 *
 * Judged is what the outside was told, and the rows. A task that was acknowledged is there; the sum
 * over the states is the count of the tasks; what is over stays as it ended; a cancel is
 * remembered. An agent that was given a lease holds it alone until it lapses by the agent's own
 * clock, or the agent was taken off. No agent holds more than its slots. In the end nothing is
 * stuck. */
#include "tests/sim/sim.h"
#include "store/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum { TASKS_MAX = 120, WORKERS = 4, ACTIONS = 300, CALM_STEPS = 400, HOLDER_UNKNOWN = 1000 };
enum asked { ASKED_NOTHING, ASKED_SUBMIT, ASKED_ACCEPT, ASKED_COMPLETE, ASKED_CANCEL, ASKED_RENEW };

struct task_seen {
    bool there, told_done, told_cancelled;
    enum task_state state;
    enum task_stop stop;
    uint32_t lease;
    uint16_t attempts, redeliveries;
    int64_t finished_ms;
    /* As an agent knows it. */
    uint32_t holder, holder_epoch, held_lease;
    int64_t until_ms;
};

struct worker_seen {
    bool registered;
    uint32_t number;
    unsigned slots;
};

struct run {
    struct world *w;
    struct scene scene;
    struct task_seen tasks[TASKS_MAX + 1]; /* by number */
    uint64_t newest, submitted;            /* told */
    struct worker_seen workers[WORKERS];
};

/* ---- asking ---- */

static void ask(struct run *r, const struct command_kind *kind, enum asked asked, uint64_t about,
                struct buf *body)
{
    (void)scene_ask(&r->scene, kind, (uint64_t)asked << 32 | about, body);
}

static struct asker boss(void)
{
    return (struct asker){.subject = slice_str("boss"), .all = true};
}

static void do_register(struct run *r, unsigned i)
{
    char name[16];
    struct buf body = {0};
    static const unsigned slots[WORKERS] = {1, 2, 2, 4};
    struct agent_register reg = {.asker = boss(),
                                 .agent = {.id = agent_name(i, name),
                                           .version = slice_str("1"),
                                           .slots = slots[i],
                                           .endpoints = slice_str("{}"),
                                           .metadata = slice_str("{}")}};
    agent_register_put(&body, &reg);
    ask(r, &command_agent_register, ASKED_NOTHING, i, &body);
    r->workers[i] = (struct worker_seen){.registered = true, .slots = slots[i]};
}

static void do_deregister(struct run *r, unsigned i)
{
    char name[16];
    struct buf body = {0};
    struct agent_change change = {.asker = boss(), .id = agent_name(i, name)};
    agent_change_put(&body, &change);
    ask(r, &command_agent_deregister, ASKED_NOTHING, i, &body);
    r->workers[i].registered = false;
}

static void do_beat(struct run *r, unsigned i)
{
    char name[16];
    struct buf body = {0};
    struct agent_change change = {
        .asker = boss(), .id = agent_name(i, name), .has_status = true, .status = AGENT_ACTIVE};
    agent_change_put(&body, &change);
    ask(r, &command_agent_change, ASKED_NOTHING, i, &body);
}

static void do_submit(struct run *r)
{
    struct rng *g = &r->w->rng;
    struct buf body = {0}, fairness = {0};
    buf_printf(&fairness, "%u", rng_below(g, 3));
    struct task_submit submit = {
        .asker = boss(),
        .said = slice_str("x"),
        .spec = {.priority = (enum task_priority)rng_below(g, TASK_PRIORITIES),
                 .data = slice_str("{\"n\":1}"),
                 .fairness = buf_slice(&fairness),
                 .delay_ms = rng_percent(g, 20) ? rng_below(g, 6000) : 0,
                 .start_within_ms = rng_percent(g, 10) ? 1 + rng_below(g, 20000) : 0,
                 .close_within_ms = rng_percent(g, 20) ? 1 + rng_below(g, 9000) : 0,
                 .total_within_ms = rng_percent(g, 10) ? 1 + rng_below(g, 60000) : 0,
                 .uuid = rng_percent(g, 30)}};
    task_submit_put(&body, &submit);
    ask(r, &command_task_submit, ASKED_SUBMIT, 0, &body);
    buf_done(&fairness);
}

static struct slice id_of(struct run *r, uint64_t number, char out[TASK_ID_BYTES_MAX])
{
    struct store_view *view;
    struct task task;
    size_t n = 0;
    SIM_CHECK(r->w, store_snapshot(r->w->reader, &view) == STORE_OK, "no snapshot");
    if (task_get(view, number, &task) == STORE_OK) {
        n = task.id.n;
        memcpy(out, task.id.p, n);
    }
    store_release(r->w->reader);
    return slice_of(out, n);
}

static void act(struct run *r, const struct command_kind *kind, enum asked asked, uint64_t number,
                uint32_t lease)
{
    char id[TASK_ID_BYTES_MAX];
    struct buf body = {0};
    struct task_act a = {.asker = boss(),
                         .id = id_of(r, number, id),
                         .lease = {task_life(r->w->hub.store), lease ? number : 0, lease},
                         .after_ms = -1,
                         .final = rng_percent(&r->w->rng, 5),
                         .text = slice_str("?"),
                         .document = slice_str("[1]")};
    task_act_put(&body, &a);
    ask(r, kind, asked, number, &body);
}

static void do_renew(struct run *r, uint64_t number)
{
    struct asker asker = boss();
    struct buf body = {0};
    struct task_lease lease = {task_life(r->w->hub.store), number, r->tasks[number].held_lease};
    task_renew_put(&body, &asker, false, &lease, 1);
    ask(r, &command_task_renew, ASKED_RENEW, number, &body);
}

/* What an agent does with a task it has, or believes to have. */
static void do_report(struct run *r, uint64_t number)
{
    struct rng *g = &r->w->rng;
    uint32_t lease = r->tasks[number].held_lease;
    unsigned what = rng_below(g, 100);
    if (what < 30) {
        do_renew(r, number);
    } else if (what < 60) {
        act(r, &command_task_complete, ASKED_COMPLETE, number, lease);
    } else if (what < 80) {
        act(r, &command_task_fail, ASKED_NOTHING, number, lease);
    } else if (what < 88) {
        act(r, &command_task_progress, ASKED_NOTHING, number, lease);
    } else if (what < 92) {
        act(r, &command_task_ask, ASKED_NOTHING, number, lease);
    } else if (what < 96) {
        act(r, &command_task_cancel, ASKED_NOTHING, number, lease);
    }
}

static void act_on(struct run *r, uint64_t number)
{
    struct rng *g = &r->w->rng;
    const struct task_seen *t = &r->tasks[number];
    if (t->state == TASK_LEASED && rng_percent(g, 80)) {
        act(r, rng_percent(g, 85) ? &command_task_accept : &command_task_reject, ASKED_ACCEPT,
            number, t->lease);
    } else if (t->held_lease && rng_percent(g, 85)) {
        do_report(r, number);
    } else if (t->state == TASK_INPUT_REQUIRED) {
        act(r, &command_task_input, ASKED_NOTHING, number, 0);
    } else if (t->state == TASK_DEAD && r->newest < TASKS_MAX - 20) {
        act(r, &command_task_replay, ASKED_NOTHING, number, 0);
    } else if (rng_percent(g, 10)) {
        act(r, &command_task_cancel, ASKED_CANCEL, number, 0);
    }
}

/* ---- answers ---- */

static void accepted(struct run *r, uint64_t number, struct slice reply)
{
    struct task_seen *t = &r->tasks[number];
    struct task_acted a;
    SIM_CHECK(r->w, task_acted_get(reply, &a), "no answer");
    if (a.state != TASK_RUNNING) {
        return; /* it was rejected */
    }
    SIM_CHECK(r->w, !t->holder || t->held_lease == a.lease || t->until_ms <= r->w->now_ms,
              "task %llu is leased twice: until %lld, now %lld", (unsigned long long)number,
              (long long)t->until_ms, (long long)r->w->now_ms);
    r->w->counts.leases += t->held_lease != a.lease;
    t->held_lease = a.lease;
    t->until_ms = a.until_ms;
    t->holder = HOLDER_UNKNOWN; /* the rows tell */
}

static void renewed(struct run *r, uint64_t number, struct slice reply)
{
    struct task_renewed list;
    struct task_lease lease;
    int64_t until;
    SIM_CHECK(r->w, task_renewed_get(reply, &list) && list.n == 1, "no answer to a renewal");
    SIM_CHECK(r->w, task_renewed_next(&list, &lease, &until), "an empty renewal");
    struct task_seen *t = &r->tasks[number];
    if (lease.lease == t->held_lease) {
        t->until_ms = until;
        t->holder = until ? t->holder : 0;
    }
}

static void answered(void *ctx, const struct tray *tray, const struct command *command)
{
    struct run *r = ctx;
    struct slice reply = tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n);
    uint64_t about = command->ticket & UINT32_MAX;
    enum asked asked = (enum asked)(command->ticket >> 32);
    sim_note(r->w, command->rc + hash64(1, reply));
    if (command->rc != HUB_OK) {
        return;
    }
    switch (asked) {
    case ASKED_SUBMIT:
        r->submitted++;
        break;
    case ASKED_ACCEPT:
        accepted(r, about, reply);
        break;
    case ASKED_COMPLETE: {
        struct task_acted a;
        SIM_CHECK(r->w, task_acted_get(reply, &a), "no answer");
        r->tasks[about].told_done = r->tasks[about].told_done || a.state == TASK_COMPLETED;
        r->tasks[about].holder = 0;
        break;
    }
    case ASKED_CANCEL:
        r->tasks[about].told_cancelled = true;
        break;
    case ASKED_RENEW:
        renewed(r, about, reply);
        break;
    case ASKED_NOTHING:
        break;
    }
}

/* ---- what must hold ---- */

/* An agent that is gone for good holds nothing, whatever the clock says; if it came again since the
 * last look, it may have been gone meanwhile. */
static bool is_off(struct store_view *view, uint32_t number, uint32_t epoch)
{
    struct agent agent;
    return agent_get(view, number, &agent) == STORE_OK &&
           (agent.epoch != epoch || agent.status == AGENT_INACTIVE ||
            agent.status == AGENT_DEREGISTERED);
}

static uint32_t epoch_of(struct store_view *view, uint32_t number)
{
    struct agent agent;
    return agent_get(view, number, &agent) == STORE_OK ? agent.epoch : 0;
}

static void check_row(struct run *r, struct store_view *view, const struct task *task)
{
    struct task_seen *t = &r->tasks[task->number];
    struct world *w = r->w;
    unsigned long long n = task->number;
    if (t->there) {
        SIM_CHECK(w, task->lease >= t->lease, "the leases of task %llu go back", n);
        SIM_CHECK(w, task->attempts >= t->attempts && task->redeliveries >= t->redeliveries,
                  "a counter of task %llu goes back", n);
        SIM_CHECK(w,
                  !task_is_over(t->state) || (task->state == t->state && task->stop == t->stop &&
                                              task->finished_ms == t->finished_ms),
                  "task %llu was over and is another now", n);
    } else {
        w->counts.tasks++;
    }
    SIM_CHECK(
        w, task_is_over(task->state) == (task->stop != STOP_NONE) || task->state == TASK_CANCELLING,
        "task %llu is %s without a reason", n, task_state_name(task->state));
    SIM_CHECK(w, !t->told_done || task->state == TASK_COMPLETED, "a result of %llu is lost", n);
    SIM_CHECK(w,
              !t->told_cancelled || task->state == TASK_CANCELLED || task->state == TASK_CANCELLING,
              "task %llu forgot that it was cancelled: %s", n, task_state_name(task->state));
    SIM_CHECK(w, task_is_held(task->state) == (task->agent != 0), "who has task %llu?", n);
    bool reported = task->attempts > t->attempts || task->state == TASK_INPUT_REQUIRED;
    if (t->holder &&
        (reported || task_is_over(task->state) || is_off(view, t->holder, t->holder_epoch))) {
        t->holder = 0;
    }
    if (t->holder && task->lease == t->held_lease && task->agent) {
        t->holder = task->agent;
        t->holder_epoch = epoch_of(view, task->agent);
    } else if (t->holder == HOLDER_UNKNOWN) {
        t->holder = 0; /* given and taken within one batch */
    }
    t->there = true;
    t->state = task->state;
    t->stop = task->stop;
    t->lease = task->lease;
    t->attempts = task->attempts;
    t->redeliveries = task->redeliveries;
    t->finished_ms = task->finished_ms;
    t->held_lease = task->state == TASK_RUNNING ? task->lease : t->held_lease;
}

static void check_rows(struct run *r, struct store_view *view)
{
    struct task_totals totals;
    uint64_t newest, in_state[TASK_STATES] = {0}, held[WORKERS + 2] = {0};
    SIM_CHECK(r->w, task_newest(view, &newest) == STORE_OK && newest <= TASKS_MAX, "too many");
    SIM_CHECK(r->w, newest >= r->submitted, "%llu tasks of %llu are there",
              (unsigned long long)newest, (unsigned long long)r->submitted);
    for (uint64_t n = 1; n <= newest; n++) {
        struct task task;
        SIM_CHECK(r->w, task_get(view, n, &task) == STORE_OK, "task %llu is gone",
                  (unsigned long long)n);
        check_row(r, view, &task);
        in_state[task.state]++;
        held[task.agent < WORKERS + 1 ? task.agent : WORKERS + 1]++;
    }
    r->newest = newest;
    SIM_CHECK(r->w, task_totals_get(view, APP, &totals) == STORE_OK, "no totals");
    for (unsigned i = TASK_NONE + 1; i < TASK_STATES; i++) {
        SIM_CHECK(r->w, totals.in_state[i] == in_state[i], "%llu tasks are %s, %llu are counted",
                  (unsigned long long)in_state[i], task_state_name((enum task_state)i),
                  (unsigned long long)totals.in_state[i]);
    }
    for (uint32_t number = 1; number <= WORKERS; number++) {
        struct agent agent;
        if (agent_get(view, number, &agent) == STORE_OK) {
            SIM_CHECK(r->w, held[number] <= agent.slots, "an agent has more than its slots");
            uint32_t known = tasks_held_by(writer_module(r->w->hub.writer, MODULE_TASKS), number);
            SIM_CHECK(r->w, known == held[number], "an agent has %llu, memory says %u",
                      (unsigned long long)held[number], known);
        }
    }
}

static void check_all(void *ctx)
{
    struct run *r = ctx;
    struct store_view *view;
    SIM_CHECK(r->w, store_snapshot(r->w->reader, &view) == STORE_OK, "no snapshot");
    check_rows(r, view);
    store_release(r->w->reader);
}

/* ---- the run ---- */

static void some_actions(struct run *r)
{
    struct rng *g = &r->w->rng;
    for (unsigned n = rng_below(g, 6); n > 0; n--) {
        unsigned what = rng_below(g, 100), i = rng_below(g, WORKERS);
        if (what < 15) {
            if (r->newest < TASKS_MAX - 40) {
                do_submit(r);
            }
        } else if (what < 25) {
            if (rng_percent(g, 8)) {
                do_deregister(r, i);
            } else if (r->workers[i].registered) {
                do_beat(r, i);
            } else {
                do_register(r, i);
            }
        } else if (r->newest) {
            act_on(r, 1 + rng_below(g, (uint32_t)r->newest));
        }
    }
}

/* Nothing fails any more, agents are there and do their work. */
static void calm_step(struct run *r, unsigned n)
{
    r->w->now_ms += 250;
    for (unsigned i = 0; n % 8 == 0 && i < WORKERS; i++) {
        if (n == 0) {
            do_register(r, i);
        } else {
            do_beat(r, i);
        }
    }
    for (uint64_t number = 1; number <= r->newest; number++) {
        const struct task_seen *t = &r->tasks[number];
        if (t->state == TASK_LEASED) {
            act(r, &command_task_accept, ASKED_ACCEPT, number, t->lease);
        } else if (t->state == TASK_RUNNING) {
            act(r, &command_task_complete, ASKED_COMPLETE, number, t->lease);
        } else if (t->state == TASK_INPUT_REQUIRED) {
            act(r, &command_task_input, ASKED_NOTHING, number, 0);
        }
    }
    scene_step(&r->scene);
}

void tasks_run(struct world *w)
{
    struct run *r = xcalloc(1, sizeof *r);
    struct rng *g = &w->rng;
    r->w = w;
    r->scene = (struct scene){.w = w, .ctx = r, .answered = answered, .check = check_all};
    scene_start(&r->scene);
    for (unsigned i = 0; i < ACTIONS; i++) {
        some_actions(r);
        w->now_ms += rng_percent(g, 10) ? rng_below(g, 5000) : rng_below(g, 60);
        scene_step(&r->scene);
        if (rng_percent(g, w->plan.crash_percent)) {
            scene_cut(&r->scene);
        }
    }
    scene_calm(&r->scene);
    for (unsigned n = 0; n < 20; n++) { /* a full disk is believed for a while */
        w->now_ms += 250;
        scene_step(&r->scene);
    }
    for (unsigned n = 0; n < CALM_STEPS; n++) {
        calm_step(r, n);
    }
    scene_cut(&r->scene);
    for (uint64_t number = 1; number <= r->newest; number++) {
        SIM_CHECK(w, task_is_over(r->tasks[number].state), "task %llu is stuck in %s",
                  (unsigned long long)number, task_state_name(r->tasks[number].state));
    }
    free(r);
}
