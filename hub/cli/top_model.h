/* hub/cli/top_model.h: what `waggle top` shows and what keys do, without a terminal or a hub.
 *
 * A key or a click changes the model and says what is to be done outside of it: load a view, act on
 * what is marked or selected, ask for a tree, end. top_draw.h makes a screen of the model;
 * hub/cli/top.c has the terminal and the connection.
 *
 * Threads  one.
 */
#ifndef WAGGLE_CLI_TOP_MODEL_H
#define WAGGLE_CLI_TOP_MODEL_H

#include "hub/cli/top_pulse.h"
#include "hub/cli/top_table.h"
#include "hub/cli/top_tree.h"

struct top_action { /* a table ends with a row without key */
    char key;
    const char *label;
    const char *method, *param, *more; /* call method {param: id, more} */
    bool reason;                       /* it takes one */
};

struct top_view {
    const char *name, *title;
    const char *method, *params, *member; /* of the call that fills it; NULL: events do */
    void (*list)(struct slice answer, struct buf *out); /* where no member is the list */
    const struct column *columns;
    const char *status;
    const char *channels; /* whose events make it old */
    const struct top_action *actions;
};

/* In the order of their keys: 1 to 9, then 0. */
enum top_view_id {
    TOP_PULSES,
    TOP_AGENTS,
    TOP_QUEUES,
    TOP_TASKS,
    TOP_DLQ,
    TOP_NETWORKS,
    TOP_SWARMS,
    TOP_CONSENSUS,
    TOP_MESSAGES,
    TOP_LOG,
    TOP_VIEWS
};
extern const struct top_view top_views[TOP_VIEWS]; /* hub/cli/top_views.c */

enum top_mode { TOP_TABLE, TOP_COMMAND, TOP_FILTER, TOP_PAGE, TOP_CONFIRM, TOP_REASON };
enum top_effect { TOP_NOTHING, TOP_LOAD, TOP_ACT, TOP_TREE, TOP_QUIT };

/* Keys beyond Unicode; others are characters. */
enum top_key {
    TOP_KEY_UP = 0x110000,
    TOP_KEY_DOWN,
    TOP_KEY_LEFT,
    TOP_KEY_RIGHT,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_ENTER,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACKSPACE,
    TOP_KEY_TAB
};

enum {
    TOP_INPUT_BYTES_MAX = 200, /* a reason has at most 256 */
    TOP_CRUMBS_MAX = 16,
    TOP_CELLS_MAX = 16,
    TOP_HEADER_ROWS = 2
};

/* Where things stand on the screen as it was drawn last, for clicks. */
struct top_places {
    size_t sidebar;             /* columns; 0: there is none */
    size_t rows_at, rows;       /* of the table; the titles are above them */
    size_t first;               /* shown first */
    size_t ends[TOP_CELLS_MAX]; /* of each column that is shown, the column behind it */
    size_t columns[TOP_CELLS_MAX], n;
};

struct top_model {
    struct top_table tables[TOP_VIEWS];
    size_t view;
    size_t crumbs[TOP_CRUMBS_MAX], crumb_n; /* views to go back to */
    enum top_mode mode;
    char input[TOP_INPUT_BYTES_MAX];
    struct buf page; /* text of TOP_PAGE */
    char page_title[80];
    size_t page_first, page_rows, page_columns; /* rows, columns: as drawn last */
    bool page_is_tree;
    struct top_tree tree;
    struct top_pulse pulse;
    const struct top_action *action;
    char **meant; /* ids that the action is for, as when it was asked for */
    size_t meant_n;
    char reason[TOP_INPUT_BYTES_MAX];
    char message[200];
    char notes[TOP_VIEWS][120]; /* why a view has nothing to show */
    bool readonly, ascii, connected;
    char hub[120], version[40], who[80];
    int64_t now_ms, lost_ms; /* of the wall clock; lost_ms: since when there is no connection */
    size_t page_step;        /* rows of a page of the table, as drawn last */
    struct top_places places;
};

void top_model_init(struct top_model *m);
void top_model_done(struct top_model *m);
enum top_effect top_key(struct top_model *m, int key);
/* On the sidebar: that view; on a title: by that column, or the other way round; on a row: it is
 * selected, and described when it was already. */
enum top_effect top_click(struct top_model *m, size_t row, size_t column);
void top_wheel(struct top_model *m, long lines);
/* Takes the next row of the page's text: a line or, where one is too long, a part of it. */
struct slice top_page_row(const struct top_model *m, struct slice *rest);
enum tree_root top_tree_of(size_t view);
void top_tree_show(struct top_model *m); /* once more, after an answer */
void top_say(struct top_model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* JSON with two spaces a level. */
void top_add_pretty(struct buf *out, struct slice value);

#endif
