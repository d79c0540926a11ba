/* A certificate is judged in four steps: the hub's signature over its bytes; the bytes read into a
 * paper and the paper written again, which must give the same bytes, count included; each voter's
 * signature; and whether the ballots could have come so. The second step is where the outcome is
 * counted again, and nothing that the reader does not understand can hide from it. */
#include "hub/consensus/certificate.h"

#include "auth/base64url.h"
#include "channels/json_scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct reading {
    struct paper *paper;
    char *why;
    size_t why_n;
    bool bad;
};

static void say(struct reading *r, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void say(struct reading *r, const char *format, va_list args)
{
    (void)vsnprintf(r->why, r->why_n, format, args);
    r->bad = true;
}

/* What was found first is what is said. */
static bool wrong(struct reading *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool wrong(struct reading *r, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (!r->bad) {
        say(r, format, args);
    }
    va_end(args);
    return false;
}

/* ---- values ---- */

/* All texts together are no longer than the document, whose length is reserved: they do not move.
 */
static struct slice text_of(struct reading *r, struct slice value, const char *what)
{
    struct buf *texts = &r->paper->texts;
    size_t begun = texts->n;
    if (json_kind_of(value) == JSON_KIND_NULL) {
        return slice_of(NULL, 0);
    }
    if (json_kind_of(value) != JSON_KIND_STRING || !json_to_text(value, texts)) {
        (void)wrong(r, "%s is no text", what);
        return slice_of(NULL, 0);
    }
    return slice_of(texts->p + begun, texts->n - begun);
}

static struct slice bytes_of(struct reading *r, struct slice value, size_t n, const char *what)
{
    struct buf *texts = &r->paper->texts;
    struct slice text = {0};
    size_t got = 0;
    if (!json_is_plain(value, &text) ||
        !base64url_get(text, texts->p + texts->n, texts->cap - texts->n, &got) || got != n) {
        (void)wrong(r, "%s is not %zu bytes in base64url", what, n);
        return slice_of(NULL, 0);
    }
    texts->n += got;
    return slice_of(texts->p + texts->n - got, got);
}

static uint64_t count_of(struct reading *r, struct slice value, uint64_t max, const char *what)
{
    uint64_t v = 0;
    if (json_kind_of(value) != JSON_KIND_NUMBER || !json_to_u64(value, &v) || v > max) {
        (void)wrong(r, "%s is no such number", what);
        return 0;
    }
    return v;
}

static bool flag_of(struct reading *r, struct slice value, const char *what)
{
    bool v = false;
    if (json_kind_of(value) == JSON_KIND_STRING || !json_to_bool(value, &v)) {
        (void)wrong(r, "%s is neither true nor false", what);
    }
    return v;
}

/* Digits with at most so many decimals, which decimal_put() wrote. */
static int64_t decimal_of(struct reading *r, struct slice value, unsigned places, const char *what)
{
    uint64_t v = 0;
    bool minus = value.n && value.p[0] == '-', point = false;
    unsigned decimals = 0;
    size_t i = minus;
    for (; i < value.n && v < UINT64_C(1) << 52 && decimals <= places; i++) {
        if (value.p[i] == '.' && !point) {
            point = true;
        } else if (value.p[i] >= '0' && value.p[i] <= '9') {
            v = v * 10 + (uint64_t)(value.p[i] - '0');
            decimals += point;
        } else {
            break;
        }
    }
    if (i == minus || i < value.n || decimals > places) {
        (void)wrong(r, "%s is no such number", what);
        return 0;
    }
    for (; decimals < places; decimals++) {
        v *= 10;
    }
    return minus ? -(int64_t)v : (int64_t)v;
}

static struct tally_fraction fraction_of(struct reading *r, struct slice text, const char *what)
{
    struct tally_fraction f = {.over = 0, .under = 1};
    if (!tally_fraction_of(text, &f)) {
        (void)wrong(r, "%s is no fraction", what);
    }
    return f;
}

static bool fields_of(struct reading *r, struct slice object, const char *const *names, size_t n,
                      struct slice *out, const char *what)
{
    size_t at;
    memset(out, 0, n * sizeof *out);
    return json_kind_of(object) == JSON_KIND_OBJECT &&
                   json_fields(object, names, n, out, &at) == JSON_OK
               ? true
               : wrong(r, "%s is no object", what);
}

static uint32_t items_of(struct slice list)
{
    struct json_walk walk = json_walk_of(list);
    struct slice key, item;
    uint32_t n = 0;
    while (json_walk_next(&walk, &key, &item)) {
        n++;
    }
    return n;
}

/* ---- what was frozen ---- */

static void read_options(struct reading *r, struct slice list)
{
    struct json_walk walk = json_walk_of(list);
    struct slice key, item;
    uint32_t n = items_of(list);
    if (json_kind_of(list) != JSON_KIND_ARRAY || n > TALLY_OPTIONS_MAX) {
        (void)wrong(r, "options are no list of at most %d", TALLY_OPTIONS_MAX);
        return;
    }
    r->paper->options = xcalloc(TALLY_OPTIONS_MAX, sizeof *r->paper->options);
    while (json_walk_next(&walk, &key, &item)) {
        r->paper->options[r->paper->options_n++] = text_of(r, item, "an option");
    }
}

static void read_seat(struct reading *r, struct slice item)
{
    static const char *const names[] = {"id", "weight", "public_key"};
    struct slice f[3];
    struct paper_seat *seat = &r->paper->seats[r->paper->seats_n];
    if (!fields_of(r, item, names, 3, f, "a seat")) {
        return;
    }
    seat->id = text_of(r, f[0], "a member's id");
    seat->weight = (uint32_t)count_of(r, f[1], TALLY_WEIGHT_SUM_MAX, "a member's weight");
    if (f[2].n) {
        seat->public_key = bytes_of(r, f[2], SIGNING_PUBLIC_BYTES, "a member's public key");
    }
    r->paper->seats_n++;
}

static void read_seats(struct reading *r, struct slice list)
{
    struct json_walk walk = json_walk_of(list);
    struct slice key, item;
    uint64_t sum = 0;
    uint32_t n = items_of(list);
    if (json_kind_of(list) != JSON_KIND_ARRAY || n == 0 || n > TALLY_SEATS_MAX) {
        (void)wrong(r, "the electorate is no list of 1 to %d", TALLY_SEATS_MAX);
        return;
    }
    r->paper->seats = xcalloc(n, sizeof *r->paper->seats);
    while (!r->bad && json_walk_next(&walk, &key, &item)) {
        read_seat(r, item);
    }
    for (uint32_t i = 0; i < r->paper->seats_n; i++) {
        sum += r->paper->seats[i].weight;
    }
    if (sum == 0 || sum > TALLY_WEIGHT_SUM_MAX) {
        (void)wrong(r, "the weights are out of bounds");
    }
}

static uint32_t seat_named(const struct paper *paper, struct slice id)
{
    for (uint32_t i = 0; i < paper->seats_n; i++) {
        if (slice_equal(paper->seats[i].id, id)) {
            return i;
        }
    }
    return TALLY_NOBODY;
}

static void read_rule(struct reading *r, struct slice object)
{
    static const char *const names[] = {"name",       "of",         "threshold", "quorum",
                                        "tie",        "chair",      "revote",    "early_close",
                                        "visibility", "signed_only"};
    struct slice f[10];
    struct paper *p = r->paper;
    if (!fields_of(r, object, names, 10, f, "the rule")) {
        return;
    }
    if (!tally_rule_of(text_of(r, f[0], "the rule's name"), &p->terms.rule)) {
        (void)wrong(r, "the rule is none that is known here");
    }
    p->terms.of_eligible = slice_is(text_of(r, f[1], "of"), "eligible");
    p->terms.threshold = fraction_of(r, text_of(r, f[2], "the threshold"), "the threshold");
    struct slice quorum = text_of(r, f[3], "the quorum");
    size_t sign = slice_starts(quorum, ">=") ? 2 : slice_starts(quorum, ">") ? 1 : 0;
    p->terms.quorum_exceeds = sign == 1;
    p->terms.quorum =
        fraction_of(r, slice_of(sign ? quorum.p + sign : quorum.p, quorum.n - sign), "the quorum");
    if (!tally_tie_of(text_of(r, f[4], "the tie policy"), &p->terms.tie)) {
        (void)wrong(r, "the tie policy is none that is known here");
    }
    struct slice chair = text_of(r, f[5], "the chair");
    p->chair = chair.n ? seat_named(p, chair) : TALLY_NOBODY;
    p->revote = flag_of(r, f[6], "revote");
    p->early_close = flag_of(r, f[7], "early_close");
    p->open_ballots = slice_is(text_of(r, f[8], "visibility"), "open");
    p->signed_only = flag_of(r, f[9], "signed_only");
}

/* ---- ballots ---- */

static bool fate_of(struct slice name, enum round_ballot_fate *out)
{
    for (unsigned i = 0; i < BALLOT_FATES; i++) {
        if (slice_is(name, ballot_fate_name((enum round_ballot_fate)i))) {
            *out = (enum round_ballot_fate)i;
            return true;
        }
    }
    return false;
}

static void add_choice(struct reading *r, struct tally_ballot *vote, struct slice value)
{
    struct slice text = text_of(r, value, "a choice");
    for (uint32_t i = 0; i < r->paper->options_n; i++) {
        if (slice_equal(r->paper->options[i], text) && vote->choices_n < TALLY_OPTIONS_MAX) {
            vote->choices[vote->choices_n++] = (uint8_t)i;
            return;
        }
    }
    (void)wrong(r, "a ballot names what is no option");
}

/* No option twice: a set, or a ranking. */
static bool distinct(const struct tally_ballot *vote)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < vote->choices_n; i++) {
        uint64_t bit = UINT64_C(1) << vote->choices[i];
        if (seen & bit) {
            return false;
        }
        seen |= bit;
    }
    return true;
}

