#define _GNU_SOURCE
#include "hub/net/service.h"
#include "hub/net/arrivals.h"
#include "hub/net/conn.h"
#include "hub/net/native.h"
#include "hub/net/talkers.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

enum {
    TICK_US_MAX = 500,  /* of draining the inbox before sockets are looked at again */
    BREATH_US = 500,    /* of reading sockets before what was read and answered goes on its way */
    FLUSH_US_MAX = 500, /* of sending at a stretch */
    /* Of whatever is done for a crowd, before whoever is in conversation is served; and of reading
     * them, before the crowd goes on. */
    SERVE_EVERY_US = 100,
    SERVE_US_MAX = 100,
    /* Of a turn for each thing that a crowd may ask at once: to be let in, to be ended, to read on
     * from the log. */
    CROWD_US_MAX = 500,
    STARVED_NAP_US = 200,
};

/* ---- time ---- */

enum io_work net_work(struct net_thread *t, enum io_work work)
{
    enum io_work before = t->work;
    uint64_t now_us = clock_mono_us();
    io_count(&t->io.counters.work_us[before], now_us - t->work_since_us);
    t->work = work;
    t->work_since_us = now_us;
    return before;
}

/* Whoever came in a crowd waits for one another, not the others for all of them. */
bool net_is_spent(uint64_t began_us)
{
    return clock_mono_us() - began_us > CROWD_US_MAX;
}

/* ---- those in conversation ---- */

