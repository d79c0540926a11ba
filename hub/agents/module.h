/* hub/agents/module.h: the registry of agents on the writer: commands, deadlines, what they tell
 * the channels.
 *
 * Bodies are packed where a command enters (…_put) and read by its apply function; replies
 * likewise. Rules    rest-contract.md section 3, semantics.md section 1.
 */
#ifndef WAGGLE_HUB_AGENTS_MODULE_H
#define WAGGLE_HUB_AGENTS_MODULE_H

#include "hub/agents/liveness.h"
#include "hub/core/asker.h"
#include "hub/core/hub.h"

enum { MODULE_AGENTS = 0 };

extern const struct module agents_module;

/* Who hears, on the writer and in the same transaction, that an agent registered or changed its
 * state. before is AGENT_STATUSES when it was not known. a->state is the watcher's own module's.
 * What it returns but HUB_OK aborts the batch. */
struct agent_watcher {
    uint8_t module;
    enum hub_rc (*changed)(struct apply *a, const struct agent *agent, enum agent_status before);
};

struct agents_options {
    struct pulses *pulses;
    _Atomic(const struct hub_settings *) *settings;
    const struct agent_watcher *watchers; /* kept, not copied */
    unsigned watchers_n;
};

struct agent_register {
    struct asker asker;
    struct agent agent;  /* id, type, words, documents, region, version, slots, public key */
    uint64_t connection; /* that will hold its session; 0: REST */
    bool created; /* by somebody else, before it comes: inactive, and the owner is the agent itself
                   */
    struct slice sealed; /* comes back in the reply: what its maker is to be shown */
};
void agent_register_put(struct buf *b, const struct agent_register *r);
/* Replies: id is borrowed from them. */
struct agent_registered {
    struct slice id;
    int64_t at_ms;
    uint32_t interval_ms, epoch, number;
    int64_t lease_ms;
    struct slice sealed;
};
bool agent_registered_get(struct slice reply, struct agent_registered *out);

struct agent_change {
    struct asker asker;
    struct slice id;
    bool has_status;
    enum agent_status status;
    struct metrics metrics;
    struct slice reason;
    uint32_t session; /* only while it is this one; 0: whichever */
};
void agent_change_put(struct buf *b, const struct agent_change *change);
struct agent_changed {
    struct slice id;
    int64_t at_ms;
    enum agent_status status;
};
bool agent_changed_get(struct slice reply, struct agent_changed *out);

/* A beat: number and app were looked up by the I/O thread; volatile. */
void agent_beat_put(struct buf *b, uint32_t number, const struct metrics *metrics);
/* … with a reply, agent_changed_get(): somebody waits until it counts. */
void agent_beat_asked_put(struct buf *b, uint32_t number, const struct metrics *metrics,
                          struct slice id);
/* The session's connection closed. */
void agent_gone_put(struct buf *b, uint32_t number, uint32_t epoch, uint64_t connection);

/* Its last task is gone: a draining agent is looked at at once. */
void agents_released(void *module_state, uint32_t number, int64_t now_ms);

extern const struct command_kind command_agent_register;
extern const struct command_kind command_agent_change;     /* status, load */
extern const struct command_kind command_agent_deregister; /* body: agent_change_put */
extern const struct command_kind command_agent_beat;
extern const struct command_kind command_agent_gone;

/* Counts by status, for metrics and statistics; any thread. */
struct agents_counts {
    uint64_t by_status[AGENT_STATUSES];
};
void agents_counts(void *module_state, struct agents_counts *out);

struct liveness_rules liveness_rules_of(const struct hub_settings *settings);

#endif
