/* hub/cli/nouns.h: the tables of commands, one a file. Each ends with a row without name. */
#ifndef WAGGLE_CLI_NOUNS_H
#define WAGGLE_CLI_NOUNS_H

#include "hub/cli/request.h"

extern const struct command publish_commands[];   /* hub/cli/publish.c */
extern const struct command tail_commands[];      /* hub/cli/tail.c */
extern const struct command agent_commands[];     /* hub/cli/agent.c */
extern const struct command token_commands[];     /* hub/cli/token.c */
extern const struct command context_commands[];   /* hub/cli/context.c */
extern const struct command hub_commands[];       /* hub/cli/hub.c */
extern const struct command top_commands[];       /* hub/cli/top.c */
extern const struct command trace_commands[];     /* hub/cli/trace.c */
extern const struct command bench_commands[];     /* hub/cli/bench.c */
extern const struct command doctor_commands[];    /* hub/cli/doctor.c */
extern const struct command verify_commands[];    /* hub/cli/verify.c */
extern const struct command backup_commands[];    /* hub/cli/backup.c */
extern const struct command call_commands[];      /* hub/cli/call.c */
extern const struct command reference_commands[]; /* hub/cli/reference.c */
extern const struct command self_commands[];      /* hub/cli/self.c */

/* Runs of verbs that do more than their request. */
enum cli_exit backup_create_run(struct cli *cli); /* hub/cli/backup.c */

extern const struct follow round_follow; /* a round of voting, to its close: hub/cli/consensus.c */

/* Those of which each is one request. */
extern const struct verb channel_verbs[];   /* hub/cli/channel.c */
extern const struct verb agent_verbs[];     /* hub/cli/agent.c */
extern const struct verb task_verbs[];      /* hub/cli/task.c */
extern const struct verb swarm_verbs[];     /* hub/cli/swarm.c */
extern const struct verb consensus_verbs[]; /* hub/cli/consensus.c */
extern const struct verb message_verbs[];   /* hub/cli/message.c */
extern const struct verb auth_verbs[];      /* hub/cli/auth.c */
extern const struct verb token_verbs[];     /* hub/cli/token.c */
extern const struct verb hub_verbs[];       /* hub/cli/hub.c */
extern const struct verb schema_verbs[];    /* hub/cli/schema.c */

#endif
