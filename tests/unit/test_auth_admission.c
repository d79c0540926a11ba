#include "auth_test.h"

#include "auth/admission.h"
#include "auth/start.h"

static const int64_t now_ms = 1800000000000;
static const uint8_t seed[ADMISSION_SEED_BYTES] = {1};

struct fixture {
    char *folder;
    struct store *store;
    struct store_reader *reader;
    struct auth_state auth;
    struct apps *apps;
    struct revocations *revocations;
    struct admission *admission;
};

static struct store_view *look(struct fixture *f)
{
    struct store_view *view;
    assert_int_equal(store_snapshot(f->reader, &view), STORE_OK);
    return view;
}

/* What the hub does when the writer says that rows of auth have changed. */
static void reload(struct fixture *f)
{
    struct apps *apps;
    struct revocations *revocations;
    assert_int_equal(apps_load(look(f), f->auth.secret, &apps), STORE_OK);
    assert_int_equal(revocations_load(look(f), &revocations), STORE_OK);
    admission_rules(f->admission, &(struct admission_rules){.secret = f->auth.secret,
                                                            .signing = f->auth.signing,
                                                            .apps = apps,
                                                            .revocations = revocations});
    apps_unref(f->apps);
    revocations_unref(f->revocations);
    f->apps = apps;
    f->revocations = revocations;
}

static int set_up(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    static struct auth_start_random random;
    auth_random(&random, sizeof random);
    char text[256];
    f->folder = test_folder();
    assert_int_equal(store_open(&(struct store_options){.path = f->folder, .map_bytes = 64 << 20},
                                &f->store, text, sizeof text),
                     STORE_OK);
    assert_int_equal(store_reader_new(f->store, &f->reader), STORE_OK);
    assert_int_equal(auth_start(f->store,
                                &(struct auth_start_options){
                                    .data_dir = f->folder, .now_ms = now_ms, .random = &random},
                                &f->auth, text, sizeof text),
                     AUTH_START_OK);
    f->admission = admission_new(seed, 0);
    reload(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    admission_free(f->admission);
    apps_unref(f->apps);
    revocations_unref(f->revocations);
    auth_state_done(&f->auth);
    store_reader_free(f->reader);
    store_close(f->store);
    test_folder_drop(f->folder);
    free(f);
    return 0;
}

static struct buf token_of(struct fixture *f, const char *subject, const char *id)
{
    struct buf token = {0};
    assert_int_equal(token_mint(f->auth.signing,
                                &(struct token_claims){.subject = slice_str(subject),
                                                       .app_id = slice_str("main"),
                                                       .id = slice_str(id),
                                                       .role = ROLE_AGENT,
                                                       .issued_ms = now_ms,
                                                       .expires_ms = now_ms + 60000},
                                &token),
                     TOKEN_OK);
    return token;
}

static enum admit_rc admit(struct fixture *f, struct slice credential, int64_t at_ms,
                           struct principal **out)
{
    return admission_admit(f->admission, look(f), credential, at_ms, out, NULL);
}

static enum admit_rc verdict(struct fixture *f, struct slice credential, int64_t at_ms)
{
    struct principal *p = NULL;
    enum admit_rc rc = admit(f, credential, at_ms, &p);
    assert_int_equal(rc == ADMIT_OK, p != NULL);
    principal_unref(p);
    return rc;
}

static void everyone_with_the_same_credential_shares_a_principal(void **state)
{
    struct fixture *f = *state;
    struct buf token = token_of(f, "a7", "j1");
    struct slice credentials[2] = {buf_slice(&token), slice_str(f->auth.new_admin_key)};
    for (size_t i = 0; i < 2; i++) {
        struct principal *first = NULL, *second = NULL;
        assert_int_equal(admit(f, credentials[i], now_ms, &first), ADMIT_OK);
        assert_int_equal(admit(f, credentials[i], now_ms, &second), ADMIT_OK);
        assert_ptr_equal(first, second);
        assert_int_equal(first->role, i == 0 ? ROLE_AGENT : ROLE_ADMIN);
        assert_int_equal(first->kind, i == 0 ? PRINCIPAL_TOKEN : PRINCIPAL_API_KEY);
        assert_slice(first->app_id, "main");
        principal_unref(first);
        principal_unref(second);
    }
    struct admission_stats stats;
    admission_stats(f->admission, &stats);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.misses, 2);
    buf_done(&token);
}

