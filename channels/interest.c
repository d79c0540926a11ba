#include "channels/interest.h"
#include "store/mem.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

/* 2^18 buckets: 2 MiB of words shared, 1 MiB of counts a thread, touched only where used. */
enum { INTEREST_BITS = 18, INTEREST_BUCKETS = 1 << INTEREST_BITS };

struct interest {
    _Atomic uint64_t all; /* threads with a pattern subscription */
    _Atomic uint64_t bucket[INTEREST_BUCKETS];
};

struct interest_view {
    struct interest *shared;
    uint64_t bit;
    uint32_t all;
    uint32_t count[INTEREST_BUCKETS];
};

struct interest *interest_new(void)
{
    return xcalloc(1, sizeof(struct interest));
}

void interest_free(struct interest *interest)
{
    free(interest);
}

struct interest_view *interest_view_new(struct interest *interest, unsigned thread)
{
    assert(thread < INTEREST_THREADS_MAX);
    struct interest_view *view = xcalloc(1, sizeof *view);
    view->shared = interest;
    view->bit = UINT64_C(1) << thread;
    return view;
}

void interest_view_free(struct interest_view *view)
{
    free(view);
}

static size_t bucket_of(uint64_t channel_hash)
{
    return (size_t)(channel_hash >> (64 - INTEREST_BITS));
}

void interest_add(struct interest_view *view, uint64_t channel_hash)
{
    size_t i = bucket_of(channel_hash);
    if (view->count[i]++ == 0) {
        atomic_fetch_or(&view->shared->bucket[i], view->bit);
    }
}

void interest_drop(struct interest_view *view, uint64_t channel_hash)
{
    size_t i = bucket_of(channel_hash);
    assert(view->count[i] > 0);
    if (--view->count[i] == 0) {
        atomic_fetch_and(&view->shared->bucket[i], ~view->bit);
    }
}

void interest_add_all(struct interest_view *view)
{
    if (view->all++ == 0) {
        atomic_fetch_or(&view->shared->all, view->bit);
    }
}

void interest_drop_all(struct interest_view *view)
{
    assert(view->all > 0);
    if (--view->all == 0) {
        atomic_fetch_and(&view->shared->all, ~view->bit);
    }
}

uint64_t interest_of(const struct interest *interest, uint64_t channel_hash)
{
    return atomic_load(&interest->bucket[bucket_of(channel_hash)]) | atomic_load(&interest->all);
}
