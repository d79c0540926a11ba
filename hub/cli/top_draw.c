#include "hub/cli/top_draw.h"

#include <stdarg.h>
#include <stdlib.h>

#include "channels/json_scan.h"
#include "hub/cli/text.h"
#include "hub/cli/top_command.h"

enum {
    FOOTER_ROWS = 1,
    CELL_GAP = 2,
    CELL_LEAST = 4,
    LAST_LEAST = 10,
    GUTTER = 1, /* of the table: where marks stand */
    PULSE_WIDE_COLUMNS = 110,
    PULSE_WIDTH = 20,
    PULSE_CAPTION = 16,
    PULSE_REST = 36 /* of the view of pulses: what is not the line of the past */
};

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

/* How a text that is too long is cut, and where one that is too short stands. */
enum put_how { PUT_LEFT, PUT_RIGHT, PUT_ID };

/* Text in exactly `width` columns, or in what is left of the line. */
static void put_so(const struct top_model *m, struct top_line *line, size_t columns,
                   enum top_look look, struct slice clean, size_t width, enum put_how how)
{
    size_t left = columns - line->columns;
    width = width < left ? width : left;
    if (width == 0) {
        return;
    }
    line->segments = xrealloc(line->segments, (line->n + 1) * sizeof *line->segments);
    struct top_segment *s = &line->segments[line->n++];
    *s = (struct top_segment){.look = look};
    if (how == PUT_ID) {
        text_add_id(&s->text, clean, width);
    } else {
        text_add_fitted(&s->text, clean, width, how == PUT_RIGHT);
    }
    if (m->ascii) {
        make_ascii(&s->text);
    }
    line->columns += width;
}

