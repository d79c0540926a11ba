#include "hub/api/router.h"

#include <stdlib.h>

struct leaf {
    const struct operation *operation;
    const struct route *route;
    size_t index;
};

struct node {
    struct slice segment; /* literal text */
    bool parameter;
    enum answer_style style;
    struct leaf leaves[METHODS];
    struct node *children; /* literals before the parameter */
    struct node *next;
};

struct router {
    struct node root;
};

struct router *router_new(void)
{
    return xcalloc(1, sizeof(struct router));
}

static void free_children(struct node *node)
{
    for (struct node *child = node->children, *next; child; child = next) {
        next = child->next;
        free_children(child);
        free(child);
    }
}

void router_free(struct router *router)
{
    if (router) {
        free_children(&router->root);
        free(router);
    }
}

/* Takes the first segment off path ("/a/b" gives "a"); false when there is none. */
static bool segment_next(struct slice *path, struct slice *out)
{
    if (path->n == 0 || path->p[0] != '/') {
        return false;
    }
    size_t n = 1;
    while (n < path->n && path->p[n] != '/') {
        n++;
    }
    *out = slice_of(path->p + 1, n - 1);
    *path = slice_of(path->p + n, path->n - n);
    return true;
}

static struct node *child_get(struct node *parent, struct slice segment)
{
    bool parameter = segment.n > 2 && segment.p[0] == '{' && segment.p[segment.n - 1] == '}';
    if (parameter) {
        segment = slice_of(segment.p + 1, segment.n - 2);
    }
    struct node **link = &parent->children;
    for (; *link; link = &(*link)->next) {
        if ((*link)->parameter == parameter &&
            (parameter || slice_equal((*link)->segment, segment))) {
            return *link;
        }
        if ((*link)->parameter && !parameter) {
            break; /* literals stand before it */
        }
    }
    struct node *node = xcalloc(1, sizeof *node);
    node->segment = segment;
    node->parameter = parameter;
    node->next = *link;
    *link = node;
    return node;
}

static bool add_path(struct router *router, const char *prefix, const struct leaf *leaf)
{
    struct node *node = &router->root;
    const char *parts[2] = {prefix, leaf->route->path};
    for (size_t i = 0; i < 2; i++) {
        struct slice rest = slice_str(parts[i]), segment;
        while (segment_next(&rest, &segment)) {
            node = child_get(node, segment);
        }
        if (rest.n) {
            return false;
        }
    }
    struct leaf *place = &node->leaves[leaf->route->method];
    if (place->operation) {
        return false;
    }
    *place = *leaf;
    node->style = leaf->route->style;
    return true;
}

bool router_add(struct router *router, const struct operation *operation, size_t index,
                const struct route *route)
{
    struct leaf leaf = {.operation = operation, .route = route, .index = index};
    bool ok = add_path(router, "", &leaf);
    if (route->style == STYLE_COORDINATOR) {
        ok = ok && add_path(router, "/api/v1", &leaf);
    }
    if (slice_starts(slice_str(route->path), "/swarm/")) {
        ok = ok && add_path(router, "/v1", &leaf) && add_path(router, "/api/v1", &leaf);
    }
    return ok;
}

static bool has_leaf(const struct node *node)
{
    for (unsigned m = 0; m < METHODS; m++) {
        if (node->leaves[m].operation) {
            return true;
        }
    }
    return false;
}

/* raw divides, text is what it says: an escaped slash belongs to its segment. */
struct asked_path {
    struct slice raw, text;
};

/* The same segment off both: each escape, three bytes of raw, is one of text. */
static bool asked_next(struct asked_path *path, struct slice *out)
{
    struct slice raw;
    if (!segment_next(&path->raw, &raw)) {
        return false;
    }
    size_t n = raw.n;
    for (size_t i = 0; i < raw.n; i++) {
        n -= raw.p[i] == '%' ? 2 : 0;
    }
    *out = slice_of(path->text.p + 1, n);
    path->text = slice_of(path->text.p + 1 + n, path->text.n - 1 - n);
    return true;
}

/* Walks down; a literal is tried before the parameter, and the parameter when the literal leads
 * nowhere. */
static const struct node *walk(const struct node *node, struct asked_path path,
                               struct api_match *out)
{
    struct slice segment;
    if (path.raw.n == 0) {
        return has_leaf(node) ? node : NULL;
    }
    if (!asked_next(&path, &segment)) {
        return NULL;
    }
    for (const struct node *child = node->children; child; child = child->next) {
        size_t params = out->params_n;
        if (child->parameter) {
            if (segment.n == 0 || params == PATH_PARAMS_MAX) {
                continue;
            }
            out->values[params] = segment;
            out->params_n++;
        } else if (!slice_equal(child->segment, segment)) {
            continue;
        }
        const struct node *found = walk(child, path, out);
        if (found) {
            return found;
        }
        out->params_n = params;
    }
    return NULL;
}

/* Routes that share a place in the tree may call its parameter by different names. */
static void name_params(const struct route *route, struct api_match *out)
{
    struct slice rest = slice_str(route->path), segment;
    for (size_t n = 0; n < out->params_n && segment_next(&rest, &segment);) {
        if (segment.n > 2 && segment.p[0] == '{') {
            out->names[n++] = slice_of(segment.p + 1, segment.n - 2);
        }
    }
}

void router_match(const struct router *router, enum method method, struct slice raw,
                  struct slice text, struct api_match *out)
{
    *out = (struct api_match){0};
    const struct node *node = walk(&router->root, (struct asked_path){raw, text}, out);
    if (!node) {
        return;
    }
    out->style = node->style;
    for (unsigned m = 0; m < METHODS; m++) {
        if (node->leaves[m].operation) {
            out->allow |= 1U << m;
        }
    }
    const struct leaf *leaf = &node->leaves[method];
    out->operation = leaf->operation;
    out->route = leaf->route;
    out->index = leaf->index;
    if (leaf->route) {
        name_params(leaf->route, out);
    }
}
