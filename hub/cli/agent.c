#include "hub/cli/nouns.h"

#include <stdlib.h>

#include "channels/json_out.h"
#include "hub/cli/agent_run.h"
#include "hub/cli/http.h"
#include "hub/cli/pages.h"
#include "hub/cli/watch.h"

// clang-format off
static const struct column columns[] = {
    { "AGENT",        "agent_id",            COLUMN_TEXT,   false },
    { "TYPE",         "agent_type",          COLUMN_TEXT,   false },
    { "STATUS",       "status",              COLUMN_STATUS, false },
    { "HEALTH",       "health_score",        COLUMN_NUMBER, false },
    { "CPU",          "load_metrics.cpu",    COLUMN_NUMBER, false },
    { "MEMORY",       "load_metrics.memory", COLUMN_NUMBER, true },
    { "BEAT",         "last_heartbeat",      COLUMN_AGE,    false },
    { "REGISTERED",   "registration_time",   COLUMN_AGE,    true },
    { "REGION",       "region",              COLUMN_TEXT,   true },
    { "CAPABILITIES", "capabilities",        COLUMN_TEXT,   false },
    { "SERVICES",     "services",            COLUMN_TEXT,   true },
    { "TAGS",         "tags",                COLUMN_TEXT,   true },
    { 0 },
};
// clang-format on

/* --- lists -------------------------------------------------------------------------------------
 */

static void add_text(struct json_out *o, const struct args *a, const char *key, const char *option)
{
    if (args_has(a, option)) {
        json_key(o, key);
        json_str(o, args_text(a, option));
    }
}

static void add_texts(struct json_out *o, const struct args *a, const char *key, const char *option)
{
    if (!args_has(a, option)) {
        return;
    }
    json_key(o, key);
    json_begin(o, '[');
    for (size_t i = 0; i < args_count(a, option); i++) {
        json_str(o, args_nth(a, option, i));
    }
    json_end(o, ']');
}

/* What to look for, as POST /agents/discover wants it. */
static void add_query(struct buf *body, const struct args *a)
{
    struct json_out o = json_out_to(body);
    json_begin(&o, '{');
    add_text(&o, a, "agent_type", "type");
    add_text(&o, a, "status", "status");
    add_text(&o, a, "region", "region");
    add_texts(&o, a, "capabilities", "capability");
    add_texts(&o, a, "services", "service");
    add_texts(&o, a, "tags", "tag");
    if (args_has(a, "min-health")) {
        json_key(&o, "min_health_score");
        json_double(&o, strtod(args_text(a, "min-health"), NULL));
    }
    if (args_has(a, "limit")) {
        json_key(&o, "limit");
        json_u64(&o, args_number(a, "limit", 0));
    }
    add_text(&o, a, "cursor", "cursor");
    json_end(&o, '}');
}

static enum cli_exit ask_discover(struct cli *cli, struct reply *reply)
{
    struct buf body = {0};
    add_query(&body, &cli->args);
    enum cli_exit rc = http_ask(cli, "POST", "/api/v1/agents/discover", buf_slice(&body), reply);
    buf_done(&body);
    return rc;
}

static enum cli_exit discover_once(void *ctx)
{
    struct cli *cli = ctx;
    struct reply reply;
    enum cli_exit rc = ask_discover(cli, &reply);
    if (rc == CLI_OK) {
        pages_print(cli, buf_slice(&reply.body), "agents", columns);
    }
    reply_done(&reply);
    return rc;
}

static enum cli_exit discover_run(struct cli *cli)
{
    return args_has(&cli->args, "watch") ? watch_run(cli, "agents", discover_once, cli)
                                         : discover_once(cli);
}

static enum cli_exit ask_list(struct cli *cli, struct reply *reply)
{
    const struct args *a = &cli->args;
    static const char *const filters[] = {"status", "type",   "capability", "service",
                                          "tag",    "region", "min-health"};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        if (args_has(a, filters[i])) {
            return ask_discover(cli, reply);
        }
    }
    struct buf path = {0};
    buf_add_str(&path, "/api/v1/agents");
    url_add_query(&path, "limit", args_text(a, "limit"));
    url_add_query(&path, "cursor", args_text(a, "cursor"));
    enum cli_exit rc = http_ask(cli, "GET", buf_text(&path), (struct slice){0}, reply);
    buf_done(&path);
    return rc;
}

static enum cli_exit list_once(void *ctx)
{
    struct cli *cli = ctx;
    struct reply reply;
    enum cli_exit rc = ask_list(cli, &reply);
    if (rc == CLI_OK) {
        pages_print(cli, buf_slice(&reply.body), "agents", columns);
    }
    reply_done(&reply);
    return rc;
}

static enum cli_exit ls_run(struct cli *cli)
{
    return args_has(&cli->args, "watch") ? watch_run(cli, "agents", list_once, cli)
                                         : list_once(cli);
}

