/* tests/load/cases.h: what is done to the hub, one case a row.
 *
 * Limits   anon_mib: what the hub's own memory may grow by at most while the case lasts, from the
 *          bounds that its configuration states. p99_ms: what passes whatever the quiet value was.
 *          It is 10 where the load leaves the hub alone; where five thousand ask, come or go at one
 *          moment, the loop needs 20 to 40 us for each, and somebody stands at the end of that
 *          line. Those are the cases in which twice the quiet value is not reached on one I/O
 *          thread, and the output says so.
 */
#ifndef WAGGLE_LOAD_CASES_H
#define WAGGLE_LOAD_CASES_H

#include "tests/load/actor.h"

enum { FLAGS_MAX = 8 };

struct load_case {
    const char *name, *what;
    actor_part *part;
    uint32_t seconds, seconds_long;
    uint32_t anon_mib, p99_ms;
    uint32_t descriptors; /* the hub's; 0: as ours */
    const char *flags[FLAGS_MAX + 1];
};

enum { LOAD_CASES = 6 };
extern const struct load_case load_cases[LOAD_CASES];

#endif
