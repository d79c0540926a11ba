/* channels/json_run.h: runs of plain bytes in JSON strings, in ordinary 64-bit arithmetic: the
 * version for every machine. channels/json_run_sse2.h has the same for x86-64.
 *
 * Threads  any. A read never goes past `end`.
 */
#ifndef WAGGLE_CHANNELS_JSON_RUN_H
#define WAGGLE_CHANNELS_JSON_RUN_H

#include "store/bytes.h"

/* RFC 8259 section 7: what may stand in a string as it is and is not part of a longer character. */
static inline bool json_is_plain_byte(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Little-endian whatever the machine, so that the lowest flagged byte is the first in the text;
 * compilers make one load of it. */
static inline uint64_t json_word(const uint8_t *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

static inline const uint8_t *json_plain_run_words(const uint8_t *p, const uint8_t *end)
{
    const uint64_t ones = 0x0101010101010101u;
    while (end - p >= 8) {
        uint64_t word = json_word(p);
        uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
        /* x - 1 & ~x has the high bit of each zero byte; a borrow spoils only bytes after a hit. */
        uint64_t hits = ((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
                        ((word - ones * 0x20) & ~word) | word;
        hits &= ones * 0x80;
        if (hits) {
            return p + __builtin_ctzll(hits) / 8;
        }
        p += 8;
    }
    while (p < end && json_is_plain_byte(*p)) {
        p++;
    }
    return p;
}

#endif
