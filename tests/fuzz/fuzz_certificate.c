/* tests/fuzz/fuzz_certificate.c: bytes as a certificate, and as what stands signed within one.
 *
 * The first byte says where the rest goes: 0 the whole document, 1 the member "certificate" of a
 * document that is signed well. */
#include <assert.h>
#include <stdlib.h>

#include "auth/base64url.h"
#include "channels/json_scan.h"
#include "hub/consensus/certificate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct signing *keys;

static bool trust(void *ctx, const uint8_t public_key[SIGNING_PUBLIC_BYTES])
{
    (void)ctx;
    return memcmp(public_key, signing_public(keys), SIGNING_PUBLIC_BYTES) == 0;
}

/* What is good says the same when it is written again. */
static void verify(struct slice document)
{
    struct paper paper;
    struct buf again = {0};
    char why[256] = "?";
    bool good = certificate_verify(document, trust, NULL, &paper, why, sizeof why);
    assert(good == (why[0] == '\0') && strlen(why) < sizeof why);
    if (good) {
        certificate_put(&again, &paper, keys);
        assert(paper.options_n <= TALLY_OPTIONS_MAX && paper.seats_n <= TALLY_SEATS_MAX);
        assert(slice_equal(json_trim(document), buf_slice(&again)));
    }
    buf_done(&again);
    paper_done(&paper);
}

static void put_member(struct buf *b, const char *name, const uint8_t *p, size_t n)
{
    buf_printf(b, ",\"%s\":\"", name);
    base64url_put(b, slice_of(p, n));
    buf_add_str(b, "\"");
}

static void verify_signed(struct slice body)
{
    uint8_t signature[SIGNATURE_BYTES];
    struct buf b = {0};
    signing_sign(keys, CERTIFICATE_PURPOSE, body, signature);
    buf_add_str(&b, "{\"certificate\":");
    buf_add_slice(&b, body);
    buf_printf(&b, ",\"kid\":\"%s\"", signing_kid(keys));
    put_member(&b, "public_key", signing_public(keys), SIGNING_PUBLIC_BYTES);
    put_member(&b, "signature", signature, sizeof signature);
    buf_add_str(&b, "}");
    verify(buf_slice(&b));
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[SIGNING_SEED_BYTES] = {42};
    if (!keys) {
        assert(auth_init());
        keys = signing_of(seed, 0);
    }
    if (size && data[0] % 2 == 0) {
        verify(slice_of(data + 1, size - 1));
    } else if (size) {
        verify_signed(slice_of(data + 1, size - 1));
    }
    return 0;
}
