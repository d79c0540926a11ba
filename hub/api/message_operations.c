/* Messages between agents: rest-contract.md section 3, semantics.md section 5. Sending and
 * answering are commands; history and one message are read from a snapshot. */
#include "hub/api/agent_view.h"
#include "hub/api/components.h"
#include "hub/api/pages.h"
#include "hub/api/tables.h"
#include "hub/api/words.h"
#include "hub/messages/lists.h"
#include "hub/messages/module.h"

/* A page of history ends, maybe short, after so many messages that were looked at, and counts the
 * caller's among so many. */
enum {
    HISTORY_DEFAULT = 100,
    HISTORY_LOOKED_MAX = 20000,
    HISTORY_COUNTED_MAX = 10000,
    RECIPIENTS_SHOWN_MAX = 1000
};

/* ---- parameters ---- */

static enum hub_rc bad_word(struct call *call, const char *what, const char *field,
                            const char *rest, const struct call_words *words)
{
    struct slice word = call_text(call, field);
    call->words = words;
    return call_fail(call, HUB_BAD_REQUEST, "Invalid %s: %.*s%s", what,
                     (int)(word.n < 200 ? word.n : 200), (const char *)word.p, rest);
}

static enum hub_rc words_read(struct call *call, struct message *m)
{
    static const char protocols[] = ". Valid protocols: hierarchical, peer_to_peer, broadcast";
    struct slice priority = call_text(call, "priority"), protocol = call_text(call, "protocol");
    m->priority = MESSAGE_NORMAL;
    if (protocol.p && !message_protocol_of(protocol, &m->protocol)) {
        return bad_word(call, "protocol", "protocol", protocols, NULL);
    }
    if (!message_type_of(call_text(call, "message_type"), &m->type)) {
        return bad_word(call, "message type", "message_type", "", &words_message_type);
    }
    if (priority.p && !message_priority_of(priority, &m->priority)) {
        return bad_word(call, "priority", "priority", "", &words_message_priority);
    }
    return HUB_OK;
}

static struct slice sender_of(const struct call *call)
{
    struct slice sender = call_text(call, "sender_id");
    if (sender.n) {
        return sender;
    }
    return call->who->role == ROLE_AGENT ? call->who->subject : slice_str(MESSAGE_HUB_SENDER);
}

static enum hub_rc send_read(struct call *call, struct message_send *s, struct buf *payload)
{
    struct message *m = &s->message;
    enum hub_rc rc = words_read(call, m);
    s->asker = asker_of(call->who);
    s->may_any = call->who->role >= ROLE_OPERATOR;
    m->id = call_text(call, "message_id");
    m->sender = sender_of(call);
    m->correlation_id = call_text(call, "correlation_id");
    m->reply_to = call_text(call, "reply_to");
    m->ttl_ms = (int64_t)(call_number(call, "ttl", MESSAGE_TTL_S) * 1000);
    m->hops = (uint8_t)call_int(call, "hops", 0);
    m->ack_none = slice_is(call_text(call, "ack"), "none");
    json_put_value(payload, call_json(call, "payload"));
    m->payload = buf_slice(payload);
    if (rc == HUB_OK && payload->n > MESSAGE_PAYLOAD_BYTES_MAX) {
        rc = call_fail_field(call, "payload", "too_long", "at most %d bytes",
                             MESSAGE_PAYLOAD_BYTES_MAX);
    }
    if (rc == HUB_OK && m->ttl_ms < 1) {
        rc = call_fail_field(call, "ttl", "value_error", "a message lives a millisecond at least");
    }
    return rc;
}

/* ---- messages.send ---- */

static enum hub_rc send_prepare(struct call *call, struct buf *body)
{
    struct message_send send = {.message.receiver = call_text(call, "receiver_id"),
                                .cascade = (uint8_t)call_int(call, "cascade", 0)};
    struct buf payload = {0};
    enum hub_rc rc = send_read(call, &send, &payload);
    if (rc == HUB_OK) {
        message_send_put(body, &send);
    }
    buf_done(&payload);
    return rc;
}

