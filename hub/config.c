#define _GNU_SOURCE
#include "hub/config.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum kind { TEXT, LIST, COUNT, SIZE, TIME };

/* Numbers: a count; a size in bytes with KiB, MiB, GiB; a time with ms, s, m, h, d (bare: seconds).
 */
struct key {
    const char *section, *name;
    enum kind kind;
    size_t offset;
    const char *otherwise; /* default */
    const char *flag;      /* without the dashes; NULL: section and name joined by a dash */
    uint64_t min, max;
    const char *help;
};

#define AT(field) offsetof(struct config, field)
#define ANY UINT64_MAX
#define FOREVER                                                                                    \
    (UINT64_C(366000) * 86400000) /* a thousand years: added to now it is still a time */

/* clang-format off */
static const struct key keys[] = {
    { "hub", "listen", LIST, AT(listen), "127.0.0.1:8000", "listen", 0, 0, "ADDRESS:PORT or unix:PATH; may be given several times; port 0: any free one" },
    { "hub", "data", TEXT, AT(data_dir), "./data", "data", 0, 0, "folder of the hub's state" },
    { "hub", "threads", COUNT, AT(threads), "0", "threads", 0, 63, "I/O threads; 0: cores less one, at least one" },
    { "hub", "web", TEXT, AT(web_dir), "", "web", 0, 0, "folder of the built web part; empty: build/web beside the program" },
    { "hub", "origins", LIST, AT(origins), "http://localhost:3000", "origin", 0, 0, "browser origins that may call (CORS, WebSocket); * for any" },
    { "hub", "drain", TIME, AT(drain_ms), "1s", NULL, 0, 600000, "how long closing all connections is spread over at the end" },

    { "auth", "anonymous_role", TEXT, AT(anonymous_role), "none", "anonymous-role", 0, 0, "role of callers without credentials: none, viewer, agent, operator, admin" },
    { "auth", "admin_key", TEXT, AT(admin_key), "", "admin-key", 0, 0, "a text that is an admin API key of app main while the hub runs with it" },
    { "auth", "app", LIST, AT(apps), "", "app", 0, 0, "ID:KEY:SECRET: an app and its Pusher key and secret" },
    { "auth", "trust_jwks", TEXT, AT(trust_jwks), "", "trust-jwks", 0, 0, "JWK set whose Ed25519 keys may sign tokens" },
    { "auth", "token_ttl_max", TIME, AT(token_ttl_max_ms), "30d", NULL, 1000, FOREVER, "longest life of a token that the hub mints" },
    { "auth", "key_overlap", TIME, AT(key_overlap_ms), "30d", NULL, 1000, FOREVER, "how long a rotated signing key still verifies" },

    { "tls", "cert", TEXT, AT(tls_cert), "", "tls-cert", 0, 0, "certificate chain, PEM: TLS on every TCP address" },
    { "tls", "key", TEXT, AT(tls_key), "", "tls-key", 0, 0, "its private key, PEM" },

    { "store", "map_bytes", SIZE, AT(map_bytes), "64GiB", NULL, 1 << 20, ANY, "address space of the store" },
    { "store", "quota_bytes", SIZE, AT(quota_bytes), "0", NULL, 0, ANY, "ordinary writes are refused past it; 0: the map less a reserve" },
    { "store", "journal_records", COUNT, AT(journal_records), "65536", NULL, 1024, ANY, "records kept in the journal whatever else" },
    { "store", "key_window", TIME, AT(key_window_ms), "2m", NULL, 1000, FOREVER, "how long the key of a publish is known" },
    { "store", "keys_max", COUNT, AT(keys_max), "5000000", NULL, 1024, 50000000, "… and at most so many keys" },
    { "store", "reply_window", TIME, AT(reply_window_ms), "24h", NULL, 1000, FOREVER, "how long answers to an Idempotency-Key are kept" },
    { "store", "replies_max", COUNT, AT(replies_max), "1000000", NULL, 1024, 50000000, "… and at most so many" },

    { "limits", "message_bytes", SIZE, AT(message_bytes), "1MiB", NULL, 1024, 64 << 20, "a WebSocket message" },
    { "limits", "body_bytes", SIZE, AT(body_bytes), "4MiB", NULL, 1024, 64 << 20, "an HTTP body" },
    { "limits", "head_bytes", SIZE, AT(head_bytes), "16KiB", NULL, 1024, 1 << 20, "a request's head" },
    { "limits", "queue_bytes", SIZE, AT(queue_bytes), "256KiB", NULL, 4096, 64 << 20, "waiting for one connection before a subscription reads on from the log" },
    { "limits", "subscriptions", COUNT, AT(subscriptions), "1000", NULL, 1, 100000, "channels of one connection" },
    { "limits", "patterns", COUNT, AT(patterns), "16", NULL, 0, 1000, "patterns of one connection" },
    { "limits", "connections", COUNT, AT(connections), "100000", NULL, 1, 1000000, "connections in all" },
    { "limits", "handshakes_per_tick", COUNT, AT(handshakes_per_tick), "64", NULL, 1, 10000, "connections accepted in one turn of a loop" },
    { "limits", "pending", COUNT, AT(pending), "1024", NULL, 1, 60000, "commands of one connection under way" },
    { "limits", "head", TIME, AT(head_ms), "10s", NULL, 10, 3600000, "time for a request's head" },
    { "limits", "body", TIME, AT(body_ms), "60s", NULL, 10, 3600000, "time for a body, or for a peer to take an answer" },
    { "limits", "idle", TIME, AT(idle_ms), "75s", NULL, 10, 3600000, "keep-alive without a request" },
    { "limits", "auth", TIME, AT(auth_ms), "10s", NULL, 10, 3600000, "time for a WebSocket to say who it is" },
    { "limits", "heartbeat", TIME, AT(heartbeat_ms), "25s", NULL, 20, 3600000, "between pings; twice that in silence closes" },

    { "rates", "requests_per_minute", COUNT, AT(rate_requests), "600000", NULL, 0, 100000000, "HTTP requests of one principal; 0: no bound" },
    { "rates", "calls_per_minute", COUNT, AT(rate_calls), "0", NULL, 0, 1000000000, "calls of one principal over its sockets, heartbeats included; 0: no bound" },
    { "rates", "address_per_minute", COUNT, AT(rate_address), "6000", NULL, 0, 100000000, "requests without a valid credential from one address; 0: no bound" },
    { "rates", "publishes_per_minute", COUNT, AT(rate_publishes), "0", NULL, 0, 1000000000, "publishes of one principal; 0: no bound" },

    { "presence", "restart_grace", TIME, AT(presence_restart_grace_ms), "10s", NULL, 0, 3600000, "members have so long to come back after a start" },

    { "agents", "heartbeat_interval", TIME, AT(agents_interval_ms), "10s", NULL, 10, 3600000, "smallest interval between beats that is handed out" },
    { "agents", "heartbeat_timeout", TIME, AT(agents_timeout_ms), "300s", NULL, 20, FOREVER, "silent for so long: inactive" },
    { "agents", "suspect_intervals", COUNT, AT(agents_suspect_intervals), "3", NULL, 1, 1000, "silent for so many intervals: stale" },
    { "agents", "beats_per_second", COUNT, AT(agents_beats_per_s), "50000", NULL, 1, 10000000, "intervals grow when all agents together would beat more often" },
    { "agents", "restart_grace", TIME, AT(agents_restart_grace_ms), "300s", NULL, 0, FOREVER, "nobody is found stale for so long after a start" },
    { "agents", "reconnect_grace", TIME, AT(agents_reconnect_ms), "15s", NULL, 0, FOREVER, "after its connection closed: inactive" },

    { "tasks", "lease", TIME, AT(tasks_lease_ms), "30s", NULL, 50, 86400000, "a task is the agent's for so long without a renewal" },
    { "tasks", "accept_within", TIME, AT(tasks_accept_ms), "5s", NULL, 10, 3600000, "an offer that is not accepted in time goes to another agent" },
    { "tasks", "aging", TIME, AT(tasks_aging_ms), "60s", NULL, 1, 86400000, "waiting so long lifts a task by one priority" },
    { "tasks", "cancel_grace", TIME, AT(tasks_cancel_grace_ms), "10s", NULL, 0, 86400000, "an agent has so long to stop a cancelled task" },
    { "tasks", "retry_delay", TIME, AT(tasks_retry_ms), "1s", NULL, 1, 86400000, "a failed task waits up to so long, twice as long after each further failure" },
    { "tasks", "retry_delay_max", TIME, AT(tasks_retry_max_ms), "300s", NULL, 1, ANY, "but never longer" },
    { "tasks", "attempts", COUNT, AT(tasks_attempts), "3", NULL, 1, 1000, "failures after which a task is dead" },
    { "tasks", "redeliveries", COUNT, AT(tasks_redeliveries), "3", NULL, 0, 1000, "agents that may be lost over a task before it is dead" },
    { "swarms", "absence", TIME, AT(swarms_absence_ms), "1d", NULL, 10, FOREVER, "a member whose agent is away, or never came, keeps its seat so long" },
    { "audit", "seal_interval", TIME, AT(audit_seal_ms), "10s", NULL, 100, 86400000, "what system channels told is hashed and signed so often" },
    { "audit", "keep", TIME, AT(audit_keep_ms), "30d", NULL, 1000, ANY, "how long seals are kept" },

    { "log", "format", TEXT, AT(log_format), "logfmt", "log-format", 0, 0, "logfmt or json, one line an event, to stderr" },
    { "log", "level", TEXT, AT(log_level), "info", "log-level", 0, 0, "error, warn or info" },
    { "process", "user", TEXT, AT(user), "", "user", 0, 0, "started as root: go on as this user once the listeners are open" },
    { "process", "inspectable", TEXT, AT(inspectable), "no", NULL, 0, 0, "yes: what runs as the same user may look inside, debuggers too; for measuring" },
    { "process", "seccomp", TEXT, AT(seccomp), "no", "seccomp", 0, 0, "a filter on the hub's own system calls: no, refuse (what it does not need fails), kill (… ends the hub, and the log names it)" },
};
/* clang-format on */

