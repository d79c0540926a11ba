#include "auth_test.h"

#include "auth/apikey.h"
#include "auth/app.h"
#include "auth/revocation.h"

/* ---- a store of one test ---- */

struct fixture {
    char *folder;
    struct store *store;
    struct store_reader *reader;
    struct secret *secret;
    struct store_txn *txn;
};

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    struct store_options options = {.map_bytes = 64 << 20};
    char text[256];
    uint8_t bytes[SECRET_BYTES] = {1, 2, 3};
    f->folder = test_folder();
    options.path = f->folder;
    assert_int_equal(store_open(&options, &f->store, text, sizeof text), STORE_OK);
    assert_int_equal(store_reader_new(f->store, &f->reader), STORE_OK);
    f->secret = secret_of(bytes);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    store_reader_free(f->reader);
    store_close(f->store);
    secret_free(f->secret);
    test_folder_drop(f->folder);
    free(f);
    return 0;
}

static struct store_txn *begin(struct fixture *f)
{
    assert_int_equal(store_begin(f->store, &f->txn), STORE_OK);
    return f->txn;
}

static void commit(struct fixture *f)
{
    assert_int_equal(store_commit(f->txn), STORE_OK);
}

static struct store_view *look(struct fixture *f)
{
    struct store_view *view;
    assert_int_equal(store_snapshot(f->reader, &view), STORE_OK);
    return view;
}

/* ---- apps ---- */

static enum store_rc add_app(struct fixture *f, const char *id, const char *key, const char *secret,
                             uint32_t *out_number)
{
    struct buf sealed = {0};
    uint8_t nonce[SEAL_NONCE_BYTES] = {5};
    secret_seal(f->secret, slice_str(secret), nonce, &sealed);
    struct app_row row = {.id = slice_str(id),
                          .name = slice_str("A name"),
                          .key = slice_str(key),
                          .sealed_secret = buf_slice(&sealed),
                          .enabled = true,
                          .limits = {.connections_max = 10, .message_bytes_max = 77},
                          .created_ms = 1234};
    enum store_rc rc = app_add(f->txn, &row, out_number);
    buf_done(&sealed);
    return rc;
}

static struct apps *load_apps(struct fixture *f)
{
    struct apps *apps = NULL;
    assert_int_equal(apps_load(look(f), f->secret, &apps), STORE_OK);
    store_release(f->reader);
    return apps;
}

static void apps_get_numbers_in_turn_and_are_found_every_way(void **state)
{
    struct fixture *f = *state;
    uint32_t number = 0;
    begin(f);
    assert_int_equal(add_app(f, "main", "key-main", "secret 1", &number), STORE_OK);
    assert_int_equal(number, 1);
    assert_int_equal(add_app(f, "3", "key-three", "secret 2", &number), STORE_OK);
    assert_int_equal(number, 2);
    assert_int_equal(add_app(f, "a-shop_9", "akey", "secret 3", &number), STORE_OK);
    assert_int_equal(number, 3);
    commit(f);

    struct apps *apps = load_apps(f);
    assert_int_equal(apps_count(apps), 3);
    const struct app *main_app = apps_by_id(apps, slice_str("main"));
    assert_non_null(main_app);
    assert_int_equal(main_app->number, 1);
    assert_slice(main_app->secret, "secret 1");
    assert_slice(main_app->name, "A name");
    assert_true(main_app->enabled);
    assert_int_equal(main_app->limits.connections_max, 10);
    assert_int_equal(main_app->limits.message_bytes_max, 77);
    assert_int_equal(main_app->created_ms, 1234);
    assert_slice(apps_by_key(apps, slice_str("akey"))->id, "a-shop_9");
    assert_slice(apps_by_number(apps, 2)->id, "3");
    assert_slice(apps_at(apps, 2)->id, "a-shop_9");
    assert_null(apps_at(apps, 3));
    assert_null(apps_by_number(apps, 0));
    assert_null(apps_by_number(apps, 4));
    assert_null(apps_by_id(apps, slice_str("mai")));
    assert_null(apps_by_id(apps, slice_str("")));
    assert_null(apps_by_key(apps, slice_str("main")));
    /* An id that is digits goes before a number. */
    assert_int_equal(apps_by_path(apps, slice_str("3"))->number, 2);
    assert_int_equal(apps_by_path(apps, slice_str("1"))->number, 1);
    assert_int_equal(apps_by_path(apps, slice_str("main"))->number, 1);
    assert_null(apps_by_path(apps, slice_str("9")));
    assert_null(apps_by_path(apps, slice_str("")));
    assert_null(apps_by_path(apps, slice_str("4294967297"))); /* 2^32 + 1 */
    apps_unref(apps);
}

