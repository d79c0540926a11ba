/* hub/cli/agent_ballot.h: the ballot that an agent casts in a round, and its signature.
 *
 * How it votes, `how`:
 *   first      the first option
 *   random     one option by chance, which the round's digest and the agent's id decide: asked
 *              again, it is the same
 *   else       by a command, whose words are given: an option; several, a line each, best first; or
 *              a score. No words at all abstain.
 * `first` and `random` abstain under the score rules, which have no options.
 *
 * In a round with commitments the agent commits to a ballot and a nonce first, and the same ballot
 * is shown later.
 *
 * Threads  any: pure.
 * Errors   false; out_why gets a sentence.
 * Rules    docs/certificates.md: what is signed.
 */
#ifndef WAGGLE_CLI_AGENT_BALLOT_H
#define WAGGLE_CLI_AGENT_BALLOT_H

#include "auth/signing.h"
#include "channels/json_out.h"

struct agent_voter {
    const char *id;
    const char *how;
    const struct signing *keys; /* NULL: ballots are not signed */
    const double *confidence;   /* NULL: it does not say how sure it is */
};

bool agent_voter_asks_command(const struct agent_voter *voter);

enum agent_ballot_due {
    BALLOT_DUE_NOTHING, /* no seat, or voted, or not open, or not committed to in time */
    BALLOT_DUE_VOTE,
    BALLOT_DUE_COMMITMENT,
    BALLOT_DUE_LATER, /* committed to; not shown yet */
    BALLOT_DUE_REVEAL,
};
/* What the round, as the hub shows it, wants of the agent now. */
enum agent_ballot_due agent_ballot_due(const struct agent_voter *voter, struct slice round);

/* Puts the members of consensus.vote into an object: round_id, voter, the vote, the signature when
 * the round knows the agent's key, and the nonce. words: what the command printed. nonce: empty in
 * a round without commitments. */
bool agent_ballot_put(struct json_out *o, const struct agent_voter *voter, struct slice round,
                      struct slice words, struct slice nonce, char *out_why, size_t why_n);
/* The members of consensus.commit, for that ballot: round_id, voter, commitment. */
bool agent_ballot_put_commitment(struct json_out *o, const struct agent_voter *voter,
                                 struct slice round, struct slice words, struct slice nonce,
                                 char *out_why, size_t why_n);
/* A nonce that nobody has had before, as text. */
void agent_ballot_nonce(struct buf *out);

#endif
