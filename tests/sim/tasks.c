/* Tasks by seeds: submitted, taken, renewed, forgotten, refused, failed, asked about, cancelled,
 * replayed, one or many, and purged, by agents that come, drain, lose their connection and go;
 * queues are paused and strategies changed, while the disk fails and the power is cut.
 *
 * Judged is what the outside was told, and the rows. A task that was acknowledged is there; the sum
 * over the states is the count of the tasks; what is over stays as it ended; a cancel is
 * remembered. An agent that was given a lease holds it alone until it lapses by the agent's own
 * clock, or the agent was taken off. No agent holds more than its slots; one that is not there, or
 * whose queue stands still, is offered nothing. A key or an id makes one task, whenever it is said
 * again. What the channel tells is a chain: each change goes out from where the one before ended,
 * each lease was offered once and to somebody who was waited for. What was purged is a dead letter
 * no more, for good: told once, counted as was answered, never replayed. In the end nothing is
 * stuck. */
#include "tests/sim/sim.h"
#include "channels/json_scan.h"
#include "hub/tasks/balance_module.h"
#include "hub/tasks/pauses.h"
#include "store/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TASKS_MAX = 120,
    WORKERS = 4,
    ACTIONS = 300,
    CALM_STEPS = 400,
    HOLDER_UNKNOWN = 1000,
    SAID_AGAIN = 6, /* keys, and ids of the callers' own */
    TOLD_EVERY = 8  /* steps: what was told in between is read then */
};
enum asked {
    ASKED_NOTHING,
    ASKED_SUBMIT,
    ASKED_KEYED,
    ASKED_NAMED,
    ASKED_ACCEPT,
    ASKED_COMPLETE,
    ASKED_CANCEL,
    ASKED_RENEW,
    ASKED_STRATEGY,
    ASKED_PURGE
};

struct task_seen {
    bool there, told_done, told_cancelled, purged;
    enum task_state state;
    enum task_stop stop;
    uint32_t lease;
    uint16_t attempts, redeliveries;
    int64_t finished_ms;
    uint32_t offers, purges; /* told */
    enum task_state told;    /* where the newest event left it */
    /* As an agent knows it. */
    uint32_t holder, holder_epoch, held_lease;
    int64_t until_ms; /* by its own clock, which nobody set back */
};

struct worker_seen {
    bool registered;
    unsigned slots;
    uint64_t connection; /* 0: it came without one */
    /* Its row, at the last look. */
    bool away; /* it may be offered nothing */
    uint32_t number, epoch;
    int64_t changed_ms;
};

struct run {
    struct world *w;
    struct scene scene;
    struct task_seen tasks[TASKS_MAX + 1]; /* by number */
    uint64_t newest, submitted, purged;    /* told */
    struct worker_seen workers[WORKERS];
    uint64_t keyed[SAID_AGAIN], named[SAID_AGAIN]; /* number of the task that it made */
    uint64_t told_next;                            /* offset of the next event to be read */
    unsigned looks;
    uint8_t paused;                       /* as of the last look */
    bool pauses;                          /* a change of it is under way */
    int strategy;                         /* told; -1: a change of it is under way */
    enum balance_strategy strategy_asked; /* the last */
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
                                           .metadata = slice_str("{}")},
                                 .connection = i % 2 ? 0 : io_connection_id(r->scene.io)};
    agent_register_put(&body, &reg);
    ask(r, &command_agent_register, ASKED_NOTHING, i, &body);
    r->workers[i].registered = true;
    r->workers[i].slots = slots[i];
    r->workers[i].connection = reg.connection;
}

