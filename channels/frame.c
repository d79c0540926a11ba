#include "channels/frame.h"

/* Every key with its first two letters, which together with its length tell it from every other:
 * SLOT has no two keys in one place (a compiler warning would say so). */
#define SLOT(n, first, second) (((n) + (size_t)21 * (first) + (size_t)3 * (second)) & 63)
/* clang-format off */
#define FRAME_KEYS(ROW)                     \
    ROW(KEY_TYPE,     "type",     't', 'y') \
    ROW(KEY_ID,       "id",       'i', 'd') \
    ROW(KEY_CHANNEL,  "channel",  'c', 'h') \
    ROW(KEY_CHANNELS, "channels", 'c', 'h') \
    ROW(KEY_EVENT,    "event",    'e', 'v') \
    ROW(KEY_DATA,     "data",     'd', 'a') \
    ROW(KEY_KEY,      "key",      'k', 'e') \
    ROW(KEY_TTL,      "ttl",      't', 't') \
    ROW(KEY_EXPECT,   "expect",   'e', 'x') \
    ROW(KEY_CONFLATE, "conflate", 'c', 'o') \
    ROW(KEY_ECHO,     "echo",     'e', 'c') \
    ROW(KEY_HEADERS,  "headers",  'h', 'e') \
    ROW(KEY_SINCE,    "since",    's', 'i') \
    ROW(KEY_REWIND,   "rewind",   'r', 'e') \
    ROW(KEY_CURSOR,   "cursor",   'c', 'u') \
    ROW(KEY_OFFSET,   "offset",   'o', 'f') \
    ROW(KEY_DELAY,    "delay",    'd', 'e') \
    ROW(KEY_PRESENCE, "presence", 'p', 'r') \
    ROW(KEY_INFO,     "info",     'i', 'n') \
    ROW(KEY_LATEST,   "latest",   'l', 'a') \
    ROW(KEY_BEFORE,   "before",   'b', 'e') \
    ROW(KEY_LIMIT,    "limit",    'l', 'i') \
    ROW(KEY_REVERSE,  "reverse",  'r', 'e') \
    ROW(KEY_METHOD,   "method",   'm', 'e') \
    ROW(KEY_PARAMS,   "params",   'p', 'a') \
    ROW(KEY_TOKEN,    "token",    't', 'o')

const char *const frame_type_names[FRAME_TYPES] = {
    [FRAME_UNKNOWN]     = "unknown",
    [FRAME_AUTH]        = "auth",
    [FRAME_SUBSCRIBE]   = "subscribe",
    [FRAME_UNSUBSCRIBE] = "unsubscribe",
    [FRAME_PUBLISH]     = "publish",
    [FRAME_ACK]         = "ack",
    [FRAME_NACK]        = "nack",
    [FRAME_PROGRESS]    = "progress",
    [FRAME_TERM]        = "term",
    [FRAME_PRESENCE]    = "presence",
    [FRAME_HISTORY]     = "history",
    [FRAME_CALL]        = "call",
    [FRAME_PING]        = "ping",
};

#define NAME(key, text, first, second) [key] = text,
const char *const frame_key_names[KEY_COUNT] = {FRAME_KEYS(NAME)};

#define PLACE(key, text, first, second) \
    [SLOT(sizeof text - 1, first, second)] = {text, sizeof text - 1, key},
static const struct {
    const char *text;
    size_t n;
    enum frame_key key;
} places[64] = {FRAME_KEYS(PLACE)};
/* clang-format on */

static int find_key(const void *ctx, struct slice key)
{
    (void)ctx;
    if (key.n < 2) {
        return -1;
    }
    size_t slot = SLOT(key.n, key.p[0], key.p[1]);
    if (places[slot].n != key.n) {
        return -1;
    }
    for (size_t i = 0; i < key.n; i++) { /* a few bytes: quicker than a call of memcmp */
        if (places[slot].text[i] != (char)key.p[i]) {
            return -1;
        }
    }
    return (int)places[slot].key;
}

static enum frame_type type_of(struct slice text)
{
    for (enum frame_type type = FRAME_UNKNOWN + 1; text.n && type < FRAME_TYPES; type++) {
        const char *name = frame_type_names[type];
        if ((char)text.p[0] == name[0] && slice_is(text, name)) {
            return type;
        }
    }
    return FRAME_UNKNOWN;
}

/* As a client may spell it: hardly anybody writes escapes into a type, but JSON allows it. */
static enum frame_type type_read(struct slice value)
{
    struct slice text;
    if (json_is_plain(value, &text)) {
        return type_of(text);
    }
    struct buf undone = {0};
    (void)json_to_text(value, &undone);
    enum frame_type type = type_of(buf_slice(&undone));
    buf_done(&undone);
    return type;
}

enum json_rc frame_read(struct slice text, struct client_frame *out, size_t *out_at)
{
    out->type = FRAME_UNKNOWN;
    enum json_rc rc = json_fields_by(text, find_key, NULL, KEY_COUNT, out->field, out_at);
    struct slice id = out->field[KEY_ID], type = out->field[KEY_TYPE];
    enum json_kind id_kind = json_kind_of(id);
    if (id_kind != JSON_KIND_NONE && id_kind != JSON_KIND_STRING && id_kind != JSON_KIND_NUMBER) {
        out->field[KEY_ID] = slice_of(NULL, 0);
        if (rc == JSON_OK) {
            *out_at = (size_t)(id.p - text.p);
            return JSON_TYPE;
        }
    }
    if (rc != JSON_OK) {
        return rc;
    }
    if (json_kind_of(type) != JSON_KIND_STRING) {
        *out_at = type.n ? (size_t)(type.p - text.p) : 0;
        return JSON_TYPE;
    }
    out->type = type_read(type);
    return JSON_OK;
}
