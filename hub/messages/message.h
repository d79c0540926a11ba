/* hub/messages/message.h: a message as it is stored: what was said, and how it stands with each of
 * its recipients (semantics.md section 5).
 *
 * A message is one row that never changes, a tally, and a row a recipient; all three keys grow with
 * the message's number, so writing them is appending.
 *
 * Rows     TABLE_MESSAGE: number (8) -> message.
 *          TABLE_DELIVERY: number and ordinal (8, delivery_key) -> ordinal 0: the tally; from 1: a
 *          recipient.
 *          TABLE_MAIL_INDEX: kind (1), then by an id: app (4), hash (16) -> number; by a
 *          recipient: number (8), hash (8) -> ordinal, from the second on; what is open: app (4),
 *          number and ordinal (8) -> nothing. Lists are lists.h's.
 * Owns     nothing: what is read borrows from its row.
 * Threads  writes: the writer. Reads: any view.     Units  milliseconds since 1970.
 */
#ifndef WAGGLE_HUB_MESSAGES_MESSAGE_H
#define WAGGLE_HUB_MESSAGES_MESSAGE_H

#include "hub/core/errors.h"
#include "store/pack.h"
#include "store/timers.h"

enum {
    MESSAGE_ID_BYTES_MAX = 128,
    MESSAGE_PAYLOAD_BYTES_MAX = 65536,
    MESSAGE_TEXT_BYTES_MAX = 256, /* correlation_id, reply_to */
    MESSAGE_TTL_S_MAX = 30 * 86400,
    MESSAGE_TTL_S = 300,           /* without another */
    MESSAGE_KNOWN_MS_MIN = 120000, /* an id is known as a duplicate for so long at least */
    MESSAGE_HOPS_MAX = 8,
    MESSAGE_CASCADE_MAX = 8,
    MESSAGE_RECIPIENTS_MAX = 65535,
    MAILBOX_MESSAGES_MAX = 10000,        /* unsettled, of one recipient */
    MESSAGE_COPIES_BYTES_MAX = 64 << 20, /* payload times recipients, which one commit has all */
};

enum message_type {
    MESSAGE_DIRECT,
    MESSAGE_BROADCAST,
    MESSAGE_HIERARCHICAL,
    MESSAGE_PEER_TO_PEER,
    MESSAGE_COORDINATION,
    MESSAGE_TASK_ASSIGNMENT,
    MESSAGE_STATUS_UPDATE,
    MESSAGE_HEARTBEAT,
    MESSAGE_DISCOVERY,
    MESSAGE_CONSENSUS,
    MESSAGE_TYPES
};
/* In the order in which they go. */
enum message_priority {
    MESSAGE_CRITICAL,
    MESSAGE_HIGH,
    MESSAGE_NORMAL,
    MESSAGE_LOW,
    MESSAGE_PRIORITIES
};
enum message_protocol {
    MESSAGE_BY_HIERARCHY,
    MESSAGE_BY_PEERS,
    MESSAGE_BY_BROADCAST,
    MESSAGE_PROTOCOLS
};
const char *message_type_name(enum message_type type);
const char *message_priority_name(enum message_priority priority);
const char *message_protocol_name(enum message_protocol protocol);
bool message_type_of(struct slice name, enum message_type *out);
bool message_priority_of(struct slice name, enum message_priority *out); /* in any case */
bool message_protocol_of(struct slice name, enum message_protocol *out);

/* ---- the state machine of a message and one recipient ---- */

enum message_state {
    MESSAGE_NONE,
    MESSAGE_ACCEPTED,  /* its recipient has not registered yet */
    MESSAGE_STORED,    /* waits for its recipient's connection or credit */
    MESSAGE_DELIVERED, /* waits for the ack */
    MESSAGE_RETURNED,  /* was delivered and waits to be again; shown as stored */
    MESSAGE_ACKED,
    MESSAGE_SENT, /* wanted no ack; shown as delivered */
    MESSAGE_EXPIRED,
    MESSAGE_DEAD,
    MESSAGE_STATES
};
enum message_event {
    MESSAGE_KNOWN, /* its recipient registered */
    MESSAGE_DELIVER,
    MESSAGE_ACK,
    MESSAGE_NACK,
    MESSAGE_PROGRESS,
    MESSAGE_TERM,
    MESSAGE_RETURN,  /* deadline passed, or the recipient went */
    MESSAGE_EXHAUST, /* … after its last delivery */
    MESSAGE_EXPIRE,
    MESSAGE_LET_GO, /* delivered, and nobody waits for an ack */
    MESSAGE_EVENTS
};
const char *message_state_name(enum message_state state);
bool message_is_settled(enum message_state state);
/* HUB_OK and the next state; HUB_GONE: settled otherwise; HUB_CONFLICT: not in this state. */
enum hub_rc message_step(enum message_state state, enum message_event event,
                         enum message_state *out);

