/* What is asked of named cursors: to attach, to answer for an event, to leave, to be removed; and
 * the deadlines of what was handed out. */
#include "hub/core/cursor_parts.h"

/* ---- bodies and replies ---- */

void cursor_attach_put(struct buf *b, const struct cursor_attach *a)
{
    pack_slice(b, a->channel);
    pack_slice(b, a->name);
    why_put(b, &a->why);
    pack_u64(b, a->connection);
    pack_u8(b, a->has_since);
    pack_u64(b, a->since);
    pack_u64(b, a->rewind);
}

static bool attach_get(struct slice body, struct cursor_attach *out)
{
    struct unpack u = unpack_of(body);
    out->channel = unpack_slice(&u);
    out->name = unpack_slice(&u);
    out->why = why_get(&u);
    out->connection = unpack_u64(&u);
    out->has_since = unpack_u8(&u) != 0;
    out->since = unpack_u64(&u);
    out->rewind = unpack_u64(&u);
    return unpack_done(&u) && out->channel.n && out->channel.n <= CURSOR_CHANNEL_BYTES_MAX &&
           out->name.n && out->name.n <= CURSOR_NAME_BYTES_MAX;
}

bool cursor_attached_get(struct slice reply, struct cursor_attached *out)
{
    struct unpack u = unpack_of(reply);
    out->number = unpack_u32(&u);
    out->created = unpack_u8(&u) != 0;
    out->channel = unpack_u64(&u);
    out->last = unpack_u64(&u);
    out->settled = unpack_u64(&u);
    out->in_flight = unpack_u32(&u);
    return unpack_done(&u);
}

void cursor_detach_put(struct buf *b, struct slice channel, struct slice name, uint64_t connection,
                       struct slice unsent)
{
    pack_slice(b, channel);
    pack_slice(b, name);
    pack_u64(b, connection);
    pack_slice(b, unsent);
}

void cursor_answer_put(struct buf *b, const struct cursor_answer *a)
{
    pack_u32(b, a->number);
    pack_u8(b, (uint8_t)a->verdict);
    pack_u64(b, a->offset);
    pack_u64(b, a->connection);
    pack_i64(b, a->delay_ms);
}

static bool answer_get(struct slice body, struct cursor_answer *out)
{
    struct unpack u = unpack_of(body);
    out->number = unpack_u32(&u);
    uint8_t verdict = unpack_u8(&u);
    out->verdict = (enum cursor_verdict)verdict;
    out->offset = unpack_u64(&u);
    out->connection = unpack_u64(&u);
    out->delay_ms = unpack_i64(&u);
    return unpack_done(&u) && verdict < CURSOR_VERDICTS;
}

/* ---- deadlines ---- */

static enum hub_rc due_apply(struct apply *a, struct command *command, struct slice body)
{
    struct cursors *all = a->state;
    struct unpack u = unpack_of(body);
    struct held_cursor *h = held_at(all, unpack_u32(&u));
    enum hub_rc rc = HUB_OK;
    (void)command;
    if (!unpack_done(&u) || !h) {
        return HUB_NOT_FOUND;
    }
    for (struct cursor_item *item;
         rc == HUB_OK && (item = cursor_overdue(&h->cursor, a->now_ms));) {
        rc = held_come_back(a, h, item, -1);
    }
    held_touch(all, h);
    return rc;
}

static const struct command_kind command_cursor_due = {
    .name = "cursor.due", .apply = due_apply, .module = MODULE_CURSORS};

static int64_t cursors_next_due(void *state)
{
    uint32_t number;
    return deadlines_next(&((struct cursors *)state)->deadlines, &number);
}

static bool cursors_expire(void *state, int64_t now_ms, struct tray *tray)
{
    struct cursors *all = state;
    uint32_t number;
    if (deadlines_next(&all->deadlines, &number) > now_ms) {
        return false;
    }
    struct command *command = tray_command(tray);
    command->kind = &command_cursor_due;
    command->app = all->all[number].app;
    command->flags = COMMAND_SILENT;
    command->body_at = (uint32_t)tray->in.n;
    pack_u32(&tray->in, number);
    command->body_n = 4;
    deadlines_set(&all->deadlines, number, INT64_MAX); /* its command sets it again */
    return true;
}

/* ---- what the channel is told ---- */

