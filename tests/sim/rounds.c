/* Rounds of voting by seeds: opened, committed to, voted in, changed, cancelled and left to their
 * deadlines, while the disk fails and the power is cut.
 *
 * Judged is what the outside was told. A round that was acknowledged is there; a ballot that was
 * acknowledged is the seat's and is counted once; an outcome, once it was seen, is the outcome for
 * good, is told once, and is what a count of the stored ballots gives. After each start the same
 * holds, and a deadline that passed meanwhile is kept. In a round with commitments what is counted
 * is what was shown and had been committed to: with another nonce, or another vote, no ballot is
 * ever taken. */
#include "tests/sim/sim.h"
#include "store/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ROUNDS_MAX = 60,
    SEATS = 7,
    OPTIONS = 3,
    ACTIONS = 300,
    ASKED_OPEN = 1,
    ASKED_VOTE,
    ASKED_CANCEL,
    ASKED_COMMIT,
    WRONG_NONCE = 0x80, /* in a ticket, beside the choice */
    LATE_STEPS = 3      /* a round past its deadline may be open for so many steps */
};

struct seat_state {
    bool sure;      /* a ballot of it was acknowledged, and none is under way */
    uint8_t choice; /* that one */
    uint32_t version;
    bool asked[OPTIONS]; /* a commitment to this choice was sent */
    bool committed;      /* and one was acknowledged: */
    uint8_t meant;
};

struct round_state {
    char id[ROUND_ID_CHARS + 1];
    uint32_t number, options_n;
    bool revote, commits, closed;
    uint8_t digest[SHA256_BYTES];
    char options[OPTIONS]; /* a letter each */
    struct seat_state seats[SEATS];
    enum round_status status; /* when closed */
    int winner;
    int64_t closed_ms;
    unsigned overdue;
};

struct rounds {
    struct world *w;
    struct scene scene;
    struct round_state list[ROUNDS_MAX];
    unsigned n;
};

static struct slice seat_name(unsigned seat, char out[16])
{
    return slice_of(out, (size_t)snprintf(out, 16, "seat-%u", seat));
}

/* ---- asking ---- */

static void do_open(struct rounds *s)
{
    static const enum tally_rule rules[] = {RULE_PLURALITY, RULE_MAJORITY, RULE_SUPERMAJORITY,
                                            RULE_UNANIMOUS, RULE_WEIGHTED, RULE_CONFIDENCE};
    struct rng *r = &s->w->rng;
    struct slice options[OPTIONS] = {slice_str("a"), slice_str("b"), slice_str("c")};
    struct consensus_member members[SEATS];
    struct buf body = {0};
    char names[SEATS][16];
    for (unsigned i = 0; i < SEATS; i++) {
        members[i] = (struct consensus_member){.id = seat_name(i, names[i]),
                                               .weight = 1 + (rng_percent(r, 20) ? 2 : 0)};
    }
    struct consensus_spec spec = {.owner = slice_str("boss"),
                                  .question = slice_str("?"),
                                  .terms = {.rule = rules[rng_below(r, 6)],
                                            .threshold = {2, 3},
                                            .quorum = {1, 2},
                                            .quorum_exceeds = true,
                                            .tie = (enum tally_tie)rng_below(r, TALLY_TIES)},
                                  .revote = rng_percent(r, 30),
                                  .early_close = rng_percent(r, 40),
                                  .open_ballots = rng_percent(r, 30),
                                  .timeout_ms = 2 + rng_below(r, 20000),
                                  .options = options,
                                  .options_n = OPTIONS,
                                  .members = members,
                                  .members_n = 1 + rng_below(r, SEATS)};
    spec.chair = members[0].id;
    if (!spec.revote && !spec.early_close && rng_percent(r, 60)) {
        spec.commit_ms = 1 + rng_below(r, (uint32_t)spec.timeout_ms / 2);
    }
    consensus_spec_put(&body, &spec);
    scene_ask(&s->scene, &command_consensus_open, (uint64_t)ASKED_OPEN << 32, &body);
}

