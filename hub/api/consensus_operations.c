/* Rounds of voting: semantics.md section 3. A ballot's signature is checked here, on the I/O
 * thread, against the key that the round froze; the writer only stores it. What a round came to is
 * counted from its ballots whenever somebody asks: there is one count, and it stands nowhere twice.
 */
#include "auth/base64url.h"
#include "channels/replay.h"
#include "hub/api/components.h"
#include "hub/api/pages.h"
#include "hub/api/tables.h"
#include "hub/api/words.h"
#include "hub/consensus/module.h"

#include <math.h>
#include <stdlib.h>

enum { LIST_DEFAULT = 100, ROWS_LOOKED_MAX = 5000, TIMEOUT_S_DEFAULT = 300, CLOSING_MS = 1000 };

/* ---- the round as JSON ---- */

static void put_fraction(struct json_out *o, const char *key, const char *before,
                         const struct tally_fraction *f)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%s%u/%u", before, f->over, f->under);
    put_str(o, key, text);
}

static void put_options(struct json_out *o, const struct round *r)
{
    struct slice rest = r->options, option;
    json_key(o, "options");
    json_begin(o, '[');
    while (round_option_next(&rest, &option)) {
        json_text(o, option);
    }
    json_end(o, ']');
}

static struct slice option_at(const struct round *r, int at)
{
    struct slice rest = r->options, option = {0};
    for (int i = 0; i <= at && round_option_next(&rest, &option); i++) {
    }
    return at >= 0 ? option : slice_of(NULL, 0);
}

static struct slice chair_of(const struct round *r)
{
    struct slice rest = r->seats;
    struct round_seat seat = {0};
    while (r->chair != TALLY_NOBODY && round_seat_next(&rest, &seat)) {
        if (seat.seat == r->chair) {
            return seat.id;
        }
    }
    return slice_of(NULL, 0);
}

static void put_terms(struct json_out *o, const struct round *r)
{
    put_str(o, "rule", tally_rule_name(r->terms.rule));
    put_str(o, "of", r->terms.of_eligible ? "eligible" : "cast");
    put_fraction(o, "threshold", "", &r->terms.threshold);
    put_fraction(o, "quorum", r->terms.quorum_exceeds ? ">" : ">=", &r->terms.quorum);
    put_str(o, "tie", tally_tie_name(r->terms.tie));
    put_text_or_null(o, "chair", chair_of(r));
    put_bool(o, "revote", r->revote);
    put_bool(o, "early_close", r->early_close);
    put_str(o, "visibility", r->open_ballots ? "open" : "sealed");
    put_bool(o, "signed", r->signed_only);
    put_time_or_null(o, "reveal_at", r->reveal_ms);
}

static void put_summary(struct json_out *o, const struct round *r)
{
    const char *stop = round_stop_name(r->stop);
    struct buf text = {0};
    put_text(o, "round_id", r->id);
    put_text_or_null(o, "reference", r->reference);
    put_text(o, "question", r->question);
    put_options(o, r);
    put_terms(o, r);
    put_str(o, "status", round_status_name(r->status));
    put_text_or_null(o, "stop_reason", slice_str(stop ? stop : ""));
    put_text(o, "owner", r->owner);
    put_time(o, "opened_at", r->opened_ms);
    put_time(o, "deadline", r->deadline_ms);
    put_time_or_null(o, "closed_at", r->closed_ms);
    put_count(o, "seats", r->seats_n);
    if (r->reveal_ms) {
        put_str(o, "phase",
                r->status != ROUND_OPEN ? "closed"
                : r->revealing          ? "reveal"
                                        : "commit");
        put_count(o, "committed", r->committed_n);
    }
    put_count(o, "voted", r->voted_n);
    put_count(o, "voided", r->voided_n);
    put_count(o, "eligible_weight", r->weight);
    put_count(o, "voted_weight", r->voted_weight);
    put_text_or_null(o, "winner", option_at(r, r->winner));
    json_key(o, "confidence_score");
    decimal_put(&text, r->confidence, 6);
    json_raw(o, buf_slice(&text));
    buf_done(&text);
    put_text_or_null(o, "runoff_of", r->runoff_of);
    put_text_or_null(o, "runoff", r->runoff);
}

static bool has_voted(const struct paper *p, uint32_t seat)
{
    for (uint32_t i = 0; i < p->ballots_n; i++) {
        if (p->ballots[i].vote.seat == seat && p->ballots[i].fate == BALLOT_COUNTS) {
            return true;
        }
    }
    return false;
}

