/* tests/load/swarm.h: a crowd that listens on one durable channel and believes nothing: every
 * listener wants each event once, in order, from where it is on.
 *
 * Owns     its crowd and, per listener, the offset that it wants next.
 * Threads  one.
 * Errors   meter_fail(): an event missed, doubled or out of order; a refusal.
 */
#ifndef WAGGLE_LOAD_SWARM_H
#define WAGGLE_LOAD_SWARM_H

#include "tests/bench/crowd.h"

struct swarm {
    struct target target;
    const char *channel;
    struct crowd *crowd;
    uint32_t count;
    uint64_t *next;      /* the offset that each wants; 1 at first */
    uint64_t subscribed; /* since the crowd came */
    uint64_t events;     /* in all */
};

void swarm_init(struct swarm *s, const struct target *t, const char *channel, uint32_t count);
void swarm_done(struct swarm *s);
/* Connects them, opening so many at a time, and subscribes each from where it is. */
void swarm_come(struct swarm *s, uint32_t opening);
void swarm_cut(struct swarm *s); /* resets every connection */
void swarm_turn(struct swarm *s, uint64_t ns);
/* Until listeners first..last have seen everything up to that offset. */
void swarm_reach(struct swarm *s, uint32_t first, uint32_t last, uint64_t offset, uint64_t within);

/* One who publishes to a channel: counts what is acknowledged. */
struct publisher {
    const char *channel;
    struct crowd *crowd;
    uint32_t bytes;
    uint64_t sent, answered, offset; /* the newest offset acknowledged */
};
void publisher_open(struct publisher *p, const struct target *t, const char *channel,
                    uint32_t bytes);
void publisher_send(struct publisher *p);
void publisher_drain(struct publisher *p); /* until all is answered */
void publisher_close(struct publisher *p);

#endif
