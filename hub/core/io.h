/* hub/core/io.h: what an I/O thread owns besides its sockets: the tray it fills, its reader, its
 * topics, its picture of namespaces and rules; and what it counts.
 *
 * Threads  one; counters are read by any.
 * Units    milliseconds; io->now_* are taken once a turn of the loop.
 */
#ifndef WAGGLE_HUB_CORE_IO_H
#define WAGGLE_HUB_CORE_IO_H

#include "channels/topics.h"
#include "store/hash.h"
#include "hub/core/hub.h"

enum { IO_POOL_TRAYS = 64, IO_AT_WRITER_MAX = IO_POOL_TRAYS / 2, IO_SEEDS_DRAWN = 64 };

/* Where a message came from or went to. */
enum io_wire { WIRE_NATIVE, WIRE_REST, WIRE_COUNT };
enum io_class { CLASS_LIVE, CLASS_DURABLE, CLASS_CONTROL, CLASS_COUNT };
enum io_drop { DROP_SLOW_LIVE, DROP_SLOW_CLOSED, DROP_FELL_BEHIND, DROP_CONFLATED, DROP_COUNT };

/* What the time of a thread goes into. */
enum io_work {
    WORK_LOOP,   /* the libraries' own, between what follows */
    WORK_TALK,   /* those in conversation: read, handed over, answered */
    WORK_ACCEPT, /* who comes */
    WORK_READ,   /* everybody else's input */
    WORK_CLOSE,
    WORK_TIMERS,   /* deadlines, ends of tokens */
    WORK_DELIVER,  /* finding whom an event is for */
    WORK_SEND,     /* everybody else's output */
    WORK_CATCH_UP, /* reading on from the log */
    WORK_STARVED,  /* waiting for a tray */
    WORK_COUNT
};
enum { IO_TURN_BUCKETS = WRITER_BUCKETS };

typedef _Atomic uint64_t io_counter;
static inline void io_count(io_counter *c, uint64_t by)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + by,
                          memory_order_relaxed);
}
static inline void io_gauge(io_counter *c, int64_t by)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + (uint64_t)by,
                          memory_order_relaxed);
}

struct io_counters {
    io_counter connections[WIRE_COUNT], accepted, refused, handshakes;
    io_counter messages_in[WIRE_COUNT][CLASS_COUNT], messages_out[WIRE_COUNT][CLASS_COUNT];
    io_counter bytes_in[WIRE_COUNT], bytes_out[WIRE_COUNT];
    io_counter queue_bytes, catching_up, subscriptions;
    io_counter drops[DROP_COUNT];
    io_counter auth_failures[ADMIT_RC_COUNT], rate_limited;
    io_counter requests, requests_failed, protocol_errors, closes_slow, closes_silent;
    io_counter ticks, ticks_long, replayed_events, replayed_bytes;
    io_counter starved; /* turns without a tray */
    io_counter work_us[WORK_COUNT];
    io_counter turn_us, turn_us_bucket[IO_TURN_BUCKETS]; /* bucket i: up to 64 * 2^i microseconds */
};

struct io {
    unsigned index;
    struct hub *hub;
    const struct hub_settings *settings;
    struct store_reader *reader;
    struct topics *topics;
    struct admission *admission;
    const struct namespaces *namespaces;
    uint64_t namespaces_generation;
    struct apps *apps;
    bool rules_moved; /* since the turn before; connections are still to be looked over */
    struct revocations *revocations;
    uint64_t auth_changes, app_changes, signing_changes; /* seen so far */
    struct signing *signing;

    struct tray_pool pool;
    struct tray *filling; /* commands for the writer; NULL: none begun */
    unsigned at_writer;   /* trays that it has, and has not sent back */
    struct tray *live;    /* events for other threads and this one */
    struct ring *inbox;

    uint64_t connections_made;
    int64_t now_ms;
    uint64_t now_us;          /* monotonic */
    _Atomic int64_t heard_ms; /* what had come by then was read, and is with the writer */
    struct io_counters counters;
    void (*draw)(void *out, size_t n);         /* randomness: auth_random, or a simulation's */
    struct buf body;                           /* io_body()'s */
    uint8_t seeds[IO_SEEDS_DRAWN][SEED_BYTES]; /* io_seed()'s */
    unsigned seeds_n;
};

