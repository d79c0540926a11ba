/* Agent networks: rest-contract.md section 2. What status and optimize say is computed from the
 * executions that there were (network_advice.c). */
#include "hub/api/components.h"
#include "hub/api/network_advice.h"
#include "hub/api/pages.h"
#include "hub/api/tables.h"
#include "hub/api/work_view.h"
#include "hub/networks/module.h"

enum { LIST_DEFAULT = 100 };

static enum hub_rc network_missing(struct call *call, struct slice id)
{
    return call_fail(call, HUB_NOT_FOUND, "Agent network %.*s not found",
                     (int)(id.n < 200 ? id.n : 200), (const char *)id.p);
}

static enum hub_rc network_see(struct call *call, struct store_view *view, struct network *out)
{
    struct slice id = call_text(call, "network_id");
    struct asker asker = asker_of(call->who);
    enum store_rc rc = network_find(view, call->who->app, id, out);
    if (rc == STORE_NOT_FOUND || (rc == STORE_OK && !asker_sees(&asker, out->owner))) {
        return network_missing(call, id);
    }
    return hub_rc_of_store(rc);
}

static void network_json(struct json_out *o, const struct network *n)
{
    struct slice rest = n->agents.packed, id;
    json_begin(o, '{');
    put_text(o, "id", n->id);
    put_text(o, "name", n->name);
    put_text_or_null(o, "description", n->description);
    json_key(o, "agents");
    json_begin(o, '[');
    while (words_next(&rest, &id)) {
        json_text(o, id);
    }
    json_end(o, ']');
    put_text(o, "coordination_strategy", n->strategy);
    put_str(o, "status", n->deleted ? "deleted" : "active");
    put_time(o, "created_at", n->created_ms);
    put_text(o, "owner_id", n->owner);
    json_end(o, '}');
}

/* ---- networks.create, networks.delete ---- */

/* In their order, each once. */
static void agents_of(struct call *call, struct buf *packed, struct words *out)
{
    const json_t *list = call_json(call, "agents");
    json_t *seen = json_object();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *id = json_string_value(item);
        if (!json_object_get(seen, id)) {
            json_object_set_new(seen, id, json_integer(1));
            pack_slice(packed, slice_of(id, json_string_length(item)));
            out->n++;
        }
    }
    out->packed = buf_slice(packed);
    json_decref(seen);
}

static enum hub_rc create_prepare(struct call *call, struct buf *body)
{
    struct buf agents = {0};
    struct network_create create = {.asker = asker_of(call->who),
                                    .name = call_text(call, "name"),
                                    .description = call_text(call, "description"),
                                    .strategy = call_text(call, "coordination_strategy")};
    if (create.strategy.n == 0) {
        create.strategy = slice_str(strategy_rule(STRATEGY_ROUND_ROBIN)->name);
    }
    agents_of(call, &agents, &create.agents);
    network_create_put(body, &create);
    buf_done(&agents);
    return HUB_OK;
}

static enum hub_rc create_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct store_view *view;
    struct network network;
    uint32_t number;
    int64_t at_ms;
    (void)command;
    if (!network_done_get(reply, &number, &at_ms)) {
        return HUB_INTERNAL;
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(network_get(view, number, &network));
        struct json_out o = json_out_to(call->out);
        if (rc == HUB_OK) {
            network_json(&o, &network);
        }
        store_release(call->io->reader);
    }
    return rc;
}

static enum hub_rc delete_prepare(struct call *call, struct buf *body)
{
    struct network_named named = {.asker = asker_of(call->who),
                                  .id = call_text(call, "network_id")};
    enum hub_rc rc = call_reason(call, &named.reason);
    if (rc == HUB_OK) {
        network_named_put(body, &named);
    }
    return rc;
}

static enum hub_rc delete_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct store_view *view;
    struct network network;
    uint32_t number;
    int64_t at_ms;
    (void)command;
    if (!network_done_get(reply, &number, &at_ms)) {
        return HUB_INTERNAL;
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = hub_rc_of_store(network_get(view, number, &network));
    if (rc == HUB_OK) {
        struct json_out o = json_out_to(call->out);
        json_begin(&o, '{');
        put_text(&o, "id", network.id);
        put_text(&o, "network_id", network.id);
        put_str(&o, "status", "deleted");
        put_message(&o, "Agent network ", network.id, " deleted");
        put_time(&o, "deleted_at", at_ms);
        json_end(&o, '}');
    }
    store_release(call->io->reader);
    return rc;
}

/* ---- networks.list, networks.get ---- */

