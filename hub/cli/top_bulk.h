/* hub/cli/top_bulk.h: one action on many: a call for each, a few on their way at a time, and what
 * came of them.
 *
 * Owns     the ids and the reason.       Threads  one.       Limits   BULK_WAITING_MAX unanswered.
 */
#ifndef WAGGLE_CLI_TOP_BULK_H
#define WAGGLE_CLI_TOP_BULK_H

#include "hub/cli/top_model.h"

enum { BULK_WAITING_MAX = 8 };

struct top_bulk { /* all zero: nothing is being done */
    const struct top_action *action;
    char **ids;
    size_t n, sent, answered, refused;
    char reason[TOP_INPUT_BYTES_MAX];
    char why[160]; /* the first was refused */
};

void top_bulk_begin(struct top_bulk *b, const struct top_action *action, char **ids, size_t n,
                    const char *reason);
void top_bulk_done(struct top_bulk *b);
bool top_bulk_is_busy(const struct top_bulk *b);
/* The parameters of the next call, appended; false: none may be sent now. */
bool top_bulk_next(struct top_bulk *b, struct buf *params);
/* refusal: empty when it was done. */
void top_bulk_answer(struct top_bulk *b, struct slice refusal);
/* In a sentence: how far it is, or what came of it. */
void top_bulk_say(const struct top_bulk *b, struct top_model *m);

#endif
