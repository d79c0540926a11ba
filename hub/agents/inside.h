/* hub/agents/inside.h: what the writer keeps of agents in memory, shared by the files of this room;
 * included by these only.
 *
 * Threads  the writer; counts by status are read by any.
 */
#ifndef WAGGLE_HUB_AGENTS_INSIDE_H
#define WAGGLE_HUB_AGENTS_INSIDE_H

#include "hub/agents/module.h"
#include "hub/core/why.h"

/* Of each agent: when it is to be looked at next, and who holds its session. */
struct watch {
    int64_t due_ms;    /* INT64_MAX: never */
    int64_t closed_ms; /* its stream closed then; 0: it did not */
    uint64_t connection;
    uint32_t heap_at; /* place in the heap */
    uint32_t app, interval_ms, epoch;
    uint8_t status; /* AGENT_STATUSES: no such agent */
    bool graced;    /* known at the start, not heard of since: has the start's grace */
};

struct agents {
    struct agents_options options;
    struct watch *watches; /* by number */
    uint32_t n, cap;       /* numbers in use: 1..n */
    uint32_t *heap;
    uint32_t heap_n;
    uint32_t *changed; /* numbers whose standing others learn when it is on disk */
    uint32_t changed_n, changed_cap;
    int64_t grace_until_ms;
    uint32_t live; /* not deregistered */
    _Atomic uint64_t by_status[AGENT_STATUSES];
};

static inline const struct hub_settings *agents_settings(const struct agents *agents)
{
    return atomic_load(agents->options.settings);
}

static inline bool is_watched(uint8_t status)
{
    return status < AGENT_STATUSES && !agent_has_departed((enum agent_status)status);
}

/* watch.c */
void watch_due_set(struct agents *agents, uint32_t number, int64_t due_ms);
struct watch *watch_add(struct agents *agents, uint32_t number); /* or finds it */
void watch_status(struct agents *agents, uint32_t number, enum agent_status status);
/* From when its silence counts. */
int64_t watch_silent_ms(const struct agents *agents, uint32_t number, int64_t otherwise,
                        struct pulse *out);
bool watch_has_drained(const struct agents *agents, uint32_t number, enum agent_status status);
/* When the agent must be looked at next, given from when it is silent. */
int64_t watch_next_look(const struct agents *agents, uint32_t number, int64_t silent_ms,
                        const struct pulse *pulse);
void watch_again(struct agents *agents, uint32_t number, int64_t now_ms);
int64_t agents_next_due(void *state);

/* memory.c */
void *agents_open(const void *options);
void agents_close(void *state);
enum hub_rc agents_load(void *state, struct store_view *view, int64_t now_ms);
void agents_recall(const void *state, bool lasting, struct buf *out);
/* Others learn of its standing when it is on disk. */
void agent_note_changed(struct agents *agents, uint32_t number);
void agents_settled(void *state);
bool agents_hold_back(const void *state);

/* change.c */
/* A row of its own, as a write moves what the view lent. */
struct held_agent {
    struct buf bytes;
    struct agent agent;
};

enum hub_rc agent_hold(struct apply *a, struct slice id, struct held_agent *out);
enum hub_rc agent_hold_number(struct apply *a, uint32_t number, struct held_agent *out);
/* before: AGENT_STATUSES when it was not known. */
enum hub_rc agent_tell_watchers(struct apply *a, const struct agent *agent,
                                enum agent_status before);
enum hub_rc agent_tell(struct apply *a, const struct agent *agent, const char *event,
                       enum agent_status before, const struct why *why);
enum hub_rc agent_change_to(struct apply *a, struct held_agent *held, enum agent_status status,
                            const char *event, const struct why *why);

/* beats.c. A beat, from wherever it comes: moves the pulse. False: too many metrics. */
bool agent_beat(struct agents *agents, uint32_t number, const struct metrics *metrics,
                int64_t now_ms);
void agent_revive(struct agents *agents, const struct agent *agent);

/* status.c */
void agent_reply_changed(struct apply *a, struct command *command, struct slice id,
                         enum agent_status status);

/* silence.c */
bool agent_must_be_told(struct slice body); /* true: see struct command_kind, must */
bool agents_expire(void *state, int64_t now_ms, struct tray *tray);

#endif