static bool list_one(void *ctx, const struct network *network)
{
    struct page *page = ctx;
    if (!asker_sees(&page->asker, network->owner)) {
        return true;
    }
    if (!page_takes(page, network->number)) {
        return false;
    }
    network_json(&page->o, network);
    return true;
}

static enum hub_rc list(struct call *call)
{
    struct page page;
    uint32_t newest = 0;
    enum hub_rc rc = page_open(&page, call, LIST_DEFAULT);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = hub_rc_of_store(network_newest(page.view, &newest));
    if (rc == HUB_OK) {
        rc = page_from(&page, newest);
    }
    if (rc == HUB_OK) {
        json_begin(&page.o, '{');
        page_list(&page, "networks");
        rc = hub_rc_of_store(
            networks_each(page.view, call->who->app, (uint32_t)page.from, list_one, &page));
        page_list_end(&page);
        json_end(&page.o, '}');
    }
    page_close(&page);
    return rc;
}

/* Answers about one network: the snapshot, the network, and what is to be said of it. */
static enum hub_rc about(struct call *call,
                         enum hub_rc (*say)(struct call *call, struct store_view *view,
                                            const struct network *network))
{
    struct store_view *view;
    struct network network;
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = network_see(call, view, &network);
    if (rc == HUB_OK) {
        rc = say(call, view, &network);
    }
    store_release(call->io->reader);
    return rc;
}

static enum hub_rc say_network(struct call *call, struct store_view *view,
                               const struct network *network)
{
    struct json_out o = json_out_to(call->out);
    (void)view;
    network_json(&o, network);
    return HUB_OK;
}

static enum hub_rc get(struct call *call)
{
    return about(call, say_network);
}

/* ---- networks.execute and what becomes of it ---- */

static enum hub_rc execute_prepare(struct call *call, struct buf *body)
{
    json_t *task = call_json(call, "task");
    struct network_execute execute = {
        .asker = asker_of(call->who), .id = call_text(call, "network_id"), .spec = {.uuid = true}};
    struct buf input = {0};
    enum hub_rc rc = work_priority_of(call, call_text(call, "priority"), &execute.spec.priority);
    if (rc == HUB_OK) {
        rc = work_spec_of(call, "task", task, &execute.spec);
    }
    if (rc == HUB_OK) {
        work_input_put(&input, task, NULL);
        execute.spec.input = buf_slice(&input);
        network_execute_put(body, &execute);
    }
    buf_done(&input);
    return rc;
}

static void execution_json(struct json_out *o, struct store_view *view, const struct network *n,
                           const struct work *w)
{
    json_begin(o, '{');
    put_text(o, "id", w->id);
    put_text(o, "execution_id", w->id);
    put_text(o, "network_id", n->id);
    work_document_json(o, "task", view, w, WORK_INPUT);
    put_str(o, "priority", task_priority_name(w->priority));
    put_str(o, "status", work_status_name(w->state));
    put_text(o, "coordination_strategy", w->strategy_name);
    work_common_json(o, w);
    work_merge_json(o, view, w);
    json_key(o, "agents");
    work_members_json(o, view, w);
    json_key(o, "results");
    if (work_is_over(w->state)) {
        json_begin(o, '{');
        work_document_json(o, "output", view, w, WORK_OUTCOME);
        json_key(o, "parts");
        work_parts_json(o, view, w);
        json_end(o, '}');
    } else {
        json_put_null(o);
        json_key(o, "shards");
        work_parts_json(o, view, w);
    }
    json_end(o, '}');
}

static enum hub_rc execute_answer(struct call *call, const struct command *command,
                                  struct slice reply)
{
    struct store_view *view;
    struct network network;
    struct work work;
    uint64_t number;
    (void)command;
    if (!swarm_coordinated_get(reply, &number)) {
        return HUB_INTERNAL;
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = hub_rc_of_store(work_get(view, number, &work));
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(network_get(view, work.team, &network));
    }
    if (rc == HUB_OK) {
        struct json_out o = json_out_to(call->out);
        execution_json(&o, view, &network, &work);
    }
    store_release(call->io->reader);
    return rc;
}

struct executions {
    struct page page;
    struct network network;
};

static bool list_execution(void *ctx, const struct work *work)
{
    struct executions *e = ctx;
    if (!page_takes(&e->page, work->number)) {
        return false;
    }
    execution_json(&e->page.o, e->page.view, &e->network, work);
    return true;
}

