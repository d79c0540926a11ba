/* hub/filter.h: a filter on the process's own system calls (seccomp): once listeners and files are
 * open, what the hub needs from then on and nothing else. No program is started, no socket opened,
 * no memory made executable, whatever a fault in the hub lets somebody try.
 *
 * Threads  the main thread, once; it holds for all threads there are and come.
 * Errors   a sentence. A build with a sanitizer has no filter (filter_none.c): its run-time makes
 * calls of its own, tracing and starting processes among them.
 */
#ifndef WAGGLE_HUB_FILTER_H
#define WAGGLE_HUB_FILTER_H

#include <stdbool.h>
#include <stddef.h>

enum filter_manner {
    FILTER_REFUSE, /* what is not allowed fails with EPERM, and the hub goes on */
    FILTER_KILL    /* … ends the process, by SIGSYS, once `told` has named it */
};

/* told: in the handler of a signal, on the thread at fault; may do what such a handler may. */
typedef void filter_told(const char *call, int number);

bool filter_install(enum filter_manner manner, filter_told *told, char *out_text, size_t text_n);

#endif
