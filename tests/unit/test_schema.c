/* tests/unit/test_schema.c: what hub/schema promises beyond the official suite: errors, limits,
 * threads, and the corners of patterns, formats and numbers. JSON is written with ' for ". */
#define _GNU_SOURCE
#include "hub/schema/schema.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static json_t *json(const char *text)
{
    size_t n = strlen(text);
    char *copy = malloc(n + 1);
    assert_non_null(copy);
    for (size_t i = 0; i <= n; i++) {
        copy[i] = (char)(text[i] == '\'' ? '"' : text[i]);
    }
    json_error_t error;
    json_t *parsed = json_loads(copy, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (!parsed) {
        fail_msg("%s: %s", error.text, copy);
    }
    free(copy);
    return parsed;
}

/* The JSON is gone before anything is validated: a schema must not need it. */
static struct schema *compiled(const char *text, const struct schema_options *options)
{
    struct schema_problem problem;
    json_t *root = json(text);
    struct schema *schema = schema_compile(root, options, &problem);
    json_decref(root);
    if (!schema) {
        fail_msg("%s: %s %s", text, problem.place, problem.reason);
    }
    return schema;
}

static enum schema_rc verdict_with(const char *schema_text, const char *instance_text,
                                   const struct schema_options *options)
{
    struct schema *schema = compiled(schema_text, options);
    json_t *instance = json(instance_text);
    enum schema_rc rc = schema_verdict(schema, instance);
    json_decref(instance);
    schema_free(schema);
    return rc;
}

static enum schema_rc verdict(const char *schema, const char *instance)
{
    return verdict_with(schema, instance, NULL);
}

static void assert_refused(const char *text, const struct schema_options *options,
                           enum schema_rc rc, const char *place, const char *reason)
{
    struct schema_problem problem = {0};
    json_t *root = json(text);
    struct schema *schema = schema_compile(root, options, &problem);
    json_decref(root);
    if (schema) {
        fail_msg("compiles: %s", text);
    }
    assert_int_equal(problem.rc, rc);
    assert_string_equal(problem.place, place);
    if (!strstr(problem.reason, reason)) {
        fail_msg("%s: reason is: %s", text, problem.reason);
    }
}

struct seen {
    size_t count;
    char lines[16][400];
};

static void record(void *ctx, const struct schema_error *error)
{
    struct seen *seen = ctx;
    assert_true(seen->count < 16);
    snprintf(seen->lines[seen->count++], 400, "%s | %s | %s | %s | %s", error->instance,
             error->keyword, error->schema, error->message,
             error->property ? error->property : "-");
}

static struct seen errors_of(const char *schema_text, const char *instance_text, size_t errors_max,
                             enum schema_rc wanted)
{
    struct seen seen = {0};
    struct schema *schema = compiled(schema_text, NULL);
    json_t *instance = json(instance_text);
    assert_int_equal(schema_check(schema, instance, errors_max, record, &seen), wanted);
    json_decref(instance);
    schema_free(schema);
    return seen;
}

static void assert_errors(const char *schema, const char *instance, const char *const *lines)
{
    struct seen seen = errors_of(schema, instance, 16, SCHEMA_INVALID);
    for (size_t i = 0; lines[i]; i++) {
        assert_true(i < seen.count);
        assert_string_equal(seen.lines[i], lines[i]);
    }
    size_t n = 0;
    while (lines[n]) {
        n++;
    }
    assert_int_equal(seen.count, n);
}

#define ASSERT_ERRORS(schema, instance, ...)                                                       \
    assert_errors(schema, instance, (const char *const[]){__VA_ARGS__, NULL})

static void every_error_names_its_place_and_its_bound(void **state)
{
    (void)state;
    ASSERT_ERRORS(
        "{'type':'object','required':['name','age'],'additionalProperties':false,"
        "'properties':{'name':{'type':'string','minLength':2,'maxLength':3},"
        "'age':{'type':'integer','minimum':3},'tags':{'maxItems':1,'items':{'enum':['a',1,null]}}}"
        "}",
        "{'age':1,'tags':['a','b'],'extra':true}",
        " | required | #/required | property \"name\" is required | name",
        "/age | minimum | #/properties/age/minimum | must be at least 3, is 1 | -",
        "/tags | maxItems | #/properties/tags/maxItems | must have at most 1 item, has 2 | -",
        "/tags/1 | enum | #/properties/tags/items/enum | must be one of \"a\", 1, null | -",
        "/extra | additionalProperties | #/additionalProperties | "
        "property \"extra\" is not allowed | extra");
    ASSERT_ERRORS("{'type':['string','null']}", "1.5",
                  " | type | #/type | must be a string or null, is a number | -");
    ASSERT_ERRORS("{'minLength':2}", "'é'",
                  " | minLength | #/minLength | must have at least 2 characters, has 1 | -");
    ASSERT_ERRORS("{'pattern':'^a'}", "'b'",
                  " | pattern | #/pattern | must match the pattern ^a | -");
    ASSERT_ERRORS("{'multipleOf':0.1}", "0.25",
                  " | multipleOf | #/multipleOf | must be a multiple of 0.1, is 0.25 | -");
    ASSERT_ERRORS("{'const':'x'}", "{}", " | const | #/const | must be \"x\" | -");
    ASSERT_ERRORS("{'uniqueItems':true}", "[1,2,1.0]",
                  " | uniqueItems | #/uniqueItems | must have no equal items, 0 and 2 are | -");
    ASSERT_ERRORS(
        "{'contains':{'type':'null'},'minContains':2}", "[null]",
        " | minContains | #/minContains | must contain at least 2 matching items, has 1 | -");
    ASSERT_ERRORS("{'dependentRequired':{'a':['b']}}", "{'a':1}",
                  " | dependentRequired | #/dependentRequired | "
                  "property \"b\" is required beside \"a\" | b");
    ASSERT_ERRORS("{'oneOf':[true,false,true]}", "1",
                  " | oneOf | #/oneOf | must match exactly one of 3 alternatives, "
                  "matches those at 0 and 2 | -");
    ASSERT_ERRORS("{'propertyNames':{'maxLength':1}}", "{'ab':1}",
                  "/ab | maxLength | #/propertyNames/maxLength | "
                  "name \"ab\" must have at most 1 character, has 2 | -");
    ASSERT_ERRORS("false", "1", " | false | # | is not allowed | -");
}

static void a_value_of_the_wrong_type_is_told_once(void **state)
{
    (void)state;
    ASSERT_ERRORS("{'type':'string','enum':['a'],'not':{}}", "5",
                  " | type | #/type | must be a string, is an integer | -");
}

static void places_are_json_pointers_with_escapes(void **state)
{
    (void)state;
    ASSERT_ERRORS(
        "{'properties':{'a/b~':{'items':[{'type':'null'}]}},"
        "'$schema':'http://json-schema.org/draft-07/schema#'}",
        "{'a/b~':[1]}",
        "/a~1b~0/0 | type | #/properties/a~1b~0/items/0/type | must be null, is an integer | -");
}

static void errors_in_another_document_are_told_by_its_uri(void **state)
{
    (void)state;
    struct seen seen = {0};
    json_t *resources = json("{'https://x.test/d':{'$defs':{'n':{'type':'number'}}}}");
    struct schema_options options = {.resources = resources};
    struct schema *schema =
        compiled("{'properties':{'a':{'$ref':'https://x.test/d#/$defs/n'}}}", &options);
    json_decref(resources);
    json_t *instance = json("{'a':'b'}");
    assert_int_equal(schema_check(schema, instance, 9, record, &seen), SCHEMA_INVALID);
    assert_string_equal(
        seen.lines[0],
        "/a | type | https://x.test/d#/$defs/n/type | must be a number, is a string | -");
    json_decref(instance);
    schema_free(schema);
}

static void errors_stop_at_errors_max(void **state)
{
    (void)state;
    const char *many = "[1,2,3,4,5,6,7,8,9]";
    assert_int_equal(errors_of("{'items':{'type':'null'}}", many, 4, SCHEMA_INVALID).count, 4);
    assert_int_equal(errors_of("{'items':{'type':'null'}}", many, 0, SCHEMA_INVALID).count, 1);
    assert_int_equal(errors_of("{'items':{'type':'integer'}}", many, 4, SCHEMA_OK).count, 0);
}

static void only_the_alternative_about_the_type_is_told(void **state)
{
    (void)state;
    ASSERT_ERRORS(
        "{'anyOf':[{'type':'null'},{'type':'string','minLength':3}]}", "'ab'",
        " | minLength | #/anyOf/1/minLength | must have at least 3 characters, has 2 | -");
    ASSERT_ERRORS(
        "{'anyOf':[{'type':'null'},{'type':'string'}]}", "1",
        " | anyOf | #/anyOf | must match at least one of 2 alternatives, matches none | -");
}

static void a_wrong_property_is_not_called_unevaluated_as_well(void **state)
{
    (void)state;
    ASSERT_ERRORS("{'allOf':[{'properties':{'a':{'type':'null'}}}],'unevaluatedProperties':false}",
                  "{'a':1,'b':2}",
                  "/a | type | #/allOf/0/properties/a/type | must be null, is an integer | -",
                  "/b | unevaluatedProperties | #/unevaluatedProperties | "
                  "property \"b\" is not allowed | b");
    ASSERT_ERRORS(
        "{'anyOf':[{'required':['x']},{'required':['y']}],'unevaluatedProperties':false}",
        "{'a':1}",
        " | anyOf | #/anyOf | must match at least one of 2 alternatives, matches none | -");
}

static void long_values_are_cut_in_messages_between_characters(void **state)
{
    (void)state;
    struct seen seen =
        errors_of("{'const':'ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé'}", "1", 1,
                  SCHEMA_INVALID);
    assert_non_null(strstr(seen.lines[0], "é…\""));
    json_t *line = json_string(seen.lines[0]);
    assert_non_null(line); /* jansson takes only UTF-8 */
    json_decref(line);
}

static void a_keyword_of_the_wrong_shape_is_refused_at_its_place(void **state)
{
    (void)state;
    static const char *const wrong[][3] = {
        /* clang-format off */
        {"'x'",                                  "#",                       "object or a boolean"},
        {"{'type':'strin'}",                     "#/type",                  "must be one of null"},
        {"{'type':['null','null']}",             "#/type",                  "must be one of null"},
        {"{'type':[]}",                          "#/type",                  "must be one of null"},
        {"{'enum':1}",                           "#/enum",                  "array"},
        {"{'minimum':'1'}",                      "#/minimum",               "number"},
        {"{'multipleOf':0}",                     "#/multipleOf",            "above 0"},
        {"{'multipleOf':-0.1}",                  "#/multipleOf",            "above 0"},
        {"{'maxLength':-1}",                     "#/maxLength",             "0 or more"},
        {"{'minItems':1.5}",                     "#/minItems",              "integer"},
        {"{'uniqueItems':1}",                    "#/uniqueItems",           "boolean"},
        {"{'required':['a','a']}",               "#/required",              "differ"},
        {"{'required':[1]}",                     "#/required",              "strings"},
        {"{'dependentRequired':{'a':'b'}}",      "#/dependentRequired",     "arrays of strings"},
        {"{'properties':{'a':{'items':3}}}",     "#/properties/a/items",    "object or a boolean, is an integer"},
        {"{'$defs':{'a':{'type':1}}}",           "#/$defs/a/type",          "must be one of"},
        {"{'properties':[]}",                    "#/properties",            "object"},
        {"{'allOf':[]}",                         "#/allOf",                 "at least one"},
        {"{'anyOf':{}}",                         "#/anyOf",                 "array"},
        {"{'oneOf':[true,1]}",                   "#/oneOf/1",               "object or a boolean"},
        {"{'prefixItems':[]}",                   "#/prefixItems",           "at least one"},
        {"{'items':[true]}",                     "#/items",                 "is an array"},
        {"{'$ref':1}",                           "#/$ref",                  "string"},
        {"{'$id':'#a'}",                         "#/$id",                   "fragment"},
        {"{'$id':1}",                            "#/$id",                   "string"},
        {"{'$anchor':'1a'}",                     "#/$anchor",               "name"},
        {"{'$anchor':''}",                       "#/$anchor",               "name"},
        {"{'$vocabulary':{'a':1}}",              "#/$vocabulary",           "booleans"},
        {"{'title':1}",                          "#/title",                 "string"},
        {"{'deprecated':1}",                     "#/deprecated",            "boolean"},
        {"{'examples':1}",                       "#/examples",              "array"},
        {"{'format':1}",                         "#/format",                "string"},
        {"{'pattern':'a('}",                     "#/pattern",               "without its )"},
        {"{'patternProperties':{'[':true}}",     "#/patternProperties",     "without its ]"},
        {"{'dependencies':{'a':1}}",             "#/dependencies/a",        "object or a boolean"},
        {"{'contentSchema':1}",                  "#/contentSchema",         "object or a boolean"},
        {"{'$ref':'#/$defs/a'}",                 "#/$ref",                  "where nothing is"},
        {"{'$ref':'#/type','type':'null'}",      "#/type",                  "object or a boolean"},
        {"{'$ref':'#a'}",                        "#/$ref",                  "no such anchor"},
        {"{'$dynamicRef':'#a'}",                 "#/$dynamicRef",           "no such anchor"},
        {"{'not':{'$ref':'http://no.test/x'}}",  "#/not/$ref",              "http://no.test/x, which is not known"},
        {"{'$schema':'http://no.test/x'}",       "#/$schema",               "not known"},
        {"{'$schema':'http://json-schema.org/draft-04/schema#'}", "#/$schema", "not known"},
        {"{'$anchor':'a','not':{'$anchor':'a'}}", "#/not/$anchor",          "names another place"},
        {"{'not':{'$id':'a'},'if':{'$id':'a'}}", "#/if/$id",                "names another schema"},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_refused(wrong[i][0], NULL, SCHEMA_INVALID, wrong[i][1], wrong[i][2]);
    }
}

/* What the readers of the keywords refuse, the metaschema refuses too, and the other way round. */
static void the_compiler_agrees_with_the_metaschema(void **state)
{
    (void)state;
    static const char *const values[] = {"null",
                                         "true",
                                         "0",
                                         "-1",
                                         "1.5",
                                         "2.0",
                                         "'a'",
                                         "[]",
                                         "['a']",
                                         "[1]",
                                         "['a','a']",
                                         "[{}]",
                                         "[true,5]",
                                         "{}",
                                         "{'a':1}",
                                         "{'a':['b']}",
                                         "{'a':['b','b']}",
                                         "{'a':{}}",
                                         "'string'",
                                         "['string','null']",
                                         "{'b':true}"};
    static const char *const names[] = {"$comment",
                                        "$defs",
                                        "definitions",
                                        "$vocabulary",
                                        "title",
                                        "description",
                                        "default",
                                        "deprecated",
                                        "readOnly",
                                        "writeOnly",
                                        "examples",
                                        "type",
                                        "const",
                                        "enum",
                                        "minimum",
                                        "exclusiveMinimum",
                                        "maximum",
                                        "exclusiveMaximum",
                                        "multipleOf",
                                        "minLength",
                                        "maxLength",
                                        "pattern",
                                        "format",
                                        "contentEncoding",
                                        "contentMediaType",
                                        "contentSchema",
                                        "minItems",
                                        "maxItems",
                                        "minProperties",
                                        "maxProperties",
                                        "required",
                                        "dependentRequired",
                                        "properties",
                                        "patternProperties",
                                        "additionalProperties",
                                        "propertyNames",
                                        "dependencies",
                                        "dependentSchemas",
                                        "prefixItems",
                                        "items",
                                        "additionalItems",
                                        "contains",
                                        "minContains",
                                        "maxContains",
                                        "uniqueItems",
                                        "allOf",
                                        "anyOf",
                                        "oneOf",
                                        "not",
                                        "if",
                                        "then",
                                        "else",
                                        "unevaluatedProperties",
                                        "unevaluatedItems",
                                        "unheardOf"};
    static const char *const metaschemas[] = {
        "{'$ref':'https://json-schema.org/draft/2020-12/schema'}",
        "{'$ref':'http://json-schema.org/draft-07/schema#'}"};
    for (int draft = 0; draft < 2; draft++) {
        struct schema_options options = {.draft = draft ? SCHEMA_DRAFT_7 : SCHEMA_2020_12};
        struct schema *meta = compiled(metaschemas[draft], &options);
        size_t accepted = 0, refused = 0;
        for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
            for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
                json_t *root = json_object();
                json_object_set_new(root, names[n], json(values[v]));
                struct schema *schema = schema_compile(root, &options, NULL);
                bool fits = schema_valid(meta, root);
                if (fits != (schema != NULL)) {
                    fail_msg("draft %d: {%s: %s}: metaschema says %d", draft, names[n], values[v],
                             fits);
                }
                *(fits ? &accepted : &refused) += 1;
                schema_free(schema);
                json_decref(root);
            }
        }
        assert_true(accepted > 200 && refused > 200);
        schema_free(meta);
    }
}

