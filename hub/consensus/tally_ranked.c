/* Rules under which a ballot ranks options, best first; those it leaves out are below all it names,
 * and equal among themselves.
 *
 * Instant runoff takes out all options that have the fewest votes together: to choose one of them
 * would favour an order that nobody voted for. When that would take out all that are left, they are
 * tied. Schulze compares the strongest chains of won pairs, so that a cycle still has a winner and
 * only exact ties remain (M. Schulze, Soc. Choice Welf. 36, 2011, "winning votes"). */
#include "hub/consensus/tally_parts.h"

#include <stdlib.h>

/* ---- Borda ---- */

static void borda(struct counting *c)
{
    const struct tally *t = c->tally;
    int64_t most = (int64_t)t->options_n - 1;
    struct buf name = {0};
    for (uint32_t i = 0; i < t->ballots_n; i++) {
        const struct tally_ballot *b = &t->ballots[i];
        for (uint32_t rank = 0; !b->abstains && rank < b->choices_n; rank++) {
            c->out->points[b->choices[rank]] += (most - rank) * (int64_t)tally_weight(t, b);
        }
    }
    c->out->points_max = most * (int64_t)c->out->cast;
    for (unsigned i = 0; i < t->options_n; i++) {
        tally_step(c->out, "%s: %lld points", tally_names(t, UINT64_C(1) << i, &name),
                   (long long)c->out->points[i]);
    }
    buf_done(&name);
    c->top = tally_top(c->out, tally_all(t));
    c->met = true;
}

/* ---- instant runoff ---- */

static void first_votes(const struct tally *t, uint64_t left, int64_t points[TALLY_OPTIONS_MAX],
                        int64_t *out_continuing)
{
    *out_continuing = 0;
    for (unsigned i = 0; i < t->options_n; i++) {
        points[i] = tally_has(left, i) ? 0 : points[i];
    }
    for (uint32_t i = 0; i < t->ballots_n; i++) {
        const struct tally_ballot *b = &t->ballots[i];
        uint32_t rank = 0;
        while (rank < b->choices_n && !tally_has(left, b->choices[rank])) {
            rank++;
        }
        if (!b->abstains && rank < b->choices_n) {
            points[b->choices[rank]] += tally_weight(t, b);
            *out_continuing += tally_weight(t, b);
        }
    }
}

static uint64_t fewest(const struct tally *t, uint64_t left, const int64_t *points)
{
    int64_t least = INT64_MAX;
    uint64_t set = 0;
    for (unsigned i = 0; i < t->options_n; i++) {
        if (tally_has(left, i) && points[i] <= least) {
            set = points[i] < least ? 0 : set;
            least = points[i];
            set |= UINT64_C(1) << i;
        }
    }
    return set;
}

static void irv(struct counting *c)
{
    const struct tally *t = c->tally;
    struct tally_result *out = c->out;
    uint64_t left = tally_all(t);
    struct buf names = {0};
    for (unsigned round = 1;; round++) {
        int64_t continuing;
        first_votes(t, left, out->points, &continuing);
        uint64_t top = tally_top(out, left), out_go = fewest(t, left, out->points);
        int64_t most = out->points[__builtin_ctzll(top)];
        tally_step(out, "count %u: %s %s with %lld of %lld", round, tally_names(t, top, &names),
                   top & (top - 1) ? "lead" : "leads", (long long)most, (long long)continuing);
        if (2 * most > continuing || out_go == left) {
            c->top = 2 * most > continuing ? top : left;
            break;
        }
        tally_step(out, "out: %s with %lld", tally_names(t, out_go, &names),
                   (long long)out->points[__builtin_ctzll(out_go)]);
        left &= ~out_go;
        if (!(left & (left - 1))) {
            /* Alone it would have every vote; how much it was wanted, the last count against others
             * says. */
            c->top = left;
            break;
        }
    }
    buf_done(&names);
    out->points_max = (int64_t)out->cast;
    c->met = true;
}

/* ---- Schulze ---- */

typedef int64_t pairs[TALLY_OPTIONS_MAX][TALLY_OPTIONS_MAX];

