#include "hub/agents/agent.h"
#include "channels/name.h"
#include "store/hash.h"

enum { ROW_VERSION = 1, INDEX_ID = 'i', INDEX_BYTES_MAX = 1 + 4 + 16 + 4 };
static const uint64_t INDEX_SEED = UINT64_C(0x6167656e74);

/* clang-format off */
static const char *const type_names[AGENT_TYPES] = {
    [AGENT_WORKER] = "worker", [AGENT_PROVIDER] = "provider", [AGENT_CONSUMER] = "consumer",
    [AGENT_GENERAL] = "general", [AGENT_COORDINATOR] = "coordinator", [AGENT_SPECIALIST] = "specialist",
    [AGENT_MONITOR] = "monitor", [AGENT_GATEWAY] = "gateway", [AGENT_ORCHESTRATOR] = "orchestrator",
    [AGENT_INFERENCE] = "inference", [AGENT_TRAINING] = "training", [AGENT_PROCESSING] = "processing",
};
static const char *const status_names[AGENT_STATUSES] = {
    [AGENT_ACTIVE] = "active", [AGENT_INACTIVE] = "inactive", [AGENT_BUSY] = "busy", [AGENT_STALE] = "stale",
    [AGENT_MAINTENANCE] = "maintenance", [AGENT_ERROR] = "error", [AGENT_DRAINING] = "draining",
    [AGENT_DEREGISTERED] = "deregistered",
};
/* clang-format on */

const char *agent_type_name(enum agent_type type)
{
    return type_names[type];
}

const char *agent_status_name(enum agent_status status)
{
    return status_names[status];
}

enum agent_status agent_status_with(enum agent_status stored, uint32_t held, uint32_t slots)
{
    return stored == AGENT_ACTIVE && held && held >= slots ? AGENT_BUSY : stored;
}

bool agent_type_of(struct slice name, enum agent_type *out)
{
    for (unsigned i = 0; i < AGENT_TYPES; i++) {
        if (slice_is(name, type_names[i])) {
            *out = (enum agent_type)i;
            return true;
        }
    }
    return false;
}

bool agent_status_of(struct slice name, enum agent_status *out)
{
    for (unsigned i = 0; i < AGENT_DEREGISTERED; i++) {
        if (slice_is(name, status_names[i])) {
            *out = (enum agent_status)i;
            return true;
        }
    }
    return false;
}

/* ---- metrics and words ---- */

static uint32_t metric_at(const struct metrics *metrics, const char *name)
{
    uint32_t at = 0;
    while (at < metrics->n && strcmp(metrics->list[at].name, name) != 0) {
        at++;
    }
    return at;
}

/* Names of `from` that are new, each once. */
static uint32_t metrics_new(const struct metrics *into, const struct metrics *from)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < from->n; i++) {
        const char *name = from->list[i].name;
        n += metric_at(into, name) == into->n && metric_at(from, name) == i;
    }
    return n;
}

bool metrics_merge(struct metrics *into, const struct metrics *from)
{
    if (into->n + metrics_new(into, from) > AGENT_METRICS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < from->n; i++) {
        uint32_t at = metric_at(into, from->list[i].name);
        into->list[at] = from->list[i];
        into->n = at == into->n ? at + 1 : into->n;
    }
    return true;
}

void metrics_pack(struct buf *b, const struct metrics *metrics)
{
    pack_u8(b, (uint8_t)metrics->n);
    for (uint32_t i = 0; i < metrics->n; i++) {
        pack_slice(b, slice_str(metrics->list[i].name));
        pack_f64(b, metrics->list[i].value);
    }
}

bool metrics_unpack(struct unpack *u, struct metrics *out)
{
    out->n = unpack_u8(u);
    if (out->n > AGENT_METRICS_MAX) {
        u->bad = true;
    }
    for (uint32_t i = 0; !u->bad && i < out->n; i++) {
        struct slice name = unpack_slice(u);
        if (!name.p || name.n > AGENT_METRIC_NAME_BYTES_MAX) {
            u->bad = true;
            break;
        }
        memset(out->list[i].name, 0, sizeof out->list[i].name);
        memcpy(out->list[i].name, name.p, name.n);
        out->list[i].value = unpack_f64(u);
    }
    return !u->bad;
}

bool words_next(struct slice *rest, struct slice *out_word)
{
    struct unpack u = unpack_of(*rest);
    if (rest->n == 0) {
        return false;
    }
    *out_word = unpack_slice(&u);
    *rest = slice_of(u.p, (size_t)(u.end - u.p));
    return !u.bad;
}