static void a_schema_is_held_against_a_metaschema_of_the_caller(void **state)
{
    (void)state;
    json_t *resources =
        json("{'https://x.test/m':{'$id':'https://x.test/m','$schema':'https://json-schema.org/"
             "draft/2020-12/schema',"
             "'$ref':'https://json-schema.org/draft/2020-12/schema','required':['title']}}");
    struct schema_options options = {.resources = resources};
    assert_refused("{'$schema':'https://x.test/m','type':'null'}", &options, SCHEMA_INVALID, "#",
                   "property \"title\" is required");
    assert_int_equal(
        verdict_with("{'$schema':'https://x.test/m','title':'t','type':'null'}", "null", &options),
        SCHEMA_OK);
    json_decref(resources);
}

static void a_required_vocabulary_must_be_known(void **state)
{
    (void)state;
    json_t *resources = json("{'https://x.test/m':{'$vocabulary':{'https://x.test/v':true}},"
                             "'https://x.test/o':{'$vocabulary':{'https://x.test/v':false}}}");
    struct schema_options options = {.resources = resources};
    assert_refused("{'$schema':'https://x.test/m'}", &options, SCHEMA_INVALID, "#/$schema",
                   "https://x.test/v, which is not known");
    /* Only the core is in force there: "type" is a word like any other. */
    assert_int_equal(verdict_with("{'$schema':'https://x.test/o','type':'null'}", "1", &options),
                     SCHEMA_OK);
    json_decref(resources);
}

