#include "channels/name.h"
#include "store/hash.h"

#include <assert.h>

/* native-protocol.md section 4: the alphabet of names, '.' included. */
static bool is_name_byte(uint8_t c)
{
    static const uint8_t allowed[256] = {
        ['_'] = 1, ['-'] = 1, ['='] = 1, ['@'] = 1, [','] = 1, ['.'] = 1, [';'] = 1};
    uint8_t lower = c | 0x20;
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || allowed[c];
}

static bool all_name_bytes(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is_name_byte(s.p[i])) {
            return false;
        }
    }
    return true;
}

static size_t find_dot(struct slice s)
{
    const uint8_t *dot = s.n ? memchr(s.p, '.', s.n) : NULL;
    return dot ? (size_t)(dot - s.p) : s.n;
}

bool channel_name_valid(struct slice name)
{
    return name.n >= 1 && name.n <= CHANNEL_NAME_BYTES_MAX && all_name_bytes(name);
}

bool namespace_name_valid(struct slice ns)
{
    return ns.n >= 1 && ns.n <= NAMESPACE_BYTES_MAX && all_name_bytes(ns) && find_dot(ns) == ns.n;
}

static bool take_prefix(struct slice *s, const char *prefix)
{
    if (!slice_starts(*s, prefix)) {
        return false;
    }
    size_t n = strlen(prefix);
    *s = slice_of(s->p + n, s->n - n);
    return true;
}

struct channel_name channel_name_parse(struct slice name)
{
    struct channel_name out = {.base = name};
    if (take_prefix(&out.base, "private-")) {
        out.access = CHANNEL_PRIVATE;
        out.encrypted = take_prefix(&out.base, "encrypted-");
    } else if (take_prefix(&out.base, "presence-")) {
        out.access = CHANNEL_PRESENCE;
    }
    out.cache = take_prefix(&out.base, "cache-");
    out.ns = slice_of(out.base.p, find_dot(out.base));
    return out;
}

/* Takes the next segment off *rest; false when none is left. A text with n dots has n + 1 segments.
 */
static bool next_segment(struct slice *rest, bool *more, struct slice *out)
{
    if (!*more) {
        return false;
    }
    size_t n = find_dot(*rest);
    *out = slice_of(rest->p, n);
    *more = n < rest->n;
    *rest = *more ? slice_of(rest->p + n + 1, rest->n - n - 1) : slice_of(NULL, 0);
    return true;
}

bool channel_is_pattern(struct slice name)
{
    struct slice segment;
    for (bool more = true; next_segment(&name, &more, &segment);) {
        if (slice_is(segment, "*") || slice_is(segment, ">")) {
            return true;
        }
    }
    return false;
}

bool channel_pattern_valid(struct slice pattern)
{
    if (pattern.n < 1 || pattern.n > CHANNEL_NAME_BYTES_MAX) {
        return false;
    }
    struct slice segment;
    for (bool more = true; next_segment(&pattern, &more, &segment);) {
        bool rest = slice_is(segment, ">") && !more;
        if (!rest && !slice_is(segment, "*") && !all_name_bytes(segment)) {
            return false;
        }
    }
    return true;
}

/* ---- channels of one thing ---- */

static const uint64_t ID_SEED = UINT64_C(0x6167656e74); /* in names, for good */

static size_t hex_escape(uint8_t *out, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";
    out[0] = '=';
    out[1] = (uint8_t)hex[byte >> 4];
    out[2] = (uint8_t)hex[byte & 15];
    return 3;
}

/* Letters, digits, '-' and '_', of which nearly every id is made. */
static bool is_plain(uint8_t byte)
{
    static const uint64_t plain[4] = {UINT64_C(0x03ff200000000000), UINT64_C(0x07fffffe87fffffe)};
    return plain[byte / 64] >> (byte % 64) & 1;
}

void channel_of_id(struct buf *out, const char *prefix, struct slice id)
{
    size_t begun = out->n, plain_n = 0;
    buf_add_str(out, prefix);
    uint8_t *to = buf_reserve(out, 3 * id.n), *at = to;
    assert(to); /* there is the prefix at least */
    while (plain_n < id.n && is_plain(id.p[plain_n])) {
        plain_n++;
    }
    if (plain_n) {
        memcpy(at, id.p, plain_n);
        at += plain_n;
    }
    for (size_t i = plain_n; i < id.n; i++) {
        uint8_t byte = id.p[i];
        if (byte != '=' && byte != '.' && is_name_byte(byte)) {
            *at++ = byte;
        } else {
            at += hex_escape(at, byte);
        }
    }
    out->n += (size_t)(at - to);
    if (out->n - begun > CHANNEL_NAME_BYTES_MAX) {
        struct hash128 h = hash128(ID_SEED, id);
        out->n = begun + CHANNEL_NAME_BYTES_MAX - 34;
        buf_printf(out, "==%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
    }
}