// clang-format off
static const char *const types[] = {
    "worker", "provider", "consumer", "general", "coordinator", "specialist", "monitor", "gateway",
    "orchestrator", "inference", "training", "processing", NULL };
static const char *const statuses[] = {
    "active", "inactive", "busy", "stale", "maintenance", "error", "draining", NULL };

static const struct operand one_agent[] = { { "ID", OPTION_REQUIRED, "the agent" }, { 0 } };

static const struct option run_options[] = {
    { 0, "id", OPTION_TEXT, OPTION_REQUIRED, "ID", "its name, the same at every start", NULL },
    { 0, "type", OPTION_CHOICE, 0, "TYPE", "what kind of agent (worker)", types },
    { 0, "capability", OPTION_TEXT, OPTION_MANY, "C", "what it can do", NULL },
    { 0, "service", OPTION_TEXT, OPTION_MANY, "S", "what it offers", NULL },
    { 0, "tag", OPTION_TEXT, OPTION_MANY, "T", "a mark to find it by", NULL },
    { 0, "region", OPTION_TEXT, 0, "R", "where it is", NULL },
    { 0, "slots", OPTION_NUMBER, 0, "N", "how much it does at a time (1)", NULL },
    { 0, "endpoint", OPTION_PAIR, OPTION_MANY, "NAME=URL", "where else it can be reached", NULL },
    { 0, "metadata", OPTION_PAIR, OPTION_MANY, "KEY=VALUE", "what else is to be known of it", NULL },
    { 0, "interval", OPTION_SECONDS, 0, "TIME", "between beats, instead of what the hub says", NULL },
    { 0, "exec", OPTION_TEXT, 0, "COMMAND", "run by sh for each task: its data on stdin, the result on stdout", NULL },
    { 0, "on-event", OPTION_TEXT, 0, "COMMAND", "run by sh for every other event on its channel (a message, a change of its status), which is on stdin", NULL },
    { 0, "vote", OPTION_TEXT, 0, "HOW", "in rounds of voting where it has a seat: first, random, or a command that gets the round on stdin and prints the option", NULL },
    { 0, "signing-key", OPTION_FILE, 0, "FILE", "sign its ballots with the Ed25519 key in this file, which is made if it is not there", NULL },
    { 0, "grace", OPTION_SECONDS, 0, "TIME", "for work in hand when told to stop (10s)", NULL },
    { 0, "leave", OPTION_FLAG, 0, NULL, "when told to stop, deregister and leave its swarms for good", NULL },
    { 0 },
};

static const struct option ls_options[] = {
    { 0, "status", OPTION_CHOICE, 0, "STATUS", "only those in this state", statuses },
    { 0, "type", OPTION_CHOICE, 0, "TYPE", "only those of this kind", types },
    { 0, "capability", OPTION_TEXT, OPTION_MANY, "C", "only those that can do this", NULL },
    { 0, "region", OPTION_TEXT, 0, "R", "only those there", NULL },
    { 0, "service", OPTION_TEXT, OPTION_MANY, "S", "only those that offer this", NULL },
    { 0, "tag", OPTION_TEXT, OPTION_MANY, "T", "only those with this mark", NULL },
    { 0, "min-health", OPTION_FRACTION, 0, "0..1", "only those at least so well", NULL },
    { 'w', "watch", OPTION_FLAG, 0, NULL, "again whenever something changes", NULL },
    PAGE_OPTIONS,
    { 0 },
};

static const struct option discover_options[] = {
    { 0, "status", OPTION_CHOICE, 0, "STATUS", "in this state", statuses },
    { 0, "type", OPTION_CHOICE, 0, "TYPE", "of this kind", types },
    { 0, "capability", OPTION_TEXT, OPTION_MANY, "C", "that can do this (all of them)", NULL },
    { 0, "service", OPTION_TEXT, OPTION_MANY, "S", "that offer this (all of them)", NULL },
    { 0, "tag", OPTION_TEXT, OPTION_MANY, "T", "with this mark", NULL },
    { 0, "region", OPTION_TEXT, 0, "R", "there", NULL },
    { 0, "min-health", OPTION_FRACTION, 0, "0..1", "at least so well", NULL },
    REQUEST_OPTION_WATCH,
    PAGE_OPTIONS,
    { 0 },
};

const struct command agent_commands[] = {
    { "agent run", "be an agent: register, beat, do what comes",
      "Holds one WebSocket for as long as it runs, registers again after every lost connection, beats with the load of this machine, "
      "and says on stderr what happens to it. With --vote it casts a ballot in each round of voting where it has a seat: an option a line, "
      "best first, or a score is what a command prints; nothing is an abstention, a code other than 0 no ballot. SIGTERM and Ctrl-C let work in hand end; then it is inactive, and when it is started again it is the same member of its swarms as before. With --leave it is deregistered.",
      NULL, run_options, agent_run_run, "waggle agent run --id bee-1 --capability resize --slots 4 --exec 'jq -c .items'" },
    { "agent ls", "the agents", NULL, NULL, ls_options, ls_run, "waggle agent ls --status active --watch" },
    { "agent discover", "the agents that fit, best health first", NULL, NULL, discover_options, discover_run,
      "waggle agent discover --capability resize --min-health 0.5 -o id" },
    { 0 },
};

