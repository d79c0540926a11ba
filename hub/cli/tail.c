/* Following channels. What has been seen of a channel is its position (epoch and offset); every
 * subscription after the first asks for what follows it, so a lost connection costs neither a hole
 * nor a repetition. Position moves with the events that were printed, and with gaps; what
 * `subscribed` says counts only where nothing older was asked for. */
#define _GNU_SOURCE
#include "hub/cli/nouns.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "channels/json_out.h"
#include "channels/name.h"
#include "hub/cli/http.h"
#include "hub/cli/our_frame.h"
#include "hub/cli/socket.h"
#include "hub/cli/text.h"

struct position {
    char *channel;
    bool asked; /* named on the command line; the others came through a pattern */
    bool known;
    char *epoch;                  /* NULL: whatever the hub has */
    uint64_t offset;              /* to resume after */
    uint64_t seen, presence_seen; /* highest printed: `latest` may bring one that offset is past */
};

struct tail {
    struct cli *cli;
    struct socket *socket;
    struct position *list;
    size_t n;
    uint64_t rewind, left;   /* left: events until --count is reached */
    uint64_t sample, passed; /* one event of so many is printed; how many have passed the filter */
    int64_t idle_ms, due_ms; /* --until-idle; INT64_MAX: never */
    bool subscribed, told_lost, colour_err;
    enum cli_exit verdict;
};

static struct position *position_of(struct tail *t, struct slice name, bool asked)
{
    for (size_t i = 0; i < t->n; i++) {
        if (slice_is(name, t->list[i].channel)) {
            return &t->list[i];
        }
    }
    t->list = xrealloc(t->list, (t->n + 1) * sizeof *t->list);
    t->list[t->n] = (struct position){.channel = xstrndup(name.p, name.n), .asked = asked};
    return &t->list[t->n++];
}

static struct position *position_in(struct tail *t, struct slice channel)
{
    struct buf name = {0};
    (void)json_to_text(channel, &name); /* no text: the position of no name, which is harmless */
    struct position *p = position_of(t, buf_slice(&name), false);
    buf_done(&name);
    return p;
}

