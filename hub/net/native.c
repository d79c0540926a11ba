/* The native protocol: frames in, a table of what each does; answers to commands; catching up. */
#include "hub/net/native.h"
#include "channels/frame.h"
#include "channels/replay.h"
#include "hub/api/channel_access.h"
#include "hub/net/http.h"
#include "hub/net/native_parts.h"
#include "hub/net/waits.h"

#include <stdlib.h>

enum { PAGE_BYTES = 65536, PAGE_EVENTS = 2000, EXPIRING_MS = 30000 };

/* ---- answers ---- */

/* An answer is written into the thread's scratch behind room for its WebSocket header. */
static const size_t HEAD_ROOM = 10;

struct json_out native_answer_begin(struct conn *c, const char *type, struct slice id)
{
    struct buf *b = &c->thread->text;
    buf_clear(b);
    (void)buf_reserve(b, HEAD_ROOM);
    b->n = HEAD_ROOM;
    struct json_out o = json_out_to(b);
    json_begin(&o, '{');
    json_key(&o, "type");
    json_str(&o, type);
    if (id.n) {
        json_key(&o, "id");
        json_raw(&o, id);
    }
    return o;
}

void native_answer_end(struct conn *c, struct json_out *o)
{
    uint8_t head[10];
    struct buf *b = &c->thread->text;
    json_end(o, '}');
    size_t n = event_ws_head_put(head, b->n - HEAD_ROOM);
    memcpy(b->p + HEAD_ROOM - n, head, n);
    conn_send(c, slice_of(b->p + HEAD_ROOM - n, b->n - HEAD_ROOM + n));
    io_count(&c->thread->io.counters.messages_out[WIRE_NATIVE][CLASS_CONTROL], 1);
}

void native_refuse(struct conn *c, struct slice id, enum hub_rc rc, const char *message,
                   struct slice channel)
{
    const struct hub_error *error = hub_error(rc);
    struct buf text = {0}; /* message may lie in the scratch that the answer is written to */
    buf_add_str(&text, message && *message ? message : error->title);
    struct json_out o = native_answer_begin(c, "error", id);
    json_key(&o, "code");
    json_str(&o, error->code);
    json_key(&o, "status");
    json_u64(&o, error->status);
    json_key(&o, "message");
    json_text(&o, buf_slice(&text));
    if (channel.n) {
        json_key(&o, "channel");
        json_text(&o, channel);
    }
    native_answer_end(c, &o);
    buf_done(&text);
}

static void welcome(struct conn *c)
{
    struct hub *hub = c->thread->hub;
    const struct hub_settings *s = c->thread->io.settings;
    char id[17];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)c->id);
    struct json_out o = native_answer_begin(c, "welcome", slice_of(NULL, 0));
    json_key(&o, "connection");
    json_str(&o, id);
    json_key(&o, "hub");
    json_str(&o, hub->id);
    json_key(&o, "version");
    json_str(&o, hub->version);
    json_key(&o, "time");
    json_time(&o, c->thread->io.now_ms);
    json_key(&o, "limits");
    json_begin(&o, '{');
    json_key(&o, "message_bytes");
    json_u64(&o, s->message_bytes_max);
    json_key(&o, "channels");
    json_u64(&o, s->subscriptions_max);
    json_key(&o, "patterns");
    json_u64(&o, s->patterns_max);
    json_key(&o, "pending");
    json_u64(&o, s->pending_max);
    json_end(&o, '}');
    json_key(&o, "heartbeat_s");
    json_double(&o, s->ping_ms / 1000.0);
    json_key(&o, "authenticated");
    json_bool(&o, c->who != NULL);
    native_answer_end(c, &o);
}

/* How long a credential is good for is read off the wall when it is shown, and counted from there:
 * a connection has what it was promised whatever is done to the clock. */
static void know(struct conn *c, struct principal *who)
{
    struct io *io = &c->thread->io;
    if (c->extras) {
        beat_memo_done(&c->extras->memo); /* somebody else may see other agents */
    }
    c->who = who;
    c->who_ends_ms = who && who->expires_ms ? io->now_ms + (who->expires_ms - io_wall_ms(io)) : 0;
}

