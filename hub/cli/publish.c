/* Publishing. One event is one POST. Many are a stream over one WebSocket: up to WINDOW of them are
 * on their way at a time, each kept until its acknowledgement. All carry idempotency keys, so what
 * a lost connection left in doubt is simply sent again and stands in the log once. */
#define _GNU_SOURCE
#include "hub/cli/nouns.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "auth/digest.h"
#include "channels/json_out.h"
#include "channels/name.h"
#include "hub/cli/http.h"
#include "hub/cli/our_frame.h"
#include "hub/cli/socket.h"

enum { WINDOW = 1024, QUEUED_BYTES_MAX = 1 << 20, LINE_BYTES_MAX = 16 << 20, READ_BYTES = 65536 };

/* --- one event as JSON -------------------------------------------------------------------------
 */

static void add_headers(struct json_out *o, const struct args *a)
{
    if (!args_has(a, "header")) {
        return;
    }
    json_key(o, "headers");
    json_begin(o, '{');
    for (size_t i = 0; i < args_count(a, "header"); i++) {
        const char *pair = args_nth(a, "header", i), *equals = strchr(pair, '=');
        json_key_slice(o, slice_of(pair, (size_t)(equals - pair)));
        json_str(o, equals + 1);
    }
    json_end(o, '}');
}

/* What an event is on both ways: event, data, key, ttl, expect, headers. key may be NULL. */
static void add_event(struct json_out *o, const struct args *a, struct slice data, const char *key)
{
    const char *event = args_text(a, "event");
    json_key(o, "event");
    json_str(o, event ? event : "message");
    json_key(o, "data");
    if (data.n == 0 && !args_has(a, "text")) {
        json_put_null(o);
    } else if (args_has(a, "text")) {
        json_text(o, data);
    } else {
        json_raw(o, data);
    }
    if (key) {
        json_key(o, "key");
        json_str(o, key);
    }
    if (args_has(a, "ttl")) {
        json_key(o, "ttl");
        json_u64(o, (uint64_t)(args_ms(a, "ttl", 0) + 999) / 1000);
    }
    if (args_has(a, "expect")) {
        json_key(o, "expect");
        json_u64(o, args_number(a, "expect", 0));
    }
    add_headers(o, a);
}

/* CLI_OK when data may be sent; else the sentence is on stderr. where: "", or "line 7: ". */
static enum cli_exit check_data(const struct args *a, struct slice data, const char *where)
{
    size_t at;
    if (args_has(a, "text")) {
        return CLI_OK;
    }
    enum json_rc rc = json_check(data, JSON_DEPTH_MAX, &at);
    return rc == JSON_OK
               ? CLI_OK
               : cli_fail(CLI_USAGE, "%sthe data is %s at byte %zu (--text sends it as a string)",
                          where, json_rc_text(rc), at);
}

/* --- one ---------------------------------------------------------------------------------------
 */

static void print_ack(const struct cli *cli, struct slice answer)
{
    struct buf line = {0};
    if (cli->out.format != OUT_TABLE && cli->out.format != OUT_WIDE) {
        output_object(&cli->out, answer, NULL, "offset");
        return;
    }
    json_add_human(&line, json_at(answer, "channel"));
    struct slice offset = json_at(answer, "offset");
    if (offset.n && json_kind_of(offset) != JSON_KIND_NULL) {
        buf_add_str(&line, "#");
        json_add_human(&line, offset);
    }
    fprintf(cli->out.to, "%s\n", buf_text(&line));
    buf_done(&line);
}

