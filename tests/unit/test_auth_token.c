#include "auth_test.h"

#include <jansson.h>
#include <sodium.h>

#include "auth/base64url.h"
#include "auth/token.h"

static const int64_t now_ms = 1800000000000;
static const char header_fine[] = "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}";
static const char claims_fine[] =
    "{\"sub\":\"a7\",\"aud\":\"waggle\",\"app\":\"main\",\"role\":\"agent\",\"exp\":1800000600}";

static uint8_t seed[32] = {42};
static struct signing *keys;
static struct apps *apps;

static int set_up(void **state)
{
    (void)state;
    const struct app list[] = {
        {.number = 1, .id = slice_str("main"), .key = slice_str("k1"), .enabled = true},
        {.number = 2, .id = slice_str("shop"), .key = slice_str("k2"), .enabled = true},
        {.number = 3, .id = slice_str("gone"), .key = slice_str("k3"), .enabled = false},
    };
    keys = signing_of(seed, now_ms);
    apps = apps_of(list, 3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    signing_unref(keys);
    apps_unref(apps);
    return 0;
}

/* Any header and any payload, signed as they are with our own key. */
static struct buf forge(const char *header, struct slice payload)
{
    struct buf b = {0}, h = {0};
    uint8_t signature[64];
    buf_add_str(&h, header);
    base64url_put(&b, buf_slice(&h));
    buf_add_str(&b, ".");
    base64url_put(&b, payload);
    signing_sign_token(keys, buf_slice(&b), signature);
    buf_add_str(&b, ".");
    base64url_put(&b, slice_of(signature, sizeof signature));
    buf_done(&h);
    return b;
}

static char *fine_header(void)
{
    struct buf b = {0};
    buf_printf(&b, "{\"alg\":\"EdDSA\",\"typ\":\"JWT\",\"kid\":\"%s\"}", signing_kid(keys));
    char *text = test_text(&b);
    buf_done(&b);
    return text;
}

static struct buf forge_claims(const char *claims)
{
    char *header = fine_header();
    struct buf b = forge(header, slice_str(claims));
    free(header);
    return b;
}

static enum token_rc verify(struct slice token, struct principal **out)
{
    return token_verify(keys, apps, token, now_ms, out);
}

/* The verdict on a token that is taken as it is; the principal is looked at by nobody. */
static enum token_rc verdict(struct slice token)
{
    struct principal *p = NULL;
    enum token_rc rc = verify(token, &p);
    assert_int_equal(rc == TOKEN_OK, p != NULL); /* written on success only */
    principal_unref(p);
    return rc;
}

static enum token_rc verdict_on_claims(const char *claims)
{
    struct buf b = forge_claims(claims);
    enum token_rc rc = verdict(buf_slice(&b));
    buf_done(&b);
    return rc;
}

/* %s in the header is our key id. */
static enum token_rc verdict_on_header(const char *format)
{
    struct buf h = {0};
    const char *at = strstr(format, "%s");
    buf_add(&h, format, at ? (size_t)(at - format) : strlen(format));
    if (at) {
        buf_add_str(&h, signing_kid(keys));
        buf_add_str(&h, at + 2);
    }
    char *header = test_text(&h);
    struct buf b = forge(header, slice_str(claims_fine));
    enum token_rc rc = verdict(buf_slice(&b));
    free(header);
    buf_done(&h);
    buf_done(&b);
    return rc;
}

/* ---- what passes ---- */

static void a_minted_token_comes_back_as_the_principal_it_names(void **state)
{
    (void)state;
    struct buf caps = {0}, token = {0};
    assert_int_equal(caps_from_text(slice_str("{\"a.>\":[\"publish\"]}"), &caps), CAPS_OK);
    struct token_claims claims = {.issuer = slice_str("https://hub \"1\""),
                                  .subject = slice_str("agent é"),
                                  .app_id = slice_str("shop"),
                                  .id = slice_str("jti-1"),
                                  .role = ROLE_OPERATOR,
                                  .issued_ms = now_ms,
                                  .not_before_ms = now_ms - 5000,
                                  .expires_ms = now_ms + 60000,
                                  .caps = buf_slice(&caps)};
    struct principal *p = NULL;
    assert_int_equal(token_mint(keys, &claims, &token), TOKEN_OK);
    assert_true(token_looks_like(buf_slice(&token)));
    assert_int_equal(verify(buf_slice(&token), &p), TOKEN_OK);
    assert_int_equal(p->app, 2);
    assert_slice(p->app_id, "shop");
    assert_slice(p->subject, "agent é");
    assert_slice(p->id, "jti-1");
    assert_int_equal(p->role, ROLE_OPERATOR);
    assert_int_equal(p->kind, PRINCIPAL_TOKEN);
    assert_int_equal(p->issued_ms, now_ms);
    assert_int_equal(p->expires_ms, now_ms + 60000);
    assert_true(slice_equal(p->caps, buf_slice(&caps)));
    principal_unref(p);
    buf_done(&caps);
    buf_done(&token);
}

static void absent_claims_have_the_defaults_of_the_header(void **state)
{
    (void)state;
    struct buf b =
        forge_claims("{\"sub\":\"x\",\"aud\":[\"other\",\"waggle\"],\"exp\":1800000600.5}");
    struct principal *p = NULL;
    assert_int_equal(verify(buf_slice(&b), &p), TOKEN_OK);
    assert_int_equal(p->app, 1);
    assert_int_equal(p->role, ROLE_GUEST);
    assert_int_equal(p->issued_ms, 0);
    assert_int_equal(p->expires_ms, 1800000600500);
    assert_int_equal(p->id.n, 0);
    assert_int_equal(p->caps.n, 0);
    principal_unref(p);
    buf_done(&b);
}

static void headers_with_more_in_them_than_needed_pass(void **state)
{
    (void)state;
    assert_int_equal(verdict_on_header(header_fine), TOKEN_OK);
    assert_int_equal(verdict_on_header("{\"kid\":\"%s\",\"alg\":\"EdDSA\"}"), TOKEN_OK);
    assert_int_equal(verdict_on_header("{\"alg\":\"EdDSA\",\"typ\":\"at+JWT\",\"kid\":\"%s\"}"),
                     TOKEN_OK);
    assert_int_equal(
        verdict_on_header("{\"alg\":\"EdDSA\",\"typ\":\"application/jwt\",\"kid\":\"%s\"}"),
        TOKEN_OK);
    /* A key that the token brings along is not looked at. */
    assert_int_equal(
        verdict_on_header("{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"jku\":\"https://evil/\","
                          "\"jwk\":{\"kty\":\"OKP\"},\"x5u\":\"x\",\"x5c\":[]}"),
        TOKEN_OK);
}

static void a_token_of_a_trusted_service_counts_like_our_own(void **state)
{
    (void)state;
    uint8_t foreign_public[32], foreign_secret[64], foreign_seed[32] = {9}, signature[64];
    crypto_sign_seed_keypair(foreign_public, foreign_secret, foreign_seed);
    struct buf jwks = {0}, token = {0};
    buf_add_str(&jwks,
                "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"idp-1\",\"x\":\"");
    base64url_put(&jwks, slice_of(foreign_public, 32));
    buf_add_str(&jwks, "\"}]}");
    struct signing *trusting = NULL;
    unsigned taken, skipped;
    assert_int_equal(signing_trust(keys, buf_slice(&jwks), &trusting, &taken, &skipped),
                     SIGNING_OK);
    base64url_put(&token, slice_str("{\"alg\":\"EdDSA\",\"kid\":\"idp-1\"}"));
    buf_add_str(&token, ".");
    base64url_put(&token, slice_str(claims_fine));
    crypto_sign_detached(signature, NULL, token.p, token.n, foreign_secret);
    buf_add_str(&token, ".");
    base64url_put(&token, slice_of(signature, 64));
    struct principal *p = NULL;
    assert_int_equal(token_verify(trusting, apps, buf_slice(&token), now_ms, &p), TOKEN_OK);
    assert_int_equal(p->role, ROLE_AGENT);
    assert_int_equal(verdict(buf_slice(&token)), TOKEN_UNKNOWN_KEY); /* those who trust no one */
    principal_unref(p);
    signing_unref(trusting);
    buf_done(&jwks);
    buf_done(&token);
}

static void a_rotated_key_verifies_until_its_overlap_ends(void **state)
{
    (void)state;
    struct buf b = forge_claims("{\"sub\":\"x\",\"aud\":\"waggle\",\"exp\":1900000000}");
    struct signing *next = NULL;
    struct principal *p = NULL;
    uint8_t other[32] = {43};
    char text[128];
    assert_int_equal(signing_rotate(keys, other, now_ms, 1000, &next, text, sizeof text),
                     SIGNING_OK);
    assert_int_equal(token_verify(next, apps, buf_slice(&b), now_ms + 999, &p), TOKEN_OK);
    principal_unref(p);
    assert_int_equal(token_verify(next, apps, buf_slice(&b), now_ms + 1000, &p), TOKEN_UNKNOWN_KEY);
    signing_unref(next);
    buf_done(&b);
}

/* ---- hostile headers ---- */

static void only_eddsa_is_an_algorithm(void **state)
{
    (void)state;
    static const char *const algs[] = {
        "none",  "None",  "NONE",  "nOnE",  "",      "HS256",  "HS512",  "ES256",   "ES256K",
        "RS256", "PS256", "eddsa", "EDDSA", "EdDsa", "EdDSA ", " EdDSA", "Ed25519", "EdDSA\\u0020"};
    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++) {
        struct buf h = {0};
        buf_printf(&h, "{\"alg\":\"%s\",\"kid\":\"%%s\"}", algs[i]);
        char *header = test_text(&h);
        assert_int_equal(verdict_on_header(header), TOKEN_BAD_ALGORITHM);
        free(header);
        buf_done(&h);
    }
    assert_int_equal(verdict_on_header("{\"kid\":\"%s\"}"), TOKEN_BAD_ALGORITHM);
    assert_int_equal(verdict_on_header("{\"alg\":null,\"kid\":\"%s\"}"), TOKEN_BAD_ALGORITHM);
    assert_int_equal(verdict_on_header("{\"alg\":[\"EdDSA\"],\"kid\":\"%s\"}"),
                     TOKEN_BAD_ALGORITHM);
    assert_int_equal(verdict_on_header("{\"ALG\":\"EdDSA\",\"kid\":\"%s\"}"), TOKEN_BAD_ALGORITHM);
}

