/* The hub under load: for each case a fresh hub, a well-behaved few whose waiting is measured when
 * all is quiet and again under the load, and a look from outside at memory, CPU and descriptors.
 *
 * What must hold, for each case:
 *   - the p99 of the well-behaved under load is at most twice that of the same few on the same hub
 *     when it is quiet. On two cores that the hub, an actor at full speed, the asking client and
 *     other programs share, everybody waits for a core, whatever the hub does. So the kernel's own
 *     count of how long the hub's threads and the client waited for one while a question was
 *     unanswered is taken off that answer, in both states alike, and stands in the output
 *     (delay.h). Nothing else is allowed for: what a sync waits for in the kernel is not counted
 *     there, so the data are in memory unless --in says otherwise. Others' work only ever adds: a
 *     case whose p99 alone is too long is tried again, ROUNDS times in all.
 *   - memory grows by no more than the case's bound, and most of it comes back;
 *   - the hub does not spin: its CPU stays under CPU_MAX percent of a core when nothing moves, with
 *     the load's connections still there and without them;
 *   - no descriptor is lost: as many are open afterwards as before;
 *   - it ends as it should: exit code 0 after SIGTERM.
 */
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/asker.h"
#include "tests/load/cases.h"
#include "tests/load/delay.h"
#include "tests/load/hub.h"

enum { WELL_BEHAVED = 20, ASKED_PER_S = 400, CPU_MAX = 20, SETTLE_S = 20, ROUNDS = 3 };

static const double ratio_max = 2, kept_share = 0.25;

struct options {
    const char *hub, *in, *only;
    bool longer;
};

struct wait {
    double p99_ms; /* from question to answer */
    double own_ms; /* the p99 of that less the time for which they waited for a core */
};

struct figures {
    struct wait quiet, loaded;
    double start_mib, peak_mib, after_mib; /* the hub's own memory */
    double cpu_standing, cpu_after;        /* percent of a core */
    unsigned descriptors_before, descriptors_after;
    bool kept; /* the actor found every promise kept */
    int exit_code;
};

/* ---- the well-behaved ---- */

/* Each publishes to a durable channel of its own and waits for the answer, which follows an fsync.
 */
static void ask_publish(void *ctx, struct buf *out, uint32_t conn, uint64_t id)
{
    (void)ctx;
    buf_add_str(out, "{\"type\":\"publish\",\"id\":");
    buf_add_u64(out, id);
    buf_add_str(out, ",\"channel\":\"well-");
    buf_add_u64(out, conn);
    buf_add_str(out, "\",\"event\":\"x\",\"data\":{\"n\":1}}");
}

/* What the machine imposes on those who take part: us, who ask, and the hub. */
static uint64_t imposed(void *ctx)
{
    return delay_so_far(ctx);
}

static struct wait waited(struct asker *asker, uint32_t seconds)
{
    static struct asker_result result;
    asker_run(asker, NS_PER_S / 2, seconds * NS_PER_S, NULL, &result);
    return (struct wait){.p99_ms = (double)spread_at(&result.waited, 0.99) / 1e6,
                         .own_ms = (double)spread_at(&result.own, 0.99) / 1e6};
}

/* ---- one case ---- */

static double mib(const struct hub_process *hub)
{
    return (double)meter_memory(hub->pid).anon / 1048576;
}

static void at_peak(struct figures *f, const struct hub_process *hub)
{
    double now = mib(hub);
    f->peak_mib = now > f->peak_mib ? now : f->peak_mib;
}

static bool comes_back(const struct load_case *c, const struct figures *f)
{
    double kept = f->after_mib - f->start_mib;
    return kept <= c->kept_mib || kept <= kept_share * (f->peak_mib - f->start_mib);
}

/* Waits until what the load held is let go, for as long as that may take. */
static void settle(const struct load_case *c, struct figures *f, const struct hub_process *hub)
{
    for (unsigned s = 0; s < SETTLE_S; s++) {
        f->cpu_after = hub_cpu(hub, NS_PER_S);
        f->descriptors_after = hub_descriptors(hub);
        f->after_mib = mib(hub);
        if (f->descriptors_after == f->descriptors_before && f->cpu_after < CPU_MAX &&
            comes_back(c, f))
            break;
    }
}

static void run_case(const struct load_case *c, const struct options *o, struct figures *f)
{
    struct hub_process hub;
    struct delay delay;
    struct asker_plan plan = {.path = "/ws/v1/events",
                              .conns = WELL_BEHAVED,
                              .rate = ASKED_PER_S,
                              .answer = "published",
                              .ask = ask_publish,
                              .imposed = imposed,
                              .ctx = &delay};
    hub_start(&hub, o->hub, o->in, c->flags, c->descriptors);
    delay_init(&delay);
    delay_add(&delay, getpid());
    delay_add(&delay, hub.target.pid);
    (void)hub_cpu(&hub, NS_PER_S / 2);
    f->descriptors_before = hub_descriptors(&hub);
    struct asker *asker = asker_open(&hub.target, &plan);
    f->quiet = waited(asker, 3);
    f->start_mib = mib(&hub);
    struct actor actor = {.target = hub.target, .longer = o->longer};
    actor_start(&actor, c->part);
    f->loaded = waited(asker, o->longer ? c->seconds_long : c->seconds);
    at_peak(f, &hub);
    actor_stand(&actor);
    f->cpu_standing = hub_cpu(&hub, 2 * NS_PER_S);
    at_peak(f, &hub);
    f->kept = actor_end(&actor);
    at_peak(f, &hub);
    asker_free(asker);
    delay_done(&delay);
    settle(c, f, &hub);
    f->exit_code = hub_stop(&hub);
}

