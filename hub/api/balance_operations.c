/* The load balancer: rest-contract.md section 3. What it counted stands in the writer's memory, so
 * that the writer answers for it; names and loads of agents come from a snapshot. */
#include "hub/api/answer.h"
#include "hub/api/agent_view.h"
#include "hub/api/components.h"
#include "hub/api/tables.h"
#include "hub/api/words.h"
#include "hub/tasks/balance_module.h"

enum { AGENTS_SHOWN_MAX = 10000, REGIONS_MAX = 64 };

/* ---- load_balancer.stats ---- */

static enum hub_rc stats_prepare(struct call *call, struct buf *body)
{
    (void)call;
    pack_u32(body, AGENTS_SHOWN_MAX);
    return HUB_OK;
}

struct loads {
    const struct call *call;
    uint64_t active;
    double sum;
};

static bool add_load(void *ctx, const struct agent *agent)
{
    struct loads *l = ctx;
    struct pulse pulse;
    if (agent->status == AGENT_ACTIVE || agent->status == AGENT_BUSY) {
        bool beats = pulse_get(l->call->io->hub->pulses, agent->number, &pulse);
        l->active++;
        l->sum += liveness_load(beats ? &pulse.metrics : &agent->metrics);
    }
    return true;
}

static bool is_seen(const struct call *call, struct store_view *view, uint32_t number,
                    struct agent *out)
{
    return agent_get(view, number, out) == STORE_OK && out->app == call->who->app &&
           agent_visible(call, out);
}

static void put_agents(const struct call *call, struct json_out *o, struct store_view *view,
                       struct balance_stats stats)
{
    struct balance_stats again = stats;
    struct balance_figures f;
    struct agent agent;
    uint32_t number;
    json_key(o, "agent_weights");
    json_begin(o, '{');
    while (balance_stats_next(&stats, &number, &f)) {
        if (is_seen(call, view, number, &agent)) {
            json_key_slice(o, agent.id);
            json_double(o, balance_weight(&f, agent.slots));
        }
    }
    json_end(o, '}');
    json_key(o, "agents");
    json_begin(o, '[');
    while (balance_stats_next(&again, &number, &f)) {
        if (is_seen(call, view, number, &agent)) {
            json_begin(o, '{');
            put_text(o, "agent_id", agent.id);
            put_count(o, "assignments", f.assigned);
            put_count(o, "successes", f.succeeded);
            put_count(o, "failures", f.failed);
            json_key(o, "success_average");
            json_double(o, f.success);
            json_key(o, "response_ms");
            json_double(o, f.response_ms);
            json_end(o, '}');
        }
    }
    json_end(o, ']');
}

