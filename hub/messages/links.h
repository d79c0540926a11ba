/* hub/messages/links.h: who may write to whom: peers, and masters with their subordinates.
 *
 * Links are between names, whether agents of these names are registered or not; one direction each.
 * Masters form no circle.
 *
 * Rows     TABLE_LINK: app (4), kind (1), hash of the first name (16), hash of the second (16) ->
 *          both names and when. A master's link stands a second time the other way round.
 * Threads  writes: the writer. Reads: any view.
 */
#ifndef WAGGLE_HUB_MESSAGES_LINKS_H
#define WAGGLE_HUB_MESSAGES_LINKS_H

#include "store/pack.h"
#include "store/store.h"

enum link_kind {
    LINK_PEER = 'p',   /* from agent to peer */
    LINK_SUB = 's',    /* from master to subordinate */
    LINK_MASTER = 'm', /* the same from subordinate to master */
};
/* Of a hierarchy: how deep it may be, and how many masters are looked at for a new link. */
enum { LINK_DEPTH_MAX = 64, LINK_STEPS_MAX = 10000 };

enum { LINK_PLACE_BYTES = 32 };

struct link {
    struct slice from, to; /* borrowed */
    int64_t made_ms;
    struct slice place; /* in the order of all of its kind; of one that was read, borrowed */
};

/* LINK_PEER or LINK_SUB. STORE_EXISTS: there is one, and nothing was changed. */
enum store_rc link_add(struct store_txn *txn, enum link_kind kind, uint32_t app,
                       const struct link *link);
enum store_rc link_remove(struct store_txn *txn, enum link_kind kind, uint32_t app,
                          struct slice from, struct slice to); /* STORE_NOT_FOUND */
bool link_has(struct store_view *view, enum link_kind kind, uint32_t app, struct slice from,
              struct slice to);
/* True when `above` is at or over `name` in the hierarchy: its subordinate it must not become. */
bool link_is_above(struct store_view *view, uint32_t app, struct slice name, struct slice above);

/* Links from that name; an empty name: all of the kind, those of one name together. They begin
 * behind the place `after`, whose link may be gone; empty: with the first. */
typedef bool link_visit(void *ctx, const struct link *link);
enum store_rc links_each(struct store_view *view, enum link_kind kind, uint32_t app,
                         struct slice from, struct slice after, link_visit *visit, void *ctx);

#endif
