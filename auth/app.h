/* auth/app.h: apps, the tenants of the hub: everything has one and none sees another's.
 *
 * An app has a number (from 1, dense, for good), an id that people choose, and a Pusher key and
 * secret. The secret is sealed in the row (auth/secret.h). The writer keeps the rows; the I/O
 * threads ask an immutable set of all of them, built anew after a change.
 *
 * Rows     TABLE_APP: number (4 bytes) -> version 1, id, name, key, sealed secret, enabled, limits,
 *          created.
 * Owns     struct apps: copies of all; the secrets in memory that is locked, guarded and wiped.
 * Threads  functions with a txn: the writer. struct apps: immutable, ref/unref from any thread.
 * Limits   id 1..64 of A-Z a-z 0-9 _ -, name 0..128 bytes, key 1..64 as the id, secret 1..128.
 * Errors   enum store_rc: STORE_INVALID a field out of bounds, STORE_EXISTS id or key is taken,
 *          STORE_DAMAGED a row or a seal that does not open.
 */
#ifndef WAGGLE_AUTH_APP_H
#define WAGGLE_AUTH_APP_H

#include "auth/secret.h"
#include "store/pack.h"
#include "store/store.h"

#define APP_MAIN "main" /* made at the first start */

enum { APP_ID_BYTES_MAX = 64, APP_NAME_BYTES_MAX = 128, APP_SECRET_BYTES_MAX = 128 };

struct app_limits { /* 0: the hub's own limit alone */
    uint32_t connections_max;
    uint32_t channels_max;
    uint32_t publishes_per_s;
    uint32_t message_bytes_max;
};

/* The same bytes in rows and in commands. */
void app_limits_pack(struct buf *b, const struct app_limits *limits);
struct app_limits app_limits_unpack(struct unpack *u);

struct app_row {
    uint32_t number; /* app_add() gives it */
    struct slice id, name, key;
    struct slice sealed_secret; /* secret_seal() of the Pusher secret */
    bool enabled;
    struct app_limits limits;
    int64_t created_ms;
};

bool app_id_valid(struct slice id); /* also a Pusher key */

enum store_rc app_add(struct store_txn *txn, const struct app_row *row, uint32_t *out_number);
enum store_rc app_put(struct store_txn *txn, const struct app_row *row); /* replaces; same number */
/* Texts are borrowed from the view. */
enum store_rc app_get(struct store_view *view, uint32_t number, struct app_row *out);
enum store_rc app_find(struct store_view *view, struct slice id, struct app_row *out);

/* "ID:KEY:SECRET" as --app has it; slices into text. False: not of that form or out of bounds. */
bool app_option_parse(struct slice text, struct slice *out_id, struct slice *out_key,
                      struct slice *out_secret);

struct app {
    uint32_t number;
    struct slice id, name, key, secret;
    bool enabled;
    struct app_limits limits;
    int64_t created_ms;
};

struct apps;
/* A set of copies; the list is in order of numbers. */
struct apps *apps_of(const struct app *list, size_t n);
enum store_rc apps_load(struct store_view *view, const struct secret *secret, struct apps **out);
struct apps *apps_ref(struct apps *apps);
void apps_unref(struct apps *apps); /* NULL is fine */
size_t apps_count(const struct apps *apps);
const struct app *apps_at(const struct apps *apps, size_t i); /* by number, lowest first */
/* NULL: no such app. Disabled ones are found; look at `enabled`. */
const struct app *apps_by_number(const struct apps *apps, uint32_t number);
const struct app *apps_by_id(const struct apps *apps, struct slice id);
const struct app *apps_by_key(const struct apps *apps, struct slice key);
/* By id, else by number in decimal: some Pusher SDKs can only say numbers
 * (pusher-protocol.md section 10). */
const struct app *apps_by_path(const struct apps *apps, struct slice id_or_number);

#endif