static void what_is_no_credential_is_counted_and_refused(void **state)
{
    struct fixture *f = *state;
    enum token_rc why = TOKEN_OK;
    struct principal *p = NULL;
    uint8_t *huge = xcalloc(1, 1 << 20);
    assert_int_equal(verdict(f, slice_str(""), now_ms), ADMIT_UNKNOWN_KEY);
    assert_int_equal(verdict(f, slice_of(NULL, 0), now_ms), ADMIT_UNKNOWN_KEY);
    assert_int_equal(verdict(f, slice_str("wg_main_nonsense"), now_ms), ADMIT_UNKNOWN_KEY);
    assert_int_equal(admission_admit(f->admission, look(f), slice_str("a.b.c"), now_ms, &p, &why),
                     ADMIT_BAD_TOKEN);
    assert_int_equal(why, TOKEN_BAD_SHAPE);
    assert_int_equal(
        admission_admit(f->admission, look(f), slice_of(huge, 1 << 20), now_ms, &p, &why),
        ADMIT_BAD_TOKEN);
    assert_int_equal(why, TOKEN_TOO_LONG);
    assert_null(p);
    struct admission_stats stats;
    admission_stats(f->admission, &stats);
    assert_int_equal(stats.refused[ADMIT_UNKNOWN_KEY], 3);
    assert_int_equal(stats.refused[ADMIT_BAD_TOKEN], 2);
    assert_int_equal(stats.tokens_refused[TOKEN_BAD_SHAPE], 1);
    assert_int_equal(stats.tokens_refused[TOKEN_TOO_LONG], 1);
    free(huge);
}

static void a_cached_token_expires_like_any(void **state)
{
    struct fixture *f = *state;
    struct buf token = token_of(f, "a7", "j1");
    assert_int_equal(verdict(f, buf_slice(&token), now_ms), ADMIT_OK);
    assert_int_equal(verdict(f, buf_slice(&token), now_ms + 60000 + TOKEN_LEEWAY_MS - 1), ADMIT_OK);
    assert_int_equal(verdict(f, buf_slice(&token), now_ms + 60000 + TOKEN_LEEWAY_MS),
                     ADMIT_EXPIRED);
    assert_int_equal(verdict(f, buf_slice(&token), now_ms + 60000 + TOKEN_LEEWAY_MS),
                     ADMIT_BAD_TOKEN);
    buf_done(&token);
}

