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

enum { JSON_WORD_BYTES = 8 };
static const uint64_t json_ones = 0x0101010101010101u;

/* The high bit of each byte that is not plain; of the lowest such byte for certain: a borrow spoils
 * only bytes after a hit. x - 1 & ~x has the high bit of each zero byte. */
static inline uint64_t json_word_hits(uint64_t word)
{
    uint64_t quote = word ^ json_ones * '"', backslash = word ^ json_ones * '\\';
    uint64_t hits = ((quote - json_ones) & ~quote) | ((backslash - json_ones) & ~backslash) |
                    ((word - json_ones * 0x20) & ~word) | word;
    return hits & json_ones * 0x80;
}

/* The last 1 to 7 bytes, with spaces behind them. Keys are as short as this: a byte at a time costs
 * more than all else about them. Loads overlap, and a byte that is loaded twice is the same. */
static inline uint64_t json_word_short(const uint8_t *p, size_t n)
{
    uint64_t spaces = json_ones * 0x20 << 8 * n;
    if (n >= 4) {
        uint64_t low =
            (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24;
        const uint8_t *q = p + n - 4;
        uint64_t high =
            (uint64_t)q[0] | (uint64_t)q[1] << 8 | (uint64_t)q[2] << 16 | (uint64_t)q[3] << 24;
        return low | high << 8 * (n - 4) | spaces;
    }
    return (uint64_t)p[0] | (uint64_t)p[n / 2] << 8 * (n / 2) | (uint64_t)p[n - 1] << 8 * (n - 1) |
           spaces;
}

static inline const uint8_t *json_plain_run_words(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= JSON_WORD_BYTES; p += JSON_WORD_BYTES) {
        uint64_t hits = json_word_hits(json_word(p));
        if (hits) {
            return p + __builtin_ctzll(hits) / 8;
        }
    }
    if (p == end) {
        return p;
    }
    uint64_t hits = json_word_hits(json_word_short(p, (size_t)(end - p)));
    return hits ? p + __builtin_ctzll(hits) / 8 : end;
}

#endif
