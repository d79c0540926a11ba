/* The scanner keeps no stack of its own making: what is open around the value it stands in is one
 * bit a level (object or array) in a 64-bit word. It alternates between two states: a value is due
 * (scan_value), and a value has ended (scan_after). Each function takes the place to read from and
 * returns the place behind what it read, or NULL once fail() has noted the fault. */
#include "channels/json_scan.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "channels/json_text.h"

struct scan {
    const uint8_t *begin, *end;
    const uint8_t *key_end; /* the closing quote of the key read last */
    const uint8_t *at;      /* of the fault */
    enum json_rc rc;
    bool escaped; /* a backslash was met since this was last cleared */
};

/* What is open around the value at hand. */
struct nest {
    uint64_t objects; /* lowest bit: the innermost is an object */
    unsigned depth, depth_max;
};

const char *json_rc_text(enum json_rc rc)
{
    switch (rc) {
    case JSON_OK:
        return "fine";
    case JSON_SYNTAX:
        return "not well-formed JSON";
    case JSON_UTF8:
        return "not well-formed UTF-8";
    case JSON_DEPTH:
        return "nested too deeply";
    case JSON_DUPLICATE:
        return "a key stands twice";
    case JSON_ESCAPE:
        return "an escape for NUL or for half a surrogate pair";
    case JSON_TYPE:
        return "not the kind of value expected here";
    }
    return "unknown";
}

