/* The hub's own validator, offered to its users. A schema and an instance of a stranger are judged
 * on an I/O thread that serves others too, so the work is bounded more tightly than the validator's
 * own defaults: what does not fit is refused, never cut short. */
#include "hub/api/components.h"
#include "hub/api/tables.h"
#include "hub/schema/schema.h"

enum { NODES_MAX = 10000, STEPS_MAX = 200000, PATTERN_BYTES_MAX = 256 << 10, ERRORS_MAX = 100 };

static struct schema_options options_of(const struct call *call)
{
    struct slice draft = call_text(call, "draft");
    return (struct schema_options){.draft = slice_is(draft, "draft-07") ? SCHEMA_DRAFT_7
                                                                        : SCHEMA_2020_12,
                                   .assert_formats = call_bool(call, "assert_formats", false),
                                   .resources = call_json(call, "resources"),
                                   .limits = {.nodes_max = NODES_MAX,
                                              .steps_max = STEPS_MAX,
                                              .pattern_bytes_max = PATTERN_BYTES_MAX}};
}

static enum hub_rc refuse_schema(struct call *call, const struct schema_problem *problem)
{
    if (problem->rc == SCHEMA_BUDGET) {
        return call_fail_field(call, "schema", "schema_budget", "%.400s at %.80s", problem->reason,
                               problem->place);
    }
    return call_fail_field(call, "schema", "schema_invalid", "%.160s: %.300s", problem->place,
                           problem->reason);
}

static void put_error(void *ctx, const struct schema_error *error)
{
    struct json_out *o = ctx;
    json_begin(o, '{');
    json_key(o, "instance");
    json_str(o, error->instance);
    json_key(o, "keyword");
    json_str(o, error->keyword);
    json_key(o, "schema");
    json_str(o, error->schema);
    json_key(o, "message");
    json_str(o, error->message);
    json_end(o, '}');
}

static enum hub_rc judge(struct call *call, const struct schema *schema)
{
    struct buf errors = {0};
    struct json_out e = json_out_to(&errors), o = json_out_to(call->out);
    json_begin(&e, '[');
    enum schema_rc rc =
        schema_check(schema, call_json(call, "instance"), ERRORS_MAX, put_error, &e);
    json_end(&e, ']');
    if (rc != SCHEMA_BUDGET) {
        json_begin(&o, '{');
        json_key(&o, "valid");
        json_bool(&o, rc == SCHEMA_OK);
        json_key(&o, "errors");
        json_raw(&o, buf_slice(&errors));
        json_end(&o, '}');
    }
    buf_done(&errors);
    return rc == SCHEMA_BUDGET
               ? call_fail_field(call, "instance", "schema_budget",
                                 "no verdict within %d steps of work: ask about less at a time",
                                 STEPS_MAX)
               : HUB_OK;
}

static enum hub_rc validate(struct call *call)
{
    struct schema_options options = options_of(call);
    struct schema_problem problem = {.rc = SCHEMA_INVALID};
    struct schema *schema = schema_compile(call_json(call, "schema"), &options, &problem);
    if (!schema) {
        return refuse_schema(call, &problem);
    }
    enum hub_rc rc = judge(call, schema);
    schema_free(schema);
    return rc;
}

/* clang-format off */
static const struct operation rows[] = {
    { .name = "schemas.validate", .summary = "Judge a JSON value by a JSON Schema (2020-12 or draft 7)",
      .needs = ROLE_VIEWER, .flags = OPERATION_BODY,
      .routes = {{METHOD_POST, "/api/v1/schemas/validate", 200, STYLE_PROBLEM, false}},
      .params = SCHEMA({"type":"object","required":["schema","instance"],"properties":{
          "schema":{"type":["object","boolean"],"description":"What is demanded.","examples":[{"type":"object","required":["name"]}]},
          "instance":{"description":"Any JSON value.","examples":[{"name":"hive"}]},
          "resources":{"type":["object","null"],"additionalProperties":{"type":["object","boolean"]},"description":"Schemas by URI, which $ref may name: nothing is fetched."},
          "assert_formats":{"type":"boolean","description":"format is judged too; otherwise it is a remark."},
          "draft":{"enum":["2020-12","draft-07",null],"description":"Of a schema without $schema."}}}),
      .answer_schema = SCHEMA({"type":"object","required":["valid","errors"],"properties":{
          "valid":{"type":"boolean"},
          "errors":{"type":"array","maxItems":100,"items":{"type":"object","required":["instance","keyword","schema","message"],"properties":{
              "instance":{"type":"string","description":"JSON Pointer to the value at fault."},
              "keyword":{"type":"string"},
              "schema":{"type":"string","description":"Where the keyword stands."},
              "message":{"type":"string"}}}}}}),
      .query = validate },
};
/* clang-format on */

const struct operation_table schema_operations = {.rows = rows, .n = sizeof rows / sizeof *rows};
