/* hub/net/service.h: who is served when.
 *
 * Two kinds share a thread. Some are in conversation: they ask, and wait for the answer. The others
 * are a crowd: thousands that come, are cut off, time out, read on from the log or are told of the
 * same event. Whatever is done for a crowd is done a bit at a time, with net_serve() between any
 * two of it, so that one who asks waits for one of the crowd and not for all; and each kind of it
 * has a bound for a turn, so that no crowd waits for another. Events leave in rounds (rounds.h).
 *
 * Threads  the I/O thread alone.        Units  microseconds, monotonic.
 */
#ifndef WAGGLE_HUB_NET_SERVICE_H
#define WAGGLE_HUB_NET_SERVICE_H

#include "hub/net/thread.h"

/* Whether a crowd has had its time, from when it began on. */
bool net_is_spent(uint64_t began_us);
/* What was done until now is counted; gives it back for whoever did something in between. */
enum io_work net_work(struct net_thread *t, enum io_work work);

/* Whoever is in conversation is read, handed over and answered, if it was a while ago. Not from
 * within the work for a connection: its scratch is the thread's. */
void net_serve(struct net_thread *t);
void net_read_talkers(struct net_thread *t);
/* What was read goes to the writer, what came from it to the connections, what is to be sent to the
 * sockets: as far as the bounds go. */
void net_send_off(struct net_thread *t);
/* For within the loop's own run over all sockets with news: net_serve(), and net_send_off() if that
 * was a while ago. */
void net_breathe(struct net_thread *t);
void net_resume_paused(struct net_thread *t);
void net_catch_up(struct net_thread *t);
/* Until the pool has a tray again. */
void net_wait_for_tray(struct net_thread *t);
bool net_has_more(const struct net_thread *t); /* to do than the bounds allowed */

#endif
