/* hub/cli/output.h: how answers are shown: `-o table|wide|json|ndjson|yaml|id`.
 *
 * json is byte for byte what the hub said; the other forms are made from it without a tree, so
 * numbers keep their digits everywhere.
 *
 * Owns     nothing: writes to the FILE given.
 * Threads  one at a time.       Units  columns.
 */
#ifndef WAGGLE_CLI_OUTPUT_H
#define WAGGLE_CLI_OUTPUT_H

#include <stdio.h>

#include "store/mem.h"

enum output_format { OUT_TABLE, OUT_WIDE, OUT_JSON, OUT_NDJSON, OUT_YAML, OUT_ID, OUT_FORMATS };
extern const char *const output_format_names[OUT_FORMATS + 1]; /* NULL-terminated, for options */

struct output {
    FILE *to;
    enum output_format format;
    bool terminal; /* a person reads along: times without their date */
    bool colour;
    size_t columns_max; /* 0: as wide as it gets */
    const char *query;  /* NULL: all of the answer; see hub/cli/query.h */
    int64_t now_ms;     /* for ages */
};

/* How wide the terminal is; 0: it is none. */
size_t output_columns(FILE *to);

/* For a stream: colour and width only on a terminal, no colour with NO_COLOR or TERM=dumb. */
struct output output_for(FILE *to, enum output_format format, int64_t now_ms);

enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_AGE, COLUMN_STATUS };

struct column { /* a table ends with a row without title; the first column is the id */
    const char *title;
    const char *path; /* "load_metrics.cpu"; "members.*.id": all; "" is the item itself */
    enum column_kind kind;
    bool wide; /* only with -o wide */
};

/* All of these take JSON that has been checked (channels/json_scan.h). */

/* A list: answer.member, or answer itself when it is an array. */
void output_list(const struct output *out, struct slice answer, const char *member,
                 const struct column *columns);
/* One object: answer.member, or all of the answer when member is NULL; id is a path within it. */
void output_object(const struct output *out, struct slice answer, const char *member,
                   const char *id);
void output_json_line(const struct output *out,
                      struct slice value); /* on one line, whatever came */

/* The value at a path of dotted names, empty when there is none. */
struct slice json_at(struct slice value, const char *path);
/* A cell of a table, without padding: "-" for nothing. */
void output_cell(struct buf *b, const struct column *column, struct slice item, int64_t now_ms);
/* Only what out->query names, in the form asked for; false when there is no query. A path that
 * leads nowhere from the answer may be meant from `part`, what is shown of it without a query. */
bool output_query(const struct output *out, struct slice answer, struct slice part);
/* The sequence that colours a status on a terminal, or NULL. */
const char *status_colour(struct slice status);
/* A value as a person reads it: a string without quotes, a list joined by commas; cleaned. */
void json_add_human(struct buf *b, struct slice value);
/* "2026-11-20T17:34:21.123Z" or "…+00:00" to milliseconds. */
bool time_read(struct slice text, int64_t *out_ms);

void yaml_add(struct buf *b, struct slice value); /* hub/cli/yaml.c; ends with a newline */

#endif
