/* channels/name.h: what a channel's name says: its kind and its namespace (native-protocol.md section 4).
 *
 * Threads  any.
 */
#ifndef WAGGLE_CHANNELS_NAME_H
#define WAGGLE_CHANNELS_NAME_H

#include "store/bytes.h"

enum { CHANNEL_NAME_BYTES_MAX = 164, NAMESPACE_BYTES_MAX = 64, EVENT_NAME_BYTES_MAX = 200 };

enum channel_access { CHANNEL_PUBLIC, CHANNEL_PRIVATE, CHANNEL_PRESENCE };

struct channel_name {
    enum channel_access access; /* by prefix: private-, presence- */
    bool cache, encrypted;      /* cache- (alone or after the prefix), private-encrypted- */
    struct slice ns;            /* namespace: after the prefixes up to the first '.', or all of it */
    struct slice base;          /* the name without its prefixes */
};

/* 1..164 of A-Z a-z 0-9 _ - = @ , . ; */
bool channel_name_valid(struct slice name);
/* A valid name, taken apart. */
struct channel_name channel_name_parse(struct slice name);

/* Patterns: segments between dots; "*" stands for one segment, ">" as the last for one or more.
 * The matching itself is auth/pattern.h, which capabilities share. */
bool channel_is_pattern(struct slice name); /* has a segment "*" or ">" */
bool channel_pattern_valid(struct slice pattern);

#endif