/* The time at which the credential's end is as far off as it is for this connection. */
static int64_t credential_now_ms(const struct conn *c)
{
    return c->who_ends_ms ? c->who->expires_ms - (c->who_ends_ms - c->thread->io.now_ms)
                          : c->thread->io.now_ms;
}

void native_begin(struct conn *c, struct principal *who)
{
    struct net_thread *t = c->thread;
    http1_done(c->in.http);
    free(c->in.http);
    ws_init(&c->in.ws, WS_SERVER, t->io.settings->message_bytes_max);
    c->wire = CONN_NATIVE;
    io_gauge(&t->io.counters.connections[WIRE_REST], -1);
    io_gauge(&t->io.counters.connections[WIRE_NATIVE], 1);
    io_count(&t->io.counters.handshakes, 1);
    know(c, who);
    subscriber_init(&c->sub, who ? who->app : 0, c->id);
    welcome(c);
    conn_deadline(c, who ? DEADLINE_PING : DEADLINE_AUTH,
                  who ? t->io.settings->ping_ms : t->io.settings->auth_ms);
}

/* ---- auth, ping ---- */

static void do_ping(struct conn *c, const struct client_frame *f)
{
    struct json_out o = native_answer_begin(c, "pong", f->field[KEY_ID]);
    json_key(&o, "time");
    json_time(&o, c->thread->io.now_ms);
    native_answer_end(c, &o);
}

/* Guessing costs here as it does over REST. */
static void refuse_token(struct conn *c, struct slice id)
{
    struct rate_verdict rate;
    if (!http_stranger_may(c, &rate)) {
        native_refuse(c, id, HUB_RATE_LIMITED, NULL, slice_of(NULL, 0));
        conn_close(c, CLOSE_RATE, "too many tries");
        return;
    }
    native_refuse(c, id, HUB_UNAUTHORISED, "the token is not valid", slice_of(NULL, 0));
    conn_close(c, CLOSE_UNAUTHORISED, "unauthorised");
}

static void do_auth(struct conn *c, const struct client_frame *f)
{
    struct net_thread *t = c->thread;
    struct store_view *view;
    struct principal *who = NULL;
    enum token_rc why;
    buf_clear(&t->scratch);
    if (!json_to_text(f->field[KEY_TOKEN], &t->scratch)) {
        native_refuse(c, f->field[KEY_ID], HUB_INVALID, "token: a string is required",
                      slice_of(NULL, 0));
        return;
    }
    enum admit_rc rc = ADMIT_STORE;
    if (store_snapshot(t->io.reader, &view) == STORE_OK) {
        rc = admission_admit(t->io.admission, view, buf_slice(&t->scratch), io_wall_ms(&t->io),
                             &who, &why);
        store_release(t->io.reader);
    }
    digest_wipe(t->scratch.p, t->scratch.n);
    if (rc != ADMIT_OK) {
        io_count(&t->io.counters.auth_failures[rc], 1);
        refuse_token(c, f->field[KEY_ID]);
        return;
    }
    if (c->who && who->app != c->who->app) {
        principal_unref(who);
        native_refuse(c, f->field[KEY_ID], HUB_FORBIDDEN, "the token is of another app",
                      slice_of(NULL, 0));
        return;
    }
    principal_unref(c->who);
    know(c, who);
    c->sub.app = who->app;
    c->expiring_told = false;
    if (c->deadline == DEADLINE_AUTH) {
        conn_deadline(c, DEADLINE_PING, t->io.settings->ping_ms);
    }
    native_drop_forbidden(c);
    struct json_out o = native_answer_begin(c, "authenticated", f->field[KEY_ID]);
    json_key(&o, "subject");
    json_text(&o, who->subject);
    json_key(&o, "app");
    json_text(&o, who->app_id);
    json_key(&o, "role");
    json_str(&o, role_name(who->role));
    if (who->expires_ms) {
        json_key(&o, "expires_at");
        json_time(&o, who->expires_ms);
    }
    native_answer_end(c, &o);
}

/* ---- publish ---- */

static bool text_of(struct slice raw, struct buf *scratch, struct slice *out)
{
    if (json_is_plain(raw, out)) {
        return true;
    }
    size_t at = scratch->n;
    if (!json_to_text(raw, scratch)) {
        return false;
    }
    *out = slice_of(scratch->p + at, scratch->n - at);
    return true;
}

