/* Names of hosts, in ASCII and beyond, and what is built from them. */
#include "hub/schema/format.h"

#include <string.h>

enum { LABEL_MAX = 63, NAME_MAX_BYTES = 253, LOCAL_MAX = 64 };

/* RFC 5892: the categories of section 2.1, without the unstable (2.2: compatibility forms), old
 * Hangul Jamo (2.9) and disallowed exceptions (2.6), with the permitted ones; then the contextual
 * rules of appendix A. ZERO WIDTH NON-JOINER (A.1) is let through between letters and marks of the
 * joining scripts, which is a little more than the joining types allow. */
#define VIRAMA                                                                                     \
    "[\\u094D\\u09CD\\u0A4D\\u0ACD\\u0B4D\\u0BCD\\u0C4D\\u0CCD\\u0D3B\\u0D3C\\u0D4D\\u0DCA\\u0E3A" \
    "\\u0EBA\\u0F84\\u1039\\u103A\\u1714\\u1715\\u1734\\u17D2\\u1A60\\u1B44\\u1BAA\\u1BAB\\u1BF2"  \
    "\\u1BF3\\u2D7F\\uA806\\uA82C\\uA8C4\\uA953\\uA9C0\\uAAF6\\uABED\\u{10A3F}\\u{11046}"          \
    "\\u{11070}\\u{1107F}\\u{110B9}\\u{11133}\\u{11134}\\u{111C0}\\u{11235}\\u{112EA}\\u{1134D}"   \
    "\\u{11442}\\u{114C2}\\u{115BF}\\u{1163F}\\u{116B6}\\u{1172B}\\u{11839}\\u{1193D}\\u{1193E}"   \
    "\\u{119E0}\\u{11A34}\\u{11A47}\\u{11A99}\\u{11C3F}\\u{11D44}\\u{11D45}\\u{11D97}]"
#define JOINING                                                                                    \
    "[\\p{scx=Arabic}\\p{scx=Syriac}\\p{scx=Nko}\\p{scx=Mandaic}\\p{scx=Mongolian}\\p{Mn}]"

const char format_label_pattern[] =
    "^(?!\\p{M})"
    "(?:(?!.*\\u30FB)|(?=.*[\\p{sc=Hiragana}\\p{sc=Katakana}\\p{sc=Han}]))"                /* A.7 */
    "(?!.*[\\u0660-\\u0669].*[\\u06F0-\\u06F9])(?!.*[\\u06F0-\\u06F9].*[\\u0660-\\u0669])" /* A.8,
                                                                                              A.9 */
    "(?:"
    "(?![\\u0640\\u07FA\\u302E\\u302F\\u3031-\\u3035\\u303B\\u1100-\\u11FF\\uA960-\\uA97C\\uD7B0-"
    "\\uD7FB"
    "\\uFF00-\\uFFEF])[-\\p{Ll}\\p{Lo}\\p{Lm}\\p{Mn}\\p{Mc}\\p{Nd}"
    "\\u06FD\\u06FE\\u0F0B\\u3007\\u30FB]"
    "|(?<=l)\\u00B7(?=l)"                  /* A.3 */
    "|\\u0375(?=\\p{sc=Greek})"            /* A.4 */
    "|(?<=\\p{sc=Hebrew})[\\u05F3\\u05F4]" /* A.5, A.6 */
    "|(?<=" VIRAMA ")[\\u200C\\u200D]"     /* A.1, A.2 */
    "|(?<=" JOINING ")\\u200C(?=" JOINING ")"
    ")+$";

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_ldh(const char *label, size_t n)
{
    if (n == 0 || n > LABEL_MAX || label[0] == '-' || label[n - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_alnum(label[i]) && label[i] != '-') {
            return false;
        }
    }
    return true;
}

static bool claims_punycode(const char *label, size_t n)
{
    return n >= 4 && (label[0] | 0x20) == 'x' && (label[1] | 0x20) == 'n' && label[2] == '-' &&
           label[3] == '-';
}

static void put_utf8(struct text *out, uint32_t c)
{
    if (c >= 0x10000) {
        text_char(out, (char)(0xF0 | (c >> 18)));
        text_char(out, (char)(0x80 | ((c >> 12) & 0x3F)));
    } else if (c >= 0x800) {
        text_char(out, (char)(0xE0 | (c >> 12)));
    }
    if (c >= 0x800) {
        text_char(out, (char)(0x80 | ((c >> 6) & 0x3F)));
    } else if (c >= 0x80) {
        text_char(out, (char)(0xC0 | (c >> 6)));
    }
    text_char(out, (char)(c < 0x80 ? c : 0x80 | (c & 0x3F)));
}

