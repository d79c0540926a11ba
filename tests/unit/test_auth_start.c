#include "auth_test.h"

#include "auth/revocation.h"
#include "auth/start.h"

struct fixture {
    char *folder;
    struct store *store;
    struct store_reader *reader;
    char text[512];
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    f->folder = test_folder();
    assert_int_equal(store_open(&(struct store_options){.path = f->folder, .map_bytes = 64 << 20},
                                &f->store, f->text, sizeof f->text),
                     STORE_OK);
    assert_int_equal(store_reader_new(f->store, &f->reader), STORE_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_reader_free(f->reader);
    store_close(f->store);
    test_folder_drop(f->folder);
    free(f);
    return 0;
}

static struct store_view *look(struct fixture *f)
{
    struct store_view *view;
    assert_int_equal(store_snapshot(f->reader, &view), STORE_OK);
    return view;
}

/* One start; each draws other random bytes. */
static enum auth_start_rc start(struct fixture *f, const char *admin_key, const char *const *apps,
                                size_t apps_n, const char *trust_jwks, struct auth_state *out)
{
    static struct auth_start_random random;
    auth_random(&random, sizeof random);
    *out = (struct auth_state){0};
    f->text[0] = '\0';
    return auth_start(f->store,
                      &(struct auth_start_options){.data_dir = f->folder,
                                                   .admin_key = admin_key,
                                                   .apps = apps,
                                                   .apps_n = apps_n,
                                                   .trust_jwks = trust_jwks,
                                                   .now_ms = 1000,
                                                   .random = &random},
                      out, f->text, sizeof f->text);
}

static struct auth_state fine(struct fixture *f, const char *admin_key, const char *const *apps,
                              size_t apps_n)
{
    struct auth_state state;
    assert_int_equal(start(f, admin_key, apps, apps_n, NULL, &state), AUTH_START_OK);
    return state;
}

/* The role that a key stands for now; ROLE_NONE when it does not work. */
static enum role role_of(struct fixture *f, const struct auth_state *state, const char *text)
{
    struct api_key key;
    assert_true(api_key_hash(state->secret, slice_str(text), &key));
    enum store_rc rc = api_key_find(look(f), key.hash, &key);
    return rc == STORE_OK && api_key_live(&key, 1000) ? key.role : ROLE_NONE;
}

static void assert_app(struct fixture *f, const struct auth_state *state, const char *id,
                       uint32_t number, const char *key, const char *secret)
{
    struct apps *apps = NULL;
    assert_int_equal(apps_load(look(f), state->secret, &apps), STORE_OK);
    const struct app *app = apps_by_id(apps, slice_str(id));
    assert_non_null(app);
    assert_int_equal(app->number, number);
    assert_true(app->enabled);
    assert_slice(app->key, key);
    assert_slice(app->secret, secret);
    apps_unref(apps);
}

static void the_first_start_makes_everything_and_the_next_nothing(void **state)
{
    struct fixture *f = *state;
    struct auth_state first = fine(f, NULL, NULL, 0), second = fine(f, NULL, NULL, 0);
    assert_non_null(first.new_admin_key);
    assert_true(api_key_looks_made(slice_str(first.new_admin_key)));
    assert_true(strncmp(first.new_admin_key, "wg_main_", 8) == 0);
    assert_int_equal(strlen(first.new_pusher_key), 20);
    assert_int_equal(strlen(first.new_pusher_secret), 40);
    assert_app(f, &first, "main", 1, first.new_pusher_key, first.new_pusher_secret);
    assert_int_equal(role_of(f, &first, first.new_admin_key), ROLE_ADMIN);

    assert_null(second.new_admin_key);
    assert_null(second.new_pusher_key);
    assert_null(second.new_pusher_secret);
    assert_string_equal(signing_kid(first.signing), signing_kid(second.signing));
    assert_app(f, &second, "main", 1, first.new_pusher_key, first.new_pusher_secret);
    assert_int_equal(role_of(f, &second, first.new_admin_key), ROLE_ADMIN);
    auth_state_done(&first);
    auth_state_done(&second);
}

static void a_given_admin_key_works_as_long_as_it_is_given(void **state)
{
    struct fixture *f = *state;
    struct auth_state first = fine(f, "test-key", NULL, 0);
    assert_null(first.new_admin_key); /* no second one is needed */
    assert_int_equal(role_of(f, &first, "test-key"), ROLE_ADMIN);
    struct auth_state second = fine(f, "test-key", NULL, 0);
    assert_int_equal(role_of(f, &second, "test-key"), ROLE_ADMIN);
    struct auth_state third = fine(f, "another-key", NULL, 0);
    assert_int_equal(role_of(f, &third, "test-key"), ROLE_NONE);
    assert_int_equal(role_of(f, &third, "another-key"), ROLE_ADMIN);
    struct auth_state fourth = fine(f, NULL, NULL, 0);
    assert_int_equal(role_of(f, &fourth, "another-key"), ROLE_NONE);
    assert_non_null(fourth.new_admin_key); /* or nobody could come in */
    assert_int_equal(role_of(f, &fourth, fourth.new_admin_key), ROLE_ADMIN);
    auth_state_done(&first);
    auth_state_done(&second);
    auth_state_done(&third);
    auth_state_done(&fourth);
}

static void a_made_key_given_back_stays_what_it_is(void **state)
{
    struct fixture *f = *state;
    struct auth_state first = fine(f, NULL, NULL, 0);
    struct auth_state second = fine(f, first.new_admin_key, NULL, 0),
                      third = fine(f, NULL, NULL, 0);
    assert_null(third.new_admin_key);
    assert_int_equal(role_of(f, &third, first.new_admin_key), ROLE_ADMIN);
    auth_state_done(&first);
    auth_state_done(&second);
    auth_state_done(&third);
}

static void a_revoked_admin_key_is_replaced_at_the_next_start(void **state)
{
    struct fixture *f = *state;
    struct auth_state first = fine(f, NULL, NULL, 0);
    struct api_key key;
    struct store_txn *txn;
    char id[API_KEY_ID_CHARS + 1];
    assert_true(api_key_hash(first.secret, slice_str(first.new_admin_key), &key));
    api_key_id(key.hash, id);
    assert_int_equal(store_begin(f->store, &txn), STORE_OK);
    assert_int_equal(api_key_revoke(txn, 1, slice_str(id), 900), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
    struct auth_state second = fine(f, NULL, NULL, 0);
    assert_non_null(second.new_admin_key);
    assert_int_equal(role_of(f, &second, first.new_admin_key), ROLE_NONE);
    assert_int_equal(role_of(f, &second, second.new_admin_key), ROLE_ADMIN);
    auth_state_done(&first);
    auth_state_done(&second);
}

static void a_given_key_that_was_revoked_works_again(void **state)
{
    struct fixture *f = *state;
    struct auth_state first = fine(f, "test-key", NULL, 0);
    struct api_key key;
    struct store_txn *txn;
    struct revocations *set = NULL;
    char id[API_KEY_ID_CHARS + 1];
    assert_true(api_key_hash(first.secret, slice_str("test-key"), &key));
    api_key_id(key.hash, id);
    assert_int_equal(store_begin(f->store, &txn), STORE_OK);
    assert_int_equal(api_key_revoke(txn, 1, slice_str(id), 900), STORE_OK);
    assert_int_equal(
        revocation_add(txn,
                       &(struct revocation){.app = 1, .kind = REVOKE_KEY, .text = slice_str(id)}),
        STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
    assert_int_equal(role_of(f, &first, "test-key"), ROLE_NONE);
    struct auth_state second = fine(f, "test-key", NULL, 0);
    assert_int_equal(role_of(f, &second, "test-key"), ROLE_ADMIN);
    assert_int_equal(revocations_load(look(f), &set), STORE_OK);
    assert_int_equal(revocations_count(set), 0);
    revocations_unref(set);
    auth_state_done(&first);
    auth_state_done(&second);
}

static void given_apps_are_made_and_main_is_always_the_first(void **state)
{
    struct fixture *f = *state;
    const char *const apps[] = {"3:k3:s3", "shop:kshop:s:h:o:p"};
    struct auth_state first = fine(f, "k", apps, 2);
    assert_app(f, &first, "main", 1, first.new_pusher_key, first.new_pusher_secret);
    assert_app(f, &first, "3", 2, "k3", "s3");
    assert_app(f, &first, "shop", 3, "kshop", "s:h:o:p");
    auth_state_done(&first);
}

static void a_given_main_needs_no_made_key(void **state)
{
    struct fixture *f = *state;
    const char *const apps[] = {"3:k3:s3", "main:kmain:smain"};
    struct auth_state first = fine(f, "k", apps, 2);
    assert_null(first.new_pusher_key);
    assert_app(f, &first, "main", 1, "kmain", "smain");
    assert_app(f, &first, "3", 2, "k3", "s3");
    const char *const changed[] = {"main:kmain2:smain2"};
    struct auth_state second = fine(f, "k", changed, 1);
    assert_app(f, &second, "main", 1, "kmain2", "smain2");
    assert_app(f, &second, "3", 2, "k3", "s3");
    auth_state_done(&first);
    auth_state_done(&second);
}

static void bad_options_are_named_and_change_nothing(void **state)
{
    struct fixture *f = *state;
    struct auth_state out;
    static const char *const bad_apps[] = {"", "a", "a:b", "a b:c:d", "a:b:"};
    for (size_t i = 0; i < sizeof bad_apps / sizeof bad_apps[0]; i++) {
        assert_int_equal(start(f, NULL, &bad_apps[i], 1, NULL, &out), AUTH_START_USAGE);
        assert_non_null(strstr(f->text, "--app"));
    }
    const char *const same_key[] = {"a:k:s", "b:k:topsecret"};
    assert_int_equal(start(f, NULL, same_key, 2, NULL, &out), AUTH_START_USAGE);
    assert_null(strstr(f->text, "topsecret"));
    static const char *const bad_keys[] = {"", "with space", "tab\t", "\xc3\xa9", "a.b.c"};
    for (size_t i = 0; i < sizeof bad_keys / sizeof bad_keys[0]; i++) {
        assert_int_equal(start(f, bad_keys[i], NULL, 0, NULL, &out), AUTH_START_USAGE);
        assert_non_null(strstr(f->text, "--admin-key"));
    }
    assert_int_equal(store_count(look(f), TABLE_APP), 0);
    assert_int_equal(store_count(look(f), TABLE_API_KEY), 0);
}

static char *in_folder(const char *folder, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "%s/%s", folder, name);
    char *path = test_text(&b);
    buf_done(&b);
    return path;
}

static void a_lost_server_secret_stops_the_start(void **state)
{
    struct fixture *f = *state;
    struct auth_state first = fine(f, NULL, NULL, 0), out;
    char *path = in_folder(f->folder, "keys/server.secret");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(start(f, NULL, NULL, 0, NULL, &out), AUTH_START_FILE);
    assert_non_null(strstr(f->text, path));
    free(path);
    auth_state_done(&first);
}

static void another_server_secret_stops_the_start(void **state)
{
    struct fixture *f = *state;
    const char *const apps[] = {"main:k:s"};
    struct auth_state first = fine(f, NULL, apps, 1), out;
    char *path = in_folder(f->folder, "keys/server.secret"), text[128];
    assert_int_equal(keyfile_write_secret(path,
                                          slice_str("waggle-secret-1 "
                                                    "00000000000000000000000000000000"
                                                    "00000000000000000000000000000001\n"),
                                          text, sizeof text),
                     KEYFILE_OK);
    assert_int_equal(start(f, NULL, NULL, 0, NULL, &out), AUTH_START_FILE);
    assert_non_null(strstr(f->text, path));
    free(path);
    auth_state_done(&first);
}

static void a_file_of_trusted_keys_is_read_and_counted(void **state)
{
    struct fixture *f = *state;
    struct auth_state out;
    char *path = in_folder(f->folder, "jwks.json"), text[128];
    assert_int_equal(start(f, NULL, NULL, 0, path, &out), AUTH_START_FILE);
    assert_non_null(strstr(f->text, path));
    assert_int_equal(
        keyfile_write_secret(
            path,
            slice_str("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                      "\"kid\":\"idp\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
                      "{\"kty\":\"RSA\"}]}"),
            text, sizeof text),
        KEYFILE_OK);
    assert_int_equal(start(f, NULL, NULL, 0, path, &out), AUTH_START_OK);
    assert_int_equal(out.trusted, 1);
    assert_int_equal(out.skipped, 1);
    assert_non_null(signing_find(out.signing, slice_str("idp"), 1));
    auth_state_done(&out);
    assert_int_equal(keyfile_write_secret(path, slice_str("[]"), text, sizeof text), KEYFILE_OK);
    assert_int_equal(start(f, NULL, NULL, 0, path, &out), AUTH_START_FILE);
    free(path);
}

#define with_store(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(the_first_start_makes_everything_and_the_next_nothing),
        with_store(a_given_admin_key_works_as_long_as_it_is_given),
        with_store(a_made_key_given_back_stays_what_it_is),
        with_store(a_revoked_admin_key_is_replaced_at_the_next_start),
        with_store(a_given_key_that_was_revoked_works_again),
        with_store(given_apps_are_made_and_main_is_always_the_first),
        with_store(a_given_main_needs_no_made_key),
        with_store(bad_options_are_named_and_change_nothing),
        with_store(a_lost_server_secret_stops_the_start),
        with_store(another_server_secret_stops_the_start),
        with_store(a_file_of_trusted_keys_is_read_and_counted),
    };
    return auth_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
