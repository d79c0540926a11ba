#define _POSIX_C_SOURCE 200809L
#include "auth/token.h"

#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#include "auth/base64url.h"

enum {
    ISSUER_BYTES_MAX = 256,
    HEADER_BYTES_MAX = 1024,
};
static const int64_t SECONDS_MAX = 253402300799; /* the end of the year 9999 */

const char *token_rc_name(enum token_rc rc)
{
    static const char *const names[TOKEN_RC_COUNT] = {
        "ok",          "too_long",      "bad_shape",  "bad_header",   "bad_algorithm",
        "unknown_key", "bad_signature", "bad_claims", "bad_audience", "expired",
        "not_yet",     "bad_app",
    };
    return names[rc];
}

/* Of bounded length and without control characters. */
static bool text_fits(struct slice text, size_t max)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < 0x20 || text.p[i] == 0x7f) {
            return false;
        }
    }
    return text.n <= max;
}

/* ---- minting ---- */

static bool set_text(json_t *claims, const char *name, struct slice text)
{
    return text.n == 0 ||
           json_object_set_new(claims, name, json_stringn((const char *)text.p, text.n)) == 0;
}

static bool set_seconds(json_t *claims, const char *name, int64_t ms)
{
    return ms == 0 || json_object_set_new(claims, name, json_integer(ms / 1000)) == 0;
}

static bool set_caps(json_t *claims, struct slice caps)
{
    if (caps.n == 0) {
        return true;
    }
    struct buf text = {0};
    caps_put_json(caps, &text);
    json_t *cap = json_loadb((const char *)text.p, text.n, 0, NULL);
    buf_done(&text);
    return json_object_set_new(claims, "cap", cap) == 0;
}

/* The same bounds as for reading: the hub mints nothing that it would refuse. */
static bool claims_fit(const struct token_claims *c)
{
    return c->subject.n > 0 && text_fits(c->subject, SUBJECT_BYTES_MAX) &&
           text_fits(c->issuer, ISSUER_BYTES_MAX) && text_fits(c->id, CREDENTIAL_ID_BYTES_MAX) &&
           app_id_valid(c->app_id) && c->role > ROLE_NONE && c->role < ROLE_COUNT &&
           c->issued_ms >= 0 && c->not_before_ms >= 0 && c->expires_ms >= 1000 &&
           c->expires_ms / 1000 <= SECONDS_MAX && c->issued_ms / 1000 <= SECONDS_MAX &&
           c->not_before_ms / 1000 <= SECONDS_MAX && (c->caps.n == 0 || caps_valid(c->caps));
}

static json_t *claims_json(const struct token_claims *c)
{
    json_t *claims = json_object();
    if (set_text(claims, "iss", c->issuer) && set_text(claims, "sub", c->subject) &&
        set_text(claims, "aud", slice_str(TOKEN_AUDIENCE)) && set_text(claims, "app", c->app_id) &&
        set_text(claims, "role", slice_str(role_name(c->role))) && set_text(claims, "jti", c->id) &&
        set_seconds(claims, "iat", c->issued_ms) && set_seconds(claims, "nbf", c->not_before_ms) &&
        set_seconds(claims, "exp", c->expires_ms) && set_caps(claims, c->caps)) {
        return claims;
    }
    json_decref(claims);
    return NULL;
}

enum token_rc token_mint(const struct signing *keys, const struct token_claims *claims,
                         struct buf *out)
{
    json_auto_t *json = claims_fit(claims) ? claims_json(claims) : NULL;
    char *payload = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (!payload) {
        return TOKEN_BAD_CLAIMS;
    }
    struct buf header = {0};
    size_t from = out->n;
    buf_printf(&header, "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}", signing_kid(keys));
    base64url_put(out, buf_slice(&header));
    buf_add_str(out, ".");
    base64url_put(out, slice_str(payload));
    uint8_t signature[SIGNATURE_BYTES];
    signing_sign_token(keys, slice_of(out->p + from, out->n - from), signature);
    buf_add_str(out, ".");
    base64url_put(out, slice_of(signature, sizeof signature));
    buf_done(&header);
    free(payload);
    if (out->n - from > TOKEN_BYTES_MAX) {
        out->n = from;
        return TOKEN_TOO_LONG;
    }
    return TOKEN_OK;
}

/* ---- taking apart ---- */

struct parts {
    struct slice signed_text; /* header, dot, payload as received: what the signature covers */
    size_t header_n, payload_n;
    uint8_t header[HEADER_BYTES_MAX];
    uint8_t payload[TOKEN_BYTES_MAX];
    uint8_t signature[SIGNATURE_BYTES];
};

