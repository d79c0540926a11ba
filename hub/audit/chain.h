/* hub/audit/chain.h: the audit trail: a chain of signed seals over the events of the system
 * channels, and checking it with no hub at hand (docs/audit.md).
 *
 * A seal covers a run of the journal: one hash for each system event in it, and with them the head
 * of the seal before. So a changed event is named, and no seal can be changed, left out or put in
 * without the hub's key. Old seals go with their time: the first one that is kept anchors the rest.
 *
 * Rows     TABLE_AUDIT: newest sequence covered (8) -> seal.
 * Threads  any; reads need a view.
 */
#ifndef WAGGLE_HUB_AUDIT_CHAIN_H
#define WAGGLE_HUB_AUDIT_CHAIN_H

#include "auth/signing.h"
#include "store/log.h"
#include "store/pack.h"

enum { CHAIN_HEAD_BYTES = 32, CHAIN_HASH_BYTES = 16, CHAIN_ENTRY_BYTES = 8 + 8 + 8 + 16 };
#define CHAIN_PURPOSE "waggle-audit-1"

struct chain_seal {
    uint64_t from, to;  /* sequences of the journal, both included */
    uint64_t missed_to; /* up to there the journal was gone before it was sealed; 0: nothing was */
    int64_t at_ms;
    uint8_t before[CHAIN_HEAD_BYTES], head[CHAIN_HEAD_BYTES];
    struct slice entries; /* sequence, channel, offset, hash: CHAIN_ENTRY_BYTES each */
    uint8_t public_key[SIGNING_PUBLIC_BYTES], signature[SIGNATURE_BYTES];
};

/* Of an event: of app, channel's name, sequence, offset, time and payload. */
void chain_hash(uint32_t app, struct slice channel, const struct log_record *record,
                uint8_t out[CHAIN_HASH_BYTES]);
void chain_entry_add(struct buf *entries, uint32_t app, struct slice channel,
                     const struct log_record *record);
/* Fills in head and signature from the rest. */
void chain_seal_sign(struct chain_seal *seal, const struct signing *keys);
void chain_seal_pack(struct buf *b, const struct chain_seal *seal);
bool chain_seal_unpack(struct slice row, struct chain_seal *out);
/* The newest; STORE_NOT_FOUND: there is none. */
enum store_rc chain_newest(struct store_view *view, struct chain_seal *out);

struct chain_fault {
    uint64_t channel, offset, seq; /* of an event; channel 0: the seal of from..to itself */
    uint64_t from, to;
    int64_t at_ms;
    struct slice name; /* of the channel; empty: not known */
    const char *what;
};
struct chain_audit {
    uint64_t seals, events, faults;
    uint64_t aged;   /* events no longer kept, so not compared */
    uint64_t missed; /* records of the journal that were gone before they could be sealed */
    uint64_t before; /* records before the first seal that there is */
    uint64_t sealed_to, newest; /* sequences; what is newer than sealed_to has no seal yet */
    uint8_t head[CHAIN_HEAD_BYTES];
    int64_t head_ms;
};
/* Whether that key is the hub's. */
typedef bool chain_trust(void *ctx, const uint8_t public_key[SIGNING_PUBLIC_BYTES]);
/* Called for each fault, in the order of the journal. */
typedef void chain_report(void *ctx, const struct chain_fault *fault);
/* STORE_OK: all that is kept is as it was sealed. STORE_DAMAGED: it is not, see report. */
enum store_rc chain_verify(struct store_view *view, chain_trust *trust, chain_report *report,
                           void *ctx, struct chain_audit *out);

#endif