static enum hub_rc send_answer(struct call *call, const struct command *command, struct slice reply)
{
    struct message_sent sent;
    (void)command;
    if (!message_sent_get(reply, &sent)) {
        return HUB_INTERNAL;
    }
    struct json_out o = answer_begin(call);
    put_str(&o, "message", "Message sent successfully");
    put_text(&o, "message_id", sent.id);
    put_text(&o, "receiver_id", sent.receiver);
    put_str(&o, "protocol", message_protocol_name(sent.protocol));
    put_time(&o, "sent_at", sent.at_ms);
    put_bool(&o, "receiver_known", sent.receiver_known);
    put_str(&o, "state", message_state_name(sent.state));
    put_count(&o, "count", sent.count);
    if (sent.duplicate) {
        put_bool(&o, "duplicate", true);
    }
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- messages.broadcast ---- */

static enum hub_rc capabilities_read(struct call *call, struct buf *packed, struct words *out)
{
    const json_t *list = call_json(call, "capabilities");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        pack_slice(packed, slice_of(json_string_value(item), json_string_length(item)));
    }
    *out = (struct words){.n = (uint32_t)json_array_size(list), .packed = buf_slice(packed)};
    return HUB_OK;
}

static enum hub_rc broadcast_prepare(struct call *call, struct buf *body)
{
    struct message_send send = {.by_type = json_is_string(call_json(call, "agent_type"))};
    struct buf payload = {0}, capabilities = {0};
    enum hub_rc rc = send_read(call, &send, &payload);
    send.message.protocol = MESSAGE_BY_BROADCAST;
    if (rc == HUB_OK && send.by_type &&
        !agent_type_of(call_text(call, "agent_type"), &send.agent_type)) {
        rc = bad_word(call, "agent type", "agent_type", "", &words_agent_type);
    }
    if (rc == HUB_OK) {
        rc = capabilities_read(call, &capabilities, &send.capabilities);
    }
    if (rc == HUB_OK) {
        message_send_put(body, &send);
    }
    buf_done(&payload);
    buf_done(&capabilities);
    return rc;
}

static enum hub_rc broadcast_answer(struct call *call, const struct command *command,
                                    struct slice reply)
{
    struct message_sent sent;
    (void)command;
    if (!message_sent_get(reply, &sent)) {
        return HUB_INTERNAL;
    }
    struct buf text = {0};
    if (sent.count) {
        buf_printf(&text, "Message broadcast to %u agents", (unsigned)sent.count);
    } else {
        buf_add_str(&text, "No matching agents found");
    }
    struct json_out o = answer_begin(call);
    struct slice rest = sent.recipients, name;
    put_text(&o, "message", buf_slice(&text));
    put_text(&o, "message_id", sent.id);
    json_key(&o, "recipients");
    json_begin(&o, '[');
    while (words_next(&rest, &name)) {
        json_text(&o, name);
    }
    json_end(&o, ']');
    put_count(&o, "count", sent.count);
    put_time(&o, "broadcast_at", sent.at_ms);
    if (sent.duplicate) {
        put_bool(&o, "duplicate", true);
    }
    json_end(&o, '}');
    buf_done(&text);
    return HUB_OK;
}

/* ---- messages.ack and its like ---- */

static enum hub_rc answer_prepare(struct call *call, struct buf *body, enum message_event verdict)
{
    double delay_s = call_number(call, "delay", -1);
    struct message_answer answer = {.asker = asker_of(call->who),
                                    .id = call_text(call, "message_id"),
                                    .agent = call_text(call, "agent_id"),
                                    .verdict = verdict,
                                    .delay_ms = delay_s < 0 ? -1 : (int64_t)(delay_s * 1000)};
    enum hub_rc rc = call_reason(call, &answer.reason);
    if (rc == HUB_OK) {
        message_answer_put(body, &answer);
    }
    return rc;
}

static enum hub_rc ack_prepare(struct call *call, struct buf *body)
{
    return answer_prepare(call, body, MESSAGE_ACK);
}

static enum hub_rc nack_prepare(struct call *call, struct buf *body)
{
    return answer_prepare(call, body, MESSAGE_NACK);
}