/* preferred[i][j]: weight of the ballots that have i above j. */
static void compare_pairs(const struct tally *t, pairs preferred)
{
    memset(preferred, 0, sizeof(pairs));
    for (uint32_t n = 0; n < t->ballots_n; n++) {
        const struct tally_ballot *b = &t->ballots[n];
        uint64_t below = tally_all(t);
        for (uint32_t rank = 0; !b->abstains && rank < b->choices_n; rank++) {
            below &= ~(UINT64_C(1) << b->choices[rank]);
            for (unsigned j = 0; j < t->options_n; j++) {
                preferred[b->choices[rank]][j] += tally_has(below, j) ? tally_weight(t, b) : 0;
            }
        }
    }
}

static void strongest_paths(const struct tally *t, pairs preferred, pairs strength)
{
    unsigned n = t->options_n;
    for (unsigned i = 0; i < n; i++) {
        for (unsigned j = 0; j < n; j++) {
            strength[i][j] = preferred[i][j] > preferred[j][i] ? preferred[i][j] : 0;
        }
    }
    for (unsigned via = 0; via < n; via++) {
        for (unsigned i = 0; i < n; i++) {
            for (unsigned j = 0; j < n; j++) {
                int64_t a = strength[i][via], b = strength[via][j], weaker = a < b ? a : b;
                strength[i][j] = weaker > strength[i][j] && i != j ? weaker : strength[i][j];
            }
        }
    }
}

static void schulze(struct counting *c)
{
    const struct tally *t = c->tally;
    pairs *preferred = xmalloc(sizeof *preferred), *strength = xmalloc(sizeof *strength);
    struct buf name = {0};
    compare_pairs(t, *preferred);
    strongest_paths(t, *preferred, *strength);
    for (unsigned i = 0; i < t->options_n; i++) {
        for (unsigned j = 0; j < t->options_n; j++) {
            c->out->points[i] += i != j && (*strength)[i][j] >= (*strength)[j][i];
        }
        c->top |= c->out->points[i] == t->options_n - 1 ? UINT64_C(1) << i : 0;
        tally_step(c->out, "%s: as strong as %lld of %u others or stronger",
                   tally_names(t, UINT64_C(1) << i, &name), (long long)c->out->points[i],
                   t->options_n - 1);
    }
    c->out->points_max = t->options_n - 1;
    c->met = true;
    buf_done(&name);
    free(preferred);
    free(strength);
}

static void measure_pairs(struct counting *c, int winner)
{
    const struct tally *t = c->tally;
    pairs *preferred = xmalloc(sizeof *preferred);
    int64_t least_ahead = (int64_t)c->out->cast;
    uint32_t weakest = TALLY_ONE;
    compare_pairs(t, *preferred);
    for (unsigned j = 0; j < t->options_n; j++) {
        int64_t with = (*preferred)[winner][j], against = (*preferred)[j][winner];
        uint32_t share = tally_share((uint64_t)with, (uint64_t)(with + against));
        if ((int)j != winner) {
            weakest = share < weakest ? share : weakest;
            least_ahead = with - against < least_ahead ? with - against : least_ahead;
        }
    }
    c->out->support = weakest;
    c->out->margin = tally_share((uint64_t)(least_ahead > 0 ? least_ahead : 0), c->out->cast);
    free(preferred);
}

/* ---- the family ---- */

static void count(struct counting *c)
{
    if (c->tally->terms.rule == RULE_BORDA) {
        borda(c);
    } else if (c->tally->terms.rule == RULE_IRV) {
        irv(c);
    } else {
        schulze(c);
    }
}

static void measure(struct counting *c, int winner)
{
    struct tally_result *out = c->out;
    if (c->tally->terms.rule == RULE_CONDORCET) {
        measure_pairs(c, winner);
        return;
    }
    int64_t points = out->points[winner];
    int64_t ahead = points - tally_best_other(out, c->tally->options_n, winner);
    bool alone = out->points_max == 0; /* Borda with one option */
    out->support = alone ? TALLY_ONE : tally_share((uint64_t)points, (uint64_t)out->points_max);
    out->margin = alone ? TALLY_ONE
                        : tally_share((uint64_t)(ahead > 0 ? ahead : 0), (uint64_t)out->points_max);
}

const struct family tally_ranked = {.count = count, .measure = measure};
