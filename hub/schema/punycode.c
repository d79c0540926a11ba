/* RFC 3492: a label's ASCII characters stand first; then each other character is a number that says
 * how far to move through (position, code point), written in digits whose weight adapts. */
#include "hub/schema/format.h"

#include <string.h>

enum { BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, BIAS = 72, FIRST = 128 };
enum { LAST = 0x10FFFF };

static uint32_t adapt(uint32_t delta, uint32_t points, bool first)
{
    uint32_t k = 0;
    delta = first ? delta / DAMP : delta / 2;
    delta += delta / points;
    for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE) {
        delta /= BASE - T_MIN;
    }
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

static uint32_t threshold(uint32_t k, uint32_t bias)
{
    return k <= bias + T_MIN ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0' + 26;
    }
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'z' ? lower - 'a' : -1;
}

/* One number of variable length, added to *i. */
static bool read_delta(const char **p, const char *end, uint32_t bias, uint32_t *i)
{
    uint64_t sum = *i, weight = 1;
    for (uint32_t k = BASE;; k += BASE) {
        int digit = *p < end ? digit_value(*(*p)++) : -1;
        if (digit < 0) {
            return false;
        }
        sum += (uint64_t)digit * weight;
        uint32_t t = threshold(k, bias);
        if (sum > UINT32_MAX) {
            return false;
        }
        if ((uint32_t)digit < t) {
            *i = (uint32_t)sum;
            return true;
        }
        weight *= BASE - t;
        if (weight > UINT32_MAX) {
            return false;
        }
    }
}

bool punycode_decode(const char *text, size_t n, uint32_t *out, size_t max, size_t *out_n)
{
    size_t basic = n;
    while (basic > 0 && text[basic - 1] != '-') {
        basic--;
    }
    size_t count = basic ? basic - 1 : 0;
    if (count > max) {
        return false;
    }
    for (size_t j = 0; j < count; j++) {
        out[j] = (unsigned char)text[j];
    }
    uint32_t point = FIRST, i = 0, bias = BIAS;
    for (const char *p = text + basic, *end = text + n; p < end;) {
        uint32_t before = i;
        if (count == max || !read_delta(&p, end, bias, &i)) {
            return false;
        }
        uint32_t size = (uint32_t)count + 1;
        bias = adapt(i - before, size, before == 0);
        point += i / size;
        if (point > LAST) {
            return false;
        }
        i %= size;
        memmove(out + i + 1, out + i, (count - i) * sizeof *out);
        out[i++] = point;
        count++;
    }
    *out_n = count;
    return true;
}

static size_t delta_size(uint32_t delta, uint32_t bias)
{
    size_t digits = 1;
    for (uint32_t k = BASE;; k += BASE, digits++) {
        uint32_t t = threshold(k, bias);
        if (delta < t) {
            return digits;
        }
        delta = (delta - t) / (BASE - t);
    }
}

static uint32_t least_from(const uint32_t *points, size_t n, uint32_t from)
{
    uint32_t least = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        least = points[i] >= from && points[i] < least ? points[i] : least;
    }
    return least;
}

bool punycode_encoded_size(const uint32_t *points, size_t n, size_t *out_n)
{
    size_t basic = 0;
    for (size_t i = 0; i < n; i++) {
        basic += points[i] < FIRST;
    }
    size_t done = basic;
    size_t size = basic + (basic > 0);
    uint32_t point = FIRST, bias = BIAS;
    uint64_t delta = 0;
    while (done < n) {
        uint32_t next = least_from(points, n, point);
        delta += (uint64_t)(next - point) * (done + 1);
        point = next;
        for (size_t i = 0; i < n; i++) {
            delta += points[i] < point;
            if (delta > UINT32_MAX) {
                return false;
            }
            if (points[i] == point) {
                size += delta_size((uint32_t)delta, bias);
                bias = adapt((uint32_t)delta, (uint32_t)done + 1, done == basic);
                delta = 0;
                done++;
            }
        }
        delta++;
        point++;
    }
    *out_n = size;
    return true;
}