/* Its connection closed: it may beat on, but it hears of nothing. */
static void do_gone(struct run *r, unsigned i)
{
    struct worker_seen *w = &r->workers[i];
    struct buf body = {0};
    if (w->connection && w->number) {
        agent_gone_put(&body, w->number, w->epoch, w->connection);
        ask(r, &command_agent_gone, ASKED_NOTHING, i, &body);
        w->connection = 0;
    }
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

static void do_beat(struct run *r, unsigned i, enum agent_status status)
{
    char name[16];
    struct buf body = {0};
    struct agent_change change = {
        .asker = boss(), .id = agent_name(i, name), .has_status = true, .status = status};
    agent_change_put(&body, &change);
    ask(r, &command_agent_change, ASKED_NOTHING, i, &body);
}

/* The same once more, as who got no answer says it: by its key, or by the id that it gave itself. A
 * replay of such a task has no key of its own, so the mark stands in what a replay does not ask for
 * again: the id; and in the region for a key's. */
static void do_submit_again(struct run *r, unsigned n, bool keyed)
{
    struct buf body = {0};
    char name[16];
    (void)snprintf(name, sizeof name, "%s-%u", keyed ? "key" : "own", n);
    struct task_submit submit = {.asker = boss(),
                                 .said = slice_str("x"),
                                 .spec = {.priority = TASK_NORMAL, .data = slice_str("{}")}};
    *(keyed ? &submit.spec.region : &submit.spec.id) = slice_str(name);
    task_submit_put(&body, &submit);
    struct command *command =
        scene_ask(&r->scene, &command_task_submit,
                  (uint64_t)(keyed ? ASKED_KEYED : ASKED_NAMED) << 32 | n, &body);
    if (keyed) {
        command->flags = COMMAND_KEYED;
        memset(command->key_hash, (int)n + 1, sizeof command->key_hash);
        memset(command->request_hash, 1, sizeof command->request_hash);
    }
}

static void do_pause(struct run *r, uint8_t priorities, bool pause)
{
    struct buf body = {0};
    struct pause_change change = {.priorities = priorities, .pause = pause, .said = slice_str("x")};
    pause_change_put(&body, &change);
    ask(r, &command_queue_pause, ASKED_NOTHING, 0, &body);
    r->pauses = true;
}

static void do_strategy(struct run *r)
{
    struct buf body = {0};
    struct balance_change change = {
        .strategy = (enum balance_strategy)rng_below(&r->w->rng, BALANCE_STRATEGIES),
        .said = slice_str("x")};
    balance_change_put(&body, &change);
    ask(r, &command_balance_change, ASKED_STRATEGY, change.strategy, &body);
    r->strategy_asked = change.strategy;
    r->strategy = -1;
}

static void do_many(struct run *r, const struct command_kind *kind, enum asked asked)
{
    struct rng *g = &r->w->rng;
    struct buf body = {0};
    struct task_many many = {.asker = boss(),
                             .said = slice_str("x"),
                             .priority = (enum task_priority)rng_below(g, TASK_PRIORITIES + 1),
                             .stop = kind != &command_tasks_clear && rng_percent(g, 50)
                                         ? (enum task_stop)rng_below(g, TASK_STOPS)
                                         : STOP_NONE,
                             .n_max = 1 + rng_below(g, 4)};
    task_many_put(&body, &many);
    ask(r, kind, asked, 0, &body);
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
    } else if (what < 88) { /* several at a time: the last waits to be stored */
        for (unsigned n = 1 + rng_below(g, 3); n > 0; n--) {
            act(r, &command_task_progress, ASKED_NOTHING, number, lease);
        }
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
    int64_t now_ms = r->w->now_ms + r->scene.behind_ms;
    SIM_CHECK(r->w, !t->holder || t->held_lease == a.lease || t->until_ms <= now_ms,
              "task %llu is leased twice: until %lld, now %lld", (unsigned long long)number,
              (long long)t->until_ms, (long long)now_ms);
    r->w->counts.leases += t->held_lease != a.lease;
    t->held_lease = a.lease;
    t->until_ms = a.until_ms + r->scene.behind_ms;
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
        t->until_ms = until + r->scene.behind_ms;
        t->holder = until ? t->holder : 0;
    }
}

