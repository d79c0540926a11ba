/* What the command line's WebSocket knows without a connection: pauses, and frames from the hub. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/cli/hub_frame.h"
#include "hub/cli/socket.h"

static void pauses_grow_to_a_bound_and_are_never_nothing(void **state)
{
    (void)state;
    int64_t before = 0;
    for (unsigned attempt = 0; attempt < 64; attempt++) {
        int64_t least = socket_pause_ms(attempt, 0), most = socket_pause_ms(attempt, 0xffff);
        assert_true(least >= 125);
        assert_true(most <= 15000);
        assert_true(most <= 2 * least && most > least);
        assert_true(least >= before);
        before = least;
    }
    assert_int_equal(before, 7500);
    assert_int_equal(socket_pause_ms(0, 0x12345), socket_pause_ms(0, 0x2345));
}

static void a_frame_is_taken_apart(void **state)
{
    struct hub_frame frame;
    (void)state;
    assert_int_equal(
        hub_frame_read(
            slice_str(
                "{\"type\":\"event\",\"channel\":\"c\",\"offset\":42,\"data\":1.50,\"new\":{}}"),
            &frame),
        JSON_OK);
    assert_int_equal(frame.type, HUB_EVENT);
    assert_int_equal(hub_frame_number(&frame, HUB_OFFSET), 42);
    assert_true(slice_is(frame.field[HUB_DATA], "1.50"));
    assert_int_equal(hub_frame_number(&frame, HUB_COUNT), 0);
    assert_int_equal(hub_frame_read(slice_str("{\"type\":\"of tomorrow\"}"), &frame), JSON_OK);
    assert_int_equal(frame.type, HUB_UNKNOWN);
    assert_int_equal(hub_frame_read(slice_str("{}"), &frame), JSON_OK);
    assert_int_equal(frame.type, HUB_UNKNOWN);
    assert_int_not_equal(hub_frame_read(slice_str("[]"), &frame), JSON_OK);
    assert_int_not_equal(hub_frame_read(slice_str("{\"type\":"), &frame), JSON_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pauses_grow_to_a_bound_and_are_never_nothing),
        cmocka_unit_test(a_frame_is_taken_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
