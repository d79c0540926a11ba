/* tests/load/cases.h: what is done to the hub, one case a row.
 *
 * Limits   anon_mib: what the hub's own memory may grow by at most while the case lasts, from the
 *          bounds that its configuration states. kept_mib: what may be left of that: what the hub
 *          keeps whatever was done to it, above all the ring of the newest records (16 MiB,
 *          store/recent.c), which a case fills that causes many events.
 */
#ifndef WAGGLE_LOAD_CASES_H
#define WAGGLE_LOAD_CASES_H

#include "tests/load/actor.h"

enum { FLAGS_MAX = 8 };

struct load_case {
    const char *name, *what;
    actor_part *part;
    uint32_t seconds, seconds_long;
    uint32_t anon_mib, kept_mib;
    uint32_t descriptors; /* the hub's; 0: as ours */
    const char *flags[FLAGS_MAX + 1];
};

enum { LOAD_CASES = 6 };
extern const struct load_case load_cases[LOAD_CASES];

#endif
