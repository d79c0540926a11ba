/* Who talks is read ahead of the others: the news of each are seen, of nobody twice before all had
 * their turn, and of nobody who asked not to be read. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "hub/net/talkers.h"

enum { MANY = 3 * TALKERS_A_LOOK };

/* A connection is nothing but a pointer here. */
struct conn {
    int fd;
};
struct pair {
    struct conn c;
    int peer;
};

static void pair_open(struct pair *p)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    p->c.fd = ends[0];
    p->peer = ends[1];
}

static void pair_close(struct pair *p)
{
    (void)close(p->c.fd);
    (void)close(p->peer);
}

static void say(const struct pair *p)
{
    assert_int_equal(write(p->peer, "x", 1), 1);
}

static void only_those_with_news_are_named(void **state)
{
    (void)state;
    static struct pair quiet, loud;
    struct conn *got[TALKERS_A_LOOK];
    int talkers = talkers_new();
    assert_true(talkers >= 0);
    pair_open(&quiet);
    pair_open(&loud);
    assert_true(talkers_add(talkers, quiet.c.fd, &quiet.c));
    assert_true(talkers_add(talkers, loud.c.fd, &loud.c));
    assert_int_equal(talkers_look(talkers, got), 0);
    say(&loud);
    assert_int_equal(talkers_look(talkers, got), 1);
    assert_ptr_equal(got[0], &loud.c);
    talkers_flow(talkers, loud.c.fd, &loud.c, false);
    assert_int_equal(talkers_look(talkers, got), 0);
    talkers_flow(talkers, loud.c.fd, &loud.c, true);
    assert_int_equal(talkers_look(talkers, got), 1);
    talkers_drop(talkers, loud.c.fd);
    assert_int_equal(talkers_look(talkers, got), 0);
    pair_close(&quiet);
    pair_close(&loud);
    (void)close(talkers);
}

/* More than fit into a look, none of which is read meanwhile. */
static void nobody_is_named_again_before_all_had_their_turn(void **state)
{
    (void)state;
    static struct pair pairs[MANY];
    static unsigned seen[MANY];
    struct conn *got[TALKERS_A_LOOK];
    int talkers = talkers_new();
    for (unsigned i = 0; i < MANY; i++) {
        pair_open(&pairs[i]);
        assert_true(talkers_add(talkers, pairs[i].c.fd, &pairs[i].c));
        say(&pairs[i]);
    }
    for (unsigned look = 0; look < MANY / TALKERS_A_LOOK; look++) {
        unsigned n = talkers_look(talkers, got);
        assert_int_equal(n, TALKERS_A_LOOK);
        for (unsigned i = 0; i < n; i++) {
            for (unsigned k = 0; k < MANY; k++) {
                seen[k] += got[i] == &pairs[k].c;
            }
        }
    }
    for (unsigned k = 0; k < MANY; k++) {
        assert_int_equal(seen[k], 1);
        pair_close(&pairs[k]);
    }
    (void)close(talkers);
}

static void without_a_descriptor_nobody_is_read_ahead(void **state)
{
    (void)state;
    static struct pair p;
    struct conn *got[TALKERS_A_LOOK];
    pair_open(&p);
    say(&p);
    assert_false(talkers_add(-1, p.c.fd, &p.c));
    assert_int_equal(talkers_look(-1, got), 0);
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_those_with_news_are_named),
        cmocka_unit_test(nobody_is_named_again_before_all_had_their_turn),
        cmocka_unit_test(without_a_descriptor_nobody_is_read_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
