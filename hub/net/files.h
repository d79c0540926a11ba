/* hub/net/files.h: the built web part (dashboard, documents), read once at start and served from
 * memory.
 *
 * A file may have pre-compressed siblings (.br, .gz), which are served to whoever accepts them.
 * Owns     the bytes of all files.      Threads  immutable once loaded.
 * Limits   FILES_BYTES_MAX in all; what is past it is left out and said.
 */
#ifndef WAGGLE_HUB_NET_FILES_H
#define WAGGLE_HUB_NET_FILES_H

#include "store/mem.h"

enum { FILES_BYTES_MAX = 64 << 20 };

struct files;

struct file_variant {
    struct slice bytes; /* p NULL: there is none */
    char etag[24];      /* with its quotes */
};
struct file {
    const char *path; /* "/dashboard/app.js" */
    const char *type;
    bool immutable; /* its name has a hash of its content */
    struct file_variant plain, gzip, brotli;
};

/* An empty set when dir is NULL or not there. */
struct files *files_load(const char *dir);
void files_free(struct files *files);
size_t files_count(const struct files *files);
/* "/dashboard/" and "/dashboard" find "/dashboard/index.html"; NULL: no such file. *out_redirect:
 * the path wants a slash at its end. */
const struct file *files_find(const struct files *files, struct slice path, bool *out_redirect);

#endif
