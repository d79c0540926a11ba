#include "hub/api/channel_access.h"
#include "auth/pattern.h"
#include "channels/json_scan.h"
#include "channels/presence.h"
#include "channels/replay.h"
#include "hub/api/pages.h"

#include <stdlib.h>

enum { RATE_CLASS_PUBLISH = 2, HEADERS_BYTES_MAX = 8192, KEY_BYTES_MAX = 256 };

/* ---- rights ---- */

enum access channel_access_of(const struct namespace_options *options, struct slice channel)
{
    if (options->system) {
        return ACCESS_SYSTEM;
    }
    struct channel_name name = channel_name_parse(channel);
    if (name.access == CHANNEL_PRIVATE || options->access == CHANNEL_PRIVATE) {
        return ACCESS_PRIVATE;
    }
    return name.access == CHANNEL_PRESENCE || options->access == CHANNEL_PRESENCE ? ACCESS_PRESENCE
                                                                                  : ACCESS_PUBLIC;
}

enum hub_rc channel_may(const struct io *io, const struct principal *who, enum right right,
                        struct slice channel)
{
    bool pattern = right == RIGHT_SUBSCRIBE && channel_is_pattern(channel);
    if (pattern ? !channel_pattern_valid(channel) : !channel_name_valid(channel)) {
        return HUB_INVALID_NAME;
    }
    const struct namespace_options *options = io_options(io, who->app, channel);
    enum access access = channel_access_of(options, channel);
    return principal_may_channel(who, right, channel, access) ? HUB_OK : HUB_FORBIDDEN;
}

/* ---- publishing ---- */

static enum hub_rc refuse(struct buf *message, enum hub_rc rc, const char *text)
{
    buf_clear(message);
    buf_add_str(message, text);
    return rc;
}

static enum hub_rc may_publish(const struct principal *who, const struct namespace_options *options,
                               struct slice channel, struct buf *message)
{
    enum right right = options->publish == NS_PUBLISH_ANY ? RIGHT_SUBSCRIBE : RIGHT_PUBLISH;
    if (!channel_name_valid(channel)) {
        return refuse(message, HUB_INVALID_NAME, "channel: not a valid channel name");
    }
    if (options->system || options->publish == NS_PUBLISH_HUB) {
        return refuse(message, HUB_FORBIDDEN, "only the hub itself publishes on this channel");
    }
    if (!principal_may_channel(who, right, channel, channel_access_of(options, channel))) {
        return refuse(message, HUB_FORBIDDEN, "publishing on this channel is not allowed");
    }
    return HUB_OK;
}

static enum hub_rc within_bounds(const struct publishing *p,
                                 const struct namespace_options *options, struct buf *message)
{
    if (json_kind_of(p->event) != JSON_KIND_STRING || p->event.n < 3) {
        return refuse(message, HUB_INVALID, "event: a name is required");
    }
    if (p->event.n - 2 > EVENT_NAME_BYTES_MAX) {
        return refuse(message, HUB_INVALID, "event: at most 200 bytes");
    }
    if (p->data.n > options->message_bytes) {
        return refuse(message, HUB_TOO_LARGE, "data: larger than the namespace's message_bytes");
    }
    if (p->headers.n && json_kind_of(p->headers) != JSON_KIND_OBJECT) {
        return refuse(message, HUB_INVALID, "headers: must be an object");
    }
    if (p->headers.n > HEADERS_BYTES_MAX) {
        return refuse(message, HUB_TOO_LARGE, "headers: at most 8192 bytes");
    }
    if (p->key.n > KEY_BYTES_MAX) {
        return refuse(message, HUB_INVALID, "key: at most 256 bytes");
    }
    if (p->conflate.n && (json_kind_of(p->conflate) != JSON_KIND_STRING ||
                          p->conflate.n - 2 > EVENT_NAME_BYTES_MAX)) {
        return refuse(message, HUB_INVALID, "conflate: a string of at most 200 bytes");
    }
    return HUB_OK;
}

static enum hub_rc within_rate(struct io *io, const struct principal *who,
                               const struct namespace_options *options, struct slice channel,
                               struct buf *message, uint32_t *out_retry_s)
{
    const struct rate_rule *rule = &io->settings->rate_publishes;
    struct rate_verdict verdict = {.ok = true};
    if (rule->count) {
        uint64_t key = rate_key(io->hub->rate, RATE_CLASS_PUBLISH, who->app, who->subject);
        verdict = rate_take(io->hub->rate, key, rule, 1, io->now_us);
    }
    if (verdict.ok && options->rate) {
        struct rate_rule own = {.count = options->rate, .period_s = 1};
        struct hash128 h =
            hash128_named(io->hub->hash_seed, who->app, channel_name_parse(channel).ns);
        uint64_t key = rate_key(io->hub->rate, RATE_CLASS_PUBLISH, who->app, who->subject) ^ h.lo;
        verdict = rate_take(io->hub->rate, key, &own, 1, io->now_us);
    }
    if (verdict.ok) {
        return HUB_OK;
    }
    *out_retry_s = verdict.retry_after_s;
    io_count(&io->counters.rate_limited, 1);
    return refuse(message, HUB_RATE_LIMITED, "publishing too fast");
}

