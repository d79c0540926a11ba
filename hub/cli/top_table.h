/* hub/cli/top_table.h: the rows of one view of `waggle top`: loaded, filtered, sorted, walked,
 * marked.
 *
 * What is selected or marked is remembered by its id, so that it stays so when rows come, go and
 * move. A mark whose row has gone is gone too.
 * Owns     copies of the items.       Threads  one.
 * Limits   TOP_ROWS_MAX rows; a log drops its oldest.
 */
#ifndef WAGGLE_CLI_TOP_TABLE_H
#define WAGGLE_CLI_TOP_TABLE_H

#include "hub/cli/output.h"

enum { TOP_ROWS_MAX = 1000, TOP_FILTER_BYTES_MAX = 200 };

struct top_table {
    const struct column *columns;
    const char *status; /* path of the status, for faults; NULL: none */
    struct buf *rows;   /* items as JSON, in the order they came */
    size_t n;
    size_t *order, shown; /* rows that pass the filter, sorted */
    size_t selected;      /* within order */
    char *selected_id;
    char **marks; /* ids */
    size_t marks_n;
    int sort; /* a column; -1: as they came */
    bool descending, faults, wide;
    size_t aside;                      /* columns behind the first that stand left of the screen */
    bool pushed;                       /* rows have come since it was arranged */
    char filter[TOP_FILTER_BYTES_MAX]; /* "!x": without; "-f x": the letters in that order */
};

void top_table_done(struct top_table *t);
/* list: a checked array of items. */
void top_table_load(struct top_table *t, struct slice list, int64_t now_ms);
/* A log's newest event, first of all once the table is arranged again: many may come in between. */
void top_table_push(struct top_table *t, struct slice item);
/* After filter, sort or faults changed. */
void top_table_arrange(struct top_table *t, int64_t now_ms);
void top_table_move(struct top_table *t, long by); /* stops at both ends */
void top_table_sort_next(struct top_table *t);     /* the next column; after the last none */
/* By the column whose title begins so, whatever the case; false: there is none. */
bool top_table_sort_by(struct top_table *t, const char *title);
/* Columns that are for wide screens stand there only when asked for. */
bool top_table_shows(const struct top_table *t, size_t column);
/* Whether there are columns to be moved left of the screen: the first and the last stay. */
bool top_table_has_beside(const struct top_table *t);
void top_table_mark(struct top_table *t); /* what is selected, or no longer */
void top_table_unmark(struct top_table *t);
bool top_table_is_marked(const struct top_table *t, size_t shown);
/* The ids that an action is for: of all that are marked, else of what is selected. Each is the
 * caller's, and so is the array; NULL: none. */
char **top_table_meant(const struct top_table *t, size_t *out_n);
struct slice top_table_item(const struct top_table *t, size_t shown); /* empty past the end */
/* By its id, whether it is shown or not; empty: there is none. */
struct slice top_table_find(const struct top_table *t, struct slice id);
/* The selected item's id as text, appended; false when nothing is selected. */
bool top_table_id(const struct top_table *t, struct buf *out);

bool top_filter_passes(const char *filter, const char *text); /* case is no matter */
bool top_is_fault(struct slice status);

#endif
