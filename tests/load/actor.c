#define _GNU_SOURCE
#include "tests/load/actor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void actor_start(struct actor *a, actor_part *part)
{
    int to[2], from[2];
    char byte;
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0)
        meter_fail("pipe: %s", strerror(errno));
    (void)fflush(NULL);
    a->pid = fork();
    if (a->pid < 0)
        meter_fail("fork: %s", strerror(errno));
    if (a->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        a->in = to[0];
        a->out = from[1];
        a->phase = ACTOR_MOVES;
        part(a);
        (void)fflush(NULL);
        _exit(0);
    }
    (void)close(to[0]);
    (void)close(from[1]);
    a->in = from[0];
    a->out = to[1];
    if (read(a->in, &byte, 1) != 1)
        meter_fail("the actor could not set up");
}

static void tell(struct actor *a, enum actor_phase phase)
{
    char byte = (char)phase;
    (void)!write(a->out, &byte, 1); /* an actor that has failed no longer listens */
}

void actor_stand(struct actor *a)
{
    char byte;
    tell(a, ACTOR_STANDS);
    (void)!read(a->in, &byte, 1); /* it stands, or is gone: actor_end() says which */
}

bool actor_end(struct actor *a)
{
    int status = 0;
    tell(a, ACTOR_ENDS);
    if (waitpid(a->pid, &status, 0) != a->pid)
        meter_fail("waitpid: %s", strerror(errno));
    (void)close(a->in);
    (void)close(a->out);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void actor_ready(struct actor *self)
{
    (void)!write(self->out, "r", 1);
}

enum actor_phase actor_phase(struct actor *self)
{
    struct pollfd look = {.fd = self->in, .events = POLLIN};
    char byte;
    if (self->phase != ACTOR_ENDS && poll(&look, 1, 0) == 1 && read(self->in, &byte, 1) == 1)
        self->phase = (enum actor_phase)byte;
    return self->phase;
}
