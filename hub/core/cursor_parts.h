/* hub/core/cursor_parts.h: what the files of named cursors share: cursor_commands.c (attach,
 * answer, remove), cursor_memory.c (what is kept, and its rows) and cursor_dispatch.c (who gets
 * which event, and what is given up). Included by these only.
 *
 * Owns     the module's state: all cursors.
 * Threads  the writer.       Units  milliseconds.
 */
#ifndef WAGGLE_HUB_CORE_CURSOR_PARTS_H
#define WAGGLE_HUB_CORE_CURSOR_PARTS_H

#include "channels/deadlines.h"
#include "hub/core/cursor_commands.h"
#include "hub/core/writer_parts.h"
#include "store/pack.h"

struct consumer {
    uint64_t connection;
    struct return_address to;
    uint32_t out;
};

struct held_cursor {
    uint32_t number, app, generation; /* number 0: a place that is free */
    uint64_t channel, channel_hash;
    int64_t created_ms;
    struct cursor cursor;
    struct consumer *consumers;
    uint32_t consumers_n, consumers_cap;
    uint32_t next_in_bucket; /* number */
    bool touched;            /* in the list of those to be looked at when the batch ends */
    uint8_t channel_n, name_n;
    char channel_name[CURSOR_CHANNEL_BYTES_MAX], name[CURSOR_NAME_BYTES_MAX];
};

struct cursors {
    struct cursors_options options;
    struct held_cursor *all; /* by number; [0] is not used */
    uint32_t n, cap, live;
    uint32_t *buckets; /* by channel_hash: number of the first */
    uint32_t buckets_n;
    struct deadlines deadlines;
    uint32_t *touched;
    uint32_t touched_n, touched_cap;
    uint64_t life; /* counts starts; 0: not loaded yet */
};

/* ---- cursor_memory.c ---- */

struct slice held_channel(const struct held_cursor *h);
struct slice held_name(const struct held_cursor *h);
struct held_cursor *held_add(struct cursors *all, uint32_t number, uint32_t app,
                             struct slice channel, struct slice name);
void held_drop(struct cursors *all, struct held_cursor *h);
struct held_cursor *held_at(struct cursors *all, uint32_t number); /* NULL: there is none */
struct held_cursor *held_find(struct cursors *all, uint32_t app, struct slice channel,
                              struct slice name);
/* It is looked at when the batch ends: hands out what it may, and writes its row. */
void held_touch(struct cursors *all, struct held_cursor *h);
/* The consumer's place; consumers_n: it is none. */
uint32_t held_consumer(const struct held_cursor *h, uint64_t connection);
struct consumer *held_consumer_add(struct held_cursor *h, uint64_t connection,
                                   struct return_address to);
enum hub_rc held_write(struct apply *a, const struct cursors *all, const struct held_cursor *h);

void *cursors_open(const void *options);
void cursors_close(void *state);
enum hub_rc cursors_load(void *state, struct store_view *view, int64_t now_ms);
void cursors_recall(const void *state, bool lasting, struct buf *out);

/* ---- cursor_dispatch.c ---- */

struct cursor_rules held_rules(const struct apply *a, const struct held_cursor *h);
/* The consumer has one less in hand. */
void held_less(struct held_cursor *h, uint64_t connection);
/* It waits again, or had its deliveries and is given up. delay_ms < 0: as the rules say. */
enum hub_rc held_come_back(struct apply *a, struct held_cursor *h, struct cursor_item *item,
                           int64_t delay_ms);
/* To `<channel>.dead`. */
enum hub_rc held_give_up(struct apply *a, struct held_cursor *h, uint64_t offset,
                         const char *reason);
enum hub_rc cursors_finish(struct apply *a, struct tray *const *trays, unsigned trays_n);

#endif
