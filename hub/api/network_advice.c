#include "hub/api/network_advice.h"
#include "hub/api/answer.h"
#include "hub/api/work_view.h"
#include "hub/networks/advice.h"

#include <stdio.h>
#include <stdlib.h>

enum { MINUTE_MS = 60000 };

/* ---- status ---- */

struct recent {
    uint32_t n, ended;
    uint64_t open; /* parts in hand */
    int64_t oldest_ms, newest_ms;
};

static bool add_recent(void *ctx, const struct work *w)
{
    struct recent *r = ctx;
    if (work_is_over(w->state)) {
        r->ended++;
        r->oldest_ms = w->started_ms;
        r->newest_ms = r->newest_ms > w->finished_ms ? r->newest_ms : w->finished_ms;
    }
    return ++r->n < ADVICE_EXECUTIONS_MAX;
}

static bool add_open(void *ctx, const struct work *w)
{
    struct recent *r = ctx;
    r->open += w->opened_n - w->done_n - w->failed_n - w->late_n;
    return true;
}

static uint32_t count_active(struct store_view *view, const struct network *n)
{
    struct slice rest = n->agents.packed, id;
    uint32_t active = 0;
    while (words_next(&rest, &id)) {
        struct agent agent;
        active += agent_find(view, n->app, id, &agent) == STORE_OK &&
                  (agent.status == AGENT_ACTIVE || agent.status == AGENT_BUSY);
    }
    return active;
}

static bool wants(const struct call *call, const char *metric)
{
    const json_t *list = call_json(call, "metrics");
    bool known = false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (strcmp(name, metric) == 0 || strcmp(name, "all") == 0) {
            return true;
        }
        known = known || strcmp(name, "avg_execution_time") == 0 ||
                strcmp(name, "success_rate") == 0 || strcmp(name, "throughput") == 0;
    }
    return !known;
}

static void put_metric(const struct call *call, struct json_out *o, const char *name, double value)
{
    if (wants(call, name)) {
        json_key(o, name);
        json_double(o, value);
    }
}

static uint64_t works_ended(const struct team_figures *f)
{
    return f->in_state[WORK_COMPLETED] + f->in_state[WORK_PARTIAL] + f->in_state[WORK_FAILED] +
           f->in_state[WORK_CANCELLED];
}

static double success_rate(const struct team_figures *f)
{
    double judged = (double)(works_ended(f) - f->in_state[WORK_CANCELLED]);
    return mean_of((double)f->in_state[WORK_COMPLETED], judged);
}

enum hub_rc network_status(struct call *call, struct store_view *view, const struct network *n)
{
    struct team_figures f;
    struct recent r = {0};
    enum store_rc rc = team_figures_get(view, TEAM_NETWORK, n->number, &f);
    if (rc == STORE_OK) {
        rc = works_each(view, n->app, TEAM_NETWORK, n->number, false, 0, add_recent, &r);
    }
    if (rc == STORE_OK) {
        rc = works_each(view, n->app, TEAM_NETWORK, n->number, true, 0, add_open, &r);
    }
    int64_t span = r.newest_ms - r.oldest_ms;
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "network_id", n->id);
    put_text(&o, "name", n->name);
    put_str(&o, "status", "active");
    put_count(&o, "agent_count", n->agents.n);
    put_count(&o, "active_agents", count_active(view, n));
    put_count(&o, "active_tasks", r.open);
    put_count(&o, "total_executions", works_ended(&f) + f.in_state[WORK_MAPPING]);
    json_key(&o, "performance_metrics");
    json_begin(&o, '{');
    put_metric(call, &o, "avg_execution_time",
               mean_of((double)f.work_ms / 1000, (double)works_ended(&f)));
    put_metric(call, &o, "success_rate", success_rate(&f));
    put_metric(call, &o, "throughput",
               mean_of((double)r.ended * MINUTE_MS,
                       r.ended ? (double)(span > MINUTE_MS ? span : MINUTE_MS) : 0));
    json_end(&o, '}');
    put_time(&o, "last_activity", f.last_ms ? f.last_ms : n->changed_ms);
    json_end(&o, '}');
    return hub_rc_of_store(rc);
}