static void the_option_chooses_the_draft_where_the_schema_does_not(void **state)
{
    (void)state;
    struct schema_options draft_7 = {.draft = SCHEMA_DRAFT_7};
    const char *tuple = "{'items':[{'type':'null'}],'additionalItems':false}";
    assert_int_equal(verdict_with(tuple, "[null]", &draft_7), SCHEMA_OK);
    assert_int_equal(verdict_with(tuple, "[null,1]", &draft_7), SCHEMA_INVALID);
    assert_int_equal(verdict_with("{'$schema':'https://json-schema.org/draft/2020-12/schema',"
                                  "'prefixItems':[{'type':'null'}]}",
                                  "[1]", &draft_7),
                     SCHEMA_INVALID);
    /* Beside $ref draft 7 sees nothing, 2020-12 everything. */
    const char *beside =
        "{'definitions':{'a':true},'not':{'not':{'$ref':'#/definitions/a','type':'null'}}}";
    assert_int_equal(verdict_with(beside, "1", &draft_7), SCHEMA_OK);
    assert_int_equal(verdict(beside, "1"), SCHEMA_INVALID);
}

static void numbers_are_compared_as_mathematics(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *instance;
        bool fits;
    } cases[] = {
        /* clang-format off */
        {"{'const':1}",                             "1.0",                  true},
        {"{'const':{'a':[1.0,{'b':0}]}}",           "{'a':[1,{'b':-0.0}]}", true},
        {"{'enum':[1,2,3]}",                        "2.0",                  true},
        {"{'enum':[true]}",                         "1",                    false},
        {"{'enum':[0]}",                            "false",                false},
        {"{'const':9007199254740993}",              "9007199254740992.0",   false},
        {"{'maximum':9007199254740992.0}",          "9007199254740993",     false},
        {"{'exclusiveMinimum':9007199254740992.0}", "9007199254740993",     true},
        {"{'maximum':9223372036854775807}",         "9223372036854775808.0", false},
        {"{'minimum':-9223372036854775808}",        "-9.3e18",              false},
        {"{'minimum':1.5}",                         "1",                    false},
        {"{'minimum':-1.5}",                        "-1",                   true},
        {"{'maximum':-1.5}",                        "-1",                   false},
        {"{'type':'integer'}",                      "1e300",                true},
        {"{'type':'integer'}",                      "1.5",                  false},
        {"{'multipleOf':0.0001}",                   "0.0075",               true},
        {"{'multipleOf':0.0001}",                   "0.00751",              false},
        {"{'multipleOf':0.01}",                     "4.02",                 true},
        {"{'multipleOf':0.1}",                      "1e308",                true},
        {"{'multipleOf':0.123456789}",              "1e308",                false},
        {"{'multipleOf':1e-8}",                     "12391239123",          true},
        {"{'multipleOf':1e-300}",                   "1e300",                true},
        {"{'multipleOf':1e300}",                    "1e-300",               false},
        {"{'multipleOf':7e300}",                    "0",                    true},
        {"{'multipleOf':3}",                        "-9",                   true},
        {"{'multipleOf':3}",                        "-10",                  false},
        {"{'multipleOf':2}",                        "-9223372036854775808", true},
        {"{'multipleOf':9223372036854775807}",      "9223372036854775806",  false},
        {"{'multipleOf':2.5}",                      "5",                    true},
        {"{'uniqueItems':true}",                    "[1,true,0,false]",     true},
        {"{'uniqueItems':true}",                    "[[1],[1.0]]",          false},
        {"{'uniqueItems':true}",                    "[{'a':1,'b':2},{'b':2,'a':1}]", false},
        {"{'uniqueItems':true}",                    "[9007199254740993,9007199254740992.0]", true},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if ((verdict(cases[i].schema, cases[i].instance) == SCHEMA_OK) != cases[i].fits) {
            fail_msg("%s with %s", cases[i].schema, cases[i].instance);
        }
    }
}

