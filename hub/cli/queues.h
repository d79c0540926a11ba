/* hub/cli/queues.h: the queues as a list, made of the hub's answer, where sizes and the names of
 * those that are paused stand apart.
 *
 * Threads  any.
 */
#ifndef WAGGLE_CLI_QUEUES_H
#define WAGGLE_CLI_QUEUES_H

#include "hub/cli/output.h"

extern const struct column queue_columns[];
/* answer: of tasks.queues. Appends an array of {"priority", "waiting", "status"}. */
void queues_list(struct slice answer, struct buf *out);

#endif
