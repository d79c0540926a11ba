/* Values are kept as (row of the table, text) in the order given. Commands have few options, so
 * every look-up is a walk; what matters is that a value is judged once, here, by the kind that its
 * row names. */
#include "hub/cli/options.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void args_done(struct args *a)
{
    free(a->values);
    free(a->operands);
    buf_done(&a->error);
    *a = (struct args){0};
}

void args_add_table(struct args *a, const struct option *table)
{
    assert(a->table_count < ARGS_TABLES_MAX);
    a->tables[a->table_count++] = table;
}

const char *args_error(const struct args *a)
{
    return a->error.n ? (const char *)a->error.p : "";
}

bool args_refuse(struct args *a, const char *format, ...)
{
    char text[512];
    va_list rest;
    va_start(rest, format);
    vsnprintf(text, sizeof text, format, rest);
    va_end(rest);
    buf_clear(&a->error);
    buf_add(&a->error, text, strlen(text) + 1);
    return false;
}

/* --- nearest word ------------------------------------------------------------------------------
 */

enum { WORD_MAX = 40 };

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Edits between two words, two swapped neighbours counting once (optimal string alignment). */
static unsigned edits(const char *a, const char *b)
{
    size_t na = strlen(a), nb = strlen(b);
    if (na > WORD_MAX || nb > WORD_MAX) {
        return WORD_MAX;
    }
    unsigned d[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= na; i++) {
        for (size_t j = 0; j <= nb; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = (unsigned)(i + j);
                continue;
            }
            unsigned differs = a[i - 1] != b[j - 1];
            d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + differs);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < d[i][j]) {
                d[i][j] = d[i - 2][j - 2] + 1;
            }
        }
    }
    return d[na][nb];
}

const char *nearest_word(const char *typed, const char *const *words, size_t n)
{
    const char *best = NULL;
    unsigned best_edits = (unsigned)strlen(typed) / 3 + 2; /* farther is a guess, not a slip */
    for (size_t i = 0; i < n; i++) {
        unsigned e = edits(typed, words[i]);
        if (e < best_edits && e < strlen(words[i])) {
            best = words[i];
            best_edits = e;
        }
    }
    return best;
}

static void hint(char out[64], const char *typed, const char *const *words, size_t n,
                 const char *prefix)
{
    const char *near = nearest_word(typed, words, n);
    out[0] = '\0';
    if (near) {
        snprintf(out, 64, "; did you mean %s%s?", prefix, near);
    }
}

/* --- single values -----------------------------------------------------------------------------
 */

bool option_number(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    unsigned long long v = strtoull(text, &end, 10);
    if (errno || *end || v > INT64_MAX) {
        return false;
    }
    *out = v;
    return true;
}

bool option_ms(const char *text, int64_t *out)
{
    static const struct {
        const char *suffix;
        double ms;
    } units[] = {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}, {"d", 8.64e7}};
    char *end;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    double v = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(end, units[i].suffix) == 0) {
            double ms = v * units[i].ms + 0.5;
            if (!(ms < 1e15)) { /* also what is not a number */
                return false;
            }
            *out = (int64_t)ms;
            return true;
        }
    }
    return false;
}

static bool is_fraction(const char *text)
{
    char *end;
    if (!isdigit((unsigned char)text[0])) {
        return false;
    }
    double v = strtod(text, &end);
    return *end == '\0' && v >= 0 && v <= 1;
}

static bool refuse_choice(struct args *a, const struct option *o, const char *text)
{
    struct buf all = {0};
    size_t n = 0;
    for (; o->choices[n]; n++) {
        buf_printf(&all, "%s%s", n ? ", " : "", o->choices[n]);
    }
    char near[64];
    hint(near, text, o->choices, n, "");
    args_refuse(a, "--%s is one of %.*s, not \"%s\"%s", o->name, (int)all.n, (const char *)all.p,
                text, near);
    buf_done(&all);
    return false;
}

static bool is_choice(const struct option *o, const char *text)
{
    for (size_t i = 0; o->choices[i]; i++) {
        if (strcmp(o->choices[i], text) == 0) {
            return true;
        }
    }
    return false;
}

