#define _GNU_SOURCE
#include "hub/cli/text.h"

#include <wchar.h>

#include "channels/json_text.h"

/* The character at p and its length; a byte that begins none counts alone, as U+FFFD. */
static uint32_t next_char(const uint8_t *p, const uint8_t *end, size_t *out_n)
{
    size_t n = *p < 0x80 ? 1 : utf8_length(p, end);
    *out_n = n ? n : 1;
    switch (n) {
    case 1:
        return *p;
    case 2:
        return (*p & 0x1fu) << 6 | (p[1] & 0x3fu);
    case 3:
        return (*p & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    case 4:
        return (*p & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    default:
        return 0xfffd;
    }
}

void text_add_clean(struct buf *b, struct slice utf8)
{
    for (size_t i = 0, n; i < utf8.n; i += n) {
        uint32_t c = next_char(utf8.p + i, utf8.p + utf8.n, &n);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
            buf_printf(b, "\\x%02x", (unsigned)c);
        } else {
            b->n += utf8_put(buf_reserve(b, UTF8_BYTES_MAX), c);
        }
    }
}

static size_t char_columns(uint32_t c)
{
    int w = c < 0x80 ? 1 : wcwidth((wchar_t)c);
    return w < 0 ? 1 : (size_t)w;
}

size_t text_columns(struct slice clean)
{
    size_t columns = 0;
    for (size_t i = 0, n; i < clean.n; i += n) {
        columns += char_columns(next_char(clean.p + i, clean.p + clean.n, &n));
    }
    return columns;
}

size_t text_fits(struct slice clean, size_t columns)
{
    size_t i = 0;
    for (size_t n, used = 0; i < clean.n; i += n) {
        used += char_columns(next_char(clean.p + i, clean.p + clean.n, &n));
        if (used > columns) {
            break;
        }
    }
    return i;
}

static void add_spaces(struct buf *b, size_t n)
{
    for (; n; n--) {
        buf_add(b, " ", 1);
    }
}

void text_add_fitted(struct buf *b, struct slice clean, size_t columns, bool right)
{
    size_t used = text_columns(clean);
    if (used <= columns) {
        add_spaces(b, right ? columns - used : 0);
        buf_add_slice(b, clean);
        add_spaces(b, right ? 0 : columns - used);
        return;
    }
    if (columns) {
        struct slice head = slice_of(clean.p, text_fits(clean, columns - 1));
        buf_add_slice(b, head);
        buf_add_str(b, "…");
        add_spaces(b, columns - 1 - text_columns(head));
    }
}

void text_add_id(struct buf *b, struct slice clean, size_t columns)
{
    size_t tail_columns = columns ? (columns - 1) / 2 : 0, all = text_columns(clean);
    if (all <= columns || tail_columns == 0) {
        text_add_fitted(b, clean, columns, false);
        return;
    }
    size_t from = text_fits(clean, all - tail_columns);
    struct slice tail = slice_of(clean.p + from, clean.n - from);
    text_add_fitted(b, clean, columns - text_columns(tail), false);
    buf_add_slice(b, tail);
}
