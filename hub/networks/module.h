/* hub/networks/module.h: agent networks on the writer: create, delete, execute.
 *
 * An execution is a piece of work like the coordination of a swarm (hub/swarms/run.h). Every change
 * is an event on `network.<id>` in the same transaction. The module keeps nothing in memory.
 * Rules    rest-contract.md section 2.
 */
#ifndef WAGGLE_HUB_NETWORKS_MODULE_H
#define WAGGLE_HUB_NETWORKS_MODULE_H

#include "hub/networks/network.h"
#include "hub/swarms/module.h"

enum { MODULE_NETWORKS = 5 };

extern const struct module networks_module;

struct network_create {
    struct asker asker;
    struct slice name, description, strategy;
    struct words agents;
};
void network_create_put(struct buf *b, const struct network_create *create);
/* Replies of create and delete. */
bool network_done_get(struct slice reply, uint32_t *out_number, int64_t *out_at_ms);

struct network_named {
    struct asker asker;
    struct slice id, reason; /* reason empty: none was given */
};
void network_named_put(struct buf *b, const struct network_named *named);

struct network_execute {
    struct asker asker;
    struct slice id;
    struct work_spec spec; /* without owner, strategy, team and members */
};
void network_execute_put(struct buf *b, const struct network_execute *execute);

extern const struct command_kind command_network_create;
extern const struct command_kind command_network_delete;  /* body: network_named_put */
extern const struct command_kind command_network_execute; /* reply: swarm_coordinated_get() */

#endif
