/* Compiled: a version byte, then for each pattern its rights (1 byte), its length (1 byte) and its
 * text. A check walks them all; there are few, they lie side by side, and most fail at their first
 * byte. */
#include "auth/caps.h"

#include <assert.h>
#include <jansson.h>

#include "auth/pattern.h"

enum { CAPS_VERSION = 1 };

static const struct {
    const char *word;
    uint8_t right;
} right_words[] = {
    {"subscribe", RIGHT_SUBSCRIBE}, {"publish", RIGHT_PUBLISH}, {"presence", RIGHT_PRESENCE},
    {"history", RIGHT_HISTORY},     {"call", RIGHT_CALL},
};
enum { RIGHT_WORDS = sizeof right_words / sizeof right_words[0], RIGHT_ALL = 31 };

const char *caps_rc_text(enum caps_rc rc)
{
    switch (rc) {
    case CAPS_OK:
        return "fine";
    case CAPS_NOT_AN_OBJECT:
        return "not an object of patterns, each with a list of rights";
    case CAPS_BAD_PATTERN:
        return "not a pattern of names";
    case CAPS_BAD_RIGHT:
        return "not one of subscribe, publish, presence, history, call";
    case CAPS_TOO_MANY:
        return "too many patterns";
    }
    return "";
}

static uint8_t right_of_word(const char *word)
{
    for (size_t i = 0; i < RIGHT_WORDS; i++) {
        if (strcmp(word, right_words[i].word) == 0) {
            return right_words[i].right;
        }
    }
    return 0;
}

static enum caps_rc rights_of_list(json_t *list, uint8_t *out)
{
    if (!json_is_array(list)) {
        return CAPS_NOT_AN_OBJECT;
    }
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        uint8_t right = json_is_string(item) ? right_of_word(json_string_value(item)) : 0;
        if (!right) {
            return CAPS_BAD_RIGHT;
        }
        *out |= right;
    }
    return CAPS_OK;
}

/* "*" and ">" are one pattern: standing both in the object they become one entry. */
static bool merged(struct buf *caps, size_t at, uint8_t rights, struct slice pattern)
{
    while (at < caps->n) {
        if (slice_equal(slice_of(caps->p + at + 2, caps->p[at + 1]), pattern)) {
            caps->p[at] |= rights;
            return true;
        }
        at += 2u + caps->p[at + 1];
    }
    return false;
}

static void add_entry(struct buf *out, uint8_t rights, struct slice pattern)
{
    uint8_t head[2] = {rights, (uint8_t)pattern.n};
    buf_add(out, head, sizeof head);
    buf_add_slice(out, pattern);
}

static enum caps_rc compile(json_t *object, struct buf *out)
{
    uint8_t version = CAPS_VERSION;
    buf_add(out, &version, 1);
    size_t entries = out->n;
    const char *key;
    json_t *list;
    json_object_foreach(object, key, list)
    {
        struct slice pattern = slice_str(key);
        if (!pattern_valid(pattern)) {
            return CAPS_BAD_PATTERN;
        }
        uint8_t rights = 0;
        enum caps_rc rc = rights_of_list(list, &rights);
        if (rc != CAPS_OK) {
            return rc;
        }
        pattern = slice_is(pattern, "*") ? slice_str(">") : pattern;
        if (!slice_is(pattern, ">") || !merged(out, entries, rights, pattern)) {
            add_entry(out, rights, pattern);
        }
    }
    return CAPS_OK;
}

enum caps_rc caps_from_json(struct json_t *object, struct buf *out)
{
    if (!json_is_object(object)) {
        return CAPS_NOT_AN_OBJECT;
    }
    if (json_object_size(object) > CAPS_PATTERNS_MAX) {
        return CAPS_TOO_MANY;
    }
    size_t before = out->n;
    enum caps_rc rc = compile(object, out);
    if (rc != CAPS_OK) {
        out->n = before;
    }
    return rc;
}

enum caps_rc caps_from_text(struct slice json, struct buf *out)
{
    if (json.n > 4 * (size_t)CAPS_BYTES_MAX) {
        return CAPS_TOO_MANY;
    }
    json_t *object = json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
    enum caps_rc rc = caps_from_json(object, out); /* NULL is not an object */
    json_decref(object);
    return rc;
}

/* An entry of compiled capabilities; false at the end. */
struct entry {
    uint8_t rights;
    struct slice pattern;
};

static bool entry_next(struct slice caps, size_t *at, struct entry *out)
{
    if (*at >= caps.n) {
        return false;
    }
    assert(caps.n - *at >= 2 && caps.n - *at - 2 >= caps.p[*at + 1]);
    out->rights = caps.p[*at];
    out->pattern = slice_of(caps.p + *at + 2, caps.p[*at + 1]);
    *at += 2 + out->pattern.n;
    return true;
}

bool caps_valid(struct slice caps)
{
    if (caps.n == 0 || caps.p[0] != CAPS_VERSION) {
        return false;
    }
    size_t patterns = 0;
    for (size_t at = 1; at < caps.n; patterns++) {
        if (caps.n - at < 2 || caps.n - at - 2 < caps.p[at + 1] || (caps.p[at] & ~RIGHT_ALL) ||
            !pattern_valid(slice_of(caps.p + at + 2, caps.p[at + 1]))) {
            return false;
        }
        at += 2u + caps.p[at + 1];
    }
    return patterns <= CAPS_PATTERNS_MAX;
}

void caps_put_json(struct slice caps, struct buf *out)
{
    struct entry e;
    buf_add_str(out, "{");
    for (size_t at = 1; entry_next(caps, &at, &e);) {
        if (out->p[out->n - 1] != '{') {
            buf_add_str(out, ",");
        }
        /* A pattern has no character that JSON escapes. */
        buf_printf(out, "\"%.*s\":", (int)e.pattern.n, (const char *)e.pattern.p);
        char before = '[';
        for (size_t i = 0; i < RIGHT_WORDS; i++) {
            if (e.rights & right_words[i].right) {
                buf_printf(out, "%c\"%s\"", before, right_words[i].word);
                before = ',';
            }
        }
        buf_add_str(out, before == '[' ? "[]" : "]");
    }
    buf_add_str(out, "}");
}

bool caps_allow(struct slice caps, enum right right, struct slice name_or_pattern)
{
    struct entry e;
    for (size_t at = 1; entry_next(caps, &at, &e);) {
        if ((e.rights & right) && pattern_covers(e.pattern, name_or_pattern)) {
            return true;
        }
    }
    return false;
}

bool caps_allow_call(struct slice caps, struct slice operation, struct slice group)
{
    return caps_allow(caps, RIGHT_CALL, operation) || caps_allow(caps, RIGHT_CALL, group);
}

bool caps_cover(struct slice outer, struct slice inner)
{
    struct entry e;
    for (size_t at = 1; entry_next(inner, &at, &e);) {
        for (size_t i = 0; i < RIGHT_WORDS; i++) {
            enum right right = right_words[i].right;
            if ((e.rights & right) && !caps_allow(outer, right, e.pattern)) {
                return false;
            }
        }
    }
    return true;
}