static void no_two_apps_share_an_id_or_a_key(void **state)
{
    struct fixture *f = *state;
    uint32_t number = 0;
    begin(f);
    assert_int_equal(add_app(f, "one", "k1", "s", &number), STORE_OK);
    assert_int_equal(add_app(f, "one", "k2", "s", &number), STORE_EXISTS);
    assert_int_equal(add_app(f, "two", "k1", "s", &number), STORE_EXISTS);
    assert_int_equal(add_app(f, "two", "k2", "s", &number), STORE_OK);
    struct app_row row;
    assert_int_equal(app_find(store_txn_view(f->txn), slice_str("two"), &row), STORE_OK);
    row.key = slice_str("k1");
    assert_int_equal(app_put(f->txn, &row), STORE_EXISTS);
    commit(f);
}

static void an_app_can_be_changed_but_only_one_that_is_there(void **state)
{
    struct fixture *f = *state;
    uint32_t number = 0;
    struct app_row row;
    begin(f);
    assert_int_equal(add_app(f, "one", "k1", "s", &number), STORE_OK);
    assert_int_equal(app_get(store_txn_view(f->txn), number, &row), STORE_OK);
    row.enabled = false;
    row.name = slice_str("another");
    row.limits.channels_max = 3;
    assert_int_equal(app_put(f->txn, &row), STORE_OK);
    assert_int_equal(app_find(store_txn_view(f->txn), slice_str("none"), &row), STORE_NOT_FOUND);
    assert_int_equal(app_get(store_txn_view(f->txn), 99, &row), STORE_NOT_FOUND);
    assert_int_equal(app_get(store_txn_view(f->txn), number, &row), STORE_OK);
    row.number = 99;
    assert_int_equal(app_put(f->txn, &row), STORE_NOT_FOUND);
    commit(f);
    struct apps *apps = load_apps(f);
    assert_false(apps_at(apps, 0)->enabled);
    assert_slice(apps_at(apps, 0)->name, "another");
    assert_int_equal(apps_at(apps, 0)->limits.channels_max, 3);
    apps_unref(apps);
}

static void fields_of_an_app_have_bounds(void **state)
{
    struct fixture *f = *state;
    char longest[APP_SECRET_BYTES_MAX + 2] = {0}, long_id[APP_ID_BYTES_MAX + 2] = {0};
    const char *const bad[] = {"", "a b", "a/b", "a.b", "a:b", "\xc3\xa9", long_id};
    memset(long_id, 'i', APP_ID_BYTES_MAX + 1);
    uint32_t number = 77;
    begin(f);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(add_app(f, bad[i], "k", "s", &number), STORE_INVALID);
        assert_int_equal(add_app(f, "i", bad[i], "s", &number), STORE_INVALID);
    }
    assert_int_equal(add_app(f, "i", "k", "", &number), STORE_INVALID);
    memset(longest, 's', APP_SECRET_BYTES_MAX + 1);
    assert_int_equal(add_app(f, "i", "k", longest, &number), STORE_INVALID);
    assert_int_equal(number, 77);
    longest[APP_SECRET_BYTES_MAX] = '\0';
    assert_int_equal(add_app(f, "i", "k", longest, &number), STORE_OK);
    commit(f);
}

static void secrets_of_apps_open_under_the_server_secret_alone(void **state)
{
    struct fixture *f = *state;
    uint8_t other[SECRET_BYTES] = {9};
    uint32_t number;
    begin(f);
    assert_int_equal(add_app(f, "one", "k1", "7ad3773142a6692b25b8", &number), STORE_OK);
    struct slice row;
    uint8_t key[4];
    be32_put(key, number);
    assert_int_equal(store_get(store_txn_view(f->txn), TABLE_APP, slice_of(key, 4), &row),
                     STORE_OK);
    assert_null(memmem(row.p, row.n, "7ad3773142a6692b25b8", 20)); /* not at rest */
    commit(f);
    struct secret *stranger = secret_of(other);
    struct apps *apps = NULL;
    assert_int_equal(apps_load(look(f), stranger, &apps), STORE_DAMAGED);
    assert_null(apps);
    secret_free(stranger);
}

