/* hub/modules.h: the parts that keep memory on the writer, put together: which there are, and who
 * of them hears of whose changes. A new part adds its lines in modules.c, and nowhere else.
 *
 * Owns     nothing: what its options point to is the hub's.
 * Threads  before the writer starts.
 */
#ifndef WAGGLE_HUB_MODULES_H
#define WAGGLE_HUB_MODULES_H

#include "hub/agents/module.h"
#include "hub/consensus/module.h"
#include "hub/core/auth_commands.h"
#include "hub/core/cursor_commands.h"
#include "hub/swarms/module.h"

struct modules {
    struct agents_options agents;
    struct auth_options auth;
    struct tasks_options tasks;
    struct consensus_options consensus;
    struct cursors_options cursors;
    struct swarms_options swarms;
    const void *options[WRITER_MODULES_MAX];
};

/* Fills `out`, which stays where it is until writer_new() has returned, and names it in
 * writer->modules. Randomness for keys comes from draw. */
void modules_put(struct modules *out, struct hub *hub, void (*draw)(void *p, size_t n),
                 struct writer_options *writer);

#endif
