#define _GNU_SOURCE
#include "hub/cli/top_table.h"

#include <ctype.h>
#include <stdlib.h>

#include "channels/json_out.h"
#include "channels/json_scan.h"

static void clear_rows(struct top_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        buf_done(&t->rows[i]);
    }
    t->n = t->shown = 0;
}

void top_table_unmark(struct top_table *t)
{
    for (size_t i = 0; i < t->marks_n; i++) {
        free(t->marks[i]);
    }
    free(t->marks);
    t->marks = NULL;
    t->marks_n = 0;
}

void top_table_done(struct top_table *t)
{
    clear_rows(t);
    top_table_unmark(t);
    free(t->rows);
    free(t->order);
    free(t->selected_id);
    *t = (struct top_table){0};
}

/* --- what passes -------------------------------------------------------------------------------
 */

bool top_is_fault(struct slice status)
{
    static const char *const words[] = {"stale", "inactive",  "error",   "failed",      "dead",
                                        "tied",  "no_quorum", "expired", "no_decision", "paused"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_is(status, words[i])) {
            return true;
        }
    }
    return false;
}

static bool has_letters(const char *letters, const char *text)
{
    for (; *letters; letters++) {
        while (*text && tolower((unsigned char)*text) != tolower((unsigned char)*letters)) {
            text++;
        }
        if (!*text++) {
            return false;
        }
    }
    return true;
}

bool top_filter_passes(const char *filter, const char *text)
{
    if (strncmp(filter, "-f ", 3) == 0) {
        return has_letters(filter + 3, text);
    }
    bool without = filter[0] == '!' && filter[1];
    return (strcasestr(text, filter + without) != NULL) != without;
}

static bool passes(const struct top_table *t, struct slice item, int64_t now_ms)
{
    struct buf text = {0};
    if (t->faults && t->status) {
        struct buf status = {0};
        json_add_human(&status, json_at(item, t->status));
        bool fault = top_is_fault(buf_slice(&status));
        buf_done(&status);
        if (!fault) {
            return false;
        }
    }
    if (!t->filter[0]) {
        return true;
    }
    for (const struct column *c = t->columns; c->title; c++) {
        output_cell(&text, c, item, now_ms); /* also what only a wide screen shows */
        buf_add_str(&text, " ");
    }
    buf_add(&text, "", 1);
    bool ok = top_filter_passes(t->filter, (const char *)text.p);
    buf_done(&text);
    return ok;
}

/* --- order -------------------------------------------------------------------------------------
 */

static int compare_cells(const struct column *c, struct slice a, struct slice b)
{
    double x, y;
    struct slice va = json_at(a, c->path), vb = json_at(b, c->path);
    if (json_to_double(va, &x) && json_to_double(vb, &y)) {
        return (x > y) - (x < y);
    }
    struct buf ta = {0}, tb = {0};
    json_add_human(&ta, va);
    json_add_human(&tb, vb);
    buf_add(&ta, "", 1);
    buf_add(&tb, "", 1);
    int order = strcasecmp((const char *)ta.p, (const char *)tb.p);
    buf_done(&ta);
    buf_done(&tb);
    return order;
}

static int compare_rows(const void *a, const void *b, void *ctx)
{
    const struct top_table *t = ctx;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int order = compare_cells(&t->columns[t->sort], buf_slice(&t->rows[x]), buf_slice(&t->rows[y]));
    order = t->descending ? -order : order;
    return order ? order : (x > y) - (x < y); /* equal ones as they came */
}

static bool id_of(const struct top_table *t, struct slice item, struct buf *out)
{
    size_t start = out->n;
    json_add_human(out, json_at(item, t->columns[0].path));
    return out->n > start;
}

struct slice top_table_find(const struct top_table *t, struct slice id)
{
    for (size_t i = 0; i < t->n; i++) {
        struct buf its = {0};
        bool same = id_of(t, buf_slice(&t->rows[i]), &its) && slice_equal(buf_slice(&its), id);
        buf_done(&its);
        if (same) {
            return buf_slice(&t->rows[i]);
        }
    }
    return slice_of(NULL, 0);
}

static void select_by_id(struct top_table *t)
{
    for (size_t i = 0; t->selected_id && i < t->shown; i++) {
        struct buf id = {0};
        (void)id_of(t, top_table_item(t, i), &id);
        bool same = slice_is(buf_slice(&id), t->selected_id);
        buf_done(&id);
        if (same) {
            t->selected = i;
            return;
        }
    }
    if (t->selected >= t->shown) {
        t->selected = t->shown ? t->shown - 1 : 0;
    }
}

static void remember(struct top_table *t)
{
    struct buf id = {0};
    free(t->selected_id);
    t->selected_id = top_table_id(t, &id) ? xstrndup(id.p, id.n) : NULL;
    buf_done(&id);
}

void top_table_arrange(struct top_table *t, int64_t now_ms)
{
    t->order = xrealloc(t->order, (t->n + 1) * sizeof *t->order);
    t->shown = 0;
    t->pushed = false;
    for (size_t i = 0; i < t->n; i++) {
        if (passes(t, buf_slice(&t->rows[i]), now_ms)) {
            t->order[t->shown++] = i;
        }
    }
    if (t->sort >= 0) {
        qsort_r(t->order, t->shown, sizeof *t->order, compare_rows, t);
    }
    select_by_id(t);
    remember(t);
}