static void a_damaged_row_of_an_app_is_said_to_be_one(void **state)
{
    struct fixture *f = *state;
    uint32_t number;
    begin(f);
    assert_int_equal(add_app(f, "one", "k1", "s", &number), STORE_OK);
    struct slice value;
    uint8_t key[4];
    be32_put(key, number);
    assert_int_equal(store_get(store_txn_view(f->txn), TABLE_APP, slice_of(key, 4), &value),
                     STORE_OK);
    uint8_t *copy = xmalloc(value.n);
    size_t n = value.n;
    memcpy(copy, value.p, n);
    for (size_t cut = 0; cut < n; cut++) {
        struct app_row row;
        struct apps *apps = NULL;
        assert_int_equal(store_put(f->txn, TABLE_APP, slice_of(key, 4), slice_of(copy, cut)),
                         STORE_OK);
        assert_int_equal(app_get(store_txn_view(f->txn), number, &row), STORE_DAMAGED);
        assert_int_equal(apps_load(store_txn_view(f->txn), f->secret, &apps), STORE_DAMAGED);
    }
    free(copy);
    store_abort(f->txn);
}

static void app_options_have_three_parts(void **state)
{
    (void)state;
    struct slice id, key, secret;
    assert_true(app_option_parse(slice_str("3:k-1:s:e:c"), &id, &key, &secret));
    assert_slice(id, "3");
    assert_slice(key, "k-1");
    assert_slice(secret, "s:e:c");
    static const char *const bad[] = {"", ":", "::", "a", "a:b", "a:b:", ":b:c", "a::c", "a b:c:d"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_false(app_option_parse(slice_str(bad[i]), &id, &key, &secret));
    }
}

/* ---- API keys ---- */

static void a_made_key_looks_like_one_and_a_mistyped_one_does_not(void **state)
{
    (void)state;
    uint8_t random[API_KEY_RANDOM_BYTES] = {0xab, 1, 2};
    static const char *const ids[] = {"m", "main", "a_b-c_"};
    for (size_t k = 0; k < 3; k++) {
        struct buf text = {0};
        api_key_text(slice_str(ids[k]), random, &text);
        assert_int_equal(text.n, 3 + strlen(ids[k]) + 1 + 48);
        assert_true(api_key_looks_made(buf_slice(&text)));
        for (size_t i = 0; i < text.n; i++) {
            assert_false(api_key_looks_made(slice_of(text.p, i)));
            text.p[i] ^= 1;
            assert_false(api_key_looks_made(buf_slice(&text)));
            text.p[i] ^= 1;
        }
        buf_done(&text);
    }
}

static struct api_key key_of(struct fixture *f, const char *text, uint32_t app)
{
    struct api_key key = {
        .app = app, .role = ROLE_AGENT, .created_ms = 100, .name = slice_str("ci")};
    assert_true(api_key_hash(f->secret, slice_str(text), &key));
    return key;
}

static void a_key_is_found_by_its_text_and_by_its_id(void **state)
{
    struct fixture *f = *state;
    struct api_key key = key_of(f, "wg_main_0123456789abcdef", 3), found;
    struct buf caps = {0};
    char id[API_KEY_ID_CHARS + 1];
    assert_int_equal(caps_from_text(slice_str("{\"a\":[\"call\"]}"), &caps), CAPS_OK);
    key.caps = buf_slice(&caps);
    key.expires_ms = 999;
    begin(f);
    assert_int_equal(api_key_add(f->txn, &key), STORE_OK);
    assert_int_equal(api_key_add(f->txn, &key), STORE_EXISTS);
    commit(f);

    struct store_view *view = look(f);
    struct api_key presented;
    assert_true(api_key_hash(f->secret, slice_str("wg_main_0123456789abcdef"), &presented));
    assert_int_equal(api_key_find(view, presented.hash, &found), STORE_OK);
    assert_int_equal(found.app, 3);
    assert_int_equal(found.role, ROLE_AGENT);
    assert_int_equal(found.created_ms, 100);
    assert_int_equal(found.expires_ms, 999);
    assert_int_equal(found.revoked_ms, 0);
    assert_string_equal(found.last, "cdef");
    assert_slice(found.name, "ci");
    assert_true(slice_equal(found.caps, buf_slice(&caps)));
    api_key_id(found.hash, id);
    assert_int_equal(api_key_by_id(view, slice_str(id), &found), STORE_OK);
    assert_memory_equal(found.hash, key.hash, sizeof key.hash);

    id[0] = id[0] == '0' ? '1' : '0';
    assert_int_equal(api_key_by_id(view, slice_str(id), &found), STORE_NOT_FOUND);
    assert_int_equal(api_key_by_id(view, slice_str("xyz"), &found), STORE_NOT_FOUND);
    assert_true(api_key_hash(f->secret, slice_str("wg_main_0123456789abcdeg"), &presented));
    assert_int_equal(api_key_find(view, presented.hash, &found), STORE_NOT_FOUND);
    buf_done(&caps);
}

