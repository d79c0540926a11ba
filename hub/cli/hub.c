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
const struct command hub_commands[] = {
    { "health", "whether the hub is up and ready",
      "Asks /health and /ready. The exit code is 0 when both are well, 7 when the hub answers that it is not ready or nobody answers.",
      NULL, NULL, health_run, "waggle health --url https://hub.example" },
    { 0 },
};
// clang-format on
