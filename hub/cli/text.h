/* hub/cli/text.h: text from elsewhere, made fit for a terminal.
 *
 * What others wrote must not steer the reader's terminal: control characters (C0, DEL, C1) come out
 * as \xNN, bad UTF-8 as U+FFFD, and columns are counted as the terminal counts them.
 * Threads  any, after setlocale().       Units  columns; bytes.
 */
#ifndef WAGGLE_CLI_TEXT_H
#define WAGGLE_CLI_TEXT_H

#include "store/mem.h"

void text_add_clean(struct buf *b, struct slice utf8);
size_t text_columns(struct slice clean);
/* How many bytes of it stand in so many columns. */
size_t text_fits(struct slice clean, size_t columns);
/* Exactly `columns` wide: padded with spaces, or cut with "…" as its last column. */
void text_add_fitted(struct buf *b, struct slice clean, size_t columns, bool right);
/* The same cut in the middle: of names that begin alike the end tells one from another. */
void text_add_id(struct buf *b, struct slice clean, size_t columns);

#endif
