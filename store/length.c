/* A data file that was cut short, say by a copy that broke off, would end the process with SIGBUS
 * at the first page that is missing. Its size alone does not tell: LMDB leaves the last pages
 * unwritten when the transaction that took them gave them back. A short file is whole when
 * everything that it lacks is free.
 *
 * To look at the free list safely the file is first made as long as it should be; a page that was
 * never there then reads as zeros, which LMDB refuses as a page of its trees. */
#define _GNU_SOURCE
#include "store/env.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

enum store_rc store_check_length(struct store *store)
{
    struct stat st;
    MDB_envinfo info;
    struct free_pages pages;
    int fd = -1;
    if (mdb_env_get_fd(store->env, &fd) != 0 || fstat(fd, &st) != 0)
        return STORE_IO;
    (void)mdb_env_info(store->env, &info);
    uint64_t due = info.me_last_pgno + 1, there = (uint64_t)st.st_size / store->page_bytes;
    if (there >= due)
        return STORE_OK;
    if (ftruncate(fd, (off_t)(due * store->page_bytes)) != 0)
        return store_rc_of(errno);
    struct free_query query = {.oldest_txn = UINT64_MAX, .first_page = there};
    if (store_free_pages(store, &query, &pages) == 0 && pages.high == due - there)
        return STORE_OK;
    /* Whoever tries to rescue it should find it as it was. */
    return ftruncate(fd, st.st_size) == 0 ? STORE_DAMAGED : STORE_IO;
}
