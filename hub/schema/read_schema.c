/* Keywords that hold schemas, and the joining of keywords that make one rule together. */
#include "hub/schema/keywords.h"

#include <string.h>

static bool wrong(struct reading *r, const struct keyword *k, const char *reason)
{
    return compile_problem(r->c, SCHEMA_INVALID, r->node, k->name, "%s", reason);
}

static struct origin origin_of(const struct reading *r, const struct keyword *k)
{
    return (struct origin){
        .up = r->node, .keyword = k->name, .index = SIZE_MAX, .base = r->node->resource};
}

bool read_schema(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
{
    struct origin origin = origin_of(r, k);
    rule->u.node = compile_node(r->c, value, &origin);
    return rule->u.node != NULL;
}

bool read_schemas(struct reading *r, const struct keyword *k, const json_t *value,
                  struct rule *rule)
{
    size_t n = json_array_size(value);
    if (n == 0) {
        return wrong(r, k, "must be an array of at least one schema");
    }
    const struct node **items = arena_new(r->c->arena, n, sizeof(void *));
    struct origin origin = origin_of(r, k);
    for (size_t i = 0; i < n; i++) {
        origin.index = i;
        items[i] = compile_node(r->c, json_array_get(value, i), &origin);
        if (!items[i]) {
            return false;
        }
    }
    rule->u.nodes = (struct nodes){n, items};
    return true;
}

/* Draft 7's "items". What is one schema is kept as such: count 0. */
bool read_schema_or_schemas(struct reading *r, const struct keyword *k, const json_t *value,
                            struct rule *rule)
{
    if (json_is_array(value)) {
        return read_schemas(r, k, value, rule);
    }
    struct rule single = {0};
    const struct node **item = arena_new(r->c->arena, 1, sizeof(void *));
    bool ok = read_schema(r, k, value, &single);
    *item = single.u.node;
    rule->u.nodes = (struct nodes){0, item};
    return ok;
}

static struct name keep_key(struct reading *r, void *it)
{
    size_t n = json_object_iter_key_len(it);
    return (struct name){arena_copy(r->c->arena, json_object_iter_key(it), n), n};
}

static const struct node *read_member(struct reading *r, const struct keyword *k, struct name key,
                                      const json_t *value)
{
    struct origin origin = origin_of(r, k);
    origin.token = key;
    return compile_node(r->c, value, &origin);
}

bool read_schema_map(struct reading *r, const struct keyword *k, const json_t *value,
                     struct rule *rule)
{
    if (!json_is_object(value)) {
        return wrong(r, k, "must be an object of schemas");
    }
    struct entry *entries = arena_new(r->c->arena, json_object_size(value), sizeof *entries);
    size_t n = 0;
    json_t *all = value_readable(value);
    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it), n++) {
        entries[n].key = keep_key(r, it);
        entries[n].node = read_member(r, k, entries[n].key, json_object_iter_value(it));
        if (!entries[n].node) {
            return false;
        }
    }
    rule->u.entries = (struct entries){n, entries};
    return true;
}

bool read_pattern_map(struct reading *r, const struct keyword *k, const json_t *value,
                      struct rule *rule)
{
    if (!json_is_object(value)) {
        return wrong(r, k, "must be an object of schemas");
    }
    struct pattern_entry *items = arena_new(r->c->arena, json_object_size(value), sizeof *items);
    size_t n = 0;
    json_t *all = value_readable(value);
    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it), n++) {
        struct name key = keep_key(r, it);
        items[n].regex = compile_pattern(r->c, r->node, k->name, key.p, key.n);
        items[n].node = items[n].regex ? read_member(r, k, key, json_object_iter_value(it)) : NULL;
        if (!items[n].node) {
            return false;
        }
    }
    rule->u.patterns = (struct patterns){n, items};
    return true;
}

