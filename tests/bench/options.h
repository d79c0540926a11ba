/* tests/bench/options.h: a program's options as a table; --help comes from it.
 *
 * Owns     nothing: values point into argv.
 * Threads  any.
 * Errors   --help exits 0; an unknown option or a number out of range exits 2 and names it.
 */
#ifndef WAGGLE_BENCH_OPTIONS_H
#define WAGGLE_BENCH_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "tests/bench/crowd.h"

enum { TARGETS_MAX = 4 };

struct targets {
    struct target list[TARGETS_MAX];
    uint32_t count;
};

/* Exactly one of text and number is set; every option takes a value. */
struct option_row {
    const char *name;
    const char **text;
    uint32_t *number;
    uint32_t min, max; /* of the number */
    const char *help;
};

/* Reads --target, which every program takes, and the options of the table. The values that stand
 * in the table before are the defaults. Ends the program when no target was given. */
void options_read(int argc, char **argv, const char *about, const struct option_row *table,
                  size_t rows, struct targets *out);

#endif
