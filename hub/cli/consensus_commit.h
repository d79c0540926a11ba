/* hub/cli/consensus_commit.h: a ballot that is committed to first and shown later.
 *
 * The nonce is in its file before the commitment is sent, so that no commitment is ever made to a
 * ballot that cannot be shown.
 *
 * Threads  one.
 * Errors   an exit code; the sentence is on stderr.
 */
#ifndef WAGGLE_CLI_CONSENSUS_COMMIT_H
#define WAGGLE_CLI_CONSENSUS_COMMIT_H

#include "hub/cli/request.h"

enum cli_exit consensus_commit_run(struct cli *cli);
enum cli_exit consensus_vote_run(struct cli *cli);

#endif
