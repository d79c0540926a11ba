/* Times as callers write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

#include "channels/json_out.h"
#include "hub/api/moment.h"

static int64_t read_ms(const char *text)
{
    int64_t ms = -1;
    return moment_read(slice_str(text), &ms) ? ms : -1;
}

static void moments_are_milliseconds_since_1970(void **state)
{
    (void)state;
    assert_int_equal(read_ms("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(read_ms("2000-02-29T12:00:00.25Z"), 951825600250);
    assert_int_equal(read_ms("2026-11-20T17:34:21.123999Z"), 1795196061123);
    assert_int_equal(read_ms("2026-11-20t18:34:21.123+01:00"), 1795196061123);
    assert_int_equal(read_ms("2026-11-20 12:04:21.123-05:30"), 1795196061123);
    assert_int_equal(read_ms("1990-12-31T23:59:60Z"), 662688000000);
    assert_int_equal(read_ms("9999-12-31T23:59:59.999Z"), 253402300799999);
}

static void what_is_no_moment_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "2026",
                                        "2026-11-20",
                                        "2026-11-20T17:34:21",
                                        "2026-11-20T17:34Z",
                                        "2026-13-01T00:00:00Z",
                                        "2026-00-01T00:00:00Z",
                                        "2026-02-29T00:00:00Z",
                                        "2100-02-29T00:00:00Z",
                                        "2026-11-31T00:00:00Z",
                                        "2026-11-20T24:00:00Z",
                                        "2026-11-20T17:60:00Z",
                                        "2026-11-20T17:34:61Z",
                                        "2026-11-20T17:34:21.Z",
                                        "2026-11-20T17:34:21+1:00",
                                        "2026-11-20T17:34:21+24:00",
                                        "2026-11-20T17:34:21Z ",
                                        " 2026-11-20T17:34:21Z",
                                        "1969-12-31T23:59:59Z",
                                        "1970-01-01T00:00:00+00:01",
                                        "1795196061"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (read_ms(wrong[i]) != -1) {
            fail_msg("%s was read", wrong[i]);
        }
    }
}

static void what_the_hub_writes_it_reads_back(void **state)
{
    (void)state;
    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srand(seed);
    for (int i = 0; i < 20000; i++) {
        int64_t ms = (((int64_t)rand() << 31) ^ rand()) % 253402300800000;
        uint8_t text[JSON_TIME_BYTES];
        int64_t back = -1;
        json_time_put(text, ms);
        assert_true(moment_read(slice_of(text, sizeof text), &back));
        assert_int_equal(back, ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments_are_milliseconds_since_1970),
        cmocka_unit_test(what_is_no_moment_is_refused),
        cmocka_unit_test(what_the_hub_writes_it_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
