#define _GNU_SOURCE
#include "hub/cli/contexts.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const context_key_names[CONTEXT_KEYS] = {
    [CONTEXT_URL] = "url", [CONTEXT_KEY_FILE] = "key_file", [CONTEXT_TOKEN_FILE] = "token_file",
    [CONTEXT_APP] = "app", [CONTEXT_CA_FILE] = "ca_file",
};

static void context_done(struct context *context)
{
    free(context->name);
    for (size_t i = 0; i < CONTEXT_KEYS; i++) {
        free(context->value[i]);
    }
}

void contexts_done(struct contexts *c)
{
    for (size_t i = 0; i < c->n; i++) {
        context_done(&c->list[i]);
    }
    free(c->list);
    free(c->current);
    free(c->previous);
    *c = (struct contexts){0};
}

bool context_name_valid(const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        if (!isalnum((unsigned char)name[i]) && !strchr("_-.", name[i])) {
            return false;
        }
    }
    return n >= 1 && n <= 64;
}

struct context *contexts_find(const struct contexts *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++) {
        if (strcmp(c->list[i].name, name) == 0) {
            return &c->list[i];
        }
    }
    return NULL;
}

struct context *contexts_add(struct contexts *c, const char *name)
{
    c->list = xrealloc(c->list, (c->n + 1) * sizeof *c->list);
    c->list[c->n] = (struct context){.name = xstrdup(name)};
    return &c->list[c->n++];
}

static void set_text(char **slot, const char *text)
{
    char *copy = text ? xstrdup(text) : NULL;
    free(*slot);
    *slot = copy;
}

void context_set(struct context *context, enum context_key key, const char *value)
{
    set_text(&context->value[key], value);
}

void contexts_use(struct contexts *c, const char *name)
{
    char *next = xstrdup(name); /* name may be c->previous itself */
    if (c->current && strcmp(c->current, next) != 0) {
        set_text(&c->previous, c->current);
    }
    set_text(&c->current, next);
    free(next);
}

static void forget(char **slot, const char *name)
{
    if (*slot && strcmp(*slot, name) == 0) {
        set_text(slot, NULL);
    }
}

void contexts_remove(struct contexts *c, const char *name)
{
    struct context *context = contexts_find(c, name);
    if (!context) {
        return;
    }
    forget(&c->current, name);
    forget(&c->previous, name);
    context_done(context);
    size_t at = (size_t)(context - c->list);
    memmove(context, context + 1, (c->n - at - 1) * sizeof *context);
    c->n--;
}

char *contexts_path(void)
{
    const char *xdg = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char *path = NULL;
    if (xdg && xdg[0] == '/') { /* the specification tells us to ignore a relative one */
        return asprintf(&path, "%s/waggle/config", xdg) < 0 ? NULL : path;
    }
    if (home && *home) {
        return asprintf(&path, "%s/.config/waggle/config", home) < 0 ? NULL : path;
    }
    return NULL;
}

/* --- reading -----------------------------------------------------------------------------------
 */

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) {
        text[--n] = '\0';
    }
    return text;
}

static bool read_section(struct contexts *c, char *line)
{
    char *end = strchr(line, ']');
    if (!end || end[1] != '\0') {
        return false;
    }
    *end = '\0';
    if (!context_name_valid(line + 1) || contexts_find(c, line + 1) || c->n == CONTEXTS_MAX) {
        return false;
    }
    contexts_add(c, line + 1);
    return true;
}

static bool read_pair(struct contexts *c, char *line)
{
    char *equals = strchr(line, '=');
    if (!equals) {
        return false;
    }
    *equals = '\0';
    const char *key = trim(line), *value = trim(equals + 1);
    if (c->n == 0) {
        char **slot = strcmp(key, "current") == 0    ? &c->current
                      : strcmp(key, "previous") == 0 ? &c->previous
                                                     : NULL;
        if (slot) {
            set_text(slot, *value ? value : NULL);
        }
        return slot != NULL;
    }
    for (unsigned i = 0; i < CONTEXT_KEYS; i++) {
        if (strcmp(context_key_names[i], key) == 0) {
            context_set(&c->list[c->n - 1], (enum context_key)i, *value ? value : NULL);
            return true;
        }
    }
    return false;
}

static bool read_lines(struct contexts *c, char *text, const char *path, struct buf *error)
{
    unsigned number = 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        number++;
        line = trim(line);
        if (*line == '\0' || *line == '#') {
            continue;
        }
        if (*line == '[' ? !read_section(c, line) : !read_pair(c, line)) {
            buf_printf(error, "%s, line %u: neither a section, a known key nor a comment", path,
                       number);
            return false;
        }
    }
    return true;
}

static bool fail(struct buf *error, const char *what, const char *path)
{
    buf_printf(error, "cannot %s %s: %s", what, path, strerror(errno));
    return false;
}

bool contexts_load(struct contexts *c, const char *path, struct buf *error)
{
    *c = (struct contexts){0};
    FILE *f = fopen(path, "re");
    if (!f) {
        return errno == ENOENT || errno == ENOTDIR ? true : fail(error, "read", path);
    }
    char *text = xmalloc(CONTEXTS_BYTES_MAX + 1);
    size_t n = fread(text, 1, CONTEXTS_BYTES_MAX, f);
    bool ok = !ferror(f) || fail(error, "read", path);
    fclose(f);
    text[n] = '\0';
    ok = ok && read_lines(c, text, path, error);
    free(text);
    if (!ok) {
        contexts_done(c);
    }
    return ok;
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void write_all(const struct contexts *c, struct buf *b)
{
    if (c->current) {
        buf_printf(b, "current = %s\n", c->current);
    }
    if (c->previous) {
        buf_printf(b, "previous = %s\n", c->previous);
    }
    for (size_t i = 0; i < c->n; i++) {
        buf_printf(b, "\n[%s]\n", c->list[i].name);
        for (size_t k = 0; k < CONTEXT_KEYS; k++) {
            if (c->list[i].value[k]) {
                buf_printf(b, "%s = %s\n", context_key_names[k], c->list[i].value[k]);
            }
        }
    }
}

/* The folders above path, private ones. */
static bool make_folders(const char *path)
{
    char *copy = xstrdup(path);
    bool ok = true;
    for (char *slash = strchr(copy + 1, '/'); ok && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        ok = mkdir(copy, 0700) == 0 || errno == EEXIST;
        *slash = '/';
    }
    free(copy);
    return ok;
}

static bool write_file(const char *path, struct slice bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    bool ok =
        fchmod(fd, 0600) == 0 && write(fd, bytes.p, bytes.n) == (ssize_t)bytes.n && fsync(fd) == 0;
    return close(fd) == 0 && ok;
}

bool contexts_save(const struct contexts *c, const char *path, struct buf *error)
{
    struct buf text = {0};
    char *fresh = NULL;
    write_all(c, &text);
    if (asprintf(&fresh, "%s.%ld", path, (long)getpid()) < 0) {
        fresh = NULL;
    }
    bool ok = fresh && make_folders(path) && write_file(fresh, buf_slice(&text)) &&
              rename(fresh, path) == 0;
    if (!ok) {
        fail(error, "write", path);
        if (fresh) {
            (void)unlink(fresh); /* there may be nothing to take away */
        }
    }
    free(fresh);
    buf_done(&text);
    return ok;
}
