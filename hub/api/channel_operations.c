/* Channels over REST and `call` (native-protocol.md sections 4 and 6, rest-contract.md section 1).
 */
#define _GNU_SOURCE /* memmem */
#include "hub/api/channel_access.h"
#include "hub/api/pages.h"
#include "hub/api/schema_text.h"
#include "hub/api/tables.h"
#include "auth/digest.h"
#include "channels/json_scan.h"
#include "channels/presence.h"
#include "channels/replay.h"
#include "store/pack.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- publish: one event ---- */

static struct slice json_of(struct buf *b, const json_t *value)
{
    size_t at = b->n;
    if (!value) {
        return slice_of(NULL, 0);
    }
    json_put_value(b, value);
    return slice_of(NULL, b->n - at);
}

struct texts {
    struct buf b;
    size_t event_at, data_at, headers_at, conflate_at;
    struct slice event, data, headers, conflate;
};

static void texts_fill(struct texts *t, const json_t *params)
{
    t->event_at = t->b.n;
    t->event = json_of(&t->b, json_object_get(params, "event"));
    t->data_at = t->b.n;
    t->data = json_of(&t->b, json_object_get(params, "data"));
    t->headers_at = t->b.n;
    t->headers = json_of(&t->b, json_object_get(params, "headers"));
    t->conflate_at = t->b.n;
    t->conflate = json_of(&t->b, json_object_get(params, "conflate"));
    t->event.p = t->b.p + t->event_at;
    t->data.p = t->b.p + t->data_at;
    t->headers.p = t->b.p + t->headers_at;
    t->conflate.p = t->b.p + t->conflate_at;
}

static struct slice text_in(const json_t *params, const char *name)
{
    const json_t *value = json_object_get(params, name);
    return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value))
                                 : slice_of(NULL, 0);
}

/* Packed for the writer: everything an event needs, to be framed there. Bodies of REST publishes
 * are few, so the copy costs nothing that counts. */
static void event_body_put(struct buf *body, const struct call *call, const json_t *params,
                           const struct texts *t)
{
    struct slice name = t->event, key = text_in(params, "key");
    struct buf escaped = {0}, from = {0}, conflate = {0};
    (void)json_to_escaped(name, &escaped);
    json_escape(&from, call->who->subject);
    if (t->conflate.n) {
        (void)json_to_escaped(t->conflate, &conflate);
    }
    const json_t *expect = json_object_get(params, "expect");
    const json_t *ttl = json_object_get(params, "ttl");
    const json_t *echo = json_object_get(params, "echo");
    pack_slice(body, text_in(params, "channel"));
    pack_slice(body, buf_slice(&escaped));
    pack_slice(body, t->data.n ? t->data : slice_str("null"));
    pack_slice(body, buf_slice(&from));
    pack_slice(body, t->headers);
    pack_slice(body, buf_slice(&conflate));
    pack_i64(body, call->now_ms);
    pack_u32(body, (uint32_t)json_integer_value(ttl));
    pack_u64(body, json_is_false(echo) ? call->connection : 0);
    pack_u8(body, expect != NULL);
    pack_u64(body, (uint64_t)json_integer_value(expect));
    pack_u8(body, key.n > 0);
    uint8_t hash[16] = {0};
    if (key.n) {
        publish_key_hash(call->io, call->who->app, text_in(params, "channel"), key, hash);
    }
    buf_add(body, hash, sizeof hash);
    buf_done(&escaped);
    buf_done(&from);
    buf_done(&conflate);
}

static enum hub_rc check_event(struct call *call, const json_t *params, const struct texts *t,
                               const struct namespace_options **out_options)
{
    struct publishing p = {.channel = text_in(params, "channel"),
                           .event = t->event,
                           .data = t->data,
                           .headers = t->headers,
                           .conflate = t->conflate,
                           .key = text_in(params, "key")};
    return channel_publish_check(call->io, call->who, &p, call->message, out_options,
                                 &call->retry_after_s);
}

