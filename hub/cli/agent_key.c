#include "hub/cli/agent_key.h"

#include <stdio.h>

#include "auth/base64url.h"
#include "auth/digest.h"
#include "hub/cli/secret_file.h"

static void draw(struct buf *out)
{
    uint8_t seed[SIGNING_SEED_BYTES];
    auth_random(seed, sizeof seed);
    base64url_put(out, slice_of(seed, sizeof seed));
    digest_wipe(seed, sizeof seed);
}

bool agent_key_open(const char *path, struct signing **out, char *out_why, size_t why_n)
{
    uint8_t seed[SIGNING_SEED_BYTES];
    struct buf fresh = {0}, line = {0};
    size_t n = 0;
    draw(&fresh);
    bool read = secret_file_line(path, buf_slice(&fresh), &line, out_why, why_n);
    bool good = read && base64url_get(buf_slice(&line), seed, sizeof seed, &n) && n == sizeof seed;
    if (good) {
        *out = signing_of(seed, 0);
    } else if (read) {
        (void)snprintf(out_why, why_n, "%s is no key: one line is wanted, 32 bytes in base64url",
                       path);
    }
    digest_wipe(seed, sizeof seed);
    digest_wipe(line.p, line.n);
    digest_wipe(fresh.p, fresh.n);
    buf_done(&line);
    buf_done(&fresh);
    return good;
}
