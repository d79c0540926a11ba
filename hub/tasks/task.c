#include "hub/tasks/task.h"
#include "store/hash.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>

enum {
    ROW_VERSION = 1,
    NEEDS_BYTES_LEAST = 34, /* when all that has a length is empty */
    ROW_BYTES_LEAST = 222,  /* the same of a row, less what is needed */
    INDEX_ID = 'n',
    INDEX_TOTALS = 't',
    INDEX_BYTES_MAX = 1 + 4 + 1 + 16 + 8,
    NUMBER_BITS = 40, /* of a minted id; what is left of it is random */
    UUID_BYTES = 36,
    MINTED_BYTES = 5 + 16
};
static const uint64_t INDEX_SEED = UINT64_C(0x7461736b);
static const uint64_t NUMBER_MASK = (UINT64_C(1) << NUMBER_BITS) - 1;

/* clang-format off */
static const char *const priority_names[TASK_PRIORITIES] = {
    [TASK_URGENT] = "urgent", [TASK_CRITICAL] = "critical", [TASK_HIGH] = "high", [TASK_NORMAL] = "normal", [TASK_LOW] = "low",
};
static const char *const state_names[TASK_STATES] = {
    [TASK_NONE] = "none", [TASK_SCHEDULED] = "scheduled", [TASK_QUEUED] = "queued", [TASK_LEASED] = "leased",
    [TASK_RUNNING] = "running", [TASK_RETRY_WAIT] = "retry_wait", [TASK_INPUT_REQUIRED] = "input_required",
    [TASK_CANCELLING] = "cancelling", [TASK_COMPLETED] = "completed", [TASK_DEAD] = "dead",
    [TASK_CANCELLED] = "cancelled", [TASK_EXPIRED] = "expired",
};
static const char *const status_names[TASK_STATUSES] = {
    [TASK_IS_PENDING] = "pending", [TASK_IS_RUNNING] = "running", [TASK_IS_COMPLETED] = "completed",
    [TASK_IS_FAILED] = "failed", [TASK_IS_CANCELLED] = "cancelled",
};
static const char *const stop_names[TASK_STOPS] = {
    [STOP_NONE] = "", [STOP_COMPLETED] = "completed", [STOP_NON_RETRYABLE] = "non_retryable", [STOP_ATTEMPTS] = "max_attempts",
    [STOP_POISON] = "poison", [STOP_START_TIMEOUT] = "schedule_to_start_timeout", [STOP_CLOSE_TIMEOUT] = "start_to_close_timeout",
    [STOP_TOTAL_TIMEOUT] = "total_timeout", [STOP_INPUT_TIMEOUT] = "input_timeout", [STOP_CANCELLED] = "cancelled",
    [STOP_CLEARED] = "queue_cleared", [STOP_GRACE] = "cancel_grace", [STOP_GROUP] = "group_ended",
};
static const enum task_status statuses[TASK_STATES] = {
    [TASK_SCHEDULED] = TASK_IS_PENDING, [TASK_QUEUED] = TASK_IS_PENDING, [TASK_RETRY_WAIT] = TASK_IS_PENDING,
    [TASK_LEASED] = TASK_IS_RUNNING, [TASK_RUNNING] = TASK_IS_RUNNING, [TASK_INPUT_REQUIRED] = TASK_IS_RUNNING,
    [TASK_CANCELLING] = TASK_IS_RUNNING, [TASK_COMPLETED] = TASK_IS_COMPLETED, [TASK_DEAD] = TASK_IS_FAILED,
    [TASK_EXPIRED] = TASK_IS_FAILED, [TASK_CANCELLED] = TASK_IS_CANCELLED,
};

