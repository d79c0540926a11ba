/* store/timers.h: timers are rows, the earliest first; the writer turns due ones into commands.
 *
 * Threads  the writer.     Units  milliseconds since 1970.
 * Rows     TABLE_TIMER: due time (8 bytes, sign bit turned over) and id (8 bytes), big-endian ->
 *          checksum (4 bytes), kind (2 bytes), body.
 *          TABLE_META "timer_id": the newest id; ids begin at 1 and never come again.
 */
#ifndef WAGGLE_STORE_TIMERS_H
#define WAGGLE_STORE_TIMERS_H

#include "store/store.h"

/* Names a timer for cancelling; all zero: none. */
struct timer_ref {
    int64_t due_ms;
    uint64_t id;
};

struct timer {
    struct timer_ref ref;
    uint16_t kind;     /* the caller's */
    struct slice body; /* borrowed until the next write in txn */
};

enum { TIMER_BODY_BYTES_MAX = 1024 };

enum store_rc timer_add(struct store_txn *txn, int64_t due_ms, uint16_t kind, struct slice body,
                        struct timer_ref *out_ref);
/* When the earliest is due that was added in this batch; INT64_MAX: none was. */
int64_t timer_added_due(const struct store_txn *txn);
enum store_rc timer_cancel(struct store_txn *txn, struct timer_ref ref); /* STORE_NOT_FOUND: gone */
/* The earliest timer whose time is at most now_ms, of equal ones the one added first;
 * STORE_NOT_FOUND when none is due. With STORE_DAMAGED out->ref is set when out->ref.id is not 0:
 * cancel it to get at the next. */
enum store_rc timer_first_due(struct store_view *view, int64_t now_ms, struct timer *out);
/* When the earliest is due; INT64_MAX when there is none, INT64_MIN when the table cannot be read:
 * timer_first_due() then says why. */
int64_t timer_next_due(struct store_view *view);

#endif