static void read_vote(struct reading *r, struct slice one, struct slice many, struct slice score,
                      struct slice abstain, struct tally_ballot *vote)
{
    struct json_walk walk = json_walk_of(many);
    struct slice key, item;
    enum tally_form form = tally_form_of(r->paper->terms.rule);
    if (abstain.n) {
        vote->abstains = flag_of(r, abstain, "abstain");
        return;
    }
    if (form == FORM_SCORE) {
        vote->score = decimal_of(r, score, 3, "a score");
    } else if (form == FORM_ONE) {
        add_choice(r, vote, one);
    } else {
        while (!r->bad && json_walk_next(&walk, &key, &item)) {
            add_choice(r, vote, item);
        }
    }
    if (vote->score > TALLY_SCORE_MAX || vote->score < -TALLY_SCORE_MAX || !distinct(vote) ||
        (form != FORM_SCORE && vote->choices_n == 0)) {
        (void)wrong(r, "a ballot says what no ballot can");
    }
}

static void read_ballot(struct reading *r, struct slice item)
{
    static const char *const names[] = {"voter",     "choice",     "choices", "ranking", "score",
                                        "abstain",   "status",     "version", "at_ms",   "reason",
                                        "signature", "confidence", "nonce"};
    struct slice f[13];
    struct round_ballot *b = &r->paper->ballots[r->paper->ballots_n];
    if (!fields_of(r, item, names, 13, f, "a ballot")) {
        return;
    }
    b->vote.seat = seat_named(r->paper, text_of(r, f[0], "a voter"));
    if (b->vote.seat == TALLY_NOBODY) {
        (void)wrong(r, "a ballot is of nobody in the electorate");
        return;
    }
    read_vote(r, f[1], f[2].n ? f[2] : f[3], f[4], f[5], &b->vote);
    if (!fate_of(text_of(r, f[6], "a ballot's status"), &b->fate)) {
        (void)wrong(r, "a ballot has a status that is not known here");
    }
    b->version = (uint32_t)count_of(r, f[7], UINT32_MAX, "a ballot's version");
    b->at_ms = (int64_t)count_of(r, f[8], INT64_MAX, "a ballot's time");
    b->reason = f[9].n ? text_of(r, f[9], "a reason") : slice_of(NULL, 0);
    b->nonce = f[12].n ? text_of(r, f[12], "a nonce") : slice_of(NULL, 0);
    if (f[10].n) {
        b->signature = bytes_of(r, f[10], SIGNATURE_BYTES, "a ballot's signature");
    }
    b->sure = f[11].n > 0;
    int64_t confidence = b->sure ? decimal_of(r, f[11], 6, "a confidence") : TALLY_ONE;
    if (confidence < 0 || confidence > TALLY_ONE) {
        (void)wrong(r, "a confidence is not from 0 to 1");
        return;
    }
    b->vote.confidence = (uint32_t)confidence;
    r->paper->ballots_n++;
}

