/* hub/core/writer.h: the one thread that makes every decision that must last (design.md section 1).
 *
 * It takes all trays that wait, opens one transaction, applies each command in order, appends the
 * events they cause to the log in the same transaction, commits (one fsync for the batch), and only
 * then lets answers and events out.
 *
 * Owns     log, book, replies and the modules' state; its own pool of trays for what timers cause.
 * Threads  writer_push: any. writer_step: the writer alone. writer_run: is the writer.
 * Units    milliseconds; writer_clock's microseconds in the statistics.
 * Limits   a batch ends at WRITER_COMMANDS_MAX commands or WRITER_BYTES_MAX bytes.
 */
#ifndef WAGGLE_HUB_CORE_WRITER_H
#define WAGGLE_HUB_CORE_WRITER_H

#include "channels/interest.h"
#include "channels/presence.h"
#include "hub/core/apply.h"
#include "hub/core/why.h"
#include "store/replies.h"

enum {
    WRITER_COMMANDS_MAX = 4000,
    WRITER_BYTES_MAX = 8 << 20,
    WRITER_POOL_TRAYS = 64,
    WRITER_MODULES_MAX = 16
};

struct writer;

/* One I/O thread, as the writer sees it. */
struct writer_port {
    struct ring *inbox;      /* trays for the thread: answers and events */
    struct ring *home;       /* its pool's home ring */
    void (*wake)(void *ctx); /* its loop has something in the inbox or at home */
    void *wake_ctx;
    /* What had come to the thread by then is in the writer's inbox; NULL: all that ever comes. */
    const _Atomic int64_t *heard_ms;
};

struct writer_options {
    struct store *store;
    struct interest *interest;
    struct log_options log; /* limits are set by the writer */
    struct replies_options replies;
    struct namespaces
        *namespaces;    /* configuration's set, taken; rows of the store are laid over it */
    uint64_t hash_seed; /* of channel hashes in trays */
    unsigned ports_n;
    size_t inbox_trays;     /* all pools together */
    unsigned hand_over_min; /* commands, from which a batch is the committer's; 0: 256 */
    const struct module *const *modules;
    const void *const *module_options;
    unsigned modules_n;
    int64_t restart_grace_ms; /* presence: at least so long after a start */
    int64_t now_ms;
    /* Called on the writer when durability is lost (EIO): the process must end. */
    void (*panic)(void *ctx, const char *what);
    /* One line for the log: level 'E', 'W' or 'I'. */
    void (*note)(void *ctx, char level, const char *what);
    void *ctx;
};

/* Loads everything and commits the restart (presence graces, modules). */
enum hub_rc writer_new(const struct writer_options *options, struct writer **out, char *out_text,
                       size_t text_n);
void writer_free(struct writer *writer); /* NULL is fine */
void writer_port_set(struct writer *writer, unsigned thread, const struct writer_port *port);

/* Hands a filled tray over. Wakes the writer when it sleeps. */
void writer_push(struct writer *writer, struct tray *tray);
/* One batch at that time; false when there was nothing to do. *out_next: when a timer is due next.
 */
bool writer_step(struct writer *writer, int64_t now_ms, int64_t *out_next);
/* Steps until writer_stop(), asleep while there is nothing; the clock gives milliseconds. */
void writer_run(struct writer *writer, int64_t (*clock_ms)(void *ctx), void *ctx);
void writer_flush(
    struct writer *writer); /* the writer: lets out what is still on its way to disk */
void writer_stop(
    struct writer *writer); /* any thread: finish what waits, then return from writer_run */
/* The writer, at a clean end, once: the next step stores what the modules would lose with their
 * memory. */
void writer_part(struct writer *writer);
/* Bytes wake the sleeping writer; for those who changed something it looks at. */
void writer_wake(struct writer *writer);

/* Where trays of that origin go back to: to a port's thread, else to the writer. */
struct ring *writer_home(struct writer *writer, unsigned origin);
struct log *writer_log(struct writer *writer);
struct book *writer_book(struct writer *writer);
void *writer_module(struct writer *writer, unsigned module);

/* The set of namespaces in force, for I/O threads: the pointer stays good until the thread has said
 * writer_namespaces_seen() with a later generation. */
const struct namespaces *writer_namespaces(struct writer *writer, uint64_t *out_generation);
void writer_namespaces_seen(struct writer *writer, unsigned thread, uint64_t generation);
/* Any thread: another set of the configuration (SIGHUP), taken; the store's rows are laid over it.
 */
void writer_namespaces_configure(struct writer *writer, struct namespaces *set);
/* Writer only, inside a batch: the rows of TABLE_NAMESPACE over the configuration's set changed;
 * the set in force is built anew when the batch is committed. */
void writer_namespaces_dirty(struct writer *writer);

/* Counters others watch: each is added to by the writer and read by anybody. */
enum writer_change { CHANGE_AUTH, CHANGE_APPS, CHANGE_COUNT };
void writer_changed(struct writer *writer, enum writer_change what); /* published with the commit */
uint64_t writer_change_count(const struct writer *writer, enum writer_change what);

enum { WRITER_BUCKETS = 16 };
struct writer_stats {
    uint64_t batches, commands, events, refused, aborted;
    uint64_t batch_size[WRITER_BUCKETS];       /* bucket i: up to 2^i commands */
    uint64_t commit_us_bucket[WRITER_BUCKETS]; /* bucket i: up to 64 * 2^i microseconds */
    uint64_t commit_us;
    uint64_t commands_sum;
    uint64_t trays_idle;
    bool full;      /* ordinary commands are refused for want of room */
    uint64_t later; /* commands kept until there is room */
    int64_t lag_ms; /* how late the last due timer ran */
};
void writer_stats(const struct writer *writer, struct writer_stats *out);

extern const struct command_kind command_publish;  /* frames from I/O threads; no body */
extern const struct command_kind command_presence; /* body: presence_body */
/* Replies with its body: for what is decided elsewhere, and remembered here under its key. */
extern const struct command_kind command_remember;
extern const struct command_kind command_namespace; /* body: namespace_body; told on `channels` */
extern const struct command_kind command_presence_expire; /* of a timer; body: presence_expire() */

enum presence_change { PRESENCE_JOIN, PRESENCE_UPDATE, PRESENCE_LEAVE };
/* Bodies are written where the command enters and read by its apply function. */
void presence_body_put(struct buf *b, enum presence_change change,
                       const struct presence_member *member);
/* options NULL: back to what the configuration says. */
void namespace_body_put(struct buf *b, const struct why *why, struct slice ns,
                        const struct namespace_options *options);

#endif
