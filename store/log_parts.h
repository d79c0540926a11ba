/* store/log_parts.h: what the files of the log share. Only log*.c, journal.c, block.c, heads.c and
 * keys.c include it.
 *
 * Threads  as log.h says: what takes a struct log belongs to the writer, except the atomics; what
 *          takes a view only, to whoever holds the view.
 */
#ifndef WAGGLE_STORE_LOG_PARTS_H
#define WAGGLE_STORE_LOG_PARTS_H

#include <stdatomic.h>

#include "store/log.h"
#include "store/mem.h"

/* ---- journal.c: one record of the journal ---- */

enum { JOURNAL_KEY_BYTES = 8 };

struct slice journal_key(uint8_t key[JOURNAL_KEY_BYTES], uint64_t seq);
uint64_t journal_seq(struct slice key); /* 0: not a key of the journal */
size_t journal_bytes(uint16_t flags, size_t payload_n);
/* Fills in a value of journal_bytes(): record's payload is gathered from the parts. */
void journal_write(uint8_t *value, const struct log_record *record, const struct slice *parts,
                   size_t parts_n);
/* Only the fields, believed by nobody yet; false: too short for them. */
bool journal_peek(uint64_t seq, struct slice value, struct log_record *out);
/* The same with the checksum. */
bool journal_read(uint64_t seq, struct slice value, struct log_record *out);

/* ---- recent.c: the newest records of the journal in memory ---- */

struct recent;
struct recent *recent_new(void);
void recent_free(struct recent *recent);
/* A sequence that is given out again after an aborted batch takes the place of the one before. */
void recent_add(struct recent *recent, uint64_t seq, struct slice value);
/* Borrowed until the next recent_add(); false: no longer, or never, here. */
bool recent_get(const struct recent *recent, uint64_t seq, struct slice *out_value);

/* ---- log_channel.c: the row of a channel ---- */

struct channel_row {
    uint32_t app, generation;
    int64_t created_ms;
    uint64_t reset_seq;   /* records of the journal up to it are of an earlier generation */
    uint64_t first;       /* oldest offset kept */
    uint64_t block_last;  /* newest offset in blocks; first - 1 or more */
    uint64_t block_seq;   /* its sequence; 0: none */
    uint64_t block_bytes; /* payloads in blocks */
    struct slice name;    /* borrowed from the view */
};

enum store_rc channel_row_get(struct store_view *view, uint64_t channel, struct channel_row *out);
bool channel_row_read(uint64_t channel, struct slice value, struct channel_row *out);
enum store_rc channel_row_put(struct log *log, uint64_t channel, const struct channel_row *row);
struct slice channel_key(uint8_t key[8], uint64_t channel);
uint64_t channel_of_key(struct slice key); /* 0: not a key of that table */
/* The seed of the names' hashes; it is made with the store and stays when its epoch is renewed. */
enum store_rc channel_seed(struct store_view *view, uint64_t *out_seed);
enum store_rc channel_seed_make(struct store *store);

/* ---- block.c: consecutive records of a channel in one row ---- */

enum {
    BLOCK_KEY_BYTES = 16,
    BLOCK_BYTES_MAX = 8150, /* two overflow pages */
    BLOCK_HEADER_BYTES = 40,
    BLOCK_RECORD_BYTES_MIN = 22,
    BLOCK_LONE_PAYLOAD = 2048, /* a longer payload has a block of its own */
    BLOCK_RECORDS_MAX = (BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES) / BLOCK_RECORD_BYTES_MIN,
};

struct block {
    uint64_t channel, first, last;
    uint64_t prev_seq; /* sequence of the record before the first one */
    uint64_t payload_bytes;
    int64_t newest_ms;
    struct slice records;
};

struct slice block_key(uint8_t key[BLOCK_KEY_BYTES], uint64_t channel, uint64_t first);
/* What the key says; false: not a key of a block. */
bool block_key_read(struct slice key, uint64_t *out_channel, uint64_t *out_first);
size_t block_record_bytes(uint16_t flags, size_t payload_n);
/* A block is gathered: begin, add in order, end. */
void block_begin(struct buf *out, uint64_t prev_seq);
void block_add(struct buf *out, const struct log_record *record);
void block_end(struct buf *out, uint64_t channel, uint64_t first);
bool block_read(struct slice key, struct slice value, struct block *out);
/* Takes the next record off block->records and first; false: the block is not what it says. */
bool block_next(struct block *block, struct log_record *out);

/* ---- keys.c: idempotency keys ---- */

struct keys;
struct keys *keys_new(uint64_t seed, int64_t window_ms, uint64_t keys_max);
void keys_free(struct keys *keys);
/* now_ms may be KEYS_NO_TIME: then none is too old. */
#define KEYS_NO_TIME INT64_MIN
bool keys_find(const struct keys *keys, const uint8_t hash[LOG_KEY_HASH_BYTES], int64_t now_ms,
               uint64_t *out_offset, uint64_t *out_seq);
void keys_add(struct keys *keys, const uint8_t hash[LOG_KEY_HASH_BYTES], int64_t time_ms,
              uint64_t offset, uint64_t seq);
/* The same at start, in one go and without a clock: nothing is found before keys_loaded(). */
void keys_load(struct keys *keys, const uint8_t hash[LOG_KEY_HASH_BYTES], int64_t time_ms,
               uint64_t offset, uint64_t seq);
void keys_loaded(struct keys *keys);
uint64_t keys_count(const struct keys *keys);
uint64_t keys_oldest_seq(const struct keys *keys); /* UINT64_MAX: none */
void keys_drop_newest(struct keys *keys, uint64_t count);
/* Forgets what is over, oldest first, at most count_max; true: more is. */
bool keys_expire(struct keys *keys, int64_t now_ms, uint64_t count_max);

