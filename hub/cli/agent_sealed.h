/* hub/cli/agent_sealed.h: the ballots that an agent has committed to and not shown yet.
 *
 * They and their nonces are in memory alone: who starts again cannot show what it committed to
 * before.
 *
 * Owns     the ballots: the frames that will show them.       Threads  one.
 * Limits   SEALED_MAX of them.
 */
#ifndef WAGGLE_CLI_AGENT_SEALED_H
#define WAGGLE_CLI_AGENT_SEALED_H

#include "store/mem.h"

enum { SEALED_MAX = 1000 };

struct sealed_ballot {
    char *round_id;
    struct buf frame;
};

struct agent_sealed { /* all zero: empty */
    struct sealed_ballot *list;
    unsigned n;
};
void agent_sealed_done(struct agent_sealed *sealed);
bool agent_sealed_full(const struct agent_sealed *sealed);
/* NULL: there is none. */
const struct sealed_ballot *agent_sealed_find(const struct agent_sealed *sealed,
                                              struct slice round_id);
/* Takes the frame over. There is room, and none of this round: asserted. */
void agent_sealed_add(struct agent_sealed *sealed, const char *round_id, struct buf *frame);
void agent_sealed_drop(struct agent_sealed *sealed, struct slice round_id); /* if it is there */

#endif
