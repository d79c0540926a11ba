/* hub/swarms/work.h: a piece of work that several do, as it is stored: rows, look-ups, figures.
 *
 * The coordination of a swarm and the execution of a network are one thing: a strategy, members,
 * parts of which each is a task, and an outcome.
 *
 * Rows     TABLE_WORK: number (8) -> row, small, as each change of a part writes it.
 *          TABLE_WORK_PART: work (8), part (4) -> row.
 *          TABLE_WORK_DOCUMENT: work (8), kind (1) -> members packed, or JSON; written once.
 *          TABLE_WORK_INDEX: kind (1), app (4), what the kind says -> number (8) or nothing.
 *          TABLE_WORK_TEAM: kind (1), team (4) -> figures of all its works.
 *          Numbers are dense and for good, so a list, newest first, is a run of keys backwards.
 * Owns     nothing: a struct work borrows from its row.
 * Threads  writes: the writer. Reads: any view.
 * Units    milliseconds since 1970; spans in milliseconds.
 * Rules    semantics.md section 6 "Swarm coordinate".
 */
#ifndef WAGGLE_HUB_SWARMS_WORK_H
#define WAGGLE_HUB_SWARMS_WORK_H

#include "hub/swarms/strategy.h"
#include "hub/tasks/task.h"

enum {
    WORK_ID_BYTES_MAX = 128,
    WORK_WHY_BYTES_MAX = 512,
    WORK_RESULT_BYTES_MAX = 1 << 20,  /* of an outcome */
    WORK_RESULTS_BYTES_MAX = 8 << 20, /* of all parts: what is merged, and what is shown at once */
    WORK_INPUT_BYTES_MAX = 32 << 20,  /* of what all parts are given */
};

enum team_kind { TEAM_NETWORK = 'n', TEAM_SWARM = 's' };

enum work_state {
    WORK_NONE,
    WORK_SPLITTING, /* within the command that begins it: an event, never in a row */
    WORK_MAPPING,
    WORK_REDUCING, /* an agent merges */
    WORK_COMPLETED,
    WORK_PARTIAL, /* some parts failed: what is there was merged */
    WORK_FAILED,
    WORK_CANCELLED,
    WORK_STATES
};
enum work_stop {
    WORK_STOP_NONE,
    WORK_STOP_ENOUGH, /* as many parts as were asked for */
    WORK_STOP_PARTS,  /* too many parts failed */
    WORK_STOP_MERGE,  /* the results could not be made one */
    WORK_STOP_TIMEOUT,
    WORK_STOP_CANCELLED,
    WORK_STOP_TEAM, /* the network or swarm is gone */
    WORK_STOPS
};
const char *work_state_name(enum work_state state);
const char *work_stop_name(enum work_stop stop);
bool work_is_over(enum work_state state);
/* What callers wait for: running, completed, failed or cancelled. */
const char *work_status_name(enum work_state state);

struct work {
    uint64_t number;
    uint32_t app;
    enum team_kind team_kind;
    uint32_t team; /* number of the network or swarm */
    struct slice id, owner, channel;
    struct slice strategy_name; /* as the caller said it */
    enum work_strategy strategy;
    enum task_priority priority;
    enum work_state state;
    enum work_stop stop;
    struct require require;
    enum reducer reducer;
    struct slice field, by; /* of the reducer */
    uint32_t top;
    bool called; /* the caller's form: {task, collaborators} */
    struct division division;
    uint32_t opened_n; /* parts whose task was given */
    uint32_t done_n, failed_n, late_n;
    uint64_t merge; /* the task that merges; 0: none */
    uint64_t round; /* of consensus, opened about it; 0: none */
    int64_t started_ms, finished_ms, timeout_ms;
    int64_t deadline_due_ms; /* its timer */
    uint64_t deadline_id;
    int64_t straggler_ms; /* when the parts are looked at next; 0: not */
    int64_t part_ms;      /* what its parts took, all together */
    struct slice why;     /* a sentence, when it failed */
};

