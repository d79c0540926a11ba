#define _GNU_SOURCE
#include "hub/core/clock.h"

#include <time.h>

/* Between two looks: a jump counts for tokens that much later, and a step is one millisecond. */
enum { LOOK_EVERY_MS = 100 };

void clock_set(struct clock *clock, int64_t wall_ms, uint64_t mono_us)
{
    atomic_store(&clock->ahead_ms, wall_ms - (int64_t)(mono_us / 1000));
    atomic_store(&clock->lag_ms, 0);
    clock->followed_us = mono_us;
}

int64_t clock_now(const struct clock *clock, uint64_t mono_us)
{
    return (int64_t)(mono_us / 1000) + atomic_load_explicit(&clock->ahead_ms, memory_order_relaxed);
}

void clock_follow(struct clock *clock, int64_t wall_ms, uint64_t mono_us)
{
    if (mono_us - clock->followed_us < (uint64_t)LOOK_EVERY_MS * 1000) {
        return;
    }
    clock->followed_us = mono_us;
    int64_t most = LOOK_EVERY_MS / CLOCK_SLEW;
    int64_t lag = wall_ms - clock_now(clock, mono_us);
    int64_t step = lag > most ? most : lag < -most ? -most : lag;
    atomic_store(&clock->lag_ms, lag - step);
    atomic_fetch_add(&clock->ahead_ms, step);
}

int64_t clock_wall(const struct clock *clock, int64_t now_ms)
{
    return now_ms + atomic_load_explicit(&clock->lag_ms, memory_order_relaxed);
}

uint64_t clock_mono_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

int64_t clock_machine_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
