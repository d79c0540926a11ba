/* Accepting: who may send what to whom, one row a recipient, and at last the first deliveries. What
 * is to be refused is refused before anything is written. */
#include "hub/messages/lists.h"
#include "hub/messages/module_parts.h"

enum { CASCADE_RECIPIENTS_MAX = 1000, TRIM_A_SEND = 2 };

/* ---- bodies and replies ---- */

void message_send_put(struct buf *b, const struct message_send *s)
{
    asker_put(b, &s->asker);
    pack_u8(b, s->may_any);
    pack_u8(b, s->cascade);
    pack_u8(b, s->by_type);
    pack_u8(b, (uint8_t)s->agent_type);
    pack_u32(b, s->capabilities.n);
    pack_slice(b, s->capabilities.packed);
    message_pack(b, &s->message);
}

static bool send_get(struct slice body, struct message_send *out)
{
    struct unpack u = unpack_of(body);
    out->asker = asker_get(&u);
    out->may_any = unpack_u8(&u) != 0;
    out->cascade = unpack_u8(&u);
    out->by_type = unpack_u8(&u) != 0;
    uint8_t type = unpack_u8(&u);
    out->agent_type = (enum agent_type)type;
    out->capabilities.n = unpack_u32(&u);
    out->capabilities.packed = unpack_slice(&u);
    return !u.bad && type < AGENT_TYPES &&
           message_unpack(slice_of(u.p, (size_t)(u.end - u.p)), &out->message);
}

bool message_sent_get(struct slice reply, struct message_sent *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->count = unpack_u32(&u);
    out->duplicate = unpack_u8(&u) != 0;
    out->receiver_known = unpack_u8(&u) != 0;
    uint8_t state = unpack_u8(&u);
    out->state = (enum message_state)state;
    uint8_t protocol = unpack_u8(&u);
    out->protocol = (enum message_protocol)protocol;
    out->id = unpack_slice(&u);
    out->receiver = unpack_slice(&u);
    out->recipients = unpack_slice(&u);
    return unpack_done(&u) && state < MESSAGE_STATES && protocol < MESSAGE_PROTOCOLS;
}

/* ---- whom ---- */

/* A send under way. */
struct sending {
    struct apply *a;
    struct command *command;
    const struct message_send *send;
    struct buf recipients; /* counted texts */
    uint32_t count;
};

static struct slice recipients_of(const struct sending *s)
{
    return buf_slice(&s->recipients);
}

static bool is_recipient(const struct sending *s, struct slice name)
{
    struct words words = {.n = s->count, .packed = recipients_of(s)};
    return words_have(&words, name);
}

static void recipient_add(struct sending *s, struct slice name)
{
    pack_slice(&s->recipients, name);
    s->count++;
}

static bool is_linked(const struct sending *s, enum link_kind kind, struct slice to)
{
    return link_has(s->a->view, kind, s->a->app, s->send->message.sender, to);
}

static bool any_link(const struct sending *s, struct slice to)
{
    return is_linked(s, LINK_PEER, to) || is_linked(s, LINK_SUB, to) ||
           is_linked(s, LINK_MASTER, to);
}

static bool mailbox_is_full(const struct sending *s, struct slice name)
{
    struct messages *m = s->a->state;
    const struct mailbox *box = mailbox_find(&m->boxes, s->a->app, name);
    return box && box->cursor.n >= MAILBOX_MESSAGES_MAX;
}

static bool add_sub(void *ctx, const struct link *link)
{
    struct sending *s = ctx;
    if (s->count < CASCADE_RECIPIENTS_MAX && !is_recipient(s, link->to) &&
        !mailbox_is_full(s, link->to)) {
        recipient_add(s, link->to);
    }
    return s->count < CASCADE_RECIPIENTS_MAX;
}

/* Level by level: those of one level stand behind those of the level before. */
static enum hub_rc cascade(struct sending *s)
{
    size_t from = 0;
    enum store_rc rc = STORE_OK;
    for (unsigned level = 0; rc == STORE_OK && level < s->send->cascade; level++) {
        size_t until = s->recipients.n;
        struct buf names = {0};
        buf_add(&names, s->recipients.p + from, until - from);
        struct slice rest = buf_slice(&names), name;
        while (rc == STORE_OK && words_next(&rest, &name)) {
            rc = links_each(s->a->view, LINK_SUB, s->a->app, name, slice_of(NULL, 0), add_sub, s);
        }
        buf_done(&names);
        from = until;
    }
    return hub_rc_of_store(rc);
}