static struct slice escaped(struct buf *scratch, size_t *at, struct slice raw)
{
    *at = scratch->n;
    if (raw.n) {
        (void)json_to_escaped(raw, scratch);
    }
    return slice_of(NULL, scratch->n - *at);
}

enum hub_rc channel_publish_check(struct io *io, const struct principal *who,
                                  const struct publishing *p, struct buf *message,
                                  const struct namespace_options **out_options,
                                  uint32_t *out_retry_s)
{
    const struct namespace_options *options = io_options(io, who->app, p->channel);
    enum hub_rc rc = may_publish(who, options, p->channel, message);
    if (rc == HUB_OK) {
        rc = within_bounds(p, options, message);
    }
    if (rc == HUB_OK) {
        rc = within_rate(io, who, options, p->channel, message, out_retry_s);
    }
    *out_options = options;
    return rc;
}

enum hub_rc channel_publish(struct io *io, const struct principal *who, const struct publishing *p,
                            struct buf *scratch, struct buf *message, bool *out_live,
                            uint32_t *out_retry_s)
{
    const struct namespace_options *options;
    enum hub_rc rc = channel_publish_check(io, who, p, message, &options, out_retry_s);
    return rc == HUB_OK ? channel_publish_put(io, who, p, scratch, out_live) : rc;
}

enum hub_rc channel_publish_put(struct io *io, const struct principal *who,
                                const struct publishing *p, struct buf *scratch, bool *out_live)
{
    const struct namespace_options *options = io_options(io, who->app, p->channel);
    size_t name_at, conflate_at, from_at;
    struct slice name = escaped(scratch, &name_at, p->event);
    struct slice conflate = escaped(scratch, &conflate_at, p->conflate);
    from_at = scratch->n;
    json_escape(scratch, who->subject);
    struct io_publish publish = {
        .app = who->app,
        .event = {.kind = EVENT_MESSAGE,
                  .channel = p->channel,
                  .name = slice_of(scratch->p + name_at, name.n),
                  .data = p->data.n ? p->data : slice_str("null"),
                  .from = slice_of(scratch->p + from_at, scratch->n - from_at),
                  .headers = p->headers,
                  .conflate = slice_of(scratch->p + conflate_at, conflate.n),
                  .time_ms = io->now_ms,
                  .ttl_s = p->ttl_s,
                  .exclude = p->no_echo ? p->connection : 0},
        .options = options,
        .from = p->from,
        .ticket = p->ticket,
        .id = p->id,
        .key = p->key,
        .expects = p->expects,
        .expect = p->expect};
    return io_publish(io, &publish, out_live);
}

/* ---- history ---- */

struct history_page {
    struct json_out *o;
    struct slice channel;
    int64_t now_ms;
    uint32_t left;
    uint64_t before;
    uint64_t next;
};

static bool is_over(const struct event *event, int64_t now_ms)
{
    return event->ttl_s && event->time_ms + (int64_t)event->ttl_s * 1000 <= now_ms;
}

/* False: not an event any more. */
static bool put_event(struct history_page *page, const struct log_record *record)
{
    struct event event;
    if (!event_unpack(record->payload, &event)) {
        return false;
    }
    event.channel = page->channel;
    event.time_ms = record->time_ms;
    if (is_over(&event, page->now_ms)) {
        return false;
    }
    struct buf text = {0};
    event_json_write(&text, &event, record->offset);
    json_raw(page->o, buf_slice(&text));
    buf_done(&text);
    page->left--;
    return true;
}

static bool put_forward(void *ctx, const struct log_record *record)
{
    struct history_page *page = ctx;
    if (page->left == 0 || (page->before && record->offset >= page->before)) {
        return false;
    }
    (void)put_event(page, record);
    page->next = record->offset + 1;
    return true;
}

static void forward(struct history_page *page, const struct replay_span *span, uint64_t from)
{
    uint64_t next = from;
    page->next = from;
    while (page->left && next <= span->head.last && (!page->before || next < page->before)) {
        uint64_t begun = next;
        enum store_rc rc =
            log_read(span->view, &span->head, next, page->left, put_forward, page, &next);
        if (rc == STORE_DAMAGED && next > begun) {
            page->next = next;
        } else if (page->next > begun) {
            next = page->next;
        } else {
            break;
        }
    }
}

