/* channels/interest.h: which I/O threads have a subscriber for a channel, in a table all threads
 * share.
 *
 * One 64-bit word of bits a bucket of channel hashes: bit i is thread i. A thread counts its own
 * subscriptions per bucket and moves only its own bit, so nobody waits for anybody; two channels in
 * one bucket cost a tray that finds no subscriber, never a lost event.
 *
 * The order that makes attaching free of holes (design.md section 3): a subscriber sets its bit,
 * then reads the position; the writer publishes a position, then reads the bits. Both orders are
 * sequentially consistent, so one of the two sees the other.
 *
 * Owns     the table; a thread's counts are its own (interest_view).
 * Threads  interest_of: any. A view belongs to one thread.     Limits  64 threads.
 */
#ifndef WAGGLE_CHANNELS_INTEREST_H
#define WAGGLE_CHANNELS_INTEREST_H

#include "store/bytes.h"

enum { INTEREST_THREADS_MAX = 64 };

struct interest;
struct interest_view;

struct interest *interest_new(void);
void interest_free(struct interest *interest);

struct interest_view *interest_view_new(struct interest *interest, unsigned thread);
void interest_view_free(struct interest_view *view);
void interest_add(struct interest_view *view, uint64_t channel_hash);
void interest_drop(struct interest_view *view, uint64_t channel_hash);
/* A subscription by pattern wants the events of every channel. */
void interest_add_all(struct interest_view *view);
void interest_drop_all(struct interest_view *view);

/* The threads that want events of that channel. */
uint64_t interest_of(const struct interest *interest, uint64_t channel_hash);

#endif
