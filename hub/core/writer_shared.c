/* What other threads read of the writer: the namespaces in force, counters of change, statistics.
 */
#include "hub/core/writer_parts.h"

#include <stdlib.h>

struct ring *writer_home(struct writer *w, unsigned origin)
{
    return origin < w->options.ports_n ? w->ports[origin].home : w->pool.home;
}

struct log *writer_log(struct writer *w)
{
    return w->log;
}

struct book *writer_book(struct writer *w)
{
    return w->book;
}

void *writer_module(struct writer *w, unsigned module)
{
    return w->state[module];
}

/* ---- namespaces: a set is replaced whole; the old one is freed when every thread has moved on
 * ---- */

static void retire(struct writer *w, struct namespaces *set, uint64_t generation)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < w->retired_n; i++) {
        bool seen = true;
        for (unsigned t = 0; t < w->options.ports_n; t++) {
            seen = seen && atomic_load(&w->namespaces_seen[t]) >= w->retired[i].generation;
        }
        if (seen) {
            namespaces_free(w->retired[i].set);
        } else {
            w->retired[kept++] = w->retired[i];
        }
    }
    w->retired_n = kept;
    if (set && kept < RETIRED_MAX) {
        w->retired[w->retired_n++] =
            (struct retired_namespaces){.set = set, .generation = generation};
    }
    /* With 64 sets that some thread still holds, that thread hangs: the set is left, not freed. */
}

static void overlay(struct namespaces *set, struct store_view *view)
{
    struct store_cursor *cursor;
    if (store_cursor_open(view, TABLE_NAMESPACE, &cursor) != STORE_OK) {
        return;
    }
    struct slice key, value;
    enum store_rc rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value)) {
        struct namespace_options options;
        if (key.n > 4 && namespace_unpack(value, &options)) {
            namespace_put(set, be32_get(key.p), slice_of(key.p + 4, key.n - 4), &options);
        }
    }
    store_cursor_close(cursor);
}

void writer_namespaces_rebuild(struct writer *w)
{
    struct store_view *view;
    struct namespaces *set = namespaces_copy(w->configured);
    if (store_snapshot(w->reader, &view) == STORE_OK) {
        overlay(set, view);
        store_release(w->reader);
    }
    uint64_t generation = atomic_load(&w->namespaces_generation) + 1;
    atomic_store(&w->namespaces, set);
    struct namespaces *before = book_namespaces_set(w->book, set);
    atomic_store(&w->namespaces_generation, generation);
    retire(w, before, generation);
}

void writer_namespaces_adopt(struct writer *w)
{
    struct namespaces *next = atomic_exchange(&w->configured_next, NULL);
    if (next) {
        namespaces_free(w->configured);
        w->configured = next;
        writer_namespaces_rebuild(w);
    }
}

void writer_namespaces_configure(struct writer *w, struct namespaces *set)
{
    namespaces_free(atomic_exchange(&w->configured_next, set));
    writer_wake(w);
}

void writer_namespaces_dirty(struct writer *w)
{
    w->namespaces_dirty = true;
}

const struct namespaces *writer_namespaces(struct writer *w, uint64_t *out_generation)
{
    /* Generation first: a set may be newer than the generation said, never older. */
    *out_generation = atomic_load(&w->namespaces_generation);
    return atomic_load(&w->namespaces);
}

void writer_namespaces_seen(struct writer *w, unsigned thread, uint64_t generation)
{
    atomic_store(&w->namespaces_seen[thread], generation);
}

/* ---- counters ---- */

void writer_changed(struct writer *w, enum writer_change what)
{
    w->changed[what] = true;
}

uint64_t writer_change_count(const struct writer *w, enum writer_change what)
{
    return atomic_load(&w->change[what]);
}

void writer_stats(const struct writer *w, struct writer_stats *out)
{
    const struct writer_counters *c = &w->stats;
    *out = (struct writer_stats){
        .batches = atomic_load_explicit(&c->batches, memory_order_relaxed),
        .commands = atomic_load_explicit(&c->commands, memory_order_relaxed),
        .events = atomic_load_explicit(&c->events, memory_order_relaxed),
        .refused = atomic_load_explicit(&c->refused, memory_order_relaxed),
        .aborted = atomic_load_explicit(&c->aborted, memory_order_relaxed),
        .commit_us = atomic_load_explicit(&c->commit_us, memory_order_relaxed),
        .trays_idle = atomic_load_explicit(&c->trays_idle, memory_order_relaxed),
        .full = atomic_load_explicit(&c->full, memory_order_relaxed),
        .later = atomic_load_explicit(&c->later, memory_order_relaxed),
        .lag_ms = atomic_load_explicit(&c->lag_ms, memory_order_relaxed)};
    for (unsigned i = 0; i < WRITER_BUCKETS; i++) {
        out->batch_size[i] = atomic_load_explicit(&c->batch_size[i], memory_order_relaxed);
        out->commit_us_bucket[i] =
            atomic_load_explicit(&c->commit_us_bucket[i], memory_order_relaxed);
    }
}
