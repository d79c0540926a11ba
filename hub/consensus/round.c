#include "hub/consensus/round.h"

#include <stdlib.h>

/* Rows of version 1 end before what commitments added. */
enum { ROW_VERSION = 2, PART_FROZEN = 't', PART_STATE = 's', INDEX_BYTES = 4 + ROUND_ID_CHARS };

static bool version_known(uint8_t version)
{
    return version == 1 || version == ROW_VERSION;
}

/* clang-format off */
static const char *const status_names[ROUND_STATUSES] = {
    [ROUND_OPEN] = "open", [ROUND_DECIDED] = "decided", [ROUND_TIED] = "tied", [ROUND_NO_QUORUM] = "no_quorum",
    [ROUND_NO_DECISION] = "no_decision", [ROUND_CANCELLED] = "cancelled",
};
static const char *const stop_names[ROUND_STOPS] = {
    [ROUND_STOP_ALL_VOTED] = "all_voted", [ROUND_STOP_DEADLINE] = "deadline", [ROUND_STOP_SETTLED] = "settled",
    [ROUND_STOP_CANCELLED] = "cancelled",
};
/* clang-format on */

const char *round_status_name(enum round_status status)
{
    return status_names[status];
}

bool round_status_of(struct slice name, enum round_status *out)
{
    for (unsigned i = 0; i < ROUND_STATUSES; i++) {
        if (slice_is(name, status_names[i])) {
            *out = (enum round_status)i;
            return true;
        }
    }
    return false;
}

const char *round_stop_name(enum round_stop stop)
{
    return stop_names[stop];
}

/* ---- seats and options ---- */

void round_seat_pack(struct buf *b, const struct round_seat *seat)
{
    pack_u32(b, seat->weight);
    pack_slice(b, seat->id);
    pack_slice(b, seat->owner);
    pack_slice(b, seat->public_key);
}

bool round_seat_next(struct slice *rest, struct round_seat *io_seat)
{
    if (rest->n == 0) {
        return false;
    }
    struct unpack u = unpack_of(*rest);
    io_seat->seat = io_seat->id.p ? io_seat->seat + 1 : 0;
    io_seat->weight = unpack_u32(&u);
    io_seat->id = unpack_slice(&u);
    io_seat->owner = unpack_slice(&u);
    io_seat->public_key = unpack_slice(&u);
    *rest = slice_of(u.p, (size_t)(u.end - u.p));
    return !u.bad;
}

bool round_seat_find(const struct round *round, struct slice id, struct round_seat *out)
{
    struct slice rest = round->seats;
    *out = (struct round_seat){0};
    while (round_seat_next(&rest, out)) {
        if (slice_equal(out->id, id)) {
            return true;
        }
    }
    return false;
}

bool round_option_next(struct slice *rest, struct slice *out)
{
    if (rest->n == 0) {
        return false;
    }
    struct unpack u = unpack_of(*rest);
    *out = unpack_slice(&u);
    *rest = slice_of(u.p, (size_t)(u.end - u.p));
    return !u.bad;
}

/* ---- rows ---- */

