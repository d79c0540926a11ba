/* Rows stand in an array in the order they were made; a table of places with open addressing, at
 * most half full, finds a row by app and name. Every option is at bottom a whole number with a
 * bound: one table says where it stands in struct namespace_options and how it is spelled. */
#include "channels/namespace.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/pack.h"

struct row {
    struct namespace_options options;
    uint32_t app;
    uint8_t name_n;
    uint8_t name[NAMESPACE_BYTES_MAX];
};

struct namespaces {
    struct row *rows;
    size_t rows_n, rows_cap;
    uint32_t *places; /* of a row, from 1; 0 is free */
    size_t places_n;  /* a power of two */
};

/* ---- the table of options ---- */

enum option_kind {
    OPTION_WORD,
    OPTION_SWITCH,
    OPTION_COUNT,
    OPTION_AGE, /* milliseconds; a bare number and JSON are seconds */
    OPTION_MS,  /* milliseconds, also bare and in JSON */
    OPTION_SIZE
};

struct option {
    const char *name;
    enum option_kind kind;
    bool fixed; /* a system namespace keeps it as it is */
    size_t at, width;
    uint64_t min, max;
    const char *const *words;
    const char *allowed; /* for messages */
};

static const char *const access_words[] = {"public", "private", "presence"};
static const char *const delivery_words[] = {"live", "durable"};
static const char *const slow_words[] = {"drop", "disconnect", "cursor"};
static const char *const publish_words[] = {"capable", "any", "hub"};
static const char *const switch_words[] = {"false", "true"};

#define AT(field)                                                                                  \
    offsetof(struct namespace_options, field), sizeof((struct namespace_options *)0)->field
#define DAY_MS UINT64_C(86400000)

/* clang-format off */
static const struct option options[] = {
    { "access",            OPTION_WORD,   true,  AT(access),             0, 2, access_words,   "public, private or presence" },
    { "delivery",          OPTION_WORD,   true,  AT(delivery),           0, 1, delivery_words, "live or durable" },
    { "history_events",    OPTION_COUNT,  false, AT(history.events_max), 0, UINT64_C(1000000000000), NULL, "a whole number up to 10^12, 0 for no bound" },
    { "history_age",       OPTION_AGE,    false, AT(history.age_ms_max), 0, 36500 * DAY_MS, NULL, "seconds, or a number with ms, s, m, h or d, up to 36500d, 0 for no bound" },
    { "history_bytes",     OPTION_SIZE,   false, AT(history.bytes_max),  0, UINT64_C(1) << 50, NULL, "bytes, or a number with B, KiB, MiB or GiB, up to 2^50, 0 for no bound" },
    { "latest",            OPTION_SWITCH, false, AT(latest),             0, 1, switch_words,   "true or false" },
    { "conflate",          OPTION_SWITCH, false, AT(conflate),           0, 1, switch_words,   "true or false" },
    { "slow",              OPTION_WORD,   false, AT(slow),               0, 2, slow_words,     "drop, disconnect or cursor" },
    { "publish",           OPTION_WORD,   true,  AT(publish),            0, 2, publish_words,  "capable, any or hub" },
    { "presence_grace_ms", OPTION_MS,     false, AT(presence_grace_ms),  0, 3600000, NULL,     "milliseconds, or a number with ms, s, m or h, up to 1h" },
    { "message_bytes",     OPTION_SIZE,   true,  AT(message_bytes),      1, 16 << 20, NULL,    "bytes, or a number with B, KiB or MiB, from 1 to 16MiB" },
    { "rate",              OPTION_COUNT,  true,  AT(rate),               0, 1000000, NULL,     "a whole number up to 1000000, 0 for no bound" },
    { "ack_wait",          OPTION_AGE,    false, AT(ack_wait_ms),        10, DAY_MS, NULL,      "seconds, or a number with ms, s, m or h, from 10ms to 24h" },
    { "max_in_flight",     OPTION_COUNT,  false, AT(max_in_flight),      1, 4096, NULL,        "a whole number from 1 to 4096" },
    { "max_deliver",       OPTION_COUNT,  false, AT(max_deliver),        1, 1000, NULL,        "a whole number from 1 to 1000" },
};
/* clang-format on */

