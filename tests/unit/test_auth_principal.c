#include "auth_test.h"

#include "auth/principal.h"

static struct buf compiled(const char *json)
{
    struct buf b = {0};
    if (json) {
        assert_int_equal(caps_from_text(slice_str(json), &b), CAPS_OK);
    }
    return b;
}

static struct principal *someone(enum role role, const char *subject, const char *caps)
{
    struct buf b = compiled(caps);
    struct principal *p = principal_new(&(struct principal_spec){
        .app = 7,
        .role = role,
        .kind = PRINCIPAL_TOKEN,
        .app_id = slice_str("shop"),
        .subject = slice_str(subject),
        .id = slice_str("jti-1"),
        .caps = buf_slice(&b),
    });
    buf_done(&b);
    return p;
}

static bool may(const struct principal *p, enum right right, const char *name, enum access access)
{
    return principal_may_channel(p, right, slice_str(name), access);
}

static bool role_may(enum role role, enum right right, const char *name, enum access access)
{
    struct principal *p = someone(role, "a7", NULL);
    bool yes = may(p, right, name, access);
    principal_unref(p);
    return yes;
}

static bool cap_may(const char *caps, enum right right, const char *name, enum access access)
{
    struct principal *p = someone(ROLE_AGENT, "a7", caps);
    bool yes = may(p, right, name, access);
    principal_unref(p);
    return yes;
}

/* The table of principal.h, written out again by hand: rights as letters. */
static const char *const expected[ROLE_COUNT][ACCESS_COUNT] = {
    [ROLE_NONE] = {"", "", "", ""},
    [ROLE_GUEST] = {"S", "", "", ""},
    [ROLE_VIEWER] = {"SH", "SH", "", "SH"},
    [ROLE_AGENT] = {"SPMH", "SPMH", "", ""},
    [ROLE_OPERATOR] = {"SPMH", "SPMH", "SPMH", "SH"},
    [ROLE_ADMIN] = {"SPMH", "SPMH", "SPMH", "SH"},
};

static void every_cell_of_the_table_holds(void **state)
{
    (void)state;
    static const struct {
        char letter;
        enum right right;
    } rights[] = {
        {'S', RIGHT_SUBSCRIBE}, {'P', RIGHT_PUBLISH}, {'M', RIGHT_PRESENCE}, {'H', RIGHT_HISTORY}};
    for (int role = 0; role < ROLE_COUNT; role++) {
        for (int access = 0; access < ACCESS_COUNT; access++) {
            for (size_t i = 0; i < 4; i++) {
                bool yes = strchr(expected[role][access], rights[i].letter) != NULL;
                assert_int_equal(
                    role_may((enum role)role, rights[i].right, "messages", (enum access)access),
                    yes);
            }
        }
    }
}

static void an_agent_reads_what_concerns_it_and_nothing_of_others(void **state)
{
    (void)state;
    static const char *const yes[] = {"agent.a7",  "pulse.a7",    "agents",    "tasks",
                                      "task.1",    "task.*",      "swarm.1",   "network.x",
                                      "consensus", "consensus.r", "workflow.w"};
    static const char *const no[] = {"agent.a8", "pulse.a8",   "agent.*", "agent.>", "messages",
                                     "hub",      "pulse.*",    "agent.",  "agent",   ">",
                                     "*",        "agent.a7.x", "*.a7"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        assert_true(role_may(ROLE_AGENT, RIGHT_SUBSCRIBE, yes[i], ACCESS_SYSTEM));
        assert_true(role_may(ROLE_AGENT, RIGHT_HISTORY, yes[i], ACCESS_SYSTEM));
        assert_false(role_may(ROLE_AGENT, RIGHT_PUBLISH, yes[i], ACCESS_SYSTEM));
        assert_false(role_may(ROLE_AGENT, RIGHT_PRESENCE, yes[i], ACCESS_SYSTEM));
    }
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        assert_false(role_may(ROLE_AGENT, RIGHT_SUBSCRIBE, no[i], ACCESS_SYSTEM));
    }
}