static void put_electorate(struct json_out *o, const struct paper *p)
{
    struct buf key = {0};
    json_key(o, "electorate");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->seats_n; i++) {
        buf_clear(&key);
        base64url_put(&key, p->seats[i].public_key);
        json_begin(o, '{');
        put_text(o, "id", p->seats[i].id);
        put_count(o, "weight", p->seats[i].weight);
        put_text_or_null(o, "public_key", buf_slice(&key));
        if (p->reveal_ms) {
            put_bool(o, "committed", p->seats[i].commitment.n > 0);
        }
        put_bool(o, "voted", has_voted(p, i));
        json_end(o, '}');
    }
    json_end(o, ']');
    buf_done(&key);
}

/* Sealed ballots are shown when they have been counted, so never those of a cancelled round. */
static void put_ballots(struct json_out *o, const struct round *r, const struct paper *p)
{
    bool counted = r->status != ROUND_OPEN && r->status != ROUND_CANCELLED;
    if (!r->open_ballots && !counted) {
        put_null(o, "ballots");
        return;
    }
    json_key(o, "ballots");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->ballots_n; i++) {
        paper_ballot_json(o, p, &p->ballots[i], false);
    }
    json_end(o, ']');
}

static void put_outcome(struct json_out *o, const struct round *r, const struct paper *p)
{
    struct tally_result result;
    char seed[2 * TALLY_SEED_BYTES + 1];
    if (r->status == ROUND_OPEN || r->status == ROUND_CANCELLED) {
        put_null(o, "outcome");
        return;
    }
    hex_put(seed, slice_of(r->seed, sizeof r->seed));
    put_str(o, "seed", seed);
    paper_count(p, &result);
    json_key(o, "outcome");
    paper_outcome_json(o, p, &result);
    tally_result_done(&result);
}

static enum hub_rc put_round(struct json_out *o, struct store_view *view, const struct round *r)
{
    struct paper paper;
    char digest[SHA256_HEX + 1];
    enum store_rc rc = round_paper(view, r, &paper);
    if (rc != STORE_OK) {
        return hub_rc_of_store(rc);
    }
    hex_put(digest, slice_of(r->digest, sizeof r->digest));
    json_begin(o, '{');
    put_summary(o, r);
    put_str(o, "digest", digest);
    put_electorate(o, &paper);
    put_ballots(o, r, &paper);
    put_outcome(o, r, &paper);
    json_end(o, '}');
    paper_done(&paper);
    return HUB_OK;
}

/* ---- seeing one ---- */

static enum hub_rc missing(struct call *call, struct slice id)
{
    return call_fail(call, HUB_NOT_FOUND, "Round %.*s not found", (int)(id.n < 100 ? id.n : 100),
                     (const char *)id.p);
}

static enum hub_rc see(struct call *call, struct store_view *view, struct slice id,
                       struct round *out)
{
    struct asker asker = asker_of(call->who);
    enum store_rc rc = round_find(view, call->who->app, id, out);
    if (rc == STORE_NOT_FOUND || (rc == STORE_OK && !round_visible(out, &asker))) {
        return missing(call, id);
    }
    return hub_rc_of_store(rc);
}

/* The round and where its channel stands, in one snapshot: what comes after it wakes who waits. */
static enum hub_rc show(struct call *call, struct slice id, int64_t wait_ms)
{
    struct buf channel = {0};
    struct replay_span span;
    struct round round = {0};
    round_channel(&channel, slice_of(id.p, id.n < ROUND_ID_CHARS ? id.n : ROUND_ID_CHARS));
    struct slice name = buf_slice(&channel);
    enum store_rc rc = replay_span(call->io->hub->log, call->io->reader, call->who->app, name,
                                   io_options(call->io, call->who->app, name), call->now_ms, &span);
    enum hub_rc out = rc == STORE_OK ? see(call, span.view, id, &round) : hub_rc_of_store(rc);
    if (out == HUB_OK) {
        struct json_out o = json_out_to(call->out);
        out = put_round(&o, span.view, &round);
    }
    if (out == HUB_OK && round.status == ROUND_OPEN && wait_ms > 0) {
        call_wait(call, name, span.head.last, wait_ms);
        memcpy(call->wait.about, id.p, id.n);
    }
    store_release(call->io->reader);
    buf_done(&channel);
    return out;
}

static enum hub_rc show_again(struct call *call, struct slice about)
{
    return show(call, about, 1); /* how long is for whoever waits to know */
}

static enum hub_rc show_or_wait(struct call *call, struct slice id, int64_t wait_ms)
{
    call->wait.again = show_again;
    return show(call, id, wait_ms);
}

static enum hub_rc get(struct call *call)
{
    return show_or_wait(call, call_text(call, "round_id"),
                        (int64_t)(call_number(call, "wait", 0) * 1000));
}

