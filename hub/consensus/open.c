/* Opening a round: what is asked is judged, and frozen. */
#include "hub/agents/agent.h"
#include "hub/consensus/module_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t timeout_ms_max = INT64_C(30) * 86400 * 1000;

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
    if (spec->commit_ms < 0 || spec->commit_ms >= spec->timeout_ms) {
        return wrong(out, "commit_seconds", "less than timeout_seconds: ballots need the rest");
    }
    if (spec->commit_ms && (spec->revote || spec->early_close)) {
        return wrong(out, spec->revote ? "revote" : "early_close",
                     "a round with commitments waits for the one ballot of each");
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

void round_draw(struct round *r, const uint8_t seed[16], const char *what, char id[UUID_CHARS + 1])
{
    uint8_t drawn[32], number[4];
    be32_put(number, r->number);
    struct slice parts[] = {slice_str(what), slice_of(seed, 16), slice_of(number, sizeof number)};
    digest_blake2b(drawn, sizeof drawn, slice_of(NULL, 0), parts, 3);
    uuid_v7(r->opened_ms, drawn, id);
    memcpy(r->seed, drawn + 16, sizeof r->seed);
    r->id = slice_of(id, ROUND_ID_CHARS);
}

enum hub_rc round_store_opened(struct apply *a, struct round *r)
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
    }
    if (rc == STORE_OK && r->reveal_ms) { /* it may come to a round that is closed, and leaves it */
        rc = timer_add(a->txn, r->reveal_ms, TIMER_CONSENSUS_REVEAL, slice_of(body, sizeof body),
                       &timer);
    }
    if (rc == STORE_OK) {
        rc = round_put_new(a->txn, r);
    }
    return rc == STORE_OK ? round_tell_opened(a, r) : hub_rc_of_store(rc);
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
                      .reveal_ms = spec->commit_ms ? a->now_ms + spec->commit_ms : 0,
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
        round_draw(&r, a->seed, "round", out->id);
        rc = round_store_opened(a, &r);
        out->number = r.number;
        out->opened_ms = r.opened_ms;
        out->deadline_ms = r.deadline_ms;
        out->waits = spec->waits;
    }
    buf_done(&seats);
    buf_done(&options);
    return rc;
}

void consensus_spec_put(struct buf *b, const struct consensus_spec *s)
{
    pack_slice(b, s->owner);
    pack_slice(b, s->reference);
    pack_slice(b, s->question);
    round_terms_pack(b, &s->terms);
    pack_u8(b, s->revote);
    pack_u8(b, s->early_close);
    pack_u8(b, s->open_ballots);
    pack_u8(b, s->signed_only);
    pack_i64(b, s->timeout_ms);
    pack_i64(b, s->commit_ms);
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
    round_terms_unpack(&u, &s->terms);
    s->revote = unpack_u8(&u) != 0;
    s->early_close = unpack_u8(&u) != 0;
    s->open_ballots = unpack_u8(&u) != 0;
    s->signed_only = unpack_u8(&u) != 0;
    s->timeout_ms = unpack_i64(&u);
    s->commit_ms = unpack_i64(&u);
    s->chair = unpack_slice(&u);
    s->waits = unpack_u8(&u) != 0;
    s->options_n = unpack_u32(&u);
    for (uint32_t i = 0; s->options_n <= TALLY_OPTIONS_MAX && i < s->options_n; i++) {
        out->options[i] = unpack_slice(&u);
    }
    s->members_n = unpack_u32(&u);
    if (u.bad || s->options_n > TALLY_OPTIONS_MAX || s->members_n > TALLY_SEATS_MAX) {
        return false;
    }
    out->members = xcalloc((size_t)s->members_n + 1, sizeof *out->members);
    for (uint32_t i = 0; i < s->members_n; i++) {
        struct slice id = unpack_slice(&u);
        out->members[i] = (struct consensus_member){.id = id, .weight = unpack_u32(&u)};
    }
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
