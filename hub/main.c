/* waggled: start, stop, and the signals between.
 *
 * Order of a start: configuration, store, keys, writer, operations, sockets, no privileges, no
 * other system calls than needed, and last the line `ready`. Of an end: no new connections,
 * goodbye, everything under way is finished, last commit, exit 0. */
#define _GNU_SOURCE
#include "auth/digest.h"
#include "auth/keyfile.h"
#include "auth/start.h"
#include "hub/audit/audit_thread.h"
#include "hub/config.h"
#include "hub/core/backups.h"
#include "hub/filter.h"
#include "hub/modules.h"
#include "hub/net/server.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <jansson.h>
#include <malloc.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_OPEN = 1, EXIT_USAGE = 2, SETTINGS_MAX = 1024 };
enum { IDLE_BYTES_MAX = 8 << 20, IDLE_LOOK_S = 3 };

struct program {
    struct config config;
    int argc;
    char **argv, **environment;
    struct hub hub;
    struct auth_state auth;
    struct api *api;
    struct server *server;
    struct audit_thread *audit;
    struct hub_settings *settings[SETTINGS_MAX]; /* kept: a thread may still look at an old one */
    size_t settings_n;
    pthread_t writer_thread;
    bool writer_runs;
    pthread_t committer_thread;
    bool committer_runs;
};

/* ---- log lines: one an event, logfmt or JSON, to stderr ---- */

static struct {
    bool json;
    char least; /* 'E', 'W' or 'I' */
} log_manner = {.json = false, .least = 'I'};

static int64_t hub_ms(void *ctx)
{
    const struct hub *hub = ctx;
    return clock_now(&hub->clock, clock_mono_us());
}

static const char *level_name(char level)
{
    return level == 'E' ? "error" : level == 'W' ? "warn" : "info";
}

static bool wanted(char level)
{
    return level == 'E' || log_manner.least == 'I' || (level == 'W' && log_manner.least == 'W');
}

/* fields is "key=value key2=value2"; a value with spaces is the last one. */
static void log_line(void *ctx, char level, const char *event, const char *fields)
{
    (void)ctx;
    if (!wanted(level)) {
        return;
    }
    struct buf line = {0};
    uint8_t time[JSON_TIME_BYTES];
    json_time_put(time, clock_machine_ms());
    if (log_manner.json) {
        struct json_out o = json_out_to(&line);
        json_begin(&o, '{');
        json_key(&o, "time");
        json_text(&o, slice_of(time, sizeof time));
        json_key(&o, "level");
        json_str(&o, level_name(level));
        json_key(&o, "event");
        json_str(&o, event);
        json_key(&o, "detail");
        json_str(&o, fields ? fields : "");
        json_end(&o, '}');
    } else {
        buf_printf(&line, "time=%.*s level=%s event=%s", (int)sizeof time, (const char *)time,
                   level_name(level), event);
        if (fields && *fields) {
            buf_printf(&line, " %s", fields);
        }
    }
    buf_add_str(&line, "\n");
    (void)!write(STDERR_FILENO, line.p, line.n); /* one call, so that lines of threads do not mix */
    buf_done(&line);
}

