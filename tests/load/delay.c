#define _GNU_SOURCE
#include "tests/load/delay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/meter.h"

void delay_init(struct delay *d)
{
    d->count = 0;
}

void delay_done(struct delay *d)
{
    while (d->count > 0)
        (void)close(d->fds[--d->count]);
}

static bool add_one(struct delay *d, const char *dir, const char *name)
{
    char path[330];
    if (d->count == DELAY_THREADS_MAX)
        return true;
    (void)snprintf(path, sizeof path, "%s/%s/schedstat", dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        d->waited[d->count] = 0;
        d->fds[d->count++] = fd;
    }
    return fd >= 0;
}

void delay_add(struct delay *d, pid_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        meter_fail("%s: %s", path, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (e->d_name[0] != '.' && !add_one(d, path, e->d_name))
            meter_fail("%s/%s: %s", path, e->d_name, strerror(errno));
    (void)closedir(dir);
}

/* A thread that has ended counts for what it had waited. */
uint64_t delay_so_far(struct delay *d)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < d->count; i++) {
        char text[80], *second;
        ssize_t n = pread(d->fds[i], text, sizeof text - 1, 0);
        if (n > 0) {
            text[n] = '\0';
            (void)strtoull(text, &second, 10); /* how long it ran */
            d->waited[i] = strtoull(second, NULL, 10);
        }
        sum += d->waited[i];
    }
    return sum;
}
