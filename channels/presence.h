/* channels/presence.h: who is in a channel: members unique by id over all their connections.
 *
 * A member joins with its first connection and leaves with its last, after the namespace's
 * presence_grace_ms without one (native-protocol.md section 5). Rows name the connections, so a
 * restart knows that all of them are gone and gives everybody the grace to come back: no ghosts, no
 * storm.
 *
 * Rows     TABLE_MEMBER: channel (8) and hash of the member id (16) -> id, info, connections, grace
 *          timer; channel alone (8) -> count of members.
 * Threads  changes: the writer, inside a batch. Reads: any view.     Units  milliseconds.
 * Limits   PRESENCE_MEMBERS_MAX members a channel, PRESENCE_CONNECTIONS_MAX connections a member.
 */
#ifndef WAGGLE_CHANNELS_PRESENCE_H
#define WAGGLE_CHANNELS_PRESENCE_H

#include "channels/book.h"
#include "store/timers.h"

enum {
    PRESENCE_MEMBERS_MAX = 10000,
    PRESENCE_CONNECTIONS_MAX = 1000,
    PRESENCE_INFO_BYTES_MAX = 4096,
    PRESENCE_ID_BYTES_MAX = 128,
};

enum presence_rc {
    PRESENCE_OK = 0,
    PRESENCE_FULL,      /* a limit of this header */
    PRESENCE_NO_MEMBER, /* that member, or that connection of it, is not there */
    PRESENCE_STORE,     /* see out_store */
};

/* What every change needs. */
struct presence {
    struct book *book;
    struct store_txn *txn;
    int64_t now_ms;
    uint16_t timer_kind; /* of the grace timers; their body is for presence_expire() */
    book_emit *emit;
    void *emit_ctx;
    enum store_rc store_rc; /* out: behind PRESENCE_STORE */
};

struct presence_member {
    uint32_t app;
    struct slice channel;
    struct slice id;   /* escaped, no quotes */
    struct slice info; /* raw JSON; empty: null */
    uint64_t connection;
};

enum presence_rc presence_join(struct presence *p, const struct presence_member *member);
enum presence_rc presence_update(struct presence *p, const struct presence_member *member);
enum presence_rc presence_leave(struct presence *p, const struct presence_member *member);
/* A grace timer came due. */
enum presence_rc presence_expire(struct presence *p, struct timer_ref ref, struct slice body);
/* After a start: no connection lives; everybody has at least grace_ms to return. */
enum presence_rc presence_restart(struct presence *p, int64_t grace_ms);

/* Reads. after: the last id of the page before (its hash order), empty to begin. */
uint64_t presence_count(struct store_view *view, uint64_t channel);
struct presence_view {
    struct slice id, info; /* borrowed until the view ends */
    uint32_t connections;
    int64_t joined_ms;
};
typedef bool presence_visit(void *ctx, const struct presence_view *member);
enum store_rc presence_list(struct store_view *view, uint64_t channel, struct slice after,
                            presence_visit *visit, void *ctx);

#endif