static enum hub_rc progress_prepare(struct call *call, struct buf *body)
{
    return answer_prepare(call, body, MESSAGE_PROGRESS);
}

static enum hub_rc term_prepare(struct call *call, struct buf *body)
{
    return answer_prepare(call, body, MESSAGE_TERM);
}

static enum hub_rc answered(struct call *call, const struct command *command, struct slice reply)
{
    struct message_answered a;
    (void)command;
    if (!message_answered_get(reply, &a)) {
        return HUB_INTERNAL;
    }
    struct json_out o = answer_begin(call);
    put_text(&o, "message_id", a.id);
    put_text(&o, "agent_id", a.agent);
    put_str(&o, "state", message_state_name(a.state));
    put_time(&o, "timestamp", a.at_ms);
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- reading ---- */

static bool is_recipient(struct store_view *view, const struct message *m, struct slice name)
{
    uint64_t delivery;
    struct message_delivery d;
    return delivery_find(view, m->number, name, &delivery, &d) == STORE_OK;
}

static bool visible(const struct call *call, struct store_view *view, const struct message *m)
{
    struct asker asker = asker_of(call->who);
    return m->app == call->who->app &&
           (asker.all || slice_equal(m->owner, asker.subject) ||
            message_list_has(view, MESSAGES_OWNER, m->app, asker.subject, m->number) ||
            is_recipient(view, m, asker.subject));
}

static void put_message_members(struct json_out *o, const struct message *m, struct slice receiver)
{
    put_text(o, "message_id", m->id);
    put_text(o, "sender_id", m->sender);
    put_text(o, "receiver_id", receiver.n ? receiver : slice_str("*"));
    put_str(o, "message_type", message_type_name(m->type));
    put_str(o, "priority", message_priority_name(m->priority));
    json_key(o, "payload");
    json_raw(o, m->payload);
    put_str(o, "protocol", message_protocol_name(m->protocol));
    put_time(o, "timestamp", m->accepted_ms);
    put_count(o, "seq", m->number);
    put_text_or_null(o, "correlation_id", m->correlation_id);
    put_text_or_null(o, "reply_to", m->reply_to);
    put_count(o, "hops", m->hops);
    put_str(o, "ack", m->ack_none ? "none" : "required");
    put_time(o, "expires_at", message_expires_ms(m));
}

/* How it stands with that receiver; with none named, with its only one, or with all of them. */
static enum store_rc put_state(struct json_out *o, struct store_view *view, const struct message *m,
                               const struct message_tally *t, struct slice receiver)
{
    struct message_delivery d = {.state = MESSAGE_NONE};
    uint64_t delivery = delivery_number(m->number, 1);
    bool named = receiver.n && delivery_find(view, m->number, receiver, &delivery, &d) == STORE_OK;
    bool only = !named && t->recipients == 1;
    enum store_rc rc = only ? delivery_get(view, delivery_number(m->number, 1), &d) : STORE_OK;
    put_str(o, "state",
            named || only                 ? message_state_name(d.state)
            : message_tally_is_settled(t) ? "settled"
                                          : "open");
    return rc;
}

struct history {
    struct page page;
    enum message_list list;
    struct slice word;
    struct slice receiver; /* that was asked for */
    struct slice sender;   /* that was asked for beside a correlation id */
    bool whole;            /* whatever stands under the word is the caller's to see */
    bool since;            /* from a sequence on, oldest first */
    uint64_t offset, last, looked;
    enum store_rc rc;
};

/* What else was asked for than the list says: it knows a correlation id by its hash alone. */
static bool history_fits(const struct history *h, const struct message *m)
{
    return h->list != MESSAGES_CORRELATED ||
           (slice_equal(m->correlation_id, h->word) &&
            (h->sender.n == 0 || slice_equal(m->sender, h->sender)) &&
            (h->receiver.n == 0 || is_recipient(h->page.view, m, h->receiver)));
}

/* Whether it is there, asked for, and the caller's to see. */
static bool history_has(struct history *h, uint64_t number, struct message *out)
{
    h->rc = message_get(h->page.view, number, out);
    bool has = h->rc == STORE_OK && history_fits(h, out) &&
               (h->whole || visible(h->page.call, h->page.view, out));
    h->rc = h->rc == STORE_NOT_FOUND ? STORE_OK : h->rc;
    return has;
}

static bool history_one(void *ctx, uint64_t number)
{
    struct history *h = ctx;
    struct page *page = &h->page;
    struct message m;
    struct message_tally t;
    if (page->n == page->limit || h->looked == HISTORY_LOOKED_MAX) {
        page->next = number;
        return false;
    }
    if (h->whole && h->offset) { /* counted, not looked at */
        h->offset--;
        return true;
    }
    h->looked++;
    h->last = number;
    if (!history_has(h, number, &m)) {
        return h->rc == STORE_OK;
    }
    if (h->offset) {
        h->offset--;
        return true;
    }
    page->n++;
    json_begin(&page->o, '{');
    put_message_members(&page->o, &m, m.receiver.n ? m.receiver : h->receiver);
    h->rc = message_tally_get(page->view, number, &t);
    if (h->rc == STORE_OK) {
        h->rc = put_state(&page->o, page->view, &m, &t, h->receiver);
    }
    json_end(&page->o, '}');
    return h->rc == STORE_OK;
}

/* The narrowest list: those of a correlation id, else of a sender, of a receiver, of the caller,
 * else all. A sender goes before a receiver. */
static void history_choose(struct history *h, struct call *call)
{
    struct asker asker = asker_of(call->who);
    struct slice correlation = call_text(call, "correlation_id");
    struct slice sender = call_text(call, "sender_id"), receiver = call_text(call, "receiver_id");
    h->word = correlation.n ? correlation
              : sender.n    ? sender
              : receiver.n  ? receiver
              : asker.all   ? slice_of(NULL, 0)
                            : asker.subject;
    h->list = correlation.n ? MESSAGES_CORRELATED
              : sender.n    ? MESSAGES_SENDER
              : receiver.n  ? MESSAGES_RECIPIENT
              : asker.all   ? MESSAGES_ALL
                            : MESSAGES_OWNER;
    h->sender = correlation.n ? sender : slice_of(NULL, 0);
    h->receiver = sender.n ? slice_of(NULL, 0) : receiver;
    h->whole = (asker.all && !h->sender.n && !(correlation.n && h->receiver.n)) ||
               h->list == MESSAGES_OWNER ||
               (h->list == MESSAGES_RECIPIENT && slice_equal(h->word, asker.subject));
}

struct counting {
    struct history *h;
    uint64_t looked, n;
};

static bool count_visible(void *ctx, uint64_t number)
{
    struct counting *c = ctx;
    struct message m;
    c->n += history_has(c->h, number, &m);
    return c->h->rc == STORE_OK && ++c->looked < HISTORY_COUNTED_MAX;
}

/* Of a word whose messages are in part another's, the newest are looked at and the caller's
 * counted. */
static enum store_rc put_total(struct history *h)
{
    struct page *page = &h->page;
    struct counting c = {.h = h, .n = page->n};
    uint64_t under = 0;
    enum store_rc rc =
        message_list_count(page->view, h->list, page->call->who->app, h->word, &under);
    bool counts = rc == STORE_OK && !h->whole && !h->since;
    if (counts) {
        c.n = 0;
        rc = messages_each(page->view, h->list, page->call->who->app, h->word, 0, true,
                           count_visible, &c);
    }
    put_count(&page->o, "total", h->whole ? under : c.n);
    put_bool(&page->o, "total_exact", h->whole || (counts && c.looked >= under));
    return rc;
}

static enum hub_rc put_history(struct history *h)
{
    struct page *page = &h->page;
    struct call *call = page->call;
    uint64_t offset = h->offset;
    enum hub_rc rc = page_from(page, UINT64_MAX);
    if (rc != HUB_OK) {
        return rc;
    }
    history_choose(h, call);
    page->o = answer_begin(call);
    page_list(page, "messages");
    enum store_rc src = messages_each(page->view, h->list, call->who->app, h->word,
                                      h->since ? h->last : page->from, !h->since, history_one, h);
    json_end(&page->o, ']');
    put_count(&page->o, "count", page->n);
    if (src == STORE_OK && h->rc == STORE_OK) {
        src = put_total(h);
    }
    put_count(&page->o, "limit", page->limit);
    put_count(&page->o, "offset", offset);
    if (h->since) {
        put_count(&page->o, "next_since_seq", h->last);
    } else {
        page_put_next(page);
    }
    put_time(&page->o, "timestamp", call->now_ms);
    json_end(&page->o, '}');
    return hub_rc_of_store(h->rc != STORE_OK ? h->rc : src);
}

static enum hub_rc history(struct call *call)
{
    struct history h = {.offset = (uint64_t)call_int(call, "offset", 0),
                        .last = (uint64_t)call_int(call, "since_seq", 0),
                        .since = call_json(call, "since_seq") != NULL};
    if (call_text(call, "cursor").n && (h.since || h.offset)) {
        return call_fail_field(call, "cursor", "value_error",
                               "goes without offset and since_seq: it says where already");
    }
    enum hub_rc rc = page_open(&h.page, call, HISTORY_DEFAULT);
    if (rc == HUB_OK) {
        rc = put_history(&h);
        page_close(&h.page);
    }
    return rc;
}

/* The tally counts what is settled; how many have the message in hand is in their rows alone. */
static uint32_t put_recipients(struct json_out *o, struct store_view *view, const struct message *m,
                               uint32_t n)
{
    uint32_t in_hand = 0;
    json_key(o, "recipients");
    json_begin(o, '[');
    for (uint32_t i = 1; i <= n; i++) {
        struct message_delivery d;
        if (delivery_get(view, delivery_number(m->number, i), &d) != STORE_OK) {
            continue;
        }
        in_hand += d.state == MESSAGE_DELIVERED;
        if (i <= RECIPIENTS_SHOWN_MAX) {
            json_begin(o, '{');
            put_text(o, "agent_id", d.recipient);
            put_str(o, "state", message_state_name(d.state));
            put_count(o, "deliveries", d.deliveries);
            put_time(o, "changed_at", d.changed_ms);
            json_end(o, '}');
        }
    }
    json_end(o, ']');
    return in_hand;
}

static enum hub_rc message_show(struct call *call, struct store_view *view, const struct message *m)
{
    struct message_tally t;
    enum store_rc rc = message_tally_get(view, m->number, &t);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    struct json_out o = answer_begin(call);
    json_key(&o, "message");
    json_begin(&o, '{');
    put_message_members(&o, m, m->receiver);
    rc = put_state(&o, view, m, &t, slice_of(NULL, 0));
    uint32_t in_hand = put_recipients(&o, view, m, t.recipients);
    json_key(&o, "progress");
    json_begin(&o, '{');
    put_count(&o, "total", t.recipients);
    put_count(&o, "acked", t.acked);
    put_count(&o, "delivered", t.sent + in_hand);
    put_count(&o, "expired", t.expired);
    put_count(&o, "dead", t.dead);
    json_end(&o, '}');
    json_end(&o, '}');
    put_time(&o, "timestamp", call->now_ms);
    json_end(&o, '}');
    return hub_rc_of_store(rc);
}

static enum hub_rc get(struct call *call)
{
    struct store_view *view;
    struct message m;
    struct slice id = call_text(call, "message_id");
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    enum store_rc src = message_find(view, call->who->app, id, &m);
    if (src == STORE_NOT_FOUND || (src == STORE_OK && !visible(call, view, &m))) {
        rc = call_fail(call, HUB_NOT_FOUND, "Message %.*s not found",
                       (int)(id.n < 200 ? id.n : 200), (const char *)id.p);
    } else {
        rc = src == STORE_OK ? message_show(call, view, &m) : hub_rc_of_store(src);
    }
    store_release(call->io->reader);
    return rc;
}

/* ---- the table ---- */

/* clang-format off */
#define AGENT {"type":"string","minLength":1,"maxLength":128}
#define AGENT_OR_NULL(text) {"type":["string","null"],"minLength":1,"maxLength":128,"description":text}
#define MESSAGE_ID {"type":"string","minLength":1,"maxLength":128}
#define TEXT_OR_NULL(text) {"type":["string","null"],"maxLength":256,"description":text}
#define MESSAGE_FIELDS \
    "message_type":{"type":"string","description":"One of direct, broadcast, hierarchical, peer_to_peer, coordination, task_assignment, status_update, heartbeat, discovery, consensus.","examples":["direct"]}, \
    "payload":{"type":"object","description":"Anything, 64 KiB at most.","examples":[{"text":"hello"}]}, \
    "priority":{"type":["string","null"],"default":"normal","description":"critical, high, normal or low."}, \
    "sender_id":AGENT_OR_NULL("Who speaks: the caller itself when left out."), \
    "message_id":{"type":["string","null"],"minLength":1,"maxLength":128,"description":"The sender's own: sent again it is answered as before."}, \
    "ttl":{"type":["number","null"],"exclusiveMinimum":0,"maximum":2592000,"default":300,"description":"Seconds from acceptance."}, \
    "correlation_id":TEXT_OR_NULL("Handed on."),"reply_to":TEXT_OR_NULL("Handed on."), \
    "ack":{"enum":["required","none",null],"default":"required","description":"none: delivered at most once."}, \
    "hops":{"type":["integer","null"],"minimum":0,"maximum":8,"default":0,"description":"How often it was passed on; more than 8 are refused."}
#define SEND_PARAMS SCHEMA({"type":"object","required":["receiver_id","message_type","payload"],"properties":{ \
    "receiver_id":AGENT,MESSAGE_FIELDS, \
    "protocol":{"type":["string","null"],"default":"hierarchical","description":"hierarchical, peer_to_peer or broadcast."}, \
    "cascade":{"type":["integer","null"],"minimum":0,"maximum":8,"default":0,"description":"So many levels of the receiver's subordinates get it too."}}})
