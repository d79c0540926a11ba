/* store/replies.h: answers kept for the Idempotency-Key header (rest-contract.md section 1).
 *
 * Rows are in order of time and found through a table in the writer's memory, rebuilt at start: a
 * row keyed by a random hash would dirty a page per request (design.md section 4).
 *
 * Threads  the writer.     Units  milliseconds, bytes.
 * Limits   the window in time and count; the oldest goes first.
 */
#ifndef WAGGLE_STORE_REPLIES_H
#define WAGGLE_STORE_REPLIES_H

#include "store/store.h"

struct replies;

struct replies_options {
    int64_t window_ms;    /* 0: 24 h */
    uint64_t replies_max; /* 0: 1,000,000 */
};

struct reply_row {
    uint8_t key_hash[16];     /* of app, principal, operation and key */
    uint8_t request_hash[16]; /* of the request's parameters: another one with the key is a conflict */
    int64_t time_ms;
    uint16_t status;
    struct slice body; /* borrowed until the next write */
};

enum store_rc replies_open(struct store *store, const struct replies_options *options,
                           struct replies **out);
void replies_close(struct replies *replies);
void replies_begin(struct replies *replies, struct store_txn *txn);
void replies_end(struct replies *replies, bool committed);
enum store_rc replies_find(struct replies *replies, const uint8_t key_hash[16], int64_t now_ms,
                           struct reply_row *out);
enum store_rc replies_add(struct replies *replies, const struct reply_row *row);
/* Drops what is past the window, a bounded number at a time; true while there is more. */
bool replies_tend(struct replies *replies, int64_t now_ms);

#endif
