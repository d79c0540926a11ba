#include "auth/apikey.h"

#include "store/pack.h"

enum {
    API_KEY_ROW_VERSION = 1,
    CHECK_BYTES = 4,
    DIGITS = 2 * (API_KEY_RANDOM_BYTES + CHECK_BYTES),
    ID_BYTES = API_KEY_ID_CHARS / 2,
    /* Four characters of a short key would give too much of it away. */
    LAST_SHOWN_FROM = 20,
};

/* ---- the text ---- */

/* Whoever holds the text can compute these digits: they tell a key from a typing error, not from a
 * forgery. */
static void check_digits(struct slice before, char out[2 * CHECK_BYTES + 1])
{
    uint8_t hash[TEXT_HASH_BYTES];
    digest_text(hash, before);
    hex_put(out, slice_of(hash, CHECK_BYTES));
}

void api_key_text(struct slice app_id, const uint8_t random[API_KEY_RANDOM_BYTES], struct buf *out)
{
    char digits[2 * API_KEY_RANDOM_BYTES + 1], check[2 * CHECK_BYTES + 1];
    size_t from = out->n;
    hex_put(digits, slice_of(random, API_KEY_RANDOM_BYTES));
    buf_add_str(out, "wg_");
    buf_add_slice(out, app_id);
    buf_add_str(out, "_");
    buf_add_str(out, digits);
    check_digits(slice_of(out->p + from, out->n - from), check);
    buf_add_str(out, check);
    digest_wipe(digits, sizeof digits);
}

bool api_key_looks_made(struct slice text)
{
    size_t prefix = 3 + 1 + 1; /* wg_, an id of one character, _ */
    if (text.n < prefix + DIGITS || text.n > API_KEY_TEXT_MAX || !slice_starts(text, "wg_") ||
        text.p[text.n - DIGITS - 1] != '_') {
        return false;
    }
    uint8_t bytes[API_KEY_RANDOM_BYTES + CHECK_BYTES];
    char check[2 * CHECK_BYTES + 1];
    bool hex = hex_get(slice_of(text.p + text.n - DIGITS, DIGITS), bytes, sizeof bytes);
    struct slice before = slice_of(text.p, text.n - 2 * (size_t)CHECK_BYTES);
    check_digits(before, check);
    return hex && memcmp(before.p + before.n, check, 2 * (size_t)CHECK_BYTES) == 0;
}

bool api_key_hash(const struct secret *secret, struct slice text, struct api_key *out)
{
    if (text.n == 0 || text.n > API_KEY_TEXT_MAX) {
        return false;
    }
    struct slice key = slice_of(secret_key(secret, SECRET_API_KEYS), SECRET_BYTES);
    digest_blake2b(out->hash, sizeof out->hash, key, &text, 1);
    memset(out->last, 0, sizeof out->last);
    if (text.n >= LAST_SHOWN_FROM) {
        memcpy(out->last, text.p + text.n - API_KEY_LAST_CHARS, API_KEY_LAST_CHARS);
    }
    return true;
}

void api_key_id(const uint8_t hash[API_KEY_HASH_BYTES], char out[API_KEY_ID_CHARS + 1])
{
    hex_put(out, slice_of(hash, ID_BYTES));
}

/* ---- rows ---- */

static void row_pack(const struct api_key *key, struct buf *b)
{
    pack_u8(b, API_KEY_ROW_VERSION);
    pack_u32(b, key->app);
    pack_u8(b, (uint8_t)key->role);
    pack_u8(b, key->given);
    pack_i64(b, key->created_ms);
    pack_i64(b, key->expires_ms);
    pack_i64(b, key->revoked_ms);
    buf_add(b, key->last, API_KEY_LAST_CHARS);
    pack_slice(b, key->name);
    pack_slice(b, key->caps);
}

static bool row_valid(const struct api_key *key)
{
    return key->role > ROLE_NONE && key->role < ROLE_COUNT && key->name.n <= API_KEY_NAME_MAX &&
           key->expires_ms >= 0 && (key->caps.n == 0 || caps_valid(key->caps));
}

static bool row_unpack(struct slice hash, struct slice value, struct api_key *out)
{
    struct unpack u = unpack_of(value);
    if (hash.n != API_KEY_HASH_BYTES || unpack_u8(&u) != API_KEY_ROW_VERSION) {
        return false;
    }
    memcpy(out->hash, hash.p, API_KEY_HASH_BYTES);
    out->app = unpack_u32(&u);
    out->role = (enum role)unpack_u8(&u);
    out->given = unpack_u8(&u) != 0;
    out->created_ms = unpack_i64(&u);
    out->expires_ms = unpack_i64(&u);
    out->revoked_ms = unpack_i64(&u);
    const uint8_t *last = unpack_bytes(&u, API_KEY_LAST_CHARS);
    memset(out->last, 0, sizeof out->last);
    if (last) {
        memcpy(out->last, last, API_KEY_LAST_CHARS);
    }
    out->name = unpack_slice(&u);
    out->caps = unpack_slice(&u);
    return unpack_done(&u) && row_valid(out);
}

