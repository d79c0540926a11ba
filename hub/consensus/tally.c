/* What all rules share: sums, quorum, what is done with a tie, how much the outcome is worth. */
#include "hub/consensus/tally_parts.h"

#include "auth/digest.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

/* clang-format off */
static const struct {
    const char *name;
    const struct family *family; /* NULL: scores */
    enum tally_form form;
    bool ties;                   /* options that are equal at the top go to the tie policy */
    bool settles;                /* see tally_settled() */
} rules[TALLY_RULES] = {
    [RULE_PLURALITY]     = { "plurality",           &tally_single, FORM_ONE,     true,  true  },
    [RULE_MAJORITY]      = { "majority",            &tally_single, FORM_ONE,     true,  true  },
    [RULE_SUPERMAJORITY] = { "supermajority",       &tally_single, FORM_ONE,     false, true  },
    [RULE_UNANIMOUS]     = { "unanimous",           &tally_single, FORM_ONE,     false, true  },
    [RULE_WEIGHTED]      = { "weighted",            &tally_single, FORM_ONE,     true,  true  },
    [RULE_APPROVAL]      = { "approval",            &tally_single, FORM_SOME,    true,  true  },
    [RULE_BORDA]         = { "borda",               &tally_ranked, FORM_RANKING, true,  false },
    [RULE_IRV]           = { "irv",                 &tally_ranked, FORM_RANKING, true,  false },
    [RULE_CONDORCET]     = { "condorcet",           &tally_ranked, FORM_RANKING, true,  false },
    [RULE_SCORE_MEAN]    = { "score_mean",          NULL,          FORM_SCORE,   false, false },
    [RULE_SCORE_MEDIAN]  = { "score_median",        NULL,          FORM_SCORE,   false, false },
    [RULE_CONFIDENCE]    = { "confidence_weighted", &tally_single, FORM_ONE,     true,  true  },
    [RULE_BFT]           = { "bft",                 &tally_single, FORM_ONE,     false, true  },
};
static const struct { const char *word; enum tally_rule rule; } other_words[] = {
    { "schulze", RULE_CONDORCET }, { "ranked_choice", RULE_IRV }, { "instant_runoff", RULE_IRV },
    { "score", RULE_SCORE_MEAN }, { "mean", RULE_SCORE_MEAN }, { "median", RULE_SCORE_MEDIAN },
    { "unanimity", RULE_UNANIMOUS }, { "confidence", RULE_CONFIDENCE }, { "byzantine", RULE_BFT },
    { "super_majority", RULE_SUPERMAJORITY }, { "borda_count", RULE_BORDA },
};
static const char *const tie_names[TALLY_TIES] = {
    [TIE_RUNOFF] = "runoff", [TIE_CHAIR] = "chair", [TIE_WEIGHT] = "weight", [TIE_OPTION_ORDER] = "option_order",
    [TIE_SEEDED_RANDOM] = "seeded_random", [TIE_NONE] = "none",
};
static const char *const form_names[] = {
    [FORM_ONE] = "choice", [FORM_SOME] = "choices", [FORM_RANKING] = "ranking", [FORM_SCORE] = "score",
};
/* clang-format on */

const char *tally_rule_name(enum tally_rule rule)
{
    return rules[rule].name;
}

const char *tally_tie_name(enum tally_tie tie)
{
    return tie_names[tie];
}

const char *tally_form_name(enum tally_form form)
{
    return form_names[form];
}

enum tally_form tally_form_of(enum tally_rule rule)
{
    return rules[rule].form;
}

bool tally_rule_of(struct slice name, enum tally_rule *out)
{
    char word[32];
    if (name.n >= sizeof word) {
        return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        word[i] = (char)(name.p[i] == '-' ? '_' : name.p[i]);
    }
    size_t n = name.n;
    n -= n > 5 && memcmp(word + n - 5, "_vote", 5) == 0 ? 5 : 0;
    for (unsigned i = 0; i < TALLY_RULES; i++) {
        if (slice_is(slice_of(word, n), rules[i].name)) {
            *out = (enum tally_rule)i;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof other_words / sizeof *other_words; i++) {
        if (slice_is(slice_of(word, n), other_words[i].word)) {
            *out = other_words[i].rule;
            return true;
        }
    }
    return false;
}

bool tally_tie_of(struct slice name, enum tally_tie *out)
{
    for (unsigned i = 0; i < TALLY_TIES; i++) {
        if (slice_is(name, tie_names[i])) {
            *out = (enum tally_tie)i;
            return true;
        }
    }
    return false;
}

/* ---- fractions ---- */

static bool digits(struct slice *text, uint32_t *out, unsigned *out_n)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < text->n && i < 7 && text->p[i] >= '0' && text->p[i] <= '9'; i++) {
        v = v * 10 + (uint64_t)(text->p[i] - '0');
    }
    *out = (uint32_t)v;
    *out_n = (unsigned)i;
    *text = slice_of(text->p + i, text->n - i);
    return i > 0;
}

