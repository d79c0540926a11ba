/* hub/core/ring.h: a bounded queue of pointers from many threads to one (Concurrency Kit's ring).
 *
 * Owns     its slots; what is queued belongs to whoever pops it.
 * Threads  ring_push: any. ring_pop: the one consumer.
 * Limits   `capacity` entries (rounded up to a power of two, less one). A push that finds it full
 * is refused; rings of trays are as long as all pools together, so theirs never are.
 */
#ifndef WAGGLE_HUB_CORE_RING_H
#define WAGGLE_HUB_CORE_RING_H

#include <stdbool.h>
#include <stddef.h>

struct ring;

struct ring *ring_new(size_t capacity);
void ring_free(struct ring *ring); /* NULL is fine */
bool ring_push(struct ring *ring, void *item);
void *ring_pop(struct ring *ring); /* NULL: empty */
bool ring_empty(const struct ring *ring);

#endif
