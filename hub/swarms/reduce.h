/* hub/swarms/reduce.h: many results into one: the reducers that the hub has built in. Pure.
 *
 * The results come in the order of the input and the same results give the same outcome, whatever
 * order they came in over time. A list among the results stands for its items, so that members may
 * give one value or many.
 *
 * Owns     what reduce() returns is the caller's.     Threads  any.
 * Rules    semantics.md section 6.
 */
#ifndef WAGGLE_HUB_SWARMS_REDUCE_H
#define WAGGLE_HUB_SWARMS_REDUCE_H

#include "store/bytes.h"
#include <jansson.h>

enum reducer {
    REDUCE_LIST,   /* the results as they are */
    REDUCE_CONCAT, /* texts to a text, else lists to a list */
    REDUCE_SUM,
    REDUCE_MEAN, /* of all values; {"sum":…,"count":…} stands for many */
    REDUCE_MIN,
    REDUCE_MAX,
    REDUCE_COUNT,
    REDUCE_VOTE,         /* {"winner":…,"votes":{…},"confidence":…} */
    REDUCE_MERGE_OBJECT, /* of one name the later counts */
    REDUCE_TOP_K,        /* the k largest, the larger first; of equal ones the earlier first */
    REDUCE_FIRST,
    REDUCE_LAST,
    REDUCE_AGENT,  /* a task for an agent with the capability `reduce`; not done here */
    REDUCE_MEMBER, /* a task for the member that leads; not done here */
    REDUCERS
};
const char *reducer_name(enum reducer reducer);
/* `merge`, `merge_object` and `average` mean what one thinks. */
bool reducer_of(struct slice name, enum reducer *out);

struct reduce_rule {
    enum reducer reducer;
    const char *field; /* of each result that counts, when it is an object; NULL: the whole */
    const char *by;    /* top-k: the member that is compared; NULL: the value itself */
    size_t k;          /* top-k */
};
/* NULL: the results do not fit, and *out_why says how. */
json_t *reduce(const struct reduce_rule *rule, json_t *const *results, size_t n,
               const char **out_why);

/* A value as the key of a vote: a text as it is, everything else as JSON with sorted names.
 * Free it. */
char *vote_key(const json_t *value);

#endif
