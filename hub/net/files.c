#define _GNU_SOURCE
#include "hub/net/files.h"
#include "store/hash.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct files {
    struct file *list;
    size_t n, bytes;
};

/* clang-format off */
static const struct { const char *ending, *type; } types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".js",   "text/javascript; charset=utf-8" },
    { ".mjs",  "text/javascript; charset=utf-8" },
    { ".css",  "text/css; charset=utf-8" },
    { ".json", "application/json" },
    { ".svg",  "image/svg+xml" },
    { ".png",  "image/png" },
    { ".ico",  "image/x-icon" },
    { ".woff2", "font/woff2" },
    { ".txt",  "text/plain; charset=utf-8" },
    { ".map",  "application/json" },
};
/* clang-format on */

static bool ends_with(const char *text, const char *ending)
{
    size_t n = strlen(text), m = strlen(ending);
    return n >= m && strcmp(text + n - m, ending) == 0;
}

static const char *type_of(const char *path)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (ends_with(path, types[i].ending)) {
            return types[i].type;
        }
    }
    return "application/octet-stream";
}

/* "app-3f9a2c1b.js", "app.3f9a2c1b.js": eight or more letters and digits with a digit among them.
 */
static bool name_has_hash(const char *path)
{
    const char *name = strrchr(path, '/');
    unsigned run = 0, digits = 0;
    for (const char *p = name ? name : path;; p++) {
        bool digit = *p >= '0' && *p <= '9';
        bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';
        if (digit || letter) {
            run++;
            digits += digit;
            continue;
        }
        if (run >= 8 && digits && *p == '.') {
            return true;
        }
        if (!*p) {
            return false;
        }
        run = digits = 0;
    }
}

static bool read_file(const char *path, size_t size, uint8_t **out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    uint8_t *bytes = xmalloc(size);
    size_t n = 0;
    for (ssize_t got; n < size && (got = read(fd, bytes + n, size - n)) > 0; n += (size_t)got) {
    }
    close(fd);
    if (n != size) {
        free(bytes);
        return false;
    }
    *out = bytes;
    return true;
}

static struct file *entry_of(struct files *files, const char *path)
{
    for (size_t i = 0; i < files->n; i++) {
        if (strcmp(files->list[i].path, path) == 0) {
            return &files->list[i];
        }
    }
    files->list = xrealloc(files->list, (files->n + 1) * sizeof *files->list);
    struct file *file = &files->list[files->n++];
    *file = (struct file){
        .path = xstrdup(path), .type = type_of(path), .immutable = name_has_hash(path)};
    return file;
}

static void add_file(struct files *files, const char *full, const char *path, size_t size)
{
    uint8_t *bytes;
    if (files->bytes + size > FILES_BYTES_MAX || !read_file(full, size, &bytes)) {
        return;
    }
    files->bytes += size;
    char *own = xstrdup(path);
    bool gzip = ends_with(own, ".gz"), brotli = ends_with(own, ".br");
    if (gzip || brotli) {
        own[strlen(own) - 3] = '\0';
    }
    struct file *file = entry_of(files, own);
    free(own);
    struct file_variant *v = gzip ? &file->gzip : brotli ? &file->brotli : &file->plain;
    v->bytes = slice_of(bytes, size);
    snprintf(v->etag, sizeof v->etag, "\"%016llx%s\"", (unsigned long long)hash64(0, v->bytes),
             gzip     ? "-g"
             : brotli ? "-b"
                      : "");
}

static void walk(struct files *files, const char *dir, const char *prefix, unsigned depth)
{
    DIR *d = depth < 8 ? opendir(dir) : NULL;
    if (!d) {
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        char full[4096], path[4096];
        struct stat st;
        if (e->d_name[0] == '.' ||
            snprintf(full, sizeof full, "%s/%s", dir, e->d_name) >= (int)sizeof full ||
            snprintf(path, sizeof path, "%s/%s", prefix, e->d_name) >= (int)sizeof path ||
            stat(full, &st) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            walk(files, full, path, depth + 1);
        } else if (S_ISREG(st.st_mode)) {
            add_file(files, full, path, (size_t)st.st_size);
        }
    }
    closedir(d);
}

struct files *files_load(const char *dir)
{
    struct files *files = xcalloc(1, sizeof *files);
    if (dir) {
        walk(files, dir, "", 0);
    }
    return files;
}

static void variant_free(struct file_variant *v)
{
    free((void *)(uintptr_t)v->bytes.p);
}

void files_free(struct files *files)
{
    if (!files) {
        return;
    }
    for (size_t i = 0; i < files->n; i++) {
        free((void *)(uintptr_t)files->list[i].path);
        variant_free(&files->list[i].plain);
        variant_free(&files->list[i].gzip);
        variant_free(&files->list[i].brotli);
    }
    free(files->list);
    free(files);
}

size_t files_count(const struct files *files)
{
    return files->n;
}

static const struct file *find_exact(const struct files *files, struct slice path,
                                     const char *ending)
{
    size_t n = strlen(ending);
    for (size_t i = 0; i < files->n; i++) {
        const struct file *file = &files->list[i];
        if (file->plain.bytes.p && strlen(file->path) == path.n + n &&
            memcmp(file->path, path.p, path.n) == 0 && strcmp(file->path + path.n, ending) == 0) {
            return file;
        }
    }
    return NULL;
}

const struct file *files_find(const struct files *files, struct slice path, bool *out_redirect)
{
    *out_redirect = false;
    if (path.n && path.p[path.n - 1] == '/') {
        return find_exact(files, path, "index.html");
    }
    const struct file *file = find_exact(files, path, "");
    if (!file) {
        file = find_exact(files, path, "/index.html");
        *out_redirect = file != NULL;
    }
    return file;
}
