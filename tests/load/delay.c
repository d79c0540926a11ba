#define _GNU_SOURCE
#include "tests/load/delay.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
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

void delay_add(struct delay *d, pid_t pid)
{
    char path[300];
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL)
        meter_fail("%s: %s", path, strerror(errno));
    for (struct dirent *e; (e = readdir(dir)) != NULL && d->count < DELAY_THREADS_MAX;) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, e->d_name);
        d->fds[d->count] = open(path, O_RDONLY | O_CLOEXEC);
        if (d->fds[d->count++] < 0)
            meter_fail("%s: %s", path, strerror(errno));
    }
    (void)closedir(dir);
}

uint64_t delay_so_far(const struct delay *d)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < d->count; i++) {
        char text[80];
        uint64_t ran, waited;
        ssize_t n = pread(d->fds[i], text, sizeof text - 1, 0);
        text[n > 0 ? n : 0] = '\0';
        if (sscanf(text, "%" SCNu64 " %" SCNu64, &ran, &waited) == 2)
            sum += waited;
    }
    return sum;
}
