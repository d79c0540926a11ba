/* hub/core/cursor_commands.h: named cursors on channels: durable positions with explicit acks,
 * shared by any number of connections (native-protocol.md section 5, promise 5).
 *
 * The writer decides who gets which event and when again; what it decided is on disk before anyone
 * is told. A connection hears of it by a handout on a tray (hub/core/tray.h) and reads the event
 * itself. How patient a cursor is, its channel's namespace says (ack_wait, max_in_flight,
 * max_deliver). An event that had its deliveries, or that was given up (term), goes to
 * `<channel>.dead`.
 *
 * Rows     TABLE_CURSOR: number (4) -> row: channel, name, position, consumers, what is in flight.
 * Owns     the module: all cursors in memory, rebuilt from their rows.
 * Threads  apply functions: the writer. …_put, …_get, cursor_get: any.     Units  milliseconds.
 * Limits   CURSORS_MAX cursors in all, CURSOR_CONSUMERS_MAX connections a cursor.
 */
#ifndef WAGGLE_HUB_CORE_CURSOR_COMMANDS_H
#define WAGGLE_HUB_CORE_CURSOR_COMMANDS_H

#include "channels/cursor.h"
#include "channels/name.h"
#include "hub/core/writer.h"

enum { MODULE_CURSORS = 7 }; /* its place among the writer's modules */

enum {
    CURSOR_NAME_BYTES_MAX = 64,
    CURSOR_CHANNEL_BYTES_MAX = CHANNEL_NAME_BYTES_MAX - 5, /* ".dead" must fit behind it */
    CURSORS_MAX = 100000,
    CURSOR_CONSUMERS_MAX = 1000,
};

extern const struct module cursors_module;

struct cursors_options {
    uint64_t hash_seed; /* of channel hashes in trays */
};

/* ---- attaching ---- */

struct cursor_attach {
    struct slice channel, name;
    struct why why; /* whose it is when it is made; who removes it, and why */
    uint64_t connection;
    bool has_since; /* where a new cursor begins; one that is known goes on where it stands */
    uint64_t since, rewind;
};
void cursor_attach_put(struct buf *b, const struct cursor_attach *attach);

struct cursor_attached {
    uint32_t number;
    bool created;
    uint64_t channel; /* its number */
    uint64_t last;    /* its last offset */
    uint64_t settled; /* everything up to there is done with */
    uint32_t in_flight;
};
bool cursor_attached_get(struct slice reply, struct cursor_attached *out);

/* The connection, or its interest in the cursor, is gone; unsent: offsets (8 bytes each) that were
 * handed out and never left the hub, which do not count as delivered. By name, as the connection
 * may go before it is answered. */
void cursor_detach_put(struct buf *b, struct slice channel, struct slice name, uint64_t connection,
                       struct slice unsent);

/* ---- answers to deliveries ---- */

enum cursor_verdict { CURSOR_ACK, CURSOR_NACK, CURSOR_PROGRESS, CURSOR_TERM, CURSOR_VERDICTS };

struct cursor_answer {
    uint32_t number;
    enum cursor_verdict verdict;
    uint64_t offset, connection;
    int64_t delay_ms; /* nack; < 0: as the count of deliveries says */
};
void cursor_answer_put(struct buf *b, const struct cursor_answer *answer);

/* command_cursor_delete: channel, name and why as in cursor_attach_put; refused while a connection
 * is attached. That a cursor was made or removed is told on the channel `channels`. */
extern const struct command_kind command_cursor_attach, command_cursor_detach,
    command_cursor_answer, command_cursor_delete;

/* ---- reads ---- */

struct cursor_row {
    uint32_t number, app, generation;
    struct slice channel, name;
    uint64_t channel_number, top;
    int64_t created_ms;
    uint64_t life; /* of the hub, in which it was written */
    uint32_t consumers_n, items_n;
    struct slice consumers, items; /* packed */
};
/* Rows of another life name connections that are gone. Constant once the writer is made. */
uint64_t cursors_life(const void *module_state);
bool cursor_row_get(struct slice row, struct cursor_row *out);

#endif