/* Each choice of a seat has a nonce of its own. */
static struct slice nonce_of(unsigned round, unsigned seat, unsigned choice, char out[48])
{
    return slice_of(
        out, (size_t)snprintf(out, 48, "nonce of round %u, seat %u: %u", round, seat, choice));
}

static void commitment_of(const struct rounds *s, unsigned i, unsigned seat, unsigned choice,
                          uint8_t out[SHA256_BYTES])
{
    const struct round_state *round = &s->list[i];
    char name[16], nonce[48];
    struct slice options[OPTIONS];
    for (unsigned o = 0; o < OPTIONS; o++) {
        options[o] = slice_of(&round->options[o], 1);
    }
    struct round_ballot ballot = {
        .vote = {.choices = {(uint8_t)choice}, .choices_n = 1, .confidence = TALLY_ONE},
        .nonce = nonce_of(i, seat, choice, nonce)};
    ballot_commitment(out, slice_str(round->id), round->digest, seat_name(seat, name), FORM_ONE,
                      options, &ballot);
}

static void do_commit(struct rounds *s, unsigned i, unsigned seat)
{
    struct rng *r = &s->w->rng;
    struct round_state *round = &s->list[i];
    struct seat_state *state = &round->seats[seat];
    unsigned choice = rng_below(r, round->options_n);
    char name[16];
    struct consensus_commit commit = {.asker = {.subject = seat_name(seat, name)},
                                      .round_id = slice_str(round->id),
                                      .voter = seat_name(seat, name)};
    struct buf body = {0};
    if (state->committed && rng_percent(r, 70)) { /* its answer may have been lost: again */
        choice = state->meant;
    }
    state->asked[choice] = true;
    commitment_of(s, i, seat, choice, commit.hash);
    consensus_commit_put(&body, &commit);
    scene_ask(&s->scene, &command_consensus_commit,
              (uint64_t)ASKED_COMMIT << 32 | i << 16 | seat << 8 | choice, &body);
}

/* Commitments and ballots have to come together in one round to mean anything: often it is the
 * newest that is open and takes them. */
static unsigned pick_round(struct rounds *s)
{
    unsigned i = s->n;
    while (i > 0 && (s->list[i - 1].closed || !s->list[i - 1].commits)) {
        i--;
    }
    return i > 0 && rng_percent(&s->w->rng, 50) ? i - 1 : rng_below(&s->w->rng, s->n);
}

static void do_vote(struct rounds *s)
{
    struct rng *r = &s->w->rng;
    char name[16], nonce[48];
    unsigned i = pick_round(s), seat = rng_below(r, SEATS);
    const struct round_state *round = &s->list[i];
    if (round->commits && rng_percent(r, 40)) {
        do_commit(s, i, seat);
        return;
    }
    unsigned choice = rng_below(r, round->options_n);
    struct consensus_vote vote = {
        .asker = {.subject = seat_name(seat, name)},
        .round_id = slice_str(round->id),
        .voter = seat_name(seat, name),
        .ballot = {
            .vote = {.choices = {(uint8_t)choice}, .choices_n = 1, .confidence = TALLY_ONE}}};
    struct buf body = {0};
    if (round->seats[seat].sure && rng_percent(r, 40)) { /* its answer may have been lost: again */
        vote.ballot.vote.choices[0] = round->seats[seat].choice;
    } else if (round->seats[seat].committed && rng_percent(r, 60)) {
        vote.ballot.vote.choices[0] = round->seats[seat].meant;
    }
    uint64_t said = vote.ballot.vote.choices[0];
    if (round->commits) {
        bool wrong = rng_percent(r, 20);
        vote.ballot.nonce = nonce_of(i + wrong, seat, vote.ballot.vote.choices[0], nonce);
        said |= wrong ? WRONG_NONCE : 0;
    }
    consensus_vote_put(&body, &vote);
    scene_ask(&s->scene, &command_consensus_vote,
              (uint64_t)ASKED_VOTE << 32 | i << 16 | seat << 8 | said, &body);
}

