/* hub/net/rounds.h: the order in which trays of events leave.
 *
 * All that was delivered must have left before its bytes may go, and under a stream of events for
 * thousands that moment would never come: somebody always has something new to be sent. So events
 * leave in rounds. A round gathers up to ROUND_MAX trays; once it is being sent, what comes waits
 * for the next, and is then sent with more of its kind.
 *
 * Owns     the trays that are held, until the round that they left in is settled.
 * Threads  its I/O thread alone.
 * Limits   ROUNDS_HELD_MAX trays. A thread's own live ones are no more than its pool has, and have
 *          their places kept; others are held while rounds_has_room().
 */
#ifndef WAGGLE_HUB_NET_ROUNDS_H
#define WAGGLE_HUB_NET_ROUNDS_H

#include "hub/core/io.h"

enum {
    ROUNDS_HELD_MAX = 256,
    ROUND_MAX = 20,      /* trays that are sent together */
    ROUNDS_CROWDED = 40, /* held: their pools miss them */
};

struct rounds {
    struct tray *held[ROUNDS_HELD_MAX]; /* delivered; then, up to held_n, those that wait for it */
    unsigned delivered_n, held_n;
    bool sending; /* what was delivered leaves before more is */
    bool hurried; /* this round takes all */
};

bool rounds_has_room(const struct rounds *r);
void rounds_hold(struct rounds *r, struct tray *tray);
/* Whether the next tray that is held may still join the round. */
bool rounds_is_gathering(const struct rounds *r);
/* The next tray to be delivered, which joins the round; NULL: none may. */
struct tray *rounds_next(struct rounds *r);
void rounds_send(struct rounds *r); /* the round is made up */
/* So many are held that their pools run out: the round takes all of them. */
bool rounds_is_crowded(const struct rounds *r);
void rounds_hurry(struct rounds *r);
/* Everything of the round has left or was copied: its trays go, in the order in which they came. */
void rounds_settle(struct rounds *r, void (*let_go)(void *ctx, struct tray *tray), void *ctx);

#endif
