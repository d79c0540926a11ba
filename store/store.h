/* store/store.h: the hub's one file of state: an LMDB environment with typed tables.
 *
 * One writer, any number of readers that never wait (design.md section 1). A view is what a
 * transaction sees: the write transaction (struct store_txn gives one) or a reader's snapshot.
 *
 * Owns     the environment and the data directory, which it locks against a second hub.
 * Threads  store_begin..store_commit: the writer only. A reader belongs to one thread; different
 *          readers work at once. store_usage, store_backup: any thread.
 * Borrowed what store_get and cursors return points into the map until the view ends; in the write
 *          transaction's view until the next write, too.
 * Errors   enum store_rc; nothing here logs. store_error_text() says what the library said. Once a
 *          call on the write transaction met a failure of the library (STORE_FULL, STORE_IO,
 *          STORE_DAMAGED), every further one says the same and so does store_commit(), which then
 *          changes nothing. A row whose checksum does not fit is STORE_DAMAGED too, never comes
 *          with its bytes, and leaves the transaction as it was.
 * Rules    dependencies.md "LMDB 0.9.24".
 */
#ifndef WAGGLE_STORE_STORE_H
#define WAGGLE_STORE_STORE_H

#include "store/bytes.h"

enum store_rc {
    STORE_OK = 0,
    STORE_NOT_FOUND,
    STORE_EXISTS,    /* a put that must not overwrite found the key */
    STORE_FULL,      /* quota, map or disk: nothing was changed, reads go on */
    STORE_DAMAGED,   /* a checksum or an invariant does not hold */
    STORE_IO,        /* EIO and its like: after a commit said so, end the process */
    STORE_LOCKED,    /* another hub holds this data directory */
    STORE_VERSION,   /* written by a program of another format */
    STORE_NO_READER, /* all reader slots are taken */
    STORE_INVALID,   /* path not usable, bad argument */
};

const char *store_rc_name(enum store_rc rc); /* "ok", "not found", … */

/* Every table of the house, in one place; a row's layout stands in the module named. */
enum store_table {
    TABLE_META,          /* store.c: format, epoch, counters */
    TABLE_JOURNAL,       /* log.c: sequence -> record */
    TABLE_BLOCK,         /* log.c: channel, first offset -> records */
    TABLE_CHANNEL,       /* log.c: channel id -> head, name */
    TABLE_CHANNEL_NAME,  /* log.c: end and hash of app and name -> channel id */
    TABLE_TIMER,         /* timers.h: due time, id -> what to do */
    TABLE_REPLY,         /* replies.h: order -> answer to an idempotent request */
    TABLE_APP,           /* auth: tenants */
    TABLE_API_KEY,       /* auth: hash -> key */
    TABLE_REVOCATION,    /* auth: what is revoked -> until when */
    TABLE_NAMESPACE,     /* channels: app, namespace -> options set at run time */
    TABLE_MEMBER,        /* channels: channel, member -> info, connections */
    TABLE_AGENT,         /* hub/agents: app, agent id -> agent */
    TABLE_AGENT_INDEX,   /* hub/agents: by type, service, capability */
    TABLE_TASK,          /* hub/tasks: number -> task */
    TABLE_TASK_BODY,     /* hub/tasks: number, kind -> what was submitted, what came out */
    TABLE_TASK_INDEX,    /* hub/tasks: by app, owner, status, group, id; an app's totals */
    TABLE_WORK,          /* hub/swarms: number -> piece of work that several do */
    TABLE_WORK_PART,     /* hub/swarms: work, part -> its part */
    TABLE_WORK_DOCUMENT, /* hub/swarms: work, kind -> members, input, outcome */
    TABLE_WORK_INDEX,    /* hub/swarms: by id, team, agent */
    TABLE_WORK_TEAM,     /* hub/swarms: network or swarm -> figures of its works */
    TABLE_SWARM,         /* hub/swarms: number -> swarm */
    TABLE_SWARM_MEMBER,  /* hub/swarms: number -> member */
    TABLE_SWARM_INDEX,   /* hub/swarms: swarms and members by id, owner, agent */
    TABLE_NETWORK,       /* hub/networks: number -> network */
    TABLE_NETWORK_INDEX, /* hub/networks: by id */
    TABLE_BALANCE,       /* hub/tasks: app -> strategy in force */
    TABLE_ROUND,         /* hub/consensus: number, part -> round */
    TABLE_ROUND_BALLOT,  /* hub/consensus: round, seat, version -> ballot */
    TABLE_ROUND_INDEX,   /* hub/consensus: app, id -> number */
    TABLE_AUDIT,         /* hub/audit: newest sequence -> seal of the audit trail */
    TABLE_MESSAGE,       /* hub/messages: number -> message */
    TABLE_DELIVERY,      /* hub/messages: number, ordinal -> tally, recipient */
    TABLE_MAIL_INDEX,    /* hub/messages: by id and recipient; lists; what is open */
    TABLE_LINK,          /* hub/messages: peers, masters and subordinates */
    TABLE_CURSOR,        /* hub/core/cursor_commands.c: number -> position, what is in flight */
    TABLE_QUEUE,         /* hub/tasks: app -> priorities that are paused */
    TABLE_COUNT
};

