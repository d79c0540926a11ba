/* hub/cli/top_pulse.h: what the hub tells of itself once a second, as rows with their last minutes.
 *
 * Counters become what was added in a second; a sum of times becomes the mean over what was counted
 * meanwhile. A hub that was started anew counts from nothing, so its first figures are only the
 * ones to start from.
 * Threads  one.       Units  milliseconds of the hub's clock.
 */
#ifndef WAGGLE_CLI_TOP_PULSE_H
#define WAGGLE_CLI_TOP_PULSE_H

#include "hub/cli/top_series.h"

enum pulse {
    PULSE_SUBMITTED,
    PULSE_COMPLETED,
    PULSE_FAILED,
    PULSE_QUEUED,
    PULSE_RUNNING,
    PULSE_DISPATCH,
    PULSE_IN,
    PULSE_OUT,
    PULSE_COMMIT,
    PULSE_AGENTS,
    PULSE_STALE,
    PULSE_CONNECTIONS,
    PULSE_UNSENT,
    PULSES
};

struct top_pulse { /* all zero at first */
    int64_t at_ms; /* of the figures before; 0: none */
    double sums[PULSES], counts[PULSES], now[PULSES];
    struct series series[PULSES];
};

void top_pulse_take(struct top_pulse *p, struct slice figures, int64_t at_ms);
/* An array of {"pulse", "now", "most", "past"}; past has so many columns. */
void top_pulse_list(const struct top_pulse *p, size_t columns, bool ascii, struct buf *out);

#endif