#define BROADCAST_PARAMS SCHEMA({"type":"object","required":["message_type","payload"],"properties":{MESSAGE_FIELDS, \
    "agent_type":{"type":["string","null"]}, \
    "capabilities":{"type":["array","null"],"maxItems":64,"items":{"type":"string","minLength":1,"maxLength":128},"description":"All of them."}}})
#define ANSWER_PARAMS(more) SCHEMA({"type":"object","required":["message_id"],"properties":{"message_id":MESSAGE_ID,"agent_id":AGENT_OR_NULL("Which recipient answers; left out: the caller itself, or the only recipient.") more}})
#define COMMA_REASON ,"reason":SHAPE_REASON
#define COMMA_DELAY ,"delay":{"type":["number","null"],"minimum":0,"maximum":86400,"description":"Seconds until it is delivered again; without it 1, 5 or 30."}
#define ANSWERED SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"message_id":{"type":"string"},"agent_id":{"type":"string"},"state":{"type":"string"},"timestamp":SHAPE_TIME}})
#define MESSAGE_SHAPE {"type":"object","properties":{"message_id":{"type":"string"},"sender_id":{"type":"string"},"receiver_id":{"type":"string","description":"* for a broadcast."},"message_type":{"type":"string"},"priority":{"type":"string"},"payload":{"type":"object"},"protocol":{"type":"string"},"timestamp":SHAPE_TIME,"seq":{"type":"integer"},"correlation_id":{"type":["string","null"]},"reply_to":{"type":["string","null"]},"hops":SHAPE_COUNT,"ack":{"type":"string"},"expires_at":SHAPE_TIME,"state":{"type":"string"},"recipients":{"type":"array"},"progress":{"type":"object"}}}

