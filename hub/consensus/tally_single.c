/* Rules under which a ballot names one option, or several that it approves: each gets the ballot's
 * weight, and what differs is how much is enough. */
#include "hub/consensus/tally_parts.h"

static int64_t worth(const struct tally *tally, const struct tally_ballot *ballot)
{
    int64_t weight = tally_weight(tally, ballot);
    if (tally->terms.rule != RULE_CONFIDENCE) {
        return weight;
    }
    uint32_t sure = ballot->confidence;
    sure = sure < TALLY_CONFIDENCE_MIN ? TALLY_CONFIDENCE_MIN : sure;
    return weight * (sure > TALLY_ONE ? TALLY_ONE : sure);
}

void tally_single_points(const struct tally *tally, int64_t points[TALLY_OPTIONS_MAX])
{
    memset(points, 0, TALLY_OPTIONS_MAX * sizeof *points);
    for (uint32_t i = 0; i < tally->ballots_n; i++) {
        const struct tally_ballot *ballot = &tally->ballots[i];
        for (uint32_t c = 0; !ballot->abstains && c < ballot->choices_n; c++) {
            points[ballot->choices[c]] += worth(tally, ballot);
        }
    }
}

/* How much the one at the top needs; less is no decision. */
static bool enough(const struct tally *tally, const struct tally_result *out, int64_t points)
{
    const struct tally_terms *terms = &tally->terms;
    uint64_t base = terms->of_eligible ? out->eligible : out->cast, got = (uint64_t)points;
    switch (terms->rule) {
    case RULE_PLURALITY:
    case RULE_WEIGHTED:
    case RULE_APPROVAL:
    case RULE_CONFIDENCE:
        return got > 0;
    case RULE_MAJORITY:
        return 2 * got > base;
    case RULE_SUPERMAJORITY:
        return got * terms->threshold.under >= base * terms->threshold.over;
    case RULE_UNANIMOUS:
        return got == out->cast;
    case RULE_BFT:
        return got >= tally_bft_needed(tally->seats_n);
    case RULE_BORDA:
    case RULE_IRV:
    case RULE_CONDORCET:
    case RULE_SCORE_MEAN:
    case RULE_SCORE_MEDIAN:
    case TALLY_RULES:
        return false; /* of other families */
    }
    return false;
}

static void say_need(struct counting *c)
{
    const struct tally *t = c->tally;
    const struct tally_terms *terms = &t->terms;
    unsigned long long base = terms->of_eligible ? c->out->eligible : c->out->cast;
    const char *what = terms->of_eligible ? "eligible" : "cast";
    if (terms->rule == RULE_MAJORITY) {
        tally_step(c->out, "more than half of the %llu %s are needed", base, what);
    } else if (terms->rule == RULE_SUPERMAJORITY) {
        tally_step(c->out, "at least %u/%u of the %llu %s are needed", terms->threshold.over,
                   terms->threshold.under, base, what);
    } else if (terms->rule == RULE_UNANIMOUS) {
        tally_step(c->out, "all of the %llu cast are needed", base);
    } else if (terms->rule == RULE_BFT) {
        tally_step(c->out, "%u seats bear %u faulty ones; %u equal ballots are needed", t->seats_n,
                   tally_bft_faulty(t->seats_n), tally_bft_needed(t->seats_n));
    }
}

static void count(struct counting *c)
{
    const struct tally *t = c->tally;
    struct buf name = {0};
    tally_single_points(t, c->out->points);
    int64_t scale = t->terms.rule == RULE_CONFIDENCE ? TALLY_ONE : 1;
    c->out->points_max = (int64_t)c->out->cast * scale;
    for (unsigned i = 0; i < t->options_n; i++) {
        const char *text = tally_names(t, UINT64_C(1) << i, &name);
        if (scale > 1) {
            tally_step(c->out, "%s: %lld.%06lld", text, (long long)(c->out->points[i] / scale),
                       (long long)(c->out->points[i] % scale));
        } else {
            tally_step(c->out, "%s: %lld", text, (long long)c->out->points[i]);
        }
    }
    buf_done(&name);
    say_need(c);
    c->top = tally_top(c->out, tally_all(t));
    c->met = enough(t, c->out, c->out->points[__builtin_ctzll(c->top)]);
}

static void measure(struct counting *c, int winner)
{
    struct tally_result *out = c->out;
    int64_t points = out->points[winner], all = out->points_max;
    if (c->tally->terms.rule == RULE_CONFIDENCE) {
        all = 0; /* what was cast, as sure as it was */
        for (unsigned i = 0; i < c->tally->options_n; i++) {
            all += out->points[i];
        }
    }
    int64_t ahead = points - tally_best_other(out, c->tally->options_n, winner);
    out->support = tally_share((uint64_t)points, (uint64_t)all);
    out->margin = tally_share((uint64_t)(ahead > 0 ? ahead : 0), (uint64_t)out->points_max);
}

const struct family tally_single = {.count = count, .measure = measure};

/* ---- bft ---- */

uint32_t tally_bft_faulty(uint32_t seats_n)
{
    return seats_n ? (seats_n - 1) / 3 : 0;
}

/* Two sets of so many out of n have more than f seats in common, so at least one that does not vote
 * twice: two options cannot both be decided. With n = 3f + 1 it is 2f + 1. */
uint32_t tally_bft_needed(uint32_t seats_n)
{
    return (seats_n + tally_bft_faulty(seats_n) + 2) / 2;
}