/* Live events never meet the writer: they are given to subscribers at once. */
static enum hub_rc publish_live(struct call *call, const json_t *params, const struct texts *t)
{
    struct publishing p = {.channel = text_in(params, "channel"),
                           .event = t->event,
                           .data = t->data,
                           .headers = t->headers,
                           .conflate = t->conflate,
                           .ttl_s = 0,
                           .no_echo = json_is_false(json_object_get(params, "echo")),
                           .connection = call->connection};
    struct buf scratch = {0};
    bool live;
    enum hub_rc rc = channel_publish_put(call->io, call->who, &p, &scratch, &live);
    buf_done(&scratch);
    return rc;
}

static void put_live(struct json_out *o, struct slice channel)
{
    json_begin(o, '{');
    json_key(o, "channel");
    json_text(o, channel);
    json_key(o, "delivery");
    json_str(o, "live");
    json_end(o, '}');
}

/* Body: count, then events; the reply: for each its code, offset and whether it was a repeat. */
static enum hub_rc publish_prepare(struct call *call, struct buf *body)
{
    struct texts t = {0};
    const struct namespace_options *options = NULL;
    texts_fill(&t, call->params);
    enum hub_rc rc = check_event(call, call->params, &t, &options);
    if (rc == HUB_OK && options->delivery == NS_LIVE) {
        rc = publish_live(call, call->params, &t);
        struct json_out o = json_out_to(call->out);
        put_live(&o, call_text(call, "channel"));
        rc = rc == HUB_OK ? HUB_ANSWERED : rc;
    } else if (rc == HUB_OK) {
        pack_u32(body, 1);
        event_body_put(body, call, call->params, &t);
    }
    buf_done(&t.b);
    return rc;
}

static bool unpack_event(struct unpack *u, struct apply *a, struct publish *publish,
                         struct event *event)
{
    *event = (struct event){.kind = EVENT_MESSAGE};
    *publish = (struct publish){.app = a->app, .event = event, .now_ms = a->now_ms};
    event->channel = unpack_slice(u);
    event->name = unpack_slice(u);
    event->data = unpack_slice(u);
    event->from = unpack_slice(u);
    event->headers = unpack_slice(u);
    event->conflate = unpack_slice(u);
    event->time_ms = unpack_i64(u);
    event->ttl_s = unpack_u32(u);
    event->exclude = unpack_u64(u);
    publish->expects = unpack_u8(u) != 0;
    publish->expect = unpack_u64(u);
    publish->keyed = unpack_u8(u) != 0;
    const uint8_t *hash = unpack_bytes(u, sizeof publish->key_hash);
    if (hash) {
        memcpy(publish->key_hash, hash, sizeof publish->key_hash);
    }
    return !u->bad;
}

static enum hub_rc events_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct buf reply = {0};
    uint32_t n = unpack_u32(&u);
    enum hub_rc rc = HUB_OK;
    pack_u32(&reply, n);
    for (uint32_t i = 0; i < n && rc == HUB_OK; i++) {
        struct publish publish;
        struct published published;
        struct event event;
        if (!unpack_event(&u, a, &publish, &event)) {
            rc = HUB_BAD_REQUEST;
            break;
        }
        rc = hub_rc_of_store(book_publish(a->book, &publish, &published));
        if (rc == HUB_OK && !published.refused && !published.repeated) {
            apply_emit(a, a->app, &event, published.offset, published.seq);
        }
        if (rc == HUB_OK) {
            pack_slice(&reply, event.channel);
            pack_u64(&reply, published.offset);
            pack_u8(&reply, published.refused);
            pack_u8(&reply, published.repeated);
        }
        if (rc == HUB_OK && published.refused && n == 1) {
            rc = HUB_CONFLICT;
            buf_clear(&reply);
            buf_printf(&reply, "the channel stands at offset %llu",
                       (unsigned long long)published.offset);
        }
    }
    apply_reply(a, command, buf_slice(&reply));
    buf_done(&reply);
    return rc;
}

static const struct command_kind command_events = {.name = "channels.publish",
                                                   .apply = events_apply};

static bool put_published(struct call *call, struct unpack *u, struct json_out *o)
{
    struct slice channel = unpack_slice(u);
    uint64_t offset = unpack_u64(u);
    bool refused = unpack_u8(u) != 0, repeated = unpack_u8(u) != 0;
    json_begin(o, '{');
    json_key(o, "channel");
    json_text(o, channel);
    if (refused) {
        json_key(o, "error");
        json_str(o, hub_error(HUB_CONFLICT)->code);
    }
    json_key(o, "offset");
    json_u64(o, offset);
    json_key(o, "epoch");
    json_str(o, call->io->hub->epoch);
    if (repeated) {
        json_key(o, "duplicate");
        json_bool(o, true);
    }
    json_end(o, '}');
    return !u->bad;
}

