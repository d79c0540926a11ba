/* Ballots that are numbers. The mean is rounded to thousandths, half away from zero; the median is
 * the number with as much weight below as above, or the middle of two. */
#include "hub/consensus/tally_parts.h"

#include <stdlib.h>

struct scored {
    int64_t score;
    uint32_t weight;
};

static int by_score(const void *a, const void *b)
{
    int64_t x = ((const struct scored *)a)->score, y = ((const struct scored *)b)->score;
    return (x > y) - (x < y);
}

static int64_t divide(int64_t a, int64_t by)
{
    return (a >= 0 ? a + by / 2 : a - by / 2) / by;
}

static int64_t mean(const struct scored *list, size_t n, int64_t cast)
{
    int64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += list[i].score * list[i].weight;
    }
    return divide(sum, cast);
}

static int64_t median(const struct scored *list, size_t n, int64_t cast)
{
    int64_t below = 0;
    size_t i = 0;
    for (; i < n; i++) {
        below += list[i].weight;
        if (2 * below >= cast) {
            break;
        }
    }
    bool between = 2 * below == cast && i + 1 < n;
    return between ? divide(list[i].score + list[i + 1].score, 2) : list[i].score;
}

/* How near the scores are to the outcome: all equal is 1, and 0 would be all of them as far from it
 * as the outermost two are from each other. */
static uint32_t agreement(const struct scored *list, size_t n, int64_t cast, int64_t value)
{
    int64_t range = list[n - 1].score - list[0].score, off = 0;
    if (range == 0) {
        return TALLY_ONE;
    }
    for (size_t i = 0; i < n; i++) {
        off += llabs(list[i].score - value) * list[i].weight;
    }
    return TALLY_ONE - tally_share((uint64_t)(off / cast), (uint64_t)range);
}

static void say(struct counting *c, const char *what, int64_t thousandths)
{
    int64_t size = llabs(thousandths);
    tally_step(c->out, "%s: %s%lld.%03lld", what, thousandths < 0 ? "-" : "",
               (long long)(size / 1000), (long long)(size % 1000));
}

void tally_score(struct counting *c)
{
    const struct tally *t = c->tally;
    struct scored *list = xcalloc(t->ballots_n, sizeof *list);
    int64_t cast = (int64_t)c->out->cast;
    size_t n = 0;
    for (uint32_t i = 0; i < t->ballots_n; i++) {
        uint32_t weight = tally_weight(t, &t->ballots[i]);
        if (!t->ballots[i].abstains && weight) {
            list[n++] = (struct scored){.score = t->ballots[i].score, .weight = weight};
        }
    }
    qsort(list, n, sizeof *list, by_score);
    bool by_mean = t->terms.rule == RULE_SCORE_MEAN;
    say(c, "lowest", list[0].score);
    say(c, "highest", list[n - 1].score);
    c->out->value = by_mean ? mean(list, n, cast) : median(list, n, cast);
    say(c, by_mean ? "mean" : "median", c->out->value);
    c->out->support = agreement(list, n, cast, c->out->value);
    c->out->verdict = TALLY_DECIDED;
    free(list);
}
