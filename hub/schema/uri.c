#include "hub/schema/uri.h"

#include <ctype.h>
#include <string.h>

/* Length of the run that has none of the bytes in stop. */
static size_t span_until(const char *p, size_t n, const char *stop)
{
    size_t i = 0;
    while (i < n && !(p[i] && strchr(stop, p[i]))) {
        i++;
    }
    return i;
}

/* RFC 3986 appendix B, by hand. */
struct uri uri_split(const char *text, size_t n)
{
    struct uri uri = {0};
    const char *p = text, *end = text + n;
    size_t run = span_until(p, n, ":/?#");
    if (run > 0 && run < n && p[run] == ':') {
        uri.scheme = (struct part){p, run};
        p += run + 1;
    }
    if (end - p >= 2 && p[0] == '/' && p[1] == '/') {
        run = span_until(p + 2, (size_t)(end - p) - 2, "/?#");
        uri.authority = (struct part){p + 2, run};
        p += 2 + run;
    }
    run = span_until(p, (size_t)(end - p), "?#");
    uri.path = (struct part){p, run};
    p += run;
    if (p < end && *p == '?') {
        run = span_until(p + 1, (size_t)(end - p) - 1, "#");
        uri.query = (struct part){p + 1, run};
        p += 1 + run;
    }
    if (p < end) {
        uri.fragment = (struct part){p + 1, (size_t)(end - p) - 1};
    }
    return uri;
}

/* Drops the last segment written since `start`, with its slash. */
static void drop_segment(struct text *out, size_t start)
{
    while (out->n > start && out->p[out->n - 1] != '/') {
        out->n--;
    }
    if (out->n > start) {
        out->n--;
    }
}

static bool starts(const char *p, size_t n, const char *prefix)
{
    size_t m = strlen(prefix);
    return n >= m && memcmp(p, prefix, m) == 0;
}

static bool is(const char *p, size_t n, const char *text)
{
    return n == strlen(text) && starts(p, n, text);
}

/* RFC 3986 section 5.2.4. A trailing "/." or "/.." leaves its slash. */
static void remove_dots(struct text *out, const char *p, size_t n)
{
    size_t start = out->n;
    while (n > 0) {
        size_t skip = 0;
        if (starts(p, n, "../")) {
            skip = 3;
        } else if (starts(p, n, "./") || starts(p, n, "/./")) {
            skip = 2;
        } else if (starts(p, n, "/../")) {
            drop_segment(out, start);
            skip = 3;
        } else if (is(p, n, "/..") || is(p, n, "/.")) {
            if (n == 3) {
                drop_segment(out, start);
            }
            text_char(out, '/');
            return;
        } else if (is(p, n, ".") || is(p, n, "..")) {
            return;
        } else {
            skip = (*p == '/') + span_until(p + (*p == '/'), n - (*p == '/'), "/");
            text_add(out, p, skip);
        }
        p += skip;
        n -= skip;
    }
}

static void add_after(struct text *out, const char *mark, struct part part)
{
    if (part.p) {
        text_str(out, mark);
        text_add(out, part.p, part.n);
    }
}

/* RFC 3986 section 5.2.3 */
static void merge(struct text *out, struct uri base, struct part path)
{
    if (base.authority.p && base.path.n == 0) {
        text_char(out, '/');
    } else {
        size_t n = base.path.n;
        while (n > 0 && base.path.p[n - 1] != '/') {
            n--;
        }
        text_add(out, base.path.p, n);
    }
    text_add(out, path.p, path.n);
}

static void add_path(struct text *out, struct uri base, struct uri reference)
{
    struct text merged = {0};
    if (reference.path.n > 0 && reference.path.p[0] == '/') {
        text_add(&merged, reference.path.p, reference.path.n);
    } else {
        merge(&merged, base, reference.path);
    }
    remove_dots(out, text_c(&merged), merged.n);
    text_done(&merged);
}

void uri_resolve(struct text *out, struct uri base, struct uri reference)
{
    bool own_scheme = reference.scheme.p != NULL;
    bool own_authority = own_scheme || reference.authority.p;
    struct part scheme = own_scheme ? reference.scheme : base.scheme;
    if (scheme.p) {
        text_add(out, scheme.p, scheme.n);
        text_char(out, ':');
    }
    add_after(out, "//", own_authority ? reference.authority : base.authority);
    if (own_authority) {
        remove_dots(out, reference.path.p, reference.path.n);
    } else if (reference.path.n == 0) {
        text_add(out, base.path.p, base.path.n);
    } else {
        add_path(out, base, reference);
    }
    bool own_query = own_authority || reference.path.n > 0 || reference.query.p;
    add_after(out, "?", own_query ? reference.query : base.query);
}

static int hex_value(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

void uri_unescape(struct text *out, struct part part)
{
    for (size_t i = 0; i < part.n; i++) {
        char c = part.p[i];
        if (c == '%' && part.n - i > 2 && isxdigit((unsigned char)part.p[i + 1]) &&
            isxdigit((unsigned char)part.p[i + 2])) {
            c = (char)(hex_value(part.p[i + 1]) * 16 + hex_value(part.p[i + 2]));
            i += 2;
        }
        text_char(out, c);
    }
}
