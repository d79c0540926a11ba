/* $schema and $vocabulary: which keywords count in a resource. */
#include "hub/schema/compile.h"

#include "hub/schema/metaschema.h"

#include <string.h>

enum { METASCHEMA_HOPS_MAX = 8 };

struct dialect dialect_of_draft(enum schema_draft draft)
{
    return (struct dialect){.draft = draft, .vocabularies = VOCABULARY_ALL};
}

const json_t *dialect_resource(const struct compiler *c, const char *uri)
{
    const json_t *found = json_object_get(c->options->resources, uri);
    if (!found) {
        struct text with_hash = {0};
        text_format(&with_hash, "%s#", uri);
        found = json_object_get(c->options->resources, text_c(&with_hash));
        text_done(&with_hash);
    }
    return found;
}

/* Core specification section 8.1.2: a vocabulary that is required must be understood. */
static bool read_vocabularies(struct compiler *c, const struct node *node, const json_t *listed,
                              struct dialect *out)
{
    out->draft = SCHEMA_2020_12;
    out->vocabularies = VOCABULARY_CORE;
    json_t *all = value_readable(listed);
    for (void *it = json_object_iter(all); it; it = json_object_iter_next(all, it)) {
        bool assertion;
        unsigned bit = metaschema_vocabulary(json_object_iter_key(it), &assertion);
        if (!bit && json_is_true(json_object_iter_value(it))) {
            return compile_problem(c, SCHEMA_INVALID, node, "$schema",
                                   "requires the vocabulary %.200s, which is not known",
                                   json_object_iter_key(it));
        }
        out->vocabularies |= bit;
        out->format_assertion = out->format_assertion || assertion;
    }
    return true;
}

/* A metaschema without $vocabulary says what its own metaschema says. */
bool dialect_find(struct compiler *c, const struct node *node, const char *uri, struct dialect *out)
{
    const json_t *metaschema = NULL;
    for (int hop = 0; hop < METASCHEMA_HOPS_MAX; hop++) {
        struct text bare = {0};
        text_add(&bare, uri, strcspn(uri, "#"));
        enum schema_draft draft;
        bool known = metaschema_draft(text_c(&bare), &draft);
        const json_t *document = known ? NULL : dialect_resource(c, text_c(&bare));
        text_done(&bare);
        if (!known && !document) {
            break;
        }
        metaschema = metaschema ? metaschema : document;
        if (known) {
            *out = dialect_of_draft(draft);
            out->metaschema = metaschema;
            return true;
        }
        const json_t *listed = json_object_get(document, "$vocabulary");
        if (json_is_object(listed)) {
            *out = (struct dialect){.metaschema = metaschema};
            return read_vocabularies(c, node, listed, out);
        }
        uri = json_string_value(json_object_get(document, "$schema"));
        if (!uri) {
            *out = dialect_of_draft(c->options->draft);
            out->metaschema = metaschema;
            return true;
        }
    }
    return compile_problem(c, SCHEMA_INVALID, node, "$schema",
                           "names a dialect that is not known: %.200s", uri);
}
