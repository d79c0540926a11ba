/* Named cursors of a connection: what the writer hands out is noted, read from the log at the
 * socket's pace, and answered for (native-protocol.md section 5, promise 5).
 *
 * Between the writer's word and the socket stands a note of a few bytes, so a peer that reads
 * slowly holds up to max_in_flight notes, not events. What it never got is given back when it goes.
 */
#include "hub/net/native_parts.h"

#include "channels/replay.h"
#include "hub/api/channel_access.h"
#include "store/pack.h"

#include <assert.h>
#include <stdlib.h>

enum { PAGE_BYTES = 65536 };

struct handed {
    uint64_t from, last;
    uint32_t deliveries; /* 0: a gap */
};

struct cursor_sub {
    struct cursor_sub *next;
    uint64_t channel;
    uint32_t number; /* 0: the writer has not answered yet */
    bool settled;    /* the peer was told that it is attached */
    struct handed *waiting;
    size_t first, n, cap;
    uint8_t channel_n, name_n;
    char channel_name[CURSOR_CHANNEL_BYTES_MAX], name[CURSOR_NAME_BYTES_MAX];
};

static struct slice channel_of(const struct cursor_sub *sub)
{
    return slice_of(sub->channel_name, sub->channel_n);
}

static struct slice name_of(const struct cursor_sub *sub)
{
    return slice_of(sub->name, sub->name_n);
}

static struct cursor_sub *first_sub(const struct conn *c)
{
    return c->extras ? c->extras->cursors : NULL;
}

static struct cursor_sub *find(struct conn *c, struct slice channel, struct slice name)
{
    struct cursor_sub *sub = first_sub(c);
    while (sub && !(slice_equal(channel_of(sub), channel) && slice_equal(name_of(sub), name))) {
        sub = sub->next;
    }
    return sub;
}

/* ---- attaching ---- */

static struct cursor_sub *sub_add(struct conn *c, struct slice channel, struct slice name)
{
    struct cursor_sub *sub = xcalloc(1, sizeof *sub);
    sub->channel_n = (uint8_t)channel.n;
    sub->name_n = (uint8_t)name.n;
    memcpy(sub->channel_name, channel.p, channel.n);
    memcpy(sub->name, name.p, name.n);
    struct conn_extras *extras = conn_extras(c);
    sub->next = extras->cursors;
    extras->cursors = sub;
    extras->cursors_n++;
    io_gauge(&c->thread->io.counters.subscriptions, 1);
    return sub;
}

static void sub_drop(struct conn *c, struct cursor_sub *sub)
{
    struct cursor_sub **link = &c->extras->cursors;
    while (*link != sub) {
        link = &(*link)->next;
    }
    *link = sub->next;
    c->extras->cursors_n--;
    free(sub->waiting);
    free(sub);
    io_gauge(&c->thread->io.counters.subscriptions, -1);
}

static void say_detached(struct conn *c, struct slice channel, struct slice name,
                         struct slice unsent)
{
    struct buf body = {0};
    cursor_detach_put(&body, channel, name, c->id, unsent);
    net_farewell(c->thread, &command_cursor_detach, c->sub.app, buf_slice(&body));
    buf_done(&body);
}

enum hub_rc native_cursor_attach(struct conn *c, const struct cursor_attach *attach)
{
    struct net_thread *t = c->thread;
    const struct namespace_options *options = io_options(&t->io, c->who->app, attach->channel);
    if (options->delivery != NS_DURABLE) {
        return HUB_INVALID; /* there is no log to have a position in */
    }
    if (attach->channel.n > CURSOR_CHANNEL_BYTES_MAX) {
        return HUB_INVALID_NAME;
    }
    struct cursor_sub *sub = find(c, attach->channel, attach->name);
    if (!sub && c->sub.subs_n + (c->extras ? c->extras->cursors_n : 0) >=
                    t->io.settings->subscriptions_max) {
        return HUB_LIMIT;
    }
    struct api_ticket ticket = {.kind = TICKET_CURSOR, .extra = c->requests_made};
    struct command *command = io_command(&t->io, &command_cursor_attach, c->who->app,
                                         conn_address(c), api_ticket_pack(ticket));
    if (!command) {
        return HUB_UNAVAILABLE;
    }
    struct buf *arena = io_arena(&t->io);
    command->body_at = (uint32_t)arena->n;
    cursor_attach_put(arena, attach);
    command->body_n = (uint32_t)(arena->n - command->body_at);
    c->pending++;
    if (!sub) {
        (void)sub_add(c, attach->channel, attach->name);
    }
    return HUB_OK;
}

