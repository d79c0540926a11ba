/* A round's life is three rows: what is frozen, where it stands, and a ballot a seat. A ballot
 * writes its own row and the small one of where the round stands; the count is made once, when the
 * round closes (and, with early_close, looked at with each ballot). */
#include "hub/consensus/module.h"
#include "channels/json_out.h"
#include "hub/agents/agent.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { VERSIONS_MAX = 1000 };
static const int64_t timeout_ms_max = INT64_C(30) * 86400 * 1000;

static void *consensus_open(const void *options)
{
    struct consensus_options *own = xcalloc(1, sizeof *own);
    if (options) {
        *own = *(const struct consensus_options *)options;
    }
    return own;
}

static const struct consensus_options *options_of(const struct apply *a)
{
    return writer_module(a->writer, MODULE_CONSENSUS);
}

bool round_visible(const struct round *round, const struct asker *asker)
{
    struct slice rest = round->seats;
    struct round_seat seat = {0};
    if (asker_sees(asker, round->owner)) {
        return true;
    }
    while (round_seat_next(&rest, &seat)) {
        if (slice_equal(seat.id, asker->subject) ||
            (seat.owner.n && slice_equal(seat.owner, asker->subject))) {
            return true;
        }
    }
    return false;
}

/* ---- what the channels are told ---- */

struct telling {
    struct buf data;
    struct json_out o;
};

static void put_text(struct json_out *o, const char *key, struct slice text)
{
    json_key(o, key);
    json_text(o, text);
}

static void put_count(struct json_out *o, const char *key, uint64_t n)
{
    json_key(o, key);
    json_u64(o, n);
}

static void telling_begin(struct telling *t, const struct round *r)
{
    *t = (struct telling){0};
    t->o = json_out_to(&t->data);
    json_begin(&t->o, '{');
    put_text(&t->o, "round_id", r->id);
    if (r->reference.n) {
        put_text(&t->o, "reference", r->reference);
    }
    json_key(&t->o, "status");
    json_str(&t->o, round_status_name(r->status));
    put_count(&t->o, "seats", r->seats_n);
    put_count(&t->o, "voted", r->voted_n);
}

/* summary: the channel of all rounds hears it too. */
static enum hub_rc telling_end(struct apply *a, struct telling *t, const struct round *r,
                               const char *event, bool summary)
{
    struct buf channel = {0};
    json_key(&t->o, "at");
    json_time(&t->o, a->now_ms);
    json_end(&t->o, '}');
    round_channel(&channel, r->id);
    enum hub_rc rc = apply_tell(a, r->app, buf_slice(&channel), event, buf_slice(&t->data));
    if (rc == HUB_OK && summary) {
        rc = apply_tell(a, r->app, slice_str("consensus"), event, buf_slice(&t->data));
    }
    buf_done(&channel);
    buf_done(&t->data);
    return rc;
}

static enum hub_rc tell_opened(struct apply *a, const struct round *r)
{
    struct telling t;
    struct slice rest = r->options, option;
    telling_begin(&t, r);
    put_text(&t.o, "question", r->question);
    json_key(&t.o, "rule");
    json_str(&t.o, tally_rule_name(r->terms.rule));
    json_key(&t.o, "options");
    json_begin(&t.o, '[');
    while (round_option_next(&rest, &option)) {
        json_text(&t.o, option);
    }
    json_end(&t.o, ']');
    json_key(&t.o, "deadline");
    json_time(&t.o, r->deadline_ms);
    if (r->runoff_of.n) {
        put_text(&t.o, "runoff_of", r->runoff_of);
    }
    return telling_end(a, &t, r, "opened", true);
}

static enum hub_rc tell_closed(struct apply *a, const struct paper *paper, const struct round *r,
                               const struct tally_result *result, struct slice reason)
{
    struct telling t;
    telling_begin(&t, r);
    json_key(&t.o, "stop_reason");
    json_str(&t.o, round_stop_name(r->stop));
    if (result) {
        json_key(&t.o, "outcome");
        paper_outcome_json(&t.o, paper, result);
    }
    if (r->runoff.n) {
        put_text(&t.o, "runoff", r->runoff);
    }
    if (reason.n) {
        put_text(&t.o, "reason", reason);
    }
    return telling_end(a, &t, r, "closed", true);
}

