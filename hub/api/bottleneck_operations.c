/* Where the agents are at their limit, from what they report and hold at this moment: the mean over
 * those that work, of each figure that some of them report. Nothing is said without a figure. */
#include "hub/api/agent_view.h"
#include "hub/api/answer.h"
#include "hub/api/components.h"
#include "hub/api/tables.h"
#include "hub/tasks/module.h"

#include <math.h>

/* Above THRESHOLD it is a bottleneck; who is below IDLE has room for more. */
static const double THRESHOLD = 0.8, IDLE = 0.5;

enum measure { MEASURE_CPU, MEASURE_MEMORY, MEASURE_QUEUE, MEASURE_SLOTS, MEASURES };
static const char *const measure_names[MEASURES] = {"cpu", "memory", "queue", "slots"};

struct measured {
    double sum;
    uint32_t n, hot, idle;
};

struct survey {
    const struct call *call;
    uint32_t agents;
    struct measured of[MEASURES];
};

/* v below 0: the agent does not say. */
static void measure(struct measured *m, double v)
{
    if (v >= 0) {
        m->sum += v;
        m->n++;
        m->hot += v > THRESHOLD;
        m->idle += v < IDLE;
    }
}

static bool look(void *ctx, const struct agent *agent)
{
    struct survey *s = ctx;
    const struct pulses *pulses = s->call->io->hub->pulses;
    struct pulse pulse;
    if (!agent_visible(s->call, agent) ||
        (agent->status != AGENT_ACTIVE && agent->status != AGENT_BUSY)) {
        return true;
    }
    bool beats = pulse_get(pulses, agent->number, &pulse);
    struct load_parts use = liveness_parts(beats ? &pulse.metrics : &agent->metrics);
    double held = pulse_held(pulses, agent->number);
    s->agents++;
    measure(&s->of[MEASURE_CPU], use.cpu);
    measure(&s->of[MEASURE_MEMORY], use.memory);
    measure(&s->of[MEASURE_QUEUE], use.queue);
    measure(&s->of[MEASURE_SLOTS], agent->slots ? fmin(1, held / agent->slots) : -1);
    return true;
}

static double mean(const struct measured *m)
{
    return m->n ? m->sum / m->n : 0;
}

static void put_number(struct json_out *o, const char *key, double v)
{
    json_key(o, key);
    json_double(o, round(v * 1e4) / 1e4);
}

static void put_measured(struct json_out *o, const struct survey *s)
{
    json_key(o, "measured");
    json_begin(o, '{');
    put_count(o, "agents", s->agents);
    for (unsigned i = 0; i < MEASURES; i++) {
        if (s->of[i].n) {
            put_number(o, measure_names[i], mean(&s->of[i]));
        } else {
            put_null(o, measure_names[i]);
        }
    }
    json_end(o, '}');
}

static void put_advice(struct json_out *o, enum measure which, const struct measured *m)
{
    struct buf text = {0};
    buf_printf(&text, "%u of %u agents are above %.0f %%", m->hot, m->n, THRESHOLD * 100);
    if (m->idle) {
        buf_printf(&text, ", %u below %.0f %%: spread the work by load (strategy resource_based)",
                   m->idle, IDLE * 100);
    } else if (which == MEASURE_SLOTS) {
        buf_add_str(&text, ": add agents, or slots where the load allows");
    } else {
        buf_add_str(&text, " and none has room: add agents, or give them fewer slots");
    }
    put_text(o, "advice", buf_slice(&text));
    buf_done(&text);
}

static void put_bottlenecks(struct json_out *o, const struct survey *s)
{
    json_key(o, "bottlenecks");
    json_begin(o, '[');
    for (unsigned i = 0; i < MEASURES; i++) {
        const struct measured *m = &s->of[i];
        if (mean(m) <= THRESHOLD) {
            continue;
        }
        json_begin(o, '{');
        put_str(o, "type", measure_names[i]);
        put_number(o, "value", mean(m));
        put_number(o, "threshold", THRESHOLD);
        put_number(o, "severity", fmin(1, (mean(m) - THRESHOLD) / (1 - THRESHOLD)));
        put_count(o, "agents_reporting", m->n);
        put_count(o, "agents_above", m->hot);
        put_advice(o, (enum measure)i, m);
        json_end(o, '}');
    }
    json_end(o, ']');
}

static uint64_t waiting(const struct call *call)
{
    struct tasks_figures f;
    uint64_t n = 0;
    tasks_figures(writer_module(call->io->hub->writer, MODULE_TASKS), call->who->app, &f);
    for (unsigned i = 0; i < TASK_PRIORITIES; i++) {
        n += f.queued[i];
    }
    return n;
}

static enum hub_rc bottlenecks(struct call *call)
{
    struct store_view *view;
    struct survey survey = {.call = call};
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = hub_rc_of_store(
        agents_each(view, call->who->app, AGENTS_ALL, slice_of(NULL, 0), look, &survey));
    store_release(call->io->reader);
    if (rc == HUB_OK) {
        struct json_out o = answer_begin(call);
        put_bottlenecks(&o, &survey);
        put_measured(&o, &survey);
        put_count(&o, "tasks_waiting", waiting(call));
        put_time(&o, "timestamp", call->now_ms);
        json_end(&o, '}');
    }
    return rc;
}

/* clang-format off */
#define SHARE {"type":["number","null"],"minimum":0,"maximum":1}

static const struct operation rows[] = {
    { .name = "load_balancer.bottlenecks", .summary = "What the agents are short of, from what they report and hold now",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/load-balancer/bottlenecks", 200, STYLE_COORDINATOR, false}},
      .answer_schema = SCHEMA({"type":"object","required":["bottlenecks","measured"],"properties":{"status":SHAPE_SUCCESS,
          "bottlenecks":{"type":"array","items":{"type":"object","properties":{
              "type":{"enum":["cpu","memory","queue","slots"]},"value":{"type":"number","description":"The mean of those that report it."},
              "threshold":{"type":"number"},"severity":{"type":"number","minimum":0,"maximum":1,"description":"How far it is from the threshold to all there is."},
              "agents_reporting":SHAPE_COUNT,"agents_above":SHAPE_COUNT,"advice":{"type":"string"}}}},
          "measured":{"type":"object","properties":{"agents":SHAPE_COUNT,"cpu":SHARE,"memory":SHARE,"queue":SHARE,"slots":SHARE}},
          "tasks_waiting":SHAPE_COUNT,"timestamp":SHAPE_TIME}}),
      .query = bottlenecks },
};
/* clang-format on */

const struct operation_table bottleneck_operations = {.rows = rows,
                                                      .n = sizeof rows / sizeof *rows};
