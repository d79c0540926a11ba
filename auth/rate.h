/* auth/rate.h: rate limits, without locks and in fixed memory, shared by all threads.
 *
 * Each key has a token bucket, kept as one number: the moment at which it will be full again
 * (GCRA's theoretical arrival time).
 *
 * Owns     its table.
 * Threads  any number at once.
 * Units    microseconds on a clock that does not run backwards; whole seconds in verdicts, rounded
 *          up.
 * Limits   65,536 buckets by default that are not full; when a place is overcrowded, keys that
 *          meet there share a bucket.
 */
#ifndef WAGGLE_AUTH_RATE_H
#define WAGGLE_AUTH_RATE_H

#include "store/bytes.h"

struct rate_limiter;

enum { RATE_SEED_BYTES = 16, RATE_SLOTS_DEFAULT = 1 << 16 };

/* count per period_s on the long run, burst at once. count 0: no limit. */
struct rate_rule {
    uint32_t count;
    uint32_t period_s;
    uint32_t burst; /* 0: as count */
};

struct rate_verdict {
    bool ok;
    uint32_t limit;         /* the burst */
    uint32_t remaining;     /* so many more would pass now */
    uint32_t reset_s;       /* until the bucket is full again */
    uint32_t retry_after_s; /* 0 when ok, else at least 1 */
};

/* slots is rounded up to a power of two. The random seed keeps callers from choosing whom to share
 * a bucket with. */
struct rate_limiter *rate_new(const uint8_t seed[RATE_SEED_BYTES], size_t slots, uint64_t now_us);
void rate_free(struct rate_limiter *limiter); /* NULL is fine */

/* A key is what is limited (a class: publishes, handshakes, calls …) and who. It may be kept for as
 * long as the limiter lives. */
uint64_t rate_key(const struct rate_limiter *limiter, uint32_t class, uint32_t app,
                  struct slice who);
/* An address of 4 or 16 bytes. Of IPv6 the first 64 bits count: a subscriber has that many;
 * ::ffff:a.b.c.d counts as IPv4. */
uint64_t rate_key_address(const struct rate_limiter *limiter, uint32_t class, struct slice address);

/* Takes `cost` from the bucket if it has that much, else nothing. Cost 0 looks without taking; a
 * cost above the burst counts as the burst. */
struct rate_verdict rate_take(struct rate_limiter *limiter, uint64_t key,
                              const struct rate_rule *rule, uint32_t cost, uint64_t now_us);

#endif
