/* A record of the journal, all of it under one checksum:
 *
 *     checksum 8, time 8, channel 8, offset 8, previous sequence of the channel 8, flags 2,
 *     hash of the key 16 (only with LOG_KEYED), payload
 *
 * The checksum takes the sequence in, so a record that turns up under another key is damaged too.
 */
#include "store/log_parts.h"

#include "store/checksum.h"

enum {
    AT_TIME = 8,
    AT_CHANNEL = 16,
    AT_OFFSET = 24,
    AT_PREV = 32,
    AT_FLAGS = 40,
    AT_KEY = 42,
};

struct slice journal_key(uint8_t key[JOURNAL_KEY_BYTES], uint64_t seq)
{
    be64_put(key, seq);
    return slice_of(key, JOURNAL_KEY_BYTES);
}

uint64_t journal_seq(struct slice key)
{
    return key.n == JOURNAL_KEY_BYTES ? be64_get(key.p) : 0;
}

static size_t header_bytes(uint16_t flags)
{
    return flags & LOG_KEYED ? AT_KEY + LOG_KEY_HASH_BYTES : AT_KEY;
}

size_t journal_bytes(uint16_t flags, size_t payload_n)
{
    return header_bytes(flags) + payload_n;
}

/* An odd constant (2^64 divided by the golden ratio) tells neighbouring sequences apart. */
static uint64_t checksum(uint64_t seq, const uint8_t *p, size_t n)
{
    return sum64(p, n) + seq * UINT64_C(0x9e3779b97f4a7c15);
}

void journal_write(uint8_t *value, const struct log_record *record, const struct slice *parts,
                   size_t parts_n)
{
    be64_put(value + AT_TIME, (uint64_t)record->time_ms);
    be64_put(value + AT_CHANNEL, record->channel);
    be64_put(value + AT_OFFSET, record->offset);
    be64_put(value + AT_PREV, record->prev_seq);
    be16_put(value + AT_FLAGS, record->flags);
    if (record->flags & LOG_KEYED)
        memcpy(value + AT_KEY, record->key_hash, LOG_KEY_HASH_BYTES);
    size_t n = header_bytes(record->flags);
    for (size_t i = 0; i < parts_n; i++) {
        if (parts[i].n > 0)
            memcpy(value + n, parts[i].p, parts[i].n);
        n += parts[i].n;
    }
    be64_put(value, checksum(record->seq, value + AT_TIME, n - AT_TIME));
}

bool journal_peek(uint64_t seq, struct slice value, struct log_record *out)
{
    if (value.n < AT_KEY)
        return false;
    uint16_t flags = be16_get(value.p + AT_FLAGS);
    size_t header = header_bytes(flags);
    if (value.n < header)
        return false;
    *out = (struct log_record){.channel = be64_get(value.p + AT_CHANNEL),
                               .offset = be64_get(value.p + AT_OFFSET),
                               .seq = seq,
                               .prev_seq = be64_get(value.p + AT_PREV),
                               .time_ms = (int64_t)be64_get(value.p + AT_TIME),
                               .flags = flags,
                               .key_hash = flags & LOG_KEYED ? value.p + AT_KEY : NULL,
                               .payload = slice_of(value.p + header, value.n - header)};
    return true;
}

bool journal_read(uint64_t seq, struct slice value, struct log_record *out)
{
    return journal_peek(seq, value, out) && out->channel != 0 && out->offset != 0 &&
           be64_get(value.p) == checksum(seq, value.p + AT_TIME, value.n - AT_TIME);
}
