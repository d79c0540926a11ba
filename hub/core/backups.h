/* hub/core/backups.h: hot backups, and what can be done with one: verify, restore.
 *
 * A backup is a folder <data>/backups/<name> that is a data folder itself: data.mdb as of one
 * moment, the keys that belong to it, and manifest.json, written last, with a digest of each file.
 * It is made in backups/.making and has its name once it has been read whole: so whoever verifies
 * what has a name never meets the one that is being finished.
 *
 * Owns     the thread that makes a backup; one at a time.
 * Threads  backups_start, backups_have, backups_last, backups_under_way: any. The rest: one at a
 *          time, without a hub on the folders.
 * Errors   false, and a sentence that names the path and the cause.
 */
#ifndef WAGGLE_HUB_CORE_BACKUPS_H
#define WAGGLE_HUB_CORE_BACKUPS_H

#include "store/log.h"

enum { BACKUP_NAME_MAX = 64, BACKUP_TEXT_MAX = 1024 };

struct backups;

struct backup_result { /* never changes, and lives as long as the backups */
    uint64_t number;   /* 1, 2, 3 … since the start */
    char name[BACKUP_NAME_MAX + 1];
    int64_t begun_ms;
    bool done; /* false: text says why not */
    char text[BACKUP_TEXT_MAX];
    struct backup_result *before;
};

struct backups *backups_new(struct store *store, const char *data_dir);
void backups_free(struct backups *backups); /* NULL is fine; waits for one under way */
/* False: one is under way. name: letters, digits, - and _. */
bool backups_start(struct backups *backups, const char *name, int64_t now_ms);
bool backups_running(const struct backups *backups);
/* There is a folder of that name, or one is being made. */
bool backups_have(const struct backups *backups, const char *name);
const struct backup_result *backups_last(const struct backups *backups); /* NULL: none yet */

enum backup_phase { BACKUP_COPYING, BACKUP_CHECKING };
struct backup_progress {
    const char *name; /* lives as long as the backups */
    int64_t begun_ms;
    enum backup_phase phase;
    uint64_t bytes, bytes_total; /* copied, of about so many */
};
/* False: none is under way. */
bool backups_under_way(const struct backups *backups, struct backup_progress *out);

/* Reads everything in a data folder; each fault becomes a line for say(). */
typedef void backups_say(void *ctx, const char *line);
bool backups_verify(const char *folder, backups_say *say, void *ctx);

/* Makes `to` (which must not hold a store) from the backup `from`: digests and contents are
 * checked, and the log begins a new life: no position in a channel of before is taken for one of
 * now. */
bool backups_restore(const char *from, const char *to, const uint8_t fresh_epoch[16],
                     int64_t now_ms, char *out_text, size_t text_n);

#endif
