/* hub/api/api_parts.h: the table as api.c keeps it, for openapi.c. Included by these only. */
#ifndef WAGGLE_HUB_API_API_PARTS_H
#define WAGGLE_HUB_API_API_PARTS_H

#include "hub/api/router.h"
#include "hub/schema/schema.h"

enum { API_ROUTE_CALL = 255 };

struct entry {
    const struct operation *operation;
    struct slice group;
    json_t *params;        /* the schema's own document */
    struct schema *schema; /* NULL: no parameters are judged */
};

enum { NAMES_CAP = 1024 };

struct api {
    struct entry *entries;
    size_t n;
    uint16_t by_name[NAMES_CAP]; /* open addressing: index and one; 0: free */
    struct router *router;
    struct buf openapi;
};

#endif
