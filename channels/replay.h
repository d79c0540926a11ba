/* channels/replay.h: what a subscription missed, read from the log a page at a time.
 *
 * The caller sets its interest, then reads pages until the end of a snapshot: whatever is newer
 * than that reaches it live (design.md section 3). Nothing is held between pages but an offset.
 *
 * Owns     nothing: frames of the native wire are appended to the buffer given.
 * Threads  the reader's own.       Units  bytes, offsets, milliseconds.
 */
#ifndef WAGGLE_CHANNELS_REPLAY_H
#define WAGGLE_CHANNELS_REPLAY_H

#include "channels/event.h"
#include "channels/topics.h"
#include "store/log.h"

struct replay {
    struct log *log;
    struct store_reader *reader;
    int64_t now_ms;
    size_t bytes_max; /* of a page */
    size_t events_max;
    uint64_t connection;   /* events that exclude it are passed over */
    struct buf *out;       /* frames */
    uint64_t events, gaps; /* out: how many were written */
};

/* One page for a subscription from sub->next on; moves sub->next. *out_done: it has reached the end
 * of what was committed when the call began: the subscription may go live. STORE_OK also when a
 * damaged or trimmed range was passed over, which a gap frame says. */
enum store_rc replay_page(struct replay *r, struct subscription *sub,
                          const struct namespace_options *options, bool *out_done);
/* The same for a connection's patterns, over the journal's order. */
enum store_rc replay_patterns(struct replay *r, struct topics *topics, struct subscriber *who,
                              uint64_t hash_seed, bool *out_done);

/* Where a channel stands: the first and last offset that a reader gets now, ages and counts of the
 * namespace applied. channel 0: nobody has made it yet (first 1, last 0). Leaves the snapshot
 * begun. */
struct replay_span {
    struct store_view *view;
    struct log_head head;
    uint64_t channel;
};
enum store_rc replay_span(struct log *log, struct store_reader *reader, uint32_t app,
                          struct slice name, const struct namespace_options *options,
                          int64_t now_ms, struct replay_span *out);

/* {"type":"gap","channel":c,"from":a,"to":b,"reason":r,"count":n} as a native frame. */
void replay_gap_frame(struct buf *out, struct slice channel, uint64_t from, uint64_t to,
                      const char *reason);

#endif
