/* tests/bench/asker.h: a crowd that asks, and measures when each question is answered.
 *
 * Closed: every connection keeps a fixed count of questions unanswered; the rate is what comes out.
 * Paced: questions leave on a schedule that does not wait for answers, and a latency counts from
 * the scheduled moment, so a server that pauses is charged for all that it kept waiting.
 *
 * Owns     its crowd.        Threads  one.        Units  nanoseconds; rates a second.
 * Limits   ASKER_WAITING_MAX questions unanswered on one connection.
 * Errors   meter_fail(): an answer of type error, one out of order, none for 20 s.
 */
#ifndef WAGGLE_BENCH_ASKER_H
#define WAGGLE_BENCH_ASKER_H

#include "store/mem.h"
#include "tests/bench/crowd.h"
#include "tests/bench/meter.h"

enum { ASKER_WAITING_MAX = 256 };

struct asker_plan {
    const char *path;
    uint32_t conns;
    uint32_t outstanding; /* closed: unanswered on each connection */
    uint32_t rate;        /* paced: questions a second in all; 0: closed */
    const char *answer;   /* the type of frame that answers: "published" */
    /* Writes the text of question id (1, 2, ...) of a connection. */
    void (*ask)(void *ctx, struct buf *out, uint32_t conn, uint64_t id);
    /* Paced only: time so far for which the machine kept those waiting who take part; NULL: it is
     * not known. What of it lies between a question and its answer is taken off in `own`. */
    uint64_t (*imposed)(void *ctx);
    void *ctx;
};

struct asker_result {
    double rate;          /* answers a second */
    double cpu_us;        /* of the server, for each answer */
    double client_share;  /* of one core, that asking took: near 1 the client was the limit */
    double per_sync;      /* answers for each sync of the server; 0: it does not say */
    struct spread waited; /* from question to answer */
    struct spread own;    /* the same, less what the machine imposed */
};

struct asker;

/* Connects, asks the first question on every connection and waits for its answer. */
struct asker *asker_open(const struct target *t, const struct asker_plan *plan);
void asker_free(struct asker *a);

/* Runs for warm_ns, then measures for ns, then waits until nothing is unanswered. sync_metric names
 * the counter of syncs on the server's /metrics page; NULL: it is not asked. */
void asker_run(struct asker *a, uint64_t warm_ns, uint64_t ns, const char *sync_metric,
               struct asker_result *out);

#endif
