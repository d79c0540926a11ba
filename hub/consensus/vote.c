/* A ballot: whose it is, whether it is the first of its seat, and what follows from it. */
#include "hub/agents/agent.h"
#include "hub/consensus/module_parts.h"

enum { VERSIONS_MAX = 1000 };

void consensus_vote_put(struct buf *b, const struct consensus_vote *vote)
{
    asker_put(b, &vote->asker);
    pack_slice(b, vote->round_id);
    pack_slice(b, vote->voter);
    round_ballot_pack(b, &vote->ballot);
}

static bool vote_get(struct slice body, struct consensus_vote *out)
{
    struct unpack u = unpack_of(body);
    out->asker = asker_get(&u);
    out->round_id = unpack_slice(&u);
    out->voter = unpack_slice(&u);
    return round_ballot_unpack(&u, &out->ballot) && unpack_done(&u);
}

bool consensus_voted_get(struct slice reply, struct consensus_voted *out)
{
    struct unpack u = unpack_of(reply);
    uint8_t answer = unpack_u8(&u), status = unpack_u8(&u);
    out->version = unpack_u32(&u);
    out->number = unpack_u32(&u);
    out->at_ms = unpack_i64(&u);
    out->voter = unpack_slice(&u);
    out->answer = (enum consensus_vote_answer)answer;
    out->status = (enum round_status)status;
    return unpack_done(&u) && answer < VOTE_ANSWERS && status < ROUND_STATUSES;
}

struct voting {
    struct apply *a;
    struct command *command;
    struct consensus_vote vote;
    struct buf bytes, before_bytes;
    struct round round;
    struct round_seat seat;
    struct round_ballot before; /* the seat's newest; when known */
    bool known;
};

static enum hub_rc answer(struct voting *v, enum consensus_vote_answer what, uint32_t version)
{
    struct buf b = {0};
    pack_u8(&b, (uint8_t)what);
    pack_u8(&b, (uint8_t)v->round.status);
    pack_u32(&b, version);
    pack_u32(&b, v->round.number);
    pack_i64(&b, v->a->now_ms);
    pack_slice(&b, v->vote.voter);
    if (v->command) {
        apply_reply(v->a, v->command, buf_slice(&b));
    }
    buf_done(&b);
    return HUB_OK;
}

/* Whoever is named in no round learns nothing of it; but an agent of the caller's own that has no
 * seat is told so. */
static enum hub_rc not_seated(struct voting *v)
{
    struct agent agent;
    const struct asker *asker = &v->vote.asker;
    enum store_rc rc = agent_find(v->a->view, v->a->app, v->vote.voter, &agent);
    bool own =
        rc == STORE_OK && agent.status != AGENT_DEREGISTERED && asker_sees(asker, agent.owner);
    if (own || round_visible(&v->round, asker)) {
        return apply_refuse(v->a, v->command, HUB_NOT_ELIGIBLE, "", v->vote.voter,
                            " is not in the electorate of the round");
    }
    return apply_refuse(v->a, v->command, HUB_NOT_FOUND, "Round ", v->vote.round_id, " not found");
}

static enum hub_rc find_seat(struct voting *v)
{
    const struct asker *asker = &v->vote.asker;
    struct round row;
    enum store_rc rc = round_find(v->a->view, v->a->app, v->vote.round_id, &row);
    if (rc == STORE_NOT_FOUND) {
        return apply_refuse(v->a, v->command, HUB_NOT_FOUND, "Round ", v->vote.round_id,
                            " not found");
    }
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    round_copy(&row, &v->bytes, &v->round);
    if (!round_seat_find(&v->round, v->vote.voter, &v->seat)) {
        return not_seated(v);
    }
    bool own = asker->all || slice_equal(asker->subject, v->seat.id) ||
               (v->seat.owner.n && slice_equal(asker->subject, v->seat.owner));
    if (own) {
        return HUB_OK;
    }
    if (round_visible(&v->round, asker)) {
        return apply_refuse(v->a, v->command, HUB_FORBIDDEN, "", v->vote.voter,
                            " votes for itself");
    }
    return apply_refuse(v->a, v->command, HUB_NOT_FOUND, "Round ", v->vote.round_id, " not found");
}

