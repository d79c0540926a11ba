/* JSON as YAML 1.2 in block style. A string stands plain only where no reader could take it for
 * anything else; otherwise in double quotes, whose escapes JSON shares. */
#include "hub/cli/output.h"

#include <ctype.h>
#include <stdlib.h>

#include "channels/json_scan.h"

static void add_value(struct buf *b, struct slice value, size_t indent, bool in_list);

static void add_indent(struct buf *b, size_t indent)
{
    for (; indent; indent--) {
        buf_add(b, " ", 1);
    }
}

/* Words that YAML 1.1 or 1.2 readers take for null, true or false. */
static bool is_reserved(struct slice text)
{
    static const char *const words[] = {"null", "true", "false", "yes", "no",
                                        "on",   "off",  "y",     "n",   "~"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t n = strlen(words[i]), same = 0;
        while (text.n == n && same < n && tolower(text.p[same]) == words[i][same]) {
            same++;
        }
        if (same == n) {
            return true;
        }
    }
    return false;
}

static bool is_plain(struct slice text)
{
    if (text.n == 0 || !(isalpha(text.p[0]) || text.p[0] == '_' || text.p[0] == '/')) {
        return false; /* also all that could be a number, a date or an indicator */
    }
    for (size_t i = 0; i < text.n; i++) {
        if (!isalnum(text.p[i]) && (text.p[i] == 0 || !strchr("_-./@+", text.p[i]))) {
            return false;
        }
    }
    return !is_reserved(text);
}

static void add_string(struct buf *b, struct slice value)
{
    struct slice text;
    if (json_is_plain(value, &text) && is_plain(text)) {
        buf_add_slice(b, text);
        return;
    }
    buf_add_str(b, "\"");
    json_to_escaped(value, b);
    buf_add_str(b, "\"");
}

static bool is_empty(struct slice value)
{
    struct slice key, item;
    struct json_walk w = json_walk_of(value);
    return !json_walk_next(&w, &key, &item);
}

static void add_block(struct buf *b, struct slice value, size_t indent, bool in_list)
{
    struct slice key, item;
    bool object = json_kind_of(value) == JSON_KIND_OBJECT;
    bool first = true;
    for (struct json_walk w = json_walk_of(value); json_walk_next(&w, &key, &item);) {
        if (!(first && in_list)) { /* the first stands behind the dash of the list around it */
            add_indent(b, indent);
        }
        first = false;
        if (object) {
            add_string(b, key);
            buf_add_str(b, ":");
        } else {
            buf_add_str(b, "-");
        }
        add_value(b, item, indent + 2, !object);
    }
}

/* What stands behind "key:" or "-", with its newline. */
static void add_value(struct buf *b, struct slice value, size_t indent, bool in_list)
{
    enum json_kind kind = json_kind_of(value);
    if (kind == JSON_KIND_OBJECT || kind == JSON_KIND_ARRAY) {
        if (is_empty(value)) {
            buf_add_str(b, kind == JSON_KIND_OBJECT ? " {}\n" : " []\n");
            return;
        }
        buf_add_str(b, in_list ? " " : "\n");
        add_block(b, value, indent, in_list);
        return;
    }
    buf_add_str(b, " ");
    if (kind == JSON_KIND_STRING) {
        add_string(b, value);
    } else {
        buf_add_slice(b, value);
    }
    buf_add_str(b, "\n");
}

void yaml_add(struct buf *b, struct slice value)
{
    enum json_kind kind = json_kind_of(value);
    if ((kind == JSON_KIND_OBJECT || kind == JSON_KIND_ARRAY) && !is_empty(value)) {
        add_block(b, value, 0, false);
        return;
    }
    struct buf one = {0};
    add_value(&one, value, 0, true);
    buf_add(b, one.p + 1, one.n - 1); /* without the space that follows a key */
    buf_done(&one);
}
