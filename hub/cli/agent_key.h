/* hub/cli/agent_key.h: the key that an agent signs its ballots with, in a file of its own.
 *
 * The file has one line: the Ed25519 seed, 32 bytes, base64url. It is made when it is not there,
 * whole or not at all, readable by its owner alone.
 *
 * Owns     what agent_key_open() gives, until signing_unref().       Threads  one.
 * Errors   false; out_why gets a sentence, never key material.
 * Rules    a file that others may read is refused: what it signs could be anybody's.
 */
#ifndef WAGGLE_CLI_AGENT_KEY_H
#define WAGGLE_CLI_AGENT_KEY_H

#include "auth/signing.h"

bool agent_key_open(const char *path, struct signing **out, char *out_why, size_t why_n);

#endif