static enum hub_rc publish_answer(struct call *call, const struct command *command,
                                  struct slice reply)
{
    struct unpack u = unpack_of(reply);
    struct json_out o = json_out_to(call->out);
    (void)command;
    (void)unpack_u32(&u);
    return put_published(call, &u, &o) ? HUB_OK : HUB_INTERNAL;
}

/* ---- publish: a batch ---- */

enum { BATCH_MAX = 1000 };

/* Judged as a whole first: a batch is taken or refused, never taken in part. */
static enum hub_rc batch_check(struct call *call, const json_t *events, size_t *out_live)
{
    size_t i;
    const json_t *params;
    *out_live = 0;
    json_array_foreach(events, i, params)
    {
        struct texts t = {0};
        const struct namespace_options *options = NULL;
        texts_fill(&t, params);
        enum hub_rc rc = check_event(call, params, &t, &options);
        buf_done(&t.b);
        if (rc != HUB_OK) {
            buf_printf(call->message, " (events[%zu])", i);
            return rc;
        }
        *out_live += options->delivery == NS_LIVE;
    }
    if (*out_live && *out_live != json_array_size(events)) {
        return call_fail(call, HUB_INVALID, "events: live and durable channels in one batch");
    }
    return HUB_OK;
}

static enum hub_rc batch_live(struct call *call, const json_t *events)
{
    size_t i;
    const json_t *params;
    enum hub_rc rc = HUB_OK;
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    json_key(&o, "events");
    json_begin(&o, '[');
    json_array_foreach(events, i, params)
    {
        struct texts t = {0};
        texts_fill(&t, params);
        rc = rc == HUB_OK ? publish_live(call, params, &t) : rc;
        put_live(&o, text_in(params, "channel"));
        buf_done(&t.b);
    }
    json_end(&o, ']');
    json_end(&o, '}');
    return rc == HUB_OK ? HUB_ANSWERED : rc;
}

static enum hub_rc batch_prepare(struct call *call, struct buf *body)
{
    const json_t *events = call_json(call, "events"), *params;
    size_t i, live;
    enum hub_rc rc = batch_check(call, events, &live);
    if (rc != HUB_OK) {
        return rc;
    }
    if (live) {
        return batch_live(call, events);
    }
    pack_u32(body, (uint32_t)json_array_size(events));
    json_array_foreach(events, i, params)
    {
        struct texts t = {0};
        texts_fill(&t, params);
        event_body_put(body, call, params, &t);
        buf_done(&t.b);
    }
    return HUB_OK;
}

static enum hub_rc batch_answer(struct call *call, const struct command *command,
                                struct slice reply)
{
    struct unpack u = unpack_of(reply);
    struct json_out o = json_out_to(call->out);
    uint32_t n = unpack_u32(&u);
    bool ok = true;
    (void)command;
    json_begin(&o, '{');
    json_key(&o, "events");
    json_begin(&o, '[');
    for (uint32_t i = 0; i < n && ok; i++) {
        ok = put_published(call, &u, &o);
    }
    json_end(&o, ']');
    json_end(&o, '}');
    return ok ? HUB_OK : HUB_INTERNAL;
}

/* ---- reading ---- */

static enum hub_rc may(struct call *call, enum right right, struct slice channel)
{
    enum hub_rc rc = channel_may(call->io, call->who, right, channel);
    if (rc == HUB_INVALID_NAME) {
        return call_fail(call, rc, "channel: not a valid channel name");
    }
    return rc == HUB_FORBIDDEN ? call_fail(call, rc, "this channel is not open to you") : rc;
}

