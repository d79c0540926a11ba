/* A block is one row under (channel, first offset):
 *
 *     checksum 8, version 4, count 4, payload bytes 8, newest time 8, sequence before the first 8,
 *     then each record: time 8, sequence 8, flags 2, payload length 4, hash of the key 16 (only
 *     with LOG_KEYED), payload
 *
 * Offsets need no place, they are consecutive. The checksum takes the key in. */
#include "store/log_parts.h"

#include "store/checksum.h"

enum {
    BLOCK_VERSION = 1,
    AT_VERSION = 8,
    AT_COUNT = 12,
    AT_PAYLOAD_BYTES = 16,
    AT_NEWEST = 24,
    AT_PREV = 32,
    RECORD_AT_SEQ = 8,
    RECORD_AT_FLAGS = 16,
    RECORD_AT_LENGTH = 18,
};

struct slice block_key(uint8_t key[BLOCK_KEY_BYTES], uint64_t channel, uint64_t first)
{
    be64_put(key, channel);
    be64_put(key + 8, first);
    return slice_of(key, BLOCK_KEY_BYTES);
}

bool block_key_read(struct slice key, uint64_t *out_channel, uint64_t *out_first)
{
    if (key.n != BLOCK_KEY_BYTES)
        return false;
    *out_channel = be64_get(key.p);
    *out_first = be64_get(key.p + 8);
    return *out_channel > 0 && *out_first > 0;
}

size_t block_record_bytes(uint16_t flags, size_t payload_n)
{
    size_t key_n = flags & LOG_KEYED ? LOG_KEY_HASH_BYTES : 0;
    return BLOCK_RECORD_BYTES_MIN + key_n + payload_n;
}

static uint64_t checksum(uint64_t channel, uint64_t first, struct slice rest)
{
    uint64_t place = channel * UINT64_C(0x9e3779b97f4a7c15) ^ first * UINT64_C(0xc2b2ae3d27d4eb4f);
    return sum64(rest.p, rest.n) + place;
}

void block_begin(struct buf *out, uint64_t prev_seq)
{
    buf_clear(out);
    memset(buf_reserve(out, BLOCK_HEADER_BYTES), 0, BLOCK_HEADER_BYTES);
    out->n = BLOCK_HEADER_BYTES;
    be32_put(out->p + AT_VERSION, BLOCK_VERSION);
    be64_put(out->p + AT_NEWEST, (uint64_t)INT64_MIN);
    be64_put(out->p + AT_PREV, prev_seq);
}

static void count_in(uint8_t *header, const struct log_record *record)
{
    be32_put(header + AT_COUNT, be32_get(header + AT_COUNT) + 1);
    be64_put(header + AT_PAYLOAD_BYTES, be64_get(header + AT_PAYLOAD_BYTES) + record->payload.n);
    if (record->time_ms > (int64_t)be64_get(header + AT_NEWEST))
        be64_put(header + AT_NEWEST, (uint64_t)record->time_ms);
}

void block_add(struct buf *out, const struct log_record *record)
{
    uint8_t *p = buf_reserve(out, block_record_bytes(record->flags, record->payload.n));
    be64_put(p, (uint64_t)record->time_ms);
    be64_put(p + RECORD_AT_SEQ, record->seq);
    be16_put(p + RECORD_AT_FLAGS, record->flags);
    be32_put(p + RECORD_AT_LENGTH, (uint32_t)record->payload.n);
    out->n += BLOCK_RECORD_BYTES_MIN;
    if (record->flags & LOG_KEYED)
        buf_add(out, record->key_hash, LOG_KEY_HASH_BYTES);
    buf_add_slice(out, record->payload);
    count_in(out->p, record);
}

void block_end(struct buf *out, uint64_t channel, uint64_t first)
{
    be64_put(out->p, checksum(channel, first, slice_of(out->p + 8, out->n - 8)));
}

bool block_read(struct slice key, struct slice value, struct block *out)
{
    uint64_t channel, first;
    if (!block_key_read(key, &channel, &first) || value.n < BLOCK_HEADER_BYTES ||
        be64_get(value.p) != checksum(channel, first, slice_of(value.p + 8, value.n - 8)))
        return false;
    uint32_t count = be32_get(value.p + AT_COUNT);
    *out = (struct block){.channel = channel,
                          .first = first,
                          .last = first + count - 1,
                          .prev_seq = be64_get(value.p + AT_PREV),
                          .payload_bytes = be64_get(value.p + AT_PAYLOAD_BYTES),
                          .newest_ms = (int64_t)be64_get(value.p + AT_NEWEST),
                          .records =
                              slice_of(value.p + BLOCK_HEADER_BYTES, value.n - BLOCK_HEADER_BYTES)};
    return be32_get(value.p + AT_VERSION) == BLOCK_VERSION && count > 0 && out->last >= first;
}

bool block_next(struct block *block, struct log_record *out)
{
    struct slice s = block->records;
    if (s.n < BLOCK_RECORD_BYTES_MIN || block->first > block->last)
        return false;
    uint16_t flags = be16_get(s.p + RECORD_AT_FLAGS);
    size_t payload_n = be32_get(s.p + RECORD_AT_LENGTH);
    size_t n = block_record_bytes(flags, payload_n);
    if (s.n < n)
        return false;
    const uint8_t *rest = s.p + BLOCK_RECORD_BYTES_MIN;
    *out = (struct log_record){.channel = block->channel,
                               .offset = block->first,
                               .seq = be64_get(s.p + RECORD_AT_SEQ),
                               .prev_seq = block->prev_seq,
                               .time_ms = (int64_t)be64_get(s.p),
                               .flags = flags,
                               .key_hash = flags & LOG_KEYED ? rest : NULL,
                               .payload = slice_of(s.p + n - payload_n, payload_n)};
    block->prev_seq = out->seq;
    block->first++;
    block->records = slice_of(s.p + n, s.n - n);
    return true;
}
