/* Among whom a strategy chooses: those who fit the task and are well, and of these no more than the
 * strategy has to see. A pick that looks at ten thousand agents costs more than the whole of the
 * rest of a task. */
#include "hub/tasks/inside.h"

#include <stdlib.h>

enum {
    SAMPLE_MAX = 32, /* of more ready agents some are looked at, others the next time */
    RECHECK_MS = 1000,
    KEYED_MAX = 4096,    /* keys whose agents are remembered, */
    KEYED_WAYS = 4,      /* each in one of so many places */
    KEYED_AGENTS = 16,   /* of each */
    FEW_WORDS = 4,       /* so few agents are looked at one by one */
    SUMS_PICKS_MAX = 64, /* that sums over very many may be behind */
};

/* The agents that a key belongs to, the first first, as long as no agent comes, leaves or changes.
 */
struct keyed {
    uint64_t key, needs, of; /* hashes, tasks.agents_changed; of 0: nobody's */
    uint32_t n, agents[KEYED_AGENTS];
};

struct candidates *candidates_new(void)
{
    return xcalloc(1, sizeof(struct candidates));
}

void candidates_free(struct candidates *c)
{
    free(c->list);
    free(c->keyed);
    free(c->near);
    free(c);
}

static void add(struct candidates *c, const struct worker *w)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : SAMPLE_MAX;
        c->list = xrealloc(c->list, c->cap * sizeof *c->list);
    }
    struct balance_candidate *new = &c->list[c->n++];
    *new = (struct balance_candidate){
        .number = w->number,
        .running = w->held_n + w->picked_n,
        .slots = w->slots,
        .use = w->use,
        .load = w->load,
        .reported_ms = w->reported_ms,
        .region = w->region,
        .capabilities = &w->capabilities,
    };
    c->free_n += new->running < new->slots;
}

/* No event tells when an agent is well again: it is looked at after a while. */
static bool is_healthy(struct tasks *t, struct tasks_app *app, struct worker *w,
                       const struct kind *kind, int64_t now_ms)
{
    worker_look(t, w, now_ms);
    bool well = w->health >= kind->needs.health_least;
    if (!well && app->recheck_ms == INT64_MAX) {
        app->recheck_ms = now_ms + RECHECK_MS;
    }
    return well;
}

/* Who is asked for: all but `except`; of some tasks only those that are preferred. */
struct wanted {
    const struct balance_ask *ask;
    struct kind *kind;
    uint32_t except;
    bool preferred;
};

static void consider(struct tasks *t, struct tasks_app *app, const struct wanted *want,
                     uint32_t number)
{
    struct worker *w = worker_of(t, number);
    if (number != want->except && (!want->preferred || words_have(&want->kind->prefer, w->id)) &&
        is_healthy(t, app, w, want->kind, want->ask->now_ms)) {
        add(t->candidates, w);
    }
}

/* ---- those with a free slot ---- */

static void consider_ready(struct tasks *t, struct tasks_app *app, const struct wanted *want,
                           const struct ready *ready, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to && t->candidates->n < SAMPLE_MAX; i++) {
        if (kind_fits(want->kind, ready->list[i].number)) {
            consider(t, app, want, ready->list[i].number);
        }
    }
}

/* At most SAMPLE_MAX, others the next time. The best of 32 is all but the best of all: who has
 * least to do of a random few is far from the fullest. */
static void sample(struct tasks *t, struct tasks_app *app, const struct wanted *want)
{
    uint32_t skip = app->ready_n ? app->ready_from % app->ready_n : 0, first = 0;
    while (first < READY_CLASSES && skip >= app->ready[first].n) {
        skip -= app->ready[first++].n;
    }
    if (first == READY_CLASSES) {
        return;
    }
    consider_ready(t, app, want, &app->ready[first], skip, app->ready[first].n);
    for (unsigned i = 1; i < READY_CLASSES; i++) {
        const struct ready *ready = &app->ready[(first + i) % READY_CLASSES];
        consider_ready(t, app, want, ready, 0, ready->n);
    }
    consider_ready(t, app, want, &app->ready[first], 0, skip);
    app->ready_from += t->candidates->n == SAMPLE_MAX ? SAMPLE_MAX : 0;
}

/* least_connections' own order (balance.h). A share is the smaller, the more slots, unless it is
 * none of them. */
