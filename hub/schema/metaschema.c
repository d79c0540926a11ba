/* The metaschemas, written as compactly as JSON allows: quotes are single ones here, and turned
 * when read (none of these texts has an apostrophe). */
#include "hub/schema/metaschema.h"

#include "hub/schema/node.h"

#include <string.h>

#define DRAFT_7 "http://json-schema.org/draft-07/schema"
#define BASE "https://json-schema.org/draft/2020-12/"
#define HEAD(name) "{'$schema':'" BASE "schema','$id':'" BASE name "','$dynamicAnchor':'meta',"
#define TYPES "'type':['object','boolean']"
#define META "{'$dynamicRef':'#meta'}"
#define MAP "{'type':'object','additionalProperties':" META ",'default':{}}"
#define STRING "{'type':'string'}"
#define REFERENCE "{'type':'string','format':'uri-reference'}"
#define BOOLEAN "{'type':'boolean','default':false}"
#define NUMBER "{'type':'number'}"
#define COUNT "{'$ref':'#/$defs/nonNegativeInteger'}"
#define STRINGS "{'$ref':'#/$defs/stringArray'}"
#define ARRAY "{'$ref':'#/$defs/schemaArray'}"

/* Draft 7's own. */
#define SELF "{'$ref':'#'}"
#define SELF_MAP "{'type':'object','additionalProperties':" SELF ",'default':{}}"
#define COUNT_7 "{'$ref':'#/definitions/nonNegativeInteger'}"
#define STRINGS_7 "{'$ref':'#/definitions/stringArray'}"
#define ARRAY_7 "{'$ref':'#/definitions/schemaArray'}"
#define SIMPLE_TYPES "{'enum':['array','boolean','integer','null','number','object','string']}"