static void set_epoch(struct position *p, struct slice epoch)
{
    struct buf text = {0};
    if (json_to_text(epoch, &text)) {
        free(p->epoch);
        p->epoch = xstrndup(text.p, text.n);
    }
    buf_done(&text);
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void add_channel(struct json_out *o, const struct tail *t, const struct position *p)
{
    if (!p->known && t->rewind == 0) {
        json_str(o, p->channel);
        return;
    }
    json_begin(o, '{');
    json_key(o, "channel");
    json_str(o, p->channel);
    if (p->known) {
        json_key(o, "since");
        json_begin(o, '{');
        if (p->epoch) {
            json_key(o, "epoch");
            json_str(o, p->epoch);
        }
        json_key(o, "offset");
        json_u64(o, p->offset);
        json_end(o, '}');
    } else {
        json_key(o, "rewind");
        json_u64(o, t->rewind);
    }
    json_end(o, '}');
}

static void on_open(void *ctx)
{
    struct tail *t = ctx;
    struct buf text = {0};
    struct json_out o = our_frame_begin(&text, "subscribe", 1);
    json_key(&o, "channels");
    json_begin(&o, '[');
    for (size_t i = 0; i < t->n; i++) {
        if (t->list[i].asked) {
            add_channel(&o, t, &t->list[i]);
        }
    }
    json_end(&o, ']');
    json_end(&o, '}');
    socket_send(t->socket, buf_slice(&text));
    buf_done(&text);
}

/* --- hearing -----------------------------------------------------------------------------------
 */

static void stay_awake(struct tail *t)
{
    t->due_ms = t->idle_ms ? clock_steady_ms() + t->idle_ms : INT64_MAX;
}

static void take_position(struct tail *t, struct slice item)
{
    struct position *p = position_in(t, json_at(item, "channel"));
    struct buf epoch = {0};
    uint64_t offset;
    if (!json_to_u64(json_at(item, "offset"), &offset)) {
        return; /* a live channel, or a pattern: nothing to resume from */
    }
    (void)json_to_text(json_at(item, "epoch"), &epoch);
    bool other = p->epoch && !slice_is(buf_slice(&epoch), p->epoch);
    if (p->known && other) {
        cli_note(t->cli, "%s: the log is another one now (epoch %s); positions begin again",
                 p->channel, buf_text(&epoch));
        p->offset = p->seen = p->presence_seen = 0;
    } else if (p->known && p->offset > offset) {
        cli_note(t->cli, "%s: the log ends at %llu, before %llu: all that it has follows",
                 p->channel, (unsigned long long)offset, (unsigned long long)p->offset);
        p->offset = p->seen = p->presence_seen = 0;
    } else if (!p->known) {
        /* The hub stands at `offset`; what was asked for begins so many before. */
        p->offset = offset > t->rewind ? offset - t->rewind : 0;
        p->known = true;
    }
    set_epoch(p, json_at(item, "epoch"));
    buf_done(&epoch);
}

static void on_subscribed(struct tail *t, const struct hub_frame *frame)
{
    struct slice key, item;
    struct slice list = frame->field[HUB_CHANNELS];
    if (json_kind_of(list) == JSON_KIND_ARRAY) {
        for (struct json_walk w = json_walk_of(list); json_walk_next(&w, &key, &item);) {
            take_position(t, item);
        }
    }
    t->subscribed = true;
    if (t->told_lost) {
        t->told_lost = false;
        cli_note(t->cli, "waggle: connected again");
    }
    stay_awake(t);
}

/* "17:34:21.123" on a terminal, else all of it. */
static void add_time(const struct tail *t, struct buf *line, struct slice time)
{
    struct buf text = {0};
    json_add_human(&text, time);
    struct slice shown = buf_slice(&text);
    if (t->cli->out.terminal && shown.n >= 23) {
        shown = slice_of(shown.p + 11, 12);
    }
    buf_add_slice(line, shown);
    buf_done(&text);
}

static void add_place(struct buf *line, const struct hub_frame *frame)
{
    json_add_human(line, frame->field[HUB_CHANNEL]);
    if (frame->field[HUB_OFFSET].n) {
        buf_add_str(line, "#");
        json_add_human(line, frame->field[HUB_OFFSET]);
    }
}

static void print_human(const struct tail *t, const struct hub_frame *frame)
{
    struct buf line = {0};
    bool colour = t->cli->out.colour;
    buf_add_str(&line, colour ? "\033[2m" : "");
    add_time(t, &line, frame->field[HUB_TIME]);
    buf_add_str(&line, colour ? "\033[0m \033[36m" : " ");
    add_place(&line, frame);
    buf_add_str(&line, colour ? "\033[0m \033[1m" : " ");
    json_add_human(&line, frame->field[HUB_EVENT_NAME]);
    buf_add_str(&line, colour ? "\033[0m " : " ");
    text_add_clean(&line, frame->field[HUB_DATA]);
    buf_add_str(&line, "\n");
    fwrite(line.p, 1, line.n, t->cli->out.to);
    buf_done(&line);
}

static void print_event(const struct tail *t, const struct hub_frame *frame)
{
    struct buf text = {0};
    if (output_query(&t->cli->out, frame->text, frame->text)) {
        return;
    }
    switch (t->cli->out.format) {
    case OUT_TABLE:
    case OUT_WIDE:
        print_human(t, frame);
        break;
    case OUT_JSON:
    case OUT_NDJSON:
        output_json_line(&t->cli->out, frame->text);
        break;
    case OUT_YAML:
        buf_add_str(&text, "---\n");
        yaml_add(&text, frame->text);
        break;
    case OUT_ID:
        add_place(&text, frame);
        buf_add_str(&text, "\n");
        break;
    case OUT_FORMATS:
        break;
    }
    if (text.n) {
        fwrite(text.p, 1, text.n, t->cli->out.to);
    }
    buf_done(&text);
}

/* A filter is text that the frame has somewhere, or PATH=TEXT: the value there, as people read it.
 */
static bool is_wanted(struct slice frame, const char *filter)
{
    const char *equals = strchr(filter, '=');
    struct buf value = {0};
    bool wanted;
    if (!equals) {
        wanted = memmem(frame.p, frame.n, filter, strlen(filter)) != NULL;
    } else {
        char *path = xstrndup(filter, (size_t)(equals - filter));
        json_add_human(&value, json_at(frame, path));
        wanted = slice_is(buf_slice(&value), equals + 1);
        free(path);
    }
    buf_done(&value);
    return wanted;
}

static bool passes(struct tail *t, struct slice frame)
{
    const struct args *a = &t->cli->args;
    for (size_t i = 0; i < args_count(a, "filter"); i++) {
        if (!is_wanted(frame, args_nth(a, "filter", i))) {
            return false;
        }
    }
    return t->passed++ % t->sample == 0;
}

static void on_event(struct tail *t, const struct hub_frame *frame)
{
    uint64_t offset = hub_frame_number(frame, HUB_OFFSET);
    if (offset) {
        struct position *p = position_in(t, frame->field[HUB_CHANNEL]);
        if (offset <= p->seen) {
            return; /* before the connection was lost */
        }
        p->known = true;
        p->seen = offset;
        p->offset = offset > p->offset ? offset : p->offset;
    }
    stay_awake(t);
    if (t->left && passes(t, frame->text)) {
        t->left--;
        print_event(t, frame);
    }
}

/* Things besides events go to stderr, so that a pipe gets events alone. */
static void remark(const struct tail *t, const struct hub_frame *frame, const char *kind,
                   enum hub_key from)
{
    struct buf line = {0};
    if (t->cli->quiet) {
        return;
    }
    cli_flush(t->cli);
    if (t->cli->out.format == OUT_JSON || t->cli->out.format == OUT_NDJSON) {
        struct output to_stderr = {.to = stderr, .format = OUT_NDJSON};
        output_json_line(&to_stderr, frame->text);
        return;
    }
    buf_add_str(&line, kind);
    buf_add_str(&line, " ");
    json_add_human(&line, frame->field[HUB_CHANNEL]);
    buf_add_str(&line, " ");
    if (from == HUB_FROM) {
        json_add_human(&line, frame->field[HUB_FROM]);
        buf_add_str(&line, "..");
        json_add_human(&line, frame->field[HUB_TO]);
        buf_add_str(&line, " ");
        json_add_human(&line, frame->field[HUB_REASON]);
    } else {
        json_add_human(&line, json_at(frame->field[HUB_MEMBER], "id"));
        buf_add_str(&line, " ");
        json_add_human(&line, json_at(frame->field[HUB_MEMBER], "info"));
    }
    fprintf(stderr, t->colour_err ? "\033[33m%s\033[0m\n" : "%s\n", buf_text(&line));
    buf_done(&line);
}

static void on_gap(struct tail *t, const struct hub_frame *frame)
{
    uint64_t to = hub_frame_number(frame, HUB_TO);
    struct position *p = position_in(t, frame->field[HUB_CHANNEL]);
    if (p->known && to > p->offset) {
        p->offset = to;
    }
    remark(t, frame, "gap", HUB_FROM);
}

static void on_presence(struct tail *t, const struct hub_frame *frame)
{
    static const char *const words[HUB_TYPES] = {
        [HUB_JOINED] = "joined", [HUB_LEFT] = "left", [HUB_UPDATED] = "updated"};
    uint64_t offset = hub_frame_number(frame, HUB_OFFSET);
    struct position *p = position_in(t, frame->field[HUB_CHANNEL]);
    if (offset && offset <= p->presence_seen) {
        return;
    }
    p->presence_seen = offset;
    remark(t, frame, words[frame->type], HUB_MEMBER);
}

static void on_frame(void *ctx, const struct hub_frame *frame)
{
    struct tail *t = ctx;
    switch (frame->type) {
    case HUB_SUBSCRIBED:
        on_subscribed(t, frame);
        return;
    case HUB_EVENT:
        on_event(t, frame);
        return;
    case HUB_GAP:
        on_gap(t, frame);
        return;
    case HUB_JOINED:
    case HUB_LEFT:
    case HUB_UPDATED:
        on_presence(t, frame);
        return;
    case HUB_ERROR:
        t->verdict = socket_complain(t->cli, frame);
        return;
    case HUB_UNKNOWN:
    case HUB_WELCOME:
    case HUB_PUBLISHED:
    case HUB_RESULT:
    case HUB_GOODBYE:
    case HUB_TOKEN_EXPIRING:
    case HUB_TYPES:
        return;
    }
}

static void on_lost(void *ctx, const char *why, int64_t retry_ms)
{
    struct tail *t = ctx;
    t->due_ms = INT64_MAX; /* silence counts only while there is a connection */
    cli_flush(t->cli);
    if (socket_loss_is_news(t->socket)) {
        t->told_lost = true;
        cli_note(t->cli, "waggle: %s; again in %.1f s", why, (double)retry_ms / 1000);
    }
}

/* --- the command -------------------------------------------------------------------------------
 */

/* "41", or "EPOCH:41". */
static bool read_since(struct position *p, const char *since)
{
    const char *colon = strrchr(since, ':');
    if (colon) {
        p->epoch = xstrndup(since, (size_t)(colon - since));
    }
    p->known = true;
    return colon != since && option_number(colon ? colon + 1 : since, &p->offset);
}

static bool read_arguments(struct tail *t)
{
    struct args *a = &t->cli->args;
    const char *since = args_text(a, "since");
    if (since && args_has(a, "rewind")) {
        return args_refuse(a, "--since and --rewind exclude each other");
    }
    if (a->operand_count == 0) { /* of those that need not be told */
        bool all = strcmp(t->cli->command->name, "monitor") == 0;
        (void)position_of(t, slice_str(all ? ">" : "messages"), true);
    }
    for (size_t i = 0; i < a->operand_count; i++) {
        struct slice name = slice_str(args_operand(a, i));
        if (!channel_name_valid(name) && !channel_pattern_valid(name)) {
            return args_refuse(a, "\"%s\" is no name of a channel", args_operand(a, i));
        }
        struct position *p = position_of(t, name, true);
        if (since && !p->known && !read_since(p, since)) {
            return args_refuse(a, "--since wants OFFSET or EPOCH:OFFSET, not \"%s\"", since);
        }
    }
    t->rewind = args_number(a, "rewind", 0);
    t->left = args_number(a, "count", UINT64_MAX);
    t->idle_ms = args_ms(a, "until-idle", 0);
    t->sample = args_number(a, "sample", 1);
    return t->sample ? true : args_refuse(a, "--sample wants one of N, not of 0");
}

static enum cli_exit follow(struct tail *t)
{
    enum cli_exit rc = CLI_OK;
    t->due_ms = INT64_MAX; /* --until-idle counts from the subscription */
    while (rc == CLI_OK && t->verdict == CLI_OK && t->left) {
        int64_t now = clock_steady_ms();
        if (now >= t->due_ms) {
            break;
        }
        rc = socket_wait(t->socket, t->due_ms, NULL, 0);
        cli_flush(t->cli);
    }
    return rc != CLI_OK ? rc : t->verdict;
}

static enum cli_exit tail_run(struct cli *cli)
{
    struct tail t = {.cli = cli, .colour_err = output_for(stderr, OUT_TABLE, 0).colour};
    if (!read_arguments(&t)) {
        return cli_usage(cli);
    }
    struct socket_events events = {.ctx = &t, .open = on_open, .frame = on_frame, .lost = on_lost};
    t.socket = socket_new(cli, &events, false);
    enum cli_exit rc = follow(&t);
    socket_close(t.socket, 1000);
    socket_free(t.socket);
    for (size_t i = 0; i < t.n; i++) {
        free(t.list[i].channel);
        free(t.list[i].epoch);
    }
    free(t.list);
    return rc;
}

// clang-format off
static const struct operand operands[] = {
    { "CHANNEL", OPTION_REQUIRED | OPTION_MANY, "a channel, or a pattern such as 'agent.*' or 'orders.>'" }, { 0 } };

static const struct option options[] = {
    { 0, "since", OPTION_TEXT, 0, "OFFSET", "first what follows this offset (0: all there is); or EPOCH:OFFSET", NULL },
    { 0, "rewind", OPTION_NUMBER, 0, "N", "first the last N events", NULL },
    { 'n', "count", OPTION_NUMBER, 0, "N", "end after N events", NULL },
    { 0, "until-idle", OPTION_SECONDS, 0, "TIME", "end when nothing has come for so long", NULL },
    { 0, "filter", OPTION_TEXT, OPTION_MANY, "TEXT", "only events that have this text, or PATH=TEXT there (event=agent.stale, data.priority=high)", NULL },
    { 0, "sample", OPTION_NUMBER, 0, "N", "only one event of N", NULL },
    { 'f', "follow", OPTION_FLAG, 0, NULL, "go on with what comes, which it does anyway", NULL },
    { 0 },
};

static const struct operand monitor_operands[] = {
    { "CHANNEL", OPTION_MANY, "channels or patterns instead of all" }, { 0 } };

#define TAIL_ABOUT                                                                                            \
    "Prints events as they come, one a line: time, channel#offset, event, data; with -o json the hub's own "  \
    "frames. Gaps, presence and lost connections are told on stderr. A lost connection is made again, and "   \
    "goes on behind the last event printed: nothing is lost or repeated on a durable channel. A pattern has " \
    "no position: what happens while its connection is down is not shown."

const struct command tail_commands[] = {
    { "tail", "print the events of channels as they come", TAIL_ABOUT, operands, options, tail_run,
      "waggle tail orders --since 0 -o json | jq .data" },
    { "monitor", "print what happens in the hub, on every channel",
      "The same as tail with the pattern '>': for who may subscribe to all.", monitor_operands, options, tail_run,
      "waggle monitor --filter data.status=stale --sample 10" },
    { "msg tail", "print what happens to messages", NULL, NULL, options, tail_run,
      "waggle msg tail --filter data.receiver_id=bee-2" },
    { "channel sub", "the same as tail", TAIL_ABOUT, operands, options, tail_run, NULL },
    { 0 },
};
// clang-format on
