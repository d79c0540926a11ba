#include "hub/cli/top_draw.h"

#include <stdarg.h>
#include <stdlib.h>

#include "channels/json_scan.h"
#include "hub/cli/text.h"

enum { HEADER_ROWS = 2, FOOTER_ROWS = 1, CELLS_MAX = 16, CELL_GAP = 2, CELL_LEAST = 4 };

void top_screen_done(struct top_screen *screen)
{
    for (size_t i = 0; i < screen->rows; i++) {
        for (size_t k = 0; k < screen->lines[i].n; k++) {
            buf_done(&screen->lines[i].segments[k].text);
        }
        free(screen->lines[i].segments);
    }
    free(screen->lines);
    *screen = (struct top_screen){0};
}

/* --- lines -------------------------------------------------------------------------------------
 */

static void make_ascii(struct buf *b)
{
    struct buf plain = {0};
    for (size_t i = 0; i < b->n; i++) {
        uint8_t c = b->p[i];
        if (c < 0x80) {
            buf_add(&plain, &c, 1);
        } else if ((c & 0xc0) == 0xc0) { /* the first byte stands for the character */
            size_t length = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
            struct slice one = slice_of(b->p + i, length <= b->n - i ? length : b->n - i);
            for (size_t w = text_columns(one); w; w--) {
                buf_add_str(&plain, "?");
            }
        }
    }
    buf_done(b);
    *b = plain;
}

/* Text in exactly `width` columns, or in what is left of the line. */
static void put(const struct top_model *m, struct top_line *line, size_t columns,
                enum top_look look, struct slice clean, size_t width, bool right)
{
    size_t left = columns - line->columns;
    width = width < left ? width : left;
    if (width == 0) {
        return;
    }
    line->segments = xrealloc(line->segments, (line->n + 1) * sizeof *line->segments);
    struct top_segment *s = &line->segments[line->n++];
    *s = (struct top_segment){.look = look};
    text_add_fitted(&s->text, clean, width, right);
    if (m->ascii) {
        make_ascii(&s->text);
    }
    line->columns += width;
}

static void put_rest(const struct top_model *m, struct top_line *line, size_t columns,
                     enum top_look look, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The rest of the line. */
static void put_rest(const struct top_model *m, struct top_line *line, size_t columns,
                     enum top_look look, const char *format, ...)
{
    char text[512];
    struct buf clean = {0};
    va_list rest;
    va_start(rest, format);
    vsnprintf(text, sizeof text, format, rest);
    va_end(rest);
    text_add_clean(&clean, slice_str(text));
    put(m, line, columns, look, buf_slice(&clean), columns, false);
    buf_done(&clean);
}

/* --- the frame ---------------------------------------------------------------------------------
 */

static size_t count_status(const struct top_table *t, const char *status)
{
    size_t count = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct slice found, value = json_at(buf_slice(&t->rows[i]), "status");
        count += json_is_plain(value, &found) && slice_is(found, status);
    }
    return count;
}

static void draw_header(struct top_screen *s, const struct top_model *m)
{
    const struct top_table *agents = &m->tables[0], *tasks = &m->tables[2];
    put_rest(m, &s->lines[0], s->columns, LOOK_BAR, " waggle top  %s  %s  %s%s", m->hub, m->version,
             m->who, m->readonly ? "  read only" : "");
    if (s->rows < 2) {
        return;
    }
    if (!m->connected) {
        long long away = m->lost_ms ? (long long)(m->now_ms - m->lost_ms) / 1000 : 0;
        put_rest(m, &s->lines[1], s->columns, LOOK_BANNER,
                 " The hub is away (%lld s): what is shown is old. Trying again. %s", away,
                 m->message);
        return;
    }
    put_rest(m, &s->lines[1], s->columns, LOOK_PLAIN,
             " agents %zu: %zu active %zu busy %zu stale  |  tasks %zu: %zu pending %zu running "
             "%zu failed",
             agents->n, count_status(agents, "active"), count_status(agents, "busy"),
             count_status(agents, "stale"), tasks->n, count_status(tasks, "pending"),
             count_status(tasks, "running"), count_status(tasks, "failed"));
}

static void draw_sidebar(struct top_screen *s, const struct top_model *m, struct top_line *line,
                         size_t row)
{
    char text[40] = "";
    bool here = row == m->view;
    if (row < TOP_VIEWS) {
        snprintf(text, sizeof text, " %zu %-9.9s", row + 1, top_views[row].title);
        size_t n = strlen(text);
        if (m->tables[row].n) {
            snprintf(text + n, sizeof text - n, " %zu", m->tables[row].n);
        }
    }
    put(m, line, s->columns, here ? LOOK_SELECTED : LOOK_PLAIN, slice_str(text), TOP_SIDEBAR - 1,
        false);
    put(m, line, s->columns, LOOK_DIM, slice_str(m->ascii ? "|" : "│"), 1, false);
}

