#define _GNU_SOURCE
#include "hub/audit/audit_thread.h"

#include "hub/audit/auditor.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "store/mem.h"

enum {
    LOOK_EVERY_US = 50000, /* nobody wakes it for what is appended */
    REST = 7               /* times as long as a turn took */
};

struct audit_thread {
    struct io io;
    struct auditor auditor;
    pthread_t thread;
    bool runs;
    sem_t wake;
    _Atomic bool stopping;
    uint64_t newest; /* of the log, a turn ago */
};

/* What a tray carries is for others: deliveries that its batch has set off, when it was the last.
 */
static void take_home(struct io *io)
{
    for (struct tray *tray; (tray = io_arrived(io));) {
        io_let_go(io, tray);
    }
}

/* Whether another turn is worth it at once. */
static bool turn(struct audit_thread *t)
{
    uint64_t now_us = clock_mono_us();
    (void)io_turn(&t->io, clock_now(&t->io.hub->clock, now_us), now_us);
    take_home(&t->io);
    bool more = auditor_turn(&t->auditor, &t->io);
    io_hand_over(&t->io, NULL, NULL);
    return more;
}

static struct timespec in_us(uint64_t us)
{
    uint64_t at_us = clock_mono_us() + us;
    return (struct timespec){.tv_sec = (time_t)(at_us / 1000000),
                             .tv_nsec = (long)(at_us % 1000000) * 1000};
}

/* Until a tray comes back, or that long. */
static void wait_for_more(struct audit_thread *t)
{
    struct timespec until = in_us(LOOK_EVERY_US);
    (void)sem_clockwait(&t->wake, CLOCK_MONOTONIC, &until);
    while (sem_trywait(&t->wake) == 0) {
        continue;
    }
}

/* A tray that comes back is no reason to end it. */
static void rest(struct audit_thread *t, uint64_t us)
{
    struct timespec until = in_us(us < LOOK_EVERY_US ? us : LOOK_EVERY_US);
    while (sem_clockwait(&t->wake, CLOCK_MONOTONIC, &until) == 0 && !atomic_load(&t->stopping)) {
        continue;
    }
}

/* While the log grows somebody is at work, and the auditor takes an eighth of its time, unless it
 * might come to what the journal no longer has. */
static bool may_rest(struct audit_thread *t)
{
    struct log_stats stats;
    log_stats(t->io.hub->log, &stats);
    bool grows = stats.journal_last_seq != t->newest;
    t->newest = stats.journal_last_seq;
    return grows && stats.journal_last_seq - t->auditor.read_to < stats.journal_records / 2;
}

static void *run(void *arg)
{
    struct audit_thread *t = arg;
    pthread_setname_np(pthread_self(), "waggle-audit");
    while (!atomic_load(&t->stopping)) {
        uint64_t began_us = clock_mono_us();
        if (!turn(t)) {
            wait_for_more(t);
        } else if (may_rest(t)) {
            rest(t, REST * (clock_mono_us() - began_us));
        }
    }
    return NULL;
}

static void wake(void *ctx)
{
    struct audit_thread *t = ctx;
    (void)sem_post(&t->wake);
}

struct audit_thread *audit_thread_new(struct hub *hub, void (*draw)(void *out, size_t n))
{
    struct audit_thread *t = xcalloc(1, sizeof *t);
    (void)sem_init(&t->wake, 0, 0);
    if (io_init(&t->io, hub, hub->threads_n, draw, NULL, NULL, NULL) != HUB_OK) {
        audit_thread_free(t);
        return NULL;
    }
    struct writer_port port = {
        .inbox = t->io.inbox, .home = t->io.pool.home, .wake = wake, .wake_ctx = t};
    writer_port_set(hub->writer, hub->threads_n, &port);
    return t;
}

bool audit_thread_start(struct audit_thread *t)
{
    const struct sched_param none = {0};
    t->runs = pthread_create(&t->thread, NULL, run, t) == 0;
    if (t->runs) {
        /* It pushes nobody off a core when it wakes. Idle priority would be too little: under a
         * load that takes all cores it could not hurry when it has to. */
        (void)pthread_setschedparam(t->thread, SCHED_BATCH, &none);
    }
    return t->runs;
}

void audit_thread_stop(struct audit_thread *t)
{
    if (!t || !t->runs) {
        return;
    }
    atomic_store(&t->stopping, true);
    wake(t);
    (void)pthread_join(t->thread, NULL);
    t->runs = false;
}

void audit_thread_free(struct audit_thread *t)
{
    if (!t) {
        return;
    }
    if (t->io.inbox) {
        take_home(&t->io);
    }
    auditor_done(&t->auditor);
    io_done(&t->io);
    (void)sem_destroy(&t->wake);
    free(t);
}
