/* Swarms and networks by seeds: agents join, leave with and without what they hold, drain, fall
 * silent, are deregistered and come again; networks are made, executed and deleted; works are begun
 * and cancelled, their tasks done, failed, refused and forgotten, and members are asked to agree on
 * what came out, while the disk fails and the power is cut.
 *
 * Judged are the rows. A work that was acknowledged is there and has one outcome: what is over
 * stays as it ended, result included. A part that is done stays done by the task that did it, and
 * is counted once; what came in late is recorded and not counted. A part that runs has a task that
 * runs, and no work runs in a network that is gone. Figures are the sums of the rows. One round at
 * a time is open about a work, and closes once; its ballots are its members', one each. In the end
 * nothing is stuck. */
#include "tests/sim/sim.h"
#include "hub/networks/module.h"
#include "hub/swarms/verdict.h"
#include "store/hash.h"

#include <stdlib.h>

enum {
    WORKS_MAX = 12,
    PARTS_MAX = 8,
    ROUNDS_MAX = 200,
    WORKERS = 4,
    NETWORKS_MAX = 3,
    ACTIONS = 120,
    CALM_STEPS = 120
};
enum asked { ASKED_NOTHING, ASKED_WORK, ASKED_ROUND };

struct part_seen {
    enum work_part_state state;
    uint64_t won;
    bool late;
};
struct work_seen {
    bool there;
    enum work_state state;
    enum work_stop stop;
    int64_t finished_ms;
    uint32_t done_n;
    uint64_t outcome; /* hash */
    struct part_seen parts[PARTS_MAX];
};
struct round_seen {
    enum round_status status;
    int64_t closed_ms;
    uint32_t voted_n;
    int winner;
};
struct run {
    struct world *w;
    struct scene scene;
    struct round_seen rounds[ROUNDS_MAX + 1]; /* by number */
    struct work_seen works[WORKS_MAX + 1];    /* by number */
    uint64_t newest, told;
    uint32_t networks, rounds_n, rounds_told;
};

/* ---- asking ---- */

static struct asker boss(void)
{
    return (struct asker){.subject = slice_str("boss"), .all = true};
}

static void do_register(struct run *r, unsigned i)
{
    char name[16];
    struct buf body = {0};
    struct agent_register reg = {.asker = boss(),
                                 .agent = {.id = agent_name(i, name),
                                           .version = slice_str("1"),
                                           .slots = 2,
                                           .endpoints = slice_str("{}"),
                                           .metadata = slice_str("{}")}};
    agent_register_put(&body, &reg);
    (void)scene_ask(&r->scene, &command_agent_register, ASKED_NOTHING, &body);
}

static void do_join(struct run *r, unsigned i)
{
    char name[16];
    struct buf body = {0};
    struct swarm_join join = {.asker = boss(),
                              .agent = agent_name(i, name),
                              .agent_named = true,
                              .role = SWARM_WORKER,
                              .capability = slice_str("c"),
                              .priority = TASK_NORMAL};
    swarm_join_put(&body, &join);
    (void)scene_ask(&r->scene, &command_swarm_join, ASKED_NOTHING, &body);
}

static void do_status(struct run *r, unsigned i, enum agent_status status)
{
    char name[16];
    struct buf body = {0};
    struct agent_change change = {
        .asker = boss(), .id = agent_name(i, name), .has_status = true, .status = status};
    agent_change_put(&body, &change);
    (void)scene_ask(&r->scene, &command_agent_change, ASKED_NOTHING, &body);
}

static void do_deregister(struct run *r, unsigned i)
{
    char name[16];
    struct buf body = {0};
    struct agent_change change = {.asker = boss(), .id = agent_name(i, name)};
    agent_change_put(&body, &change);
    (void)scene_ask(&r->scene, &command_agent_deregister, ASKED_NOTHING, &body);
}

static struct work_spec some_work(struct run *r)
{
    struct rng *g = &r->w->rng;
    return (struct work_spec){.owner = slice_str("boss"),
                              .strategy_name = slice_str("any"),
                              .strategy = (enum work_strategy)rng_below(g, WORK_STRATEGIES),
                              .priority = TASK_NORMAL,
                              .has_require = rng_percent(g, 30),
                              .require = {.kind = REQUIRE_FIRST, .first = 1 + rng_below(g, 3)},
                              .top = 10,
                              .shards = rng_percent(g, 30) ? 1 + rng_below(g, 5) : 0,
                              .timeout_ms = 1000 + rng_below(g, 20000),
                              .input = slice_str("{\"items\":[1,2,3,4,5]}")};
}

