/* One step of the writer: take what waits, one transaction, apply, commit, let out.
 *
 * A large batch is committed by the committer (store.h), and let out when its commit is through;
 * the next one is applied meanwhile. It sees what the first one did, so when the first cannot be
 * committed it is taken back too. It runs again without it, unless it would meet the same full
 * store or broken disk.
 *
 * A store write that fails poisons an LMDB transaction, so a batch is all or nothing. When the
 * store is full, every command of the batch is refused and memory is read anew from the store; when
 * a single command met damage, the batch runs again without it. */
#define _GNU_SOURCE
#include "hub/core/writer.h"
#include "hub/core/writer_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    HAND_OVER_MIN = 256, /* commands: it has to pay for waking the committer twice */
    TIMERS_A_BATCH = 1000,
    USAGE_EVERY_MS = 1000,
    READERS_EVERY_MS = 60000,
    FULL_OVER_MS = 10000, /* without being full: it was made room, and no mere gap */
    HEARING_MS = 250,     /* an idle thread says so often enough that it has nothing to read */
};

/* ---- one command ---- */

static void reply_put(struct tray *tray, struct command *command, struct slice bytes)
{
    if (command->reply_n == 0) {
        command->reply_at = (uint32_t)tray->out.n;
    }
    assert(command->reply_at + command->reply_n == tray->out.n);
    buf_add_slice(&tray->out, bytes);
    command->reply_n += (uint32_t)bytes.n;
}

static enum hub_rc apply_one(struct writer *w, struct tray *tray, struct command *command)
{
    const struct command_kind *kind = command->kind;
    struct apply a = {.txn = w->txn,
                      .view = w->txn ? store_txn_view(w->txn) : NULL,
                      .book = w->book,
                      .state = w->state[kind->module],
                      .now_ms = w->now_ms,
                      .seed = command->seed,
                      .app = command->app,
                      .tray = tray,
                      .writer = w};
    return kind->apply(&a, command, tray_slice(tray, TRAY_IN, command->body_at, command->body_n));
}

/* The answer to a key that was seen before, if it was. */
static bool replay(struct writer *w, struct tray *tray, struct command *command)
{
    struct reply_row row;
    if (replies_find(w->replies, command->key_hash, w->now_ms, &row) != STORE_OK) {
        return false;
    }
    if (memcmp(row.request_hash, command->request_hash, sizeof row.request_hash) != 0) {
        command->rc = HUB_KEY_CONFLICT;
        return true;
    }
    command->rc = row.status;
    command->flags |= COMMAND_REPLAYED;
    reply_put(tray, command, row.body);
    return true;
}

static void remember(struct writer *w, struct tray *tray, struct command *command)
{
    struct reply_row row = {.time_ms = w->now_ms,
                            .status = command->rc,
                            .body =
                                tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n)};
    memcpy(row.key_hash, command->key_hash, sizeof row.key_hash);
    memcpy(row.request_hash, command->request_hash, sizeof row.request_hash);
    enum store_rc rc = replies_add(w->replies, &row);
    if (rc != STORE_OK) {
        command->rc = (uint16_t)hub_rc_of_store(rc);
    }
}

static bool must_abort(uint16_t rc)
{
    return rc == HUB_STORE_FULL || rc == HUB_STORE_DAMAGED || rc == HUB_INTERNAL;
}

/* False: the transaction is spoiled. */
static bool run_command(struct writer *w, struct tray *tray, struct command *command)
{
    if (command->rc != HUB_OK) {
        return true; /* failed in an earlier run of this batch */
    }
    if (w->full && !(command->kind->flags & (KIND_VOLATILE | KIND_RELEASES))) {
        command->rc = HUB_STORE_FULL;
        return true;
    }
    bool keyed = (command->flags & COMMAND_KEYED) && command->kind != &command_publish;
    if (keyed && replay(w, tray, command)) {
        return true;
    }
    command->rc = (uint16_t)apply_one(w, tray, command);
    if (keyed && command->rc == HUB_OK) {
        remember(w, tray, command);
    }
    return !must_abort(command->rc);
}

/* The commit before is looked for on the way: who waits for it waits no longer than it takes. */
static enum hub_rc run_tray(struct writer *w, struct tray *tray, struct command **out_failed)
{
    if (tray->now_ms > w->now_ms) {
        w->now_ms = tray->now_ms;
    }
    for (uint32_t i = 0; i < tray->commands_n; i++) {
        if (store_commit_is_through(w->store) && !writer_land(w)) {
            return hub_rc_of_store(w->lost);
        }
        if (!run_command(w, tray, &tray->commands[i])) {
            *out_failed = &tray->commands[i];
            return (enum hub_rc)(*out_failed)->rc;
        }
    }
    return HUB_OK;
}

