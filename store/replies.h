/* store/replies.h: answers kept for the Idempotency-Key header (rest-contract.md section 1).
 *
 * Rows are in order of time and found through a table in the writer's memory, rebuilt at start: a
 * row keyed by a random hash would dirty a page per request (design.md section 4).
 *
 * Threads  the writer.     Units  milliseconds, bytes.
 * Limits   the window in time and count; the oldest goes first. The caller bounds the bodies.
 * Errors   enum store_rc. A row whose checksum does not fit is never given out: STORE_DAMAGED, and
 *          after the next start its key counts as unknown.
 */
#ifndef WAGGLE_STORE_REPLIES_H
#define WAGGLE_STORE_REPLIES_H

#include "store/store.h"

struct replies;

struct replies_options {
    int64_t window_ms;    /* 0: 24 h */
    uint64_t replies_max; /* 0: 1,000,000; a row takes 16 to 43 bytes of memory */
};

struct reply_row {
    uint8_t key_hash[16];     /* of app, principal, operation and key */
    uint8_t request_hash[16]; /* of the parameters: others with the same key are a conflict */
    int64_t time_ms;
    uint16_t status;
    struct slice body; /* borrowed until the next write */
};

/* Reads every row; not within a write transaction, of which it makes one for itself. */
enum store_rc replies_open(struct store *store, const struct replies_options *options,
                           struct replies **out);
void replies_close(struct replies *replies); /* NULL is fine */

/* One batch is one write transaction. replies_end(committed: false) puts the memory back to what it
 * was at replies_begin. What follows is allowed within a batch only. */
void replies_begin(struct replies *replies, struct store_txn *txn);
void replies_end(struct replies *replies, bool committed);
/* For store_commit_start(): the batch is over, and another may be begun before replies_handed_end()
 * says what came of it. With false, that other one has been ended so before. */
void replies_handed_over(struct replies *replies);
void replies_handed_end(struct replies *replies, bool committed);

/* STORE_NOT_FOUND: never seen, or not within the window any more. */
enum store_rc replies_find(struct replies *replies, const uint8_t key_hash[16], int64_t now_ms,
                           struct reply_row *out);
/* STORE_EXISTS when replies_find() at row->time_ms finds the key. */
enum store_rc replies_add(struct replies *replies, const struct reply_row *row);
/* Drops what is past the window, at most 1,000 rows at a time; true while there is more. A failure
 * shows at the commit. */
bool replies_tend(struct replies *replies, int64_t now_ms);

struct replies_stats {
    uint64_t rows;
    uint64_t dropped; /* since the start */
    uint64_t damaged; /* found by replies_open() */
};
void replies_stats(const struct replies *replies, struct replies_stats *out);

#endif