static void who_was_shut_out_is_for_those_who_may_do_so(void **state)
{
    (void)state;
    assert_false(role_may(ROLE_VIEWER, RIGHT_SUBSCRIBE, "auth", ACCESS_SYSTEM));
    assert_false(role_may(ROLE_VIEWER, RIGHT_HISTORY, "auth", ACCESS_SYSTEM));
    assert_false(role_may(ROLE_AGENT, RIGHT_SUBSCRIBE, "auth", ACCESS_SYSTEM));
    assert_false(role_may(ROLE_VIEWER, RIGHT_HISTORY, "channels", ACCESS_SYSTEM));
    assert_true(role_may(ROLE_OPERATOR, RIGHT_SUBSCRIBE, "channels", ACCESS_SYSTEM));
    assert_true(role_may(ROLE_OPERATOR, RIGHT_SUBSCRIBE, "auth", ACCESS_SYSTEM));
    assert_true(role_may(ROLE_ADMIN, RIGHT_HISTORY, "auth", ACCESS_SYSTEM));
}

static void an_agent_called_like_a_wildcard_is_only_one(void **state)
{
    (void)state;
    static const char *const names[] = {"*", ">", "", "a.*"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct principal *p = someone(ROLE_AGENT, names[i], NULL);
        assert_false(may(p, RIGHT_SUBSCRIBE, "agent.*", ACCESS_SYSTEM));
        assert_false(may(p, RIGHT_SUBSCRIBE, "agent.>", ACCESS_SYSTEM));
        assert_false(may(p, RIGHT_SUBSCRIBE, "agent.", ACCESS_SYSTEM));
        assert_false(may(p, RIGHT_SUBSCRIBE, "agent.a.*", ACCESS_SYSTEM));
        principal_unref(p);
    }
}

/* It would reach private channels and system ones, whatever the caller says it is. */
static void a_pattern_that_starts_wild_needs_the_right_everywhere(void **state)
{
    (void)state;
    for (int access = 0; access < ACCESS_COUNT; access++) {
        enum access a = (enum access)access;
        assert_false(role_may(ROLE_GUEST, RIGHT_SUBSCRIBE, ">", a));
        assert_false(role_may(ROLE_VIEWER, RIGHT_SUBSCRIBE, ">", a));
        assert_false(role_may(ROLE_AGENT, RIGHT_SUBSCRIBE, "*.x", a));
        assert_true(role_may(ROLE_OPERATOR, RIGHT_SUBSCRIBE, ">", a));
        assert_true(role_may(ROLE_ADMIN, RIGHT_HISTORY, "*", a));
    }
    assert_true(role_may(ROLE_AGENT, RIGHT_SUBSCRIBE, "orders.*", ACCESS_PUBLIC));
}

static void capabilities_decide_alone(void **state)
{
    (void)state;
    const char *caps = "{\"orders.>\":[\"subscribe\",\"publish\"],\"private-a\":[\"history\"],"
                       "\"agents\":[\"subscribe\",\"publish\"]}";
    assert_true(cap_may(caps, RIGHT_SUBSCRIBE, "orders.1", ACCESS_PUBLIC));
    assert_true(cap_may(caps, RIGHT_PUBLISH, "orders.1.2", ACCESS_PRIVATE));
    assert_false(cap_may(caps, RIGHT_HISTORY, "orders.1", ACCESS_PUBLIC));
    assert_false(cap_may(caps, RIGHT_SUBSCRIBE, "orders", ACCESS_PUBLIC));
    assert_true(cap_may(caps, RIGHT_HISTORY, "private-a", ACCESS_PRIVATE));
    assert_false(cap_may(caps, RIGHT_SUBSCRIBE, "elsewhere", ACCESS_PUBLIC));
    assert_false(cap_may(caps, RIGHT_SUBSCRIBE, "agent.a7", ACCESS_SYSTEM)); /* not even its own */
    assert_true(cap_may(caps, RIGHT_SUBSCRIBE, "agents", ACCESS_SYSTEM));
    assert_false(cap_may(caps, RIGHT_PUBLISH, "agents", ACCESS_SYSTEM)); /* the hub alone */
    assert_true(cap_may(caps, RIGHT_SUBSCRIBE, "orders.*", ACCESS_PUBLIC));
    assert_false(cap_may(caps, RIGHT_SUBSCRIBE, ">", ACCESS_PUBLIC));
    assert_false(cap_may("{}", RIGHT_SUBSCRIBE, "orders.1", ACCESS_PUBLIC));
}

static void a_star_alone_is_every_name_in_capabilities(void **state)
{
    (void)state;
    assert_true(cap_may("{\"*\":[\"subscribe\"]}", RIGHT_SUBSCRIBE, "a.b.c", ACCESS_PRIVATE));
    assert_true(cap_may("{\"*\":[\"subscribe\"]}", RIGHT_SUBSCRIBE, ">", ACCESS_PRIVATE));
    assert_false(cap_may("{\"*\":[\"subscribe\"]}", RIGHT_PUBLISH, "a.b.c", ACCESS_PUBLIC));
}