static enum hub_rc find_before(struct voting *v)
{
    enum store_rc rc = round_ballot_newest(v->a->view, v->round.number, v->seat.seat, &v->before);
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
    }
    v->known = true;
    buf_add_slice(&v->before_bytes, v->before.signature);
    buf_add_slice(&v->before_bytes, v->before.reason);
    buf_add_slice(&v->before_bytes, v->before.nonce);
    const uint8_t *p = v->before_bytes.p;
    v->before.signature = slice_of(p, v->before.signature.n);
    v->before.reason = slice_of(p + v->before.signature.n, v->before.reason.n);
    v->before.nonce = slice_of(p + v->before.signature.n + v->before.reason.n, v->before.nonce.n);
    return HUB_OK;
}

static enum hub_rc keep(struct voting *v, enum round_ballot_fate fate, const char *event)
{
    struct round_ballot *ballot = &v->vote.ballot;
    ballot->round = v->round.number;
    ballot->vote.seat = v->seat.seat;
    ballot->version = v->known ? v->before.version + 1 : 1;
    ballot->fate = fate;
    ballot->at_ms = v->a->now_ms;
    enum store_rc rc = round_ballot_put(v->a->txn, ballot);
    return rc == STORE_OK ? round_tell_ballot(v->a, &v->round, v->seat.id, ballot, event)
                          : hub_rc_of_store(rc);
}

static enum hub_rc mark_before(struct voting *v, enum round_ballot_fate fate)
{
    v->before.fate = fate;
    return hub_rc_of_store(round_ballot_put(v->a->txn, &v->before));
}

/* What comes late is kept once a seat, as evidence; nothing counts it. */
static enum hub_rc late(struct voting *v)
{
    enum hub_rc rc = HUB_OK;
    if (v->round.status != ROUND_CANCELLED && !(v->known && v->before.fate == BALLOT_LATE)) {
        rc = keep(v, BALLOT_LATE, "late_ballot");
    }
    return rc == HUB_OK ? apply_refuse(v->a, v->command, HUB_ROUND_CLOSED, "the round is closed: ",
                                       slice_str(round_status_name(v->round.status)), "")
                        : rc;
}

static bool settled(struct voting *v, enum hub_rc *out_rc)
{
    struct paper paper;
    enum store_rc rc = round_paper(v->a->view, &v->round, &paper);
    *out_rc = hub_rc_of_store(rc);
    if (rc != STORE_OK) {
        return false;
    }
    bool yes = paper_settled(&paper);
    paper_done(&paper);
    return yes;
}

static enum hub_rc after_ballot(struct voting *v)
{
    struct round *r = &v->round;
    enum hub_rc rc = HUB_OK;
    if (r->voted_n + r->voided_n == (r->reveal_ms ? r->committed_n : r->seats_n)) {
        return round_close(v->a, r, ROUND_STOP_ALL_VOTED);
    }
    if (r->early_close && !r->revote && settled(v, &rc)) {
        return round_close(v->a, r, ROUND_STOP_SETTLED);
    }
    return rc == HUB_OK ? hub_rc_of_store(round_put_state(v->a->txn, r)) : rc;
}

static enum hub_rc first_ballot(struct voting *v)
{
    v->round.voted_n++;
    v->round.voted_weight += v->seat.weight;
    enum hub_rc rc = keep(v, BALLOT_COUNTS, "ballot");
    return rc == HUB_OK ? after_ballot(v) : rc;
}

static enum hub_rc replace_ballot(struct voting *v)
{
    if (v->before.version >= VERSIONS_MAX) {
        return apply_refuse(v->a, v->command, HUB_LIMIT, "", v->vote.voter,
                            " has changed its vote too often");
    }
    enum hub_rc rc = mark_before(v, BALLOT_REPLACED);
    return rc == HUB_OK ? keep(v, BALLOT_COUNTS, "ballot") : rc;
}

/* Two different ballots under one key are a proof: both are kept, neither counts. */
static enum hub_rc void_seat(struct voting *v)
{
    v->round.voted_n--;
    v->round.voided_n++;
    v->round.voted_weight -= v->seat.weight;
    enum hub_rc rc = mark_before(v, BALLOT_VOIDED);
    if (rc == HUB_OK) {
        rc = keep(v, BALLOT_VOIDED, "equivocation");
    }
    return rc == HUB_OK ? after_ballot(v) : rc;
}

/* ---- commitments ---- */

static enum hub_rc begin_reveal(struct apply *a, struct round *r)
{
    r->revealing = true;
    enum store_rc rc = round_put_state(a->txn, r);
    return rc == STORE_OK ? round_tell_revealing(a, r) : hub_rc_of_store(rc);
}

