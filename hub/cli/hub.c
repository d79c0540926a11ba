/* Commands about the hub as a whole. */
#include "hub/cli/nouns.h"

#include "channels/json_out.h"
#include "channels/json_scan.h"
#include "hub/cli/http.h"

static void add_answer(struct json_out *o, const char *name, const struct reply *reply)
{
    size_t at;
    json_key(o, name);
    if (json_check(buf_slice(&reply->body), JSON_DEPTH_MAX, &at) == JSON_OK) {
        json_raw(o, buf_slice(&reply->body));
    } else {
        json_put_null(o);
    }
}

static enum cli_exit health_run(struct cli *cli)
{
    struct reply health, ready = {0};
    struct buf both = {0};
    enum cli_exit rc = http_send(cli, "GET", "/health", (struct slice){0}, &health);
    if (rc == CLI_OK) {
        rc = http_send(cli, "GET", "/ready", (struct slice){0}, &ready);
    }
    if (rc == CLI_OK) {
        struct json_out o = json_out_to(&both);
        json_begin(&o, '{');
        json_key(&o, "url");
        json_str(&o, cli->target.url);
        add_answer(&o, "health", &health);
        add_answer(&o, "ready", &ready);
        json_end(&o, '}');
        output_object(&cli->out, buf_slice(&both), NULL, "health.status");
        rc = exit_of_status(health.status != 200 ? health.status : ready.status);
    }
    buf_done(&both);
    reply_done(&health);
    reply_done(&ready);
    return rc;
}

// clang-format off
static const struct column namespace_columns[] = {
    { "NAMESPACE", "namespace",              COLUMN_TEXT,   false },
    { "SYSTEM",    "system",                 COLUMN_TEXT,   false },
    { "ACCESS",    "options.access",         COLUMN_TEXT,   false },
    { "DELIVERY",  "options.delivery",       COLUMN_TEXT,   false },
    { "EVENTS",    "options.history_events", COLUMN_NUMBER, false },
    { "AGE",       "options.history_age",    COLUMN_NUMBER, true },
    { "SLOW",      "options.slow",           COLUMN_TEXT,   true },
    { 0 },
};

static const struct operand one_namespace[] = { { "NAMESPACE", OPTION_REQUIRED, "its name" }, { 0 } };
static const struct operand set_operands[] = {
    { "NAMESPACE", OPTION_REQUIRED, "its name" },
    { "OPTION=VALUE", OPTION_REQUIRED | OPTION_MANY, "access, delivery, history_events, history_age, history_bytes, latest, conflate, slow, publish, presence_grace_ms, message_bytes, rate, ack_wait, max_in_flight or max_deliver" },
    { 0 } };
static const struct field set_fields[] = { { "OPTION=VALUE", "*", FIELD_MEMBERS }, { 0 } };
static const struct option page_options[] = { REQUEST_OPTION_WATCH, PAGE_OPTIONS, { 0 } };
static const struct option show_options[] = { REQUEST_OPTION_WATCH, { 0 } };
static const struct option send_options[] = { REQUEST_OPTIONS_SEND, { 0 } };
static const struct option destroy_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_DESTROY, { 0 } };

const struct command hub_commands[] = {
    { "health", "whether the hub is up and ready",
      "Asks /health and /ready. The exit code is 0 when both are well, 7 when the hub answers that it is not ready or nobody answers.",
      NULL, NULL, health_run, "waggle health --url https://hub.example" },
    { 0 },
};

static const struct column backup_columns[] = {
    { "BACKUP",  "name",       COLUMN_TEXT,   false },
    { "STATUS",  "status",     COLUMN_STATUS, false },
    { "CREATED", "created_at", COLUMN_AGE,    false },
    { "PATH",    "path",       COLUMN_TEXT,   false },
    { "ERROR",   "error",      COLUMN_TEXT,   false },
    { 0 },
};
static const struct operand backup_operands[] = { { "NAME", 0, "of its folder, in the hub's data; made from the time when left out" }, { 0 } };
static const struct option backup_options[] = {
    { 'f', "follow", OPTION_FLAG, 0, NULL, "say how far it is, and end when it is done", NULL }, FOLLOW_OPTION_WITHIN, REQUEST_OPTIONS_CREATE, { 0 } };
static const struct field backup_fields[] = { { "NAME", "name", FIELD_TEXT }, { 0 } };

const struct verb hub_verbs[] = {
    { { "backup create", "begin a backup of the whole hub", "The hub goes on meanwhile. `--follow` waits for it; without that `waggle backup ls` says when it is done. A backup is checked and put back where it lies: `waggle backup verify`, `waggle backup restore`.",
        backup_operands, backup_options, backup_create_run, "waggle backup create before-upgrade --follow" },
      { .method = "POST", .path = "/api/v1/admin/backups", .fields = backup_fields, .id = "name" } },
    { { "backup ls", "the backups made since the hub started", NULL, NULL, page_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/admin/backups", .fields = page_fields, .member = "backups", .columns = backup_columns, .how = REQUEST_PAGES, .channels = "" } },
    { { "namespace ls", "namespaces with options of their own", NULL, NULL, page_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/namespaces", .fields = page_fields, .member = "namespaces", .columns = namespace_columns, .how = REQUEST_PAGES, .channels = "" } },
    { { "namespace show", "the options in force for a namespace", NULL, one_namespace, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/namespaces/{NAMESPACE}", .id = "namespace" } },
    { { "namespace set", "set options of a namespace while the hub runs", NULL, set_operands, send_options, request_run,
        "waggle namespace set orders delivery=durable history_events=5000" },
      { .method = "PUT", .path = "/api/v1/namespaces/{NAMESPACE}", .fields = set_fields, .id = "namespace" } },
    { { "namespace reset", "back to the options of the configuration", NULL, one_namespace, destroy_options, request_run, NULL },
      { .method = "DELETE", .path = "/api/v1/namespaces/{NAMESPACE}", .fields = reason_fields, .id = "namespace", .how = REQUEST_DESTROYS } },
    { { 0 }, { 0 } },
};
// clang-format on