struct store;
struct store_txn;
struct store_view;
struct store_reader;

struct store_options {
    const char *path;        /* data directory; made with mode 0700 when missing */
    size_t map_bytes;        /* address space; 0: 64 GiB */
    size_t quota_bytes;      /* store_is_full() past it; 0, or too near the map's end: the map less
                                a sixteenth, which stays for trimming and deleting */
    unsigned readers_max;    /* 0: 126; use four times the threads */
    uint8_t fresh_epoch[16]; /* random bytes from the caller, kept when this call makes the store */
    bool read_only; /* of a backup, or beside a running hub: nothing is made, changed or locked; all
                       tables must be there */
};

/* Opens or creates; checks the format, every page of LMDB's trees and every small row with a
 * checksum (seal.c); clears stale readers; makes a new file durable (file, directory and parent are
 * synced). out_store is written on STORE_OK only; out_text, when not NULL,
 * gets a sentence naming the path and the cause on any other result (bounded to text_n). */
enum store_rc store_open(const struct store_options *options, struct store **out_store,
                         char *out_text, size_t text_n);
void store_close(struct store *store); /* NULL is fine; every view must have ended */

/* 16 bytes that name this life of the log: minted when the store is made, anew when it is restored.
 * Channel epochs (native-protocol.md section 5) are its first 8 bytes in hex. */
const uint8_t *store_epoch(const struct store *store);
/* Gives the log a new life after a restore; before any other thread uses the store. */
enum store_rc store_renew_epoch(struct store *store, const uint8_t epoch[16], int64_t now_ms);
/* When that was last done; 0: never. What was promised before was promised in another life. */
int64_t store_renewed_ms(struct store_view *view);

/* What the library said to the last call that came out as STORE_FULL, STORE_IO, STORE_DAMAGED or
 * STORE_INVALID; any thread. */
const char *store_error_text(const struct store *store);

/* The write transaction: one at a time. After a commit said STORE_IO no other can be begun: what
 * the disk holds is known again only to the next process. */
enum store_rc store_begin(struct store *store, struct store_txn **out_txn);
enum store_rc store_commit(struct store_txn *txn); /* ends txn whatever it returns */
void store_abort(struct store_txn *txn);           /* NULL is fine */
struct store_view *store_txn_view(struct store_txn *txn);

/* Commits on a thread of their own, so that the next transaction is filled meanwhile. It sees what
 * the one before it wrote; when that one's commit fails it fails with the same code, and has to be
 * aborted.
 *
 * store_committer_run() is the thread, until store_committer_stop(), which the writer calls when
 * nothing is on its way; on_through is called there after each commit that was started. */
void store_committer_new(struct store *store, void (*on_through)(void *ctx), void *ctx);
void store_committer_run(struct store *store);
void store_committer_stop(struct store *store);
/* For simulations: no thread, and a commit is through when it is waited for, or after
 * store_commit_is_through() was asked so often. */
void store_committer_lazy(struct store *store, unsigned (*asked_for)(void *ctx), void *ctx);
/* The committer is to do it, and store_commit_start() may be used, if there is one and nothing has
 * needed the trees yet. */
void store_hand_over(struct store_txn *txn);
bool store_is_handed_over(const struct store_txn *txn);
bool store_has_trees(const struct store_txn *txn); /* something has needed them by now */
/* Begins the commit; txn is over. STORE_OK: store_commit_take() gives what came of it and has to be
 * called before another is started. Else there was none. */
enum store_rc store_commit_start(struct store_txn *txn);
bool store_commit_is_through(struct store *store); /* one was started, and would not block */
enum store_rc store_commit_take(struct store *store,
                                uint64_t *out_us); /* waits; how long it took */

/* A reader keeps one LMDB slot; a snapshot is begun, used within one tick and released. Beginning
 * again on a reader that holds a snapshot renews it. */
enum store_rc store_reader_new(struct store *store, struct store_reader **out_reader);
void store_reader_free(struct store_reader *reader); /* NULL is fine */
enum store_rc store_snapshot(struct store_reader *reader, struct store_view **out_view);
void store_release(struct store_reader *reader);