static void a_revoked_token_is_refused_cached_or_not(void **state)
{
    struct fixture *f = *state;
    struct buf token = token_of(f, "a7", "j1"), other = token_of(f, "a8", "j2");
    struct principal *live = NULL;
    struct store_txn *txn;
    assert_int_equal(admit(f, buf_slice(&token), now_ms, &live), ADMIT_OK);
    assert_int_equal(admission_recheck(f->admission, live, now_ms), ADMIT_OK);
    assert_int_equal(store_begin(f->store, &txn), STORE_OK);
    assert_int_equal(
        revocation_add(
            txn, &(struct revocation){.app = 1, .kind = REVOKE_TOKEN, .text = slice_str("j1")}),
        STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
    reload(f);
    assert_int_equal(verdict(f, buf_slice(&token), now_ms), ADMIT_REVOKED); /* was in the cache */
    assert_int_equal(verdict(f, buf_slice(&token), now_ms), ADMIT_REVOKED);
    assert_int_equal(verdict(f, buf_slice(&other), now_ms), ADMIT_OK);
    assert_int_equal(admission_recheck(f->admission, live, now_ms), ADMIT_REVOKED);
    principal_unref(live);
    buf_done(&token);
    buf_done(&other);
}

static void a_revoked_key_is_refused_and_its_connections_learn_of_it(void **state)
{
    struct fixture *f = *state;
    struct slice key = slice_str(f->auth.new_admin_key);
    struct principal *live = NULL;
    struct store_txn *txn;
    assert_int_equal(admit(f, key, now_ms, &live), ADMIT_OK);
    assert_int_equal(store_begin(f->store, &txn), STORE_OK);
    assert_int_equal(api_key_revoke(txn, 1, live->id, now_ms), STORE_OK);
    assert_int_equal(
        revocation_add(txn, &(struct revocation){.app = 1, .kind = REVOKE_KEY, .text = live->id}),
        STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
    reload(f);
    assert_int_equal(admission_recheck(f->admission, live, now_ms), ADMIT_REVOKED);
    assert_int_not_equal(verdict(f, key, now_ms), ADMIT_OK);
    assert_int_equal(verdict(f, key, now_ms), ADMIT_KEY_ENDED);
    principal_unref(live);
}

static void a_disabled_app_shuts_out_tokens_and_keys(void **state)
{
    struct fixture *f = *state;
    struct buf token = token_of(f, "a7", "j1");
    struct slice key = slice_str(f->auth.new_admin_key);
    struct principal *live = NULL;
    struct store_txn *txn;
    struct app_row row;
    assert_int_equal(admit(f, buf_slice(&token), now_ms, &live), ADMIT_OK);
    assert_int_equal(verdict(f, key, now_ms), ADMIT_OK);
    assert_int_equal(store_begin(f->store, &txn), STORE_OK);
    assert_int_equal(app_get(store_txn_view(txn), 1, &row), STORE_OK);
    row.enabled = false;
    assert_int_equal(app_put(txn, &row), STORE_OK);
    assert_int_equal(store_commit(txn), STORE_OK);
    reload(f);
    assert_int_equal(verdict(f, buf_slice(&token), now_ms), ADMIT_BAD_TOKEN);
    assert_int_equal(verdict(f, key, now_ms), ADMIT_BAD_APP);
    assert_int_equal(admission_recheck(f->admission, live, now_ms), ADMIT_BAD_APP);
    principal_unref(live);
    buf_done(&token);
}

static void keys_that_went_out_of_use_are_forgotten_by_the_cache(void **state)
{
    struct fixture *f = *state;
    struct buf token = token_of(f, "a7", "j1");
    uint8_t other[32] = {77};
    assert_int_equal(verdict(f, buf_slice(&token), now_ms), ADMIT_OK);
    struct signing *stranger = signing_of(other, now_ms);
    admission_rules(f->admission, &(struct admission_rules){.secret = f->auth.secret,
                                                            .signing = stranger,
                                                            .apps = f->apps,
                                                            .revocations = f->revocations});
    assert_int_equal(verdict(f, buf_slice(&token), now_ms), ADMIT_BAD_TOKEN);
    reload(f);
    signing_unref(stranger);
    buf_done(&token);
}

/* Was it found in the cache? Whoever it was is still who they are. */
static bool found(struct fixture *f, struct admission *a, const struct buf *token, unsigned i)
{
    char name[16];
    struct principal *p = NULL;
    struct admission_stats before, after;
    (void)snprintf(name, sizeof name, "agent-%u", i);
    admission_stats(a, &before);
    assert_int_equal(admission_admit(a, look(f), buf_slice(token), now_ms, &p, NULL), ADMIT_OK);
    admission_stats(a, &after);
    assert_slice(p->subject, name);
    principal_unref(p);
    return after.hits > before.hits;
}

static void a_full_cache_forgets_the_one_unused_longest(void **state)
{
    struct fixture *f = *state;
    struct admission *four = admission_new(seed, 4); /* one set */
    struct buf tokens[6] = {{0}};
    admission_rules(four, &(struct admission_rules){.secret = f->auth.secret,
                                                    .signing = f->auth.signing,
                                                    .apps = f->apps,
                                                    .revocations = f->revocations});
    for (unsigned i = 0; i < 6; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "agent-%u", i);
        tokens[i] = token_of(f, name, name);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_false(found(f, four, &tokens[i], i));
    }
    assert_true(found(f, four, &tokens[0], 0));
    assert_true(found(f, four, &tokens[2], 2));
    assert_false(found(f, four, &tokens[4], 4)); /* in the place of 1 */
    assert_true(found(f, four, &tokens[0], 0));
    assert_true(found(f, four, &tokens[3], 3));
    assert_false(found(f, four, &tokens[5], 5)); /* in the place of 2 */
    assert_true(found(f, four, &tokens[4], 4));
    assert_false(found(f, four, &tokens[1], 1)); /* in the place of 0 */
    assert_true(found(f, four, &tokens[3], 3));
    for (unsigned i = 0; i < 6; i++) {
        buf_done(&tokens[i]);
    }
    admission_free(four);
}

static void every_verdict_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < ADMIT_RC_COUNT; i++) {
        assert_non_null(admit_rc_name((enum admit_rc)i));
    }
}

#define with_store(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_store(everyone_with_the_same_credential_shares_a_principal),
        with_store(what_is_no_credential_is_counted_and_refused),
        with_store(a_cached_token_expires_like_any),
        with_store(a_revoked_token_is_refused_cached_or_not),
        with_store(a_revoked_key_is_refused_and_its_connections_learn_of_it),
        with_store(a_disabled_app_shuts_out_tokens_and_keys),
        with_store(keys_that_went_out_of_use_are_forgotten_by_the_cache),
        with_store(a_full_cache_forgets_the_one_unused_longest),
        cmocka_unit_test(every_verdict_has_a_name),
    };
    return auth_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
