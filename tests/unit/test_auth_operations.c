/* Tokens, keys, revocations, apps and the signing key, from the request to the answer. */
#include "tests/unit/api_fixture.h"

static struct fixture *f;
static struct principal *boss, *chief, *bee;

static int setup(void **state)
{
    if (scratch_make(state) != 0) {
        return -1;
    }
    f = fixture_open(*state);
    boss = person(ROLE_ADMIN, "boss");
    chief = person(ROLE_OPERATOR, "chief");
    bee = person(ROLE_AGENT, "bee");
    return 0;
}

static int teardown(void **state)
{
    fixture_close(f);
    principal_unref(boss);
    principal_unref(chief);
    principal_unref(bee);
    return scratch_remove(state);
}

/* Who a credential stands for, now; NULL: nobody. */
static struct principal *admitted(const char *credential)
{
    struct store_view *view;
    struct principal *who = NULL;
    enum token_rc why;
    assert_int_equal(store_snapshot(f->io.reader, &view), STORE_OK);
    (void)admission_admit(f->io.admission, view, slice_str(credential), f->now_ms, &who, &why);
    store_release(f->io.reader);
    return who;
}

static bool lets_in(const char *credential)
{
    struct principal *who = admitted(credential);
    principal_unref(who);
    return who != NULL;
}

static char *kept(const char *path)
{
    return xstrdup(text(f, path));
}

static enum hub_rc mint(const struct principal *who, const char *body)
{
    return request(f, who, METHOD_POST, "/api/v1/auth/tokens", body);
}

static void a_minted_token_lets_in_whom_it_names(void **state)
{
    (void)state;
    assert_int_equal(
        mint(chief, "{\"sub\":\"w1\",\"ttl_s\":60,\"cap\":{\"jobs.>\":[\"publish\"]}}"), HUB_OK);
    assert_string_equal(text(f, "expires_at"), "2026-11-20T17:35:21.000Z");
    assert_string_equal(text(f, "role"), "agent");
    struct principal *who = admitted(text(f, "token"));
    assert_non_null(who);
    assert_true(slice_is(who->subject, "w1"));
    assert_true(slice_is(who->id, text(f, "jti")));
    assert_int_equal(who->role, ROLE_AGENT);
    assert_true(principal_may_channel(who, RIGHT_PUBLISH, slice_str("jobs.a"), ACCESS_PUBLIC));
    assert_false(principal_may_channel(who, RIGHT_PUBLISH, slice_str("other"), ACCESS_PUBLIC));
    principal_unref(who);
}

static void expect_newest_told(const char *event, const char *jti)
{
    assert_int_equal(call_method(f, boss, "channels.history",
                                 "{\"channel\":\"auth\",\"reverse\":true,\"limit\":1}"),
                     HUB_OK);
    assert_string_equal(text(f, "events/0/event"), event);
    assert_string_equal(text(f, "events/0/data/jti"), jti);
}

static void who_lets_somebody_in_is_told_and_who_renews_is_not(void **state)
{
    (void)state;
    assert_int_equal(mint(boss, "{\"sub\":\"w1\",\"cap\":{\"jobs.>\":[\"publish\"]}}"), HUB_OK);
    char *jti = kept("jti");
    expect_newest_told("token_minted", jti);
    assert_string_equal(text(f, "events/0/data/by"), "boss");
    assert_string_equal(text(f, "events/0/data/sub"), "w1");
    assert_string_equal(text(f, "events/0/data/role"), "agent");
    assert_string_equal(text(f, "events/0/data/cap/jobs.>/0"), "publish");
    assert_int_equal(mint(bee, "{\"sub\":\"bee\"}"), HUB_OK);
    assert_string_not_equal(text(f, "jti"), jti);
    expect_newest_told("token_minted", jti);
    free(jti);
}