static void draw_footer(struct top_screen *s, const struct top_model *m, struct top_line *line)
{
    struct buf id = {0};
    switch (m->mode) {
    case TOP_COMMAND:
        put_rest(m, line, s->columns, LOOK_BOLD, ":%s_   (Tab completes)", m->input);
        break;
    case TOP_FILTER:
        put_rest(m, line, s->columns, LOOK_BOLD, "/%s_", m->input);
        break;
    case TOP_CONFIRM:
        (void)top_table_id(&m->tables[m->view], &id);
        put_rest(m, line, s->columns, LOOK_WARN, "%s %.*s? y/n", m->action->label, (int)id.n,
                 (const char *)id.p);
        break;
    case TOP_PAGE:
        put_rest(m, line, s->columns, LOOK_BAR, " esc back  arrows PgUp PgDn move");
        break;
    case TOP_TABLE:
        if (m->message[0]) {
            put_rest(m, line, s->columns, LOOK_WARN, "%s", m->message);
            break;
        }
        put_rest(
            m, line, s->columns, LOOK_BAR,
            " ? help  : view  / filter  enter in  esc out  s sort  y JSON  l log  z faults  q");
        break;
    }
    buf_done(&id);
}

/* --- the table ---------------------------------------------------------------------------------
 */

static enum top_look look_of(struct slice status)
{
    const char *colour = status_colour(status);
    return !colour                           ? LOOK_PLAIN
           : strcmp(colour, "\033[32m") == 0 ? LOOK_GOOD
           : strcmp(colour, "\033[36m") == 0 ? LOOK_BUSY
           : strcmp(colour, "\033[33m") == 0 ? LOOK_WARN
                                             : LOOK_BAD;
}

struct layout {
    size_t widths[CELLS_MAX], n;
};

static size_t title_width(const struct top_table *t, size_t i)
{
    return strlen(t->columns[i].title) + (t->sort == (int)i ? 2 : 0);
}

/* As wide as what stands on the screen; where that is too much, the widest give way. */
static void lay_out(struct layout *l, const struct top_model *m, const struct top_table *t,
                    size_t first, size_t rows, size_t columns)
{
    size_t all = 0;
    *l = (struct layout){0};
    for (; t->columns[l->n].title && l->n < CELLS_MAX; l->n++) {
        size_t width = title_width(t, l->n);
        for (size_t r = first; r < first + rows && r < t->shown; r++) {
            struct buf cell = {0};
            output_cell(&cell, &t->columns[l->n], top_table_item(t, r), m->now_ms);
            size_t w = text_columns(buf_slice(&cell));
            width = w > width ? w : width;
            buf_done(&cell);
        }
        l->widths[l->n] = width;
        all += width + (l->n ? CELL_GAP : 0);
    }
    for (; all > columns; all--) {
        size_t widest = 0;
        for (size_t i = 1; i < l->n; i++) {
            widest = l->widths[i] > l->widths[widest] ? i : widest;
        }
        if (l->widths[widest] <= CELL_LEAST) {
            return;
        }
        l->widths[widest]--;
    }
}

static void draw_cells(struct top_screen *s, const struct top_model *m, struct top_line *line,
                       const struct layout *l, const struct top_table *t, size_t row, bool selected)
{
    for (size_t i = 0; i < l->n; i++) {
        struct buf cell = {0};
        const struct column *c = &t->columns[i];
        output_cell(&cell, c, top_table_item(t, row), m->now_ms);
        enum top_look look = selected                   ? LOOK_SELECTED
                             : !m->connected            ? LOOK_DIM
                             : c->kind == COLUMN_STATUS ? look_of(buf_slice(&cell))
                                                        : LOOK_PLAIN;
        bool right = c->kind == COLUMN_NUMBER || c->kind == COLUMN_AGE;
        put(m, line, s->columns, look, slice_str("  "), i ? CELL_GAP : 0, false);
        put(m, line, s->columns, look, buf_slice(&cell), l->widths[i], right);
        buf_done(&cell);
    }
    put(m, line, s->columns, selected ? LOOK_SELECTED : LOOK_PLAIN, slice_str(""), s->columns,
        false);
}

