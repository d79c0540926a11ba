/* `--query`: which values a pointer or a path names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub/cli/query.h"

static const char answer[] =
    " {\"agents\":[{\"id\":\"a\",\"tags\":[1,2]},{\"id\":\"b\",\"tags\":[]}],"
    "\"n\":1.10,\"a/b\":{\"~\":true,\"x.y\":null},\"\":0} ";

static void add_line(void *ctx, struct slice found)
{
    struct buf *b = ctx;
    buf_add_slice(b, found);
    buf_add_str(b, "|");
}

static void expect(const char *query, const char *found)
{
    struct buf b = {0};
    query_each(slice_str(answer), query, add_line, &b);
    buf_add(&b, "", 1);
    assert_string_equal((const char *)b.p, found);
    buf_done(&b);
}

static void a_path_and_a_pointer_name_the_same(void **state)
{
    (void)state;
    expect("agents.1.id", "\"b\"|");
    expect(".agents.1.id", "\"b\"|");
    expect("/agents/1/id", "\"b\"|");
    expect("n", "1.10|");
    expect("/a~1b/~0", "true|");
    expect("a/b.~", "true|");
    expect("/a~1b/x.y", "null|");
}

static void a_star_names_every_item(void **state)
{
    (void)state;
    expect("agents.*.id", "\"a\"|\"b\"|");
    expect("/agents/*/tags/*", "1|2|");
    expect("agents.0.*", "\"a\"|[1,2]|");
}

static void what_is_not_there_is_nothing(void **state)
{
    (void)state;
    expect("agents.2.id", "");
    expect("agents.x", "");
    expect("agents.01x", "");
    expect("n.x", "");
    expect("/nothing", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_path_and_a_pointer_name_the_same),
        cmocka_unit_test(a_star_names_every_item),
        cmocka_unit_test(what_is_not_there_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