/* ---- optimize ---- */

struct history {
    struct store_view *view;
    struct agent_record *agents;
    uint32_t *numbers; /* of the agents */
    uint32_t agents_n, looked, parts;
    struct network_record record;
};

static struct agent_record *record_of(struct history *h, uint32_t number)
{
    for (uint32_t i = 0; i < h->agents_n; i++) {
        if (number && h->numbers[i] == number) {
            return &h->agents[i];
        }
    }
    return NULL;
}

static void add_part(struct history *h, const struct work *w, uint32_t i)
{
    struct work_part part;
    if (work_part_get(h->view, w->number, i, &part) != STORE_OK ||
        (part.state != PART_DONE && part.state != PART_FAILED)) {
        return;
    }
    struct agent_record *r = record_of(h, part.agent);
    h->parts++;
    if (r && part.state == PART_DONE) {
        r->done++;
        r->ms += part.took_ms;
    } else if (r) {
        r->failed++;
    }
}

static bool add_execution(void *ctx, const struct work *w)
{
    struct history *h = ctx;
    if (work_is_over(w->state) && w->state != WORK_CANCELLED) {
        int64_t took = w->finished_ms - w->started_ms;
        h->record.executions++;
        h->record.failed += w->state == WORK_FAILED;
        h->record.work_ms += took;
        h->record.part_ms += w->part_ms;
        h->record.capacity_ms += work_capacity_ms(w);
        for (uint32_t i = 0; i < w->division.parts_n && h->parts < ADVICE_PARTS_MAX; i++) {
            add_part(h, w, i);
        }
    }
    return ++h->looked < ADVICE_EXECUTIONS_MAX && h->parts < ADVICE_PARTS_MAX;
}

static void history_begin(struct history *h, const struct network *n)
{
    struct slice rest = n->agents.packed, id;
    h->agents = xcalloc((size_t)n->agents.n + 1, sizeof *h->agents);
    h->numbers = xcalloc((size_t)n->agents.n + 1, sizeof *h->numbers);
    while (h->agents_n < n->agents.n && words_next(&rest, &id)) {
        struct agent agent;
        bool is = agent_find(h->view, n->app, id, &agent) == STORE_OK;
        h->numbers[h->agents_n] = is ? agent.number : 0;
        h->agents[h->agents_n++] = (struct agent_record){
            .id = id, .lives = is && (agent.status == AGENT_ACTIVE || agent.status == AGENT_BUSY)};
    }
    h->record.agents = h->agents;
    h->record.agents_n = h->agents_n;
    if (!strategy_of(n->strategy, &h->record.strategy)) {
        h->record.strategy = STRATEGY_ROUND_ROBIN;
    }
}

__attribute__((format(printf, 3, 4))) static void put_sentence(struct json_out *o, struct slice id,
                                                               const char *format, ...)
{
    char text[300];
    va_list args;
    struct buf all = {0};
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (id.n) {
        buf_add_str(&all, "Agent ");
        buf_add_slice(&all, id);
        buf_add_str(&all, " ");
    }
    buf_add_str(&all, text);
    put_text(o, "description", buf_slice(&all));
    buf_done(&all);
}

