/* RFC 3986 taken apart by uri.c, then each part held against the characters that its rule allows.
 * RFC 3987 adds characters beyond ASCII to the same rules. */
#include "hub/schema/format.h"
#include "hub/schema/uri.h"

#include <string.h>

struct grammar {
    const char *marks;  /* allowed beside letters and digits; pct-encoded always is */
    bool international; /* ucschar too */
    bool private_use;   /* iprivate too */
};

#define UNRESERVED "-._~"
#define SUB_DELIMS "!$&'()*+,;="
#define PCHAR UNRESERVED SUB_DELIMS ":@"

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(char c)
{
    char lower = (char)(c | 0x20);
    return is_digit(c) || (lower >= 'a' && lower <= 'f');
}

static bool is_iprivate(uint32_t c)
{
    return (c >= 0xE000 && c <= 0xF8FF) ||
           (c >= 0xF0000 && c <= 0x10FFFF && (c & 0xFFFE) != 0xFFFE);
}

static bool is_ucschar(uint32_t c)
{
    if (c < 0x10000) {
        return (c >= 0xA0 && c <= 0xD7FF) || (c >= 0xF900 && c <= 0xFDCF) ||
               (c >= 0xFDF0 && c <= 0xFFEF);
    }
    return c <= 0xEFFFD && (c & 0xFFFE) != 0xFFFE && !(c >= 0xE0000 && c <= 0xE0FFF);
}

/* One character of *p that the grammar allows, taken. */
static bool take(const char **p, const char *end, const struct grammar *grammar)
{
    unsigned char c = (unsigned char)**p;
    if (c == '%') {
        bool ok = end - *p > 2 && is_hex((*p)[1]) && is_hex((*p)[2]);
        *p += ok ? 3 : 0;
        return ok;
    }
    if (c >= 0x80) {
        uint32_t wide = utf8_next(p, end);
        return (grammar->international && is_ucschar(wide)) ||
               (grammar->private_use && is_iprivate(wide));
    }
    (*p)++;
    return is_letter((char)c) || is_digit((char)c) || (c && strchr(grammar->marks, c));
}

static bool all(struct part part, struct grammar grammar)
{
    const char *end = part.p ? part.p + part.n : NULL;
    for (const char *p = part.p; p != end;) {
        if (!take(&p, end, &grammar)) {
            return false;
        }
    }
    return true;
}

static bool is_scheme(struct part part)
{
    for (size_t i = 0; i < part.n; i++) {
        bool later = i > 0 && (is_digit(part.p[i]) || strchr("+-.", part.p[i]));
        if (!part.p[i] || !(is_letter(part.p[i]) || later)) {
            return false;
        }
    }
    return part.n > 0;
}

/* Section 3.2.2: [IPv6] or [v1.anything]. */
static bool is_ip_literal(struct part part)
{
    if (part.n < 3 || part.p[part.n - 1] != ']') {
        return false;
    }
    const char *p = part.p + 1;
    size_t n = part.n - 2;
    if ((*p | 0x20) != 'v') {
        return format_ipv6(p, n, NULL);
    }
    size_t digits = 1;
    while (digits < n && is_hex(p[digits])) {
        digits++;
    }
    struct part rest = {p + digits + 1, n - digits - 1};
    return digits > 1 && n > digits + 1 && p[digits] == '.' && !memchr(rest.p, '%', rest.n) &&
           all(rest, (struct grammar){.marks = UNRESERVED SUB_DELIMS ":"});
}

static bool is_authority(struct part part, bool international)
{
    const char *p = part.p, *end = part.p + part.n;
    const char *at = memchr(p, '@', part.n);
    if (at) {
        struct part user = {p, (size_t)(at - p)};
        if (!all(user, (struct grammar){UNRESERVED SUB_DELIMS ":", international, false})) {
            return false;
        }
        p = at + 1;
    }
    const char *port = end;
    while (port > p && is_digit(port[-1])) {
        port--;
    }
    bool has_port = port > p && port[-1] == ':';
    struct part host = {p, (size_t)((has_port ? port - 1 : end) - p)};
    if (host.n && host.p[0] == '[') {
        return is_ip_literal(host);
    }
    return all(host, (struct grammar){UNRESERVED SUB_DELIMS, international, false});
}

/* Without a scheme the first segment has no colon; uri_split has made any such colon a scheme's,
 * but for one at the very start. */
static bool judge(const char *text, size_t n, bool relative, bool international)
{
    struct uri uri = uri_split(text, n);
    bool scheme = uri.scheme.p ? is_scheme(uri.scheme) : relative && !(n && text[0] == ':');
    return scheme && (!uri.authority.p || is_authority(uri.authority, international)) &&
           all(uri.path, (struct grammar){PCHAR "/", international, false}) &&
           all(uri.query, (struct grammar){PCHAR "/?", international, international}) &&
           all(uri.fragment, (struct grammar){PCHAR "/?", international, false});
}

bool format_uri(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    return judge(text, n, false, false);
}

bool format_uri_reference(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    return judge(text, n, true, false);
}

bool format_iri(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    return judge(text, n, false, true);
}

bool format_iri_reference(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    return judge(text, n, true, true);
}

/* RFC 6570 section 2.3: varchar runs joined by single dots. */
static bool take_name(const char **p, const char *end)
{
    static const struct grammar varchar = {.marks = "_"};
    for (;;) {
        const char *start = *p;
        while (*p < end && (is_letter(**p) || is_digit(**p) || **p == '_' || **p == '%')) {
            if (!take(p, end, &varchar)) {
                return false;
            }
        }
        if (*p == start) {
            return false;
        }
        if (*p == end || **p != '.') {
            return true;
        }
        (*p)++;
    }
}

/* Section 2.4: "*", or ":" and a length from 1 to 9999. */
static bool take_modifier(const char **p, const char *end)
{
    if (*p < end && **p == '*') {
        (*p)++;
    } else if (*p < end && **p == ':') {
        const char *digits = ++*p;
        while (*p < end && is_digit(**p)) {
            (*p)++;
        }
        return *p > digits && *p - digits <= 4 && *digits != '0';
    }
    return true;
}

/* After the brace. Operators kept for later extensions (section 2.2) are accepted as such. */
static bool take_expression(const char **p, const char *end)
{
    if (*p < end && **p && strchr("+#./;?&=,!@|", **p)) {
        (*p)++;
    }
    do {
        if (!take_name(p, end) || !take_modifier(p, end)) {
            return false;
        }
    } while (*p < end && **p == ',' && (*p)++);
    return *p < end && *(*p)++ == '}';
}

bool format_uri_template(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    static const struct grammar literal = {UNRESERVED SUB_DELIMS ":/?#[]@", true, true};
    for (const char *p = text, *end = text + n; p < end;) {
        if (*p == '{') {
            p++;
            if (!take_expression(&p, end)) {
                return false;
            }
        } else if (!take(&p, end, &literal)) {
            return false;
        }
    }
    return true;
}
