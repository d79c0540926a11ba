/* `waggle doctor`: what may be wrong between this machine and the hub, each finding with a remedy.
 *
 * Checks run in the order of their rows and read what was fetched before them; one that has nothing
 * to look at is left out, so a hub out of reach gives one finding and not ten. */
#define _GNU_SOURCE
#include "hub/cli/nouns.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "channels/json_out.h"
#include "hub/cli/socket.h"

enum finding { FINE, WARN, FAIL, SKIP };

enum {
    SKEW_WARN_MS = 2000,
    SKEW_FAIL_MS = 30000, /* the leeway of a token's times */
    SLOW_MS = 500,
    EXPIRY_WARN_MS = 24 * 3600 * 1000,
    GREETING_MS = 5000,
    DESCRIPTORS_LEAST = 1024,
};

struct doctor {
    struct cli *cli;
    struct buf text; /* the findings, as JSON */
    struct json_out out;
    struct reply health, ready, who, stats, metrics;
    int64_t asked_ms, answered_ms;
    struct buf found, remedy; /* of the check that runs */
    enum cli_exit verdict;
    bool reached, greeted;
};

static enum finding say(struct doctor *d, enum finding f, const char *remedy, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));

static enum finding say(struct doctor *d, enum finding f, const char *remedy, const char *format,
                        ...)
{
    char text[512];
    va_list rest;
    va_start(rest, format);
    vsnprintf(text, sizeof text, format, rest);
    va_end(rest);
    buf_add_str(&d->found, text);
    buf_add_str(&d->remedy, f == FINE ? "" : remedy);
    return f;
}

/* A value of the answer as text; borrowed until the next call. */
static const char *text_at(const struct reply *reply, const char *path, char out[256])
{
    struct buf b = {0};
    json_add_human(&b, json_at(buf_slice(&reply->body), path));
    snprintf(out, 256, "%.*s", (int)b.n, (const char *)b.p);
    buf_done(&b);
    return out;
}

/* A figure of Prometheus text: the line that begins with name and a space; negative when absent. */
static double figure(const struct doctor *d, const char *name)
{
    const char *p = d->metrics.body.n ? (const char *)d->metrics.body.p : "";
    size_t n = strlen(name);
    for (; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
        if (strncmp(p, name, n) == 0 && p[n] == ' ') {
            return strtod(p + n, NULL);
        }
    }
    return -1;
}

/* --- the checks --------------------------------------------------------------------------------
 */

static bool fetch(struct doctor *d, const char *path, struct reply *reply)
{
    if (http_send(d->cli, "GET", path, (struct slice){0}, reply) != CLI_OK) {
        return false;
    }
    (void)buf_text(&reply->body);
    return reply->status == 200;
}

static enum finding check_reach(struct doctor *d)
{
    const char *url = d->cli->target.url;
    d->asked_ms = clock_wall_ms();
    int64_t begun = clock_steady_ms();
    enum cli_exit rc = http_send(d->cli, "GET", "/health", (struct slice){0}, &d->health);
    int64_t took = clock_steady_ms() - begun;
    d->answered_ms = clock_wall_ms();
    size_t at;
    if (rc != CLI_OK) {
        d->verdict = rc;
        return say(d, FAIL,
                   "Start the hub (waggled), or name another with --url or `waggle context`.",
                   "nobody answers at %s", url);
    }
    d->reached = d->health.status == 200 || d->health.status == 401;
    if (!d->reached || json_check(buf_slice(&d->health.body), JSON_DEPTH_MAX, &at) != JSON_OK) {
        long status = d->health.status;
        d->reached = false;
        return say(d, FAIL, "Check the URL: something else seems to listen there.",
                   "%s/health answers %ld and no JSON", url, status);
    }
    return say(d, took > SLOW_MS ? WARN : FINE,
               "Look at the network between, and at the hub's load.", "%s answers in %lld ms", url,
               (long long)took);
}

static enum finding check_transport(struct doctor *d)
{
    const struct target *t = &d->cli->target;
    return t->tls || t->loopback ? say(d, FINE, "", "%s", t->tls ? "TLS" : "this machine only")
                                 : say(d, WARN, "Use https://: credentials travel readable.",
                                       "plain HTTP over a network");
}

static enum finding check_version(struct doctor *d)
{
    char text[256];
    const char *hub = text_at(&d->health, "version", text);
    if (!d->reached || !*hub) { /* whom it refuses it tells nothing */
        return SKIP;
    }
    return strcmp(hub, WAGGLE_VERSION) == 0
               ? say(d, FINE, "", "%s on both sides", hub)
               : say(d, WARN, "Install the same version on both sides.",
                     "the hub is %s, this is %s", hub, WAGGLE_VERSION);
}

