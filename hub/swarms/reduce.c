#include "hub/swarms/reduce.h"
#include "hub/core/document.h"

#include <stdlib.h>

static const char *const names[REDUCERS] = {
    [REDUCE_LIST] = "list",   [REDUCE_CONCAT] = "concat", [REDUCE_SUM] = "sum",
    [REDUCE_MEAN] = "mean",   [REDUCE_MIN] = "min",       [REDUCE_MAX] = "max",
    [REDUCE_COUNT] = "count", [REDUCE_VOTE] = "vote",     [REDUCE_MERGE_OBJECT] = "merge-object",
    [REDUCE_TOP_K] = "top-k", [REDUCE_FIRST] = "first",   [REDUCE_LAST] = "last",
    [REDUCE_AGENT] = "agent", [REDUCE_MEMBER] = "member",
};

const char *reducer_name(enum reducer reducer)
{
    return names[reducer];
}

bool reducer_of(struct slice name, enum reducer *out)
{
    static const struct {
        const char *name;
        enum reducer reducer;
    } others[] = {{"merge", REDUCE_MERGE_OBJECT},
                  {"merge_object", REDUCE_MERGE_OBJECT},
                  {"top_k", REDUCE_TOP_K},
                  {"average", REDUCE_MEAN},
                  {"reduce", REDUCE_AGENT}};
    for (unsigned i = 0; i < REDUCERS; i++) {
        if (slice_is(name, names[i])) {
            *out = (enum reducer)i;
            return true;
        }
    }
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (slice_is(name, others[i].name)) {
            *out = others[i].reducer;
            return true;
        }
    }
    return false;
}

/* The values that count: the field of each result, lists taken apart. Borrowed. */
struct values {
    const json_t **list;
    size_t n, cap;
};

static void values_add(struct values *v, const json_t *value)
{
    if (v->n == v->cap) {
        v->cap = v->cap ? v->cap * 2 : 16;
        v->list = xrealloc(v->list, v->cap * sizeof(const json_t *));
    }
    v->list[v->n++] = value;
}

static const json_t *value_of(const struct reduce_rule *rule, const json_t *result)
{
    return rule->field && json_is_object(result) ? json_object_get(result, rule->field) : result;
}

static struct values flatten(const struct reduce_rule *rule, json_t *const *results, size_t n)
{
    struct values v = {0};
    for (size_t i = 0; i < n; i++) {
        const json_t *value = value_of(rule, results[i]);
        if (json_is_array(value)) {
            for (size_t j = 0; j < json_array_size(value); j++) {
                values_add(&v, json_array_get(value, j));
            }
        } else if (value && !json_is_null(value)) {
            values_add(&v, value);
        }
    }
    return v;
}

/* ---- texts and lists ---- */

static json_t *list(const struct reduce_rule *rule, json_t *const *results, size_t n)
{
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        const json_t *value = value_of(rule, results[i]);
        json_array_append_new(out, value ? json_deep_copy(value) : json_null());
    }
    return out;
}

/* Texts become one text only when each result is one: a list of texts stays a list. */
static json_t *concat(const struct reduce_rule *rule, json_t *const *results, size_t n,
                      const struct values *v)
{
    bool texts = n > 0;
    for (size_t i = 0; i < n; i++) {
        texts = texts && json_is_string(value_of(rule, results[i]));
    }
    if (texts) {
        struct buf all = {0};
        for (size_t i = 0; i < v->n; i++) {
            buf_add(&all, json_string_value(v->list[i]), json_string_length(v->list[i]));
        }
        json_t *out = json_stringn(all.p ? (const char *)all.p : "", all.n);
        buf_done(&all);
        return out;
    }
    json_t *out = json_array();
    for (size_t i = 0; i < v->n; i++) {
        json_array_append_new(out, json_deep_copy(v->list[i]));
    }
    return out;
}

static json_t *merge_objects(const struct values *v, const char **out_why)
{
    json_t *out = json_object();
    for (size_t i = 0; i < v->n; i++) {
        if (!json_is_object(v->list[i])) {
            *out_why = "a result is no object";
            json_decref(out);
            return NULL;
        }
        json_t *copy = json_deep_copy(v->list[i]);
        json_object_update(out, copy);
        json_decref(copy);
    }
    return out;
}

/* ---- numbers ---- */

struct sum {
    json_int_t whole;
    double real;
    bool is_real; /* a fraction came in, or the whole number ran over */
    double count;
};

static void sum_add(struct sum *s, const json_t *n)
{
    double v = json_number_value(n);
    s->real += v;
    if (json_is_integer(n) && !s->is_real) {
        s->is_real = __builtin_add_overflow(s->whole, json_integer_value(n), &s->whole);
    } else {
        s->is_real = true;
    }
}

static bool sum_all(const struct values *v, struct sum *out)
{
    *out = (struct sum){0};
    for (size_t i = 0; i < v->n; i++) {
        const json_t *part = json_object_get(v->list[i], "sum");
        const json_t *count = json_object_get(v->list[i], "count");
        if (json_is_number(v->list[i])) {
            sum_add(out, v->list[i]);
            out->count += 1;
        } else if (json_is_number(part) && json_is_number(count)) {
            sum_add(out, part);
            out->count += json_number_value(count);
        } else {
            return false;
        }
    }
    return true;
}

static json_t *numbers(enum reducer reducer, const struct values *v, const char **out_why)
{
    struct sum s;
    if (!sum_all(v, &s)) {
        *out_why = "a result is no number";
        return NULL;
    }
    if (reducer == REDUCE_SUM) {
        return s.is_real ? json_real(s.real) : json_integer(s.whole);
    }
    if (!(s.count > 0)) {
        *out_why = "there is no number";
        return NULL;
    }
    return json_real(s.real / s.count);
}