static void put(const struct top_model *m, struct top_line *line, size_t columns,
                enum top_look look, struct slice clean, size_t width, bool right)
{
    put_so(m, line, columns, look, clean, width, right ? PUT_RIGHT : PUT_LEFT);
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

/* Of more than the table holds the first are counted. */
static const char *more_than(const struct top_table *t)
{
    return t->n == TOP_ROWS_MAX ? "+" : "";
}

/* The tasks that were done lately, at the right end of the header. */
static void draw_throughput(struct top_screen *s, const struct top_model *m, struct top_line *line)
{
    struct buf past = {0}, text = {0};
    series_draw(&m->pulse.series[PULSE_COMPLETED], &past, PULSE_WIDTH, m->ascii);
    buf_printf(&text, "%.1f done/s ", m->pulse.now[PULSE_COMPLETED]);
    put(m, line, s->columns, LOOK_PLAIN, buf_slice(&text), PULSE_CAPTION, true);
    put(m, line, s->columns, LOOK_BUSY, buf_slice(&past), PULSE_WIDTH, false);
    buf_done(&past);
    buf_done(&text);
}

static void draw_header(struct top_screen *s, const struct top_model *m)
{
    const struct top_table *agents = &m->tables[TOP_AGENTS], *tasks = &m->tables[TOP_TASKS];
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
    struct top_line *line = &s->lines[1];
    bool wide = s->columns >= PULSE_WIDE_COLUMNS;
    put_rest(
        m, line, wide ? s->columns - PULSE_WIDTH - PULSE_CAPTION : s->columns, LOOK_PLAIN,
        " agents %zu%s: %zu active %zu busy %zu stale  |  tasks %zu%s: %zu pending %zu running "
        "%zu failed",
        agents->n, more_than(agents), count_status(agents, "active"), count_status(agents, "busy"),
        count_status(agents, "stale"), tasks->n, more_than(tasks), count_status(tasks, "pending"),
        count_status(tasks, "running"), count_status(tasks, "failed"));
    if (wide) {
        draw_throughput(s, m, line);
    }
}

static void draw_sidebar(struct top_screen *s, const struct top_model *m, struct top_line *line,
                         size_t row)
{
    char text[40] = "";
    bool here = row == m->view;
    if (row < TOP_VIEWS) {
        snprintf(text, sizeof text, " %zu %-9.9s", (row + 1) % TOP_VIEWS, top_views[row].title);
        size_t n = strlen(text);
        if (m->tables[row].n && row != TOP_PULSES) {
            m->tables[row].n < TOP_ROWS_MAX
                ? snprintf(text + n, sizeof text - n, " %zu", m->tables[row].n)
                : snprintf(text + n, sizeof text - n, " %dk", TOP_ROWS_MAX / 1000);
        }
    }
    put(m, line, s->columns, here ? LOOK_SELECTED : LOOK_PLAIN, slice_str(text), TOP_SIDEBAR - 1,
        false);
    put(m, line, s->columns, LOOK_DIM, slice_str(m->ascii ? "|" : "│"), 1, false);
}

static void draw_words(struct top_screen *s, const struct top_model *m, struct top_line *line)
{
    const char *words[TOP_WORDS_MAX];
    struct buf text = {0};
    size_t n = top_command_words(m, m->input, words);
    buf_add_str(&text, ":");
    text_add_clean(&text, slice_str(m->input));
    buf_add_str(&text, "_   (Tab completes)");
    for (size_t i = 0; m->input[0] && i < n; i++) {
        buf_printf(&text, " %s", words[i]);
    }
    put(m, line, s->columns, LOOK_BOLD, buf_slice(&text), s->columns, false);
    buf_done(&text);
}

static void draw_question(struct top_screen *s, const struct top_model *m, struct top_line *line)
{
    if (m->meant_n == 1) {
        put_rest(m, line, s->columns, LOOK_WARN, "%s %s? y/n", m->action->label, m->meant[0]);
    } else {
        put_rest(m, line, s->columns, LOOK_WARN, "%s all %zu marked? y/n", m->action->label,
                 m->meant_n);
    }
}

static void draw_footer(struct top_screen *s, const struct top_model *m, struct top_line *line)
{
    switch (m->mode) {
    case TOP_COMMAND:
        draw_words(s, m, line);
        break;
    case TOP_FILTER:
        put_rest(m, line, s->columns, LOOK_BOLD, "/%s_", m->input);
        break;
    case TOP_CONFIRM:
        draw_question(s, m, line);
        break;
    case TOP_REASON:
        put_rest(m, line, s->columns, LOOK_WARN, "%s: why? (enter: do it, esc: not)  %s_",
                 m->action->label, m->input);
        break;
    case TOP_PAGE:
        put_rest(m, line, s->columns, LOOK_BAR, " esc back  arrows PgUp PgDn move");
        break;
    case TOP_TABLE:
        if (m->message[0]) {
            put_rest(m, line, s->columns, LOOK_WARN, "%s", m->message);
            break;
        }
        put_rest(m, line, s->columns, LOOK_BAR,
                 " ? help  : command  / filter  enter in  esc out  space mark  x tree  q quit");
        break;
    }
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
    size_t widths[TOP_CELLS_MAX], n;
    const struct column *columns[TOP_CELLS_MAX]; /* those that are shown */
    size_t numbers[TOP_CELLS_MAX];               /* of each within all */
};

static size_t title_width(const struct top_table *t, size_t i)
{
    return strlen(t->columns[i].title) + (t->sort == (int)i ? 2 : 0);
}

/* What can be taken of a column: an id counts half, and a word of status stays whole. */
static size_t spare(const struct layout *l, size_t i)
{
    size_t width = i ? l->widths[i] : l->widths[i] / 2;
    return l->columns[i]->kind == COLUMN_STATUS || width <= CELL_LEAST ? 0 : width;
}

/* First the last column, which says the most at length; then the widest. */
static bool give_way(struct layout *l)
{
    size_t which = l->n - 1;
    for (size_t i = 0; l->widths[l->n - 1] <= LAST_LEAST && i < l->n; i++) {
        which = spare(l, i) > spare(l, which) ? i : which;
    }
    if (spare(l, which) == 0) {
        return false;
    }
    l->widths[which]--;
    return true;
}

/* As wide as what stands on the screen; where that is too much, columns give way or, when all of
 * them are asked for, stand beside the screen: the first stays, others are moved along. */
static void lay_out(struct layout *l, const struct top_model *m, const struct top_table *t,
                    size_t first, size_t rows, size_t columns)
{
    size_t all = 0, aside = t->wide ? t->aside : 0;
    *l = (struct layout){0};
    for (size_t c = 0; t->columns[c].title && l->n < TOP_CELLS_MAX; c++) {
        bool last = !t->columns[c + 1].title;
        if (!top_table_shows(t, c) || (c && aside && !last && aside--)) {
            continue;
        }
        size_t width = title_width(t, c);
        for (size_t r = first; r < first + rows && r < t->shown; r++) {
            struct buf cell = {0};
            output_cell(&cell, &t->columns[c], top_table_item(t, r), m->now_ms);
            size_t w = text_columns(buf_slice(&cell));
            width = w > width ? w : width;
            buf_done(&cell);
        }
        all += width + (l->n ? CELL_GAP : 0);
        l->columns[l->n] = &t->columns[c];
        l->numbers[l->n] = c;
        l->widths[l->n++] = width;
    }
    while (all > columns && l->n && !t->wide && give_way(l)) {
        all--;
    }
}

static void draw_cells(struct top_screen *s, const struct top_model *m, struct top_line *line,
                       const struct layout *l, const struct top_table *t, size_t row, bool selected)
{
    bool marked = top_table_is_marked(t, row);
    put(m, line, s->columns, selected ? LOOK_SELECTED : LOOK_WARN, slice_str(marked ? "*" : ""),
        GUTTER, false);
    for (size_t i = 0; i < l->n; i++) {
        struct buf cell = {0};
        const struct column *c = l->columns[i];
        output_cell(&cell, c, top_table_item(t, row), m->now_ms);
        enum top_look look = selected                   ? LOOK_SELECTED
                             : marked                   ? LOOK_WARN
                             : !m->connected            ? LOOK_DIM
                             : c->kind == COLUMN_STATUS ? look_of(buf_slice(&cell))
                                                        : LOOK_PLAIN;
        bool right = c->kind == COLUMN_NUMBER || c->kind == COLUMN_AGE;
        put(m, line, s->columns, look, slice_str("  "), i ? CELL_GAP : 0, false);
        put_so(m, line, s->columns, look, buf_slice(&cell), l->widths[i],
               right    ? PUT_RIGHT
               : i == 0 ? PUT_ID
                        : PUT_LEFT);
        buf_done(&cell);
    }
    put(m, line, s->columns, selected ? LOOK_SELECTED : LOOK_PLAIN, slice_str(""), s->columns,
        false);
}

static void draw_titles(struct top_screen *s, const struct top_model *m, struct top_line *line,
                        const struct layout *l, const struct top_table *t)
{
    put(m, line, s->columns, LOOK_BOLD, slice_str(""), GUTTER, false);
    for (size_t i = 0; i < l->n; i++) {
        struct buf title = {0};
        const struct column *c = l->columns[i];
        if (t->sort == (int)l->numbers[i]) { /* in front: the end may be cut */
            buf_add_str(&title, t->descending ? "v " : "^ ");
        }
        buf_add_str(&title, c->title);
        bool right = c->kind == COLUMN_NUMBER || c->kind == COLUMN_AGE;
        put(m, line, s->columns, LOOK_BOLD, slice_str("  "), i ? CELL_GAP : 0, false);
        put(m, line, s->columns, LOOK_BOLD, buf_slice(&title), l->widths[i], right);
        buf_done(&title);
    }
    put(m, line, s->columns, LOOK_BOLD, slice_str(""), s->columns, false);
}

/* What was chosen of the table, and how. */
static void add_choices(struct buf *text, const struct top_table *t)
{
    if (t->filter[0]) {
        buf_add_str(text, "  /");
        text_add_clean(text, slice_str(t->filter));
    }
    if (t->faults) {
        buf_add_str(text, "  faults only");
    }
    if (t->marks_n) {
        buf_printf(text, "  %zu marked", t->marks_n);
    }
    if (t->wide) {
        buf_add_str(text, "  wide");
    }
}

/* row 0 of the main part: what is shown, and of how much. */
static void draw_caption(struct top_screen *s, const struct top_model *m, struct top_line *line)
{
    const struct top_table *t = &m->tables[m->view];
    struct buf text = {0};
    buf_add_str(&text, top_views[m->view].title);
    if (m->mode == TOP_PAGE) {
        buf_printf(&text, " > %s", m->page_title);
    } else {
        buf_printf(&text, " (%zu of %zu)", t->shown, t->n);
        add_choices(&text, t);
    }
    for (size_t i = m->crumb_n; i--;) { /* where esc leads */
        buf_printf(&text, "%s%s", i + 1 == m->crumb_n ? "  < " : " < ",
                   top_views[m->crumbs[i]].title);
    }
    put(m, line, s->columns, LOOK_BOLD, buf_slice(&text), s->columns, false);
    buf_done(&text);
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
        put_rest(m, line, s->columns, LOOK_DIM, " %s", note[0] ? note : "nothing to show");
    } else {
        put_rest(m, line, s->columns, LOOK_PLAIN, "%s", "");
    }
}

