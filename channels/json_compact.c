/* Space is found by counting: brackets, commas, colons and what is between them make up all of a
 * value that has none. */
#include "channels/json_compact.h"

enum { DIGITS_MAX = 18 };

static bool is_whole(struct slice number)
{
    bool minus = number.p[0] == '-';
    size_t digits = number.n - minus;
    for (size_t i = minus; i < number.n; i++) {
        if (number.p[i] < '0' || number.p[i] > '9') {
            return false;
        }
    }
    return digits <= DIGITS_MAX && !(minus && number.p[1] == '0');
}

/* Of an object: the keys before, so that none stands twice. */
struct keys {
    struct slice list[JSON_COMPACT_KEYS_MAX];
    unsigned n;
};

static bool is_new(struct keys *keys, struct slice key_raw)
{
    struct slice key;
    if (keys->n == JSON_COMPACT_KEYS_MAX || !json_is_plain(key_raw, &key)) {
        return false;
    }
    for (unsigned i = 0; i < keys->n; i++) {
        if (slice_equal(keys->list[i], key)) {
            return false;
        }
    }
    keys->list[keys->n++] = key;
    return true;
}

static bool is_compact(struct slice value, unsigned depth);

static bool is_compact_nest(struct slice value, bool object, unsigned depth)
{
    struct json_walk walk = json_walk_of(value);
    struct keys keys;
    keys.n = 0; /* all of the list need not be cleared for each of many objects */
    struct slice key, item;
    size_t bytes = 2, items = 0;
    while (json_walk_next(&walk, &key, &item)) {
        if ((object && !is_new(&keys, key)) || !is_compact(item, depth + 1)) {
            return false;
        }
        bytes += item.n + (items > 0) + (object ? key.n + 1 : 0);
        items++;
    }
    return bytes == value.n;
}

static bool is_compact(struct slice value, unsigned depth)
{
    struct slice text;
    switch (json_kind_of(value)) {
    case JSON_KIND_NONE:
        return false;
    case JSON_KIND_NULL:
    case JSON_KIND_FALSE:
    case JSON_KIND_TRUE:
        return true;
    case JSON_KIND_NUMBER:
        return is_whole(value);
    case JSON_KIND_STRING:
        return json_is_plain(value, &text);
    case JSON_KIND_ARRAY:
        return depth < JSON_COMPACT_DEPTH_MAX && is_compact_nest(value, false, depth);
    case JSON_KIND_OBJECT:
        return depth < JSON_COMPACT_DEPTH_MAX && is_compact_nest(value, true, depth);
    }
    return false;
}

bool json_is_compact(struct slice value)
{
    return is_compact(value, 0);
}
