/* tests/unit/people_fixture.h: a hub and who ask it: an admin, two agents and a viewer. */
#ifndef WAGGLE_TESTS_PEOPLE_FIXTURE_H
#define WAGGLE_TESTS_PEOPLE_FIXTURE_H

#include "tests/unit/api_fixture.h"

struct test {
    struct fixture *f;
    struct principal *boss, *bee, *other, *viewer;
    const char *dir;          /* of its store */
    char task[64], lease[64]; /* that were named last: task_fixture.h */
};
static struct test t;

static inline int setup(void **state)
{
    if (scratch_make(state) != 0) {
        return -1;
    }
    t.dir = *state;
    t.f = fixture_open(*state);
    t.boss = person(ROLE_ADMIN, "boss");
    t.bee = person(ROLE_AGENT, "bee");
    t.other = person(ROLE_AGENT, "other");
    t.viewer = person(ROLE_VIEWER, "viewer");
    return 0;
}

static inline int teardown(void **state)
{
    fixture_close(t.f);
    principal_unref(t.boss);
    principal_unref(t.bee);
    principal_unref(t.other);
    principal_unref(t.viewer);
    return scratch_remove(state);
}

#define CLAIM(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
