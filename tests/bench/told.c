#define _GNU_SOURCE
#include "tests/bench/told.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *after(const char *text, size_t len, const char *key)
{
    size_t n = strlen(key);
    const char *at = memmem(text, len, key, n);
    return at != NULL ? at + n : NULL;
}

bool told_is(const char *text, size_t len, const char *type)
{
    char begins[32];
    size_t n = (size_t)snprintf(begins, sizeof begins, "{\"type\":\"%s\"", type);
    return len >= n && memcmp(text, begins, n) == 0;
}

bool told_has(const char *text, size_t len, const char *key)
{
    return after(text, len, key) != NULL;
}

uint64_t told_number(const char *text, size_t len, const char *key)
{
    const char *at = after(text, len, key);
    return at != NULL ? strtoull(at, NULL, 10) : UINT64_MAX;
}

void told_word(const char *text, size_t len, const char *key, char *out, size_t size)
{
    const char *at = after(text, len, key);
    size_t n = 0;
    for (; at != NULL && at + n < text + len && at[n] != '"' && n + 1 < size; n++)
        out[n] = at[n];
    out[n] = '\0';
}