bool tally_fraction_of(struct slice text, struct tally_fraction *out)
{
    struct tally_fraction f = {.under = 1};
    uint32_t second = 0;
    unsigned n;
    if (text.n == 0 || !digits(&text, &f.over, &n)) {
        return false;
    }
    bool slash = text.n && text.p[0] == '/', point = text.n && text.p[0] == '.';
    if (slash || point) {
        text = slice_of(text.p + 1, text.n - 1);
        if (text.n == 0 || !digits(&text, &second, &n) || (point && n > 6)) {
            return false;
        }
    }
    if (slash) {
        f.under = second;
    }
    for (unsigned i = 0; point && i < n; i++) {
        f.over *= 10;
        f.under *= 10;
    }
    f.over += point ? second : 0;
    if (text.n || f.under == 0 || f.under > TALLY_ONE || f.over > f.under) {
        return false;
    }
    *out = f;
    return true;
}

struct tally_fraction tally_fraction_near(double v)
{
    for (uint32_t under = 1; under <= 1000; under++) {
        double over = round(v * under);
        if (fabs(v - over / under) < 5e-6) {
            return (struct tally_fraction){.over = (uint32_t)over, .under = under};
        }
    }
    return (struct tally_fraction){.over = (uint32_t)round(v * TALLY_ONE), .under = TALLY_ONE};
}

/* ---- what the families use ---- */

uint32_t tally_weight(const struct tally *tally, const struct tally_ballot *ballot)
{
    assert(ballot->seat < tally->seats_n);
    return tally->weights[ballot->seat];
}

uint32_t tally_share(uint64_t of, uint64_t whole)
{
    while (whole > UINT64_C(1) << 42) { /* confidence's points: the last digits do not matter */
        of >>= 1;
        whole >>= 1;
    }
    return whole ? (uint32_t)((of * TALLY_ONE + whole / 2) / whole) : 0;
}

uint64_t tally_top(const struct tally_result *out, uint64_t among)
{
    int64_t most = INT64_MIN;
    uint64_t set = 0;
    for (uint64_t rest = among; rest; rest &= rest - 1) {
        int i = __builtin_ctzll(rest);
        if (out->points[i] >= most) {
            set = out->points[i] > most ? 0 : set;
            most = out->points[i];
            set |= UINT64_C(1) << i;
        }
    }
    return set;
}

int64_t tally_best_other(const struct tally_result *out, uint32_t options_n, int but)
{
    int64_t best = 0;
    for (int i = 0; i < (int)options_n; i++) {
        best = i != but && out->points[i] > best ? out->points[i] : best;
    }
    return best;
}

/* ---- ties ---- */

static int tie_first(uint64_t tied)
{
    return __builtin_ctzll(tied);
}

static const struct tally_ballot *ballot_of(const struct tally *t, uint32_t seat)
{
    for (uint32_t i = 0; i < t->ballots_n; i++) {
        if (t->ballots[i].seat == seat) {
            return &t->ballots[i];
        }
    }
    return NULL;
}

/* The chair's ballot decides: of a ranking what it has highest, of approvals the one it has of the
 * tied, if it is one. */
static int tie_chair(const struct tally *t, uint64_t tied)
{
    const struct tally_ballot *ballot = t->chair == TALLY_NOBODY ? NULL : ballot_of(t, t->chair);
    int found = -1;
    for (uint32_t i = 0; ballot && !ballot->abstains && i < ballot->choices_n; i++) {
        if (!tally_has(tied, ballot->choices[i])) {
            continue;
        }
        if (tally_form_of(t->terms.rule) == FORM_RANKING) {
            return ballot->choices[i];
        }
        if (found >= 0) {
            return -1;
        }
        found = ballot->choices[i];
    }
    return found;
}

static int heavier_first(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

/* The weights behind an option, the heaviest first: of those who put it first, or approve it. */
static uint32_t backers(const struct tally *t, unsigned option, uint32_t *out)
{
    bool ranking = tally_form_of(t->terms.rule) == FORM_RANKING;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->ballots_n; i++) {
        const struct tally_ballot *b = &t->ballots[i];
        uint32_t looked = b->abstains ? 0 : ranking && b->choices_n ? 1 : b->choices_n;
        for (uint32_t c = 0; c < looked; c++) {
            if (b->choices[c] == option) {
                out[n++] = tally_weight(t, b);
            }
        }
    }
    if (n) {
        qsort(out, n, sizeof *out, heavier_first);
    }
    return n;
}

