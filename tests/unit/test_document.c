/* hub/core/document.h: what callers gave leaves as they gave it. */
#include "hub/core/document.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void comes_out(const char *in, const char *expected)
{
    struct buf out = {0};
    json_t *value = json_loads(in, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    json_put_value(&out, value);
    buf_add(&out, "", 1);
    assert_string_equal((const char *)out.p, expected);
    buf_done(&out);
    json_decref(value);
}

static void numbers_keep_their_digits_and_their_kind(void **state)
{
    (void)state;
    comes_out("[0.1,0.2,-2.5,1e300,1E-7,5e-324,3.141592653589793]",
              "[0.1,0.2,-2.5,1e+300,1e-07,5e-324,3.141592653589793]");
    comes_out("[1,1.0,-0.0,0,2e3,9007199254740993,-9223372036854775808]",
              "[1,1.0,-0.0,0,2000.0,9007199254740993,-9223372036854775808]");
    comes_out("0.30000000000000004", "0.30000000000000004");
}

static void members_keep_their_order_and_texts_their_signs(void **state)
{
    (void)state;
    comes_out(
        "{ \"z\" : [true, false, null, {}], \"a\\\"\" : \"\\u0001\u00fc\\ud83d\\udc1d\\\\\" }",
        "{\"z\":[true,false,null,{}],\"a\\\"\":\"\\u0001\u00fc\U0001f41d\\\\\"}");
    struct buf none = {0};
    json_put_value(&none, NULL);
    assert_int_equal(none.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_keep_their_digits_and_their_kind),
        cmocka_unit_test(members_keep_their_order_and_texts_their_signs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
