/* hub/tasks/inside.h: what the writer keeps of tasks and agents in memory, shared by the files of
 * this room; included by these only.
 *
 * All of it follows from the store (memory.c, tasks_load) but for the leases' clocks, which begin
 * anew at a start: an agent is not blamed for the time in which the hub was away.
 * Threads  the writer; figures are read by any.
 */
#ifndef WAGGLE_HUB_TASKS_INSIDE_H
#define WAGGLE_HUB_TASKS_INSIDE_H

#include "channels/json_out.h"
#include "hub/core/why.h"
#include "hub/tasks/balance_module.h"
#include "hub/tasks/deadlines.h"
#include "hub/tasks/module.h"
#include "hub/tasks/pauses.h"
#include "hub/tasks/queue.h"
#include "store/hash.h"

enum {
    KIND_BUCKETS = 4096,
    KINDS_IDLE_MAX = 64, /* nobody has a task of these now: the next need not be compared again */
    APPS_FIGURED_MAX = 1024,
    READY_CLASSES = 16, /* the last has all with more capabilities */
    NOT_READY = INT32_MAX
};

/* What many tasks ask alike of an agent: compared with the agents once, not once a task. */
struct kind {
    uint32_t id, app;
    uint64_t hash;
    struct buf packed; /* needs, prefer, region, priority */
    struct task_needs needs;
    struct words prefer;
    struct slice region;
    uint8_t priority; /* so that a paused queue is passed over at one look too */
    uint32_t idled;   /* when it had no task last: tasks.kinds_idled then */
    uint32_t tasks;   /* that are not over; of none: it is kept for a while */
    bool blocked;     /* nobody who fits is ready; a fitting agent that gets ready ends it */
    uint64_t *fits;   /* a bit an agent's number */
    uint32_t fits_n;  /* words */
    struct fit_sums {
        double running, slots;
        uint64_t of;    /* tasks.agents_changed when they were made; */
        uint32_t picks; /* and picks since */
    } sums;             /* over all who fit and are there: candidates.c */
    struct kind *next;  /* of its bucket */
};

/* A task that is not over. */
struct live {
    struct queue_item item; /* first: a queue hands it back */
    uint32_t app, lease, agent, last_agent;
    enum task_state state;
    int64_t fixed_ms;     /* the earliest deadline that its row tells */
    int64_t lease_due_ms; /* running: moved by renewals; else INT64_MAX */
    int64_t lease_ms;     /* span */
    uint64_t channel;     /* number of task.<id>; 0: not known yet */
    uint64_t told_seq;    /* of the newest progress told under this lease, stored or not */
    int64_t ahead_due_ms; /* when `ahead` is to be stored; INT64_MAX: there is none */
    int64_t shun_ms;      /* queued: last_agent said no: not to it before */
    int64_t due_ms;       /* under which it stands among the deadlines; INT64_MAX: it does not */
    bool picked;          /* an offer is under way within this batch */
    struct live *held_next, *held_before; /* of its agent */
    struct kind *kind;
    struct kept *kept;  /* NULL: its row is read when it is asked for */
    struct kept *ahead; /* running: with progress that its row does not have yet; NULL: none */
    char *sticky;       /* key of consistent_hash; NULL: none */
    size_t sticky_n;
};

/* An agent as far as work goes, from when it comes until it departs. What each task asks of it
 * stands first: of thousands it is never in the cache. */
struct worker {
    uint32_t number, app, slots;
    uint32_t held_n, picked_n;
    uint32_t ready_at; /* place among its app's ready ones of its class; NOT_READY */
    enum agent_status status;
    bool busy;                     /* counted as such */
    bool paused;                   /* let offers lapse: silence.c */
    uint8_t ready_class;           /* of its app's ready ones */
    uint64_t connection;           /* as in its row */
    struct live *held;             /* the newest of them */
    struct slice id, channel_name; /* agent.<id> */
    uint64_t channel;              /* its number; 0: not known yet */
    int64_t looked_ms;             /* when these were read of its pulse: */
    double health, load;
    struct load_parts use;
    int64_t reported_ms;
    int64_t seen_ms; /* by its row: for one that has no pulse */
    uint32_t interval_ms;
    enum agent_type type;
    uint8_t *texts; /* what slices and words borrow from */
    struct slice owner, region;
    struct region *region_of; /* among whose ready ones it is, while it is ready, */
    uint32_t region_at;       /* and its place there */
    struct words capabilities, services;
};

