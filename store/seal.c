/* LMDB has no checksums. A row of a sealed table ends with one of its own, over key and value, that
 * is added where rows are written and taken off where they are read; so no other part of the house
 * has to think of it. The tables of the log, the timers and the kept answers know better what to do
 * with a damaged row than to refuse it: they carry their own. */
#include "store/env.h"

#include "store/checksum.h"

/* clang-format off */
static const bool has_its_own[TABLE_COUNT] = {
    [TABLE_JOURNAL] = true,
    [TABLE_BLOCK]   = true,
    [TABLE_CHANNEL] = true,
    [TABLE_TIMER]   = true,
    [TABLE_REPLY]   = true,
};
/* clang-format on */

bool store_is_sealed(enum store_table table)
{
    return table < TABLE_COUNT && !has_its_own[table];
}

static uint64_t checksum(struct slice key, struct slice value)
{
    return sum64_seeded(value.p ? (const void *)value.p : "", value.n, sum64(key.p, key.n));
}

void store_seal(struct slice key, uint8_t *value, size_t n)
{
    be64_put(value + n, checksum(key, slice_of(value, n)));
}

bool store_unseal(struct slice key, struct slice *value)
{
    if (value->n < STORE_SEAL_BYTES)
        return false;
    struct slice inner = slice_of(value->p, value->n - STORE_SEAL_BYTES);
    if (be64_get(value->p + inner.n) != checksum(key, inner))
        return false;
    *value = inner;
    return true;
}