static enum hub_rc put_executions(struct executions *e)
{
    struct page *page = &e->page;
    uint64_t newest = 0;
    enum hub_rc rc = network_see(page->call, page->view, &e->network);
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(work_newest(page->view, &newest));
    }
    if (rc == HUB_OK) {
        rc = page_from(page, newest);
    }
    if (rc != HUB_OK) {
        return rc;
    }
    json_begin(&page->o, '{');
    put_text(&page->o, "network_id", e->network.id);
    page_list(page, "executions");
    rc = hub_rc_of_store(works_each(page->view, e->network.app, TEAM_NETWORK, e->network.number,
                                    false, page->from, list_execution, e));
    page_list_end(page);
    json_end(&page->o, '}');
    return rc;
}

static enum hub_rc executions(struct call *call)
{
    struct executions e;
    enum hub_rc rc = page_open(&e.page, call, LIST_DEFAULT);
    if (rc == HUB_OK) {
        rc = put_executions(&e);
        page_close(&e.page);
    }
    return rc;
}

static enum hub_rc say_execution(struct call *call, struct store_view *view,
                                 const struct network *network)
{
    struct slice id = call_text(call, "execution_id");
    struct work work;
    enum store_rc rc = work_find(view, network->app, id, &work);
    if (rc == STORE_NOT_FOUND ||
        (rc == STORE_OK && (work.team_kind != TEAM_NETWORK || work.team != network->number))) {
        return call_fail(call, HUB_NOT_FOUND, "Execution %.*s not found",
                         (int)(id.n < 200 ? id.n : 200), (const char *)id.p);
    }
    if (rc == STORE_OK) {
        struct json_out o = json_out_to(call->out);
        execution_json(&o, view, network, &work);
    }
    return hub_rc_of_store(rc);
}

static enum hub_rc execution(struct call *call)
{
    return about(call, say_execution);
}

/* ---- networks.status, networks.optimize ---- */

static enum hub_rc status(struct call *call)
{
    return about(call, network_status);
}

static enum hub_rc optimize(struct call *call)
{
    return about(call, network_optimize);
}

/* clang-format off */
#define NETWORK_ID {"type":"string","maxLength":64}
#define NETWORK SCHEMA({"type":"object","required":["id","name","description","agents","coordination_strategy","status","created_at","owner_id"],"properties":{ \
    "id":{"type":"string"},"name":{"type":"string"},"description":{"type":["string","null"]}, \
    "agents":{"type":"array","items":{"type":"string"}},"coordination_strategy":{"type":"string"}, \
    "status":{"const":"active"},"created_at":SHAPE_TIME,"owner_id":{"type":"string"}}})
#define EXECUTION_PROPERTIES "id":{"type":"string"},"execution_id":{"type":"string"},"network_id":{"type":"string"},"task":{"type":"object"}, \
    "status":{"enum":["running","completed","failed","cancelled"]}, \
    "state":{"enum":["mapping","reducing","completed","partial","failed","cancelled"]}, \
    "progress":{"type":"number"},"started_at":SHAPE_TIME,"completed_at":SHAPE_TIME_OR_NULL, \
    "parts":{"type":"object","additionalProperties":SHAPE_COUNT}, \
    "agents":{"type":"array","items":{"type":"string"}},"merge_task_id":MERGE_TASK_ID, \
    "results":{"type":["object","null"],"description":"output: what the parts were merged to; parts: each with its agent, attempt and result."}, \
    "shards":{"type":"array","items":{"type":"object"},"description":"While it runs: the parts as they are."}
#define EXECUTION {"type":"object","required":["id","execution_id","network_id","task","status","started_at","results"],"properties":{EXECUTION_PROPERTIES}}
#define ONE_NETWORK SCHEMA({"type":"object","properties":{"network_id":NETWORK_ID}})
#define STRATEGIES "round-robin, map-reduce (parallel), broadcast, race, pipeline (sequential), scatter-vote, consensus, leader-election, distributed or hierarchical; whatever else is done like round-robin."
#define OPTIMIZE_PARAMS SCHEMA({"type":"object","properties":{"network_id":NETWORK_ID, \
    "objective":{"enum":["efficiency","speed","cost","quality",null],"default":"efficiency"}}})
#define OPTIMIZE_ANSWER SCHEMA({"type":"object","required":["network_id","optimization_type","recommendations","performance_metrics","optimized_at"],"properties":{ \
    "network_id":{"type":"string"},"optimization_type":{"type":"string"}, \
    "recommendations":{"type":"array","items":{"type":"object","required":["type","description","impact","evidence"],"properties":{ \
        "type":{"type":"string"},"description":{"type":"string"},"impact":{"enum":["high","medium","low"]}, \
        "evidence":{"type":"object","description":"The figures it rests on."}}}}, \
    "performance_metrics":{"type":"object","additionalProperties":{"type":"number"}},"optimized_at":SHAPE_TIME}})

