/* hub/cli/agent_votes.h: the rounds of voting in which an agent has a seat: heard of, looked at,
 * voted in.
 *
 * It hears of rounds on the channel `consensus` and, after each registration, by asking for those
 * that are open. One at a time is looked at; where the agent has a seat that has not voted, it
 * casts a ballot (hub/cli/agent_ballot.h). A command gets the round on its stdin; a code other than
 * 0 is no ballot. In a round with commitments it commits to that ballot, goes on with other rounds,
 * and shows it when the round reveals.
 *
 * Owns     its process, the ids of rounds that wait, the ballot on its way.       Threads  one.
 * Units    milliseconds of the steady clock.
 * Limits   VOTES_WAITING_MAX rounds wait; when there were more, it asks again later. SEALED_MAX
 *          ballots wait to be shown (hub/cli/agent_sealed.h); it commits to no more.
 * Rules    A ballot whose answer was lost is sent again as it was: under bft another one would void
 *          the seat.
 */
#ifndef WAGGLE_CLI_AGENT_VOTES_H
#define WAGGLE_CLI_AGENT_VOTES_H

#include "hub/cli/agent_ballot.h"
#include "hub/cli/hub_frame.h"

enum { VOTES_WAITING_MAX = 1000 };

struct agent_votes;

struct agent_votes_options {
    struct agent_voter voter;
    void (*send)(void *ctx, struct slice frame);
    void (*say)(void *ctx, const char *round_id, const char *what);
    void *ctx;
};
struct agent_votes *agent_votes_new(const struct agent_votes_options *options);
/* NULL is fine; kills what still runs, and says which ballots will not be shown. */
void agent_votes_free(struct agent_votes *votes);

/* The connection is there again: what was not answered is said again. */
void agent_votes_registered(struct agent_votes *votes);
/* True for frames that were about rounds: nobody else need look at them. */
bool agent_votes_frame(struct agent_votes *votes, const struct hub_frame *frame);
void agent_votes_reap(struct agent_votes *votes);             /* after SIGCHLD */
void agent_votes_turn(struct agent_votes *votes);             /* what is due */
int64_t agent_votes_next_ms(const struct agent_votes *votes); /* INT64_MAX: nothing */
void agent_votes_stop(struct agent_votes *votes);             /* no new rounds */
bool agent_votes_busy(
    const struct agent_votes *votes); /* a ballot is being made or cast, or waits to be shown */
void agent_votes_signal(struct agent_votes *votes, int signal);

#endif
