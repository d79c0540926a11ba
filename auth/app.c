#include "auth/app.h"

#include <assert.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "auth/digest.h"
#include "store/pack.h"

enum { APP_ROW_VERSION = 1 };

static bool id_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool app_id_valid(struct slice id)
{
    if (id.n == 0 || id.n > APP_ID_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < id.n; i++) {
        if (!id_byte(id.p[i])) {
            return false;
        }
    }
    return true;
}

/* ---- rows ---- */

void app_limits_pack(struct buf *b, const struct app_limits *limits)
{
    pack_u32(b, limits->connections_max);
    pack_u32(b, limits->channels_max);
    pack_u32(b, limits->publishes_per_s);
    pack_u32(b, limits->message_bytes_max);
}

struct app_limits app_limits_unpack(struct unpack *u)
{
    struct app_limits limits;
    limits.connections_max = unpack_u32(u);
    limits.channels_max = unpack_u32(u);
    limits.publishes_per_s = unpack_u32(u);
    limits.message_bytes_max = unpack_u32(u);
    return limits;
}

static void row_pack(const struct app_row *row, struct buf *b)
{
    pack_u8(b, APP_ROW_VERSION);
    pack_slice(b, row->id);
    pack_slice(b, row->name);
    pack_slice(b, row->key);
    pack_slice(b, row->sealed_secret);
    pack_u8(b, row->enabled);
    app_limits_pack(b, &row->limits);
    pack_i64(b, row->created_ms);
}

static bool row_unpack(struct slice key, struct slice value, struct app_row *out)
{
    struct unpack u = unpack_of(value);
    if (key.n != 4 || unpack_u8(&u) != APP_ROW_VERSION) {
        return false;
    }
    out->number = be32_get(key.p);
    out->id = unpack_slice(&u);
    out->name = unpack_slice(&u);
    out->key = unpack_slice(&u);
    out->sealed_secret = unpack_slice(&u);
    out->enabled = unpack_u8(&u) != 0;
    out->limits = app_limits_unpack(&u);
    out->created_ms = unpack_i64(&u);
    return unpack_done(&u);
}

static bool row_valid(const struct app_row *row)
{
    return app_id_valid(row->id) && app_id_valid(row->key) && row->name.n <= APP_NAME_BYTES_MAX &&
           row->sealed_secret.n > SEAL_EXTRA_BYTES &&
           row->sealed_secret.n <= SEAL_EXTRA_BYTES + APP_SECRET_BYTES_MAX;
}

/* Calls visit for each row until it returns false; apps are few. */
typedef bool row_visit(void *ctx, const struct app_row *row);

