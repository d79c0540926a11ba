/* hub/api/moment.h: times that callers write, "2026-11-20T17:00:00.5Z" (RFC 3339 section 5.6), as
 * milliseconds.
 *
 * Threads  any.     Units  milliseconds since 1970.
 * Limits   years 1970 to 9999; a leap second is the second after it; digits past milliseconds are
 * dropped.
 */
#ifndef WAGGLE_HUB_API_MOMENT_H
#define WAGGLE_HUB_API_MOMENT_H

#include "store/bytes.h"

/* False: not of that form, or out of range; nothing is written. */
bool moment_read(struct slice text, int64_t *out_ms);

#endif