/* ---- timers ---- */

static void timer_command(struct tray *tray, const struct command_kind *kind,
                          const struct timer *timer)
{
    struct command *command = tray_command(tray);
    command->kind = kind;
    command->flags = COMMAND_SILENT;
    command->body_at = (uint32_t)tray->in.n;
    command->body_n = (uint32_t)timer->body.n;
    buf_add_slice(&tray->in, timer->body);
    command->offset = timer->ref.id;
    be64_put(command->key_hash, (uint64_t)timer->ref.due_ms);
}

struct timer_ref apply_timer_ref(const struct command *command)
{
    return (struct timer_ref){.due_ms = (int64_t)be64_get(command->key_hash),
                              .id = command->offset};
}

static const struct command_kind *timer_kind_of(struct writer *w, uint16_t id)
{
    return id < TIMER_KINDS_MAX ? w->timer_kinds[id] : NULL;
}

/* A timer whose command met damage is dropped, or every batch after it would fail as this one did.
 */
static bool is_spoiler(const struct writer *w, struct timer_ref ref)
{
    for (unsigned i = 0; i < w->spoilers_n; i++) {
        if (w->spoilers[i].id == ref.id && w->spoilers[i].due_ms == ref.due_ms) {
            return true;
        }
    }
    return false;
}

/* A row that cannot be read is dropped, or it would stand before all others for good. */
static enum store_rc timer_next(struct writer *w, struct timer *out)
{
    enum store_rc rc = timer_first_due(store_txn_view(w->txn), w->now_ms, out);
    for (unsigned n = 0; rc == STORE_DAMAGED && out->ref.id && n < TIMERS_A_BATCH; n++) {
        w->options.note(w->options.ctx, 'E', "a timer is damaged and is dropped");
        rc = timer_cancel(w->txn, out->ref);
        if (rc == STORE_OK) {
            rc = timer_first_due(store_txn_view(w->txn), w->now_ms, out);
        }
    }
    return rc;
}

/* Turns due rows into commands on the writer's own tray. The rows go in the same transaction. A
 * table that cannot be read stops the timers, nothing else. */
static enum hub_rc timers_take(struct writer *w, struct tray *tray)
{
    struct timer timer;
    for (unsigned n = 0; n < TIMERS_A_BATCH; n++) {
        enum store_rc rc = timer_next(w, &timer);
        if (rc == STORE_NOT_FOUND || rc == STORE_DAMAGED) {
            return HUB_OK;
        }
        if (rc != STORE_OK) {
            return hub_rc_of_store(rc);
        }
        if (n == 0) {
            atomic_store_explicit(&w->stats.lag_ms, w->now_ms - timer.ref.due_ms,
                                  memory_order_relaxed);
        }
        const struct command_kind *kind = timer_kind_of(w, timer.kind);
        if (kind && !is_spoiler(w, timer.ref)) {
            timer_command(tray, kind, &timer);
        }
        rc = timer_cancel(w->txn, timer.ref);
        if (rc != STORE_OK) {
            return hub_rc_of_store(rc);
        }
    }
    return HUB_OK;
}

/* A hub that stood still, or whose threads are behind with reading, must not find silent whom it
 * has not listened to: deadlines go by the time up to which all that came is known. To be called
 * before the inbox is looked into: what they have read is in it. */
static void listen(struct writer *w)
{
    w->heard_ms = INT64_MAX;
    for (unsigned i = 0; i < w->options.ports_n; i++) {
        const _Atomic int64_t *port = w->ports[i].heard_ms;
        int64_t ms =
            port ? atomic_load_explicit(port, memory_order_acquire) + HEARING_MS : INT64_MAX;
        w->heard_ms = ms < w->heard_ms ? ms : w->heard_ms;
    }
}

static int64_t judged_ms(const struct writer *w)
{
    return w->heard_ms < w->now_ms ? w->heard_ms : w->now_ms;
}

static void deadlines_take(struct writer *w, struct tray *tray)
{
    for (unsigned m = 0; m < w->modules_n; m++) {
        const struct module *module = w->modules[m];
        for (unsigned n = 0; module->expire && n < TIMERS_A_BATCH; n++) {
            if (!module->expire(w->state[m], judged_ms(w), tray)) {
                break;
            }
        }
    }
}

