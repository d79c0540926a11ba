#define _GNU_SOURCE
#include "hub/cli/top_model.h"

#include <stdarg.h>
#include <stdlib.h>

#include "channels/json_scan.h"
#include "hub/cli/text.h"
#include "hub/cli/top_command.h"

void top_model_init(struct top_model *m)
{
    *m = (struct top_model){.page_step = 10};
    for (size_t i = 0; i < TOP_VIEWS; i++) {
        m->tables[i].columns = top_views[i].columns;
        m->tables[i].status = top_views[i].status;
        m->tables[i].sort = -1;
    }
}

static void forget_meant(struct top_model *m)
{
    for (size_t i = 0; i < m->meant_n; i++) {
        free(m->meant[i]);
    }
    free(m->meant);
    m->meant = NULL;
    m->meant_n = 0;
}

void top_model_done(struct top_model *m)
{
    for (size_t i = 0; i < TOP_VIEWS; i++) {
        top_table_done(&m->tables[i]);
    }
    buf_done(&m->page);
    top_tree_done(&m->tree);
    forget_meant(m);
}

void top_say(struct top_model *m, const char *format, ...)
{
    va_list rest;
    va_start(rest, format);
    vsnprintf(m->message, sizeof m->message, format, rest);
    va_end(rest);
}

/* --- pages -------------------------------------------------------------------------------------
 */

static void add_indent(struct buf *out, size_t level)
{
    buf_add_str(out, "\n");
    for (; level; level--) {
        buf_add_str(out, "  ");
    }
}

static void add_pretty(struct buf *out, struct slice value, size_t level)
{
    struct slice key, item;
    enum json_kind kind = json_kind_of(value);
    bool object = kind == JSON_KIND_OBJECT, first = true;
    if (!object && kind != JSON_KIND_ARRAY) {
        text_add_clean(out, value);
        return;
    }
    buf_add_str(out, object ? "{" : "[");
    for (struct json_walk w = json_walk_of(value); json_walk_next(&w, &key, &item);) {
        buf_add_str(out, first ? "" : ",");
        add_indent(out, level + 1);
        if (object) {
            text_add_clean(out, key);
            buf_add_str(out, ": ");
        }
        add_pretty(out, item, level + 1);
        first = false;
    }
    if (!first) {
        add_indent(out, level);
    }
    buf_add_str(out, object ? "}" : "]");
}

void top_add_pretty(struct buf *out, struct slice value)
{
    add_pretty(out, json_trim(value), 0);
}

static void open_page(struct top_model *m, const char *title)
{
    m->mode = TOP_PAGE;
    m->page_is_tree = false;
    m->page_first = 0;
    buf_clear(&m->page);
    snprintf(m->page_title, sizeof m->page_title, "%s", title);
}

static void show_item(struct top_model *m, bool json)
{
    struct top_table *t = &m->tables[m->view];
    struct slice item = top_table_item(t, t->selected);
    struct buf id = {0};
    if (!item.n) {
        return;
    }
    (void)top_table_id(t, &id);
    buf_add(&id, "", 1);
    open_page(m, (const char *)id.p);
    buf_done(&id);
    if (json) {
        top_add_pretty(&m->page, item);
        return;
    }
    char *text = NULL;
    size_t n = 0;
    struct output out = {.to = open_memstream(&text, &n), .format = OUT_TABLE};
    if (out.to) {
        output_object(&out, item, NULL, "");
        fclose(out.to);
        buf_add(&m->page, text, n);
        free(text);
    }
}

static void show_help(struct top_model *m)
{
    static const char keys[] = "Moving     up down or j k, PgUp PgDn, g G (Home End)\n"
                               "Views      1 to 9, 0 or Tab: another view; esc: back\n"
                               "In         enter or d: describe; y: as JSON; l: its events\n"
                               "           x: what hangs on it, as a tree\n"
                               "Order      s: sort by the next column; S: the other way round\n"
                               "Columns    w: all of them; left right: those beside\n"
                               "Choosing   / text, /!text without, /-f text fuzzy\n"
                               "           z: only what is at fault\n"
                               "Marking    space: mark, or no longer\n"
                               "           what is done is then done to all marked\n"
                               "Mouse      click on a row, a title, a view; the wheel scrolls\n"
                               "Commands   : then a view, sort COLUMN, filter TEXT …\n"
                               "           Tab completes\n"
                               "Screen     ctrl-L: draw again; ?: this page; q: leave\n\nHere:\n";
    open_page(m, "Help");
    buf_add_str(&m->page, keys);
    const struct top_action *a = top_views[m->view].actions;
    for (; a->key; a++) {
        buf_printf(&m->page, "  %c  %s%s\n", a->key, a->label,
                   a->reason ? ", with a reason if you give one" : "");
    }
    if (m->readonly) {
        buf_add_str(&m->page, "  Nothing can be changed: --readonly.\n");
    }
}