enum work_part_state {
    PART_WAITING,
    PART_OPEN,
    PART_DONE,
    PART_FAILED,
    PART_CANCELLED, /* ended without a result after the outcome: nobody's fault, and counted nowhere
                     */
    PART_STATES
};
const char *work_part_state_name(enum work_part_state state);
struct work_part {
    enum work_part_state state;
    uint32_t member; /* whom it was meant for: its place among the work's members */
    uint64_t task;   /* 0: not given */
    uint64_t copy;   /* a second one, as the first was slow; 0: none */
    uint64_t won;    /* whose result counts */
    uint32_t agent;  /* that gave it */
    bool late;       /* came in after the outcome: recorded, not merged */
    int64_t opened_ms, finished_ms;
    int64_t took_ms; /* the agent, from accepting it */
};

/* Who does it, as chosen when it began. */
struct work_member {
    struct slice id;         /* a swarm's member id, or the agent's */
    struct slice agent;      /* empty: a member without one; anyone with its capability */
    struct slice capability; /* may be empty */
    uint32_t agent_number;   /* 0: not registered then */
};
void work_member_pack(struct buf *b, const struct work_member *member);
bool work_member_next(struct slice *rest, struct work_member *out);
/* The one at that place. */
bool work_member_at(struct slice members, uint32_t at, struct work_member *out);

enum store_rc work_get(struct store_view *view, uint64_t number, struct work *out);
enum store_rc work_find(struct store_view *view, uint32_t app, struct slice id, struct work *out);
/* A copy of its row in `bytes`, which writes do not move; out borrows from it. */
enum store_rc work_hold(struct store_view *view, uint64_t number, struct buf *bytes,
                        struct work *out);
/* Writes the row and moves its indexes; before: the state of the row it replaces, WORK_NONE when
 * new. */
enum store_rc work_put(struct store_txn *txn, const struct work *work, enum work_state before);
enum store_rc work_newest(struct store_view *view, uint64_t *out);

enum store_rc work_part_get(struct store_view *view, uint64_t work, uint32_t part,
                            struct work_part *out);
enum store_rc work_part_put(struct store_txn *txn, uint64_t work, uint32_t part,
                            const struct work_part *row);

enum work_document { WORK_INPUT = 'i', WORK_MEMBERS = 'm', WORK_OUTCOME = 'o' };
enum store_rc work_document_put(struct store_txn *txn, uint64_t work, enum work_document kind,
                                struct slice bytes);
enum store_rc work_document(struct store_view *view, uint64_t work, enum work_document kind,
                            struct slice *out);

/* Works of a team, newest first from number `from` down (0: the newest); running: those alone. The
 * visitor returns false to stop. */
typedef bool work_visit(void *ctx, const struct work *work);
enum store_rc works_each(struct store_view *view, uint32_t app, enum team_kind kind, uint32_t team,
                         bool running, uint64_t from, work_visit *visit, void *ctx);

/* Parts that only one agent may do, by agent: they end when it is gone. */
enum store_rc work_bound_put(struct store_txn *txn, uint32_t app, uint32_t agent, uint64_t work,
                             uint32_t part, bool there);
/* The first bound part of the agent; STORE_NOT_FOUND: none. */
enum store_rc work_bound_first(struct store_view *view, uint32_t app, uint32_t agent,
                               uint64_t *out_work, uint32_t *out_part);

/* What its members could have worked in the time that it took. One that does several parts at once
 * has room for them: it is never less than what they did. */
int64_t work_capacity_ms(const struct work *work);

/* Of all works of a team since it is there. */
struct team_figures {
    uint64_t in_state[WORK_STATES]; /* begun, less ended: what runs stands under mapping */
    uint64_t parts_done, parts_failed, parts_late, copies;
    int64_t work_ms;     /* finished works, all together */
    int64_t part_ms;     /* work of the members in them */
    int64_t capacity_ms; /* work_capacity_ms() of them */
    int64_t last_ms;     /* of the last change */
    uint32_t leader;     /* swarm: number of the member that was elected; 0: none */
};
enum store_rc team_figures_get(struct store_view *view, enum team_kind kind, uint32_t team,
                               struct team_figures *out);
enum store_rc team_figures_put(struct store_txn *txn, enum team_kind kind, uint32_t team,
                               const struct team_figures *figures);

#endif
