/* hub/consensus/module.h: rounds of voting on the writer: commands, deadlines, what they tell the
 * channels.
 *
 * A round freezes question, options, electorate and rule when it opens. It closes when all have
 * voted, at its deadline (a stored timer: a hub that was down closes it when it starts), when no
 * ballot could change the outcome any more (early_close), or when it is cancelled; and then for
 * good. One with commitments takes these first: a hash of each ballot, until all have committed or
 * for so long, and then the ballots that fit. Events go to `consensus.<id>`; opened, revealing and
 * closed to `consensus` as well.
 *
 * The module keeps nothing in memory but its options.
 * Rules    semantics.md section 3, rest-contract.md section 2.
 */
#ifndef WAGGLE_HUB_CONSENSUS_MODULE_H
#define WAGGLE_HUB_CONSENSUS_MODULE_H

#include "hub/consensus/round.h"
#include "hub/core/asker.h"
#include "hub/core/hub.h"

enum { MODULE_CONSENSUS = 3, TIMER_CONSENSUS_DEADLINE = 32, TIMER_CONSENSUS_REVEAL = 33 };

extern const struct module consensus_module;

/* Who hears, on the writer and in the same transaction, that a round has closed: after a tie with a
 * runoff round->runoff names the round that goes on. a->state is the watcher's own module's. What
 * it returns but HUB_OK aborts the batch. */
struct consensus_watcher {
    uint8_t module;
    enum hub_rc (*closed)(struct apply *a, const struct round *round);
};

struct consensus_options {
    const struct consensus_watcher *watchers; /* kept, not copied */
    unsigned watchers_n;
};

/* ---- opening ---- */

struct consensus_member {
    struct slice id; /* an agent's, or the subject of a caller that is none */
    uint32_t weight;
};

struct consensus_spec {
    struct slice owner;     /* who opens it */
    struct slice reference; /* what it is about; a watcher knows its rounds by it. May be empty */
    struct slice question;  /* text */
    struct tally_terms terms;
    bool revote, early_close, open_ballots, signed_only;
    int64_t timeout_ms; /* more than 0 */
    int64_t commit_ms;  /* so much of it is for commitments; 0: there are none */
    const struct slice *options;
    uint32_t options_n;
    const struct consensus_member *members;
    uint32_t members_n;
    struct slice chair; /* a member, for TIE_CHAIR */
    bool waits;         /* whoever asked wants the answer when it closes: comes back in the reply */
};

/* Why not: a sentence for the caller, and the field it is about. */
struct consensus_refusal {
    const char *field;
    char text[160];
};

/* What can be said of a spec without the store. False: see out. */
bool consensus_spec_check(const struct consensus_spec *spec, struct consensus_refusal *out);

struct consensus_opened {
    uint32_t number;
    char id[ROUND_ID_CHARS + 1];
    int64_t opened_ms, deadline_ms;
    bool waits;
};

/* Opens a round for another part of the domain, from its own apply function. Ids and seeds come of
 * a->seed and the round's number. HUB_INVALID: see refusal; nothing was written. */
enum hub_rc consensus_open_inside(struct apply *a, const struct consensus_spec *spec,
                                  struct consensus_opened *out, struct consensus_refusal *refusal);
/* Cancels an open round; one that is closed stays as it is. */
enum hub_rc consensus_cancel_inside(struct apply *a, uint32_t number);

void consensus_spec_put(struct buf *b, const struct consensus_spec *spec);
extern const struct command_kind command_consensus_open; /* body: consensus_spec_put */
bool consensus_opened_get(struct slice reply, struct consensus_opened *out);

/* ---- voting ---- */

struct consensus_vote {
    struct asker asker;
    struct slice round_id, voter;
    struct round_ballot
        ballot; /* vote, sure, signature (verified by who made the command), reason */
};
void consensus_vote_put(struct buf *b, const struct consensus_vote *vote);

enum consensus_vote_answer { VOTE_TAKEN, VOTE_SAME, VOTE_REPLACED, VOTE_VOIDED, VOTE_ANSWERS };
struct consensus_voted {
    enum consensus_vote_answer answer;
    uint32_t version, number;
    int64_t at_ms;
    enum round_status status; /* of the round after it */
    struct slice voter;       /* borrowed from the reply */
};
bool consensus_voted_get(struct slice reply, struct consensus_voted *out);
extern const struct command_kind command_consensus_vote;
/* A ballot that another part of the domain brings, from its own apply function. What it returns but
 * HUB_OK has written nothing. */
enum hub_rc consensus_vote_inside(struct apply *a, const struct consensus_vote *vote);

struct consensus_commit {
    struct asker asker;
    struct slice round_id, voter;
    uint8_t hash[SHA256_BYTES]; /* ballot_commitment() */
};
void consensus_commit_put(struct buf *b, const struct consensus_commit *commit);
extern const struct command_kind command_consensus_commit; /* reply: consensus_voted_get */

/* ---- cancelling ---- */

struct consensus_cancel {
    struct asker asker;
    struct slice round_id, reason; /* reason empty: none was given */
};
void consensus_cancel_put(struct buf *b, const struct consensus_cancel *cancel);
extern const struct command_kind command_consensus_cancel; /* reply: the round's number */

/* Its owner and admins see a round, and so do its members. */
bool round_visible(const struct round *round, const struct asker *asker);

#endif
