/* Stands between a program and the C library (LD_PRELOAD): makes the n-th write or sync of the
 * watched folder fail, and writes down what happens to it (wiretap.h).
 *
 * What is about to be told to a socket is written down before it is sent, a sync after it came
 * back: so whatever stands in the log behind a telling was not on disk when it was told. A lock
 * keeps one order; it is held over the call itself for the same reason. The calls go to the kernel
 * directly. */
#define _GNU_SOURCE
#include "tests/fault/wiretap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS = 4096 };

static struct {
    pthread_mutex_t lock;
    char dir[PATH_MAX];
    size_t dir_n;
    struct fault_control *control;
    int log;
    uint64_t inode[FDS]; /* 0: not watched */
    bool dsync[FDS];
} tap = {.lock = PTHREAD_MUTEX_INITIALIZER, .log = -1};

__attribute__((constructor)) static void begin(void)
{
    const char *dir = getenv("WAGGLE_FAULT_DIR"), *control = getenv("WAGGLE_FAULT_CONTROL");
    const char *log = getenv("WAGGLE_FAULT_LOG");
    if (dir) {
        (void)snprintf(tap.dir, sizeof tap.dir, "%s/", dir);
        tap.dir_n = strlen(tap.dir);
    }
    int fd = control ? (int)syscall(SYS_openat, AT_FDCWD, control, O_RDWR | O_CLOEXEC, 0) : -1;
    if (fd >= 0) {
        void *at = mmap(NULL, sizeof *tap.control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        tap.control = at == MAP_FAILED ? NULL : at;
        syscall(SYS_close, fd);
    }
    if (log) {
        tap.log = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                               0600);
    }
}

/* ---- the log ---- */

static void note_parts(enum tap_kind kind, uint64_t file, uint64_t at, const struct iovec *parts,
                       int n)
{
    if (tap.log < 0) {
        return;
    }
    struct tap head = {.kind = kind, .file = file, .at = at};
    for (int i = 0; i < n; i++) {
        head.bytes_n += (uint32_t)parts[i].iov_len;
    }
    (void)syscall(SYS_write, tap.log, &head, sizeof head);
    for (int i = 0; i < n; i++) {
        (void)syscall(SYS_write, tap.log, parts[i].iov_base, parts[i].iov_len);
    }
}

static void note(enum tap_kind kind, uint64_t file, uint64_t at, const void *p, size_t n)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
    note_parts(kind, file, at, &part, n > 0);
}

/* ---- what is watched ---- */

/* The path within the folder, "" for the folder itself; NULL: elsewhere, or a lock. */
static const char *inside(const char *path)
{
    static const char *const locks[] = {"lock", "lock.mdb"};
    if (tap.dir_n == 0 || strncmp(path, tap.dir, tap.dir_n - 1) != 0) {
        return NULL;
    }
    if (path[tap.dir_n - 1] == '\0') {
        return "";
    }
    if (path[tap.dir_n - 1] != '/') {
        return NULL;
    }
    const char *rest = path + tap.dir_n, *slash = strrchr(rest, '/');
    for (size_t i = 0; i < sizeof locks / sizeof *locks; i++) {
        if (strcmp(slash ? slash + 1 : rest, locks[i]) == 0) {
            return NULL;
        }
    }
    return rest;
}

static bool is_watched(int fd)
{
    return fd >= 0 && fd < FDS && tap.inode[fd] != 0;
}

/* True when this operation is to fail; errno is set. room: it would take some. */
static bool fails(int fd, bool room)
{
    struct fault_control *c = tap.control;
    if (!c || !is_watched(fd)) {
        return false;
    }
    uint64_t n = ++c->operations;
    bool now = c->fail_at != 0 && n == c->fail_at;
    bool after = c->fail_at != 0 && c->stays && n > c->fail_at && room && !tap.dsync[fd];
    if (!now && !after) {
        return false;
    }
    c->faults++;
    errno = (int)c->error;
    return true;
}

static int note_open(const char *path, int fd, int flags, bool was_there)
{
    struct stat st;
    const char *rest = inside(path);
    if (fd < 0 || fd >= FDS) {
        return fd;
    }
    tap.inode[fd] = 0;
    if (rest && fstat(fd, &st) == 0) {
        tap.inode[fd] = st.st_ino;
        tap.dsync[fd] = (flags & O_DSYNC) != 0;
        note(S_ISDIR(st.st_mode) ? TAP_FOLDER : TAP_NAME, st.st_ino, !was_there, rest,
             strlen(rest));
        if ((flags & O_TRUNC) && was_there) {
            note(TAP_TRUNCATE, st.st_ino, 0, NULL, 0);
        }
    }
    return fd;
}

static int open_noted(const char *path, int flags, int mode)
{
    pthread_mutex_lock(&tap.lock);
    struct stat st;
    bool was_there = inside(path) && stat(path, &st) == 0;
    int fd =
        note_open(path, (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode), flags, was_there);
    pthread_mutex_unlock(&tap.lock);
    return fd;
}

static int mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = mode_of(flags, args);
    va_end(args);
    return open_noted(path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    int mode = mode_of(flags, args);
    va_end(args);
    return open_noted(path, flags | O_LARGEFILE, mode);
}

int close(int fd)
{
    if (is_watched(fd)) {
        tap.inode[fd] = 0;
    }
    return (int)syscall(SYS_close, fd);
}

