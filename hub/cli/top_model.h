/* hub/cli/top_model.h: what `waggle top` shows and what keys do, without a terminal or a hub.
 *
 * A key changes the model and says what is to be done outside of it: load a view, act on what is
 * selected, end. top_draw.h makes a screen of the model; hub/cli/top.c has the terminal and the
 * connection.
 *
 * Threads  one.
 */
#ifndef WAGGLE_CLI_TOP_MODEL_H
#define WAGGLE_CLI_TOP_MODEL_H

#include "hub/cli/top_table.h"

struct top_action { /* a table ends with a row without key */
    char key;
    const char *label;
    const char *method, *param, *more; /* call method {param: id, more} */
};

struct top_view {
    const char *name, *title;
    const char *method, *params, *member; /* of the call that fills it; no method: the log */
    const struct column *columns;
    const char *status;
    const char *channels; /* whose events make it old */
    const struct top_action *actions;
};

/* hub/cli/top_views.c; the log is the last. */
enum { TOP_VIEWS = 8 };
extern const struct top_view top_views[TOP_VIEWS];

enum top_mode { TOP_TABLE, TOP_COMMAND, TOP_FILTER, TOP_PAGE, TOP_CONFIRM };
enum top_effect { TOP_NOTHING, TOP_LOAD, TOP_ACT, TOP_QUIT };

/* Keys beyond Unicode; others are characters. */
enum top_key {
    TOP_KEY_UP = 0x110000,
    TOP_KEY_DOWN,
    TOP_KEY_PAGE_UP,
    TOP_KEY_PAGE_DOWN,
    TOP_KEY_HOME,
    TOP_KEY_END,
    TOP_KEY_ENTER,
    TOP_KEY_ESCAPE,
    TOP_KEY_BACKSPACE,
    TOP_KEY_TAB
};

enum { TOP_INPUT_BYTES_MAX = 80, TOP_CRUMBS_MAX = 16 };

struct top_model {
    struct top_table tables[TOP_VIEWS];
    size_t view;
    size_t crumbs[TOP_CRUMBS_MAX], crumb_n; /* views to go back to */
    enum top_mode mode;
    char input[TOP_INPUT_BYTES_MAX];
    struct buf page; /* text of TOP_PAGE */
    char page_title[80];
    size_t page_first, page_rows; /* page_rows: as drawn last */
    const struct top_action *action;
    char message[200];
    char notes[TOP_VIEWS][120]; /* why a view has nothing to show */
    bool readonly, ascii, connected;
    char hub[120], version[40], who[80];
    int64_t now_ms, lost_ms; /* of the wall clock; lost_ms: since when there is no connection */
    size_t page_step;        /* rows of a page of the table, as drawn last */
};

void top_model_init(struct top_model *m);
void top_model_done(struct top_model *m);
enum top_effect top_key(struct top_model *m, int key);
void top_say(struct top_model *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* JSON with two spaces a level. */
void top_add_pretty(struct buf *out, struct slice value);

#endif
