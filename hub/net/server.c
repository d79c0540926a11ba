/* Listeners are opened once per thread on the same address (SO_REUSEPORT), so the kernel spreads
 * connections and no thread hands a socket to another. A unix socket has one listener, the first
 * thread's. */
#define _GNU_SOURCE
#include "hub/net/server.h"
#include "hub/net/files.h"
#include "hub/net/thread.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libwebsockets.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096, DESCRIPTORS_MAX = 131072 };

struct listener {
    struct sockaddr_storage address;
    socklen_t address_n;
    char *url;
    char *path; /* of a unix socket */
    bool bound; /* the path is ours */
};

struct server {
    struct server_options options;
    struct files *files;
    struct listener listeners[SERVER_LISTEN_MAX];
    struct net_thread **threads;
    struct io **ios;
    unsigned threads_n;
};

static void quiet(int level, const char *line)
{
    (void)level;
    fputs(line, stderr);
}

/* dependencies.md: tables of 16 bytes a descriptor are sized by this limit. */
static uint32_t raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < DESCRIPTORS_MAX
               ? (uint32_t)limit.rlim_cur
               : DESCRIPTORS_MAX;
}

/* "HOST:PORT", "[v6]:PORT", ":PORT" or "unix:PATH". */
static bool parse_listen(struct listener *l, const char *text, char *out_text, size_t text_n)
{
    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un *un = (struct sockaddr_un *)&l->address;
        un->sun_family = AF_UNIX;
        if (snprintf(un->sun_path, sizeof un->sun_path, "%s", text + 5) >=
            (int)sizeof un->sun_path) {
            snprintf(out_text, text_n, "--listen %s: the path is too long", text);
            return false;
        }
        l->address_n = sizeof *un;
        l->path = xstrdup(text + 5);
        return true;
    }
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1]) {
        snprintf(out_text, text_n, "--listen %s: ADDRESS:PORT or unix:PATH is wanted", text);
        return false;
    }
    char *host = xstrndup(text, (size_t)(colon - text));
    size_t n = strlen(host);
    char *bare = host;
    if (n > 1 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        bare++;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    int rc = getaddrinfo(*bare ? bare : NULL, colon + 1, &hints, &found);
    free(host);
    if (rc != 0) {
        snprintf(out_text, text_n, "--listen %s: %s", text, gai_strerror(rc));
        return false;
    }
    memcpy(&l->address, found->ai_addr, found->ai_addrlen);
    l->address_n = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

/* What a hub that was killed has left: a socket that nobody answers at. A file of another kind and
 * the socket of a live program stay where they are, and bind() says so. */
static void remove_dead_socket(const struct listener *l)
{
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && lstat(l->path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        connect(fd, (const struct sockaddr *)&l->address, l->address_n) != 0 &&
        errno == ECONNREFUSED) {
        (void)unlink(l->path);
    }
    if (fd >= 0) {
        close(fd);
    }
}

static int open_listener(struct listener *l, const char *text, char *out_text, size_t text_n)
{
    int one = 1, family = l->address.ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        snprintf(out_text, text_n, "--listen %s: %s", text, strerror(errno));
        return -1;
    }
    if (l->path) {
        remove_dead_socket(l);
    } else {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    }
    if (family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    }
    if (bind(fd, (struct sockaddr *)&l->address, l->address_n) != 0 || listen(fd, BACKLOG) != 0) {
        snprintf(out_text, text_n, "--listen %s: %s", text, strerror(errno));
        close(fd);
        return -1;
    }
    l->bound = true;
    l->address_n = sizeof l->address;
    (void)getsockname(fd, (struct sockaddr *)&l->address, &l->address_n);
    return fd;
}

/* SO_REUSEPORT would let a second hub of the same user share our port: the first bind is tried
 * without it. */
