/* channels/book.h: the writer's side of channels: what a publish decides.
 *
 * Knows the number of each channel in use (a table in memory over the log's names) and the options
 * of each namespace. Everything in it can be rebuilt from the store (book_reload).
 *
 * Owns     its tables; the namespaces set it was given.
 * Threads  the writer; book_limits is called by the log within the writer.
 * Errors   enum store_rc from the log; what a publish decides stands in struct published.
 */
#ifndef WAGGLE_CHANNELS_BOOK_H
#define WAGGLE_CHANNELS_BOOK_H

#include "channels/event.h"
#include "channels/namespace.h"
#include "store/log.h"

struct book;

struct book *book_new(uint64_t seed, struct namespaces *namespaces); /* takes the set */
void book_free(struct book *book);                                   /* NULL is fine */
/* For log_options.limits; ctx is the book. */
void book_limits(void *ctx, uint32_t app, struct slice name, struct log_limits *out);
void book_attach(struct book *book, struct log *log);
/* Another set of options from now on. Takes it and returns the one before, which readers may still
 * look at: the caller frees it when they have moved on. */
struct namespaces *book_namespaces_set(struct book *book, struct namespaces *namespaces);
const struct namespaces *book_namespaces(const struct book *book);
/* After an aborted batch: forgets channel numbers that the batch made. */
void book_reload(struct book *book);

const struct namespace_options *book_options(const struct book *book, uint32_t app,
                                             struct slice channel);
enum store_rc book_channel(struct book *book, uint32_t app, struct slice name, int64_t now_ms,
                           uint64_t *out_channel);

struct publish {
    uint32_t app;
    const struct event *event;
    int64_t now_ms;
    bool keyed, expects;
    uint8_t key_hash[LOG_KEY_HASH_BYTES];
    uint64_t expect; /* the offset the channel must stand at */
};
struct published {
    uint64_t offset, seq;
    bool repeated; /* offset is the first one's; nothing to deliver */
    bool refused;  /* expect did not hold; offset is where the channel stands */
};
enum store_rc book_publish(struct book *book, const struct publish *publish, struct published *out);

/* Where events go that the writer itself causes. offset 0: live, not stored. */
typedef void book_emit(void *ctx, uint32_t app, const struct event *event, uint64_t offset,
                       uint64_t seq);
/* Publishes an event of the hub's own: durable or live as its namespace says. *channel is its
 * channel's number, 0 when the caller does not know it, and is written when the event is stored. */
enum store_rc book_tell(struct book *book, uint32_t app, const struct event *event,
                        uint64_t *channel, book_emit *emit, void *ctx);

#endif
