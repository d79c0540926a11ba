/* What the log reads back from its rows, whatever stands in them: records of the journal, blocks
 * and the rows of channels. The first byte chooses which. The checksum is put right first, or
 * nothing behind it would ever be reached; then the same bytes are tried with it wrong. */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "store/log_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct slice part, struct slice whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void check_record(const struct log_record *r, struct slice whole)
{
    assert(within(r->payload, whole));
    assert((r->key_hash != NULL) == ((r->flags & LOG_KEYED) != 0));
    assert(!r->key_hash || within(slice_of(r->key_hash, LOG_KEY_HASH_BYTES), whole));
}

static void try_journal(uint8_t *p, size_t n)
{
    struct log_record record;
    struct slice value = slice_of(p, n);
    bool peeked = journal_peek(7, value, &record);
    if (peeked)
        check_record(&record, value);
    if (!peeked) {
        assert(!journal_read(7, value, &record));
        return;
    }
    /* Written again from its parts it is the same record, and is read. */
    uint8_t *again = xmalloc(n);
    journal_write(again, &record, &record.payload, 1);
    assert(memcmp(again + 8, p + 8, n - 8) == 0);
    bool named = record.channel != 0 && record.offset != 0;
    assert(journal_read(7, slice_of(again, n), &record) == named);
    assert(!journal_read(8, slice_of(again, n), &record));
    free(again);
}

static void try_block(uint8_t *p, size_t n)
{
    uint8_t key[BLOCK_KEY_BYTES];
    struct slice value = slice_of(p, n);
    struct block block;
    struct log_record record;
    if (n >= BLOCK_HEADER_BYTES)
        block_end(&(struct buf){.p = p, .n = n}, 3, 5);
    if (!block_read(block_key(key, 3, 5), value, &block))
        return;
    assert(!block_read(block_key(key, 3, 6), value, &(struct block){0}));
    uint64_t offset = 5, last = block.last;
    for (; block_next(&block, &record); offset++) {
        assert(record.offset == offset && record.channel == 3);
        check_record(&record, value);
    }
    assert(offset <= last + 1);
}

static void try_row(uint8_t *p, size_t n)
{
    struct channel_row row;
    struct slice value = slice_of(p, n);
    if (n >= 8)
        be64_put(p, XXH3_64bits_withSeed(p + 8, n - 8, 3));
    if (channel_row_read(3, value, &row))
        assert(within(row.name, value) && row.first > 0);
    (void)channel_row_read(4, value, &row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t *copy = xmalloc(size);
    size_t n = size - 1;
    memcpy(copy, data + 1, n);
    switch (data[0] % 3) {
    case 0:
        try_journal(copy, n);
        break;
    case 1:
        try_block(copy, n);
        break;
    default:
        try_row(copy, n);
    }
    free(copy);
    return 0;
}
