/* The operations table made ready: compiled schemas, the tree of paths, a look-up by name. */
#include "hub/api/api_parts.h"
#include "auth/digest.h"
#include "channels/json_scan.h"
#include "hub/api/openapi.h"
#include "hub/api/tables.h"
#include "hub/api/words.h"
#include "store/hash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static const struct operation_table *const tables[] = {
    &hub_operations,     &auth_operations,    &channel_operations,   &agent_operations,
    &schema_operations,  &task_operations,    &balance_operations,   &bottleneck_operations,
    &network_operations, &swarm_operations,   &consensus_operations, &audit_operations,
    &backup_operations,  &message_operations, &peer_operations,      &cursor_operations,
    &queue_operations,
};

const struct operation_table *const *operation_tables(size_t *out_n)
{
    *out_n = sizeof tables / sizeof *tables;
    return tables;
}

static size_t name_hash(struct slice name)
{
    return (size_t)hash64(0, name);
}

static bool compile(struct entry *entry, char *out_text, size_t text_n)
{
    const struct operation *op = entry->operation;
    if (!op->params) {
        return true;
    }
    json_error_t error;
    entry->params = json_loads(op->params, JSON_REJECT_DUPLICATES, &error);
    struct schema_problem problem = {.place = "", .reason = ""};
    struct schema_options options = {.assert_formats = true};
    if (entry->params) {
        entry->schema = schema_compile(entry->params, &options, &problem);
    }
    if (!entry->schema) {
        snprintf(out_text, text_n, "operation %s: params: %s %s", op->name,
                 entry->params ? problem.reason : error.text, problem.place);
    }
    return entry->schema != NULL;
}

static bool add(struct api *api, const struct operation *op, char *out_text, size_t text_n)
{
    struct entry *entry = &api->entries[api->n];
    entry->operation = op;
    const char *dot = strchr(op->name, '.');
    entry->group = slice_of(op->name, dot ? (size_t)(dot - op->name) : strlen(op->name));
    for (size_t i = 0; i < api->n; i++) {
        if (strcmp(api->entries[i].operation->name, op->name) == 0) {
            snprintf(out_text, text_n, "operation %s stands twice", op->name);
            return false;
        }
    }
    api->n++;
    size_t at = name_hash(slice_str(op->name));
    while (api->by_name[at % NAMES_CAP]) {
        at++;
    }
    api->by_name[at % NAMES_CAP] = (uint16_t)api->n;
    for (size_t r = 0; r < OPERATION_ROUTES_MAX && op->routes[r].method; r++) {
        if (!router_add(api->router, op, api->n - 1, &op->routes[r])) {
            snprintf(out_text, text_n, "operation %s: path %s is taken or not well-formed",
                     op->name, op->routes[r].path);
            return false;
        }
    }
    return compile(entry, out_text, text_n);
}

struct api *api_new(const struct hub *hub, char *out_text, size_t text_n)
{
    struct api *api = xcalloc(1, sizeof *api);
    size_t count = 0;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        count += tables[t]->n;
    }
    assert(count < NAMES_CAP / 2);
    api->entries = xcalloc(count, sizeof *api->entries);
    api->router = router_new();
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        for (size_t i = 0; i < tables[t]->n; i++) {
            if (!add(api, &tables[t]->rows[i], out_text, text_n)) {
                api_free(api);
                return NULL;
            }
        }
    }
    openapi_write(api, hub->version, &api->openapi);
    return api;
}

void api_free(struct api *api)
{
    if (!api) {
        return;
    }
    for (size_t i = 0; i < api->n; i++) {
        schema_free(api->entries[i].schema);
        json_decref(api->entries[i].params);
    }
    free(api->entries);
    router_free(api->router);
    buf_done(&api->openapi);
    free(api);
}

size_t api_operations(const struct api *api)
{
    return api->n;
}

const struct operation *api_operation(const struct api *api, size_t i)
{
    return api->entries[i].operation;
}

const struct operation *api_by_name(const struct api *api, struct slice name, size_t *out_i)
{
    size_t at = name_hash(name);
    for (; api->by_name[at % NAMES_CAP]; at++) {
        size_t i = api->by_name[at % NAMES_CAP] - 1u;
        if (slice_is(name, api->entries[i].operation->name)) {
            *out_i = i;
            return api->entries[i].operation;
        }
    }
    return NULL;
}

void api_route(const struct api *api, enum method method, struct slice raw, struct slice text,
               struct api_match *out)
{
    router_match(api->router, method, raw, text, out);
}

