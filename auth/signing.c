/* The file has a head line and one line a key, the current one first:
 *
 *     waggle-signing-keys 1
 *     <seed, 64 hex digits> <created ms> <verifies until ms; 0 while current>
 *
 * A ring holds at most a few hundred ids, so finding one walks them all. */
#include "auth/signing.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/base64url.h"
#include "auth/digest.h"
#include "auth/keyfile.h"

static const char file_head[] = "waggle-signing-keys 1\n";

struct own_key {
    int64_t created_ms, until_ms;
    char kid[SIGNING_KID_CHARS + 1];
    uint8_t public_key[SIGNING_PUBLIC_BYTES];
};

struct trusted_key {
    uint8_t public_key[SIGNING_PUBLIC_BYTES];
    uint8_t kid_n;
    uint8_t kid[SIGNING_TRUSTED_KID_MAX];
};

struct signing {
    _Atomic uint32_t refs;
    char *data_dir; /* NULL: no file */
    size_t own_n, trusted_n;
    struct own_key own[SIGNING_OWN_MAX];           /* the current one first */
    uint8_t (*secret)[crypto_sign_SECRETKEYBYTES]; /* sodium_malloc, as own */
    struct trusted_key *trusted;
};

/* ---- keys by themselves ---- */

void signature_kid(const uint8_t public_key[SIGNING_PUBLIC_BYTES], char out[SIGNING_KID_CHARS + 1])
{
    /* RFC 7638 section 3.2, RFC 8037 section 2: these members, in this order, no white space. */
    struct buf text = {0}, kid = {0};
    buf_add_str(&text, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"");
    base64url_put(&text, slice_of(public_key, SIGNING_PUBLIC_BYTES));
    buf_add_str(&text, "\"}");
    uint8_t hash[SHA256_BYTES];
    struct slice part = buf_slice(&text);
    digest_sha256(hash, &part, 1);
    base64url_put(&kid, slice_of(hash, sizeof hash));
    memcpy(out, kid.p, SIGNING_KID_CHARS);
    out[SIGNING_KID_CHARS] = '\0';
    buf_done(&text);
    buf_done(&kid);
}

bool signature_key_valid(const uint8_t public_key[SIGNING_PUBLIC_BYTES])
{
    return crypto_core_ed25519_is_valid_point(public_key) == 1;
}

bool signature_check_token(const uint8_t public_key[SIGNING_PUBLIC_BYTES], struct slice message,
                           const uint8_t signature[SIGNATURE_BYTES])
{
    /* Refuses S >= L and points of small order, as packaged (libsodium 1.0.18). */
    return crypto_sign_verify_detached(signature, message.p, message.n, public_key) == 0;
}

static struct buf with_purpose(const char *purpose, struct slice message)
{
    assert(purpose[0] != '\0' && strchr(purpose, '\n') == NULL);
    struct buf b = {0};
    buf_add_str(&b, purpose);
    buf_add_str(&b, "\n");
    buf_add_slice(&b, message);
    return b;
}

bool signature_check(const uint8_t public_key[SIGNING_PUBLIC_BYTES], const char *purpose,
                     struct slice message, const uint8_t signature[SIGNATURE_BYTES])
{
    struct buf b = with_purpose(purpose, message);
    bool ok = signature_check_token(public_key, buf_slice(&b), signature);
    buf_done(&b);
    return ok;
}

/* ---- a ring ---- */

static struct signing *ring_new(const char *data_dir)
{
    struct signing *keys = xcalloc(1, sizeof *keys);
    atomic_init(&keys->refs, 1);
    keys->data_dir = data_dir ? xstrdup(data_dir) : NULL;
    keys->secret = sodium_allocarray(SIGNING_OWN_MAX, sizeof *keys->secret);
    if (!keys->secret) {
        abort(); /* as xmalloc does */
    }
    return keys;
}

struct signing *signing_ref(struct signing *keys)
{
    atomic_fetch_add_explicit(&keys->refs, 1, memory_order_relaxed);
    return keys;
}

