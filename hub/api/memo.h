/* hub/api/memo.h: what a socket remembers of the agent that beats over it, so that a beat looks
 * into no table of the store. It holds as long as the agent's standing (hub/agents/pulses.h) is of
 * the same registration.
 *
 * Owns     the id.      Threads  the connection's.
 */
#ifndef WAGGLE_HUB_API_MEMO_H
#define WAGGLE_HUB_API_MEMO_H

#include "store/mem.h"

/* All zero remembers nothing. */
struct beat_memo {
    uint32_t number, epoch; /* number 0: nothing */
    uint64_t pulse_hash;    /* of the channel pulse.<id> */
    struct buf id;          /* one whom the socket's principal may see */
};

static inline void beat_memo_done(struct beat_memo *memo)
{
    memo->number = 0;
    buf_done(&memo->id);
}

#endif
