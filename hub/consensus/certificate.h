/* hub/consensus/certificate.h: a round on paper: what was asked of whom, each ballot as its voter
 * signed it, how it came out; and checking all that with no hub at hand.
 *
 * A paper is made of rows (round.h) or of a certificate's text, and everything that is said about a
 * round follows from it: what a voter signs, the outcome, the certificate. So whoever checks a
 * certificate counts again with the code that counted first. Formats: docs/certificates.md.
 *
 * Owns     struct paper: its arrays and, read from text, its texts (paper_done).
 * Threads  any.
 * Units    milliseconds since 1970; shares in millionths, scores in thousandths.
 */
#ifndef WAGGLE_HUB_CONSENSUS_CERTIFICATE_H
#define WAGGLE_HUB_CONSENSUS_CERTIFICATE_H

#include "auth/digest.h"
#include "auth/signing.h"
#include "channels/json_out.h"
#include "hub/consensus/tally.h"

enum round_ballot_fate {
    BALLOT_COUNTS,
    BALLOT_REPLACED, /* by a later one of the same seat */
    BALLOT_VOIDED,   /* bft: the seat sent two */
    BALLOT_LATE,     /* came when the round was closed */
    BALLOT_FATES
};

struct round_ballot {
    uint32_t round, version; /* version from 1, of the seat */
    enum round_ballot_fate fate;
    int64_t at_ms;
    struct tally_ballot vote;
    bool sure;              /* it said how confident it is */
    struct slice nonce;     /* of a round with commitments: text; else empty */
    struct slice signature; /* 64 bytes or empty */
    struct slice reason;    /* free words; may be empty */
};

struct paper_seat {
    struct slice id, public_key; /* public_key: 32 bytes or empty */
    uint32_t weight;
    struct slice commitment; /* SHA256_BYTES or empty: to no ballot */
    int64_t committed_ms;
};

struct paper {
    /* what was frozen */
    struct slice id, question;
    struct tally_terms terms;
    bool revote, early_close, open_ballots, signed_only;
    int64_t opened_ms, deadline_ms;
    int64_t reveal_ms; /* commitments are taken until then, ballots from then on; 0: it has none */
    uint32_t options_n, seats_n, chair; /* chair: seat or TALLY_NOBODY */
    struct slice *options;
    struct paper_seat *seats;
    uint8_t seed[TALLY_SEED_BYTES];
    struct slice runoff_of; /* a round's id; empty: it is none */
    /* what came of it */
    struct slice status, stop; /* words */
    int64_t closed_ms;
    struct slice runoff; /* the round that followed a tie */
    struct round_ballot *ballots;
    uint32_t ballots_n;
    struct buf texts; /* of a paper that was read */
};
void paper_done(struct paper *paper);
void paper_count(const struct paper *paper, struct tally_result *out);
bool paper_settled(const struct paper *paper); /* tally_settled() */

/* SHA-256 over everything that is frozen: a voter who signs it with a vote signs for one question
 * put to one electorate under one rule. */
void paper_digest(const struct paper *paper, uint8_t out[SHA256_BYTES]);

/* What a voter signs with its own key, as text: digest and id are the round's. Signed with
 * signature_check's purpose BALLOT_PURPOSE. */
#define BALLOT_PURPOSE "waggle-ballot-1"
void ballot_message(struct buf *out, struct slice round_id, const uint8_t digest[SHA256_BYTES],
                    struct slice voter, enum tally_form form, const struct slice *options,
                    const struct round_ballot *ballot);

/* What a voter commits to before anybody shows a ballot: a hash of that message and of a nonce,
 * text of its own that nobody can guess, so that the ballot cannot be guessed either. */
#define COMMIT_PURPOSE "waggle-commit-1"
enum { NONCE_BYTES_MIN = 16, NONCE_BYTES_MAX = 128 };
void ballot_commitment(uint8_t out[SHA256_BYTES], struct slice round_id,
                       const uint8_t digest[SHA256_BYTES], struct slice voter, enum tally_form form,
                       const struct slice *options, const struct round_ballot *ballot);
/* A seat that committed to a ballot and did not show it: as if it had not voted. */
bool paper_unrevealed(const struct paper *paper, uint32_t seat);

/* The members "choice", "choices", "ranking", "score" or "abstain", and "confidence". */
void ballot_vote_json(struct json_out *o, enum tally_form form, const struct slice *options,
                      const struct round_ballot *ballot);
/* One counted or kept ballot, as an object; exact: its time in milliseconds, as certificates have
 * it. */
void paper_ballot_json(struct json_out *o, const struct paper *paper,
                       const struct round_ballot *ballot, bool exact);
/* What the count says, as an object. */
void paper_outcome_json(struct json_out *o, const struct paper *paper,
                        const struct tally_result *result);
const char *ballot_fate_name(enum round_ballot_fate fate);
/* v with so many decimal places, without zeros at the end. */
void decimal_put(struct buf *b, int64_t v, unsigned places);

/* ---- certificates ---- */

#define CERTIFICATE_PURPOSE "waggle-certificate-1"
enum { CERTIFICATE_BYTES_MAX = 16 << 20 };
/* The whole document: {"certificate":{…},"kid":"…","public_key":"…","signature":"…"}. The signature
 * covers the bytes of the member "certificate" as they stand in it. */
void certificate_put(struct buf *out, const struct paper *paper, const struct signing *keys);
void certificate_body(struct json_out *o, const struct paper *paper);

/* Whether that public key is the hub's. */
typedef bool certificate_trust(void *ctx, const uint8_t public_key[SIGNING_PUBLIC_BYTES]);

/* certificate_verify.c. True: a key of the hub signed exactly these bytes, every signature of a
 * voter fits, and counting again gives the same outcome. False: out_why says what does not hold.
 * out_paper: what was read, when it could be read (paper_done in any case). */
bool certificate_verify(struct slice text, certificate_trust *trust, void *ctx,
                        struct paper *out_paper, char *out_why, size_t why_n);

#endif
