/* hub/tasks/module.h: tasks on the writer: commands, leases and their clock, who gets which, what
 * they tell the channels.
 *
 * Bodies are packed where a command enters (…_put) and read by its apply function; replies
 * likewise. Every change of a task is an event on `tasks` and `task.<id>` in the same transaction;
 * an offer is one on `agent.<id>` too.
 * Rules    semantics.md section 2, rest-contract.md section 3.
 */
#ifndef WAGGLE_HUB_TASKS_MODULE_H
#define WAGGLE_HUB_TASKS_MODULE_H

#include "hub/agents/module.h"
#include "hub/tasks/task.h"

enum { MODULE_TASKS = 2 };

struct balance; /* hub/tasks/balance.h */

extern const struct module tasks_module;
/* For the options of the agents' module: an agent that is gone loses its leases, one that is there
 * gets work. */
enum hub_rc tasks_agent_changed(struct apply *a, const struct agent *agent,
                                enum agent_status before);

/* Who hears, on the writer and in the same transaction, of each change of the tasks of its groups
 * (task.group.module is the watcher's module and one). before is TASK_NONE when the task is new.
 * The change is written already; submitting and cancelling from within are allowed. a->state is the
 * watcher's own module's. What it returns but HUB_OK aborts the batch. */
struct task_watcher {
    uint8_t module;
    enum hub_rc (*changed)(struct apply *a, const struct task *task, enum task_state before);
};

struct tasks_options {
    struct pulses *pulses;
    _Atomic(const struct hub_settings *) *settings;
    const struct task_watcher *watchers; /* kept, not copied */
    unsigned watchers_n;
    uint64_t life; /* task_life() of the store */
};

/* ---- for other parts of the domain ---- */

struct task_spec {
    struct slice id; /* empty: minted */
    bool uuid;       /* … in that form */
    struct slice owner;
    enum task_priority priority; /* beware: 0 is urgent */
    struct slice data; /* JSON object; "{}" when empty. No text may lie in the store's map */
    struct task_needs needs;
    struct words prefer;
    struct slice region, fairness, sticky;
    int64_t delay_ms, start_within_ms, close_within_ms, total_within_ms,
        input_within_ms;   /* 0: no */
    int64_t lease_ms;      /* 0: the hub's */
    uint16_t attempts_max; /* 0: the hub's */
    struct task_group group;
    uint64_t replay_of;
    struct slice by; /* who has it done again; empty: its owner, whom no event names */
};

/* Within any apply function. a->seed goes into a minted id: give `nth` another value for each task
 * of one command. *out_number names it from then on; task_get() has its row. */
enum hub_rc task_submit_inside(struct apply *a, const struct task_spec *spec, uint32_t nth,
                               uint64_t *out_number);
/* What is over stays as it is: HUB_OK. */
enum hub_rc task_cancel_inside(struct apply *a, uint64_t number, enum task_stop stop);

/* Its agent goes on without it: it is told to stop, others get the task, and it never comes back to
 * that agent. Neither is blamed. What is not held stays as it is: HUB_OK. */
enum hub_rc task_return_inside(struct apply *a, uint64_t number);
/* Of the agents that may do it, by name, those that it says may no longer: others are asked. Who
 * has it in hand may end it; else, when nobody is left, it is cancelled. */
typedef bool task_forgoes(void *ctx, struct slice agent);
enum hub_rc task_forgo_inside(struct apply *a, uint64_t number, task_forgoes *forgoes, void *ctx);

/* The strategies and what they learned, for who changes and shows them; the writer's. */
struct balance *tasks_balance(void *module_state);
/* Tasks that an agent holds now, by its number; the writer's. */
uint32_t tasks_held_by(const void *module_state, uint32_t agent);
/* Their numbers, appended with pack_u64. */
void tasks_held_put(const void *module_state, uint32_t agent, struct buf *out);
/* Active agents that hold as many tasks as they have slots: shown as busy; any thread. */
uint64_t tasks_busy_agents(const void *module_state);

/* ---- commands ---- */

