/* hub/cli/top_draw.h: a model of `waggle top` as lines of text with looks, exactly as wide and high
 * as the screen: header, sidebar, table or page, footer.
 *
 * Owns     struct top_screen owns its lines.       Threads  one.       Units  columns, rows.
 * Limits   any size; below TOP_COLUMNS_LEAST columns the sidebar gives way.
 */
#ifndef WAGGLE_CLI_TOP_DRAW_H
#define WAGGLE_CLI_TOP_DRAW_H

#include "hub/cli/top_model.h"

enum { TOP_COLUMNS_LEAST = 60, TOP_SIDEBAR = 16 };

enum top_look {
    LOOK_PLAIN,
    LOOK_BOLD,
    LOOK_DIM,
    LOOK_BAR, /* header and footer */
    LOOK_SELECTED,
    LOOK_GOOD,
    LOOK_BUSY,
    LOOK_WARN,
    LOOK_BAD,
    LOOK_BANNER,
    LOOKS
};

struct top_segment {
    struct buf text;
    enum top_look look;
};

struct top_line {
    struct top_segment *segments;
    size_t n, columns;
};

struct top_screen {
    struct top_line *lines;
    size_t rows, columns;
};

/* Makes the screen anew; m learns how many rows its page and its table have. */
void top_draw(struct top_screen *screen, struct top_model *m, size_t rows, size_t columns);
void top_screen_done(struct top_screen *screen);

#endif