static void log_format(char level, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void log_format(char level, const char *event, const char *format, ...)
{
    char fields[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(fields, sizeof fields, format, args);
    va_end(args);
    log_line(NULL, level, event, fields);
}

/* A sentence as a field: a quote within it must not look like its end. */
static void log_detail(char level, const char *event, const char *text, const char *more)
{
    struct buf fields = {0};
    buf_add_str(&fields, "detail=\"");
    for (const char *p = text; *p; p++) {
        if (*p == '"' || *p == '\\') {
            buf_add_str(&fields, "\\");
        }
        buf_add(&fields, p, 1);
    }
    buf_printf(&fields, "\"%s", more);
    log_format(level, event, "%.*s", (int)fields.n, (const char *)fields.p);
    buf_done(&fields);
}

static void note(void *ctx, char level, const char *what)
{
    (void)ctx;
    log_detail(level, "writer", what, "");
}

/* Durability is lost: whoever was answered is on disk, nobody else may be answered. */
static void panic(void *ctx, const char *what)
{
    (void)ctx;
    log_detail('E', "panic", what, " action=exit");
    _exit(EXIT_OPEN);
}

/* ---- settings ---- */

static bool settings_put(struct program *p, const struct config *config)
{
    if (p->settings_n == SETTINGS_MAX) {
        return false;
    }
    struct hub_settings *settings = config_settings(config);
    p->settings[p->settings_n++] = settings;
    atomic_store(&p->hub.settings, settings);
    return true;
}

static void reload(struct program *p)
{
    struct config next;
    char text[512] = "";
    if (config_load(&next, p->argc, p->argv, p->environment, text, sizeof text) != CONFIG_RUN) {
        log_detail('E', "reload_refused", text, "");
        config_done(&next);
        return;
    }
    if (!settings_put(p, &next)) {
        log_detail('E', "reload_refused", "reloaded too often: restart the hub", "");
        config_done(&next);
        return;
    }
    writer_namespaces_configure(p->hub.writer, next.namespaces);
    next.namespaces = NULL;
    log_format('I', "reloaded", "file=%s", p->config.file);
    struct buf waits = {0};
    config_waits_for_start(&p->config, &next, &waits);
    if (waits.n) {
        log_format('W', "needs_restart", "keys=%.*s", (int)waits.n, (const char *)waits.p);
    }
    buf_done(&waits);
    config_done(&next);
}

/* ---- start ---- */

static bool open_store(struct program *p, char *text, size_t text_n)
{
    const struct config *c = &p->config;
    struct store_options options = {.path = c->data_dir,
                                    .map_bytes = c->map_bytes,
                                    .quota_bytes = c->quota_bytes,
                                    .readers_max = (p->hub.threads_n + 3) * 4};
    auth_random(options.fresh_epoch, sizeof options.fresh_epoch);
    return store_open(&options, &p->hub.store, text, text_n) == STORE_OK;
}

static enum auth_start_rc open_auth(struct program *p, char *text, size_t text_n)
{
    const struct config *c = &p->config;
    struct auth_start_random random;
    auth_random(&random, sizeof random);
    struct auth_start_options options = {.data_dir = c->data_dir,
                                         .admin_key = *c->admin_key ? c->admin_key : NULL,
                                         .apps = (const char *const *)c->apps.items,
                                         .apps_n = c->apps.n,
                                         .trust_jwks = *c->trust_jwks ? c->trust_jwks : NULL,
                                         .now_ms = clock_machine_ms(),
                                         .random = &random};
    enum auth_start_rc rc = auth_start(p->hub.store, &options, &p->auth, text, text_n);
    digest_wipe(&random, sizeof random);
    return rc;
}

/* The key is shown once, and kept where only its owner can read it, for scripts. */
static void show_admin_key(struct program *p)
{
    if (!p->auth.new_admin_key) {
        return;
    }
    char *path = NULL;
    char text[256];
    if (asprintf(&path, "%s/admin.key", p->config.data_dir) < 0) {
        path = NULL;
    }
    struct slice key = slice_str(p->auth.new_admin_key);
    bool kept = path && keyfile_write_secret(path, key, text, sizeof text) == KEYFILE_OK;
    fprintf(stderr, "waggled: first start: admin API key %s (shown once%s%s)\n",
            p->auth.new_admin_key, kept ? "; also in " : "", kept ? path : "");
    free(path);
}

static bool open_writer(struct program *p, char *text, size_t text_n)
{
    const struct config *c = &p->config;
    struct hub *hub = &p->hub;
    struct modules modules;
    struct writer_options options = {
        .store = hub->store,
        .interest = hub->interest,
        .log = {.journal_records_min = c->journal_records,
                .key_window_ms = (int64_t)c->key_window_ms,
                .keys_max = c->keys_max},
        .replies = {.window_ms = (int64_t)c->reply_window_ms, .replies_max = c->replies_max},
        .namespaces = namespaces_copy(c->namespaces),
        .hash_seed = hub->hash_seed,
        .ports_n = hub->threads_n + 1, /* and the auditor */
        .inbox_trays = (size_t)(hub->threads_n + 1) * IO_POOL_TRAYS,
        .restart_grace_ms = (int64_t)c->presence_restart_grace_ms,
        .now_ms = hub_ms(&p->hub),
        .panic = panic,
        .note = note};
    modules_put(&modules, hub, auth_random, &options);
    enum hub_rc rc = writer_new(&options, &hub->writer, text, text_n);
    if (rc == HUB_OK) {
        hub->log = writer_log(hub->writer);
    }
    return rc == HUB_OK;
}

static bool open_audit(struct program *p, char *text, size_t text_n)
{
    p->audit = audit_thread_new(&p->hub, auth_random);
    if (!p->audit || !audit_thread_start(p->audit)) {
        snprintf(text, text_n, "the auditor's thread cannot be started");
        return false;
    }
    return true;
}

static void *run_writer(void *arg)
{
    struct program *p = arg;
    pthread_setname_np(pthread_self(), "waggle-writer");
    writer_run(p->hub.writer, hub_ms, &p->hub);
    return NULL;
}

static void *run_committer(void *arg)
{
    struct program *p = arg;
    pthread_setname_np(pthread_self(), "waggle-commit");
    store_committer_run(p->hub.store);
    return NULL;
}

static void on_committed(void *ctx)
{
    struct program *p = ctx;
    writer_wake(p->hub.writer);
}

static bool run_threads(struct program *p)
{
    store_committer_new(p->hub.store, on_committed, p);
    p->committer_runs = pthread_create(&p->committer_thread, NULL, run_committer, p) == 0;
    p->writer_runs =
        p->committer_runs && pthread_create(&p->writer_thread, NULL, run_writer, p) == 0;
    return p->writer_runs;
}

static void hub_fill(struct program *p)
{
    struct hub *hub = &p->hub;
    uint8_t random[16];
    hub->version = WAGGLE_VERSION;
    hub->data_dir = p->config.data_dir;
    hub->started_ms = clock_machine_ms();
    clock_set(&hub->clock, hub->started_ms, clock_mono_us());
    auth_random(&hub->hash_seed, sizeof hub->hash_seed);
    auth_random(random, sizeof random);
    uuid_v4(random, hub->id);
    auth_random(random, sizeof random);
    hub->rate = rate_new(random, 0, (uint64_t)hub->started_ms * 1000);
    hub->interest = interest_new();
    hub->pulses = pulses_new();
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    hub->threads_n = p->config.threads ? (unsigned)p->config.threads
                     : cores > 2       ? (unsigned)(cores - 1)
                                       : 1;
    if (hub->threads_n > 63) {
        hub->threads_n = 63;
    }
}

/* From the store, once it is open. */
static void hub_fill_from_store(struct hub *hub)
{
    hex_put(hub->epoch, slice_of(store_epoch(hub->store), 8));
    hub->key_seed = be64_get(store_epoch(hub->store) + 8);
}

static const char *web_dir(struct program *p, char *out, size_t n)
{
    if (*p->config.web_dir) {
        return p->config.web_dir;
    }
    char self[4000];
    ssize_t got = readlink("/proc/self/exe", self, sizeof self - 1);
    if (got <= 0) {
        return NULL;
    }
    self[got] = '\0';
    char *slash = strrchr(self, '/');
    *slash = '\0';
    snprintf(out, n, "%s/../web", self);
    struct stat st;
    return stat(out, &st) == 0 ? out : NULL;
}

static bool open_sockets(struct program *p, char *text, size_t text_n)
{
    const struct config *c = &p->config;
    char web[4096];
    struct server_options options = {.hub = &p->hub,
                                     .api = p->api,
                                     .listen = (const char *const *)c->listen.items,
                                     .listen_n = c->listen.n,
                                     .tls_cert = *c->tls_cert ? c->tls_cert : NULL,
                                     .tls_key = *c->tls_key ? c->tls_key : NULL,
                                     .web_dir = web_dir(p, web, sizeof web),
                                     .threads_n = p->hub.threads_n,
                                     .log = log_line};
    return server_new(&options, &p->server, text, text_n);
}

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC };

/* What root has opened or made in the data directory is the user's from here on: keys are rotated
 * and backups made there later, and the next start may be the user's own. */
static bool hand_over_data(int folder, const struct passwd *pw)
{
    DIR *dir = folder < 0 ? NULL : fdopendir(folder);
    bool ok = dir && fchown(folder, pw->pw_uid, pw->pw_gid) == 0;
    for (struct dirent *e; ok && (e = readdir(dir));) {
        struct stat st;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        ok = fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (ok && S_ISDIR(st.st_mode)) {
            ok = hand_over_data(openat(folder, e->d_name, FOLDER_FLAGS | O_NOFOLLOW), pw);
        } else if (ok && S_ISREG(st.st_mode)) {
            ok = fchownat(folder, e->d_name, pw->pw_uid, pw->pw_gid, AT_SYMLINK_NOFOLLOW) == 0;
        }
    }
    if (dir) {
        closedir(dir);
    }
    return ok;
}

/* Listeners and files are open; from here no privilege is needed. */
static bool drop_privileges(struct program *p, char *text, size_t text_n)
{
    if (!*p->config.user || geteuid() != 0) {
        return true;
    }
    const struct passwd *pw = getpwnam(p->config.user);
    if (!pw) {
        snprintf(text, text_n, "process.user: there is no user %s", p->config.user);
        return false;
    }
    if (!hand_over_data(open(p->config.data_dir, FOLDER_FLAGS), pw) ||
        initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 ||
        setuid(pw->pw_uid) != 0) {
        snprintf(text, text_n, "process.user %s: %s", p->config.user, strerror(errno));
        return false;
    }
    return true;
}

/* A line without the heap: whoever made the call may have been inside it. */
static void forbidden_call(const char *call, int number)
{
    uint8_t time[JSON_TIME_BYTES];
    char line[256];
    json_time_put(time, clock_machine_ms());
    int n = snprintf(line, sizeof line,
                     log_manner.json
                         ? "{\"time\":\"%.*s\",\"level\":\"error\",\"event\":"
                           "\"forbidden_call\",\"detail\":\"call=%s number=%d action=kill\"}\n"
                         : "time=%.*s level=error event=forbidden_call call=%s number=%d "
                           "action=kill\n",
                     (int)sizeof time, (const char *)time, call, number);
    (void)!write(STDERR_FILENO, line, (size_t)n);
}

/* Threads that are running are under it as well; those to come inherit it. */
static bool filter_calls(const struct config *c, char *text, size_t text_n)
{
    if (strcmp(c->seccomp, "no") == 0) {
        return true;
    }
    enum filter_manner manner = strcmp(c->seccomp, "kill") == 0 ? FILTER_KILL : FILTER_REFUSE;
    return filter_install(manner, forbidden_call, text, text_n);
}

static bool start(struct program *p, int *out_exit, char *text, size_t text_n)
{
    *out_exit = EXIT_OPEN;
    hub_fill(p);
    if (!open_store(p, text, text_n)) {
        return false;
    }
    hub_fill_from_store(&p->hub);
    p->hub.backups = backups_new(p->hub.store, p->config.data_dir);
    enum auth_start_rc rc = open_auth(p, text, text_n);
    if (rc != AUTH_START_OK) {
        *out_exit = rc == AUTH_START_USAGE ? EXIT_USAGE : EXIT_OPEN;
        return false;
    }
    show_admin_key(p); /* it is stored: whatever fails from here on, nobody would learn it later */
    p->hub.secret = p->auth.secret;
    atomic_store(&p->hub.signing, p->auth.signing);
    if (!open_writer(p, text, text_n)) {
        return false;
    }
    p->api = api_new(&p->hub, text, text_n);
    if (p->api) {
        p->hub.openapi = api_openapi(p->api);
    }
    if (!p->api || !open_sockets(p, text, text_n) || !open_audit(p, text, text_n) ||
        !drop_privileges(p, text, text_n) || !filter_calls(&p->config, text, text_n)) {
        return false;
    }
    return run_threads(p);
}

static void announce(struct program *p)
{
    const struct hub_settings *settings = atomic_load(&p->hub.settings);
    if (settings->anonymous_role != ROLE_NONE) {
        log_format('W', "anonymous_access",
                   "role=%s detail=\"callers without credentials have this role: for loopback and "
                   "tests only\"",
                   role_name(settings->anonymous_role));
    }
    struct stat st;
    if (*p->config.web_dir && stat(p->config.web_dir, &st) != 0) {
        log_format('W', "no_web", "folder=%s detail=\"hub.web: %s\"", p->config.web_dir,
                   strerror(errno));
    }
    for (size_t i = 0; server_url(p->server, i); i++) {
        log_format('I', "ready", "url=%s version=%s threads=%u epoch=%s", server_url(p->server, i),
                   p->hub.version, p->hub.threads_n, p->hub.epoch);
    }
    /* Scripts read this line; nothing else ever goes to stdout. */
    printf("ready %s\n", server_url(p->server, 0));
    fflush(stdout);
}

static void stop(struct program *p)
{
    if (p->server) {
        server_drain(p->server);
    }
    audit_thread_stop(p->audit);
    if (p->writer_runs) {
        writer_stop(p->hub.writer);
        pthread_join(p->writer_thread, NULL);
    }
    if (p->committer_runs) {
        store_committer_stop(p->hub.store);
        pthread_join(p->committer_thread, NULL);
    }
    server_free(p->server);
    api_free(p->api);
    writer_free(p->hub.writer);
    audit_thread_free(p->audit);
    auth_state_done(&p->auth);
    rate_free(p->hub.rate);
    interest_free(p->hub.interest);
    pulses_free(p->hub.pulses);
    backups_free(p->hub.backups);
    store_close(p->hub.store);
    for (size_t i = 0; i < p->settings_n; i++) {
        config_settings_free(p->settings[i]);
    }
    config_done(&p->config);
}

/* Memory that a crowd needed and nobody has needed since goes back to the machine: free() keeps it
 * for a next time that may not come. Two looks, so that a busy hub is not made to ask for it again
 * and again. */
static void give_back(size_t *idle_before)
{
#ifdef __GLIBC__
    size_t idle = mallinfo2().fordblks;
    if (idle > IDLE_BYTES_MAX && *idle_before > IDLE_BYTES_MAX) {
        (void)malloc_trim(0);
        idle = 0;
    }
    *idle_before = idle;
#else
    (void)idle_before;
#endif
}

/* ---- without serving ---- */

static void say_line(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "waggled: %s\n", line);
}