static struct slice part_key(uint8_t key[5], uint32_t number, uint8_t part)
{
    be32_put(key, number);
    key[4] = part;
    return slice_of(key, 5);
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

void round_terms_pack(struct buf *b, const struct tally_terms *terms)
{
    pack_u8(b, (uint8_t)terms->rule);
    pack_u8(b, terms->of_eligible);
    pack_fraction(b, &terms->threshold);
    pack_fraction(b, &terms->quorum);
    pack_u8(b, terms->quorum_exceeds);
    pack_u8(b, (uint8_t)terms->tie);
}

void round_terms_unpack(struct unpack *u, struct tally_terms *out)
{
    uint8_t rule = unpack_u8(u);
    out->of_eligible = unpack_u8(u) != 0;
    out->threshold = unpack_fraction(u);
    out->quorum = unpack_fraction(u);
    out->quorum_exceeds = unpack_u8(u) != 0;
    uint8_t tie = unpack_u8(u);
    if (rule >= TALLY_RULES || tie >= TALLY_TIES) {
        u->bad = true;
        return;
    }
    out->rule = (enum tally_rule)rule;
    out->tie = (enum tally_tie)tie;
}

static void pack_frozen(struct buf *b, const struct round *r)
{
    pack_u8(b, ROW_VERSION);
    pack_u32(b, r->number);
    pack_u32(b, r->app);
    pack_slice(b, r->id);
    pack_slice(b, r->owner);
    pack_slice(b, r->reference);
    pack_slice(b, r->question);
    round_terms_pack(b, &r->terms);
    pack_u8(b, r->revote);
    pack_u8(b, r->early_close);
    pack_u8(b, r->open_ballots);
    pack_u8(b, r->signed_only);
    pack_i64(b, r->opened_ms);
    pack_i64(b, r->deadline_ms);
    pack_u32(b, r->options_n);
    pack_u32(b, r->seats_n);
    pack_u32(b, r->chair);
    pack_slice(b, r->options);
    pack_slice(b, r->seats);
    pack_u64(b, r->weight);
    buf_add(b, r->seed, sizeof r->seed);
    buf_add(b, r->digest, sizeof r->digest);
    pack_slice(b, r->runoff_of);
    pack_i64(b, r->reveal_ms);
}

static bool unpack_frozen(struct slice row, struct round *r)
{
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    if (!version_known(version)) {
        return false;
    }
    r->number = unpack_u32(&u);
    r->app = unpack_u32(&u);
    r->id = unpack_slice(&u);
    r->owner = unpack_slice(&u);
    r->reference = unpack_slice(&u);
    r->question = unpack_slice(&u);
    round_terms_unpack(&u, &r->terms);
    r->revote = unpack_u8(&u) != 0;
    r->early_close = unpack_u8(&u) != 0;
    r->open_ballots = unpack_u8(&u) != 0;
    r->signed_only = unpack_u8(&u) != 0;
    r->opened_ms = unpack_i64(&u);
    r->deadline_ms = unpack_i64(&u);
    r->options_n = unpack_u32(&u);
    r->seats_n = unpack_u32(&u);
    r->chair = unpack_u32(&u);
    r->options = unpack_slice(&u);
    r->seats = unpack_slice(&u);
    r->weight = unpack_u64(&u);
    const uint8_t *seed = unpack_bytes(&u, sizeof r->seed);
    const uint8_t *digest = unpack_bytes(&u, sizeof r->digest);
    r->runoff_of = unpack_slice(&u);
    r->reveal_ms = version > 1 ? unpack_i64(&u) : 0;
    if (!unpack_done(&u) || r->options_n > TALLY_OPTIONS_MAX || r->seats_n > TALLY_SEATS_MAX) {
        return false;
    }
    memcpy(r->seed, seed, sizeof r->seed);
    memcpy(r->digest, digest, sizeof r->digest);
    return true;
}

static void pack_state(struct buf *b, const struct round *r)
{
    pack_u8(b, ROW_VERSION);
    pack_u8(b, (uint8_t)r->status);
    pack_u8(b, (uint8_t)r->stop);
    pack_i64(b, r->closed_ms);
    pack_u64(b, r->timer_id);
    pack_u32(b, r->voted_n);
    pack_u32(b, r->voided_n);
    pack_u64(b, r->voted_weight);
    pack_u32(b, (uint32_t)(r->winner + 1));
    pack_i64(b, r->value);
    pack_u32(b, r->confidence);
    pack_slice(b, r->runoff);
    pack_u32(b, r->committed_n);
    pack_u8(b, r->revealing);
}

static bool unpack_state(struct slice row, struct round *r)
{
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    if (!version_known(version)) {
        return false;
    }
    uint8_t status = unpack_u8(&u), stop = unpack_u8(&u);
    r->closed_ms = unpack_i64(&u);
    r->timer_id = unpack_u64(&u);
    r->voted_n = unpack_u32(&u);
    r->voided_n = unpack_u32(&u);
    r->voted_weight = unpack_u64(&u);
    r->winner = (int)unpack_u32(&u) - 1;
    r->value = unpack_i64(&u);
    r->confidence = unpack_u32(&u);
    r->runoff = unpack_slice(&u);
    r->committed_n = version > 1 ? unpack_u32(&u) : 0;
    r->revealing = version > 1 && unpack_u8(&u) != 0;
    r->status = (enum round_status)status;
    r->stop = (enum round_stop)stop;
    return unpack_done(&u) && status < ROUND_STATUSES && stop < ROUND_STOPS &&
           r->winner < TALLY_OPTIONS_MAX;
}

enum store_rc round_get(struct store_view *view, uint32_t number, struct round *out)
{
    uint8_t key[5];
    struct slice frozen, state;
    enum store_rc rc = store_get(view, TABLE_ROUND, part_key(key, number, PART_FROZEN), &frozen);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_get(view, TABLE_ROUND, part_key(key, number, PART_STATE), &state);
    if (rc != STORE_OK) {
        return rc == STORE_NOT_FOUND ? STORE_DAMAGED : rc;
    }
    return unpack_frozen(frozen, out) && unpack_state(state, out) ? STORE_OK : STORE_DAMAGED;
}

static struct slice index_key(uint8_t key[INDEX_BYTES], uint32_t app, struct slice id)
{
    be32_put(key, app);
    memcpy(key + 4, id.p, ROUND_ID_CHARS);
    return slice_of(key, INDEX_BYTES);
}

enum store_rc round_find(struct store_view *view, uint32_t app, struct slice id, struct round *out)
{
    uint8_t key[INDEX_BYTES];
    struct slice value;
    if (id.n != ROUND_ID_CHARS) {
        return STORE_NOT_FOUND;
    }
    enum store_rc rc = store_get(view, TABLE_ROUND_INDEX, index_key(key, app, id), &value);
    if (rc != STORE_OK) {
        return rc;
    }
    return value.n == 4 ? round_get(view, be32_get(value.p), out) : STORE_DAMAGED;
}

/* Each round has two rows. */
uint32_t round_newest(struct store_view *view)
{
    return (uint32_t)(store_count(view, TABLE_ROUND) / 2);
}

enum store_rc round_put_state(struct store_txn *txn, const struct round *round)
{
    uint8_t key[5];
    struct buf row = {0};
    pack_state(&row, round);
    enum store_rc rc =
        store_put(txn, TABLE_ROUND, part_key(key, round->number, PART_STATE), buf_slice(&row));
    buf_done(&row);
    return rc;
}

enum store_rc round_put_new(struct store_txn *txn, const struct round *round)
{
    uint8_t key[5], index[INDEX_BYTES], number[4];
    struct buf row = {0};
    be32_put(number, round->number);
    pack_frozen(&row, round);
    enum store_rc rc = round_put_state(txn, round);
    if (rc == STORE_OK) {
        rc =
            store_put(txn, TABLE_ROUND, part_key(key, round->number, PART_FROZEN), buf_slice(&row));
    }
    if (rc == STORE_OK) {
        rc = store_put(txn, TABLE_ROUND_INDEX, index_key(index, round->app, round->id),
                       slice_of(number, 4));
    }
    buf_done(&row);
    return rc;
}

/* Packed and read back, everything lies in one buffer. */
void round_copy(const struct round *round, struct buf *bytes, struct round *out)
{
    buf_clear(bytes);
    pack_frozen(bytes, round);
    size_t frozen = bytes->n;
    buf_add_slice(bytes, round->runoff);
    *out = *round;
    (void)unpack_frozen(slice_of(bytes->p, frozen), out);
    out->runoff = slice_of(bytes->p + frozen, round->runoff.n);
}

/* ---- ballots ---- */

enum { BALLOT_KEY_BYTES = 12 };

static struct slice ballot_key(uint8_t key[BALLOT_KEY_BYTES], uint32_t round, uint32_t seat,
                               uint32_t version)
{
    be32_put(key, round);
    be32_put(key + 4, seat);
    be32_put(key + 8, version);
    return slice_of(key, BALLOT_KEY_BYTES);
}

void round_ballot_pack(struct buf *b, const struct round_ballot *ballot)
{
    const struct tally_ballot *vote = &ballot->vote;
    pack_u8(b, ROW_VERSION);
    pack_u32(b, vote->seat);
    pack_u32(b, ballot->version);
    pack_u8(b, (uint8_t)ballot->fate);
    pack_i64(b, ballot->at_ms);
    pack_u8(b, vote->abstains);
    pack_slice(b, slice_of(vote->choices, vote->choices_n));
    pack_u32(b, vote->confidence);
    pack_u8(b, ballot->sure);
    pack_i64(b, vote->score);
    pack_slice(b, ballot->signature);
    pack_slice(b, ballot->reason);
    pack_slice(b, ballot->nonce);
}

bool round_ballot_unpack(struct unpack *u, struct round_ballot *out)
{
    uint8_t version = unpack_u8(u);
    if (!version_known(version)) {
        u->bad = true;
    }
    *out = (struct round_ballot){.vote.seat = unpack_u32(u)};
    out->version = unpack_u32(u);
    uint8_t fate = unpack_u8(u);
    out->at_ms = unpack_i64(u);
    out->vote.abstains = unpack_u8(u) != 0;
    struct slice choices = unpack_slice(u);
    out->vote.confidence = unpack_u32(u);
    out->sure = unpack_u8(u) != 0;
    out->vote.score = unpack_i64(u);
    out->signature = unpack_slice(u);
    out->reason = unpack_slice(u);
    if (version > 1) {
        out->nonce = unpack_slice(u);
    }
    if (u->bad || fate >= BALLOT_FATES || choices.n > TALLY_OPTIONS_MAX) {
        u->bad = true;
        return false;
    }
    out->fate = (enum round_ballot_fate)fate;
    out->vote.choices_n = (uint8_t)choices.n;
    if (choices.n) {
        memcpy(out->vote.choices, choices.p, choices.n);
    }
    return true;
}

static bool read_ballot(struct slice key, struct slice row, struct round_ballot *out)
{
    struct unpack u = unpack_of(row);
    if (key.n != BALLOT_KEY_BYTES || !round_ballot_unpack(&u, out) || !unpack_done(&u)) {
        return false;
    }
    out->round = be32_get(key.p);
    return true;
}

enum store_rc round_ballot_put(struct store_txn *txn, const struct round_ballot *ballot)
{
    uint8_t key[BALLOT_KEY_BYTES];
    struct buf row = {0};
    round_ballot_pack(&row, ballot);
    enum store_rc rc = store_put(txn, TABLE_ROUND_BALLOT,
                                 ballot_key(key, ballot->round, ballot->vote.seat, ballot->version),
                                 buf_slice(&row));
    buf_done(&row);
    return rc;
}

enum store_rc round_ballot_newest(struct store_view *view, uint32_t round, uint32_t seat,
                                  struct round_ballot *out)
{
    uint8_t from[BALLOT_KEY_BYTES];
    struct store_cursor *cursor;
    struct slice key, row;
    bool found = false;
    enum store_rc rc = store_cursor_open(view, TABLE_ROUND_BALLOT, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, ballot_key(from, round, seat, 1), &key, &row);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &row)) {
        if (key.n != BALLOT_KEY_BYTES || memcmp(key.p, from, 8) != 0) {
            break;
        }
        if (!read_ballot(key, row, out)) {
            rc = STORE_DAMAGED;
            break;
        }
        found = true;
    }
    store_cursor_close(cursor);
    return rc == STORE_OK || rc == STORE_NOT_FOUND ? (found ? STORE_OK : STORE_NOT_FOUND) : rc;
}