void signing_unref(struct signing *keys)
{
    if (!keys || atomic_fetch_sub_explicit(&keys->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    sodium_free(keys->secret); /* wipes */
    free(keys->trusted);
    free(keys->data_dir);
    free(keys);
}

static void ring_add(struct signing *keys, const uint8_t seed[SIGNING_SEED_BYTES],
                     int64_t created_ms, int64_t until_ms)
{
    assert(keys->own_n < SIGNING_OWN_MAX);
    struct own_key *key = &keys->own[keys->own_n];
    key->created_ms = created_ms;
    key->until_ms = until_ms;
    crypto_sign_seed_keypair(key->public_key, keys->secret[keys->own_n], seed);
    signature_kid(key->public_key, key->kid);
    keys->own_n++;
}

static void ring_seal(struct signing *keys)
{
    sodium_mprotect_readonly(keys->secret);
}

static bool key_verifies(const struct own_key *key, int64_t now_ms)
{
    return key->until_ms == 0 || now_ms < key->until_ms;
}

/* ---- the file ---- */

static void ring_write_text(const struct signing *keys, struct buf *out)
{
    buf_reserve(out, sizeof file_head + keys->own_n * 128); /* at once: it must not move */
    buf_add_str(out, file_head);
    for (size_t i = 0; i < keys->own_n; i++) {
        char hex[SIGNING_SEED_BYTES * 2 + 1];
        hex_put(hex,
                slice_of(keys->secret[i], SIGNING_SEED_BYTES)); /* a secret key begins with it */
        buf_printf(out, "%s %" PRId64 " %" PRId64 "\n", hex, keys->own[i].created_ms,
                   keys->own[i].until_ms);
        digest_wipe(hex, sizeof hex);
    }
}

static enum signing_rc ring_save(const struct signing *keys, char *out_text, size_t text_n)
{
    if (!keys->data_dir) {
        return SIGNING_OK;
    }
    struct buf text = {0};
    ring_write_text(keys, &text);
    char *path = keyfile_path(keys->data_dir, "signing.keys");
    enum keyfile_rc rc = keyfile_folder(keys->data_dir, out_text, text_n);
    if (rc == KEYFILE_OK) {
        rc = keyfile_write_secret(path, buf_slice(&text), out_text, text_n);
    }
    free(path);
    keyfile_wipe(&text);
    return rc == KEYFILE_OK ? SIGNING_OK : SIGNING_IO;
}

/* Digits up to the character `end`, which is eaten. */
static bool eat_number(struct slice *text, uint8_t end, int64_t *out)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < text->n && i < 16 && text->p[i] >= '0' && text->p[i] <= '9'; i++) {
        v = v * 10 + (uint64_t)(text->p[i] - '0');
    }
    if (i == 0 || i == text->n || text->p[i] != end) {
        return false;
    }
    *text = slice_of(text->p + i + 1, text->n - i - 1);
    *out = (int64_t)v;
    return true;
}

static bool eat_key(struct signing *keys, struct slice *text)
{
    enum { HEX = SIGNING_SEED_BYTES * 2 };
    uint8_t seed[SIGNING_SEED_BYTES];
    int64_t created_ms, until_ms;
    bool ok = keys->own_n < SIGNING_OWN_MAX && text->n > HEX && text->p[HEX] == ' ' &&
              hex_get(slice_of(text->p, HEX), seed, sizeof seed);
    if (ok) {
        *text = slice_of(text->p + HEX + 1, text->n - HEX - 1);
        ok = eat_number(text, ' ', &created_ms) && eat_number(text, '\n', &until_ms) &&
             (until_ms == 0) == (keys->own_n == 0); /* the first one, and only that, is current */
    }
    if (ok) {
        ring_add(keys, seed, created_ms, until_ms);
    }
    digest_wipe(seed, sizeof seed);
    return ok;
}

static bool ring_read_text(struct signing *keys, struct slice text)
{
    if (!slice_starts(text, file_head)) {
        return false;
    }
    text = slice_of(text.p + sizeof file_head - 1, text.n - (sizeof file_head - 1));
    while (text.n) {
        if (!eat_key(keys, &text)) {
            return false;
        }
    }
    return keys->own_n > 0;
}

