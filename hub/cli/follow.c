/* Two questions decide the end: is the thing's status final (asked of the hub after every event),
 * and how far does its channel reach (asked once it is)? The change of state and its event are one
 * transaction, so a position asked for after a final status covers the last event. */
#include "hub/cli/follow.h"

#include <stdlib.h>

#include "channels/json_out.h"
#include "channels/name.h"
#include "hub/cli/http.h"
#include "hub/cli/our_frame.h"
#include "hub/cli/socket.h"
#include "hub/cli/text.h"

enum {
    SUBSCRIBE_ID = 1,
    THING_ID = 2,
    CHANNEL_ID = 3,
    ASK_AGAIN_MS = 1000, /* where no event comes: what a thing does may be told elsewhere */
    AWAY_TOLD_MS = 5000,
};

struct following {
    struct cli *cli;
    const struct follow *follow;
    const char *id, *owner;
    struct socket *socket;
    struct buf channel, epoch, thing; /* thing: its newest state */
    uint64_t seen, end;               /* offsets: printed so far; what must be */
    bool final, ended, asking, told_away;
    int64_t ask_ms, give_up_ms, lost_ms;
    enum cli_exit verdict;
};

// clang-format off
static const struct { const char *status; enum cli_exit exit; } final_statuses[] = {
    { "completed", CLI_OK }, { "decided", CLI_OK }, { "acked", CLI_OK },
    { "partial", CLI_FAILED }, { "failed", CLI_FAILED }, { "cancelled", CLI_FAILED }, { "dead", CLI_FAILED },
    { "expired", CLI_FAILED }, { "tied", CLI_FAILED }, { "no_quorum", CLI_FAILED }, { "no_decision", CLI_FAILED },
    { "timed_out", CLI_FAILED },
};
// clang-format on

