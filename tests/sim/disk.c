/* Each write to the data file since the last sync is kept with what stood there before. Undoing
 * some of them, from the newest to the oldest, gives every state in which a disk may be that wrote
 * them in any order and lost the rest. A write through a descriptor opened with O_DSYNC (LMDB's
 * meta page) is on disk when it returns. */
#define _GNU_SOURCE
#include "tests/sim/disk.h"
#include "store/mem.h"

#include <assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS = 256, SECTOR = 512 };

struct undo {
    off_t at;
    size_t n;
    uint8_t *held; /* zeros past the end of the file */
};

static struct {
    char *path;
    bool watched[FDS], dsync[FDS];
    struct undo *undo;
    size_t undo_n, undo_cap;
    enum disk_fault fault;
    unsigned in; /* operations until it happens */
    bool stopped, failing;
    uint64_t operations;
    int reading;
} disk = {.reading = -1};

/* ---- the C library's own ---- */

/* POSIX lets an object pointer carry a function's address; C does not, hence the copy. */
static void real(const char *name, void *out_function)
{
    void *found = dlsym(RTLD_NEXT, name);
    assert(found);
    memcpy(out_function, &found, sizeof found);
}

typedef int open_fn(const char *, int, ...);
typedef int close_fn(int);
typedef ssize_t pwrite_fn(int, const void *, size_t, off_t);
typedef ssize_t writev_fn(int, const struct iovec *, int);
typedef int sync_fn(int);

static ssize_t real_pwrite(int fd, const void *p, size_t n, off_t at)
{
    static pwrite_fn *f;
    if (!f) {
        real("pwrite", &f);
    }
    return f(fd, p, n, at);
}

/* ---- what was not synced ---- */

static void forget(void)
{
    for (size_t i = 0; i < disk.undo_n; i++) {
        free(disk.undo[i].held);
    }
    disk.undo_n = 0;
}

/* Through a descriptor of its own: LMDB opens one of its two for writing alone. */
static size_t read_before(uint8_t *out, size_t n, off_t at)
{
    if (disk.reading < 0) {
        disk.reading = open(disk.path, O_RDONLY | O_CLOEXEC);
    }
    ssize_t held = disk.reading >= 0 ? pread(disk.reading, out, n, at) : -1;
    return held > 0 ? (size_t)held : 0;
}

static void remember(off_t at, size_t n)
{
    if (disk.undo_n == disk.undo_cap) {
        disk.undo_cap = disk.undo_cap ? disk.undo_cap * 2 : 64;
        disk.undo = xrealloc(disk.undo, disk.undo_cap * sizeof *disk.undo);
    }
    struct undo *u = &disk.undo[disk.undo_n++];
    *u = (struct undo){.at = at, .n = n, .held = xcalloc(n, 1)};
    (void)read_before(u->held, n, at);
}

void disk_crash(struct rng *rng)
{
    int fd = disk.path ? open(disk.path, O_RDWR | O_CLOEXEC) : -1;
    unsigned lost = (unsigned[]){0, 30, 70, 100}[rng_below(rng, 4)];
    for (size_t i = disk.undo_n; fd >= 0 && i-- > 0;) {
        const struct undo *u = &disk.undo[i];
        if (!rng_percent(rng, lost)) {
            continue;
        }
        size_t from = 0, to = u->n;
        if (rng_percent(rng, 20) && u->n > SECTOR) { /* torn: some sectors of it did arrive */
            from = (size_t)rng_below(rng, (uint32_t)(u->n / SECTOR)) * SECTOR;
            to = from + SECTOR;
        }
        (void)!real_pwrite(fd, u->held + from, to - from, u->at + (off_t)from);
    }
    if (fd >= 0) {
        close(fd);
    }
    forget();
    disk_arm(DISK_SOUND, 0);
}

void disk_reset(const char *path)
{
    forget();
    if (disk.reading >= 0) {
        close(disk.reading);
        disk.reading = -1;
    }
    free(disk.path);
    disk.path = path ? xstrdup(path) : NULL;
    disk.operations = 0;
    disk_arm(DISK_SOUND, 0);
}