void native_cursor_attached(struct conn *c, struct slice channel, struct slice name, enum hub_rc rc,
                            const struct cursor_attached *attached)
{
    struct cursor_sub *sub = find(c, channel, name);
    if (sub && rc == HUB_OK) {
        sub->number = attached->number;
        sub->channel = attached->channel;
    } else if (sub && !sub->number) {
        sub_drop(c, sub);
    } else if (!sub && rc == HUB_OK) {
        say_detached(c, channel, name, slice_of(NULL, 0)); /* it was asked for twice */
    }
}

void native_cursor_settled(struct conn *c, struct slice channel, struct slice name)
{
    struct cursor_sub *sub = find(c, channel, name);
    if (sub) {
        sub->settled = true;
    }
}

/* ---- leaving ---- */

static void detach(struct conn *c, struct cursor_sub *sub)
{
    struct buf unsent = {0};
    for (size_t i = 0; i < sub->n; i++) {
        const struct handed *h = &sub->waiting[sub->first + i];
        if (h->deliveries) {
            pack_u64(&unsent, h->from);
        }
    }
    say_detached(c, channel_of(sub), name_of(sub), buf_slice(&unsent));
    buf_done(&unsent);
    sub_drop(c, sub);
}

bool native_cursors_detach(struct conn *c, struct slice channel)
{
    bool any = false;
    for (struct cursor_sub *sub = first_sub(c), *next; sub; sub = next) {
        next = sub->next;
        if (channel.n == 0 || slice_equal(channel_of(sub), channel)) {
            detach(c, sub);
            any = true;
        }
    }
    return any;
}

void native_cursors_forbid(struct conn *c)
{
    struct buf name = {0};
    for (struct cursor_sub *sub = first_sub(c), *next; sub; sub = next) {
        next = sub->next;
        buf_clear(&name);
        buf_add_slice(&name, channel_of(sub));
        if (channel_may(&c->thread->io, c->who, RIGHT_SUBSCRIBE, buf_slice(&name)) != HUB_OK) {
            (void)native_cursors_detach(c, buf_slice(&name));
            native_refuse(c, slice_of(NULL, 0), HUB_FORBIDDEN,
                          "the new credential does not allow this subscription", buf_slice(&name));
            next = first_sub(c); /* more than this one may be gone */
        }
    }
    buf_done(&name);
}

/* ---- what is handed out ---- */

static void note(struct cursor_sub *sub, const struct handed *handed)
{
    if (sub->first + sub->n == sub->cap) {
        if (sub->first > sub->cap / 2) {
            memmove(sub->waiting, sub->waiting + sub->first, sub->n * sizeof *sub->waiting);
            sub->first = 0;
        } else {
            sub->cap = sub->cap ? sub->cap * 2 : 8;
            sub->waiting = xrealloc(sub->waiting, sub->cap * sizeof *sub->waiting);
        }
    }
    sub->waiting[sub->first + sub->n++] = *handed;
}

static struct handed *front(struct cursor_sub *sub)
{
    return &sub->waiting[sub->first];
}

static void pop(struct cursor_sub *sub)
{
    sub->n--;
    sub->first = sub->n ? sub->first + 1 : 0;
}

void native_handout(struct conn *c, const struct tray_handout *handout)
{
    struct cursor_sub *sub = first_sub(c);
    while (sub && sub->number != handout->cursor) {
        sub = sub->next;
    }
    if (sub) { /* else it detached meanwhile, which gave everything back */
        struct handed handed = {
            .from = handout->from, .last = handout->last, .deliveries = handout->deliveries};
        note(sub, &handed);
        if (sub->settled) {
            native_behind(c);
        }
    }
}

static struct cursor_sub *first_waiting(struct conn *c)
{
    struct cursor_sub *sub = first_sub(c);
    while (sub && !(sub->settled && sub->n)) {
        sub = sub->next;
    }
    return sub;
}

bool native_cursors_wait(struct conn *c)
{
    return first_waiting(c) != NULL;
}

struct page {
    struct conn *c;
    struct cursor_sub *sub;
    struct buf *out;
    int64_t now_ms;
    uint64_t events;
};

