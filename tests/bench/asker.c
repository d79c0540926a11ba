/* Answers come in the order of the questions on a connection, so a ring of moments per connection
 * is all the memory needed: the oldest moment belongs to the next answer. The id in the answer is
 * compared, so a server that answers out of order is found, not measured. Only the floor, whose
 * bytes are prepared, answers with id 0.
 */
#include "tests/bench/asker.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/wsframe.h"

static const uint64_t patience = (uint64_t)20 * 1000000000;
static const uint64_t pace_step = 100000; /* a paced client sleeps at most 0.1 ms */

struct conn_asks {
    uint64_t asked, answered;
    uint32_t again; /* answers of this read: as many questions follow */
};

struct asker {
    struct target target;
    struct asker_plan plan;
    struct crowd *crowd;
    struct conn_asks *conns;
    uint64_t *moments; /* ASKER_WAITING_MAX for each connection */
    uint64_t *before;  /* likewise: what had been imposed by then */
    uint64_t imposed;  /* when the client last went to sleep: it may wake late for a question */
    uint64_t asked, answered;
    uint64_t count_from; /* a question of this moment or later counts in the spread */
    bool refill;         /* closed, and running */
    char answer[48], error[24];
    struct spread *waited, *own;
    struct buf text, frames;
};

static uint64_t imposed(const struct asker *a)
{
    return a->plan.imposed != NULL ? a->plan.imposed(a->plan.ctx) : 0;
}

static void count_wait(struct asker *a, uint64_t waited, uint64_t by_machine)
{
    spread_add(a->waited, waited);
    spread_add(a->own, waited > by_machine ? waited - by_machine : 0);
}

/* ---- questions ---- */

static void add_question(struct asker *a, uint32_t index, uint64_t moment)
{
    struct conn_asks *c = &a->conns[index];
    if (c->asked - c->answered == ASKER_WAITING_MAX)
        meter_fail("%s: %d questions unanswered on one connection", a->target.name,
                   ASKER_WAITING_MAX);
    size_t at = (size_t)index * ASKER_WAITING_MAX + c->asked % ASKER_WAITING_MAX;
    a->moments[at] = moment;
    a->before[at] = a->imposed;
    c->asked++;
    a->asked++;
    buf_clear(&a->text);
    a->plan.ask(a->plan.ctx, &a->text, index, c->asked);
    wsframe_add_client(&a->frames, WSFRAME_TEXT, a->text.p, a->text.n);
}

static void ask(struct asker *a, uint32_t index, uint32_t count, uint64_t moment)
{
    buf_clear(&a->frames);
    for (uint32_t i = 0; i < count; i++)
        add_question(a, index, moment);
    if (count > 0)
        crowd_write(a->crowd, index, a->frames.p, a->frames.n);
}

/* ---- answers ---- */

static uint64_t answer_id(const char *text, size_t len)
{
    uint64_t id = 0;
    for (size_t i = 0; i + 5 < len; i++) {
        if (memcmp(text + i, "\"id\":", 5) != 0)
            continue;
        for (i += 5; i < len && text[i] >= '0' && text[i] <= '9'; i++)
            id = id * 10 + (uint64_t)(text[i] - '0');
        break;
    }
    return id;
}

static bool starts(const char *text, size_t len, const char *with)
{
    size_t n = strlen(with);
    return len >= n && memcmp(text, with, n) == 0;
}

static void on_text(void *ctx, uint32_t index, const char *text, size_t len)
{
    struct asker *a = ctx;
    struct conn_asks *c = &a->conns[index];
    if (starts(text, len, a->error))
        meter_fail("%s: %.*s", a->target.name, len < 300 ? (int)len : 300, text);
    if (!starts(text, len, a->answer))
        return;
    uint64_t id = answer_id(text, len);
    if (c->answered == c->asked || (id != 0 && id != c->answered + 1))
        meter_fail("%s: answer %" PRIu64 " where %" PRIu64 " was next", a->target.name, id,
                   c->answered + 1);
    size_t at = (size_t)index * ASKER_WAITING_MAX + c->answered % ASKER_WAITING_MAX;
    c->answered++;
    c->again++;
    a->answered++;
    if (a->waited != NULL && a->moments[at] >= a->count_from)
        count_wait(a, meter_now() - a->moments[at], imposed(a) - a->before[at]);
}

static void on_drained(void *ctx, uint32_t index)
{
    struct asker *a = ctx;
    struct conn_asks *c = &a->conns[index];
    if (a->refill)
        ask(a, index, c->again, meter_now());
    c->again = 0;
}

/* ---- open, run ---- */

