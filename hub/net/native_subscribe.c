/* Attaching: interest first, then the position, then what was missed (native-protocol.md section
 * 5).
 *
 * A subscribe frame may name many channels; those with presence wait for the writer to let the
 * member in. One answer is given when all of them are settled, and only then do events flow. */
#include "hub/api/channel_access.h"
#include "hub/net/native_parts.h"

#include "auth/pattern.h"
#include "channels/replay.h"

#include <assert.h>
#include <stdlib.h>

enum { MEMBERS_IN_ANSWER = 500, REQUESTS_MAX = 64 };

enum item_state { ITEM_WAITING, ITEM_SETTLED, ITEM_REFUSED };

struct item {
    struct buf name; /* channel or pattern */
    struct buf info; /* presence, raw JSON */
    struct buf cursor;
    struct cursor_attached attached;
    uint64_t since, rewind;
    bool pattern, presence, has_since, other_epoch, latest;
    uint8_t state;
    enum hub_rc rc;
};

struct subscribe_request {
    struct subscribe_request *next;
    uint32_t number;
    uint32_t waiting;
    struct buf id;
    size_t n;
    struct item items[];
};

/* ---- reading the frame ---- */

static const char *const item_names[] = {"channel", "since",    "rewind",
                                         "cursor",  "presence", "latest"};
enum item_key {
    ITEM_CHANNEL,
    ITEM_SINCE,
    ITEM_REWIND,
    ITEM_CURSOR,
    ITEM_PRESENCE,
    ITEM_LATEST,
    ITEM_KEYS
};

static bool read_since(const struct conn *c, struct slice raw, struct item *item)
{
    static const char *const names[] = {"offset", "epoch"};
    struct slice field[2], epoch;
    size_t at;
    item->has_since = true;
    if (json_kind_of(raw) != JSON_KIND_OBJECT) {
        return json_to_u64(raw, &item->since);
    }
    if (json_fields(raw, names, 2, field, &at) != JSON_OK || !json_to_u64(field[0], &item->since)) {
        return false;
    }
    item->other_epoch =
        field[1].n && !(json_is_plain(field[1], &epoch) && slice_is(epoch, c->thread->hub->epoch));
    return true;
}

/* A sentence about what is wrong, NULL when nothing is. */
static const char *read_options(const struct conn *c, const struct slice field[ITEM_KEYS],
                                struct item *item)
{
    if (field[ITEM_CURSOR].n && json_kind_of(field[ITEM_CURSOR]) != JSON_KIND_NULL &&
        !(json_to_text(field[ITEM_CURSOR], &item->cursor) &&
          namespace_name_valid(buf_slice(&item->cursor)))) {
        return "cursor: a name of 1 to 64 of A-Z a-z 0-9 _ - = @ , ;";
    }
    if (field[ITEM_SINCE].n && !read_since(c, field[ITEM_SINCE], item)) {
        return "since: an offset, or {\"epoch\":…,\"offset\":…}";
    }
    if (field[ITEM_REWIND].n && !json_to_u64(field[ITEM_REWIND], &item->rewind)) {
        return "rewind: a whole number of events";
    }
    if (field[ITEM_LATEST].n && !json_to_bool(field[ITEM_LATEST], &item->latest)) {
        return "latest: true or false";
    }
    if (field[ITEM_PRESENCE].n && json_kind_of(field[ITEM_PRESENCE]) != JSON_KIND_FALSE &&
        json_kind_of(field[ITEM_PRESENCE]) != JSON_KIND_NULL) {
        if (field[ITEM_PRESENCE].n > PRESENCE_INFO_BYTES_MAX) {
            return "presence: at most 4096 bytes";
        }
        item->presence = true;
        if (json_kind_of(field[ITEM_PRESENCE]) != JSON_KIND_TRUE) {
            buf_add_slice(&item->info, field[ITEM_PRESENCE]);
        }
    }
    if (item->cursor.n && (item->presence || item->latest)) {
        return "cursor: goes with since or rewind, not with presence or latest";
    }
    return NULL;
}

static const char *read_item(const struct conn *c, struct slice raw, struct item *item)
{
    struct slice field[ITEM_KEYS] = {{0}};
    size_t at;
    if (json_kind_of(raw) == JSON_KIND_STRING) {
        field[ITEM_CHANNEL] = raw;
    } else if (json_kind_of(raw) != JSON_KIND_OBJECT ||
               json_fields(raw, item_names, ITEM_KEYS, field, &at) != JSON_OK) {
        return "channels: names, or objects with a channel";
    }
    if (!json_to_text(field[ITEM_CHANNEL], &item->name)) {
        return "channel: a name is required";
    }
    item->pattern = channel_is_pattern(buf_slice(&item->name));
    return read_options(c, field, item);
}

