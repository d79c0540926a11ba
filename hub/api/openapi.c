/* The document is a tree of jansson values, made once at the start: every part of it is read from
 * the operations table, so it cannot say other than what is served. */
#include "hub/api/openapi.h"
#include "hub/api/api_parts.h"
#include "hub/api/components.h"

#include <assert.h>
#include <stdio.h>

enum { REF_BYTES = 128 };

static const char about[] = "A real-time event hub for swarms of agents.\n\n"
                            "Every operation here is also a `call` of the native protocol "
                            "(`/ws/v1/events`), by its operation id. "
                            "Paths without a prefix are served under `/api/v1` too.\n\n"
                            "Lists take `limit` and `cursor`, and say `next_cursor` while there is "
                            "more. Times are UTC, in milliseconds. "
                            "Every answer says in `RateLimit-Limit`, `-Remaining`, `-Reset` and "
                            "`-Policy` what may still be asked. "
                            "What belongs to others is not found.";

/* clang-format off */
static const struct {
    const char *name, *description;
} groups[] = {
    { "agents",     "The registry of agents: who is there, how healthy, and what they can do." },
    { "networks",   "Agents that do tasks together by one strategy, and what became of it." },
    { "swarm",      "Members that come and go, and work that is shared out among them." },
    { "load_balancer", "How agents are chosen for tasks." },
    { "messages",   "Messages between agents: kept until they are acknowledged, expire, or are dead." },
    { "peers",      "Who may write to whom." },
    { "hierarchy",  "Masters and their subordinates." },
    { "apps",       "Apps are tenants: what is in one is invisible to the others." },
    { "auth",       "Tokens, API keys, revocations and the keys that tokens are signed with." },
    { "backups",    "Hot backups of the whole hub." },
    { "channels",   "Channels: publish, read back, and see who is present." },
    { "hub",        "The hub about itself." },
    { "namespaces", "Options that the channels of one namespace share." },
    { "consensus",  "Rounds of voting: rules, sealed and signed ballots, certificates." },
    { "audit",      "The sealed trail of what system channels told." },
    { "schemas",    "The hub's own JSON Schema validator." },
    { "tasks",      "Work for agents: submitted, offered, leased, reported, replayed." },
};

/* Which errors an operation can meet besides those of its own. */
static const enum hub_rc documented[] = {
    HUB_BAD_REQUEST, HUB_UNAUTHORISED, HUB_FORBIDDEN, HUB_NOT_FOUND, HUB_CONFLICT, HUB_INVALID, HUB_RATE_LIMITED,
    HUB_UNAVAILABLE, HUB_STORE_FULL,
};
/* clang-format on */

static json_t *parsed(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    assert(value); /* our own tables are JSON */
    return value;
}

static void set(json_t *object, const char *key, json_t *value)
{
    int rc = json_object_set_new(object, key, value);
    assert(rc == 0);
    (void)rc;
}

static void set_str(json_t *object, const char *key, const char *text)
{
    set(object, key, json_string(text));
}

static json_t *ref(const char *kind, const char *prefix, const char *name)
{
    char text[REF_BYTES];
    snprintf(text, sizeof text, "#/components/%s/%s%s", kind, prefix, name);
    json_t *object = json_object();
    set_str(object, "$ref", text);
    return object;
}

/* ---- parameters and bodies ---- */

/* Is the property a segment of the path, "{name}"? */
static bool in_path(const struct route *route, const char *name)
{
    char segment[REF_BYTES];
    snprintf(segment, sizeof segment, "{%s}", name);
    return strstr(route->path, segment) != NULL;
}

static bool is_required(const json_t *schema, const char *name)
{
    const json_t *required = json_object_get(schema, "required");
    for (size_t i = 0; i < json_array_size(required); i++) {
        if (strcmp(json_string_value(json_array_get(required, i)), name) == 0) {
            return true;
        }
    }
    return false;
}

static json_t *parameter(const char *name, const char *place, bool required, const json_t *property)
{
    json_t *p = json_object(),
           *schema = property ? json_deep_copy(property) : parsed(SCHEMA({"type" : "string"}));
    json_t *description = json_object_get(schema, "description");
    set_str(p, "name", name);
    set_str(p, "in", place);
    set(p, "required", json_boolean(required));
    if (description) {
        json_object_set(p, "description", description);
        json_object_del(schema, "description");
    }
    set(p, "schema", schema);
    return p;
}

