/* Counting: every rule against a count that is written as plainly as can be, on random profiles; in
 * every order of the ballots; and the corners of semantics.md section 3 one by one. */
#include "tests/unit/scratch.h"

#include "hub/consensus/tally.h"

#include <math.h>

enum { SEATS_MAX = 9, OPTIONS_MAX = 6, PROFILES = 3000 };

struct profile {
    struct tally tally;
    struct slice options[OPTIONS_MAX];
    uint32_t weights[SEATS_MAX];
    struct tally_ballot ballots[SEATS_MAX];
    char names[OPTIONS_MAX][8];
};

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(scratch_random(&seed) >> 33) % n;
}

static struct profile *profile_new(enum tally_rule rule, uint32_t options_n, uint32_t seats_n)
{
    struct profile *p = xcalloc(1, sizeof *p);
    p->tally = (struct tally){
        .terms = {.rule = rule, .threshold = {2, 3}, .quorum = {1, 2}, .quorum_exceeds = true},
        .options = p->options,
        .options_n = options_n,
        .weights = p->weights,
        .seats_n = seats_n,
        .chair = TALLY_NOBODY,
        .ballots = p->ballots};
    for (uint32_t i = 0; i < options_n; i++) {
        snprintf(p->names[i], sizeof p->names[i], "%c", 'a' + (int)i);
        p->options[i] = slice_str(p->names[i]);
    }
    for (uint32_t i = 0; i < seats_n; i++) {
        p->weights[i] = 1;
    }
    return p;
}

/* "a" votes for the first option, "ba" ranks the second before the first, "-" abstains, "." does
 * not vote. */
static struct profile *profile_of(enum tally_rule rule, uint32_t options_n,
                                  const char *const *votes, uint32_t seats_n)
{
    struct profile *p = profile_new(rule, options_n, seats_n);
    for (uint32_t i = 0; i < seats_n; i++) {
        struct tally_ballot *b = &p->ballots[p->tally.ballots_n];
        *b = (struct tally_ballot){.seat = i, .confidence = TALLY_ONE};
        if (votes[i][0] == '.') {
            continue;
        }
        b->abstains = votes[i][0] == '-';
        for (const char *c = votes[i]; !b->abstains && *c; c++) {
            b->choices[b->choices_n++] = (uint8_t)(*c - 'a');
        }
        p->tally.ballots_n++;
    }
    return p;
}