static void do_coordinate(struct run *r)
{
    struct buf body = {0};
    struct swarm_coordinate c = {.asker = boss(), .spec = some_work(r)};
    swarm_coordinate_put(&body, &c);
    (void)scene_ask(&r->scene, &command_swarm_coordinate, ASKED_WORK, &body);
}

/* Looks a row up and copies its id: the view ends before the command is made. */
static struct slice work_id(struct run *r, uint64_t number, char out[WORK_ID_BYTES_MAX])
{
    struct store_view *view;
    struct work work;
    size_t n = 0;
    SIM_CHECK(r->w, store_snapshot(r->w->reader, &view) == STORE_OK, "no snapshot");
    if (work_get(view, number, &work) == STORE_OK) {
        n = work.id.n;
        memcpy(out, work.id.p, n);
    }
    store_release(r->w->reader);
    return slice_of(out, n);
}

static void do_cancel(struct run *r, uint64_t number)
{
    char id[WORK_ID_BYTES_MAX];
    struct buf body = {0};
    struct work_cancel cancel = {.asker = boss(), .id = work_id(r, number, id)};
    work_cancel_put(&body, &cancel);
    (void)scene_ask(&r->scene, &command_work_cancel, ASKED_NOTHING, &body);
}

static void do_consensus(struct run *r, uint64_t number)
{
    static const enum tally_rule rules[] = {RULE_MAJORITY, RULE_PLURALITY, RULE_UNANIMOUS};
    char id[WORK_ID_BYTES_MAX];
    struct rng *g = &r->w->rng;
    struct buf body = {0};
    struct swarm_consensus ask = {.asker = boss(),
                                  .task_id = work_id(r, number, id),
                                  .rule = rules[rng_below(g, 3)],
                                  .rule_said = rng_percent(g, 50),
                                  .threshold = {2, 3},
                                  .timeout_ms = 1000 + rng_below(g, 20000)};
    swarm_consensus_put(&body, &ask);
    (void)scene_ask(&r->scene, &command_swarm_consensus, ASKED_ROUND, &body);
}

/* ---- swarms and networks ---- */

struct found_member {
    uint32_t agent;
    char id[64];
    size_t id_n;
};

static bool is_of_agent(void *ctx, const struct member *m)
{
    struct found_member *f = ctx;
    if (member_is_there(m->state) && m->agent_number == f->agent && m->id.n <= sizeof f->id) {
        memcpy(f->id, m->id.p, m->id.n);
        f->id_n = m->id.n;
    }
    return f->id_n == 0;
}

/* The first swarm in which that agent is a member. */
static void do_leave(struct run *r, uint32_t agent, bool hands_back)
{
    struct store_view *view;
    struct found_member f = {.agent = agent};
    struct swarm swarm;
    struct buf body = {0}, id = {0};
    uint32_t swarms;
    SIM_CHECK(r->w, store_snapshot(r->w->reader, &view) == STORE_OK, "no snapshot");
    SIM_CHECK(r->w, swarm_newest(view, &swarms) == STORE_OK, "no swarms");
    for (uint32_t n = 1; n <= swarms && !f.id_n; n++) {
        (void)members_each(view, n, is_of_agent, &f);
        if (f.id_n && swarm_get(view, n, &swarm) == STORE_OK) {
            buf_add_slice(&id, swarm.id);
        }
    }
    store_release(r->w->reader);
    if (id.n) {
        struct swarm_leave leave = {.asker = boss(),
                                    .swarm_id = buf_slice(&id),
                                    .member_id = slice_of(f.id, f.id_n),
                                    .hands_back = hands_back};
        swarm_leave_put(&body, &leave);
        (void)scene_ask(&r->scene, &command_swarm_leave, ASKED_NOTHING, &body);
    }
    buf_done(&id);
}

