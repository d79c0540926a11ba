#include "hub/schema/keywords.h"

#include <string.h>

#define STRING (1u << JSON_STRING)
#define NUMBER (1u << JSON_INTEGER | 1u << JSON_REAL)
#define ARRAY (1u << JSON_ARRAY)
#define OBJECT (1u << JSON_OBJECT)
#define ANY 0xFFu

#define CORE VOCABULARY_CORE
#define APPLY VOCABULARY_APPLICATOR
#define VALID VOCABULARY_VALIDATION
#define META VOCABULARY_META_DATA
#define FORMAT VOCABULARY_FORMAT
#define CONTENT VOCABULARY_CONTENT
#define UNEVAL VOCABULARY_UNEVALUATED

/* clang-format off */
const struct keyword keywords[] = {
    /* name                  drafts      vocabulary read                    about    check                    join */
    {"$schema",              IN_BOTH,    CORE,    read_text,              0,      NULL,                      NULL},
    {"$id",                  IN_BOTH,    CORE,    read_text,              0,      NULL,                      NULL},
    {"$anchor",              IN_2020_12, CORE,    read_anchor,            0,      NULL,                      NULL},
    {"$dynamicAnchor",       IN_2020_12, CORE,    read_anchor,            0,      NULL,                      NULL},
    {"$vocabulary",          IN_2020_12, CORE,    read_vocabulary,        0,      NULL,                      NULL},
    {"$comment",             IN_BOTH,    CORE,    read_text,              0,      NULL,                      NULL},
    {"$defs",                IN_2020_12, CORE,    read_schema_map,        0,      NULL,                      NULL},
    {"definitions",          IN_BOTH,    CORE,    read_schema_map,        0,      NULL,                      NULL},
    {"$ref",                 IN_BOTH,    CORE,    read_reference,         ANY,    check_reference,           NULL},
    {"$dynamicRef",          IN_2020_12, CORE,    read_reference,         ANY,    check_reference,           NULL},
    {"$recursiveRef",        IN_2020_12, CORE,    read_text,              0,      NULL,                      NULL},
    {"$recursiveAnchor",     IN_2020_12, CORE,    read_anchor,            0,      NULL,                      NULL},

    {"title",                IN_BOTH,    META,    read_text,              0,      NULL,                      NULL},
    {"description",          IN_BOTH,    META,    read_text,              0,      NULL,                      NULL},
    {"default",              IN_BOTH,    META,    read_anything,          0,      NULL,                      NULL},
    {"deprecated",           IN_2020_12, META,    read_boolean,           0,      NULL,                      NULL},
    {"readOnly",             IN_BOTH,    META,    read_boolean,           0,      NULL,                      NULL},
    {"writeOnly",            IN_BOTH,    META,    read_boolean,           0,      NULL,                      NULL},
    {"examples",             IN_BOTH,    META,    read_list,              0,      NULL,                      NULL},

    {"type",                 IN_BOTH,    VALID,   read_type,              ANY,    check_type,                NULL},
    {"const",                IN_BOTH,    VALID,   read_constant,          ANY,    check_constant,            NULL},
    {"enum",                 IN_BOTH,    VALID,   read_enum,              ANY,    check_enum,                NULL},
    {"minimum",              IN_BOTH,    VALID,   read_number,            NUMBER, check_minimum,             NULL},
    {"exclusiveMinimum",     IN_BOTH,    VALID,   read_number,            NUMBER, check_exclusive_minimum,   NULL},
    {"maximum",              IN_BOTH,    VALID,   read_number,            NUMBER, check_maximum,             NULL},
    {"exclusiveMaximum",     IN_BOTH,    VALID,   read_number,            NUMBER, check_exclusive_maximum,   NULL},
    {"multipleOf",           IN_BOTH,    VALID,   read_multiple,          NUMBER, check_multiple,            NULL},
    {"minLength",            IN_BOTH,    VALID,   read_count,             STRING, check_min_length,          NULL},
    {"maxLength",            IN_BOTH,    VALID,   read_count,             STRING, check_max_length,          NULL},
    {"pattern",              IN_BOTH,    VALID,   read_pattern,           STRING, check_pattern,             NULL},
    {"format",               IN_BOTH,    FORMAT,  read_format,            STRING, check_format,              NULL},
    {"contentEncoding",      IN_BOTH,    CONTENT, read_text,              0,      NULL,                      NULL},
    {"contentMediaType",     IN_BOTH,    CONTENT, read_text,              0,      NULL,                      NULL},
    {"contentSchema",        IN_2020_12, CONTENT, read_schema,            0,      NULL,                      NULL},
    {"minItems",             IN_BOTH,    VALID,   read_count,             ARRAY,  check_min_items,           NULL},
    {"maxItems",             IN_BOTH,    VALID,   read_count,             ARRAY,  check_max_items,           NULL},
    {"minProperties",        IN_BOTH,    VALID,   read_count,             OBJECT, check_min_members,         NULL},
    {"maxProperties",        IN_BOTH,    VALID,   read_count,             OBJECT, check_max_members,         NULL},
    {"required",             IN_BOTH,    VALID,   read_names,             OBJECT, check_required,            NULL},
    {"dependentRequired",    IN_2020_12, VALID,   read_names_map,         OBJECT, check_dependencies,        NULL},

    {"properties",           IN_BOTH,    APPLY,   read_schema_map,        OBJECT, check_members,             join_members},
    {"patternProperties",    IN_BOTH,    APPLY,   read_pattern_map,       OBJECT, check_members,             join_members},
    {"additionalProperties", IN_BOTH,    APPLY,   read_schema,            OBJECT, check_members,             join_members},
    {"propertyNames",        IN_BOTH,    APPLY,   read_schema,            OBJECT, check_member_names,        NULL},
    {"dependencies",         IN_BOTH,    APPLY,   read_dependencies,      OBJECT, check_dependencies,        NULL},
    {"dependentSchemas",     IN_2020_12, APPLY,   read_schema_map,        OBJECT, check_dependencies,        NULL},
    {"prefixItems",          IN_2020_12, APPLY,   read_schemas,           ARRAY,  check_items,               join_items},
    {"items",                IN_2020_12, APPLY,   read_schema,            ARRAY,  check_items,               join_items},
    {"items",                IN_DRAFT_7, APPLY,   read_schema_or_schemas, ARRAY,  check_items,               join_items_draft_7},
    {"additionalItems",      IN_DRAFT_7, APPLY,   read_schema,            0,      NULL,                      NULL},
    {"contains",             IN_BOTH,    APPLY,   read_schema,            ARRAY,  check_contains,            join_contains},
    {"minContains",          IN_2020_12, VALID,   read_count,             0,      NULL,                      NULL},
    {"maxContains",          IN_2020_12, VALID,   read_count,             0,      NULL,                      NULL},
    {"uniqueItems",          IN_BOTH,    VALID,   read_boolean,           ARRAY,  check_unique,              NULL},

    {"allOf",                IN_BOTH,    APPLY,   read_schemas,           ANY,    check_all,                 NULL},
    {"anyOf",                IN_BOTH,    APPLY,   read_schemas,           ANY,    check_any,                 NULL},
    {"oneOf",                IN_BOTH,    APPLY,   read_schemas,           ANY,    check_one,                 NULL},
    {"not",                  IN_BOTH,    APPLY,   read_schema,            ANY,    check_not,                 NULL},
    {"if",                   IN_BOTH,    APPLY,   read_schema,            ANY,    check_condition,           join_condition},
    {"then",                 IN_BOTH,    APPLY,   read_schema,            0,      NULL,                      NULL},
    {"else",                 IN_BOTH,    APPLY,   read_schema,            0,      NULL,                      NULL},

    {"unevaluatedProperties", IN_2020_12, UNEVAL, read_schema,            OBJECT, check_unevaluated_members, join_unevaluated_members},
    {"unevaluatedItems",     IN_2020_12, UNEVAL,  read_schema,            ARRAY,  check_unevaluated_items,   join_unevaluated_items},
};
/* clang-format on */