static void read_ballots(struct reading *r, struct slice list)
{
    struct json_walk walk = json_walk_of(list);
    struct slice key, item;
    if (json_kind_of(list) != JSON_KIND_ARRAY) {
        (void)wrong(r, "ballots are no list");
        return;
    }
    r->paper->ballots = xcalloc((size_t)items_of(list) + 1, sizeof *r->paper->ballots);
    while (!r->bad && json_walk_next(&walk, &key, &item)) {
        read_ballot(r, item);
    }
}

/* ---- commitments ---- */

static void read_commitment(struct reading *r, struct slice item)
{
    static const char *const names[] = {"voter", "commitment", "at_ms"};
    struct slice f[3], hex = {0};
    struct buf *texts = &r->paper->texts;
    if (!fields_of(r, item, names, 3, f, "a commitment")) {
        return;
    }
    uint32_t seat = seat_named(r->paper, text_of(r, f[0], "a voter"));
    if (seat == TALLY_NOBODY) {
        (void)wrong(r, "a commitment is of nobody in the electorate");
        return;
    }
    if (!json_is_plain(f[1], &hex) || !hex_get(hex, texts->p + texts->n, SHA256_BYTES)) {
        (void)wrong(r, "a commitment is not %d bytes in hex", SHA256_BYTES);
        return;
    }
    r->paper->seats[seat].commitment = slice_of(texts->p + texts->n, SHA256_BYTES);
    texts->n += SHA256_BYTES;
    r->paper->seats[seat].committed_ms =
        (int64_t)count_of(r, f[2], INT64_MAX, "a commitment's time");
}

