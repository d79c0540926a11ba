/* tests/sim/sim.h: a hub without sockets, clocks or threads, run by a seed.
 *
 * One run: a world (store, writer, I/O threads, all stepped by hand), clients that come, speak,
 * read slowly and go, a disk that fails, and a model that says beforehand what every command must
 * do. Everything that happens comes out of world.rng, so a seed is a history; world.digest is a
 * hash of it.
 *
 * Threads  one.      Units  milliseconds of a clock that is a variable.
 * Errors   sim_fail() ends the run, not the program.
 */
#ifndef WAGGLE_SIM_SIM_H
#define WAGGLE_SIM_SIM_H

#include "channels/outbox.h"
#include "channels/replay.h"
#include "hub/agents/module.h"
#include "hub/consensus/module.h"
#include "hub/core/auth_commands.h"
#include "hub/core/cursor_commands.h"
#include "hub/core/io.h"
#include "hub/messages/module.h"
#include "hub/swarms/module.h"
#include "hub/tasks/module.h"
#include "tests/sim/disk.h"

#include <setjmp.h>

enum {
    THREADS_MAX = 3,
    CLIENTS_MAX = 16,
    MEMBERS = 6,
    AGENTS = 6,
    KEYS = 12,
    APP = 1,
};

/* Channels of the run. From AT_TOLD on they are the hub's own; what agents tell, the model hears.
 */
enum {
    AT_PRESENCE = 8, /* the first with presence */
    AT_LIVE = 11,    /* the first live one */
    AT_SWITCH = 13,  /* its namespace's options change */
    AT_TOLD = 15,    /* `channels`: changes of namespaces */
    AT_AGENTS = 16,
    CHANNELS = AT_AGENTS + 1 + AGENTS,
};
extern const char *const channel_names[CHANNELS];
struct slice channel_name(unsigned channel);
int channel_of(struct slice name); /* -1: none of the run's */

/* Namespaces whose options change while the run goes on. */
enum { SPACES = 4 };
extern const char *const space_names[SPACES];

/* ---- the model ---- */

struct model_event {
    uint64_t hash;               /* of its JSON, as every reader gets it */
    uint64_t seq, exclude, life; /* life: of the hub, in which it was published */
    int64_t time_ms;
    uint32_t ttl_s;
};

struct model_channel {
    struct model_event *events; /* by offset - 1 */
    size_t cap;
};

struct model_key {
    uint8_t hash[16];
    uint64_t offset;
    int64_t time_ms;
};

struct model_member {
    bool in, found;
    uint32_t info, connections_n;
    uint64_t connections[CLIENTS_MAX];
    int64_t grace_due_ms; /* 0: no grace runs */
    uint64_t grace_order;
};

struct model_agent {
    bool gone_later; /* a goodbye was kept until there is room */
    bool owes;       /* beats while stale, so it must recover */
    bool graced;     /* known at the start and not heard of since */
    bool known, beaten,
        fuzzy;     /* beaten: since it was last stale; fuzzy: a beat may have counted or not */
    unsigned owed; /* steps since a stale one beat */
    uint32_t number, epoch, interval_ms;
    enum agent_status status;
    int64_t registered_ms, seen_min_ms, seen_max_ms, closed_ms, changed_ms;
    int64_t left_ms;  /* stale since then as its connection closed, and not heard of; 0: not */
    unsigned overdue; /* steps in which it should have been inactive */
    unsigned idle;    /* steps in which it was draining */
    struct pulse pulse;
    /* Within the batch: what was asked of it. */
    unsigned registers, changes, deregisters, gones;
    uint64_t told; /* hash of what it told on `agents` and not yet on its own channel */
};

/* What a batch can change, small enough to be copied before each and put back when the batch
 * failed. */
struct model_state {
    uint64_t last[CHANNELS];
    uint64_t seq;
    int64_t now_ms;
    struct model_member members[AT_LIVE - AT_PRESENCE][MEMBERS];
    uint64_t grace_orders;
    size_t keys_n;
    bool space_set[SPACES]; /* a row stands over the configuration */
};

struct model_leave { /* refused for want of room, to be done first when there is some */
    unsigned channel, member;
    uint64_t connection;
};

struct expected {
    enum hub_rc rc;
    bool judged; /* the model knows what must come out */
    bool repeated;
    uint64_t offset; /* publishes; 0: not told */
    uint64_t asked;  /* publishes: what `expect` was */
};

struct model_place { /* of a sequence */
    uint32_t channel;
    uint64_t offset;
};

