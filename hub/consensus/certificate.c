/* Whatever is hashed or signed by voters is a row of netstrings ("5:hello,"): it can be made in any
 * language in a line, and two different rows never give the same bytes. */
#include "hub/consensus/certificate.h"

#include "auth/base64url.h"
#include "channels/json_members.h"

#include <stdlib.h>

static const char *const fate_names[BALLOT_FATES] = {[BALLOT_COUNTS] = "counted",
                                                     [BALLOT_REPLACED] = "replaced",
                                                     [BALLOT_VOIDED] = "voided",
                                                     [BALLOT_LATE] = "late"};

const char *ballot_fate_name(enum round_ballot_fate fate)
{
    return fate_names[fate];
}

void paper_done(struct paper *paper)
{
    free(paper->options);
    free(paper->seats);
    free(paper->ballots);
    buf_done(&paper->texts);
}

/* The paper laid out for counting. */
struct counted {
    struct tally tally;
    uint32_t *weights;
    struct tally_ballot *ballots;
};

static void lay_out(const struct paper *p, struct counted *out)
{
    out->weights = xcalloc((size_t)p->seats_n + 1, sizeof *out->weights);
    out->ballots = xcalloc((size_t)p->ballots_n + 1, sizeof *out->ballots);
    out->tally = (struct tally){.terms = p->terms,
                                .options = p->options,
                                .options_n = p->options_n,
                                .weights = out->weights,
                                .seats_n = p->seats_n,
                                .chair = p->chair,
                                .ballots = out->ballots};
    memcpy(out->tally.seed, p->seed, sizeof out->tally.seed);
    for (uint32_t i = 0; i < p->seats_n; i++) {
        out->weights[i] = p->seats[i].weight;
    }
    for (uint32_t i = 0; i < p->ballots_n; i++) {
        if (p->ballots[i].fate == BALLOT_COUNTS) {
            out->ballots[out->tally.ballots_n++] = p->ballots[i].vote;
        }
    }
}

static void counted_done(struct counted *counted)
{
    free(counted->weights);
    free(counted->ballots);
}

void paper_count(const struct paper *p, struct tally_result *out)
{
    struct counted counted;
    lay_out(p, &counted);
    tally_count(&counted.tally, out);
    counted_done(&counted);
}

bool paper_settled(const struct paper *p)
{
    struct counted counted;
    lay_out(p, &counted);
    bool settled = tally_settled(&counted.tally);
    counted_done(&counted);
    return settled;
}

/* ---- numbers and netstrings ---- */

void decimal_put(struct buf *b, int64_t v, unsigned places)
{
    uint64_t size = v < 0 ? (uint64_t)-v : (uint64_t)v, unit = 1;
    for (unsigned i = 0; i < places; i++) {
        unit *= 10;
    }
    buf_add_str(b, v < 0 ? "-" : "");
    buf_add_u64(b, size / unit);
    uint64_t rest = size % unit;
    if (rest) {
        buf_add_str(b, ".");
    }
    while (rest) {
        unit /= 10;
        uint8_t digit = (uint8_t)('0' + rest / unit);
        buf_add(b, &digit, 1);
        rest %= unit;
    }
}

static void put_net(struct buf *b, struct slice s)
{
    buf_add_u64(b, s.n);
    buf_add_str(b, ":");
    buf_add_slice(b, s);
    buf_add_str(b, ",");
}

static void put_net_str(struct buf *b, const char *s)
{
    put_net(b, slice_str(s));
}

static void put_net_decimal(struct buf *b, int64_t v, unsigned places)
{
    struct buf text = {0};
    decimal_put(&text, v, places);
    put_net(b, buf_slice(&text));
    buf_done(&text);
}

static void fraction_text(struct buf *b, const struct tally_fraction *f)
{
    buf_add_u64(b, f->over);
    buf_add_str(b, "/");
    buf_add_u64(b, f->under);
}

static void put_net_fraction(struct buf *b, const char *before, const struct tally_fraction *f)
{
    struct buf text = {0};
    buf_add_str(&text, before);
    fraction_text(&text, f);
    put_net(b, buf_slice(&text));
    buf_done(&text);
}

static void put_net_key(struct buf *b, struct slice key)
{
    struct buf text = {0};
    base64url_put(&text, key);
    put_net(b, buf_slice(&text));
    buf_done(&text);
}

/* ---- what is signed by voters ---- */

static struct slice chair_id(const struct paper *p)
{
    return p->chair < p->seats_n ? p->seats[p->chair].id : slice_of(NULL, 0);
}