static void a_hash_is_worth_nothing_under_another_server_secret(void **state)
{
    struct fixture *f = *state;
    uint8_t other[SECRET_BYTES] = {9};
    struct secret *stranger = secret_of(other);
    struct api_key ours = key_of(f, "some key", 1), theirs;
    assert_true(api_key_hash(stranger, slice_str("some key"), &theirs));
    assert_memory_not_equal(ours.hash, theirs.hash, sizeof ours.hash);
    secret_free(stranger);
}

static void a_short_key_shows_none_of_its_characters(void **state)
{
    struct fixture *f = *state;
    assert_string_equal(key_of(f, "hunter2", 1).last, "");
    struct api_key key;
    uint8_t text[API_KEY_TEXT_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_false(api_key_hash(f->secret, slice_of(text, 0), &key));
    assert_false(api_key_hash(f->secret, slice_of(text, sizeof text), &key));
    assert_true(api_key_hash(f->secret, slice_of(text, sizeof text - 1), &key));
}

static void revoking_is_for_the_keys_of_ones_own_app_and_lasts(void **state)
{
    struct fixture *f = *state;
    struct api_key key = key_of(f, "key of app 3, long enough", 3), found;
    char id[API_KEY_ID_CHARS + 1];
    api_key_id(key.hash, id);
    begin(f);
    assert_int_equal(api_key_add(f->txn, &key), STORE_OK);
    assert_int_equal(api_key_revoke(f->txn, 4, slice_str(id), 500), STORE_NOT_FOUND);
    assert_int_equal(api_key_revoke(f->txn, 3, slice_str("0000000000000000"), 500),
                     STORE_NOT_FOUND);
    assert_int_equal(api_key_find(store_txn_view(f->txn), key.hash, &found), STORE_OK);
    assert_true(api_key_live(&found, 600));
    assert_int_equal(api_key_revoke(f->txn, 3, slice_str(id), 500), STORE_OK);
    assert_int_equal(api_key_revoke(f->txn, 3, slice_str(id), 700), STORE_OK);
    commit(f);
    assert_int_equal(api_key_find(look(f), key.hash, &found), STORE_OK);
    assert_int_equal(found.revoked_ms, 500);
    assert_false(api_key_live(&found, 600));
    assert_slice(found.name, "ci");
}

static void a_key_lives_until_the_moment_it_expires(void **state)
{
    (void)state;
    struct api_key key = {.expires_ms = 1000};
    assert_true(api_key_live(&key, 999));
    assert_false(api_key_live(&key, 1000));
    key.expires_ms = 0;
    assert_true(api_key_live(&key, INT64_MAX));
}

struct seen {
    size_t n, stop_at;
    uint8_t hashes[32][API_KEY_HASH_BYTES];
};

static bool visit_seen(void *ctx, const struct api_key *key)
{
    struct seen *s = ctx;
    memcpy(s->hashes[s->n++], key->hash, sizeof key->hash);
    return s->n != s->stop_at;
}

static void keys_are_listed_by_app_in_pages(void **state)
{
    struct fixture *f = *state;
    begin(f);
    for (unsigned i = 0; i < 20; i++) {
        char text[32];
        snprintf(text, sizeof text, "a key with number %u", i);
        struct api_key key = key_of(f, text, 1 + i % 2);
        assert_int_equal(api_key_add(f->txn, &key), STORE_OK);
    }
    commit(f);
    struct store_view *view = look(f);
    struct seen all = {0}, two = {0}, paged = {0};
    assert_int_equal(api_keys_each(view, 0, slice_of(NULL, 0), visit_seen, &all), STORE_OK);
    assert_int_equal(all.n, 20);
    assert_int_equal(api_keys_each(view, 2, slice_of(NULL, 0), visit_seen, &two), STORE_OK);
    assert_int_equal(two.n, 10);
    struct slice after = {0};
    for (size_t before = 1; before != paged.n;) { /* pages of three until one is empty */
        before = paged.n;
        paged.stop_at = paged.n + 3;
        assert_int_equal(api_keys_each(view, 2, after, visit_seen, &paged), STORE_OK);
        after = slice_of(paged.hashes[paged.n - 1], API_KEY_ID_CHARS / 2);
    }
    assert_int_equal(paged.n, two.n);
    assert_memory_equal(paged.hashes, two.hashes, two.n * API_KEY_HASH_BYTES);
    assert_int_equal(api_keys_each(view, 2, slice_str("zz"), visit_seen, &paged), STORE_INVALID);
}

static void fields_of_a_key_have_bounds_and_its_row_is_checked(void **state)
{
    struct fixture *f = *state;
    uint8_t name[API_KEY_NAME_MAX + 1];
    memset(name, 'n', sizeof name);
    struct api_key good = key_of(f, "any", 1), bad[4] = {good, good, good, good}, found;
    bad[0].role = ROLE_NONE;
    bad[1].role = ROLE_COUNT;
    bad[2].name = slice_of(name, sizeof name);
    bad[3].caps = slice_str("nonsense");
    begin(f);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(api_key_add(f->txn, &bad[i]), STORE_INVALID);
    }
    assert_int_equal(
        store_put(f->txn, TABLE_API_KEY, slice_of(good.hash, sizeof good.hash), slice_str("\1x")),
        STORE_OK);
    assert_int_equal(api_key_find(store_txn_view(f->txn), good.hash, &found), STORE_DAMAGED);
    store_abort(f->txn);
}

