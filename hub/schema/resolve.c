/* Names and references: what $id, $anchor and $dynamicAnchor name, and where $ref and $dynamicRef
 * lead. */
#include "hub/schema/compile.h"

#include "hub/schema/metaschema.h"
#include "hub/schema/pointer.h"
#include "hub/schema/uri.h"

#include <string.h>

static const char *string_member(const json_t *json, const char *key)
{
    return json_string_value(json_object_get(json, key));
}

static bool name_resource(struct compiler *c, const char *uri, struct resource *resource)
{
    return lookup_add(&c->resources, c, uri, strlen(uri), resource);
}

static struct resource *new_resource(struct compiler *c, struct node *node, const json_t *json,
                                     const struct origin *origin)
{
    struct resource *resource = arena_new(c->arena, 1, sizeof *resource);
    resource->next = c->all_resources;
    c->all_resources = resource;
    resource->root = node;
    resource->json = json;
    resource->dialect = origin->base ? origin->base->dialect : origin->dialect;
    resource->document = origin->base ? origin->base->document : origin->document;
    resource->uri = resource->document;
    node->resource = resource;
    return resource;
}

static bool add_anchor(struct compiler *c, struct node *node, const char *keyword, const char *name,
                       bool dynamic)
{
    size_t n = strlen(name);
    name = arena_copy(c->arena, name, n);
    struct anchor *anchor = lookup_get(&c->anchors, node->resource, name, n);
    if (anchor && anchor->node != node) {
        return compile_problem(c, SCHEMA_INVALID, node, keyword,
                               "names \"%.100s\", which names another place already", name);
    }
    if (!anchor) {
        anchor = arena_new(c->arena, 1, sizeof *anchor);
        anchor->node = node;
        (void)lookup_add(&c->anchors, node->resource, name, n, anchor);
    }
    if (dynamic) {
        struct dynamic_anchor *entry = arena_new(c->arena, 1, sizeof *entry);
        *entry = (struct dynamic_anchor){node->resource->dynamics, name, node};
        node->resource->dynamics = entry;
        anchor->dynamic = true;
    }
    return true;
}

static void absolute(struct text *out, const char *base, struct uri reference)
{
    bool same =
        !reference.scheme.p && !reference.authority.p && !reference.path.n && !reference.query.p;
    if (same) {
        text_str(out, base);
    } else {
        uri_resolve(out, uri_split(base, strlen(base)), reference);
    }
}

/* The URI of a resource, kept; NULL when it or all of them are too long. */
static const char *keep_uri(struct compiler *c, struct text *uri)
{
    c->uri_bytes += uri->n;
    bool fits = uri->n <= URI_BYTES_MAX && c->uri_bytes <= ALL_URI_BYTES_MAX;
    return fits ? arena_copy(c->arena, text_c(uri), uri->n) : NULL;
}

/* $id that says more than a fragment: the subschema is a resource of its own. */
static bool open_resource(struct compiler *c, struct node *node, const struct origin *origin,
                          struct uri id)
{
    struct resource *resource = node->resource;
    const char *base = origin->base ? origin->base->uri : origin->document;
    struct text uri = {0};
    absolute(&uri, base, id);
    resource->uri = keep_uri(c, &uri);
    text_done(&uri);
    if (!resource->uri) {
        return compile_problem(c, SCHEMA_BUDGET, node, "$id", "makes a URI that is too long");
    }
    struct resource *other = lookup_get(&c->resources, c, resource->uri, strlen(resource->uri));
    if (other && other != resource && strcmp(other->document, resource->document) == 0) {
        return compile_problem(c, SCHEMA_INVALID, node, "$id",
                               "names %.200s, which names another schema already", resource->uri);
    }
    (void)name_resource(c, resource->uri, resource);
    return true;
}