/* RFC 5891 section 4.2: what a label with characters beyond ASCII must be. *out_size: of its
 * A-label. */
static bool is_u_label(const uint32_t *points, size_t n, const struct format_tools *tools,
                       size_t *out_size)
{
    bool hyphens = n >= 4 && points[2] == '-' && points[3] == '-';
    if (n == 0 || points[0] == '-' || points[n - 1] == '-' || hyphens ||
        !punycode_encoded_size(points, n, out_size) || *out_size + 4 > LABEL_MAX) {
        return false;
    }
    *out_size += 4; /* "xn--" */
    struct text utf8 = {0};
    for (size_t i = 0; i < n; i++) {
        put_utf8(&utf8, points[i]);
    }
    bool ok = regex_match(tools->label, text_c(&utf8), utf8.n, tools->scratch, tools->meter);
    text_done(&utf8);
    return ok;
}

/* RFC 5890 section 2.3.2.1: an A-label stands for a valid U-label, which is not plain ASCII. */
static bool is_a_label(const char *label, size_t n, const struct format_tools *tools)
{
    uint32_t points[LABEL_MAX];
    size_t count, size;
    if (!is_ldh(label, n) || !punycode_decode(label + 4, n - 4, points, LABEL_MAX, &count)) {
        return false;
    }
    bool beyond_ascii = false;
    for (size_t i = 0; i < count; i++) {
        beyond_ascii = beyond_ascii || points[i] >= 0x80;
    }
    return beyond_ascii && is_u_label(points, count, tools, &size);
}

static bool ascii_label(const char *label, size_t n, const struct format_tools *tools)
{
    return claims_punycode(label, n) ? is_a_label(label, n, tools) : is_ldh(label, n);
}

/* Calls check for each label between dots. */
static bool each_label(const char *text, size_t n, const struct format_tools *tools,
                       bool (*check)(const char *, size_t, const struct format_tools *))
{
    if (n > NAME_MAX_BYTES) {
        return false;
    }
    for (const char *p = text, *end = text + n;; p++) {
        const char *dot = p;
        while (dot < end && *dot != '.') {
            dot++;
        }
        if (!check(p, (size_t)(dot - p), tools)) {
            return false;
        }
        if (dot == end) {
            return true;
        }
        p = dot;
    }
}

bool format_hostname(const char *text, size_t n, const struct format_tools *tools)
{
    return each_label(text, n, tools, ascii_label);
}

/* RFC 3490 section 3.1: three more characters that count as dots. */
static bool is_dot(uint32_t c)
{
    return c == '.' || c == 0x3002 || c == 0xFF0E || c == 0xFF61;
}

static bool idn_label(const char *label, size_t n, const uint32_t *points, size_t count,
                      const struct format_tools *tools, size_t *size)
{
    bool ascii = n == count;
    size_t own = n;
    bool ok = ascii ? ascii_label(label, n, tools) : is_u_label(points, count, tools, &own);
    *size += own;
    return ok;
}

/* The length that counts is that of the A-labels with their dots. */
bool format_idn_hostname(const char *text, size_t n, const struct format_tools *tools)
{
    uint32_t points[LABEL_MAX];
    size_t count = 0, size = 0;
    const char *label = text, *p = text, *end = text + n;
    while (p < end && size <= NAME_MAX_BYTES) {
        const char *before = p;
        uint32_t c = utf8_next(&p, end);
        if (is_dot(c)) {
            if (!idn_label(label, (size_t)(before - label), points, count, tools, &size)) {
                return false;
            }
            label = p;
            count = 0;
            size++;
        } else if (c == UINT32_MAX || count == LABEL_MAX) {
            return false;
        } else {
            points[count++] = c;
        }
    }
    return size <= NAME_MAX_BYTES &&
           idn_label(label, (size_t)(end - label), points, count, tools, &size) &&
           size <= NAME_MAX_BYTES;
}

/* RFC 2673 section 3.2: four decimal octets; a leading zero would read as octal elsewhere. */
bool format_ipv4(const char *text, size_t n, const struct format_tools *tools)
{
    (void)tools;
    const char *p = text, *end = text + n;
    for (int octets = 1; octets <= 4; octets++) {
        int value = 0, digits = 0;
        const char *start = p;
        for (; p < end && is_digit(*p) && digits < 4; p++, digits++) {
            value = value * 10 + (*p - '0');
        }
        if (digits == 0 || value > 255 || digits > 3 || (digits > 1 && *start == '0')) {
            return false;
        }
        if (octets < 4 && (p == end || *p++ != '.')) {
            return false;
        }
    }
    return p == end;
}

