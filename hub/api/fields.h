/* hub/api/fields.h: parameters of a `call` as the text they came as, for operations that are asked
 * thousands of times a second: no tree is built, no schema is run.
 *
 * Such an operation lists its fields, each with the form that it usually has. What is of these
 * forms is valid by the operation's schema, and call_text() and its like (operation.h) give what
 * they would give of a tree. All else is not read here and goes the ordinary way, where the schema
 * says what is wrong with it, if anything is: a field that is not listed, a null, an escape in a
 * string, a number out of bounds, a document that is not compact (channels/json_compact.h).
 *
 * Threads  any.      Owns  nothing: values borrow from the parameters.
 */
#ifndef WAGGLE_HUB_API_FIELDS_H
#define WAGGLE_HUB_API_FIELDS_H

#include "store/mem.h"

enum { FIELDS_MAX = 24 };

enum field_kind {
    FIELD_NONE,     /* ends a list */
    FIELD_TEXT,     /* bytes within bounds: no fewer and no more characters than the schema wants */
    FIELD_TEXTS,    /* up to items_max such */
    FIELD_NUMBER,   /* within bounds, without a sign */
    FIELD_WHOLE,    /* likewise */
    FIELD_FLAG,     /* true or false */
    FIELD_DOCUMENT, /* any value that is compact */
    FIELD_GROUP,    /* an object of those fields that are `in` it */
};

struct field {
    const char *name;
    enum field_kind kind;
    bool needed;
    double least, most;
    uint32_t items_max;
    bool (*fits)(struct slice value); /* what else there is to it; NULL: nothing */
    const char *in;                   /* the group's name; NULL: stands by itself */
};

/* A field of a group is found by its own name, which is therefore like no other's.
 * params is checked JSON, or empty. True: out[i] is the text of fields[i], empty when it is absent.
 */
bool fields_read(const struct field *fields, struct slice params, struct slice out[FIELDS_MAX]);
/* The place of a name in the list, or -1. */
int field_named(const struct field *fields, struct slice name);

#endif
