/* hub/core/apply.h: how the domain decides: apply(command) -> reply, events; and nothing else.
 *
 * Deciding is pure: an apply function reads no clock, no randomness, no socket and no configuration
 * outside its transaction; time and seed come with the command (design.md section 1). It checks
 * first and writes after: a refusal leaves no trace.
 *
 * Threads  apply functions run on the writer, one after another.
 */
#ifndef WAGGLE_HUB_CORE_APPLY_H
#define WAGGLE_HUB_CORE_APPLY_H

#include "channels/book.h"
#include "hub/core/tray.h"
#include "store/timers.h"

struct apply {
    struct store_txn *txn;
    struct store_view *view;
    struct book *book;
    void *state;         /* of the module whose command it is; see struct module */
    int64_t now_ms;      /* never behind an earlier command's */
    const uint8_t *seed; /* SEED_BYTES */
    uint32_t app;
    struct tray *tray; /* replies and events go into its `out` */
    struct writer *writer;
};

/* body is the command's own bytes; the reply is appended to tray->out by the function
 * (apply_reply). */
typedef enum hub_rc command_apply(struct apply *a, struct command *command, struct slice body);

enum command_kind_flags {
    KIND_VOLATILE = 1, /* moves memory only: needs no transaction, waits for no disk */
    KIND_RELEASES = 2, /* makes room: allowed while the store is full */
};

/* Static and constant; commands point to it. */
struct command_kind {
    const char *name;
    command_apply *apply;
    unsigned flags;
    uint8_t module; /* whose state it gets: index in the writer's modules */
    /* True for a body that cannot be refused, as it tells what has happened already (a member
     * left): when the store is full the writer keeps the command and gives it again later. NULL:
     * all may be refused. */
    bool (*must)(struct slice body);
};

/* A part of the domain that keeps memory on the writer, rebuilt from the store by load(). */
struct module {
    const char *name;
    /* A start is a change too: given, without a body, before load() and in the start's own
     * transaction; when there is no room, later. NULL: nothing of it lives as long as a process. */
    const struct command_kind *restart;
    void *(*open)(const void *options);
    void (*close)(void *state);
    /* At start and after an aborted batch: forget everything, read it from the store. */
    enum hub_rc (*load)(void *state, struct store_view *view, int64_t now_ms);
    /* What it remembers, as lines of text: equal memory, equal text, in whatever order it came
     * about. load() on the rows of the last commit must give it again; what is `lasting` (no
     * clocks, no connections) in the next life of the hub too. The simulation asks. NULL: it
     * remembers nothing. */
    void (*recall)(const void *state, bool lasting, struct buf *out);
    /* Kinds of its stored timers: the id stands in the row (0 ends the list). The command's body is
     * the timer's; its offset field holds the timer's id, see apply_timer_ref(). */
    const struct timer_kind *timers;
    /* Deadlines in memory: when the next is due (INT64_MAX: none), and one command for what is due.
     * expire fills in kind, app and body, and returns false when nothing is due any more. */
    int64_t (*next_due)(void *state);
    bool (*expire)(void *state, int64_t now_ms, struct tray *tray);
    /* A clean end: commands, made as those of expire are, for what would be lost with the memory.
     * When there is no room for it, it is lost. NULL: nothing would be. */
    void (*part)(void *state, int64_t now_ms, struct tray *tray);
    /* At the end of a batch, in its transaction: what the batch's events set off. a->tray is the
     * last of the trays. What it returns but HUB_OK aborts the batch. */
    enum hub_rc (*finish)(struct apply *a, struct tray *const *trays, unsigned trays_n);
    /* The batch is over: on disk, on its way there, or taken back and load() called. Nobody has
     * been told yet. */
    void (*settled)(void *state);
    /* Whether settled() will tell others what must be on disk first: the batch does not go there by
     * itself then, while the next is begun. NULL: it never does. */
    bool (*holds_back)(const void *state);
};

struct timer_kind {
    uint16_t id;
    const struct command_kind *kind;
};

/* Timer ids of the house, for good: they stand in rows. */
enum { TIMER_PRESENCE_GRACE = 1 };

/* The timer that this command came of: only in the apply function of a timer kind. */
struct timer_ref apply_timer_ref(const struct command *command);

/* Appends to the reply of `command`. Calls for one command follow one another. */
void apply_reply(struct apply *a, struct command *command, struct slice bytes);

/* A refusal: returns rc, and before, id and after together are the sentence that the caller is
 * told. Without a command nobody is. */
enum hub_rc apply_refuse(struct apply *a, struct command *command, enum hub_rc rc,
                         const char *before, struct slice id, const char *after);

/* Publishes an event of the hub's own on a channel of the app: durable or live as the namespace
 * says; in the same transaction as the change. name is an event name without characters that JSON
 * escapes; data is raw JSON. */
enum hub_rc apply_tell(struct apply *a, uint32_t app, struct slice channel, const char *name,
                       struct slice data);
/* The same on a channel whose number the caller keeps, from one event to the next: 0 until the
 * first was stored. It holds as long as what module.load() rebuilds. */
enum hub_rc apply_tell_known(struct apply *a, uint32_t app, struct slice channel, uint64_t *known,
                             const char *name, struct slice data);
/* As apply_tell(), but live whatever the namespace says: for what is stored only now and then. */
void apply_stream(struct apply *a, uint32_t app, struct slice channel, const char *name,
                  struct slice data);
/* For channels' functions that take a sink; ctx is the apply. */
void apply_emit(void *ctx, uint32_t app, const struct event *event, uint64_t offset, uint64_t seq);

#endif