static void put_channel(struct call *call, struct json_out *o, const struct log_channel *channel,
                        const struct replay_span *span, const struct namespace_options *options)
{
    struct channel_name name = channel_name_parse(channel->name);
    json_begin(o, '{');
    json_key(o, "channel");
    json_text(o, channel->name);
    json_key(o, "namespace");
    json_text(o, name.ns);
    json_key(o, "delivery");
    json_str(o, options->delivery == NS_LIVE ? "live" : "durable");
    json_key(o, "epoch");
    json_str(o, call->io->hub->epoch);
    json_key(o, "first");
    json_u64(o, span->head.first);
    json_key(o, "offset");
    json_u64(o, span->head.last);
    json_key(o, "members_count");
    json_u64(o, presence_count(span->view, channel->channel));
    json_key(o, "created_at");
    json_time(o, channel->created_ms);
    json_end(o, '}');
}

static enum hub_rc get_query(struct call *call)
{
    struct io *io = call->io;
    struct slice name = call_text(call, "channel");
    enum hub_rc rc = may(call, RIGHT_SUBSCRIBE, name);
    if (rc != HUB_OK) {
        return rc;
    }
    struct replay_span span;
    struct log_channel channel = {0};
    const struct namespace_options *options = io_options(io, call->who->app, name);
    enum store_rc src =
        replay_span(io->hub->log, io->reader, call->who->app, name, options, call->now_ms, &span);
    if (src == STORE_OK) {
        src = span.channel ? log_channel_get(span.view, span.channel, &channel) : STORE_NOT_FOUND;
    }
    if (src == STORE_OK) {
        struct json_out o = json_out_to(call->out);
        put_channel(call, &o, &channel, &span, options);
    }
    store_release(io->reader);
    return src == STORE_NOT_FOUND ? call_fail(call, HUB_NOT_FOUND, "Channel %.*s not found",
                                              (int)name.n, (const char *)name.p)
                                  : hub_rc_of_store(src);
}

enum { LIST_LOOKS_MAX = 20000, NAMESPACES_DEFAULT = 1000 };

/* Newest first. A page looks at a bounded number of channels, so one may come back short with a
 * cursor. */
static enum hub_rc list_query(struct call *call)
{
    struct io *io = call->io;
    struct slice prefix = call_text(call, "prefix");
    int64_t limit = call_int(call, "limit", 100);
    uint64_t at = 0;
    enum hub_rc bad = call_place_number(call, &at);
    if (bad != HUB_OK) {
        return bad;
    }
    struct json_out o = json_out_to(call->out);
    struct buf names = {0};
    struct store_view *view;
    enum store_rc rc = store_snapshot(io->reader, &view);
    unsigned looks = 0;
    int64_t found = 0;
    struct log_channel channel;
    json_begin(&o, '{');
    json_key(&o, "channels");
    json_begin(&o, '[');
    while (rc == STORE_OK && found < limit && looks++ < LIST_LOOKS_MAX) {
        rc = log_channel_next(view, at, true, &channel);
        if (rc != STORE_OK) {
            break;
        }
        at = channel.channel;
        bool wanted = channel.app == call->who->app && channel.name.n >= prefix.n &&
                      (prefix.n == 0 || memcmp(channel.name.p, prefix.p, prefix.n) == 0);
        if (!wanted || channel_may(io, call->who, RIGHT_SUBSCRIBE, channel.name) != HUB_OK) {
            continue;
        }
        buf_clear(&names);
        buf_add_slice(&names, channel.name);
        struct replay_span span;
        const struct namespace_options *options = io_options(io, channel.app, buf_slice(&names));
        rc = replay_span(io->hub->log, io->reader, channel.app, buf_slice(&names), options,
                         call->now_ms, &span);
        if (rc == STORE_OK) {
            view = span.view; /* a newer snapshot; what the old one lent is copied */
            channel.name = buf_slice(&names);
            put_channel(call, &o, &channel, &span, options);
            found++;
        }
    }
    json_end(&o, ']');
    put_next_number(&o, list_of_call(call), rc == STORE_OK && at > 1 ? at : 0);
    json_end(&o, '}');
    store_release(io->reader);
    buf_done(&names);
    return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
}

