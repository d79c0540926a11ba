/* hub/core/tray.h: the unit that travels between threads: what one thread read in one turn of its
 * loop (design.md section 4).
 *
 * An I/O thread fills commands and the arena `in`, and pushes one pointer. The writer fills in
 * results, writes replies and the events it causes into the arena `out`, commits, and sends the
 * same tray to its origin and to each thread with a subscriber. A tray of live events never meets
 * the writer.
 *
 * Owns     its arenas and arrays, reused from turn to turn; given back when it is not needed.
 * Threads  one owner at a time: origin, writer, then (read-only) all who were sent it, counted in
 *          refs; the last to let go sends it home to its origin's pool.
 * Limits   TRAY_COMMANDS_MAX commands, TRAY_BYTES_SOFT bytes before a new tray is begun.
 */
#ifndef WAGGLE_HUB_CORE_TRAY_H
#define WAGGLE_HUB_CORE_TRAY_H

#include "channels/event.h"
#include "hub/core/errors.h"
#include "hub/core/ring.h"
#include <stdatomic.h>

enum { TRAY_COMMANDS_MAX = 1024, TRAY_BYTES_SOFT = 256 << 10, TRAY_BYTES_KEPT = 512 << 10 };
enum { SEED_BYTES = 16 };

struct command_kind;

/* Where an answer goes: the connection may be gone when it comes. */
struct return_address {
    uint32_t slot, generation;
};

enum command_flags {
    COMMAND_KEYED = 1,    /* publish: key_hash is set; else: an Idempotency-Key came with it */
    COMMAND_EXPECT = 2,   /* publish: refuse unless the channel stands at `offset` */
    COMMAND_REPLAYED = 4, /* out: the first answer to the same key */
    COMMAND_SILENT = 8,   /* nobody waits for the answer */
    COMMAND_ANSWERED =
        16, /* the origin's own, when the tray is back: it looks at no answer twice */
};

struct command {
    const struct command_kind *kind;
    struct return_address from;
    uint32_t app;
    uint16_t flags;
    uint16_t rc;                /* out: enum hub_rc */
    uint32_t id_at, id_n;       /* the request's id, raw JSON, in `in` */
    uint32_t body_at, body_n;   /* in `in`; the kind's own layout */
    uint32_t reply_at, reply_n; /* out: in `out` */
    uint64_t ticket;            /* the origin's own: finds the request again */
    uint64_t offset;            /* publish: in, expected offset; out, its offset */
    uint8_t key_hash[16];       /* COMMAND_KEYED */
    uint8_t request_hash[16];   /* COMMAND_KEYED, other than publish: hash of the parameters */
    uint8_t seed[SEED_BYTES];   /* drawn where the command entered: ids come from it */
    uint64_t channel_hash;      /* publish */
    struct event_frame frame;   /* publish: the event, framed in `in` */
};

enum tray_arena { TRAY_IN, TRAY_OUT };

struct tray_event {
    uint64_t channel_hash;
    uint64_t offset, seq; /* 0: live */
    uint32_t app;
    uint8_t arena; /* enum tray_arena */
    bool repeated; /* idempotent repeat: answered, not delivered */
    struct event_frame frame;
};

/* A connection that must be closed, wherever it is. */
struct tray_kick {
    uint64_t connection;
    uint16_t code;
    const char *reason; /* static */
};

/* Events of a channel that a named cursor gives to one connection, wherever it is; it reads them
 * from the log itself. deliveries 0: they cannot be given any more, a gap. */
struct tray_handout {
    uint64_t connection;
    struct return_address to;
    uint32_t cursor, deliveries;
    uint64_t from, last; /* offsets */
};

struct tray {
    _Atomic uint32_t refs;
    uint32_t origin; /* index of the thread whose pool it is of */
    int64_t now_ms;  /* when it was begun: the time of its commands */
    struct buf in, out;
    struct command *commands;
    uint32_t commands_n, commands_cap;
    struct tray_event *events;
    uint32_t events_n, events_cap;
    struct tray_kick *kicks; /* seldom any */
    uint32_t kicks_n, kicks_cap;
    struct tray_handout *handouts;
    uint32_t handouts_n, handouts_cap;
    uint64_t wanted;   /* threads that get it, while it is made ready */
    bool answered;     /* came from the writer: the origin finds answers on it */
    struct tray *next; /* in its pool */
};

struct command *tray_command(struct tray *tray);  /* a zeroed one at the end */
struct tray_event *tray_event(struct tray *tray); /* likewise */
void tray_kick(struct tray *tray, uint64_t connection, uint16_t code, const char *reason);
/* The thread that made a connection's id. */
static inline unsigned connection_thread(uint64_t connection)
{
    return (unsigned)(connection >> 48) - 1;
}
void tray_handout(struct tray *tray, const struct tray_handout *handout);
void tray_clear(struct tray *tray);
static inline bool tray_is_empty(const struct tray *tray)
{
    return tray->commands_n == 0 && tray->events_n == 0;
}
static inline bool tray_is_full(const struct tray *tray)
{
    return tray->commands_n >= TRAY_COMMANDS_MAX || tray->in.n >= TRAY_BYTES_SOFT ||
           tray->events_n >= TRAY_COMMANDS_MAX;
}
static inline const uint8_t *tray_base(const struct tray *tray, uint8_t arena)
{
    return arena == TRAY_IN ? tray->in.p : tray->out.p;
}
static inline struct slice tray_slice(const struct tray *tray, uint8_t arena, uint32_t at,
                                      uint32_t n)
{
    return slice_of(n ? tray_base(tray, arena) + at : NULL, n);
}

/* A fixed set of trays of one thread. The bound of everything that is under way: when it is out,
 * the thread reads no more until one comes home. */
struct tray_pool {
    struct tray *trays; /* all of them */
    struct tray *idle;  /* list */
    unsigned count, idle_n;
    unsigned spare_n;  /* so many were idle all the time since */
    int64_t spare_ms;  /* then */
    struct ring *home; /* trays whose last holder let go */
};
void tray_pool_init(struct tray_pool *pool, unsigned count, uint32_t origin);
void tray_pool_done(struct tray_pool *pool);
struct tray *tray_take(struct tray_pool *pool);            /* cleared; NULL: the pool is out */
void tray_give(struct tray_pool *pool, struct tray *tray); /* by the owner, nobody else holds it */
void tray_pool_collect(struct tray_pool *pool);            /* takes in what came home */
/* Now and then: trays that a crowd filled and nobody has needed since give their memory back. */
void tray_pool_slim(struct tray_pool *pool, int64_t now_ms);

/* Lets go of one hold; true when it was the last and the tray was sent home over `home`. */
bool tray_release(struct tray *tray, struct ring *home);

#endif
