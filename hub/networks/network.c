#include "hub/networks/network.h"

enum { ROW_VERSION = 1, ID_BYTES_MAX = 64 };

void network_pack(struct buf *b, const struct network *n)
{
    pack_u8(b, ROW_VERSION);
    pack_u32(b, n->number);
    pack_u32(b, n->app);
    pack_slice(b, n->id);
    pack_slice(b, n->owner);
    pack_slice(b, n->name);
    pack_slice(b, n->description);
    pack_u32(b, n->agents.n);
    pack_slice(b, n->agents.packed);
    pack_slice(b, n->strategy);
    pack_u8(b, n->deleted);
    pack_i64(b, n->created_ms);
    pack_i64(b, n->changed_ms);
}

bool network_unpack(struct slice row, struct network *n)
{
    struct unpack u = unpack_of(row);
    uint8_t version = unpack_u8(&u);
    n->number = unpack_u32(&u);
    n->app = unpack_u32(&u);
    n->id = unpack_slice(&u);
    n->owner = unpack_slice(&u);
    n->name = unpack_slice(&u);
    n->description = unpack_slice(&u);
    n->agents.n = unpack_u32(&u);
    n->agents.packed = unpack_slice(&u);
    n->strategy = unpack_slice(&u);
    n->deleted = unpack_u8(&u) != 0;
    n->created_ms = unpack_i64(&u);
    n->changed_ms = unpack_i64(&u);
    return unpack_done(&u) && version == ROW_VERSION;
}

static struct slice number_key(uint8_t key[4], uint32_t number)
{
    be32_put(key, number);
    return slice_of(key, 4);
}

enum store_rc network_get(struct store_view *view, uint32_t number, struct network *out)
{
    uint8_t key[4];
    struct slice row;
    enum store_rc rc = store_get(view, TABLE_NETWORK, number_key(key, number), &row);
    return rc != STORE_OK ? rc : network_unpack(row, out) ? STORE_OK : STORE_DAMAGED;
}

static struct slice id_key(uint8_t key[4 + ID_BYTES_MAX], uint32_t app, struct slice id)
{
    be32_put(key, app);
    memcpy(key + 4, id.p, id.n);
    return slice_of(key, 4 + id.n);
}

enum store_rc network_find(struct store_view *view, uint32_t app, struct slice id,
                           struct network *out)
{
    uint8_t key[4 + ID_BYTES_MAX];
    struct slice value;
    if (id.n == 0 || id.n > ID_BYTES_MAX) {
        return STORE_NOT_FOUND;
    }
    enum store_rc rc = store_get(view, TABLE_NETWORK_INDEX, id_key(key, app, id), &value);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = value.n == 4 ? network_get(view, be32_get(value.p), out) : STORE_DAMAGED;
    return rc == STORE_OK && out->deleted ? STORE_NOT_FOUND : rc;
}

enum store_rc network_put(struct store_txn *txn, const struct network *network, bool new)
{
    uint8_t key[4], id[4 + ID_BYTES_MAX];
    struct buf row = {0};
    network_pack(&row, network);
    enum store_rc rc =
        store_put(txn, TABLE_NETWORK, number_key(key, network->number), buf_slice(&row));
    if (rc == STORE_OK && new) {
        rc = store_put(txn, TABLE_NETWORK_INDEX, id_key(id, network->app, network->id),
                       number_key(key, network->number));
    }
    buf_done(&row);
    return rc;
}

enum store_rc network_newest(struct store_view *view, uint32_t *out)
{
    uint64_t number;
    enum store_rc rc = store_last_number(view, TABLE_NETWORK, &number);
    *out = (uint32_t)number;
    return rc;
}

enum store_rc networks_each(struct store_view *view, uint32_t app, uint32_t from,
                            network_visit *visit, void *ctx)
{
    struct store_cursor *cursor;
    struct slice row;
    uint8_t key[4];
    enum store_rc rc = store_cursor_open(view, TABLE_NETWORK, &cursor);
    if (rc != STORE_OK) {
        return rc;
    }
    rc = from ? store_cursor_seek(cursor, number_key(key, from + 1), NULL, NULL) : STORE_NOT_FOUND;
    rc = rc == STORE_NOT_FOUND ? store_cursor_last(cursor, NULL, &row)
         : rc == STORE_OK      ? store_cursor_prev(cursor, NULL, &row)
                               : rc;
    for (; rc == STORE_OK; rc = store_cursor_prev(cursor, NULL, &row)) {
        struct network network;
        if (!network_unpack(row, &network)) {
            rc = STORE_DAMAGED;
            break;
        }
        if (network.app == app && !network.deleted && !visit(ctx, &network)) {
            break;
        }
    }
    store_cursor_close(cursor);
    return rc == STORE_NOT_FOUND ? STORE_OK : rc;
}