static bool fits(const struct message_send *send, const struct agent *agent)
{
    struct slice rest = send->capabilities.packed, word;
    if (send->by_type && agent->type != send->agent_type) {
        return false;
    }
    while (words_next(&rest, &word)) {
        if (!words_have(&agent->capabilities, word)) {
            return false;
        }
    }
    return true;
}

/* A broadcast reaches those that the caller may know of, and those that the sender is linked to. */
static bool add_agent(void *ctx, const struct agent *agent)
{
    struct sending *s = ctx;
    const struct message_send *send = s->send;
    if (agent->status != AGENT_INACTIVE && agent->status != AGENT_DEREGISTERED &&
        !slice_equal(agent->id, send->message.sender) && fits(send, agent) &&
        !mailbox_is_full(s, agent->id) &&
        (asker_sees(&send->asker, agent->owner) || any_link(s, agent->id))) {
        recipient_add(s, agent->id);
    }
    return s->count < MESSAGE_RECIPIENTS_MAX;
}

static enum hub_rc choose_broadcast(struct sending *s)
{
    const struct message_send *send = s->send;
    struct slice rest = send->capabilities.packed, word = {0};
    enum agent_index index = AGENTS_ALL;
    if (words_next(&rest, &word)) {
        index = AGENTS_CAPABILITY;
    } else if (send->by_type) {
        index = AGENTS_TYPE;
        word = slice_str(agent_type_name(send->agent_type));
    }
    return hub_rc_of_store(agents_each(s->a->view, s->a->app, index, word, add_agent, s));
}

/* Of hierarchical and peer_to_peer a link is asked for; direct messages go between any two. */
static bool may_reach(const struct sending *s)
{
    const struct message *m = &s->send->message;
    if (s->send->may_any || m->type == MESSAGE_DIRECT || m->protocol == MESSAGE_BY_BROADCAST) {
        return true;
    }
    return m->protocol == MESSAGE_BY_PEERS
               ? is_linked(s, LINK_PEER, m->receiver)
               : is_linked(s, LINK_SUB, m->receiver) || is_linked(s, LINK_MASTER, m->receiver);
}

static enum hub_rc choose_receiver(struct sending *s)
{
    struct slice to = s->send->message.receiver;
    if (!may_reach(s)) {
        return apply_refuse(s->a, s->command, HUB_NOT_PEERS, "the sender has no such link to ", to,
                            "");
    }
    if (mailbox_is_full(s, to)) {
        return apply_refuse(s->a, s->command, HUB_LIMIT, "the mailbox of ", to, " is full");
    }
    recipient_add(s, to);
    return cascade(s);
}

static enum hub_rc choose(struct sending *s)
{
    const struct message *m = &s->send->message;
    enum hub_rc rc = m->receiver.n ? choose_receiver(s) : choose_broadcast(s);
    if (rc == HUB_OK && s->count * (uint64_t)m->payload.n > MESSAGE_COPIES_BYTES_MAX) {
        rc = apply_refuse(s->a, s->command, HUB_TOO_LARGE,
                          "payload: too large for so many recipients", slice_of(NULL, 0), "");
    }
    return rc;
}

/* One speaks for oneself or for an agent of one's own; an operator for the hub too, and an admin
 * also for a name that nobody has. */
static enum hub_rc check_sender(struct sending *s)
{
    const struct message_send *send = s->send;
    struct slice sender = send->message.sender;
    struct agent agent;
    if (send->asker.all || slice_equal(sender, send->asker.subject) ||
        (send->may_any && slice_is(sender, MESSAGE_HUB_SENDER))) {
        return HUB_OK;
    }
    enum store_rc rc = agent_find(s->a->view, s->a->app, sender, &agent);
    if (rc == STORE_NOT_FOUND || (rc == STORE_OK && !asker_sees(&send->asker, agent.owner))) {
        return apply_refuse(s->a, s->command, HUB_NOT_FOUND, "Agent ", sender, " not found");
    }
    return hub_rc_of_store(rc);
}

/* ---- the answer ---- */