/* While the store is full, rows and deadlines stay where they are: late, never lost. */
static int64_t next_due(const struct writer *w)
{
    if (w->full) {
        return w->usage_ms + USAGE_EVERY_MS;
    }
    int64_t due = w->later_n ? w->now_ms : w->timer_due_ms;
    for (unsigned m = 0; m < w->modules_n; m++) {
        if (w->modules[m]->next_due) {
            int64_t d = w->modules[m]->next_due(w->state[m]);
            d = d > judged_ms(w) && d <= w->now_ms ? w->now_ms + 1 : d;
            due = d < due ? d : due;
        }
    }
    return due;
}

/* ---- what must not be refused: someone left while there was no room to say so ---- */

void writer_later(struct writer *w, const struct command_kind *kind, uint32_t app,
                  struct slice body)
{
    if (w->later_n == w->later_cap) {
        w->later_cap = w->later_cap ? w->later_cap * 2 : 16;
        w->later = xrealloc(w->later, w->later_cap * sizeof *w->later);
    }
    struct later *later = &w->later[w->later_n++];
    *later = (struct later){.kind = kind, .app = app};
    buf_add_slice(&later->body, body);
}

/* They go first, on a tray of their own: nobody who comes in this batch is taken for one who left
 * before. */
static void later_take(struct writer *w)
{
    struct tray *tray = w->later_n && !w->full ? tray_take(&w->pool) : NULL;
    if (!tray) {
        return;
    }
    tray->now_ms = w->now_ms;
    for (size_t i = 0; i < w->later_n; i++) {
        struct command *command = tray_command(tray);
        command->kind = w->later[i].kind;
        command->app = w->later[i].app;
        command->flags = COMMAND_SILENT;
        command->body_at = (uint32_t)tray->in.n;
        command->body_n = (uint32_t)w->later[i].body.n;
        buf_add_slice(&tray->in, buf_slice(&w->later[i].body));
        buf_done(&w->later[i].body);
    }
    w->later_n = 0;
    w->batch->trays[w->batch->n++] = tray;
}

/* ---- a batch ---- */

static bool is_full(const struct batch *b)
{
    return b->n >= BATCH_TRAYS_MAX || b->commands >= WRITER_COMMANDS_MAX ||
           b->bytes >= WRITER_BYTES_MAX;
}

/* The next tray that waits, unless the batch is full. */
static bool take_one(struct writer *w)
{
    struct batch *b = w->batch;
    struct tray *tray = is_full(b) ? NULL : ring_pop(w->inbox);
    if (tray) {
        b->trays[b->n++] = tray;
        b->commands += tray->commands_n;
        b->bytes += tray->in.n;
    }
    return tray;
}

static void collect(struct writer *w)
{
    w->batch->n = 0;
    w->batch->commands = w->batch->bytes = 0;
    later_take(w);
    while (take_one(w)) {
        continue;
    }
}

/* While the batch before is on its way this one cannot be committed: it may as well grow. */
static bool grow(struct writer *w)
{
    while (w->on_its_way && !is_full(w->batch) && !store_commit_is_through(w->store)) {
        listen(w);
        if (take_one(w)) {
            return true;
        }
        if (!w->runs || atomic_load(&w->stopping)) {
            return false;
        }
        writer_sleep(w, 1);
    }
    return false;
}

static bool is_large(const struct writer *w)
{
    return w->batch->commands >=
           (w->options.hand_over_min ? w->options.hand_over_min : HAND_OVER_MIN);
}

static bool needs_store(const struct writer *w)
{
    for (unsigned t = 0; t < w->batch->n; t++) {
        for (uint32_t i = 0; i < w->batch->trays[t]->commands_n; i++) {
            if (!(w->batch->trays[t]->commands[i].kind->flags & KIND_VOLATILE)) {
                return true;
            }
        }
    }
    return false;
}

/* Deadlines are taken when the batch's beats have counted: nobody is found silent who spoke in it.
 */
