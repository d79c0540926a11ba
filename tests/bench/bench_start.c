/* Starting with much on disk: fills a data folder with the store's own code, then starts the hub on
 * it again and again and waits for its line `ready`.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/log.h"
#include "tests/bench/meter.h"

enum { BATCH = 4000, CHANNELS = 1000, PAYLOAD_BYTES = 128, ROUNDS_MAX = 20 };

static void must(enum store_rc rc, const char *what)
{
    if (rc != STORE_OK)
        meter_fail("%s: %s", what, store_rc_name(rc));
}

static void append_batch(struct store *store, struct log *log, const uint64_t *channels,
                         uint64_t done, uint64_t n, int64_t now_ms)
{
    uint8_t payload[PAYLOAD_BYTES];
    struct slice part = slice_of(payload, sizeof payload);
    struct store_txn *txn;
    must(store_begin(store, &txn), "begin");
    log_begin(log, txn);
    for (uint64_t i = done; i < done + n; i++) {
        struct log_append append = {
            .channel = channels[i % CHANNELS], .now_ms = now_ms, .parts = &part, .parts_n = 1};
        struct log_appended out;
        memset(payload, (int)('a' + i % 26), sizeof payload);
        must(log_append(log, &append, &out), "append");
    }
    (void)log_tend(log, now_ms);
    enum store_rc rc = store_commit(txn);
    log_end(log, rc == STORE_OK);
    must(rc, "commit");
}

static void fill(const char *dir, uint64_t events)
{
    struct store_options options = {.path = dir, .fresh_epoch = {1}};
    struct log_options log_options = {0};
    uint64_t channels[CHANNELS];
    struct store *store;
    struct log *log;
    struct store_txn *txn;
    char text[4400] = "";
    if (store_open(&options, &store, text, sizeof text) != STORE_OK ||
        log_open(store, &log_options, &log, text, sizeof text) != STORE_OK)
        meter_fail("%s", text);
    int64_t now_ms = (int64_t)time(NULL) * 1000;
    must(store_begin(store, &txn), "begin");
    log_begin(log, txn);
    for (uint32_t i = 0; i < CHANNELS; i++) {
        int n = snprintf(text, sizeof text, "bench.start-%" PRIu32, i);
        must(log_channel_open(log, 1, slice_of(text, (size_t)n), now_ms, &channels[i]), "open");
    }
    enum store_rc rc = store_commit(txn);
    log_end(log, rc == STORE_OK);
    must(rc, "commit");
    for (uint64_t done = 0; done < events; done += BATCH)
        append_batch(store, log, channels, done, events - done < BATCH ? events - done : BATCH,
                     now_ms);
    log_close(log);
    store_close(store);
}

/* From exec to the line `ready`, in seconds. */
static double start_once(const char *hub, const char *dir)
{
    int out[2];
    char byte;
    if (pipe2(out, O_CLOEXEC) != 0)
        meter_fail("no pipe");
    uint64_t began = meter_now();
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(out[1], STDOUT_FILENO);
        if (!freopen("/dev/null", "w", stderr))
            _exit(127);
        execl(hub, hub, "--listen", "127.0.0.1:0", "--data", dir, (char *)NULL);
        _exit(127);
    }
    (void)close(out[1]);
    if (read(out[0], &byte, 1) != 1)
        meter_fail("%s did not start on %s", hub, dir);
    double seconds = (double)(meter_now() - began) / 1e9;
    (void)close(out[0]);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    return seconds;
}

int main(int argc, char **argv)
{
    double seconds[ROUNDS_MAX];
    if (argc != 5)
        meter_fail("usage: bench_start HUB FOLDER EVENTS ROUNDS");
    uint64_t events = strtoull(argv[3], NULL, 10);
    uint32_t rounds = (uint32_t)strtoul(argv[4], NULL, 10);
    if (rounds < 1 || rounds > ROUNDS_MAX)
        meter_fail("rounds: 1 to %d", ROUNDS_MAX);
    fill(argv[2], events);
    (void)start_once(argv[1], argv[2]); /* the first makes keys */
    for (uint32_t r = 0; r < rounds; r++)
        seconds[r] = start_once(argv[1], argv[2]);
    printf("start target=hub events=%" PRIu64 " rounds=%" PRIu32 " seconds=%.3f\n", events, rounds,
           meter_median(seconds, rounds));
    return 0;
}