static bool add_anchors(struct compiler *c, struct node *node, const json_t *json)
{
    const char *plain = string_member(json, "$anchor");
    const char *dynamic = string_member(json, "$dynamicAnchor");
    return (!plain || add_anchor(c, node, "$anchor", plain, false)) &&
           (!dynamic || add_anchor(c, node, "$dynamicAnchor", dynamic, true));
}

/* $schema counts at the root of a document and beside $id. */
static bool choose_dialect(struct compiler *c, struct node *node, const json_t *json, bool root,
                           struct dialect *dialect)
{
    const char *schema = string_member(json, "$schema");
    return !schema || (!root && !string_member(json, "$id")) ||
           dialect_find(c, node, schema, dialect);
}

/* What $id says. Draft 7: with only a fragment it is what $anchor became; beside $ref it is
 * nothing. */
struct identity {
    struct uri uri;
    bool is_resource, has_fragment;
};

static struct identity identity_of(const json_t *json, bool draft_7)
{
    struct identity identity = {0};
    bool ignored = draft_7 && json_object_get(json, "$ref");
    const char *id = ignored ? NULL : string_member(json, "$id");
    if (id) {
        identity.uri = uri_split(id, strlen(id));
        identity.has_fragment = identity.uri.fragment.p && identity.uri.fragment.n > 0;
        identity.is_resource = !identity.has_fragment || *id != '#';
    }
    return identity;
}

static void take_dialect(struct node *node, bool root, struct dialect dialect)
{
    struct resource *resource = node->resource;
    resource->inherits = !root && dialect.metaschema == resource->dialect.metaschema;
    resource->dialect = dialect;
}

bool resolve_identity(struct compiler *c, struct node *node, const json_t *json,
                      const struct origin *origin)
{
    bool root = !origin->base;
    if (json_is_object(json)) {
        (void)lookup_add(&c->nodes, json, NULL, 0, node);
    }
    if (root) {
        (void)name_resource(c, origin->document, new_resource(c, node, json, origin));
    }
    struct dialect dialect = node->resource->dialect;
    if (!choose_dialect(c, node, json, root, &dialect)) {
        return false;
    }
    bool draft_7 = dialect.draft == SCHEMA_DRAFT_7;
    struct identity identity = identity_of(json, draft_7);
    if (identity.has_fragment && !draft_7) {
        return compile_problem(c, SCHEMA_INVALID, node, "$id", "must not have a fragment");
    }
    if (identity.is_resource && !root) {
        (void)new_resource(c, node, json, origin);
    }
    if (identity.is_resource || root) {
        take_dialect(node, root, dialect);
    }
    return (!identity.is_resource || open_resource(c, node, origin, identity.uri)) &&
           (!identity.has_fragment || add_anchor(c, node, "$id", identity.uri.fragment.p, false)) &&
           (draft_7 || add_anchors(c, node, json));
}

void resolve_later(struct compiler *c, const struct node *from, const char *keyword,
                   const char *text, struct reference *reference)
{
    struct pending *pending = arena_new(c->arena, 1, sizeof *pending);
    *pending = (struct pending){NULL, reference, from, keyword, text};
    *c->last = pending;
    c->last = &pending->next;
}

static const json_t *parse_metaschema(struct compiler *c, const char *uri)
{
    const char *text = metaschema_text(uri);
    if (!text) {
        return NULL;
    }
    struct text json = {0};
    for (const char *p = text; *p; p++) {
        text_add(&json, *p == '\'' ? "\"" : p, 1);
    }
    json_t *parsed = json_loadb(json.p, json.n, 0, NULL);
    text_done(&json);
    (void)json_array_append_new(c->documents, parsed);
    return parsed;
}