static enum cli_exit publish_one(struct cli *cli, const char *channel, const char *data)
{
    struct buf path = {0}, body = {0};
    struct reply reply = {0};
    struct json_out o = json_out_to(&body);
    enum cli_exit rc = data ? check_data(&cli->args, slice_str(data), "") : CLI_OK;
    if (rc == CLI_OK) {
        json_begin(&o, '{');
        add_event(&o, &cli->args, data ? slice_str(data) : (struct slice){0},
                  args_text(&cli->args, "key"));
        json_end(&o, '}');
        buf_add_str(&path, "/api/v1/channels/");
        url_add(&path, channel);
        buf_add_str(&path, "/events");
    }
    if (rc == CLI_OK && args_has(&cli->args, "dry-run")) {
        rc = cli_target(cli) ? CLI_OK : CLI_USAGE;
        if (rc == CLI_OK) {
            request_print(cli, "POST", buf_text(&path), buf_slice(&body));
        }
    } else if (rc == CLI_OK) {
        rc = http_ask(cli, "POST", buf_text(&path), buf_slice(&body), &reply);
    }
    if (rc == CLI_OK && reply.body.n) {
        print_ack(cli, buf_slice(&reply.body));
    }
    reply_done(&reply);
    buf_done(&path);
    buf_done(&body);
    return rc;
}

/* --- many --------------------------------------------------------------------------------------
 */

struct stream {
    struct cli *cli;
    struct socket *socket;
    const char *channel, *data; /* data: what --count repeats; NULL: lines of stdin */
    char key[128];              /* each event's is this, a dash and its number */
    struct buf in;              /* of stdin: what is no whole line yet, and lines to come */
    size_t in_at;
    bool in_ended;
    uint64_t lines;             /* read so far, blank ones too */
    uint64_t first, next, last; /* numbers: first without answer, next to be made, last of all */
    struct buf waiting[WINDOW]; /* frames by number, until answered; empty: answered */
    uint64_t line_of[WINDOW];
    int64_t moved_ms; /* when something was last answered */
    enum cli_exit verdict;
};

static void make_frame(struct stream *s, struct slice data, struct buf *out)
{
    char key[160];
    struct json_out o = our_frame_begin(out, "publish", s->next);
    snprintf(key, sizeof key, "%s-%llu", s->key, (unsigned long long)s->next);
    json_key(&o, "channel");
    json_str(&o, s->channel);
    add_event(&o, &s->cli->args, data, key);
    json_end(&o, '}');
}

static void push(struct stream *s, struct slice data)
{
    struct buf *frame = &s->waiting[s->next % WINDOW];
    s->moved_ms = s->first == s->next ? clock_steady_ms() : s->moved_ms;
    s->line_of[s->next % WINDOW] = s->lines;
    make_frame(s, data, frame);
    s->next++;
    socket_send(s->socket, buf_slice(frame));
}

static void on_open(void *ctx)
{
    struct stream *s = ctx;
    s->moved_ms = clock_steady_ms();
    for (uint64_t n = s->first; n < s->next; n++) {
        if (s->waiting[n % WINDOW].n) {
            socket_send(s->socket, buf_slice(&s->waiting[n % WINDOW]));
        }
    }
}

static void settle(struct stream *s, uint64_t number)
{
    buf_done(&s->waiting[number % WINDOW]);
    while (s->first < s->next && s->waiting[s->first % WINDOW].n == 0) {
        s->first++;
    }
    s->moved_ms = clock_steady_ms();
}

/* The first refusal ends the reading; what is on its way is waited for. */
static void refuse(struct stream *s, enum cli_exit rc)
{
    s->verdict = s->verdict == CLI_OK ? rc : s->verdict;
    s->last = s->next;
}

static void on_frame(void *ctx, const struct hub_frame *frame)
{
    struct stream *s = ctx;
    uint64_t number = hub_frame_number(frame, HUB_ID);
    bool ours = number >= s->first && number < s->next && s->waiting[number % WINDOW].n;
    if (frame->type == HUB_PUBLISHED && ours) {
        print_ack(s->cli, frame->text);
        settle(s, number);
    } else if (frame->type == HUB_ERROR) {
        if (ours && !s->data) {
            fprintf(stderr, "line %llu: ", (unsigned long long)s->line_of[number % WINDOW]);
        }
        refuse(s, socket_complain(s->cli, frame));
        if (ours) {
            settle(s, number);
        }
    }
}

static bool has_room(const struct stream *s)
{
    return s->next - s->first < WINDOW && socket_queued(s->socket) < QUEUED_BYTES_MAX &&
           s->next < s->last && socket_is_open(s->socket);
}

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] != ' ' && line.p[i] != '\t') {
            return false;
        }
    }
    return true;
}

