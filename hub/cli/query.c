#include "hub/cli/query.h"

#include "channels/json_scan.h"
#include "hub/cli/options.h"

struct searching {
    char separator; /* '/' of a pointer, '.' of a path */
    void (*visit)(void *ctx, struct slice found);
    void *ctx;
    size_t found;
};

/* RFC 6901 section 4: "~1" is a slash, "~0" a tilde, in this order. */
static void add_step(struct buf *name, const char *step, size_t n, bool pointer)
{
    for (size_t i = 0; i < n; i++) {
        const char *at = step + i;
        if (pointer && *at == '~' && i + 1 < n && strchr("01", at[1])) {
            at = at[1] == '1' ? "/" : "~";
            i++;
        }
        buf_add(name, at, 1);
    }
}

static bool is_named(struct slice key, struct slice name)
{
    struct buf text = {0};
    bool same = json_to_text(key, &text) && slice_equal(buf_slice(&text), name);
    buf_done(&text);
    return same;
}

static bool is_index(struct slice name, uint64_t *out)
{
    char text[24];
    if (name.n == 0 || name.n >= sizeof text) {
        return false;
    }
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    return option_number(text, out);
}

static void search(struct searching *s, struct slice value, const char *rest)
{
    struct slice key, item;
    if (*rest == '\0') {
        s->found++;
        s->visit(s->ctx, value);
        return;
    }
    const char separators[] = {s->separator, '\0'};
    size_t n = strcspn(rest, separators);
    const char *next = rest + n + (rest[n] != '\0');
    bool all = n == 1 && rest[0] == '*';
    bool list = json_kind_of(value) == JSON_KIND_ARRAY;
    struct buf name = {0};
    uint64_t at = 0, index = UINT64_MAX;
    add_step(&name, rest, n, s->separator == '/');
    if (list && !all && !is_index(buf_slice(&name), &index)) {
        buf_done(&name);
        return;
    }
    for (struct json_walk w = json_walk_of(value); json_walk_next(&w, &key, &item); at++) {
        if (all || (list ? at == index : is_named(key, buf_slice(&name)))) {
            search(s, item, next);
        }
    }
    buf_done(&name);
}

size_t query_each(struct slice value, const char *query,
                  void (*visit)(void *ctx, struct slice found), void *ctx)
{
    struct searching s = {.separator = *query == '/' ? '/' : '.', .visit = visit, .ctx = ctx};
    search(&s, json_trim(value), *query == '/' || *query == '.' ? query + 1 : query);
    return s.found;
}