/* LMDB makes its descriptor for the meta pages synchronous after it opened it. */
int fcntl64(int fd, int command, ...);
int fcntl(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    long argument = va_arg(args, long);
    va_end(args);
    if (command == F_SETFL && is_watched(fd)) {
        tap.dsync[fd] = (argument & O_DSYNC) != 0;
    }
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

int fcntl64(int fd, int command, ...)
{
    va_list args;
    va_start(args, command);
    long argument = va_arg(args, long);
    va_end(args);
    return fcntl(fd, command, argument);
}

int mkdir(const char *path, mode_t mode)
{
    pthread_mutex_lock(&tap.lock);
    int rc = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    const char *rest = inside(path);
    struct stat st;
    if (rc == 0 && rest && stat(path, &st) == 0) {
        note(TAP_FOLDER, st.st_ino, 1, rest, strlen(rest));
    }
    pthread_mutex_unlock(&tap.lock);
    return rc;
}

int rename(const char *from, const char *to)
{
    pthread_mutex_lock(&tap.lock);
    int rc = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    const char *a = inside(from), *b = inside(to);
    if (rc == 0 && a && b) {
        struct iovec parts[] = {{.iov_base = (void *)(uintptr_t)a, .iov_len = strlen(a) + 1},
                                {.iov_base = (void *)(uintptr_t)b, .iov_len = strlen(b)}};
        note_parts(TAP_RENAME, 0, 0, parts, 2);
    }
    pthread_mutex_unlock(&tap.lock);
    return rc;
}

int unlink(const char *path)
{
    pthread_mutex_lock(&tap.lock);
    int rc = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    const char *rest = inside(path);
    if (rc == 0 && rest) {
        note(TAP_UNLINK, 0, 0, rest, strlen(rest));
    }
    pthread_mutex_unlock(&tap.lock);
    return rc;
}

/* ---- writes: at < 0 is where the descriptor stands ---- */

static bool is_socket(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

static ssize_t put(int fd, const struct iovec *parts, int n, off_t at)
{
    if (!is_watched(fd)) {
        if (tap.log >= 0 && is_socket(fd)) {
            pthread_mutex_lock(&tap.lock);
            note_parts(TAP_TOLD, 0, 0, parts, n);
            pthread_mutex_unlock(&tap.lock);
        }
        return at < 0 ? syscall(SYS_writev, fd, parts, n)
                      : syscall(SYS_pwritev, fd, parts, n, at, 0L);
    }
    pthread_mutex_lock(&tap.lock);
    off_t from = at < 0 ? lseek(fd, 0, SEEK_CUR) : at;
    ssize_t done = -1;
    if (!fails(fd, true)) {
        done =
            at < 0 ? syscall(SYS_writev, fd, parts, n) : syscall(SYS_pwritev, fd, parts, n, at, 0L);
    }
    int error = errno;
    if (done > 0) { /* all of it: a real disk's short writes are not what this is for */
        note_parts(tap.dsync[fd] ? TAP_WRITE_SYNC : TAP_WRITE, tap.inode[fd], (uint64_t)from, parts,
                   n);
    }
    pthread_mutex_unlock(&tap.lock);
    errno = error;
    return done;
}

static ssize_t put_one(int fd, const void *p, size_t n, off_t at)
{
    struct iovec part = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
    return put(fd, &part, 1, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
    return put_one(fd, p, n, -1);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    return put(fd, parts, n, -1);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return put_one(fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    return put_one(fd, p, n, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t at)
{
    return put(fd, parts, n, at);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t at)
{
    return put(fd, parts, n, at);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
    if (tap.log >= 0) {
        pthread_mutex_lock(&tap.lock);
        note(TAP_TOLD, 0, 0, p, n);
        pthread_mutex_unlock(&tap.lock);
    }
    return syscall(SYS_sendto, fd, p, n, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (tap.log >= 0) {
        pthread_mutex_lock(&tap.lock);
        note_parts(TAP_TOLD, 0, 0, message->msg_iov, (int)message->msg_iovlen);
        pthread_mutex_unlock(&tap.lock);
    }
    return syscall(SYS_sendmsg, fd, message, flags);
}

/* ---- syncs and lengths ---- */

static int sync_noted(int fd, long call)
{
    pthread_mutex_lock(&tap.lock);
    int rc = fails(fd, false) ? -1 : (int)syscall(call, fd);
    int error = errno;
    if (rc == 0 && is_watched(fd)) {
        note(TAP_SYNC, tap.inode[fd], 0, NULL, 0);
    }
    pthread_mutex_unlock(&tap.lock);
    errno = error;
    return rc;
}

int fsync(int fd)
{
    return sync_noted(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return sync_noted(fd, SYS_fdatasync);
}

int ftruncate(int fd, off_t length)
{
    pthread_mutex_lock(&tap.lock);
    int rc = fails(fd, false) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
    int error = errno;
    if (rc == 0 && is_watched(fd)) {
        note(TAP_TRUNCATE, tap.inode[fd], (uint64_t)length, NULL, 0);
    }
    pthread_mutex_unlock(&tap.lock);
    errno = error;
    return rc;
}

int ftruncate64(int fd, off64_t length)
{
    return ftruncate(fd, length);
}
