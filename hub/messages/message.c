#include "hub/messages/message.h"
#include "auth/digest.h"
#include "store/hash.h"

#include <ctype.h>

enum {
    ROW_VERSION = 1,
    INDEX_ID = 'i',
    INDEX_NAME = 'n',
    INDEX_OPEN = 'x',
    ID_BYTES = 1 + 4 + 16,
    NAME_BYTES = 1 + 8 + 8,
    OPEN_BYTES = 1 + 4 + 8
};
static const uint64_t INDEX_SEED = UINT64_C(0x6d657373);

/* clang-format off */
static const char *const type_names[MESSAGE_TYPES] = {
    [MESSAGE_DIRECT] = "direct", [MESSAGE_BROADCAST] = "broadcast", [MESSAGE_HIERARCHICAL] = "hierarchical",
    [MESSAGE_PEER_TO_PEER] = "peer_to_peer", [MESSAGE_COORDINATION] = "coordination",
    [MESSAGE_TASK_ASSIGNMENT] = "task_assignment", [MESSAGE_STATUS_UPDATE] = "status_update",
    [MESSAGE_HEARTBEAT] = "heartbeat", [MESSAGE_DISCOVERY] = "discovery", [MESSAGE_CONSENSUS] = "consensus",
};
static const char *const priority_names[MESSAGE_PRIORITIES] = {
    [MESSAGE_CRITICAL] = "critical", [MESSAGE_HIGH] = "high", [MESSAGE_NORMAL] = "normal", [MESSAGE_LOW] = "low",
};
static const char *const protocol_names[MESSAGE_PROTOCOLS] = {
    [MESSAGE_BY_HIERARCHY] = "hierarchical", [MESSAGE_BY_PEERS] = "peer_to_peer", [MESSAGE_BY_BROADCAST] = "broadcast",
};
static const char *const state_names[MESSAGE_STATES] = {
    [MESSAGE_NONE] = "none", [MESSAGE_ACCEPTED] = "accepted", [MESSAGE_STORED] = "stored",
    [MESSAGE_DELIVERED] = "delivered", [MESSAGE_RETURNED] = "stored", [MESSAGE_ACKED] = "acked",
    [MESSAGE_SENT] = "delivered", [MESSAGE_EXPIRED] = "expired", [MESSAGE_DEAD] = "dead",
};

/* An empty cell is MESSAGE_NONE: not allowed. */
static const enum message_state next_state[MESSAGE_STATES][MESSAGE_EVENTS] = {
    [MESSAGE_ACCEPTED]  = { [MESSAGE_KNOWN] = MESSAGE_STORED, [MESSAGE_EXPIRE] = MESSAGE_EXPIRED },
    [MESSAGE_STORED]    = { [MESSAGE_DELIVER] = MESSAGE_DELIVERED, [MESSAGE_EXPIRE] = MESSAGE_EXPIRED },
    [MESSAGE_DELIVERED] = { [MESSAGE_ACK] = MESSAGE_ACKED, [MESSAGE_NACK] = MESSAGE_RETURNED,
                            [MESSAGE_PROGRESS] = MESSAGE_DELIVERED, [MESSAGE_TERM] = MESSAGE_DEAD,
                            [MESSAGE_RETURN] = MESSAGE_RETURNED, [MESSAGE_EXHAUST] = MESSAGE_DEAD,
                            [MESSAGE_EXPIRE] = MESSAGE_EXPIRED, [MESSAGE_LET_GO] = MESSAGE_SENT },
    /* Whoever did the work after its deadline may still say so, until another delivery. */
    [MESSAGE_RETURNED]  = { [MESSAGE_DELIVER] = MESSAGE_DELIVERED, [MESSAGE_ACK] = MESSAGE_ACKED,
                            [MESSAGE_TERM] = MESSAGE_DEAD, [MESSAGE_EXPIRE] = MESSAGE_EXPIRED },
    [MESSAGE_ACKED]     = { [MESSAGE_ACK] = MESSAGE_ACKED },
    [MESSAGE_SENT]      = { [MESSAGE_ACK] = MESSAGE_SENT },
};
/* clang-format on */