/* Nobody can be given it, so nobody can acknowledge it but the hub. */
static void settle_silently(struct page *page)
{
    struct buf body = {0};
    struct cursor_answer answer = {.number = page->sub->number,
                                   .verdict = CURSOR_ACK,
                                   .offset = front(page->sub)->from,
                                   .connection = page->c->id};
    cursor_answer_put(&body, &answer);
    net_farewell(page->c->thread, &command_cursor_answer, page->c->sub.app, buf_slice(&body));
    buf_done(&body);
    pop(page->sub);
}

static void gap(struct page *page, const char *reason)
{
    const struct handed *h = front(page->sub);
    replay_gap_frame(page->out, channel_of(page->sub), h->from, h->last, reason);
}

/* The frame of any subscription, with the cursor's name and the count behind its type. */
static void put_event(struct page *page, const struct event *event, uint64_t offset,
                      uint32_t deliveries)
{
    struct buf json = {0}, more = {0};
    event_json_write(&json, event, offset);
    buf_add_str(&more, "\"cursor\":\"");
    buf_add_slice(&more, name_of(page->sub));
    buf_printf(&more, "\",\"deliveries\":%u,", (unsigned)deliveries);
    size_t head = (size_t)((const uint8_t *)memchr(json.p, ',', json.n) - json.p) + 1;
    size_t ws = event_ws_head_put(buf_reserve(page->out, EVENT_WS_HEAD_BYTES_MAX), json.n + more.n);
    page->out->n += ws;
    buf_add(page->out, json.p, head);
    buf_add_slice(page->out, buf_slice(&more));
    buf_add(page->out, json.p + head, json.n - head);
    page->events++;
    buf_done(&json);
    buf_done(&more);
}

static bool is_over(const struct event *event, int64_t now_ms)
{
    return event->ttl_s && event->time_ms + (int64_t)event->ttl_s * 1000 <= now_ms;
}

static bool put_record(void *ctx, const struct log_record *record)
{
    struct page *page = ctx;
    struct event event;
    while (page->sub->n && front(page->sub)->from < record->offset) {
        gap(page, "dropped"); /* it could not be read */
        settle_silently(page);
    }
    if (page->sub->n == 0 || front(page->sub)->from != record->offset ||
        page->out->n >= PAGE_BYTES) {
        return false;
    }
    bool known = event_unpack(record->payload, &event);
    event.channel = channel_of(page->sub);
    event.time_ms = record->time_ms;
    if (!known || is_over(&event, page->now_ms)) {
        settle_silently(page);
        return true;
    }
    put_event(page, &event, record->offset, front(page->sub)->deliveries);
    pop(page->sub);
    return true;
}

/* Offsets that follow one another are read in one go. */
static size_t run_of(const struct cursor_sub *sub)
{
    const struct handed *h = &sub->waiting[sub->first];
    size_t n = 1;
    while (n < sub->n && h[n].deliveries && h[n].from == h[0].from + n) {
        n++;
    }
    return n;
}

static enum store_rc fill(struct page *page, struct store_view *view, const struct log_head *head)
{
    enum store_rc rc = STORE_OK;
    while (rc == STORE_OK && page->sub->n && page->out->n < PAGE_BYTES) {
        uint64_t from = front(page->sub)->from, next;
        if (front(page->sub)->deliveries == 0) {
            gap(page, "trimmed");
            pop(page->sub);
            continue;
        }
        rc = from < head->first || from > head->last
                 ? STORE_NOT_FOUND
                 : log_read(view, head, from, run_of(page->sub), put_record, page, &next);
        if (page->sub->n && front(page->sub)->deliveries && front(page->sub)->from == from) {
            bool lost = rc == STORE_NOT_FOUND || rc == STORE_DAMAGED;
            gap(page, rc == STORE_NOT_FOUND ? "trimmed" : "dropped");
            settle_silently(page);
            rc = lost ? STORE_OK : rc;
        } else if (rc == STORE_DAMAGED) {
            rc = STORE_OK; /* of what follows: its turn comes */
        }
    }
    return rc;
}

