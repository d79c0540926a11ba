/* channels/deadlines.h: of many numbered things, which must be looked at next.
 *
 * A binary heap over dense numbers; each thing has one time, which may be moved at any moment.
 *
 * Owns     its arrays.     Threads  one at a time.     Units  milliseconds; INT64_MAX: never.
 */
#ifndef WAGGLE_CHANNELS_DEADLINES_H
#define WAGGLE_CHANNELS_DEADLINES_H

#include "store/mem.h"

struct deadlines {
    int64_t *due_ms;  /* by number */
    uint32_t *places; /* by number: in the heap */
    uint32_t *heap;
    uint32_t n, cap; /* numbers known: 0..n-1 */
};

void deadlines_done(struct deadlines *d); /* forgets everything; d may be used again */
void deadlines_set(struct deadlines *d, uint32_t number, int64_t due_ms);
/* When the first is due; INT64_MAX: none ever. */
int64_t deadlines_next(const struct deadlines *d, uint32_t *out_number);

#endif
