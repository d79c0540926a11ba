#define _GNU_SOURCE
#include "auth/keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/digest.h"

enum { SECRET_FILE_MAX = 64 << 10, PUBLIC_FILE_MAX = 1 << 20 };

static enum keyfile_rc fail(enum keyfile_rc rc, const char *path, const char *cause, char *out_text,
                            size_t text_n)
{
    (void)snprintf(out_text, text_n, "%s: %s", path, cause);
    return rc;
}

static enum keyfile_rc fail_errno(const char *path, char *out_text, size_t text_n)
{
    return fail(errno == ENOENT ? KEYFILE_NOT_FOUND : KEYFILE_IO, path, strerror(errno), out_text,
                text_n);
}

/* Exactly st_size bytes: the room is taken at once, so that no copy of a secret stays behind in
 * memory that a growing buffer gave back. */
static bool read_all(int fd, size_t n, struct buf *out)
{
    uint8_t *to = buf_reserve(out, n + 1);
    size_t at = 0;
    while (at < n) {
        ssize_t got = read(fd, to + at, n - at);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += (size_t)got;
    }
    out->n += n;
    return true;
}

static enum keyfile_rc read_open(int fd, const char *path, bool secret, struct buf *out,
                                 char *out_text, size_t text_n)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        return fail_errno(path, out_text, text_n);
    }
    if (!S_ISREG(st.st_mode) || st.st_size > (secret ? SECRET_FILE_MAX : PUBLIC_FILE_MAX)) {
        return fail(KEYFILE_BAD, path, "not a plain file, or too long", out_text, text_n);
    }
    if (secret && (st.st_mode & 077) && fchmod(fd, 0600) != 0) {
        return fail(KEYFILE_EXPOSED, path, "others may read it; chmod 600", out_text, text_n);
    }
    if (!read_all(fd, (size_t)st.st_size, out)) {
        return fail(KEYFILE_IO, path, "cannot be read", out_text, text_n);
    }
    return KEYFILE_OK;
}

static enum keyfile_rc read_path(const char *path, bool secret, struct buf *out, char *out_text,
                                 size_t text_n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not hold up the start */
    if (fd < 0) {
        return fail_errno(path, out_text, text_n);
    }
    enum keyfile_rc rc = read_open(fd, path, secret, out, out_text, text_n);
    close(fd);
    return rc;
}

enum keyfile_rc keyfile_read_secret(const char *path, struct buf *out, char *out_text,
                                    size_t text_n)
{
    return read_path(path, true, out, out_text, text_n);
}

enum keyfile_rc keyfile_read_public(const char *path, struct buf *out, char *out_text,
                                    size_t text_n)
{
    return read_path(path, false, out, out_text, text_n);
}

static bool write_all(int fd, struct slice bytes)
{
    while (bytes.n) {
        ssize_t put = write(fd, bytes.p, bytes.n);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        bytes = slice_of(bytes.p + put, bytes.n - (size_t)put);
    }
    return true;
}

/* A name is durable when its folder is. */
static bool sync_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static bool write_new(const char *path, struct slice bytes)
{
    (void)unlink(path); /* left over from a crash */
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return false;
    }
    bool ok = write_all(fd, bytes) && fsync(fd) == 0;
    int cause = errno;
    ok = close(fd) == 0 && ok;
    errno = cause;
    return ok;
}

enum keyfile_rc keyfile_write_secret(const char *path, struct slice bytes, char *out_text,
                                     size_t text_n)
{
    struct buf beside = {0};
    buf_printf(&beside, "%s.new", path);
    uint8_t end = 0;
    buf_add(&beside, &end, 1);
    const char *new_path = (const char *)beside.p;
    enum keyfile_rc rc = KEYFILE_OK;
    if (!write_new(new_path, bytes) || rename(new_path, path) != 0 || !sync_folder_of(path)) {
        rc = fail(KEYFILE_IO, path, strerror(errno), out_text, text_n);
    }
    buf_done(&beside);
    return rc;
}

enum keyfile_rc keyfile_folder(const char *data_dir, char *out_text, size_t text_n)
{
    char *path = keyfile_path(data_dir, "");
    enum keyfile_rc rc = KEYFILE_OK;
    if (mkdir(path, 0700) == 0) {
        path[strlen(path) - 1] = '\0'; /* without the slash its folder is the data directory */
        rc = sync_folder_of(path) ? KEYFILE_OK : fail_errno(path, out_text, text_n);
    } else if (errno != EEXIST) {
        rc = fail(KEYFILE_IO, path, strerror(errno), out_text, text_n);
    }
    free(path);
    return rc;
}

char *keyfile_path(const char *data_dir, const char *name)
{
    struct buf b = {0};
    buf_printf(&b, "%s/keys/%s", data_dir, name);
    uint8_t end = 0;
    buf_add(&b, &end, 1);
    return (char *)b.p;
}

void keyfile_wipe(struct buf *b)
{
    if (b->p) {
        digest_wipe(b->p, b->cap);
    }
    buf_done(b);
}