enum store_rc round_ballots_each(struct store_view *view, uint32_t round, round_ballot_visit *visit,
                                 void *ctx)
{
    uint8_t from[BALLOT_KEY_BYTES];
    struct store_cursor *cursor;
    struct slice key, row;
    enum store_rc rc = store_cursor_open(view, TABLE_ROUND_BALLOT, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, ballot_key(from, round, 0, 0), &key, &row);
    for (; rc == STORE_OK; rc = store_cursor_next(cursor, &key, &row)) {
        struct round_ballot ballot;
        if (key.n != BALLOT_KEY_BYTES || memcmp(key.p, from, 4) != 0) {
            break;
        }
        if (be32_get(key.p + 8) == 0) {
            continue; /* a commitment */
        }
        if (!read_ballot(key, row, &ballot)) {
            rc = STORE_DAMAGED;
            break;
        }
        if (!visit(ctx, &ballot)) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

/* ---- commitments ---- */

enum { COMMITMENT_BYTES = 1 + SHA256_BYTES + 8, COMMITMENT_VERSION = 1 };

enum store_rc round_commitment_put(struct store_txn *txn, uint32_t round, uint32_t seat,
                                   const uint8_t hash[SHA256_BYTES], int64_t at_ms)
{
    uint8_t key[BALLOT_KEY_BYTES];
    struct buf row = {0};
    pack_u8(&row, COMMITMENT_VERSION);
    buf_add(&row, hash, SHA256_BYTES);
    pack_i64(&row, at_ms);
    enum store_rc rc =
        store_put(txn, TABLE_ROUND_BALLOT, ballot_key(key, round, seat, 0), buf_slice(&row));
    buf_done(&row);
    return rc;
}

/* *out_hash is borrowed from the row. */
static enum store_rc commitment_read(struct store_view *view, uint32_t round, uint32_t seat,
                                     struct slice *out_hash, int64_t *out_at_ms)
{
    uint8_t key[BALLOT_KEY_BYTES];
    struct slice row;
    enum store_rc rc = store_get(view, TABLE_ROUND_BALLOT, ballot_key(key, round, seat, 0), &row);
    if (rc != STORE_OK) {
        return rc;
    }
    struct unpack u = unpack_of(row);
    if (row.n != COMMITMENT_BYTES || unpack_u8(&u) != COMMITMENT_VERSION) {
        return STORE_DAMAGED;
    }
    *out_hash = slice_of(unpack_bytes(&u, SHA256_BYTES), SHA256_BYTES);
    *out_at_ms = unpack_i64(&u);
    return STORE_OK;
}

enum store_rc round_commitment_get(struct store_view *view, uint32_t round, uint32_t seat,
                                   uint8_t out_hash[SHA256_BYTES])
{
    struct slice hash;
    int64_t at_ms;
    enum store_rc rc = commitment_read(view, round, seat, &hash, &at_ms);
    if (rc == STORE_OK) {
        memcpy(out_hash, hash.p, SHA256_BYTES);
    }
    return rc;
}

bool round_ballot_same(const struct tally_ballot *a, const struct tally_ballot *b)
{
    return a->abstains == b->abstains && a->score == b->score && a->confidence == b->confidence &&
           slice_equal(slice_of(a->choices, a->choices_n), slice_of(b->choices, b->choices_n));
}

/* ---- on paper ---- */

void round_paper_frozen(const struct round *round, struct paper *out)
{
    struct slice rest = round->options;
    struct round_seat seat = {0};
    const char *stop = round_stop_name(round->stop);
    *out = (struct paper){.id = round->id,
                          .question = round->question,
                          .terms = round->terms,
                          .revote = round->revote,
                          .early_close = round->early_close,
                          .open_ballots = round->open_ballots,
                          .signed_only = round->signed_only,
                          .opened_ms = round->opened_ms,
                          .deadline_ms = round->deadline_ms,
                          .reveal_ms = round->reveal_ms,
                          .options_n = round->options_n,
                          .seats_n = round->seats_n,
                          .chair = round->chair,
                          .options = xcalloc(TALLY_OPTIONS_MAX, sizeof *out->options),
                          .seats = xcalloc(round->seats_n, sizeof *out->seats),
                          .runoff_of = round->runoff_of,
                          .status = slice_str(round_status_name(round->status)),
                          .stop = slice_str(stop ? stop : ""),
                          .closed_ms = round->closed_ms,
                          .runoff = round->runoff};
    memcpy(out->seed, round->seed, sizeof out->seed);
    for (uint32_t i = 0; i < round->options_n; i++) {
        (void)round_option_next(&rest, &out->options[i]);
    }
    rest = round->seats;
    while (round_seat_next(&rest, &seat) && seat.seat < round->seats_n) {
        out->seats[seat.seat] = (struct paper_seat){
            .id = seat.id, .public_key = seat.public_key, .weight = seat.weight};
    }
}

struct ballots_read {
    struct paper *paper;
    uint32_t cap;
};

static bool add_ballot(void *ctx, const struct round_ballot *ballot)
{
    struct ballots_read *read = ctx;
    struct paper *paper = read->paper;
    if (paper->ballots_n == read->cap) {
        read->cap = read->cap ? read->cap * 2 : 16;
        paper->ballots = xrealloc(paper->ballots, read->cap * sizeof *paper->ballots);
    }
    paper->ballots[paper->ballots_n++] = *ballot;
    return ballot->vote.seat < paper->seats_n;
}

enum store_rc round_paper(struct store_view *view, const struct round *round, struct paper *out)
{
    round_paper_frozen(round, out);
    struct ballots_read read = {.paper = out};
    enum store_rc rc = round_ballots_each(view, round->number, add_ballot, &read);
    for (uint32_t i = 0; rc == STORE_OK && round->committed_n && i < out->seats_n; i++) {
        struct paper_seat *seat = &out->seats[i];
        rc = commitment_read(view, round->number, i, &seat->commitment, &seat->committed_ms);
        rc = rc == STORE_NOT_FOUND ? STORE_OK : rc;
    }
    if (rc != STORE_OK) {
        paper_done(out);
    }
    return rc;
}

void round_channel(struct buf *out, struct slice id)
{
    buf_add_str(out, "consensus.");
    buf_add_slice(out, id);
}
