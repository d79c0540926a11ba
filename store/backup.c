/* A hot backup is a long reader that copies what it sees, without the free pages, into a folder
 * beside its place: `<path>.part`. Only when the copy and its names are on disk does it get its
 * name, so a folder under that name is a whole backup. What a crash left of an earlier attempt is
 * cleared away first; one attempt at a time in a store, so it cannot be another's. */
#define _GNU_SOURCE
#include "store/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/files.h"

static char *part_path(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    struct buf b = {0};
    buf_printf(&b, "%.*s.part", (int)n, path);
    buf_add(&b, "", 1);
    return (char *)b.p;
}

static void clear_part(const char *part)
{
    char *data = path_join(part, "data.mdb");
    (void)unlink(data);
    (void)rmdir(part);
    free(data);
}

/* The library's own mdb_env_copy2() would make the file readable for everyone. */
static int copy_data(struct store *store, const char *part)
{
    char *data = path_join(part, "data.mdb");
    int fd = open(data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int code = fd < 0 ? errno : 0;
    free(data);
    if (code != 0)
        return code;
    code = mdb_env_copyfd2(store->env, fd, MDB_CP_COMPACT);
    if (code == 0 && fsync(fd) != 0)
        code = errno;
    if (code == 0) /* the hub's own pages are worth more in memory */
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (close(fd) != 0 && code == 0)
        code = errno;
    return code;
}

static int give_name(const char *part, const char *path)
{
    char *parent = path_parent(path);
    int code = folder_sync(part);
    if (code == 0 && rename(part, path) != 0)
        code = errno;
    if (code == 0)
        code = folder_sync(parent);
    free(parent);
    return code;
}

static int back_up(struct store *store, const char *part, const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0)
        return EEXIST;
    clear_part(part);
    int code = mkdir(part, 0700) == 0 ? 0 : errno;
    if (code == 0)
        code = copy_data(store, part);
    if (code == 0)
        code = give_name(part, path);
    if (code != 0)
        clear_part(part);
    return code;
}

enum store_rc store_backup(struct store *store, const char *path, char *out_text, size_t text_n)
{
    if (atomic_exchange(&store->backing_up, true)) {
        if (out_text)
            (void)snprintf(out_text, text_n, "a backup is under way");
        return STORE_LOCKED;
    }
    char *part = part_path(path);
    int code = back_up(store, part, path);
    free(part);
    atomic_store(&store->backing_up, false);
    if (code != 0 && out_text)
        (void)snprintf(out_text, text_n, "cannot back up to %s: %s", path, mdb_strerror(code));
    /* With "incompatible" the copy says that pages of the original are lost or used twice. */
    return code == MDB_INCOMPATIBLE ? STORE_DAMAGED : store_rc_of(code);
}
