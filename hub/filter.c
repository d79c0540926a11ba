/* The list is what strace shows of a hub that does all that it can, and what other versions of the
 * C library and other processors call for the same. It names no path: files are guarded by who the
 * process runs as. It is installed for all threads at one moment (TSYNC).
 *
 * To be told which call it was, the kernel is asked for a signal instead of the end. That is no
 * weaker: the call is not made, and whoever could keep the handler from ending the process has
 * still none but the calls of the list. */
#define _GNU_SOURCE
#include "hub/filter.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

struct call {
    const char *name;
    /* With a mask the call is allowed only if this argument, masked, is the value. */
    unsigned argument;
    uint64_t mask, value;
};

#define WORD UINT32_MAX

/* clang-format off */
static const struct call calls[] = {
    /* memory; none of it may be executed */
    { "mmap", 2, PROT_EXEC, 0 }, { "mprotect", 2, PROT_EXEC, 0 },
    { .name = "brk" }, { .name = "munmap" }, { .name = "mremap" }, { .name = "madvise" },
    { .name = "mlock" }, { .name = "mlock2" }, { .name = "munlock" },
    /* files */
    { .name = "open" }, { .name = "openat" }, { .name = "close" }, { .name = "fcntl" }, { .name = "flock" },
    { .name = "read" }, { .name = "pread64" }, { .name = "readv" }, { .name = "preadv" },
    { .name = "write" }, { .name = "pwrite64" }, { .name = "writev" }, { .name = "pwritev" },
    { .name = "lseek" }, { .name = "ftruncate" }, { .name = "fallocate" }, { .name = "fadvise64" },
    { .name = "fsync" }, { .name = "fdatasync" }, { .name = "msync" },
    { .name = "stat" }, { .name = "fstat" }, { .name = "lstat" }, { .name = "newfstatat" }, { .name = "statx" },
    { .name = "statfs" }, { .name = "fstatfs" },
    { .name = "access" }, { .name = "faccessat" }, { .name = "faccessat2" },
    { .name = "readlink" }, { .name = "readlinkat" }, { .name = "getcwd" }, { .name = "getdents64" },
    { .name = "mkdir" }, { .name = "mkdirat" }, { .name = "rmdir" },
    { .name = "unlink" }, { .name = "unlinkat" },
    { .name = "rename" }, { .name = "renameat" }, { .name = "renameat2" },
    { .name = "chmod" }, { .name = "fchmod" }, { .name = "fchmodat" }, { .name = "umask" },
    /* sockets that are there, and who comes to them */
    { .name = "accept4" }, { .name = "shutdown" },
    { .name = "recvfrom" }, { .name = "recvmsg" }, { .name = "sendto" }, { .name = "sendmsg" },
    { .name = "getsockopt" }, { .name = "setsockopt" }, { .name = "getsockname" }, { .name = "getpeername" },
    { "ioctl", 1, WORD, FIONBIO }, { "ioctl", 1, WORD, FIONREAD },
    /* waiting */
    { .name = "epoll_ctl" }, { .name = "epoll_wait" }, { .name = "epoll_pwait" },
    { .name = "poll" }, { .name = "ppoll" },
    { .name = "futex" }, { .name = "sched_yield" },
    { .name = "nanosleep" }, { .name = "clock_nanosleep" }, { .name = "restart_syscall" },
    /* threads (a backup has one), no processes */
    { "clone", 0, CLONE_THREAD, CLONE_THREAD },
    { .name = "set_robust_list" }, { .name = "rseq" }, { .name = "exit" }, { .name = "exit_group" },
    { "prctl", 0, WORD, PR_SET_NAME },
    { .name = "sched_getaffinity" }, { .name = "gettid" }, { .name = "getpid" },
    /* signals, to itself */
    { .name = "rt_sigaction" }, { .name = "rt_sigprocmask" }, { .name = "rt_sigreturn" },
    { .name = "rt_sigtimedwait" }, { .name = "sigaltstack" },
    /* asking */
    { .name = "getrandom" }, { .name = "clock_gettime" }, { .name = "clock_getres" }, { .name = "gettimeofday" },
    { .name = "sysinfo" }, { .name = "uname" }, { .name = "getrusage" },
    { .name = "getuid" }, { .name = "geteuid" }, { .name = "getgid" }, { .name = "getegid" },
    { "prlimit64", 2, UINT64_MAX, 0 },
};
/* clang-format on */

enum { CALLS = sizeof calls / sizeof *calls, NAMES_MAX = 512 };

/* What a handler needs: it may not ask the library, which allocates. */
static struct {
    filter_told *told;
    char *names[NAMES_MAX];
} forbidden;

static void on_forbidden(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    int number = info->si_syscall;
    const char *name = number >= 0 && number < NAMES_MAX ? forbidden.names[number] : NULL;
    forbidden.told(name ? name : "unknown", number);
    (void)signal(signal_number, SIG_DFL);
    (void)raise(signal_number);
}

static bool listen_for_forbidden(filter_told *told)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_NODEFER};
    action.sa_sigaction = on_forbidden;
    forbidden.told = told;
    for (int i = 0; i < NAMES_MAX; i++) {
        forbidden.names[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
    }
    return sigaction(SIGSYS, &action, NULL) == 0;
}

static int allow(scmp_filter_ctx filter, const struct call *call)
{
    int number = seccomp_syscall_resolve_name(call->name);
    if (number < 0) {
        return 0; /* this processor has none of that name */
    }
    if (!call->mask) {
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
    }
    return seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1,
                            SCMP_CMP(call->argument, SCMP_CMP_MASKED_EQ, call->mask, call->value));
}

static int fill(scmp_filter_ctx filter)
{
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    for (size_t i = 0; rc == 0 && i < CALLS; i++) {
        rc = allow(filter, &calls[i]);
    }
    /* The flags of clone3 are where no filter can look; without it the C library takes clone. */
    if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    }
    if (rc == 0) { /* raise() and abort() */
        struct scmp_arg_cmp self = {.op = SCMP_CMP_EQ, .datum_a = (scmp_datum_t)getpid()};
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, self);
    }
    return rc ? rc : seccomp_load(filter);
}

bool filter_install(enum filter_manner manner, filter_told *told, char *out_text, size_t text_n)
{
    bool kills = manner == FILTER_KILL;
    if (kills && !listen_for_forbidden(told)) {
        (void)snprintf(out_text, text_n, "process.seccomp: %s", strerror(errno));
        return false;
    }
    scmp_filter_ctx filter = seccomp_init(kills ? SCMP_ACT_TRAP : SCMP_ACT_ERRNO(EPERM));
    int rc = filter ? fill(filter) : -ENOMEM;
    if (rc != 0) {
        (void)snprintf(out_text, text_n, "process.seccomp: the kernel takes no filter: %s",
                       strerror(-rc));
    }
    seccomp_release(filter);
    return rc == 0;
}
