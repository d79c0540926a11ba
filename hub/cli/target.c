#define _GNU_SOURCE
#include "hub/cli/target.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "hub/cli/contexts.h"

static void wipe(char *secret)
{
    if (secret) {
        explicit_bzero(secret, strlen(secret));
        free(secret);
    }
}

void target_done(struct target *t)
{
    wipe(t->secret);
    free(t->secret_file);
    free(t->url);
    free(t->unix_path);
    free(t->host);
    free(t->ca_file);
    free(t->app);
    *t = (struct target){0};
}

/* --- the URL -----------------------------------------------------------------------------------
 */

static bool is_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strncmp(host, "localhost", 9) == 0 ||
           strncmp(host, "[::1]", 5) == 0;
}

static bool refuse_url(const char *url, struct buf *error)
{
    buf_printf(error, "\"%s\" is no URL of a hub: http://HOST[:PORT], https://… or unix:///PATH",
               url);
    return false;
}

bool target_set_url(struct target *t, const char *url, struct buf *error)
{
    static const char unix_prefix[] = "unix://", http[] = "http://", https[] = "https://";
    if (strncmp(url, unix_prefix, sizeof unix_prefix - 1) == 0) {
        const char *path = url + sizeof unix_prefix - 1;
        if (*path != '/') {
            return refuse_url(url, error);
        }
        t->unix_path = xstrdup(path);
        t->url = xstrdup("http://localhost");
        t->host = xstrdup("localhost");
        t->loopback = true;
        return true;
    }
    t->tls = strncmp(url, https, sizeof https - 1) == 0;
    if (!t->tls && strncmp(url, http, sizeof http - 1) != 0) {
        return refuse_url(url, error);
    }
    size_t n = strlen(url);
    while (n && url[n - 1] == '/') {
        n--;
    }
    const char *host = url + (t->tls ? sizeof https : sizeof http) - 1;
    size_t host_n = strcspn(host, "/");
    /* A name and password in the URL would be a secret on the command line. */
    if (host_n == 0 || strpbrk(host, "@?# \t\r\n") || host + host_n < url + n) {
        return refuse_url(url, error);
    }
    t->url = xstrndup(url, n);
    t->host = xstrndup(host, host_n);
    t->loopback = is_loopback(t->host);
    return true;
}

/* --- secrets -----------------------------------------------------------------------------------
 */

static char *trimmed(const char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) {
        n--;
    }
    return xstrndup(text, n);
}

/* A secret goes into a header: nothing may stand in it that could end the line. */
static bool is_sendable(const char *secret)
{
    for (; *secret; secret++) {
        if ((unsigned char)*secret <= 0x20 || (unsigned char)*secret >= 0x7f) {
            return false;
        }
    }
    return true;
}

static char *read_secret(const char *path, struct buf *error)
{
    char text[SECRET_BYTES_MAX + 1];
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, SECRET_BYTES_MAX, f) : 0;
    if (!f || ferror(f)) {
        buf_printf(error, "cannot read the credentials in %s: %s", path, strerror(errno));
    }
    if (f) {
        fclose(f);
    }
    if (error->n) {
        return NULL;
    }
    text[n] = '\0';
    char *secret = trimmed(text);
    explicit_bzero(text, sizeof text);
    if (*secret == '\0' || !is_sendable(secret)) {
        buf_printf(error, "%s holds no key or token on one line", path);
        wipe(secret);
        return NULL;
    }
    return secret;
}

static bool use_file(struct target *t, enum credential kind, const char *path, struct buf *error)
{
    t->kind = kind;
    t->secret_file = xstrdup(path);
    t->secret = read_secret(path, error);
    return t->secret != NULL;
}

static bool use_text(struct target *t, enum credential kind, const char *name, const char *text,
                     struct buf *error)
{
    t->kind = kind;
    t->secret = trimmed(text);
    if (*t->secret == '\0' || !is_sendable(t->secret)) {
        buf_printf(error, "%s holds no key or token", name);
        return false;
    }
    return true;
}

bool target_renew(struct target *t)
{
    struct buf ignored = {0};
    char *fresh = t->secret_file ? read_secret(t->secret_file, &ignored) : NULL;
    bool changed = fresh && strcmp(fresh, t->secret) != 0;
    if (changed) {
        char *old = t->secret;
        t->secret = fresh;
        fresh = old;
    }
    wipe(fresh);
    buf_done(&ignored);
    return changed;
}