static void an_unsigned_token_is_refused_in_every_shape(void **state)
{
    (void)state;
    struct buf b = {0};
    base64url_put(&b, slice_str("{\"alg\":\"none\"}"));
    buf_add_str(&b, ".");
    base64url_put(&b, slice_str(claims_fine));
    assert_int_equal(verdict(buf_slice(&b)), TOKEN_BAD_SHAPE);
    buf_add_str(&b, ".");
    assert_int_equal(verdict(buf_slice(&b)), TOKEN_BAD_SHAPE);
    buf_add_str(&b, "AAAA");
    assert_int_equal(verdict(buf_slice(&b)), TOKEN_BAD_SHAPE);
    buf_done(&b);
}

/* The classic confusion: our public key as the secret of an HMAC. */
static void an_hmac_under_our_public_key_is_no_signature(void **state)
{
    (void)state;
    struct slice secrets[2] = {slice_of(signing_public(keys), 32), slice_str(signing_kid(keys))};
    for (size_t i = 0; i < 2; i++) {
        struct buf b = {0}, h = {0};
        uint8_t mac[64] = {0};
        buf_printf(&h, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}", signing_kid(keys));
        base64url_put(&b, buf_slice(&h));
        buf_add_str(&b, ".");
        base64url_put(&b, slice_str(claims_fine));
        struct slice part = buf_slice(&b);
        digest_hmac_sha256(mac, secrets[i], &part, 1);
        size_t signed_n = b.n;
        buf_add_str(&b, ".");
        base64url_put(&b, slice_of(mac, 32));
        assert_int_equal(verdict(buf_slice(&b)), TOKEN_BAD_SHAPE); /* 32 bytes are no signature */
        b.n = signed_n;
        buf_add_str(&b, ".");
        base64url_put(&b, slice_of(mac, 64));
        assert_int_equal(verdict(buf_slice(&b)), TOKEN_BAD_ALGORITHM);
        buf_done(&b);
        buf_done(&h);
    }
}

