/* Delivering: mailboxes and the state of each delivery move together, row and memory in one
 * command.
 *
 * A delivery's row says all that its item in the mailbox needs, so memory is read back after a
 * start or an aborted batch as it was; only what is open is read, by an index of its own. */
#include "hub/messages/module_parts.h"

#include "channels/json_members.h"
#include "hub/messages/lists.h"
#include "store/hash.h"

#include <stdlib.h>

enum { HOLDER = 1, AGEING_MS = 60000 };

static struct cursor_rules rules_of(const struct apply *a, uint32_t app)
{
    const struct namespace_options *o = book_options(a->book, app, slice_str("messages"));
    return (struct cursor_rules){.ack_wait_ms = o->ack_wait_ms,
                                 .in_flight_max = o->max_in_flight,
                                 .deliver_max = o->max_deliver,
                                 .ageing_ms = AGEING_MS};
}

/* ---- memory ---- */

/* Its session is alive as far as the hub knows: the agent may listen to its channel. */
static bool is_online(enum agent_status status)
{
    return status != AGENT_STALE && status != AGENT_INACTIVE && status != AGENT_DEREGISTERED;
}

bool agent_known(struct store_view *view, uint32_t app, struct slice name, struct agent *out)
{
    return agent_find(view, app, name, out) == STORE_OK && out->status != AGENT_DEREGISTERED;
}

static void meet(struct mailbox *box, const struct agent *agent)
{
    box->session = agent ? agent->epoch : 0;
    box->online = agent && is_online(agent->status);
}

static struct mailbox *box_of(struct messages *m, struct store_view *view, uint32_t app,
                              struct slice name)
{
    struct mailbox *box = mailbox_find(&m->boxes, app, name);
    struct agent agent;
    if (!box) {
        box = mailbox_add(&m->boxes, app, name);
        meet(box, agent_known(view, app, name, &agent) ? &agent : NULL);
    }
    return box;
}

struct mailbox *mailbox_for(struct apply *a, struct slice name, const struct agent *agent)
{
    struct messages *m = a->state;
    struct mailbox *box = mailbox_find(&m->boxes, a->app, name);
    if (!box) {
        box = mailbox_add(&m->boxes, a->app, name);
        meet(box, agent);
    }
    return box;
}

static void *messages_open(const void *options)
{
    struct messages *m = xcalloc(1, sizeof *m);
    (void)options;
    mailboxes_init(&m->boxes);
    return m;
}

static void messages_close(void *state)
{
    struct messages *m = state;
    mailboxes_done(&m->boxes);
    free(m);
}

struct loading {
    struct messages *m;
    struct store_view *view;
};

static enum store_rc load_one(void *ctx, uint64_t number)
{
    const struct loading *l = ctx;
    struct message_delivery d;
    enum store_rc rc = delivery_get(l->view, number, &d);
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? STORE_DAMAGED : rc;
    }
    struct mailbox *box = box_of(l->m, l->view, d.app, d.recipient);
    struct cursor_item item = {.number = number,
                               .due_ms = d.due_ms,
                               .since_ms = d.accepted_ms,
                               .holder = d.state == MESSAGE_DELIVERED ? HOLDER : 0,
                               .deliveries = d.deliveries};
    (void)cursor_add(&box->cursor, d.priority, &item);
    mailbox_changed(&l->m->boxes, box);
    return STORE_OK;
}