/* The resource of that URI; a document that has not been walked yet is walked now. */
static struct resource *find_resource(struct compiler *c, const struct pending *p,
                                      struct text *wanted)
{
    const char *uri = text_c(wanted);
    struct resource *resource = lookup_get(&c->resources, c, uri, wanted->n);
    if (resource) {
        return resource;
    }
    const json_t *json = dialect_resource(c, uri);
    if (!json) {
        json = parse_metaschema(c, uri);
    }
    if (!json) {
        (void)compile_problem(c, SCHEMA_INVALID, p->from, p->keyword,
                              "leads to %.200s, which is not known", uri);
        return NULL;
    }
    uri = keep_uri(c, wanted);
    if (!uri) {
        (void)compile_problem(c, SCHEMA_BUDGET, p->from, p->keyword, "leads to a URI too long");
        return NULL;
    }
    struct origin origin = {
        .index = SIZE_MAX, .document = uri, .dialect = p->from->resource->dialect};
    origin.dialect.metaschema = NULL;
    return compile_node(c, json, &origin) ? lookup_get(&c->resources, c, uri, wanted->n) : NULL;
}

/* Compiles the place that the pointer leads to, though no keyword says that it is a schema; or a
 * boolean, which has no address of its own to be found by. Once for each place. */
static const struct node *compile_place(struct compiler *c, const struct node *above,
                                        const json_t *json, const char *rest)
{
    size_t n = strlen(rest);
    struct node *node = lookup_get(&c->nodes, above, rest, n);
    if (node) {
        return node;
    }
    const char *place = arena_copy(c->arena, rest, n);
    struct origin origin = {
        .up = above, .keyword = place, .index = SIZE_MAX, .base = above->resource};
    node = compile_node(c, json, &origin);
    if (node) {
        (void)lookup_add(&c->nodes, above, place, n, node);
    }
    return node;
}

/* Walks down the JSON and remembers the last subschema on the way: it says what a place in the
 * middle of nowhere belongs to. */
static const struct node *find_pointer(struct compiler *c, const struct pending *p,
                                       const struct resource *resource, const char *pointer)
{
    const json_t *json = resource->json;
    const struct node *above = resource->root;
    const char *rest = pointer; /* what is left below `above`, with its slash */
    for (const char *token = pointer; *token && json;) {
        size_t n = strcspn(++token, "/");
        json = pointer_step(json, token, n);
        token += n;
        const struct node *known = lookup_get(&c->nodes, json, NULL, 0);
        if (known) {
            above = known;
            rest = token;
        }
    }
    if (!json) {
        (void)compile_problem(c, SCHEMA_INVALID, p->from, p->keyword,
                              "leads to %.200s, where nothing is", p->text);
        return NULL;
    }
    return *rest ? compile_place(c, above, json, rest + 1) : above;
}

static const struct node *find_anchor(struct compiler *c, const struct pending *p,
                                      const struct resource *resource, struct text *name)
{
    const struct anchor *anchor = lookup_get(&c->anchors, resource, text_c(name), name->n);
    if (!anchor) {
        (void)compile_problem(c, SCHEMA_INVALID, p->from, p->keyword,
                              "leads to %.200s, but there is no such anchor", p->text);
        return NULL;
    }
    if (anchor->dynamic && strcmp(p->keyword, "$dynamicRef") == 0) {
        p->reference->dynamic = arena_copy(c->arena, text_c(name), name->n);
    }
    return anchor->node;
}

static bool resolve(struct compiler *c, const struct pending *p)
{
    struct uri reference = uri_split(p->text, strlen(p->text));
    struct text uri = {0};
    absolute(&uri, p->from->resource->uri, reference);
    const struct resource *resource = find_resource(c, p, &uri);
    text_done(&uri);
    if (!resource) {
        return false;
    }
    struct text fragment = {0};
    uri_unescape(&fragment, reference.fragment);
    bool pointer = fragment.n == 0 || fragment.p[0] == '/';
    p->reference->target = pointer ? find_pointer(c, p, resource, text_c(&fragment))
                                   : find_anchor(c, p, resource, &fragment);
    text_done(&fragment);
    return p->reference->target != NULL;
}

bool resolve_pending(struct compiler *c)
{
    for (const struct pending *p = c->first; p; p = p->next) {
        if (!resolve(c, p)) {
            return false;
        }
    }
    return true;
}
