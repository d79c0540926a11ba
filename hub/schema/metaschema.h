/* hub/schema/metaschema.h: what the drafts say of themselves.
 *
 * Threads  any; constant.
 */
#ifndef WAGGLE_HUB_SCHEMA_METASCHEMA_H
#define WAGGLE_HUB_SCHEMA_METASCHEMA_H

#include "hub/schema/schema.h"

/* The JSON text of the metaschema of that URI (without fragment), or NULL. */
const char *metaschema_text(const char *uri);
/* Whether the URI names one of the two drafts as a whole. */
bool metaschema_draft(const char *uri, enum schema_draft *out);
/* The bit of a 2020-12 vocabulary, 0 if unknown; assertion: it is format-assertion. */
unsigned metaschema_vocabulary(const char *uri, bool *assertion);

#endif
