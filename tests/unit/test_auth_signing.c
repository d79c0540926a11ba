#include "auth_test.h"

#include "auth/base64url.h"
#include "auth/keyfile.h"
#include "auth/secret.h"
#include "auth/signing.h"

/* RFC 8037 appendix A. */
static const char rfc_d[] = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
static const char rfc_x[] = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
static const char rfc_kid[] = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
static const char rfc_input[] = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
static const char rfc_signature[] =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

static void decode(const char *text, uint8_t *out, size_t n)
{
    size_t got;
    assert_true(base64url_get(slice_str(text), out, n, &got));
    assert_int_equal(got, n);
}

static void the_vectors_of_rfc_8037_hold(void **state)
{
    (void)state;
    uint8_t seed[32], x[32], signature[64], ours[64];
    decode(rfc_d, seed, 32);
    decode(rfc_x, x, 32);
    decode(rfc_signature, signature, 64);
    struct signing *keys = signing_of(seed, 1);
    assert_string_equal(signing_kid(keys), rfc_kid);
    assert_memory_equal(signing_public(keys), x, 32);
    signing_sign_token(keys, slice_str(rfc_input), ours);
    assert_memory_equal(ours, signature, 64);
    assert_true(signature_check_token(x, slice_str(rfc_input), signature));
    signing_unref(keys);
}

static void a_signature_holds_for_its_purpose_alone(void **state)
{
    (void)state;
    uint8_t seed[32] = {1}, signature[64];
    struct slice message = slice_str("head of the log");
    struct signing *keys = signing_of(seed, 1);
    signing_sign(keys, "audit", message, signature);
    const uint8_t *key = signing_public(keys);
    assert_true(signature_check(key, "audit", message, signature));
    assert_false(signature_check(key, "certificate", message, signature));
    assert_false(signature_check(key, "audit", slice_str("head of the loG"), signature));
    assert_false(signature_check_token(key, message, signature));
    signing_unref(keys);
}

/* The eight points of small order, and others that no agent may register. */
static void keys_of_small_order_or_off_the_curve_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0200000000000000000000000000000000000000000000000000000000000000",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t key[32], signature[64] = {1}; /* R the neutral element, S zero */
        assert_true(hex_get(slice_str(bad[i]), key, 32));
        assert_false(signature_key_valid(key));
        assert_false(signature_check_token(key, slice_str("anything"), signature));
        memcpy(signature, key, 32);
        assert_false(signature_check_token(key, slice_str("anything"), signature));
    }
    uint8_t good[32];
    decode(rfc_x, good, 32);
    assert_true(signature_key_valid(good));
}

static char *jwks_text(const struct signing *keys, int64_t now_ms)
{
    struct buf b = {0};
    signing_jwks(keys, now_ms, &b);
    char *text = test_text(&b);
    buf_done(&b);
    return text;
}

static void the_jwk_set_is_as_rfc_8037_writes_it(void **state)
{
    (void)state;
    uint8_t seed[32];
    decode(rfc_d, seed, 32);
    struct signing *keys = signing_of(seed, 1);
    char *text = jwks_text(keys, 1);
    assert_string_equal(text,
                        "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\","
                        "\"use\":\"sig\",\"kid\":\"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\","
                        "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    free(text);
    signing_unref(keys);
}

/* ---- files ---- */

static char *in_folder(const char *folder, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "%s/%s", folder, name);
    char *path = test_text(&b);
    buf_done(&b);
    return path;
}

static unsigned mode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_mode & 0777;
}

static struct signing *open_keys(const char *folder, uint8_t seed_byte)
{
    uint8_t seed[32] = {seed_byte};
    char text[256];
    struct signing *keys = NULL;
    assert_int_equal(signing_open(folder, seed, 1000, &keys, text, sizeof text), SIGNING_OK);
    return keys;
}

static void keys_come_back_from_their_file_which_only_the_owner_reads(void **state)
{
    (void)state;
    char *folder = test_folder(), *path = in_folder(folder, "keys/signing.keys");
    char *keys_folder = in_folder(folder, "keys");
    struct signing *first = open_keys(folder, 1), *again = open_keys(folder, 2);
    assert_string_equal(signing_kid(first), signing_kid(again));
    assert_int_equal(mode_of(path), 0600);
    assert_int_equal(mode_of(keys_folder), 0700);
    assert_int_equal(chmod(path, 0644), 0);
    signing_unref(again);
    again = open_keys(folder, 3);
    assert_int_equal(mode_of(path), 0600); /* closed again before it was read */
    signing_unref(first);
    signing_unref(again);
    free(path);
    free(keys_folder);
    test_folder_drop(folder);
}