enum { KEYS = sizeof keys / sizeof *keys };

/* Where a value came from, for the sentence about what is wrong with it. */
struct source {
    const char *what;
    char *out_text;
    size_t text_n;
};

static bool wrong(const struct source *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool wrong(const struct source *s, const char *format, ...)
{
    va_list args;
    int n = snprintf(s->out_text, s->text_n, "%s: ", s->what);
    va_start(args, format);
    if (n > 0 && (size_t)n < s->text_n) {
        vsnprintf(s->out_text + n, s->text_n - (size_t)n, format, args);
    }
    va_end(args);
    return false;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit sizes[] = {{"", 1},          {"B", 1},         {"KiB", 1 << 10},
                                    {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};
static const struct unit times[] = {{"", 1000},     {"ms", 1},       {"s", 1000}, {"m", 60000},
                                    {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
static const struct unit counts[] = {{"", 1}, {NULL, 0}};

static bool number(const char *text, const struct unit *units, uint64_t *out)
{
    char *end;
    errno = 0;
    if (!isdigit((unsigned char)*text)) {
        return false;
    }
    unsigned long long v = strtoull(text, &end, 10);
    for (; errno == 0 && units->name; units++) {
        if (strcmp(end, units->name) == 0) {
            return !__builtin_mul_overflow(v, units->factor, out);
        }
    }
    return false;
}

static bool set_number(struct config *c, const struct key *key, const char *text,
                       const struct source *s)
{
    const struct unit *units = key->kind == SIZE ? sizes : key->kind == TIME ? times : counts;
    uint64_t v;
    if (!number(text, units, &v)) {
        static const char *const wanted[] = {[COUNT] = "whole number",
                                             [SIZE] = "size (as 65536 or 64KiB)",
                                             [TIME] = "time (as 250ms, 30s, 5m, 24h)"};
        return wrong(s, "%s: \"%s\" is no %s", key->name, text, wanted[key->kind]);
    }
    if (v < key->min || v > key->max) {
        return wrong(s, "%s: out of range, %llu to %llu is allowed", key->name,
                     (unsigned long long)key->min, (unsigned long long)key->max);
    }
    memcpy((char *)c + key->offset, &v, sizeof v);
    return true;
}

static void list_clear(struct config_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i]);
    }
    *list = (struct config_list){0};
}

static bool list_add(struct config_list *list, const char *text, const struct source *s,
                     const struct key *key)
{
    while (*text) {
        size_t n = strcspn(text, ",");
        if (n && list->n == CONFIG_LIST_MAX) {
            return wrong(s, "%s: more than 64 values", key->name);
        }
        if (n) {
            list->items[list->n++] = xstrndup(text, n);
        }
        text += n + (text[n] == ',');
    }
    return true;
}

static bool set(struct config *c, const struct key *key, const char *text, const struct source *s,
                bool replaces)
{
    void *at = (char *)c + key->offset;
    if (key->kind == LIST) {
        if (replaces) {
            list_clear(at);
        }
        return list_add(at, text, s, key);
    }
    if (key->kind == TEXT) {
        char *copy = xstrdup(text), *before;
        memcpy(&before, at, sizeof before);
        free(before);
        memcpy(at, &copy, sizeof copy);
        return true;
    }
    return set_number(c, key, text, s);
}

static const struct key *find(const char *section, const char *name)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0) {
            return &keys[i];
        }
    }
    /* Times may be written with their unit in the name: agents.heartbeat_timeout_ms = 500. */
    size_t n = strlen(name);
    for (size_t i = 0; n > 3 && strcmp(name + n - 3, "_ms") == 0 && i < KEYS; i++) {
        if (keys[i].kind == TIME && strcmp(keys[i].section, section) == 0 &&
            strlen(keys[i].name) == n - 3 && strncmp(keys[i].name, name, n - 3) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

/* With the unit in the name the value is a bare number of milliseconds. */
static bool set_named(struct config *c, const char *section, const char *name, const char *value,
                      const struct source *s, bool replaces)
{
    const struct key *key = find(section, name);
    if (!key) {
        return wrong(s, "there is no key %s in section %s", name, section);
    }
    size_t n = strlen(name);
    char with_unit[64];
    if (key->kind == TIME && n > 3 && strcmp(name + n - 3, "_ms") == 0) {
        snprintf(with_unit, sizeof with_unit, "%sms", value);
        value = with_unit;
    }
    return set(c, key, value, s, replaces);
}

/* ---- the file ---- */

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) {
        text++;
    }
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) {
        text[--n] = '\0';
    }
    return text;
}

