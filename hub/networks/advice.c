#include "hub/networks/advice.h"
#include "store/mem.h"

#include <stdlib.h>

/* From how many on something is said at all, and how far off it must be. */
enum { PARTS_MIN = 10, PARTS_OF_ONE_MIN = 5, EXECUTIONS_MIN = 3 };
static const double SHARE_TOO_LARGE = 1.5; /* times an even share */
static const double TIME_TOO_LONG = 2;     /* times the median of the agents */
static const double FAILS_TOO_OFTEN = 0.2;
static const double USED_TOO_MUCH = 0.8;

enum { E = 1 << FOR_EFFICIENCY, S = 1 << FOR_SPEED, C = 1 << FOR_COST, Q = 1 << FOR_QUALITY };

static const struct {
    const char *name;
    const char *unit; /* of what is observed */
    unsigned objectives;
} kinds[ADVICE_KINDS] = {
    [ADVICE_UNAVAILABLE] = {"availability", "agents", E | S | Q},
    [ADVICE_UNBALANCED] = {"load_balancing", "share", E | S},
    [ADVICE_SLOW] = {"slow_agent", "ms", E | S},
    [ADVICE_UNRELIABLE] = {"unreliable_agent", "share", E | C | Q},
    [ADVICE_IDLE] = {"idle_agent", "share", E | C},
    [ADVICE_SEQUENTIAL] = {"parallelism", "share", E | S},
    [ADVICE_REDUNDANT] = {"redundancy", "times", E | C},
    [ADVICE_SATURATED] = {"capacity", "share", E | S},
};

const char *advice_name(enum advice_kind kind)
{
    return kinds[kind].name;
}

const char *advice_unit(enum advice_kind kind)
{
    return kinds[kind].unit;
}

const char *advice_impact_name(enum advice_impact impact)
{
    static const char *const names[] = {"low", "medium", "high"};
    return names[impact];
}

bool advice_objective_of(struct slice name, enum advice_objective *out)
{
    static const char *const names[OBJECTIVES] = {"efficiency", "speed", "cost", "quality"};
    for (unsigned i = 0; i < OBJECTIVES; i++) {
        if (slice_is(name, names[i])) {
            *out = (enum advice_objective)i;
            return true;
        }
    }
    return false;
}

struct advising {
    const struct network_record *record;
    unsigned objective;
    struct advice *out;
    uint32_t n;
    uint32_t parts; /* done, of all agents */
    double median_ms;
};

static void say(struct advising *a, enum advice_kind kind, uint32_t agent, double observed,
                double expected, uint32_t sample)
{
    /* Twice as far off as would be worth a word is worth more. */
    double off = expected > 0 ? observed / expected : 2;
    enum advice_impact impact = off >= 3 || off <= 1.0 / 3  ? IMPACT_HIGH
                                : off >= 1.5 || off <= 0.75 ? IMPACT_MEDIUM
                                                            : IMPACT_LOW;
    if ((kinds[kind].objectives & a->objective) && a->n < ADVICE_MAX) {
        a->out[a->n++] = (struct advice){.kind = kind,
                                         .impact = impact,
                                         .agent = agent,
                                         .observed = observed,
                                         .expected = expected,
                                         .sample = sample};
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double mean_ms(const struct agent_record *r)
{
    return r->done ? (double)r->ms / r->done : 0;
}

static void gather(struct advising *a)
{
    const struct network_record *r = a->record;
    double *means = xcalloc((size_t)r->agents_n + 1, sizeof *means);
    size_t n = 0;
    for (uint32_t i = 0; i < r->agents_n; i++) {
        a->parts += r->agents[i].done;
        if (r->agents[i].done) {
            means[n++] = mean_ms(&r->agents[i]);
        }
    }
    qsort(means, n, sizeof *means, by_value);
    /* the lower of two, so that of two agents one can be slow */
    a->median_ms = n ? means[(n - 1) / 2] : 0;
    free(means);
}

static void judge_agent(struct advising *a, uint32_t i)
{
    const struct agent_record *r = &a->record->agents[i];
    uint32_t agents = a->record->agents_n, all = r->done + r->failed;
    if (!r->lives) {
        say(a, ADVICE_UNAVAILABLE, i, 0, 1, all);
    }
    if (agents > 1 && a->parts >= PARTS_MIN) {
        double share = (double)r->done / a->parts, even = 1.0 / agents;
        if (share > even * SHARE_TOO_LARGE) {
            say(a, ADVICE_UNBALANCED, i, share, even, a->parts);
        }
        if (all == 0 && r->lives) {
            say(a, ADVICE_IDLE, i, 0, even, a->parts);
        }
    }
    if (r->done >= PARTS_OF_ONE_MIN && a->median_ms > 0 &&
        mean_ms(r) > a->median_ms * TIME_TOO_LONG) {
        say(a, ADVICE_SLOW, i, mean_ms(r), a->median_ms, r->done);
    }
    if (all >= PARTS_OF_ONE_MIN && r->failed > all * FAILS_TOO_OFTEN) {
        say(a, ADVICE_UNRELIABLE, i, (double)r->failed / all, FAILS_TOO_OFTEN, all);
    }
}

static void judge_whole(struct advising *a)
{
    const struct network_record *r = a->record;
    if (r->executions < EXECUTIONS_MIN || r->agents_n < 2 || r->capacity_ms <= 0) {
        return;
    }
    double used = (double)r->part_ms / (double)r->capacity_ms;
    if (r->strategy == STRATEGY_PIPELINE) {
        say(a, ADVICE_SEQUENTIAL, ADVICE_NO_AGENT, used, 1, r->executions);
    }
    bool repeats = r->strategy == STRATEGY_BROADCAST || r->strategy == STRATEGY_RACE;
    if (repeats && a->parts > r->executions) {
        say(a, ADVICE_REDUNDANT, ADVICE_NO_AGENT, (double)a->parts / r->executions, 1,
            r->executions);
    }
    if (used > USED_TOO_MUCH) {
        say(a, ADVICE_SATURATED, ADVICE_NO_AGENT, used, USED_TOO_MUCH, r->executions);
    }
}

static int by_impact(const void *a, const void *b)
{
    const struct advice *x = a, *y = b;
    if (x->impact != y->impact) {
        return x->impact > y->impact ? -1 : 1;
    }
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    return (x->agent > y->agent) - (x->agent < y->agent);
}

uint32_t advise(const struct network_record *record, enum advice_objective objective,
                struct advice out[ADVICE_MAX])
{
    struct advising a = {.record = record, .objective = 1u << objective, .out = out};
    gather(&a);
    for (uint32_t i = 0; i < record->agents_n; i++) {
        judge_agent(&a, i);
    }
    judge_whole(&a);
    qsort(out, a.n, sizeof *out, by_impact);
    return a.n;
}