static bool has_fewer(const struct ready_agent *a, const struct ready_agent *b)
{
    if (a->running != b->running) {
        return a->running < b->running;
    }
    if (a->running && a->slots != b->slots) {
        return a->slots > b->slots;
    }
    return a->picked_at != b->picked_at ? a->picked_at < b->picked_at : a->number < b->number;
}

/* The first of them who is well. */
static void consider_least(struct tasks *t, struct tasks_app *app, const struct wanted *want,
                           const struct ready_agent **among, uint32_t n)
{
    while (n && t->candidates->n == 0) {
        uint32_t least = 0;
        for (uint32_t i = 1; i < n; i++) {
            least = has_fewer(among[i], among[least]) ? i : least;
        }
        consider(t, app, want, among[least]->number);
        among[least] = among[--n];
    }
}

/* The best of a sample as above, and of another one only if nobody of it is well. Who is not the
 * best is not looked at any closer. */
static void gather_least(struct tasks *t, struct tasks_app *app, const struct wanted *want)
{
    const struct ready_agent *among[SAMPLE_MAX];
    uint32_t left = app->ready_n, at = left ? app->ready_from % left : 0, class = 0;
    while (left && t->candidates->n == 0) {
        uint32_t n = 0;
        for (; left && n < SAMPLE_MAX; left--, at++) {
            while (at >= app->ready[class].n) {
                at -= app->ready[class].n;
                class = (class + 1) % READY_CLASSES;
            }
            const struct ready_agent *one = &app->ready[class].list[at];
            if (one->number != want->except && kind_fits(want->kind, one->number)) {
                among[n++] = one;
            }
        }
        app->ready_from += n == SAMPLE_MAX ? SAMPLE_MAX : 0;
        consider_least(t, app, want, among, n);
    }
}

/* Who fits has all that is wanted, so the fewer capabilities, the better the match: a sample of the
 * first class that has anybody. The last has agents of many counts, and all of these are compared.
 */
static void sample_specialists(struct tasks *t, struct tasks_app *app, const struct wanted *want)
{
    struct candidates *c = t->candidates;
    for (unsigned class = 0; class < READY_CLASSES && c->n == 0; class ++) {
        const struct ready *ready = &app->ready[class];
        uint32_t from = ready->n ? app->ready_from % ready->n : 0;
        bool all = class == READY_CLASSES - 1;
        for (uint32_t i = 0; i < ready->n && (all || c->n < SAMPLE_MAX); i++) {
            uint32_t number = ready->list[(from + i) % ready->n].number;
            if (kind_fits(want->kind, number)) {
                consider(t, app, want, number);
            }
        }
    }
    app->ready_from += c->n == SAMPLE_MAX ? SAMPLE_MAX : 0;
}

/* ---- all who fit, by number ---- */

typedef bool fit_visit(struct tasks *t, struct tasks_app *app, const struct wanted *want,
                       uint32_t number); /* false: enough */

/* The numbers from `from` on, below `to`. */
static bool each_fit(struct tasks *t, struct tasks_app *app, const struct wanted *want,
                     uint64_t from, uint64_t to, fit_visit *visit)
{
    const struct kind *kind = want->kind;
    for (uint64_t word = from / 64; word < kind->fits_n && word * 64 < to; word++) {
        uint64_t bits = kind->fits[word];
        bits &= word == from / 64 ? UINT64_MAX << (from % 64) : UINT64_MAX;
        for (; bits; bits &= bits - 1) {
            uint64_t number = word * 64 + (unsigned)__builtin_ctzll(bits);
            if (number >= to) {
                return true;
            }
            if (worker_is_there(worker_of(t, (uint32_t)number)) &&
                !visit(t, app, want, (uint32_t)number)) {
                return false;
            }
        }
    }
    return true;
}

static bool visit_any(struct tasks *t, struct tasks_app *app, const struct wanted *want,
                      uint32_t number)
{
    consider(t, app, want, number);
    return true;
}

/* Those whose slots are taken too: how much an agent may have hangs on what the others have. */
static void gather_all(struct tasks *t, struct tasks_app *app, const struct wanted *want)
{
    (void)each_fit(t, app, want, 0, UINT64_MAX, visit_any);
}