/* A sealed ballot tells that somebody voted; what, only when the round is closed. */
static enum hub_rc tell_ballot(struct apply *a, const struct round *r, struct slice voter,
                               const struct round_ballot *ballot, const char *event)
{
    struct telling t;
    struct paper paper;
    telling_begin(&t, r);
    put_text(&t.o, "voter", voter);
    put_count(&t.o, "version", ballot->version);
    if (r->open_ballots) {
        round_paper_frozen(r, &paper);
        ballot_vote_json(&t.o, tally_form_of(r->terms.rule), paper.options, ballot);
        paper_done(&paper);
    }
    return telling_end(a, &t, r, event, false);
}

/* ---- opening ---- */

static bool wrong(struct consensus_refusal *out, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool wrong(struct consensus_refusal *out, const char *field, const char *format, ...)
{
    va_list args;
    out->field = field;
    va_start(args, format);
    (void)vsnprintf(out->text, sizeof out->text, format, args);
    va_end(args);
    return false;
}

static bool check_options(const struct consensus_spec *spec, struct consensus_refusal *out)
{
    bool score = tally_form_of(spec->terms.rule) == FORM_SCORE;
    if (score && spec->options_n) {
        return wrong(out, "options", "ballots of this rule are numbers: it takes no options");
    }
    if (!score && (spec->options_n == 0 || spec->options_n > TALLY_OPTIONS_MAX)) {
        return wrong(out, "options", "1 to %d options", TALLY_OPTIONS_MAX);
    }
    for (uint32_t i = 0; i < spec->options_n; i++) {
        if (spec->options[i].n == 0 || spec->options[i].n > ROUND_OPTION_BYTES_MAX) {
            return wrong(out, "options", "each has 1 to %d bytes", ROUND_OPTION_BYTES_MAX);
        }
        for (uint32_t j = 0; j < i; j++) {
            if (slice_equal(spec->options[i], spec->options[j])) {
                return wrong(out, "options", "no option stands twice");
            }
        }
    }
    return true;
}

static bool is_member(const struct consensus_spec *spec, struct slice id, uint32_t before)
{
    for (uint32_t i = 0; i < before; i++) {
        if (slice_equal(spec->members[i].id, id)) {
            return true;
        }
    }
    return false;
}

static bool check_members(const struct consensus_spec *spec, struct consensus_refusal *out)
{
    uint64_t sum = 0;
    bool bft = spec->terms.rule == RULE_BFT;
    if (spec->members_n == 0 || spec->members_n > TALLY_SEATS_MAX) {
        return wrong(out, "electorate", "1 to %d members", TALLY_SEATS_MAX);
    }
    if (bft && spec->members_n < TALLY_BFT_SEATS_MIN) {
        return wrong(out, "electorate", "bft needs at least %d members", TALLY_BFT_SEATS_MIN);
    }
    for (uint32_t i = 0; i < spec->members_n; i++) {
        const struct consensus_member *m = &spec->members[i];
        if (m->id.n == 0 || m->id.n > ROUND_MEMBER_BYTES_MAX) {
            return wrong(out, "electorate", "an id has 1 to %d bytes", ROUND_MEMBER_BYTES_MAX);
        }
        if (is_member(spec, m->id, i)) {
            return wrong(out, "electorate", "no member stands twice");
        }
        if (bft && m->weight != 1) {
            return wrong(out, "electorate", "under bft every member weighs 1");
        }
        sum += m->weight;
    }
    if (sum == 0 || sum > TALLY_WEIGHT_SUM_MAX) {
        return wrong(out, "electorate", "weights sum to 1 to %d", TALLY_WEIGHT_SUM_MAX);
    }
    return true;
}

bool consensus_spec_check(const struct consensus_spec *spec, struct consensus_refusal *out)
{
    const struct tally_terms *terms = &spec->terms;
    if (spec->question.n > ROUND_QUESTION_BYTES_MAX) {
        return wrong(out, "question", "at most %d bytes", ROUND_QUESTION_BYTES_MAX);
    }
    if (spec->reference.n > ROUND_REFERENCE_BYTES_MAX) {
        return wrong(out, "reference", "at most %d bytes", ROUND_REFERENCE_BYTES_MAX);
    }
    if (spec->timeout_ms <= 0 || spec->timeout_ms > timeout_ms_max) {
        return wrong(out, "timeout_seconds", "more than 0, at most 30 days");
    }
    if (terms->threshold.under == 0 || terms->threshold.over > terms->threshold.under ||
        2 * terms->threshold.over <= terms->threshold.under) {
        return wrong(out, "threshold", "more than 1/2, at most 1");
    }
    if (terms->quorum.under == 0 || terms->quorum.over > terms->quorum.under) {
        return wrong(out, "quorum", "0 to 1");
    }
    if (terms->rule == RULE_BFT && spec->revote) {
        return wrong(out, "revote", "under bft a second ballot voids the seat");
    }
    if (!check_options(spec, out) || !check_members(spec, out)) {
        return false;
    }
    if (terms->tie == TIE_CHAIR && !is_member(spec, spec->chair, spec->members_n)) {
        return wrong(out, "chair", "the chair is one of the electorate");
    }
    return true;
}

/* What is drawn for a round: its id and the seed of a random tie. */
static void draw(struct round *r, const uint8_t seed[16], const char *what, char id[UUID_CHARS + 1])
{
    uint8_t drawn[32], number[4];
    be32_put(number, r->number);
    struct slice parts[] = {slice_str(what), slice_of(seed, 16), slice_of(number, sizeof number)};
    digest_blake2b(drawn, sizeof drawn, slice_of(NULL, 0), parts, 3);
    uuid_v7(r->opened_ms, drawn, id);
    memcpy(r->seed, drawn + 16, sizeof r->seed);
    r->id = slice_of(id, ROUND_ID_CHARS);
}

static enum hub_rc store_opened(struct apply *a, struct round *r)
{
    uint8_t body[4];
    struct timer_ref timer;
    struct paper paper;
    be32_put(body, r->number);
    round_paper_frozen(r, &paper);
    paper_digest(&paper, r->digest);
    paper_done(&paper);
    enum store_rc rc = timer_add(a->txn, r->deadline_ms, TIMER_CONSENSUS_DEADLINE,
                                 slice_of(body, sizeof body), &timer);
    if (rc == STORE_OK) {
        r->timer_id = timer.id;
        rc = round_put_new(a->txn, r);
    }
    return rc == STORE_OK ? tell_opened(a, r) : hub_rc_of_store(rc);
}

/* Who the members are is frozen with the round: an agent's owner and key as they are now. */
static enum hub_rc freeze_seats(struct apply *a, const struct consensus_spec *spec, struct round *r,
                                struct buf *seats, struct consensus_refusal *refusal)
{
    bool keys_needed = spec->signed_only || spec->terms.rule == RULE_BFT;
    for (uint32_t i = 0; i < spec->members_n; i++) {
        struct round_seat seat = {.id = spec->members[i].id, .weight = spec->members[i].weight};
        struct agent agent;
        enum store_rc rc = agent_find(a->view, a->app, seat.id, &agent);
        if (rc != STORE_OK && rc != STORE_NOT_FOUND) {
            return hub_rc_of_store(rc);
        }
        if (rc == STORE_OK && agent.status != AGENT_DEREGISTERED) {
            seat.owner = agent.owner;
            seat.public_key = agent.public_key;
        }
        if (keys_needed && seat.public_key.n != SIGNING_PUBLIC_BYTES) {
            (void)wrong(refusal, "electorate",
                        "%.*s has registered no public key, and ballots are signed", (int)seat.id.n,
                        (const char *)seat.id.p);
            return HUB_INVALID;
        }
        round_seat_pack(seats, &seat);
        r->weight += seat.weight;
        if (slice_equal(seat.id, spec->chair)) {
            r->chair = i;
        }
    }
    r->seats = buf_slice(seats);
    return HUB_OK;
}

enum hub_rc consensus_open_inside(struct apply *a, const struct consensus_spec *spec,
                                  struct consensus_opened *out, struct consensus_refusal *refusal)
{
    struct buf seats = {0}, options = {0};
    if (!consensus_spec_check(spec, refusal)) {
        return HUB_INVALID;
    }
    struct round r = {.number = round_newest(a->view) + 1,
                      .app = a->app,
                      .owner = spec->owner,
                      .reference = spec->reference,
                      .question = spec->question,
                      .terms = spec->terms,
                      .revote = spec->revote,
                      .early_close = spec->early_close,
                      .open_ballots = spec->open_ballots,
                      .signed_only = spec->signed_only || spec->terms.rule == RULE_BFT,
                      .opened_ms = a->now_ms,
                      .deadline_ms = a->now_ms + spec->timeout_ms,
                      .options_n = spec->options_n,
                      .seats_n = spec->members_n,
                      .chair = TALLY_NOBODY,
                      .winner = -1};
    enum hub_rc rc = freeze_seats(a, spec, &r, &seats, refusal);
    for (uint32_t i = 0; i < spec->options_n; i++) {
        pack_slice(&options, spec->options[i]);
    }
    r.options = buf_slice(&options);
    if (rc == HUB_OK) {
        draw(&r, a->seed, "round", out->id);
        rc = store_opened(a, &r);
        out->number = r.number;
        out->opened_ms = r.opened_ms;
        out->deadline_ms = r.deadline_ms;
        out->waits = spec->waits;
    }
    buf_done(&seats);
    buf_done(&options);
    return rc;
}

static void pack_fraction(struct buf *b, const struct tally_fraction *f)
{
    pack_u32(b, f->over);
    pack_u32(b, f->under);
}

static struct tally_fraction unpack_fraction(struct unpack *u)
{
    uint32_t over = unpack_u32(u);
    return (struct tally_fraction){.over = over, .under = unpack_u32(u)};
}

void consensus_spec_put(struct buf *b, const struct consensus_spec *s)
{
    pack_slice(b, s->owner);
    pack_slice(b, s->reference);
    pack_slice(b, s->question);
    pack_u8(b, (uint8_t)s->terms.rule);
    pack_u8(b, s->terms.of_eligible);
    pack_fraction(b, &s->terms.threshold);
    pack_fraction(b, &s->terms.quorum);
    pack_u8(b, s->terms.quorum_exceeds);
    pack_u8(b, (uint8_t)s->terms.tie);
    pack_u8(b, s->revote);
    pack_u8(b, s->early_close);
    pack_u8(b, s->open_ballots);
    pack_u8(b, s->signed_only);
    pack_i64(b, s->timeout_ms);
    pack_slice(b, s->chair);
    pack_u8(b, s->waits);
    pack_u32(b, s->options_n);
    for (uint32_t i = 0; i < s->options_n; i++) {
        pack_slice(b, s->options[i]);
    }
    pack_u32(b, s->members_n);
    for (uint32_t i = 0; i < s->members_n; i++) {
        pack_slice(b, s->members[i].id);
        pack_u32(b, s->members[i].weight);
    }
}

struct spec_read {
    struct consensus_spec spec;
    struct slice options[TALLY_OPTIONS_MAX];
    struct consensus_member *members;
};

static bool spec_get(struct slice body, struct spec_read *out)
{
    struct unpack u = unpack_of(body);
    struct consensus_spec *s = &out->spec;
    *out = (struct spec_read){.members = NULL};
    s->owner = unpack_slice(&u);
    s->reference = unpack_slice(&u);
    s->question = unpack_slice(&u);
    uint8_t rule = unpack_u8(&u);
    s->terms.of_eligible = unpack_u8(&u) != 0;
    s->terms.threshold = unpack_fraction(&u);
    s->terms.quorum = unpack_fraction(&u);
    s->terms.quorum_exceeds = unpack_u8(&u) != 0;
    uint8_t tie = unpack_u8(&u);
    s->revote = unpack_u8(&u) != 0;
    s->early_close = unpack_u8(&u) != 0;
    s->open_ballots = unpack_u8(&u) != 0;
    s->signed_only = unpack_u8(&u) != 0;
    s->timeout_ms = unpack_i64(&u);
    s->chair = unpack_slice(&u);
    s->waits = unpack_u8(&u) != 0;
    s->options_n = unpack_u32(&u);
    for (uint32_t i = 0; s->options_n <= TALLY_OPTIONS_MAX && i < s->options_n; i++) {
        out->options[i] = unpack_slice(&u);
    }
    s->members_n = unpack_u32(&u);
    if (u.bad || rule >= TALLY_RULES || tie >= TALLY_TIES || s->options_n > TALLY_OPTIONS_MAX ||
        s->members_n > TALLY_SEATS_MAX) {
        return false;
    }
    out->members = xcalloc((size_t)s->members_n + 1, sizeof *out->members);
    for (uint32_t i = 0; i < s->members_n; i++) {
        struct slice id = unpack_slice(&u);
        out->members[i] = (struct consensus_member){.id = id, .weight = unpack_u32(&u)};
    }
    s->terms.rule = (enum tally_rule)rule;
    s->terms.tie = (enum tally_tie)tie;
    s->options = out->options;
    s->members = out->members;
    return unpack_done(&u);
}

static void reply_opened(struct apply *a, struct command *command,
                         const struct consensus_opened *opened)
{
    struct buf b = {0};
    pack_u32(&b, opened->number);
    pack_i64(&b, opened->opened_ms);
    pack_i64(&b, opened->deadline_ms);
    pack_u8(&b, opened->waits);
    pack_slice(&b, slice_str(opened->id));
    apply_reply(a, command, buf_slice(&b));
    buf_done(&b);
}

bool consensus_opened_get(struct slice reply, struct consensus_opened *out)
{
    struct unpack u = unpack_of(reply);
    out->number = unpack_u32(&u);
    out->opened_ms = unpack_i64(&u);
    out->deadline_ms = unpack_i64(&u);
    out->waits = unpack_u8(&u) != 0;
    struct slice id = unpack_slice(&u);
    if (!unpack_done(&u) || id.n != ROUND_ID_CHARS) {
        return false;
    }
    memcpy(out->id, id.p, ROUND_ID_CHARS);
    out->id[ROUND_ID_CHARS] = '\0';
    return true;
}

static enum hub_rc open_apply(struct apply *a, struct command *command, struct slice body)
{
    struct spec_read read;
    struct consensus_opened opened;
    struct consensus_refusal refusal = {0};
    enum hub_rc rc = HUB_BAD_REQUEST;
    if (spec_get(body, &read)) {
        rc = consensus_open_inside(a, &read.spec, &opened, &refusal);
    }
    if (rc == HUB_OK) {
        reply_opened(a, command, &opened);
    } else if (refusal.field) {
        rc = apply_refuse(a, command, rc, refusal.field, slice_str(": "), refusal.text);
    }
    free(read.members);
    return rc;
}

const struct command_kind command_consensus_open = {
    .name = "consensus.open", .apply = open_apply, .module = MODULE_CONSENSUS};

/* ---- closing ---- */

/* The tied options once more, for the same seats under the same terms: a runoff has none. */
static enum hub_rc open_runoff(struct apply *a, const struct paper *paper,
                               const struct tally_result *result, struct round *parent,
                               char id[ROUND_ID_CHARS + 1])
{
    struct buf options = {0};
    struct round r = *parent;
    r.number = round_newest(a->view) + 1;
    r.status = ROUND_OPEN;
    r.stop = ROUND_STOP_NONE;
    r.closed_ms = 0;
    r.runoff_of = parent->id;
    r.opened_ms = a->now_ms;
    r.deadline_ms = a->now_ms + (parent->deadline_ms - parent->opened_ms);
    r.voted_n = r.voided_n = r.options_n = 0;
    r.voted_weight = 0;
    r.winner = -1;
    for (uint32_t i = 0; i < paper->options_n; i++) {
        if (result->tied >> i & 1) {
            pack_slice(&options, paper->options[i]);
            r.options_n++;
        }
    }
    r.options = buf_slice(&options);
    draw(&r, parent->seed, "runoff", id);
    enum hub_rc rc = store_opened(a, &r);
    parent->runoff = slice_of(id, ROUND_ID_CHARS);
    buf_done(&options);
    return rc;
}

static enum hub_rc tell_watchers(struct apply *a, const struct round *round)
{
    const struct consensus_options *options = options_of(a);
    void *own = a->state;
    enum hub_rc rc = HUB_OK;
    for (unsigned i = 0; rc == HUB_OK && i < options->watchers_n; i++) {
        a->state = writer_module(a->writer, options->watchers[i].module);
        rc = options->watchers[i].closed(a, round);
    }
    a->state = own;
    return rc;
}

static enum round_status status_of(enum tally_verdict verdict)
{
    switch (verdict) {
    case TALLY_DECIDED:
        return ROUND_DECIDED;
    case TALLY_TIED:
        return ROUND_TIED;
    case TALLY_NO_QUORUM:
        return ROUND_NO_QUORUM;
    case TALLY_NO_DECISION:
    case TALLY_VERDICTS:
        return ROUND_NO_DECISION;
    }
    return ROUND_NO_DECISION;
}

/* Writes the end down and tells of it. result: NULL when the round was cancelled; reason: why, in
 * the words of who cancelled it. */
static enum hub_rc finish(struct apply *a, struct round *r, struct paper *paper,
                          const struct tally_result *result, struct slice reason)
{
    struct timer_ref timer = {.due_ms = r->deadline_ms, .id = r->timer_id};
    enum store_rc rc = timer_cancel(a->txn, timer); /* gone already when it is what closes us */
    if (rc == STORE_OK || rc == STORE_NOT_FOUND) {
        rc = round_put_state(a->txn, r);
    }
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    paper->status = slice_str(round_status_name(r->status));
    paper->stop = slice_str(round_stop_name(r->stop));
    enum hub_rc told = tell_closed(a, paper, r, result, reason);
    return told == HUB_OK ? tell_watchers(a, r) : told;
}

/* r is a copy: rows move under us. */
static enum hub_rc close_round(struct apply *a, struct round *r, enum round_stop stop)
{
    struct paper paper;
    struct tally_result result;
    char runoff[ROUND_ID_CHARS + 1];
    enum store_rc rc = round_paper(a->view, r, &paper);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    paper_count(&paper, &result);
    r->stop = stop;
    r->status = status_of(result.verdict);
    r->closed_ms = a->now_ms;
    r->winner = result.winner;
    r->value = result.value;
    r->confidence = result.confidence;
    enum hub_rc out = HUB_OK;
    if (r->status == ROUND_TIED && r->terms.tie == TIE_RUNOFF && !r->runoff_of.n) {
        out = open_runoff(a, &paper, &result, r, runoff);
    }
    if (out == HUB_OK) {
        out = finish(a, r, &paper, &result, slice_of(NULL, 0));
    }
    r->runoff = slice_of(NULL, 0); /* the id was ours */
    tally_result_done(&result);
    paper_done(&paper);
    return out;
}

static enum hub_rc deadline_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    uint32_t number = unpack_u32(&u);
    struct round row, round;
    struct buf bytes = {0};
    (void)command;
    enum store_rc rc = unpack_done(&u) ? round_get(a->view, number, &row) : STORE_DAMAGED;
    if (rc != STORE_OK || row.status != ROUND_OPEN) {
        return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
    }
    round_copy(&row, &bytes, &round);
    enum hub_rc out = close_round(a, &round, ROUND_STOP_DEADLINE);
    buf_done(&bytes);
    return out;
}