/* ---- revocations ---- */

static void withdraw(struct fixture *f, enum revocation_kind kind, const char *text,
                     int64_t before_ms, int64_t until_ms)
{
    assert_int_equal(revocation_add(f->txn, &(struct revocation){.app = 1,
                                                                 .kind = kind,
                                                                 .text = slice_str(text),
                                                                 .before_ms = before_ms,
                                                                 .until_ms = until_ms,
                                                                 .made_ms = 50}),
                     STORE_OK);
}

static struct principal *caller(enum principal_kind kind, uint32_t app, const char *subject,
                                const char *id, int64_t issued_ms)
{
    return principal_new(&(struct principal_spec){.app = app,
                                                  .kind = kind,
                                                  .role = ROLE_AGENT,
                                                  .subject = slice_str(subject),
                                                  .id = slice_str(id),
                                                  .issued_ms = issued_ms});
}

static bool hit(const struct revocations *set, enum principal_kind kind, uint32_t app,
                const char *subject, const char *id, int64_t issued_ms)
{
    struct principal *p = caller(kind, app, subject, id, issued_ms);
    bool yes = revoked(set, p);
    principal_unref(p);
    return yes;
}

static struct revocations *load_revocations(struct fixture *f)
{
    struct revocations *set = NULL;
    assert_int_equal(revocations_load(look(f), &set), STORE_OK);
    store_release(f->reader);
    return set;
}

static void an_empty_set_hits_nobody(void **state)
{
    struct fixture *f = *state;
    struct revocations *set = load_revocations(f);
    assert_int_equal(revocations_count(set), 0);
    assert_false(hit(set, PRINCIPAL_TOKEN, 1, "a", "j", 0));
    revocations_unref(set);
}

static void each_kind_hits_what_it_names_and_nothing_else(void **state)
{
    struct fixture *f = *state;
    begin(f);
    withdraw(f, REVOKE_TOKEN, "j1", 0, 0);
    withdraw(f, REVOKE_SUBJECT, "bob", 5000, 0);
    withdraw(f, REVOKE_KEY, "00ff00ff00ff00ff", 0, 0);
    commit(f);
    struct revocations *set = load_revocations(f);
    assert_int_equal(revocations_count(set), 3);
    assert_true(hit(set, PRINCIPAL_TOKEN, 1, "ann", "j1", 9000));
    assert_false(hit(set, PRINCIPAL_TOKEN, 2, "ann", "j1", 9000)); /* another app */
    assert_false(hit(set, PRINCIPAL_TOKEN, 1, "ann", "j2", 9000));
    assert_false(hit(set, PRINCIPAL_TOKEN, 1, "ann", "", 9000));
    assert_false(hit(set, PRINCIPAL_TOKEN, 1, "j1", "x", 9000)); /* a name is no id */
    assert_true(hit(set, PRINCIPAL_TOKEN, 1, "bob", "x", 5000));
    assert_true(hit(set, PRINCIPAL_TOKEN, 1, "bob", "x", 0)); /* of unknown age */
    assert_false(hit(set, PRINCIPAL_TOKEN, 1, "bob", "x", 5001));
    assert_true(hit(set, PRINCIPAL_API_KEY, 1, "bob", "00ff00ff00ff00ff", 9000));
    assert_false(hit(set, PRINCIPAL_API_KEY, 1, "bob", "j1", 0));
    assert_false(hit(set, PRINCIPAL_TOKEN, 1, "ann", "00ff00ff00ff00ff", 9000));
    assert_false(hit(set, PRINCIPAL_ANONYMOUS, 1, "bob", "j1", 0));
    revocations_unref(set);
}