/* ---- many, newest first ---- */

static bool wanted(const struct call *call, const struct round *r, const struct asker *asker)
{
    struct slice status = call_text(call, "status"), reference = call_text(call, "reference");
    return r->app == call->who->app && round_visible(r, asker) &&
           (!status.n || slice_is(status, round_status_name(r->status))) &&
           (!reference.n || slice_equal(reference, r->reference));
}

static enum hub_rc list_one(struct page *page, uint32_t number)
{
    struct round r;
    enum store_rc rc = round_get(page->view, number, &r);
    if (rc == STORE_OK && wanted(page->call, &r, &page->asker)) {
        json_begin(&page->o, '{');
        put_summary(&page->o, &r);
        json_end(&page->o, '}');
        page->n++;
    }
    return hub_rc_of_store(rc);
}

static enum hub_rc list(struct call *call)
{
    struct page page;
    enum hub_rc rc = page_open(&page, call, LIST_DEFAULT);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = page_from(&page, round_newest(page.view));
    if (rc == HUB_OK) {
        json_begin(&page.o, '{');
        page_list(&page, "rounds");
        rc = page_walk(&page, ROWS_LOOKED_MAX, list_one);
        page_list_end(&page);
        json_end(&page.o, '}');
    }
    page_close(&page);
    return rc;
}

/* ---- consensus.open ---- */

struct open_scratch {
    struct slice options[TALLY_OPTIONS_MAX];
    struct consensus_member *members;
};

static enum hub_rc fraction_param(struct call *call, const char *name, struct tally_fraction *out)
{
    const json_t *value = call_json(call, name);
    double v = json_number_value(value);
    struct slice text = call_text(call, name);
    bool ok = true;
    if (json_is_number(value)) {
        ok = v >= 0 && v <= 1;
        *out = ok ? tally_fraction_near(v) : *out;
    } else if (text.p) {
        ok = tally_fraction_of(text, out);
    }
    return ok ? HUB_OK
              : call_fail_field(call, name, "value_error",
                                "a number from 0 to 1, or a fraction as 2/3");
}

static enum hub_rc terms_of(struct call *call, struct tally_terms *out)
{
    struct slice rule = call_text(call, "rule"), tie = call_text(call, "tie");
    *out = (struct tally_terms){.rule = RULE_MAJORITY,
                                .of_eligible = slice_is(call_text(call, "of"), "eligible"),
                                .threshold = {2, 3},
                                .quorum = {1, 2},
                                .quorum_exceeds = !call_json(call, "quorum") ||
                                                  json_is_null(call_json(call, "quorum"))};
    if (rule.p && !tally_rule_of(rule, &out->rule)) {
        return call_fail_word(call, "rule", "rule", rule, &words_tally_rule);
    }
    if (tie.p && !tally_tie_of(tie, &out->tie)) {
        return call_fail_word(call, "tie", "tie policy", tie, &words_tally_tie);
    }
    enum hub_rc rc = fraction_param(call, "threshold", &out->threshold);
    return rc == HUB_OK ? fraction_param(call, "quorum", &out->quorum) : rc;
}

static void options_of(struct call *call, struct open_scratch *s, struct consensus_spec *spec)
{
    const json_t *list = call_json(call, "options");
    if (!json_is_array(list) && tally_form_of(spec->terms.rule) != FORM_SCORE) {
        s->options[0] = slice_str("yes");
        s->options[1] = slice_str("no");
        spec->options_n = 2;
    }
    for (size_t i = 0; i < json_array_size(list); i++) { /* at most so many, says the schema */
        const json_t *item = json_array_get(list, i);
        s->options[spec->options_n++] = slice_of(json_string_value(item), json_string_length(item));
    }
    spec->options = s->options;
}

static void members_of(struct call *call, struct open_scratch *s, struct consensus_spec *spec)
{
    const json_t *list = call_json(call, "electorate");
    s->members = xcalloc(json_array_size(list) + 1, sizeof *s->members);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i), *weight = json_object_get(item, "weight");
        const json_t *id = json_is_object(item) ? json_object_get(item, "id") : item;
        s->members[spec->members_n++] = (struct consensus_member){
            .id = slice_of(json_string_value(id), json_string_length(id)),
            .weight = json_is_integer(weight) ? (uint32_t)json_integer_value(weight) : 1};
    }
    spec->members = s->members;
}

