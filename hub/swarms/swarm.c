#include "hub/swarms/swarm.h"
#include "store/hash.h"

enum { ROW_VERSION = 1, KEY_BYTES_MAX = 1 + 4 + 16 + 4 };
enum {
    INDEX_SWARM_ID = 's',
    INDEX_MEMBER_ID = 'm',
    INDEX_MEMBERS = 'M',  /* swarm, member */
    INDEX_OF_AGENT = 'A', /* hash of the agent's id, member */
    INDEX_PEOPLED = 'P',  /* 0, swarm: somebody is in it */
    INDEX_FOUNDED = 'F',  /* hash of its founder's capability, swarm: the same */
};
static const uint64_t INDEX_SEED = UINT64_C(0x737761726d);

/* clang-format off */
static const char *const state_names[MEMBER_STATES] = {
    [MEMBER_NONE] = "none", [MEMBER_JOINING] = "joining", [MEMBER_ACTIVE] = "active", [MEMBER_SUSPENDED] = "suspended",
    [MEMBER_LEFT] = "left", [MEMBER_EVICTED] = "evicted",
};
static const char *const role_names[SWARM_ROLES] = {
    [SWARM_LOAD_BALANCER] = "load-balancer", [SWARM_RESOURCE_OPTIMIZER] = "resource-optimizer",
    [SWARM_TASK_COORDINATOR] = "task-coordinator", [SWARM_MONITOR] = "monitor", [SWARM_WORKER] = "worker",
};
static const enum member_state changes[MEMBER_STATES][MEMBER_EVENTS] = {
    [MEMBER_JOINING]   = {[MEMBER_AGENT_LIVES] = MEMBER_ACTIVE, [MEMBER_LEAVES] = MEMBER_LEFT, [MEMBER_STAYS_AWAY] = MEMBER_EVICTED},
    [MEMBER_ACTIVE]    = {[MEMBER_AGENT_STALE] = MEMBER_SUSPENDED, [MEMBER_AGENT_GONE] = MEMBER_EVICTED, [MEMBER_LEAVES] = MEMBER_LEFT},
    [MEMBER_SUSPENDED] = {[MEMBER_AGENT_LIVES] = MEMBER_ACTIVE, [MEMBER_AGENT_GONE] = MEMBER_EVICTED, [MEMBER_LEAVES] = MEMBER_LEFT,
                          [MEMBER_STAYS_AWAY] = MEMBER_EVICTED},
    /* left and evicted have no way back: who comes again is a new member */
};
/* clang-format on */

enum member_state member_next(enum member_state state, enum member_event event)
{
    return changes[state][event];
}

bool member_is_there(enum member_state state)
{
    return state == MEMBER_JOINING || state == MEMBER_ACTIVE || state == MEMBER_SUSPENDED;
}

const char *member_state_name(enum member_state state)
{
    return state_names[state];
}

bool member_state_of(struct slice name, enum member_state *out)
{
    for (unsigned i = MEMBER_JOINING; i < MEMBER_STATES; i++) {
        if (slice_is(name, state_names[i])) {
            *out = (enum member_state)i;
            return true;
        }
    }
    return false;
}

const char *swarm_role_name(enum swarm_role role)
{
    return role_names[role];
}

bool swarm_role_of(struct slice name, enum swarm_role *out)
{
    for (unsigned i = 0; i < SWARM_ROLES; i++) {
        if (slice_is(name, role_names[i])) {
            *out = (enum swarm_role)i;
            return true;
        }
    }
    return false;
}

/* ---- rows ---- */

static void swarm_pack(struct buf *b, const struct swarm *s)
{
    pack_u8(b, ROW_VERSION);
    pack_u32(b, s->number);
    pack_u32(b, s->app);
    pack_slice(b, s->id);
    pack_slice(b, s->owner);
    pack_slice(b, s->capability);
    pack_u32(b, s->members_n);
    pack_i64(b, s->created_ms);
    pack_i64(b, s->changed_ms);
}

static bool swarm_unpack(struct slice row, struct swarm *s)
{
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    s->number = unpack_u32(&u);
    s->app = unpack_u32(&u);
    s->id = unpack_slice(&u);
    s->owner = unpack_slice(&u);
    s->capability = unpack_slice(&u);
    s->members_n = unpack_u32(&u);
    s->created_ms = unpack_i64(&u);
    s->changed_ms = unpack_i64(&u);
    return unpack_done(&u) && version == ROW_VERSION;
}