static int compare(const json_t *a, const json_t *b)
{
    if (json_is_string(a) && json_is_string(b)) {
        return strcmp(json_string_value(a), json_string_value(b));
    }
    if (json_is_integer(a) && json_is_integer(b)) {
        return (json_integer_value(a) > json_integer_value(b)) -
               (json_integer_value(a) < json_integer_value(b));
    }
    double x = json_number_value(a), y = json_number_value(b);
    return (x > y) - (x < y);
}

static json_t *extreme(enum reducer reducer, const struct values *v, const char **out_why)
{
    const json_t *best = NULL;
    for (size_t i = 0; i < v->n; i++) {
        if (!json_is_number(v->list[i])) {
            *out_why = "a result is no number";
            return NULL;
        }
        int order = best ? compare(v->list[i], best) : 0;
        if (!best || (reducer == REDUCE_MIN ? order < 0 : order > 0)) {
            best = v->list[i];
        }
    }
    if (!best) {
        *out_why = "there is no number";
    }
    return best ? json_deep_copy(best) : NULL;
}

/* ---- order ---- */

struct ranked {
    const json_t *value, *key;
    size_t at;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int order = compare(y->key, x->key);
    return order ? order : (x->at > y->at) - (x->at < y->at);
}

static json_t *top(const struct reduce_rule *rule, const struct values *v, const char **out_why)
{
    struct ranked *ranked = xcalloc(v->n + 1, sizeof *ranked);
    json_t *out = json_array();
    for (size_t i = 0; i < v->n; i++) {
        const json_t *key = rule->by ? json_object_get(v->list[i], rule->by) : v->list[i];
        if (!json_is_number(key)) {
            *out_why = "a result has no number to be compared by";
            json_decref(out);
            free(ranked);
            return NULL;
        }
        ranked[i] = (struct ranked){.value = v->list[i], .key = key, .at = i};
    }
    qsort(ranked, v->n, sizeof *ranked, by_rank);
    for (size_t i = 0; i < v->n && i < rule->k; i++) {
        json_array_append_new(out, json_deep_copy(ranked[i].value));
    }
    free(ranked);
    return out;
}

/* ---- votes ---- */

static char *number_key(const json_t *number)
{
    struct buf text = {0};
    json_put_value(&text, number);
    char *key = xstrndup(text.p, text.n);
    buf_done(&text);
    return key;
}

char *vote_key(const json_t *value)
{
    return json_is_string(value) ? xstrdup(json_string_value(value))
           : json_is_real(value)
               ? number_key(value)
               : json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

/* One vote a result; of options with as many votes the one that came first in the input. */
static json_t *vote(const struct reduce_rule *rule, json_t *const *results, size_t n,
                    const char **out_why)
{
    json_t *votes = json_object();
    const json_t *winner = NULL;
    json_int_t most = 0, cast = 0, ties = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *value = value_of(rule, results[i]);
        if (!value || json_is_null(value)) {
            continue; /* abstains */
        }
        char *key = vote_key(value);
        json_object_set_new(votes, key,
                            json_integer(json_integer_value(json_object_get(votes, key)) + 1));
        free(key);
        cast++;
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *value = value_of(rule, results[i]);
        if (!value || json_is_null(value)) {
            continue;
        }
        char *key = vote_key(value);
        json_int_t got = json_integer_value(json_object_get(votes, key));
        if (got > most) {
            most = got;
            winner = value;
        }
        free(key);
    }
    const char *name;
    json_t *count;
    json_object_foreach(votes, name, count)
    {
        ties += json_integer_value(count) == most;
    }
    if (!winner) {
        *out_why = "nobody voted";
        json_decref(votes);
        return NULL;
    }
    return json_pack("{s:O, s:o, s:f, s:b}", "winner", winner, "votes", votes, "confidence",
                     (double)most / (double)n, "tied", ties > 1);
}

json_t *reduce(const struct reduce_rule *rule, json_t *const *results, size_t n,
               const char **out_why)
{
    struct values v = flatten(rule, results, n);
    json_t *out = NULL;
    *out_why = "not built in";
    switch (rule->reducer) {
    case REDUCE_LIST:
        out = list(rule, results, n);
        break;
    case REDUCE_CONCAT:
        out = concat(rule, results, n, &v);
        break;
    case REDUCE_SUM:
    case REDUCE_MEAN:
        out = numbers(rule->reducer, &v, out_why);
        break;
    case REDUCE_MIN:
    case REDUCE_MAX:
        out = extreme(rule->reducer, &v, out_why);
        break;
    case REDUCE_COUNT:
        out = json_integer((json_int_t)v.n);
        break;
    case REDUCE_VOTE:
        out = vote(rule, results, n, out_why);
        break;
    case REDUCE_MERGE_OBJECT:
        out = merge_objects(&v, out_why);
        break;
    case REDUCE_TOP_K:
        out = top(rule, &v, out_why);
        break;
    case REDUCE_FIRST:
    case REDUCE_LAST:
        *out_why = "there is no result";
        out = n ? json_deep_copy(value_of(rule, results[rule->reducer == REDUCE_LAST ? n - 1 : 0]))
                : NULL;
        break;
    case REDUCE_AGENT:
    case REDUCE_MEMBER:
    case REDUCERS:
        break;
    }
    free(v.list);
    return out;
}