static void reply_sent(struct sending *s, const struct message *m, enum message_state state,
                       bool duplicate)
{
    struct buf b = {0};
    struct agent agent;
    bool known = m->receiver.n && agent_known(s->a->view, s->a->app, m->receiver, &agent);
    /* Somebody else's agent is known to those alone who are linked to it. */
    known = known && (asker_sees(&s->send->asker, agent.owner) || any_link(s, m->receiver));
    if (m->receiver.n && !known) { /* as of a name that nobody has */
        state = s->a->now_ms < message_expires_ms(m) ? MESSAGE_ACCEPTED : MESSAGE_EXPIRED;
    }
    pack_i64(&b, m->accepted_ms);
    pack_u32(&b, s->count);
    pack_u8(&b, duplicate);
    pack_u8(&b, known);
    pack_u8(&b, (uint8_t)state);
    pack_u8(&b, (uint8_t)m->protocol);
    pack_slice(&b, m->id);
    pack_slice(&b, m->receiver);
    pack_slice(&b, recipients_of(s));
    apply_reply(s->a, s->command, buf_slice(&b));
    buf_done(&b);
}

static enum store_rc first_state(struct store_view *view, uint64_t message, enum message_state *out)
{
    struct message_delivery d;
    enum store_rc rc = delivery_get(view, delivery_number(message, 1), &d);
    *out = rc == STORE_OK ? d.state : MESSAGE_NONE;
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static enum hub_rc reply_duplicate(struct sending *s, const struct message *before)
{
    struct message_tally tally;
    enum message_state state = MESSAGE_NONE;
    enum store_rc rc = message_tally_get(s->a->view, before->number, &tally);
    for (uint32_t i = 1; rc == STORE_OK && i <= tally.recipients; i++) {
        struct message_delivery d;
        rc = delivery_get(s->a->view, delivery_number(before->number, i), &d);
        if (rc == STORE_OK) {
            recipient_add(s, d.recipient);
        }
    }
    if (rc == STORE_OK) {
        rc = first_state(s->a->view, before->number, &state);
    }
    if (rc == STORE_OK) {
        reply_sent(s, before, state, true);
    }
    return hub_rc_of_store(rc);
}

/* HUB_ANSWERED: the same id came before, and was answered as then. */
static enum hub_rc check_id(struct sending *s)
{
    const struct message *m = &s->send->message;
    struct message before;
    if (m->id.n == 0) {
        return HUB_OK;
    }
    enum store_rc rc = message_find(s->a->view, s->a->app, m->id, &before);
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
    }
    int64_t known = before.ttl_ms > MESSAGE_KNOWN_MS_MIN ? before.ttl_ms : MESSAGE_KNOWN_MS_MIN;
    if (s->a->now_ms >= before.accepted_ms + known) {
        return HUB_OK;
    }
    if (!slice_equal(before.owner, s->send->asker.subject) ||
        !slice_equal(before.sender, m->sender)) {
        return apply_refuse(s->a, s->command, HUB_CONFLICT, "the message id ", m->id, " is taken");
    }
    enum hub_rc answered = reply_duplicate(s, &before);
    return answered == HUB_OK ? HUB_ANSWERED : answered;
}

/* ---- writing ---- */

static enum store_rc put_recipient(struct sending *s, const struct message *m, uint32_t ordinal,
                                   struct slice name)
{
    struct apply *a = s->a;
    uint64_t number = delivery_number(m->number, ordinal);
    struct agent agent;
    bool known = agent_known(a->view, a->app, name, &agent);
    struct mailbox *box = mailbox_for(a, name, known ? &agent : NULL);
    struct message_delivery d = {.app = a->app,
                                 .recipient = name,
                                 .owner = known ? agent.owner : slice_of(NULL, 0),
                                 .state = known ? MESSAGE_STORED : MESSAGE_ACCEPTED,
                                 .priority = m->priority,
                                 .accepted_ms = a->now_ms,
                                 .expires_ms = message_expires_ms(m),
                                 .changed_ms = a->now_ms};
    struct cursor_item item = {.number = number, .since_ms = a->now_ms};
    struct buf owner = {0};
    buf_add_slice(&owner, d.owner); /* a write moves what the view lent */
    d.owner = buf_slice(&owner);
    enum store_rc rc = delivery_put(a->txn, number, &d);
    if (rc == STORE_OK) {
        rc = delivery_open_put(a->txn, a->app, number);
    }
    if (rc == STORE_OK) {
        rc = delivery_name_put(a->txn, number, name);
    }
    if (rc == STORE_OK) {
        rc = message_list_add(a->txn, MESSAGES_RECIPIENT, a->app, name, m->number);
    }
    if (rc == STORE_OK && d.owner.n && !slice_equal(d.owner, m->owner)) {
        rc = message_list_add(a->txn, MESSAGES_OWNER, a->app, d.owner, m->number);
    }
    (void)cursor_add(&box->cursor, m->priority, &item);
    buf_done(&owner);
    return rc;
}