static size_t count_items(struct slice channels)
{
    struct json_walk walk = json_walk_of(channels);
    struct slice key, value;
    size_t n = 0;
    while (json_walk_next(&walk, &key, &value)) {
        n++;
    }
    return n;
}

/* ---- one channel ---- */

static enum hub_rc attach_pattern(struct conn *c, struct item *item)
{
    struct net_thread *t = c->thread;
    if (c->sub.patterns_n >= t->io.settings->patterns_max) {
        return HUB_LIMIT;
    }
    if (item->presence || item->has_since || item->rewind || item->latest || item->cursor.n) {
        return HUB_INVALID;
    }
    if (topics_watch(t->io.topics, &c->sub, buf_slice(&item->name)) && c->sub.patterns_n == 1) {
        /* Interest is set; what is committed from now on comes live. */
        c->sub.next_seq = log_newest_seq(t->hub->log) + 1;
        c->sub.patterns_state = SUB_LIVE;
    }
    item->state = ITEM_SETTLED;
    return HUB_OK;
}

static enum hub_rc attach_channel(struct conn *c, struct item *item,
                                  struct subscribe_request *request)
{
    struct net_thread *t = c->thread;
    struct slice name = buf_slice(&item->name);
    const struct namespace_options *options = io_options(&t->io, c->who->app, name);
    if (channel_access_of(options, name) == ACCESS_PRESENCE) {
        item->presence = true; /* whoever subscribes is there */
    }
    if (item->presence) {
        enum hub_rc may = channel_may(&t->io, c->who, RIGHT_PRESENCE, name);
        if (may != HUB_OK && channel_access_of(options, name) != ACCESS_PRESENCE) {
            return may;
        }
        item->presence = may == HUB_OK; /* may look on without being a member */
    }
    if (c->sub.subs_n >= t->io.settings->subscriptions_max) {
        return HUB_LIMIT;
    }
    bool fresh;
    uint64_t hash = io_channel_hash(&t->io, c->who->app, name);
    struct subscription *sub = topics_subscribe(t->io.topics, &c->sub, hash, name, options, &fresh);
    if (fresh) {
        io_gauge(&t->io.counters.subscriptions, 1);
    }
    if (!item->presence) {
        item->state = ITEM_SETTLED;
        return HUB_OK;
    }
    if (!native_presence(c, PRESENCE_JOIN, name, buf_slice(&item->info), slice_of(NULL, 0),
                         TICKET_JOIN)) {
        if (fresh) {
            topics_unsubscribe(t->io.topics, sub);
            io_gauge(&t->io.counters.subscriptions, -1);
        }
        return HUB_UNAVAILABLE;
    }
    sub->member = true;
    request->waiting++;
    return HUB_OK;
}

static enum hub_rc attach_cursor(struct conn *c, struct item *item,
                                 struct subscribe_request *request)
{
    struct cursor_attach attach = {.channel = buf_slice(&item->name),
                                   .name = buf_slice(&item->cursor),
                                   .why.by = c->who->subject,
                                   .connection = c->id,
                                   .has_since = item->has_since,
                                   .since = item->other_epoch ? 0 : item->since,
                                   .rewind = item->rewind};
    enum hub_rc rc = native_cursor_attach(c, &attach);
    request->waiting += rc == HUB_OK;
    return rc;
}

static enum hub_rc attach(struct conn *c, struct item *item, struct subscribe_request *request)
{
    enum hub_rc rc = channel_may(&c->thread->io, c->who, RIGHT_SUBSCRIBE, buf_slice(&item->name));
    if (rc != HUB_OK) {
        return rc;
    }
    if (item->pattern) {
        return attach_pattern(c, item);
    }
    return item->cursor.n ? attach_cursor(c, item, request) : attach_channel(c, item, request);
}

/* ---- the answer ---- */

/* Where the subscription begins to read. */
static uint64_t first_offset(const struct conn *c, const struct item *item,
                             const struct namespace_options *options, const struct log_head *head)
{
    (void)c;
    uint64_t end = head->last + 1;
    if (item->has_since && !item->other_epoch && item->since <= head->last) {
        return item->since + 1;
    }
    if (item->has_since) {
        return head->first; /* of another life of the log, or ahead of it: all there is */
    }
    bool latest =
        item->latest || options->latest || channel_name_parse(buf_slice(&item->name)).cache;
    uint64_t back = item->rewind ? item->rewind : latest ? 1 : 0;
    return back < end && end - back > head->first ? end - back : back ? head->first : end;
}