static const struct command_kind command_consensus_deadline = {
    .name = "consensus.deadline", .apply = deadline_apply, .module = MODULE_CONSENSUS};

/* ---- cancelling ---- */

static enum hub_rc cancel_round(struct apply *a, struct round *r, struct slice reason)
{
    struct paper paper;
    r->status = ROUND_CANCELLED;
    r->stop = ROUND_STOP_CANCELLED;
    r->closed_ms = a->now_ms;
    round_paper_frozen(r, &paper);
    enum hub_rc rc = finish(a, r, &paper, NULL, reason);
    paper_done(&paper);
    return rc;
}

enum hub_rc consensus_cancel_inside(struct apply *a, uint32_t number)
{
    struct round row, round;
    struct buf bytes = {0};
    enum store_rc rc = round_get(a->view, number, &row);
    if (rc != STORE_OK || row.status != ROUND_OPEN) {
        return hub_rc_of_store(rc);
    }
    round_copy(&row, &bytes, &round);
    enum hub_rc out = cancel_round(a, &round, slice_of(NULL, 0));
    buf_done(&bytes);
    return out;
}

void consensus_cancel_put(struct buf *b, const struct consensus_cancel *cancel)
{
    asker_put(b, &cancel->asker);
    pack_slice(b, cancel->round_id);
    pack_slice(b, cancel->reason);
}

