/* Deadlines of tasks against a list that is searched. */
#include "hub/tasks/deadlines.h"
#include "tests/unit/scratch.h"

enum { STEPS = 100000, MANY = 2000 };

struct model {
    struct deadline list[MANY];
    size_t n;
};

static int64_t earliest(const struct model *m)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < m->n; i++) {
        due = m->list[i].due_ms < due ? m->list[i].due_ms : due;
    }
    return due;
}

/* Takes it out of the list; it must be there. */
static void take(struct model *m, struct deadline deadline)
{
    size_t i = 0;
    while (i < m->n &&
           (m->list[i].number != deadline.number || m->list[i].due_ms != deadline.due_ms)) {
        i++;
    }
    assert_true(i < m->n);
    m->list[i] = m->list[--m->n];
}

static bool is_odd(const void *ctx, const struct deadline *deadline)
{
    (void)ctx;
    return deadline->number % 2 == 1;
}

static void sweep(struct deadlines *d, struct model *m)
{
    size_t kept = 0;
    deadlines_sweep(d, is_odd, NULL);
    for (size_t i = 0; i < m->n; i++) {
        if (is_odd(NULL, &m->list[i])) {
            m->list[kept++] = m->list[i];
        }
    }
    m->n = kept;
}

/* Mostly in their own order, as of a clock; some far away, some of the past. */
static struct deadline drawn(uint64_t *seed, uint64_t number)
{
    uint64_t r = scratch_random(seed);
    int64_t span = r % 8 == 0 ? (int64_t)(r >> 8) % 5000 - 1000 : 300;
    return (struct deadline){.due_ms = (int64_t)number / 4 + span, .number = number};
}

static void the_earliest_comes_first_whatever_was_added(void **state)
{
    (void)state;
    uint64_t seed = scratch_seed();
    struct deadlines *d = deadlines_new();
    static struct model m;
    m.n = 0;
    for (uint64_t step = 1; step <= STEPS; step++) {
        uint64_t r = scratch_random(&seed) % 100;
        const struct deadline *first = deadlines_first(d);
        assert_true((first ? first->due_ms : INT64_MAX) == earliest(&m));
        if (step % 5000 == 0) {
            sweep(d, &m);
        } else if (r < 52 && m.n < MANY) {
            m.list[m.n] = drawn(&seed, step);
            deadlines_add(d, m.list[m.n++]);
        } else if (first) {
            take(&m, *first);
            deadlines_drop_first(d);
        }
        assert_int_equal(deadlines_count(d), m.n);
    }
    deadlines_clear(d);
    assert_null(deadlines_first(d));
    deadlines_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_earliest_comes_first_whatever_was_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