static void do_network_create(struct run *r)
{
    static const char *const strategies[] = {"round-robin", "map-reduce", "broadcast",   "pipeline",
                                             "race",        "consensus",  "hierarchical"};
    struct buf body = {0}, agents = {0};
    char name[16];
    for (unsigned i = 0; i < WORKERS; i++) {
        pack_slice(&agents, agent_name(i, name));
    }
    struct network_create create = {.asker = boss(),
                                    .name = slice_str("net"),
                                    .strategy = slice_str(strategies[rng_below(&r->w->rng, 7)]),
                                    .agents = {.n = WORKERS, .packed = buf_slice(&agents)}};
    network_create_put(&body, &create);
    (void)scene_ask(&r->scene, &command_network_create, ASKED_NOTHING, &body);
    buf_done(&agents);
}

static void do_network(struct run *r, uint32_t number, bool executes)
{
    struct store_view *view;
    struct network network;
    struct buf body = {0}, id = {0};
    SIM_CHECK(r->w, store_snapshot(r->w->reader, &view) == STORE_OK, "no snapshot");
    if (network_get(view, number, &network) == STORE_OK) {
        buf_add_slice(&id, network.id);
    }
    store_release(r->w->reader);
    if (executes) {
        struct network_execute execute = {
            .asker = boss(), .id = buf_slice(&id), .spec = some_work(r)};
        network_execute_put(&body, &execute);
        (void)scene_ask(&r->scene, &command_network_execute, ASKED_WORK, &body);
    } else {
        struct network_named named = {.asker = boss(), .id = buf_slice(&id)};
        network_named_put(&body, &named);
        (void)scene_ask(&r->scene, &command_network_delete, ASKED_NOTHING, &body);
    }
    buf_done(&id);
}

/* ---- agents at work ---- */

static void act(struct run *r, const struct command_kind *kind, const struct task *task, bool final)
{
    struct buf body = {0};
    struct task_act a = {.asker = boss(),
                         .id = task->id,
                         .lease = {task_life(r->w->hub.store), task->number, task->lease},
                         .after_ms = -1,
                         .final = final,
                         .text = slice_str("?"),
                         .document = slice_str(task->number % 3 ? "[1]" : "[2]")};
    task_act_put(&body, &a);
    (void)scene_ask(&r->scene, kind, ASKED_NOTHING, &body);
}

static void touch(struct run *r, const struct task *task)
{
    struct rng *g = &r->w->rng;
    unsigned what = r->w->quiet ? 0 : rng_below(g, 100);
    if (task->state == TASK_LEASED) {
        act(r, what < 80 ? &command_task_accept : &command_task_reject, task, false);
    } else if (task->state == TASK_RUNNING && what < 50) {
        act(r, &command_task_complete, task, false);
    } else if (task->state == TASK_RUNNING && what < 70) {
        act(r, &command_task_fail, task, what < 60);
    } else if (task->state == TASK_CANCELLING && what < 50) {
        act(r, &command_task_cancel, task, false);
    }
}

static void agents_work(struct run *r, unsigned percent)
{
    struct store_view *view;
    uint64_t newest;
    SIM_CHECK(r->w, store_snapshot(r->w->reader, &view) == STORE_OK, "no snapshot");
    SIM_CHECK(r->w, task_newest(view, &newest) == STORE_OK, "no tasks");
    for (uint64_t n = 1; n <= newest; n++) {
        struct task task;
        if (task_get(view, n, &task) == STORE_OK && task_is_held(task.state) &&
            rng_percent(&r->w->rng, percent)) {
            touch(r, &task); /* copies what it borrows */
        }
    }
    store_release(r->w->reader);
}

/* ---- what must hold ---- */

static void check_part(struct run *r, struct store_view *view, const struct work *w, uint32_t n,
                       const struct work_part *part)
{
    struct part_seen *seen = &r->works[w->number].parts[n];
    struct task task;
    bool was_over = seen->state == PART_DONE || seen->state >= PART_FAILED;
    SIM_CHECK(r->w,
              !was_over || (part->state == seen->state && part->won == seen->won &&
                            part->late == seen->late),
              "part %u of work %llu was over and is another now", n, (unsigned long long)w->number);
    if (part->state == PART_DONE) {
        SIM_CHECK(r->w,
                  task_get(view, part->won, &task) == STORE_OK && task.state == TASK_COMPLETED &&
                      task.group.id == w->number && task.group.item >> 1 == n,
                  "part %u of work %llu was done by another's task", n,
                  (unsigned long long)w->number);
    }
    SIM_CHECK(r->w,
              part->state != PART_OPEN || work_is_over(w->state) ||
                  (task_get(view, part->copy ? part->copy : part->task, &task) == STORE_OK &&
                   !task_is_over(task.state)) ||
                  (task_get(view, part->task, &task) == STORE_OK && !task_is_over(task.state)),
              "part %u of work %llu waits for a task that is over", n,
              (unsigned long long)w->number);
    *seen = (struct part_seen){part->state, part->won, part->late};
}