bool target_header(const struct target *t, struct buf *out)
{
    switch (t->kind) {
    case CREDENTIAL_NONE:
        return false;
    case CREDENTIAL_KEY:
        buf_printf(out, "X-API-Key: %s", t->secret);
        return true;
    case CREDENTIAL_TOKEN:
        buf_printf(out, "Authorization: Bearer %s", t->secret);
        return true;
    }
    return false;
}

/* --- what is stronger --------------------------------------------------------------------------
 */

static const char *set_env(const char *name)
{
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

/* Each of these leaves t->kind at CREDENTIAL_NONE when it has nothing to say. */
static bool take_environment(struct target *t, struct buf *error)
{
    static const struct {
        const char *name;
        enum credential kind;
        bool file;
    } variables[] = {
        {"WAGGLE_TOKEN", CREDENTIAL_TOKEN, false},
        {"WAGGLE_TOKEN_FILE", CREDENTIAL_TOKEN, true},
        {"WAGGLE_API_KEY", CREDENTIAL_KEY, false},
        {"WAGGLE_API_KEY_FILE", CREDENTIAL_KEY, true},
    };
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *text = set_env(variables[i].name);
        if (text) {
            return variables[i].file
                       ? use_file(t, variables[i].kind, text, error)
                       : use_text(t, variables[i].kind, variables[i].name, text, error);
        }
    }
    return true;
}

static bool take_files(struct target *t, const char *token_file, const char *key_file,
                       struct buf *error)
{
    if (token_file) {
        return use_file(t, CREDENTIAL_TOKEN, token_file, error);
    }
    return !key_file || use_file(t, CREDENTIAL_KEY, key_file, error);
}

static bool take_context(struct target *t, const struct context *context, struct buf *error)
{
    return !context || take_files(t, context->value[CONTEXT_TOKEN_FILE],
                                  context->value[CONTEXT_KEY_FILE], error);
}

/* A context asked for by name (--context) is stronger than the environment. */
static bool find_credentials(struct target *t, const struct target_flags *flags,
                             const struct context *context, struct buf *error)
{
    bool ok = take_files(t, flags->token_file, flags->key_file, error);
    if (ok && t->kind == CREDENTIAL_NONE && flags->context) {
        ok = take_context(t, context, error);
    }
    if (ok && t->kind == CREDENTIAL_NONE) {
        ok = take_environment(t, error);
    }
    if (ok && t->kind == CREDENTIAL_NONE) {
        ok = take_context(t, context, error);
    }
    return ok;
}

static const char *first_of(const char *a, const char *b, const char *c)
{
    return a ? a : b ? b : c;
}

static char *copy_or_null(const char *text)
{
    return text ? xstrdup(text) : NULL;
}

static bool find_with(struct target *t, const struct target_flags *flags,
                      const struct context *context, struct buf *error)
{
    const char *url = first_of(flags->url, set_env("WAGGLE_URL"), NULL);
    const char *own = context ? context->value[CONTEXT_URL] : NULL;
    if (flags->context) {
        url =
            first_of(flags->url, own, NULL); /* asked for by name: stronger than the environment */
    }
    bool elsewhere = url && own && strcmp(url, own) != 0;
    const struct context *rest = elsewhere ? NULL : context;
    t->app = copy_or_null(first_of(flags->app, rest ? rest->value[CONTEXT_APP] : NULL, NULL));
    t->ca_file = copy_or_null(first_of(flags->ca_file, set_env("WAGGLE_CA_FILE"),
                                       rest ? rest->value[CONTEXT_CA_FILE] : NULL));
    return target_set_url(t, first_of(url, own, TARGET_URL_DEFAULT), error) &&
           find_credentials(t, flags, rest, error);
}

bool target_find(struct target *t, const struct target_flags *flags, struct buf *error)
{
    struct contexts all = {0};
    struct context *context = NULL;
    char *path = contexts_path();
    const char *name = flags->context ? flags->context : set_env("WAGGLE_CONTEXT");
    *t = (struct target){0};
    bool ok = !path || contexts_load(&all, path, error);
    if (ok && (name || all.current)) {
        context = contexts_find(&all, name ? name : all.current);
        if (!context) {
            buf_printf(error, "there is no context \"%s\"", name ? name : all.current);
            ok = false;
        }
    }
    ok = ok && find_with(t, flags, context, error);
    contexts_done(&all);
    free(path);
    return ok;
}
