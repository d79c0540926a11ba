/* A strategy is a score of a candidate, and for two of them a step before or after: weighted round
 * robin gives every candidate its weight before the pick and takes all weights from the picked one
 * after it (nginx's smooth form), and consistent hashing needs the sums of the list for its bound.
 *
 * Consistent hashing is done by rendezvous: a key goes to the candidate whose hash together with
 * the key is the highest. That is the ring with infinitely many points an agent: when one leaves,
 * only its own keys move, and evenly. No ring is kept, so candidates may differ from task to task.
 */
#include "hub/tasks/balance.h"
#include "store/hash.h"

#include <math.h>
#include <stdlib.h>

static const double AVERAGE_WEIGHT = 0.2; /* of the newest in a moving average */
static const double BOUND = 1.25;         /* consistent_hash: so much over the mean at most */
static const double SMOOTH_MS = 10000;    /* predictive: how far back a report counts */
static const double HORIZON_MS = 5000;    /* predictive: when nothing is known of its tasks */
static const double HORIZON_MS_MAX = 60000;
static const double WEIGHT_LEAST = 0.1;
static const uint64_t KEY_SEED = UINT64_C(0x62616c616e6365);
enum { DISTANCE_UNKNOWN = 1000000, DISTANCE_ELSEWHERE = 1000 };

/* What is known of an agent. */
struct record {
    struct balance_figures figures;
    double turn;         /* weighted round robin: what it is owed */
    int64_t reported_ms; /* of the newest report in level and trend */
    uint64_t picked_at;  /* the count of picks when it was picked; 0: never */
    uint32_t unreported; /* picked since its newest report */
    bool learned;        /* its averages of tasks moved since balance_learned() */
};

struct app {
    enum balance_strategy strategy;
    struct slice neighbours; /* own copy */
    uint64_t picks;
    uint32_t last; /* number of the last picked: round robin goes on behind it */
    struct balance_totals totals;
    double response_ms; /* over all its agents; 0: not known */
};

struct balance {
    struct record *records; /* by agent number */
    uint32_t records_n;
    struct app *apps; /* by app */
    uint32_t apps_n;
};

/* One pick, while it is made. */
struct pick {
    struct balance *balance;
    struct app *app;
    const struct balance_ask *ask;
    const struct balance_candidate *list;
    uint32_t n;
    uint64_t salt;                  /* random */
    double weights, running, slots; /* sums of the list */
};

struct strategy {
    const char *name;
    void (*before)(struct pick *p);
    double (*score)(const struct pick *p, const struct balance_candidate *c);
    void (*after)(struct pick *p, const struct balance_candidate *picked);
};

/* ---- records ---- */

struct balance *balance_new(void)
{
    return xcalloc(1, sizeof(struct balance));
}

void balance_forget(struct balance *balance)
{
    for (uint32_t i = 0; i < balance->apps_n; i++) {
        free((void *)(uintptr_t)balance->apps[i].neighbours.p);
    }
    free(balance->records);
    free(balance->apps);
    *balance = (struct balance){0};
}

void balance_free(struct balance *balance)
{
    if (balance) {
        balance_forget(balance);
        free(balance);
    }
}

static struct record *record_of(struct balance *balance, uint32_t number)
{
    if (number >= balance->records_n) {
        uint32_t n = balance->records_n ? balance->records_n : 64;
        while (n <= number) {
            n *= 2;
        }
        balance->records = xrealloc(balance->records, n * sizeof *balance->records);
        for (uint32_t i = balance->records_n; i < n; i++) {
            balance->records[i] = (struct record){.figures.success = 1};
        }
        balance->records_n = n;
    }
    return &balance->records[number];
}

static struct app *app_of(struct balance *balance, uint32_t app)
{
    if (app >= balance->apps_n) {
        uint32_t n = app + 1;
        balance->apps = xrealloc(balance->apps, n * sizeof *balance->apps);
        memset(balance->apps + balance->apps_n, 0, (n - balance->apps_n) * sizeof *balance->apps);
        balance->apps_n = n;
    }
    return &balance->apps[app];
}

