#include "hub/cli/agent_ballot.h"

#include <math.h>
#include <stdio.h>

#include "auth/base64url.h"
#include "channels/json_scan.h"
#include "hub/cli/http.h"
#include "hub/cli/output.h"
#include "hub/consensus/certificate.h"

/* A round as it was shown, as far as a ballot needs it, and what is said in it. */
struct sheet {
    struct buf round_id, texts;
    uint8_t digest[SHA256_BYTES];
    enum tally_form form;
    uint32_t options_n;
    struct slice options[TALLY_OPTIONS_MAX];
    struct round_ballot ballot;
};

bool agent_voter_asks_command(const struct agent_voter *voter)
{
    return strcmp(voter->how, "first") != 0 && strcmp(voter->how, "random") != 0;
}

static bool text_is(struct slice value, const char *text)
{
    struct buf own = {0};
    bool same = json_to_text(value, &own) && slice_is(buf_slice(&own), text);
    buf_done(&own);
    return same;
}

static struct slice seat_of(const struct agent_voter *voter, struct slice round)
{
    struct slice key, seat;
    struct json_walk w = json_walk_of(json_at(round, "electorate"));
    while (json_walk_next(&w, &key, &seat)) {
        if (text_is(json_at(seat, "id"), voter->id)) {
            return seat;
        }
    }
    return slice_of(NULL, 0);
}

enum agent_ballot_due agent_ballot_due(const struct agent_voter *voter, struct slice round)
{
    struct slice seat = seat_of(voter, round), phase = json_at(round, "phase");
    bool voted, committed = false;
    if (!text_is(json_at(round, "status"), "open") ||
        !json_to_bool(json_at(seat, "voted"), &voted) || voted) {
        return BALLOT_DUE_NOTHING;
    }
    if (!phase.n) {
        return BALLOT_DUE_VOTE;
    }
    (void)json_to_bool(json_at(seat, "committed"), &committed);
    if (text_is(phase, "commit")) {
        return committed ? BALLOT_DUE_LATER : BALLOT_DUE_COMMITMENT;
    }
    return committed ? BALLOT_DUE_REVEAL : BALLOT_DUE_NOTHING;
}

/* ---- reading the round ---- */

static bool read_options(struct sheet *s, struct slice list)
{
    struct slice key, item;
    struct json_walk w = json_walk_of(list);
    size_t ends[TALLY_OPTIONS_MAX], start = 0;
    uint32_t n = 0;
    while (json_walk_next(&w, &key, &item)) {
        if (n == TALLY_OPTIONS_MAX || !json_to_text(item, &s->texts)) {
            return false;
        }
        ends[n++] = s->texts.n;
    }
    for (uint32_t i = 0; i < n; i++) { /* now that the texts move no more */
        s->options[i] = slice_of(s->texts.p + start, ends[i] - start);
        start = ends[i];
    }
    s->options_n = n;
    return true;
}

static bool read_sheet(struct sheet *s, struct slice round)
{
    struct buf rule = {0};
    enum tally_rule known;
    struct slice digest;
    bool good = json_to_text(json_at(round, "rule"), &rule) &&
                tally_rule_of(buf_slice(&rule), &known) &&
                json_is_plain(json_at(round, "digest"), &digest) &&
                hex_get(digest, s->digest, sizeof s->digest) &&
                json_to_text(json_at(round, "round_id"), &s->round_id) &&
                read_options(s, json_at(round, "options"));
    buf_done(&rule);
    if (good) {
        s->form = tally_form_of(known);
    }
    return good && (s->form == FORM_SCORE || s->options_n > 0);
}

/* ---- the vote ---- */

static uint32_t drawn(const struct sheet *s, const struct agent_voter *voter)
{
    uint8_t hash[SHA256_BYTES];
    struct slice parts[] = {slice_of(s->digest, sizeof s->digest), slice_str(voter->id)};
    digest_sha256(hash, parts, 2);
    uint32_t chance = (uint32_t)hash[0] << 24 | (uint32_t)hash[1] << 16 | (uint32_t)hash[2] << 8 |
                      (uint32_t)hash[3];
    return chance % s->options_n;
}

static bool add_choice(struct sheet *s, struct slice text)
{
    struct tally_ballot *vote = &s->ballot.vote;
    for (uint32_t i = 0; i < s->options_n; i++) {
        if (slice_equal(s->options[i], text)) {
            for (uint32_t j = 0; j < vote->choices_n; j++) {
                if (vote->choices[j] == i) {
                    return false;
                }
            }
            vote->choices[vote->choices_n++] = (uint8_t)i;
            return true;
        }
    }
    return false;
}

/* Approvals are a set, which is signed in the order of the options. */
static void sort_choices(struct sheet *s)
{
    struct tally_ballot *vote = &s->ballot.vote;
    bool chosen[TALLY_OPTIONS_MAX] = {false};
    for (uint32_t i = 0; i < vote->choices_n; i++) {
        chosen[vote->choices[i]] = true;
    }
    vote->choices_n = 0;
    for (uint32_t i = 0; i < s->options_n; i++) {
        if (chosen[i]) {
            vote->choices[vote->choices_n++] = (uint8_t)i;
        }
    }
}

static bool add_lines(struct sheet *s, struct slice words)
{
    for (size_t at = 0; at < words.n;) {
        size_t end = at;
        while (end < words.n && words.p[end] != '\n') {
            end++;
        }
        if (!add_choice(s, json_trim(slice_of(words.p + at, end - at)))) {
            return false;
        }
        at = end + 1;
    }
    if (s->form == FORM_SOME) {
        sort_choices(s);
    }
    return true;
}