static char *unquote(char *value)
{
    size_t n = strlen(value);
    if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
        value[n - 1] = '\0';
        return value + 1;
    }
    return value;
}

struct reading {
    struct config *config;
    char section[128];
    bool seen[KEYS];
};

static bool read_pair(struct reading *r, char *line, const struct source *s)
{
    char *equals = strchr(line, '=');
    if (!equals) {
        return wrong(s, "\"%s\" is neither [section] nor key = value", line);
    }
    *equals = '\0';
    char *name = trim(line), *value = unquote(trim(equals + 1));
    static const char ns[] = "namespace";
    size_t n = sizeof ns - 1;
    if (strncmp(r->section, ns, n) == 0 && (r->section[n] == ' ' || r->section[n] == '.')) {
        char text[256];
        const char *name_space = r->section + n + 1;
        return namespace_set(r->config->namespaces, 0, slice_str(name_space), name, value, text,
                             sizeof text) ||
               wrong(s, "%s", text);
    }
    const struct key *key = find(r->section, name);
    bool first = key && !r->seen[key - keys];
    if (key) {
        r->seen[key - keys] = true;
    }
    return set_named(r->config, r->section, name, value, s, first);
}

static bool read_line(struct reading *r, char *line, const struct source *s)
{
    line = trim(line);
    if (*line == '\0' || *line == '#' || *line == ';') {
        return true;
    }
    if (*line != '[') {
        return read_pair(r, line, s);
    }
    size_t n = strlen(line);
    if (line[n - 1] != ']' || n >= sizeof r->section) {
        return wrong(s, "\"%s\" is no [section]", line);
    }
    line[n - 1] = '\0';
    snprintf(r->section, sizeof r->section, "%s", trim(line + 1));
    return true;
}