static void nobody_without_a_role_may_anything(void **state)
{
    (void)state;
    struct principal *p = someone(ROLE_NONE, "a7", "{\"*\":[\"subscribe\",\"call\"]}");
    assert_false(may(p, RIGHT_SUBSCRIBE, "a", ACCESS_PUBLIC));
    assert_false(principal_may_call(p, slice_str("tasks.get"), slice_str("tasks"), ROLE_NONE));
    assert_false(principal_may_call(p, slice_str("tasks.get"), slice_str("tasks"), ROLE_GUEST));
    principal_unref(p);
}

static bool may_call(enum role role, const char *caps, const char *op, const char *group,
                     enum role needed)
{
    struct principal *p = someone(role, "a7", caps);
    bool yes = principal_may_call(p, slice_str(op), slice_str(group), needed);
    principal_unref(p);
    return yes;
}

static void operations_ask_for_a_role_and_capabilities_narrow_it(void **state)
{
    (void)state;
    for (int role = 0; role < ROLE_COUNT; role++) {
        assert_false(may_call((enum role)role, NULL, "x.y", "x", ROLE_NONE)); /* forgotten column */
        for (int needed = 1; needed < ROLE_COUNT; needed++) {
            assert_int_equal(may_call((enum role)role, NULL, "x.y", "x", (enum role)needed),
                             role >= needed);
        }
    }
    assert_true(
        may_call(ROLE_AGENT, "{\"tasks\":[\"call\"]}", "tasks.submit", "tasks", ROLE_AGENT));
    assert_true(may_call(ROLE_AGENT, "{\"tasks.*\":[\"call\"]}", "tasks.get", "tasks", ROLE_AGENT));
    assert_true(may_call(ROLE_AGENT, "{\"*\":[\"call\"]}", "tasks.get", "tasks", ROLE_VIEWER));
    assert_false(may_call(ROLE_AGENT, "{\"agents\":[\"call\"]}", "tasks.get", "tasks", ROLE_AGENT));
    assert_false(
        may_call(ROLE_AGENT, "{\"tasks\":[\"subscribe\"]}", "tasks.get", "tasks", ROLE_AGENT));
    assert_false(may_call(ROLE_AGENT, "{}", "tasks.get", "tasks", ROLE_VIEWER));
    assert_false(may_call(ROLE_VIEWER, "{\"*\":[\"call\"]}", "tasks.submit", "tasks", ROLE_AGENT));
}

static bool may_grant(struct principal *p, enum role role, const char *subject, const char *caps,
                      int64_t expires_ms, uint32_t app)
{
    struct buf b = compiled(caps);
    bool yes = principal_may_grant(p, &(struct principal_spec){.app = app,
                                                               .role = role,
                                                               .subject = slice_str(subject),
                                                               .expires_ms = expires_ms,
                                                               .caps = buf_slice(&b)});
    buf_done(&b);
    return yes;
}

static void nobody_grants_more_than_they_have(void **state)
{
    (void)state;
    struct principal *admin = someone(ROLE_ADMIN, "boss", NULL);
    assert_true(may_grant(admin, ROLE_ADMIN, "x", NULL, 0, 7));
    assert_true(may_grant(admin, ROLE_AGENT, "x", "{\"private-a\":[\"publish\"]}", 0, 7));
    assert_false(may_grant(admin, ROLE_AGENT, "x", NULL, 0, 8)); /* another app */
    assert_false(may_grant(admin, ROLE_NONE, "x", NULL, 0, 7));
    principal_unref(admin);

    struct principal *bound = someone(ROLE_OPERATOR, "op", "{\"a.>\":[\"subscribe\",\"call\"]}");
    assert_false(may_grant(bound, ROLE_ADMIN, "x", "{\"a.b\":[\"call\"]}", 0, 7));
    assert_true(may_grant(bound, ROLE_AGENT, "x", "{\"a.*\":[\"subscribe\"]}", 0, 7));
    assert_false(may_grant(bound, ROLE_AGENT, "x", "{\"a.*\":[\"publish\"]}", 0, 7));
    assert_false(may_grant(bound, ROLE_AGENT, "x", "{\"*\":[\"subscribe\"]}", 0, 7));
    assert_false(may_grant(bound, ROLE_AGENT, "x", NULL, 0, 7)); /* the role's row is more */
    assert_true(may_grant(bound, ROLE_AGENT, "x", "{}", 0, 7));
    principal_unref(bound);

    struct principal *agent = someone(ROLE_AGENT, "a7", NULL);
    agent->expires_ms = 5000;
    assert_true(may_grant(agent, ROLE_AGENT, "a7", NULL, 5000, 7));
    assert_true(may_grant(agent, ROLE_VIEWER, "a7", NULL, 4000, 7));
    assert_false(may_grant(agent, ROLE_AGENT, "a8", NULL, 5000, 7));
    assert_false(may_grant(agent, ROLE_AGENT, "a7", NULL, 5001, 7));
    assert_false(may_grant(agent, ROLE_AGENT, "a7", NULL, 0, 7));
    assert_false(may_grant(agent, ROLE_OPERATOR, "a7", NULL, 5000, 7));
    assert_false(may_grant(agent, ROLE_AGENT, "a7", "{\"private-a\":[\"publish\"]}", 5000, 7));
    principal_unref(agent);
}