static enum hub_rc open_prepare(struct call *call, struct buf *body)
{
    struct open_scratch scratch = {.members = NULL};
    struct consensus_refusal refusal = {0};
    struct consensus_spec spec = {
        .owner = call->who->subject,
        .reference = call_text(call, "reference"),
        .question = call_text(call, "question"),
        .revote = call_bool(call, "revote", false),
        .early_close = call_bool(call, "early_close", false),
        .open_ballots = slice_is(call_text(call, "visibility"), "open"),
        .signed_only = call_bool(call, "signed", false),
        .timeout_ms = llround(call_number(call, "timeout_seconds", TIMEOUT_S_DEFAULT) * 1000),
        .commit_ms = llround(call_number(call, "commit_seconds", 0) * 1000),
        .chair = call_text(call, "chair"),
        .waits = call_bool(call, "wait", false)};
    enum hub_rc rc = terms_of(call, &spec.terms);
    if (rc == HUB_OK) {
        options_of(call, &scratch, &spec);
        members_of(call, &scratch, &spec);
        if (!consensus_spec_check(&spec, &refusal)) {
            rc = call_fail_field(call, refusal.field, "value_error", "%s", refusal.text);
        } else {
            consensus_spec_put(body, &spec);
        }
    }
    free(scratch.members);
    return rc;
}

/* The answer shows the round; with an Idempotency-Key seen before, as it stands by now. Who waits
 * is answered when it closes, which its deadline does if nothing else. */
static enum hub_rc open_answer(struct call *call, const struct command *command, struct slice reply)
{
    struct consensus_opened opened;
    (void)command;
    if (!consensus_opened_get(reply, &opened)) {
        return HUB_INTERNAL;
    }
    int64_t left_ms = opened.deadline_ms - call->now_ms + CLOSING_MS;
    return show_or_wait(call, slice_str(opened.id), opened.waits && left_ms > 0 ? left_ms : 0);
}

/* ---- consensus.vote ---- */

struct vote_scratch {
    struct consensus_vote vote;
    uint8_t signature[SIGNATURE_BYTES];
    struct slice options[TALLY_OPTIONS_MAX];
};

static enum hub_rc add_choice(struct call *call, const struct round *r, struct vote_scratch *s,
                              const char *field, const json_t *item)
{
    struct slice text = slice_of(json_string_value(item), json_string_length(item));
    struct tally_ballot *vote = &s->vote.ballot.vote;
    uint32_t at = 0;
    while (at < r->options_n && !slice_equal(s->options[at], text)) {
        at++;
    }
    if (at == r->options_n) {
        return call_fail_field(call, field, "enum", "'%.*s' is not an option of the round",
                               (int)(text.n < 100 ? text.n : 100), (const char *)text.p);
    }
    for (uint32_t i = 0; i < vote->choices_n; i++) {
        if (vote->choices[i] == at) {
            return call_fail_field(call, field, "value_error", "no option stands twice");
        }
    }
    vote->choices[vote->choices_n++] = (uint8_t)at;
    return HUB_OK;
}

/* Approvals are a set: in the order of the options, whatever order they came in. */
static void sort_choices(struct tally_ballot *vote)
{
    for (uint32_t i = 1; i < vote->choices_n; i++) {
        for (uint32_t j = i; j > 0 && vote->choices[j - 1] > vote->choices[j]; j--) {
            uint8_t swap = vote->choices[j];
            vote->choices[j] = vote->choices[j - 1];
            vote->choices[j - 1] = swap;
        }
    }
}

static enum hub_rc choices_of(struct call *call, const struct round *r, struct vote_scratch *s,
                              enum tally_form form)
{
    const char *field = tally_form_name(form);
    const json_t *one = call_json(call, "choice"), *list = call_json(call, field);
    struct tally_ballot *vote = &s->vote.ballot.vote;
    enum hub_rc rc = HUB_OK;
    if (json_is_string(one)) {
        return add_choice(call, r, s, "choice", one);
    }
    if (!json_is_array(list) || json_array_size(list) == 0) {
        return call_fail_field(call, field, "missing", "under the rule %s a ballot has a %s",
                               tally_rule_name(r->terms.rule), field);
    }
    for (size_t i = 0; rc == HUB_OK && i < json_array_size(list); i++) {
        rc = add_choice(call, r, s, field, json_array_get(list, i));
    }
    if (form == FORM_SOME) {
        sort_choices(vote);
    }
    return rc;
}

static enum hub_rc score_of(struct call *call, struct tally_ballot *vote)
{
    const json_t *value = call_json(call, "score");
    double v = json_number_value(value) * 1000;
    if (!json_is_number(value) || !(fabs(v) <= TALLY_SCORE_MAX)) {
        return call_fail_field(call, "score", json_is_number(value) ? "value_error" : "missing",
                               "a number from -1000000 to 1000000");
    }
    vote->score = llround(v);
    return HUB_OK;
}

