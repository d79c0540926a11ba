/* Tasks: submitted, offered, accepted and completed, each step durable, by agents that hold a
 * WebSocket each and subscribe to their own channel.
 *
 * Closed: so many tasks are on their way at any time, frames pipelined; the rate is what comes out.
 * An agent accepts and completes in one write, as the hub does a connection's frames in order.
 * With one task on its way (--outstanding 1) and --stepwise, nothing is batched: every step waits
 * for the answer to the one before.
 * Paced: tasks leave on a schedule that does not wait; dispatch is from the scheduled moment to the
 * offer at the agent. Which task was offered the answer to its accept tells, by its data.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/flow.h"
#include "tests/bench/options.h"
#include "tests/bench/told.h"

enum { OFFERS_MAX = 64, MOMENTS = 1 << 20, SUBMIT_BURST = 64, REGISTER_ID = 2 };

static const uint64_t pace_step = 100000; /* a paced client sleeps at most 0.1 ms */

struct options {
    const char *path;
    uint32_t agents, slots, submitters, outstanding, rate, seconds, rounds, stepwise;
};

/* Offers of one agent, by the number in the ids of its calls. */
struct offer {
    uint64_t came, task;
    char task_id[64], lease_id[64];
};
struct agent {
    uint64_t offers;
    struct offer ring[OFFERS_MAX];
};

struct bench {
    const struct options *o;
    struct flow flow; /* from submitters to agents */
    struct agent *agents;
    uint64_t *moments; /* of task n, at n % MOMENTS */
};

/* ---- frames out ---- */

static struct buf *call_begin(struct bench *b, uint64_t id, const char *method)
{
    struct buf *text = &b->flow.text;
    buf_clear(text);
    buf_add_str(text, "{\"type\":\"call\",\"id\":");
    buf_add_u64(text, id);
    buf_add_str(text, ",\"method\":\"");
    buf_add_str(text, method);
    buf_add_str(text, "\",\"params\":{");
    return text;
}

static void submit(struct bench *b, uint64_t moment)
{
    uint64_t n = b->flow.sent++;
    uint32_t index = (uint32_t)(n % b->o->submitters);
    b->moments[n % MOMENTS] = moment;
    struct buf *text = call_begin(b, n + 1, "tasks.submit");
    buf_add_str(text, "\"task_data\":{\"n\":");
    buf_add_u64(text, n);
    buf_add_str(text, "}}}");
    flow_frame(&b->flow, index);
}

static void submit_many(struct bench *b, uint64_t n, uint64_t moment)
{
    for (uint64_t i = 0; i < n; i++)
        submit(b, moment);
    flow_flush_senders(&b->flow);
}

static void step(struct bench *b, uint32_t index, uint64_t nth, const char *method, bool last)
{
    const struct offer *offer = &b->agents[index - b->o->submitters].ring[nth % OFFERS_MAX];
    struct buf *text = call_begin(b, REGISTER_ID + nth * 2 + last + 1, method);
    buf_add_str(text, "\"task_id\":\"");
    buf_add_str(text, offer->task_id);
    buf_add_str(text, "\",\"lease_id\":\"");
    buf_add_str(text, offer->lease_id);
    buf_add_str(text, last ? "\",\"result\":{\"ok\":true}}}" : "\"}}");
    flow_frame(&b->flow, index);
}

