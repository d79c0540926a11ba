/* hub/swarms/swarm.h: swarms and their members as they are stored: rows, states, look-ups.
 *
 * Rows     TABLE_SWARM: number (4) -> row. TABLE_SWARM_MEMBER: number (4) -> row.
 *          TABLE_SWARM_INDEX: kind (1), app (4), what the kind says -> number (4) or nothing.
 *          Numbers are dense and for good.
 * Owns     nothing: rows are borrowed; see swarm_hold(), member_hold().
 * Threads  writes: the writer. Reads: any view.
 * Rules    semantics.md section 6 "Swarm member", "Traps in the seeds".
 */
#ifndef WAGGLE_HUB_SWARMS_SWARM_H
#define WAGGLE_HUB_SWARMS_SWARM_H

#include "hub/agents/agent.h"
#include "hub/core/asker.h"
#include "hub/swarms/work.h"

enum {
    SWARM_ID_BYTES = 22,  /* swarm_<hex16> */
    MEMBER_ID_BYTES = 23, /* member_<hex16> */
    SWARM_WORD_BYTES_MAX = 128,
    SWARM_MEMBERS_MAX = 10000,
};

enum member_state {
    MEMBER_NONE,    /* not there; in the table of changes: not allowed */
    MEMBER_JOINING, /* its agent has not registered yet */
    MEMBER_ACTIVE,
    MEMBER_SUSPENDED, /* its agent is stale, away or takes no work */
    MEMBER_LEFT,
    MEMBER_EVICTED, /* its agent is gone, or was away for too long */
    MEMBER_STATES
};
enum member_event {
    MEMBER_AGENT_LIVES,
    MEMBER_AGENT_STALE,
    MEMBER_AGENT_GONE,
    MEMBER_LEAVES,
    MEMBER_STAYS_AWAY,
    MEMBER_EVENTS
};
/* MEMBER_NONE: nothing changes. */
enum member_state member_next(enum member_state state, enum member_event event);
bool member_is_there(enum member_state state); /* neither left nor evicted */

enum swarm_role {
    SWARM_LOAD_BALANCER,
    SWARM_RESOURCE_OPTIMIZER,
    SWARM_TASK_COORDINATOR,
    SWARM_MONITOR,
    SWARM_WORKER,
    SWARM_ROLES
};
const char *member_state_name(enum member_state state);
bool member_state_of(struct slice name, enum member_state *out);
const char *swarm_role_name(enum swarm_role role);
bool swarm_role_of(struct slice name, enum swarm_role *out);

struct swarm {
    uint32_t number, app;
    struct slice id, owner;
    struct slice capability; /* of the member that founded it: who comes with the same joins it */
    uint32_t members_n;      /* that are there */
    int64_t created_ms, changed_ms;
};
struct member {
    uint32_t number, app, swarm;
    struct slice id, owner;
    struct slice agent;    /* id, whether such an agent is registered or not */
    uint32_t agent_number; /* 0: not registered */
    enum swarm_role role;
    struct slice capability, region;
    enum task_priority priority;
    enum member_state state;
    int64_t joined_ms, left_ms;
};

enum store_rc swarm_get(struct store_view *view, uint32_t number, struct swarm *out);
enum store_rc swarm_find(struct store_view *view, uint32_t app, struct slice id, struct swarm *out);
enum store_rc swarm_hold(struct store_view *view, uint32_t number, struct buf *bytes,
                         struct swarm *out);
enum store_rc swarm_put(struct store_txn *txn, const struct swarm *swarm, bool new);
/* After its members became some or none: whether swarms_each() finds it. */
enum store_rc swarm_peopled_put(struct store_txn *txn, const struct swarm *swarm);
/* For all of a store that was written before there was swarm_peopled_put(). */
enum store_rc swarms_peopled_again(struct store_txn *txn, struct store_view *view);
enum store_rc swarm_newest(struct store_view *view, uint32_t *out);

enum store_rc member_get(struct store_view *view, uint32_t number, struct member *out);
enum store_rc member_find(struct store_view *view, uint32_t app, struct slice id,
                          struct member *out);
enum store_rc member_hold(struct store_view *view, uint32_t number, struct buf *bytes,
                          struct member *out);
enum store_rc member_put(struct store_txn *txn, const struct member *member, bool new);
enum store_rc member_newest(struct store_view *view, uint32_t *out);

/* In order of their numbers; the visitor returns false to stop. */
typedef bool member_visit(void *ctx, const struct member *member);
enum store_rc members_each(struct store_view *view, uint32_t swarm, member_visit *visit, void *ctx);
/* All that an agent is a member of, by its id, from member number `from` on. */
enum store_rc members_of_agent(struct store_view *view, uint32_t app, struct slice agent,
                               uint32_t from, member_visit *visit, void *ctx);
/* Swarms of an app that somebody is in, newest first; capability: those alone that were founded
 * with it, empty: all. */
typedef bool swarm_visit(void *ctx, const struct swarm *swarm);
enum store_rc swarms_each(struct store_view *view, uint32_t app, struct slice capability,
                          swarm_visit *visit, void *ctx);

/* Owners see their swarm, and so do those who have a member in it. */
bool swarm_visible(struct store_view *view, const struct swarm *swarm, const struct asker *asker);

#endif