/* Which of two was meant is not for the hub to guess: the seat has one ballot. */
static enum hub_rc says_one_thing(struct call *call, bool abstains)
{
    static const char *const fields[] = {"choice", "choices", "ranking", "score"};
    bool said = abstains;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const json_t *value = call_json(call, fields[i]);
        if (!value || json_is_null(value) || (json_is_array(value) && !json_array_size(value))) {
            continue;
        }
        if (said) {
            return call_fail_field(call, fields[i], "value_error", "a ballot says one thing");
        }
        said = true;
    }
    return HUB_OK;
}

static enum hub_rc ballot_of(struct call *call, const struct round *r, struct vote_scratch *s)
{
    struct round_ballot *ballot = &s->vote.ballot;
    enum tally_form form = tally_form_of(r->terms.rule);
    const json_t *confidence = call_json(call, "confidence");
    struct slice rest = r->options;
    for (uint32_t i = 0; i < r->options_n; i++) {
        (void)round_option_next(&rest, &s->options[i]);
    }
    ballot->sure = json_is_number(confidence);
    ballot->vote.confidence =
        ballot->sure ? (uint32_t)llround(json_number_value(confidence) * TALLY_ONE) : TALLY_ONE;
    ballot->vote.abstains = call_bool(call, "abstain", false);
    enum hub_rc rc = says_one_thing(call, ballot->vote.abstains);
    if (rc != HUB_OK || ballot->vote.abstains) {
        return rc;
    }
    return form == FORM_SCORE ? score_of(call, &ballot->vote) : choices_of(call, r, s, form);
}

static enum hub_rc nonce_of(struct call *call, struct round_ballot *ballot)
{
    ballot->nonce = call_text(call, "nonce");
    return ballot->nonce.n >= NONCE_BYTES_MIN && ballot->nonce.n <= NONCE_BYTES_MAX
               ? HUB_OK
               : call_fail_field(call, "nonce", ballot->nonce.n ? "value_error" : "missing",
                                 "%d to %d bytes: those that were committed with the ballot",
                                 NONCE_BYTES_MIN, NONCE_BYTES_MAX);
}

/* Checked against the key that was frozen with the round, over the words of this very vote. */
static enum hub_rc check_signature(struct call *call, const struct round *r,
                                   const struct round_seat *seat, struct vote_scratch *s)
{
    struct slice text = call_text(call, "signature");
    struct buf message = {0};
    size_t n = 0;
    if (!text.n && !r->signed_only) {
        return HUB_OK;
    }
    if (!text.n) {
        return call_fail_field(call, "signature", "missing", "ballots of this round are signed");
    }
    if (seat->public_key.n != SIGNING_PUBLIC_BYTES) {
        return call_fail_field(call, "signature", "value_error",
                               "the voter had registered no public key when the round opened");
    }
    bool good = base64url_get(text, s->signature, sizeof s->signature, &n) && n == SIGNATURE_BYTES;
    ballot_message(&message, r->id, r->digest, seat->id, tally_form_of(r->terms.rule), s->options,
                   &s->vote.ballot);
    good = good &&
           signature_check(seat->public_key.p, BALLOT_PURPOSE, buf_slice(&message), s->signature);
    buf_done(&message);
    s->vote.ballot.signature = slice_of(s->signature, SIGNATURE_BYTES);
    return good ? HUB_OK
                : call_fail_field(call, "signature", "value_error",
                                  "it does not fit this ballot and the voter's key");
}

/* Whoever has no seat, or may not know of the round, sends an empty ballot: the writer refuses it
 * with the right words. */
static enum hub_rc vote_read(struct call *call, struct store_view *view, struct vote_scratch *s)
{
    struct round round;
    struct round_seat seat;
    enum store_rc rc = round_find(view, call->who->app, s->vote.round_id, &round);
    s->vote.ballot.vote.abstains = true;
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? HUB_OK : hub_rc_of_store(rc);
    }
    if (!round_visible(&round, &s->vote.asker) || !round_seat_find(&round, s->vote.voter, &seat)) {
        return HUB_OK;
    }
    enum hub_rc out = ballot_of(call, &round, s);
    if (out == HUB_OK && round.reveal_ms) {
        out = nonce_of(call, &s->vote.ballot);
    }
    return out == HUB_OK ? check_signature(call, &round, &seat, s) : out;
}

static enum hub_rc vote_prepare(struct call *call, struct buf *body)
{
    struct vote_scratch s = {.vote = {.asker = asker_of(call->who),
                                      .round_id = call_text(call, "round_id"),
                                      .voter = call_text(call, "voter"),
                                      .ballot = {.reason = call_text(call, "reason")}}};
    struct store_view *view;
    if (s.vote.voter.n == 0) {
        s.vote.voter = call->who->subject;
    }
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = vote_read(call, view, &s);
    if (rc == HUB_OK) {
        consensus_vote_put(body, &s.vote);
    }
    store_release(call->io->reader);
    return rc;
}