static void check_parts(struct run *r, struct store_view *view, const struct work *w)
{
    uint32_t done = 0, failed = 0, late = 0;
    SIM_CHECK(r->w, w->division.parts_n <= PARTS_MAX, "too many parts");
    for (uint32_t n = 0; n < w->division.parts_n; n++) {
        struct work_part part;
        if (work_part_get(view, w->number, n, &part) == STORE_OK) {
            check_part(r, view, w, n, &part);
            done += part.state == PART_DONE && !part.late;
            failed += part.state == PART_FAILED;
            late += part.state == PART_DONE && part.late;
        }
    }
    SIM_CHECK(r->w, done == w->done_n && late == w->late_n,
              "work %llu counts %u done and %u late, its parts are %u and %u",
              (unsigned long long)w->number, w->done_n, w->late_n, done, late);
    SIM_CHECK(r->w, failed == w->failed_n, "work %llu counts %u failed, its parts are %u",
              (unsigned long long)w->number, w->failed_n, failed);
}

static void check_work(struct run *r, struct store_view *view, const struct work *w)
{
    struct work_seen *seen = &r->works[w->number];
    struct slice outcome = slice_of(NULL, 0);
    enum store_rc rc = work_document(view, w->number, WORK_OUTCOME, &outcome);
    uint64_t hash = hash64(1, outcome);
    bool merged = w->state == WORK_COMPLETED || w->state == WORK_PARTIAL;
    SIM_CHECK(r->w, merged == (rc == STORE_OK), "work %llu is %s, with %s outcome",
              (unsigned long long)w->number, work_state_name(w->state),
              rc == STORE_OK ? "an" : "no");
    SIM_CHECK(r->w, work_is_over(w->state) == (w->stop != WORK_STOP_NONE),
              "work %llu is %s without a reason", (unsigned long long)w->number,
              work_state_name(w->state));
    SIM_CHECK(r->w,
              !work_is_over(seen->state) || (w->state == seen->state && w->stop == seen->stop &&
                                             w->finished_ms == seen->finished_ms &&
                                             w->done_n == seen->done_n && hash == seen->outcome),
              "work %llu was over and is another now", (unsigned long long)w->number);
    check_parts(r, view, w);
    r->w->counts.works += !seen->there;
    seen->there = true;
    seen->state = w->state;
    seen->stop = w->stop;
    seen->finished_ms = w->finished_ms;
    seen->done_n = w->done_n;
    seen->outcome = hash;
}

/* ---- what members agree on ---- */

struct ballots {
    struct run *r;
    uint32_t n, last_seat;
};

/* One that came too late is kept and not counted. */
static bool ballot_seen(void *ctx, const struct round_ballot *ballot)
{
    struct ballots *b = ctx;
    if (ballot->fate == BALLOT_COUNTS) {
        SIM_CHECK(b->r->w, b->n == 0 || ballot->vote.seat > b->last_seat, "a member voted twice");
        b->last_seat = ballot->vote.seat;
        b->n++;
    }
    return true;
}

static void check_round(struct run *r, struct store_view *view, const struct round *round)
{
    struct round_seen *seen = &r->rounds[round->number];
    struct ballots ballots = {.r = r};
    SIM_CHECK(r->w,
              round_ballots_each(view, round->number, ballot_seen, &ballots) == STORE_OK &&
                  ballots.n == round->voted_n && round->voted_n <= round->seats_n,
              "round %u counts %u ballots, %u are there", round->number, round->voted_n, ballots.n);
    SIM_CHECK(r->w,
              seen->status == ROUND_OPEN ||
                  (round->status == seen->status && round->closed_ms == seen->closed_ms &&
                   round->voted_n == seen->voted_n && round->winner == seen->winner),
              "round %u was closed and is another now", round->number);
    r->w->counts.ballots += round->voted_n - seen->voted_n;
    *seen = (struct round_seen){.status = round->status,
                                .closed_ms = round->closed_ms,
                                .voted_n = round->voted_n,
                                .winner = round->winner};
}