/* --- commands ----------------------------------------------------------------------------------
 */

static enum top_effect go_to(struct top_model *m, size_t view)
{
    if (view != m->view) {
        if (m->crumb_n == TOP_CRUMBS_MAX) {
            memmove(m->crumbs, m->crumbs + 1, (TOP_CRUMBS_MAX - 1) * sizeof m->crumbs[0]);
            m->crumb_n--;
        }
        m->crumbs[m->crumb_n++] = m->view;
    }
    m->view = view;
    return TOP_LOAD;
}

static enum top_effect key_in_table(struct top_model *m, int key);

static enum top_effect run_command(struct top_model *m)
{
    struct top_table *t = &m->tables[m->view];
    char word[TOP_INPUT_BYTES_MAX];
    size_t n = strcspn(m->input, " ");
    snprintf(word, sizeof word, "%.*s", (int)n, m->input);
    const char *rest = m->input + n + (m->input[n] == ' ');
    int key = word[0] ? top_command_key(m, word) : 0;
    if (word[0] && !key) {
        top_say(m, "there is no command \"%s\" here", word);
    }
    if (key == 's' && *rest) {
        if (!top_table_sort_by(t, rest)) {
            top_say(m, "there is no column \"%s\"", rest);
        }
        top_table_arrange(t, m->now_ms);
        return TOP_NOTHING;
    }
    if (key == '/' && *rest) {
        snprintf(t->filter, sizeof t->filter, "%s", rest);
        top_table_arrange(t, m->now_ms);
        return TOP_NOTHING;
    }
    return key ? key_in_table(m, key) : TOP_NOTHING;
}

/* A character beyond ASCII comes as its bytes, one key each, and goes with all of them. */
static void add_character(struct top_model *m, int key)
{
    size_t n = strlen(m->input);
    if (key >= 0x20 && key <= 0xff && key != 0x7f && n + 1 < sizeof m->input) {
        m->input[n] = (char)key;
        m->input[n + 1] = '\0';
    } else if (key == TOP_KEY_BACKSPACE && n) {
        do {
            n--;
        } while (n && ((unsigned char)m->input[n] & 0xc0) == 0x80);
        m->input[n] = '\0';
    }
}

static enum top_effect key_in_command(struct top_model *m, int key)
{
    switch (key) {
    case TOP_KEY_ESCAPE:
        m->mode = TOP_TABLE;
        return TOP_NOTHING;
    case TOP_KEY_ENTER:
        m->mode = TOP_TABLE;
        return run_command(m);
    case TOP_KEY_TAB:
        top_command_complete(m);
        return TOP_NOTHING;
    default:
        add_character(m, key);
        return TOP_NOTHING;
    }
}

/* The table follows while the filter is typed. */
static enum top_effect key_in_filter(struct top_model *m, int key)
{
    struct top_table *t = &m->tables[m->view];
    if (key == TOP_KEY_ENTER) {
        m->mode = TOP_TABLE;
        return TOP_NOTHING;
    }
    if (key == TOP_KEY_ESCAPE) {
        m->mode = TOP_TABLE;
        m->input[0] = '\0';
    } else {
        add_character(m, key);
    }
    snprintf(t->filter, sizeof t->filter, "%s", m->input);
    top_table_arrange(t, m->now_ms);
    return TOP_NOTHING;
}

