#include "auth/pusher.h"

#include <stdlib.h>

#include "auth/base64url.h"

const char *pusher_rc_text(enum pusher_rc rc)
{
    switch (rc) {
    case PUSHER_OK:
        return "fine";
    case PUSHER_MALFORMED:
        return "The query string cannot be read";
    case PUSHER_MISSING:
        return "auth_key, auth_timestamp, auth_version and auth_signature must each be given once";
    case PUSHER_BAD_KEY:
        return "auth_key is not the key of this app";
    case PUSHER_BAD_VERSION:
        return "auth_version must be 1.0";
    case PUSHER_BAD_TIME:
        return "auth_timestamp must be within 600 seconds of the server's clock";
    case PUSHER_BAD_MD5:
        return "body_md5 does not fit the body";
    case PUSHER_BAD_SIGNATURE:
        return "auth_signature does not fit the request";
    }
    return "";
}

bool pusher_socket_id_valid(struct slice socket_id)
{
    size_t digits = 0, dots = 0;
    for (size_t i = 0; i < socket_id.n; i++) {
        if (socket_id.p[i] >= '0' && socket_id.p[i] <= '9') {
            digits++;
        } else if (socket_id.p[i] == '.' && digits > 0 && dots == 0) {
            digits = 0;
            dots++;
        } else {
            return false;
        }
    }
    return dots == 1 && digits > 0 && socket_id.n <= 64;
}

/* ---- channels and users ---- */

static void add_auth(struct pusher_keys keys, const struct slice *parts, size_t parts_n,
                     struct buf *out)
{
    char hex[SHA256_HEX + 1];
    digest_hmac_sha256_hex(hex, keys.secret, parts, parts_n);
    buf_add_slice(out, keys.key);
    buf_add_str(out, ":");
    buf_add_str(out, hex);
}

static bool check_auth(struct pusher_keys keys, struct slice auth, const struct slice *parts,
                       size_t parts_n)
{
    struct buf expected = {0};
    add_auth(keys, parts, parts_n, &expected);
    bool ok = digest_equal(buf_slice(&expected), auth);
    buf_done(&expected);
    return ok;
}

enum { CHANNEL_PARTS = 5, USER_PARTS = 3 };

static size_t channel_parts(struct slice parts[CHANNEL_PARTS], struct slice socket_id,
                            struct slice channel, struct slice channel_data)
{
    parts[0] = socket_id;
    parts[1] = slice_str(":");
    parts[2] = channel;
    parts[3] = slice_str(":");
    parts[4] = channel_data;
    return channel_data.p ? 5 : 3;
}

static void user_parts(struct slice parts[USER_PARTS], struct slice socket_id,
                       struct slice user_data)
{
    parts[0] = socket_id;
    parts[1] = slice_str("::user::");
    parts[2] = user_data;
}

void pusher_channel_auth(struct pusher_keys keys, struct slice socket_id, struct slice channel,
                         struct slice channel_data, struct buf *out)
{
    struct slice parts[CHANNEL_PARTS];
    size_t n = channel_parts(parts, socket_id, channel, channel_data);
    add_auth(keys, parts, n, out);
}

/* A colon in a socket id or a channel would let one signature stand for another split of the same
 * text, a sign-in for instance. */
static bool has_colon(struct slice s)
{
    return s.n > 0 && memchr(s.p, ':', s.n) != NULL;
}

bool pusher_channel_check(struct pusher_keys keys, struct slice auth, struct slice socket_id,
                          struct slice channel, struct slice channel_data)
{
    struct slice parts[CHANNEL_PARTS];
    size_t n = channel_parts(parts, socket_id, channel, channel_data);
    return pusher_socket_id_valid(socket_id) && channel.n > 0 && !has_colon(channel) &&
           check_auth(keys, auth, parts, n);
}

void pusher_user_auth(struct pusher_keys keys, struct slice socket_id, struct slice user_data,
                      struct buf *out)
{
    struct slice parts[USER_PARTS];
    user_parts(parts, socket_id, user_data);
    add_auth(keys, parts, USER_PARTS, out);
}