static enum hub_rc stats_answer(struct call *call, const struct command *command,
                                struct slice reply)
{
    struct balance_stats stats;
    struct store_view *view;
    struct loads loads = {.call = call};
    (void)command;
    if (!balance_stats_get(reply, &stats)) {
        return HUB_INTERNAL;
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = hub_rc_of_store(
        agents_each(view, call->who->app, AGENTS_ALL, slice_of(NULL, 0), add_load, &loads));
    uint64_t ended = stats.totals.succeeded + stats.totals.failed;
    struct json_out o = answer_begin(call);
    json_key(&o, "stats");
    json_begin(&o, '{');
    put_str(&o, "strategy", balance_strategy_name(stats.strategy));
    put_count(&o, "total_assignments", stats.totals.assigned);
    put_count(&o, "successful_assignments", stats.totals.succeeded);
    put_count(&o, "failed_assignments", stats.totals.failed);
    json_key(&o, "success_rate");
    json_double(&o, ended ? (double)stats.totals.succeeded / (double)ended : 0);
    put_count(&o, "active_agents", loads.active);
    json_key(&o, "avg_agent_load");
    json_double(&o, loads.active ? loads.sum / (double)loads.active : 0);
    put_agents(call, &o, view, stats);
    put_time(&o, "since", call->io->hub->started_ms);
    json_end(&o, '}');
    put_time(&o, "timestamp", call->now_ms);
    json_end(&o, '}');
    store_release(call->io->reader);
    return rc;
}

/* ---- load_balancer.strategy ---- */

/* {"ap-south-1":["me-south-1","eu-central-1"]} as lists of words. */
static enum hub_rc neighbours_of(struct call *call, struct buf *out, bool *out_named)
{
    json_t *regions = call_json(call, "regions"), *list;
    const char *from;
    *out_named = json_is_object(regions);
    if (json_object_size(regions) > REGIONS_MAX) {
        return call_fail_field(call, "regions", "too_long", "at most %d regions", REGIONS_MAX);
    }
    json_object_foreach(regions, from, list)
    {
        struct buf words = {0};
        pack_slice(&words, slice_str(from));
        for (size_t i = 0; i < json_array_size(list) && i < REGIONS_MAX; i++) {
            const json_t *to = json_array_get(list, i);
            pack_slice(&words, slice_of(json_string_value(to), json_string_length(to)));
        }
        pack_slice(out, buf_slice(&words));
        buf_done(&words);
    }
    return HUB_OK;
}

static enum hub_rc strategy_prepare(struct call *call, struct buf *body)
{
    struct slice name = call_text(call, "strategy");
    struct balance_change change;
    struct buf neighbours = {0};
    if (!balance_strategy_of(name, &change.strategy)) {
        call->words = &words_balance_strategy;
        return call_fail(call, HUB_BAD_REQUEST, "Invalid strategy: %.*s",
                         (int)(name.n < 200 ? name.n : 200), (const char *)name.p);
    }
    enum hub_rc rc = neighbours_of(call, &neighbours, &change.has_neighbours);
    if (rc == HUB_OK) {
        rc = call_why(call, &change.why);
    }
    if (rc == HUB_OK) {
        change.neighbours = buf_slice(&neighbours);
        change.said = name;
        balance_change_put(body, &change);
    }
    buf_done(&neighbours);
    return rc;
}

static enum hub_rc strategy_answer(struct call *call, const struct command *command,
                                   struct slice reply)
{
    struct slice name;
    int64_t at_ms;
    (void)command;
    if (!balance_changed_get(reply, &name, &at_ms)) {
        return HUB_INTERNAL;
    }
    struct json_out o = answer_begin(call);
    put_message(&o, "Load balancing strategy set to ", name, "");
    put_text(&o, "strategy", name);
    put_time(&o, "updated_at", at_ms);
    json_end(&o, '}');
    return HUB_OK;
}

/* clang-format off */
#define STRATEGY_NAMES "least_connections, round_robin, weighted_round_robin, resource_based, geographic, random, least_response_time, capability_based, predictive or consistent_hash, in any case."

static const struct operation rows[] = {
    { .name = "load_balancer.stats", .summary = "What the load balancer did since the hub started",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/load-balancer/stats", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object"}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"timestamp":SHAPE_TIME,"stats":{"type":"object",
          "required":["strategy","total_assignments","successful_assignments","failed_assignments","success_rate","active_agents","agent_weights","avg_agent_load"],
          "properties":{"strategy":{"type":"string"},
            "total_assignments":SHAPE_COUNT,"successful_assignments":SHAPE_COUNT,"failed_assignments":SHAPE_COUNT,
            "success_rate":{"type":"number","description":"Of what has ended."},
            "active_agents":SHAPE_COUNT,
            "agent_weights":{"type":"object","additionalProperties":{"type":"number"},"description":"Slots, less where tasks failed."},
            "avg_agent_load":{"type":"number"},
            "agents":{"type":"array","items":{"type":"object"},"description":"Who was given something since the start."},
            "since":SHAPE_TIME}}}}),
      .kind = &command_balance_stats, .prepare = stats_prepare, .answer = stats_answer },
    { .name = "load_balancer.strategy", .summary = "Change how agents are chosen, at once and for good",
      .needs = ROLE_OPERATOR,
      .routes = {{METHOD_PUT, "/load-balancer/strategy", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","required":["strategy"],"properties":{
          "strategy":{"type":"string","maxLength":256,"description":STRATEGY_NAMES,"examples":["round_robin"]},
          "regions":{"type":["object","null"],"additionalProperties":{"type":"array","maxItems":64,"items":{"type":"string","minLength":1,"maxLength":128}},
            "description":"geographic: for a region those nearest to it, nearest first. Stays when it is not sent.","examples":[{"ap-south-1":["me-south-1","eu-central-1"]}]},
          "reason":SHAPE_REASON}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},"strategy":{"type":"string"},"updated_at":SHAPE_TIME}}),
      .kind = &command_balance_change, .prepare = strategy_prepare, .answer = strategy_answer },
};
/* clang-format on */

const struct operation_table balance_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
