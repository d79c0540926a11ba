/* hub/cli/agent_key.h: the key that an agent signs its ballots with, in a file of its own.
 *
 * The file has one line: the Ed25519 seed, 32 bytes, base64url (hub/cli/secret_file.h).
 *
 * Owns     what agent_key_open() gives, until signing_unref().       Threads  one.
 * Errors   false; out_why gets a sentence, never key material.
 */
#ifndef WAGGLE_CLI_AGENT_KEY_H
#define WAGGLE_CLI_AGENT_KEY_H

#include "auth/signing.h"

bool agent_key_open(const char *path, struct signing **out, char *out_why, size_t why_n);

#endif