/* What others judge by their own clocks, tokens above all, goes by the wall. */
static inline int64_t io_wall_ms(const struct io *io)
{
    return clock_wall(&io->hub->clock, io->now_ms);
}

/* Gives up everything the thread holds; the topics' subscribers are done before. */
enum hub_rc io_init(struct io *io, struct hub *hub, unsigned index, void (*draw)(void *, size_t),
                    topics_deliver_fn *deliver, topics_behind_fn *behind, void *ctx);
void io_done(struct io *io);

/* The id of a new connection: its thread (connection_thread), and a number that no earlier run of
 * the hub gave out, as events in the log name the connection that must not get them. */
uint64_t io_connection_id(struct io *io);

/* At the start of each turn: the time, and whatever changed since (namespaces, keys, apps,
 * revocations, settings). True when connections should be looked over again (auth changed). */
bool io_turn(struct io *io, int64_t now_ms, uint64_t now_us);
/* Before what a connection sent is looked at: a thread may have slept since its turn began, and
 * what another thread has answered meanwhile (an app or a namespace made, a token revoked) holds
 * for everybody. Not while an app or a namespace's options of before are in use. */
void io_take_changes(struct io *io);

/* A command on the tray being filled; NULL when the pool is out (try again when a tray is home). */
struct command *io_command(struct io *io, const struct command_kind *kind, uint32_t app,
                           struct return_address from, uint64_t ticket);
/* A command's seed. The kernel is asked once for many: that costs as much as for one. */
void io_seed(struct io *io, uint8_t out[SEED_BYTES]);
struct buf *io_body(struct io *io);   /* empty; for a command's body before there is a command */
struct buf *io_arena(struct io *io);  /* the `in` of the tray being filled */
bool io_starved(const struct io *io); /* the pool is out: read no more for now */
/* Whether there is something that the writer should have. Not while it has so much already that it
 * is behind, as when the disk hangs: then the tray goes on being filled, or the pool would be out
 * within milliseconds. One of those that the writer has comes back, and wakes the thread. */
bool io_may_hand_over(const struct io *io);
/* Takes the next tray out of the inbox; NULL: none is there. */
struct tray *io_arrived(struct io *io);
/* Hands over what was filled, if it may; live events to the threads that want them. `local` is
 * called with the live tray for this thread's own subscribers. */
void io_hand_over(struct io *io, void (*local)(void *ctx, const struct tray *tray), void *ctx);
/* What topics_deliver() wants of one of a tray's events; borrowed from the tray. */
void io_delivery(struct delivery *out, const struct tray *tray, const struct tray_event *event);
/* A tray was dealt with: lets it go, to its home. */
void io_let_go(struct io *io, struct tray *tray);

/* ---- publishing ---- */

struct io_publish {
    uint32_t app;
    struct event event; /* time and ttl included */
    const struct namespace_options *options;
    struct return_address from;
    uint64_t ticket;
    struct slice id;  /* to echo, raw JSON */
    struct slice key; /* idempotency key, empty: none */
    bool expects;
    uint64_t expect;
    bool silent; /* no answer wanted */
};
/* HUB_OK: under way to the writer (durable; the answer comes with the tray) or given to the
 * subscribers (live: *out_live). HUB_UNAVAILABLE: the pool is out. */
enum hub_rc io_publish(struct io *io, const struct io_publish *publish, bool *out_live);

/* A publish's key is one of its app and channel. */
void publish_key_hash(const struct io *io, uint32_t app, struct slice channel, struct slice key,
                      uint8_t out[16]);

static inline uint64_t io_channel_hash(const struct io *io, uint32_t app, struct slice channel)
{
    return hash64_named(io->hub->hash_seed, app, channel);
}
const struct namespace_options *io_options(const struct io *io, uint32_t app, struct slice channel);

#endif
