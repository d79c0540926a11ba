/* hub/cli/agent_run.h: `waggle agent run`, a real agent process.
 *
 * Threads  one.
 */
#ifndef WAGGLE_CLI_AGENT_RUN_H
#define WAGGLE_CLI_AGENT_RUN_H

#include "hub/cli/cli.h"

enum cli_exit agent_run_run(struct cli *cli);

#endif
