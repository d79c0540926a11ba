/* What `call` reads without a tree, and what it reads with one, is the same command or the same
 * refusal. */
#include "tests/unit/api_fixture.h"

enum { ROUNDS = 20000, TEXT_MAX = 8192 };

static struct fixture *f;
static struct principal *bee;
static uint64_t seed;

static int setup(void **state)
{
    if (scratch_make(state) != 0) {
        return -1;
    }
    f = fixture_open(*state);
    bee = person(ROLE_AGENT, "bee");
    return 0;
}

static int teardown(void **state)
{
    fixture_close(f);
    principal_unref(bee);
    return scratch_remove(state);
}

/* ---- one call, and what came of it ---- */

struct outcome {
    enum api_result result;
    enum hub_rc rc;
    const struct command_kind *kind;
    struct buf body, message, detail;
};

static void outcome_done(struct outcome *o)
{
    buf_done(&o->body);
    buf_done(&o->message);
    buf_done(&o->detail);
}

/* The command is looked at and taken back: nothing is applied. */
static struct outcome ask(const char *method, const char *params)
{
    struct outcome o = {.rc = HUB_OK};
    fixture_begin(f, bee);
    f->call.socket = f;
    o.result = api_call(f->api, &f->call, slice_str(method), slice_str(params), slice_str("1"),
                        slice_of(NULL, 0), (struct return_address){0}, &o.rc);
    buf_add_slice(&o.message, buf_slice(&f->message));
    buf_add_slice(&o.detail, buf_slice(&f->detail));
    if (o.result == API_PENDING) {
        struct tray *tray = f->io.filling;
        const struct command *command = &tray->commands[--tray->commands_n];
        o.kind = command->kind;
        buf_add_slice(&o.body, tray_slice(tray, TRAY_IN, command->body_at, command->body_n));
        tray->in.n = command->id_at;
    }
    return o;
}

static void assert_same_text(const struct buf *a, const struct buf *b, const char *params)
{
    if (!slice_equal(buf_slice(a), buf_slice(b))) {
        fail_msg("%s: '%.*s' and '%.*s'", params, (int)a->n, (const char *)a->p, (int)b->n,
                 (const char *)b->p);
    }
}

/* A field that is not listed makes a call go the ordinary way, where it means nothing. */
static void assert_same(const char *method, const char *params)
{
    char with[TEXT_MAX + 32];
    (void)snprintf(with, sizeof with, "{\"elsewhere\":0%s%s", params[1] == '}' ? "" : ",",
                   params + 1);
    struct outcome quick = ask(method, params), ordinary = ask(method, with);
    assert_int_equal(quick.result, ordinary.result);
    assert_int_equal(quick.rc, ordinary.rc);
    assert_ptr_equal(quick.kind, ordinary.kind);
    assert_same_text(&quick.body, &ordinary.body, params);
    assert_same_text(&quick.message, &ordinary.message, params);
    assert_same_text(&quick.detail, &ordinary.detail, params);
    outcome_done(&quick);
    outcome_done(&ordinary);
}

static bool is_quick(const char *method, const char *params)
{
    size_t i;
    struct slice values[FIELDS_MAX];
    const struct operation *op = api_by_name(f->api, slice_str(method), &i);
    assert_non_null(op);
    return op->fields && fields_read(op->fields, slice_str(params), values);
}

/* ---- the usual ---- */

#define TASK "\"task_id\":\"task_5c1f00000000002a\""
#define LEASE "\"lease_id\":\"lease_0123456789abcdef000000000000002a00000001\""
#define BOTH TASK "," LEASE