/* What is remembered of an agent by its number, for good: departed ones are many. */
struct place {
    struct worker *worker;          /* NULL: departed */
    double success, success_stored; /* moving average */
    uint32_t epoch;                 /* of its newest registration; 0: no such agent */
    uint32_t lapses;                /* of offers in a row that it let lapse, */
    int64_t paused_ms;              /* and until when it is offered nothing; 0: it is */
};

struct figures {
    _Atomic uint64_t in_state[TASK_STATES], distributed, distribution_ms, redelivered, rejected;
    _Atomic uint64_t queued[TASK_PRIORITIES];
    _Atomic uint64_t wait[TASK_WAIT_BUCKETS], offers, offer_wait_ms;
};

/* An agent with a free slot, as far as the commonest strategy compares it: side by side, as the
 * workers themselves lie anywhere. */
struct ready_agent {
    uint32_t number, running, slots;
    uint64_t picked_at; /* balance_picked_at() */
};

/* In no order. */
struct ready {
    struct ready_agent *list;
    uint32_t n, cap;
};

/* Those of one region: regions.c */
struct region {
    struct slice name; /* empty: nobody knows where they are */
    uint64_t hash;
    struct worker **list;
    uint32_t n, cap;
    struct region *next; /* of its bucket */
};
enum { REGION_BUCKETS = 64 };

/* An app's share. */
struct tasks_app {
    uint32_t app;
    struct queue *queue;
    struct ready ready[READY_CLASSES]; /* by how many capabilities they have */
    uint32_t ready_n;                  /* in all */
    struct region *regions[REGION_BUCKETS];
    uint32_t ready_from; /* candidates are looked for from here: all get their chance */
    bool wanted;         /* there may be somebody for somebody */
    uint8_t paused;      /* priorities, a bit each */
    int64_t recheck_ms;  /* somebody would fit but was not well: look again then */
    struct task_totals totals;
    bool totals_moved; /* within this batch: row and figures are put at its end */
    uint64_t channel;  /* number of its `tasks`; 0: not known yet */
};

struct tasks {
    struct tasks_options options;
    bool started;
    uint64_t newest;     /* number */
    struct live **table; /* open addressing by number */
    struct live *lives_spare;
    uint32_t lives_spare_n;
    size_t table_cap, table_n;
    struct deadlines *deadlines; /* of numbers; one counts that is the task's due_ms */
    uint64_t agents_changed;     /* counts when one came, left or changed */
    int64_t unpause_ms;          /* the first of paused workers; INT64_MAX: there is none */
    struct place *places;        /* by number */
    uint32_t places_n, places_cap;
    struct kind **kinds; /* by id; NULL: free */
    uint32_t kinds_n, kinds_cap;
    uint32_t *kinds_free; /* ids to be used again; room for kinds_cap */
    uint32_t kinds_free_n;
    uint32_t kinds_blocked;              /* so many */
    uint32_t kinds_idle[KINDS_IDLE_MAX]; /* ids of those that had no task then, */
    uint32_t kinds_idled;                /* and how often that was */
    struct buf kind_asked;               /* the needs that are looked for */
    struct kind *kind_buckets[KIND_BUCKETS];
    struct tasks_app **apps; /* by number; NULL: none yet */
    uint32_t apps_n;
    _Atomic uint64_t busy; /* workers */
    struct balance *balance;
    struct balance_keeping keeping;
    struct buf told;    /* the event that is put together; change.c */
    struct buf channel; /* the name of one, likewise */
    struct buf reply;   /* lease.c */
    int64_t now_ms;     /* of `now`, the time as events tell it; change.c */
    uint8_t now[JSON_TIME_BYTES];
    struct kept **kept, *let_go; /* kept.c */
    uint32_t kept_at;
    struct kept *spare;
    uint32_t spare_n;
    struct candidates *candidates; /* of the task that is being placed; dispatch.c */
    _Atomic(struct figures *) figures[APPS_FIGURED_MAX];
};

static inline struct tasks *tasks_of(const struct apply *a)
{
    return writer_module(a->writer, MODULE_TASKS);
}
static inline const struct hub_settings *task_settings(const struct tasks *tasks)
{
    return atomic_load(tasks->options.settings);
}

/* memory.c */
struct tasks_app *tasks_app_new(struct tasks *tasks, uint32_t app);
static inline struct tasks_app *tasks_app(struct tasks *t, uint32_t app)
{
    return app < t->apps_n && t->apps[app] ? t->apps[app] : tasks_app_new(t, app);
}
struct live *live_find(const struct tasks *tasks, uint64_t number);
/* Makes memory what the row says, whatever it was before: waiting, held, clocks; drops it when it
 * is over. channel: the number of its own; 0: not known. */