const size_t keyword_count = sizeof keywords / sizeof keywords[0];
_Static_assert(sizeof keywords / sizeof keywords[0] <= KEYWORDS_MAX, "struct reading has no room");

const struct keyword *keyword_find(const struct dialect *dialect, const char *name, size_t n)
{
    unsigned draft = dialect->draft == SCHEMA_DRAFT_7 ? IN_DRAFT_7 : IN_2020_12;
    for (size_t i = 0; i < keyword_count; i++) {
        const struct keyword *k = &keywords[i];
        if (strlen(k->name) == n && memcmp(k->name, name, n) == 0 && (k->drafts & draft)) {
            return k->vocabulary & dialect->vocabularies ? k : NULL;
        }
    }
    return NULL;
}

static size_t row_of(const struct reading *r, const char *name)
{
    for (size_t i = 0; i < keyword_count; i++) {
        if (r->rules[i] && strcmp(keywords[i].name, name) == 0) {
            return i;
        }
    }
    return keyword_count;
}

struct rule *reading_rule(const struct reading *r, const char *name)
{
    size_t row = row_of(r, name);
    return row < keyword_count ? r->rules[row] : NULL;
}

struct rule *reading_take(struct reading *r, const char *name)
{
    size_t row = row_of(r, name);
    if (row == keyword_count) {
        return NULL;
    }
    struct rule *rule = r->rules[row];
    r->rules[row] = NULL;
    return rule;
}
