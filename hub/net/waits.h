/* hub/net/waits.h: answers that wait until a channel moves (struct call_wait), or their time is up.
 *
 * A request over HTTP waits alone on its connection (http.c). Over a WebSocket several calls wait
 * side by side, each with a subscriber of its own: what the peer subscribed to is another matter.
 *
 * Owns     what waits, until it is answered or the connection is gone.
 * Threads  the connection's.      Units  milliseconds.
 * Limits   WAITS_MAX a connection; looked at about once a second for those whose time is up.
 */
#ifndef WAGGLE_HUB_NET_WAITS_H
#define WAGGLE_HUB_NET_WAITS_H

#include "hub/net/conn.h"

enum { WAITS_MAX = 64 };

/* Makes `who` hear of the channel past that offset. True: it has moved already. */
bool wait_listen(struct net_thread *t, struct subscriber *who, uint32_t app, uint64_t connection,
                 struct slice channel, uint64_t since);
/* What there is to answer now: call->wait.ms more than 0 when that is not what was waited for. */
enum hub_rc wait_look(const struct call_wait *wait, struct call *call);

/* The subscriber of a call that waits has no connection's id: none has that. */
static inline bool waits_hear(const struct subscriber *who)
{
    return who->connection == 0;
}

/* Over a WebSocket; id is the frame's. False: too many wait already. */
bool waits_add(struct conn *c, const struct call *call, struct slice id);
void waits_heard(struct subscriber *who);
bool waits_due(const struct conn *c); /* the channel of one has moved */
void waits_answer(struct conn *c);    /* those */
void waits_expire(struct conn *c, int64_t now_ms);
void waits_drop(struct conn *c); /* the connection is gone */

#endif