static enum hub_rc members_query(struct call *call)
{
    struct slice name = call_text(call, "channel");
    uint8_t after[PAGE_PLACE_BYTES_MAX];
    size_t after_n = 0;
    enum hub_rc rc = may(call, RIGHT_SUBSCRIBE, name);
    if (rc == HUB_OK) {
        rc = call_place(call, after, &after_n);
    }
    if (rc == HUB_OK) {
        struct json_out o = json_out_to(call->out);
        struct buf next = {0};
        json_begin(&o, '{');
        put_text(&o, "channel", name);
        rc = channel_members(call->io, call->who->app, name, slice_of(after, after_n),
                             (uint32_t)call_int(call, "limit", 100), &o, &next);
        put_next_place(&o, list_of_call(call), buf_slice(&next));
        json_end(&o, '}');
        buf_done(&next);
    }
    return rc;
}

/* A cursor is the `since` or, going back, the `before` of the next page. */
static enum hub_rc history_of(struct call *call, struct history_query *out)
{
    *out = (struct history_query){.channel = call_text(call, "channel"),
                                  .since = (uint64_t)call_int(call, "since", 0),
                                  .before = (uint64_t)call_int(call, "before", 0),
                                  .limit = (uint32_t)call_int(call, "limit", 100),
                                  .reverse = call_bool(call, "reverse", false)};
    enum hub_rc rc = call_place_number(call, out->reverse ? &out->before : &out->since);
    return rc == HUB_OK ? may(call, RIGHT_HISTORY, out->channel) : rc;
}

static enum hub_rc history_query(struct call *call)
{
    struct history_query q;
    enum hub_rc rc = history_of(call, &q);
    return rc == HUB_OK ? channel_history_page(call, &q, list_of_call(call)) : rc;
}

/* Long poll (native-protocol.md section 6): what is there after `since`, or, when that is nothing,
 * what comes within `wait` seconds. */
static enum hub_rc poll_query(struct call *call)
{
    struct history_query q;
    uint32_t list = 0;
    enum hub_rc rc = history_of(call, &q);
    if (rc == HUB_OK && io_options(call->io, call->who->app, q.channel)->delivery == NS_LIVE) {
        rc = call_fail(call, HUB_INVALID,
                       "a live channel keeps nothing to poll for: subscribe over WebSocket");
    }
    if (rc == HUB_OK) {
        list = list_of_call(call);
        rc = channel_history_page(call, &q, list);
    }
    if (rc == HUB_OK && memmem(call->out->p, call->out->n, "\"events\":[]", 11)) {
        call_wait(call, q.channel, q.since, (int64_t)(call_number(call, "wait", 0) * 1000));
        call->wait.limit = q.limit;
        call->wait.list = list;
    }
    return rc;
}

/* ---- namespaces ---- */

static void put_namespace(struct json_out *o, struct slice ns,
                          const struct namespace_options *options)
{
    json_begin(o, '{');
    json_key(o, "namespace");
    json_text(o, ns);
    json_key(o, "system");
    json_bool(o, options->system);
    json_key(o, "options");
    namespace_options_json(options, o);
    json_end(o, '}');
}

/* They come in the order they were made, which one that is made anew changes: pages go by name. */
enum { NAMESPACE_KEY_BYTES_MAX = NAMESPACE_BYTES_MAX + 5 };

struct namespace_row {
    /* Name, NUL, app: the hub's own of a name is first. Zeros behind it. */
    uint8_t key[NAMESPACE_KEY_BYTES_MAX];
    uint8_t key_n;
    struct slice name;
    const struct namespace_options *options;
};

struct namespace_rows {
    struct namespace_row *list;
    size_t n, cap;
    uint32_t app;
};

static int by_key(const void *a, const void *b)
{
    const struct namespace_row *x = a, *y = b;
    return memcmp(x->key, y->key, sizeof x->key);
}

static bool gather(void *ctx, uint32_t app, struct slice ns,
                   const struct namespace_options *options)
{
    struct namespace_rows *rows = ctx;
    if (app != 0 && app != rows->app) {
        return true;
    }
    if (rows->n == rows->cap) {
        rows->cap = rows->cap ? 2 * rows->cap : 64;
        rows->list = xrealloc(rows->list, rows->cap * sizeof *rows->list);
    }
    struct namespace_row *row = &rows->list[rows->n++];
    *row = (struct namespace_row){.key_n = (uint8_t)(ns.n + 5), .name = ns, .options = options};
    memcpy(row->key, ns.p, ns.n);
    be32_put(row->key + ns.n + 1, app);
    return true;
}

