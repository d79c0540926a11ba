/* hub/messages/mailboxes.h: the mailboxes of the writer's memory: who has something unsettled.
 *
 * A mailbox is there while its cursor has an item; numbers are given out again.
 *
 * Owns     mailboxes and their cursors. A pointer is good until the next mailbox is made.
 * Threads  the writer; counts: any.     Units  milliseconds.
 */
#ifndef WAGGLE_HUB_MESSAGES_MAILBOXES_H
#define WAGGLE_HUB_MESSAGES_MAILBOXES_H

#include "channels/cursor.h"
#include "channels/deadlines.h"

#include <stdatomic.h>

struct mailbox {
    uint32_t number, app;
    uint32_t session; /* of the agent, when it was last looked at; 0: not registered */
    bool online;
    struct cursor cursor; /* level: priority; number: delivery_number() */
    char *name;
    size_t name_n;
    uint32_t items_counted, out_counted;
    uint32_t next; /* in its bucket, or of the free ones */
};

struct mailboxes {
    struct mailbox *all; /* by number; [0] is not used */
    uint32_t n, cap, idle;
    uint32_t *buckets, buckets_n;
    struct deadlines deadlines;
    _Atomic uint64_t open, items, out;
};

void mailboxes_init(struct mailboxes *m); /* all zero, or to be forgotten */
void mailboxes_done(struct mailboxes *m);
struct mailbox *mailbox_at(struct mailboxes *m, uint32_t number); /* NULL: gone */
struct mailbox *mailbox_find(struct mailboxes *m, uint32_t app, struct slice name);
struct mailbox *mailbox_add(struct mailboxes *m, uint32_t app, struct slice name);
/* After its cursor changed: its deadline and the counts; an empty one is dropped. */
void mailbox_changed(struct mailboxes *m, struct mailbox *box);

static inline struct slice mailbox_name(const struct mailbox *box)
{
    return slice_of(box->name, box->name_n);
}

#endif