static void draw_titles(struct top_screen *s, const struct top_model *m, struct top_line *line,
                        const struct layout *l, const struct top_table *t)
{
    for (size_t i = 0; i < l->n; i++) {
        struct buf title = {0};
        const struct column *c = &t->columns[i];
        buf_add_str(&title, c->title);
        if (t->sort == (int)i) {
            buf_add_str(&title, t->descending ? " v" : " ^");
        }
        bool right = c->kind == COLUMN_NUMBER || c->kind == COLUMN_AGE;
        put(m, line, s->columns, LOOK_BOLD, slice_str("  "), i ? CELL_GAP : 0, false);
        put(m, line, s->columns, LOOK_BOLD, buf_slice(&title), l->widths[i], right);
        buf_done(&title);
    }
    put(m, line, s->columns, LOOK_BOLD, slice_str(""), s->columns, false);
}

/* row 0 of the main part: what is shown, and of how much. */
static void draw_caption(struct top_screen *s, const struct top_model *m, struct top_line *line)
{
    const struct top_table *t = &m->tables[m->view];
    if (m->mode == TOP_PAGE) {
        put_rest(m, line, s->columns, LOOK_BOLD, "%s > %s", top_views[m->view].title,
                 m->page_title);
        return;
    }
    put_rest(m, line, s->columns, LOOK_BOLD, "%s (%zu of %zu)%s%s%s", top_views[m->view].title,
             t->shown, t->n, t->filter[0] ? "  /" : "", t->filter,
             t->faults ? "  faults only" : "");
}

static void draw_table_row(struct top_screen *s, const struct top_model *m, struct top_line *line,
                           const struct layout *l, size_t first, size_t row)
{
    const struct top_table *t = &m->tables[m->view];
    if (row == 0) {
        draw_titles(s, m, line, l, t);
    } else if (first + row - 1 < t->shown) {
        size_t at = first + row - 1;
        draw_cells(s, m, line, l, t, at, at == t->selected);
    } else if (row == 1 && t->shown == 0) {
        const char *note = m->notes[m->view];
        put_rest(m, line, s->columns, LOOK_DIM, "%s", note[0] ? note : "nothing to show");
    } else {
        put_rest(m, line, s->columns, LOOK_PLAIN, "%s", "");
    }
}

static void draw_page_row(struct top_screen *s, const struct top_model *m, struct top_line *line,
                          size_t row)
{
    const uint8_t *p = m->page.p, *end = p ? p + m->page.n : NULL;
    for (size_t i = m->page_first + row; p && p < end && i; i--) {
        const uint8_t *newline = memchr(p, '\n', (size_t)(end - p));
        p = newline ? newline + 1 : end;
    }
    size_t n = p && p < end ? (size_t)(end - p) : 0;
    const uint8_t *newline = n ? memchr(p, '\n', n) : NULL;
    put(m, line, s->columns, LOOK_PLAIN, slice_of(p, newline ? (size_t)(newline - p) : n),
        s->columns, false);
}

void top_draw(struct top_screen *s, struct top_model *m, size_t rows, size_t columns)
{
    top_screen_done(s);
    s->rows = rows;
    s->columns = columns;
    s->lines = xcalloc(rows + 1, sizeof *s->lines);
    if (rows == 0 || columns == 0) {
        return;
    }
    struct top_table *t = &m->tables[m->view];
    if (t->pushed) {
        top_table_arrange(t, m->now_ms);
    }
    size_t frame = HEADER_ROWS + FOOTER_ROWS + 1; /* and the caption */
    size_t main_rows = rows > frame ? rows - frame : 0;
    size_t list_rows = main_rows > 1 ? main_rows - 1 : 1; /* without the titles */
    bool sidebar = columns >= TOP_COLUMNS_LEAST;
    size_t width = sidebar ? columns - TOP_SIDEBAR : columns;
    size_t first = t->selected >= list_rows ? t->selected - list_rows + 1 : 0;
    struct layout l;
    m->page_rows = main_rows;
    m->page_step = list_rows;
    draw_header(s, m);
    if (rows > HEADER_ROWS) {
        draw_footer(s, m, &s->lines[rows - 1]);
    }
    lay_out(&l, m, t, first, list_rows, width);
    for (size_t i = HEADER_ROWS; i + FOOTER_ROWS < rows; i++) {
        struct top_line *line = &s->lines[i];
        size_t row = i - HEADER_ROWS;
        if (sidebar) {
            draw_sidebar(s, m, line, row);
        }
        if (row == 0) {
            draw_caption(s, m, line);
        } else if (m->mode == TOP_PAGE) {
            draw_page_row(s, m, line, row - 1);
        } else {
            draw_table_row(s, m, line, &l, first, row - 1);
        }
    }
}
