/* hub/core/writer_parts.h: the writer's own fields, shared by writer.c (a step), writer_commit.c (a
 * batch's transaction), writer_life.c (start, thread, end), writer_events.c (who is told), and
 * writer_shared.c (what others read of it). Included by these only. */
#ifndef WAGGLE_HUB_CORE_WRITER_PARTS_H
#define WAGGLE_HUB_CORE_WRITER_PARTS_H

#include "hub/core/writer.h"
#include "store/hash.h"

enum {
    BATCH_TRAYS_MAX = 1024,
    TIMER_KINDS_MAX = 128,
    TEND_EVERY_MS = 1000,
    RETIRED_MAX = 64,
    RERUNS_MAX = 8
};
/* In command.flags, within the writer: keeps its refusal when the batch runs again. */
enum { COMMAND_FAILED = 0x8000 };

/* What is committed together. */
struct batch {
    struct tray *trays[BATCH_TRAYS_MAX + 2]; /* two of the writer's own */
    unsigned n;
    size_t commands, bytes;
    struct tray *own; /* the last of them, for what is due; NULL: none */
};

struct writer_counters {
    _Atomic uint64_t batches, commands, events, refused, aborted, commit_us, trays_idle, later;
    _Atomic bool full;
    _Atomic uint64_t batch_size[WRITER_BUCKETS], commit_us_bucket[WRITER_BUCKETS];
    _Atomic int64_t lag_ms;
};

/* A command of nobody's that found the store full: given again when there is room. */
struct later {
    const struct command_kind *kind;
    uint32_t app;
    struct buf body;
};

struct retired_namespaces {
    struct namespaces *set;
    uint64_t generation; /* of the set after it */
};

struct writer {
    struct writer_options options;
    struct store *store;
    struct store_reader *reader;
    struct log *log;
    struct book *book;
    struct replies *replies;
    struct interest *interest;
    const struct module *modules[WRITER_MODULES_MAX];
    void *state[WRITER_MODULES_MAX];
    unsigned modules_n;
    const struct command_kind *timer_kinds[TIMER_KINDS_MAX];
    struct writer_port ports[INTEREST_THREADS_MAX];
    struct ring *inbox;
    struct tray_pool pool;

    struct store_txn *txn;
    int64_t heard_ms; /* deadlines go by it when it is less than now_ms */
    int64_t now_ms, timer_due_ms, tend_ms, usage_ms, readers_ms;
    bool full, full_told, more_to_tend, namespaces_dirty;
    int64_t full_ms;   /* was so last */
    bool timers_taken; /* in this batch: when the next is due must be looked up */
    bool changed[CHANGE_COUNT];
    /* The last large batch's commands did: then the next one gains nothing by overlapping. */
    bool needs_trees;
    struct batch batches[2];
    struct batch *batch;                   /* the one that is filled and applied */
    struct batch *on_its_way;              /* applied, its commit not taken yet; NULL: none */
    enum store_rc lost;                    /* what came of that commit, when it was not STORE_OK */
    struct timer_ref spoilers[RERUNS_MAX]; /* timers that this batch must do without */
    unsigned spoilers_n;
    bool deadlines_spoil; /* likewise: this batch runs without the modules' deadlines */
    struct later *later;
    size_t later_n, later_cap;

    bool runs; /* writer_run(): it may sleep */
    _Atomic uint32_t sleeping;
    _Atomic bool stopping;
    _Atomic uint64_t change[CHANGE_COUNT];
    struct writer_counters stats;

    struct namespaces *configured;                 /* without the store's rows */
    _Atomic(struct namespaces *) configured_next;  /* handed in by another thread */
    _Atomic(const struct namespaces *) namespaces; /* in force; owned by the book */
    _Atomic uint64_t namespaces_generation;
    _Atomic uint64_t namespaces_seen[INTEREST_THREADS_MAX];
    struct retired_namespaces retired[RETIRED_MAX];
    unsigned retired_n;
};

void writer_later(struct writer *w, const struct command_kind *kind, uint32_t app,
                  struct slice body);

/* writer_commit.c. A batch is begun and then committed or aborted; HUB_OK: it is on disk, or on its
 * way there and another may be begun. */
enum hub_rc writer_begin(struct writer *w);
enum hub_rc writer_commit(struct writer *w);
void writer_abort(struct writer *w);
/* Waits for what is on its way, if anything is, and lets it out. False: it is lost, and refused by
 * now, or once the batch that was begun after it is aborted. */
bool writer_land(struct writer *w);
/* What was committed, or refused, is announced, and its trays are sent. */
void writer_settle(struct writer *w);
/* Takes back what a run left on the trays, for the next run or for the refusal; keep stays refused.
 */
void writer_unwind(struct batch *batch, struct command *keep);
void writer_refuse(struct batch *batch, enum hub_rc rc);

/* Until it is woken, by a tray or by a commit that is through, or that long. */
void writer_sleep(struct writer *w, int64_t ms);
extern const struct command_kind command_presence_restart; /* a start that found the store full */

/* After the commit: the threads that get the tray, on which the events that somebody wants stay. */
uint64_t writer_wanted(struct writer *w, struct tray *tray);
void writer_namespaces_adopt(struct writer *w);   /* takes a set that was handed in */
void writer_namespaces_rebuild(struct writer *w); /* configured + rows of the store */

#endif