static void put_durable(struct conn *c, const struct item *item, struct subscription *sub,
                        const struct namespace_options *options, const struct replay_span *span,
                        struct json_out *o)
{
    json_key(o, "epoch");
    json_str(o, c->thread->hub->epoch);
    json_key(o, "offset");
    json_u64(o, span->head.last);
    if (item->has_since) {
        json_key(o, "recovered");
        json_bool(o, !item->other_epoch && item->since <= span->head.last &&
                         item->since + 1 >= span->head.first);
    }
    if (sub->state == SUB_WAITING || item->has_since || item->rewind || item->latest) {
        sub->next = first_offset(c, item, options, &span->head);
        sub->state = sub->next <= span->head.last ? SUB_CATCHING_UP : SUB_LIVE;
    }
}

static void put_cursor(struct conn *c, const struct item *item, struct json_out *o)
{
    const struct cursor_attached *a = &item->attached;
    json_key(o, "cursor");
    json_text(o, buf_slice(&item->cursor));
    json_key(o, "created");
    json_bool(o, a->created);
    json_key(o, "epoch");
    json_str(o, c->thread->hub->epoch);
    json_key(o, "offset");
    json_u64(o, a->last);
    json_key(o, "settled");
    json_u64(o, a->settled);
    json_key(o, "in_flight");
    json_u64(o, a->in_flight);
    json_end(o, '}');
    native_cursor_settled(c, buf_slice(&item->name), buf_slice(&item->cursor));
}

static void put_item(struct conn *c, const struct item *item, struct json_out *o)
{
    struct net_thread *t = c->thread;
    struct slice name = buf_slice(&item->name);
    json_begin(o, '{');
    json_key(o, "channel");
    json_text(o, name);
    if (item->pattern) {
        json_key(o, "pattern");
        json_bool(o, true);
        json_end(o, '}');
        return;
    }
    if (item->cursor.n) {
        put_cursor(c, item, o);
        return;
    }
    const struct namespace_options *options = io_options(&t->io, c->who->app, name);
    uint64_t hash = io_channel_hash(&t->io, c->who->app, name);
    struct subscription *sub = topics_find(t->io.topics, &c->sub, hash, name);
    struct replay_span span;
    enum store_rc rc =
        replay_span(t->hub->log, t->io.reader, c->who->app, name, options, t->io.now_ms, &span);
    if (sub && rc == STORE_OK && options->delivery == NS_DURABLE) {
        put_durable(c, item, sub, options, &span, o);
    } else if (sub) {
        sub->state = SUB_LIVE;
    }
    if (rc == STORE_OK && sub && sub->member) {
        channel_members_in(span.view, span.channel, slice_of(NULL, 0), MEMBERS_IN_ANSWER, o);
    }
    store_release(t->io.reader);
    json_end(o, '}');
}

static void item_done(struct item *item)
{
    buf_done(&item->name);
    buf_done(&item->info);
    buf_done(&item->cursor);
}

static void request_free(struct subscribe_request *request)
{
    for (size_t i = 0; i < request->n; i++) {
        item_done(&request->items[i]);
    }
    buf_done(&request->id);
    free(request);
}

static void settle(struct conn *c, struct subscribe_request *request)
{
    struct slice id = buf_slice(&request->id);
    size_t settled = 0;
    for (size_t i = 0; i < request->n; i++) {
        if (request->items[i].state == ITEM_REFUSED) {
            native_refuse(c, id, request->items[i].rc, NULL, buf_slice(&request->items[i].name));
        } else {
            settled++;
        }
    }
    if (settled || request->n == 0) {
        struct json_out o = native_answer_begin(c, "subscribed", id);
        json_key(&o, "channels");
        json_begin(&o, '[');
        for (size_t i = 0; i < request->n; i++) {
            if (request->items[i].state == ITEM_SETTLED) {
                put_item(c, &request->items[i], &o);
            }
        }
        json_end(&o, ']');
        native_answer_end(c, &o);
        native_writable(c);
    }
    request_free(request);
}

/* Commands of one connection come back in the order they were given. */
static struct item *first_waiting(struct subscribe_request *request)
{
    struct item *item = request->items;
    while (item->state != ITEM_WAITING) {
        item++;
    }
    return item;
}

static struct subscribe_request **request_numbered(struct conn *c, uint32_t number)
{
    struct subscribe_request **link = &conn_extras(c)->requests;
    while (*link && (*link)->number != number) {
        link = &(*link)->next;
    }
    return link;
}