static void nobody_mints_more_than_they_have(void **state)
{
    (void)state;
    assert_int_equal(mint(chief, "{\"sub\":\"x\",\"role\":\"admin\"}"), HUB_FORBIDDEN);
    assert_int_equal(mint(bee, "{\"sub\":\"other\"}"), HUB_FORBIDDEN);
    assert_int_equal(mint(bee, "{\"sub\":\"bee\"}"), HUB_OK);
    assert_int_equal(mint(boss, "{\"sub\":\"x\",\"ttl_s\":86401}"), HUB_INVALID);
    assert_int_equal(mint(boss, "{\"sub\":\"x\",\"ttl_s\":86400}"), HUB_OK);
    assert_int_equal(mint(boss, "{\"sub\":\"x\",\"cap\":{\"a\":[\"fly\"]}}"), HUB_INVALID);
    assert_int_equal(mint(boss, "{\"sub\":\"x\",\"aud\":\"elsewhere\"}"), HUB_INVALID);
    assert_int_equal(mint(boss, "{\"sub\":\"a\\nb\"}"), HUB_INVALID);
    assert_int_equal(mint(boss, "{}"), HUB_INVALID);
}

static void capabilities_are_handed_on_when_none_are_said(void **state)
{
    (void)state;
    struct buf caps = {0};
    assert_int_equal(
        caps_from_text(slice_str("{\"a.>\":[\"subscribe\"],\"auth\":[\"call\"]}"), &caps), CAPS_OK);
    struct principal *narrow = principal_new(&(struct principal_spec){.app = 1,
                                                                      .app_id = slice_str("main"),
                                                                      .role = ROLE_OPERATOR,
                                                                      .kind = PRINCIPAL_TOKEN,
                                                                      .subject = slice_str("n"),
                                                                      .caps = buf_slice(&caps)});
    assert_int_equal(mint(narrow, "{\"sub\":\"x\"}"), HUB_OK);
    assert_true(json_is_object(member(f, "cap")));
    assert_int_equal(mint(narrow, "{\"sub\":\"x\",\"cap\":{\"b\":[\"subscribe\"]}}"),
                     HUB_FORBIDDEN);
    principal_unref(narrow);
    buf_done(&caps);
}

static void a_revoked_token_lets_nobody_in(void **state)
{
    (void)state;
    assert_int_equal(mint(boss, "{\"sub\":\"w1\"}"), HUB_OK);
    char *first = kept("token"), *jti = kept("jti"), body[128];
    assert_int_equal(mint(boss, "{\"sub\":\"w1\"}"), HUB_OK);
    char *second = kept("token");
    (void)snprintf(body, sizeof body, "{\"jti\":\"%s\"}", jti);
    assert_int_equal(request(f, chief, METHOD_POST, "/api/v1/auth/tokens/revoke", body), HUB_OK);
    assert_true(json_is_true(member(f, "revoked")));
    assert_false(lets_in(first));
    assert_true(lets_in(second));
    assert_int_equal(
        request(f, chief, METHOD_POST, "/api/v1/auth/tokens/revoke", "{\"sub\":\"w1\"}"), HUB_OK);
    assert_false(lets_in(second));
    f->now_ms += 1000;
    assert_int_equal(mint(boss, "{\"sub\":\"w1\"}"), HUB_OK); /* one minted later is good */
    assert_true(lets_in(text(f, "token")));
    free(first);
    free(second);
    free(jti);
}

static void a_whole_app_is_revoked_by_an_admin_alone(void **state)
{
    (void)state;
    static const char all[] = "{\"issued_before\":\"2026-11-20T17:34:21Z\"}";
    assert_int_equal(mint(boss, "{\"sub\":\"w1\"}"), HUB_OK);
    char *token = kept("token");
    assert_int_equal(request(f, chief, METHOD_POST, "/api/v1/auth/tokens/revoke", all),
                     HUB_FORBIDDEN);
    assert_true(lets_in(token));
    assert_int_equal(request(f, boss, METHOD_POST, "/api/v1/auth/tokens/revoke", all), HUB_OK);
    assert_false(lets_in(token));
    assert_int_equal(request(f, boss, METHOD_POST, "/api/v1/auth/tokens/revoke", "{}"),
                     HUB_INVALID);
    assert_int_equal(request(f, boss, METHOD_POST, "/api/v1/auth/tokens/revoke",
                             "{\"jti\":\"a\",\"sub\":\"b\"}"),
                     HUB_INVALID);
    free(token);
}

