#include "auth/pattern.h"

/* The segments of a text, one after another. */
struct segments {
    const uint8_t *p, *end;
    bool more;
};

static struct segments segments_of(struct slice text)
{
    return (struct segments){
        .p = text.p, .end = text.p ? text.p + text.n : NULL, .more = text.n > 0};
}

static struct slice segment_next(struct segments *s)
{
    const uint8_t *from = s->p;
    const uint8_t *dot = memchr(from, '.', (size_t)(s->end - from));
    s->more = dot != NULL;
    s->p = dot ? dot + 1 : s->end;
    return slice_of(from, (size_t)((dot ? dot : s->end) - from));
}

static bool segment_is(struct slice segment, char c)
{
    return segment.n == 1 && segment.p[0] == (uint8_t)c;
}

static bool plain_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("_-=@,;", c) != NULL);
}

static bool plain(struct slice segment)
{
    for (size_t i = 0; i < segment.n; i++) {
        if (!plain_byte(segment.p[i])) {
            return false;
        }
    }
    return true;
}

bool pattern_valid(struct slice pattern)
{
    if (pattern.n == 0 || pattern.n > PATTERN_BYTES_MAX) {
        return false;
    }
    for (struct segments s = segments_of(pattern); s.more;) {
        struct slice segment = segment_next(&s);
        bool rest = segment_is(segment, '>');
        if (rest ? s.more : !segment_is(segment, '*') && !plain(segment)) {
            return false;
        }
    }
    return true;
}

bool pattern_is_wild(struct slice pattern)
{
    for (struct segments s = segments_of(pattern); s.more;) {
        struct slice segment = segment_next(&s);
        if (segment_is(segment, '*') || segment_is(segment, '>')) {
            return true;
        }
    }
    return false;
}

bool pattern_starts_wild(struct slice pattern)
{
    struct segments s = segments_of(pattern);
    if (!s.more) {
        return false;
    }
    struct slice first = segment_next(&s);
    return segment_is(first, '*') || segment_is(first, '>');
}

/* Matching is covering, where the name's segments are never wild. */
static bool covers(struct slice outer, struct slice inner, bool inner_is_name)
{
    struct segments o = segments_of(outer), i = segments_of(inner);
    if (!o.more || !i.more) {
        return false;
    }
    while (o.more && i.more) {
        struct slice a = segment_next(&o);
        if (segment_is(a, '>') && !o.more) {
            return true; /* one segment or more are left of inner, if it is ">" too */
        }
        struct slice b = segment_next(&i);
        bool b_rest = !inner_is_name && segment_is(b, '>') && !i.more;
        if (b_rest || (!segment_is(a, '*') && !slice_equal(a, b))) {
            return false;
        }
        if (!inner_is_name && segment_is(b, '*') && !segment_is(a, '*')) {
            return false;
        }
    }
    return !o.more && !i.more;
}

bool pattern_match(struct slice pattern, struct slice name)
{
    return covers(pattern, name, true);
}

bool pattern_covers(struct slice outer, struct slice inner)
{
    return covers(outer, inner, false);
}