/* --- rows --------------------------------------------------------------------------------------
 */

static void add_row(struct top_table *t, struct slice item)
{
    if (t->n < TOP_ROWS_MAX) {
        t->rows = xrealloc(t->rows, (t->n + 1) * sizeof *t->rows);
        t->rows[t->n] = (struct buf){0};
        buf_add_slice(&t->rows[t->n++], item);
    }
}

/* --- marks -------------------------------------------------------------------------------------
 */

static size_t find_mark(const struct top_table *t, struct slice id)
{
    size_t i = 0;
    while (i < t->marks_n && !slice_is(id, t->marks[i])) {
        i++;
    }
    return i;
}

static void drop_mark(struct top_table *t, size_t i)
{
    free(t->marks[i]);
    t->marks[i] = t->marks[--t->marks_n];
}

void top_table_mark(struct top_table *t)
{
    struct buf id = {0};
    if (top_table_id(t, &id)) {
        size_t i = find_mark(t, buf_slice(&id));
        if (i < t->marks_n) {
            drop_mark(t, i);
        } else {
            t->marks = xrealloc(t->marks, (t->marks_n + 1) * sizeof *t->marks);
            t->marks[t->marks_n++] = xstrndup(id.p, id.n);
        }
    }
    buf_done(&id);
}

bool top_table_is_marked(const struct top_table *t, size_t shown)
{
    struct buf id = {0};
    bool marked = t->marks_n && id_of(t, top_table_item(t, shown), &id) &&
                  find_mark(t, buf_slice(&id)) < t->marks_n;
    buf_done(&id);
    return marked;
}

static void drop_marks_of_no_row(struct top_table *t)
{
    for (size_t m = t->marks_n; m--;) {
        bool there = false;
        for (size_t i = 0; !there && i < t->n; i++) {
            struct buf id = {0};
            there = id_of(t, buf_slice(&t->rows[i]), &id) && slice_is(buf_slice(&id), t->marks[m]);
            buf_done(&id);
        }
        if (!there) {
            drop_mark(t, m);
        }
    }
}

char **top_table_meant(const struct top_table *t, size_t *out_n)
{
    struct buf id = {0};
    bool selected = t->marks_n == 0 && top_table_id(t, &id);
    *out_n = selected ? 1 : t->marks_n;
    char **ids = *out_n ? xcalloc(*out_n, sizeof *ids) : NULL;
    for (size_t i = 0; i < *out_n; i++) {
        ids[i] = selected ? xstrndup(id.p, id.n) : xstrndup(t->marks[i], strlen(t->marks[i]));
    }
    buf_done(&id);
    return ids;
}

void top_table_load(struct top_table *t, struct slice list, int64_t now_ms)
{
    struct slice key, item;
    clear_rows(t);
    for (struct json_walk w = json_walk_of(list); json_walk_next(&w, &key, &item);) {
        add_row(t, item);
    }
    drop_marks_of_no_row(t);
    top_table_arrange(t, now_ms);
}

void top_table_push(struct top_table *t, struct slice item)
{
    if (t->n == TOP_ROWS_MAX) {
        buf_done(&t->rows[--t->n]);
    }
    add_row(t, item);
    struct buf newest = t->rows[t->n - 1];
    memmove(t->rows + 1, t->rows, (t->n - 1) * sizeof *t->rows);
    t->rows[0] = newest;
    t->shown = 0; /* its order speaks of places that are no more */
    t->pushed = true;
}

/* --- walking -----------------------------------------------------------------------------------
 */

struct slice top_table_item(const struct top_table *t, size_t shown)
{
    return shown < t->shown ? buf_slice(&t->rows[t->order[shown]]) : (struct slice){0};
}

bool top_table_id(const struct top_table *t, struct buf *out)
{
    struct slice item = top_table_item(t, t->selected);
    return item.n && id_of(t, item, out);
}

void top_table_move(struct top_table *t, long by)
{
    long last = t->shown ? (long)t->shown - 1 : 0;
    long to = (long)t->selected + by;
    t->selected = (size_t)(to < 0 ? 0 : to > last ? last : to);
    remember(t);
}

bool top_table_has_beside(const struct top_table *t)
{
    size_t n = 0;
    for (size_t i = 0; t->columns[i].title; i++) {
        n += top_table_shows(t, i);
    }
    return t->aside + 2 < n;
}

bool top_table_shows(const struct top_table *t, size_t column)
{
    return t->wide || !t->columns[column].wide;
}

void top_table_sort_next(struct top_table *t)
{
    do {
        t->sort++;
    } while (t->columns[t->sort].title && !top_table_shows(t, (size_t)t->sort));
    if (!t->columns[t->sort].title) {
        t->sort = -1;
    }
}

bool top_table_sort_by(struct top_table *t, const char *title)
{
    for (int i = 0; t->columns[i].title; i++) {
        if (top_table_shows(t, (size_t)i) &&
            strncasecmp(t->columns[i].title, title, strlen(title)) == 0) {
            t->sort = i;
            return true;
        }
    }
    return false;
}
