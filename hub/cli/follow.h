/* hub/cli/follow.h: staying with one thing of the hub until it has ended.
 *
 * Its channel's events are printed as they come, from the first; after each, the hub is asked for
 * the thing itself, over the same connection, and once its status is a final one and the events up
 * to there are printed, it is shown and the exit code tells how it ended. A lost connection is made
 * again without a word and goes on behind the last event; only a hub that stays away is told of.
 *
 * Threads  one.       Errors  CLI_FAILED when it ended badly, CLI_TIMEOUT past --within.
 */
#ifndef WAGGLE_CLI_FOLLOW_H
#define WAGGLE_CLI_FOLLOW_H

#include "hub/cli/cli.h"

struct follow {
    const char *id;      /* where the answer to the request has the thing's id; NULL: an operand */
    const char *channel; /* "task.": the id follows */
    const char *method;  /* of `call`, for the thing itself */
    const char *param;   /* its parameter that takes the id */
    const char *member;  /* of its result: the thing; NULL: all of it */
    const char *show_id; /* path of the id within, for -o id */
    const char *owner;   /* a member of the answer, after whose value the channel is named instead,
                            and a parameter of the call too: only events that name the thing count */
};

#define FOLLOW_OPTION_WITHIN                                                                       \
    {                                                                                              \
        0, "within", OPTION_SECONDS, 0, "TIME", "give up following after so long: exit 6", NULL    \
    }
#define FOLLOW_OPTIONS                                                                             \
    {'f', "follow", OPTION_FLAG, 0, NULL, "print its events, and end when it has ended", NULL},    \
        FOLLOW_OPTION_WITHIN

/* owner: NULL unless follow->owner. */
enum cli_exit follow_run(struct cli *cli, const struct follow *follow, const char *id,
                         const char *owner);

/* Whether a thing in this status can still change; *out says how it ended otherwise. */
bool follow_is_final(struct slice status, enum cli_exit *out);

#endif