void paper_digest(const struct paper *p, uint8_t out[SHA256_BYTES])
{
    struct buf b = {0};
    put_net_str(&b, "waggle-round-1");
    put_net(&b, p->id);
    put_net(&b, p->question);
    put_net_decimal(&b, p->options_n, 0);
    for (uint32_t i = 0; i < p->options_n; i++) {
        put_net(&b, p->options[i]);
    }
    put_net_decimal(&b, p->seats_n, 0);
    for (uint32_t i = 0; i < p->seats_n; i++) {
        put_net(&b, p->seats[i].id);
        put_net_decimal(&b, p->seats[i].weight, 0);
        put_net_key(&b, p->seats[i].public_key);
    }
    put_net_str(&b, tally_rule_name(p->terms.rule));
    put_net_str(&b, p->terms.of_eligible ? "eligible" : "cast");
    put_net_fraction(&b, "", &p->terms.threshold);
    put_net_fraction(&b, p->terms.quorum_exceeds ? ">" : ">=", &p->terms.quorum);
    put_net_str(&b, tally_tie_name(p->terms.tie));
    put_net(&b, chair_id(p));
    put_net_str(&b, p->revote ? "revote" : "");
    put_net_str(&b, p->early_close ? "early_close" : "");
    put_net_str(&b, p->open_ballots ? "open" : "sealed");
    put_net_str(&b, p->signed_only ? "signed" : "");
    put_net_decimal(&b, p->opened_ms, 0);
    put_net_decimal(&b, p->deadline_ms, 0);
    put_net(&b, p->runoff_of);
    if (p->reveal_ms) {
        put_net_str(&b, "commit");
        put_net_decimal(&b, p->reveal_ms, 0);
    }
    struct slice part = buf_slice(&b);
    digest_sha256(out, &part, 1);
    buf_done(&b);
}

void ballot_message(struct buf *out, struct slice round_id, const uint8_t digest[SHA256_BYTES],
                    struct slice voter, enum tally_form form, const struct slice *options,
                    const struct round_ballot *ballot)
{
    char hex[SHA256_HEX + 1];
    const struct tally_ballot *vote = &ballot->vote;
    hex_put(hex, slice_of(digest, SHA256_BYTES));
    put_net(out, round_id);
    put_net_str(out, hex);
    put_net(out, voter);
    if (ballot->sure) {
        put_net_decimal(out, vote->confidence, 6);
    } else {
        put_net_str(out, "");
    }
    put_net_str(out, vote->abstains ? "abstain" : tally_form_name(form));
    if (!vote->abstains && form == FORM_SCORE) {
        put_net_decimal(out, vote->score, 3);
    }
    for (uint32_t i = 0; !vote->abstains && i < vote->choices_n; i++) {
        put_net(out, options[vote->choices[i]]);
    }
}

void ballot_commitment(uint8_t out[SHA256_BYTES], struct slice round_id,
                       const uint8_t digest[SHA256_BYTES], struct slice voter, enum tally_form form,
                       const struct slice *options, const struct round_ballot *ballot)
{
    struct buf b = {0};
    buf_add_str(&b, COMMIT_PURPOSE "\n");
    ballot_message(&b, round_id, digest, voter, form, options, ballot);
    put_net(&b, ballot->nonce);
    struct slice part = buf_slice(&b);
    digest_sha256(out, &part, 1);
    buf_done(&b);
}

bool paper_unrevealed(const struct paper *p, uint32_t seat)
{
    for (uint32_t i = 0; i < p->ballots_n; i++) {
        if (p->ballots[i].vote.seat == seat && p->ballots[i].fate != BALLOT_LATE) {
            return false;
        }
    }
    return p->seats[seat].commitment.n > 0;
}

/* ---- JSON ---- */

static void put_decimal(struct json_out *o, const char *key, int64_t v, unsigned places)
{
    struct buf text = {0};
    decimal_put(&text, v, places);
    json_key(o, key);
    json_raw(o, buf_slice(&text));
    buf_done(&text);
}

static void put_fraction(struct json_out *o, const char *key, const char *before,
                         const struct tally_fraction *f)
{
    struct buf text = {0};
    buf_add_str(&text, before);
    fraction_text(&text, f);
    put_text(o, key, buf_slice(&text));
    buf_done(&text);
}

static void put_bytes(struct json_out *o, const char *key, struct slice bytes)
{
    struct buf text = {0};
    base64url_put(&text, bytes);
    put_text(o, key, buf_slice(&text));
    buf_done(&text);
}

void ballot_vote_json(struct json_out *o, enum tally_form form, const struct slice *options,
                      const struct round_ballot *ballot)
{
    const struct tally_ballot *vote = &ballot->vote;
    if (vote->abstains) {
        put_bool(o, "abstain", true);
    } else if (form == FORM_SCORE) {
        put_decimal(o, "score", vote->score, 3);
    } else if (form == FORM_ONE) {
        put_text(o, "choice", options[vote->choices[0]]);
    } else {
        json_key(o, tally_form_name(form));
        json_begin(o, '[');
        for (uint32_t i = 0; i < vote->choices_n; i++) {
            json_text(o, options[vote->choices[i]]);
        }
        json_end(o, ']');
    }
    if (ballot->sure) {
        put_decimal(o, "confidence", vote->confidence, 6);
    }
}