/* The time is what counts, not whether its timer has come yet. */
static bool commits_no_more(const struct voting *v)
{
    return v->round.revealing || v->a->now_ms >= v->round.reveal_ms;
}

static bool fits_commitment(const struct voting *v, const uint8_t wanted[SHA256_BYTES])
{
    const struct round *r = &v->round;
    uint8_t hash[SHA256_BYTES];
    struct paper paper;
    round_paper_frozen(r, &paper);
    ballot_commitment(hash, r->id, r->digest, v->seat.id, tally_form_of(r->terms.rule),
                      paper.options, &v->vote.ballot);
    paper_done(&paper);
    return memcmp(hash, wanted, sizeof hash) == 0;
}

/* Whether this ballot may be taken now: in a round with commitments only the one committed to. */
static enum hub_rc check_reveal(struct voting *v)
{
    uint8_t wanted[SHA256_BYTES];
    if (!v->round.reveal_ms) {
        return HUB_OK;
    }
    if (!commits_no_more(v)) {
        return apply_refuse(v->a, v->command, HUB_CONFLICT, "", v->vote.voter,
                            " commits to a ballot first; ballots are shown later");
    }
    enum store_rc rc = round_commitment_get(v->a->view, v->round.number, v->seat.seat, wanted);
    if (rc == STORE_NOT_FOUND) {
        return apply_refuse(v->a, v->command, HUB_NOT_ELIGIBLE, "", v->vote.voter,
                            " has committed to no ballot");
    }
    if (rc == STORE_OK && !fits_commitment(v, wanted)) {
        return apply_refuse(v->a, v->command, HUB_INVALID, "nonce: ", v->vote.voter,
                            " has not committed to this ballot with this nonce");
    }
    return rc == STORE_OK && !v->round.revealing ? begin_reveal(v->a, &v->round)
                                                 : hub_rc_of_store(rc);
}

void consensus_commit_put(struct buf *b, const struct consensus_commit *commit)
{
    asker_put(b, &commit->asker);
    pack_slice(b, commit->round_id);
    pack_slice(b, commit->voter);
    buf_add(b, commit->hash, sizeof commit->hash);
}

static enum hub_rc commit_new(struct voting *v, const uint8_t hash[SHA256_BYTES])
{
    struct round *r = &v->round;
    if (!r->reveal_ms || (r->status == ROUND_OPEN && commits_no_more(v))) {
        return apply_refuse(v->a, v->command, HUB_CONFLICT,
                            r->reveal_ms ? "ballots are shown by now: " : "no commitments: ", r->id,
                            "");
    }
    if (r->status != ROUND_OPEN) {
        return apply_refuse(v->a, v->command, HUB_ROUND_CLOSED,
                            "the round is closed: ", slice_str(round_status_name(r->status)), "");
    }
    enum store_rc rc = round_commitment_put(v->a->txn, r->number, v->seat.seat, hash, v->a->now_ms);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    r->committed_n++;
    enum hub_rc out = round_tell_committed(v->a, r, v->seat.id);
    if (out == HUB_OK) {
        out = r->committed_n == r->seats_n ? begin_reveal(v->a, r)
                                           : hub_rc_of_store(round_put_state(v->a->txn, r));
    }
    return out == HUB_OK ? answer(v, VOTE_TAKEN, 0) : out;
}

/* The same again is no fault, whenever it comes: an answer may have been lost. */
static enum hub_rc commit(struct voting *v, const uint8_t hash[SHA256_BYTES])
{
    uint8_t before[SHA256_BYTES];
    enum store_rc rc = round_commitment_get(v->a->view, v->round.number, v->seat.seat, before);
    if (rc == STORE_NOT_FOUND) {
        return commit_new(v, hash);
    }
    if (rc == STORE_OK && memcmp(before, hash, SHA256_BYTES) != 0) {
        return apply_refuse(v->a, v->command, HUB_ALREADY_VOTED, "", v->vote.voter,
                            " has committed to another ballot already");
    }
    return rc == STORE_OK ? answer(v, VOTE_SAME, 0) : hub_rc_of_store(rc);
}

static enum hub_rc commit_apply(struct apply *a, struct command *command, struct slice body)
{
    struct voting v = {.a = a, .command = command};
    struct unpack u = unpack_of(body);
    v.vote.asker = asker_get(&u);
    v.vote.round_id = unpack_slice(&u);
    v.vote.voter = unpack_slice(&u);
    const uint8_t *hash = unpack_bytes(&u, SHA256_BYTES);
    enum hub_rc rc = unpack_done(&u) ? find_seat(&v) : HUB_BAD_REQUEST;
    if (rc == HUB_OK) {
        rc = commit(&v, hash);
    }
    buf_done(&v.bytes);
    return rc;
}