static enum hub_rc vote_answer(struct call *call, const struct command *command, struct slice reply)
{
    static const char *const words[VOTE_ANSWERS] = {[VOTE_TAKEN] = "taken",
                                                    [VOTE_SAME] = "unchanged",
                                                    [VOTE_REPLACED] = "replaced",
                                                    [VOTE_VOIDED] = "voided"};
    struct consensus_voted v;
    (void)command;
    if (!consensus_voted_get(reply, &v)) {
        return HUB_INTERNAL;
    }
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "voter", v.voter);
    put_str(&o, "ballot", words[v.answer]);
    put_bool(&o, "equivocation", v.answer == VOTE_VOIDED);
    put_count(&o, "version", v.version);
    put_str(&o, "round_status", round_status_name(v.status));
    put_time(&o, "at", v.at_ms);
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- consensus.commit ---- */

static enum hub_rc commit_prepare(struct call *call, struct buf *body)
{
    struct slice voter = call_text(call, "voter");
    struct consensus_commit commit = {.asker = asker_of(call->who),
                                      .round_id = call_text(call, "round_id"),
                                      .voter = voter.n ? voter : call->who->subject};
    if (!hex_get(call_text(call, "commitment"), commit.hash, sizeof commit.hash)) {
        return call_fail_field(call, "commitment", "value_error",
                               "SHA-256 in %d lower-case hex digits", SHA256_HEX);
    }
    consensus_commit_put(body, &commit);
    return HUB_OK;
}

static enum hub_rc commit_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct consensus_voted v;
    (void)command;
    if (!consensus_voted_get(reply, &v)) {
        return HUB_INTERNAL;
    }
    struct json_out o = json_out_to(call->out);
    json_begin(&o, '{');
    put_text(&o, "voter", v.voter);
    put_str(&o, "commitment", v.answer == VOTE_SAME ? "unchanged" : "taken");
    put_str(&o, "round_status", round_status_name(v.status));
    put_time(&o, "at", v.at_ms);
    json_end(&o, '}');
    return HUB_OK;
}

/* ---- consensus.certificate, consensus.cancel ---- */

static enum hub_rc certificate_of(struct call *call, struct store_view *view)
{
    struct round round;
    struct paper paper;
    enum hub_rc rc = see(call, view, call_text(call, "round_id"), &round);
    if (rc != HUB_OK) {
        return rc;
    }
    if (round.status == ROUND_OPEN || round.status == ROUND_CANCELLED) {
        return call_fail(call, HUB_CONFLICT, "a round that is %s has no outcome to certify",
                         round_status_name(round.status));
    }
    enum store_rc read = round_paper(view, &round, &paper);
    if (read != STORE_OK) {
        return hub_rc_of_store(read);
    }
    certificate_put(call->out, &paper, call->io->signing);
    paper_done(&paper);
    return HUB_OK;
}

static enum hub_rc certificate(struct call *call)
{
    struct store_view *view;
    enum hub_rc rc = call_snapshot(call, &view);
    if (rc != HUB_OK) {
        return rc;
    }
    rc = certificate_of(call, view);
    store_release(call->io->reader);
    return rc;
}

static enum hub_rc cancel_prepare(struct call *call, struct buf *body)
{
    struct consensus_cancel cancel = {.asker = asker_of(call->who),
                                      .round_id = call_text(call, "round_id")};
    enum hub_rc rc = call_reason(call, &cancel.reason);
    if (rc == HUB_OK) {
        consensus_cancel_put(body, &cancel);
    }
    return rc;
}

static enum hub_rc cancel_answer(struct call *call, const struct command *command,
                                 struct slice reply)
{
    struct store_view *view;
    struct round round;
    (void)command;
    enum hub_rc rc = reply.n == 4 ? call_snapshot(call, &view) : HUB_INTERNAL;
    if (rc != HUB_OK) {
        return rc;
    }
    rc = hub_rc_of_store(round_get(view, be32_get(reply.p), &round));
    if (rc == HUB_OK) {
        struct json_out o = json_out_to(call->out);
        rc = put_round(&o, view, &round);
    }
    store_release(call->io->reader);
    return rc;
}

/* ---- the table ---- */