static const uint8_t *fail(struct scan *s, const uint8_t *at, enum json_rc rc)
{
    s->at = at;
    s->rc = rc;
    return NULL;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Kept apart so that the common case, no whitespace at all, costs one comparison. */
static const uint8_t *skip_space_run(const uint8_t *p, const uint8_t *end)
{
    const uint64_t eight_spaces = 0x2020202020202020u; /* indented text is mostly these */
    for (;;) {
        while (end - p >= 8 && json_word(p) == eight_spaces) {
            p += 8;
        }
        if (p == end || !is_space(*p)) {
            return p;
        }
        p++;
    }
}

static inline const uint8_t *skip_space(const uint8_t *p, const uint8_t *end)
{
    return p < end && *p <= ' ' ? skip_space_run(p, end) : p;
}

/* ---- strings ---- */

static int hex_value(uint8_t c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The 16 bits of \uXXXX whose backslash stands at p; -1 when that is not what stands there. */
static int32_t hex_unit(const uint8_t *p, const uint8_t *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return -1;
    }
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_value(p[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit << 4 | digit;
    }
    return unit;
}

/* RFC 8259 section 7; RFC 7493 section 2.1 for surrogates. p stands at the backslash. */
static const uint8_t *scan_escape(struct scan *s, const uint8_t *p)
{
    s->escaped = true;
    if (s->end - p < 2) {
        return fail(s, s->end, JSON_SYNTAX);
    }
    if (p[1] != 'u') {
        return p[1] && strchr("\"\\/bfnrt", p[1]) ? p + 2 : fail(s, p, JSON_SYNTAX);
    }
    int32_t unit = hex_unit(p, s->end);
    if (unit < 0) {
        return fail(s, p, JSON_SYNTAX);
    }
    if (unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
        return fail(s, p, JSON_ESCAPE);
    }
    if (unit < 0xd800 || unit > 0xdfff) {
        return p + 6;
    }
    int32_t low = hex_unit(p + 6, s->end);
    return low >= 0xdc00 && low <= 0xdfff ? p + 12 : fail(s, p, JSON_ESCAPE);
}

/* p stands in a string, at a byte that is not plain. */
static const uint8_t *scan_string_rest(struct scan *s, const uint8_t *p)
{
    for (;;) {
        if (p == s->end || *p < 0x20) {
            return fail(s, p, JSON_SYNTAX);
        }
        if (*p == '"') {
            return p + 1;
        }
        if (*p == '\\') {
            p = scan_escape(s, p);
            if (!p) {
                return NULL;
            }
        }
        while (p < s->end && *p >= 0x80) {
            size_t n = utf8_length(p, s->end);
            if (n == 0) {
                return fail(s, p, JSON_UTF8);
            }
            p += n;
        }
        p = json_plain_run(p, s->end);
    }
}

/* p stands behind the opening quote; the place returned stands behind the closing one. Most strings
 * are plain to the end. */
static inline const uint8_t *scan_string(struct scan *s, const uint8_t *p)
{
    p = json_plain_run(p, s->end);
    return p < s->end && *p == '"' ? p + 1 : scan_string_rest(s, p);
}

/* ---- the other scalars ---- */

static const uint8_t *skip_digits(const uint8_t *p, const uint8_t *end)
{
    while (p < end && is_digit(*p)) {
        p++;
    }
    return p;
}

/* RFC 8259 section 6: [-] int [frac] [exp]. */
static const uint8_t *scan_number(struct scan *s, const uint8_t *p)
{
    const uint8_t *digits = p += *p == '-';
    p = skip_digits(p, s->end);
    if (p == digits) {
        return fail(s, p, JSON_SYNTAX);
    }
    if (*digits == '0' && p - digits > 1) {
        return fail(s, digits + 1, JSON_SYNTAX);
    }
    if (p < s->end && *p == '.') {
        digits = ++p;
        p = skip_digits(p, s->end);
        if (p == digits) {
            return fail(s, p, JSON_SYNTAX);
        }
    }
    if (p < s->end && (*p == 'e' || *p == 'E')) {
        p++;
        digits = p += p < s->end && (*p == '+' || *p == '-');
        p = skip_digits(p, s->end);
        if (p == digits) {
            return fail(s, p, JSON_SYNTAX);
        }
    }
    return p;
}

static const uint8_t *scan_word(struct scan *s, const uint8_t *p, const char *word)
{
    for (; *word; word++, p++) {
        if (p == s->end || *p != (uint8_t)*word) {
            return fail(s, p, JSON_SYNTAX);
        }
    }
    return p;
}

static const uint8_t *scan_scalar(struct scan *s, const uint8_t *p)
{
    switch (*p) {
    case '"':
        return scan_string(s, p + 1);
    case 't':
        return scan_word(s, p, "true");
    case 'f':
        return scan_word(s, p, "false");
    case 'n':
        return scan_word(s, p, "null");
    default:
        return *p == '-' || is_digit(*p) ? scan_number(s, p) : fail(s, p, JSON_SYNTAX);
    }
}

/* ---- arrays and objects ---- */

/* A key and its colon; the place returned is where its value is due. */
static const uint8_t *scan_key(struct scan *s, const uint8_t *p)
{
    if (p == s->end || *p != '"') {
        return fail(s, p, JSON_SYNTAX);
    }
    p = scan_string(s, p + 1);
    if (!p) {
        return NULL;
    }
    s->key_end = p - 1;
    p = skip_space(p, s->end);
    return p < s->end && *p == ':' ? skip_space(p + 1, s->end) : fail(s, p, JSON_SYNTAX);
}

/* Opens the array or object at p. The place returned is where its first value is due; an empty one
 * is closed at once and *out_ended set. */
static const uint8_t *scan_open(struct scan *s, const uint8_t *p, struct nest *nest,
                                bool *out_ended)
{
    if (nest->depth == nest->depth_max) {
        return fail(s, p, JSON_DEPTH);
    }
    bool object = *p == '{';
    p = skip_space(p + 1, s->end);
    if (p < s->end && *p == (object ? '}' : ']')) {
        *out_ended = true;
        return p + 1;
    }
    nest->depth++;
    nest->objects = nest->objects << 1 | object;
    *out_ended = false;
    return object ? scan_key(s, p) : p;
}

/* A value has ended at p: closes what closes here. The place returned is where the next value is
 * due, or, with nest->depth at 0, the end of it all. */
static const uint8_t *scan_after(struct scan *s, const uint8_t *p, struct nest *nest)
{
    while (nest->depth) {
        bool object = nest->objects & 1;
        p = skip_space(p, s->end);
        if (p == s->end) {
            return fail(s, p, JSON_SYNTAX);
        }
        if (*p == ',') {
            p = skip_space(p + 1, s->end);
            return object ? scan_key(s, p) : p;
        }
        if (*p != (object ? '}' : ']')) {
            return fail(s, p, JSON_SYNTAX);
        }
        p++;
        nest->objects >>= 1;
        nest->depth--;
    }
    return p;
}

/* One value at p (no whitespace before it) with everything in it. */
static const uint8_t *scan_value(struct scan *s, const uint8_t *p, unsigned depth_max)
{
    struct nest nest = {.depth_max = depth_max};
    do {
        bool ended = true;
        if (p == s->end) {
            return fail(s, p, JSON_SYNTAX);
        }
        if (*p == '{' || *p == '[') {
            p = scan_open(s, p, &nest, &ended);
        } else {
            p = scan_scalar(s, p);
        }
        if (p && ended) {
            p = scan_after(s, p, &nest);
        }
    } while (p && nest.depth);
    return p;
}

/* Behind the value only whitespace may follow. */
static const uint8_t *scan_end(struct scan *s, const uint8_t *p)
{
    p = skip_space(p, s->end);
    return p == s->end ? p : fail(s, p, JSON_SYNTAX);
}

static struct scan scan_of(struct slice text)
{
    /* An empty text may come as NULL, on which no arithmetic is allowed. */
    static const uint8_t nothing[1];
    return (struct scan){.begin = text.n ? text.p : nothing,
                         .end = text.n ? text.p + text.n : nothing};
}

static enum json_rc scan_fault(const struct scan *s, size_t *out_at)
{
    *out_at = (size_t)(s->at - s->begin);
    return s->rc;
}

enum json_rc json_check(struct slice text, unsigned depth_max, size_t *out_at)
{
    assert(depth_max <= JSON_DEPTH_CEILING);
    struct scan s = scan_of(text);
    const uint8_t *p = scan_value(&s, skip_space(s.begin, s.end), depth_max);
    if (p) {
        p = scan_end(&s, p);
    }
    return p ? JSON_OK : scan_fault(&s, out_at);
}

struct slice json_trim(struct slice text)
{
    struct scan s = scan_of(text);
    const uint8_t *p = skip_space(s.begin, s.end);
    while (s.end > p && is_space(s.end[-1])) {
        s.end--;
    }
    return slice_of(p, (size_t)(s.end - p));
}

/* ---- undoing escapes ---- */

/* The character of the escape at *pp, which has been checked; *pp moves behind it. */
static uint32_t escape_read(const uint8_t **pp, const uint8_t *end)
{
    static const char letters[] = "b\bf\fn\nr\rt\t"; /* pairs of a letter and what it stands for */
    const uint8_t *p = *pp;
    if (p[1] != 'u') {
        *pp = p + 2;
        for (const char *pair = letters; *pair; pair += 2) {
            if (p[1] == (uint8_t)pair[0]) {
                return (uint8_t)pair[1];
            }
        }
        return p[1]; /* quote, backslash, slash */
    }
    uint32_t unit = (uint32_t)hex_unit(p, end);
    *pp = p + 6;
    if (unit < 0xd800 || unit > 0xdfff) {
        return unit;
    }
    uint32_t low = (uint32_t)hex_unit(p + 6, end);
    *pp = p + 12;
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

/* Writes the checked bytes between two quotes to out, escapes undone, or put again in the canonical
 * way when they must be. Neither is ever longer than what it is read from. Returns the count. */
static size_t unescape(uint8_t *out, const uint8_t *p, const uint8_t *end, bool canonical)
{
    uint8_t *o = out;
    while (p < end) {
        const uint8_t *next = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((next ? next : end) - p);
        memcpy(o, p, run);
        o += run;
        p += run;
        if (next) {
            uint32_t c = escape_read(&p, end);
            bool again = canonical && c < 0x80 && !json_is_plain_byte((uint8_t)c);
            o += again ? json_escape_put(o, (uint8_t)c) : utf8_put(o, c);
        }
    }
    return (size_t)(o - out);
}

/* ---- members of one object ---- */

/* A key is looked up as its text. Escapes in a key are rare: they are undone on the side. */
static int find_key(const struct scan *s, const uint8_t *key, const uint8_t *key_end,
                    json_find *find, const void *ctx)
{
    size_t n = (size_t)(key_end - key);
    if (!s->escaped) {
        return find(ctx, slice_of(key, n));
    }
    uint8_t text[JSON_FIELD_BYTES_MAX * JSON_ESCAPE_BYTES_MAX];
    if (n > sizeof text) {
        return -1; /* even if all of it is escapes, it is longer than any name */
    }
    return find(ctx, slice_of(text, unescape(text, key, key_end, false)));
}

/* One member whose key is due at p. */
static const uint8_t *scan_member(struct scan *s, const uint8_t *p, json_find *find,
                                  const void *ctx, uint64_t *seen, struct slice *out)
{
    const uint8_t *key = p;
    s->escaped = false;
    p = scan_key(s, p);
    if (!p) {
        return NULL;
    }
    int i = find_key(s, key + 1, s->key_end, find, ctx);
    const uint8_t *value = p;
    p = scan_value(s, p, JSON_DEPTH_MAX - 1);
    if (p && i >= 0) {
        if (*seen & UINT64_C(1) << i) {
            return fail(s, key, JSON_DUPLICATE);
        }
        *seen |= UINT64_C(1) << i;
        out[i] = slice_of(value, (size_t)(p - value));
    }
    return p;
}

static const uint8_t *scan_members(struct scan *s, const uint8_t *p, json_find *find,
                                   const void *ctx, struct slice *out)
{
    uint64_t seen = 0;
    p = skip_space(p + 1, s->end);
    if (p < s->end && *p == '}') {
        return p + 1;
    }
    while ((p = scan_member(s, p, find, ctx, &seen, out))) {
        p = skip_space(p, s->end);
        if (p < s->end && *p == '}') {
            return p + 1;
        }
        if (p == s->end || *p != ',') {
            return fail(s, p, JSON_SYNTAX);
        }
        p = skip_space(p + 1, s->end);
    }
    return NULL;
}

enum json_rc json_fields_by(struct slice text, json_find *find, const void *ctx, size_t n,
                            struct slice *out, size_t *out_at)
{
    assert(n <= JSON_FIELDS_MAX);
    memset(out, 0, n * sizeof *out);
    struct scan s = scan_of(text);
    const uint8_t *begin = skip_space(s.begin, s.end), *p;
    if (begin < s.end && *begin == '{') {
        p = scan_members(&s, begin, find, ctx, out);
    } else {
        p = scan_value(&s, begin, JSON_DEPTH_MAX);
    }
    if (p) {
        p = scan_end(&s, p);
    }
    if (p && *begin != '{') {
        p = fail(&s, begin, JSON_TYPE);
    }
    return p ? JSON_OK : scan_fault(&s, out_at);
}

struct names {
    const char *const *names;
    size_t n;
};

static int find_name(const void *ctx, struct slice key)
{
    const struct names *names = ctx;
    for (size_t i = 0; i < names->n; i++) {
        const char *name = names->names[i];
        /* A key holds no NUL, so strncmp stops within the name. */
        if (key.n && (uint8_t)name[0] == key.p[0] &&
            strncmp(name, (const char *)key.p, key.n) == 0 && name[key.n] == '\0') {
            return (int)i;
        }
    }
    return -1;
}

enum json_rc json_fields(struct slice text, const char *const *names, size_t n, struct slice *out,
                         size_t *out_at)
{
    struct names asked = {.names = names, .n = n};
    return json_fields_by(text, find_name, &asked, n, out, out_at);
}

/* ---- values ---- */

enum json_kind json_kind_of(struct slice value)
{
    if (value.n == 0) {
        return JSON_KIND_NONE;
    }
    switch (value.p[0]) {
    case 'n':
        return JSON_KIND_NULL;
    case 'f':
        return JSON_KIND_FALSE;
    case 't':
        return JSON_KIND_TRUE;
    case '"':
        return JSON_KIND_STRING;
    case '[':
        return JSON_KIND_ARRAY;
    case '{':
        return JSON_KIND_OBJECT;
    default:
        return JSON_KIND_NUMBER;
    }
}

struct json_walk json_walk_of(struct slice value)
{
    enum json_kind kind = json_kind_of(value);
    if (kind != JSON_KIND_ARRAY && kind != JSON_KIND_OBJECT) {
        return (struct json_walk){0};
    }
    return (struct json_walk){
        .p = value.p + 1, .end = value.p + value.n, .object = kind == JSON_KIND_OBJECT};
}

/* The value has been checked, so nothing here can fail but at its end; should it not have been, the
 * walk ends where it is broken. */
bool json_walk_next(struct json_walk *walk, struct slice *out_key_raw, struct slice *out_value)
{
    struct scan s = {.begin = walk->p, .end = walk->end};
    const uint8_t *p = skip_space(walk->p, walk->end);
    if (p < walk->end && *p == ',') {
        p = skip_space(p + 1, walk->end);
    }
    if (p == walk->end || *p == ']' || *p == '}') {
        return false;
    }
    struct slice key = {0};
    if (walk->object) {
        const uint8_t *key_at = p;
        p = scan_key(&s, p);
        key = slice_of(key_at, p ? (size_t)(s.key_end + 1 - key_at) : 0);
    }
    const uint8_t *value = p;
    p = p ? scan_value(&s, p, JSON_DEPTH_CEILING) : NULL;
    if (!p) {
        walk->p = walk->end;
        return false;
    }
    walk->p = p;
    *out_key_raw = key;
    *out_value = slice_of(value, (size_t)(p - value));
    return true;
}

static bool string_inside(struct slice value, struct slice *out)
{
    if (json_kind_of(value) != JSON_KIND_STRING || value.n < 2) {
        return false;
    }
    *out = slice_of(value.p + 1, value.n - 2);
    return true;
}

bool json_to_u64(struct slice value, uint64_t *out)
{
    struct slice digits = value;
    (void)string_inside(value, &digits);
    bool leading_zero = digits.n > 1 && digits.p[0] == '0';
    if (digits.n == 0 || digits.n > 20 || leading_zero) {
        return false;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < digits.n; i++) {
        uint64_t digit = (uint64_t)digits.p[i] - '0'; /* what is no digit wraps to a large number */
        if (digit > 9 || v > (UINT64_MAX - digit) / 10) {
            return false;
        }
        v = v * 10 + digit;
    }
    *out = v;
    return true;
}

/* Up to 15 digits are a double without loss, as is a power of ten up to 22, so their quotient is
 * rounded once, as strtod() would (Clinger, 1990). */
static bool short_decimal(struct slice value, double *out)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    enum { DIGITS_MAX = 15 };
    const uint8_t *p = value.p, *end = value.p + value.n;
    bool negative = *p == '-';
    uint64_t digits = 0;
    size_t n = 0, after = 0, *count = &n;
    for (p += negative; p < end && n + after <= DIGITS_MAX; p++) {
        if (*p == '.' && count == &n) {
            count = &after;
        } else if (*p >= '0' && *p <= '9') {
            digits = digits * 10 + (uint64_t)(*p - '0');
            ++*count;
        } else {
            return false; /* an exponent, or no number */
        }
    }
    if (n == 0 || n + after > DIGITS_MAX) {
        return false;
    }
    double v = (double)digits / powers[after];
    *out = negative ? -v : v;
    return true;
}

bool json_to_double(struct slice value, double *out)
{
    if (json_kind_of(value) != JSON_KIND_NUMBER) {
        return false;
    }
    if (short_decimal(value, out)) {
        return true;
    }
    char small[64], *text = value.n < sizeof small ? small : xmalloc(value.n + 1);
    memcpy(text, value.p, value.n);
    text[value.n] = '\0';
    char *end;
    double v = strtod(text, &end);
    bool whole = end == text + value.n && isfinite(v);
    if (text != small) {
        free(text);
    }
    if (whole) {
        *out = v;
    }
    return whole;
}

bool json_to_bool(struct slice value, bool *out)
{
    enum json_kind kind = json_kind_of(value);
    if (kind != JSON_KIND_TRUE && kind != JSON_KIND_FALSE) {
        return false;
    }
    *out = kind == JSON_KIND_TRUE;
    return true;
}

static bool append_string(struct slice value, struct buf *b, bool canonical)
{
    struct slice raw;
    if (!string_inside(value, &raw)) {
        return false;
    }
    if (raw.n) {
        b->n += unescape(buf_reserve(b, raw.n), raw.p, raw.p + raw.n, canonical);
    }
    return true;
}

bool json_to_text(struct slice value, struct buf *b)
{
    return append_string(value, b, false);
}

bool json_to_escaped(struct slice value, struct buf *b)
{
    return append_string(value, b, true);
}

bool json_is_plain(struct slice value, struct slice *out_text)
{
    struct slice raw;
    if (!string_inside(value, &raw) || (raw.n && memchr(raw.p, '\\', raw.n))) {
        return false;
    }
    *out_text = raw;
    return true;
}
