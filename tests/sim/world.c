/* The hub under test: opened as main.c opens it, stepped by hand, dropped as a power cut drops it.
 */
#define _GNU_SOURCE
#include "tests/sim/sim.h"
#include "hub/modules.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* clang-format off */
const char *const channel_names[CHANNELS] = {
    "plain", "plain.two", "plain.three", "small.a", "small.b", "bytes.a", "young.a", "young.b",
    "presence-room.a", "presence-room.b", "presence-quick.a",
    "live.a", "live.b",
    "switch.a", "switch.b",
    "channels",
    "agents", "agent.agent-0", "agent.agent-1", "agent.agent-2", "agent.agent-3", "agent.agent-4", "agent.agent-5",
};
const char *const space_names[SPACES] = { "switch", "small", "room", "young" };
const char *const pattern_texts[PATTERNS] = { "plain.*", ">", "presence-room.*", "agent.>", "small.*" };

static const struct { const char *ns, *option, *value; } configured[] = {
    { "small",  "history_events",    "25" },
    { "bytes",  "history_bytes",     "6KiB" },
    { "young",  "history_age",       "20s" },
    { "room",   "presence_grace_ms", "2s" },
    { "quick",  "presence_grace_ms", "0" },
    { "live",   "conflate",          "true" },
    { "jobs",     "ack_wait",        "3s" },
    { "jobs",     "max_in_flight",   "5" },
    { "jobs",     "max_deliver",     "3" },
    { "messages", "ack_wait",        "3s" },
    { "messages", "max_in_flight",   "4" },
    { "messages", "max_deliver",     "3" },
};
/* clang-format on */

/* A batch must not be so large that a part of it is trimmed before it was looked at. */
enum { JOURNAL_MIN = 200, BATCH_MAX = 80 };

static struct rng *drawing; /* io->draw has no context */

static void draw(void *out, size_t n)
{
    uint8_t *p = out;
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t)rng_next(drawing);
    }
}

_Noreturn void sim_fail(struct world *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(w->why, sizeof w->why, format, args);
    va_end(args);
    longjmp(w->failed, 1);
}

