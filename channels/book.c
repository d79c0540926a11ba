/* The numbers of channels in use: open addressing over seeded 128-bit hashes of (app, name). The
 * hash stands for the name: with a seed nobody outside knows, two names in a table of a million
 * meet with a chance of one in 10^26. */
#include "channels/book.h"
#include "store/hash.h"

#include <assert.h>
#include <stdlib.h>

struct entry {
    struct hash128 hash;
    uint64_t channel; /* 0: free */
};

struct book {
    uint64_t seed;
    struct log *log;
    struct namespaces *namespaces;
    struct entry *entries;
    size_t cap, n;
};

enum { BOOK_ENTRIES_FIRST = 1024 };

struct book *book_new(uint64_t seed, struct namespaces *namespaces)
{
    struct book *book = xcalloc(1, sizeof *book);
    book->seed = seed;
    book->namespaces = namespaces;
    book_reload(book);
    return book;
}

void book_free(struct book *book)
{
    if (book) {
        namespaces_free(book->namespaces);
        free(book->entries);
        free(book);
    }
}

void book_attach(struct book *book, struct log *log)
{
    book->log = log;
}

void book_reload(struct book *book)
{
    free(book->entries);
    book->cap = BOOK_ENTRIES_FIRST;
    book->n = 0;
    book->entries = xcalloc(book->cap, sizeof *book->entries);
}

struct namespaces *book_namespaces_set(struct book *book, struct namespaces *namespaces)
{
    struct namespaces *before = book->namespaces;
    book->namespaces = namespaces;
    if (book->log) {
        log_limits_changed(book->log);
    }
    return before;
}

const struct namespaces *book_namespaces(const struct book *book)
{
    return book->namespaces;
}

const struct namespace_options *book_options(const struct book *book, uint32_t app,
                                             struct slice channel)
{
    return namespace_of(book->namespaces, app, channel_name_parse(channel).ns);
}

void book_limits(void *ctx, uint32_t app, struct slice name, struct log_limits *out)
{
    *out = book_options(ctx, app, name)->history;
}

static struct entry *find(struct entry *entries, size_t cap, struct hash128 hash)
{
    size_t i = (size_t)hash.lo & (cap - 1);
    while (entries[i].channel && !hash128_equal(entries[i].hash, hash)) {
        i = (i + 1) & (cap - 1);
    }
    return &entries[i];
}

static void grow(struct book *book)
{
    size_t cap = book->cap * 2;
    struct entry *entries = xcalloc(cap, sizeof *entries);
    for (size_t i = 0; i < book->cap; i++) {
        if (book->entries[i].channel) {
            *find(entries, cap, book->entries[i].hash) = book->entries[i];
        }
    }
    free(book->entries);
    book->entries = entries;
    book->cap = cap;
}

enum store_rc book_channel(struct book *book, uint32_t app, struct slice name, int64_t now_ms,
                           uint64_t *out_channel)
{
    struct hash128 hash = hash128_named(book->seed, app, name);
    struct entry *entry = find(book->entries, book->cap, hash);
    if (entry->channel) {
        *out_channel = entry->channel;
        return STORE_OK;
    }
    uint64_t channel;
    enum store_rc rc = log_channel_open(book->log, app, name, now_ms, &channel);
    if (rc != STORE_OK) {
        return rc;
    }
    if ((book->n + 1) * 4 > book->cap * 3) {
        grow(book);
        entry = find(book->entries, book->cap, hash);
    }
    *entry = (struct entry){.hash = hash, .channel = channel};
    book->n++;
    *out_channel = channel;
    return STORE_OK;
}

static enum store_rc append(struct book *book, uint64_t channel, const struct publish *publish,
                            struct published *out)
{
    uint8_t head[EVENT_HEAD_BYTES];
    struct slice parts[EVENT_PARTS_MAX];
    struct log_append append = {.channel = channel,
                                .now_ms = publish->now_ms,
                                .flags = publish->keyed ? LOG_KEYED : 0,
                                .parts = parts,
                                .parts_n = event_pack_parts(publish->event, head, parts)};
    memcpy(append.key_hash, publish->key_hash, sizeof append.key_hash);
    struct log_appended appended;
    enum store_rc rc = log_append(book->log, &append, &appended);
    if (rc == STORE_OK) {
        out->offset = appended.offset;
        out->seq = appended.seq;
        out->repeated = appended.repeated;
    }
    return rc;
}

/* A key that was seen answers before `expect` is judged: whoever asks again because the answer was
 * lost expected what its own first try has changed since. */
enum store_rc book_publish(struct book *book, const struct publish *publish, struct published *out)
{
    *out = (struct published){0};
    if (publish->keyed &&
        log_key_find(book->log, publish->key_hash, publish->now_ms, &out->offset)) {
        out->repeated = true;
        return STORE_OK;
    }
    uint64_t channel;
    enum store_rc rc =
        book_channel(book, publish->app, publish->event->channel, publish->now_ms, &channel);
    if (rc == STORE_OK && publish->expects) {
        struct log_head head;
        rc = log_head(book->log, channel, &head);
        if (rc == STORE_OK && head.last != publish->expect) {
            out->refused = true;
            out->offset = head.last;
            return STORE_OK;
        }
    }
    return rc == STORE_OK ? append(book, channel, publish, out) : rc;
}

enum store_rc book_tell(struct book *book, uint32_t app, const struct event *event,
                        uint64_t *channel, book_emit *emit, void *ctx)
{
    /* Whether its events are stored is fixed for each namespace that the hub writes (namespace.c).
     */
    if (!*channel && book_options(book, app, event->channel)->delivery == NS_LIVE) {
        emit(ctx, app, event, 0, 0);
        return STORE_OK;
    }
    struct publish publish = {.app = app, .event = event, .now_ms = event->time_ms};
    struct published published;
    enum store_rc rc =
        *channel ? STORE_OK : book_channel(book, app, event->channel, event->time_ms, channel);
    if (rc == STORE_OK) {
        rc = append(book, *channel, &publish, &published);
    }
    if (rc == STORE_OK) {
        emit(ctx, app, event, published.offset, published.seq);
    }
    return rc;
}