/* semantics.md section 2. What is over has no way out; an empty cell is TASK_NONE: not allowed. */
static const enum task_state next_state[TASK_STATES][TASK_EVENTS] = {
    [TASK_SCHEDULED] = { [TASK_DUE] = TASK_QUEUED, [TASK_LAPSE] = TASK_EXPIRED, [TASK_CANCEL] = TASK_CANCELLED },
    /* FINISH, RETRY, FAIL: its lease lapsed, and its agent reports before another one has it. */
    [TASK_QUEUED] = { [TASK_PICK] = TASK_LEASED, [TASK_LAPSE] = TASK_EXPIRED, [TASK_CANCEL] = TASK_CANCELLED,
                      [TASK_FINISH] = TASK_COMPLETED, [TASK_RETRY] = TASK_RETRY_WAIT, [TASK_FAIL] = TASK_DEAD },
    /* Nobody has begun: there is nobody to wait for when it is cancelled. */
    [TASK_LEASED] = { [TASK_ACCEPT] = TASK_RUNNING, [TASK_REJECT] = TASK_QUEUED, [TASK_LOSE] = TASK_QUEUED,
                      [TASK_CANCEL] = TASK_CANCELLED },
    [TASK_RUNNING] = { [TASK_FINISH] = TASK_COMPLETED, [TASK_RETRY] = TASK_RETRY_WAIT, [TASK_FAIL] = TASK_DEAD,
                       [TASK_LOSE] = TASK_QUEUED, [TASK_ASK] = TASK_INPUT_REQUIRED, [TASK_CANCEL] = TASK_CANCELLING },
    [TASK_RETRY_WAIT] = { [TASK_DUE] = TASK_QUEUED, [TASK_FAIL] = TASK_DEAD, [TASK_CANCEL] = TASK_CANCELLED },
    [TASK_INPUT_REQUIRED] = { [TASK_INPUT] = TASK_QUEUED, [TASK_LAPSE] = TASK_EXPIRED, [TASK_CANCEL] = TASK_CANCELLED },
    [TASK_CANCELLING] = { [TASK_CONFIRM] = TASK_CANCELLED },
};
/* clang-format on */

enum task_state task_next(enum task_state state, enum task_event event)
{
    return next_state[state][event];
}

const char *task_priority_name(enum task_priority priority)
{
    return priority_names[priority];
}

const char *task_state_name(enum task_state state)
{
    return state_names[state];
}

const char *task_status_name(enum task_status status)
{
    return status_names[status];
}

const char *task_stop_name(enum task_stop stop)
{
    return stop_names[stop];
}

static bool same_word(struct slice a, const char *b)
{
    size_t n = strlen(b);
    for (size_t i = 0; a.n == n && i < n; i++) {
        if (tolower(a.p[i]) != b[i]) {
            return false;
        }
    }
    return a.n == n;
}

