/* hub/schema/schema.h: JSON Schema, drafts 2020-12 and 7: compile once, validate often.
 *
 * Owns     a struct schema owns all it needs: root and resources are borrowed while compiling only.
 * Threads  a compiled schema never changes; any number of threads may validate with it at once.
 * Units    steps of work (about one keyword, member or comparison each), levels (each takes less
 *          than 1 KiB of stack), bytes.
 * Limits   struct schema_limits. Schemas and instances may come from anyone: references in a
 *          circle, trees of anyOf and patterns that backtrack without end meet SCHEMA_BUDGET.
 *          Numbers are what jansson holds: 64-bit integers are compared exactly with each other
 *          and with doubles; what was read as a double has a double's precision.
 *          Patterns follow ECMA-262 with the u flag, except: a lookbehind has a fixed length, a
 *          count is at most 65535, and needless escapes of punctuation are forgiven.
 *          Formats are annotations unless assert_formats or the dialect's format-assertion
 *          vocabulary says otherwise; unknown formats pass. content* keywords are annotations.
 * Errors   enum schema_rc; nothing here logs, fetches or blocks.
 */
#ifndef WAGGLE_HUB_SCHEMA_SCHEMA_H
#define WAGGLE_HUB_SCHEMA_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum schema_rc {
    SCHEMA_OK = 0,
    SCHEMA_INVALID, /* the instance does not fit, or (compiling) the schema is not one */
    SCHEMA_BUDGET,  /* no verdict: a limit was met first */
};

enum schema_draft { SCHEMA_2020_12 = 0, SCHEMA_DRAFT_7 };

/* A zero takes the default, which stands behind it. */
struct schema_limits {
    size_t nodes_max;         /* subschemas in one schema: 50,000 */
    size_t depth_max;         /* schemas inside one another, compiling and validating: 512 */
    size_t pattern_bytes_max; /* all patterns of one schema, compiled: 4 MiB */
    size_t steps_max;         /* of one validation: 1,000,000, spent within a second at worst */
};

struct schema_options {
    enum schema_draft draft; /* for a root without $schema */
    bool assert_formats;
    const json_t *resources; /* object {uri: schema} that $ref and $schema may name; may be NULL */
    struct schema_limits limits;
};

/* Why a schema did not compile. Both texts are cut to fit. */
struct schema_problem {
    enum schema_rc rc; /* SCHEMA_INVALID or SCHEMA_BUDGET */
    char place[512];   /* URI of the keyword at fault; "#/…" in the root document */
    char reason[512];  /* a human sentence */
};

struct schema;

/* NULL: out says why. options and out may be NULL. */
struct schema *schema_compile(const json_t *root, const struct schema_options *options,
                              struct schema_problem *out);
void schema_free(struct schema *schema); /* NULL is fine */

/* The verdict alone: stops at the first thing that is wrong and builds no text. */
enum schema_rc schema_verdict(const struct schema *schema, const json_t *instance);

static inline bool schema_valid(const struct schema *schema, const json_t *instance)
{
    return schema_verdict(schema, instance) == SCHEMA_OK;
}

/* One thing that is wrong. The texts live until the visitor returns. */
struct schema_error {
    const char *instance; /* JSON Pointer (RFC 6901) to the value at fault; "" is the whole */
    const char *keyword;  /* "minimum", "required", … */
    const char *schema;   /* where that keyword stands: "#/properties/age/minimum" */
    const char *message;  /* "must be at least 3, is 1" */
    const char *property; /* the property that is missing or not allowed; NULL for other errors */
};
typedef void (*schema_visit)(void *ctx, const struct schema_error *error);

/* Reports up to errors_max errors (at least one is reported when the result is not SCHEMA_OK). */
enum schema_rc schema_check(const struct schema *schema, const json_t *instance, size_t errors_max,
                            schema_visit visit, void *ctx);

#endif
