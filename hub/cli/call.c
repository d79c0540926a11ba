/* Any operation of the hub by its name: `call` of the native protocol. */
#include "hub/cli/nouns.h"

#include "hub/cli/our_frame.h"
#include "hub/cli/socket.h"

struct calling {
    struct cli *cli;
    struct socket *socket;
    struct buf frame;
    bool done;
    enum cli_exit verdict;
};

static void on_open(void *ctx)
{
    struct calling *c = ctx;
    socket_send(c->socket, buf_slice(&c->frame));
}

static void on_frame(void *ctx, const struct hub_frame *frame)
{
    struct calling *c = ctx;
    if (frame->type == HUB_RESULT) {
        output_object(&c->cli->out, frame->field[HUB_RESULT_VALUE], NULL, "");
        c->done = true;
    } else if (frame->type == HUB_ERROR) {
        c->verdict = socket_complain(c->cli, frame);
        c->done = true;
    }
}

/* A connection lost before the answer leaves open whether it was done: no second try. */
static void on_lost(void *ctx, const char *why, int64_t retry_ms)
{
    struct calling *c = ctx;
    (void)retry_ms;
    c->verdict = cli_fail(CLI_UNREACHABLE, "no answer: %s", why);
    c->done = true;
}

static bool make_frame(struct cli *cli, struct buf *out)
{
    static const struct field fields[] = {{"PARAM=VALUE", "*", FIELD_MEMBERS}, {0}};
    const char *json = args_text(&cli->args, "json");
    struct request params = {.fields = fields};
    struct json_out o = our_frame_begin(out, "call", 1);
    struct buf body = {0};
    json_key(&o, "method");
    json_str(&o, args_operand(&cli->args, 0));
    json_key(&o, "params");
    bool ok =
        json ? request_json(&cli->args, "--json", json, &body) : request_body(cli, &params, &body);
    json_raw(&o, buf_slice(&body));
    json_end(&o, '}');
    buf_done(&body);
    return ok;
}

static enum cli_exit call_run(struct cli *cli)
{
    struct calling c = {.cli = cli};
    struct socket_events events = {.ctx = &c, .open = on_open, .frame = on_frame, .lost = on_lost};
    if (!make_frame(cli, &c.frame)) {
        buf_done(&c.frame);
        return cli_usage(cli);
    }
    if (args_has(&cli->args, "dry-run")) {
        output_json_line(&cli->out, buf_slice(&c.frame));
        buf_done(&c.frame);
        return CLI_OK;
    }
    c.socket = socket_new(cli, &events, false);
    int64_t until = clock_steady_ms() + cli->timeout_ms;
    enum cli_exit rc = CLI_OK;
    while (rc == CLI_OK && !c.done) {
        rc = clock_steady_ms() < until ? socket_wait(c.socket, until, NULL, 0)
                                       : cli_fail(CLI_TIMEOUT, "no answer in time");
    }
    socket_close(c.socket, 1000);
    socket_free(c.socket);
    buf_done(&c.frame);
    return rc != CLI_OK ? rc : c.verdict;
}

// clang-format off
static const struct operand operands[] = {
    { "METHOD", OPTION_REQUIRED, "an operation, such as agents.get; /openapi.json lists them" },
    { "PARAM=VALUE", OPTION_MANY, "its parameters, each JSON or else text" },
    { 0 } };
static const struct option options[] = {
    { 0, "json", OPTION_TEXT, 0, "JSON", "all parameters as one object instead; @FILE, or - for stdin", NULL },
    { 0, "dry-run", OPTION_FLAG, 0, NULL, "print the frame instead of sending it", NULL },
    { 0 },
};

const struct command call_commands[] = {
    { "call", "any operation of the hub by its name", NULL, operands, options, call_run, "waggle call agents.get agent_id=bee-1" },
    { 0 },
};
// clang-format on