bool pusher_user_check(struct pusher_keys keys, struct slice auth, struct slice socket_id,
                       struct slice user_data)
{
    struct slice parts[USER_PARTS];
    user_parts(parts, socket_id, user_data);
    return pusher_socket_id_valid(socket_id) && check_auth(keys, auth, parts, USER_PARTS);
}

/* ---- requests of the HTTP API ---- */

struct param {
    struct slice key, value; /* decoded; the key lower-cased */
    size_t order;            /* as it came, for equal keys */
};

struct params {
    size_t n;
    struct param list[PUSHER_PARAMS_MAX];
    uint8_t *text; /* holds what is decoded, which is never longer than what came */
};

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Undoes %XX and + into out; false: a broken %XX. */
static bool decode(struct slice from, uint8_t *out, size_t *out_n)
{
    size_t n = 0;
    for (size_t i = 0; i < from.n; i++) {
        uint8_t c = from.p[i];
        if (c == '%') {
            int high = i + 2 < from.n ? hex_value(from.p[i + 1]) : -1;
            int low = high >= 0 ? hex_value(from.p[i + 2]) : -1;
            if (low < 0) {
                return false;
            }
            c = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (c == '+') {
            c = ' ';
        }
        out[n++] = c;
    }
    *out_n = n;
    return true;
}

static void lower(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] >= 'A' && p[i] <= 'Z') {
            p[i] |= 0x20;
        }
    }
}

/* "key=value" or "key". */
static bool add_param(struct params *params, struct slice text, uint8_t **at)
{
    const uint8_t *equals = memchr(text.p, '=', text.n);
    struct slice key = slice_of(text.p, equals ? (size_t)(equals - text.p) : text.n);
    struct slice value = slice_of(text.p + key.n, 0);
    if (equals) {
        value = slice_of(equals + 1, text.n - key.n - 1);
    }
    size_t key_n, value_n;
    if (params->n == PUSHER_PARAMS_MAX || !decode(key, *at, &key_n) ||
        !decode(value, *at + key_n, &value_n)) {
        return false;
    }
    lower(*at, key_n);
    params->list[params->n] = (struct param){
        .key = slice_of(*at, key_n),
        .value = slice_of(*at + key_n, value_n),
        .order = params->n,
    };
    params->n++;
    *at += key_n + value_n;
    return true;
}

static bool params_read(struct slice query, struct params *out)
{
    out->n = 0;
    out->text = NULL;
    if (query.n > PUSHER_QUERY_BYTES_MAX) {
        return false;
    }
    uint8_t *at = out->text = xmalloc(query.n);
    while (query.n) {
        const uint8_t *amp = memchr(query.p, '&', query.n);
        size_t n = amp ? (size_t)(amp - query.p) : query.n;
        if (n > 0 && !add_param(out, slice_of(query.p, n), &at)) {
            return false;
        }
        size_t eaten = amp ? n + 1 : n;
        query = slice_of(query.p + eaten, query.n - eaten);
    }
    return true;
}

static int param_order(const void *a, const void *b)
{
    const struct param *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int order = n ? memcmp(x->key.p, y->key.p, n) : 0;
    if (order == 0) {
        order = (x->key.n > y->key.n) - (x->key.n < y->key.n);
    }
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

/* How often the key stands there, and its last value. */
static size_t param_get(const struct params *params, const char *key, struct slice *out)
{
    size_t count = 0;
    *out = slice_of(NULL, 0);
    for (size_t i = 0; i < params->n; i++) {
        if (slice_is(params->list[i].key, key)) {
            *out = params->list[i].value;
            count++;
        }
    }
    return count;
}

/* METHOD, path and the sorted parameters without auth_signature. */
static void signature_of(struct pusher_keys keys, const struct pusher_request *request,
                         struct params *params, char out[SHA256_HEX + 1])
{
    struct buf text = {0};
    buf_add_slice(&text, request->method);
    buf_add_str(&text, "\n");
    buf_add_slice(&text, request->path);
    buf_add_str(&text, "\n");
    qsort(params->list, params->n, sizeof params->list[0], param_order);
    const char *before = "";
    for (size_t i = 0; i < params->n; i++) {
        if (!slice_is(params->list[i].key, "auth_signature")) {
            buf_add_str(&text, before);
            buf_add_slice(&text, params->list[i].key);
            buf_add_str(&text, "=");
            buf_add_slice(&text, params->list[i].value);
            before = "&";
        }
    }
    struct slice part = buf_slice(&text);
    digest_hmac_sha256_hex(out, keys.secret, &part, 1);
    buf_done(&text);
}

static bool time_fits(struct slice text, int64_t now_s)
{
    int64_t then = 0;
    if (text.n == 0 || text.n > 12) {
        return false;
    }
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9') {
            return false;
        }
        then = then * 10 + (text.p[i] - '0');
    }
    return then >= now_s - PUSHER_CLOCK_S_MAX && then <= now_s + PUSHER_CLOCK_S_MAX;
}

