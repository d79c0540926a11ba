/* A table is built as text first, since a column is as wide as its widest cell: cells of all rows
 * in one array, row after row, then one pass to measure and one to print. On a terminal that is too
 * narrow the widest column gives way, one column at a time, down to COLUMN_LEAST. */
#define _GNU_SOURCE
#include "hub/cli/output.h"

#include <math.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "channels/json_scan.h"
#include "hub/cli/options.h"
#include "hub/cli/query.h"
#include "hub/cli/text.h"

enum { COLUMNS_MAX = 16, COLUMN_LEAST = 6, COLUMN_GAP = 2, FRACTION_BYTES_MAX = 10 };

const char *const output_format_names[OUT_FORMATS + 1] = {
    [OUT_TABLE] = "table",   [OUT_WIDE] = "wide", [OUT_JSON] = "json",
    [OUT_NDJSON] = "ndjson", [OUT_YAML] = "yaml", [OUT_ID] = "id",
};

static bool wants_colour(FILE *to)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM"); /* no-color.org */
    return isatty(fileno(to)) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

size_t output_columns(FILE *to)
{
    struct winsize size;
    if (!isatty(fileno(to))) {
        return 0;
    }
    const char *columns = getenv("COLUMNS");
    uint64_t n;
    if (columns && option_number(columns, &n) && n > 0) {
        return n;
    }
    return ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

struct output output_for(FILE *to, enum output_format format, int64_t now_ms)
{
    return (struct output){.to = to,
                           .format = format,
                           .terminal = isatty(fileno(to)),
                           .colour = wants_colour(to),
                           .columns_max = format == OUT_WIDE ? 0 : output_columns(to),
                           .now_ms = now_ms};
}

/* --- JSON to text ------------------------------------------------------------------------------
 */

struct slice json_at(struct slice value, const char *path)
{
    while (*path && value.n) {
        size_t n = strcspn(path, ".");
        struct slice key, item, found = {0};
        if (json_kind_of(value) != JSON_KIND_OBJECT) {
            return found;
        }
        for (struct json_walk w = json_walk_of(value); json_walk_next(&w, &key, &item);) {
            struct slice name;
            if (json_is_plain(key, &name) && slice_equal(name, slice_of(path, n))) {
                found = item;
                break;
            }
        }
        value = found;
        path += n + (path[n] == '.');
    }
    return value;
}

static void add_list(struct buf *b, struct slice list)
{
    struct slice key, item;
    size_t start = b->n;
    for (struct json_walk w = json_walk_of(list); json_walk_next(&w, &key, &item);) {
        buf_add_str(b, b->n > start ? "," : "");
        json_add_human(b, item);
    }
}

void json_add_human(struct buf *b, struct slice value)
{
    struct buf text = {0};
    switch (json_kind_of(value)) {
    case JSON_KIND_NONE:
    case JSON_KIND_NULL:
        return;
    case JSON_KIND_STRING:
        json_to_text(value, &text);
        text_add_clean(b, buf_slice(&text));
        buf_done(&text);
        return;
    case JSON_KIND_ARRAY:
        add_list(b, value);
        return;
    case JSON_KIND_FALSE:
    case JSON_KIND_TRUE:
    case JSON_KIND_NUMBER:
    case JSON_KIND_OBJECT:
        text_add_clean(b, value);
        return;
    }
}

/* In a table a fraction such as 0.036666666666666667 is 0.0367: nobody reads the rest. */
static void add_shown(struct buf *b, struct slice value)
{
    double number;
    if (value.n <= FRACTION_BYTES_MAX || json_kind_of(value) != JSON_KIND_NUMBER ||
        !memchr(value.p, '.', value.n) || !json_to_double(value, &number)) {
        json_add_human(b, value);
    } else {
        buf_printf(b, fabs(number) < 1 ? "%.3g" : "%.3f", number);
    }
}

bool time_read(struct slice text, int64_t *out_ms)
{
    char copy[40];
    struct tm tm = {0};
    if (text.n == 0 || text.n >= sizeof copy) {
        return false;
    }
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    const char *rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest) {
        return false;
    }
    double fraction = *rest == '.' ? strtod(rest, NULL) : 0;
    *out_ms = (int64_t)timegm(&tm) * 1000 + (int64_t)(fraction * 1000);
    return true;
}

