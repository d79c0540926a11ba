/* tests/unit/log_fixture.h: a log in a scratch folder, and records whose bytes follow from a
 * number. */
#ifndef WAGGLE_TESTS_LOG_FIXTURE_H
#define WAGGLE_TESTS_LOG_FIXTURE_H

#include "tests/unit/scratch.h"

#include "store/log.h"

struct fixture {
    const char *dir;
    size_t map_bytes;
    struct log_options options;
    struct store *store;
    struct log *log;
    struct store_txn *txn;
    struct store_reader *reader;
    char text[256]; /* what log_open said */
};

static inline void fixture_open(struct fixture *f)
{
    struct store_options o = {
        .path = f->dir, .map_bytes = f->map_bytes, .fresh_epoch = {1, [15] = 2}};
    if (store_open(&o, &f->store, f->text, sizeof f->text) != STORE_OK)
        fail_msg("%s", f->text);
    f->text[0] = '\0';
    assert_int_equal(log_open(f->store, &f->options, &f->log, f->text, sizeof f->text), STORE_OK);
    assert_int_equal(store_reader_new(f->store, &f->reader), STORE_OK);
}

static inline void fixture_close(struct fixture *f)
{
    store_reader_free(f->reader);
    log_close(f->log);
    store_close(f->store);
}

static inline void begin(struct fixture *f)
{
    assert_int_equal(store_begin(f->store, &f->txn), STORE_OK);
    log_begin(f->log, f->txn);
}

static inline enum store_rc try_end(struct fixture *f)
{
    enum store_rc rc = store_commit(f->txn);
    log_end(f->log, rc == STORE_OK);
    return rc;
}

static inline void end(struct fixture *f, bool committed)
{
    if (committed) {
        assert_int_equal(try_end(f), STORE_OK);
        return;
    }
    store_abort(f->txn);
    log_end(f->log, false);
}

static inline uint64_t channel_named(struct fixture *f, const char *name)
{
    uint64_t id = 0;
    assert_int_equal(log_channel_open(f->log, 1, slice_str(name), 5, &id), STORE_OK);
    return id;
}

/* n bytes that follow from id. */
static inline void payload_fill(uint8_t *p, size_t n, uint64_t id)
{
    uint64_t x = id * 2 + 1;
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(scratch_random(&x) >> 32);
}

static inline enum store_rc try_append(struct fixture *f, uint64_t channel, uint64_t id, size_t n,
                                       int64_t now_ms, struct log_appended *out)
{
    uint8_t *p = malloc(n + 1);
    assert_non_null(p);
    payload_fill(p, n, id);
    struct slice parts[3] = {slice_of(p, n / 3), slice_of(NULL, 0), slice_of(p + n / 3, n - n / 3)};
    struct log_append a = {
        .channel = channel, .now_ms = now_ms, .flags = 6, .parts = parts, .parts_n = 3};
    enum store_rc rc = log_append(f->log, &a, out);
    free(p);
    return rc;
}

static inline struct log_appended append(struct fixture *f, uint64_t channel, uint64_t id, size_t n)
{
    struct log_appended out = {0};
    assert_int_equal(try_append(f, channel, id, n, 1000, &out), STORE_OK);
    return out;
}

static inline struct log_appended append_keyed(struct fixture *f, uint64_t channel,
                                               const char *text, uint32_t key, int64_t now_ms)
{
    struct slice part = slice_str(text);
    struct log_append a = {
        .channel = channel, .now_ms = now_ms, .flags = LOG_KEYED, .parts = &part, .parts_n = 1};
    be32_put(a.key_hash, key);
    struct log_appended out = {0};
    assert_int_equal(log_append(f->log, &a, &out), STORE_OK);
    return out;
}

static inline void assert_payload(struct slice payload, uint64_t id, size_t n)
{
    uint8_t *p = malloc(n + 1);
    assert_non_null(p);
    payload_fill(p, n, id);
    assert_int_equal(payload.n, n);
    if (n > 0)
        assert_memory_equal(payload.p, p, n);
    free(p);
}

static inline void print_fault(void *ctx, uint64_t channel, uint64_t first, uint64_t last,
                               const char *what)
{
    (void)ctx;
    print_message("channel %llu, %llu..%llu: %s\n", (unsigned long long)channel,
                  (unsigned long long)first, (unsigned long long)last, what);
}

static inline void assert_verified(struct fixture *f)
{
    struct log_audit audit;
    assert_int_equal(log_verify(f->store, print_fault, NULL, &audit), STORE_OK);
}

#endif
