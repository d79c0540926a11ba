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
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/mem.h"
#include "tests/bench/meter.h"
#include "tests/bench/options.h"
#include "tests/bench/told.h"
#include "tests/bench/wsframe.h"

enum { ROUNDS_MAX = 20, OFFERS_MAX = 64, MOMENTS = 1 << 20, SUBMIT_BURST = 64, REGISTER_ID = 2 };

static const uint64_t patience = (uint64_t)30 * 1000000000;
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
    struct target target;
    struct crowd *crowd; /* submitters first, then agents */
    struct agent *agents;
    uint64_t *moments; /* of task n, at n % MOMENTS */
    struct buf text;
    struct buf *out; /* what a connection sends after a read */
    uint64_t ready, submitted, completed;
    uint64_t count_from; /* a task of this moment or later counts */
    struct spread dispatch, whole;
};

struct figures {
    double rate[ROUNDS_MAX], cpu_us[ROUNDS_MAX], client[ROUNDS_MAX];
    double dispatch_p50[ROUNDS_MAX], dispatch_p99[ROUNDS_MAX];
    double whole_p50[ROUNDS_MAX], whole_p99[ROUNDS_MAX];
};

/* ---- frames out ---- */

static void frame(struct bench *b, uint32_t index)
{
    wsframe_add_client(&b->out[index], WSFRAME_TEXT, b->text.p, b->text.n);
}

static void flush(struct bench *b, uint32_t index)
{
    if (b->out[index].n > 0)
        crowd_write(b->crowd, index, b->out[index].p, b->out[index].n);
    buf_clear(&b->out[index]);
}

static void call_begin(struct bench *b, uint64_t id, const char *method)
{
    buf_clear(&b->text);
    buf_add_str(&b->text, "{\"type\":\"call\",\"id\":");
    buf_add_u64(&b->text, id);
    buf_add_str(&b->text, ",\"method\":\"");
    buf_add_str(&b->text, method);
    buf_add_str(&b->text, "\",\"params\":{");
}

static void submit(struct bench *b, uint64_t moment)
{
    uint64_t n = b->submitted++;
    uint32_t index = (uint32_t)(n % b->o->submitters);
    b->moments[n % MOMENTS] = moment;
    call_begin(b, n + 1, "tasks.submit");
    buf_add_str(&b->text, "\"task_data\":{\"n\":");
    buf_add_u64(&b->text, n);
    buf_add_str(&b->text, "}}}");
    frame(b, index);
}

static void submit_many(struct bench *b, uint64_t n, uint64_t moment)
{
    for (uint64_t i = 0; i < n; i++)
        submit(b, moment);
    for (uint32_t i = 0; i < b->o->submitters; i++)
        flush(b, i);
}

static void step(struct bench *b, uint32_t index, uint64_t nth, const char *method, bool last)
{
    const struct offer *offer = &b->agents[index - b->o->submitters].ring[nth % OFFERS_MAX];
    call_begin(b, REGISTER_ID + nth * 2 + last + 1, method);
    buf_add_str(&b->text, "\"task_id\":\"");
    buf_add_str(&b->text, offer->task_id);
    buf_add_str(&b->text, "\",\"lease_id\":\"");
    buf_add_str(&b->text, offer->lease_id);
    buf_add_str(&b->text, last ? "\",\"result\":{\"ok\":true}}}" : "\"}}");
    frame(b, index);
}

static void come_up(struct bench *b, uint32_t index)
{
    uint32_t agent = index - b->o->submitters;
    buf_clear(&b->text);
    buf_add_str(&b->text, "{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"agent.a-");
    buf_add_u64(&b->text, agent);
    buf_add_str(&b->text, "\"]}");
    frame(b, index);
    call_begin(b, REGISTER_ID, "agents.register");
    buf_add_str(&b->text, "\"agent_type\":\"worker\",\"agent_id\":\"a-");
    buf_add_u64(&b->text, agent);
    buf_add_str(&b->text, "\",\"slots\":");
    buf_add_u64(&b->text, b->o->slots);
    buf_add_str(&b->text, "}}");
    frame(b, index);
    flush(b, index);
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
        if (offer->task >= b->submitted)
            meter_fail("%s: no task of ours was accepted: %.*s", b->target.name, (int)len, text);
        uint64_t moment = b->moments[offer->task % MOMENTS];
        if (moment >= b->count_from)
            spread_add(&b->dispatch, offer->came - moment);
        if (b->o->stepwise)
            step(b, index, nth, "tasks.complete", true);
        return;
    }
    uint64_t moment = b->moments[offer->task % MOMENTS];
    if (moment >= b->count_from)
        spread_add(&b->whole, meter_now() - moment);
    b->completed++;
}

static void on_text(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct bench *b = ctx;
    if (told_is(text, len, "error"))
        meter_fail("%s: %.*s", b->target.name, len < 300 ? (int)len : 300, text);
    if (index < b->o->submitters)
        return;
    if (told_has(text, len, "\"event\":\"task_offered\"")) {
        on_offer(b, index, text, len);
    } else if (told_is(text, len, "subscribed")) {
        b->ready++;
    } else if (told_is(text, len, "result")) {
        uint64_t id = told_number(text, len, "\"id\":");
        if (id == REGISTER_ID)
            b->ready++;
        else
            on_step(b, index, text, len, id);
    }
}