struct live *live_set(struct tasks *tasks, const struct task *task, uint64_t channel,
                      int64_t now_ms); /* NULL: it is over */
/* After its needs changed, while it does not wait. */
void live_rekind(struct tasks *tasks, const struct task *task);
void live_due(struct tasks *tasks, struct live *live); /* after a clock of it moved */
int64_t lives_due_ms(struct tasks *tasks);             /* the earliest; INT64_MAX: none */
/* One whose moment has come, or had when its clock was set last; NULL: none. It stands among the
 * deadlines no more. */
struct live *live_due_next(struct tasks *tasks, int64_t now_ms);
void live_wait(struct tasks *tasks, struct live *live, int64_t now_ms); /* into the queue */
void tasks_wanted(struct tasks *tasks, uint32_t app);
struct figures *tasks_figure(struct tasks *tasks, uint32_t app); /* NULL: past the bound */
void figures_set(struct tasks *tasks, struct tasks_app *app);
void *tasks_open(const void *options);
void tasks_close(void *state);
enum hub_rc tasks_load(void *state, struct store_view *view, int64_t now_ms);

/* workers.c */
struct place *place_of(struct tasks *tasks, uint32_t number);         /* NULL: no such agent */
struct worker *worker_of(const struct tasks *tasks, uint32_t number); /* NULL: departed too */
void worker_set(struct tasks *tasks, const struct agent *agent);
/* Lets go of one who has departed, once nothing is in its hands. */
void worker_leave(struct tasks *tasks, uint32_t number);
/* Able to get work, but for its slots; NULL: no. */
bool worker_is_reached(const struct worker *worker);
bool worker_is_there(const struct worker *worker); /* and it is not offered nothing for a while */
/* Also of one who has departed; empty: no such agent. Borrowed until the next write. */
struct slice agent_id_of(struct apply *a, uint32_t number);
struct slice agent_owner_of(struct apply *a, uint32_t number);
void worker_judge(struct tasks *tasks, struct worker *worker); /* ready or not, after a change */
/* balance_pick() has chosen it. */
void worker_pick(struct tasks *tasks, struct worker *worker);
void worker_hold(struct tasks *tasks, struct live *live);
void worker_release(struct tasks *tasks, struct live *live);
/* Pulse and what follows from it, at most a moment old. */
void worker_look(struct tasks *tasks, struct worker *worker, int64_t now_ms);
enum hub_rc workers_load(struct tasks *tasks, struct store_view *view, bool start);
void workers_forget(struct tasks *tasks);
struct kind *kind_of(struct tasks *tasks, const struct task *task);
void kind_unref(struct tasks *tasks, struct kind *kind);
bool kind_fits(const struct kind *kind, uint32_t agent);
void kind_block(struct tasks *tasks, struct kind *kind, bool blocked);
void kinds_forget(struct tasks *tasks);

/* kept.c */
/* The task as its row says. Its texts stay until the batch is over, whatever is written meanwhile.
 */
enum hub_rc task_take(struct apply *a, uint64_t number, struct task *out);
/* What was submitted, borrowed until the next write. */
enum hub_rc task_take_data(struct apply *a, uint64_t number, struct slice *out);
/* The task by its id. guess: the number that it may well have; 0: nobody knows. */
enum hub_rc task_take_named(struct apply *a, struct slice id, uint64_t guess, struct task *out);
/* After each write of the row of a task that is not over. data: of a new one, what was submitted.
 */
void kept_set(struct tasks *t, struct live *live, const struct task *task, struct slice data);
void kept_drop(struct tasks *t, struct live *live);
const struct task *kept_task(const struct live *live); /* NULL: it is not kept */
/* The task with the progress that was told and waits to be stored; its texts stay until the batch
 * is over. */
void ahead_set(struct tasks *t, struct live *live, const struct task *task, int64_t due_ms);
void ahead_drop(struct tasks *t, struct live *live);
const struct task *ahead_task(const struct live *live); /* NULL: nothing waits */
/* The name of task.<id>; borrowed until the next of these. */
struct slice kept_channel(struct tasks *t, const struct task *task);
bool kept_has_room(const struct tasks *t); /* nobody had to make room yet */
void kept_settle(struct tasks *t);         /* the batch is over */
void kept_forget(struct tasks *t);
void kept_free(struct tasks *t);

