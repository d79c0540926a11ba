/* For builds with a sanitizer. Nobody shall believe to be guarded who is not, so it is a fault to
 * ask. */
#include "hub/filter.h"

#include <stdio.h>

bool filter_install(enum filter_manner manner, filter_told *told, char *out_text, size_t text_n)
{
    (void)manner;
    (void)told;
    (void)snprintf(
        out_text, text_n,
        "process.seccomp: this build has a sanitizer in it, which makes calls of its own: "
        "say no, or take another build");
    return false;
}
