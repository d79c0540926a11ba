/* hub/schema/node.h: a compiled schema.
 *
 * A subschema becomes a node: a list of rules in the order in which they are applied. A rule is one
 * keyword, or a few that only make sense together ("properties" and its neighbours, "if" with
 * "then"), with what it needs already read, and the function that applies it. A reference is a
 * pointer to the node it leads to, so a schema is a graph and nothing is looked up while
 * validating.
 *
 * Owns     all of it belongs to the schema's arena, except regexes and JSON values, which it lists.
 * Threads  never changes once compiled.
 */
#ifndef WAGGLE_HUB_SCHEMA_NODE_H
#define WAGGLE_HUB_SCHEMA_NODE_H

#include "hub/schema/format.h"
#include "hub/schema/lookup.h"
#include "hub/schema/memory.h"
#include "hub/schema/number.h"
#include "hub/schema/regex.h"
#include "hub/schema/schema.h"
#include "hub/schema/value.h"

#include <stdint.h>

struct run;
struct frame;
struct rule;

/* Which rules of the specification a resource follows. */
struct dialect {
    enum schema_draft draft;
    unsigned vocabularies; /* of enum vocabulary */
    bool format_assertion; /* the vocabulary of that name is declared */
    const json_t
        *metaschema; /* one of the caller's; NULL: the draft's own. While compiling only. */
};

enum vocabulary {
    VOCABULARY_CORE = 1,
    VOCABULARY_APPLICATOR = 2,
    VOCABULARY_UNEVALUATED = 4,
    VOCABULARY_VALIDATION = 8,
    VOCABULARY_META_DATA = 16,
    VOCABULARY_FORMAT = 32,
    VOCABULARY_CONTENT = 64,
    VOCABULARY_ALL = 127,
};

struct dynamic_anchor {
    struct dynamic_anchor *next;
    const char *name;
    const struct node *node;
};

/* A schema with a URI of its own: a document, or a part of one that has "$id". */
struct resource {
    struct resource *next; /* all of a compiler's */
    const char *uri; /* absolute where it can be; without fragment; "" when nothing names it */
    const struct node *root;
    const json_t *json;   /* while compiling only */
    const char *document; /* URI of the document it stands in, for messages; "" for the root's */
    struct dialect dialect;
    bool inherits; /* the dialect is that of the resource around it */
    struct dynamic_anchor *dynamics;
};

struct name {
    const char *p;
    size_t n;
};

enum node_kind { NODE_RULES, NODE_ANYTHING, NODE_NOTHING };

enum { TRACKS_MEMBERS = 1, TRACKS_ITEMS = 2 };

struct node {
    enum node_kind kind;
    unsigned tracks; /* has unevaluatedProperties, unevaluatedItems */
    size_t rule_count;
    const struct rule *rules;
    struct resource *resource;
    /* Its place: under `up`, at /keyword, or /keyword/token, or /keyword/index. */
    const struct node *up;
    const char *keyword;
    struct name token; /* p is NULL: none */
    size_t index;      /* SIZE_MAX: none */
};

struct names {
    size_t count;
    const struct name *items;
};

struct nodes {
    size_t count;
    const struct node **items;
};

/* A member of properties, dependentSchemas, dependentRequired or dependencies. */
struct entry {
    struct name key;
    const struct node *node; /* NULL: names are required instead */
    struct names names;
};

struct entries {
    size_t count;
    const struct entry *items;
};

struct pattern_entry {
    const struct regex *regex;
    const struct node *node;
};

struct patterns {
    size_t count;
    const struct pattern_entry *items;
};

/* properties, patternProperties and additionalProperties: one walk over the instance. */
struct members {
    struct entries properties;
    struct patterns patterns;
    const struct node *rest; /* NULL: none */
    uint32_t *slots;         /* hash table of index + 1 into properties; mask + 1 of them */
    size_t mask;
};

/* The slot to begin at. The address is part of the hash: whoever sends properties cannot know which
 * names collide. */
static inline size_t members_hash(const struct members *members, const char *key, size_t n)
{
    return hash_bytes(key, n, (uint64_t)(uintptr_t)members) & members->mask;
}

/* prefixItems and items; in draft 7, items and additionalItems. */
struct items {
    struct nodes prefix;
    const struct node *rest; /* NULL: none */
};

struct contains {
    const struct node *node;
    size_t min, max; /* max SIZE_MAX: none */
    bool annotates;  /* not in draft 7 */
};

struct condition {
    const struct node *test, *then, *otherwise;
};

struct reference {
    const struct node *target;
    const char *dynamic; /* the name of a $dynamicAnchor, to be looked for from outside; or NULL */
};

struct types {
    unsigned mask;
    bool integral; /* a number without a fraction counts as an integer */
};

struct values {
    size_t count;
    const struct value_hashed *sorted;
    const json_t *list; /* as written, for messages */
};

struct format_rule {
    const struct format *format;
    const struct regex *label;
};

struct pattern_rule {
    const struct regex *regex;
    const char *text;
};

typedef bool (*rule_check)(struct run *run, const struct frame *at, const struct rule *rule);

struct rule {
    rule_check check;
    const char *keyword;
    bool decides;   /* when it fails, what the node's other rules say is noise */
    unsigned types; /* of instances it says anything about, as bits 1 << json_typeof() */
    union {
        size_t count;
        bool flag;
        struct number number;
        struct {
            struct decimal step;
            struct number shown;
        } multiple;
        const json_t *value;
        struct values values;
        struct types types;
        struct pattern_rule pattern;
        struct format_rule format;
        struct names names;
        const struct node *node;
        struct nodes nodes;
        struct entries entries;
        struct patterns patterns;
        const struct members *members;
        const struct items *items;
        const struct contains *contains;
        const struct condition *condition;
        const struct reference *reference;
    } u;
};

struct regex_link {
    struct regex_link *next;
    struct regex *regex;
};

struct schema {
    struct arena arena;
    const struct node *root;
    struct schema_limits limits;
    struct regex_link *regexes;
    json_t *values; /* copies of what const and enum hold */
};

/* Appends the URI of a place: "#/properties/a", "https://x/y#/items". keyword may be NULL. */
void node_place(struct text *out, const struct node *node, const char *keyword);

#endif
