/* hub/tasks/balance.h: which of the agents that could do a task gets it: ten strategies, and what
 * they learn of the agents on the way.
 *
 * The caller filters (state, capabilities, health, region demanded); here the one is chosen. Every
 * strategy is a score, the lowest wins, and all break ties alike: the smaller share of slots taken,
 * then who was picked longest ago, then the lower number. So a pick is one pass over the list and
 * the same for the same history.
 *
 * Owns     what it learned; begins anew with balance_forget(). Averages of tasks outlive a start by
 *          balance_learned() and balance_remember(); of load they do not: it is another one then.
 * Threads  one at a time (the writer).       Units  milliseconds; loads and success 0..1.
 * Limits   none of its own: one record an agent number, one an app.
 * Rules    rest-contract.md section 3 "Strategies", semantics.md section 2 "Selection".
 */
#ifndef WAGGLE_HUB_TASKS_BALANCE_H
#define WAGGLE_HUB_TASKS_BALANCE_H

#include "hub/agents/liveness.h"

enum balance_strategy {
    BALANCE_LEAST_CONNECTIONS, /* the fewest tasks held; default */
    BALANCE_ROUND_ROBIN,
    BALANCE_WEIGHTED_ROUND_ROBIN, /* smooth: a heavy agent's turns are spread, not in a row */
    BALANCE_RESOURCE_BASED,       /* 0.4 CPU, 0.3 memory, 0.3 queue */
    BALANCE_GEOGRAPHIC,           /* the task's region, else the nearest */
    BALANCE_RANDOM,               /* from the command's seed */
    BALANCE_LEAST_RESPONSE_TIME,  /* measured time of a task, times those that would wait */
    BALANCE_CAPABILITY_BASED,     /* the best match: a specialist before who can do all */
    BALANCE_PREDICTIVE,           /* where the load is going, not where it is */
    BALANCE_CONSISTENT_HASH,      /* a key keeps its agent, unless that one has too much */
    BALANCE_STRATEGIES
};
const char *balance_strategy_name(enum balance_strategy strategy);
bool balance_strategy_of(struct slice name, enum balance_strategy *out); /* any case */

struct balance;
struct balance *balance_new(void);
void balance_free(struct balance *balance); /* NULL is fine */
void balance_forget(struct balance *balance);

/* The strategy of an app. neighbours, for geographic: lists of regions, each a pack_slice() of
 * words packed as in a row: a region, then those nearest to it, nearest first; copied, may be
 * empty. What was learned stays. */
void balance_use(struct balance *balance, uint32_t app, enum balance_strategy strategy,
                 struct slice neighbours);
enum balance_strategy balance_strategy(const struct balance *balance, uint32_t app);
/* Every app has the default again: before the stored strategies are read back. */
void balance_use_defaults(struct balance *balance);

/* An agent that may do the task. Those whose slots are all taken belong into the list (the bound of
 * consistent_hash counts them) and are never picked. */
struct balance_candidate {
    uint32_t number;
    uint32_t running, slots;
    struct load_parts use;            /* as it reported */
    double load;                      /* liveness_load() of the same report */
    int64_t reported_ms;              /* when; 0: never */
    struct slice region;              /* empty: unknown */
    const struct words *capabilities; /* NULL: unknown */
};

/* The task. */
struct balance_ask {
    uint32_t app;
    int64_t now_ms;
    const uint8_t *seed; /* of the command, at least 8 bytes */
    struct slice region; /* where it would best be done; may be empty */
    struct slice key;    /* consistent_hash: equal keys meet the same agent; empty: any */
    const struct words *capabilities; /* that it wants; may be NULL */
};

/* Whom the list must have: of ten thousand agents a pick should not look at each. */
enum balance_reach {
    BALANCE_AMONG_LEAST,       /* of a fair sample who has the fewest tasks, ties as above */
    BALANCE_AMONG_SAMPLE,      /* a fair sample of those with a free slot will do */
    BALANCE_AMONG_NEXT,        /* the first with a free slot behind balance_last(), going round */
    BALANCE_AMONG_KEYED,       /* by balance_key_place() the highest that has not too much */
    BALANCE_AMONG_SPECIALISTS, /* of a sample those who can do the least */
    BALANCE_AMONG_NEAREST,     /* of those who are the nearest by balance_distance() a sample */
};
enum balance_reach balance_reach(const struct balance *balance, const struct balance_ask *ask);
/* The count of picks when an agent was picked last; 0: never. */
uint64_t balance_picked_at(const struct balance *balance, uint32_t number);
/* The number of the agent picked last; 0: none. */
uint32_t balance_last(const struct balance *balance, uint32_t app);
/* geographic: how far a region is from that of a task; 0: it is the same. */
double balance_distance(const struct balance *balance, uint32_t app, struct slice from,
                        struct slice to);
/* consistent_hash: whose the key is, the highest first; the tasks of which an agent with so many
 * slots has too much, when all together have so many. */
double balance_key_place(struct slice key, uint32_t number);
double balance_key_bound(double running_all, double slots_all, uint32_t slots);

/* The index of the chosen one, or BALANCE_NOBODY when nobody has a free slot. A pick moves the
 * strategy on: give the task, or abort the batch. */
enum { BALANCE_NOBODY = -1 };
int64_t balance_pick(struct balance *balance, const struct balance_ask *ask,
                     const struct balance_candidate *list, uint32_t n);

/* What became of picks, and of tasks given without one: measured, then used. */
void balance_assigned(struct balance *balance, uint32_t app, uint32_t number);
/* took_ms: from giving the task to its end. A task that was lost or failed says little of time. */
void balance_finished(struct balance *balance, uint32_t app, uint32_t number, bool ok,
                      int64_t took_ms);

/* Since the start; what was held then was assigned at it. */
struct balance_totals {
    uint64_t assigned, succeeded, failed;
};
struct balance_totals balance_totals(const struct balance *balance, uint32_t app);

struct balance_figures {
    uint64_t assigned, succeeded, failed;
    double success;     /* moving average; 1 before the first */
    double response_ms; /* moving average; 0: not known */
    double level;       /* of the load, smoothed, */
    double trend;       /* and its change in a second */
};
/* False: nothing is known of it; out then says so too. */
bool balance_figures(const struct balance *balance, uint32_t number, struct balance_figures *out);
/* The next agent of whom something is known, by number; 0: none. */
uint32_t balance_next(const struct balance *balance, uint32_t after, struct balance_figures *out);
/* The next agent, by number, whose averages of tasks moved since they were asked for here; 0: none.
 */
uint32_t balance_learned(struct balance *balance, uint32_t after, struct balance_figures *out);
/* As they were in an earlier life: success and response_ms of these figures count. */
void balance_remember(struct balance *balance, uint32_t number,
                      const struct balance_figures *figures);
/* Its weight for so many slots: slots, less where its tasks fail; a tenth stays, or it could never
 * do better. */
double balance_weight(const struct balance_figures *figures, uint32_t slots);

#endif