static void a_principal_keeps_copies_and_dies_with_its_last_reference(void **state)
{
    (void)state;
    char subject[] = "agent-7", app[] = "shop";
    struct principal *p = principal_new(&(struct principal_spec){.app = 1,
                                                                 .role = ROLE_AGENT,
                                                                 .kind = PRINCIPAL_API_KEY,
                                                                 .app_id = slice_str(app),
                                                                 .subject = slice_str(subject)});
    memset(subject, 'x', sizeof subject - 1);
    memset(app, 'x', sizeof app - 1);
    assert_slice(p->subject, "agent-7");
    assert_slice(p->app_id, "shop");
    assert_ptr_equal(principal_ref(p), p);
    principal_unref(p);
    assert_slice(p->subject, "agent-7");
    principal_unref(p);
    principal_unref(NULL);
}

static void expiry_grants_tokens_their_leeway_and_keys_none(void **state)
{
    (void)state;
    struct principal *p = someone(ROLE_AGENT, "a7", NULL);
    p->expires_ms = 1000;
    assert_false(principal_expired(p, 1000 + TOKEN_LEEWAY_MS - 1));
    assert_true(principal_expired(p, 1000 + TOKEN_LEEWAY_MS));
    p->kind = PRINCIPAL_API_KEY;
    assert_false(principal_expired(p, 999));
    assert_true(principal_expired(p, 1000));
    p->expires_ms = 0;
    assert_false(principal_expired(p, INT64_MAX));
    principal_unref(p);
}

static void roles_read_back_by_name(void **state)
{
    (void)state;
    for (int i = 0; i < ROLE_COUNT; i++) {
        enum role role;
        assert_true(role_from_text(slice_str(role_name((enum role)i)), &role));
        assert_int_equal(role, i);
    }
    enum role role;
    assert_false(role_from_text(slice_str("Admin"), &role));
    assert_false(role_from_text(slice_str(""), &role));
    assert_false(role_from_text(slice_of("admin\0", 6), &role));
}

/* ---- capabilities as text and bytes ---- */

static void capabilities_read_back_as_json(void **state)
{
    (void)state;
    struct buf caps =
        compiled("{\"b.*\":[\"call\",\"subscribe\",\"call\"],\"*\":[],\"a\":[\"history\"]}");
    struct buf text = {0}, again = {0};
    assert_true(caps_valid(buf_slice(&caps)));
    caps_put_json(buf_slice(&caps), &text);
    assert_int_equal(caps_from_text(buf_slice(&text), &again), CAPS_OK);
    char *as_text = test_text(&text);
    assert_non_null(strstr(as_text, "\"b.*\":[\"subscribe\",\"call\"]"));
    assert_non_null(strstr(as_text, "\">\":[]"));
    assert_int_equal(caps.n, again.n);
    free(as_text);
    buf_done(&caps);
    buf_done(&text);
    buf_done(&again);
}

static void a_star_and_a_rest_are_one_pattern(void **state)
{
    (void)state;
    struct buf caps = compiled("{\"*\":[\"subscribe\"],\"a\":[],\">\":[\"call\"]}"), text = {0};
    caps_put_json(buf_slice(&caps), &text);
    char *as_text = test_text(&text);
    assert_non_null(strstr(as_text, "\">\":[\"subscribe\",\"call\"]"));
    free(as_text);
    buf_done(&caps);
    buf_done(&text);
}