static void rotation_keeps_the_old_key_for_its_overlap(void **state)
{
    (void)state;
    char *folder = test_folder(), text[256];
    struct signing *old = open_keys(folder, 1), *next = NULL, *third = NULL;
    char old_kid[SIGNING_KID_CHARS + 1];
    strcpy(old_kid, signing_kid(old));
    uint8_t seed[32] = {2}, seed3[32] = {3};
    assert_int_equal(signing_rotate(old, seed, 5000, 100, &next, text, sizeof text), SIGNING_OK);
    assert_string_not_equal(signing_kid(next), old_kid);
    assert_non_null(signing_find(next, slice_str(old_kid), 5099));
    assert_null(signing_find(next, slice_str(old_kid), 5100));
    assert_non_null(signing_find(next, slice_str(signing_kid(next)), 1 << 30));
    char *during = jwks_text(next, 5099), *after = jwks_text(next, 5100);
    assert_non_null(strstr(during, old_kid));
    assert_null(strstr(after, old_kid));

    struct signing *read = open_keys(folder, 9); /* what a start would find */
    assert_string_equal(signing_kid(read), signing_kid(next));
    assert_non_null(signing_find(read, slice_str(old_kid), 5099));
    assert_null(signing_find(read, slice_str(old_kid), 5100));

    assert_int_equal(signing_rotate(next, seed3, 6000, 100, &third, text, sizeof text), SIGNING_OK);
    assert_null(signing_find(third, slice_str(old_kid), 5000)); /* its overlap is over: forgotten */
    assert_non_null(signing_find(third, slice_str(signing_kid(next)), 6099));
    free(during);
    free(after);
    signing_unref(old);
    signing_unref(next);
    signing_unref(read);
    signing_unref(third);
    test_folder_drop(folder);
}

static void rotating_without_end_is_refused(void **state)
{
    (void)state;
    char text[256];
    uint8_t seed[32] = {0};
    struct signing *keys = signing_of(seed, 1);
    enum signing_rc rc = SIGNING_OK;
    int rotated = 0;
    for (; rc == SIGNING_OK && rotated <= SIGNING_OWN_MAX; rotated++) {
        struct signing *next = NULL;
        seed[0]++;
        rc = signing_rotate(keys, seed, 10, 1000000, &next, text, sizeof text);
        if (rc == SIGNING_OK) {
            signing_unref(keys);
            keys = next;
        }
    }
    assert_int_equal(rc, SIGNING_TOO_MANY);
    assert_int_equal(rotated, SIGNING_OWN_MAX);
    signing_unref(keys);
}

static void write_file(const char *path, const char *bytes)
{
    char text[256];
    assert_int_equal(keyfile_write_secret(path, slice_str(bytes), text, sizeof text), KEYFILE_OK);
}

static void a_broken_file_of_keys_is_named_and_left_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "waggle-signing-keys 1\n",
        "waggle-signing-keys 2\n",
        "waggle-signing-keys 1\nzz 1 0\n",
        "waggle-signing-keys 1\n"
        "0000000000000000000000000000000000000000000000000000000000000001 1 5\n",
        "waggle-signing-keys 1\n"
        "0000000000000000000000000000000000000000000000000000000000000001 1 0",
        "waggle-signing-keys 1\n"
        "0000000000000000000000000000000000000000000000000000000000000001 1 0\nx",
        "waggle-signing-keys 1\n"
        "0000000000000000000000000000000000000000000000000000000000000001 1 0\n"
        "0000000000000000000000000000000000000000000000000000000000000002 1 0\n",
    };
    char *folder = test_folder(), *path = in_folder(folder, "keys/signing.keys"), text[256];
    signing_unref(open_keys(folder, 1));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t seed[32] = {1};
        struct signing *keys = NULL;
        write_file(path, bad[i]);
        text[0] = '\0';
        assert_int_equal(signing_open(folder, seed, 1, &keys, text, sizeof text), SIGNING_BAD_FILE);
        assert_null(keys);
        assert_non_null(strstr(text, path));
        assert_null(strstr(text, "0000000001")); /* no key material */
    }
    free(path);
    test_folder_drop(folder);
}

static void a_folder_that_is_not_there_is_an_error_with_its_name(void **state)
{
    (void)state;
    uint8_t seed[32] = {1};
    char text[256];
    struct signing *keys = NULL;
    struct secret *secret = NULL;
    assert_int_equal(signing_open("/nowhere/at/all", seed, 1, &keys, text, sizeof text),
                     SIGNING_IO);
    assert_non_null(strstr(text, "/nowhere/at/all"));
    assert_int_equal(secret_open("/nowhere/at/all", true, seed, &secret, text, sizeof text),
                     KEYFILE_IO);
    assert_non_null(strstr(text, "/nowhere/at/all"));
}