/* ---- judgement ---- */

static bool judge_one(bool holds, const char *claim)
{
    if (!holds)
        printf("  BROKEN: %s\n", claim);
    return holds;
}

static bool is_reached(const struct figures *f)
{
    return f->loaded.p99_ms <= ratio_max * f->quiet.p99_ms ||
           f->loaded.own_ms <= ratio_max * f->quiet.own_ms;
}

static bool judge(const struct load_case *c, const struct figures *f)
{
    double grown = f->peak_mib - f->start_mib;
    bool ok = judge_one(f->kept, "what the load was promised");
    ok &= judge_one(is_reached(f), "p99 of the well-behaved within twice its quiet value");
    ok &= judge_one(grown <= c->anon_mib, "memory under its bound");
    ok &= judge_one(comes_back(c, f), "memory comes back");
    ok &= judge_one(f->cpu_standing < CPU_MAX, "no spin while the load stands still");
    ok &= judge_one(f->cpu_after < CPU_MAX, "no spin afterwards");
    ok &= judge_one(f->descriptors_after == f->descriptors_before, "no descriptor lost");
    ok &= judge_one(f->exit_code == 0, "exit code 0");
    return ok;
}

static void report(const struct load_case *c, const struct figures *f)
{
    printf("  p99 of %d who publish: quiet %.2f ms, under load %.2f ms; without waiting for a core "
           "%.2f ms and %.2f ms, %.1fx; twice the quiet value is %s\n",
           WELL_BEHAVED, f->quiet.p99_ms, f->loaded.p99_ms, f->quiet.own_ms, f->loaded.own_ms,
           f->loaded.own_ms / f->quiet.own_ms, is_reached(f) ? "reached" : "not reached");
    printf("  memory: %.1f MiB, at most %.1f MiB, bound %.1f MiB, afterwards %.1f MiB\n",
           f->start_mib, f->peak_mib, f->start_mib + c->anon_mib, f->after_mib);
    printf(
        "  CPU while the load stood still %.1f %%, afterwards %.1f %%; descriptors %u before, %u "
        "after\n",
        f->cpu_standing, f->cpu_after, f->descriptors_before, f->descriptors_after);
}

static bool run_rounds(const struct load_case *c, const struct options *o)
{
    struct figures f;
    for (unsigned round = 1;; round++) {
        f = (struct figures){0};
        printf("%s: %s%s\n", c->name, c->what, round > 1 ? ", again" : "");
        run_case(c, o, &f);
        report(c, &f);
        if (is_reached(&f) || round == ROUNDS)
            return judge(c, &f);
        (void)fflush(stdout);
    }
}

static bool wanted(const struct load_case *c, const char *only)
{
    return only == NULL || strstr(only, c->name) != NULL;
}

static void usage(int code)
{
    printf("usage: load [--hub PROGRAM] [--in FOLDER] [--only CASE[,CASE...]] [--long]\n");
    for (size_t i = 0; i < LOAD_CASES; i++)
        printf("  %-12s %s\n", load_cases[i].name, load_cases[i].what);
    exit(code);
}

static void options_parse(int argc, char **argv, struct options *o)
{
    static const struct option table[] = {
        {"hub", required_argument, NULL, 'h'},  {"in", required_argument, NULL, 'i'},
        {"only", required_argument, NULL, 'o'}, {"long", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, '?'},       {0}};
    for (int got; (got = getopt_long(argc, argv, "", table, NULL)) != -1;) {
        switch (got) {
        case 'h':
            o->hub = optarg;
            break;
        case 'i':
            o->in = optarg;
            break;
        case 'o':
            o->only = optarg;
            break;
        case 'l':
            o->longer = true;
            break;
        default:
            usage(optopt ? 2 : 0);
        }
    }
}

int main(int argc, char **argv)
{
    struct options o = {.hub = "build/release/waggled", .in = "/dev/shm"};
    unsigned held = 0, broken = 0;
    options_parse(argc, argv, &o);
    (void)signal(SIGPIPE, SIG_IGN);
    meter_descriptors_max();
    for (size_t i = 0; i < LOAD_CASES; i++) {
        if (!wanted(&load_cases[i], o.only))
            continue;
        bool ok = run_rounds(&load_cases[i], &o);
        held += ok;
        broken += !ok;
        (void)fflush(stdout);
    }
    printf("load: %u cases hold, %u do not\n", held, broken);
    return broken > 0 || held == 0;
}