static enum hub_rc run_deadlines(struct writer *w, struct tray *own)
{
    enum hub_rc rc = HUB_OK;
    if (w->deadlines_spoil) {
        return rc;
    }
    deadlines_take(w, own);
    for (uint32_t i = 0; rc == HUB_OK && i < own->commands_n; i++) {
        if (!run_command(w, own, &own->commands[i])) {
            rc = (enum hub_rc)own->commands[i].rc;
        }
    }
    if (rc != HUB_OK && rc != HUB_STORE_FULL) {
        w->deadlines_spoil = true;
        w->options.note(w->options.ctx, 'E', "a deadline met damage and waits");
    }
    return rc;
}

static enum hub_rc run_timers(struct writer *w, struct tray *own)
{
    uint32_t first = own->commands_n;
    if (w->timer_due_ms > w->now_ms && timer_added_due(w->txn) > w->now_ms) {
        return HUB_OK;
    }
    w->timers_taken = true;
    enum hub_rc rc = timers_take(w, own);
    if (rc != HUB_OK) {
        return rc;
    }
    for (uint32_t i = first; rc == HUB_OK && i < own->commands_n; i++) {
        if (!run_command(w, own, &own->commands[i])) {
            rc = (enum hub_rc)own->commands[i].rc;
            if (rc != HUB_STORE_FULL && w->spoilers_n < RERUNS_MAX) {
                w->spoilers[w->spoilers_n++] = apply_timer_ref(&own->commands[i]);
                w->options.note(w->options.ctx, 'E', "a timer met damage and is dropped");
            }
        }
    }
    return rc;
}

static enum hub_rc run_finish(struct writer *w)
{
    enum hub_rc rc = HUB_OK;
    for (unsigned m = 0; rc == HUB_OK && w->batch->n && m < w->modules_n; m++) {
        if (w->modules[m]->finish) {
            struct apply a = {.txn = w->txn,
                              .view = store_txn_view(w->txn),
                              .book = w->book,
                              .state = w->state[m],
                              .now_ms = w->now_ms,
                              .tray = w->batch->trays[w->batch->n - 1],
                              .writer = w};
            rc = w->modules[m]->finish(&a, w->batch->trays, w->batch->n);
        }
    }
    return rc;
}

/* The writer's own tray is the last: its events are appended after those of all others. */
static void put_own(struct batch *batch, struct tray *own, bool in)
{
    bool is_in = own && batch->n > 0 && batch->trays[batch->n - 1] == own;
    if (own && in && !is_in) {
        batch->trays[batch->n++] = own;
    } else if (is_in && !in) {
        batch->n--;
    }
}

/* The trays, what is due, and what all that sets off. */
static enum hub_rc run_all(struct writer *w, struct tray *own, struct command **out_failed)
{
    enum hub_rc rc = HUB_OK;
    unsigned t = 0;
    put_own(w->batch, own, false);
    do {
        if (is_large(w) && !w->needs_trees) {
            store_hand_over(w->txn);
        }
        for (; rc == HUB_OK && t < w->batch->n; t++) {
            rc = run_tray(w, w->batch->trays[t], out_failed);
            if (t == 0 && is_large(w)) {
                w->needs_trees = store_has_trees(w->txn);
            }
        }
    } while (rc == HUB_OK && grow(w));
    put_own(w->batch, own, true);
    if (rc == HUB_OK && own) {
        rc = run_deadlines(w, own);
    }
    if (rc == HUB_OK && own) {
        rc = run_timers(w, own);
    }
    return rc == HUB_OK ? run_finish(w) : rc;
}

/* Runs the batch and begins its commit; HUB_OK, or what refuses all of it. */
static enum hub_rc attempt(struct writer *w, struct tray *own, struct command **out_failed)
{
    enum hub_rc rc = writer_begin(w);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = run_all(w, own, out_failed);
    if (rc == HUB_OK) {
        w->more_to_tend = log_tend(w->log, w->now_ms);
        w->more_to_tend = replies_tend(w->replies, w->now_ms) || w->more_to_tend;
        return writer_commit(w);
    }
    writer_abort(w);
    return rc;
}

