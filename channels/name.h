/* channels/name.h: what a channel's name says: its kind and its namespace (native-protocol.md
 * section 4, pusher-protocol.md section 3).
 *
 * A prefix counts wherever it stands, also with nothing behind it: "private-" is a private channel
 * whose base and namespace are empty, so that no spelling of a prefix opens what it should close.
 * The empty namespace, which ".x" and "presence-.x" have too, has the default options
 * (channels/namespace.h).
 *
 * Owns     nothing: slices borrow from the name given.
 * Threads  any.       Units  bytes.
 */
#ifndef WAGGLE_CHANNELS_NAME_H
#define WAGGLE_CHANNELS_NAME_H

#include "store/bytes.h"
#include "store/mem.h"

enum { CHANNEL_NAME_BYTES_MAX = 164, NAMESPACE_BYTES_MAX = 64, EVENT_NAME_BYTES_MAX = 200 };

enum channel_access { CHANNEL_PUBLIC, CHANNEL_PRIVATE, CHANNEL_PRESENCE };

struct channel_name {
    enum channel_access access; /* by prefix: private-, presence- */
    bool cache, encrypted;      /* cache- (alone or after the prefix), private-encrypted- */
    struct slice ns;   /* namespace: after the prefixes up to the first '.', or all of it */
    struct slice base; /* the name without its prefixes */
};

/* 1..164 of A-Z a-z 0-9 _ - = @ , . ; */
bool channel_name_valid(struct slice name);
/* A valid name, taken apart. The prefixes are those of the Pusher wire, in its order and in lower
 * case: private-, presence-, cache-, private-cache-, presence-cache-, private-encrypted-,
 * private-encrypted-cache-. Anything else belongs to the base: "presence-encrypted-a" is a presence
 * channel with the namespace "encrypted-a". */
struct channel_name channel_name_parse(struct slice name);

/* "agent.<id>", "task.<id>": what a channel's name may not hold, and the dot, which would divide
 * segments, is written as =XX; one that would be too long ends in a hash of the id. Appended. */
void channel_of_id(struct buf *out, const char *prefix, struct slice id);

/* Patterns: segments between dots; "*" stands for one segment, ">" as the last for one or more.
 * The matching itself is auth/pattern.h, which capabilities share. "*" and ">" are outside the
 * alphabet of names, so no name is a pattern. */
bool channel_is_pattern(struct slice name); /* has a segment "*" or ">" */
/* 1..164 bytes; each segment is "*", or ">" as the last, or of the alphabet of names (a segment may
 * be empty, as in a name). A name is a valid pattern that stands for itself; "a*.b" is none. */
bool channel_pattern_valid(struct slice pattern);

/* 1..64 of the alphabet of names without '.': what a namespace that has options may be called. */
bool namespace_name_valid(struct slice ns);

#endif
