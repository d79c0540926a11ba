/* tests/fuzz/fuzz_schema.c: hostile schemas against hostile instances.
 *
 * Input: one byte of options (bit 0: draft 7, bit 1: assert formats), then lines: schema, instance
 * and (optionally) an object of resources. Beyond memory errors it watches for promises broken:
 *   - the fast verdict and the one with errors agree, and a failure has an error to show;
 *   - the same question gets the same answer;
 *   - what compiles also fits its metaschema, though the compiler never looks at the metaschema.
 */
#define _GNU_SOURCE
#include "hub/schema/schema.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *next_line(const char **p, const char *end)
{
    const char *line = *p, *newline = memchr(line, '\n', (size_t)(end - line));
    *p = newline ? newline + 1 : end;
    size_t n = (size_t)((newline ? newline : end) - line);
    return json_loadb(line, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

static void count_error(void *ctx, const struct schema_error *error)
{
    assert(error->instance && error->keyword && error->schema && error->message);
    assert(*error->instance == '\0' || *error->instance == '/');
    assert(strchr(error->schema, '#') && *error->message);
    ++*(size_t *)ctx;
}

static void validate(const struct schema *schema, const json_t *instance)
{
    enum { ERRORS_MAX = 5 };
    size_t errors = 0;
    enum schema_rc verdict = schema_verdict(schema, instance);
    enum schema_rc checked = schema_check(schema, instance, ERRORS_MAX, count_error, &errors);
    assert(verdict == schema_verdict(schema, instance));
    assert(errors <= ERRORS_MAX + 1);
    assert((checked == SCHEMA_OK) == (errors == 0));
    /* Looking for more errors costs more, so only the budget may tell the two apart. */
    assert(verdict == checked || verdict == SCHEMA_BUDGET || checked == SCHEMA_BUDGET);
    assert(verdict != SCHEMA_OK || checked == SCHEMA_OK);
}

static const struct schema *metaschema(bool draft_7)
{
    static struct schema *compiled[2];
    if (!compiled[draft_7]) {
        json_t *reference = json_pack("{s:s}", "$ref",
                                      draft_7 ? "http://json-schema.org/draft-07/schema#"
                                              : "https://json-schema.org/draft/2020-12/schema");
        struct schema_options options = {.draft = draft_7 ? SCHEMA_DRAFT_7 : SCHEMA_2020_12};
        compiled[draft_7] = schema_compile(reference, &options, NULL);
        json_decref(reference);
    }
    return compiled[draft_7];
}

/* Where a dialect is chosen inside, or draft 7 ignores what stands beside $ref, the two may differ.
 */
static bool is_plain(const uint8_t *data, size_t size, bool draft_7)
{
    return !memmem(data, size, "schema", 6) && !memmem(data, size, "\\u", 2) &&
           !(draft_7 && memmem(data, size, "ref", 3));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct schema_options options = {
        .draft = data[0] & 1 ? SCHEMA_DRAFT_7 : SCHEMA_2020_12,
        .assert_formats = data[0] & 2,
        .limits = {.nodes_max = 2000,
                   .depth_max = 100,
                   .steps_max = 20000,
                   .pattern_bytes_max = 1 << 18},
    };
    const char *p = (const char *)data + 1, *end = (const char *)data + size;
    json_t *root = next_line(&p, end), *instance = next_line(&p, end);
    json_t *resources = next_line(&p, end);
    options.resources = json_is_object(resources) ? resources : NULL;
    struct schema_problem problem = {0};
    struct schema *schema = root ? schema_compile(root, &options, &problem) : NULL;
    if (schema) {
        const struct schema *meta = metaschema(data[0] & 1);
        assert(!is_plain(data, size, data[0] & 1) || schema_verdict(meta, root) != SCHEMA_INVALID);
        if (instance) {
            validate(schema, instance);
        }
        schema_free(schema);
    } else if (root) {
        assert(problem.rc != SCHEMA_OK && problem.reason[0] && strchr(problem.place, '#'));
    }
    json_decref(root);
    json_decref(instance);
    json_decref(resources);
    return 0;
}