static void member_pack(struct buf *b, const struct member *m)
{
    pack_u8(b, ROW_VERSION);
    pack_u32(b, m->number);
    pack_u32(b, m->app);
    pack_u32(b, m->swarm);
    pack_slice(b, m->id);
    pack_slice(b, m->owner);
    pack_slice(b, m->agent);
    pack_u32(b, m->agent_number);
    pack_u8(b, (uint8_t)m->role);
    pack_slice(b, m->capability);
    pack_slice(b, m->region);
    pack_u8(b, (uint8_t)m->priority);
    pack_u8(b, (uint8_t)m->state);
    pack_i64(b, m->joined_ms);
    pack_i64(b, m->left_ms);
}

static bool member_unpack(struct slice row, struct member *m)
{
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    m->number = unpack_u32(&u);
    m->app = unpack_u32(&u);
    m->swarm = unpack_u32(&u);
    m->id = unpack_slice(&u);
    m->owner = unpack_slice(&u);
    m->agent = unpack_slice(&u);
    m->agent_number = unpack_u32(&u);
    uint8_t role = unpack_u8(&u);
    m->role = (enum swarm_role)role;
    m->capability = unpack_slice(&u);
    m->region = unpack_slice(&u);
    uint8_t priority = unpack_u8(&u), state = unpack_u8(&u);
    m->priority = (enum task_priority)priority;
    m->state = (enum member_state)state;
    m->joined_ms = unpack_i64(&u);
    m->left_ms = unpack_i64(&u);
    return unpack_done(&u) && version == ROW_VERSION && role < SWARM_ROLES &&
           priority < TASK_PRIORITIES && state < MEMBER_STATES;
}

static struct slice number_key(uint8_t key[4], uint32_t number)
{
    be32_put(key, number);
    return slice_of(key, 4);
}

static enum store_rc newest(struct store_view *view, enum store_table table, uint32_t *out)
{
    uint64_t number;
    enum store_rc rc = store_last_number(view, table, &number);
    *out = (uint32_t)number;
    return rc;
}

enum store_rc swarm_newest(struct store_view *view, uint32_t *out)
{
    return newest(view, TABLE_SWARM, out);
}

enum store_rc member_newest(struct store_view *view, uint32_t *out)
{
    return newest(view, TABLE_SWARM_MEMBER, out);
}

/* ---- look-ups ---- */

static enum store_rc row_get(struct store_view *view, enum store_table table, uint32_t number,
                             struct slice *out)
{
    uint8_t key[4];
    return store_get(view, table, number_key(key, number), out);
}

static enum store_rc row_hold(struct store_view *view, enum store_table table, uint32_t number,
                              struct buf *bytes)
{
    struct slice row;
    enum store_rc rc = row_get(view, table, number, &row);
    if (rc == STORE_OK) {
        buf_clear(bytes);
        buf_add_slice(bytes, row);
    }
    return rc;
}

enum store_rc swarm_get(struct store_view *view, uint32_t number, struct swarm *out)
{
    struct slice row;
    enum store_rc rc = row_get(view, TABLE_SWARM, number, &row);
    return rc != STORE_OK ? rc : swarm_unpack(row, out) ? STORE_OK : STORE_DAMAGED;
}

enum store_rc member_get(struct store_view *view, uint32_t number, struct member *out)
{
    struct slice row;
    enum store_rc rc = row_get(view, TABLE_SWARM_MEMBER, number, &row);
    return rc != STORE_OK ? rc : member_unpack(row, out) ? STORE_OK : STORE_DAMAGED;
}

enum store_rc swarm_hold(struct store_view *view, uint32_t number, struct buf *bytes,
                         struct swarm *out)
{
    enum store_rc rc = row_hold(view, TABLE_SWARM, number, bytes);
    return rc != STORE_OK ? rc : swarm_unpack(buf_slice(bytes), out) ? STORE_OK : STORE_DAMAGED;
}

enum store_rc member_hold(struct store_view *view, uint32_t number, struct buf *bytes,
                          struct member *out)
{
    enum store_rc rc = row_hold(view, TABLE_SWARM_MEMBER, number, bytes);
    return rc != STORE_OK ? rc : member_unpack(buf_slice(bytes), out) ? STORE_OK : STORE_DAMAGED;
}

static struct slice id_key(uint8_t key[KEY_BYTES_MAX], uint8_t kind, uint32_t app, struct slice id)
{
    struct hash128 h = hash128_named(INDEX_SEED, app, id);
    key[0] = kind;
    be32_put(key + 1, app);
    be64_put(key + 5, h.hi);
    be64_put(key + 13, h.lo);
    return slice_of(key, 21);
}

static enum store_rc id_get(struct store_view *view, uint8_t kind, uint32_t app, struct slice id,
                            uint32_t *out)
{
    uint8_t key[KEY_BYTES_MAX];
    struct slice value;
    enum store_rc rc = store_get(view, TABLE_SWARM_INDEX, id_key(key, kind, app, id), &value);
    if (rc == STORE_OK) {
        *out = value.n == 4 ? be32_get(value.p) : 0;
    }
    return rc;
}