void sim_note(struct world *w, uint64_t value)
{
    w->digest = (w->digest ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    w->digest ^= w->digest >> 29;
}

struct slice channel_name(unsigned channel)
{
    return slice_str(channel_names[channel]);
}

int channel_of(struct slice name)
{
    for (int i = 0; i < CHANNELS; i++) {
        if (slice_is(name, channel_names[i])) {
            return i;
        }
    }
    return -1;
}

/* ---- start and stop ---- */

static void on_panic(void *ctx, const char *what)
{
    struct world *w = ctx;
    w->panicked = true;
    if (w->verbose) {
        fprintf(stderr, "%lld panic: %s\n", (long long)w->now_ms, what);
    }
}

static void on_note(void *ctx, char level, const char *what)
{
    struct world *w = ctx;
    if (w->verbose) {
        fprintf(stderr, "%lld %c %s\n", (long long)w->now_ms, level, what);
    }
}

static void on_wake(void *ctx)
{
    (void)ctx;
}

static struct namespaces *namespaces_of_run(const struct world *w)
{
    struct namespaces *set = namespaces_new();
    char text[200];
    for (size_t i = 0; i < sizeof configured / sizeof *configured && !w->plan.wide; i++) {
        (void)namespace_set(set, 0, slice_str(configured[i].ns), configured[i].option,
                            configured[i].value, text, sizeof text);
    }
    return set;
}

static enum hub_rc writer_open(struct world *w, char *text, size_t text_n)
{
    struct modules modules;
    struct writer_options options = {
        .store = w->hub.store,
        .interest = w->hub.interest,
        .log = {.key_window_ms = w->plan.wide ? 0 : 30000,
                .journal_records_min = w->plan.wide ? 0 : JOURNAL_MIN,
                .records_per_channel_min = w->plan.wide ? 0 : 1},
        .namespaces = namespaces_of_run(w),
        .hash_seed = w->hub.hash_seed,
        .ports_n = w->plan.threads,
        .inbox_trays = (size_t)w->plan.threads * IO_POOL_TRAYS,
        .hand_over_min = w->overlaps ? 1 : 0,
        .restart_grace_ms = 5000,
        .now_ms = w->now_ms,
        .panic = on_panic,
        .note = on_note,
        .ctx = w,
    };
    modules_put(&modules, &w->hub, draw, &options);
    w->modules = options.modules;
    w->modules_n = options.modules_n;
    return writer_new(&options, &w->hub.writer, text, text_n);
}

static unsigned commit_asked_for(void *ctx)
{
    struct world *w = ctx;
    return rng_below(&w->overlap_rng, 12);
}

static bool hub_open(struct world *w, char *text, size_t text_n)
{
    struct hub *hub = &w->hub;
    memset(hub, 0, sizeof *hub);
    atomic_store(&hub->settings, &w->settings);
    draw(&hub->hash_seed, sizeof hub->hash_seed);
    struct store_options options = {
        .path = w->dir, .map_bytes = (size_t)1 << (w->bare ? 34 : 28), .readers_max = 32};
    draw(options.fresh_epoch, sizeof options.fresh_epoch);
    if (store_open(&options, &hub->store, text, text_n) != STORE_OK) {
        return false;
    }
    if (w->overlaps) {
        store_committer_lazy(hub->store, commit_asked_for, w);
    }
    hub->key_seed = be64_get(store_epoch(hub->store) + 8);
    hub->interest = interest_new();
    hub->pulses = pulses_new();
    hub->secret = w->secret;
    hub->threads_n = w->plan.threads;
    hub->started_ms = w->now_ms;
    hub->ios = w->ios;
    if (writer_open(w, text, text_n) != HUB_OK) {
        return false;
    }
    hub->log = writer_log(hub->writer);
    return true;
}

static void threads_open(struct world *w)
{
    topics_deliver_fn *deliver;
    topics_behind_fn *behind;
    thread_callbacks(&deliver, &behind);
    for (unsigned i = 0; i < w->plan.threads; i++) {
        struct sim_thread *t = &w->threads[i];
        w->ios[i] = &t->io;
        enum hub_rc rc = io_init(&t->io, &w->hub, i, draw, deliver, behind, w);
        SIM_CHECK(w, rc == HUB_OK, "io_init: %d", (int)rc);
        struct writer_port port = {.inbox = t->io.inbox, .home = t->io.pool.home, .wake = on_wake};
        writer_port_set(w->hub.writer, i, &port);
        (void)io_turn(&t->io, w->now_ms, (uint64_t)w->now_ms * 1000);
    }
    SIM_CHECK(w, store_reader_new(w->hub.store, &w->reader) == STORE_OK, "no reader");
}

static void hub_close(struct world *w)
{
    store_reader_free(w->reader);
    w->reader = NULL;
    writer_free(w->hub.writer);
    interest_free(w->hub.interest);
    pulses_free(w->hub.pulses);
    store_close(w->hub.store);
    w->hub.writer = NULL;
    w->hub.interest = NULL;
    w->hub.pulses = NULL;
    w->hub.store = NULL;
}

/* Power may go again while the hub starts. */
void world_start(struct world *w)
{
    char text[300] = "";
    w->lives++;
    for (unsigned tries = 0;; tries++) {
        bool risky = w->lives > 1 && tries < 3 && rng_percent(&w->rng, 10);
        if (risky) {
            disk_arm(DISK_STOPS, rng_below(&w->rng, 8));
        }
        w->panicked = false;
        bool opened = hub_open(w, text, sizeof text);
        if (opened && !disk_stopped()) {
            break;
        }
        SIM_CHECK(w, disk_stopped(), "the hub does not start: %s", text);
        hub_close(w);
        disk_crash(&w->rng);
        w->now_ms += rng_below(&w->rng, 1000);
    }
    disk_arm(DISK_SOUND, 0);
    threads_open(w);
    memory_compare(w);
}

void world_cut(struct world *w)
{
    w->counts.crashes++;
    sim_note(w, w->counts.crashes);
    for (unsigned i = 0; i < w->plan.threads; i++) {
        thread_down(w, i);
    }
    hub_close(w);
    disk_crash(&w->rng);
    w->now_ms += rng_below(&w->rng, 4000);
    world_start(w);
}

void world_crash(struct world *w)
{
    world_cut(w);
    model_restarted(w);
    check_log(w);
}

void world_clear(const char *dir)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "waggled.lock"};
    char path[200];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, files[i]);
        (void)unlink(path);
    }
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%.64s", dir, e->d_name);
            (void)unlink(path);
        }
    }
    if (d) {
        closedir(d);
    }
    (void)rmdir(dir);
}