static bool read_score(struct sheet *s, struct slice words)
{
    size_t at;
    double v = 0;
    bool good = json_check(words, 1, &at) == JSON_OK && json_to_double(words, &v) &&
                fabs(v * 1000) <= TALLY_SCORE_MAX;
    s->ballot.vote.score = good ? llround(v * 1000) : 0;
    return good;
}

static bool vote(struct sheet *s, const struct agent_voter *voter, struct slice words)
{
    if (!agent_voter_asks_command(voter)) {
        s->ballot.vote.abstains = s->form == FORM_SCORE;
        if (s->form != FORM_SCORE) {
            s->ballot.vote.choices[0] =
                strcmp(voter->how, "random") == 0 ? (uint8_t)drawn(s, voter) : 0;
            s->ballot.vote.choices_n = 1;
        }
        return true;
    }
    words = json_trim(words);
    if (words.n == 0) {
        s->ballot.vote.abstains = true;
        return true;
    }
    return s->form == FORM_SCORE ? read_score(s, words)
           : s->form == FORM_ONE ? add_choice(s, words)
                                 : add_lines(s, words);
}

/* ---- the ballot ---- */

/* A round that opened before the key was registered froze none, and takes no signature. */
static bool is_signed(const struct agent_voter *voter, struct slice round)
{
    struct buf own = {0};
    if (!voter->keys) {
        return false;
    }
    base64url_put(&own, slice_of(signing_public(voter->keys), SIGNING_PUBLIC_BYTES));
    bool same = text_is(json_at(seat_of(voter, round), "public_key"), buf_text(&own));
    buf_done(&own);
    return same;
}

static void put_signature(struct json_out *o, const struct sheet *s,
                          const struct agent_voter *voter)
{
    uint8_t signature[SIGNATURE_BYTES];
    struct buf message = {0}, text = {0};
    ballot_message(&message, buf_slice(&s->round_id), s->digest, slice_str(voter->id), s->form,
                   s->options, &s->ballot);
    signing_sign(voter->keys, BALLOT_PURPOSE, buf_slice(&message), signature);
    base64url_put(&text, slice_of(signature, sizeof signature));
    json_key(o, "signature");
    json_text(o, buf_slice(&text));
    buf_done(&message);
    buf_done(&text);
}

static void put_commitment(struct json_out *o, const struct sheet *s,
                           const struct agent_voter *voter)
{
    uint8_t hash[SHA256_BYTES];
    char hex[SHA256_HEX + 1];
    ballot_commitment(hash, buf_slice(&s->round_id), s->digest, slice_str(voter->id), s->form,
                      s->options, &s->ballot);
    hex_put(hex, slice_of(hash, sizeof hash));
    json_key(o, "commitment");
    json_str(o, hex);
}

/* False: out_why says what is wrong with the round or the words. */
static bool fill_in(struct sheet *s, const struct agent_voter *voter, struct slice round,
                    struct slice words, char *out_why, size_t why_n)
{
    bool read = read_sheet(s, round), good = read && vote(s, voter, words);
    if (!good) {
        (void)snprintf(out_why, why_n,
                       read ? "this is no ballot: %.*s"
                            : "a kind of round that this program does not know",
                       (int)(words.n < 100 ? words.n : 100), (const char *)words.p);
    }
    s->ballot.sure = voter->confidence != NULL;
    s->ballot.vote.confidence =
        voter->confidence ? (uint32_t)llround(*voter->confidence * TALLY_ONE) : TALLY_ONE;
    return good;
}

static void sheet_done(struct sheet *s)
{
    buf_done(&s->round_id);
    buf_done(&s->texts);
}

static void put_who(struct json_out *o, const struct sheet *s, const struct agent_voter *voter)
{
    json_key(o, "round_id");
    json_text(o, buf_slice(&s->round_id));
    json_key(o, "voter");
    json_str(o, voter->id);
}

bool agent_ballot_put(struct json_out *o, const struct agent_voter *voter, struct slice round,
                      struct slice words, struct slice nonce, char *out_why, size_t why_n)
{
    struct sheet s = {.options_n = 0};
    bool good = fill_in(&s, voter, round, words, out_why, why_n);
    if (good) {
        put_who(o, &s, voter);
        ballot_vote_json(o, s.form, s.options, &s.ballot);
        if (is_signed(voter, round)) {
            put_signature(o, &s, voter);
        }
        if (nonce.n) {
            json_key(o, "nonce");
            json_text(o, nonce);
        }
    }
    sheet_done(&s);
    return good;
}

bool agent_ballot_put_commitment(struct json_out *o, const struct agent_voter *voter,
                                 struct slice round, struct slice words, struct slice nonce,
                                 char *out_why, size_t why_n)
{
    struct sheet s = {.ballot.nonce = nonce};
    bool good = fill_in(&s, voter, round, words, out_why, why_n);
    if (good) {
        put_who(o, &s, voter);
        put_commitment(o, &s, voter);
    }
    sheet_done(&s);
    return good;
}

void agent_ballot_nonce(struct buf *out)
{
    enum { DRAWN_BYTES = 32 };
    uint8_t drawn[DRAWN_BYTES];
    char hex[2 * DRAWN_BYTES + 1];
    auth_random(drawn, sizeof drawn);
    hex_put(hex, slice_of(drawn, sizeof drawn));
    buf_add_str(out, hex);
}