static void take_line(struct stream *s, struct slice line)
{
    char where[40];
    s->lines++;
    if (line.n && line.p[line.n - 1] == '\r') {
        line.n--;
    }
    if (is_blank(line) && !(args_has(&s->cli->args, "text") && line.n)) {
        return;
    }
    snprintf(where, sizeof where, "line %llu: ", (unsigned long long)s->lines);
    enum cli_exit rc = check_data(&s->cli->args, line, where);
    if (rc != CLI_OK) {
        refuse(s, rc);
        return;
    }
    push(s, line);
}

/* Sends whole lines of s->in while there is room. */
static void take_lines(struct stream *s)
{
    while (has_room(s) && s->in_at < s->in.n) {
        const uint8_t *start = s->in.p + s->in_at;
        const uint8_t *end = memchr(start, '\n', s->in.n - s->in_at);
        if (!end && !s->in_ended) {
            break;
        }
        size_t n = end ? (size_t)(end - start) : s->in.n - s->in_at;
        s->in_at += n + (end != NULL);
        take_line(s, slice_of(start, n));
    }
    if (s->in_at == s->in.n && s->in_ended) {
        s->last = s->last < s->next ? s->last : s->next;
    }
}

static bool wants_input(const struct stream *s)
{
    return !s->data && !s->in_ended && has_room(s);
}

static void read_input(struct stream *s)
{
    buf_drop_front(&s->in, s->in_at);
    s->in_at = 0;
    ssize_t n = read(STDIN_FILENO, buf_reserve(&s->in, READ_BYTES), READ_BYTES);
    if (n > 0) {
        s->in.n += (size_t)n;
    } else if (n == 0) {
        s->in_ended = true;
    } else if (errno != EAGAIN && errno != EINTR) {
        refuse(s, cli_fail(CLI_FAILED, "cannot read the input: %s", strerror(errno)));
    }
    if (s->in.n > LINE_BYTES_MAX && !memchr(s->in.p, '\n', s->in.n)) {
        refuse(s, cli_fail(CLI_USAGE, "line %llu is longer than %d MiB",
                           (unsigned long long)s->lines + 1, LINE_BYTES_MAX >> 20));
    }
}

static void repeat_data(struct stream *s)
{
    while (s->data && has_room(s)) {
        push(s, slice_str(s->data));
    }
}

static enum cli_exit pump(struct stream *s)
{
    enum cli_exit rc = CLI_OK;
    while (rc == CLI_OK && (s->first < s->next || s->next < s->last)) {
        struct pollfd in = {.fd = wants_input(s) ? STDIN_FILENO : -1, .events = POLLIN};
        bool waits = s->first < s->next;
        rc = socket_wait(s->socket, waits ? s->moved_ms + s->cli->timeout_ms : INT64_MAX, &in, 1);
        cli_flush(s->cli);
        if (in.revents) {
            read_input(s);
        }
        repeat_data(s);
        if (!s->data) {
            take_lines(s);
        }
        if (rc == CLI_OK && waits && s->first < s->next &&
            clock_steady_ms() >= s->moved_ms + s->cli->timeout_ms) {
            rc = cli_fail(CLI_TIMEOUT, "%llu events have no answer",
                          (unsigned long long)(s->next - s->first));
        }
    }
    return rc;
}

static enum cli_exit publish_many(struct cli *cli, const char *channel, const char *data,
                                  uint64_t count)
{
    uint8_t chance[8];
    const char *key = args_text(&cli->args, "key");
    if (data && check_data(&cli->args, slice_str(data), "") != CLI_OK) {
        return CLI_USAGE;
    }
    struct stream *s = xcalloc(1, sizeof *s);
    s->cli = cli;
    s->channel = channel;
    s->data = data;
    s->last = data ? count : UINT64_MAX;
    s->first = s->next = 0;
    auth_random(chance, sizeof chance);
    if (key) {
        snprintf(s->key, sizeof s->key, "%s", key);
    } else {
        hex_put(s->key, slice_of(chance, sizeof chance));
    }
    struct socket_events events = {.ctx = s, .open = on_open, .frame = on_frame};
    s->socket = socket_new(cli, &events, false);
    enum cli_exit rc = pump(s);
    rc = rc != CLI_OK ? rc : s->verdict;
    socket_close(s->socket, 1000);
    socket_free(s->socket);
    for (size_t i = 0; i < WINDOW; i++) {
        buf_done(&s->waiting[i]);
    }
    buf_done(&s->in);
    free(s);
    return rc;
}