bool follow_is_final(struct slice status, enum cli_exit *out)
{
    for (size_t i = 0; i < sizeof final_statuses / sizeof final_statuses[0]; i++) {
        if (slice_is(status, final_statuses[i].status)) {
            *out = final_statuses[i].exit;
            return true;
        }
    }
    return false;
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void call(struct following *f, unsigned id, const char *method, const char *param,
                 const char *value)
{
    const char *owner = id == THING_ID ? f->owner : NULL;
    struct buf text = {0};
    struct json_out o = our_call_begin(&text, id, method);
    json_key(&o, param);
    json_str(&o, value);
    if (owner) {
        json_key(&o, f->follow->owner);
        json_str(&o, owner);
    }
    our_call_end(&o);
    socket_send(f->socket, buf_slice(&text));
    buf_done(&text);
}

static void ask(struct following *f)
{
    f->asking = true;
    f->ask_ms = INT64_MAX;
    call(f, THING_ID, f->follow->method, f->follow->param, f->id);
}

static void on_open(void *ctx)
{
    struct following *f = ctx;
    struct buf text = {0};
    struct json_out o = our_frame_begin(&text, "subscribe", SUBSCRIBE_ID);
    json_key(&o, "channels");
    json_begin(&o, '[');
    json_begin(&o, '{');
    json_key(&o, "channel");
    json_text(&o, buf_slice(&f->channel));
    json_key(&o, "since");
    json_begin(&o, '{');
    if (f->epoch.n) {
        json_key(&o, "epoch");
        json_text(&o, buf_slice(&f->epoch));
    }
    json_key(&o, "offset");
    json_u64(&o, f->seen);
    json_end(&o, '}');
    json_end(&o, '}');
    json_end(&o, ']');
    json_end(&o, '}');
    socket_send(f->socket, buf_slice(&text));
    buf_done(&text);
    f->lost_ms = 0;
    f->told_away = false;
    ask(f);
}

/* --- hearing -----------------------------------------------------------------------------------
 */

static void print_event(const struct following *f, const struct hub_frame *frame)
{
    struct buf line = {0}, time = {0};
    const struct output *out = &f->cli->out;
    if (out->query || (out->format != OUT_TABLE && out->format != OUT_WIDE &&
                       out->format != OUT_JSON && out->format != OUT_NDJSON)) {
        return; /* the thing alone, at the end */
    }
    if (out->format == OUT_JSON || out->format == OUT_NDJSON) {
        output_json_line(out, frame->text);
        return;
    }
    json_add_human(&time, frame->field[HUB_TIME]);
    struct slice shown = buf_slice(&time);
    if (out->terminal && shown.n >= 23) {
        shown = slice_of(shown.p + 11, 12); /* "17:34:21.123" */
    }
    buf_add_slice(&line, shown);
    buf_add_str(&line, out->colour ? " \033[1m" : " ");
    json_add_human(&line, frame->field[HUB_EVENT_NAME]);
    buf_add_str(&line, out->colour ? "\033[0m " : " ");
    text_add_clean(&line, frame->field[HUB_DATA]);
    buf_add_str(&line, "\n");
    fwrite(line.p, 1, line.n, out->to);
    buf_done(&time);
    buf_done(&line);
}

static bool names_thing(const struct following *f, const struct hub_frame *frame)
{
    struct buf id = {0};
    bool named = json_to_text(json_at(frame->field[HUB_DATA], f->follow->id), &id) &&
                 slice_is(buf_slice(&id), f->id);
    buf_done(&id);
    return named;
}

static void on_event(struct following *f, const struct hub_frame *frame)
{
    uint64_t offset = hub_frame_number(frame, HUB_OFFSET);
    if (offset && offset <= f->seen) {
        return; /* before the connection was lost */
    }
    f->seen = offset ? offset : f->seen;
    if (f->owner && !names_thing(f, frame)) {
        return; /* about something else of the same owner */
    }
    print_event(f, frame);
    if (!f->final && !f->asking) {
        ask(f);
    }
}

static void on_thing(struct following *f, struct slice result)
{
    struct buf status = {0};
    const char *member = f->follow->member;
    f->asking = false;
    f->ask_ms = clock_steady_ms() + ASK_AGAIN_MS;
    json_add_human(&status, json_at(member ? json_at(result, member) : result, "status"));
    if (follow_is_final(buf_slice(&status), &f->verdict)) {
        f->final = true;
        buf_clear(&f->thing);
        buf_add_slice(&f->thing, result);
        call(f, CHANNEL_ID, "channels.get", "channel", buf_text(&f->channel));
    }
    buf_done(&status);
}

static void on_subscribed(struct following *f, const struct hub_frame *frame)
{
    struct slice key, item;
    struct json_walk w = json_walk_of(frame->field[HUB_CHANNELS]);
    if (json_walk_next(&w, &key, &item)) {
        buf_clear(&f->epoch);
        (void)json_to_text(json_at(item, "epoch"), &f->epoch); /* a live channel has none */
    }
}

static void on_error(struct following *f, const struct hub_frame *frame)
{
    if (hub_frame_number(frame, HUB_ID) == CHANNEL_ID) {
        f->ended = true; /* it says where the events end; without it, what came is what there is */
        f->end = f->seen;
        return;
    }
    f->final = f->ended = true;
    f->verdict = socket_complain(f->cli, frame);
}

static void on_frame(void *ctx, const struct hub_frame *frame)
{
    struct following *f = ctx;
    uint64_t id = hub_frame_number(frame, HUB_ID);
    if (frame->type == HUB_EVENT) {
        on_event(f, frame);
    } else if (frame->type == HUB_SUBSCRIBED) {
        on_subscribed(f, frame);
    } else if (frame->type == HUB_GAP) {
        uint64_t to = hub_frame_number(frame, HUB_TO);
        f->seen = to > f->seen ? to : f->seen;
    } else if (frame->type == HUB_ERROR) {
        on_error(f, frame);
    } else if (frame->type == HUB_RESULT && id == THING_ID) {
        on_thing(f, frame->field[HUB_RESULT_VALUE]);
    } else if (frame->type == HUB_RESULT && id == CHANNEL_ID) {
        f->ended = true;
        (void)json_to_u64(json_at(frame->field[HUB_RESULT_VALUE], "offset"), &f->end);
    }
}

static void on_lost(void *ctx, const char *why, int64_t retry_ms)
{
    struct following *f = ctx;
    (void)retry_ms;
    f->asking = f->final = f->ended = false;
    f->lost_ms = f->lost_ms ? f->lost_ms : clock_steady_ms();
    if (!f->told_away && clock_steady_ms() - f->lost_ms > AWAY_TOLD_MS) {
        f->told_away = true;
        cli_note(f->cli, "waggle: %s is away (%s); waiting for it", f->cli->target.url, why);
    }
}

/* --- to the end --------------------------------------------------------------------------------
 */

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static enum cli_exit stay(struct following *f)
{
    enum cli_exit rc = CLI_OK;
    f->ask_ms = INT64_MAX;
    while (rc == CLI_OK && !(f->final && f->ended && f->seen >= f->end)) {
        int64_t now = clock_steady_ms();
        if (now >= f->give_up_ms) {
            return cli_fail(CLI_TIMEOUT, "%s has not ended yet", f->id);
        }
        if (now >= f->ask_ms && socket_is_open(f->socket) && !f->asking && !f->final) {
            ask(f);
        }
        rc = socket_wait(f->socket, sooner(f->ask_ms, f->give_up_ms), NULL, 0);
        cli_flush(f->cli);
    }
    return rc;
}

enum cli_exit follow_run(struct cli *cli, const struct follow *follow, const char *id,
                         const char *owner)
{
    struct following f = {.cli = cli, .follow = follow, .id = id, .owner = owner};
    struct socket_events events = {.ctx = &f, .open = on_open, .frame = on_frame, .lost = on_lost};
    int64_t within = args_ms(&cli->args, "within", 0);
    f.give_up_ms = within ? clock_steady_ms() + within : INT64_MAX;
    channel_of_id(&f.channel, follow->channel, slice_str(owner ? owner : id));
    f.socket = socket_new(cli, &events, false);
    enum cli_exit rc = stay(&f);
    if (rc == CLI_OK && f.thing.n) {
        output_object(&cli->out, buf_slice(&f.thing), follow->member, follow->show_id);
    }
    socket_close(f.socket, 1000);
    socket_free(f.socket);
    buf_done(&f.channel);
    buf_done(&f.epoch);
    buf_done(&f.thing);
    return rc != CLI_OK ? rc : f.verdict;
}