static void do_cancel(struct rounds *s)
{
    unsigned i = rng_below(&s->w->rng, s->n);
    struct consensus_cancel cancel = {.asker = {.subject = slice_str("boss")},
                                      .round_id = slice_str(s->list[i].id)};
    struct buf body = {0};
    consensus_cancel_put(&body, &cancel);
    scene_ask(&s->scene, &command_consensus_cancel, (uint64_t)ASKED_CANCEL << 32 | i, &body);
}

/* ---- answers ---- */

static void add_round(struct rounds *s, const char *id, uint32_t number, uint32_t options_n)
{
    SIM_CHECK(s->w, s->n < ROUNDS_MAX, "too many rounds");
    struct round_state *round = &s->list[s->n++];
    *round = (struct round_state){.number = number, .options_n = options_n};
    memcpy(round->id, id, sizeof round->id);
    s->w->counts.rounds++;
}

/* What a ticket says. */
struct asked {
    struct round_state *round;
    struct seat_state *seat;
    uint8_t choice;
    bool wrong_nonce;
};

static struct asked asked_of(struct rounds *s, const struct command *command)
{
    struct round_state *round = &s->list[command->ticket >> 16 & 0xFF];
    return (struct asked){.round = round,
                          .seat = &round->seats[command->ticket >> 8 & 0xFF],
                          .choice = command->ticket & (WRONG_NONCE - 1),
                          .wrong_nonce = (command->ticket & WRONG_NONCE) != 0};
}

static bool fits(const struct asked *asked)
{
    return !asked->wrong_nonce && asked->seat->committed && asked->seat->meant == asked->choice;
}

static void vote_refused(struct rounds *s, const struct asked *asked, enum hub_rc rc)
{
    bool commits = asked->round->commits;
    SIM_CHECK(s->w, rc != HUB_INVALID || (commits && !fits(asked)),
              "a ballot that was committed to is refused");
    SIM_CHECK(s->w, rc != HUB_NOT_ELIGIBLE || (commits && !asked->seat->committed),
              "an acknowledged commitment is not known");
    SIM_CHECK(s->w, rc != HUB_CONFLICT || commits, "a ballot comes too early");
    SIM_CHECK(s->w,
              rc == HUB_INVALID || rc == HUB_NOT_ELIGIBLE || rc == HUB_CONFLICT ||
                  rc == HUB_ROUND_CLOSED || rc == HUB_ALREADY_VOTED || rc == HUB_NOT_FOUND ||
                  rc == HUB_STORE_FULL || rc == HUB_LIMIT,
              "a vote: %s", hub_error(rc)->code);
}

static void voted(struct rounds *s, const struct command *command, struct slice reply)
{
    struct asked asked = asked_of(s, command);
    struct round_state *round = asked.round;
    struct seat_state *seat = asked.seat;
    struct consensus_voted v;
    if (command->rc != HUB_OK) {
        vote_refused(s, &asked, (enum hub_rc)command->rc);
        return;
    }
    SIM_CHECK(s->w, consensus_voted_get(reply, &v), "no answer to a vote");
    SIM_CHECK(s->w, v.answer != VOTE_TAKEN || !seat->sure, "a seat's first ballot was taken twice");
    /* … or as one whose answer was lost with the power. */
    SIM_CHECK(s->w,
              v.answer != VOTE_SAME || !seat->sure || seat->choice == asked.choice ||
                  v.version > seat->version,
              "another ballot is said to be the same");
    SIM_CHECK(s->w, v.answer != VOTE_REPLACED || round->revote, "a ballot was replaced");
    if (round->commits) {
        SIM_CHECK(s->w, v.answer != VOTE_TAKEN || !asked.wrong_nonce,
                  "a ballot was taken with a wrong nonce");
        SIM_CHECK(s->w,
                  seat->asked[asked.choice] && (!seat->committed || seat->meant == asked.choice),
                  "a ballot was taken that was not committed to");
        s->w->counts.revealed += v.answer == VOTE_TAKEN;
    }
    s->w->counts.ballots++;
    seat->sure = true;
    seat->choice = asked.choice;
    seat->version = v.version;
}