static const uint8_t *find_dot(const uint8_t *p, const uint8_t *end)
{
    return p < end ? memchr(p, '.', (size_t)(end - p)) : NULL;
}

static bool take_apart(struct slice token, struct parts *out)
{
    const uint8_t *end = token.p + token.n, *first = find_dot(token.p, end);
    const uint8_t *second = first ? find_dot(first + 1, end) : NULL;
    if (!second || find_dot(second + 1, end)) {
        return false;
    }
    size_t signature_n;
    struct slice header = slice_of(token.p, (size_t)(first - token.p));
    struct slice payload = slice_of(first + 1, (size_t)(second - first - 1));
    struct slice signature = slice_of(second + 1, (size_t)(end - second - 1));
    out->signed_text = slice_of(token.p, (size_t)(second - token.p));
    return base64url_get(signature, out->signature, sizeof out->signature, &signature_n) &&
           signature_n == SIGNATURE_BYTES &&
           base64url_get(header, out->header, sizeof out->header, &out->header_n) &&
           base64url_get(payload, out->payload, sizeof out->payload, &out->payload_n);
}

/* Nesting, counted before jansson recurses (it would go 2,048 deep). Brackets in strings are none.
 */
static bool depth_fits(struct slice text)
{
    unsigned depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (in_string && c == '\\') {
            i++;
        } else if (c == '"') {
            in_string = !in_string;
        } else if (!in_string && (c == '{' || c == '[') && ++depth > TOKEN_JSON_DEPTH_MAX) {
            return false;
        } else if (!in_string && (c == '}' || c == ']') && depth > 0) {
            depth--;
        }
    }
    return true;
}

