#include "hub/schema/value.h"

#include "hub/schema/lookup.h"
#include "hub/schema/number.h"

#include <stdlib.h>
#include <string.h>

enum { VALUE_DEPTH_MAX = 2048, QUOTE_BYTES_MAX = 60 };

static bool equal_at(const json_t *a, const json_t *b, struct meter *meter, unsigned depth);

static bool equal_arrays(const json_t *a, const json_t *b, struct meter *meter, unsigned depth)
{
    size_t n = json_array_size(a);
    if (n != json_array_size(b)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!equal_at(json_array_get(a, i), json_array_get(b, i), meter, depth)) {
            return false;
        }
    }
    return true;
}

static bool equal_objects(const json_t *a, const json_t *b, struct meter *meter, unsigned depth)
{
    if (json_object_size(a) != json_object_size(b)) {
        return false;
    }
    json_t *all = value_readable(a);
    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it)) {
        (void)meter_spend(meter, json_object_iter_key_len(it) / 64);
        const json_t *other =
            json_object_getn(b, json_object_iter_key(it), json_object_iter_key_len(it));
        if (!other || !equal_at(json_object_iter_value(it), other, meter, depth)) {
            return false;
        }
    }
    return true;
}

static bool equal_at(const json_t *a, const json_t *b, struct meter *meter, unsigned depth)
{
    if (!meter_spend(meter, 1)) {
        return false;
    }
    if (depth == 0) {
        return meter_stop(meter, "nests deeper than can be compared");
    }
    if (json_is_number(a) && json_is_number(b)) {
        return number_compare(number_of(a), number_of(b)) == 0;
    }
    if (json_typeof(a) != json_typeof(b)) {
        return false;
    }
    switch (json_typeof(a)) {
    case JSON_OBJECT:
        return equal_objects(a, b, meter, depth - 1);
    case JSON_ARRAY:
        return equal_arrays(a, b, meter, depth - 1);
    case JSON_STRING:
        return json_string_length(a) == json_string_length(b) &&
               meter_spend(meter, json_string_length(a) / 64) &&
               memcmp(json_string_value(a), json_string_value(b), json_string_length(a)) == 0;
    case JSON_INTEGER:
    case JSON_REAL:
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return true;
}

bool value_equal(const json_t *a, const json_t *b, struct meter *meter)
{
    return equal_at(a, b, meter, VALUE_DEPTH_MAX);
}

static uint64_t hash_at(const json_t *json, struct meter *meter, unsigned depth);

/* Members are summed, so that their order does not count. */
static uint64_t hash_object(const json_t *json, struct meter *meter, unsigned depth)
{
    uint64_t sum = json_object_size(json);
    json_t *all = value_readable(json);
    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it)) {
        (void)meter_spend(meter, json_object_iter_key_len(it) / 64);
        uint64_t key = hash_bytes(json_object_iter_key(it), json_object_iter_key_len(it), 1);
        sum += hash_mix(key ^ hash_at(json_object_iter_value(it), meter, depth));
    }
    return hash_mix(sum ^ UINT64_C(0x6f626a656374));
}

static uint64_t hash_array(const json_t *json, struct meter *meter, unsigned depth)
{
    size_t n = json_array_size(json);
    uint64_t hash = hash_mix(n ^ UINT64_C(0x6172726179));
    for (size_t i = 0; i < n; i++) {
        hash = hash_mix(hash ^ hash_at(json_array_get(json, i), meter, depth));
    }
    return hash;
}

static uint64_t hash_at(const json_t *json, struct meter *meter, unsigned depth)
{
    if (!meter_spend(meter, 1)) {
        return 0;
    }
    if (depth == 0) {
        (void)meter_stop(meter, "nests deeper than can be compared");
        return 0;
    }
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return hash_object(json, meter, depth - 1);
    case JSON_ARRAY:
        return hash_array(json, meter, depth - 1);
    case JSON_STRING:
        (void)meter_spend(meter, json_string_length(json) / 64);
        return hash_bytes(json_string_value(json), json_string_length(json), 2);
    case JSON_INTEGER:
    case JSON_REAL:
        return number_hash(number_of(json));
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    return hash_mix((uint64_t)json_typeof(json));
}

uint64_t value_hash(const json_t *json, struct meter *meter)
{
    return hash_at(json, meter, VALUE_DEPTH_MAX);
}

static int by_hash(const void *a, const void *b)
{
    const struct value_hashed *x = a, *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return (x->index > y->index) - (x->index < y->index);
}

void value_sort(struct value_hashed *set, size_t n)
{
    qsort(set, n, sizeof *set, by_hash);
}

void value_quote(struct text *out, const char *bytes, size_t n)
{
    size_t shown = n;
    if (shown > QUOTE_BYTES_MAX) {
        shown = QUOTE_BYTES_MAX;
        while (shown && ((unsigned char)bytes[shown] & 0xC0) == 0x80) {
            shown--; /* not in the middle of a character */
        }
    }
    text_char(out, '"');
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c < 0x20 || c == 0x7F) {
            text_format(out, "\\u%04x", c);
        } else {
            text_char(out, bytes[i]);
        }
    }
    text_str(out, shown < n ? "…\"" : "\"");
}

void value_show(struct text *out, const json_t *json)
{
    char number[NUMBER_TEXT_MAX];
    switch (json_typeof(json)) {
    case JSON_STRING:
        value_quote(out, json_string_value(json), json_string_length(json));
        return;
    case JSON_INTEGER:
    case JSON_REAL:
        text_str(out, number_text(number_of(json), number));
        return;
    case JSON_TRUE:
        text_str(out, "true");
        return;
    case JSON_FALSE:
        text_str(out, "false");
        return;
    case JSON_NULL:
        text_str(out, "null");
        return;
    case JSON_OBJECT:
        text_str(out, json_object_size(json) ? "a certain object" : "{}");
        return;
    case JSON_ARRAY:
        text_str(out, json_array_size(json) ? "a certain array" : "[]");
        return;
    }
}

const char *value_kind(const json_t *json)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object",   [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer", [JSON_REAL] = "a number",  [JSON_TRUE] = "a boolean",
        [JSON_FALSE] = "a boolean",    [JSON_NULL] = "null",
    };
    return kinds[json_typeof(json)];
}

size_t value_characters(const char *utf8, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        count += ((unsigned char)utf8[i] & 0xC0) != 0x80;
    }
    return count;
}
