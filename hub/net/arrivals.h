/* hub/net/arrivals.h: what a tray says to the connections of a thread: answers to those who asked,
 * events to those who subscribed, handouts of cursors, and who must go.
 *
 * Threads  its I/O thread alone.
 */
#ifndef WAGGLE_HUB_NET_ARRIVALS_H
#define WAGGLE_HUB_NET_ARRIVALS_H

#include "hub/net/thread.h"

/* Answers who has not been answered yet. Who publishes to many is left out: they are answered when
 * their event is delivered, so that a publisher goes no faster than the others are told; nobody
 * else waits for them. True: nothing is left to be delivered. */
bool arrivals_answer(struct net_thread *t, const struct tray *tray);
void arrivals_deliver(struct net_thread *t, const struct tray *tray); /* and the answers left out */

/* For the thread's topics. */
void arrivals_on_deliver(void *ctx, struct subscriber *who, struct delivery *d, bool via_pattern);
void arrivals_on_behind(void *ctx, struct subscriber *who);

#endif