static void issued_before_hits_all_older_tokens_of_its_app(void **state)
{
    struct fixture *f = *state;
    begin(f);
    withdraw(f, REVOKE_ISSUED_BEFORE, "", 5000, 0);
    commit(f);
    struct revocations *set = load_revocations(f);
    assert_true(hit(set, PRINCIPAL_TOKEN, 1, "a", "j", 5000));
    assert_false(hit(set, PRINCIPAL_TOKEN, 1, "a", "j", 5001));
    assert_false(hit(set, PRINCIPAL_TOKEN, 2, "a", "j", 0));
    assert_false(hit(set, PRINCIPAL_API_KEY, 1, "a", "j", 0));
    revocations_unref(set);
}

static void revoking_again_never_takes_anything_back(void **state)
{
    struct fixture *f = *state;
    begin(f);
    withdraw(f, REVOKE_SUBJECT, "bob", 5000, 9000);
    withdraw(f, REVOKE_SUBJECT, "bob", 4000, 8000);
    commit(f);
    struct revocations *set = load_revocations(f);
    assert_int_equal(revocations_count(set), 1);
    assert_true(hit(set, PRINCIPAL_TOKEN, 1, "bob", "x", 5000));
    revocations_unref(set);
    begin(f);
    struct revocation_cursor at = {0};
    assert_false(revocation_sweep(f->txn, 8999, 100, &at));
    assert_int_equal(store_count(store_txn_view(f->txn), TABLE_REVOCATION), 1);
    withdraw(f, REVOKE_SUBJECT, "bob", 1, 0); /* now for ever */
    assert_false(revocation_sweep(f->txn, INT64_MAX, 100, &at));
    assert_int_equal(store_count(store_txn_view(f->txn), TABLE_REVOCATION), 1);
    commit(f);
}

static void sweeping_in_steps_drops_what_is_over_and_keeps_the_rest(void **state)
{
    struct fixture *f = *state;
    begin(f);
    for (int i = 0; i < 100; i++) {
        char jti[16];
        snprintf(jti, sizeof jti, "j%d", i);
        withdraw(f, REVOKE_TOKEN, jti, 0, i % 3 == 0 ? 0 : (i % 3 == 1 ? 1000 : 2000));
    }
    struct revocation_cursor at = {0};
    int steps = 1;
    while (revocation_sweep(f->txn, 1000, 7, &at)) {
        steps++;
    }
    assert_in_range(steps, 100 / 7, 100 / 7 + 2);
    commit(f);
    struct revocations *set = load_revocations(f);
    for (int i = 0; i < 100; i++) {
        char jti[16];
        snprintf(jti, sizeof jti, "j%d", i);
        assert_int_equal(hit(set, PRINCIPAL_TOKEN, 1, "a", jti, 0), i % 3 != 1);
    }
    revocations_unref(set);
}

struct counted {
    size_t n;
    uint8_t last[REVOCATION_PLACE_BYTES_MAX];
    size_t last_n;
};

static bool count_visit(void *ctx, const struct revocation *r, struct slice place)
{
    struct counted *c = ctx;
    assert_int_equal(r->made_ms, 50);
    assert_true(r->text.n > 0);
    memcpy(c->last, place.p, place.n);
    c->last_n = place.n;
    return ++c->n % 2 != 0;
}