enum signing_rc signing_open(const char *data_dir, const uint8_t seed[SIGNING_SEED_BYTES],
                             int64_t now_ms, struct signing **out, char *out_text, size_t text_n)
{
    struct signing *keys = ring_new(data_dir);
    struct buf text = {0};
    char *path = keyfile_path(data_dir, "signing.keys");
    enum signing_rc rc = SIGNING_OK;
    enum keyfile_rc read = keyfile_read_secret(path, &text, out_text, text_n);
    if (read == KEYFILE_NOT_FOUND) {
        ring_add(keys, seed, now_ms, 0);
        rc = ring_save(keys, out_text, text_n);
    } else if (read != KEYFILE_OK) {
        rc = SIGNING_IO;
    } else if (!ring_read_text(keys, buf_slice(&text))) {
        (void)snprintf(out_text, text_n, "%s: not a file of signing keys", path);
        rc = SIGNING_BAD_FILE;
    }
    keyfile_wipe(&text);
    free(path);
    if (rc != SIGNING_OK) {
        signing_unref(keys);
        return rc;
    }
    ring_seal(keys);
    *out = keys;
    return SIGNING_OK;
}

struct signing *signing_of(const uint8_t seed[SIGNING_SEED_BYTES], int64_t now_ms)
{
    struct signing *keys = ring_new(NULL);
    ring_add(keys, seed, now_ms, 0);
    ring_seal(keys);
    return keys;
}

static void copy_trusted(struct signing *to, const struct signing *from)
{
    to->trusted_n = from->trusted_n;
    to->trusted = xcalloc(from->trusted_n, sizeof *to->trusted);
    if (from->trusted_n) {
        memcpy(to->trusted, from->trusted, from->trusted_n * sizeof *to->trusted);
    }
}

enum signing_rc signing_rotate(const struct signing *keys, const uint8_t seed[SIGNING_SEED_BYTES],
                               int64_t now_ms, int64_t overlap_ms, struct signing **out,
                               char *out_text, size_t text_n)
{
    assert(overlap_ms > 0);
    struct signing *next = ring_new(keys->data_dir);
    copy_trusted(next, keys);
    ring_add(next, seed, now_ms, 0);
    enum signing_rc rc = SIGNING_OK;
    for (size_t i = 0; i < keys->own_n && rc == SIGNING_OK; i++) {
        const struct own_key *old = &keys->own[i];
        if (!key_verifies(old, now_ms)) {
            continue;
        }
        if (next->own_n == SIGNING_OWN_MAX) {
            (void)snprintf(out_text, text_n, "%d signing keys are still in use", SIGNING_OWN_MAX);
            rc = SIGNING_TOO_MANY;
        } else {
            int64_t until_ms = old->until_ms ? old->until_ms : now_ms + overlap_ms;
            ring_add(next, keys->secret[i], old->created_ms, until_ms);
        }
    }
    if (rc == SIGNING_OK) {
        rc = ring_save(next, out_text, text_n);
    }
    if (rc != SIGNING_OK) {
        signing_unref(next);
        return rc;
    }
    ring_seal(next);
    *out = next;
    return SIGNING_OK;
}

/* ---- keys of others ---- */

/* The member is absent or the given text. */
static bool absent_or(json_t *jwk, const char *member, const char *text)
{
    json_t *value = json_object_get(jwk, member);
    return !value || (json_is_string(value) && strcmp(json_string_value(value), text) == 0);
}

static bool is_text(json_t *jwk, const char *member, const char *text)
{
    return json_object_get(jwk, member) && absent_or(jwk, member, text);
}

/* RFC 7517 section 4.3: absent, or a list with "verify". */
static bool may_verify(json_t *jwk)
{
    json_t *ops = json_object_get(jwk, "key_ops"), *op;
    size_t i;
    json_array_foreach(ops, i, op)
    {
        if (json_is_string(op) && strcmp(json_string_value(op), "verify") == 0) {
            return true;
        }
    }
    return !ops;
}

static bool read_jwk(json_t *jwk, struct trusted_key *out)
{
    json_t *kid = json_object_get(jwk, "kid"), *x = json_object_get(jwk, "x");
    size_t n = 0;
    if (!is_text(jwk, "kty", "OKP") || !is_text(jwk, "crv", "Ed25519") ||
        !absent_or(jwk, "use", "sig") || !absent_or(jwk, "alg", "EdDSA") || !may_verify(jwk) ||
        !json_is_string(kid) || !json_is_string(x)) {
        return false;
    }
    size_t kid_n = json_string_length(kid);
    if (kid_n == 0 || kid_n > SIGNING_TRUSTED_KID_MAX ||
        !base64url_get(slice_of(json_string_value(x), json_string_length(x)), out->public_key,
                       sizeof out->public_key, &n) ||
        n != sizeof out->public_key || !signature_key_valid(out->public_key)) {
        return false;
    }
    out->kid_n = (uint8_t)kid_n;
    memcpy(out->kid, json_string_value(kid), kid_n);
    return true;
}

