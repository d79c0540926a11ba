/* channels/json_compact.h: whether a value stands there as it would be written: then it need not be
 * read into a tree and written again, to be stored as any other.
 *
 * True: it has no space outside of strings, no escape, only whole numbers of up to 18 digits, and
 * no key twice in an object; whoever reads it and writes it compactly comes to the same bytes.
 * False: it is not so, or has more levels or keys than are looked at.
 *
 * Threads  any.      Errors  none: the value is one that json_check or json_fields has passed.
 */
#ifndef WAGGLE_CHANNELS_JSON_COMPACT_H
#define WAGGLE_CHANNELS_JSON_COMPACT_H

#include "channels/json_scan.h"

enum { JSON_COMPACT_DEPTH_MAX = 8, JSON_COMPACT_KEYS_MAX = 32 };

bool json_is_compact(struct slice value);

#endif
