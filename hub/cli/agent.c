#include "hub/cli/nouns.h"

#include <stdlib.h>

#include "channels/json_out.h"
#include "hub/cli/agent_run.h"
#include "hub/cli/http.h"
#include "hub/cli/pages.h"
#include "hub/cli/socket.h"

enum { REDRAW_LEAST_MS = 500, REDRAW_MS = 5000 };

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

static enum cli_exit discover_run(struct cli *cli)
{
    struct reply reply;
    enum cli_exit rc = ask_discover(cli, &reply);
    if (rc == CLI_OK) {
        pages_print(cli, buf_slice(&reply.body), "agents", columns);
    }
    reply_done(&reply);
    return rc;
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

static enum cli_exit list_once(struct cli *cli)
{
    struct reply reply;
    enum cli_exit rc = ask_list(cli, &reply);
    if (rc == CLI_OK) {
        pages_print(cli, buf_slice(&reply.body), "agents", columns);
    }
    reply_done(&reply);
    return rc;
}

/* --- watching ----------------------------------------------------------------------------------
 */

struct watch {
    struct cli *cli;
    struct socket *socket;
    int64_t drawn_ms, due_ms;
    enum cli_exit verdict;
};

static void on_open(void *ctx)
{
    struct watch *w = ctx;
    static const char text[] = "{\"type\":\"subscribe\",\"id\":1,\"channels\":[\"agents\"]}";
    socket_send(w->socket, slice_str(text));
    w->due_ms = 0;
}

/* Any event about agents: the list is old. Many at once are one redraw. */
static void on_frame(void *ctx, const struct hub_frame *frame)
{
    struct watch *w = ctx;
    int64_t soon = w->drawn_ms + REDRAW_LEAST_MS;
    if (frame->type == HUB_ERROR) {
        w->verdict = socket_complain(w->cli, frame);
    } else if (frame->type == HUB_EVENT && soon < w->due_ms) {
        w->due_ms = soon;
    }
}

static enum cli_exit redraw(struct watch *w)
{
    struct cli *cli = w->cli;
    if (cli->out.columns_max && cli->out.format <= OUT_WIDE) {
        fputs("\033[H\033[2J", cli->out.to); /* home, and clear what is below */
    }
    cli->out.now_ms = cli->out.now_ms ? clock_wall_ms() : 0;
    enum cli_exit rc = list_once(cli);
    cli_flush(cli);
    w->drawn_ms = clock_steady_ms();
    w->due_ms = w->drawn_ms + REDRAW_MS;
    /* A hub that is away for a moment does not end the watch. */
    return rc == CLI_UNREACHABLE || rc == CLI_TIMEOUT ? CLI_OK : rc;
}

static enum cli_exit watch(struct cli *cli)
{
    struct watch w = {.cli = cli, .due_ms = INT64_MAX};
    struct socket_events events = {.ctx = &w, .open = on_open, .frame = on_frame};
    enum cli_exit rc = CLI_OK;
    w.socket = socket_new(cli, &events, false);
    while (rc == CLI_OK && w.verdict == CLI_OK) {
        rc = socket_wait(w.socket, w.due_ms, NULL, 0);
        if (rc == CLI_OK && socket_is_open(w.socket) && clock_steady_ms() >= w.due_ms) {
            rc = redraw(&w);
        }
    }
    socket_free(w.socket);
    return rc != CLI_OK ? rc : w.verdict;
}

static enum cli_exit ls_run(struct cli *cli)
{
    return args_has(&cli->args, "watch") ? watch(cli) : list_once(cli);
}

/* --- one ---------------------------------------------------------------------------------------
 */

static enum cli_exit ask_one(struct cli *cli, const char *method, struct reply *reply)
{
    struct buf path = {0};
    buf_add_str(&path, "/api/v1/agents/");
    url_add(&path, args_operand(&cli->args, 0));
    enum cli_exit rc = http_ask(cli, method, buf_text(&path), (struct slice){0}, reply);
    buf_done(&path);
    return rc;
}

static enum cli_exit show_run(struct cli *cli)
{
    struct reply reply;
    enum cli_exit rc = ask_one(cli, "GET", &reply);
    if (rc == CLI_OK) {
        output_object(&cli->out, buf_slice(&reply.body), "agent", "agent_id");
    }
    reply_done(&reply);
    return rc;
}

static enum cli_exit rm_run(struct cli *cli)
{
    struct reply reply;
    enum cli_exit rc = ask_one(cli, "DELETE", &reply);
    if (rc == CLI_OK && cli->out.format != OUT_TABLE && cli->out.format != OUT_WIDE) {
        output_object(&cli->out, buf_slice(&reply.body), NULL, "agent_id");
    }
    reply_done(&reply);
    return rc;
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
    { 0, "exec", OPTION_TEXT, 0, "COMMAND", "run by sh: for each task, its data on stdin, the result on stdout; and for every other event on its channel", NULL },
    { 0, "grace", OPTION_SECONDS, 0, "TIME", "for work in hand when told to stop (10s)", NULL },
    { 0, "keep", OPTION_FLAG, 0, NULL, "stay registered when it ends", NULL },
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
    { 0, "limit", OPTION_NUMBER, 0, "N", "at most so many", NULL },
    { 0 },
};

const struct command agent_commands[] = {
    { "agent run", "be an agent: register, beat, do what comes",
      "Holds one WebSocket for as long as it runs, registers again after every lost connection, beats with the load of this machine, "
      "and says on stderr what happens to it. SIGTERM and Ctrl-C let work in hand end, then deregister.",
      NULL, run_options, agent_run_run, "waggle agent run --id bee-1 --capability resize --slots 4 --exec 'jq -c .data'" },
    { "agent ls", "the agents", NULL, NULL, ls_options, ls_run, "waggle agent ls --status active --watch" },
    { "agent show", "one agent", NULL, one_agent, NULL, show_run, NULL },
    { "agent rm", "deregister an agent", NULL, one_agent, NULL, rm_run, NULL },
    { "agent discover", "the agents that fit, best health first", NULL, NULL, discover_options, discover_run,
      "waggle agent discover --capability resize --min-health 0.5 -o id" },
    { 0 },
};
// clang-format on
