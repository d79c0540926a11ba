/* Keywords that apply other schemas to the same instance. */
#include "hub/schema/keywords.h"

#include <string.h>

/* A reference to a schema that is being applied to this very instance already would never end. */
static bool is_loop(const struct frame *at, const struct node *target)
{
    for (; at; at = at->up) {
        if (at->node == target) {
            return true;
        }
        if (at->step.kind != STEP_STAY) {
            break;
        }
    }
    return false;
}

/* Core specification section 8.2.3.2: of the resources entered so far, the outermost that has such
 * a dynamic anchor. */
static const struct node *dynamic_target(struct run *run, const struct reference *reference,
                                         const struct frame *at)
{
    const struct node *target = reference->target;
    const struct resource *seen = NULL;
    for (; at && meter_spend(&run->meter, 1); at = at->up) {
        const struct dynamic_anchor *anchor = at->node->resource->dynamics;
        if (at->node->resource == seen) {
            continue;
        }
        seen = at->node->resource;
        for (; anchor && meter_spend(&run->meter, 1); anchor = anchor->next) {
            if (strcmp(anchor->name, reference->dynamic) == 0) {
                target = anchor->node;
            }
        }
    }
    return target;
}

bool check_reference(struct run *run, const struct frame *at, const struct rule *rule)
{
    const struct reference *reference = rule->u.reference;
    const struct node *target =
        reference->dynamic ? dynamic_target(run, reference, at) : reference->target;
    if (target->kind == NODE_RULES && is_loop(at, target)) {
        return meter_stop(&run->meter, "has a reference that leads back to itself without end");
    }
    return !run->meter.spent && run_here(run, target, at);
}

bool check_all(struct run *run, const struct frame *at, const struct rule *rule)
{
    bool ok = true;
    for (size_t i = 0; i < rule->u.nodes.count; i++) {
        ok = run_here(run, rule->u.nodes.items[i], at) && ok;
        if (!ok && !run_goes_on(run)) {
            return false;
        }
    }
    return ok;
}

/* What no alternative has evaluated would be reported once more by unevaluated*. The whole has
 * failed already, so calling everything evaluated changes no verdict. */
static void hush_unevaluated(const struct frame *at)
{
    if (at->marks) {
        marks_add_all(at->marks);
    }
}

/* Whether the node says by "type" that it is not about such a value. */
static bool rejects_type(const struct node *node, const json_t *instance)
{
    for (size_t i = 0; i < node->rule_count; i++) {
        const struct rule *rule = &node->rules[i];
        if (rule->check == check_type) {
            return !(rule->u.types.mask >> json_typeof(instance) & 1);
        }
    }
    return node->kind == NODE_NOTHING;
}

/* The only alternative that is about this type of value: its own errors say more than "none fits".
 */
static const struct node *likely(const struct nodes *nodes, const json_t *instance)
{
    const struct node *found = NULL;
    for (size_t i = 0; i < nodes->count; i++) {
        if (!rejects_type(nodes->items[i], instance)) {
            if (found) {
                return NULL;
            }
            found = nodes->items[i];
        }
    }
    return found;
}

static bool fail_alternatives(struct run *run, const struct frame *at, const struct rule *rule)
{
    const struct nodes *nodes = &rule->u.nodes;
    hush_unevaluated(at);
    if (!run_goes_on(run)) {
        return false;
    }
    const struct node *only = likely(nodes, at->instance);
    if (only && nodes->count > 1) {
        return run_here(run, only, at) && false;
    }
    return run_fail(run, at, rule->keyword, "must match %s of %zu alternatives, matches none",
                    rule->keyword[0] == 'a' ? "at least one" : "exactly one", nodes->count);
}

/* With marks every alternative that holds has something to say about what it evaluated. */
bool check_any(struct run *run, const struct frame *at, const struct rule *rule)
{
    bool ok = false;
    for (size_t i = 0; i < rule->u.nodes.count && !run->meter.spent; i++) {
        ok = run_branch(run, rule->u.nodes.items[i], at) || ok;
        if (ok && !at->marks) {
            return true;
        }
    }
    return ok || fail_alternatives(run, at, rule);
}

bool check_one(struct run *run, const struct frame *at, const struct rule *rule)
{
    size_t count = 0, matches[2] = {0};
    for (size_t i = 0; i < rule->u.nodes.count && count < 2 && !run->meter.spent; i++) {
        if (run_branch(run, rule->u.nodes.items[i], at)) {
            matches[count++] = i;
        }
    }
    if (count == 0) {
        return fail_alternatives(run, at, rule);
    }
    if (count == 2) {
        hush_unevaluated(at);
        return run_fail(run, at, rule->keyword,
                        "must match exactly one of %zu alternatives, matches those at %zu and %zu",
                        rule->u.nodes.count, matches[0], matches[1]);
    }
    return true;
}

/* What is evaluated inside "not" counts for nothing outside, whichever way it ends. */
bool check_not(struct run *run, const struct frame *at, const struct rule *rule)
{
    struct frame unmarked = *at;
    unmarked.marks = NULL;
    return !run_branch(run, rule->u.node, &unmarked) ||
           run_fail(run, at, rule->keyword, "must not match the schema in \"not\"");
}

bool check_condition(struct run *run, const struct frame *at, const struct rule *rule)
{
    const struct condition *condition = rule->u.condition;
    const struct node *next =
        run_branch(run, condition->test, at) ? condition->then : condition->otherwise;
    return !next || run_here(run, next, at);
}