/* clang-format off */
static const struct {
    const char *uri, *text;
} metaschemas[] = {
    {BASE "schema",
     HEAD("schema")
     "'$vocabulary':{'" BASE "vocab/core':true,'" BASE "vocab/applicator':true,'" BASE "vocab/unevaluated':true,"
     "'" BASE "vocab/validation':true,'" BASE "vocab/meta-data':true,'" BASE "vocab/format-annotation':true,"
     "'" BASE "vocab/content':true},"
     "'allOf':[{'$ref':'meta/core'},{'$ref':'meta/applicator'},{'$ref':'meta/unevaluated'},{'$ref':'meta/validation'},"
     "{'$ref':'meta/meta-data'},{'$ref':'meta/format-annotation'},{'$ref':'meta/content'}]," TYPES ","
     "'properties':{"
     "'definitions':" MAP ","
     "'dependencies':{'type':'object','additionalProperties':{'anyOf':[" META ",{'$ref':'meta/validation#/$defs/stringArray'}]},'default':{}},"
     "'$recursiveAnchor':{'$ref':'meta/core#/$defs/anchorString'},"
     "'$recursiveRef':{'$ref':'meta/core#/$defs/uriReferenceString'}}}"},
    {BASE "meta/core",
     HEAD("meta/core") TYPES ","
     "'properties':{"
     "'$id':{'$ref':'#/$defs/uriReferenceString','pattern':'^[^#]*#?$'},"
     "'$schema':{'$ref':'#/$defs/uriString'},"
     "'$ref':{'$ref':'#/$defs/uriReferenceString'},"
     "'$anchor':{'$ref':'#/$defs/anchorString'},"
     "'$dynamicRef':{'$ref':'#/$defs/uriReferenceString'},"
     "'$dynamicAnchor':{'$ref':'#/$defs/anchorString'},"
     "'$vocabulary':{'type':'object','propertyNames':{'$ref':'#/$defs/uriString'},'additionalProperties':{'type':'boolean'}},"
     "'$comment':" STRING ",'$defs':" MAP "},"
     "'$defs':{"
     "'anchorString':{'type':'string','pattern':'^[A-Za-z_][-A-Za-z0-9._]*$'},"
     "'uriString':{'type':'string','format':'uri'},"
     "'uriReferenceString':" REFERENCE "}}"},
    {BASE "meta/applicator",
     HEAD("meta/applicator") TYPES ","
     "'properties':{"
     "'prefixItems':" ARRAY ",'items':" META ",'contains':" META ",'additionalProperties':" META ","
     "'properties':" MAP ","
     "'patternProperties':{'type':'object','additionalProperties':" META ",'propertyNames':{'format':'regex'},'default':{}},"
     "'dependentSchemas':" MAP ",'propertyNames':" META ",'if':" META ",'then':" META ",'else':" META ","
     "'allOf':" ARRAY ",'anyOf':" ARRAY ",'oneOf':" ARRAY ",'not':" META "},"
     "'$defs':{'schemaArray':{'type':'array','minItems':1,'items':" META "}}}"},
    {BASE "meta/unevaluated",
     HEAD("meta/unevaluated") TYPES ",'properties':{'unevaluatedItems':" META ",'unevaluatedProperties':" META "}}"},
    {BASE "meta/validation",
     HEAD("meta/validation") TYPES ","
     "'properties':{"
     "'type':{'anyOf':[{'$ref':'#/$defs/simpleTypes'},"
     "{'type':'array','items':{'$ref':'#/$defs/simpleTypes'},'minItems':1,'uniqueItems':true}]},"
     "'const':true,'enum':{'type':'array','items':true},"
     "'multipleOf':{'type':'number','exclusiveMinimum':0},"
     "'maximum':" NUMBER ",'exclusiveMaximum':" NUMBER ",'minimum':" NUMBER ",'exclusiveMinimum':" NUMBER ","
     "'maxLength':" COUNT ",'minLength':{'$ref':'#/$defs/nonNegativeIntegerDefault0'},"
     "'pattern':{'type':'string','format':'regex'},"
     "'maxItems':" COUNT ",'minItems':{'$ref':'#/$defs/nonNegativeIntegerDefault0'},'uniqueItems':" BOOLEAN ","
     "'maxContains':" COUNT ",'minContains':{'$ref':'#/$defs/nonNegativeInteger','default':1},"
     "'maxProperties':" COUNT ",'minProperties':{'$ref':'#/$defs/nonNegativeIntegerDefault0'},"
     "'required':" STRINGS ",'dependentRequired':{'type':'object','additionalProperties':" STRINGS "}},"
     "'$defs':{"
     "'nonNegativeInteger':{'type':'integer','minimum':0},"
     "'nonNegativeIntegerDefault0':{'$ref':'#/$defs/nonNegativeInteger','default':0},"
     "'simpleTypes':" SIMPLE_TYPES ","
     "'stringArray':{'type':'array','items':" STRING ",'uniqueItems':true,'default':[]}}}"},
    {BASE "meta/meta-data",
     HEAD("meta/meta-data") TYPES ","
     "'properties':{'title':" STRING ",'description':" STRING ",'default':true,'deprecated':" BOOLEAN ","
     "'readOnly':" BOOLEAN ",'writeOnly':" BOOLEAN ",'examples':{'type':'array','items':true}}}"},
    {BASE "meta/format-annotation", HEAD("meta/format-annotation") TYPES ",'properties':{'format':" STRING "}}"},
    {BASE "meta/format-assertion", HEAD("meta/format-assertion") TYPES ",'properties':{'format':" STRING "}}"},
    {BASE "meta/content",
     HEAD("meta/content") TYPES ","
     "'properties':{'contentEncoding':" STRING ",'contentMediaType':" STRING ",'contentSchema':" META "}}"},
    {DRAFT_7,
     "{'$schema':'" DRAFT_7 "#','$id':'" DRAFT_7 "#'," TYPES ","
     "'definitions':{"
     "'schemaArray':{'type':'array','minItems':1,'items':" SELF "},"
     "'nonNegativeInteger':{'type':'integer','minimum':0},"
     "'nonNegativeIntegerDefault0':{'allOf':[" COUNT_7 ",{'default':0}]},"
     "'simpleTypes':" SIMPLE_TYPES ","
     "'stringArray':{'type':'array','items':" STRING ",'uniqueItems':true,'default':[]}},"
     "'properties':{"
     "'$id':" REFERENCE ",'$schema':{'type':'string','format':'uri'},'$ref':" REFERENCE ",'$comment':" STRING ","
     "'title':" STRING ",'description':" STRING ",'default':true,'readOnly':" BOOLEAN ",'writeOnly':" BOOLEAN ","
     "'examples':{'type':'array','items':true},"
     "'multipleOf':{'type':'number','exclusiveMinimum':0},"
     "'maximum':" NUMBER ",'exclusiveMaximum':" NUMBER ",'minimum':" NUMBER ",'exclusiveMinimum':" NUMBER ","
     "'maxLength':" COUNT_7 ",'minLength':{'$ref':'#/definitions/nonNegativeIntegerDefault0'},"
     "'pattern':{'type':'string','format':'regex'},"
     "'additionalItems':" SELF ",'items':{'anyOf':[" SELF "," ARRAY_7 "],'default':true},"
     "'maxItems':" COUNT_7 ",'minItems':{'$ref':'#/definitions/nonNegativeIntegerDefault0'},'uniqueItems':" BOOLEAN ","
     "'contains':" SELF ","
     "'maxProperties':" COUNT_7 ",'minProperties':{'$ref':'#/definitions/nonNegativeIntegerDefault0'},"
     "'required':" STRINGS_7 ",'additionalProperties':" SELF ",'definitions':" SELF_MAP ",'properties':" SELF_MAP ","
     "'patternProperties':{'type':'object','additionalProperties':" SELF ",'propertyNames':{'format':'regex'},'default':{}},"
     "'dependencies':{'type':'object','additionalProperties':{'anyOf':[" SELF "," STRINGS_7 "]}},"
     "'propertyNames':" SELF ",'const':true,'enum':{'type':'array','items':true},"
     "'type':{'anyOf':[{'$ref':'#/definitions/simpleTypes'},"
     "{'type':'array','items':{'$ref':'#/definitions/simpleTypes'},'minItems':1,'uniqueItems':true}]},"
     "'format':" STRING ",'contentMediaType':" STRING ",'contentEncoding':" STRING ","
     "'if':" SELF ",'then':" SELF ",'else':" SELF ","
     "'allOf':" ARRAY_7 ",'anyOf':" ARRAY_7 ",'oneOf':" ARRAY_7 ",'not':" SELF "},"
     "'default':true}"},
};