static enum store_rc each_row(struct store_view *view, row_visit *visit, void *ctx)
{
    struct store_cursor *cursor;
    struct slice key, value;
    enum store_rc rc = store_cursor_open(view, TABLE_APP, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, slice_of(NULL, 0), &key, &value);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &value)) {
        struct app_row row;
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

struct search {
    const struct app_row *wanted;
    struct app_row *found;
    bool taken;
    uint32_t number_max;
};

static bool visit_taken(void *ctx, const struct app_row *row)
{
    struct search *s = ctx;
    s->number_max = row->number;
    s->taken = s->taken ||
               (row->number != s->wanted->number &&
                (slice_equal(row->id, s->wanted->id) || slice_equal(row->key, s->wanted->key)));
    return !s->taken;
}

static enum store_rc row_write(struct store_txn *txn, const struct app_row *row, bool add,
                               uint32_t *out_number)
{
    struct search s = {.wanted = row};
    if (!row_valid(row)) {
        return STORE_INVALID;
    }
    enum store_rc rc = each_row(store_txn_view(txn), visit_taken, &s);
    if (rc != STORE_OK || s.taken) {
        return s.taken ? STORE_EXISTS : rc;
    }
    uint8_t key[4];
    uint32_t number = add ? s.number_max + 1 : row->number;
    be32_put(key, number);
    struct buf b = {0};
    row_pack(row, &b);
    rc = store_put(txn, TABLE_APP, slice_of(key, sizeof key), buf_slice(&b));
    buf_done(&b);
    if (rc == STORE_OK && out_number) {
        *out_number = number;
    }
    return rc;
}

enum store_rc app_add(struct store_txn *txn, const struct app_row *row, uint32_t *out_number)
{
    struct app_row fresh = *row;
    fresh.number = 0; /* no row has that: every other one counts as another */
    return row_write(txn, &fresh, true, out_number);
}

enum store_rc app_put(struct store_txn *txn, const struct app_row *row)
{
    struct app_row before;
    enum store_rc rc = app_get(store_txn_view(txn), row->number, &before);
    return rc == STORE_OK ? row_write(txn, row, false, NULL) : rc;
}

enum store_rc app_get(struct store_view *view, uint32_t number, struct app_row *out)
{
    uint8_t key[4];
    struct slice value;
    be32_put(key, number);
    enum store_rc rc = store_get(view, TABLE_APP, slice_of(key, sizeof key), &value);
    if (rc == STORE_OK && !row_unpack(slice_of(key, sizeof key), value, out)) {
        rc = STORE_DAMAGED;
    }
    return rc;
}

static bool visit_find(void *ctx, const struct app_row *row)
{
    struct search *s = ctx;
    if (slice_equal(row->id, s->wanted->id)) {
        *s->found = *row;
        s->taken = true;
    }
    return !s->taken;
}

enum store_rc app_find(struct store_view *view, struct slice id, struct app_row *out)
{
    struct app_row wanted = {.id = id};
    struct search s = {.wanted = &wanted, .found = out};
    enum store_rc rc = each_row(view, visit_find, &s);
    return rc == STORE_OK && !s.taken ? STORE_NOT_FOUND : rc;
}

/* ---- --app ---- */

static struct slice eat_until_colon(struct slice *text)
{
    const uint8_t *colon = text->n ? memchr(text->p, ':', text->n) : NULL;
    size_t n = colon ? (size_t)(colon - text->p) : text->n;
    struct slice part = slice_of(text->p, n);
    size_t eaten = colon ? n + 1 : n;
    *text = slice_of(text->p + eaten, text->n - eaten);
    return part;
}

bool app_option_parse(struct slice text, struct slice *out_id, struct slice *out_key,
                      struct slice *out_secret)
{
    struct slice rest = text, id = eat_until_colon(&rest), key = eat_until_colon(&rest);
    if (!app_id_valid(id) || !app_id_valid(key) || rest.n == 0 || rest.n > APP_SECRET_BYTES_MAX) {
        return false;
    }
    *out_id = id;
    *out_key = key;
    *out_secret = rest;
    return true;
}

/* ---- the set that the threads ask ---- */

struct apps {
    _Atomic uint32_t refs;
    size_t n;
    struct app *by_number; /* in that order */
    const struct app **by_id, **by_key;
    uint8_t *texts;   /* ids, names, keys */
    uint8_t *secrets; /* sodium_malloc */
};

struct apps *apps_ref(struct apps *apps)
{
    atomic_fetch_add_explicit(&apps->refs, 1, memory_order_relaxed);
    return apps;
}

void apps_unref(struct apps *apps)
{
    if (!apps || atomic_fetch_sub_explicit(&apps->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    sodium_free(apps->secrets); /* wipes */
    free(apps->texts);
    free(apps->by_number);
    free(apps->by_id);
    free(apps->by_key);
    free(apps);
}

static struct slice keep(uint8_t **at, struct slice s)
{
    struct slice kept = slice_of(*at, s.n);
    if (s.n) {
        memcpy(*at, s.p, s.n);
    }
    *at += s.n;
    return kept;
}

static void *locked_alloc(size_t n)
{
    void *p = sodium_malloc(n ? n : 1);
    if (!p) {
        abort(); /* as xmalloc does */
    }
    return p;
}

static int slice_order(struct slice a, struct slice b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int id_order(const void *a, const void *b)
{
    const struct app *const *x = a, *const *y = b;
    return slice_order((*x)->id, (*y)->id);
}

static int key_order(const void *a, const void *b)
{
    const struct app *const *x = a, *const *y = b;
    return slice_order((*x)->key, (*y)->key);
}

static void apps_index(struct apps *apps)
{
    apps->by_id = xcalloc(apps->n, sizeof(struct app *));
    apps->by_key = xcalloc(apps->n, sizeof(struct app *));
    for (size_t i = 0; i < apps->n; i++) {
        apps->by_id[i] = apps->by_key[i] = &apps->by_number[i];
    }
    if (apps->n) {
        qsort(apps->by_id, apps->n, sizeof(struct app *), id_order);
        qsort(apps->by_key, apps->n, sizeof(struct app *), key_order);
    }
}

struct apps *apps_of(const struct app *list, size_t n)
{
    struct apps *apps = xcalloc(1, sizeof *apps);
    size_t texts_n = 0, secrets_n = 0;
    for (size_t i = 0; i < n; i++) {
        texts_n += list[i].id.n + list[i].name.n + list[i].key.n;
        secrets_n += list[i].secret.n;
    }
    atomic_init(&apps->refs, 1);
    apps->n = n;
    apps->by_number = xcalloc(n, sizeof *apps->by_number);
    uint8_t *text = apps->texts = xmalloc(texts_n),
            *secret = apps->secrets = locked_alloc(secrets_n);
    for (size_t i = 0; i < n; i++) {
        assert(i == 0 || list[i - 1].number < list[i].number);
        struct app *app = &apps->by_number[i];
        *app = list[i];
        app->id = keep(&text, list[i].id);
        app->name = keep(&text, list[i].name);
        app->key = keep(&text, list[i].key);
        app->secret = keep(&secret, list[i].secret);
    }
    apps_index(apps);
    sodium_mprotect_readonly(apps->secrets);
    return apps;
}

/* The rows are walked twice, first to learn how much room they need. */
struct loading {
    const struct secret *secret;
    size_t n, sealed_n;
    struct app *list;
    uint8_t *secrets; /* opened, in locked memory */
    bool damaged;
};

static bool visit_measure(void *ctx, const struct app_row *row)
{
    struct loading *l = ctx;
    l->n++;
    l->sealed_n += row->sealed_secret.n;
    l->damaged = l->damaged || !row_valid(row);
    return !l->damaged;
}

static bool visit_load(void *ctx, const struct app_row *row)
{
    struct loading *l = ctx;
    l->damaged = !secret_unseal(l->secret, row->sealed_secret, l->secrets);
    l->list[l->n++] = (struct app){
        .number = row->number,
        .id = row->id,
        .name = row->name,
        .key = row->key,
        .secret = slice_of(l->secrets, row->sealed_secret.n - SEAL_EXTRA_BYTES),
        .enabled = row->enabled,
        .limits = row->limits,
        .created_ms = row->created_ms,
    };
    l->secrets += row->sealed_secret.n - SEAL_EXTRA_BYTES;
    return !l->damaged;
}

enum store_rc apps_load(struct store_view *view, const struct secret *secret, struct apps **out)
{
    struct loading l = {.secret = secret};
    enum store_rc rc = each_row(view, visit_measure, &l);
    if (rc != STORE_OK || l.damaged) {
        return l.damaged ? STORE_DAMAGED : rc;
    }
    uint8_t *secrets = l.secrets = locked_alloc(l.sealed_n);
    l.list = xcalloc(l.n, sizeof *l.list);
    l.n = 0;
    rc = each_row(view, visit_load, &l);
    if (rc == STORE_OK && l.damaged) {
        rc = STORE_DAMAGED;
    }
    if (rc == STORE_OK) {
        *out = apps_of(l.list, l.n); /* copies what is borrowed */
    }
    sodium_free(secrets);
    free(l.list);
    return rc;
}

size_t apps_count(const struct apps *apps)
{
    return apps->n;
}

const struct app *apps_at(const struct apps *apps, size_t i)
{
    return i < apps->n ? &apps->by_number[i] : NULL;
}

const struct app *apps_by_number(const struct apps *apps, uint32_t number)
{
    size_t low = 0, high = apps->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (apps->by_number[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < apps->n && apps->by_number[low].number == number ? &apps->by_number[low] : NULL;
}

static const struct app *find(const struct app **sorted, size_t n, const struct app *wanted,
                              int (*order)(const void *, const void *))
{
    const struct app **hit = n ? bsearch(&wanted, sorted, n, sizeof(struct app *), order) : NULL;
    return hit ? *hit : NULL;
}

const struct app *apps_by_id(const struct apps *apps, struct slice id)
{
    struct app wanted = {.id = id};
    return id.n ? find(apps->by_id, apps->n, &wanted, id_order) : NULL;
}

const struct app *apps_by_key(const struct apps *apps, struct slice key)
{
    struct app wanted = {.key = key};
    return key.n ? find(apps->by_key, apps->n, &wanted, key_order) : NULL;
}

const struct app *apps_by_path(const struct apps *apps, struct slice id_or_number)
{
    const struct app *app = apps_by_id(apps, id_or_number);
    if (app || id_or_number.n == 0 || id_or_number.n > 9) {
        return app;
    }
    uint32_t number = 0;
    for (size_t i = 0; i < id_or_number.n; i++) {
        uint8_t c = id_or_number.p[i];
        if (c < '0' || c > '9') {
            return NULL;
        }
        number = number * 10 + (uint32_t)(c - '0');
    }
    return apps_by_number(apps, number);
}