static bool visit_ready(struct tasks *t, struct tasks_app *app, const struct wanted *want,
                        uint32_t number)
{
    if (worker_of(t, number)->ready_at != NOT_READY) {
        consider(t, app, want, number);
    }
    return t->candidates->n == 0;
}

static void gather_next(struct tasks *t, struct tasks_app *app, const struct wanted *want)
{
    uint64_t behind = (uint64_t)balance_last(t->balance, app->app) + 1;
    if (each_fit(t, app, want, behind, UINT64_MAX, visit_ready)) {
        (void)each_fit(t, app, want, 0, behind, visit_ready);
    }
}

/* ---- those that a key belongs to ---- */

static void keyed_add(struct keyed *keyed, double *places, double place, uint32_t number)
{
    if (keyed->n == KEYED_AGENTS && places[keyed->n - 1] >= place) {
        return;
    }
    uint32_t at = keyed->n < KEYED_AGENTS ? keyed->n++ : KEYED_AGENTS - 1;
    for (; at > 0 && places[at - 1] < place; at--) {
        places[at] = places[at - 1];
        keyed->agents[at] = keyed->agents[at - 1];
    }
    places[at] = place;
    keyed->agents[at] = number;
}

/* The key's place, or the one it gets: one whose agents are not true any more, else any. */
static struct keyed *keyed_place(struct tasks *t, uint64_t key, uint64_t needs)
{
    struct candidates *c = t->candidates;
    c->keyed = c->keyed ? c->keyed : xcalloc(KEYED_MAX, sizeof *c->keyed);
    struct keyed *ways = &c->keyed[key % (KEYED_MAX / KEYED_WAYS) * KEYED_WAYS];
    struct keyed *place = &ways[c->keyed_turn++ % KEYED_WAYS];
    for (unsigned i = 0; i < KEYED_WAYS; i++) {
        if (ways[i].key == key && ways[i].needs == needs) {
            return &ways[i];
        }
        place = ways[i].of != t->agents_changed ? &ways[i] : place;
    }
    return place;
}

/* Of all who fit, be they there or not: who is away comes back to its keys. */
static const struct keyed *keyed_of(struct tasks *t, const struct kind *kind, struct slice key)
{
    uint64_t hash = hash64(kind->hash, key);
    struct keyed *keyed = keyed_place(t, hash, kind->hash);
    if (keyed->key == hash && keyed->needs == kind->hash && keyed->of == t->agents_changed) {
        return keyed;
    }
    double places[KEYED_AGENTS] = {0};
    *keyed = (struct keyed){.key = hash, .needs = kind->hash, .of = t->agents_changed};
    for (uint32_t word = 0; word < kind->fits_n; word++) {
        for (uint64_t bits = kind->fits[word]; bits; bits &= bits - 1) {
            uint32_t number = word * 64 + (uint32_t)__builtin_ctzll(bits);
            keyed_add(keyed, places, balance_key_place(key, number), number);
        }
    }
    return keyed;
}

static bool visit_sum(struct tasks *t, struct tasks_app *app, const struct wanted *want,
                      uint32_t number)
{
    const struct worker *w = worker_of(t, number);
    (void)app;
    want->kind->sums.running += w->held_n + w->picked_n;
    want->kind->sums.slots += w->slots;
    return true;
}

static const struct fit_sums *sums_of(struct tasks *t, struct tasks_app *app,
                                      const struct wanted *want)
{
    struct fit_sums *sums = &want->kind->sums;
    if (sums->of != t->agents_changed || sums->picks++ >= SUMS_PICKS_MAX) {
        *sums = (struct fit_sums){.of = t->agents_changed};
        (void)each_fit(t, app, want, 0, UINT64_MAX, visit_sum);
    }
    return sums;
}

/* The first of the key's agents that has a free slot and not too much; of none of the first few,
 * all are compared. */
static void gather_keyed(struct tasks *t, struct tasks_app *app, const struct wanted *want)
{
    struct candidates *c = t->candidates;
    if (want->kind->fits_n <= FEW_WORDS) {
        gather_all(t, app, want);
        return;
    }
    const struct fit_sums *sums = sums_of(t, app, want);
    const struct keyed *keyed = keyed_of(t, want->kind, want->ask->key);
    for (uint32_t i = 0; i < keyed->n && c->n == 0; i++) {
        const struct worker *w = worker_of(t, keyed->agents[i]);
        uint32_t has = w ? w->held_n + w->picked_n : 0;
        if (w && worker_is_there(w) && w->ready_at != NOT_READY &&
            has < balance_key_bound(sums->running, sums->slots, w->slots)) {
            consider(t, app, want, keyed->agents[i]);
        }
    }
    if (c->n == 0) {
        gather_all(t, app, want);
    }
}