static int compare_backers(const uint32_t *a, uint32_t a_n, const uint32_t *b, uint32_t b_n)
{
    for (uint32_t i = 0; i < a_n && i < b_n; i++) {
        if (a[i] != b[i]) {
            return a[i] > b[i] ? 1 : -1;
        }
    }
    return (a_n > b_n) - (a_n < b_n);
}

/* The option with the heaviest voter, of equal ones the next heaviest, and so on. */
static int tie_weight(const struct tally *t, uint64_t tied)
{
    uint32_t *best = xcalloc((size_t)t->ballots_n + 1, sizeof *best), best_n = 0;
    uint32_t *next = xcalloc((size_t)t->ballots_n + 1, sizeof *next);
    int winner = -1;
    bool alone = true;
    for (uint64_t rest = tied; rest; rest &= rest - 1) {
        unsigned option = (unsigned)__builtin_ctzll(rest);
        uint32_t n = backers(t, option, next);
        int order = winner < 0 ? 1 : compare_backers(next, n, best, best_n);
        alone = order > 0 || (order < 0 && alone);
        if (order > 0) {
            uint32_t *swap = best;
            best = next;
            next = swap;
            best_n = n;
            winner = (int)option;
        }
    }
    free(best);
    free(next);
    return alone ? winner : -1;
}

/* The option whose hash with the seed is the smallest: whoever knows the seed can say the same. */
static int tie_random(const struct tally *t, uint64_t tied)
{
    uint8_t least[SHA256_BYTES], hash[SHA256_BYTES];
    int winner = -1;
    for (uint64_t rest = tied; rest; rest &= rest - 1) {
        int option = __builtin_ctzll(rest);
        struct slice parts[] = {slice_of(t->seed, TALLY_SEED_BYTES), t->options[option]};
        digest_sha256(hash, parts, 2);
        if (winner < 0 || memcmp(hash, least, sizeof hash) < 0) {
            memcpy(least, hash, sizeof hash);
            winner = option;
        }
    }
    return winner;
}

static int break_tie(const struct tally *t, uint64_t tied)
{
    switch (t->terms.tie) {
    case TIE_CHAIR:
        return tie_chair(t, tied);
    case TIE_WEIGHT:
        return tie_weight(t, tied);
    case TIE_OPTION_ORDER:
        return tie_first(tied);
    case TIE_SEEDED_RANDOM:
        return tie_random(t, tied);
    case TIE_RUNOFF:
    case TIE_NONE:
    case TALLY_TIES:
        return -1;
    }
    return -1;
}

/* ---- the whole count ---- */

static void sum_up(const struct tally *t, struct tally_result *out)
{
    for (uint32_t i = 0; i < t->seats_n; i++) {
        out->eligible += t->weights[i];
    }
    for (uint32_t i = 0; i < t->ballots_n; i++) {
        uint32_t weight = tally_weight(t, &t->ballots[i]);
        out->voters++;
        out->voted += weight;
        out->abstained += t->ballots[i].abstains;
        out->cast += t->ballots[i].abstains ? 0 : weight;
    }
    out->participation = tally_share(out->cast, out->eligible);
    tally_step(out, "%u of %u seats voted, %u of them abstained", out->voters, t->seats_n,
               out->abstained);
}

static bool quorum_met(const struct tally *t, const struct tally_result *out)
{
    uint64_t has = out->voted * t->terms.quorum.under;
    uint64_t needs = out->eligible * t->terms.quorum.over;
    return t->terms.quorum_exceeds ? has > needs : has >= needs;
}

static bool names_it(const struct tally_ballot *ballot, int option)
{
    for (uint32_t i = 0; i < ballot->choices_n; i++) {
        if (ballot->choices[i] == option) {
            return true;
        }
    }
    return false;
}

/* The mean confidence of those whose ballots name the winner; of a score, of all who gave one. */
static uint32_t conviction(const struct tally *t, int winner)
{
    uint64_t sum = 0, weight = 0;
    for (uint32_t i = 0; i < t->ballots_n; i++) {
        const struct tally_ballot *b = &t->ballots[i];
        if (!b->abstains && (winner < 0 || names_it(b, winner))) {
            sum += (uint64_t)tally_weight(t, b) * b->confidence;
            weight += tally_weight(t, b);
        }
    }
    return weight ? (uint32_t)((sum + weight / 2) / weight) : TALLY_ONE;
}

