#include "auth/start.h"

#include <stdio.h>
#include <stdlib.h>

#include "auth/revocation.h"
#include "auth/token.h"

static const char given_key_name[] = "--admin-key", made_key_name[] = "admin";

struct starting {
    const struct auth_start_options *options;
    struct store_txn *txn;
    struct auth_state *state;
    char *out_text;
    size_t text_n;
};

static enum auth_start_rc usage(struct starting *s, const char *what)
{
    (void)snprintf(s->out_text, s->text_n, "%s", what);
    return AUTH_START_USAGE;
}

static enum auth_start_rc of_store(struct starting *s, enum store_rc rc, const char *what)
{
    if (rc == STORE_OK) {
        return AUTH_START_OK;
    }
    (void)snprintf(s->out_text, s->text_n, "%s: %s", what, store_rc_name(rc));
    return AUTH_START_STORE;
}

/* ---- apps ---- */

static bool secret_is(const struct starting *s, struct slice sealed, struct slice clear)
{
    uint8_t opened[APP_SECRET_BYTES_MAX];
    bool same = sealed.n == clear.n + SEAL_EXTRA_BYTES && clear.n <= sizeof opened &&
                secret_unseal(s->state->secret, sealed, opened) &&
                digest_equal(slice_of(opened, clear.n), clear);
    digest_wipe(opened, sizeof opened);
    return same;
}

/* Makes the app, or gives it this key and secret. What is as wanted is not written again. */
static enum store_rc app_ensure(struct starting *s, struct slice id, struct slice key,
                                struct slice secret, const uint8_t nonce[SEAL_NONCE_BYTES])
{
    struct app_row row;
    struct buf sealed = {0};
    enum store_rc rc = app_find(store_txn_view(s->txn), id, &row);
    bool known = rc == STORE_OK;
    if (rc != STORE_OK && rc != STORE_NOT_FOUND) {
        return rc;
    }
    if (known && slice_equal(row.key, key) && secret_is(s, row.sealed_secret, secret)) {
        return STORE_OK;
    }
    secret_seal(s->state->secret, secret, nonce, &sealed);
    if (known) {
        row.key = key;
        row.sealed_secret = buf_slice(&sealed);
        rc = app_put(s->txn, &row);
    } else {
        row = (struct app_row){.id = id,
                               .name = id,
                               .key = key,
                               .sealed_secret = buf_slice(&sealed),
                               .enabled = true,
                               .created_ms = s->options->now_ms};
        rc = app_add(s->txn, &row, &row.number);
    }
    buf_done(&sealed);
    return rc;
}

/* All that were given, or those of them that are app main. */
static enum auth_start_rc ensure_given_apps(struct starting *s, bool main_only)
{
    for (size_t i = 0; i < s->options->apps_n; i++) {
        struct slice id, key, secret;
        if (i == AUTH_START_APPS_MAX) {
            return usage(s, "--app: given too often");
        }
        if (!app_option_parse(slice_str(s->options->apps[i]), &id, &key, &secret)) {
            return usage(s, "--app: not of the form ID:KEY:SECRET");
        }
        if (main_only && !slice_is(id, APP_MAIN)) {
            continue;
        }
        enum store_rc rc = app_ensure(s, id, key, secret, s->options->random->nonces[1 + i]);
        if (rc == STORE_EXISTS) {
            return usage(s, "--app: another app has this KEY");
        }
        if (rc != STORE_OK) {
            return of_store(s, rc, "--app");
        }
    }
    return AUTH_START_OK;
}

static enum auth_start_rc ensure_main(struct starting *s)
{
    const struct auth_start_random *random = s->options->random;
    struct app_row row;
    enum store_rc rc = app_find(store_txn_view(s->txn), slice_str(APP_MAIN), &row);
    if (rc != STORE_NOT_FOUND) {
        return of_store(s, rc, "app main");
    }
    char key[2 * sizeof random->pusher_key + 1], secret[2 * sizeof random->pusher_secret + 1];
    hex_put(key, slice_of(random->pusher_key, sizeof random->pusher_key));
    hex_put(secret, slice_of(random->pusher_secret, sizeof random->pusher_secret));
    rc = app_ensure(s, slice_str(APP_MAIN), slice_str(key), slice_str(secret), random->nonces[0]);
    if (rc == STORE_OK) {
        s->state->new_pusher_key = xstrdup(key);
        s->state->new_pusher_secret = xstrdup(secret);
    }
    digest_wipe(secret, sizeof secret);
    return of_store(s, rc, "app main");
}