struct slice api_openapi(const struct api *api)
{
    return buf_slice(&api->openapi);
}

/* ---- tickets ---- */

uint64_t api_ticket_pack(struct api_ticket t)
{
    return ((uint64_t)t.operation << 48) | ((uint64_t)t.route << 40) | ((uint64_t)t.kind << 32) |
           t.extra;
}

struct api_ticket api_ticket_unpack(uint64_t t)
{
    return (struct api_ticket){.operation = (uint16_t)(t >> 48),
                               .route = (uint8_t)(t >> 40),
                               .kind = (uint8_t)(t >> 32),
                               .extra = (uint32_t)t};
}

/* ---- parameters ---- */

/* What a query's text means where the schema wants another type than string. Text that does not fit
 * stays text, and the schema says what is wrong with it. */
static json_t *typed(const json_t *params_schema, const char *name, struct slice text)
{
    const json_t *property = json_object_get(json_object_get(params_schema, "properties"), name);
    const char *type = json_string_value(json_object_get(property, "type"));
    uint64_t u;
    double d;
    bool b;
    size_t at;
    struct slice magnitude = text;
    bool minus = text.n > 1 && text.p[0] == '-';
    if (minus) {
        magnitude = slice_of(text.p + 1, text.n - 1);
    }
    if (type && strcmp(type, "integer") == 0 && json_check(text, 1, &at) == JSON_OK &&
        json_to_u64(magnitude, &u) && u <= INT64_MAX) {
        return json_integer(minus ? -(json_int_t)u : (json_int_t)u);
    }
    if (type && strcmp(type, "number") == 0 && json_check(text, 1, &at) == JSON_OK &&
        json_to_double(text, &d)) {
        return json_real(d);
    }
    if (type && strcmp(type, "boolean") == 0 && json_to_bool(text, &b)) {
        return json_boolean(b);
    }
    return json_stringn((const char *)text.p, text.n);
}

static bool is_array(const json_t *params_schema, const char *name)
{
    const json_t *property = json_object_get(json_object_get(params_schema, "properties"), name);
    const char *type = json_string_value(json_object_get(property, "type"));
    return type && strcmp(type, "array") == 0;
}

/* a=1,2 and a=1&a=2 both mean a list where the schema wants one. */
static void add_list(json_t *params, const char *name, struct slice text)
{
    json_t *list = json_object_get(params, name);
    if (!list) {
        list = json_array();
        json_object_set_new(params, name, list);
    }
    for (size_t at = 0; at <= text.n;) {
        size_t end = at;
        while (end < text.n && text.p[end] != ',') {
            end++;
        }
        if (end > at) {
            json_array_append_new(list, json_stringn((const char *)text.p + at, end - at));
        }
        at = end + 1;
    }
}

static enum hub_rc merge_query(const struct entry *entry, struct call *call,
                               const struct api_request *request)
{
    struct slice name, value;
    bool bad = false;
    while (request->query_next && request->query_next(request->query_ctx, &name, &value, &bad)) {
        char key[128];
        if (name.n == 0 || name.n >= sizeof key || slice_is(name, "token")) {
            continue;
        }
        memcpy(key, name.p, name.n);
        key[name.n] = '\0';
        if (is_array(entry->params, key)) {
            add_list(call->params, key, value);
        } else {
            json_t *v = typed(entry->params, key, value);
            if (v) {
                json_object_set_new(call->params, key, v);
            }
        }
    }
    return bad ? call_fail(call, HUB_BAD_REQUEST, "the query is not well-formed") : HUB_OK;
}

static enum hub_rc fail_json(struct call *call, enum json_rc rc, size_t at)
{
    return call_fail_field(call, NULL, "json_invalid", "JSON at byte %zu: %s", at,
                           json_rc_text(rc));
}

/* Depth, UTF-8 and NUL are judged by our scanner before jansson builds a tree. */
static enum hub_rc load(struct call *call, struct slice text, json_t **out)
{
    size_t at = 0;
    enum json_rc rc = json_check(text, JSON_DEPTH_MAX, &at);
    if (rc != JSON_OK) {
        return fail_json(call, rc, at);
    }
    json_error_t error;
    *out =
        json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!*out) {
        /* Well-formed, but no number of ours: nothing is rounded behind its sender's back. */
        bool large = json_error_code(&error) == json_error_numeric_overflow;
        return call_fail_field(call, NULL, "json_invalid", "JSON: %s%s", error.text,
                               large ? ": send it as a text" : "");
    }
    return HUB_OK;
}