static enum store_rc put_message(struct sending *s, const struct message *m)
{
    struct apply *a = s->a;
    struct message_tally tally = {.recipients = s->count};
    uint8_t body[8];
    enum store_rc rc = message_put(a->txn, m);
    if (rc == STORE_OK && s->send->message.id.n) {
        rc = message_id_put(a->txn, a->app, m->id, m->number);
    }
    if (rc == STORE_OK) {
        rc = message_list_add(a->txn, MESSAGES_ALL, a->app, slice_of(NULL, 0), m->number);
    }
    if (rc == STORE_OK) {
        rc = message_list_add(a->txn, MESSAGES_SENDER, a->app, m->sender, m->number);
    }
    if (rc == STORE_OK) {
        rc = message_list_add(a->txn, MESSAGES_OWNER, a->app, m->owner, m->number);
    }
    if (rc == STORE_OK && m->correlation_id.n) {
        rc = message_list_add(a->txn, MESSAGES_CORRELATED, a->app, m->correlation_id, m->number);
    }
    if (rc == STORE_OK && s->count) {
        be64_put(body, m->number);
        rc = timer_add(a->txn, message_expires_ms(m), TIMER_MESSAGE_EXPIRY, slice_of(body, 8),
                       &tally.expiry);
    }
    return rc == STORE_OK ? message_tally_put(a->txn, m->number, &tally) : rc;
}

static enum hub_rc deliver_all(struct sending *s)
{
    struct messages *m = s->a->state;
    struct slice rest = recipients_of(s), name;
    enum hub_rc rc = HUB_OK;
    while (rc == HUB_OK && words_next(&rest, &name)) {
        rc = mailbox_pump(s->a, mailbox_find(&m->boxes, s->a->app, name));
    }
    return rc;
}

static enum hub_rc accept(struct sending *s)
{
    struct apply *a = s->a;
    struct messages *all = a->state;
    struct message m = s->send->message;
    char id[37];
    m.number = ++all->newest;
    m.app = a->app;
    m.owner = s->send->asker.subject;
    m.accepted_ms = a->now_ms;
    if (m.id.n == 0) {
        message_id_make(a->now_ms, a->seed, m.number, id);
        m.id = slice_str(id);
    }
    enum store_rc src = put_message(s, &m);
    struct slice rest = recipients_of(s), name;
    for (uint32_t i = 1; src == STORE_OK && words_next(&rest, &name); i++) {
        src = put_recipient(s, &m, i, name);
    }
    enum hub_rc rc = hub_rc_of_store(src);
    if (rc == HUB_OK) {
        rc = message_tell(a, "accepted", m.number, NULL, NULL, &why_nobody);
    }
    if (rc == HUB_OK) {
        rc = deliver_all(s);
    }
    enum message_state state = MESSAGE_NONE;
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(first_state(a->view, m.number, &state));
    }
    if (rc == HUB_OK) {
        reply_sent(s, &m, state, false);
    }
    return rc;
}

/* ---- history ends ---- */

static enum store_rc drop_recipient(struct apply *a, const struct message *m, uint64_t delivery)
{
    uint8_t key[8];
    struct message_delivery d;
    struct buf names = {0}; /* a write moves what the view lent */
    enum store_rc rc = delivery_get(a->view, delivery, &d);
    if (rc != STORE_OK) {
        return rc;
    }
    pack_slice(&names, d.recipient);
    pack_slice(&names, d.owner);
    struct unpack u = unpack_of(buf_slice(&names));
    struct slice recipient = unpack_slice(&u), owner = unpack_slice(&u);
    rc = delivery_name_del(a->txn, delivery, recipient);
    if (rc == STORE_OK) {
        rc = message_list_drop(a->txn, MESSAGES_RECIPIENT, m->app, recipient, m->number);
    }
    if (rc == STORE_OK && owner.n) {
        rc = message_list_drop(a->txn, MESSAGES_OWNER, m->app, owner, m->number);
    }
    if (rc == STORE_OK) {
        be64_put(key, delivery);
        rc = store_del_blind(a->txn, TABLE_DELIVERY, slice_of(key, 8));
    }
    buf_done(&names);
    return rc;
}