/* Each member is a schema or a list of names. */
bool read_dependencies(struct reading *r, const struct keyword *k, const json_t *value,
                       struct rule *rule)
{
    if (!json_is_object(value)) {
        return wrong(r, k, "must be an object of schemas or arrays of strings");
    }
    struct entry *entries = arena_new(r->c->arena, json_object_size(value), sizeof *entries);
    size_t n = 0;
    json_t *all = value_readable(value);
    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it), n++) {
        const json_t *member = json_object_iter_value(it);
        struct rule names = {0};
        entries[n].key = keep_key(r, it);
        if (json_is_array(member)) {
            if (!read_names(r, k, member, &names)) {
                return false;
            }
            entries[n].names = names.u.names;
            continue;
        }
        entries[n].node = read_member(r, k, entries[n].key, member);
        if (!entries[n].node) {
            return false;
        }
    }
    rule->u.entries = (struct entries){n, entries};
    return true;
}

/* Open addressing over the names in "properties", at most half full. */
static void index_properties(struct reading *r, struct members *members)
{
    size_t cap = 4;
    while (cap < members->properties.count * 2) {
        cap *= 2;
    }
    members->mask = cap - 1;
    members->slots = arena_new(r->c->arena, cap, sizeof *members->slots);
    for (size_t i = 0; i < members->properties.count; i++) {
        struct name key = members->properties.items[i].key;
        size_t slot = members_hash(members, key.p, key.n);
        while (members->slots[slot]) {
            slot = (slot + 1) & members->mask;
        }
        members->slots[slot] = (uint32_t)i + 1;
    }
}

/* Called for the first of the three that is present; takes the others away. */
void join_members(struct reading *r, struct rule *rule)
{
    static const char *const names[] = {"properties", "patternProperties", "additionalProperties"};
    struct members *members = arena_new(r->c->arena, 1, sizeof *members);
    const struct rule *found[3];
    for (size_t i = 0; i < 3; i++) {
        found[i] = reading_rule(r, names[i]);
        if (found[i] && found[i] != rule) {
            (void)reading_take(r, names[i]);
        }
    }
    if (found[0]) {
        members->properties = found[0]->u.entries;
    }
    if (found[1]) {
        members->patterns = found[1]->u.patterns;
    }
    members->rest = found[2] ? found[2]->u.node : NULL;
    index_properties(r, members);
    rule->u.members = members;
}

void join_items(struct reading *r, struct rule *rule)
{
    struct items *items = arena_new(r->c->arena, 1, sizeof *items);
    const struct rule *prefix = reading_rule(r, "prefixItems");
    const struct rule *rest = reading_rule(r, "items");
    if (prefix) {
        items->prefix = prefix->u.nodes;
    }
    items->rest = rest ? rest->u.node : NULL;
    if (prefix && rest) {
        (void)reading_take(r, rule == prefix ? "items" : "prefixItems");
    }
    rule->u.items = items;
}

/* additionalItems means something only beside a list. */
void join_items_draft_7(struct reading *r, struct rule *rule)
{
    struct items *items = arena_new(r->c->arena, 1, sizeof *items);
    const struct rule *rest = reading_rule(r, "additionalItems");
    if (rule->u.nodes.count == 0) {
        items->rest = rule->u.nodes.items[0];
    } else {
        items->prefix = rule->u.nodes;
        items->rest = rest ? rest->u.node : NULL;
    }
    rule->u.items = items;
}

void join_contains(struct reading *r, struct rule *rule)
{
    struct contains *contains = arena_new(r->c->arena, 1, sizeof *contains);
    const struct rule *min = reading_rule(r, "minContains");
    const struct rule *max = reading_rule(r, "maxContains");
    contains->node = rule->u.node;
    contains->min = min ? min->u.count : 1;
    contains->max = max ? max->u.count : SIZE_MAX;
    contains->annotates = r->node->resource->dialect.draft != SCHEMA_DRAFT_7;
    rule->u.contains = contains;
}

void join_condition(struct reading *r, struct rule *rule)
{
    struct condition *condition = arena_new(r->c->arena, 1, sizeof *condition);
    const struct rule *then = reading_rule(r, "then");
    const struct rule *otherwise = reading_rule(r, "else");
    condition->test = rule->u.node;
    condition->then = then ? then->u.node : NULL;
    condition->otherwise = otherwise ? otherwise->u.node : NULL;
    rule->u.condition = condition;
}

void join_unevaluated_members(struct reading *r, struct rule *rule)
{
    (void)rule;
    r->node->tracks |= TRACKS_MEMBERS;
}

void join_unevaluated_items(struct reading *r, struct rule *rule)
{
    (void)rule;
    r->node->tracks |= TRACKS_ITEMS;
}