static void committed(struct rounds *s, const struct command *command, struct slice reply)
{
    struct asked asked = asked_of(s, command);
    struct seat_state *seat = asked.seat;
    bool same = seat->committed && seat->meant == asked.choice;
    struct consensus_voted v;
    if (command->rc != HUB_OK) {
        SIM_CHECK(s->w, !same || command->rc == HUB_STORE_FULL,
                  "a commitment sent again is refused: %s",
                  hub_error((enum hub_rc)command->rc)->code);
        SIM_CHECK(s->w,
                  command->rc == HUB_ROUND_CLOSED || command->rc == HUB_ALREADY_VOTED ||
                      command->rc == HUB_CONFLICT || command->rc == HUB_NOT_FOUND ||
                      command->rc == HUB_STORE_FULL,
                  "a commitment: %s", hub_error((enum hub_rc)command->rc)->code);
        return;
    }
    SIM_CHECK(s->w, consensus_voted_get(reply, &v), "no answer to a commitment");
    SIM_CHECK(s->w, v.answer == (seat->committed ? VOTE_SAME : v.answer),
              "a seat's first commitment was taken twice");
    SIM_CHECK(s->w, !seat->committed || same, "another commitment is said to be the same");
    s->w->counts.commitments += v.answer == VOTE_TAKEN;
    seat->committed = true;
    seat->meant = asked.choice;
}

static void answered(void *ctx, const struct tray *tray, const struct command *command)
{
    struct rounds *s = ctx;
    struct slice reply = tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n);
    struct consensus_opened opened;
    sim_note(s->w, command->rc + hash64(1, reply));
    if (command->ticket >> 32 == ASKED_VOTE) {
        voted(s, command, reply);
    } else if (command->ticket >> 32 == ASKED_COMMIT) {
        committed(s, command, reply);
    } else if (command->ticket >> 32 == ASKED_OPEN && command->rc == HUB_OK) {
        SIM_CHECK(s->w, consensus_opened_get(reply, &opened), "no answer to an opening");
        add_round(s, opened.id, opened.number, OPTIONS);
    }
}

/* ---- what must hold ---- */

struct told {
    struct rounds *s;
    unsigned closed, revealing;
};

static bool event_told(void *ctx, const struct log_record *record)
{
    struct told *told = ctx;
    struct event event;
    SIM_CHECK(told->s->w, event_unpack(record->payload, &event), "an event cannot be read");
    told->closed += slice_is(event.name, "closed");
    told->revealing += slice_is(event.name, "revealing");
    return true;
}

static struct told times_told(struct rounds *s, const struct round *round)
{
    struct buf name = {0};
    struct replay_span span;
    struct told told = {.s = s};
    const struct namespace_options all = {0};
    uint64_t next;
    round_channel(&name, round->id);
    enum store_rc rc =
        replay_span(s->w->hub.log, s->w->reader, APP, buf_slice(&name), &all, s->w->now_ms, &span);
    buf_done(&name);
    SIM_CHECK(s->w, rc == STORE_OK && span.channel, "a round has no channel");
    rc = log_read(span.view, &span.head, span.head.first, SIZE_MAX, event_told, &told, &next);
    SIM_CHECK(s->w, rc == STORE_OK && span.head.first == 1, "a round's channel cannot be read");
    return told;
}

static void check_ballots(struct rounds *s, struct round_state *known, const struct round *round,
                          const struct paper *paper)
{
    unsigned counted[SEATS] = {0}, n = 0;
    for (uint32_t i = 0; i < paper->ballots_n; i++) {
        const struct round_ballot *b = &paper->ballots[i];
        const struct seat_state *seat = &known->seats[b->vote.seat];
        if (b->fate != BALLOT_COUNTS) {
            continue;
        }
        n++;
        SIM_CHECK(s->w, ++counted[b->vote.seat] == 1, "a seat is counted twice");
        SIM_CHECK(s->w,
                  !seat->sure || b->version > seat->version ||
                      (b->version == seat->version && b->vote.choices[0] == seat->choice),
                  "an acknowledged ballot is another one now");
    }
    for (unsigned i = 0; i < SEATS; i++) {
        SIM_CHECK(s->w, !known->seats[i].sure || counted[i], "an acknowledged ballot is lost");
    }
    SIM_CHECK(s->w, n == round->voted_n, "%u ballots are counted, %u are there", round->voted_n, n);
}

