#include "hub/messages/lists.h"
#include "store/hash.h"
#include "store/mem.h"

#include <ctype.h>

enum {
    ROW_VERSION = 1,
    NUMBER_BYTES = 8,
    HEAD_NUMBERS = 64, /* and so many has a block, before others find their place in it */
    HEAD_FIXED = 1 + 8 + 8,
    KEY_BYTES_MAX = 1 + 4 + 8 + NUMBER_BYTES
};
static const uint64_t WORD_SEED = UINT64_C(0x6d6c7374);

static enum store_rc gone_is_fine(enum store_rc rc)
{
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}

/* ---- keys ---- */

struct place {
    uint8_t key[KEY_BYTES_MAX];
    size_t n; /* of the head's key, and of what the keys of all its blocks begin with */
};

static struct place place_of(enum message_list list, uint32_t app, struct slice word)
{
    struct place p = {.n = 5};
    p.key[0] = (uint8_t)list;
    be32_put(p.key + 1, app);
    if (list != MESSAGES_ALL) {
        be64_put(p.key + p.n, hash64_named(WORD_SEED, app, word));
        p.n += 8;
    }
    return p;
}

static struct slice head_key(const struct place *p)
{
    return slice_of(p->key, p->n);
}

static struct slice block_key(const struct place *p, uint64_t last, uint8_t key[KEY_BYTES_MAX])
{
    memcpy(key, p->key, p->n);
    key[0] = (uint8_t)toupper(key[0]);
    be64_put(key + p->n, last);
    return slice_of(key, p->n + NUMBER_BYTES);
}

static bool is_block_of(const struct place *p, struct slice key)
{
    return key.n == p->n + NUMBER_BYTES && key.p[0] == toupper(p->key[0]) &&
           memcmp(key.p + 1, p->key + 1, p->n - 1) == 0;
}

/* ---- runs: numbers in ascending order, as a head and a block have them ---- */

static size_t run_n(struct slice run)
{
    return run.n / NUMBER_BYTES;
}

static uint64_t run_at(struct slice run, size_t i)
{
    return be64_get(run.p + i * NUMBER_BYTES);
}

static struct slice run_part(struct slice run, size_t from, size_t until)
{
    return slice_of(run.p + from * NUMBER_BYTES, (until - from) * NUMBER_BYTES);
}