static bool read_file(struct config *c, const char *path, char *out_text, size_t text_n)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        snprintf(out_text, text_n, "%s: %s", path, strerror(errno));
        return false;
    }
    struct reading r = {.config = c, .section = "hub"};
    char *line = NULL;
    size_t cap = 0;
    bool ok = true;
    for (unsigned n = 1; ok && getline(&line, &cap, f) >= 0; n++) {
        char what[512];
        snprintf(what, sizeof what, "%s:%u", path, n);
        struct source s = {.what = what, .out_text = out_text, .text_n = text_n};
        ok = read_line(&r, line, &s);
    }
    if (ok && ferror(f)) { /* a folder, say */
        snprintf(out_text, text_n, "%s: %s", path, strerror(errno));
        ok = false;
    }
    free(line);
    fclose(f);
    return ok;
}

/* ---- the environment: WAGGLE_SECTION_NAME ---- */

static void env_name(const struct key *key, char *out, size_t n)
{
    bool hub = strcmp(key->section, "hub") == 0;
    snprintf(out, n, "WAGGLE_%s%s%s", hub ? "" : key->section, hub ? "" : "_", key->name);
    for (char *p = out; *p; p++) {
        *p = (char)toupper((unsigned char)*p);
    }
}

static const char *env_get(char **environment, const char *name)
{
    size_t n = strlen(name);
    for (; environment && *environment; environment++) {
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=') {
            return *environment + n + 1;
        }
    }
    return NULL;
}

