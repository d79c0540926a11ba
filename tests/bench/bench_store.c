/* What the log costs, the writer alone: records a second, CPU a record and commits a second, by
 * channels and with or without idempotency keys, each beside a floor measured in the same run: a
 * bare append of the same payloads in batches of the same size. Then reading back: replay of one
 * channel through its blocks, and the scan of the journal at start.
 *
 *     bench_store [--records N] [--batch N] [--dir DIR] [--channels N]
 *
 * With --channels only the rows of that many. DIR is a folder to make stores in (default: the
 * system's temporary one); they are removed. */
#define _GNU_SOURCE
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "store/log.h"
#include "store/mem.h"

enum { PAYLOAD_BYTES = 128 };

struct options {
    uint64_t records, batch;
    uint64_t channels; /* the only row wanted; 0: all */
    const char *dir;
};

struct bench {
    struct options options;
    char path[4096];
    struct store *store;
    struct log *log;
    uint64_t seed;
    uint8_t payload[PAYLOAD_BYTES];
};

struct cost {
    double wall_s, cpu_s;
    uint64_t records, commits;
};

static void die(const char *what)
{
    (void)fprintf(stderr, "bench_store: %s\n", what);
    exit(1);
}

static void must(enum store_rc rc, const char *what)
{
    if (rc != STORE_OK) {
        (void)fprintf(stderr, "bench_store: %s: %s\n", what, store_rc_name(rc));
        exit(1);
    }
}

