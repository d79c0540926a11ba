/* Modules keep memory that the store can give back: so they promise (hub/core/apply.h). Compared is
 * all that they say of it: with what load() makes of it in the same life, as after an aborted
 * batch, and with what the next life begins with. */
#include "tests/sim/sim.h"

static struct buf recalled(struct world *w, unsigned module, bool lasting)
{
    struct buf text = {0};
    w->modules[module]->recall(writer_module(w->hub.writer, module), lasting, &text);
    return text;
}

static size_t line_end(const struct buf *text, size_t at)
{
    while (at < text->n && text->p[at] != '\n') {
        at++;
    }
    return at;
}

/* The first line that differs is what a failure says. */
static void compare(struct world *w, unsigned m, const struct buf *before, const char *otherwise)
{
    bool lasting = before == &w->remembered[m];
    struct buf now = recalled(w, m, lasting);
    size_t at = 0, line = 0;
    while (at < now.n && at < before->n && now.p[at] == before->p[at]) {
        line = now.p[at++] == '\n' ? at : line;
    }
    if (at < now.n || at < before->n) {
        sim_fail(w, "%s remembered \"%.*s\", but %s \"%.*s\"", w->modules[m]->name,
                 (int)(line_end(before, line) - line), (const char *)before->p + line, otherwise,
                 (int)(line_end(&now, line) - line), (const char *)now.p + line);
    }
    buf_done(&now);
}

static void check_one(struct world *w, struct store_view *view, unsigned m)
{
    struct buf before = recalled(w, m, false);
    SIM_CHECK(w, w->modules[m]->load(writer_module(w->hub.writer, m), view, w->now_ms) == HUB_OK,
              "%s cannot read back what they keep", w->modules[m]->name);
    compare(w, m, &before, "the store says");
    buf_done(&before);
}

void memory_check(struct world *w)
{
    struct store_view *view;
    SIM_CHECK(w, store_snapshot(w->reader, &view) == STORE_OK, "no snapshot");
    for (unsigned m = 0; m < w->modules_n; m++) {
        if (w->modules[m]->recall) {
            check_one(w, view, m);
        }
    }
    store_release(w->reader);
}

void memory_note(struct world *w)
{
    for (unsigned m = 0; m < w->modules_n; m++) {
        if (w->modules[m]->recall) {
            buf_done(&w->remembered[m]);
            w->remembered[m] = recalled(w, m, true);
        }
    }
    w->remembers = true;
}

void memory_compare(struct world *w)
{
    for (unsigned m = 0; m < w->modules_n; m++) {
        if (w->remembers && w->modules[m]->recall) {
            compare(w, m, &w->remembered[m], "after the start");
        }
        buf_done(&w->remembered[m]);
    }
    w->remembers = false;
}
