/* The writer's start, thread and end. */
#define _GNU_SOURCE
#include "hub/core/clock.h"
#include "hub/core/writer_parts.h"

#include <assert.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    SLEEP_MAX_MS = 1000,
    SLEEP_MIN_MS = 1,
    GATHER_BELOW_US = 1000, /* during a longer step enough came by itself */
};

static void timers_register(struct writer *w, const struct timer_kind *timers)
{
    for (; timers && timers->id; timers++) {
        assert(timers->id < TIMER_KINDS_MAX);
        w->timer_kinds[timers->id] = timers->kind;
    }
}

/* Says whose rows could not be read: opening the store has not looked at long ones. */
static enum hub_rc unreadable(enum hub_rc rc, const char *whose, char *out_text, size_t text_n)
{
    if (rc != HUB_OK && text_n) {
        snprintf(out_text, text_n,
                 "data.mdb: what %s keep cannot be read: %s; waggled --verify names the rows",
                 whose, hub_error(rc)->title);
    }
    return rc;
}

static enum hub_rc modules_load(struct writer *w, char *out_text, size_t text_n)
{
    struct store_view *view;
    enum store_rc src = store_snapshot(w->reader, &view);
    enum hub_rc rc = hub_rc_of_store(src);
    for (unsigned m = 0; rc == HUB_OK && m < w->modules_n; m++) {
        if (w->modules[m]->load) {
            rc = unreadable(w->modules[m]->load(w->state[m], view, w->now_ms), w->modules[m]->name,
                            out_text, text_n);
        }
    }
    if (src == STORE_OK) {
        w->timer_due_ms = timer_next_due(view);
        store_release(w->reader);
    }
    return rc;
}

static enum hub_rc modules_restart(struct writer *w, struct apply *a)
{
    enum hub_rc rc = HUB_OK;
    for (unsigned m = 0; rc == HUB_OK && m < w->modules_n; m++) {
        const struct command_kind *kind = w->modules[m]->restart;
        struct command command = {.kind = kind};
        a->state = w->state[m];
        rc = kind ? kind->apply(a, &command, slice_of(NULL, 0)) : HUB_OK;
    }
    return rc;
}

/* A full store still starts: reads go on, and the connections of before are given up when there is
 * room. */
static void restart_later(struct writer *w)
{
    w->full = true;
    writer_later(w, &command_presence_restart, 0, slice_of(NULL, 0));
    for (unsigned m = 0; m < w->modules_n; m++) {
        if (w->modules[m]->restart) {
            writer_later(w, w->modules[m]->restart, 0, slice_of(NULL, 0));
        }
    }
}

/* A start is a change too: every connection is gone. Committed before anyone is served. */
static enum hub_rc restart_commit(struct writer *w)
{
    enum store_rc src = store_begin(w->store, &w->txn);
    if (src != STORE_OK) {
        return hub_rc_of_store(src);
    }
    log_begin(w->log, w->txn);
    struct tray tray = {0};
    struct apply a = {.txn = w->txn,
                      .view = store_txn_view(w->txn),
                      .book = w->book,
                      .now_ms = w->now_ms,
                      .tray = &tray,
                      .writer = w};
    struct presence p = {.book = w->book,
                         .txn = w->txn,
                         .now_ms = w->now_ms,
                         .timer_kind = TIMER_PRESENCE_GRACE,
                         .emit = apply_emit,
                         .emit_ctx = &a};
    enum presence_rc prc = presence_restart(&p, w->options.restart_grace_ms);
    enum hub_rc rc = prc == PRESENCE_OK      ? modules_restart(w, &a)
                     : prc == PRESENCE_STORE ? hub_rc_of_store(p.store_rc)
                                             : HUB_STORE_DAMAGED;
    if (rc == HUB_OK) {
        rc = hub_rc_of_store(store_commit(w->txn));
    } else {
        store_abort(w->txn);
    }
    w->txn = NULL;
    log_end(w->log, rc == HUB_OK);
    buf_done(&tray.out);
    free(tray.events);
    if (rc == HUB_STORE_FULL) {
        restart_later(w);
        return HUB_OK;
    }
    return rc;
}

static enum hub_rc open_parts(struct writer *w, char *out_text, size_t text_n)
{
    struct log_options log_options = w->options.log;
    log_options.limits = book_limits;
    log_options.limits_ctx = w->book;
    enum store_rc rc = log_open(w->store, &log_options, &w->log, out_text, text_n);
    if (rc == STORE_OK) {
        book_attach(w->book, w->log);
        rc = replies_open(w->store, &w->options.replies, &w->replies);
    }
    if (rc == STORE_OK) {
        rc = store_reader_new(w->store, &w->reader);
    }
    return hub_rc_of_store(rc);
}

