/* The newest records of the journal once more, in a ring in memory. A block is gathered from
 * records that lie strewn over the journal, and a search in the tree for each of them costs more
 * than all else about it; of a thousand channels in use nearly all is found here instead.
 *
 * Values are copied one behind the other, never across the end. A place counts on for ever, so it
 * tells whether what lay there has been written over. */
#include "store/log_parts.h"

#include <assert.h>
#include <stdlib.h>

enum {
    RING_BYTES = 16 << 20,
    SLOTS = 1 << 17,
    VALUE_BYTES_MAX = 4096,
};

struct slot {
    uint64_t seq, place;
    uint32_t n;
};

struct recent {
    uint8_t *ring;
    uint64_t end; /* place where the next value goes */
    struct slot *slots;
};

struct recent *recent_new(void)
{
    struct recent *recent = xcalloc(1, sizeof *recent);
    recent->ring = xmalloc(RING_BYTES);
    recent->slots = xcalloc(SLOTS, sizeof *recent->slots);
    return recent;
}

void recent_free(struct recent *recent)
{
    if (!recent)
        return;
    free(recent->ring);
    free(recent->slots);
    free(recent);
}

void recent_add(struct recent *recent, uint64_t seq, struct slice value)
{
    struct slot *slot = &recent->slots[seq % SLOTS];
    slot->seq = 0;
    if (value.n > VALUE_BYTES_MAX)
        return;
    uint64_t room = RING_BYTES - recent->end % RING_BYTES;
    uint64_t place = value.n <= room ? recent->end : recent->end + room;
    memcpy(recent->ring + place % RING_BYTES, value.p, value.n);
    recent->end = place + value.n;
    *slot = (struct slot){.seq = seq, .place = place, .n = (uint32_t)value.n};
}

bool recent_get(const struct recent *recent, uint64_t seq, struct slice *out_value)
{
    const struct slot *slot = &recent->slots[seq % SLOTS];
    if (slot->seq != seq || seq == 0 || slot->place + RING_BYTES < recent->end)
        return false;
    *out_value = slice_of(recent->ring + slot->place % RING_BYTES, slot->n);
    return true;
}
