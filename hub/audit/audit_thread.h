/* hub/audit/audit_thread.h: where the auditor lives: a thread that rests most of the time while
 * others work, so that hashing what was told keeps nobody waiting who is told or tells. Under a
 * heavy load it falls behind, and catches up afterwards.
 *
 * To the writer it is one more I/O thread, without sockets: number hub->threads_n.
 *
 * Threads  new, start, stop, free: the one that starts and ends the hub.
 * Errors   NULL, false: the store has no reader left, or the system no thread.
 */
#ifndef WAGGLE_HUB_AUDIT_AUDIT_THREAD_H
#define WAGGLE_HUB_AUDIT_AUDIT_THREAD_H

#include "hub/core/hub.h"

struct audit_thread;

/* Once the writer is made and before it runs. */
struct audit_thread *audit_thread_new(struct hub *hub, void (*draw)(void *out, size_t n));
bool audit_thread_start(struct audit_thread *thread);
/* Before the writer ends. */
void audit_thread_stop(struct audit_thread *thread);
/* Once the writer has ended: it may still be sending trays back. */
void audit_thread_free(struct audit_thread *thread); /* NULL is fine */

#endif