static bool value_fits(struct args *a, const struct option *o, const char *text)
{
    uint64_t number;
    int64_t ms;
    switch (o->kind) {
    case OPTION_FLAG:
        return true;
    case OPTION_TEXT:
    case OPTION_FILE:
        return *text ? true : args_refuse(a, "--%s wants a value, not an empty one", o->name);
    case OPTION_NUMBER:
        return option_number(text, &number)
                   ? true
                   : args_refuse(a, "--%s wants a whole number, not \"%s\"", o->name, text);
    case OPTION_FRACTION:
        return is_fraction(text)
                   ? true
                   : args_refuse(a, "--%s wants a number from 0 to 1, not \"%s\"", o->name, text);
    case OPTION_SECONDS:
        return option_ms(text, &ms)
                   ? true
                   : args_refuse(a,
                                 "--%s wants a time such as 30, 1.5, 250ms, 5m or 1h, not \"%s\"",
                                 o->name, text);
    case OPTION_CHOICE:
        return is_choice(o, text) ? true : refuse_choice(a, o, text);
    case OPTION_PAIR:
        return strchr(text, '=') && text[0] != '='
                   ? true
                   : args_refuse(a, "--%s wants key=value, not \"%s\"", o->name, text);
    }
    return false;
}

/* --- reading argv ------------------------------------------------------------------------------
 */

static const struct option *find_name(const struct args *a, const char *name, size_t n)
{
    for (size_t t = 0; t < a->table_count; t++) {
        for (const struct option *o = a->tables[t]; o && o->name; o++) {
            if (strlen(o->name) == n && memcmp(o->name, name, n) == 0) {
                return o;
            }
        }
    }
    return NULL;
}

static const struct option *find_letter(const struct args *a, char letter)
{
    for (size_t t = 0; t < a->table_count; t++) {
        for (const struct option *o = a->tables[t]; o && o->name; o++) {
            if (o->letter == letter) {
                return o;
            }
        }
    }
    return NULL;
}

static bool refuse_unknown(struct args *a, const char *name, size_t n)
{
    const char *words[128];
    size_t count = 0;
    for (size_t t = 0; t < a->table_count; t++) {
        for (const struct option *o = a->tables[t]; o && o->name && count < 128; o++) {
            words[count++] = o->name;
        }
    }
    char *typed = xstrndup(name, n), near[64];
    hint(near, typed, words, count, "--");
    args_refuse(a, "unknown option --%s%s", typed, near);
    free(typed);
    return false;
}

static bool keep(struct args *a, const struct option *o, const char *text)
{
    if (text && !value_fits(a, o, text)) {
        return false;
    }
    a->values = xrealloc(a->values, (a->value_count + 1) * sizeof *a->values);
    a->values[a->value_count++] = (struct arg_value){o, text};
    return true;
}

/* The value of o: `attached`, else the next word. */
static bool take_value(struct args *a, const struct option *o, const char *attached, int argc,
                       char *const *argv, int *at)
{
    if (attached) {
        return keep(a, o, attached);
    }
    if (*at >= argc) {
        return args_refuse(a, "--%s wants a value: --%s %s", o->name, o->name, o->value);
    }
    return keep(a, o, argv[(*at)++]);
}

static bool take_long(struct args *a, const char *word, int argc, char *const *argv, int *at)
{
    const char *equals = strchr(word, '=');
    size_t n = equals ? (size_t)(equals - word) : strlen(word);
    const struct option *o = find_name(a, word, n);
    if (!o) {
        return refuse_unknown(a, word, n);
    }
    if (o->kind == OPTION_FLAG) {
        return equals ? args_refuse(a, "--%s takes no value", o->name) : keep(a, o, NULL);
    }
    return take_value(a, o, equals ? equals + 1 : NULL, argc, argv, at);
}