static const struct operation rows[] = {
    { .name = "messages.send", .summary = "Send a message to an agent",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/messages/send", 200, STYLE_COORDINATOR, false}},
      .params = SEND_PARAMS,
      .answer_schema = SCHEMA({"type":"object","required":["status","message","message_id","receiver_id","protocol","sent_at"],"properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},"message_id":{"type":"string"},"receiver_id":{"type":"string"},"protocol":{"type":"string"},"sent_at":SHAPE_TIME,"receiver_known":{"type":"boolean","description":"Is the receiver registered? Else it waits out its ttl."},"state":{"type":"string"},"count":{"type":"integer","description":"Recipients, cascade included."},"duplicate":{"type":"boolean"}}}),
      .kind = &command_message_send, .prepare = send_prepare, .answer = send_answer },
    { .name = "messages.broadcast", .summary = "Send a message to all agents that fit",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/messages/broadcast", 200, STYLE_COORDINATOR, false}},
      .params = BROADCAST_PARAMS,
      .answer_schema = SCHEMA({"type":"object","required":["status","message","recipients","count","broadcast_at"],"properties":{"status":SHAPE_SUCCESS,"message":{"type":"string"},"message_id":{"type":"string"},"recipients":{"type":"array","items":{"type":"string"}},"count":SHAPE_COUNT,"broadcast_at":SHAPE_TIME,"duplicate":{"type":"boolean"}}}),
      .kind = &command_message_send, .prepare = broadcast_prepare, .answer = broadcast_answer },
    { .name = "messages.history", .summary = "Messages, newest first, or from a sequence on",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/messages/history", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","properties":{"sender_id":{"type":["string","null"],"maxLength":128,"description":"Goes before receiver_id."},"receiver_id":{"type":["string","null"],"maxLength":128,"description":"Broadcasts to it included."},
          "correlation_id":{"type":["string","null"],"maxLength":256,"description":"Only what carries it, of that sender or to that receiver if one is named too."},
          "limit":{"type":"integer","minimum":1,"maximum":1000,"default":100},"offset":{"type":"integer","minimum":0,"default":0,"description":"Callers of old count; a cursor stays where it is while messages come."},"cursor":SHAPE_CURSOR,
          "since_seq":{"type":"integer","minimum":0,"description":"Only what came after it, oldest first: the next_since_seq of the page before."}}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"messages":{"type":"array","items":MESSAGE_SHAPE},"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR,"total":SHAPE_COUNT,"total_exact":{"type":"boolean","description":"false: there are so many at least."},"limit":SHAPE_COUNT,"offset":SHAPE_COUNT,"next_since_seq":{"type":"integer"},"timestamp":SHAPE_TIME}}),
      .query = history },
    { .name = "messages.get", .summary = "One message, and how it stands with its recipients",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/messages/{message_id}", 200, STYLE_COORDINATOR, false}},
      .params = SCHEMA({"type":"object","required":["message_id"],"properties":{"message_id":MESSAGE_ID}}),
      .answer_schema = SCHEMA({"type":"object","properties":{"status":SHAPE_SUCCESS,"message":MESSAGE_SHAPE,"timestamp":SHAPE_TIME}}),
      .query = get },
    { .name = "messages.ack", .summary = "Say that a message was dealt with",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/messages/{message_id}/ack", 200, STYLE_COORDINATOR, false}},
      .params = ANSWER_PARAMS(), .answer_schema = ANSWERED,
      .kind = &command_message_answer, .prepare = ack_prepare, .answer = answered },
    { .name = "messages.nack", .summary = "Ask for a message again, later",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/messages/{message_id}/nack", 200, STYLE_COORDINATOR, false}},
      .params = ANSWER_PARAMS(COMMA_DELAY), .answer_schema = ANSWERED,
      .kind = &command_message_answer, .prepare = nack_prepare, .answer = answered },
    { .name = "messages.progress", .summary = "Ask for more time to deal with a message",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/messages/{message_id}/progress", 200, STYLE_COORDINATOR, false}},
      .params = ANSWER_PARAMS(), .answer_schema = ANSWERED,
      .kind = &command_message_answer, .prepare = progress_prepare, .answer = answered },
    { .name = "messages.term", .summary = "Give a message up: it is dead",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/messages/{message_id}/term", 200, STYLE_COORDINATOR, false}},
      .params = ANSWER_PARAMS(COMMA_REASON), .answer_schema = ANSWERED,
      .kind = &command_message_answer, .prepare = term_prepare, .answer = answered },
};
/* clang-format on */

const struct operation_table message_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
