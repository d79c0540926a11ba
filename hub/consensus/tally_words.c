/* The explanation of a count, as plain lines. */
#include "hub/consensus/tally_parts.h"

#include <stdarg.h>
#include <stdio.h>

static void add_line(struct buf *b, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
static void add_line(struct buf *b, const char *format, va_list args)
{
    char line[512];
    int n = vsnprintf(line, sizeof line, format, args);
    if (n > 0) {
        buf_add(b, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
    }
}

void tally_step(struct tally_result *out, const char *format, ...)
{
    va_list args;
    buf_add_str(&out->steps, out->steps.n ? "\n" : "");
    va_start(args, format);
    add_line(&out->steps, format, args);
    va_end(args);
}

const char *tally_names(const struct tally *tally, uint64_t set, struct buf *scratch)
{
    enum { SHOWN_BYTES_MAX = 60 };
    buf_clear(scratch);
    for (unsigned i = 0; i < tally->options_n; i++) {
        struct slice option = tally->options[i];
        size_t shown = option.n < SHOWN_BYTES_MAX ? option.n : SHOWN_BYTES_MAX;
        while (shown && shown < option.n && (option.p[shown] & 0xC0) == 0x80) {
            shown--; /* not within a character */
        }
        if (tally_has(set, i)) {
            buf_add_str(scratch, scratch->n ? ", " : "");
            buf_add(scratch, option.p, shown);
            buf_add_str(scratch, shown < option.n ? "…" : "");
        }
    }
    for (size_t i = 0; i < scratch->n; i++) {
        scratch->p[i] = scratch->p[i] < ' ' ? ' ' : scratch->p[i];
    }
    buf_add(scratch, "", 1);
    return (const char *)scratch->p;
}
