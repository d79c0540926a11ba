/* hub/schema/compile.h: from JSON to nodes.
 *
 * Every document is walked once, depth first. Each subschema becomes a node at once; what has a
 * name (a resource by $id, an anchor) is entered into maps; references only wait in a queue. When
 * the walk is over all names are known, and the queue is resolved. That may bring in more documents
 * (from the caller's resources or the metaschemas) or places that no keyword leads to; both are
 * walked the same way, until the queue is empty.
 *
 * Owns     a compiler lives for one schema_compile(); what it makes belongs to the schema.
 */
#ifndef WAGGLE_HUB_SCHEMA_COMPILE_H
#define WAGGLE_HUB_SCHEMA_COMPILE_H

#include "hub/schema/node.h"

enum { URI_BYTES_MAX = 2048, ALL_URI_BYTES_MAX = 1 << 22 };

/* A name for a place inside a resource. */
struct anchor {
    const struct node *node;
    bool dynamic;
};

/* A reference that waits. */
struct pending {
    struct pending *next;
    struct reference *reference;
    const struct node *from;
    const char *keyword; /* "$ref" or "$dynamicRef" */
    const char *text;
};

struct compiler {
    struct schema *schema;
    struct arena *arena; /* the schema's */
    const struct schema_options *options;
    struct schema_problem *problem;
    bool trusting;           /* compiling a metaschema: not held against its own metaschema */
    struct lookup nodes;     /* JSON value -> node; node, pointer below it -> node */
    struct lookup resources; /* compiler, URI -> resource */
    struct lookup anchors;   /* resource, name -> anchor */
    struct resource *all_resources;
    struct pending *first, **last;
    json_t *documents;         /* metaschemas that were parsed for this */
    const struct regex *label; /* format_label_pattern, once a format needs it */
    size_t node_count, pattern_bytes, uri_bytes, depth;
};

/* Where a subschema stands and what it inherits. */
struct origin {
    const struct node *up; /* NULL: the root of a document */
    const char *keyword;
    struct name token;
    size_t index;
    struct resource *base;  /* NULL: the root of a document */
    const char *document;   /* for a root: its URI ("" for the first) */
    struct dialect dialect; /* for a root: unless it has $schema */
};

/* compile.c. NULL and false come after compile_problem(). */
struct node *compile_node(struct compiler *c, const json_t *json, const struct origin *origin);
bool compile_problem(struct compiler *c, enum schema_rc rc, const struct node *node,
                     const char *keyword, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
const struct regex *compile_pattern(struct compiler *c, const struct node *node,
                                    const char *keyword, const char *pattern, size_t n);

/* resolve.c */
bool resolve_identity(struct compiler *c, struct node *node, const json_t *json,
                      const struct origin *origin);
void resolve_later(struct compiler *c, const struct node *from, const char *keyword,
                   const char *text, struct reference *reference);
bool resolve_pending(struct compiler *c);

/* dialect.c */
bool dialect_find(struct compiler *c, const struct node *node, const char *uri,
                  struct dialect *out);
struct dialect dialect_of_draft(enum schema_draft draft);
/* The document in options->resources, found with or without an empty fragment. */
const json_t *dialect_resource(const struct compiler *c, const char *uri);

#endif
