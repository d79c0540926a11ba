/* hub/messages/module.h: messages between agents on the writer: sending, delivering until the ack,
 * links; what it tells the channels (semantics.md section 5).
 *
 * Each recipient with something unsettled has a mailbox in memory: a cursor (channels/cursor.h)
 * over its deliveries, rebuilt from their rows. A delivery is an event `message` on agent.<id>, in
 * the same transaction as the change of state; the recipient answers with messages.ack and its
 * like. Credit, patience and the count of deliveries are the options of the namespace `messages`.
 *
 * Bodies are packed where a command enters (…_put) and read by its apply function; replies
 * likewise.     Rules    rest-contract.md section 3, semantics.md section 5.
 */
#ifndef WAGGLE_HUB_MESSAGES_MODULE_H
#define WAGGLE_HUB_MESSAGES_MODULE_H

#include "hub/agents/module.h"
#include "hub/core/asker.h"
#include "hub/messages/links.h"
#include "hub/messages/message.h"

enum { MODULE_MESSAGES = 8, TIMER_MESSAGE_EXPIRY = 48 };

extern const struct module messages_module;
/* For agents_options.watchers: a recipient comes or goes. */
enum hub_rc messages_agent_changed(struct apply *a, const struct agent *agent,
                                   enum agent_status before);

/* Whoever is no agent sends under this name (rest-contract.md section 3). */
#define MESSAGE_HUB_SENDER "agent-coordinator"

struct message_send {
    struct asker asker;
    struct message message; /* number, app, owner, accepted_ms are the writer's; id may be empty */
    bool may_any;           /* an operator or the hub: links are not asked for */
    uint8_t cascade;        /* hierarchical: levels of subordinates that get it too */
    /* A broadcast (no receiver): whom. */
    bool by_type;
    enum agent_type agent_type;
    struct words capabilities;
};
void message_send_put(struct buf *b, const struct message_send *send);
struct message_sent {
    struct slice id, receiver, recipients; /* borrowed; recipients: counted texts (words_next) */
    enum message_protocol protocol;
    int64_t at_ms;
    uint32_t count;
    bool duplicate, receiver_known;
    enum message_state state; /* with one recipient */
};
bool message_sent_get(struct slice reply, struct message_sent *out);

struct message_answer {
    struct asker asker;
    struct slice id;
    struct slice agent;         /* the recipient; empty: the caller itself, or the only one */
    enum message_event verdict; /* MESSAGE_ACK, _NACK, _PROGRESS, _TERM */
    int64_t delay_ms;           /* nack; < 0: as the count of deliveries says */
    struct slice reason;        /* term */
};
void message_answer_put(struct buf *b, const struct message_answer *answer);
struct message_answered {
    struct slice id, agent;
    int64_t at_ms;
    enum message_state state;
};
bool message_answered_get(struct slice reply, struct message_answered *out);

struct link_change {
    struct asker asker;
    struct why why;
    bool add, may_any;
    enum link_kind kind; /* LINK_PEER or LINK_SUB */
    struct slice from, to;
};
void link_change_put(struct buf *b, const struct link_change *change);
struct link_changed {
    struct slice from, to;
    int64_t at_ms;
};
bool link_changed_get(struct slice reply, struct link_changed *out);

extern const struct command_kind command_message_send, command_message_answer, command_link;

/* What is open now, for metrics; any thread. */
struct messages_counts {
    uint64_t waiting, in_flight, mailboxes;
};
void messages_counts(void *module_state, struct messages_counts *out);

#endif
