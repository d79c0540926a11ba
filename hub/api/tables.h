/* hub/api/tables.h: the operations of the hub, gathered. A new part of the domain adds one line
 * here and one in api.c. */
#ifndef WAGGLE_HUB_API_TABLES_H
#define WAGGLE_HUB_API_TABLES_H

#include "hub/api/operation.h"

/* All of these. */
const struct operation_table *const *operation_tables(size_t *out_n);

extern const struct operation_table
    hub_operations; /* hub_operations.c: health, metrics, documents */
extern const struct operation_table auth_operations;    /* auth_operations.c: tokens, keys, apps */
extern const struct operation_table channel_operations; /* channel_operations.c */
extern const struct operation_table agent_operations;   /* agent_operations.c */
extern const struct operation_table task_operations;    /* task_operations.c */
extern const struct operation_table queue_operations;   /* queue_operations.c: tasks by queue */
extern const struct operation_table schema_operations;  /* schema_operations.c */
extern const struct operation_table backup_operations;  /* backup_operations.c */
extern const struct operation_table
    balance_operations; /* balance_operations.c: strategy, figures */
extern const struct operation_table
    bottleneck_operations; /* bottleneck_operations.c: what agents are short of */
extern const struct operation_table network_operations;   /* network_operations.c */
extern const struct operation_table swarm_operations;     /* swarm_operations.c */
extern const struct operation_table consensus_operations; /* consensus_operations.c */
extern const struct operation_table audit_operations;     /* audit_operations.c */
extern const struct operation_table cursor_operations;    /* cursor_operations.c */
extern const struct operation_table message_operations;   /* message_operations.c */
extern const struct operation_table peer_operations; /* peer_operations.c: who may write to whom */

#endif