static void ended_revocations_are_swept_within_an_hour(void **state)
{
    (void)state;
    assert_int_equal(
        request(f, boss, METHOD_POST, "/api/v1/auth/tokens/revoke", "{\"jti\":\"a\",\"ttl_s\":60}"),
        HUB_OK);
    assert_int_equal(request(f, boss, METHOD_POST, "/api/v1/auth/tokens/revoke", "{\"jti\":\"b\"}"),
                     HUB_OK);
    assert_int_equal(request(f, boss, METHOD_GET, "/api/v1/auth/revocations", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(f, "count")), 2);
    f->now_ms += 3601 * 1000;
    fixture_turn(f);
    assert_int_equal(request(f, boss, METHOD_GET, "/api/v1/auth/revocations", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(f, "count")), 1);
    assert_string_equal(text(f, "revocations/0/jti"), "b");
}

static void a_key_is_shown_once_and_again_for_its_idempotency_key(void **state)
{
    (void)state;
    static const char body[] = "{\"name\":\"ci\",\"role\":\"operator\",\"ttl_s\":600}";
    assert_int_equal(request_keyed(f, boss, METHOD_POST, "/api/v1/auth/keys", body, "k"), HUB_OK);
    char *key = kept("key"), *id = kept("id"), path[128];
    assert_true(api_key_looks_made(slice_str(key)));
    assert_true(lets_in(key));
    assert_int_equal(request_keyed(f, boss, METHOD_POST, "/api/v1/auth/keys", body, "k"), HUB_OK);
    assert_true(f->replayed);
    assert_string_equal(text(f, "key"), key);
    assert_int_equal(request(f, boss, METHOD_GET, "/api/v1/auth/keys", NULL), HUB_OK);
    char *list = json_dumps(f->answer, 0);
    assert_null(strstr(list, key));
    assert_non_null(strstr(list, id));
    (void)snprintf(path, sizeof path, "/api/v1/auth/keys/%s", id);
    assert_int_equal(request(f, chief, METHOD_DELETE, path, NULL), HUB_FORBIDDEN);
    assert_int_equal(request(f, boss, METHOD_DELETE, path, NULL), HUB_OK);
    assert_false(lets_in(key));
    assert_int_equal(request(f, boss, METHOD_DELETE, "/api/v1/auth/keys/0123", NULL),
                     HUB_NOT_FOUND);
    free(list);
    free(key);
    free(id);
}

/* Nothing that was shown once stands in the store. */
static bool store_holds(const char *needle)
{
    struct store_view *view;
    struct store_cursor *cursor;
    struct slice key, value;
    bool found = false;
    assert_int_equal(store_snapshot(f->io.reader, &view), STORE_OK);
    for (int table = 0; table < TABLE_COUNT; table++) {
        assert_int_equal(store_cursor_open(view, (enum store_table)table, &cursor), STORE_OK);
        while (store_cursor_next(cursor, &key, &value) == STORE_OK) {
            found = found || memmem(value.p, value.n, needle, strlen(needle));
        }
        store_cursor_close(cursor);
    }
    store_release(f->io.reader);
    return found;
}

static void no_secret_reaches_the_store_in_clear(void **state)
{
    (void)state;
    assert_int_equal(request_keyed(f, boss, METHOD_POST, "/api/v1/auth/keys",
                                   "{\"name\":\"the-name-of-it\"}", "k1"),
                     HUB_OK);
    char *key = kept("key");
    assert_int_equal(request_keyed(f, boss, METHOD_POST, "/api/v1/apps", "{\"id\":\"shop\"}", "k2"),
                     HUB_OK);
    char *secret = kept("secret"), *admin = kept("admin_key");
    assert_true(store_holds("the-name-of-it"));
    assert_false(store_holds(key));
    assert_false(store_holds(secret));
    assert_false(store_holds(admin));
    free(key);
    free(secret);
    free(admin);
}