enum store_rc swarm_find(struct store_view *view, uint32_t app, struct slice id, struct swarm *out)
{
    uint32_t number;
    enum store_rc rc = id_get(view, INDEX_SWARM_ID, app, id, &number);
    rc = rc == STORE_OK ? swarm_get(view, number, out) : rc;
    return rc == STORE_OK && !slice_equal(out->id, id) ? STORE_NOT_FOUND : rc;
}

enum store_rc member_find(struct store_view *view, uint32_t app, struct slice id,
                          struct member *out)
{
    uint32_t number;
    enum store_rc rc = id_get(view, INDEX_MEMBER_ID, app, id, &number);
    rc = rc == STORE_OK ? member_get(view, number, out) : rc;
    return rc == STORE_OK && !slice_equal(out->id, id) ? STORE_NOT_FOUND : rc;
}

/* ---- writing ---- */

static enum store_rc row_put(struct store_txn *txn, enum store_table table, uint32_t number,
                             struct buf *row)
{
    uint8_t key[4];
    enum store_rc rc = store_put(txn, table, number_key(key, number), buf_slice(row));
    buf_done(row);
    return rc;
}

static enum store_rc id_put(struct store_txn *txn, uint8_t kind, uint32_t app, struct slice id,
                            uint32_t number)
{
    uint8_t key[KEY_BYTES_MAX], value[4];
    return store_put(txn, TABLE_SWARM_INDEX, id_key(key, kind, app, id), number_key(value, number));
}

enum store_rc swarm_put(struct store_txn *txn, const struct swarm *swarm, bool new)
{
    struct buf row = {0};
    swarm_pack(&row, swarm);
    enum store_rc rc = row_put(txn, TABLE_SWARM, swarm->number, &row);
    return rc == STORE_OK && new ? id_put(txn, INDEX_SWARM_ID, swarm->app, swarm->id, swarm->number)
                                 : rc;
}

/* kind, app or swarm, 8 bytes of what the kind says, member. */
enum { LIST_KEY_BYTES = 1 + 4 + 8 + 4 };
static struct slice list_key(uint8_t key[LIST_KEY_BYTES], uint8_t kind, uint32_t app, uint64_t what,
                             uint32_t member)
{
    key[0] = kind;
    be32_put(key + 1, app);
    be64_put(key + 5, what);
    be32_put(key + 13, member);
    return slice_of(key, LIST_KEY_BYTES);
}

static uint64_t agent_hash(uint32_t app, struct slice agent)
{
    return hash64_named(INDEX_SEED, app, agent);
}

/* Who has left is found by its own id alone. */
static enum store_rc lists_move(struct store_txn *txn, const struct member *m, bool there)
{
    uint8_t keys[2][LIST_KEY_BYTES];
    struct slice k[2] = {
        list_key(keys[0], INDEX_MEMBERS, 0, m->swarm, m->number),
        list_key(keys[1], INDEX_OF_AGENT, m->app, agent_hash(m->app, m->agent), m->number)};
    enum store_rc rc = STORE_OK;
    for (size_t i = 0; rc == STORE_OK && i < 2; i++) {
        rc = there ? store_put(txn, TABLE_SWARM_INDEX, k[i], slice_str("1"))
                   : store_del(txn, TABLE_SWARM_INDEX, k[i]);
        rc = rc == STORE_NOT_FOUND ? STORE_OK : rc;
    }
    return rc;
}

enum store_rc member_put(struct store_txn *txn, const struct member *m, bool new)
{
    struct buf row = {0};
    member_pack(&row, m);
    enum store_rc rc = row_put(txn, TABLE_SWARM_MEMBER, m->number, &row);
    if (rc == STORE_OK && new) {
        rc = id_put(txn, INDEX_MEMBER_ID, m->app, m->id, m->number);
    }
    if (rc == STORE_OK && (new || !member_is_there(m->state))) {
        rc = lists_move(txn, m, member_is_there(m->state));
    }
    return rc;
}

static uint64_t capability_hash(uint32_t app, struct slice capability)
{
    return hash64_named(INDEX_SEED, app, capability);
}

enum store_rc swarm_peopled_put(struct store_txn *txn, const struct swarm *swarm)
{
    uint8_t keys[2][LIST_KEY_BYTES];
    struct slice k[2] = {list_key(keys[0], INDEX_PEOPLED, swarm->app, 0, swarm->number),
                         list_key(keys[1], INDEX_FOUNDED, swarm->app,
                                  capability_hash(swarm->app, swarm->capability), swarm->number)};
    enum store_rc rc = STORE_OK;
    for (size_t i = 0; rc == STORE_OK && i < 2; i++) {
        rc = swarm->members_n ? store_put(txn, TABLE_SWARM_INDEX, k[i], slice_str("1"))
                              : store_del(txn, TABLE_SWARM_INDEX, k[i]);
        rc = rc == STORE_NOT_FOUND ? STORE_OK : rc;
    }
    return rc;
}