static void read_commitments(struct reading *r, struct slice list)
{
    struct json_walk walk = json_walk_of(list);
    struct slice key, item;
    if (json_kind_of(list) != JSON_KIND_ARRAY) {
        (void)wrong(r, "commitments are no list");
        return;
    }
    while (!r->bad && json_walk_next(&walk, &key, &item)) {
        read_commitment(r, item);
    }
}

/* ---- the whole ---- */

static void read_body(struct reading *r, struct slice body)
{
    static const char *const names[] = {"version",   "round_id",   "question",  "options",
                                        "rule",      "electorate", "opened_ms", "deadline_ms",
                                        "closed_ms", "runoff_of",  "runoff",    "seed",
                                        "ballots",   "outcome",    "reveal_ms", "commitments"};
    static const char *const ends[] = {"status", "stop_reason"};
    struct slice f[16], end[2], seed = {0};
    struct paper *p = r->paper;
    if (!fields_of(r, body, names, 16, f, "the certificate")) {
        return;
    }
    uint64_t version = count_of(r, f[0], UINT32_MAX, "the version");
    if (version != 1 && version != 2) {
        (void)wrong(r, "a certificate of version 1 or 2 is wanted");
    }
    if (f[14].n) { /* with it goes version 2, when it is written again */
        p->reveal_ms = (int64_t)count_of(r, f[14], INT64_MAX, "reveal_ms");
    }
    p->id = text_of(r, f[1], "the round's id");
    p->question = text_of(r, f[2], "the question");
    read_options(r, f[3]);
    read_seats(r, f[5]);
    read_rule(r, f[4]);
    p->opened_ms = (int64_t)count_of(r, f[6], INT64_MAX, "opened_ms");
    p->deadline_ms = (int64_t)count_of(r, f[7], INT64_MAX, "deadline_ms");
    p->closed_ms = (int64_t)count_of(r, f[8], INT64_MAX, "closed_ms");
    p->runoff_of = text_of(r, f[9], "runoff_of");
    p->runoff = text_of(r, f[10], "runoff");
    if (!json_is_plain(f[11], &seed) || !hex_get(seed, p->seed, sizeof p->seed)) {
        (void)wrong(r, "the seed is not %d bytes in hex", TALLY_SEED_BYTES);
    }
    if (!r->bad && p->reveal_ms) {
        read_commitments(r, f[15]);
    }
    if (!r->bad) {
        read_ballots(r, f[12]);
    }
    if (!r->bad && fields_of(r, f[13], ends, 2, end, "the outcome")) {
        p->status = text_of(r, end[0], "the status");
        p->stop = text_of(r, end[1], "the stop reason");
    }
}