static unsigned pick(struct rng *rng, const unsigned *of, unsigned n)
{
    return of[rng_below(rng, n)];
}

static void plan_draw(struct world *w)
{
    struct rng *r = &w->rng;
    w->plan = (struct plan){
        .threads = 1 + rng_below(r, THREADS_MAX),
        .clients = 2 + rng_below(r, CLIENTS_MAX - 1),
        .actions = 300 + rng_below(r, 500),
        .crash_percent = pick(r, (unsigned[]){0, 1, 3, 8}, 4),
        .fault_percent = pick(r, (unsigned[]){0, 0, 0, 2, 4}, 5),
        .slow_percent = pick(r, (unsigned[]){0, 30, 80}, 3),
        .queue_bytes = pick(r, (unsigned[]){300, 2000, 20000}, 3),
        .page_bytes = pick(r, (unsigned[]){200, 1500, 65536}, 3),
        .page_events = pick(r, (unsigned[]){1, 3, 20, 2000}, 4),
        .wide = rng_percent(r, 20),
    };
    w->settings = (struct hub_settings){
        .queue_bytes = w->plan.queue_bytes,
        .subscriptions_max = 64,
        .patterns_max = 8,
        .pending_max = 64,
        .heartbeat_interval_ms = 5000,
        .heartbeat_timeout_ms = 60000,
        .suspect_intervals = 3,
        .beats_per_s_max = 1000,
        .agent_grace_ms = 20000,
        .agent_reconnect_ms = 4000,
        .task_lease_ms = 3000,
        .task_accept_ms = 500,
        .task_aging_ms = 2000,
        .task_cancel_grace_ms = 1000,
        .task_retry_ms = 100,
        .task_retry_max_ms = 5000,
        .task_attempts_max = 3,
        .task_redeliveries_max = 3,
        .swarm_absence_ms = 20000,
    };
}

void world_open(struct world *w, const char *dir, uint64_t seed)
{
    memset(w, 0, sizeof *w);
    w->seed = seed;
    w->digest = seed;
    w->rng = (struct rng){.state = seed * UINT64_C(0xd1342543de82ef95) + 1};
    w->now_ms = INT64_C(1760000000000);
    snprintf(w->dir, sizeof w->dir, "%s", dir);
    drawing = &w->rng;
    world_clear(dir);
    plan_draw(w);
    char path[200];
    snprintf(path, sizeof path, "%s/data.mdb", dir);
    disk_reset(path);
}

void world_open_bare(struct world *w, const char *dir)
{
    world_open(w, dir, 1);
    w->plan = (struct plan){.threads = 1, .wide = true};
    w->bare = true;
    disk_reset(NULL);
    world_start(w);
}

void world_close(struct world *w)
{
    disk_arm(DISK_SOUND, 0);
    for (unsigned i = 0; i < w->plan.threads; i++) {
        thread_down(w, i);
    }
    hub_close(w);
    for (unsigned i = 0; i < CLIENTS_MAX; i++) {
        buf_done(&w->clients[i].stream);
    }
    model_free(&w->model);
    world_clear(w->dir);
    disk_reset(NULL);
}

/* ---- the run ---- */

void world_arm(struct world *w)
{
    struct rng *r = &w->rng;
    if (disk_failing() && rng_percent(r, 30)) {
        disk_arm(DISK_SOUND, 0);
    }
    if (w->quiet || disk_failing()) {
        return;
    }
    if (rng_percent(r, w->plan.crash_percent)) {
        disk_arm(DISK_STOPS, rng_below(r, 16));
    } else if (rng_percent(r, w->plan.fault_percent)) {
        w->counts.faults++;
        disk_arm(rng_percent(r, 80) ? DISK_FULL : DISK_EIO, rng_below(r, 12));
    }
}

