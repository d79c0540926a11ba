/* Durable publish: how many publishes a second a server answers after they are on disk, what each
 * costs it, and how long one waits at a given pace.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/asker.h"
#include "tests/bench/options.h"

enum { ROUNDS_MAX = 20 };

struct options {
    const char *path, *prefix, *sync_metric;
    uint32_t conns, channels, keyed, outstanding, rate, seconds, rounds;
};

struct publisher {
    const struct options *options;
    uint64_t run; /* differs from run to run, so that no key comes twice */
};

/* 128 bytes of JSON. */
static const char data[] = "{\"p\":\"01234567890123456789012345678901234567890123456789012345678901"
                           "2345678901234567890123456789012345678901234567890123456789\"}";

/* With more channels than connections a connection takes its share of them in turn. */
static uint32_t channel_of(const struct options *o, uint32_t conn, uint64_t id)
{
    uint32_t each = o->channels / o->conns;
    return each > 1 ? conn + (uint32_t)(id % each) * o->conns : conn % o->channels;
}

static void ask_publish(void *ctx, struct buf *out, uint32_t conn, uint64_t id)
{
    struct publisher *p = ctx;
    const struct options *o = p->options;
    buf_add_str(out, "{\"type\":\"publish\",\"id\":");
    buf_add_u64(out, id);
    buf_add_str(out, ",\"channel\":\"");
    buf_add_str(out, o->prefix);
    buf_add_u64(out, channel_of(o, conn, id));
    buf_add_str(out, "\",\"event\":\"e\",\"data\":");
    buf_add_str(out, data);
    if (o->keyed) {
        buf_add_str(out, ",\"key\":\"");
        buf_add_u64(out, p->run);
        buf_add_str(out, "-");
        buf_add_u64(out, conn);
        buf_add_str(out, "-");
        buf_add_u64(out, id);
        buf_add_str(out, "\"");
    }
    buf_add_str(out, "}");
}

struct figures {
    double rate[ROUNDS_MAX], cpu_us[ROUNDS_MAX], p50_us[ROUNDS_MAX], p99_us[ROUNDS_MAX];
    double per_sync[ROUNDS_MAX], client[ROUNDS_MAX], ratio[ROUNDS_MAX], cpu_ratio[ROUNDS_MAX];
};

static void measure(const struct target *t, const struct options *o, uint32_t round,
                    struct figures *f)
{
    static struct asker_result result;
    struct publisher p = {.options = o, .run = meter_now()};
    struct asker_plan plan = {.path = o->path,
                              .conns = o->conns,
                              .outstanding = o->outstanding,
                              .rate = o->rate,
                              .answer = "published",
                              .ask = ask_publish,
                              .ctx = &p};
    struct asker *a = asker_open(t, &plan);
    asker_run(a, NS_PER_S, o->seconds * NS_PER_S, o->sync_metric, &result);
    asker_free(a);
    f->rate[round] = result.rate;
    f->cpu_us[round] = result.cpu_us;
    f->p50_us[round] = (double)spread_at(&result.waited, 0.50) / 1e3;
    f->p99_us[round] = (double)spread_at(&result.waited, 0.99) / 1e3;
    f->per_sync[round] = result.per_sync;
    f->client[round] = result.client_share;
}

static void report(const struct target *t, const struct options *o, struct figures *f,
                   const struct figures *first)
{
    for (uint32_t r = 0; r < o->rounds; r++) {
        f->ratio[r] = f->rate[r] / first->rate[r];
        f->cpu_ratio[r] = f->cpu_us[r] / first->cpu_us[r];
    }
    printf("publish target=%s mode=%s connections=%" PRIu32 " channels=%" PRIu32 " keyed=%" PRIu32
           " outstanding=%" PRIu32 " rounds=%" PRIu32,
           t->name, o->rate > 0 ? "paced" : "closed", o->conns, o->channels, o->keyed,
           o->outstanding, o->rounds);
    printf(" rate_ratio=%.3f cpu_ratio=%.3f", meter_median(f->ratio, o->rounds),
           meter_median(f->cpu_ratio, o->rounds));
    printf(" per_s=%.0f cpu_us=%.3f", meter_median(f->rate, o->rounds),
           meter_median(f->cpu_us, o->rounds));
    printf(" p50_us=%.0f p99_us=%.0f per_sync=%.0f client_core=%.2f\n",
           meter_median(f->p50_us, o->rounds), meter_median(f->p99_us, o->rounds),
           meter_median(f->per_sync, o->rounds), meter_median(f->client, o->rounds));
}

int main(int argc, char **argv)
{
    static struct figures figures[TARGETS_MAX];
    struct targets targets = {0};
    struct options o = {.path = "/ws/v1/events",
                        .prefix = "bench.",
                        .sync_metric = "waggle_commit_seconds_count",
                        .conns = 1000,
                        .channels = 1000,
                        .keyed = 1,
                        .outstanding = 8,
                        .seconds = 4,
                        .rounds = 3};
    // clang-format off
    const struct option_row table[] = {
        { "--path",        &o.path, NULL, 0, 0, "where the server upgrades" },
        { "--prefix",      &o.prefix, NULL, 0, 0, "of the channels' names" },
        { "--sync-metric", &o.sync_metric, NULL, 0, 0, "counter of syncs on /metrics" },
        { "--connections", NULL, &o.conns, 1, 15000, "publishers" },
        { "--channels",    NULL, &o.channels, 1, 1000000, "channels they share" },
        { "--keyed",       NULL, &o.keyed, 0, 1, "1: each publish has an idempotency key" },
        { "--outstanding", NULL, &o.outstanding, 1, ASKER_WAITING_MAX - 1,
          "unanswered on each connection, when not paced" },
        { "--rate",        NULL, &o.rate, 0, 10000000, "publishes a second; 0: as fast as answered" },
        { "--seconds",     NULL, &o.seconds, 1, 600, "of one measurement" },
        { "--rounds",      NULL, &o.rounds, 1, ROUNDS_MAX, "times each target is measured" },
    };
    // clang-format on
    options_read(argc, argv, "Durable publishes of each target; ratios are to the first.", table,
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