/* Rows. Keys are 1..511 bytes. A row of TABLE_JOURNAL or TABLE_BLOCK is written once in a
 * transaction (pages.c). */
enum store_rc store_get(struct store_view *view, enum store_table table, struct slice key,
                        struct slice *out_value);
enum store_rc store_put(struct store_txn *txn, enum store_table table, struct slice key,
                        struct slice value);
/* The same for a key that the table has never had, as one with a number that was just given out: no
 * trace of it is looked for when it goes again. */
enum store_rc store_put_new(struct store_txn *txn, enum store_table table, struct slice key,
                            struct slice value);
enum store_rc store_insert(struct store_txn *txn, enum store_table table, struct slice key,
                           struct slice value); /* STORE_EXISTS when the key is there */
/* Room for value_n bytes to be filled in before the next call on txn. append: the key is known to
 * be past every other of the table. */
enum store_rc store_put_reserve(struct store_txn *txn, enum store_table table, struct slice key,
                                size_t value_n, bool append, uint8_t **out_value);
enum store_rc store_del(struct store_txn *txn, enum store_table table, struct slice key);
/* Without looking whether the row is there, which costs more than the rest: no fault if it is not.
 */
enum store_rc store_del_blind(struct store_txn *txn, enum store_table table, struct slice key);
uint64_t store_count(struct store_view *view, enum store_table table);

/* A cursor lives within its view and is closed before it ends. Seek finds the first key >= key
 * (NULL p: the first of all). A fresh cursor's next is the first row, its prev the last. Outputs
 * may be NULL. With STORE_DAMAGED it stands on the damaged row, whose key is given. After
 * STORE_NOT_FOUND, or a write to the table by other means, seek again. */
struct store_cursor;
enum store_rc store_cursor_open(struct store_view *view, enum store_table table,
                                struct store_cursor **out_cursor);
void store_cursor_close(struct store_cursor *cursor); /* NULL is fine */
enum store_rc store_cursor_seek(struct store_cursor *cursor, struct slice key,
                                struct slice *out_key, struct slice *out_value);
enum store_rc store_cursor_last(struct store_cursor *cursor, struct slice *out_key,
                                struct slice *out_value);
/* The greatest key of a table that is keyed by a number of 4 or 8 bytes; 0: it is empty. */
enum store_rc store_last_number(struct store_view *view, enum store_table table, uint64_t *out);
enum store_rc store_cursor_next(struct store_cursor *cursor, struct slice *out_key,
                                struct slice *out_value);
enum store_rc store_cursor_prev(struct store_cursor *cursor, struct slice *out_key,
                                struct slice *out_value);
/* Deletes the row it stands on (write view): next then gives the row after it, prev the one before.
 * STORE_NOT_FOUND when it stands on none. */
enum store_rc store_cursor_del(struct store_cursor *cursor);

struct store_usage {
    uint64_t bytes_used;   /* pages in use: file less free pages */
    uint64_t bytes_pinned; /* free pages that live readers keep from being used again */
    uint64_t bytes_file;   /* high-water mark of the data file */
    uint64_t bytes_quota;
    uint64_t txn_last;             /* newest committed transaction */
    uint64_t reader_lag_txns;      /* how far the oldest live reader is behind */
    unsigned readers, readers_max; /* slots taken, the house's own included; for store_reader_new */
};
/* Counts the free pages: about a millisecond, so once a second at most. */
enum store_rc store_usage(struct store *store, struct store_usage *out);
/* True while whoever begins ordinary writes must refuse them: used and pinned bytes had reached the
 * quota at the last store_usage(), the file grew past it since, or a write met the end of the map
 * or a full disk. A later store_usage() that finds room ends it. The store itself refuses nothing
 * before the map's end, so deleting and trimming go on. */
bool store_is_full(const struct store *store);
/* Frees slots of readers whose process is gone (at start and every minute). */
unsigned store_clear_stale_readers(struct store *store);

/* Hot backup (a long reader): compacted copy of the environment into the new folder `path`, synced
 * and renamed into place; it keeps the epoch. STORE_EXISTS when the folder is there, STORE_LOCKED
 * while another backup runs. Makes and clears `<path>.part`. */
enum store_rc store_backup(struct store *store, const char *path, char *out_text, size_t text_n);

/* Reads every row and calls report for each that is damaged; the log's own records are
 * log_verify's. STORE_OK when there was none. */
typedef void store_report(void *ctx, const char *table, struct slice key, const char *what);
enum store_rc store_verify(struct store *store, store_report *report, void *ctx);

#endif