static void backward(struct history_page *page, const struct replay_span *span, uint64_t from)
{
    uint64_t at = from;
    for (; page->left && at >= span->head.first && at > 0; at--) {
        struct log_record record;
        if (log_get(span->view, &span->head, at, &record) == STORE_OK) {
            (void)put_event(page, &record);
        }
    }
    page->next = at;
}

enum hub_rc channel_history(struct io *io, uint32_t app, const struct history_query *q,
                            struct json_out *o, uint64_t *out_next)
{
    struct replay_span span;
    const struct namespace_options *options = io_options(io, app, q->channel);
    enum store_rc rc =
        replay_span(io->hub->log, io->reader, app, q->channel, options, io->now_ms, &span);
    if (rc != STORE_OK) {
        store_release(io->reader);
        return hub_rc_of_store(rc);
    }
    struct history_page page = {
        .o = o, .channel = q->channel, .now_ms = io->now_ms, .left = q->limit, .before = q->before};
    uint64_t first = span.head.first, last = span.head.last;
    json_key(o, "channel");
    json_text(o, q->channel);
    json_key(o, "epoch");
    json_str(o, io->hub->epoch);
    json_key(o, "first");
    json_u64(o, first);
    json_key(o, "offset");
    json_u64(o, last);
    json_key(o, "events");
    json_begin(o, '[');
    bool more;
    if (q->reverse) {
        uint64_t from = q->before && q->before <= last ? q->before - 1 : last;
        span.head.first = q->since >= first ? q->since + 1 : first;
        backward(&page, &span, from);
        more = page.next >= span.head.first && page.next > 0 && page.left == 0;
    } else {
        forward(&page, &span, q->since + 1 > first ? q->since + 1 : first);
        more = page.left == 0 && page.next <= last && (!q->before || page.next < q->before);
    }
    json_end(o, ']');
    store_release(io->reader);
    /* What to ask with next: `since` going forward, `before` going back. */
    json_key(o, "next");
    uint64_t next = !more ? 0 : q->reverse ? page.next + 1 : page.next - 1;
    if (next) {
        json_u64(o, next);
    } else {
        json_put_null(o);
    }
    *out_next = next;
    return HUB_OK;
}

enum hub_rc channel_history_page(struct call *call, const struct history_query *q, uint32_t list)
{
    uint64_t next = 0;
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    enum hub_rc rc = channel_history(call->io, call->who->app, q, &o, &next);
    put_next_number(&o, list, next);
    json_end(&o, '}');
    return rc;
}

/* ---- members ---- */

struct members_page {
    struct json_out *o;
    uint32_t left;
    struct buf last;
    bool more;
};

static bool put_member(void *ctx, const struct presence_view *member)
{
    struct members_page *page = ctx;
    if (page->left == 0) {
        page->more = true;
        return false;
    }
    page->left--;
    json_begin(page->o, '{');
    json_key(page->o, "id");
    json_escaped(page->o, member->id);
    json_key(page->o, "info");
    json_raw(page->o, member->info);
    json_end(page->o, '}');
    buf_clear(&page->last);
    buf_add_slice(&page->last, member->id);
    return true;
}

static void put_members(struct store_view *view, uint64_t channel, struct slice after,
                        struct members_page *page)
{
    struct json_out *o = page->o;
    json_key(o, "count");
    json_u64(o, channel ? presence_count(view, channel) : 0);
    json_key(o, "members");
    json_begin(o, '[');
    if (channel) {
        (void)presence_list(view, channel, after, put_member, page);
    }
    json_end(o, ']');
    if (page->more) {
        json_key(o, "next");
        json_escaped(o, buf_slice(&page->last));
    }
}

void channel_members_in(struct store_view *view, uint64_t channel, struct slice after,
                        uint32_t limit, struct json_out *o)
{
    struct members_page page = {.o = o, .left = limit};
    put_members(view, channel, after, &page);
    buf_done(&page.last);
}

enum hub_rc channel_members(struct io *io, uint32_t app, struct slice channel, struct slice after,
                            uint32_t limit, struct json_out *o, struct buf *next)
{
    struct store_view *view;
    struct log_channel found = {0};
    enum store_rc rc = store_snapshot(io->reader, &view);
    if (rc == STORE_OK) {
        rc = log_find(view, app, channel, &found);
    }
    if (rc != STORE_OK && rc != STORE_NOT_FOUND) {
        store_release(io->reader);
        return hub_rc_of_store(rc);
    }
    struct members_page page = {.o = o, .left = limit};
    put_members(view, found.channel, after, &page);
    if (page.more) {
        buf_add_slice(next, buf_slice(&page.last));
    }
    buf_done(&page.last);
    store_release(io->reader);
    return HUB_OK;
}