void native_cursor_page(struct conn *c)
{
    struct net_thread *t = c->thread;
    struct store_view *view;
    struct log_head head;
    buf_clear(&t->frames);
    struct page page = {.c = c, .sub = first_waiting(c), .out = &t->frames, .now_ms = t->io.now_ms};
    assert(page.sub); /* native_cursors_wait() said so */
    enum store_rc rc = log_snapshot(t->hub->log, t->io.reader, page.sub->channel, &view, &head);
    if (rc == STORE_OK) {
        rc = fill(&page, view, &head);
    }
    store_release(t->io.reader);
    if (rc != STORE_OK) {
        net_log(t, 'E', "replay_failed", "rc=%s", store_rc_name(rc));
        conn_close(c, CLOSE_INTERNAL, "the log cannot be read");
        return;
    }
    io_count(&t->io.counters.messages_out[WIRE_NATIVE][CLASS_DURABLE], page.events);
    if (t->frames.n) {
        conn_send_now(c, buf_slice(&t->frames));
    }
}

/* ---- answers to deliveries ---- */

static const char *read_answer(const struct client_frame *f, struct cursor_answer *answer)
{
    double delay_s = 0;
    if (!json_to_u64(f->field[KEY_OFFSET], &answer->offset)) {
        return "offset: of the event, a whole number";
    }
    answer->delay_ms = -1;
    if (f->field[KEY_DELAY].n) {
        if (!json_to_double(f->field[KEY_DELAY], &delay_s) || delay_s < 0 || delay_s > 86400) {
            return "delay: seconds, from 0 to 86400";
        }
        answer->delay_ms = (int64_t)(delay_s * 1000);
    }
    return NULL;
}

static enum cursor_verdict verdict_of(enum frame_type type)
{
    return type == FRAME_NACK       ? CURSOR_NACK
           : type == FRAME_PROGRESS ? CURSOR_PROGRESS
           : type == FRAME_TERM     ? CURSOR_TERM
                                    : CURSOR_ACK;
}

static bool answer_send(struct conn *c, const struct client_frame *f,
                        const struct cursor_answer *answer)
{
    struct net_thread *t = c->thread;
    struct api_ticket ticket = {.kind = TICKET_ANSWER};
    struct command *command = io_command(&t->io, &command_cursor_answer, c->who->app,
                                         conn_address(c), api_ticket_pack(ticket));
    if (!command) {
        return false;
    }
    struct buf *arena = io_arena(&t->io);
    command->id_at = (uint32_t)arena->n;
    command->id_n = (uint32_t)f->field[KEY_ID].n;
    buf_add_slice(arena, f->field[KEY_ID]);
    command->body_at = (uint32_t)arena->n;
    cursor_answer_put(arena, answer);
    command->body_n = (uint32_t)(arena->n - command->body_at);
    c->pending++;
    return true;
}

void native_do_answer(struct conn *c, const struct client_frame *f)
{
    struct slice channel, name, id = f->field[KEY_ID];
    struct cursor_answer answer = {.verdict = verdict_of(f->type), .connection = c->id};
    if (!json_is_plain(f->field[KEY_CHANNEL], &channel) ||
        !json_is_plain(f->field[KEY_CURSOR], &name)) {
        native_refuse(c, id, HUB_INVALID, "channel and cursor: names are required",
                      slice_of(NULL, 0));
        return;
    }
    const char *wrong = read_answer(f, &answer);
    const struct cursor_sub *sub = find(c, channel, name);
    if (wrong) {
        native_refuse(c, id, HUB_INVALID, wrong, channel);
    } else if (!sub || !sub->number) {
        native_refuse(c, id, HUB_NOT_FOUND, "there is no cursor of that name here", channel);
    } else {
        answer.number = sub->number;
        if (!answer_send(c, f, &answer)) {
            native_refuse(c, id, HUB_UNAVAILABLE, NULL, channel);
        }
    }
}

/* Who wants to know that it is on disk sends an id. */
void native_answered(struct conn *c, const struct tray *tray, const struct command *command)
{
    struct slice id = tray_slice(tray, TRAY_IN, command->id_at, command->id_n);
    if (command->rc != HUB_OK) {
        const char *why = command->rc == HUB_NOT_FOUND  ? "the cursor has not delivered that offset"
                          : command->rc == HUB_CONFLICT ? "the event is not yours any more"
                                                        : NULL;
        native_refuse(c, id, (enum hub_rc)command->rc, why, slice_of(NULL, 0));
    } else if (id.n) {
        struct json_out o = native_answer_begin(c, "acked", id);
        native_answer_end(c, &o);
    }
}