static enum hub_rc tell(struct apply *a, const struct cursor_attach *of, const char *event)
{
    struct buf data = {0};
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    json_key(&o, "channel");
    json_text(&o, of->channel);
    json_key(&o, "cursor");
    json_text(&o, of->name);
    why_json(&o, &of->why, a->now_ms);
    json_end(&o, '}');
    enum hub_rc rc = apply_tell(a, a->app, slice_str("channels"), event, buf_slice(&data));
    buf_done(&data);
    return rc;
}

/* ---- attach, detach ---- */

static void reply_attached(struct apply *a, struct command *command, const struct held_cursor *h,
                           const struct log_head *head, bool created)
{
    struct buf b = {0};
    pack_u32(&b, h->number);
    pack_u8(&b, created);
    pack_u64(&b, h->channel);
    pack_u64(&b, head->last);
    pack_u64(&b, cursor_floor(&h->cursor) - 1);
    pack_u32(&b, h->cursor.n);
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
}

/* As a plain subscription begins: with what comes, unless it asks for what was. */
static uint64_t begin_after(const struct cursor_attach *attach, const struct log_head *head)
{
    uint64_t after = head->last;
    if (attach->has_since) {
        after = attach->since < head->last ? attach->since : head->last;
    } else if (attach->rewind) {
        after = attach->rewind < head->last ? head->last - attach->rewind : 0;
    }
    return after + 1 < head->first ? head->first - 1 : after;
}

static enum hub_rc attach_apply(struct apply *a, struct command *command, struct slice body)
{
    struct cursors *all = a->state;
    struct cursor_attach attach;
    struct log_head head;
    uint64_t channel;
    if (!attach_get(body, &attach)) {
        return HUB_BAD_REQUEST;
    }
    struct held_cursor *h = held_find(all, a->app, attach.channel, attach.name);
    bool created = !h;
    bool attached = h && held_consumer(h, attach.connection) < h->consumers_n;
    if ((created && all->live >= CURSORS_MAX) ||
        (h && !attached && h->consumers_n >= CURSOR_CONSUMERS_MAX)) {
        return HUB_LIMIT;
    }
    enum store_rc rc = book_channel(a->book, a->app, attach.channel, a->now_ms, &channel);
    if (rc == STORE_OK) {
        rc = log_head(a->writer->log, channel, &head);
    }
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    if (created) {
        h = held_add(all, all->n + 1, a->app, attach.channel, attach.name);
        h->channel = channel;
        h->generation = head.generation;
        h->created_ms = a->now_ms;
        h->cursor.top = begin_after(&attach, &head);
    }
    if (!attached) {
        (void)held_consumer_add(h, attach.connection, command->from);
    }
    held_touch(all, h);
    reply_attached(a, command, h, &head, created);
    return created ? tell(a, &attach, "cursor_created") : HUB_OK;
}

static enum hub_rc detach_apply(struct apply *a, struct command *command, struct slice body)
{
    struct cursors *all = a->state;
    struct unpack u = unpack_of(body);
    struct slice channel = unpack_slice(&u), name = unpack_slice(&u);
    uint64_t connection = unpack_u64(&u);
    struct slice unsent = unpack_slice(&u);
    struct held_cursor *h = u.bad ? NULL : held_find(all, a->app, channel, name);
    enum hub_rc rc = HUB_OK;
    (void)command;
    if (!h) {
        return HUB_NOT_FOUND;
    }
    uint32_t place = held_consumer(h, connection);
    if (place == h->consumers_n) {
        return HUB_NOT_FOUND;
    }
    for (u = unpack_of(unsent); u.p < u.end && !u.bad;) {
        struct cursor_item *item = cursor_find(&h->cursor, unpack_u64(&u));
        if (item && item->holder == connection) {
            cursor_unhand(&h->cursor, item);
        }
    }
    for (struct cursor_item *item; rc == HUB_OK && (item = cursor_held(&h->cursor, connection));) {
        rc = held_come_back(a, h, item, -1);
    }
    h->consumers[place] = h->consumers[--h->consumers_n];
    held_touch(all, h);
    return rc;
}

static bool always(struct slice body)
{
    (void)body;
    return true;
}

/* ---- answers ---- */

/* What each verdict may be said of: an event that the speaker holds, one that it does not (it waits
 * again, or another holds it), one that is settled. */
enum standing { HELD, NOT_HELD, SETTLED, STANDINGS };

