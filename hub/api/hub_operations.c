/* The hub about itself: what it is, whether it is well, its figures and its documents. */
#include "hub/api/answer.h"
#include "hub/api/metrics.h"
#include "hub/api/tables.h"

/* A path that names no single thing, at the operation that answers it first. */
static bool begins_here(const struct operation_table *const *tables, size_t table, size_t row)
{
    const char *path = tables[table]->rows[row].routes[0].path;
    bool first = path && !strchr(path, '{');
    for (size_t t = 0; first && t <= table; t++) {
        for (size_t i = 0; first && i < (t == table ? row : tables[t]->n); i++) {
            const char *other = tables[t]->rows[i].routes[0].path;
            first = !other || strcmp(other, path) != 0;
        }
    }
    return first;
}

static void put_endpoints(struct json_out *o)
{
    static const char *const others[] = {"/docs", "/redoc", "/dashboard/", "/ws/v1/events"};
    size_t n;
    const struct operation_table *const *tables = operation_tables(&n);
    json_key(o, "endpoints");
    json_begin(o, '[');
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        json_str(o, others[i]);
    }
    for (size_t t = 0; t < n; t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            if (begins_here(tables, t, i)) {
                json_str(o, tables[t]->rows[i].routes[0].path);
            }
        }
    }
    json_end(o, ']');
}

static enum hub_rc root_query(struct call *call)
{
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    json_key(&o, "service");
    json_str(&o, "waggle");
    json_key(&o, "description");
    json_str(&o, "A real-time event hub for swarms of agents");
    json_key(&o, "version");
    json_str(&o, call->io->hub->version);
    json_key(&o, "status");
    json_str(&o, "running");
    put_endpoints(&o);
    json_end(&o, '}');
    return HUB_OK;
}

static enum hub_rc health_query(struct call *call)
{
    const struct hub *hub = call->io->hub;
    struct hub_figures f;
    hub_figures(hub, &f);
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    json_key(&o, "status");
    json_str(&o, "healthy");
    json_key(&o, "service");
    json_str(&o, "agent-coordinator");
    json_key(&o, "version");
    json_str(&o, hub->version);
    put_time(&o, "timestamp", call->now_ms);
    json_key(&o, "active_workflows");
    json_u64(&o, 0); /* none can run before there are workflows */
    json_key(&o, "uptime_seconds");
    json_double(&o, (double)(call->now_ms - hub->started_ms) / 1000);
    json_key(&o, "connections");
    json_u64(&o, f.connections);
    json_key(&o, "agents");
    json_u64(&o, f.agents_total);
    json_key(&o, "store");
    json_str(&o, store_is_full(hub->store) ? "full" : "open");
    json_end(&o, '}');
    return HUB_OK;
}

/* Ready to take work: a full store or a drain says no, and the status says so to whoever balances
 * load. */
static enum hub_rc ready_query(struct call *call)
{
    const struct hub *hub = call->io->hub;
    bool draining = atomic_load(&hub->draining), full = store_is_full(hub->store);
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    json_key(&o, "ready");
    json_bool(&o, !draining && !full);
    json_key(&o, "draining");
    json_bool(&o, draining);
    json_key(&o, "store_full");
    json_bool(&o, full);
    put_time(&o, "timestamp", call->now_ms);
    json_end(&o, '}');
    call->status = draining || full ? 503 : 200;
    return HUB_OK;
}

static enum hub_rc metrics_query(struct call *call)
{
    metrics_write(call->io, call->out);
    call->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return HUB_OK;
}

static enum hub_rc openapi_query(struct call *call)
{
    buf_add_slice(call->out, call->io->hub->openapi);
    return HUB_OK;
}

static enum hub_rc errors_query(struct call *call)
{
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    json_key(&o, "errors");
    json_begin(&o, '[');
    for (unsigned rc = HUB_ANSWERED + 1; rc < HUB_RC_COUNT; rc++) {
        const struct hub_error *error = hub_error((enum hub_rc)rc);
        json_begin(&o, '{');
        json_key(&o, "code");
        json_str(&o, error->code);
        json_key(&o, "status");
        json_u64(&o, error->status);
        json_key(&o, "title");
        json_str(&o, error->title);
        json_key(&o, "advice");
        json_str(&o, error->advice);
        json_end(&o, '}');
    }
    json_end(&o, ']');
    json_end(&o, '}');
    return HUB_OK;
}

/* clang-format off */
#define OPEN (OPERATION_OPEN | OPERATION_UNLIMITED)
static const struct operation rows[] = {
    { .name = "hub.root", .summary = "What answers here",
      .flags = OPEN,
      .routes = { { METHOD_GET, "/", 200, STYLE_PROBLEM, false } },
      .query = root_query },
    { .name = "hub.health", .summary = "Is the hub alive?",
      .flags = OPEN,
      .routes = { { METHOD_GET, "/health", 200, STYLE_COORDINATOR, false } },
      .query = health_query },
    { .name = "hub.ready", .summary = "Does the hub take work? 503 while it drains or its store is full",
      .flags = OPEN,
      .routes = { { METHOD_GET, "/ready", 200, STYLE_PROBLEM, false } },
      .query = ready_query },
    { .name = "hub.metrics", .summary = "Figures as Prometheus text",
      .flags = OPEN | OPERATION_RAW,
      .routes = { { METHOD_GET, "/metrics", 200, STYLE_PROBLEM, false } },
      .query = metrics_query },
    { .name = "hub.openapi", .summary = "This document",
      .flags = OPEN | OPERATION_RAW,
      .routes = { { METHOD_GET, "/openapi.json", 200, STYLE_PROBLEM, false } },
      .query = openapi_query },
    { .name = "hub.errors", .summary = "Every error code with its meaning",
      .flags = OPEN,
      .routes = { { METHOD_GET, "/api/v1/errors", 200, STYLE_PROBLEM, false } },
      .query = errors_query },
};
/* clang-format on */

const struct operation_table hub_operations = {rows, sizeof rows / sizeof *rows};
