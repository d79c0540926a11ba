/* Times that callers write: what is taken is the time that the C library would write back. */
#define _GNU_SOURCE
#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "hub/api/moment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned two_digits(const uint8_t *p)
{
    return (p[0] - '0') * 10u + (p[1] - '0');
}

/* Minutes east of Greenwich, of a text that was taken. */
static int offset_of(const uint8_t *data, size_t size)
{
    if ((data[size - 1] | 0x20) == 'z') {
        return 0;
    }
    const uint8_t *p = data + size - 6;
    int min = (int)(two_digits(p + 1) * 60 + two_digits(p + 4));
    return *p == '-' ? -min : min;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t ms = -1;
    if (!moment_read(slice_of(data, size), &ms)) {
        assert(ms == -1);
        return 0;
    }
    assert(ms >= 0 && size >= sizeof "1970-01-01T00:00:00Z" - 1);
    time_t local = (time_t)(ms / 1000) + offset_of(data, size) * 60;
    bool leap = two_digits(data + 17) == 60;
    local -= leap ? 1 : 0;
    struct tm tm;
    char written[32];
    assert(gmtime_r(&local, &tm));
    strftime(written, sizeof written, "%Y-%m-%dT%H:%M:%S", &tm);
    written[10] = (char)data[10]; /* T, t or a space */
    if (leap) {
        memcpy(written + 17, "60", 2);
    }
    assert(memcmp(written, data, 19) == 0);
    return 0;
}
