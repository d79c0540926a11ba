/* tests/fault/wiretap.h: what the preloaded library (preload.c) shares with those who read it.
 *
 * WAGGLE_FAULT_DIR      the data folder; files below it are watched, LMDB's lock files are not.
 * WAGGLE_FAULT_CONTROL  a file of struct fault_control, mapped: may be changed while the hub runs.
 * WAGGLE_FAULT_LOG      where every change to the folder, every sync, and every byte that is sent
 * to a socket is written down, in the order in which they happened.
 *
 * Units  bytes; operations are writes, syncs and truncations, counted from 1.
 */
#ifndef WAGGLE_FAULT_WIRETAP_H
#define WAGGLE_FAULT_WIRETAP_H

#include <stdint.h>

struct fault_control { /* native byte order: full.test.mjs and nth.test.mjs read and write it, too
                        */
    uint64_t operations;
    uint64_t fail_at; /* 0: none fails */
    uint32_t error;   /* errno */
    uint32_t stays;   /* 1: writes go on failing after it, as on a full disk; syncs do not */
    uint64_t faults;  /* how many were made */
};

enum tap_kind {
    TAP_NAME = 1, /* a name was opened or made: file, at = 1 when made; bytes: path in the folder */
    TAP_WRITE,    /* file, at, bytes */
    TAP_WRITE_SYNC, /* the same, on disk when it returned (O_DSYNC) */
    TAP_SYNC,       /* file: all of it before is on disk; a folder's: its names are */
    TAP_TRUNCATE,   /* file, at = length */
    TAP_RENAME,     /* bytes: from, NUL, to */
    TAP_UNLINK,     /* bytes: path */
    TAP_FOLDER,     /* file, bytes: path; at = 1 when made */
    TAP_TOLD,       /* bytes are about to be sent to a socket */
};

/* One record of the log; bytes_n bytes follow. */
struct tap {
    uint32_t kind;
    uint32_t bytes_n;
    uint64_t file; /* inode */
    uint64_t at;
};

#endif
