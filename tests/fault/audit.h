/* tests/fault/audit.h: opens a data folder as the hub does, without the hub, and reads all of it.
 *
 * Owns     the store, the log, a reader.       Threads  one.
 * Errors   texts: what the store says of a folder it refuses.
 */
#ifndef WAGGLE_FAULT_AUDIT_H
#define WAGGLE_FAULT_AUDIT_H

#include "store/log.h"
#include "store/mem.h"

struct audit {
    struct store *store;
    struct log *log;
    struct store_reader *reader;
    char text[4400]; /* why it was refused, or what log_open() says is damaged; or empty */
    struct log_audit sums;
    uint64_t damaged; /* ranges that reading named, and faults that verifying did */
};

/* False: refused. The audit is to be closed in any case. */
bool audit_open(struct audit *audit, const char *dir);
void audit_close(struct audit *audit);

/* Calls visit for every record of every channel, in order; counts what cannot be read. False: the
 * store could not be read on. */
typedef void audit_visit(void *ctx, const struct log_channel *channel,
                         const struct log_record *record);
bool audit_records(struct audit *audit, audit_visit *visit, void *ctx);

/* log_verify(); its faults are counted and the first becomes the text. */
bool audit_verify(struct audit *audit);

/* xorshift64*: the same run from the same seed everywhere. */
uint64_t random_next(uint64_t *seed);

/* Whole files and folders; they end the program when the disk does not do as it should. */
void folder_begin(const char *path); /* made, with what is above it; emptied */
void file_read(const char *path, struct buf *out);
void file_write(const char *path, struct slice bytes);

#endif