static void come_up(struct bench *b, uint32_t index)
{
    uint32_t agent = index - b->o->submitters;
    struct buf *text = &b->flow.text;
    buf_clear(text);
    buf_add_str(text, "{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"agent.a-");
    buf_add_u64(text, agent);
    buf_add_str(text, "\"]}");
    flow_frame(&b->flow, index);
    call_begin(b, REGISTER_ID, "agents.register");
    buf_add_str(text, "\"agent_type\":\"worker\",\"agent_id\":\"a-");
    buf_add_u64(text, agent);
    buf_add_str(text, "\",\"slots\":");
    buf_add_u64(text, b->o->slots);
    buf_add_str(text, "}}");
    flow_frame(&b->flow, index);
    flow_flush(&b->flow, index);
}

static void on_opened(void *ctx, uint32_t index)
{
    struct bench *b = ctx;
    if (index >= b->o->submitters)
        come_up(b, index);
}

/* ---- frames in ---- */

static void on_offer(struct bench *b, uint32_t index, const char *text, size_t len)
{
    struct agent *agent = &b->agents[index - b->o->submitters];
    uint64_t nth = agent->offers++;
    struct offer *offer = &agent->ring[nth % OFFERS_MAX];
    offer->came = meter_now();
    told_word(text, len, "\"task_id\":\"", offer->task_id, sizeof offer->task_id);
    told_word(text, len, "\"lease_id\":\"", offer->lease_id, sizeof offer->lease_id);
    step(b, index, nth, "tasks.accept", false);
    if (!b->o->stepwise)
        step(b, index, nth, "tasks.complete", true);
}

static void on_step(struct bench *b, uint32_t index, const char *text, size_t len, uint64_t id)
{
    uint64_t nth = (id - REGISTER_ID - 1) / 2;
    bool last = (id - REGISTER_ID - 1) % 2 != 0;
    struct offer *offer = &b->agents[index - b->o->submitters].ring[nth % OFFERS_MAX];
    if (!last) {
        offer->task = told_number(text, len, "\"task_data\":{\"n\":");
        if (offer->task >= b->flow.sent)
            meter_fail("%s: no task of ours was accepted: %.*s", b->flow.target->name, (int)len,
                       text);
        flow_shown(&b->flow, b->moments[offer->task % MOMENTS], offer->came);
        if (b->o->stepwise)
            step(b, index, nth, "tasks.complete", true);
        return;
    }
    flow_completed(&b->flow, b->moments[offer->task % MOMENTS]);
}

static void on_text(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct bench *b = ctx;
    if (told_is(text, len, "error"))
        meter_fail("%s: %.*s", b->flow.target->name, len < 300 ? (int)len : 300, text);
    if (index < b->o->submitters)
        return;
    if (told_has(text, len, "\"event\":\"task_offered\"")) {
        on_offer(b, index, text, len);
    } else if (told_is(text, len, "subscribed")) {
        b->flow.ready++;
    } else if (told_is(text, len, "result")) {
        uint64_t id = told_number(text, len, "\"id\":");
        if (id == REGISTER_ID)
            b->flow.ready++;
        else
            on_step(b, index, text, len, id);
    }
}

static void on_drained(void *ctx, uint32_t index)
{
    struct bench *b = ctx;
    flow_flush(&b->flow, index);
}

/* ---- runs ---- */

static void run_closed_until(struct bench *b, uint64_t end)
{
    for (uint64_t now = meter_now(); now < end; now = meter_now()) {
        submit_many(b, b->o->outstanding - (b->flow.sent - b->flow.completed), now);
        crowd_turn(b->flow.crowd, NS_PER_MS);
    }
}

static void run_paced_until(struct bench *b, uint64_t start, uint64_t end)
{
    for (uint64_t now = meter_now(); now < end; now = meter_now()) {
        uint64_t due = (uint64_t)((double)(now - start) * b->o->rate / 1e9) + 1;
        for (int i = 0; b->flow.sent < due && i < SUBMIT_BURST; i++)
            submit_many(b, 1, start + (uint64_t)((double)b->flow.sent * 1e9 / b->o->rate));
        crowd_turn(b->flow.crowd, b->flow.sent < due ? 0 : pace_step);
    }
}

static void run_until(void *ctx, uint64_t start, uint64_t end)
{
    struct bench *b = ctx;
    if (b->o->rate > 0)
        run_paced_until(b, start, end);
    else
        run_closed_until(b, end);
}

static void measure(const struct target *t, const struct options *o, uint32_t round,
                    struct flow_figures *figures)
{
    struct bench *b = xcalloc(1, sizeof *b);
    b->o = o;
    b->agents = xcalloc(o->agents, sizeof *b->agents);
    b->moments = xcalloc(MOMENTS, sizeof *b->moments);
    b->flow.senders = o->submitters;
    b->flow.receivers = o->agents;
    struct crowd_events events = {
        .ctx = b, .opened = on_opened, .text = on_text, .drained = on_drained};
    flow_open(&b->flow, t, o->path, events, 2);
    flow_measure(&b->flow, run_until, b, o->seconds, round, figures);
    flow_close(&b->flow);
    free(b->agents);
    free(b->moments);
    free(b);
}

static void report(const struct target *t, const struct options *o, struct flow_figures *figures)
{
    const char *mode = o->rate > 0 ? "paced" : o->outstanding == 1 ? "single" : "closed";
    printf("tasks target=%s mode=%s agents=%" PRIu32 " outstanding=%" PRIu32 " asked_per_s=%" PRIu32
           " rounds=%" PRIu32,
           t->name, mode, o->agents, o->outstanding, o->rate, o->rounds);
    flow_report(figures, o->rounds, "dispatch");
}

int main(int argc, char **argv)
{
    static struct flow_figures figures[TARGETS_MAX];
    struct targets targets = {0};
    struct options o = {.path = "/ws/v1/events",
                        .agents = 500,
                        .slots = 16,
                        .submitters = 16,
                        .outstanding = 4000,
                        .seconds = 5,
                        .rounds = 3};
    // clang-format off
    const struct option_row table[] = {
        { "--path",        &o.path, NULL, 0, 0, "where the server upgrades" },
        { "--agents",      NULL, &o.agents, 1, 18000, "connections, one agent each" },
        { "--slots",       NULL, &o.slots, 1, OFFERS_MAX, "tasks an agent takes at a time" },
        { "--submitters",  NULL, &o.submitters, 1, 1000, "connections that submit" },
        { "--outstanding", NULL, &o.outstanding, 1, 16000, "tasks on their way at any time" },
        { "--stepwise",    NULL, &o.stepwise, 0, 1, "1: complete after the answer to accept" },
        { "--rate",        NULL, &o.rate, 0, 1000000, "tasks a second in all; 0: closed" },
        { "--seconds",     NULL, &o.seconds, 1, 600, "of one measurement" },
        { "--rounds",      NULL, &o.rounds, 1, FLOW_ROUNDS_MAX, "times each target is measured" },
    };
    // clang-format on
    options_read(argc, argv, "Tasks a second, and how long one waits for its agent.", table,
                 sizeof table / sizeof *table, &targets);
    meter_descriptors_max();
    for (uint32_t r = 0; r < o.rounds; r++)
        for (uint32_t i = 0; i < targets.count; i++)
            measure(&targets.list[i], &o, r, &figures[i]);
    for (uint32_t i = 0; i < targets.count; i++)
        report(&targets.list[i], &o, &figures[i]);
    return 0;
}