enum hub_rc writer_new(const struct writer_options *options, struct writer **out, char *out_text,
                       size_t text_n)
{
    struct writer *w = xcalloc(1, sizeof *w);
    w->options = *options;
    w->store = options->store;
    w->interest = options->interest;
    w->now_ms = options->now_ms;
    w->timer_due_ms = INT64_MAX;
    w->batch = &w->batches[0];
    w->configured = options->namespaces;
    w->book = book_new(options->hash_seed, namespaces_copy(options->namespaces));
    w->inbox = ring_new(options->inbox_trays);
    tray_pool_init(&w->pool, WRITER_POOL_TRAYS, options->ports_n);
    w->modules_n = options->modules_n;
    static const struct timer_kind core_timers[] = {
        {TIMER_PRESENCE_GRACE, &command_presence_expire}, {0, NULL}};
    timers_register(w, core_timers);
    for (unsigned m = 0; m < w->modules_n; m++) {
        w->modules[m] = options->modules[m];
        w->state[m] = w->modules[m]->open(options->module_options[m]);
        timers_register(w, w->modules[m]->timers);
    }
    if (text_n) {
        snprintf(out_text, text_n, "the store could not be read");
    }
    enum hub_rc rc = open_parts(w, out_text, text_n);
    if (rc == HUB_OK) {
        writer_namespaces_rebuild(w);
        rc = unreadable(restart_commit(w), "connections", out_text, text_n);
    }
    if (rc == HUB_OK) {
        rc = modules_load(w, out_text, text_n);
    }
    if (rc != HUB_OK) {
        writer_free(w);
        return rc;
    }
    *out = w;
    return HUB_OK;
}

void writer_free(struct writer *w)
{
    if (!w) {
        return;
    }
    if (w->on_its_way) {
        (void)store_commit_take(w->store, NULL);
    }
    for (unsigned m = 0; m < w->modules_n; m++) {
        w->modules[m]->close(w->state[m]);
    }
    for (unsigned i = 0; i < w->retired_n; i++) {
        namespaces_free(w->retired[i].set);
    }
    namespaces_free(atomic_load(&w->configured_next));
    namespaces_free(w->configured);
    store_reader_free(w->reader);
    replies_close(w->replies);
    log_close(w->log);
    book_free(w->book);
    ring_free(w->inbox);
    tray_pool_done(&w->pool);
    for (size_t i = 0; i < w->later_n; i++) {
        buf_done(&w->later[i].body);
    }
    free(w->later);
    free(w);
}

void writer_port_set(struct writer *w, unsigned thread, const struct writer_port *port)
{
    w->ports[thread] = *port;
}

/* ---- sleeping and waking (design.md section 4: flag, fence, look again / enqueue, fence, read
 * flag) ---- */

static void futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (ms % 1000) * 1000000};
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, &t, NULL, 0);
}

void writer_wake(struct writer *w)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&w->sleeping, memory_order_relaxed) &&
        atomic_exchange(&w->sleeping, 0)) {
        (void)syscall(SYS_futex, &w->sleeping, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
}

void writer_push(struct writer *w, struct tray *tray)
{
    bool pushed = ring_push(w->inbox, tray);
    if (!pushed) {
        abort(); /* the inbox is as long as all pools together */
    }
    writer_wake(w);
}

void writer_sleep(struct writer *w, int64_t ms)
{
    ms = ms < SLEEP_MIN_MS ? SLEEP_MIN_MS : ms > SLEEP_MAX_MS ? SLEEP_MAX_MS : ms;
    atomic_store(&w->sleeping, 1);
    atomic_thread_fence(memory_order_seq_cst);
    if (ring_empty(w->inbox) && !store_commit_is_through(w->store) && !atomic_load(&w->stopping)) {
        futex_wait(&w->sleeping, 1, ms);
    }
    atomic_store(&w->sleeping, 0);
}

/* Most of what a small batch costs is its commit. A tray that came meanwhile is a part of a stream:
 * the writer waits half as long as the whole step took for others to go with it, and so a steady
 * stream needs a third fewer commits. After a client that asks again only when it was answered the
 * inbox is empty, and nobody waits. */
static void gather(const struct writer *w, uint64_t began_us)
{
    int64_t took_us = (int64_t)(clock_mono_us() - began_us);
    if (took_us < GATHER_BELOW_US && !ring_empty(w->inbox)) {
        const struct timespec t = {.tv_nsec = took_us * 1000 / 2};
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
    }
}

void writer_part(struct writer *w)
{
    struct tray tray = {0};
    for (unsigned m = 0; m < w->modules_n; m++) {
        if (w->modules[m]->part) {
            w->modules[m]->part(w->state[m], w->now_ms, &tray);
        }
    }
    for (uint32_t i = 0; i < tray.commands_n; i++) {
        const struct command *c = &tray.commands[i];
        writer_later(w, c->kind, c->app, slice_of(tray.in.p + c->body_at, c->body_n));
    }
    buf_done(&tray.in);
    free(tray.commands);
}

void writer_run(struct writer *w, int64_t (*clock_ms)(void *ctx), void *ctx)
{
    bool parted = false;
    w->runs = true;
    for (;;) {
        bool stopping = atomic_load(&w->stopping); /* read first: what was pushed before is seen */
        int64_t due, now = clock_ms(ctx);
        uint64_t began_us = clock_mono_us();
        if (writer_step(w, now, &due)) {
            gather(w, began_us);
        } else {
            if (stopping && parted) {
                writer_flush(w);
                return;
            }
            if (stopping) {
                writer_part(w);
                parted = true;
            } else {
                writer_sleep(w, due - now);
            }
        }
    }
}

void writer_stop(struct writer *w)
{
    atomic_store(&w->stopping, true);
    writer_wake(w);
}