bool words_have(const struct words *words, struct slice word)
{
    struct slice rest = words->packed, item;
    while (words_next(&rest, &item)) {
        if (slice_equal(item, word)) {
            return true;
        }
    }
    return false;
}

static void pack_words(struct buf *b, const struct words *words)
{
    pack_u32(b, words->n);
    pack_slice(b, words->packed);
}

static struct words unpack_words(struct unpack *u)
{
    uint32_t n = unpack_u32(u);
    return (struct words){.n = n, .packed = unpack_slice(u)};
}

/* ---- the row ---- */

void agent_pack(struct buf *b, const struct agent *a)
{
    pack_u8(b, ROW_VERSION);
    pack_u32(b, a->number);
    pack_u32(b, a->app);
    pack_u32(b, a->epoch);
    pack_slice(b, a->id);
    pack_slice(b, a->owner);
    pack_slice(b, a->region);
    pack_slice(b, a->version);
    pack_u8(b, (uint8_t)a->type);
    pack_u8(b, (uint8_t)a->status);
    pack_u8(b, (uint8_t)a->declared);
    pack_words(b, &a->capabilities);
    pack_words(b, &a->services);
    pack_words(b, &a->tags);
    pack_slice(b, a->endpoints);
    pack_slice(b, a->metadata);
    pack_slice(b, a->public_key);
    pack_u32(b, a->slots);
    pack_u32(b, a->interval_ms);
    pack_i64(b, a->registered_ms);
    pack_i64(b, a->first_registered_ms);
    pack_i64(b, a->changed_ms);
    pack_i64(b, a->seen_ms);
    pack_u64(b, a->connection);
    pack_f64(b, a->success);
    metrics_pack(b, &a->metrics);
}

bool agent_unpack(struct slice row, struct agent *a)
{
    struct unpack u = unpack_of(row);
    if (unpack_u8(&u) != ROW_VERSION) {
        return false;
    }
    a->number = unpack_u32(&u);
    a->app = unpack_u32(&u);
    a->epoch = unpack_u32(&u);
    a->id = unpack_slice(&u);
    a->owner = unpack_slice(&u);
    a->region = unpack_slice(&u);
    a->version = unpack_slice(&u);
    uint8_t type = unpack_u8(&u), status = unpack_u8(&u), declared = unpack_u8(&u);
    a->type = (enum agent_type)type;
    a->status = (enum agent_status)status;
    a->declared = (enum agent_status)declared;
    a->capabilities = unpack_words(&u);
    a->services = unpack_words(&u);
    a->tags = unpack_words(&u);
    a->endpoints = unpack_slice(&u);
    a->metadata = unpack_slice(&u);
    a->public_key = unpack_slice(&u);
    a->slots = unpack_u32(&u);
    a->interval_ms = unpack_u32(&u);
    a->registered_ms = unpack_i64(&u);
    a->first_registered_ms = unpack_i64(&u);
    a->changed_ms = unpack_i64(&u);
    a->seen_ms = unpack_i64(&u);
    a->connection = unpack_u64(&u);
    a->success = unpack_f64(&u);
    (void)metrics_unpack(&u, &a->metrics);
    return unpack_done(&u) && type < AGENT_TYPES && status < AGENT_STATUSES &&
           declared < AGENT_STATUSES;
}

/* ---- look-ups ---- */

enum store_rc agent_get(struct store_view *view, uint32_t number, struct agent *out)
{
    uint8_t key[4];
    struct slice row;
    be32_put(key, number);
    enum store_rc rc = store_get(view, TABLE_AGENT, slice_of(key, 4), &row);
    if (rc != STORE_OK) {
        return rc;
    }
    return agent_unpack(row, out) ? STORE_OK : STORE_DAMAGED;
}

static size_t id_key(uint8_t key[INDEX_BYTES_MAX], uint32_t app, struct slice id)
{
    struct hash128 h = hash128_named(INDEX_SEED, app, id);
    key[0] = INDEX_ID;
    be32_put(key + 1, app);
    be64_put(key + 5, h.hi);
    be64_put(key + 13, h.lo);
    return 21;
}

static size_t word_key(uint8_t key[INDEX_BYTES_MAX], enum agent_index index, uint32_t app,
                       struct slice word, uint32_t number)
{
    key[0] = (uint8_t)index;
    be32_put(key + 1, app);
    be64_put(key + 5, word.n ? hash64_named(INDEX_SEED, app, word) : 0);
    be32_put(key + 13, number);
    return 17;
}