void paper_ballot_json(struct json_out *o, const struct paper *paper,
                       const struct round_ballot *ballot, bool exact)
{
    json_begin(o, '{');
    put_text(o, "voter", paper->seats[ballot->vote.seat].id);
    ballot_vote_json(o, tally_form_of(paper->terms.rule), paper->options, ballot);
    put_str(o, "status", fate_names[ballot->fate]);
    put_count(o, "version", ballot->version);
    if (exact) {
        put_count(o, "at_ms", (uint64_t)ballot->at_ms);
    } else {
        json_key(o, "at");
        json_time(o, ballot->at_ms);
    }
    if (ballot->reason.n) {
        put_text(o, "reason", ballot->reason);
    }
    if (ballot->nonce.n) {
        put_text(o, "nonce", ballot->nonce);
    }
    if (ballot->signature.n) {
        put_bytes(o, "signature", ballot->signature);
    }
    json_end(o, '}');
}

static void put_points(struct json_out *o, const struct paper *p, const struct tally_result *r)
{
    unsigned places = p->terms.rule == RULE_CONFIDENCE ? 6 : 0;
    json_key(o, "points");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->options_n; i++) {
        json_begin(o, '{');
        put_text(o, "option", p->options[i]);
        put_decimal(o, "points", r->points[i], places);
        json_end(o, '}');
    }
    json_end(o, ']');
}

static void put_turnout(struct json_out *o, const struct paper *p, const struct tally_result *r)
{
    json_key(o, "turnout");
    json_begin(o, '{');
    put_count(o, "seats", p->seats_n);
    put_count(o, "ballots", r->voters);
    put_count(o, "abstained", r->abstained);
    put_count(o, "eligible_weight", r->eligible);
    put_count(o, "voted_weight", r->voted);
    put_count(o, "cast_weight", r->cast);
    json_end(o, '}');
}

static void put_dissent(struct json_out *o, const struct paper *p, const struct tally_result *r)
{
    json_key(o, "dissent");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->ballots_n; i++) {
        const struct round_ballot *b = &p->ballots[i];
        if (b->fate == BALLOT_COUNTS && tally_dissents(r, p->terms.rule, &b->vote)) {
            json_text(o, p->seats[b->vote.seat].id);
        }
    }
    json_end(o, ']');
}

static void put_unrevealed(struct json_out *o, const struct paper *p)
{
    json_key(o, "unrevealed");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->seats_n; i++) {
        if (paper_unrevealed(p, i)) {
            json_text(o, p->seats[i].id);
        }
    }
    json_end(o, ']');
}

static void put_steps(struct json_out *o, struct slice steps)
{
    json_key(o, "steps");
    json_begin(o, '[');
    for (size_t at = 0; at < steps.n;) {
        size_t end = at;
        while (end < steps.n && steps.p[end] != '\n') {
            end++;
        }
        json_text(o, slice_of(steps.p + at, end - at));
        at = end + 1;
    }
    json_end(o, ']');
}

static void put_tied(struct json_out *o, const struct paper *p, const struct tally_result *r)
{
    json_key(o, "tied");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->options_n; i++) {
        if (r->tied >> i & 1) {
            json_text(o, p->options[i]);
        }
    }
    json_end(o, ']');
    put_bool(o, "by_tie_policy", r->by_tie);
}

void paper_outcome_json(struct json_out *o, const struct paper *p, const struct tally_result *r)
{
    bool decided = r->verdict == TALLY_DECIDED;
    json_begin(o, '{');
    put_text(o, "status", p->status);
    put_text(o, "stop_reason", p->stop);
    put_text_or_null(o, "winner", r->winner >= 0 ? p->options[r->winner] : slice_of(NULL, 0));
    if (decided && tally_form_of(p->terms.rule) == FORM_SCORE) {
        put_decimal(o, "value", r->value, 3);
    } else {
        json_key(o, "value");
        json_put_null(o);
    }
    put_decimal(o, "confidence_score", r->confidence, 6);
    put_decimal(o, "support", r->support, 6);
    put_decimal(o, "participation", r->participation, 6);
    put_decimal(o, "conviction", r->conviction, 6);
    put_decimal(o, "margin", r->margin, 6);
    put_points(o, p, r);
    put_tied(o, p, r);
    put_turnout(o, p, r);
    put_dissent(o, p, r);
    if (p->reveal_ms) {
        put_unrevealed(o, p);
    }
    put_steps(o, buf_slice(&r->steps));
    json_end(o, '}');
}