static bool verdict_is(const struct paper *p)
{
    static const char *const words[TALLY_VERDICTS] = {[TALLY_DECIDED] = "decided",
                                                      [TALLY_TIED] = "tied",
                                                      [TALLY_NO_QUORUM] = "no_quorum",
                                                      [TALLY_NO_DECISION] = "no_decision"};
    struct tally_result result;
    paper_count(p, &result);
    bool is = slice_is(p->status, words[result.verdict]);
    tally_result_done(&result);
    return is;
}

/* Written again, it must be the same, byte for byte; else the first member that is not is named. */
static bool same_again(struct reading *r, struct slice body)
{
    struct buf again = {0};
    struct json_out o = json_out_to(&again);
    struct json_walk a = json_walk_of(body), b;
    struct slice key, value, key_again, value_again;
    certificate_body(&o, r->paper);
    bool same = slice_equal(buf_slice(&again), body);
    b = json_walk_of(buf_slice(&again));
    while (!same && json_walk_next(&b, &key_again, &value_again)) {
        if (!json_walk_next(&a, &key, &value) || !slice_equal(key, key_again) ||
            !slice_equal(value, value_again)) {
            (void)wrong(r, "%.*s is not what follows from the rest", (int)key_again.n,
                        (const char *)key_again.p);
            break;
        }
    }
    if (!same) {
        (void)wrong(r, "there is more in it than belongs there");
    }
    buf_done(&again);
    return same;
}

static bool check_signature(struct reading *r, const uint8_t digest[SHA256_BYTES],
                            const struct round_ballot *ballot)
{
    const struct paper *p = r->paper;
    const struct paper_seat *seat = &p->seats[ballot->vote.seat];
    struct buf message = {0};
    if (!ballot->signature.n) {
        return p->signed_only ? wrong(r, "the ballot of %.*s is not signed", (int)seat->id.n,
                                      (const char *)seat->id.p)
                              : true;
    }
    ballot_message(&message, p->id, digest, seat->id, tally_form_of(p->terms.rule), p->options,
                   ballot);
    bool good = seat->public_key.n && signature_check(seat->public_key.p, BALLOT_PURPOSE,
                                                      buf_slice(&message), ballot->signature.p);
    buf_done(&message);
    return good ? true
                : wrong(r, "the signature of %.*s does not fit its ballot", (int)seat->id.n,
                        (const char *)seat->id.p);
}

/* A ballot that counts or did is the one that its seat committed to. */
static bool check_commitment(struct reading *r, const uint8_t digest[SHA256_BYTES],
                             const struct round_ballot *ballot)
{
    const struct paper *p = r->paper;
    const struct paper_seat *seat = &p->seats[ballot->vote.seat];
    uint8_t hash[SHA256_BYTES];
    if (!p->reveal_ms || ballot->fate == BALLOT_LATE) {
        return true;
    }
    ballot_commitment(hash, p->id, digest, seat->id, tally_form_of(p->terms.rule), p->options,
                      ballot);
    return slice_equal(seat->commitment, slice_of(hash, sizeof hash))
               ? true
               : wrong(r, "the ballot of %.*s is not the one that it committed to", (int)seat->id.n,
                       (const char *)seat->id.p);
}

