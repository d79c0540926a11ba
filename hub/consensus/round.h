/* hub/consensus/round.h: a round of voting as it is stored: rows, look-ups.
 *
 * Rows     TABLE_ROUND: number (4), 't' -> what is frozen when it opens (question, options,
 *          electorate, rule); number (4), 's' -> where it stands, which each ballot moves.
 *          TABLE_ROUND_BALLOT: round (4), seat (4), version (4) -> ballot; history included.
 *          Version 0 is what the seat has committed to.
 *          TABLE_ROUND_INDEX: app (4), id -> number. Numbers are dense and for good; ids begin with
 *          the time, so the index grows at its end.
 * Owns     nothing: a struct round borrows from its rows; see round_copy().
 * Threads  …_put: the writer. Reads: any view.
 * Units    milliseconds since 1970.
 * Rules    semantics.md section 3.
 */
#ifndef WAGGLE_HUB_CONSENSUS_ROUND_H
#define WAGGLE_HUB_CONSENSUS_ROUND_H

#include "hub/consensus/certificate.h"
#include "store/pack.h"
#include "store/store.h"

enum {
    ROUND_ID_CHARS = UUID_CHARS,
    ROUND_OPTION_BYTES_MAX = 256,
    ROUND_QUESTION_BYTES_MAX = 16384,
    ROUND_REFERENCE_BYTES_MAX = 256,
    ROUND_MEMBER_BYTES_MAX = 128,
    ROUND_REASON_BYTES_MAX = 1024,
};

enum round_status {
    ROUND_OPEN,
    ROUND_DECIDED,
    ROUND_TIED,
    ROUND_NO_QUORUM,
    ROUND_NO_DECISION,
    ROUND_CANCELLED,
    ROUND_STATUSES
};
const char *round_status_name(enum round_status status);
bool round_status_of(struct slice name, enum round_status *out);

enum round_stop {
    ROUND_STOP_NONE,
    ROUND_STOP_ALL_VOTED,
    ROUND_STOP_DEADLINE,
    ROUND_STOP_SETTLED,
    ROUND_STOP_CANCELLED,
    ROUND_STOPS
};
const char *round_stop_name(enum round_stop stop); /* NULL for ROUND_STOP_NONE */

struct round {
    /* frozen */
    uint32_t number, app;
    struct slice id, owner;
    struct slice reference; /* what it is about, in the words of whoever opened it; may be empty */
    struct slice question;  /* text */
    struct tally_terms terms;
    bool revote, early_close, open_ballots, signed_only;
    int64_t opened_ms, deadline_ms;
    int64_t reveal_ms; /* until then commitments are taken, from then on ballots; 0: only these */
    uint32_t options_n, seats_n, chair; /* chair: seat or TALLY_NOBODY */
    struct slice options;               /* packed: counted texts */
    struct slice seats;                 /* packed: round_seat_next() */
    uint64_t weight;                    /* of all seats */
    uint8_t seed[TALLY_SEED_BYTES];     /* of a random tie; shown when it is closed */
    uint8_t digest[SHA256_BYTES];       /* paper_digest() */
    struct slice runoff_of;             /* a round's id; empty: it is no runoff */
    /* where it stands */
    enum round_status status;
    enum round_stop stop;
    int64_t closed_ms;
    uint64_t timer_id;
    uint32_t committed_n, voted_n, voided_n;
    bool revealing; /* commitments are taken no more */
    uint64_t voted_weight;
    int winner; /* option; -1: none */
    int64_t value;
    uint32_t confidence; /* millionths */
    struct slice runoff; /* id of the round that followed a tie; empty: none did */
};

struct round_seat {
    uint32_t seat; /* its place */
    uint32_t weight;
    struct slice id, owner;  /* owner: of the agent when the round opened; may be empty */
    struct slice public_key; /* 32 bytes or empty */
};
/* Walks round->seats: rest begins as a copy of it and seat as 0. */
bool round_seat_next(struct slice *rest, struct round_seat *io_seat);
bool round_seat_find(const struct round *round, struct slice id, struct round_seat *out);
void round_seat_pack(struct buf *b, const struct round_seat *seat);
/* Walks round->options. */
bool round_option_next(struct slice *rest, struct slice *out);
/* The same bytes in a round's row and in the command that opens it. */
void round_terms_pack(struct buf *b, const struct tally_terms *terms);
void round_terms_unpack(struct unpack *u, struct tally_terms *out);

enum store_rc round_get(struct store_view *view, uint32_t number, struct round *out);
enum store_rc round_find(struct store_view *view, uint32_t app, struct slice id, struct round *out);
uint32_t round_newest(struct store_view *view); /* 0: there is none */
/* Both rows and the index; for a new round. */
enum store_rc round_put_new(struct store_txn *txn, const struct round *round);
enum store_rc round_put_state(struct store_txn *txn, const struct round *round);
/* Moves what it borrows into a buffer of the caller's, as a write takes rows away. */
void round_copy(const struct round *round, struct buf *bytes, struct round *out);

/* ---- ballots ---- */

void round_ballot_pack(struct buf *b, const struct round_ballot *ballot);
bool round_ballot_unpack(struct unpack *u, struct round_ballot *out);
enum store_rc round_ballot_put(struct store_txn *txn, const struct round_ballot *ballot);
/* The newest of a seat. */
enum store_rc round_ballot_newest(struct store_view *view, uint32_t round, uint32_t seat,
                                  struct round_ballot *out);
/* All of a round, by seat and version, until visit returns false. */
typedef bool round_ballot_visit(void *ctx, const struct round_ballot *ballot);
enum store_rc round_ballots_each(struct store_view *view, uint32_t round, round_ballot_visit *visit,
                                 void *ctx);
/* What a seat has committed to; STORE_NOT_FOUND: to nothing. */
enum store_rc round_commitment_put(struct store_txn *txn, uint32_t round, uint32_t seat,
                                   const uint8_t hash[SHA256_BYTES], int64_t at_ms);
enum store_rc round_commitment_get(struct store_view *view, uint32_t round, uint32_t seat,
                                   uint8_t out_hash[SHA256_BYTES]);
/* Whether two ballots say the same: choices, score and confidence. */
bool round_ballot_same(const struct tally_ballot *a, const struct tally_ballot *b);

/* ---- counting ---- */

/* The round on paper, its ballots included: borrows from round and view. */
enum store_rc round_paper(struct store_view *view, const struct round *round, struct paper *out);
/* The same without ballots, when there is no row yet. */
void round_paper_frozen(const struct round *round, struct paper *out);

/* "consensus.<id>" */
void round_channel(struct buf *out, struct slice id);

#endif
