/* tests/unit/full_disk.h: a disk that has no room for one of the writes to come. LMDB's writes of
 * data pass through here, on whichever thread. */
#ifndef WAGGLE_TESTS_FULL_DISK_H
#define WAGGLE_TESTS_FULL_DISK_H

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_int writes_left = -1; /* until one fails; below 0: none does */

ssize_t writev(int fd, const struct iovec *parts, int parts_n)
{
    if (atomic_load(&writes_left) >= 0 && atomic_fetch_sub(&writes_left, 1) == 0) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_writev, fd, parts, parts_n);
}

#endif
