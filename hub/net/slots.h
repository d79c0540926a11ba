/* hub/net/slots.h: a connection is named across threads by its slot and a generation, so that an
 * answer that comes when it is gone finds nobody, also when somebody else has its slot by then
 * (net_conn).
 *
 * Threads  the I/O thread alone.
 */
#ifndef WAGGLE_HUB_NET_SLOTS_H
#define WAGGLE_HUB_NET_SLOTS_H

#include "hub/net/thread.h"

void slots_take(struct net_thread *t, struct conn *c);
void slots_give(struct net_thread *t, struct conn *c);

#endif