static void draw_page_row(struct top_screen *s, const struct top_model *m, struct top_line *line,
                          size_t row)
{
    struct slice rest = buf_slice(&m->page), text = slice_of(NULL, 0);
    for (size_t i = m->page_first + row + 1; i; i--) {
        text = rest.n ? top_page_row(m, &rest) : slice_of(NULL, 0);
    }
    put(m, line, s->columns, LOOK_PLAIN, text, s->columns, false);
}

/* As wide as there is room for. */
static void load_pulses(struct top_model *m, size_t width)
{
    size_t past = width > PULSE_REST + PULSE_WIDTH ? width - PULSE_REST : PULSE_WIDTH;
    struct buf list = {0};
    if (m->pulse.at_ms) {
        top_pulse_list(&m->pulse, past < SERIES_MAX / 2 ? past : SERIES_MAX / 2, m->ascii, &list);
    } else {
        snprintf(m->notes[TOP_PULSES], sizeof m->notes[TOP_PULSES],
                 "no figures yet: they come once a second, to who may hear the channel hub");
    }
    top_table_load(&m->tables[TOP_PULSES], buf_slice(&list), m->now_ms);
    buf_done(&list);
}

static void note_places(struct top_model *m, const struct layout *l, size_t sidebar, size_t first,
                        size_t rows)
{
    struct top_places *p = &m->places;
    *p = (struct top_places){.sidebar = sidebar,
                             .rows_at = TOP_HEADER_ROWS + 2, /* caption and titles */
                             .rows = rows,
                             .first = first,
                             .n = l->n};
    size_t end = sidebar + GUTTER;
    for (size_t i = 0; i < l->n; i++) {
        end += l->widths[i] + (i ? CELL_GAP : 0);
        p->ends[i] = end;
        p->columns[i] = l->numbers[i];
    }
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
    size_t frame = TOP_HEADER_ROWS + FOOTER_ROWS + 1; /* and the caption */
    size_t main_rows = rows > frame ? rows - frame : 0;
    size_t list_rows = main_rows > 1 ? main_rows - 1 : 1; /* without the titles */
    bool sidebar = columns >= TOP_COLUMNS_LEAST;
    size_t width = sidebar ? columns - TOP_SIDEBAR : columns;
    struct layout l;
    if (m->view == TOP_PULSES) {
        load_pulses(m, width);
    }
    if (t->pushed) {
        top_table_arrange(t, m->now_ms);
    }
    m->page_rows = main_rows;
    m->page_columns = width;
    m->page_step = list_rows;
    draw_header(s, m);
    if (rows > TOP_HEADER_ROWS) {
        draw_footer(s, m, &s->lines[rows - 1]);
    }
    size_t first = t->selected >= list_rows ? t->selected - list_rows + 1 : 0;
    lay_out(&l, m, t, first, list_rows, width - GUTTER);
    note_places(m, &l, sidebar ? TOP_SIDEBAR : 0, first, list_rows);
    for (size_t i = TOP_HEADER_ROWS; i + FOOTER_ROWS < rows; i++) {
        struct top_line *line = &s->lines[i];
        size_t row = i - TOP_HEADER_ROWS;
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