static void item_answered(struct conn *c, struct subscribe_request **link, struct item *item,
                          enum hub_rc rc)
{
    struct subscribe_request *request = *link;
    item->state = rc == HUB_OK ? ITEM_SETTLED : ITEM_REFUSED;
    item->rc = rc;
    if (--request->waiting == 0) {
        *link = request->next;
        settle(c, request);
    }
}

void native_attached(struct conn *c, uint32_t number, const struct tray *tray,
                     const struct command *command)
{
    struct subscribe_request **link = request_numbered(c, number);
    struct item *item = *link ? first_waiting(*link) : NULL;
    enum hub_rc rc = (enum hub_rc)command->rc;
    if (!item) {
        return;
    }
    if (rc == HUB_OK &&
        !cursor_attached_get(tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n),
                             &item->attached)) {
        rc = HUB_INTERNAL;
    }
    native_cursor_attached(c, buf_slice(&item->name), buf_slice(&item->cursor), rc,
                           &item->attached);
    item_answered(c, link, item, rc);
}

void native_joined(struct conn *c, uint32_t number, enum hub_rc rc)
{
    struct subscribe_request **link = request_numbered(c, number);
    struct item *item = *link ? first_waiting(*link) : NULL;
    if (!item) {
        return;
    }
    if (rc != HUB_OK) {
        struct net_thread *t = c->thread;
        struct slice name = buf_slice(&item->name);
        struct subscription *sub =
            topics_find(t->io.topics, &c->sub, io_channel_hash(&t->io, c->sub.app, name), name);
        if (sub && sub->state == SUB_WAITING) {
            topics_unsubscribe(t->io.topics, sub);
            io_gauge(&t->io.counters.subscriptions, -1);
        }
    }
    item_answered(c, link, item, rc);
}

void native_do_subscribe(struct conn *c, const struct client_frame *f)
{
    struct slice channels = f->field[KEY_CHANNELS], id = f->field[KEY_ID];
    size_t n = json_kind_of(channels) == JSON_KIND_ARRAY ? count_items(channels) : 0;
    if (json_kind_of(channels) != JSON_KIND_ARRAY ||
        n > c->thread->io.settings->subscriptions_max) {
        native_refuse(c, id, HUB_INVALID, "channels: a list of channels, no more than the limit",
                      slice_of(NULL, 0));
        return;
    }
    struct subscribe_request *request = xcalloc(1, sizeof *request + n * sizeof(struct item));
    request->number = ++c->requests_made;
    buf_add_slice(&request->id, id);
    struct json_walk walk = json_walk_of(channels);
    struct slice key, value;
    while (json_walk_next(&walk, &key, &value)) {
        struct item *item = &request->items[request->n++];
        const char *wrong = read_item(c, value, item);
        item->rc = wrong ? HUB_INVALID : attach(c, item, request);
        if (wrong) {
            native_refuse(c, id, HUB_INVALID, wrong, buf_slice(&item->name));
            item_done(item);
            request->n--;
        } else if (item->rc != HUB_OK) {
            item->state = ITEM_REFUSED;
        }
    }
    if (request->waiting == 0) {
        if (n == 0 || request->n) {
            settle(c, request);
        } else {
            request_free(request); /* every item was answered with what is wrong with it */
        }
        return;
    }
    struct subscribe_request **link = &conn_extras(c)->requests;
    while (*link) {
        link = &(*link)->next;
    }
    *link = request;
}

/* ---- leaving ---- */

bool native_presence(struct conn *c, enum presence_change change, struct slice channel,
                     struct slice info, struct slice id, enum native_ticket kind)
{
    struct net_thread *t = c->thread;
    struct api_ticket ticket = {.kind = (uint8_t)kind, .extra = c->requests_made};
    struct buf member_id = {0};
    json_escape(&member_id, c->who->subject);
    if (c->who->kind == PRINCIPAL_ANONYMOUS) { /* nobody has a name: every connection is somebody */
        buf_printf(&member_id, "-%016llx", (unsigned long long)c->id);
    }
    struct presence_member member = {.app = c->who->app,
                                     .channel = channel,
                                     .id = buf_slice(&member_id),
                                     .info = info,
                                     .connection = c->id};
    struct buf body = {0};
    presence_body_put(&body, change, &member);
    struct command *command = io_command(&t->io, &command_presence, c->who->app, conn_address(c),
                                         api_ticket_pack(ticket));
    if (command) {
        struct buf *arena = io_arena(&t->io);
        command->id_at = (uint32_t)arena->n;
        command->id_n = (uint32_t)id.n;
        buf_add_slice(arena, id);
        command->body_at = (uint32_t)arena->n;
        command->body_n = (uint32_t)body.n;
        buf_add_slice(arena, buf_slice(&body));
        c->pending++;
    } else if (change == PRESENCE_LEAVE) {
        net_farewell(t, &command_presence, c->who->app, buf_slice(&body));
    }
    buf_done(&body);
    buf_done(&member_id);
    return command != NULL;
}

