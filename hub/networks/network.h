/* hub/networks/network.h: agent networks as they are stored: agents that do tasks together, by one
 * strategy.
 *
 * Rows     TABLE_NETWORK: number (4) -> row. TABLE_NETWORK_INDEX: app (4), id -> number (4); ids
 *          begin with the time, so the index grows at its end. Numbers are dense and for good.
 * Owns     nothing: rows are borrowed.
 * Threads  writes: the writer. Reads: any view.
 * Rules    rest-contract.md section 2.
 */
#ifndef WAGGLE_HUB_NETWORKS_NETWORK_H
#define WAGGLE_HUB_NETWORKS_NETWORK_H

#include "hub/swarms/work.h"

enum {
    NETWORK_NAME_BYTES_MAX = 255,
    NETWORK_DESCRIPTION_BYTES_MAX = 4096,
    NETWORK_AGENTS_MAX = 1000,
};

struct network {
    uint32_t number, app;
    struct slice id, owner, name, description;
    struct words agents;   /* ids, in the order given */
    struct slice strategy; /* as the caller said it */
    bool deleted;          /* kept for history; not shown */
    int64_t created_ms, changed_ms;
};

void network_pack(struct buf *b, const struct network *network);
bool network_unpack(struct slice row, struct network *out);
enum store_rc network_get(struct store_view *view, uint32_t number, struct network *out);
enum store_rc network_find(struct store_view *view, uint32_t app, struct slice id,
                           struct network *out);
enum store_rc network_put(struct store_txn *txn, const struct network *network, bool new);
enum store_rc network_newest(struct store_view *view, uint32_t *out);

/* Of an app, newest first, from number `from` down (0: the newest); the visitor returns false to
 * stop. */
typedef bool network_visit(void *ctx, const struct network *network);
enum store_rc networks_each(struct store_view *view, uint32_t app, uint32_t from,
                            network_visit *visit, void *ctx);

#endif
