/* hub/cli/secret_file.h: a secret of one line, in a file of its own.
 *
 * It is made when it is not there, whole or not at all, readable by its owner alone.
 *
 * Owns     nothing.       Threads  one.
 * Limits   a line has at most SECRET_LINE_BYTES_MAX bytes.
 * Errors   false; out_why gets a sentence, never the secret.
 * Rules    a file that others may read is refused: it is no secret any more.
 */
#ifndef WAGGLE_CLI_SECRET_FILE_H
#define WAGGLE_CLI_SECRET_FILE_H

#include "store/mem.h"

enum { SECRET_LINE_BYTES_MAX = 158 };

/* Appends the line, without its end. fresh: what a file that is not there is made of; empty: it has
 * to be there. */
bool secret_file_line(const char *path, struct slice fresh, struct buf *out, char *out_why,
                      size_t why_n);

#endif
