/* hub/schema/keywords.h: the table of all keywords, and what reads and applies them.
 *
 * The order of the table is the order in which rules are applied: references first, cheap
 * judgements next, what looks inside the instance then, and unevaluated* last because they need all
 * the others. Reading a keyword is also what the metaschema says of it: a value of the wrong shape
 * is refused.
 */
#ifndef WAGGLE_HUB_SCHEMA_KEYWORDS_H
#define WAGGLE_HUB_SCHEMA_KEYWORDS_H

#include "hub/schema/compile.h"
#include "hub/schema/run.h"

enum { KEYWORDS_MAX = 72 };

enum { IN_DRAFT_7 = 1, IN_2020_12 = 2, IN_BOTH = 3 };

/* One subschema while its keywords are read. */
struct reading {
    struct compiler *c;
    struct node *node;
    const json_t *json;
    const json_t *values[KEYWORDS_MAX]; /* by row of the table; NULL: absent */
    struct rule *rules[KEYWORDS_MAX];   /* the same; also NULL when taken up by another */
};

struct keyword {
    const char *name;
    unsigned drafts;
    unsigned vocabulary;
    /* Checks the shape of the value and fills the rule; false after compile_problem(). */
    bool (*read)(struct reading *r, const struct keyword *k, const json_t *value,
                 struct rule *rule);
    unsigned types;
    rule_check check; /* NULL: applies nothing by itself */
    /* After all keywords are read: takes up the neighbours that belong to it. May be NULL. */
    void (*join)(struct reading *r, struct rule *rule);
};

extern const struct keyword keywords[];
extern const size_t keyword_count;

/* The row of that name which the dialect knows; NULL: unknown keyword. */
const struct keyword *keyword_find(const struct dialect *dialect, const char *name, size_t n);
/* The rule that was read for the keyword of that name, or NULL; take also removes it. */
struct rule *reading_rule(const struct reading *r, const char *name);
struct rule *reading_take(struct reading *r, const char *name);

/* read_value.c: keywords whose value is not a schema */
#define READER(name)                                                                               \
    bool name(struct reading *r, const struct keyword *k, const json_t *value, struct rule *rule)
READER(read_anything);
READER(read_text);
READER(read_boolean);
READER(read_list);
READER(read_count);
READER(read_number);
READER(read_multiple);
READER(read_type);
READER(read_constant);
READER(read_enum);
READER(read_pattern);
READER(read_format);
READER(read_names);
READER(read_names_map);
READER(read_anchor);
READER(read_vocabulary);
READER(read_reference);

/* read_schema.c: keywords that hold schemas */
READER(read_schema);
READER(read_schemas);
READER(read_schema_or_schemas);
READER(read_schema_map);
READER(read_pattern_map);
READER(read_dependencies);
#undef READER

#define JOINER(name) void name(struct reading *r, struct rule *rule)
JOINER(join_members);
JOINER(join_items);
JOINER(join_items_draft_7);
JOINER(join_contains);
JOINER(join_condition);
JOINER(join_unevaluated_members);
JOINER(join_unevaluated_items);
#undef JOINER

/* check_*.c */
#define CHECK(name) bool name(struct run *run, const struct frame *at, const struct rule *rule)
CHECK(check_reference);
CHECK(check_type);
CHECK(check_constant);
CHECK(check_enum);
CHECK(check_multiple);
CHECK(check_maximum);
CHECK(check_exclusive_maximum);
CHECK(check_minimum);
CHECK(check_exclusive_minimum);
CHECK(check_max_length);
CHECK(check_min_length);
CHECK(check_pattern);
CHECK(check_format);
CHECK(check_max_items);
CHECK(check_min_items);
CHECK(check_unique);
CHECK(check_items);
CHECK(check_contains);
CHECK(check_max_members);
CHECK(check_min_members);
CHECK(check_required);
CHECK(check_dependencies);
CHECK(check_member_names);
CHECK(check_members);
CHECK(check_all);
CHECK(check_any);
CHECK(check_one);
CHECK(check_not);
CHECK(check_condition);
CHECK(check_unevaluated_members);
CHECK(check_unevaluated_items);
#undef CHECK

#endif