/* Between two words if there are any; a tree's lines are cut, or it would be none. */
struct slice top_page_row(const struct top_model *m, struct slice *rest)
{
    const uint8_t *newline = memchr(rest->p, '\n', rest->n);
    size_t line = newline ? (size_t)(newline - rest->p) : rest->n, n = line;
    size_t fits = m->page_columns && !m->page_is_tree
                      ? text_fits(slice_of(rest->p, line), m->page_columns)
                      : line;
    if (fits && fits < line) {
        for (n = fits; n > fits / 2 && rest->p[n] != ' '; n--) {
        }
        n = n > fits / 2 ? n : fits;
    }
    struct slice row = slice_of(rest->p, n);
    size_t skip = n == line ? n + (newline != NULL) : n + (rest->p[n] == ' ');
    *rest = slice_of(rest->p + skip, rest->n - skip);
    return row;
}

static size_t page_lines(const struct top_model *m)
{
    size_t n = 0;
    for (struct slice rest = buf_slice(&m->page); rest.n; n++) {
        (void)top_page_row(m, &rest);
    }
    return n ? n : 1;
}

static enum top_effect key_in_page(struct top_model *m, int key)
{
    size_t all = page_lines(m), rows = m->page_rows ? m->page_rows : 1;
    size_t last = all > rows ? all - rows : 0, at = m->page_first;
    switch (key) {
    case TOP_KEY_UP:
    case 'k':
        at -= at > 0;
        break;
    case TOP_KEY_DOWN:
    case 'j':
        at++;
        break;
    case TOP_KEY_PAGE_UP:
        at = at > rows ? at - rows : 0;
        break;
    case TOP_KEY_PAGE_DOWN:
    case ' ':
        at += rows;
        break;
    case TOP_KEY_HOME:
    case 'g':
        at = 0;
        break;
    case TOP_KEY_END:
    case 'G':
        at = last;
        break;
    case TOP_KEY_ESCAPE:
    case TOP_KEY_ENTER:
    case 'q':
        m->mode = TOP_TABLE;
        return TOP_NOTHING;
    default:
        return TOP_NOTHING;
    }
    m->page_first = at < last ? at : last;
    return TOP_NOTHING;
}

/* --- the table ---------------------------------------------------------------------------------
 */

/* For what is meant now: rows come and go until the answer is typed. */
static void begin_action(struct top_model *m, const struct top_action *action)
{
    forget_meant(m);
    if (m->readonly) {
        top_say(m, "nothing can be changed: --readonly");
    } else if (!m->connected) {
        top_say(m, "not connected");
    } else {
        m->meant = top_table_meant(&m->tables[m->view], &m->meant_n);
        m->action = action;
        m->mode = m->meant ? TOP_CONFIRM : TOP_TABLE;
    }
}

static enum top_effect key_in_confirm(struct top_model *m, int key)
{
    m->mode = TOP_TABLE;
    m->reason[0] = '\0';
    if (key != 'y' && key != 'Y') {
        top_say(m, "not done");
        return TOP_NOTHING;
    }
    if (m->action->reason) {
        m->mode = TOP_REASON;
        m->input[0] = '\0';
        return TOP_NOTHING;
    }
    return TOP_ACT;
}

/* What was typed may be no UTF-8, which the hub would take for a broken frame. */
static bool take_reason(struct top_model *m)
{
    struct buf clean = {0};
    text_add_clean(&clean, slice_str(m->input));
    bool fits = clean.n < sizeof m->reason;
    snprintf(m->reason, sizeof m->reason, "%.*s", (int)clean.n, (const char *)clean.p);
    buf_done(&clean);
    if (!fits) {
        top_say(m, "not done: the reason is too long");
    }
    return fits;
}

static enum top_effect key_in_reason(struct top_model *m, int key)
{
    switch (key) {
    case TOP_KEY_ESCAPE:
        m->mode = TOP_TABLE;
        top_say(m, "not done");
        return TOP_NOTHING;
    case TOP_KEY_ENTER:
        m->mode = TOP_TABLE;
        return take_reason(m) ? TOP_ACT : TOP_NOTHING;
    default:
        add_character(m, key);
        return TOP_NOTHING;
    }
}

