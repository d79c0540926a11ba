/* hub/swarms/run.h: a piece of work from its beginning to its one outcome, on the writer.
 *
 * Parts become tasks; the tasks' ends drive it on. It ends once: what comes in later is recorded
 * and not merged. Events, one for each change of its state and each end of a part, go to the team's
 * channel in the same transaction. It keeps nothing in memory.
 *
 * Threads  the writer, within apply functions.
 * Rules    semantics.md section 6 "Swarm coordinate".
 */
#ifndef WAGGLE_HUB_SWARMS_RUN_H
#define WAGGLE_HUB_SWARMS_RUN_H

#include "hub/core/why.h"
#include "hub/swarms/work.h"
#include "hub/tasks/module.h"

enum { TIMER_WORK_DEADLINE = 64, TIMER_WORK_STRAGGLER = 65 };

struct work_spec {
    struct slice id; /* empty: minted, */
    bool uuid;       /* … in that form */
    struct slice owner, channel;
    enum team_kind team_kind;
    uint32_t team;
    struct slice strategy_name;
    enum work_strategy strategy;
    enum task_priority priority;
    bool has_require; /* else as the strategy has it */
    struct require require;
    bool has_reducer;
    enum reducer reducer;
    struct slice field, by;
    uint32_t top;
    bool called;
    uint32_t shards;      /* 0: as the strategy has it */
    int64_t timeout_ms;   /* more than 0 */
    struct slice input;   /* JSON object; a list in it that work_items() finds is shared out */
    struct slice members; /* packed with work_member_pack() */
    uint32_t members_n;   /* at least one */
};
void work_spec_pack(struct buf *b, const struct work_spec *spec);
bool work_spec_unpack(struct unpack *u, struct work_spec *out);

/* The list that is shared out, and its name: items, subtasks, stages or parts; NULL: none. */
json_t *work_items(const json_t *input, const char **out_name);

/* Gives its first tasks. row keeps what out borrows from. */
enum hub_rc work_begin(struct apply *a, const struct work_spec *spec, struct buf *row,
                       struct work *out);
/* What is over stays as it is. */
enum hub_rc work_cancel(struct apply *a, uint64_t number, enum work_stop stop,
                        const struct why *why);
/* All that runs of a team. */
enum hub_rc works_cancel_team(struct apply *a, enum team_kind kind, uint32_t team);

/* Of tasks' watcher. */
enum hub_rc works_task_changed(struct apply *a, const struct task *task, enum task_state before);
/* An agent is gone: parts that only it may do end. */
enum hub_rc works_agent_gone(struct apply *a, const struct agent *agent);

/* A member leaves its swarm and hands back what its agent holds for it: others do it, or, where
 * only that member may, the part ends. */
enum hub_rc works_hand_back(struct apply *a, uint32_t swarm, uint32_t agent);
/* Members have left the swarm: nothing more of its works comes to their agents. */
enum hub_rc works_members_left(struct apply *a, uint32_t swarm);

extern const struct command_kind command_work_deadline, command_work_straggler; /* of timers */

#endif