/* What is wrong with the frame's own fields; NULL: nothing. */
static const char *publish_fields(const struct client_frame *f, struct publishing *p)
{
    uint64_t ttl = 0;
    bool echo = true;
    if (f->field[KEY_TTL].n && (!json_to_u64(f->field[KEY_TTL], &ttl) || ttl > UINT32_MAX)) {
        return "ttl: seconds, a whole number";
    }
    if (f->field[KEY_EXPECT].n && !json_to_u64(f->field[KEY_EXPECT], &p->expect)) {
        return "expect: an offset, a whole number";
    }
    if (f->field[KEY_ECHO].n && !json_to_bool(f->field[KEY_ECHO], &echo)) {
        return "echo: true or false";
    }
    p->ttl_s = (uint32_t)ttl;
    p->expects = f->field[KEY_EXPECT].n > 0;
    p->no_echo = !echo;
    return NULL;
}

static void live_published(struct conn *c, const struct client_frame *f, struct slice channel)
{
    if (f->field[KEY_ID].n) {
        struct json_out o = native_answer_begin(c, "published", f->field[KEY_ID]);
        json_key(&o, "channel");
        json_text(&o, channel);
        native_answer_end(c, &o);
    }
}

static void do_publish(struct conn *c, const struct client_frame *f)
{
    struct net_thread *t = c->thread;
    struct publishing p = {.event = f->field[KEY_EVENT],
                           .data = f->field[KEY_DATA],
                           .headers = f->field[KEY_HEADERS],
                           .conflate = f->field[KEY_CONFLATE],
                           .id = f->field[KEY_ID],
                           .from = conn_address(c),
                           .connection = c->id};
    const char *wrong = publish_fields(f, &p);
    buf_clear(&t->scratch);
    struct buf channel_text = {0}, key_text = {0};
    if (!text_of(f->field[KEY_CHANNEL], &channel_text, &p.channel)) {
        wrong = "channel: a name is required";
    } else if (f->field[KEY_KEY].n && !text_of(f->field[KEY_KEY], &key_text, &p.key)) {
        wrong = "key: must be a string";
    }
    enum hub_rc rc = HUB_INVALID;
    bool live = false;
    uint32_t retry_s = 0;
    buf_clear(&t->detail);
    if (!wrong) {
        p.ticket = api_ticket_pack((struct api_ticket){.kind = TICKET_PUBLISH});
        rc = channel_publish(&t->io, c->who, &p, &t->scratch, &t->detail, &live, &retry_s);
    }
    if (rc != HUB_OK) {
        buf_add(&t->detail, "", 1);
        native_refuse(c, p.id, rc, wrong ? wrong : (const char *)t->detail.p, p.channel);
    } else if (live) {
        io_count(&t->io.counters.messages_in[WIRE_NATIVE][CLASS_LIVE], 1);
        live_published(c, f, p.channel);
    } else {
        io_count(&t->io.counters.messages_in[WIRE_NATIVE][CLASS_DURABLE], 1);
        c->pending++;
    }
    buf_done(&channel_text);
    buf_done(&key_text);
}

static void publish_answer(struct conn *c, const struct tray *tray, const struct command *command)
{
    struct event event;
    struct slice id = tray_slice(tray, TRAY_IN, command->id_at, command->id_n);
    event_frame_event(tray->in.p, &command->frame, &event);
    if (command->rc != HUB_OK) {
        char text[80];
        snprintf(text, sizeof text, "the channel stands at offset %llu",
                 (unsigned long long)command->offset);
        native_refuse(c, id, (enum hub_rc)command->rc, command->rc == HUB_CONFLICT ? text : NULL,
                      event.channel);
        return;
    }
    struct json_out o = native_answer_begin(c, "published", id);
    json_key(&o, "channel");
    json_raw(
        &o, slice_of(event.channel.p - 1, event.channel.n + 2)); /* with its quotes, in the frame */
    json_key(&o, "offset");
    json_u64(&o, command->offset);
    json_key(&o, "epoch");
    json_str(&o, c->thread->hub->epoch);
    if (command->flags & COMMAND_REPLAYED) {
        json_key(&o, "duplicate");
        json_bool(&o, true);
    }
    native_answer_end(c, &o);
}

/* ---- history, presence ---- */

