/* hub/consensus/module_parts.h: what the files of the module share: opening (open.c), voting
 * (vote.c), closing (module.c), and what the channels are told of it (tell.c). Included by these
 * only. */
#ifndef WAGGLE_HUB_CONSENSUS_MODULE_PARTS_H
#define WAGGLE_HUB_CONSENSUS_MODULE_PARTS_H

#include "hub/consensus/module.h"
#include "hub/core/why.h"

enum hub_rc round_tell_opened(struct apply *a, const struct round *round);
/* result: NULL when nothing was counted. */
enum hub_rc round_tell_closed(struct apply *a, const struct paper *paper, const struct round *round,
                              const struct tally_result *result, const struct why *why);
/* A sealed ballot tells that somebody voted; what, only when the round is closed. */
enum hub_rc round_tell_ballot(struct apply *a, const struct round *round, struct slice voter,
                              const struct round_ballot *ballot, const char *event);

enum hub_rc round_tell_committed(struct apply *a, const struct round *round, struct slice voter);
/* From now on ballots are taken. */
enum hub_rc round_tell_revealing(struct apply *a, const struct round *round);

/* What is drawn for a round: its id and the seed of a random tie. */
void round_draw(struct round *round, const uint8_t seed[16], const char *what,
                char id[UUID_CHARS + 1]);
/* Rows, digest, deadline; and tells it. */
enum hub_rc round_store_opened(struct apply *a, struct round *round);
/* Counts and closes; round is a copy, as rows move. */
enum hub_rc round_close(struct apply *a, struct round *round, enum round_stop stop);

extern const struct command_kind command_consensus_reveal; /* of a timer; body: number (4) */

#endif
