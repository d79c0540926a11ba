/* hub/schema/meter.h: the budget of one validation.
 *
 * Once spent it stays spent, and all work unwinds.
 * Threads  one at a time.       Units  steps.
 */
#ifndef WAGGLE_HUB_SCHEMA_METER_H
#define WAGGLE_HUB_SCHEMA_METER_H

#include <stdbool.h>
#include <stddef.h>

struct meter {
    size_t steps_left;
    const char *spent; /* NULL, or why there is no verdict: a static sentence */
};

static inline bool meter_stop(struct meter *meter, const char *why)
{
    if (!meter->spent) {
        meter->spent = why;
    }
    return false;
}

static inline bool meter_spend(struct meter *meter, size_t steps)
{
    if (meter->steps_left < steps) {
        meter->steps_left = 0;
        return meter_stop(meter, "takes more steps than validation may take");
    }
    meter->steps_left -= steps;
    return !meter->spent;
}

#endif
