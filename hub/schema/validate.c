#include "hub/schema/run.h"

#include "hub/schema/pointer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t word_count(size_t n)
{
    return n / 64 + 1;
}

void marks_init(struct marks *marks, size_t n, struct meter *meter)
{
    size_t words = word_count(n);
    marks->n = n;
    marks->words = marks->few;
    if (words > MARKS_INLINE) {
        marks->words = memory_resize(NULL, words * sizeof *marks->words);
        (void)meter_spend(meter, words / 8);
    }
    memset(marks->words, 0, words * sizeof *marks->words);
}

void marks_done(struct marks *marks)
{
    if (marks->words != marks->few) {
        free(marks->words);
    }
}

void marks_add_all(struct marks *marks)
{
    memset(marks->words, 0xFF, word_count(marks->n) * sizeof *marks->words);
}

void marks_merge(struct marks *to, const struct marks *from)
{
    assert(to->n == from->n);
    for (size_t i = 0; i < word_count(to->n); i++) {
        to->words[i] |= from->words[i];
    }
}

/* The path from the root's frame down to `at`. A property's name is found at the property. */
static void instance_pointer(struct text *out, const struct frame *at)
{
    if (at->up) {
        instance_pointer(out, at->up);
    }
    switch (at->step.kind) {
    case STEP_STAY:
        break;
    case STEP_MEMBER:
    case STEP_NAME:
        pointer_add_key(out, at->step.key, at->step.n);
        break;
    case STEP_ITEM:
        pointer_add_index(out, at->step.index);
        break;
    }
}

static const struct frame *name_frame(const struct frame *at)
{
    while (at && at->step.kind == STEP_STAY) {
        at = at->up;
    }
    return at && at->step.kind == STEP_NAME ? at : NULL;
}

bool run_message(struct run *run)
{
    text_clear(&run->message);
    return run_goes_on(run);
}

static void put_subject(struct text *message, const struct frame *named)
{
    struct text whole = {0};
    text_str(&whole, "name ");
    value_quote(&whole, named->step.key, named->step.n);
    text_char(&whole, ' ');
    text_add(&whole, message->p, message->n);
    text_done(message);
    *message = whole;
}

bool run_report(struct run *run, const struct frame *at, const char *keyword, const char *property)
{
    const struct frame *named = name_frame(at);
    if (named) {
        put_subject(&run->message, named);
    }
    text_clear(&run->pointer);
    text_clear(&run->place);
    instance_pointer(&run->pointer, at);
    node_place(&run->place, at->node, at->node->kind == NODE_NOTHING ? NULL : keyword);
    struct schema_error error = {
        .instance = text_c(&run->pointer),
        .keyword = keyword,
        .schema = text_c(&run->place),
        .message = text_c(&run->message),
        .property = property,
    };
    (void)meter_spend(&run->meter, 1 + (run->pointer.n + run->place.n) / 64);
    run->visit(run->ctx, &error);
    run->full = --run->errors_left == 0;
    return false;
}

bool run_fail(struct run *run, const struct frame *at, const char *keyword, const char *format, ...)
{
    if (run_message(run)) {
        va_list args;
        va_start(args, format);
        text_vformat(&run->message, format, args);
        va_end(args);
        (void)run_report(run, at, keyword, NULL);
    }
    return false;
}

/* The schema `false`: the fault is that the value is there at all, so it is told from where it is.
 */
static bool fail_nothing(struct run *run, const struct frame *at)
{
    if (!run_message(run)) {
        return false;
    }
    const char *keyword = at->node->keyword ? at->node->keyword : "false";
    const char *property = NULL;
    switch (at->step.kind) {
    case STEP_MEMBER:
        property = at->step.key;
        text_str(&run->message, "property ");
        value_quote(&run->message, at->step.key, at->step.n);
        text_char(&run->message, ' ');
        break;
    case STEP_ITEM:
        text_format(&run->message, "item %zu ", at->step.index);
        break;
    case STEP_STAY:
        keyword = "false";
        break;
    case STEP_NAME:
        break;
    }
    text_str(&run->message, "is not allowed");
    return run_report(run, at, keyword, property);
}