void world_step(struct world *w)
{
    int64_t next;
    world_arm(w);
    model_expect(w, false);
    (void)writer_step(w->hub.writer, w->now_ms, &next);
    if (disk_stopped() || w->panicked) {
        struct writer_stats stats;
        writer_stats(w->hub.writer, &stats);
        if (stats.full) {
            model_undo(w); /* whatever makes an event was refused */
        }
        world_crash(w);
        return;
    }
    if (disk_failing()) {
        w->model.full_until_ms = w->now_ms + 2500;
    } else {
        disk_arm(DISK_SOUND, 0);
    }
    check_step(w);
}

static void time_passes(struct world *w)
{
    struct rng *r = &w->rng;
    static const uint32_t spans[] = {20, 300, 2000, 10000, 70000, 2 * 3600 * 1000};
    unsigned i = rng_below(r, 100);
    i = i < 40 ? 0 : i < 70 ? 1 : i < 88 ? 2 : i < 96 ? 3 : i < 99 ? 4 : 5;
    w->now_ms += rng_below(r, spans[i]);
}

static void thread_acts(struct world *w, unsigned thread)
{
    struct rng *r = &w->rng;
    size_t waiting = 0;
    for (size_t i = 0; i < w->model.batch_n; i++) {
        waiting += w->model.batch[i]->commands_n;
    }
    if (waiting > BATCH_MAX) {
        world_step(w);
    }
    for (unsigned n = rng_below(r, 6); n > 0; n--) {
        struct client *c = &w->clients[rng_below(r, w->plan.clients)];
        if (!c->up) {
            c->thread = thread;
            client_up(w, c);
        } else if (c->thread == thread) {
            client_act(w, c);
        }
    }
    thread_turn(w, thread);
}

static void settle(struct world *w)
{
    w->quiet = true;
    disk_arm(DISK_SOUND, 0);
    for (unsigned i = 0; i < w->plan.clients; i++) {
        client_settle(w, &w->clients[i]);
    }
    for (unsigned i = 0; i < 400; i++) {
        bool idle = true;
        w->now_ms += 10;
        world_step(w);
        for (unsigned t = 0; t < w->plan.threads; t++) {
            thread_turn(w, t);
            idle = idle && thread_idle(w, t);
        }
        if (idle && i > 300) {
            return;
        }
    }
    sim_fail(w, "the hub does not come to rest");
}

/* Every grace and every deadline runs out, in steps that no loop would call late. */
static void long_wait(struct world *w)
{
    for (unsigned i = 0; i < 130; i++) {
        w->now_ms += 900;
        world_step(w);
        for (unsigned t = 0; t < w->plan.threads; t++) {
            thread_turn(w, t);
        }
    }
}

/* Every third life ends as a hub does that is told to. */
static void end_cleanly(struct world *w)
{
    bool quiet = w->quiet;
    if (w->lives % 3 == 0 && !disk_failing()) {
        writer_part(w->hub.writer);
        w->quiet = true; /* its step is like any other, but for the faults */
        world_step(w);
        w->quiet = quiet;
    }
}

void world_run(struct world *w)
{
    struct rng *r = &w->rng;
    world_start(w);
    model_restarted(w);
    for (unsigned i = 0; i < w->plan.clients; i++) {
        w->clients[i].n = i;
        w->clients[i].member = i % MEMBERS;
        w->clients[i].agent = -1;
        w->clients[i].mixed = rng_percent(r, 30);
    }
    for (unsigned i = 0; i < w->plan.actions; i++) {
        unsigned what = rng_below(r, 100);
        w->now_ms += rng_below(r, 4);
        if (what < 62) {
            thread_acts(w, rng_below(r, w->plan.threads));
        } else if (what < 88) {
            world_step(w);
        } else if (what < 97) {
            time_passes(w);
        } else if (rng_percent(r, w->plan.crash_percent * 5)) {
            end_cleanly(w);
            memory_check(w);
            memory_note(w);
            world_crash(w);
        }
    }
    settle(w);
    check_end(w);
    long_wait(w);
    settle(w);
    check_presence(w);
    agents_check_silence(w);
    check_end(w);
    world_crash(w);
    settle(w);
    check_end(w);
}
