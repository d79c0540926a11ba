/* channels/cursor.h: deliveries with acks: what is out, what waits, what is to be delivered again.
 *
 * One machine serves named cursors on channels (native-protocol.md section 5) and the mailboxes of
 * agents (semantics.md section 5). It holds what is not settled yet: each item waits, or is out
 * with a holder until its deadline. An item that is acknowledged is taken out, in whatever order;
 * what comes back waits, longer each time, and keeps its place before younger ones.
 *
 *     add -> waits -> out -> settled (removed)
 *             ^        |
 *             +--------+   nack, deadline, holder gone; spent after deliver_max deliveries
 *
 * A cursor on a channel adds items as it hands them out (offset = number, one level), so that
 * `top` and the items are all there is to it: everything up to top that is no item was settled.
 *
 * Owns     its arrays. Pointers to items are good until the next add or remove.
 * Threads  one at a time; pure: time comes with the call.     Units  milliseconds.
 * Limits   the caller's: it adds no more than it wants to keep.
 */
#ifndef WAGGLE_CHANNELS_CURSOR_H
#define WAGGLE_CHANNELS_CURSOR_H

#include "store/mem.h"

enum { CURSOR_LEVELS = 4 };

struct cursor_rules {
    int64_t ack_wait_ms;
    uint32_t in_flight_max, deliver_max;
    int64_t ageing_ms; /* waiting so long lifts an item by one level; 0: never */
};

struct cursor_item {
    uint64_t number;
    int64_t due_ms;   /* out: its deadline; waiting: not before */
    int64_t since_ms; /* ages from here */
    uint64_t holder;  /* 0: waits */
    uint32_t deliveries;
};

/* A run of an array: settling is mostly at its front, adding at its end. */
struct cursor_level {
    struct cursor_item *items; /* by number */
    size_t first, n, cap;
};

struct cursor {
    struct cursor_level levels[CURSOR_LEVELS]; /* 0 goes first */
    uint64_t top;                              /* largest number ever added */
    uint32_t n, out;                           /* items; of them with a holder */
    int64_t look_ms; /* nothing happens by itself before this time; never late, may be early */
};

void cursor_init(struct cursor *c);
void cursor_done(struct cursor *c);
/* Numbers grow within a level. */
struct cursor_item *cursor_add(struct cursor *c, unsigned level, const struct cursor_item *item);
struct cursor_item *cursor_find(const struct cursor *c, uint64_t number);
/* Settled: acknowledged, dead or expired. */
void cursor_remove(struct cursor *c, uint64_t number);

/* What goes next, NULL: nothing may. Of all levels the one that is highest with its age, and of
 * these the lowest number. */
struct cursor_item *cursor_next(const struct cursor *c, const struct cursor_rules *rules,
                                int64_t now_ms);
void cursor_hand(struct cursor *c, struct cursor_item *item, uint64_t holder,
                 const struct cursor_rules *rules, int64_t now_ms);
/* In progress: its deadline begins anew. */
void cursor_touch(struct cursor *c, struct cursor_item *item, const struct cursor_rules *rules,
                  int64_t now_ms);
/* It came back. False: it had all its deliveries, and the caller settles it as dead. delay_ms < 0:
 * as long as its count of deliveries says (1, 5, 30 s). */
bool cursor_return(struct cursor *c, struct cursor_item *item, const struct cursor_rules *rules,
                   int64_t now_ms, int64_t delay_ms);
/* As if it had not been handed out. */
void cursor_unhand(struct cursor *c, struct cursor_item *item);

/* One that is out past its deadline; NULL: none, and look_ms is exact. */
struct cursor_item *cursor_overdue(struct cursor *c, int64_t now_ms);
/* One that is out with that holder. */
struct cursor_item *cursor_held(const struct cursor *c, uint64_t holder);
/* The lowest number not settled, or top + 1: everything below it is done with. */
uint64_t cursor_floor(const struct cursor *c);

/* Items in order of levels and numbers; NULL to begin, NULL at the end. */
struct cursor_item *cursor_each(const struct cursor *c, const struct cursor_item *after);

#endif
