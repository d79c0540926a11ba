/* hub/networks/advice.h: what would make a network better, judged by what its agents did. Pure.
 *
 * Nothing is said without figures: each piece of advice carries what was observed, what it is held
 * against, and out of how many.
 *
 * Threads  any.       Units  milliseconds; shares 0..1.
 */
#ifndef WAGGLE_HUB_NETWORKS_ADVICE_H
#define WAGGLE_HUB_NETWORKS_ADVICE_H

#include "hub/swarms/strategy.h"

enum advice_objective { FOR_EFFICIENCY, FOR_SPEED, FOR_COST, FOR_QUALITY, OBJECTIVES };
bool advice_objective_of(struct slice name, enum advice_objective *out);

struct agent_record {
    struct slice id;
    bool lives; /* registered, and active or busy */
    uint32_t done, failed;
    int64_t ms; /* that what is done took, all together */
};
struct network_record {
    enum work_strategy strategy;
    const struct agent_record *agents;
    uint32_t agents_n;
    uint32_t executions; /* that have ended */
    uint32_t failed;     /* of them */
    int64_t work_ms;     /* they took, all together */
    int64_t part_ms;     /* the agents worked in them */
    int64_t capacity_ms; /* the agents could have worked in them */
};

enum advice_kind {
    ADVICE_UNAVAILABLE, /* an agent is not there */
    ADVICE_UNBALANCED,  /* one agent did much more than its share */
    ADVICE_SLOW,        /* one agent takes much longer than the others */
    ADVICE_UNRELIABLE,  /* one agent fails often */
    ADVICE_IDLE,        /* one agent did nothing */
    ADVICE_SEQUENTIAL,  /* one works while the others wait */
    ADVICE_REDUNDANT,   /* all do the same */
    ADVICE_SATURATED,   /* nobody ever waits for work */
    ADVICE_KINDS
};
enum advice_impact { IMPACT_LOW, IMPACT_MEDIUM, IMPACT_HIGH };
struct advice {
    enum advice_kind kind;
    enum advice_impact impact;
    uint32_t agent; /* index; ADVICE_NO_AGENT */
    double observed, expected;
    uint32_t sample; /* parts or executions that it is drawn from */
};
#define ADVICE_NO_AGENT UINT32_MAX
enum { ADVICE_MAX = 32 };
const char *advice_name(enum advice_kind kind);
const char *advice_unit(enum advice_kind kind); /* of what is observed and expected */
const char *advice_impact_name(enum advice_impact impact);

/* What matters for the objective, the weightiest first; returns how many. */
uint32_t advise(const struct network_record *record, enum advice_objective objective,
                struct advice out[ADVICE_MAX]);

#endif
