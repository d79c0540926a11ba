#include "hub/messages/mailboxes.h"
#include "store/hash.h"

#include <stdlib.h>

enum { BUCKETS_FIRST = 64 };
static const uint64_t BUCKET_SEED = UINT64_C(0x6d61696c);

static uint32_t *bucket_of(const struct mailboxes *m, uint32_t app, struct slice name)
{
    return &m->buckets[hash64_named(BUCKET_SEED, app, name) & (m->buckets_n - 1)];
}

static void buckets_fill(struct mailboxes *m, uint32_t n)
{
    free(m->buckets);
    m->buckets_n = n;
    m->buckets = xcalloc(n, sizeof *m->buckets);
    for (uint32_t i = 1; i <= m->n; i++) {
        struct mailbox *box = &m->all[i];
        if (box->number) {
            uint32_t *bucket = bucket_of(m, box->app, mailbox_name(box));
            box->next = *bucket;
            *bucket = i;
        }
    }
}

void mailboxes_init(struct mailboxes *m)
{
    mailboxes_done(m);
    buckets_fill(m, BUCKETS_FIRST);
}

void mailboxes_done(struct mailboxes *m)
{
    for (uint32_t i = 1; i <= m->n; i++) {
        cursor_done(&m->all[i].cursor);
        free(m->all[i].name);
    }
    free(m->all);
    free(m->buckets);
    deadlines_done(&m->deadlines);
    m->all = NULL;
    m->buckets = NULL;
    m->n = m->cap = m->idle = 0;
    atomic_store_explicit(&m->open, 0, memory_order_relaxed);
    atomic_store_explicit(&m->items, 0, memory_order_relaxed);
    atomic_store_explicit(&m->out, 0, memory_order_relaxed);
}

struct mailbox *mailbox_at(struct mailboxes *m, uint32_t number)
{
    return number && number <= m->n && m->all[number].number ? &m->all[number] : NULL;
}

struct mailbox *mailbox_find(struct mailboxes *m, uint32_t app, struct slice name)
{
    for (uint32_t i = *bucket_of(m, app, name); i; i = m->all[i].next) {
        if (m->all[i].app == app && slice_equal(mailbox_name(&m->all[i]), name)) {
            return &m->all[i];
        }
    }
    return NULL;
}

static uint32_t number_new(struct mailboxes *m)
{
    if (m->idle) {
        uint32_t number = m->idle;
        m->idle = m->all[number].next;
        return number;
    }
    if (m->n + 1 >= m->cap) {
        m->cap = m->cap ? m->cap * 2 : 16;
        m->all = xrealloc(m->all, m->cap * sizeof *m->all);
    }
    return ++m->n;
}

struct mailbox *mailbox_add(struct mailboxes *m, uint32_t app, struct slice name)
{
    uint32_t number = number_new(m);
    struct mailbox *box = &m->all[number];
    *box = (struct mailbox){
        .number = number, .app = app, .name = xstrndup(name.p, name.n), .name_n = name.n};
    cursor_init(&box->cursor);
    atomic_fetch_add_explicit(&m->open, 1, memory_order_relaxed);
    if (m->n >= m->buckets_n) {
        buckets_fill(m, m->buckets_n * 2);
    } else {
        uint32_t *bucket = bucket_of(m, app, name);
        box->next = *bucket;
        *bucket = number;
    }
    return box;
}

static void drop(struct mailboxes *m, struct mailbox *box)
{
    uint32_t number = box->number, *link = bucket_of(m, box->app, mailbox_name(box));
    while (*link != number) {
        link = &m->all[*link].next;
    }
    *link = box->next;
    cursor_done(&box->cursor);
    free(box->name);
    deadlines_set(&m->deadlines, number, INT64_MAX);
    *box = (struct mailbox){.next = m->idle};
    m->idle = number;
    atomic_fetch_sub_explicit(&m->open, 1, memory_order_relaxed);
}

void mailbox_changed(struct mailboxes *m, struct mailbox *box)
{
    const struct cursor *c = &box->cursor;
    atomic_fetch_add_explicit(&m->items, (uint64_t)c->n - box->items_counted, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->out, (uint64_t)c->out - box->out_counted, memory_order_relaxed);
    box->items_counted = c->n;
    box->out_counted = c->out;
    deadlines_set(&m->deadlines, box->number, c->look_ms);
    if (c->n == 0) {
        drop(m, box);
    }
}
