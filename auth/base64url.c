/* Three bytes are four characters. What is left over, one byte or two, is two characters or three,
 * whose last bits are zero: demanding that is what makes the text of any bytes the only one. */
#include "auth/base64url.h"

static const char url_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char std_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The value of a character, or 64. */
static uint32_t value_of(uint8_t c, const char *alphabet)
{
    if (c >= 'A' && c <= 'Z') {
        return (uint32_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a' + 26);
    }
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0' + 52);
    }
    if (c == (uint8_t)alphabet[62]) {
        return 62;
    }
    return c == (uint8_t)alphabet[63] ? 63 : 64;
}

static void put(struct buf *b, struct slice bytes, const char *alphabet)
{
    uint8_t *out = buf_reserve(b, (bytes.n + 2) / 3 * 4);
    const uint8_t *start = out;
    size_t i = 0;
    for (; i + 3 <= bytes.n; i += 3) {
        uint32_t v = (uint32_t)bytes.p[i] << 16 | (uint32_t)bytes.p[i + 1] << 8 | bytes.p[i + 2];
        *out++ = (uint8_t)alphabet[v >> 18];
        *out++ = (uint8_t)alphabet[v >> 12 & 63];
        *out++ = (uint8_t)alphabet[v >> 6 & 63];
        *out++ = (uint8_t)alphabet[v & 63];
    }
    if (i < bytes.n) {
        bool two = bytes.n - i == 2;
        uint32_t v = (uint32_t)bytes.p[i] << 16 | (two ? (uint32_t)bytes.p[i + 1] << 8 : 0);
        *out++ = (uint8_t)alphabet[v >> 18];
        *out++ = (uint8_t)alphabet[v >> 12 & 63];
        if (two) {
            *out++ = (uint8_t)alphabet[v >> 6 & 63];
        }
    }
    b->n += (size_t)(out - start);
}

static bool get(struct slice text, const char *alphabet, uint8_t *out, size_t cap, size_t *out_n)
{
    size_t rest = text.n % 4, n = text.n / 4 * 3 + (rest ? rest - 1 : 0);
    if (rest == 1 || n > cap) {
        return false;
    }
    uint32_t bits = 0, bad = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint32_t v = value_of(text.p[i], alphabet);
        bad |= v; /* 64 leaves its mark */
        bits = bits << 6 | (v & 63);
        if (i % 4 == 3) {
            *out++ = (uint8_t)(bits >> 16);
            *out++ = (uint8_t)(bits >> 8);
            *out++ = (uint8_t)bits;
            bits = 0;
        }
    }
    if (rest == 2) {
        *out++ = (uint8_t)(bits >> 4);
        bad |= (bits & 15) << 7;
    } else if (rest == 3) {
        *out++ = (uint8_t)(bits >> 10);
        *out++ = (uint8_t)(bits >> 2);
        bad |= (bits & 3) << 7;
    }
    if (bad >= 64) {
        return false;
    }
    *out_n = n;
    return true;
}

void base64url_put(struct buf *b, struct slice bytes)
{
    put(b, bytes, url_alphabet);
}

bool base64url_get(struct slice text, uint8_t *out, size_t cap, size_t *out_n)
{
    return get(text, url_alphabet, out, cap, out_n);
}

void base64_put(struct buf *b, struct slice bytes)
{
    put(b, bytes, std_alphabet);
    for (size_t n = bytes.n % 3; n == 1 || n == 2; n++) {
        buf_add_str(b, "=");
    }
}

bool base64_get(struct slice text, uint8_t *out, size_t cap, size_t *out_n)
{
    if (text.n % 4 != 0) {
        return false;
    }
    for (unsigned pads = 0; pads < 2 && text.n && text.p[text.n - 1] == '='; pads++) {
        text.n--;
    }
    /* Of the last four at most two are padding, and one alone cannot be the rest. */
    return get(text, std_alphabet, out, cap, out_n);
}