static bool channel_of(struct conn *c, const struct client_frame *f, enum right right,
                       struct slice *out)
{
    if (!json_is_plain(f->field[KEY_CHANNEL], out)) {
        native_refuse(c, f->field[KEY_ID], HUB_INVALID, "channel: a name is required",
                      slice_of(NULL, 0));
        return false;
    }
    enum hub_rc rc = channel_may(&c->thread->io, c->who, right, *out);
    if (rc != HUB_OK) {
        native_refuse(c, f->field[KEY_ID], rc, NULL, *out);
    }
    return rc == HUB_OK;
}

/* since may be an offset or {epoch, offset}. */
static bool offset_of(const struct conn *c, struct slice raw, uint64_t *out, bool *out_other_epoch)
{
    static const char *const names[] = {"offset", "epoch"};
    struct slice field[2], epoch;
    size_t at;
    *out_other_epoch = false;
    if (json_kind_of(raw) != JSON_KIND_OBJECT) {
        return json_to_u64(raw, out);
    }
    if (json_fields(raw, names, 2, field, &at) != JSON_OK || !json_to_u64(field[0], out)) {
        return false;
    }
    if (field[1].n && json_is_plain(field[1], &epoch)) {
        *out_other_epoch = !slice_is(epoch, c->thread->hub->epoch);
    }
    return true;
}

static void do_history(struct conn *c, const struct client_frame *f)
{
    struct history_query q = {.limit = 100};
    uint64_t limit = 100;
    bool other = false;
    const struct slice *field = f->field;
    if (!channel_of(c, f, RIGHT_HISTORY, &q.channel)) {
        return;
    }
    if ((field[KEY_SINCE].n && !offset_of(c, field[KEY_SINCE], &q.since, &other)) ||
        (field[KEY_BEFORE].n && !json_to_u64(field[KEY_BEFORE], &q.before)) ||
        (field[KEY_REVERSE].n && !json_to_bool(field[KEY_REVERSE], &q.reverse)) ||
        (field[KEY_LIMIT].n && !json_to_u64(field[KEY_LIMIT], &limit)) || limit < 1 ||
        limit > 1000) {
        native_refuse(c, field[KEY_ID], HUB_INVALID,
                      "since and before are offsets, limit is 1 to 1000, reverse is true or false",
                      q.channel);
        return;
    }
    q.limit = (uint32_t)limit;
    q.since = other ? 0 : q.since;
    struct json_out o = native_answer_begin(c, "history", field[KEY_ID]);
    uint64_t next;
    enum hub_rc rc = channel_history(&c->thread->io, c->who->app, &q, &o, &next);
    if (rc != HUB_OK) {
        native_refuse(c, field[KEY_ID], rc, NULL, q.channel);
        return;
    }
    native_answer_end(c, &o);
}

static void presence_own(struct conn *c, const struct client_frame *f, struct slice channel)
{
    struct net_thread *t = c->thread;
    uint64_t hash = io_channel_hash(&t->io, c->who->app, channel);
    struct subscription *sub = topics_find(t->io.topics, &c->sub, hash, channel);
    if (!sub || !sub->member) {
        native_refuse(c, f->field[KEY_ID], HUB_NOT_FOUND, "you are not a member of this channel",
                      channel);
        return;
    }
    if (f->field[KEY_INFO].n > PRESENCE_INFO_BYTES_MAX) {
        native_refuse(c, f->field[KEY_ID], HUB_TOO_LARGE, "info: at most 4096 bytes", channel);
        return;
    }
    if (!native_presence(c, PRESENCE_UPDATE, channel, f->field[KEY_INFO], f->field[KEY_ID],
                         TICKET_PRESENCE)) {
        native_refuse(c, f->field[KEY_ID], HUB_UNAVAILABLE, NULL, channel);
    }
}