enum store_rc api_key_add(struct store_txn *txn, const struct api_key *key)
{
    if (!row_valid(key)) {
        return STORE_INVALID;
    }
    struct buf b = {0};
    row_pack(key, &b);
    enum store_rc rc =
        store_insert(txn, TABLE_API_KEY, slice_of(key->hash, sizeof key->hash), buf_slice(&b));
    buf_done(&b);
    return rc;
}

enum store_rc api_key_find(struct store_view *view, const uint8_t hash[API_KEY_HASH_BYTES],
                           struct api_key *out)
{
    struct slice key = slice_of(hash, API_KEY_HASH_BYTES), value;
    enum store_rc rc = store_get(view, TABLE_API_KEY, key, &value);
    return rc == STORE_OK && !row_unpack(key, value, out) ? STORE_DAMAGED : rc;
}

/* Calls visit for the rows from the key `from` on. */
static enum store_rc each_from(struct store_view *view, struct slice from, api_key_visit *visit,
                               void *ctx)
{
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, TABLE_API_KEY, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, from, &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value)) {
        struct api_key row;
        if (!row_unpack(key, value, &row)) {
            rc = STORE_DAMAGED;
            break;
        }
        if (!visit(ctx, &row)) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

struct by_id {
    uint8_t id[ID_BYTES];
    struct api_key *out;
    bool found;
};

static bool visit_by_id(void *ctx, const struct api_key *key)
{
    struct by_id *s = ctx;
    if (memcmp(key->hash, s->id, ID_BYTES) == 0) {
        *s->out = *key;
        s->found = true;
    }
    return false; /* the first key from the id on is the one, or there is none */
}

enum store_rc api_key_by_id(struct store_view *view, struct slice id, struct api_key *out)
{
    struct by_id s = {.out = out};
    if (!hex_get(id, s.id, sizeof s.id)) {
        return STORE_NOT_FOUND;
    }
    enum store_rc rc = each_from(view, slice_of(s.id, sizeof s.id), visit_by_id, &s);
    return rc == STORE_OK && !s.found ? STORE_NOT_FOUND : rc;
}

enum store_rc api_key_revoke(struct store_txn *txn, uint32_t app, struct slice id, int64_t now_ms)
{
    struct api_key key;
    enum store_rc rc = api_key_by_id(store_txn_view(txn), id, &key);
    if (rc != STORE_OK || key.app != app) {
        return rc == STORE_OK ? STORE_NOT_FOUND : rc;
    }
    if (key.revoked_ms != 0) {
        return STORE_OK;
    }
    key.revoked_ms = now_ms;
    struct buf b = {0};
    row_pack(&key, &b);
    rc = store_put(txn, TABLE_API_KEY, slice_of(key.hash, sizeof key.hash), buf_slice(&b));
    buf_done(&b);
    return rc;
}

enum store_rc api_key_remove(struct store_txn *txn, const uint8_t hash[API_KEY_HASH_BYTES])
{
    return store_del(txn, TABLE_API_KEY, slice_of(hash, API_KEY_HASH_BYTES));
}

struct of_app {
    uint32_t app;
    struct slice after;
    api_key_visit *visit;
    void *ctx;
};

static bool visit_of_app(void *ctx, const struct api_key *key)
{
    struct of_app *s = ctx;
    bool skip = (s->app && key->app != s->app) ||
                (s->after.n && memcmp(key->hash, s->after.p, ID_BYTES) == 0);
    return skip || s->visit(s->ctx, key);
}

enum store_rc api_keys_each(struct store_view *view, uint32_t app, struct slice after,
                            api_key_visit *visit, void *ctx)
{
    uint8_t from[ID_BYTES];
    struct of_app s = {.app = app, .visit = visit, .ctx = ctx};
    if (after.n) {
        if (after.n != sizeof from) {
            return STORE_INVALID;
        }
        memcpy(from, after.p, sizeof from); /* visit may write where it lay */
        s.after = slice_of(from, sizeof from);
    }
    return each_from(view, s.after, visit_of_app, &s);
}

bool api_key_live(const struct api_key *key, int64_t now_ms)
{
    return key->revoked_ms == 0 && (key->expires_ms == 0 || now_ms < key->expires_ms);
}

struct principal *api_key_principal(const struct api_key *key, struct slice app_id)
{
    char id[API_KEY_ID_CHARS + 1];
    api_key_id(key->hash, id);
    return principal_new(&(struct principal_spec){
        .app = key->app,
        .app_id = app_id,
        .role = key->role,
        .kind = PRINCIPAL_API_KEY,
        .issued_ms = key->created_ms,
        .expires_ms = key->expires_ms,
        .subject = key->name,
        .id = slice_str(id),
        .caps = key->caps,
    });
}
