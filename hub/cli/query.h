/* hub/cli/query.h: `--query`: a part of an answer, by JSON pointer or by a path of names.
 *
 *     /agents/0/agent_id      RFC 6901
 *     agents.0.agent_id       the same
 *     agents.*.agent_id       of every item (or member): a line each
 *
 * Owns     nothing: what is found is borrowed from the value.
 * Threads  any.
 */
#ifndef WAGGLE_CLI_QUERY_H
#define WAGGLE_CLI_QUERY_H

#include "store/mem.h"

/* Calls visit for every value that the query names; returns how many. value is checked JSON. */
size_t query_each(struct slice value, const char *query,
                  void (*visit)(void *ctx, struct slice found), void *ctx);

#endif