struct task_submit {
    struct asker asker;
    struct slice said; /* the priority, as it was written; comes back in the reply */
    struct task_spec spec;
};
void task_submit_put(struct buf *b, const struct task_submit *submit);
struct task_submitted {
    uint64_t number;
    int64_t at_ms;
    enum task_priority priority;
    enum task_state state;
    bool again; /* the same id and the same body as before: that task */
    struct slice id, said;
};
bool task_submitted_get(struct slice reply, struct task_submitted *out);

/* What is done to one task. Which of the fields count, the command says. */
struct task_act {
    struct asker asker;
    struct slice id;
    struct task_lease lease; /* the one given; number 0: none was */
    bool has_percent, final; /* final: trying again is no use */
    uint8_t percent;
    uint64_t seq;          /* of progress; 0: the next */
    int64_t after_ms;      /* a retry waits so long; -1: as the hub does */
    struct slice text;     /* note, error, question, reason */
    struct slice document; /* result, input: JSON */
};
void task_act_put(struct buf *b, const struct task_act *act);
struct task_acted {
    int64_t at_ms, until_ms; /* until: the lease, or a retry's time; 0: neither */
    enum task_state state;
    uint16_t attempts, redeliveries;
    uint32_t lease;
    int64_t lease_ms; /* its whole span */
    bool stored;      /* progress: it was newer, and the moment had come to keep it */
    uint64_t number;
    struct slice id, data, given; /* of an accepted task: its data, input it was given */
};
bool task_acted_get(struct slice reply, struct task_acted *out);

extern const struct command_kind command_task_submit;
extern const struct command_kind command_task_accept;
extern const struct command_kind command_task_reject;
extern const struct command_kind command_task_progress;
extern const struct command_kind command_task_complete;
extern const struct command_kind command_task_fail;
extern const struct command_kind command_task_ask;    /* needs input */
extern const struct command_kind command_task_input;  /* … gets it */
extern const struct command_kind command_task_cancel; /* confirms too, with the lease */
extern const struct command_kind command_task_replay; /* reply: task_submitted */

/* One frame renews all leases of an agent; the reply names those that are lost. */
/* strict: one that is lost refuses the command instead. */
void task_renew_put(struct buf *b, const struct asker *asker, bool strict,
                    const struct task_lease *leases, uint32_t n);
struct task_renewed {
    int64_t at_ms;
    uint32_t n;        /* renewed, or lost */
    struct slice rest; /* read with task_renewed_next */
};
bool task_renewed_get(struct slice reply, struct task_renewed *out);
/* until_ms 0: lost, stop it. */
bool task_renewed_next(struct task_renewed *renewed, struct task_lease *out, int64_t *out_until_ms);
extern const struct command_kind command_task_renew;

/* Many at once, a bounded count a command: queued tasks of one priority away, dead ones again, or
 * out of the list of dead letters. */
struct task_many {
    struct asker asker;
    struct slice said;           /* the priority, as it was written; comes back in the reply */
    enum task_priority priority; /* TASK_PRIORITIES: any */
    enum task_stop stop;         /* STOP_NONE: any */
    uint32_t n_max;
    struct slice reason; /* of clearing */
};
void task_many_put(struct buf *b, const struct task_many *many);
struct task_did_many {
    struct slice said;
    int64_t at_ms;
    uint32_t n;
    bool more; /* there may be more of them */
};
bool task_did_many_get(struct slice reply, struct task_did_many *out);
extern const struct command_kind command_tasks_clear;
extern const struct command_kind command_tasks_replay;
extern const struct command_kind command_tasks_purge;

/* ---- figures, for any thread ---- */

enum { TASK_WAIT_BUCKETS = 16 };
struct tasks_figures {
    struct task_totals totals;
    uint64_t queued[TASK_PRIORITIES];
    uint64_t wait_ms[TASK_WAIT_BUCKETS]; /* bucket i: offered within 2^i ms of being queued */
    uint64_t offers, offer_wait_ms;      /* since the start */
};
/* app 0: all of them together. */
void tasks_figures(void *module_state, uint32_t app, struct tasks_figures *out);

#endif