static bool port_is_free(const struct listener *l, const char *text, char *out_text, size_t text_n)
{
    int one = 1;
    if (l->address.ss_family == AF_UNIX) {
        return true;
    }
    int fd = socket(l->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (l->address.ss_family == AF_INET6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    }
    bool ok = fd >= 0 && bind(fd, (const struct sockaddr *)&l->address, l->address_n) == 0;
    if (!ok) {
        snprintf(out_text, text_n, "--listen %s: %s", text, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static char *url_of(const struct listener *l, bool tls)
{
    char host[NI_MAXHOST], port[NI_MAXSERV];
    struct buf b = {0};
    if (l->path) {
        buf_printf(&b, "unix:%s", l->path);
    } else if (getnameinfo((const struct sockaddr *)&l->address, l->address_n, host, sizeof host,
                           port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0) {
        bool v6 = l->address.ss_family == AF_INET6;
        buf_printf(&b, "%s://%s%s%s:%s", tls ? "https" : "http", v6 ? "[" : "", host, v6 ? "]" : "",
                   port);
    }
    buf_add(&b, "", 1);
    return (char *)b.p;
}

static bool start_thread(struct server *s, unsigned index, char *out_text, size_t text_n)
{
    int fds[SERVER_LISTEN_MAX];
    bool tls[SERVER_LISTEN_MAX];
    size_t n = 0;
    for (size_t i = 0; i < s->options.listen_n; i++) {
        struct listener *l = &s->listeners[i];
        if (l->path && index > 0) {
            continue;
        }
        if (index == 0 && !port_is_free(l, s->options.listen[i], out_text, text_n)) {
            return false;
        }
        tls[n] = s->options.tls_cert != NULL && !l->path;
        fds[n] = open_listener(l, s->options.listen[i], out_text, text_n);
        if (fds[n++] < 0) {
            return false;
        }
    }
    bool ok = net_thread_new(&s->options, s->files, index, fds, tls, n, &s->threads[index],
                             out_text, text_n);
    s->ios[index] = s->threads[index] ? net_thread_io(s->threads[index]) : NULL;
    return ok;
}

bool server_new(const struct server_options *options, struct server **out, char *out_text,
                size_t text_n)
{
    struct server *s = xcalloc(1, sizeof *s);
    *out = s;
    s->options = *options;
    lws_set_log_level(LLL_ERR | LLL_WARN, quiet);
    options->hub->descriptors_max = raise_descriptors();
    for (size_t i = 0; i < options->listen_n; i++) {
        if (!parse_listen(&s->listeners[i], options->listen[i], out_text, text_n)) {
            return false;
        }
    }
    s->files = files_load(options->web_dir);
    s->threads = xcalloc(options->threads_n, sizeof(struct net_thread *));
    s->ios = xcalloc(options->threads_n, sizeof(struct io *));
    s->threads_n = options->threads_n;
    options->hub->ios = s->ios;
    /* Contexts are made one after another, before any thread runs (dependencies.md). */
    for (unsigned i = 0; i < s->threads_n; i++) {
        if (!start_thread(s, i, out_text, text_n)) {
            return false;
        }
    }
    for (size_t i = 0; i < options->listen_n; i++) {
        s->listeners[i].url = url_of(&s->listeners[i], options->tls_cert != NULL);
    }
    for (unsigned i = 0; i < s->threads_n; i++) {
        if (!net_thread_start(s->threads[i])) {
            snprintf(out_text, text_n, "I/O thread %u cannot be started", i);
            return false;
        }
    }
    return true;
}

const char *server_url(const struct server *server, size_t i)
{
    return i < server->options.listen_n ? server->listeners[i].url : NULL;
}

void server_drain(struct server *s)
{
    atomic_store(&s->options.hub->draining, true);
    for (unsigned i = 0; i < s->threads_n; i++) {
        if (s->threads[i]) {
            net_thread_drain(s->threads[i]);
        }
    }
    for (unsigned i = 0; i < s->threads_n; i++) {
        if (s->threads[i]) {
            net_thread_join(s->threads[i]);
        }
    }
}

void server_free(struct server *s)
{
    if (!s) {
        return;
    }
    for (unsigned i = 0; i < s->threads_n; i++) {
        net_thread_free(s->threads[i]);
    }
    for (size_t i = 0; i < s->options.listen_n; i++) {
        if (s->listeners[i].bound && s->listeners[i].path) {
            (void)unlink(s->listeners[i].path);
        }
        free(s->listeners[i].path);
        free(s->listeners[i].url);
    }
    files_free(s->files);
    free(s->threads);
    free(s->ios);
    free(s);
}
