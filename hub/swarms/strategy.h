/* hub/swarms/strategy.h: how a piece of work is done by several: what is split, who gets which
 * part, when enough has come in, and what becomes of the results. Pure.
 *
 * Threads  any; the table is constant.
 * Limits   WORK_PARTS_MAX parts a work, WORK_MEMBERS_MAX members that do it.
 * Rules    semantics.md section 6 "Swarm coordinate"; rest-contract.md section 2. A strategy that
 * is not known is done like round-robin: any string is accepted.
 */
#ifndef WAGGLE_HUB_SWARMS_STRATEGY_H
#define WAGGLE_HUB_SWARMS_STRATEGY_H

#include "hub/swarms/reduce.h"
#include "store/bytes.h"

enum { WORK_PARTS_MAX = 1000, WORK_MEMBERS_MAX = 1000, STRATEGY_BYTES_MAX = 64 };

enum work_strategy {
    STRATEGY_ROUND_ROBIN,  /* each item, or the whole, to the next member in turn */
    STRATEGY_MAP_REDUCE,   /* equal shares, merged by a reducer */
    STRATEGY_BROADCAST,    /* everyone the whole; all answers */
    STRATEGY_RACE,         /* everyone the whole; the first good answer */
    STRATEGY_PIPELINE,     /* one after another, each with what came out before */
    STRATEGY_SCATTER_VOTE, /* everyone the whole; the answer most gave */
    STRATEGY_CONSENSUS,    /* the same; each answer is a ballot of a round */
    STRATEGY_ELECTION,     /* everyone names a member; the winner leads the swarm */
    STRATEGY_DISTRIBUTED,  /* items to whom the load balancer finds free */
    STRATEGY_HIERARCHICAL, /* shares for all but the first, who merges them */
    WORK_STRATEGIES
};

struct strategy_rule {
    const char *name;
    bool splits;          /* items are shared out; else everyone gets the whole */
    bool per_item;        /* a part for each item, not for each member */
    bool bound;           /* a part is its member's alone: nobody else may do it */
    bool in_turn;         /* the next part begins when the one before is done */
    bool leads;           /* the first member does no part: it merges */
    enum reducer reducer; /* unless the caller names one */
    uint32_t first;       /* so many good parts are enough, unless the caller says; 0: all */
    bool stops;           /* then the others are cancelled */
};
const struct strategy_rule *strategy_rule(enum work_strategy strategy);
/* Any case, `_` as `-`, and some other words for the same. False: not known. */
bool strategy_of(struct slice name, enum work_strategy *out);

/* When enough parts are in. */
enum require_kind { REQUIRE_ALL, REQUIRE_FRACTION, REQUIRE_FIRST };
struct require {
    enum require_kind kind;
    uint32_t first;  /* REQUIRE_FIRST: 1.. */
    double fraction; /* REQUIRE_FRACTION: above 0, at most 1 */
};
/* "all", a number up to 1 (a fraction) or a whole one (the first n), {"fraction":p}, {"first":n},
 * and "first" with n, as text too: "2", "0.5". False: none of these. */
bool require_of(const json_t *value, struct require *out);
/* How many of `parts` it takes. */
uint32_t require_count(const struct require *require, uint32_t parts);

/* The work divided: parts_n parts; members_n members, at least one; items_n items, or none and
 * has_items false. */
struct division {
    enum work_strategy strategy;
    uint32_t members_n, parts_n;
    uint32_t items_n;
    bool has_items;
    uint32_t turn; /* where the turn stands: member of the first part */
};
/* shards 0: as the strategy has it. */
struct division divide(enum work_strategy strategy, uint32_t members_n, bool has_items,
                       uint32_t items_n, uint32_t shards, uint32_t turn);
struct share {
    uint32_t member;        /* index */
    uint32_t item, items_n; /* from, how many; 0 and 0 when it gets the whole */
    bool waits;             /* for the part before */
};
/* Items keep their order over the parts, and two shares differ by one item at most. */
struct share division_share(const struct division *division, uint32_t part);

/* A part that runs twice as long as half of the others took is a straggler. took_ms: of the parts
 * that are done, in any order; it is sorted. 0: not enough is known (less than half of the parts).
 */
int64_t straggler_after_ms(int64_t *took_ms, uint32_t done_n, uint32_t parts_n);

#endif
