/* hub/schema/pointer.h: JSON Pointer (RFC 6901).
 *
 * Owns     nothing.      Threads  any.
 */
#ifndef WAGGLE_HUB_SCHEMA_POINTER_H
#define WAGGLE_HUB_SCHEMA_POINTER_H

#include "hub/schema/memory.h"

#include <jansson.h>

/* Appends "/token", escaped. */
void pointer_add_key(struct text *out, const char *token, size_t n);
void pointer_add_index(struct text *out, size_t index);

/* One step down: the member or item that the (still escaped) token names, or NULL. */
const json_t *pointer_step(const json_t *from, const char *token, size_t n);

#endif