static const enum hub_rc allowed[CURSOR_VERDICTS][STANDINGS] = {
    /* Whoever did the work may say so, late or twice. */
    [CURSOR_ACK] = {[HELD] = HUB_OK, [NOT_HELD] = HUB_OK, [SETTLED] = HUB_OK},
    [CURSOR_NACK] = {[HELD] = HUB_OK, [NOT_HELD] = HUB_CONFLICT, [SETTLED] = HUB_GONE},
    [CURSOR_PROGRESS] = {[HELD] = HUB_OK, [NOT_HELD] = HUB_CONFLICT, [SETTLED] = HUB_GONE},
    [CURSOR_TERM] = {[HELD] = HUB_OK, [NOT_HELD] = HUB_CONFLICT, [SETTLED] = HUB_GONE},
};

static enum hub_rc answer_item(struct apply *a, struct held_cursor *h, struct cursor_item *item,
                               const struct cursor_answer *answer)
{
    struct cursor_rules rules = held_rules(a, h);
    switch (answer->verdict) {
    case CURSOR_NACK:
        return held_come_back(a, h, item, answer->delay_ms);
    case CURSOR_PROGRESS:
        cursor_touch(&h->cursor, item, &rules, a->now_ms);
        return HUB_OK;
    case CURSOR_TERM:
        held_less(h, item->holder);
        return held_give_up(a, h, item->number, "term");
    case CURSOR_ACK:
    case CURSOR_VERDICTS:
        break;
    }
    held_less(h, item->holder);
    cursor_remove(&h->cursor, item->number);
    return HUB_OK;
}

static enum hub_rc answer_apply(struct apply *a, struct command *command, struct slice body)
{
    struct cursors *all = a->state;
    struct cursor_answer answer;
    (void)command;
    if (!answer_get(body, &answer)) {
        return HUB_BAD_REQUEST;
    }
    struct held_cursor *h = held_at(all, answer.number);
    if (!h || answer.offset == 0 || answer.offset > h->cursor.top) {
        return HUB_NOT_FOUND;
    }
    struct cursor_item *item = cursor_find(&h->cursor, answer.offset);
    enum standing standing = !item ? SETTLED : item->holder == answer.connection ? HELD : NOT_HELD;
    enum hub_rc rc = allowed[answer.verdict][standing];
    if (rc != HUB_OK || !item) {
        return rc;
    }
    rc = answer_item(a, h, item, &answer);
    held_touch(all, h);
    return rc;
}

/* ---- delete ---- */

static enum hub_rc delete_apply(struct apply *a, struct command *command, struct slice body)
{
    struct cursors *all = a->state;
    struct cursor_attach which;
    uint8_t key[4];
    if (!attach_get(body, &which)) {
        return HUB_BAD_REQUEST;
    }
    struct held_cursor *h = held_find(all, a->app, which.channel, which.name);
    if (!h) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "the channel has no cursor ", which.name,
                            "");
    }
    if (h->consumers_n) {
        return apply_refuse(a, command, HUB_CONFLICT, "a connection is attached to the cursor ",
                            which.name, "");
    }
    be32_put(key, h->number);
    enum store_rc rc = store_del(a->txn, TABLE_CURSOR, slice_of(key, 4));
    if (rc == STORE_OK || rc == STORE_NOT_FOUND) { /* made and deleted in one batch: no row yet */
        held_drop(all, h);
        rc = STORE_OK;
    }
    return rc == STORE_OK ? tell(a, &which, "cursor_deleted") : hub_rc_of_store(rc);
}

const struct command_kind command_cursor_attach = {
    .name = "cursor.attach", .apply = attach_apply, .module = MODULE_CURSORS};
const struct command_kind command_cursor_detach = {
    .name = "cursor.detach", .apply = detach_apply, .module = MODULE_CURSORS, .must = always};
const struct command_kind command_cursor_answer = {
    .name = "cursor.answer", .apply = answer_apply, .module = MODULE_CURSORS};
const struct command_kind command_cursor_delete = {.name = "cursor.delete",
                                                   .apply = delete_apply,
                                                   .flags = KIND_RELEASES,
                                                   .module = MODULE_CURSORS};

const struct module cursors_module = {
    .name = "cursors",
    .open = cursors_open,
    .close = cursors_close,
    .load = cursors_load,
    .recall = cursors_recall,
    .next_due = cursors_next_due,
    .expire = cursors_expire,
    .finish = cursors_finish,
};
