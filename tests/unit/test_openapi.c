/* The OpenAPI document: read back and walked, as a generator of clients would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/digest.h"
#include "hub/api/api.h"
#include "hub/schema/schema.h"

static struct api *api;
static json_t *document;

static int setup(void **state)
{
    (void)state;
    char text[512] = "";
    struct hub hub = {.version = "1.2.3"};
    if (!auth_init()) {
        return -1;
    }
    api = api_new(&hub, text, sizeof text);
    if (!api) {
        print_error("%s\n", text);
        return -1;
    }
    struct slice text_of = api_openapi(api);
    json_error_t error;
    document = json_loadb((const char *)text_of.p, text_of.n, JSON_REJECT_DUPLICATES, &error);
    if (!document) {
        print_error("%s at %d\n", error.text, error.position);
    }
    return document ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    json_decref(document);
    api_free(api);
    return 0;
}

/* ---- "#/components/schemas/Agent" ---- */

static json_t *resolve(const char *pointer)
{
    json_t *at = document;
    char name[128];
    assert_true(strncmp(pointer, "#/", 2) == 0);
    for (const char *p = pointer + 2; at && *p;) {
        size_t n = strcspn(p, "/");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        at = json_object_get(at, name);
        p += n + (p[n] == '/');
    }
    return at;
}

static unsigned follow_refs(json_t *value)
{
    unsigned n = 0;
    const char *key;
    json_t *item;
    size_t i;
    json_object_foreach(value, key, item)
    {
        /* A property may be called $ref; a reference is one that is a string. */
        if (strcmp(key, "$ref") == 0 && json_is_string(item)) {
            n++;
            if (!resolve(json_string_value(item))) {
                fail_msg("%s leads nowhere", json_string_value(item));
            }
        }
        n += follow_refs(item);
    }
    json_array_foreach(value, i, item)
    {
        n += follow_refs(item);
    }
    return n;
}

static void every_reference_leads_somewhere(void **state)
{
    (void)state;
    assert_true(follow_refs(document) > 100);
}

/* ---- walking the operations ---- */

typedef void visit_operation(const char *path, const char *method, json_t *operation, void *ctx);

static void each_operation(visit_operation *visit, void *ctx)
{
    const char *path, *method;
    json_t *item, *operation;
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        json_object_foreach(item, method, operation)
        {
            visit(path, method, operation, ctx);
        }
    }
}

static void is_in_document(const struct operation *op, const struct route *route)
{
    static const char *const methods[METHODS] = {NULL, "get", "post", "put", "patch", "delete"};
    json_t *path = json_object_get(json_object_get(document, "paths"), route->path);
    json_t *there = json_object_get(path, methods[route->method]);
    if (route->alias ? there != NULL : there == NULL) {
        fail_msg("%s %s of %s", methods[route->method], route->path, op->name);
    }
}

static void every_route_that_is_no_alias_is_in_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_operations(api); i++) {
        const struct operation *op = api_operation(api, i);
        for (size_t r = 0; r < OPERATION_ROUTES_MAX && op->routes[r].method; r++) {
            is_in_document(op, &op->routes[r]);
        }
    }
}

static void note_id(const char *path, const char *method, json_t *operation, void *ctx)
{
    const char *id = json_string_value(json_object_get(operation, "operationId"));
    (void)method;
    assert_non_null(id);
    if (json_object_get(ctx, id)) {
        fail_msg("%s stands twice, again at %s", id, path);
    }
    json_object_set_new(ctx, id, json_true());
}

static void operation_ids_are_unique(void **state)
{
    (void)state;
    json_t *ids = json_object();
    each_operation(note_id, ids);
    assert_true(json_object_size(ids) >= 20);
    json_decref(ids);
}

/* OpenAPI 3.1 section 4.8.8.2: templates that differ in names alone are the same path. */
static void paths_differ_in_more_than_names(void **state)
{
    (void)state;
    json_t *seen = json_object(), *item;
    const char *path;
    json_object_foreach(json_object_get(document, "paths"), path, item)
    {
        char bare[256];
        size_t n = 0;
        bool inside = false;
        for (const char *p = path; *p && n < sizeof bare - 1; p++) {
            inside = *p == '{' ? true : inside;
            if (!inside || *p == '{' || *p == '}') {
                bare[n++] = *p;
            }
            inside = *p == '}' ? false : inside;
        }
        bare[n] = '\0';
        assert_int_equal(path[0], '/');
        if (json_object_get(seen, bare)) {
            fail_msg("%s is there under other names", path);
        }
        json_object_set_new(seen, bare, json_true());
    }
    json_decref(seen);
}