static void do_presence(struct conn *c, const struct client_frame *f)
{
    struct slice channel, after = {0};
    uint64_t limit = 100;
    if (!channel_of(c, f, RIGHT_SUBSCRIBE, &channel)) {
        return;
    }
    if (f->field[KEY_INFO].n) {
        presence_own(c, f, channel);
        return;
    }
    if ((f->field[KEY_LIMIT].n && !json_to_u64(f->field[KEY_LIMIT], &limit)) || limit > 1000 ||
        (f->field[KEY_CURSOR].n && !json_is_plain(f->field[KEY_CURSOR], &after))) {
        native_refuse(c, f->field[KEY_ID], HUB_INVALID,
                      "limit is 0 to 1000, cursor is the `next` of the page before", channel);
        return;
    }
    struct json_out o = native_answer_begin(c, "presence", f->field[KEY_ID]);
    json_key(&o, "channel");
    json_text(&o, channel);
    struct buf next = {0};
    enum hub_rc rc =
        channel_members(&c->thread->io, c->who->app, channel, after, (uint32_t)limit, &o, &next);
    buf_done(&next);
    if (rc != HUB_OK) {
        native_refuse(c, f->field[KEY_ID], rc, NULL, channel);
        return;
    }
    native_answer_end(c, &o);
}

static void presence_answer(struct conn *c, const struct tray *tray, const struct command *command)
{
    struct slice id = tray_slice(tray, TRAY_IN, command->id_at, command->id_n);
    if (command->rc != HUB_OK) {
        native_refuse(c, id, (enum hub_rc)command->rc, NULL, slice_of(NULL, 0));
        return;
    }
    struct json_out o = native_answer_begin(c, "presence", id);
    json_key(&o, "updated");
    json_bool(&o, true);
    native_answer_end(c, &o);
}

/* ---- frames ---- */

static void do_unknown(struct conn *c, const struct client_frame *f)
{
    struct net_thread *t = c->thread;
    struct buf text = {0};
    buf_add_str(&text, "Unknown message type: ");
    (void)json_to_text(f->field[KEY_TYPE], &text);
    if (text.n > 200) {
        text.n = 200;
    }
    buf_add(&text, "", 1);
    io_count(&t->io.counters.protocol_errors, 1);
    native_refuse(c, f->field[KEY_ID], HUB_UNKNOWN_TYPE, (const char *)text.p, slice_of(NULL, 0));
    buf_done(&text);
}

typedef void frame_handler(struct conn *c, const struct client_frame *f);

/* clang-format off */
static const struct {
    frame_handler *handle;
    bool before_auth;
} handlers[FRAME_TYPES] = {
    [FRAME_UNKNOWN]     = { do_unknown,            true  },
    [FRAME_AUTH]        = { do_auth,               true  },
    [FRAME_SUBSCRIBE]   = { native_do_subscribe,   false },
    [FRAME_UNSUBSCRIBE] = { native_do_unsubscribe, false },
    [FRAME_PUBLISH]     = { do_publish,            false },
    [FRAME_ACK]         = { native_do_answer,      false },
    [FRAME_NACK]        = { native_do_answer,      false },
    [FRAME_PROGRESS]    = { native_do_answer,      false },
    [FRAME_TERM]        = { native_do_answer,      false },
    [FRAME_PRESENCE]    = { do_presence,           false },
    [FRAME_HISTORY]     = { do_history,            false },
    [FRAME_CALL]        = { native_do_call,               false },
    [FRAME_PING]        = { do_ping,               true  },
};
/* clang-format on */

static void message(struct conn *c, struct slice text)
{
    struct client_frame f;
    size_t at = 0;
    enum json_rc rc = frame_read(text, &f, &at);
    if (rc != JSON_OK) {
        char why[120];
        snprintf(why, sizeof why, "byte %zu: %s", at, json_rc_text(rc));
        io_count(&c->thread->io.counters.protocol_errors, 1);
        native_refuse(c, slice_of(NULL, 0), HUB_BAD_REQUEST, why, slice_of(NULL, 0));
        return;
    }
    if (!c->who && !handlers[f.type].before_auth) {
        native_refuse(c, f.field[KEY_ID], HUB_UNAUTHORISED,
                      "say who you are first: {\"type\":\"auth\",\"token\":…}", slice_of(NULL, 0));
        return;
    }
    handlers[f.type].handle(c, &f);
}

static void pong(struct conn *c, struct slice payload)
{
    uint8_t frame[WS_HEAD_BYTES_MAX + WS_CONTROL_BYTES_MAX];
    size_t n = ws_head_put(frame, WS_OP_PONG, true, payload.n, NULL);
    memcpy(frame + n, payload.p, payload.n);
    conn_send(c, slice_of(frame, n + payload.n));
}

