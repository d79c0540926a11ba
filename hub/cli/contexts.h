/* hub/cli/contexts.h: the file of named hubs, ~/.config/waggle/config.
 *
 *     current = home
 *     previous = work
 *
 *     [home]
 *     url = http://127.0.0.1:8000
 *     key_file = /srv/waggle/data/admin.key
 *
 * It names the files that hold secrets, never a secret. It is written whole, to a new file that
 * takes the old one's place, readable by its owner alone.
 *
 * Owns     struct contexts owns its texts.
 * Threads  one at a time.
 * Limits   CONTEXTS_MAX contexts, CONTEXTS_BYTES_MAX bytes of file.
 * Errors   false, with a sentence in *error.
 */
#ifndef WAGGLE_CLI_CONTEXTS_H
#define WAGGLE_CLI_CONTEXTS_H

#include "store/mem.h"

enum { CONTEXTS_MAX = 1000, CONTEXTS_BYTES_MAX = 1 << 20 };

/* The keys of a section, in the order they are written. */
enum context_key {
    CONTEXT_URL,
    CONTEXT_KEY_FILE,
    CONTEXT_TOKEN_FILE,
    CONTEXT_APP,
    CONTEXT_CA_FILE,
    CONTEXT_KEYS
};
extern const char *const context_key_names[CONTEXT_KEYS];

struct context {
    char *name;
    char *value[CONTEXT_KEYS]; /* NULL: not set */
};

struct contexts {
    char *current, *previous; /* NULL: none */
    struct context *list;
    size_t n;
};

void contexts_done(struct contexts *c);
bool context_name_valid(const char *name); /* 1..64 of A-Z a-z 0-9 _ - . */
struct context *contexts_find(const struct contexts *c, const char *name); /* NULL: none */
struct context *contexts_add(struct contexts *c, const char *name);
void context_set(struct context *context, enum context_key key,
                 const char *value); /* NULL unsets */
void contexts_use(struct contexts *c,
                  const char *name); /* the one that was current becomes previous */
void contexts_remove(struct contexts *c, const char *name);

/* $XDG_CONFIG_HOME/waggle/config, else ~/.config/waggle/config; NULL when neither is known. */
char *contexts_path(void);
/* A file that is not there is an empty one. */
bool contexts_load(struct contexts *c, const char *path, struct buf *error);
bool contexts_save(const struct contexts *c, const char *path, struct buf *error);

#endif