static void a_token_minted_with_a_key_is_given_again_and_kept_nowhere(void **state)
{
    (void)state;
    static const char body[] = "{\"sub\":\"the-bee\",\"role\":\"agent\",\"ttl_s\":600}";
    assert_int_equal(request_keyed(f, boss, METHOD_POST, "/api/v1/auth/tokens", body, "k1"),
                     HUB_OK);
    char *token = kept("token"), *jti = kept("jti");
    char *signature = strrchr(token, '.') + 1, *claims = strchr(token, '.') + 1;
    signature[-1] = '\0';
    assert_true(store_holds("the-bee"));
    assert_false(store_holds(signature));
    assert_false(store_holds(claims));
    signature[-1] = '.';
    f->now_ms += 5000;
    assert_int_equal(request_keyed(f, boss, METHOD_POST, "/api/v1/auth/tokens", body, "k1"),
                     HUB_OK);
    assert_true(f->replayed);
    assert_string_equal(text(f, "token"), token);
    assert_string_equal(text(f, "jti"), jti);
    assert_int_equal(json_integer_value(member(f, "expires_in")), 600);
    assert_true(lets_in(token));
    assert_int_equal(
        request_keyed(f, boss, METHOD_POST, "/api/v1/auth/tokens", "{\"sub\":\"another\"}", "k1"),
        HUB_KEY_CONFLICT);
    assert_int_equal(request(f, boss, METHOD_POST, "/api/v1/auth/tokens", body), HUB_OK);
    assert_string_not_equal(text(f, "token"), token);
    /* Another key signs by now: the token is another one of the same id, and no less valid. */
    assert_int_equal(request(f, boss, METHOD_POST, "/api/v1/auth/signing-keys/rotate", NULL),
                     HUB_OK);
    assert_int_equal(request_keyed(f, boss, METHOD_POST, "/api/v1/auth/tokens", body, "k1"),
                     HUB_OK);
    assert_string_equal(text(f, "jti"), jti);
    free(token);
    free(jti);
}

static void a_new_app_has_an_admin_who_rules_it_alone(void **state)
{
    (void)state;
    assert_int_equal(request(f, boss, METHOD_POST, "/api/v1/apps",
                             "{\"id\":\"shop\",\"name\":\"Shop\",\"limits\":{\"channels_max\":9}}"),
                     HUB_OK);
    assert_int_equal(json_integer_value(member(f, "limits/channels_max")), 9);
    char *key = kept("admin_key");
    struct principal *admin = admitted(key);
    assert_non_null(admin);
    assert_int_equal(admin->role, ROLE_ADMIN);
    assert_int_equal(request(f, admin, METHOD_GET, "/api/v1/apps/shop", NULL), HUB_OK);
    assert_int_equal(request(f, admin, METHOD_GET, "/api/v1/apps/main", NULL), HUB_NOT_FOUND);
    assert_int_equal(request(f, admin, METHOD_GET, "/api/v1/apps", NULL), HUB_OK);
    assert_int_equal(json_integer_value(member(f, "count")), 1);
    assert_int_equal(request(f, admin, METHOD_POST, "/api/v1/apps", "{\"id\":\"more\"}"),
                     HUB_FORBIDDEN);
    assert_int_equal(request(f, admin, METHOD_PATCH, "/api/v1/apps/shop", "{\"enabled\":true}"),
                     HUB_FORBIDDEN);
    assert_int_equal(request(f, admin, METHOD_POST, "/api/v1/auth/signing-keys/rotate", NULL),
                     HUB_FORBIDDEN);
    assert_int_equal(request(f, boss, METHOD_POST, "/api/v1/apps", "{\"id\":\"shop\"}"),
                     HUB_EXISTS);
    assert_int_equal(request(f, boss, METHOD_PATCH, "/api/v1/apps/shop", "{\"enabled\":false}"),
                     HUB_OK);
    assert_string_equal(text(f, "name"), "Shop");
    assert_false(lets_in(key));
    assert_int_equal(request(f, boss, METHOD_PATCH, "/api/v1/apps/shop", "{\"enabled\":true}"),
                     HUB_OK);
    assert_true(lets_in(key));
    assert_int_equal(request(f, boss, METHOD_PATCH, "/api/v1/apps/main", "{\"enabled\":false}"),
                     HUB_CONFLICT);
    principal_unref(admin);
    free(key);
}