static void read_talker(struct net_thread *t, struct conn *c)
{
    if (c->dead || !c->talks) {
        return;
    }
    ssize_t n = c->rx_off ? 0 : recv(c->fd, t->input, sizeof t->input, MSG_DONTWAIT);
    if (n > 0) {
        conn_input(c, t->input, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        net_stop_talking(c);
    }
}

static void read_talkers(struct net_thread *t, uint64_t us_max)
{
    struct conn *found[TALKERS_A_LOOK];
    uint64_t began_us = clock_mono_us();
    unsigned n;
    do {
        n = io_starved(&t->io) ? 0 : talkers_look(t->talkers, found);
        for (unsigned i = 0; i < n; i++) {
            read_talker(t, found[i]);
        }
    } while (n == TALKERS_A_LOOK && clock_mono_us() - began_us < us_max);
    t->talkers_left = n == TALKERS_A_LOOK || io_starved(&t->io);
}

void net_read_talkers(struct net_thread *t)
{
    enum io_work before = net_work(t, WORK_TALK);
    read_talkers(t, CROWD_US_MAX);
    (void)net_work(t, before);
}

static void hold_live(void *ctx, const struct tray *tray)
{
    struct net_thread *t = ctx;
    rounds_hold(&t->rounds, (struct tray *)(uintptr_t)tray);
}

static void hand_over(struct net_thread *t)
{
    io_hand_over(&t->io, hold_live, t);
}

static void let_go(void *ctx, struct tray *tray)
{
    io_let_go(ctx, tray);
}

static void take_inbox(struct net_thread *t)
{
    uint64_t began_us = clock_mono_us();
    while (rounds_has_room(&t->rounds) && clock_mono_us() - began_us < TICK_US_MAX) {
        struct tray *tray = io_arrived(&t->io);
        if (!tray) {
            return;
        }
        if (arrivals_answer(t, tray)) {
            io_let_go(&t->io, tray);
        } else {
            rounds_hold(&t->rounds, tray);
        }
    }
}

static void flush_lane(struct net_thread *t)
{
    struct conn *c = t->lane.first;
    t->lane.first = c->next_in_lane;
    c->in_lane = false;
    conn_flush(c);
}

void net_serve(struct net_thread *t)
{
    uint64_t now_us = clock_mono_us();
    if (now_us - t->served_us < SERVE_EVERY_US || t->finished) {
        return;
    }
    enum io_work before = net_work(t, WORK_TALK);
    t->io.now_us = now_us;
    tray_pool_collect(&t->io.pool);
    read_talkers(t, SERVE_US_MAX);
    hand_over(t);
    take_inbox(t);
    while (t->lane.first && clock_mono_us() - now_us < FLUSH_US_MAX) {
        flush_lane(t);
    }
    t->served_us = clock_mono_us();
    (void)net_work(t, before);
}

/* ---- those who are told ---- */

static void deliver_some(struct net_thread *t)
{
    uint64_t began_us = clock_mono_us();
    enum io_work before = net_work(t, WORK_DELIVER);
    const struct tray *tray;
    while ((tray = rounds_next(&t->rounds))) {
        arrivals_deliver(t, tray);
        net_serve(t);
        if (clock_mono_us() - began_us > TICK_US_MAX) {
            io_count(&t->io.counters.ticks_long, 1);
            break;
        }
    }
    (void)net_work(t, before);
}

static bool has_answers(const struct net_thread *t)
{
    return t->lane.first || t->answers.first;
}

static bool is_dirty(const struct net_thread *t)
{
    return has_answers(t) || t->dirty.first;
}

static void flush_one(struct net_thread *t)
{
    if (t->lane.first) {
        flush_lane(t); /* nobody in conversation waits for anybody who is not */
        return;
    }
    struct conn_queue *queue = t->answers.first ? &t->answers : &t->dirty;
    struct conn *c = queue->first;
    queue->first = c->next_dirty;
    c->dirty = false; /* here alone: whoever flushes earlier leaves it in the list */
    conn_flush(c);
    net_serve(t);
}

/* Everything delivered has left or was copied: the bytes of the round are no longer needed. */
static void settle(struct net_thread *t)
{
    rounds_settle(&t->rounds, let_go, &t->io);
    turn_end(&t->turn);
}

/* An event for thousands takes longer to send than others should wait to be read. What is left
 * leaves in the next turns, and the trays with its bytes stay for so long, unless too many do. */
static void flush_some(struct net_thread *t)
{
    uint64_t began_us = clock_mono_us();
    bool gathering = rounds_is_gathering(&t->rounds);
    enum io_work before = net_work(t, WORK_SEND);
    while ((gathering ? has_answers(t) : is_dirty(t)) &&
           clock_mono_us() - began_us < FLUSH_US_MAX) {
        flush_one(t);
    }
    if (!gathering && !is_dirty(t)) {
        settle(t);
    } else if (!gathering) {
        rounds_send(&t->rounds);
    }
    (void)net_work(t, before);
}

/* Their pools miss the trays: all that is held leaves at once. */
static void flush_all(struct net_thread *t)
{
    enum io_work before = net_work(t, WORK_SEND);
    rounds_hurry(&t->rounds);
    while (rounds_is_gathering(&t->rounds)) {
        deliver_some(t);
    }
    while (is_dirty(t)) {
        flush_one(t);
    }
    settle(t);
    (void)net_work(t, before);
}

void net_send_off(struct net_thread *t)
{
    enum io_work before = net_work(t, WORK_TALK);
    hand_over(t);
    take_inbox(t);
    (void)net_work(t, before);
    deliver_some(t);
    flush_some(t);
    if (rounds_is_crowded(&t->rounds)) {
        flush_all(t);
    }
}

/* ---- those who had to wait ---- */

void net_resume_paused(struct net_thread *t)
{
    struct conn *list = t->resume;
    t->resume = NULL;
    while (list) {
        struct conn *c = list;
        list = c->next_resume;
        conn_resume_now(c);
        net_serve(t);
    }
}

void net_behind(struct conn *c)
{
    struct net_thread *t = c->thread;
    c->next_behind = NULL;
    *(t->behind ? &t->behind_last->next_behind : &t->behind) = c;
    t->behind_last = c;
}

/* A page each: who is not through goes to the end of the list, and all are read on in turn. */
void net_catch_up(struct net_thread *t)
{
    uint64_t began_us = clock_mono_us();
    enum io_work before = net_work(t, WORK_CATCH_UP);
    while (t->behind && !net_is_spent(began_us)) {
        struct conn *c = t->behind;
        t->behind = c->next_behind;
        if (c->dead) {
            c->behind = false;
            continue;
        }
        native_catch_up(c);
        if (c->behind) {
            net_behind(c);
        }
        net_serve(t);
    }
    (void)net_work(t, before);
}

/* The pool is out: the writer or another thread must let go of a tray first. Sockets wait
 * meanwhile; what comes in the inbox is dealt with, so nobody waits for us. */
void net_wait_for_tray(struct net_thread *t)
{
    enum io_work before = net_work(t, WORK_STARVED);
    while (io_starved(&t->io)) {
        tray_pool_collect(&t->io.pool);
        if (!io_starved(&t->io)) {
            break;
        }
        if (!ring_empty(t->io.inbox)) {
            take_inbox(t);
            flush_all(t);
            continue;
        }
        hand_over(t);
        struct timespec nap = {.tv_nsec = STARVED_NAP_US * 1000L};
        nanosleep(&nap, NULL);
    }
    (void)net_work(t, before);
}

/* The loop gives us all sockets that have news before it comes back to on_turn(), and five thousand
 * that were cut at once take a while. Whoever waits for an answer does not wait for all of them. */
void net_breathe(struct net_thread *t)
{
    net_serve(t);
    uint64_t now_us = clock_mono_us();
    if (now_us - t->breath_us < BREATH_US || t->finished) {
        return;
    }
    t->io.now_us = now_us;
    tray_pool_collect(&t->io.pool);
    net_send_off(t);
    t->breath_us = clock_mono_us();
}

bool net_has_more(const struct net_thread *t)
{
    return is_dirty(t) || t->rounds.held_n || t->behind || t->resume || !ring_empty(t->io.inbox) ||
           io_may_hand_over(&t->io);
}