static void add_age(struct buf *b, struct slice value, int64_t now_ms)
{
    struct buf text = {0};
    int64_t at;
    json_add_human(&text, value);
    if (now_ms == 0 || !time_read(buf_slice(&text), &at)) {
        buf_add_slice(b, buf_slice(&text));
    } else {
        int64_t s = (now_ms - at) / 1000;
        s = s < 0 ? 0 : s; /* our clock may be behind the hub's */
        s < 120      ? buf_printf(b, "%llds", (long long)s)
        : s < 7200   ? buf_printf(b, "%lldm", (long long)(s / 60))
        : s < 172800 ? buf_printf(b, "%lldh", (long long)(s / 3600))
                     : buf_printf(b, "%lldd", (long long)(s / 86400));
    }
    buf_done(&text);
}

/* --- tables ------------------------------------------------------------------------------------
 */

static void add_one_of_many(void *ctx, struct slice found)
{
    struct buf *b = ctx;
    buf_add_str(b, b->n ? "," : "");
    json_add_human(b, found);
}

void output_cell(struct buf *b, const struct column *column, struct slice item, int64_t now_ms)
{
    size_t start = b->n;
    if (column->kind == COLUMN_AGE) {
        add_age(b, json_at(item, column->path), now_ms);
    } else if (strchr(column->path, '*')) {
        struct buf all = {0};
        (void)query_each(item, column->path, add_one_of_many, &all);
        buf_add_slice(b, buf_slice(&all));
        buf_done(&all);
    } else {
        add_shown(b, json_at(item, column->path));
    }
    buf_add_str(b, b->n == start ? "-" : "");
}

struct table {
    const struct column *columns[COLUMNS_MAX];
    size_t column_count, widths[COLUMNS_MAX];
    struct buf *cells; /* row after row; the first row holds the titles */
    size_t rows;
};

static void table_add_row(struct table *t, const struct output *out, struct slice item)
{
    t->cells = xrealloc(t->cells, (t->rows + 1) * t->column_count * sizeof *t->cells);
    for (size_t i = 0; i < t->column_count; i++) {
        struct buf *cell = &t->cells[t->rows * t->column_count + i];
        *cell = (struct buf){0};
        if (t->rows == 0) {
            buf_add_str(cell, t->columns[i]->title);
        } else {
            output_cell(cell, t->columns[i], item, out->now_ms);
        }
        size_t w = text_columns(buf_slice(cell));
        t->widths[i] = w > t->widths[i] ? w : t->widths[i];
    }
    t->rows++;
}

static void table_narrow(struct table *t, size_t columns_max)
{
    size_t all = COLUMN_GAP * (t->column_count - 1);
    for (size_t i = 0; i < t->column_count; i++) {
        all += t->widths[i];
    }
    for (; columns_max && all > columns_max; all--) {
        size_t widest = 0;
        for (size_t i = 1; i < t->column_count; i++) {
            widest = t->widths[i] > t->widths[widest] ? i : widest;
        }
        if (t->widths[widest] <= COLUMN_LEAST) {
            return;
        }
        t->widths[widest]--;
    }
}

const char *status_colour(struct slice status)
{
    // clang-format off
    static const struct { const char *word, *colour; } colours[] = {
        { "active", "\033[32m" }, { "healthy", "\033[32m" }, { "running", "\033[32m" },
        { "busy", "\033[36m" },   { "draining", "\033[36m" }, { "pending", "\033[36m" },
        { "stale", "\033[33m" },  { "maintenance", "\033[33m" },
        { "completed", "\033[32m" }, { "decided", "\033[32m" }, { "acked", "\033[32m" }, { "ok", "\033[32m" },
        { "queued", "\033[36m" }, { "open", "\033[36m" }, { "delivered", "\033[36m" },
        { "suspended", "\033[33m" }, { "cancelled", "\033[33m" }, { "expired", "\033[33m" }, { "warn", "\033[33m" },
        { "paused", "\033[33m" }, { "tied", "\033[33m" }, { "no_quorum", "\033[33m" }, { "dead", "\033[31m" }, { "evicted", "\033[31m" },
        { "inactive", "\033[31m" }, { "error", "\033[31m" }, { "failed", "\033[31m" },
    };
    // clang-format on
    for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++) {
        if (slice_is(status, colours[i].word)) {
            return colours[i].colour;
        }
    }
    return NULL;
}

