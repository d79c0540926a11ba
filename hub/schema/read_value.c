/* Keywords whose value is no schema: its shape is checked as the metaschema would, and kept. */
#include "hub/schema/keywords.h"

#include <string.h>

static bool wrong(struct reading *r, const struct keyword *k, const char *reason)
{
    return compile_problem(r->c, SCHEMA_INVALID, r->node, k->name, "%s", reason);
}

bool read_anything(struct reading *r, const struct keyword *k, const json_t *value,
                   struct rule *rule)
{
    (void)r, (void)k, (void)value, (void)rule;
    return true;
}

bool read_text(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
{
    (void)rule;
    return json_is_string(value) || wrong(r, k, "must be a string");
}

bool read_boolean(struct reading *r, const struct keyword *k, const json_t *value,
                  struct rule *rule)
{
    rule->u.flag = json_is_true(value);
    return json_is_boolean(value) || wrong(r, k, "must be a boolean");
}

bool read_list(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
{
    (void)rule;
    return json_is_array(value) || wrong(r, k, "must be an array");
}

/* 2.0 is an integer too. */
bool read_count(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
{
    static const struct number zero = {0};
    if (!json_is_number(value) || !number_is_integral(number_of(value)) ||
        number_compare(number_of(value), zero) < 0) {
        return wrong(r, k, "must be an integer, 0 or more");
    }
    struct number n = number_of(value);
    if (n.is_real) {
        rule->u.count = n.d < 0x1p63 ? (size_t)n.d : SIZE_MAX;
    } else {
        rule->u.count = (size_t)n.i;
    }
    return true;
}

bool read_number(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
{
    if (!json_is_number(value)) {
        return wrong(r, k, "must be a number");
    }
    rule->u.number = number_of(value);
    return true;
}

bool read_multiple(struct reading *r, const struct keyword *k, const json_t *value,
                   struct rule *rule)
{
    static const struct number zero = {0};
    if (!json_is_number(value) || number_compare(number_of(value), zero) <= 0) {
        return wrong(r, k, "must be a number above 0");
    }
    rule->u.multiple.shown = number_of(value);
    rule->u.multiple.step = number_decimal(number_of(value));
    return true;
}

/* clang-format off */
static const struct {
    const char *name;
    unsigned mask;
    bool integral;
} type_names[] = {
    {"null",    1u << JSON_NULL,                       false},
    {"boolean", 1u << JSON_TRUE | 1u << JSON_FALSE,    false},
    {"object",  1u << JSON_OBJECT,                     false},
    {"array",   1u << JSON_ARRAY,                      false},
    {"number",  1u << JSON_INTEGER | 1u << JSON_REAL,  false},
    {"string",  1u << JSON_STRING,                     false},
    {"integer", 1u << JSON_INTEGER,                    true},
};
/* clang-format on */

/* False for a name that is unknown or stood before; seen has a bit for each row. */
static bool add_type(struct types *types, const json_t *name, unsigned *seen)
{
    const char *text = json_string_value(name);
    for (size_t i = 0; text && i < sizeof type_names / sizeof type_names[0]; i++) {
        if (strcmp(type_names[i].name, text) == 0) {
            types->mask |= type_names[i].mask;
            types->integral = types->integral || type_names[i].integral;
            bool twice = *seen >> i & 1;
            *seen |= 1u << i;
            return !twice;
        }
    }
    return false;
}

bool read_type(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
{
    unsigned seen = 0;
    rule->decides = true;
    bool ok = json_array_size(value) > 0;
    if (json_is_string(value)) {
        ok = add_type(&rule->u.types, value, &seen);
    }
    for (size_t i = 0; ok && i < json_array_size(value); i++) {
        ok = add_type(&rule->u.types, json_array_get(value, i), &seen);
    }
    return ok || wrong(r, k,
                       "must be one of null, boolean, object, array, number, string, integer, or a "
                       "list of some of them");
}

/* The schema keeps a copy: the caller's JSON may go away. */
static const json_t *keep_value(struct reading *r, const json_t *value)
{
    json_t *copy = json_deep_copy(value_readable(value));
    return json_array_append_new(r->c->schema->values, copy) == 0 ? copy : NULL;
}

bool read_constant(struct reading *r, const struct keyword *k, const json_t *value,
                   struct rule *rule)
{
    rule->u.value = keep_value(r, value);
    return rule->u.value || wrong(r, k, "nests too deep to be kept");
}

bool read_enum(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
{
    if (!json_is_array(value)) {
        return wrong(r, k, "must be an array");
    }
    const json_t *list = keep_value(r, value);
    if (!list) {
        return wrong(r, k, "nests too deep to be kept");
    }
    struct meter meter = {.steps_left = SIZE_MAX};
    size_t n = json_array_size(list);
    struct value_hashed *set = arena_new(r->c->arena, n, sizeof *set);
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(list, i);
        set[i] = (struct value_hashed){value_hash(item, &meter), item, i};
    }
    value_sort(set, n);
    rule->u.values = (struct values){n, set, list};
    return true;
}

bool read_pattern(struct reading *r, const struct keyword *k, const json_t *value,
                  struct rule *rule)
{
    if (!json_is_string(value)) {
        return wrong(r, k, "must be a string");
    }
    const char *text = json_string_value(value);
    size_t n = json_string_length(value);
    rule->u.pattern.regex = compile_pattern(r->c, r->node, k->name, text, n);
    rule->u.pattern.text = arena_copy(r->c->arena, text, n);
    return rule->u.pattern.regex != NULL;
}

/* An unknown format, and any that is not to be asserted, applies nothing. */
bool read_format(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
{
    if (!json_is_string(value)) {
        return wrong(r, k, "must be a string");
    }
    const struct format *format = format_find(json_string_value(value), json_string_length(value));
    if (!format ||
        !(r->c->options->assert_formats || r->node->resource->dialect.format_assertion)) {
        rule->check = NULL;
        return true;
    }
    if (format->needs_label && !r->c->label) {
        r->c->label = compile_pattern(r->c, r->node, k->name, format_label_pattern,
                                      strlen(format_label_pattern));
        if (!r->c->label) {
            return false;
        }
    }
    rule->u.format = (struct format_rule){format, r->c->label};
    return true;
}

static struct name keep_name(struct reading *r, const json_t *string)
{
    size_t n = json_string_length(string);
    return (struct name){arena_copy(r->c->arena, json_string_value(string), n), n};
}

/* An array of different strings. */
static bool read_name_list(struct reading *r, const json_t *value, struct names *out)
{
    size_t n = json_array_size(value);
    if (!json_is_array(value)) {
        return false;
    }
    struct name *items = arena_new(r->c->arena, n, sizeof *items);
    struct lookup seen = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        const json_t *item = json_array_get(value, i);
        ok = json_is_string(item);
        if (ok) {
            items[i] = keep_name(r, item);
            ok = lookup_add(&seen, NULL, items[i].p, items[i].n, &items[i]);
        }
    }
    lookup_done(&seen);
    *out = (struct names){n, items};
    return ok;
}

bool read_names(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
{
    return read_name_list(r, value, &rule->u.names) ||
           wrong(r, k, "must be an array of strings that differ");
}

bool read_names_map(struct reading *r, const struct keyword *k, const json_t *value,
                    struct rule *rule)
{
    if (!json_is_object(value)) {
        return wrong(r, k, "must be an object of arrays of strings");
    }
    struct entry *entries = arena_new(r->c->arena, json_object_size(value), sizeof *entries);
    size_t n = 0;
    json_t *all = value_readable(value);
    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it), n++) {
        size_t key_n = json_object_iter_key_len(it);
        entries[n].key =
            (struct name){arena_copy(r->c->arena, json_object_iter_key(it), key_n), key_n};
        if (!read_name_list(r, json_object_iter_value(it), &entries[n].names)) {
            return wrong(r, k, "must be an object of arrays of strings that differ");
        }
    }
    rule->u.entries = (struct entries){n, entries};
    return true;
}

/* Core specification section 8.2.2: ^[A-Za-z_][-A-Za-z0-9._]*$ */
bool read_anchor(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
{
    static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
    static const char later[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-.0123456789";
    (void)rule;
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    bool ok = strspn(text, first) > 0 && strspn(text, later) == json_string_length(value);
    return ok || wrong(r, k,
                       "must be a name of letters, digits, _, - and ., not starting with "
                       "a digit, - or .");
}

bool read_vocabulary(struct reading *r, const struct keyword *k, const json_t *value,
                     struct rule *rule)
{
    (void)rule;
    bool ok = json_is_object(value);
    json_t *all = value_readable(value);
    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it)) {
        ok = ok && json_is_boolean(json_object_iter_value(it));
    }
    return ok || wrong(r, k, "must be an object of booleans");
}

bool read_reference(struct reading *r, const struct keyword *k, const json_t *value,
                    struct rule *rule)
{
    if (!json_is_string(value)) {
        return wrong(r, k, "must be a string");
    }
    struct reference *reference = arena_new(r->c->arena, 1, sizeof *reference);
    resolve_later(r->c, r->node, k->name, json_string_value(value), reference);
    rule->u.reference = reference;
    return true;
}