static void broken_capabilities_are_refused_by_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum caps_rc rc;
    } bad[] = {
        {"", CAPS_NOT_AN_OBJECT},
        {"[]", CAPS_NOT_AN_OBJECT},
        {"{\"a\":\"subscribe\"}", CAPS_NOT_AN_OBJECT},
        {"{\"a\":{}}", CAPS_NOT_AN_OBJECT},
        {"{\"a\":null}", CAPS_NOT_AN_OBJECT},
        {"{\"a\":[\"subscribe\"],\"a\":[\"publish\"]}", CAPS_NOT_AN_OBJECT},
        {"{\"a\":[\"Subscribe\"]}", CAPS_BAD_RIGHT},
        {"{\"a\":[\"*\"]}", CAPS_BAD_RIGHT},
        {"{\"a\":[1]}", CAPS_BAD_RIGHT},
        {"{\"\":[]}", CAPS_BAD_PATTERN},
        {"{\"a b\":[]}", CAPS_BAD_PATTERN},
        {"{\">.a\":[]}", CAPS_BAD_PATTERN},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct buf b = {0};
        assert_int_equal(caps_from_text(slice_str(bad[i].json), &b), bad[i].rc);
        assert_int_equal(b.n, 0);
        buf_done(&b);
    }
}

static void capabilities_have_a_bound(void **state)
{
    (void)state;
    for (int count = CAPS_PATTERNS_MAX; count <= CAPS_PATTERNS_MAX + 1; count++) {
        struct buf json = {0}, b = {0};
        for (int i = 0; i < count; i++) {
            buf_printf(&json, "%c\"p%d\":[\"call\"]", i ? ',' : '{', i);
        }
        buf_add_str(&json, "}");
        assert_int_equal(caps_from_text(buf_slice(&json), &b),
                         count > CAPS_PATTERNS_MAX ? CAPS_TOO_MANY : CAPS_OK);
        buf_done(&json);
        buf_done(&b);
    }
}

/* A row may be damaged in any way: either it is refused or walking it stays within its bytes. */
static void bytes_from_a_row_are_checked_before_they_are_walked(void **state)
{
    (void)state;
    test_seed();
    struct buf good = compiled("{\"orders.>\":[\"subscribe\"],\"a.*\":[\"call\"]}");
    for (size_t n = 0; n < good.n; n++) {
        uint8_t *cut = xmalloc(n);
        memcpy(cut, good.p, n);
        if (caps_valid(slice_of(cut, n))) {
            (void)caps_allow(slice_of(cut, n), RIGHT_CALL, slice_str("a.b"));
        }
        free(cut);
    }
    for (int round = 0; round < 20000; round++) {
        uint8_t *bent = xmalloc(good.n);
        memcpy(bent, good.p, good.n);
        bent[test_below(good.n)] = (uint8_t)test_random();
        if (caps_valid(slice_of(bent, good.n))) {
            (void)caps_allow(slice_of(bent, good.n), RIGHT_CALL, slice_str("a.b"));
        }
        free(bent);
    }
    assert_false(caps_valid(slice_of(NULL, 0)));
    buf_done(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_of_the_table_holds),
        cmocka_unit_test(an_agent_reads_what_concerns_it_and_nothing_of_others),
        cmocka_unit_test(an_agent_called_like_a_wildcard_is_only_one),
        cmocka_unit_test(who_was_shut_out_is_for_those_who_may_do_so),
        cmocka_unit_test(a_pattern_that_starts_wild_needs_the_right_everywhere),
        cmocka_unit_test(capabilities_decide_alone),
        cmocka_unit_test(a_star_alone_is_every_name_in_capabilities),
        cmocka_unit_test(nobody_without_a_role_may_anything),
        cmocka_unit_test(operations_ask_for_a_role_and_capabilities_narrow_it),
        cmocka_unit_test(nobody_grants_more_than_they_have),
        cmocka_unit_test(a_principal_keeps_copies_and_dies_with_its_last_reference),
        cmocka_unit_test(expiry_grants_tokens_their_leeway_and_keys_none),
        cmocka_unit_test(roles_read_back_by_name),
        cmocka_unit_test(capabilities_read_back_as_json),
        cmocka_unit_test(a_star_and_a_rest_are_one_pattern),
        cmocka_unit_test(broken_capabilities_are_refused_by_what_is_wrong),
        cmocka_unit_test(capabilities_have_a_bound),
        cmocka_unit_test(bytes_from_a_row_are_checked_before_they_are_walked),
    };
    return auth_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