static bool read_environment(struct config *c, char **environment, char *out_text, size_t text_n)
{
    for (size_t i = 0; i < KEYS; i++) {
        char name[96];
        env_name(&keys[i], name, sizeof name);
        const char *value = env_get(environment, name);
        struct source s = {.what = name, .out_text = out_text, .text_n = text_n};
        if (value && !set(c, &keys[i], value, &s, true)) {
            return false;
        }
    }
    return true;
}

/* ---- the command line ---- */

static void flag_name(const struct key *key, char *out, size_t n)
{
    if (key->flag) {
        snprintf(out, n, "--%s", key->flag);
        return;
    }
    snprintf(out, n, "--%s-%s", key->section, key->name);
    for (char *p = out; *p; p++) {
        if (*p == '_') {
            *p = '-';
        }
    }
}

static const struct key *key_of_flag(const char *arg, size_t n)
{
    for (size_t i = 0; i < KEYS; i++) {
        char flag[96];
        flag_name(&keys[i], flag, sizeof flag);
        if (strlen(flag) == n && strncmp(flag, arg, n) == 0) {
            return &keys[i];
        }
    }
    return NULL;
}

struct flags {
    bool seen[KEYS];
    const char *file, *folder;
    enum config_action action;
};

/* One argument, or two; false: out_text says what is wrong. c NULL: only what comes before the
 * rest. */
static bool read_flag(struct config *c, struct flags *f, char **argv, int argc, int *at,
                      char *out_text, size_t text_n)
{
    const char *arg = argv[*at], *equals = strchr(arg, '=');
    size_t n = equals ? (size_t)(equals - arg) : strlen(arg);
    struct source s = {.what = arg, .out_text = out_text, .text_n = text_n};
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
        f->action = CONFIG_HELP;
        return true;
    }
    if (strcmp(arg, "--version") == 0) {
        f->action = CONFIG_VERSION;
        return true;
    }
    if (strcmp(arg, "--check-config") == 0) {
        f->action = CONFIG_CHECK;
        return true;
    }
    bool file = n == 8 && strncmp(arg, "--config", 8) == 0;
    bool verify = n == 8 && strncmp(arg, "--verify", 8) == 0;
    bool restore = n == 9 && strncmp(arg, "--restore", 9) == 0;
    bool named = file || verify || restore;
    const struct key *key = named ? NULL : key_of_flag(arg, n);
    if (!named && !key) {
        return wrong(&s, "no such flag; waggled --help lists them");
    }
    const char *value = equals ? equals + 1 : *at + 1 < argc ? argv[++*at] : NULL;
    if (!value) {
        return wrong(&s, "a value is missing");
    }
    if (file) {
        f->file = value;
        return true;
    }
    if (verify || restore) {
        f->action = verify ? CONFIG_VERIFY : CONFIG_RESTORE;
        f->folder = value;
        return true;
    }
    if (!c) {
        return true;
    }
    bool first = !f->seen[key - keys];
    f->seen[key - keys] = true;
    return set(c, key, value, &s, first);
}

