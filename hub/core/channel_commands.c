/* The commands of channels: publish, presence, options of a namespace. */
#include "hub/core/writer_parts.h"

/* ---- publish: the event lies framed in the tray; what is missing is its offset ---- */

static enum hub_rc publish_apply(struct apply *a, struct command *command, struct slice body)
{
    (void)body;
    struct event event;
    event_frame_time(a->tray->in.p, &command->frame, a->now_ms);
    event_frame_event(a->tray->in.p, &command->frame, &event);
    struct publish publish = {.app = command->app,
                              .event = &event,
                              .now_ms = a->now_ms,
                              .keyed = command->flags & COMMAND_KEYED,
                              .expects = command->flags & COMMAND_EXPECT,
                              .expect = command->offset};
    memcpy(publish.key_hash, command->key_hash, sizeof publish.key_hash);
    struct published published;
    enum store_rc rc = book_publish(a->book, &publish, &published);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    command->offset = published.offset;
    if (published.refused) {
        return HUB_CONFLICT;
    }
    if (published.repeated) {
        command->flags |= COMMAND_REPLAYED;
        return HUB_OK;
    }
    event_frame_finish(a->tray->in.p, &command->frame, published.offset);
    struct tray_event *out = tray_event(a->tray);
    out->app = command->app;
    out->arena = TRAY_IN;
    out->offset = published.offset;
    out->seq = published.seq;
    out->channel_hash = command->channel_hash;
    out->frame = command->frame;
    return HUB_OK;
}

const struct command_kind command_publish = {.name = "publish", .apply = publish_apply};

static enum hub_rc remember_apply(struct apply *a, struct command *command, struct slice body)
{
    apply_reply(a, command, body);
    return HUB_OK;
}

const struct command_kind command_remember = {.name = "remember", .apply = remember_apply};

/* ---- presence ---- */

void presence_body_put(struct buf *b, enum presence_change change,
                       const struct presence_member *member)
{
    pack_u8(b, (uint8_t)change);
    pack_u32(b, member->app);
    pack_slice(b, member->channel);
    pack_slice(b, member->id);
    pack_slice(b, member->info);
    pack_u64(b, member->connection);
}

static struct presence presence_of(struct apply *a)
{
    return (struct presence){.book = a->book,
                             .txn = a->txn,
                             .now_ms = a->now_ms,
                             .timer_kind = TIMER_PRESENCE_GRACE,
                             .emit = apply_emit,
                             .emit_ctx = a};
}

static enum hub_rc rc_of_presence(enum presence_rc rc, enum store_rc store_rc)
{
    switch (rc) {
    case PRESENCE_OK:
        return HUB_OK;
    case PRESENCE_FULL:
        return HUB_LIMIT;
    case PRESENCE_NO_MEMBER:
        return HUB_NOT_FOUND;
    case PRESENCE_STORE:
        return hub_rc_of_store(store_rc);
    }
    return HUB_INTERNAL;
}

static enum hub_rc presence_apply(struct apply *a, struct command *command, struct slice body)
{
    (void)command;
    struct unpack u = unpack_of(body);
    enum presence_change change = (enum presence_change)unpack_u8(&u);
    struct presence_member member = {.app = unpack_u32(&u),
                                     .channel = unpack_slice(&u),
                                     .id = unpack_slice(&u),
                                     .info = unpack_slice(&u),
                                     .connection = unpack_u64(&u)};
    if (!unpack_done(&u)) {
        return HUB_BAD_REQUEST;
    }
    struct presence p = presence_of(a);
    enum presence_rc rc = PRESENCE_NO_MEMBER;
    switch (change) {
    case PRESENCE_JOIN:
        rc = presence_join(&p, &member);
        break;
    case PRESENCE_UPDATE:
        rc = presence_update(&p, &member);
        break;
    case PRESENCE_LEAVE:
        rc = presence_leave(&p, &member);
        break;
    }
    return rc_of_presence(rc, p.store_rc);
}

static bool is_leave(struct slice body)
{
    return body.n && body.p[0] == PRESENCE_LEAVE;
}

const struct command_kind command_presence = {
    .name = "presence", .apply = presence_apply, .must = is_leave};

static enum hub_rc presence_restart_apply(struct apply *a, struct command *command,
                                          struct slice body)
{
    struct presence p = presence_of(a);
    (void)command;
    (void)body;
    enum presence_rc rc = presence_restart(&p, a->writer->options.restart_grace_ms);
    return rc_of_presence(rc, p.store_rc);
}

static bool always(struct slice body)
{
    (void)body;
    return true;
}

const struct command_kind command_presence_restart = {
    .name = "presence.restart", .apply = presence_restart_apply, .must = always};

static enum hub_rc presence_expire_apply(struct apply *a, struct command *command,
                                         struct slice body)
{
    struct presence p = presence_of(a);
    enum presence_rc rc = presence_expire(&p, apply_timer_ref(command), body);
    return rc_of_presence(rc, p.store_rc);
}

const struct command_kind command_presence_expire = {.name = "presence.expire",
                                                     .apply = presence_expire_apply};

/* ---- namespaces ---- */

void namespace_body_put(struct buf *b, const struct why *why, struct slice ns,
                        const struct namespace_options *options)
{
    why_put(b, why);
    pack_slice(b, ns);
    if (options) {
        namespace_pack(options, b);
    }
}

/* options NULL: they are the configuration's again. */
static enum hub_rc namespace_tell(struct apply *a, const struct why *why, struct slice ns,
                                  const struct namespace_options *options)
{
    struct buf data = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    json_key(&o, "namespace");
    json_text(&o, ns);
    if (options) {
        json_key(&o, "options");
        namespace_options_json(options, &o);
    }
    why_json(&o, why, a->now_ms);
    json_end(&o, '}');
    enum hub_rc rc = apply_tell(a, a->app, slice_str("channels"),
                                options ? "namespace_set" : "namespace_reset", buf_slice(&data));
    buf_done(&data);
    return rc;
}

static enum hub_rc namespace_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct why why = why_get(&u);
    struct slice ns = unpack_slice(&u);
    struct namespace_options options;
    if (u.bad || ns.n == 0 || ns.n > NAMESPACE_BYTES_MAX) {
        return HUB_BAD_REQUEST;
    }
    uint8_t key[4 + NAMESPACE_BYTES_MAX];
    be32_put(key, command->app);
    memcpy(key + 4, ns.p, ns.n);
    struct slice row = slice_of(u.p, (size_t)(u.end - u.p));
    if (row.n && !namespace_unpack(row, &options)) {
        return HUB_BAD_REQUEST;
    }
    enum store_rc rc = row.n ? store_put(a->txn, TABLE_NAMESPACE, slice_of(key, 4 + ns.n), row)
                             : store_del(a->txn, TABLE_NAMESPACE, slice_of(key, 4 + ns.n));
    if (rc == STORE_NOT_FOUND) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "namespace ", ns,
                            " has no options of its own");
    }
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    writer_namespaces_dirty(a->writer);
    return namespace_tell(a, &why, ns, row.n ? &options : NULL);
}

const struct command_kind command_namespace = {.name = "namespace", .apply = namespace_apply};