/* Many items, so that the path through hashes and sorting is taken. */
static void unique_items_finds_the_only_twins_among_many(void **state)
{
    (void)state;
    struct schema *schema = compiled("{'uniqueItems':true}", NULL);
    json_t *array = json_array();
    for (int i = 0; i < 5000; i++) {
        json_array_append_new(array, json_pack("{s:i,s:[f]}", "n", i, "x", i / 2.0));
    }
    assert_int_equal(schema_verdict(schema, array), SCHEMA_OK);
    json_array_append_new(array, json_pack("{s:[f],s:f}", "x", 1234.5, "n", 2469.0));
    assert_int_equal(schema_verdict(schema, array), SCHEMA_INVALID);
    json_decref(array);
    schema_free(schema);
}

static bool matches(const char *pattern, const char *text)
{
    json_t *root = json_pack("{s:s}", "pattern", pattern), *instance = json_string(text);
    struct schema_problem problem = {0};
    struct schema *schema = schema_compile(root, NULL, &problem);
    if (!schema) {
        fail_msg("%s: %s", pattern, problem.reason);
    }
    bool fits = schema_valid(schema, instance);
    json_decref(root);
    json_decref(instance);
    schema_free(schema);
    return fits;
}

static void patterns_mean_what_ecma_262_says(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool fits;
    } cases[] = {
        /* clang-format off */
        {"b",                     "abc",                  true},
        {"^b",                    "abc",                  false},
        {"^a$",                   "a\n",                  false},
        {"^.$",                   "\n",                   false},
        {"^.$",                   "\r",                   false},
        {"^.$",                   "\xE2\x80\xA8",         false},
        {"^.$",                   "\xF0\x9F\x98\x80",     true},
        {"^\\d$",                 "\xD9\xA3",             false},
        {"^\\w$",                 "\xC3\xA9",             false},
        {"^\\s$",                 "\xEF\xBB\xBF",         true},
        {"^[\\s]$",               "\xC2\xA0",             true},
        {"^[^\\S]$",              "\xE2\x80\xA9",         true},
        {"^[\\Sx]$",              " ",                    false},
        {"^[\\S ]$",              " ",                    true},
        {"^\\S$",                 "\xF0\x9F\x98\x80",     true},
        {"[]",                    "a",                    false},
        {"^[^]$",                 "\n",                   true},
        {"^[]]$",                 "]",                    false},
        {"^[[:alpha:]]$",         ":]",                   true},
        {"^[[:alpha:]]$",         "b]",                   false},
        {"^[\\w-.]+$",            "a-.b",                 true},
        {"^[a-c-e]+$",            "-e",                   true},
        {"^[\\b]$",               "\b",                   true},
        {"\\bfoo\\b",             "a foo b",              true},
        {"^\\cJ$",                "\n",                   true},
        {"^\\x41\\u0042$",        "AB",                   true},
        {"^\\uD83D\\uDE00$",      "\xF0\x9F\x98\x80",     true},
        {"^\\u{1F600}$",          "\xF0\x9F\x98\x80",     true},
        {"^[\\u{1F600}-\\u{1F64F}]$", "\xF0\x9F\x98\x81", true},
        {"\\uD83D",               "\xF0\x9F\x98\x80",     false},
        {"^a{2}$",                "aa",                   true},
        {"^a{2,}$",               "a",                    false},
        {"^a{,2}$",               "a{,2}",                true},
        {"^{x}$",                 "{x}",                  true},
        {"^a{1}?$",               "a",                    true},
        {"^(a)(b)?\\2$",          "a",                    true},
        {"^\\1(a)$",              "a",                    true},
        {"^(?<y>..)-\\k<y>$",     "ab-ab",                true},
        {"^(?<y>..)-\\k<y>$",     "ab-ac",                false},
        {"^\\k<y>(?<y>a)$",       "a",                    true},
        {"(?<=\\$)\\d+",          "cost $42",             true},
        {"(?<!\\$)\\b\\d+",       "cost $42",             false},
        {"^(?!a)",                "abc",                  false},
        {"^\\p{Lu}$",             "\xC3\x89",             true},
        {"^\\p{Uppercase_Letter}$", "a",                  false},
        {"^\\p{Script=Greek}$",   "\xCE\xB1",             true},
        {"^\\p{General_Category=Letter}+$", "a\xCE\xB1",  true},
        {"^[\\P{L}]$",            "a",                    false},
        {"^\\/\\-\\@$",           "/-@",                  true},
        {"^#  x$",                "#  x",                 true},
        {"",                      "",                     true},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (matches(cases[i].pattern, cases[i].text) != cases[i].fits) {
            fail_msg("/%s/ on \"%s\"", cases[i].pattern, cases[i].text);
        }
    }
}