struct model {
    struct model_channel channels[CHANNELS];
    struct model_place *order; /* by sequence - 1 */
    size_t order_cap;
    struct model_state state, before;
    struct model_key *keys; /* a log: state.keys_n of them count */
    size_t keys_cap;
    struct model_agent agents[AGENTS];
    uint64_t ever_first[CHANNELS]; /* nothing below was kept at some time */
    struct tray **batch;           /* pushed since the last step, in order */
    size_t batch_n, batch_cap;
    struct expected *expected; /* of all commands of the batch */
    size_t expected_n, expected_cap;
    bool full; /* the batch found the store full */
    uint32_t grace_ms[AT_LIVE - AT_PRESENCE];
    int64_t grace_until_ms; /* agents' */
    int64_t full_until_ms;  /* the writer may still refuse because of a full disk */
    struct model_leave *later;
    size_t later_n, later_cap;
};

/* ---- clients ---- */

struct channel_view {
    bool subscribed, settled, placed, member, was_exact; /* settled: the marker was read */
    unsigned number;                                     /* of the subscription: markers name it */
    uint64_t next; /* placed: the offset that must come next, over all connections */
    uint64_t pattern_last;
    struct live_seen {
        uint64_t life, token; /* newest of a publisher's connection */
    } live[CLIENTS_MAX];
};

enum { PATTERNS = 5 };
extern const char *const pattern_texts[PATTERNS];

struct client {
    unsigned n, thread;
    bool up, blocked, dirty, behind, mixed;
    uint32_t generation, pace, member, pending;
    uint64_t connection, life;
    struct subscriber sub;
    struct outbox out;
    struct buf stream;
    struct channel_view views[CHANNELS];
    uint64_t
        pattern_from[PATTERNS]; /* what matches and is newer must come; UINT64_MAX: not asked for */
    bool pattern_ever[PATTERNS]; /* … may come, on this connection */
    uint64_t late_seq;
    uint64_t watched_seq; /* up to there everything was seen or accounted for */
    int agent;            /* whose session it holds; -1: none */
    uint32_t agent_number, agent_epoch;
};

struct bond_of_one {
    struct bond_of_one *next;
    const struct command_kind *kind;
    struct buf body;
};

struct sim_thread {
    struct io io;
    struct turn turn;
    struct buf frames, gather;
    struct tray *held[256];
    unsigned held_n;
    struct bond_of_one *farewells;
};

/* ---- the world ---- */

struct plan { /* drawn first */
    unsigned threads, clients, actions, crash_percent, fault_percent, slow_percent;
    uint32_t queue_bytes;
    size_t page_bytes, page_events;
    bool wide; /* retention as in production; else so small that trimming never rests */
};

struct sim_counts {
    uint64_t commands, events, received, crashes, faults, replayed, gaps, agent_changes;
    uint64_t rounds, ballots, commitments, revealed;
    uint64_t tasks, leases;
    uint64_t works;
    uint64_t handed, messages, acks, dead;
};

struct world {
    uint64_t seed, digest;
    struct rng rng;
    struct plan plan;
    char dir[128];
    int64_t now_ms;
    uint64_t tokens, lives;
    struct hub_settings settings;
    struct hub hub;
    struct secret *secret; /* of a run that has apps; else NULL */
    struct sim_thread threads[THREADS_MAX];
    struct io *ios[THREADS_MAX];
    struct client clients[CLIENTS_MAX];
    struct model model;
    struct sim_counts counts;
    struct store_reader *reader;
    uint64_t made[THREADS_MAX];          /* connections */
    const struct module *const *modules; /* the writer's */
    unsigned modules_n;
    struct buf remembered[WRITER_MODULES_MAX]; /* what outlives the hub, before the power went */
    bool remembers;
    bool panicked, quiet, verbose, bare;
    bool overlaps; /* batches: one is applied while the one before is on its way to the disk */
    struct rng overlap_rng;
    bool adopting; /* events of agents are believed: the batch they are of met a crash */
    struct world *failed_before;
    jmp_buf failed;
    char why[512];
};

_Noreturn void sim_fail(struct world *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
#define SIM_CHECK(w, condition, ...)                                                               \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            sim_fail(w, __VA_ARGS__);                                                              \
        }                                                                                          \
    } while (0)
void sim_note(struct world *w, uint64_t value); /* into the digest */

/* world.c */
void world_open(struct world *w, const char *dir, uint64_t seed);
/* For throughput.c: started, without clients or faults. */
void world_open_bare(struct world *w, const char *dir);
void world_close(struct world *w);
void world_clear(const char *dir);
void world_run(struct world *w);
void world_start(struct world *w);
void world_arm(struct world *w); /* perhaps a fault for the step that follows */
void world_cut(struct world *w); /* power goes and comes back; the model hears nothing */
void world_crash(struct world *w);
void world_step(struct world *w); /* one batch of the writer, compared with the model */

/* memory.c: what the modules remember is what the store says. All three between two steps. */
void memory_check(struct world *w);   /* read back as after an aborted batch, it is the same */
void memory_note(struct world *w);    /* it is to be the same … */
void memory_compare(struct world *w); /* … in the next life, if power did not go within a step */