/* ---- the admin key ---- */

struct key_search {
    const struct api_key *wanted; /* the key given now; NULL: none */
    int64_t now_ms;
    uint32_t main;
    bool stale; /* a key was given at an earlier start, and another or none is now */
    uint8_t stale_hash[API_KEY_HASH_BYTES];
    bool admin; /* a key that works and may do everything in app main */
};

static bool visit_key(void *ctx, const struct api_key *key)
{
    struct key_search *search = ctx;
    bool wanted = search->wanted && memcmp(key->hash, search->wanted->hash, sizeof key->hash) == 0;
    if (key->given && !wanted) {
        search->stale = true;
        memcpy(search->stale_hash, key->hash, sizeof key->hash);
        return false; /* to be removed before looking on */
    }
    search->admin = search->admin || (key->app == search->main && key->role == ROLE_ADMIN &&
                                      key->caps.n == 0 && api_key_live(key, search->now_ms));
    return true;
}

static enum store_rc search_keys(struct starting *s, struct key_search *search)
{
    for (;;) {
        search->stale = search->admin = false;
        enum store_rc rc =
            api_keys_each(store_txn_view(s->txn), 0, slice_of(NULL, 0), visit_key, search);
        if (rc != STORE_OK || !search->stale) {
            return rc;
        }
        rc = api_key_remove(s->txn, search->stale_hash);
        if (rc != STORE_OK) {
            return rc;
        }
    }
}

static struct api_key admin_key(const struct starting *s, uint32_t app, const char *name)
{
    return (struct api_key){
        .app = app, .role = ROLE_ADMIN, .created_ms = s->options->now_ms, .name = slice_str(name)};
}

static enum store_rc make_admin_key(struct starting *s, uint32_t app)
{
    struct buf text = {0};
    struct api_key key = admin_key(s, app, made_key_name);
    buf_reserve(&text, API_KEY_TEXT_MAX); /* at once: it must not move */
    api_key_text(slice_str(APP_MAIN), s->options->random->admin_key, &text);
    (void)api_key_hash(s->state->secret, buf_slice(&text), &key); /* it is not too long */
    enum store_rc rc = api_key_add(s->txn, &key);
    if (rc == STORE_OK) {
        s->state->new_admin_key = xstrndup(text.p, text.n);
    }
    keyfile_wipe(&text);
    return rc;
}

static bool given_key_usable(struct slice text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] <= ' ' || text.p[i] > '~') {
            return false; /* it must fit into a header */
        }
    }
    return text.n > 0 && text.n <= API_KEY_TEXT_MAX && !token_looks_like(text);
}

/* Whoever starts the hub with a key means it, even if it was revoked once: it begins anew. */
static enum store_rc ensure_given_key(struct starting *s, struct api_key *given)
{
    struct api_key before;
    char id[API_KEY_ID_CHARS + 1];
    api_key_id(given->hash, id);
    enum store_rc rc = api_key_find(store_txn_view(s->txn), given->hash, &before);
    if (rc == STORE_OK && !before.given) {
        return STORE_OK; /* one of the hub's own keys, given back to it: stays what it is */
    }
    if (rc == STORE_OK) {
        rc = api_key_remove(s->txn, given->hash);
    }
    if (rc == STORE_OK) {
        rc = revocation_remove(s->txn, given->app, REVOKE_KEY, slice_str(id));
    }
    return rc == STORE_OK || rc == STORE_NOT_FOUND ? api_key_add(s->txn, given) : rc;
}

static enum auth_start_rc ensure_admin_key(struct starting *s)
{
    struct app_row app;
    enum store_rc rc = app_find(store_txn_view(s->txn), slice_str(APP_MAIN), &app);
    if (rc != STORE_OK) {
        return of_store(s, rc, "app main");
    }
    struct key_search search = {.now_ms = s->options->now_ms, .main = app.number};
    struct api_key given = admin_key(s, app.number, given_key_name);
    if (s->options->admin_key) {
        struct slice text = slice_str(s->options->admin_key);
        if (!given_key_usable(text)) {
            return usage(s,
                         "--admin-key: wants 1 to 256 visible ASCII characters that are no token");
        }
        (void)api_key_hash(s->state->secret, text, &given);
        given.given = true;
        search.wanted = &given;
        rc = ensure_given_key(s, &given);
    }
    if (rc == STORE_OK) {
        rc = search_keys(s, &search);
    }
    if (rc == STORE_OK && !search.admin) {
        rc = make_admin_key(s, app.number);
    }
    return of_store(s, rc, "admin key");
}

