/* A pattern is read by the grammar of ECMA-262 (section 22.2.1, with the u flag) and written again
 * in PCRE2's, one construct at a time. Nothing is passed through unread: what PCRE2 alone would
 * understand (recursion, verbs, possessive quantifiers, \Z, POSIX classes) is refused or becomes
 * the literal that ECMA-262 sees in it. The differences that matter:
 *
 *   \d \w \b   ASCII in both, as long as PCRE2_UCP is off
 *   \s         Unicode's spaces, spelled out
 *   .          all but the four line terminators
 *   $          only the very end (an option of PCRE2)
 *   (?<n>…)    plain groups here; \k<n> becomes a number
 *   {          literal where it starts no count, so that no PCRE2 release reads it differently
 */
#include "hub/schema/regex.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { REPEAT_MAX = 65535, NESTING_MAX = 100, LAST_CODE_POINT = 0x10FFFF };

#define SPACES                                                                                     \
    "\\x{9}-\\x{d}\\x{20}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}"                    \
    "\\x{202f}\\x{205f}\\x{3000}\\x{feff}"
#define NOT_SPACES                                                                                 \
    "\\x{0}-\\x{8}\\x{e}-\\x{1f}\\x{21}-\\x{9f}\\x{a1}-\\x{167f}\\x{1681}-\\x{1fff}"               \
    "\\x{200b}-\\x{2027}\\x{202a}-\\x{202e}\\x{2030}-\\x{205e}\\x{2060}-\\x{2fff}"                 \
    "\\x{3001}-\\x{fefe}\\x{ff00}-\\x{10ffff}"

struct group_name {
    const char *p;
    size_t n;
    size_t number;
};

struct translation {
    const char *p, *end;
    struct text *out, *why;
    struct group_name *names;
    size_t name_count, group_count;
    bool repeatable; /* a quantifier may stand here */
    size_t depth;
    bool behind[NESTING_MAX]; /* the open groups: is it a lookbehind? */
};

static bool refuse(struct translation *t, const char *why)
{
    text_str(t->why, why);
    return false;
}

