/* hub/agents/pulses.h: the last beat of every agent, in memory: a heartbeat is not a write
 * (design.md section 3).
 *
 * Beside it how many tasks the agent holds, and until when it is offered none as it let offers
 * lapse, so that who shows it can say so: both are written nowhere. One slot an agent number, moved
 * by the writer alone and read by anybody: a count before and after the change tells a reader to
 * look again (a sequence lock), so nobody waits. Who departs leaves no slot behind.
 *
 * Owns     its slots.      Threads  …_put, …_drop, …_own: the writer. Others: any.
 * Units    milliseconds since 1970.
 */
#ifndef WAGGLE_HUB_AGENTS_PULSES_H
#define WAGGLE_HUB_AGENTS_PULSES_H

#include "hub/agents/agent.h"

struct pulses;

struct pulse {
    int64_t seen_ms;   /* its last beat; 0: there is no pulse */
    int64_t silent_ms; /* from when its silence counts: the same, or the start of the hub */
    uint64_t beats;
    double phi_mean_ms, phi_deviation_ms; /* of the gaps between beats */
    uint32_t samples;
    struct metrics metrics;
};

struct pulses *pulses_new(void);
void pulses_free(struct pulses *pulses); /* NULL is fine */
void pulse_put(struct pulses *pulses, uint32_t number, const struct pulse *pulse);
/* Its pulse and what it holds are forgotten. */
void pulse_drop(struct pulses *pulses, uint32_t number);
/* What others may know of an agent without a look into the store: its newest registration, and
 * what it is since. It is put when that is on disk and before anybody is told. */
struct agent_standing {
    uint32_t epoch; /* 0: not known */
    enum agent_status status;
};
void standing_put(struct pulses *pulses, uint32_t number, struct agent_standing standing);
struct agent_standing standing_get(const struct pulses *pulses, uint32_t number);
/* False: none. */
bool pulse_get(const struct pulses *pulses, uint32_t number, struct pulse *out);
bool pulse_get_own(const struct pulses *pulses, uint32_t number, struct pulse *out);
void pulse_held_put(struct pulses *pulses, uint32_t number, uint32_t held);
uint32_t pulse_held(const struct pulses *pulses, uint32_t number);
void pulse_paused_put(struct pulses *pulses, uint32_t number, int64_t until_ms); /* 0: it is not */
int64_t pulse_paused(const struct pulses *pulses, uint32_t number);

#endif
