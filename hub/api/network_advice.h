/* hub/api/network_advice.h: a network's status and what would make it better, computed from its
 * executions.
 *
 * Threads  the caller's I/O thread, within one snapshot of its reader.
 * Limits   the newest ADVICE_EXECUTIONS_MAX executions and their first ADVICE_PARTS_MAX parts are
 *          looked at.
 */
#ifndef WAGGLE_HUB_API_NETWORK_ADVICE_H
#define WAGGLE_HUB_API_NETWORK_ADVICE_H

#include "hub/api/operation.h"
#include "hub/networks/network.h"

enum { ADVICE_EXECUTIONS_MAX = 200, ADVICE_PARTS_MAX = 5000 };

enum hub_rc network_status(struct call *call, struct store_view *view,
                           const struct network *network);
enum hub_rc network_optimize(struct call *call, struct store_view *view,
                             const struct network *network);

#endif