static int restore(const struct config *c)
{
    char text[BACKUP_TEXT_MAX] = "";
    uint8_t fresh[16];
    if (!auth_init()) {
        return EXIT_OPEN;
    }
    auth_random(fresh, sizeof fresh);
    bool good =
        backups_restore(c->folder, c->data_dir, fresh, clock_machine_ms(), text, sizeof text);
    fprintf(stderr, "waggled: %s%s\n", good ? "restored " : "", text);
    return good ? 0 : EXIT_OPEN;
}

/* Keys stay out of core dumps and away from debuggers of the same user, and nothing that is started
 * from here could gain rights. */
static void guard_process(bool inspectable)
{
    const struct rlimit none = {0};
    (void)prctl(PR_SET_DUMPABLE, inspectable);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void wait_for_end(struct program *p, const sigset_t *signals)
{
    const struct timespec look = {.tv_sec = IDLE_LOOK_S};
    size_t idle = 0;
    for (;;) {
        int signal = sigtimedwait(signals, NULL, &look);
        if (signal < 0) {
            give_back(&idle);
            continue;
        }
        if (signal == SIGHUP) {
            reload(p);
            continue;
        }
        log_format('I', "stopping", "signal=%s", signal == SIGTERM ? "TERM" : "INT");
        return;
    }
}

int main(int argc, char **argv, char **environment)
{
    static struct program p;
    char text[1024] = "";
    p.argc = argc;
    p.argv = argv;
    p.environment = environment;
    enum config_action action = config_load(&p.config, argc, argv, environment, text, sizeof text);
    switch (action) {
    case CONFIG_HELP:
        config_help();
        return 0;
    case CONFIG_VERSION:
        printf("waggled %s\n", WAGGLE_VERSION);
        return 0;
    case CONFIG_WRONG:
        fprintf(stderr, "waggled: %s\n", text);
        return EXIT_USAGE;
    case CONFIG_CHECK:
        fprintf(stderr, "waggled: the configuration is in order\n");
        return 0;
    case CONFIG_VERIFY:
        return backups_verify(p.config.folder, say_line, NULL) ? 0 : EXIT_OPEN;
    case CONFIG_RESTORE:
        return restore(&p.config);
    case CONFIG_RUN:
        break;
    }
    log_manner.json = strcmp(p.config.log_format, "json") == 0;
    log_manner.least = (char)toupper((unsigned char)p.config.log_level[0]);
    guard_process(strcmp(p.config.inspectable, "yes") == 0);
    if (!auth_init()) {
        fprintf(stderr, "waggled: libsodium cannot be made ready\n");
        return EXIT_OPEN;
    }
    json_object_seed(0);
    signal(SIGPIPE, SIG_IGN);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)settings_put(&p, &p.config);
    int code = EXIT_OPEN;
    if (!start(&p, &code, text, sizeof text)) {
        fprintf(stderr, "waggled: %s\n", *text ? text : "could not start");
        stop(&p);
        return code;
    }
    announce(&p);
    wait_for_end(&p, &signals);
    stop(&p);
    log_line(NULL, 'I', "stopped", "");
    return 0;
}