static void put_namespaces(struct page *page)
{
    struct namespace_rows rows = {.app = page->call->who->app};
    uint8_t after[NAMESPACE_KEY_BYTES_MAX] = {0};
    memcpy(after, page->last, page->last_n < sizeof after ? page->last_n : sizeof after);
    namespaces_each(page->call->io->namespaces, gather, &rows);
    if (rows.n) {
        qsort(rows.list, rows.n, sizeof *rows.list, by_key);
    }
    for (size_t i = 0; i < rows.n; i++) {
        const struct namespace_row *row = &rows.list[i];
        if (memcmp(row->key, after, sizeof after) <= 0) {
            continue;
        }
        if (!page_takes_key(page, slice_of(row->key, row->key_n))) {
            break;
        }
        put_namespace(&page->o, row->name, row->options);
    }
    free(rows.list);
}

static enum hub_rc namespaces_query(struct call *call)
{
    struct page page;
    enum hub_rc rc = page_open(&page, call, NAMESPACES_DEFAULT);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = page_after(&page);
    if (rc == HUB_OK) {
        json_begin(&page.o, '{');
        page_list(&page, "namespaces");
        put_namespaces(&page);
        page_list_end(&page);
        json_key(&page.o, "default");
        namespace_options_json(
            namespace_of(call->io->namespaces, call->who->app, slice_of(NULL, 0)), &page.o);
        json_end(&page.o, '}');
    }
    page_close(&page);
    return rc;
}

static enum hub_rc namespace_query(struct call *call)
{
    struct json_out o = json_out_to(call->out);
    struct slice ns = call_text(call, "namespace");
    put_namespace(&o, ns, namespace_of(call->io->namespaces, call->who->app, ns));
    return HUB_OK;
}

/* Options given are laid over those in force; the row then holds all of them. */
static enum hub_rc namespace_prepare(struct call *call, struct buf *body)
{
    struct slice ns = call_text(call, "namespace");
    if (!channel_name_valid(ns) || ns.n > NAMESPACE_BYTES_MAX || memchr(ns.p, '.', ns.n)) {
        return call_fail(call, HUB_INVALID_NAME,
                         "namespace: 1 to 64 characters of a channel name, no dot");
    }
    struct why why;
    enum hub_rc rc = call_why(call, &why);
    if (rc != HUB_OK) {
        return rc;
    }
    struct namespaces *set = namespaces_copy(call->io->namespaces);
    const char *name;
    json_t *value;
    char text[256], fault[256];
    json_object_foreach(call->params, name, value)
    {
        if (strcmp(name, "namespace") == 0) {
            continue;
        }
        if (json_is_string(value)) {
            snprintf(text, sizeof text, "%s", json_string_value(value));
        } else if (json_is_boolean(value)) {
            snprintf(text, sizeof text, "%s", json_is_true(value) ? "true" : "false");
        } else {
            snprintf(text, sizeof text, "%.0f", json_number_value(value));
        }
        if (!namespace_set(set, call->who->app, ns, name, text, fault, sizeof fault)) {
            rc = call_fail_field(call, name, "value_error", "%s", fault);
            break;
        }
    }
    if (rc == HUB_OK) {
        namespace_body_put(body, &why, ns, namespace_of(set, call->who->app, ns));
    }
    namespaces_free(set);
    return rc;
}

static enum hub_rc namespace_answer(struct call *call, const struct command *command,
                                    struct slice reply)
{
    struct json_out o = json_out_to(call->out);
    (void)command;
    (void)reply;
    json_begin(&o, '{');
    json_key(&o, "status");
    json_str(&o, "success");
    json_key(&o, "updated_at");
    json_time(&o, call->now_ms);
    json_end(&o, '}');
    return HUB_OK;
}

static enum hub_rc namespace_drop_prepare(struct call *call, struct buf *body)
{
    struct slice ns = call_text(call, "namespace");
    if (ns.n == 0 || ns.n > NAMESPACE_BYTES_MAX) {
        return call_fail(call, HUB_INVALID_NAME, "namespace: 1 to 64 characters");
    }
    struct why why;
    enum hub_rc rc = call_why(call, &why);
    if (rc == HUB_OK) {
        namespace_body_put(body, &why, ns, NULL);
    }
    return rc;
}

