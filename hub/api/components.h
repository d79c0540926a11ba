/* hub/api/components.h: schemas that several answers refer to: components of the OpenAPI document.
 *
 * An answer_schema refers to one as {"$ref":"#/components/schemas/Agent"}; params refer to none, as
 * they are compiled alone.
 *
 * Threads  any; the table is constant.
 */
#ifndef WAGGLE_HUB_API_COMPONENTS_H
#define WAGGLE_HUB_API_COMPONENTS_H

#include <stddef.h>

#include "hub/api/schema_text.h"

struct component {
    const char *name;
    const char *schema;
};
/* NULL past the last. */
const struct component *component_at(size_t i);

/* clang-format off */
#define REF_AGENT {"$ref":"#/components/schemas/Agent"}
#define REF_AGENTS {"type":"array","items":REF_AGENT}
#define REF_TASK {"$ref":"#/components/schemas/Task"}
#define REF_TASKS {"type":"array","items":REF_TASK}
#define REF_API_KEY {"$ref":"#/components/schemas/ApiKey"}
#define REF_APP {"$ref":"#/components/schemas/App"}
#define REF_REVOCATION {"$ref":"#/components/schemas/Revocation"}
#define REF_CAPABILITIES {"$ref":"#/components/schemas/Capabilities"}
/* clang-format on */

#endif
