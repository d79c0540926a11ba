#include "hub/api/credentials.h"
#include "auth/signing.h"
#include "hub/api/answer.h"

int64_t call_wall_ms(const struct call *call)
{
    return clock_wall(&call->io->hub->clock, call->now_ms);
}

enum token_rc call_sign(struct call *call, struct principal_spec *spec, char out_id[UUID_CHARS + 1],
                        struct buf *out_token)
{
    uint8_t random[10];
    call->io->draw(random, sizeof random);
    uuid_v7(call_wall_ms(call), random, out_id);
    spec->id = slice_str(out_id);
    return call_sign_again(call, spec, out_token);
}

enum token_rc call_sign_again(const struct call *call, const struct principal_spec *spec,
                              struct buf *out_token)
{
    struct token_claims claims = {.issuer = slice_str(TOKEN_AUDIENCE),
                                  .subject = spec->subject,
                                  .app_id = spec->app_id,
                                  .id = spec->id,
                                  .role = spec->role,
                                  .issued_ms = spec->issued_ms,
                                  .expires_ms = spec->expires_ms,
                                  .caps = spec->caps};
    return token_mint(atomic_load(&call->io->hub->signing), &claims, out_token);
}

void call_seal(struct call *call, struct slice clear, struct buf *out)
{
    uint8_t nonce[SEAL_NONCE_BYTES];
    call->io->draw(nonce, sizeof nonce);
    secret_seal(call->io->hub->secret, clear, nonce, out);
}

bool put_sealed(struct json_out *o, const struct call *call, const char *name, struct slice sealed)
{
    struct buf clear = {0};
    if (sealed.n <= SEAL_EXTRA_BYTES) {
        return false;
    }
    size_t n = sealed.n - SEAL_EXTRA_BYTES;
    uint8_t *p = buf_reserve(&clear, n);
    bool opened = secret_unseal(call->io->hub->secret, sealed, p);
    if (opened) {
        put_text(o, name, slice_of(p, n));
    }
    digest_wipe(p, n);
    buf_done(&clear);
    return opened;
}