static void check_rounds(struct run *r, struct store_view *view)
{
    struct slice open[WORKS_MAX]; /* what these are about */
    unsigned open_n = 0;
    uint32_t newest = round_newest(view);
    SIM_CHECK(r->w, newest <= ROUNDS_MAX && newest >= r->rounds_told, "%u rounds, %u were told",
              newest, r->rounds_told);
    for (uint32_t n = 1; n <= newest; n++) {
        struct round round;
        SIM_CHECK(r->w, round_get(view, n, &round) == STORE_OK, "round %u is gone", n);
        check_round(r, view, &round);
        for (unsigned i = 0; round.status == ROUND_OPEN && i < open_n; i++) {
            SIM_CHECK(r->w, !slice_equal(open[i], round.reference),
                      "two rounds are open about %.*s", (int)round.reference.n,
                      (const char *)round.reference.p);
        }
        if (round.status == ROUND_OPEN) {
            SIM_CHECK(r->w, open_n < WORKS_MAX, "more rounds are open than there are works");
            open[open_n++] = round.reference;
        }
    }
    r->w->counts.rounds += newest - r->rounds_n;
    r->rounds_n = newest;
}

static bool count_one(void *ctx, const struct work *work)
{
    (void)work;
    ++*(uint64_t *)ctx;
    return true;
}

static bool count_member(void *ctx, const struct member *m)
{
    *(uint32_t *)ctx += member_is_there(m->state);
    return true;
}

struct sums {
    uint64_t under_way, works, listed;
};

static void add_team(struct run *r, struct store_view *view, enum team_kind kind, uint32_t number,
                     struct sums *out)
{
    struct team_figures f;
    SIM_CHECK(r->w, team_figures_get(view, kind, number, &f) == STORE_OK, "no figures");
    out->under_way += f.in_state[WORK_MAPPING];
    for (unsigned s = 0; s < WORK_STATES; s++) {
        out->works += f.in_state[s];
    }
    (void)works_each(view, APP, kind, number, true, 0, count_one, &out->listed);
}

static void check_networks(struct run *r, struct store_view *view, struct sums *out)
{
    SIM_CHECK(r->w, network_newest(view, &r->networks) == STORE_OK, "no networks");
    for (uint32_t n = 1; n <= r->networks; n++) {
        struct network network;
        uint64_t before = out->listed;
        SIM_CHECK(r->w, network_get(view, n, &network) == STORE_OK, "network %u is gone", n);
        add_team(r, view, TEAM_NETWORK, n, out);
        SIM_CHECK(r->w, !network.deleted || out->listed == before,
                  "work goes on in network %u, which was deleted", n);
    }
}

/* One swarm after another, as the last member leaves and others come. */
static void check_sums(struct run *r, struct store_view *view, uint64_t running)
{
    uint32_t swarms, members;
    struct sums sums = {0};
    SIM_CHECK(r->w, swarm_newest(view, &swarms) == STORE_OK, "no swarms");
    for (uint32_t n = 1; n <= swarms; n++) {
        struct swarm swarm;
        SIM_CHECK(r->w, swarm_get(view, n, &swarm) == STORE_OK, "swarm %u is gone", n);
        members = 0;
        (void)members_each(view, n, count_member, &members);
        SIM_CHECK(r->w, members == swarm.members_n, "swarm %u counts %u members of %u", n,
                  swarm.members_n, members);
        add_team(r, view, TEAM_SWARM, n, &sums);
    }
    check_networks(r, view, &sums);
    SIM_CHECK(r->w, sums.under_way == running && sums.listed == running && sums.works == r->newest,
              "%llu works of which %llu run; figures say %llu and %llu, the list %llu",
              (unsigned long long)r->newest, (unsigned long long)running,
              (unsigned long long)sums.works, (unsigned long long)sums.under_way,
              (unsigned long long)sums.listed);
}