/* ---- keys of others ---- */

static struct signing *trusting(const char *jwks, unsigned *taken, unsigned *skipped)
{
    uint8_t seed[32] = {1};
    struct signing *own = signing_of(seed, 1), *keys = NULL;
    assert_int_equal(signing_trust(own, slice_str(jwks), &keys, taken, skipped), SIGNING_OK);
    assert_string_equal(signing_kid(own), signing_kid(keys));
    signing_unref(own);
    return keys;
}

#define OKP "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
#define X "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

static void of_a_foreign_set_only_usable_ed25519_keys_are_taken(void **state)
{
    (void)state;
    unsigned taken, skipped;
    struct signing *keys = trusting(
        "{\"keys\":[" OKP "\"kid\":\"good\"," X "}," OKP
        "\"kid\":\"good too\",\"use\":\"sig\",\"alg\":\"EdDSA\",\"key_ops\":[\"verify\"]," X
        "}," OKP "\"kid\":\"good\"," X "}," /* the id is taken */
        OKP X "},"                          /* no id */
        OKP "\"kid\":\"\"," X "}," OKP "\"kid\":7," X "}," OKP "\"kid\":\"enc\",\"use\":\"enc\"," X
        "}," OKP "\"kid\":\"alg\",\"alg\":\"ES256\"," X "}," OKP
        "\"kid\":\"ops\",\"key_ops\":[\"sign\"]," X "}," OKP
        "\"kid\":\"short\",\"x\":\"AAAA\"}," OKP
        "\"kid\":\"padded\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"}," OKP
        "\"kid\":\"neutral\",\"x\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}," OKP
        "\"kid\":\"no x\"},"
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"kid\":\"x25519\"," X "},"
        "{\"kty\":\"RSA\",\"kid\":\"rsa\",\"n\":\"AQAB\",\"e\":\"AQAB\"},"
        "{\"kty\":\"oct\",\"kid\":\"hmac\",\"k\":\"c2VjcmV0\"},"
        "7]}",
        &taken, &skipped);
    assert_int_equal(taken, 2);
    assert_int_equal(skipped, 15);
    assert_non_null(signing_find(keys, slice_str("good"), 1));
    assert_non_null(signing_find(keys, slice_str("good too"), 1));
    assert_null(signing_find(keys, slice_str("neutral"), 1));
    assert_null(signing_find(keys, slice_str("hmac"), 1));
    assert_null(signing_find(keys, slice_str(""), 1));
    char *text = jwks_text(keys, 1); /* theirs are not ours to publish */
    assert_null(strstr(text, "good"));
    free(text);
    signing_unref(keys);
}

static void a_foreign_key_cannot_take_the_id_of_our_own(void **state)
{
    (void)state;
    uint8_t seed[32] = {1};
    unsigned taken, skipped;
    struct signing *own = signing_of(seed, 1), *keys = NULL;
    struct buf jwks = {0};
    buf_printf(&jwks, "{\"keys\":[" OKP "\"kid\":\"%s\"," X "}]}", signing_kid(own));
    assert_int_equal(signing_trust(own, buf_slice(&jwks), &keys, &taken, &skipped), SIGNING_OK);
    assert_int_equal(taken, 0);
    assert_memory_equal(signing_find(keys, slice_str(signing_kid(own)), 1), signing_public(own),
                        32);
    buf_done(&jwks);
    signing_unref(own);
    signing_unref(keys);
}

static void trust_survives_rotation_and_is_replaced_by_the_next(void **state)
{
    (void)state;
    unsigned taken, skipped;
    char text[256];
    uint8_t seed[32] = {5};
    struct signing *keys =
        trusting("{\"keys\":[" OKP "\"kid\":\"theirs\"," X "}]}", &taken, &skipped);
    struct signing *rotated = NULL, *replaced = NULL;
    assert_int_equal(signing_rotate(keys, seed, 10, 10, &rotated, text, sizeof text), SIGNING_OK);
    assert_non_null(signing_find(rotated, slice_str("theirs"), 1));
    assert_int_equal(
        signing_trust(rotated, slice_str("{\"keys\":[]}"), &replaced, &taken, &skipped),
        SIGNING_OK);
    assert_null(signing_find(replaced, slice_str("theirs"), 1));
    assert_non_null(signing_find(replaced, slice_str(signing_kid(keys)), 19));
    signing_unref(keys);
    signing_unref(rotated);
    signing_unref(replaced);
}

