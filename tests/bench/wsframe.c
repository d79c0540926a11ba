#include "tests/bench/wsframe.h"

#include <stdio.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

enum { FIN = 0x80, MASKED = 0x80, LEN_16 = 126, LEN_64 = 127 };

/* RFC 6455 section 5.3 wants masks that nobody can foresee. That protects proxies on the way; on
 * loopback any mask but zero costs the server the same work. */
static const uint8_t client_mask[4] = {0x37, 0xfa, 0x21, 0x3d};

static size_t header_len(const uint8_t *p, size_t n, size_t *out_payload)
{
    size_t at = 2;
    uint64_t len = p[1] & 0x7f;
    size_t extra = len == LEN_16 ? 2 : len == LEN_64 ? 8 : 0;
    if (n < at + extra)
        return 0;
    if (extra > 0)
        len = 0;
    for (size_t i = 0; i < extra; i++)
        len = len << 8 | p[at + i];
    *out_payload = (size_t)len;
    return at + extra;
}

size_t wsframe_parse(const uint8_t *p, size_t n, struct wsframe *out)
{
    if (n < 2)
        return 0;
    size_t len, at = header_len(p, n, &len);
    bool masked = (p[1] & MASKED) != 0;
    if (at == 0 || len > n || n - at < (masked ? 4U : 0U) + len)
        return 0;
    *out = (struct wsframe){.opcode = p[0] & 0x0f, .masked = masked, .len = len};
    if (masked) {
        memcpy(out->mask, p + at, 4);
        at += 4;
    }
    out->payload = p + at;
    return at + len;
}

static void mask_copy(uint8_t *out, const uint8_t *p, size_t n, const uint8_t mask[4])
{
    uint64_t wide, word;
    memcpy(&wide, mask, 4);
    memcpy((uint8_t *)&wide + 4, mask, 4);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, p + i, 8);
        word ^= wide;
        memcpy(out + i, &word, 8);
    }
    for (; i < n; i++)
        out[i] = (uint8_t)(p[i] ^ mask[i % 4]);
}

void wsframe_unmask(const struct wsframe *f, uint8_t *out)
{
    if (f->masked)
        mask_copy(out, f->payload, f->len, f->mask);
    else
        memcpy(out, f->payload, f->len);
}

static void add_header(struct buf *out, unsigned opcode, size_t len, unsigned mask_bit)
{
    uint8_t head[10] = {(uint8_t)(FIN | opcode)};
    size_t n = 2;
    if (len < LEN_16) {
        head[1] = (uint8_t)(mask_bit | len);
    } else if (len <= UINT16_MAX) {
        head[1] = (uint8_t)(mask_bit | LEN_16);
        head[2] = (uint8_t)(len >> 8);
        head[3] = (uint8_t)len;
        n = 4;
    } else {
        head[1] = (uint8_t)(mask_bit | LEN_64);
        for (size_t i = 0; i < 8; i++)
            head[2 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
        n = 10;
    }
    buf_add(out, head, n);
}

void wsframe_add_client(struct buf *out, unsigned opcode, const void *payload, size_t len)
{
    add_header(out, opcode, len, MASKED);
    buf_add(out, client_mask, sizeof client_mask);
    mask_copy(buf_reserve(out, len), payload, len, client_mask);
    out->n += len;
}

void wsframe_add_server(struct buf *out, unsigned opcode, const void *payload, size_t len)
{
    add_header(out, opcode, len, 0);
    buf_add(out, payload, len);
}

/* RFC 6455 section 4.2.2: base64 of SHA-1 over the key and a fixed text. */
void wsframe_accept(const char *key, size_t key_len, char out[WSFRAME_ACCEPT_SIZE])
{
    char text[128];
    uint8_t digest[SHA_DIGEST_LENGTH];
    int n = snprintf(text, sizeof text, "%.*s258EAFA5-E914-47DA-95CA-C5AB0DC85B11",
                     (int)(key_len < 64 ? key_len : 64), key);
    (void)SHA1((const uint8_t *)text, (size_t)n, digest);
    (void)EVP_EncodeBlock((uint8_t *)out, digest, sizeof digest);
}
