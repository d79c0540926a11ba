/* hub/agents/liveness.h: when an agent is stale or inactive, and how healthy it is: pure
 * arithmetic.
 *
 * Threads  any.      Units  milliseconds; health 0..1.
 * Rules    semantics.md section 1: stale after suspect_intervals, or at φ >= 8 once ten gaps are
 * known, whichever is first, or when its stream closes; inactive after heartbeat_timeout, or
 * reconnect_ms after its stream closed.
 */
#ifndef WAGGLE_HUB_AGENTS_LIVENESS_H
#define WAGGLE_HUB_AGENTS_LIVENESS_H

#include "hub/agents/pulses.h"

struct liveness_rules {
    int64_t timeout_ms, reconnect_ms;
    uint32_t suspect_intervals;
};

/* Silence after which the agent is suspected. */
int64_t liveness_stale_after(const struct liveness_rules *rules, uint32_t interval_ms,
                             const struct pulse *pulse);
/* φ = -log10(1 - F(silence)), Akka's form: one interval of pause allowed, deviation at least a
 * tenth of the interval and 100 ms; 0 before ten gaps are known. Never negative, at most 300. */
double liveness_phi(const struct pulse *pulse, uint32_t interval_ms, int64_t silence_ms);
/* Takes a gap between two beats into the statistics: the newest thousand or so count. */
void liveness_gap(struct pulse *pulse, int64_t gap_ms);

struct health {
    double total, freshness, success, load;
};
struct health liveness_health(const struct liveness_rules *rules, const struct agent *agent,
                              const struct metrics *metrics, int64_t silence_ms);
/* What an agent reports of itself, each 0..1; below 0: it does not say. Values past 1 are taken as
 * percent. */
struct load_parts {
    double cpu, memory, queue;
};
struct load_parts liveness_parts(const struct metrics *metrics);
/* 0..1 from what an agent reports: `load`, else the seed's 0.4 cpu, 0.3 memory, 0.3 queue; values
 * past 1 are taken as percent. */
double liveness_load(const struct metrics *metrics);

#endif