static enum finding check_clock(struct doctor *d)
{
    char text[256];
    int64_t hub;
    if (!d->reached || !time_read(slice_str(text_at(&d->health, "timestamp", text)), &hub)) {
        return SKIP;
    }
    /* Its clock stood there at some moment between asking and the answer. */
    int64_t ahead = hub > d->answered_ms ? hub - d->answered_ms
                    : hub < d->asked_ms  ? hub - d->asked_ms
                                         : 0;
    int64_t off = ahead < 0 ? -ahead : ahead;
    return say(d,
               off > SKEW_FAIL_MS   ? FAIL
               : off > SKEW_WARN_MS ? WARN
                                    : FINE,
               "Set both clocks by NTP: tokens are judged by the hub's.",
               "the hub's clock is %.1f s %s", (double)off / 1000, ahead < 0 ? "behind" : "ahead");
}

static enum finding check_ready(struct doctor *d)
{
    char draining[256], full[256];
    if (!d->reached || d->health.status != 200) {
        return SKIP;
    }
    if (fetch(d, "/ready", &d->ready)) {
        return say(d, FINE, "", "takes work");
    }
    (void)text_at(&d->ready, "draining", draining);
    (void)text_at(&d->ready, "store_full", full);
    return say(d, FAIL,
               "Wait for the restart of a draining hub; give a full store more room or quota.",
               "takes no work (draining: %s, store full: %s)", draining, full);
}

static enum finding check_credential(struct doctor *d)
{
    char sub[256], role[256], kind[256], expires[256];
    int64_t at;
    if (!d->reached) {
        return SKIP;
    }
    if (!fetch(d, "/api/v1/auth/whoami", &d->who)) {
        d->verdict = CLI_DENIED;
        return say(d, FAIL, "Name a key or token: --key-file, --token-file, or in a context.",
                   d->cli->target.kind == CREDENTIAL_NONE ? "none, and the hub wants one (%ld)"
                                                          : "the hub does not accept it (%ld)",
                   d->who.status);
    }
    bool ends = time_read(slice_str(text_at(&d->who, "expires_at", expires)), &at);
    bool soon = ends && at - d->answered_ms < EXPIRY_WARN_MS;
    (void)text_at(&d->who, "sub", sub);
    (void)text_at(&d->who, "role", role);
    (void)text_at(&d->who, "kind", kind);
    return say(d, soon ? WARN : FINE, "Mint a new token (`waggle token mint`).",
               "%s %s, role %s%s%s", kind, sub, role, ends ? ", expires " : "",
               ends ? expires : "");
}

static enum finding check_secret_file(struct doctor *d)
{
    struct stat st;
    const char *path = d->cli->target.secret_file;
    if (!path || stat(path, &st) != 0) {
        return SKIP;
    }
    return st.st_mode & 077 ? say(d, WARN, "chmod 600 it.", "%s can be read by others", path)
                            : say(d, FINE, "", "%s is its owner's alone", path);
}

static void on_greeted(void *ctx)
{
    struct doctor *d = ctx;
    d->greeted = true;
}

static void on_any_frame(void *ctx, const struct hub_frame *frame)
{
    (void)ctx, (void)frame; /* the greeting is all that is wanted */
}

static enum finding check_socket(struct doctor *d)
{
    if (d->who.status != 200) {
        return SKIP;
    }
    struct socket_events events = {.ctx = d, .open = on_greeted, .frame = on_any_frame};
    struct socket *s = socket_new(d->cli, &events, false);
    int64_t until = clock_steady_ms() + GREETING_MS;
    while (!d->greeted && clock_steady_ms() < until && socket_wait(s, until, NULL, 0) == CLI_OK) {
    }
    socket_close(s, 200);
    socket_free(s);
    return d->greeted ? say(d, FINE, "", "greets")
                      : say(d, FAIL, "A proxy between may not pass WebSocket on.", "no greeting");
}

static enum finding check_store(struct doctor *d)
{
    double used, quota;
    if (!d->reached || !fetch(d, "/metrics", &d->metrics)) {
        return SKIP;
    }
    used = figure(d, "waggle_store_used_bytes");
    quota = figure(d, "waggle_store_quota_bytes");
    if (used < 0 || quota <= 0) {
        return SKIP;
    }
    return say(d,
               used > 0.95 * quota  ? FAIL
               : used > 0.8 * quota ? WARN
                                    : FINE,
               "Raise the quota, or keep less history (`waggle namespace set`).",
               "%.1f MiB of %.0f MiB (%.0f %%)", used / 1048576, quota / 1048576,
               100 * used / quota);
}

static enum finding check_lag(struct doctor *d)
{
    double lag = figure(d, "waggle_writer_lag_seconds");
    if (lag < 0) {
        return SKIP;
    }
    return say(d,
               lag > 1     ? FAIL
               : lag > 0.1 ? WARN
                           : FINE,
               "The disk is slow or the load too high: look at waggle_commit_seconds.",
               "the writer is %.3f s behind", lag);
}

