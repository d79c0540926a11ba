/* hub/tasks/deadlines.h: when numbers are due, the earliest first.
 *
 * Nothing is taken out again but from the front: who finds there what does not count any more drops
 * it, and from time to time all of that is swept away.
 *
 * Owns     its entries.
 * Threads  one at a time.       Units  milliseconds.
 */
#ifndef WAGGLE_HUB_TASKS_DEADLINES_H
#define WAGGLE_HUB_TASKS_DEADLINES_H

#include "store/bytes.h"

struct deadline {
    int64_t due_ms;
    uint64_t number;
};

struct deadlines;
struct deadlines *deadlines_new(void);
void deadlines_free(struct deadlines *deadlines); /* NULL is fine */
void deadlines_add(struct deadlines *deadlines, struct deadline deadline);
const struct deadline *deadlines_first(const struct deadlines *deadlines); /* NULL: none */
void deadlines_drop_first(struct deadlines *deadlines);
size_t deadlines_count(const struct deadlines *deadlines);
/* Keeps those that still count. */
typedef bool deadline_counts(const void *ctx, const struct deadline *deadline);
void deadlines_sweep(struct deadlines *deadlines, deadline_counts *counts, const void *ctx);
void deadlines_clear(struct deadlines *deadlines);

#endif
