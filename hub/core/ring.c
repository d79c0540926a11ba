#define _POSIX_C_SOURCE 200809L /* posix_memalign */
#include "hub/core/ring.h"
#include "store/mem.h"

#include <ck_ring.h>
#include <stdlib.h>

struct ring {
    ck_ring_t ring;
    ck_ring_buffer_t *slots;
};

/* ThreadSanitizer does not see the atomics inside Concurrency Kit, so the build leaves this file to
 * them (RING_TSAN) and tells it of the order that a push before a pop gives. */
#ifdef RING_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#else
static inline void __tsan_acquire(void *address)
{
    (void)address;
}
static inline void __tsan_release(void *address)
{
    (void)address;
}
#endif

struct ring *ring_new(size_t capacity)
{
    size_t size = 4;
    while (size <= capacity) {
        size *= 2;
    }
    struct ring *ring = NULL;
    if (posix_memalign((void **)&ring, CK_MD_CACHELINE, sizeof *ring) != 0) {
        abort();
    }
    ring->slots = xcalloc(size, sizeof *ring->slots);
    ck_ring_init(&ring->ring, (unsigned)size);
    return ring;
}

void ring_free(struct ring *ring)
{
    if (ring) {
        free(ring->slots);
        free(ring);
    }
}

bool ring_push(struct ring *ring, void *item)
{
    __tsan_release(item);
    return ck_ring_enqueue_mpsc(&ring->ring, ring->slots, item);
}

void *ring_pop(struct ring *ring)
{
    void *item = NULL;
    if (!ck_ring_dequeue_mpsc(&ring->ring, ring->slots, &item)) {
        return NULL;
    }
    __tsan_acquire(item);
    return item;
}

bool ring_empty(const struct ring *ring)
{
    return ck_ring_size(&ring->ring) == 0;
}
