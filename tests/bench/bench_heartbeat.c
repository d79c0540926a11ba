/* Heartbeats: what one beat of an agent that holds a WebSocket costs a server.
 *
 * Every agent registers, then all beat on one schedule, each in its turn: at 100,000 a second from
 * 10,000 agents an agent beats ten times a second, one frame in one write, and every beat is
 * answered.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tests/bench/asker.h"
#include "tests/bench/options.h"

enum { ROUNDS_MAX = 20 };

struct options {
    const char *path;
    uint32_t agents, rate, seconds, rounds;
};

struct figures {
    double rate[ROUNDS_MAX], cpu_us[ROUNDS_MAX], p50_us[ROUNDS_MAX], p99_us[ROUNDS_MAX];
    double client[ROUNDS_MAX], cpu_ratio[ROUNDS_MAX];
};

static void ask_beat(void *ctx, struct buf *out, uint32_t conn, uint64_t id)
{
    (void)ctx;
    buf_add_str(out, "{\"type\":\"call\",\"id\":");
    buf_add_u64(out, id);
    buf_add_str(out, id == 1 ? ",\"method\":\"agents.register\",\"params\":{\"agent_id\":\"a-"
                             : ",\"method\":\"agents.heartbeat\",\"params\":{\"agent_id\":\"a-");
    buf_add_u64(out, conn);
    buf_add_str(out,
                id == 1 ? "\",\"agent_type\":\"worker\"}}" : "\",\"load_metrics\":{\"cpu\":0.4}}}");
}

static void measure(const struct target *t, const struct options *o, uint32_t round,
                    struct figures *f)
{
    static struct asker_result result;
    struct asker_plan plan = {
        .path = o->path, .conns = o->agents, .rate = o->rate, .answer = "result", .ask = ask_beat};
    struct asker *a = asker_open(t, &plan);
    asker_run(a, 2 * NS_PER_S, o->seconds * NS_PER_S, NULL, &result);
    asker_free(a);
    f->rate[round] = result.rate;
    f->cpu_us[round] = result.cpu_us;
    f->p50_us[round] = (double)spread_at(&result.waited, 0.50) / 1e3;
    f->p99_us[round] = (double)spread_at(&result.waited, 0.99) / 1e3;
    f->client[round] = result.client_share;
}

static void report(const struct target *t, const struct options *o, struct figures *f,
                   const struct figures *first)
{
    for (uint32_t r = 0; r < o->rounds; r++)
        f->cpu_ratio[r] = f->cpu_us[r] / first->cpu_us[r];
    printf("heartbeat target=%s agents=%" PRIu32 " asked_per_s=%" PRIu32 " rounds=%" PRIu32,
           t->name, o->agents, o->rate, o->rounds);
    printf(" cpu_ratio=%.3f per_s=%.0f cpu_us=%.3f", meter_median(f->cpu_ratio, o->rounds),
           meter_median(f->rate, o->rounds), meter_median(f->cpu_us, o->rounds));
    printf(" p50_us=%.0f p99_us=%.0f client_core=%.2f\n", meter_median(f->p50_us, o->rounds),
           meter_median(f->p99_us, o->rounds), meter_median(f->client, o->rounds));
}

int main(int argc, char **argv)
{
    static struct figures figures[TARGETS_MAX];
    struct targets targets = {0};
    struct options o = {
        .path = "/ws/v1/events", .agents = 10000, .rate = 100000, .seconds = 5, .rounds = 3};
    // clang-format off
    const struct option_row table[] = {
        { "--path",    &o.path, NULL, 0, 0, "where the server upgrades" },
        { "--agents",  NULL, &o.agents, 1, 18000, "connections, one agent each" },
        { "--rate",    NULL, &o.rate, 1, 10000000, "beats a second in all" },
        { "--seconds", NULL, &o.seconds, 1, 600, "of one measurement" },
        { "--rounds",  NULL, &o.rounds, 1, ROUNDS_MAX, "times each target is measured" },
    };
    // clang-format on
    options_read(argc, argv, "CPU per heartbeat of each target; ratios are to the first.", table,
                 sizeof table / sizeof *table, &targets);
    meter_descriptors_max();
    for (uint32_t r = 0; r < o.rounds; r++)
        for (uint32_t i = 0; i < targets.count; i++)
            measure(&targets.list[i], &o, r, &figures[i]);
    struct figures first = figures[0];
    for (uint32_t i = 0; i < targets.count; i++)
        report(&targets.list[i], &o, &figures[i], &first);
    return 0;
}