/* "{a}" and "{b}" of the path, in their order. */
static void add_path_parameters(json_t *list, const struct route *route, const json_t *properties)
{
    for (const char *p = strchr(route->path, '{'); p; p = strchr(p + 1, '{')) {
        char name[REF_BYTES];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 1, "}"), p + 1);
        json_array_append_new(list,
                              parameter(name, "path", true, json_object_get(properties, name)));
    }
}

static void add_query_parameters(json_t *list, const struct route *route, json_t *schema)
{
    const char *name;
    json_t *property;
    json_object_foreach(json_object_get(schema, "properties"), name, property)
    {
        if (!in_path(route, name)) {
            json_array_append_new(list,
                                  parameter(name, "query", is_required(schema, name), property));
        }
    }
}

/* The params' schema without what the path says; NULL when nothing is left. */
static json_t *body_schema(const struct route *route, const json_t *params)
{
    json_t *schema = json_deep_copy(params), *properties = json_object_get(schema, "properties");
    json_t *required = json_object_get(schema, "required");
    const char *name;
    json_t *property;
    void *tmp;
    json_object_foreach_safe(properties, tmp, name, property)
    {
        if (in_path(route, name)) {
            json_object_del(properties, name);
        }
    }
    for (size_t i = json_array_size(required); i > 0; i--) {
        if (in_path(route, json_string_value(json_array_get(required, i - 1)))) {
            json_array_remove(required, i - 1);
        }
    }
    if (required && json_array_size(required) == 0) {
        json_object_del(schema, "required");
    }
    if (json_object_size(properties) == 0) {
        json_decref(schema);
        return NULL;
    }
    return schema;
}

static json_t *content(const char *type, json_t *schema)
{
    json_t *content = json_object(), *media = json_object();
    set(media, "schema", schema);
    set(content, type, media);
    return content;
}

static bool has_query(const struct route *route)
{
    return route->method == METHOD_GET || route->method == METHOD_DELETE;
}

static void add_inputs(json_t *object, const struct entry *entry, const struct route *route)
{
    const struct operation *op = entry->operation;
    json_t *list = json_array();
    add_path_parameters(list, route, json_object_get(entry->params, "properties"));
    if (entry->params && has_query(route)) {
        add_query_parameters(list, route, entry->params);
    }
    if ((op->flags & OPERATION_CREATES) && route->method == METHOD_POST) {
        json_array_append_new(list, ref("parameters", "", "IdempotencyKey"));
    }
    if (json_array_size(list)) {
        set(object, "parameters", list);
    } else {
        json_decref(list);
    }
    json_t *schema = entry->params && !has_query(route) ? body_schema(route, entry->params) : NULL;
    if (schema) {
        json_t *body = json_object();
        set(body, "required", json_boolean(op->flags & OPERATION_BODY));
        set(body, "content", content("application/json", schema));
        set(object, "requestBody", body);
    }
}

/* ---- answers ---- */

static const char *style_prefix(enum answer_style style)
{
    switch (style) {
    case STYLE_PROBLEM:
        return "";
    case STYLE_COORDINATOR:
        return "coordinator_";
    }
    return "";
}

/* Can this operation, on this route, come to that? */
static bool can_meet(const struct entry *entry, const struct route *route, enum hub_rc rc)
{
    const struct operation *op = entry->operation;
    switch (hub_error(rc)->status) {
    case 401:
    case 403:
        return !(op->flags & OPERATION_OPEN);
    case 404:
        return strchr(route->path, '{') != NULL;
    case 400:
    case 422:
        return op->params != NULL;
    case 409:
        return op->kind != NULL && route->method != METHOD_DELETE;
    case 429:
        return !(op->flags & OPERATION_UNLIMITED);
    case 507:
        return op->kind != NULL;
    default:
        return true;
    }
}

static json_t *success(const struct operation *op, unsigned status)
{
    json_t *answer = json_object(), *headers = json_object();
    bool raw = op->flags & OPERATION_RAW;
    set_str(answer, "description",
            status == 201   ? "Made."
            : status == 202 ? "Accepted: it is under way."
                            : "Done.");
    set(headers, "Request-Id", ref("headers", "", "RequestId"));
    set(answer, "headers", headers);
    json_t *schema = raw                 ? parsed(SCHEMA({"type" : "string"}))
                     : op->answer_schema ? parsed(op->answer_schema)
                                         : parsed(SCHEMA({"type" : "object"}));
    set(answer, "content", content(raw ? "text/plain" : "application/json", schema));
    return answer;
}

