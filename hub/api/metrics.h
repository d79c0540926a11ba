/* hub/api/metrics.h: every counter of the hub as Prometheus text (version 0.0.4), from one table.
 *
 * Threads  any I/O thread: counters are read as they are.
 */
#ifndef WAGGLE_HUB_API_METRICS_H
#define WAGGLE_HUB_API_METRICS_H

#include "hub/core/io.h"
#include "hub/tasks/module.h"

void metrics_write(const struct io *io, struct buf *out);

/* Sums over all I/O threads, for /health and the `hub` channel. */
struct hub_figures {
    uint64_t connections, subscriptions, events_out, events_in, bytes_out, queue_bytes, catching_up;
    uint64_t agents_active, agents_stale, agents_total;
    uint64_t commits, commit_us;
    struct tasks_figures tasks;
};
void hub_figures(const struct hub *hub, struct hub_figures *out);
/* Once a second, by one I/O thread: the figures as a live event on the channel `hub` of every app
 * that has somebody watching it (native-protocol.md section 4). */
void hub_figures_tell(struct io *io);

#endif