static const struct {
    const char *name;
    unsigned bit;
} vocabularies[] = {
    {"core",              VOCABULARY_CORE},
    {"applicator",        VOCABULARY_APPLICATOR},
    {"unevaluated",       VOCABULARY_UNEVALUATED},
    {"validation",        VOCABULARY_VALIDATION},
    {"meta-data",         VOCABULARY_META_DATA},
    {"format-annotation", VOCABULARY_FORMAT},
    {"format-assertion",  VOCABULARY_FORMAT},
    {"content",           VOCABULARY_CONTENT},
};
/* clang-format on */

const char *metaschema_text(const char *uri)
{
    for (size_t i = 0; i < sizeof metaschemas / sizeof metaschemas[0]; i++) {
        if (strcmp(metaschemas[i].uri, uri) == 0) {
            return metaschemas[i].text;
        }
    }
    return NULL;
}

bool metaschema_draft(const char *uri, enum schema_draft *out)
{
    bool draft_7 = strcmp(uri, DRAFT_7) == 0;
    if (!draft_7 && strcmp(uri, BASE "schema") != 0) {
        return false;
    }
    *out = draft_7 ? SCHEMA_DRAFT_7 : SCHEMA_2020_12;
    return true;
}

unsigned metaschema_vocabulary(const char *uri, bool *assertion)
{
    static const char prefix[] = BASE "vocab/";
    *assertion = false;
    if (strncmp(uri, prefix, sizeof prefix - 1) != 0) {
        return 0;
    }
    const char *name = uri + sizeof prefix - 1;
    for (size_t i = 0; i < sizeof vocabularies / sizeof vocabularies[0]; i++) {
        if (strcmp(vocabularies[i].name, name) == 0) {
            *assertion = strcmp(name, "format-assertion") == 0;
            return vocabularies[i].bit;
        }
    }
    return 0;
}