static void made(struct run *r, uint64_t *known, struct slice reply)
{
    struct task_submitted s;
    SIM_CHECK(r->w, task_submitted_get(reply, &s), "no answer");
    SIM_CHECK(r->w, !*known || *known == s.number, "said again it is task %llu, it was %llu",
              (unsigned long long)s.number, (unsigned long long)*known);
    *known = s.number;
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
    case ASKED_KEYED:
        made(r, &r->keyed[about], reply);
        break;
    case ASKED_NAMED:
        made(r, &r->named[about], reply);
        break;
    case ASKED_STRATEGY:
        r->strategy = about == r->strategy_asked ? (int)about : -1;
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
    case ASKED_PURGE: {
        struct task_did_many did;
        SIM_CHECK(r->w, task_did_many_get(reply, &did), "no answer");
        r->purged += did.n;
        break;
    }
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

static void is_one(struct run *r, uint64_t *known, uint64_t number)
{
    SIM_CHECK(r->w, !*known || *known == number, "%llu and %llu were made by the same words",
              (unsigned long long)*known, (unsigned long long)number);
    *known = number;
}

/* Where it came from: what makes one task makes no second. */
static void check_origin(struct run *r, struct store_view *view, const struct task *task)
{
    struct task old;
    if (slice_starts(task->id, "own-")) {
        is_one(r, &r->named[task->id.p[4] - '0'], task->number);
    } else if (slice_starts(task->region, "key-") && !task->replay_of) {
        is_one(r, &r->keyed[task->region.p[4] - '0'], task->number);
    }
    if (task->replay_of) {
        SIM_CHECK(r->w,
                  task_get(view, task->replay_of, &old) == STORE_OK &&
                      (old.state == TASK_DEAD || old.state == TASK_EXPIRED) &&
                      old.replayed_as == task->number,
                  "task %llu was replayed twice, or lives", (unsigned long long)task->replay_of);
    }
}

static void check_purged(struct run *r, const struct task *task)
{
    struct task_seen *t = &r->tasks[task->number];
    bool purged = task->replayed_as == TASK_PURGED;
    SIM_CHECK(r->w, purged || !t->purged, "task %llu was purged and is not any more",
              (unsigned long long)task->number);
    SIM_CHECK(r->w, !purged || task->state == TASK_DEAD || task->state == TASK_EXPIRED,
              "task %llu was purged and is %s", (unsigned long long)task->number,
              task_state_name(task->state));
    t->purged = purged;
}

/* It was offered since the last look. */
static void check_offer(struct run *r, const struct task *task)
{
    struct world *w = r->w;
    bool delayed = r->tasks[task->number].state == TASK_SCHEDULED;
    SIM_CHECK(w, !delayed || task->leased_ms >= task->queued_ms,
              "task %llu was offered before its time", (unsigned long long)task->number);
    SIM_CHECK(w, r->pauses || !(r->paused >> task->priority & 1),
              "task %llu was offered while its queue stands still",
              (unsigned long long)task->number);
    for (unsigned i = 0; i < WORKERS && task->state == TASK_LEASED; i++) {
        SIM_CHECK(w, r->workers[i].number != task->agent || !r->workers[i].away,
                  "task %llu was offered to agent-%u, which is away",
                  (unsigned long long)task->number, i);
    }
}

static void check_row(struct run *r, struct store_view *view, const struct task *task)
{
    struct task_seen *t = &r->tasks[task->number];
    struct world *w = r->w;
    unsigned long long n = task->number;
    check_origin(r, view, task);
    check_purged(r, task);
    if (task->lease > t->lease) {
        check_offer(r, task);
    }
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

/* Who was away at the last look and is still, in the same session and without a change. */
static void look_at_workers(struct run *r, struct store_view *view, bool before)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker_seen *w = &r->workers[i];
        struct agent agent;
        char name[16];
        if (agent_find(view, APP, agent_name(i, name), &agent) != STORE_OK) {
            continue;
        }
        bool same = w->epoch == agent.epoch && w->changed_ms == agent.changed_ms;
        bool away = agent.status != AGENT_ACTIVE || agent.connection == AGENT_STREAM_CLOSED;
        w->number = agent.number;
        w->away = away && (!before || (same && w->away));
        w->epoch = agent.epoch;
        w->changed_ms = agent.changed_ms;
    }
}

/* ---- what was told ---- */

struct listening {
    struct run *r;
    struct store_view *view;
};

static bool told(void *ctx, const struct log_record *record)
{
    static const char *const names[] = {"task_id", "state", "previous_state"};
    struct listening *l = ctx;
    struct run *r = l->r;
    struct event event;
    struct slice field[3], id, text;
    struct task task;
    enum task_state state, previous = TASK_NONE;
    size_t at;
    SIM_CHECK(r->w, event_unpack(record->payload, &event), "an event cannot be read");
    r->told_next = record->offset + 1;
    if (json_fields(event.data, names, 3, field, &at) != JSON_OK || !field[2].n) {
        return true; /* of a queue or a strategy, or progress: nothing changes state */
    }
    SIM_CHECK(r->w,
              json_is_plain(field[0], &id) && json_is_plain(field[1], &text) &&
                  task_state_of(text, &state) &&
                  (!json_is_plain(field[2], &text) || task_state_of(text, &previous)) &&
                  task_find(l->view, APP, id, &task) == STORE_OK,
              "a task tells %.*s", (int)event.data.n, (const char *)event.data.p);
    struct task_seen *t = &r->tasks[task.number];
    SIM_CHECK(r->w, t->told == previous, "task %llu is %s, it was told to be %s",
              (unsigned long long)task.number, task_state_name(previous), task_state_name(t->told));
    SIM_CHECK(r->w, state != TASK_LEASED || previous == TASK_QUEUED,
              "task %llu was offered while somebody has it", (unsigned long long)task.number);
    t->told = state;
    t->offers += state == TASK_LEASED;
    t->purges += slice_is(event.name, "purged");
    return true;
}

