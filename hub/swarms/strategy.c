#include "hub/swarms/strategy.h"

#include <math.h>
#include <stdlib.h>

/* clang-format off */
static const struct strategy_rule rules[WORK_STRATEGIES] = {
    [STRATEGY_ROUND_ROBIN]  = {.name = "round-robin", .splits = true, .per_item = true, .reducer = REDUCE_LIST},
    [STRATEGY_MAP_REDUCE]   = {.name = "map-reduce", .splits = true, .reducer = REDUCE_CONCAT},
    [STRATEGY_BROADCAST]    = {.name = "broadcast", .bound = true, .reducer = REDUCE_LIST},
    [STRATEGY_RACE]         = {.name = "race", .bound = true, .reducer = REDUCE_FIRST, .first = 1, .stops = true},
    [STRATEGY_PIPELINE]     = {.name = "pipeline", .per_item = true, .splits = true, .in_turn = true, .reducer = REDUCE_LAST},
    [STRATEGY_SCATTER_VOTE] = {.name = "scatter-vote", .bound = true, .reducer = REDUCE_VOTE},
    [STRATEGY_CONSENSUS]    = {.name = "consensus", .bound = true, .reducer = REDUCE_VOTE},
    [STRATEGY_ELECTION]     = {.name = "leader-election", .bound = true, .reducer = REDUCE_VOTE},
    [STRATEGY_DISTRIBUTED]  = {.name = "distributed", .splits = true, .per_item = true, .reducer = REDUCE_LIST},
    [STRATEGY_HIERARCHICAL] = {.name = "hierarchical", .splits = true, .leads = true, .reducer = REDUCE_MEMBER},
};

static const struct {
    const char *name;
    enum work_strategy strategy;
} other_names[] = {
    {"mapreduce", STRATEGY_MAP_REDUCE}, {"map", STRATEGY_MAP_REDUCE}, {"parallel", STRATEGY_MAP_REDUCE},
    {"scatter-gather", STRATEGY_MAP_REDUCE}, {"sequential", STRATEGY_PIPELINE}, {"chain", STRATEGY_PIPELINE},
    {"all", STRATEGY_BROADCAST}, {"fastest", STRATEGY_RACE}, {"first", STRATEGY_RACE},
    {"vote", STRATEGY_SCATTER_VOTE}, {"voting", STRATEGY_SCATTER_VOTE}, {"majority-vote", STRATEGY_SCATTER_VOTE},
    {"election", STRATEGY_ELECTION}, {"load-balanced", STRATEGY_DISTRIBUTED}, {"least-connections", STRATEGY_DISTRIBUTED},
    {"hierarchy", STRATEGY_HIERARCHICAL}, {"master-worker", STRATEGY_HIERARCHICAL},
};
/* clang-format on */

const struct strategy_rule *strategy_rule(enum work_strategy strategy)
{
    return &rules[strategy];
}