static void run_batch(struct writer *w, struct tray *own)
{
    enum hub_rc rc = HUB_OK;
    unsigned spoilers = w->spoilers_n = 0;
    bool spoiled = w->deadlines_spoil = false;
    for (unsigned run = 0; run < RERUNS_MAX; run++) {
        struct command *failed = NULL;
        bool alone = !w->on_its_way;
        rc = attempt(w, own, &failed);
        if (rc == HUB_OK) {
            return;
        }
        bool again = failed || w->spoilers_n > spoilers || w->deadlines_spoil != spoiled || !alone;
        spoilers = w->spoilers_n;
        spoiled = w->deadlines_spoil;
        if (own) {
            own->commands_n = 0; /* rows and deadlines are still there */
            buf_clear(&own->in);
        }
        if (rc == HUB_STORE_FULL) {
            w->full = true;
            break;
        }
        if (!again) {
            break;
        }
        if (failed) {
            w->options.note(w->options.ctx, 'E', failed->kind->name);
        }
        writer_unwind(w->batch, failed);
    }
    if (rc == HUB_INTERNAL) {
        w->options.panic(w->options.ctx, "the store cannot commit");
    }
    writer_refuse(w->batch, rc);
}

static void housekeep(struct writer *w, int64_t now_ms)
{
    struct store_usage usage;
    if (now_ms - w->usage_ms >= USAGE_EVERY_MS) {
        w->usage_ms = now_ms;
        if (store_usage(w->store, &usage) == STORE_OK) {
            w->full = store_is_full(w->store);
        }
    }
    tray_pool_slim(&w->pool, now_ms);
    w->full =
        w->full || store_is_full(w->store); /* the file may pass the quota between two counts */
    if (now_ms - w->readers_ms >= READERS_EVERY_MS) {
        w->readers_ms = now_ms;
        (void)store_clear_stale_readers(w->store);
    }
}

/* What waits, and what is to be said about it afterwards. */
static bool step(struct writer *w, int64_t now_ms)
{
    bool landed = w->on_its_way && (w->needs_trees || store_commit_is_through(w->store));
    if (landed) {
        (void)writer_land(w);
    }
    tray_pool_collect(&w->pool);
    writer_namespaces_adopt(w);
    w->now_ms = now_ms > w->now_ms ? now_ms : w->now_ms;
    listen(w);
    housekeep(w, w->now_ms);
    collect(w);
    bool due = !w->full && next_due(w) <= w->now_ms;
    bool tend = w->more_to_tend || w->now_ms - w->tend_ms >= TEND_EVERY_MS;
    if (w->batch->n == 0 && !due && !tend) {
        return landed;
    }
    /* With commands too: what they make due, as a task that can be offered, is done in their
     * commit. NULL: when one comes home. */
    struct tray *own = due || (!w->full && needs_store(w)) ? tray_take(&w->pool) : NULL;
    w->batch->own = own;
    if (own) {
        own->now_ms = w->now_ms;
        put_own(w->batch, own, true);
    }
    if (own || tend || needs_store(w)) {
        w->tend_ms = w->now_ms;
        run_batch(w, own);
    } else {
        struct command *none;
        (void)writer_land(w); /* answers keep their order */
        for (unsigned t = 0; t < w->batch->n; t++) {
            (void)run_tray(w, w->batch->trays[t], &none); /* volatile: nothing to spoil */
        }
    }
    writer_settle(w);
    return true;
}

/* A line when it begins and one when it is over, not one for each time that a little room was found
 * and lost. */
static void tell_full(struct writer *w)
{
    if (w->full && !w->full_told) {
        w->options.note(w->options.ctx, 'W',
                        "the store is full: ordinary writes are refused with store_full until "
                        "there is room on its disk and in its quota");
    }
    if (w->full) {
        w->full_told = true;
        w->full_ms = w->now_ms;
    } else if (w->full_told && w->now_ms - w->full_ms >= FULL_OVER_MS) {
        w->full_told = false;
        w->options.note(w->options.ctx, 'I', "the store takes writes again");
    }
}

bool writer_step(struct writer *w, int64_t now_ms, int64_t *out_next)
{
    bool worked = step(w, now_ms);
    tell_full(w);
    atomic_store_explicit(&w->stats.full, w->full, memory_order_relaxed);
    atomic_store_explicit(&w->stats.later, w->later_n, memory_order_relaxed);
    *out_next = next_due(w);
    return worked;
}

/* ---- what apply functions use ---- */

void apply_reply(struct apply *a, struct command *command, struct slice bytes)
{
    reply_put(a->tray, command, bytes);
}

enum hub_rc apply_refuse(struct apply *a, struct command *command, enum hub_rc rc,
                         const char *before, struct slice id, const char *after)
{
    struct buf text = {0};
    buf_add_str(&text, before);
    buf_add_slice(&text, id);
    buf_add_str(&text, after);
    if (command) {
        apply_reply(a, command, buf_slice(&text));
    }
    buf_done(&text);
    return rc;
}