static void check_told(struct run *r)
{
    struct listening l = {.r = r};
    struct replay_span span;
    const struct namespace_options all = {0};
    uint64_t next, from = r->told_next ? r->told_next : 1;
    SIM_CHECK(r->w,
              replay_span(r->w->hub.log, r->w->reader, APP, slice_str("tasks"), &all, r->w->now_ms,
                          &span) == STORE_OK,
              "no span");
    l.view = span.view;
    if (span.channel && from <= span.head.last) {
        SIM_CHECK(r->w,
                  from >= span.head.first &&
                      log_read(span.view, &span.head, from, SIZE_MAX, told, &l, &next) == STORE_OK,
                  "`tasks` cannot be read from %llu", (unsigned long long)from);
    }
    store_release(r->w->reader);
    uint64_t purged = 0;
    for (uint64_t n = 1; n <= r->newest; n++) {
        const struct task_seen *t = &r->tasks[n];
        purged += t->purged;
        SIM_CHECK(r->w, t->purges == t->purged, "task %llu is %spurged, and was told so %u times",
                  (unsigned long long)n, t->purged ? "" : "not ", (unsigned)t->purges);
        SIM_CHECK(r->w, t->told == t->state && t->offers == t->lease,
                  "task %llu is %s and was offered %u times, it was told to be %s and %u times",
                  (unsigned long long)n, task_state_name(t->state), (unsigned)t->lease,
                  task_state_name(t->told), (unsigned)t->offers);
    }
    SIM_CHECK(r->w, purged >= r->purged, "%llu tasks are purged, %llu were answered",
              (unsigned long long)purged, (unsigned long long)r->purged);
}

void tasks_check_totals(struct world *w, struct store_view *view)
{
    struct task_totals totals;
    uint64_t newest, lost = 0, in_state[TASK_STATES] = {0};
    SIM_CHECK(w, task_newest(view, &newest) == STORE_OK, "no tasks");
    for (uint64_t n = 1; n <= newest; n++) {
        struct task task;
        SIM_CHECK(w, task_get(view, n, &task) == STORE_OK, "task %llu is gone",
                  (unsigned long long)n);
        in_state[task.state]++;
        lost += task.redeliveries;
        lost -= task.stop == STOP_POISON; /* the last one ended it */
    }
    SIM_CHECK(w, task_totals_get(view, APP, &totals) == STORE_OK, "no totals");
    for (unsigned i = TASK_NONE + 1; i < TASK_STATES; i++) {
        SIM_CHECK(w, totals.in_state[i] == in_state[i], "%llu tasks are %s, %llu are counted",
                  (unsigned long long)in_state[i], task_state_name((enum task_state)i),
                  (unsigned long long)totals.in_state[i]);
    }
    SIM_CHECK(w, totals.redelivered == lost, "%llu times an agent was lost, %llu are counted",
              (unsigned long long)lost, (unsigned long long)totals.redelivered);
}

static void check_rows(struct run *r, struct store_view *view)
{
    uint64_t newest, held[WORKERS + 2] = {0};
    SIM_CHECK(r->w, task_newest(view, &newest) == STORE_OK && newest <= TASKS_MAX, "too many");
    SIM_CHECK(r->w, newest >= r->submitted, "%llu tasks of %llu are there",
              (unsigned long long)newest, (unsigned long long)r->submitted);
    for (uint64_t n = 1; n <= newest; n++) {
        struct task task;
        SIM_CHECK(r->w, task_get(view, n, &task) == STORE_OK, "task %llu is gone",
                  (unsigned long long)n);
        check_row(r, view, &task);
        held[task.agent < WORKERS + 1 ? task.agent : WORKERS + 1]++;
    }
    r->newest = newest;
    tasks_check_totals(r->w, view);
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
    const struct balance *balance = tasks_balance(writer_module(r->w->hub.writer, MODULE_TASKS));
    SIM_CHECK(r->w, store_snapshot(r->w->reader, &view) == STORE_OK, "no snapshot");
    look_at_workers(r, view, true);
    check_rows(r, view);
    look_at_workers(r, view, false);
    SIM_CHECK(r->w, pauses_of(view, APP, &r->paused) == STORE_OK, "no pauses");
    r->pauses = false;
    store_release(r->w->reader);
    if (!r->scene.stepped || ++r->looks % TOLD_EVERY == 0) {
        check_told(r);
    }
    SIM_CHECK(r->w, r->strategy < 0 || (unsigned)r->strategy == balance_strategy(balance, APP),
              "the strategy is %s, %s was acknowledged",
              balance_strategy_name(balance_strategy(balance, APP)),
              balance_strategy_name((enum balance_strategy)r->strategy));
}