static void add_answers(json_t *object, const struct entry *entry, const struct route *route)
{
    json_t *answers = json_object();
    char status[8];
    snprintf(status, sizeof status, "%u", route->status ? route->status : 200U);
    set(answers, status, success(entry->operation, route->status));
    for (size_t i = 0; i < sizeof documented / sizeof *documented; i++) {
        const struct hub_error *error = hub_error(documented[i]);
        if (can_meet(entry, route, documented[i])) {
            snprintf(status, sizeof status, "%u", (unsigned)error->status);
            set(answers, status, ref("responses", style_prefix(route->style), error->code));
        }
    }
    set(object, "responses", answers);
}

/* ---- operations ---- */

static void add_description(json_t *object, const struct operation *op)
{
    char text[256];
    if (op->flags & OPERATION_OPEN) {
        snprintf(text, sizeof text, "Needs no credential.");
        set(object, "security", json_array());
    } else {
        snprintf(text, sizeof text, "Needs the role %s.", role_name(op->needs));
    }
    set_str(object, "description", text);
}

/* What the table knows and OpenAPI has no word for; the tests of every operation walk by it. */
static void add_extensions(json_t *object, const struct operation *op)
{
    set_str(object, "x-waggle-operation", op->name);
    set_str(object, "x-waggle-role", op->flags & OPERATION_OPEN ? "none" : role_name(op->needs));
    set(object, "x-waggle-creates", json_boolean(op->flags & OPERATION_CREATES));
    set(object, "x-waggle-call", json_boolean(!(op->flags & OPERATION_RAW)));
}

static json_t *operation_of(const struct entry *entry, const struct route *route, unsigned nth)
{
    const struct operation *op = entry->operation;
    json_t *object = json_object(), *tags = json_array();
    char id[REF_BYTES], group[64];
    snprintf(group, sizeof group, "%.*s", (int)entry->group.n, (const char *)entry->group.p);
    snprintf(id, sizeof id, nth ? "%s_%u" : "%s", op->name, nth + 1);
    json_array_append_new(tags, json_string(group));
    set(object, "tags", tags);
    set_str(object, "operationId", id);
    set_str(object, "summary", op->summary);
    add_description(object, op);
    add_inputs(object, entry, route);
    add_answers(object, entry, route);
    add_extensions(object, op);
    return object;
}

static void add_routes(json_t *paths, const struct entry *entry)
{
    static const char *const methods[METHODS] = {[METHOD_GET] = "get",
                                                 [METHOD_POST] = "post",
                                                 [METHOD_PUT] = "put",
                                                 [METHOD_PATCH] = "patch",
                                                 [METHOD_DELETE] = "delete"};
    const struct route *route = entry->operation->routes;
    unsigned nth = 0;
    for (size_t i = 0; i < OPERATION_ROUTES_MAX && route[i].method; i++) {
        if (route[i].alias) {
            continue;
        }
        json_t *path = json_object_get(paths, route[i].path);
        if (!path) {
            path = json_object();
            set(paths, route[i].path, path);
        }
        set(path, methods[route[i].method], operation_of(entry, &route[i], nth++));
    }
}

static json_t *paths_of(const struct api *api)
{
    json_t *paths = json_object();
    for (size_t i = 0; i < api->n; i++) {
        add_routes(paths, &api->entries[i]);
    }
    return paths;
}

static json_t *tags_of(const struct api *api)
{
    json_t *tags = json_array();
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++) {
        bool used = false;
        for (size_t i = 0; i < api->n; i++) {
            used = used || slice_is(api->entries[i].group, groups[g].name);
        }
        if (used) {
            json_t *tag = json_object();
            set_str(tag, "name", groups[g].name);
            set_str(tag, "description", groups[g].description);
            json_array_append_new(tags, tag);
        }
    }
    return tags;
}

/* ---- components ---- */