static void put_description(struct json_out *o, const struct advice *a, struct slice id)
{
    double observed = a->observed, expected = a->expected;
    switch (a->kind) {
    case ADVICE_UNAVAILABLE:
        put_sentence(o, id, "is not active: bring it back or take it out of the network");
        break;
    case ADVICE_UNBALANCED:
        put_sentence(o, id,
                     "did %.0f %% of the tasks, an even share is %.0f %%: distribute them "
                     "more evenly",
                     100 * observed, 100 * expected);
        break;
    case ADVICE_SLOW:
        put_sentence(o, id,
                     "takes %.2f s a task, the median agent %.2f s: give it less, or a "
                     "better machine",
                     observed / 1000, expected / 1000);
        break;
    case ADVICE_UNRELIABLE:
        put_sentence(o, id, "failed %.0f %% of its tasks: look at its errors or take it out",
                     100 * observed);
        break;
    case ADVICE_IDLE:
        put_sentence(o, id, "did none of the tasks: take it out, or split tasks into more parts");
        break;
    case ADVICE_SEQUENTIAL:
        put_sentence(o, id,
                     "The agents worked %.0f %% of the time, as one waits for another: if "
                     "stages do not build on each other, map-reduce does them at once",
                     100 * observed);
        break;
    case ADVICE_REDUNDANT:
        put_sentence(o, id, "Each task was done %.1f times: round-robin does it once", observed);
        break;
    case ADVICE_SATURATED:
        put_sentence(o, id, "The agents worked %.0f %% of the time: more agents would shorten it",
                     100 * observed);
        break;
    case ADVICE_KINDS:
        break;
    }
}

static void put_advice(struct json_out *o, const struct history *h, const struct advice *a)
{
    struct slice id = a->agent == ADVICE_NO_AGENT ? slice_of(NULL, 0) : h->agents[a->agent].id;
    json_begin(o, '{');
    put_str(o, "type", advice_name(a->kind));
    put_description(o, a, id);
    put_str(o, "impact", advice_impact_name(a->impact));
    json_key(o, "evidence");
    json_begin(o, '{');
    if (id.n) {
        put_text(o, "agent_id", id);
    }
    json_key(o, "observed");
    json_double(o, a->observed);
    json_key(o, "expected");
    json_double(o, a->expected);
    put_str(o, "unit", advice_unit(a->kind));
    put_count(o, "sample", a->sample);
    put_count(o, "executions", h->record.executions);
    json_end(o, '}');
    json_end(o, '}');
}

static void put_number(struct json_out *o, const char *key, double v)
{
    json_key(o, key);
    json_double(o, v);
}

static void put_figures(struct json_out *o, const struct history *h, const struct team_figures *f)
{
    json_key(o, "performance_metrics");
    json_begin(o, '{');
    put_number(o, "avg_task_time", mean_of((double)f->part_ms / 1000, (double)f->parts_done));
    put_number(o, "success_rate", success_rate(f));
    put_number(o, "resource_utilization", mean_of((double)f->part_ms, (double)f->capacity_ms));
    put_number(o, "avg_execution_time", mean_of((double)f->work_ms / 1000, (double)works_ended(f)));
    put_number(o, "task_failure_rate",
               mean_of((double)f->parts_failed, (double)(f->parts_done + f->parts_failed)));
    put_count(o, "executions_considered", h->record.executions);
    json_end(o, '}');
}

enum hub_rc network_optimize(struct call *call, struct store_view *view, const struct network *n)
{
    struct slice name = call_text(call, "objective");
    enum advice_objective objective = FOR_EFFICIENCY;
    struct history h = {.view = view};
    struct advice list[ADVICE_MAX];
    struct team_figures f;
    (void)advice_objective_of(name, &objective);
    history_begin(&h, n);
    enum store_rc rc = team_figures_get(view, TEAM_NETWORK, n->number, &f);
    if (rc == STORE_OK) {
        rc = works_each(view, n->app, TEAM_NETWORK, n->number, false, 0, add_execution, &h);
    }
    uint32_t count = advise(&h.record, objective, list);
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "network_id", n->id);
    put_text(&o, "optimization_type", name.n ? name : slice_str("efficiency"));
    json_key(&o, "recommendations");
    json_begin(&o, '[');
    for (uint32_t i = 0; i < count; i++) {
        put_advice(&o, &h, &list[i]);
    }
    json_end(&o, ']');
    put_figures(&o, &h, &f);
    put_time(&o, "optimized_at", call->now_ms);
    json_end(&o, '}');
    free(h.agents);
    free(h.numbers);
    return hub_rc_of_store(rc);
}