void balance_use(struct balance *balance, uint32_t app, enum balance_strategy strategy,
                 struct slice neighbours)
{
    struct app *a = app_of(balance, app);
    free((void *)(uintptr_t)a->neighbours.p);
    a->neighbours = slice_of(NULL, 0);
    a->strategy = strategy;
    if (neighbours.n) {
        uint8_t *copy = xmalloc(neighbours.n);
        memcpy(copy, neighbours.p, neighbours.n);
        a->neighbours = slice_of(copy, neighbours.n);
    }
}

void balance_use_defaults(struct balance *balance)
{
    for (uint32_t i = 0; i < balance->apps_n; i++) {
        balance_use(balance, i, BALANCE_LEAST_CONNECTIONS, slice_of(NULL, 0));
    }
}

enum balance_strategy balance_strategy(const struct balance *balance, uint32_t app)
{
    return app < balance->apps_n ? balance->apps[app].strategy : BALANCE_LEAST_CONNECTIONS;
}

static double average(double old, double new)
{
    return old + AVERAGE_WEIGHT * (new - old);
}

void balance_assigned(struct balance *balance, uint32_t app, uint32_t number)
{
    app_of(balance, app)->totals.assigned++;
    record_of(balance, number)->figures.assigned++;
}

void balance_finished(struct balance *balance, uint32_t app, uint32_t number, bool ok,
                      int64_t took_ms)
{
    struct app *a = app_of(balance, app);
    struct record *record = record_of(balance, number);
    struct balance_figures *f = &record->figures;
    record->learned = true;
    f->success = average(f->success, ok ? 1 : 0);
    if (!ok) {
        a->totals.failed++;
        f->failed++;
        return;
    }
    double took = took_ms > 1 ? (double)took_ms : 1;
    a->totals.succeeded++;
    f->succeeded++;
    a->response_ms = a->response_ms > 0 ? average(a->response_ms, took) : took;
    f->response_ms = f->response_ms > 0 ? average(f->response_ms, took) : took;
}

struct balance_totals balance_totals(const struct balance *balance, uint32_t app)
{
    return app < balance->apps_n ? balance->apps[app].totals : (struct balance_totals){0};
}

bool balance_figures(const struct balance *balance, uint32_t number, struct balance_figures *out)
{
    *out = (struct balance_figures){.success = 1};
    if (number >= balance->records_n) {
        return false;
    }
    *out = balance->records[number].figures;
    return out->assigned || out->succeeded || out->failed;
}

uint32_t balance_next(const struct balance *balance, uint32_t after, struct balance_figures *out)
{
    for (uint32_t number = after + 1; number < balance->records_n; number++) {
        if (balance_figures(balance, number, out)) {
            return number;
        }
    }
    return 0;
}

uint32_t balance_learned(struct balance *balance, uint32_t after, struct balance_figures *out)
{
    for (uint32_t number = after + 1; number < balance->records_n; number++) {
        if (balance->records[number].learned) {
            balance->records[number].learned = false;
            *out = balance->records[number].figures;
            return number;
        }
    }
    return 0;
}

void balance_remember(struct balance *balance, uint32_t number,
                      const struct balance_figures *figures)
{
    struct balance_figures *f = &record_of(balance, number)->figures;
    f->success = figures->success;
    f->response_ms = figures->response_ms;
}

double balance_weight(const struct balance_figures *figures, uint32_t slots)
{
    return slots * (WEIGHT_LEAST + (1 - WEIGHT_LEAST) * figures->success);
}

/* ---- scores: the lowest is picked ---- */

static const struct record *known(const struct pick *p, const struct balance_candidate *c)
{
    return &p->balance->records[c->number];
}

static double share(const struct balance_candidate *c)
{
    return c->slots ? (double)c->running / c->slots : 1;
}

static double least_connections(const struct pick *p, const struct balance_candidate *c)
{
    (void)p;
    return c->running;
}

/* How far its number lies behind the last picked, going round. */
static double round_robin(const struct pick *p, const struct balance_candidate *c)
{
    return (uint32_t)(c->number - p->app->last - 1);
}

static bool is_free(const struct balance_candidate *c)
{
    return c->running < c->slots;
}

