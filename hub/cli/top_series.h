/* hub/cli/top_series.h: the last values of one figure, and their line of a few characters.
 *
 * Braille has two values in a character, each up to four dots high; ASCII one, by how dark it is.
 * The highest value of those shown reaches the top.
 *
 * Threads  one.       Limits   SERIES_MAX values.
 */
#ifndef WAGGLE_CLI_TOP_SERIES_H
#define WAGGLE_CLI_TOP_SERIES_H

#include "store/mem.h"

enum { SERIES_MAX = 240 };

struct series { /* all zero at first */
    double values[SERIES_MAX];
    size_t n;
};

void series_add(struct series *s, double value); /* the oldest gives way */
double series_most(const struct series *s);
/* Appends exactly `columns` characters, the newest value at the right end. */
void series_draw(const struct series *s, struct buf *out, size_t columns, bool ascii);

#endif