static json_t *parameter_of(json_t *operation, const char *name)
{
    json_t *p;
    size_t i;
    json_array_foreach(json_object_get(operation, "parameters"), i, p)
    {
        const char *named = json_string_value(json_object_get(p, "name"));
        if (named && strcmp(named, name) == 0) {
            return p;
        }
    }
    return NULL;
}

static void check_path_parameters(const char *path, const char *method, json_t *operation,
                                  void *ctx)
{
    (void)ctx, (void)method;
    unsigned segments = 0, declared = 0;
    for (const char *p = strchr(path, '{'); p; p = strchr(p + 1, '{')) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 1, "}"), p + 1);
        json_t *parameter = parameter_of(operation, name);
        segments++;
        if (!parameter ||
            strcmp(json_string_value(json_object_get(parameter, "in")), "path") != 0 ||
            !json_is_true(json_object_get(parameter, "required")) ||
            !json_object_get(parameter, "schema")) {
            fail_msg("%s: {%s} is not declared", path, name);
        }
    }
    json_t *p;
    size_t i;
    json_array_foreach(json_object_get(operation, "parameters"), i, p)
    {
        const char *place = json_string_value(json_object_get(p, "in"));
        declared += place && strcmp(place, "path") == 0;
    }
    assert_int_equal(segments, declared);
}

static void each_segment_in_braces_is_a_parameter(void **state)
{
    (void)state;
    each_operation(check_path_parameters, NULL);
}

static void check_body(const char *path, const char *method, json_t *operation, void *ctx)
{
    (void)ctx;
    json_t *body = json_object_get(operation, "requestBody");
    if (strcmp(method, "get") == 0 || strcmp(method, "delete") == 0) {
        assert_null(body);
        return;
    }
    json_t *schema = json_object_get(
        json_object_get(json_object_get(body, "content"), "application/json"), "schema");
    assert_true(!body || schema);
    /* What the path says, the body does not say again. */
    const char *name;
    json_t *property;
    json_object_foreach(json_object_get(schema, "properties"), name, property)
    {
        char segment[80];
        snprintf(segment, sizeof segment, "{%s}", name);
        assert_null(strstr(path, segment));
    }
    json_t *required = json_object_get(schema, "required"), *word;
    size_t i;
    json_array_foreach(required, i, word)
    {
        assert_non_null(
            json_object_get(json_object_get(schema, "properties"), json_string_value(word)));
    }
}

static void bodies_hold_what_the_path_does_not(void **state)
{
    (void)state;
    each_operation(check_body, NULL);
}

static void check_answers(const char *path, const char *method, json_t *operation, void *ctx)
{
    (void)ctx, (void)method;
    const char *status;
    json_t *answer;
    unsigned good = 0;
    json_object_foreach(json_object_get(operation, "responses"), status, answer)
    {
        json_t *ref = json_object_get(answer, "$ref");
        json_t *real = ref ? resolve(json_string_value(ref)) : answer;
        int number = atoi(status);
        assert_in_range(number, 200, 599);
        good += number < 300;
        assert_true(json_is_string(json_object_get(real, "description")));
        assert_int_equal(json_object_size(json_object_get(real, "content")), 1);
    }
    if (good != 1) {
        fail_msg("%s %s has %u good answers", method, path, good);
    }
    assert_true(json_string_length(json_object_get(operation, "summary")) > 0);
    assert_int_equal(json_array_size(json_object_get(operation, "tags")), 1);
}

static void every_operation_has_one_good_answer(void **state)
{
    (void)state;
    each_operation(check_answers, NULL);
}

static void check_security(const char *path, const char *method, json_t *operation, void *ctx)
{
    (void)path, (void)method;
    const char *id = json_string_value(json_object_get(operation, "operationId"));
    json_t *own = json_object_get(operation, "security");
    size_t i;
    const struct operation *op = api_by_name(api, slice_str(id), &i);
    if (op) { /* not a further route */
        assert_int_equal(own != NULL, (op->flags & OPERATION_OPEN) != 0);
        assert_int_equal(json_array_size(own), 0);
        ++*(unsigned *)ctx;
    }
}

static void only_open_operations_go_without_a_credential(void **state)
{
    (void)state;
    unsigned seen = 0;
    each_operation(check_security, &seen);
    assert_true(seen >= 20);
    json_t *schemes = resolve("#/components/securitySchemes");
    json_t *scheme;
    size_t i;
    json_array_foreach(json_object_get(document, "security"), i, scheme)
    {
        assert_non_null(json_object_get(schemes, json_object_iter_key(json_object_iter(scheme))));
    }
}