static bool md5_fits(const struct params *params, struct slice body)
{
    struct slice given;
    char md5[MD5_HEX + 1];
    size_t count = param_get(params, "body_md5", &given);
    if (count == 0) {
        return body.n == 0;
    }
    return count == 1 && digest_md5_hex(md5, body) && slice_is(given, md5);
}

static enum pusher_rc check_params(struct pusher_keys keys, const struct pusher_request *request,
                                   struct params *params, int64_t now_s)
{
    struct slice key, time, version, signature;
    if (!params_read(request->query, params)) {
        return PUSHER_MALFORMED;
    }
    if (param_get(params, "auth_key", &key) != 1 ||
        param_get(params, "auth_timestamp", &time) != 1 ||
        param_get(params, "auth_version", &version) != 1 ||
        param_get(params, "auth_signature", &signature) != 1) {
        return PUSHER_MISSING;
    }
    if (!slice_equal(key, keys.key)) { /* the public half: no secret */
        return PUSHER_BAD_KEY;
    }
    if (!slice_is(version, "1.0")) {
        return PUSHER_BAD_VERSION;
    }
    if (!time_fits(time, now_s)) {
        return PUSHER_BAD_TIME;
    }
    char expected[SHA256_HEX + 1];
    signature_of(keys, request, params, expected);
    if (!digest_equal(slice_str(expected), signature)) {
        return PUSHER_BAD_SIGNATURE;
    }
    return md5_fits(params, request->body) ? PUSHER_OK : PUSHER_BAD_MD5;
}

enum pusher_rc pusher_request_check(struct pusher_keys keys, const struct pusher_request *request,
                                    int64_t now_s)
{
    struct params params;
    enum pusher_rc rc = check_params(keys, request, &params, now_s);
    free(params.text);
    return rc;
}

enum pusher_rc pusher_request_sign(struct pusher_keys keys, const struct pusher_request *request,
                                   int64_t now_s, struct buf *out)
{
    struct buf query = {0};
    struct params params;
    char hex[SHA256_HEX + 1];
    buf_add_slice(&query, request->query);
    buf_printf(&query, "%sauth_key=%.*s&auth_timestamp=%lld&auth_version=1.0",
               request->query.n ? "&" : "", (int)keys.key.n, (const char *)keys.key.p,
               (long long)now_s);
    if (request->body.n && digest_md5_hex(hex, request->body)) {
        buf_printf(&query, "&body_md5=%s", hex);
    }
    enum pusher_rc rc = PUSHER_MALFORMED;
    if (params_read(buf_slice(&query), &params)) {
        signature_of(keys, request, &params, hex);
        buf_add_slice(out, buf_slice(&query));
        buf_printf(out, "&auth_signature=%s", hex);
        rc = PUSHER_OK;
    }
    free(params.text);
    buf_done(&query);
    return rc;
}

void pusher_webhook_signature(struct slice secret, struct slice body, char out[SHA256_HEX + 1])
{
    digest_hmac_sha256_hex(out, secret, &body, 1);
}

void pusher_shared_secret(const uint8_t master[32], struct slice channel,
                          char out[PUSHER_SHARED_SECRET_CHARS + 1])
{
    uint8_t hash[SHA256_BYTES];
    struct slice parts[2] = {channel, slice_of(master, 32)};
    struct buf text = {0};
    digest_sha256(hash, parts, 2);
    base64_put(&text, slice_of(hash, sizeof hash));
    memcpy(out, text.p, PUSHER_SHARED_SECRET_CHARS);
    out[PUSHER_SHARED_SECRET_CHARS] = '\0';
    buf_done(&text);
}
