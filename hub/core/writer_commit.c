/* A batch's transaction, and what becomes of it: committed and let out, or taken back and refused.
 *
 * While one batch is on its way to the disk the next one is filled. Memory then holds what both
 * did; so of two that cannot be committed the later is taken back first, and what memory holds is
 * read anew from the store. */
#define _GNU_SOURCE
#include "hub/core/clock.h"
#include "hub/core/writer.h"
#include "hub/core/writer_parts.h"

#include <assert.h>

static void count(_Atomic uint64_t *counter, uint64_t by)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by,
                          memory_order_relaxed);
}

static unsigned bucket_of(uint64_t value, uint64_t unit)
{
    unsigned i = 0;
    for (uint64_t bound = unit; value > bound && i < WRITER_BUCKETS - 1; bound *= 2) {
        i++;
    }
    return i;
}

/* ---- its trays ---- */

void writer_unwind(struct batch *batch, struct command *keep)
{
    for (unsigned t = 0; t < batch->n; t++) {
        struct tray *tray = batch->trays[t];
        buf_clear(&tray->out);
        tray->events_n = 0;
        tray->kicks_n = 0;
        tray->handouts_n = 0;
        for (uint32_t i = 0; i < tray->commands_n; i++) {
            struct command *command = &tray->commands[i];
            command->reply_n = 0;
            command->flags &= (uint16_t)~COMMAND_REPLAYED;
            if (command != keep && !(command->flags & COMMAND_FAILED)) {
                command->rc = HUB_OK;
            }
        }
    }
    if (keep) {
        keep->flags |= COMMAND_FAILED;
    }
}

void writer_refuse(struct batch *batch, enum hub_rc rc)
{
    writer_unwind(batch, NULL);
    for (unsigned t = 0; t < batch->n; t++) {
        struct tray *tray = batch->trays[t];
        for (uint32_t i = 0; i < tray->commands_n; i++) {
            if (!(tray->commands[i].flags & COMMAND_FAILED)) {
                tray->commands[i].rc = (uint16_t)rc;
            }
        }
    }
}

static void keep_for_later(struct writer *w, const struct tray *tray)
{
    for (uint32_t i = 0; i < tray->commands_n; i++) {
        const struct command *c = &tray->commands[i];
        struct slice body = tray_slice(tray, TRAY_IN, c->body_at, c->body_n);
        if (c->rc == HUB_STORE_FULL && c->kind->must && c->kind->must(body)) {
            writer_later(w, c->kind, c->app, body);
        }
    }
}

static void let_out(struct writer *w, struct tray *tray, uint64_t *wake)
{
    bool own = tray->origin >= w->options.ports_n;
    tray->answered = true;
    count(&w->stats.events, tray->events_n);
    tray->wanted = writer_wanted(w, tray);
    uint64_t to = tray->wanted | (own ? 0 : UINT64_C(1) << tray->origin);
    if (!to) {
        tray_give(&w->pool, tray);
        return;
    }
    atomic_store_explicit(&tray->refs, (uint32_t)__builtin_popcountll(to), memory_order_relaxed);
    for (uint64_t rest = to; rest; rest &= rest - 1) {
        unsigned thread = (unsigned)__builtin_ctzll(rest);
        bool pushed = ring_push(w->ports[thread].inbox, tray);
        assert(pushed); /* inboxes are as long as all pools together */
        (void)pushed;
    }
    *wake |= to;
}

static void statistics(struct writer *w, const struct batch *batch)
{
    uint64_t commands = 0;
    for (unsigned t = 0; t < batch->n; t++) {
        commands += batch->trays[t]->commands_n;
    }
    count(&w->stats.batches, 1);
    count(&w->stats.commands, commands);
    count(&w->stats.batch_size[bucket_of(commands, 1)], 1);
    atomic_store_explicit(&w->stats.trays_idle, w->pool.idle_n, memory_order_relaxed);
}

/* Done with, whatever came of it: everybody is told. */
static void send(struct writer *w, struct batch *batch)
{
    uint64_t wake = 0;
    if (batch->n) {
        statistics(w, batch);
    }
    for (unsigned t = 0; t < batch->n; t++) {
        keep_for_later(w, batch->trays[t]);
        let_out(w, batch->trays[t], &wake);
    }
    batch->n = 0;
    for (; wake; wake &= wake - 1) {
        struct writer_port *port = &w->ports[__builtin_ctzll(wake)];
        port->wake(port->wake_ctx);
    }
}

/* ---- begin ---- */

enum hub_rc writer_begin(struct writer *w)
{
    enum store_rc rc = store_begin(w->store, &w->txn);
    if (rc != STORE_OK) {
        w->txn = NULL;
        return hub_rc_of_store(rc);
    }
    log_begin(w->log, w->txn);
    replies_begin(w->replies, w->txn);
    return HUB_OK;
}

/* A table that cannot be read is looked at again after a while, not at once. */
static int64_t timer_due(const struct writer *w, struct store_view *view)
{
    enum { UNREADABLE_AGAIN_MS = 5000 };
    int64_t due = timer_next_due(view);
    return due == INT64_MIN ? w->now_ms + UNREADABLE_AGAIN_MS : due;
}

/* ---- taken back ---- */