enum store_rc agent_find(struct store_view *view, uint32_t app, struct slice id, struct agent *out)
{
    uint8_t key[INDEX_BYTES_MAX];
    struct slice value;
    enum store_rc rc =
        store_get(view, TABLE_AGENT_INDEX, slice_of(key, id_key(key, app, id)), &value);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = value.n == 4 ? agent_get(view, be32_get(value.p), out) : STORE_DAMAGED;
    /* Another id under the same 128 bits: not the one that was asked for. */
    return rc == STORE_OK && !slice_equal(out->id, id) ? STORE_NOT_FOUND : rc;
}

static enum store_rc index_move(struct store_txn *txn, enum agent_index index, uint32_t app,
                                struct slice word, uint32_t number, bool there)
{
    uint8_t key[INDEX_BYTES_MAX];
    struct slice k = slice_of(key, word_key(key, index, app, word, number));
    if (there) {
        return store_put(txn, TABLE_AGENT_INDEX, k, slice_str("1"));
    }
    enum store_rc rc = store_del(txn, TABLE_AGENT_INDEX, k);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

static enum store_rc words_move(struct store_txn *txn, enum agent_index index,
                                const struct agent *a, const struct words *words, bool there)
{
    struct slice rest = words->packed, word;
    enum store_rc rc = STORE_OK;
    while (rc == STORE_OK && words_next(&rest, &word)) {
        rc = index_move(txn, index, a->app, word, a->number, there);
    }
    return rc;
}

static enum store_rc indexes_move(struct store_txn *txn, const struct agent *a, bool there)
{
    enum store_rc rc = words_move(txn, AGENTS_CAPABILITY, a, &a->capabilities, there);
    if (rc == STORE_OK) {
        rc = words_move(txn, AGENTS_SERVICE, a, &a->services, there);
    }
    if (rc == STORE_OK) {
        rc = index_move(txn, AGENTS_TYPE, a->app, slice_str(type_names[a->type]), a->number, there);
    }
    if (rc == STORE_OK) {
        rc = index_move(txn, AGENTS_ALL, a->app, slice_of(NULL, 0), a->number, there);
    }
    return rc;
}

static bool same_indexes(const struct agent *a, const struct agent *b)
{
    return a->type == b->type && slice_equal(a->capabilities.packed, b->capabilities.packed) &&
           slice_equal(a->services.packed, b->services.packed) &&
           (a->status == AGENT_DEREGISTERED) == (b->status == AGENT_DEREGISTERED);
}

enum store_rc agent_put(struct store_txn *txn, const struct agent *a, const struct agent *before)
{
    enum store_rc rc = STORE_OK;
    uint8_t key[4], id[INDEX_BYTES_MAX];
    be32_put(key, a->number);
    if (!before) {
        rc = store_put(txn, TABLE_AGENT_INDEX, slice_of(id, id_key(id, a->app, a->id)),
                       slice_of(key, 4));
    }
    if (rc == STORE_OK && before && !same_indexes(a, before)) {
        rc = indexes_move(txn, before, false);
    }
    if (rc == STORE_OK && a->status != AGENT_DEREGISTERED &&
        (!before || !same_indexes(a, before))) {
        rc = indexes_move(txn, a, true);
    }
    if (rc == STORE_OK) {
        struct buf row = {0};
        agent_pack(&row, a);
        rc = store_put(txn, TABLE_AGENT, slice_of(key, 4), buf_slice(&row));
        buf_done(&row);
    }
    return rc;
}

enum store_rc agents_each(struct store_view *view, uint32_t app, enum agent_index index,
                          struct slice word, agent_visit *visit, void *ctx)
{
    uint8_t from[INDEX_BYTES_MAX];
    size_t prefix = word_key(from, index, app, word, 0) - 4;
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, TABLE_AGENT_INDEX, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, slice_of(from, prefix + 4), &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value)) {
        struct agent agent;
        if (key.n != prefix + 4 || memcmp(key.p, from, prefix) != 0) {
            break;
        }
        rc = agent_get(view, be32_get(key.p + prefix), &agent);
        if (rc != STORE_OK || !visit(ctx, &agent)) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

void agent_channel(struct buf *out, const char *prefix, struct slice id)
{
    channel_of_id(out, prefix, id);
}