static void what_only_pcre_understands_is_no_pattern(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "(?i)a",   "(?P<n>a)",    "(?>a)",   "(?#c)",    "(?|a)",   "(?R)",
        "(a)(?1)", "(*UCP)a",     "(*FAIL)", "a++",      "a*+",     "a?+",
        "a**",     "a{2}{3}",     "*a",      "+",        "^*",      "\\b+",
        "(?<=a)*", "\\A",         "\\Z",     "\\z",      "\\G",     "\\a",
        "\\e",     "\\h",         "\\R",     "\\X",      "\\Qa\\E", "\\K",
        "\\N",     "\\1",         "(a)\\2",  "\\k<n>",   "\\k",     "(?<n>a)(?<n>b)",
        "(?<1>a)", "(?<>a)",      "a{3,2}",  "a{99999}", "[z-a]",   "[\\Z]",
        "[a",      "(a",          "a)",      "\\",       "\\c1",    "\\x4",
        "\\u12",   "\\u{110000}", "\\01",    "\\p",      "\\p{}",   "\\p{Nope}",
        "\\p{^L}", "\\pL",        "[\\1]"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        json_t *root = json_pack("{s:s}", "pattern", refused[i]);
        struct schema_problem problem = {0};
        struct schema *schema = schema_compile(root, NULL, &problem);
        if (schema) {
            fail_msg("/%s/ compiles", refused[i]);
        }
        assert_string_equal(problem.place, "#/pattern");
        json_decref(root);
    }
}

static void formats_are_asserted_only_when_asked(void **state)
{
    (void)state;
    struct schema_options asserting = {.assert_formats = true};
    assert_int_equal(verdict("{'format':'ipv4'}", "'x'"), SCHEMA_OK);
    assert_int_equal(verdict_with("{'format':'ipv4'}", "'x'", &asserting), SCHEMA_INVALID);
    assert_int_equal(verdict_with("{'format':'ipv4'}", "7", &asserting), SCHEMA_OK);
    assert_int_equal(verdict_with("{'format':'unheard-of'}", "'x'", &asserting), SCHEMA_OK);
}