static void table_print_row(const struct table *t, const struct output *out, size_t row)
{
    struct buf line = {0};
    for (size_t i = 0; i < t->column_count; i++) {
        const struct column *column = t->columns[i];
        struct slice cell = buf_slice(&t->cells[row * t->column_count + i]);
        bool right = column->kind == COLUMN_NUMBER || column->kind == COLUMN_AGE;
        bool last = i + 1 == t->column_count;
        const char *colour = row == 0                        ? "\033[1m"
                             : column->kind == COLUMN_STATUS ? status_colour(cell)
                                                             : NULL;
        colour = out->colour ? colour : NULL;
        buf_add_str(&line, colour ? colour : "");
        /* Nothing is padded at the end of a line. */
        size_t own = text_columns(cell);
        size_t width = last && !right && own < t->widths[i] ? own : t->widths[i];
        text_add_fitted(&line, cell, width, right);
        buf_add_str(&line, colour ? "\033[0m" : "");
        buf_add_str(&line, last ? "\n" : "  ");
    }
    fwrite(line.p, 1, line.n, out->to);
    buf_done(&line);
}

static void print_table(const struct output *out, struct slice list, const struct column *columns)
{
    struct table t = {0};
    struct slice key, item;
    for (const struct column *c = columns; c->title; c++) {
        if (t.column_count < COLUMNS_MAX && (!c->wide || out->format == OUT_WIDE)) {
            t.columns[t.column_count++] = c;
        }
    }
    table_add_row(&t, out, (struct slice){0});
    for (struct json_walk w = json_walk_of(list); json_walk_next(&w, &key, &item);) {
        table_add_row(&t, out, item);
    }
    table_narrow(&t, out->columns_max);
    for (size_t row = 0; row < t.rows; row++) {
        table_print_row(&t, out, row);
    }
    for (size_t i = 0; i < t.rows * t.column_count; i++) {
        buf_done(&t.cells[i]);
    }
    free(t.cells);
}

/* --- the other forms ---------------------------------------------------------------------------
 */

static void put(const struct output *out, struct slice bytes, bool newline)
{
    if (bytes.n) {
        fwrite(bytes.p, 1, bytes.n, out->to);
    }
    if (newline && (bytes.n == 0 || bytes.p[bytes.n - 1] != '\n')) {
        fputc('\n', out->to);
    }
}

void output_json_line(const struct output *out, struct slice value)
{
    struct buf line = {0};
    buf_add_slice(&line, value);
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] == '\n' || line.p[i] == '\r') {
            line.p[i] = ' '; /* outside strings: within one JSON allows neither */
        }
    }
    put(out, buf_slice(&line), true);
    buf_done(&line);
}

static void print_human_line(const struct output *out, struct slice value)
{
    struct buf line = {0};
    json_add_human(&line, value);
    put(out, buf_slice(&line), true);
    buf_done(&line);
}

static void print_yaml(const struct output *out, struct slice value)
{
    struct buf text = {0};
    yaml_add(&text, value);
    put(out, buf_slice(&text), true);
    buf_done(&text);
}

static void print_found(void *ctx, struct slice found)
{
    const struct output *out = ctx;
    switch (out->format) {
    case OUT_TABLE:
    case OUT_WIDE:
    case OUT_ID:
        print_human_line(out, found);
        return;
    case OUT_JSON:
    case OUT_NDJSON:
        output_json_line(out, found);
        return;
    case OUT_YAML:
        print_yaml(out, found);
        return;
    case OUT_FORMATS:
        return;
    }
}

bool output_query(const struct output *out, struct slice answer, struct slice part)
{
    if (!out->query) {
        return false;
    }
    struct output copy = *out;
    if (query_each(answer, out->query, print_found, &copy) == 0 && part.p != answer.p) {
        (void)query_each(part, out->query, print_found, &copy); /* nothing found: nothing printed */
    }
    return true;
}

