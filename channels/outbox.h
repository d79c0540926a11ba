/* channels/outbox.h: what waits for one connection: references during a turn of the loop, copies
 * after it.
 *
 * During a turn, an outbox holds numbers of entries in the thread's turn table, whose bytes lie in
 * trays or in the turn's own arena. At the end of the turn everything is sent in one call, or what
 * the socket does not take is copied (outbox_keep), so that no slow peer holds a tray. Copies are
 * bounded: a durable event past the bound costs a cursor (what waits of its subscription is
 * dropped, and read from the log later), a live one costs the oldest live one, or the connection,
 * as its namespace says (native-protocol.md section 5).
 *
 * Owns     chunks of numbers, from the turn; copies of what had to wait.
 * Threads  one.       Units  bytes.
 * Limits   outbox_keep's bytes_max for events; answers are bounded by the requests under way.
 */
#ifndef WAGGLE_CHANNELS_OUTBOX_H
#define WAGGLE_CHANNELS_OUTBOX_H

#include "channels/event.h"
#include "channels/topics.h"

struct outbox_chunk;

/* One entry of the turn table. */
struct turn_entry {
    const uint8_t *p; /* NULL: in the turn's arena, at `at` */
    uint32_t at, n;
    bool event;               /* of a subscription; else an answer */
    struct delivery event_of; /* event */
};

struct turn {
    struct turn_entry *entries;
    uint32_t n, cap;
    struct buf arena;          /* answers of this turn */
    struct outbox_chunk *idle; /* chunks to use again */
};

void turn_done(struct turn *turn);
void turn_end(struct turn *turn); /* all outboxes are empty of references now */

struct waiting; /* a copy */

struct outbox {
    struct outbox_chunk *first, *last; /* references of this turn, in order */
    struct waiting *head, *tail;       /* copies, before all references */
    uint32_t head_sent;                /* bytes of head that are gone */
    uint32_t waiting_bytes;
};

/* An event, shared with whoever else gets it in this turn. */
void outbox_share(struct outbox *box, struct turn *turn, struct delivery *delivery,
                  bool via_pattern);
/* Bytes of this connection's own. */
void outbox_own(struct outbox *box, struct turn *turn, struct slice bytes);

static inline bool outbox_empty(const struct outbox *box)
{
    return !box->first && !box->head;
}

/* Copies up to cap bytes of what is to be sent next to out. */
size_t outbox_gather(const struct outbox *box, const struct turn *turn, uint8_t *out, size_t cap);
/* The first run of bytes to send, without a copy; empty when there is nothing. */
struct slice outbox_peek(const struct outbox *box, const struct turn *turn, bool *out_last);
/* n bytes from the front are gone. Gives back the count of whole messages in out_messages[live,
 * durable, control]. */
void outbox_sent(struct outbox *box, struct turn *turn, size_t n);

enum outbox_slow {
    OUTBOX_KEPT,
    OUTBOX_DISCONNECT, /* a live event of a namespace that would rather close than drop */
};
struct outbox_losses {
    uint32_t dropped, conflated, fell_behind;
};
/* The socket takes no more: turns all references into copies or losses. */
enum outbox_slow outbox_keep(struct outbox *box, struct turn *turn, struct topics *topics,
                             struct subscriber *who, size_t bytes_max,
                             struct outbox_losses *losses);
/* Drops everything. */
void outbox_clear(struct outbox *box, struct turn *turn);

#endif
