/* hub/consensus/tally.h: counting the ballots of a round: pure, and the same for whoever counts
 * again (the hub, `waggle verify`).
 *
 * Numbers are whole: weights as they are, shares in millionths, scores in thousandths; so the
 * result is the same on every machine, and in whatever order the ballots came.
 *
 * Owns     struct tally_result: its steps (tally_result_done).
 * Threads  any.
 * Limits   TALLY_OPTIONS_MAX options, TALLY_SEATS_MAX seats, weights that sum to
 *          TALLY_WEIGHT_SUM_MAX, scores within TALLY_SCORE_MAX either way: nothing overflows.
 * Rules    semantics.md section 3; docs/consensus.md says what each rule does with which ballot.
 */
#ifndef WAGGLE_HUB_CONSENSUS_TALLY_H
#define WAGGLE_HUB_CONSENSUS_TALLY_H

#include "store/mem.h"

enum {
    TALLY_OPTIONS_MAX = 64,
    TALLY_SEATS_MAX = 1000,
    TALLY_WEIGHT_SUM_MAX = 1000000000,
    TALLY_SCORE_MAX = 1000000000, /* thousandths: a million */
    TALLY_ONE = 1000000,          /* 1 in millionths */
    TALLY_CONFIDENCE_MIN = 50000, /* 0.05: as little as a ballot counts in confidence_weighted */
    TALLY_SEED_BYTES = 16,
    TALLY_BFT_SEATS_MIN = 4,
};
#define TALLY_NOBODY UINT32_MAX

enum tally_rule {
    RULE_PLURALITY,
    RULE_MAJORITY,
    RULE_SUPERMAJORITY,
    RULE_UNANIMOUS,
    RULE_WEIGHTED,
    RULE_APPROVAL,
    RULE_BORDA,
    RULE_IRV,
    RULE_CONDORCET,
    RULE_SCORE_MEAN,
    RULE_SCORE_MEDIAN,
    RULE_CONFIDENCE,
    RULE_BFT,
    TALLY_RULES
};
/* What a ballot says under a rule. */
enum tally_form { FORM_ONE, FORM_SOME, FORM_RANKING, FORM_SCORE };
enum tally_tie {
    TIE_RUNOFF,
    TIE_CHAIR,
    TIE_WEIGHT,
    TIE_OPTION_ORDER,
    TIE_SEEDED_RANDOM,
    TIE_NONE,
    TALLY_TIES
};

const char *tally_rule_name(enum tally_rule rule);
const char *tally_tie_name(enum tally_tie tie);
const char *tally_form_name(enum tally_form form); /* "choice", "choices", "ranking", "score" */
enum tally_form tally_form_of(enum tally_rule rule);
/* Also as callers of other systems write them: "majority-vote", "schulze", "ranked-choice". */
bool tally_rule_of(struct slice name, enum tally_rule *out);
bool tally_tie_of(struct slice name, enum tally_tie *out);

struct tally_fraction {
    uint32_t over, under;
};
/* "2/3", "0.75", "1"; from 0 to 1, at most six decimals. */
bool tally_fraction_of(struct slice text, struct tally_fraction *out);
/* The fraction with the smallest denominator up to 1,000 that is within 5 millionths of v, so that
 * 0.6666667 means 2/3; else millionths. */
struct tally_fraction tally_fraction_near(double v);

struct tally_terms {
    enum tally_rule rule;
    bool of_eligible;                /* majority, supermajority: of all weight, not of that cast */
    struct tally_fraction threshold; /* supermajority: at least so much */
    struct tally_fraction quorum;    /* of the eligible weight has voted: at least … */
    bool quorum_exceeds;             /* … or more than that */
    enum tally_tie tie;
};

/* One vote. choices: one option; those approved; or best first. */
struct tally_ballot {
    uint32_t seat;
    bool abstains;
    uint8_t choices_n;
    uint8_t choices[TALLY_OPTIONS_MAX];
    uint32_t confidence; /* millionths; TALLY_ONE when the voter did not say */
    int64_t score;       /* thousandths */
};

struct tally {
    struct tally_terms terms;
    const struct slice *options;
    uint32_t options_n;      /* 0 under a score rule */
    const uint32_t *weights; /* by seat */
    uint32_t seats_n;
    uint32_t chair; /* a seat, or TALLY_NOBODY */
    uint8_t seed[TALLY_SEED_BYTES];
    const struct tally_ballot *ballots; /* those that count: at most one a seat, in any order */
    uint32_t ballots_n;
};

enum tally_verdict {
    TALLY_DECIDED,
    TALLY_TIED,
    TALLY_NO_QUORUM,
    TALLY_NO_DECISION,
    TALLY_VERDICTS
};

struct tally_result {
    enum tally_verdict verdict;
    int winner;    /* an option; -1: none */
    int64_t value; /* of a score rule that decided, in thousandths */
    uint64_t tied; /* options that were equal at the top, a bit each; 0: there was no tie */
    bool by_tie;   /* the tie policy decided */
    int64_t points[TALLY_OPTIONS_MAX]; /* what the rule compares; confidence: millionths of it */
    int64_t points_max;                /* as many as an option could have with the ballots cast */
    uint64_t eligible, voted, cast;    /* weight: of all, with abstentions, without */
    uint32_t voters, abstained;        /* ballots */
    uint32_t support, participation, conviction, confidence, margin; /* millionths */
    struct buf steps; /* how it came out, a line a step, without the last line feed */
};

void tally_count(const struct tally *tally, struct tally_result *out);
void tally_result_done(struct tally_result *result);

/* No ballot that is still to come can change the outcome: true only for rules of single choices,
 * approvals and bft, and once the quorum is met. */
bool tally_settled(const struct tally *tally);

/* What the ballot says is not what was decided. False when nothing was, and for abstentions. */
bool tally_dissents(const struct tally_result *result, enum tally_rule rule,
                    const struct tally_ballot *ballot);

/* bft: how many of so many seats may be faulty, and how many equal ballots decide. */
uint32_t tally_bft_faulty(uint32_t seats_n);
uint32_t tally_bft_needed(uint32_t seats_n);

#endif