static void memory_reload(struct writer *w)
{
    struct store_view *view;
    book_reload(w->book);
    if (store_snapshot(w->reader, &view) != STORE_OK) {
        w->options.panic(w->options.ctx, "cannot read the store back after an aborted batch");
        return;
    }
    for (unsigned m = 0; m < w->modules_n; m++) {
        if (w->modules[m]->load && w->modules[m]->load(w->state[m], view, w->now_ms) != HUB_OK) {
            w->options.panic(w->options.ctx, "cannot rebuild memory after an aborted batch");
        }
    }
    w->timer_due_ms = timer_due(w, view);
    store_release(w->reader);
}

static void forget_changes(struct writer *w)
{
    memset(w->changed, 0, sizeof w->changed);
    w->namespaces_dirty = false;
    count(&w->stats.aborted, 1);
}

static void take_back(struct writer *w)
{
    w->txn = NULL;
    log_end(w->log, false);
    replies_end(w->replies, false);
    forget_changes(w);
}

static void modules_settled(struct writer *w)
{
    for (unsigned m = 0; m < w->modules_n; m++) {
        if (w->modules[m]->settled) {
            w->modules[m]->settled(w->state[m]);
        }
    }
}

/* The one before is refused; the one that is filled has been taken back. */
static void give_up_before(struct writer *w)
{
    struct batch *before = w->on_its_way;
    enum hub_rc rc = hub_rc_of_store(w->lost);
    w->on_its_way = NULL;
    w->lost = STORE_OK;
    log_handed_end(w->log, false);
    replies_handed_end(w->replies, false);
    count(&w->stats.aborted, 1);
    memory_reload(w);
    modules_settled(w);
    if (rc == HUB_STORE_FULL) {
        w->full = true;
    } else if (rc == HUB_INTERNAL) {
        w->options.panic(w->options.ctx, "the store cannot commit");
    }
    if (before->own) {
        before->own->commands_n = 0; /* rows and deadlines are still there */
    }
    writer_refuse(before, rc);
    send(w, before);
}

void writer_abort(struct writer *w)
{
    (void)writer_land(w);
    store_abort(w->txn);
    take_back(w);
    if (w->lost != STORE_OK) {
        give_up_before(w);
    } else {
        memory_reload(w);
    }
}

/* ---- committed ---- */

static void note_commit(struct writer *w, uint64_t us)
{
    count(&w->stats.commit_us, us);
    count(&w->stats.commit_us_bucket[bucket_of(us, 64)], 1);
}

bool writer_land(struct writer *w)
{
    uint64_t us;
    if (!w->on_its_way || w->lost != STORE_OK) {
        return w->lost == STORE_OK;
    }
    w->lost = store_commit_take(w->store, &us);
    note_commit(w, us);
    if (w->lost != STORE_OK) {
        if (!w->txn) {
            give_up_before(w);
        }
        return false;
    }
    struct batch *batch = w->on_its_way;
    w->on_its_way = NULL;
    log_handed_end(w->log, true);
    replies_handed_end(w->replies, true);
    send(w, batch);
    return true;
}

void writer_flush(struct writer *w)
{
    (void)writer_land(w);
}

/* What others read of the writer's memory is made when all that it holds is on disk. */
static bool may_be_handed_over(const struct writer *w)
{
    bool may = store_is_handed_over(w->txn) && !w->namespaces_dirty;
    for (unsigned i = 0; i < CHANGE_COUNT; i++) {
        may = may && !w->changed[i];
    }
    for (unsigned m = 0; m < w->modules_n; m++) {
        may = may && !(w->modules[m]->holds_back && w->modules[m]->holds_back(w->state[m]));
    }
    return may;
}

static enum hub_rc hand_over(struct writer *w)
{
    enum store_rc rc = store_commit_start(w->txn);
    if (rc != STORE_OK) {
        take_back(w);
        memory_reload(w);
        return hub_rc_of_store(rc);
    }
    w->txn = NULL;
    log_handed_over(w->log);
    replies_handed_over(w->replies);
    w->on_its_way = w->batch;
    w->batch = w->batch == &w->batches[0] ? &w->batches[1] : &w->batches[0];
    w->batch->n = 0;
    w->batch->own = NULL;
    return HUB_OK;
}

static enum hub_rc commit_now(struct writer *w)
{
    uint64_t began_us = clock_mono_us();
    enum store_rc rc = store_commit(w->txn);
    note_commit(w, clock_mono_us() - began_us);
    if (rc != STORE_OK) {
        take_back(w);
        memory_reload(w);
        return hub_rc_of_store(rc);
    }
    w->txn = NULL;
    log_end(w->log, true);
    replies_end(w->replies, true);
    return HUB_OK;
}

enum hub_rc writer_commit(struct writer *w)
{
    int64_t added_ms = timer_added_due(w->txn);
    if (w->timers_taken) {
        w->timer_due_ms = timer_due(w, store_txn_view(w->txn));
    } else if (added_ms < w->timer_due_ms) {
        w->timer_due_ms = added_ms;
    }
    w->timers_taken = false;
    if (!writer_land(w)) {
        enum hub_rc rc = hub_rc_of_store(w->lost);
        writer_abort(w);
        return rc;
    }
    return may_be_handed_over(w) ? hand_over(w) : commit_now(w);
}

/* ---- and told ---- */

void writer_settle(struct writer *w)
{
    modules_settled(w);
    for (unsigned i = 0; i < CHANGE_COUNT; i++) {
        if (w->changed[i]) {
            atomic_fetch_add(&w->change[i], 1);
            w->changed[i] = false;
        }
    }
    if (w->namespaces_dirty) {
        w->namespaces_dirty = false;
        writer_namespaces_rebuild(w);
    }
    send(w, w->batch);
}