/* Seats and versions in order, one ballot that counts a seat at most. */
static bool check_ballots(struct reading *r)
{
    const struct paper *p = r->paper;
    uint8_t digest[SHA256_BYTES];
    paper_digest(p, digest);
    bool counted = false;
    for (uint32_t i = 0; i < p->ballots_n; i++) {
        const struct round_ballot *b = &p->ballots[i], *before = i ? b - 1 : NULL;
        bool same_seat = before && before->vote.seat == b->vote.seat;
        if (before &&
            (b->vote.seat < before->vote.seat || (same_seat && b->version <= before->version))) {
            return wrong(r, "the ballots are out of order");
        }
        counted = same_seat && counted;
        if (counted && b->fate == BALLOT_COUNTS) {
            return wrong(r, "a seat is counted twice");
        }
        counted = counted || b->fate == BALLOT_COUNTS;
        if (!check_signature(r, digest, b) || !check_commitment(r, digest, b)) {
            return false;
        }
    }
    return true;
}

static bool check_seats(struct reading *r)
{
    const struct paper *p = r->paper;
    for (uint32_t i = 0; i < p->seats_n; i++) {
        if (seat_named(p, p->seats[i].id) != i) {
            return wrong(r, "a member stands twice in the electorate");
        }
    }
    return true;
}

static bool check_hub(struct reading *r, const struct slice f[4], certificate_trust *trust,
                      void *ctx)
{
    struct slice kid = {0};
    char right_kid[SIGNING_KID_CHARS + 1];
    (void)json_is_plain(f[1], &kid);
    struct slice public_key = bytes_of(r, f[2], SIGNING_PUBLIC_BYTES, "the hub's public key");
    struct slice signature = bytes_of(r, f[3], SIGNATURE_BYTES, "the hub's signature");
    if (r->bad) {
        return false;
    }
    signature_kid(public_key.p, right_kid);
    if (!slice_is(kid, right_kid)) {
        return wrong(r, "kid is not that of the public key");
    }
    if (!trust(ctx, public_key.p)) {
        return wrong(r, "its key %s is none of the hub's", right_kid);
    }
    return signature_check(public_key.p, CERTIFICATE_PURPOSE, f[0], signature.p)
               ? true
               : wrong(r, "the hub's signature does not fit");
}

bool certificate_verify(struct slice text, certificate_trust *trust, void *ctx,
                        struct paper *out_paper, char *out_why, size_t why_n)
{
    static const char *const names[] = {"certificate", "kid", "public_key", "signature"};
    struct reading r = {.paper = out_paper, .why = out_why, .why_n = why_n};
    struct slice f[4];
    size_t at = 0;
    *out_paper = (struct paper){.chair = TALLY_NOBODY};
    *out_why = '\0';
    if (text.n > CERTIFICATE_BYTES_MAX || json_check(text, JSON_DEPTH_MAX, &at) != JSON_OK) {
        return wrong(&r, "not well-formed JSON at byte %zu", at);
    }
    text = json_trim(text);
    (void)buf_reserve(&out_paper->texts, text.n + SIGNING_PUBLIC_BYTES + SIGNATURE_BYTES);
    if (!fields_of(&r, text, names, 4, f, "the document")) {
        return false;
    }
    if (items_of(text) != 4 || !f[0].n || !f[1].n || !f[2].n || !f[3].n) {
        return wrong(&r, "certificate, kid, public_key and signature are wanted, and nothing else");
    }
    if (!check_hub(&r, f, trust, ctx)) {
        return false;
    }
    read_body(&r, f[0]);
    if (r.bad || !check_seats(&r) || !same_again(&r, f[0]) || !check_ballots(&r)) {
        return false;
    }
    return verdict_is(out_paper) ? true : wrong(&r, "the count says otherwise than the status");
}