static void the_usual_calls_build_no_tree(void **state)
{
    static const char *const usual[][2] = {
        {"tasks.submit", "{\"task_data\":{\"n\":1}}"},
        {"tasks.submit", "{\"task_data\":{\"task_id\":\"mine\",\"a\":[1,-2,{\"b\":null}]},"
                         "\"priority\":\"High\",\"region\":\"eu\",\"lease_seconds\":0.05,"
                         "\"total_seconds\":90.5,\"max_attempts\":3}"},
        {"tasks.submit", "{\"task_data\":{},\"prefer_agents\":[\"a\"],\"requirements\":{"
                         "\"agent_type\":\"worker\",\"capabilities\":[\"c\",\"d\",\"c\"],"
                         "\"services\":[],\"agents\":[\"a\",\"b\"],\"avoid\":[\"x\"],"
                         "\"min_health_score\":0.25}}"},
        {"tasks.submit", "{\"task_data\":{},\"requirements\":{\"agent_type\":\"drone\"}}"},
        {"tasks.accept", "{" BOTH "}"},
        {"tasks.reject", "{ " LEASE " , " TASK " }"},
        {"tasks.progress", "{" BOTH ",\"percent\":99.5,\"seq\":7,\"note\":\"h\303\244lfte\"}"},
        {"tasks.complete", "{" BOTH ",\"result\":{\"ok\":true,\"n\":-12}}"},
        {"tasks.complete", "{" BOTH "}"},
        {"tasks.fail", "{" BOTH ",\"error\":\"no\",\"retry_after\":1.5,\"non_retryable\":false}"},
        {"tasks.ask", "{" BOTH ",\"question\":\"which?\"}"},
        {"tasks.renew", "{\"leases\":[\"lease_0123456789abcdef000000000000002a00000001\",\"x\"]}"},
        {"tasks.renew", "{" LEASE "}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        assert_true(is_quick(usual[i][0], usual[i][1]));
        assert_same(usual[i][0], usual[i][1]);
    }
}

static void what_is_not_as_usual_is_left_to_the_schema(void **state)
{
    static const char *const odd[][2] = {
        {"tasks.submit", "{}"},
        {"tasks.submit", "{\"task_data\":{\"n\":1.0}}"},
        {"tasks.submit", "{\"task_data\":{\"n\": 1}}"},
        {"tasks.submit", "{\"task_data\":{\"a\":1,\"a\":1}}"},
        {"tasks.submit", "{\"task_data\":{\"task_id\":\"\"}}"},
        {"tasks.submit", "{\"task_data\":{\"task_id\":7}}"},
        {"tasks.submit", "{\"task_data\":{\"n\":-0}}"},
        {"tasks.submit", "{\"task_data\":{\"n\":1234567890123456789}}"},
        {"tasks.submit", "{\"task_data\":[1]}"},
        {"tasks.submit", "{\"task_data\":{},\"requirements\":{\"agents\":[\"a\",null]}}"},
        {"tasks.submit", "{\"task_data\":{},\"requirements\":{\"min_health_score\":1.5}}"},
        {"tasks.submit", "{\"task_data\":{},\"requirements\":{\"region\":\"eu\"}}"},
        {"tasks.submit", "{\"task_data\":{},\"requirements\":[]}"},
        {"tasks.submit", "{\"task_data\":{},\"capabilities\":[\"a\"]}"},
        {"tasks.submit", "{\"task_data\":{},\"max_attempts\":\"3\"}"},
        {"tasks.accept", "{" TASK "}"},
        {"tasks.accept", "{" BOTH "," TASK "}"},
        {"tasks.accept", "{" BOTH ",\"note\":1}"},
        {"tasks.progress", "{" BOTH ",\"percent\":101}"},
        {"tasks.progress", "{" BOTH ",\"note\":null}"},
        {"tasks.complete", "{" BOTH ",\"result\":\"\\u00e4\"}"},
        {"tasks.fail", "{" BOTH ",\"non_retryable\":0}"},
        {"tasks.renew", "{\"leases\":[\"\"]}"},
        {"tasks.renew", "{\"leases\":\"a\"}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_false(is_quick(odd[i][0], odd[i][1]));
        assert_same(odd[i][0], odd[i][1]);
    }
}

/* ---- whatever ---- */

static uint64_t below(uint64_t n)
{
    return scratch_random(&seed) % n;
}

static const char *one_value(void)
{
    static char long_text[3][600];
    static const char *const values[] = {
        "null",
        "true",
        "false",
        "0",
        "1",
        "-0",
        "-1",
        "7",
        "0.05",
        "0.049",
        "1.5",
        "99.5",
        "100",
        "100.5",
        "1e2",
        "1e-2",
        "1e400",
        "31536000",
        "31536001",
        "1000",
        "1001",
        "3.0",
        "123456789012345678",
        "1234567890123456789",
        "12345678901234567890",
        "\"\"",
        "\"a\"",
        "\"task_5c1f00000000002a\"",
        "\"lease_0123456789abcdef000000000000002a00000001\"",
        "\"high\"",
        "\"nothing\"",
        "\"\\u0061\"",
        "\"\\n\"",
        "\"a\\\"b\"",
        "\"\303\244\"",
        "\"\360\237\220\235\"",
        "[]",
        "[1]",
        "[\"a\"]",
        "[\"a\",\"a\"]",
        "[\"a\", \"b\"]",
        "[null]",
        "[\"\"]",
        "{}",
        "{\"n\":1}",
        "{\"n\": 1}",
        "{\"n\":1.50}",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"b\":{\"a\":[true,null,-5]}}",
        "{\"task_id\":\"mine\"}",
        "{\"task_id\":null}",
        "{\"task_id\":\"\"}",
        "{\"task_id\":1}",
        "{\"task\\u005fid\":\"mine\"}",
        "{\"\":0}",
        "[[[[[[[[[[1]]]]]]]]]]",
        "[[[[[[[[1]]]]]]]]",
    };
    enum { N = sizeof values / sizeof *values };
    static const size_t lengths[] = {64, 65, 128, 129, 512, 513};
    size_t i = below(N + 6);
    if (i < N) {
        return values[i];
    }
    char *text = long_text[below(3)];
    size_t n = lengths[i - N];
    text[0] = '"';
    memset(text + 1, 'x', n);
    (void)snprintf(text + 1 + n, 2, "\"");
    return text;
}

static bool belongs(const struct field *field, const char *group)
{
    bool inside = group && field->in && strcmp(group, field->in) == 0;
    return inside || (!group && !field->in) || below(60) == 0;
}

static void put_members(struct buf *b, const struct field *fields, const char *group);

static void put_member(struct buf *b, const struct field *fields, const struct field *field)
{
    static const char *const usual[] = {
        [FIELD_NONE] = "0",      [FIELD_TEXT] = "\"normal\"", [FIELD_TEXTS] = "[\"a\",\"b\"]",
        [FIELD_NUMBER] = "0.5",  [FIELD_WHOLE] = "3",         [FIELD_FLAG] = "true",
        [FIELD_DOCUMENT] = "{}", [FIELD_GROUP] = "{}",
    };
    buf_printf(b, "%s\"%s\":", b->p[b->n - 1] == '{' ? "" : ",", field->name);
    if (field->kind == FIELD_GROUP && below(5) > 0) {
        put_members(b, fields, field->name);
    } else {
        buf_add_str(b, below(3) > 0 ? usual[field->kind] : one_value());
    }
}

static void put_members(struct buf *b, const struct field *fields, const char *group)
{
    buf_add_str(b, "{");
    for (const struct field *field = fields; field->kind != FIELD_NONE; field++) {
        uint64_t rare = field->kind == FIELD_GROUP ? 2 : 6;
        bool there = belongs(field, group) && (field->needed ? below(20) > 0 : below(rare) == 0);
        for (uint64_t n = there; n; n = below(40) == 0) {
            put_member(b, fields, field);
        }
    }
    if (below(30) == 0) {
        static const char *const strange[] = {"other", "task_i", "task\\u005fid", ""};
        buf_printf(b, "%s\"%s\":%s", b->p[b->n - 1] == '{' ? "" : ",",
                   strange[below(sizeof strange / sizeof *strange)], one_value());
    }
    buf_add_str(b, "}");
}

static void whatever_is_asked_means_the_same_both_ways(void **state)
{
    static const char *const methods[] = {"tasks.submit",   "tasks.accept",   "tasks.reject",
                                          "tasks.progress", "tasks.complete", "tasks.fail",
                                          "tasks.ask",      "tasks.renew"};
    enum { METHODS_N = sizeof methods / sizeof *methods };
    unsigned quick[METHODS_N] = {0};
    struct buf params = {0};
    (void)state;
    seed = scratch_seed();
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t i;
        uint64_t m = below(METHODS_N);
        buf_clear(&params);
        put_members(&params, api_by_name(f->api, slice_str(methods[m]), &i)->fields, NULL);
        buf_add(&params, "", 1);
        if (params.n < TEXT_MAX) {
            quick[m] += is_quick(methods[m], (const char *)params.p);
            assert_same(methods[m], (const char *)params.p);
        }
    }
    for (unsigned m = 0; m < METHODS_N; m++) {
        assert_in_range(quick[m], 50, ROUNDS); /* or nothing was compared */
    }
    buf_done(&params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_usual_calls_build_no_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_as_usual_is_left_to_the_schema, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(whatever_is_asked_means_the_same_both_ways, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