static void judge(struct counting *c)
{
    const struct tally *t = c->tally;
    struct tally_result *out = c->out;
    struct buf names = {0};
    bool alone = c->top && (c->top & (c->top - 1)) == 0;
    assert(t->terms.tie < TALLY_TIES);
    out->verdict = TALLY_NO_DECISION;
    if (alone && c->met) {
        out->winner = tie_first(c->top);
    } else if (!alone && rules[t->terms.rule].ties) {
        out->tied = c->top;
        tally_step(out, "equal: %s", tally_names(t, c->top, &names));
        out->winner = break_tie(t, c->top);
        out->by_tie = out->winner >= 0;
        out->verdict = TALLY_TIED;
        tally_step(out, "tie policy %s: %s", tie_names[t->terms.tie],
                   out->winner < 0 ? "no winner here"
                                   : tally_names(t, UINT64_C(1) << out->winner, &names));
    }
    if (out->winner >= 0) {
        out->verdict = TALLY_DECIDED;
        rules[t->terms.rule].family->measure(c, out->winner);
        tally_step(out, "decided: %s", tally_names(t, UINT64_C(1) << out->winner, &names));
    } else if (out->verdict == TALLY_NO_DECISION) {
        tally_step(out, "no option has enough");
    }
    buf_done(&names);
}

static void value_it(const struct tally *t, struct tally_result *out)
{
    out->conviction = conviction(t, out->winner);
    uint64_t product = (uint64_t)out->support * out->participation * out->conviction;
    uint64_t square = (uint64_t)TALLY_ONE * TALLY_ONE;
    out->confidence = (uint32_t)((product + square / 2) / square);
}

void tally_count(const struct tally *t, struct tally_result *out)
{
    *out = (struct tally_result){.winner = -1};
    struct counting c = {.tally = t, .out = out};
    sum_up(t, out);
    if (!quorum_met(t, out)) {
        out->verdict = TALLY_NO_QUORUM;
        tally_step(out, "a weight of %llu of %llu voted: %s %u/%u is the quorum",
                   (unsigned long long)out->voted, (unsigned long long)out->eligible,
                   t->terms.quorum_exceeds ? "more than" : "at least", t->terms.quorum.over,
                   t->terms.quorum.under);
        return;
    }
    if (out->cast == 0) {
        out->verdict = TALLY_NO_DECISION;
        tally_step(out, "no ballot chose anything");
        return;
    }
    if (rules[t->terms.rule].family) {
        rules[t->terms.rule].family->count(&c);
        judge(&c);
    } else {
        tally_score(&c);
    }
    if (out->verdict == TALLY_DECIDED) {
        value_it(t, out);
    }
}

void tally_result_done(struct tally_result *result)
{
    buf_done(&result->steps);
}

/* ---- before all have voted ---- */

bool tally_settled(const struct tally *t)
{
    struct tally_result sums = {.winner = -1};
    bool settled = false;
    if (!rules[t->terms.rule].settles) {
        return false;
    }
    sum_up(t, &sums);
    int64_t open = (int64_t)(sums.eligible - sums.voted);
    tally_single_points(t, sums.points);
    uint64_t top = tally_top(&sums, tally_all(t));
    int leader = __builtin_ctzll(top);
    int64_t most = sums.points[leader];
    int64_t ahead = most - tally_best_other(&sums, t->options_n, leader);
    int64_t base = t->terms.of_eligible ? (int64_t)sums.eligible : (int64_t)sums.cast + open;
    const struct tally_fraction *threshold = &t->terms.threshold;
    switch (t->terms.rule) {
    case RULE_PLURALITY:
    case RULE_WEIGHTED:
    case RULE_APPROVAL:
        settled = ahead > open;
        break;
    case RULE_CONFIDENCE:
        settled = ahead > open * TALLY_ONE;
        break;
    case RULE_MAJORITY:
        settled = 2 * most > base;
        break;
    case RULE_SUPERMAJORITY:
        settled = most > 0 && most * threshold->under >= base * threshold->over;
        break;
    case RULE_UNANIMOUS:
        settled = open == 0 && most == (int64_t)sums.cast && most > 0;
        break;
    case RULE_BFT:
        settled = most >= tally_bft_needed(t->seats_n);
        break;
    case RULE_BORDA:
    case RULE_IRV:
    case RULE_CONDORCET:
    case RULE_SCORE_MEAN:
    case RULE_SCORE_MEDIAN:
    case TALLY_RULES:
        break;
    }
    settled = settled && quorum_met(t, &sums);
    tally_result_done(&sums);
    return settled;
}

bool tally_dissents(const struct tally_result *result, enum tally_rule rule,
                    const struct tally_ballot *ballot)
{
    if (result->verdict != TALLY_DECIDED || ballot->abstains) {
        return false;
    }
    switch (tally_form_of(rule)) {
    case FORM_ONE:
    case FORM_RANKING:
        return ballot->choices_n == 0 || ballot->choices[0] != result->winner;
    case FORM_SOME:
        return !names_it(ballot, result->winner);
    case FORM_SCORE:
        return ballot->score != result->value;
    }
    return false;
}
