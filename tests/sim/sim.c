/* The simulation's command line: which seeds, how often, and what came of them. */
#define _GNU_SOURCE
#include "tests/sim/sim.h"
#include "auth/digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { STARVING_EVERY = 10 };

struct options {
    uint64_t from, seeds;
    const char *list; /* a file of seeds, replayed first */
    bool twice, verbose, digests, throughput, tasks_only, messages_only;
    unsigned agents;
    const char *strategy;
};

struct totals {
    struct sim_counts counts;
    uint64_t runs, failed;
};

static char folder[96];
static struct world *failed;

static uint64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The run's state survives a sim_fail() and is closed after it. */
static bool run_once(struct world *w, const struct options *o, uint64_t seed,
                     void (*run)(struct world *))
{
    world_open(w, folder, seed);
    w->verbose = o->verbose;
    if (setjmp(w->failed) == 0) {
        run(w);
        world_close(w);
        return true;
    }
    printf("seed %llu failed: %s\n", (unsigned long long)seed, w->why);
    (void)fflush(stdout);
    world_clear(folder);
    return false;
}

/* What a run counts, as it is printed. */
static const struct {
    const char *name;
    size_t at;
} figures[] = {
    {"commands", offsetof(struct sim_counts, commands)},
    {"events", offsetof(struct sim_counts, events)},
    {"received", offsetof(struct sim_counts, received)},
    {"replayed", offsetof(struct sim_counts, replayed)},
    {"gaps", offsetof(struct sim_counts, gaps)},
    {"agent changes", offsetof(struct sim_counts, agent_changes)},
    {"tasks", offsetof(struct sim_counts, tasks)},
    {"leases", offsetof(struct sim_counts, leases)},
    {"rounds", offsetof(struct sim_counts, rounds)},
    {"ballots", offsetof(struct sim_counts, ballots)},
    {"commitments", offsetof(struct sim_counts, commitments)},
    {"revealed", offsetof(struct sim_counts, revealed)},
    {"works", offsetof(struct sim_counts, works)},
    {"handed out", offsetof(struct sim_counts, handed)},
    {"messages", offsetof(struct sim_counts, messages)},
    {"acks", offsetof(struct sim_counts, acks)},
    {"dead", offsetof(struct sim_counts, dead)},
    {"crashes", offsetof(struct sim_counts, crashes)},
    {"disk faults", offsetof(struct sim_counts, faults)},
};

static uint64_t *figure(struct sim_counts *c, size_t i)
{
    return (uint64_t *)(void *)((char *)c + figures[i].at);
}

static void count(struct totals *t, struct sim_counts *c)
{
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        *figure(&t->counts, i) += *figure(c, i);
    }
}

static void print_totals(struct totals *t, double seconds)
{
    printf("%llu seeds, %llu failed; ", (unsigned long long)t->runs, (unsigned long long)t->failed);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        printf("%llu %s, ", (unsigned long long)*figure(&t->counts, i), figures[i].name);
    }
    printf("%.1f s, %.0f commands a second\n", seconds, (double)t->counts.commands / seconds);
}

static void run_kind(const struct options *o, struct totals *t, uint64_t seed,
                     void (*run)(struct world *))
{
    struct world *w = xcalloc(1, sizeof *w);
    bool good = run_once(w, o, seed, run);
    uint64_t digest = w->digest;
    t->runs += run == world_run;
    count(t, &w->counts);
    if (good && o->digests) {
        printf("seed %llu digest %016llx\n", (unsigned long long)seed, (unsigned long long)digest);
    }
    if (good && o->twice) {
        good = run_once(w, o, seed, run);
        if (good && w->digest != digest) {
            printf("seed %llu failed: two runs, two histories\n", (unsigned long long)seed);
            good = false;
        }
    }
    t->failed += !good;
    if (good) {
        free(w);
    } else { /* the run stopped anywhere: its memory is left as it was */
        w->failed_before = failed;
        failed = w;
    }
}

