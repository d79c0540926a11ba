/* The state says which continuation byte is due next: how many more there are after it, and whether
 * it is narrower than 80..BF because of the lead byte. That last part is all there is to overlong
 * forms (E0, F0), surrogates (ED) and the upper end (F4). Characters that lie whole in the input
 * are judged at once instead, by what they encode. */
#include "hub/net/utf8.h"

enum { LAST = 1, TWO, THREE, AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4, STATES };

// clang-format off
static const struct { uint8_t low, high, next; } due[STATES] = {
    [LAST]     = {0x80, 0xbf, UTF8_WHOLE},
    [TWO]      = {0x80, 0xbf, LAST},
    [THREE]    = {0x80, 0xbf, TWO},
    [AFTER_E0] = {0xa0, 0xbf, LAST},
    [AFTER_ED] = {0x80, 0x9f, LAST},
    [AFTER_F0] = {0x90, 0xbf, TWO},
    [AFTER_F4] = {0x80, 0x8f, TWO},
};
// clang-format on

static uint8_t after_lead(uint8_t byte)
{
    if (byte < 0x80) {
        return UTF8_WHOLE;
    }
    if (byte < 0xc2 || byte > 0xf4) {
        return UTF8_BAD;
    }
    if (byte < 0xe0) {
        return LAST;
    }
    if (byte < 0xf0) {
        return byte == 0xe0 ? AFTER_E0 : byte == 0xed ? AFTER_ED : TWO;
    }
    return byte == 0xf0 ? AFTER_F0 : byte == 0xf4 ? AFTER_F4 : THREE;
}

/* Passes over ASCII, sixteen bytes at a time. */
static const uint8_t *skip_ascii(const uint8_t *p, const uint8_t *end)
{
    const uint64_t highs = 0x8080808080808080;
    uint64_t a, b;
    while (end - p >= 16) {
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        if ((a | b) & highs) {
            break;
        }
        p += 16;
    }
    while (p < end && *p < 0x80) {
        p++;
    }
    return p;
}

static bool continues(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* Bytes of the character at p, which has four to read; 0 when it is ASCII or none. */
static size_t whole_char(const uint8_t *p)
{
    if (p[0] < 0xe0) {
        return p[0] >= 0xc2 && continues(p[1]) ? 2 : 0;
    }
    if (!continues(p[1]) || !continues(p[2])) {
        return 0;
    }
    uint32_t c = (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    if (p[0] < 0xf0) {
        return c >= 0x800 && (c & 0xf800) != 0xd800 ? 3 : 0;
    }
    /* Here c lacks the last six bits. */
    return c >= 0x10000 >> 6 && c <= 0x10ffff >> 6 && continues(p[3]) ? 4 : 0;
}

uint8_t utf8_feed(uint8_t state, const uint8_t *p, size_t n)
{
    if (n == 0) {
        return state; /* p may be NULL */
    }
    const uint8_t *end = p + n;
    size_t char_n;
    while (p < end && state != UTF8_BAD) {
        if (state == UTF8_WHOLE) {
            p = skip_ascii(p, end);
            while (end - p >= 4 && (char_n = whole_char(p)) > 0) {
                p += char_n;
            }
            if (p < end) {
                state = after_lead(*p++);
            }
        } else {
            bool fits = *p >= due[state].low && *p <= due[state].high;
            state = fits ? due[state].next : UTF8_BAD;
            p++;
        }
    }
    return state;
}
