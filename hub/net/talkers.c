#define _GNU_SOURCE
#include "hub/net/talkers.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

int talkers_new(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

static bool watch(int talkers, int operation, int fd, struct conn *c, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = c};
    return epoll_ctl(talkers, operation, fd, &event) == 0;
}

bool talkers_add(int talkers, int fd, struct conn *c)
{
    return talkers >= 0 && watch(talkers, EPOLL_CTL_ADD, fd, c, EPOLLIN);
}

void talkers_drop(int talkers, int fd)
{
    (void)epoll_ctl(talkers, EPOLL_CTL_DEL, fd, NULL);
}

void talkers_flow(int talkers, int fd, struct conn *c, bool on)
{
    (void)watch(talkers, EPOLL_CTL_MOD, fd, c, on ? EPOLLIN : 0);
}

unsigned talkers_look(int talkers, struct conn *out[TALKERS_A_LOOK])
{
    struct epoll_event events[TALKERS_A_LOOK];
    int n = talkers >= 0 ? epoll_wait(talkers, events, TALKERS_A_LOOK, 0) : 0;
    for (int i = 0; i < n; i++) {
        out[i] = events[i].data.ptr;
    }
    return n > 0 ? (unsigned)n : 0;
}