/* ---- the table ---- */

/* clang-format off */
#define CHANNEL "\"channel\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":164,\"description\":\"A-Z a-z 0-9 _ - = @ , . ;\"}"
#define EVENT_FIELDS \
    "\"event\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200}," \
    "\"data\":{\"description\":\"any JSON\"}," \
    "\"key\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":256,\"description\":\"idempotency key\"}," \
    "\"ttl\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":4294967295,\"description\":\"seconds\"}," \
    "\"expect\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"refuse unless the channel stands at this offset\"}," \
    "\"conflate\":{\"type\":\"string\",\"maxLength\":200}," \
    "\"echo\":{\"type\":\"boolean\"}," \
    "\"headers\":{\"type\":\"object\"}"
#define CURSOR "\"cursor\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":520,\"description\":\"The next_cursor of the page before.\"}"
#define NEXT_CURSOR "\"next_cursor\":{\"type\":[\"string\",\"null\"]}"
#define LIMIT "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":100}"
#define NAMESPACE "\"namespace\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}"
#define REASON "\"reason\":" SCHEMA(SHAPE_REASON)
#define OPTION "{\"type\":[\"string\",\"number\",\"boolean\"]}"
#define PUBLISHED "{\"type\":\"object\",\"properties\":{" CHANNEL ",\"offset\":{\"type\":\"integer\"},\"epoch\":{\"type\":\"string\"},\"duplicate\":{\"type\":\"boolean\"}},\"required\":[\"channel\"]}"
#define CHANNEL_VIEW "{\"type\":\"object\",\"properties\":{" CHANNEL ",\"namespace\":{\"type\":\"string\"},\"delivery\":{\"enum\":[\"live\",\"durable\"]},\"epoch\":{\"type\":\"string\"},\"first\":{\"type\":\"integer\"},\"offset\":{\"type\":\"integer\"},\"members_count\":{\"type\":\"integer\"},\"created_at\":{\"type\":\"string\"}}}"
#define HISTORY "{\"type\":\"object\",\"properties\":{" CHANNEL ",\"epoch\":{\"type\":\"string\"},\"first\":{\"type\":\"integer\"},\"offset\":{\"type\":\"integer\"},\"events\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},\"next\":{\"type\":[\"integer\",\"null\"]}," NEXT_CURSOR "}}"