static void a_kid_is_looked_up_and_nothing_else(void **state)
{
    (void)state;
    static const char *const kids[] = {"../../../dev/null",
                                       "/dev/null",
                                       "' OR 1=1 --",
                                       "' UNION SELECT 'x",
                                       "unknown",
                                       "",
                                       "0",
                                       "http://evil/jwks.json",
                                       "|id",
                                       "%00",
                                       "kid\\n",
                                       "\\u006bid"};
    for (size_t i = 0; i < sizeof kids / sizeof kids[0]; i++) {
        struct buf h = {0};
        buf_printf(&h, "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", kids[i]);
        char *header = test_text(&h);
        struct buf b = forge(header, slice_str(claims_fine));
        assert_int_equal(verdict(buf_slice(&b)), TOKEN_UNKNOWN_KEY);
        free(header);
        buf_done(&h);
        buf_done(&b);
    }
    assert_int_equal(verdict_on_header("{\"alg\":\"EdDSA\"}"), TOKEN_UNKNOWN_KEY);
    assert_int_equal(verdict_on_header("{\"alg\":\"EdDSA\",\"kid\":[\"%s\"]}"), TOKEN_UNKNOWN_KEY);
    assert_int_equal(verdict_on_header("{\"alg\":\"EdDSA\",\"kid\":null}"), TOKEN_UNKNOWN_KEY);
}