static void weights_give(struct pick *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct balance_candidate *c = &p->list[i];
        if (is_free(c)) {
            struct record *r = record_of(p->balance, c->number);
            double weight = balance_weight(&r->figures, c->slots);
            r->turn += weight;
            p->weights += weight;
        }
    }
}

static double weighted_round_robin(const struct pick *p, const struct balance_candidate *c)
{
    return -known(p, c)->turn;
}

static void weights_take(struct pick *p, const struct balance_candidate *picked)
{
    record_of(p->balance, picked->number)->turn -= p->weights;
}

/* What it does not report counts as a half: neither idle nor full. Of its queue the hub knows a
 * part by itself, and sooner than the next report. */
static double resource_based(const struct pick *p, const struct balance_candidate *c)
{
    (void)p;
    double cpu = c->use.cpu >= 0 ? c->use.cpu : 0.5;
    double memory = c->use.memory >= 0 ? c->use.memory : 0.5;
    double queue = c->use.queue > share(c) ? c->use.queue : share(c);
    return 0.4 * cpu + 0.3 * memory + 0.3 * queue;
}

/* The place of `to` among the configured neighbours of `from`, from 1; 0: not there. */
static unsigned neighbour_rank(struct slice neighbours, struct slice from, struct slice to)
{
    struct slice list, word;
    while (words_next(&neighbours, &list)) {
        if (!words_next(&list, &word) || !slice_equal(word, from)) {
            continue;
        }
        for (unsigned rank = 1; words_next(&list, &word); rank++) {
            if (slice_equal(word, to)) {
                return rank;
            }
        }
    }
    return 0;
}

/* "eu-west-1" is nearer to "eu-central-1" than to "us-west-1": leading parts in common. */
static unsigned parts_shared(struct slice a, struct slice b)
{
    unsigned parts = 0;
    for (size_t i = 0; i < a.n && i < b.n && a.p[i] == b.p[i]; i++) {
        if (a.p[i] == '-' || a.p[i] == '.' || a.p[i] == '/') {
            parts++;
        }
    }
    return parts;
}

static double distance(struct slice neighbours, struct slice from, struct slice to)
{
    if (to.n == 0) {
        return DISTANCE_UNKNOWN;
    }
    if (slice_equal(from, to)) {
        return 0;
    }
    unsigned rank = neighbour_rank(neighbours, from, to);
    unsigned parts = parts_shared(from, to);
    return rank ? rank : DISTANCE_UNKNOWN - 1 - DISTANCE_ELSEWHERE * (parts < 100 ? parts : 100);
}

static double geographic(const struct pick *p, const struct balance_candidate *c)
{
    return p->ask->region.n ? distance(p->app->neighbours, p->ask->region, c->region) : 0;
}

double balance_distance(const struct balance *balance, uint32_t app, struct slice from,
                        struct slice to)
{
    return distance(app < balance->apps_n ? balance->apps[app].neighbours : slice_of(NULL, 0), from,
                    to);
}

static double hash_score(uint64_t seed, uint32_t number)
{
    uint8_t bytes[4];
    be32_put(bytes, number);
    return (double)(hash64(seed, slice_of(bytes, sizeof bytes)) >> 11) /
           9007199254740992.0; /* 2^53 */
}

static void salt(struct pick *p)
{
    uint8_t bytes[16];
    memcpy(bytes, p->ask->seed, 8);
    be64_put(bytes + 8, p->app->picks); /* a command may pick more than once */
    p->salt = hash64(KEY_SEED, slice_of(bytes, sizeof bytes));
}

static double random_score(const struct pick *p, const struct balance_candidate *c)
{
    return hash_score(p->salt, c->number);
}

/* Who is not known yet is tried, one task at a time; meanwhile it counts as average. */
static double least_response_time(const struct pick *p, const struct balance_candidate *c)
{
    double response = known(p, c)->figures.response_ms;
    if (response <= 0) {
        response = c->running ? p->app->response_ms : 0;
    }
    return response * (c->running + 1.0);
}