static void revocations_of_an_app_are_listed_with_their_texts(void **state)
{
    struct fixture *f = *state;
    struct counted c = {0};
    begin(f);
    withdraw(f, REVOKE_TOKEN, "j1", 0, 0);
    withdraw(f, REVOKE_TOKEN, "j2", 0, 0);
    withdraw(f, REVOKE_SUBJECT, "bob", 0, 0);
    assert_int_equal(
        revocation_add(
            f->txn, &(struct revocation){.app = 2, .kind = REVOKE_TOKEN, .text = slice_str("j1")}),
        STORE_OK);
    commit(f);
    assert_int_equal(revocations_each(look(f), 1, slice_of(NULL, 0), count_visit, &c), STORE_OK);
    assert_int_equal(c.n, 2); /* a visit that returns false is the last */
    assert_int_equal(revocations_each(look(f), 1, slice_of(c.last, c.last_n), count_visit, &c),
                     STORE_OK);
    assert_int_equal(c.n, 3);
}

static void fields_of_a_revocation_have_bounds(void **state)
{
    struct fixture *f = *state;
    uint8_t text[129];
    memset(text, 'x', sizeof text);
    const struct revocation bad[] = {
        {.kind = REVOKE_TOKEN},
        {.kind = REVOKE_TOKEN, .text = slice_of(text, sizeof text)},
        {.kind = REVOKE_ISSUED_BEFORE, .text = slice_str("x")},
        {.kind = (enum revocation_kind)0, .text = slice_str("x")},
    };
    begin(f);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(revocation_add(f->txn, &bad[i]), STORE_INVALID);
    }
    store_abort(f->txn);
}

/* Against a list that is walked. */
static void the_set_agrees_with_a_model(void **state)
{
    struct fixture *f = *state;
    test_seed();
    int64_t subject_before[10];
    bool token_revoked[50] = {false};
    memset(subject_before, 0xff, sizeof subject_before);
    begin(f);
    for (int i = 0; i < 60; i++) {
        char text[16];
        size_t which = test_below(i % 2 ? 10 : 50);
        int64_t before = (int64_t)test_below(100);
        snprintf(text, sizeof text, "%s%zu", i % 2 ? "s" : "j", which);
        withdraw(f, i % 2 ? REVOKE_SUBJECT : REVOKE_TOKEN, text, before, 0);
        if (i % 2) {
            subject_before[which] = before > subject_before[which] ? before : subject_before[which];
        } else {
            token_revoked[which] = true;
        }
    }
    commit(f);
    struct revocations *set = load_revocations(f);
    for (size_t s = 0; s < 10; s++) {
        for (size_t j = 0; j < 50; j++) {
            char subject[16], id[16];
            int64_t issued = (int64_t)test_below(100);
            snprintf(subject, sizeof subject, "s%zu", s);
            snprintf(id, sizeof id, "j%zu", j);
            assert_int_equal(hit(set, PRINCIPAL_TOKEN, 1, subject, id, issued),
                             token_revoked[j] || issued <= subject_before[s]);
        }
    }
    revocations_unref(set);
}

#define with_store(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(apps_get_numbers_in_turn_and_are_found_every_way),
        with_store(no_two_apps_share_an_id_or_a_key),
        with_store(an_app_can_be_changed_but_only_one_that_is_there),
        with_store(fields_of_an_app_have_bounds),
        with_store(secrets_of_apps_open_under_the_server_secret_alone),
        with_store(a_damaged_row_of_an_app_is_said_to_be_one),
        cmocka_unit_test(app_options_have_three_parts),
        cmocka_unit_test(a_made_key_looks_like_one_and_a_mistyped_one_does_not),
        with_store(a_key_is_found_by_its_text_and_by_its_id),
        with_store(a_hash_is_worth_nothing_under_another_server_secret),
        with_store(a_short_key_shows_none_of_its_characters),
        with_store(revoking_is_for_the_keys_of_ones_own_app_and_lasts),
        cmocka_unit_test(a_key_lives_until_the_moment_it_expires),
        with_store(keys_are_listed_by_app_in_pages),
        with_store(fields_of_a_key_have_bounds_and_its_row_is_checked),
        with_store(an_empty_set_hits_nobody),
        with_store(each_kind_hits_what_it_names_and_nothing_else),
        with_store(issued_before_hits_all_older_tokens_of_its_app),
        with_store(revoking_again_never_takes_anything_back),
        with_store(sweeping_in_steps_drops_what_is_over_and_keeps_the_rest),
        with_store(revocations_of_an_app_are_listed_with_their_texts),
        with_store(fields_of_a_revocation_have_bounds),
        with_store(the_set_agrees_with_a_model),
    };
    return auth_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