/* A token that brings the key it is signed with. */
static void an_embedded_key_is_not_trusted(void **state)
{
    (void)state;
    uint8_t public_key[32], secret_key[64], evil[32] = {66}, signature[64];
    crypto_sign_seed_keypair(public_key, secret_key, evil);
    struct buf h = {0}, b = {0};
    buf_printf(
        &h,
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"jwk\":{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"",
        signing_kid(keys));
    base64url_put(&h, slice_of(public_key, 32));
    buf_add_str(&h, "\"}}");
    base64url_put(&b, buf_slice(&h));
    buf_add_str(&b, ".");
    base64url_put(&b, slice_str(claims_fine));
    crypto_sign_detached(signature, NULL, b.p, b.n, secret_key);
    buf_add_str(&b, ".");
    base64url_put(&b, slice_of(signature, 64));
    assert_int_equal(verdict(buf_slice(&b)), TOKEN_BAD_SIGNATURE);
    buf_done(&h);
    buf_done(&b);
}

static void a_broken_header_is_refused_before_anything_else(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}x",
        "[]",
        "\"EdDSA\"",
        "null",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\"",
        "{\"alg\":\"EdDSA\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
        "{\"alg\":\"none\",\"alg\":\"EdDSA\",\"kid\":\"%s\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"crit\":[]}",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"crit\":null}",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"b64\":false,\"crit\":[\"b64\"]}",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"JOSE\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":7}",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"logout+jwt\"}",
        "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"a\":[[[[[[[[[]]]]]]]]]}",
        "{\"alg\":\"EdDSA\\u0000\",\"kid\":\"%s\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (verdict_on_header(bad[i]) != TOKEN_BAD_HEADER) {
            fail_msg("%s: %s", bad[i], token_rc_name(verdict_on_header(bad[i])));
        }
    }
}

/* ---- hostile claims, well signed ---- */

#define BASE "\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":1800000600"

