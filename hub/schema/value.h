/* hub/schema/value.h: JSON values compared, hashed and written as JSON Schema sees them.
 *
 * Equal means mathematically equal: numbers by value, objects whatever their order.
 * Threads  any; values are only read.       Limits  every value visited costs the meter a step.
 */
#ifndef WAGGLE_HUB_SCHEMA_VALUE_H
#define WAGGLE_HUB_SCHEMA_VALUE_H

#include "hub/schema/memory.h"
#include "hub/schema/meter.h"

#include <jansson.h>
#include <stdint.h>

/* jansson's readers take values that are not const. This is the one place that says they only read.
 */
static inline json_t *value_readable(const json_t *json)
{
    union {
        const json_t *in;
        json_t *out;
    } same = {.in = json};
    return same.out;
}

bool value_equal(const json_t *a, const json_t *b, struct meter *meter);
uint64_t value_hash(const json_t *json, struct meter *meter); /* equal values, equal hashes */

/* A set for enum: hashes in order beside the values they belong to. */
struct value_hashed {
    uint64_t hash;
    const json_t *value;
    size_t index; /* before sorting */
};
void value_sort(struct value_hashed *set, size_t n);

/* Short JSON for a message: scalars as they are (long strings cut), others as "an object". */
void value_show(struct text *out, const json_t *json);
/* A string between quotes, cut to some 60 characters. */
void value_quote(struct text *out, const char *bytes, size_t n);
const char *value_kind(const json_t *json); /* "an integer" */
size_t value_characters(const char *utf8, size_t n);

#endif
