/* Keywords about the items of an array. */
#include "hub/schema/keywords.h"

#include <stdlib.h>

static bool fail_count(struct run *run, const struct frame *at, const struct rule *rule,
                       const char *what)
{
    size_t bound = rule->u.count;
    return run_fail(run, at, rule->keyword, "must have %s %zu item%s, has %zu", what, bound,
                    bound == 1 ? "" : "s", json_array_size(at->instance));
}

bool check_min_items(struct run *run, const struct frame *at, const struct rule *rule)
{
    return json_array_size(at->instance) >= rule->u.count || fail_count(run, at, rule, "at least");
}

bool check_max_items(struct run *run, const struct frame *at, const struct rule *rule)
{
    return json_array_size(at->instance) <= rule->u.count || fail_count(run, at, rule, "at most");
}

static bool run_item(struct run *run, const struct node *node, const struct frame *at, size_t i)
{
    struct step step = {.kind = STEP_ITEM, .index = i};
    return meter_spend(&run->meter, 1) &&
           run_node(run, node, at, json_array_get(at->instance, i), step, NULL);
}

bool check_items(struct run *run, const struct frame *at, const struct rule *rule)
{
    const struct items *items = rule->u.items;
    size_t n = json_array_size(at->instance);
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        const struct node *node = i < items->prefix.count ? items->prefix.items[i] : items->rest;
        if (!node) {
            break;
        }
        ok = run_item(run, node, at, i) && ok;
        if (!ok && !run_goes_on(run)) {
            return false;
        }
        if (at->marks) {
            marks_add(at->marks, i);
        }
    }
    return ok;
}

bool check_contains(struct run *run, const struct frame *at, const struct rule *rule)
{
    const struct contains *contains = rule->u.contains;
    struct marks *marks = contains->annotates ? at->marks : NULL;
    size_t n = json_array_size(at->instance), count = 0;
    bool was_loud = run->loud;
    if (!marks && contains->min == 0 && contains->max == SIZE_MAX) {
        return true;
    }
    run->loud = false;
    for (size_t i = 0; i < n && !run->meter.spent; i++) {
        if (run_item(run, contains->node, at, i)) {
            count++;
            if (marks) {
                marks_add(marks, i);
            } else if (count >= contains->min && contains->max == SIZE_MAX) {
                break;
            }
        }
    }
    run->loud = was_loud;
    if (count < contains->min) {
        return run_fail(run, at, contains->min == 1 ? "contains" : "minContains",
                        "must contain at least %zu matching item%s, has %zu", contains->min,
                        contains->min == 1 ? "" : "s", count);
    }
    return count <= contains->max ||
           run_fail(run, at, "maxContains", "must contain at most %zu matching item%s, has %zu",
                    contains->max, contains->max == 1 ? "" : "s", count);
}

bool check_unevaluated_items(struct run *run, const struct frame *at, const struct rule *rule)
{
    size_t n = json_array_size(at->instance);
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        if (marks_have(at->marks, i)) {
            continue;
        }
        ok = run_item(run, rule->u.node, at, i) && ok;
        if (!ok && !run_goes_on(run)) {
            return false;
        }
    }
    marks_add_all(at->marks);
    return ok;
}

/* Items sorted by hash stand beside their equals. Whoever makes many hashes collide pays for the
 * comparisons with his own steps. */
static bool find_twins(struct run *run, const struct value_hashed *set, size_t n, size_t *a,
                       size_t *b)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n && set[j].hash == set[i].hash; j++) {
            if (value_equal(set[i].value, set[j].value, &run->meter)) {
                *a = set[i].index;
                *b = set[j].index;
                return true;
            }
            if (run->meter.spent) {
                return false;
            }
        }
    }
    return false;
}

bool check_unique(struct run *run, const struct frame *at, const struct rule *rule)
{
    enum { FEW = 32 };
    struct value_hashed few[FEW], *set = few;
    size_t n = json_array_size(at->instance), a = 0, b = 0;
    if (!rule->u.flag || n < 2) {
        return true;
    }
    if (!meter_spend(&run->meter, n)) {
        return false;
    }
    if (n > FEW && !(set = malloc(n * sizeof *set))) {
        return meter_stop(&run->meter, "needs more memory than there is");
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_array_get(at->instance, i);
        set[i] = (struct value_hashed){value_hash(item, &run->meter), item, i};
    }
    value_sort(set, n);
    bool twins = find_twins(run, set, n, &a, &b);
    if (set != few) {
        free(set);
    }
    return !twins ||
           run_fail(run, at, rule->keyword, "must have no equal items, %zu and %zu are", a, b);
}
