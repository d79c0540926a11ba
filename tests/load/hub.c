#define _GNU_SOURCE
#include "tests/load/hub.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/meter.h"

enum { ARGUMENTS_MAX = 32 };

static void run_hub(const struct hub_process *hub, const char *program, const char *const *flags,
                    uint32_t descriptors, int out)
{
    char data[80], log[80];
    (void)snprintf(data, sizeof data, "%s/data", hub->dir);
    (void)snprintf(log, sizeof log, "%s/log", hub->dir);
    const char *argv[ARGUMENTS_MAX] = {program,       "--listen",
                                       "127.0.0.1:0", "--data",
                                       data,          "--anonymous-role",
                                       "admin",       "--log-level",
                                       "warn",        "--process-inspectable",
                                       "yes"};
    size_t n = 11;
    while (*flags != NULL && n < ARGUMENTS_MAX - 1)
        argv[n++] = *flags++;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct rlimit limit = {.rlim_cur = descriptors, .rlim_max = descriptors};
    int err = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (err < 0 || dup2(err, STDERR_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        (descriptors > 0 && setrlimit(RLIMIT_NOFILE, &limit) != 0))
        _exit(127);
    execv(program, (char *const *)(uintptr_t)argv);
    _exit(127);
}

/* The one line that a hub writes to stdout. */
static void read_ready(struct hub_process *hub, int in)
{
    char line[256] = "", address[64];
    size_t n = 0;
    while (n < sizeof line - 1 && strchr(line, '\n') == NULL) {
        ssize_t got = read(in, line + n, sizeof line - 1 - n);
        if (got <= 0)
            meter_fail("the hub did not start; its log is %s/log", hub->dir);
        n += (size_t)got;
    }
    if (sscanf(line, "ready http://%63[0-9.:]", address) != 1)
        meter_fail("the hub said '%s'", line);
    char text[128];
    (void)snprintf(text, sizeof text, "hub=%s/%d", address, (int)hub->pid);
    hub->target = target_parse(text);
}

void hub_start(struct hub_process *hub, const char *program, const char *in,
               const char *const *flags, uint32_t descriptors)
{
    int pipes[2];
    (void)snprintf(hub->dir, sizeof hub->dir, "%s/waggle-load-XXXXXX", in);
    if (mkdtemp(hub->dir) == NULL || pipe2(pipes, O_CLOEXEC) != 0)
        meter_fail("%s: %s", hub->dir, strerror(errno));
    hub->pid = fork();
    if (hub->pid == 0)
        run_hub(hub, program, flags, descriptors, pipes[1]);
    (void)close(pipes[1]);
    if (hub->pid < 0)
        meter_fail("fork: %s", strerror(errno));
    read_ready(hub, pipes[0]);
    (void)close(pipes[0]);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

int hub_stop(struct hub_process *hub)
{
    int status = 0;
    (void)kill(hub->pid, SIGTERM);
    if (waitpid(hub->pid, &status, 0) != hub->pid)
        meter_fail("waitpid: %s", strerror(errno));
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (code == 0)
        (void)nftw(hub->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    return code;
}

unsigned hub_descriptors(const struct hub_process *hub)
{
    char path[64];
    unsigned n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/fd", (int)hub->pid);
    DIR *d = opendir(path);
    if (d == NULL)
        return 0; /* a hub guards itself from others of its user: only root sees them */
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

double hub_cpu(const struct hub_process *hub, uint64_t ns)
{
    struct timespec wait = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    uint64_t cpu = meter_cpu(hub->pid), from = meter_now();
    (void)nanosleep(&wait, NULL);
    return 100.0 * (double)(meter_cpu(hub->pid) - cpu) / (double)(meter_now() - from);
}
