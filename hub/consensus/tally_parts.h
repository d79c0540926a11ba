/* hub/consensus/tally_parts.h: what the files of the tally share. Only tally*.c include it.
 *
 * A family of rules counts first: points, and which options are at the top. When the winner is
 * known, by the rule or by the tie policy, it measures how strongly that one won. */
#ifndef WAGGLE_HUB_CONSENSUS_TALLY_PARTS_H
#define WAGGLE_HUB_CONSENSUS_TALLY_PARTS_H

#include "hub/consensus/tally.h"

struct counting {
    const struct tally *tally;
    struct tally_result *out;
    uint64_t top; /* options, a bit each, that nothing is above */
    bool met;     /* a single one at the top fulfils the rule */
};

struct family {
    void (*count)(struct counting *c);
    void (*measure)(struct counting *c, int winner); /* sets support and margin */
};
extern const struct family tally_single, tally_ranked; /* tally_single.c, tally_ranked.c */
void tally_score(struct counting *c);                  /* tally_score.c: all of it */

/* One more line of the explanation. */
void tally_step(struct tally_result *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The texts of the options in the set, joined by commas, for such a line; valid until the next
 * call with the same buffer. */
const char *tally_names(const struct tally *tally, uint64_t set, struct buf *scratch);

uint32_t tally_weight(const struct tally *tally, const struct tally_ballot *ballot);
/* of in millionths of whole, rounded; 0 of nothing. */
uint32_t tally_share(uint64_t of, uint64_t whole);
/* The options with the most points among the set. */
uint64_t tally_top(const struct tally_result *out, uint64_t among);
/* The most points of any option but this one. */
int64_t tally_best_other(const struct tally_result *out, uint32_t options_n, int but);
static inline uint64_t tally_all(const struct tally *tally)
{
    return tally->options_n == 64 ? UINT64_MAX : (UINT64_C(1) << tally->options_n) - 1;
}
static inline bool tally_has(uint64_t set, unsigned option)
{
    return set >> option & 1;
}

/* Of the single choices and approvals: points by option, for tally_settled() too. */
void tally_single_points(const struct tally *tally, int64_t points[TALLY_OPTIONS_MAX]);

#endif