/* clang-format off */
#define ROUND_ID {"type":"string","minLength":1,"maxLength":64,"description":"The round's id."}
#define RULE_WORD "One of plurality, majority, supermajority, unanimous, weighted, approval, borda, irv, condorcet, score_mean, score_median, confidence_weighted, bft."
#define FRACTION(text) {"type":["number","string","null"],"description":text}
#define MEMBER {"anyOf":[{"type":"string","minLength":1,"maxLength":128},{"type":"object","required":["id"],"properties":{"id":{"type":"string","minLength":1,"maxLength":128},"weight":{"type":"integer","minimum":0,"maximum":1000000000,"default":1}}}]}
#define OPTION_TEXTS(text) {"type":["array","null"],"maxItems":64,"items":{"type":"string","minLength":1,"maxLength":256},"description":text}

#define OPEN_PARAMS SCHEMA({"type":"object","required":["question","electorate"],"properties":{ \
    "question":{"type":"string","minLength":1,"maxLength":16384,"examples":["Ship version 2?"]}, \
    "electorate":{"type":"array","minItems":1,"maxItems":1000,"items":MEMBER,"description":"Who votes: agents, or subjects of callers; frozen, with their keys, when the round opens."}, \
    "options":OPTION_TEXTS("Default yes and no; none under a score rule."), \
    "rule":{"type":["string","null"],"default":"majority","description":RULE_WORD}, \
    "of":{"enum":["cast","eligible",null],"description":"majority, supermajority: of which weight."}, \
    "threshold":FRACTION("supermajority: at least so much; default 2/3."), \
    "quorum":FRACTION("At least so much of the eligible weight votes; default more than 1/2."), \
    "tie":{"type":["string","null"],"default":"runoff","description":"runoff, chair, weight, option_order, seeded_random or none."}, \
    "chair":{"type":["string","null"],"minLength":1,"maxLength":128,"description":"The member whose ballot breaks a tie."}, \
    "revote":{"type":["boolean","null"],"description":"Ballots may be changed while the round is open."}, \
    "early_close":{"type":["boolean","null"],"description":"Close as soon as no ballot can change the outcome."}, \
    "visibility":{"enum":["sealed","open",null],"description":"Whether ballots are seen before the round is closed; default sealed."}, \
    "signed":{"type":["boolean","null"],"description":"Only signed ballots; always so under bft."}, \
    "timeout_seconds":{"type":["number","null"],"exclusiveMinimum":0,"maximum":2592000,"default":300}, \
    "commit_seconds":{"type":["number","null"],"exclusiveMinimum":0,"maximum":2592000,"description":"So long of it only commitments are taken, and then the ballots that fit: docs/consensus.md."}, \
    "reference":{"type":["string","null"],"maxLength":256,"description":"What it is about: a task, say."}, \
    "wait":{"type":["boolean","null"],"description":"Answer when it has closed."}}})
#define VOTE_PARAMS SCHEMA({"type":"object","required":["round_id"],"properties":{ \
    "round_id":ROUND_ID, \
    "voter":{"type":["string","null"],"minLength":1,"maxLength":128,"description":"Whose ballot; the caller itself when left out."}, \
    "choice":{"type":["string","null"],"maxLength":256}, \
    "choices":OPTION_TEXTS("approval: all that are approved."), \
    "ranking":OPTION_TEXTS("borda, irv, condorcet: best first."), \
    "score":{"type":["number","null"],"description":"Rounded to three decimals."}, \
    "abstain":{"type":["boolean","null"],"description":"Counts for the quorum alone."}, \
    "confidence":{"type":["number","null"],"minimum":0,"maximum":1,"description":"Rounded to six decimals."}, \
    "reason":{"type":["string","null"],"maxLength":1024}, \
    "nonce":{"type":["string","null"],"minLength":16,"maxLength":128,"description":"In a round with commitments: the text that the ballot was committed with."}, \
    "signature":{"type":["string","null"],"maxLength":128,"description":"Ed25519 over the ballot, base64url: docs/certificates.md."}}})
#define VOTE_ANSWER SCHEMA({"type":"object","required":["voter","ballot","version","round_status","at"],"properties":{ \
    "voter":{"type":"string"},"ballot":{"enum":["taken","unchanged","replaced","voided"]},"equivocation":{"type":"boolean"}, \
    "version":{"type":"integer"},"round_status":{"type":"string"},"at":SHAPE_TIME}})
#define ROUND_SUMMARY "round_id":{"type":"string"},"reference":{"type":["string","null"]},"question":{"type":"string"},"options":{"type":"array","items":{"type":"string"}}, \
    "rule":{"type":"string"},"chair":{"type":["string","null"]},"status":{"enum":["open","decided","tied","no_quorum","no_decision","cancelled"]},"stop_reason":{"type":["string","null"]},"owner":{"type":"string"}, \
    "opened_at":SHAPE_TIME,"deadline":SHAPE_TIME,"reveal_at":SHAPE_TIME_OR_NULL,"phase":{"enum":["commit","reveal","closed"]},"committed":SHAPE_COUNT,"closed_at":SHAPE_TIME_OR_NULL,"seats":SHAPE_COUNT,"voted":SHAPE_COUNT,"winner":{"type":["string","null"]}, \
    "confidence_score":{"type":"number"},"runoff_of":{"type":["string","null"]},"runoff":{"type":["string","null"]}