static bool looking_at(const struct translation *t, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(t->end - t->p) >= n && memcmp(t->p, text, n) == 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int hex_digit(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* Reads one character of UTF-8; JSON strings are well-formed, anything else is read as bytes. */
static uint32_t read_character(struct translation *t)
{
    unsigned char first = (unsigned char)*t->p++;
    size_t more = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
    uint32_t c = more ? first & (0x3Fu >> more) : first;
    for (; more && t->p < t->end; more--) {
        c = (c << 6) | ((unsigned char)*t->p++ & 0x3F);
    }
    return c;
}

static void put_literal(struct translation *t, uint32_t c)
{
    if (c < 0x80 && (is_letter((char)c) || is_digit((char)c))) {
        text_char(t->out, (char)c);
    } else {
        text_format(t->out, "\\x{%x}", (unsigned)c);
    }
}

/* Section 22.2.1, GroupName: looks ahead over the whole pattern, because \k may come before. */
static void collect_groups(struct translation *t)
{
    bool in_class = false;
    for (const char *p = t->p; p < t->end; p++) {
        if (*p == '\\') {
            p++;
        } else if (in_class) {
            in_class = *p != ']';
        } else if (*p == '[') {
            in_class = true;
        } else if (*p == '(') {
            size_t left = (size_t)(t->end - p);
            bool named = left > 3 && p[1] == '?' && p[2] == '<' && p[3] != '=' && p[3] != '!';
            if (left > 1 && p[1] == '?' && !named) {
                continue;
            }
            t->group_count++;
            const char *close = named ? memchr(p, '>', left) : NULL;
            if (named && close) {
                t->names = memory_resize(t->names, (t->name_count + 1) * sizeof *t->names);
                t->names[t->name_count++] =
                    (struct group_name){p + 3, (size_t)(close - p) - 3, t->group_count};
            }
        }
    }
}

static const struct group_name *find_name(const struct translation *t, const char *p, size_t n)
{
    for (size_t i = 0; i < t->name_count; i++) {
        if (t->names[i].n == n && memcmp(t->names[i].p, p, n) == 0) {
            return &t->names[i];
        }
    }
    return NULL;
}

static bool open_named(struct translation *t)
{
    const char *close = memchr(t->p, '>', (size_t)(t->end - t->p));
    if (!close || close == t->p || is_digit(*t->p)) {
        return refuse(t, "has a group without a proper name");
    }
    for (const char *p = t->p; p < close; p++) {
        if (!is_letter(*p) && !is_digit(*p) && *p != '_' && *p != '$' && (unsigned char)*p < 0x80) {
            return refuse(t, "has a group without a proper name");
        }
    }
    const struct group_name *name = find_name(t, t->p, (size_t)(close - t->p));
    if (!name || name->p != t->p) {
        return refuse(t, "has two groups of the same name");
    }
    t->p = close + 1;
    text_char(t->out, '(');
    return true;
}

static bool open_group(struct translation *t)
{
    static const char *const plain[] = {"?:", "?=", "?!", "?<=", "?<!"};
    if (t->depth == NESTING_MAX) {
        return refuse(t, "nests groups too deep");
    }
    t->repeatable = false;
    t->behind[t->depth++] = looking_at(t, "?<=") || looking_at(t, "?<!");
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (looking_at(t, plain[i])) {
            text_format(t->out, "(%s", plain[i]);
            t->p += strlen(plain[i]);
            return true;
        }
    }
    if (looking_at(t, "?<")) {
        t->p += 2;
        return open_named(t);
    }
    if (looking_at(t, "?")) {
        return refuse(t, "has a group that starts with (? in a way ECMA-262 does not know");
    }
    text_char(t->out, '(');
    return true;
}

static bool close_group(struct translation *t)
{
    if (t->depth == 0) {
        return refuse(t, "has a ) without its (");
    }
    t->repeatable = !t->behind[--t->depth];
    text_char(t->out, ')');
    return true;
}

static bool read_count(struct translation *t, unsigned long *out)
{
    const char *start = t->p;
    unsigned long n = 0;
    for (; t->p < t->end && is_digit(*t->p); t->p++) {
        n = n > REPEAT_MAX ? n : n * 10 + (unsigned long)(*t->p - '0');
    }
    *out = n;
    return t->p > start;
}

/* {n} {n,} {n,m}; anything else leaves t->p where it was and is a literal brace. */
static bool read_braces(struct translation *t, unsigned long *min, unsigned long *max, bool *open)
{
    const char *start = t->p;
    *open = false;
    bool ok = read_count(t, min);
    *max = *min;
    if (ok && looking_at(t, ",")) {
        t->p++;
        *open = !read_count(t, max);
    }
    if (ok && looking_at(t, "}")) {
        t->p++;
        return true;
    }
    t->p = start;
    return false;
}

static bool put_quantifier(struct translation *t)
{
    if (!t->repeatable) {
        return refuse(t, "repeats nothing");
    }
    if (looking_at(t, "?")) {
        t->p++;
        text_char(t->out, '?');
    }
    t->repeatable = false;
    return true;
}

static bool translate_brace(struct translation *t)
{
    unsigned long min, max;
    bool open;
    if (!read_braces(t, &min, &max, &open)) {
        put_literal(t, '{');
        t->repeatable = true;
        return true;
    }
    if (min > REPEAT_MAX || max > REPEAT_MAX) {
        return refuse(t, "repeats more than 65535 times");
    }
    if (!open && max < min) {
        return refuse(t, "has a count whose bounds are out of order");
    }
    if (!t->repeatable) {
        return refuse(t, "repeats nothing");
    }
    if (open) {
        text_format(t->out, "{%lu,}", min);
    } else {
        text_format(t->out, "{%lu,%lu}", min, max);
    }
    return put_quantifier(t);
}

static bool read_hex(struct translation *t, size_t digits, uint32_t *out)
{
    uint32_t c = 0;
    if ((size_t)(t->end - t->p) < digits) {
        return false;
    }
    for (size_t i = 0; i < digits; i++) {
        int digit = hex_digit(t->p[i]);
        if (digit < 0) {
            return false;
        }
        c = c * 16 + (uint32_t)digit;
    }
    t->p += digits;
    *out = c;
    return true;
}

static bool read_braced_hex(struct translation *t, uint32_t *out)
{
    uint32_t c = 0;
    const char *start = ++t->p;
    for (; t->p < t->end && hex_digit(*t->p) >= 0; t->p++) {
        c = c * 16 + (uint32_t)hex_digit(*t->p);
        if (c > LAST_CODE_POINT) {
            return false;
        }
    }
    *out = c;
    return t->p > start && looking_at(t, "}") && t->p++;
}

/* \u: four digits, a pair of surrogates as one character, or {…}. */
static bool read_unicode(struct translation *t, uint32_t *out)
{
    if (looking_at(t, "{")) {
        return read_braced_hex(t, out);
    }
    if (!read_hex(t, 4, out)) {
        return false;
    }
    uint32_t low;
    const char *after = t->p;
    if (*out >= 0xD800 && *out <= 0xDBFF && looking_at(t, "\\u")) {
        t->p += 2;
        if (read_hex(t, 4, &low) && low >= 0xDC00 && low <= 0xDFFF) {
            *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
        } else {
            t->p = after;
        }
    }
    return true;
}

/* CharacterEscape: an escape that stands for one character. t->p is at the byte after the
 * backslash. */
static bool read_character_escape(struct translation *t, uint32_t *out)
{
    static const char controls[] = "t\tn\nv\vf\fr\r";
    char c = *t->p;
    for (const char *pair = controls; *pair; pair += 2) {
        if (c == *pair) {
            t->p++;
            *out = (uint32_t)pair[1];
            return true;
        }
    }
    if (c == 'c' && t->end - t->p > 1 && is_letter(t->p[1])) {
        *out = (uint32_t)(t->p[1] & 0x1F);
        t->p += 2;
        return true;
    }
    if (c == '0' && !(t->end - t->p > 1 && is_digit(t->p[1]))) {
        t->p++;
        *out = 0;
        return true;
    }
    if ((c == 'x' || c == 'u') && t->p++) {
        return c == 'x' ? read_hex(t, 2, out) : read_unicode(t, out);
    }
    if (is_letter(c) || is_digit(c)) {
        return false;
    }
    *out = read_character(t); /* punctuation stands for itself */
    return true;
}

/* General categories by the names that ECMA-262 takes from Unicode's PropertyValueAliases. */
static const char *const categories[][3] = {
    /* clang-format off */
    {"L", "Letter"}, {"Ll", "Lowercase_Letter"}, {"Lu", "Uppercase_Letter"}, {"Lt", "Titlecase_Letter"},
    {"L&", "Cased_Letter", "LC"}, {"Lm", "Modifier_Letter"}, {"Lo", "Other_Letter"},
    {"M", "Mark", "Combining_Mark"}, {"Mn", "Nonspacing_Mark"}, {"Mc", "Spacing_Mark"}, {"Me", "Enclosing_Mark"},
    {"N", "Number"}, {"Nd", "Decimal_Number", "digit"}, {"Nl", "Letter_Number"}, {"No", "Other_Number"},
    {"P", "Punctuation", "punct"}, {"Pc", "Connector_Punctuation"}, {"Pd", "Dash_Punctuation"},
    {"Ps", "Open_Punctuation"}, {"Pe", "Close_Punctuation"}, {"Pi", "Initial_Punctuation"},
    {"Pf", "Final_Punctuation"}, {"Po", "Other_Punctuation"},
    {"S", "Symbol"}, {"Sm", "Math_Symbol"}, {"Sc", "Currency_Symbol"}, {"Sk", "Modifier_Symbol"}, {"So", "Other_Symbol"},
    {"Z", "Separator"}, {"Zs", "Space_Separator"}, {"Zl", "Line_Separator"}, {"Zp", "Paragraph_Separator"},
    {"C", "Other"}, {"Cc", "Control", "cntrl"}, {"Cf", "Format"}, {"Cs", "Surrogate"}, {"Co", "Private_Use"},
    {"Cn", "Unassigned"},
    /* clang-format on */
};

static bool part_is(const char *p, size_t n, const char *text)
{
    return text && strlen(text) == n && memcmp(p, text, n) == 0;
}

static const char *find_category(const char *p, size_t n)
{
    for (size_t i = 0; i < sizeof categories / sizeof categories[0]; i++) {
        for (size_t alias = 0; alias < 3; alias++) {
            if (part_is(p, n, categories[i][alias])) {
                return categories[i][0];
            }
        }
    }
    return NULL;
}

static bool put_property(struct translation *t, char letter, const char *name, size_t n)
{
    const char *equals = memchr(name, '=', n);
    size_t head = equals ? (size_t)(equals - name) : 0;
    const char *value = equals ? equals + 1 : name;
    size_t value_n = n - (size_t)(value - name);
    const char *category = find_category(value, value_n);
    if (!equals && part_is(name, n, "Assigned")) {
        text_format(t->out, "\\%c{Cn}", letter == 'p' ? 'P' : 'p');
    } else if (category &&
               (!equals || part_is(name, head, "General_Category") || part_is(name, head, "gc"))) {
        text_format(t->out, "\\%c{%s}", letter, category);
    } else if (part_is(name, head, "Script") || part_is(name, head, "sc")) {
        text_format(t->out, "\\%c{sc:%.*s}", letter, (int)value_n, value);
    } else if (part_is(name, head, "Script_Extensions") || part_is(name, head, "scx")) {
        text_format(t->out, "\\%c{scx:%.*s}", letter, (int)value_n, value);
    } else if (!equals) {
        text_format(t->out, "\\%c{%.*s}", letter, (int)n, name);
    } else {
        return refuse(t, "names a Unicode property that does not exist");
    }
    return true;
}

static bool translate_property(struct translation *t)
{
    char letter = *t->p++;
    const char *close = looking_at(t, "{") ? memchr(t->p, '}', (size_t)(t->end - t->p)) : NULL;
    if (!close || close - t->p < 2 || close - t->p > 60) {
        return refuse(t, "has a \\p without a property in braces");
    }
    const char *name = t->p + 1;
    for (const char *p = name; p < close; p++) {
        if (!is_letter(*p) && !is_digit(*p) && *p != '_' && *p != '=') {
            return refuse(t, "names a Unicode property that does not exist");
        }
    }
    t->p = close + 1;
    return put_property(t, letter, name, (size_t)(close - name));
}

/* CharacterClassEscape at t->p: 1 written, 0 none here, -1 refused. */
static int translate_set(struct translation *t, bool in_class)
{
    switch (*t->p) {
    case 'd':
    case 'D':
    case 'w':
    case 'W':
        text_format(t->out, "\\%c", *t->p++);
        return 1;
    case 's':
        t->p++;
        text_str(t->out, in_class ? SPACES : "[" SPACES "]");
        return 1;
    case 'S':
        t->p++;
        text_str(t->out, in_class ? NOT_SPACES : "[^" SPACES "]");
        return 1;
    case 'p':
    case 'P':
        return translate_property(t) ? 1 : -1;
    default:
        return 0;
    }
}

static bool translate_named_reference(struct translation *t)
{
    const char *close = looking_at(t, "<") ? memchr(t->p, '>', (size_t)(t->end - t->p)) : NULL;
    const struct group_name *name =
        close ? find_name(t, t->p + 1, (size_t)(close - t->p) - 1) : NULL;
    if (!name) {
        return refuse(t, "refers to a group that it does not have");
    }
    t->p = close + 1;
    text_format(t->out, "\\g{%zu}", name->number);
    return true;
}

static bool translate_reference(struct translation *t)
{
    unsigned long number;
    (void)read_count(t, &number);
    if (number > t->group_count) {
        return refuse(t, "refers to a group that it does not have");
    }
    text_format(t->out, "\\g{%lu}", number);
    return true;
}

static bool translate_escape(struct translation *t)
{
    if (t->p == t->end) {
        return refuse(t, "ends in a backslash");
    }
    char c = *t->p;
    t->repeatable = c != 'b' && c != 'B';
    if (!t->repeatable) {
        text_format(t->out, "\\%c", *t->p++);
        return true;
    }
    if (c >= '1' && c <= '9') {
        return translate_reference(t);
    }
    if (c == 'k' && t->p++) {
        return translate_named_reference(t);
    }
    int set = translate_set(t, false);
    if (set != 0) {
        return set > 0;
    }
    uint32_t literal;
    if (!read_character_escape(t, &literal)) {
        return refuse(t, "has an escape that ECMA-262 does not know");
    }
    put_literal(t, literal);
    return true;
}

enum class_atom { ATOM_BAD, ATOM_SET, ATOM_CHARACTER };

/* One ClassAtom: a set is written at once, a character handed back, since a range may follow. */
static enum class_atom read_class_atom(struct translation *t, uint32_t *out)
{
    if (*t->p != '\\') {
        *out = read_character(t);
        return ATOM_CHARACTER;
    }
    t->p++;
    if (t->p == t->end) {
        return ATOM_BAD;
    }
    if (*t->p == 'b') {
        t->p++;
        *out = '\b';
        return ATOM_CHARACTER;
    }
    int set = translate_set(t, true);
    if (set != 0) {
        return set > 0 ? ATOM_SET : ATOM_BAD;
    }
    return read_character_escape(t, out) ? ATOM_CHARACTER : ATOM_BAD;
}

/* After the first atom of a possible range. A set beside the hyphen makes the hyphen literal. */
static bool translate_range(struct translation *t, enum class_atom first, uint32_t low)
{
    if (first == ATOM_CHARACTER) {
        put_literal(t, low);
    }
    if (!looking_at(t, "-") || t->end - t->p < 2 || t->p[1] == ']') {
        return true;
    }
    t->p++;
    size_t before = t->out->n;
    uint32_t high = 0;
    enum class_atom second = read_class_atom(t, &high);
    if (second == ATOM_BAD) {
        return false;
    }
    if (first == ATOM_SET || second == ATOM_SET) {
        if (second == ATOM_CHARACTER) {
            put_literal(t, high);
        }
        put_literal(t, '-');
        return true;
    }
    if (high < low) {
        return refuse(t, "has a range whose ends are out of order");
    }
    t->out->n = before;
    text_char(t->out, '-');
    put_literal(t, high);
    return true;
}

static bool translate_class(struct translation *t)
{
    text_char(t->out, '[');
    if (looking_at(t, "^")) {
        t->p++;
        text_char(t->out, '^');
    }
    while (t->p < t->end && *t->p != ']') {
        uint32_t c = 0;
        enum class_atom atom = read_class_atom(t, &c);
        if (atom == ATOM_BAD || !translate_range(t, atom, c)) {
            return t->why->n ? false : refuse(t, "has an escape that ECMA-262 does not know");
        }
    }
    if (t->p == t->end) {
        return refuse(t, "has a [ without its ]");
    }
    t->p++;
    text_char(t->out, ']');
    t->repeatable = true;
    return true;
}

static bool translate_next(struct translation *t)
{
    char c = *t->p;
    if (!strchr("^$|()[\\*+?{.", c) || c == '\0') {
        put_literal(t, read_character(t));
        t->repeatable = true;
        return true;
    }
    t->p++;
    switch (c) {
    case '(':
        return open_group(t);
    case ')':
        return close_group(t);
    case '[':
        return translate_class(t);
    case '\\':
        return translate_escape(t);
    case '{':
        return translate_brace(t);
    case '.':
        text_str(t->out, "[^\\n\\r\\x{2028}\\x{2029}]");
        t->repeatable = true;
        return true;
    case '*':
    case '+':
    case '?':
        text_char(t->out, c);
        return put_quantifier(t);
    default: /* ^ $ | */
        text_char(t->out, c);
        t->repeatable = false;
        return true;
    }
}

bool regex_translate(const char *pattern, size_t n, struct text *out, struct text *why)
{
    struct translation t = {.p = pattern, .end = pattern + n, .out = out, .why = why};
    bool ok = true;
    collect_groups(&t);
    while (ok && t.p < t.end) {
        ok = translate_next(&t);
    }
    if (ok && t.depth > 0) {
        ok = refuse(&t, "has a ( without its )");
    }
    free(t.names);
    return ok;
}