/* ---- heads.c: where each channel stands ---- */

struct head {
    uint64_t last_seq; /* newest record; 0: none */
    uint64_t first, last;
    uint64_t block_last, block_seq, block_bytes; /* as in struct channel_row */
    uint64_t reset_seq;
    /* The oldest block, once looked at; oldest_last 0: not known. */
    uint64_t oldest_last, oldest_bytes;
    int64_t oldest_ms;
    uint64_t tail_payload; /* bytes of payload not in blocks */
    struct log_limits limits;
    uint64_t batch;     /* the last one that changed it */
    uint64_t due_batch; /* the last one that put it down for log_tend() */
    uint32_t limits_epoch;
    uint32_t journal_records;
    uint32_t tail_bytes; /* that the records not in blocks will take in one */
    uint32_t app, generation;
    bool loaded;
    bool lone;         /* the one record not in a block has a long payload */
    bool oldest_alone; /* the oldest block is the row at `first` and no other */
};

struct head_undo {
    uint64_t channel;
    uint64_t newest; /* its last_seq when the batch was over */
    struct head before;
};

struct heads_changed { /* of a batch */
    struct head_undo *heads;
    size_t n, cap;
};

enum {
    HEADS_CHUNK = 1024,
    NEWEST_CHUNK = 4096,
    CHANNELS_MAX = 1 << 28,
};

struct newest { /* sequence by channel */
    _Atomic uint64_t seq[NEWEST_CHUNK];
};

struct newest_place {
    _Atomic(struct newest *) chunk;
};

struct heads {
    struct head **chunks;
    struct newest_place *newest;
    uint64_t top; /* no chunk of either is for channels in chunks after its */
};

void heads_init(struct heads *heads);
void heads_done(struct heads *heads);
/* The head of a channel, loaded from its row when need be; not to be changed. */
enum store_rc head_get(struct log *log, uint64_t channel, struct head **out);
/* The same; may be changed until the batch ends. */
enum store_rc head_change(struct log *log, uint64_t channel, struct head **out);
/* Its place, loaded or not, for the scan. */
struct head *head_place(struct log *log, uint64_t channel);
void head_from_row(struct head *head, const struct channel_row *row);
void heads_over(struct log *log, struct heads_changed *changed);    /* the batch is over */
void heads_publish(struct log *log, struct heads_changed *changed); /* and committed */
void heads_undo(struct log *log, struct heads_changed *changed);
void head_publish(struct log *log, uint64_t channel, uint64_t seq);
uint64_t head_newest(const struct log *log, uint64_t channel); /* any thread */

/* ---- log_read.c ---- */

/* The records first..last of a channel as they stand in the journal, found through their links, in
 * recent when they are there (NULL: nowhere). */
struct tail_record {
    uint64_t seq; /* 0: lost */
    struct slice value;
};
enum store_rc tail_walk(struct store_view *view, uint64_t channel, uint64_t first, uint64_t last,
                        uint64_t last_seq, const struct recent *recent, struct tail_record *out);

/* ---- log_blocks.c: the writer's side of blocks ---- */

/* Puts what is not in blocks yet into one. When the limits may not keep the oldest any more, the
 * channel is put down for log_tend(): it takes a look at the trees. */
enum store_rc tail_to_block(struct log *log, uint64_t channel);
/* Of the channels put down in this batch. */
void retain_due(struct log *log, int64_t now_ms);
/* Drops the oldest blocks that the limits no longer keep, at most blocks_max. */
enum store_rc retain(struct log *log, uint64_t channel, int64_t now_ms, unsigned blocks_max,
                     bool *out_more);
/* Newest time in the channel's oldest block from offset `first` on; INT64_MAX when there is none.
 */
int64_t oldest_block_ms(struct log *log, uint64_t channel, uint64_t first);

/* ---- log.c ---- */

struct totals {
    uint64_t next_seq, next_channel;
    uint64_t journal_records, journal_bytes, journal_first_seq;
    uint64_t blocks_written, blocks_dropped, records_trimmed;
    uint64_t keys_repeated, channels_active;
};

struct log_figures { /* of log_stats(), for other threads */
    atomic_uint_fast64_t journal_records, journal_bytes, journal_first_seq, journal_last_seq;
    atomic_uint_fast64_t blocks_written, blocks_dropped, records_trimmed;
    atomic_uint_fast64_t keys, keys_repeated, channels, channels_active;
};

/* A batch: what it changed in memory, to be published or taken back. */
struct log_batch {
    struct heads_changed heads;
    struct totals before, after;
    uint64_t keys_added;
    int64_t tend_ms; /* of log_tend() in it, or KEYS_NO_TIME */
};

struct log {
    struct store *store;
    struct log_options options;
    uint64_t seed;         /* channel_seed() */
    struct store_txn *txn; /* NULL between batches */
    uint64_t batch;
    struct totals totals;
    struct log_batch now, on_its_way; /* on_its_way: log_handed_over(), and not ended yet */
    bool handed_over;
    uint64_t *due; /* channels put down for log_tend() in this batch */
    size_t due_n, due_cap;
    struct heads heads;
    struct keys *keys;
    struct recent *recent;
    uint32_t limits_epoch;
    uint64_t sweep_after; /* channel up to which the sweep has come; 0: none under way */
    int64_t sweep_next_ms;
    uint64_t scan_ms;
    struct buf scratch;
    struct log_figures figures;
};

void log_publish_figures(struct log *log, const struct totals *totals);

#endif