static const struct operation rows[] = {
    { .name = "networks.create", .summary = "Make a network of agents that do tasks together",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/api/v1/agents/networks", 201, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["name","agents"],"properties":{
          "name":{"type":"string","minLength":1,"maxLength":255},
          "description":{"type":["string","null"],"maxLength":4096},
          "agents":{"type":"array","maxItems":1000,"items":{"type":"string","minLength":1,"maxLength":128},"description":"Ids of agents that are registered."},
          "coordination_strategy":{"type":["string","null"],"maxLength":64,"default":"round-robin","description":STRATEGIES}}}),
      .answer_schema = NETWORK,
      .kind = &command_network_create, .prepare = create_prepare, .answer = create_answer },
    { .name = "networks.list", .summary = "Agent networks, newest first",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/api/v1/agents/networks", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"networks":{"type":"array","items":{"type":"object"}},"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR}}),
      .query = list },
    { .name = "networks.get", .summary = "One agent network",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/api/v1/agents/networks/{network_id}", 200, STYLE_PROBLEM, false}},
      .params = ONE_NETWORK, .answer_schema = NETWORK, .query = get },
    { .name = "networks.delete", .summary = "Delete a network; what it executes is cancelled",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_DELETE, "/api/v1/agents/networks/{network_id}", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"network_id":NETWORK_ID,"reason":SHAPE_REASON}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"id":{"type":"string"},"network_id":{"type":"string"},"status":{"const":"deleted"},"message":{"type":"string"},"deleted_at":SHAPE_TIME}}),
      .kind = &command_network_delete, .prepare = delete_prepare, .answer = delete_answer },
    { .name = "networks.execute", .summary = "Have a task done by a network, as its strategy says",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/api/v1/agents/networks/{network_id}/execute", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["task"],"properties":{"network_id":NETWORK_ID,
          "task":{"type":"object","description":"What the agents get. A list in it named items, subtasks, stages or parts is shared out; shards, reducer, field, by, k, require and timeout_seconds steer."},
          "priority":{"type":["string","null"],"default":"normal","description":"urgent, critical, high, normal or low, in any case."}}}),
      .answer_schema = SCHEMA(EXECUTION),
      .kind = &command_network_execute, .prepare = execute_prepare, .answer = execute_answer },
    { .name = "networks.executions", .summary = "Executions of a network, newest first",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/api/v1/agents/networks/{network_id}/executions", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"network_id":NETWORK_ID,"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"network_id":{"type":"string"},"executions":{"type":"array","items":EXECUTION},"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR}}),
      .query = executions },
    { .name = "networks.execution", .summary = "One execution: progress and results",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/api/v1/agents/networks/{network_id}/executions/{execution_id}", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"network_id":NETWORK_ID,"execution_id":{"type":"string","maxLength":128}}}),
      .answer_schema = SCHEMA(EXECUTION), .query = execution },
    { .name = "networks.status", .summary = "A network in figures",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/api/v1/agents/networks/{network_id}/status", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"network_id":NETWORK_ID,
          "metrics":{"type":"array","items":{"type":"string"},"description":"avg_execution_time, success_rate, throughput: those alone; `all`, or none of these: every one."}}}),
      .answer_schema = SCHEMA({"type":"object","required":["network_id","name","status","agent_count","active_tasks","total_executions","performance_metrics","last_activity"],"properties":{
          "network_id":{"type":"string"},"name":{"type":"string"},"status":{"type":"string"},"agent_count":SHAPE_COUNT,"active_agents":SHAPE_COUNT,
          "active_tasks":SHAPE_COUNT,"total_executions":SHAPE_COUNT,
          "performance_metrics":{"type":"object","additionalProperties":{"type":"number"},"description":"Seconds, share, executions a minute."},"last_activity":SHAPE_TIME}}),
      .query = status },
    { .name = "networks.optimize", .summary = "What would make a network better, with the figures it rests on",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/api/v1/agents/networks/{network_id}/optimize", 200, STYLE_PROBLEM, false},
                 {METHOD_POST, "/api/v1/agents/networks/{network_id}/optimize", 200, STYLE_PROBLEM, false}},
      .params = OPTIMIZE_PARAMS, .answer_schema = OPTIMIZE_ANSWER, .query = optimize },
};
/* clang-format on */

const struct operation_table network_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
