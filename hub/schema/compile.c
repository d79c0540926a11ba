#include "hub/schema/compile.h"

#include "hub/schema/keywords.h"
#include "hub/schema/pointer.h"

#include <stdlib.h>
#include <string.h>

enum {
    NODES_DEFAULT = 50000,
    DEPTH_DEFAULT = 512,
    PATTERN_BYTES_DEFAULT = 4 << 20,
    STEPS_DEFAULT = 1000000,
    METASCHEMAS_MAX = 16, /* of the caller's, in one schema */
};

void node_place(struct text *out, const struct node *node, const char *keyword)
{
    if (node->up) {
        node_place(out, node->up, NULL);
        text_char(out, '/');
        text_str(out, node->keyword);
    } else {
        text_str(out, node->resource ? node->resource->document : "");
        text_char(out, '#');
    }
    if (node->token.p) {
        pointer_add_key(out, node->token.p, node->token.n);
    } else if (node->index != SIZE_MAX) {
        pointer_add_index(out, node->index);
    }
    if (keyword) {
        text_char(out, '/');
        text_str(out, keyword);
    }
}

/* Copies as much as fits, not half a character. */
static void cut(char *out, size_t size, const char *text)
{
    size_t n = strlen(text);
    if (n >= size) {
        n = size - 1;
        while (n && ((unsigned char)text[n] & 0xC0) == 0x80) {
            n--;
        }
    }
    memcpy(out, text, n);
    out[n] = '\0';
}

bool compile_problem(struct compiler *c, enum schema_rc rc, const struct node *node,
                     const char *keyword, const char *format, ...)
{
    struct text place = {0}, reason = {0};
    va_list args;
    va_start(args, format);
    text_vformat(&reason, format, args);
    va_end(args);
    if (node) {
        node_place(&place, node, keyword);
    } else {
        text_char(&place, '#');
    }
    c->problem->rc = rc;
    cut(c->problem->place, sizeof c->problem->place, text_c(&place));
    cut(c->problem->reason, sizeof c->problem->reason, text_c(&reason));
    text_done(&place);
    text_done(&reason);
    return false;
}

static struct regex *keep_regex(struct compiler *c, struct regex *regex)
{
    struct regex_link *link = arena_new(c->arena, 1, sizeof *link);
    *link = (struct regex_link){c->schema->regexes, regex};
    c->schema->regexes = link;
    return regex;
}

const struct regex *compile_pattern(struct compiler *c, const struct node *node,
                                    const char *keyword, const char *pattern, size_t n)
{
    struct text why = {0};
    struct regex *regex = regex_new(pattern, n, &why);
    if (!regex) {
        (void)compile_problem(c, SCHEMA_INVALID, node, keyword,
                              "is not a regular expression of ECMA-262: %s", text_c(&why));
    } else {
        (void)keep_regex(c, regex);
        c->pattern_bytes += regex_bytes(regex);
        if (c->pattern_bytes > c->schema->limits.pattern_bytes_max) {
            (void)compile_problem(c, SCHEMA_BUDGET, node, keyword,
                                  "makes the schema's patterns larger than they may be");
            regex = NULL;
        }
    }
    text_done(&why);
    return regex;
}

/* Draft 7: everything beside $ref is ignored, except that schemas may be kept there. */
static bool counts_beside_ref(const struct keyword *k)
{
    return strcmp(k->name, "$ref") == 0 || strcmp(k->name, "definitions") == 0;
}

static void find_keywords(struct reading *r)
{
    const struct dialect *dialect = &r->node->resource->dialect;
    bool alone = dialect->draft == SCHEMA_DRAFT_7 && json_object_get(r->json, "$ref");
    json_t *all = value_readable(r->json);
    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it)) {
        const struct keyword *k =
            keyword_find(dialect, json_object_iter_key(it), json_object_iter_key_len(it));
        if (k && (!alone || counts_beside_ref(k))) {
            r->values[k - keywords] = json_object_iter_value(it);
        }
    }
}

static bool read_keywords(struct reading *r)
{
    find_keywords(r);
    for (size_t i = 0; i < keyword_count; i++) {
        const struct keyword *k = &keywords[i];
        if (!r->values[i]) {
            continue;
        }
        struct rule *rule = arena_new(r->c->arena, 1, sizeof *rule);
        rule->check = k->check;
        rule->keyword = k->name;
        rule->types = k->types;
        if (!k->read(r, k, r->values[i], rule)) {
            return false;
        }
        r->rules[i] = rule;
    }
    return true;
}

static void join_keywords(struct reading *r)
{
    for (size_t i = 0; i < keyword_count; i++) {
        if (r->rules[i] && keywords[i].join) {
            keywords[i].join(r, r->rules[i]);
        }
    }
}

static void keep_rules(struct reading *r)
{
    size_t n = 0;
    for (size_t i = 0; i < keyword_count; i++) {
        if (r->rules[i] && r->rules[i]->check) {
            r->rules[n++] = r->rules[i];
        }
    }
    struct rule *rules = arena_new(r->c->arena, n, sizeof *rules);
    for (size_t i = 0; i < n; i++) {
        rules[i] = *r->rules[i];
    }
    r->node->rules = rules;
    r->node->rule_count = n;
    r->node->kind = n ? NODE_RULES : NODE_ANYTHING;
}

static struct node *new_node(struct compiler *c, const struct origin *origin)
{
    struct node *node = arena_new(c->arena, 1, sizeof *node);
    node->up = origin->up;
    node->keyword = origin->keyword;
    node->token = origin->token;
    node->index = origin->up ? origin->index : SIZE_MAX;
    node->resource = origin->base;
    return node;
}