static enum top_effect go_back(struct top_model *m)
{
    struct top_table *t = &m->tables[m->view];
    if (t->marks_n) {
        top_table_unmark(t);
        return TOP_NOTHING;
    }
    if (t->filter[0] || t->faults) {
        t->filter[0] = '\0';
        t->faults = false;
        top_table_arrange(t, m->now_ms);
        return TOP_NOTHING;
    }
    if (m->crumb_n == 0) {
        return TOP_NOTHING;
    }
    m->view = m->crumbs[--m->crumb_n];
    return TOP_LOAD;
}

/* The log, of what is selected alone. */
static enum top_effect show_events(struct top_model *m)
{
    struct buf id = {0};
    struct top_table *log = &m->tables[TOP_LOG];
    if (top_table_id(&m->tables[m->view], &id)) {
        snprintf(log->filter, sizeof log->filter, "%.*s", (int)id.n, (const char *)id.p);
        top_table_arrange(log, m->now_ms);
        (void)go_to(m, TOP_LOG);
    }
    buf_done(&id);
    return TOP_NOTHING;
}

/* --- trees -------------------------------------------------------------------------------------
 */

enum tree_root top_tree_of(size_t view)
{
    static const enum tree_root roots[TOP_VIEWS] = {[TOP_AGENTS] = TREE_AGENT,
                                                    [TOP_TASKS] = TREE_TASK,
                                                    [TOP_DLQ] = TREE_TASK,
                                                    [TOP_NETWORKS] = TREE_NETWORK,
                                                    [TOP_SWARMS] = TREE_SWARM};
    return roots[view];
}

void top_tree_show(struct top_model *m)
{
    if (m->page_is_tree) {
        buf_clear(&m->page);
        top_tree_write(&m->tree, m->ascii, &m->page);
        size_t last = page_lines(m) > m->page_rows ? page_lines(m) - m->page_rows : 0;
        m->page_first = m->page_first < last ? m->page_first : last;
    }
}

static enum top_effect open_tree(struct top_model *m)
{
    struct buf id = {0};
    bool any = top_table_id(&m->tables[m->view], &id);
    if (top_tree_of(m->view) == TREE_NONE) {
        top_say(m, "nothing hangs on these");
        any = false;
    } else if (any && !m->connected) {
        top_say(m, "not connected");
        any = false;
    } else if (any) {
        buf_add(&id, "", 1);
        open_page(m, (const char *)id.p);
        m->page_is_tree = true;
    }
    buf_done(&id);
    return any ? TOP_TREE : TOP_NOTHING;
}

/* --- moving ------------------------------------------------------------------------------------
 */

/* What can be marked is marked, and the next row selected; elsewhere space turns the page. */
static void mark(struct top_model *m)
{
    struct top_table *t = &m->tables[m->view];
    if (top_views[m->view].actions->key) {
        top_table_mark(t);
        top_table_move(t, 1);
    } else {
        top_table_move(t, (long)m->page_step);
    }
}

static void move_key(struct top_model *m, int key)
{
    struct top_table *t = &m->tables[m->view];
    long page = (long)m->page_step, all = TOP_ROWS_MAX;
    long by = key == TOP_KEY_UP || key == 'k'     ? -1
              : key == TOP_KEY_DOWN || key == 'j' ? 1
              : key == TOP_KEY_PAGE_UP            ? -page
              : key == TOP_KEY_PAGE_DOWN          ? page
              : key == TOP_KEY_HOME || key == 'g' ? -all
              : key == TOP_KEY_END || key == 'G'  ? all
                                                  : 0;
    if (by) {
        top_table_move(t, by);
    }
}