static void a_rotated_key_verifies_until_its_overlap_is_over(void **state)
{
    (void)state;
    assert_int_equal(mint(boss, "{\"sub\":\"w1\",\"ttl_s\":86400}"), HUB_OK);
    char *before = kept("token");
    assert_int_equal(request(f, boss, METHOD_POST, "/api/v1/auth/signing-keys/rotate", NULL),
                     HUB_OK);
    assert_string_not_equal(text(f, "kid"), text(f, "previous_kid"));
    assert_string_equal(text(f, "previous_verifies_until"), "2026-11-20T18:34:21.000Z");
    assert_int_equal(mint(boss, "{\"sub\":\"w1\",\"ttl_s\":86400}"), HUB_OK);
    char *after = kept("token");
    assert_int_equal(request(f, bee, METHOD_GET, "/.well-known/jwks.json", NULL), HUB_OK);
    assert_int_equal(json_array_size(member(f, "keys")), 2);
    assert_true(lets_in(before));
    assert_true(lets_in(after));
    /* A second one: what the first replaced is still there. */
    assert_int_equal(request(f, boss, METHOD_POST, "/api/v1/auth/signing-keys/rotate", NULL),
                     HUB_OK);
    assert_true(lets_in(before));
    f->now_ms += f->settings.key_overlap_ms + TOKEN_LEEWAY_MS + 1000;
    assert_int_equal(request(f, bee, METHOD_GET, "/.well-known/jwks.json", NULL), HUB_OK);
    assert_int_equal(json_array_size(member(f, "keys")), 1);
    free(before);
    free(after);
}

static void everybody_learns_who_they_are(void **state)
{
    (void)state;
    assert_int_equal(call_method(f, bee, "auth.whoami", ""), HUB_OK);
    assert_string_equal(text(f, "sub"), "bee");
    assert_string_equal(text(f, "role"), "agent");
    assert_string_equal(text(f, "app"), "main");
    assert_true(json_is_null(member(f, "expires_at")));
}

#define VALIDATE(body) request(f, bee, METHOD_POST, "/api/v1/schemas/validate", body)

static void a_schema_judges_and_is_judged(void **state)
{
    (void)state;
    assert_int_equal(VALIDATE("{\"schema\":{\"minimum\":3},\"instance\":1}"), HUB_OK);
    assert_true(json_is_false(member(f, "valid")));
    assert_string_equal(text(f, "errors/0/keyword"), "minimum");
    assert_string_equal(text(f, "errors/0/schema"), "#/minimum");
    assert_int_equal(VALIDATE("{\"schema\":true,\"instance\":null}"), HUB_OK);
    assert_true(json_is_true(member(f, "valid")));
    assert_int_equal(VALIDATE("{\"schema\":{\"$ref\":\"urn:x\"},\"instance\":1,"
                              "\"resources\":{\"urn:x\":{\"type\":\"string\"}}}"),
                     HUB_OK);
    assert_true(json_is_false(member(f, "valid")));
    assert_int_equal(VALIDATE("{\"schema\":{\"type\":\"objekt\"},\"instance\":1}"), HUB_INVALID);
    assert_non_null(strstr(message(f), "#/type"));
    buf_add(&f->detail, "", 1);
    assert_non_null(strstr((const char *)f->detail.p, "schema_invalid"));
    assert_int_equal(
        VALIDATE("{\"schema\":{\"$defs\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/$defs/a\"},"
                 "{\"$ref\":\"#/$defs/a\"}]}},\"$ref\":\"#/$defs/a\"},\"instance\":1}"),
        HUB_INVALID);
    buf_add(&f->detail, "", 1);
    assert_non_null(strstr((const char *)f->detail.p, "schema_budget"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_minted_token_lets_in_whom_it_names),
        TEST(who_lets_somebody_in_is_told_and_who_renews_is_not),
        TEST(nobody_mints_more_than_they_have),
        TEST(capabilities_are_handed_on_when_none_are_said),
        TEST(a_revoked_token_lets_nobody_in),
        TEST(a_whole_app_is_revoked_by_an_admin_alone),
        TEST(ended_revocations_are_swept_within_an_hour),
        TEST(a_key_is_shown_once_and_again_for_its_idempotency_key),
        TEST(no_secret_reaches_the_store_in_clear),
        TEST(a_token_minted_with_a_key_is_given_again_and_kept_nowhere),
        TEST(a_new_app_has_an_admin_who_rules_it_alone),
        TEST(a_rotated_key_verifies_until_its_overlap_is_over),
        TEST(everybody_learns_who_they_are),
        TEST(a_schema_judges_and_is_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
