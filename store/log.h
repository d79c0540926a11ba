/* store/log.h: the log of all channels: one journal in the order of everything, and blocks that
 * gather what a channel has in it (design.md section 4 "The log is a journal", "Blocks").
 *
 * A channel has a number (dense, for good), a name within an app, and a log whose offsets are 1, 2,
 * 3 … without holes. Its newest records stand in the journal and are linked backwards; older ones
 * stand in blocks of consecutive records. The heads live in the writer's memory and are rebuilt at
 * start by one scan of the journal.
 *
 * Owns     heads, the table of idempotency keys; payloads are copied into the store.
 * Threads  log_open, log_begin..log_end and what belongs to a batch: the writer.
 *          Everything that takes a reader or a view: the reader's thread.
 * Units    milliseconds since 1970, bytes, offsets and sequences from 1.
 * Errors   enum store_rc. STORE_DAMAGED names a range and never comes with bytes of it.
 */
#ifndef WAGGLE_STORE_LOG_H
#define WAGGLE_STORE_LOG_H

#include "store/store.h"

struct log;

enum { LOG_NAME_BYTES_MAX = 200, LOG_KEY_HASH_BYTES = 16, LOG_PAYLOAD_BYTES_MAX = 64 << 20 };

/* How much of a channel is kept; 0 is no bound. */
struct log_limits {
    uint64_t events_max;
    uint64_t bytes_max;
    int64_t age_ms_max;
};

struct log_options {
    uint64_t journal_records_min;     /* kept whatever else; 0: 65,536 */
    uint64_t records_per_channel_min; /* per active channel; 0: 10 */
    int64_t key_window_ms;            /* idempotency keys live this long; 0: 2 minutes */
    uint64_t keys_max;                /* … and at most so many; 0: 5,000,000 */
    /* The limits of a channel, asked when its head is loaded and after log_limits_changed(). */
    void (*limits)(void *ctx, uint32_t app, struct slice name, struct log_limits *out);
    void *limits_ctx;
};

/* Scans the journal, checks every checksum in it. Damaged records are left out: the log opens, and
 * out_text (which is empty otherwise, bounded to text_n, may be NULL) says which. No offset that
 * can be told from what is left is given out again. */
enum store_rc log_open(struct store *store, const struct log_options *options, struct log **out_log,
                       char *out_text, size_t text_n);
void log_close(struct log *log); /* NULL is fine */
void log_limits_changed(struct log *log);

/* One batch is one write transaction. log_end(committed: true) publishes what readers may see;
 * false puts the memory back to what it was at log_begin. */
void log_begin(struct log *log, struct store_txn *txn);
void log_end(struct log *log, bool committed);
/* For store_commit_start(): the batch is over, and another may be begun before log_handed_end()
 * says what came of it. With false, that other one has been ended so before. */
void log_handed_over(struct log *log);
void log_handed_end(struct log *log, bool committed);

/* Finds the channel of that name or makes it. STORE_INVALID: the name is empty or too long. */
enum store_rc log_channel_open(struct log *log, uint32_t app, struct slice name, int64_t now_ms,
                               uint64_t *out_channel);

struct log_head {
    uint64_t channel;
    uint64_t first, last; /* offsets in the log now; first == last + 1 when empty */
    uint64_t last_seq;    /* 0: nothing was ever appended */
    uint32_t generation;  /* counts how often the channel was begun anew */
};
/* What the writer sees, the batch under way included. */
enum store_rc log_head(struct log *log, uint64_t channel, struct log_head *out);

enum {
    LOG_KEYED = 1, /* key_hash is set */
    /* The other 15 bits are the caller's and come back with the record. */
    LOG_USER_FLAG = 2
};

struct log_append {
    uint64_t channel;
    int64_t now_ms;
    uint16_t flags;
    uint8_t key_hash[LOG_KEY_HASH_BYTES]; /* of app, channel and key; LOG_KEYED */
    const struct slice *parts;            /* the payload, gathered */
    size_t parts_n;
};
struct log_appended {
    uint64_t offset, seq;
    bool repeated; /* the key was seen in its window: offset is the first one's, nothing was written
                    */
};
enum store_rc log_append(struct log *log, const struct log_append *append,
                         struct log_appended *out);

/* Whether the key was seen in its window, for callers that must know before other checks. */
bool log_key_find(struct log *log, const uint8_t key_hash[LOG_KEY_HASH_BYTES], int64_t now_ms,
                  uint64_t *out_offset);