static bool take_letters(struct args *a, const char *word, int argc, char *const *argv, int *at)
{
    for (; *word; word++) {
        const struct option *o = find_letter(a, *word);
        if (!o) {
            return args_refuse(a, "unknown option -%c", *word);
        }
        if (o->kind != OPTION_FLAG) {
            return take_value(a, o, word[1] ? word + 1 : NULL, argc, argv, at);
        }
        if (!keep(a, o, NULL)) {
            return false;
        }
    }
    return true;
}

static void take_operand(struct args *a, const char *word)
{
    a->operands = xrealloc(a->operands, (a->operand_count + 1) * sizeof *a->operands);
    a->operands[a->operand_count++] = word;
}

/* "-" is the standard input, and "-5" is a number that someone wants to publish. */
static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0' && !isdigit((unsigned char)word[1]);
}

bool args_read(struct args *a, int argc, char *const *argv, int *at, bool stop_at_operand)
{
    bool only_operands = false;
    while (*at < argc) {
        const char *word = argv[*at];
        if (only_operands || !is_option(word)) {
            if (stop_at_operand) {
                return true;
            }
            take_operand(a, word);
            ++*at;
            continue;
        }
        ++*at;
        if (strcmp(word, "--") == 0) {
            only_operands = true;
        } else if (word[1] == '-' ? !take_long(a, word + 2, argc, argv, at)
                                  : !take_letters(a, word + 1, argc, argv, at)) {
            return false;
        }
    }
    return true;
}

static bool check_operands(struct args *a, const struct operand *operands)
{
    size_t taken = 0;
    for (const struct operand *o = operands; o && o->name; o++) {
        if ((o->how & OPTION_REQUIRED) && taken >= a->operand_count) {
            return args_refuse(a, "%s is missing", o->name);
        }
        taken = o->how & OPTION_MANY ? SIZE_MAX : taken + 1;
    }
    if (a->operand_count > taken) {
        return args_refuse(a, "unexpected \"%s\"", a->operands[taken]);
    }
    return true;
}

bool args_check(struct args *a, const struct operand *operands)
{
    for (size_t t = 0; t < a->table_count; t++) {
        for (const struct option *o = a->tables[t]; o && o->name; o++) {
            size_t given = args_count(a, o->name);
            if ((o->how & OPTION_REQUIRED) && given == 0) {
                return args_refuse(a, "--%s %s is missing", o->name, o->value);
            }
            if (!(o->how & OPTION_MANY) && o->kind != OPTION_FLAG && given > 1) {
                return args_refuse(a, "--%s is given more than once", o->name);
            }
        }
    }
    return check_operands(a, operands);
}

/* --- getters -----------------------------------------------------------------------------------
 */

size_t args_count(const struct args *a, const char *name)
{
    const struct option *o = find_name(a, name, strlen(name));
    assert(o);
    size_t n = 0;
    for (size_t i = 0; i < a->value_count; i++) {
        n += a->values[i].option == o;
    }
    return n;
}

bool args_has(const struct args *a, const char *name)
{
    return args_count(a, name) > 0;
}

const char *args_nth(const struct args *a, const char *name, size_t nth)
{
    const struct option *o = find_name(a, name, strlen(name));
    assert(o);
    for (size_t i = 0; i < a->value_count; i++) {
        if (a->values[i].option == o && nth-- == 0) {
            return a->values[i].text;
        }
    }
    return NULL;
}

const char *args_text(const struct args *a, const char *name)
{
    size_t n = args_count(a, name);
    return n ? args_nth(a, name, n - 1) : NULL;
}

uint64_t args_number(const struct args *a, const char *name, uint64_t otherwise)
{
    const char *text = args_text(a, name);
    uint64_t v = otherwise;
    bool fits = !text || option_number(text, &v);
    assert(fits); /* args_read has judged it */
    return v;
}

int64_t args_ms(const struct args *a, const char *name, int64_t otherwise)
{
    const char *text = args_text(a, name);
    int64_t v = otherwise;
    bool fits = !text || option_ms(text, &v);
    assert(fits);
    return v;
}

const char *args_operand(const struct args *a, size_t i)
{
    return i < a->operand_count ? a->operands[i] : NULL;
}
