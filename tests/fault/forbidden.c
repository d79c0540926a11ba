/* Preloaded into a hub (LD_PRELOAD): at SIGUSR1 it does what somebody would who has found a way in,
 * and says on stderr what came of it, `tried CALL: ERRNO`. Raw calls, so that it is the kernel that
 * answers. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tried(const char *call, long result)
{
    char line[64];
    int n = snprintf(line, sizeof line, "tried %s: %d\n", call, result < 0 ? errno : 0);
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

static void try_all(int number)
{
    static const char shell[] = "/bin/sh";
    char *const words[] = {NULL};
    (void)number;
    tried("socket", syscall(SYS_socket, AF_INET, SOCK_STREAM, 0));
    tried("connect", syscall(SYS_connect, STDERR_FILENO, NULL, 0));
    tried("bind", syscall(SYS_bind, STDERR_FILENO, NULL, 0));
    /* A child of a hub without a filter ends at once: what counts is whether it came to be. */
    long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
    if (child == 0) {
        syscall(SYS_exit_group, 0);
    }
    tried("fork", child);
    tried("clone3", syscall(SYS_clone3, NULL, 0));
    tried("kill", syscall(SYS_kill, 1, 0));
    tried("tgkill", syscall(SYS_tgkill, 1, 1, 0));
    tried("ptrace", syscall(SYS_ptrace, 0, 0, 0, 0));
    tried("mmap-executable",
          syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    tried("prctl", syscall(SYS_prctl, 4, 1, 0, 0, 0)); /* PR_SET_DUMPABLE */
    tried("setuid", syscall(SYS_setuid, getuid()));
    tried("chroot", syscall(SYS_chroot, shell));
    tried("execve", syscall(SYS_execve, shell, words, words)); /* does not come back */
}

__attribute__((constructor)) static void begin(void)
{
    struct sigaction action = {.sa_handler = try_all};
    (void)sigaction(SIGUSR1, &action, NULL);
}