static bool word_of(struct slice name, const char *const *names, unsigned n, unsigned *out)
{
    for (unsigned i = 0; i < n; i++) {
        if (slice_is(name, names[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

const char *message_type_name(enum message_type type)
{
    return type_names[type];
}

const char *message_priority_name(enum message_priority priority)
{
    return priority_names[priority];
}

const char *message_protocol_name(enum message_protocol protocol)
{
    return protocol_names[protocol];
}

const char *message_state_name(enum message_state state)
{
    return state_names[state];
}

bool message_type_of(struct slice name, enum message_type *out)
{
    unsigned i;
    bool found = word_of(name, type_names, MESSAGE_TYPES, &i);
    if (found) {
        *out = (enum message_type)i;
    }
    return found;
}

bool message_priority_of(struct slice name, enum message_priority *out)
{
    char lower[16];
    unsigned i;
    if (name.n > sizeof lower) {
        return false;
    }
    for (size_t at = 0; at < name.n; at++) {
        lower[at] = (char)tolower(name.p[at]);
    }
    bool found = word_of(slice_of(lower, name.n), priority_names, MESSAGE_PRIORITIES, &i);
    if (found) {
        *out = (enum message_priority)i;
    }
    return found;
}

bool message_protocol_of(struct slice name, enum message_protocol *out)
{
    unsigned i;
    bool found = word_of(name, protocol_names, MESSAGE_PROTOCOLS, &i);
    if (found) {
        *out = (enum message_protocol)i;
    }
    return found;
}

bool message_is_settled(enum message_state state)
{
    return state >= MESSAGE_ACKED;
}

enum hub_rc message_step(enum message_state state, enum message_event event,
                         enum message_state *out)
{
    enum message_state next = next_state[state][event];
    if (next == MESSAGE_NONE) {
        return message_is_settled(state) ? HUB_GONE : HUB_CONFLICT;
    }
    *out = next;
    return HUB_OK;
}

/* ---- rows ---- */

void message_pack(struct buf *b, const struct message *m)
{
    pack_u8(b, ROW_VERSION);
    pack_u64(b, m->number);
    pack_u32(b, m->app);
    pack_slice(b, m->id);
    pack_slice(b, m->owner);
    pack_slice(b, m->sender);
    pack_slice(b, m->receiver);
    pack_slice(b, m->payload);
    pack_slice(b, m->correlation_id);
    pack_slice(b, m->reply_to);
    pack_u8(b, (uint8_t)m->type);
    pack_u8(b, (uint8_t)m->priority);
    pack_u8(b, (uint8_t)m->protocol);
    pack_u8(b, m->ack_none);
    pack_u8(b, m->hops);
    pack_i64(b, m->ttl_ms);
    pack_i64(b, m->accepted_ms);
}

bool message_unpack(struct slice row, struct message *m)
{
    struct unpack u = unpack_of(row);
    if (unpack_u8(&u) != ROW_VERSION) {
        return false;
    }
    m->number = unpack_u64(&u);
    m->app = unpack_u32(&u);
    m->id = unpack_slice(&u);
    m->owner = unpack_slice(&u);
    m->sender = unpack_slice(&u);
    m->receiver = unpack_slice(&u);
    m->payload = unpack_slice(&u);
    m->correlation_id = unpack_slice(&u);
    m->reply_to = unpack_slice(&u);
    uint8_t type = unpack_u8(&u), priority = unpack_u8(&u), protocol = unpack_u8(&u);
    m->type = (enum message_type)type;
    m->priority = (enum message_priority)priority;
    m->protocol = (enum message_protocol)protocol;
    m->ack_none = unpack_u8(&u) != 0;
    m->hops = unpack_u8(&u);
    m->ttl_ms = unpack_i64(&u);
    m->accepted_ms = unpack_i64(&u);
    return unpack_done(&u) && type < MESSAGE_TYPES && priority < MESSAGE_PRIORITIES &&
           protocol < MESSAGE_PROTOCOLS;
}

static struct slice number_key(uint8_t key[8], uint64_t number)
{
    be64_put(key, number);
    return slice_of(key, 8);
}

enum store_rc message_put(struct store_txn *txn, const struct message *m)
{
    uint8_t key[8];
    struct buf row = {0};
    message_pack(&row, m);
    enum store_rc rc = store_put(txn, TABLE_MESSAGE, number_key(key, m->number), buf_slice(&row));
    buf_done(&row);
    return rc;
}

enum store_rc message_get(struct store_view *view, uint64_t number, struct message *out)
{
    uint8_t key[8];
    struct slice row;
    enum store_rc rc = store_get(view, TABLE_MESSAGE, number_key(key, number), &row);
    return rc == STORE_OK && !message_unpack(row, out) ? STORE_DAMAGED : rc;
}

/* ---- ids ---- */

enum { NUMBER_HEX = 12 };

void message_id_make(int64_t now_ms, const uint8_t *seed, uint64_t number, char out[37])
{
    uint8_t random[10], digits[8];
    memcpy(random, seed, 4);
    be64_put(digits, number);
    memcpy(random + 4, digits + 2, 6);
    uuid_v7(now_ms, random, out);
}

/* 0: no id that the hub makes. */
static uint64_t number_in_id(struct slice id)
{
    uint8_t digits[8] = {0};
    if (id.n != UUID_CHARS ||
        !hex_get(slice_of(id.p + UUID_CHARS - NUMBER_HEX, NUMBER_HEX), digits + 2, 6)) {
        return 0;
    }
    return be64_get(digits);
}

static struct slice id_key(uint8_t key[ID_BYTES], uint32_t app, struct slice id)
{
    struct hash128 h = hash128_named(INDEX_SEED, app, id);
    key[0] = INDEX_ID;
    be32_put(key + 1, app);
    be64_put(key + 5, h.hi);
    be64_put(key + 13, h.lo);
    return slice_of(key, 21);
}

static enum store_rc gone_is_fine(enum store_rc rc)
{
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

/* An id that ends in the message's number, as the hub makes them, is found by it. */
enum store_rc message_id_put(struct store_txn *txn, uint32_t app, struct slice id, uint64_t number)
{
    uint8_t key[ID_BYTES], value[8];
    return number_in_id(id) == number
               ? STORE_OK
               : store_put(txn, TABLE_MAIL_INDEX, id_key(key, app, id), number_key(value, number));
}

enum store_rc message_id_del(struct store_txn *txn, uint32_t app, struct slice id, uint64_t number)
{
    uint8_t key[ID_BYTES];
    struct slice value;
    if (number_in_id(id) == number) {
        return STORE_OK;
    }
    struct slice row = id_key(key, app, id);
    enum store_rc rc = store_get(store_txn_view(txn), TABLE_MAIL_INDEX, row, &value);
    bool own = rc == STORE_OK && value.n == 8 && be64_get(value.p) == number;
    return own ? store_del_blind(txn, TABLE_MAIL_INDEX, row) : gone_is_fine(rc);
}

static enum store_rc get_if(struct store_view *view, uint32_t app, struct slice id, uint64_t number,
                            struct message *out)
{
    enum store_rc rc = message_get(view, number, out);
    return rc == STORE_OK && !(out->app == app && slice_equal(out->id, id)) ? STORE_NOT_FOUND : rc;
}

enum store_rc message_find(struct store_view *view, uint32_t app, struct slice id,
                           struct message *out)
{
    uint8_t key[ID_BYTES];
    struct slice value;
    uint64_t number = number_in_id(id);
    enum store_rc rc = number ? get_if(view, app, id, number, out) : STORE_NOT_FOUND;
    if (rc != STORE_NOT_FOUND) {
        return rc;
    }
    rc = store_get(view, TABLE_MAIL_INDEX, id_key(key, app, id), &value);
    if (rc != STORE_OK) {
        return rc;
    }
    return value.n == 8 ? get_if(view, app, id, be64_get(value.p), out) : STORE_DAMAGED;
}

/* ---- tally and deliveries ---- */

enum store_rc message_tally_put(struct store_txn *txn, uint64_t message,
                                const struct message_tally *t)
{
    uint8_t key[8];
    struct buf row = {0};
    pack_u8(&row, ROW_VERSION);
    pack_u32(&row, t->recipients);
    pack_u32(&row, t->acked);
    pack_u32(&row, t->sent);
    pack_u32(&row, t->expired);
    pack_u32(&row, t->dead);
    pack_i64(&row, t->expiry.due_ms);
    pack_u64(&row, t->expiry.id);
    enum store_rc rc = store_put(txn, TABLE_DELIVERY, number_key(key, delivery_number(message, 0)),
                                 buf_slice(&row));
    buf_done(&row);
    return rc;
}

enum store_rc message_tally_get(struct store_view *view, uint64_t message, struct message_tally *t)
{
    uint8_t key[8];
    struct slice row;
    enum store_rc rc =
        store_get(view, TABLE_DELIVERY, number_key(key, delivery_number(message, 0)), &row);
    if (rc != STORE_OK) {
        return rc;
    }
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    t->recipients = unpack_u32(&u);
    t->acked = unpack_u32(&u);
    t->sent = unpack_u32(&u);
    t->expired = unpack_u32(&u);
    t->dead = unpack_u32(&u);
    t->expiry.due_ms = unpack_i64(&u);
    t->expiry.id = unpack_u64(&u);
    return version == ROW_VERSION && unpack_done(&u) ? STORE_OK : STORE_DAMAGED;
}

enum store_rc delivery_put(struct store_txn *txn, uint64_t delivery,
                           const struct message_delivery *d)
{
    uint8_t key[8];
    struct buf row = {0};
    pack_u8(&row, ROW_VERSION);
    pack_u32(&row, d->app);
    pack_slice(&row, d->recipient);
    pack_slice(&row, d->owner);
    pack_u8(&row, (uint8_t)d->state);
    pack_u8(&row, (uint8_t)d->priority);
    pack_u32(&row, d->deliveries);
    pack_i64(&row, d->due_ms);
    pack_i64(&row, d->accepted_ms);
    pack_i64(&row, d->expires_ms);
    pack_i64(&row, d->changed_ms);
    enum store_rc rc = store_put(txn, TABLE_DELIVERY, number_key(key, delivery), buf_slice(&row));
    buf_done(&row);
    return rc;
}

enum store_rc delivery_get(struct store_view *view, uint64_t delivery, struct message_delivery *d)
{
    uint8_t key[8];
    struct slice row;
    enum store_rc rc = store_get(view, TABLE_DELIVERY, number_key(key, delivery), &row);
    if (rc != STORE_OK) {
        return rc;
    }
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    d->app = unpack_u32(&u);
    d->recipient = unpack_slice(&u);
    d->owner = unpack_slice(&u);
    uint8_t state = unpack_u8(&u), priority = unpack_u8(&u);
    d->state = (enum message_state)state;
    d->priority = (enum message_priority)priority;
    d->deliveries = unpack_u32(&u);
    d->due_ms = unpack_i64(&u);
    d->accepted_ms = unpack_i64(&u);
    d->expires_ms = unpack_i64(&u);
    d->changed_ms = unpack_i64(&u);
    return version == ROW_VERSION && unpack_done(&u) && state < MESSAGE_STATES &&
                   priority < MESSAGE_PRIORITIES
               ? STORE_OK
               : STORE_DAMAGED;
}

/* ---- recipients ---- */

static struct slice name_key(uint8_t key[NAME_BYTES], uint64_t message, struct slice recipient)
{
    key[0] = INDEX_NAME;
    be64_put(key + 1, message);
    be64_put(key + 9, hash64(INDEX_SEED, recipient));
    return slice_of(key, NAME_BYTES);
}

/* The first of a message needs no index. */
static bool is_first(uint64_t delivery)
{
    return delivery == delivery_number(delivery_message(delivery), 1);
}

enum store_rc delivery_name_put(struct store_txn *txn, uint64_t delivery, struct slice recipient)
{
    uint8_t key[NAME_BYTES], value[8];
    if (is_first(delivery)) {
        return STORE_OK;
    }
    return store_put_new(txn, TABLE_MAIL_INDEX,
                         name_key(key, delivery_message(delivery), recipient),
                         number_key(value, delivery));
}

enum store_rc delivery_name_del(struct store_txn *txn, uint64_t delivery, struct slice recipient)
{
    uint8_t key[NAME_BYTES];
    return is_first(delivery)
               ? STORE_OK
               : store_del_blind(txn, TABLE_MAIL_INDEX,
                                 name_key(key, delivery_message(delivery), recipient));
}

static enum store_rc delivery_of(struct store_view *view, uint64_t delivery, struct slice recipient,
                                 struct message_delivery *out)
{
    enum store_rc rc = delivery_get(view, delivery, out);
    return rc == STORE_OK && !slice_equal(out->recipient, recipient) ? STORE_NOT_FOUND : rc;
}

enum store_rc delivery_find(struct store_view *view, uint64_t message, struct slice recipient,
                            uint64_t *out_delivery, struct message_delivery *out)
{
    uint8_t key[NAME_BYTES];
    struct slice value;
    *out_delivery = delivery_number(message, 1);
    enum store_rc rc = delivery_of(view, *out_delivery, recipient, out);
    if (rc != STORE_NOT_FOUND) {
        return rc;
    }
    rc = store_get(view, TABLE_MAIL_INDEX, name_key(key, message, recipient), &value);
    if (rc != STORE_OK) {
        return rc;
    }
    if (value.n != 8) {
        return STORE_DAMAGED;
    }
    *out_delivery = be64_get(value.p);
    return delivery_of(view, *out_delivery, recipient, out);
}

/* ---- what is open ---- */

static struct slice open_key(uint8_t key[OPEN_BYTES], uint32_t app, uint64_t delivery)
{
    key[0] = INDEX_OPEN;
    be32_put(key + 1, app);
    be64_put(key + 5, delivery);
    return slice_of(key, OPEN_BYTES);
}

enum store_rc delivery_open_put(struct store_txn *txn, uint32_t app, uint64_t delivery)
{
    uint8_t key[OPEN_BYTES];
    return store_put_new(txn, TABLE_MAIL_INDEX, open_key(key, app, delivery), slice_of(NULL, 0));
}

enum store_rc delivery_open_del(struct store_txn *txn, uint32_t app, uint64_t delivery)
{
    uint8_t key[OPEN_BYTES];
    return store_del_blind(txn, TABLE_MAIL_INDEX, open_key(key, app, delivery));
}

enum store_rc deliveries_open_each(struct store_view *view, delivery_visit *visit, void *ctx)
{
    static const uint8_t first = INDEX_OPEN;
    struct store_cursor *cursor;
    struct slice key;
    enum store_rc rc = store_cursor_open(view, TABLE_MAIL_INDEX, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, slice_of(&first, 1), &key, NULL);
    while (rc == STORE_OK && key.n == OPEN_BYTES && key.p[0] == INDEX_OPEN) {
        rc = visit(ctx, be64_get(key.p + 5));
        if (rc == STORE_OK) {
            rc = store_cursor_next(cursor, &key, NULL);
        }
    }
    store_cursor_close(cursor);
    return gone_is_fine(rc);
}