/* clang-format off */
#define ERROR_SCHEMA(...) SCHEMA({"type":"object","required":["type","title","status","code","detail","message","timestamp"],"properties":{ \
    "type":{"type":"string","description":"A name for the error: urn:waggle:error:<code>."}, \
    "title":{"type":"string"}, \
    "status":__VA_ARGS__, \
    "code":{"type":"string","description":"The stable word for it, the same on every wire."}, \
    "detail":{"description":"A sentence; for 422 the fields at fault.","oneOf":[{"type":"string"},{"type":"array","items":{"type":"object","required":["loc","msg","type"],"properties":{ \
        "loc":{"type":"array","items":{"type":["string","integer"]}},"msg":{"type":"string"},"type":{"type":"string"}}}}]}, \
    "message":{"type":"string"}, \
    "advice":{"type":"string"}, \
    "instance":{"type":"string"}, \
    "timestamp":SHAPE_TIME}})

static const char problem_schema[] = ERROR_SCHEMA({"type":"integer","description":"The HTTP status."});
static const char coordinator_schema[] = ERROR_SCHEMA({"const":"error"});
static const char security_schemes[] = SCHEMA({
    "ApiKeyAuth":{"type":"apiKey","in":"header","name":"X-API-Key"},
    "bearerAuth":{"type":"http","scheme":"bearer","description":"A token, or an API key."}});
static const char shared_parameters[] = SCHEMA({
    "IdempotencyKey":{"name":"Idempotency-Key","in":"header","schema":{"type":"string","minLength":1,"maxLength":256},
        "description":"The same key and request within 24 hours is answered with the first result."}});
static const char shared_headers[] = SCHEMA({
    "RequestId":{"description":"The request's own, or one that the hub gave it.","schema":{"type":"string"}},
    "RetryAfter":{"description":"Seconds to wait.","schema":{"type":"integer"}}});
/* clang-format on */

static json_t *schemas(void)
{
    json_t *object = json_object();
    const struct component *c;
    for (size_t i = 0; (c = component_at(i)); i++) {
        set(object, c->name, parsed(c->schema));
    }
    set(object, "Problem", parsed(problem_schema));
    set(object, "CoordinatorProblem", parsed(coordinator_schema));
    return object;
}

static void add_error(json_t *responses, enum hub_rc rc, enum answer_style style)
{
    const struct hub_error *error = hub_error(rc);
    json_t *response = json_object();
    char name[REF_BYTES], text[256];
    bool problem = style == STYLE_PROBLEM;
    snprintf(name, sizeof name, "%s%s", style_prefix(style), error->code);
    snprintf(text, sizeof text, "%s. %s", error->title, error->advice);
    set_str(response, "description", text);
    if (error->status == 429 || error->status == 503) {
        json_t *headers = json_object();
        set(headers, "Retry-After", ref("headers", "", "RetryAfter"));
        set(response, "headers", headers);
    }
    set(response, "content",
        content(problem ? "application/problem+json" : "application/json",
                ref("schemas", "", problem ? "Problem" : "CoordinatorProblem")));
    set(responses, name, response);
}

static json_t *responses(void)
{
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof documented / sizeof *documented; i++) {
        add_error(object, documented[i], STYLE_PROBLEM);
        add_error(object, documented[i], STYLE_COORDINATOR);
    }
    return object;
}

static json_t *components(void)
{
    json_t *object = json_object();
    set(object, "securitySchemes", parsed(security_schemes));
    set(object, "parameters", parsed(shared_parameters));
    set(object, "headers", parsed(shared_headers));
    set(object, "schemas", schemas());
    set(object, "responses", responses());
    return object;
}

static json_t *info(const char *version)
{
    json_t *object = json_object();
    set_str(object, "title", "Waggle");
    set_str(object, "version", version);
    set_str(object, "description", about);
    set(object, "license", parsed(SCHEMA({"name" : "MIT", "identifier" : "MIT"})));
    return object;
}

void openapi_write(const struct api *api, const char *version, struct buf *out)
{
    json_t *document = json_object();
    set_str(document, "openapi", "3.1.0");
    set(document, "info", info(version));
    set(document, "servers", parsed(SCHEMA([ {"url" : "/"} ])));
    set(document, "security", parsed(SCHEMA([ {"ApiKeyAuth" : []}, {"bearerAuth" : []} ])));
    set(document, "tags", tags_of(api));
    set(document, "paths", paths_of(api));
    set(document, "components", components());
    json_put_value(out, document);
    json_decref(document);
}