static bool must_wait(struct conn *c)
{
    return io_starved(&c->thread->io) || c->pending >= c->thread->io.settings->pending_max;
}

size_t native_input(struct conn *c, uint8_t *bytes, size_t n)
{
    if (must_wait(c) && !c->closing) {
        conn_pause(c);
        if (c->pending == 0) {
            conn_resume(c); /* nothing of its own will come back: the next turn tries again */
        }
        return 0;
    }
    if (!c->closing && conn_must_drain(c)) {
        return 0;
    }
    size_t used;
    native_say_alive(c);
    switch (ws_feed(&c->in.ws, bytes, n, &used)) {
    case WS_MORE:
    case WS_PONG:
        break;
    case WS_MESSAGE:
        if (c->closing) {
            break;
        }
        if (c->in.ws.opcode == WS_TEXT) {
            message(c, c->in.ws.message);
        } else {
            conn_close(c, CLOSE_UNSUPPORTED, "only text messages are understood");
        }
        break;
    case WS_PING:
        if (!c->closing) {
            pong(c, c->in.ws.message);
        }
        break;
    case WS_CLOSE:
        if (c->shut) {
            conn_kill(c);
        } else {
            conn_close(c, c->in.ws.code == 1005 ? CLOSE_NORMAL : c->in.ws.code, "");
        }
        return n;
    case WS_ERROR:
        io_count(&c->thread->io.counters.protocol_errors, 1);
        conn_close(c, c->in.ws.code, ws_reason(&c->in.ws));
        return n;
    }
    return used;
}

void native_answer(struct conn *c, const struct tray *tray, const struct command *command)
{
    struct api_ticket ticket = api_ticket_unpack(command->ticket);
    if (c->pending) {
        c->pending--;
    }
    switch ((enum native_ticket)ticket.kind) {
    case TICKET_OPERATION:
        native_call_answer(c, tray, command);
        break;
    case TICKET_PUBLISH:
        publish_answer(c, tray, command);
        break;
    case TICKET_JOIN:
        native_joined(c, ticket.extra, (enum hub_rc)command->rc);
        break;
    case TICKET_PRESENCE:
        presence_answer(c, tray, command);
        break;
    case TICKET_CURSOR:
        native_attached(c, ticket.extra, tray, command);
        break;
    case TICKET_ANSWER:
        native_answered(c, tray, command);
        break;
    case TICKET_LEAVE:
        break;
    }
    if (c->paused && c->pending < c->thread->io.settings->pending_max) {
        conn_resume(c);
    }
}

/* ---- catching up ---- */

static struct replay replay_begin(struct conn *c)
{
    struct net_thread *t = c->thread;
    buf_clear(&t->frames);
    return (struct replay){.log = t->hub->log,
                           .reader = t->io.reader,
                           .now_ms = t->io.now_ms,
                           .bytes_max = PAGE_BYTES,
                           .events_max = PAGE_EVENTS,
                           .connection = c->id,
                           .out = &t->frames};
}

static void send_page(struct conn *c, const struct replay *r, enum store_rc rc)
{
    struct io_counters *counters = &c->thread->io.counters;
    if (rc != STORE_OK) {
        net_log(c->thread, 'E', "replay_failed", "rc=%s", store_rc_name(rc));
        conn_close(c, CLOSE_INTERNAL, "the log cannot be read");
        return;
    }
    io_count(&counters->replayed_events, r->events);
    io_count(&counters->replayed_bytes, r->out->n);
    io_count(&counters->messages_out[WIRE_NATIVE][CLASS_DURABLE], r->events);
    if (r->out->n) {
        conn_send_now(c, buf_slice(r->out));
    }
}

static struct subscription *first_behind(struct conn *c)
{
    struct subscription *sub = c->sub.subs;
    while (sub && sub->state != SUB_CATCHING_UP) {
        sub = sub->next_of_subscriber;
    }
    return sub;
}

static void page_of_sub(struct conn *c, struct subscription *sub)
{
    struct io *io = &c->thread->io;
    bool done;
    struct replay r = replay_begin(c);
    struct slice name = slice_of(sub->topic->name, sub->topic->name_n);
    enum store_rc rc = replay_page(&r, sub, io_options(io, c->sub.app, name), &done);
    if (rc == STORE_OK && done) {
        sub->state = SUB_LIVE;
    }
    send_page(c, &r, rc);
}

