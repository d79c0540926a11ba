/* tests/fuzz/fuzz_token.c: bytes as a token, and as what stands signed within one.
 *
 * The first byte says where the rest goes: 0 the whole token, 1 the payload and 2 the header of a
 * token that is signed well, 3 a JWK set, 4 an API key's text. */
#include <assert.h>
#include <stdlib.h>

#include "auth/apikey.h"
#include "auth/base64url.h"
#include "auth/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const int64_t now_ms = 1800000000000;
static struct signing *keys;
static struct apps *apps;

static void make_once(void)
{
    static const uint8_t seed[SIGNING_SEED_BYTES] = {42};
    if (!keys) {
        const struct app app = {
            .number = 1, .id = slice_str("main"), .key = slice_str("k"), .enabled = true};
        assert(auth_init());
        keys = signing_of(seed, now_ms);
        apps = apps_of(&app, 1);
    }
}

/* Whatever passes is bounded, in its time, and can be asked for rights. */
static void verify(struct slice token)
{
    struct principal *p = NULL;
    if (token_verify(keys, apps, token, now_ms, &p) != TOKEN_OK) {
        assert(p == NULL);
        return;
    }
    assert(p->app == 1 && p->role > ROLE_NONE && p->role < ROLE_COUNT);
    assert(p->subject.n > 0 && p->subject.n <= SUBJECT_BYTES_MAX);
    assert(p->expires_ms + TOKEN_LEEWAY_MS > now_ms && !principal_expired(p, now_ms));
    assert(p->caps.n == 0 || caps_valid(p->caps));
    (void)principal_may_channel(p, RIGHT_SUBSCRIBE, p->subject, ACCESS_SYSTEM);
    assert(!principal_may_channel(p, RIGHT_PUBLISH, p->subject, ACCESS_SYSTEM));
    (void)principal_may_call(p, p->subject, p->id, ROLE_VIEWER);
    principal_unref(p);
}

static void verify_signed(struct slice header, struct slice payload)
{
    struct buf b = {0};
    uint8_t signature[SIGNATURE_BYTES];
    base64url_put(&b, header);
    buf_add_str(&b, ".");
    base64url_put(&b, payload);
    signing_sign_token(keys, buf_slice(&b), signature);
    buf_add_str(&b, ".");
    base64url_put(&b, slice_of(signature, sizeof signature));
    verify(buf_slice(&b));
    buf_done(&b);
}

static void trust(struct slice jwks)
{
    struct signing *next = NULL;
    unsigned taken = 0, skipped = 0;
    if (signing_trust(keys, jwks, &next, &taken, &skipped) == SIGNING_OK) {
        assert(taken <= SIGNING_TRUSTED_MAX);
        assert(signing_find(next, slice_str(signing_kid(keys)), now_ms) != NULL);
    }
    signing_unref(next);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 2 * TOKEN_BYTES_MAX) {
        return 0;
    }
    make_once();
    struct slice rest = slice_of(data + 1, size - 1);
    struct buf header = {0};
    buf_printf(&header, "{\"alg\":\"EdDSA\",\"kid\":\"%s\"}", signing_kid(keys));
    switch (data[0] % 5) {
    case 0:
        verify(rest);
        break;
    case 1:
        verify_signed(buf_slice(&header), rest);
        break;
    case 2:
        verify_signed(rest, slice_str("{\"sub\":\"a\",\"aud\":\"waggle\",\"exp\":1800000600}"));
        break;
    case 3:
        trust(rest);
        break;
    default:
        (void)api_key_looks_made(rest);
        break;
    }
    buf_done(&header);
    return 0;
}