/* Of each seat the commitment is the one that was acknowledged, or one that was sent; and what is
 * counted is what was committed to, shown after no more could be. */
static void check_commitments(struct rounds *s, unsigned i, const struct round *round,
                              const struct paper *paper)
{
    const struct round_state *known = &s->list[i];
    int meant[SEATS];
    uint32_t n = 0;
    for (uint32_t seat = 0; seat < paper->seats_n; seat++) {
        const struct seat_state *state = &known->seats[seat];
        struct slice stored = paper->seats[seat].commitment;
        meant[seat] = -1;
        for (unsigned choice = 0; stored.n && choice < known->options_n; choice++) {
            uint8_t hash[SHA256_BYTES];
            commitment_of(s, i, seat, choice, hash);
            if (state->asked[choice] && slice_equal(stored, slice_of(hash, sizeof hash))) {
                meant[seat] = (int)choice;
            }
        }
        SIM_CHECK(s->w, !stored.n || meant[seat] >= 0, "a commitment that nobody sent");
        SIM_CHECK(s->w, !state->committed || meant[seat] == state->meant,
                  "an acknowledged commitment is lost, or another one now");
        n += stored.n > 0;
    }
    SIM_CHECK(s->w, n == round->committed_n, "%u commitments are counted, %u are there",
              round->committed_n, n);
    for (uint32_t b = 0; b < paper->ballots_n; b++) {
        const struct round_ballot *ballot = &paper->ballots[b];
        char nonce[48];
        if (ballot->fate != BALLOT_LATE) {
            SIM_CHECK(s->w, round->revealing, "a ballot is there before the reveal");
            SIM_CHECK(s->w, ballot->vote.choices[0] == meant[ballot->vote.seat],
                      "a ballot counts that was not committed to");
            SIM_CHECK(s->w,
                      slice_equal(ballot->nonce,
                                  nonce_of(i, ballot->vote.seat, ballot->vote.choices[0], nonce)),
                      "a ballot has another nonce now");
        }
    }
}

static void check_outcome(struct rounds *s, struct round_state *known, const struct round *round,
                          const struct paper *paper)
{
    static const enum round_status verdicts[TALLY_VERDICTS] = {[TALLY_DECIDED] = ROUND_DECIDED,
                                                               [TALLY_TIED] = ROUND_TIED,
                                                               [TALLY_NO_QUORUM] = ROUND_NO_QUORUM,
                                                               [TALLY_NO_DECISION] =
                                                                   ROUND_NO_DECISION};
    struct tally_result result;
    SIM_CHECK(s->w,
              !known->closed || (known->status == round->status && known->winner == round->winner &&
                                 known->closed_ms == round->closed_ms),
              "a closed round has another outcome now");
    paper_count(paper, &result);
    tally_result_done(&result);
    SIM_CHECK(s->w,
              round->status == ROUND_CANCELLED ||
                  (round->status == verdicts[result.verdict] && round->winner == result.winner),
              "a count says otherwise than the round");
    known->closed = true;
    known->status = round->status;
    known->winner = round->winner;
    known->closed_ms = round->closed_ms;
    sim_note(s->w, (uint64_t)round->status << 8 | (uint8_t)round->winner);
}

/* Runoffs are rounds that nobody asked for: the tie that made one names it. */
static void learn_runoff(struct rounds *s, struct store_view *view, const struct round *round)
{
    struct round runoff;
    char id[ROUND_ID_CHARS + 1] = "";
    bool wanted = round->status == ROUND_TIED && round->terms.tie == TIE_RUNOFF;
    SIM_CHECK(s->w, (round->runoff.n > 0) == (wanted && !round->runoff_of.n),
              "a tie has a runoff, a runoff has none");
    if (!round->runoff.n) {
        return;
    }
    SIM_CHECK(s->w, round_find(view, APP, round->runoff, &runoff) == STORE_OK,
              "a runoff is missing");
    SIM_CHECK(s->w, slice_equal(runoff.runoff_of, round->id) && runoff.seats_n == round->seats_n,
              "a runoff is of another round");
    memcpy(id, runoff.id.p, ROUND_ID_CHARS);
    for (unsigned i = 0; i < s->n; i++) {
        if (s->list[i].number == runoff.number) {
            return;
        }
    }
    add_round(s, id, runoff.number, runoff.options_n);
}