static void detach(struct conn *c, struct subscription *sub)
{
    struct net_thread *t = c->thread;
    if (sub->member) {
        (void)native_presence(c, PRESENCE_LEAVE, slice_of(sub->topic->name, sub->topic->name_n),
                              slice_of(NULL, 0), slice_of(NULL, 0), TICKET_LEAVE);
    }
    topics_unsubscribe(t->io.topics, sub);
    io_gauge(&t->io.counters.subscriptions, -1);
}

static bool still_may(struct conn *c, struct slice channel)
{
    return channel_may(&c->thread->io, c->who, RIGHT_SUBSCRIBE, channel) == HUB_OK;
}

void native_drop_forbidden(struct conn *c)
{
    struct buf name = {0};
    for (struct subscription *sub = c->sub.subs, *next; sub; sub = next) {
        next = sub->next_of_subscriber;
        buf_clear(&name);
        buf_add(&name, sub->topic->name, sub->topic->name_n);
        if (!still_may(c, buf_slice(&name))) {
            detach(c, sub);
            native_refuse(c, slice_of(NULL, 0), HUB_FORBIDDEN,
                          "the new credential does not allow this subscription", buf_slice(&name));
        }
    }
    for (struct pattern *p = c->sub.patterns, *next; p; p = next) {
        next = p->next;
        buf_clear(&name);
        buf_add(&name, p->text, p->n);
        if (!still_may(c, buf_slice(&name))) {
            (void)topics_unwatch(c->thread->io.topics, &c->sub, buf_slice(&name));
            native_refuse(c, slice_of(NULL, 0), HUB_FORBIDDEN,
                          "the new credential does not allow this subscription", buf_slice(&name));
        }
    }
    buf_done(&name);
    native_cursors_forbid(c);
}

void native_do_unsubscribe(struct conn *c, const struct client_frame *f)
{
    struct net_thread *t = c->thread;
    struct slice channels = f->field[KEY_CHANNELS], key, value;
    if (json_kind_of(channels) != JSON_KIND_ARRAY) {
        native_refuse(c, f->field[KEY_ID], HUB_INVALID, "channels: a list of channels",
                      slice_of(NULL, 0));
        return;
    }
    struct buf gone = {0}, name = {0};
    struct json_out list = json_out_to(&gone);
    json_begin(&list, '[');
    struct json_walk walk = json_walk_of(channels);
    while (json_walk_next(&walk, &key, &value)) {
        buf_clear(&name);
        if (!json_to_text(value, &name)) {
            continue;
        }
        uint64_t hash = io_channel_hash(&t->io, c->who->app, buf_slice(&name));
        struct subscription *sub = topics_find(t->io.topics, &c->sub, hash, buf_slice(&name));
        bool was = sub || topics_unwatch(t->io.topics, &c->sub, buf_slice(&name));
        was = native_cursors_detach(c, buf_slice(&name)) || was;
        if (sub) {
            detach(c, sub);
        }
        if (was) {
            json_text(&list, buf_slice(&name));
        }
    }
    json_end(&list, ']');
    struct json_out o = native_answer_begin(c, "unsubscribed", f->field[KEY_ID]);
    json_key(&o, "channels");
    json_raw(&o, buf_slice(&gone));
    native_answer_end(c, &o);
    buf_done(&gone);
    buf_done(&name);
}

void native_farewells(struct conn *c)
{
    struct conn_extras *extras = c->extras;
    for (struct subscribe_request *request; extras && (request = extras->requests);) {
        extras->requests = request->next;
        request_free(request);
    }
    while (c->sub.subs) {
        detach(c, c->sub.subs);
    }
    (void)native_cursors_detach(c, slice_of(NULL, 0));
    if (!extras) {
        return;
    }
    free(extras->alive);
    extras->alive = NULL;
    for (struct bond *bond; (bond = extras->bonds);) {
        extras->bonds = bond->next;
        net_farewell(c->thread, bond->kind, bond->app, slice_of(bond->body, bond->body_n));
        free(bond);
    }
}