enum store_rc swarms_peopled_again(struct store_txn *txn, struct store_view *view)
{
    uint32_t newest = 0;
    enum store_rc rc = swarm_newest(view, &newest);
    for (uint32_t number = 1; rc == STORE_OK && number <= newest; number++) {
        uint8_t key[LIST_KEY_BYTES];
        struct swarm swarm;
        struct slice value;
        rc = swarm_get(view, number, &swarm);
        if (rc == STORE_OK && swarm.members_n &&
            store_get(view, TABLE_SWARM_INDEX, list_key(key, INDEX_PEOPLED, swarm.app, 0, number),
                      &value) == STORE_NOT_FOUND) {
            rc = swarm_peopled_put(txn, &swarm);
        }
        rc = rc == STORE_NOT_FOUND ? STORE_OK : rc;
    }
    return rc;
}

/* ---- lists ---- */

static enum store_rc list_each(struct store_view *view, const uint8_t from[LIST_KEY_BYTES],
                               member_visit *visit, void *ctx)
{
    struct store_cursor *cursor;
    struct slice key;
    enum store_rc rc = store_cursor_open(view, TABLE_SWARM_INDEX, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, slice_of(from, LIST_KEY_BYTES), &key, NULL);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, NULL)) {
        struct member member;
        if (key.n != LIST_KEY_BYTES || memcmp(key.p, from, LIST_KEY_BYTES - 4) != 0) {
            break;
        }
        rc = member_get(view, be32_get(key.p + LIST_KEY_BYTES - 4), &member);
        if (rc != STORE_OK || !visit(ctx, &member)) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

enum store_rc members_each(struct store_view *view, uint32_t swarm, member_visit *visit, void *ctx)
{
    uint8_t from[LIST_KEY_BYTES];
    (void)list_key(from, INDEX_MEMBERS, 0, swarm, 0);
    return list_each(view, from, visit, ctx);
}

struct of_agent {
    struct slice agent;
    member_visit *visit;
    void *ctx;
};

/* Two ids may have one hash. */
static bool of_agent(void *ctx, const struct member *member)
{
    const struct of_agent *o = ctx;
    return !slice_equal(member->agent, o->agent) || o->visit(o->ctx, member);
}

enum store_rc members_of_agent(struct store_view *view, uint32_t app, struct slice agent,
                               uint32_t from, member_visit *visit, void *ctx)
{
    uint8_t key[LIST_KEY_BYTES];
    struct of_agent o = {.agent = agent, .visit = visit, .ctx = ctx};
    (void)list_key(key, INDEX_OF_AGENT, app, agent_hash(app, agent), from);
    return list_each(view, key, of_agent, &o);
}

enum store_rc swarms_each(struct store_view *view, uint32_t app, struct slice capability,
                          swarm_visit *visit, void *ctx)
{
    uint8_t end[LIST_KEY_BYTES];
    struct store_cursor *cursor;
    struct slice key;
    struct slice past = capability.n ? list_key(end, INDEX_FOUNDED, app,
                                                capability_hash(app, capability), UINT32_MAX)
                                     : list_key(end, INDEX_PEOPLED, app, 0, UINT32_MAX);
    enum store_rc rc = store_cursor_open(view, TABLE_SWARM_INDEX, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, past, NULL, NULL);
    rc = rc == STORE_NOT_FOUND ? store_cursor_last(cursor, &key, NULL)
         : rc == STORE_OK      ? store_cursor_prev(cursor, &key, NULL)
                               : rc;
    for (; rc == STORE_OK; rc = store_cursor_prev(cursor, &key, NULL)) {
        struct swarm swarm;
        if (key.n != LIST_KEY_BYTES || memcmp(key.p, end, LIST_KEY_BYTES - 4) != 0) {
            break;
        }
        rc = swarm_get(view, be32_get(key.p + LIST_KEY_BYTES - 4), &swarm);
        if (rc != STORE_OK || ((capability.n == 0 || slice_equal(swarm.capability, capability)) &&
                               !visit(ctx, &swarm))) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

struct sight {
    const struct asker *asker;
    bool seen;
};

static bool sees_member(void *ctx, const struct member *member)
{
    struct sight *s = ctx;
    s->seen = asker_sees(s->asker, member->owner);
    return !s->seen;
}

bool swarm_visible(struct store_view *view, const struct swarm *swarm, const struct asker *asker)
{
    struct sight s = {.asker = asker, .seen = asker_sees(asker, swarm->owner)};
    if (!s.seen) {
        (void)members_each(view, swarm->number, sees_member, &s);
    }
    return s.seen;
}
