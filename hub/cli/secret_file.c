/* A new file is written beside its place and linked there, so that a crash leaves no half of one
 * and of two programs that begin at once both use the first. */
#define _GNU_SOURCE
#include "hub/cli/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "auth/digest.h"

struct opening {
    const char *path;
    char *why;
    size_t why_n;
};

static bool refuse(const struct opening *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(const struct opening *o, const char *format, ...)
{
    va_list rest;
    int n = snprintf(o->why, o->why_n, "%s ", o->path);
    va_start(rest, format);
    if (n > 0 && (size_t)n < o->why_n) {
        (void)vsnprintf(o->why + n, o->why_n - (size_t)n, format, rest);
    }
    va_end(rest);
    return false;
}

static bool write_new(const struct opening *o, int fd, struct slice fresh)
{
    struct buf line = {0};
    buf_add_slice(&line, fresh);
    buf_add_str(&line, "\n");
    bool written = write(fd, line.p, line.n) == (ssize_t)line.n && fsync(fd) == 0;
    digest_wipe(line.p, line.n);
    buf_done(&line);
    return written || refuse(o, "cannot be written: %s", strerror(errno));
}

static bool make(const struct opening *o, struct slice fresh)
{
    struct buf beside = {0};
    buf_printf(&beside, "%s.%ld", o->path, (long)getpid());
    buf_add(&beside, "", 1);
    const char *name = (const char *)beside.p;
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool made =
        fd >= 0 ? write_new(o, fd, fresh) : refuse(o, "cannot be made: %s", strerror(errno));
    if (fd >= 0) {
        close(fd);
        if (made && link(name, o->path) != 0 && errno != EEXIST) {
            made = refuse(o, "cannot be made: %s", strerror(errno));
        }
        (void)unlink(name);
    }
    buf_done(&beside);
    return made;
}

static bool read_line(const struct opening *o, int fd, struct buf *out)
{
    uint8_t line[SECRET_LINE_BYTES_MAX + 2]; /* with its end */
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        return refuse(o, "is no file");
    }
    if (about.st_mode & (S_IRWXG | S_IRWXO)) {
        return refuse(o, "may be read by others: chmod 600 it");
    }
    ssize_t got = read(fd, line, sizeof line);
    struct slice text = slice_of(line, got > 0 ? (size_t)got : 0);
    while (text.n && (text.p[text.n - 1] == '\n' || text.p[text.n - 1] == '\r')) {
        text.n--;
    }
    buf_add_slice(out, text);
    digest_wipe(line, sizeof line);
    return true;
}

bool secret_file_line(const char *path, struct slice fresh, struct buf *out, char *out_why,
                      size_t why_n)
{
    struct opening o = {path, out_why, why_n};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && fresh.n) {
        if (!make(&o, fresh)) {
            return false;
        }
        fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fd < 0) {
        return refuse(&o, "cannot be read: %s", strerror(errno));
    }
    bool good = read_line(&o, fd, out);
    close(fd);
    return good;
}