/* clients.c */
void thread_turn(struct world *w, unsigned thread);
void client_act(struct world *w, struct client *c);
void client_lost(struct world *w, struct client *c, bool hub_knows);
void client_up(struct world *w, struct client *c);
void thread_down(struct world *w, unsigned thread); /* a crash: nothing is said goodbye to */
bool thread_idle(const struct world *w, unsigned thread);
void thread_callbacks(topics_deliver_fn **out_deliver, topics_behind_fn **out_behind);
void client_settle(struct world *w, struct client *c); /* reads everything, asks for nothing */

/* reading.c: what a client makes of the bytes it got */
void client_read(struct world *w, struct client *c);
/* A frame of ours that says where a subscription begins; next 0: with what comes. */
void marker_put(struct buf *out, unsigned channel, unsigned number, uint64_t next, bool resumed);

/* model.c */
void model_pushed(struct world *w, struct tray *tray);
/* What the batch must do. Again after a step that found the store full: commands that were refused
 * for it are left out, and timers do not run. */
void model_expect(struct world *w, bool full);
void model_done(struct world *w); /* the batch is on disk and was compared */
void model_undo(struct world *w); /* it did not happen */
void model_event_add(struct world *w, unsigned channel, const struct event *event);
void model_place_seq(struct world *w, uint64_t seq, unsigned channel, uint64_t offset);
void model_free(struct model *m);
uint64_t event_hash(const struct event *event, uint64_t offset);
const struct model_event *model_event_at(const struct world *w, unsigned channel, uint64_t offset);
/* The publisher did not want it back on this connection. */
bool model_excludes(const struct model_event *event, const struct client *c);
void model_restarted(struct world *w);

/* agents.c */
struct slice agent_name(unsigned agent, char out[16]);
void agents_committed(struct world *w, const struct event *event, unsigned channel);
void agents_batch_seen(struct world *w);
void agents_check(struct world *w);
void agents_check_silence(struct world *w);
void agents_restarted(struct world *w);

/* scene.c: a run of its own, of a part of the domain, on one I/O thread */
struct scene {
    struct world *w;
    struct io *io;
    void *ctx; /* of what follows */
    void (*answered)(void *ctx, const struct tray *tray, const struct command *command);
    void (*heard)(void *ctx, const struct tray *tray); /* events and handouts; NULL: not wanted */
    void (*restarted)(void *ctx); /* after a start, before anything is judged; NULL: nothing */
    void (*check)(void *ctx);     /* what must hold, after each step and each start */
    bool stepped;                 /* check() is called after a step */
    int64_t full_until_ms;        /* the writer may still refuse because of a full disk */
    int64_t behind_ms;            /* all that the clock was set back, while the hub was away */
    bool may_hear_late; /* what it checks does not ask that a step hears all that it asked */
};
void scene_start(struct scene *scene);
/* Takes the body. */
struct command *scene_ask(struct scene *scene, const struct command_kind *kind, uint64_t ticket,
                          struct buf *body);
void scene_step(struct scene *scene); /* perhaps with a fault, perhaps into a crash */
void scene_cut(struct scene *scene);  /* power goes between two steps */
/* A moment, sometimes up to span_ms, rarely up to an hour: a machine that slept. */
void scene_time(struct scene *scene, uint32_t span_ms);
void scene_calm(struct scene *scene); /* nothing fails any more */

/* rounds.c: a run of its own, of rounds of voting */
void rounds_run(struct world *w);

/* deliveries.c: a run of its own, of named cursors and messages */
void deliveries_run(struct world *w);

/* tasks.c: a run of its own, of tasks and agents that take them */
void tasks_run(struct world *w);
/* An app's figures are the sums of its rows. */
void tasks_check_totals(struct world *w, struct store_view *view);

/* starving.c: a run of its own, of low priority among endless urgent work */
void starving_run(struct world *w);

/* swarms.c: a run of its own, of swarms and their work */
void swarms_run(struct world *w);

/* trail.c: a run of its own, of links, cursors, keys and apps */
void trail_run(struct world *w);

/* throughput.c, tasks_throughput.c, messages_throughput.c: an exit code */
int throughput(const char *dir);
int messages_throughput(const char *dir, unsigned agents);
int tasks_throughput(const char *dir, unsigned agents, const char *strategy);

/* check.c */
void check_step(struct world *w);
/* After a crash within a step: true when the batch is on disk, all of it; false when none of it is.
 */
bool check_survived(struct world *w);
void check_log(struct world *w);
void check_presence(struct world *w);
void check_end(struct world *w);
/* What the writer and the disk hold of a channel now. */
void check_first(struct world *w, unsigned channel);

#endif
