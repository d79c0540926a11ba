/* tests/sim/disk.h: a disk that can lose what was not synced, fill up, fail, or stop in the midst
 * of a write.
 *
 * The executable's own open, pwrite, writev, fdatasync … stand before the C library's, so LMDB's go
 * through here (dependencies.md). Files named data.mdb are watched, all others are left alone.
 *
 * Owns     what the data file held before each write since the last sync.
 * Threads  one.       Units  operations are writes and syncs of the data file.
 */
#ifndef WAGGLE_SIM_DISK_H
#define WAGGLE_SIM_DISK_H

#include "tests/sim/rng.h"

enum disk_fault {
    DISK_SOUND,
    DISK_STOPS, /* power goes: this operation is torn, none after it happens */
    DISK_FULL,  /* ENOSPC, also for the writes after it until disk_arm(DISK_SOUND) */
    DISK_EIO,   /* once */
};

/* Begins to watch; path is the data file's, NULL: none. */
void disk_reset(const char *path);
/* The fault happens at the n-th operation from now, 0 being the next. */
void disk_arm(enum disk_fault fault, unsigned n);
bool disk_stopped(void); /* the armed stop has happened */
bool disk_failing(void); /* a fault other than a stop has happened since it was armed */
/* Power comes back: a random subset of what was not synced is undone, newest first, one of the
 * writes perhaps in part. The file must not be open. */
void disk_crash(struct rng *rng);
uint64_t disk_operations(void);

#endif