static bool read_flags(struct config *c, struct flags *f, int argc, char **argv, char *out_text,
                       size_t text_n)
{
    for (int i = 1; i < argc; i++) {
        if (!read_flag(c, f, argv, argc, &i, out_text, text_n)) {
            return false;
        }
    }
    return true;
}

/* ---- all together ---- */

/* ADDRESS:PORT with a port up to 65535, or unix:PATH. */
static bool listen_valid(const char *text)
{
    const char *colon = strrchr(text, ':');
    char *end;
    if (strncmp(text, "unix:", 5) == 0) {
        return text[5] != '\0';
    }
    if (!colon || !isdigit((unsigned char)colon[1])) {
        return false;
    }
    unsigned long port = strtoul(colon + 1, &end, 10);
    return *end == '\0' && port <= 65535;
}

static bool judge(struct config *c, char *out_text, size_t text_n)
{
    enum role role;
    for (size_t i = 0; i < c->listen.n; i++) {
        if (!listen_valid(c->listen.items[i])) {
            snprintf(out_text, text_n, "--listen %s: ADDRESS:PORT or unix:PATH is wanted",
                     c->listen.items[i]);
            return false;
        }
    }
    if (!role_from_text(slice_str(c->anonymous_role), &role)) {
        snprintf(out_text, text_n, "auth.anonymous_role: \"%s\" is no role", c->anonymous_role);
    } else if (strcmp(c->log_format, "logfmt") != 0 && strcmp(c->log_format, "json") != 0) {
        snprintf(out_text, text_n, "log.format: \"%s\" is neither logfmt nor json", c->log_format);
    } else if (strcmp(c->inspectable, "yes") != 0 && strcmp(c->inspectable, "no") != 0) {
        snprintf(out_text, text_n, "process.inspectable: \"%s\" is neither yes nor no",
                 c->inspectable);
    } else if (strcmp(c->seccomp, "no") != 0 && strcmp(c->seccomp, "refuse") != 0 &&
               strcmp(c->seccomp, "kill") != 0) {
        snprintf(out_text, text_n, "process.seccomp: \"%s\" is none of no, refuse, kill",
                 c->seccomp);
    } else if (strcmp(c->log_level, "error") != 0 && strcmp(c->log_level, "warn") != 0 &&
               strcmp(c->log_level, "info") != 0) {
        snprintf(out_text, text_n, "log.level: \"%s\" is none of error, warn, info", c->log_level);
    } else if (!*c->tls_cert != !*c->tls_key) {
        snprintf(out_text, text_n, "tls: cert and key go together");
    } else if (c->listen.n == 0 || c->listen.n > 8) {
        snprintf(out_text, text_n, "hub.listen: one to eight addresses are wanted");
    } else {
        return true;
    }
    return false;
}

enum config_action config_load(struct config *c, int argc, char **argv, char **environment,
                               char *out_text, size_t text_n)
{
    *c = (struct config){.namespaces = namespaces_new()};
    struct flags flags = {.action = CONFIG_RUN};
    struct source s = {.what = "default", .out_text = out_text, .text_n = text_n};
    for (size_t i = 0; i < KEYS; i++) {
        if (!set(c, &keys[i], keys[i].otherwise, &s, true)) {
            return CONFIG_WRONG;
        }
    }
    if (!read_flags(NULL, &flags, argc, argv, out_text, text_n)) {
        return CONFIG_WRONG;
    }
    if (flags.action == CONFIG_HELP || flags.action == CONFIG_VERSION) {
        return flags.action;
    }
    const char *file = flags.file ? flags.file : env_get(environment, "WAGGLE_CONFIG");
    c->file = xstrdup(file ? file : "");
    if ((*c->file && !read_file(c, c->file, out_text, text_n)) ||
        !read_environment(c, environment, out_text, text_n) ||
        !read_flags(c, &flags, argc, argv, out_text, text_n) || !judge(c, out_text, text_n)) {
        return CONFIG_WRONG;
    }
    c->folder = flags.folder;
    return flags.action;
}