static const struct own_key *find_own(const struct signing *keys, struct slice kid)
{
    for (size_t i = 0; i < keys->own_n; i++) {
        if (slice_is(kid, keys->own[i].kid)) {
            return &keys->own[i];
        }
    }
    return NULL;
}

static const struct trusted_key *find_trusted(const struct signing *keys, struct slice kid)
{
    for (size_t i = 0; i < keys->trusted_n; i++) {
        if (slice_equal(kid, slice_of(keys->trusted[i].kid, keys->trusted[i].kid_n))) {
            return &keys->trusted[i];
        }
    }
    return NULL;
}

static void trust_set(struct signing *keys, json_t *set, unsigned *taken, unsigned *skipped)
{
    size_t i;
    json_t *jwk;
    keys->trusted = xcalloc(SIGNING_TRUSTED_MAX, sizeof *keys->trusted);
    json_array_foreach(set, i, jwk)
    {
        struct trusted_key key = {0};
        bool ok = keys->trusted_n < SIGNING_TRUSTED_MAX && read_jwk(jwk, &key);
        struct slice kid = slice_of(key.kid, key.kid_n);
        if (ok && !find_own(keys, kid) && !find_trusted(keys, kid)) {
            keys->trusted[keys->trusted_n++] = key;
            ++*taken;
        } else {
            ++*skipped;
        }
    }
}

enum signing_rc signing_trust(const struct signing *keys, struct slice jwks, struct signing **out,
                              unsigned *out_taken, unsigned *out_skipped)
{
    json_t *root = json_loadb((const char *)jwks.p, jwks.n, JSON_REJECT_DUPLICATES, NULL);
    json_t *set = json_object_get(root, "keys");
    enum signing_rc rc = SIGNING_BAD_FILE;
    if (json_is_array(set)) {
        struct signing *next = ring_new(keys->data_dir);
        unsigned taken = 0, skipped = 0;
        for (size_t i = 0; i < keys->own_n; i++) {
            ring_add(next, keys->secret[i], keys->own[i].created_ms, keys->own[i].until_ms);
        }
        ring_seal(next);
        trust_set(next, set, &taken, &skipped);
        *out = next;
        *out_taken = taken;
        *out_skipped = skipped;
        rc = SIGNING_OK;
    }
    json_decref(root);
    return rc;
}

/* ---- use ---- */

const char *signing_kid(const struct signing *keys)
{
    return keys->own[0].kid;
}

const uint8_t *signing_public(const struct signing *keys)
{
    return keys->own[0].public_key;
}

const uint8_t *signing_find(const struct signing *keys, struct slice kid, int64_t now_ms)
{
    const struct own_key *own = find_own(keys, kid);
    if (own) {
        return key_verifies(own, now_ms) ? own->public_key : NULL;
    }
    const struct trusted_key *trusted = find_trusted(keys, kid);
    return trusted ? trusted->public_key : NULL;
}

void signing_jwks(const struct signing *keys, int64_t now_ms, struct buf *out)
{
    const char *before = "{\"keys\":[";
    for (size_t i = 0; i < keys->own_n; i++) {
        const struct own_key *key = &keys->own[i];
        if (key_verifies(key, now_ms)) {
            buf_printf(out,
                       "%s{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"use\":\"sig\",",
                       before);
            buf_printf(out, "\"kid\":\"%s\",\"x\":\"", key->kid);
            base64url_put(out, slice_of(key->public_key, sizeof key->public_key));
            buf_add_str(out, "\"}");
            before = ",";
        }
    }
    buf_add_str(out, "]}"); /* the current key is always there */
}

void signing_sign_token(const struct signing *keys, struct slice message,
                        uint8_t out[SIGNATURE_BYTES])
{
    crypto_sign_detached(out, NULL, message.p, message.n, keys->secret[0]);
}

void signing_sign(const struct signing *keys, const char *purpose, struct slice message,
                  uint8_t out[SIGNATURE_BYTES])
{
    struct buf b = with_purpose(purpose, message);
    signing_sign_token(keys, buf_slice(&b), out);
    buf_done(&b);
}