static enum hub_rc merge_body(struct call *call, const struct api_request *request)
{
    const struct operation *op = call->operation;
    if (request->body.n == 0) {
        return op->flags & OPERATION_BODY
                   ? call_fail_field(call, NULL, "missing", "a JSON body is required")
                   : HUB_OK;
    }
    if (!request->json_body) {
        return call_fail_field(call, NULL, "content_type",
                               "the body must be JSON, sent with Content-Type: application/json");
    }
    json_t *body = NULL;
    enum hub_rc rc = load(call, request->body, &body);
    if (rc == HUB_OK && !json_is_object(body)) {
        rc = call_fail_field(call, NULL, "type", "the body must be a JSON object");
    }
    if (rc == HUB_OK) {
        json_object_update(call->params, body);
    }
    json_decref(body);
    return rc;
}

static void merge_path(struct call *call, const struct api_match *match)
{
    for (size_t i = 0; i < match->params_n; i++) {
        char key[64];
        snprintf(key, sizeof key, "%.*s", (int)match->names[i].n, (const char *)match->names[i].p);
        json_object_set_new(call->params, key,
                            json_stringn((const char *)match->values[i].p, match->values[i].n));
    }
}

/* ---- judging ---- */

struct detail {
    struct call *call;
    const struct api_match *match; /* NULL over `call` */
    struct slice body_keys;
    struct json_out out;
    bool has_body;
};

/* "/tasks/0/agent_id" becomes "tasks", 0, "agent_id". */
static void put_pointer(struct json_out *o, const char *pointer)
{
    while (*pointer == '/') {
        struct buf name = {0};
        bool digits = pointer[1] != '\0' && pointer[1] != '/';
        for (pointer++; *pointer && *pointer != '/'; pointer++) {
            char c = *pointer;
            if (c == '~' && (pointer[1] == '0' || pointer[1] == '1')) {
                c = *++pointer == '0' ? '~' : '/';
            }
            digits = digits && c >= '0' && c <= '9';
            buf_add(&name, &c, 1);
        }
        if (digits) {
            json_raw(o, buf_slice(&name));
        } else {
            json_text(o, buf_slice(&name));
        }
        buf_done(&name);
    }
}

static const char *place_of(const struct detail *d, const char *pointer)
{
    for (size_t i = 0; d->match && i < d->match->params_n; i++) {
        struct slice name = d->match->names[i];
        if (pointer[0] == '/' && strncmp(pointer + 1, (const char *)name.p, name.n) == 0 &&
            (pointer[1 + name.n] == '\0' || pointer[1 + name.n] == '/')) {
            return "path";
        }
    }
    return d->has_body ? "body" : d->match ? "query" : "params";
}

/* What is missing stands nowhere; to what is not allowed the pointer leads. */
static bool is_missing(const char *keyword)
{
    return strcmp(keyword, "required") == 0 || strcmp(keyword, "dependentRequired") == 0 ||
           strcmp(keyword, "dependencies") == 0;
}

static void put_error(void *ctx, const struct schema_error *error)
{
    struct detail *d = ctx;
    json_begin(&d->out, '{');
    json_key(&d->out, "loc");
    json_begin(&d->out, '[');
    json_str(&d->out, place_of(d, error->instance));
    put_pointer(&d->out, error->instance);
    if (error->property && is_missing(error->keyword)) {
        json_str(&d->out, error->property);
    }
    json_end(&d->out, ']');
    json_key(&d->out, "msg");
    json_str(&d->out, error->message);
    json_key(&d->out, "type");
    json_str(&d->out, strcmp(error->keyword, "required") == 0 ? "missing" : error->keyword);
    json_end(&d->out, '}');
    if (d->call->message->n == 0) {
        const char *name = error->property ? error->property : error->instance;
        buf_printf(d->call->message, "%s%s%.300s", *name == '/' ? name + 1 : name,
                   *name ? ": " : "", error->message);
    }
}

static enum hub_rc judge(const struct entry *entry, struct call *call,
                         const struct api_match *match, bool has_body)
{
    if (!entry->schema || schema_verdict(entry->schema, call->params) == SCHEMA_OK) {
        return HUB_OK;
    }
    struct detail d = {
        .call = call, .match = match, .has_body = has_body, .out = json_out_to(call->detail)};
    buf_clear(call->message);
    json_begin(&d.out, '[');
    enum schema_rc rc = schema_check(entry->schema, call->params, 16, put_error, &d);
    json_end(&d.out, ']');
    if (rc == SCHEMA_BUDGET) {
        buf_clear(call->detail);
        return call_fail(call, HUB_TOO_LARGE, "too much to check: send a smaller request");
    }
    return HUB_INVALID;
}

