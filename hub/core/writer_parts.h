/* hub/core/writer_parts.h: the writer's own fields, shared by writer.c (a step), writer_life.c
 * (start, thread, end), and writer_shared.c (what others read of it). Included by these only. */
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
    int64_t heard_ms; /* deadlines go by it */
    int64_t now_ms, timer_due_ms, tend_ms, usage_ms, readers_ms;
    bool full, more_to_tend, namespaces_dirty;
    bool changed[CHANGE_COUNT];
    struct tray *batch[BATCH_TRAYS_MAX + 2]; /* two of the writer's own */
    unsigned batch_n;
    struct timer_ref spoilers[RERUNS_MAX]; /* timers that this batch must do without */
    unsigned spoilers_n;
    bool deadlines_spoil; /* likewise: this batch runs without the modules' deadlines */
    struct later *later;
    size_t later_n, later_cap;

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
extern const struct command_kind command_presence_restart; /* a start that found the store full */

/* After the commit: the threads that get the tray, on which the events that somebody wants stay. */
uint64_t writer_wanted(struct writer *w, struct tray *tray);
void writer_namespaces_adopt(struct writer *w);   /* takes a set that was handed in */
void writer_namespaces_rebuild(struct writer *w); /* configured + rows of the store */

#endif
