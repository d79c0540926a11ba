/* The figures an agent's beat carries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/cli/machine.h"

static void near(double got, double want)
{
    assert_true(got > want - 1e-9 && got < want + 1e-9);
}

static void the_machine_is_read_from_proc(void **state)
{
    struct machine m = {0};
    (void)state;
    near(machine_cpu(&m, "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4\n"), 0.2);
    near(machine_cpu(&m, "cpu  150 0 150 750 150 0 0 0 0 0\n"), 0.5);
    near(machine_cpu(&m, "cpu  150 0 150 750 150 0 0 0 0 0\n"), 0); /* no time has passed */
    near(machine_cpu(&m, "cpu  150 0 150 740 150 0 0 0\n"), 0);     /* it ran backwards */
    assert_true(machine_cpu(&m, "") < 0);
    near(machine_memory("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\n"), 0.75);
    assert_true(machine_memory("MemTotal: 1000 kB\n") < 0);
    near(machine_average("1.50 1.00 0.50 1/100 42\n", 2), 0.75);
    near(machine_average("9.00 1.00 0.50 1/100 42\n", 2), 1);
    assert_true(machine_average("", 2) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_machine_is_read_from_proc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