/* ---- the nearest ---- */

struct nearness {
    double distance;
    const struct region *region;
};

/* Regions of equal distance in an order that is the same for the same history. */
static int by_distance(const void *a, const void *b)
{
    const struct nearness *x = a, *y = b;
    if (x->distance != y->distance) {
        return x->distance < y->distance ? -1 : 1;
    }
    return x->region->hash < y->region->hash ? -1 : x->region->hash > y->region->hash;
}

static void nearness_all(struct tasks *t, const struct tasks_app *app, struct slice from)
{
    struct candidates *c = t->candidates;
    c->near_n = 0;
    for (unsigned i = 0; i < REGION_BUCKETS; i++) {
        for (const struct region *r = app->regions[i]; r; r = r->next) {
            if (c->near_n == c->near_cap) {
                c->near_cap = c->near_cap ? c->near_cap * 2 : 32;
                c->near = xrealloc(c->near, c->near_cap * sizeof *c->near);
            }
            c->near[c->near_n++] = (struct nearness){
                .distance = balance_distance(t->balance, app->app, from, r->name), .region = r};
        }
    }
    if (c->near_n > 1) {
        qsort(c->near, c->near_n, sizeof *c->near, by_distance);
    }
}

static void consider_region(struct tasks *t, struct tasks_app *app, const struct wanted *want,
                            const struct region *region)
{
    for (uint32_t i = 0; i < region->n && t->candidates->n < SAMPLE_MAX; i++) {
        uint32_t number = region->list[(app->ready_from + i) % region->n]->number;
        if (kind_fits(want->kind, number)) {
            consider(t, app, want, number);
        }
    }
}

/* A sample of those in the region itself; if nobody there will do, of all who are the next far
 * away, and so on. */
static void gather_nearest(struct tasks *t, struct tasks_app *app, const struct wanted *want)
{
    struct candidates *c = t->candidates;
    const struct region *own = region_find(app, want->ask->region);
    if (own) {
        consider_region(t, app, want, own);
    }
    if (c->n == 0) {
        nearness_all(t, app, want->ask->region);
    } else {
        c->near_n = 0;
    }
    for (uint32_t i = 0; i < c->near_n; i++) {
        if (c->n && c->near[i].distance > c->near[i - 1].distance) {
            break;
        }
        consider_region(t, app, want, c->near[i].region);
    }
    app->ready_from += c->n == SAMPLE_MAX ? SAMPLE_MAX : 0;
}

/* ---- the strategy's own way ---- */

static bool gather(struct tasks *t, struct tasks_app *app, const struct wanted *want)
{
    static void (*const ways[])(struct tasks *, struct tasks_app *, const struct wanted *) = {
        [BALANCE_AMONG_LEAST] = gather_least,     [BALANCE_AMONG_SAMPLE] = sample,
        [BALANCE_AMONG_NEXT] = gather_next,       [BALANCE_AMONG_KEYED] = gather_keyed,
        [BALANCE_AMONG_NEAREST] = gather_nearest, [BALANCE_AMONG_SPECIALISTS] = sample_specialists,
    };
    t->candidates->n = t->candidates->free_n = 0;
    ways[balance_reach(t->balance, want->ask)](t, app, want);
    return t->candidates->free_n > 0;
}

/* Another agent than the last one goes first; who said no is left in peace for a while. */
bool candidates_find(struct tasks *t, struct tasks_app *app, const struct live *live,
                     const struct balance_ask *ask)
{
    bool shuns = live->shun_ms != INT64_MAX && live->shun_ms > ask->now_ms;
    struct wanted want = {.ask = ask,
                          .kind = live->kind,
                          .except = live->last_agent,
                          .preferred = live->kind->prefer.n > 0};
    if (want.preferred && gather(t, app, &want)) {
        return true;
    }
    want.preferred = false;
    if (gather(t, app, &want)) {
        return true;
    }
    want.except = 0;
    return live->last_agent && !shuns && gather(t, app, &want);
}
