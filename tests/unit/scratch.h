/* tests/unit/scratch.h: an empty folder for a test, gone afterwards; and the cmocka headers in the
 * order they want. Include it first. */
#ifndef WAGGLE_TESTS_SCRATCH_H
#define WAGGLE_TESTS_SCRATCH_H

#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A cmocka setup: *state becomes the folder's path. */
static inline int scratch_make(void **state)
{
    const char *tmp = getenv("TMPDIR");
    char *path = malloc(4096);
    if (!path)
        return -1;
    (void)snprintf(path, 4096, "%s/waggle_test_XXXXXX", tmp ? tmp : "/tmp");
    *state = mkdtemp(path);
    return *state ? 0 : -1;
}

static inline int scratch_remove_one(const char *path, const struct stat *st, int kind,
                                     struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

static inline int scratch_remove(void **state)
{
    int rc = nftw(*state, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return rc;
}

#define scratch_test(name) cmocka_unit_test_setup_teardown(name, scratch_make, scratch_remove)

/* A seed that a failing run prints: set WAGGLE_SEED to run it again. */
static inline uint64_t scratch_seed(void)
{
    const char *text = getenv("WAGGLE_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : (uint64_t)getpid() * 2654435761u + 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    return seed;
}

/* xorshift64*: the same run from the same seed everywhere. */
static inline uint64_t scratch_random(uint64_t *seed)
{
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    return *seed * UINT64_C(2685821657736338717);
}

#endif