static json_t *read_object(const uint8_t *p, size_t n)
{
    if (!depth_fits(slice_of(p, n))) {
        return NULL;
    }
    json_t *object = json_loadb((const char *)p, n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(object)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static struct slice text_of(json_t *value)
{
    return json_is_string(value) ? slice_of(json_string_value(value), json_string_length(value))
                                 : slice_of(NULL, 0);
}

static bool type_fits(json_t *typ)
{
    if (!typ) {
        return true;
    }
    /* RFC 7519 section 5.1, RFC 9068 section 2.1; names of media types have no case. */
    const char *text = json_is_string(typ) ? json_string_value(typ) : "";
    if (strncasecmp(text, "application/", 12) == 0) {
        text += 12;
    }
    return strcasecmp(text, "JWT") == 0 || strcasecmp(text, "at+jwt") == 0;
}

/* The header names a key of ours by its id. jwk, jku, x5u and x5c, by which a token would bring its
 * own, mean nothing here. RFC 7515 section 4.1.11: what crit lists must be understood, and nothing
 * is. */
static enum token_rc header_key(json_t *header, const struct signing *keys, int64_t now_ms,
                                const uint8_t **out)
{
    if (!header || json_object_get(header, "crit") || !type_fits(json_object_get(header, "typ"))) {
        return TOKEN_BAD_HEADER;
    }
    if (!slice_is(text_of(json_object_get(header, "alg")), "EdDSA")) {
        return TOKEN_BAD_ALGORITHM;
    }
    struct slice kid = text_of(json_object_get(header, "kid"));
    *out = kid.n ? signing_find(keys, kid, now_ms) : NULL;
    return *out ? TOKEN_OK : TOKEN_UNKNOWN_KEY;
}

static enum token_rc check_signature(const struct parts *parts, const struct signing *keys,
                                     int64_t now_ms)
{
    const uint8_t *key = NULL;
    json_t *header = read_object(parts->header, parts->header_n);
    enum token_rc rc = header_key(header, keys, now_ms, &key);
    json_decref(header);
    if (rc == TOKEN_OK && !signature_check_token(key, parts->signed_text, parts->signature)) {
        rc = TOKEN_BAD_SIGNATURE;
    }
    return rc;
}

/* ---- claims ---- */

/* Absent, or a text that fits and is not empty. */
static bool get_text(json_t *claims, const char *name, size_t max, struct slice *out)
{
    json_t *value = json_object_get(claims, name);
    *out = text_of(value);
    return !value || (out->n > 0 && text_fits(*out, max));
}

/* Absent (0), or a NumericDate (RFC 7519 section 2: seconds, perhaps with a fraction). */
static bool get_time(json_t *claims, const char *name, int64_t *out_ms)
{
    json_t *value = json_object_get(claims, name);
    *out_ms = 0;
    if (json_is_integer(value)) {
        json_int_t s = json_integer_value(value);
        *out_ms = s >= 0 && s <= SECONDS_MAX ? s * 1000 : -1;
    } else if (json_is_real(value)) {
        double s = json_real_value(value);
        *out_ms = s >= 0 && s <= (double)SECONDS_MAX ? (int64_t)(s * 1000) : -1;
    } else if (value) {
        *out_ms = -1;
    }
    return *out_ms >= 0;
}

/* RFC 7519 section 4.1.3: one text, or a list of them. */
static bool is_audience(json_t *aud)
{
    size_t i;
    json_t *item;
    json_array_foreach(aud, i, item)
    {
        if (slice_is(text_of(item), TOKEN_AUDIENCE)) {
            return true;
        }
    }
    return slice_is(text_of(aud), TOKEN_AUDIENCE);
}

static bool get_role(json_t *claims, enum role *out)
{
    json_t *value = json_object_get(claims, "role");
    *out = ROLE_GUEST;
    return !value || (role_from_text(text_of(value), out) && *out != ROLE_NONE);
}

static bool get_caps(json_t *claims, struct buf *out)
{
    json_t *value = json_object_get(claims, "cap");
    return !value || caps_from_json(value, out) == CAPS_OK;
}

/* Everything of the right type and within bounds; caps into a buffer of the caller's. */
static bool read_claims(json_t *claims, struct token_claims *out, struct buf *caps)
{
    if (!get_text(claims, "iss", ISSUER_BYTES_MAX, &out->issuer) ||
        !get_text(claims, "sub", SUBJECT_BYTES_MAX, &out->subject) || out->subject.n == 0 ||
        !get_text(claims, "app", APP_ID_BYTES_MAX, &out->app_id) ||
        !get_text(claims, "jti", CREDENTIAL_ID_BYTES_MAX, &out->id) ||
        !get_time(claims, "exp", &out->expires_ms) || !json_object_get(claims, "exp") ||
        !get_time(claims, "nbf", &out->not_before_ms) ||
        !get_time(claims, "iat", &out->issued_ms) || !get_role(claims, &out->role) ||
        !get_caps(claims, caps)) {
        return false;
    }
    out->caps = buf_slice(caps);
    return true;
}

static enum token_rc check_times(const struct token_claims *c, int64_t now_ms)
{
    if (now_ms >= c->expires_ms + TOKEN_LEEWAY_MS) {
        return TOKEN_EXPIRED;
    }
    /* One that says it was issued in the future would outlive "revoke all issued before now". */
    bool early =
        c->not_before_ms > now_ms + TOKEN_LEEWAY_MS || c->issued_ms > now_ms + TOKEN_LEEWAY_MS;
    return early ? TOKEN_NOT_YET : TOKEN_OK;
}

static enum token_rc admit_claims(json_t *json, const struct apps *apps, int64_t now_ms,
                                  struct buf *caps, struct principal **out)
{
    struct token_claims c = {0};
    if (!json || !read_claims(json, &c, caps)) {
        return TOKEN_BAD_CLAIMS;
    }
    if (!is_audience(json_object_get(json, "aud"))) {
        return TOKEN_BAD_AUDIENCE;
    }
    enum token_rc rc = check_times(&c, now_ms);
    if (rc != TOKEN_OK) {
        return rc;
    }
    const struct app *app = apps_by_id(apps, c.app_id.n ? c.app_id : slice_str(APP_MAIN));
    if (!app || !app->enabled) {
        return TOKEN_BAD_APP;
    }
    *out = principal_new(&(struct principal_spec){
        .app = app->number,
        .app_id = app->id,
        .role = c.role,
        .kind = PRINCIPAL_TOKEN,
        .issued_ms = c.issued_ms,
        .expires_ms = c.expires_ms,
        .subject = c.subject,
        .id = c.id,
        .caps = c.caps,
    });
    return TOKEN_OK;
}

bool token_looks_like(struct slice text)
{
    unsigned dots = 0;
    for (size_t i = 0; i < text.n; i++) {
        dots += text.p[i] == '.';
    }
    return dots == 2;
}

enum token_rc token_verify(const struct signing *keys, const struct apps *apps, struct slice token,
                           int64_t now_ms, struct principal **out)
{
    struct parts parts;
    if (token.n > TOKEN_BYTES_MAX) {
        return TOKEN_TOO_LONG;
    }
    if (token.n == 0 || !take_apart(token, &parts)) {
        return TOKEN_BAD_SHAPE;
    }
    enum token_rc rc = check_signature(&parts, keys, now_ms);
    if (rc != TOKEN_OK) {
        return rc;
    }
    struct buf caps = {0};
    json_t *claims = read_object(parts.payload, parts.payload_n);
    rc = admit_claims(claims, apps, now_ms, &caps, out);
    json_decref(claims);
    buf_done(&caps);
    return rc;
}