static size_t hex_run(const char *p, const char *end)
{
    size_t n = 0;
    while (p + n < end && (is_digit(p[n]) || ((p[n] | 0x20) >= 'a' && (p[n] | 0x20) <= 'f'))) {
        n++;
    }
    return n;
}

/* RFC 4291 section 2.2: eight groups, or fewer around one "::"; the last two may be an IPv4
 * address. */
bool format_ipv6(const char *text, size_t n, const struct format_tools *tools)
{
    const char *p = text, *end = text + n;
    int groups = 0;
    bool gap = false;
    if (n >= 2 && p[0] == ':' && p[1] == ':') {
        gap = true;
        p += 2;
    }
    while (p < end) {
        size_t run = hex_run(p, end);
        if (p + run < end && p[run] == '.') {
            groups += 2;
            return format_ipv4(p, (size_t)(end - p), tools) && (gap ? groups < 8 : groups == 8);
        }
        if (run == 0 || run > 4 || ++groups > 8) {
            return false;
        }
        p += run;
        if (p == end) {
            break;
        }
        if (*p++ != ':' || p == end) {
            return false;
        }
        if (*p == ':') {
            if (gap) {
                return false;
            }
            gap = true;
            p++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

/* RFC 5321 section 4.1.2: atext between single dots. Beyond ASCII with RFC 6531. */
static bool dot_string(const char *p, size_t n, bool international)
{
    bool after_dot = true;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        bool atext = is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c)) ||
                     (international && (unsigned char)c >= 0x80);
        if (!atext && (c != '.' || after_dot)) {
            return false;
        }
        after_dot = c == '.';
    }
    return n > 0 && !after_dot;
}

/* The same section: between quotes, printable ASCII and spaces; \ escapes one of those. */
static bool quoted_string(const char *p, size_t n, bool international)
{
    if (n < 2 || p[0] != '"' || p[n - 1] != '"') {
        return false;
    }
    for (size_t i = 1; i < n - 1; i++) {
        bool printable = p[i] >= 32 && p[i] <= 126;
        if (p[i] == '\\') {
            i++;
            printable = i < n - 1 && p[i] >= 32 && p[i] <= 126;
        } else if (p[i] == '"') {
            return false;
        } else if (international && (unsigned char)p[i] >= 0x80) {
            printable = true;
        }
        if (!printable) {
            return false;
        }
    }
    return true;
}

static bool is_utf8(const char *p, size_t n)
{
    for (const char *end = p + n; p < end;) {
        if (utf8_next(&p, end) == UINT32_MAX) {
            return false;
        }
    }
    return true;
}

/* Section 4.1.3. */
static bool address_literal(const char *p, size_t n, const struct format_tools *tools)
{
    if (n < 2 || p[n - 1] != ']') {
        return false;
    }
    p++;
    n -= 2;
    bool six = n >= 5 && (p[0] | 0x20) == 'i' && (p[1] | 0x20) == 'p' && (p[2] | 0x20) == 'v' &&
               p[3] == '6' && p[4] == ':';
    return six ? format_ipv6(p + 5, n - 5, tools) : format_ipv4(p, n, tools);
}

static bool plain_label(const char *label, size_t n, const struct format_tools *tools)
{
    (void)tools;
    return is_ldh(label, n);
}

static bool mailbox(const char *text, size_t n, bool international,
                    const struct format_tools *tools)
{
    size_t at = n;
    while (at > 0 && text[at - 1] != '@') {
        at--;
    }
    if (at == 0 || at - 1 > LOCAL_MAX) {
        return false;
    }
    bool local =
        dot_string(text, at - 1, international) || quoted_string(text, at - 1, international);
    const char *domain = text + at;
    if (!local || !is_utf8(text, at - 1)) {
        return false;
    }
    if (n - at > 0 && *domain == '[') {
        return address_literal(domain, n - at, tools);
    }
    return international ? format_idn_hostname(domain, n - at, tools)
                         : each_label(domain, n - at, tools, plain_label);
}

bool format_email(const char *text, size_t n, const struct format_tools *tools)
{
    return mailbox(text, n, false, tools);
}

bool format_idn_email(const char *text, size_t n, const struct format_tools *tools)
{
    return mailbox(text, n, true, tools);
}