static enum store_rc drop_recipients(struct apply *a, const struct message *m, uint32_t n)
{
    uint8_t key[8];
    enum store_rc rc = STORE_OK;
    for (uint32_t i = 1; rc == STORE_OK && i <= n; i++) {
        rc = drop_recipient(a, m, delivery_number(m->number, i));
    }
    be64_put(key, delivery_number(m->number, 0));
    return rc == STORE_OK ? store_del_blind(a->txn, TABLE_DELIVERY, slice_of(key, 8)) : rc;
}

static enum store_rc drop_message(struct apply *a, const struct message *m)
{
    uint8_t key[8];
    enum store_rc rc = message_id_del(a->txn, m->app, m->id, m->number);
    if (rc == STORE_OK) {
        rc = message_list_drop(a->txn, MESSAGES_ALL, m->app, slice_of(NULL, 0), m->number);
    }
    if (rc == STORE_OK) {
        rc = message_list_drop(a->txn, MESSAGES_SENDER, m->app, m->sender, m->number);
    }
    if (rc == STORE_OK) {
        rc = message_list_drop(a->txn, MESSAGES_OWNER, m->app, m->owner, m->number);
    }
    if (rc == STORE_OK && m->correlation_id.n) {
        rc = message_list_drop(a->txn, MESSAGES_CORRELATED, m->app, m->correlation_id, m->number);
    }
    be64_put(key, m->number);
    return rc == STORE_OK ? store_del_blind(a->txn, TABLE_MESSAGE, slice_of(key, 8)) : rc;
}

static bool is_kept(const struct apply *a, const struct message *m, const struct message_tally *t)
{
    const struct messages *all = a->state;
    const struct log_limits *keep = &book_options(a->book, m->app, slice_str("messages"))->history;
    bool many = keep->events_max && all->newest + 1 - all->oldest > keep->events_max;
    bool old = keep->age_ms_max && m->accepted_ms < a->now_ms - keep->age_ms_max;
    return m->number == all->newest || !message_tally_is_settled(t) || !(many || old);
}

static enum store_rc drop_oldest(struct apply *a, const struct message *borrowed, uint32_t n)
{
    struct buf row = {0};
    struct message m;
    message_pack(&row, borrowed);
    enum store_rc rc = message_unpack(buf_slice(&row), &m) ? STORE_OK : STORE_DAMAGED;
    if (rc == STORE_OK) {
        rc = drop_recipients(a, &m, n);
    }
    if (rc == STORE_OK) {
        rc = drop_message(a, &m);
    }
    buf_done(&row);
    return rc;
}