static const struct operation rows[] = {
    { .name = "channels.publish", .summary = "Publish an event; answered when it is on disk",
      .needs = ROLE_GUEST, .flags = OPERATION_BODY | OPERATION_CREATES,
      .routes = { { METHOD_POST, "/api/v1/channels/{channel}/events", 201, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{" CHANNEL "," EVENT_FIELDS "},\"required\":[\"channel\",\"event\"],\"additionalProperties\":false}",
      .answer_schema = PUBLISHED,
      .kind = &command_events, .prepare = publish_prepare, .answer = publish_answer },
    { .name = "channels.publish_batch", .summary = "Publish up to 1,000 events in one transaction",
      .needs = ROLE_GUEST, .flags = OPERATION_BODY | OPERATION_CREATES,
      .routes = { { METHOD_POST, "/api/v1/events", 201, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{\"events\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":1000,\"items\":{\"type\":\"object\",\"properties\":{" CHANNEL "," EVENT_FIELDS "},\"required\":[\"channel\",\"event\"],\"additionalProperties\":false}}},\"required\":[\"events\"]}",
      .answer_schema = "{\"type\":\"object\",\"properties\":{\"events\":{\"type\":\"array\",\"items\":" PUBLISHED "}}}",
      .kind = &command_events, .prepare = batch_prepare, .answer = batch_answer },
    { .name = "channels.list", .summary = "Channels of the app, newest first",
      .needs = ROLE_VIEWER,
      .routes = { { METHOD_GET, "/api/v1/channels", 200, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{\"prefix\":{\"type\":\"string\",\"maxLength\":164}," LIMIT "," CURSOR "}}",
      .answer_schema = "{\"type\":\"object\",\"properties\":{\"channels\":{\"type\":\"array\",\"items\":" CHANNEL_VIEW "}," NEXT_CURSOR "}}",
      .query = list_query },
    { .name = "channels.get", .summary = "Where a channel stands",
      .needs = ROLE_GUEST,
      .routes = { { METHOD_GET, "/api/v1/channels/{channel}", 200, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{" CHANNEL "},\"required\":[\"channel\"]}",
      .answer_schema = CHANNEL_VIEW,
      .query = get_query },
    { .name = "channels.members", .summary = "Who is present in a channel",
      .needs = ROLE_GUEST,
      .routes = { { METHOD_GET, "/api/v1/channels/{channel}/members", 200, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{" CHANNEL "," LIMIT "," CURSOR "},\"required\":[\"channel\"]}",
      .answer_schema = "{\"type\":\"object\",\"properties\":{" CHANNEL ",\"count\":{\"type\":\"integer\"},\"members\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}},\"next\":{\"type\":\"string\"}," NEXT_CURSOR "}}",
      .query = members_query },
    { .name = "channels.history", .summary = "What a channel keeps, oldest first or newest first",
      .needs = ROLE_GUEST,
      .routes = { { METHOD_GET, "/api/v1/channels/{channel}/history", 200, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{" CHANNEL ",\"since\":{\"type\":\"integer\",\"minimum\":0,\"description\":\"events after this offset\"},\"before\":{\"type\":\"integer\",\"minimum\":0},\"reverse\":{\"type\":\"boolean\"}," LIMIT "," CURSOR "},\"required\":[\"channel\"]}",
      .answer_schema = HISTORY,
      .query = history_query },
    { .name = "channels.poll", .summary = "Events after an offset, waiting for them when there are none",
      .needs = ROLE_GUEST,
      .routes = { { METHOD_GET, "/api/v1/channels/{channel}/events", 200, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{" CHANNEL ",\"since\":{\"type\":\"integer\",\"minimum\":0},\"wait\":{\"type\":\"number\",\"minimum\":0,\"maximum\":60,\"description\":\"seconds\"}," LIMIT "," CURSOR "},\"required\":[\"channel\"]}",
      .answer_schema = HISTORY,
      .query = poll_query },
    { .name = "namespaces.list", .summary = "Namespaces with options of their own, and the default",
      .needs = ROLE_VIEWER,
      .routes = { { METHOD_GET, "/api/v1/namespaces", 200, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":1000}," CURSOR "}}",
      .query = namespaces_query },
    { .name = "namespaces.get", .summary = "The options in force for a namespace",
      .needs = ROLE_VIEWER,
      .routes = { { METHOD_GET, "/api/v1/namespaces/{namespace}", 200, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{" NAMESPACE "},\"required\":[\"namespace\"]}",
      .query = namespace_query },
    { .name = "namespaces.set", .summary = "Set options of a namespace at run time",
      .needs = ROLE_OPERATOR, .flags = OPERATION_BODY,
      .routes = { { METHOD_PUT, "/api/v1/namespaces/{namespace}", 200, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{" NAMESPACE ",\"access\":" OPTION ",\"delivery\":" OPTION ",\"history_events\":" OPTION ",\"history_age\":" OPTION ",\"history_bytes\":" OPTION ",\"latest\":" OPTION ",\"conflate\":" OPTION ",\"slow\":" OPTION ",\"publish\":" OPTION ",\"presence_grace_ms\":" OPTION ",\"message_bytes\":" OPTION ",\"rate\":" OPTION ",\"ack_wait\":" OPTION ",\"max_in_flight\":" OPTION ",\"max_deliver\":" OPTION "},\"required\":[\"namespace\"],\"additionalProperties\":false,\"minProperties\":2}",
      .kind = &command_namespace, .prepare = namespace_prepare, .answer = namespace_answer },
    { .name = "namespaces.reset", .summary = "Back to the configuration's options",
      .needs = ROLE_OPERATOR,
      .routes = { { METHOD_DELETE, "/api/v1/namespaces/{namespace}", 200, STYLE_PROBLEM, false } },
      .params = "{\"type\":\"object\",\"properties\":{" NAMESPACE "," REASON "},\"required\":[\"namespace\"]}",
      .kind = &command_namespace, .prepare = namespace_drop_prepare, .answer = namespace_answer },
};
/* clang-format on */

const struct operation_table channel_operations = {rows, sizeof rows / sizeof *rows};
