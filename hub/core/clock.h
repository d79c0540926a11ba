/* hub/core/clock.h: the hub's own time: milliseconds since 1970 that never jump.
 *
 * Deadlines, leases and the order of events must not hang on somebody setting the machine's clock,
 * or on a machine that was asleep. So the time that everything below goes by is the wall's at the
 * start and moves with the monotonic clock from there. When the wall is elsewhere it is followed
 * slowly: at most one part in CLOCK_SLEW of what passes, which no timer notices; an hour is made up
 * in five days. What others judge by the wall too (when a token ends) asks clock_wall().
 *
 * Threads  clock_follow: one; the others: any.
 * Units    milliseconds; the monotonic clock in microseconds.
 * Rules    led back by a wall that is behind, two looks may be a millisecond the wrong way round:
 *          who needs order keeps the greatest (io_turn and the writer do).
 * Errors   none. All zero is a clock whose time is the monotonic one: simulations need no more.
 */
#ifndef WAGGLE_HUB_CORE_CLOCK_H
#define WAGGLE_HUB_CORE_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>

enum { CLOCK_SLEW = 100 };

struct clock {
    _Atomic int64_t ahead_ms; /* of the monotonic clock */
    _Atomic int64_t lag_ms;   /* behind the wall */
    uint64_t followed_us;     /* when the wall was looked at last */
};

void clock_set(struct clock *clock, int64_t wall_ms, uint64_t mono_us);
int64_t clock_now(const struct clock *clock, uint64_t mono_us);
/* Looks at the wall, now and then: often enough that a jump is seen, and cheap in between. */
void clock_follow(struct clock *clock, int64_t wall_ms, uint64_t mono_us);
/* The machine's two clocks. Only whoever drives the others reads them (hub/main, threads' loops).
 */
uint64_t clock_mono_us(void);
int64_t clock_machine_ms(void); /* the wall, as it is set */
/* The wall's time, as it was last seen, at a time of clock_now(). */
int64_t clock_wall(const struct clock *clock, int64_t now_ms);

#endif