static void page_of_patterns(struct conn *c)
{
    struct net_thread *t = c->thread;
    bool done;
    struct replay r = replay_begin(c);
    enum store_rc rc = replay_patterns(&r, t->io.topics, &c->sub, t->hub->hash_seed, &done);
    if (rc == STORE_OK && done) {
        c->sub.patterns_state = SUB_LIVE;
    }
    send_page(c, &r, rc);
}

static void caught_up(struct conn *c)
{
    if (c->catching_up) {
        c->catching_up = false;
        io_gauge(&c->thread->io.counters.catching_up, -1);
    }
}

/* One page. The connection stays in the thread's list until nothing is left or the socket is full.
 */
void native_catch_up(struct conn *c)
{
    if (c->dead || c->blocked || c->closing) {
        c->behind = false; /* native_writable() puts it back */
        return;
    }
    struct subscription *sub = first_behind(c);
    if (sub) {
        page_of_sub(c, sub);
    } else if (native_cursors_wait(c)) {
        native_cursor_page(c);
    } else if (waits_due(c)) {
        waits_answer(c);
    } else if (c->sub.patterns_state == SUB_CATCHING_UP) {
        page_of_patterns(c);
    } else {
        c->behind = false;
        caught_up(c);
    }
}

void native_behind(struct conn *c)
{
    if (!c->catching_up) {
        c->catching_up = true;
        io_gauge(&c->thread->io.counters.catching_up, 1);
    }
    if (!c->behind && !c->dead) {
        c->behind = true;
        net_behind(c);
    }
}

void native_writable(struct conn *c)
{
    if (first_behind(c) || native_cursors_wait(c) || waits_due(c) ||
        c->sub.patterns_state == SUB_CATCHING_UP) {
        native_behind(c);
    }
}

/* ---- time and ends ---- */

void native_expired(struct conn *c, enum deadline what)
{
    const struct hub_settings *s = c->thread->io.settings;
    if (what == DEADLINE_AUTH) {
        conn_close(c, CLOSE_UNAUTHORISED, "not authorised within the timeout");
        return;
    }
    if (c->thread->io.now_ms - c->last_in_ms >= 2 * (int64_t)s->ping_ms) {
        io_count(&c->thread->io.counters.closes_silent, 1);
        conn_close(c, CLOSE_NO_PONG, "no pong");
        return;
    }
    uint8_t frame[WS_HEAD_BYTES_MAX];
    size_t n = ws_head_put(frame, WS_OP_PING, true, 0, NULL);
    conn_send(c, slice_of(frame, n));
    conn_deadline(c, DEADLINE_PING, s->ping_ms);
}

void native_gone(struct conn *c)
{
    struct net_thread *t = c->thread;
    caught_up(c);
    native_farewells(c);
    waits_drop(c);
    subscriber_done(t->io.topics, &c->sub);
}

void native_recheck(struct conn *c)
{
    if (c->who &&
        admission_recheck(c->thread->io.admission, c->who, credential_now_ms(c)) != ADMIT_OK) {
        conn_close(c, CLOSE_UNAUTHORISED, "the credential was revoked or has expired");
    }
}

void native_expiry(struct conn *c)
{
    waits_expire(c, c->thread->io.now_ms);
    if (!c->who || !c->who->expires_ms || c->closing) {
        return;
    }
    int64_t now_ms = credential_now_ms(c);
    if (principal_expired(c->who, now_ms)) {
        conn_close(c, CLOSE_UNAUTHORISED, "the token has expired");
    } else if (!c->expiring_told && c->who->expires_ms - EXPIRING_MS <= now_ms) {
        c->expiring_told = true;
        struct json_out o = native_answer_begin(c, "token_expiring", slice_of(NULL, 0));
        json_key(&o, "at");
        json_time(&o, c->who->expires_ms);
        native_answer_end(c, &o);
    }
}

void native_goodbye(struct conn *c, uint32_t reconnect_ms)
{
    waits_expire(c, INT64_MAX);
    struct json_out o = native_answer_begin(c, "goodbye", slice_of(NULL, 0));
    json_key(&o, "reason");
    json_str(&o, "drain");
    json_key(&o, "reconnect_after_ms");
    json_u64(&o, reconnect_ms);
    native_answer_end(c, &o);
}
