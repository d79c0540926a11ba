#define _GNU_SOURCE
#include "hub/cli/work.h"

#include <assert.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct event {
    char *text, *channel, *name, *offset;
    size_t text_n;
};

struct work {
    char *command, *agent_id;
    unsigned slots, busy;
    pid_t running[WORK_SLOTS_MAX];          /* the first `busy` of them */
    struct event waiting[WORK_WAITING_MAX]; /* a ring */
    size_t first, n;
};

struct work *work_new(const char *command, const char *agent_id, unsigned slots)
{
    assert(slots >= 1 && slots <= WORK_SLOTS_MAX);
    struct work *w = xcalloc(1, sizeof *w);
    w->command = xstrdup(command);
    w->agent_id = xstrdup(agent_id);
    w->slots = slots;
    return w;
}

static void event_done(struct event *e)
{
    free(e->text);
    free(e->channel);
    free(e->name);
    free(e->offset);
    *e = (struct event){0};
}

void work_forget(struct work *w)
{
    while (w->n) {
        event_done(&w->waiting[w->first]);
        w->first = (w->first + 1) % WORK_WAITING_MAX;
        w->n--;
    }
}

void work_signal(struct work *w, int signal)
{
    for (unsigned i = 0; i < w->busy; i++) {
        (void)kill(-w->running[i], signal); /* it may have ended just now */
    }
}

void work_free(struct work *w)
{
    if (w) {
        work_signal(w, SIGKILL);
        work_forget(w);
        free(w->command);
        free(w->agent_id);
        free(w);
    }
}

unsigned work_busy(const struct work *w)
{
    return w->busy;
}

size_t work_waiting(const struct work *w)
{
    return w->n;
}

static char *text_of(struct slice value)
{
    struct buf text = {0};
    if (!json_to_text(value, &text)) {
        buf_add_slice(&text, value);
    }
    char *copy = xstrndup(text.p, text.n);
    buf_done(&text);
    return copy;
}

bool work_offer(struct work *w, const struct hub_frame *event)
{
    if (w->n == WORK_WAITING_MAX) {
        return false;
    }
    w->waiting[(w->first + w->n++) % WORK_WAITING_MAX] = (struct event){
        .text = xstrndup(event->text.p, event->text.n),
        .text_n = event->text.n,
        .channel = text_of(event->field[HUB_CHANNEL]),
        .name = text_of(event->field[HUB_EVENT_NAME]),
        .offset = text_of(event->field[HUB_OFFSET]),
    };
    work_start(w);
    return true;
}

int work_memory_file(struct slice text)
{
    int fd = memfd_create("waggle-work", MFD_CLOEXEC);
    if (fd < 0 || (text.n && (write(fd, text.p, text.n) != (ssize_t)text.n ||
                              write(fd, "\n", 1) != 1 || lseek(fd, 0, SEEK_SET) != 0))) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

/* The agent's environment with the work's in front: the first of two equal names counts. */
static char **make_environment(const char *const (*pairs)[2], size_t pairs_n)
{
    size_t n = 0;
    while (environ[n]) {
        n++;
    }
    char **env = xcalloc(n + pairs_n + 1, sizeof *env);
    for (size_t i = 0; i < pairs_n; i++) {
        struct buf pair = {0};
        buf_printf(&pair, "%s=%s", pairs[i][0], pairs[i][1]);
        env[i] = xstrndup(pair.p, pair.n);
        buf_done(&pair);
    }
    memcpy(env + pairs_n, environ, n * sizeof *env);
    return env;
}

static void free_environment(char **env, size_t pairs_n)
{
    for (size_t i = 0; i < pairs_n; i++) {
        free(env[i]);
    }
    free(env);
}

bool work_spawn(const char *command, const char *const (*pairs)[2], size_t pairs_n, int in, int out,
                pid_t *out_pid)
{
    char sh[] = "sh", dash_c[] = "-c";
    char *text = xstrdup(command);
    char *const argv[] = {sh, dash_c, text, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    char **env = make_environment(pairs, pairs_n);
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* which we ignore */
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    if (out >= 0) {
        posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    }
    posix_spawnattr_init(&attributes);
    /* A group of its own: Ctrl-C stops the agent, and the agent its work. */
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                              POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    int rc = posix_spawn(out_pid, "/bin/sh", &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    free_environment(env, pairs_n);
    free(text);
    return rc == 0;
}

static bool spawn(const struct work *w, const struct event *e, int in, pid_t *out_pid)
{
    const char *const pairs[][2] = {{"WAGGLE_AGENT_ID", w->agent_id},
                                    {"WAGGLE_CHANNEL", e->channel},
                                    {"WAGGLE_EVENT", e->name},
                                    {"WAGGLE_OFFSET", e->offset}};
    return work_spawn(w->command, pairs, sizeof pairs / sizeof *pairs, in, -1, out_pid);
}

void work_start(struct work *w)
{
    while (w->n && w->busy < w->slots) {
        struct event *e = &w->waiting[w->first];
        int in = work_memory_file(slice_of(e->text, e->text_n));
        pid_t pid;
        bool started = in >= 0 && spawn(w, e, in, &pid);
        if (in >= 0) {
            close(in);
        }
        if (!started && w->busy) {
            return; /* no process to be had now: the next one that ends makes room */
        }
        if (started) {
            w->running[w->busy++] = pid;
        } else {
            fputs("waggle: cannot start a process for an event\n", stderr);
        }
        event_done(e);
        w->first = (w->first + 1) % WORK_WAITING_MAX;
        w->n--;
    }
}

bool work_reap(struct work *w, int *out_status)
{
    for (unsigned i = 0; i < w->busy; i++) {
        if (waitpid(w->running[i], out_status, WNOHANG) == w->running[i]) {
            w->running[i] = w->running[--w->busy];
            return true;
        }
    }
    return false;
}
