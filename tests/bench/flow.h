/* tests/bench/flow.h: work that goes from some connections to others: sent by one, shown to
 * another, finished by the answer to its last step.
 *
 * The first connections of the crowd send, the rest receive. Frames gather per connection and leave
 * in one write a read. A benchmark says what is sent and what a frame that came means, and counts
 * ready, sent and completed; the flow keeps so much on its way, measures and reports.
 *
 * Owns     its crowd, the frames that wait, the spreads.
 * Threads  none.
 * Units    nanoseconds; milliseconds and microseconds in what is printed.
 * Limits   FLOW_ROUNDS_MAX rounds. A moment before count_from (the warm-up) counts in no spread.
 * Errors   meter_fail(): what is not done within FLOW_PATIENCE_S.
 */
#ifndef WAGGLE_BENCH_FLOW_H
#define WAGGLE_BENCH_FLOW_H

#include "store/mem.h"
#include "tests/bench/crowd.h"
#include "tests/bench/meter.h"

enum { FLOW_ROUNDS_MAX = 20, FLOW_PATIENCE_S = 30 };

struct flow {
    const struct target *target;
    struct crowd *crowd;
    uint32_t senders, receivers;
    struct buf text; /* of the frame that is being made */
    struct buf *out; /* what a connection sends after a read */
    uint64_t ready, sent, completed;
    uint64_t count_from;
    struct spread shown; /* from sending to the receiver */
    struct spread whole; /* from sending to the last answer */
};

/* Connects all; returns once `ready` is ready_each for each receiver. events.drained is the flow's
 * own: flow_flush. */
void flow_open(struct flow *f, const struct target *t, const char *path, struct crowd_events events,
               uint64_t ready_each);
void flow_close(struct flow *f);

void flow_frame(struct flow *f, uint32_t index); /* `text`, from that connection */
void flow_flush(struct flow *f, uint32_t index);
void flow_flush_senders(struct flow *f);

/* Counts what began at `moment` as shown at `now`, or as done with. */
void flow_shown(struct flow *f, uint64_t moment, uint64_t now);
void flow_completed(struct flow *f, uint64_t moment);

struct flow_figures {
    double rate[FLOW_ROUNDS_MAX], cpu_us[FLOW_ROUNDS_MAX], client[FLOW_ROUNDS_MAX];
    double shown_p50[FLOW_ROUNDS_MAX], shown_p99[FLOW_ROUNDS_MAX];
    double whole_p50[FLOW_ROUNDS_MAX], whole_p99[FLOW_ROUNDS_MAX];
};

/* Sends until `end`, turning the crowd meanwhile; begun at `start`. */
typedef void flow_sends(void *ctx, uint64_t start, uint64_t end);

/* Warms up, measures for so many seconds, and waits for what is still on its way. */
void flow_measure(struct flow *f, flow_sends *sends, void *ctx, uint32_t seconds, uint32_t round,
                  struct flow_figures *out);
/* The end of a line: the median of all rounds; `shown` names what flow_shown() counted. */
void flow_report(struct flow_figures *figures, uint32_t rounds, const char *shown);

#endif