static void learn_terms(struct round_state *known, const struct round *round)
{
    struct slice rest = round->options, option;
    known->revote = round->revote;
    known->commits = round->reveal_ms != 0;
    memcpy(known->digest, round->digest, sizeof known->digest);
    for (unsigned o = 0; round_option_next(&rest, &option); o++) {
        known->options[o] = (char)option.p[0];
    }
}

static void check_round(struct rounds *s, unsigned i)
{
    struct round_state *known = &s->list[i];
    struct store_view *view;
    struct round round;
    struct paper paper;
    SIM_CHECK(s->w, store_snapshot(s->w->reader, &view) == STORE_OK, "no snapshot");
    SIM_CHECK(s->w, round_find(view, APP, slice_str(known->id), &round) == STORE_OK,
              "a round is missing");
    SIM_CHECK(s->w, round.number == known->number, "a round has another number");
    learn_terms(known, &round);
    SIM_CHECK(s->w, round_paper(view, &round, &paper) == STORE_OK, "ballots cannot be read");
    check_ballots(s, known, &round, &paper);
    if (round.reveal_ms) {
        check_commitments(s, i, &round, &paper);
    }
    bool closed = round.status != ROUND_OPEN;
    if (closed) {
        check_outcome(s, known, &round, &paper);
        learn_runoff(s, view, &round);
    }
    SIM_CHECK(s->w, closed || !known->closed, "a closed round is open again");
    bool late =
        !closed && round.deadline_ms <= s->w->now_ms && s->scene.full_until_ms <= s->w->now_ms;
    known->overdue = late ? known->overdue + s->scene.stepped : 0;
    SIM_CHECK(s->w, known->overdue <= LATE_STEPS, "a round is open past its deadline");
    paper_done(&paper);
    struct told told = times_told(s, &round);
    SIM_CHECK(s->w, told.closed == closed, "an outcome was told %u times", told.closed);
    SIM_CHECK(s->w, told.revealing == round.revealing, "a reveal was told %u times",
              told.revealing);
    store_release(s->w->reader);
}

/* What was asked and not answered when the power went may have happened or not: the seats' ballots
 * are looked up. */
static void check_all(void *ctx)
{
    struct rounds *s = ctx;
    for (unsigned i = 0; i < s->n; i++) {
        check_round(s, i);
    }
}

/* ---- the run ---- */

void rounds_run(struct world *w)
{
    struct rounds *s = xcalloc(1, sizeof *s);
    struct rng *r = &w->rng;
    s->w = w;
    s->scene = (struct scene){.w = w, .ctx = s, .answered = answered, .check = check_all};
    scene_start(&s->scene);
    for (unsigned i = 0; i < ACTIONS; i++) {
        for (unsigned n = rng_below(r, 5); n > 0; n--) {
            unsigned what = rng_below(r, 100);
            if ((what < 8 || s->n == 0) && s->n < ROUNDS_MAX / 3) {
                do_open(s);
            } else if (s->n && what < 96) {
                do_vote(s);
            } else if (s->n) {
                do_cancel(s);
            }
        }
        scene_time(&s->scene, 8000);
        scene_step(&s->scene);
        if (rng_percent(r, w->plan.crash_percent)) {
            scene_cut(&s->scene);
        }
    }
    scene_calm(&s->scene);
    for (unsigned i = 0; i < 40; i++) {
        w->now_ms += 2500;
        scene_step(&s->scene);
    }
    scene_cut(&s->scene);
    for (unsigned i = 0; i < s->n; i++) {
        SIM_CHECK(w, s->list[i].closed, "a round never closed");
    }
    free(s);
}