static enum finding check_drops(struct doctor *d)
{
    double slow = figure(d, "waggle_closed_slow_total");
    double silent = figure(d, "waggle_closed_silent_total");
    if (slow < 0) {
        return SKIP;
    }
    return say(d, slow > 0 ? WARN : FINE, "Look for clients that do not read.",
               "%.0f closed for being slow, %.0f for being silent", slow, silent);
}

static enum finding check_agents(struct doctor *d)
{
    char total[256], stale[256], inactive[256], error[256];
    if (d->who.status != 200 || !fetch(d, "/api/v1/registry/stats", &d->stats)) {
        return SKIP;
    }
    (void)text_at(&d->stats, "stats.total_agents", total);
    (void)text_at(&d->stats, "stats.status_counts.stale", stale);
    (void)text_at(&d->stats, "stats.status_counts.inactive", inactive);
    (void)text_at(&d->stats, "stats.status_counts.error", error);
    bool ill = strcmp(stale, "0") != 0 || strcmp(inactive, "0") != 0 || strcmp(error, "0") != 0;
    return say(
        d, ill ? WARN : FINE,
        "See `waggle agent ls --status stale`; `waggle agent rm` forgets those that are gone.",
        "%s agents: %s stale, %s inactive, %s in error", total, stale, inactive, error);
}

static enum finding check_descriptors(struct doctor *d)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return SKIP;
    }
    return say(d, limit.rlim_max < DESCRIPTORS_LEAST ? WARN : FINE,
               "Raise it (ulimit -n, LimitNOFILE=): each connection takes one.",
               "%llu open files, at most %llu, for programs started here",
               (unsigned long long)limit.rlim_cur, (unsigned long long)limit.rlim_max);
}

// clang-format off
static const struct { const char *name; enum finding (*run)(struct doctor *d); } checks[] = {
    { "hub",         check_reach },
    { "transport",   check_transport },
    { "version",     check_version },
    { "clock",       check_clock },
    { "ready",       check_ready },
    { "credential",  check_credential },
    { "secret file", check_secret_file },
    { "websocket",   check_socket },
    { "store",       check_store },
    { "writer",      check_lag },
    { "clients",     check_drops },
    { "agents",      check_agents },
    { "descriptors", check_descriptors },
};

static const struct column doctor_columns[] = {
    { "CHECK",   "check",   COLUMN_TEXT,   false },
    { "STATUS",  "status",  COLUMN_STATUS, false },
    { "FOUND",   "found",   COLUMN_TEXT,   false },
    { "REMEDY",  "remedy",  COLUMN_TEXT,   false },
    { 0 },
};
// clang-format on

static void put_finding(struct doctor *d, const char *name, enum finding f)
{
    static const char *const words[] = {[FINE] = "ok", [WARN] = "warn", [FAIL] = "failed"};
    json_begin(&d->out, '{');
    json_key(&d->out, "check");
    json_str(&d->out, name);
    json_key(&d->out, "status");
    json_str(&d->out, words[f]);
    json_key(&d->out, "found");
    json_text(&d->out, buf_slice(&d->found));
    json_key(&d->out, "remedy");
    json_text(&d->out, buf_slice(&d->remedy));
    json_end(&d->out, '}');
}

static enum cli_exit doctor_run(struct cli *cli)
{
    struct doctor d = {.cli = cli};
    bool failed = false;
    if (!cli_target(cli)) {
        return CLI_USAGE;
    }
    d.out = json_out_to(&d.text);
    json_begin(&d.out, '[');
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        buf_clear(&d.found);
        buf_clear(&d.remedy);
        enum finding f = checks[i].run(&d);
        failed = failed || f == FAIL;
        if (f != SKIP) {
            put_finding(&d, checks[i].name, f);
        }
    }
    json_end(&d.out, ']');
    output_list(&cli->out, buf_slice(&d.text), "", doctor_columns);
    struct reply *replies[] = {&d.health, &d.ready, &d.who, &d.stats, &d.metrics};
    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        reply_done(replies[i]);
    }
    buf_done(&d.text);
    buf_done(&d.found);
    buf_done(&d.remedy);
    return !failed ? CLI_OK : d.verdict != CLI_OK ? d.verdict : CLI_FAILED;
}

// clang-format off
const struct command doctor_commands[] = {
    { "doctor", "what may be wrong between here and the hub, with a remedy each",
      "The exit code is 0 when nothing has failed, warnings or not; 7 when nobody answers, 5 when the hub refuses the credentials.",
      NULL, NULL, doctor_run, "waggle doctor -o json --query '*.status'" },
    { 0 },
};
// clang-format on