const struct command_kind command_consensus_commit = {
    .name = "consensus.commit", .apply = commit_apply, .module = MODULE_CONSENSUS};

/* Time is up for commitments; without any there is nothing that could be shown. */
static enum hub_rc reveal_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    uint32_t number = unpack_u32(&u);
    struct round row, round;
    struct buf bytes = {0};
    (void)command;
    enum store_rc rc = unpack_done(&u) ? round_get(a->view, number, &row) : STORE_DAMAGED;
    if (rc != STORE_OK || row.status != ROUND_OPEN || row.revealing) {
        return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
    }
    round_copy(&row, &bytes, &round);
    enum hub_rc out =
        round.committed_n ? begin_reveal(a, &round) : round_close(a, &round, ROUND_STOP_DEADLINE);
    buf_done(&bytes);
    return out;
}

const struct command_kind command_consensus_reveal = {
    .name = "consensus.reveal", .apply = reveal_apply, .module = MODULE_CONSENSUS};

/* ---- casting ---- */

static enum hub_rc take(struct voting *v)
{
    const struct round_ballot *ballot = &v->vote.ballot;
    bool same = v->known && v->before.fate != BALLOT_LATE && v->before.sure == ballot->sure &&
                round_ballot_same(&v->before.vote, &ballot->vote);
    enum consensus_vote_answer what = VOTE_TAKEN;
    enum hub_rc rc;
    if (v->known && v->before.fate == BALLOT_VOIDED) {
        return answer(v, VOTE_VOIDED, v->before.version);
    }
    if (same) {
        return answer(v, VOTE_SAME, v->before.version);
    }
    if (v->round.status != ROUND_OPEN) {
        return late(v);
    }
    rc = check_reveal(v);
    if (rc != HUB_OK) {
        return rc;
    }
    if (!v->known) {
        rc = first_ballot(v);
    } else if (v->round.terms.rule == RULE_BFT) {
        what = VOTE_VOIDED;
        rc = void_seat(v);
    } else if (v->round.revote) {
        what = VOTE_REPLACED;
        rc = replace_ballot(v);
    } else {
        return apply_refuse(v->a, v->command, HUB_ALREADY_VOTED, "", v->vote.voter,
                            " has voted otherwise already");
    }
    return rc == HUB_OK ? answer(v, what, v->vote.ballot.version) : rc;
}

/* Options are named by their places, which whoever made the command took from this round. */
static bool ballot_fits(const struct voting *v)
{
    const struct tally_ballot *vote = &v->vote.ballot.vote;
    enum tally_form form = tally_form_of(v->round.terms.rule);
    bool wanted = form != FORM_SCORE && !vote->abstains;
    for (uint32_t i = 0; i < vote->choices_n; i++) {
        if (vote->choices[i] >= v->round.options_n) {
            return false;
        }
    }
    return wanted == (vote->choices_n > 0) && (form != FORM_ONE || vote->choices_n <= 1) &&
           (!v->round.signed_only || v->vote.ballot.signature.n == SIGNATURE_BYTES);
}

static enum hub_rc cast(struct voting *v)
{
    enum hub_rc rc = find_seat(v);
    if (rc == HUB_OK && !ballot_fits(v)) {
        rc = HUB_BAD_REQUEST;
    }
    if (rc == HUB_OK) {
        rc = find_before(v);
    }
    if (rc == HUB_OK) {
        rc = take(v);
    }
    buf_done(&v->bytes);
    buf_done(&v->before_bytes);
    return rc;
}

static enum hub_rc vote_apply(struct apply *a, struct command *command, struct slice body)
{
    struct voting v = {.a = a, .command = command};
    return vote_get(body, &v.vote) ? cast(&v) : HUB_BAD_REQUEST;
}

enum hub_rc consensus_vote_inside(struct apply *a, const struct consensus_vote *vote)
{
    struct voting v = {.a = a, .vote = *vote};
    void *own = a->state;
    a->state = writer_module(a->writer, MODULE_CONSENSUS);
    enum hub_rc rc = cast(&v);
    a->state = own;
    return rc;
}

const struct command_kind command_consensus_vote = {
    .name = "consensus.vote", .apply = vote_apply, .module = MODULE_CONSENSUS};