/* The first that is not below number; run_n() when all are. Most that are asked for are new. */
static size_t run_find(struct slice run, uint64_t number)
{
    size_t low = 0, high = run_n(run);
    if (high && run_at(run, high - 1) < number) {
        return high;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (run_at(run, middle) < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool run_has(struct slice run, uint64_t number)
{
    size_t i = run_find(run, number);
    return i < run_n(run) && run_at(run, i) == number;
}

/* ---- heads ---- */

struct head {
    uint64_t floor; /* below it nothing is left */
    uint64_t count; /* from the floor on, blocks included */
    struct slice run;
};

/* Borrowed; all zero when there is none. */
static enum store_rc head_get(struct store_view *view, const struct place *p, struct head *out)
{
    struct slice row;
    *out = (struct head){.count = 0};
    enum store_rc rc = store_get(view, TABLE_MAIL_INDEX, head_key(p), &row);
    if (rc != STORE_OK) {
        return gone_is_fine(rc);
    }
    if (row.n < HEAD_FIXED || row.p[0] != ROW_VERSION || (row.n - HEAD_FIXED) % NUMBER_BYTES != 0) {
        return STORE_DAMAGED;
    }
    out->floor = be64_get(row.p + 1);
    out->count = be64_get(row.p + 9);
    out->run = slice_of(row.p + HEAD_FIXED, row.n - HEAD_FIXED);
    return STORE_OK;
}

static enum store_rc head_put(struct store_txn *txn, const struct place *p, const struct head *head)
{
    uint8_t row[HEAD_FIXED + (HEAD_NUMBERS + 1) * NUMBER_BYTES];
    row[0] = ROW_VERSION;
    be64_put(row + 1, head->floor);
    be64_put(row + 9, head->count);
    memcpy(row + HEAD_FIXED, head->run.p, head->run.n);
    return store_put(txn, TABLE_MAIL_INDEX, head_key(p), slice_of(row, HEAD_FIXED + head->run.n));
}

static bool has_blocks(const struct head *head)
{
    return head->count > run_n(head->run) - run_find(head->run, head->floor);
}

/* ---- blocks ---- */

static enum store_rc block_put(struct store_txn *txn, const struct place *p, struct slice run)
{
    uint8_t key[KEY_BYTES_MAX];
    uint64_t last = run_at(run, run_n(run) - 1);
    return store_put(txn, TABLE_MAIL_INDEX, block_key(p, last, key), run);
}

/* Copies the first block that ends at number or behind it. */
static enum store_rc block_find(struct store_view *view, const struct place *p, uint64_t number,
                                struct buf *out_run)
{
    uint8_t at[KEY_BYTES_MAX];
    struct store_cursor *cursor;
    struct slice key, run;
    enum store_rc rc = store_cursor_open(view, TABLE_MAIL_INDEX, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = store_cursor_seek(cursor, block_key(p, number, at), &key, &run);
    if (rc == STORE_OK && is_block_of(p, key)) {
        buf_add_slice(out_run, run);
    } else if (rc == STORE_OK) {
        rc = STORE_NOT_FOUND;
    }
    store_cursor_close(cursor);
    return rc;
}

/* ---- adding and dropping ---- */

static void insert(struct buf *out, struct slice run, uint64_t number)
{
    uint8_t bytes[NUMBER_BYTES];
    size_t i = run_find(run, number);
    be64_put(bytes, number);
    buf_add_slice(out, run_part(run, 0, i));
    buf_add(out, bytes, sizeof bytes);
    buf_add_slice(out, run_part(run, i, run_n(run)));
}

/* A block that has grown to two is two. STORE_EXISTS: it has the number. */
static enum store_rc add_to_block(struct store_txn *txn, const struct place *p, struct slice run,
                                  uint64_t number)
{
    struct buf grown = {0};
    if (run_has(run, number)) {
        return STORE_EXISTS;
    }
    insert(&grown, run, number);
    struct slice all = buf_slice(&grown);
    bool two = run_n(all) >= (size_t)2 * HEAD_NUMBERS;
    enum store_rc rc =
        two ? block_put(txn, p, run_part(all, 0, HEAD_NUMBERS)) : block_put(txn, p, all);
    if (two && rc == STORE_OK) {
        rc = block_put(txn, p, run_part(all, HEAD_NUMBERS, run_n(all)));
    }
    buf_done(&grown);
    return rc;
}

/* One that is older than all of the head: an agent registered after the message came.
 * STORE_NOT_FOUND: it is newer than all blocks. */
static enum store_rc add_older(struct store_txn *txn, const struct place *p, uint64_t number)
{
    struct buf run = {0};
    enum store_rc rc = block_find(store_txn_view(txn), p, number, &run);
    if (rc == STORE_OK) {
        rc = add_to_block(txn, p, buf_slice(&run), number);
    }
    buf_done(&run);
    return rc;
}

/* A full head becomes a block, but for its newest. */
static enum store_rc add_to_head(struct store_txn *txn, const struct place *p, struct head *head,
                                 uint64_t number)
{
    struct buf grown = {0};
    insert(&grown, head->run, number);
    struct slice all = buf_slice(&grown);
    enum store_rc rc = STORE_OK;
    if (run_n(all) > HEAD_NUMBERS) {
        rc = block_put(txn, p, run_part(all, 0, HEAD_NUMBERS));
        all = run_part(all, HEAD_NUMBERS, run_n(all));
    }
    head->run = all;
    if (rc == STORE_OK) {
        rc = head_put(txn, p, head);
    }
    buf_done(&grown);
    return rc;
}

enum store_rc message_list_add(struct store_txn *txn, enum message_list list, uint32_t app,
                               struct slice word, uint64_t number)
{
    struct place p = place_of(list, app, word);
    struct head head;
    enum store_rc rc = head_get(store_txn_view(txn), &p, &head);
    if (rc != STORE_OK || number < head.floor || run_has(head.run, number)) {
        return rc;
    }
    bool older = run_find(head.run, number) == 0 && has_blocks(&head);
    struct buf kept = {0};
    buf_add_slice(&kept, head.run); /* a write moves what the view lent */
    head.run = buf_slice(&kept);
    rc = older ? add_older(txn, &p, number) : STORE_NOT_FOUND;
    head.count += rc != STORE_EXISTS;
    if (rc == STORE_OK) {
        rc = head_put(txn, &p, &head);
    } else if (rc == STORE_NOT_FOUND) {
        rc = add_to_head(txn, &p, &head, number);
    }
    buf_done(&kept);
    return rc == STORE_EXISTS ? STORE_OK : rc;
}

enum store_rc message_list_drop(struct store_txn *txn, enum message_list list, uint32_t app,
                                struct slice word, uint64_t number)
{
    uint8_t key[KEY_BYTES_MAX];
    struct place p = place_of(list, app, word);
    struct head head;
    enum store_rc rc = head_get(store_txn_view(txn), &p, &head);
    if (rc != STORE_OK || head.count == 0 || number < head.floor) {
        return rc;
    }
    head.floor = number + 1;
    head.count--;
    head.run = run_part(head.run, run_find(head.run, head.floor), run_n(head.run));
    rc = head.count ? head_put(txn, &p, &head) : store_del(txn, TABLE_MAIL_INDEX, head_key(&p));
    if (rc == STORE_OK) {
        rc = gone_is_fine(store_del(txn, TABLE_MAIL_INDEX, block_key(&p, number, key)));
    }
    return rc;
}

/* ---- reading ---- */

bool message_list_has(struct store_view *view, enum message_list list, uint32_t app,
                      struct slice word, uint64_t number)
{
    struct place p = place_of(list, app, word);
    struct buf run = {0};
    struct head head;
    if (head_get(view, &p, &head) != STORE_OK || number < head.floor) {
        return false;
    }
    bool has = run_has(head.run, number);
    if (!has && run_find(head.run, number) == 0 && has_blocks(&head) &&
        block_find(view, &p, number, &run) == STORE_OK) {
        has = run_has(buf_slice(&run), number);
    }
    buf_done(&run);
    return has;
}

enum store_rc message_list_count(struct store_view *view, enum message_list list, uint32_t app,
                                 struct slice word, uint64_t *out)
{
    struct place p = place_of(list, app, word);
    struct head head;
    enum store_rc rc = head_get(view, &p, &head);
    *out = head.count;
    return rc;
}

struct walk {
    uint64_t from;  /* the first to be shown may be this one */
    uint64_t floor; /* none below it */
    message_visit *visit;
    void *ctx;
    bool over;
};

static void walk_up(struct walk *w, struct slice run)
{
    for (size_t i = run_find(run, w->from); i < run_n(run) && !w->over; i++) {
        w->over = !w->visit(w->ctx, run_at(run, i));
    }
}

static void walk_down(struct walk *w, struct slice run)
{
    for (size_t i = run_find(run, w->from + 1); i > 0 && !w->over; i--) {
        uint64_t number = run_at(run, i - 1);
        w->over = number < w->floor || !w->visit(w->ctx, number);
    }
}

static enum store_rc walk_blocks_up(struct walk *w, const struct place *p,
                                    struct store_cursor *cursor)
{
    uint8_t at[KEY_BYTES_MAX];
    struct slice key, run;
    enum store_rc rc = store_cursor_seek(cursor, block_key(p, w->from, at), &key, &run);
    while (rc == STORE_OK && !w->over && is_block_of(p, key)) {
        walk_up(w, run);
        rc = store_cursor_next(cursor, &key, &run);
    }
    return rc;
}

/* The block that ends at `from` or behind it may have some before it. */
static enum store_rc walk_blocks_down(struct walk *w, const struct place *p,
                                      struct store_cursor *cursor)
{
    uint8_t at[KEY_BYTES_MAX];
    struct slice key, run;
    enum store_rc rc = store_cursor_seek(cursor, block_key(p, w->from, at), &key, &run);
    if (rc == STORE_NOT_FOUND) {
        rc = store_cursor_last(cursor, &key, &run);
    } else if (rc == STORE_OK && !is_block_of(p, key)) {
        rc = store_cursor_prev(cursor, &key, &run);
    }
    while (rc == STORE_OK && !w->over && is_block_of(p, key)) {
        walk_down(w, run);
        rc = store_cursor_prev(cursor, &key, &run);
    }
    return rc;
}

static enum store_rc walk_blocks(struct walk *w, const struct place *p, struct store_view *view,
                                 bool reverse)
{
    struct store_cursor *cursor;
    enum store_rc rc = store_cursor_open(view, TABLE_MAIL_INDEX, &cursor);
    if (rc == STORE_OK) {
        rc = reverse ? walk_blocks_down(w, p, cursor) : walk_blocks_up(w, p, cursor);
        store_cursor_close(cursor);
    }
    return gone_is_fine(rc);
}

enum store_rc messages_each(struct store_view *view, enum message_list list, uint32_t app,
                            struct slice word, uint64_t from, bool reverse, message_visit *visit,
                            void *ctx)
{
    struct place p = place_of(list, app, word);
    struct walk w = {.visit = visit, .ctx = ctx};
    struct head head;
    struct buf run = {0}; /* a cursor of the writer's moves what the view lent */
    enum store_rc rc = head_get(view, &p, &head);
    buf_add_slice(&run, head.run);
    head.run = buf_slice(&run);
    w.floor = head.floor;
    if (reverse) {
        w.from = from == 0 || from == UINT64_MAX ? UINT64_MAX - 1 : from;
        walk_down(&w, head.run);
    } else {
        w.from = from + 1 > head.floor ? from + 1 : head.floor;
    }
    if (rc == STORE_OK && !w.over && has_blocks(&head)) {
        rc = walk_blocks(&w, &p, view, reverse);
    }
    if (rc == STORE_OK && !reverse) {
        walk_up(&w, head.run);
    }
    buf_done(&run);
    return rc;
}
