#include "hub/api/fields.h"

#include "channels/json_compact.h"

int field_named(const struct field *fields, struct slice name)
{
    for (int i = 0; fields[i].kind != FIELD_NONE; i++) {
        if (slice_is(name, fields[i].name)) {
            return i;
        }
    }
    return -1;
}

static bool is_within(const struct field *field, double value)
{
    return value >= field->least && value <= field->most;
}

static bool is_text(const struct field *field, struct slice value)
{
    struct slice text;
    return json_is_plain(value, &text) && is_within(field, (double)text.n);
}

static bool are_texts(const struct field *field, struct slice value)
{
    struct json_walk walk = json_walk_of(value);
    struct slice key, item;
    uint32_t n = 0;
    while (json_walk_next(&walk, &key, &item)) {
        if (n++ == field->items_max || !is_text(field, item)) {
            return false;
        }
    }
    return json_kind_of(value) == JSON_KIND_ARRAY;
}

static bool is_as_usual(const struct field *field, struct slice value)
{
    double number;
    uint64_t whole;
    bool flag;
    switch (field->kind) {
    case FIELD_NONE:
        return false;
    case FIELD_TEXT:
        return is_text(field, value);
    case FIELD_TEXTS:
        return are_texts(field, value);
    case FIELD_NUMBER:
        return json_to_double(value, &number) && is_within(field, number);
    case FIELD_WHOLE:
        return json_kind_of(value) == JSON_KIND_NUMBER && json_to_u64(value, &whole) &&
               is_within(field, (double)whole);
    case FIELD_FLAG:
        return json_to_bool(value, &flag);
    case FIELD_DOCUMENT:
        return json_is_compact(value);
    }
    return false;
}

static bool has_needed(const struct field *fields, const struct slice *values)
{
    for (int i = 0; fields[i].kind != FIELD_NONE; i++) {
        if (fields[i].needed && values[i].n == 0) {
            return false;
        }
    }
    return true;
}

bool fields_read(const struct field *fields, struct slice params, struct slice out[FIELDS_MAX])
{
    struct json_walk walk = json_walk_of(params);
    struct slice key, value, name;
    memset(out, 0, FIELDS_MAX * sizeof *out);
    while (json_walk_next(&walk, &key, &value)) {
        int i = json_is_plain(key, &name) ? field_named(fields, name) : -1;
        if (i < 0 || out[i].n || !is_as_usual(&fields[i], value) ||
            (fields[i].fits && !fields[i].fits(value))) {
            return false;
        }
        out[i] = value;
    }
    return json_kind_of(params) == JSON_KIND_OBJECT && has_needed(fields, out);
}
