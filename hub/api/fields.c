#include "hub/api/fields.h"

#include "channels/json_compact.h"

int field_named(const struct field *fields, struct slice name)
{
    char first = name.n > 0 ? (char)name.p[0] : '\0';
    for (int i = 0; fields[i].kind != FIELD_NONE; i++) {
        if (fields[i].name[0] == first && slice_is(name, fields[i].name)) {
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
        /* -0 is another number in a tree, where it is whole */
        return value.p[0] != '-' && json_to_double(value, &number) && is_within(field, number);
    case FIELD_WHOLE:
        return json_kind_of(value) == JSON_KIND_NUMBER && json_to_u64(value, &whole) &&
               is_within(field, (double)whole);
    case FIELD_FLAG:
        return json_to_bool(value, &flag);
    case FIELD_DOCUMENT:
        return json_is_compact(value);
    case FIELD_GROUP:
        return json_kind_of(value) == JSON_KIND_OBJECT;
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

static bool is_in(const struct field *field, const char *group)
{
    return group ? field->in && strcmp(field->in, group) == 0 : !field->in;
}

static bool read_members(const struct field *fields, const char *group, struct slice object,
                         struct slice *out)
{
    struct json_walk walk = json_walk_of(object);
    struct slice key, value, name;
    while (json_walk_next(&walk, &key, &value)) {
        int i = json_is_plain(key, &name) ? field_named(fields, name) : -1;
        if (i < 0 || out[i].n || !is_in(&fields[i], group) || !is_as_usual(&fields[i], value) ||
            (fields[i].fits && !fields[i].fits(value))) {
            return false;
        }
        out[i] = value;
        if (fields[i].kind == FIELD_GROUP && !read_members(fields, fields[i].name, value, out)) {
            return false;
        }
    }
    return true;
}

bool fields_read(const struct field *fields, struct slice params, struct slice out[FIELDS_MAX])
{
    memset(out, 0, FIELDS_MAX * sizeof *out);
    return json_kind_of(params) == JSON_KIND_OBJECT && read_members(fields, NULL, params, out) &&
           has_needed(fields, out);
}