struct asker *asker_open(const struct target *t, const struct asker_plan *plan)
{
    struct asker *a = xcalloc(1, sizeof *a);
    a->target = *t;
    a->plan = *plan;
    a->conns = xcalloc(plan->conns, sizeof *a->conns);
    a->moments = xcalloc((size_t)plan->conns * ASKER_WAITING_MAX, sizeof *a->moments);
    a->before = xcalloc((size_t)plan->conns * ASKER_WAITING_MAX, sizeof *a->before);
    (void)snprintf(a->answer, sizeof a->answer, "{\"type\":\"%s\"", plan->answer);
    (void)snprintf(a->error, sizeof a->error, "{\"type\":\"error\"");
    struct crowd_events events = {.ctx = a, .text = on_text, .drained = on_drained};
    a->crowd = crowd_new(t, plan->path, plan->conns, events);
    crowd_connect(a->crowd, 120 * NS_PER_S);
    for (uint32_t i = 0; i < plan->conns; i++) {
        ask(a, i, 1, meter_now());
        if (!crowd_until(a->crowd, &a->answered, i > CROWD_OPENING_MAX ? i - CROWD_OPENING_MAX : 0,
                         patience))
            meter_fail("%s: first questions unanswered", t->name);
    }
    if (!crowd_until(a->crowd, &a->answered, plan->conns, patience))
        meter_fail("%s: first questions unanswered", t->name);
    return a;
}

void asker_free(struct asker *a)
{
    if (a == NULL)
        return;
    crowd_free(a->crowd);
    free(a->conns);
    free(a->moments);
    free(a->before);
    buf_done(&a->text);
    buf_done(&a->frames);
    free(a);
}

static void run_closed_until(struct asker *a, uint64_t end)
{
    if (!a->refill) {
        a->refill = true;
        for (uint32_t i = 0; i < a->plan.conns; i++)
            ask(a, i, a->plan.outstanding, meter_now());
    }
    while (meter_now() < end)
        crowd_turn(a->crowd, NS_PER_MS);
}

/* The schedule began at start; question k of it, from 0, is due at start + k / rate. */
static void run_paced_until(struct asker *a, uint64_t start, uint64_t *sent, uint64_t end)
{
    for (uint64_t now = meter_now(); now < end; now = meter_now()) {
        uint64_t due = (uint64_t)((double)(now - start) * a->plan.rate / 1e9) + 1;
        for (int i = 0; *sent < due && i < 64; i++, (*sent)++) {
            uint64_t moment = start + (uint64_t)((double)*sent * 1e9 / a->plan.rate);
            ask(a, (uint32_t)(*sent % a->plan.conns), 1, moment);
        }
        a->imposed = imposed(a);
        crowd_turn(a->crowd, *sent < due ? 0 : pace_step);
    }
}

static double counter_of(const char *page, const char *metric)
{
    size_t n = strlen(metric);
    for (const char *line = page; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, metric, n) == 0 && line[n] == ' ')
            return strtod(line + n, NULL);
    }
    return 0;
}

/* The server's own count, or the floor's. */
static double sync_count(const struct asker *a, const char *metric)
{
    enum { PAGE_SIZE = 512 * 1024 };
    if (metric == NULL)
        return 0;
    char *page = xmalloc(PAGE_SIZE);
    target_get(&a->target, "/metrics", page, PAGE_SIZE);
    double count = counter_of(page, metric) + counter_of(page, "floor_syncs_total");
    free(page);
    return count;
}

/* What is still unanswered counts when paced: the schedule owed it. */
static void drain(struct asker *a)
{
    a->refill = false;
    if (a->plan.rate == 0)
        a->waited = NULL;
    if (!crowd_until(a->crowd, &a->answered, a->asked, patience))
        meter_fail("%s: %" PRIu64 " questions unanswered", a->target.name, a->asked - a->answered);
    a->waited = NULL;
}

static void run_until(struct asker *a, uint64_t start, uint64_t *sent, uint64_t end)
{
    if (a->plan.rate > 0)
        run_paced_until(a, start, sent, end);
    else
        run_closed_until(a, end);
}

void asker_run(struct asker *a, uint64_t warm_ns, uint64_t ns, const char *sync_metric,
               struct asker_result *out)
{
    uint64_t start = meter_now(), sent = 0;
    *out = (struct asker_result){0};
    run_until(a, start, &sent, start + warm_ns);
    double syncs = sync_count(a, sync_metric);
    uint64_t from = meter_now(), cpu = meter_cpu(a->target.pid), own = meter_cpu(getpid());
    uint64_t answered = a->answered;
    a->count_from = from;
    a->waited = &out->waited;
    a->own = &out->own;
    run_until(a, start, &sent, from + ns);
    double took = (double)(meter_now() - from), answers = (double)(a->answered - answered);
    out->cpu_us = answers > 0 ? (double)(meter_cpu(a->target.pid) - cpu) / answers / 1e3 : 0;
    out->client_share = (double)(meter_cpu(getpid()) - own) / took;
    out->rate = answers * 1e9 / took;
    syncs = sync_count(a, sync_metric) - syncs;
    out->per_sync = syncs > 0 ? answers / syncs : 0;
    drain(a);
}
