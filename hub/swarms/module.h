/* hub/swarms/module.h: swarms on the writer: joining, leaving, what becomes of members whose agents
 * come and go, and work for them.
 *
 * Bodies are packed where a command enters (…_put) and read by its apply function; replies
 * likewise. Every change is an event on `swarm.<id>` in the same transaction. The module keeps
 * nothing of the store in memory.
 * Rules    semantics.md section 6, rest-contract.md section 2.
 */
#ifndef WAGGLE_HUB_SWARMS_MODULE_H
#define WAGGLE_HUB_SWARMS_MODULE_H

#include "hub/swarms/run.h"
#include "hub/swarms/swarm.h"

enum { MODULE_SWARMS = 4 };

extern const struct module swarms_module;

struct swarms_options {
    _Atomic(const struct hub_settings *) *settings;
};

/* For the options of the agents' and of the tasks' module. */
enum hub_rc swarms_agent_changed(struct apply *a, const struct agent *agent,
                                 enum agent_status before);
/* All works, those of networks too, are tasks of this module's groups. */
enum hub_rc swarms_task_changed(struct apply *a, const struct task *task, enum task_state before);

struct swarm_join {
    struct asker asker;
    struct slice swarm_id; /* empty: the one for its capability, else a new one */
    struct slice agent;    /* id */
    bool agent_named;      /* by the caller, who has it come when it is inactive */
    enum swarm_role role;
    struct slice capability, region;
    enum task_priority priority;
};
void swarm_join_put(struct buf *b, const struct swarm_join *join);
struct swarm_joined {
    uint32_t member; /* number */
    bool again;      /* it was a member before */
};
bool swarm_joined_get(struct slice reply, struct swarm_joined *out);
extern const struct command_kind command_swarm_join;

struct swarm_leave {
    struct asker asker;
    struct slice swarm_id, member_id; /* member_id empty: all of the caller's in that swarm */
    struct slice reason;
    bool hands_back; /* what its agent holds for the swarm; else that is finished */
};
void swarm_leave_put(struct buf *b, const struct swarm_leave *leave);
struct swarm_left {
    int64_t at_ms;
    struct slice swarm_id;
    uint32_t n;
    struct slice ids; /* packed slices, n of them */
};
bool swarm_left_get(struct slice reply, struct swarm_left *out);
extern const struct command_kind command_swarm_leave;

struct swarm_coordinate {
    struct asker asker;
    struct slice swarm_id;   /* empty: the one with the most members for it */
    struct slice capability; /* of members; empty: any */
    struct words members;    /* ids, of members or agents; none: any */
    uint32_t members_max;    /* 0: all */
    struct work_spec spec;   /* without team and members */
};
void swarm_coordinate_put(struct buf *b, const struct swarm_coordinate *coordinate);
bool swarm_coordinated_get(struct slice reply, uint64_t *out_work);
extern const struct command_kind command_swarm_coordinate;

struct work_cancel {
    struct asker asker;
    struct slice id, reason;
};
void work_cancel_put(struct buf *b, const struct work_cancel *cancel);
extern const struct command_kind command_work_cancel; /* reply: the work's number */

/* By the member's id: its agent has no other membership there either. */
bool swarm_member_has_left(struct store_view *view, uint32_t app, struct slice member);
/* A member of the swarm by its own id or its agent's. */
bool swarm_member_named(struct store_view *view, uint32_t swarm, struct slice id,
                        uint32_t *out_number);
/* Owners see their work, and so does who has a member in its swarm. */
bool work_visible(struct store_view *view, const struct work *work, const struct asker *asker);

#endif