static enum hub_rc permit(const struct entry *entry, struct call *call)
{
    const struct operation *op = entry->operation;
    if ((op->flags & OPERATION_OPEN) ||
        principal_may_call(call->who, slice_str(op->name), entry->group, op->needs)) {
        return HUB_OK;
    }
    if (call->who->kind == PRINCIPAL_ANONYMOUS) {
        return call_fail(call, HUB_UNAUTHORISED, "%s needs a credential", op->name);
    }
    return call_fail(call, HUB_FORBIDDEN, "%s needs the role %s and a capability that allows it",
                     op->name, role_name(op->needs));
}

/* ---- running ---- */

/* A key holds for one caller and one operation; the request it stands for is the parameters. */
static void key_command(const struct call *call, struct command *command, struct slice key)
{
    uint8_t app[4];
    be32_put(app, call->who->app);
    struct slice parts[] = {slice_of(app, 4), slice_of(call->who->subject_hash, TEXT_HASH_BYTES),
                            slice_str(call->operation->name), key};
    digest_blake2b(command->key_hash, sizeof command->key_hash, slice_of(NULL, 0), parts, 4);
    char *text = json_dumps(call->params, JSON_COMPACT | JSON_SORT_KEYS);
    struct slice request = slice_str(text ? text : "");
    digest_blake2b(command->request_hash, sizeof command->request_hash, slice_of(NULL, 0), &request,
                   1);
    free(text);
    command->flags |= COMMAND_KEYED;
}

/* The body is written in a buffer of its own first: a refusal must leave nothing on the tray. */
static enum api_result run_command(const struct entry *entry, struct call *call, uint8_t route,
                                   struct slice id, struct slice key, struct return_address from,
                                   const struct api *api, enum hub_rc *out_rc)
{
    struct buf *body = io_body(call->io);
    *out_rc = entry->operation->prepare(call, body);
    if (*out_rc != HUB_OK) {
        *out_rc = *out_rc == HUB_ANSWERED ? HUB_OK : *out_rc;
        return API_ANSWERED;
    }
    struct api_ticket ticket = {.operation = (uint16_t)(entry - api->entries), .route = route};
    struct command *command =
        io_command(call->io, entry->operation->kind, call->who->app, from, api_ticket_pack(ticket));
    if (!command) {
        return API_BUSY;
    }
    struct buf *arena = io_arena(call->io);
    command->id_at = (uint32_t)arena->n;
    command->id_n = (uint32_t)id.n;
    buf_add_slice(arena, id);
    command->body_at = (uint32_t)arena->n;
    command->body_n = (uint32_t)body->n;
    buf_add(arena, body->p, body->n);
    io_seed(call->io, command->seed);
    if (key.n && (entry->operation->flags & OPERATION_CREATES)) {
        key_command(call, command, key);
    }
    return API_PENDING;
}

static enum api_result run(const struct api *api, const struct entry *entry, struct call *call,
                           uint8_t route, struct slice id, struct slice key,
                           struct return_address from, enum hub_rc *out_rc)
{
    if (entry->operation->query && !(entry->operation->kind && key.n)) {
        *out_rc = entry->operation->query(call);
        return API_ANSWERED;
    }
    return run_command(entry, call, route, id, key, from, api, out_rc);
}

enum api_result api_request(const struct api *api, struct call *call,
                            const struct api_request *request, struct return_address from,
                            enum hub_rc *out_rc)
{
    const struct api_match *match = request->match;
    const struct entry *entry = &api->entries[match->index];
    call->operation = entry->operation;
    *out_rc = permit(entry, call);
    if (*out_rc != HUB_OK) {
        return API_ANSWERED;
    }
    call->params = json_object();
    call->route = match->route;
    call->has_body = match->route->method != METHOD_GET && match->route->method != METHOD_DELETE &&
                     (request->body.n > 0 || (entry->operation->flags & OPERATION_BODY));
    *out_rc = merge_query(entry, call, request);
    if (*out_rc == HUB_OK) {
        *out_rc = merge_body(call, request);
    }
    enum api_result result = API_ANSWERED;
    if (*out_rc == HUB_OK) {
        merge_path(call, match); /* the path goes before what else has that name */
        *out_rc = judge(entry, call, match, call->has_body);
    }
    if (*out_rc == HUB_OK) {
        uint8_t route = (uint8_t)(match->route - entry->operation->routes);
        result =
            run(api, entry, call, route, slice_of(NULL, 0), request->idempotency_key, from, out_rc);
    }
    json_decref(call->params);
    call->params = NULL;
    return result;
}

