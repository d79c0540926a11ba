/* The thread that commits while the writer goes on. LMDB's write transaction is locked by the
 * thread that begins it, which alone may end it: so whatever is handed over is begun here too.
 *
 * One order at a time. The writer gives it with one semaphore and waits for its end with the other;
 * of a commit it may ask meanwhile whether it is through. A lazy one has no thread: it obeys when
 * it is waited for, or was asked often enough. */
#define _GNU_SOURCE
#include "store/env.h"

#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <time.h>

#include "store/mem.h"

enum order { ORDER_NONE, ORDER_BEGIN, ORDER_COMMIT, ORDER_ABORT, ORDER_STOP };

struct committer {
    sem_t ordered, done;
    enum order order; /* the committer's from `ordered` to `done` */
    struct store_txn *txn;
    int code;
    enum store_rc rc;
    uint64_t us;
    bool waited; /* the writer has seen the end of the order */
    atomic_bool through;
    void (*on_through)(void *ctx);
    unsigned (*asked_for)(
        void *ctx); /* lazy: how often until it is through; NULL: a thread does it */
    unsigned to_ask;
    void *ctx;
};

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0 && errno == EINTR)
        continue;
}

/* ---- the thread ---- */

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int begin(struct store_view *view)
{
    return mdb_txn_begin(view->store->env, NULL, 0, &view->txn);
}

static void commit(struct committer *c)
{
    struct store_view *view = &c->txn->view;
    uint64_t began = now_us();
    int code = view->txn ? 0 : begin(view);
    c->rc = code == 0 ? store_commit_here(c->txn) : store_note_error(view->store, code);
    c->us = now_us() - began;
}

static void obey(struct committer *c)
{
    struct store_view *view = &c->txn->view;
    if (c->order == ORDER_BEGIN)
        c->code = begin(view);
    else if (c->order == ORDER_ABORT)
        mdb_txn_abort(view->txn);
    else
        commit(c);
    atomic_store(&c->through, true);
}

void store_committer_run(struct store *store)
{
    struct committer *c = store->committer;
    for (;;) {
        wait_for(&c->ordered);
        if (c->order == ORDER_STOP)
            return;
        bool tells = c->order == ORDER_COMMIT;
        obey(c);
        (void)sem_post(&c->done);
        if (tells)
            c->on_through(c->ctx);
    }
}

/* ---- the writer's side ---- */

static struct committer *committer_new(struct store *store, void *ctx)
{
    struct committer *c = xcalloc(1, sizeof *c);
    (void)sem_init(&c->ordered, 0, 0);
    (void)sem_init(&c->done, 0, 0);
    c->waited = true;
    c->ctx = ctx;
    return store->committer = c;
}

void store_committer_new(struct store *store, void (*on_through)(void *ctx), void *ctx)
{
    committer_new(store, ctx)->on_through = on_through;
}

void store_committer_lazy(struct store *store, unsigned (*asked_for)(void *ctx), void *ctx)
{
    committer_new(store, ctx)->asked_for = asked_for;
}

void committer_free(struct committer *c)
{
    if (!c)
        return;
    (void)sem_destroy(&c->ordered);
    (void)sem_destroy(&c->done);
    free(c);
}

static void give(struct committer *c, enum order order, struct store_txn *txn)
{
    c->order = order;
    c->txn = txn;
    c->waited = false;
    atomic_store(&c->through, false);
    if (c->asked_for)
        c->to_ask = c->asked_for(c->ctx);
    else
        (void)sem_post(&c->ordered);
}

static void await(struct committer *c)
{
    if (!c->waited && !c->asked_for)
        wait_for(&c->done);
    else if (!c->waited && !atomic_load(&c->through))
        obey(c);
    c->waited = true;
}

int committer_begin(struct committer *c, struct store_txn *txn)
{
    give(c, ORDER_BEGIN, txn);
    await(c);
    return c->code;
}

void committer_abort(struct committer *c, struct store_txn *txn)
{
    give(c, ORDER_ABORT, txn);
    await(c);
}

void committer_commit(struct committer *c, struct store_txn *txn)
{
    give(c, ORDER_COMMIT, txn);
}

bool committer_is_through(struct committer *c)
{
    if (c->asked_for && !atomic_load(&c->through) && c->to_ask-- == 0)
        obey(c);
    return atomic_load(&c->through);
}

enum store_rc committer_wait(struct committer *c, uint64_t *out_us)
{
    await(c);
    if (out_us)
        *out_us = c->us;
    return c->rc;
}

void store_committer_stop(struct store *store)
{
    give(store->committer, ORDER_STOP, NULL);
}
