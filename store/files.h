/* store/files.h: what has to be done to files and folders so that they outlast a power cut.
 *
 * Threads  any.       Errors  0 or an errno.
 */
#ifndef WAGGLE_STORE_FILES_H
#define WAGGLE_STORE_FILES_H

#include "store/mem.h"

char *path_join(const char *folder, const char *name);
char *path_parent(const char *path); /* "." when there is none */
int folder_make(const char *path);   /* mode 0700; one that exists is fine */
int folder_sync(const char *path);   /* makes the names in it durable */

#endif