void output_list(const struct output *out, struct slice answer, const char *member,
                 const struct column *columns)
{
    struct slice key, item;
    struct slice list = json_kind_of(answer) == JSON_KIND_ARRAY ? answer : json_at(answer, member);
    if (output_query(out, answer, list)) {
        return;
    }
    switch (out->format) {
    case OUT_JSON:
        put(out, answer, true);
        return;
    case OUT_YAML:
        print_yaml(out, answer);
        return;
    case OUT_TABLE:
    case OUT_WIDE:
        if (json_kind_of(list) == JSON_KIND_ARRAY) {
            print_table(out, list, columns);
        }
        return;
    case OUT_NDJSON:
    case OUT_ID:
        if (json_kind_of(list) != JSON_KIND_ARRAY) {
            return;
        }
        for (struct json_walk w = json_walk_of(list); json_walk_next(&w, &key, &item);) {
            out->format == OUT_ID ? print_human_line(out, json_at(item, columns[0].path))
                                  : output_json_line(out, item);
        }
        return;
    case OUT_FORMATS:
        return;
    }
}

/* Members of an object as rows of two columns, those of objects within it under dotted names; of a
 * list of objects each has a row. */
struct fields {
    struct buf *names, *values;
    size_t n;
};

/* Takes name. */
static void fields_add_row(struct fields *f, struct buf name, struct slice value)
{
    f->names = xrealloc(f->names, (f->n + 1) * sizeof *f->names);
    f->values = xrealloc(f->values, (f->n + 1) * sizeof *f->values);
    f->names[f->n] = name;
    f->values[f->n] = (struct buf){0};
    add_shown(&f->values[f->n++], value);
}

static bool fields_add_records(struct fields *f, struct buf name, struct slice list)
{
    struct slice key, item;
    struct json_walk w = json_walk_of(list);
    if (json_kind_of(list) != JSON_KIND_ARRAY || !json_walk_next(&w, &key, &item) ||
        json_kind_of(item) != JSON_KIND_OBJECT) {
        return false;
    }
    fields_add_row(f, name, item);
    while (json_walk_next(&w, &key, &item)) {
        fields_add_row(f, (struct buf){0}, item);
    }
    return true;
}

static void fields_add(struct fields *f, struct slice object, struct slice prefix)
{
    struct slice key, item;
    for (struct json_walk w = json_walk_of(object); json_walk_next(&w, &key, &item);) {
        struct buf name = {0};
        buf_add_slice(&name, prefix);
        json_add_human(&name, key);
        if (json_kind_of(item) == JSON_KIND_OBJECT) {
            buf_add_str(&name, ".");
            fields_add(f, item, buf_slice(&name));
            buf_done(&name);
        } else if (!fields_add_records(f, name, item)) {
            fields_add_row(f, name, item);
        }
    }
}

static void print_fields(const struct output *out, struct slice object)
{
    struct fields f = {0};
    size_t width = 0;
    struct buf line = {0};
    fields_add(&f, object, (struct slice){0});
    for (size_t i = 0; i < f.n; i++) {
        size_t w = text_columns(buf_slice(&f.names[i]));
        width = w > width ? w : width;
    }
    for (size_t i = 0; i < f.n; i++) {
        buf_clear(&line);
        buf_add_str(&line, out->colour ? "\033[1m" : "");
        text_add_fitted(&line, buf_slice(&f.names[i]), width, false);
        buf_add_str(&line, out->colour ? "\033[0m" : "");
        buf_add_str(&line, "  ");
        buf_add_slice(&line, f.values[i].n ? buf_slice(&f.values[i]) : slice_str("-"));
        put(out, buf_slice(&line), true);
        buf_done(&f.names[i]);
        buf_done(&f.values[i]);
    }
    free(f.names);
    free(f.values);
    buf_done(&line);
}

void output_object(const struct output *out, struct slice answer, const char *member,
                   const char *id)
{
    struct slice object = member ? json_at(answer, member) : answer;
    if (output_query(out, answer, object)) {
        return;
    }
    switch (out->format) {
    case OUT_JSON:
        put(out, answer, true);
        return;
    case OUT_NDJSON:
        output_json_line(out, answer);
        return;
    case OUT_YAML:
        print_yaml(out, answer);
        return;
    case OUT_ID:
        print_human_line(out, json_at(object, id));
        return;
    case OUT_TABLE:
    case OUT_WIDE:
        json_kind_of(object) == JSON_KIND_OBJECT ? print_fields(out, object)
                                                 : print_human_line(out, object);
        return;
    case OUT_FORMATS:
        return;
    }
}
