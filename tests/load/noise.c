#define _GNU_SOURCE
#include "tests/load/noise.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "tests/bench/meter.h"

static struct {
    pthread_t thread;
    atomic_bool stop;
    struct spread late;
} noise;

static void *run(void *arg)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    (void)arg;
    while (!atomic_load(&noise.stop)) {
        uint64_t due = meter_now() + NS_PER_MS;
        (void)nanosleep(&nap, NULL);
        uint64_t now = meter_now();
        spread_add(&noise.late, now > due ? now - due : 0);
    }
    return NULL;
}

void noise_start(void)
{
    memset(&noise.late, 0, sizeof noise.late);
    atomic_store(&noise.stop, false);
    if (pthread_create(&noise.thread, NULL, run, NULL) != 0)
        meter_fail("thread");
}

double noise_stop(void)
{
    atomic_store(&noise.stop, true);
    (void)pthread_join(noise.thread, NULL);
    return (double)spread_at(&noise.late, 0.99) / 1e6;
}