/* --- the command -------------------------------------------------------------------------------
 */

static enum cli_exit publish_run(struct cli *cli)
{
    struct args *a = &cli->args;
    const char *channel = args_operand(a, 0), *data = args_operand(a, 1);
    bool lines = args_has(a, "ndjson") || (data && strcmp(data, "-") == 0);
    if (!channel_name_valid(slice_str(channel))) {
        args_refuse(a, "\"%s\" is no name of a channel", channel);
        return cli_usage(cli);
    }
    if (args_has(a, "ndjson") && data && strcmp(data, "-") != 0) {
        args_refuse(a, "--ndjson reads the data from stdin");
        return cli_usage(cli);
    }
    uint64_t count = args_number(a, "count", 1);
    if ((lines || count != 1) && args_has(a, "expect")) {
        args_refuse(a, "--expect is for one event");
        return cli_usage(cli);
    }
    if ((lines || count != 1) && args_has(a, "dry-run")) {
        args_refuse(a, "--dry-run is for one event");
        return cli_usage(cli);
    }
    if (lines && args_has(a, "count")) {
        args_refuse(a, "--count repeats DATA, not lines of stdin");
        return cli_usage(cli);
    }
    const char *key = args_text(a, "key");
    if (key && strlen(key) > 100) {
        args_refuse(a, "--key has at most 100 characters");
        return cli_usage(cli);
    }
    if (lines || count != 1) {
        return publish_many(cli, channel, lines ? NULL : data ? data : "null", count);
    }
    return publish_one(cli, channel, data);
}

// clang-format off
static const struct operand operands[] = {
    { "CHANNEL", OPTION_REQUIRED, "the channel" },
    { "DATA", 0, "JSON, or any text with --text; - for lines of stdin" },
    { 0 } };

static const struct option options[] = {
    { 'e', "event", OPTION_TEXT, 0, "NAME", "the event's name (message)", NULL },
    { 'k', "key", OPTION_TEXT, 0, "KEY", "idempotency key: published again, it is the same event", NULL },
    { 0, "ttl", OPTION_SECONDS, 0, "TIME", "not delivered after so long", NULL },
    { 0, "expect", OPTION_NUMBER, 0, "OFFSET", "only if the channel stands at this offset; else exit 4", NULL },
    { 'H', "header", OPTION_PAIR, OPTION_MANY, "KEY=VALUE", "a header", NULL },
    { 't', "text", OPTION_FLAG, 0, NULL, "DATA is text, not JSON", NULL },
    { 'n', "count", OPTION_NUMBER, 0, "N", "publish DATA so many times", NULL },
    { 0, "ndjson", OPTION_FLAG, 0, NULL, "every line of stdin is the data of an event (the same as DATA -)", NULL },
    REQUEST_OPTIONS_SEND,
    { 0 },
};

#define PUBLISH_ABOUT                                                                                           \
    "Answers with channel#offset once the event is on disk. Lines of stdin and --count go over one WebSocket, " \
    "many at a time; if the connection is lost, what was not answered is sent again and stands in the log "     \
    "once. With --key, event n of the stream has the key KEY-n (from 0), so the whole stream can be repeated. " \
    "The first line refused ends the reading."

const struct command publish_commands[] = {
    { "publish", "publish events to a channel", PUBLISH_ABOUT, operands, options, publish_run,
      "waggle publish orders '{\"id\":7}' --event created" },
    { "channel pub", "the same as publish", PUBLISH_ABOUT, operands, options, publish_run, NULL },
    { 0 },
};
// clang-format on