#define ROUND_ANSWER SCHEMA({"type":"object","required":["round_id","question","status","electorate"],"properties":{ROUND_SUMMARY, \
    "digest":{"type":"string","description":"SHA-256 over all that is frozen: what a voter signs for."}, \
    "electorate":{"type":"array","items":{"type":"object"}},"ballots":{"type":["array","null"],"items":{"type":"object"}},"outcome":{"type":["object","null"]}}})
#define LIST_ANSWER SCHEMA({"type":"object","properties":{"rounds":{"type":"array","items":{"type":"object","properties":{ROUND_SUMMARY}}},"count":SHAPE_COUNT,"next_cursor":SHAPE_NEXT_CURSOR}})

static const struct operation rows[] = {
    { .name = "consensus.open", .summary = "Open a round of voting",
      .needs = ROLE_AGENT, .flags = OPERATION_CREATES | OPERATION_BODY,
      .routes = {{METHOD_POST, "/api/v1/consensus", 201, STYLE_PROBLEM, false}},
      .params = OPEN_PARAMS, .answer_schema = ROUND_ANSWER,
      .kind = &command_consensus_open, .prepare = open_prepare, .answer = open_answer },
    { .name = "consensus.list", .summary = "Rounds, newest first",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/api/v1/consensus", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","properties":{"status":{"type":"string"},"reference":{"type":"string"},"limit":SHAPE_LIMIT,"cursor":SHAPE_CURSOR}}),
      .answer_schema = LIST_ANSWER,
      .query = list },
    { .name = "consensus.get", .summary = "One round; with wait, when it has closed",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/api/v1/consensus/{round_id}", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["round_id"],"properties":{"round_id":ROUND_ID,"wait":{"type":"number","minimum":0,"maximum":3600,"description":"Seconds to wait for its close."}}}),
      .answer_schema = ROUND_ANSWER,
      .query = get },
    { .name = "consensus.vote", .summary = "Cast a ballot",
      .needs = ROLE_AGENT, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/api/v1/consensus/{round_id}/votes", 200, STYLE_PROBLEM, false}},
      .params = VOTE_PARAMS, .answer_schema = VOTE_ANSWER,
      .kind = &command_consensus_vote, .prepare = vote_prepare, .answer = vote_answer },
    { .name = "consensus.commit", .summary = "Commit to a ballot that will be shown later",
      .needs = ROLE_AGENT, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/api/v1/consensus/{round_id}/commitments", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["round_id","commitment"],"properties":{"round_id":ROUND_ID,
          "voter":{"type":["string","null"],"maxLength":128,"description":"Whose; the caller itself when left out."},
          "commitment":{"type":"string","pattern":"^[0-9a-f]{64}$","description":"SHA-256 over ballot and nonce: docs/certificates.md."}}}),
      .answer_schema = SCHEMA({"type":"object","required":["voter","commitment","round_status","at"],"properties":{"voter":{"type":"string"},"commitment":{"enum":["taken","unchanged"]},"round_status":{"type":"string"},"at":SHAPE_TIME}}),
      .kind = &command_consensus_commit, .prepare = commit_prepare, .answer = commit_answer },
    { .name = "consensus.certificate", .summary = "What a closed round came to, signed by the hub",
      .needs = ROLE_VIEWER,
      .routes = {{METHOD_GET, "/api/v1/consensus/{round_id}/certificate", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["round_id"],"properties":{"round_id":ROUND_ID}}),
      .answer_schema = SCHEMA({"type":"object","required":["certificate","kid","public_key","signature"],"properties":{"certificate":{"type":"object"},"kid":{"type":"string"},"public_key":{"type":"string"},"signature":{"type":"string"}}}),
      .query = certificate },
    { .name = "consensus.cancel", .summary = "Cancel an open round",
      .needs = ROLE_AGENT,
      .routes = {{METHOD_POST, "/api/v1/consensus/{round_id}/cancel", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["round_id"],"properties":{"round_id":ROUND_ID,"reason":SHAPE_REASON}}),
      .answer_schema = ROUND_ANSWER,
      .kind = &command_consensus_cancel, .prepare = cancel_prepare, .answer = cancel_answer },
};
/* clang-format on */

const struct operation_table consensus_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