static void broken_claims_are_refused_however_well_signed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "null",
        "7",
        "{" BASE,
        "{" BASE "}}",
        "{" BASE "} x",
        "{\"aud\":\"waggle\",\"exp\":1800000600}", /* no sub */
        "{\"sub\":\"\",\"aud\":\"waggle\",\"exp\":1800000600}",
        "{\"sub\":7,\"aud\":\"waggle\",\"exp\":1800000600}",
        "{\"sub\":null,\"aud\":\"waggle\",\"exp\":1800000600}",
        "{\"sub\":\"a\\nb\",\"aud\":\"waggle\",\"exp\":1800000600}",
        "{\"sub\":\"a\\u0000b\",\"aud\":\"waggle\",\"exp\":1800000600}",
        "{\"sub\":\"a\",\"aud\":\"waggle\"}", /* no exp */
        "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":null}",
        "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":\"1800000600\"}",
        "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":true}",
        "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":-1}",
        "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":253402300800}",
        "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":9223372036854775807}",
        "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":9223372036854775808}",
        "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":1e300}",
        "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":1e999}",
        "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":1800000600,\"exp\":1}", /* twice */
        "{\"sub\":\"a\",\"sub\":\"admin\",\"aud\":\"waggle\",\"exp\":1800000600}",
        "{" BASE ",\"role\":\"agent\",\"role\":\"admin\"}",
        "{" BASE ",\"x\":{\"a\":1,\"a\":2}}",                      /* twice, inside */
        "{" BASE ",\"ro\\u006ce\":\"admin\",\"role\":\"viewer\"}", /* twice, escaped */
        "{" BASE ",\"role\":\"root\"}",
        "{" BASE ",\"role\":\"none\"}",
        "{" BASE ",\"role\":\"Admin\"}",
        "{" BASE ",\"role\":null}",
        "{" BASE ",\"role\":[\"admin\"]}",
        "{" BASE ",\"nbf\":\"x\"}",
        "{" BASE ",\"nbf\":-1}",
        "{" BASE ",\"iat\":{}}",
        "{" BASE ",\"iat\":null}",
        "{" BASE ",\"jti\":7}",
        "{" BASE ",\"jti\":\"\"}",
        "{" BASE ",\"iss\":[]}",
        "{" BASE ",\"app\":7}",
        "{" BASE ",\"app\":\"\"}",
        "{" BASE ",\"app\":null}",
        "{" BASE ",\"cap\":[]}",
        "{" BASE ",\"cap\":null}",
        "{" BASE ",\"cap\":\"*\"}",
        "{" BASE ",\"cap\":{\"a\":[\"fly\"]}}",
        "{" BASE ",\"cap\":{\"a b\":[\"call\"]}}",
        "{" BASE ",\"x\":[[[[[[[[1]]]]]]]]}", /* too deep */
        "{" BASE ",\"x\":\"\xff\"}",
        "{" BASE ",\"x\":\"\xed\xa0\x80\"}",
        "{" BASE ",}",
    };
    assert_int_equal(verdict_on_claims("{" BASE "}"), TOKEN_OK);
    assert_int_equal(verdict_on_claims("{" BASE ",\"x\":[[[[[[[1]]]]]]]}"), TOKEN_OK);
    assert_int_equal(verdict_on_claims("{" BASE ",\"x\":\"[[[[[[[[[[\\\"[[[[[[[[\"}"), TOKEN_OK);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (verdict_on_claims(bad[i]) != TOKEN_BAD_CLAIMS) {
            fail_msg("%s: %s", bad[i], token_rc_name(verdict_on_claims(bad[i])));
        }
    }
}

static void texts_have_bounds(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int max;
    } bounds[] = {{"sub", SUBJECT_BYTES_MAX}, {"jti", CREDENTIAL_ID_BYTES_MAX}, {"iss", 256}};
    for (size_t i = 0; i < 3; i++) {
        for (int n = bounds[i].max; n <= bounds[i].max + 1; n++) {
            struct buf b = {0};
            buf_printf(&b, "{\"%s\":\"%0*d\",%s\"aud\":\"waggle\",\"exp\":1800000600}",
                       bounds[i].name, n, 0, i == 0 ? "" : "\"sub\":\"a\",");
            char *claims = test_text(&b);
            assert_int_equal(verdict_on_claims(claims),
                             n > bounds[i].max ? TOKEN_BAD_CLAIMS : TOKEN_OK);
            free(claims);
            buf_done(&b);
        }
    }
}

static void the_audience_must_be_the_hub(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"sub\":\"a\",\"exp\":1800000600}",
        "{\"sub\":\"a\",\"aud\":\"Waggle\",\"exp\":1800000600}",
        "{\"sub\":\"a\",\"aud\":\"waggle2\",\"exp\":1800000600}",
        "{\"sub\":\"a\",\"aud\":\"\",\"exp\":1800000600}",
        "{\"sub\":\"a\",\"aud\":[],\"exp\":1800000600}",
        "{\"sub\":\"a\",\"aud\":[\"x\",\"y\"],\"exp\":1800000600}",
        "{\"sub\":\"a\",\"aud\":[[\"waggle\"]],\"exp\":1800000600}",
        "{\"sub\":\"a\",\"aud\":{\"waggle\":1},\"exp\":1800000600}",
        "{\"sub\":\"a\",\"aud\":null,\"exp\":1800000600}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(verdict_on_claims(bad[i]), TOKEN_BAD_AUDIENCE);
    }
}

static enum token_rc verdict_at(const char *claims, int64_t at_ms)
{
    struct buf b = forge_claims(claims);
    struct principal *p = NULL;
    enum token_rc rc = token_verify(keys, apps, buf_slice(&b), at_ms, &p);
    principal_unref(p);
    buf_done(&b);
    return rc;
}

