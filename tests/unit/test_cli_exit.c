/* Exit codes by class of failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/cli/exit.h"

static void every_status_has_its_class(void **state)
{
    // clang-format off
    static const struct { long status; enum cli_exit exit; } cases[] = {
        { 200, CLI_OK }, { 201, CLI_OK }, { 204, CLI_OK }, { 299, CLI_OK },
        { 0, CLI_FAILED }, { 101, CLI_FAILED }, { 302, CLI_FAILED },
        { 400, CLI_USAGE }, { 401, CLI_DENIED }, { 403, CLI_DENIED }, { 404, CLI_NOT_FOUND },
        { 405, CLI_FAILED }, { 408, CLI_TIMEOUT }, { 409, CLI_CONFLICT }, { 410, CLI_CONFLICT },
        { 412, CLI_CONFLICT }, { 413, CLI_USAGE }, { 422, CLI_USAGE }, { 429, CLI_FAILED },
        { 500, CLI_FAILED }, { 502, CLI_UNREACHABLE }, { 503, CLI_UNREACHABLE }, { 504, CLI_TIMEOUT },
        { 507, CLI_FAILED },
    };
    // clang-format on
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(exit_of_status(cases[i].status), cases[i].exit);
    }
    assert_int_equal(exit_of_close(4009), CLI_DENIED);
    assert_int_equal(exit_of_close(4010), CLI_CONFLICT);
    assert_int_equal(exit_of_close(4999), CLI_FAILED);
    for (int i = 0; i < CLI_EXITS; i++) {
        assert_true(exit_classes[i].name && exit_classes[i].meaning);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_class),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
