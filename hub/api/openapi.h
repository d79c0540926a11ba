/* hub/api/openapi.h: the OpenAPI 3.1 document of the operations table. */
#ifndef WAGGLE_HUB_API_OPENAPI_H
#define WAGGLE_HUB_API_OPENAPI_H

#include "hub/api/api.h"

/* Appends the document. Every route that is no alias is in it, with parameters, bodies, answers and
 * errors. */
void openapi_write(const struct api *api, const char *version, struct buf *out);

#endif