static enum top_effect key_in_table(struct top_model *m, int key)
{
    struct top_table *t = &m->tables[m->view];
    for (const struct top_action *a = top_views[m->view].actions; a->key; a++) {
        if (key == a->key) {
            begin_action(m, a);
            return TOP_NOTHING;
        }
    }
    if (key >= '0' && key <= '9') {
        return go_to(m, (size_t)(key - '0' + TOP_VIEWS - 1) % TOP_VIEWS);
    }
    switch (key) {
    case 'q':
        return TOP_QUIT;
    case TOP_KEY_TAB:
        return go_to(m, (m->view + 1) % TOP_VIEWS);
    case ':':
        m->mode = TOP_COMMAND;
        m->input[0] = '\0';
        return TOP_NOTHING;
    case '/':
        m->mode = TOP_FILTER;
        m->input[0] = t->filter[0] = '\0';
        top_table_arrange(t, m->now_ms);
        return TOP_NOTHING;
    case 's':
        top_table_sort_next(t);
        top_table_arrange(t, m->now_ms);
        return TOP_NOTHING;
    case 'S':
        t->descending = !t->descending;
        top_table_arrange(t, m->now_ms);
        return TOP_NOTHING;
    case 'w':
        t->wide = !t->wide;
        t->aside = 0;
        return TOP_NOTHING;
    case TOP_KEY_LEFT:
        t->aside -= t->aside > 0;
        return TOP_NOTHING;
    case TOP_KEY_RIGHT:
        t->aside += t->wide && top_table_has_beside(t);
        return TOP_NOTHING;
    case ' ':
        mark(m);
        return TOP_NOTHING;
    case 'x':
        return open_tree(m);
    case 'z':
        t->faults = !t->faults;
        top_table_arrange(t, m->now_ms);
        return TOP_NOTHING;
    case 'd':
    case TOP_KEY_ENTER:
        show_item(m, false);
        return TOP_NOTHING;
    case 'y':
        show_item(m, true);
        return TOP_NOTHING;
    case 'l':
        return show_events(m);
    case '?':
        show_help(m);
        return TOP_NOTHING;
    case TOP_KEY_ESCAPE:
        return go_back(m);
    default:
        move_key(m, key);
        return TOP_NOTHING;
    }
}

enum top_effect top_key(struct top_model *m, int key)
{
    m->message[0] = '\0';
    if (m->tables[m->view].pushed) {
        top_table_arrange(&m->tables[m->view], m->now_ms);
    }
    switch (m->mode) {
    case TOP_TABLE:
        return key_in_table(m, key);
    case TOP_COMMAND:
        return key_in_command(m, key);
    case TOP_FILTER:
        return key_in_filter(m, key);
    case TOP_PAGE:
        return key_in_page(m, key);
    case TOP_CONFIRM:
        return key_in_confirm(m, key);
    case TOP_REASON:
        return key_in_reason(m, key);
    }
    return TOP_NOTHING;
}

/* --- the mouse ---------------------------------------------------------------------------------
 */

static enum top_effect click_title(struct top_model *m, size_t column)
{
    struct top_table *t = &m->tables[m->view];
    const struct top_places *p = &m->places;
    for (size_t i = 0; i < p->n; i++) {
        if (column < p->ends[i]) {
            t->descending = t->sort == (int)p->columns[i] && !t->descending;
            t->sort = (int)p->columns[i];
            top_table_arrange(t, m->now_ms);
            return TOP_NOTHING;
        }
    }
    return TOP_NOTHING;
}

enum top_effect top_click(struct top_model *m, size_t row, size_t column)
{
    struct top_table *t = &m->tables[m->view];
    const struct top_places *p = &m->places;
    if (m->mode != TOP_TABLE && m->mode != TOP_PAGE) {
        return TOP_NOTHING;
    }
    m->message[0] = '\0';
    if (column < p->sidebar) {
        size_t view = row - TOP_HEADER_ROWS;
        if (row < TOP_HEADER_ROWS || view >= TOP_VIEWS) {
            return TOP_NOTHING;
        }
        m->mode = TOP_TABLE;
        return go_to(m, view);
    }
    if (m->mode == TOP_PAGE) {
        return TOP_NOTHING;
    }
    if (row + 1 == p->rows_at) {
        return click_title(m, column);
    }
    size_t at = row - p->rows_at + p->first;
    if (row < p->rows_at || row >= p->rows_at + p->rows || at >= t->shown) {
        return TOP_NOTHING;
    }
    bool again = at == t->selected;
    top_table_move(t, (long)at - (long)t->selected);
    return again ? key_in_table(m, TOP_KEY_ENTER) : TOP_NOTHING;
}

void top_wheel(struct top_model *m, long lines)
{
    for (; m->mode == TOP_PAGE && lines; lines += lines < 0 ? 1 : -1) {
        (void)key_in_page(m, lines < 0 ? TOP_KEY_UP : TOP_KEY_DOWN);
    }
    if (m->mode == TOP_TABLE) {
        top_table_move(&m->tables[m->view], lines);
    }
}