static bool word_among(struct slice word, const char *const *names, unsigned n, unsigned *out)
{
    for (unsigned i = 0; i < n; i++) {
        if (same_word(word, names[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

bool task_priority_of(struct slice name, enum task_priority *out)
{
    unsigned i;
    bool is = word_among(name, priority_names, TASK_PRIORITIES, &i);
    *out = is ? (enum task_priority)i : *out;
    return is;
}

bool task_state_of(struct slice name, enum task_state *out)
{
    unsigned i;
    bool is = word_among(name, state_names, TASK_STATES, &i) && i != TASK_NONE;
    *out = is ? (enum task_state)i : *out;
    return is;
}

bool task_status_of(struct slice name, enum task_status *out)
{
    unsigned i;
    bool is = word_among(name, status_names, TASK_STATUSES, &i);
    *out = is ? (enum task_status)i : *out;
    return is;
}

enum task_status task_status_in(enum task_state state)
{
    return statuses[state];
}

bool task_is_over(enum task_state state)
{
    return state >= TASK_COMPLETED;
}

bool task_is_held(enum task_state state)
{
    return state == TASK_LEASED || state == TASK_RUNNING || state == TASK_CANCELLING;
}

/* ---- the row ---- */

static struct words unpack_words(struct unpack *u)
{
    uint16_t n = unpack_u16(u);
    return (struct words){.n = n, .packed = unpack_slice(u)};
}

/* Rows are put where there is room for all of them: each change of a task makes one. */
static uint8_t *put_u8(uint8_t *at, uint8_t v)
{
    *at = v;
    return at + 1;
}

static uint8_t *put_u16(uint8_t *at, uint16_t v)
{
    be16_put(at, v);
    return at + 2;
}

static uint8_t *put_u32(uint8_t *at, uint32_t v)
{
    be32_put(at, v);
    return at + 4;
}

static uint8_t *put_u64(uint8_t *at, uint64_t v)
{
    be64_put(at, v);
    return at + 8;
}

static uint8_t *put_slice(uint8_t *at, struct slice s)
{
    at = put_u32(at, (uint32_t)s.n);
    if (s.n) {
        memcpy(at, s.p, s.n);
    }
    return at + s.n;
}

static uint8_t *put_words(uint8_t *at, const struct words *words)
{
    return put_slice(put_u16(at, (uint16_t)words->n), words->packed);
}

static size_t needs_bytes(const struct task_needs *needs)
{
    return NEEDS_BYTES_LEAST + needs->capabilities.packed.n + needs->services.packed.n +
           needs->agents.packed.n + needs->avoid.packed.n;
}

static uint8_t *put_needs(uint8_t *at, const struct task_needs *needs)
{
    uint64_t health;
    memcpy(&health, &needs->health_least, sizeof health);
    at = put_u8(at, needs->by_type);
    at = put_u8(at, (uint8_t)needs->type);
    at = put_u64(at, health);
    at = put_words(at, &needs->capabilities);
    at = put_words(at, &needs->services);
    at = put_words(at, &needs->agents);
    return put_words(at, &needs->avoid);
}

void task_needs_pack(struct buf *b, const struct task_needs *needs)
{
    uint8_t *at = buf_reserve(b, needs_bytes(needs));
    b->n += (size_t)(put_needs(at, needs) - at);
}

bool task_needs_unpack(struct unpack *u, struct task_needs *out)
{
    out->by_type = unpack_u8(u) != 0;
    uint8_t type = unpack_u8(u);
    out->type = (enum agent_type)type;
    out->health_least = unpack_f64(u);
    out->capabilities = unpack_words(u);
    out->services = unpack_words(u);
    out->agents = unpack_words(u);
    out->avoid = unpack_words(u);
    return !u->bad && type < AGENT_TYPES;
}

static size_t row_bytes(const struct task *t)
{
    return ROW_BYTES_LEAST + needs_bytes(&t->needs) + t->id.n + t->owner.n + t->prefer.packed.n +
           t->region.n + t->fairness.n + t->sticky.n + t->note.n + t->error.n;
}

static uint8_t *put_row(uint8_t *at, const struct task *t)
{
    at = put_u8(at, ROW_VERSION);
    at = put_u64(at, t->number);
    at = put_u32(at, t->app);
    at = put_slice(at, t->id);
    at = put_slice(at, t->owner);
    at = put_u8(at, (uint8_t)t->priority);
    at = put_u8(at, (uint8_t)t->state);
    at = put_u8(at, (uint8_t)t->stop);
    at = put_u16(at, t->attempts);
    at = put_u16(at, t->attempts_max);
    at = put_u16(at, t->redeliveries);
    at = put_u32(at, t->lease);
    at = put_u32(at, t->agent);
    at = put_u32(at, t->agent_epoch);
    at = put_u32(at, t->last_agent);
    const int64_t times[] = {t->submitted_ms,    t->queued_ms,       t->changed_ms,
                             t->due_ms,          t->leased_ms,       t->started_ms,
                             t->finished_ms,     t->start_within_ms, t->close_within_ms,
                             t->total_within_ms, t->input_within_ms, t->lease_ms};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        at = put_u64(at, (uint64_t)times[i]);
    }
    at = put_needs(at, &t->needs);
    at = put_words(at, &t->prefer);
    at = put_slice(at, t->region);
    at = put_slice(at, t->fairness);
    at = put_slice(at, t->sticky);
    at = put_u8(at, t->group.module);
    at = put_u64(at, t->group.id);
    at = put_u32(at, t->group.item);
    at = put_u64(at, t->replay_of);
    at = put_u64(at, t->replayed_as);
    at = put_u8(at, t->percent);
    at = put_u64(at, t->progress_seq);
    at = put_u64(at, (uint64_t)t->progress_ms);
    at = put_slice(at, t->note);
    at = put_slice(at, t->error);
    return put_u64(at, t->request_hash);
}

void task_pack(struct buf *b, const struct task *t)
{
    uint8_t *at = buf_reserve(b, row_bytes(t));
    b->n += (size_t)(put_row(at, t) - at);
}

static void unpack_times(struct unpack *u, struct task *t)
{
    int64_t *const times[] = {&t->submitted_ms,    &t->queued_ms,       &t->changed_ms,
                              &t->due_ms,          &t->leased_ms,       &t->started_ms,
                              &t->finished_ms,     &t->start_within_ms, &t->close_within_ms,
                              &t->total_within_ms, &t->input_within_ms, &t->lease_ms};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        *times[i] = unpack_i64(u);
    }
}

bool task_unpack(struct slice row, struct task *t)
{
    struct unpack u = unpack_of(row);
    if (unpack_u8(&u) != ROW_VERSION) {
        return false;
    }
    t->number = unpack_u64(&u);
    t->app = unpack_u32(&u);
    t->id = unpack_slice(&u);
    t->owner = unpack_slice(&u);
    uint8_t priority = unpack_u8(&u), state = unpack_u8(&u), stop = unpack_u8(&u);
    t->priority = (enum task_priority)priority;
    t->state = (enum task_state)state;
    t->stop = (enum task_stop)stop;
    t->attempts = unpack_u16(&u);
    t->attempts_max = unpack_u16(&u);
    t->redeliveries = unpack_u16(&u);
    t->lease = unpack_u32(&u);
    t->agent = unpack_u32(&u);
    t->agent_epoch = unpack_u32(&u);
    t->last_agent = unpack_u32(&u);
    unpack_times(&u, t);
    if (!task_needs_unpack(&u, &t->needs)) {
        return false;
    }
    t->prefer = unpack_words(&u);
    t->region = unpack_slice(&u);
    t->fairness = unpack_slice(&u);
    t->sticky = unpack_slice(&u);
    t->group.module = unpack_u8(&u);
    t->group.id = unpack_u64(&u);
    t->group.item = unpack_u32(&u);
    t->replay_of = unpack_u64(&u);
    t->replayed_as = unpack_u64(&u);
    t->percent = unpack_u8(&u);
    t->progress_seq = unpack_u64(&u);
    t->progress_ms = unpack_i64(&u);
    t->note = unpack_slice(&u);
    t->error = unpack_slice(&u);
    t->request_hash = unpack_u64(&u);
    return unpack_done(&u) && priority < TASK_PRIORITIES && state > TASK_NONE &&
           state < TASK_STATES && stop < TASK_STOPS;
}

/* ---- ids ---- */

static bool hex_of(struct slice text, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 16;
        if (digit == 16) {
            return false;
        }
        v = v << 4 | (uint64_t)digit;
    }
    *out = v;
    return true;
}

static uint8_t *put_hex(uint8_t *p, uint64_t v, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; v >>= 4) {
        p[i] = (uint8_t) "0123456789abcdef"[v & 15];
    }
    return p + digits;
}

void task_id_mint(struct buf *out, uint64_t number, const uint8_t *seed)
{
    uint64_t salt = be32_get(seed) >> 8;
    uint8_t *p = memcpy(buf_reserve(out, MINTED_BYTES), "task_", 5);
    (void)put_hex(p + 5, (salt << NUMBER_BITS) | (number & NUMBER_MASK), 16);
    out->n += MINTED_BYTES;
}

void task_uuid_mint(struct buf *out, uint64_t number, int64_t now_ms, const uint8_t *seed)
{
    uint64_t ms = (uint64_t)now_ms, salt = be64_get(seed);
    buf_printf(out, "%08llx-%04llx-7%03llx-%04llx-%02llx%010llx",
               (unsigned long long)(ms >> 16 & 0xffffffff), (unsigned long long)(ms & 0xffff),
               (unsigned long long)(salt & 0xfff),
               (unsigned long long)(0x8000 | (salt >> 12 & 0x3fff)),
               (unsigned long long)(salt >> 26 & 0xff), (unsigned long long)(number & NUMBER_MASK));
}

/* The number within an id of the hub's own form; 0: it has another form. */
static uint64_t number_within(struct slice id)
{
    uint64_t v = 0;
    if (id.n == MINTED_BYTES && slice_starts(id, "task_")) {
        return hex_of(slice_of(id.p + 5, 16), &v) ? v & NUMBER_MASK : 0;
    }
    if (id.n == UUID_BYTES && id.p[14] == '7' && id.p[23] == '-') {
        return hex_of(slice_of(id.p + 26, 10), &v) ? v : 0;
    }
    return 0;
}

uint64_t task_life(const struct store *store)
{
    return be64_get(store_epoch(store)); /* the half that a restore draws anew */
}

void task_lease_id(char out[TASK_LEASE_ID_BYTES + 1], const struct task_lease *lease)
{
    uint8_t *p = (uint8_t *)memcpy(out, "lease_", 6) + 6;
    p = put_hex(p, lease->life, 16);
    p = put_hex(p, lease->number, 16);
    *put_hex(p, lease->lease, 8) = '\0';
}

bool task_lease_of(struct slice text, struct task_lease *out)
{
    struct task_lease lease;
    uint64_t count;
    if (text.n != TASK_LEASE_ID_BYTES || !slice_starts(text, "lease_") ||
        !hex_of(slice_of(text.p + 6, 16), &lease.life) ||
        !hex_of(slice_of(text.p + 22, 16), &lease.number) ||
        !hex_of(slice_of(text.p + 38, 8), &count)) {
        return false;
    }
    lease.lease = (uint32_t)count;
    *out = lease;
    return true;
}

/* ---- look-ups ---- */

static struct slice number_key(uint8_t key[8], uint64_t number)
{
    be64_put(key, number);
    return slice_of(key, 8);
}

enum store_rc task_get(struct store_view *view, uint64_t number, struct task *out)
{
    uint8_t key[8];
    struct slice row;
    enum store_rc rc = store_get(view, TABLE_TASK, number_key(key, number), &row);
    if (rc != STORE_OK) {
        return rc;
    }
    return task_unpack(row, out) ? STORE_OK : STORE_DAMAGED;
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

static enum store_rc get_named(struct store_view *view, uint64_t number, uint32_t app,
                               struct slice id, struct task *out)
{
    enum store_rc rc = task_get(view, number, out);
    return rc == STORE_OK && (out->app != app || !slice_equal(out->id, id)) ? STORE_NOT_FOUND : rc;
}

enum store_rc task_find(struct store_view *view, uint32_t app, struct slice id, struct task *out)
{
    uint8_t key[INDEX_BYTES_MAX];
    struct slice value;
    uint64_t number = number_within(id);
    if (number) {
        enum store_rc rc = get_named(view, number, app, id, out);
        if (rc != STORE_NOT_FOUND) {
            return rc;
        }
    }
    enum store_rc rc =
        store_get(view, TABLE_TASK_INDEX, slice_of(key, id_key(key, app, id)), &value);
    if (rc != STORE_OK) {
        return rc;
    }
    return value.n == 8 ? get_named(view, be64_get(value.p), app, id, out) : STORE_DAMAGED;
}

enum store_rc task_newest(struct store_view *view, uint64_t *out)
{
    return store_last_number(view, TABLE_TASK, out);
}

/* ---- indexes ---- */

/* All of the key but the number. */
static size_t list_key(uint8_t key[INDEX_BYTES_MAX], const struct task_list *list)
{
    key[0] = (uint8_t)list->index;
    be32_put(key + 1, list->app);
    switch (list->index) {
    case TASKS_OF_APP:
        return 5;
    case TASKS_OF_OWNER:
        be64_put(key + 5, hash64(INDEX_SEED, list->owner));
        return 13;
    case TASKS_IN_STATUS:
        key[5] = (uint8_t)list->status;
        return 6;
    case TASKS_OF_GROUP:
        key[5] = list->group.module;
        be64_put(key + 6, list->group.id);
        return 14;
    }
    return 5;
}

enum index_change {
    INDEX_ADD,
    INDEX_REMOVE,
    INDEX_ADD_NEW /* of a task that has just been made */
};

static enum store_rc index_set(struct store_txn *txn, const struct task *t, enum task_index index,
                               enum index_change change)
{
    uint8_t key[INDEX_BYTES_MAX];
    struct task_list list = {.index = index,
                             .app = t->app,
                             .owner = t->owner,
                             .status = task_status_in(t->state),
                             .group = t->group};
    size_t n = list_key(key, &list);
    be64_put(key + n, t->number);
    struct slice row = slice_of(key, n + 8);
    switch (change) {
    case INDEX_ADD:
        return store_put(txn, TABLE_TASK_INDEX, row, slice_str("1"));
    case INDEX_REMOVE:
        return store_del_blind(txn, TABLE_TASK_INDEX, row);
    case INDEX_ADD_NEW:
        break;
    }
    return store_put_new(txn, TABLE_TASK_INDEX, row, slice_str("1"));
}

static enum store_rc index_new(struct store_txn *txn, const struct task *t)
{
    uint8_t key[INDEX_BYTES_MAX], number[8];
    enum store_rc rc = STORE_OK;
    if (number_within(t->id) != t->number) {
        rc = store_put(txn, TABLE_TASK_INDEX, slice_of(key, id_key(key, t->app, t->id)),
                       number_key(number, t->number));
    }
    if (rc == STORE_OK) {
        rc = index_set(txn, t, TASKS_OF_APP, INDEX_ADD_NEW);
    }
    if (rc == STORE_OK) {
        rc = index_set(txn, t, TASKS_OF_OWNER, INDEX_ADD_NEW);
    }
    if (rc == STORE_OK && t->group.module) {
        rc = index_set(txn, t, TASKS_OF_GROUP, INDEX_ADD_NEW);
    }
    return rc;
}

/* Packed where it will stand. No text of it may lie in the store's map. */
static enum store_rc row_put(struct store_txn *txn, const struct task *t)
{
    uint8_t key[8], *row;
    size_t n = row_bytes(t);
    enum store_rc rc =
        store_put_reserve(txn, TABLE_TASK, number_key(key, t->number), n, false, &row);
    if (rc == STORE_OK) {
        const uint8_t *end = put_row(row, t);
        assert(end == row + n);
    }
    return rc;
}

enum store_rc task_put(struct store_txn *txn, const struct task *t, const struct task *before)
{
    bool moves = before && task_status_in(before->state) != task_status_in(t->state);
    enum store_rc rc = before ? STORE_OK : index_new(txn, t);
    if (rc == STORE_OK && moves) {
        rc = index_set(txn, before, TASKS_IN_STATUS, INDEX_REMOVE);
    }
    if (rc == STORE_OK && (moves || !before)) {
        rc = index_set(txn, t, TASKS_IN_STATUS, before ? INDEX_ADD : INDEX_ADD_NEW);
    }
    return rc == STORE_OK ? row_put(txn, t) : rc;
}

/* ---- documents ---- */

static struct slice document_key(uint8_t key[9], uint64_t number, enum task_document kind)
{
    be64_put(key, number);
    key[8] = (uint8_t)kind;
    return slice_of(key, 9);
}

enum store_rc task_document_put(struct store_txn *txn, uint64_t number, enum task_document kind,
                                struct slice json)
{
    uint8_t key[9];
    return store_put(txn, TABLE_TASK_BODY, document_key(key, number, kind), json);
}

enum store_rc task_document(struct store_view *view, uint64_t number, enum task_document kind,
                            struct slice *out)
{
    uint8_t key[9];
    return store_get(view, TABLE_TASK_BODY, document_key(key, number, kind), out);
}

/* ---- lists ---- */

/* The last key that is at most `key`. */
static enum store_rc seek_back(struct store_cursor *cursor, struct slice key, struct slice *out)
{
    enum store_rc rc = store_cursor_seek(cursor, key, out, NULL);
    if (rc == STORE_NOT_FOUND) {
        return store_cursor_last(cursor, out, NULL);
    }
    return rc == STORE_OK && !slice_equal(*out, key) ? store_cursor_prev(cursor, out, NULL) : rc;
}

enum store_rc tasks_each(struct store_view *view, const struct task_list *list, uint64_t from,
                         uint32_t looked_max, task_visit *visit, void *ctx, uint64_t *out_next)
{
    uint8_t prefix[INDEX_BYTES_MAX];
    size_t n = list_key(prefix, list);
    struct store_cursor *cursor;
    struct slice key;
    *out_next = 0;
    be64_put(prefix + n, from ? from : UINT64_MAX);
    enum store_rc rc = store_cursor_open(view, TABLE_TASK_INDEX, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = seek_back(cursor, slice_of(prefix, n + 8), &key);
    for (uint32_t looked = 0; rc == STORE_OK; looked++) {
        struct task task;
        if (key.n != n + 8 || memcmp(key.p, prefix, n) != 0) {
            break;
        }
        uint64_t number = be64_get(key.p + n);
        rc = looked < looked_max ? task_get(view, number, &task) : STORE_OK;
        if (rc == STORE_NOT_FOUND) {
            rc = STORE_DAMAGED; /* an index of nothing */
        }
        if (rc == STORE_OK && (looked == looked_max || !visit(ctx, &task))) {
            *out_next = number;
            break;
        }
        if (rc == STORE_OK) {
            rc = store_cursor_prev(cursor, &key, NULL);
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

struct open_visit {
    struct store_view *view;
    task_visit *visit;
    void *ctx;
    enum store_rc rc;
};

static void open_of_app(void *ctx, uint32_t app, const struct task_totals *totals)
{
    struct open_visit *v = ctx;
    static const enum task_status open[] = {TASK_IS_RUNNING, TASK_IS_PENDING};
    (void)totals;
    for (size_t i = 0; i < 2 && v->rc == STORE_OK; i++) {
        struct task_list list = {.index = TASKS_IN_STATUS, .app = app, .status = open[i]};
        uint64_t next;
        v->rc = tasks_each(v->view, &list, 0, UINT32_MAX, v->visit, v->ctx, &next);
    }
}

enum store_rc tasks_each_open(struct store_view *view, task_visit *visit, void *ctx)
{
    struct open_visit v = {.view = view, .visit = visit, .ctx = ctx, .rc = STORE_OK};
    enum store_rc rc = task_totals_each(view, open_of_app, &v);
    return rc == STORE_OK ? v.rc : rc;
}

/* ---- totals ---- */

enum { TOTALS_BYTES = 8 * (TASK_STATES + 4) };

static struct slice totals_key(uint8_t key[5], uint32_t app)
{
    key[0] = INDEX_TOTALS;
    be32_put(key + 1, app);
    return slice_of(key, 5);
}

static bool totals_unpack(struct slice row, struct task_totals *out)
{
    struct unpack u = unpack_of(row);
    for (unsigned i = 0; i < TASK_STATES; i++) {
        out->in_state[i] = unpack_u64(&u);
    }
    out->distributed = unpack_u64(&u);
    out->distribution_ms = unpack_u64(&u);
    out->redelivered = unpack_u64(&u);
    out->rejected = unpack_u64(&u);
    return unpack_done(&u);
}

enum store_rc task_totals_get(struct store_view *view, uint32_t app, struct task_totals *out)
{
    uint8_t key[5];
    struct slice row;
    *out = (struct task_totals){0};
    enum store_rc rc = store_get(view, TABLE_TASK_INDEX, totals_key(key, app), &row);
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? STORE_OK : rc;
    }
    return totals_unpack(row, out) ? STORE_OK : STORE_DAMAGED;
}

enum store_rc task_totals_put(struct store_txn *txn, uint32_t app, const struct task_totals *totals)
{
    uint8_t key[5], row[TOTALS_BYTES];
    uint8_t *p = row;
    for (unsigned i = 0; i < TASK_STATES; i++, p += 8) {
        be64_put(p, totals->in_state[i]);
    }
    const uint64_t rest[] = {totals->distributed, totals->distribution_ms, totals->redelivered,
                             totals->rejected};
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++, p += 8) {
        be64_put(p, rest[i]);
    }
    return store_put(txn, TABLE_TASK_INDEX, totals_key(key, app), slice_of(row, sizeof row));
}

enum store_rc task_totals_each(struct store_view *view, task_totals_visit *visit, void *ctx)
{
    uint8_t first[5];
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, TABLE_TASK_INDEX, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, totals_key(first, 0), &key, &value);
    for (; rc == STORE_OK && key.p[0] == INDEX_TOTALS;
         rc = store_cursor_next(cursor, &key, &value)) {
        struct task_totals totals;
        if (key.n != 5 || !totals_unpack(value, &totals)) {
            rc = STORE_DAMAGED;
            break;
        }
        visit(ctx, be32_get(key.p + 1), &totals);
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}