/* What the task wants and the agent has, of all that either names (Jaccard). */
static double capability_based(const struct pick *p, const struct balance_candidate *c)
{
    const struct words *wanted = p->ask->capabilities;
    uint32_t has = c->capabilities ? c->capabilities->n : 0, wants = wanted ? wanted->n : 0;
    uint32_t both = 0;
    struct slice rest = wanted ? wanted->packed : slice_of(NULL, 0), word;
    while (c->capabilities && words_next(&rest, &word)) {
        both += words_have(c->capabilities, word);
    }
    uint32_t either = has + wants - both;
    return either ? -(double)both / either : 0;
}

/* Holt's smoothing over uneven steps: level and slope of what an agent reports. An agent that
 * reports nothing is judged by the slots it has taken. */
static void observe(struct record *r, const struct balance_candidate *c, int64_t now_ms)
{
    bool reports = c->reported_ms != 0;
    int64_t at = reports ? c->reported_ms : now_ms;
    double load = reports ? c->load : share(c);
    if (at <= r->reported_ms) {
        return;
    }
    if (r->reported_ms) {
        double step = (double)(at - r->reported_ms), old = r->figures.level;
        double alpha = 1 - exp(-step / SMOOTH_MS);
        double expected = old + r->figures.trend * step / 1000;
        r->figures.level = expected + alpha * (load - expected);
        double slope = (r->figures.level - old) / (step / 1000);
        r->figures.trend += alpha * (slope - r->figures.trend);
    } else {
        r->figures.level = load;
    }
    r->reported_ms = at;
    r->unreported = 0;
}

static void observe_all(struct pick *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        observe(record_of(p->balance, p->list[i].number), &p->list[i], p->ask->now_ms);
    }
}

/* The load when a task given now would be in its midst, and what was given since the last report.
 */
static double predictive(const struct pick *p, const struct balance_candidate *c)
{
    const struct record *r = known(p, c);
    double horizon = r->figures.response_ms > 0 ? r->figures.response_ms : HORIZON_MS;
    horizon = horizon < HORIZON_MS_MAX ? horizon : HORIZON_MS_MAX;
    double load = r->figures.level + r->figures.trend * horizon / 1000;
    return (load > 0 ? load : 0) + (c->slots ? (double)r->unreported / c->slots : 1);
}

static void sums(struct pick *p)
{
    for (uint32_t i = 0; i < p->n; i++) {
        p->running += p->list[i].running;
        p->slots += p->list[i].slots;
    }
    if (p->ask->key.n) {
        p->salt = hash64(KEY_SEED, p->ask->key);
    } else {
        salt(p); /* nothing to keep together: anywhere */
    }
}

double balance_key_place(struct slice key, uint32_t number)
{
    return hash_score(hash64(KEY_SEED, key), number);
}

double balance_key_bound(double running_all, double slots_all, uint32_t slots)
{
    return ceil(BOUND * (running_all + 1) * slots / slots_all);
}

/* An agent past its bound comes after all who are not, in the key's own order. */
static double consistent_hash(const struct pick *p, const struct balance_candidate *c)
{
    double bound = balance_key_bound(p->running, p->slots, c->slots);
    return (c->running < bound ? 0 : 1) + 1 - hash_score(p->salt, c->number);
}

/* clang-format off */
static const struct strategy strategies[BALANCE_STRATEGIES] = {
    [BALANCE_LEAST_CONNECTIONS]    = {"least_connections", NULL, least_connections, NULL},
    [BALANCE_ROUND_ROBIN]          = {"round_robin", NULL, round_robin, NULL},
    [BALANCE_WEIGHTED_ROUND_ROBIN] = {"weighted_round_robin", weights_give, weighted_round_robin, weights_take},
    [BALANCE_RESOURCE_BASED]       = {"resource_based", NULL, resource_based, NULL},
    [BALANCE_GEOGRAPHIC]           = {"geographic", NULL, geographic, NULL},
    [BALANCE_RANDOM]               = {"random", salt, random_score, NULL},
    [BALANCE_LEAST_RESPONSE_TIME]  = {"least_response_time", NULL, least_response_time, NULL},
    [BALANCE_CAPABILITY_BASED]     = {"capability_based", NULL, capability_based, NULL},
    [BALANCE_PREDICTIVE]           = {"predictive", observe_all, predictive, NULL},
    [BALANCE_CONSISTENT_HASH]      = {"consistent_hash", sums, consistent_hash, NULL},
};
/* clang-format on */