/* ---- the run ---- */

static void some_submission(struct run *r)
{
    struct rng *g = &r->w->rng;
    if (r->newest >= TASKS_MAX - 50) {
        return;
    }
    if (rng_percent(g, 20)) {
        do_submit_again(r, rng_below(g, SAID_AGAIN), rng_percent(g, 50));
    } else {
        do_submit(r);
    }
}

static void some_agent(struct run *r, unsigned i)
{
    static const enum agent_status statuses[] = {AGENT_DRAINING, AGENT_MAINTENANCE, AGENT_STALE};
    struct rng *g = &r->w->rng;
    unsigned what = rng_below(g, 100);
    if (what < 8) {
        do_deregister(r, i);
    } else if (!r->workers[i].registered || what < 12) {
        do_register(r, i);
    } else if (what < 20) {
        do_gone(r, i);
    } else if (what < 28) {
        do_beat(r, i, statuses[rng_below(g, 3)]);
    } else {
        do_beat(r, i, AGENT_ACTIVE);
    }
}

static void some_command(struct run *r)
{
    struct rng *g = &r->w->rng;
    unsigned what = rng_below(g, 100);
    if (what < 40) {
        do_pause(r, (uint8_t)(1U << rng_below(g, TASK_PRIORITIES)), rng_percent(g, 40));
    } else if (what < 60) {
        do_strategy(r);
    } else if (what < 70) {
        do_many(r, &command_tasks_clear, ASKED_NOTHING);
    } else if (what < 85) {
        do_many(r, &command_tasks_purge, ASKED_PURGE);
    } else if (r->newest < TASKS_MAX - 30) {
        do_many(r, &command_tasks_replay, ASKED_NOTHING);
    }
}

static void some_actions(struct run *r)
{
    struct rng *g = &r->w->rng;
    for (unsigned n = rng_below(g, 6); n > 0; n--) {
        unsigned what = rng_below(g, 100);
        if (what < 15) {
            some_submission(r);
        } else if (what < 25) {
            some_agent(r, rng_below(g, WORKERS));
        } else if (what < 28) {
            some_command(r);
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
        if (n % 64 == 0) { /* anew, so that nobody is left in peace for offers it let lapse */
            do_register(r, i);
        } else {
            do_beat(r, i, AGENT_ACTIVE);
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

/* semantics.md section 1: who drains and holds nothing any more is inactive by now. */
static void check_drained(struct run *r)
{
    struct store_view *view;
    SIM_CHECK(r->w, store_snapshot(r->w->reader, &view) == STORE_OK, "no snapshot");
    for (uint32_t number = 1; number <= WORKERS; number++) {
        struct agent agent;
        bool drains = agent_get(view, number, &agent) == STORE_OK && agent.status == AGENT_DRAINING;
        SIM_CHECK(r->w,
                  !drains ||
                      tasks_held_by(writer_module(r->w->hub.writer, MODULE_TASKS), number) > 0,
                  "agent %u holds nothing and is still draining", number);
    }
    store_release(r->w->reader);
}

void tasks_run(struct world *w)
{
    struct run *r = xcalloc(1, sizeof *r);
    struct rng *g = &w->rng;
    r->w = w;
    r->scene = (struct scene){
        .w = w, .ctx = r, .answered = answered, .check = check_all, .may_hear_late = true};
    scene_start(&r->scene);
    for (unsigned i = 0; i < ACTIONS; i++) {
        some_actions(r);
        scene_time(&r->scene, 5000);
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
    check_drained(r);
    do_pause(r, PAUSE_ALL, false);
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
