/* hub/schema/number.h: the numbers of JSON as mathematics sees them.
 *
 * An integer and a double are compared by value, exactly: 1.0 equals 1, and 2^53 + 1 is more than
 * 2^53.
 *
 * Threads  any; nothing here keeps state.
 */
#ifndef WAGGLE_HUB_SCHEMA_NUMBER_H
#define WAGGLE_HUB_SCHEMA_NUMBER_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct number {
    bool is_real;
    int64_t i; /* unless is_real */
    double d;  /* when is_real; finite */
};

struct number number_of(const json_t *json); /* json must be a number */
int number_compare(struct number a, struct number b);
bool number_is_integral(struct number a);
uint64_t number_hash(struct number a); /* equal numbers have equal hashes */

/* digits * 10^exponent, digits without trailing zeros (0 is 0 * 10^0); the sign is dropped. */
struct decimal {
    uint64_t digits;
    int exponent;
};
struct decimal number_decimal(struct number a);
/* Whether a is a whole multiple of step, which is not 0. */
bool decimal_is_multiple(struct decimal a, struct decimal step);

enum { NUMBER_TEXT_MAX = 40 };
const char *number_text(struct number a, char out[NUMBER_TEXT_MAX]); /* as JSON writes it */

#endif
