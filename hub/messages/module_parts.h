/* hub/messages/module_parts.h: what module.c (delivering) and send.c (accepting) share. Included by
 * these only. */
#ifndef WAGGLE_HUB_MESSAGES_MODULE_PARTS_H
#define WAGGLE_HUB_MESSAGES_MODULE_PARTS_H

#include "channels/json_out.h"
#include "hub/messages/mailboxes.h"
#include "hub/messages/module.h"

struct messages {
    struct mailboxes boxes;
    uint64_t oldest, newest; /* numbers of messages; those between are there */
};

/* An agent of that name is registered. */
bool agent_known(struct store_view *view, uint32_t app, struct slice name, struct agent *out);
/* The mailbox of that name, made when there is none; agent: who is registered under it, or NULL. */
struct mailbox *mailbox_for(struct apply *a, struct slice name, const struct agent *agent);
/* Delivers what may go now; box may be gone afterwards. */
enum hub_rc mailbox_pump(struct apply *a, struct mailbox *box);
/* What `messages` is told of a delivery, or of a message as a whole (box NULL). */
enum hub_rc message_tell(struct apply *a, const char *event, uint64_t message,
                         const struct mailbox *box, const struct message_delivery *d,
                         const struct why *why);

#endif
