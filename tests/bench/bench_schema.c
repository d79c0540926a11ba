/* tests/bench/bench_schema.c: validations a second, and a window to the validator for its peers.
 *
 * Usage: bench_schema           prints figures for a typical request, valid and not
 *        bench_schema --stdin   reads lines of JSON {"schema", "instance", "resources"?, "draft"?,
 *                               "formats"?} (7 is the draft to name, true asserts formats) and
 *                               answers each: valid, invalid, budget, or "no schema" and why
 */
#define _GNU_SOURCE
#include "hub/schema/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char request_schema[] =
    "{\"type\":\"object\",\"required\":[\"type\",\"payload\"],\"additionalProperties\":false,"
    "\"properties\":{"
    "\"type\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128,\"pattern\":\"^[a-z][a-z0-9_.-"
    "]*$\"},"
    "\"payload\":{\"type\":\"object\"},"
    "\"priority\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":9},"
    "\"capabilities\":{\"type\":\"array\",\"maxItems\":64,\"uniqueItems\":true,"
    "\"items\":{\"type\":\"string\",\"maxLength\":64}},"
    "\"mode\":{\"enum\":[\"any\",\"all\",\"best\"]},"
    "\"lease_ms\":{\"type\":[\"integer\",\"null\"],\"minimum\":1000},"
    "\"retry\":{\"$ref\":\"#/$defs/retry\"}},"
    "\"$defs\":{\"retry\":{\"type\":\"object\",\"properties\":{\"max\":{\"type\":\"integer\","
    "\"minimum\":0},"
    "\"backoff_ms\":{\"type\":\"number\",\"exclusiveMinimum\":0}},\"additionalProperties\":false}}"
    "}";

static const char good_request[] =
    "{\"type\":\"image.resize\",\"payload\":{\"url\":\"https://example.com/a.png\",\"width\":640},"
    "\"priority\":5,\"capabilities\":[\"gpu\",\"imaging\",\"eu-west\"],\"mode\":\"best\","
    "\"lease_ms\":30000,\"retry\":{\"max\":3,\"backoff_ms\":250.5}}";

static const char bad_request[] =
    "{\"type\":\"image.resize\",\"payload\":{},\"priority\":12,\"capabilities\":[\"gpu\",\"gpu\"],"
    "\"colour\":\"red\"}";

static double now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void count_errors(void *ctx, const struct schema_error *error)
{
    (void)error;
    ++*(size_t *)ctx;
}

static json_t *must_parse(const char *text)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!json) {
        fprintf(stderr, "bench_schema: a built-in text is not JSON\n");
        exit(1);
    }
    return json;
}

static void report(const char *what, size_t rounds, double seconds)
{
    printf("%-34s %10.0f a second  %8.0f ns each\n", what, (double)rounds / seconds,
           seconds / (double)rounds * 1e9);
}

static int measure(void)
{
    enum { ROUNDS = 300000, COMPILES = 5000 };
    json_t *schema_json = must_parse(request_schema);
    json_t *good = must_parse(good_request), *bad = must_parse(bad_request);
    struct schema *schema = schema_compile(schema_json, NULL, NULL);
    size_t held = 0, errors = 0;
    double start = now();
    for (size_t i = 0; i < ROUNDS; i++) {
        held += schema_valid(schema, good);
    }
    report("valid request, verdict", ROUNDS, now() - start);
    start = now();
    for (size_t i = 0; i < ROUNDS; i++) {
        held += schema_check(schema, good, 16, count_errors, &errors) == SCHEMA_OK;
    }
    report("valid request, with errors asked", ROUNDS, now() - start);
    start = now();
    for (size_t i = 0; i < ROUNDS; i++) {
        held += schema_check(schema, bad, 16, count_errors, &errors) == SCHEMA_INVALID;
    }
    report("invalid request, three errors", ROUNDS, now() - start);
    start = now();
    for (size_t i = 0; i < COMPILES; i++) {
        schema_free(schema_compile(schema_json, NULL, NULL));
    }
    report("compile", COMPILES, now() - start);
    schema_free(schema);
    json_decref(schema_json);
    json_decref(good);
    json_decref(bad);
    return held == 3 * ROUNDS && errors == 3 * ROUNDS ? 0 : 1;
}

static void answer(const json_t *line)
{
    static const char *const verdicts[] = {
        [SCHEMA_OK] = "valid", [SCHEMA_INVALID] = "invalid", [SCHEMA_BUDGET] = "budget"};
    struct schema_problem problem;
    struct schema_options options = {
        .draft = json_integer_value(json_object_get(line, "draft")) == 7 ? SCHEMA_DRAFT_7
                                                                         : SCHEMA_2020_12,
        .assert_formats = json_is_true(json_object_get(line, "formats")),
        .resources = json_object_get(line, "resources"),
    };
    const json_t *root = json_object_get(line, "schema"),
                 *instance = json_object_get(line, "instance");
    struct schema *schema = root && instance ? schema_compile(root, &options, &problem) : NULL;
    if (!root || !instance) {
        printf("no schema: the line has no \"schema\" or no \"instance\"\n");
    } else if (!schema) {
        printf("no schema: %s %s\n", problem.place, problem.reason);
    } else {
        printf("%s\n", verdicts[schema_verdict(schema, instance)]);
    }
    schema_free(schema);
}

static int serve_stdin(void)
{
    char *text = NULL;
    size_t size = 0;
    ssize_t n;
    while ((n = getline(&text, &size, stdin)) > 0) {
        json_t *line = json_loadb(text, (size_t)n, JSON_ALLOW_NUL, NULL);
        answer(line);
        json_decref(line);
    }
    free(text);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--stdin") == 0) {
        return serve_stdin();
    }
    if (argc > 1) {
        fprintf(stderr, "usage: bench_schema [--stdin]\n");
        return 2;
    }
    return measure();
}
