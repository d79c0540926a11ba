/* channels/json_text.h: what reading and writing JSON strings share: runs of plain bytes, UTF-8,
 * escapes.
 *
 * Threads  any.       Units  bytes.
 */
#ifndef WAGGLE_CHANNELS_JSON_TEXT_H
#define WAGGLE_CHANNELS_JSON_TEXT_H

#ifdef __SSE2__
#include "channels/json_run_sse2.h"
#else
#include "channels/json_run.h"
#endif

enum { JSON_ESCAPE_BYTES_MAX = 6, UTF8_BYTES_MAX = 4 };

/* The first byte from p on that is not plain (json_is_plain_byte); end when all are. */
static inline const uint8_t *json_plain_run(const uint8_t *p, const uint8_t *end)
{
#ifdef __SSE2__
    return json_plain_run_sse2(p, end);
#else
    return json_plain_run_words(p, end);
#endif
}

static inline bool utf8_follows(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

/* Length of the character of two bytes or more at p, 0 when it is none (RFC 3629 section 4: no
 * overlong form, no surrogate, nothing past U+10FFFF). */
static inline size_t utf8_length(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    uint8_t lead = p[0];
    if (lead < 0xe0) {
        return lead >= 0xc2 && left >= 2 && utf8_follows(p[1]) ? 2 : 0;
    }
    if (left < 3 || !utf8_follows(p[1]) || !utf8_follows(p[2])) {
        return 0;
    }
    if (lead < 0xf0) {
        bool overlong = lead == 0xe0 && p[1] < 0xa0, surrogate = lead == 0xed && p[1] > 0x9f;
        return overlong || surrogate ? 0 : 3;
    }
    bool overlong = lead == 0xf0 && p[1] < 0x90, too_high = lead == 0xf4 && p[1] > 0x8f;
    return lead <= 0xf4 && !overlong && !too_high && left >= 4 && utf8_follows(p[3]) ? 4 : 0;
}

/* Writes a character that is no surrogate; returns the count of bytes, at most UTF8_BYTES_MAX. */
static inline size_t utf8_put(uint8_t *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (uint8_t)(0xc0 | c >> 6);
        out[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (uint8_t)(0xe0 | c >> 12);
        out[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | c >> 18);
    out[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* The one way we write a byte that must be escaped (quote, backslash, control): the short form
 * where RFC 8259 has one, else \u00xx in lower case. At most JSON_ESCAPE_BYTES_MAX bytes. */
static inline size_t json_escape_put(uint8_t *out, uint8_t c)
{
    static const char letters[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    static const char hex[] = "0123456789abcdef";
    out[0] = '\\';
    if (c >= 0x20 || letters[c]) {
        out[1] = c >= 0x20 ? c : (uint8_t)letters[c];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = (uint8_t)hex[c >> 4];
    out[5] = (uint8_t)hex[c & 15];
    return 6;
}

#endif
