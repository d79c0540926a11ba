/* hub/swarms/verdict.h: what a swarm agrees on about a piece of its work: a round of consensus
 * whose electorate is the work's members.
 *
 * What members answered are their ballots: those that are there when the round opens, and those
 * that come while it is open. Where there are neither answers nor options the question is whether
 * the work is approved, and members vote as in any round.
 *
 * Threads  the writer, within apply functions.
 * Rules    rest-contract.md section 2, semantics.md section 3.
 */
#ifndef WAGGLE_HUB_SWARMS_VERDICT_H
#define WAGGLE_HUB_SWARMS_VERDICT_H

#include "hub/consensus/module.h"
#include "hub/swarms/module.h"

struct swarm_consensus {
    struct asker asker;
    struct slice task_id;
    enum tally_rule rule;
    struct tally_fraction threshold; /* supermajority */
    bool rule_said, threshold_said;  /* else that of the round that is open will do */
    int64_t timeout_ms;
    int64_t wait_ms;      /* comes back with the reply */
    struct words options; /* none: the answers that there are */
};
void swarm_consensus_put(struct buf *b, const struct swarm_consensus *consensus);
/* Reply: the round's number. A round about the same work under the same terms is that one; while it
 * is open, other terms are refused (HUB_CONFLICT names what differs), later they open a new one. */
extern const struct command_kind command_swarm_consensus;
bool swarm_verdict_get(struct slice reply, uint32_t *out_round, int64_t *out_wait_ms);

/* A part of a work about which a round is open was done: its result is a ballot. */
enum hub_rc verdict_answered(struct apply *a, const struct work *work,
                             const struct work_part *part);

#endif