static void every_tag_is_described(void **state)
{
    (void)state;
    for (size_t i = 0; i < api_operations(api); i++) {
        const char *name = api_operation(api, i)->name;
        bool found = false;
        json_t *tag;
        size_t t;
        json_array_foreach(json_object_get(document, "tags"), t, tag)
        {
            const char *text = json_string_value(json_object_get(tag, "name"));
            found = found || strncmp(name, text, strlen(text)) == 0;
        }
        if (!found) {
            fail_msg("the group of %s has no description", name);
        }
    }
}

/* ---- schemas ---- */

static void compiles(const char *where, json_t *schema)
{
    if (!json_is_object(schema)) {
        fail_msg("%s: no schema", where);
    }
    /* References are within the document, which stands around the schema here. */
    json_t *root = json_object();
    json_t *all = json_array();
    json_array_append(all, schema);
    json_object_set_new(root, "allOf", all);
    json_object_set(root, "components", json_object_get(document, "components"));
    struct schema_problem problem = {.place = "", .reason = ""};
    struct schema *compiled = schema_compile(root, NULL, &problem);
    if (!compiled) {
        fail_msg("%s: %s %s", where, problem.place, problem.reason);
    }
    schema_free(compiled);
    json_decref(root);
}

static void compile_contents(const char *where, json_t *contents)
{
    const char *type;
    json_t *media;
    json_object_foreach(contents, type, media)
    {
        compiles(where, json_object_get(media, "schema"));
    }
}

static void compile_operation(const char *path, const char *method, json_t *operation, void *ctx)
{
    (void)ctx, (void)method;
    const char *status;
    json_t *answer, *parameter;
    size_t i;
    compile_contents(path, json_object_get(json_object_get(operation, "requestBody"), "content"));
    json_object_foreach(json_object_get(operation, "responses"), status, answer)
    {
        compile_contents(path, json_object_get(answer, "content"));
    }
    json_array_foreach(json_object_get(operation, "parameters"), i, parameter)
    {
        if (!json_object_get(parameter, "$ref")) {
            compiles(path, json_object_get(parameter, "schema"));
        }
    }
}

static void every_schema_in_it_is_one(void **state)
{
    (void)state;
    each_operation(compile_operation, NULL);
    const char *name;
    json_t *value;
    json_object_foreach(resolve("#/components/schemas"), name, value)
    {
        compiles(name, value);
    }
    json_object_foreach(resolve("#/components/responses"), name, value)
    {
        compile_contents(name, json_object_get(value, "content"));
    }
}

/* Examples are pasted by whoever tries: they must fit what they are examples of. */
static void check_examples(json_t *schema)
{
    json_t *examples = json_object_get(schema, "examples"), *example, *item;
    const char *key;
    size_t i;
    if (json_is_array(examples)) {
        struct schema *compiled = schema_compile(schema, NULL, NULL);
        json_array_foreach(examples, i, example)
        {
            if (!compiled || !schema_valid(compiled, example)) {
                char *text = json_dumps(schema, JSON_COMPACT);
                print_error("%s\n", text);
                free(text);
                fail();
            }
        }
        schema_free(compiled);
    }
    json_object_foreach(schema, key, item)
    {
        check_examples(item);
    }
    json_array_foreach(schema, i, item)
    {
        check_examples(item);
    }
}

static void examples_fit_their_schemas(void **state)
{
    (void)state;
    check_examples(document);
}

static void it_says_its_version(void **state)
{
    (void)state;
    assert_string_equal(json_string_value(json_object_get(document, "openapi")), "3.1.0");
    assert_string_equal(json_string_value(json_object_get(resolve("#/info"), "version")), "1.2.3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_its_version),
        cmocka_unit_test(every_reference_leads_somewhere),
        cmocka_unit_test(every_route_that_is_no_alias_is_in_it),
        cmocka_unit_test(operation_ids_are_unique),
        cmocka_unit_test(paths_differ_in_more_than_names),
        cmocka_unit_test(each_segment_in_braces_is_a_parameter),
        cmocka_unit_test(bodies_hold_what_the_path_does_not),
        cmocka_unit_test(every_operation_has_one_good_answer),
        cmocka_unit_test(only_open_operations_go_without_a_credential),
        cmocka_unit_test(every_tag_is_described),
        cmocka_unit_test(every_schema_in_it_is_one),
        cmocka_unit_test(examples_fit_their_schemas),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
