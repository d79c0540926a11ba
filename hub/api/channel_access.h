/* hub/api/channel_access.h: what a caller may do with a channel, and publishing for every door: the
 * native wire, REST and, later, others. One place, so that no door is wider than another.
 *
 * Threads  the caller's I/O thread.     Rules  native-protocol.md section 4, auth/principal.h's
 * table.
 */
#ifndef WAGGLE_HUB_API_CHANNEL_ACCESS_H
#define WAGGLE_HUB_API_CHANNEL_ACCESS_H

#include "hub/api/operation.h"
#include "hub/core/io.h"

/* The stricter of what the name's prefix and the namespace ask for. */
enum access channel_access_of(const struct namespace_options *options, struct slice channel);
/* HUB_OK, HUB_INVALID_NAME or HUB_FORBIDDEN. channel may be a pattern for RIGHT_SUBSCRIBE. */
enum hub_rc channel_may(const struct io *io, const struct principal *who, enum right right,
                        struct slice channel);

struct publishing {
    struct slice channel;                        /* plain text */
    struct slice event, data, headers, conflate; /* raw JSON values; empty when absent */
    struct slice key;                            /* plain text */
    uint32_t ttl_s;
    bool expects, no_echo;
    uint64_t expect;
    struct slice id; /* raw JSON */
    uint64_t ticket;
    struct return_address from;
    uint64_t connection;
};
/* Checks rights, bounds and rates, and publishes (io_publish). message gets the sentence of a
 * refusal; *out_retry_s the wait of HUB_RATE_LIMITED. */
enum hub_rc channel_publish(struct io *io, const struct principal *who,
                            const struct publishing *publishing, struct buf *scratch,
                            struct buf *message, bool *out_live, uint32_t *out_retry_s);
/* The two halves of it, for doors that publish in their own command. */
enum hub_rc channel_publish_check(struct io *io, const struct principal *who,
                                  const struct publishing *publishing, struct buf *message,
                                  const struct namespace_options **out_options,
                                  uint32_t *out_retry_s);
enum hub_rc channel_publish_put(struct io *io, const struct principal *who,
                                const struct publishing *publishing, struct buf *scratch,
                                bool *out_live);

/* A page of what a channel keeps. */
struct history_query {
    struct slice channel;
    uint64_t since;  /* events after it; 0: from the first there is */
    uint64_t before; /* events before it; 0: no bound */
    uint32_t limit;  /* 1..1000 */
    bool reverse;    /* newest first */
};
/* Writes "channel", "epoch", "first", "offset" (the last), "events" and "next" into the object
 * begun in o. *out_next is what that says: where to go on, 0 when there is no more. */
enum hub_rc channel_history(struct io *io, uint32_t app, const struct history_query *query,
                            struct json_out *o, uint64_t *out_next);
/* The same as the whole answer, with "next_cursor" of that list (hub/api/pages.h). */
enum hub_rc channel_history_page(struct call *call, const struct history_query *query,
                                 uint32_t list);
/* "members", "count" and "next" into the object begun in o. after: a member's id, empty to begin.
 * next becomes the last one's id when there is more. */
enum hub_rc channel_members(struct io *io, uint32_t app, struct slice channel, struct slice after,
                            uint32_t limit, struct json_out *o, struct buf *next);
/* "members" of at most limit, "count", in a view that is already there. */
void channel_members_in(struct store_view *view, uint64_t channel, struct slice after,
                        uint32_t limit, struct json_out *o);

#endif