enum { OPTIONS_N = sizeof options / sizeof *options };

const char *namespace_option(size_t i, const char **out_allowed)
{
    if (i >= OPTIONS_N) {
        return NULL;
    }
    *out_allowed = options[i].allowed;
    return options[i].name;
}

static uint64_t option_get(const struct option *option, const struct namespace_options *from)
{
    const uint8_t *field = (const uint8_t *)from + option->at;
    if (option->width == 1) {
        return *field;
    }
    if (option->width == 4) {
        uint32_t v;
        memcpy(&v, field, sizeof v);
        return v;
    }
    uint64_t v;
    assert(option->width == sizeof v);
    memcpy(&v, field, sizeof v);
    return v;
}

static void option_put(const struct option *option, struct namespace_options *to, uint64_t value)
{
    uint8_t *field = (uint8_t *)to + option->at;
    uint8_t byte = (uint8_t)value;
    uint32_t word = (uint32_t)value;
    assert(option->width == 1 || option->width == 4 || option->width == 8);
    const void *from = option->width == 1   ? (const void *)&byte
                       : option->width == 4 ? (const void *)&word
                                            : (const void *)&value;
    memcpy(field, from, option->width);
}

static const struct option *option_find(const char *name)
{
    for (size_t i = 0; i < OPTIONS_N; i++) {
        if (strcmp(options[i].name, name) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

/* ---- options as text ---- */

struct unit {
    const char *name;
    uint64_t factor;
};

/* clang-format off */
static const struct unit seconds[] = { /* the first is what a bare number counts */
    { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", DAY_MS }, { NULL, 0 }
};
static const struct unit milliseconds[] = {
    { "", 1 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", DAY_MS }, { NULL, 0 }
};
static const struct unit bytes[] = {
    { "", 1 }, { "B", 1 }, { "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 }, { NULL, 0 }
};
static const struct unit plain[] = { { "", 1 }, { NULL, 0 } };
/* clang-format on */

static const struct unit *units_of(enum option_kind kind)
{
    switch (kind) {
    case OPTION_AGE:
        return seconds;
    case OPTION_MS:
        return milliseconds;
    case OPTION_SIZE:
        return bytes;
    case OPTION_COUNT:
    case OPTION_WORD:
    case OPTION_SWITCH:
        break;
    }
    return plain;
}

/* Digits with up to three decimals, as thousandths. NULL: no number, or too large to matter. */
static const char *read_thousandths(const char *text, uint64_t *out)
{
    const uint64_t enough = UINT64_C(10000000000000000);
    uint64_t v = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        v = v * 10 + (uint64_t)(*p - '0');
        if (v > enough / 1000) {
            return NULL;
        }
    }
    if (p == text) {
        return NULL;
    }
    const char *decimals = *p == '.' ? p + 1 : NULL;
    int places = 0;
    for (p = decimals ? decimals : p; decimals && *p >= '0' && *p <= '9'; p++, places++) {
        if (places == 3) {
            return NULL;
        }
        v = v * 10 + (uint64_t)(*p - '0');
    }
    if (decimals && places == 0) {
        return NULL;
    }
    for (; places < 3; places++) {
        v *= 10;
    }
    *out = v;
    return p;
}

/* The count must come out whole: "1.5KiB" is 1,536 bytes, "0.5" bytes are none. */
static bool parse_number(const struct option *option, const char *text, uint64_t *out)
{
    uint64_t thousandths;
    const char *rest = read_thousandths(text, &thousandths);
    if (!rest) {
        return false;
    }
    const struct unit *unit = units_of(option->kind);
    while (unit->name && strcmp(unit->name, rest) != 0) {
        unit++;
    }
    uint64_t factor = unit->factor;
    if (factor == 0 || thousandths > UINT64_MAX / factor || thousandths * factor % 1000 != 0) {
        return false;
    }
    uint64_t v = thousandths * factor / 1000;
    if (v < option->min || v > option->max) {
        return false;
    }
    *out = v;
    return true;
}

static bool option_parse(const struct option *option, const char *text, uint64_t *out)
{
    if (!option->words) {
        return parse_number(option, text, out);
    }
    for (uint64_t i = 0; i <= option->max; i++) {
        if (strcmp(option->words[i], text) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static void option_json(const struct option *option, uint64_t value, struct json_out *o)
{
    json_key(o, option->name);
    switch (option->kind) {
    case OPTION_WORD:
        json_str(o, option->words[value]);
        break;
    case OPTION_SWITCH:
        json_bool(o, value != 0);
        break;
    case OPTION_AGE:
        json_double(o, (double)value / 1000);
        break;
    case OPTION_COUNT:
    case OPTION_MS:
    case OPTION_SIZE:
        json_u64(o, value);
        break;
    }
}

void namespace_options_json(const struct namespace_options *from, struct json_out *o)
{
    json_begin(o, '{');
    for (size_t i = 0; i < OPTIONS_N; i++) {
        option_json(&options[i], option_get(&options[i], from), o);
    }
    json_key(o, "system");
    json_bool(o, from->system);
    json_end(o, '}');
}

/* ---- what holds without configuration ---- */

/* clang-format off */
#define ACKS .ack_wait_ms = 30000, .max_in_flight = 256, .max_deliver = 5
static const struct namespace_options normal = {
    .access = CHANNEL_PUBLIC, .delivery = NS_DURABLE, .slow = NS_SLOW_CURSOR, .publish = NS_PUBLISH_CAPABLE,
    .history = { .events_max = 10000, .age_ms_max = INT64_C(24) * 3600 * 1000 },
    .presence_grace_ms = 2000, .message_bytes = 64 << 10, ACKS,
};
static const struct namespace_options live = {
    .access = CHANNEL_PUBLIC, .delivery = NS_LIVE, .slow = NS_SLOW_DROP, .publish = NS_PUBLISH_CAPABLE,
    .presence_grace_ms = 2000, .message_bytes = 64 << 10, ACKS,
};
/* The trail of what happened to agents and tasks: kept longer than what users publish. The hub bounds
 * what it writes itself, so message_bytes stands at the largest. */
static const struct namespace_options system_durable = {
    .access = CHANNEL_PRIVATE, .delivery = NS_DURABLE, .slow = NS_SLOW_CURSOR, .publish = NS_PUBLISH_HUB, .system = true,
    .history = { .events_max = 100000, .age_ms_max = INT64_C(7) * 24 * 3600 * 1000 },
    .presence_grace_ms = 2000, .message_bytes = 16 << 20, ACKS,
};
/* A dashboard wants the newest figure of each agent, not each figure. */
static const struct namespace_options system_live = {
    .access = CHANNEL_PRIVATE, .delivery = NS_LIVE, .slow = NS_SLOW_DROP, .publish = NS_PUBLISH_HUB, .system = true,
    .conflate = true, .presence_grace_ms = 2000, .message_bytes = 16 << 20, ACKS,
};

static const struct { const char *name; const struct namespace_options *options; } built_in[] = {
    { "",          &normal },
    { "live",      &live },
    { "agents",    &system_durable },
    { "agent",     &system_durable },
    { "tasks",     &system_durable },
    { "task",      &system_durable },
    { "network",   &system_durable },
    { "swarm",     &system_durable },
    { "consensus", &system_durable },
    { "workflow",  &system_durable },
    { "messages",  &system_durable },
    { "auth",      &system_durable },
    { "channels",  &system_durable },
    { "pulse",     &system_live },
    { "hub",       &system_live },
};
/* clang-format on */

/* NULL when ns is no system namespace. */
static const struct namespace_options *system_options(struct slice ns)
{
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        if (built_in[i].options->system && slice_is(ns, built_in[i].name)) {
            return built_in[i].options;
        }
    }
    return NULL;
}

/* ---- the set ---- */

/* FNV-1a. Names come from whoever may configure the hub, and the table is at most half full, so
 * nobody gains by names that collide. */
static uint32_t hash_name(struct slice ns)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < ns.n; i++) {
        hash = (hash ^ ns.p[i]) * 16777619u;
    }
    return hash;
}

/* The low bits of a product are poor: the place is taken from the high ones. */
static size_t first_place(const struct namespaces *set, uint32_t app, uint32_t name_hash)
{
    uint64_t mixed = (name_hash ^ (uint64_t)app << 32) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(mixed >> 32) & (set->places_n - 1);
}

static struct row *find_row(const struct namespaces *set, uint32_t app, struct slice ns,
                            uint32_t hash)
{
    size_t place = first_place(set, app, hash);
    for (; set->places[place]; place = (place + 1) & (set->places_n - 1)) {
        struct row *row = &set->rows[set->places[place] - 1];
        if (row->app == app && slice_equal(slice_of(row->name, row->name_n), ns)) {
            return row;
        }
    }
    return NULL;
}

static void fill_places(struct namespaces *set)
{
    memset(set->places, 0, set->places_n * sizeof *set->places);
    for (size_t i = 0; i < set->rows_n; i++) {
        struct row *row = &set->rows[i];
        size_t place = first_place(set, row->app, hash_name(slice_of(row->name, row->name_n)));
        while (set->places[place]) {
            place = (place + 1) & (set->places_n - 1);
        }
        set->places[place] = (uint32_t)(i + 1);
    }
}

static struct row *add_row(struct namespaces *set, uint32_t app, struct slice ns)
{
    if (set->rows_n == set->rows_cap) {
        set->rows_cap *= 2;
        set->rows = xrealloc(set->rows, set->rows_cap * sizeof *set->rows);
        set->places_n = set->rows_cap * 2;
        set->places = xrealloc(set->places, set->places_n * sizeof *set->places);
        fill_places(set);
    }
    struct row *row = &set->rows[set->rows_n++];
    *row = (struct row){.app = app, .name_n = (uint8_t)ns.n};
    if (ns.n) {
        memcpy(row->name, ns.p, ns.n);
    }
    size_t place = first_place(set, app, hash_name(ns));
    while (set->places[place]) {
        place = (place + 1) & (set->places_n - 1);
    }
    set->places[place] = (uint32_t)set->rows_n;
    return row;
}

static struct namespaces *set_of_rows(size_t rows_cap)
{
    struct namespaces *set = xcalloc(1, sizeof *set);
    set->rows_cap = rows_cap;
    set->rows = xcalloc(rows_cap, sizeof *set->rows);
    set->places_n = rows_cap * 2;
    set->places = xcalloc(set->places_n, sizeof *set->places);
    return set;
}

struct namespaces *namespaces_new(void)
{
    struct namespaces *set = set_of_rows(16);
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        add_row(set, 0, slice_str(built_in[i].name))->options = *built_in[i].options;
    }
    return set;
}

struct namespaces *namespaces_copy(const struct namespaces *from)
{
    struct namespaces *set = set_of_rows(from->rows_cap);
    memcpy(set->rows, from->rows, from->rows_n * sizeof *from->rows);
    memcpy(set->places, from->places, from->places_n * sizeof *from->places);
    set->rows_n = from->rows_n;
    return set;
}

void namespaces_free(struct namespaces *set)
{
    if (set) {
        free(set->rows);
        free(set->places);
        free(set);
    }
}

const struct namespace_options *namespace_of(const struct namespaces *set, uint32_t app,
                                             struct slice ns)
{
    uint32_t hash = hash_name(ns);
    const struct row *row = app ? find_row(set, app, ns, hash) : NULL;
    if (!row) {
        row = find_row(set, 0, ns, hash);
    }
    if (!row && ns.n) {
        return namespace_of(set, app, slice_of(NULL, 0));
    }
    assert(row); /* the default of every app cannot be dropped */
    return &row->options;
}

void namespace_put(struct namespaces *set, uint32_t app, struct slice ns,
                   const struct namespace_options *from)
{
    assert(ns.n == 0 || namespace_name_valid(ns));
    struct namespace_options put = *from;
    const struct namespace_options *system = system_options(ns);
    put.system = system != NULL;
    for (size_t i = 0; system && i < OPTIONS_N; i++) {
        if (options[i].fixed) {
            option_put(&options[i], &put, option_get(&options[i], system));
        }
    }
    struct row *row = find_row(set, app, ns, hash_name(ns));
    if (!row) {
        row = add_row(set, app, ns);
    }
    row->options = put;
}

bool namespace_drop(struct namespaces *set, uint32_t app, struct slice ns)
{
    struct row *row = find_row(set, app, ns, hash_name(ns));
    if (!row || (app == 0 && (ns.n == 0 || row->options.system))) {
        return false;
    }
    size_t after = set->rows_n - (size_t)(row - set->rows) - 1;
    memmove(row, row + 1, after * sizeof *row);
    set->rows_n--;
    fill_places(set);
    return true;
}

static bool refuse(char *out_text, size_t text_n, const struct option *option, const char *value)
{
    snprintf(out_text, text_n, "%s: \"%.64s\" is not %s", option->name, value, option->allowed);
    return false;
}

static bool refuse_name(char *out_text, size_t text_n, const char *name)
{
    int n = snprintf(out_text, text_n, "\"%.64s\" is no option of a namespace; there are", name);
    for (size_t i = 0; i < OPTIONS_N && n >= 0 && (size_t)n < text_n; i++) {
        n += snprintf(out_text + n, text_n - (size_t)n, "%s %s", i ? "," : "", options[i].name);
    }
    return false;
}

bool namespace_set(struct namespaces *set, uint32_t app, struct slice ns, const char *name,
                   const char *value, char *out_text, size_t text_n)
{
    const struct option *option = option_find(name);
    uint64_t number;
    if (ns.n && !namespace_name_valid(ns)) {
        snprintf(out_text, text_n,
                 "a namespace's name is 1 to %d of A-Z a-z 0-9 _ - = @ , ; without a dot",
                 NAMESPACE_BYTES_MAX);
        return false;
    }
    if (!option) {
        return refuse_name(out_text, text_n, name);
    }
    if (!option_parse(option, value, &number)) {
        return refuse(out_text, text_n, option, value);
    }
    struct namespace_options changed = *namespace_of(set, app, ns);
    if (option->fixed && system_options(ns) && option_get(option, &changed) != number) {
        snprintf(out_text, text_n,
                 "%s: %.*s is a system namespace, written by the hub alone: it keeps its %s",
                 option->name, (int)ns.n, (const char *)ns.p, option->name);
        return false;
    }
    if (set->rows_n >= NAMESPACES_MAX && !find_row(set, app, ns, hash_name(ns))) {
        snprintf(out_text, text_n, "there are %d namespaces with options already", NAMESPACES_MAX);
        return false;
    }
    option_put(option, &changed, number);
    namespace_put(set, app, ns, &changed);
    return true;
}

void namespaces_each(const struct namespaces *set, namespace_visit *visit, void *ctx)
{
    for (size_t i = 0; i < set->rows_n; i++) {
        const struct row *row = &set->rows[i];
        if (!visit(ctx, row->app, slice_of(row->name, row->name_n), &row->options)) {
            return;
        }
    }
}

/* ---- stored rows ---- */

/* Version, count of options, then each as a 64-bit number in the order of the table, to which new
 * options are added at the end. */
enum { ROW_VERSION = 1 };

void namespace_pack(const struct namespace_options *from, struct buf *b)
{
    pack_u8(b, ROW_VERSION);
    pack_u8(b, OPTIONS_N);
    for (size_t i = 0; i < OPTIONS_N; i++) {
        pack_u64(b, option_get(&options[i], from));
    }
}

bool namespace_unpack(struct slice row, struct namespace_options *out)
{
    struct namespace_options read = normal;
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u), n = unpack_u8(&u);
    for (size_t i = 0; i < n; i++) {
        uint64_t value = unpack_u64(&u);
        if (i < OPTIONS_N) {
            if (value < options[i].min || value > options[i].max) {
                return false;
            }
            option_put(&options[i], &read, value);
        }
    }
    if (version != ROW_VERSION || !unpack_done(&u)) {
        return false;
    }
    *out = read;
    return true;
}
