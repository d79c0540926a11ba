#include "hub/cli/top_series.h"

enum { BRAILLE = 0x2800, DOTS_HIGH = 4 };

void series_add(struct series *s, double value)
{
    if (s->n == SERIES_MAX) {
        memmove(s->values, s->values + 1, (SERIES_MAX - 1) * sizeof s->values[0]);
        s->n--;
    }
    s->values[s->n++] = value;
}

static double most_of(const struct series *s, size_t newest)
{
    double most = 0;
    for (size_t i = s->n > newest ? s->n - newest : 0; i < s->n; i++) {
        most = s->values[i] > most ? s->values[i] : most;
    }
    return most;
}

double series_most(const struct series *s)
{
    return most_of(s, SERIES_MAX);
}

/* Steps of `levels` for the value that lies `back` before the newest; what is not nothing is seen.
 */
static unsigned level_of(const struct series *s, size_t back, double most, unsigned levels)
{
    double value = back < s->n ? s->values[s->n - 1 - back] : 0;
    if (value <= 0 || most <= 0) {
        return 0;
    }
    double level = value / most * levels + 0.5;
    return level < 1 ? 1 : level > levels ? levels : (unsigned)level;
}

static void add_braille(struct buf *out, unsigned left, unsigned right)
{
    /* Unicode 15.0, chapter 21.1: dots 7 3 2 1 and 8 6 5 4 stand from the bottom up. */
    static const unsigned char left_dots[DOTS_HIGH] = {0x40, 0x04, 0x02, 0x01};
    static const unsigned char right_dots[DOTS_HIGH] = {0x80, 0x20, 0x10, 0x08};
    unsigned code = BRAILLE;
    for (unsigned i = 0; i < left; i++) {
        code |= left_dots[i];
    }
    for (unsigned i = 0; i < right; i++) {
        code |= right_dots[i];
    }
    uint8_t utf8[] = {(uint8_t)(0xe0 | code >> 12), (uint8_t)(0x80 | (code >> 6 & 0x3f)),
                      (uint8_t)(0x80 | (code & 0x3f))};
    buf_add(out, utf8, sizeof utf8);
}

void series_draw(const struct series *s, struct buf *out, size_t columns, bool ascii)
{
    static const char shades[] = " .:-=+*#";
    size_t each = ascii ? 1 : 2;
    double most = most_of(s, columns * each);
    for (size_t c = columns; c--;) {
        size_t back = c * each;
        if (ascii) {
            buf_add(out, shades + level_of(s, back, most, sizeof shades - 2), 1);
        } else {
            add_braille(out, level_of(s, back + 1, most, DOTS_HIGH),
                        level_of(s, back, most, DOTS_HIGH));
        }
    }
}