static double seconds(clockid_t clock)
{
    struct timespec t;
    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct cost cost_begin(void)
{
    return (struct cost){.wall_s = -seconds(CLOCK_MONOTONIC),
                         .cpu_s = -seconds(CLOCK_PROCESS_CPUTIME_ID)};
}

static void cost_end(struct cost *cost)
{
    cost->wall_s += seconds(CLOCK_MONOTONIC);
    cost->cpu_s += seconds(CLOCK_PROCESS_CPUTIME_ID);
}

static int64_t now_ms(void)
{
    return (int64_t)(seconds(CLOCK_REALTIME) * 1000);
}

static uint64_t random64(struct bench *b)
{
    b->seed ^= b->seed >> 12;
    b->seed ^= b->seed << 25;
    b->seed ^= b->seed >> 27;
    return b->seed * UINT64_C(2685821657736338717);
}

/* ---- a store of its own for each measurement ---- */

static void open_store(struct bench *b)
{
    char text[256] = "";
    (void)snprintf(b->path, sizeof b->path, "%s/waggle_bench_XXXXXX", b->options.dir);
    if (!mkdtemp(b->path))
        die("cannot make a folder");
    struct store_options o = {.path = b->path, .fresh_epoch = {1}};
    if (store_open(&o, &b->store, text, sizeof text) != STORE_OK)
        die(text);
}

static void open_log(struct bench *b)
{
    char text[256] = "";
    struct log_options o = {0};
    must(log_open(b->store, &o, &b->log, text, sizeof text), "log_open");
    if (text[0])
        die(text);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static void close_store(struct bench *b)
{
    log_close(b->log);
    b->log = NULL;
    store_close(b->store);
    (void)nftw(b->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- the floor ---- */

static void floor_batch(struct bench *b, uint64_t first, uint64_t n)
{
    struct store_txn *txn;
    uint8_t key[8], *value;
    must(store_begin(b->store, &txn), "store_begin");
    for (uint64_t i = 0; i < n; i++) {
        be64_put(key, first + i);
        must(store_put_reserve(txn, TABLE_JOURNAL, slice_of(key, 8), PAYLOAD_BYTES, true, &value),
             "append");
        memcpy(value, b->payload, PAYLOAD_BYTES);
    }
    must(store_commit(txn), "commit");
}

static struct cost measure_floor(struct bench *b)
{
    open_store(b);
    struct cost cost = cost_begin();
    for (uint64_t at = 0; at < b->options.records; at += b->options.batch, cost.commits++)
        floor_batch(b, at + 1, b->options.batch);
    cost_end(&cost);
    cost.records = cost.commits * b->options.batch;
    close_store(b);
    return cost;
}

/* ---- appending ---- */

static void make_channels(struct bench *b, uint64_t channels)
{
    for (uint64_t at = 0; at < channels;) {
        struct store_txn *txn;
        must(store_begin(b->store, &txn), "store_begin");
        log_begin(b->log, txn);
        for (int i = 0; i < 4000 && at < channels; i++, at++) {
            char name[32];
            uint64_t id;
            (void)snprintf(name, sizeof name, "bench.%llu", (unsigned long long)at);
            must(log_channel_open(b->log, 1, slice_str(name), 1, &id), "log_channel_open");
        }
        must(store_commit(txn), "commit");
        log_end(b->log, true);
    }
}

static void log_batch(struct bench *b, uint64_t channels, bool keyed)
{
    struct store_txn *txn;
    struct slice part = slice_of(b->payload, PAYLOAD_BYTES);
    struct log_append a = {
        .now_ms = now_ms(), .flags = keyed ? LOG_KEYED : 0, .parts = &part, .parts_n = 1};
    struct log_appended out;
    must(store_begin(b->store, &txn), "store_begin");
    log_begin(b->log, txn);
    for (uint64_t i = 0; i < b->options.batch; i++) {
        a.channel = 1 + random64(b) % channels;
        be64_put(a.key_hash, random64(b));
        must(log_append(b->log, &a, &out), "log_append");
    }
    (void)log_tend(b->log, a.now_ms);
    must(store_commit(txn), "commit");
    log_end(b->log, true);
}

static struct cost measure_append(struct bench *b, uint64_t channels, bool keyed)
{
    make_channels(b, channels);
    struct cost cost = cost_begin();
    for (uint64_t at = 0; at < b->options.records; at += b->options.batch, cost.commits++)
        log_batch(b, channels, keyed);
    cost_end(&cost);
    cost.records = cost.commits * b->options.batch;
    return cost;
}

static void print_append(const char *what, const char *keys, const struct cost *cost,
                         const struct cost *floor)
{
    double cpu_us = cost->cpu_s * 1e6 / (double)cost->records;
    double floor_us = floor->cpu_s * 1e6 / (double)floor->records;
    printf("%10s  %4s  %11.0f  %9.3f  %9.0f  %8.2fx\n", what, keys,
           (double)cost->records / cost->wall_s, cpu_us, (double)cost->commits / cost->wall_s,
           cpu_us / floor_us);
    (void)fflush(stdout);
}

/* ---- reading back ---- */

static bool sum(void *ctx, const struct log_record *record)
{
    *(uint64_t *)ctx += record->payload.n;
    return true;
}

static void measure_replay(struct bench *b)
{
    struct store_reader *reader;
    struct store_view *view;
    struct log_head head;
    uint64_t bytes = 0, next = 1;
    must(store_reader_new(b->store, &reader), "store_reader_new");
    struct cost cost = cost_begin();
    do {
        must(log_snapshot(b->log, reader, 1, &view, &head), "log_snapshot");
        must(log_read(view, &head, next, 1000, sum, &bytes, &next), "log_read");
    } while (next <= head.last);
    cost_end(&cost);
    if (bytes != head.last * PAYLOAD_BYTES)
        die("replay did not give what was appended");
    printf("replay of %llu records, 1,000 a page: %.0f a second, %.3f us of CPU each\n",
           (unsigned long long)head.last, (double)head.last / cost.wall_s,
           cost.cpu_s * 1e6 / (double)head.last);
    store_reader_free(reader);
}

static void measure_scan(struct bench *b, const char *what)
{
    struct log_stats stats;
    log_close(b->log);
    struct cost cost = cost_begin();
    open_log(b);
    cost_end(&cost);
    log_stats(b->log, &stats);
    printf("start, %s: %llu records in the journal scanned in %.1f ms\n", what,
           (unsigned long long)stats.journal_records, cost.wall_s * 1e3);
}

/* ---- all of it ---- */

static const char usage[] =
    "usage: bench_store [--records N] [--batch N] [--dir DIR] [--channels N]";

static struct options parse(int argc, char **argv)
{
    const char *tmp = getenv("TMPDIR");
    struct options o = {.records = 2000000, .batch = 2000, .dir = tmp ? tmp : "/tmp"};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--records") == 0)
            o.records = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--batch") == 0)
            o.batch = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--channels") == 0)
            o.channels = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0)
            o.dir = argv[i + 1];
        else
            die(usage);
    }
    if (argc % 2 == 0 || o.records == 0 || o.batch == 0)
        die(usage);
    return o;
}

int main(int argc, char **argv)
{
    static const struct {
        uint64_t channels;
        const char *text;
    } rows[] = {{1, "1"}, {1000, "1,000"}, {100000, "100,000"}};
    struct bench b = {.options = parse(argc, argv), .seed = 88172645463325252u};
    memset(b.payload, 'x', sizeof b.payload);
    struct cost floor = measure_floor(&b);
    printf("%llu records of %d bytes in batches of %llu\n", (unsigned long long)b.options.records,
           PAYLOAD_BYTES, (unsigned long long)b.options.batch);
    printf("  channels  keys    records/s  us CPU/rec  commits/s  x floor\n");
    print_append("floor", "", &floor, &floor);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (b.options.channels && b.options.channels != rows[i].channels)
            continue;
        for (int keyed = 0; keyed < 2; keyed++) {
            open_store(&b);
            open_log(&b);
            struct cost cost = measure_append(&b, rows[i].channels, keyed);
            print_append(rows[i].text, keyed ? "yes" : "no", &cost, &floor);
            if (i == 0 && !keyed)
                measure_replay(&b);
            if (i == 0)
                measure_scan(&b, keyed ? "with keys" : "without keys");
            close_store(&b);
        }
    }
    return 0;
}
