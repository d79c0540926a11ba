/* hub/tasks/task.h: a task as it is stored: row, states and the table of their changes, documents,
 * look-ups.
 *
 * Rows     TABLE_TASK: number (8) -> row, small and fixed in the main, as each change writes it.
 *          TABLE_TASK_BODY: number (8), kind (1) -> JSON; written once.
 *          TABLE_TASK_INDEX: kind (1), app (4), what the kind says, number (8) -> nothing.
 *          Numbers are dense and for good, so a list, newest first, is a run of keys backwards.
 * Ids      an id that the hub mints holds the number; one that the caller gave has an index row.
 * Owns     nothing: a struct task borrows from its row.
 * Threads  writes: the writer. Reads: any view.
 * Units    milliseconds since 1970; spans in milliseconds.
 * Rules    semantics.md section 2.
 */
#ifndef WAGGLE_HUB_TASKS_TASK_H
#define WAGGLE_HUB_TASKS_TASK_H

#include "hub/agents/agent.h"

enum {
    TASK_ID_BYTES_MAX = 128,
    TASK_WORD_BYTES_MAX = 128,
    TASK_WORDS_MAX = 64, /* of each kind of need */
    TASK_NOTE_BYTES_MAX = 512,
    TASK_ERROR_BYTES_MAX = 2048,
};

enum task_priority {
    TASK_URGENT,
    TASK_CRITICAL,
    TASK_HIGH,
    TASK_NORMAL,
    TASK_LOW,
    TASK_PRIORITIES
};

enum task_state {
    TASK_NONE, /* not there yet; in the table of changes: not allowed */
    TASK_SCHEDULED,
    TASK_QUEUED,
    TASK_LEASED, /* offered: the agent has not said yes */
    TASK_RUNNING,
    TASK_RETRY_WAIT,
    TASK_INPUT_REQUIRED,
    TASK_CANCELLING,
    TASK_COMPLETED,
    TASK_DEAD,
    TASK_CANCELLED,
    TASK_EXPIRED,
    TASK_STATES
};

/* What callers of old see of it (semantics.md section 2, "Public status names"). */
enum task_status {
    TASK_IS_PENDING,
    TASK_IS_RUNNING,
    TASK_IS_COMPLETED,
    TASK_IS_FAILED,
    TASK_IS_CANCELLED,
    TASK_STATUSES
};

enum task_event {
    TASK_DUE,     /* its time has come */
    TASK_PICK,    /* an agent was chosen */
    TASK_ACCEPT,  /* … said yes */
    TASK_REJECT,  /* … said no, or nothing in time */
    TASK_FINISH,  /* done */
    TASK_RETRY,   /* failed, and may be tried again */
    TASK_FAIL,    /* failed for good */
    TASK_LOSE,    /* the lease lapsed or the agent is gone */
    TASK_ASK,     /* the agent needs input */
    TASK_INPUT,   /* … and has it */
    TASK_CANCEL,  /* somebody does not want it any more */
    TASK_CONFIRM, /* the agent stopped, or need not be waited for */
    TASK_LAPSE,   /* waited longer than it should */
    TASK_EVENTS
};
/* TASK_NONE: the event is not allowed there. */
enum task_state task_next(enum task_state state, enum task_event event);

enum task_stop {
    STOP_NONE,
    STOP_COMPLETED,
    STOP_NON_RETRYABLE, /* the agent said that trying again is no use */
    STOP_ATTEMPTS,      /* it failed as often as it may */
    STOP_POISON,        /* its agents were lost too often */
    STOP_START_TIMEOUT, /* nobody took it in time */
    STOP_CLOSE_TIMEOUT, /* an attempt took too long, and there is none left */
    STOP_TOTAL_TIMEOUT,
    STOP_INPUT_TIMEOUT,
    STOP_CANCELLED,
    STOP_CLEARED, /* with its queue */
    STOP_GRACE,   /* cancelled, and the agent did not confirm in time */
    STOP_GROUP,   /* what it was part of ended */
    TASK_STOPS
};

const char *task_priority_name(enum task_priority priority);
const char *task_state_name(enum task_state state);
const char *task_status_name(enum task_status status);
const char *task_stop_name(enum task_stop stop);
bool task_priority_of(struct slice name, enum task_priority *out); /* any case */
bool task_state_of(struct slice name, enum task_state *out);
bool task_status_of(struct slice name, enum task_status *out);
enum task_status task_status_in(enum task_state state);
bool task_is_over(enum task_state state);
bool task_is_held(enum task_state state); /* by an agent: leased, running, cancelling */

/* What an agent must be to get it. Words as in an agent's row. */
struct task_needs {
    bool by_type;
    enum agent_type type;
    double health_least;
    struct words capabilities, services; /* all of them */
    struct words agents;                 /* one of these, by id; none: any */
    struct words avoid;                  /* none of these */
};

/* Which part of the domain it belongs to: that module's watcher hears of its changes. */
struct task_group {
    uint8_t module; /* 0: none; else the module's number and one */
    uint64_t id;    /* the module's own */
    uint32_t item;
};

/* In replayed_as: a dead letter that nobody wants back. */
#define TASK_PURGED UINT64_MAX

