/* tests/unit/auth_test.h: what the tests of auth share: cmocka, random numbers with a printed seed,
 * folders that go away. */
#ifndef WAGGLE_TESTS_AUTH_TEST_H
#define WAGGLE_TESTS_AUTH_TEST_H

#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "auth/digest.h"
#include "store/mem.h"

/* xorshift64*: the sequence is the seed's alone. WAGGLE_SEED repeats a run. */
static uint64_t test_state;

static inline uint64_t test_random(void)
{
    test_state ^= test_state >> 12;
    test_state ^= test_state << 25;
    test_state ^= test_state >> 27;
    return test_state * 0x2545f4914f6cdd1dU;
}

static inline size_t test_below(size_t n)
{
    return (size_t)(test_random() % n);
}

static inline void test_seed(void)
{
    const char *given = getenv("WAGGLE_SEED");
    if (given) {
        test_state = strtoull(given, NULL, 10);
    } else {
        auth_random(&test_state, sizeof test_state);
    }
    test_state |= 1;
    print_message("WAGGLE_SEED=%llu\n", (unsigned long long)test_state);
}

/* A new folder; test_folder_drop removes it with what stands in it (two levels). */
static inline char *test_folder(void)
{
    const char *tmp = getenv("TMPDIR");
    struct buf b = {0};
    buf_printf(&b, "%s/waggle-auth-XXXXXX", tmp ? tmp : "/tmp");
    char *path = xstrndup(b.p, b.n);
    buf_done(&b);
    assert_non_null(mkdtemp(path));
    return path;
}

static inline void test_folder_drop(char *path)
{
    struct buf b = {0};
    buf_printf(&b, "rm -rf '%s'", path);
    char *command = xstrndup(b.p, b.n);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): our own mkdtemp name */
    free(command);
    buf_done(&b);
    free(path);
}

static inline char *test_text(const struct buf *b)
{
    return xstrndup(b->p, b->n);
}

#define assert_slice(a, text)                                                                      \
    do {                                                                                           \
        struct slice assert_slice_ = (a);                                                          \
        assert_int_equal(assert_slice_.n, strlen(text));                                           \
        assert_memory_equal(assert_slice_.p, text, assert_slice_.n);                               \
    } while (0)

#endif