void config_done(struct config *c)
{
    for (size_t i = 0; i < KEYS; i++) {
        void *at = (char *)c + keys[i].offset;
        if (keys[i].kind == LIST) {
            list_clear(at);
        } else if (keys[i].kind == TEXT) {
            char *text;
            memcpy(&text, at, sizeof text);
            free(text);
        }
    }
    free(c->file);
    namespaces_free(c->namespaces);
    *c = (struct config){0};
}

static struct rate_rule per_minute(uint64_t count)
{
    /* A minute's worth at once would let a burst of a minute through: a tenth of it is enough. */
    uint32_t n = (uint32_t)count, burst = n / 10 > 20 ? n / 10 : 20;
    return (struct rate_rule){.count = n, .period_s = 60, .burst = n && n < burst ? n : burst};
}

struct hub_settings *config_settings(const struct config *c)
{
    struct hub_settings *s = xcalloc(1, sizeof *s);
    *s = (struct hub_settings){
        .message_bytes_max = (uint32_t)c->message_bytes,
        .body_bytes_max = (uint32_t)c->body_bytes,
        .head_bytes_max = (uint32_t)c->head_bytes,
        .queue_bytes = (uint32_t)c->queue_bytes,
        .subscriptions_max = (uint32_t)c->subscriptions,
        .patterns_max = (uint32_t)c->patterns,
        .connections_max = (uint32_t)c->connections,
        .handshakes_per_tick = (uint32_t)c->handshakes_per_tick,
        .pending_max = (uint32_t)c->pending,
        .head_ms = (uint32_t)c->head_ms,
        .body_ms = (uint32_t)c->body_ms,
        .idle_ms = (uint32_t)c->idle_ms,
        .auth_ms = (uint32_t)c->auth_ms,
        .ping_ms = (uint32_t)c->heartbeat_ms,
        .drain_ms = (uint32_t)c->drain_ms,
        .rate_requests = per_minute(c->rate_requests),
        .rate_calls = per_minute(c->rate_calls),
        .rate_address = per_minute(c->rate_address),
        .rate_publishes = per_minute(c->rate_publishes),
        .heartbeat_interval_ms = (int64_t)c->agents_interval_ms,
        .heartbeat_timeout_ms = (int64_t)c->agents_timeout_ms,
        .suspect_intervals = (uint32_t)c->agents_suspect_intervals,
        .beats_per_s_max = (uint32_t)c->agents_beats_per_s,
        .agent_grace_ms = (int64_t)c->agents_restart_grace_ms,
        .agent_reconnect_ms = (int64_t)c->agents_reconnect_ms,
        .task_lease_ms = (int64_t)c->tasks_lease_ms,
        .task_accept_ms = (int64_t)c->tasks_accept_ms,
        .task_aging_ms = (int64_t)c->tasks_aging_ms,
        .task_cancel_grace_ms = (int64_t)c->tasks_cancel_grace_ms,
        .task_retry_ms = (int64_t)c->tasks_retry_ms,
        .task_retry_max_ms = (int64_t)c->tasks_retry_max_ms,
        .task_attempts_max = (uint32_t)c->tasks_attempts,
        .task_redeliveries_max = (uint32_t)c->tasks_redeliveries,
        .swarm_absence_ms = (int64_t)c->swarms_absence_ms,
        .token_ttl_max_ms = (int64_t)c->token_ttl_max_ms,
        .audit_seal_ms = (int64_t)c->audit_seal_ms,
        .audit_keep_ms = (int64_t)c->audit_keep_ms,
        .key_overlap_ms = (int64_t)c->key_overlap_ms,
    };
    /* An agent that beats as it was told must have three beats within the timeout. */
    if (s->heartbeat_interval_ms > s->heartbeat_timeout_ms / 3) {
        s->heartbeat_interval_ms =
            s->heartbeat_timeout_ms / 3 > 0 ? s->heartbeat_timeout_ms / 3 : 1;
    }
    (void)role_from_text(slice_str(c->anonymous_role), &s->anonymous_role);
    s->origins = xcalloc(c->origins.n + 1, sizeof(char *));
    for (size_t i = 0; i < c->origins.n; i++) {
        s->origins[i] = xstrdup(c->origins.items[i]);
    }
    return s;
}

