/* hub/audit/auditor.h: makes the audit trail: reads the journal behind the writer, hashes the
 * system channels' events, and has a signed seal over them stored now and then.
 *
 * It lives on a thread of its own (audit_thread.h) and only reads: deciding an event costs the
 * writer nothing more than before, and a seal is one row in a batch. It holds what is not sealed
 * yet in memory; after a crash it reads that again from the journal.
 *
 * Threads  struct auditor: the thread that turns it. The command: the writer.
 * Limits   AUDITOR_RECORDS_A_TURN records are looked at in one turn; a seal has at most
 *          AUDITOR_ENTRIES_MAX events.
 */
#ifndef WAGGLE_HUB_AUDIT_AUDITOR_H
#define WAGGLE_HUB_AUDIT_AUDITOR_H

#include "hub/audit/chain.h"
#include "hub/core/io.h"

enum { AUDITOR_RECORDS_A_TURN = 512, AUDITOR_ENTRIES_MAX = 2000, MODULE_AUDIT = 6 };

extern const struct module audit_module;
extern const struct command_kind command_audit_seal; /* body: keep_ms (8), then chain_seal_pack */

struct auditor {
    struct buf entries; /* read and not sealed yet */
    struct buf kinds;   /* what is known of channels: struct channel_kind, by number modulo */
    uint64_t read_to;   /* sequences */
    uint64_t sealed_to; /* by the newest seal that was made */
    uint64_t stored_to; /* by the newest that is known to be stored; the others are under way */
    uint64_t missed_to;
    uint8_t head[CHAIN_HEAD_BYTES]; /* of the newest that was made */
    int64_t seal_ms;                /* when it was made */
    int64_t news_ms;                /* when one was sent, or found stored */
    bool begun, cut;                /* cut: a hole follows, so what was read is sealed now */
};

void auditor_done(struct auditor *auditor);
/* One step; true: another one is worth taking. */
bool auditor_turn(struct auditor *auditor, struct io *io);

#endif