static void times_hold_with_half_a_minute_of_leeway(void **state)
{
    (void)state;
    const char *exp = "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":1800000000}";
    assert_int_equal(verdict_at(exp, 1800000029999), TOKEN_OK);
    assert_int_equal(verdict_at(exp, 1800000030000), TOKEN_EXPIRED);
    assert_int_equal(verdict_at("{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":0}", 1800000000000),
                     TOKEN_EXPIRED);
    const char *nbf = "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":1900000000,\"nbf\":1800000000}";
    assert_int_equal(verdict_at(nbf, 1799999969999), TOKEN_NOT_YET);
    assert_int_equal(verdict_at(nbf, 1799999970000), TOKEN_OK);
    const char *iat = "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":1900000000,\"iat\":1800000000}";
    assert_int_equal(verdict_at(iat, 1799999969999), TOKEN_NOT_YET);
    assert_int_equal(verdict_at(iat, 1799999970000), TOKEN_OK);
    const char *last = "{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":253402300799}";
    assert_int_equal(verdict_at(last, 1800000000000), TOKEN_OK);
}

static void the_app_must_be_known_and_enabled(void **state)
{
    (void)state;
    assert_int_equal(verdict_on_claims("{" BASE ",\"app\":\"shop\"}"), TOKEN_OK);
    assert_int_equal(verdict_on_claims("{" BASE ",\"app\":\"gone\"}"), TOKEN_BAD_APP);
    assert_int_equal(verdict_on_claims("{" BASE ",\"app\":\"none\"}"), TOKEN_BAD_APP);
    assert_int_equal(verdict_on_claims("{" BASE ",\"app\":\"2\"}"),
                     TOKEN_BAD_APP); /* an id, no number */
    assert_int_equal(verdict_on_claims("{" BASE ",\"app\":\"main \"}"), TOKEN_BAD_APP);
}

/* ---- every way to bend a good one ---- */

static struct buf good_token(void)
{
    struct buf token = {0};
    struct token_claims claims = {.subject = slice_str("a7"),
                                  .app_id = slice_str("main"),
                                  .id = slice_str("j"),
                                  .role = ROLE_AGENT,
                                  .issued_ms = now_ms,
                                  .expires_ms = now_ms + 60000};
    assert_int_equal(token_mint(keys, &claims, &token), TOKEN_OK);
    assert_int_equal(verdict(buf_slice(&token)), TOKEN_OK);
    return token;
}

static void a_token_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct buf token = good_token();
    for (size_t n = 0; n < token.n; n++) {
        uint8_t *cut = xmalloc(n); /* exact, so that a sanitizer sees a byte read too far */
        memcpy(cut, token.p, n);
        assert_int_not_equal(verdict(slice_of(cut, n)), TOKEN_OK);
        memcpy(cut, token.p + token.n - n, n);
        assert_int_not_equal(verdict(slice_of(cut, n)), TOKEN_OK);
        free(cut);
    }
    buf_done(&token);
}

static void a_token_with_any_bit_flipped_is_refused(void **state)
{
    (void)state;
    struct buf token = good_token();
    for (size_t i = 0; i < token.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            token.p[i] ^= (uint8_t)(1u << bit);
            assert_int_not_equal(verdict(buf_slice(&token)), TOKEN_OK);
            token.p[i] ^= (uint8_t)(1u << bit);
        }
    }
    assert_int_equal(verdict(buf_slice(&token)), TOKEN_OK);
    buf_done(&token);
}

static void a_token_with_a_byte_more_anywhere_is_refused(void **state)
{
    (void)state;
    static const uint8_t more[] = {'.', '=', ' ', '\n', 'A', 0};
    struct buf token = good_token();
    for (size_t at = 0; at <= token.n; at++) {
        for (size_t k = 0; k < sizeof more; k++) {
            uint8_t *longer = xmalloc(token.n + 1);
            memcpy(longer, token.p, at);
            longer[at] = more[k];
            memcpy(longer + at + 1, token.p + at, token.n - at);
            assert_int_not_equal(verdict(slice_of(longer, token.n + 1)), TOKEN_OK);
            free(longer);
        }
    }
    buf_done(&token);
}