static void on_drained(void *ctx, uint32_t index)
{
    flush(ctx, index);
}

/* ---- runs ---- */

static struct bench *bench_open(const struct target *t, const struct options *o)
{
    uint32_t conns = o->submitters + o->agents;
    struct bench *b = xcalloc(1, sizeof *b);
    b->o = o;
    b->target = *t;
    b->agents = xcalloc(o->agents, sizeof *b->agents);
    b->moments = xcalloc(MOMENTS, sizeof *b->moments);
    b->out = xcalloc(conns, sizeof *b->out);
    b->count_from = UINT64_MAX;
    struct crowd_events events = {
        .ctx = b, .opened = on_opened, .text = on_text, .drained = on_drained};
    b->crowd = crowd_new(t, o->path, conns, events);
    crowd_connect(b->crowd, 4 * patience);
    if (!crowd_until(b->crowd, &b->ready, (uint64_t)o->agents * 2, patience))
        meter_fail("%s: %" PRIu64 " of the agents' first calls answered", t->name, b->ready);
    return b;
}

static void bench_free(struct bench *b)
{
    crowd_free(b->crowd);
    for (uint32_t i = 0; i < b->o->submitters + b->o->agents; i++)
        buf_done(&b->out[i]);
    free(b->out);
    free(b->agents);
    free(b->moments);
    buf_done(&b->text);
    free(b);
}

static void run_closed_until(struct bench *b, uint64_t end)
{
    for (uint64_t now = meter_now(); now < end; now = meter_now()) {
        submit_many(b, b->o->outstanding - (b->submitted - b->completed), now);
        crowd_turn(b->crowd, NS_PER_MS);
    }
}

static void run_paced_until(struct bench *b, uint64_t start, uint64_t end)
{
    for (uint64_t now = meter_now(); now < end; now = meter_now()) {
        uint64_t due = (uint64_t)((double)(now - start) * b->o->rate / 1e9) + 1;
        for (int i = 0; b->submitted < due && i < SUBMIT_BURST; i++)
            submit_many(b, 1, start + (uint64_t)((double)b->submitted * 1e9 / b->o->rate));
        crowd_turn(b->crowd, b->submitted < due ? 0 : pace_step);
    }
}

static void run_until(struct bench *b, uint64_t start, uint64_t end)
{
    if (b->o->rate > 0)
        run_paced_until(b, start, end);
    else
        run_closed_until(b, end);
}

static double ms_at(const struct spread *s, double share)
{
    return (double)spread_at(s, share) / 1e6;
}

static void measure(const struct target *t, const struct options *o, uint32_t round,
                    struct figures *f)
{
    struct bench *b = bench_open(t, o);
    uint64_t start = meter_now();
    run_until(b, start, start + 2 * NS_PER_S);
    uint64_t from = meter_now(), cpu = meter_cpu(t->pid), own = meter_cpu(getpid());
    uint64_t before = b->completed;
    b->count_from = from;
    run_until(b, start, from + o->seconds * NS_PER_S);
    double took = (double)(meter_now() - from), n = (double)(b->completed - before);
    f->rate[round] = n * 1e9 / took;
    f->cpu_us[round] = n > 0 ? (double)(meter_cpu(t->pid) - cpu) / n / 1e3 : 0;
    f->client[round] = (double)(meter_cpu(getpid()) - own) / took;
    if (!crowd_until(b->crowd, &b->completed, b->submitted, patience))
        meter_fail("%s: %" PRIu64 " tasks were not done", t->name, b->submitted - b->completed);
    f->dispatch_p50[round] = ms_at(&b->dispatch, 0.50);
    f->dispatch_p99[round] = ms_at(&b->dispatch, 0.99);
    f->whole_p50[round] = ms_at(&b->whole, 0.50);
    f->whole_p99[round] = ms_at(&b->whole, 0.99);
    bench_free(b);
}

static void report(const struct target *t, const struct options *o, struct figures *f)
{
    const char *mode = o->rate > 0 ? "paced" : o->outstanding == 1 ? "single" : "closed";
    printf("tasks target=%s mode=%s agents=%" PRIu32 " outstanding=%" PRIu32 " asked_per_s=%" PRIu32
           " rounds=%" PRIu32,
           t->name, mode, o->agents, o->outstanding, o->rate, o->rounds);
    printf(" per_s=%.0f cpu_us=%.2f client_core=%.2f", meter_median(f->rate, o->rounds),
           meter_median(f->cpu_us, o->rounds), meter_median(f->client, o->rounds));
    printf(" dispatch_p50_ms=%.2f dispatch_p99_ms=%.2f", meter_median(f->dispatch_p50, o->rounds),
           meter_median(f->dispatch_p99, o->rounds));
    printf(" p50_ms=%.2f p99_ms=%.2f\n", meter_median(f->whole_p50, o->rounds),
           meter_median(f->whole_p99, o->rounds));
}

int main(int argc, char **argv)
{
    static struct figures figures[TARGETS_MAX];
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
        { "--rounds",      NULL, &o.rounds, 1, ROUNDS_MAX, "times each target is measured" },
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