/* ---- files ---- */

/* Another secret than the one the store was made with, from a mixed-up backup for instance, would
 * turn every key away: better not to start. */
static enum auth_start_rc check_secret(struct starting *s)
{
    struct apps *apps = NULL;
    enum store_rc rc = apps_load(store_txn_view(s->txn), s->state->secret, &apps);
    apps_unref(apps);
    if (rc != STORE_DAMAGED) {
        return of_store(s, rc, "apps");
    }
    (void)snprintf(s->out_text, s->text_n,
                   "%s/keys/server.secret: does not open the secrets of the apps in this store",
                   s->options->data_dir);
    return AUTH_START_FILE;
}

static enum auth_start_rc open_files(struct starting *s, bool store_is_new)
{
    const struct auth_start_options *o = s->options;
    /* A lost secret is not made anew either while there are rows that only it can read. */
    enum keyfile_rc read = secret_open(o->data_dir, store_is_new, o->random->secret,
                                       &s->state->secret, s->out_text, s->text_n);
    enum auth_start_rc rc = read == KEYFILE_OK ? check_secret(s) : AUTH_START_FILE;
    if (rc == AUTH_START_OK &&
        signing_open(o->data_dir, o->random->signing_seed, o->now_ms, &s->state->signing,
                     s->out_text, s->text_n) != SIGNING_OK) {
        rc = AUTH_START_FILE;
    }
    return rc;
}

static enum auth_start_rc trust_file(struct starting *s)
{
    struct buf text = {0};
    struct signing *next;
    const char *path = s->options->trust_jwks;
    if (!path) {
        return AUTH_START_OK;
    }
    enum auth_start_rc rc = AUTH_START_FILE;
    if (keyfile_read_public(path, &text, s->out_text, s->text_n) == KEYFILE_OK) {
        if (signing_trust(s->state->signing, buf_slice(&text), &next, &s->state->trusted,
                          &s->state->skipped) == SIGNING_OK) {
            signing_unref(s->state->signing);
            s->state->signing = next;
            rc = AUTH_START_OK;
        } else {
            (void)snprintf(s->out_text, s->text_n, "%s: not a JWK set", path);
        }
    }
    buf_done(&text);
    return rc;
}

/* ---- all of it ---- */

static enum auth_start_rc start_in_txn(struct starting *s)
{
    bool store_is_new = store_count(store_txn_view(s->txn), TABLE_APP) == 0;
    enum auth_start_rc rc = open_files(s, store_is_new);
    if (rc == AUTH_START_OK) {
        rc = trust_file(s);
    }
    if (rc == AUTH_START_OK) {
        rc = ensure_given_apps(s, true); /* main comes first, whoever chose its key */
    }
    if (rc == AUTH_START_OK) {
        rc = ensure_main(s);
    }
    if (rc == AUTH_START_OK) {
        rc = ensure_given_apps(s, false);
    }
    if (rc == AUTH_START_OK) {
        rc = ensure_admin_key(s);
    }
    return rc;
}

enum auth_start_rc auth_start(struct store *store, const struct auth_start_options *options,
                              struct auth_state *out, char *out_text, size_t text_n)
{
    struct auth_state state = {0};
    struct starting s = {
        .options = options, .state = &state, .out_text = out_text, .text_n = text_n};
    enum auth_start_rc rc = of_store(&s, store_begin(store, &s.txn), "store");
    if (rc != AUTH_START_OK) {
        return rc;
    }
    rc = start_in_txn(&s);
    if (rc == AUTH_START_OK) {
        rc = of_store(&s, store_commit(s.txn), "store");
    } else {
        store_abort(s.txn);
    }
    if (rc != AUTH_START_OK) {
        auth_state_done(&state);
        return rc;
    }
    *out = state;
    return AUTH_START_OK;
}

static void wipe_text(char *text)
{
    if (text) {
        digest_wipe(text, strlen(text));
        free(text);
    }
}

void auth_state_done(struct auth_state *state)
{
    secret_free(state->secret);
    signing_unref(state->signing);
    wipe_text(state->new_admin_key);
    wipe_text(state->new_pusher_key);
    wipe_text(state->new_pusher_secret);
    *state = (struct auth_state){0};
}
