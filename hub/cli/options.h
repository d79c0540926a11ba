/* hub/cli/options.h: options and operands of a command line, read by tables.
 *
 * A command says in tables what it takes; reading checks every value against its kind, so that the
 * getters below cannot fail. Both orders work (`tail a --count 3`, `tail --count 3 a`), so do
 * `--name=value`, `-ovalue` and grouped letters; `--` ends the options, and `-` and `-5` are
 * operands.
 *
 * Owns     struct args owns its lists and its error text; the texts themselves stay in argv.
 * Threads  one at a time.       Units  OPTION_SECONDS is read as milliseconds.
 * Errors   false, and args_error() is one sentence that names what is wrong and the nearest right
 * word.
 */
#ifndef WAGGLE_CLI_OPTIONS_H
#define WAGGLE_CLI_OPTIONS_H

#include "store/mem.h"

enum option_kind {
    OPTION_FLAG,
    OPTION_TEXT,
    OPTION_NUMBER,   /* 0 .. 2^63-1 */
    OPTION_FRACTION, /* 0 .. 1 */
    OPTION_SECONDS,  /* "30", "1.5", "250ms", "10s", "5m", "1h", "7d" */
    OPTION_CHOICE,   /* one of option.choices */
    OPTION_PAIR,     /* "key=value" */
    OPTION_FILE,     /* a path; completion offers files */
};

enum { OPTION_MANY = 1, OPTION_REQUIRED = 2 };

struct option {  /* a table ends with a row without name */
    char letter; /* 0: none */
    const char *name;
    enum option_kind kind;
    unsigned how;      /* OPTION_MANY | OPTION_REQUIRED */
    const char *value; /* "FILE" in help */
    const char *help;
    const char *const *choices; /* NULL-terminated */
};

struct operand { /* a table ends with a row without name; only the last may be many */
    const char *name;
    unsigned how; /* OPTION_MANY | OPTION_REQUIRED */
    const char *help;
};

enum { ARGS_TABLES_MAX = 2 };

struct args {
    const struct option *tables[ARGS_TABLES_MAX];
    size_t table_count;
    struct arg_value {
        const struct option *option;
        const char *text; /* NULL for a flag */
    } * values;
    size_t value_count;
    const char **operands;
    size_t operand_count;
    struct buf error; /* NUL-terminated when not empty */
};

void args_done(struct args *a);
void args_add_table(struct args *a, const struct option *table);
const char *args_error(const struct args *a);

/* Reads argv from *at on. With stop_at_operand it returns at the first operand (not taken, *at
 * stands on it); else all of argv is taken. */
bool args_read(struct args *a, int argc, char *const *argv, int *at, bool stop_at_operand);
/* Checks what only the end can tell: required options and the count of operands. */
bool args_check(struct args *a, const struct operand *operands);
/* For a verb that finds two options at odds: sets the error; always false. */
bool args_refuse(struct args *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The name must be in a table: asserted. Of an option given more than once the last value counts.
 */
bool args_has(const struct args *a, const char *name);
const char *args_text(const struct args *a, const char *name); /* NULL: not given */
uint64_t args_number(const struct args *a, const char *name, uint64_t otherwise);
int64_t args_ms(const struct args *a, const char *name, int64_t otherwise);
size_t args_count(const struct args *a, const char *name);
const char *args_nth(const struct args *a, const char *name, size_t i);
const char *args_operand(const struct args *a, size_t i); /* NULL: not given */

/* Reading of single values; false: not of that form. */
bool option_number(const char *text, uint64_t *out);
bool option_ms(const char *text, int64_t *out);

/* Of n words the one that was most likely meant, or NULL when none is near. */
const char *nearest_word(const char *typed, const char *const *words, size_t n);

#endif