/* Beyond the official suite's cases. */
static void formats_follow_their_rfcs(void **state)
{
    (void)state;
    static const struct {
        const char *format, *good, *bad; /* each a list, with a space between */
    } cases[] = {
        /* clang-format off */
        {"date-time", "2024-02-29T23:59:59Z 2016-12-31T23:59:60Z 1990-12-31T15:59:60-08:00 2000-01-01t00:00:00.1z",
         "2023-02-29T00:00:00Z 2016-12-31T22:59:60Z 2024-01-01T24:00:00Z 2024-1-1T00:00:00Z 2024-01-01T00:00:00 "
         "2024-01-01T00:00:00.Z 2024-01-01T00:00:00+0100 2024-01-01T00:00:00Zx"},
        {"date", "2000-02-29 2024-12-31", "1900-02-29 2024-00-01 2024-13-01 2024-01-00 2024-01-011 24-01-01"},
        {"time", "08:30:06Z 01:29:60+01:30 00:29:60-23:30 12:34:56-00:00", "08:30:06 23:58:60Z 08:30:06+24:00 08:30:06+0130 08:30:06+01"},
        {"duration", "P1Y2M3DT4H5M6S P2W PT0S P1M2D PT1M2S P01D", "P PT P1 P1YT P2D1Y P1Y2D PT1H2S P1Y2W P1W1D PT0.5S 1D P-1D P1WT1H"},
        {"email", "a@b te~st@example.com \"@\"@x.y a@[127.0.0.1] a@[ipv6:::1] \"\\a\"@b a@c--n.com",
         "a @b a@ a.@b .a@b a..b@c a@b. a@.b a@b..c a@-b a@b- \"a\"b@c \"a@b a@[1.2.3] a@[] a@b_c é@b a@é a@b@c"},
        {"idn-email", "é@ü.de 실례@실례.테스트 a@b", "é é@ @ü.de é@-ü"},
        {"hostname", "a a.b a-b 1.2 xn--4gbwdl.xn--wgbh1c", "a. .a a..b -a a- a_b é xn--X xn--aa---o47jg78q"},
        {"idn-hostname", "실례.테스트 a。b ßς་〇 l·l α͵β א׳ב ・ぁ क्‍ष بي‌بي",
         "〮실례 a·l l· α͵ ׳ב ・ ab・c ٠۰ क‍ष ‍ष a。 -> Ü ـߺ ｱ xn--X"},
        {"ipv4", "0.0.0.0 255.255.255.255", "256.0.0.1 1.2.3 1.2.3.4.5 01.2.3.4 1.2.3. .1.2.3 1.2.3.4x 1.2.3.0004 ٣.2.3.4"},
        {"ipv6", ":: ::1 1:: 1:2:3:4:5:6:7:8 1::8 ::ffff:1.2.3.4 1:2:3:4:5:6:1.2.3.4 1:2:3:4:5:6:7::",
         ": ::: 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 1:2:3:4:5:6:7:8:: 1::2::3 12345:: ::g ::1.2.3 1:2:3:4:5:6:7:1.2.3.4 :1::2 1:"
         " ::1%eth0 ::1.2.3.4:5"},
        {"uri", "a: http://a http://u:p@[::1]:80/a;b?c#d urn:a:b http://[v1.x:y] file:///x http://a: http://:80 http://%41/",
         "a /a //a :a 1a:b a_b:c http://[::1 http://a:b:1 http://[1.2.3.4] http://a/% http://a/é http://a/[ a:#b#c http://[v.x] http://[::1]x"},
        {"uri-reference", "a //a/b ../x ?q #f a/b:c ./a:b", "\\\\a :a a%2 #a#b a_b:c {"},
        {"iri", "http://ƒøø.ßår/?∂#π urn:é", "é http://2001:db8::1 \\é"},
        {"iri-reference", "é //é é?é #é", "\\é #x#"},
        {"uuid", "2EB8AA08-aa98-11ea-b4aa-73b441d16380 00000000-0000-0000-0000-000000000000",
         "2eb8aa08aa98-11ea-b4aa-73b441d16380 2eb8aa08-aa98-11ea-b4aa-73b441d1638g 2eb8aa08-aa98-11ea-b4aa-73b441d163800"},
        {"uri-template", "a/{b} {+a,b:3,c*} {?a.b} {%41} é a'b {v:9999}", "{ } {} {a {a,} {a:0} {a:10000} {a:01} {a=b} {a..b} a% a%4 {%} <"},
        {"json-pointer", "/ /a/b /~0~1 //", "a /~ /~2 #/a"},
        {"relative-json-pointer", "0 1/a 10# 0/", "01 -1 # /a 1a 0## "},
        {"regex", "^a$ (?<n>a)\\k<n> [^] \\p{L} a{2}", "( a++ \\a \\Z (?i)a [z-a] \\p{nope}"},
        /* clang-format on */
    };
    struct schema_options asserting = {.assert_formats = true};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *root = json_pack("{s:s}", "format", cases[i].format);
        struct schema *schema = schema_compile(root, &asserting, NULL);
        assert_non_null(schema);
        for (int good = 0; good < 2; good++) {
            char list[1024];
            snprintf(list, sizeof list, "%s", good ? cases[i].good : cases[i].bad);
            for (char *rest = list, *word; (word = strtok_r(rest, " ", &rest));) {
                json_t *instance = json_string(word);
                assert_non_null(instance);
                if (schema_valid(schema, instance) != (good == 1)) {
                    fail_msg("%s: \"%s\" should be %s", cases[i].format, word,
                             good ? "valid" : "invalid");
                }
                json_decref(instance);
            }
        }
        json_decref(root);
        schema_free(schema);
    }
}

static void a_host_name_is_measured_as_it_is_sent(void **state)
{
    (void)state;
    struct schema_options asserting = {.assert_formats = true};
    struct schema *schema = compiled("{'format':'idn-hostname'}", &asserting);
    char text[600] = "";
    for (int labels = 1; labels <= 60; labels++) { /* "xn--tda" and a dot: 8 bytes each */
        strcat(text, labels == 1 ? "ü" : ".ü");
        json_t *instance = json_string(text);
        if (schema_valid(schema, instance) != (labels * 8 - 1 <= 253)) {
            fail_msg("%d labels", labels);
        }
        json_decref(instance);
    }
    schema_free(schema);
}