static bool apply_rules(struct run *run, const struct frame *at)
{
    bool ok = true;
    unsigned type = 1u << json_typeof(at->instance);
    const struct rule *rule = at->node->rules, *end = rule + at->node->rule_count;
    for (; rule < end; rule++) {
        if ((rule->types & type) && !rule->check(run, at, rule)) {
            ok = false;
            if (rule->decides || !run_goes_on(run)) {
                break;
            }
        }
    }
    return ok;
}

static size_t size_of(const json_t *instance)
{
    return json_is_object(instance) ? json_object_size(instance) : json_array_size(instance);
}

/* A node with unevaluated* counts for itself what its own keywords evaluate; what it lets through
 * is evaluated for whoever asked above. */
static bool apply_tracking(struct run *run, struct frame *at)
{
    struct marks own = {0}, *outer = at->marks;
    marks_init(&own, size_of(at->instance), &run->meter);
    at->marks = &own;
    bool ok = apply_rules(run, at);
    at->marks = outer;
    if (ok && outer) {
        marks_merge(outer, &own);
    }
    marks_done(&own);
    return ok;
}

static bool tracks(const struct node *node, const json_t *instance)
{
    return (node->tracks & TRACKS_MEMBERS && json_is_object(instance)) ||
           (node->tracks & TRACKS_ITEMS && json_is_array(instance));
}

bool run_node(struct run *run, const struct node *node, const struct frame *at,
              const json_t *instance, struct step step, struct marks *marks)
{
    if (node->kind == NODE_ANYTHING) {
        return true;
    }
    struct frame frame = {at, node, instance, marks, step};
    if (node->kind == NODE_NOTHING) {
        return fail_nothing(run, &frame);
    }
    if (!meter_spend(&run->meter, 1)) {
        return false;
    }
    if (run->depth == run->schema->limits.depth_max) {
        return meter_stop(&run->meter, "applies schemas inside one another deeper than it may");
    }
    run->depth++;
    bool ok = tracks(node, instance) ? apply_tracking(run, &frame) : apply_rules(run, &frame);
    run->depth--;
    return ok;
}

bool run_here(struct run *run, const struct node *node, const struct frame *at)
{
    return run_node(run, node, at, at->instance, (struct step){0}, at->marks);
}

bool run_branch(struct run *run, const struct node *node, const struct frame *at)
{
    bool was_loud = run->loud;
    struct marks own = {0}, *outer = at->marks;
    run->loud = false;
    if (outer) {
        marks_init(&own, outer->n, &run->meter);
    }
    bool ok = run_node(run, node, at, at->instance, (struct step){0}, outer ? &own : NULL);
    if (ok && outer) {
        marks_merge(outer, &own);
    }
    if (outer) {
        marks_done(&own);
    }
    run->loud = was_loud;
    return ok;
}

static void report_budget(struct run *run)
{
    struct schema_error error = {
        .instance = "", .keyword = "", .schema = "#", .message = run->meter.spent};
    run->visit(run->ctx, &error);
}

static enum schema_rc run_all(struct run *run, const json_t *instance)
{
    bool ok = run_node(run, run->schema->root, NULL, instance, (struct step){0}, NULL);
    regex_scratch_free(run->scratch);
    text_done(&run->pointer);
    text_done(&run->place);
    text_done(&run->message);
    /* errors_max errors that are sure are a verdict, whatever the budget says. */
    if (run->meter.spent && !run->full) {
        if (run->visit) {
            report_budget(run);
        }
        return SCHEMA_BUDGET;
    }
    return ok ? SCHEMA_OK : SCHEMA_INVALID;
}

enum schema_rc schema_verdict(const struct schema *schema, const json_t *instance)
{
    struct run run = {.schema = schema, .meter = {.steps_left = schema->limits.steps_max}};
    return run_all(&run, instance);
}

enum schema_rc schema_check(const struct schema *schema, const json_t *instance, size_t errors_max,
                            schema_visit visit, void *ctx)
{
    struct run run = {
        .schema = schema,
        .meter = {.steps_left = schema->limits.steps_max},
        .loud = true,
        .errors_left = errors_max ? errors_max : 1,
        .visit = visit,
        .ctx = ctx,
    };
    return run_all(&run, instance);
}
