/* How full the store is: what is neither free nor beyond the end of the file is in use.
 *
 * Free pages that a live reader may still look at cannot be used again. They are counted apart, and
 * as taken when it comes to the quota: one forgotten reader fills a map with free pages. */
#include "store/env.h"

#include <stdlib.h>

/* After a full disk, room for two of the largest batches must be back. */
enum { DISK_BYTES_LEFT_MIN = 16 << 20 };

struct readers {
    unsigned live;
    uint64_t oldest; /* transaction that the oldest snapshot shows; UINT64_MAX: there is none */
};

/* mdb_reader_list() has no other form than text: a heading, then "pid thread transaction" a line,
 * with "-" for a reader that holds no snapshot. */
static int count_reader(const char *line, void *ctx)
{
    struct readers *readers = ctx;
    char *thread, *at, *end;
    (void)strtol(line, &thread, 10);
    if (thread == line)
        return 0;
    readers->live++;
    (void)strtoull(thread, &at, 16);
    uint64_t txn = strtoull(at, &end, 10);
    if (end != at && txn < readers->oldest)
        readers->oldest = txn;
    return 0;
}

/* Room is there again when the quota is, and after a full disk the disk has some as well. */
static void judge(struct store *store, const struct store_usage *usage)
{
    uint64_t taken = usage->bytes_used + usage->bytes_pinned;
    uint64_t growth = taken < store->quota_bytes ? store->quota_bytes - taken : 0;
    uint64_t limit = usage->bytes_file + growth;
    atomic_store(&store->file_limit, limit < store->map_bytes ? limit : store->map_bytes);
    bool full = growth == 0;
    if (atomic_load(&store->disk_full)) {
        bool room = store_disk_bytes_left(store) >= DISK_BYTES_LEFT_MIN;
        atomic_store(&store->disk_full, !room);
        full = full || !room;
    }
    atomic_store(&store->full, full);
}

enum store_rc store_usage(struct store *store, struct store_usage *out)
{
    struct readers readers = {.oldest = UINT64_MAX};
    struct free_pages pages;
    MDB_envinfo info;
    (void)mdb_reader_list(store->env, count_reader, &readers);
    struct free_query query = {.oldest_txn = readers.oldest, .first_page = UINT64_MAX};
    int code = store_free_pages(store, &query, &pages);
    if (code != 0)
        return store_rc_of(code);
    (void)mdb_env_info(store->env, &info);
    uint64_t file_pages = info.me_last_pgno + 1;
    if (pages.all > file_pages)
        return STORE_DAMAGED;
    *out = (struct store_usage){
        .bytes_used = (file_pages - pages.all) * store->page_bytes,
        .bytes_pinned = pages.pinned * store->page_bytes,
        .bytes_file = file_pages * store->page_bytes,
        .bytes_quota = store->quota_bytes,
        .txn_last = info.me_last_txnid,
        .reader_lag_txns =
            readers.oldest < info.me_last_txnid ? info.me_last_txnid - readers.oldest : 0,
        .readers = readers.live - (store->seen && readers.live > 0), /* less the writer's own */
        .readers_max = store->readers_max,
    };
    judge(store, out);
    return STORE_OK;
}

bool store_is_full(const struct store *store)
{
    return atomic_load(&store->full);
}
