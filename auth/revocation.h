/* auth/revocation.h: credentials that ended before their time.
 *
 * Revoked is one token (by jti), all tokens of one subject or of a whole app that were issued at or
 * before a moment, or one API key. Tokens know their time of issue in whole seconds, so one minted
 * within the second of the revocation counts as older.
 *
 * Rows     TABLE_REVOCATION: app (4 bytes), kind (1), hash of the text (16; none for the app) ->
 *          version 1, before, until, made, text.
 * Owns     struct revocations: a copy of what it needs of all rows.
 * Threads  functions with a txn: the writer. The set is immutable; ref/unref from any thread.
 * Units    milliseconds since 1970.
 * Limits   1,048,576 rows; text 1..128 bytes.
 * Errors   enum store_rc: STORE_INVALID a field out of bounds, STORE_FULL too many rows.
 */
#ifndef WAGGLE_AUTH_REVOCATION_H
#define WAGGLE_AUTH_REVOCATION_H

#include "auth/principal.h"
#include "store/store.h"

enum revocation_kind {
    REVOKE_TOKEN = 1,         /* text: jti */
    REVOKE_SUBJECT = 2,       /* text: sub; tokens issued at or before before_ms */
    REVOKE_ISSUED_BEFORE = 3, /* no text; tokens of the app issued at or before before_ms */
    REVOKE_KEY = 4,           /* text: id of an API key */
};

enum { REVOCATIONS_MAX = 1 << 20 };

enum { REVOCATION_PLACE_BYTES_MAX = 17 };

struct revocation {
    uint32_t app;
    enum revocation_kind kind;
    struct slice text;
    int64_t before_ms;
    int64_t until_ms; /* nothing it hits can still be valid then, so the row may go; 0: never */
    int64_t made_ms;
};

/* A second one for the same text keeps the later before and until. */
enum store_rc revocation_add(struct store_txn *txn, const struct revocation *revocation);
/* Takes one back; STORE_NOT_FOUND: there is none. */
enum store_rc revocation_remove(struct store_txn *txn, uint32_t app, enum revocation_kind kind,
                                struct slice text);
/* Drops rows past their time, looking at no more than rows_max from *cursor on (zeroed: from the
 * first). True while there is more to look at. */
struct revocation_cursor {
    uint8_t key[21];
    uint8_t n;
};
bool revocation_sweep(struct store_txn *txn, int64_t now_ms, size_t rows_max,
                      struct revocation_cursor *cursor);

/* Of an app, in the order of their places: all behind `after`, which may be gone; empty: all. */
typedef bool revocation_visit(void *ctx, const struct revocation *revocation, struct slice place);
enum store_rc revocations_each(struct store_view *view, uint32_t app, struct slice after,
                               revocation_visit *visit, void *ctx);

struct revocations;
enum store_rc revocations_load(struct store_view *view, struct revocations **out);
struct revocations *revocations_ref(struct revocations *set);
void revocations_unref(struct revocations *set); /* NULL is fine */
size_t revocations_count(const struct revocations *set);
bool revoked(const struct revocations *set, const struct principal *p);

#endif