/* A copy of the round that the asker may see; HUB_NOT_FOUND with its sentence. */
static enum hub_rc find_visible(struct apply *a, struct command *command, struct slice id,
                                const struct asker *asker, struct buf *bytes, struct round *out)
{
    struct round row;
    enum store_rc rc = round_find(a->view, a->app, id, &row);
    if (rc == STORE_NOT_FOUND || (rc == STORE_OK && !round_visible(&row, asker))) {
        return apply_refuse(a, command, HUB_NOT_FOUND, "Round ", id, " not found");
    }
    if (rc == STORE_OK) {
        round_copy(&row, bytes, out);
    }
    return hub_rc_of_store(rc);
}

static enum hub_rc cancel_apply(struct apply *a, struct command *command, struct slice body)
{
    struct unpack u = unpack_of(body);
    struct asker asker = asker_get(&u);
    struct slice id = unpack_slice(&u), reason = unpack_slice(&u);
    struct round round = {0};
    struct buf bytes = {0};
    uint8_t number[4];
    if (!unpack_done(&u)) {
        return HUB_BAD_REQUEST;
    }
    enum hub_rc rc = find_visible(a, command, id, &asker, &bytes, &round);
    if (rc == HUB_OK && !asker_sees(&asker, round.owner)) {
        rc =
            apply_refuse(a, command, HUB_FORBIDDEN, "round ", id, " is cancelled by who opened it");
    } else if (rc == HUB_OK && round.status != ROUND_OPEN) {
        rc = apply_refuse(a, command, HUB_CONFLICT,
                          "the round is closed: ", slice_str(round_status_name(round.status)), "");
    }
    if (rc == HUB_OK) {
        rc = cancel_round(a, &round, reason);
    }
    if (rc == HUB_OK) {
        be32_put(number, round.number);
        apply_reply(a, command, slice_of(number, sizeof number));
    }
    buf_done(&bytes);
    return rc;
}

const struct command_kind command_consensus_cancel = {
    .name = "consensus.cancel", .apply = cancel_apply, .module = MODULE_CONSENSUS};

/* ---- voting ---- */

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
    const uint8_t *p = v->before_bytes.p;
    v->before.signature = slice_of(p, v->before.signature.n);
    v->before.reason = slice_of(p + v->before.signature.n, v->before.reason.n);
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
    return rc == STORE_OK ? tell_ballot(v->a, &v->round, v->seat.id, ballot, event)
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
    if (r->voted_n + r->voided_n == r->seats_n) {
        return close_round(v->a, r, ROUND_STOP_ALL_VOTED);
    }
    if (r->early_close && !r->revote && settled(v, &rc)) {
        return close_round(v->a, r, ROUND_STOP_SETTLED);
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

static const struct timer_kind timers[] = {{TIMER_CONSENSUS_DEADLINE, &command_consensus_deadline},
                                           {0, NULL}};

const struct module consensus_module = {
    .name = "consensus", .open = consensus_open, .close = free, .timers = timers};
