/* hub/core/document.h: a JSON document as text, for what callers gave and others are handed.
 *
 * Compact, members in the order in which they came. A number is written with the fewest digits that
 * read back as it is, and stays whole or real: 0.1 leaves as 0.1 and 2.0 as 2.0. jansson's own
 * writer makes 0.10000000000000001 of the one.
 *
 * Owns     nothing: appends to the buf given.     Threads  any.
 */
#ifndef WAGGLE_HUB_CORE_DOCUMENT_H
#define WAGGLE_HUB_CORE_DOCUMENT_H

#include "channels/json_out.h"
#include <jansson.h>

/* NULL: nothing is appended. */
void json_put_value(struct buf *b, const json_t *value);

#endif