/* The oldest message of all, when it is done with and past what the namespace keeps. */
static enum store_rc trim_one(struct apply *a, bool *out_more)
{
    struct messages *all = a->state;
    struct message m;
    struct message_tally t;
    enum store_rc rc = message_get(a->view, all->oldest, &m);
    if (rc == STORE_OK) {
        rc = message_tally_get(a->view, m.number, &t);
    }
    *out_more =
        rc == STORE_NOT_FOUND ? all->oldest < all->newest : rc == STORE_OK && !is_kept(a, &m, &t);
    if (*out_more && rc == STORE_OK) {
        rc = drop_oldest(a, &m, t.recipients);
    }
    all->oldest += *out_more;
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static enum hub_rc trim(struct apply *a)
{
    enum store_rc rc = STORE_OK;
    bool more = true;
    for (unsigned i = 0; rc == STORE_OK && more && i < TRIM_A_SEND; i++) {
        rc = trim_one(a, &more);
    }
    return hub_rc_of_store(rc);
}

/* ---- the command ---- */

static enum hub_rc send_apply(struct apply *a, struct command *command, struct slice body)
{
    struct message_send send;
    if (!send_get(body, &send)) {
        return HUB_BAD_REQUEST;
    }
    struct sending s = {.a = a, .command = command, .send = &send};
    enum hub_rc rc = check_sender(&s);
    if (rc == HUB_OK) {
        rc = check_id(&s);
    }
    if (rc == HUB_OK) {
        rc = choose(&s);
        if (rc == HUB_OK) {
            rc = accept(&s);
        }
        if (rc == HUB_OK) {
            rc = trim(a);
        }
    }
    buf_done(&s.recipients);
    return rc == HUB_ANSWERED ? HUB_OK : rc;
}

const struct command_kind command_message_send = {
    .name = "messages.send", .apply = send_apply, .module = MODULE_MESSAGES};

/* ---- links ---- */

void link_change_put(struct buf *b, const struct link_change *c)
{
    asker_put(b, &c->asker);
    why_put(b, &c->why);
    pack_u8(b, c->add);
    pack_u8(b, c->may_any);
    pack_u8(b, (uint8_t)c->kind);
    pack_slice(b, c->from);
    pack_slice(b, c->to);
}

bool link_changed_get(struct slice reply, struct link_changed *out)
{
    struct unpack u = unpack_of(reply);
    out->at_ms = unpack_i64(&u);
    out->from = unpack_slice(&u);
    out->to = unpack_slice(&u);
    return unpack_done(&u);
}

static bool owns(const struct apply *a, const struct asker *asker, struct slice name)
{
    struct agent agent;
    return agent_find(a->view, a->app, name, &agent) == STORE_OK && asker_sees(asker, agent.owner);
}

static enum hub_rc link_tell(struct apply *a, const struct link_change *c)
{
    struct buf data = {0};
    struct json_out o = json_out_to(&data);
    bool peer = c->kind == LINK_PEER;
    json_begin(&o, '{');
    json_key(&o, peer ? "agent_id" : "master_id");
    json_text(&o, c->from);
    json_key(&o, peer ? "peer_id" : "sub_id");
    json_text(&o, c->to);
    why_json(&o, &c->why, a->now_ms);
    json_end(&o, '}');
    const char *event = peer     ? c->add ? "peer_added" : "peer_removed"
                        : c->add ? "sub_added"
                                 : "sub_removed";
    enum hub_rc rc = apply_tell(a, a->app, slice_str("messages"), event, buf_slice(&data));
    buf_done(&data);
    return rc;
}

static enum store_rc link_write(struct apply *a, const struct link_change *c)
{
    struct link link = {.from = c->from, .to = c->to, .made_ms = a->now_ms};
    if (!c->add) {
        return link_remove(a->txn, c->kind, a->app, c->from, c->to);
    }
    return link_has(a->view, c->kind, a->app, c->from, c->to)
               ? STORE_EXISTS
               : link_add(a->txn, c->kind, a->app, &link);
}

/* Adding what is there and removing what is not change nothing and are no fault. */
static enum hub_rc link_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct link_change c = {.asker = asker_get(&u)};
    c.why = why_get(&u);
    c.add = unpack_u8(&u) != 0;
    c.may_any = unpack_u8(&u) != 0;
    c.kind = (enum link_kind)unpack_u8(&u);
    c.from = unpack_slice(&u);
    c.to = unpack_slice(&u);
    if (!unpack_done(&u) || (c.kind != LINK_PEER && c.kind != LINK_SUB)) {
        return HUB_BAD_REQUEST;
    }
    if (!c.may_any && !(owns(a, &c.asker, c.from) && owns(a, &c.asker, c.to))) {
        return apply_refuse(a, command, HUB_FORBIDDEN,
                            "agents of different owners are linked by an operator: ", c.from, "");
    }
    if (c.add && c.kind == LINK_SUB && link_is_above(a->view, a->app, c.from, c.to)) {
        return apply_refuse(a, command, HUB_CONFLICT, "", c.to,
                            " is its own master already, or would become so");
    }
    enum store_rc src = link_write(a, &c);
    enum hub_rc rc = HUB_OK;
    if (src == STORE_OK) {
        rc = link_tell(a, &c);
    } else if (src != STORE_EXISTS && src != STORE_NOT_FOUND) {
        rc = hub_rc_of_store(src);
    }
    if (rc == HUB_OK) {
        struct buf b = {0};
        pack_i64(&b, a->now_ms);
        pack_slice(&b, c.from);
        pack_slice(&b, c.to);
        apply_reply(a, command, buf_slice(&b));
        buf_done(&b);
    }
    return rc;
}

const struct command_kind command_link = {
    .name = "messages.link", .apply = link_apply, .module = MODULE_MESSAGES};
