/* hub/api/schema_text.h: JSON as it stands in C: SCHEMA({"type":"object"}) is the string of that
 * JSON.
 *
 * Macros within are replaced first, so a fragment may have a name. For the same reason the words
 * true and false must not appear (stdbool.h makes numbers of them); null may.
 *
 * Limits   4,095 characters a schema, which is what C promises of a string.
 */
#ifndef WAGGLE_HUB_API_SCHEMA_TEXT_H
#define WAGGLE_HUB_API_SCHEMA_TEXT_H

#define SCHEMA_QUOTE(...) #__VA_ARGS__
#define SCHEMA(...) SCHEMA_QUOTE(__VA_ARGS__)

/* clang-format off */
/* Shapes that many operations share. Larger ones stand in hub/api/components.c. */
#define SHAPE_TIME {"type":"string","format":"date-time"}
#define SHAPE_TIME_OR_NULL {"type":["string","null"],"format":"date-time"}
#define SHAPE_SUCCESS {"const":"success"}
#define SHAPE_COUNT {"type":"integer","minimum":0}
#define SHAPE_REASON {"type":["string","null"],"maxLength":256,"description":"Why: told with the event, and so in the audit trail; 256 bytes at most."}
#define SHAPE_LIMIT {"type":"integer","minimum":1,"maximum":1000,"default":1000,"description":"At most so many."}
#define SHAPE_CURSOR {"type":"string","minLength":1,"maxLength":256,"description":"The next_cursor of the page before."}
#define SHAPE_NEXT_CURSOR {"type":["string","null"],"description":"Asks for the next page; null: this is the last."}
/* clang-format on */

#endif
