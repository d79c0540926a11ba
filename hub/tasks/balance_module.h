/* hub/tasks/balance_module.h: the strategy in force, stored and changed at run time, and what the
 * load balancer counted.
 *
 * Rows     TABLE_BALANCE: app (4) -> name of the strategy, neighbours of regions.
 * Threads  balance_load, apply functions: the writer.
 * Rules    rest-contract.md section 3: a change loses nothing and holds from the next pick on.
 */
#ifndef WAGGLE_HUB_TASKS_BALANCE_MODULE_H
#define WAGGLE_HUB_TASKS_BALANCE_MODULE_H

#include "hub/core/apply.h"
#include "hub/core/why.h"
#include "hub/tasks/balance.h"

/* The stored strategies; of the tasks' load(). */
enum hub_rc balance_load(struct balance *balance, struct store_view *view);

/* What was learned of the agents' tasks, for the next life: of each agent of whom something new is
 * known one small row, once a minute and some at a time, in the transaction of a batch that there
 * is anyway. A task writes none. */
struct balance_keeping {
    int64_t due_ms;
    uint32_t at; /* agents up to this one are done; 0: no round is under way */
};
enum hub_rc balance_keep(struct apply *a, struct balance *balance, struct balance_keeping *keeping);
enum hub_rc balance_recall(struct balance *balance, struct store_view *view); /* at a start */

struct balance_change {
    enum balance_strategy strategy;
    bool has_neighbours; /* else they stay as they are */
    struct slice neighbours;
    struct slice said; /* the strategy's name in the caller's words */
    struct why why;
};
void balance_change_put(struct buf *b, const struct balance_change *change);
extern const struct command_kind command_balance_change;
bool balance_changed_get(struct slice reply, struct slice *out_said, int64_t *out_at_ms);

/* Body: how many agents at most (4). Agents of all apps are named: who shows them knows whose they
 * are. */
extern const struct command_kind command_balance_stats;
struct balance_stats {
    enum balance_strategy strategy;
    struct balance_totals totals;
    uint32_t n;        /* agents that were given something, or failed it */
    struct slice rest; /* of them, read with balance_stats_next() */
};
bool balance_stats_get(struct slice reply, struct balance_stats *out);
bool balance_stats_next(struct balance_stats *stats, uint32_t *out_number,
                        struct balance_figures *out);

#endif