/* Housekeeping, in steps of bounded cost (about a millisecond): writes due blocks, trims the
 * journal from the front, drops what the limits no longer keep, forgets old keys. Within a batch,
 * so its work is committed with it. Returns true while there is more to do. */
bool log_tend(struct log *log, int64_t now_ms);

/* Empties the channel and begins it anew: generation + 1, offsets from 1. Its idempotency keys stay
 * known for their window. */
enum store_rc log_channel_reset(struct log *log, uint64_t channel, int64_t now_ms);

/* ---- readers ---- */

struct log_record {
    uint64_t channel, offset, seq, prev_seq; /* seq is 0 when read from a block of an old format */
    int64_t time_ms;
    uint16_t flags;
    const uint8_t *key_hash; /* 16 bytes; NULL without LOG_KEYED */
    struct slice payload;    /* borrowed until the snapshot ends */
};

struct log_channel {
    uint64_t channel;
    uint32_t app, generation;
    int64_t created_ms;
    struct slice name; /* borrowed until the snapshot ends */
};

/* Channel by name, or by number; STORE_NOT_FOUND when nobody has made it. */
enum store_rc log_find(struct store_view *view, uint32_t app, struct slice name,
                       struct log_channel *out);
enum store_rc log_channel_get(struct store_view *view, uint64_t channel, struct log_channel *out);
/* The channel with the next higher (reverse: lower) number than `after`; 0 begins at the lowest
 * (highest). STORE_DAMAGED: of its row only out->channel is known, to go on after it. */
enum store_rc log_channel_next(struct store_view *view, uint64_t after, bool reverse,
                               struct log_channel *out);

/* Begins a snapshot on reader (ending the one it held) in which everything that was committed
 * before the call is seen, and says where the channel stands in it. Anything newer than out->last
 * reaches whoever had declared interest before the call (design.md section 3). */
enum store_rc log_snapshot(struct log *log, struct store_reader *reader, uint64_t channel,
                           struct store_view **out_view, struct log_head *out_head);

/* Calls visit for records from `from` on, in order, until it returns false, max records were given
 * or the log ends. Only in the snapshot that log_snapshot() began for this head. *out_next is the
 * offset to go on with (head->last + 1 at the end). STORE_DAMAGED: *out_next is the offset after
 * the damaged range, which began at the offset last asked for or after the last one visited. */
typedef bool log_visit(void *ctx, const struct log_record *record);
enum store_rc log_read(struct store_view *view, const struct log_head *head, uint64_t from,
                       size_t records_max, log_visit *visit, void *ctx, uint64_t *out_next);
/* One record; STORE_NOT_FOUND outside head->first..head->last. */
enum store_rc log_get(struct store_view *view, const struct log_head *head, uint64_t offset,
                      struct log_record *out);

/* The order of everything, for pattern subscriptions and audits: records from sequence `from` on,
 * those of generations before a reset included. *out_next is the sequence to go on with, with
 * STORE_DAMAGED the one after what cannot be read. *out_first is `from`, or where the journal
 * begins when that is later. With records_max 0 nothing is visited and only *out_first is of use.
 */
enum store_rc log_read_journal(struct store_view *view, uint64_t from, size_t records_max,
                               log_visit *visit, void *ctx, uint64_t *out_first,
                               uint64_t *out_next);
/* Calls visit for each copy of a record that is stored: in the journal, in a block. *out_kept: the
 * limits still keep it, so STORE_NOT_FOUND is a fault and not its age. */
enum store_rc log_copies(struct store_view *view, uint64_t channel, uint64_t offset, uint64_t seq,
                         log_visit *visit, void *ctx, bool *out_kept);
/* Newest committed sequence, from any thread. */
uint64_t log_newest_seq(const struct log *log);

struct log_stats { /* any thread; each figure is exact, together they may be of different moments */
    uint64_t journal_records, journal_bytes, journal_first_seq, journal_last_seq;
    uint64_t blocks_written, blocks_dropped, records_trimmed;
    uint64_t keys, keys_repeated;
    uint64_t channels, channels_active;
    uint64_t scan_ms; /* of the start */
};
void log_stats(const struct log *log, struct log_stats *out);

/* Reads everything and calls report for each fault (channel 0: the journal itself). Returns
 * STORE_OK when there was none. */
typedef void log_report(void *ctx, uint64_t channel, uint64_t first, uint64_t last,
                        const char *what);
struct log_audit {
    uint64_t channels, records, blocks, bytes, faults;
};
enum store_rc log_verify(struct store *store, log_report *report, void *ctx,
                         struct log_audit *out_audit);

#endif