static bool fill_node(struct compiler *c, struct node *node, const json_t *json)
{
    if (json_is_boolean(json)) {
        node->kind = json_is_true(json) ? NODE_ANYTHING : NODE_NOTHING;
        return true;
    }
    /* Not on the stack: this function is on it once for each level of the schema. */
    struct reading *reading = memory_resize(NULL, sizeof *reading);
    *reading = (struct reading){.c = c, .node = node, .json = json};
    bool ok = read_keywords(reading);
    if (ok) {
        join_keywords(reading);
        keep_rules(reading);
    }
    free(reading);
    return ok;
}

struct node *compile_node(struct compiler *c, const json_t *json, const struct origin *origin)
{
    struct node *node = new_node(c, origin);
    bool ok = true;
    if (++c->node_count > c->schema->limits.nodes_max) {
        ok = compile_problem(c, SCHEMA_BUDGET, node, NULL, "makes the schema too large");
    } else if (c->depth == c->schema->limits.depth_max) {
        ok = compile_problem(c, SCHEMA_BUDGET, node, NULL, "is nested too deep");
    } else if (!json_is_object(json) && !json_is_boolean(json)) {
        ok = compile_problem(c, SCHEMA_INVALID, node, NULL,
                             "a schema must be an object or a boolean, is %s", value_kind(json));
    }
    c->depth++;
    ok = ok && resolve_identity(c, node, json, origin) && fill_node(c, node, json);
    c->depth--;
    return ok ? node : NULL;
}

static size_t or_default(size_t value, size_t standard)
{
    return value ? value : standard;
}

static struct schema_limits full_limits(struct schema_limits given)
{
    return (struct schema_limits){
        .nodes_max = or_default(given.nodes_max, NODES_DEFAULT),
        .depth_max = or_default(given.depth_max, DEPTH_DEFAULT),
        .pattern_bytes_max = or_default(given.pattern_bytes_max, PATTERN_BYTES_DEFAULT),
        .steps_max = or_default(given.steps_max, STEPS_DEFAULT),
    };
}

void schema_free(struct schema *schema)
{
    if (!schema) {
        return;
    }
    for (struct regex_link *link = schema->regexes; link; link = link->next) {
        regex_free(link->regex);
    }
    json_decref(schema->values);
    arena_done(&schema->arena);
    free(schema);
}

static void compiler_done(struct compiler *c)
{
    lookup_done(&c->nodes);
    lookup_done(&c->resources);
    lookup_done(&c->anchors);
    json_decref(c->documents);
}

static struct schema *compile(const json_t *root, const struct schema_options *options,
                              struct schema_problem *problem, bool trusting);

struct misfit {
    struct compiler *c;
    const struct resource *resource;
};

static void visit_misfit(void *ctx, const struct schema_error *error)
{
    struct misfit *misfit = ctx;
    struct text at = {0};
    text_str(&at, error->instance);
    (void)compile_problem(misfit->c, SCHEMA_INVALID, misfit->resource->root,
                          at.n ? text_c(&at) + 1 : NULL, "does not fit its metaschema: %s",
                          error->message);
    text_done(&at);
}

/* A schema whose $schema is one of the caller's is held against that metaschema as well; the two
 * drafts' own are built into the readers of the keywords. */
static bool fits_metaschema(struct compiler *c, const struct resource *resource)
{
    struct schema *meta = compile(resource->dialect.metaschema, c->options, c->problem, true);
    if (!meta) {
        return false;
    }
    struct misfit misfit = {c, resource};
    enum schema_rc rc = schema_check(meta, resource->json, 1, visit_misfit, &misfit);
    schema_free(meta);
    if (rc != SCHEMA_OK) {
        c->problem->rc = rc;
    }
    return rc == SCHEMA_OK;
}

/* A resource that has its dialect from the one around it has been judged with that one. */
static bool fits_metaschemas(struct compiler *c)
{
    size_t judged = 0;
    for (const struct resource *r = c->all_resources; r && !c->trusting; r = r->next) {
        if (!r->dialect.metaschema || r->inherits) {
            continue;
        }
        if (++judged > METASCHEMAS_MAX) {
            return compile_problem(c, SCHEMA_BUDGET, r->root, "$schema",
                                   "is one metaschema more than a schema may have");
        }
        if (!fits_metaschema(c, r)) {
            return false;
        }
    }
    return true;
}

static struct schema *compile(const json_t *root, const struct schema_options *options,
                              struct schema_problem *problem, bool trusting)
{
    struct schema *schema = memory_resize(NULL, sizeof *schema);
    *schema = (struct schema){.limits = full_limits(options->limits), .values = json_array()};
    struct compiler c = {.schema = schema,
                         .arena = &schema->arena,
                         .options = options,
                         .problem = problem,
                         .trusting = trusting,
                         .documents = json_array()};
    c.last = &c.first;
    struct origin origin = {
        .index = SIZE_MAX, .document = "", .dialect = dialect_of_draft(options->draft)};
    schema->root = compile_node(&c, root, &origin);
    bool ok = schema->root && resolve_pending(&c) && fits_metaschemas(&c);
    compiler_done(&c);
    if (!ok) {
        schema_free(schema);
        return NULL;
    }
    return schema;
}

struct schema *schema_compile(const json_t *root, const struct schema_options *options,
                              struct schema_problem *out)
{
    struct schema_options standard = {0};
    struct schema_problem unseen;
    return compile(root, options ? options : &standard, out ? out : &unseen, false);
}
