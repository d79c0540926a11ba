/* hub/cli/top_command.h: the words that the colon of `waggle top` takes. Each stands for a key, so
 * there is nothing that only one of the two can do; `sort` and `filter` take a rest besides.
 *
 * Threads  one.
 */
#ifndef WAGGLE_CLI_TOP_COMMAND_H
#define WAGGLE_CLI_TOP_COMMAND_H

#include "hub/cli/top_model.h"

enum { TOP_WORDS_MAX = 40 };

/* The words that begin so: views, what can be done in this one, and the others. */
size_t top_command_words(const struct top_model *m, const char *begun,
                         const char *out[TOP_WORDS_MAX]);
/* The key of a word, or of the only one that begins so; 0: none. */
int top_command_key(const struct top_model *m, const char *begun);
/* Makes m->input as long as all words that begin so agree. */
void top_command_complete(struct top_model *m);

#endif