static void a_reference_that_leads_back_to_itself_ends_the_budget(void **state)
{
    (void)state;
    assert_int_equal(verdict("{'$ref':'#'}", "1"), SCHEMA_BUDGET);
    assert_int_equal(
        verdict("{'$defs':{'a':{'allOf':[{'$ref':'#/$defs/b'}]},'b':{'not':{'$ref':'#/$defs/a'}}},"
                "'$ref':'#/$defs/a'}",
                "1"),
        SCHEMA_BUDGET);
    assert_int_equal(verdict("{'$dynamicAnchor':'n','$dynamicRef':'#n'}", "1"), SCHEMA_BUDGET);
    struct seen seen = errors_of("{'$ref':'#'}", "1", 5, SCHEMA_BUDGET);
    assert_int_equal(seen.count, 1);
    assert_non_null(strstr(seen.lines[0], "leads back to itself"));
    /* The same reference one level deeper in the instance is no loop. */
    assert_int_equal(
        verdict("{'properties':{'a':{'$ref':'#'}},'maxProperties':1}", "{'a':{'a':{}}}"),
        SCHEMA_OK);
}

static char *grown(const char *head, const char *middle, const char *tail, int times)
{
    size_t n = strlen(head) + strlen(tail) + strlen(middle) * (size_t)times + 1;
    char *out = malloc(n);
    assert_non_null(out);
    strcpy(out, head);
    for (int i = 0; i < times; i++) {
        strcat(out, middle);
    }
    return strcat(out, tail);
}

static void a_tree_of_alternatives_runs_into_the_budget(void **state)
{
    (void)state;
    char text[4096] = "{'$ref':'#/$defs/a0','$defs':{";
    for (int i = 0; i < 40; i++) {
        sprintf(text + strlen(text),
                "'a%d':{'anyOf':[{'$ref':'#/$defs/a%d'},{'$ref':'#/$defs/a%d'}]},", i, i + 1,
                i + 1);
    }
    strcat(text, "'a40':false}}");
    assert_int_equal(verdict(text, "1"), SCHEMA_BUDGET);
}

static void a_pattern_that_explodes_runs_into_the_budget(void **state)
{
    (void)state;
    char *text = grown("'", "a", "b'", 64);
    assert_int_equal(verdict("{'pattern':'^(a+)+$'}", text), SCHEMA_BUDGET);
    assert_int_equal(verdict("{'not':{'pattern':'^(a|aa)+$'}}", text), SCHEMA_BUDGET);
    free(text);
    text = grown("{'", "x", "':1}", 5000);
    assert_int_equal(verdict("{'patternProperties':{'^(x+x+)+y':true}}", text), SCHEMA_BUDGET);
    free(text);
}

static void steps_are_counted_and_bounded(void **state)
{
    (void)state;
    char *text = grown("[0", ",0", "]", 999);
    struct schema_options tight = {.limits = {.steps_max = 1000}};
    struct schema_options loose = {.limits = {.steps_max = 10000}};
    const char *schema = "{'items':{'type':'integer'}}";
    assert_int_equal(verdict_with(schema, text, &tight), SCHEMA_BUDGET);
    assert_int_equal(verdict_with(schema, text, &loose), SCHEMA_OK);
    /* What is sure is told, even if the rest can no longer be paid for. */
    assert_int_equal(errors_of("{'items':{'type':'null'}}", text, 3, SCHEMA_INVALID).count, 3);
    free(text);
}

static void applying_schemas_too_deep_runs_into_the_budget(void **state)
{
    (void)state;
    char *deep = grown("", "[", "", 600), *instance = grown(deep, "]", "", 600);
    assert_int_equal(verdict("{'items':{'$ref':'#'},'minItems':0}", instance), SCHEMA_BUDGET);
    struct schema_options deeper = {.limits = {.depth_max = 2000}};
    assert_int_equal(verdict_with("{'items':{'$ref':'#'},'minItems':0}", instance, &deeper),
                     SCHEMA_OK);
    free(deep);
    free(instance);
}

static void schemas_that_are_too_large_do_not_compile(void **state)
{
    (void)state;
    char *nots = grown("", "{'not':", "true", 600), *nested = grown(nots, "}", "", 600);
    json_t *root = json(nested);
    struct schema_problem problem = {0};
    assert_null(schema_compile(root, NULL, &problem));
    assert_int_equal(problem.rc, SCHEMA_BUDGET);
    assert_non_null(strstr(problem.reason, "nested too deep"));
    json_decref(root);
    free(nots);
    free(nested);

    struct schema_options few = {.limits = {.nodes_max = 3}};
    assert_refused("{'allOf':[true,true,true]}", &few, SCHEMA_BUDGET, "#/allOf/2", "too large");
    struct schema_options small = {.limits = {.pattern_bytes_max = 3000}};
    assert_refused("{'allOf':[{'pattern':'(abc){100}'},{'pattern':'(abd){100}'}]}", &small,
                   SCHEMA_BUDGET, "#/allOf/1/pattern", "patterns larger");
    char *pattern = grown("{'pattern':'", "a", "'}", 9000);
    assert_refused(pattern, NULL, SCHEMA_INVALID, "#/pattern", "longer than 8192");
    free(pattern);
}

/* jansson reads a JSON text without NUL only as such, so keys cannot have one; strings can. */
static void a_nul_is_a_character_like_any_other(void **state)
{
    (void)state;
    assert_int_equal(verdict("{'minLength':3,'pattern':'^a\\\\u0000b$'}", "'a\\u0000b'"),
                     SCHEMA_OK);
    assert_int_equal(verdict("{'const':'a\\u0000b'}", "'a\\u0000c'"), SCHEMA_INVALID);
    assert_int_equal(verdict("{'required':['a\\u0000']}", "{'a':1}"), SCHEMA_INVALID);
}

