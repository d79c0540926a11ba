/* Rounds of voting by seeds: opened, voted in, changed, cancelled and left to their deadlines,
 * while the disk fails and the power is cut.
 *
 * Judged is what the outside was told. A round that was acknowledged is there; a ballot that was
 * acknowledged is the seat's and is counted once; an outcome, once it was seen, is the outcome for
 * good, is told once, and is what a count of the stored ballots gives. After each start the same
 * holds, and a deadline that passed meanwhile is kept. */
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
    LATE_STEPS = 3 /* a round past its deadline may be open for so many steps */
};

struct seat_state {
    bool sure;      /* a ballot of it was acknowledged, and none is under way */
    uint8_t choice; /* that one */
    uint32_t version;
};

struct round_state {
    char id[ROUND_ID_CHARS + 1];
    uint32_t number, options_n;
    bool revote, closed;
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
                                  .timeout_ms = 1 + rng_below(r, 20000),
                                  .options = options,
                                  .options_n = OPTIONS,
                                  .members = members,
                                  .members_n = 1 + rng_below(r, SEATS)};
    spec.chair = members[0].id;
    consensus_spec_put(&body, &spec);
    scene_ask(&s->scene, &command_consensus_open, (uint64_t)ASKED_OPEN << 32, &body);
}

static void do_vote(struct rounds *s)
{
    struct rng *r = &s->w->rng;
    char name[16];
    unsigned i = rng_below(r, s->n), seat = rng_below(r, SEATS);
    const struct round_state *round = &s->list[i];
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
    }
    consensus_vote_put(&body, &vote);
    scene_ask(&s->scene, &command_consensus_vote,
              (uint64_t)ASKED_VOTE << 32 | i << 16 | seat << 8 | vote.ballot.vote.choices[0],
              &body);
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

static void voted(struct rounds *s, const struct command *command, struct slice reply)
{
    struct round_state *round = &s->list[command->ticket >> 16 & 0xFF];
    struct seat_state *seat = &round->seats[command->ticket >> 8 & 0xFF];
    uint8_t choice = (uint8_t)command->ticket;
    struct consensus_voted v;
    if (command->rc != HUB_OK) {
        SIM_CHECK(s->w,
                  command->rc == HUB_ROUND_CLOSED || command->rc == HUB_ALREADY_VOTED ||
                      command->rc == HUB_NOT_FOUND || command->rc == HUB_STORE_FULL ||
                      command->rc == HUB_LIMIT,
                  "a vote: %s", hub_error((enum hub_rc)command->rc)->code);
        return;
    }
    SIM_CHECK(s->w, consensus_voted_get(reply, &v), "no answer to a vote");
    SIM_CHECK(s->w, v.answer != VOTE_TAKEN || !seat->sure, "a seat's first ballot was taken twice");
    SIM_CHECK(s->w, v.answer != VOTE_SAME || !seat->sure || seat->choice == choice,
              "another ballot is said to be the same");
    SIM_CHECK(s->w, v.answer != VOTE_REPLACED || round->revote, "a ballot was replaced");
    s->w->counts.ballots++;
    seat->sure = true;
    seat->choice = choice;
    seat->version = v.version;
}

static void answered(void *ctx, const struct tray *tray, const struct command *command)
{
    struct rounds *s = ctx;
    struct slice reply = tray_slice(tray, TRAY_OUT, command->reply_at, command->reply_n);
    struct consensus_opened opened;
    sim_note(s->w, command->rc + hash64(1, reply));
    if (command->ticket >> 32 == ASKED_VOTE) {
        voted(s, command, reply);
    } else if (command->ticket >> 32 == ASKED_OPEN && command->rc == HUB_OK) {
        SIM_CHECK(s->w, consensus_opened_get(reply, &opened), "no answer to an opening");
        add_round(s, opened.id, opened.number, OPTIONS);
    }
}

/* ---- what must hold ---- */

struct told {
    struct rounds *s;
    unsigned closed;
};

static bool event_told(void *ctx, const struct log_record *record)
{
    struct told *told = ctx;
    struct event event;
    SIM_CHECK(told->s->w, event_unpack(record->payload, &event), "an event cannot be read");
    told->closed += slice_is(event.name, "closed");
    return true;
}

static unsigned times_told(struct rounds *s, const struct round *round)
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
    return told.closed;
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
    known->revote = round.revote;
    SIM_CHECK(s->w, round_paper(view, &round, &paper) == STORE_OK, "ballots cannot be read");
    check_ballots(s, known, &round, &paper);
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
    unsigned told = times_told(s, &round);
    SIM_CHECK(s->w, told == closed, "an outcome was told %u times", told);
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
