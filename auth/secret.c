/* The file holds one line: "waggle-secret-1 " and 64 hex digits. Only the derived keys stay in
 * memory (BLAKE2b key derivation, libsodium's crypto_kdf). */
#include "auth/secret.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "auth/digest.h"

static const char file_head[] = "waggle-secret-1 ";

struct secret {
    uint8_t keys[SECRET_USES][SECRET_BYTES]; /* by use; the first is not used */
};

struct secret *secret_of(const uint8_t bytes[SECRET_BYTES])
{
    struct secret *secret = sodium_malloc(sizeof *secret);
    if (!secret) {
        abort(); /* as xmalloc does */
    }
    sodium_memzero(secret, sizeof *secret);
    for (uint64_t use = 1; use < SECRET_USES; use++) {
        crypto_kdf_derive_from_key(secret->keys[use], SECRET_BYTES, use, "waggle\0", bytes);
    }
    sodium_mprotect_readonly(secret);
    return secret;
}

void secret_free(struct secret *secret)
{
    sodium_free(secret);
}

const uint8_t *secret_key(const struct secret *secret, enum secret_use use)
{
    assert(use >= 1 && use < SECRET_USES);
    return secret->keys[use];
}

static enum keyfile_rc parse(const char *path, struct slice text, struct secret **out,
                             char *out_text, size_t text_n)
{
    size_t head_n = sizeof file_head - 1;
    uint8_t bytes[SECRET_BYTES];
    if (text.n != head_n + sizeof(bytes) * 2 + 1 || !slice_starts(text, file_head) ||
        !hex_get(slice_of(text.p + head_n, sizeof(bytes) * 2), bytes, sizeof bytes)) {
        (void)snprintf(out_text, text_n, "%s: not a server secret", path);
        return KEYFILE_BAD;
    }
    *out = secret_of(bytes);
    digest_wipe(bytes, sizeof bytes);
    return KEYFILE_OK;
}

static enum keyfile_rc make_file(const char *path, const uint8_t fresh[SECRET_BYTES],
                                 char *out_text, size_t text_n)
{
    char line[sizeof file_head + (size_t)SECRET_BYTES * 2 + 1];
    memcpy(line, file_head, sizeof file_head - 1);
    hex_put(line + sizeof file_head - 1, slice_of(fresh, SECRET_BYTES));
    size_t n = strlen(line);
    line[n++] = '\n';
    enum keyfile_rc rc = keyfile_write_secret(path, slice_of(line, n), out_text, text_n);
    digest_wipe(line, sizeof line);
    return rc;
}

enum keyfile_rc secret_open(const char *data_dir, bool make, const uint8_t fresh[SECRET_BYTES],
                            struct secret **out, char *out_text, size_t text_n)
{
    struct buf text = {0};
    char *path = keyfile_path(data_dir, "server.secret");
    enum keyfile_rc rc = keyfile_read_secret(path, &text, out_text, text_n);
    if (rc == KEYFILE_NOT_FOUND && make) {
        rc = keyfile_folder(data_dir, out_text, text_n);
        if (rc == KEYFILE_OK) {
            rc = make_file(path, fresh, out_text, text_n);
        }
        if (rc == KEYFILE_OK) {
            *out = secret_of(fresh);
        }
    } else if (rc == KEYFILE_OK) {
        rc = parse(path, buf_slice(&text), out, out_text, text_n);
    }
    keyfile_wipe(&text);
    free(path);
    return rc;
}

void secret_seal(const struct secret *secret, struct slice clear,
                 const uint8_t nonce[SEAL_NONCE_BYTES], struct buf *out)
{
    buf_add(out, nonce, SEAL_NONCE_BYTES);
    size_t n = clear.n + crypto_secretbox_MACBYTES;
    crypto_secretbox_easy(buf_reserve(out, n), clear.p, clear.n, nonce,
                          secret_key(secret, SECRET_SEAL));
    out->n += n;
}

bool secret_unseal(const struct secret *secret, struct slice sealed, uint8_t *out)
{
    if (sealed.n < SEAL_EXTRA_BYTES) {
        return false;
    }
    return crypto_secretbox_open_easy(out, sealed.p + SEAL_NONCE_BYTES, sealed.n - SEAL_NONCE_BYTES,
                                      sealed.p, secret_key(secret, SECRET_SEAL)) == 0;
}
