/* `waggle trace`: what happened to one thing, from the events that its channel keeps, with the time
 * between them. A task, a round, a network and a swarm have channels of their own; a message is
 * looked for among all messages, what a swarm works at among what the swarm tells. */
#include "hub/cli/nouns.h"

#include "channels/json_out.h"
#include "channels/json_scan.h"
#include "channels/name.h"

enum { PAGES_MAX = 100 };

// clang-format off
static const struct { const char *prefix, *key; } places[] = { /* key: of the data, in a channel that others share */
    { "task.", NULL }, { "consensus.", NULL }, { "swarm.", NULL }, { "network.", NULL }, { "agent.", NULL },
    { "messages", "message_id" },
};

static const struct column columns[] = {
    { "TIME",    "time",    COLUMN_TEXT,   false },
    { "SECONDS", "seconds", COLUMN_NUMBER, false },
    { "EVENT",   "event",   COLUMN_TEXT,   false },
    { "DATA",    "data",    COLUMN_TEXT,   false },
    { 0 },
};
// clang-format on

struct tracing {
    struct buf text;
    struct json_out out;
    size_t n;
    int64_t last_ms;
};

static void put_event(struct tracing *t, struct slice event)
{
    struct buf time = {0};
    int64_t at = 0;
    json_add_human(&time, json_at(event, "time"));
    bool known = time_read(buf_slice(&time), &at);
    json_begin(&t->out, '{');
    json_key(&t->out, "time");
    json_text(&t->out, buf_slice(&time));
    json_key(&t->out, "seconds");
    json_double(&t->out, t->n && known ? (double)(at - t->last_ms) / 1000 : 0);
    json_key(&t->out, "event");
    json_raw(&t->out, json_at(event, "event"));
    json_key(&t->out, "data");
    json_raw(&t->out, json_at(event, "data"));
    json_end(&t->out, '}');
    t->last_ms = known ? at : t->last_ms;
    t->n++;
    buf_done(&time);
}

static bool is_about(struct slice event, const char *key, const char *id)
{
    struct buf value = {0};
    json_add_human(&value, json_at(json_at(event, "data"), key));
    bool same = slice_is(buf_slice(&value), id);
    buf_done(&value);
    return same;
}

/* A page of the channel's log behind *since; false when there is no more. */
static bool take_page(struct tracing *t, struct slice answer, const char *key, const char *id,
                      uint64_t *since)
{
    struct slice name, event;
    bool any = false;
    for (struct json_walk w = json_walk_of(json_at(answer, "events"));
         json_walk_next(&w, &name, &event);) {
        any = json_to_u64(json_at(event, "offset"), since);
        if (!key || is_about(event, key, id)) {
            put_event(t, event);
        }
    }
    return any;
}

/* Whether the channel is there; what it says of the id goes into t. */
static enum cli_exit read_channel(struct cli *cli, struct tracing *t, const char *prefix,
                                  const char *key, const char *id)
{
    uint64_t since = 0;
    enum cli_exit rc = CLI_OK;
    bool more = true;
    struct buf channel = {0};
    if (key) {
        buf_add_str(&channel, prefix);
    } else {
        channel_of_id(&channel, prefix, slice_str(id));
    }
    for (int page = 0; rc == CLI_OK && more && page < PAGES_MAX; page++) {
        struct buf path = {0};
        struct reply reply;
        buf_add_str(&path, "/api/v1/channels/");
        url_add(&path, buf_text(&channel));
        buf_printf(&path, "/history?limit=1000&since=%llu", (unsigned long long)since);
        rc = http_send(cli, "GET", buf_text(&path), (struct slice){0}, &reply);
        size_t at;
        bool good = rc == CLI_OK && reply.status == 200 &&
                    json_check(buf_slice(&reply.body), JSON_DEPTH_MAX, &at) == JSON_OK;
        if (rc == CLI_OK && (reply.status == 401 || reply.status == 403)) {
            rc = http_complain(cli, &reply);
        }
        more = good && take_page(t, buf_slice(&reply.body), key, id, &since);
        reply_done(&reply);
        buf_done(&path);
    }
    buf_done(&channel);
    return rc;
}

/* What `swarm coordinate` began has its events on the channel of its swarm, which the hub names. */
static enum cli_exit read_swarm_work(struct cli *cli, struct tracing *t, const char *id)
{
    struct buf path = {0}, swarm = {0}, channel = {0};
    struct reply reply;
    size_t at;
    buf_add_str(&path, "/api/v1/swarm/tasks/");
    url_add(&path, id);
    buf_add_str(&path, "/status");
    enum cli_exit rc = http_send(cli, "GET", buf_text(&path), (struct slice){0}, &reply);
    if (rc == CLI_OK && reply.status == 200 &&
        json_check(buf_slice(&reply.body), JSON_DEPTH_MAX, &at) == JSON_OK &&
        json_to_text(json_at(buf_slice(&reply.body), "swarm_id"), &swarm)) {
        channel_of_id(&channel, "swarm.", buf_slice(&swarm));
        rc = read_channel(cli, t, buf_text(&channel), "task_id", id);
    }
    reply_done(&reply);
    buf_done(&path);
    buf_done(&swarm);
    buf_done(&channel);
    return rc;
}

static enum cli_exit trace_run(struct cli *cli)
{
    const char *id = args_operand(&cli->args, 0);
    struct tracing t = {0};
    enum cli_exit rc = CLI_OK;
    t.out = json_out_to(&t.text);
    json_begin(&t.out, '[');
    for (size_t i = 0; rc == CLI_OK && t.n == 0 && i < sizeof places / sizeof places[0]; i++) {
        rc = read_channel(cli, &t, places[i].prefix, places[i].key, id);
    }
    if (rc == CLI_OK && t.n == 0) {
        rc = read_swarm_work(cli, &t, id);
    }
    json_end(&t.out, ']');
    if (rc == CLI_OK && t.n == 0) {
        rc = cli_fail(CLI_NOT_FOUND, "no event about %s is kept", id);
    } else if (rc == CLI_OK) {
        output_list(&cli->out, buf_slice(&t.text), "", columns);
    }
    buf_done(&t.text);
    return rc;
}

// clang-format off
static const struct operand one_thing[] = { { "ID", OPTION_REQUIRED, "a task, a message, a round, a swarm, its work, a network or an agent" }, { 0 } };

const struct command trace_commands[] = {
    { "trace", "what happened to a task, a message or a round, and when", NULL, one_thing, NULL, trace_run, "waggle trace task_0123456789abcdef" },
    { 0 },
};
// clang-format on