void config_settings_free(struct hub_settings *s)
{
    if (s) {
        for (char **origin = s->origins; *origin; origin++) {
            free(*origin);
        }
        free(s->origins);
        free(s);
    }
}

/* ---- a new file while the hub runs ---- */

/* What is opened, made or handed over when the hub starts. */
static const size_t taken_at_start[] = {
    AT(listen),
    AT(data_dir),
    AT(threads),
    AT(web_dir),
    AT(admin_key),
    AT(apps),
    AT(trust_jwks),
    AT(tls_cert),
    AT(tls_key),
    AT(map_bytes),
    AT(quota_bytes),
    AT(journal_records),
    AT(key_window_ms),
    AT(keys_max),
    AT(reply_window_ms),
    AT(replies_max),
    AT(log_format),
    AT(log_level),
    AT(user),
    AT(inspectable),
    AT(seccomp),
    AT(presence_restart_grace_ms),
};

static bool same_value(const struct key *key, const struct config *a, const struct config *b)
{
    const void *one = (const char *)a + key->offset, *other = (const char *)b + key->offset;
    if (key->kind == TEXT) {
        return strcmp(*(char *const *)one, *(char *const *)other) == 0;
    }
    if (key->kind != LIST) {
        return *(const uint64_t *)one == *(const uint64_t *)other;
    }
    const struct config_list *left = one, *right = other;
    bool same = left->n == right->n;
    for (size_t i = 0; same && i < left->n; i++) {
        same = strcmp(left->items[i], right->items[i]) == 0;
    }
    return same;
}

void config_waits_for_start(const struct config *running, const struct config *next,
                            struct buf *out)
{
    for (size_t i = 0; i < KEYS; i++) {
        bool fixed = false;
        for (size_t j = 0; j < sizeof taken_at_start / sizeof *taken_at_start; j++) {
            fixed = fixed || taken_at_start[j] == keys[i].offset;
        }
        if (fixed && !same_value(&keys[i], running, next)) {
            buf_printf(out, "%s%s.%s", out->n ? "," : "", keys[i].section, keys[i].name);
        }
    }
}

void config_help(void)
{
    printf("waggled: the Waggle hub\n\nusage: waggled [flags]\n\n"
           "Every key can be set in the file of --config FILE (or WAGGLE_CONFIG), over it by its\n"
           "environment variable, over that by its flag.\n");
    const char *section = "";
    for (size_t i = 0; i < KEYS; i++) {
        char flag[96], env[96];
        if (strcmp(section, keys[i].section) != 0) {
            section = keys[i].section;
            printf("\n[%s]\n", section);
        }
        flag_name(&keys[i], flag, sizeof flag);
        env_name(&keys[i], env, sizeof env);
        printf("  %-22s %s\n  %-22s default %s; %s, %s\n", keys[i].name, keys[i].help, "",
               *keys[i].otherwise ? keys[i].otherwise : "none", flag, env);
    }
    printf(
        "\n[namespace NAME]         options of channels: access, delivery, history_events, "
        "history_age,\n                         history_bytes, latest, conflate, slow, publish, "
        "presence_grace_ms,\n                         message_bytes, rate, ack_wait, "
        "max_in_flight, max_deliver\n"
        "\n  --check-config         judge the configuration and end\n"
        "  --verify FOLDER        read all of a data folder or backup, say what is damaged, end\n"
        "  --restore BACKUP       make the folder of --data from a backup and end\n"
        "  --version, --help\n\n"
        "Exit codes: 0 after SIGTERM or SIGINT, 2 bad usage or configuration, 1 what could not "
        "be opened.\n");
}
