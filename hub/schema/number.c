/* multipleOf is a question about the decimal that was written, not about the double nearest to it:
 * 0.0075 is a multiple of 0.0001 though no double says so. The shortest decimal that reads back as
 * the same double is the one that was written (up to 15 digits), so both sides are turned into
 * digits and exponent, and the division is done in integers. */
#include "hub/schema/number.h"

#include "hub/schema/lookup.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

struct number number_of(const json_t *json)
{
    if (json_is_integer(json)) {
        return (struct number){.i = json_integer_value(json)};
    }
    return (struct number){.is_real = true, .d = json_real_value(json)};
}

static int sign(double d)
{
    return (d > 0) - (d < 0);
}

/* i against d, without rounding i: compare whole parts, then look at the fraction of d. */
static int compare_mixed(int64_t i, double d)
{
    if (d >= 0x1p63) {
        return -1;
    }
    if (d < -0x1p63) {
        return 1;
    }
    double whole = trunc(d);
    int64_t w = (int64_t)whole;
    if (i != w) {
        return i < w ? -1 : 1;
    }
    return -sign(d - whole);
}

int number_compare(struct number a, struct number b)
{
    if (!a.is_real && !b.is_real) {
        return (a.i > b.i) - (a.i < b.i);
    }
    if (a.is_real && b.is_real) {
        return (a.d > b.d) - (a.d < b.d);
    }
    return a.is_real ? -compare_mixed(b.i, a.d) : compare_mixed(a.i, b.d);
}

bool number_is_integral(struct number a)
{
    return !a.is_real || (isfinite(a.d) && trunc(a.d) == a.d);
}

uint64_t number_hash(struct number a)
{
    if (a.is_real && number_is_integral(a) && a.d >= -0x1p63 && a.d < 0x1p63) {
        a = (struct number){.i = (int64_t)a.d};
    }
    uint64_t bits = (uint64_t)a.i;
    if (a.is_real) {
        memcpy(&bits, &a.d, sizeof bits);
    }
    return hash_mix(bits ^ UINT64_C(0x6e756d626572));
}

/* Writes d as "d.ddde±x" with the fewest digits that read back as d. */
static void shortest(double d, char *out, size_t size)
{
    for (int precision = 14; precision <= 16; precision++) {
        (void)snprintf(out, size, "%.*e", precision, d);
        if (strtod(out, NULL) == d) {
            return;
        }
    }
}

static struct decimal trimmed(uint64_t digits, int exponent)
{
    if (digits == 0) {
        return (struct decimal){0, 0};
    }
    while (digits % 10 == 0) {
        digits /= 10;
        exponent++;
    }
    return (struct decimal){digits, exponent};
}

struct decimal number_decimal(struct number a)
{
    if (!a.is_real) {
        return trimmed(a.i < 0 ? 0 - (uint64_t)a.i : (uint64_t)a.i, 0);
    }
    char text[64];
    shortest(fabs(a.d), text, sizeof text);
    uint64_t digits = 0;
    int count = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++) { /* whatever the locale puts between the digits is passed over */
        if (*p >= '0' && *p <= '9') {
            digits = digits * 10 + (uint64_t)(*p - '0');
            count++;
        }
    }
    int exponent = *p == 'e' ? (int)strtol(p + 1, NULL, 10) : 0;
    return trimmed(digits, exponent - (count - 1));
}

/* a / step = (a.digits / step.digits) * 10^k. With k < 0 it would be whole only if step.digits
 * times a power of ten divided a.digits, which has no trailing zero. */
bool decimal_is_multiple(struct decimal a, struct decimal step)
{
    if (a.digits == 0) {
        return true;
    }
    int k = a.exponent - step.exponent;
    uint64_t rest = a.digits % step.digits;
    for (; k > 0 && rest != 0; k--) {
        rest = (uint64_t)((wide)rest * 10 % step.digits);
    }
    return k >= 0 && rest == 0;
}

const char *number_text(struct number a, char out[NUMBER_TEXT_MAX])
{
    if (!a.is_real) {
        (void)snprintf(out, NUMBER_TEXT_MAX, "%lld", (long long)a.i);
        return out;
    }
    for (int precision = 15; precision <= 17; precision++) {
        (void)snprintf(out, NUMBER_TEXT_MAX, "%.*g", precision, a.d);
        if (strtod(out, NULL) == a.d) {
            break;
        }
    }
    for (char *p = out; *p; p++) { /* JSON's decimal point, whatever the locale's is */
        if (*p == ',') {
            *p = '.';
        }
    }
    return out;
}