/* ---- the certificate ---- */

static void put_rule(struct json_out *o, const struct paper *p)
{
    json_key(o, "rule");
    json_begin(o, '{');
    put_str(o, "name", tally_rule_name(p->terms.rule));
    put_str(o, "of", p->terms.of_eligible ? "eligible" : "cast");
    put_fraction(o, "threshold", "", &p->terms.threshold);
    put_fraction(o, "quorum", p->terms.quorum_exceeds ? ">" : ">=", &p->terms.quorum);
    put_str(o, "tie", tally_tie_name(p->terms.tie));
    put_text_or_null(o, "chair", chair_id(p));
    put_bool(o, "revote", p->revote);
    put_bool(o, "early_close", p->early_close);
    put_str(o, "visibility", p->open_ballots ? "open" : "sealed");
    put_bool(o, "signed_only", p->signed_only);
    json_end(o, '}');
}

static void put_electorate(struct json_out *o, const struct paper *p)
{
    json_key(o, "electorate");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->seats_n; i++) {
        json_begin(o, '{');
        put_text(o, "id", p->seats[i].id);
        put_count(o, "weight", p->seats[i].weight);
        if (p->seats[i].public_key.n) {
            put_bytes(o, "public_key", p->seats[i].public_key);
        }
        json_end(o, '}');
    }
    json_end(o, ']');
}

static void put_commitments(struct json_out *o, const struct paper *p)
{
    char hex[SHA256_HEX + 1];
    json_key(o, "commitments");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->seats_n; i++) {
        if (p->seats[i].commitment.n) {
            hex_put(hex, p->seats[i].commitment);
            json_begin(o, '{');
            put_text(o, "voter", p->seats[i].id);
            put_str(o, "commitment", hex);
            put_count(o, "at_ms", (uint64_t)p->seats[i].committed_ms);
            json_end(o, '}');
        }
    }
    json_end(o, ']');
}

void certificate_body(struct json_out *o, const struct paper *p)
{
    uint8_t digest[SHA256_BYTES];
    char digest_hex[SHA256_HEX + 1], seed_hex[2 * TALLY_SEED_BYTES + 1];
    struct tally_result result;
    paper_digest(p, digest);
    paper_count(p, &result);
    hex_put(digest_hex, slice_of(digest, sizeof digest));
    hex_put(seed_hex, slice_of(p->seed, sizeof p->seed));
    json_begin(o, '{');
    put_count(o, "version", p->reveal_ms ? 2 : 1);
    put_text(o, "round_id", p->id);
    put_text(o, "question", p->question);
    json_key(o, "options");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->options_n; i++) {
        json_text(o, p->options[i]);
    }
    json_end(o, ']');
    put_rule(o, p);
    put_electorate(o, p);
    put_count(o, "opened_ms", (uint64_t)p->opened_ms);
    put_count(o, "deadline_ms", (uint64_t)p->deadline_ms);
    if (p->reveal_ms) {
        put_count(o, "reveal_ms", (uint64_t)p->reveal_ms);
    }
    put_count(o, "closed_ms", (uint64_t)p->closed_ms);
    put_text_or_null(o, "runoff_of", p->runoff_of);
    put_text_or_null(o, "runoff", p->runoff);
    put_str(o, "seed", seed_hex);
    put_str(o, "digest", digest_hex);
    if (p->reveal_ms) {
        put_commitments(o, p);
    }
    json_key(o, "ballots");
    json_begin(o, '[');
    for (uint32_t i = 0; i < p->ballots_n; i++) {
        paper_ballot_json(o, p, &p->ballots[i], true);
    }
    json_end(o, ']');
    json_key(o, "outcome");
    paper_outcome_json(o, p, &result);
    json_end(o, '}');
    tally_result_done(&result);
}

/* The signature covers the bytes of the member "certificate" as they stand in the document. */
void certificate_put(struct buf *out, const struct paper *paper, const struct signing *keys)
{
    uint8_t signature[SIGNATURE_BYTES];
    struct buf body = {0};
    struct json_out inner = json_out_to(&body), o = json_out_to(out);
    certificate_body(&inner, paper);
    signing_sign(keys, CERTIFICATE_PURPOSE, buf_slice(&body), signature);
    json_begin(&o, '{');
    json_key(&o, "certificate");
    json_raw(&o, buf_slice(&body));
    put_str(&o, "kid", signing_kid(keys));
    put_bytes(&o, "public_key", slice_of(signing_public(keys), SIGNING_PUBLIC_BYTES));
    put_bytes(&o, "signature", slice_of(signature, sizeof signature));
    json_end(&o, '}');
    buf_done(&body);
}