/* What a key stands for is a hash of the tree. */
static bool reads_fields(const struct operation *op, struct slice params, struct slice key,
                         struct slice values[FIELDS_MAX])
{
    bool keyed = key.n && (op->flags & OPERATION_CREATES);
    return op->fields && !keyed && fields_read(op->fields, params, values);
}

enum api_result api_call(const struct api *api, struct call *call, struct slice method,
                         struct slice params, struct slice id, struct slice key,
                         struct return_address from, enum hub_rc *out_rc)
{
    size_t i;
    enum api_result result = API_ANSWERED;
    call->operation = api_by_name(api, method, &i);
    if (!call->operation || (call->operation->flags & OPERATION_RAW)) {
        *out_rc = call_fail(call, HUB_NOT_FOUND, "there is no method %.*s",
                            (int)(method.n < 100 ? method.n : 100), (const char *)method.p);
        return API_ANSWERED;
    }
    const struct entry *entry = &api->entries[i];
    *out_rc = permit(entry, call);
    if (*out_rc != HUB_OK) {
        return API_ANSWERED;
    }
    if (call->operation->raw && call->operation->raw(call, params, out_rc)) {
        return API_ANSWERED;
    }
    struct slice values[FIELDS_MAX];
    if (reads_fields(call->operation, params, key, values)) {
        call->values = values;
        result = run(api, entry, call, API_ROUTE_CALL, id, key, from, out_rc);
        call->values = NULL;
        return result;
    }
    if (params.n) {
        *out_rc = load(call, params, &call->params);
    } else {
        call->params = json_object();
    }
    if (*out_rc == HUB_OK && !json_is_object(call->params)) {
        *out_rc = call_fail_field(call, NULL, "type", "params must be an object");
    }
    if (*out_rc == HUB_OK) {
        *out_rc = judge(entry, call, NULL, false);
    }
    if (*out_rc == HUB_OK) {
        result = run(api, entry, call, API_ROUTE_CALL, id, key, from, out_rc);
    }
    json_decref(call->params);
    call->params = NULL;
    return result;
}

enum hub_rc api_answer(const struct api *api, struct call *call, const struct tray *tray,
                       const struct command *command)
{
    struct api_ticket ticket = api_ticket_unpack(command->ticket);
    const struct operation *op = api->entries[ticket.operation].operation;
    call->operation = op;
    if (command->rc != HUB_OK && command->reply_n) {
        /* A refusal may carry its sentence as the reply. */
        struct slice why = tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n);
        buf_clear(call->message);
        buf_add_slice(call->message, why);
    }
    if (command->rc != HUB_OK) {
        return (enum hub_rc)command->rc;
    }
    return op->answer(call, command,
                      tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n));
}

/* ---- errors ---- */

void api_error_body(struct buf *out, enum answer_style style, enum hub_rc rc,
                    const struct call *call, struct slice path)
{
    const struct hub_error *error = hub_error(rc);
    struct json_out o = json_out_to(out);
    bool said = call->message->n > 0;
    json_begin(&o, '{');
    json_key(&o, "type");
    struct buf type = {0};
    buf_printf(&type, "urn:waggle:error:%s", error->code);
    json_text(&o, buf_slice(&type));
    buf_done(&type);
    json_key(&o, "title");
    json_str(&o, error->title);
    json_key(&o, "status");
    if (style == STYLE_COORDINATOR) {
        json_str(&o, "error");
    } else {
        json_u64(&o, error->status);
    }
    json_key(&o, "code");
    json_str(&o, error->code);
    json_key(&o, "detail");
    if (call->detail->n) {
        json_raw(&o, buf_slice(call->detail));
    } else if (said) {
        json_text(&o, buf_slice(call->message));
    } else {
        json_str(&o, error->title);
    }
    json_key(&o, "message");
    if (said) {
        json_text(&o, buf_slice(call->message));
    } else {
        json_str(&o, error->title);
    }
    json_key(&o, "advice");
    if (call->words) {
        words_advise(&o, call->words);
    } else {
        json_str(&o, error->advice);
    }
    if (path.n) {
        json_key(&o, "instance");
        json_text(&o, path);
    }
    json_key(&o, "timestamp");
    json_time(&o, call->now_ms);
    json_end(&o, '}');
}