/* change.c */
/* The one way in which a task changes: row, totals, memory, what the channels and the group hear.
 * document: goes with the event when it is small. */
enum hub_rc task_change(struct apply *a, const struct task *before, struct task *after,
                        const char *event, struct slice document);
/* … what goes with the event beside the task's own: */
struct task_told {
    struct slice document; /* as above */
    struct why why;        /* of somebody's act upon it; by is empty when it went its own way */
    struct slice data;     /* of a new one: what was submitted; not told, but kept at hand */
};
enum hub_rc task_change_told(struct apply *a, const struct task *before, struct task *after,
                             const char *event, const struct task_told *told);
/* What is no change of its state: the row, and what the channels hear. */
enum hub_rc task_note(struct apply *a, const struct task *before, const struct task *after,
                      const char *event, const struct why *why);
/* The event allowed there? Then `after` has the next state. */
bool task_move(struct task *after, enum task_event event);
/* Its agent hears: task_offered, task_cancel. */
enum hub_rc task_tell_agent(struct apply *a, const struct task *task, const char *event,
                            int64_t until_ms);
enum hub_rc task_failed(struct apply *a, const struct task *before, struct slice error,
                        enum task_stop final, int64_t after_ms, const char *event);
enum hub_rc task_lost(struct apply *a, const struct task *before, const char *event);
enum hub_rc task_cancel_with(struct apply *a, const struct task *before, enum task_stop stop,
                             const struct why *why);
enum hub_rc task_create(struct apply *a, const struct task_spec *spec, uint64_t request_hash,
                        const uint8_t *seed, struct task *out, struct buf *out_id);
void task_outcome(struct apply *a, const struct task *before, bool ok);

/* stored: as an event of the channel's history, else live alone. */
enum hub_rc task_tell_progress(struct apply *a, const struct task *task, bool stored);

/* lease.c */
/* Only the newest lease of a task, given in this life of the store, is one. */
bool task_same_lease(const struct tasks *tasks, const struct task_lease *lease,
                     const struct task *task);
bool task_act_get(struct slice body, struct task_act *out);
/* The task, if the asker may know of it; else HUB_NOT_FOUND with its sentence. */
enum hub_rc task_see(struct apply *a, struct command *command, const struct task_act *act,
                     struct task *out);
enum hub_rc task_reply(struct apply *a, struct command *command, uint64_t number);
enum hub_rc task_rejected(struct apply *a, const struct task *task, const char *event);
/* Stores the progress that waits to be, once its moment has come. */
enum hub_rc task_progress_due(struct apply *a, const struct task *task);

/* recall.c */
void tasks_recall(const void *state, bool lasting, struct buf *out);

/* regions.c */
struct region *region_find(const struct tasks_app *app, struct slice name); /* NULL: nobody's */
void region_ready(struct tasks_app *app, struct worker *worker);
void region_unready(struct tasks_app *app, struct worker *worker);
void regions_free(struct tasks_app *app);

/* candidates.c */
struct candidates {
    struct balance_candidate *list;
    uint32_t n, cap;
    uint32_t free_n;     /* of these with a free slot */
    struct keyed *keyed; /* whom keys belong to */
    uint32_t keyed_turn;
    struct nearness *near; /* of the regions that there are */
    uint32_t near_n, near_cap;
};
struct candidates *candidates_new(void);
void candidates_free(struct candidates *candidates);
/* Fills tasks->candidates with those among whom the strategy is to choose; false: nobody has a free
 * slot for it. */
bool candidates_find(struct tasks *tasks, struct tasks_app *app, const struct live *live,
                     const struct balance_ask *ask);

/* silence.c: an offer lapsed; it said yes or no to one; it came, and anew if it registered since.
 */
void worker_silent(struct tasks *tasks, uint32_t number, int64_t now_ms);
void worker_answered(struct tasks *tasks, uint32_t number);
void worker_paused(struct tasks *tasks, struct place *place, bool anew);
void workers_unpause(struct tasks *tasks, int64_t now_ms); /* those whose pause is over */

/* dispatch.c */
int64_t tasks_next_due(void *state);
bool tasks_expire(void *state, int64_t now_ms, struct tray *tray);
/* lease.c */
/* Its lease lapsed while it ran, and it waits for another agent still: its work would count. */
bool task_has_lapsed(const struct task *task);
void tasks_part(void *state, int64_t now_ms, struct tray *tray);

#endif