static char plain(char c)
{
    return (char)(c == '_' || c == ' ' ? '-' : c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

static bool named(struct slice name, const char *known)
{
    size_t i = 0;
    while (i < name.n && known[i] && plain((char)name.p[i]) == known[i]) {
        i++;
    }
    return i == name.n && !known[i];
}

bool strategy_of(struct slice name, enum work_strategy *out)
{
    for (unsigned i = 0; i < WORK_STRATEGIES; i++) {
        if (named(name, rules[i].name)) {
            *out = (enum work_strategy)i;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof other_names / sizeof *other_names; i++) {
        if (named(name, other_names[i].name)) {
            *out = other_names[i].strategy;
            return true;
        }
    }
    return false;
}

/* ---- when enough is in ---- */

static bool require_number(double n, struct require *out)
{
    if (!(n > 0) || n > WORK_PARTS_MAX || (n > 1 && n != floor(n))) {
        return false;
    }
    *out = n < 1 ? (struct require){.kind = REQUIRE_FRACTION, .fraction = n}
                 : (struct require){.kind = REQUIRE_FIRST, .first = (uint32_t)n};
    return true;
}

static bool require_text(const char *text, struct require *out)
{
    if (strcmp(text, "all") == 0) {
        *out = (struct require){.kind = REQUIRE_ALL};
        return true;
    }
    text += strncmp(text, "first ", 6) == 0 ? 6 : 0;
    char *end;
    double n = strtod(text, &end);
    return end != text && *end == '\0' && require_number(n, out);
}

bool require_of(const json_t *value, struct require *out)
{
    const json_t *fraction = json_object_get(value, "fraction");
    const json_t *first = json_object_get(value, "first");
    if (json_is_string(value)) {
        return require_text(json_string_value(value), out);
    }
    if (json_is_number(value)) {
        /* 1.0 is all of it, 1 the first. */
        *out = (struct require){.kind = REQUIRE_FRACTION, .fraction = 1};
        return (json_is_real(value) && json_real_value(value) == 1.0) ||
               require_number(json_number_value(value), out);
    }
    if (json_is_number(fraction)) {
        *out = (struct require){.kind = REQUIRE_FRACTION, .fraction = json_number_value(fraction)};
        return out->fraction > 0 && out->fraction <= 1;
    }
    return json_is_integer(first) && require_number((double)json_integer_value(first), out);
}

uint32_t require_count(const struct require *require, uint32_t parts)
{
    uint32_t n = parts;
    if (require->kind == REQUIRE_FIRST) {
        n = require->first;
    } else if (require->kind == REQUIRE_FRACTION) {
        n = (uint32_t)ceil(require->fraction * parts - 1e-9);
    }
    return n < 1 ? 1 : n < parts ? n : parts;
}

/* ---- dividing ---- */

struct division divide(enum work_strategy strategy, uint32_t members_n, bool has_items,
                       uint32_t items_n, uint32_t shards, uint32_t turn)
{
    const struct strategy_rule *rule = &rules[strategy];
    struct division d = {.strategy = strategy,
                         .members_n = members_n,
                         .has_items = has_items && rule->splits,
                         .turn = turn % members_n};
    uint32_t workers = rule->leads && members_n > 1 ? members_n - 1 : members_n;
    d.items_n = d.has_items ? items_n : 0;
    if (!rule->splits) {
        d.parts_n = members_n;
    } else if (!d.has_items) {
        /* A whole that cannot be split goes to one; a pipeline passes it through all. */
        d.parts_n = shards ? shards : rule->in_turn ? members_n : rule->per_item ? 1 : workers;
    } else {
        uint32_t wanted = shards ? shards : rule->per_item ? items_n : workers;
        d.parts_n = wanted < items_n ? wanted : items_n;
    }
    d.parts_n = d.parts_n < WORK_PARTS_MAX ? d.parts_n : WORK_PARTS_MAX;
    return d;
}

struct share division_share(const struct division *d, uint32_t part)
{
    const struct strategy_rule *rule = &rules[d->strategy];
    struct share share = {.waits = rule->in_turn && part > 0};
    if (rule->leads && d->members_n > 1) {
        share.member = 1 + part % (d->members_n - 1);
    } else {
        share.member = (d->turn + part) % d->members_n;
    }
    if (d->has_items && d->parts_n) {
        uint32_t each = d->items_n / d->parts_n, more = d->items_n % d->parts_n;
        share.item = part * each + (part < more ? part : more);
        share.items_n = each + (part < more);
    }
    return share;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

int64_t straggler_after_ms(int64_t *took_ms, uint32_t done_n, uint32_t parts_n)
{
    if (done_n == 0 || done_n >= parts_n || done_n * 2 < parts_n) {
        return 0;
    }
    qsort(took_ms, done_n, sizeof *took_ms, by_time);
    int64_t median = took_ms[done_n / 2];
    return median > 0 ? 2 * median : 2;
}