/* ---- rows ---- */

struct message {
    uint64_t number;
    uint32_t app;
    struct slice id, owner, sender;
    struct slice receiver; /* empty: a broadcast */
    struct slice payload;  /* a JSON object */
    struct slice correlation_id, reply_to;
    enum message_type type;
    enum message_priority priority;
    enum message_protocol protocol;
    bool ack_none;
    uint8_t hops;
    int64_t ttl_ms, accepted_ms;
};
static inline int64_t message_expires_ms(const struct message *m)
{
    return m->accepted_ms + m->ttl_ms;
}
void message_pack(struct buf *b, const struct message *m);
bool message_unpack(struct slice row, struct message *out);

struct message_tally {
    uint32_t recipients, acked, sent, expired, dead;
    struct timer_ref expiry;
};
static inline bool message_tally_is_settled(const struct message_tally *t)
{
    return t->acked + t->sent + t->expired + t->dead == t->recipients;
}

struct message_delivery {
    uint32_t app;
    struct slice recipient;
    struct slice owner; /* of the recipient, who may see the message too; empty: not known */
    enum message_state state;
    enum message_priority priority;
    uint32_t deliveries;
    int64_t due_ms; /* of the cursor's item (channels/cursor.h) */
    int64_t accepted_ms, expires_ms, changed_ms;
};

/* Number of a mailbox's item: the message's, and which of its recipients. */
enum { DELIVERY_ORDINAL_BITS = 20 };
static inline uint64_t delivery_number(uint64_t message, uint32_t ordinal)
{
    return message << DELIVERY_ORDINAL_BITS | ordinal;
}
static inline uint64_t delivery_message(uint64_t delivery)
{
    return delivery >> DELIVERY_ORDINAL_BITS;
}

enum store_rc message_put(struct store_txn *txn, const struct message *m);
enum store_rc message_get(struct store_view *view, uint64_t number, struct message *out);
/* By the id that its sender or the hub gave it. */
enum store_rc message_find(struct store_view *view, uint32_t app, struct slice id,
                           struct message *out);
/* A uuid of the hub's own ends in the number. */
void message_id_make(int64_t now_ms, const uint8_t *seed, uint64_t number, char out[37]);

enum store_rc message_tally_put(struct store_txn *txn, uint64_t message,
                                const struct message_tally *tally);
enum store_rc message_tally_get(struct store_view *view, uint64_t message,
                                struct message_tally *out);
enum store_rc delivery_put(struct store_txn *txn, uint64_t delivery,
                           const struct message_delivery *d);
enum store_rc delivery_get(struct store_view *view, uint64_t delivery,
                           struct message_delivery *out);
/* Which of a message's deliveries is that recipient's. */
enum store_rc delivery_find(struct store_view *view, uint64_t message, struct slice recipient,
                            uint64_t *out_delivery, struct message_delivery *out);

/* ---- indexes ---- */

enum store_rc message_id_put(struct store_txn *txn, uint32_t app, struct slice id, uint64_t number);
/* Unless another message has it by now. */
enum store_rc message_id_del(struct store_txn *txn, uint32_t app, struct slice id, uint64_t number);

/* So that delivery_find() finds one of many. */
enum store_rc delivery_name_put(struct store_txn *txn, uint64_t delivery, struct slice recipient);
enum store_rc delivery_name_del(struct store_txn *txn, uint64_t delivery, struct slice recipient);

/* Deliveries that are not settled, of all apps. */
enum store_rc delivery_open_put(struct store_txn *txn, uint32_t app, uint64_t delivery);
enum store_rc delivery_open_del(struct store_txn *txn, uint32_t app, uint64_t delivery);
typedef enum store_rc delivery_visit(void *ctx, uint64_t delivery);
/* Until visit returns something else than STORE_OK, which is then the answer. */
enum store_rc deliveries_open_each(struct store_view *view, delivery_visit *visit, void *ctx);

#endif