static void check_all(void *ctx)
{
    struct run *r = ctx;
    struct store_view *view;
    uint64_t running = 0;
    SIM_CHECK(r->w, store_snapshot(r->w->reader, &view) == STORE_OK, "no snapshot");
    SIM_CHECK(r->w, work_newest(view, &r->newest) == STORE_OK && r->newest <= WORKS_MAX,
              "too many works");
    SIM_CHECK(r->w, r->newest >= r->told, "a work that was acknowledged is gone");
    for (uint64_t n = 1; n <= r->newest; n++) {
        struct work work;
        SIM_CHECK(r->w, work_get(view, n, &work) == STORE_OK, "work %llu is gone",
                  (unsigned long long)n);
        check_work(r, view, &work);
        running += !work_is_over(work.state);
    }
    check_sums(r, view, running);
    check_rounds(r, view);
    if (!r->scene.stepped) {
        tasks_check_totals(r->w, view);
    }
    store_release(r->w->reader);
}

/* ---- the run ---- */

static void answered(void *ctx, const struct tray *tray, const struct command *command)
{
    struct run *r = ctx;
    sim_note(r->w, command->rc);
    r->told += command->rc == HUB_OK && command->ticket == ASKED_WORK;
    if (command->rc == HUB_OK && command->ticket == ASKED_ROUND) {
        uint32_t round;
        int64_t wait_ms;
        SIM_CHECK(r->w,
                  swarm_verdict_get(tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n),
                                    &round, &wait_ms),
                  "no answer");
        r->rounds_told = round > r->rounds_told ? round : r->rounds_told;
    }
}

static void some_team_work(struct run *r)
{
    struct rng *g = &r->w->rng;
    uint32_t network = 1 + rng_below(g, NETWORKS_MAX);
    if (rng_percent(g, 50)) {
        do_coordinate(r);
    } else if (network > r->networks) {
        do_network_create(r);
    } else {
        do_network(r, network, rng_percent(g, 85));
    }
}

static void some_actions(struct run *r)
{
    static const enum agent_status statuses[] = {AGENT_STALE, AGENT_ACTIVE, AGENT_MAINTENANCE,
                                                 AGENT_INACTIVE, AGENT_DRAINING};
    struct rng *g = &r->w->rng;
    unsigned what = rng_below(g, 100), i = rng_below(g, WORKERS);
    if (what < 12 && r->newest + 1 < WORKS_MAX) {
        some_team_work(r);
    } else if (what < 20) {
        do_register(r, i);
    } else if (what < 30) {
        do_join(r, i);
    } else if (what < 37) {
        do_status(r, i, statuses[rng_below(g, 5)]);
    } else if (what < 39) {
        do_deregister(r, i);
    } else if (what < 42) {
        do_leave(r, i + 1, rng_percent(g, 50));
    } else if (what < 45 && r->newest) {
        do_cancel(r, 1 + rng_below(g, (uint32_t)r->newest));
    } else if (what < 50 && r->newest && r->rounds_n + 20 < ROUNDS_MAX) {
        do_consensus(r, 1 + rng_below(g, (uint32_t)r->newest));
    } else {
        agents_work(r, 40);
    }
}

void swarms_run(struct world *w)
{
    struct run *r = xcalloc(1, sizeof *r);
    struct rng *g = &w->rng;
    r->w = w;
    r->scene = (struct scene){.w = w, .ctx = r, .answered = answered, .check = check_all};
    scene_start(&r->scene);
    for (unsigned i = 0; i < WORKERS; i++) {
        do_register(r, i);
        do_join(r, i);
    }
    for (unsigned i = 0; i < ACTIONS; i++) {
        some_actions(r);
        scene_time(&r->scene, 5000);
        scene_step(&r->scene);
        if (rng_percent(g, w->plan.crash_percent)) {
            scene_cut(&r->scene);
        }
    }
    scene_calm(&r->scene);
    w->now_ms += r->scene.behind_ms; /* for this long deadlines seem further away than they were */
    for (unsigned n = 0; n < CALM_STEPS; n++) {
        w->now_ms += 250;
        for (unsigned i = 0; n % 20 == 0 && i < WORKERS; i++) {
            do_register(r, i);
        }
        agents_work(r, 100);
        scene_step(&r->scene);
    }
    scene_cut(&r->scene);
    for (uint64_t n = 1; n <= r->newest; n++) {
        SIM_CHECK(w, work_is_over(r->works[n].state), "work %llu is stuck in %s",
                  (unsigned long long)n, work_state_name(r->works[n].state));
    }
    for (uint32_t n = 1; n <= r->rounds_n; n++) {
        SIM_CHECK(w, r->rounds[n].status != ROUND_OPEN, "round %u does not end", n);
    }
    free(r);
}
