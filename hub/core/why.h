/* hub/core/why.h: who changes something and why: what the event that tells of it says besides.
 *
 * Threads  any; plain values. Slices are borrowed.
 */
#ifndef WAGGLE_HUB_CORE_WHY_H
#define WAGGLE_HUB_CORE_WHY_H

#include "channels/json_out.h"
#include "store/pack.h"

struct why {
    struct slice by, reason; /* the caller's subject; reason empty: not said */
};

extern const struct why why_nobody; /* it happened by itself */

void why_put(struct buf *b, const struct why *why);
struct why why_get(struct unpack *u);
/* For a body that is only the rest of it: *body is what follows. False: there is no why. */
bool why_take(struct slice *body, struct why *out);
/* by and reason, each when there is one: of what also happens by itself. */
void why_said(struct json_out *o, const struct why *why);
/* The last members of the event's object: by, reason when there is one, at. */
void why_json(struct json_out *o, const struct why *why, int64_t at_ms);

#endif