static const struct option show_options[] = { REQUEST_OPTION_WATCH, { 0 } };
static const struct option change_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_SEND, { 0 } };
static const struct option destroy_options[] = { REQUEST_OPTION_REASON, REQUEST_OPTIONS_DESTROY, { 0 } };
static const struct option status_options[] = {
    { 0, "cpu", OPTION_FRACTION, 0, "0..1", "its load", NULL },
    { 0, "memory", OPTION_FRACTION, 0, "0..1", "its memory", NULL },
    REQUEST_OPTION_REASON,
    REQUEST_OPTIONS_SEND,
    { 0 },
};
static const struct option create_options[] = {
    { 0, "id", OPTION_TEXT, 0, "ID", "its name; the hub makes one when it is left out", NULL },
    { 0, "type", OPTION_CHOICE, 0, "TYPE", "what kind of agent (general)", types },
    { 0, "capability", OPTION_TEXT, OPTION_MANY, "C", "what it can do", NULL },
    { 0, "slots", OPTION_NUMBER, 0, "N", "how much it does at a time (1)", NULL },
    { 0, "ttl", OPTION_SECONDS, 0, "TIME", "how long its token is valid (as long as the hub allows)", NULL },
    REQUEST_OPTIONS_CREATE,
    { 0 },
};
static const struct field create_fields[] = {
    { "id", "agent_id", FIELD_TEXT }, { "type", "agent_type", FIELD_TEXT }, { "capability", "capabilities", FIELD_LIST },
    { "slots", "slots", FIELD_NUMBER }, { "ttl", "ttl_s", FIELD_SECONDS }, { 0 } };
static const struct operand agent_and_status[] = {
    { "ID", OPTION_REQUIRED, "the agent" }, { "STATUS", OPTION_REQUIRED, "active, busy, maintenance, error, draining or inactive" }, { 0 } };
static const struct field drain_fields[] = { { "\"draining\"", "status", FIELD_FIXED }, { "reason", "reason", FIELD_TEXT }, { 0 } };
static const struct field resume_fields[] = { { "\"active\"", "status", FIELD_FIXED }, { "reason", "reason", FIELD_TEXT }, { 0 } };
static const struct field status_fields[] = {
    { "STATUS", "status", FIELD_TEXT },
    { "reason", "reason", FIELD_TEXT },
    { "cpu", "load_metrics.cpu", FIELD_NUMBER },
    { "memory", "load_metrics.memory", FIELD_NUMBER },
    { 0 },
};

const struct verb agent_verbs[] = {
    { { "agent create", "make an agent before it comes, with its token", "For admins. The token is shown this once.", NULL, create_options, request_run,
        "waggle agent create --id bee-1 --capability resize -o json" },
      { .method = "POST", .path = "/v1/agents", .fields = create_fields, .id = "agent_id" } },
    { { "agent show", "one agent", NULL, one_agent, show_options, request_run, "waggle agent show bee-1 --watch" },
      { .method = "GET", .path = "/api/v1/agents/{ID}", .member = "agent", .id = "agent_id", .channels = "agents" } },
    { { "agent watch", "one agent, again whenever something changes", NULL, one_agent, NULL, request_watch, NULL },
      { .method = "GET", .path = "/api/v1/agents/{ID}", .member = "agent", .id = "agent_id", .channels = "agents" } },
    { { "agent drain", "give an agent no new work; what it has it ends, and then it is inactive", NULL, one_agent, change_options, request_run, NULL },
      { .method = "PUT", .path = "/api/v1/agents/{ID}/status", .fields = drain_fields, .id = "agent_id" } },
    { { "agent resume", "give an agent work again", NULL, one_agent, change_options, request_run, NULL },
      { .method = "PUT", .path = "/api/v1/agents/{ID}/status", .fields = resume_fields, .id = "agent_id" } },
    { { "agent status", "set an agent's status and load", NULL, agent_and_status, status_options, request_run, "waggle agent status bee-1 maintenance" },
      { .method = "PUT", .path = "/api/v1/agents/{ID}/status", .fields = status_fields, .id = "agent_id" } },
    { { "agent rm", "deregister an agent", NULL, one_agent, destroy_options, request_run, "waggle agent rm bee-1 --yes" },
      { .method = "DELETE", .path = "/api/v1/agents/{ID}", .fields = reason_fields, .id = "agent_id", .how = REQUEST_DESTROYS | REQUEST_QUIET } },
    { { "agent stats", "the registry in figures", NULL, NULL, show_options, request_run, NULL },
      { .method = "GET", .path = "/api/v1/registry/stats", .member = "stats", .channels = "agents" } },
    { { 0 }, { 0 } },
};
// clang-format on