static void resources_are_found_by_uri_and_never_fetched(void **state)
{
    (void)state;
    json_t *resources = json("{'https://x.test/a/b':{'$id':'https://y.test/c/"
                             "','$defs':{'i':{'$id':'i','type':'integer'},"
                             "'n':{'$anchor':'n','type':'null'}},'items':{'$ref':'i'}},"
                             "'https://x.test/a/d#':{'type':'string'}}");
    struct schema_options options = {.resources = resources};
    const char *by_key = "{'$id':'https://x.test/a/root','$ref':'b'}";
    assert_int_equal(verdict_with(by_key, "[1]", &options), SCHEMA_OK);
    assert_int_equal(verdict_with(by_key, "['1']", &options), SCHEMA_INVALID);
    assert_int_equal(verdict_with("{'$ref':'https://x.test/a/b#n'}", "1", &options),
                     SCHEMA_INVALID);
    assert_int_equal(verdict_with("{'$ref':'https://x.test/a/d'}", "1", &options), SCHEMA_INVALID);
    assert_refused("{'$ref':'https://z.test/'}", &options, SCHEMA_INVALID, "#/$ref", "not known");
    json_decref(resources);
}

static void references_find_places_that_no_keyword_leads_to(void **state)
{
    (void)state;
    assert_int_equal(verdict("{'x':{'y':[0,{'type':'null'}]},'$ref':'#/x/y/1'}", "1"),
                     SCHEMA_INVALID);
    assert_int_equal(verdict("{'':{'type':'null'},'$ref':'#/'}", "1"), SCHEMA_INVALID);
    assert_int_equal(verdict("{'x y':{'%':false},'$ref':'#/x%20y/%25'}", "1"), SCHEMA_INVALID);
    struct schema_options six = {.limits = {.nodes_max = 6}};
    assert_int_equal(verdict_with("{'$defs':{'z':true},'allOf':[{'$ref':'#/$defs/z'},"
                                  "{'$ref':'#/$defs/z'},{'$ref':'#/$defs/z'}]}",
                                  "1", &six),
                     SCHEMA_OK);
    ASSERT_ERRORS("{'x':{'y~':[0,{'not':{}}]},'$ref':'#/x/y~0/1'}", "1",
                  " | not | #/x/y~0/1/not | must not match the schema in \"not\" | -");
}

struct worker {
    const struct schema *schema;
    const json_t *good, *bad;
    size_t right;
};

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct seen seen;
    for (int i = 0; i < 300; i++) {
        seen.count = 0;
        worker->right += schema_valid(worker->schema, worker->good);
        worker->right +=
            schema_check(worker->schema, worker->bad, 9, record, &seen) == SCHEMA_INVALID &&
            seen.count == 4;
    }
    return NULL;
}

static void one_schema_serves_many_threads(void **state)
{
    (void)state;
    enum { THREADS = 4 };
    struct schema_options asserting = {.assert_formats = true};
    struct schema *schema = compiled(
        "{'$dynamicAnchor':'node','type':'object','properties':{'name':{'pattern':'^[a-z]+$','"
        "format':'idn-hostname'},"
        "'kids':{'items':{'$dynamicRef':'#node'},'uniqueItems':true},'kind':{'enum':['a',{'b':1}]}}"
        ","
        "'anyOf':[{'required':['name']},{'required':['kind']}],'unevaluatedProperties':false}",
        &asserting);
    json_t *good = json("{'name':'x','kids':[{'name':'y'},{'kind':{'b':1.0}}]}");
    json_t *bad = json("{'name':'X','kids':[{'name':'é'},{'kind':'b'}],'more':1}");
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){schema, good, bad, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].right, 600);
    }
    json_decref(good);
    json_decref(bad);
    schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_names_its_place_and_its_bound),
        cmocka_unit_test(a_value_of_the_wrong_type_is_told_once),
        cmocka_unit_test(places_are_json_pointers_with_escapes),
        cmocka_unit_test(errors_in_another_document_are_told_by_its_uri),
        cmocka_unit_test(errors_stop_at_errors_max),
        cmocka_unit_test(only_the_alternative_about_the_type_is_told),
        cmocka_unit_test(a_wrong_property_is_not_called_unevaluated_as_well),
        cmocka_unit_test(long_values_are_cut_in_messages_between_characters),
        cmocka_unit_test(a_keyword_of_the_wrong_shape_is_refused_at_its_place),
        cmocka_unit_test(the_compiler_agrees_with_the_metaschema),
        cmocka_unit_test(a_schema_is_held_against_a_metaschema_of_the_caller),
        cmocka_unit_test(a_required_vocabulary_must_be_known),
        cmocka_unit_test(the_option_chooses_the_draft_where_the_schema_does_not),
        cmocka_unit_test(numbers_are_compared_as_mathematics),
        cmocka_unit_test(unique_items_finds_the_only_twins_among_many),
        cmocka_unit_test(patterns_mean_what_ecma_262_says),
        cmocka_unit_test(what_only_pcre_understands_is_no_pattern),
        cmocka_unit_test(formats_are_asserted_only_when_asked),
        cmocka_unit_test(formats_follow_their_rfcs),
        cmocka_unit_test(a_host_name_is_measured_as_it_is_sent),
        cmocka_unit_test(a_reference_that_leads_back_to_itself_ends_the_budget),
        cmocka_unit_test(a_tree_of_alternatives_runs_into_the_budget),
        cmocka_unit_test(a_pattern_that_explodes_runs_into_the_budget),
        cmocka_unit_test(steps_are_counted_and_bounded),
        cmocka_unit_test(applying_schemas_too_deep_runs_into_the_budget),
        cmocka_unit_test(schemas_that_are_too_large_do_not_compile),
        cmocka_unit_test(a_nul_is_a_character_like_any_other),
        cmocka_unit_test(resources_are_found_by_uri_and_never_fetched),
        cmocka_unit_test(references_find_places_that_no_keyword_leads_to),
        cmocka_unit_test(one_schema_serves_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
