#include "hub/cli/top_command.h"

// clang-format off
static const struct { const char *word; int key; } words[] = {
    { "describe", 'd' }, { "json", 'y' }, { "events", 'l' }, { "tree", 'x' }, { "mark", ' ' }, { "sort", 's' },
    { "reverse", 'S' }, { "filter", '/' }, { "wide", 'w' }, { "faults", 'z' }, { "help", '?' }, { "quit", 'q' },
    { "q", 'q' },
};
// clang-format on

struct finding {
    const char *begun;
    const char **out;
    size_t n;
    int key, exact; /* of the last that fits; of the one that is it */
};

static void consider(struct finding *f, const char *word, int key)
{
    if (strncmp(word, f->begun, strlen(f->begun)) != 0 || f->n == TOP_WORDS_MAX) {
        return;
    }
    f->out[f->n++] = word;
    f->key = key;
    if (strcmp(word, f->begun) == 0) {
        f->exact = key;
    }
}

static void find(struct finding *f, const struct top_model *m)
{
    for (size_t i = 0; i < TOP_VIEWS; i++) {
        consider(f, top_views[i].name, (int)('0' + (i + 1) % TOP_VIEWS));
    }
    for (const struct top_action *a = top_views[m->view].actions; a->key; a++) {
        consider(f, a->label, a->key);
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        consider(f, words[i].word, words[i].key);
    }
}

size_t top_command_words(const struct top_model *m, const char *begun,
                         const char *out[TOP_WORDS_MAX])
{
    struct finding f = {.begun = begun, .out = out};
    find(&f, m);
    return f.n;
}

int top_command_key(const struct top_model *m, const char *begun)
{
    const char *out[TOP_WORDS_MAX];
    struct finding f = {.begun = begun, .out = out};
    find(&f, m);
    return f.exact ? f.exact : f.n == 1 ? f.key : 0;
}

void top_command_complete(struct top_model *m)
{
    const char *out[TOP_WORDS_MAX];
    size_t n = top_command_words(m, m->input, out);
    size_t same = n ? strlen(out[0]) : 0;
    for (size_t i = 1; i < n; i++) {
        for (size_t k = 0; k < same; k++) {
            if (out[i][k] != out[0][k]) {
                same = k;
            }
        }
    }
    if (same > strlen(m->input)) {
        snprintf(m->input, sizeof m->input, "%.*s", (int)same, out[0]);
    }
}
