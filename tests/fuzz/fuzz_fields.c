/* Parameters of calls that are read without a tree, over arbitrary text: what passes so is valid by
 * the operation's schema, and makes the same command as with a tree.
 *
 * Input: a line with the operation's name, then the parameters.
 */
#define _GNU_SOURCE
#include "hub/api/tables.h"
#include "hub/schema/schema.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static const struct operation *operation_named(struct slice name)
{
    for (size_t i = 0; i < task_operations.n; i++) {
        const struct operation *op = &task_operations.rows[i];
        if (op->fields && slice_is(name, op->name)) {
            return op;
        }
    }
    return NULL;
}

static void must_be_valid(const struct operation *op, const json_t *params)
{
    struct schema_problem problem;
    struct schema_options options = {.assert_formats = true};
    json_t *text = json_loads(op->params, JSON_REJECT_DUPLICATES, NULL);
    struct schema *schema = schema_compile(text, &options, &problem);
    must(schema != NULL);
    must(schema_verdict(schema, params) == SCHEMA_OK);
    schema_free(schema);
    json_decref(text);
}

struct made {
    struct buf body, out, message, detail;
    enum hub_rc rc;
};

static struct made make(const struct operation *op, const struct slice *values, json_t *params)
{
    static struct principal *who;
    struct made made = {.rc = HUB_OK};
    if (!who) {
        who = principal_new(&(struct principal_spec){.app = 1,
                                                     .app_id = slice_str("main"),
                                                     .role = ROLE_AGENT,
                                                     .kind = PRINCIPAL_API_KEY,
                                                     .subject = slice_str("bee")});
    }
    struct call call = {.operation = op,
                        .who = who,
                        .params = params,
                        .values = values,
                        .out = &made.out,
                        .message = &made.message,
                        .detail = &made.detail};
    made.rc = op->prepare(&call, &made.body);
    return made;
}

static void made_done(struct made *made)
{
    buf_done(&made->body);
    buf_done(&made->out);
    buf_done(&made->message);
    buf_done(&made->detail);
}

/* A renewal of a named task looks it up in the store, which is not here. */
static bool asks_the_store(const struct operation *op, const struct slice *values)
{
    return strcmp(op->name, "tasks.renew") == 0 &&
           values[field_named(op->fields, slice_str("task_id"))].n > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    size_t at, head = newline ? (size_t)(newline - data) : 0;
    struct slice params = newline ? slice_of(newline + 1, size - head - 1) : slice_of(NULL, 0);
    const struct operation *op = operation_named(slice_of(data, head));
    struct slice values[FIELDS_MAX];
    if (!op || json_check(params, JSON_DEPTH_MAX - 1, &at) != JSON_OK ||
        !fields_read(op->fields, json_trim(params), values)) {
        return 0;
    }
    json_t *tree = json_loadb((const char *)params.p, params.n, JSON_REJECT_DUPLICATES, NULL);
    must(tree != NULL);
    must_be_valid(op, tree);
    if (!asks_the_store(op, values)) {
        struct made quick = make(op, values, NULL), ordinary = make(op, NULL, tree);
        must(quick.rc == ordinary.rc);
        must(slice_equal(buf_slice(&quick.body), buf_slice(&ordinary.body)));
        must(slice_equal(buf_slice(&quick.message), buf_slice(&ordinary.message)));
        made_done(&quick);
        made_done(&ordinary);
    }
    json_decref(tree);
    return 0;
}
