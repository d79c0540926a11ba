/* hub/schema/uri.h: URI references taken apart and resolved (RFC 3986).
 *
 * Nothing is checked here beyond what taking apart needs; format_uri.c judges characters.
 * Owns     nothing: parts borrow from the text given.      Threads  any.
 */
#ifndef WAGGLE_HUB_SCHEMA_URI_H
#define WAGGLE_HUB_SCHEMA_URI_H

#include "hub/schema/memory.h"

#include <stdbool.h>

struct part {
    const char *p; /* NULL: the part is absent, which is not the same as empty */
    size_t n;
};

struct uri {
    struct part scheme, authority, path, query, fragment; /* path is never absent */
};

struct uri uri_split(const char *text, size_t n);
/* RFC 3986 section 5.2: appends the target of reference seen from base, without its fragment. */
void uri_resolve(struct text *out, struct uri base, struct uri reference);
/* Undoes %XX; what is no escape stays as it is. */
void uri_unescape(struct text *out, struct part part);

#endif