static void what_is_no_jwk_set_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "{}", "[]", "{\"keys\":{}}", "{\"keys\":[]", "{\"keys\":[],\"keys\":[]}"};
    uint8_t seed[32] = {1};
    struct signing *own = signing_of(seed, 1), *keys = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        unsigned taken, skipped;
        assert_int_equal(signing_trust(own, slice_str(bad[i]), &keys, &taken, &skipped),
                         SIGNING_BAD_FILE);
    }
    assert_null(keys);
    signing_unref(own);
}

/* ---- the server secret ---- */

static void the_secret_comes_back_and_gives_each_use_its_own_key(void **state)
{
    (void)state;
    char *folder = test_folder(), *path = in_folder(folder, "keys/server.secret"), text[256];
    uint8_t fresh[32] = {7}, other[32] = {8};
    struct secret *first = NULL, *again = NULL;
    assert_int_equal(secret_open(folder, false, fresh, &first, text, sizeof text),
                     KEYFILE_NOT_FOUND);
    assert_int_equal(secret_open(folder, true, fresh, &first, text, sizeof text), KEYFILE_OK);
    assert_int_equal(secret_open(folder, true, other, &again, text, sizeof text), KEYFILE_OK);
    assert_int_equal(mode_of(path), 0600);
    for (int a = 1; a < SECRET_USES; a++) {
        assert_memory_equal(secret_key(first, (enum secret_use)a),
                            secret_key(again, (enum secret_use)a), 32);
        for (int b = 1; b < a; b++) {
            assert_memory_not_equal(secret_key(first, (enum secret_use)a),
                                    secret_key(first, (enum secret_use)b), 32);
        }
    }
    secret_free(first);
    secret_free(again);
    first = NULL;
    write_file(path, "waggle-secret-1 00ff\n");
    assert_int_equal(secret_open(folder, true, fresh, &first, text, sizeof text), KEYFILE_BAD);
    assert_null(first);
    free(path);
    test_folder_drop(folder);
}

static void what_is_sealed_opens_only_whole_and_under_its_secret(void **state)
{
    (void)state;
    uint8_t fresh[32] = {7}, other[32] = {8}, nonce[SEAL_NONCE_BYTES] = {9}, out[16];
    struct secret *secret = secret_of(fresh), *stranger = secret_of(other);
    struct buf sealed = {0};
    secret_seal(secret, slice_str("7ad3773142a6692b"), nonce, &sealed);
    assert_int_equal(sealed.n, 16 + SEAL_EXTRA_BYTES);
    assert_true(secret_unseal(secret, buf_slice(&sealed), out));
    assert_memory_equal(out, "7ad3773142a6692b", 16);
    assert_false(secret_unseal(stranger, buf_slice(&sealed), out));
    for (size_t i = 0; i < sealed.n; i++) {
        assert_false(secret_unseal(secret, slice_of(sealed.p, i), out));
        sealed.p[i] ^= 1;
        assert_false(secret_unseal(secret, buf_slice(&sealed), out));
        sealed.p[i] ^= 1;
    }
    buf_done(&sealed);
    secret_free(secret);
    secret_free(stranger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_8037_hold),
        cmocka_unit_test(a_signature_holds_for_its_purpose_alone),
        cmocka_unit_test(keys_of_small_order_or_off_the_curve_are_refused),
        cmocka_unit_test(the_jwk_set_is_as_rfc_8037_writes_it),
        cmocka_unit_test(keys_come_back_from_their_file_which_only_the_owner_reads),
        cmocka_unit_test(rotation_keeps_the_old_key_for_its_overlap),
        cmocka_unit_test(rotating_without_end_is_refused),
        cmocka_unit_test(a_broken_file_of_keys_is_named_and_left_alone),
        cmocka_unit_test(a_folder_that_is_not_there_is_an_error_with_its_name),
        cmocka_unit_test(of_a_foreign_set_only_usable_ed25519_keys_are_taken),
        cmocka_unit_test(a_foreign_key_cannot_take_the_id_of_our_own),
        cmocka_unit_test(trust_survives_rotation_and_is_replaced_by_the_next),
        cmocka_unit_test(what_is_no_jwk_set_is_refused),
        cmocka_unit_test(the_secret_comes_back_and_gives_each_use_its_own_key),
        cmocka_unit_test(what_is_sealed_opens_only_whole_and_under_its_secret),
    };
    return auth_init() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
