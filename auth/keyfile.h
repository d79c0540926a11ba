/* auth/keyfile.h: small files that hold secrets: mode 0600, replaced whole, durable.
 *
 * Owns     nothing.
 * Threads  any, one writer a path. Writing waits for the disk: not on an I/O thread.
 * Limits   64 KiB for secrets, 1 MiB for public files.
 * Errors   enum keyfile_rc; out_text gets a sentence with path and cause, never content.
 */
#ifndef WAGGLE_AUTH_KEYFILE_H
#define WAGGLE_AUTH_KEYFILE_H

#include "store/mem.h"

enum keyfile_rc {
    KEYFILE_OK = 0,
    KEYFILE_NOT_FOUND,
    KEYFILE_EXPOSED, /* others can read it and that could not be changed */
    KEYFILE_BAD,     /* not what such a file holds */
    KEYFILE_IO,
};

/* Appends the file's bytes to out. A secret one that others may read is first made 0600. */
enum keyfile_rc keyfile_read_secret(const char *path, struct buf *out, char *out_text,
                                    size_t text_n);
enum keyfile_rc keyfile_read_public(const char *path, struct buf *out, char *out_text,
                                    size_t text_n);
/* Replaces the file (a new one beside it, synced, renamed over it; the folder synced). */
enum keyfile_rc keyfile_write_secret(const char *path, struct slice bytes, char *out_text,
                                     size_t text_n);
/* Makes the folder <data>/keys with mode 0700 unless it is there. */
enum keyfile_rc keyfile_folder(const char *data_dir, char *out_text, size_t text_n);
/* "<data>/keys/<name>" on the heap. */
char *keyfile_path(const char *data_dir, const char *name);
/* Frees a buf whose bytes are secret. */
void keyfile_wipe(struct buf *b);

#endif
