/* hub/cli/target.h: which hub is meant, and who asks it.
 *
 * Flags are stronger than the environment, the environment than the context, the context than the
 * default. A context's credentials go to that context's hub only: another URL from a flag or from
 * the environment leaves them behind.
 *
 * Owns     struct target owns its texts.       Threads  one at a time.
 * Errors   false, with a sentence in *error.
 */
#ifndef WAGGLE_CLI_TARGET_H
#define WAGGLE_CLI_TARGET_H

#include "store/mem.h"

#define TARGET_URL_DEFAULT "http://127.0.0.1:8000"
enum { SECRET_BYTES_MAX = 8192 };

enum credential { CREDENTIAL_NONE, CREDENTIAL_KEY, CREDENTIAL_TOKEN };

struct target {
    char *url;       /* without a slash at the end; "http://localhost" with unix_path */
    char *unix_path; /* NULL: TCP */
    char *host;      /* "127.0.0.1:8000", for the Host header */
    bool tls, loopback;
    char *ca_file, *app;
    enum credential kind;
    char *secret;      /* NULL: none */
    char *secret_file; /* NULL: the secret came from the environment */
};

/* What the flags say; NULL: not given. */
struct target_flags {
    const char *url, *key_file, *token_file, *app, *ca_file, *context;
};

bool target_find(struct target *t, const struct target_flags *flags, struct buf *error);
void target_done(struct target *t); /* wipes the secret */
/* Reads secret_file again: true when it holds another secret now, which is then used. */
bool target_renew(struct target *t);
/* "X-API-Key: …" or "Authorization: Bearer …"; false when there are no credentials. */
bool target_header(const struct target *t, struct buf *out);
/* Takes a URL apart into t->url, host, tls, loopback, unix_path. */
bool target_set_url(struct target *t, const char *url, struct buf *error);

#endif
