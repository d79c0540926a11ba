/* Keywords about the members of an object. */
#include "hub/schema/keywords.h"

#include <string.h>

static bool fail_count(struct run *run, const struct frame *at, const struct rule *rule,
                       const char *what)
{
    size_t bound = rule->u.count;
    return run_fail(run, at, rule->keyword, "must have %s %zu propert%s, has %zu", what, bound,
                    bound == 1 ? "y" : "ies", json_object_size(at->instance));
}

bool check_min_members(struct run *run, const struct frame *at, const struct rule *rule)
{
    return json_object_size(at->instance) >= rule->u.count || fail_count(run, at, rule, "at least");
}

bool check_max_members(struct run *run, const struct frame *at, const struct rule *rule)
{
    return json_object_size(at->instance) <= rule->u.count || fail_count(run, at, rule, "at most");
}

static bool has(const json_t *object, struct name name)
{
    return json_object_getn(object, name.p, name.n) != NULL;
}

/* because: the property whose presence asks for it; or NULL. */
static bool fail_missing(struct run *run, const struct frame *at, const struct rule *rule,
                         struct name missing, const struct name *because)
{
    if (!run_message(run)) {
        return false;
    }
    text_str(&run->message, "property ");
    value_quote(&run->message, missing.p, missing.n);
    text_str(&run->message, " is required");
    if (because) {
        text_str(&run->message, " beside ");
        value_quote(&run->message, because->p, because->n);
    }
    return run_report(run, at, rule->keyword, missing.p);
}

static bool has_all(struct run *run, const struct frame *at, const struct rule *rule,
                    const struct names *names, const struct name *because)
{
    bool ok = true;
    if (!meter_spend(&run->meter, names->count)) {
        return false;
    }
    for (size_t i = 0; i < names->count; i++) {
        if (!has(at->instance, names->items[i])) {
            ok = fail_missing(run, at, rule, names->items[i], because);
            if (!run_goes_on(run)) {
                return false;
            }
        }
    }
    return ok;
}

bool check_required(struct run *run, const struct frame *at, const struct rule *rule)
{
    return has_all(run, at, rule, &rule->u.names, NULL);
}

/* dependentRequired, dependentSchemas and draft 7's mixture of both. */
bool check_dependencies(struct run *run, const struct frame *at, const struct rule *rule)
{
    bool ok = true;
    const struct entries *entries = &rule->u.entries;
    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->items[i];
        if (!meter_spend(&run->meter, 1)) {
            return false;
        }
        if (!has(at->instance, entry->key)) {
            continue;
        }
        bool fits = entry->node ? run_here(run, entry->node, at)
                                : has_all(run, at, rule, &entry->names, &entry->key);
        ok = ok && fits;
        if (!ok && !run_goes_on(run)) {
            return false;
        }
    }
    return ok;
}

bool check_member_names(struct run *run, const struct frame *at, const struct rule *rule)
{
    bool ok = true;
    json_t *object = value_readable(at->instance);
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        const char *key = json_object_iter_key(it);
        size_t n = json_object_iter_key_len(it);
        struct step step = {.kind = STEP_NAME, .key = key, .n = n};
        json_t *name = meter_spend(&run->meter, 1 + n / 64) ? json_stringn_nocheck(key, n) : NULL;
        ok = name && run_node(run, rule->u.node, at, name, step, NULL) && ok;
        json_decref(name);
        if (!ok && !run_goes_on(run)) {
            return false;
        }
    }
    return ok;
}

static const struct node *find_property(const struct members *members, const char *key, size_t n)
{
    if (members->properties.count == 0) {
        return NULL;
    }
    size_t slot = members_hash(members, key, n);
    for (; members->slots[slot]; slot = (slot + 1) & members->mask) {
        const struct entry *entry = &members->properties.items[members->slots[slot] - 1];
        if (entry->key.n == n && memcmp(entry->key.p, key, n) == 0) {
            return entry->node;
        }
    }
    return NULL;
}

/* One member against all that is said about it. *evaluated: something was. */
static bool check_member(struct run *run, const struct frame *at, const struct members *members,
                         struct step step, const json_t *value, bool *evaluated)
{
    const struct node *named = find_property(members, step.key, step.n);
    bool ok = !named || run_node(run, named, at, value, step, NULL);
    *evaluated = named != NULL;
    for (size_t i = 0; i < members->patterns.count && (ok || run_goes_on(run)); i++) {
        const struct pattern_entry *entry = &members->patterns.items[i];
        if (regex_match(entry->regex, step.key, step.n, &run->scratch, &run->meter)) {
            *evaluated = true;
            ok = run_node(run, entry->node, at, value, step, NULL) && ok;
        }
    }
    if (!*evaluated && members->rest) {
        *evaluated = true;
        ok = run_node(run, members->rest, at, value, step, NULL);
    }
    return ok;
}

bool check_members(struct run *run, const struct frame *at, const struct rule *rule)
{
    bool ok = true;
    size_t i = 0;
    json_t *object = value_readable(at->instance);
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it), i++) {
        struct step step = {.kind = STEP_MEMBER,
                            .key = json_object_iter_key(it),
                            .n = json_object_iter_key_len(it)};
        bool evaluated = false;
        ok = meter_spend(&run->meter, 1 + step.n / 64) &&
             check_member(run, at, rule->u.members, step, json_object_iter_value(it), &evaluated) &&
             ok;
        if (!ok && !run_goes_on(run)) {
            return false;
        }
        if (evaluated && at->marks) {
            marks_add(at->marks, i);
        }
    }
    return ok;
}

bool check_unevaluated_members(struct run *run, const struct frame *at, const struct rule *rule)
{
    bool ok = true;
    size_t i = 0;
    json_t *object = value_readable(at->instance);
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it), i++) {
        if (marks_have(at->marks, i)) {
            continue;
        }
        struct step step = {.kind = STEP_MEMBER,
                            .key = json_object_iter_key(it),
                            .n = json_object_iter_key_len(it)};
        ok = meter_spend(&run->meter, 1) &&
             run_node(run, rule->u.node, at, json_object_iter_value(it), step, NULL) && ok;
        if (!ok && !run_goes_on(run)) {
            return false;
        }
    }
    marks_add_all(at->marks);
    return ok;
}