struct task {
    uint64_t number;
    uint32_t app;
    struct slice id, owner;
    enum task_priority priority;
    enum task_state state;
    enum task_stop stop;
    uint16_t attempts, attempts_max; /* the agent said failed */
    uint16_t redeliveries;           /* the agent was lost */
    uint32_t lease;                  /* counts offers: fences all before the newest */
    uint32_t agent, agent_epoch;     /* that holds it; 0: none */
    uint32_t last_agent;             /* that held it before: another is preferred */
    int64_t submitted_ms, queued_ms, changed_ms;
    int64_t due_ms;      /* scheduled, retry_wait: when it is queued; later: since when it waits */
    int64_t leased_ms;   /* this offer */
    int64_t started_ms;  /* this attempt was accepted; 0: not */
    int64_t finished_ms; /* 0: not over */
    int64_t start_within_ms, close_within_ms, total_within_ms, input_within_ms; /* spans; 0: none */
    int64_t lease_ms;                                                           /* span */
    struct task_needs needs;
    struct words prefer;           /* agents, by id */
    struct slice region;           /* where it would best be done */
    struct slice fairness, sticky; /* keys: of whose turn it is; of consistent_hash */
    struct task_group group;
    uint64_t replay_of, replayed_as; /* numbers */
    uint8_t percent;                 /* of progress; TASK_PERCENT_NONE */
    uint64_t progress_seq;
    int64_t progress_ms;
    struct slice note;     /* of progress, or what input is asked for */
    struct slice error;    /* of the last failure */
    uint64_t request_hash; /* of what was submitted: the same id again, the same task? */
};
enum { TASK_PERCENT_NONE = 255 };

void task_pack(struct buf *b, const struct task *task);
bool task_unpack(struct slice row, struct task *out);
/* What agents must be, as bytes: equal needs are equal bytes. */
void task_needs_pack(struct buf *b, const struct task_needs *needs);
bool task_needs_unpack(struct unpack *u, struct task_needs *out);

enum store_rc task_get(struct store_view *view, uint64_t number, struct task *out);
enum store_rc task_find(struct store_view *view, uint32_t app, struct slice id, struct task *out);
/* Writes the row and moves its indexes; before: the row it replaces, NULL when new. */
enum store_rc task_put(struct store_txn *txn, const struct task *task, const struct task *before);
/* The newest number; 0: none. */
enum store_rc task_newest(struct store_view *view, uint64_t *out);

enum task_document {
    TASK_DATA = 'd',
    TASK_RESULT = 'r',
    TASK_GIVEN = 'i', /* the input it was given */
};
enum store_rc task_document_put(struct store_txn *txn, uint64_t number, enum task_document kind,
                                struct slice json);
enum store_rc task_document(struct store_view *view, uint64_t number, enum task_document kind,
                            struct slice *out); /* STORE_NOT_FOUND: none */

/* Ids. The random part keeps numbers of others from being guessed at. */
void task_id_mint(struct buf *out, uint64_t number, const uint8_t *seed);
void task_uuid_mint(struct buf *out, uint64_t number, int64_t now_ms, const uint8_t *seed);
/* What names a lease. A store that was restored counts its offers from the backup on once more: the
 * life keeps those that were made after the backup from being taken for the new ones. */
struct task_lease {
    uint64_t life;   /* task_life() of the store that it was given by */
    uint64_t number; /* of the task; 0: none */
    uint32_t lease;  /* its count of offers */
};
/* The same until the store is restored. */
uint64_t task_life(const struct store *store);
/* "lease_" and hex: life, number and count of offers. */
enum { TASK_LEASE_ID_BYTES = 46 };
void task_lease_id(char out[TASK_LEASE_ID_BYTES + 1], const struct task_lease *lease);
bool task_lease_of(struct slice text, struct task_lease *out);

/* Lists, newest first. */
enum task_index {
    TASKS_OF_APP = 'a',
    TASKS_OF_OWNER = 'o',
    TASKS_IN_STATUS = 's',
    TASKS_OF_GROUP = 'g',
};
struct task_list {
    enum task_index index;
    uint32_t app;
    struct slice owner;      /* TASKS_OF_OWNER */
    enum task_status status; /* TASKS_IN_STATUS */
    struct task_group group; /* TASKS_OF_GROUP */
};
typedef bool task_visit(void *ctx, const struct task *task); /* false: enough */
/* From the task `from` on (0: the newest), towards the oldest, at most looked_max rows. *out_next:
 * where to go on, 0: there is nothing more. */
enum store_rc tasks_each(struct store_view *view, const struct task_list *list, uint64_t from,
                         uint32_t looked_max, task_visit *visit, void *ctx, uint64_t *out_next);
/* All that are not over, of all apps, oldest first: for rebuilding what is kept in memory. */
enum store_rc tasks_each_open(struct store_view *view, task_visit *visit, void *ctx);

/* An app's figures, since ever; kept as one row so that a start need not count. */
struct task_totals {
    uint64_t in_state[TASK_STATES];
    uint64_t distributed;     /* offers */
    uint64_t distribution_ms; /* … and how long they had waited, all together */
    uint64_t redelivered;     /* their agents were lost */
    uint64_t rejected;        /* … said no, said nothing, or handed them back */
};
enum store_rc task_totals_get(struct store_view *view, uint32_t app, struct task_totals *out);
enum store_rc task_totals_put(struct store_txn *txn, uint32_t app,
                              const struct task_totals *totals);
typedef void task_totals_visit(void *ctx, uint32_t app, const struct task_totals *totals);
enum store_rc task_totals_each(struct store_view *view, task_totals_visit *visit, void *ctx);

#endif