static void run_seed(const struct options *o, struct totals *t, uint64_t seed)
{
    run_kind(o, t, seed, world_run);
    run_kind(o, t, seed, rounds_run);
    run_kind(o, t, seed, tasks_run);
    run_kind(o, t, seed, swarms_run);
    if (seed % STARVING_EVERY == 0) {
        run_kind(o, t, seed, starving_run);
    }
    run_kind(o, t, seed, deliveries_run);
    run_kind(o, t, seed, trail_run);
}

static void run_list(const struct options *o, struct totals *t)
{
    FILE *f = fopen(o->list, "r");
    char line[256];
    if (!f) {
        fprintf(stderr, "sim: %s cannot be read\n", o->list);
        exit(2);
    }
    while (fgets(line, sizeof line, f)) {
        char *end;
        unsigned long long seed = strtoull(line, &end, 10);
        if (end != line) {
            run_seed(o, t, seed);
        }
    }
    fclose(f);
}

static void usage(void)
{
    puts("sim [--seeds N] [--from S] [--seed S] [--long] [--twice] [--list FILE] [--digests] "
         "[--verbose]\n"
         "    [--throughput] [--tasks-throughput [--agents N] [--strategy NAME]]\n"
         "    [--messages-throughput [--agents N]]\n"
         "Runs the hub without sockets, clocks or threads, by seeds. Exit 1 when a seed failed.");
    exit(2);
}

static const char *value_of(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) {
        usage();
    }
    return argv[++*i];
}

static struct options options_read(int argc, char **argv)
{
    struct options o = {.from = 1, .seeds = 1000, .agents = 20};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (strcmp(a, "--seeds") == 0) {
            o.seeds = strtoull(value_of(argc, argv, &i), NULL, 10);
        } else if (strcmp(a, "--from") == 0) {
            o.from = strtoull(value_of(argc, argv, &i), NULL, 10);
        } else if (strcmp(a, "--seed") == 0) {
            o.from = strtoull(value_of(argc, argv, &i), NULL, 10);
            o.seeds = 1;
        } else if (strcmp(a, "--list") == 0) {
            o.list = value_of(argc, argv, &i);
        } else if (strcmp(a, "--long") == 0) {
            o.seeds = 100000;
        } else if (strcmp(a, "--twice") == 0) {
            o.twice = true;
        } else if (strcmp(a, "--digests") == 0) {
            o.digests = true;
        } else if (strcmp(a, "--verbose") == 0) {
            o.verbose = true;
        } else if (strcmp(a, "--throughput") == 0) {
            o.throughput = true;
        } else if (strcmp(a, "--tasks-throughput") == 0) {
            o.throughput = o.tasks_only = true;
        } else if (strcmp(a, "--messages-throughput") == 0) {
            o.messages_only = true;
        } else if (strcmp(a, "--agents") == 0) {
            o.agents = (unsigned)strtoul(value_of(argc, argv, &i), NULL, 10);
        } else if (strcmp(a, "--strategy") == 0) {
            o.strategy = value_of(argc, argv, &i);
        } else {
            usage();
        }
    }
    return o;
}

int main(int argc, char **argv)
{
    const char *tmp = getenv("TMPDIR");
    struct stat st;
    bool memory = stat("/dev/shm", &st) == 0 && access("/dev/shm", W_OK) == 0;
    snprintf(folder, sizeof folder, "%s/waggle_sim_%ld",
             memory ? "/dev/shm"
             : tmp  ? tmp
                    : "/tmp",
             (long)getpid());
    struct options o = options_read(argc, argv);
    if (!auth_init()) {
        return 2;
    }
    if (o.messages_only) {
        return messages_throughput(folder, o.agents);
    }
    if (o.throughput) {
        return (!o.tasks_only && throughput(folder)) ||
               tasks_throughput(folder, o.agents, o.strategy);
    }
    struct totals t = {0};
    uint64_t began = now_us();
    if (o.list) {
        run_list(&o, &t);
    }
    for (uint64_t s = o.from; s < o.from + o.seeds; s++) {
        run_seed(&o, &t, s);
    }
    double seconds = (double)(now_us() - began) / 1e6;
    print_totals(&t, seconds);
    return t.failed ? 1 : 0;
}