const char *balance_strategy_name(enum balance_strategy strategy)
{
    return strategies[strategy].name;
}

static int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

bool balance_strategy_of(struct slice name, enum balance_strategy *out)
{
    for (unsigned i = 0; i < BALANCE_STRATEGIES; i++) {
        const char *known_name = strategies[i].name;
        size_t at = 0;
        while (at < name.n && known_name[at] && lower(name.p[at]) == known_name[at]) {
            at++;
        }
        if (at == name.n && !known_name[at]) {
            *out = (enum balance_strategy)i;
            return true;
        }
    }
    return false;
}

/* ---- the pick ---- */

struct standing {
    double score, share;
    uint64_t picked_at;
    uint32_t number;
};

static bool before(const struct standing *a, const struct standing *b)
{
    if (a->score != b->score) {
        return a->score < b->score;
    }
    if (a->share != b->share) {
        return a->share < b->share;
    }
    return a->picked_at != b->picked_at ? a->picked_at < b->picked_at : a->number < b->number;
}

static int64_t best(const struct pick *p, const struct strategy *strategy)
{
    struct standing leader = {0};
    int64_t at = BALANCE_NOBODY;
    for (uint32_t i = 0; i < p->n; i++) {
        const struct balance_candidate *c = &p->list[i];
        if (!is_free(c)) {
            continue;
        }
        struct standing s = {.score = strategy->score(p, c),
                             .share = share(c),
                             .picked_at = known(p, c)->picked_at,
                             .number = c->number};
        if (at == BALANCE_NOBODY || before(&s, &leader)) {
            leader = s;
            at = i;
        }
    }
    return at;
}

enum balance_reach balance_reach(const struct balance *balance, const struct balance_ask *ask)
{
    switch (balance_strategy(balance, ask->app)) {
    case BALANCE_ROUND_ROBIN:
        return BALANCE_AMONG_NEXT;
    case BALANCE_CONSISTENT_HASH:
        return ask->key.n ? BALANCE_AMONG_KEYED : BALANCE_AMONG_SAMPLE;
    case BALANCE_GEOGRAPHIC:
        return ask->region.n ? BALANCE_AMONG_NEAREST : BALANCE_AMONG_SAMPLE;
    case BALANCE_CAPABILITY_BASED:
        return BALANCE_AMONG_SPECIALISTS;
    case BALANCE_LEAST_CONNECTIONS:
        return BALANCE_AMONG_LEAST;
    case BALANCE_WEIGHTED_ROUND_ROBIN:
    case BALANCE_RESOURCE_BASED:
    case BALANCE_RANDOM:
    case BALANCE_LEAST_RESPONSE_TIME:
    case BALANCE_PREDICTIVE:
    case BALANCE_STRATEGIES:
        break;
    }
    return BALANCE_AMONG_SAMPLE;
}

uint64_t balance_picked_at(const struct balance *balance, uint32_t number)
{
    return number < balance->records_n ? balance->records[number].picked_at : 0;
}

uint32_t balance_last(const struct balance *balance, uint32_t app)
{
    return app < balance->apps_n ? balance->apps[app].last : 0;
}

int64_t balance_pick(struct balance *balance, const struct balance_ask *ask,
                     const struct balance_candidate *list, uint32_t n)
{
    struct pick p = {.balance = balance, .ask = ask, .list = list, .n = n};
    for (uint32_t i = 0; i < n; i++) {
        (void)record_of(balance, list[i].number); /* scores read them and change nothing */
    }
    p.app = app_of(balance, ask->app);
    const struct strategy *strategy = &strategies[p.app->strategy];
    if (strategy->before) {
        strategy->before(&p);
    }
    int64_t at = best(&p, strategy);
    if (at == BALANCE_NOBODY) {
        return at;
    }
    struct record *r = record_of(balance, list[at].number);
    r->picked_at = ++p.app->picks;
    r->unreported++;
    p.app->last = list[at].number;
    if (strategy->after) {
        strategy->after(&p, &list[at]);
    }
    return at;
}
