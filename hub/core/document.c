#include "hub/core/document.h"

#include <math.h>

static void put(struct json_out *o, const json_t *value);

static void put_object(struct json_out *o, const json_t *object)
{
    json_t *members =
        (json_t *)(uintptr_t)object; /* reading only: jansson's iterators want it so */
    json_begin(o, '{');
    for (void *at = json_object_iter(members); at; at = json_object_iter_next(members, at)) {
        json_key(o, json_object_iter_key(at));
        put(o, json_object_iter_value(at));
    }
    json_end(o, '}');
}

static void put_array(struct json_out *o, const json_t *array)
{
    json_begin(o, '[');
    for (size_t i = 0; i < json_array_size(array); i++) {
        put(o, json_array_get(array, i));
    }
    json_end(o, ']');
}

/* A real number that happens to be whole is written as one: readers tell the two apart. */
static void put_real(struct json_out *o, double v)
{
    const double whole_max = 9007199254740992.0; /* 2^53 */
    struct buf text = {0};
    if (fabs(v) <= whole_max && v == floor(v)) {
        buf_printf(&text, "%.1f", v);
        json_raw(o, buf_slice(&text));
    } else {
        json_double(o, v);
    }
    buf_done(&text);
}

static void put(struct json_out *o, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        put_object(o, value);
        break;
    case JSON_ARRAY:
        put_array(o, value);
        break;
    case JSON_STRING:
        json_text(o, slice_of(json_string_value(value), json_string_length(value)));
        break;
    case JSON_INTEGER:
        json_i64(o, json_integer_value(value));
        break;
    case JSON_REAL:
        put_real(o, json_real_value(value));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        json_bool(o, json_is_true(value));
        break;
    case JSON_NULL:
        json_put_null(o);
        break;
    }
}

void json_put_value(struct buf *b, const json_t *value)
{
    struct json_out o = json_out_to(b);
    if (value) {
        put(&o, value);
    }
}