#define PROFILE(rule, options_n, ...)                                                              \
    profile_of(rule, options_n, (const char *const[]){__VA_ARGS__},                                \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static struct tally_result count(const struct profile *p)
{
    struct tally_result r;
    tally_count(&p->tally, &r);
    tally_result_done(&r);
    return r;
}

static void expect(struct profile *p, enum tally_verdict verdict, int winner)
{
    struct tally_result r = count(p);
    assert_int_equal(r.verdict, verdict);
    assert_int_equal(r.winner, winner);
    free(p);
}

static void random_profile(struct profile **out, enum tally_rule rule)
{
    uint32_t seats_n = 1 + below(SEATS_MAX), options_n = 1 + below(OPTIONS_MAX);
    enum tally_form form = tally_form_of(rule);
    struct profile *p = profile_new(rule, options_n, seats_n);
    p->tally.options_n = form == FORM_SCORE ? 0 : options_n;
    p->tally.terms.of_eligible = below(3) == 0;
    p->tally.terms.tie = (enum tally_tie)below(TALLY_TIES);
    p->tally.chair = below(3) ? below(seats_n) : TALLY_NOBODY;
    for (uint32_t i = 0; i < TALLY_SEED_BYTES; i++) {
        p->tally.seed[i] = (uint8_t)below(256);
    }
    for (uint32_t i = 0; i < seats_n; i++) {
        p->weights[i] = rule == RULE_BFT || below(2) ? 1 : below(5);
        struct tally_ballot *b = &p->ballots[p->tally.ballots_n];
        uint8_t order[OPTIONS_MAX] = {0, 1, 2, 3, 4, 5};
        if (below(8) == 0) {
            continue;
        }
        *b = (struct tally_ballot){.seat = i,
                                   .abstains = below(8) == 0,
                                   .confidence = below(2) ? TALLY_ONE : below(TALLY_ONE + 1),
                                   .score = form == FORM_SCORE ? (int64_t)below(9000) - 4000 : 0};
        p->tally.ballots_n++;
        if (b->abstains || form == FORM_SCORE) {
            continue;
        }
        b->choices_n = (uint8_t)(form == FORM_ONE ? 1 : 1 + below(options_n));
        for (uint32_t c = 0; c < b->choices_n; c++) {
            uint32_t at = c + below(options_n - c);
            uint8_t swap = order[at];
            order[at] = order[c];
            order[c] = b->choices[c] = swap;
        }
    }
    *out = p;
}

static void shuffle(struct profile *p)
{
    for (uint32_t i = p->tally.ballots_n; i > 1; i--) {
        uint32_t at = below(i);
        struct tally_ballot swap = p->ballots[at];
        p->ballots[at] = p->ballots[i - 1];
        p->ballots[i - 1] = swap;
    }
}

/* ---- the order of arrival ---- */

static void the_order_of_ballots_changes_nothing(void **state)
{
    (void)state;
    seed = scratch_seed();
    for (unsigned i = 0; i < PROFILES; i++) {
        struct profile *p;
        random_profile(&p, (enum tally_rule)below(TALLY_RULES));
        struct tally_result first, again;
        tally_count(&p->tally, &first);
        bool settled = tally_settled(&p->tally);
        for (unsigned n = 0; n < 4; n++) {
            shuffle(p);
            tally_count(&p->tally, &again);
            assert_true(slice_equal(buf_slice(&first.steps), buf_slice(&again.steps)));
            tally_result_done(&again);
            struct buf steps = first.steps;
            first.steps = again.steps = (struct buf){0};
            assert_memory_equal(&first, &again, sizeof first);
            first.steps = steps;
            assert_int_equal(tally_settled(&p->tally), settled);
        }
        tally_result_done(&first);
        free(p);
    }
}

/* ---- a plain count, in floating point and by definition ---- */

static double weight(const struct profile *p, uint32_t ballot)
{
    return p->weights[p->ballots[ballot].seat];
}

static bool prefers(const struct tally_ballot *b, unsigned x, unsigned y)
{
    for (unsigned i = 0; i < b->choices_n; i++) {
        if (b->choices[i] == x || b->choices[i] == y) {
            return b->choices[i] == x;
        }
    }
    return false;
}

/* The options that the rule's definition puts at the top, a bit each. */
static unsigned naive_best(const struct profile *p, const double *value, unsigned among)
{
    unsigned best = 0;
    double most = -1;
    for (unsigned i = 0; i < p->tally.options_n; i++) {
        if (among >> i & 1 && value[i] > most) {
            most = value[i];
        }
    }
    for (unsigned i = 0; i < p->tally.options_n; i++) {
        best |= (among >> i & 1 && value[i] == most) ? 1u << i : 0;
    }
    return best;
}

static unsigned naive_irv(const struct profile *p)
{
    unsigned left = (1u << p->tally.options_n) - 1;
    for (;;) {
        double votes[OPTIONS_MAX] = {0}, minus[OPTIONS_MAX], all = 0;
        for (uint32_t b = 0; b < p->tally.ballots_n; b++) {
            for (unsigned c = 0; !p->ballots[b].abstains && c < p->ballots[b].choices_n; c++) {
                if (left >> p->ballots[b].choices[c] & 1) {
                    votes[p->ballots[b].choices[c]] += weight(p, b);
                    all += weight(p, b);
                    break;
                }
            }
        }
        for (unsigned i = 0; i < p->tally.options_n; i++) {
            if (left >> i & 1 && votes[i] > all / 2) {
                return 1u << i;
            }
            minus[i] = 1e9 - votes[i];
        }
        unsigned last = naive_best(p, minus, left);
        if (last == left) {
            return left;
        }
        left &= ~last;
    }
}

/* The strongest path by trying all of them, deeper and deeper. */
static double naive_path(const struct profile *p, double wins[OPTIONS_MAX][OPTIONS_MAX], unsigned x,
                         unsigned y, unsigned visited)
{
    double best = wins[x][y];
    for (unsigned z = 0; z < p->tally.options_n; z++) {
        if (!(visited >> z & 1) && z != y && wins[x][z] > 0) {
            double rest = naive_path(p, wins, z, y, visited | 1u << z);
            double path = rest < wins[x][z] ? rest : wins[x][z];
            best = path > best ? path : best;
        }
    }
    return best;
}

static unsigned naive_schulze(const struct profile *p)
{
    double wins[OPTIONS_MAX][OPTIONS_MAX] = {{0}}, with[OPTIONS_MAX][OPTIONS_MAX] = {{0}};
    unsigned n = p->tally.options_n, best = 0;
    for (uint32_t b = 0; b < p->tally.ballots_n; b++) {
        for (unsigned x = 0; x < n; x++) {
            for (unsigned y = 0; y < n; y++) {
                with[x][y] += x != y && prefers(&p->ballots[b], x, y) ? weight(p, b) : 0;
            }
        }
    }
    for (unsigned x = 0; x < n; x++) {
        for (unsigned y = 0; y < n; y++) {
            wins[x][y] = with[x][y] > with[y][x] ? with[x][y] : 0;
        }
    }
    for (unsigned x = 0; x < n; x++) {
        bool beaten = false;
        for (unsigned y = 0; y < n; y++) {
            beaten = beaten || (x != y && naive_path(p, wins, y, x, 1u << y) >
                                              naive_path(p, wins, x, y, 1u << x));
        }
        best |= beaten ? 0 : 1u << x;
    }
    return best;
}

static unsigned naive_points(const struct profile *p, double points[OPTIONS_MAX])
{
    for (uint32_t b = 0; b < p->tally.ballots_n; b++) {
        for (unsigned c = 0; !p->ballots[b].abstains && c < p->ballots[b].choices_n; c++) {
            double worth = weight(p, b);
            if (p->tally.terms.rule == RULE_CONFIDENCE) {
                worth *= fmax(50000, p->ballots[b].confidence);
            } else if (p->tally.terms.rule == RULE_BORDA) {
                worth *= p->tally.options_n - 1 - c;
            }
            points[p->ballots[b].choices[c]] += worth;
        }
    }
    return naive_best(p, points, (1u << p->tally.options_n) - 1);
}

static bool naive_enough(const struct profile *p, double top, double cast, double eligible)
{
    double base = p->tally.terms.of_eligible ? eligible : cast;
    switch ((int)p->tally.terms.rule) {
    case RULE_MAJORITY:
        return top > base / 2;
    case RULE_SUPERMAJORITY:
        return top * 3 >= base * 2;
    case RULE_UNANIMOUS:
        return top == cast;
    case RULE_BFT:
        return top >= ceil((p->tally.seats_n + floor((p->tally.seats_n - 1) / 3.0) + 1) / 2.0);
    default:
        return true;
    }
}

static int compare_scores(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double naive_score(const struct profile *p)
{
    double copies[SEATS_MAX * 5], sum = 0;
    size_t n = 0;
    for (uint32_t b = 0; b < p->tally.ballots_n; b++) {
        for (unsigned w = 0; !p->ballots[b].abstains && w < (unsigned)weight(p, b); w++) {
            copies[n++] = (double)p->ballots[b].score;
            sum += (double)p->ballots[b].score;
        }
    }
    qsort(copies, n, sizeof *copies, compare_scores);
    double exact = p->tally.terms.rule == RULE_SCORE_MEAN
                       ? sum / (double)n
                       : (copies[(n - 1) / 2] + copies[n / 2]) / 2;
    return round(exact);
}

static void check_profile(const struct profile *p)
{
    double eligible = 0, voted = 0, cast = 0, points[OPTIONS_MAX] = {0};
    for (uint32_t i = 0; i < p->tally.seats_n; i++) {
        eligible += p->weights[i];
    }
    for (uint32_t b = 0; b < p->tally.ballots_n; b++) {
        voted += weight(p, b);
        cast += p->ballots[b].abstains ? 0 : weight(p, b);
    }
    struct tally_result r = count(p);
    if (!(voted > eligible / 2)) {
        assert_int_equal(r.verdict, TALLY_NO_QUORUM);
        return;
    }
    if (cast == 0) {
        assert_int_equal(r.verdict, TALLY_NO_DECISION);
        return;
    }
    enum tally_rule rule = p->tally.terms.rule;
    if (tally_form_of(rule) == FORM_SCORE) {
        assert_int_equal(r.verdict, TALLY_DECIDED);
        assert_true((double)r.value == naive_score(p));
        return;
    }
    unsigned top = rule == RULE_IRV         ? naive_irv(p)
                   : rule == RULE_CONDORCET ? naive_schulze(p)
                                            : naive_points(p, points);
    bool alone = __builtin_popcount(top) == 1;
    bool strict = rule == RULE_SUPERMAJORITY || rule == RULE_UNANIMOUS || rule == RULE_BFT;
    if (alone && naive_enough(p, points[__builtin_ctz(top)], cast, eligible)) {
        assert_int_equal(r.verdict, TALLY_DECIDED);
        assert_int_equal(r.winner, __builtin_ctz(top));
        assert_int_equal(r.tied, 0);
        double backing = r.support / 1e6 * (cast / eligible) * r.conviction / 1e6;
        assert_true(fabs(r.confidence / 1e6 - backing) < 2e-6);
    } else if (!alone && !strict) {
        assert_int_equal(r.tied, top);
        assert_true(r.winner < 0 || top >> r.winner & 1);
        assert_int_equal(r.verdict, r.winner < 0 ? TALLY_TIED : TALLY_DECIDED);
    } else {
        assert_int_equal(r.verdict, TALLY_NO_DECISION);
    }
}

static void every_rule_agrees_with_a_plain_count(void **state)
{
    (void)state;
    seed = scratch_seed();
    for (unsigned rule = 0; rule < TALLY_RULES; rule++) {
        for (unsigned i = 0; i < PROFILES; i++) {
            struct profile *p;
            random_profile(&p, (enum tally_rule)rule);
            check_profile(p);
            free(p);
        }
    }
}

/* ---- early close ---- */

/* Fills the seats that are open in every way that two ballots can: a settled round must come out
 * the same in all of them. */
static void complete(struct profile *p, const bool *voted, uint32_t seat, int winner)
{
    while (seat < p->tally.seats_n && voted[seat]) {
        seat++;
    }
    if (seat == p->tally.seats_n) {
        struct tally_result r = count(p);
        assert_int_equal(r.verdict, TALLY_DECIDED);
        assert_int_equal(r.winner, winner);
        return;
    }
    complete(p, voted, seat + 1, winner); /* it does not vote */
    for (unsigned choice = 0; choice <= p->tally.options_n; choice++) {
        struct tally_ballot *b = &p->ballots[p->tally.ballots_n++];
        *b = (struct tally_ballot){.seat = seat,
                                   .abstains = choice == p->tally.options_n,
                                   .confidence = TALLY_ONE,
                                   .choices = {(uint8_t)choice},
                                   .choices_n = choice < p->tally.options_n};
        complete(p, voted, seat + 1, winner);
        p->tally.ballots_n--;
    }
}

static void a_settled_round_comes_out_the_same_whatever_follows(void **state)
{
    (void)state;
    seed = scratch_seed();
    unsigned settled = 0;
    for (unsigned i = 0; i < PROFILES; i++) {
        struct profile *p;
        bool voted[SEATS_MAX] = {false};
        random_profile(&p, (enum tally_rule)below(TALLY_RULES));
        uint32_t open = p->tally.seats_n - p->tally.ballots_n;
        for (uint32_t b = 0; b < p->tally.ballots_n; b++) {
            voted[p->ballots[b].seat] = true;
        }
        if (open <= 3 && tally_settled(&p->tally)) {
            struct tally_result r = count(p);
            complete(p, voted, 0, r.winner);
            settled++;
        }
        free(p);
    }
    assert_true(settled > PROFILES / 20);
}

static void ranked_and_score_rules_never_settle(void **state)
{
    (void)state;
    struct profile *p = PROFILE(RULE_BORDA, 2, "ab", "ab", "ab");
    assert_false(tally_settled(&p->tally));
    p->tally.terms.rule = RULE_SCORE_MEAN;
    assert_false(tally_settled(&p->tally));
    free(p);
    p = PROFILE(RULE_PLURALITY, 2, "a", "a", "a");
    assert_true(tally_settled(&p->tally));
    free(p);
}

static void nothing_settles_before_the_quorum(void **state)
{
    (void)state;
    struct profile *p = PROFILE(RULE_BFT, 2, "a", "a", "a", ".");
    assert_true(tally_settled(&p->tally));
    p->tally.terms.quorum = (struct tally_fraction){1, 1};
    p->tally.terms.quorum_exceeds = false;
    assert_false(tally_settled(&p->tally));
    free(p);
}

/* ---- corners ---- */

static void three_to_one_of_four_is_three_quarters(void **state)
{
    (void)state;
    struct profile *p = PROFILE(RULE_MAJORITY, 2, "a", "a", "a", "b");
    struct tally_result r = count(p);
    assert_int_equal(r.confidence, 750000);
    assert_int_equal(r.margin, 500000);
    assert_true(tally_dissents(&r, RULE_MAJORITY, &p->ballots[3]));
    assert_false(tally_dissents(&r, RULE_MAJORITY, &p->ballots[0]));
    free(p);
    p = PROFILE(RULE_MAJORITY, 2, "a", "a", "a", "a");
    assert_int_equal(count(p).confidence, TALLY_ONE);
    p->ballots[1].confidence = 500000;
    assert_int_equal(count(p).confidence, 875000);
    free(p);
    p = PROFILE(RULE_MAJORITY, 2, "a", "a", "a", "b");
    p->ballots[3].confidence = 0; /* how sure the others were is not asked */
    assert_int_equal(count(p).confidence, 750000);
    free(p);
}

static void majority_is_more_than_half_of_what_it_is_of(void **state)
{
    (void)state;
    expect(PROFILE(RULE_MAJORITY, 3, "a", "a", "b", "c"), TALLY_NO_DECISION, -1);
    expect(PROFILE(RULE_MAJORITY, 3, "a", "a", "b", "-"), TALLY_DECIDED, 0);
    struct profile *p = PROFILE(RULE_MAJORITY, 3, "a", "a", "b", "-");
    p->tally.terms.of_eligible = true;
    expect(p, TALLY_NO_DECISION, -1);
}

static void two_thirds_are_exactly_two_of_three(void **state)
{
    (void)state;
    expect(PROFILE(RULE_SUPERMAJORITY, 2, "a", "a", "b"), TALLY_DECIDED, 0);
    expect(PROFILE(RULE_SUPERMAJORITY, 2, "a", "a", "a", "b", "b"), TALLY_NO_DECISION, -1);
    struct tally_fraction f = tally_fraction_near(2.0 / 3);
    assert_int_equal(f.over, 2);
    assert_int_equal(f.under, 3);
    assert_true(tally_fraction_of(slice_str("0.75"), &f));
    assert_int_equal(f.over * 4, f.under * 3);
    assert_false(tally_fraction_of(slice_str("3/2"), &f));
    assert_false(tally_fraction_of(slice_str("1/0"), &f));
    assert_false(tally_fraction_of(slice_str("0.5x"), &f));
    assert_false(tally_fraction_of(slice_str(""), &f));
}

static void unanimous_minds_abstentions_not_at_all(void **state)
{
    (void)state;
    expect(PROFILE(RULE_UNANIMOUS, 2, "a", "a", "-"), TALLY_DECIDED, 0);
    expect(PROFILE(RULE_UNANIMOUS, 2, "a", "a", "b"), TALLY_NO_DECISION, -1);
}

static void abstentions_count_for_the_quorum_alone(void **state)
{
    (void)state;
    expect(PROFILE(RULE_PLURALITY, 2, "a", ".", ".", "."), TALLY_NO_QUORUM, -1);
    expect(PROFILE(RULE_PLURALITY, 2, "a", "-", ".", "."), TALLY_NO_QUORUM,
           -1); /* half is not more */
    expect(PROFILE(RULE_PLURALITY, 2, "a", "-", "-", "."), TALLY_DECIDED, 0);
    expect(PROFILE(RULE_PLURALITY, 2, "-", "-", "-"), TALLY_NO_DECISION, -1);
    struct profile *p = PROFILE(RULE_PLURALITY, 2, "a", "-", ".", ".");
    p->tally.terms.quorum_exceeds = false;
    expect(p, TALLY_DECIDED, 0);
}

static void one_member_decides_alone(void **state)
{
    (void)state;
    expect(PROFILE(RULE_MAJORITY, 2, "b"), TALLY_DECIDED, 1);
    expect(PROFILE(RULE_CONDORCET, 1, "a"), TALLY_DECIDED, 0);
    expect(PROFILE(RULE_BORDA, 1, "a"), TALLY_DECIDED, 0);
}

static void weight_counts_instead_of_heads(void **state)
{
    (void)state;
    struct profile *p = PROFILE(RULE_WEIGHTED, 2, "a", "a", "b");
    p->weights[2] = 3;
    expect(p, TALLY_DECIDED, 1);
    p = PROFILE(RULE_PLURALITY, 2, "a", "b");
    p->weights[0] = 0;
    p->weights[1] = TALLY_WEIGHT_SUM_MAX;
    expect(p, TALLY_DECIDED, 1);
}

static void confidence_below_a_twentieth_counts_as_that(void **state)
{
    (void)state;
    struct profile *p = PROFILE(RULE_CONFIDENCE, 2, "a", "b", "b");
    p->ballots[1].confidence = 0;
    p->ballots[2].confidence = 20000;
    p->ballots[0].confidence = 99999;
    expect(p, TALLY_DECIDED, 1);
}

static void bft_needs_more_than_the_faulty_can_forge(void **state)
{
    (void)state;
    static const uint32_t needed[][3] = {{4, 1, 3}, {5, 1, 4}, {6, 1, 4}, {7, 2, 5}, {10, 3, 7}};
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        assert_int_equal(tally_bft_faulty(needed[i][0]), needed[i][1]);
        assert_int_equal(tally_bft_needed(needed[i][0]), needed[i][2]);
    }
    for (uint32_t n = 4; n <= TALLY_SEATS_MAX; n++) {
        /* Two quorums share an honest seat, and the honest alone are enough. */
        assert_true(2 * tally_bft_needed(n) > n + tally_bft_faulty(n));
        assert_true(n - tally_bft_faulty(n) >= tally_bft_needed(n));
    }
    expect(PROFILE(RULE_BFT, 2, "a", "a", "a", "b", "b"), TALLY_NO_DECISION, -1);
    expect(PROFILE(RULE_BFT, 2, "a", "a", "a", "a", "."), TALLY_DECIDED, 0);
}

static void a_cycle_of_preferences_has_a_winner(void **state)
{
    (void)state;
    /* a > b by 6 of 9, b > c by 7, c > a by 5: the weakest link is c's. */
    struct profile *p =
        PROFILE(RULE_CONDORCET, 3, "abc", "abc", "abc", "abc", "bca", "bca", "bca", "cab", "cab");
    expect(p, TALLY_DECIDED, 0);
    expect(PROFILE(RULE_CONDORCET, 3, "abc", "bca", "cab"), TALLY_TIED, -1);
}

/* M. Schulze's own example of 45 voters (2011, section 3.1), each group one heavy seat. */
static void schulze_finds_the_winner_of_his_example(void **state)
{
    (void)state;
    static const uint32_t groups[] = {5, 5, 8, 3, 7, 2, 7, 8};
    struct profile *p = PROFILE(RULE_CONDORCET, 5, "acbed", "adecb", "bedac", "cabed", "caebd",
                                "cbade", "dceba", "ebadc");
    memcpy(p->weights, groups, sizeof groups);
    struct tally_result r = count(p);
    assert_int_equal(r.support, 466667); /* 21 of 45 against the one that stands best against it */
    expect(p, TALLY_DECIDED, 4);
}

static void instant_runoff_moves_votes_on(void **state)
{
    (void)state;
    expect(PROFILE(RULE_IRV, 3, "a", "a", "bc", "bc", "cb"), TALLY_DECIDED, 1);
    expect(PROFILE(RULE_IRV, 2, "a", "b"), TALLY_TIED, -1);
    expect(PROFILE(RULE_IRV, 3, "a", "b", "c"), TALLY_TIED, -1);
}

static void who_is_left_alone_in_a_runoff_was_not_everybody_s_choice(void **state)
{
    (void)state;
    struct profile *p = PROFILE(RULE_IRV, 3, "abc", "acb", "bac", "cba");
    struct tally_result r = count(p);
    assert_int_equal(r.winner, 0);
    assert_int_equal(r.confidence, TALLY_ONE / 2);
    assert_int_equal(r.margin, TALLY_ONE / 4);
    free(p);
}

static void a_median_lies_between_two_when_it_must(void **state)
{
    (void)state;
    struct profile *p = profile_new(RULE_SCORE_MEDIAN, 0, 4);
    static const int64_t scores[] = {1000, -500, 4000, 2001};
    for (uint32_t i = 0; i < 4; i++) {
        p->ballots[i] =
            (struct tally_ballot){.seat = i, .score = scores[i], .confidence = TALLY_ONE};
    }
    p->tally.ballots_n = 4;
    assert_int_equal(count(p).value, 1501); /* 1500.5, half away from zero */
    p->weights[2] = 10;
    assert_int_equal(count(p).value, 4000);
    p->tally.terms.rule = RULE_SCORE_MEAN;
    assert_int_equal(count(p).value, 3269); /* 42501 / 13 = 3269.3 */
    free(p);
}

/* ---- ties ---- */

static void each_tie_policy_does_what_it_says(void **state)
{
    (void)state;
    struct profile *p = PROFILE(RULE_PLURALITY, 3, "b", "a", "c", "b", "a");
    p->tally.terms.tie = TIE_NONE;
    struct tally_result r = count(p);
    assert_int_equal(r.verdict, TALLY_TIED);
    assert_int_equal(r.tied, 3);
    assert_int_equal(r.confidence, 0);
    p->tally.terms.tie = TIE_RUNOFF;
    assert_int_equal(count(p).winner, -1);
    p->tally.terms.tie = TIE_OPTION_ORDER;
    r = count(p);
    assert_int_equal(r.winner, 0);
    assert_true(r.by_tie);
    p->tally.terms.tie = TIE_CHAIR;
    p->tally.chair = 3;
    assert_int_equal(count(p).winner, 1);
    p->tally.chair = 2; /* it voted for what is not tied */
    assert_int_equal(count(p).winner, -1);
    p->tally.terms.tie = TIE_WEIGHT;
    assert_int_equal(count(p).winner, -1); /* all weigh the same */
    p->weights[0] = 3, p->weights[1] = 2, p->weights[4] = 2;
    assert_int_equal(count(p).tied, 3); /* 3 + 1 and 2 + 2 */
    assert_int_equal(count(p).winner, 1);
    free(p);
}

static void a_random_tie_follows_its_seed_alone(void **state)
{
    (void)state;
    unsigned won[2] = {0};
    for (unsigned i = 0; i < 200; i++) {
        struct profile *p = PROFILE(RULE_PLURALITY, 2, "a", "b");
        p->tally.terms.tie = TIE_SEEDED_RANDOM;
        p->tally.seed[3] = (uint8_t)i;
        struct tally_result r = count(p);
        shuffle(p);
        assert_int_equal(count(p).winner, r.winner);
        won[r.winner]++;
        free(p);
    }
    assert_true(won[0] > 50 && won[1] > 50);
}

static void rules_are_known_by_the_words_of_others(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum tally_rule rule;
    } words[] = {{"majority-vote", RULE_MAJORITY}, {"majority", RULE_MAJORITY},
                 {"schulze", RULE_CONDORCET},      {"ranked-choice", RULE_IRV},
                 {"weighted_vote", RULE_WEIGHTED}, {"confidence-weighted", RULE_CONFIDENCE},
                 {"score", RULE_SCORE_MEAN},       {"bft", RULE_BFT}};
    enum tally_rule rule;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        assert_true(tally_rule_of(slice_str(words[i].word), &rule));
        assert_int_equal(rule, words[i].rule);
    }
    for (unsigned i = 0; i < TALLY_RULES; i++) {
        assert_true(tally_rule_of(slice_str(tally_rule_name((enum tally_rule)i)), &rule));
        assert_int_equal(rule, i);
    }
    assert_false(tally_rule_of(slice_str("dictator"), &rule));
    assert_false(tally_rule_of(slice_str(""), &rule));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_ballots_changes_nothing),
        cmocka_unit_test(every_rule_agrees_with_a_plain_count),
        cmocka_unit_test(a_settled_round_comes_out_the_same_whatever_follows),
        cmocka_unit_test(ranked_and_score_rules_never_settle),
        cmocka_unit_test(nothing_settles_before_the_quorum),
        cmocka_unit_test(three_to_one_of_four_is_three_quarters),
        cmocka_unit_test(majority_is_more_than_half_of_what_it_is_of),
        cmocka_unit_test(two_thirds_are_exactly_two_of_three),
        cmocka_unit_test(unanimous_minds_abstentions_not_at_all),
        cmocka_unit_test(abstentions_count_for_the_quorum_alone),
        cmocka_unit_test(one_member_decides_alone),
        cmocka_unit_test(weight_counts_instead_of_heads),
        cmocka_unit_test(confidence_below_a_twentieth_counts_as_that),
        cmocka_unit_test(bft_needs_more_than_the_faulty_can_forge),
        cmocka_unit_test(a_cycle_of_preferences_has_a_winner),
        cmocka_unit_test(schulze_finds_the_winner_of_his_example),
        cmocka_unit_test(instant_runoff_moves_votes_on),
        cmocka_unit_test(who_is_left_alone_in_a_runoff_was_not_everybody_s_choice),
        cmocka_unit_test(a_median_lies_between_two_when_it_must),
        cmocka_unit_test(each_tie_policy_does_what_it_says),
        cmocka_unit_test(a_random_tie_follows_its_seed_alone),
        cmocka_unit_test(rules_are_known_by_the_words_of_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