/* The last character of a 64-byte signature carries 4 bits that mean nothing: only one of the 16
 * texts of the same bytes passes. */
static void only_one_text_of_the_same_signature_passes(void **state)
{
    (void)state;
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct buf token = good_token();
    uint8_t last = token.p[token.n - 1];
    for (size_t i = 0; i < 64; i++) {
        token.p[token.n - 1] = (uint8_t)alphabet[i];
        enum token_rc rc = verdict(buf_slice(&token));
        assert_int_equal(rc == TOKEN_OK, token.p[token.n - 1] == last);
        if (i % 16 != 0) {
            assert_int_equal(rc, TOKEN_BAD_SHAPE);
        }
    }
    buf_done(&token);
}

static enum token_rc verdict_with_signature(const struct buf *token, const uint8_t signature[64])
{
    struct buf b = {0};
    size_t dot = token->n;
    while (token->p[dot - 1] != '.') {
        dot--;
    }
    buf_add(&b, token->p, dot);
    base64url_put(&b, slice_of(signature, 64));
    enum token_rc rc = verdict(buf_slice(&b));
    buf_done(&b);
    return rc;
}

static void signature_of(const struct buf *token, uint8_t out[64])
{
    size_t dot = token->n, n;
    while (token->p[dot - 1] != '.') {
        dot--;
    }
    assert_true(base64url_get(slice_of(token->p + dot, token->n - dot), out, 64, &n));
}

/* RFC 8032 section 8.4: S and S + L satisfy the same equation; only S < L may pass. */
static void the_other_form_of_a_signature_is_refused(void **state)
{
    (void)state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,
                                      0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0,    0,    0,    0x10};
    struct buf token = good_token();
    uint8_t signature[64];
    signature_of(&token, signature);
    assert_int_equal(verdict_with_signature(&token, signature), TOKEN_OK);
    for (int times = 1; times <= 8; times++) {
        unsigned carry = 0;
        for (size_t i = 0; i < 32; i++) {
            carry += signature[32 + i] + order[i];
            signature[32 + i] = (uint8_t)carry;
            carry >>= 8;
        }
        assert_int_equal(verdict_with_signature(&token, signature), TOKEN_BAD_SIGNATURE);
    }
    buf_done(&token);
}

static void signatures_of_small_order_are_refused(void **state)
{
    (void)state;
    static const char *const points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    struct buf token = good_token();
    uint8_t signature[64];
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        signature_of(&token, signature);
        assert_true(hex_get(slice_str(points[i]), signature, 32));
        assert_int_equal(verdict_with_signature(&token, signature), TOKEN_BAD_SIGNATURE);
        memset(signature + 32, 0, 32);
        assert_int_equal(verdict_with_signature(&token, signature), TOKEN_BAD_SIGNATURE);
    }
    buf_done(&token);
}

static void a_signature_for_another_purpose_is_no_token(void **state)
{
    (void)state;
    struct buf token = good_token();
    uint8_t signature[64];
    size_t dot = token.n;
    while (token.p[dot - 1] != '.') {
        dot--;
    }
    signing_sign(keys, "certificate", slice_of(token.p, dot - 1), signature);
    assert_int_equal(verdict_with_signature(&token, signature), TOKEN_BAD_SIGNATURE);
    buf_done(&token);
}

/* Memory that may not be read: touching one byte would end the test. */
static void a_megabyte_is_refused_unread(void **state)
{
    (void)state;
    size_t n = 1 << 20;
    uint8_t *untouchable = sodium_malloc(n);
    assert_non_null(untouchable);
    assert_int_equal(sodium_mprotect_noaccess(untouchable), 0);
    assert_int_equal(verdict(slice_of(untouchable, n)), TOKEN_TOO_LONG);
    assert_int_equal(verdict(slice_of(untouchable, TOKEN_BYTES_MAX + 1)), TOKEN_TOO_LONG);
    sodium_free(untouchable);
    assert_int_equal(verdict(slice_of(NULL, 0)), TOKEN_BAD_SHAPE);
}