static enum store_rc load_oldest(struct messages *m, struct store_view *view)
{
    struct store_cursor *cursor;
    struct slice key;
    m->oldest = m->newest + 1;
    enum store_rc rc = store_cursor_open(view, TABLE_MESSAGE, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, NULL);
    if (rc == STORE_OK && key.n == 8) {
        m->oldest = be64_get(key.p);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static enum hub_rc messages_load(void *state, struct store_view *view, int64_t now_ms)
{
    struct messages *m = state;
    struct loading loading = {m, view};
    (void)now_ms;
    mailboxes_init(&m->boxes);
    enum store_rc rc = store_last_number(view, TABLE_MESSAGE, &m->newest);
    if (rc == STORE_OK) {
        rc = load_oldest(m, view);
    }
    if (rc == STORE_OK) {
        rc = deliveries_open_each(view, load_one, &loading);
    }
    return hub_rc_of_store(rc);
}

static uint64_t box_hash(const struct mailbox *box)
{
    struct buf b = {0};
    pack_u32(&b, box->app);
    pack_slice(&b, mailbox_name(box));
    pack_u32(&b, box->session);
    pack_u8(&b, box->online);
    for (const struct cursor_item *it = NULL; (it = cursor_each(&box->cursor, it));) {
        pack_u64(&b, it->number);
        pack_i64(&b, it->due_ms);
        pack_i64(&b, it->since_ms);
        pack_u32(&b, it->deliveries);
        pack_u8(&b, it->holder != 0);
    }
    uint64_t hash = hash64(0, buf_slice(&b));
    buf_done(&b);
    return hash;
}

/* Mailboxes have other numbers each time: their sum is the same. */
static void messages_recall(const void *state, bool lasting, struct buf *out)
{
    const struct messages *m = state;
    uint64_t sum = 0;
    (void)lasting;
    for (uint32_t i = 1; i <= m->boxes.n; i++) {
        sum += m->boxes.all[i].number ? box_hash(&m->boxes.all[i]) : 0;
    }
    buf_printf(out, "%llu to %llu\n", (unsigned long long)m->oldest, (unsigned long long)m->newest);
    buf_printf(out, "%llu mailboxes, ",
               (unsigned long long)atomic_load_explicit(&m->boxes.open, memory_order_relaxed));
    buf_printf(out, "%llu items, ",
               (unsigned long long)atomic_load_explicit(&m->boxes.items, memory_order_relaxed));
    buf_printf(out, "%llu out\n",
               (unsigned long long)atomic_load_explicit(&m->boxes.out, memory_order_relaxed));
    buf_printf(out, "sum %llx\n", (unsigned long long)sum);
}

void messages_counts(void *state, struct messages_counts *out)
{
    struct mailboxes *boxes = &((struct messages *)state)->boxes;
    uint64_t items = atomic_load_explicit(&boxes->items, memory_order_relaxed);
    out->in_flight = atomic_load_explicit(&boxes->out, memory_order_relaxed);
    out->waiting = items > out->in_flight ? items - out->in_flight : 0;
    out->mailboxes = atomic_load_explicit(&boxes->open, memory_order_relaxed);
}

/* ---- what the channels are told ---- */

static void put_text_if(struct json_out *o, const char *key, struct slice text)
{
    if (text.n) {
        put_text(o, key, text);
    }
}

static void put_head(struct json_out *o, const struct message *m, struct slice receiver)
{
    put_text(o, "message_id", m->id);
    put_text(o, "sender_id", m->sender);
    put_text(o, "receiver_id", receiver);
    json_key(o, "message_type");
    json_str(o, message_type_name(m->type));
    json_key(o, "priority");
    json_str(o, message_priority_name(m->priority));
    json_key(o, "protocol");
    json_str(o, message_protocol_name(m->protocol));
    put_text_if(o, "correlation_id", m->correlation_id);
}

static void put_tally(struct json_out *o, const struct message_tally *t)
{
    json_key(o, "total");
    json_u64(o, t->recipients);
    json_key(o, "acked");
    json_u64(o, t->acked);
    json_key(o, "expired");
    json_u64(o, t->expired);
    json_key(o, "dead");
    json_u64(o, t->dead);
}

enum hub_rc message_tell(struct apply *a, const char *event, uint64_t number,
                         const struct mailbox *box, const struct message_delivery *d,
                         const struct why *why)
{
    struct message m;
    struct message_tally t;
    struct buf data = {0};
    enum store_rc src = message_get(a->view, number, &m);
    if (src == STORE_OK) {
        src = message_tally_get(a->view, number, &t);
    }
    if (src != STORE_OK) {
        return hub_rc_of_store(src);
    }
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    put_head(&o, &m, box ? mailbox_name(box) : m.receiver.n ? m.receiver : slice_str("*"));
    if (d) {
        json_key(&o, "state");
        json_str(&o, message_state_name(d->state));
        json_key(&o, "deliveries");
        json_u64(&o, d->deliveries);
    }
    put_tally(&o, &t);
    why_said(&o, why);
    json_key(&o, "at");
    json_time(&o, a->now_ms);
    json_end(&o, '}');
    uint32_t app = m.app;
    enum hub_rc rc = apply_tell(a, app, slice_str("messages"), event, buf_slice(&data));
    /* The sender hears on its own channel of what did not arrive. */
    if (rc == HUB_OK && d && (d->state == MESSAGE_EXPIRED || d->state == MESSAGE_DEAD)) {
        struct agent sender;
        struct buf channel = {0};
        src = message_get(a->view, number, &m);
        if (src == STORE_OK && agent_find(a->view, app, m.sender, &sender) == STORE_OK) {
            agent_channel(&channel, "agent.", sender.id);
            rc = apply_tell(a, app, buf_slice(&channel),
                            d->state == MESSAGE_DEAD ? "message_dead" : "message_expired",
                            buf_slice(&data));
        }
        buf_done(&channel);
    }
    buf_done(&data);
    return rc;
}

static enum hub_rc tell_recipient(struct apply *a, const struct mailbox *box, uint64_t number,
                                  const struct cursor_item *item, bool *out_ack_none)
{
    struct message m;
    struct buf data = {0}, channel = {0};
    enum store_rc src = message_get(a->view, number, &m);
    if (src != STORE_OK) {
        return hub_rc_of_store(src);
    }
    *out_ack_none = m.ack_none;
    struct json_out o = json_out_to(&data);
    json_begin(&o, '{');
    put_head(&o, &m, mailbox_name(box));
    json_key(&o, "payload");
    json_raw(&o, m.payload);
    put_text_if(&o, "reply_to", m.reply_to);
    json_key(&o, "hops");
    json_u64(&o, m.hops);
    json_key(&o, "deliveries");
    json_u64(&o, item->deliveries);
    json_key(&o, "ack");
    json_str(&o, m.ack_none ? "none" : "required");
    if (!m.ack_none) {
        json_key(&o, "ack_by");
        json_time(&o, item->due_ms);
    }
    json_key(&o, "expires_at");
    json_time(&o, message_expires_ms(&m));
    json_key(&o, "timestamp");
    json_time(&o, m.accepted_ms);
    json_end(&o, '}');
    agent_channel(&channel, "agent.", mailbox_name(box));
    enum hub_rc rc = apply_tell(a, box->app, buf_slice(&channel), "message", buf_slice(&data));
    buf_done(&data);
    buf_done(&channel);
    return rc;
}

/* ---- a delivery moves ---- */

static const char *const event_names[MESSAGE_EVENTS] = {
    [MESSAGE_KNOWN] = "stored",  [MESSAGE_DELIVER] = "delivered", [MESSAGE_ACK] = "acked",
    [MESSAGE_NACK] = "returned", [MESSAGE_TERM] = "dead",         [MESSAGE_RETURN] = "returned",
    [MESSAGE_EXHAUST] = "dead",  [MESSAGE_EXPIRE] = "expired",
    /* Progress and letting go change nothing that anybody waits for. */
};

static enum hub_rc count_settled(struct apply *a, uint64_t message, enum message_state state)
{
    struct message_tally t;
    enum store_rc rc = message_tally_get(a->view, message, &t);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    t.acked += state == MESSAGE_ACKED;
    t.sent += state == MESSAGE_SENT;
    t.expired += state == MESSAGE_EXPIRED;
    t.dead += state == MESSAGE_DEAD;
    if (message_tally_is_settled(&t) && t.expiry.id) {
        rc = timer_cancel(a->txn, t.expiry);
        t.expiry = (struct timer_ref){0};
        rc = rc == STORE_NOT_FOUND ? STORE_OK : rc;
    }
    return hub_rc_of_store(rc == STORE_OK ? message_tally_put(a->txn, message, &t) : rc);
}

/* Row, mailbox, tally and channels follow one event. A row that is as it was stays so. What d
 * borrows is gone afterwards. */
static enum hub_rc move_read(struct apply *a, struct mailbox *box, uint64_t number,
                             struct message_delivery *d, enum message_event event,
                             const struct why *why)
{
    enum message_state next = MESSAGE_NONE;
    enum hub_rc rc = message_step(d->state, event, &next);
    if (rc != HUB_OK) {
        return rc;
    }
    const struct cursor_item *item = cursor_find(&box->cursor, number);
    d->state = next;
    d->changed_ms = a->now_ms;
    d->deliveries = item->deliveries;
    d->due_ms = item->due_ms;
    rc = hub_rc_of_store(delivery_put(a->txn, number, d));
    if (rc == HUB_OK && message_is_settled(next)) {
        cursor_remove(&box->cursor, number);
        rc = hub_rc_of_store(delivery_open_del(a->txn, box->app, number));
        if (rc == HUB_OK) {
            rc = count_settled(a, delivery_message(number), next);
        }
    }
    if (rc == HUB_OK && event_names[event]) {
        rc = message_tell(a, event_names[event], delivery_message(number), box, d, why);
    }
    return rc;
}

static enum hub_rc move(struct apply *a, struct mailbox *box, uint64_t number,
                        enum message_event event, const struct why *why)
{
    struct message_delivery d;
    enum store_rc src = delivery_get(a->view, number, &d);
    return src == STORE_OK ? move_read(a, box, number, &d, event, why) : hub_rc_of_store(src);
}

static enum hub_rc deliver(struct apply *a, struct mailbox *box, struct cursor_item *item,
                           const struct cursor_rules *rules)
{
    uint64_t number = item->number;
    struct message_delivery d;
    bool ack_none = false;
    enum store_rc src = delivery_get(a->view, number, &d);
    if (src != STORE_OK) {
        return hub_rc_of_store(src);
    }
    if (d.expires_ms <= a->now_ms) {
        return move(a, box, number, MESSAGE_EXPIRE, &(struct why){.reason = slice_str("ttl")});
    }
    cursor_hand(&box->cursor, item, HOLDER, rules, a->now_ms);
    enum hub_rc rc = move_read(a, box, number, &d, MESSAGE_DELIVER, &why_nobody);
    if (rc == HUB_OK) {
        rc = tell_recipient(a, box, delivery_message(number), item, &ack_none);
    }
    if (rc == HUB_OK && ack_none) {
        rc = move(a, box, number, MESSAGE_LET_GO, &why_nobody);
    }
    return rc;
}

enum hub_rc mailbox_pump(struct apply *a, struct mailbox *box)
{
    struct messages *m = a->state;
    struct cursor_rules rules = rules_of(a, box->app);
    enum hub_rc rc = HUB_OK;
    struct cursor_item *item;
    while (rc == HUB_OK && box->online && (item = cursor_next(&box->cursor, &rules, a->now_ms))) {
        rc = deliver(a, box, item, &rules);
    }
    mailbox_changed(&m->boxes, box);
    return rc;
}

/* A delivery comes back: by a nack, its deadline, or because the recipient went. */
static enum hub_rc come_back(struct apply *a, struct mailbox *box, struct cursor_item *item,
                             enum message_event event, int64_t delay_ms, const struct why *why)
{
    struct cursor_rules rules = rules_of(a, box->app);
    bool again = cursor_return(&box->cursor, item, &rules, a->now_ms, delay_ms);
    return move(a, box, item->number, again ? event : MESSAGE_EXHAUST,
                again ? why : &(struct why){why->by, slice_str("max_deliver")});
}

/* ---- time ---- */

static enum hub_rc due_apply(struct apply *a, struct command *command, struct slice body)
{
    struct messages *m = a->state;
    struct unpack u = unpack_of(body);
    struct mailbox *box = mailbox_at(&m->boxes, unpack_u32(&u));
    enum hub_rc rc = HUB_OK;
    (void)command;
    if (!unpack_done(&u) || !box) {
        return HUB_NOT_FOUND;
    }
    for (struct cursor_item *item;
         rc == HUB_OK && (item = cursor_overdue(&box->cursor, a->now_ms));) {
        rc = come_back(a, box, item, MESSAGE_RETURN, -1,
                       &(struct why){.reason = slice_str("ack_wait")});
    }
    return rc == HUB_OK ? mailbox_pump(a, box) : rc;
}

static const struct command_kind command_message_due = {
    .name = "messages.due", .apply = due_apply, .module = MODULE_MESSAGES};

static int64_t messages_next_due(void *state)
{
    uint32_t number;
    return deadlines_next(&((struct messages *)state)->boxes.deadlines, &number);
}

static bool messages_expire(void *state, int64_t now_ms, struct tray *tray)
{
    struct messages *m = state;
    uint32_t number;
    if (deadlines_next(&m->boxes.deadlines, &number) > now_ms) {
        return false;
    }
    struct command *command = tray_command(tray);
    command->kind = &command_message_due;
    command->app = m->boxes.all[number].app;
    command->flags = COMMAND_SILENT;
    command->body_at = (uint32_t)tray->in.n;
    pack_u32(&tray->in, number);
    command->body_n = 4;
    deadlines_set(&m->boxes.deadlines, number, INT64_MAX); /* its command sets it again */
    return true;
}

static enum hub_rc expire_one(struct apply *a, uint64_t number)
{
    struct messages *m = a->state;
    struct message_delivery d;
    enum store_rc src = delivery_get(a->view, number, &d);
    if (src != STORE_OK) {
        return hub_rc_of_store(src);
    }
    struct mailbox *box =
        message_is_settled(d.state) ? NULL : mailbox_find(&m->boxes, d.app, d.recipient);
    enum hub_rc rc =
        box ? move(a, box, number, MESSAGE_EXPIRE, &(struct why){.reason = slice_str("ttl")})
            : HUB_OK;
    return box && rc == HUB_OK ? mailbox_pump(a, box) : rc;
}

/* The sweep: a stored timer of each message, so that it is kept over a restart. */
static enum hub_rc expiry_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    uint64_t message = unpack_u64(&u);
    struct message_tally t = {.recipients = 0};
    (void)command;
    enum store_rc src = unpack_done(&u) ? message_tally_get(a->view, message, &t) : STORE_NOT_FOUND;
    enum hub_rc rc = hub_rc_of_store(src);
    for (uint32_t i = 1; rc == HUB_OK && i <= t.recipients; i++) {
        rc = expire_one(a, delivery_number(message, i));
    }
    return rc;
}

static const struct command_kind command_message_expiry = {
    .name = "messages.expiry", .apply = expiry_apply, .module = MODULE_MESSAGES};

/* ---- recipients come and go ---- */

/* The message of somebody who has registered only now may be seen by who owns it. */
static enum hub_rc become_known(struct apply *a, struct mailbox *box, const struct agent *agent)
{
    enum hub_rc rc = HUB_OK;
    for (struct cursor_item *it = NULL; rc == HUB_OK && (it = cursor_each(&box->cursor, it));) {
        struct message_delivery d;
        enum store_rc src = delivery_get(a->view, it->number, &d);
        if (src == STORE_OK && d.state == MESSAGE_ACCEPTED) {
            d.owner = agent->owner;
            src = delivery_put(a->txn, it->number, &d);
            if (src == STORE_OK) {
                src = message_list_add(a->txn, MESSAGES_OWNER, box->app, agent->owner,
                                       delivery_message(it->number));
            }
            rc = src == STORE_OK ? move(a, box, it->number, MESSAGE_KNOWN, &why_nobody) : HUB_OK;
        }
        rc = src == STORE_OK ? rc : hub_rc_of_store(src);
    }
    return rc;
}

/* What is out came to a session that is over. */
static enum hub_rc give_back(struct apply *a, struct mailbox *box, int64_t delay_ms)
{
    enum hub_rc rc = HUB_OK;
    for (struct cursor_item *it; rc == HUB_OK && (it = cursor_held(&box->cursor, HOLDER));) {
        rc = come_back(a, box, it, MESSAGE_RETURN, delay_ms,
                       &(struct why){.reason = slice_str("recipient_gone")});
    }
    return rc;
}

enum hub_rc messages_agent_changed(struct apply *a, const struct agent *agent,
                                   enum agent_status before)
{
    struct messages *m = a->state;
    struct mailbox *box = mailbox_find(&m->boxes, agent->app, agent->id);
    enum hub_rc rc = HUB_OK;
    (void)before;
    if (!box) {
        return HUB_OK;
    }
    bool known = agent->status != AGENT_DEREGISTERED, online = is_online(agent->status);
    bool fresh = known && agent->epoch != box->session;
    if (fresh && box->session == 0) {
        rc = become_known(a, box, agent);
    }
    if (rc == HUB_OK && (fresh || (box->online && !online))) {
        rc = give_back(a, box, online ? 0 : -1);
    }
    meet(box, known ? agent : NULL);
    return rc == HUB_OK ? mailbox_pump(a, box) : rc;
}

/* ---- answers ---- */

void message_answer_put(struct buf *b, const struct message_answer *answer)
{
    asker_put(b, &answer->asker);
    pack_slice(b, answer->id);
    pack_slice(b, answer->agent);
    pack_u8(b, (uint8_t)answer->verdict);
    pack_i64(b, answer->delay_ms);
    pack_slice(b, answer->reason);
}

static bool answer_get(struct slice body, struct message_answer *out)
{
    struct unpack u = unpack_of(body);
    out->asker = asker_get(&u);
    out->id = unpack_slice(&u);
    out->agent = unpack_slice(&u);
    uint8_t verdict = unpack_u8(&u);
    out->verdict = (enum message_event)verdict;
    out->delay_ms = unpack_i64(&u);
    out->reason = unpack_slice(&u);
    return unpack_done(&u) && verdict >= MESSAGE_ACK && verdict <= MESSAGE_TERM;
}

bool message_answered_get(struct slice reply, struct message_answered *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    uint8_t state = unpack_u8(&u);
    out->state = (enum message_state)state;
    out->id = unpack_slice(&u);
    out->agent = unpack_slice(&u);
    return unpack_done(&u) && state < MESSAGE_STATES;
}

/* An agent answers for itself, its owner for it, an admin for anybody. */
static bool speaks_for(const struct apply *a, const struct message_answer *answer)
{
    struct agent agent;
    return answer->asker.all || slice_equal(answer->agent, answer->asker.subject) ||
           (agent_find(a->view, a->app, answer->agent, &agent) == STORE_OK &&
            asker_sees(&answer->asker, agent.owner));
}

static enum hub_rc answer_open(struct apply *a, struct mailbox *box, struct cursor_item *item,
                               struct message_delivery *d, const struct message_answer *answer)
{
    struct cursor_rules rules = rules_of(a, box->app);
    struct why why = {.by = answer->asker.subject, .reason = slice_str("nack")};
    switch ((int)answer->verdict) {
    case MESSAGE_NACK:
        return come_back(a, box, item, MESSAGE_NACK, answer->delay_ms, &why);
    case MESSAGE_PROGRESS:
        cursor_touch(&box->cursor, item, &rules, a->now_ms);
        return move_read(a, box, item->number, d, MESSAGE_PROGRESS, &why_nobody);
    case MESSAGE_TERM:
        why.reason = answer->reason.n ? answer->reason : slice_str("term");
        return move_read(a, box, item->number, d, MESSAGE_TERM, &why);
    default:
        return move_read(a, box, item->number, d, answer->verdict, &why_nobody);
    }
}

static enum hub_rc refuse_answer(struct apply *a, struct command *command, enum hub_rc rc,
                                 struct slice id, enum message_state state)
{
    struct buf after = {0};
    buf_printf(&after, " is %s", message_state_name(state));
    buf_add(&after, "", 1);
    rc = apply_refuse(a, command, rc, "Message ", id, (const char *)after.p);
    buf_done(&after);
    return rc;
}

static void reply_answered(struct apply *a, struct command *command,
                           const struct message_answer *answer, enum message_state state)
{
    struct buf b = {0};
    pack_i64(&b, a->now_ms);
    pack_u8(&b, (uint8_t)state);
    pack_slice(&b, answer->id);
    pack_slice(&b, answer->agent);
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
}

/* Who answers, when nobody was named: the caller itself, else the only recipient that there is. An
 * owner of several agents need not say which of them a message to one was for. */
static void answer_for(const struct apply *a, struct message_answer *answer,
                       const struct message *m, struct buf *name)
{
    struct message_tally tally;
    uint64_t number;
    if (answer->agent.n) {
        return;
    }
    struct message_delivery d;
    bool own = delivery_find(a->view, m->number, answer->asker.subject, &number, &d) == STORE_OK;
    bool one = m->receiver.n && message_tally_get(a->view, m->number, &tally) == STORE_OK &&
               tally.recipients == 1;
    buf_add_slice(name, own || !one ? answer->asker.subject : m->receiver); /* writes follow */
    answer->agent = buf_slice(name);
}

/* Who sees the message hears what is wrong with the question; to others it is not there. */
static enum hub_rc refuse_stranger(struct apply *a, struct command *command,
                                   const struct message_answer *answer, const struct message *m)
{
    bool seen = m && (answer->asker.all || slice_equal(m->owner, answer->asker.subject));
    return seen ? apply_refuse(a, command, HUB_INVALID, "agent_id: ", answer->agent,
                               " is no recipient of the message")
                : apply_refuse(a, command, HUB_NOT_FOUND, "Message ", answer->id, " not found");
}

static enum hub_rc answer_delivery(struct apply *a, struct command *command,
                                   const struct message_answer *answer, uint64_t number,
                                   struct message_delivery *d)
{
    struct messages *m = a->state;
    enum message_state next;
    enum store_rc src = STORE_OK;
    enum hub_rc rc = message_step(d->state, answer->verdict, &next);
    if (rc != HUB_OK) {
        return refuse_answer(a, command, rc, answer->id, d->state);
    }
    if (!message_is_settled(d->state)) { /* else: said again */
        struct mailbox *box = mailbox_find(&m->boxes, a->app, answer->agent);
        rc = answer_open(a, box, cursor_find(&box->cursor, number), d, answer);
        if (rc == HUB_OK) {
            rc = mailbox_pump(a, box);
        }
        src = delivery_get(a->view, number, d);
    }
    if (rc == HUB_OK && src == STORE_OK) {
        reply_answered(a, command, answer, d->state);
    }
    return rc == HUB_OK ? hub_rc_of_store(src) : rc;
}

static enum hub_rc answer_apply(struct apply *a, struct command *command, struct slice body)
{
    struct message_answer answer;
    struct message found;
    struct message_delivery d;
    struct buf name = {0};
    uint64_t number;
    if (!answer_get(body, &answer)) {
        return HUB_BAD_REQUEST;
    }
    enum store_rc src = message_find(a->view, a->app, answer.id, &found);
    bool there = src == STORE_OK;
    if (there) {
        answer_for(a, &answer, &found, &name);
        src = delivery_find(a->view, found.number, answer.agent, &number, &d);
    }
    enum hub_rc rc = HUB_OK;
    if (src == STORE_NOT_FOUND || (src == STORE_OK && !speaks_for(a, &answer))) {
        rc = refuse_stranger(a, command, &answer, there && src == STORE_NOT_FOUND ? &found : NULL);
    } else {
        rc = src == STORE_OK ? answer_delivery(a, command, &answer, number, &d)
                             : hub_rc_of_store(src);
    }
    buf_done(&name);
    return rc;
}

const struct command_kind command_message_answer = {
    .name = "messages.answer", .apply = answer_apply, .module = MODULE_MESSAGES};

static const struct timer_kind message_timers[] = {{TIMER_MESSAGE_EXPIRY, &command_message_expiry},
                                                   {0, NULL}};

const struct module messages_module = {
    .name = "messages",
    .open = messages_open,
    .close = messages_close,
    .load = messages_load,
    .recall = messages_recall,
    .timers = message_timers,
    .next_due = messages_next_due,
    .expire = messages_expire,
};