void disk_arm(enum disk_fault fault, unsigned n)
{
    disk.fault = fault;
    disk.in = n;
    disk.stopped = disk.failing = false;
}

bool disk_stopped(void)
{
    return disk.stopped;
}

bool disk_failing(void)
{
    return disk.failing;
}

uint64_t disk_operations(void)
{
    return disk.operations;
}

/* ---- operations ---- */

static bool is_watched(int fd)
{
    return fd >= 0 && fd < FDS && disk.watched[fd];
}

/* The fault that this operation meets. */
static enum disk_fault meets(bool write)
{
    if (disk.stopped) {
        return DISK_STOPS;
    }
    disk.operations++;
    if (disk.fault == DISK_SOUND || disk.in-- > 0) {
        return DISK_SOUND;
    }
    enum disk_fault fault = disk.fault;
    if (fault == DISK_FULL) {
        disk.in = 0;
        if (!write) {
            return DISK_SOUND; /* a sync needs no room */
        }
    } else {
        disk.fault = DISK_SOUND;
    }
    disk.stopped = fault == DISK_STOPS;
    disk.failing = fault != DISK_STOPS;
    return fault;
}

static ssize_t refuse(enum disk_fault fault)
{
    errno = fault == DISK_FULL ? ENOSPC : EIO;
    return -1;
}

static ssize_t write_at(int fd, const void *p, size_t n, off_t at)
{
    bool was_stopped = disk.stopped;
    enum disk_fault fault = meets(true);
    if (fault == DISK_FULL && disk.dsync[fd]) {
        fault = DISK_SOUND; /* a page that has its place */
    }
    if (fault == DISK_STOPS && !was_stopped) {
        /* Power goes in the midst of it: all or a part is under way like the writes before it. */
        size_t part = disk.operations % 2 ? n : n / 2 / SECTOR * SECTOR;
        remember(at, part);
        (void)!real_pwrite(fd, p, part, at);
    }
    if (fault != DISK_SOUND) {
        return refuse(fault);
    }
    if (!disk.dsync[fd]) {
        remember(at, n);
    }
    return real_pwrite(fd, p, n, at);
}

static int sync_all(int fd, const char *name)
{
    enum disk_fault fault = is_watched(fd) ? meets(false) : DISK_SOUND;
    if (fault != DISK_SOUND) {
        return (int)refuse(fault);
    }
    if (is_watched(fd)) {
        forget();
        return 0; /* the file lies in memory, and the run shall not wait for a real disk */
    }
    sync_fn *f;
    real(name, &f);
    return f(fd);
}

/* ---- what stands before the C library's ---- */

int open(const char *path, int flags, ...)
{
    static open_fn *f;
    if (!f) {
        real("open", &f);
    }
    va_list args;
    va_start(args, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
    va_end(args);
    int fd = f(path, flags, mode);
    if (fd >= 0 && fd < FDS) {
        disk.watched[fd] = disk.path && strcmp(path, disk.path) == 0;
        disk.dsync[fd] = disk.watched[fd] && (flags & O_DSYNC);
    }
    return fd;
}

int close(int fd)
{
    static close_fn *f;
    if (!f) {
        real("close", &f);
    }
    if (fd >= 0 && fd < FDS) {
        disk.watched[fd] = false;
    }
    return f(fd);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return is_watched(fd) ? write_at(fd, p, n, at) : real_pwrite(fd, p, n, at);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    if (!is_watched(fd)) {
        writev_fn *f;
        real("writev", &f);
        return f(fd, parts, n);
    }
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t sum = 0;
    for (int i = 0; i < n; i++) {
        ssize_t put = write_at(fd, parts[i].iov_base, parts[i].iov_len, at + sum);
        if (put < 0) {
            return -1;
        }
        sum += put;
    }
    (void)lseek(fd, at + sum, SEEK_SET);
    return sum;
}

int fdatasync(int fd)
{
    return sync_all(fd, "fdatasync");
}

int fsync(int fd)
{
    return sync_all(fd, "fsync");
}
