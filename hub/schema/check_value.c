/* Keywords that judge one value by itself. */
#include "hub/schema/keywords.h"

#include <string.h>

static const struct {
    const char *name;
    unsigned mask;
} shown_types[] = {
    {"an object", 1u << JSON_OBJECT},   {"an array", 1u << JSON_ARRAY},
    {"a string", 1u << JSON_STRING},    {"a number", 1u << JSON_INTEGER | 1u << JSON_REAL},
    {"an integer", 1u << JSON_INTEGER}, {"a boolean", 1u << JSON_TRUE | 1u << JSON_FALSE},
    {"null", 1u << JSON_NULL},
};

static void put_types(struct text *out, unsigned mask)
{
    const char *between = "";
    for (size_t i = 0; i < sizeof shown_types / sizeof shown_types[0]; i++) {
        if ((mask & shown_types[i].mask) == shown_types[i].mask) {
            text_format(out, "%s%s", between, shown_types[i].name);
            mask &= ~shown_types[i].mask; /* a number is not an integer once more */
            between = " or ";
        }
    }
}

bool check_type(struct run *run, const struct frame *at, const struct rule *rule)
{
    const struct types *types = &rule->u.types;
    const json_t *instance = at->instance;
    if (types->mask >> json_typeof(instance) & 1) {
        return true;
    }
    if (types->integral && json_is_real(instance) && number_is_integral(number_of(instance))) {
        return true;
    }
    if (!run_message(run)) {
        return false;
    }
    text_str(&run->message, "must be ");
    put_types(&run->message, types->mask);
    text_format(&run->message, ", is %s", value_kind(instance));
    return run_report(run, at, rule->keyword, NULL);
}

bool check_constant(struct run *run, const struct frame *at, const struct rule *rule)
{
    if (value_equal(rule->u.value, at->instance, &run->meter)) {
        return true;
    }
    if (!run_message(run)) {
        return false;
    }
    text_str(&run->message, "must be ");
    value_show(&run->message, rule->u.value);
    return run_report(run, at, rule->keyword, NULL);
}

static bool in_set(const struct values *set, const json_t *value, struct meter *meter)
{
    uint64_t hash = value_hash(value, meter);
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->sorted[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < set->count && set->sorted[low].hash == hash; low++) {
        if (value_equal(set->sorted[low].value, value, meter)) {
            return true;
        }
    }
    return false;
}

bool check_enum(struct run *run, const struct frame *at, const struct rule *rule)
{
    enum { SHOWN_MAX = 12 };
    const struct values *set = &rule->u.values;
    if (in_set(set, at->instance, &run->meter)) {
        return true;
    }
    if (!run_message(run)) {
        return false;
    }
    text_str(&run->message, "must be one of ");
    for (size_t i = 0; i < set->count && i < SHOWN_MAX; i++) {
        text_str(&run->message, i ? ", " : "");
        value_show(&run->message, json_array_get(set->list, i));
    }
    text_str(&run->message, set->count > SHOWN_MAX ? ", …" : "");
    return run_report(run, at, rule->keyword, NULL);
}

static bool fail_number(struct run *run, const struct frame *at, const struct rule *rule,
                        const char *what, struct number bound)
{
    char a[NUMBER_TEXT_MAX], b[NUMBER_TEXT_MAX];
    if (!run_message(run)) {
        return false;
    }
    text_format(&run->message, "must be %s %s, is %s", what, number_text(bound, a),
                number_text(number_of(at->instance), b));
    return run_report(run, at, rule->keyword, NULL);
}

bool check_minimum(struct run *run, const struct frame *at, const struct rule *rule)
{
    return number_compare(number_of(at->instance), rule->u.number) >= 0 ||
           fail_number(run, at, rule, "at least", rule->u.number);
}

bool check_exclusive_minimum(struct run *run, const struct frame *at, const struct rule *rule)
{
    return number_compare(number_of(at->instance), rule->u.number) > 0 ||
           fail_number(run, at, rule, "more than", rule->u.number);
}

bool check_maximum(struct run *run, const struct frame *at, const struct rule *rule)
{
    return number_compare(number_of(at->instance), rule->u.number) <= 0 ||
           fail_number(run, at, rule, "at most", rule->u.number);
}

bool check_exclusive_maximum(struct run *run, const struct frame *at, const struct rule *rule)
{
    return number_compare(number_of(at->instance), rule->u.number) < 0 ||
           fail_number(run, at, rule, "less than", rule->u.number);
}

bool check_multiple(struct run *run, const struct frame *at, const struct rule *rule)
{
    enum { DECIMAL_STEPS = 16 }; /* what turning a double into digits takes */
    struct number instance = number_of(at->instance), step = rule->u.multiple.shown;
    bool ok = !instance.is_real && !step.is_real
                  ? instance.i % step.i == 0
                  : meter_spend(&run->meter, DECIMAL_STEPS) &&
                        decimal_is_multiple(number_decimal(instance), rule->u.multiple.step);
    return ok || fail_number(run, at, rule, "a multiple of", step);
}

static size_t length_of(struct run *run, const struct frame *at)
{
    size_t bytes = json_string_length(at->instance);
    (void)meter_spend(&run->meter, bytes / 64);
    return value_characters(json_string_value(at->instance), bytes);
}

static bool fail_length(struct run *run, const struct frame *at, const struct rule *rule,
                        const char *what, size_t length)
{
    size_t bound = rule->u.count;
    return run_fail(run, at, rule->keyword, "must have %s %zu character%s, has %zu", what, bound,
                    bound == 1 ? "" : "s", length);
}

/* Characters are at most as many as bytes, and at least a quarter: most lengths need no counting.
 */
bool check_min_length(struct run *run, const struct frame *at, const struct rule *rule)
{
    size_t bytes = json_string_length(at->instance);
    if (bytes / 4 >= rule->u.count) {
        return true;
    }
    size_t length = length_of(run, at);
    return length >= rule->u.count || fail_length(run, at, rule, "at least", length);
}

bool check_max_length(struct run *run, const struct frame *at, const struct rule *rule)
{
    size_t bytes = json_string_length(at->instance);
    if (bytes <= rule->u.count) {
        return true;
    }
    size_t length = length_of(run, at);
    return length <= rule->u.count || fail_length(run, at, rule, "at most", length);
}

bool check_pattern(struct run *run, const struct frame *at, const struct rule *rule)
{
    const json_t *instance = at->instance;
    return regex_match(rule->u.pattern.regex, json_string_value(instance),
                       json_string_length(instance), &run->scratch, &run->meter) ||
           run_fail(run, at, rule->keyword, "must match the pattern %.200s", rule->u.pattern.text);
}

bool check_format(struct run *run, const struct frame *at, const struct rule *rule)
{
    const struct format_rule *format = &rule->u.format;
    struct format_tools tools = {format->label, &run->scratch, &run->meter};
    size_t n = json_string_length(at->instance);
    return (meter_spend(&run->meter, n / 64) &&
            format->format->check(json_string_value(at->instance), n, &tools)) ||
           run_fail(run, at, rule->keyword, "must be a valid %s", format->format->name);
}