static void a_token_of_the_greatest_length_passes_and_one_longer_does_not(void **state)
{
    (void)state;
    /* The length in characters grows in steps: widen the claims until it no longer fits. */
    size_t longest = 0;
    enum token_rc rc = TOKEN_OK;
    for (int pad = 5800; rc == TOKEN_OK; pad++) {
        struct buf c = {0};
        buf_printf(&c, "{" BASE ",\"pad\":\"%0*d\"}", pad, 0);
        char *claims = test_text(&c);
        struct buf b = forge_claims(claims);
        rc = verdict(buf_slice(&b));
        longest = rc == TOKEN_OK ? b.n : longest;
        if (rc != TOKEN_OK) {
            assert_int_equal(rc, TOKEN_TOO_LONG);
            assert_true(b.n > TOKEN_BYTES_MAX);
        }
        free(claims);
        buf_done(&b);
        buf_done(&c);
    }
    assert_in_range(longest, TOKEN_BYTES_MAX - 4, TOKEN_BYTES_MAX);
}

/* ---- minting ---- */

static void nothing_is_minted_that_would_be_refused(void **state)
{
    (void)state;
    const struct token_claims fine = {.subject = slice_str("a"),
                                      .app_id = slice_str("main"),
                                      .role = ROLE_AGENT,
                                      .expires_ms = now_ms};
    struct token_claims bad[9];
    for (size_t i = 0; i < 9; i++) {
        bad[i] = fine;
    }
    static const uint8_t long_text[SUBJECT_BYTES_MAX + 1] = {'a'};
    bad[0].subject = slice_of(NULL, 0);
    bad[1].subject = slice_of(long_text, sizeof long_text);
    bad[2].subject = slice_str("\xff");
    bad[3].app_id = slice_str("not an id");
    bad[4].role = ROLE_NONE;
    bad[5].expires_ms = 0;
    bad[6].expires_ms = INT64_MAX;
    bad[7].issued_ms = -1;
    bad[8].subject = slice_str("a\nb");
    for (size_t i = 0; i < 9; i++) {
        struct buf b = {0};
        assert_int_equal(token_mint(keys, &bad[i], &b), TOKEN_BAD_CLAIMS);
        assert_int_equal(b.n, 0);
        buf_done(&b);
    }
}

static void every_verdict_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i < TOKEN_RC_COUNT; i++) {
        assert_non_null(token_rc_name((enum token_rc)i));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minted_token_comes_back_as_the_principal_it_names),
        cmocka_unit_test(absent_claims_have_the_defaults_of_the_header),
        cmocka_unit_test(headers_with_more_in_them_than_needed_pass),
        cmocka_unit_test(a_token_of_a_trusted_service_counts_like_our_own),
        cmocka_unit_test(a_rotated_key_verifies_until_its_overlap_ends),
        cmocka_unit_test(only_eddsa_is_an_algorithm),
        cmocka_unit_test(an_unsigned_token_is_refused_in_every_shape),
        cmocka_unit_test(an_hmac_under_our_public_key_is_no_signature),
        cmocka_unit_test(a_kid_is_looked_up_and_nothing_else),
        cmocka_unit_test(an_embedded_key_is_not_trusted),
        cmocka_unit_test(a_broken_header_is_refused_before_anything_else),
        cmocka_unit_test(broken_claims_are_refused_however_well_signed),
        cmocka_unit_test(texts_have_bounds),
        cmocka_unit_test(the_audience_must_be_the_hub),
        cmocka_unit_test(times_hold_with_half_a_minute_of_leeway),
        cmocka_unit_test(the_app_must_be_known_and_enabled),
        cmocka_unit_test(a_token_cut_anywhere_is_refused),
        cmocka_unit_test(a_token_with_any_bit_flipped_is_refused),
        cmocka_unit_test(a_token_with_a_byte_more_anywhere_is_refused),
        cmocka_unit_test(only_one_text_of_the_same_signature_passes),
        cmocka_unit_test(the_other_form_of_a_signature_is_refused),
        cmocka_unit_test(signatures_of_small_order_are_refused),
        cmocka_unit_test(a_signature_for_another_purpose_is_no_token),
        cmocka_unit_test(a_megabyte_is_refused_unread),
        cmocka_unit_test(a_token_of_the_greatest_length_passes_and_one_longer_does_not),
        cmocka_unit_test(nothing_is_minted_that_would_be_refused),
        cmocka_unit_test(every_verdict_has_a_name),
    };
    return auth_init() ? cmocka_run_group_tests(tests, set_up, tear_down) : 1;
}
