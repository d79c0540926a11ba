#include "hub/schema/pointer.h"

void pointer_add_key(struct text *out, const char *token, size_t n)
{
    text_char(out, '/');
    for (size_t i = 0; i < n; i++) {
        if (token[i] == '~') {
            text_str(out, "~0");
        } else if (token[i] == '/') {
            text_str(out, "~1");
        } else {
            text_char(out, token[i]);
        }
    }
}

void pointer_add_index(struct text *out, size_t index)
{
    text_format(out, "/%zu", index);
}

static void unescape(struct text *out, const char *token, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char c = token[i];
        if (c == '~' && i + 1 < n && (token[i + 1] == '0' || token[i + 1] == '1')) {
            c = token[++i] == '0' ? '~' : '/';
        }
        text_char(out, c);
    }
}

/* RFC 6901 section 4: digits without a leading zero. */
static const json_t *step_index(const json_t *array, const char *token, size_t n)
{
    if (n == 0 || n > 9 || (n > 1 && token[0] == '0')) {
        return NULL;
    }
    size_t index = 0;
    for (size_t i = 0; i < n; i++) {
        if (token[i] < '0' || token[i] > '9') {
            return NULL;
        }
        index = index * 10 + (size_t)(token[i] - '0');
    }
    return json_array_get(array, index);
}

const json_t *pointer_step(const json_t *from, const char *token, size_t n)
{
    if (json_is_array(from)) {
        return step_index(from, token, n);
    }
    struct text key = {0};
    unescape(&key, token, n);
    const json_t *to = json_object_getn(from, text_c(&key), key.n);
    text_done(&key);
    return to;
}
